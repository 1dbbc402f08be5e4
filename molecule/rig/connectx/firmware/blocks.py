"""A card's configuration: blocks of words, and the parameters in them.

mstflint calls a block a TLV. Its type word has the kind in bits 31..24 (class 0 global, 1 of a port, 3 of a function,
6 a file, 7 of a host) and the number below. The firmware stores words and does not know parameters: the tool has their
names, limits and dependencies in its database mlxconfig_host.db. The places of the few parameters that the rig needs
are listed below, copied from that database.
"""

from __future__ import annotations

GLOBAL, PORT, FUNCTION, FILE, HOST = 0, 1, 3, 6, 7
# The bits of the type word that are the block's number. The others are the number of the port, function or host.
NUMBER_MASKS = {GLOBAL: 0xFFFFFF, FILE: 0xFFFFFF, PORT: 0xFFFF, FUNCTION: 0x3FF, HOST: 0x3FFFF}

PCI, PCI_LIMITS, FUNCTION_PCI, LINK_TYPE = (GLOBAL, 0x80), (GLOBAL, 0x81), (FUNCTION, 0x80), (PORT, 0x12)


class Block:
    """One block: its default words, the version that the firmware reports, and whether it can be written."""

    def __init__(self, default: list[int], version: int = 0, writable: bool = True) -> None:
        self.default, self.version, self.writable = default, version, writable


class Field:
    """The place of a parameter: block, word, lowest bit, width; the bit of word 0 that marks it as set; its port."""

    def __init__(
        self, block: tuple[int, int], word: int, low: int, width: int, valid: int | None = None, port: int = 0
    ) -> None:
        self.block, self.word, self.low, self.width, self.valid, self.port = block, word, low, width, valid, port

    def read(self, words: list[int]) -> int:
        """Take the value out of a block's words."""
        return words[self.word] >> self.low & (1 << self.width) - 1

    def put(self, words: list[int], value: int) -> None:
        """Put a value into a block's words, as the tool does."""
        mask = (1 << self.width) - 1
        if not 0 <= value <= mask:
            raise ValueError(f"{value} does not fit into {self.width} bits")
        words[self.word] = words[self.word] & ~(mask << self.low) | value << self.low
        if self.valid is not None:
            words[0] |= 1 << self.valid


FIELDS = {
    "SRIOV_EN": Field(PCI, 1, 31, 1, valid=31),
    "NUM_OF_VFS": Field(PCI, 1, 0, 16, valid=31),
    "PF_NUM_OF_VF_VALID": Field(PCI, 0, 14, 1),
    "PF_NUM_OF_VF": Field(FUNCTION_PCI, 2, 0, 16, valid=22),
    "LINK_TYPE_P1": Field(LINK_TYPE, 0, 2, 2, port=1),
    "LINK_TYPE_P2": Field(LINK_TYPE, 0, 2, 2, port=2),
}

ETH = 2


def limits(vfs: int) -> list[int]:
    """Return the block with the limits of a card: SR-IOV, at most `vfs` VFs a port, a number for each port."""
    words = [0] * 5
    for bit in (31, 28, 27, 26, 11):  # max_vfs_per_pf_valid, num_pfs, num_vf_msix, num_pf_msix, per_pf_total_vf
        words[0] |= 1 << bit
    words[1] = 1 << 31 | 4 << 16 | vfs  # sriov_support, max_num_pfs, max_vfs_per_pf
    words[2] = 63 << 22 | 63 << 12 | 10 << 6 | 10  # limits of MSI-X vectors and of the BARs of functions
    return words


def basic(vfs: int) -> dict[tuple[int, int], Block]:
    """Return the small table: SR-IOV, and the kind of each port. Its query costs an emulated guest the least time."""
    return {
        PCI: Block([0, 0, 0]),
        PCI_LIMITS: Block(limits(vfs), writable=False),
        FUNCTION_PCI: Block([0, 0, 0, 0]),
        LINK_TYPE: Block([ETH << 2]),
    }
