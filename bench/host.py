#!/usr/bin/env python3
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules and the boot program cost a host: CPU time and wall time of whole processes, by the number of PFs
and VFs.

The host is a tree of files (test/python/fake_sysfs.py) in memory. The modules are what ansible-playbook sends to a
host, AnsiballZ and all, with one change: each path that begins with /etc, /sys and the like begins with the tree's. The
kernel's own time for VFs is not in it: the write of a number swaps the PF's directory for one that has them. Prints
JSON.
"""

from __future__ import annotations

import argparse
import ast
import base64
import io
import json
import os
import re
import shutil
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from controller import Rig, spread

ROOT = Path(__file__).resolve().parent.parent
SIZES = ((1, 16), (8, 16), (64, 16), (1, 1024))
PATHS = re.compile(r'(?<=")/(?=(?:boot|dev|etc|proc|run|sys|var|usr/local|usr/lib)\b)')
ZIP = re.compile(rb"(?P<before>zip_data=|ZIPDATA = )(?P<text>(?:b|u)?(?:'[^']*'|\"\"\"[^\"]*\"\"\"|\"[^\"]*\"))")
SWAP = '''
def write_numvfs(address, count):
    """Stands for the kernel."""
    link = device_path(address)
    os.symlink(os.path.realpath(link).replace("/before/", "/after/"), link + ".new")
    os.replace(link + ".new", link)
'''


def moved(text: str, root: str) -> str:
    """A program of the role that takes a tree for the host."""
    return PATHS.sub(root + "/", text)


def moved_module(program: bytes, root: str) -> bytes:
    """A module as Ansible sends it, moved."""
    found = ZIP.search(program)
    if not found:
        raise SystemExit("this release of ansible-core sends modules in a form that the bench does not know")
    data = ast.literal_eval(found.group("text").decode())
    before = zipfile.ZipFile(io.BytesIO(base64.b64decode(data)))
    after = io.BytesIO()
    with zipfile.ZipFile(after, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in before.infolist():
            content = before.read(entry)
            if "/sriov" in entry.filename:
                content = moved(content.decode(), root).encode()
            archive.writestr(entry, content)
    return (
        program[: found.start("text")]
        + repr(base64.b64encode(after.getvalue()).decode()).encode()
        + program[found.end("text") :]
    )


def make_host(root: Path, pfs: int, vfs: int) -> list[dict]:
    """A host with so many PFs, each with so many VFs, and without them in what is seen first; returns sriov_devices for
    it.
    """
    sys.path[:0] = [str(ROOT / "test"), str(ROOT / "test" / "python")]
    import conftest  # noqa: F401
    from fake_sysfs import FakeHost

    fake = FakeHost(root)
    devices = []
    for number in range(pfs):
        address, name = f"0000:{number + 1:02x}:00.0", "ens%df0" % number
        fake.add_function(address, netdevs=[name], totalvfs=vfs)
        fake.create(address, vfs)
        devices.append({"address": address, "numvfs": vfs})
        ready = fake.pci(address)
        for state in ("before", "after"):
            shutil.copytree(ready, root / "sys" / "devices" / state / address, symlinks=True)
        bare = root / "sys" / "devices" / "before" / address
        for link in bare.glob("virtfn*"):
            link.unlink()
        (bare / "sriov_numvfs").write_text("0\n")
        point(root, address, "after")
    for folder in ("etc/systemd/system", "etc/udev/rules.d", "usr/local/sbin", "var/lib"):
        (root / folder).mkdir(parents=True)
    return devices


def point(root: Path, address: str, state: str) -> None:
    """Show a PF without its VFs ("before") or with them ("after")."""
    link = root / "sys" / "bus" / "pci" / "devices" / address
    link.unlink()
    link.symlink_to(root / "sys" / "devices" / state / address)


def cost(command: list[str], program: bytes = b"") -> tuple[float, float, str]:
    """CPU seconds, wall seconds and output of a process, its start and its children included."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(program)
        given.seek(0)
        started = time.monotonic()
        pid = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, given.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, said.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, said.fileno(), 2),
            ],
        )
        _pid, status, usage = os.wait4(pid, 0)
        wall = time.monotonic() - started
        said.seek(0)
        output = said.read().decode()
    if status:
        raise SystemExit("%s ended with %d:\n%s" % (command[0], status, output[-3000:]))
    return usage.ru_utime + usage.ru_stime, wall, output


def costs(runs: int, command: list[str], program: bytes = b"", before=lambda: None) -> dict:
    """The spread of cost() over several runs. before: called before each."""
    seen = []
    for _run in range(runs):
        before()
        seen.append(cost(command, program))
    return {"cpu": spread([one[0] for one in seen]), "wall": spread([one[1] for one in seen])}


def sent(rig: Rig, devices: list, module: str, root: str) -> bytes:
    """A module as the role sends it, moved."""
    programs = rig.folder / "notes" / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir(parents=True)
    rig.run(1, "fresh", 5, "linear", variables={"sriov_devices": devices})
    return moved_module((programs / module).read_bytes(), root)


def measure(collection: Path, pfs: int, vfs: int, runs: int, python: str, memory: str | None) -> dict:
    """What each program costs a host of one size."""
    with tempfile.TemporaryDirectory(prefix="sriov-bench-", dir=memory) as folder:
        root = Path(folder) / "host"
        root.mkdir()
        devices = make_host(root, pfs, vfs)
        (Path(folder) / "rig").mkdir()
        rig = Rig(Path(folder) / "rig", collection)
        find = sent(rig, devices, "sriov_devices", str(root))
        found = json.loads(cost([python], find)[2])
        answers = rig.folder / "fresh.json"
        answers.write_text(json.dumps(dict(json.loads(answers.read_text()), sriov_devices=dict(found, settled={}))))
        make = sent(rig, devices, "sriov_vfs", str(root))
        cost([python], make)
        again = json.loads(cost([python], make)[2])
        if again["changed"]:
            raise SystemExit(f"a second run of sriov_vfs changed something: {again}")
        figures = {"sriov_devices": costs(runs, [python], find), "sriov_vfs": costs(runs, [python], make)}
        program = root / "usr" / "local" / "sbin" / "sriov-vfs"
        figures["sriov-vfs status"] = costs(runs, [python, "-I", str(program), "status"])
        text = program.read_text()
        program.write_text(text.replace('\nif __name__ == "__main__":', SWAP + '\n\nif __name__ == "__main__":'))

        def begin() -> None:
            for device in devices:
                point(root, device["address"], "before")

        figures["sriov-vfs boot"] = costs(runs, [python, "-I", str(program), "boot"], before=begin)
        return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the modules and the boot program cost a host.")
    parser.add_argument("--collection", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--sizes", nargs="+", default=["%dx%d" % size for size in SIZES], help="PFs x VFs of each, as 8x16"
    )
    options = parser.parse_args()
    python = shutil.which("python3", path="/usr/bin") or sys.executable
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    if not (options.collection / "plugins" / "modules" / "sriov_vfs.py").is_file():
        # A role without modules and without its own program has nothing to measure.
        print(json.dumps({"host": {}}))
        return
    figures = {"start of Python": {"-": costs(options.runs, [python, "-I", "-c", "pass"])}}
    for size in options.sizes:
        pfs, vfs = map(int, size.split("x"))
        for name, found in measure(options.collection.resolve(), pfs, vfs, options.runs, python, memory).items():
            figures.setdefault(name, {})[size] = found
            print(f"{name}, {size}: {found['cpu']['median']:.3f} s CPU", file=sys.stderr, flush=True)
    print(json.dumps({"host": figures}))


if __name__ == "__main__":
    main()
