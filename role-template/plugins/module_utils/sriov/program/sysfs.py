# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's tree of PCI functions and network interfaces, as sysfs shows it.

All functions use PCI addresses, never names of interfaces. Kernel interface: Documentation/ABI/testing/sysfs-bus-pci.
"""

from __future__ import annotations

import os
import re

from .host import HOST

PCI_ADDRESS = re.compile(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")
# Network controllers of every kind, Ethernet and InfiniBand (PCI Code and ID Assignment Specification, base class 02h).
NETWORK_CLASS = 0x02
# Port names of switchdev representors: VFs and sub-functions, with or without a controller prefix.
REPRESENTOR = re.compile(r"^(c\d+)?pf\d+(vf|sf)\d+$")


def read_text(path: str, default: str | None = None) -> str | None:
    """The stripped text of a file, or `default` when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return default


def read_file(path: str) -> str | None:
    """The text of a file as it is, every byte of it, or None if it does not exist. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def read_int(path: str) -> int | None:
    """The integer in a sysfs attribute, or None when it is absent or unreadable."""
    text = read_text(path)
    try:
        return int(text, 0) if text is not None else None
    except ValueError:
        return None


def write_attribute(path: str, text: str) -> None:
    """Write an attribute of sysfs in one call, as the kernel wants it. Raises OSError; only open() names the file."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def boot_id() -> str:
    """The kernel's id of this boot: it changes with every boot and with nothing else (random(4))."""
    return read_text(HOST.boot_id, "")


def device_path(address: str, *parts: str) -> str:
    """The sysfs path of a PCI device, or of an attribute of it."""
    return os.path.join(HOST.sys, "bus/pci/devices", address, *parts)


def link_name(path: str) -> str | None:
    """The last part of what a symlink points to, or None when there is no such link."""
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def list_names(path: str) -> list[str]:
    """The sorted names in a directory; none when it is absent."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def is_representor(netdev):
    """Whether a network interface stands for a VF or sub-function of a PF in switchdev mode."""
    port = read_text(os.path.join(HOST.sys, "class/net", netdev, "phys_port_name"), "")
    return bool(REPRESENTOR.match(port))


def pci_of_netdev(netdev: str) -> str | None:
    """The address of the PCI device under a network interface, or None for a virtual interface."""
    path = os.path.realpath(os.path.join(HOST.sys, "class/net", netdev, "device"))
    for part in reversed(path.split("/")):
        if PCI_ADDRESS.match(part):
            return part
    return None


def read_function(address: str) -> dict | None:
    """The kernel's data about a PCI function.

    Returns a dict: address, id ("vendor:product"), driver (str or None), netdevs (names, without representors),
    totalvfs and numvfs (int; None when the function has no SR-IOV capability), physfn (address of the PF when this is
    a VF). None when there is no such function.
    """
    if not os.path.isdir(device_path(address)):
        return None
    hexadecimal = [(read_text(device_path(address, name), "0x0000")).replace("0x", "") for name in ("vendor", "device")]
    return {
        "address": address,
        "id": ":".join(hexadecimal),
        "driver": link_name(device_path(address, "driver")),
        "netdevs": [name for name in list_names(device_path(address, "net")) if not is_representor(name)],
        "totalvfs": read_int(device_path(address, "sriov_totalvfs")),
        # Counted, not read: a read of sriov_numvfs waits for a write that hangs (device_lock in sriov_numvfs_show).
        "numvfs": len(vf_addresses(address)) if os.path.exists(device_path(address, "sriov_numvfs")) else None,
        "physfn": link_name(device_path(address, "physfn")),
    }


def read_pfs() -> list[dict]:
    """Every PCI function of this host that has an SR-IOV capability, by address."""
    found = [
        read_function(address)
        for address in list_names(os.path.join(HOST.sys, "bus/pci/devices"))
        if os.path.exists(device_path(address, "sriov_totalvfs"))
    ]
    return [function for function in found if function is not None]


def describe(function: dict) -> str:
    """A function in a few words: "ens1 (0000:01:00.0)", or its address alone when it has no interface."""
    names = ", ".join(function.get("netdevs") or [])
    return f"{names} ({function['address']})" if names else function["address"]


def vf_addresses(address: str) -> list[str | None]:
    """The addresses of a PF's VFs, in the order of their numbers."""
    names = [name for name in list_names(device_path(address)) if re.match(r"^virtfn\d+$", name)]
    return [link_name(device_path(address, name)) for name in sorted(names, key=lambda name: int(name[6:]))]


def is_there(address: str) -> bool:
    """Whether a PCI function is present and answers: a removed card reads as all ones until the kernel removes it."""
    try:
        with open(device_path(address, "config"), "rb", buffering=0) as stream:
            return stream.read(2) != b"\xff\xff"
    except OSError:
        return os.path.isdir(device_path(address))
