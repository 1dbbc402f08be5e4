#!/usr/bin/env python3
"""Build the bootable disks that the scenarios start from, out of Debian packages."""

from __future__ import annotations

import argparse
import signal
import sys

from host import RigError
from images import store
from images.recipes import RECIPES, image_path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("ensure", help="build what is missing and print the paths")
    command.add_argument("image", nargs="+", choices=RECIPES)
    command = commands.add_parser("path", help="print where the images are, built or not")
    command.add_argument("image", nargs="+", choices=RECIPES)
    options = parser.parse_args(arguments)
    # So that a build which is ended ends its children and removes its files.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        for name in options.image:
            print(store.ensure(name) if options.command == "ensure" else image_path(name))
    except RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
