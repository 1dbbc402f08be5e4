# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of tests are in memory where the machine has room for them there.

A run makes some hundred thousand files, all small; a disk takes as long to make and remove them as all the rest takes.
They are removed after the run, and those of a run that was killed after the next one: --basetemp DIR keeps them.
"""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

MEMORY = "/dev/shm"
#: A run takes less than half of it.
ENOUGH = 1 << 30


def has_room(folder):
    """Whether files can be made in the folder, and programs among them be run: a container's /dev/shm is small, and not
    for programs.
    """
    try:
        there = os.statvfs(folder)
    except OSError:
        return False
    return os.access(folder, os.W_OK) and not there.f_flag & os.ST_NOEXEC and there.f_bavail * there.f_frsize >= ENOUGH


def remove_those_of_dead_processes():
    for folder in Path(MEMORY).glob("sriov-role-*-*"):
        pid = folder.name.split("-")[2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def interrupted(number, frame):
    """SIGTERM ends a run as Ctrl-C does, with what must be done at its end; without this Python ends at once."""
    raise KeyboardInterrupt


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # A worker of pytest-xdist has a folder in that of the process that has started it.
    if config.option.basetemp is None and not hasattr(config, "workerinput") and has_room(MEMORY):
        remove_those_of_dead_processes()
        signal.signal(signal.SIGTERM, interrupted)
        config.option.basetemp = tempfile.mkdtemp(prefix=f"sriov-role-{os.getpid()}-", dir=MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(config.option.basetemp, ignore_errors=True))


def pytest_addoption(parser):
    parser.addoption("--results", metavar="FILE", help="write how many tests passed, failed and so on, as JSON")


def pytest_terminal_summary(terminalreporter, config):
    """Write the counts that the last line shows, by pytest's own categories; the file appears whole or not at all."""
    if config.option.results is None:
        return
    counts = {
        category: sum(getattr(report, "count_towards_summary", True) for report in reports)
        for category, reports in terminalreporter.stats.items()
        # Setup and teardown that passed have none.
        if category
    }
    part = Path(f"{config.option.results}.part")
    part.write_text(json.dumps(counts), encoding="utf-8")
    part.replace(config.option.results)
