# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several PFs at once, each in its own process, because a write can hang in the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable

from .apply_settings import set_pf
from .kernel_log import Failure, KernelLog, with_log
from .numvfs import disappeared
from .sysfs import describe, is_there, read_function, vf_addresses

GRACE_SECONDS = 5


def still_runs(pid: int) -> bool:
    """Whether a killed child process is still in the kernel."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def too_late(child, wanted):
    """The failure of a PF whose write did not finish in time, after its process was killed: None if the VFs exist
    nevertheless, and their number is all that was to be set.
    """
    name, address, pid, log = child["name"], child["address"], child["pid"], child["log"]
    if not is_there(address):
        failure = with_log(disappeared(name), log)
        return Failure.of(failure, failure.kernel_log, pid, True)
    hangs = still_runs(pid)
    if not hangs and not child["job"] and len(vf_addresses(address)) == wanted:
        return None
    sentence = (
        f"{name}: the kernel did not finish setting {wanted} VFs{' and their settings' if child['job'] else ''} within "
        f"{int(child['seconds'])} s: raise sriov_numvfs_timeout for a slow card"
    )
    if hangs:
        sentence += (
            f"; process {pid} still waits in the kernel for it, so its number of VFs may still change, and only a reboot "
            "ends a process that waits forever"
        )
    failure = with_log(sentence, log)
    return Failure.of(failure, failure.kernel_log, pid, True)


def start(address, count, timeout, job, work):
    """Start the process that sets one PF with `work`, set_pf() or restore_pf(). Returns the descriptor for its answer,
    and data about the child.
    """
    name, log = describe(read_function(address) or {"address": address}), KernelLog(address)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def send(answer):
            os.write(writer, (json.dumps(answer) + "\n").encode())

        with contextlib.suppress(OSError):
            try:
                failure = work(address, count, timeout, job, lambda: send("putting back"))
                send([failure and str(failure), list(failure.kernel_log) if failure else []])
            except BaseException as error:  # the parent must get every error
                send([f"{name}: {error}", []])
        os._exit(0)
    os.close(writer)
    # The child gives up by itself at the end of its time, and a busy machine needs a moment for that. A child that
    # hangs does not give up. The settings and drivers of VFs take about as long as the VFs themselves.
    seconds = 2 * (timeout + count) + job["patience"] if job else timeout + count
    return reader, {
        "address": address,
        "name": name,
        "pid": pid,
        "log": log,
        "text": b"",
        "job": job,
        "seconds": seconds,
        "deadline": time.monotonic() + seconds + GRACE_SECONDS,
    }


def answer_of(child):
    """The outcome of a child that has ended: None or a Failure."""
    answer = [line for line in child["text"].splitlines() if line.startswith(b"[")]
    sentence, lines = (
        json.loads(answer[-1]) if answer else [f"{child['name']}: the process that set its VFs was killed", []]
    )
    return sentence and Failure.of(sentence, lines)


def set_all(
    wanted: dict[str, int],
    timeout: float,
    jobs: dict[str, dict | None] | None = None,
    work: Callable[..., Failure | None] = set_pf,
) -> dict[str, Failure | None]:
    """Set several PFs at once, each in its own process, because a write can block in the kernel forever (i40e did).

    wanted: {address: numvfs}. timeout: seconds for one PF, one more for each of its VFs, and the same time again to
    put it back. jobs: {address: see Plan.job()} for PFs with settings; work: set_pf() or restore_pf(). Returns
    {address: None or Failure}.
    """
    outcomes, late = {}, []
    running = dict(start(address, count, timeout, (jobs or {}).get(address), work) for address, count in wanted.items())
    while running:
        left = min(child["deadline"] for child in running.values()) - time.monotonic()
        ready = select.select(list(running), [], [], max(0, left))[0]
        for reader in ready:
            child, part = running[reader], os.read(reader, 65536)
            child["text"] += part
            if b'"putting back"' in part:
                child["deadline"] = time.monotonic() + child["seconds"] + GRACE_SECONDS
            if part:
                continue
            del running[reader]
            os.close(reader)
            os.waitpid(child["pid"], 0)
            outcomes[child["address"]] = answer_of(child)
            child["log"].close()
        for reader, child in list(running.items()):
            if time.monotonic() >= child["deadline"]:
                del running[reader]
                os.close(reader)
                with contextlib.suppress(OSError):
                    os.kill(child["pid"], signal.SIGKILL)
                late.append(child)
    # A process that the kernel releases ends at once. Read back at the end: a late write may have succeeded.
    patience = time.monotonic() + 1
    while late and time.monotonic() < patience and any(still_runs(child["pid"]) for child in late):
        time.sleep(0.05)
    for child in late:
        outcomes[child["address"]] = too_late(child, wanted[child["address"]])
        child["log"].close()
    return outcomes
