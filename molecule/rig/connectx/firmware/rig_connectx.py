#!/usr/bin/env python3
"""Emulated ConnectX cards in a guest: their firmware (`serve`), and the control that test scenarios use.

The kernel module (../kernel) makes the functions and the window through which tools send commands; this program answers
the commands. The tools are the distribution's own, unmodified. The program contains nothing of NVIDIA's firmware, and
has no rule, limit or delay of a real card unless it is written here.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Serve, or run a command of a scenario."""
    # Imports where they are needed: at boot the machine waits for Python's start, which is slow in an emulated guest.
    if arguments == ["serve"]:
        import serve

        serve.serve()
        return 0
    import operate

    return operate.operate(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
