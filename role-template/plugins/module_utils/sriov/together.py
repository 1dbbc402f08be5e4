# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several files and links of a host, changed together: checked before the first change, and put back if one fails
nevertheless.

A full disk, a read-only filesystem, `chattr +i` or a file in the place of a directory is found while the new files are
written next to the old ones. After that only renames and removals remain, in the order of the plan. Each is durable
before the next one: after a power cut the first ones have happened, and the last ones have not.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets

from .errors import Refusal
from .program import disk, sysfs
from .program.host import HOST


class Planned:
    """One path that changes: its new content, and the temporary names of the new and the old content."""

    def __init__(self, path, text, mode, target, state):
        self.path, self.text, self.mode, self.target, self.state = path, text, mode, target, state
        self.temporary = self.backup = None
        self.done = False

    def removes(self):
        """Whether nothing is left at the path."""
        return self.text is None and self.target is None


class Together:
    """Files changed together: plan them with file() and link(), then stage(), commit() and discard(); undo() takes back
    what commit() did.

    diff: the changes, as modules return them; paths: the paths in it. Neither contains the role's own state.
    """

    def __init__(self):
        self.diff = []
        self.paths = set()
        self._plan = {}
        self._made = []

    def file(self, path, text, mode=0o644, state=False):
        """Plan a file: its text (None: the file must be absent) and permission bits (None: unchanged).

        state: it is state of the role, not a change to report. A second plan for a path replaces the first. Raises
        Refusal.
        """
        try:
            before = sysfs.read_file(path)
            mode_before = None if before is None else os.stat(path).st_mode & 0o7777
        except OSError as error:
            raise unreadable(path, error) from error
        mode = mode_before if mode is None else mode
        same = before == text and (before is None or mode_before == mode)
        self._put(Planned(path, text, mode, None, state), same, None if state else (before, text))

    def link(self, path, target):
        """Plan a symbolic link: its target (None: no link). Raises Refusal."""
        try:
            before = (
                (f"link to {os.readlink(path)}\n")
                if os.path.islink(path)
                else sysfs.read_file(path)
                if target
                else None
            )
        except OSError as error:
            raise unreadable(path, error) from error
        after = target and f"link to {target}\n"
        self._put(Planned(path, None, None, target, False), before == after, (before, after))

    def _put(self, planned, same, shown):
        earlier = self._plan.get(planned.path)
        if (
            earlier
            and not same
            and (earlier.text, earlier.mode, earlier.target) == (planned.text, planned.mode, planned.target)
        ):
            return
        if earlier:
            disk.discard([name for name in (earlier.temporary, earlier.backup) if name], [])
        if same:
            self._plan.pop(planned.path, None)
            return
        self._plan[planned.path] = planned
        if shown:
            self.paths.add(planned.path)
            before, after = shown
            if planned.path == HOST.program:
                before, after = [f"{len(text.splitlines())} lines\n" if text else "" for text in shown]
            self.diff.append(
                {
                    "before_header": planned.path,
                    "after_header": planned.path,
                    "before": before or "",
                    "after": after or "",
                }
            )

    def planned(self):
        """The paths that change, including state."""
        return set(self._plan)

    def removes(self, path):
        """Whether a path of the plan is removed."""
        return self._plan[path].removes()

    def _ordered(self):
        """The plan in the order of execution: state first, then in the order of planning."""
        return sorted(self._plan.values(), key=lambda planned: not planned.state)

    def probe(self):
        """For check mode: raise Refusal for every obstacle that can be seen without a write."""
        for planned in self._plan.values():
            error = obstacle(planned)
            if error:
                raise refusal(planned, error)

    def stage(self):
        """Do everything that can fail, next to the existing files. If it raises Refusal, it leaves nothing behind."""
        for planned in self._plan.values():
            if planned.done or planned.temporary or planned.backup:
                continue
            try:
                if not planned.removes():
                    self._made += disk.make_directories(os.path.dirname(planned.path))
                    planned.temporary = (
                        link_name(planned) if planned.target else disk.stage(planned.path, planned.text, planned.mode)
                    )
                if os.path.lexists(planned.path):
                    # Not a copy: this fails if the file cannot be replaced either, and puts back the same file with its
                    # times.
                    planned.backup = new_name(
                        planned.path, lambda name, path=planned.path: os.link(path, name, follow_symlinks=False)
                    )
            except OSError as error:
                self._drop([planned for planned in self._plan.values() if not planned.done])
                raise refusal(planned, error) from error

    def commit(self, paths=None):
        """Put staged files in their places. Raises Refusal, with `files`: the paths that could not be put back.

        paths: only these, None for all; a later call puts the others.
        """
        for planned in self._ordered():
            if planned.done or paths is not None and planned.path not in paths:
                continue
            try:
                if planned.removes():
                    os.unlink(planned.path)
                else:
                    os.replace(planned.temporary, planned.path)
                    planned.temporary = None
                planned.done = True
                disk.sync_directory(os.path.dirname(planned.path))
            except OSError as error:
                raise self.undo(refusal(planned, error)) from error

    def undo(self, cause):
        """Put back what commit() has put in its place. cause: a Refusal. Returns it, or one with the paths that cannot
        be put back, in its sentence and in its `files`.
        """
        left = {}
        for planned in reversed(self._ordered()):
            if not planned.done:
                continue
            try:
                if planned.backup:
                    os.replace(planned.backup, planned.path)
                    planned.backup = None
                else:
                    os.unlink(planned.path)
                planned.done = False
                disk.sync_directory(os.path.dirname(planned.path))
            except OSError as error:
                left[planned.path] = reason(error, planned.path)
        if not left:
            return cause
        texts = [str(cause)] + ["%s cannot be put back (%s)" % pair for pair in left.items()]
        return Refusal("; ".join(texts), **dict(cause.details, files=sorted(left)))

    def discard(self):
        """Remove the files of stage() that are not needed (any more). A later run's sweep removes what is left."""
        self._drop(self._plan.values())

    def _drop(self, plans):
        """Remove the temporary files of some plans, and the directories of stage() that are empty."""
        disk.discard([name for planned in plans for name in (planned.temporary, planned.backup) if name], self._made)
        self._made = [path for path in self._made if os.path.isdir(path)]
        for planned in plans:
            planned.temporary = planned.backup = None


def refusal(planned, error):
    """The error for a change that is not possible."""
    verb = "removed" if planned.removes() else "written"
    return Refusal(
        f"{planned.path} cannot be {verb} ({reason(error, planned.path)}): correct that, then run the role again"
    )


def unreadable(path, error):
    """The error for a file that cannot be compared."""
    return Refusal(f"{path} cannot be read ({reason(error, path)}): correct that, then run the role again")


def reason(error: OSError, path: str) -> str:
    """The text of an OSError, with the directory above `path` that it is about."""
    where = error.filename if isinstance(error.filename, str) else ""
    return f"{where}: {error.strerror}" if where and path.startswith(where + "/") else error.strerror or str(error)


def obstacle(planned):
    """Why a path cannot be changed, as an OSError, as far as this can be seen without a write; else None."""
    directory = os.path.dirname(planned.path)
    while not os.path.lexists(directory):
        directory = os.path.dirname(directory)
    number = None
    if not os.path.isdir(directory):
        number = errno.ENOTDIR
    else:
        system = os.statvfs(directory)
        if system.f_flag & os.ST_RDONLY:
            number = errno.EROFS
        elif not os.access(directory, os.W_OK | os.X_OK):
            number = errno.EACCES
        elif os.path.isfile(planned.path) and not os.path.islink(planned.path) and not os.access(planned.path, os.W_OK):
            # For root only if the file is immutable (inode_permission()); a rename does not depend on the permission
            # bits.
            return OSError(errno.EPERM, os.strerror(errno.EPERM), planned.path)
        elif not planned.removes() and (
            system.f_blocks and not system.f_bfree or system.f_files and not system.f_ffree
        ):
            number = errno.ENOSPC
    return OSError(number, os.strerror(number), directory) if number else None


def new_name(path, make):
    """Call `make` with a new temporary name next to `path` in the form that disk.sweep() knows; return the name."""
    while True:
        name = os.path.join(os.path.dirname(path), disk.TEMPORARY_PREFIX + secrets.token_hex(4))
        with contextlib.suppress(FileExistsError):
            make(name)
            return name


def link_name(planned: Planned) -> str:
    """Create the link of a plan under a temporary name, and return that name."""
    return new_name(planned.path, lambda name: os.symlink(planned.target, name))
