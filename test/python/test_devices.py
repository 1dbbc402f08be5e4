# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PFs a selector chooses, and the one sentence with which everything else is refused, the host untouched."""

import json

import pytest
from ansible.module_utils import basic
from fake_sysfs import LEGACY_UNIT, fake_host, legacy_block  # noqa: F401 (pytest finds the fixture "fake")
from parts import devices as sriov_devices
from parts import program as host

A0, A1, B0, C0 = "0000:01:00.0", "0000:01:00.1", "0000:3b:00.0", "0000:00:03.0"
PFS = (
    "the PFs of this host are ens1f0 (0000:01:00.0), driver igb, up to 7 VFs, ens1f1 (0000:01:00.1), driver igb, up to 7 VFs, "
    "ens2 (0000:3b:00.0), driver mlx5_core, up to 16 VFs"
)


@pytest.fixture(name="nics")
def _nics(fake):
    """Two ports of an 82576, one of a ConnectX-5, and a NIC without SR-IOV, which carries a bond."""
    fake.add_function(A0, "8086:10c9", "igb", ["ens1f0"], totalvfs=7)
    fake.add_function(A1, "8086:10c9", "igb", ["ens1f1"], totalvfs=7)
    fake.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"], totalvfs=16)
    fake.add_function(C0, "8086:100e", "e1000", ["mgmt"])
    fake.add_netdev("bond0", lowers=["mgmt", "ens1f1"])
    fake.add_netdev("ens2r0", B0, port="pf0vf0")
    fake.answer(
        "ip -d -j link show",
        [
            {"ifname": "ens1f0", "address": "02:00:00:00:00:a0", "altnames": ["enp1s0f0", "storage-a"]},
            # A bond gives its ports one address; each keeps its own as the permanent one.
            {"ifname": "ens1f1", "address": "02:00:00:00:00:99", "permaddr": "02:00:00:00:00:A1"},
            {"ifname": "ens2", "address": "02:00:00:00:00:b0"},
            {"ifname": "mgmt", "address": "02:00:00:00:00:99", "permaddr": "02:00:00:00:00:c0"},
            {"ifname": "bond0", "address": "02:00:00:00:00:99", "altnames": ["uplink"]},
        ],
    )
    return fake


def select(
    *entries,
    numvfs=8,
    driver="systemd",
    required_by=(),
    firmware=False,
    vendors=("0x15b3",),
    mappings=None,
    release=None,
):
    return sriov_devices.select(
        {
            "devices": list(entries),
            "numvfs": numvfs,
            "numvfs_driver": driver,
            "numvfs_required_by": list(required_by),
            "firmware": firmware,
            "mellanox_vendor_ids": list(vendors),
            "physnet_mappings": mappings,
            "openstack_release": release,
        }
    )


def chosen(*entries, **more):
    return [device["address"] for device in select(*entries, **dict({"numvfs": 4}, **more))]


def refusal(*entries, **more):
    with pytest.raises(host.Refusal) as caught:
        select(*entries, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- choosing


@pytest.mark.parametrize(
    "selector, addresses",
    [
        ({"name": "ens1f0"}, [A0]),
        ({"name": "storage-a"}, [A0]),
        ({"address": A1}, [A1]),
        ({"address": "01:00.1"}, [A1]),
        ({"address": " 0000:3B:00.0 "}, [B0]),
        ({"mac": "02:00:00:00:00:a0"}, [A0]),
        ({"mac": "02-00-00-00-00-A0"}, [A0]),
        ({"mac": "02:00:00:00:00:a1"}, [A1]),
        ({"vendor_id": "8086", "product_id": "10c9"}, [A0, A1]),
        ({"vendor_id": "0x15B3", "product_id": "0x1017"}, [B0]),
        ({"driver": "igb"}, [A0, A1]),
        ({"driver": "mlx5_core"}, [B0]),
        ({"name": "ens2", "address": None, "mac": None, "vendor_id": None, "product_id": None, "driver": None}, [B0]),
    ],
)
def test_each_selector_chooses_what_it_names(nics, selector, addresses):
    assert chosen(selector) == addresses


def test_a_device_contains_all_that_the_next_step_needs(nics):
    assert select({"name": "enp1s0f0", "numvfs": 7}, required_by=["docker.service"]) == [
        {
            "address": A0,
            "id": "8086:10c9",
            "name": "ens1f0",
            "numvfs": 7,
            "boot": "systemd",
            "optional": False,
            "trigger": "net",
            "required_by": ["docker.service"],
            "selector": "sriov_devices[0] (name enp1s0f0)",
            "driver": "igb",
            "firmware": None,
            "port": None,
            "probe_vf": 0,
            "enough": True,
            "physical_network": None,
        }
    ]


def test_a_pf_without_interface_is_started_by_the_function_itself(fake):
    fake.add_function(A0, totalvfs=7)
    assert select({"address": A0}, numvfs=1)[0]["trigger"] == "pci"


def test_an_empty_list_chooses_nothing_and_reads_nothing(fake):
    assert select() == []


def test_devices_are_in_the_order_of_the_selectors_then_of_the_addresses(nics):
    assert chosen({"name": "ens2"}, {"driver": "igb"}) == [B0, A0, A1]


def test_an_entrys_own_values_come_before_the_roles(nics):
    entry = {"name": "ens2", "numvfs": 0, "numvfs_driver": "udev", "numvfs_required_by": []}
    [device] = select(entry, numvfs=5, required_by=["docker.service"])
    assert (device["numvfs"], device["boot"], device["required_by"]) == (0, "udev", [])


def test_an_entry_without_values_has_the_roles(nics):
    [device] = select({"name": "ens2"}, numvfs=5, driver="udev", required_by=["a.service"])
    assert (device["numvfs"], device["boot"], device["required_by"]) == (5, "udev", ["a.service"])


@pytest.mark.parametrize(
    "text, boot",
    [("false", "none"), ("no", "none"), (False, "none"), ("true", "systemd"), ("yes", "systemd"), (None, "systemd")],
)
def test_on_boot_configuration_enabled_may_be_text_of_an_ini_inventory(nics, text, boot):
    assert select({"name": "ens2", "on_boot_configuration_enabled": text})[0]["boot"] == boot


@pytest.mark.parametrize("text", ["8", " 8 ", 8])
def test_numvfs_may_be_digits_of_an_ini_inventory(nics, text):
    assert select({"name": "ens2", "numvfs": text})[0]["numvfs"] == 8


def test_numvfs_required_by_may_be_text_of_an_ini_inventory(nics):
    entry = {"name": "ens2", "numvfs_required_by": "docker.service, dev-x\\x2dy.mount,"}
    assert select(entry)[0]["required_by"] == ["docker.service", "dev-x\\x2dy.mount"]
    assert select({"name": "ens2", "numvfs_required_by": ""})[0]["required_by"] == []


def test_a_pf_that_is_left_alone_may_be_given_any_number(nics):
    assert chosen({"name": "ens2", "numvfs": 500, "on_boot_configuration_enabled": False}) == [B0]


def test_0_vfs_may_be_asked_of_a_card_that_offers_none(fake):
    fake.add_function(A0, totalvfs=0)
    assert chosen({"address": A0, "numvfs": 0}) == [A0]


# --- optional


@pytest.mark.parametrize("text", [True, "true", "yes"])
@pytest.mark.parametrize(
    "selector",
    [{"name": "ens9"}, {"mac": "02:00:00:00:00:77"}, {"vendor_id": "8086", "product_id": "1592"}, {"driver": "ice"}],
)
def test_an_optional_selector_may_choose_nothing(nics, selector, text):
    assert chosen(dict(selector, optional=text), {"name": "ens2"}) == [B0]


def test_an_optional_address_is_configured_for_the_day_the_card_appears(nics):
    assert select({"address": "0000:81:00.0", "optional": True}, numvfs=500) == [
        {
            "address": "0000:81:00.0",
            "id": None,
            "name": "",
            "numvfs": 500,
            "boot": "systemd",
            "optional": True,
            "trigger": "net",
            "required_by": [],
            "selector": "sriov_devices[0] (address 0000:81:00.0)",
            "driver": None,
            "firmware": None,
            "port": None,
            "probe_vf": 0,
            "enough": True,
            "physical_network": None,
        }
    ]


def test_an_optional_selector_is_not_optional_in_its_form(nics):
    assert "is not a PCI address" in refusal({"address": "81", "optional": True})
    assert "the card does not support SR-IOV" in refusal({"name": "mgmt", "optional": True})


def test_an_absent_address_twice_is_refused_too(nics):
    entries = [{"address": "0000:81:00.0", "optional": True}, {"address": "81:00.0", "optional": True}]
    assert refusal(*entries) == (
        "sriov_devices[0] (address 0000:81:00.0) and sriov_devices[1] (address 0000:81:00.0) choose the same PF 0000:81:00.0: "
        "keep one of them"
    )


# --- refusing what the host does not have


@pytest.mark.parametrize(
    "selector, where",
    [
        ({"name": "ens9"}, "(name ens9)"),
        ({"address": "0000:81:00.0"}, "(address 0000:81:00.0)"),
        ({"mac": "02:00:00:00:00:77"}, "(mac 02:00:00:00:00:77)"),
        ({"vendor_id": "8086", "product_id": "1592"}, "(vendor_id 8086, product_id 1592)"),
        ({"driver": "ice"}, "(driver ice)"),
        # An address that two ports share, as ports of a bond do, is not a permanent one.
        ({"mac": "02:00:00:00:00:99"}, "(mac 02:00:00:00:00:99)"),
    ],
)
def test_an_unknown_nic_is_refused_with_the_nics_that_are_there(nics, selector, where):
    assert refusal({"name": "ens2"}, selector) == f"sriov_devices[1] {where} chooses nothing: {PFS}"


def test_an_optional_nic_is_not_taken_for_absent_when_ip_fails(nics):
    nics.answer("ip -d -j link show", None)
    for selector in ({"mac": "02:00:00:00:00:99"}, {"name": "storage-port"}):
        assert "did not list the interfaces of this host" in refusal(dict(selector, optional=True))


def test_a_host_without_pf_reports_it(fake):
    fake.answer("ip -d -j link show", [])
    assert refusal({"name": "ens9"}) == (
        "sriov_devices[0] (name ens9) chooses nothing: this host has no PF at all: if its NIC supports SR-IOV, turn "
        "SR-IOV on in the BIOS (also called Single Root I/O Virtualization), or enable it in the card's firmware"
    )


def test_more_than_the_device_has_is_refused(nics):
    assert refusal({"driver": "igb", "numvfs": 8}) == (
        "sriov_devices[0] (driver igb): ens1f0 (0000:01:00.0) supports at most 7 VFs, 8 are requested: lower numvfs"
    )
    assert refusal({"name": "ens1f0"}) == (
        "sriov_devices[0] (name ens1f0): ens1f0 (0000:01:00.0) supports at most 7 VFs, 8 are requested: lower numvfs"
    )


@pytest.mark.parametrize(
    "ids, advice",
    [
        (
            "8086:10c9",
            "turn SR-IOV on in the BIOS (also called Single Root I/O Virtualization), then reboot",
        ),
        (
            "15b3:1017",
            "enable SR-IOV in the card's firmware (SRIOV_EN, NUM_OF_VFS; the role does this with sriov_action all), then "
            "reboot; if it is enabled already, power-cycle the host, or turn SR-IOV on in the BIOS (also called Single Root "
            "I/O Virtualization)",
        ),
    ],
)
def test_a_card_that_offers_none_is_refused_with_its_makers_advice(fake, ids, advice):
    fake.add_function(A0, ids, netdevs=["ens1"], totalvfs=0)
    assert (
        refusal({"address": A0})
        == "sriov_devices[0] (address 0000:01:00.0): ens1 (0000:01:00.0) offers no VFs: " + advice
    )


@pytest.mark.parametrize(
    "second",
    [
        {"name": "ens1f1"},
        {"name": "ens1f1", "on_boot_configuration_enabled": False},
        {"mac": "02:00:00:00:00:a1"},
        {"address": A1},
    ],
)
def test_one_device_under_two_selectors_is_refused(nics, second):
    text = refusal({"driver": "igb", "numvfs": 2}, dict(second, numvfs=2))
    assert text.startswith("sriov_devices[0] (driver igb) and sriov_devices[1] (")
    assert text.endswith(") choose the same PF ens1f1 (0000:01:00.1): keep one of them")


def test_a_vf_is_refused_by_name_address_and_mac(nics):
    nics.create(A0, 1)
    vf, netdev = nics.vf(A0, 0), nics.vf_netdev(A0, 0)
    nics.answers["ip -d -j link show"].append({"ifname": netdev, "address": "02:00:00:00:00:f0"})
    for selector in ({"name": netdev}, {"address": vf}, {"mac": "02:00:00:00:00:f0"}):
        [(kind, value)] = selector.items()
        assert (
            refusal(selector)
            == f"sriov_devices[0] ({kind} {value}): {netdev} ({vf}) is a VF of ens1f0 (0000:01:00.0): name the PF"
        )


@pytest.mark.parametrize("selector", [{"name": "mgmt"}, {"address": C0}, {"mac": "02:00:00:00:00:c0"}])
def test_a_nic_without_sriov_is_refused(nics, selector):
    [(kind, value)] = selector.items()
    assert refusal(selector) == (
        f"sriov_devices[0] ({kind} {value}): mgmt (0000:00:03.0) is not a PF: the card does not support SR-IOV: name another NIC; {PFS}"
    )


@pytest.mark.parametrize("name", ["bond0", "uplink"])
def test_a_virtual_interface_is_refused(nics, name):
    assert refusal({"name": name}) == f"sriov_devices[0] (name {name}): bond0 is a virtual interface, not a NIC; {PFS}"


def test_a_representor_is_refused_and_not_called_a_nic_without_sriov(nics):
    assert refusal({"name": "ens2r0"}) == (
        "sriov_devices[0] (name ens2r0): ens2r0 is a representor or sub-function of the PF 0000:3b:00.0: name the PF"
    )


# --- refusing what cannot be right, before the host is read


@pytest.fixture(name="unread")
def _unread(monkeypatch):
    for name in ("read_pfs", "read_function", "json_of"):
        monkeypatch.setattr(host, name, lambda *_arguments: pytest.fail("the host was read"))


@pytest.mark.parametrize(
    "entry, text",
    [
        ({}, "sriov_devices[0] has no selector: give it one of name, address, mac, vendor_id with product_id, driver"),
        (
            {"name": None, "numvfs": 4},
            "sriov_devices[0] has no selector: give it one of name, address, mac, vendor_id with product_id, driver",
        ),
        ({"name": "ens1", "driver": "igb"}, "sriov_devices[0] has 2 selectors (name, driver): keep one of them"),
        (
            {"name": "e", "address": A0, "mac": "x", "vendor_id": "1", "driver": "igb"},
            "sriov_devices[0] has 5 selectors (name, address, mac, vendor_id, driver): keep one of them",
        ),
        ({"vendor_id": "8086"}, "sriov_devices[0]: vendor_id needs product_id too"),
        ({"product_id": "10c9"}, "sriov_devices[0]: product_id needs vendor_id too"),
        ({"name": "ens1", "product_id": "10c9"}, "sriov_devices[0]: product_id needs vendor_id too"),
        # YAML 1.1 reads 01:00.0 as 60.0 (sexagesimal), 8086 as a number, and 10:20:30:40:50:10 as one too.
        (
            {"address": 60.0},
            "sriov_devices[0]: address is 60.0, which YAML has read as a number: put it in quotes, as in address: "
            '"0000:3b:00.0"',
        ),
        (
            {"mac": 8037422410},
            "sriov_devices[0]: mac is 8037422410, which YAML has read as a number: put it in quotes, as in mac: "
            '"b8:59:9f:0c:aa:02"',
        ),
        (
            {"vendor_id": 8086, "product_id": "10c9"},
            "sriov_devices[0]: vendor_id is 8086, which YAML has read as a number: put it in "
            'quotes, as in vendor_id: "8086"',
        ),
        (
            {"vendor_id": "8086", "product_id": 1592},
            "sriov_devices[0]: product_id is 1592, which YAML has read as a number: put it in "
            'quotes, as in product_id: "1592"',
        ),
        (
            {"vendor_id": 62, "product_id": "10c9"},
            "sriov_devices[0]: vendor_id is 62, which YAML has read as a number: put it in quotes, as "
            'in vendor_id: "15b3"',
        ),
        (
            {"name": True},
            'sriov_devices[0]: name is True, which YAML has read as a truth value: put it in quotes, as in name: "ens1f0"',
        ),
        (
            {"name": 1},
            'sriov_devices[0]: name is 1, which YAML has read as a number: put it in quotes, as in name: "ens1f0"',
        ),
        (
            {"address": "0000:3b:00"},
            "sriov_devices[0]: address '0000:3b:00' is not a PCI address: write it as \"0000:3b:00.0\"",
        ),
        (
            {"address": "0000:3b:00.8"},
            "sriov_devices[0]: address '0000:3b:00.8' is not a PCI address: write it as \"0000:3b:00.0\"",
        ),
        (
            {"address": "../../x"},
            "sriov_devices[0]: address '../../x' is not a PCI address: write it as \"0000:3b:00.0\"",
        ),
        (
            {"mac": "b8:59:9f:0c:aa"},
            "sriov_devices[0]: mac 'b8:59:9f:0c:aa' is not a MAC address: write it as \"b8:59:9f:0c:aa:02\"",
        ),
        (
            {"vendor_id": "intel", "product_id": "10c9"},
            "sriov_devices[0]: vendor_id 'intel' is not four hexadecimal digits: write it as \"15b3\"",
        ),
        (
            {"vendor_id": "8086", "product_id": "10c"},
            "sriov_devices[0]: product_id '10c' is not four hexadecimal digits: write it as \"1017\"",
        ),
    ],
)
def test_a_selector_that_cannot_be_right_is_refused_before_the_host_is_read(unread, entry, text):
    assert refusal(entry) == text


HOSTILE = [
    "ens1; reboot",
    "$(reboot)",
    "`reboot`",
    "ens1|x",
    "ens1 up",
    'ens1", RUN+="/bin/sh',
    "ens*",
    "ens?",
    "[a]",
    "../ens1",
    "a/b",
    "..",
    ".",
    "-h",
    "{{ x }}",
    "ens1%i",
    "énorme",
    "",
    "x" * 128,
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("key", ["name", "driver"])
def test_a_name_with_characters_of_shell_udev_or_paths_is_refused(unread, key, value):
    assert refusal({key: value}) == (
        f"sriov_devices[0]: {key} {value!r} has characters that no interface or driver name may contain: correct it"
    )


@pytest.mark.parametrize("value", ["0000:3b:00.0; reboot", '0000:3b:00.0", RUN+="x', "0000:3b:00.0/..", "0000:3b:00.*"])
def test_an_address_with_anything_more_is_refused(unread, value):
    assert "is not a PCI address" in refusal({"address": value})


@pytest.mark.parametrize("value", [-1, "-1", "many", "", "4.0", 4.0, 4.5, True, False, [4], {"a": 1}, "0x8", "8 VFs"])
def test_a_count_that_is_not_a_whole_number_of_0_or_more_is_refused(unread, value):
    assert refusal({"name": "ens1", "numvfs": value}) == (
        f"sriov_devices[0] (name ens1): numvfs is {value!r}: give a whole number from 0 to 65535"
    )


def test_a_bad_default_count_is_called_by_its_own_name(unread):
    assert refusal({"name": "ens1"}, numvfs=-3) == "sriov_numvfs is -3: give a whole number from 0 to 65535"


@pytest.mark.parametrize(
    "unit",
    [
        "docker",
        "../docker.service",
        "a b.service",
        "docker.service;x",
        "%i.slice",
        "$(x).service",
        "/etc/x.service",
        ".service/x",
        7,
    ],
)
def test_a_unit_name_that_could_carry_more_is_refused(nics, unit):
    assert refusal({"name": "ens2", "numvfs_required_by": ["good.service", unit]}) == (
        f"sriov_devices[0] (name ens2): numvfs_required_by has {unit!r}, which is not a systemd unit: write it as docker.service"
    )


@pytest.mark.parametrize("key", ["optional", "on_boot_configuration_enabled"])
@pytest.mark.parametrize("value", ["perhaps", 2, "", []])
def test_a_yes_or_no_that_is_neither_is_refused(nics, key, value):
    assert (
        refusal({"name": "ens2", key: value}) == f"sriov_devices[0] (name ens2): {key} is {value!r}: give true or false"
    )


def test_an_unknown_boot_driver_is_refused(nics):
    assert refusal({"name": "ens2", "numvfs_driver": "none"}) == (
        "sriov_devices[0] (name ens2): numvfs_driver is 'none': give systemd or udev"
    )


def test_the_first_of_several_mistakes_is_reported_and_nothing_is_chosen(nics):
    assert refusal({"name": "ens2"}, {"name": "ens9"}, {"address": A0, "numvfs": 99}).startswith(
        "sriov_devices[1] (name ens9)"
    )


# --- as a module


def run_module(monkeypatch, capsys, check_mode=False, **parameters):
    arguments = dict(parameters, _ansible_check_mode=check_mode)
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit) as leaving:
        sriov_devices.main()
    return leaving.value.code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("check_mode", [False, True])
def test_the_module_answers_the_devices_and_changes_nothing(nics, monkeypatch, capsys, check_mode):
    before = sorted(path for path in nics.root.rglob("*"))
    code, result = run_module(monkeypatch, capsys, check_mode, devices=[{"name": "ens2"}], numvfs="4")
    assert (code, result["changed"], [device["address"] for device in result["devices"]]) == (0, False, [B0])
    assert sorted(path for path in nics.root.rglob("*")) == before


def test_the_module_fails_with_the_sentence_alone(nics, monkeypatch, capsys):
    code, result = run_module(monkeypatch, capsys, devices=[{"name": "ens9"}], numvfs=4)
    assert (code, result["failed"], result["msg"]) == (1, True, "sriov_devices[0] (name ens9) chooses nothing: " + PFS)


@pytest.mark.parametrize(
    "parameters",
    [
        {"devices": [], "numvfs": "many"},
        {"devices": "ens1", "numvfs": 4},
        {"devices": [], "numvfs": 4, "numvfs_driver": "cron"},
    ],
)
def test_the_module_refuses_parameters_of_another_type(fake, monkeypatch, capsys, parameters):
    code, result = run_module(monkeypatch, capsys, **parameters)
    assert (code, result["failed"]) == (1, True)


# --- Mellanox: what a card offers is for its firmware to say


M0, M1, X0 = "0000:5e:00.0", "0000:5e:00.1", "0000:04:00.0"


@pytest.fixture(name="mellanox")
def _mellanox(fake):
    """A ConnectX-5 whose firmware has SR-IOV off, so that the kernel shows none; and a ConnectX-3 with both ports on
    one function.
    """
    fake.add_function(M0, "15b3:1017", "mlx5_core", ["ens5f0"])
    fake.add_function(M1, "15b3:1017", "mlx5_core", ["ens5f1"])
    fake.add_function(X0, "15b3:1003", "mlx4_core", ["ens4", "ens4d1"], totalvfs=16)
    for port, netdev in enumerate(["ens4", "ens4d1"]):
        (fake.pci(X0) / ("mlx4_port%d" % (port + 1))).write_text("eth\n")
        (fake.netdev(netdev) / "dev_port").write_text("%d\n" % port)
    fake.add_function(A0, "8086:10c9", "igb", ["ens1f0"], totalvfs=7)
    fake.answer(
        "ip -d -j link show",
        [
            {"ifname": "ens4", "address": "02:00:00:00:00:40"},
            {"ifname": "ens4d1", "address": "02:00:00:00:00:41", "altnames": ["second"]},
            {"ifname": "ens5f0", "address": "02:00:00:00:00:50"},
            {"ifname": "ens5f1", "address": "02:00:00:00:00:51"},
        ],
    )
    return fake


@pytest.mark.parametrize(
    "selector, addresses",
    [
        ({"name": "ens5f1"}, [M1]),
        ({"address": M0}, [M0]),
        ({"mac": "02:00:00:00:00:50"}, [M0]),
        ({"vendor_id": "15b3", "product_id": "1017"}, [M0, M1]),
        ({"driver": "mlx5_core"}, [M0, M1]),
    ],
)
def test_a_card_whose_firmware_has_sriov_off_can_be_chosen_every_way(mellanox, selector, addresses):
    devices = select(selector, numvfs=16, firmware=True)
    assert [(device["address"], device["numvfs"], device["firmware"]) for device in devices] == [
        (address, 16, {}) for address in addresses
    ]


def test_without_leave_to_set_firmware_such_a_card_is_not_a_pf(mellanox):
    assert "ens5f0 (0000:5e:00.0) is not a PF: enable SR-IOV in the card's firmware" in refusal({"name": "ens5f0"})


def test_after_the_firmware_was_set_the_rest_waits_for_the_reboot(mellanox, monkeypatch):
    monkeypatch.setattr(sriov_devices.pending, "of_this_boot", lambda _host, concern: {f"{concern}:{M0}:NUM_OF_VFS=8"})
    [device] = select({"name": "ens5f1", "numvfs": 8})
    assert device["waits"] == "its firmware is set and offers more from the next boot on"
    assert (device["firmware"], device["enough"]) == (None, False)


def test_a_card_offers_enough_when_no_firmware_parameter_is_requested(mellanox):
    mellanox.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"], totalvfs=4)
    devices = [
        select({"address": B0, "numvfs": 4, "firmware": wish}, firmware=True)[0] for wish in ({}, {"LINK_TYPE_P1": 2})
    ]
    assert [device["enough"] for device in devices] == [True, False]


def test_more_than_the_firmware_offers_now_is_for_the_firmware(mellanox):
    mellanox.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"], totalvfs=4)
    assert select({"address": B0, "numvfs": 16}, firmware=True)[0]["numvfs"] == 16
    assert refusal({"address": B0, "numvfs": 16}).endswith("supports at most 4 VFs, 16 are requested: lower numvfs")


def test_a_vf_of_a_mellanox_card_is_still_no_pf(mellanox):
    mellanox.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"], totalvfs=4, vf_netdevs=False)
    mellanox.create(B0, 1)
    vf = mellanox.vf(B0, 0)
    (mellanox.pci(vf) / "vendor").write_text("0x15b3\n")
    assert "is a VF of ens2 (0000:3b:00.0): name the PF" in refusal({"address": vf}, firmware=True)
    assert chosen({"driver": "mlx5_core"}, firmware=True) == [B0, M0, M1]


def test_a_mellanox_function_that_is_not_a_nic_is_left_out(mellanox):
    mellanox.add_function(B0, "15b3:c2d2", None)
    (mellanox.pci(B0) / "class").write_text("0x080100\n")
    assert "is not a PF: " in refusal({"address": B0}, firmware=True)


def test_the_pfs_of_the_host_are_reported_with_those_that_have_no_vfs_yet(mellanox):
    assert "ens5f0 (0000:5e:00.0), driver mlx5_core, no VFs until its firmware or the BIOS is set" in refusal(
        {"name": "ens9"}, firmware=True
    )


def test_firmware_parameters_are_checked_and_stay_with_the_device(mellanox):
    [device] = select({"name": "ens5f0", "firmware": {"LINK_TYPE_P1": "ETH", "num_pf_msix": 63}}, firmware=True)
    assert device["firmware"] == {"LINK_TYPE_P1": "ETH", "NUM_PF_MSIX": 63}


@pytest.mark.parametrize(
    "firmware, text",
    [
        ("LINK_TYPE_P1=ETH", "sriov_devices[0] (name ens5f0): firmware: "),
        ({"LINK_TYPE_P1": None}, "LINK_TYPE_P1"),
        ({"A; reboot": 1}, "sriov_devices[0] (name ens5f0): firmware: "),
        ({"X": "1; reboot"}, "X"),
        ({"X": [1]}, "X"),
    ],
)
def test_firmware_parameters_that_cannot_be_right_are_refused(mellanox, firmware, text):
    assert text in refusal({"name": "ens5f0", "firmware": firmware}, firmware=True)


def test_firmware_parameters_of_another_makers_card_are_refused(mellanox):
    mellanox.answers["ip -d -j link show"].append({"ifname": "ens1f0", "address": "02:00:00:00:00:10"})
    assert refusal({"name": "ens1f0", "numvfs": 2, "firmware": {"LINK_TYPE_P1": 2}}, firmware=True) == (
        "sriov_devices[0] (name ens1f0): ens1f0 (0000:01:00.0) is not a Mellanox card (vendor 8086), and only their firmware can be set: remove firmware from it"
    )


@pytest.mark.parametrize("vendors", [["0x15b3"], ["15B3"], ["0x8086", "0X15b3"]])
def test_vendor_ids_are_taken_however_they_are_written(mellanox, vendors):
    assert chosen({"name": "ens5f0"}, firmware=True, vendors=vendors) == [M0]


def test_other_vendor_ids_make_it_no_mellanox_card(mellanox):
    assert "is not a PF" in refusal({"name": "ens5f0"}, firmware=True, vendors=["0x1234"])


@pytest.mark.parametrize("vendor", ["mellanox", "5555555", 15])
def test_a_vendor_id_that_is_none_is_refused(mellanox, vendor):
    assert "write four hexadecimal digits in quotes" in refusal({"name": "ens5f0"}, firmware=True, vendors=[vendor])


def test_the_ports_of_a_connectx3_are_chosen_by_name_and_mac_and_its_driver_makes_the_vfs(mellanox):
    devices = select(
        {"name": "ens4", "numvfs": 3}, {"mac": "02:00:00:00:00:41", "numvfs": 5, "probe_vf": 1}, firmware=True
    )
    assert [
        (device["address"], device["port"], device["numvfs"], device["boot"], device["probe_vf"]) for device in devices
    ] == [(X0, 1, 3, "module", 0), (X0, 2, 5, "module", 1)]
    assert select({"name": "second"}, firmware=True)[0]["port"] == 2


@pytest.mark.parametrize("selector", [{"address": X0}, {"driver": "mlx4_core"}])
def test_a_connectx3_as_a_whole_has_no_port(mellanox, selector):
    assert select(selector)[0]["port"] is None


def test_a_connectx3_with_one_port_has_no_port_to_choose(mellanox):
    (mellanox.pci(X0) / "mlx4_port2").unlink()
    assert select({"name": "ens4"})[0]["port"] is None


@pytest.mark.parametrize("second", [{"name": "ens4"}, {"address": X0}, {"driver": "mlx4_core"}])
def test_one_port_of_a_connectx3_twice_is_refused(mellanox, second):
    assert "choose the same PF ens4, ens4d1 (0000:04:00.0): keep one of them" in refusal(
        {"mac": "02:00:00:00:00:40"}, second
    )


def test_the_vfs_of_a_connectx3_that_nova_gets_are_left_alone_by_the_hosts_network(mellanox):
    entry = {"name": "ens4", "numvfs": 3, "physical_network": "physnet2"}
    assert select(entry, firmware=True)[0]["left_alone"] == "all"
    assert "left_alone" not in select(dict(entry, on_boot_configuration_enabled=False))[0]


def test_a_connectx3_that_must_be_left_alone_is(mellanox):
    assert select({"name": "ens4", "on_boot_configuration_enabled": False})[0]["boot"] == "none"


def test_a_connectx3_whose_driver_has_released_it_is_refused_unless_it_must_have_no_vfs(mellanox):
    mellanox.bind(X0, None)
    assert refusal({"address": X0, "numvfs": 4}, firmware=True) == (
        "sriov_devices[0] (address 0000:04:00.0): ens4, ens4d1 (0000:04:00.0) is a ConnectX-3 without its driver: load mlx4_core and see the kernel log: the driver releases a card whose options in /etc/modprobe.d it rejects"
    )
    assert select({"address": X0, "numvfs": 0}, firmware=True)[0]["numvfs"] == 0


# --- OpenStack: the settings of Nova and the agent, against the hardware


NETWORK = "physnet2"
VFS_OF_A0 = ["0000:01:10.0", "0000:01:10.2", "0000:01:10.4", "0000:01:10.6"]
WORDS_OF_A0 = "the VFs of ens1f0 (0000:01:00.0) are 0000:01:10.0, 0000:01:10.2, 0000:01:10.4, 0000:01:10.6"


def ens1f0(numvfs=4, **more):
    return dict({"name": "ens1f0", "numvfs": numvfs, "physical_network": NETWORK}, **more)


def nova(**keys):
    return ens1f0(nova=keys)


@pytest.mark.parametrize("vfs", [0, 2, 4])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"devname": "ens1f0"},
        {"address": A0},
        {"address": "01:10.*"},
        {"address": "0000:01:*.0"},
        {"address": VFS_OF_A0[1]},
        {"address": VFS_OF_A0},
        {"address": {"bus": "01", "slot": "10", "function": "[0246]"}},
        {"vendor_id": "8086", "product_id": "10ca"},
        {"address": "01:10.*", "product_id": "0x10CA"},
        {"trusted": True},
    ],
)
def test_what_takes_the_vfs_and_nothing_else_is_fine_whether_they_are_there_yet_or_not(nics, keys, vfs):
    nics.create(A0, vfs)
    assert [device["physical_network"] for device in select(nova(**keys), {"name": "ens2"})] == [NETWORK, None]


def test_a_mapping_gives_the_physical_network_by_name_or_address(nics):
    mappings = {"ens1f0": "physnet2", "01:00.1": "physnet3", "p4p1": "physnet9"}
    devices = select({"name": "ens1f0", "numvfs": 4}, {"address": A1, "numvfs": 4}, mappings=mappings)
    assert [device["physical_network"] for device in devices] == ["physnet2", "physnet3"]


def test_a_mistyped_mapping_is_refused_with_what_the_host_has(nics):
    assert refusal({"name": "ens2"}, mappings={"ens9": "physnet2"}) == (
        "sriov_physnet_mappings has ens9, which is in no entry of sriov_devices, and sriov_devices[0] (name ens2) has no physical network: "
        "correct the mapping, or write physical_network: null in that entry if OpenStack must not use it; " + PFS
    )


@pytest.mark.parametrize(
    "entry, key, where",
    [
        ({"driver": "igb", "numvfs": 4}, "ens1f1", "sriov_devices[0] (driver igb) chooses ens1f1 (0000:01:00.1)"),
        ({"driver": "igb", "numvfs": 4}, "01:00.1", "sriov_devices[0] (driver igb) chooses ens1f1 (0000:01:00.1)"),
        (
            {"name": "ens1f0", "numvfs": 4, "physical_network": None},
            "storage-a",
            "sriov_devices[0] (name ens1f0) chooses ens1f0 (0000:01:00.0)",
        ),
        (
            {"address": A0, "numvfs": 4, "physical_network": "physnet3"},
            "ens1f0",
            "sriov_devices[0] (address 0000:01:00.0) chooses ens1f0 (0000:01:00.0)",
        ),
    ],
)
def test_a_mapping_by_another_name_than_the_selectors_is_refused(nics, entry, key, where):
    assert refusal(entry, mappings={key: NETWORK}) == (
        where
        + f", for which sriov_physnet_mappings has physnet2 under the name {key}: write physical_network: physnet2 in the right entry, and choose by name or address"
    )


def test_an_equal_mapping_by_another_name_is_fine(nics):
    assert select({"address": A0, "numvfs": 4, "physical_network": NETWORK}, mappings={"ens1f0": NETWORK})


@pytest.mark.parametrize(
    "selector, reason",
    [
        ({"mac": "02:00:00:00:00:a0"}, "mac, and Nova reads a MAC address as a PCI address"),
        ({"vendor_id": "15b3", "product_id": "1017"}, "vendor_id with product_id"),
        ({"driver": "mlx5_core"}, "driver"),
    ],
)
def test_a_selector_that_nova_does_not_know_is_refused_with_the_pfs_to_name(nics, selector, reason):
    pf = (A0, "ens1f0") if "mac" in selector else (B0, "ens2")
    assert refusal(dict(selector, numvfs=4, physical_network=NETWORK)).endswith(
        '): Nova and Neutron\'s agent cannot choose by %s: for physical_network use address: "%s" (%s)'
        % ((reason,) + pf)
    )


def test_all_pfs_of_such_a_selector_are_named(nics):
    nics.remove_function(A1)
    nics.add_function(A1, "8086:10c9", "igb", totalvfs=7)
    assert refusal({"driver": "igb", "numvfs": 4, "physical_network": NETWORK}).endswith(
        'use address: "0000:01:00.0" (ens1f0), address: "0000:01:00.1"'
    )


def test_an_alternative_name_is_refused_with_the_interfaces_own(nics):
    assert refusal({"name": "storage-a", "numvfs": 4, "physical_network": NETWORK}) == (
        "sriov_devices[0] (name storage-a): storage-a is an alternative name, but Nova and Neutron's agent know an interface only by its "
        "own name: write name: ens1f0"
    )
    assert chosen({"name": "storage-a"}) == [A0]


@pytest.mark.parametrize(
    "ids, text",
    [
        ({"vendor_id": "8086", "product_id": "10c9"}, "nova.product_id 10c9 is that of the PF"),
        ({"vendor_id": "8086", "product_id": "1889"}, "nova.product_id 1889 is another device's"),
        ({"vendor_id": "15b3", "product_id": "10ca"}, "nova.vendor_id 15b3 is another device's"),
        ({"address": "01:10.*", "product_id": "10C9"}, "nova.product_id 10c9 is that of the PF"),
    ],
)
def test_ids_that_are_not_the_vfs_are_refused(nics, ids, text):
    assert refusal(nova(**ids)) == (
        f'sriov_devices[0] (name ens1f0): {text}, and the VFs of ens1f0 (0000:01:00.0) have vendor_id: "8086" and product_id: "10ca": write those'
    )


def test_ids_cannot_be_checked_on_a_kernel_that_does_not_report_them(nics):
    (nics.pci(A0) / "sriov_vf_device").unlink()
    assert select(nova(vendor_id="8086", product_id="1889"))


@pytest.mark.parametrize(
    "keys, taken",
    [
        (
            {"address": "0000:01:*.*"},
            "address 0000:01:*.* also matches ens1f1 (0000:01:00.1), which is not of physnet2",
        ),
        ({"address": "*:*:00.0"}, "address *:*:00.0 also matches ens2 (0000:3b:00.0), which is not of physnet2"),
        ({"address": {"bus": "0"}}, "address {'bus': '0'} also matches mgmt (0000:00:03.0), which is not of physnet2"),
        (
            {"address": [VFS_OF_A0[0], "0000:00:03.0"]},
            "address 0000:00:03.0 also matches mgmt (0000:00:03.0), which is not of physnet2",
        ),
        ({"devname": "ens2"}, "devname ens2 also matches ens2 (0000:3b:00.0), which is not of physnet2"),
    ],
)
def test_a_device_spec_that_takes_more_than_the_vfs_is_refused(nics, keys, taken):
    assert refusal(nova(**keys)) == f"sriov_devices[0] (name ens1f0): {taken}: narrow it down in nova; {WORDS_OF_A0}"


def test_a_device_spec_that_takes_vfs_of_another_pf_is_refused_those_to_come_too(nics):
    both = [nova(address="01:10.*"), {"name": "ens1f1", "numvfs": 4, "physical_network": "physnet3"}]
    text = (
        "sriov_devices[0] (name ens1f0): address 01:10.* also matches 0000:01:10.1, which is of physnet3: narrow it down in nova; "
        + WORDS_OF_A0
    )
    assert refusal(*both) == text
    nics.create(A1, 4)
    assert refusal(*both) == text.replace("matches 0000:01:10.1", "matches v01101 (0000:01:10.1)")
    assert select(both[0], dict(both[1], physical_network=NETWORK))


def test_ids_alone_that_take_vfs_of_a_pf_without_physical_network_are_refused(nics):
    nics.create(A1, 1)
    assert "vendor_id 8086, product_id 10ca also matches v01101 (0000:01:10.1), which is not of physnet2" in refusal(
        nova(vendor_id="8086", product_id="10ca")
    )


@pytest.mark.parametrize("vfs", [0, 4])
@pytest.mark.parametrize(
    "keys, spec",
    [
        ({"address": "0000:01:11.*"}, "address 0000:01:11.*"),
        ({"address": [VFS_OF_A0[0], "0000:01:12.0"]}, "address 0000:01:12.0"),
        ({"devname": "ens9"}, "devname ens9"),
        (
            {"address": {"bus": "01", "slot": "1", "function": "[1357]"}},
            "address {'bus': '01', 'slot': '1', 'function': '[1357]'}",
        ),
    ],
)
def test_a_device_spec_that_takes_no_vf_is_refused(nics, keys, spec, vfs):
    nics.create(A0, vfs)
    assert (
        refusal(nova(**keys))
        == f"sriov_devices[0] (name ens1f0): {spec} matches none of its VFs: correct nova; {WORDS_OF_A0}"
    )


@pytest.mark.parametrize(
    "attribute, text", [("sriov_offset", None), ("sriov_stride", None), ("sriov_offset", "0"), ("sriov_stride", "0")]
)
def test_where_vfs_will_be_is_not_guessed(nics, attribute, text):
    (nics.pci(A0) / attribute).unlink()
    if text:
        (nics.pci(A0) / attribute).write_text(text)
    assert select(nova(address="0000:01:11.*"))
    nics.create(A0, 4)
    assert "matches none of its VFs" in refusal(nova(address="0000:01:11.*"))


def test_vfs_that_will_be_removed_may_be_taken_as_long_as_they_are_there(nics):
    nics.create(A0, 7)
    assert select(nova(address={"bus": "01", "slot": "1[01]", "function": "[0246]"}))


def test_one_vf_needs_no_stride(nics):
    (nics.pci(A0) / "sriov_stride").write_text("0")
    assert "the VFs of ens1f0 (0000:01:00.0) are 0000:01:10.0" in refusal(ens1f0(1, nova={"address": "0000:01:11.*"}))


def test_no_vfs_are_taken_when_none_are_wanted(nics):
    assert select(ens1f0(0, nova={"address": "0000:01:10.*"}))


def test_a_pf_that_is_left_alone_is_judged_by_the_vfs_that_it_has(nics):
    entry = ens1f0(nova={"address": "0000:01:11.*"}, on_boot_configuration_enabled=False)
    assert select(entry)
    nics.create(A0, 2)
    assert refusal(entry).endswith("are 0000:01:10.0, 0000:01:10.2")


def test_excluded_vfs_that_no_one_takes_are_fine(nics):
    assert select(ens1f0(exclude_vfs=[VFS_OF_A0[0]], nova={"address": VFS_OF_A0[1:]}))
    # There may be such a VF one day.
    assert select(ens1f0(1, exclude_vfs=["0000:01:11.4"], nova={"address": VFS_OF_A0[0]}))


@pytest.mark.parametrize("vfs", [0, 4])
@pytest.mark.parametrize("address", ["0000:01:10.1", "0000:01:11.6", A0, C0])
def test_an_excluded_vf_that_is_none_of_the_pfs_is_refused(nics, address, vfs):
    nics.create(A0, vfs)
    assert refusal(ens1f0(exclude_vfs=[address], nova={"address": VFS_OF_A0})) == (
        f"sriov_devices[0] (name ens1f0): exclude_vfs has {address}, which is not a VF of ens1f0 (0000:01:00.0): its VFs are 0000:01:10.0, 0000:01:10.2, 0000:01:10.4, 0000:01:10.6 and 3 more"
    )


def test_an_excluded_vf_of_which_nothing_is_known_is_let_be(nics):
    (nics.pci(A0) / "sriov_offset").unlink()
    entry = ens1f0(exclude_vfs=["0000:01:12.0"], nova={"address": VFS_OF_A0})
    assert select(entry)
    assert refusal(dict(entry, exclude_vfs=[C0])).endswith("its VFs are none yet")
    nics.create(A0, 2)
    assert select(ens1f0(exclude_vfs=VFS_OF_A0[:1], nova={"address": VFS_OF_A0[1]}))


def test_an_excluded_vf_that_another_entry_gives_away_is_refused(nics):
    entries = [
        ens1f0(exclude_vfs=[VFS_OF_A0[0]], nova={"address": VFS_OF_A0[1:]}),
        {"name": "ens1f1", "numvfs": 4, "physical_network": NETWORK, "nova": {"address": "01:10.*"}},
    ]
    assert refusal(*entries) == (
        "sriov_devices[1] (name ens1f1): address 01:10.* matches 0000:01:10.0, which exclude_vfs of sriov_devices[0] (name ens1f0) excludes: write "
        "nova.address as a list of the remaining VFs; the VFs of ens1f1 (0000:01:00.1) are 0000:01:10.1, 0000:01:10.3, 0000:01:10.5, "
        "0000:01:10.7"
    )


def test_excluded_vfs_and_ids_alone_are_refused(nics):
    assert "Nova gives it to guests by vendor_id 8086, product_id 10ca" in refusal(
        ens1f0(exclude_vfs=[VFS_OF_A0[0]], nova={"vendor_id": "8086", "product_id": "10ca"})
    )


@pytest.mark.parametrize("driver", ["vfio-pci", None])
def test_a_pf_without_interface_is_refused(nics, driver):
    nics.remove_function(A0)
    nics.add_function(A0, "8086:10c9", driver, totalvfs=7)
    assert refusal({"address": A0, "numvfs": 4, "physical_network": NETWORK}) == (
        "sriov_devices[0] (address 0000:01:00.0): 0000:01:00.0 has no network interface (driver %s), and Neutron's agent needs one: bind it "
        "to the NIC's own driver again, or remove physical_network" % (driver or "none")
    )


def test_an_absent_optional_device_gives_nova_nothing_of_what_is_there(nics):
    absent = {
        "name": "ens9",
        "optional": True,
        "physical_network": NETWORK,
        "nova": {"vendor_id": "8086", "product_id": "10ca"},
    }
    told = refusal(absent, {"name": "ens1f0", "numvfs": 2})
    assert told.startswith(
        "sriov_devices[0] (name ens9) chooses nothing on this host, and Nova would give guests 0000:01:10.0 by "
    )
    assert told.endswith(", which is not of physnet2: narrow it down in nova")
    absent = dict(absent, nova={"address": A0})
    assert refusal({"name": "ens1f0", "numvfs": 2, "physical_network": "physnet3"}, absent).endswith(
        "which is of physnet3: narrow it down in nova"
    )
    assert chosen({"name": "ens1f0", "numvfs": 2, "physical_network": NETWORK}, absent) == [A0]


def test_a_pf_with_the_connection_that_a_guest_could_be_given_whole_is_reported(nics, monkeypatch):
    monkeypatch.setattr(sriov_devices.connection, "connection_functions", lambda: {A0})
    whole = select(ens1f0(), {"name": "ens1f1", "numvfs": 2, "physical_network": NETWORK})
    assert sriov_devices.warnings_about(whole) == [
        "sriov_devices[0] (name ens1f0): Nova may give ens1f0 itself to a guest whose port is of type direct-physical, and it carries the "
        'connection to this host. To let Nova use its VFs only, write their ids next to the name: nova: {devname: ens1f0, vendor_id: "8086", '
        'product_id: "10ca"}'
    ]
    by_address = select({"address": A0, "numvfs": 4, "physical_network": NETWORK})
    assert 'nova: {address: "0000:01:00.0", vendor_id: "8086", ' in sriov_devices.warnings_about(by_address)[0]
    told_alone = select(ens1f0(nova={"devname": "ens1f0", "vendor_id": "8086", "product_id": "10ca"}))
    assert sriov_devices.warnings_about(told_alone) == []
    monkeypatch.setattr(sriov_devices.connection, "connection_functions", lambda: None)
    assert sriov_devices.warnings_about(whole) == []
    monkeypatch.setattr(
        sriov_devices.connection, "connection_functions", lambda: pytest.fail("the connection was looked for")
    )
    assert sriov_devices.warnings_about(select({"name": "ens1f0", "numvfs": 2})) == []


def test_an_absent_optional_device_may_have_a_physical_network(nics):
    entries = [
        {"name": "ens9", "optional": True, "physical_network": NETWORK},
        {"address": "81:00.0", "optional": True, "physical_network": NETWORK, "nova": {"address": "81:01.*"}},
    ]
    assert [device["physical_network"] for device in select(*entries)] == [NETWORK]


def test_a_card_in_a_domain_that_nova_does_not_take_is_refused(nics):
    wide = nics.add_function("10000:81:00.0", "8086:1592", "ice", ["ens8"], totalvfs=8)
    assert refusal({"address": wide, "physical_network": NETWORK}) == (
        "sriov_devices[0] (address 10000:81:00.0): Nova accepts no PCI domain of more than 16 bits, which ens8 (10000:81:00.0) has: turn VMD "
        "off for its slot in the BIOS, or remove physical_network"
    )


def test_the_host_is_not_read_for_openstack_when_no_entry_is_its(nics, monkeypatch):
    monkeypatch.setattr(sriov_devices, "every_function", lambda: pytest.fail("all functions were read"))
    assert select({"name": "ens2"}, mappings={})
    assert select({"name": "ens2", "physical_network": None}, mappings={"p4p1": NETWORK})


def test_a_card_that_waits_for_its_firmware_is_judged_by_what_is_there(mellanox):
    entry = {"address": M0, "numvfs": 8, "physical_network": NETWORK, "nova": {"address": "5e:00.2"}}
    assert select(entry, firmware=True)[0]["physical_network"] == NETWORK
    mellanox.bind(M0, None)
    mellanox.move_to_namespace("ens5f0")
    assert select(entry, firmware=True)
    assert "has no network interface (driver none)" in refusal(dict(entry, numvfs=0, nova={}), firmware=True)


def test_more_vfs_than_the_firmware_offers_now_may_be_elsewhere(mellanox, monkeypatch):
    mellanox.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"], totalvfs=4)
    entry = {"address": B0, "numvfs": 4, "physical_network": NETWORK, "nova": {"address": "3b:00.*"}}
    assert "matches none of its VFs" in refusal(entry, firmware=True)
    assert select(dict(entry, numvfs=16), firmware=True)
    monkeypatch.setattr(sriov_devices.pending, "of_this_boot", lambda _host, concern: {f"{concern}:{B0}:NUM_OF_VFS=16"})
    assert select(dict(entry, numvfs=16))


def test_a_connectx3_with_both_ports_on_one_address_is_chosen_by_name(mellanox):
    assert refusal({"address": X0, "numvfs": 4, "physical_network": NETWORK}, firmware=True) == (
        "sriov_devices[0] (address 0000:04:00.0): ens4 and ens4d1 are both on this address, and Neutron's agent needs one of them: choose by "
        "name, as in name: ens4"
    )
    assert select({"name": "ens4", "numvfs": 4, "physical_network": NETWORK}, firmware=True)


X0_VFS = ["0000:04:10.0", "0000:04:10.2", "0000:04:10.4"]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("vfs", [0, 3])
def test_the_ports_of_a_connectx3_on_two_networks_need_a_list_of_vfs_each(mellanox, order, vfs):
    mellanox.create(X0, vfs)
    ports = [
        {"name": "ens4", "numvfs": 2, "physical_network": "physnet2"},
        {"name": "ens4d1", "numvfs": 1, "physical_network": "physnet3"},
    ]
    assert "matches" in refusal(*ports[::order], firmware=True)
    lists = [
        dict(ports[0], nova={"address": X0_VFS[:2]}, exclude_vfs=X0_VFS[2:]),
        dict(ports[1], nova={"address": X0_VFS[2:]}, exclude_vfs=X0_VFS[:2]),
    ]
    assert len(select(*lists[::order], firmware=True)) == 2
    wrong = [dict(lists[0], nova={"address": X0_VFS}, exclude_vfs=[]), dict(lists[1], exclude_vfs=[])]
    text = refusal(*wrong[::order], firmware=True)
    assert (
        "address 0000:04:10.4 also matches " in text
        and "0000:04:10.4" in text
        and ", which is of physnet3: narrow it down" in text
    )
    # The PF itself is the first port's.
    expression = {"bus": "04", "slot": "00|10", "function": "[02]"}
    assert select(*[dict(ports[0], nova={"address": expression}), lists[1]][::order], firmware=True)


def test_a_mapping_may_have_both_ports_of_a_connectx3(mellanox):
    ports = [
        {"name": "ens4", "numvfs": 2, "nova": {"address": X0_VFS[:2]}},
        {"name": "ens4d1", "numvfs": 1, "nova": {"address": X0_VFS[2]}},
    ]
    devices = select(*ports, firmware=True, mappings={"ens4": "physnet2", "ens4d1": "physnet3"})
    assert [device["physical_network"] for device in devices] == ["physnet2", "physnet3"]


def test_what_the_variables_say_wrong_is_refused_by_the_role_too(nics):
    assert refusal(nova(address="52:54:00")).startswith(
        "sriov_devices[0] (name ens1f0): nova.address '52:54:00' looks like a MAC address"
    )
    assert "needs Nova 31" in refusal(nova(managed=True), release="2024.1")


def test_the_module_takes_mappings_and_a_release(nics, monkeypatch, capsys):
    code, result = run_module(
        monkeypatch,
        capsys,
        devices=[{"name": "ens2"}],
        numvfs=4,
        physnet_mappings={"ens2": NETWORK},
        openstack_release=2025.1,
    )
    assert (code, result["devices"][0]["physical_network"]) == (0, NETWORK)
    code, result = run_module(monkeypatch, capsys, devices=[{"name": "ens2"}], numvfs=4, openstack_release="2025")
    assert (code, result["msg"]) == (
        1,
        'sriov_openstack_release is \'2025\': write it as "2025.1", as "zed", or as "master"',
    )


# --- devices that are not set

BARE = "sriov_devices is not set, so nothing is changed on this host: set it, or write sriov_devices: [] for a host without VFs"
REMOVES = ". Check that the inventory and its group_vars are loaded, and set it; or write sriov_devices: [] to remove these VFs"
CONFIG = {
    "format": 1,
    "boot_wait": 30,
    "numvfs_timeout": 120,
    "devices": [
        {"address": A0, "id": "8086:10c9", "numvfs": 4, "boot": "systemd", "optional": False},
        {"address": "0000:81:00.0", "id": None, "numvfs": 2, "boot": "udev", "optional": True},
    ],
}


@pytest.fixture(name="places")
def _places(nics):
    """Every path where the role, or one before it, leaves something, below the tree of the fake host."""
    return nics


def leave(places, path, text):
    (places.root / path).parent.mkdir(parents=True, exist_ok=True)
    (places.root / path).write_text(text if isinstance(text, str) else json.dumps(text))


def unset(monkeypatch, capsys, **parameters):
    """The result of a run, with what it warned of: Ansible itself collects that for the life of a process."""
    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, sentence: warnings.append(sentence))
    code, result = run_module(monkeypatch, capsys, **dict({"numvfs": 8}, **parameters))
    assert code == (1 if result.get("failed") else 0)
    return dict(result, warnings=warnings)


@pytest.mark.parametrize("parameters", [{}, {"devices": None}, {"devices": ""}, {"devices": " "}])
@pytest.mark.parametrize("check_mode", [False, True])
def test_on_a_bare_host_they_are_reported_and_nothing_is_chosen(places, monkeypatch, capsys, parameters, check_mode):
    places.create(A0, 2)
    result = unset(monkeypatch, capsys, check_mode=check_mode, **parameters)
    assert (result["is_set"], result["devices"], result["notice"], result["warnings"]) == (False, [], BARE, [BARE])


def test_an_empty_list_is_set_on_a_bare_host_and_on_a_configured_one(places, monkeypatch, capsys):
    for _host in ("bare", "configured"):
        result = unset(monkeypatch, capsys, devices=[])
        assert (result["is_set"], result["devices"], result["notice"], result["warnings"]) == (True, [], "", [])
        leave(places, "etc/sriov/vfs.json", CONFIG)


LEFT = {
    "the role": ({"etc/sriov/vfs.json": CONFIG}, "ens1f0 (0000:01:00.0) with 4 VFs, 0000:81:00.0 with 2 VFs"),
    "a damaged configuration": ({"etc/sriov/vfs.json": "{"}, "vfs.json cannot be read ("),
    "a PF that waits for the boot to lose its VFs": (
        {"var/lib/sriov/pending-vfs.json": {f"vfs:{A0}=0": "boot-1"}},
        "ens1f0 (0000:01:00.0), whose VFs will be removed at the next boot",
    ),
    "a unit of stackhpc.linux.sriov": (
        {"etc/systemd/system/virtual-functions-ens1f0.service": LEGACY_UNIT.format(name="ens1f0", numvfs=2)},
        "ens1f0 (0000:01:00.0) with 0 VFs, by an earlier role",
    ),
    "a unit for a NIC that is gone": (
        {"etc/systemd/system/virtual-functions-gone.service": LEGACY_UNIT.format(name="gone", numvfs=2)},
        "/etc/systemd/system/virtual-functions-gone.service of an earlier role",
    ),
    "the rules of stackhpc.sriov": (
        {"etc/udev/rules.d/70-sriov.rules": legacy_block(ens2=3)},
        "ens2 (0000:3b:00.0) with 0 VFs, by an earlier role",
    ),
    "the rules of stackhpc.sriov, elsewhere": (
        {"etc/udev/rules.d/99-mine.rules": legacy_block(ens2=3)},
        "ens2 (0000:3b:00.0) with 0 VFs, by an earlier role",
    ),
    "ConnectX-3": ({"etc/modprobe.d/stackhpc-sriov-mlx4.conf": "options mlx4_core num_vfs=8\n"}, "ConnectX-3 by "),
    "firmware": (
        {"var/lib/sriov/pending-firmware.json": {"firmware:0000:3b:00.0:NUM_OF_VFS=8": "boot-1"}},
        "the firmware of 0000:3b:00, whose settings wait for a reboot",
    ),
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("more", [{}, {"firmware": True}])
@pytest.mark.parametrize("check_mode", [False, True])
def test_on_a_configured_host_they_are_refused_with_what_is_configured(
    places, monkeypatch, capsys, left, more, check_mode
):
    files, told = LEFT[left]
    for path, text in files.items():
        leave(places, path, text)
    before = places.files()
    rules = str(places.root / "etc/udev/rules.d/99-mine.rules")
    result = unset(monkeypatch, capsys, check_mode=check_mode, variables={"sriov_udev_rule_path": rules}, **more)
    assert result["msg"].startswith("sriov_devices is not set, and this host is configured: ") and result[
        "msg"
    ].endswith(REMOVES)
    assert told in result["msg"] and places.files() == before


@pytest.mark.parametrize(
    "files",
    [
        # What `[]` leaves on a host is not a reason to refuse.
        {
            "var/lib/sriov/kernel-parameters.json": {"added": ["iommu=pt"]},
            "etc/udev/rules.d/70-sriov.rules": "# the administrator's\n",
        },
        {"var/lib/sriov/pending-vfs.json": {f"vfs:{A0}=0": "an earlier boot"}},
        {"var/lib/sriov/pending-firmware.json": {"firmware:x=1": "an earlier boot"}},
    ],
)
def test_what_was_configured_before_is_not_a_configuration(places, monkeypatch, capsys, files):
    for path, text in files.items():
        leave(places, path, text)
    assert unset(monkeypatch, capsys)["notice"] == BARE


NAMES = ["sriov_numvfs", "sriov_device", "sriov_site", "sriov_reboot_required"]
DEVICE = "sriov_device is not a variable of this role: did you mean sriov_devices?"
SITE = "sriov_site is not a variable of this role: the role does not read it"


def test_unknown_variables_are_warned_of_and_a_misspelt_list_comes_first(places, monkeypatch, capsys):
    result = unset(monkeypatch, capsys, names=NAMES)
    assert (result["notice"], result["warnings"]) == (DEVICE + " " + BARE, [SITE, DEVICE + " " + BARE])
    leave(places, "etc/sriov/vfs.json", CONFIG)
    result = unset(monkeypatch, capsys, names=[*NAMES, "srov_devices"])
    assert result["msg"].startswith(
        DEVICE
        + " srov_devices is not a variable of this role: did you mean sriov_devices? sriov_devices is not set, and "
    )
    assert result["warnings"] == [SITE]


def test_unknown_variables_are_warned_of_where_the_devices_are_set_and_where_they_are_wrong(
    places, monkeypatch, capsys
):
    assert unset(monkeypatch, capsys, devices=[], names=NAMES)["warnings"] == [DEVICE, SITE]
    result = unset(monkeypatch, capsys, devices=[{"name": "no"}], names=NAMES)
    assert (result["failed"], result["warnings"]) == (True, [DEVICE, SITE])


def test_variables_of_a_wrong_form_are_refused_where_the_devices_are_not_set(places, monkeypatch, capsys):
    result = unset(monkeypatch, capsys, variables={"sriov_reboot_timeout": 0})
    assert result["msg"] == "sriov_reboot_timeout is 0: give a whole number from 1 to 1000000000"


def test_the_variables_are_checked_together_with_the_devices_and_before_the_host(unread, monkeypatch, capsys):
    result = unset(
        monkeypatch,
        capsys,
        devices=[{"name": "ens1f0", "numvfs": "x"}, {"nam": "ens1f1"}],
        variables={"sriov_boot_wait": -1},
    )
    assert result["msg"] == (
        "sriov_boot_wait is -1: give a whole number from 0 to 1000000000; "
        "sriov_devices[0] (name ens1f0): numvfs is 'x': give a whole number from 0 to 65535; "
        "sriov_devices[1] has nam, which is not one of its keys: did you mean name?"
    )


def test_all_selectors_that_cannot_be_right_are_reported_at_once(unread):
    assert refusal({"name": "a b"}, {"name": "ens1"}, {}) == (
        "sriov_devices[0]: name 'a b' has characters that no interface or driver name may contain: correct it; "
        "sriov_devices[2] has no selector: give it one of name, address, mac, vendor_id with product_id, driver"
    )


@pytest.mark.parametrize(
    "entry, numvfs, warned",
    [
        ({"name": "ens1f0"}, 3, True),
        ({"name": "ens1f0", "numvfs": None}, 0, True),
        ({"name": "ens1f0"}, 4, False),
        ({"name": "ens1f0"}, 5, False),
        ({"name": "ens1f0", "numvfs": 3}, 7, False),
        ({"name": "ens1f1"}, 3, False),
    ],
)
def test_fewer_vfs_by_a_number_that_may_be_lost_are_warned_of(places, monkeypatch, capsys, entry, numvfs, warned):
    leave(places, "etc/sriov/vfs.json", CONFIG)
    assert (
        unset(monkeypatch, capsys, devices=[entry], numvfs=numvfs)["warnings"]
        == [
            "sriov_devices[0] (name ens1f0) has no numvfs, so sriov_numvfs applies: ens1f0 gets %d VFs, and was configured with 4"
            % numvfs
        ]
        * warned
    )


@pytest.mark.parametrize(
    "path, read",
    [
        ("/etc/udev/rules.d/99-mine.rules", True),
        ("/run/udev/rules.d/99-mine.rules", True),
        ("/etc/udev/rules.d/../rules.d/99-mine.rules", True),
        ("/etc/udev/99-mine.rules", False),
        ("/opt/site/99-mine.rules", False),
        ("$SITE/99-mine.rules", True),
        (None, True),
    ],
)
def test_rules_that_udev_would_not_read_are_warned_of(places, monkeypatch, capsys, path, read):
    monkeypatch.setenv("SITE", "/etc/udev/rules.d")
    variables = {} if path is None else {"sriov_udev_rule_path": path}
    assert unset(monkeypatch, capsys, devices=[], variables=variables)["warnings"] == []
    assert unset(monkeypatch, capsys, devices=[{"name": "ens1f0", "numvfs": 1}], variables=variables)["warnings"] == (
        []
        if read
        else [
            f"sriov_udev_rule_path is {path}, and udev reads no rules in {path.rpartition('/')[0]}: a PF that appears later gets no VFs; give a path in /etc/udev/rules.d"
        ]
    )


def test_a_pf_that_is_down_is_warned_of_where_guests_get_its_vfs(places, monkeypatch, capsys):
    entry = {"name": "ens1f0", "numvfs": 1, "physical_network": "physnet2"}
    [warning] = unset(monkeypatch, capsys, devices=[entry])["warnings"]
    assert warning.startswith("sriov_devices[0] (name ens1f0): ens1f0 is down, and libvirt starts no guest ")
    assert unset(monkeypatch, capsys, devices=[dict(entry, up=True)])["warnings"] == []


@pytest.mark.parametrize("action", [True, False])
@pytest.mark.parametrize("vendors, told", [([0x15B3], "5555"), (["15b"], "'15b'"), ([None], "null")])
def test_vendors_that_no_card_can_have_are_refused_with_every_action(
    places, monkeypatch, capsys, action, vendors, told
):
    message = unset(monkeypatch, capsys, devices=[], mellanox_vendor_ids=vendors, firmware=action)["msg"]
    assert message.startswith("sriov_mellanox_vendor_ids") and told in message, message


def test_variables_that_ansible_has_made_one_text_of_are_refused_after_what_can_be_told_better(
    places, monkeypatch, capsys
):
    text = "{'sriov_boot_wait': inf}"
    assert unset(monkeypatch, capsys, devices=[], variables=text)["msg"].startswith("sriov_boot_wait is inf, ")
    assert unset(monkeypatch, capsys, variables=text)["msg"].startswith("sriov_boot_wait is inf, ")
    assert (
        unset(monkeypatch, capsys, devices=[], numvfs="inf", variables=text)["msg"]
        == "sriov_numvfs is 'inf': give a whole number from 0 to 65535"
    )
