# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of PFs and VFs against the chosen PFs: what their drivers and OpenStack allow, and what the host program
gets.
"""

from __future__ import annotations

import os

from .. import check
from ..errors import Refusal
from ..mellanox.selection import MLX4
from ..openstack import hardware
from ..program import sysfs
from ..program.host import HOST
from ..vf_settings import COUNTED, KEYS, NO_DRIVER
from .openstack import is_later, vf_details

# ARPHRD_ETHER and ARPHRD_INFINIBAND (include/uapi/linux/if_arp.h), in the attribute `type` of an interface.
ETHERNET, INFINIBAND = 1, 32
GUIDS = ("node_guid", "port_guid")
# Of an InfiniBand PF, IPoIB sets only the link state and the GUIDs (drivers/infiniband/ulp/ipoib/ipoib_main.c).
ETHERNET_ONLY = ("mac", "vlan", "qos", "vlan_proto", "spoofchk", "trust")
# What a driver certainly refuses, in the kernel and from its vendor: (driver, key, value or None for any).
UNSUPPORTED = (
    ("igb", "link_state", None),
    ("igb", "vlan_proto", "802.1ad"),
    ("ixgbe", "vlan_proto", "802.1ad"),
)
LIBVIRT_SETS = "libvirt sets the MAC address and the VLAN of a VF for each guest"
AGENT_SETS = "Neutron's SR-IOV agent sets it for each port"
# Why a setting is not possible on a VF that Nova gives to guests. libvirt: src/util/virnetdev.c. Nova: plug_hw_veb() in
# nova/virt/libvirt/vif.py. The agent: treat_device() in sriov_nic_agent.py of neutron/plugins/ml2/drivers/mech_sriov.
SET_BY_OPENSTACK = {
    "mac": LIBVIRT_SETS,
    "vlan": LIBVIRT_SETS,
    "qos": "libvirt sets the VLAN of a VF without a priority for each guest",
    "vlan_proto": "libvirt sets the VLAN of a VF as 802.1q for each guest",
    "spoofchk": AGENT_SETS,
    "trust": "Nova changes it only for a port that requests it, so every other guest would get the preset trust too",
    "link_state": AGENT_SETS,
}


def refuse_number(entry: dict, chosen: list[dict], optional: bool, where: str) -> None:
    """Raise Refusal if an entry chooses another number of PFs than `expect`.

    chosen: the PFs. optional: whether it may choose none.
    """
    expected = None if entry.get("expect") is None else check.whole_number(entry["expect"])
    if expected is None or len(chosen) == expected or optional and not chosen:
        return
    raise Refusal(
        f"{where}: expect is {expected}, and the number of PFs that the entry chooses is {len(chosen)} "
        f"({', '.join(sysfs.describe(pf) for pf in chosen)}): check that every card is seated and seen by the BIOS, or "
        "correct expect"
    )


def refuse_unfit(entry: dict, wishes: dict, chosen: list[dict], where: str) -> None:
    """Raise Refusal for a setting that the chosen PFs cannot have.

    wishes: see checked_settings().
    """
    for item in wishes["items"]:
        for key in COUNTED:
            if key in item["sets"] and len(chosen) > 1:
                raise Refusal(
                    f"{item['place']}.{key} is for the VFs of one PF, and the entry chooses {len(chosen)} "
                    f"({', '.join(sysfs.describe(pf) for pf in chosen)}): write an entry for each, by name or address"
                )
    for pf in chosen:
        if pf["driver"] == MLX4 and (wishes["up"] or wishes["autoprobe"] is not None or wishes["items"]):
            raise Refusal(
                f"{where}: {sysfs.describe(pf)} is a ConnectX-3, whose driver creates the VFs itself when it is loaded, so "
                "the role cannot set them first: remove up, drivers_autoprobe and vfs"
            )
        link = link_type(entry, pf)
        for item in wishes["items"]:
            refuse_link(item, pf, link)
            refuse_driver(item, pf)


def link_type(entry, pf):
    """ETHERNET or INFINIBAND of a PF; None if it is not known, or may change with the firmware."""
    if any(str(name).upper().startswith("LINK_TYPE") for name in entry.get("firmware") or {}):
        return None
    types = [sysfs.read_int(os.path.join(HOST.sys, "class/net", netdev, "type")) for netdev in pf["netdevs"]]
    return types[0] if types else None


def refuse_link(item, pf, link):
    """Raise Refusal for a setting of the other kind of link."""
    for key in item["sets"]:
        if link == INFINIBAND and key in ETHERNET_ONLY:
            raise Refusal(
                f"{item['place']}.{key} is for Ethernet, and {sysfs.describe(pf)} is an InfiniBand PF: remove it"
            )
        if link == ETHERNET and key in GUIDS:
            raise Refusal(
                f"{item['place']}.{key} is for InfiniBand, and {sysfs.describe(pf)} is an Ethernet PF: remove it"
            )


def refuse_driver(item, pf):
    """Raise Refusal for a setting that the PF's driver certainly refuses."""
    for driver, key, value in UNSUPPORTED:
        values = item["sets"].get(key)
        if pf["driver"] == driver and values and value in (None, values[0]):
            raise Refusal(
                f"{item['place']} has {key} {values[0]}, which the driver {driver} of {sysfs.describe(pf)} does not support: "
                "remove it"
            )


def refuse_same_addresses(devices: list[dict], settings: dict, details: dict | None) -> None:
    """Raise Refusal for a MAC address or GUID that two VFs, or a VF and another NIC of this host, would have.

    devices: as select() returns them. settings: see checked_settings(), by selector. details: see interface_details().
    """
    owners, netdevs = {}, {}
    for netdev, detail in (details or {}).items():
        for address in dict.fromkeys((detail["mac"], detail["present"])):
            netdevs.setdefault(address, []).append(netdev)
    for device in devices:
        for item in settings[device["selector"]]["items"]:
            for key in COUNTED:
                for number, address in zip(item["vfs"], item["sets"].get(key, ())):
                    this = f"VF {number} of {device['selector']}"
                    other = owners.setdefault((key, address), this)
                    if other == this and key == "mac":
                        other = next(filter(is_own_nic, netdevs.get(address, ())), this)
                    if other != this:
                        raise Refusal(
                            f"{item['place']}.{key} gives VF {number} the address {address}, which {other} has: write "
                            "another"
                        )


def is_own_nic(netdev):
    """Whether an interface is a NIC, and neither a VF nor virtual: a VF, or a bond over it, may have the address of the
    VF already.
    """
    address = sysfs.pci_of_netdev(netdev)
    return address is not None and not os.path.lexists(sysfs.device_path(address, "physfn"))


def complete(devices: list[dict], entries: list[dict], settings: dict, plans: dict, pfs: list[dict]) -> None:
    """Note in each device what the host program sets in addition to the number of VFs. Raises Refusal for a setting
    that OpenStack makes itself.

    devices: as select() returns them. entries, settings (see checked_settings()), plans (of OpenStack): by selector.
    pfs: all PFs of the host.
    """
    by_address = {pf["address"]: pf for pf in pfs}
    for device in devices:
        where = device["selector"]
        wishes, plan = settings[where], plans.get(where)
        guests = vfs_of_nova(plan, device, by_address.get(device["address"])) if plan else set()
        refuse_presets(entries[where], wishes, guests, where)
        device.update(wanted(device, wishes, guests))


def vfs_of_nova(plan, device, pf):
    """The numbers of the VFs that Nova gives to guests: all of the PF, except those in exclude_vfs.

    A future VF whose address is not known yet does not count if some are excluded: it may be one of these.
    """
    numbers = set(range(device["numvfs"]))
    if not plan["exclude_vfs"]:
        return numbers
    addresses = hardware.vf_addresses(vf_details(pf, is_later(device, pf)), len(numbers)) if pf else None
    return {number for number, address in enumerate(addresses or []) if address not in plan["exclude_vfs"]}


def refuse_presets(entry, wishes, guests, where):
    """Raise Refusal for a setting of a VF that Nova gives to guests, if OpenStack makes that setting itself."""
    # Nova's own default is to have libvirt bind the VF (nova/pci/devspec.py).
    unmanaged = check.truth((entry.get("nova") or {}).get("managed")) is False
    for item in wishes["items"]:
        shared = [number for number in item["vfs"] if number in guests]
        if not shared:
            continue
        for key in item["sets"]:
            if key in SET_BY_OPENSTACK:
                raise Refusal(
                    f"{item['place']} sets {key} of VF {shared[0]}, which Nova gives to guests, and {SET_BY_OPENSTACK[key]}: "
                    f"remove {key}, or exclude the VF in exclude_vfs"
                )
        driver = item["sets"].get("driver", [None])[0]
        if driver not in (None, NO_DRIVER) and not (unmanaged and is_for_guests(driver)):
            raise Refusal(
                f"{item['place']} sets driver {driver} of VF {shared[0]}, which Nova gives to guests, and libvirt binds "
                "such a VF itself: remove driver, or give a vfio driver together with nova: {managed: false}"
            )
    if unmanaged:
        refuse_without_driver(wishes, guests, where)


def refuse_without_driver(wishes, guests, where):
    """Raise Refusal for a VF that Nova gives to guests as it is, and that has no driver."""
    drivers = {
        number: item["sets"]["driver"][0]
        for item in wishes["items"]
        if "driver" in item["sets"]
        for number in item["vfs"]
    }
    otherwise = NO_DRIVER if wishes["autoprobe"] is False else None
    for number in sorted(guests):
        if drivers.get(number, otherwise) == NO_DRIVER:
            raise Refusal(
                f"{where}: with nova: {{managed: false}} a guest gets VF {number} with the driver that it has, and it would have "
                "none: give it driver: vfio-pci in vfs"
            )


def is_for_guests(driver):
    """Whether a driver passes a VF to a guest or a program: vfio-pci and the vendors' own, as mlx5_vfio_pci."""
    return "vfio" in driver


def wanted(device, wishes, guests):
    """The keys of a device in addition to its number of VFs. guests: see vfs_of_nova()."""
    found = {}
    if wishes["up"]:
        found["up"] = True
    if wishes["autoprobe"] is not None:
        found["autoprobe"] = wishes["autoprobe"]
    vfs, managed = {}, {}
    for item in wishes["items"]:
        for index, number in enumerate(item["vfs"]):
            if item["sets"]:
                vfs[number] = {KEYS[key]: values[index] for key, values in item["sets"].items()}
            if item["managed"] is not None:
                managed[number] = item["managed"]
    if vfs:
        found["vfs"] = [dict({"vf": number}, **vfs[number]) for number in sorted(vfs)]
    # Also where the driver of the PF makes the VFs (ConnectX-3), but not where another program does.
    if device["boot"] != "none":
        alone = [
            number
            for number in range(device["numvfs"])
            if not managed.get(number, not is_left_alone(number, wishes, vfs, guests))
        ]
        if alone:
            found["left_alone"] = "all" if len(alone) == device["numvfs"] else alone
    return found


def is_left_alone(number, wishes, vfs, guests):
    """Whether the host's network does not configure a VF for which managed_by_network is not given."""
    driver = vfs.get(number, {}).get("driver", "")
    return number in guests or wishes["autoprobe"] is False or driver == NO_DRIVER or is_for_guests(driver)
