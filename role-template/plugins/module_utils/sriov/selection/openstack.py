# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chosen PFs, as Nova and Neutron's agent see them."""

from __future__ import annotations

from ..openstack import hardware, nova, variables
from ..program import connection, sysfs
from .seen import every_function, known_pfs


def vf_product(address):
    """The product id of a PF's VFs, four hexadecimal digits; None if the kernel does not show it."""
    # Hexadecimal without 0x, unlike vendor and device (drivers/pci/iov.c).
    product = sysfs.read_text(sysfs.device_path(address, "sriov_vf_device"))
    return f"{int(product, 16):04x}" if product else None


def vf_details(pf, later):
    """The kernel's data about the VFs of a PF, future VFs included, in the form that check_hardware() of openstack
    needs.

    later: whether the card changes with the next reboot, so that only the existing VFs are certain.
    """
    address = pf["address"]
    return {
        "address": address,
        "names": pf["netdevs"],
        "vendor_id": pf["id"][:4],
        "product_id": pf["id"][5:],
        "driver": pf["driver"],
        "vf_product_id": vf_product(address),
        "offset": None if later else sysfs.read_int(sysfs.device_path(address, "sriov_offset")),
        "stride": sysfs.read_int(sysfs.device_path(address, "sriov_stride")),
        "totalvfs": pf["totalvfs"],
        "vfs": [vf for vf in sysfs.vf_addresses(address) if vf],
    }


def is_later(device: dict, pf: dict) -> bool:
    """Whether a PF may offer more VFs after the next reboot, at other addresses. device: as select() returns it."""
    return "waits" in device or device["firmware"] is not None and device["numvfs"] > (pf["totalvfs"] or 0)


def choice_of(plan: dict, pf: dict, where: str, devices: list[dict]) -> dict:
    """A PF that an entry chose, as hardware.check_hardware() gets it.

    plan: of the entry that `where` names.
    """
    [device] = [device for device in devices if (device["selector"], device["address"]) == (where, pf["address"])]
    others = [
        other for other in devices if other["address"] == pf["address"] and (other["port"] or 0) < (device["port"] or 0)
    ]
    later = is_later(device, pf)
    details = vf_details(pf, later)
    return {
        "plan": plan,
        "pf": details,
        "later": later,
        "first": sum(other["numvfs"] for other in others),
        # The role does not manage this PF: another program sets its number of VFs.
        "numvfs": len(details["vfs"]) if device["boot"] == "none" else device["numvfs"],
    }


def check_openstack(
    parameters: dict,
    entries: list[tuple[dict, str, str, str]],
    chosen_of: list[list[dict]],
    devices: list[dict],
    pfs: list[dict],
    details: dict | None,
) -> dict[str, dict]:
    """Refuse what Nova and Neutron's agent would not understand, and note the physical network of each device.
    Returns the plan of each entry with a physical network, by selector (see plan() of openstack).

    entries: (entry, kind, value, where). chosen_of: the PFs of each. devices: the list that select() returns, with the
    entry of each PF. pfs: all PFs of the host. details: see interface_details(). Raises Refusal.
    """
    mappings, release = parameters.get("physnet_mappings"), parameters.get("openstack_release")
    plans = variables.plan(parameters["devices"], mappings, release, chosen_of, known_pfs(pfs))
    by_selector = {one["selector"]: one for one in plans}
    networks = {where: one["physical_network"] for where, one in by_selector.items()}
    for device in devices:
        device["physical_network"] = networks.get(device["selector"])
    if not plans and not mappings:
        return by_selector
    hardware.refuse_other_names(
        mappings,
        [
            {
                "selector": where,
                "physical_network": networks.get(where),
                "pf": pf,
                "altnames": [
                    name for netdev in pf["netdevs"] for name in (details or {}).get(netdev, {}).get("altnames", [])
                ],
            }
            for (_entry, _kind, _value, where), chosen in zip(entries, chosen_of)
            for pf in chosen
        ],
        {value for _entry, kind, value, _where in entries if kind in ("name", "address")},
    )
    choices = []
    for (_entry, _kind, _value, where), chosen in zip(entries, chosen_of):
        # The VFs of a PF without a physical network count too: no device_spec of another PF may match them.
        one = by_selector.get(where, {"selector": where, "physical_network": None, "specs": [], "exclude_vfs": []})
        if not chosen:
            # Nova gets it in any case.
            choices.append({"plan": one, "pf": None})
        choices += [choice_of(one, pf, where, devices) for pf in chosen]
    if plans:
        functions = every_function()
        hardware.check_hardware(choices, functions)
        pools = [spec for one in plans for spec in one["specs"]]
        whole = {function["address"] for function in functions if any(nova.takes(spec, function) for spec in pools)}
        for device in devices:
            if device["address"] in whole:
                device["whole"] = True
    return by_selector


def warnings_about(devices: list[dict]) -> list[str]:
    """One sentence for each PF that Nova could give to a guest as a whole, with the connection to this host."""
    if not any(device.get("whole") for device in devices):
        return []
    carriers = connection.connection_functions() or ()
    return [
        "%s: Nova may give %s itself to a guest whose port is of type direct-physical, and it carries the connection to this host. To let "
        'Nova use its VFs only, write their ids next to the name: nova: {%s: %s, vendor_id: "%s", product_id: "%s"}'
        % (
            device["selector"],
            device["name"] or device["address"],
            *(
                ("devname", device["name"])
                if device["name"] and "(name " in device["selector"]
                else ("address", f'"{device["address"]}"')
            ),
            device["id"][:4],
            vf_product(device["address"]) or "that of its VFs",
        )
        for device in devices
        if device.get("whole") and device["address"] in carriers
    ]
