# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one lock that the role, the boot unit and udev's units share."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator

from ..errors import Refusal
from .host import HOST
from .sysfs import read_text


def lock_wait(numvfs_timeout: float) -> float:
    """How long to wait for the lock: as long as its holder may need to set the VFs of a slow card and to put them back,
    plus a reserve.
    """
    return 600 + 2 * numvfs_timeout


@contextlib.contextmanager
def locked(timeout: float = 600) -> Iterator[None]:
    """Hold the one lock that the role, the boot unit and udev's units share; wait at most `timeout` seconds for it.

    Raises Refusal, naming the holder, when it stays taken.
    """
    descriptor = os.open(HOST.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    raise
            if time.monotonic() >= deadline:
                raise Refusal(
                    f"process {read_text(HOST.lock, '?')} has held {HOST.lock} for over {int(timeout)} s: wait for it "
                    "or end it, then run again"
                )
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            # Closing the file is not enough: a child that hangs in the kernel has the same open file and would keep the
            # lock. If this process is killed, that is wanted: its child may still be writing.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
