#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_bios
short_description: Set what SR-IOV needs in the BIOS of a host, through its BMC
version_added: 2.2.0
author:
  - StackHPC (@stackhpc)
description:
  - Reads the BIOS settings of a host from its BMC with Redfish, and sets those that differ, in one request, for the next boot.
  - Runs where the BMC can be reached, and not on the host. Needs no other software there than Python.
  - Knows the names of the settings for virtualization, IOMMU and SR-IOV of some machines of Dell, HPE, Lenovo, Supermicro and NVIDIA.
    For every other one, give the names in O(attributes).
  - Refuses, in one sentence and before it changes anything, a BMC of another host, unknown names, values that the BIOS does not
    accept, settings that are read-only, and a change that would apply the settings of another user.
  - Never reboots. Reports the settings that wait for a reboot. Does not send again what O(tried) names.
options:
  address:
    description: The address of the BMC, a name or an IP address, with a port if it is not 443.
    type: str
    required: true
  username:
    description: The user of the BMC.
    type: str
    default: ""
  password:
    description: The password of that user.
    type: str
    default: ""
  validate_certs:
    description: Whether the certificate of the BMC must be valid.
    type: bool
    default: true
  ca_path:
    description: A file on the machine that runs the module, with the certificates of authorities to trust.
    type: path
  timeout:
    description: Seconds to wait for an answer of the BMC.
    type: int
    default: 60
  system:
    description: The id of the host among the systems of the BMC. Needed only if the BMC has several.
    type: str
    default: ""
  serial:
    description:
      - The serial number of the host, as in C(/sys/class/dmi/id/product_serial). The module refuses a BMC with neither this serial
        number nor O(uuid).
    type: str
    default: ""
  uuid:
    description: The UUID of the host, as in C(/sys/class/dmi/id/product_uuid).
    type: str
    default: ""
  features:
    description: What must be on, for machines whose names the module knows.
    type: list
    elements: str
    choices: [virtualization, iommu, sriov]
    default: [virtualization, iommu, sriov]
  attributes:
    description:
      - BIOS settings by the exact names of the BIOS, with their values. They have priority over O(features).
      - A name of a Supermicro board can be given without the digits at its end, if only one setting has it.
    type: dict
    default: {}
  shown_on:
    description: Those of O(features) that the host itself shows to be on. The module does not warn if it knows no settings for them.
    type: list
    elements: str
    default: []
  waiting:
    description: The keys of settings that were set since the last boot, as M(stackhpc.sriov.sriov_devices) returns them.
    type: list
    elements: str
    default: []
  tried:
    description:
      - The keys of settings that were set before the last boot, as M(stackhpc.sriov.sriov_devices) returns them. The module does not
        set them again.
    type: list
    elements: str
    default: []
  settle:
    description:
      - In check mode after a reboot, the maximum number of seconds to wait until all settings are in effect. A BMC may show only some time
        after a reboot what the BIOS has applied.
      - The module then counts every setting that is not in effect as one of O(tried).
    type: int
    default: 0
requirements:
  - A BMC with Redfish, and a user who may change BIOS settings.
seealso:
  - module: stackhpc.sriov.sriov_bios_notes
  - module: stackhpc.sriov.sriov_devices
attributes:
  check_mode:
    description: Reads everything, and sends no change.
    support: full
  diff_mode:
    description: Shows the settings of the next boot.
    support: full
"""

EXAMPLES = r"""
- name: Ensure that virtualization, IOMMU and SR-IOV are on from the next boot
  stackhpc.sriov.sriov_bios:
    address: bmc.compute0.example.org
    username: admin
    password: "{{ bmc_password }}"
    serial: "{{ ansible_facts.product_serial }}"
    uuid: "{{ ansible_facts.product_uuid }}"
  delegate_to: localhost
  register: bios

- name: Ensure settings of a BIOS by their own names
  stackhpc.sriov.sriov_bios:
    address: bmc.compute1.example.org
    username: admin
    password: "{{ bmc_password }}"
    serial: "{{ ansible_facts.product_serial }}"
    features: []
    attributes:
      SriovGlobalEnable: Enabled
      MmioAbove4Gb: Enabled
  delegate_to: localhost
"""

RETURN = r"""
model:
  description: The manufacturer and the model of the host.
  returned: success
  type: str
  sample: Dell Inc. PowerEdge R750
working:
  description: Whether the BMC has a job for BIOS settings, or shows pending ones, of whomever.
  returned: success
  type: bool
  sample: true
attributes:
  description: Each wanted setting with its value now, its value from the next boot on, and the wanted value.
  returned: success
  type: dict
  sample:
    SriovGlobalEnable: {current: Disabled, pending: Enabled, wanted: Enabled}
absent:
  description: Those of O(features) that this BIOS has no known setting for.
  returned: success
  type: list
  elements: str
  sample: []
reboot:
  description: Settings that take effect only after a reboot, each with a key and a sentence.
  returned: success
  type: list
  elements: dict
  sample:
    - key: bios:SriovGlobalEnable=Enabled
      text: BIOS setting SriovGlobalEnable becomes Enabled with the reboot (it is Disabled)
touched:
  description: The keys of the settings that this run has set, or would set in check mode.
  returned: success
  type: list
  elements: str
  sample: ["bios:SriovGlobalEnable=Enabled"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bios import work
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(argument_spec=work.ARGUMENTS, supports_check_mode=True)
    try:
        result = work.work(module)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
