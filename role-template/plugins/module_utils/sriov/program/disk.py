# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that survive a power cut: written next to the old ones, renamed, and synced with their directories."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable

from .sysfs import list_names

# Temporary files are named by tempfile.mkstemp(): eight characters after the prefix. udev, systemd, modprobe and GRUB
# ignore them.
TEMPORARY_PREFIX = ".sriov-"
TEMPORARY_NAME = re.compile(r"^\.sriov-[a-z0-9_]{8}$")


def write_atomically(
    path: str,
    text: str,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    times: tuple[int, int] | None = None,
) -> None:
    """Replace `path` by `text` in one step: a reader, or a machine that loses power, sees the old or the new file.

    mode, owner, times: see stage(). Creates missing directories. Raises OSError.
    """
    made, temporary = make_directories(os.path.dirname(path)), None
    try:
        temporary = stage(path, text, mode, owner, times)
        os.replace(temporary, path)
    except BaseException:
        discard([temporary] if temporary else [], made)
        raise
    sync_directory(os.path.dirname(path))


def stage(
    path: str,
    text: str,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    times: tuple[int, int] | None = None,
) -> str:
    """Write the new content of `path` to a temporary file next to it and sync it to the disk; os.replace() does the
    rest.

    mode: the permission bits; owner: (uid, gid) or None for the caller's own; times: of access and modification in ns,
    or None for now. Returns the temporary file's path, with a name that sweep() knows. If it raises OSError, it leaves
    no file.
    """
    import tempfile

    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            try:
                if owner is not None:
                    os.fchown(stream.fileno(), *owner)
                os.fchmod(stream.fileno(), mode)
            except PermissionError:
                # An EFI system partition is FAT: modes and owners come from its mount options.
                pass
            _copy_label(path, stream.fileno())
            if times is not None:
                os.utime(stream.fileno(), ns=times)
            os.fsync(stream.fileno())
    except BaseException:
        discard([temporary], [])
        raise
    return temporary


def discard(temporaries: list[str], made: list[str]) -> None:
    """Remove temporary files, and empty directories of make_directories(). What cannot be removed stays."""
    for path in temporaries:
        with contextlib.suppress(OSError):
            os.unlink(path)
    for path in reversed(made):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _copy_label(path, descriptor):
    """Give a new file the SELinux label of the one it replaces: the label of /etc/default/grub differs from that of its
    directory.
    """
    with contextlib.suppress(OSError):
        os.setxattr(descriptor, "security.selinux", os.getxattr(path, "security.selinux"))


def remove_file(path: str) -> None:
    """Remove a file or a link, durable across a power cut. Raises OSError, FileNotFoundError if it does not exist."""
    os.unlink(path)
    sync_directory(os.path.dirname(path))


def make_directories(directory: str) -> list[str]:
    """Create a directory and its missing parents, durable across a power cut.

    Returns the new directories, the outermost first. If it raises OSError, it leaves none of them.
    """
    missing, made = [], []
    while not os.path.isdir(directory):
        if os.path.lexists(directory):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory)
        missing.append(directory)
        directory = os.path.dirname(os.path.abspath(directory))
    try:
        for path in reversed(missing):
            os.mkdir(path, 0o755)
            made.append(path)
            sync_directory(os.path.dirname(path))
    except BaseException:
        discard([], made)
        raise
    return made


def sync_directory(directory: str) -> None:
    """Make links, renames and removals in `directory` durable, if the filesystem supports that. Raises OSError if the
    disk fails.
    """
    descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # The errors of a filesystem without this function, for example some of those in user space.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def sweep(directories: Iterable[str]) -> None:
    """Remove the temporary files that a killed run left in `directories`. Call it only under the lock: the files do not
    show their writer.

    What cannot be removed stays: it does no harm, and the write that follows has the better message.
    """
    for path in leftovers(directories):
        with contextlib.suppress(OSError):
            remove_file(path)


def leftovers(directories: Iterable[str]) -> list[str]:
    """The paths that sweep() removes from `directories`."""
    paths = [
        os.path.join(directory, name)
        for directory in directories
        for name in list_names(directory)
        if TEMPORARY_NAME.match(name)
    ]
    return [path for path in paths if os.path.islink(path) or os.path.isfile(path)]
