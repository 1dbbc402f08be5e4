# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a function has no VFs, or no driver: cause and fix in words."""

from __future__ import annotations

import os
import re

from ..bios.vendors import set_in_bios
from .host import HOST
from .programs import find_program
from .sysfs import NETWORK_CLASS, describe, device_path, read_function, read_int, read_pfs, read_text

MELLANOX = "15b3"
# Drivers of cards that support SR-IOV, although the BIOS or the card's own setup may hide it: those with
# sriov_configure in Linux 6.12.
SRIOV_DRIVERS = (
    "LiquidIO",
    "be2net",
    "bnx2x",
    "bnxt_en",
    "cxgb4",
    "fm10k",
    "hinic",
    "hns3",
    "i40e",
    "ice",
    "idpf",
    "ionic",
    "ixgbe",
    "mlx5_core",
    "nfp",
    "qede",
    "qlcnic",
    "rvu_nicpf",
    "sfc",
)
# igb drives many cards, but only the 82576 and the I350 support SR-IOV (igb_probe_vfs).
IGB_IDS = re.compile(r"^8086:(10c9|10e[678]|150[ad]|1518|1526|152[1-4]|1546)$")


def total_in_config(address):
    """TotalVFs of the SR-IOV capability in a function's PCI configuration space; None without one, -1 if it cannot be
    read.

    PCI Express Base Specification, "SR-IOV Extended Capability" (id 0010h); only root may read further than 64 bytes.
    """
    try:
        with open(device_path(address, "config"), "rb") as stream:
            config = stream.read(4096)
    except OSError:
        return -1
    offset, seen = 0x100, set()
    if len(config) <= offset:
        # 256 bytes: a conventional PCI function, which has no extended capabilities.
        return None if len(config) == offset else -1
    while offset >= 0x100 and offset not in seen and offset + 16 <= len(config):
        seen.add(offset)
        header = int.from_bytes(config[offset : offset + 4], "little")
        if header & 0xFFFF == 0x0010:
            return int.from_bytes(config[offset + 14 : offset + 16], "little")
        offset = header >> 20 & ~3
    return None


def is_virtual_machine():
    """Whether this kernel runs in a virtual machine; not Xen's control domain, which has the hardware."""
    if "control_d" in read_text(HOST.proc + "/xen/capabilities", ""):
        return False
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", read_text(HOST.proc + "/cpuinfo", ""), re.MULTILINE)
    maker = read_text(os.path.join(HOST.sys, "class/dmi/id/sys_vendor"), "")
    return bool(flags) or maker in ("QEMU", "KVM", "VMware, Inc.", "innotek GmbH", "Amazon EC2", "OpenStack Foundation")


def why_no_vfs(function: dict) -> str:
    """Why a function offers no VFs at all, as advice, from its configuration space and the kernel's data.

    function: see read_function().
    """
    if function["id"].startswith(MELLANOX + ":"):
        return (
            "enable SR-IOV in the card's firmware (SRIOV_EN, NUM_OF_VFS; the role does this with sriov_action all), then "
            f"reboot; if it is enabled already, power-cycle the host, or {set_in_bios('sriov')}"
        )
    total = total_in_config(function["address"])
    if (read_int(device_path(function["address"], "class")) or NETWORK_CLASS << 16) >> 16 != NETWORK_CLASS:
        return "it is not a NIC: name a NIC"
    if function["totalvfs"] is None and (total or 0) > 0:
        if read_pfs():
            return "it supports SR-IOV, but the kernel could not set it up: look for its address in the kernel log, and update the BIOS"
        return "it supports SR-IOV, but this kernel does not: boot a kernel with CONFIG_PCI_IOV"
    if function["totalvfs"] is None and (total is None or total < 0):
        if is_virtual_machine():
            return (
                "it is a NIC of this virtual machine without SR-IOV: name another NIC, or have the hypervisor pass one with SR-IOV "
                "through"
            )
        if not has_sriov_driver(function):
            return "the card does not support SR-IOV: name another NIC"
        return (
            f"the card shows no SR-IOV: if the model supports it, {set_in_bios('nic')}, and {set_in_bios('sriov')}, then reboot; "
            "otherwise name another NIC"
        )
    return f"{set_in_bios('sriov')}, then reboot"


def has_sriov_driver(function: dict) -> bool:
    """Whether the driver of a function is one of cards with SR-IOV, so that something may hide it."""
    return function["driver"] in SRIOV_DRIVERS or bool(IGB_IDS.match(function["id"]))


def why_no_pf() -> str:
    """Why a host has no PF at all, as advice."""
    if is_virtual_machine():
        return (
            "it is a virtual machine, and its hypervisor passes no PF through: pass one through, or leave this host out"
        )
    return f"if its NIC supports SR-IOV, {set_in_bios('sriov')}, or enable it in the card's firmware"


def a_vf(function: dict) -> str:
    """The sentence for a VF that is named instead of a PF."""
    return f"{describe(function)} is a VF of {describe(read_function(function['physfn']) or {'address': function['physfn']})}: name the PF"


def modules_for(address):
    """The kernel modules on this host for a PCI function, by its modalias; None if they cannot be found."""
    import subprocess

    modalias, modprobe = read_text(device_path(address, "modalias")), find_program("modprobe")
    if not modalias or not modprobe:
        return None
    try:
        done = subprocess.run(
            [modprobe, "--resolve-alias", modalias],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return sorted(set(done.stdout.decode("ascii", "replace").split()))


def why_no_driver(address: str) -> str:
    """Cause and fix of a PF without a driver."""
    modules = modules_for(address)
    if modules is None:
        return "load the NIC's kernel module and look at the kernel log"
    if not modules:
        return (
            "this host has no kernel module for it: install the driver, or the kernel package with additional modules"
        )
    loaded = [module for module in modules if os.path.isdir(os.path.join(HOST.sys, "module", module))]
    if loaded:
        return (
            f"its kernel module {', '.join(loaded)} is loaded but not bound to it: look for the PF's address in the "
            "kernel log"
        )
    return (
        f"load its kernel module (modprobe {' or '.join(modules)}), and find out what prevents it from being loaded at "
        "boot"
    )
