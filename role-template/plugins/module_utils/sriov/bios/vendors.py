# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each maker's BIOS names the settings that VFs need, and whose machine this is.

The settings and values are those of the makers' own BIOS registries (Redfish): Dell R750, HPE DL385 Gen10 Plus v2,
Lenovo SR670 V2, Supermicro X13. Not from a registry: the names for Dell's and Lenovo's AMD machines and for HPE's Intel
machines, Dell's and Lenovo's menus of a network card, and the first part of Dell's and Lenovo's menus.
"""

from __future__ import annotations

import os
import re

from ..program.host import HOST
from ..program.sysfs import read_text

# By the first word of sys_vendor or board_vendor in the DMI data, in small letters.
MAKERS = {
    "dell": "Dell",
    "hp": "HPE",
    "hpe": "HPE",
    "hewlett": "HPE",
    "lenovo": "Lenovo",
    "supermicro": "Supermicro",
}
# By maker, then by feature, and by the processor where the names differ: (setting, value, menu).
MENUS = {
    "Dell": {
        "virtualization": ("Virtualization Technology", "Enabled", "System BIOS > Processor Settings"),
        # VT-x and VT-d in one: "can use the additional hardware capabilities ... through the DMAR table".
        "iommu intel": ("Virtualization Technology", "Enabled", "System BIOS > Processor Settings"),
        "iommu amd": ("IOMMU Support", "Enabled", "System BIOS > Processor Settings"),
        "sriov": ("SR-IOV Global Enable", "Enabled", "System BIOS > Integrated Devices"),
        "mmio": ("Memory Mapped I/O above 4GB", "Enabled", "System BIOS > Integrated Devices"),
        "nic": ("Virtualization Mode", "SR-IOV", "Device Settings > the port > Device Level Configuration"),
    },
    "HPE": {
        "virtualization intel": ("Intel(R) Virtualization Technology (Intel VT)", "Enabled", "Virtualization Options"),
        "iommu intel": ("Intel(R) VT-d", "Enabled", "Virtualization Options"),
        "iommu amd": ("AMD I/O Virtualization Technology", "Enabled", "Virtualization Options"),
        "sriov": ("SR-IOV", "Enabled", "Virtualization Options"),
        # There is no switch for addresses above 4 GiB. With High, cards get room for their VFs.
        "mmio": ("PCIe Resource Padding", "High", "PCIe Device Configuration > Advanced PCIe Configuration"),
    },
    "Lenovo": {
        "virtualization intel": ("Intel Virtualization Technology", "Enabled", "System Settings > Processors"),
        "virtualization amd": ("SVM Mode", "Enabled", "System Settings > Processors"),
        "iommu intel": (
            "Intel VT for Directed I/O (VT-d)",
            "Enabled",
            "System Settings > Devices and I/O Ports",
        ),
        "iommu amd": ("IOMMU", "Enabled", "System Settings > Devices and I/O Ports"),
        "sriov": ("SRIOV", "Enabled", "System Settings > Devices and I/O Ports"),
        "mmio": ("PCI 64-Bit Resource Allocation", "Enabled", "System Settings > Devices and I/O Ports"),
        "nic": ("Virtualization Mode", "SR_IOV", "System Settings > Network > the card > Device Level Configuration"),
    },
    "Supermicro": {
        "virtualization intel": ("Intel Virtualization Technology", "Enable", "Advanced > CPU Configuration"),
        "iommu intel": (
            "Intel VT for Directed I/O (VT-d)",
            "Enable",
            "Advanced > Chipset Configuration > North Bridge > IIO Configuration",
        ),
        "sriov": ("SR-IOV Support", "Enabled", "Advanced > PCIe/PCI/PnP Configuration"),
        "mmio": ("Above 4G Decoding", "Enabled", "Advanced > PCIe/PCI/PnP Configuration"),
        "ari": ("ARI Support", "Enabled", "Advanced > PCIe/PCI/PnP Configuration"),
    },
}
# For other makers, and for what a maker's menu is not known to have.
ANY_MAKER = {
    "virtualization intel": "turn VT-x on in the BIOS (also called Intel Virtualization Technology)",
    "virtualization amd": "turn SVM on in the BIOS (also called SVM Mode or AMD-V)",
    "iommu intel": "turn VT-d on in the BIOS (also called Intel VT for Directed I/O)",
    "iommu amd": "turn the IOMMU on in the BIOS (also called AMD-Vi or AMD I/O Virtualization Technology)",
    "sriov": "turn SR-IOV on in the BIOS (also called Single Root I/O Virtualization)",
    "mmio": "turn 'Above 4G decoding' on in the BIOS",
    "ari": "turn 'ARI Support' on in the BIOS, if it has that",
    "nic": "set Virtualization Mode to SR-IOV for this port, in the card's menu of the BIOS or with its maker's tool",
}


def maker() -> str | None:
    """The maker of this machine, a key of MENUS, from its DMI data; None for another one."""
    for name in ("sys_vendor", "board_vendor"):
        # An integrator's name hides the maker of the board, who wrote the BIOS.
        word = re.match(r"[a-z]*", read_text(os.path.join(HOST.sys, "class/dmi/id", name), "").lower())
        if word.group() in MAKERS:
            return MAKERS[word.group()]
    return None


def set_in_bios(feature: str, processor: str = "") -> str:
    """The advice to turn a feature on, with the setting, its value and its menu as this machine's maker names them.

    feature: virtualization and iommu, which need the processor (intel or amd); sriov (of the whole machine), nic (of
    one card), mmio (room for VFs) and ari (fewer bus numbers for VFs).
    """
    key = f"{feature} {processor}".rstrip()
    whose = maker()
    menus = MENUS.get(whose, {})
    entry = menus.get(key) or menus.get(feature)
    if entry is None:
        return ANY_MAKER[key]
    setting, value, menu = entry
    return f"set {setting} to {value} in {menu} ({whose})"
