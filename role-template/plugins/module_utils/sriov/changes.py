# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host that change one after the other, with programs in between, and are put back if one step fails.

For files that must change together or not at all, see together.py.
"""

from __future__ import annotations

import contextlib
import os
import stat

from .program.disk import remove_file, sync_directory, write_atomically


class Changes:
    """The one way to change a host. In check mode nothing is changed, and later reads return the planned content."""

    def __init__(self, host, check_mode):
        self.host = host
        self.check_mode = check_mode
        self.changed = False
        self.diff = []
        self._before = {}
        self._made = []
        self._planned = {}

    def read(self, path):
        if path in self._planned:
            return self._planned[path]
        return self.host.read(path)

    def write(self, path, text, mode=0o644, keep_times=False):
        """Make `path` hold `text`. `mode` is for a new file; an existing one keeps its mode and owner, and its times
        with `keep_times`.
        """
        before = self.read(path)
        if before == text:
            return
        self._note(path, before, text)
        self.keep(path)
        if self.check_mode:
            self._planned[path] = text
            return
        # A symbolic link stays one: /etc/default/grub may point elsewhere.
        real, owner, times = os.path.realpath(self.host.real(path)), None, None
        if before is not None:
            status = os.stat(real)
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
            times = (status.st_atime_ns, status.st_mtime_ns) if keep_times else None
        write_atomically(real, text, mode, owner, times)

    def put(self, path, text, keep_times=False):
        """Write `text`, or remove the file when it is None."""
        if text is None:
            self.remove(path)
        else:
            self.write(path, text, keep_times=keep_times)

    def remove(self, path):
        before = self.read(path)
        if before is None:
            return
        self._note(path, before, None)
        self.keep(path)
        if self.check_mode:
            self._planned[path] = None
            return
        remove_file(self.host.real(path))

    def command(self, argv, path, header, before, after):
        """Run a command that changes `path`; header, before and after describe the change for the diff. `path` is None
        if the command changes what only it can put back.

        Returns (rc, stdout, stderr); in check mode (0, "", "") without running it. The output of a successful command
        is synced to the disk: grub-mkconfig and grub-editenv do not do that.
        """
        self.changed = True
        self.diff.append({"before_header": header, "after_header": header, "before": before, "after": after})
        if self.check_mode:
            return 0, "", ""
        if path is None:
            return self.host.run(argv, None)
        self.keep(path)
        rc, out, err = self.host.run(argv, None)
        real = os.path.realpath(self.host.real(path))
        if rc == 0 and os.path.isfile(real):
            with open(real, "rb") as stream:
                os.fsync(stream.fileno())
            sync_directory(os.path.dirname(real))
        return rc, out, err

    def keep(self, path):
        """Remember a file as it is now, for undo()."""
        if path in self._before or self.check_mode:
            return
        real = self.host.real(path)
        try:
            with open(real, "rb") as stream:
                self._before[path] = (stream.read(), os.stat(real))
        except (FileNotFoundError, NotADirectoryError):
            self._before[path] = None
            folder = os.path.dirname(real)
            while not os.path.isdir(folder):
                self._made.append(folder)
                folder = os.path.dirname(folder)

    def undo(self):
        """Put back every file that was changed or passed to keep(). Returns the outcome, as part of a sentence."""
        failed = []
        for path, before in self._before.items():
            try:
                self._put_back(os.path.realpath(self.host.real(path)), before)
            except OSError as error:
                failed.append(f"{path} ({error.strerror or error})")
        for folder in self._made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return f"this could not be put back: {', '.join(failed)}" if failed else "everything is as it was"

    @staticmethod
    def _put_back(real, before):
        if before is None:
            if os.path.lexists(real):
                remove_file(real)
            return
        content, status = before
        if os.path.exists(real):
            with open(real, "rb") as stream:
                if stream.read() == content:
                    return
        write_atomically(
            real,
            content.decode("utf-8", "surrogateescape"),
            stat.S_IMODE(status.st_mode),
            (status.st_uid, status.st_gid),
            (status.st_atime_ns, status.st_mtime_ns),
        )

    def _note(self, path, before, after):
        self.changed = True
        self.diff.append(
            {
                "before_header": path,
                "after_header": path,
                "before": before or "",
                "after": after or "",
            }
        )
