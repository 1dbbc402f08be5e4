# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PF's number of VFs: written, read back, and put back when it is not what was asked for.

Kernel interface: Documentation/PCI/pci-iov-howto.rst.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from .host import HOST
from .kernel_log import Failure, KernelLog, with_log
from .sysfs import describe, device_path, is_there, read_function, read_int, vf_addresses
from .write_errors import write_advice

# bnxt_en answers a write with success and enables nothing while the interface is down
# (bnxt_sriov_configure: "Reject SRIOV config request since if is down!").
DRIVERS_THAT_NEED_LINK_UP = ("bnxt_en",)
# An EAGAIN, or a driver that is not ready yet, passes by itself: for so long it is tried again, and half of the PF's time at most.
RETRY_SECONDS = 30


def write_numvfs(address, count):
    """Write a PF's number of VFs; raises OSError with the kernel's errno."""
    descriptor = os.open(device_path(address, "sriov_numvfs"), os.O_WRONLY)
    try:
        os.write(descriptor, str(count).encode())
    finally:
        os.close(descriptor)


def link_up(address, deadline):
    """Set a PF's network interface administratively up, once udev has given it its name; whether that worked by the deadline.

    Kernels before 6.2 refuse to rename an interface that is up, and udev writes its record only after the renaming.
    """
    import subprocess

    while True:
        names = (read_function(address) or {"netdevs": []})["netdevs"]
        records = [
            os.path.join(HOST.udev_data, f"n{read_int(os.path.join(HOST.sys, 'class/net', name, 'ifindex'))}") for name in names
        ]
        if names and all(os.path.exists(record) for record in records):
            break
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return all(
        subprocess.run(["ip", "link", "set", "dev", name, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False).returncode == 0
        for name in names
    )


def gone(name: str) -> str:
    """The sentence for a card that was pulled out, or reset, in the middle of it."""
    return (
        f"{name} went away while its VFs were being set: check that the card is seated and its driver loaded, then run "
        "the role again")


def set_numvfs(
    address: str, wanted: int, timeout: float = 120, putting_back: Callable[[], object] = lambda: None,
) -> Failure | None:
    """Give one PF `wanted` VFs, by way of 0 where the kernel demands that.

    timeout: seconds for it, one more for each VF. putting_back: called before a PF is put back, which takes time of its own.
    Returns None when the kernel then reports exactly that many and shows them, else a Failure, with the PF put back to the number it had.
    """
    deadline = time.monotonic() + timeout + wanted
    log = KernelLog(address)
    function = read_function(address)
    if function is None or function["numvfs"] is None:
        return Failure(f"{address} went away, or its driver let go of it, before its VFs could be set")
    before, name = function["numvfs"], describe(function)
    count, keeps = wanted, False

    def write(number):
        nonlocal count
        count, pause = number, 0.1
        until = time.monotonic() + min(RETRY_SECONDS, timeout / 2)
        while True:
            try:
                return write_numvfs(address, number)
            except OSError as error:
                passes = error.errno == errno.EAGAIN or error.errno == errno.EBUSY and number and not vf_addresses(address)
                if not passes or time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2)

    def put(number):
        """Write a number, and note in `keeps` whether the driver took the 0 on the way and gave nothing up; returns the kernel's count."""
        nonlocal keeps
        current = read_int(device_path(address, "sriov_numvfs"))
        if current == number:
            return current
        if current:
            write(0)
            # cxgb4 (cxgb4_iov_configure) and bnxt_en return no error for VFs that a guest has.
            keeps = read_int(device_path(address, "sriov_numvfs")) == current
        if number and not keeps:
            write(number)
        return read_int(device_path(address, "sriov_numvfs"))

    def put_back():
        if not is_there(address):
            return ""
        putting_back()
        try:
            put(before)
            reason = f"it has {len(vf_addresses(address))} now"
        except OSError as error:
            reason = error.strerror
        if len(vf_addresses(address)) != before:
            return f"; putting back its {before} VFs failed too ({reason})"
        return f"; it has its {before} VFs again" if before else "; it has no VFs, as before"

    def failed(sentence):
        """The failure, its kernel log read before the PF is put back, and what became of the PF."""
        failure = with_log(sentence if is_there(address) else gone(name), log)
        return Failure.of(failure + put_back(), failure.kernel_log)

    try:
        enabled, link = put(wanted), True
        if enabled != wanted and function["driver"] in DRIVERS_THAT_NEED_LINK_UP:
            link = link_up(address, deadline)
            enabled = put(wanted) if link else enabled
    except OSError as error:
        # Only open() names a file: then it is the attribute that is gone, not the driver's support for it; or the driver itself is gone.
        went = error.filename or not os.path.lexists(device_path(address, "driver"))
        cause = errno.ENODEV if error.errno == errno.ENOENT and went else error.errno
        advice = write_advice(cause, function, count, len(vf_addresses(address)))
        return failed(f"{name}: setting {wanted} VFs failed ({error.strerror}): {advice}")
    if not link and (keeps or not enabled):
        return failed(
            f"{name}: driver {function['driver']} makes VFs only while the interface is up, and it is not: set it up, "
            "then run the role again")
    if keeps:
        return failed(
            f"{name}: driver {function['driver']} took 0 VFs without an error and keeps the {enabled} that there are: "
            "a guest has one of them, shut it down or detach the VF, then run the role again")
    if enabled != wanted:
        return failed(
            f"{name}: {wanted} VFs were requested and driver {function['driver']} enabled {enabled}: lower numvfs")
    while len(vf_addresses(address)) != wanted:
        if time.monotonic() >= deadline or not is_there(address):
            return failed(
                f"{name}: the kernel counts {wanted} VFs and shows {len(vf_addresses(address))} of them after "
                f"{int(timeout + wanted)} s: raise sriov_numvfs_timeout, or lower numvfs")
        time.sleep(0.05)
    log.close()
    return None
