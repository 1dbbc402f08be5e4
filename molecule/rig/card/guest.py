"""The guest that the cards are in: its files, its commands, and what can be wrong."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

# For the unit tests only: another root, where no command is run but written to /commands.
TEST_ROOT = os.environ.get("RIG_CARD_ROOT", "")
ROOT = Path(TEST_ROOT or "/")
LIBRARY = ROOT / "var/lib/rig-card"
RUN = ROOT / "run/rig-card"
SBIN = ROOT / "usr/local/sbin"
PROGRAM = ROOT / "usr/local/lib/rig-card"
PCI = ROOT / "sys/bus/pci"


class CardError(Exception):
    """What the real tool reports behind -E-."""


class ControlError(Exception):
    """A mistake in the use of rig-card itself."""


def boot_id() -> str:
    """Return the id of this boot."""
    return (ROOT / "proc/sys/kernel/random/boot_id").read_text().strip()


def command(arguments: list[str], check: bool = False) -> bool:
    """Run a command; tell whether it worked."""
    if TEST_ROOT:
        with (ROOT / "commands").open("a") as log:
            log.write(shlex.join(arguments) + "\n")
        return True
    result = subprocess.run(arguments, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if check and result.returncode:
        raise ControlError(f"{shlex.join(arguments)}: {result.stderr.strip()}")
    return result.returncode == 0


def write(path: Path, text: str) -> bool:
    """Write to a file of the kernel; tell whether it took it."""
    try:
        path.write_text(text)
    except OSError:
        return False
    return True


def say_to_kernel_log(function: str, text: str) -> None:
    """Put a driver's message where `dmesg` finds it."""
    write(ROOT / "dev/kmsg", f"<3>mlx4_core {function}: {text}\n")
