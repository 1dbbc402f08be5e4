# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of programs of boot loaders."""

from __future__ import annotations


def last_line(*outputs: str | None) -> str:
    """The last line that is not blank, from the first output that has one: there, tools say what went wrong."""
    for output in outputs:
        lines = [line.strip() for line in (output or "").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return "no message"
