"""The firmware: it answers the commands that a tool writes into the mailbox of a card's window.

A command is an opcode and a mailbox of words. Opcode 0x9001 accesses a register: an operation TLV of four words
(status in bits 14..8 of word 0; register id in bits 31..16 and method, 1 get or 2 set, in bits 14..8 of word 1), a
header whose bits 26..16 are the number of words that follow, itself included, and then the register. See
mtcr_ul/mtcr_ul_icmd_cif.c and reg_access/reg_access.c of mstflint; layouts are in its tools_layouts/. Bit 0 is the
lowest bit of a word.
"""

from __future__ import annotations

import os
import struct
import time

from blocks import Block
from cards import Card, State

MAILBOX_WORDS = 256
BUSY = 1
REGISTER_ACCESS, QUERY_CAPABILITIES = 0x9001, 0x8400
OK, NOT_SUPPORTED, BAD_PARAMETER, NOT_AVAILABLE = 0, 4, 7, 8
METHODS = {1: "get", 2: "set"}
# Of a command with an unknown opcode.
BAD_OPCODE = 1
# Reset levels of the register MFRL, as bits: 3, the PCIe link goes down, and 4, a warm reboot.
LINK_RESET, WARM_REBOOT = 1 << 3, 1 << 6
# The only reset type: the whole chip.
WHOLE_CHIP = 1 << 8
VERSION = (16, 35, 4030)
BOARD_ID = "MT_0000000080"
# The tools' database, for the full table.
DATABASE = "/usr/share/mstflint/mlxconfig_dbs/mlxconfig_host.db"


def text_words(text: str, count: int) -> list[int]:
    """Return text in words, the first byte highest."""
    return list(struct.unpack(f">{count}I", text.encode("ascii").ljust(count * 4, b"\0")[: count * 4]))


class Firmware:
    """The firmware of all cards. log: an open file that gets one line for each command."""

    def __init__(self, state: State, log: int | None = None, database: str = DATABASE) -> None:
        self.state, self.log, self.database = state, log, database
        now = time.monotonic()
        self.started = dict.fromkeys(state.cards, now)
        # Cards for which a reset was requested: it happens when their link comes up.
        self.armed: set[str] = set()

    def say(self, text: str) -> None:
        """Add a line to the log."""
        if self.log is not None:
            os.write(self.log, f"{text}\n".encode("ascii"))

    def came_up(self, bus: str) -> None:
        """Start the firmware when the link comes up, if a reset was requested. The lock must be held."""
        self.say(f"{bus} the link came up, {'after a reset' if bus in self.armed else 'without a reset'}")
        if bus in self.armed:
            self.armed.discard(bus)
            self.started[bus] = time.monotonic()
            self.state.cards[bus].take_next()
            self.state.write()

    def command(self, bus: str, function: int, control: int, mailbox: list[int]) -> tuple[int, list[int]]:
        """Answer a command. Return the control word with the busy bit cleared, and the mailbox."""
        opcode = control >> 16
        control &= ~(BUSY | 0xFF00)
        if opcode == QUERY_CAPABILITIES:
            # The card has none. mstfwreset needs the answer, for resets of several hosts at a time.
            return control, [0] * MAILBOX_WORDS
        if opcode != REGISTER_ACCESS:
            self.say(f"{bus}:00.{function} opcode {opcode:#x} is unknown")
            return control | BAD_OPCODE << 8, mailbox
        register, method = mailbox[1] >> 16, METHODS.get(mailbox[1] >> 8 & 0x7F, "other")
        length = max((mailbox[4] >> 16 & 0x7FF) - 1, 0)
        with self.state.locked() as cards:
            status, data = self.access(cards[bus], function, register, method, mailbox[5 : 5 + length])
        mailbox[0] = mailbox[0] & ~(0x7F << 8) | status << 8
        mailbox[5 : 5 + len(data)] = data
        return control, mailbox

    def access(self, card: Card, function: int, register: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Access a register. Return a status and the register."""
        name, handler = REGISTERS.get(register, (f"{register:#06x}", None))
        refused = dict(one.split("=") for one in card.behave("refuse").split(",") if one)
        about = " ".join(f"{one:08x}" for one in data[:2])
        if f"{name}.{method}" in refused:
            status, answer = int(refused[f"{name}.{method}"], 0), data
        elif handler is None:
            status, answer = NOT_SUPPORTED, data
        else:
            status, answer = handler(self, card, function, method, data)
        self.say(f"{card.bus}:00.{function} {method} {name} {about}" + (f" -> status {status}" if status else ""))
        return status, answer

    # ---- registers: each method returns a status and the register

    def nvqc(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Show whether a block exists (bit 0), whether it can be written (bit 1), and its version."""
        found = card.find(data[0], self.database)
        data[1] = 1 | found.writable << 1 | found.version << 4 if found else 0
        return OK, data

    def nvqgc(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Show whether default (bit 0) and current (bit 1) can be read."""
        data[0] = {"both": 3, "default": 1, "none": 0}[card.behave("columns")]
        return OK, data

    def nvda(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Read or write a block: header, type word, a word that is not used here, and the block's words."""
        header, type_word = data[0], data[1]
        found = card.find(type_word, self.database)
        if not found:
            return NOT_AVAILABLE, data
        if method == "set":
            return self.set_block(card, function, found, data)
        column = "default" if header >> 23 & 1 else "current" if header >> 22 & 1 else "next"
        words = card.get(column, type_word, function, self.database)
        return OK, [header & ~0x1FF | len(words) * 4, *data[1:3], *words, *data[3 + len(words) :]]

    def set_block(self, card: Card, function: int, found: Block, data: list[int]) -> tuple[int, list[int]]:
        """Write a block. The tool, not the firmware, knows the meaning and the limits of the values."""
        length = (data[0] & 0x1FF) // 4
        if not found.writable or length != len(found.default):
            return BAD_PARAMETER, data
        card.put("next", data[1], function, data[3 : 3 + length])
        self.state.write()
        return OK, data

    def nvdi(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Set one block back to its default."""
        card.data["values"]["next"].pop(card.key(data[1], function), None)
        self.state.write()
        return OK, data

    def nvia(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Set all blocks back to their defaults."""
        card.data["values"]["next"].clear()
        self.state.write()
        return OK, data

    def mgir(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """General information: ports, hardware, uptime (mstfwreset compares it), version and board id."""
        data[0:3] = [card.device, card.ports << 16, card.hardware]
        data[7] = int(time.monotonic() - self.started.get(card.bus, 0))
        data[8] = VERSION[0] << 16 | VERSION[1] << 8 | 0x88
        data[12:16] = text_words(BOARD_ID, 4)
        data[16:19] = VERSION
        return OK, data

    def mqis(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Name (1) and description (2) of the board, eight bytes at a time."""
        text = {1: card.part, 2: card.description}.get(data[0] & 0xFF)
        if text is None:
            return BAD_PARAMETER, data
        length, offset = data[2] & 0xFFFF, data[2] >> 16
        part = text[offset : offset + min(length, 8)]
        data[1:3] = [len(text), offset << 16 | len(part)]
        data[4:6] = text_words(part, 2)
        return OK, data

    def mfrl(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Show the reset levels, or request a reset.

        The configuration tool uses it too, after a change: if the card refuses, the tool asks for a power cycle.
        """
        if card.behave("power-cycle") == "true":
            return BAD_PARAMETER, data
        if method == "get":
            return OK, [0, LINK_RESET | WARM_REBOOT | WHOLE_CHIP]
        if data[1] & LINK_RESET:
            self.armed.add(card.bus)
        return OK, data

    def accept(self, card: Card, function: int, method: str, data: list[int]) -> tuple[int, list[int]]:
        """Accept a register that has no effect: MCAM (the card has no optional feature) and PCNR."""
        return OK, data


REGISTERS = {
    0x9020: ("MGIR", Firmware.mgir),
    0x9024: ("NVDA", Firmware.nvda),
    0x9025: ("NVDI", Firmware.nvdi),
    0x9028: ("MFRL", Firmware.mfrl),
    0x9030: ("NVQC", Firmware.nvqc),
    0x9033: ("NVIA", Firmware.nvia),
    0x9034: ("NVQGC", Firmware.nvqgc),
    0x9064: ("MQIS", Firmware.mqis),
    0x907F: ("MCAM", Firmware.accept),
    0x5050: ("PCNR", Firmware.accept),
}
