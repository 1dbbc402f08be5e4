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
  - Reads the PFs of the host once, applies each selector, and refuses, in one sentence, whatever cannot work.
  - Changes nothing.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description:
      - The entries of C(sriov_devices) of the role, a list of dictionaries. See the role's documentation for the keys.
      - Null when the variable is not set. Then nothing is chosen, and a host that has been configured is refused.
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
    description: Units that need the VFs, for an entry without C(numvfs_required_by), a list of texts.
    type: raw
    default: []
  firmware:
    description:
      - Whether the firmware of Mellanox cards is the role's to set. Their PFs may then have no VFs yet to offer, and the
        parameters in C(firmware) of an entry are checked.
    type: bool
    default: false
  mellanox_vendor_ids:
    description: The vendor ids of the cards whose firmware that is, a list of texts.
    type: raw
    default: ["0x15b3"]
  physnet_mappings:
    description:
      - Physical networks by interface name or PCI address, beside C(physical_network) of an entry.
      - What Nova and Neutron are to be told of the PFs is checked against the hardware. Nothing here tells it to them.
    type: raw
    default: {}
  openstack_release:
    description: The OpenStack release that this is for, as C(2025.1) or C(zed). When not given, the newest.
    type: raw
  variables:
    description:
      - The role's variables that are set, by name, whose form is checked before anything else. No option here has a type of its own, so
        that this one check says what is wrong, with the index of the entry.
    type: raw
    default: {}
  names:
    description: Names of variables of the host. Those that begin as the role's do and are none of them are warned of.
    type: list
    elements: str
    default: []
  concerns:
    description:
      - What to look at in the same go, as O(stackhpc.sriov.sriov_look#module:concerns). Of what is found to be done the modules say more.
      - No type of its own, so that a wrong variable in it is refused as such.
    type: raw
    default: {}
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
  description: One entry for each PF chosen, in the order of the selectors, then of the PCI addresses.
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
      name: ens1f0
      numvfs: 8
      optional: false
      physical_network: physnet2
      port: null
      probe_vf: 0
      required_by: []
      selector: "sriov_devices[0] (name ens1f0)"
      trigger: net
settled:
  description:
    - The concerns of O(concerns) of which nothing is to be done and nothing waits, with what their modules would return, but for
      C(devices) and C(diff). They need not run.
  returned: success
  type: dict
  sample:
    kernel: {changed: false, reboot: [], stuck: [], settled: true}
summary:
  description: What the role says of the PFs where the VFs are settled, or where none are set. Lines for the operator.
  returned: success
  type: list
  elements: str
  sample: ["ens1f0 (0000:3b:00.0): 8 VFs"]
look_again:
  description: The concerns of O(concerns), as they are to be looked at after a reboot, but without any reset or installation.
  returned: success
  type: dict
  sample:
    kernel: {iommu: true, passthrough: true}
is_set:
  description: Whether O(devices) is set. When it is not, nothing may be changed on the host.
  returned: success
  type: bool
  sample: true
notice:
  description: What the operator has to know of O(devices) that are not set, otherwise empty.
  returned: success
  type: str
  sample: ""
boot_id:
  description: The kernel's id of the boot that the host is in.
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
  description: Whether M(stackhpc.sriov.sriov_mlx4) has left something on the host that it may have to take away.
  returned: success
  type: bool
  sample: false
machine:
  description: The machine's architecture, as C(uname -m) says it.
  returned: success
  type: str
  sample: x86_64
package_format:
  description: What the host's packages are, C(rpm) or C(deb).
  returned: success
  type: str
  sample: deb
"""

import os
import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import (
    check,
    concerns,
    mlx4,
    pending,
    predecessors,
    selector,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox.models import CONNECTX3_IDS
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.mellanox.values import checked_parameters
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.openstack import hardware, nova, variables
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import (
    causes,
    configuration,
    connection,
    decision,
    programs,
    sysfs,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program.host import HOST

UNIT_NAME = re.compile(r"^[A-Za-z0-9:_.@\\-]+\.(service|target|socket|path|timer|mount)$")
# The driver of ConnectX-3 makes VFs when it is loaded, as its module options say.
MLX4 = "mlx4_core"
# ConnectX-3 and ConnectX-3 Pro (mlx4_pci_table in drivers/net/ethernet/mellanox/mlx4/main.c).
MLX4_IDS = ("15b3:1003", "15b3:1007")
WAITS = {"waits": decision.WAITS_FOR_FIRMWARE}
FIRMWARE_TOOLS = ("mstconfig", "mlxconfig")
# udev(7), "RULES FILES".
RULE_FOLDERS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d")


def interface_details():
    """Alternative names and permanent MAC address of each interface, by interface name; None when `ip` cannot tell them."""
    details = {}
    links = programs.json_of(["ip", "-d", "-j", "link", "show"])
    if links is None:
        return None
    for link in links:
        details[link["ifname"]] = {
            "altnames": link.get("altnames", []),
            "mac": (link.get("permaddr") or link.get("address") or "").lower(),
        }
    return details


def every_function():
    """Every PCI function of the host, as takes() of openstack wants them."""
    found = [sysfs.read_function(address) for address in sysfs.list_names(os.path.join(HOST.sys, "bus/pci/devices"))]
    names = {function["address"]: function["netdevs"] for function in found if function}
    return [{
        "address": function["address"], "vendor_id": function["id"][:4], "product_id": function["id"][5:],
        "parent_addr": function["physfn"], "names": function["netdevs"], "parent_names": names.get(function["physfn"], []),
    } for function in found if function]


def vf_product(address):
    """The product id of a PF's VFs, four hexadecimal digits; None where the kernel does not say it."""
    # Hexadecimal without 0x, unlike vendor and device (drivers/pci/iov.c).
    product = sysfs.read_text(sysfs.device_path(address, "sriov_vf_device"))
    return f"{int(product, 16):04x}" if product else None


def vf_details(pf, later):
    """What the kernel says of the VFs of a PF, those to come too, as check_hardware() of openstack wants it.

    later: whether the card is another one after a reboot, so that only the VFs that are there can be relied on.
    """
    address = pf["address"]
    return {
        "address": address, "names": pf["netdevs"], "vendor_id": pf["id"][:4], "product_id": pf["id"][5:], "driver": pf["driver"],
        "vf_product_id": vf_product(address),
        "offset": None if later else sysfs.read_int(sysfs.device_path(address, "sriov_offset")),
        "stride": sysfs.read_int(sysfs.device_path(address, "sriov_stride")),
        "totalvfs": pf["totalvfs"], "vfs": [vf for vf in sysfs.vf_addresses(address) if vf],
    }


def check_openstack(parameters, entries, chosen_of, devices, pfs, details):
    """Refuse what Nova and Neutron's agent would not understand, and note the physical network of each device.

    entries: (entry, kind, value, where). chosen_of: the PFs of each. devices: the list that select() returns, by where they come from.
    pfs: all of the host. details: as of interface_details. Raises Refusal.
    """
    mappings, release = parameters.get("physnet_mappings"), parameters.get("openstack_release")
    plans = variables.plan(parameters["devices"], mappings, release, chosen_of, known_pfs(pfs))
    networks = {one["selector"]: one["physical_network"] for one in plans}
    for device in devices:
        device["physical_network"] = networks.get(device["selector"])
    if not plans and not mappings:
        return
    hardware.refuse_other_names(mappings, [
        {
            "selector": where, "physical_network": networks.get(where), "pf": pf,
            "altnames": [name for netdev in pf["netdevs"] for name in (details or {}).get(netdev, {}).get("altnames", [])],
        } for (_entry, _kind, _value, where), chosen in zip(entries, chosen_of) for pf in chosen
    ], {value for _entry, kind, value, _where in entries if kind in ("name", "address")})
    choices = []
    by_selector = {one["selector"]: one for one in plans}
    for (_entry, _kind, _value, where), chosen in zip(entries, chosen_of):
        # The VFs of a PF without a physical network count too: no device_spec of another may take them.
        one = by_selector.get(where, {"selector": where, "physical_network": None, "specs": [], "exclude_vfs": []})
        if not chosen:
            # Nova is told of it all the same.
            choices.append({"plan": one, "pf": None})
        for pf in chosen:
            [device] = [device for device in devices if (device["selector"], device["address"]) == (where, pf["address"])]
            others = [other for other in devices if other["address"] == pf["address"] and (other["port"] or 0) < (device["port"] or 0)]
            # What its firmware offers after the reboot may be more, and elsewhere.
            later = "waits" in device or device["firmware"] is not None and device["numvfs"] > (pf["totalvfs"] or 0)
            details_of_vfs = vf_details(pf, later)
            choices.append({
                "plan": one, "pf": details_of_vfs, "later": later, "first": sum(other["numvfs"] for other in others),
                # Left alone, it has the number that somebody else gives it.
                "numvfs": len(details_of_vfs["vfs"]) if device["boot"] == "none" else device["numvfs"],
            })
    if plans:
        functions = every_function()
        hardware.check_hardware(choices, functions)
        pools = [spec for one in plans for spec in one["specs"]]
        whole = {function["address"] for function in functions if any(nova.takes(spec, function) for spec in pools)}
        for device in devices:
            if device["address"] in whole:
                device["whole"] = True


def warnings_about(devices):
    """One sentence for each PF that a guest could be given as a whole, and with it the connection to this host."""
    if not any(device.get("whole") for device in devices):
        return []
    carriers = connection.connection_functions() or ()
    return [
        "%s: Nova may give %s itself to a guest whose port is of type direct-physical, and it carries the connection to this host. To have "
        "Nova take its VFs alone, write their ids beside the name: nova: {%s: %s, vendor_id: \"%s\", product_id: \"%s\"}" % (
            device["selector"], device["name"] or device["address"], *(
                ("devname", device["name"]) if device["name"] and "(name " in device["selector"] else ("address", f'"{device["address"]}"')),
            device["id"][:4], vf_product(device["address"]) or "that of its VFs")
        for device in devices if device.get("whole") and device["address"] in carriers
    ]


def known_pfs(pfs):
    """The PFs of the host in words, for an error message."""
    if not pfs:
        return f"this host has no PF at all: {causes.why_no_pf()}"
    return "the PFs of this host are " + ", ".join(
        "%s, driver %s, %s" % (
            sysfs.describe(pf), pf["driver"] or "none",
            "no VFs before its firmware is set" if pf["totalvfs"] is None else f"up to {pf['totalvfs']} VFs")
        for pf in pfs)


def not_a_pf(address, where, pfs):
    """The sentence for a NIC that is there and has no VFs to give."""
    function = sysfs.read_function(address)
    if function is None:
        return f"{where}: {address} went away while the host was read: run the role again"
    if function["physfn"]:
        return f"{where}: {causes.a_vf(function)}"
    # Not with the advice for a host without any PF: this card has one of its own.
    return (
        f"{where}: {sysfs.describe(function)} is no PF: {causes.why_no_vfs(function)}; "
        f"{known_pfs(pfs) if pfs else 'this host has no PF'}"
    )


def choose(kind, value, where, pfs, details):
    """The PFs that a selector chooses, in the order of their addresses.

    Raises Refusal for a NIC that is no PF; returns none when nothing on the host fits.
    """
    if kind == "address":
        if sysfs.read_function(value) is None:
            return []
        chosen = [pf for pf in pfs if pf["address"] == value]
        if not chosen:
            raise Refusal(not_a_pf(value, where, pfs))
        return chosen
    if kind == "id":
        return [pf for pf in pfs if pf["id"] == value]
    if kind == "driver":
        return [pf for pf in pfs if pf["driver"] == value]

    if details is None and not (kind == "name" and value in sysfs.list_names(HOST.sys + "/class/net")):
        # To take this for an absent device would take the VFs of one that is optional.
        raise Refusal(f"{where}: `ip -d -j link show` did not list the interfaces of this host: try it there as root")

    def fits(netdev):
        detail = (details or {}).get(netdev, {})
        if kind == "mac":
            return detail.get("mac") == value
        return netdev == value or value in detail.get("altnames", [])

    chosen = [pf for pf in pfs if any(fits(netdev) for netdev in pf["netdevs"])]
    if chosen:
        return chosen
    for netdev in sysfs.list_names(HOST.sys + "/class/net"):
        address = sysfs.pci_of_netdev(netdev) if fits(netdev) else None
        if address in [pf["address"] for pf in pfs]:
            raise Refusal(f"{where}: {netdev} is a representor or sub-function of the PF {address}: name the PF")
        # A bond or VLAN has its parent's MAC address, so only a name makes a virtual interface a mistake.
        if address:
            raise Refusal(not_a_pf(address, where, pfs))
        if fits(netdev) and kind == "name":
            raise Refusal(f"{where}: {netdev} is a virtual interface, no NIC; {known_pfs(pfs)}")
    return []


def count_of(entry, key, default):
    """A number of an entry whose form has been checked."""
    return check.whole_number(default if entry.get(key) is None else entry[key])


def flag(entry, key, default):
    """A yes or no of an entry whose form has been checked."""
    return default if entry.get(key) is None else check.truth(entry[key])


def cards_that_wait():
    """The cards whose firmware the role has set in this boot: their PCI addresses without the function."""
    matches = [re.match(r"^firmware:([0-9a-f:]+)\.[0-7]:", key) for key in pending.of_this_boot(HOST, "firmware")]
    return {match.group(1) for match in matches if match}


def candidates(vendors, waiting):
    """The functions that can be chosen: PFs, and Mellanox NICs that show no SR-IOV because their firmware has it turned off.

    vendors: four hexadecimal digits each, empty where firmware is not ours to set. waiting: as of cards_that_wait.
    """
    pfs = sysfs.read_pfs()
    known = {pf["address"] for pf in pfs}
    others = [
        sysfs.read_function(address) for address in sysfs.list_names(os.path.join(HOST.sys, "bus/pci/devices"))
        # Not a VF, of which there may be a thousand.
        if address not in known and not os.path.lexists(sysfs.device_path(address, "physfn"))
        and (sysfs.read_int(sysfs.device_path(address, "class")) or 0) >> 16 == sysfs.NETWORK_CLASS
    ]
    return sorted(
        pfs + [function for function in others if function and not function["physfn"]
               and (function["id"][:4] in vendors or function["address"].rpartition(".")[0] in waiting)],
        key=lambda function: function["address"])


def checked_vendors(parameters):
    """The vendor ids of cards whose firmware this run sets, four hexadecimal digits each. Raises Refusal for one that is none."""
    vendors = []
    for vendor in check.words(parameters["mellanox_vendor_ids"]):
        digits = vendor.strip().lower() if isinstance(vendor, str) else ""
        if not selector.HEXADECIMAL_ID.match(digits):
            raise Refusal(
                f'sriov_mellanox_vendor_ids has {check.shown(vendor)}: write four hexadecimal digits in quotes, as in '
                '"0x15b3"')
        vendors.append(digits[-4:])
    return vendors if parameters["firmware"] else []


def checked_firmware(entry, where):
    """The parameters in `firmware` of an entry. Raises Refusal for what no firmware parameter can be."""
    given = entry.get("firmware")
    return {} if given is None else checked_parameters(given, where)


def port_of(pf, kind, value, details):
    """Which port of a ConnectX-3 an interface's name or MAC address chooses: 1 or 2; None for the card as a whole.

    Both ports of these cards are on one PCI function (dev_port: Documentation/ABI/testing/sysfs-class-net).
    """
    if pf["driver"] != MLX4 or kind not in ("name", "mac") or not os.path.exists(sysfs.device_path(pf["address"], "mlx4_port2")):
        return None
    for netdev in pf["netdevs"]:
        detail = (details or {}).get(netdev, {})
        if detail.get("mac") == value if kind == "mac" else netdev == value or value in detail.get("altnames", []):
            port = sysfs.read_int(os.path.join(HOST.sys, "class/net", netdev, "dev_port"))
            return None if port is None else port + 1
    return None


def refuse_twice(pf, port, where, chosen_by):
    """Raise Refusal when a PF is chosen a second time, unless by the other port of a ConnectX-3. Notes the choice."""
    before = chosen_by.setdefault(pf["address"], {})
    if before and (port is None or port in before or None in before):
        raise Refusal(
            f"{next(iter(before.values()))} and {where} choose the same PF {sysfs.describe(pf)}: keep one of them")
    before[port] = where


def check_form(parameters):
    """Raise Refusal when a variable of the role is not of the form that it has to have."""
    variables = parameters.get("variables") or {}
    check.refuse(dict(variables if isinstance(variables, dict) else {}, **{
        "sriov_" + name: parameters.get(name)
        for name in ("devices", "numvfs", "numvfs_driver", "numvfs_required_by", "mellanox_vendor_ids", "physnet_mappings", "openstack_release")}))
    if not isinstance(variables, dict):
        raise Refusal(check.not_handed_over(str(variables)))


def checked_entries(entries):
    """(entry, kind, value, where) of each entry. Raises Refusal with all that is wrong with their selectors."""
    checked, faults = [], []
    for index, entry in enumerate(entries):
        try:
            checked.append((entry,) + selector.checked_selector(entry, index))
        except Refusal as error:
            faults.append(str(error))
    if faults:
        raise Refusal("; ".join(faults))
    return checked


def select(parameters):
    """Apply every entry to the host. Returns the list of chosen devices; raises Refusal for the first thing that is wrong.

    parameters: the module's parameters.
    """
    check_form(parameters)
    entries = checked_entries(parameters["devices"])
    counts = [count_of(entry, "numvfs", parameters["numvfs"]) for entry, _kind, _value, where in entries]
    firmwares = [checked_firmware(entry, where) for entry, _kind, _value, where in entries]
    vendors = checked_vendors(parameters)
    if not entries:
        return []
    waiting = set() if parameters["firmware"] else cards_that_wait()
    pfs, details = candidates(vendors, waiting), interface_details()
    devices, chosen_by, chosen_of = [], {}, []
    for (entry, kind, value, where), count, firmware in zip(entries, counts, firmwares):
        chosen = choose(kind, value, where, pfs, details)
        chosen_of.append(chosen)
        optional = flag(entry, "optional", False)
        if not chosen and not optional:
            raise Refusal(f"{where} chooses nothing: {known_pfs(pfs)}")
        required_by = entry.get("numvfs_required_by")
        required_by = check.words(parameters["numvfs_required_by"] if required_by is None else required_by)
        for unit in required_by:
            if not isinstance(unit, str) or not UNIT_NAME.fullmatch(unit):
                raise Refusal(
                    f"{where}: numvfs_required_by has {check.shown(unit)}, which is no systemd unit: write it as "
                    "docker.service")
        common = {
            "numvfs": count,
            "boot": entry.get("numvfs_driver") or parameters["numvfs_driver"],
            "required_by": required_by,
            "optional": optional,
            "probe_vf": count_of(entry, "probe_vf", 0),
            "selector": where,
        }
        if not flag(entry, "on_boot_configuration_enabled", True):
            common["boot"] = "none"
        # One that is not there can be configured all the same: udev brings its VFs when the card appears.
        absent = [{"address": value, "id": None, "netdevs": [], "totalvfs": None}] if kind == "address" and not chosen else []
        for pf in chosen + absent:
            refuse_twice(pf, port_of(pf, kind, value, details) if pf in chosen else None, where, chosen_by)
        for pf in chosen:
            managed = pf["id"][:4] in vendors
            waits = pf["address"].rpartition(".")[0] in waiting and count > (pf["totalvfs"] or 0)
            if firmware and parameters["firmware"] and not managed:
                raise Refusal(
                    f"{where}: {sysfs.describe(pf)} is no Mellanox card (vendor {pf['id'][:4]}), only their firmware "
                    "can be set: remove firmware from it")
            if pf["driver"] is None and pf["id"] in CONNECTX3_IDS and count > 0:
                raise Refusal(
                    f"{where}: {sysfs.describe(pf)} is a ConnectX-3 without its driver: load {MLX4} and see the kernel "
                    "log, it lets go of a card whose options in /etc/modprobe.d are not to its liking")
            # What a Mellanox card offers is for its firmware to say, and that comes later.
            if common["boot"] != "none" and not managed and not waits and pf["driver"] != MLX4 and count > (pf["totalvfs"] or 0):
                if not pf["totalvfs"]:
                    raise Refusal(f"{where}: {sysfs.describe(pf)} offers no VFs: {causes.why_no_vfs(pf)}")
                raise Refusal(
                    f"{where}: {sysfs.describe(pf)} has at most {pf['totalvfs']} VFs, {count} are asked for: lower "
                    "numvfs")
            devices.append(dict(
                common, address=pf["address"], id=pf["id"], name=(pf["netdevs"] or [""])[0], driver=pf["driver"],
                boot="module" if pf["driver"] == MLX4 and common["boot"] != "none" else common["boot"],
                firmware=firmware if managed else None, port=port_of(pf, kind, value, details),
                enough=count <= (pf["totalvfs"] or 0) and not firmware,
                trigger="net" if pf["netdevs"] else "pci", **WAITS if waits else {}))
        devices += [
            dict(common, address=pf["address"], id=None, name="", driver=None, firmware=None, port=None, enough=True, trigger="net")
            for pf in absent
        ]
    check_openstack(parameters, entries, chosen_of, devices, pfs, details)
    return devices


def configured(rule_path):
    """What the role, or one before it, has configured on this host and `sriov_devices: []` takes away: a list of clauses.

    rule_path: as of sriov_udev_rule_path.
    """
    clauses = []
    try:
        config = configuration.load_config()
    except Refusal as refusal:
        config = {}
        clauses.append(str(refusal))
    for device in (config or {}).get("devices", []):
        clauses.append(f"{name_of(device['address'])} with {device['numvfs']} VFs")
    if config is None:
        clauses += [
            f"{name_of(match.group(1))}, whose VFs are to go at the next boot"
            for match in [re.match(r"^vfs:(.+)=0$", key) for key in sorted(pending.of_this_boot(HOST, "vfs"))] if match]
    paths, addresses = predecessors.legacy(HOST.units, {HOST.udev_rules, rule_path})
    clauses += [
        f"{name_of(address)} with {len(sysfs.vf_addresses(address))} VFs, by an earlier role" for address in addresses]
    clauses += [f"{path} of an earlier role" for path in paths if not addresses]
    clauses += [f"ConnectX-3 by {path}" for path in mlx4.traces()]
    clauses += [f"the firmware of {card}, whose settings wait for a reboot" for card in sorted(cards_that_wait())]
    return clauses


def name_of(address):
    """A PF in a few words, also one that is not there."""
    function = sysfs.read_function(address)
    return sysfs.describe(function) if function else address


def notice_of_unset(parameters):
    """The sentence about devices that are not set on a host that is not configured. Raises Refusal on one that is."""
    rule_path = (parameters.get("variables") or {}).get("sriov_udev_rule_path")
    misspelt = check.misspelt_devices(parameters.get("names") or [])
    clauses = configured(rule_path or HOST.udev_rules)
    if clauses:
        raise Refusal(" ".join(misspelt + [
            f"sriov_devices is not set, and this host is configured: {', '.join(clauses)}. Look whether the inventory "
            "and its group_vars are loaded, and set it; or write sriov_devices: [] to have these VFs removed"]))
    return " ".join(misspelt + [
        "sriov_devices is not set, so nothing is changed on this host: set it, or write sriov_devices: [] for a host without VFs"])


def warnings_about_rules(parameters, devices):
    """A sentence about rules that udev would not read, where devices need some."""
    path = (parameters.get("variables") or {}).get("sriov_udev_rule_path") or ""
    folder = os.path.dirname(path)
    # What ~ or a variable of the environment stands for is known to sriov_vfs alone.
    if not devices or not path.startswith("/") or os.path.realpath(folder) in [os.path.realpath(read) for read in RULE_FOLDERS]:
        return []
    return [
        f"sriov_udev_rule_path is {path}, and udev reads no rules in {folder}: a PF that appears later gets no VFs; "
        "give a path in /etc/udev/rules.d"]


def warnings_about_numbers(parameters, devices):
    """One sentence for each PF that loses VFs and whose number comes from sriov_numvfs, which may have been lost."""
    try:
        config = configuration.load_config() or {}
    except Refusal:
        return []
    before = {device["address"]: device["numvfs"] for device in config.get("devices", [])}
    without = {where for entry, _kind, _value, where in checked_entries(parameters["devices"]) if entry.get("numvfs") is None}
    return [
        f"{device['selector']} has no numvfs, so sriov_numvfs holds: {device['name'] or device['address']} gets "
        f"{device['numvfs']} VFs, and was configured with {before[device['address']]}"
        for device in devices if device["selector"] in without and device["numvfs"] < before.get(device["address"], 0)
    ]


def summary_of(wanted, found, devices, notice):
    """What the role says of the PFs where the module of the VFs says nothing: a list of lines.

    wanted: the names of the concerns; found: as of concerns.settled; notice: of devices that are not set, else empty.
    """
    lines = found["vfs"][0]["lines"] if "vfs" in found else []
    return lines or [
        notice + "." if notice else "No PF is configured." if not devices
        else "No PF has VFs of the role." if "vfs" in wanted else "No VFs are set, as sriov_action says."]


def look_again(wanted):
    """The concerns with their options, for a look at what a reboot was for: that is not to be had by a reset then, nor by a tool that
    is installed then.
    """
    firmware = {"firmware": dict(wanted["firmware"], reset=False, tool_comes_later=False)} if "firmware" in wanted else {}
    return dict(wanted, **firmware)


def main():
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "raw"},
            "numvfs": {"type": "raw", "default": 8},
            "numvfs_driver": {"type": "raw", "default": "systemd"},
            "numvfs_required_by": {"type": "raw", "default": []},
            "firmware": {"type": "bool", "default": False},
            "mellanox_vendor_ids": {"type": "raw", "default": ["0x15b3"]},
            "physnet_mappings": {"type": "raw", "default": {}},
            "openstack_release": {"type": "raw"},
            "variables": {"type": "raw", "default": {}},
            "names": {"type": "list", "elements": "str", "default": []},
            "concerns": {"type": "raw", "default": {}},
        },
        supports_check_mode=True,
    )
    is_set, notice, devices = not check.is_unset(module.params["devices"]), "", []
    # What is said of devices that are not set begins with these.
    told = [] if is_set else check.misspelt_devices(module.params["names"])
    for sentence in check.unknown_variables(module.params["names"]):
        if sentence not in told:
            module.warn(sentence)
    try:
        if is_set:
            devices = select(module.params)
        else:
            check_form(module.params)
            notice = notice_of_unset(module.params)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    for sentence in [notice] if notice else (
            warnings_about(devices) + warnings_about_rules(module.params, devices) + warnings_about_numbers(module.params, devices)):
        module.warn(sentence)
    wanted = module.params["concerns"]
    if not isinstance(wanted, dict):
        module.fail_json(msg=f"concerns is {wanted!r:.80}, and must be a dictionary: correct it")
    found = concerns.settled(wanted, devices, module.run_command) if is_set else {}
    for _result, warnings in found.values():
        for sentence in warnings:
            module.warn(sentence)
    tools = [programs.find_program(tool) for tool in FIRMWARE_TOOLS]
    module.exit_json(
        changed=False, devices=devices, is_set=is_set, notice=notice,
        # The controller keeps it for each host: no second list of devices.
        settled={
            name: {key: value for key, value in result.items() if key not in ("devices", "diff")} for name, (result, _warnings) in found.items()},
        summary=summary_of(wanted, found, devices, notice), look_again=look_again(wanted), boot_id=sysfs.boot_id(),
        firmware_tools=[tool for tool in tools if tool],
        mlx4_traces=bool(mlx4.traces()), machine=os.uname().machine,
        package_format="deb" if os.path.exists("/etc/debian_version") else "rpm")


if __name__ == "__main__":
    main()
