#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_kernel_parameters
short_description: Put the IOMMU's parameters on the kernel command line
version_added: 1.0.0
author:
  - StackHPC Ltd (@stackhpc)
description:
  - Makes the next boot's kernel command line turn the IOMMU on, as the processor needs it. V(intel_iommu=on) on
    Intel, nothing on AMD, whose IOMMU is on by itself, and nothing elsewhere; V(iommu=pt) with it on Intel and AMD
    when O(passthrough) is set.
  - Knows GRUB on Debian and Ubuntu, grubby with Boot Loader Specification entries on Enterprise Linux, and
    systemd-boot. Kernels that are installed later get the parameters too.
  - Nothing that the administrator put on the line is rewritten. What the line already gives is not put there twice.
  - Never reboots. Returns what waits for a reboot, and what one reboot has already failed to bring.
options:
  iommu:
    description:
      - Whether the parameters are wanted. With V(false), those that this module added are taken off, and no others.
    type: bool
    default: true
  passthrough:
    description:
      - Whether devices of the host itself go past the IOMMU's translation (V(iommu=pt)).
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Says what would change, and changes nothing.
  diff_mode:
    support: full
    description: Shows the files, and the parameters of the entries that a tool would make anew.
"""

EXAMPLES = r"""
- name: Ensure the IOMMU is on after the next boot
  stackhpc.sriov.sriov_kernel_parameters:
    passthrough: true
  register: kernel_parameters

- name: Say what waits for a reboot
  ansible.builtin.debug:
    msg: "{{ kernel_parameters.reboot | map(attribute='text') }}"

- name: Ensure no parameter of ours is on the line
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
  description: The boot loader found, C(grub), C(grubby) or C(systemd-boot); empty when none was needed and none found.
  returned: always
  type: str
  sample: grub
wanted:
  description: The parameters that this host is to have.
  returned: always
  type: list
  elements: str
  sample: [intel_iommu=on, iommu=pt]
running:
  description: The parameters that concern the IOMMU on the command line of the running kernel.
  returned: always
  type: list
  elements: str
  sample: [intel_iommu=on]
reboot:
  description: What is configured and only a reboot will bring, each with a key and a sentence.
  returned: always
  type: list
  elements: dict
  sample:
    - key: kernel:iommu=pt
      text: kernel parameter iommu=pt is configured but not on the running command line
stuck:
  description: What is configured and a reboot has failed to bring, each with a key and a sentence with advice.
  returned: always
  type: list
  elements: dict
  sample: []
settled:
  description: Whether there was nothing to do, nothing waits for a reboot, and nothing is remembered for a later run.
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
