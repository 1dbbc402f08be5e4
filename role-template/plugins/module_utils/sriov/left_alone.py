# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs that NetworkManager and systemd-networkd leave alone: the files for both, and how they are read while VFs exist.

udev marks the interfaces of these VFs. NetworkManager reads the mark NM_UNMANAGED itself; systemd-networkd has a
.network file for the other one. The rule asks sysfs, and starts no program: it holds for an interface from its first
event on, also when it comes back from a guest or from another network namespace.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from .program import sysfs
from .program.host import HOST

MARK = "SRIOV_LEFT_ALONE"
HEAD = "# sriov-vfs: written by Ansible, changes here are lost\n"
SET_MARK = f'ENV{{NM_UNMANAGED}}="1", ENV{{{MARK}}}="1"'
# Link.Unmanaged= and Match.Property= of systemd.network(5), both known to systemd 243.
NETWORK = f"""\
{HEAD}[Match]
Property={MARK}=1

[Link]
Unmanaged=yes
"""


def lines_of(address: str, numbers: str | list[int]) -> list[str]:
    """The lines of the rule for one PF. numbers: "all", or the numbers of its VFs that are left alone.

    The kernel's name, not the one that udev is about to give: the file is looked up before the interface is renamed.
    """
    pf = f'ATTR{{device/physfn/uevent}}%s"*PCI_SLOT_NAME={address}*"'
    if numbers == "all":
        return [f"{pf % '=='}, {SET_MARK}"]
    end = f"sriov_vfs_{address}_end"
    vfs = [f'TEST=="/sys/bus/pci/devices/{address}/virtfn{number}/net/$kernel", {SET_MARK}' for number in numbers]
    return [f'{pf % "!="}, GOTO="{end}"'] + vfs + [f'LABEL="{end}"']


def rule_text(wanted: dict[str, str | list[int]]) -> str:
    """The rule file. wanted: see wanted_of()."""
    lines = [
        'SUBSYSTEM!="net", GOTO="sriov_vfs_end"',
        'ACTION=="remove", GOTO="sriov_vfs_end"',
        'TEST!="device/physfn", GOTO="sriov_vfs_end"',
    ]
    for address, numbers in sorted(wanted.items()):
        lines += lines_of(address, numbers)
    return HEAD + "\n".join(lines + ['LABEL="sriov_vfs_end"', ""])


def kept_of(addresses: Collection[str]) -> dict[str, str | list[int]]:
    """Of PFs those VFs that the present rule file leaves alone, as wanted_of()."""
    text = sysfs.read_text(HOST.left_alone_rules, "") or ""
    found = {}
    for address in addresses:
        if lines_of(address, "all")[0] in text.split("\n"):
            found[address] = "all"
        else:
            found[address] = [int(number) for number in re.findall(rf"/{re.escape(address)}/virtfn([0-9]+)/", text)]
    return {address: numbers for address, numbers in found.items() if numbers}


def wanted_of(devices: list[dict], staying: Collection[str] = ()) -> dict[str, str | list[int]]:
    """The VFs to leave alone, by address of the PF: "all" or a list of numbers.

    devices: see sriov_devices. staying: the PFs that are no longer wanted and keep their VFs until the next boot. What
    is left alone of these stays so: a guest may have one of them, and the others must not get an address now.

    Not of PFs that the role does not manage. Of VFs that the driver of the PF makes, all or none: both ports of a
    ConnectX-3 have one address, and each device counts the VFs of one port from 0.
    """
    found, by_driver = kept_of(staying), {}
    for device in devices:
        numbers = device.get("left_alone", []) if device["numvfs"] > 0 else []
        if device["boot"] == "module":
            by_driver.setdefault(device["address"], []).append(numbers)
        elif device["boot"] != "none" and numbers:
            found[device["address"]] = numbers
    found.update({address: "all" for address, ports in by_driver.items() if all(numbers == "all" for numbers in ports)})
    return found


def files(devices: list[dict], staying: Collection[str]) -> dict[str, tuple[str | None, int]]:
    """Each file, as its text (None: it must not exist) and its mode, by path. Arguments: see wanted_of()."""
    wanted = wanted_of(devices, staying)
    return {
        HOST.left_alone_rules: (rule_text(wanted) if wanted else None, 0o644),
        HOST.left_alone_network: (NETWORK if wanted else None, 0o644),
    }


def runs(unit: str) -> bool:
    """Whether systemd runs a unit: it keeps a link for each unit that is active."""
    return os.path.lexists("/run/systemd/units/invocation:" + unit)


def vfs_of(wanted: dict[str, str | list[int]]) -> set[str]:
    """The addresses of the VFs to leave alone that exist. wanted: see wanted_of()."""
    return {
        vf
        for address, numbers in wanted.items()
        for number, vf in enumerate(sysfs.vf_addresses(address))
        if vf and (numbers == "all" or number in numbers)
    }


def otherwise_marked(devices: list[dict], staying: Collection[str]) -> dict[str, bool]:
    """The interfaces of VFs whose mark in udev's database is not as wanted: {name: whether it is for guests}.

    An interface without a record there has not had its first event yet, which brings its mark.
    """
    vfs, found = vfs_of(wanted_of(devices, staying)), {}
    for name in sysfs.list_names(os.path.join(HOST.sys, "class/net")):
        base = os.path.join(HOST.sys, "class/net", name)
        index = sysfs.read_int(os.path.join(base, "ifindex"))
        record = sysfs.read_text(os.path.join(HOST.udev_data, f"n{index}"))
        if record is None or not os.path.exists(os.path.join(base, "device/physfn")):
            continue
        wanted = os.path.basename(os.path.realpath(os.path.join(base, "device"))) in vfs
        if (f"E:{MARK}=1" in record.split("\n")) != wanted:
            found[name] = wanted
    return found


def events(paths: list[str], devices: list[dict], staying: Collection[str]) -> list[list[str]]:
    """The commands after which the services know of VFs that existed before these files changed. devices, staying: see
    wanted_of().

    NetworkManager reads the mark only when an interface appears (nm_device_set_unmanaged_by_user_udev). It has no
    command to take an interface again by its configuration, so a VF that is no longer left alone waits for its next
    creation.
    """
    changed = otherwise_marked(devices, staying) if HOST.left_alone_rules in paths else {}
    if not changed or not os.path.exists("/run/udev/control"):
        return []
    trigger = ["udevadm", "trigger", "--settle", "--action=change"]
    commands = [trigger + [f"/sys/class/net/{name}" for name in changed]]
    if runs("NetworkManager.service"):
        commands += [["nmcli", "device", "set", name, "managed", "no"] for name, wanted in changed.items() if wanted]
    return commands
