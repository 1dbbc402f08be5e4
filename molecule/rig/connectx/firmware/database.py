"""The full table: some hundred parameters of a ConnectX-5, placed by the tools' own database.

The defaults are from a public transcript of a ConnectX-5. The places and dependencies of the parameters are from
mlxconfig_host.db of the tool that sends the command, so each release gets the parameters that it knows.
"""

from __future__ import annotations

import re
import sqlite3

from blocks import Block

FULL: dict[str, int | list[int]] = {
    "MEMIC_BAR_SIZE": 0, "MEMIC_SIZE_LIMIT": 1, "HOST_CHAINING_MODE": 0, "HOST_CHAINING_DESCRIPTORS": [7] * 8,
    "HOST_CHAINING_TOTAL_BUFFER_SIZE": [0x13] * 8, "FLEX_PARSER_PROFILE_ENABLE": 0, "FLEX_IPV4_OVER_VXLAN_PORT": 0,
    "ROCE_NEXT_PROTOCOL": 254, "ESWITCH_HAIRPIN_DESCRIPTORS": [7] * 8, "ESWITCH_HAIRPIN_TOT_BUFFER_SIZE": [0x13] * 8,
    "CQE_COMPRESSION": 0, "IP_OVER_VXLAN_EN": 0, "MKEY_BY_NAME": 0, "UCTX_EN": 1, "PCI_ATOMIC_MODE": 0,
    "TUNNEL_ECN_COPY_DISABLE": 0, "LRO_LOG_TIMEOUT0": 6, "LRO_LOG_TIMEOUT1": 7, "LRO_LOG_TIMEOUT2": 8,
    "LRO_LOG_TIMEOUT3": 13, "LOG_DCR_HASH_TABLE_SIZE": 11, "MAX_PACKET_LIFETIME": 0, "DCR_LIFO_SIZE": 16384,
    "ROCE_CC_PRIO_MASK": 255, "CLAMP_TGT_RATE_AFTER_TIME_INC": 1, "CLAMP_TGT_RATE": 0, "RPG_TIME_RESET": 300,
    "RPG_BYTE_RESET": 32767, "CNP_DSCP": 48, "LLDP_NB_DCBX": 0, "LLDP_NB_RX_MODE": 0, "DCBX_IEEE": 1, "DCBX_CEE": 1,
    "DCBX_WILLING": 1, "KEEP_ETH_LINK_UP": 1, "KEEP_IB_LINK_UP": 0, "KEEP_LINK_UP_ON_BOOT": 0, "NUM_OF_VL": 3,
    "NUM_OF_TC": 0, "NUM_OF_PFC": 8, "VL15_BUFFER_SIZE": 0, "DUP_MAC_ACTION": 0, "SRIOV_IB_ROUTING_MODE": 1,
    "ROCE_CONTROL": 2, "PCI_WR_ORDERING": 0, "MULTI_PORT_VHCA_EN": 0, "PORT_OWNER": 1, "ALLOW_RD_COUNTERS": 1,
    "RENEG_ON_CHANGE": 1, "TRACER_ENABLE": 1, "IP_VER": 0, "UEFI_HII_EN": 1, "LEGACY_BOOT_PROTOCOL": 1, "BOOT_VLAN": 1,
    "EXP_ROM_PXE_ENABLE": 1, "EXP_ROM_UEFI_x86_ENABLE": 0, "ADVANCED_PCI_SETTINGS": 0, "SAFE_MODE_THRESHOLD": 10,
    "SAFE_MODE_ENABLE": 1,
}  # fmt: skip
# A BlueField as it is when new: in DPU mode, in which its own processor owns the card.
BLUEFIELD: dict[str, int | list[int]] = {
    "INTERNAL_CPU_MODEL": 1, "INTERNAL_CPU_PAGE_SUPPLIER": 0, "INTERNAL_CPU_ESWITCH_MANAGER": 0,
    "INTERNAL_CPU_IB_VPORT0": 0, "INTERNAL_CPU_OFFLOAD_ENGINE": 0,
}  # fmt: skip

Blocks = dict[tuple[int, int], Block]


def place(words: list[int], offset: str, size: str, value: int) -> None:
    """Put a value where a row of the database says: 0xBYTES.BITS, counted from the lowest bit of a word."""
    at, bit = offset.split(".")
    length, bits = size.split(".")
    first = int(at, 16) * 8 + int(bit)
    word, low = divmod(first, 32)
    mask = (1 << int(length, 16) * 8 + int(bits)) - 1
    words[word] = words[word] & ~(mask << low) & 0xFFFFFFFF | (value & mask) << low


class Database:
    """The tools' database."""

    def __init__(self, path: str) -> None:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        self.params = connection.execute("select * from params").fetchall()
        self.tlvs = {row["name"]: row for row in connection.execute("select * from tlvs")}
        connection.close()
        self.by_name = {(row["tlv_name"], row["name"]): row for row in self.params}

    def block(self, name: str, known: Blocks) -> Block | None:
        """Return the block of a name; a new one is added to the known blocks."""
        row = self.tlvs.get(name)
        if not row:
            return None
        key = (int(row["class"]), int(row["id"]))
        if key not in known:
            writable = not int(row["cap"] or 0)
            known[key] = Block([0] * (int(row["size"]) // 4), int(row["version"] or 0), writable)
        return known[key]

    def put(self, target: Block, tlv: str, name: str, value: int) -> None:
        """Put a default into a block."""
        row = self.by_name[tlv, name]
        place(target.default, row["offset"], row["size"], value)

    def add(self, wanted: dict[str, int | list[int]], known: Blocks) -> None:
        """Add the blocks of the wanted parameters, and of their dependencies, to the known blocks."""
        for row in self.params:
            target = self.block(row["tlv_name"], known) if row["mlxconfig_name"] in wanted else None
            if not target:
                continue
            value = wanted[row["mlxconfig_name"]]
            # An array's elements stay 0: the table shows Array[0..7] for all values.
            if isinstance(value, int):
                self.put(target, row["tlv_name"], row["name"], value)
            if row["valid_bit"]:
                self.put(target, row["tlv_name"], row["valid_bit"], 1)
            for tlv, name in re.findall(r"\$(\w+)\.(\w+)", row["dependency"] or ""):
                capability = self.block(tlv, known)
                if capability and not capability.writable and (tlv, name) in self.by_name:
                    self.put(capability, tlv, name, 1)
