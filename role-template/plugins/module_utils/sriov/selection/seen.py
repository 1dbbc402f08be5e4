# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host that the selection of PFs needs."""

from __future__ import annotations

import os

from ..program import causes, programs, sysfs
from ..program.host import HOST


def interface_details() -> dict | None:
    """Alternative names, permanent MAC address and present MAC address of each interface, by interface name; None if
    `ip` cannot list them.
    """
    details = {}
    links = programs.json_of(["ip", "-d", "-j", "link", "show"])
    if links is None:
        return None
    for link in links:
        details[link["ifname"]] = {
            "altnames": link.get("altnames", []),
            "mac": (link.get("permaddr") or link.get("address") or "").lower(),
            "present": (link.get("address") or "").lower(),
        }
    return details


def other_nics(known: list[dict]) -> list[dict]:
    """The NICs of the host that are neither VFs nor among the known functions."""
    addresses = {function["address"] for function in known}
    others = [
        sysfs.read_function(address)
        for address in sysfs.list_names(os.path.join(HOST.sys, "bus/pci/devices"))
        # Without VFs: there may be a thousand of them.
        if address not in addresses
        and not os.path.lexists(sysfs.device_path(address, "physfn"))
        and (sysfs.read_int(sysfs.device_path(address, "class")) or 0) >> 16 == sysfs.NETWORK_CLASS
    ]
    return [function for function in others if function and not function["physfn"]]


def every_nic() -> list[dict]:
    """Every PF of the host, and every NIC without SR-IOV that is not a VF, in the order of their addresses."""
    pfs = sysfs.read_pfs()
    return sorted(pfs + other_nics(pfs), key=lambda function: function["address"])


def every_function() -> list[dict]:
    """Every PCI function of the host, in the form that takes() of openstack needs."""
    found = [sysfs.read_function(address) for address in sysfs.list_names(os.path.join(HOST.sys, "bus/pci/devices"))]
    names = {function["address"]: function["netdevs"] for function in found if function}
    return [
        {
            "address": function["address"],
            "vendor_id": function["id"][:4],
            "product_id": function["id"][5:],
            "parent_addr": function["physfn"],
            "names": function["netdevs"],
            "parent_names": names.get(function["physfn"], []),
        }
        for function in found
        if function
    ]


def known_pfs(pfs: list[dict]) -> str:
    """The PFs of the host in words, for an error message."""
    if not pfs:
        return f"this host has no PF at all: {causes.why_no_pf()}"
    return "the PFs of this host are " + ", ".join(
        "%s, driver %s, %s"
        % (
            sysfs.describe(pf),
            pf["driver"] or "none",
            "no VFs until its firmware or the BIOS is set" if pf["totalvfs"] is None else f"up to {pf['totalvfs']} VFs",
        )
        for pf in pfs
    )


def name_of(address: str) -> str:
    """A PF in a few words, also a missing one."""
    function = sysfs.read_function(address)
    return sysfs.describe(function) if function else address
