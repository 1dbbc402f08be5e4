#!/usr/bin/env python3
"""A stand-in for Mellanox cards in a guest: their firmware tools and their identity in sysfs.

rig/connectx has cards for the real mstconfig and mstfwreset. This is what they do not prove: a ConnectX-3, the tools of
MFT, and a card on a plain image. This one program is, by the name it is called with, mstconfig, mlxconfig, mlxfwreset,
or rig-card, with which test scenarios control it. The tools take what the role passes; any other argument is an error.
The configuration of a card is in /var/lib/rig-card. As on a real card `set` changes only the value for the next boot;
that value becomes the current one when the boot id has changed, or by a reset. The igb functions of the guest get a
card's identity by bind mounts over their files in sysfs.

The whole folder comes onto a guest; `python3 card.py install` puts it where its names find it.

Texts, columns and exit codes are those of mstflint v4.21 for a ConnectX-3 and of v4.31 for other cards
(mlxconfig/mlxcfg_*.cpp, small_utils/mstfwreset.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

import config
import connectx3
import control
import reset
from state import log_call


def main(name: str, arguments: list[str]) -> int:
    """Be the tool of this name."""
    if name == "modinfo":
        connectx3.modinfo(arguments)
    if name in ("mstconfig", "mlxconfig", "mlxfwreset"):
        log_call(name, arguments)
    if name in ("mstconfig", "mlxconfig"):
        return config.ConfigTool().run(arguments)
    if name == "mlxfwreset":
        return reset.reset_tool(arguments)
    return control.control(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
