"""What the rig uses of the machine that it runs on: the cache folder, locks, and programs with their output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

# The one limit on what the rig waits for: it ends a hang, and no machine is too slow for it.
HANG_SECONDS = 3600


class RigError(Exception):
    """Something the reader of the message can act upon."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"rig: {text}", file=sys.stderr, flush=True)


def cache_directory() -> Path:
    """Return the folder outside the clone that keeps images between clones."""
    own = os.environ.get("SRIOV_ROLE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sriov-role"


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; print a line when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process: {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def check_tools(tools: Mapping[str, str]) -> None:
    """Raise RigError when a program is missing, with the package that has it: the value of the program's name."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = sorted({package for tool, package in tools.items() if not shutil.which(tool, path=path)})
    if missing:
        raise RigError(f"programs are missing; as root: apt-get install --no-install-recommends {' '.join(missing)}")
    os.environ["PATH"] = path


def run_tool(command: list[str]) -> str:
    """Run a program that is expected to succeed and return its output."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        raise RigError(f"{' '.join(command[:2])} ... ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def run_logged(command: list[str], log: Path, what: str, timeout: float = HANG_SECONDS) -> None:
    """Run a command with its output in a file, show that it lives, and the file's tail if it fails."""
    started = time.monotonic()
    spoken = started
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                now = time.monotonic()
                if now - started > timeout:
                    raise RigError(f"{what}: not done after {timeout:.0f} s\n{tail_between_markers(log)}")
                if now - spoken > 20:
                    spoken = now
                    say(f"{what}: {now - started:.0f} s so far")
                time.sleep(0.2)
        finally:
            end(process)
    if process.returncode != 0:
        raise RigError(
            f"{what}: {shlex.join(command[:2])} ... ended with {process.returncode}\n{tail_between_markers(log)}"
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process if it still runs, and wait until it has ended."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def tail_between_markers(path: Path, lines: int = 40) -> str:
    """Return the last lines of a log, marked so that they differ from the message around them."""
    try:
        text = path.read_text(errors="replace").replace("\r", "")
    except OSError as error:
        text = str(error)
    last = "\n".join(text.splitlines()[-lines:])
    return f"---- {path.name} starts here ----\n{last}\n---- {path.name} ends here ----"
