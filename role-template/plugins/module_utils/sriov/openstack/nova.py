# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PCI functions match a device_spec of Nova: nova/pci/devspec.py and nova/pci/utils.py.

test/python/nova_corpus contains the answers of Nova's own code.
"""

from __future__ import annotations

import re

ANY = "*"
FIELDS = ("domain", "bus", "slot", "function")
# The greatest value of each field, and how Nova writes it (MAX_DOMAIN and its neighbours in devspec.py).
LIMITS = {"domain": (0xFFFF, "%04x"), "bus": (0xFF, "%02x"), "slot": (0x1F, "%02x"), "function": (0x7, "%1x")}
IDS = ("vendor_id", "product_id")
NAMING = ("devname", "address") + IDS
WIDE_DOMAIN = "Nova accepts no PCI domain of more than 16 bits"
# Every possible value of a field of an address; for domains, enough to tell one from all.
POSSIBLE = {
    "domain": [f"{number:04x}" for number in (0, 1, 2, 0x10, 0x100, 0x1000, 0x7ABC, 0xFFFF)],
    "bus": [f"{number:02x}" for number in range(0x100)],
    "slot": [f"{number:02x}" for number in range(0x20)],
    "function": [f"{number:x}" for number in range(8)],
}


def glob_fields(address: str) -> dict[str, str]:
    """An address with wildcards as Nova reads it: {field: value or "*"}. Raises ValueError for an address that
    Nova does not accept.
    """
    parts, _dot, function = address.partition(".")
    front = parts.split(":") if parts else []
    if len(front) > 3:
        raise ValueError("more than domain, bus and slot before the dot")
    # Nova fills up from the left: "3b:00.0" has any domain, ":00." any domain and bus.
    values = (
        [ANY] * (3 - len(front)) + [part.strip() or ANY for part in front] + [function.strip() if function else ANY]
    )
    fields = {}
    for field, value in zip(FIELDS, values):
        limit, form = LIMITS[field]
        if value != ANY:
            try:
                number = int(value, 16)
            except ValueError:
                raise ValueError(f"{field} {value!r:.60} is neither hexadecimal nor *") from None
            if number > limit:
                raise ValueError(f"{field} {value:.60} is greater than {limit:X}")
            value = form % number
        fields[field] = value
    return fields


def fields_of(address: str) -> dict[str, str] | None:
    """The fields of a whole address, as the kernel writes it; None for a domain of more than 16 bits, which Nova
    ignores.
    """
    front, _dot, function = address.partition(".")
    domain, bus, slot = front.split(":")
    return {"domain": domain, "bus": bus, "slot": slot, "function": function} if len(domain) == 4 else None


def takes_address(wanted, address):
    """Whether `address` of a device_spec matches an address itself, not by its PF."""
    fields = fields_of(address)
    if fields is None:
        return False
    if isinstance(wanted, dict):
        # re.match: the beginning of a field is enough.
        return all(re.match(wanted.get(field, ".*"), fields[field]) for field in FIELDS)
    glob = glob_fields(wanted)
    return all(glob[field] in (ANY, fields[field]) for field in FIELDS)


def single_address(wanted: str | dict) -> str | None:
    """The one address that `address` of a device_spec names, or None. Only a single address of a PF matches its VFs."""
    fields = {field: wanted.get(field, ".*") for field in FIELDS} if isinstance(wanted, dict) else glob_fields(wanted)
    if not all(re.match(r"^[0-9A-Fa-f]+$", fields[field]) for field in FIELDS):
        return None
    return "%s:%s:%s.%s" % tuple(fields[field] for field in FIELDS)


def takes(spec: dict, function: dict) -> bool:
    """Whether Nova offers a PCI function to guests because of a device_spec.

    function: address; vendor_id and product_id, four hexadecimal digits, None if they are not known, which counts as
    a match; parent_addr, of the PF of a VF, otherwise None; names and parent_names, the interfaces of both.
    The serial number that Nova reads from a card with remote_managed is not checked.
    Raises ValueError for a device_spec with which nova-compute does not start.
    """
    if spec.get("devname"):
        if spec.get("address"):
            raise ValueError("both devname and address")
        named_so = spec["devname"] in function["names"] or spec["devname"] in function["parent_names"]
        if named_so and fields_of(function["address"]) is None:
            raise ValueError(WIDE_DOMAIN)
    else:
        address = spec.get("address") or "*:*:*.*"
        named_so = takes_address(address, function["address"]) or (
            function["parent_addr"] is not None
            and single_address(address) == function["parent_addr"]
            and fields_of(function["parent_addr"]) is not None
        )
    wanted = {key: spec.get(key, ANY).strip() for key in IDS}
    return named_so and all(
        wanted[key] == ANY or function[key] is None or f"{int(wanted[key], 16):04x}" == function[key] for key in IDS
    )


def means_every_device(address: str | dict) -> bool:
    """Whether `address` of a device_spec matches every device."""
    if isinstance(address, dict):
        return all(re.match(address.get(field, ".*"), value) for field in FIELDS for value in POSSIBLE[field])
    return all(value == ANY for value in glob_fields(address).values())


def named(spec: dict) -> str:
    """How a device_spec names its devices, in words."""
    return ", ".join(f"{key} {spec[key]}" for key in NAMING if key in spec)
