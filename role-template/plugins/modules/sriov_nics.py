#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_nics
short_description: List the NICs of a host that support SR-IOV
version_added: 2.2.0
description:
  - Reads every NIC that supports SR-IOV, also one whose firmware or BIOS does not allow VFs now, and what stands in the way of VFs.
  - Changes nothing. The playbooks C(stackhpc.sriov.discover) and C(stackhpc.sriov.report) use it.
author:
  - StackHPC (@stackhpc)
options:
  selection:
    description:
      - The options of M(stackhpc.sriov.sriov_devices), as a dictionary, without C(concerns). With them, the module reports how far the host
        is as they want it.
    type: raw
  concerns:
    description:
      - The concerns to check, as in O(stackhpc.sriov.sriov_look#module:concerns). Only with O(selection).
    type: raw
    default: {}
requirements:
  - Linux with sysfs mounted at C(/sys).
seealso:
  - module: stackhpc.sriov.sriov_devices
  - module: stackhpc.sriov.sriov_own_files
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Changes nothing, so it has no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: List the NICs
  stackhpc.sriov.sriov_nics:
  register: seen
"""

RETURN = r"""
nics:
  description:
    - The NICs, in the order of their PCI addresses. C(totalvfs) is null if the NIC shows no SR-IOV now.
    - The kinds of C(obstacles) are C(offers none), C(no driver), C(passed through), C(connection), C(namespace), C(VFs) and
      C(in use).
    - With O(selection), each NIC also has C(wanted), C(state), C(message) and C(physical_network). The states are C(ok), C(differs),
      C(pending), C(waiting), C(skipped), C(failed) and C(unmanaged). A wanted PF that is not present is in the list too, without C(id).
  returned: success
  type: list
  elements: dict
  sample:
    - address: "0000:3b:00.0"
      driver: mlx5_core
      id: "15b3:1017"
      names: [ens1f0]
      obstacles:
        - {kind: VFs, text: "1"}
        - {kind: in use, text: "VF 0000:3b:00.2 is bound to vfio-pci, used by qemu-system-x86 (pid 4711)"}
      totalvfs: 8
      vfs:
        - address: "0000:3b:00.2"
          driver: vfio-pci
          holder: VF 0000:3b:00.2 is bound to vfio-pci, used by qemu-system-x86 (pid 4711)
          names: []
is_set:
  description: Whether C(devices) in O(selection) is set.
  returned: with O(selection)
  type: bool
  sample: true
notice:
  description: A notice that they are not set, otherwise empty.
  returned: with O(selection)
  type: str
  sample: ""
faults:
  description: Why the role would refuse this host, and what a reboot has not applied.
  returned: with O(selection)
  type: list
  elements: str
  sample: []
reboot:
  description: Why a reboot is due.
  returned: with O(selection)
  type: list
  elements: str
  sample: []
differs:
  description: The concerns that a run of the role would change.
  returned: with O(selection)
  type: list
  elements: str
  sample: [vfs]
connection_known:
  description: Whether the NIC that carries the connection to this host could be found.
  returned: success
  type: bool
  sample: true
iommu:
  description: Whether the kernel uses an IOMMU.
  returned: success
  type: bool
  sample: true
boot_id:
  description: The kernel's id of the current boot.
  returned: success
  type: str
  sample: 6e5a1f0e-7d4f-4b0c-9a51-3c7a1df4a2a5
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import check
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.nics import read_nics, read_states


def main():
    module = AnsibleModule(
        argument_spec={"selection": {"type": "raw"}, "concerns": {"type": "raw", "default": {}}},
        supports_check_mode=True,
    )
    selection, wanted = module.params["selection"], module.params["concerns"]
    if selection is None:
        module.exit_json(changed=False, **read_nics())
    if not isinstance(selection, dict) or not isinstance(wanted, dict):
        # ansible-core before 2.19 makes one text of a dictionary that is not JSON.
        module.fail_json(msg=check.not_handed_over(str((selection, wanted))))
    try:
        result = read_states(selection, wanted, module.run_command)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
