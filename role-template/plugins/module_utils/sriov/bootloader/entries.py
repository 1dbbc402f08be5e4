# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the Boot Loader Specification, and what EL's GRUB and systemd-boot share because they have them."""

from __future__ import annotations

import os
import re

from .base import BootLoader
from .cmdline import INTEL_ON, PASSTHROUGH, append, has, missing, parse_line, remove_tokens, split_raw
from .line_file import _without_words, edit_line_file, every_word, kernel_line


def entry_value(text: str, key: str) -> list[str]:
    """All values of a key of a boot entry, in order. The specification joins several `options` with a space."""
    return re.findall(rf"^[ \t]*{re.escape(key)}[ \t]+(.*?)[ \t\r]*$", text, re.MULTILINE)


OPTIONS = re.compile(r"([ \t]*options)([ \t]*)(.*?)(\r?)$")


def _option_lines(lines):
    return [number for number, line in enumerate(lines) if re.match(r"[ \t]*options(?:[ \t\r]|$)", line)]


def edit_entry(text, add, drop):
    """The text of a boot entry with the tokens of `add` at the end of its options and without those of `drop`.

    Every other character stays. An entry without options gets a line of them; the line is removed once it is empty.
    """
    lines = text.split("\n")
    for number in _option_lines(lines) if drop else []:
        key, space, value, end = OPTIONS.match(lines[number]).groups()
        if remove_tokens(value, drop) != value.rstrip():
            kept = remove_tokens(value, drop)
            lines[number] = key + space + kept + end if kept else None
    lines = [line for line in lines if line is not None]
    places = _option_lines(lines) if add else []
    # The last line is the usual place. After a ` -- ` or an open quote in an earlier line, it belongs to init or to the
    # quote.
    for place in places[-1:] + places[:-1]:
        key, space, value, end = OPTIONS.match(lines[place]).groups()
        edited = "\n".join(lines[:place] + [key + (space or " ") + append(value, add) + end] + lines[place + 1 :])
        if not missing(" ".join(entry_value(edited, "options")), add):
            return edited
    if add:
        last = len(lines) - 1 if lines[-1] == "" else len(lines)
        end = "\r" if "\r\n" in text else ""
        lines.insert(places[0] if places else last, "options " + " ".join(add) + end)
    return "\n".join(lines)


class EntryLoader(BootLoader):
    """What EL's GRUB and systemd-boot share: an `options` line per entry, /etc/kernel/cmdline for later kernels."""

    KERNEL_CMDLINE = "/etc/kernel/cmdline"
    VENDOR_CMDLINE = "/usr/lib/kernel/cmdline"
    # Files whose times other programs compare, so the role keeps them.
    SAME_TIMES = ()
    # Where kernel-install looks for its scripts; it uses the first one of each name.
    INSTALL = ("/etc/kernel/install.d", "/run/kernel/install.d", "/usr/lib/kernel/install.d", "/lib/kernel/install.d")

    def __init__(self, host, running):
        super().__init__(host)
        self.running = running
        self._takes_comments = None

    def entries(self, changes):
        """The Linux entries of this system, as (path, text)."""
        raise NotImplementedError

    def folders(self, changes):
        """Where this role writes files for this loader."""
        return sorted(
            {os.path.dirname(path) for path, _text in self.entries(changes)} | {os.path.dirname(self.KERNEL_CMDLINE)}
        )

    def script(self):
        """The name of kernel-install's script that makes an entry from /etc/kernel/cmdline."""
        raise NotImplementedError

    def takes_comments_by_default(self):
        """Whether to assume, if that script cannot be read, that it treats comments as words."""
        raise NotImplementedError

    def takes_comments(self):
        """Whether a kernel that is installed later gets the words of comments in /etc/kernel/cmdline on its line."""
        if self._takes_comments is None:
            paths = [f"{directory}/{self.script()}" for directory in self.INSTALL]
            text = next((text for text in map(self.host.read, paths) if text is not None), None)
            leaves_out = r"^[^#\n]*\b(?:grep|sed|awk)\b[^\n]*#[^\n]*cmdline"
            self._takes_comments = (
                self.takes_comments_by_default() if text is None else not re.search(leaves_out, text, re.MULTILINE)
            )
        return self._takes_comments

    def readings(self):
        """How this host may make a kernel line from /etc/kernel/cmdline, as functions from text to line."""
        return [kernel_line] + ([every_word] if self.takes_comments() else [])

    def expand(self, line):
        """A line with the loader's variables replaced by their values."""
        return line

    def options(self, text):
        return self.expand(" ".join(entry_value(text, "options")))

    def sources(self, changes):
        lines = [(path, self.options(text)) for path, text in self.entries(changes)]
        later = changes.read(self.KERNEL_CMDLINE)
        return lines + ([] if later is None else [(self.KERNEL_CMDLINE, kernel_line(later))])

    def also_read(self, changes):
        """Further lines whose words end up on a later kernel's line, as (where, line): comments, and the file
        from which ours is made.
        """
        later = changes.read(self.KERNEL_CMDLINE)
        path = self.VENDOR_CMDLINE if later is None else self.KERNEL_CMDLINE
        text = self.host.read(self.VENDOR_CMDLINE) or "" if later is None else later
        comments = [line for line in text.split("\n") if line.lstrip().startswith("#")] if self.takes_comments() else []
        where = f"a line of {path} that begins with # (which kernel-install reads as words here)"
        return [(path, kernel_line(text))] + [(where, comment) for comment in comments]

    def lacking(self, changes, wanted):
        """The wanted tokens that a line of the next boot, or of a kernel that is installed later, does not have."""
        later = changes.read(self.KERNEL_CMDLINE)
        lines = [self.options(text) for _path, text in self.entries(changes)]
        lines += [] if later is None else [reading(later) for reading in self.readings()]
        return [token for token in wanted if any(not has(line, token) for line in lines)]

    def _default_text(self, changes, ours):
        """The initial text of /etc/kernel/cmdline: kernel-install's own default, or the booted entry's options without
        `ours`.
        """
        vendor = self.host.read(self.VENDOR_CMDLINE)
        if vendor is not None:
            return vendor
        entries = self.entries(changes)
        root = _root(self.running)
        alike = [text for _path, text in entries if _root(self.options(text)) == root]
        return remove_tokens(self.options((alike or [text for _path, text in entries])[-1]), ours) + "\n"

    def prepare(self, changes, wanted, record):
        """Put into the record what the next run needs if this one is interrupted: the initial text of
        /etc/kernel/cmdline.

        Without the file kernel-install uses the running line, and a kernel that is installed before the reboot would
        start without the parameters.
        """
        if wanted and changes.read(self.KERNEL_CMDLINE) is None and self.needs(changes, wanted, record):
            # After an interrupted run the entries may have the role's own tokens already.
            record.setdefault("created", {})[self.KERNEL_CMDLINE] = self._default_text(
                changes, record["tokens"]
            ).rstrip("\n")

    def _made_by_role(self, text, record):
        """Whether /etc/kernel/cmdline is the file that the role made, and only the role has changed it."""
        made = record.get("created", {}).get(self.KERNEL_CMDLINE)
        ours = (INTEL_ON, PASSTHROUGH)
        return made is not None and _without_words(text, ours).rstrip("\n") == _without_words(made, ours).rstrip("\n")

    def plan(self, changes, wanted, drop, record):
        """The texts to write, as {path: text}, None for a file to remove."""
        plan = {}
        for path, text in self.entries(changes):
            variables = "$kernelopts" in text and self.expand("$kernelopts") != "$kernelopts"
            add = [] if variables else missing(self.options(edit_entry(text, [], drop)), wanted)
            plan[path] = edit_entry(text, add, drop)
        later = changes.read(self.KERNEL_CMDLINE)
        if later is not None and not wanted and self._made_by_role(later, record):
            plan[self.KERNEL_CMDLINE] = None
        elif later is not None or wanted and plan:
            text = record["created"][self.KERNEL_CMDLINE] + "\n" if later is None else later
            readings = self.readings()
            kept = edit_line_file(text, [], drop)
            lacking = [token for token in wanted if any(not has(reading(kept), token) for reading in readings)]
            plan[self.KERNEL_CMDLINE] = edit_line_file(kept, lacking, [], readings)
        return plan

    def needs(self, changes, wanted, record):
        """Whether any line lacks a wanted token, or still has a token that this role added and that is not wanted."""
        drop = [token for token in record["tokens"] if token not in wanted]
        later = changes.read(self.KERNEL_CMDLINE)
        # A run that was interrupted leaves its record, and may have written only the entries.
        begun = any(token in record["tokens"] for token in wanted)
        return (
            bool(self.lacking(changes, wanted))
            or any(token in split_raw(line) for _where, line in self.sources(changes) for token in drop)
            or (begun and later is None)
            or (not wanted and later is not None and self._made_by_role(later, record))
        )

    def write(self, changes, plan):
        for path, text in plan.items():
            changes.put(path, text, keep_times=path in self.SAME_TIMES)

    def apply(self, changes, wanted, record):
        """Make the next boot have `wanted`, and not the other tokens that this role added before, as in `record`.
        Returns sentences for the operator.
        """
        if self.needs(changes, wanted, record):
            drop = [token for token in record["tokens"] if token not in wanted]
            self.write(changes, self.plan(changes, wanted, drop, record))
        return []


def _root(line: str) -> str | None:
    return next((value for _raw, name, value in parse_line(line) if name == "root"), None)
