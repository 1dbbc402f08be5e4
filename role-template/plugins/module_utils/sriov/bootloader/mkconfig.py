# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB with entries that grub-mkconfig makes from /etc/default/grub (Debian, Ubuntu)."""

from __future__ import annotations

import os
import re
import shlex
import tempfile

from ..changes import Changes
from ..errors import Refusal
from .cmdline import TO_INIT, missing, split_raw
from .grub_settings import drop_in, sets_separator
from .made import MadeEntries
from .tools import last_line

DROP_IN_HEADER = """\
# Made by the Ansible role stackhpc.sriov, which writes this file anew: change the role's variables, not the file.
# Each parameter is put on the kernel's line only when the line does not have it already.
"""


class MkconfigGrub(MadeEntries):
    """GRUB whose entries grub-mkconfig makes from /etc/default/grub and its drop-ins."""

    name = "grub"
    look_at = "the scripts in /etc/grub.d"
    otherwise_made = "the script in /etc/grub.d that makes it uses its own line"
    DEFAULTS = "/etc/default/grub"
    DROP_INS = "/etc/default/grub.d"
    DROP_IN = "/etc/default/grub.d/zz-sriov.cfg"
    CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
    VARIABLES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY")

    def __init__(self, host, command, config):
        super().__init__(host, command, config)
        self._known = {}

    @classmethod
    def find(cls, host):
        """The loader, or None. Evidence: its settings, its generator, and a configuration with Linux entries."""
        config = next((path for path in cls.CONFIGS if host.is_file(path)), None)
        mkconfig = cls.generator(host)
        if not (config and mkconfig):
            return None
        update = host.which("update-grub")
        return cls(host, [update] if update else [mkconfig, "-o", config], config)

    @classmethod
    def generator(cls, host):
        """The path of a grub-mkconfig that makes entries from drop-ins, on a host that has settings; or None."""
        settings = host.is_file(cls.DEFAULTS) or host.is_directory(cls.DROP_INS)
        mkconfig = host.which("grub-mkconfig", "grub2-mkconfig")
        # A drop-in works only with a generator that reads drop-ins; Debian's is patched to do so, EL's is not.
        reads = mkconfig and "default/grub.d" in (host.read(mkconfig) or "")
        return mkconfig if settings and reads else None

    def evaluate(self, changes):
        """The kernel line of a normal entry, as grub-mkconfig would make it: GRUB_CMDLINE_LINUX, then
        GRUB_CMDLINE_LINUX_DEFAULT.
        """
        settings = self.settings(changes)
        return " ".join((settings["GRUB_CMDLINE_LINUX"] + " " + settings["GRUB_CMDLINE_LINUX_DEFAULT"]).split())

    def settings(self, changes):
        """The variables of VARIABLES as grub-mkconfig would have them, by name; empty where one is not set.

        sh sources the files, in grub-mkconfig's order and under its `set -e`: nothing else can evaluate `+=`, `$( )`
        or a continued line.
        """
        texts = tuple((path, changes.read(path)) for path in self._files(changes))
        if texts not in self._known:
            self._known[texts] = self._source(texts)
        return self._known[texts]

    def _source(self, texts):
        with tempfile.TemporaryDirectory(prefix="sriov-") as directory:
            script = ["set -e"]
            for number, (path, text) in enumerate(texts):
                if text is None:
                    continue
                source = self.host.real(path)
                if text != self.host.read(path):
                    source = os.path.join(directory, f"{number}.cfg")
                    with open(source, "w", encoding="utf-8", errors="surrogateescape") as stream:
                        stream.write(text)
                script.append(f". {shlex.quote(source)}")
            mark = "@sriov@"
            script.append(
                "printf '%s%%s' %s '%s'" % (mark, " ".join(f'"${{{name}-}}"' for name in self.VARIABLES), "end")
            )
            rc, out, err = self.host.run(["/bin/sh", "-c", "\n".join(script)], "")
        values = out.split(mark)[-len(self.VARIABLES) - 1 :]
        if rc != 0 or len(values) != len(self.VARIABLES) + 1 or values.pop() != "end":
            raise Refusal(
                f"The settings of GRUB in {self.DEFAULTS} cannot be read by sh, so update-grub would fail too: "
                f"{last_line(err, out)}"
            )
        settings = dict(zip(self.VARIABLES, values))
        if "\n" in settings["GRUB_CMDLINE_LINUX"] + settings["GRUB_CMDLINE_LINUX_DEFAULT"]:
            raise Refusal(
                f"A value of GRUB_CMDLINE_LINUX or GRUB_CMDLINE_LINUX_DEFAULT in {self.DEFAULTS} or {self.DROP_INS} "
                "has a line break inside its quotes, and GRUB ends the kernel's line there: put it on one line."
            )
        return settings

    def _files(self, changes):
        """The files that hold the settings, in the order in which grub-mkconfig sources them."""
        drop_ins = {
            f"{self.DROP_INS}/{name}"
            for name in self.host.names(self.DROP_INS)
            if name.endswith(".cfg") and not name.startswith(".")
        }
        # In check mode the file that would be written has the same place in the order.
        return [self.DEFAULTS] + sorted(
            drop_ins | ({self.DROP_IN} if changes.read(self.DROP_IN) is not None else set())
        )

    def folders(self, _changes):
        return [self.DROP_INS] + ([os.path.dirname(self.made)] if self.made else [])

    def texts(self):
        """The texts of the menus, as {place: text}."""
        return {self.made: self.host.read(self.made) or ""}

    def menus(self, changes):
        settings = self.settings(changes)
        return {place: grub_entries(text, settings) for place, text in self.texts().items()}

    def setting(self, changes):
        return f"{self.DEFAULTS} or {self.DROP_INS}", self.evaluate(changes)

    def edit(self, changes, wanted, _record):
        """Write the drop-in, or remove it."""
        trial = Changes(self.host, True)
        if not wanted:
            trial.remove(self.DROP_IN)
        elif trial.read(self.DROP_IN) is not None or missing(self.evaluate(trial), wanted):
            trial.write(self.DROP_IN, DROP_IN_HEADER + drop_in(wanted))
        line = self.evaluate(trial)
        if missing(line, wanted):
            raise Refusal(self._in_the_way(trial, " ".join(missing(line, wanted))))
        changes.put(self.DROP_IN, trial.read(self.DROP_IN))
        return trial.changed

    def _in_the_way(self, changes, tokens):
        """Why the tokens are not on the kernel's line although the drop-in puts them there."""
        settings = self.settings(changes)
        for name in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"):
            if any(word in TO_INIT for word in split_raw(settings[name])):
                files = [path for path in self._files(changes) if sets_separator(changes.read(path) or "", name)]
                place = files[-1] if files else f"{self.DEFAULTS} or {self.DROP_INS}"
                return (
                    f"{tokens} would go to init and not to the kernel, as every word after the ' -- ' in {name} of {place} "
                    "does: remove the ' -- ', or put what the kernel needs before it ('---' is an ordinary word)."
                )
        return (
            f"{tokens} is not on the line that GRUB would get: a file in {self.DROP_INS} that sorts after "
            f"{os.path.basename(self.DROP_IN)} replaces GRUB_CMDLINE_LINUX_DEFAULT (rename it or let it append), or the word is in a quoted value."
        )


# Words with which a boot ends in a shell for repairs: systemd's generator and run level names (kernel-command-line(7)),
# Ubuntu's friendly-recovery, the stops of dracut (dracut.cmdline(7)) and initramfs-tools(7), and a shell instead of
# init.
REPAIR = re.compile(
    r"^(single|-s|s|S|1|-b|recovery|(rd\.)?(rescue|emergency)|(rd\.)?break(=.*)?"
    r"|(rd\.)?systemd\.unit=(rescue|emergency)(\.target)?|(rd)?init=/\S*/?(ba|da|z|k|a)?sh)$"
)
# The id of a recovery entry of 10_linux, gnulinux-VERSION-recovery-DEVICE; the device can have any name.
RECOVERY_ID = re.compile(r"gnulinux-(?!simple-)(?:(?!-advanced-|-recovery-)[^/'\"\s])*-recovery-")
# Scripts that make entries of other systems and the administrator's own entries.
NOT_MADE = ("30_os-prober", "40_custom", "41_custom")


def grub_entries(text, settings=None):
    """The Linux entries that boot normally in a grub.cfg, as (title, kernel line without the kernel's path).

    Only those of 10_linux (and 10_linux_zfs) if there are any: entries of other systems and the administrator's own are
    not made from /etc/default/grub. Recovery entries do not get GRUB_CMDLINE_LINUX_DEFAULT. They are recognised by
    10_linux's id, and in any other script by their line: it has a word that REPAIR matches, or the words of
    GRUB_CMDLINE_LINUX_RECOVERY, and the line of a normal entry (`settings`, by name of the variable) does not.
    """
    settings = settings or {}
    usual = set(
        split_raw(settings.get("GRUB_CMDLINE_LINUX", "") + " " + settings.get("GRUB_CMDLINE_LINUX_DEFAULT", ""))
    )
    own = set(settings.get("GRUB_CMDLINE_LINUX_RECOVERY", "").split()) - usual

    def repairs(line):
        words = set(split_raw(line))
        return any(REPAIR.match(word) for word in words - usual) or bool(own) and own <= words

    entries, section, title, recovery = [], "", "", False
    for line in text.splitlines():
        if section in NOT_MADE and not line.startswith("###"):
            continue
        begin = re.match(r"### BEGIN (\S+) ###", line)
        if begin:
            section, title = os.path.basename(begin.group(1)), ""
        entry = re.match(r"\s*menuentry\s+(?:(['\"])(.*?)\1|([^\s'\"]+))(.*)", line)
        if entry:
            title = entry.group(2) or entry.group(3) or "?"
            recovery = section != "10_linux_zfs" and RECOVERY_ID.search(entry.group(4)) is not None
        kernel = re.match(r"\s*linux(?:16|efi)?\s+(\"[^\"]*\"|\S+)\s*(.*)", line)
        if (
            not kernel
            or not title
            or recovery
            or "memtest" in os.path.basename(kernel.group(1))
            or repairs(kernel.group(2))
        ):
            continue
        entries.append((section, title, kernel.group(2).strip()))
    made = [entry for entry in entries if entry[0].startswith("10_linux")]
    return [(title, line) for _section, title, line in made or entries]
