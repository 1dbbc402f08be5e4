# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drivers of VFs: which one a VF has, and how it gets another one.

Kernel interface: Documentation/ABI/testing/sysfs-bus-pci (driver_override, drivers_probe, sriov_drivers_autoprobe).
"""

from __future__ import annotations

import os
import time

from ..errors import Refusal
from .host import HOST
from .programs import find_program
from .sysfs import device_path, link_name, list_names, read_text, write_attribute

# The word for no driver, in the configuration and in driver_override: no driver has this name, so none takes the VF.
NO_DRIVER = "none"
MODPROBE_SECONDS = 60


def override_of(address: str) -> str:
    """A function's driver_override, "" for none. The kernel shows a missing one as "(null)"."""
    text = read_text(device_path(address, "driver_override"), "")
    return "" if text == "(null)" else text


def driver_of(address: str) -> str:
    """The driver of a function, "" for none."""
    return link_name(device_path(address, "driver")) or ""


def is_driver(driver: str, wanted: str) -> bool:
    """Whether a driver is the wanted one, given by its name or by that of its module."""
    module = link_name(os.path.join(HOST.sys, "bus/pci/drivers", driver, "module")) if driver else None
    return driver == wanted or module == module_name(wanted)


def module_name(name: str) -> str:
    """A module's name as the kernel shows it."""
    return name.replace("-", "_")


def lacks_iommu(address: str, driver: str) -> bool:
    """Whether vfio cannot take a function, because the kernel has no IOMMU group for it (drivers/vfio/group.c)."""
    unsafe = os.path.join(HOST.sys, "module/vfio/parameters/enable_unsafe_noiommu_mode")
    return (
        "vfio" in driver
        and not os.path.lexists(device_path(address, "iommu_group"))
        and read_text(unsafe, "") not in ("Y", "1")
    )


def run_modprobe(module: str) -> str:
    """Load a module. Returns the reason of a failure, or ""."""
    import subprocess

    modprobe = find_program("modprobe")
    if modprobe is None:
        return "the program modprobe is not there"
    try:
        done = subprocess.run(
            [modprobe, module],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=MODPROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"modprobe did not end within {MODPROBE_SECONDS} s"
    return " ".join(done.stderr.decode("utf-8", "replace").split()) or "exit code " * bool(done.returncode)


def load_driver(wanted: str) -> str:
    """The name of a wanted driver, after its module was loaded if necessary. Raises Refusal."""

    def names():
        known = list_names(os.path.join(HOST.sys, "bus/pci/drivers"))
        below = list_names(os.path.join(HOST.sys, "module", module_name(wanted), "drivers"))
        return [name for name in [wanted] if name in known] or [name[4:] for name in below if name.startswith("pci:")]

    reason = "" if names() else run_modprobe(wanted)
    found = names()
    if not found:
        raise Refusal(
            f"driver {wanted} cannot be loaded ({reason or 'the module has no PCI driver'}): install the package with this "
            "kernel module, or correct driver"
        )
    return found[0]


def unbind(address: str) -> None:
    """Take a function from its driver; returns when the driver has released it. Raises OSError."""
    driver = driver_of(address)
    if driver:
        write_attribute(os.path.join(HOST.sys, "bus/pci/drivers", driver, "unbind"), address)


def override(address: str, driver: str) -> None:
    """Let only this driver take a function, "" for the one that fits. Raises OSError."""
    if override_of(address) != driver:
        write_attribute(device_path(address, "driver_override"), driver or "\n")


def probe(address: str) -> None:
    """Let a driver take a function. Raises OSError."""
    write_attribute(os.path.join(HOST.sys, "bus/pci/drivers_probe"), address)


def refuse_other_driver(address: str, wanted: str, deadline: float) -> None:
    """Raise Refusal if a function does not have the wanted driver before the deadline: vfio-pci may need a moment."""
    while not is_driver(driver_of(address), wanted):
        if time.monotonic() >= deadline:
            raise Refusal(
                f"driver {wanted} did not take VF {address}: look at the kernel log, and whether the driver supports this VF"
            )
        time.sleep(0.1)


def autoprobe_path(address: str) -> str:
    """The attribute that says whether new VFs of a PF get a driver."""
    return device_path(address, "sriov_drivers_autoprobe")


def autoprobe_of(address: str) -> bool | None:
    """Whether drivers take a PF's VFs; None if the kernel does not say (before 4.12, or for another function)."""
    text = read_text(autoprobe_path(address))
    return None if text is None else text != "0"


def set_autoprobe(address: str, value: bool) -> None:
    """Let drivers take a PF's VFs, or not. Raises OSError."""
    if autoprobe_of(address) not in (value, None):
        write_attribute(autoprobe_path(address), str(int(value)))
