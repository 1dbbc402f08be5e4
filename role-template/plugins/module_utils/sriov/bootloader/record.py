# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what this role has added to the line: it removes nothing else again."""

from __future__ import annotations

import json
import os

from ..machine import Machine
from ..program.disk import remove_file, write_atomically
from .cmdline import INTEL_ON, PASSTHROUGH

RECORD = "/var/lib/sriov/kernel-parameters.json"


def read_record(host: Machine) -> dict:
    """What this role has added: {"bootloader": str, "tokens": [str], ...}; empty tokens if there is no usable
    record.
    """
    try:
        record = json.loads(host.read(RECORD) or "{}")
    except ValueError:
        record = {}
    if not isinstance(record, dict):
        record = {}
    tokens, created = record.get("tokens"), record.get("created")
    record["tokens"] = (
        [token for token in tokens if token in (INTEL_ON, PASSTHROUGH)] if isinstance(tokens, list) else []
    )
    record["created"] = (
        {path: text for path, text in created.items() if isinstance(text, str)} if isinstance(created, dict) else {}
    )
    return record


def write_record(host: Machine, record: dict, check_mode: bool) -> None:
    """Save the record, without counting it as a change: it only describes the change."""
    if check_mode or record == read_record(host):
        return
    real = host.real(RECORD)
    if record["tokens"] or record["created"]:
        write_atomically(real, json.dumps(record, indent=2, sort_keys=True) + "\n")
    elif os.path.exists(real):
        remove_file(real)
