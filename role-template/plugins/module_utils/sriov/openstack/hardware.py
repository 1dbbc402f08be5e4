# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of Nova and Neutron's agent, checked against the PFs and VFs of a host."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import Refusal
from .nova import IDS, WIDE_DOMAIN, fields_of, named, takes
from .variables import checked_mappings

VFS_SHOWN = 4


def refuse_other_names(mappings: dict | None, choices: list[dict], selectors: Collection[str]) -> None:
    """Raise Refusal when sriov_physnet_mappings contains a PF under another name than its entry.

    mappings: as written. choices: selector, physical_network (or None), pf (address, netdevs) and altnames of each PF
    chosen. selectors: the values of all selectors.
    """
    networks = checked_mappings(mappings)
    for choice in choices:
        pf = choice["pf"]
        for device in [pf["address"]] + pf["netdevs"] + choice["altnames"]:
            if device in networks and device not in selectors and networks[device][0] != choice["physical_network"]:
                raise Refusal(
                    f"{choice['selector']} chooses {describe({'address': pf['address'], 'names': pf['netdevs']})}, for "
                    f"which sriov_physnet_mappings has {networks[device][0]} under the name {networks[device][1]}: write "
                    f"physical_network: {networks[device][0]} in the right entry, and choose by name or "
                    "address"
                )


def vf_address(pf_address, offset, stride, index):
    """The address of an existing or future VF.

    Its routing id is the PF's, plus sriov_offset, plus sriov_stride for each VF before it
    (Documentation/ABI/testing/sysfs-bus-pci; pci_iov_virtfn_bus() in drivers/pci/iov.c).
    """
    domain, bus, device = pf_address.split(":")
    slot, function = device.split(".")
    routing = (int(bus, 16) << 8 | int(slot, 16) << 3 | int(function, 16)) + offset + stride * index
    return f"{domain}:{routing >> 8:02x}:{routing >> 3 & 0x1F:02x}.{routing & 0x7:x}"


def vf_addresses(pf: dict, count: int) -> list[str] | None:
    """The addresses of the first VFs of a PF, existing and then future ones; None if they cannot be known."""
    there = pf["vfs"][:count]
    offset, stride = pf["offset"], pf["stride"]
    if len(there) == count:
        return there
    # A device may show 0 until its number of VFs is set (PCI Express, First VF Offset and VF Stride).
    if not offset or count > 1 and not stride:
        return None
    return there + [vf_address(pf["address"], offset, stride or 0, index) for index in range(len(there), count)]


def vfs_in_words(addresses):
    """The addresses of VFs for a message: only the first ones if there are many."""
    if not addresses:
        return "none yet"
    return ", ".join(addresses[:VFS_SHOWN]) + (
        f" and {len(addresses) - VFS_SHOWN} more" if len(addresses) > VFS_SHOWN else ""
    )


def describe(function: dict) -> str:
    """A function in a few words: "ens1 (0000:01:00.0)", or its address alone when it has no interface."""
    return f"{', '.join(function['names'])} ({function['address']})" if function["names"] else function["address"]


def check_hardware(choices: list[dict], functions: list[dict]) -> None:
    """Raise Refusal for a setting that Nova or Neutron's agent would not understand on this host, or would misread.

    choices: one for each chosen PF, with these keys. plan: without a physical network if OpenStack does not use the PF.
    pf: None for an entry that chooses nothing here, otherwise address, names, vendor_id, product_id, driver,
    vf_product_id, offset, stride, totalvfs (None if the kernel shows none) and vfs. numvfs. first: the number of its
    first VF (not 0 for the second port of a ConnectX-3). later: whether the PF changes with the next reboot.
    functions: every PCI function of the host, see takes().
    """
    present = [choice for choice in choices if choice["pf"]]
    for choice in present:
        if choice["plan"]["physical_network"]:
            check_names(choice)
            check_ids(choice)
    owners, excluded = owners_of(present, functions), {}
    for choice in present:
        check_exclusions(choice, functions)
        # A VF that one port of a ConnectX-3 excludes may belong to the other port.
        excluded.update(
            {
                address: choice["plan"]["selector"]
                for address in choice["plan"]["exclude_vfs"]
                if address not in owners or owners[address][1] == choice["plan"]["physical_network"]
            }
        )
    there = {function["address"] for function in functions}
    every = functions + [vf for address, (vf, _network) in owners.items() if address not in there]
    for choice in choices:
        for spec in choice["plan"]["specs"]:
            if choice["pf"]:
                check_spec(spec, choice, every, owners, excluded)
            else:
                check_absent(spec, choice["plan"], every, owners)


def check_names(choice):
    """Check the interface name by which Neutron's agent, and Nova if it uses names, know the PF."""
    one, pf = choice["plan"], choice["pf"]
    where, names = one["selector"], pf["names"]
    if fields_of(pf["address"]) is None:
        raise Refusal(
            f"{where}: {WIDE_DOMAIN}, which {describe(pf)} has: turn VMD off for its slot in the BIOS, or remove "
            "physical_network"
        )
    if one["kind"] == "name" and one["value"] not in names:
        raise Refusal(
            f"{where}: {one['value']} is an alternative name, but Nova and Neutron's agent know an interface only by "
            f"its own name: write name: {names[0]}"
        )
    if one["kind"] == "address" and len(names) > 1:
        raise Refusal(
            f"{where}: {' and '.join(names)} are both on this address, and Neutron's agent needs one of them: choose "
            f"by name, as in name: {names[0]}"
        )
    if not names and not choice["later"]:
        raise Refusal(
            f"{where}: {pf['address']} has no network interface (driver {pf['driver'] or 'none'}), and Neutron's agent "
            "needs one: bind it to the NIC's own driver again, or remove physical_network"
        )


def check_ids(choice):
    """Check the ids in `nova`: Nova compares them with the function that it gives to a guest, not with its PF."""
    one, pf = choice["plan"], choice["pf"]
    if pf["vf_product_id"] is None:
        return
    right = {"vendor_id": pf["vendor_id"], "product_id": pf["vf_product_id"]}
    for spec in one["specs"]:
        for key in IDS:
            if spec.get(key, right[key]) != right[key]:
                raise Refusal(
                    '%s: nova.%s %s is %s, and the VFs of %s have vendor_id: "%s" and product_id: "%s": write those'
                    % (
                        one["selector"],
                        key,
                        spec[key],
                        "that of the PF" if spec[key] == pf[key] else "another device's",
                        describe(pf),
                        right["vendor_id"],
                        right["product_id"],
                    )
                )


def wanted_vfs(choice):
    """The addresses of the VFs that a choice will have, excluded ones too; None if they cannot be known."""
    addresses = vf_addresses(choice["pf"], choice["first"] + choice["numvfs"])
    return None if addresses is None else addresses[choice["first"] :]


def owners_of(choices, functions):
    """The chosen PFs and their VFs, future VFs too: {address: (function, physical network or None)}."""
    owners = {}
    known = {function["address"]: function for function in functions}
    # The VFs of a second port come after those of the first.
    for choice in sorted(choices, key=lambda choice: choice["first"]):
        pf, network = choice["pf"], choice["plan"]["physical_network"]
        if choice["first"] == 0:
            owners[pf["address"]] = (known[pf["address"]], network)
        for address in pf["vfs"][choice["first"] :] + (wanted_vfs(choice) or []):
            coming = {
                "address": address,
                "vendor_id": pf["vendor_id"],
                "product_id": pf["vf_product_id"],
                "parent_addr": pf["address"],
                "names": [],
                "parent_names": pf["names"],
            }
            owners[address] = (known.get(address, coming), network)
    return owners


def check_exclusions(choice, functions):
    """Raise Refusal when an excluded address is not a VF of the PF: that is a typing error."""
    one, pf = choice["plan"], choice["pf"]
    possible = vf_addresses(pf, max(pf["totalvfs"] or 0, choice["first"] + choice["numvfs"]))
    there = {function["address"] for function in functions}
    for address in one["exclude_vfs"]:
        if address in pf["vfs"] or address in (possible or []):
            continue
        if possible is not None or address in there:
            raise Refusal(
                f"{one['selector']}: exclude_vfs has {address}, which is not a VF of {describe(pf)}: its VFs are "
                f"{vfs_in_words(possible or pf['vfs'])}"
            )


def check_absent(spec, one, every, owners):
    """Raise Refusal when a device_spec of an entry without a PF on this host matches a function of another network."""
    for function in every:
        of = owners[function["address"]][1] if function["address"] in owners else None
        if takes(spec, function) and of != one["physical_network"]:
            raise Refusal(
                f"{one['selector']} chooses nothing on this host, and Nova would give guests {describe(function)} by "
                f"{named(spec)}, which is {'of' if of else 'not of'} {of or one['physical_network']}: narrow it down "
                "in nova"
            )


def check_spec(spec, choice, every, owners, excluded):
    """Raise Refusal when a device_spec matches no VF of its PF, or a function of another network or of none."""
    one, pf = choice["plan"], choice["pf"]
    where, network = one["selector"], one["physical_network"]
    wanted = wanted_vfs(choice)
    theirs = f"the VFs of {describe(pf)} are {vfs_in_words(wanted if wanted is not None else pf['vfs'])}"
    taken = [function for function in every if takes(spec, function)]
    for function in taken:
        address = function["address"]
        if address in excluded:
            raise Refusal(
                f"{where}: {named(spec)} matches {address}, which exclude_vfs of {excluded[address]} excludes: write nova.address "
                f"as a list of the remaining VFs; {theirs}"
            )
        of = owners[address][1] if address in owners else None
        if of != network:
            raise Refusal(
                f"{where}: {named(spec)} also matches {describe(function)}, which is {'of' if of else 'not of'} "
                f"{of or network}: narrow it down in nova; {theirs}"
            )
    if wanted and not {function["address"] for function in taken} & set(wanted):
        raise Refusal(f"{where}: {named(spec)} matches none of its VFs: correct nova; {theirs}")
