# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The initramfs of a host with ConnectX-3 cards: it must contain the options of their driver."""

from __future__ import annotations

import os

from .errors import Refusal
from .mlx4_driver import DRIVER, last_lines
from .program import programs

HEADER = "# Written by Ansible (stackhpc.sriov), changes here are lost\n"
# dracut takes /etc/modprobe.d only into the initramfs of a host-only build (modules.d/90kernel-modules, install()), and
# that is not the default of Debian 13, nor of cloud images of EL, which have dracut-config-generic. A file here holds
# for kernels that are installed later too.
DRACUT_PATH = "/etc/dracut.conf.d/stackhpc-sriov-mlx4.conf"
INITRAMFS_COMMANDS = (["update-initramfs", "-u", "-k", "all"], ["dracut", "--force", "--regenerate-all"])
INITRAMFS_SECONDS = 900


def initramfs_command():
    """The command that rebuilds every initramfs of this host; empty if the host has none."""
    for command in INITRAMFS_COMMANDS:
        program = programs.find_program(command[0])
        if program:
            return [program] + command[1:]
    return []


def needed(command):
    """The command that rebuilds every initramfs. Raises Refusal if it is empty."""
    if command:
        return command
    raise Refusal(
        f"neither update-initramfs nor dracut is on this host, and the initramfs must contain the options of {DRIVER}: "
        "install the one that this distribution uses"
    )


def command_text(command):
    """A command as an operator types it."""
    return " ".join([os.path.basename(command[0])] + command[1:])


def rebuild_initramfs(command, run, path):
    """Rebuild every initramfs, and sync it to the disk. Raises Refusal if that fails or takes too long. path: the
    options file.
    """
    code, output, errors = run(["timeout", "--kill-after=10", str(INITRAMFS_SECONDS)] + command)
    if code:
        # 124 and 137 come from timeout(1): the command was ended, or killed, because the time was up.
        how = f"did not finish in {INITRAMFS_SECONDS} s" if code in (124, 137) else f"ended with {code}"
        what = (
            "may lack the options in %s"
            if os.path.exists(path)
            else "may still have the options of %s, which is removed"
        )
        raise Refusal(
            f"the initramfs could not be rebuilt, and {what % path}: {command_text(command)} {how} "
            f"({last_lines(errors) or last_lines(output) or 'no output'}): correct that, then run the role again"
        )
    # The initramfs may be on any file system, such as /boot or an EFI system partition, and neither tool syncs it in
    # every release.
    os.sync()


def listing_for(command, path):
    """The text of dracut's file that puts the options file into every initramfs; None where dracut builds none.

    command: the one that rebuilds the initramfs. path: the options file.
    """
    by_dracut = bool(command) and os.path.basename(command[0]) == "dracut"
    return f'{HEADER}install_items+=" {path} "\n' if by_dracut else None
