#!/usr/bin/env python3
"""A Python of another release than this machine's, out of Debian's packages.

Only unpacked: nothing is installed, and root is not needed. In place of the program there is a script that starts it
with the loader and the libraries of its tree. It is like any Python from then on; `-m venv` works.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import sys
import tarfile
import tempfile
from pathlib import Path

import apt_sources
import host

# The releases of Debian that have them.
CODENAMES = {"3.11": "bookworm", "3.13": "trixie"}
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
# Raised when make() changes what comes out: the tree is named after it, and environments after the tree.
VERSION = 1
# What of the packages is kept. In bookworm's, the C library is outside of usr.
KEPT = ("usr/bin/python3", "usr/lib/python3", "usr/share/python-wheels/", *(f"{folder}/" for folder in LIBRARIES))

ACTIONS = "make it if it does not exist; or only print where it is or would be"

SCRIPT = """\
#!/bin/sh
exec {loader} --library-path {libraries} --argv0 "$0" {program}.real "$@"
"""


def tree_path(release: str) -> Path:
    """Return the folder of the tree, made or not. Another recipe is another folder."""
    recipe = "".join((CODENAMES[release], *KEPT, SCRIPT, str(VERSION)))
    return host.cache_directory() / f"python{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def program_path(release: str) -> Path:
    """Return the Python, made or not."""
    return tree_path(release) / "usr" / "bin" / f"python{release}"


def make(release: str, tree: Path) -> None:
    """Unpack the packages; the tree appears under its name only when it is whole. Raises RigError."""
    host.check_tools({"mmdebstrap": "mmdebstrap"})
    codename, name = CODENAMES[release], f"python{release}"
    tree.parent.mkdir(parents=True, exist_ok=True)
    # Next to the tree, so that a rename puts it there.
    with tempfile.TemporaryDirectory(prefix=".python-", dir=tree.parent) as folder:
        work = Path(folder)
        # mmdebstrap without root works as another user id, which has to be able to write here.
        work.chmod(0o777)
        archive = work / "tree.tar"
        archive.touch()
        archive.chmod(0o666)
        command = ["mmdebstrap", "--variant=extract", "--include=python3,python3-venv", "--format=tar"]
        command += [*apt_sources.keyring_options(), *apt_sources.transport_options(), codename, str(archive)]
        command += map(apt_sources.one_line, apt_sources.debian_sources(codename))
        host.run_logged(command, work / "build.log", f"{name}: unpacking packages", 900)
        new = work / "tree"
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.name.removeprefix("./").startswith(KEPT):
                    packed.extract(member, new, set_attrs=member.isfile())
        fit(name, new, tree)
        shutil.rmtree(tree, ignore_errors=True)
        os.replace(new, tree)


def fit(name: str, new: Path, tree: Path) -> None:
    """Make an unpacked tree work without its distribution, once it is at its place."""
    program = new / "usr" / "bin" / name
    program.rename(program.with_name(f"{name}.real"))
    # The file itself: links to it are absolute in some releases, and would lead to this machine's.
    loader = next(path for folder in LIBRARIES if (path := new / folder / LOADER).is_file() and not path.is_symlink())
    libraries = ":".join(str(tree / folder) for folder in LIBRARIES)
    script = SCRIPT.format(
        loader=tree / loader.relative_to(new), libraries=libraries, program=tree / program.relative_to(new)
    )
    program.write_text(script)
    program.chmod(0o755)
    # Debian's ensurepip takes pip from here (WHEEL_PKG_DIR).
    wheels = "/usr/share/python-wheels/"
    for data in (new / "usr" / "lib" / name).glob("_sysconfigdata_*.py"):
        data.write_text(data.read_text().replace(repr(wheels), repr(f"{tree}{wheels}")))


def ensure(release: str) -> Path:
    """Return the Python, made first when it is not there."""
    tree, program = tree_path(release), program_path(release)
    if not program.exists():
        with host.locked(tree.with_name(f"{tree.name}.lock"), f"it unpacks Python {release}"):
            if not program.exists():
                make(release, tree)
    return program


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["ensure", "path"], help=ACTIONS)
    parser.add_argument("release", choices=sorted(CODENAMES))
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        print(ensure(options.release) if options.command == "ensure" else program_path(options.release))
    except host.RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
