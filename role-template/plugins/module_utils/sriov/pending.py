# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits for a reboot, remembered across boots, so that a reason which one reboot did not clear is told apart.

Every concern (kernel parameters, firmware, ...) has one file, /var/lib/sriov/pending-<concern>.json:
the key of each reason, with the boot id under which it was first reported.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import contextlib
import json
import os

from .program.disk import leftovers, remove_file, write_atomically

STATE_DIRECTORY = "/var/lib/sriov"
# Before the boot id of a key that was about to be configured: a run that was killed there may have configured it or not.
BEGUN = "begun "
# random(4): made anew by the kernel at every boot, so equal ids mean that no reboot happened between.
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def judge(concern, reasons, touched, check_mode, directory=STATE_DIRECTORY, boot_id=None):
    """Sort the reasons for a reboot into those that are due and those that a reboot has already failed to clear.

    concern: names the file; reasons: list of {"key": str, "text": str}, what only a reboot will make true now,
    the key containing the wanted value; touched: the keys whose configuration this run wrote, or would write
    in check mode; boot_id: of this boot, read from the kernel when None.
    Returns (due, stuck), each a list of the given dicts, in their order. Nothing is written in check mode.
    A file that cannot be parsed counts as empty: the worst outcome is one more reboot asked for.
    Raises OSError when the state cannot be written.
    """
    due, stuck, now = sort(concern, reasons, touched, directory, boot_id)
    if not check_mode and now != _read(path_of(concern, directory)):
        _write(path_of(concern, directory), now)
    return due, stuck


def sort(concern, reasons, touched, directory=STATE_DIRECTORY, boot_id=None):
    """What judge() does without its write, for a caller that writes several files together.

    Returns (due, stuck, now): now is {key: boot id}, which text_of() makes the text of the file path_of().
    """
    if boot_id is None:
        boot_id = _boot_id()
    known = _read(path_of(concern, directory))
    now, due, stuck = {}, [], []
    for reason in reasons:
        key = reason["key"]
        first_reported = boot_id if key in touched or known.get(key, BEGUN).startswith(BEGUN) else known[key]
        now[key] = first_reported
        (due if first_reported == boot_id else stuck).append(reason)
    return due, stuck, now


def nothing_left(concern, folders, directory=STATE_DIRECTORY):
    """Whether nothing is remembered of a concern, and no run that was ended has left a file in its folders for sweep() to remove."""
    return not os.path.exists(path_of(concern, directory)) and not leftovers([directory] + list(folders))


def forget(concern, directory=STATE_DIRECTORY):
    """Forget a concern's reasons, none of which holds any more. Where the file cannot be removed, the concern's next run does it."""
    with contextlib.suppress(OSError):
        remove_file(path_of(concern, directory))


def path_of(concern, directory=STATE_DIRECTORY):
    """The file of a concern."""
    return os.path.join(directory, "pending-%s.json" % concern)


def text_of(pending):
    """The text of a concern's file, None when there is nothing to remember. pending: {key: boot id}."""
    return json.dumps(pending, indent=2, sort_keys=True) + "\n" if pending else None


def of_this_boot(concern, directory=STATE_DIRECTORY, boot_id=None):
    """The keys of a concern that were first reported in this boot, for what cannot be seen otherwise. Arguments as of judge()."""
    if boot_id is None:
        boot_id = _boot_id()
    known = _read(path_of(concern, directory))
    return {key for key, first_reported in known.items() if first_reported in (boot_id, BEGUN + boot_id)}


def of_earlier_boots(concern, directory=STATE_DIRECTORY, boot_id=None):
    """The keys of a concern that were first reported in an earlier boot, those left out that were but begun. Arguments as of judge()."""
    known = _read(path_of(concern, directory))
    begun = {key for key, first_reported in known.items() if first_reported.startswith(BEGUN)}
    return set(known) - begun - of_this_boot(concern, directory, boot_id)


def note(concern, keys, directory=STATE_DIRECTORY, boot_id=None):
    """Remember keys that are about to be configured, those that are known already as they are; judge() sorts them out later.

    Arguments as of judge(). Raises OSError when the state cannot be written.
    """
    path = path_of(concern, directory)
    known = _read(path)
    begun = dict.fromkeys(keys, BEGUN + (_boot_id() if boot_id is None else boot_id))
    noted = dict(begun, **{key: value for key, value in known.items() if key not in begun or not value.startswith(BEGUN)})
    if noted != known:
        _write(path, noted)


def _boot_id():
    with open(BOOT_ID, encoding="ascii") as stream:
        return stream.read().strip()


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
