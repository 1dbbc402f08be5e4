# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SR-IOV agent's and the Open vSwitch agent's own code read from their files. Runs in Neutron's environment.

stdin:  {name: {"sriov": path of sriov_agent.ini or null, "openvswitch": path of openvswitch_agent.ini or null}} stdout:
{name: {"mappings": {physical network: [interfaces]}, "exclude": {interface: [addresses]}, "fdb": [interfaces]}},
without
        what no file was given for, and without fdb where that extension is off; "exits" is fdb's when the agent would
        end.
"""

import json
import sys

from neutron.agent.l2.extensions.fdb_population import FdbPopulationAgentExtension
from neutron.conf.agent import agent_extensions_manager
from neutron.plugins.ml2.drivers.mech_sriov.agent.sriov_nic_agent import SriovNicAgentConfigParser
from oslo_config import cfg

agent_extensions_manager.register_agent_ext_manager_opts()


class Table:
    """In place of the bridge tables of this machine's interfaces."""

    def __init__(self, devices):
        self.devices = sorted(devices)


FdbPopulationAgentExtension.FdbTableTracker = Table


def read_sriov(path):
    cfg.CONF([], default_config_files=[path])
    parser = SriovNicAgentConfigParser()
    parser.parse()
    return {
        "mappings": {network: sorted(devices) for network, devices in parser.device_mappings.items()},
        "exclude": {device: sorted(addresses) for device, addresses in parser.exclude_devices.items()},
    }


def read_openvswitch(path):
    cfg.CONF([], default_config_files=[path])
    if "fdb" not in cfg.CONF.agent.extensions:
        return {}
    extension = FdbPopulationAgentExtension()
    try:
        extension.initialize(None, "ovs")
    except SystemExit:
        return {"fdb": "exits"}
    return {"fdb": extension.fdb_tracker.devices}


def read(sriov, openvswitch):
    return {**(read_sriov(sriov) if sriov else {}), **(read_openvswitch(openvswitch) if openvswitch else {})}


json.dump({name: read(**given) for name, given in json.load(sys.stdin).items()}, sys.stdout)
