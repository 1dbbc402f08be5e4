#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_devices
short_description: Find the PFs that selectors choose
version_added: 1.0.0
description:
  - Reads the PFs of the host once, applies each selector, and refuses, in one sentence, any setting that cannot work.
  - Refuses VFs for guests on a host whose IOMMU is off in the BIOS or in the kernel, if O(concerns) has C(kernel) and the wanted
    kernel parameters run. Without such VFs, it warns.
  - Changes nothing.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description:
      - The entries of C(sriov_devices) of the role, a list of dictionaries. See the role's documentation for the keys.
      - Null when the variable is not set. Then the module chooses no PF, and refuses a host that has been configured.
    type: raw
  numvfs:
    description: Number of VFs for an entry without C(numvfs).
    type: raw
    default: 8
  numvfs_driver:
    description: What creates the VFs at boot, for an entry without C(numvfs_driver), C(systemd) or C(udev).
    type: raw
    default: systemd
  numvfs_required_by:
    description: Units that need the VFs, for an entry without C(numvfs_required_by), a list of strings.
    type: raw
    default: []
  firmware:
    description:
      - Whether the role sets the firmware of Mellanox cards. Their PFs need not offer VFs yet in that case, and the module checks the
        parameters in C(firmware) of an entry.
    type: bool
    default: false
  mellanox_vendor_ids:
    description: The vendor ids of these cards, a list of strings.
    type: raw
    default: ["0x15b3"]
  physnet_mappings:
    description:
      - Physical networks by interface name or PCI address, in addition to C(physical_network) of an entry.
      - The module checks the configuration of Nova and Neutron for the PFs against the hardware. It does not configure them.
    type: raw
    default: {}
  openstack_release:
    description: The OpenStack release to check for, such as C(2025.1) or C(zed). The default is the newest release.
    type: raw
  variables:
    description:
      - The role's variables that are set, by name. The module checks their form first. The options of this module have no type, so
        that this check reports every error, with the index of the entry.
    type: raw
    default: {}
  names:
    description: Names of variables of the host. The module warns of a name that begins like the role's variables and is not one of them.
    type: list
    elements: str
    default: []
  bmc:
    description:
      - Whether the role sets the BIOS of the host through its BMC in this run. A PF that offers no VFs then waits for the BIOS, and so does
        an IOMMU that is off in the BIOS. C(until) in the result has what the module would have refused.
    type: bool
    default: false
  concerns:
    description:
      - The concerns to check in the same run, as in O(stackhpc.sriov.sriov_look#module:concerns). If there is something to do, the
        module of the concern reports more.
      - This option has no type, so that the module refuses a wrong variable in it by name.
    type: raw
    default: {}
requirements:
  - Linux with sysfs mounted at C(/sys).
seealso:
  - module: stackhpc.sriov.sriov_look
  - module: stackhpc.sriov.sriov_firmware
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
- name: Find the PFs
  stackhpc.sriov.sriov_devices:
    devices:
      - name: ens1f0
        numvfs: 8
      - address: "0000:3b:00.1"
    numvfs: 16
  register: pfs
"""

RETURN = r"""
devices:
  description:
    - One entry for each PF chosen, in the order of the selectors, then of the PCI addresses.
    - C(up) and C(autoprobe) are there if C(up) is true and C(drivers_autoprobe) is set. C(vfs) has the settings of each VF that has any.
      C(left_alone) has the numbers of the VFs that the host's network must not configure, or is C(all); it is absent if there are none.
  returned: success
  type: list
  elements: dict
  sample:
    - address: "0000:3b:00.0"
      boot: systemd
      driver: mlx5_core
      enough: false
      firmware: {LINK_TYPE_P1: ETH}
      id: "15b3:1017"
      left_alone: all
      name: ens1f0
      numvfs: 8
      optional: false
      physical_network: physnet2
      port: null
      probe_vf: 0
      required_by: []
      selector: "sriov_devices[0] (name ens1f0)"
      trigger: net
      up: true
settled:
  description:
    - The concerns of O(concerns) with nothing to do and nothing that waits, with the values that their modules would return, except
      C(devices) and C(diff). These modules need not run.
  returned: success
  type: dict
  sample:
    kernel: {changed: false, reboot: [], stuck: [], settled: true}
summary:
  description: The lines that the role prints about the PFs if the VFs are settled, or if the run sets none.
  returned: success
  type: list
  elements: str
  sample: ["ens1f0 (0000:3b:00.0): 8 VFs"]
bios:
  description:
    - What M(stackhpc.sriov.sriov_bios) must know of the host, with O(bmc). C(serial) and C(uuid) are those of the host. C(shown_on) are
      the features that are on. C(waiting) and C(tried) are the keys of settings that the role has set since the last boot, and before it.
    - C(until) has the sentences with which the role refuses the host if the BIOS is set already.
  returned: success, with O(bmc)
  type: dict
  sample:
    serial: ABC1234
    uuid: 4c4c4544-0035-3410-8050-c6c04f314733
    shown_on: [virtualization]
    waiting: []
    tried: []
    until: []
not_ready:
  description:
    - The lines that the role prints about what guests need and the BIOS or the kernel has off. Only in a run with the concern
      C(kernel), and only when the wanted kernel parameters run.
  returned: success
  type: list
  elements: str
  sample: []
look_again:
  description: The concerns of O(concerns), for a check after a reboot, without any reset or installation.
  returned: success
  type: dict
  sample:
    kernel: {iommu: true, passthrough: true}
is_set:
  description: Whether O(devices) is set. If not, the role must not change the host.
  returned: success
  type: bool
  sample: true
notice:
  description: A notice for the operator that O(devices) is not set, otherwise empty.
  returned: success
  type: str
  sample: ""
boot_id:
  description: The kernel's id of the current boot.
  returned: success
  type: str
  sample: 6e5a1f0e-7d4f-4b0c-9a51-3c7a1df4a2a5
firmware_tools:
  description: The programs of the host that can read a Mellanox card's firmware.
  returned: success
  type: list
  elements: str
  sample: [/usr/bin/mstconfig]
mlx4_traces:
  description: Whether M(stackhpc.sriov.sriov_mlx4) has left files on the host that it may have to remove.
  returned: success
  type: bool
  sample: false
machine:
  description: The machine's architecture, as C(uname -m) prints it.
  returned: success
  type: str
  sample: x86_64
package_format:
  description: The package format of the host, C(rpm) or C(deb).
  returned: success
  type: str
  sample: deb
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import check, concerns, mlx4
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bios import notes
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox.tool import TOOLS
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import programs, sysfs
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection.choice import ARGUMENTS, check_form, select
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection.network_manager import (
    warnings_about_network_manager,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection.notices import (
    notice_of_unset,
    warnings_about_links,
    warnings_about_numbers,
    warnings_about_rules,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection.openstack import warnings_about


def summary_of(wanted, found, devices, notice):
    """The role's lines about the PFs if the module of the VFs reports none.

    wanted: the names of the concerns; found: see concerns.settled(); notice: that devices are not set, else empty.
    """
    lines = found["vfs"][0]["lines"] if "vfs" in found else []
    return lines or [
        notice + "."
        if notice
        else "No PF is configured."
        if not devices
        else "No PF has VFs that the role manages."
        if "vfs" in wanted
        else "No VFs are set, because of sriov_action."
    ]


def look_again(wanted):
    """The concerns with their options, for the check after a reboot: without a reset, and without the installation of a
    tool.
    """
    firmware = (
        {"firmware": dict(wanted["firmware"], reset=False, tool_comes_later=False)} if "firmware" in wanted else {}
    )
    return dict(wanted, **firmware)


def not_ready(module, wanted, devices):
    """(The warnings about what the BIOS or the kernel has off, what the role refuses if the BIOS is set already). Ends
    the module for what it refuses now.
    """
    errors, warnings = concerns.shortcomings(wanted, devices)
    until = [one["text"] for one in errors if module.params["bmc"] and one["off_by"] == "bios"]
    refused = [one["text"] for one in errors if one["text"] not in until]
    if refused:
        module.fail_json(msg="; ".join(refused))
    for sentence in warnings:
        module.warn(sentence)
    return warnings, [device["until_bios"] for device in devices if "until_bios" in device] + until


def misspelt(names, is_set):
    """Warnings about variables that the role does not have. The notice that devices are not set begins with some."""
    in_notice = [] if is_set else check.misspelt_devices(names)
    return [sentence for sentence in check.unknown_variables(names) if sentence not in in_notice]


def chosen(parameters, is_set):
    """(The devices, the notice if they are not set, the warnings). Raises Refusal."""
    devices, notice = [], ""
    if is_set:
        devices = select(parameters)
    else:
        check_form(parameters)
        notice = notice_of_unset(parameters)
    if notice:
        return devices, notice, [notice]
    warnings = warnings_about(devices) + warnings_about_links(devices) + warnings_about_rules(parameters, devices)
    warnings += warnings_about_network_manager(devices) + warnings_about_numbers(parameters, devices)
    return devices, notice, warnings


def main():
    module = AnsibleModule(
        argument_spec=dict(ARGUMENTS, concerns={"type": "raw", "default": {}}),
        supports_check_mode=True,
    )
    is_set = not check.is_unset(module.params["devices"])
    for sentence in misspelt(module.params["names"], is_set):
        module.warn(sentence)
    try:
        devices, notice, warnings = chosen(module.params, is_set)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    for sentence in warnings:
        module.warn(sentence)
    wanted = module.params["concerns"]
    if not isinstance(wanted, dict):
        module.fail_json(msg=f"concerns is {wanted!r:.80}, but must be a dictionary: correct it")
    shortcomings, until = not_ready(module, wanted, devices)
    found = concerns.settled(wanted, devices, module.run_command) if is_set else {}
    for _result, sentences in found.values():
        for sentence in sentences:
            module.warn(sentence)
    tools = [programs.find_program(tool) for tool, _reset in TOOLS.values()]
    module.exit_json(
        changed=False,
        devices=devices,
        is_set=is_set,
        notice=notice,
        # The controller keeps this for each host: it contains no second list of devices.
        settled={
            name: {key: value for key, value in result.items() if key not in ("devices", "diff")}
            for name, (result, _warnings) in found.items()
        },
        summary=summary_of(wanted, found, devices, notice),
        **({"bios": dict(notes.of_host(), until=until)} if module.params["bmc"] else {}),
        not_ready=[f"Not ready for guests: {sentence}" for sentence in shortcomings],
        look_again=look_again(wanted),
        boot_id=sysfs.boot_id(),
        firmware_tools=[tool for tool in tools if tool],
        mlx4_traces=bool(mlx4.traces()),
        machine=os.uname().machine,
        package_format="deb" if os.path.exists("/etc/debian_version") else "rpm",
    )


if __name__ == "__main__":
    main()
