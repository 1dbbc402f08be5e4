# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the BIOS or the kernel has off that guests with VFs need, as the running host shows it.

Read from ACPI tables, sysfs and /proc/cpuinfo. Not from the kernel log: with intel_iommu=on the kernel prints "DMAR:
IOMMU enabled" on a host without an IOMMU too. What is off for SR-IOV itself is in program/causes.py, because it is
found for one card, and the host program reports it too.
"""

from __future__ import annotations

import os
import re

from ..bootloader.cmdline import INTEL_ON, iommu_state, managed_tokens, missing
from ..kernel import cpu_vendor, wanted_parameters
from ..program.causes import is_virtual_machine
from ..program.host import HOST
from ..program.sysfs import list_names, read_pfs, read_text
from .vendors import set_in_bios

# The ACPI table with which the BIOS describes its IOMMU, and what the kernel log calls that IOMMU.
TABLES = {"intel": ("DMAR", "DMAR"), "amd": ("IVRS", "AMD-Vi")}
# What makes KVM of a processor: its flag, and the kernel's module.
KVM = {"intel": ("vmx", "kvm_intel"), "amd": ("svm", "kvm_amd")}
# Since this version the kernel hides svm when the BIOS has it off (commit 7deda2ce5b33); Intel's vmx it always hides.
HIDES_SVM = (6, 7)


def look(devices: list[dict], iommu: bool, passthrough: bool) -> list[dict]:
    """What is off that the VFs of these devices need. Nothing while the wanted kernel parameters do not run yet: their
    reboot comes first.

    devices: as sriov_devices returns them; iommu, passthrough: options of sriov_kernel_parameters.
    Returns a list of {"feature": "iommu" | "virtualization", "off_by": "bios" | "kernel", "text": str, "error": bool}.
    error: guests that are configured cannot start, so the host must be refused; otherwise it is a warning.
    """
    running, processor = _of_proc("cmdline"), cpu_vendor(_of_proc("cpuinfo"))
    wanting = [device for device in devices if device.get("numvfs") and device.get("id")]
    # Xen's control domain sees neither the tables nor the flags: Xen keeps them for itself.
    hidden = processor == "other" or read_text(os.path.join(HOST.sys, "hypervisor/type"), "") == "xen"
    if hidden or not wanting or missing(running, wanted_parameters(processor, iommu, passthrough)):
        return []
    return _iommu(wanting, processor, running, iommu) + _virtualization(wanting, processor)


def shown_on() -> list[str]:
    """The features of a BIOS that this host shows to be on: of virtualization, iommu and sriov."""
    flags = re.search(r"^flags\s*:(.*)$", _of_proc("cpuinfo"), re.MULTILINE)
    flag, module = KVM.get(cpu_vendor(_of_proc("cpuinfo")), ("", ""))
    on = {
        "virtualization": bool(flags and flag in flags.group(1).split() and not _kvm_refused(module)),
        "iommu": bool(list_names(os.path.join(HOST.sys, "class/iommu"))),
        "sriov": any(pf["totalvfs"] for pf in read_pfs()),
    }
    return [feature for feature, is_on in on.items() if is_on]


def for_guests(device: dict) -> bool:
    """Whether the VFs of a device are for guests: Nova's, or other ones that take them through vfio."""
    return bool(device.get("physical_network")) or any(
        "vfio" in (vf.get("driver") or "") for vf in device.get("vfs") or []
    )


def _of_proc(name):
    return read_text(os.path.join(HOST.proc, name), "") or ""


def _iommu(wanting, processor, running, iommu):
    """The IOMMU, if it is off. Without `iommu` the operator keeps the role from it: then nothing of it is an error, and
    only VFs for guests are worth a warning.
    """
    tables = list_names(os.path.join(HOST.sys, "firmware/acpi/tables"))
    # No tables at all: a kernel with acpi=off, which shows nothing of the BIOS.
    if not tables or list_names(os.path.join(HOST.sys, "class/iommu")):
        return []
    guests = [device["selector"] for device in wanting if for_guests(device) and not _without_iommu(device)]
    if not (guests or iommu):
        return []
    table, log = TABLES[processor]
    in_bios = any(name.startswith(table) for name in tables)
    cause = _off_in_kernel(running, processor, table, log) if in_bios else _off_in_bios(table, processor)
    whose = ", ".join(dict.fromkeys(guests))
    return [
        {
            "feature": "iommu",
            "off_by": "kernel" if in_bios else "bios",
            "text": f"VFs of {whose} are for guests, but {cause}" if guests else f"no guest can have a VF: {cause}",
            "error": bool(guests and iommu),
        }
    ]


def _without_iommu(device):
    """Whether vfio gives the VFs of a device to programs without an IOMMU, as the administrator has allowed it to."""
    allowed = read_text(os.path.join(HOST.sys, "module/vfio/parameters/enable_unsafe_noiommu_mode"), "")
    return allowed == "Y" and not device.get("physical_network")


def _off_in_bios(table, processor):
    if is_virtual_machine():
        return (
            f"this virtual machine has no IOMMU (no ACPI table {table}): have the hypervisor give it one, then start it "
            "again"
        )
    return f"the BIOS shows no IOMMU (no ACPI table {table}): {set_in_bios('iommu', processor)}, then boot again"


def _off_in_kernel(running, processor, table, log):
    """Why a kernel does not use the IOMMU that the BIOS shows."""
    off = [word for word in managed_tokens(running) if "off" in word]
    if off:
        advice = f"remove {' '.join(off)} from the kernel command line"
    elif processor == "intel" and not iommu_state(running)["intel"]:
        advice = f"add {INTEL_ON} to the kernel command line (the role does this with sriov_iommu_enabled)"
    else:
        advice = f"look for {log} in the kernel log"
    return f"the kernel has the IOMMU off, and the BIOS has it on (ACPI table {table}): {advice}, then boot again"


def _virtualization(wanting, processor):
    """The processor's virtualization, if it is off and Nova gets VFs. Never an error: a VF does not need it, and a
    kernel before HIDES_SVM does not show it for certain.
    """
    flags = re.search(r"^flags\s*:(.*)$", _of_proc("cpuinfo"), re.MULTILINE)
    if not flags or is_virtual_machine() or not any(device.get("physical_network") for device in wanting):
        return []
    flag, module = KVM[processor]
    if flag not in flags.group(1).split():
        if not _kernel_has(module):
            return [_no_kvm("kernel", f"this kernel has no {module}: boot the distribution's own kernel")]
        return [
            _no_kvm(
                "bios", f"the processor shows no {flag}: {set_in_bios('virtualization', processor)}, then boot again"
            )
        ]
    if processor == "amd" and _kvm_refused(module):
        advice = set_in_bios("virtualization", processor)
        return [
            _no_kvm(
                "bios", f"{module} is not loaded, though kvm is: {advice}, then boot again, unless {module} is blocked"
            )
        ]
    return []


def _no_kvm(off_by, cause):
    return {
        "feature": "virtualization",
        "off_by": off_by,
        "text": f"guests cannot run with KVM: {cause}",
        "error": False,
    }


def _release():
    return read_text(os.path.join(HOST.proc, "sys/kernel/osrelease"), "") or ""


def _kernel_has(module):
    """Whether the running kernel has a module, built in or installed; yes if its lists cannot be read."""
    lists = [
        read_text(HOST.real(f"/lib/modules/{_release()}/{name}"), None) for name in ("modules.builtin", "modules.dep")
    ]
    # The kernel's own files have - in the name of this module, and others _.
    return None in lists or any(re.search(rf"/{module.replace('_', '[-_]')}\.ko", text) for text in lists)


def _kvm_refused(module):
    """Whether kvm is loaded and the processor's own module is not, on a kernel that shows svm when the BIOS has it off:
    udev loads both, and kvm_amd then refuses.
    """
    version = re.match(r"(\d+)\.(\d+)", _release())
    modules = os.path.join(HOST.sys, "module")
    return (
        version is not None
        and tuple(map(int, version.groups())) < HIDES_SVM
        and not os.path.exists(HOST.real("/dev/kvm"))
        and os.path.isdir(os.path.join(modules, "kvm"))
        and not os.path.isdir(os.path.join(modules, module))
    )
