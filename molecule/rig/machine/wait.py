"""Waiting for a machine, which ends when its guest cannot continue."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from host import RigError, say

if TYPE_CHECKING:
    from machine.run import Run

# What a guest's console prints when ssh will no longer start: the kernel's panic() and systemd's emergency shell, with
# util-linux's words where root has no password for it.
PANIC = "Kernel panic - not syncing"
DEAD_ENDS = (PANIC, "You are in emergency mode", "Cannot open access to console, the root account is locked")


class GuestPanic(RigError):
    """The guest's kernel has stopped."""


def wait_until(
    condition: Callable[[], Any], what: str, timeout: float, run: Run | None = None, pause: float = 0.3
) -> Any:
    """Return the first true value of condition.

    Raises RigError saying what was awaited, with the console's tail, after timeout seconds
    or as soon as the machine has ended or its guest cannot continue; GuestPanic when it is the guest's kernel.
    """
    deadline = time.monotonic() + timeout
    spoken = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        dead_end = run.dead_end() if run else None
        if run and dead_end:
            error = GuestPanic if PANIC in dead_end else RigError
            raise error(f"waited for {what}: the guest printed {dead_end!r}\n{run.logs()}")
        gone = run is not None and not run.running()
        if gone or time.monotonic() > deadline:
            reason = "the machine has ended" if gone else f"not within {timeout:.0f} s"
            raise RigError(f"waited for {what}: {reason}" + (f"\n{run.logs()}" if run else ""))
        if time.monotonic() - spoken > 30:
            spoken = time.monotonic()
            say(f"waiting for {what}, at most {deadline - spoken:.0f} s more")
        time.sleep(pause)
