# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-boot with entries of type 1."""

from __future__ import annotations

import re

from ..changes import Changes
from .entries import EntryLoader, _root, entry_value
from .line_file import up_to_return


class SystemdBoot(EntryLoader):
    """systemd-boot with entries of type 1: files below loader/entries on the boot or the EFI system partition."""

    name = "systemd-boot"

    def __init__(self, host, running, directories):
        super().__init__(host, running)
        self.directories = directories

    @classmethod
    def partitions(cls, host):
        """Where entries may be: the paths that bootctl prints, and the usual mount points."""
        places, bootctl = [], host.which("bootctl")
        for option in ("--print-boot-path", "--print-esp-path") if bootctl else ():
            rc, out, _err = host.run([bootctl, option], None)
            if rc == 0 and out.strip().startswith("/"):
                places.append(out.strip())
        return list(dict.fromkeys(places + ["/boot", "/efi", "/boot/efi"]))

    @classmethod
    def find(cls, host, running):
        """The loader, or None. Evidence: Linux entries of this system on a partition where systemd-boot looks."""
        loader = cls(host, running, [place + "/loader/entries" for place in cls.partitions(host)])
        return loader if loader.entries(Changes(host, True)) else None

    def script(self):
        return "90-loaderentry.install"

    def takes_comments_by_default(self):
        version = re.match(r"systemd-boot (\d+)", self.host.uefi_loader() or "")
        return bool(version) and int(version.group(1)) < 257

    def readings(self):
        return super().readings() + [up_to_return]

    @classmethod
    def unified_images(cls, host):
        """Paths of unified kernel images (entries of type 2), which contain their kernel line."""
        return [
            f"{place}/EFI/Linux/{name}"
            for place in cls.partitions(host)
            for name in host.names(place + "/EFI/Linux")
            if name.endswith(".efi")
        ]

    def entries(self, changes):
        """The entries of this system only: several systems may share an EFI system partition."""
        machine = (self.host.read("/etc/machine-id") or "").strip()
        found = []
        for directory in self.directories:
            for name in self.host.names(directory):
                text = changes.read(f"{directory}/{name}") if name.endswith(".conf") else None
                if text is None or not entry_value(text, "linux"):
                    continue
                owner = entry_value(text, "machine-id")
                root = _root(" ".join(entry_value(text, "options")))
                if owner[-1] == machine if owner else root in (None, _root(self.running)):
                    found.append((f"{directory}/{name}", text))
        return found
