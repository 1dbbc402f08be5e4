# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's messages about a PF while its VFs are set, and a failure that contains them."""

from __future__ import annotations

import os
import re

from .host import HOST

KERNEL_LOG_LINES, KERNEL_LOG_WIDTH, KERNEL_LOG_RECORDS = 5, 200, 4096


class Failure(str):
    """One sentence on a PF whose VFs could not be set.

    kernel_log: the kernel's messages about the PF meanwhile, a list of lines. late: the kernel had not finished when
    the time was over. pid: the process that was left behind in that case.
    """

    kernel_log = ()
    late = False
    pid = None

    @classmethod
    def of(cls, sentence, kernel_log=(), pid=None, late=False):
        """A failure with its details."""
        failure = cls(sentence)
        failure.kernel_log, failure.pid, failure.late = list(kernel_log), pid, late
        return failure


class KernelLog:
    """The kernel's messages about one PCI function from now on (Documentation/ABI/testing/dev-kmsg). A log that cannot
    be read is not an error.
    """

    def __init__(self, address):
        self.address, self.descriptor = address, None
        try:
            self.descriptor = os.open(HOST.kmsg, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self.descriptor, 0, os.SEEK_END)
        except OSError:
            self.close()

    def close(self):
        """Close the log."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None

    def lines(self):
        """The last lines since then, bounded in number and width, in printable ASCII; None when the log cannot be
        read.
        """
        if self.descriptor is None:
            return None
        text = b""
        for _record in range(KERNEL_LOG_RECORDS):
            try:
                record = os.read(self.descriptor, 8192)
            except BrokenPipeError:
                # Records that the kernel has overwritten meanwhile.
                continue
            except BlockingIOError:
                break
            except OSError:
                return None
            if not record:
                break
            text += record
        ours, last = [], None
        for line in text.decode("ascii", "replace").splitlines():
            head, _semicolon, words = line.partition(";")
            if line.startswith(" "):
                if last and line == " DEVICE=+pci:" + self.address:
                    ours.append(last)
                    last = None
                continue
            last = None
            # Only the kernel's own lines have facility 0: any program of root can write others.
            if head.partition(",")[0].isdigit() and int(head.partition(",")[0]) >> 3 == 0:
                words = re.sub(r"[^ -~]", "?", re.sub(r"\\x[0-9a-f]{2}", "?", words))[:KERNEL_LOG_WIDTH]
                if re.search(rf"(?<![\w:.]){re.escape(self.address)}(?![\w])", words):
                    ours.append(words)
                else:
                    last = words
        return ours[-KERNEL_LOG_LINES:]


def with_log(sentence: str, log: KernelLog) -> Failure:
    """A failure with the kernel's messages about the PF meanwhile, also in its text."""
    lines = log.lines()
    if lines is None:
        return Failure(sentence + "; see the kernel log")
    if not lines:
        return Failure(sentence + "; the kernel log has no line about it")
    return Failure.of(f"{sentence}; the kernel said: {' / '.join(lines)}", lines)
