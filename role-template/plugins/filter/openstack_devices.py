# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters from the role's variables to the configuration of Nova and Neutron. Their documentation is in the .yml files
next to this one.
"""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.openstack import releases, variables


def openstack_devices(devices, physnet_mappings=None, release=None):
    """sriov_devices and sriov_physnet_mappings in the form for Nova and Neutron."""
    try:
        return variables.openstack_devices(devices, physnet_mappings, release)
    except Refusal as error:
        raise AnsibleFilterError(str(error)) from error


def nova_device_option(release):
    """The name of Nova's option for PCI devices in a release."""
    try:
        return releases.device_option(release)
    except Refusal as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The filters of this file, by name."""

    def filters(self):
        return {"openstack_devices": openstack_devices, "nova_device_option": nova_device_option}
