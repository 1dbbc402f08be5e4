# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths of a host that the role reads and writes."""

from __future__ import annotations


class Host:
    """The paths of a host whose files are below `root`. HOST has the paths of this machine."""

    def __init__(self, root: str = "/") -> None:
        self.move(root)

    def move(self, root: str) -> None:
        """Move all paths below another directory: a test points HOST at a tree that looks like a host."""
        self.root = root = root.rstrip("/")
        self.sys = root + "/sys"
        self.proc = root + "/proc"
        # systemd's units of this host, the udev rules of the role, and the list of files that both have still to read.
        self.units = root + "/etc/systemd/system"
        self.udev_rules = root + "/etc/udev/rules.d/70-sriov.rules"
        # The udev rule and the networkd file for VFs that the host's network leaves alone. udev keeps the last value of
        # a property, and netplan sets NM_UNMANAGED in 90-netplan.rules. networkd uses the first file that matches, and
        # netplan's are 10-netplan-*.network.
        self.left_alone_rules = root + "/etc/udev/rules.d/95-sriov-vfs.rules"
        self.left_alone_network = root + "/etc/systemd/network/05-sriov-vfs.network"
        self.owed = root + "/run/sriov-vfs.owed"
        self.kmsg = root + "/dev/kmsg"
        self.udev_data = root + "/run/udev/data"
        # The kernel's id of the boot (random(4)).
        self.boot_id = root + "/proc/sys/kernel/random/boot_id"
        # See record.py. In /run, because it has no meaning after a boot.
        self.records = root + "/run/sriov"
        self.lock = root + "/run/sriov-vfs.lock"
        self.program = root + "/usr/local/sbin/sriov-vfs"
        self.config = root + "/etc/sriov/vfs.json"
        # What waits for a reboot, and what else the role remembers from run to run.
        self.state = root + "/var/lib/sriov"

    def real(self, path: str) -> str:
        """The path for this process of a path of the host, such as /etc/default/grub."""
        return self.root + path


# The machine that runs this code. Every part reads it, and no function has it as an argument: sysfs belongs to one
# kernel, and a parameter through all of sixty functions would carry no information.
HOST = Host()
