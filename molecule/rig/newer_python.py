#!/usr/bin/env python3
"""A Python that is newer than this machine's, out of Debian 13's packages: the newest releases of ansible-core want one.

Only unpacked, nothing is installed and nobody need be root: in place of the program there is a script that starts it with
the loader and the libraries of its own tree. It is like any Python from then on; `-m venv` works.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import os
import shutil
import signal
import sys
import tarfile
import tempfile
from pathlib import Path

import image

CODENAME = "trixie"
PROGRAM = "python3.13"
# What of the tree is kept.
KEPT = ("usr/bin/python3", "usr/lib/python3", "usr/lib/x86_64-linux-gnu/", "usr/lib64/", "usr/share/python-wheels/")

SCRIPT = """\
#!/bin/sh
exec {tree}/usr/lib64/ld-linux-x86-64.so.2 --library-path {tree}/usr/lib/x86_64-linux-gnu --argv0 "$0" {tree}/usr/bin/{program}.real "$@"
"""


def tree_path() -> Path:
    """Return the folder of the tree, made or not. Another recipe is another folder."""
    recipe = "".join((CODENAME, PROGRAM, *KEPT, SCRIPT, inspect.getsource(make)))
    return image.cache_directory() / f"{PROGRAM}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def program_path() -> Path:
    """Return the Python, made or not."""
    return tree_path() / "usr" / "bin" / PROGRAM


def make(tree: Path) -> None:
    """Unpack the packages; the tree appears under its name only when it is whole. Raises RigError."""
    image.check_tools({"mmdebstrap": "mmdebstrap"})
    tree.parent.mkdir(parents=True, exist_ok=True)
    # Beside the tree, so that a rename puts it there.
    with tempfile.TemporaryDirectory(prefix=".python-", dir=tree.parent) as folder:
        work = Path(folder)
        # mmdebstrap without root works as another user id, which has to be able to write here.
        work.chmod(0o777)
        archive = work / "tree.tar"
        archive.touch()
        archive.chmod(0o666)
        image.run_logged(
            ["mmdebstrap", "--variant=extract", "--include=python3,python3-venv", "--format=tar",
             *image.keyring_options(), *image.apt_transport_options(), CODENAME, str(archive), *map(image.one_line, image.debian_sources(CODENAME))],
            work / "build.log", f"{PROGRAM}: unpacking packages", 900,
        )  # fmt: skip
        new = work / "tree"
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.name.removeprefix("./").startswith(KEPT):
                    packed.extract(member, new, set_attrs=member.isfile())
        program = new / "usr" / "bin" / PROGRAM
        program.rename(program.with_name(f"{PROGRAM}.real"))
        program.write_text(SCRIPT.format(tree=tree, program=PROGRAM))
        program.chmod(0o755)
        # Debian's ensurepip takes pip from here (WHEEL_PKG_DIR).
        for data in (new / "usr" / "lib" / PROGRAM).glob("_sysconfigdata_*.py"):
            data.write_text(data.read_text().replace("'/usr/share/python-wheels/'", repr(f"{tree}/usr/share/python-wheels/")))
        shutil.rmtree(tree, ignore_errors=True)
        os.replace(new, tree)


def ensure() -> Path:
    """Return the Python, made first when it is not there."""
    tree = tree_path()
    if not program_path().exists():
        with image.locked(tree.with_name(f"{tree.name}.lock"), f"it unpacks {PROGRAM}"):
            if not program_path().exists():
                make(tree)
    return program_path()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["ensure", "path"], help="make it when it is not there; or only say where it is or would be")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        print(ensure() if options.command == "ensure" else program_path())
    except image.RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
