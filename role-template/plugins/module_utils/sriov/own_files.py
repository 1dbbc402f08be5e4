# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML files for an operator to edit: replaced only while they are as they were written."""

from __future__ import annotations

import hashlib
import os
import re

from .errors import Refusal
from .program import disk, sysfs

MARK = "# Written by the playbook discover, which replaces this file until it is edited. SHA-256 of the rest: "
MARKED = re.compile(re.escape(MARK) + r"([0-9a-f]{64})\n(.*)\Z", re.DOTALL)
FILE_NAME = re.compile(r"^([A-Za-z0-9_]+/)*[A-Za-z0-9_]+\.yml\Z")


def marked(text: str) -> str:
    """The text with a first line by which is_own() knows it."""
    return f"{MARK}{digest(text)}\n{text}"


def digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def is_own(text: str) -> bool:
    """Whether a text is as marked() made it."""
    match = MARKED.match(text)
    return bool(match) and digest(match.group(2)) == match.group(1)


def write(folder: str, files: dict[str, str], check_mode: bool) -> dict:
    """Write files below a folder, except those that were edited or that this function has not written.

    files: {path below the folder: text}. Returns changed, written, kept (lists of paths) and diff. Raises Refusal.
    """
    for name, text in files.items():
        if not (isinstance(name, str) and FILE_NAME.match(name) and isinstance(text, str)):
            raise Refusal(
                f"files has {name!r:.80}, and needs a path such as group_vars/kind.yml and its text: correct it"
            )
    written, kept, diff = [], [], []
    for name, text in files.items():
        path, wanted = os.path.join(folder, name), marked(text)
        try:
            before = sysfs.read_file(path)
            if before == wanted:
                continue
            if before is not None and not is_own(before) or os.path.islink(path):
                kept.append(path)
                continue
            if not check_mode:
                disk.write_atomically(path, wanted)
        except OSError as error:
            raise Refusal(
                f"{path} cannot be written ({error.strerror}): make its folder writable, or choose another folder"
            ) from error
        written.append(path)
        diff.append({"before_header": path, "after_header": path, "before": before or "", "after": wanted})
    return {"changed": bool(written), "written": written, "kept": kept, "diff": diff}


def warning_of(path: str) -> str:
    """The sentence about a file that write() has kept."""
    return (
        f"{path} has been edited, or is not from this collection, and stays as it is: move it away to get the new one"
    )
