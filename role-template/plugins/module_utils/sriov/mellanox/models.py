# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Families of cards, as far as they differ for the role."""

from __future__ import annotations

from ..program.causes import MELLANOX
from .values import same

# Cards for which advice differs, by their PCI ids (mlx4_pci_table, mlx5_core_pci_table of the kernel's drivers).
CONNECTX3_IDS = ("15b3:1003", "15b3:1007")
BLUEFIELD_IDS = ("15b3:a2d2", "15b3:a2d6", "15b3:a2dc", "15b3:a2df")
# The type that the card shows, with the parameters that are all 1 in NIC mode: EXT_HOST_PF, and DISABLED for the
# engine (NVIDIA BlueField Modes of Operation, "NIC Mode for BlueField-2" and "for BlueField-3" in DOCA 2.2 to 2.9).
NIC_MODE = {
    "BlueField2": (
        "INTERNAL_CPU_PAGE_SUPPLIER",
        "INTERNAL_CPU_ESWITCH_MANAGER",
        "INTERNAL_CPU_IB_VPORT0",
        "INTERNAL_CPU_OFFLOAD_ENGINE",
    ),
    "BlueField3": ("INTERNAL_CPU_OFFLOAD_ENGINE",),
}


def family(identity: str) -> str | None:
    """The family whose advice fits a card: "ConnectX-3", "BlueField", "ConnectX" for any other NVIDIA card; None
    for an unknown vendor.

    identity: the PCI id of one of its functions, "vendor:product".
    """
    if identity in CONNECTX3_IDS:
        return "ConnectX-3"
    if identity in BLUEFIELD_IDS:
        return "BlueField"
    return "ConnectX" if identity.startswith(MELLANOX + ":") else None


def is_connectx(identity: str) -> bool:
    """Whether a card is a ConnectX, of which the host alone decides. identity: as of family()."""
    return identity.startswith(MELLANOX + ":10")


def why_not_of_the_host(table: dict) -> str | None:
    """Why the host does not control the VFs of a card, or will not, as a clause with advice for its model; None if it
    does.

    In DPU mode a BlueField's own processor owns the card. In NIC mode the host owns it. INTERNAL_CPU_MODEL is
    EMBEDDED_CPU(1) in both; with SEPARATED_HOST(0) the host has its own SR-IOV. table: from parse_query().
    """
    rows = table["parameters"]

    def shows(name, value, column):
        row = rows.get(name)
        return row is not None and same(value, row[column] or row["next"])

    names = NIC_MODE.get(table["type"], ("INTERNAL_CPU_OFFLOAD_ENGINE",))

    def in_dpu_mode(column):
        return shows("INTERNAL_CPU_MODEL", 1, column) and not all(shows(name, 1, column) for name in names)

    if not in_dpu_mode("current"):
        if not in_dpu_mode("next"):
            return None
        back = [name for name in names if shows(name, 1, "current") and not shows(name, 1, "next")]
        values = (
            " ".join(f"{name}=1" for name in back)
            if shows("INTERNAL_CPU_MODEL", 1, "current")
            else "INTERNAL_CPU_MODEL=0"
        )
        return (
            "is a BlueField that is set to DPU mode from its next power cycle on, where its own processor controls "
            f"the VFs: set that back ({values}), or set the VFs there"
        )
    start = "is a BlueField in DPU mode, where its own processor controls the VFs: "
    if shows("INTERNAL_CPU_MODEL", 0, "next"):
        return (
            start
            + "it is set to separated host mode, but does not run in it yet: power-cycle the host, then run the role again"
        )
    if table["type"] == "BlueField":
        return start + "set them there, or put it into separated host mode (INTERNAL_CPU_MODEL=0, then a power cycle)"
    absent = [name for name in names if name not in rows]
    if absent:
        return start + (
            f"set them there, or update its firmware, which has no NIC mode (it shows no {', '.join(absent)})"
        )
    wrong = [name for name in names if not shows(name, 1, "next")]
    if not wrong:
        return (
            start + "it is set to NIC mode, but does not run in it yet: power-cycle the host, then run the role again"
        )
    if any(rows[name]["read_only"] for name in wrong):
        return start + (
            "set them there; this host may not change the mode "
            f"({', '.join(name for name in wrong if rows[name]['read_only'])} is read-only): allow it with mlxprivhost "
            "on the ARM side of the card"
        )
    if table["type"] not in NIC_MODE:
        return start + (
            "set them there, or put it into NIC mode as NVIDIA describes it for this model "
            f"({table['type'] or 'of no name'})"
        )
    return (
        start
        + f"set them there, or put it into NIC mode ({' '.join(f'{name}=1' for name in wrong)}, then a power cycle)"
    )
