# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters from the NICs of many hosts to what an operator reads. Their documentation is in the .yml files next to this
one.
"""

from __future__ import annotations

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.fleet.discovery import discovery


class FilterModule:
    """The filters of this file, by name."""

    def filters(self):
        return {"sriov_discovery": discovery}
