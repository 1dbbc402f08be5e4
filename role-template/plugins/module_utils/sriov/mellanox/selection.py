# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the choice of PFs must know about Mellanox cards: the only interface between selection/ and a vendor.

A second vendor whose firmware the role sets would offer the same: an object like Cards, checked_firmware() for what
its entries request, and port_of() where several ports are one PF. choice.py would then ask the vendor that claims a PF,
as it asks Cards now.
"""

from __future__ import annotations

import os
import re

from .. import check, pending, selector
from ..errors import Refusal
from ..program import sysfs
from ..program.host import HOST
from .models import CONNECTX3_IDS
from .values import checked_parameters

# The driver of ConnectX-3 creates VFs when it is loaded; its module options set how many.
MLX4 = "mlx4_core"


class Cards:
    """Which functions are cards whose firmware this run sets, or has set, and what follows from that for a PF.

    parameters: the module's. Raises Refusal for an invalid vendor id. Reads nothing from the host before read().
    """

    def __init__(self, parameters: dict) -> None:
        self.sets_firmware = parameters["firmware"]
        self.vendors = checked_vendors(parameters)
        self._waiting: set[str] = set()

    def read(self) -> None:
        """Read which cards wait for a reboot, if this run does not set their firmware."""
        self._waiting = set() if self.sets_firmware else cards_that_wait()

    def claims(self, function: dict) -> bool:
        """Whether this run sets the firmware of a function, so that its VFs may come later."""
        return function["id"][:4] in self.vendors

    def may_have_vfs_later(self, function: dict) -> bool:
        """Whether a NIC that shows no SR-IOV may do so once its firmware is set, so that it can be chosen."""
        return self.claims(function) or function["address"].rpartition(".")[0] in self._waiting

    def waits(self, pf: dict, count: int) -> bool:
        """Whether so many VFs come with the next boot, because the firmware has been set in this one."""
        return pf["address"].rpartition(".")[0] in self._waiting and count > (pf["totalvfs"] or 0)

    def refuse(self, pf: dict, count: int, firmware: dict, where: str) -> None:
        """Raise Refusal for an entry whose firmware is not this vendor's, and for a card that its driver has released.

        firmware: from checked_firmware(). count: the VFs wanted. where: names the entry.
        """
        if firmware and self.sets_firmware and not self.claims(pf):
            raise Refusal(
                f"{where}: {sysfs.describe(pf)} is not a Mellanox card (vendor {pf['id'][:4]}), and only their firmware can be set: remove firmware from it"
            )
        if pf["driver"] is None and pf["id"] in CONNECTX3_IDS and count > 0:
            raise Refusal(
                f"{where}: {sysfs.describe(pf)} is a ConnectX-3 without its driver: load {MLX4} and see the kernel "
                "log: the driver releases a card whose options in /etc/modprobe.d it rejects"
            )


def cards_that_wait() -> set[str]:
    """The cards whose firmware the role has set in this boot: their PCI addresses without the function."""
    matches = [re.match(r"^firmware:([0-9a-f:]+)\.[0-7]:", key) for key in pending.of_this_boot(HOST, "firmware")]
    return {match.group(1) for match in matches if match}


def checked_vendors(parameters: dict) -> list[str]:
    """The vendor ids of cards whose firmware this run sets, four hexadecimal digits each. Raises Refusal for an
    invalid one.
    """
    vendors = []
    for vendor in check.words(parameters["mellanox_vendor_ids"]):
        digits = vendor.strip().lower() if isinstance(vendor, str) else ""
        if not selector.HEXADECIMAL_ID.match(digits):
            raise Refusal(
                f"sriov_mellanox_vendor_ids has {check.shown(vendor)}: write four hexadecimal digits in quotes, as in "
                '"0x15b3"'
            )
        vendors.append(digits[-4:])
    return vendors if parameters["firmware"] else []


def checked_firmware(entry: dict, where: str) -> dict:
    """The parameters in `firmware` of an entry. Raises Refusal for an invalid name or value."""
    given = entry.get("firmware")
    return {} if given is None else checked_parameters(given, where)


def port_of(pf: dict, kind: str, value: str, details: dict | None) -> int | None:
    """The port of a ConnectX-3 that an interface's name or MAC address chooses: 1 or 2; None for the whole card.

    Both ports of these cards are on one PCI function (dev_port: Documentation/ABI/testing/sysfs-class-net).
    """
    if (
        pf["driver"] != MLX4
        or kind not in ("name", "mac")
        or not os.path.exists(sysfs.device_path(pf["address"], "mlx4_port2"))
    ):
        return None
    for netdev in pf["netdevs"]:
        detail = (details or {}).get(netdev, {})
        if detail.get("mac") == value if kind == "mac" else netdev == value or value in detail.get("altnames", []):
            port = sysfs.read_int(os.path.join(HOST.sys, "class/net", netdev, "dev_port"))
            return None if port is None else port + 1
    return None
