# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cause and fix of a write to sriov_numvfs that the kernel refused.

The errors are those of sriov_numvfs_store() in drivers/pci/iov.c, and of the drivers' own sriov_configure.
"""

from __future__ import annotations

import errno
import os

from ..bios.vendors import set_in_bios
from .host import HOST
from .sysfs import device_path, read_int

INTEL = "8086"
# Cause and fix of a refused write that creates VFs on a PF without VFs, by driver if its source gives the errno its own
# meaning: i40e_pci_sriov_enable(), ixgbe_pci_sriov_enable(), igb_enable_sriov(), ice_check_sriov_allowed() and
# ice_set_per_vf_res().
DRIVER_ADVICE = {
    (
        "i40e",
        errno.EPERM,
    ): "the port lacks the queues and interrupts for so many VFs, or is running its self-test: lower numvfs",
    (
        "ixgbe",
        errno.EPERM,
    ): "traffic classes (DCB) or macvlan offload of the port use the queues that so many VFs need: turn them off, "
    "or lower numvfs",
    ("igb", errno.EPERM): "driver igb creates no VFs without MSI-X interrupts: remove pci=nomsi from the kernel line",
    ("ice", errno.EBUSY): "driver ice is not ready, for example during a reset: run the role again",
    (
        "ice",
        errno.EOPNOTSUPP,
    ): "driver ice has found no DDP package and runs in safe mode, or supports fewer VFs than that: install the "
    "package that contains intel/ice/ddp/ice.pkg (linux-firmware, or Debian's non-free firmware) and reload ice, "
    "or lower numvfs",
}
WRITE_ADVICE = {
    errno.ENOENT: "the driver %(driver)s cannot create VFs through sysfs: use a driver, or driver settings, that can",
    errno.ENOSYS: "the driver %(driver)s does not take the number of VFs through sysfs (ConnectX-3 takes it as a module option)",
    errno.ERANGE: "the device supports fewer VFs than that: lower numvfs",
    errno.EBUSY: "driver %(driver)s is busy with the device (a reset, a change of its eswitch mode, another program that sets VFs): "
    "stop that, then run the role again",
    errno.EAGAIN: "another operation of driver %(driver)s is in progress and did not end during the retries: run the role again",
    errno.ENOMEM: "%(room)s",
    errno.ENOSPC: "the card has run out of MSI-X vectors or other resources for VFs: lower numvfs%(irdma)s",
    errno.EPERM: "driver %(driver)s does not allow so many VFs with the current setup of the port: lower numvfs",
    errno.EINVAL: "driver %(driver)s does not accept this number with the current setup of the port: lower numvfs",
    errno.EOPNOTSUPP: "driver %(driver)s supports no VFs with the current firmware or mode of the card: update the firmware, or "
    "change the mode",
    errno.EIO: "the device did not answer: power-cycle the host, and update the card's firmware if that does not help",
    errno.ETIMEDOUT: "the device did not answer its driver in time: power-cycle the host, and update the card's firmware if that "
    "does not help",
    errno.ENODEV: "the card, or its driver, went away meanwhile: check that the card is seated and its driver loaded, then run the "
    "role again",
    errno.EROFS: "/sys is read-only here: run the role on the host itself, not in a container",
    errno.EACCES: "not even root may write there: look for SELinux or a container that forbids it",
}
# The kernel's own number, without a name in any library: drivers return it instead of EOPNOTSUPP.
ENOTSUPP = 524
SAME_CAUSE = {ENOTSUPP: errno.EOPNOTSUPP, errno.EREMOTEIO: errno.EIO, errno.ENXIO: errno.ENODEV}
# The kernel keeps the existing VFs: i40e returns EINVAL, ice and be2net return EBUSY, the others EPERM.
IN_USE = (errno.EBUSY, errno.EPERM, errno.EINVAL)
# Causes that also apply to a write of 0: the others apply only to the creation of VFs.
OF_REMOVAL = (
    errno.ENOENT,
    errno.ENOSYS,
    errno.EAGAIN,
    errno.EIO,
    errno.ETIMEDOUT,
    errno.ENODEV,
    errno.EROFS,
    errno.EACCES,
)
NO_CAUSE = "driver %(driver)s gives no known cause"


def write_advice(number: int, function: dict, count: int, vfs: int) -> str:
    """Cause and fix of a refused write to sriov_numvfs, as far as known.

    number: the errno. function: see read_function(). count: the written number. vfs: the current number of VFs.
    """
    number = SAME_CAUSE.get(number, number)
    if vfs and number in IN_USE and not count:
        return "a guest has one of its VFs: shut the guest down or detach the VF, then run the role again"
    if vfs and number == errno.EBUSY:
        return "another program has created VFs on it meanwhile: stop or disable that program, then run the role again"
    if not count and number not in OF_REMOVAL:
        return NO_CAUSE % {"driver": function["driver"]}
    irdma = function["id"].startswith(INTEL + ":") and os.path.isdir(os.path.join(HOST.sys, "module/irdma"))
    advice = DRIVER_ADVICE.get((function["driver"], number)) or WRITE_ADVICE.get(number, NO_CAUSE)
    return advice % {
        "driver": function["driver"],
        "irdma": ", or detach irdma from the port" if irdma else "",
        "room": no_room(function["address"], count) if number == errno.ENOMEM else "",
    }


def no_room(address: str, count: int) -> str:
    """What sriov_enable() of the kernel had no room for, bus numbers or memory, and the fix.

    The kernel refuses a last VF on a bus that the bridge above the card does not forward (pci_iov_virtfn_bus()).
    """
    offset, stride = [read_int(device_path(address, "sriov_" + name)) for name in ("offset", "stride")]
    # The directory above that of a function is its bridge, or the root of its buses, which has no such attribute.
    bridge = os.path.dirname(os.path.realpath(device_path(address)))
    end = read_int(os.path.join(bridge, "subordinate_bus_number"))
    bus, slot = address.split(":")[1:]
    device, function = slot.split(".")
    if None not in (offset, stride, end):
        last = int(bus, 16) + ((int(device, 16) << 3) + int(function) + offset + stride * (count - 1) >> 8)
        if last > end:
            return (
                f"no bus number for the VFs (the last one needs bus {last:02x}, and the bridge above the card ends with bus "
                f"{end:02x}): {set_in_bios('sriov')}, {set_in_bios('ari')}, or boot with pci=assign-busses"
            )
    return f"no address space for the VFs: {set_in_bios('sriov')}, {set_in_bios('mmio')}, or boot with pci=realloc"
