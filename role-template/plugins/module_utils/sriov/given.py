# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the PFs that a module gets from sriov_devices: Ansible checks only that they are a list of maps."""

from __future__ import annotations

import re
from collections.abc import Collection

from .errors import Refusal
from .program.configuration import DEVICE_ID, MOST_VFS, are_left_alone, are_settings, is_count
from .program.sysfs import PCI_ADDRESS


def is_file_name(name: str) -> bool:
    """Whether a text can be a part of a path and a word in a unit: every name of a unit can."""
    return isinstance(name, str) and name.isprintable() and not re.search(r"[\s/]", name) and name.strip(".") != ""


# Each field of a PF: its valid values, in words and as a check.
FIELDS = {
    "address": (
        "a PCI address such as 0000:3b:00.0",
        lambda value: isinstance(value, str) and bool(PCI_ADDRESS.match(value)),
    ),
    # PCI has 16 bits for it.
    "numvfs": ("a whole number from 0 to 65535", lambda value: is_count(value, MOST_VFS)),
    "selector": ("text", lambda value: isinstance(value, str)),
    "boot": ("text", lambda value: isinstance(value, str)),
    "driver": ("text or null", lambda value: value is None or isinstance(value, str)),
    "port": ("1, 2 or null", lambda value: value is None or is_count(value, 2) and value != 0),
    "probe_vf": (
        "a whole number or null",
        lambda value: value is None or isinstance(value, int) and not isinstance(value, bool),
    ),
    "waits": ("text", lambda value: isinstance(value, str)),
    "name": ("text or null", lambda value: value is None or isinstance(value, str)),
    "id": (
        "vendor:product or null",
        lambda value: value is None or isinstance(value, str) and bool(DEVICE_ID.match(value)),
    ),
    "optional": ("true or false", lambda value: isinstance(value, bool)),
    "trigger": ("net or pci", lambda value: value in ("net", "pci")),
    "required_by": (
        "a list of units",
        lambda value: isinstance(value, list) and all(is_file_name(unit) for unit in value),
    ),
    "up": ("true or false", lambda value: isinstance(value, bool)),
    "autoprobe": ("true or false", lambda value: isinstance(value, bool)),
    "vfs": ("a list of VFs with their settings", are_settings),
    "left_alone": ("all or a list of VFs", are_left_alone),
    "firmware": ("a map or null", lambda value: value is None or isinstance(value, dict)),
}


def refuse_wrong(devices: list[dict], required: Collection[str]) -> None:
    """Raise Refusal, with its index, if a PF is not in the form that sriov_devices returns.

    devices: the module's option; required: the names of the fields that every PF must have. The other FIELDS are
    optional.
    """
    for index, device in enumerate(devices):
        for name, (words, fits) in FIELDS.items():
            if name not in device:
                if name in required:
                    raise Refusal(
                        f"devices[{index}] has no {name}: give the devices as the module sriov_devices returns them"
                    )
            elif not fits(device[name]):
                raise Refusal(
                    f"devices[{index}]: {name} is {device[name]!r:.60} and not {words}: give the devices as the module "
                    "sriov_devices returns them"
                )
