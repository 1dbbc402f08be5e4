# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of a boot loader. A new one is a module with a subclass, and a line in detect.py."""

from __future__ import annotations

from ..changes import Changes
from ..machine import Machine


class BootLoader:
    """Where a boot loader keeps the kernel lines of the next boot, and how they are changed.

    A subclass has a class method find(machine, ...) that returns it, or None without evidence that it starts this host;
    programs alone are not evidence. detect() calls it.

    A line is the text of a kernel command line. `where` names its place, for a message. `wanted` and `tokens` are lists
    of words of cmdline.py. Each method reads through the Changes that it gets: in check mode they contain what would
    have been written.
    """

    #: What the module returns as `bootloader`.
    name = ""

    def __init__(self, host: Machine) -> None:
        self.host = host

    def folders(self, changes: Changes) -> list[str]:
        """Where this role writes files. A run that was killed may have left a temporary file there."""
        raise NotImplementedError

    def sources(self, changes: Changes) -> list[tuple[str, str]]:
        """The lines that administrators write, as (where, line): where they must remove their own parameter. May
        raise Refusal.
        """
        raise NotImplementedError

    def also_read(self, changes: Changes) -> list[tuple[str, str]]:
        """Further lines whose words end up on a kernel's line, as (where, line)."""
        return []

    def configured(self, changes: Changes) -> list[tuple[str, str]]:
        """Every line that the next boot may use, as (where, line). May raise Refusal."""
        return self.sources(changes)

    def lacking(self, changes: Changes, wanted: list[str]) -> list[str]:
        """The wanted tokens that a run would add to the next boot, or to kernels that are installed later. May raise
        Refusal.
        """
        raise NotImplementedError

    def prepare(self, changes: Changes, wanted: list[str], record: dict) -> None:
        """Put into the record (record.py) what the next run needs if this one is interrupted. Called before the first
        change.
        """

    def apply(self, changes: Changes, wanted: list[str], record: dict) -> list[str]:
        """Make the next boot have `wanted`, and not the other tokens that this role added before, as in `record`.

        Returns sentences for the operator, without errors. Raises Refusal, after changes.undo() if a program failed,
        and OSError; the caller undoes as well.
        """
        raise NotImplementedError
