"""The folder of built images: build what is missing, remove what is superseded."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import host
from host import say

from images import build, recipes

# For so long a superseded image is left where it is: whoever was given its path may not have opened it yet.
KEEP_SECONDS = 600


def keep(path: Path) -> None:
    """Note that an image of ours is about to be used, so that it is not removed for a while."""
    with contextlib.suppress(OSError):
        if path.parent.samefile(host.cache_directory() / "images"):
            os.utime(path)


def open_files(processes: Path = Path("/proc")) -> set[tuple[int, int]]:
    """Return device and inode of every file that a process has open, as far as we may see it."""
    found = set()
    for folder in processes.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for descriptor in folder.iterdir():
                with contextlib.suppress(OSError):
                    status = descriptor.stat()
                    found.add((status.st_dev, status.st_ino))
    return found


def prune(name: str, current: Path) -> list[Path]:
    """Remove images of other recipes of this name that no machine uses; return what was removed."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{12}\.qcow2")
    others = [
        path for path in current.parent.glob(f"{name}-*.qcow2") if pattern.fullmatch(path.name) and path != current
    ]
    removed: list[Path] = []
    in_use = open_files() if others else set()
    for path in others:
        # It may be removed already, or belong to another user.
        with contextlib.suppress(OSError):
            status = path.stat()
            if (status.st_dev, status.st_ino) not in in_use and time.time() - status.st_mtime > KEEP_SECONDS:
                path.unlink()
                removed.append(path)
                say(f"{name}: removed the superseded {path.name}")
    return removed


def ensure(name: str) -> Path:
    """Return the path of an image, building it first when it is not there, and remove those it supersedes."""
    path = recipes.image_path(name)
    if not path.exists():
        with host.locked(path.with_suffix(".lock"), f"it builds the image {name}"):
            if not path.exists():
                say(f"{name}: building {path.name} (some minutes, once)")
                build.build(name, path)
    keep(path)
    prune(name, path)
    return path
