"""Prints what the machine is like, as JSON, read from the kernel and systemd and through nothing of the role's."""

import glob
import hashlib
import json
import os
import subprocess

OF_THE_ROLE = (
    "/usr/local/sbin/sriov-vfs",
    "/etc/sriov",
    "/etc/udev/rules.d/70-sriov.rules",
    "/etc/udev/rules.d/95-sriov-vfs.rules",
    "/etc/systemd/network/05-sriov-vfs.network",
    "/etc/default/grub.d/zz-sriov.cfg",
    "/etc/systemd/system/sriov-vfs.service",
    "/etc/systemd/system/sriov-vfs@.service",
    "/etc/systemd/system/sriov-vfs-ready@.service",
    "/etc/systemd/system/multi-user.target.wants/sriov-vfs.service",
    "/etc/modprobe.d/stackhpc-sriov-mlx4.conf",
    "/etc/dracut.conf.d/stackhpc-sriov-mlx4.conf",
)


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read().strip()


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def fingerprint():
    """Changes with any file that could be configuration, and with the number of VFs of any PF.

    Not with /var/lib/sriov: what the role keeps in mind between runs (a reason that a reboot has cleared) configures
    nothing.
    """
    parts = lines(
        "find",
        "/etc",
        "/boot",
        "/boot/efi",
        "/usr/local",
        "-xdev",
        "-not",
        "-type",
        "d",
        "-printf",
        "%p %s %m %T@ %l\\n",
    )
    parts += [path + read(path) for path in glob.glob("/sys/bus/pci/devices/*/sriov_numvfs")]
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()


failed = [line.split()[0] for line in lines("systemctl", "--failed", "--plain", "--no-legend")]
print(
    json.dumps(
        {
            "boot_id": read("/proc/sys/kernel/random/boot_id"),
            "boots": len(read("/var/log/rig-boots").splitlines()),
            "cmdline": read("/proc/cmdline").split(),
            "vfs": {
                path.split("/")[-2]: int(read(path))
                for path in sorted(glob.glob("/sys/bus/pci/devices/*/sriov_numvfs"))
            },
            "groups": sorted({read(path) for path in glob.glob("/sys/kernel/iommu_groups/*/type")}),
            "failed": failed,
            # For whoever reads why a step failed.
            "why_failed": [
                line
                for unit in failed
                for line in lines(
                    "journalctl", "-b", "-q", "--no-pager", "-n", "20", "-o", "short-monotonic", "-u", unit
                )
            ],
            # By systemd's name and not its number: those of the boot itself came through the kernel's log, which has no
            # _PID.
            "cycles": [
                line
                for line in lines("journalctl", "-b", "-q", "--no-pager", "-t", "systemd")
                if "ordering cycle" in line
            ],
            "files": [path for path in OF_THE_ROLE if os.path.lexists(path)],
            "fingerprint": fingerprint(),
        }
    )
)
