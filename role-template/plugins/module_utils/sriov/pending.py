# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for a reboot, remembered across boots, to recognise a reason that a reboot did not clear.

Every concern (kernel parameters, firmware, ...) has one file, /var/lib/sriov/pending-<concern>.json: the key of each
reason, with the boot id under which it was first reported. The kernel generates a new id at every boot (random(4)), so
equal ids mean that there was no reboot in between.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Iterable

from .program.disk import leftovers, remove_file, write_atomically
from .program.host import Host
from .program.sysfs import read_text

# Prefix of the boot id of a key that was about to be configured: if the run was killed there, it may have configured it
# or not.
BEGUN = "begun "


def judge(
    host: Host, concern: str, reasons: list[dict], touched: Collection[str], check_mode: bool
) -> tuple[list[dict], list[dict]]:
    """Sort the reasons for a reboot into those that are due and those that a reboot has already failed to clear.

    concern: names the file; reasons: list of {"key": str, "text": str}, the changes that only a reboot applies,
    with the wanted value in the key; touched: the keys whose configuration this run wrote, or would write
    in check mode.
    Returns (due, stuck), each a list of the given dicts, in their order. Nothing is written in check mode.
    A file that cannot be parsed counts as empty: the worst outcome is one more reboot request.
    Raises OSError when the state cannot be written.
    """
    due, stuck, now = sort(host, concern, reasons, touched)
    if not check_mode and now != _read(path_of(host, concern)):
        _write(path_of(host, concern), now)
    return due, stuck


def sort(
    host: Host,
    concern: str,
    reasons: list[dict],
    touched: Collection[str],
) -> tuple[list[dict], list[dict], dict[str, str]]:
    """Like judge(), but without the write, for a caller that writes several files together.

    Returns (due, stuck, now): now is {key: boot id}, which text_of() makes the text of the file path_of().
    """
    boot, known = _boot_id(host), _read(path_of(host, concern))
    now, due, stuck = {}, [], []
    for reason in reasons:
        key = reason["key"]
        first_reported = boot if key in touched or known.get(key, BEGUN).startswith(BEGUN) else known[key]
        now[key] = first_reported
        (due if first_reported == boot else stuck).append(reason)
    return due, stuck, now


def nothing_left(host: Host, concern: str, folders: Iterable[str]) -> bool:
    """Whether nothing is remembered about a concern, and no interrupted run has left a file in its folders for sweep()
    to remove.
    """
    return not os.path.exists(path_of(host, concern)) and not leftovers([host.state, *folders])


def forget(host: Host, concern: str) -> None:
    """Forget a concern's reasons, because none of them is valid any more. If the file cannot be removed, the concern's
    next run removes it.
    """
    with contextlib.suppress(OSError):
        remove_file(path_of(host, concern))


def path_of(host: Host, concern: str) -> str:
    """The file of a concern."""
    return os.path.join(host.state, f"pending-{concern}.json")


def text_of(pending: dict[str, str]) -> str | None:
    """The text of a concern's file, None when there is nothing to remember. pending: {key: boot id}."""
    return json.dumps(pending, indent=2, sort_keys=True) + "\n" if pending else None


def of_this_boot(host: Host, concern: str) -> set[str]:
    """The keys of a concern that were first reported in this boot, for changes that cannot be seen otherwise."""
    boot, known = _boot_id(host), _read(path_of(host, concern))
    return {key for key, first_reported in known.items() if first_reported in (boot, BEGUN + boot)}


def of_earlier_boots(host: Host, concern: str) -> set[str]:
    """The keys of a concern that were first reported in an earlier boot, without those that were only begun."""
    known = _read(path_of(host, concern))
    begun = {key for key, first_reported in known.items() if first_reported.startswith(BEGUN)}
    return set(known) - begun - of_this_boot(host, concern)


def note(host: Host, concern: str, keys: Iterable[str]) -> None:
    """Remember keys that are about to be configured. Known keys stay as they are; judge() sorts the keys later.

    Raises OSError when the state cannot be written.
    """
    path = path_of(host, concern)
    known = _read(path)
    begun = dict.fromkeys(keys, BEGUN + _boot_id(host))
    noted = dict(
        begun, **{key: value for key, value in known.items() if key not in begun or not value.startswith(BEGUN)}
    )
    if noted != known:
        _write(path, noted)


def _boot_id(host: Host) -> str:
    return read_text(host.boot_id, "")


def _read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            content = json.load(stream)
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, str)}


def _write(path, pending):
    text = text_of(pending)
    if text:
        write_atomically(path, text)
    else:
        with contextlib.suppress(FileNotFoundError):
            remove_file(path)
