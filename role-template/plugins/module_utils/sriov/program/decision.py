# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision for one PF: what to do, or why that is not possible now."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from .causes import a_vf, why_no_driver, why_no_vfs
from .holders import userspace_driver, vf_holders
from .sysfs import describe, device_path

# The state of a device, by the decision. "pending" waits for the next boot, "waiting" for something else that waits for
# the next boot. After a failure of another PF the states "put back" and "unchanged" are possible too.
STATES = {"nothing": "ok", "set": "changed", "wait": "pending", "later": "waiting", "skip": "skipped", "fail": "failed"}
WAITS_FOR_FIRMWARE = "its firmware is set and offers more from the next boot on"
WAITS_FOR_BIOS = "the BIOS is set through its BMC, and may offer them from the next boot on"
CHANGE_PERMISSION = " (sriov_change_connection_pf: true allows the change)"


def decide(
    device: dict,
    function: dict | None,
    connection: Callable[[], Collection[str] | None],
    change_connection_pf: bool,
) -> dict[str, str]:
    """What to do for one configured device.

    device: {"address", "numvfs", optionally "id", "optional", "name": its last known interface, "waits": why the device
    gets more VFs later}. function: see read_function(), or None. connection: returns the functions that carry the
    connection; it is called only if VFs would be removed. Returns {"do": "nothing" | "set" | "wait" | "later" | "skip"
    | "fail", "message": str}.
    """
    if function is None:
        known = f"{device['address']}, last known as {device['name']}," if device.get("name") else device["address"]
        if device.get("optional"):
            return {"do": "skip", "message": f"PF {known} is not there (optional)"}
        return {
            "do": "fail",
            "message": f"PF {known} is not there: check that the card is seated and seen by the "
            "BIOS, or run the role again if it moved to another slot",
        }
    name = describe(function)
    if device.get("id") and device["id"] != function["id"]:
        return {
            "do": "fail",
            "message": f"{name} is now a device {function['id']}, it was {device['id']} when the "
            "role chose it: run the role again",
        }
    if function["physfn"]:
        return {"do": "fail", "message": a_vf(function)}
    if userspace_driver(function["address"]):
        return {
            "do": "skip",
            "message": f"{name} is bound to {function['driver']}: its VFs are set when it is bound to its own driver again",
        }
    return decide_number(device, function) or decide_removal(device, function, connection, change_connection_pf)


def decide_number(device, function):
    """Like decide(), for a PF that is present and bound to its own driver; None if VFs would be removed."""
    name, wanted = describe(function), device["numvfs"]
    total, current = function["totalvfs"], function["numvfs"]
    if device.get("waits") and wanted > (total or 0):
        return {"do": "later", "message": f"{name} has {current or 0} of {wanted} VFs: {device['waits']}"}
    if total is None or current is None:
        return {"do": "fail", "message": f"{name} offers no VFs: {why_no_vfs(function)}"}
    if current == wanted:
        return {"do": "nothing", "message": ""}
    if total == 0:
        return {"do": "fail", "message": f"{name} offers no VFs: {why_no_vfs(function)}"}
    if wanted > total:
        return {"do": "fail", "message": f"{name} supports at most {total} VFs, {wanted} are requested: lower numvfs"}
    if function["driver"] is None:
        return {"do": "fail", "message": f"{name} has no driver: {why_no_driver(function['address'])}"}
    if current == 0:
        return {"do": "set", "message": ""}
    return None


def decide_removal(device, function, connection, change_connection_pf):
    """Like decide(), for a PF whose VFs would be removed."""
    name, wanted, current = describe(function), device["numvfs"], function["numvfs"]
    holders = vf_holders(function["address"])
    if not change_connection_pf:
        carriers = connection()
        if carriers is None:
            holders.append("it is not known whether it carries the connection to this host" + CHANGE_PERMISSION)
        elif function["address"] in carriers:
            holders.append("it carries the connection to this host" + CHANGE_PERMISSION)
        elif not function["netdevs"] and os.path.isdir(device_path(function["address"], "net")):
            holders.append(
                "its interface is in another network namespace, and it is not known what traffic it carries"
                + CHANGE_PERMISSION
            )
    if holders:
        return {
            "do": "wait",
            "message": f"{name} keeps its {current} VFs until the next boot, {wanted} are wanted: {'; '.join(holders)}",
        }
    return {"do": "set", "message": ""}
