# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of the role's variables: what is wrong, where, all of it at once, and never a traceback."""

import random
import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.stackhpc.sriov.plugins.filter import openstack_devices as filters
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import check
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import devices as sriov_devices
from parts import program as host

ENTRY = "sriov_devices[1] (name ens1f1)"


def refusal(**variables):
    with pytest.raises(Refusal) as caught:
        check.refuse(variables)
    return str(caught.value)


def of_entry(**keys):
    return refusal(sriov_devices=[{"name": "ens1f0"}, dict({"name": "ens1f1"}, **keys)])


# --- entries


@pytest.mark.parametrize(
    "key, value, told",
    [
        ("numvfs", -1, ": numvfs is -1: give a whole number from 0 to 65535"),
        ("numvfs", float("inf"), ": numvfs is inf: give a whole number from 0 to 65535"),
        ("numvfs", float("nan"), ": numvfs is nan: give a whole number from 0 to 65535"),
        ("numvfs", "9" * 5000, f": numvfs is '{'9' * 56}...: give a whole number from 0 to 65535"),
        ("numvfs", "٣", ": numvfs is '٣': give a whole number from 0 to 65535"),
        ("probe_vf", [1], ": probe_vf is [1]: give a whole number from 0 to 65535"),
        ("numvfs_driver", "sysfs", ": numvfs_driver is 'sysfs': give systemd or udev"),
        ("numvfs_driver", ["udev"], ": numvfs_driver is ['udev']: give systemd or udev"),
        ("numvfs_required_by", 5, ": numvfs_required_by is 5: give a list"),
        ("numvfs_required_by", {"a": 1}, ": numvfs_required_by is {'a': 1}: give a list"),
        ("numvfs_required_by", ["a.service", None], ": numvfs_required_by[1] is null: give text"),
        (
            "numvfs_required_by",
            ["docker.service\nExecStart=/bin/sh"],
            r": numvfs_required_by[0] is 'docker.service\nExecStart=/bin/sh': remove the character U+000A from it",
        ),
        ("optional", "perhaps", ": optional is 'perhaps': give true or false"),
        ("address", {"bus": 3}, ": address is {'bus': 3}: give text"),
        ("mac", ["x"], ": mac is ['x']: give text"),
        ("nova", 5, ": nova is 5: give a dictionary"),
        ("nova", True, ": nova is True: give a dictionary"),
        ("nova", [1], ": nova is [1]: give a dictionary"),
        ("nova", {"trusted": 7}, ": nova.trusted is 7: give true or false"),
        ("nova", {"trustd": True}, ": nova has trustd, which is not one of its keys: did you mean trusted?"),
        ("exclude_vfs", 5, ": exclude_vfs is 5: give a list"),
        ("physical_network", "a\x00b", r": physical_network is 'a\x00b': remove the character U+0000 from it"),
        ("physical_network", "a\ud800", r": physical_network is 'a\ud800': remove the character U+D800 from it"),
        ("num_vfs", 4, " has num_vfs, which is not one of its keys: did you mean numvfs?"),
        ("NumVFs", 4, " has NumVFs, which is not one of its keys: did you mean numvfs?"),
        ("vf", 4, " has vf, which is not one of its keys: did you mean vfs?"),
        ("vfs", 4, ": vfs is 4: give a list"),
        ("vfs", [5], ": vfs[0] is 5: give a dictionary"),
        ("vfs", [{"vf": [1]}], ": vfs[0].vf is [1]: give text"),
        ("vfs", [{"vf": 0, "mac": {"a": 1}}], ": vfs[0].mac is {'a': 1}: give text"),
        ("vfs", [{"vf": 0, "vlan": 4095}], ": vfs[0].vlan is 4095: give a whole number from 0 to 4094"),
        ("vfs", [{"vf": 0}, {"vf": 1, "qos": 8}], ": vfs[1].qos is 8: give a whole number from 0 to 7"),
        # YAML makes a number of 802.1, and a truth value of on.
        ("vfs", [{"vf": 0, "vlan_proto": 802.1}], ": vfs[0].vlan_proto is 802.1: give 802.1q or 802.1ad"),
        ("vfs", [{"vf": 0, "link_state": True}], ": vfs[0].link_state is True: give auto or enable or disable"),
        ("vfs", [{"vf": 0, "trust": "maybe"}], ": vfs[0].trust is 'maybe': give true or false"),
        # With keys that are selectors in an entry.
        ("vfs", [{"driver": "ice", "vlna": 5}], ": vfs[0] has vlna, which is not one of its keys: did you mean vlan?"),
        ("expect", 0, ": expect is 0: give a whole number from 1 to 65535"),
        ("up", "never", ": up is 'never': give true or false"),
        ("physnet", "a", " has physnet, which is not one of its keys: did you mean physical_network?"),
        (
            "qos",
            1,
            " has qos, which is not one of its keys: they are name, address, mac, vendor_id, product_id, driver, numvfs, numvfs_driver, "
            "numvfs_required_by, firmware, probe_vf, up, drivers_autoprobe, vfs, on_boot_configuration_enabled, optional, expect, "
            "physical_network, exclude_vfs, nova",
        ),
    ],
)
def test_what_is_wrong_in_an_entry_is_reported_with_its_index(key, value, told):
    same = {"address": ENTRY[:16], "mac": ENTRY[:16]}.get(key, ENTRY)
    assert of_entry(**{key: value}) == same + told


def test_a_number_that_python_does_not_write_is_refused():
    assert of_entry(numvfs=10**5000) == ENTRY + ": numvfs is very large: give a whole number from 0 to 65535"
    assert of_entry(optional=[10**5000]) == ENTRY + ": optional is very large: give true or false"


@pytest.mark.parametrize("key, shown", [(5, "5"), (None, "null"), ("a\nb", r"'a\nb'"), (("a", 1), "('a', 1)")])
def test_a_key_that_is_not_a_word_is_unknown(key, shown):
    assert refusal(sriov_devices=[{"name": "ens1f0", key: 1}]).startswith(
        f"sriov_devices[0] (name ens1f0) has {shown}, which is not one of its keys: "
    )


@pytest.mark.parametrize(
    "devices, told",
    [
        ({"name": "ens1f0"}, "sriov_devices is {'name': 'ens1f0'}: give a list"),
        ("ens1f0", "sriov_devices is 'ens1f0': give a list"),
        (5, "sriov_devices is 5: give a list"),
        (False, "sriov_devices is False: give a list"),
        ("[]", "sriov_devices is '[]': give a list, for example with -e '{\"sriov_devices\": []}'"),
        ([None], "sriov_devices[0] is null: give a dictionary"),
        ([["name"]], "sriov_devices[0] is ['name']: give a dictionary"),
        (["ens1f0"], "sriov_devices[0] is 'ens1f0': give a dictionary"),
        (
            [{"name": "x\x00", "numvfs": -1}],
            r"sriov_devices[0]: name is 'x\x00': remove the character U+0000 from it; sriov_devices[0]: numvfs is -1: give a whole number from 0 to 65535",
        ),
        (
            [{"vendor_id": "8086", "product_id": "10c9", "numvfs": ""}],
            "sriov_devices[0] (vendor_id 8086, product_id 10c9): numvfs is '': give a whole number from 0 to 65535",
        ),
    ],
)
def test_devices_of_another_form_are_refused(devices, told):
    assert refusal(sriov_devices=devices) == told


@pytest.mark.parametrize("devices", [None, "", " "])
def test_devices_that_are_not_set_are_of_no_form(devices):
    assert check.is_unset(devices)
    check.refuse({"sriov_devices": devices})


@pytest.mark.parametrize("devices", [[], [{}], "[]", 0, {}, False])
def test_anything_else_is_set(devices):
    assert not check.is_unset(devices)


# --- the other variables


@pytest.mark.parametrize(
    "variables, told",
    [
        ({"sriov_reboot_timeout": 0}, "sriov_reboot_timeout is 0: give a whole number from 1 to 1000000000"),
        (
            {"sriov_boot_wait": -1, "sriov_numvfs_timeout": 120},
            "sriov_boot_wait is -1: give a whole number from 0 to 1000000000",
        ),
        ({"sriov_numvfs_timeout": "2m"}, "sriov_numvfs_timeout is '2m': give a whole number from 1 to 1000000000"),
        (
            {"sriov_numvfs_timeout": 10**10},
            "sriov_numvfs_timeout is 10000000000: give a whole number from 1 to 1000000000",
        ),
        ({"sriov_numvfs": 65536}, "sriov_numvfs is 65536: give a whole number from 0 to 65535"),
        ({"sriov_numvfs": None}, "sriov_numvfs is null: give a whole number from 0 to 65535, or leave it out"),
        (
            {"sriov_mellanox_vendor_ids": None, "sriov_restart_handler": None},
            "sriov_mellanox_vendor_ids is null: give a list, or leave it out; sriov_restart_handler is null: give text, or leave it out",
        ),
        ({"sriov_iommu_enabled": None}, "sriov_iommu_enabled is null: give true or false, or leave it out"),
        ({"sriov_action": None}, "sriov_action is null: give all or config or mellanox, or leave it out"),
        ({"sriov_action": "firmware"}, "sriov_action is 'firmware': give all or config or mellanox"),
        ({"sriov_do_reboot": "maybe"}, "sriov_do_reboot is 'maybe': give true or false"),
        (
            {"sriov_udev_rule_path": "rules.d/70-sriov.rules"},
            "sriov_udev_rule_path is 'rules.d/70-sriov.rules': give a path that begins with / and ends in .rules",
        ),
        (
            {"sriov_udev_rule_path": "/etc/udev/rules.d/70-sriov"},
            "sriov_udev_rule_path is '/etc/udev/rules.d/70-sriov': give a path that ends in .rules",
        ),
        (
            {"sriov_udev_rule_path": "/etc/udev/rules.d/70-sriov.rules.bak"},
            "sriov_udev_rule_path is '/etc/udev/rules.d/70-sriov.rules.bak': give a path that ends in .rules",
        ),
        (
            {"sriov_udev_rule_path": "/etc/\u200b70.rules"},
            r"sriov_udev_rule_path is '/etc/\u200b70.rules': remove the character U+200B from it",
        ),
        (
            {"sriov_udev_rule_path": None},
            "sriov_udev_rule_path is null: give a path that begins with / and ends in .rules, or leave it out",
        ),
        ({"sriov_workdir": "var/cache"}, "sriov_workdir is 'var/cache': give a path that begins with /"),
        (
            {"sriov_udev_rule_path": "/etc/\x00"},
            r"sriov_udev_rule_path is '/etc/\x00': remove the character U+0000 from it",
        ),
        (
            {"sriov_udev_rule_path": ["/etc"]},
            "sriov_udev_rule_path is ['/etc']: give a path that begins with / and ends in .rules",
        ),
        ({"sriov_mstflint_pkgs": {"a": 1}}, "sriov_mstflint_pkgs is {'a': 1}: give a list"),
        ({"sriov_os_pkgs": [["gcc"]]}, "sriov_os_pkgs[0] is ['gcc']: give text"),
    ],
)
def test_what_is_wrong_in_a_variable_is_reported_by_its_name(variables, told):
    assert refusal(**variables) == told


@pytest.mark.parametrize(
    "text, subject",
    [
        ("{'sriov_devices': [], 'sriov_boot_wait': nan}", "sriov_boot_wait is nan"),
        ("{'sriov_boot_wait': -inf, 'x': 1}", "sriov_boot_wait is -inf"),
        ("{'sriov_mft_tarball': datetime.date(2026, 1, 1)}", "sriov_mft_tarball is datetime.date(2026, 1, 1)"),
        (
            "{'sriov_devices': [{'name': datetime.date(2026, 1, 1)}]}",
            "a variable of this role is a date, or an infinite number",
        ),
        ("", "a variable of this role is a"),
    ],
)
def test_variables_that_ansible_has_made_one_text_of_are_a_sentence(text, subject):
    said = check.not_handed_over(text)
    assert said.startswith(subject) and said.endswith(
        ", which Ansible cannot pass to a module: give a number, or put text in quotes"
    )


def test_all_that_is_wrong_is_reported_at_once():
    text = refusal(
        sriov_devices=[{"name": "ens1f0", "numvf": 2}, {"name": "ens1f1", "numvfs": "x"}], sriov_reboot_timeout=0
    )
    assert text == (
        "sriov_devices[0] (name ens1f0) has numvf, which is not one of its keys: did you mean numvfs?; "
        "sriov_devices[1] (name ens1f1): numvfs is 'x': give a whole number from 0 to 65535; "
        "sriov_reboot_timeout is 0: give a whole number from 1 to 1000000000"
    )


def test_a_message_does_not_grow_with_the_mistakes():
    assert refusal(sriov_devices=[{"name": "ens1", "numvfs": "x" * 10**6}] * 1000).endswith("; and 990 more are wrong")
    assert len(refusal(sriov_devices=[{"name": "ens1", "numvfs": "x" * 10**6}] * 1000)) < 2000


def test_what_ansible_and_ini_inventories_make_of_values_is_taken():
    check.refuse(
        {
            "sriov_devices": [
                {
                    "name": "ens1",
                    "numvfs": "8",
                    "optional": "no",
                    "numvfs_required_by": "a.service, b.service",
                    "exclude_vfs": "3b:02.0",
                    "nova": None,
                    "probe_vf": None,
                    "address": None,
                }
            ],
            "sriov_numvfs": " 8 ",
            "sriov_do_reboot": None,
            "sriov_os_pkgs": None,
            "sriov_os_pkgs_rpm": "gcc,make",
            "sriov_openstack_release": 2025.1,
            "sriov_workdir": "~/.sriov",
            "sriov_udev_rule_path": "$DIR/x.rules",
            "sriov_numvfs_required_by": None,
            "sriov_iommu_enabled": "yes",
            "sriov_physnet_mappings": None,
        }
    )


# --- names


@pytest.mark.parametrize(
    "name, told",
    [
        ("sriov_device", "did you mean sriov_devices?"),
        ("sriov_numvf", "did you mean sriov_numvfs?"),
        ("sriov_Devices", "did you mean sriov_devices?"),
        ("sriov_physnet_mapping", "did you mean sriov_physnet_mappings?"),
        ("sriov_reboot", "did you mean sriov_do_reboot?"),
        ("sriov_site_colour", "the role does not read it"),
        ("sriov_", "the role does not read it"),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest(name, told):
    assert check.unknown_variables([name, "sriov_devices", "other"]) == [
        f"{name} is not a variable of this role: {told}"
    ]


def test_the_roles_own_names_and_kayobes_are_known():
    kayobes = ["sriov_openstack", "sriov_reboot_serial", "sriov_max_fail_percentage", "sriov_openstack_pfs"]
    assert (
        check.unknown_variables(
            [*check.VARIABLES, "sriov_reboot_required", "sriov_reboot_reasons", "sriov_vfs_changed", *kayobes]
        )
        == []
    )


@pytest.mark.parametrize(
    "name, meant",
    [
        ("sriov_device", True),
        ("srov_devices", True),
        ("sroiv_devices", True),
        ("sriovdevices", True),
        ("sriov-devices", True),
        ("sr_iov_devices", True),
        ("sriov_devcies", True),
        ("sriov_numvf", False),
        ("pci_devices", False),
        ("dpdk_devices", False),
        ("ansible_devices", False),
        ("storage_devices", False),
    ],
)
def test_a_misspelt_list_of_devices_is_known_by_its_likeness(name, meant):
    assert check.misspelt_devices([name]) == (
        [f"{name} is not a variable of this role: did you mean sriov_devices?"] if meant else []
    )


# --- anything at all

A0 = "0000:01:00.0"
SCALARS = [
    None,
    True,
    False,
    0,
    -1,
    5,
    8,
    8086,
    10**30,
    1.5,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " ",
    "8",
    "-1",
    "x",
    "ens1",
    "yes",
    "no",
    "a,b",
    "\x00",
    "a\x00b",
    "a\n",
    "\ud800",
    "x" * 5000,
    "{{ x }}",
    "0000:01:00.0",
    "01:00.0",
    "0000:01:10.*",
    "*",
    "b8:59:9f:0c:aa:02",
    "8086",
    "15b3",
    "10c9",
    "igb",
    "systemd",
    "udev",
    "(",
    "(?P<",
    "a{999999999999}",
    "docker.service",
    "physnet2",
    "2025.1",
    "2025.3",
    "zed",
    "../x",
    "/etc/x",
    "é",
    "true",
    "{}",
    "[]",
    "0x15b3",
    "NUM_OF_VFS",
    "ETH",
]
FIELDS = check.VARIABLES["sriov_devices"]["elements"]["fields"]
KEYS_OF_NOVA, KEYS_OF_VF = list(FIELDS["nova"]["fields"]), list(FIELDS["vfs"]["elements"]["fields"])
KEYS = [
    *FIELDS,
    *KEYS_OF_NOVA,
    "domain",
    "bus",
    "slot",
    "function",
    "num_vfs",
    "LINK_TYPE_P1",
    "NUM_OF_VFS",
    "",
    "\x00",
    5,
    None,
    True,
    1.5,
]


def anything(chance, depth):
    """A value of any type, with values of any type in it."""
    kind = chance.random()
    if depth == 0 or kind < 0.6:
        return chance.choice(SCALARS)
    if kind < 0.8:
        return [anything(chance, depth - 1) for _number in range(chance.randrange(4))]
    return {chance.choice(KEYS): anything(chance, depth - 1) for _number in range(chance.randrange(4))}


def an_entry(chance):
    """An entry that is right but for a few of its keys, so that every rule is reached."""
    if chance.random() < 0.1:
        return anything(chance, 3)
    entry = {"name": "ens1", "numvfs": 2, "physical_network": "physnet2"}
    if chance.random() < 0.3:
        entry = {chance.choice(KEYS[:6]): anything(chance, 1)}
    if chance.random() < 0.5:
        entry["nova"] = {key: anything(chance, 2) for key in chance.sample(KEYS_OF_NOVA, chance.randrange(4))}
    if chance.random() < 0.5:
        entry["vfs"] = [
            dict({"vf": 0}, **{key: anything(chance, 1) for key in chance.sample(KEYS_OF_VF, chance.randrange(4))})
            for _number in range(chance.randrange(3))
        ]
    for key in chance.sample(KEYS, chance.randrange(4)):
        entry[key] = anything(chance, 3)
    return entry


def devices_of(chance):
    return (
        anything(chance, 3)
        if chance.random() < 0.1
        else [an_entry(chance) for _number in range(chance.randrange(1, 4))]
    )


def is_a_sentence(text, devices):
    """One line that can be printed, and that names the entry when there is one in the way."""
    text.encode("utf-8")
    return (
        "\n" not in text
        and "\x00" not in text
        and re.search(r"sriov_\w+", text)
        and len(text) < 6000
        and "Traceback" not in text
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_module_answers_anything_with_devices_or_a_sentence(fake, seed):
    fake.add_function(A0, "8086:10c9", "igb", ["ens1"], totalvfs=7)
    fake.answer("ip -d -j link show", [{"ifname": "ens1", "address": "b8:59:9f:0c:aa:02"}])
    chance = random.Random(seed)
    refused = 0
    for _round in range(50):
        scalars = {
            name: anything(chance, 2)
            for name in chance.sample(sorted(set(check.VARIABLES) - {"sriov_devices"}), chance.randrange(3))
        }
        devices = devices_of(chance)
        if check.is_unset(devices):
            continue
        parameters = {
            "devices": devices,
            "numvfs": scalars.get("sriov_numvfs", 8),
            "numvfs_driver": scalars.get("sriov_numvfs_driver", "systemd"),
            "numvfs_required_by": scalars.get("sriov_numvfs_required_by", []),
            "firmware": chance.random() < 0.5,
            "mellanox_vendor_ids": scalars.get("sriov_mellanox_vendor_ids", ["0x15b3"]),
            "physnet_mappings": scalars.get("sriov_physnet_mappings"),
            "openstack_release": scalars.get("sriov_openstack_release"),
            "variables": scalars,
        }
        try:
            for device in sriov_devices.select(parameters):
                assert (
                    device["boot"] in ("systemd", "udev", "none")
                    and type(device["numvfs"]) is int
                    and device["numvfs"] >= 0
                )
                assert all(isinstance(unit, str) for unit in device["required_by"]) and type(device["optional"]) is bool
        except host.Refusal as error:
            refused += 1
            assert is_a_sentence(str(error), devices), (str(error), devices)
    assert refused > 20


@pytest.mark.parametrize("seed", range(40))
def test_the_filters_answer_anything_with_a_value_or_a_sentence(seed):
    chance = random.Random(seed)
    refused = 0
    for _round in range(50):
        devices, release = devices_of(chance), anything(chance, 2) if chance.random() < 0.2 else None
        mappings = anything(chance, 2) if chance.random() < 0.3 else None
        for answer in (
            lambda: filters.openstack_devices(devices, mappings, release),
            lambda: filters.nova_device_option(release),
        ):
            try:
                answer()
            except AnsibleFilterError as error:
                refused += 1
                assert is_a_sentence(str(error), devices), (str(error), devices)
    assert refused > 20
