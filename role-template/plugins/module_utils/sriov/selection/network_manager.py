# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in which NetworkManager has a separate number of VFs for a PF: nm-settings-nmcli(5), NetworkManager.conf(5).

It writes that number when it takes the PF, 0 if the setting names none, and so destroys what the role has made.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator

from ..program import sysfs
from ..program.host import HOST
from .seen import name_of

FOLDERS = ("etc", "run", "usr/lib")
MAC_SECTIONS = ("ethernet", "802-3-ethernet", "infiniband")


def sections_of(text: str) -> dict[str, dict[str, str]]:
    """The sections of a key file, as GLib reads it: {section: {key: value}}."""
    sections, section = {}, {}
    for line in map(str.strip, text.split("\n")):
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
        elif "=" in line and not line.startswith("#"):
            key, _equals, value = line.partition("=")
            section[key.strip()] = value.strip()
    return sections


def keyfiles(*patterns: str) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """The files of NetworkManager that match, as (path, see sections_of()).

    patterns: below the folders NetworkManager of FOLDERS.
    """
    for folder in FOLDERS:
        for pattern in patterns:
            for path in sorted(glob.glob(os.path.join(HOST.root + "/", folder, "NetworkManager", pattern))):
                yield path, sections_of(sysfs.read_text(path, ""))


def words(text: str | None) -> list[str]:
    """The entries of a list in a file of NetworkManager."""
    return [word for word in (part.strip() for part in re.split("[;,]", text or "")) if word]


def fits_profile(sections: dict[str, dict[str, str]], pf: dict) -> bool:
    """Whether a profile can be activated on a PF: each of what it names fits. pf: see pf_of()."""

    def value(section, key):
        return sections.get(section, {}).get(key)

    def any_fits(patterns, text):
        return any(fnmatch.fnmatchcase(text, pattern.lstrip("|&")) for pattern in patterns)

    kind = value("connection", "type")
    name, macs = value("connection", "interface-name"), [value(section, "mac-address") for section in MAC_SECTIONS]
    names, paths = words(value("match", "interface-name")), words(value("match", "path"))
    return (
        kind in (None, *MAC_SECTIONS)
        and name in (None, "", pf["name"])
        and all(mac.lower() == pf["mac"] for mac in macs if mac)
        and (not names or any_fits(names, pf["name"]))
        and (not paths or any_fits(paths, f"pci-{pf['address']}"))
    )


def fits_spec(spec: str | None, pf: dict) -> bool:
    """Whether a "Device List" of NetworkManager.conf(5) matches a PF; none matches every device. pf: see pf_of()."""

    def fits(word):
        kind, colon, text = word.partition(":")
        if not colon or re.match("^[0-9A-Fa-f]{2}:", word):
            return word == "*" or word == pf["name"] or word.lower() == pf["mac"]
        if kind == "interface-name":
            return text == "=" + pf["name"] or fnmatch.fnmatchcase(pf["name"], text.lstrip("~"))
        return {"mac": text.lower() == pf["mac"], "driver": text == pf["driver"], "type": text == "ethernet"}.get(
            kind, False
        )

    wanted = words(spec)
    refused = [word[7:] for word in wanted if word.startswith("except:")]
    taken = [word for word in wanted if not word.startswith("except:")]
    return not any(map(fits, refused)) and (not taken or any(map(fits, taken)))


def pf_of(device: dict) -> dict:
    """What NetworkManager knows a PF by: address, name, mac and driver, each a text. device: see sriov_devices."""
    name = device["name"] or ""
    driver = sysfs.link_name(sysfs.device_path(device["address"], "driver"))
    mac = sysfs.read_text(os.path.join(HOST.sys, "class/net", name, "address"), "") if name else ""
    return {"address": device["address"], "name": name, "mac": mac.lower(), "driver": driver or ""}


def warnings_about_network_manager(devices: list[dict]) -> list[str]:
    """One sentence for each file of NetworkManager that sets the VFs of one of these PFs.

    devices: see sriov_devices.
    """
    pfs = [pf_of(device) for device in devices if device["boot"] in ("systemd", "udev") and device["name"]]
    if not pfs:
        return []
    found = []
    for path, sections in keyfiles("system-connections/*"):
        if "sriov" in sections:
            found += [(path, "[sriov]", pf) for pf in pfs if fits_profile(sections, pf)]
    for path, sections in keyfiles("NetworkManager.conf", "conf.d/*.conf"):
        for section, values in sections.items():
            if section.startswith("device") and "sriov-num-vfs" in values:
                found += [(path, "sriov-num-vfs", pf) for pf in pfs if fits_spec(values.get("match-device"), pf)]
    return [
        f"{path} has {key} for {name_of(pf['address'])}, so NetworkManager sets the number of its VFs too: remove it "
        "there, or the PF from sriov_devices"
        for path, key, pf in found
    ]
