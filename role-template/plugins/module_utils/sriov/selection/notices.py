# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notices for the operator: no devices are set, or the selection differs from the last run."""

from __future__ import annotations

import os
import re

from .. import check, mlx4, pending, predecessors
from ..errors import Refusal
from ..mellanox.selection import cards_that_wait
from ..program import configuration, sysfs
from ..program.host import HOST
from .choice import checked_entries
from .seen import name_of

# udev(7), "RULES FILES".
RULE_FOLDERS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d")


def configured(rule_path):
    """What the role or a predecessor configured on this host, and `sriov_devices: []` would remove: a list of clauses.

    rule_path: the value of sriov_udev_rule_path.
    """
    clauses = []
    try:
        config = configuration.load_config()
    except Refusal as refusal:
        config = {}
        clauses.append(str(refusal))
    for device in (config or {}).get("devices", []):
        clauses.append(f"{name_of(device['address'])} with {device['numvfs']} VFs")
    if config is None:
        clauses += [
            f"{name_of(match.group(1))}, whose VFs will be removed at the next boot"
            for match in [re.match(r"^vfs:(.+)=0$", key) for key in sorted(pending.of_this_boot(HOST, "vfs"))]
            if match
        ]
    paths, addresses = predecessors.legacy(HOST.units, {HOST.udev_rules, rule_path})
    clauses += [
        f"{name_of(address)} with {len(sysfs.vf_addresses(address))} VFs, by an earlier role" for address in addresses
    ]
    clauses += [f"{path} of an earlier role" for path in paths if not addresses]
    clauses += [f"ConnectX-3 by {path}" for path in mlx4.traces()]
    clauses += [f"the firmware of {card}, whose settings wait for a reboot" for card in sorted(cards_that_wait())]
    return clauses


def notice_of_unset(parameters: dict) -> str:
    """The notice that devices are not set, for a host that is not configured. Raises Refusal for a configured host."""
    rule_path = (parameters.get("variables") or {}).get("sriov_udev_rule_path")
    misspelt = check.misspelt_devices(parameters.get("names") or [])
    clauses = configured(rule_path or HOST.udev_rules)
    if clauses:
        raise Refusal(
            " ".join(
                misspelt
                + [
                    f"sriov_devices is not set, and this host is configured: {', '.join(clauses)}. Check that the inventory "
                    "and its group_vars are loaded, and set it; or write sriov_devices: [] to remove these VFs"
                ]
            )
        )
    return " ".join(
        misspelt
        + [
            "sriov_devices is not set, so nothing is changed on this host: set it, or write sriov_devices: [] for a host without VFs"
        ]
    )


def warnings_about_rules(parameters: dict, devices: list[dict]) -> list[str]:
    """A sentence about udev rules in a folder that udev does not read, if devices need them."""
    path = (parameters.get("variables") or {}).get("sriov_udev_rule_path") or ""
    folder = os.path.dirname(path)
    # Only sriov_vfs can expand ~ or an environment variable.
    if (
        not devices
        or not path.startswith("/")
        or os.path.realpath(folder) in [os.path.realpath(read) for read in RULE_FOLDERS]
    ):
        return []
    return [
        f"sriov_udev_rule_path is {path}, and udev reads no rules in {folder}: a PF that appears later gets no VFs; "
        "give a path in /etc/udev/rules.d"
    ]


def warnings_about_numbers(parameters: dict, devices: list[dict]) -> list[str]:
    """One sentence for each PF that loses VFs because of sriov_numvfs, a variable that may be lost."""
    try:
        config = configuration.load_config() or {}
    except Refusal:
        return []
    before = {device["address"]: device["numvfs"] for device in config.get("devices", [])}
    without = {
        where for entry, _kind, _value, where in checked_entries(parameters["devices"]) if entry.get("numvfs") is None
    }
    return [
        f"{device['selector']} has no numvfs, so sriov_numvfs applies: {device['name'] or device['address']} gets "
        f"{device['numvfs']} VFs, and was configured with {before[device['address']]}"
        for device in devices
        if device["selector"] in without and device["numvfs"] < before.get(device["address"], 0)
    ]


def warnings_about_links(devices: list[dict]) -> list[str]:
    """One sentence for each PF whose VFs cannot be used as they are: it is down and Nova gives its VFs to guests, or a
    VF has a larger MTU.
    """
    present = [device for device in devices if device["name"] and device["numvfs"]]
    # A ConnectX-3 and a PF that the role does not manage have no key for it.
    up = ", or write up: true in this entry"
    sentences = [
        f"{device['selector']}: {device['name']} is down, and libvirt starts no guest on a VF of a PF that is down: set it up "
        f"in the host's network configuration{up if device['boot'] in ('systemd', 'udev') else ''}"
        for device in present
        if device["physical_network"] and not device.get("up") and not is_up(device["name"])
    ]
    mtus = {device["name"]: mtu_of(device["name"]) for device in present}
    least = min((mtu for mtu in mtus.values() if mtu), default=None)
    larger = {} if least is None else vfs_with_more_than(least)
    for device in present:
        mtu = mtus[device["name"]]
        found = [(vf, more) for vf, more in larger.get(device["address"], ()) if mtu and more > mtu]
        if found:
            sentences.append(
                f"{device['selector']}: {device['name']} has an MTU of {mtu}, and its VF {found[0][0]} has {found[0][1]}, so "
                "the card may drop its frames: give the PF at least the MTU of its VFs in the host's network configuration"
            )
    return sentences


def is_up(netdev):
    """Whether an interface is up (IFF_UP, include/uapi/linux/if.h), with or without a link. True if not known."""
    flags = sysfs.read_int(os.path.join(HOST.sys, "class/net", netdev, "flags"))
    return flags is None or bool(flags & 1)


def mtu_of(netdev):
    """The MTU of an interface in bytes; None if it is not known."""
    return sysfs.read_int(os.path.join(HOST.sys, "class/net", netdev, "mtu"))


def vfs_with_more_than(least):
    """The interfaces of VFs with a larger MTU: {address of the PF: [(interface, MTU)]}."""
    found = {}
    for netdev in sysfs.list_names(HOST.sys + "/class/net"):
        mtu = mtu_of(netdev)
        # Only of these few: a look at every VF would cost a host with many of them too much.
        address = sysfs.pci_of_netdev(netdev) if mtu and mtu > least else None
        pf = sysfs.link_name(sysfs.device_path(address, "physfn")) if address else None
        if pf:
            found.setdefault(pf, []).append((netdev, mtu))
    return found
