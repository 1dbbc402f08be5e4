# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a PF and of its VFs in an entry of sriov_devices, checked as far as possible without the host."""

from __future__ import annotations

import re

from . import check, selector
from .errors import Refusal

NUMBERS = re.compile(r"^([0-9]{1,5})(-([0-9]{1,5})?)?\Z", re.ASCII)
NUMBERS_IN_WORDS = 'give the numbers of VFs, as in 0, "0-3", "4-" or "2,5-7"'
GUID = re.compile(r"^([0-9a-f]{2}:){7}[0-9a-f]{2}\Z")
# Each VF of an item has its own: the first one as written, and the others count up.
COUNTED = {
    "mac": (selector.MAC, "MAC address", "02:00:00:00:00:10"),
    "node_guid": (GUID, "GUID", "02:00:00:00:00:00:00:10"),
    "port_guid": (GUID, "GUID", "02:00:00:00:00:00:00:10"),
}
# What an item can set, and the name of that in a device of sriov_devices.
KEYS = {
    "mac": "mac",
    "vlan": "vlan",
    "qos": "qos",
    "vlan_proto": "proto",
    "spoofchk": "spoofchk",
    "trust": "trust",
    "link_state": "state",
    "node_guid": "node_guid",
    "port_guid": "port_guid",
    "driver": "driver",
}
NO_DRIVER = "none"
# The last three bytes of an address count up: the first ones name its vendor.
MOST_COUNTED = 0xFFFFFF


def checked_settings(entry: dict, count: int, at_boot: bool, where: str) -> dict:
    """What an entry sets in addition to the number of VFs, checked in form.

    count: its number of VFs. at_boot: whether the role creates them. where: names the entry. Returns {"up": whether the
    PF is set up, "autoprobe": drivers_autoprobe or None, "items": [...]}. Each item has `place`, its name in messages,
    `vfs`, a list of numbers, `managed`, managed_by_network or None, and `sets`: {key of KEYS: one value for each VF}.
    Raises Refusal.
    """
    up, autoprobe = (None if entry.get(key) is None else check.truth(entry[key]) for key in ("up", "drivers_autoprobe"))
    refuse_without_vfs(entry, up, autoprobe, count, at_boot, where)
    items = [
        checked_item(item, count, f"{where}: vfs[{index}]", where) for index, item in enumerate(entry.get("vfs") or [])
    ]
    refuse_overlap(items, where)
    return {"up": bool(up), "autoprobe": autoprobe, "items": items}


def refuse_without_vfs(entry, up, autoprobe, count, at_boot, where):
    """Raise Refusal for settings in an entry whose VFs the role does not create."""
    wishes = {"up": up, "drivers_autoprobe": autoprobe is False, "vfs": entry.get("vfs")}
    keys = " and ".join(key for key, wish in wishes.items() if wish)
    if keys and not at_boot:
        raise Refusal(
            f"{where} has {keys}, and on_boot_configuration_enabled is false: the role sets only PFs whose VFs it creates: "
            f"remove {keys}, or on_boot_configuration_enabled"
        )
    if keys and count == 0:
        raise Refusal(f"{where} has {keys}, and its number of VFs is 0: remove {keys}, or give it numvfs")


def checked_item(item, count, place, where):
    """An item of `vfs`, see checked_settings()."""
    given = {key: value for key, value in item.items() if value is not None}
    if "vf" not in given:
        raise Refusal(f'{place} has no vf: name the VFs, as in vf: 0 or vf: "0-3"')
    numbers = checked_numbers(given["vf"], count, place)
    if len(given) == 1:
        raise Refusal(f"{place} has vf and nothing to set: give it a setting, such as mac or driver, or remove it")
    refuse_vlan(given, place)
    name = place[len(where) + 2 :]
    sets = {}
    for key in KEYS:
        if key in COUNTED and key in given:
            sets[key] = counted(given[key], key, numbers, where, f"{name}.{key}")
        elif key in given:
            sets[key] = [plain(given[key], key, where, f"{name}.{key}")] * len(numbers)
    managed = given.get("managed_by_network")
    return {"place": place, "vfs": numbers, "managed": None if managed is None else check.truth(managed), "sets": sets}


def checked_numbers(value, count, place):
    """The numbers of VFs in `vf`, as a list. Raises Refusal for another form, and for a VF that there will not be."""
    numbers, seen = [], set()
    # A number with more digits than Python writes has no form of numbers either.
    text = value if isinstance(value, str) else check.whole_number(value)
    for part in str(text).split(","):
        match = NUMBERS.match(part.strip())
        if not match:
            raise Refusal(f"{place}.vf is {check.shown(value)}: {NUMBERS_IN_WORDS}")
        first = int(match.group(1))
        last = int(match.group(3)) if match.group(3) else count - 1 if match.group(2) else first
        if max(first, last) >= count:
            raise Refusal(
                f"{place}.vf is {check.shown(value)}, and there is no VF {max(first, last)}: the number of VFs is {count}, and "
                "they count from 0"
            )
        if last < first:
            raise Refusal(f"{place}.vf is {check.shown(value)}, which ends before it begins: {NUMBERS_IN_WORDS}")
        twice = seen.intersection(range(first, last + 1))
        if twice:
            raise Refusal(f"{place}.vf is {check.shown(value)}, which has VF {min(twice)} twice: keep it once")
        numbers += range(first, last + 1)
        seen.update(numbers)
    return numbers


def refuse_overlap(items, where):
    """Raise Refusal for a VF in two items."""
    owners = {}
    for item in items:
        for number in item["vfs"]:
            if number in owners:
                other, this = (one["place"][len(where) + 2 :] for one in (owners[number], item))
                raise Refusal(f"{where}: {other} and {this} both have VF {number}: keep it in one of them")
            owners[number] = item


def refuse_vlan(given, place):
    """Raise Refusal for a part of a VLAN tag without a VLAN."""
    for key in ("qos", "vlan_proto"):
        if key in given and "vlan" not in given:
            raise Refusal(f"{place} has {key} and no vlan: give it vlan, or remove {key}")
    no_tag = not any(check.whole_number(given.get(key, 0)) for key in ("vlan", "qos"))
    if "vlan_proto" in given and no_tag:
        raise Refusal(
            f"{place} has vlan_proto {given['vlan_proto']} and vlan 0, which means no VLAN: give it a vlan, or remove vlan_proto"
        )


def plain(value, key, where, name):
    """A setting that all VFs of an item share, as the kernel has it."""
    if key in ("vlan", "qos"):
        return check.whole_number(value)
    if key in ("spoofchk", "trust"):
        return check.truth(value)
    if key == "driver":
        if not isinstance(value, str):
            raise Refusal(selector.read_as_number(where, name, value, "vfio-pci"))
        value = value.strip()
        if not selector.ORDINARY_NAME.match(value):
            raise Refusal(
                f"{where}: {name} is {check.shown(value)}, which is not the name of a driver: write it as vfio-pci, or as none"
            )
    return value


def counted(value, key, numbers, where, name):
    """A MAC address or GUID for each VF of an item, in lower case with colons."""
    form, kind, example = COUNTED[key]
    if not isinstance(value, str):
        raise Refusal(selector.read_as_number(where, name, value, example))
    text = value.strip().lower().replace("-", ":")
    if not form.match(text):
        raise Refusal(f'{where}: {name} is {check.shown(value)}, which is not a {kind}: write it as "{example}"')
    first = int(text.replace(":", ""), 16)
    if first == 0:
        raise Refusal(f"{where}: {name} is {text}, which stands for no address: write another, or remove it")
    if key == "mac" and int(text[:2], 16) & 1:
        raise Refusal(
            f"{where}: {name} is {text}, which is a multicast address: write one whose second digit is even, as in {example}"
        )
    if (first & MOST_COUNTED) + len(numbers) - 1 > MOST_COUNTED:
        raise Refusal(
            f"{where}: {name} is {text}, and its last three bytes cannot count up for {len(numbers)} VFs: write a lower {kind}"
        )
    digits = len(text.replace(":", ""))
    return [":".join(re.findall("..", f"{first + index:0{digits}x}")) for index in range(len(numbers))]
