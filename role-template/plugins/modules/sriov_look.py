#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_look
short_description: Look at everything that the role sets on a host
version_added: 2.1.0
description:
  - Says what the modules M(stackhpc.sriov.sriov_firmware), M(stackhpc.sriov.sriov_mlx4), M(stackhpc.sriov.sriov_kernel_parameters)
    and M(stackhpc.sriov.sriov_vfs) would say in check mode, by their own code, in one remote execution.
  - Changes nothing but the role's own notes, and those with O(forget) only. The role reads back with it what a reboot was for.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description: The PFs, as M(stackhpc.sriov.sriov_devices) returns them.
    type: list
    elements: dict
    required: true
  concerns:
    description:
      - What to look at, C(firmware), C(mlx4), C(kernel) or C(vfs), each with the options of its module as a dictionary. C(devices) is
        not one of them.
    type: dict
    required: true
  settle:
    description: For how many seconds to wait at most until the host has started all its units. Nothing is waited for with 0.
    type: int
    default: 0
  forget:
    description:
      - Whether to forget which reasons for a reboot a concern had, when it has none left and nothing is to be done for it. The next run
        need not do it then.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so it has no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Look at the kernel parameters and the VFs
  stackhpc.sriov.sriov_look:
    devices: "{{ pfs.devices }}"
    concerns:
      kernel: {iommu: true}
      vfs: {boot_wait: 60}
    settle: 300
  register: seen
"""

RETURN = r"""
concerns:
  description: What each concern's module would return, by the names in O(concerns).
  returned: success
  type: dict
  sample:
    kernel: {changed: false, reboot: [], stuck: [], settled: true}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import concerns, pending
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program.host import HOST


def main():
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "dict", "required": True},
            "concerns": {"type": "dict", "required": True},
            "settle": {"type": "int", "default": 0},
            "forget": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    wanted, found, faults = module.params["concerns"], {}, []
    for name in wanted:
        if name not in concerns.CONCERNS:
            module.fail_json(msg=f"concerns has {name!r:.80}, and there are {', '.join(concerns.CONCERNS)}: correct it")
    concerns.wait_for_units(module.params["settle"], module.run_command)
    for name in [name for name in concerns.CONCERNS if name in wanted]:
        try:
            found[name], warnings = concerns.look(name, wanted[name], module.params["devices"], module.run_command)
        except Refusal as refusal:
            faults.append(str(refusal))
            continue
        for sentence in warnings:
            module.warn(sentence)
    if faults:
        module.fail_json(msg="; ".join(faults))
    if module.params["forget"] and not module.check_mode:
        for name, result in found.items():
            if not (result["changed"] or result["reboot"] or result["stuck"]):
                pending.forget(HOST, name)
    module.exit_json(changed=False, concerns=found)


if __name__ == "__main__":
    main()
