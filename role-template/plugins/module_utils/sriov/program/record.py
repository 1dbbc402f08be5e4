# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PF and its VFs were before the role set them, in /run/sriov/ADDRESS.json, which ends with the boot.

A record has, each only if there is something to remember:
autoprobe: sriov_drivers_autoprobe as it was before the role wrote it, a bool.
held: true while the program keeps new VFs without a driver.
unbound: the numbers of the VFs that have no driver only because the program has not finished with them.
was: {VF: {key: value}}, the settings that the driver gave the VF. A value of None is not known.
told: {VF: {key: value}}, what the role set where the driver does not report the setting.
It is written before the kernel gets a change, so that a run that is killed leaves nothing that the next cannot repair.
"""

from __future__ import annotations

import contextlib
import json
import os

from .disk import remove_file, write_atomically
from .host import HOST

MAPS = ("was", "told")


def record_path(address: str) -> str:
    """The file of a PF's record."""
    return os.path.join(HOST.records, address + ".json")


def read_record(address: str) -> dict:
    """A PF's record, with VFs as int; empty without one. A file that is not a record counts as none."""
    try:
        with open(record_path(address), encoding="utf-8") as stream:
            record = json.load(stream)
        return dict(
            record, **{key: {int(vf): dict(kept) for vf, kept in record[key].items()} for key in MAPS if key in record}
        )
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def write_record(address: str, record: dict) -> None:
    """Replace a PF's record; one with nothing in it has no file. Raises OSError."""
    full = {key: {vf: kept for vf, kept in record[key].items() if kept} for key in MAPS if key in record}
    record = {key: value for key, value in dict(record, **full).items() if value not in ({}, [], None)}
    if record == read_record(address):
        return
    if record:
        write_atomically(record_path(address), json.dumps(record, sort_keys=True) + "\n")
    else:
        with contextlib.suppress(FileNotFoundError):
            remove_file(record_path(address))


def new_vfs(address: str, count: int) -> None:
    """Forget the VFs that a PF had, because it gets `count` new ones. Raises OSError."""
    record = read_record(address)
    if record:
        kept = {key: value for key, value in record.items() if key in ("autoprobe", "held")}
        write_record(address, dict(kept, unbound=list(range(count)) if record.get("held") else []))
