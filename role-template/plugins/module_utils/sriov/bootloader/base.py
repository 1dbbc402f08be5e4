# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a boot loader has to offer. A new one is a module with a subclass, and a line in detect.py."""

from __future__ import annotations

from ..changes import Changes
from ..machine import Machine


class BootLoader:
    """Where a boot loader keeps the kernel lines of the next boot, and how they are changed.

    A subclass has a class method find(machine, ...) that returns it, or None without evidence that it starts this host:
    programs alone are none. detect() asks for it.

    A line is the text of a kernel command line. `where` names its place, for a message. `wanted` and `tokens` are lists
    of words of cmdline.py. Each method reads through the Changes that it is given: in check mode those know what would
    have been written.
    """

    #: What the module returns as `bootloader`.
    name = ""

    def __init__(self, host: Machine) -> None:
        self.host = host

    def folders(self, changes: Changes) -> list[str]:
        """The directories in which this role writes files: a run that was killed may have left a temporary one
        there.
        """
        raise NotImplementedError

    def sources(self, changes: Changes) -> list[tuple[str, str]]:
        """The lines that people write, as (where, line): what a parameter of theirs has to be taken off from. May raise
        Refusal.
        """
        raise NotImplementedError

    def also_read(self, changes: Changes) -> list[tuple[str, str]]:
        """Further lines whose words end up on a kernel's line, as (where, line)."""
        return []

    def configured(self, changes: Changes) -> list[tuple[str, str]]:
        """Every line that a next boot may take, as (where, line). May raise Refusal."""
        return self.sources(changes)

    def lacking(self, changes: Changes, wanted: list[str]) -> list[str]:
        """The wanted tokens that a run would bring to the next boot, or to kernels that are installed later. May raise
        Refusal.
        """
        raise NotImplementedError

    def prepare(self, changes: Changes, wanted: list[str], record: dict) -> None:
        """Put into the record (record.py) what a run that is interrupted has to leave to the next. Called before the
        first change.
        """

    def apply(self, changes: Changes, wanted: list[str], record: dict) -> list[str]:
        """Make the next boot have `wanted`, and not what `record` says that this role added before.

        Returns sentences for the operator, none of which is an error. Raises Refusal, after changes.undo() when a
        program failed, and OSError; the caller undoes as well.
        """
        raise NotImplementedError
