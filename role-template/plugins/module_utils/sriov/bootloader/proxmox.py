# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that start from EFI system partitions which proxmox-boot-tool keeps (Proxmox VE, Backup Server, Mail Gateway).

The source of what the tool does is proxmox-kernel-helper 8.1: bin/proxmox-boot-tool, and the functions and
zz-proxmox-boot of proxmox-boot/. `proxmox-boot-tool refresh` writes to the partitions whose UUIDs are in LIST. None
of them is mounted otherwise. On each it writes either an entry per kernel for systemd-boot, from the first line of
/etc/kernel/cmdline, or a grub.cfg, with update-grub. GRUB's one is a partition that has EFI/proxmox/grubx64.efi, and
every partition of a host that was not started by UEFI. It ends with 0 when it had to leave out a partition.
"""

from __future__ import annotations

import base64
import os
import re

from ..errors import Refusal
from ..machine import Machine
from .cmdline import missing, split_raw
from .entries import entry_value
from .line_file import edit_line_file, first_line
from .made import MadeEntries
from .mkconfig import MkconfigGrub

LIST = "/etc/kernel/proxmox-boot-uuids"
KERNEL_CMDLINE = "/etc/kernel/cmdline"
# In a mount namespace that ends with the command: nothing stays mounted, even if the command is killed. A partition
# that is mounted elsewhere for writing cannot be mounted read-only. Each line is a name and the file in base64.
READ = r"""# $1: the device of a partition; $2: a folder to mount it on
mount -t vfat -o ro "$1" "$2" 2>/dev/null || mount -t vfat "$1" "$2" || exit 1
cd "$2" || exit 1
for file in EFI/proxmox/grubx64.efi; do
    if [ -f "$file" ]; then echo "$file"; fi
done
for file in grub/grub.cfg loader/entries/proxmox-*.conf; do
    if [ -f "$file" ]; then echo "$file $(base64 -w 0 "$file")"; fi
done
"""


class Partitions:
    """The partitions in LIST, read once; again after forget()."""

    def __init__(self, host: Machine) -> None:
        self.host = host
        self._found: dict[str, dict[str, str]] | None = None
        #: Why a partition could not be read, as {device: message}.
        self.unread: dict[str, str] = {}

    def forget(self) -> None:
        """Read again next time: they were written."""
        self._found = None

    def files(self) -> dict[str, dict[str, str]]:
        """The files that concern booting, as {device: {path on the partition: text}}; only of partitions that can be
        read.
        """
        if self._found is None:
            self._found, self.unread = {}, {}
            for line in (self.host.read(LIST) or "").splitlines():
                if re.fullmatch("[0-9a-fA-F]{4}-[0-9a-fA-F]{4}", line):
                    self._read("/dev/disk/by-uuid/" + line)
        return self._found

    def _read(self, device):
        argv = ["/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", READ, "sh", device, "/mnt"]
        rc, out, err = self.host.run(argv, None)
        if rc != 0:
            # mount says the cause first, and where to read on last.
            self.unread[device] = next(
                (line.strip(" .") for line in err.splitlines() if line.strip()), f"exit code {rc}"
            )
            return
        files = (line.partition(" ") for line in out.splitlines())
        self._found[device] = {
            name: base64.b64decode(text).decode("utf-8", "surrogateescape") for name, _space, text in files
        }

    def of_grub(self) -> dict[str, str]:
        """The texts of the grub.cfg of those partitions from which GRUB starts, as {place: text}."""
        return {
            f"{device}:/grub/grub.cfg": files["grub/grub.cfg"]
            for device, files in self.files().items()
            if "grub/grub.cfg" in files and self._is_grubs(files)
        }

    def of_systemd_boot(self) -> dict[str, dict[str, str]]:
        """The texts of the boot entries of those partitions from which systemd-boot starts, as
        {place: {name: text}}.
        """
        return {
            f"{device}:/loader/entries": {
                name.rpartition("/")[2]: text for name, text in files.items() if name.endswith(".conf")
            }
            for device, files in self.files().items()
            if not self._is_grubs(files)
        }

    def _is_grubs(self, files):
        return "EFI/proxmox/grubx64.efi" in files or not self.host.is_directory("/sys/firmware/efi")


class Refreshed(MadeEntries):
    """What both ways have in common: the command, and how it is undone."""

    name = "proxmox-boot-tool"

    def __init__(self, host: Machine, tool: str, partitions: Partitions) -> None:
        super().__init__(host, [tool, "refresh"], None)
        self.partitions = partitions

    @classmethod
    def find(cls, host: Machine, running: str, by_stub: bool) -> Refreshed | None:
        """The loader, or None. Evidence: the tool, its list, and a running line that only its entries have.

        by_stub: whether the kernel's EFI stub, and so systemd-boot, started the running system; otherwise GRUB did.
        Raises Refusal if that is so and no entry can be read.
        """
        tool = host.which("proxmox-boot-tool")
        if not (tool and host.is_file(LIST)):
            return None
        partitions = Partitions(host)
        if by_stub:
            selected = host.uefi_loader("LoaderEntrySelected") or ""
            kept = selected.startswith("proxmox-") or re.search(
                r"(?:^|\s)initrd=\\EFI\\proxmox\\", running, re.IGNORECASE
            )
            found = any(partitions.of_systemd_boot().values()) if kept else False
        else:
            # update-grub runs with the partition in the place of /boot: the kernels are at its top.
            kept = re.search(r"(?:^|\s)BOOT_IMAGE=(\([^)]*\))?/vmlinuz-", running) and MkconfigGrub.generator(host)
            found = bool(partitions.of_grub()) if kept else False
        if kept and not found:
            why = "; ".join(f"{device}: {text}" for device, text in partitions.unread.items())
            raise Refusal(
                "proxmox-boot-tool keeps the kernels from which this host starts, but no kernel entry can be read on the "
                f"partitions in {LIST} ({why or 'none has one'}): repair what proxmox-boot-tool status shows, "
                "then run the role again."
            )
        if not kept:
            return None
        return RefreshedEntries(host, tool, partitions, running) if by_stub else RefreshedGrub(host, tool, partitions)

    def run(self, changes, header, before, after):
        result = super().run(changes, header, before, after)
        self.partitions.forget()
        return result

    def put_back(self, changes):
        outcome = changes.undo()
        rc, _out, _err = self.host.run(self.command, None)
        self.partitions.forget()
        return outcome if rc == 0 else f"{outcome} except on the EFI system partitions, where it failed again"

    def _make(self, changes, line, wanted):
        return super()._make(changes, line, wanted) + [
            f"{device} of {LIST} cannot be read ({why}): a host that is started from it runs with its old kernel line."
            for device, why in self.partitions.unread.items()
        ]


class RefreshedGrub(Refreshed, MkconfigGrub):
    """GRUB on these partitions. The settings are those of every GRUB of Debian."""

    def __init__(self, host, tool, partitions):
        Refreshed.__init__(self, host, tool, partitions)

    def texts(self):
        return self.partitions.of_grub()


class RefreshedEntries(Refreshed):
    """systemd-boot on these partitions. The settings are the first line of /etc/kernel/cmdline."""

    look_at = "/etc/kernel/cmdline and the output of proxmox-boot-tool refresh"
    otherwise_made = "proxmox-boot-tool refresh left it as it was"

    def __init__(self, host, tool, partitions, running):
        super().__init__(host, tool, partitions)
        self.running = running

    def folders(self, _changes):
        return [os.path.dirname(KERNEL_CMDLINE)]

    def menus(self, _changes):
        return {
            place: [(name, " ".join(entry_value(text, "options"))) for name, text in entries.items()]
            for place, entries in self.partitions.of_systemd_boot().items()
        }

    def shows(self, entries, tokens):
        """Whether the tool has written each entry that it can: a run of it that was killed leaves some for later."""
        for name, line in entries:
            kernel = re.fullmatch(r"proxmox-(.*)\.conf", name).group(1)
            kept = all(self.host.is_file(f"/boot/{file}-{kernel}") for file in ("vmlinuz", "initrd.img"))
            if kept and missing(line, tokens):
                return False
        return True

    def _default(self):
        """The line that the tool uses without /etc/kernel/cmdline."""
        return " ".join(word for word in split_raw(self.running) if not word.startswith("initrd="))

    def setting(self, changes):
        text = changes.read(KERNEL_CMDLINE)
        if text is None:
            return f"/proc/cmdline, which counts because there is no {KERNEL_CMDLINE}", self._default()
        return KERNEL_CMDLINE, first_line(text)

    def edit(self, changes, wanted, record):
        """Write /etc/kernel/cmdline. It stays when the parameters are removed: without it the tool takes the running
        line, which still has them.
        """
        text = changes.read(KERNEL_CMDLINE)
        before = self._default() + "\n" if text is None else text
        kept = edit_line_file(before, [], [token for token in record["tokens"] if token not in wanted])
        after = edit_line_file(kept, missing(first_line(kept), wanted), [], [first_line])
        if after != before:
            changes.write(KERNEL_CMDLINE, after)
        return after != before
