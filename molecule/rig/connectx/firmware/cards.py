"""The cards, their configuration and their behaviour, stored in a file of the guest.

Each block has a default, a current and a next value. `set` changes next; a reset of the card, or a boot of the
machine, makes next current. The kernel's boot id shows a boot. The id that the rig gives to each start of QEMU (SMBIOS,
product_uuid) shows a power cycle: a reboot keeps it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os

import blocks
from blocks import FIELDS, FUNCTION, NUMBER_MASKS, PORT, Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

STATE = os.environ.get("RIG_CONNECTX_STATE", "/var/lib/rig-connectx")
BOOT_ID = "/proc/sys/kernel/random/boot_id"
POWER_ID = "/sys/class/dmi/id/product_uuid"

# For each model: PCI device ids of PF and VF, hardware id, and a board with that chip.
MODELS = {
    "connectx4lx": (0x1015, 0x1016, 0x20B, "MCX4121A-ACA_Ax", "ConnectX-4 Lx EN network interface card"),
    "connectx5": (0x1017, 0x1018, 0x20D, "MCX512A-ACA_Ax_Bx", "ConnectX-5 EN network interface card"),
    "connectx6dx": (0x101D, 0x101E, 0x212, "MCX623106AN-CDA_Ax", "ConnectX-6 Dx EN adapter card"),
    "connectx7": (0x1021, 0x101E, 0x218, "MCX713106AC-CEA_Ax", "ConnectX-7 Ethernet adapter card"),
    "bluefield2": (0xA2D6, 0x101E, 0x214, "MBF2H332A-AEEO_Ax_Bx", "BlueField-2 P-Series DPU"),
}
EMULATED = " (emulated by the rig)"
TABLES = ("basic", "full")

# How a card behaves by default.
BEHAVIOUR = {
    # Neither a reset nor a boot makes next current.
    "keeps": "false",
    # Only a power cycle makes next current, and the firmware reports this to the tool.
    "power-cycle": "false",
    # Its firmware does not run.
    "livefish": "false",
    # Which values can be read in addition to next: both, "default" or "none".
    "columns": "both",
    # Register accesses that are refused, with the status, for example NVDA.set=0x20,MQIS.get=4
    "refuse": "",
    # Parameters that this host cannot change, with all others in their blocks.
    "read-only": "",
    # Parameters that the card does not have, with all others in their blocks.
    "absent": "",
}
CHOICES = {
    **dict.fromkeys(("keeps", "power-cycle", "livefish"), ("true", "false")),
    "columns": ("both", "default", "none"),
}


def words_of(kind: int, number: int, port: int) -> int:
    """Return a block's type word. port: counts for the blocks of ports only."""
    return kind << 24 | (port << 16 if kind == PORT else 0) | number


class Card:
    """One card: the bus below its root port, its model, and its configuration."""

    def __init__(self, bus: str, data: dict[str, Any]) -> None:
        self.bus, self.data = bus, data
        self.device, self.vf_device, self.hardware, self.part, text = MODELS[data["model"]]
        self.description = text + EMULATED
        self.ports: int = data["ports"]
        self._table: dict[tuple[int, int], Block] | None = None
        self._full = False

    def behave(self, key: str) -> str:
        """Return how the card behaves."""
        return str(self.data["behave"].get(key, BEHAVIOUR[key]))

    def table(self, database: str) -> dict[tuple[int, int], Block]:
        """Return the blocks that the firmware has. database: the tools' own, for the full table; a tool installs it."""
        if self._table is None:
            self._table = blocks.basic(self.data["vfs"])
        if self.data["table"] == "full" and not self._full and os.path.exists(database):
            # Imported here, because a boot does not need it and Python's start is slow in an emulated guest.
            from database import BLUEFIELD, FULL, Database

            self._full = True
            tools_database = Database(database)
            tools_database.add(FULL, self._table)
            if self.data["model"].startswith("bluefield"):
                tools_database.add(BLUEFIELD, self._table)
        return self._table

    def find(self, type_word: int, database: str = "") -> Block | None:
        """Return the block of a type word, if the firmware has it."""
        kind = type_word >> 24
        if kind == PORT and not 1 <= type_word >> 16 & 0xFF <= self.ports:
            return None
        key = (kind, type_word & NUMBER_MASKS.get(kind, 0))
        found = self.table(database).get(key)
        if found and key in self.blocks_of("read-only"):
            return Block(found.default, found.version, writable=False)
        return None if key in self.blocks_of("absent") else found

    def blocks_of(self, behaviour: str) -> set[tuple[int, int]]:
        """Return the blocks whose parameters a behaviour names."""
        return {FIELDS[name].block for name in self.behave(behaviour).split(",") if name}

    @staticmethod
    def key(type_word: int, function: int) -> str:
        """Name a stored value. The tools always send function 0, and mean the function that they use."""
        return f"{type_word:08x}" + (f"/{function}" if type_word >> 24 == FUNCTION else "")

    def get(self, column: str, type_word: int, function: int = 0, database: str = "") -> list[int]:
        """Read a block: its default, current or next words."""
        found = self.find(type_word, database)
        if not found:
            # A parameter that the card does not have is off.
            return [0] * 5
        return list(self.data["values"].get(column, {}).get(self.key(type_word, function), found.default))

    def put(self, column: str, type_word: int, function: int, words: list[int]) -> None:
        """Write a block's current or next words."""
        self.data["values"][column][self.key(type_word, function)] = words

    def parameter(self, column: str, name: str, function: int) -> int:
        """Read a parameter."""
        field = FIELDS[name]
        return field.read(self.get(column, words_of(*field.block, field.port), function))

    def set_parameter(self, column: str, name: str, function: int, value: int) -> None:
        """Write a parameter."""
        field = FIELDS[name]
        word = words_of(*field.block, field.port)
        words = self.get(column, word, function)
        field.put(words, value)
        self.put(column, word, function, words)

    def total_vfs(self, function: int) -> int:
        """Return how many VFs a function offers with the current values."""
        if self.behave("livefish") == "true":
            return 0
        if self.parameter("current", "PF_NUM_OF_VF_VALID", function):
            return self.parameter("current", "PF_NUM_OF_VF", function)
        enabled = self.parameter("current", "SRIOV_EN", function)
        return self.parameter("current", "NUM_OF_VFS", function) if enabled else 0

    def take_next(self, powered: bool = False) -> None:
        """Make next current, as after a reset or a boot. powered: the card was without power."""
        if self.behave("keeps") != "true" and (powered or self.behave("power-cycle") != "true"):
            self.data["values"]["current"] = {key: list(words) for key, words in self.data["values"]["next"].items()}


def new(model: str, ports: int, vfs: int, table: str) -> dict[str, Any]:
    """Return a card as it comes from the factory."""
    values: dict[str, Any] = {"current": {}, "next": {}}
    return {"model": model, "ports": ports, "vfs": vfs, "table": table, "behave": {}, "values": values}


def read_id(path: str) -> str:
    """Return the id of the boot or of the power cycle; "" if there is none."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


class State:
    """The file, and its content when it was last read."""

    def __init__(self, folder: str = STATE) -> None:
        self.folder, self.path = folder, os.path.join(folder, "state.json")
        os.makedirs(folder, exist_ok=True)
        # Opened once: to open it for each command costs an emulated guest 10 ms, and a tool sends hundreds of commands.
        self.lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.seen: tuple[int, int] | None = None
        self.data: dict[str, Any] = {"boot": "", "power": "", "cards": {}}
        self.cards: dict[str, Card] = {}

    def _read(self) -> None:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return
        # Each write makes a new file, so its inode shows a change.
        if self.seen != (status.st_ino, status.st_mtime_ns):
            self.seen = (status.st_ino, status.st_mtime_ns)
            with open(self.path, encoding="ascii") as file:
                self.data = json.load(file)
            self.cards = {bus: Card(bus, data) for bus, data in sorted(self.data["cards"].items())}

    def write(self) -> None:
        """Keep everything, whole or not at all. The lock must be held."""
        with open(self.path + ".new", "w", encoding="ascii") as file:
            json.dump(self.data, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.path + ".new", self.path)
        status = os.stat(self.path)
        self.seen = (status.st_ino, status.st_mtime_ns)
        self.cards = {
            bus: self.cards[bus] if bus in self.cards and self.cards[bus].data is data else Card(bus, data)
            for bus, data in sorted(self.data["cards"].items())
        }

    @contextlib.contextmanager
    def locked(self) -> Iterator[dict[str, Card]]:
        """Hold the state exclusively, as it is now. The caller must write its changes before the end."""
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        try:
            self._read()
            yield self.cards
        finally:
            fcntl.flock(self.lock, fcntl.LOCK_UN)

    def boot(self) -> None:
        """Make next current if the machine has booted since the last call. The lock must be held."""
        boot, power = read_id(BOOT_ID), read_id(POWER_ID)
        if boot != self.data["boot"]:
            for card in self.cards.values():
                card.take_next(powered=power != self.data["power"])
            self.data.update(boot=boot, power=power)
            self.write()
