"""Emulated ConnectX cards of a machine, and their installation in its guest."""

from __future__ import annotations

import dataclasses
import io
import json
import shlex
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host import HANG_SECONDS, RigError

if TYPE_CHECKING:
    from machine.run import Run

FIRMWARE = Path(__file__).resolve().parents[1] / "connectx" / "firmware"
MODELS = ("connectx4lx", "connectx5", "connectx6dx", "connectx7", "bluefield2")
TABLES = ("basic", "full")
MAX_VFS = 127


@dataclasses.dataclass(frozen=True)
class ConnectX:
    """A card: its slot, in which QEMU then has no card, its chip, and what its firmware has."""

    slot: int
    model: str = "connectx5"
    ports: int = 2
    vfs: int = MAX_VFS
    table: str = "basic"

    @property
    def bus(self) -> str:
        """Return its bus in the guest. The root ports have the order of the slots."""
        return f"0000:{self.slot:02x}"


def read(text: str) -> tuple[ConnectX, ...]:
    """Read the cards of a machine: a JSON list of objects with the fields of ConnectX. Raises RigError for others."""
    try:
        listed: list[dict[str, Any]] = json.loads(text or "[]")
        found = tuple(ConnectX(**one) for one in listed)
    except (ValueError, TypeError) as error:
        raise RigError(f'--connectx takes a JSON list of cards such as [{{"slot": 1}}]: {error}') from None
    for card in found:
        right = (card.model in MODELS, card.table in TABLES, card.ports in (1, 2), 0 <= card.vfs <= MAX_VFS)
        if not all(right):
            raise RigError(
                f"no such card: {card}; models are {', '.join(MODELS)}, tables {', '.join(TABLES)},"
                f" ports 1 or 2, VFs of a port up to {MAX_VFS}"
            )
    if len({card.slot for card in found}) < len(found):
        raise RigError("a slot takes one card")
    return found


def archive() -> bytes:
    """Return an archive of the firmware for a guest."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        for path in sorted(FIRMWARE.iterdir()):
            if path.is_file():
                packed.add(path, arcname=path.name)
    return buffer.getvalue()


def install(run: Run, cards: tuple[ConnectX, ...]) -> None:
    """Put cards into the slots of a running guest, for this boot and all later boots of this disk."""
    folder, program = "/root/rig-connectx", "/usr/local/sbin/rig-connectx"
    lines = [f"mkdir -p {folder}", f"tar -C {folder} -x --no-same-owner", f"python3 {folder}/rig_connectx.py install"]
    lines += [
        f"{program} add --model {card.model} --ports {card.ports} --vfs {card.vfs} --table {card.table} {card.bus}"
        for card in cards
    ]
    lines += ["systemctl start rig-connectx.service", f"rm -r {folder}"]
    command = run.ssh_command("sudo", "sh", "-c", shlex.quote(" && ".join(lines)))
    done = subprocess.run(command, input=archive(), capture_output=True, check=False, timeout=HANG_SECONDS)
    if done.returncode:
        raise RigError(f"the guest did not get its ConnectX cards: {done.stderr.decode(errors='replace').strip()}")
