# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VFs that the host's network leaves alone: the files, which are in force before the first VF exists, and their reload.

The scenario `settings` shows with a real udev and a real networkd what the files do.
"""

import os
import shutil

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import left_alone
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.selection import network_manager
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host
from test_vfs import AT_BOOT, CONFIG, ONE, TWO, _two, device, put, refused, run, run_module, run_once, text  # noqa: F401

RULE, NETWORK = "etc/udev/rules.d/95-sriov-vfs.rules", "etc/systemd/network/05-sriov-vfs.network"
MARKS = 'ENV{NM_UNMANAGED}="1", ENV{SRIOV_LEFT_ALONE}="1"'
UDEV_RELOAD = ["udevadm", "control", "--reload"]


@pytest.fixture(name="services")
def _services(two, monkeypatch):
    """The host with udev and a systemd; the units that it runs."""
    units, exists, lexists = set(), os.path.exists, os.path.lexists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/run/udev/control" or exists(path))
    monkeypatch.setattr(
        os.path, "lexists", lambda path: str(path).rpartition("/invocation:")[2] in units or lexists(path)
    )
    return units


def record(fake, marks):
    """Let udev's database have these VFs and no other, with or without the mark. Returns their interfaces' names."""
    shutil.rmtree(fake.root / "run/udev/data", ignore_errors=True)
    names = [fake.vf_netdev(*vf) for vf in marks]
    for index, (name, marked) in enumerate(zip(names, marks.values()), start=90):
        (fake.netdev(name) / "ifindex").write_text(f"{index}\n")
        put(fake, f"run/udev/data/n{index}", "I:1\nE:ID_BUS=pci\n" + ("E:SRIOV_LEFT_ALONE=1\n" if marked else ""))
    return names


def test_all_vfs_of_a_pf_are_marked_by_its_address_and_some_by_their_numbers(two):
    run(two, device(TWO, 7, left_alone=[0, 2]), device(ONE, 4, left_alone="all"))
    assert text(two, RULE) == (
        "# sriov-vfs: written by Ansible, changes here are lost\n"
        'SUBSYSTEM!="net", GOTO="sriov_vfs_end"\n'
        'ACTION=="remove", GOTO="sriov_vfs_end"\n'
        'TEST!="device/physfn", GOTO="sriov_vfs_end"\n'
        f'ATTR{{device/physfn/uevent}}=="*PCI_SLOT_NAME=0000:01:00.0*", {MARKS}\n'
        'ATTR{device/physfn/uevent}!="*PCI_SLOT_NAME=0000:01:00.1*", GOTO="sriov_vfs_0000:01:00.1_end"\n'
        f'TEST=="/sys/bus/pci/devices/0000:01:00.1/virtfn0/net/$kernel", {MARKS}\n'
        f'TEST=="/sys/bus/pci/devices/0000:01:00.1/virtfn2/net/$kernel", {MARKS}\n'
        'LABEL="sriov_vfs_0000:01:00.1_end"\n'
        'LABEL="sriov_vfs_end"\n'
    )
    assert text(two, NETWORK).endswith("[Match]\nProperty=SRIOV_LEFT_ALONE=1\n\n[Link]\nUnmanaged=yes\n")
    assert set(two.files()) == AT_BOOT | {RULE, NETWORK}


@pytest.mark.parametrize("more", [{}, {"left_alone": []}, {"left_alone": "all", "boot": "none"}])
def test_without_such_a_vf_there_is_no_file(two, more):
    run(two, device(ONE, **more))
    assert not {RULE, NETWORK} & set(two.files())


def test_vfs_that_the_driver_of_their_pf_makes_are_left_alone_too_and_nothing_else_is_done_with_them(two):
    run(two, device(ONE, 4, boot="module", left_alone="all"))
    assert (set(two.files()), two.writes(ONE)) == ({RULE, NETWORK}, [])


@pytest.mark.parametrize(("second", "is_marked"), [("all", True), ([0], False), ([], False)])
def test_a_connectx3_with_a_vf_for_the_host_on_one_port_is_not_marked(two, second, is_marked):
    run(two, device(ONE, 4, boot="module", left_alone="all"), device(ONE, 3, boot="module", left_alone=second))
    assert (RULE in two.files()) == is_marked


def test_the_files_go_with_the_wish_and_with_the_pf(two):
    for devices in ([device(ONE)], [], [device(ONE, 0, left_alone="all")]):
        run(two, device(ONE, left_alone="all"))
        assert {RULE, NETWORK} <= set(two.files())
        run(two, *devices)
        assert not {RULE, NETWORK} & set(two.files())
        assert not (two.etc / "systemd/network").exists() or not os.listdir(two.etc / "systemd/network")


def test_both_are_in_force_before_the_first_vf_exists(two, services, monkeypatch):
    services.add("systemd-networkd.service")
    seen, set_all = [], host.set_all

    def look(*arguments):
        seen.append((set(two.files()) & {RULE, NETWORK, CONFIG}, list(two.commands)))
        return set_all(*arguments)

    monkeypatch.setattr(host, "set_all", look)
    run_once(two, [device(ONE, left_alone="all")])
    assert seen == [({RULE, NETWORK}, [UDEV_RELOAD, ["networkctl", "reload"]])]


def test_they_are_removed_after_the_last_vf(two, services, monkeypatch):
    services.add("systemd-networkd.service")
    run_once(two, [device(ONE, left_alone="all")])
    two.commands.clear()
    seen, set_all = [], host.set_all

    def look(*arguments):
        seen.append((set(two.files()) & {RULE, NETWORK}, list(two.commands)))
        return set_all(*arguments)

    monkeypatch.setattr(host, "set_all", look)
    run_once(two, [])
    assert seen == [({RULE, NETWORK}, [])]
    assert not {RULE, NETWORK} & set(two.files()) and two.commands[-1] == ["networkctl", "reload"]


@pytest.mark.parametrize("numbers", ["all", [0, 2]])
def test_what_a_pf_that_leaves_keeps_until_the_next_boot_stays_left_alone(two, services, numbers):
    services.update(("NetworkManager.service", "systemd-networkd.service"))
    run_once(two, [device(ONE, 3, left_alone=numbers), device(TWO, 2, left_alone="all")])
    rule = text(two, RULE)
    two.bind(two.vf(ONE, 0), "vfio-pci")
    record(two, {(ONE, 1): numbers == "all", (ONE, 2): True})
    two.commands.clear()
    for _run in range(2):
        result = run_once(two, [])
        assert [pf["state"] for pf in result["pfs"] if pf["address"] == ONE] == ["pending"]
        assert text(two, RULE) == rule.replace(next(line for line in rule.split("\n") if TWO in line) + "\n", "")
        assert NETWORK in two.files()
    assert not [command for command in two.commands if "nmcli" in command]
    two.reboot("next")
    run_once(two, [])
    assert not {RULE, NETWORK} & set(two.files())


def test_networkd_is_not_started_to_read_them(two, services):
    run_once(two, [device(ONE, left_alone="all")])
    assert services == set() and [command for command in two.commands if command[0] == "networkctl"] == []


def test_when_a_pf_fails_they_are_put_back_and_read_again(two, services):
    services.add("systemd-networkd.service")
    two.behave(ONE, errors={"4": "EIO"})
    refused(two, device(ONE, left_alone="all"))
    assert two.files() == {}
    assert two.commands == [UDEV_RELOAD, ["networkctl", "reload"]] * 2


def test_a_udev_that_does_not_read_them_ends_the_run_before_a_vf_is_made(two, services, monkeypatch):
    monkeypatch.setattr(
        host, "set_all", lambda *_arguments: pytest.fail("VFs were made, and udev does not know the rule")
    )
    with pytest.raises(host.Refusal) as caught:
        run_once(two, [device(ONE, left_alone="all")], command=lambda _command: (1, "", "no udev\n"))
    assert str(caught.value) == (
        "udevadm control --reload failed (no udev): correct that, then run the role again; "
        "the VFs and their files are as they were"
    )
    assert [(pf["state"], pf["now"]) for pf in caught.value.details["pfs"]] == [("unchanged", 0)]
    assert (two.files(), two.writes(ONE), os.path.exists(host.HOST.owed)) == ({}, [], False)


# --- VFs that exist already


def test_only_vfs_with_another_mark_than_is_wanted_get_an_event(two, services):
    run_once(two, [device(ONE, 3), device(TWO, 2, left_alone="all")])
    names = record(two, {(ONE, 0): False, (ONE, 1): True, (TWO, 0): True})
    two.commands.clear()
    run_once(two, [device(ONE, 3, left_alone=[0, 2]), device(TWO, 2, left_alone="all")])
    # VF 2 has no record: its first event is still to come.
    trigger = ["udevadm", "trigger", "--settle", "--action=change"]
    assert two.commands == [
        UDEV_RELOAD,
        UDEV_RELOAD,
        trigger + [f"/sys/class/net/{name}" for name in sorted(names[:2])],
    ]


def test_networkmanager_gets_the_names_of_those_that_it_must_leave_and_networkd_looks_after_the_event(two, services):
    services.update(("NetworkManager.service", "systemd-networkd.service"))
    run_once(two, [device(ONE, 2, left_alone=[1])])
    names = record(two, {(ONE, 0): False, (ONE, 1): True})
    two.commands.clear()
    run_once(two, [device(ONE, 2, left_alone=[0])])
    assert two.commands[-3:] == [
        ["udevadm", "trigger", "--settle", "--action=change"] + [f"/sys/class/net/{name}" for name in sorted(names)],
        ["nmcli", "device", "set", names[0], "managed", "no"],
        ["networkctl", "reload"],
    ]


def test_a_run_that_ended_before_the_event_is_made_good_by_the_next(two, services):
    run_once(two, [device(ONE, 2, left_alone="all")])
    [name] = record(two, {(ONE, 0): False})
    put(two, "run/sriov-vfs.owed", f'["{host.HOST.left_alone_rules}"]\n')
    two.commands.clear()
    result = run_once(two, [device(ONE, 2, left_alone="all")])
    assert result["changed"] and two.commands[-1][-1] == f"/sys/class/net/{name}"
    assert not run_once(two, [device(ONE, 2, left_alone="all")])["changed"]


def test_a_converged_run_starts_no_program(two, services):
    services.add("systemd-networkd.service")
    run_once(two, [device(ONE, left_alone="all")])
    two.commands.clear()
    assert run_once(two, [device(ONE, left_alone="all")])["settled"] and two.commands == []


# --- what the module refuses


@pytest.mark.parametrize("value", ["some", [-1], ["0"], 3, None])
def test_other_values_are_refused(two, monkeypatch, capsys, value):
    code, result = run_module(monkeypatch, capsys, devices=[device(left_alone=value)])
    assert code == 1 and result["msg"].startswith("devices[0]: left_alone is ") and two.files() == {}


def test_the_file_of_others_cannot_be_that_of_the_marks(two, monkeypatch, capsys):
    path = host.HOST.left_alone_rules
    code, result = run_module(monkeypatch, capsys, devices=[device()], udev_rule_path=path)
    assert (code, result["msg"]) == (
        1,
        f"udev_rule_path is {path}, where the role has another file: give another path",
    )


def test_both_files_sort_where_they_must():
    rules, network = os.path.basename(host.HOST.left_alone_rules), os.path.basename(host.HOST.left_alone_network)
    assert rules > "90-netplan.rules" and network < "10-netplan-all.network"
    assert left_alone.MARK in left_alone.NETWORK


# --- NetworkManager's own number of VFs


@pytest.fixture(name="told")
def _told(two):
    """Write a file of NetworkManager, and return the sentences about two PFs, ens1 and ens2."""
    (two.netdev("ens2") / "address").write_text("02:00:00:00:00:09\n")

    def told(path, content):
        put(two, path, content)
        devices = [device(ONE, name="ens1"), device(TWO, name="ens2"), device("0000:00:03.0", name="mgmt", boot="none")]
        return network_manager.warnings_about_network_manager(devices)

    return told


PROFILE = "etc/NetworkManager/system-connections/vfs.nmconnection"
CONF = "usr/lib/NetworkManager/conf.d/vfs.conf"


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("[connection]\ntype=ethernet\ninterface-name=ens1\n[sriov]\ntotal-vfs=2\n", ["ens1"]),
        ("[connection]\ninterface-name=ens1\n[sriov]\n", ["ens1"]),
        ("[connection]\ntype=ethernet\n[sriov]\ntotal-vfs=2\n", ["ens1", "ens2"]),
        ("[connection]\ntype=ethernet\n[ethernet]\nmac-address=02:00:00:00:00:09\n[sriov]\n", ["ens2"]),
        ("[connection]\ntype=ethernet\n[match]\ninterface-name=eth*;ens1*;\n[sriov]\n", ["ens1"]),
        ("[connection]\ntype=ethernet\n[match]\npath=pci-0000:01:00.1\n[sriov]\n", ["ens2"]),
        ("[connection]\ntype=wifi\n[sriov]\ntotal-vfs=2\n", []),
        ("[connection]\ntype=ethernet\ninterface-name=mgmt\n[sriov]\ntotal-vfs=2\n", []),
        ("[connection]\ntype=ethernet\ninterface-name=ens1\n", []),
        ("not a keyfile\n[connection\n=\n[sriov]\n#interface-name=ens1\n[connection]\ninterface-name=ens2\n", ["ens2"]),
        ("\n", []),
    ],
)
def test_a_profile_that_owns_the_vfs_of_a_pf_is_named_with_the_pf(told, two, content, names):
    addresses = {"ens1": ONE, "ens2": TWO}
    assert told(PROFILE, content) == [
        f"{two.root}/{PROFILE} has [sriov] for {name} ({addresses[name]}), so NetworkManager sets the number of its VFs too: "
        "remove it there, or the PF from sriov_devices"
        for name in names
    ]


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (None, ["ens1", "ens2"]),
        ("*", ["ens1", "ens2"]),
        ("ens1", ["ens1"]),
        ("interface-name:ens*,except:interface-name:ens2", ["ens1"]),
        ("except:interface-name:=ens1", ["ens2"]),
        ("mac:02:00:00:00:00:09", ["ens2"]),
        ("02:00:00:00:00:09", ["ens2"]),
        ("driver:igb", ["ens1", "ens2"]),
        ("driver:mlx5_core;type:wifi", []),
        ("type:ethernet", ["ens1", "ens2"]),
    ],
)
def test_so_is_a_number_in_the_configuration(told, spec, names):
    content = "[device-vfs]\n" + (f"match-device={spec}\n" if spec else "") + "sriov-num-vfs=4\n"
    sentences = told(CONF, content)
    assert [sentence.split(" for ")[1].split(" ")[0] for sentence in sentences] == names
    assert all("/conf.d/vfs.conf has sriov-num-vfs for " in sentence for sentence in sentences)
    assert told(CONF, content.replace("[device-vfs]", "[main]")) == []
