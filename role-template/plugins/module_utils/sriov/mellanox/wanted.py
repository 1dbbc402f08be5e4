# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the entries of sriov_devices request of the firmware of cards."""

from __future__ import annotations

import os
import re

from .. import given
from ..errors import Refusal
from ..program import sysfs
from ..program.host import HOST
from .models import family, is_connectx
from .values import argument, checked_parameters, number_and_name, same

# What each function of a card has separately: the parameters of class 3 in mstflint's mlxconfig_host.db (4.36).
OF_A_FUNCTION = re.compile(
    r"^(PF_(TOTAL_SF|SD_GROUP|VF_BAR2_MODE|DEVICE_ID|DEVICE_ID_ENABLE|SF_BAR_SIZE|NUM_PF_MSIX|NUM_VF_MSIX|NUM_SAT_PF|NUM_OF_VF)"
    r"|(ECPF|NVME_EMU_MNG|PCI_SWITCH_EMU_MNG|VIRTIO_(BLK|FS|NET)_EMU_MNG|BOOT|UEFI)_\w+|LEGACY_BOOT_PROTOCOL|IP_VER|WOL_MAGIC_EN"
    r"|PORT_OWNER|ALLOW_RD_COUNTERS|RENEG_ON_CHANGE|TRACER_ENABLE|ROCE_CONTROL|PCI_WR_ORDERING|MULTI_PORT_VHCA_EN)$"
)


def card_of(address: str) -> str:
    """The card that a function belongs to: its PCI address without the function."""
    return address.rpartition(".")[0]


def functions_of(card: dict) -> list[str]:
    """The addresses of the PFs of a card that are on the host, without VFs."""
    return [
        address
        for address in sysfs.list_names(os.path.join(HOST.sys, "bus/pci/devices"))
        if card_of(address) == card and sysfs.link_name(sysfs.device_path(address, "physfn")) is None
    ]


def gather(devices: list[dict], exact: bool) -> list[dict]:
    """The cards for which the devices request something, in the order of their addresses.

    devices: as sriov_devices returns them; those without `firmware`, and those that are not on the host, are ignored.
    Returns a list of {"card", "label", "family": from family(), "connectx": from is_connectx(), "counts": {function:
    VFs}, "listed": [(function, name, value, selector)], "done": what this run has changed on it, in words}. Raises
    Refusal if the ports of a card request different things, or if a device contradicts itself or has an unknown form.
    """
    given.refuse_wrong(devices, ("address", "numvfs", "selector"))
    cards = {}
    for device in devices:
        function = sysfs.read_function(device["address"])
        if device.get("firmware") is None or function is None:
            continue
        card = cards.setdefault(
            card_of(device["address"]),
            {
                "card": card_of(device["address"]),
                "label": sysfs.describe(function),
                "family": family(function["id"]),
                "connectx": is_connectx(function["id"]),
                "counts": {},
                "listed": [],
                "done": [],
            },
        )
        # A ConnectX-3 has one function for both ports, and its firmware counts the VFs of both.
        card["counts"][device["address"]] = card["counts"].get(device["address"], 0) + device["numvfs"]
        parameters = checked_parameters(device["firmware"], device["selector"])
        card["listed"] += [
            (device["address"], name, value, device["selector"]) for name, value in sorted(parameters.items())
        ]
    for card in cards.values():
        refuse_conflicts(card)
    return [
        card
        for _name, card in sorted(cards.items())
        if card["listed"] or exact or any(count > 0 for count in card["counts"].values())
    ]


def refuse_conflicts(card):
    """Raise Refusal if the parameters listed for a card contradict each other or numvfs."""
    known = {}
    for function, name, value, selector in card["listed"]:
        key = (function if OF_A_FUNCTION.match(name) else None, name)
        other_value, other_selector = known.setdefault(key, (value, selector))
        if argument(name, value) != argument(name, other_value):
            raise Refusal(
                f"{other_selector} and {selector} are ports of one card ({card['card']}), whose firmware has one "
                f"{name} for both, and request {other_value} and {value}: give them the same value"
            )
    most = max(card["counts"].values())
    for function, name, value, selector in card["listed"]:
        if name == "SRIOV_EN" and most > 0 and not same(True, str(value)):
            raise Refusal(
                f"{selector}: firmware: SRIOV_EN is {value}, and {most} VFs are requested: remove one of the two"
            )
        least = {"NUM_OF_VFS": most, "PF_NUM_OF_VF": card["counts"][function]}.get(name)
        number = number_and_name(str(value))[0]
        if least is not None and (number is None or number < least):
            raise Refusal(
                f"{selector}: firmware: {name} is {value}, and {least} VFs are requested: raise it, or leave it out"
            )


def names_of(card: dict) -> list[str]:
    """The parameters that show whether a card has what is wanted; an empty list when all of them must be read.

    All of them are read from a card that is not a ConnectX, because one of them may say that its own processor owns it.
    """
    if not card["connectx"]:
        return []
    counts = ["SRIOV_EN", "NUM_OF_VFS"] + (["PF_NUM_OF_VF_VALID"] if card["family"] != "ConnectX-3" else [])
    return counts + sorted({name for _function, name, _value, _selector in card["listed"]} - set(counts))


def needs(card: dict, tables: dict[str, dict], exact: bool) -> list[dict]:
    """What a card's firmware must be set to, in the order of setting.

    tables: what the tool printed for each function that was queried, by address. Returns a list of {"function", "name",
    "value", "least": whether more is fine too, "listed": whether a device lists it in `firmware`}.
    """
    first = min(tables)
    listed = {}
    for function, name, value, _selector in card["listed"]:
        listed.setdefault((function if OF_A_FUNCTION.match(name) else first, name), value)
    result = [
        {"function": function, "name": name, "value": value, "least": False, "listed": True}
        for (function, name), value in sorted(listed.items())
    ]
    most = max(card["counts"].values())

    def add(function, name, value, least):
        if (function, name) not in listed:
            result.append({"function": function, "name": name, "value": value, "least": least, "listed": False})

    if most > 0:
        add(first, "SRIOV_EN", True, False)
        if becomes_per_function(card, tables):
            # A card does not have PF_NUM_OF_VF before PF_NUM_OF_VF_VALID is set.
            return result
        if counts_per_function(card, tables):
            for function, count in sorted(card["counts"].items()):
                if count > 0 or exact:
                    add(function, "PF_NUM_OF_VF", count, not exact)
        else:
            add(first, "NUM_OF_VFS", most, not exact)
    elif exact and "SRIOV_EN" in tables[first]["parameters"]:
        add(first, "SRIOV_EN", False, False)
    return result


def counts_per_function(card: dict, tables: dict[str, dict]) -> bool:
    """Whether PF_NUM_OF_VF of each function counts for a card, and NUM_OF_VFS does not (mlxconfig_host.db:
    valid_bit).
    """
    row = tables[min(tables)]["parameters"].get("PF_NUM_OF_VF_VALID")
    return bool(row) and same(True, row["next"]) and listed_valid(card) is not False


def becomes_per_function(card: dict, tables: dict[str, dict]) -> bool:
    """Whether PF_NUM_OF_VF must count for a card and does not yet."""
    return listed_valid(card) is True and not counts_per_function(card, tables)


def listed_valid(card):
    """The value listed for PF_NUM_OF_VF_VALID of a card: True, False, or None if it is not listed."""
    for _function, name, value, _selector in card["listed"]:
        if name == "PF_NUM_OF_VF_VALID":
            return same(True, str(value))
    return None


def met(need: dict, shown: str | None) -> bool:
    """Whether a value, as the tool shows it, is what is wanted."""
    if not need["least"]:
        return same(need["value"], shown)
    number = number_and_name(shown)[0]
    return number is not None and number >= need["value"]


def text_of(need: dict) -> str:
    """The wanted value as messages show it: 16, True, ETH."""
    return str(need["value"])


def plain(shown: str | None) -> str:
    """A value that the tool shows, as messages show it: True(1) is True, 8 is 8."""
    return number_and_name(shown)[1] or shown
