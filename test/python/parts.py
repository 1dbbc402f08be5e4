# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a program of the role as one namespace, as the installed file has those of the host program.

A test then need not know which part has a function, and what stands in for one does so for all parts that have imported
it.
"""

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import (
    changes,
    joined,
    machine,
    mlx4_driver,
    mlx4_initramfs,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import (
    mlx4 as _mlx4,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bootloader import (
    base,
    cmdline,
    detect,
    entries,
    grub_settings,
    grubby,
    line_file,
    made,
    mkconfig,
    proxmox,
    record,
    systemd_boot,
    tools,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox import (
    cards,
    complaints,
    models,
    reset,
    tool,
    values,
    wanted,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox import (
    firmware as concern,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox import (
    mstconfig as tables,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.openstack import hardware, nova, releases, variables
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program.host import HOST
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection import (
    choice,
    notices,
    seen,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection import (
    openstack as of_openstack,
)
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_devices

__all__ = ["HOST", "Parts", "bootloader", "devices", "firmware", "mlx4", "mstconfig", "openstack", "program"]


class Parts:
    """Modules that import names of each other: a name is read from the first that has it, and set in each that has
    it.
    """

    def __init__(self, *modules):
        self.__dict__["_modules"] = modules
        for module in reversed(modules):
            self.__dict__.update((name, value) for name, value in vars(module).items() if not name.startswith("__"))

    def __setattr__(self, name, value):
        having = [module for module in self._modules if name in vars(module)]
        if not having:
            raise AttributeError(f"no part has {name}")
        self.__dict__[name] = value
        for module in having:
            setattr(module, name, value)


program = Parts(*joined.PARTS)
bootloader = Parts(
    cmdline,
    line_file,
    record,
    grub_settings,
    tools,
    base,
    made,
    mkconfig,
    entries,
    grubby,
    systemd_boot,
    proxmox,
    detect,
    changes,
    machine,
)
openstack = Parts(releases, nova, variables, hardware)
mstconfig = Parts(values, complaints, tables, models)
firmware = Parts(concern, cards, wanted, tool, reset)
devices = Parts(sriov_devices, choice, seen, of_openstack, notices)
mlx4 = Parts(_mlx4, mlx4_driver, mlx4_initramfs)
