#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_mlx4
short_description: Set the number of VFs of ConnectX-3 cards for the next boot
version_added: 1.1.0
author:
  - StackHPC (@stackhpc)
description:
  - The driver of ConnectX-3 cards, C(mlx4_core), creates VFs when it is loaded. It reads their number from its module options, and
    accepts no number through sysfs.
  - Writes these options (C(num_vfs), C(probe_vf), C(port_type_array)), and rebuilds the initramfs, from which the driver may be loaded.
  - Refuses, in one sentence and before it changes anything, options with which the driver would leave the card without its interfaces.
  - Never reboots, and never reloads a driver. Returns the VFs that wait for a reboot, and those that one reboot has already failed to
    create.
options:
  devices:
    description:
      - The PFs, as M(stackhpc.sriov.sriov_devices) returns them. The module ignores those with a driver other than C(mlx4_core), or with
        C(boot) other than C(module).
      - C(port) is the port of the card that the entry chose, C(1) or C(2), and null if it chose the whole card. VFs of a port have
        only that port, VFs of the card have all its ports.
      - C(probe_vf) is the number of VFs that the driver of the host itself takes.
      - C(waits) is present if a change of the card's firmware is pending, which may raise the number of VFs that the card offers.
    type: list
    elements: dict
    required: true
  options_path:
    description: The file for the options, in a directory that modprobe reads. Its name ends in C(.conf); only this module uses it.
    type: path
    default: /etc/modprobe.d/stackhpc-sriov-mlx4.conf
requirements:
  - C(update-initramfs) or C(dracut)
seealso:
  - module: stackhpc.sriov.sriov_devices
  - module: stackhpc.sriov.sriov_firmware
  - module: stackhpc.sriov.sriov_look
attributes:
  check_mode:
    description: Reports what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows the file, and that the initramfs is rebuilt.
    support: full
"""

EXAMPLES = r"""
- name: Ensure the VFs of ConnectX-3 cards for the next boot
  stackhpc.sriov.sriov_mlx4:
    devices: "{{ pfs.devices }}"
  register: mlx4

- name: Report what waits for a reboot
  ansible.builtin.debug:
    msg: "{{ mlx4.reboot | map(attribute='text') }}"
"""

RETURN = r"""
pfs:
  description: Each given ConnectX-3 PF, and each that has left the list and still has its VFs. C(state) is C(ok) or C(pending).
  returned: success
  type: list
  elements: dict
  sample:
    - address: "0000:04:00.0"
      before: 0
      message: "ens1 (0000:04:00.0) has 0 VFs until the next boot, 8 are wanted: its driver makes them when it is loaded"
      name: ens1
      now: 0
      state: pending
      wanted: 8
files:
  description: The files that changed, or would change in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/modprobe.d/stackhpc-sriov-mlx4.conf]
reboot:
  description: Changes that take effect only after a reboot, each with a key and a sentence.
  returned: success
  type: list
  elements: dict
  sample:
    - key: mlx4:0000:04:00.0=0,0,8
      text: "ens1 (0000:04:00.0) has 0 VFs until the next boot, 8 are wanted: its driver makes them when it is loaded"
stuck:
  description:
    - Changes that a reboot has failed to apply, although the host has rebooted since. Each has a key and a sentence with advice.
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
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import mlx4
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=mlx4.ARGUMENTS, supports_check_mode=True)
    try:
        result = mlx4.work(module)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
