# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd units that create VFs at boot and when a PF appears.

They are here and not in templates of the role: the controller would render templates for each host, and send them with
each module.
"""

from __future__ import annotations

BOOT = """\
[Unit]
Description=Create the SR-IOV virtual functions
# No default dependencies: network-pre.target comes before sysinit.target where cloud-init configures the network.
DefaultDependencies=no
RequiresMountsFor=/usr/local/sbin /etc/sriov
After=systemd-modules-load.service systemd-udevd.service openibd.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/sriov-vfs boot
# The program bounds each of its waits: for drivers, for the lock, for the kernel.
TimeoutStartSec=LIMIT_SECONDS
# What only waits for a reboot has not failed.
SuccessExitStatus=3

[Install]
WantedBy=multi-user.target
"""

DEVICE = """\
[Unit]
Description=Create the SR-IOV virtual functions of %i
DefaultDependencies=no
RequiresMountsFor=/usr/local/sbin /etc/sriov
After=sriov-vfs.service
Before=shutdown.target
Conflicts=shutdown.target
# udev starts this each time the PF appears, however often that is.
StartLimitIntervalSec=0

[Service]
# Not RemainAfterExit: a unit that is still active would not be started for a PF that comes back.
Type=oneshot
ExecStart=/usr/local/sbin/sriov-vfs device %i
TimeoutStartSec=LIMIT_SECONDS
# What only waits for a reboot has not failed.
SuccessExitStatus=3
"""

READY = """\
[Unit]
Description=Check that the SR-IOV virtual functions of %i are there
DefaultDependencies=no
RequiresMountsFor=/usr/local/sbin /etc/sriov
After=sriov-vfs.service
Before=shutdown.target
Conflicts=shutdown.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/sriov-vfs ready %i
"""


def texts(boot_wait: int, numvfs_timeout: int, settings_timeout: int) -> dict[str, str]:
    """The text of each unit, by its name. Arguments: see the module sriov_vfs, whole numbers."""
    # The program bounds each of its waits; this is more than all of them.
    limit = str(boot_wait + 8 * numvfs_timeout + 2 * settings_timeout + 2400)
    return {
        "sriov-vfs.service": BOOT.replace("LIMIT_SECONDS", limit),
        "sriov-vfs@.service": DEVICE.replace("LIMIT_SECONDS", limit),
        "sriov-vfs-ready@.service": READY,
    }
