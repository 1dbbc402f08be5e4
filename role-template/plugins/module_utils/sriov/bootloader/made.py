# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the loaders share whose entries a command makes from settings: update-grub, proxmox-boot-tool refresh."""

from __future__ import annotations

from ..changes import Changes
from ..errors import Refusal
from ..machine import Machine
from .base import BootLoader
from .cmdline import has, managed_tokens, missing
from .tools import last_line


class MadeEntries(BootLoader):
    """A loader whose menus a command makes from settings. The role edits the settings, and runs the command.

    A menu is a place where the loader finds entries: a grub.cfg, or one EFI system partition of several.
    """

    #: Where an operator looks when an entry does not follow the settings, as the end of a sentence.
    look_at = ""
    #: What makes an entry that does not follow the settings, as a part of a sentence.
    otherwise_made = ""

    def __init__(self, host: Machine, command: list[str], made: str | None) -> None:
        """command: makes the menus. made: the file that it writes, or None if its file systems are not mounted."""
        super().__init__(host)
        self.command = command
        self.made = made
        # In check mode the menus are those from before the command that would be run.
        self._made_now = True

    def menus(self, changes: Changes) -> dict[str, list[tuple[str, str]]]:
        """The kernel lines of the entries that boot normally, as {place: [(title, line)]}."""
        raise NotImplementedError

    def setting(self, changes: Changes) -> tuple[str, str]:
        """The line that the command would give a normal entry, as (where, line). May raise Refusal."""
        raise NotImplementedError

    def edit(self, changes: Changes, wanted: list[str], record: dict) -> bool:
        """Write the settings. Returns whether they differ from before. May raise Refusal."""
        raise NotImplementedError

    def shows(self, entries: list[tuple[str, str]], tokens: list[str]) -> bool:
        """Whether a menu was made from settings with these tokens. One entry is enough: a script with its own line then
        makes those that lack them.
        """
        return any(not missing(line, tokens) for _title, line in entries)

    def run(self, changes: Changes, header: str, before: str, after: str) -> tuple[int, str, str]:
        """Run the command. The parameters and the result are those of Changes.command()."""
        return changes.command(self.command, self.made, header, before, after)

    def put_back(self, changes: Changes) -> str:
        """Undo the changes after the command was run. Returns the outcome, as part of a sentence."""
        return changes.undo()

    def sources(self, changes):
        return [self.setting(changes)]

    def configured(self, changes):
        menus = self.menus(changes) if self._made_now else {}
        made = [(f"{place}: {title}", line) for place, entries in menus.items() for title, line in entries]
        return made + self.sources(changes)

    def lacking(self, changes, wanted):
        """The wanted tokens that a run would add to the next boot."""
        _where, line = self.setting(changes)
        menus = [entries for entries in self.menus(changes).values() if entries]
        return [
            token for token in wanted if not has(line, token) or not all(self.shows(menu, [token]) for menu in menus)
        ]

    def apply(self, changes, wanted, record):
        """Make the next boot have `wanted`, and not the other tokens that this role added before, as in `record`.

        Returns sentences for the operator about entries that do not follow the settings.
        """
        edited = self.edit(changes, wanted, record)
        _where, line = self.setting(changes)
        if edited or self._stale(changes, line, wanted, record["tokens"]):
            return self._make(changes, line, wanted)
        return []

    def _stale(self, changes, line, wanted, recorded):
        """Whether a menu is older than the settings."""
        return any(
            not self.shows(entries, wanted)
            or any(
                has(entry, token) and not has(line, token)
                for _title, entry in entries
                for token in recorded
                if token not in wanted
            )
            for entries in self.menus(changes).values()
            if entries
        )

    def _make(self, changes, line, wanted):
        old = self.menus(changes)
        entries = [entry for place in old.values() for entry in place]
        before = "".join(f"{title}: {' '.join(managed_tokens(entry))}\n" for title, entry in entries)
        after = "".join(f"{title}: {' '.join(managed_tokens(line))}\n" for title, _entry in entries)
        command = " ".join(self.command)
        rc, out, err = self.run(changes, ", ".join(old), before, after)
        if rc != 0:
            raise Refusal(f"{command} failed, and {self.put_back(changes)}: {last_line(err, out)}")
        if changes.check_mode:
            self._made_now = False
            return []
        sentences = []
        for place, entries in {**dict.fromkeys(old, ()), **self.menus(changes)}.items():
            lacking = [(title, missing(entry, wanted)) for title, entry in entries if missing(entry, wanted)]
            if old.get(place) and not entries:
                raise Refusal(
                    f"{command} made a {place} without the Linux entries that it had, and {self.put_back(changes)}: "
                    f"look at {self.look_at}."
                )
            if wanted and not entries:
                sentences.append(
                    f"{place} has no Linux entry that is known to take its line from {self.setting(changes)[0]}: "
                    f"whether the next boot has {' '.join(wanted)} is known only after it."
                )
            if entries and not self.shows(entries, wanted):
                raise Refusal(
                    f"{command} made a {place} whose entry '{lacking[0][0]}' lacks {' '.join(lacking[0][1])}, and "
                    f"{self.put_back(changes)}: look at {self.look_at}."
                )
            sentences += [
                f"The entry '{title}' of {place} does not have {' '.join(tokens)}, because {self.otherwise_made}: "
                "a host that is started from this entry runs without them."
                for title, tokens in lacking
            ]
        return sentences
