# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose kernels proxmox-boot-tool keeps, as a tree of files with a stand-in for the tool.

`refresh` does what zz-proxmox-boot of proxmox-kernel-helper 8.1 does with each partition, its skipping included.
`unshare` runs the role's own script, with a stand-in for mount. The partitions are folders below /partitions.
"""

import re

from test_kernel_parameters import CMDLINE, Machine

LIST = "/etc/kernel/proxmox-boot-uuids"
MOUNT = """
mount() {
    if [ -d "$PARTITION" ]; then return 0; fi
    printf '%s\\n' "mount: /mnt: special device does not exist." "  dmesg(1) may have more information." >&2
    return 32
}
"""


class ProxmoxHost(Machine):
    """`partitions`: {UUID: "systemd-boot", "grub" or "gone"}. `kernels`: those that the tool would put on each."""

    def __init__(self, root, vendor, case):
        super().__init__(root, vendor, case["running"])
        self.kernels = ["6.8.12-4-pve", "6.8.12-2-pve"]
        self.uefi = case.get("uefi", True)
        if self.uefi:
            self.put("/sys/firmware/efi/fw_platform_size", "64\n")
        for path, text in case["files"].items():
            self.put(path, text)
        self.put(LIST, "".join(f"{uuid}\n" for uuid in case["partitions"]))
        self.program("/usr/sbin/grub-mkconfig", None, "for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n")
        self.program("/usr/sbin/update-grub", lambda _argv: (1, "", "update-grub alone changes nothing that boots\n"))
        self.program("/usr/sbin/proxmox-boot-tool", self._tool)
        self.tools["unshare"] = self._unshare
        # What a first update-grub left, from before the tool kept the partitions.
        self.put("/boot/grub/grub.cfg", "menuentry 'x' {\n\tlinux /boot/vmlinuz root=UUID=abc\n}\n")
        for kernel in self.kernels:
            self.put(f"/boot/vmlinuz-{kernel}", "")
            self.put(f"/boot/initrd.img-{kernel}", "")
        for uuid, kind in case["partitions"].items():
            if kind == "systemd-boot":
                self.put(f"/partitions/{uuid}/loader/loader.conf", "timeout 3\ndefault proxmox-*\n")
                self.put(f"/partitions/{uuid}/EFI/proxmox/.keep", "")
            if kind == "grub":
                self.put(f"/partitions/{uuid}/grub/grubenv", "# GRUB Environment Block\n")
            if kind == "grub" and self.uefi:
                self.put(f"/partitions/{uuid}/EFI/proxmox/grubx64.efi", "MZ")
        assert self.refresh()[0] == 0

    def program(self, path, function, text="#!/bin/sh\n"):
        super().program(path, function, text)
        if function is None:
            self.tools.pop(path.rpartition("/")[2])

    def _unshare(self, argv):
        assert argv[:4] == ["/usr/bin/unshare", "--mount", "--propagation", "private"], argv
        uuid = argv[-2].rpartition("/")[2]
        place = str(self.root / "partitions" / uuid)
        shell, option, script, name, device, _mnt = argv[4:]
        return self._really([shell, option, f"PARTITION={place}\n{MOUNT}{script}", name, device, place])

    def _tool(self, argv):
        assert argv[1:] == ["refresh"], argv
        return self.refresh()

    def refresh(self):
        text = self.read(CMDLINE)
        if text is None:
            line = re.sub(r"\binitrd=([0-9a-zA-Z\\/.-])*\s*", "", self.read("/proc/cmdline")).strip()
        else:
            line = text.split("\n")[0]
            if "root=" not in line:
                return 1, "", "No root= parameter in /etc/kernel/cmdline found!\n"
        grub = False
        for uuid in self.read(LIST).split():
            place = f"/partitions/{uuid}"
            if not self.paths(place):
                continue
            # The tool's own slip: what was found on one partition holds for those after it.
            grub = grub or self.read(f"{place}/EFI/proxmox/grubx64.efi") is not None
            if self.uefi and not grub:
                self._entries(place, line)
            elif self.paths(f"{place}/grub"):
                done = self.update_grub(f"{place.lstrip('/')}/grub/grub.cfg")
                if done[0] != 0:
                    return done
        return 0, "", ""

    def _entries(self, place, line):
        if self.read(f"{place}/loader/loader.conf") is None or not self.paths(f"{place}/EFI/proxmox"):
            return
        for kernel in self.kernels:
            if self.read(f"/boot/vmlinuz-{kernel}") is not None and self.read(f"/boot/initrd.img-{kernel}") is not None:
                self.put(
                    f"{place}/loader/entries/proxmox-{kernel}.conf",
                    f"title    Proxmox Virtual Environment\nversion  {kernel}\noptions  {line}\n"
                    f"linux    /EFI/proxmox/{kernel}/vmlinuz-{kernel}\n"
                    f"initrd   /EFI/proxmox/{kernel}/initrd.img-{kernel}\n",
                )

    def refreshes(self):
        """How often the tool was run."""
        return self.calls.count(["/usr/sbin/proxmox-boot-tool", "refresh"])

    def booting(self, uuid):
        """The kernel lines on a partition, by title; without the kernel's path and GRUB's own words."""
        if self.read(f"/partitions/{uuid}/grub/grub.cfg") is not None:
            text = self.read(f"/partitions/{uuid}/grub/grub.cfg")
            found = re.findall(r"menuentry '(.*?)'.*\n\s*linux\s+\S+ root=UUID=abc ro ?(.*)\n", text)
            return {
                title: " ".join(line.split()) for title, line in found if "recovery" not in title and "Debian" in title
            }
        return {
            path: " ".join(re.search(r"(?m)^options +(.*)$", self.read(path)).group(1).split())
            for path in self.paths(f"/partitions/{uuid}/loader/entries")
        }
