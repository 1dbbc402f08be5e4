# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PF's number of VFs: written, read back, and put back if it is not the requested number.

Kernel interface: Documentation/PCI/pci-iov-howto.rst.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from .kernel_log import Failure, KernelLog, with_log
from .link import link_up
from .record import new_vfs
from .sysfs import describe, device_path, is_there, read_function, read_int, vf_addresses, write_attribute
from .write_errors import write_advice

# bnxt_en answers a write with success and enables nothing while the interface is down
# (bnxt_sriov_configure: "Reject SRIOV config request since if is down!").
DRIVERS_THAT_NEED_LINK_UP = ("bnxt_en",)
# An EAGAIN, or a driver that is not ready yet, passes by itself: retry for this long, but at most half of the PF's
# time.
RETRY_SECONDS = 30


def write_numvfs(address, count):
    """Write a PF's number of VFs; raises OSError with the kernel's errno."""
    write_attribute(device_path(address, "sriov_numvfs"), str(count))


def disappeared(name: str) -> str:
    """The sentence for a card that was removed or reset during the change."""
    return (
        f"{name} went away while its VFs were being set: check that the card is seated and its driver loaded, then run "
        "the role again"
    )


def set_numvfs(
    address: str,
    wanted: int,
    timeout: float = 120,
    putting_back: Callable[[], object] = lambda: None,
) -> Failure | None:
    """Give one PF `wanted` VFs, with 0 in between if the kernel requires that.

    timeout: seconds for it, one more for each VF. putting_back: called before a PF is put back, which needs its own
    time. Returns None if the kernel then reports and shows exactly that number. Otherwise returns a Failure, with the
    PF put back to its previous number.
    """
    deadline = time.monotonic() + timeout + wanted
    log = KernelLog(address)
    function = read_function(address)
    if function is None or function["numvfs"] is None:
        return Failure(f"{address} went away, or its driver released it, before its VFs could be set")
    pf = Pf(function, wanted, timeout, log, putting_back)
    name, driver = pf.name, function["driver"]
    try:
        enabled, link = pf.put(wanted), True
        if enabled != wanted and driver in DRIVERS_THAT_NEED_LINK_UP:
            link = link_up(address, deadline)
            enabled = pf.put(wanted) if link else enabled
    except OSError as error:
        return pf.refused(error)
    if not link and (pf.keeps or not enabled):
        return pf.failed(
            f"{name}: driver {driver} creates VFs only while the interface is up, and it is down: set it up, "
            "then run the role again"
        )
    if pf.keeps:
        return pf.failed(
            f"{name}: driver {driver} accepted 0 VFs without an error, but keeps its {enabled} VFs: a guest has "
            "one of them, shut the guest down or detach the VF, then run the role again"
        )
    if enabled != wanted:
        return pf.failed(f"{name}: {wanted} VFs were requested and driver {driver} enabled {enabled}: lower numvfs")
    while len(vf_addresses(address)) != wanted:
        if time.monotonic() >= deadline or not is_there(address):
            return pf.failed(
                f"{name}: the kernel counts {wanted} VFs and shows {len(vf_addresses(address))} of them after "
                f"{int(timeout + wanted)} s: raise sriov_numvfs_timeout, or lower numvfs"
            )
        time.sleep(0.05)
    log.close()
    return None


class Pf:
    """A PF whose number of VFs is being set: writes the number, and puts it back.

    keeps: whether the driver accepted the 0 before another number, but removed no VFs.
    """

    def __init__(
        self, function: dict, wanted: int, timeout: float, log: KernelLog, putting_back: Callable[[], object]
    ) -> None:
        self.function, self.wanted, self.timeout, self.log, self.putting_back = (
            function,
            wanted,
            timeout,
            log,
            putting_back,
        )
        self.address, self.before, self.name = function["address"], function["numvfs"], describe(function)
        self.written, self.keeps = wanted, False

    def write(self, number: int) -> None:
        """Write a number; retry if the error may pass by itself. Raises OSError."""
        self.written, pause = number, 0.1
        until = time.monotonic() + min(RETRY_SECONDS, self.timeout / 2)
        while True:
            try:
                return write_numvfs(self.address, number)
            except OSError as error:
                passes = (
                    error.errno == errno.EAGAIN
                    or error.errno == errno.EBUSY
                    and number
                    and not vf_addresses(self.address)
                )
                if not passes or time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2)

    def put(self, number: int) -> int | None:
        """Set the PF to a number, with 0 in between. Returns the kernel's count afterwards. Raises OSError."""
        current = read_int(device_path(self.address, "sriov_numvfs"))
        if current == number:
            return current
        if current:
            self.write(0)
            # cxgb4 (cxgb4_iov_configure) and bnxt_en return no error for VFs that a guest has.
            self.keeps = read_int(device_path(self.address, "sriov_numvfs")) == current
        if not self.keeps:
            new_vfs(self.address, number)
            if number:
                self.write(number)
        return read_int(device_path(self.address, "sriov_numvfs"))

    def put_back(self) -> str:
        """Set the PF to its previous number. Returns the outcome, as the end of a sentence."""
        if not is_there(self.address):
            return ""
        self.putting_back()
        try:
            self.put(self.before)
            reason = f"it has {len(vf_addresses(self.address))} now"
        except OSError as error:
            reason = error.strerror
        if len(vf_addresses(self.address)) != self.before:
            return f"; putting back its {self.before} VFs failed too ({reason})"
        return f"; it has its {self.before} VFs again" if self.before else "; it has no VFs, as before"

    def failed(self, sentence: str) -> Failure:
        """The failure, with the outcome for the PF. Reads the kernel log before it puts the PF back."""
        failure = with_log(sentence if is_there(self.address) else disappeared(self.name), self.log)
        return Failure.of(failure + self.put_back(), failure.kernel_log)

    def refused(self, error: OSError) -> Failure:
        """The failure of a write that the kernel refused."""
        # Only open() names a file: then the attribute is missing, not the driver's support for it; or the driver itself
        # is missing.
        went = error.filename or not os.path.lexists(device_path(self.address, "driver"))
        cause = errno.ENODEV if error.errno == errno.ENOENT and went else error.errno
        advice = write_advice(cause, self.function, self.written, len(vf_addresses(self.address)))
        return self.failed(f"{self.name}: setting {self.wanted} VFs failed ({error.strerror}): {advice}")
