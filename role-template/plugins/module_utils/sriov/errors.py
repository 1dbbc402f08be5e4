# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error class whose text an operator reads."""

from __future__ import annotations


class Refusal(Exception):
    """An action that is not possible, as one sentence for the operator: what, where, and what to do.

    details: more fields of the module's failed result, for example `pfs`, the outcome for each PF.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details
