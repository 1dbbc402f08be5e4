# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PFs that the entries of sriov_devices choose."""

from __future__ import annotations

import re

from .. import check, selector
from ..errors import Refusal
from ..mellanox.selection import MLX4, Cards, checked_firmware, port_of
from ..program import causes, decision, sysfs
from ..program.host import HOST
from ..vf_settings import checked_settings
from . import settings as of_settings
from .openstack import check_openstack
from .seen import interface_details, known_pfs, other_nics

UNIT_NAME = re.compile(r"^[A-Za-z0-9:_.@\\-]+\.(service|target|socket|path|timer|mount)$")


def not_a_pf(address, where, pfs):
    """The sentence for a NIC that is present but offers no VFs."""
    function = sysfs.read_function(address)
    if function is None:
        return f"{where}: {address} went away while the role read the host: run the role again"
    if function["physfn"]:
        return f"{where}: {causes.a_vf(function)}"
    # Without the advice for a host that has no PF: this card has its own advice.
    return (
        f"{where}: {sysfs.describe(function)} is not a PF: {causes.why_no_vfs(function)}; "
        f"{known_pfs(pfs) if pfs else 'this host has no PF'}"
    )


def choose(kind, value, where, pfs, details):
    """The PFs that a selector chooses, in the order of their addresses.

    Raises Refusal for a NIC that is not a PF. Returns an empty list if nothing on the host matches.
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
    return choose_by_interface(kind, value, where, pfs, details)


def choose_by_interface(kind, value, where, pfs, details):
    """As choose(), by the name or the MAC address of an interface."""
    if details is None and not (kind == "name" and value in sysfs.list_names(HOST.sys + "/class/net")):
        # Treated as an absent device, an optional one would lose its VFs.
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
            raise Refusal(f"{where}: {netdev} is a virtual interface, not a NIC; {known_pfs(pfs)}")
    return []


def count_of(entry, key, default):
    """A number of an entry whose form has been checked."""
    return check.whole_number(default if entry.get(key) is None else entry[key])


def flag(entry, key, default):
    """A yes or no of an entry whose form has been checked."""
    return default if entry.get(key) is None else check.truth(entry[key])


def candidates(cards):
    """The functions that can be chosen: PFs, and NICs that show no SR-IOV because it is off in their firmware.

    cards: see Cards in mellanox/selection.py.
    """
    pfs = sysfs.read_pfs()
    return sorted(
        pfs + [function for function in other_nics(pfs) if cards.may_have_vfs_later(function)],
        key=lambda function: function["address"],
    )


def hidden_by_bios(known):
    """The NICs that show no SR-IOV and may do so once it is on in the BIOS. known: the functions that can be chosen."""
    return [function for function in other_nics(known) if causes.has_sriov_driver(function)]


def choose_with_hidden(kind, value, where, pfs, hidden, details):
    """choose() among PFs and NICs whose SR-IOV the BIOS may hide. An id or a driver chooses one of these only if it
    chooses no PF: a port whose SR-IOV is off may stand next to one that has it.
    """
    if kind in ("id", "driver"):
        return choose(kind, value, where, pfs, details) or choose(kind, value, where, hidden, details)
    return choose(kind, value, where, pfs + hidden, details)


def refuse_twice(pf, port, where, chosen_by):
    """Raise Refusal when a PF is chosen a second time, unless by the other port of a ConnectX-3. Notes the choice."""
    before = chosen_by.setdefault(pf["address"], {})
    if before and (port is None or port in before or None in before):
        raise Refusal(
            f"{next(iter(before.values()))} and {where} choose the same PF {sysfs.describe(pf)}: keep one of them"
        )
    before[port] = where


def check_form(parameters: dict) -> None:
    """Raise Refusal when a variable of the role does not have the required form."""
    variables = parameters.get("variables") or {}
    check.refuse(
        dict(
            variables if isinstance(variables, dict) else {},
            **{
                "sriov_" + name: parameters.get(name)
                for name in (
                    "devices",
                    "numvfs",
                    "numvfs_driver",
                    "numvfs_required_by",
                    "mellanox_vendor_ids",
                    "physnet_mappings",
                    "openstack_release",
                )
            },
        )
    )
    if not isinstance(variables, dict):
        raise Refusal(check.not_handed_over(str(variables)))


def checked_entries(entries: list[dict]) -> list[tuple[dict, str, str, str]]:
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


def select(parameters: dict) -> list[dict]:
    """Apply every entry to the host. Returns the list of chosen devices; raises Refusal for the first thing that is
    wrong.

    parameters: the module's parameters.
    """
    check_form(parameters)
    entries = checked_entries(parameters["devices"])
    counts = [count_of(entry, "numvfs", parameters["numvfs"]) for entry, _kind, _value, where in entries]
    firmwares = [checked_firmware(entry, where) for entry, _kind, _value, where in entries]
    settings = {
        where: checked_settings(entry, count, flag(entry, "on_boot_configuration_enabled", True), where)
        for (entry, _kind, _value, where), count in zip(entries, counts)
    }
    cards = Cards(parameters)
    if not entries:
        return []
    cards.read()
    pfs, details = candidates(cards), interface_details()
    hidden = hidden_by_bios(pfs) if parameters.get("bmc") else []
    devices, chosen_by, chosen_of = [], {}, []
    for (entry, kind, value, where), count, firmware in zip(entries, counts, firmwares):
        chosen = choose_with_hidden(kind, value, where, pfs, hidden, details)
        chosen_of.append(chosen)
        common = common_of(entry, where, count, parameters)
        if not chosen and not common["optional"]:
            raise Refusal(f"{where} chooses nothing: {known_pfs(pfs)}")
        of_settings.refuse_number(entry, chosen, common["optional"], where)
        check_units(common["required_by"], where)
        # A missing PF can still be configured: udev starts its unit when the card appears.
        absent = [value] if kind == "address" and not chosen else []
        for pf in chosen:
            refuse_twice(pf, port_of(pf, kind, value, details), where, chosen_by)
        for address in absent:
            refuse_twice({"address": address, "netdevs": []}, None, where, chosen_by)
        for pf in chosen:
            cards.refuse(pf, count, firmware, where)
            device = device_of(pf, common, firmware, cards, port_of(pf, kind, value, details))
            devices.append(dict(device, **wait_for_bios(pf, common, cards, parameters)))
        of_settings.refuse_unfit(entry, settings[where], chosen, where)
        devices += [
            dict(
                common,
                address=address,
                id=None,
                name="",
                driver=None,
                firmware=None,
                port=None,
                enough=True,
                trigger="net",
            )
            for address in absent
        ]
    of_settings.refuse_same_addresses(devices, settings, details)
    plans = check_openstack(parameters, entries, chosen_of, devices, pfs, details)
    of_settings.complete(devices, {where: entry for entry, _kind, _value, where in entries}, settings, plans, pfs)
    return devices


def common_of(entry, where, count, parameters):
    """The values that all PFs of an entry share, as the module returns them."""
    required_by = entry.get("numvfs_required_by")
    at_boot = flag(entry, "on_boot_configuration_enabled", True)
    return {
        "numvfs": count,
        "boot": (entry.get("numvfs_driver") or parameters["numvfs_driver"]) if at_boot else "none",
        "required_by": check.words(parameters["numvfs_required_by"] if required_by is None else required_by),
        "optional": flag(entry, "optional", False),
        "probe_vf": count_of(entry, "probe_vf", 0),
        "selector": where,
    }


def check_units(units, where):
    """Raise Refusal for a name that is not a systemd unit."""
    for unit in units:
        if not isinstance(unit, str) or not UNIT_NAME.fullmatch(unit):
            raise Refusal(
                f"{where}: numvfs_required_by has {check.shown(unit)}, which is not a systemd unit: write it as "
                "docker.service"
            )


def refuse_too_many(pf, common, cards):
    """Raise Refusal for more VFs than a PF supports, if neither firmware nor the driver's options can change that."""
    count, where = common["numvfs"], common["selector"]
    if common["boot"] == "none" or cards.claims(pf) or cards.waits(pf, count) or pf["driver"] == MLX4:
        return
    if count > (pf["totalvfs"] or 0):
        if not pf["totalvfs"]:
            raise Refusal(f"{where}: {sysfs.describe(pf)} offers no VFs: {causes.why_no_vfs(pf)}")
        raise Refusal(
            f"{where}: {sysfs.describe(pf)} supports at most {pf['totalvfs']} VFs, {count} are requested: lower numvfs"
        )


def wait_for_bios(pf, common, cards, parameters):
    """What a device of a PF that offers no VFs gets, if the role sets the BIOS: why it waits, and until_bios, what is
    refused if the BIOS is set already. Raises Refusal if the PF offers too few VFs for another reason.
    """
    try:
        refuse_too_many(pf, common, cards)
    except Refusal as refusal:
        if not parameters.get("bmc") or pf["totalvfs"]:
            raise
        return {"waits": decision.WAITS_FOR_BIOS, "until_bios": str(refusal)}
    return {}


def device_of(pf, common, firmware, cards, port):
    """A chosen PF, as the module returns it. port: see port_of()."""
    count = common["numvfs"]
    return dict(
        common,
        address=pf["address"],
        id=pf["id"],
        name=(pf["netdevs"] or [""])[0],
        driver=pf["driver"],
        boot="module" if pf["driver"] == MLX4 and common["boot"] != "none" else common["boot"],
        firmware=firmware if cards.claims(pf) else None,
        port=port,
        enough=count <= (pf["totalvfs"] or 0) and not firmware,
        trigger="net" if pf["netdevs"] else "pci",
        **{"waits": decision.WAITS_FOR_FIRMWARE} if cards.waits(pf, count) else {},
    )


# The options of sriov_devices that are about the choice, in the form for AnsibleModule.
ARGUMENTS = {
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
    "bmc": {"type": "bool", "default": False},
}
