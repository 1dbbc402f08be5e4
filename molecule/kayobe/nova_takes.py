#!/usr/bin/env python3
"""Prints the PCI functions of this machine that Nova's own matcher takes: {address: {"type": ..., "tags": {...}}}.

    nova_takes.py FILE...        nova.conf files, later ones win

What is called, and where nova-compute calls it (nova 31):
- CONF(...): parse_args() in nova/config.py, here without database and message queue
- Whitelist(CONF.pci.device_spec), device_assignable(device): PciDevTracker in nova/pci/manager.py
- get_tags(): PciDeviceStats in nova/pci/stats.py, which makes the pools of them that a port's request has to fit
- a device's keys and type: _get_pcidev_info() in nova/virt/libvirt/host.py. Nova has them from libvirt, which is not
  here and reads them from the same files; to it a PF is what may have VFs, whether there are any or not. What a card's
  VPD says is not read, so nothing that is remote_managed is ever taken.
"""

import json
import os
import sys

from nova import conf
from nova.objects import fields
from nova.pci import whitelist

DEVICES = "/sys/bus/pci/devices"


def read(address, name):
    with open(os.path.join(DEVICES, address, name), encoding="ascii") as stream:
        return stream.read().strip()


def described(address):
    """Return a device as Nova's libvirt driver describes it."""
    device = {"address": address, "vendor_id": read(address, "vendor")[2:], "product_id": read(address, "device")[2:]}
    folder = os.path.join(DEVICES, address)
    if os.path.exists(os.path.join(folder, "physfn")):
        parent = os.path.basename(os.readlink(os.path.join(folder, "physfn")))
        return {**device, "dev_type": fields.PciDeviceType.SRIOV_VF, "parent_addr": parent}
    if os.path.exists(os.path.join(folder, "sriov_totalvfs")) and int(read(address, "sriov_totalvfs")):
        return {**device, "dev_type": fields.PciDeviceType.SRIOV_PF}
    return {**device, "dev_type": fields.PciDeviceType.STANDARD}


def main(files):
    conf.CONF(
        ["--config-file=" + file for file in files], project="nova", default_config_files=[], default_config_dirs=[]
    )
    matcher = whitelist.Whitelist(conf.CONF.pci.device_spec)
    taken = {}
    for device in map(described, sorted(os.listdir(DEVICES))):
        spec = matcher.device_assignable(device)
        if spec is not None:
            taken[device["address"]] = {"type": device["dev_type"], "tags": spec.get_tags()}
    print(json.dumps(taken))


if __name__ == "__main__":
    main(sys.argv[1:])
