# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stackhpc.sriov and stackhpc.linux.sriov left on a host: a block of blockinfile with marker_begin "BEGIN SRIOV",
and a unit for each NIC.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable

from .program import sysfs

LEGACY_BLOCK = re.compile(
    r"^# BEGIN SRIOV ANSIBLE MANAGED BLOCK\n(.*?)^# END ANSIBLE MANAGED BLOCK\n?", re.MULTILINE | re.DOTALL
)
LEGACY_UNIT = re.compile(r"^ExecStart=.*echo \d+ > /sys/class/net/(\S+)/device/sriov_numvfs", re.MULTILINE)
LEGACY_RULE = re.compile(r'> /sys/class/net/([^/"\s]+)/device/sriov_numvfs')


def legacy(unit_directory: str, rule_paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """What the predecessors left: (paths of units and of their links, addresses of the PFs they gave VFs).

    unit_directory: systemd's directory for units of this host. rule_paths: the udev rule files that may contain their
    block.
    """
    paths, netdevs = [], set()
    for path in sorted(glob.glob(unit_directory + "/virtual-functions-*.service")):
        match = LEGACY_UNIT.search(sysfs.read_text(path, ""))
        if match:
            netdevs.add(match.group(1))
            paths += [path] + sorted(glob.glob(f"{unit_directory}/*.[wr]*/{os.path.basename(path)}"))
    # If a predecessor removed a unit without disabling it, its link prevents the start of the units that require it.
    paths += [
        link
        for link in sorted(glob.glob(unit_directory + "/*.[wr]*/virtual-functions-*.service"))
        if os.path.islink(link) and os.readlink(link).startswith(unit_directory + "/") and not os.path.exists(link)
    ]
    for path in sorted(set(rule_paths)):
        for block in LEGACY_BLOCK.findall(sysfs.read_file(path) or ""):
            netdevs.update(LEGACY_RULE.findall(block))
    addresses = [sysfs.pci_of_netdev(netdev) for netdev in sorted(netdevs)]
    return paths, [address for address in addresses if address]
