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
