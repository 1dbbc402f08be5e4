# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which boot loader keeps this host's next kernel line. docs/kernel-parameters.md describes what each writes."""

from __future__ import annotations

import os
import re

from ..errors import Refusal
from ..machine import Machine
from .base import BootLoader
from .grubby import Grubby
from .mkconfig import MkconfigGrub
from .proxmox import Refreshed
from .systemd_boot import SystemdBoot


def has_traces(host: Machine) -> bool:
    """Whether a host still has a file of the role that shows its work without any record."""
    return host.is_file(MkconfigGrub.DROP_IN)


def detect(host: Machine, running: str) -> BootLoader:
    """The boot loader that keeps this host's next kernel line.

    running: /proc/cmdline. Several may be installed: the one that started the running system counts. systemd-boot
    always names itself in the UEFI variable LoaderInfo, GRUB leaves BOOT_IMAGE= on the line, an EFI stub `initrd=\\`.
    Raises Refusal, naming what was looked for, if none is found.
    """
    if host.is_file("/run/ostree-booted"):
        raise Refusal(
            "This host is managed by ostree, which makes the boot entries itself: add the kernel parameters with "
            "rpm-ostree kargs, and the role will accept them as they are."
        )
    said = (host.uefi_loader() or "").lower()
    stub = re.search(r"(?:^|\s)initrd=\\", running) is not None
    by_stub = said.startswith("systemd-boot") or (stub and "grub" not in said)
    refreshed = Refreshed.find(host, running, by_stub)
    if refreshed:
        return refreshed
    grub = None if by_stub else Grubby.find(host, running) or MkconfigGrub.find(host)
    if grub:
        return grub
    images = SystemdBoot.unified_images(host)
    selected = (host.uefi_loader("LoaderEntrySelected") or "").lower()
    image = next((path for path in images if os.path.basename(path).lower() == selected), None)
    systemd = None if image else SystemdBoot.find(host, running)
    if systemd:
        return systemd
    if images:
        raise Refusal(
            f"systemd-boot starts unified kernel images on this host ({image or images[0]}), which contain their "
            "command line: add the parameters to /etc/kernel/cmdline, rebuild the images (kernel-install add-all), "
            "and the role will accept them as they are."
        )
    raise Refusal(
        "No boot loader that this role knows was found: it looked for GRUB (/boot/grub/grub.cfg with "
        "/etc/default/grub and a grub-mkconfig that reads /etc/default/grub.d), for grubby with entries in "
        "/boot/loader/entries, and for systemd-boot with entries in loader/entries; add the parameters to the kernel "
        "line yourself, and the role will accept them as they are."
    )
