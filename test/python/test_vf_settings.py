# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of PFs and VFs in sriov_devices: what the host program gets of them, and what is refused before anything
changes.
"""

import pytest
import yaml
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import devices as sriov_devices
from parts import program as host

A0, A1, B0, C0, D0 = "0000:01:00.0", "0000:01:00.1", "0000:3b:00.0", "0000:00:03.0", "0000:5e:00.0"
WHERE = "sriov_devices[0] (name ens1f0)"
MAC, GUID = "02:00:00:00:00:10", "02:00:00:00:00:00:00:10"


@pytest.fixture(name="nics")
def _nics(fake):
    """Two ports of an 82576, a ConnectX-5, a ConnectX-3, and a NIC without SR-IOV."""
    fake.add_function(A0, "8086:10c9", "igb", ["ens1f0"], totalvfs=7)
    fake.add_function(A1, "8086:10c9", "igb", ["ens1f1"], totalvfs=7)
    fake.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"], totalvfs=16)
    fake.add_function(C0, "8086:100e", "e1000", ["mgmt"])
    fake.add_function(D0, "15b3:1003", "mlx4_core", ["ens3"], totalvfs=8)
    fake.answer(
        "ip -d -j link show",
        [
            {"ifname": "ens1f0", "address": "02:00:00:00:00:a0"},
            # A bond gives its ports one address; each keeps its own as the permanent one.
            {"ifname": "ens1f1", "address": "02:00:00:00:00:99", "permaddr": "02:00:00:00:00:A1"},
            {"ifname": "ens2", "address": "02:00:00:00:00:b0"},
            {"ifname": "mgmt", "address": "02:00:00:00:00:c0"},
            {"ifname": "bond0", "address": "02:00:00:00:00:77"},
        ],
    )
    fake.add_netdev("bond0", lowers=["ens1f1"])
    return fake


def select(*entries, numvfs=7, mappings=None):
    return sriov_devices.select(
        {
            "devices": list(entries),
            "numvfs": numvfs,
            "numvfs_driver": "systemd",
            "numvfs_required_by": [],
            "firmware": False,
            "mellanox_vendor_ids": [],
            "physnet_mappings": mappings,
            "openstack_release": None,
        }
    )


def found(*items, **keys):
    """What the device of an entry with these items has in addition to its number of VFs."""
    entry = dict({"name": "ens1f0"}, **keys)
    if items:
        entry["vfs"] = list(items)
    [device] = select(entry)
    return {key: device[key] for key in ("up", "autoprobe", "vfs", "left_alone") if key in device}


def refusal(*entries, **more):
    with pytest.raises(host.Refusal) as caught:
        select(*entries, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused(*items, **keys):
    """The refusal of an entry with these items, without the entry's name."""
    text = refusal(dict({"name": "ens1f0", "vfs": list(items)}, **keys))
    assert text.startswith(WHERE)
    return text[len(WHERE) :]


def link(fake, netdev, number):
    """Give an interface a type, as in include/uapi/linux/if_arp.h."""
    (fake.netdev(netdev) / "type").write_text("%d\n" % number)


# --- what the host program gets


@pytest.mark.parametrize(
    "keys, want",
    [
        ({}, {}),
        ({"up": True}, {"up": True}),
        ({"up": "yes"}, {"up": True}),
        ({"up": False}, {}),
        ({"up": None, "drivers_autoprobe": None, "vfs": None, "expect": None}, {}),
        ({"vfs": []}, {}),
        ({"drivers_autoprobe": True}, {"autoprobe": True}),
        ({"drivers_autoprobe": "no"}, {"autoprobe": False, "left_alone": "all"}),
    ],
)
def test_a_pf_has_what_its_entry_names(nics, keys, want):
    assert found(**keys) == want


def test_every_setting_is_named_as_the_host_program_has_it(nics):
    item = {
        "vf": 0,
        "mac": "02-00-00-00-AB-10",
        "vlan": "100",
        "qos": 3,
        "vlan_proto": "802.1q",
        "spoofchk": "off",
        "trust": True,
        "driver": "vfio-pci",
    }
    assert found(item) == {
        "vfs": [
            {
                "vf": 0,
                "mac": "02:00:00:00:ab:10",
                "vlan": 100,
                "qos": 3,
                "proto": "802.1q",
                "spoofchk": False,
                "trust": True,
                "driver": "vfio-pci",
            }
        ],
        "left_alone": [0],
    }


def test_link_state_and_802_1ad_are_for_drivers_that_may_support_them(nics):
    [device] = select(
        {"name": "ens2", "vfs": [{"vf": 1, "link_state": "enable", "vlan": 0, "qos": 1, "vlan_proto": "802.1ad"}]}
    )
    assert device["vfs"] == [{"vf": 1, "vlan": 0, "qos": 1, "proto": "802.1ad", "state": "enable"}]


@pytest.mark.parametrize(
    "vf, numbers",
    [
        (0, [0]),
        ("6", [6]),
        ("0-2", [0, 1, 2]),
        ("4-", [4, 5, 6]),
        ("6-", [6]),
        ("2-2", [2]),
        ("2,5-6", [2, 5, 6]),
        ("5-6, 2", [2, 5, 6]),
    ],
)
def test_an_item_is_for_the_vfs_that_it_names(nics, vf, numbers):
    assert found({"vf": vf, "trust": True}) == {"vfs": [{"vf": number, "trust": True} for number in numbers]}


def test_a_mac_address_counts_up_in_the_order_of_the_item(nics):
    assert found({"vf": "5-6,2", "mac": "02:00:00:00:00:fe"})["vfs"] == [
        {"vf": 2, "mac": "02:00:00:00:01:00"},
        {"vf": 5, "mac": "02:00:00:00:00:fe"},
        {"vf": 6, "mac": "02:00:00:00:00:ff"},
    ]


def test_guids_count_up(nics):
    link(nics, "ens2", 32)
    items = [{"vf": "0-1", "node_guid": GUID, "port_guid": "02:00:00:00:00:00:00:FF", "link_state": "auto"}]
    assert select({"name": "ens2", "vfs": items})[0]["vfs"] == [
        {"vf": 0, "state": "auto", "node_guid": GUID, "port_guid": "02:00:00:00:00:00:00:ff"},
        {"vf": 1, "state": "auto", "node_guid": GUID[:-2] + "11", "port_guid": "02:00:00:00:00:00:01:00"},
    ]


def test_the_pfs_of_an_entry_have_the_same_settings(nics):
    entry = {"driver": "igb", "vfs": [{"vf": 0, "trust": True}]}
    assert [device["vfs"] for device in select(entry)] == [[{"vf": 0, "trust": True}]] * 2


def test_an_optional_address_has_its_settings_for_the_day_the_card_appears(nics):
    [device] = select({"address": "0000:81:00.0", "optional": True, "up": True, "vfs": [{"vf": 6, "mac": MAC}]})
    assert (device["up"], device["vfs"]) == (True, [{"vf": 6, "mac": MAC}])


# --- VFs that the host's network leaves alone


@pytest.mark.parametrize(
    "items, keys, want",
    [
        ([], {}, None),
        ([{"vf": "0-", "driver": "vfio-pci"}], {}, "all"),
        ([{"vf": "0-1", "driver": "mlx5_vfio_pci"}, {"vf": 3, "driver": "none"}], {}, [0, 1, 3]),
        ([{"vf": 0, "driver": "iavf"}], {}, None),
        ([{"vf": 0, "driver": "vfio-pci", "managed_by_network": True}], {}, None),
        ([{"vf": "1,3", "managed_by_network": False}], {}, [1, 3]),
        ([{"vf": 0, "driver": "iavf"}], {"drivers_autoprobe": False}, "all"),
        ([{"vf": 0, "managed_by_network": "yes"}], {"drivers_autoprobe": False}, [1, 2, 3, 4, 5, 6]),
        ([], {"physical_network": "physnet2"}, "all"),
        ([{"vf": 2, "managed_by_network": True}], {"physical_network": "physnet2"}, [0, 1, 3, 4, 5, 6]),
        ([], {"physical_network": "physnet2", "numvfs": 0}, None),
        ([], {"physical_network": "physnet2", "on_boot_configuration_enabled": False}, None),
    ],
)
def test_the_network_leaves_alone_what_is_for_guests(nics, items, keys, want):
    assert found(*items, **keys).get("left_alone") == want


def test_the_network_may_have_a_vf_that_nova_does_not_get(nics):
    keys = {
        "physical_network": "physnet2",
        "exclude_vfs": [nics.vf(A0, 0), nics.vf(A0, 4)],
        "nova": {"address": [nics.vf(A0, number) for number in (1, 2, 3, 5, 6)]},
    }
    assert found(**keys) == {"left_alone": [1, 2, 3, 5, 6]}
    nics.create(A0, 7)
    assert found(**keys) == {"left_alone": [1, 2, 3, 5, 6]}


def test_a_vf_whose_address_is_not_known_yet_may_be_an_excluded_one(nics):
    (nics.pci(A0) / "sriov_offset").write_text("0\n")
    keys = {"physical_network": "physnet2", "exclude_vfs": ["0000:09:10.0"], "nova": {"address": "0000:01:10.*"}}
    assert found({"vf": 0, "mac": MAC}, **keys) == {"vfs": [{"vf": 0, "mac": MAC}]}


def test_a_mapping_gives_nova_the_vfs_too(nics):
    assert select({"name": "ens1f0"}, mappings={"ens1f0": "physnet2"})[0]["left_alone"] == "all"


def test_an_absent_card_of_nova_is_left_alone_when_it_appears(nics):
    entry = {"address": "0000:81:00.0", "optional": True, "physical_network": "physnet2"}
    assert select(entry)[0]["left_alone"] == "all"


# --- forms


@pytest.mark.parametrize(
    "item, told",
    [
        ({"trust": True}, ': vfs[0] has no vf: name the VFs, as in vf: 0 or vf: "0-3"'),
        (
            {"vf": 0},
            ": vfs[0] has vf and nothing to set: give it a setting, such as mac or driver, or remove it",
        ),
        (
            {"vf": 7, "trust": True},
            ": vfs[0].vf is 7, and there is no VF 7: the number of VFs is 7, and they count from 0",
        ),
        (
            {"vf": "5-9", "trust": True},
            ": vfs[0].vf is '5-9', and there is no VF 9: the number of VFs is 7, and they count from 0",
        ),
        (
            {"vf": "7-", "trust": True},
            ": vfs[0].vf is '7-', and there is no VF 7: the number of VFs is 7, and they count from 0",
        ),
        (
            {"vf": "0-99999", "trust": True},
            ": vfs[0].vf is '0-99999', and there is no VF 99999: the number of VFs is 7, and they count from 0",
        ),
        (
            {"vf": "3-1", "trust": True},
            ': vfs[0].vf is \'3-1\', which ends before it begins: give the numbers of VFs, as in 0, "0-3", "4-" or "2,5-7"',
        ),
        ({"vf": "1-3,2", "trust": True}, ": vfs[0].vf is '1-3,2', which has VF 2 twice: keep it once"),
        ({"vf": 0, "qos": 3}, ": vfs[0] has qos and no vlan: give it vlan, or remove qos"),
        (
            {"vf": 0, "vlan_proto": "802.1ad"},
            ": vfs[0] has vlan_proto and no vlan: give it vlan, or remove vlan_proto",
        ),
        (
            {"vf": 0, "vlan": 0, "qos": "0", "vlan_proto": "802.1q"},
            ": vfs[0] has vlan_proto 802.1q and vlan 0, which means no VLAN: give it a vlan, or remove vlan_proto",
        ),
        (
            {"vf": 0, "mac": "02:00:00:00:00"},
            f": vfs[0].mac is '02:00:00:00:00', which is not a MAC address: write it as \"{MAC}\"",
        ),
        (
            {"vf": 0, "mac": "00:00:00:00:00:00"},
            ": vfs[0].mac is 00:00:00:00:00:00, which stands for no address: write another, or remove it",
        ),
        (
            {"vf": 0, "mac": "33:00:00:00:00:10"},
            f": vfs[0].mac is 33:00:00:00:00:10, which is a multicast address: write one whose second digit is even, as in {MAC}",
        ),
        (
            {"vf": "0-2", "mac": "02:00:00:ff:ff:fe"},
            ": vfs[0].mac is 02:00:00:ff:ff:fe, and its last three bytes cannot count up for 3 VFs: write a lower MAC address",
        ),
        (
            {"vf": 0, "node_guid": MAC},
            f": vfs[0].node_guid is '{MAC}', which is not a GUID: write it as \"{GUID}\"",
        ),
        (
            {"vf": "0-1", "port_guid": "02:00:00:00:00:ff:ff:ff"},
            ": vfs[0].port_guid is 02:00:00:00:00:ff:ff:ff, and its last three bytes cannot count up for 2 VFs: write a lower GUID",
        ),
        (
            {"vf": 0, "driver": "vfio/pci"},
            ": vfs[0].driver is 'vfio/pci', which is not the name of a driver: write it as vfio-pci, or as none",
        ),
    ],
)
def test_a_setting_of_another_form_is_refused(nics, item, told):
    assert refused(item) == told


@pytest.mark.parametrize("vf", [-1, 1.5, True, "", "a", "0-3-5", "-3", "0,", "²", pytest.param(10**5000, id="huge")])
def test_what_is_no_number_of_a_vf_is_refused(nics, vf):
    assert refused({"vf": vf, "trust": True}).endswith(': give the numbers of VFs, as in 0, "0-3", "4-" or "2,5-7"')


@pytest.mark.parametrize(
    "text, told",
    [
        (
            "mac: 12:11:22:33:44:55",
            f'vfs[0].mac is 9478633495, which YAML has read as a number: put it in quotes, as in mac: "{MAC}"',
        ),
        (
            "driver: no",
            'vfs[0].driver is False, which YAML has read as a truth value: put it in quotes, as in driver: "vfio-pci"',
        ),
        ("vlan: 5, vlan_proto: 802.1", "vfs[0].vlan_proto is 802.1: give 802.1q or 802.1ad"),
        ("link_state: on", "vfs[0].link_state is True: give auto or enable or disable"),
    ],
)
def test_what_yaml_reads_as_something_else_is_refused(nics, text, told):
    assert refused(yaml.safe_load("{vf: 0, " + text + "}")) == ": " + told


@pytest.mark.parametrize("text", ["trust: on, spoofchk: off", 'trust: "on", spoofchk: "off"'])
def test_on_and_off_are_truth_values(nics, text):
    assert found(yaml.safe_load("{vf: 0-1, " + text + "}"))["vfs"][1] == {"vf": 1, "trust": True, "spoofchk": False}


def test_a_vf_in_two_items_is_refused_with_both(nics):
    assert refused({"vf": "0-3", "trust": True}, {"vf": 4, "trust": True}, {"vf": "3-", "vlan": 5}) == (
        ": vfs[0] and vfs[2] both have VF 3: keep it in one of them"
    )


@pytest.mark.parametrize(
    "keys, named",
    [
        ({"up": True}, "up"),
        ({"drivers_autoprobe": False}, "drivers_autoprobe"),
        ({"vfs": [{"vf": 0, "trust": True}]}, "vfs"),
        ({"up": True, "vfs": [{"vf": 0, "trust": True}]}, "up and vfs"),
    ],
)
def test_settings_without_vfs_are_refused(nics, keys, named):
    entry = dict({"name": "ens1f0"}, **keys)
    assert refusal(dict(entry, numvfs=0)) == (
        f"{WHERE} has {named}, and its number of VFs is 0: remove {named}, or give it numvfs"
    )
    assert refusal(dict(entry, on_boot_configuration_enabled=False)) == (
        f"{WHERE} has {named}, and on_boot_configuration_enabled is false: the role sets only PFs whose VFs it creates: remove "
        f"{named}, or on_boot_configuration_enabled"
    )


@pytest.mark.parametrize("keys", [{"up": False}, {"drivers_autoprobe": True}, {"vfs": []}])
def test_what_needs_no_vfs_is_taken_without_them(nics, keys):
    assert found(numvfs=0, **keys).get("up") is None


# --- the number of PFs


def test_an_entry_chooses_as_many_pfs_as_expected(nics):
    assert [device["address"] for device in select({"driver": "igb", "expect": "2"})] == [A0, A1]
    assert select({"driver": "ice", "expect": 2, "optional": True}) == []


@pytest.mark.parametrize("optional", [False, True])
def test_another_number_of_pfs_is_refused(nics, optional):
    assert refusal({"driver": "igb", "expect": 4, "optional": optional}) == (
        "sriov_devices[0] (driver igb): expect is 4, and the number of PFs that the entry chooses is 2 (ens1f0 (0000:01:00.0), ens1f1 "
        "(0000:01:00.1)): check that every card is seated and seen by the BIOS, or correct expect"
    )


def test_none_at_all_is_refused_as_without_expect(nics):
    assert "chooses nothing" in refusal({"driver": "ice", "expect": 2})


# --- what a PF cannot have


@pytest.mark.parametrize("key, value", [("mac", MAC), ("node_guid", GUID), ("port_guid", GUID)])
def test_an_address_is_for_the_vfs_of_one_pf(nics, key, value):
    assert refusal({"driver": "igb", "vfs": [{"vf": 0, key: value}]}) == (
        f"sriov_devices[0] (driver igb): vfs[0].{key} is for the VFs of one PF, and the entry chooses 2 (ens1f0 (0000:01:00.0), "
        "ens1f1 (0000:01:00.1)): write an entry for each, by name or address"
    )


@pytest.mark.parametrize(
    "keys", [{"up": True}, {"drivers_autoprobe": False}, {"drivers_autoprobe": True}, {"vfs": [{"vf": 0, "mac": MAC}]}]
)
def test_a_connectx3_is_refused_with_the_reason(nics, keys):
    assert refusal(dict({"name": "ens3"}, **keys)) == (
        "sriov_devices[0] (name ens3): ens3 (0000:5e:00.0) is a ConnectX-3, whose driver creates the VFs itself when it is loaded, so "
        "the role cannot set them first: remove up, drivers_autoprobe and vfs"
    )


@pytest.mark.parametrize(
    "driver, keys, shown",
    [
        ("igb", {"link_state": "enable"}, "link_state enable"),
        ("igb", {"vlan": 5, "vlan_proto": "802.1ad"}, "vlan_proto 802.1ad"),
        ("ixgbe", {"vlan": 5, "vlan_proto": "802.1ad"}, "vlan_proto 802.1ad"),
    ],
)
def test_what_the_driver_does_not_support_is_refused(nics, driver, keys, shown):
    nics.bind(A0, driver)
    assert refused(dict({"vf": 1}, **keys)) == (
        f": vfs[0] has {shown}, which the driver {driver} of ens1f0 (0000:01:00.0) does not support: remove it"
    )


@pytest.mark.parametrize("driver", ["i40e", "ice", "mlx5_core", "bnxt_en"])
def test_what_a_driver_may_support_is_left_to_the_kernel(nics, driver):
    nics.bind(A0, driver)
    assert found({"vf": 0, "vlan": 5, "vlan_proto": "802.1ad", "link_state": "auto"})["vfs"]


@pytest.mark.parametrize(
    "key, value",
    [("mac", MAC), ("vlan", 5), ("spoofchk", True), ("trust", False)],
)
def test_what_is_for_ethernet_is_refused_on_infiniband(nics, key, value):
    link(nics, "ens1f0", 32)
    assert refused({"vf": 0, key: value}) == (
        f": vfs[0].{key} is for Ethernet, and ens1f0 (0000:01:00.0) is an InfiniBand PF: remove it"
    )


@pytest.mark.parametrize("key", ["node_guid", "port_guid"])
def test_a_guid_is_refused_on_ethernet(nics, key):
    link(nics, "ens1f0", 1)
    assert refused({"vf": 0, key: GUID}) == (
        f": vfs[0].{key} is for InfiniBand, and ens1f0 (0000:01:00.0) is an Ethernet PF: remove it"
    )


def test_a_link_that_the_firmware_may_change_refuses_nothing(nics):
    link(nics, "ens2", 1)
    entry = {"name": "ens2", "firmware": {"LINK_TYPE_P1": "IB"}, "vfs": [{"vf": 0, "node_guid": GUID}]}
    assert select(entry)[0]["vfs"] == [{"vf": 0, "node_guid": GUID}]


# --- an address twice


def test_two_vfs_with_one_mac_address_are_refused(nics):
    entries = [
        {"name": "ens1f0", "vfs": [{"vf": "0-3", "mac": MAC}]},
        {"name": "ens1f1", "vfs": [{"vf": 6, "mac": "02:00:00:00:00:13"}]},
    ]
    assert refusal(*entries) == (
        "sriov_devices[1] (name ens1f1): vfs[0].mac gives VF 6 the address 02:00:00:00:00:13, which VF 3 of sriov_devices[0] (name "
        "ens1f0) has: write another"
    )
    assert refused({"vf": 0, "mac": MAC}, {"vf": 5, "mac": MAC.upper()}) == (
        f": vfs[1].mac gives VF 5 the address {MAC}, which VF 0 of {WHERE} has: write another"
    )


@pytest.mark.parametrize(
    "mac, owner",
    [
        ("02:00:00:00:00:a0", "ens1f0"),
        ("02:00:00:00:00:a1", "ens1f1"),
        ("02:00:00:00:00:99", "ens1f1"),
        ("02:00:00:00:00:c0", "mgmt"),
    ],
)
def test_the_mac_address_of_a_nic_is_refused(nics, mac, owner):
    assert refused({"vf": 1, "mac": mac}) == (
        f": vfs[0].mac gives VF 1 the address {mac}, which {owner} has: write another"
    )


def test_the_vf_itself_and_what_is_above_it_may_have_the_address(nics):
    nics.create(A0, 7)
    links = nics.answers["ip -d -j link show"]
    links.append({"ifname": nics.vf_netdev(A0, 1), "address": "02:00:00:00:00:77"})
    assert found({"vf": 1, "mac": "02:00:00:00:00:77"})["vfs"] == [{"vf": 1, "mac": "02:00:00:00:00:77"}]


def test_guids_twice_are_refused_each_kind_for_itself(nics):
    item = {"vf": 0, "node_guid": GUID, "port_guid": GUID}
    assert found(item)["vfs"]
    assert found({"vf": 0, "node_guid": GUID}, {"vf": 1, "port_guid": GUID})["vfs"]
    assert refused(item, {"vf": 1, "port_guid": GUID}) == (
        f": vfs[1].port_guid gives VF 1 the address {GUID}, which VF 0 of {WHERE} has: write another"
    )


# --- VFs that Nova gives to guests


@pytest.mark.parametrize(
    "key, value, reason",
    [
        ("mac", MAC, "libvirt sets the MAC address and the VLAN of a VF for each guest"),
        ("vlan", 5, "libvirt sets the MAC address and the VLAN of a VF for each guest"),
        ("spoofchk", False, "Neutron's SR-IOV agent sets it for each port"),
        ("link_state", "auto", "Neutron's SR-IOV agent sets it for each port"),
        (
            "trust",
            True,
            "Nova changes it only for a port that requests it, so every other guest would get the preset trust too",
        ),
    ],
)
def test_what_openstack_sets_itself_is_refused(nics, key, value, reason):
    nics.bind(A0, "ice")
    item = {"vf": "2-3", key: value}
    want = f": vfs[0] sets {key} of VF 2, which Nova gives to guests, and {reason}: remove {key}, or exclude the VF in exclude_vfs"
    assert refused(item, physical_network="physnet2") == want
    assert refusal({"name": "ens1f0", "vfs": [item]}, mappings={"ens1f0": "physnet2"}) == WHERE + want
    assert found(item)["vfs"]


def test_what_openstack_sets_is_allowed_on_an_excluded_vf(nics):
    keys = {
        "physical_network": "physnet2",
        "exclude_vfs": [nics.vf(A0, 0)],
        "nova": {"address": [nics.vf(A0, number) for number in range(1, 7)]},
    }
    assert found({"vf": 0, "mac": MAC, "trust": True}, **keys)["vfs"] == [{"vf": 0, "mac": MAC, "trust": True}]
    assert "sets mac of VF 1," in refused({"vf": "0-1", "mac": MAC}, **keys)


def test_guids_and_the_network_may_be_set_for_nova(nics):
    item = {"vf": "0-", "node_guid": GUID, "port_guid": GUID, "managed_by_network": True}
    assert "left_alone" not in found(item, physical_network="physnet2")


@pytest.mark.parametrize(
    "driver, nova",
    [
        ("vfio-pci", None),
        ("vfio-pci", {"managed": True}),
        ("vfio-pci", {"trusted": True}),
        ("iavf", {"managed": False}),
    ],
)
def test_a_driver_is_refused_where_libvirt_binds_the_vf(nics, driver, nova):
    assert refused({"vf": 0, "driver": driver}, physical_network="physnet2", nova=nova) == (
        f": vfs[0] sets driver {driver} of VF 0, which Nova gives to guests, and libvirt binds such a VF itself: remove driver, or "
        "give a vfio driver together with nova: {managed: false}"
    )


def test_a_vfio_driver_is_for_nova_that_binds_nothing(nics):
    item = {"vf": "0-", "driver": "vfio-pci"}
    for keys in ({}, {"drivers_autoprobe": False}):
        device = found(item, physical_network="physnet2", nova={"managed": "no"}, **keys)
        assert len(device["vfs"]) == 7 and device["left_alone"] == "all"


def test_vfs_without_a_driver_are_for_nova_that_binds_them(nics):
    assert found(physical_network="physnet2", drivers_autoprobe=False) == {"autoprobe": False, "left_alone": "all"}
    assert found({"vf": 0, "driver": "none"}, physical_network="physnet2")["vfs"] == [{"vf": 0, "driver": "none"}]


@pytest.mark.parametrize(
    "items, keys, number",
    [
        ([], {"drivers_autoprobe": False}, 0),
        ([{"vf": "0-2", "driver": "vfio-pci"}], {"drivers_autoprobe": False}, 3),
        ([{"vf": "5", "driver": "none"}], {}, 5),
    ],
)
def test_nova_that_binds_nothing_needs_a_driver(nics, items, keys, number):
    assert refused(*items, physical_network="physnet2", nova={"managed": False}, **keys) == (
        f": with nova: {{managed: false}} a guest gets VF {number} with the driver that it has, and it would have none: give it driver: "
        "vfio-pci in vfs"
    )


# --- notices


def notices(fake, entry):
    return sriov_devices.warnings_about_links(select(entry))


DOWN = f"{WHERE}: ens1f0 is down, and libvirt starts no guest on a VF of a PF that is down: set it up in the host's network configuration"


@pytest.mark.parametrize(
    "keys, want",
    [
        ({"physical_network": "physnet2"}, [DOWN + ", or write up: true in this entry"]),
        ({"physical_network": "physnet2", "up": False}, [DOWN + ", or write up: true in this entry"]),
        ({"physical_network": "physnet2", "on_boot_configuration_enabled": False}, [DOWN]),
        ({"physical_network": "physnet2", "up": True}, []),
        ({"physical_network": "physnet2", "numvfs": 0}, []),
        ({}, []),
    ],
)
def test_a_pf_of_nova_that_is_down_is_noticed(nics, keys, want):
    assert notices(nics, dict({"name": "ens1f0"}, **keys)) == want


def test_a_pf_that_is_up_is_not_noticed(nics):
    nics.set_up("ens1f0")
    assert notices(nics, {"name": "ens1f0", "physical_network": "physnet2"}) == []


def mtu(fake, netdev, number):
    (fake.netdev(netdev) / "mtu").write_text("%d\n" % number)


def test_an_mtu_above_that_of_the_pf_is_noticed(nics):
    for address in (A0, A1):
        nics.create(address, 7)
    vf = nics.vf_netdev(A0, 3)
    for netdev, number in (
        ("ens1f0", 1500),
        ("ens1f1", 9000),
        (vf, 9000),
        (nics.vf_netdev(A1, 0), 9000),
        ("bond0", 9216),
    ):
        mtu(nics, netdev, number)
    assert sriov_devices.warnings_about_links(select({"driver": "igb"})) == [
        f"sriov_devices[0] (driver igb): ens1f0 has an MTU of 1500, and its VF {vf} has 9000, so the card may drop its frames: give the "
        "PF at least the MTU of its VFs in the host's network configuration"
    ]
    mtu(nics, "ens1f0", 9000)
    assert sriov_devices.warnings_about_links(select({"driver": "igb"})) == []


def test_an_absent_pf_is_not_noticed(nics):
    entry = {"address": "0000:81:00.0", "optional": True, "physical_network": "physnet2"}
    assert notices(nics, entry) == []
