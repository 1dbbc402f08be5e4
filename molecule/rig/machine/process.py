"""Processes of a machine, and the port on which its ssh is reached."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from host import RigError

PORTS = range(20022, 21022)


def process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot, or None when it is not there or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in brackets and may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclasses.dataclass(frozen=True)
class Process:
    """A process of ours: its id and its start, since ids are given out again."""

    pid: int
    start: int

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return process_start(self.pid) == self.start

    def signal(self, number: int) -> None:
        """Send a signal, if it is still the same process."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def lease_directory() -> Path:
    """Return the folder of port leases, shared by all runs of this user."""
    return Path(tempfile.gettempdir()) / f"sriov-rig-ports-{os.getuid()}"


def lease_port(directory: Path, wanted: int | None = None) -> tuple[int, int]:
    """Return a free port on 127.0.0.1 and the descriptor whose lock keeps it.

    The lease lasts as long as any process has the descriptor open: hand it to QEMU.
    """
    directory.mkdir(mode=0o1777, parents=True, exist_ok=True)
    candidates = [wanted] if wanted else random.sample(PORTS, len(PORTS))
    for port in candidates:
        try:
            descriptor = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(descriptor)
            continue
        return port, descriptor
    raise RigError(f"no free port on 127.0.0.1 {'(' + str(wanted) + ')' if wanted else f'in {PORTS}'}")
