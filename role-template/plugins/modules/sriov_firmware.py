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
  - Sets the firmware of the cards with the chosen PFs to offer enough VFs, and sets the parameters that are listed for these
    PFs. Uses C(mstconfig) of mstflint or C(mlxconfig) of MFT, on all cards in parallel.
  - The ports of one card are one device, which gets the maximum over its ports. Before it changes any card, the module refuses a
    conflict between ports, and any setting that the card visibly does not support. Only the tool detects a value that is too
    large; it refuses the value when the module sets it.
  - A parameter is done only when the card runs with it. A parameter that is set but not current waits for a reboot, even if an
    earlier run has set it. O(reset) makes it current without a reboot, if that disturbs nothing.
  - Never touches a card without a given PF, and never reboots.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description: The PFs, as M(stackhpc.sriov.sriov_devices) returns them. The module returns those without C(firmware) unchanged.
    type: list
    elements: dict
    required: true
  tool:
    description:
      - V(mstflint) is C(mstconfig), V(mft) is C(mlxconfig). V(auto) uses the first of the two that the host has.
    type: str
    choices: [auto, mstflint, mft]
    default: auto
  exact:
    description:
      - Also lower the number of VFs that a firmware offers, and turn off SR-IOV in a firmware that must offer none.
    type: bool
    default: false
  reset:
    description:
      - Reset the card to make a change current. The module does not reset a card that has a VF in use or that carries the
        connection to the host. The links of all its ports go down for some seconds.
    type: bool
    default: false
  tool_comes_later:
    description: The role will install the missing tool later, so a card that cannot be read is not an error. For check mode only.
    type: bool
    default: false
requirements:
  - C(mstconfig) of mstflint, or C(mlxconfig) of MFT. The role installs it.
seealso:
  - module: stackhpc.sriov.sriov_devices
  - module: stackhpc.sriov.sriov_mlx4
  - module: stackhpc.sriov.sriov_look
attributes:
  check_mode:
    description: Reports what it would set, and sets nothing.
    support: full
  diff_mode:
    description: Shows each parameter of each card as it is set for the next boot.
    support: full
"""

EXAMPLES = r"""
- name: Ensure that the firmware offers the VFs
  stackhpc.sriov.sriov_firmware:
    devices: "{{ pfs.devices }}"
  register: firmware

- name: Report what waits for a reboot
  ansible.builtin.debug:
    msg: "{{ firmware.reboot | map(attribute='text') }}"
"""

RETURN = r"""
devices:
  description: The given PFs. A PF whose VFs need the new settings of its card to be current has C(waits), the reason.
  returned: success
  type: list
  elements: dict
  sample: []
cards:
  description: Each card that the module has read, with its wanted parameters.
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
  description: The program that the module used; empty if it did not need to read a card.
  returned: success
  type: str
  sample: /usr/bin/mstconfig
reboot:
  description: Settings that only a reboot will make current.
  returned: success
  type: list
  elements: dict
  sample:
    - key: firmware:0000:3b:00.0:NUM_OF_VFS=16
      text: firmware parameter NUM_OF_VFS of ens1f0 (0000:3b:00.0) is set to 16 and the card runs with 8
stuck:
  description: Settings that did not become current, although the host has rebooted since.
  returned: success
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
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox import firmware


def main():
    module = AnsibleModule(argument_spec=firmware.ARGUMENTS, supports_check_mode=True)
    try:
        result = firmware.work(module)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
