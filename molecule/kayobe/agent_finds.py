#!/usr/bin/env python3
"""Prints the VFs that Neutron's SR-IOV agent would manage here: {physical network: {PF: [addresses of its VFs]}}.

    agent_finds.py FILE...        the agent's configuration files, later ones win

What is called, and where neutron-sriov-nic-agent calls it (neutron 26, neutron/plugins/ml2/drivers/mech_sriov/agent/):
- the options and CONF(...): main() in sriov_nic_agent.py and init() in neutron/common/config.py, here without message
  queue
- SriovNicAgentConfigParser().parse(): main(), which ends the agent when that raises ValueError
- ESwitchManager().discover_devices(...): SriovNicSwitchAgent.setup_eswitch_mgr() when it starts, and scan_devices() in
  each round. Twice here, because a PF without VFs is passed over once (_create_emb_switch() in eswitch_manager.py).
It reads sysfs only: it takes no root, and no privsep helper is started.
"""

import json
import sys

from neutron.common import config
from neutron.plugins.ml2.drivers.mech_sriov.agent import eswitch_manager, sriov_nic_agent
from oslo_config import cfg


def main(files):
    config.register_common_config_options()
    cfg.CONF(
        ["--config-file=" + file for file in files], project="neutron", default_config_files=[], default_config_dirs=[]
    )
    parser = sriov_nic_agent.SriovNicAgentConfigParser()
    parser.parse()
    manager = eswitch_manager.ESwitchManager()
    for _ in range(2):
        manager.discover_devices(parser.device_mappings, parser.exclude_devices)
    print(
        json.dumps(
            {
                network: {switch.dev_name: sorted(switch.get_pci_slot_list()) for switch in switches}
                for network, switches in manager.emb_switches_map.items()
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
