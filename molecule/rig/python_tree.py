#!/usr/bin/env python3
"""A Python of another release than this machine's, out of Debian's packages.

Only unpacked: nothing is installed, and nobody need be root. In place of the program there is a script that starts it with
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

# The releases of Debian that have them.
CODENAMES = {"3.11": "bookworm", "3.13": "trixie"}
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
# What of the packages is kept. In bookworm's, the C library is outside of usr.
KEPT = ("usr/bin/python3", "usr/lib/python3", "usr/share/python-wheels/", *(f"{folder}/" for folder in LIBRARIES))

SCRIPT = """\
#!/bin/sh
exec {loader} --library-path {libraries} --argv0 "$0" {program}.real "$@"
"""


def tree_path(release: str) -> Path:
    """Return the folder of the tree, made or not. Another recipe is another folder."""
    recipe = "".join((CODENAMES[release], *KEPT, SCRIPT, inspect.getsource(make)))
    return image.cache_directory() / f"python{release}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def program_path(release: str) -> Path:
    """Return the Python, made or not."""
    return tree_path(release) / "usr" / "bin" / f"python{release}"


def make(release: str, tree: Path) -> None:
    """Unpack the packages; the tree appears under its name only when it is whole. Raises RigError."""
    image.check_tools({"mmdebstrap": "mmdebstrap"})
    codename, name = CODENAMES[release], f"python{release}"
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
             *image.keyring_options(), *image.apt_transport_options(), codename, str(archive), *map(image.one_line, image.debian_sources(codename))],
            work / "build.log", f"{name}: unpacking packages", 900,
        )  # fmt: skip
        new = work / "tree"
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.name.removeprefix("./").startswith(KEPT):
                    packed.extract(member, new, set_attrs=member.isfile())
        program = new / "usr" / "bin" / name
        program.rename(program.with_name(f"{name}.real"))
        # The file itself: links to it are absolute in some releases, and would lead to this machine's.
        loader = next(path for folder in LIBRARIES if (path := new / folder / LOADER).is_file() and not path.is_symlink())
        libraries = ":".join(str(tree / folder) for folder in LIBRARIES)
        program.write_text(SCRIPT.format(loader=tree / loader.relative_to(new), libraries=libraries, program=tree / "usr" / "bin" / name))
        program.chmod(0o755)
        # Debian's ensurepip takes pip from here (WHEEL_PKG_DIR).
        for data in (new / "usr" / "lib" / name).glob("_sysconfigdata_*.py"):
            data.write_text(data.read_text().replace("'/usr/share/python-wheels/'", repr(f"{tree}/usr/share/python-wheels/")))
        shutil.rmtree(tree, ignore_errors=True)
        os.replace(new, tree)


def ensure(release: str) -> Path:
    """Return the Python, made first when it is not there."""
    tree, program = tree_path(release), program_path(release)
    if not program.exists():
        with image.locked(tree.with_name(f"{tree.name}.lock"), f"it unpacks Python {release}"):
            if not program.exists():
                make(release, tree)
    return program


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["ensure", "path"], help="make it when it is not there; or only say where it is or would be")
    parser.add_argument("release", choices=sorted(CODENAMES))
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        print(ensure(options.release) if options.command == "ensure" else program_path(options.release))
    except image.RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
