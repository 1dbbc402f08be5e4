#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_look
short_description: Check everything that the role sets on a host
version_added: 2.1.0
description:
  - Reports what the modules M(stackhpc.sriov.sriov_firmware), M(stackhpc.sriov.sriov_mlx4),
    M(stackhpc.sriov.sriov_kernel_parameters) and M(stackhpc.sriov.sriov_vfs) would report in check mode. Uses their own code, in
    one remote execution.
  - Fails if VFs are for guests and the IOMMU is off, in the BIOS or in the kernel, although the wanted kernel parameters run. Without
    such VFs, it warns.
  - Changes nothing but the role's own notes, and these only with O(forget). The role uses it to check the state after a reboot.
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
      - The concerns to check, C(firmware), C(mlx4), C(kernel) or C(vfs), each with the options of its module as a dictionary,
        except C(devices).
    type: dict
    required: true
  settle:
    description: The maximum number of seconds to wait until the host has started all its units. With 0 the module does not wait.
    type: int
    default: 0
  forget:
    description:
      - Whether to delete the notes about a concern's reasons for a reboot, if none of them is left and the concern needs no change.
        With V(false), the next run deletes them.
    type: bool
    default: false
requirements:
  - What the modules of the concerns require.
seealso:
  - module: stackhpc.sriov.sriov_devices
  - module: stackhpc.sriov.sriov_firmware
  - module: stackhpc.sriov.sriov_mlx4
  - module: stackhpc.sriov.sriov_kernel_parameters
  - module: stackhpc.sriov.sriov_vfs
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so it has no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Check the kernel parameters and the VFs
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
  description: The values that each concern's module would return, by the names in O(concerns).
  returned: success
  type: dict
  sample:
    kernel: {changed: false, reboot: [], stuck: [], settled: true}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import concerns, pending
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import decision
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program.host import HOST


def after_bios(devices):
    """The devices without what waits for the BIOS: the role looks after the reboot that applies its settings."""
    return [
        {key: value for key, value in device.items() if (key, value) != ("waits", decision.WAITS_FOR_BIOS)}
        for device in devices
    ]


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
    wanted, devices = module.params["concerns"], after_bios(module.params["devices"])
    try:
        concerns.refuse_unknown(wanted)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    concerns.wait_for_units(module.params["settle"], module.run_command)
    found, warnings, refused = concerns.look_at_all(wanted, devices, module.run_command)
    errors, sentences = concerns.shortcomings(wanted, found.get("firmware", {}).get("devices", devices))
    for sentence in warnings + sentences:
        module.warn(sentence)
    faults = [str(refusal) for refusal in refused.values()] + [one["text"] for one in errors]
    if faults:
        reasons = [reason["text"] for result in found.values() for reason in result["reboot"] + result["stuck"]]
        module.fail_json(msg="; ".join(reasons + faults))
    if module.params["forget"] and not module.check_mode:
        for name, result in found.items():
            if not (result["changed"] or result["reboot"] or result["stuck"]):
                pending.forget(HOST, name)
    module.exit_json(changed=False, concerns=found)


if __name__ == "__main__":
    main()
