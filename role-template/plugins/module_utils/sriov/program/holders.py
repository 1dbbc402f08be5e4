# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What uses VFs, so that they must not be destroyed: drivers for guests and programs, open device nodes, interfaces in
use.
"""

from __future__ import annotations

import os
import re

from .host import HOST
from .sysfs import NETWORK_CLASS, device_path, link_name, list_names, read_int, read_text, vf_addresses

# Kernels before 6.1 show no vfio-dev. If vfio_pci_core is built in, the kernel shows no module that uses it.
USERSPACE_DRIVERS = ("vfio-pci", "mlx5_vfio_pci", "uio_pci_generic", "igb_uio")
# Devices that the kernel makes of a VF for other users, by subsystem, with any device name.
CARRIED = {"vdpa": "VF %s carries a vdpa device", "mdev": "VF %s carries a mediated device"}
# Directories that contain no devices, but often many entries.
NOT_DEVICES = ("queues", "statistics", "msi_irqs", "power")
HOLDERS_SHOWN = 3


def userspace_driver(address: str) -> str | None:
    """The driver of a function if it passes the function to a program or a guest, by the kernel's data; else None.

    vfio: the device has a vfio-dev (drivers/vfio/vfio_main.c, from 6.1 on), the driver's module uses vfio_pci_core
    (from 5.15 on), or the group is a vfio group and there is no network interface. uio: the device has a uio
    (Documentation/ABI/testing/sysfs-bus-pci).
    """
    driver = link_name(device_path(address, "driver"))
    if driver is None:
        return None
    module = link_name(os.path.join(HOST.sys, "bus/pci/drivers", driver, "module"))
    group = link_name(device_path(address, "iommu_group"))
    held = (
        driver in USERSPACE_DRIVERS
        or list_names(device_path(address, "vfio-dev"))
        or list_names(device_path(address, "uio"))
        or module
        and os.path.exists(os.path.join(HOST.sys, "module/vfio_pci_core/holders", module))
        or group
        and os.path.exists(os.path.join(HOST.sys, "class/vfio", group))
        and not os.path.isdir(device_path(address, "net"))
    )
    return driver if held else None


def devices_below(address):
    """The devices that the kernel has made of a PCI function, at any depth: [(subsystem, path)]."""
    found, base = [], os.path.realpath(device_path(address))
    for directory, names, _files in os.walk(base):
        subsystem = link_name(os.path.join(directory, "subsystem"))
        if directory != base and subsystem:
            found.append((subsystem, directory))
        names[:] = sorted(set(names) - set(NOT_DEVICES))
    return found


def nodes_of(address, below):
    """The device nodes through which a program can use a function: their paths, and their numbers as "major:minor".

    below: see devices_below().
    """
    paths = [path for _subsystem, path in below]
    nodes = set()
    group = link_name(device_path(address, "iommu_group"))
    if group:
        nodes.update(("/dev/vfio/" + group, "/dev/vfio/noiommu-" + group))
        paths += [os.path.join(HOST.sys, "class/vfio", group), os.path.join(HOST.sys, "class/vfio", "noiommu-" + group)]
    for path in paths:
        match = re.search(r"^DEVNAME=(.+)$", read_text(os.path.join(path, "uevent"), ""), re.MULTILINE)
        nodes.update({"/dev/" + match.group(1)} if match else (), {read_text(os.path.join(path, "dev"))} - {None})
    return nodes


def device_users():
    """The processes that have device nodes open: {path or "major:minor": ["name (pid N)", ...]}."""
    users = {}
    for pid in list_names(HOST.proc):
        if not pid.isdigit():
            continue
        nodes = set()
        for descriptor in list_names(os.path.join(HOST.proc, pid, "fd")):
            path = os.path.join(HOST.proc, pid, "fd", descriptor)
            try:
                target = os.readlink(path)
                # Only of these: a stat of a file on a dead NFS server would hang.
                if target.startswith("/dev/"):
                    nodes.add(target)
                    number = os.stat(path).st_rdev
                    nodes.add(f"{os.major(number)}:{os.minor(number)}")
            except OSError:
                continue
        # A process chooses its own name: make it safe for every place that shows the message.
        name = re.sub(r"[^\w./:-]", "?", read_text(os.path.join(HOST.proc, pid, "comm"), "?")) if nodes else ""
        for node in nodes:
            users.setdefault(node, []).append(f"{name} (pid {pid})")
    return users


def vf_holder(address, users, below, nodes):
    """Why a VF must not be destroyed now, in words; None when it is idle.

    users: see device_users(); below, nodes: see devices_below() and nodes_of().
    """
    driver = link_name(device_path(address, "driver"))
    if driver is None:
        return None
    names = sorted({name for node in nodes for name in users.get(node, [])})
    if userspace_driver(address):
        return f"VF {address} is bound to {driver}{', used by ' + ', '.join(names) if names else ''}"
    for subsystem, path in below:
        if subsystem in CARRIED:
            return CARRIED[subsystem] % address
        if subsystem == "auxiliary" and os.path.exists(os.path.join(path, "sfnum")):
            return f"VF {address} carries a sub-function"
    if names:
        return f"VF {address} is held open by {', '.join(names)}"
    netdevs = list_names(device_path(address, "net"))
    if not netdevs:
        if os.path.isdir(device_path(address, "net")):
            # sysfs shows only the interfaces of the reader's own network namespace, but their directory in every
            # namespace.
            return f"VF {address} has its interface in another network namespace"
        if (read_int(device_path(address, "class")) or 0) >> 16 != NETWORK_CLASS:
            return f"VF {address} is bound to {driver} and is not a NIC: it is not known whether it is idle"
        return (
            f"VF {address} is bound to {driver}, which shows no network interface: it is not known whether it is idle"
        )
    return next(filter(None, (netdev_use(address, netdev) for netdev in netdevs)), None)


def netdev_use(address, netdev):
    """Like vf_holder(), for one network interface of the VF."""
    base = os.path.join(HOST.sys, "class/net", netdev)
    master = link_name(os.path.join(base, "master"))
    if master:
        return f"VF {address} ({netdev}) belongs to {master}"
    uppers = [name[6:] for name in list_names(base) if name.startswith("upper_")]
    if uppers:
        return f"VF {address} ({netdev}) carries {', '.join(uppers)}"
    if (read_int(os.path.join(base, "flags")) or 0) & 1:
        return f"VF {address} ({netdev}) is up"
    return None


def holder_of_each(pf_address: str) -> dict[str, str | None]:
    """What uses each VF of a PF, by the address of the VF in the order of their numbers: see vf_holder()."""
    addresses = [address for address in vf_addresses(pf_address) if address]
    # A VF has many directories: walk them once.
    below = {address: devices_below(address) for address in addresses}
    nodes = {address: nodes_of(address, below[address]) for address in addresses}
    # Walked once for all VFs, and only if there is a node that can be open: a hypervisor has many processes with many
    # files.
    users = device_users() if any(nodes.values()) else {}
    return {address: vf_holder(address, users, below[address], nodes[address]) for address in addresses}


def vf_holders(pf_address: str) -> list[str]:
    """What uses the VFs of a PF: a text for each of the first VFs in use, and the number of further ones."""
    holders = [holder for holder in holder_of_each(pf_address).values() if holder]
    more = len(holders) - HOLDERS_SHOWN
    return holders if more <= 0 else holders[:HOLDERS_SHOWN] + [f"and {more} more of its VFs are in use"]
