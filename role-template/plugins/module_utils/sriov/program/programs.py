# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs of this host, and their output."""

from __future__ import annotations

import json
import os

# The directories of root's programs; sudo and systemd may pass a shorter PATH.
PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def find_program(name: str) -> str | None:
    """The path of a program that root can run, or None."""
    import shutil

    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""),) + PROGRAM_DIRECTORIES))


def json_of(command: list[str]) -> object:
    """The JSON that a command prints, or None when it fails, prints none, or takes longer than 30 s."""
    import subprocess

    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True)
        return json.loads(done.stdout or b"[]")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
