#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_vfs
short_description: Set the number of VFs of PFs, now and at every boot
version_added: 1.0.0
description:
  - Creates and removes VFs, and makes their settings, live where this disturbs nothing. Reports the changes that must wait for the next boot, and why.
  - Installs the host program C(sriov-vfs) with its configuration, its systemd units and its udev rule. Removes them when no PF is left.
  - Installs a udev rule and a file for systemd-networkd before the first VF exists, so that NetworkManager and systemd-networkd leave
    the VFs for guests alone.
  - Takes over from stackhpc.sriov and stackhpc.linux.sriov, and removes their units and udev block.
  - Before it changes the first VF, the module tries everything that can prevent a file from being changed. If a PF fails, or a file
    fails nevertheless, the module restores the previous VFs of every PF with their settings, and every file. It names what it cannot
    restore.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description: The PFs, as M(stackhpc.sriov.sriov_devices) returns them.
    type: list
    elements: dict
    required: true
  boot_wait:
    description: Seconds that the boot waits for the driver of a PF that is present, a whole number.
    type: raw
    default: 30
  numvfs_timeout:
    description: Seconds allowed for one PF, a whole number of 1 or more. The module adds one second for each VF.
    type: raw
    default: 120
  settings_timeout:
    description: Seconds during which a setting of a VF is repeated that the PF's driver rejects for the moment, a whole number.
    type: raw
    default: 30
  change_connection_pf:
    description: Allow the module to destroy VFs live on the PF that carries the connection.
    type: bool
    default: false
  udev_rule_path:
    description:
      - The udev rule file, an absolute path that ends in C(.rules).
      - The module keeps its other contents, except the block of the predecessors.
    type: path
    default: /etc/udev/rules.d/70-sriov.rules
  units:
    description: Text of the systemd units, by the name of the unit. The default is the role's own units.
    type: dict
requirements:
  - systemd and udev.
seealso:
  - module: stackhpc.sriov.sriov_devices
  - module: stackhpc.sriov.sriov_look
  - module: ansible.builtin.reboot
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows what changes.
    support: full
"""

EXAMPLES = r"""
- name: Ensure the wanted number of VFs
  stackhpc.sriov.sriov_vfs:
    devices: "{{ pfs.devices }}"
"""

RETURN = r"""
pfs:
  description:
    - Each PF that the module checked. Its C(state) is C(ok), C(changed), C(pending) until the next boot, C(waiting) for its firmware,
      C(skipped) or C(failed). If another PF or a file failed, it may also be C(put back) or C(unchanged).
    - Its C(settings) are the settings that changed, or would change in check mode, as lines for the operator.
    - A PF whose write failed has C(kernel_log), the kernel's messages about it during the write, as a list of lines. It also has
      C(late), whether the kernel did not finish in time, and C(process), the id of the process that was left behind in that case.
  returned: success, and when a PF or a file failed
  type: list
  elements: dict
  sample:
    - address: "0000:3b:00.0"
      name: ens1f0
      before: 0
      now: 8
      wanted: 8
      settings: ["VF 0: trust on"]
      state: changed
      message: ""
lines:
  description: A line for each of C(pfs), for the operator.
  returned: success
  type: list
  elements: str
  sample: ["ens1f0 (0000:3b:00.0): 8 VFs, changed"]
files:
  description: The files and links that changed, or would change in check mode. On a failure, those that the module could not restore.
  returned: success, and when a file could not be changed
  type: list
  elements: str
  sample: [/etc/sriov/vfs.json]
reboot:
  description: Changes that take effect only after a reboot.
  returned: success
  type: list
  elements: dict
  sample: []
stuck:
  description: Changes that a reboot has failed to apply, although the host has rebooted since.
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
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import vfs
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=vfs.ARGUMENTS, supports_check_mode=True)
    try:
        with vfs.Interruption() as interruption:
            # A signal at this point would end the run without a report of what it did.
            module.exit_json(**vfs.work(module, interruption))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)


if __name__ == "__main__":
    main()
