# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and checks the configuration file, which the role writes."""

from __future__ import annotations

import json
import os
import re

from ..errors import Refusal
from .host import HOST
from .sysfs import PCI_ADDRESS, boot_id

# argparse, shutil, subprocess and tempfile are imported where they are used. Their import takes longer than the rest of
# the program's start, udev starts one program for each PF, and a boot without problems needs none of them.
BOOT_UNIT = "sriov-vfs.service"
CONFIG_FORMAT = 1
DEVICE_ID = re.compile(r"^[0-9a-f]{4}:[0-9a-f]{4}\Z")
# sriov_numvfs is a u16; the time is a limit that select() accepts.
MOST_VFS, MOST_SECONDS = 65535, 10**9
# Seconds for which a VF may be in a reset before it takes a setting, where the file does not say.
SETTINGS_TIMEOUT = 30
MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
GUID = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){7}\Z")
# A word that can be a part of a path, and that no program takes for an option.
DRIVER = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_-]*\Z")


def load_config() -> dict | None:
    """The configuration file as a dict, or None when there is none.

    Raises Refusal if it cannot be read as configuration of this program.
    """
    path = HOST.config
    try:
        with open(path, encoding="utf-8") as stream:
            config = json.load(stream)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal(f"{path} cannot be read ({error}): run the role again, it writes the file again") from error
    if not isinstance(config, dict) or config.get("format") != CONFIG_FORMAT:
        raise Refusal(
            f"{path} has format {ascii(config.get('format') if isinstance(config, dict) else None)[:80]}, this program "
            f"reads format {CONFIG_FORMAT}: run the role again"
        )
    missing = sorted({"boot_wait", "numvfs_timeout", "devices"} - set(config))
    if missing:
        raise Refusal(f"{path} lacks {', '.join(missing)}: run the role again, it writes the file again")
    wrong = wrong_in(config)
    if wrong:
        raise Refusal(
            f"{path}: {wrong[0]} is {ascii(wrong[1])[:80]}, which the role never writes: run the role again, it writes "
            "the file again"
        )
    return config


def is_seconds(value):
    """Whether a value of the configuration is a valid waiting time."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS


def wrong_in(config):
    """The first unusable value in a configuration: (its place, the value); None if there is none."""
    for key in ("boot_wait", "numvfs_timeout", "settings_timeout"):
        # Files of earlier versions have no settings_timeout.
        if not is_seconds(config.get(key, SETTINGS_TIMEOUT)):
            return key, config[key]
    if not is_plain(config.get("udev_rule_path", "")):
        return "udev_rule_path", config["udev_rule_path"]
    if not isinstance(config["devices"], list):
        return "devices", config["devices"]
    for index, device in enumerate(config["devices"]):
        where = f"devices[{index}]"
        if not isinstance(device, dict):
            return where, device
        checks = (
            ("address", isinstance(device.get("address"), str) and PCI_ADDRESS.match(device["address"])),
            ("id", device.get("id") is None or isinstance(device["id"], str) and DEVICE_ID.match(device["id"])),
            ("numvfs", is_count(device.get("numvfs"), MOST_VFS)),
            ("boot", device.get("boot") in ("systemd", "udev")),
            ("optional", isinstance(device.get("optional"), bool)),
            # Files of earlier versions have no name.
            ("name", is_plain(device.get("name", "")) and device.get("name", "").isascii()),
            ("up", isinstance(device.get("up", True), bool)),
            ("autoprobe", isinstance(device.get("autoprobe", True), bool)),
            ("vfs", are_settings(device.get("vfs", []))),
            ("left_alone", are_left_alone(device.get("left_alone", []))),
        )
        for key, good in checks:
            if not good:
                return f"{where} {key}", device.get(key)
    return None


def is_count(value: object, most: int) -> bool:
    """Whether a value is a whole number from 0 to `most`."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


# Each setting of a VF, and what its value must be.
SETTINGS = {
    "vf": lambda value: is_count(value, MOST_VFS),
    "mac": lambda value: isinstance(value, str) and bool(MAC.match(value)),
    "vlan": lambda value: is_count(value, 4094),
    "qos": lambda value: is_count(value, 7),
    "proto": lambda value: value in ("802.1q", "802.1ad"),
    "spoofchk": lambda value: isinstance(value, bool),
    "trust": lambda value: isinstance(value, bool),
    "state": lambda value: value in ("auto", "enable", "disable"),
    "node_guid": lambda value: isinstance(value, str) and bool(GUID.match(value)),
    "port_guid": lambda value: isinstance(value, str) and bool(GUID.match(value)),
    "driver": lambda value: isinstance(value, str) and bool(DRIVER.match(value)),
}


def are_settings(value: object) -> bool:
    """Whether a value is a list of VFs with their settings, each VF in it once."""
    if not isinstance(value, list) or not all(isinstance(one, dict) and "vf" in one for one in value):
        return False
    valid = all(key in SETTINGS and SETTINGS[key](setting) for one in value for key, setting in one.items())
    return valid and len({one["vf"] for one in value}) == len(value)


def are_left_alone(value: object) -> bool:
    """Whether a value names the VFs that the host's network does not touch."""
    return value == "all" or isinstance(value, list) and all(is_count(number, MOST_VFS) for number in value)


def is_plain(value: object) -> bool:
    """Whether a value of the configuration is text that can be printed and used as a path."""
    return isinstance(value, str) and (value.isprintable() or not value)


def firmware_waits(address: str) -> bool:
    """Whether the firmware of a PF's card was set in this boot, so that the next boot changes what it offers."""
    try:
        with open(os.path.join(HOST.state, "pending-firmware.json"), encoding="utf-8") as stream:
            pending = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return False
    card = address.rpartition(".")[0]
    return isinstance(pending, dict) and any(
        key.startswith(f"firmware:{card}.") and boot == boot_id() for key, boot in pending.items()
    )
