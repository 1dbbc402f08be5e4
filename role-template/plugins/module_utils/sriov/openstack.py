# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Nova and Neutron's SR-IOV agent are told of a host's PFs, from sriov_devices and sriov_physnet_mappings.

The filters call it where Kayobe has the variables, the module sriov_devices on the host, where the hardware can be asked
too: there is one implementation of every rule. Nothing here reads or writes anything.

Nova's side is nova/pci/devspec.py and nova/pci/utils.py; test/python/nova_corpus holds that program's own answers.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import re

from . import check, selector
from .errors import Refusal

ANY = "*"
FIELDS = ("domain", "bus", "slot", "function")
# The greatest value of each field, and how Nova writes it (MAX_DOMAIN and its neighbours in devspec.py).
LIMITS = {"domain": (0xFFFF, "%04x"), "bus": (0xFF, "%02x"), "slot": (0x1F, "%02x"), "function": (0x7, "%1x")}
IDS = ("vendor_id", "product_id")
NAMING = ("devname", "address") + IDS
# Nova's major version that a tag of device_spec came with: `git tag --contains` of its commit.
TAGS = {
    "trusted": 18, "remote_managed": 25, "resource_class": 26, "traits": 26, "managed": 31, "live_migratable": 31,
    "one_time_use": 32,
}
TEXT_TAGS = ("resource_class", "traits")
# The option was passthrough_whitelist before.
DEVICE_SPEC_SINCE = 26
# Releases with a name only; later ones have a year and a number too, see nova_of.
NAMED_RELEASES = {
    "ocata": 15, "pike": 16, "queens": 17, "rocky": 18, "stein": 19, "train": 20, "ussuri": 21, "victoria": 22, "wallaby": 23,
    "xena": 24, "yoga": 25, "zed": 26, "antelope": 27, "bobcat": 28, "caracal": 29, "dalmatian": 30, "epoxy": 31, "flamingo": 32,
    "gazpacho": 33,
}
NUMBERED_RELEASE = re.compile(r"^(20[0-9][0-9])\.([12])\Z")
# Physical networks stand in comma separated lists of NETWORK:INTERFACE.
NETWORK_NAME = re.compile(r"^[^\s,:;]+\Z")
VFS_TOLD = 4
WIDE_DOMAIN = "Nova takes no PCI domain of more than 16 bits"
# Every value that a field of an address can have; of domains, enough to tell one from all.
POSSIBLE = {
    "domain": ["%04x" % number for number in (0, 1, 2, 0x10, 0x100, 0x1000, 0x7ABC, 0xFFFF)],
    "bus": ["%02x" % number for number in range(0x100)],
    "slot": ["%02x" % number for number in range(0x20)],
    "function": ["%x" % number for number in range(8)],
}


# --- releases -----------------------------------------------------------------------------------------------------


def nova_of(release):
    """Nova's major version in an OpenStack release ("2025.1", "zed", "master"); None for the newest.

    Raises Refusal for what is no release.
    """
    # Unquoted, 2025.1 is a number, and as text the same again.
    name = "" if release is None else str(release).strip().lower()
    if name in ("", "master"):
        return None
    if name in NAMED_RELEASES:
        return NAMED_RELEASES[name]
    match = NUMBERED_RELEASE.match(name)
    if re.match(r"^[0-9]{4}\.[0-9]+\Z", name) and (not match or name < "2022.1"):
        raise Refusal("sriov_openstack_release is %s, and there is no such release: a year has two, as 2025.1 and 2025.2, and those "
                            "before 2022.1 have names" % name)
    if not match:
        raise Refusal('sriov_openstack_release is %s: %s' % (check.shown(release), check.did_you_mean(
            name if isinstance(release, str) else "", NAMED_RELEASES, 'write it as "2025.1", as "zed", or as "master"')))
    return 25 + (int(match.group(1)) - 2022) * 2 + int(match.group(2)) - 1


def device_option(release):
    """What Nova's option [pci] device_spec is called in a release."""
    nova = nova_of(release)
    return "device_spec" if nova is None or nova >= DEVICE_SPEC_SINCE else "passthrough_whitelist"


# --- Nova's matching ----------------------------------------------------------------------------------------------


def glob_fields(address):
    """An address with wildcards as Nova reads it: {field: value or "*"}. Raises ValueError for what Nova does not take."""
    parts, _dot, function = address.partition(".")
    front = parts.split(":") if parts else []
    if len(front) > 3:
        raise ValueError("more than domain, bus and slot before the dot")
    # Nova fills up from the left: "3b:00.0" has any domain, ":00." any domain and bus.
    values = [ANY] * (3 - len(front)) + [part.strip() or ANY for part in front] + [function.strip() if function else ANY]
    fields = {}
    for field, value in zip(FIELDS, values):
        limit, form = LIMITS[field]
        if value != ANY:
            try:
                number = int(value, 16)
            except ValueError:
                raise ValueError("%s %r is neither hexadecimal nor *" % (field, value)) from None
            if number > limit:
                raise ValueError("%s %s is greater than %X" % (field, value, limit))
            value = form % number
        fields[field] = value
    return fields


def fields_of(address):
    """The fields of a whole address, as the kernel writes it; None for a domain of more than 16 bits, which Nova leaves aside."""
    front, _dot, function = address.partition(".")
    domain, bus, slot = front.split(":")
    return {"domain": domain, "bus": bus, "slot": slot, "function": function} if len(domain) == 4 else None


def takes_address(wanted, address):
    """Whether an address is one of those that `address` of a device_spec means, itself and not by its PF."""
    fields = fields_of(address)
    if fields is None:
        return False
    if isinstance(wanted, dict):
        # re.match: the beginning of a field is enough.
        return all(re.match(wanted.get(field, ".*"), fields[field]) for field in FIELDS)
    glob = glob_fields(wanted)
    return all(glob[field] in (ANY, fields[field]) for field in FIELDS)


def single_address(wanted):
    """The one address that `address` of a device_spec names, or None. Only by one does a PF stand for its VFs."""
    fields = {field: wanted.get(field, ".*") for field in FIELDS} if isinstance(wanted, dict) else glob_fields(wanted)
    if not all(re.match(r"^[0-9A-Fa-f]+$", fields[field]) for field in FIELDS):
        return None
    return "%s:%s:%s.%s" % tuple(fields[field] for field in FIELDS)


def takes(spec, function):
    """Whether Nova offers a PCI function to guests because of a device_spec.

    function: address; vendor_id and product_id, four hexadecimal digits, None where they are not known, which counts as
    a match; parent_addr, of the PF of a VF, otherwise None; names and parent_names, the interfaces of both.
    The serial number that Nova asks of a card behind remote_managed is left out.
    Raises ValueError for a device_spec with which nova-compute does not start.
    """
    if spec.get("devname"):
        if spec.get("address"):
            raise ValueError("both devname and address")
        named_so = spec["devname"] in function["names"] or spec["devname"] in function["parent_names"]
        if named_so and fields_of(function["address"]) is None:
            raise ValueError(WIDE_DOMAIN)
    else:
        address = spec.get("address") or "*:*:*.*"
        named_so = takes_address(address, function["address"]) or (
            function["parent_addr"] is not None and single_address(address) == function["parent_addr"]
            and fields_of(function["parent_addr"]) is not None)
    wanted = {key: spec.get(key, ANY).strip() for key in IDS}
    return named_so and all(
        wanted[key] == ANY or function[key] is None or "%04x" % int(wanted[key], 16) == function[key] for key in IDS)


# --- what the variables say ---------------------------------------------------------------------------------------


def checked_network(value, where, name="physical_network"):
    """The name of a physical network. Raises Refusal for what can be none."""
    if not isinstance(value, str) or check.NO_TEXT.search(value):
        raise Refusal('%s: %s is %s: name the physical network, as in %s: "physnet2"' % (where, name, check.shown(value), name))
    network = value.strip()
    if not network:
        raise Refusal("%s: %s is empty: name the physical network, as in %s: physnet2" % (where, name, name))
    if not NETWORK_NAME.match(network):
        raise Refusal("%s: %s %r has a space, comma, colon or semicolon, which Neutron's lists cannot hold: correct it" % (
            where, name, network))
    return network


def checked_mappings(mappings):
    """sriov_physnet_mappings with PCI addresses in full: {device: (physical network, the key as written)}."""
    if mappings is None:
        return {}
    if not isinstance(mappings, dict):
        raise Refusal("sriov_physnet_mappings is %s: give a dictionary, as in {ens1f0: physnet2}" % check.shown(mappings))
    checked = {}
    for key, value in mappings.items():
        if not isinstance(key, str):
            raise Refusal('sriov_physnet_mappings has %s, which YAML has read as a number: put it in quotes, as in "0000:3b:00.0"'
                                % check.shown(key))
        device = selector.pci_address(key) or key.strip()
        if looks_like_mac(device) or not selector.ORDINARY_NAME.match(device):
            raise Refusal('sriov_physnet_mappings has %r: name an interface, as in ens1f0, or its PCI address, as in "0000:3b:00.0"'
                                % key)
        network = checked_network(value, "sriov_physnet_mappings", key)
        if checked.get(device, (network,))[0] != network:
            raise Refusal("sriov_physnet_mappings: %s and %s are one device and have two physical networks: keep one of them" % (
                checked[device][1], key))
        checked[device] = (network, key)
    return checked


def looks_like_mac(text):
    """Whether something is written as a MAC address is, or as the first half of one, with or without wildcards."""
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
        raise Refusal('%s: nova.%s %r is not four hexadecimal digits: write it as "%s"' % (where, key, value, selector.QUOTE[key]))
    return digits[-4:]


def checked_devname(value, where):
    """nova.devname. Raises Refusal for what is no name of an interface."""
    if not isinstance(value, str):
        raise Refusal(selector.read_as_number(where, "nova.devname", value, selector.QUOTE["name"]))
    name = value.strip()
    if looks_like_mac(name) or not selector.ORDINARY_NAME.match(name):
        raise Refusal("%s: nova.devname %r is no name of an interface: write it as ens1f0" % (where, value))
    return name


def checked_expressions(address, where):
    """nova.address with an expression for each field. Raises Refusal for one that Nova would misread or not take."""
    unknown = sorted(str(key) for key in address if key not in FIELDS)
    if unknown:
        raise Refusal("%s: nova.address has %s, which Nova would not look at: its fields are %s" % (
            where, ", ".join(unknown), ", ".join(FIELDS)))
    for field, expression in address.items():
        if not isinstance(expression, str):
            raise Refusal(selector.read_as_number(where, "nova.address." + field, expression, "02" if field != "function" else "[0-3]"))
        try:
            compiled = re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise Refusal("%s: nova.address.%s %r is no regular expression (%s): correct it" % (
                where, field, expression, error)) from None
        if not any(compiled.match(value) for value in POSSIBLE[field]) and field != "domain":
            raise Refusal("%s: nova.address.%s %r fits no %s, which are lower-case hexadecimal, %s to %s: correct it" % (
                where, field, expression, field, POSSIBLE[field][0], POSSIBLE[field][-1]))
    return dict(address)


def checked_glob(address, where):
    """nova.address as text, exact or with "*". Raises Refusal for what Nova would misread or not take."""
    if looks_like_mac(address):
        raise Refusal('%s: nova.address %r looks like a MAC address, of which Nova would make a PCI address: use the PCI '
                            'address, as in address: "0000:3b:02.*"' % (where, address))
    try:
        glob_fields(address)
    except ValueError as error:
        raise Refusal('%s: nova.address %r is no PCI address (%s): write each field in full or as *, as in "0000:3b:02.*"' % (
            where, address, error)) from None
    return address.strip()


def means_every_device(address):
    """Whether `address` of a device_spec leaves nothing out."""
    if isinstance(address, dict):
        return all(re.match(address.get(field, ".*"), value) for field in FIELDS for value in POSSIBLE[field])
    return all(value == ANY for value in glob_fields(address).values())


def checked_addresses(given, where):
    """nova.address as a list of what each device_spec gets. Raises Refusal for what would take every device, or none."""
    addresses = []
    for address in given if isinstance(given, list) else [given]:
        if isinstance(address, dict):
            addresses.append(checked_expressions(address, where))
        elif isinstance(address, str):
            addresses.append(checked_glob(address, where))
        elif isinstance(address, (int, float)):
            raise Refusal(selector.read_as_number(where, "nova.address", address, "0000:3b:02.*"))
        else:
            raise Refusal("%s: nova.address is %r: give an address, expressions for its fields, or a list of those" % (where, given))
    if not addresses or any(means_every_device(address) for address in addresses):
        raise Refusal('%s: nova.address %r would give guests every PCI device of the host: narrow it down, as in "0000:3b:02.*"' % (
            where, given))
    return addresses


def checked_text_tag(value, key, where):
    """nova.resource_class or nova.traits as Nova takes it: text, traits separated by commas."""
    words = value if key == "traits" and isinstance(value, list) else [value]
    if not words or not all(isinstance(word, str) and word.strip() and not check.NO_TEXT.search(word) for word in words):
        raise Refusal("%s: nova.%s is %r: give %s" % (
            where, key, value, "a name or a list of names" if key == "traits" else "a name"))
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
            raise Refusal("%s: nova.%s needs Nova %d, and %s has Nova %d, which would take it for a tag of yours: remove it" % (
                where, key, since, release, nova))
    return tags


def checked_specs(entry, kind, value, where, network, release):
    """The device_specs of one entry, each a dictionary that json can write.

    Raises Refusal for what Nova would refuse or take to mean something else.
    """
    given = {key: wish for key, wish in (entry.get("nova") or {}).items() if wish is not None}
    if "devname" in given and "address" in given:
        raise Refusal("%s: nova has both devname and address, which Nova refuses: keep one of them" % where)
    ids = {key: checked_id(given[key], key, where) for key in IDS if key in given}
    ids = {key: digits for key, digits in ids.items() if digits != ANY}
    if "address" in given:
        namings = [{"address": address} for address in checked_addresses(given["address"], where)]
    elif "devname" in given:
        namings = [{"devname": checked_devname(given["devname"], where)}]
    elif any(key in given for key in IDS):
        missing = [key for key in IDS if key not in ids]
        if missing:
            raise Refusal("%s: nova needs %s, or an address, for guests not to be given devices of other kinds" % (
                where, " and ".join(missing)))
        namings = [{}]
    else:
        namings = [{"devname" if kind == "name" else "address": value}]
    tags = checked_tags(given, where, release)
    specs = [dict(naming, **dict(ids, physical_network=network, **tags)) for naming in namings]
    if tags.get("remote_managed") == "true" and any(stands_for_pf(spec, kind, value) for spec in specs):
        raise Refusal("%s: nova.remote_managed is for VFs, and nova-compute does not start when it is said of a PF: name the VFs by "
                            "nova.address, or by nova.vendor_id and nova.product_id" % where)
    return specs


def stands_for_pf(spec, kind, value):
    """Whether a device_spec names the PF that the selector chooses, and with it all of its VFs."""
    if "devname" in spec:
        return kind != "name" or spec["devname"] == value
    return kind == "address" and "address" in spec and single_address(spec["address"]) == value


def checked_exclusions(entry, where):
    """exclude_vfs as PCI addresses in full. Raises Refusal for what is none."""
    addresses = []
    for item in check.words(entry.get("exclude_vfs")):
        if not isinstance(item, str):
            raise Refusal('%s: exclude_vfs has %r, which YAML has read as a number: put it in quotes, as in "0000:3b:02.0"' % (
                where, item))
        address = selector.pci_address(item)
        if address is None:
            raise Refusal('%s: exclude_vfs has %r, which is no PCI address of a VF: write it as "0000:3b:02.0"' % (where, item))
        addresses.append(address)
    return addresses


def refuse_excluded(one):
    """Raise Refusal when a device_spec takes a VF that is to be left alone, as far as that shows without the host.

    Not for the device_specs of other entries: the ports of a ConnectX-3 leave each other's VFs alone.
    """
    for address in one["exclude_vfs"]:
        vf = {"address": address, "vendor_id": None, "product_id": None, "parent_addr": None, "names": [], "parent_names": []}
        for spec in one["specs"]:
            if "devname" in spec or stands_for_pf(spec, one["kind"], one["value"]) or takes(spec, vf):
                raise Refusal(
                    '%s: exclude_vfs has %s, and Nova gives it to guests by %s: write nova.address as a list of the VFs left, as in '
                    '["0000:3b:02.1", "0000:3b:02.2"]' % (one["selector"], address, named(spec)))


def named(spec):
    """How a device_spec names its devices, in words."""
    return ", ".join("%s %s" % (key, spec[key]) for key in NAMING if key in spec)


def refuse_unknown_mappings(mappings, used, entries, known):
    """Raise Refusal when a key of sriov_physnet_mappings is in no entry, and an entry waits for a physical network.

    One that is in no entry is meant for other hosts, unless it may be a mistyped one of this host's.
    entries: (entry, kind, where, physical network or None).
    """
    unknown = [key for device, (_network, key) in mappings.items() if device not in used]
    waiting = [
        where for entry, kind, where, network in entries
        if network is None and kind in ("name", "address") and "physical_network" not in entry
    ]
    if unknown and waiting:
        raise Refusal(
            "sriov_physnet_mappings has %s, which %s in no entry of sriov_devices, and %s has no physical network: correct the one, or write "
            "physical_network: null at the other when OpenStack is to leave it alone%s" % (
                ", ".join(unknown), "is" if len(unknown) == 1 else "are", waiting[0], "; " + known if known else ""))


def refuse_selector(kind, where, chosen):
    """Raise Refusal for a physical network at a selector that neither Nova nor the agent knows."""
    if kind in ("name", "address"):
        return
    key = "vendor_id with product_id" if kind == "id" else kind
    reason = ", and Nova reads a MAC address as a PCI address" if kind == "mac" else ""
    instead = ", ".join('address: "%s"%s' % (pf["address"], " (%s)" % ", ".join(pf["netdevs"]) if pf["netdevs"] else "") for pf in chosen)
    raise Refusal("%s: Nova and Neutron's agent cannot choose by %s%s: for physical_network use %s" % (
        where, key, reason, instead or "name or address"))


def plan(devices, mappings=None, release=None, chosen=None, known=""):
    """What follows from each entry of sriov_devices that has a physical network.

    devices, mappings, release: sriov_devices, sriov_physnet_mappings and sriov_openstack_release.
    chosen: on the host, the PFs that each entry chooses, each with address and netdevs. known: the PFs of the host, in words.
    Returns a list of dicts: index, kind, value and selector of the entry, physical_network, optional, exclude_vfs, specs, nova (the
    keys given there). Raises Refusal for the first thing that is wrong.
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
                raise Refusal("%s: physical_network is %s and sriov_physnet_mappings says %s: keep one of them" % (where, network, mapped))
            network = mapped
        if kind in ("name", "address"):
            before, network_before = where_of.setdefault((kind, value), (where, network))
            if before != where and (network or network_before):
                raise Refusal("%s and %s choose the same device: keep one of them" % (before, where))
        entries.append((entry, kind, value, where, network))
    refuse_unknown_mappings(
        networks, used, [(entry, kind, where, network) for entry, kind, _value, where, network in entries], known)
    plans = []
    for index, (entry, kind, value, where, network) in enumerate(entries):
        if network is None:
            for key in ("nova", "exclude_vfs"):
                if entry.get(key):
                    raise Refusal("%s has %s and no physical network: give it physical_network, or remove %s" % (where, key, key))
            continue
        refuse_selector(kind, where, chosen[index] if chosen else [])
        plans.append({
            "index": index, "kind": kind, "value": value, "selector": where, "physical_network": network,
            "optional": bool(check.truth(entry.get("optional"))),
            "exclude_vfs": checked_exclusions(entry, where),
            "specs": checked_specs(entry, kind, value, where, network, release),
            "nova": sorted(key for key, wish in (entry.get("nova") or {}).items() if wish is not None),
        })
    for one in plans:
        refuse_excluded(one)
    return plans


def openstack_devices(devices, mappings=None, release=None):
    """What Kolla writes for Nova and Neutron's agent: {"devices": one for each PF, "device_specs": for [pci] device_spec}.

    Raises Refusal for the first thing that is wrong, which devices that are not set are too.
    """
    if check.is_unset(devices):
        raise Refusal("sriov_devices is not set, and Nova would lose the devices that it has: set it, or write sriov_devices: [] for a "
                            "host without VFs")
    plans = plan(devices, mappings, release)
    return {
        "devices": [
            dict({key: one[key] for key in ("physical_network", "optional", "exclude_vfs", "selector")}, **{one["kind"]: one["value"]})
            for one in plans
        ],
        "device_specs": [spec for one in plans for spec in one["specs"]],
    }


# --- against the hardware -----------------------------------------------------------------------------------------


def refuse_other_names(mappings, choices, selectors):
    """Raise Refusal when sriov_physnet_mappings has a PF by another name than the entry that chooses it.

    mappings: as written. choices: selector, physical_network (or None), pf (address, netdevs) and altnames of each PF chosen.
    selectors: the values of all selectors.
    """
    networks = checked_mappings(mappings)
    for choice in choices:
        pf = choice["pf"]
        for device in [pf["address"]] + pf["netdevs"] + choice["altnames"]:
            if device in networks and device not in selectors and networks[device][0] != choice["physical_network"]:
                raise Refusal('%s chooses %s, for which sriov_physnet_mappings has %s by the name of %s: write physical_network: %s '
                                    'at the one that is right, and choose by name or address' % (
                                        choice["selector"], describe({"address": pf["address"], "names": pf["netdevs"]}),
                                        networks[device][0], networks[device][1], networks[device][0]))


def vf_address(pf_address, offset, stride, index):
    """The address that a VF has, or will have.

    Its routing id is that of the PF, and sriov_offset, and sriov_stride for each VF before it
    (Documentation/ABI/testing/sysfs-bus-pci; pci_iov_virtfn_bus() in drivers/pci/iov.c).
    """
    domain, bus, device = pf_address.split(":")
    slot, function = device.split(".")
    routing = (int(bus, 16) << 8 | int(slot, 16) << 3 | int(function, 16)) + offset + stride * index
    return "%s:%02x:%02x.%x" % (domain, routing >> 8, routing >> 3 & 0x1F, routing & 0x7)


def vf_addresses(pf, count):
    """The addresses of the first VFs of a PF: those that are there, then those that will be; None when that cannot be known."""
    there = pf["vfs"][:count]
    offset, stride = pf["offset"], pf["stride"]
    if len(there) == count:
        return there
    # A device may say 0 until it is told how many VFs it shall have (PCI Express, First VF Offset and VF Stride).
    if not offset or count > 1 and not stride:
        return None
    return there + [vf_address(pf["address"], offset, stride or 0, index) for index in range(len(there), count)]


def vfs_in_words(addresses):
    """The VFs' addresses for a message, the first of them when there are many."""
    if not addresses:
        return "none yet"
    return ", ".join(addresses[:VFS_TOLD]) + (" and %d more" % (len(addresses) - VFS_TOLD) if len(addresses) > VFS_TOLD else "")


def describe(function):
    """A function in a few words: "ens1 (0000:01:00.0)", or its address alone when it has no interface."""
    return "%s (%s)" % (", ".join(function["names"]), function["address"]) if function["names"] else function["address"]


def check_hardware(choices, functions):
    """Raise Refusal for what Nova or Neutron's agent would not understand on this host, or not as it is meant.

    choices: one for each PF chosen, with plan, of no physical network for those that OpenStack leaves alone; pf, None for an entry that
    chooses nothing here, otherwise with address, names, vendor_id, product_id, driver, vf_product_id, offset,
    stride, totalvfs (None where the kernel says none) and vfs; numvfs; first, the number of its first VF (other than 0 for the
    second port of a ConnectX-3); later, whether the PF is not yet what it will be after a reboot.
    functions: every PCI function of the host, as of takes().
    """
    present = [choice for choice in choices if choice["pf"]]
    for choice in present:
        if choice["plan"]["physical_network"]:
            check_names(choice)
            check_ids(choice)
    owners, excluded = owners_of(present, functions), {}
    for choice in present:
        check_exclusions(choice, functions)
        # What a port of a ConnectX-3 leaves to the other one is that one's to give away.
        excluded.update({
            address: choice["plan"]["selector"] for address in choice["plan"]["exclude_vfs"]
            if address not in owners or owners[address][1] == choice["plan"]["physical_network"]})
    there = {function["address"] for function in functions}
    every = functions + [vf for address, (vf, _network) in owners.items() if address not in there]
    for choice in choices:
        for spec in choice["plan"]["specs"]:
            if choice["pf"]:
                check_spec(spec, choice, every, owners, excluded)
            else:
                check_absent(spec, choice["plan"], every, owners)


def check_names(choice):
    """The interface by which Neutron's agent, and Nova where it goes by name, know the PF."""
    one, pf = choice["plan"], choice["pf"]
    where, names = one["selector"], pf["names"]
    if fields_of(pf["address"]) is None:
        raise Refusal("%s: %s, which %s has: turn VMD off for its slot in the BIOS, or remove physical_network" % (
            where, WIDE_DOMAIN, describe(pf)))
    if one["kind"] == "name" and one["value"] not in names:
        raise Refusal("%s: %s is an alternative name, and Nova and Neutron's agent know an interface by its own: write name: %s" % (
            where, one["value"], names[0]))
    if one["kind"] == "address" and len(names) > 1:
        raise Refusal("%s: %s are both on this address, and Neutron's agent needs one of them: choose by name, as in name: %s" % (
            where, " and ".join(names), names[0]))
    if not names and not choice["later"]:
        raise Refusal("%s: %s has no network interface (driver %s), and Neutron's agent needs one: give it back to the driver of the "
                            "NIC, or remove physical_network" % (where, pf["address"], pf["driver"] or "none"))


def check_ids(choice):
    """Ids in `nova` are those of the VFs: Nova looks at the function that it gives away, not at its PF."""
    one, pf = choice["plan"], choice["pf"]
    if pf["vf_product_id"] is None:
        return
    right = {"vendor_id": pf["vendor_id"], "product_id": pf["vf_product_id"]}
    for spec in one["specs"]:
        for key in IDS:
            if spec.get(key, right[key]) != right[key]:
                raise Refusal('%s: nova.%s %s is %s, and the VFs of %s have vendor_id: "%s" and product_id: "%s": write those' % (
                    one["selector"], key, spec[key], "that of the PF" if spec[key] == pf[key] else "another device's", describe(pf),
                    right["vendor_id"], right["product_id"]))


def wanted_vfs(choice):
    """The addresses of the VFs that a choice will have, those excluded too; None when that cannot be known."""
    addresses = vf_addresses(choice["pf"], choice["first"] + choice["numvfs"])
    return None if addresses is None else addresses[choice["first"]:]


def owners_of(choices, functions):
    """The PFs chosen and their VFs, those to come too: {address: (function, physical network or None)}."""
    owners = {}
    known = {function["address"]: function for function in functions}
    # The VFs of a second port come after those of the first.
    for choice in sorted(choices, key=lambda choice: choice["first"]):
        pf, network = choice["pf"], choice["plan"]["physical_network"]
        if choice["first"] == 0:
            owners[pf["address"]] = (known[pf["address"]], network)
        for address in pf["vfs"][choice["first"]:] + (wanted_vfs(choice) or []):
            coming = {
                "address": address, "vendor_id": pf["vendor_id"], "product_id": pf["vf_product_id"], "parent_addr": pf["address"],
                "names": [], "parent_names": pf["names"],
            }
            owners[address] = (known.get(address, coming), network)
    return owners


def check_exclusions(choice, functions):
    """What is to be left alone must be a VF of the PF, or it is a typing error."""
    one, pf = choice["plan"], choice["pf"]
    possible = vf_addresses(pf, max(pf["totalvfs"] or 0, choice["first"] + choice["numvfs"]))
    there = {function["address"] for function in functions}
    for address in one["exclude_vfs"]:
        if address in pf["vfs"] or address in (possible or []):
            continue
        if possible is not None or address in there:
            raise Refusal("%s: exclude_vfs has %s, which is no VF of %s: its VFs are %s" % (
                one["selector"], address, describe(pf), vfs_in_words(possible or pf["vfs"])))


def check_absent(spec, one, every, owners):
    """A device_spec of an entry that chooses nothing on this host takes nothing that is not of its physical network."""
    for function in every:
        of = owners[function["address"]][1] if function["address"] in owners else None
        if takes(spec, function) and of != one["physical_network"]:
            raise Refusal("%s chooses nothing on this host, and Nova would give guests %s by %s, which is %s %s: narrow it down in nova" % (
                one["selector"], describe(function), named(spec), "of" if of else "not of", of or one["physical_network"]))


def check_spec(spec, choice, every, owners, excluded):
    """One device_spec takes VFs of its PF, and nothing of another physical network, or of none."""
    one, pf = choice["plan"], choice["pf"]
    where, network = one["selector"], one["physical_network"]
    wanted = wanted_vfs(choice)
    theirs = "the VFs of %s are %s" % (describe(pf), vfs_in_words(wanted if wanted is not None else pf["vfs"]))
    taken = [function for function in every if takes(spec, function)]
    for function in taken:
        address = function["address"]
        if address in excluded:
            raise Refusal("%s: %s takes %s, which exclude_vfs of %s leaves out: write nova.address as a list of the VFs left; %s" % (
                where, named(spec), address, excluded[address], theirs))
        of = owners[address][1] if address in owners else None
        if of != network:
            raise Refusal("%s: %s takes %s too, which is %s %s: narrow it down in nova; %s" % (
                where, named(spec), describe(function), "of" if of else "not of", of or network, theirs))
    if wanted and not {function["address"] for function in taken} & set(wanted):
        raise Refusal("%s: %s takes none of its VFs: correct nova; %s" % (where, named(spec), theirs))
