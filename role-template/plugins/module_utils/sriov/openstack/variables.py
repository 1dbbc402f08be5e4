# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of Nova and Neutron's SR-IOV agent for a host's PFs, from sriov_devices and sriov_physnet_mappings.

The filters call it in Kayobe, where the variables are. The module sriov_devices calls it on the host, where it can also
check the hardware. So there is one implementation of every rule. Nothing here reads or writes anything.
"""

from __future__ import annotations

import re

from .. import check, selector
from ..errors import Refusal
from .nova import ANY, FIELDS, IDS, POSSIBLE, glob_fields, means_every_device, named, single_address, takes
from .releases import TAGS, nova_of

TEXT_TAGS = ("resource_class", "traits")
# Neutron has comma separated lists of NETWORK:INTERFACE.
NETWORK_NAME = re.compile(r"^[^\s,:;]+\Z")


def checked_network(value, where, name="physical_network"):
    """The name of a physical network. Raises Refusal for an invalid name."""
    if not isinstance(value, str) or check.NO_TEXT.search(value):
        raise Refusal(f'{where}: {name} is {check.shown(value)}: name the physical network, as in {name}: "physnet2"')
    network = value.strip()
    if not network:
        raise Refusal(f"{where}: {name} is empty: name the physical network, as in {name}: physnet2")
    if not NETWORK_NAME.match(network):
        raise Refusal(
            f"{where}: {name} {network!r} has a space, comma, colon or semicolon, which Neutron's lists cannot contain: "
            "correct it"
        )
    return network


def checked_mappings(mappings: dict | None) -> dict[str, tuple[str, str]]:
    """sriov_physnet_mappings with PCI addresses in full: {device: (physical network, the key as written)}."""
    if mappings is None:
        return {}
    if not isinstance(mappings, dict):
        raise Refusal(
            f"sriov_physnet_mappings is {check.shown(mappings)}: give a dictionary, as in {{ens1f0: physnet2}}"
        )
    checked = {}
    for key, value in mappings.items():
        if not isinstance(key, str):
            raise Refusal(
                f"sriov_physnet_mappings has {check.shown(key)}, which YAML has read as a number: put it in quotes, as "
                'in "0000:3b:00.0"'
            )
        device = selector.pci_address(key) or key.strip()
        if looks_like_mac(device) or not selector.ORDINARY_NAME.match(device):
            raise Refusal(
                f"sriov_physnet_mappings has {key!r}: name an interface, as in ens1f0, or its PCI address, as in "
                '"0000:3b:00.0"'
            )
        network = checked_network(value, "sriov_physnet_mappings", key)
        if checked.get(device, (network,))[0] != network:
            raise Refusal(
                f"sriov_physnet_mappings: {checked[device][1]} and {key} are the same device but have two "
                "physical networks: keep one of them"
            )
        checked[device] = (network, key)
    return checked


def looks_like_mac(text):
    """Whether a text looks like a MAC address, or its first half, with or without wildcards."""
    groups = re.split("[:-]", text.strip().lower())
    return len(groups) >= 3 and all(re.match(r"^([0-9a-f]{2}|\*)$", group) for group in groups) and groups[0] != ANY


def checked_id(value, key, where):
    """nova.vendor_id or nova.product_id as four hexadecimal digits, or "*". Raises Refusal for what is neither."""
    if not isinstance(value, str):
        raise Refusal(selector.read_as_number(where, "nova." + key, value, selector.QUOTE[key]))
    digits = value.strip().lower()
    if digits == ANY:
        return ANY
    if not selector.HEXADECIMAL_ID.match(digits):
        raise Refusal(
            f'{where}: nova.{key} {value!r} is not four hexadecimal digits: write it as "{selector.QUOTE[key]}"'
        )
    return digits[-4:]


def checked_devname(value, where):
    """nova.devname. Raises Refusal for a value that is not an interface name."""
    if not isinstance(value, str):
        raise Refusal(selector.read_as_number(where, "nova.devname", value, selector.QUOTE["name"]))
    name = value.strip()
    if looks_like_mac(name) or not selector.ORDINARY_NAME.match(name):
        raise Refusal(f"{where}: nova.devname {value!r} is not an interface name: write it as ens1f0")
    return name


def checked_expressions(address, where):
    """nova.address with an expression for each field. Raises Refusal for one that Nova would misread or refuse."""
    unknown = sorted(str(key) for key in address if key not in FIELDS)
    if unknown:
        raise Refusal(
            f"{where}: nova.address has {', '.join(unknown)}, which Nova would ignore: its fields are "
            f"{', '.join(FIELDS)}"
        )
    for field, expression in address.items():
        if not isinstance(expression, str):
            raise Refusal(
                selector.read_as_number(
                    where, "nova.address." + field, expression, "02" if field != "function" else "[0-3]"
                )
            )
        try:
            compiled = re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise Refusal(
                f"{where}: nova.address.{field} {expression!r} is not a regular expression ({error}): correct it"
            ) from None
        if not any(compiled.match(value) for value in POSSIBLE[field]) and field != "domain":
            raise Refusal(
                f"{where}: nova.address.{field} {expression!r} matches no {field} (lower-case hexadecimal, {POSSIBLE[field][0]} to "
                f"{POSSIBLE[field][-1]}): correct it"
            )
    return dict(address)


def checked_glob(address, where):
    """nova.address as text, exact or with "*". Raises Refusal for an address that Nova would misread or refuse."""
    if looks_like_mac(address):
        raise Refusal(
            f"{where}: nova.address {address!r} looks like a MAC address, which Nova would read as a PCI address: use "
            'the PCI address, as in address: "0000:3b:02.*"'
        )
    try:
        glob_fields(address)
    except ValueError as error:
        raise Refusal(
            f"{where}: nova.address {check.shown(address)} is not a PCI address ({error}): write each field in full or as *, as in "
            '"0000:3b:02.*"'
        ) from None
    return address.strip()


def checked_addresses(given, where):
    """nova.address as a list: the address of each device_spec. Raises Refusal if it matches every device, or none."""
    addresses = []
    for address in given if isinstance(given, list) else [given]:
        if isinstance(address, dict):
            addresses.append(checked_expressions(address, where))
        elif isinstance(address, str):
            addresses.append(checked_glob(address, where))
        elif isinstance(address, (int, float)):
            raise Refusal(selector.read_as_number(where, "nova.address", address, "0000:3b:02.*"))
        else:
            raise Refusal(
                f"{where}: nova.address is {given!r}: give an address, expressions for its fields, or a list of those"
            )
    if not addresses or any(means_every_device(address) for address in addresses):
        raise Refusal(
            f"{where}: nova.address {given!r} would give guests every PCI device of the host: narrow it down, as in "
            '"0000:3b:02.*"'
        )
    return addresses


def checked_text_tag(value, key, where):
    """nova.resource_class or nova.traits in the form for Nova: text, traits separated by commas."""
    words = value if key == "traits" and isinstance(value, list) else [value]
    if not words or not all(
        isinstance(word, str) and word.strip() and not check.NO_TEXT.search(word) for word in words
    ):
        raise Refusal(
            f"{where}: nova.{key} is {value!r}: give {'a name or a list of names' if key == 'traits' else 'a name'}"
        )
    return ",".join(word.strip() for word in words)


def checked_tags(given, where, release):
    """The tags of `nova`, as text. Raises Refusal for one that the release does not know."""
    nova = nova_of(release)
    tags = {}
    for key, since in TAGS.items():
        value = given.get(key)
        if value is None:
            continue
        if key in TEXT_TAGS:
            tags[key] = checked_text_tag(value, key, where)
        else:
            tags[key] = "true" if check.truth(value) else "false"
        if nova is not None and nova < since:
            raise Refusal(
                f"{where}: nova.{key} needs Nova {since}, but {release} has Nova {nova}, which would read it as a custom "
                "tag: remove it"
            )
        if key == "one_time_use" and tags[key] == "true":
            # nova/compute/pci_placement_translator.py: _add_dev() skips devices with a physical network.
            # nova/pci/devspec.py refuses the key without report_in_placement.
            raise Refusal(
                f"{where}: nova.one_time_use has no effect on a device with a physical network, and without "
                "report_in_placement nova-compute does not start with it: remove it"
            )
    return tags


def checked_specs(entry, kind, value, where, network, release):
    """The device_specs of one entry, each a dictionary that json can write.

    Raises Refusal for a value that Nova would refuse or misread.
    """
    given = {key: wish for key, wish in (entry.get("nova") or {}).items() if wish is not None}
    if "devname" in given and "address" in given:
        raise Refusal(f"{where}: nova has both devname and address, which Nova refuses: keep one of them")
    ids = {key: checked_id(given[key], key, where) for key in IDS if key in given}
    ids = {key: digits for key, digits in ids.items() if digits != ANY}
    if "address" in given:
        namings = [{"address": address} for address in checked_addresses(given["address"], where)]
    elif "devname" in given:
        namings = [{"devname": checked_devname(given["devname"], where)}]
    elif any(key in given for key in IDS):
        missing = [key for key in IDS if key not in ids]
        if missing:
            raise Refusal(
                f"{where}: nova needs {' and '.join(missing)}, or an address, so that guests get no devices of other "
                "kinds"
            )
        namings = [{}]
    else:
        namings = [{"devname" if kind == "name" else "address": value}]
    tags = checked_tags(given, where, release)
    specs = [dict(naming, **dict(ids, physical_network=network, **tags)) for naming in namings]
    if tags.get("remote_managed") == "true" and any(stands_for_pf(spec, kind, value) for spec in specs):
        raise Refusal(
            f"{where}: nova.remote_managed is for VFs, and nova-compute does not start when it is set for a PF: name "
            "the VFs by nova.address, or by nova.vendor_id and nova.product_id"
        )
    return specs


def stands_for_pf(spec, kind, value):
    """Whether a device_spec names the chosen PF, and so matches all its VFs."""
    if "devname" in spec:
        return kind != "name" or spec["devname"] == value
    return kind == "address" and "address" in spec and single_address(spec["address"]) == value


def checked_exclusions(entry, where):
    """exclude_vfs as full PCI addresses. Raises Refusal for a value that is not an address."""
    addresses = []
    for item in check.words(entry.get("exclude_vfs")):
        if not isinstance(item, str):
            raise Refusal(
                f"{where}: exclude_vfs has {item!r}, which YAML has read as a number: put it in quotes, as in "
                '"0000:3b:02.0"'
            )
        address = selector.pci_address(item)
        if address is None:
            raise Refusal(
                f'{where}: exclude_vfs has {item!r}, which is not a PCI address of a VF: write it as "0000:3b:02.0"'
            )
        addresses.append(address)
    return addresses


def refuse_excluded(one):
    """Raise Refusal when a device_spec matches an excluded VF, as far as this can be seen without the host.

    Not for the device_specs of other entries: the ports of a ConnectX-3 exclude each other's VFs.
    """
    for address in one["exclude_vfs"]:
        vf = {
            "address": address,
            "vendor_id": None,
            "product_id": None,
            "parent_addr": None,
            "names": [],
            "parent_names": [],
        }
        for spec in one["specs"]:
            if "devname" in spec or stands_for_pf(spec, one["kind"], one["value"]) or takes(spec, vf):
                raise Refusal(
                    f"{one['selector']}: exclude_vfs has {address}, but Nova gives it to guests by {named(spec)}: "
                    'write nova.address as a list of the remaining VFs, as in ["0000:3b:02.1", "0000:3b:02.2"]'
                )


def refuse_unknown_mappings(mappings, used, entries, known):
    """Raise Refusal when a key of sriov_physnet_mappings is in no entry, and an entry lacks a physical network.

    A key that is in no entry is for other hosts, unless it may be a typing error for an entry of this host.
    entries: (entry, kind, where, physical network or None).
    """
    unknown = [key for device, (_network, key) in mappings.items() if device not in used]
    waiting = [
        where
        for entry, kind, where, network in entries
        if network is None and kind in ("name", "address") and "physical_network" not in entry
    ]
    if unknown and waiting:
        raise Refusal(
            f"sriov_physnet_mappings has {', '.join(unknown)}, which {'is' if len(unknown) == 1 else 'are'} in no "
            f"entry of sriov_devices, and {waiting[0]} has no physical network: correct the mapping, or write "
            f"physical_network: null in that entry if OpenStack must not use it{'; ' + known if known else ''}"
        )


def refuse_selector(kind, where, chosen):
    """Raise Refusal for a physical network in an entry whose selector neither Nova nor the agent knows."""
    if kind in ("name", "address"):
        return
    key = "vendor_id with product_id" if kind == "id" else kind
    reason = ", and Nova reads a MAC address as a PCI address" if kind == "mac" else ""
    instead = ", ".join(
        'address: "%s"%s' % (pf["address"], f" ({', '.join(pf['netdevs'])})" if pf["netdevs"] else "") for pf in chosen
    )
    raise Refusal(
        f"{where}: Nova and Neutron's agent cannot choose by {key}{reason}: for physical_network use "
        f"{instead or 'name or address'}"
    )


def plan(
    devices: list,
    mappings: dict | None = None,
    release: str | float | None = None,
    chosen: list[list[dict]] | None = None,
    known: str = "",
) -> list[dict]:
    """The configuration that follows from each entry of sriov_devices with a physical network.

    devices, mappings, release: sriov_devices, sriov_physnet_mappings and sriov_openstack_release. chosen: on the host,
    the PFs that each entry chooses, each with address and netdevs. known: the PFs of the host, in words. Returns a list
    of dicts: index, kind, value and selector of the entry, physical_network, optional, exclude_vfs, specs, nova (the
    keys given there). Raises Refusal for the first error.
    """
    check.refuse({"sriov_devices": devices})
    nova_of(release)
    networks = checked_mappings(mappings)
    entries, used, where_of = [], set(), {}
    for index, entry in enumerate(devices):
        kind, value, where = selector.checked_selector(entry, index)
        network = None if entry.get("physical_network") is None else checked_network(entry["physical_network"], where)
        if kind in ("name", "address") and value in networks:
            used.add(value)
            mapped = networks[value][0]
            if network not in (None, mapped):
                raise Refusal(
                    f"{where}: physical_network is {network} and sriov_physnet_mappings says {mapped}: keep one of them"
                )
            network = mapped
        if kind in ("name", "address"):
            before, network_before = where_of.setdefault((kind, value), (where, network))
            if before != where and (network or network_before):
                raise Refusal(f"{before} and {where} choose the same device: keep one of them")
        entries.append((entry, kind, value, where, network))
    refuse_unknown_mappings(
        networks, used, [(entry, kind, where, network) for entry, kind, _value, where, network in entries], known
    )
    plans = []
    for index, (entry, kind, value, where, network) in enumerate(entries):
        if network is None:
            for key in ("nova", "exclude_vfs"):
                if entry.get(key):
                    raise Refusal(
                        f"{where} has {key} but no physical network: give it physical_network, or remove {key}"
                    )
            continue
        refuse_selector(kind, where, chosen[index] if chosen else [])
        plans.append(
            {
                "index": index,
                "kind": kind,
                "value": value,
                "selector": where,
                "physical_network": network,
                "optional": bool(check.truth(entry.get("optional"))),
                "exclude_vfs": checked_exclusions(entry, where),
                "specs": checked_specs(entry, kind, value, where, network, release),
                "nova": sorted(key for key, wish in (entry.get("nova") or {}).items() if wish is not None),
            }
        )
    for one in plans:
        refuse_excluded(one)
    return plans


def openstack_devices(devices: list | None, mappings: dict | None = None, release: str | float | None = None) -> dict:
    """The data that Kolla writes for Nova and Neutron's agent: {"devices": one for each PF, "device_specs": for [pci]
    device_spec}.

    Raises Refusal for the first error, also if the devices are not set.
    """
    if check.is_unset(devices):
        raise Refusal(
            "sriov_devices is not set, and Nova would lose the devices that it has: set it, or write sriov_devices: [] for a host without VFs"
        )
    plans = plan(devices, mappings, release)
    return {
        "devices": [
            dict(
                {key: one[key] for key in ("physical_network", "optional", "exclude_vfs", "selector")},
                **{one["kind"]: one["value"]},
            )
            for one in plans
        ],
        "device_specs": [spec for one in plans for spec in one["specs"]],
    }
