# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Nova's own code reads from nova.conf, and which of a host's devices it takes. Runs in Nova's environment.

stdin:  {name: {"conf": path, "pfs": [{"interface", "address", "vfs", "vendor", "vf_product"}]}} stdout: {name: {"tags":
{address of a device that Nova takes: its tags}, "gpu": whether it takes a certain GPU, "enabled_filters": [],
"default_filters": []}}
"""

import json
import sys

import nova.conf
from nova.pci import utils, whitelist

CONF = nova.conf.CONF


def read(conf, pfs):
    CONF([], default_config_files=[conf])
    by_name = {pf["interface"]: pf["address"] for pf in pfs}
    # Nova asks /sys of the machine that it runs on; the answers are those of the host whose nova.conf it is.
    utils.get_function_by_ifname = lambda name: (by_name.get(name), name in by_name)
    utils.is_physical_function = lambda domain, bus, slot, function: (
        f"{domain}:{bus}:{slot}.{function}" in by_name.values()
    )
    rules = whitelist.Whitelist(CONF.pci.device_spec)
    tags = {}
    for pf in pfs:
        # As Nova's libvirt driver describes them.
        devices = [
            {"dev_type": "type-VF", "address": vf, "parent_addr": pf["address"], "product_id": pf["vf_product"]}
            for vf in pf["vfs"]
        ]
        devices.append({"dev_type": "type-PF", "address": pf["address"], "product_id": "ffff"})
        for device in devices:
            spec = rules.device_assignable({"vendor_id": pf["vendor"], **device})
            if spec:
                tags[device["address"]] = spec.get_tags()
    gpu = {"dev_type": "type-PCI", "address": "0000:41:00.0", "vendor_id": "10de", "product_id": "20b0"}
    return {
        "tags": tags,
        "gpu": rules.device_assignable(gpu) is not None,
        "enabled_filters": CONF.filter_scheduler.enabled_filters,
        "default_filters": CONF.filter_scheduler._group._opts["enabled_filters"]["opt"].default,
    }


json.dump({name: read(**given) for name, given in json.load(sys.stdin).items()}, sys.stdout)
