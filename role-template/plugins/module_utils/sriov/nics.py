# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NICs of a host that support SR-IOV, as they are: what the pages and tables for operators show."""

from __future__ import annotations

import os

from .mellanox.selection import cards_that_wait
from .program import causes, connection, holders, sysfs
from .program.host import HOST
from .selection.seen import every_nic

# What stands in the way of VFs on a NIC. The first three prevent them, the others are reasons to look twice.
OBSTACLES = ("offers none", "no driver", "passed through", "connection", "namespace", "VFs", "in use")


def supports_sriov(nic: dict) -> bool:
    """Whether a NIC has VFs to offer, now or once its firmware or the BIOS allows them. nic: see read_function()."""
    if nic["totalvfs"] is not None or nic["id"].startswith(causes.MELLANOX + ":"):
        return True
    if (causes.total_in_config(nic["address"]) or 0) > 0:
        return True
    return causes.has_sriov_driver(nic) and not causes.is_virtual_machine()


def vfs_of(address: str) -> list[dict]:
    """The VFs of a PF in the order of their numbers: address, driver, names of the interfaces, holder (in words, or
    None).
    """
    found = []
    for vf, holder in holders.holder_of_each(address).items():
        function = sysfs.read_function(vf)
        # It went away meanwhile.
        if function:
            found.append({"address": vf, "driver": function["driver"], "names": function["netdevs"], "holder": holder})
    return found


def obstacles_of(nic: dict, vfs: list[dict], carriers: set[str] | None) -> list[dict]:
    """What stands in the way of VFs on a NIC: [{"kind": one of OBSTACLES, "text": cause and fix, or empty}].

    nic: see read_function(). vfs: see vfs_of(). carriers: the functions that carry the connection to this host; None if
    that is not known.
    """
    address = nic["address"]
    found = []
    if not nic["totalvfs"] and address.rpartition(".")[0] not in cards_that_wait():
        found.append(("offers none", causes.why_no_vfs(nic)))
    if nic["driver"] is None:
        found.append(("no driver", causes.why_no_driver(address)))
    elif holders.userspace_driver(address):
        found.append(("passed through", nic["driver"]))
    elif not nic["netdevs"] and os.path.isdir(sysfs.device_path(address, "net")):
        # sysfs shows the directory in every network namespace, and an interface only in its own.
        found.append(("namespace", ""))
    if carriers is not None and address in carriers:
        found.append(("connection", ""))
    if vfs:
        found.append(("VFs", str(len(vfs))))
    used = [vf["holder"] for vf in vfs if vf["holder"]]
    if used:
        found.append(("in use", used[0]))
    return [{"kind": kind, "text": text} for kind, text in found]


def read_nics() -> dict:
    """The NICs of this host that support SR-IOV. Changes nothing.

    Returns boot_id, iommu (whether the kernel uses one), connection_known (whether the NIC that carries the connection
    to this host could be found) and nics: a list of dicts with address, id, driver and names as the kernel has them,
    totalvfs (None: no SR-IOV now), vfs (see vfs_of()) and obstacles (see obstacles_of()).
    """
    carriers = connection.connection_functions()
    nics = []
    for nic in every_nic():
        if supports_sriov(nic):
            vfs = vfs_of(nic["address"])
            nics.append(
                {
                    "address": nic["address"],
                    "id": nic["id"],
                    "driver": nic["driver"],
                    "names": nic["netdevs"],
                    "totalvfs": nic["totalvfs"],
                    "vfs": vfs,
                    "obstacles": obstacles_of(nic, vfs, carriers),
                }
            )
    return {
        "boot_id": sysfs.boot_id(),
        "iommu": bool(sysfs.list_names(os.path.join(HOST.sys, "class/iommu"))),
        "connection_known": carriers is not None,
        "nics": nics,
    }
