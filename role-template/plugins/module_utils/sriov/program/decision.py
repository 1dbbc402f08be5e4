# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done for one PF, or why it cannot be done now."""

from __future__ import annotations

import os

from .causes import a_vf, why_no_driver, why_no_vfs
from .holders import userspace_driver, vf_holders
from .sysfs import describe, device_path

# What becomes of a device, by what is to be done. "pending" waits for the next boot, "waiting" for something else that waits for it.
# After a failure of another PF there are "put back" and "unchanged" too.
STATES = {"nothing": "ok", "set": "changed", "wait": "pending", "later": "waiting", "skip": "skipped", "fail": "failed"}
WAITS_FOR_FIRMWARE = "its firmware is set and offers more from the next boot on"
CHANGE_PERMISSION = " (sriov_change_connection_pf: true allows the change)"


def decide(device, function, connection, change_connection_pf):
    """What to do for one configured device.

    device: {"address", "numvfs", optionally "id", "optional", "name": its last known interface, "waits": why more VFs than the device has
    now come later}.
    function: as of read_function, or None. connection: the functions that carry the connection, as a callable, asked only
    when VFs would have to go.
    Returns {"do": "nothing" | "set" | "wait" | "later" | "skip" | "fail", "message": str}.
    """
    wanted = device["numvfs"]
    if function is None:
        known = "%s, last known as %s," % (device["address"], device["name"]) if device.get("name") else device["address"]
        if device.get("optional"):
            return {"do": "skip", "message": "PF %s is not there (optional)" % known}
        return {"do": "fail", "message": "PF %s is not there: check that the card is seated and seen by the BIOS, "
                                         "or run the role again if it moved to another slot" % known}
    name = describe(function)
    if device.get("id") and device["id"] != function["id"]:
        return {"do": "fail", "message": "%s is now a device %s, it was %s when the role chose it: run the role again" % (
            name, function["id"], device["id"])}
    if function["physfn"]:
        return {"do": "fail", "message": a_vf(function)}
    if userspace_driver(function["address"]):
        return {"do": "skip", "message": "%s is held by %s: its VFs are set when its own driver has it back" % (
            name, function["driver"])}
    total, current = function["totalvfs"], function["numvfs"]
    if device.get("waits") and wanted > (total or 0):
        return {"do": "later", "message": "%s has %d of %d VFs: %s" % (name, current or 0, wanted, device["waits"])}
    if total is None or current is None:
        return {"do": "fail", "message": "%s offers no VFs: %s" % (name, why_no_vfs(function))}
    if current == wanted:
        return {"do": "nothing", "message": ""}
    if total == 0:
        return {"do": "fail", "message": "%s offers no VFs: %s" % (name, why_no_vfs(function))}
    if wanted > total:
        return {"do": "fail", "message": "%s has at most %d VFs, %d are asked for: lower numvfs" % (name, total, wanted)}
    if function["driver"] is None:
        return {"do": "fail", "message": "%s has no driver: %s" % (name, why_no_driver(function["address"]))}
    if current == 0:
        return {"do": "set", "message": ""}
    holders = vf_holders(function["address"])
    if not change_connection_pf:
        carriers = connection()
        if carriers is None:
            holders.append("it is not known whether it carries the connection to this host" + CHANGE_PERMISSION)
        elif function["address"] in carriers:
            holders.append("it carries the connection to this host" + CHANGE_PERMISSION)
        elif not function["netdevs"] and os.path.isdir(device_path(function["address"], "net")):
            holders.append("its interface is in another network namespace, and what goes through it is not known" + CHANGE_PERMISSION)
    if holders:
        return {"do": "wait", "message": "%s keeps its %d VFs until the next boot, %d are wanted: %s" % (
            name, current, wanted, "; ".join(holders))}
    return {"do": "set", "message": ""}
