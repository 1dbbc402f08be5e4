#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_kernel_parameters
short_description: Set the IOMMU parameters on the kernel command line
version_added: 1.0.0
author:
  - StackHPC Ltd (@stackhpc)
description:
  - Turns the IOMMU on in the next boot's kernel command line, as the processor needs it. The parameter is V(intel_iommu=on)
    on Intel. AMD needs none, because its IOMMU is on by default, and other processors get none. With O(passthrough), Intel and AMD
    also get V(iommu=pt).
  - Supports GRUB on Debian and Ubuntu, grubby with Boot Loader Specification entries on Enterprise Linux,
    systemd-boot, and both loaders where proxmox-boot-tool keeps them. Kernels that are installed later get the parameters too.
  - Never rewrites the administrator's parameters. Does not add a parameter that the line already gives.
  - Never reboots. Returns the parameters that wait for a reboot, and those that one reboot has already failed to apply.
options:
  iommu:
    description:
      - Whether the parameters are wanted. With V(false), the module removes the parameters that it added, and no others.
    type: bool
    default: true
  passthrough:
    description:
      - Whether devices of the host itself bypass the IOMMU's translation (V(iommu=pt)).
    type: bool
    default: true
requirements:
  - The programs of one of these boot loaders, which every host that it started has.
seealso:
  - module: stackhpc.sriov.sriov_look
  - module: ansible.builtin.reboot
attributes:
  check_mode:
    support: full
    description: Reports what would change, and changes nothing.
  diff_mode:
    support: full
    description: Shows the files, and the parameters of the entries that a tool would regenerate.
"""

EXAMPLES = r"""
- name: Ensure that the IOMMU is on after the next boot
  stackhpc.sriov.sriov_kernel_parameters:
    passthrough: true
  register: kernel_parameters

- name: Report what waits for a reboot
  ansible.builtin.debug:
    msg: "{{ kernel_parameters.reboot | map(attribute='text') }}"

- name: Ensure that the line has no parameter of this module
  stackhpc.sriov.sriov_kernel_parameters:
    iommu: false
"""

RETURN = r"""
vendor:
  description: The maker of the processor, C(intel), C(amd) or C(other).
  returned: always
  type: str
  sample: intel
bootloader:
  description:
    - What keeps the kernel line of the next boot, C(grub), C(grubby), C(systemd-boot) or C(proxmox-boot-tool).
    - Empty if none was needed and none was found.
  returned: always
  type: str
  sample: grub
wanted:
  description: The parameters that this host must have.
  returned: always
  type: list
  elements: str
  sample: [intel_iommu=on, iommu=pt]
running:
  description: The IOMMU parameters on the command line of the running kernel.
  returned: always
  type: list
  elements: str
  sample: [intel_iommu=on]
reboot:
  description: Configured parameters that take effect only after a reboot, each with a key and a sentence.
  returned: always
  type: list
  elements: dict
  sample:
    - key: kernel:iommu=pt
      text: kernel parameter iommu=pt is configured but not on the running command line
stuck:
  description: Configured parameters that a reboot has failed to apply, each with a key and a sentence with advice.
  returned: always
  type: list
  elements: dict
  sample: []
settled:
  description: Whether there was nothing to do, nothing waits for a reboot, and no notes remain for a later run.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import kernel
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=kernel.ARGUMENTS, supports_check_mode=True)
    try:
        result = kernel.work(module)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
