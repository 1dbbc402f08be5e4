#!/usr/bin/env python3
"""Emulated ConnectX cards in a guest: their firmware (`serve`), and what test scenarios do with them.

The kernel module (../kernel) makes the functions and the window through which tools send commands; this answers them.
The tools are the distribution's own, unmodified. Here is nothing of NVIDIA's firmware: what a real one refuses,
limits or takes its time for is not known to this one unless it was written into it.
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    """Serve, or do what a scenario wants."""
    # Each import is here: at boot, Python's start in an emulated guest is what the machine waits for.
    if arguments == ["serve"]:
        import serve

        serve.serve()
        return 0
    import operate

    return operate.operate(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
