# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of a module that end half-way: at each single change of the host in turn, by a failure or as a killed process
ends.
"""

import errno
import os
import sys
import tempfile

KILLED = 77


class Killed(BaseException):
    """The process is dead: code that catches this and continues to change something gets it again."""


class Changes:
    """Counts the changes that a run makes: files made, renamed, removed and synced, directories made, and programs that
    change something.

    at: the number of the change that is disturbed, from 1. how: "killed before" it, "killed after" it, or an errno with
    which it fails (a program then says so, see program()).
    """

    CALLS = ((os, "replace"), (os, "unlink"), (os, "mkdir"), (os, "fsync"), (tempfile, "mkstemp"))

    def __init__(self, patch, at, how):
        self.at, self.how, self.count, self.dead, self.disturbed = at, how, 0, False, None
        for module, name in self.CALLS:
            patch.setattr(module, name, self._counted(name, getattr(module, name)))

    def _counted(self, name, really):
        def change(*arguments, **more):
            return self.program(lambda: really(*arguments, **more), name, None)

        return change

    def program(self, work, name, failure):
        """Make one change. work: what makes it; failure: what it returns when it fails, an OSError is raised where that
        is None.
        """
        if self.dead:
            raise Killed
        self.count += 1
        if self.count != self.at:
            return work()
        self.disturbed = name
        if self.how == "killed after":
            work()
        if self.how in ("killed before", "killed after"):
            self.dead = True
            raise Killed
        if failure is not None:
            return failure
        raise OSError(self.how, os.strerror(self.how))


def kill():
    """End this process as SIGKILL does: no handler and no `finally` of Python runs. For what was_killed() runs."""
    os._exit(KILLED)


def was_killed(work):
    """Call `work` in a separate process; whether kill() ended it. An exception in it fails the test."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, KILLED)
    return code == KILLED


HOW = ("killed before", "killed after", errno.ENOSPC, errno.EROFS)
