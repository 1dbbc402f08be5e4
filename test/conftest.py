# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of tests are in memory where the machine has room for them there.

A run makes some hundred thousand files, all small; a disk takes as long to make and remove them as all the rest takes. They are gone
after the run: --basetemp DIR keeps them.
"""

import os
import shutil
import tempfile

import pytest

MEMORY = "/dev/shm"
#: A run takes less than half of it.
ENOUGH = 1 << 30


def has_room(folder):
    """Whether files can be made in the folder, and programs among them be run: a container's /dev/shm is small, and not for programs."""
    try:
        there = os.statvfs(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and not there.f_flag & os.ST_NOEXEC and there.f_bavail * there.f_frsize >= ENOUGH


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # A worker of pytest-xdist has a folder in that of the process that has started it.
    if config.option.basetemp is None and not hasattr(config, "workerinput") and has_room(MEMORY):
        config.option.basetemp = tempfile.mkdtemp(prefix="sriov-role-", dir=MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))
