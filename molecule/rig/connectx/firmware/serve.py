"""The service that puts the cards into their slots and answers the commands from /dev/rig-connectx."""

from __future__ import annotations

import contextlib
import os
import struct

from cards import Card, State
from registers import MAILBOX_WORDS, Firmware

DEVICE = "/dev/rig-connectx"
# struct message of kernel/device.c: kind, domain, bus, port, control, mailbox.
MESSAGE = struct.Struct(f"<5I{MAILBOX_WORDS}I")
COMMAND, LINK_DOWN, LINK_UP = 1, 2, 3
# The first six digits are NVIDIA's.
FIRST_MAC = 0x0C42A1000000


class Slots:
    """The machine's slots in the kernel module."""

    def __init__(self) -> None:
        self.device = os.open(DEVICE, os.O_RDWR)

    def send(self, line: str) -> None:
        """Send a line to the module."""
        os.write(self.device, line.encode("ascii"))

    def take(self, bus: str) -> None:
        """Take a card out of its slot, if there is one."""
        # ENODEV: the slot is empty.
        with contextlib.suppress(OSError):
            self.send(f"remove {bus}")

    def plug(self, card: Card) -> None:
        """Put a card into its empty slot."""
        number = int(card.bus.partition(":")[2], 16)
        # Without firmware a card shows its hardware id as its device id.
        device = card.hardware if card.behave("livefish") == "true" else card.device
        mac = FIRST_MAC + (number << 8)
        self.send(f"add {card.bus} {card.ports} {device:x} {card.vf_device:x} {card.hardware:x} {mac:x}")
        self.scan(card)

    def scan(self, card: Card) -> None:
        """Let the kernel find a card's functions, with as many VFs as the card offers now."""
        for port in range(card.ports):
            self.send(f"vfs {card.bus} {port} {card.total_vfs(port)}")
        self.send(f"scan {card.bus}")


def answer(slots: Slots, state: State, firmware: Firmware, message: bytes) -> None:
    """Handle a message."""
    kind, domain, number, port, control, *mailbox = MESSAGE.unpack(message)
    bus = f"{domain:04x}:{number:02x}"
    if kind == COMMAND:
        control, mailbox = firmware.command(bus, port, control, mailbox)
        os.write(slots.device, MESSAGE.pack(kind, domain, number, port, control, *mailbox))
    elif kind == LINK_UP:
        with state.locked() as cards:
            firmware.came_up(bus)
            slots.scan(cards[bus])
    else:
        firmware.say(f"{bus} the link went down")


def serve() -> None:
    """Run. The started process ends when all cards are in their slots, which the unit waits for."""
    state = State()
    slots = Slots()
    with state.locked() as cards:
        state.boot()
        for bus, card in cards.items():
            slots.take(bus)
            slots.plug(card)
    if os.fork():
        return
    os.setsid()
    log = os.open(os.path.join(state.folder, "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    firmware = Firmware(state, log)
    while True:
        answer(slots, state, firmware, os.read(slots.device, MESSAGE.size))
