# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/kernel/cmdline, of which kernel-install makes the entries of kernels that are installed later."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from ..errors import Refusal
from .cmdline import _before_init, _kernels_end, _spans, missing


def without_comments(text):
    """The text with every line that begins with # replaced by spaces, so that positions stay the same.

    A comment is what 90-loaderentry.install of systemd 257 and later leaves out (`grep -v '^\\s*#'`); a # later in a
    line is part of a normal word.
    """
    return re.sub(r"^[^\S\n]*#[^\n]*", lambda match: " " * len(match.group(0)), text, flags=re.MULTILINE | re.ASCII)


def kernel_line(text: str) -> str:
    """The kernel line from the text of /etc/kernel/cmdline: its lines joined, without comments."""
    return " ".join(without_comments(text).split())


def every_word(text: str) -> str:
    """The kernel line as kernel-install before systemd 257 and EL's 20-grub.install read it: comments are words too."""
    return " ".join(text.split())


def first_line(text: str) -> str:
    """The kernel line as proxmox-boot-tool reads it."""
    return text.split("\n", 1)[0]


def up_to_return(text: str) -> str:
    """The kernel line of an entry that kernel-install makes from a file with carriage returns: systemd-boot ends a line
    at them.
    """
    return without_comments(text).split("\r", 1)[0]


def edit_line_file(
    text: str,
    add: list[str],
    drop: Collection[str],
    readings: Collection[Callable[[str], str]] = (kernel_line,),
) -> str:
    """The text of /etc/kernel/cmdline without the tokens of `drop` and with those of `add`. Comments stay as they are.

    readings: functions from the text to a kernel line; the result of each must have what was added.
    Raises Refusal if no place in the text is right for all of them.
    """
    text = _without_words(text, drop)
    if not add:
        return text
    for candidate in _placings(text, " ".join(add)):
        if not any(missing(reading(candidate), add) for reading in readings):
            return candidate
    raise Refusal(
        f"There is no place in /etc/kernel/cmdline where {' '.join(add)} would reach a kernel that is installed later: "
        "put what the kernel needs on the first line, before any comment and any ' -- ', and close every quote."
    )


def _placings(text, words):
    """The texts with the words added, the usual place first: the last line, the first, a separate line, directly before
    the rest.
    """
    blanked = without_comments(text)
    end = _kernels_end(blanked)
    places = {}
    for start, stop in _spans(blanked):
        rest_of_line = blanked[stop:].split("\n", 1)[0]
        continues = blanked[start:stop] == "\\" and not rest_of_line.strip()
        if stop <= end and not continues and "\n" not in blanked[start:stop]:
            places[blanked.count("\n", 0, start)] = stop
    for line in sorted(places, key=lambda number: (number != max(places), number)):
        yield text[: places[line]] + " " + words + text[places[line] :]
    if end == len(text):
        newline = "\r\n" if "\r\n" in text else "\n"
        yield text + (newline if text and not text.endswith("\n") else "") + words + newline
    yield text[:end] + words + " " + text[end:]


def _without_words(text: str, drop: Collection[str]) -> str:
    """The text without the words that are exactly one of `drop`; the part for init and comments stay."""
    blanked = without_comments(text)
    kernels = _before_init(blanked)[0]
    for start, end in reversed(_spans(kernels)):
        if text[start:end] not in drop:
            continue
        line_start = text.rfind("\n", 0, start) + 1
        after = text[end:].lstrip(" \t")
        if text[line_start:start].strip():
            text = text[: start - 1] + text[end:]
        elif after.lstrip("\r")[:1] in ("", "\n"):
            text = text[:line_start] + after.lstrip("\r")[1:]
        else:
            text = text[:start] + after
    return text
