# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Nova and Neutron for the PFs, and the one sentence with which everything else is refused.

What the hardware has to say to it is in test_devices.py.
"""

import json
import re
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.stackhpc.sriov.plugins.filter import openstack_devices as filters
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from parts import openstack

CORPUS = json.loads((Path(__file__).parent / "nova_corpus" / "answers.json").read_text())
FILTERS = Path(filters.__file__).parent
WHERE = "sriov_devices[0] (name ens1f0): "


def entry(name="ens1f0", network="physnet2", **more):
    return dict({"name": name, "physical_network": network}, **more)


def answer(*devices, mappings=None, release=None):
    result = openstack.openstack_devices(list(devices), mappings, release)
    assert json.loads(json.dumps(result)) == result
    return result


def specs(release=None, **nova):
    return answer(entry(nova=nova), release=release)["device_specs"]


def refusal(*devices, mappings=None, release=None):
    with pytest.raises(Refusal) as caught:
        openstack.openstack_devices(list(devices), mappings, release)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nova_refusal(release=None, **nova):
    text = refusal(entry(nova=nova), release=release)
    assert text.startswith(WHERE)
    return text[len(WHERE) :]


# --- from the variables to the settings


def test_an_entry_is_passed_on_by_its_name_and_one_by_its_address():
    assert answer(entry(numvfs=8), {"address": "3B:00.1", "physical_network": " physnet3 ", "optional": "yes"}) == {
        "devices": [
            {
                "physical_network": "physnet2",
                "name": "ens1f0",
                "optional": False,
                "exclude_vfs": [],
                "selector": "sriov_devices[0] (name ens1f0)",
            },
            {
                "physical_network": "physnet3",
                "address": "0000:3b:00.1",
                "optional": True,
                "exclude_vfs": [],
                "selector": "sriov_devices[1] (address 0000:3b:00.1)",
            },
        ],
        "device_specs": [
            {"devname": "ens1f0", "physical_network": "physnet2"},
            {"address": "0000:3b:00.1", "physical_network": "physnet3"},
        ],
    }


NOTHING = {"devices": [], "device_specs": []}


@pytest.mark.parametrize(
    "devices, mappings",
    [
        ([], None),
        ([], {}),
        ([], {"ens1f0": "physnet2"}),
        ([{"name": "ens1f0"}, {"driver": "ice"}, {"mac": "b8:59:9f:0c:aa:02"}], {}),
        # Selectors that a mapping cannot mean: on the host their PFs are known by name.
        ([{"driver": "ice"}], {"ens1f0": "physnet2"}),
        ([{"name": "ens1f0", "nova": {}, "exclude_vfs": []}], None),
        ([{"name": "ens1f0", "nova": None, "physical_network": None}], None),
    ],
)
def test_without_a_physical_network_nothing_is_passed_on(devices, mappings):
    assert openstack.openstack_devices(devices, mappings) == NOTHING


@pytest.mark.parametrize(
    "device, key",
    [
        ({"name": "ens1f0"}, "ens1f0"),
        ({"name": "ens1f0"}, " ens1f0 "),
        ({"address": "0000:3b:00.1"}, "0000:3b:00.1"),
        ({"address": "3b:00.1"}, "0000:3B:00.1"),
        ({"address": "0000:3B:00.1"}, "3b:00.1"),
        ({"name": "ens1f0", "physical_network": None}, "ens1f0"),
    ],
)
def test_a_mapping_is_the_same_as_physical_network(device, key):
    by_mapping = answer(
        device, mappings={key: "physnet2", "p9": "physnet9"} if "physical_network" in device else {key: "physnet2"}
    )
    assert by_mapping == answer(dict(device, physical_network="physnet2"))
    assert by_mapping == answer(dict(device, physical_network="physnet2"), mappings={key: "physnet2"})


def test_mappings_of_other_hosts_are_ignored():
    mappings = {"p4p1": "physnet4", "ens1f0": "physnet2", "0000:81:00.0": "physnet3"}
    assert [
        one["physical_network"] for one in answer({"name": "ens1f0"}, {"driver": "ice"}, mappings=mappings)["devices"]
    ] == ["physnet2"]
    # An entry that Nova must not get has a null physical network.
    assert (
        len(answer({"name": "ens1f0"}, {"name": "ens2", "physical_network": None}, mappings=mappings)["devices"]) == 1
    )


def test_two_pfs_may_have_one_physical_network():
    assert answer(entry(), entry("ens1f1"))["device_specs"] == [
        {"devname": "ens1f0", "physical_network": "physnet2"},
        {"devname": "ens1f1", "physical_network": "physnet2"},
    ]


def test_two_entries_without_physical_network_are_for_the_host_to_compare():
    assert answer({"name": "ens9", "optional": True}, {"name": "ens9", "optional": True}) == NOTHING


@pytest.mark.parametrize(
    "nova, naming",
    [
        ({"devname": "ens1f0np0"}, [{"devname": "ens1f0np0"}]),
        ({"address": "0000:3b:02.1"}, [{"address": "0000:3b:02.1"}]),
        ({"address": " 3b:02.* "}, [{"address": "3b:02.*"}]),
        ({"address": "0000:3b:*.*"}, [{"address": "0000:3b:*.*"}]),
        ({"address": "*:3b:02"}, [{"address": "*:3b:02"}]),
        ({"address": {"bus": "3b", "function": "[0-2]"}}, [{"address": {"bus": "3b", "function": "[0-2]"}}]),
        (
            {"address": ["0000:3b:02.1", "3b:03.*", {"slot": "04"}]},
            [{"address": "0000:3b:02.1"}, {"address": "3b:03.*"}, {"address": {"slot": "04"}}],
        ),
        ({"vendor_id": "0x15B3", "product_id": " 101E "}, [{"vendor_id": "15b3", "product_id": "101e"}]),
        ({"product_id": "101e", "address": "3b:*"}, [{"address": "3b:*", "product_id": "101e"}]),
        ({"vendor_id": "*", "product_id": "101e", "devname": "ens1f0"}, [{"devname": "ens1f0", "product_id": "101e"}]),
        ({"vendor_id": None, "devname": None, "address": None}, [{"devname": "ens1f0"}]),
    ],
)
def test_every_way_to_name_a_device_to_nova(nova, naming):
    assert specs(**nova) == [dict(one, physical_network="physnet2") for one in naming]


def test_tags_are_text_and_are_in_every_device_spec():
    assert specs(
        address=["3b:02.0", "3b:02.1"],
        trusted=True,
        managed="no",
        live_migratable="Yes",
        one_time_use=False,
        resource_class=" FAST ",
        traits=["CUSTOM_A", " CUSTOM_B"],
        remote_managed=1,
    ) == [
        {
            "address": address,
            "physical_network": "physnet2",
            "trusted": "true",
            "managed": "false",
            "live_migratable": "true",
            "one_time_use": "false",
            "resource_class": "FAST",
            "traits": "CUSTOM_A,CUSTOM_B",
            "remote_managed": "true",
        }
        for address in ("3b:02.0", "3b:02.1")
    ]
    assert specs(traits="CUSTOM_A,CUSTOM_B")[0]["traits"] == "CUSTOM_A,CUSTOM_B"


def test_excluded_vfs_are_listed_in_full_when_nova_gets_the_others():
    result = answer(
        entry(exclude_vfs=["3B:02.0"], nova={"address": ["0000:3b:02.1", {"slot": "02", "function": "[2-7]"}]})
    )
    assert result["devices"][0]["exclude_vfs"] == ["0000:3b:02.0"]


def test_the_ports_of_a_connectx3_leave_each_others_vfs_alone():
    assert (
        len(
            answer(
                entry("ens4", nova={"address": "04:00.1"}, exclude_vfs=["04:00.2"]),
                entry("ens4d1", "physnet3", nova={"address": "04:00.2"}, exclude_vfs=["04:00.1"]),
            )["device_specs"]
        )
        == 2
    )


# --- releases


@pytest.mark.parametrize(
    "release, nova",
    [
        (None, None),
        ("", None),
        ("master", None),
        ("MASTER ", None),
        ("zed", 26),
        ("Yoga", 25),
        ("rocky", 18),
        ("2022.1", 25),
        ("2022.2", 26),
        ("2023.1", 27),
        ("2024.2", 30),
        ("2025.1", 31),
        (2025.1, 31),
        ("epoxy", 31),
        ("2025.2", 32),
        ("2026.1", 33),
        ("gazpacho", 33),
        ("2026.2", 34),
        ("hibiscus", 34),
        ("Indri", 35),
        ("2027.1", 35),
    ],
)
def test_the_nova_of_a_release(release, nova):
    assert openstack.nova_of(release) == nova


NO_SUCH_RELEASE = (
    ", and there is no such release: a year has two, such as 2025.1 and 2025.2, and those before 2022.1 have names"
)


@pytest.mark.parametrize(
    "release, told",
    [
        ("2021.2", "2021.2" + NO_SUCH_RELEASE),
        ("2025.3", "2025.3" + NO_SUCH_RELEASE),
        (2025.3, "2025.3" + NO_SUCH_RELEASE),
        ("1999.1", "1999.1" + NO_SUCH_RELEASE),
        ("zeds", "'zeds': did you mean zed?"),
        ("Flamngo", "'Flamngo': did you mean flamingo?"),
        ("hibiscu", "'hibiscu': did you mean hibiscus?"),
        *[
            (other, f'{other!r}: write it as "2025.1", as "zed", or as "master"')
            for other in ("2025", "31", True, "2025.1-rocky-9", ["zed"], {})
        ],
    ],
)
def test_what_is_not_a_release_is_refused(release, told):
    text = "sriov_openstack_release is " + told
    assert refusal(release=release) == text
    with pytest.raises(AnsibleFilterError, match=re.escape(text)):
        filters.nova_device_option(release)


@pytest.mark.parametrize(
    "release, option",
    [
        ("xena", "passthrough_whitelist"),
        ("2022.1", "passthrough_whitelist"),
        ("yoga", "passthrough_whitelist"),
        ("zed", "device_spec"),
        ("2022.2", "device_spec"),
        ("2025.1", "device_spec"),
        ("master", "device_spec"),
        (None, "device_spec"),
    ],
)
def test_the_name_of_novas_option(release, option):
    assert filters.nova_device_option(release) == option


def test_the_page_for_kayobe_has_the_release_of_the_options_name():
    page = (Path(__file__).parents[2] / "docs" / "kayobe.md").read_text()
    [since] = re.findall(r"list `device_spec` since (\w+), and `passthrough_whitelist` before", page)
    assert openstack.nova_of(since) == openstack.DEVICE_SPEC_SINCE


def test_tags_come_in_the_order_of_their_releases():
    """Else the files of Nova's configuration would change, and its services start again."""
    assert list(openstack.TAGS) == [
        "trusted",
        "remote_managed",
        "resource_class",
        "traits",
        "managed",
        "live_migratable",
        "one_time_use",
    ]


@pytest.mark.parametrize(
    "tag, before, since, number, had",
    [
        ("trusted", "queens", "rocky", 18, 17),
        ("remote_managed", "xena", "yoga", 25, 24),
        ("resource_class", "yoga", "zed", 26, 25),
        ("traits", "2022.1", "2022.2", 26, 25),
        ("managed", "2024.2", "2025.1", 31, 30),
        ("live_migratable", "2024.2", "2025.1", 31, 30),
        ("one_time_use", "2025.1", "2025.2", 32, 31),
    ],
)
def test_a_tag_that_the_release_does_not_know_is_refused(tag, before, since, number, had):
    # True is refused in every release.
    value = "false" if tag == "one_time_use" else "true"
    nova = {tag: value, "address": "3b:02.*"}
    assert nova_refusal(release=before, **nova) == (
        "nova.%s needs Nova %d, but %s has Nova %d, which would read it as a custom tag: remove it"
        % (tag, number, before, had)
    )
    assert specs(release=since, **nova)[0][tag] == value
    assert specs(release="master", **nova) == specs(release=None, **nova)


@pytest.mark.parametrize("release", ["2025.2", "2026.2", "master", None])
@pytest.mark.parametrize("value", [True, "true", "Yes", 1])
@pytest.mark.parametrize("naming", [{}, {"address": "3b:02.*"}, {"devname": "ens1f0"}], ids=str)
def test_one_time_use_is_refused_with_the_reason(release, value, naming):
    assert nova_refusal(release=release, one_time_use=value, **naming) == (
        "nova.one_time_use has no effect on a device with a physical network, and without report_in_placement nova-compute does "
        "not start with it: remove it"
    )


# --- refusing: the mapping


@pytest.mark.parametrize(
    "devices, mappings, text",
    [
        (
            [{"name": "ens1f0"}],
            {"ens1fO": "physnet2"},
            "sriov_physnet_mappings has ens1fO, which is in no entry of sriov_devices, and sriov_devices[0] (name ens1f0) has no physical network: "
            "correct the mapping, or write physical_network: null in that entry if OpenStack must not use it",
        ),
        (
            [entry(), {"address": "3b:00.0"}, {"name": "ens9"}],
            {"0000:3b:00.1": "physnet2", "ens7": "physnet7"},
            "sriov_physnet_mappings has 0000:3b:00.1, ens7, which are in no entry of sriov_devices, and sriov_devices[1] (address 0000:3b:00.0) has "
            "no physical network: correct the mapping, or write physical_network: null in that entry if OpenStack must not use it",
        ),
        (
            [entry()],
            {"ens1f0": "physnet3"},
            WHERE + "physical_network is physnet2 and sriov_physnet_mappings says physnet3: keep one of them",
        ),
        (
            [],
            {"ens1f0": ""},
            "sriov_physnet_mappings: ens1f0 is empty: name the physical network, as in ens1f0: physnet2",
        ),
        (
            [],
            {"ens1f0": None},
            'sriov_physnet_mappings: ens1f0 is null: name the physical network, as in ens1f0: "physnet2"',
        ),
        ([], {"ens1f0": 2}, 'sriov_physnet_mappings: ens1f0 is 2: name the physical network, as in ens1f0: "physnet2"'),
        (
            [],
            {"ens1f0": "a:b"},
            "sriov_physnet_mappings: ens1f0 'a:b' has a space, comma, colon or semicolon, which Neutron's lists cannot contain: "
            "correct it",
        ),
        (
            [],
            {60.0: "physnet2"},
            'sriov_physnet_mappings has 60.0, which YAML has read as a number: put it in quotes, as in "0000:3b:00.0"',
        ),
        (
            [],
            {"b8:59:9f:0c:aa:02": "physnet2"},
            "sriov_physnet_mappings has 'b8:59:9f:0c:aa:02': name an interface, as in ens1f0, or its PCI "
            'address, as in "0000:3b:00.0"',
        ),
        (
            [],
            {"": "physnet2"},
            "sriov_physnet_mappings has '': name an interface, as in ens1f0, or its PCI address, as in \"0000:3b:00.0\"",
        ),
        (
            [],
            {"physnet2": ["ens1f0"]},
            "sriov_physnet_mappings: physnet2 is ['ens1f0']: name the physical network, as in physnet2: \"physnet2\"",
        ),
        (
            [],
            {"3b:00.0": "a", "0000:3B:00.0": "b"},
            "sriov_physnet_mappings: 3b:00.0 and 0000:3B:00.0 are the same device but have two physical networks: keep one of them",
        ),
        ([], ["ens1f0"], "sriov_physnet_mappings is ['ens1f0']: give a dictionary, as in {ens1f0: physnet2}"),
        (
            [],
            "physnet2:ens1f0",
            "sriov_physnet_mappings is 'physnet2:ens1f0': give a dictionary, as in {ens1f0: physnet2}",
        ),
    ],
)
def test_a_bad_mapping_is_refused(devices, mappings, text):
    assert refusal(*devices, mappings=mappings) == text


# --- refusing: entries


@pytest.mark.parametrize(
    "devices, text",
    [
        (
            [entry(network="")],
            WHERE + "physical_network is empty: name the physical network, as in physical_network: physnet2",
        ),
        (
            [entry(network="  ")],
            WHERE + "physical_network is empty: name the physical network, as in physical_network: physnet2",
        ),
        (
            [entry(network=2)],
            WHERE + 'physical_network is 2: name the physical network, as in physical_network: "physnet2"',
        ),
        ([entry(network=["a"])], WHERE + "physical_network is ['a']: give text"),
        (
            [entry(network="a b")],
            WHERE
            + "physical_network 'a b' has a space, comma, colon or semicolon, which Neutron's lists cannot contain: "
            "correct it",
        ),
        (
            [entry(network="a,b")],
            WHERE
            + "physical_network 'a,b' has a space, comma, colon or semicolon, which Neutron's lists cannot contain: "
            "correct it",
        ),
        (
            [entry(network="a;b")],
            WHERE
            + "physical_network 'a;b' has a space, comma, colon or semicolon, which Neutron's lists cannot contain: "
            "correct it",
        ),
        (
            [entry(), entry(network="physnet3")],
            "sriov_devices[0] (name ens1f0) and sriov_devices[1] (name ens1f0) choose the same device: keep one "
            "of them",
        ),
        (
            [{"address": "3b:00.0"}, {"address": "0000:3B:00.0", "physical_network": "a"}],
            "sriov_devices[0] (address 0000:3b:00.0) and sriov_devices[1] (address 0000:3b:00.0) choose the same device: keep one of them",
        ),
        (
            [{"mac": "b8-59-9f-0c-aa-02", "physical_network": "a"}],
            "sriov_devices[0] (mac b8:59:9f:0c:aa:02): Nova and Neutron's agent cannot choose by mac, and Nova reads a MAC address as a PCI address: "
            "for physical_network use name or address",
        ),
        (
            [{"driver": "ice", "physical_network": "a"}],
            "sriov_devices[0] (driver ice): Nova and Neutron's agent cannot choose by driver: for physical_network use name or address",
        ),
        (
            [{"vendor_id": "15b3", "product_id": "1017", "physical_network": "a"}],
            "sriov_devices[0] (vendor_id 15b3, product_id 1017): Nova and Neutron's agent cannot choose by vendor_id with product_id: for "
            "physical_network use name or address",
        ),
        (
            [{"name": "ens1f0", "nova": {"trusted": True}}],
            "sriov_devices[0] (name ens1f0) has nova but no physical network: give it physical_network, or remove nova",
        ),
        (
            [{"name": "ens1f0", "exclude_vfs": ["3b:02.0"]}],
            "sriov_devices[0] (name ens1f0) has exclude_vfs but no physical network: give it physical_network, or remove exclude_vfs",
        ),
        ([entry(optional="perhaps")], WHERE + "optional is 'perhaps': give true or false"),
        ([entry(address="3b:00.0")], "sriov_devices[0] has 2 selectors (name, address): keep one of them"),
        (
            [{"physical_network": "a"}],
            "sriov_devices[0] has no selector: give it one of name, address, mac, vendor_id with product_id, driver",
        ),
        (["ens1f0"], "sriov_devices[0] is 'ens1f0': give a dictionary"),
        ([entry(exclude_vfs=3)], WHERE + "exclude_vfs is 3: give a list"),
        (
            [entry(exclude_vfs=[60.0])],
            WHERE + 'exclude_vfs has 60.0, which YAML has read as a number: put it in quotes, as in "0000:3b:02.0"',
        ),
        (
            [entry(exclude_vfs=["3b:02.*"])],
            WHERE + "exclude_vfs has '3b:02.*', which is not a PCI address of a VF: write it as \"0000:3b:02.0\"",
        ),
        ([entry(nova=["trusted"])], WHERE + "nova is ['trusted']: give a dictionary"),
    ],
)
def test_a_bad_entry_is_refused(devices, text):
    assert refusal(*devices) == text


@pytest.mark.parametrize("devices", [None, "", " "])
def test_devices_that_are_not_set_are_refused_because_nova_would_lose_its_own(devices):
    with pytest.raises(AnsibleFilterError) as caught:
        filters.openstack_devices(devices, {"ens1f0": "physnet2"})
    assert str(caught.value) == (
        "sriov_devices is not set, and Nova would lose the devices that it has: set it, or write sriov_devices: [] for a host without VFs"
    )


@pytest.mark.parametrize("devices", ["ens1f0", {"name": "ens1f0"}, 1])
def test_devices_that_are_not_a_list_are_refused(devices):
    with pytest.raises(Refusal) as caught:
        openstack.openstack_devices(devices)
    assert str(caught.value) == f"sriov_devices is {devices!r}: give a list"


# --- refusing: nova


EVERY = ' would give guests every PCI device of the host: narrow it down, as in "0000:3b:02.*"'
MAC_LIKE = ' looks like a MAC address, which Nova would read as a PCI address: use the PCI address, as in address: "0000:3b:02.*"'
NO_ADDRESS = ': write each field in full or as *, as in "0000:3b:02.*"'


@pytest.mark.parametrize(
    "nova, text",
    [
        (
            {"devname": "ens1f0", "address": "3b:00.0"},
            "nova has both devname and address, which Nova refuses: keep one of them",
        ),
        ({"trust": True}, "nova has trust, which is not one of its keys: did you mean trusted?"),
        (
            {"mac": "x"},
            "nova has mac, which is not one of its keys: they are devname, address, vendor_id, product_id, trusted, remote_managed, "
            "managed, live_migratable, one_time_use, resource_class, traits",
        ),
        (
            {"devname": 1},
            'nova.devname is 1, which YAML has read as a number: put it in quotes, as in devname: "ens1f0"',
        ),
        ({"devname": ""}, "nova.devname '' is not an interface name: write it as ens1f0"),
        ({"devname": "ens1f0 up"}, "nova.devname 'ens1f0 up' is not an interface name: write it as ens1f0"),
        (
            {"devname": "b8:59:9f:0c:aa:02"},
            "nova.devname 'b8:59:9f:0c:aa:02' is not an interface name: write it as ens1f0",
        ),
        (
            {"vendor_id": 8086, "product_id": "10ca"},
            'nova.vendor_id is 8086, which YAML has read as a number: put it in quotes, as in vendor_id: "8086"',
        ),
        (
            {"vendor_id": "8086", "product_id": 1889},
            'nova.product_id is 1889, which YAML has read as a number: put it in quotes, as in product_id: "1889"',
        ),
        (
            {"product_id": 10.0, "vendor_id": "8086"},
            'nova.product_id is 10.0, which YAML has read as a number: put it in quotes, as in product_id: "1017"',
        ),
        (
            {"vendor_id": "intel", "product_id": "10ca"},
            "nova.vendor_id 'intel' is not four hexadecimal digits: write it as \"15b3\"",
        ),
        (
            {"vendor_id": "8086", "product_id": "10ca0"},
            "nova.product_id '10ca0' is not four hexadecimal digits: write it as \"1017\"",
        ),
        (
            {"vendor_id": "8086"},
            "nova needs product_id, or an address, so that guests get no devices of other kinds",
        ),
        (
            {"product_id": "10ca"},
            "nova needs vendor_id, or an address, so that guests get no devices of other kinds",
        ),
        (
            {"vendor_id": "*", "product_id": "*"},
            "nova needs vendor_id and product_id, or an address, so that guests get no devices of other kinds",
        ),
        (
            {"address": 60.0},
            'nova.address is 60.0, which YAML has read as a number: put it in quotes, as in address: "0000:3b:02.*"',
        ),
        (
            {"address": ["3b:02.0", 193]},
            'nova.address is 193, which YAML has read as a number: put it in quotes, as in address: "0000:3b:02.*"',
        ),
        (
            {"address": [["3b:02.0"]]},
            "nova.address is [['3b:02.0']]: give an address, expressions for its fields, or a list of those",
        ),
        ({"address": ""}, "nova.address ''" + EVERY),
        ({"address": {}}, "nova.address {}" + EVERY),
        ({"address": []}, "nova.address []" + EVERY),
        ({"address": "*"}, "nova.address '*'" + EVERY),
        ({"address": "*:*:*.*"}, "nova.address '*:*:*.*'" + EVERY),
        ({"address": "."}, "nova.address '.'" + EVERY),
        ({"address": ["3b:02.0", "*.*"]}, "nova.address ['3b:02.0', '*.*']" + EVERY),
        ({"address": {"bus": ".*"}}, "nova.address {'bus': '.*'}" + EVERY),
        # A slot has two digits, of which the first is 0 or 1.
        ({"address": {"slot": "[01]", "bus": ""}}, "nova.address {'slot': '[01]', 'bus': ''}" + EVERY),
        ({"address": "52:54:00:12:34:56"}, "nova.address '52:54:00:12:34:56'" + MAC_LIKE),
        ({"address": "52:54:00"}, "nova.address '52:54:00'" + MAC_LIKE),
        ({"address": "52:54:00:*:*:*"}, "nova.address '52:54:00:*:*:*'" + MAC_LIKE),
        ({"address": "B8-59-9F"}, "nova.address 'B8-59-9F'" + MAC_LIKE),
        ({"address": ["52:54:00:*"]}, "nova.address '52:54:00:*'" + MAC_LIKE),
        (
            {"address": "525400123456"},
            "nova.address '525400123456' is not a PCI address (slot 525400123456 is greater than 1F)" + NO_ADDRESS,
        ),
        (
            {"address": "0000:3b:0?.1"},
            "nova.address '0000:3b:0?.1' is not a PCI address (slot '0?' is neither hexadecimal nor *)" + NO_ADDRESS,
        ),
        (
            {"address": "0000:3b:0*.1"},
            "nova.address '0000:3b:0*.1' is not a PCI address (slot '0*' is neither hexadecimal nor *)" + NO_ADDRESS,
        ),
        (
            {"address": "0000:3b:00.8"},
            "nova.address '0000:3b:00.8' is not a PCI address (function 8 is greater than 7)" + NO_ADDRESS,
        ),
        (
            {"address": "10000:3b:00.0"},
            "nova.address '10000:3b:00.0' is not a PCI address (domain 10000 is greater than FFFF)" + NO_ADDRESS,
        ),
        (
            {"address": "0000:3b:00:1.0"},
            "nova.address '0000:3b:00:1.0' is not a PCI address (more than domain, bus and slot before the dot)"
            + NO_ADDRESS,
        ),
        (
            {"address": {"func": "0"}},
            "nova.address has func, which Nova would ignore: its fields are domain, bus, slot, function",
        ),
        (
            {"address": {"bus": 3}},
            'nova.address.bus is 3, which YAML has read as a number: put it in quotes, as in bus: "02"',
        ),
        (
            {"address": {"function": 1}},
            'nova.address.function is 1, which YAML has read as a number: put it in quotes, as in function: "[0-3]"',
        ),
        (
            {"address": {"bus": "("}},
            "nova.address.bus '(' is not a regular expression (missing ), unterminated subpattern at position 0): correct it",
        ),
        (
            {"address": {"bus": "3B"}},
            "nova.address.bus '3B' matches no bus (lower-case hexadecimal, 00 to ff): correct it",
        ),
        (
            {"address": {"slot": "20"}},
            "nova.address.slot '20' matches no slot (lower-case hexadecimal, 00 to 1f): correct it",
        ),
        (
            {"address": {"function": "10"}},
            "nova.address.function '10' matches no function (lower-case hexadecimal, 0 to 7): correct it",
        ),
        ({"trusted": "maybe"}, "nova.trusted is 'maybe': give true or false"),
        ({"managed": 2}, "nova.managed is 2: give true or false"),
        ({"live_migratable": ["yes"]}, "nova.live_migratable is ['yes']: give true or false"),
        ({"resource_class": " "}, "nova.resource_class is ' ': give a name"),
        ({"resource_class": ["A"]}, "nova.resource_class is ['A']: give text"),
        ({"traits": []}, "nova.traits is []: give a name or a list of names"),
        ({"traits": ["A", 1]}, "nova.traits is ['A', 1]: give a name or a list of names"),
    ],
)
def test_a_bad_key_of_nova_is_refused(nova, text):
    assert nova_refusal(**nova) == text


@pytest.mark.parametrize(
    "device, nova",
    [
        ({"name": "ens1f0"}, {}),
        ({"name": "ens1f0"}, {"devname": "ens1f0"}),
        ({"address": "3b:00.0"}, {}),
        ({"address": "3b:00.0"}, {"address": "0000:3B:00.0", "vendor_id": "15b3", "product_id": "101e"}),
        ({"address": "3b:00.0"}, {"devname": "ens1f0"}),
    ],
)
def test_a_pf_that_is_remote_managed_is_refused(device, nova):
    assert refusal(dict(device, physical_network="a", nova=dict(nova, remote_managed=True))).endswith(
        "): nova.remote_managed is for VFs, and nova-compute does not start when it is set for a PF: name the VFs by nova.address, or by "
        "nova.vendor_id and nova.product_id"
    )
    assert answer(dict(device, physical_network="a", nova=dict(nova, remote_managed=False)))
    for vfs in ({"vendor_id": "15b3", "product_id": "101e"}, {"address": "3b:00.2"}):
        assert answer(dict(device, physical_network="a", nova=dict(vfs, remote_managed=True)))


def test_a_vf_that_is_remote_managed_may_be_named_by_its_interface():
    assert specs(devname="ens1f0v0", remote_managed=True)


@pytest.mark.parametrize(
    "device, nova, by",
    [
        ({"name": "ens1f0"}, {}, "devname ens1f0"),
        ({"name": "ens1f0"}, {"devname": "ens1f0np0"}, "devname ens1f0np0"),
        ({"name": "ens1f0"}, {"trusted": True}, "devname ens1f0"),
        ({"address": "3b:00.0"}, {"devname": "ens1f0"}, "devname ens1f0"),
        ({"address": "3b:00.0"}, {}, "address 0000:3b:00.0"),
        ({"address": "3b:00.0"}, {"address": "0:3B:0.0"}, "address 0:3B:0.0"),
        ({"name": "ens1f0"}, {"address": "3b:*"}, "address 3b:*"),
        ({"name": "ens1f0"}, {"address": ["3b:02.1", "3b:02.0"]}, "address 3b:02.0"),
        (
            {"name": "ens1f0"},
            {"address": {"slot": "02"}, "product_id": "101e"},
            "address {'slot': '02'}, product_id 101e",
        ),
        ({"name": "ens1f0"}, {"vendor_id": "15b3", "product_id": "101e"}, "vendor_id 15b3, product_id 101e"),
    ],
)
def test_an_excluded_vf_that_nova_would_give_away_is_refused(device, nova, by):
    assert refusal(dict(device, physical_network="a", nova=nova, exclude_vfs=["0000:3b:02.0"])).endswith(
        f'): exclude_vfs has 0000:3b:02.0, but Nova gives it to guests by {by}: write nova.address as a list of the remaining VFs, as in ["0000:3b:02.1", "0000:3b:02.2"]'
    )


# --- Nova's own answers


@pytest.mark.parametrize(
    "spec, expected", CORPUS["answers"], ids=[json.dumps(spec) for spec, _expected in CORPUS["answers"]]
)
def test_a_device_spec_takes_what_nova_takes(spec, expected):
    if expected is None:
        with pytest.raises((ValueError, re.error)):
            [openstack.takes(spec, function) for function in CORPUS["functions"]]
    else:
        assert [function["address"] for function in CORPUS["functions"] if openstack.takes(spec, function)] == expected


def test_the_corpus_has_what_distinguishes_forms():
    taken = [expected for _spec, expected in CORPUS["answers"]]
    assert len(taken) > 300 and taken.count(None) > 20 and taken.count([]) > 50
    assert sum(len(expected or []) == 1 for expected in taken) > 20


def test_what_nova_refuses_is_refused_here_as_well():
    for spec, expected in CORPUS["answers"]:
        if expected is None and spec != {"devname": "ens4"}:
            assert nova_refusal(**spec)


def test_an_unknown_id_counts_as_a_match():
    vf = {
        "address": "0000:3b:02.0",
        "vendor_id": "15b3",
        "product_id": None,
        "parent_addr": None,
        "names": [],
        "parent_names": [],
    }
    assert openstack.takes({"vendor_id": "15b3", "product_id": "101e"}, vf)
    assert not openstack.takes({"vendor_id": "8086", "product_id": "101e"}, vf)


# --- where VFs will be


@pytest.mark.parametrize(
    "pf, offset, stride, index, vf",
    [
        ("0000:01:00.0", 128, 2, 0, "0000:01:10.0"),
        ("0000:01:00.1", 128, 2, 6, "0000:01:11.5"),
        ("0000:3b:00.0", 2, 1, 5, "0000:3b:00.7"),
        ("0000:3b:00.0", 2, 1, 6, "0000:3b:01.0"),
        ("0000:3b:00.1", 129, 2, 63, "0000:3c:00.0"),
        ("abcd:fe:1f.7", 1, 1, 0, "abcd:ff:00.0"),
    ],
)
def test_the_address_of_a_vf_follows_from_offset_and_stride(pf, offset, stride, index, vf):
    assert openstack.vf_address(pf, offset, stride, index) == vf


# --- as filters


def test_the_filters_are_there_and_documented():
    assert sorted(filters.FilterModule().filters()) == ["nova_device_option", "openstack_devices"]
    for name in filters.FilterModule().filters():
        documentation = yaml.safe_load((FILTERS / (name + ".yml")).read_text())
        assert documentation["DOCUMENTATION"]["name"] == name
        assert set(documentation) == {"DOCUMENTATION", "EXAMPLES", "RETURN"}


def test_the_filter_answers_and_refuses_with_the_sentence_alone():
    openstack_devices = filters.FilterModule().filters()["openstack_devices"]
    assert openstack_devices([{"name": "ens1f0"}], {"ens1f0": "physnet2"}, "2025.1")["device_specs"] == [
        {"devname": "ens1f0", "physical_network": "physnet2"}
    ]
    assert openstack_devices([]) == NOTHING
    with pytest.raises(AnsibleFilterError) as caught:
        openstack_devices([entry(network="")])
    assert (
        str(caught.value)
        == WHERE + "physical_network is empty: name the physical network, as in physical_network: physnet2"
    )
