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
  - Creates and removes VFs live where nothing is disturbed by it, and says what has to wait for the next boot, and why.
  - Installs the host program C(sriov-vfs) with its configuration, its systemd units and its udev rule, or removes them when no PF is left.
  - Takes over from stackhpc.sriov and stackhpc.linux.sriov, whose units and udev block it removes.
  - Everything that can forbid a file to be changed is tried before the first VF is. When one PF, or after all a file, fails, every PF is
    put back to the number of VFs it had, and every file to what it was; what cannot be put back is named.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description: The PFs, as M(stackhpc.sriov.sriov_devices) returns them.
    type: list
    elements: dict
    required: true
  boot_wait:
    description: Seconds that the boot waits for the driver of a PF that is there, a whole number.
    type: raw
    default: 30
  numvfs_timeout:
    description: Seconds allowed for one PF, one more for each VF, a whole number of 1 or more.
    type: raw
    default: 120
  change_connection_pf:
    description: Allow VFs of the PF that carries the connection to be destroyed live.
    type: bool
    default: false
  udev_rule_path:
    description:
      - The udev rule file, an absolute path that ends in C(.rules).
      - What is in it and is neither this module's nor the predecessors' stays.
    type: path
    default: /etc/udev/rules.d/70-sriov.rules
  units:
    description: Text of the systemd units, by the name of the unit. When not given, the role's own.
    type: dict
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows what changes.
    support: full
"""

EXAMPLES = r"""
- name: Set the VFs
  stackhpc.sriov.sriov_vfs:
    devices: "{{ pfs.devices }}"
"""

RETURN = r"""
pfs:
  description:
    - Each PF that was looked at. Its C(state) is C(ok), C(changed), C(pending) until the next boot, C(waiting) for its firmware,
      C(skipped) or C(failed); when another PF or a file failed also C(put back) or
      C(unchanged).
    - One whose write failed has C(kernel_log), what the kernel said of it meanwhile, as a list of lines, and C(late), whether the
      kernel had not finished in time, with C(process), the id of the process that was left behind then.
  returned: success, and when a PF or a file failed
  type: list
  elements: dict
  sample:
    - {address: "0000:3b:00.0", name: ens1f0, before: 0, now: 8, wanted: 8, state: changed, message: ""}
lines:
  description: A line for each of C(pfs), for the operator.
  returned: success
  type: list
  elements: str
  sample: ["ens1f0 (0000:3b:00.0): 8 VFs, changed"]
files:
  description: The files and links that changed, or would in check mode. On a failure those that could not be put back.
  returned: success, and when a file could not be changed
  type: list
  elements: str
  sample: [/etc/sriov/vfs.json]
reboot:
  description: What only a reboot will make true.
  returned: success
  type: list
  elements: dict
  sample: []
stuck:
  description: What was to become true with a reboot, and did not although the host has rebooted since.
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

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import vfs
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=vfs.ARGUMENTS, supports_check_mode=True)
    try:
        with vfs.Interruption() as interruption:
            # A signal that comes now would end the run without a word of what it did.
            module.exit_json(**vfs.work(module, interruption))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)


if __name__ == "__main__":
    main()
