"""A function's folder in sysfs, and mounts over its files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from guest import PCI, RUN, TEST_ROOT, command


def device_folder(function: str) -> Path:
    """Return the real folder of a function in sysfs."""
    return (PCI / "devices" / function).resolve()


def second_view(function: str) -> Path:
    """Return a function's folder in a sysfs without our mounts."""
    if TEST_ROOT:
        return device_folder(function)
    view = RUN / "sys"
    view.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(view):
        command(["mount", "-t", "sysfs", "sysfs", str(view)], check=True)
        command(["mount", "--make-private", str(view)])
    return view / device_folder(function).relative_to("/sys")


def real_vfs(function: str) -> int:
    """Return how many VFs a function really has."""
    try:
        return int((second_view(function) / "sriov_numvfs").read_text())
    except (OSError, ValueError):
        return 0


def mount_points(below: Path) -> list[str]:
    """Return the mount points at and below a folder, the last one first."""
    if TEST_ROOT:
        return []
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().split("\n") if line]
    return [point for point in reversed(points) if point == str(below) or point.startswith(f"{below}/")]


def restore(function: str) -> None:
    """Show a function as it is."""
    folder = device_folder(function)
    for point in mount_points(folder):
        command(["umount", "--lazy", point])
    mirror = RUN / "mirror" / function
    for point in mount_points(mirror):
        command(["umount", "--lazy", point])
    shutil.rmtree(mirror, ignore_errors=True)


def cover(target: Path, source: Path, text: str) -> None:
    """Mount a file with this text over a file, read-only."""
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(f"{text}\n")
    source.chmod(0o444)
    command(["mount", "--bind", str(source), str(target)], check=True)
    command(["mount", "-o", "remount,bind,ro", str(target)], check=True)
