# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB that reads Boot Loader Specification entries, and is kept by grubby (EL)."""

from __future__ import annotations

import os
import re

from ..changes import Changes
from ..errors import Refusal
from .cmdline import append, has, missing, remove_tokens, split_raw
from .entries import EntryLoader, entry_value
from .grub_settings import drop_in, sets_separator
from .tools import last_line


class Grubby(EntryLoader):
    """GRUB that reads boot entries (blscfg), as on Enterprise Linux 9 and 10, where grubby shows and edits them.

    grubby 8.40 loses words when it edits: other values of a name that it adds, `&` and `\\`, spaces in quotes, all but
    the first line of /etc/kernel/cmdline. After a run that is killed at that point, nothing can restore them. So the
    role writes the files itself, each in one step, and then reads what grubby shows.
    """

    name = "grubby"
    ENTRIES = "/boot/loader/entries"
    ENVIRONMENT = "/boot/grub2/grubenv"
    DEFAULTS = "/etc/default/grub"
    BEGIN, END = "# BEGIN stackhpc.sriov", "# END stackhpc.sriov"
    # If /etc/default/grub is newer than /etc/kernel/cmdline, kernel-install assumes that it was edited by hand, and
    # runs grub2-mkconfig. So the newer one stays the newer one.
    SAME_TIMES = (DEFAULTS, EntryLoader.KERNEL_CMDLINE)

    def __init__(self, host, running, grubby):
        super().__init__(host, running)
        self.grubby = grubby
        self._would_be = None

    @classmethod
    def find(cls, host, running):
        """The loader, or None. Evidence: grubby, a grub.cfg that reads entries, and Linux entries to read."""
        grubby = host.which("grubby")
        configs = ["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"] + [
            f"/boot/efi/EFI/{name}/grub.cfg" for name in host.names("/boot/efi/EFI")
        ]
        reads = any(re.search(r"^\s*blscfg\b", host.read(path) or "", re.MULTILINE) for path in configs)
        loader = cls(host, running, grubby)
        return loader if grubby and reads and loader.entries(Changes(host, True)) else None

    def folders(self, changes):
        places = [os.path.dirname(self.DEFAULTS), os.path.dirname(self.ENVIRONMENT)]
        return super().folders(changes) + places

    def script(self):
        return "20-grub.install"

    def takes_comments_by_default(self):
        # `read -r -d '' -a BOOT_OPTIONS < /etc/kernel/cmdline` in grub2-common of EL 9 and 10.
        return True

    def entries(self, changes):
        paths = [f"{self.ENTRIES}/{name}" for name in self.host.names(self.ENTRIES) if name.endswith(".conf")]
        texts = [(path, changes.read(path) or "") for path in paths]
        return [(path, text) for path, text in texts if entry_value(text, "linux")]

    def kernelopts(self):
        """The variable kernelopts of GRUB's environment block, or None: older entries take their options from it."""
        if self._would_be is not None:
            return self._would_be
        match = re.search(r"^kernelopts=(.*)$", self.host.read(self.ENVIRONMENT) or "", re.MULTILINE)
        return match.group(1) if match else None

    def expand(self, line):
        value = self.kernelopts()
        return line if value is None else re.sub(r"\$kernelopts\b", lambda _match: value, line)

    def configured(self, changes):
        value = self.kernelopts()
        return self.sources(changes) + ([] if value is None else [(self.ENVIRONMENT, value)])

    def block(self, wanted):
        return f"{self.BEGIN}\n{drop_in(wanted)}{self.END}\n" if wanted else ""

    def plan(self, changes, wanted, drop, record):
        plan = super().plan(changes, wanted, drop, record)
        text = changes.read(self.DEFAULTS)
        if text is not None:
            # grub2-mkconfig regenerates the entries' options from this file: always before EL 9.3, on request since.
            # It reads no drop-ins.
            kept = re.sub(rf"^{self.BEGIN}\n.*?^{self.END}\n", "", text, flags=re.MULTILINE | re.DOTALL)
            if wanted and kept and not kept.endswith("\n"):
                kept += "\n"
            plan[self.DEFAULTS] = kept + self.block(wanted)
        return plan

    def needs(self, changes, wanted, record):
        text, block = changes.read(self.DEFAULTS), self.block(wanted)
        begun = any(token in record["tokens"] for token in wanted)
        out_of_step = text is not None and (block not in text if begun else not wanted and self.BEGIN in text)
        drop = [token for token in record["tokens"] if token not in wanted]
        left = any(token in split_raw(self.kernelopts() or "") for token in drop)
        return out_of_step or left or super().needs(changes, wanted, record)

    def apply(self, changes, wanted, record):
        if not self.needs(changes, wanted, record):
            return []
        drop = [token for token in record["tokens"] if token not in wanted]
        lines = [self.options(text) for _path, text in self.entries(changes)]
        lacking = [token for token in wanted if any(not has(line, token) for line in lines)]
        plan = self.plan(changes, wanted, drop, record)
        # First: until the entries and the block below are written, the next run finds something to do.
        self._set_kernelopts(changes, lacking, drop)
        self.write(changes, plan)
        if not changes.check_mode:
            self._read_back(changes, wanted)
        if wanted and sets_separator(changes.read(self.DEFAULTS) or "", "GRUB_CMDLINE_LINUX"):
            return [
                f"{' '.join(wanted)} will go to init and not to the kernel when grub2-mkconfig makes the entries of "
                f"{self.DEFAULTS}, because of the ' -- ' in its GRUB_CMDLINE_LINUX: remove the ' -- '."
            ]
        return []

    def _set_kernelopts(self, changes, lacking, drop):
        """Set the variable kernelopts, if there is one, to what it must be."""
        value = self.kernelopts()
        if value is None:
            return
        kept = remove_tokens(value, drop)
        after = append(kept, missing(kept, lacking)) if missing(kept, lacking) else kept
        if after == value:
            return
        editor = self.host.which("grub2-editenv", "grub-editenv") or "/usr/bin/grub2-editenv"
        rc, out, err = changes.command(
            [editor, self.ENVIRONMENT, "set", "kernelopts=" + after],
            self.ENVIRONMENT,
            self.ENVIRONMENT + " (kernelopts)",
            value + "\n",
            after + "\n",
        )
        if changes.check_mode:
            self._would_be = after
        elif rc != 0 or self.kernelopts() != after:
            raise Refusal(f"grub2-editenv could not set kernelopts, and {changes.undo()}: {last_line(err, out)}")

    def _read_back(self, changes, wanted):
        rc, out, err = self.host.run([self.grubby, "--info=ALL"], None)
        # A block for each entry; an entry that starts no kernel has no arguments.
        blocks = re.split(r"^(?=index=)", out, flags=re.MULTILINE)
        args = re.compile(r'^args="(.*?)"\s*(?=^(?:root|initrd|title|id)=|\Z)', re.MULTILINE | re.DOTALL)
        shown = [args.search(block) for block in blocks if re.search(r'^kernel="?/', block, re.MULTILINE)]
        lines = [match.group(1) for match in shown if match]
        if rc != 0 or not lines or all(missing(line, wanted) for line in lines) and wanted:
            raise Refusal(
                f"grubby --info=ALL does not show {' '.join(wanted) or 'the entries'} on any entry afterwards, and "
                f"{changes.undo()}: {last_line(err, out)}"
            )
