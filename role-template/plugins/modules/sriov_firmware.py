#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_firmware
short_description: Set parameters of the firmware of Mellanox cards
version_added: 1.1.0
description:
  - Makes the firmware of the cards that have the chosen PFs offer enough VFs, and sets the parameters that are listed
    for them. Drives C(mstconfig) of mstflint or C(mlxconfig) of MFT, every card at the same time.
  - The ports of one card are one device, which gets the maximum over them. A conflict between them is refused, and so is
    whatever the card is seen to be unable to do, before any card is changed; a value too large is
    known to the tool alone, which refuses it when it is set.
  - A parameter is done only when the card runs with it. What is set and does not run yet waits for a reboot, whichever
    run has set it; O(reset) makes it current without one, where that disturbs nothing.
  - Never touches a card of which no PF is given, and never reboots.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description: The PFs, as M(stackhpc.sriov.sriov_devices) returns them. Those without C(firmware) are passed through.
    type: list
    elements: dict
    required: true
  tool:
    description:
      - V(mstflint) is C(mstconfig), V(mft) is C(mlxconfig). V(auto) takes the first of the two that the host has.
    type: str
    choices: [auto, mstflint, mft]
    default: auto
  exact:
    description:
      - Also lower the number of VFs that a firmware offers, and turn SR-IOV off in it when none is wanted.
    type: bool
    default: false
  reset:
    description:
      - Reset the card to make a change current. Not done when a VF of it is in use or it carries the connection to the
        host. The links of all its ports go down for some seconds.
    type: bool
    default: false
  tool_comes_later:
    description: The tool is not installed yet and will be; what cannot be read is then no error. For check mode only.
    type: bool
    default: false
attributes:
  check_mode:
    description: Says what would be set, and sets nothing.
    support: full
  diff_mode:
    description: Shows each parameter of each card as it is set for the next boot.
    support: full
"""

EXAMPLES = r"""
- name: Have the firmware offer the VFs
  stackhpc.sriov.sriov_firmware:
    devices: "{{ pfs.devices }}"
  register: firmware

- name: Say what waits for a reboot
  ansible.builtin.debug:
    msg: "{{ firmware.reboot | map(attribute='text') }}"
"""

RETURN = r"""
devices:
  description: The given PFs; one whose VFs can only come when its card runs with its new settings has C(waits), the reason.
  returned: success
  type: list
  elements: dict
  sample: []
cards:
  description: Each card that was read, and what is wanted of it.
  returned: success
  type: list
  elements: dict
  sample:
    - card: "0000:3b:00"
      functions: ["0000:3b:00.0", "0000:3b:00.1"]
      type: ConnectX5
      parameters:
        - {function: "0000:3b:00.0", name: NUM_OF_VFS, wanted: "16", next: "16", current: "8"}
tool:
  description: The program used; empty when no card had to be read.
  returned: success
  type: str
  sample: /usr/bin/mstconfig
reboot:
  description: What is set and only a reboot will make current.
  returned: success
  type: list
  elements: dict
  sample:
    - key: firmware:0000:3b:00.0:NUM_OF_VFS=16
      text: firmware parameter NUM_OF_VFS of ens1f0 (0000:3b:00.0) is set to 16 and the card runs with 8
stuck:
  description: What is set and did not become current, although the host has rebooted since.
  returned: success
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

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox import firmware
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=firmware.ARGUMENTS, supports_check_mode=True)
    try:
        result = firmware.work(module)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
