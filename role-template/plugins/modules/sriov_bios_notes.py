#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_bios_notes
short_description: Remember on a host which BIOS settings wait for a reboot
version_added: 2.2.0
author:
  - StackHPC (@stackhpc)
description:
  - Saves on the host which BIOS settings M(stackhpc.sriov.sriov_bios) has set, with the id of the boot, and returns those that a reboot
    has failed to apply.
  - Changes nothing but these notes of the role, and removes them when no setting waits any more.
options:
  reasons:
    description: The settings that wait for a reboot, as M(stackhpc.sriov.sriov_bios) returns them in C(reboot).
    type: list
    elements: dict
    required: true
  touched:
    description: The keys of those that this run has set, as M(stackhpc.sriov.sriov_bios) returns them.
    type: list
    elements: str
    default: []
seealso:
  - module: stackhpc.sriov.sriov_bios
attributes:
  check_mode:
    description: Saves nothing.
    support: full
  diff_mode:
    description: Changes only the role's own notes, so it has no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Remember what waits in the BIOS for a reboot
  stackhpc.sriov.sriov_bios_notes:
    reasons: "{{ bios.reboot }}"
    touched: "{{ bios.touched }}"
"""

RETURN = r"""
reboot:
  description: Settings that take effect only after a reboot.
  returned: success
  type: list
  elements: dict
  sample:
    - key: bios:SriovGlobalEnable=Enabled
      text: BIOS setting SriovGlobalEnable becomes Enabled with the reboot (it is Disabled)
stuck:
  description: Settings that a reboot has failed to apply, although the host has rebooted since. Each has a key and a sentence with advice.
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bios import notes
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=notes.ARGUMENTS, supports_check_mode=True)
    try:
        result = notes.work(module)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
