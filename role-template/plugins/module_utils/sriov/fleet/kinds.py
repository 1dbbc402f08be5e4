# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts grouped by their hardware, and the entries of sriov_devices that fit every host of a group. Runs on the
controller.
"""

from __future__ import annotations

import hashlib
from collections import Counter

from ..mellanox.selection import MLX4
from ..program.causes import MELLANOX
from ..selector import ORDINARY_NAME

DEFAULT_NUMVFS = 8
LONGEST_GROUP = 63


def key_of(nics: list[dict]) -> tuple[tuple[str, int | None], ...]:
    """What the hosts of a kind have in common: the id and the maximum number of VFs of each NIC, in any slot."""
    return tuple(sorted(((nic["id"], nic["totalvfs"]) for nic in nics), key=lambda one: (one[0], one[1] or 0)))


def group_of(key: tuple[tuple[str, int | None], ...]) -> str:
    """The name of a kind's inventory group. It depends on the hardware only, so that a later run uses it again."""
    counts = Counter(key)
    words = [
        f"{counts[one]}x{one[0].replace(':', '_')}_{'off' if one[1] is None else f'max{one[1]}'}"
        for one in dict.fromkeys(key)
    ]
    name = "sriov_" + "_".join(words)
    if len(name) <= LONGEST_GROUP:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_GROUP - 9]}_{digest}"


def kinds_of(seen: dict[str, dict]) -> list[dict]:
    """The kinds of hardware among hosts, the most frequent first.

    seen: the result of sriov_nics, by host. Returns a list of dicts: group (its name), hosts (in the given order), nics
    ({host: its NICs}), choices (see choices_of()). Hosts without a NIC that supports SR-IOV are in no kind.
    """
    hosts: dict[tuple, list[str]] = {}
    for host, result in seen.items():
        if result["nics"]:
            hosts.setdefault(key_of(result["nics"]), []).append(host)
    kinds = []
    for key, names in sorted(hosts.items(), key=lambda one: (-len(one[1]), group_of(one[0]))):
        nics = {host: seen[host]["nics"] for host in names}
        kinds.append({"group": group_of(key), "hosts": names, "nics": nics, "choices": choices_of(nics)})
    return kinds


def choices_of(nics: dict[str, list[dict]]) -> list[dict]:
    """Entries of sriov_devices that choose every NIC of a kind once, on every host.

    nics: the NICs of each host; all hosts have as many of each id. Returns a list of dicts: selector, why (what the
    hosts share: "name", "address" or "id"), nics ({host: the NICs that the selector chooses}), and those of judged().
    """
    ids = sorted({nic["id"] for nic in next(iter(nics.values()))})
    found = []
    for one in ids:
        found += choices_of_id(one, {host: [nic for nic in of if nic["id"] == one] for host, of in nics.items()})
    return [dict(choice, **judged(choice)) for choice in found]


def own_name(nic):
    """The name that chooses this PF alone and whole; None if there is no such name."""
    # Each port of a ConnectX-3 has an interface, and its name chooses one port.
    if len(nic["names"]) != 1 or nic["driver"] == MLX4 or not ORDINARY_NAME.match(nic["names"][0]):
        return None
    return nic["names"][0]


def choices_of_id(one, nics):
    """As choices_of(), for the NICs with one id."""
    by_name = {host: {own_name(nic): nic for nic in of if own_name(nic)} for host, of in nics.items()}
    first = next(iter(nics))
    shared = [name for name in by_name[first] if all(name in names for names in by_name.values())]
    rest = {host: {nic["address"]: nic for nic in of if own_name(nic) not in shared} for host, of in nics.items()}
    if any(set(of) != set(rest[first]) for of in rest.values()):
        vendor, product = one.split(":")
        return [{"selector": {"vendor_id": vendor, "product_id": product}, "why": "id", "nics": nics}]
    return [
        {"selector": {"name": name}, "why": "name", "nics": {host: [names[name]] for host, names in by_name.items()}}
        for name in shared
    ] + [
        {"selector": {"address": address}, "why": "address", "nics": {host: [of[address]] for host, of in rest.items()}}
        for address in rest[first]
    ]


def hosts_with(choice, kind):
    """The hosts on which a NIC of a choice has an obstacle of one kind: {host: its text}."""
    return {
        host: obstacle["text"]
        for host, of in choice["nics"].items()
        for nic in of
        for obstacle in nic["obstacles"]
        if obstacle["kind"] == kind
    }


def judged(choice: dict) -> dict:
    """The number of VFs for a choice, and whether it can be used as it is.

    Returns entry, left_out ({obstacle: {host: text}}, empty if the entry can be used) and notes (the same for obstacles
    that an operator must know).
    """
    every = [nic for of in choice["nics"].values() for nic in of]
    limits = [nic["totalvfs"] for nic in every if nic["totalvfs"]]
    now = {len(nic["vfs"]) for nic in every}
    # VFs that exist with the same number everywhere stay as they are.
    count = min([DEFAULT_NUMVFS] + limits) if len(now) > 1 or now == {0} else now.pop()
    left_out, notes = {}, {}
    for kind in ("no driver", "passed through", "connection"):
        left_out.update({kind: hosts_with(choice, kind)} if hosts_with(choice, kind) else {})
    none = hosts_with(choice, "offers none")
    if none:
        # The role turns SR-IOV on in the firmware of these cards only.
        (notes if every[0]["id"].startswith(MELLANOX + ":") else left_out)["offers none"] = none
    for kind in ("namespace", "VFs", "in use"):
        notes.update({kind: hosts_with(choice, kind)} if hosts_with(choice, kind) else {})
    return {"entry": dict(choice["selector"], numvfs=count), "left_out": left_out, "notes": notes}
