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
    for key in ("boot_wait", "numvfs_timeout"):
        if not is_seconds(config[key]):
            return key, config[key]
    if not is_plain(config.get("udev_rule_path", "")):
        return "udev_rule_path", config["udev_rule_path"]
    if not isinstance(config["devices"], list):
        return "devices", config["devices"]
    for index, device in enumerate(config["devices"]):
        where = f"devices[{index}]"
        if not isinstance(device, dict):
            return where, device
        count = device.get("numvfs")
        checks = (
            ("address", isinstance(device.get("address"), str) and PCI_ADDRESS.match(device["address"])),
            ("id", device.get("id") is None or isinstance(device["id"], str) and DEVICE_ID.match(device["id"])),
            ("numvfs", isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_VFS),
            ("boot", device.get("boot") in ("systemd", "udev")),
            ("optional", isinstance(device.get("optional"), bool)),
            # Files of earlier versions have no name.
            ("name", is_plain(device.get("name", "")) and device.get("name", "").isascii()),
        )
        for key, good in checks:
            if not good:
                return f"{where} {key}", device.get(key)
    return None


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
