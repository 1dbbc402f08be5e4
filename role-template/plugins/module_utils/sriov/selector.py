# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the form of the selector of an entry of sriov_devices, as far as possible without the host."""

from __future__ import annotations

import re

from .errors import Refusal
from .program.sysfs import PCI_ADDRESS

SELECTORS = ("name", "address", "mac", "vendor_id", "driver")
ORDINARY_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}\Z")
LABEL = re.compile(r"^[A-Za-z0-9_.:@ -]{1,64}\Z")
MAC = re.compile(r"^([0-9a-f]{2}:){5}[0-9a-f]{2}$")
HEXADECIMAL_ID = re.compile(r"^(0x)?[0-9a-f]{4}$")
SHORT_ADDRESS = re.compile(r"^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
QUOTE = {
    "address": "0000:3b:00.0",
    "mac": "b8:59:9f:0c:aa:02",
    "vendor_id": "15b3",
    "product_id": "1017",
    "name": "ens1f0",
    "driver": "ice",
}


def read_as_number(where: str, name: str, value: object, example: str) -> str:
    """The sentence for a value that should have been text. name: with its parent, as in "nova.vendor_id"."""
    # Four digits are as written. YAML turns an id that begins with 0 or 0x into another number.
    if example in (QUOTE["vendor_id"], QUOTE["product_id"]) and isinstance(value, int) and 1000 <= value <= 9999:
        example = str(value)
    return (
        f"{where}: {name} is {value!r}, which YAML has read as a "
        f"{'truth value' if isinstance(value, bool) else 'number'}: put it in quotes, as in {name.rpartition('.')[2]}: "
        f'"{example}"'
    )


def labelled(entry: dict, where: str) -> str:
    """An entry in words, as in checked_selector(), with its selector if that is valid: "sriov_devices[0] (name
    ens1f0)".
    """
    given = [key for key in SELECTORS if entry.get(key) is not None]
    keys = ["vendor_id", "product_id"] if given == ["vendor_id"] else given
    values = [entry.get(key) for key in keys]
    if len(given) != 1 or not all(isinstance(value, str) and LABEL.match(value) for value in values):
        return where
    return f"{where} ({', '.join((f'{key} {value.strip()}' for key, value in zip(keys, values)))})"


def text_of(entry: dict, key: str, where: str) -> str:
    """A selector's value as lower-case text (names keep their case). Raises Refusal if YAML read it as a number."""
    value = entry[key]
    if not isinstance(value, str):
        raise Refusal(read_as_number(where, key, value, QUOTE[key]))
    return value.strip() if key in ("name", "driver") else value.strip().lower()


def pci_address(text: str) -> str | None:
    """A PCI address in the kernel's notation, from one that may lack its domain; None if it is not an address."""
    address = text.strip().lower()
    address = "0000:" + address if SHORT_ADDRESS.match(address) else address
    return address if PCI_ADDRESS.match(address) else None


def checked_selector(entry: dict, index: int) -> tuple[str, str, str]:
    """The one selector of an entry, as (kind, value, where), checked in form.

    Raises Refusal if there is none, more than one, or an invalid one.
    """
    where = f"sriov_devices[{index}]"
    given = [key for key in SELECTORS if entry.get(key) is not None]
    if entry.get("product_id") is not None and "vendor_id" not in given:
        raise Refusal(f"{where}: product_id needs vendor_id too")
    if not given:
        raise Refusal(f"{where} has no selector: give it one of name, address, mac, vendor_id with product_id, driver")
    if len(given) > 1:
        raise Refusal(f"{where} has {len(given)} selectors ({', '.join(given)}): keep one of them")
    kind = given[0]
    value = text_of(entry, kind, where)
    if kind in ("name", "driver") and not ORDINARY_NAME.match(value):
        raise Refusal(
            f"{where}: {kind} {value!r} has characters that no interface or driver name may contain: correct it"
        )
    if kind == "address":
        address = pci_address(value)
        if address is None:
            raise Refusal(f'{where}: address {value!r} is not a PCI address: write it as "0000:3b:00.0"')
        value = address
    if kind == "mac":
        value = value.replace("-", ":")
        if not MAC.match(value):
            raise Refusal(f'{where}: mac {value!r} is not a MAC address: write it as "b8:59:9f:0c:aa:02"')
    if kind == "vendor_id":
        if entry.get("product_id") is None:
            raise Refusal(f"{where}: vendor_id needs product_id too")
        vendor, product = (checked_digits(entry, key, where) for key in ("vendor_id", "product_id"))
        return "id", f"{vendor}:{product}", f"{where} (vendor_id {vendor}, product_id {product})"
    return kind, value, f"{where} ({kind} {value})"


def checked_digits(entry: dict, key: str, where: str) -> str:
    """Half of a PCI id, as four digits. Raises Refusal for an invalid one."""
    half = text_of(entry, key, where)
    if not HEXADECIMAL_ID.match(half):
        raise Refusal(f'{where}: {key} {half!r} is not four hexadecimal digits: write it as "{QUOTE[key]}"')
    return half[-4:]
