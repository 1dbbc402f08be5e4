# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_vfs against a fake kernel: VFs, files, take-over, what waits for a reboot, and a truthful check mode."""

import json
import os
import signal
import time

import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import boot_files, vfs
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.joined import program_text
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_vfs
from fake_sysfs import LEGACY_UNIT, fake_host, legacy_block  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host

ONE, TWO = "0000:01:00.0", "0000:01:00.1"
UNITS = {"sriov-vfs.service": "boot\n", "sriov-vfs@.service": "device\n", "sriov-vfs-ready@.service": "ready\n"}
PROGRAM, CONFIG, RULES = "usr/local/sbin/sriov-vfs", "etc/sriov/vfs.json", "etc/udev/rules.d/70-sriov.rules"
SYSTEMD = "etc/systemd/system/"
BOOT_LINK = SYSTEMD + "multi-user.target.wants/sriov-vfs.service"
COMMON = {PROGRAM, CONFIG, RULES, SYSTEMD + "sriov-vfs@.service", SYSTEMD + "sriov-vfs-ready@.service"}
AT_BOOT = COMMON | {SYSTEMD + "sriov-vfs.service", BOOT_LINK}
PENDING, RELEASED = "var/lib/sriov/pending-vfs.json", "var/lib/sriov/released.json"


@pytest.fixture(name="two")
def _two(fake):
    """A host with two PFs and every path of the module in its tree."""
    fake.add_function(ONE, netdevs=["ens1"], totalvfs=7)
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    fake.add_function("0000:00:03.0", "8086:100e", "e1000", ["mgmt"])
    fake.default_route_is_on("mgmt")
    fake.commands = []
    return fake


def device(address=ONE, numvfs=4, **more):
    return dict(
        {
            "address": address,
            "id": "8086:10c9",
            "name": "",
            "numvfs": numvfs,
            "boot": "systemd",
            "required_by": [],
            "optional": False,
            "trigger": "net",
            "selector": "sriov_devices[0]",
        },
        **more,
    )


def run_once(fake, devices, check_mode=False, command=None, **more):
    parameters = dict(
        {
            "devices": list(devices),
            "boot_wait": 30,
            "numvfs_timeout": 5,
            "settings_timeout": 30,
            "change_connection_pf": False,
            "udev_rule_path": str(fake.root / RULES),
            "units": UNITS,
        },
        **more,
    )
    return vfs.ensure(
        parameters,
        check_mode,
        command or (lambda command: fake.commands.append(command) or (0, "", "")),
        vfs.Interruption(),
    )


def state_of(fake):
    return fake.files(), {
        address: (fake.numvfs(address), fake.writes(address))
        for address in (ONE, TWO)
        if (fake.pci(address) / "sriov_numvfs").exists()
    }


def run(fake, *devices, **more):
    """A run in check mode, which must change nothing and tell all, then the real one, then a second that changes
    nothing.
    """
    before = state_of(fake)
    checked = run_once(fake, devices, check_mode=True, **more)
    assert state_of(fake) == before
    done = run_once(fake, devices, **more)
    for key in ("changed", "diff", "pfs", "reboot", "stuck"):
        assert checked[key] == done[key], key
    assert done["changed"] == bool(done["diff"])
    after = state_of(fake)
    again = run_once(fake, devices, **more)
    assert (again["changed"], again["diff"]) == (False, [])
    assert (again["reboot"], again["stuck"]) == (done["reboot"], done["stuck"])
    assert state_of(fake) == after
    return done


def text(fake, path):
    return (fake.root / path).read_text()


def put(fake, path, content, mode=0o644):
    (fake.root / path).parent.mkdir(parents=True, exist_ok=True)
    (fake.root / path).write_text(content)
    (fake.root / path).chmod(mode)


def refused(fake, *devices, **more):
    with pytest.raises(host.Refusal) as caught:
        run_once(fake, devices, **more)
    return str(caught.value)


# --- the files


def test_systemd_a_device_gets_its_vfs_program_configuration_units_link_and_rule(two):
    result = run(two, device(ONE, 4), device(TWO, 7, name="ens2"))
    assert (two.numvfs(ONE), two.numvfs(TWO)) == (4, 7)
    assert set(two.files()) == AT_BOOT
    assert json.loads(text(two, CONFIG)) == {
        "format": 1,
        "boot_wait": 30,
        "numvfs_timeout": 5,
        "settings_timeout": 30,
        "udev_rule_path": str(two.root / RULES),
        "devices": [
            {"address": ONE, "id": "8086:10c9", "numvfs": 4, "boot": "systemd", "optional": False, "name": ""},
            {"address": TWO, "id": "8086:10c9", "numvfs": 7, "boot": "systemd", "optional": False, "name": "ens2"},
        ],
    }
    assert text(two, RULES) == (
        "# BEGIN stackhpc.sriov: written by Ansible, changes here are lost\n"
        'SUBSYSTEM=="net", ATTR{phys_port_name}=="*pf[0-9]*vf[0-9]*|*pf[0-9]*sf[0-9]*", GOTO="sriov_end"\n'
        'ACTION!="remove", SUBSYSTEM=="net", KERNELS=="0000:01:00.0", TAG+="systemd", '
        'ENV{SYSTEMD_WANTS}+="sriov-vfs@0000:01:00.0.service"\n'
        'ACTION!="remove", SUBSYSTEM=="net", KERNELS=="0000:01:00.1", TAG+="systemd", '
        'ENV{SYSTEMD_WANTS}+="sriov-vfs@0000:01:00.1.service"\n'
        'LABEL="sriov_end"\n'
        "# END stackhpc.sriov\n"
    )
    assert os.readlink(two.root / BOOT_LINK) == str(two.root / SYSTEMD / "sriov-vfs.service")
    assert text(two, SYSTEMD + "sriov-vfs@.service") == "device\n"
    assert {path: oct(mode) for path, (_text, mode) in two.files().items() if mode} == {
        path: "0o755" if path == PROGRAM else "0o644" for path in AT_BOOT - {BOOT_LINK}
    }
    assert [pf["state"] for pf in result["pfs"]] == ["changed", "changed"]
    assert (result["reboot"], result["stuck"]) == ([], [])


def test_the_boot_program_reads_the_configuration_that_the_module_writes(two):
    run(two, device(ONE, 4))
    two.reboot("boot-2")
    assert host.main(["boot"]) == 0
    assert two.numvfs(ONE) == 4
    assert not run(two, device(ONE, 4))["changed"]


def test_udev_a_device_gets_no_boot_unit(two):
    run(two, device(boot="udev"))
    assert set(two.files()) == COMMON
    assert "sriov-vfs@0000:01:00.0.service" in text(two, RULES)


def test_a_device_may_change_between_systemd_and_udev(two):
    run(two, device())
    run(two, device(boot="udev"))
    assert set(two.files()) == COMMON
    run(two, device())
    assert set(two.files()) == AT_BOOT
    assert two.writes(ONE) == [4]


def test_a_pf_without_interface_is_started_by_the_function(two):
    run(two, device(trigger="pci"))
    assert 'ACTION!="remove", SUBSYSTEM=="pci", KERNEL=="0000:01:00.0", TAG+="systemd"' in text(two, RULES)


@pytest.mark.parametrize("devices", [[], [device(boot="none")], [device(numvfs=0)]])
def test_none_a_host_that_was_never_ours_gets_no_file(two, devices):
    assert not run(two, *devices)["changed"]
    assert two.files() == {}


def test_a_pf_whose_firmware_waits_for_the_reboot_is_configured_and_adds_no_reason_for_one(two):
    two.add_function("0000:5e:00.0", "15b3:1017", "mlx5_core", ["ens5"])
    waiting = device("0000:5e:00.0", 8, id="15b3:1017", waits="its firmware offers more from the next boot on")
    result = run(two, device(ONE, 4), waiting)
    assert [(pf["state"], pf["now"]) for pf in result["pfs"]] == [("changed", 4), ("waiting", 0)]
    assert (
        result["pfs"][1]["message"]
        == "ens5 (0000:5e:00.0) has 0 of 8 VFs: its firmware offers more from the next boot on"
    )
    assert result["reboot"] == []
    assert [entry["numvfs"] for entry in json.loads(text(two, CONFIG))["devices"]] == [4, 8]


def test_a_card_whose_driver_makes_the_vfs_is_left_to_it(two):
    two.create(ONE, 3)
    result = run(two, device(ONE, 4, boot="module"), device(TWO, 0, boot="module"))
    assert (result["changed"], result["pfs"], two.numvfs(ONE), two.files()) == (False, [], 3, {})


def test_an_optional_pf_that_is_absent_is_configured_and_skipped(two):
    result = run(two, device("0000:09:00.0", optional=True, id=None))
    assert [(pf["state"], pf["now"]) for pf in result["pfs"]] == [("skipped", None)]
    assert set(two.files()) == AT_BOOT


def test_an_optional_pf_that_is_absent_may_be_to_have_none(two):
    assert run(two, device("0000:09:00.0", 0, optional=True, id=None))["pfs"] == []


def test_check_mode_on_a_fresh_host_leaves_nothing_behind(two):
    run_once(two, [device()], check_mode=True)
    assert (two.files(), two.writes(ONE), two.commands) == ({}, [], [])


def test_the_program_is_the_source_of_the_module_utils_and_its_change_is_reported_in_lines(two):
    result = run(two, device())
    assert text(two, PROGRAM) == program_text()
    [diff] = [diff for diff in result["diff"] if diff["after_header"].endswith(PROGRAM)]
    assert (diff["before"], diff["after"]) == ("", f"{len(text(two, PROGRAM).splitlines())} lines\n")
    put(two, PROGRAM, "old\n", 0o755)
    result = run(two, device())
    assert [diff["before"] for diff in result["diff"]] == ["1 lines\n"]


def test_a_file_changed_by_hand_or_of_another_mode_is_made_right(two):
    run(two, device())
    put(two, SYSTEMD + "sriov-vfs.service", "mine\n")
    (two.root / PROGRAM).chmod(0o600)
    (two.root / BOOT_LINK).unlink()
    result = run(two, device())
    assert sorted(diff["after_header"] for diff in result["diff"]) == sorted(
        str(two.root / path) for path in (SYSTEMD + "sriov-vfs.service", PROGRAM, BOOT_LINK)
    )
    assert two.files()[PROGRAM][1] == 0o755


def test_systemd_and_udev_are_reloaded_only_when_something_of_theirs_changed(two, monkeypatch):
    isdir, exists = os.path.isdir, os.path.exists
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system" or isdir(path))
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/run/udev/control" or exists(path))
    run(two, device())
    assert two.commands == [["systemctl", "daemon-reload"], ["udevadm", "control", "--reload"]]
    run(two, device(numvfs=5))
    assert len(two.commands) == 2
    run(two)
    assert two.commands[2:] == [["systemctl", "daemon-reload"], ["udevadm", "control", "--reload"]]


def test_the_diff_shows_the_vfs_and_each_file(two):
    result = run(two, device())
    assert result["diff"][0] == {"before_header": ONE, "after_header": ONE, "before": "0 VFs\n", "after": "4 VFs\n"}
    assert len(result["diff"]) == 1 + len(AT_BOOT)
    assert {
        "before_header": str(two.root / BOOT_LINK),
        "after_header": str(two.root / BOOT_LINK),
        "before": "",
        "after": f"link to {two.root / SYSTEMD / 'sriov-vfs.service'}\n",
    } in result["diff"]


# --- the last known interface of a PF


def names(fake):
    return [entry["name"] for entry in json.loads(text(fake, CONFIG))["devices"]]


def test_an_interface_that_is_renamed_is_remembered_and_no_change_to_report(two):
    run(two, device(name="eth0"))
    assert run_once(two, [device(name="ens1")], check_mode=True)["changed"] is False
    assert names(two) == ["eth0"]
    assert not run(two, device(name="ens1"))["changed"]
    assert names(two) == ["ens1"]


def test_a_name_stays_while_the_pf_is_gone_or_has_no_interface(two):
    two.remove_function(TWO)
    two.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    run(two, device(ONE, name="ens1"), device(TWO, name="ens2", optional=True))
    two.remove_function(TWO)
    assert not run(two, device(ONE, name=""), device(TWO, id=None, name="", optional=True))["diff"][1:]
    assert names(two) == ["ens1", "ens2"]


def test_another_card_has_not_the_name_of_the_one_before(two):
    run(two, device(name="ens1"))
    two.remove_function(ONE)
    two.add_function(ONE, "15b3:1017", "mlx5_core", totalvfs=8)
    run(two, device(id="15b3:1017", name=""))
    assert names(two) == [""]


def test_a_file_of_an_earlier_version_has_no_names_and_works_and_gets_them(two, capsys):
    run(two, device(name="ens1"))
    config = json.loads(text(two, CONFIG))
    del config["devices"][0]["name"]
    put(two, CONFIG, json.dumps(config, indent=2) + "\n")
    assert host.main(["status"]) == 0
    assert [diff["after_header"] for diff in run(two, device(name="ens1"))["diff"]] == [host.HOST.config]
    assert names(two) == ["ens1"]


def test_a_name_that_cannot_be_printed_is_left_out(two):
    run(two, device(name="\udcff"), device(TWO, name="\x1b[2J"))
    assert names(two) == ["", ""]


# --- leaving


def test_a_device_that_leaves_the_list_loses_its_vfs_and_the_other_stays(two):
    run(two, device(ONE), device(TWO))
    result = run(two, device(TWO))
    assert (two.numvfs(ONE), two.numvfs(TWO)) == (0, 4)
    assert [(pf["address"], pf["state"], pf["now"]) for pf in result["pfs"]] == [(TWO, "ok", 4), (ONE, "changed", 0)]
    assert ONE not in text(two, RULES) + text(two, CONFIG)
    assert set(two.files()) == AT_BOOT


@pytest.mark.parametrize("devices", [[], [device(numvfs=0)]])
def test_when_the_last_leaves_or_must_have_none_everything_of_ours_is_removed(two, devices):
    run(two, device(required_by=["docker.service"]))
    run(two, *devices)
    assert two.numvfs(ONE) == 0
    assert two.files() == {}
    assert not (two.etc / "sriov").exists() and not (two.etc / "systemd/system/docker.service.d").exists()


def test_vfs_that_another_program_made_on_a_pf_that_was_never_ours_stay(two):
    two.create(TWO, 3)
    run(two, device(ONE))
    run(two)
    assert two.numvfs(TWO) == 3


def test_numvfs_0_removes_whoevers_vfs(two):
    two.create(TWO, 3)
    run(two, device(TWO, 0))
    assert two.numvfs(TWO) == 0


def test_a_device_that_is_now_left_alone_keeps_its_vfs_and_loses_its_files(two):
    run(two, device(ONE), device(TWO))
    run(two, device(ONE, boot="none"), device(TWO))
    assert (two.numvfs(ONE), two.numvfs(TWO)) == (4, 4)
    assert ONE not in text(two, CONFIG) + text(two, RULES)
    run(two, device(ONE, boot="none"))
    assert (two.numvfs(ONE), two.numvfs(TWO), two.files()) == (4, 0, {})
    run(two)
    assert two.numvfs(ONE) == 4


def test_a_pf_that_left_and_is_gone_is_not_an_error(two):
    run(two, device(ONE), device(TWO))
    two.remove_function(ONE)
    assert [pf["address"] for pf in run(two, device(TWO))["pfs"]] == [TWO]


def test_vfs_of_another_card_at_the_address_of_a_pf_that_left_stay(two):
    run(two, device(ONE), device(TWO))
    two.remove_function(ONE)
    two.add_function(ONE, "15b3:1017", "mlx5_core", ["ens9"], totalvfs=8)
    two.create(ONE, 3)
    run(two, device(TWO))
    assert two.numvfs(ONE) == 3


def test_a_pf_that_left_while_in_use_keeps_its_vfs_until_the_next_boot(two):
    run(two, device())
    two.set_up(two.vf_netdev(ONE, 1))
    result = run(two)
    assert [pf["state"] for pf in result["pfs"]] == ["pending"]
    assert result["reboot"] == [{"key": "vfs:0000:01:00.0=0", "text": result["pfs"][0]["message"]}]
    assert two.numvfs(ONE) == 4
    assert set(two.files()) == {PENDING, RELEASED}

    two.reboot("boot-2")
    # The read-back after the role's own reboot is a run in check mode, and must find nothing to change.
    assert run_once(two, [], check_mode=True)["changed"] is False
    result = run(two)
    assert (result["changed"], result["reboot"], result["stuck"], result["pfs"]) == (False, [], [], [])
    assert two.files() == {}


def test_a_pf_that_left_while_in_use_is_cleared_live_as_soon_as_it_is_idle(two):
    run(two, device())
    two.set_up(two.vf_netdev(ONE, 1))
    run(two)
    (two.netdev(two.vf_netdev(ONE, 1)) / "flags").write_text("0x1002\n")
    result = run(two)
    assert ([pf["state"] for pf in result["pfs"]], result["reboot"], two.numvfs(ONE), two.files()) == (
        ["changed"],
        [],
        0,
        {},
    )


def test_vfs_that_appear_on_a_released_pf_after_a_reboot_belong_to_another_program(two):
    run(two, device())
    two.set_up(two.vf_netdev(ONE, 1))
    run(two)
    two.reboot("boot-2")
    two.create(ONE, 2)
    run(two)
    assert two.numvfs(ONE) == 2


def test_a_device_that_left_while_in_use_may_come_back(two):
    run(two, device())
    two.set_up(two.vf_netdev(ONE, 1))
    run(two)
    result = run(two, device())
    assert (result["reboot"], two.writes(ONE), set(two.files())) == ([], [4], AT_BOOT)


# --- udev files of others


def test_the_administrators_own_lines_survive_byte_for_byte(two):
    mine = b'# caf\xe9 \xff\r\nKERNEL=="sda", MODE="0660"\r\n'
    put(two, RULES, "")
    (two.root / RULES).write_bytes(mine)
    run(two, device())
    assert (two.root / RULES).read_bytes().startswith(mine + b"# BEGIN stackhpc.sriov")
    run(two)
    assert (two.root / RULES).read_bytes() == mine


def test_lines_after_our_block_survive(two):
    run(two, device())
    put(two, RULES, "before\n" + text(two, RULES) + "after")
    run(two, device(TWO))
    assert text(two, RULES).startswith("before\nafter\n# BEGIN stackhpc.sriov")
    run(two)
    assert text(two, RULES) == "before\nafter\n"


@pytest.mark.parametrize("content", ["", "\n"])
def test_an_empty_file_that_is_not_ours_stays(two, content):
    put(two, RULES, content, 0o600)
    run(two)
    assert two.files() == {RULES: (content.encode(), 0o600)}


def test_the_mode_of_a_file_that_has_nothing_of_ours_stays(two):
    put(two, RULES, "mine\n", 0o600)
    assert not run(two)["changed"]
    assert two.files() == {RULES: (b"mine\n", 0o600)}


def test_another_rule_path_moves_the_block_and_leaves_the_rest(two):
    put(two, RULES, "mine\n")
    run(two, device())
    other = "etc/udev/rules.d/99-vfs.rules"
    run(two, device(), udev_rule_path=str(two.root / other))
    assert text(two, RULES) == "mine\n"
    assert text(two, other).startswith("# BEGIN stackhpc.sriov")
    third = "etc/udev/rules.d/50-vfs.rules"
    run(two, device(), udev_rule_path=str(two.root / third))
    assert (two.root / third).exists() and not (two.root / other).exists()


def test_what_check_mode_and_the_real_run_show_has_one_order(two):
    paths = [str(two.root / "etc/udev/rules.d" / name) for name in ("a.rules", "b.rules", "c.rules")]
    for path in paths + [host.HOST.udev_rules]:
        put(two, path, legacy_block(ens9=1))
    files = boot_files.wanted_files(
        {"units": {}, "udev_rule_path": paths[2], "devices": []}, [], {"udev_rule_path": paths[1]}, []
    )
    own = host.HOST.left_alone_rules
    assert [path for path in files if "/rules.d/" in path] == sorted([host.HOST.udev_rules, paths[1], paths[2]]) + [own]


# --- units that need the VFs


def test_units_that_need_the_vfs_get_a_drop_in_which_names_each_pf(two):
    run(
        two,
        device(ONE, required_by=["docker.service", "libvirtd.service"]),
        device(TWO, required_by=["docker.service"]),
    )
    names = "sriov-vfs-ready@0000:01:00.0.service sriov-vfs-ready@0000:01:00.1.service"
    assert text(two, SYSTEMD + "docker.service.d/sriov-vfs.conf") == f"[Unit]\nRequires={names}\nAfter={names}\n"
    assert text(two, SYSTEMD + "libvirtd.service.d/sriov-vfs.conf").count(ONE) == 2


def test_a_drop_in_is_removed_with_the_need_and_the_administrators_own_stays(two):
    put(two, SYSTEMD + "docker.service.d/override.conf", "[Service]\n")
    run(two, device(required_by=["docker.service", "libvirtd.service"]))
    run(two, device(required_by=[]))
    assert set(two.files()) == AT_BOOT | {SYSTEMD + "docker.service.d/override.conf"}
    assert not (two.root / SYSTEMD / "libvirtd.service.d").exists()


def test_units_need_nothing_of_a_pf_that_udev_sets(two):
    run(two, device(boot="udev", required_by=["docker.service"]))
    assert set(two.files()) == COMMON


# --- the predecessors


def predecessor(fake, name, numvfs, address):
    """The unit of a NIC with its links, running."""
    unit = f"virtual-functions-{name}.service"
    put(fake, SYSTEMD + unit, LEGACY_UNIT.format(name=name, numvfs=numvfs))
    for directory in ("network-pre.target.wants", "systemd-networkd.service.wants", "docker.service.requires"):
        (fake.root / SYSTEMD / directory).mkdir(exist_ok=True)
        (fake.root / SYSTEMD / directory / unit).symlink_to(fake.root / SYSTEMD / unit)
    fake.create(address, numvfs)


def test_the_predecessors_units_and_links_are_removed_and_the_vfs_stay(two):
    predecessor(two, "ens1", 4, ONE)
    result = run(two, device(ONE, 4))
    assert set(two.files()) == AT_BOOT
    assert [pf["state"] for pf in result["pfs"]] == ["ok"]
    assert two.writes(ONE) == []


def test_the_predecessors_block_becomes_ours_and_the_rest_of_the_file_stays(two):
    put(two, RULES, "above\n" + legacy_block(ens1=4, ens2=2) + "below\n")
    two.create(ONE, 4)
    two.create(TWO, 2)
    run(two, device(ONE, 4), device(TWO, 2))
    assert text(two, RULES).startswith("above\nbelow\n# BEGIN stackhpc.sriov") and "BEGIN SRIOV" not in text(two, RULES)
    assert two.writes(ONE) + two.writes(TWO) == []


@pytest.mark.parametrize("how", ["unit", "block", "block at another path"])
def test_a_device_of_the_predecessors_that_is_not_in_the_list_loses_its_vfs(two, how):
    path = RULES if how == "block" else "etc/udev/rules.d/99-vfs.rules"
    if how == "unit":
        predecessor(two, "ens2", 3, TWO)
    else:
        put(two, path, legacy_block(ens2=3))
        two.create(TWO, 3)
    run(two, device(ONE), udev_rule_path=str(two.root / path))
    assert (two.numvfs(ONE), two.numvfs(TWO)) == (4, 0)
    assert set(two.files()) == AT_BOOT - {RULES} | {path}


def test_a_device_of_the_predecessors_that_is_left_alone_keeps_its_vfs(two):
    predecessor(two, "ens2", 3, TWO)
    run(two, device(TWO, boot="none"))
    assert (two.numvfs(TWO), two.files()) == (3, {})


def test_a_device_of_the_predecessors_in_use_keeps_its_vfs_until_the_next_boot(two):
    predecessor(two, "ens2", 3, TWO)
    two.set_up(two.vf_netdev(TWO, 0))
    assert [reason["key"] for reason in run(two)["reboot"]] == ["vfs:0000:01:00.1=0"]
    assert two.numvfs(TWO) == 3
    two.reboot("boot-2")
    assert run(two)["reboot"] == []
    assert two.files() == {}


def test_the_predecessors_unit_of_a_nic_that_is_gone_is_removed_all_the_same(two):
    predecessor(two, "ens2", 3, TWO)
    two.remove_function(TWO)
    run(two)
    assert two.files() == {}


def test_links_of_a_unit_that_the_predecessor_removed_without_disabling_it_are_removed(two):
    predecessor(two, "ens2", 3, TWO)
    (two.root / SYSTEMD / "virtual-functions-ens2.service").unlink()
    result = run(two, device(ONE), device(TWO, boot="none"))
    assert set(two.files()) == AT_BOOT
    assert (two.numvfs(TWO), [pf["address"] for pf in result["pfs"]]) == (3, [ONE])
    assert not run(two, device(ONE), device(TWO, boot="none"))["changed"]


@pytest.mark.parametrize("target", ["../virtual-functions-mine.service", "/usr/lib/systemd/system/gone.service"])
def test_a_link_of_another_program_under_such_a_name_stays(two, target):
    put(two, SYSTEMD + "virtual-functions-mine.service", "[Service]\nExecStart=/bin/true\n")
    link = SYSTEMD + "docker.service.requires/virtual-functions-mine.service"
    (two.root / link).parent.mkdir()
    (two.root / link).symlink_to(target)
    run(two, device())
    assert (two.root / link).is_symlink()


def test_a_unit_of_another_program_under_such_a_name_stays(two):
    put(two, SYSTEMD + "virtual-functions-mine.service", "[Service]\nExecStart=/bin/true\n")
    run(two, device())
    assert SYSTEMD + "virtual-functions-mine.service" in two.files()


# --- one fails


def test_when_one_pf_fails_the_others_are_put_back_and_no_file_is_written(two):
    two.create(TWO, 2)
    two.behave(ONE, errors={"4": "ENOMEM"})
    message = refused(two, device(ONE, 4), device(TWO, 5))
    assert message.startswith("ens1 (0000:01:00.0): setting 4 VFs failed (Cannot allocate memory): ")
    assert message.endswith("; ens2 (0000:01:00.1) was put back to 2 VFs because another PF failed")
    assert (two.numvfs(ONE), two.numvfs(TWO), two.files()) == (0, 2, {})


def test_what_became_of_each_other_pf_is_in_the_message_and_in_the_result(two):
    three, four = "0000:02:00.0", "0000:02:00.1"
    for address, name in ((three, "ens3"), (four, "ens4")):
        two.add_function(address, netdevs=[name], totalvfs=7)
    two.create(TWO, 2)
    two.create(three, 3)
    two.create(four, 3)
    two.set_up(two.vf_netdev(four, 0))
    two.behave(
        ONE, errors={"4": "ENOMEM"}, says={"4": ["3,2,200,-;igb 0000:01:00.0: not enough MMIO resources for SR-IOV"]}
    )
    with pytest.raises(host.Refusal) as caught:
        run_once(two, [device(ONE, 4), device(TWO, 5), device(three, 3), device(four, 5)])
    assert str(caught.value).endswith(
        "; the kernel said: igb 0000:01:00.0: not enough MMIO resources for SR-IOV; it has no VFs, as before; "
        "ens2 (0000:01:00.1) was put back to 2 VFs because another PF failed; not changed: ens3 (0000:02:00.0), ens4 (0000:02:00.1)"
    )
    assert [(pf["state"], pf["now"]) for pf in caught.value.details["pfs"]] == [
        ("failed", 0),
        ("put back", 2),
        ("ok", 3),
        ("pending", 3),
    ]
    assert caught.value.details["pfs"][0]["kernel_log"] == ["igb 0000:01:00.0: not enough MMIO resources for SR-IOV"]
    assert two.writes(TWO) == [0, 5, 0, 2]


def test_a_pf_whose_write_ended_after_its_time_is_put_back_when_another_fails(two, monkeypatch):
    # ens2's write succeeds after its process has been given up; ens1 fails at once.
    monkeypatch.setattr(host, "GRACE_SECONDS", 0)
    real, late = os.kill, []

    def give_up(pid, _number):
        while two.numvfs(TWO) != 1:
            time.sleep(0.02)
        late.append(pid)

    def put_back(results, timeout):
        for pid in late:
            real(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        monkeypatch.setattr(host.os, "kill", real)
        return real_put_back(results, 60)

    real_put_back = host.put_back
    monkeypatch.setattr(host.os, "kill", give_up)
    monkeypatch.setattr(host, "put_back", put_back)
    two.behave(ONE, errors={"1": "EIO"})
    two.behave(TWO, late=[1])
    with pytest.raises(host.Refusal) as caught:
        run_once(two, [device(ONE, 1), device(TWO, 1)], numvfs_timeout=0)
    assert [(pf["state"], pf["now"]) for pf in caught.value.details["pfs"]] == [("failed", 0), ("failed", 0)]
    assert str(caught.value).endswith("; the write has finished since, and the PF was put back to 0 VFs")
    assert (two.numvfs(ONE), two.numvfs(TWO), two.files()) == (0, 0, {})


def test_a_device_that_left_is_put_back_too(two):
    run(two, device(TWO, 3))
    before = two.files()
    two.behave(ONE, enables={"4": 1})
    assert "driver igb enabled 1" in refused(two, device(ONE, 4))
    assert (two.numvfs(ONE), two.numvfs(TWO), two.files()) == (0, 3, before)


def test_a_put_back_that_fails_is_reported_too(two):
    two.create(TWO, 2)
    two.behave(ONE, errors={"4": "ENOMEM"})
    two.behave(TWO, errors={"2": "EIO"})
    message = refused(two, device(ONE, 4), device(TWO, 5))
    assert (
        "; ens2 (0000:01:00.1) could not be put back to 2 VFs: ens2 (0000:01:00.1): setting 2 VFs failed (Input/output error)"
        in message
    )
    assert message.endswith("; it has its 5 VFs again")


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_cannot_be_is_refused_before_any_pf_is_touched(two, check_mode):
    message = refused(two, device(TWO, 2), device(ONE, 8), device("0000:09:00.0"), check_mode=check_mode)
    assert message.startswith(
        "ens1 (0000:01:00.0) supports at most 7 VFs, 8 are requested: lower numvfs; PF 0000:09:00.0 is not there"
    )
    assert message.endswith("; the other PFs were not changed")
    assert (two.writes(ONE), two.writes(TWO), two.files()) == ([], [], {})


@pytest.mark.parametrize("check_mode", [False, True])
def test_pfs_that_would_have_been_changed_are_reported_as_unchanged(two, check_mode):
    with pytest.raises(host.Refusal) as caught:
        run_once(two, [device(TWO, 2), device(ONE, 8)], check_mode=check_mode)
    assert [(pf["state"], pf["now"]) for pf in caught.value.details["pfs"]] == [("unchanged", 0), ("failed", 0)]


# --- what waits


def test_a_change_that_waits_is_configured_told_and_made_by_the_next_boot(two):
    run(two, device(ONE, 4))
    two.set_up(two.vf_netdev(ONE, 0))
    result = run(two, device(ONE, 6))
    assert (two.numvfs(ONE), result["changed"]) == (4, True)
    assert [(reason["key"], reason["text"]) for reason in result["reboot"]] == [
        (
            "vfs:0000:01:00.0=6",
            f"ens1 (0000:01:00.0) keeps its 4 VFs until the next boot, 6 are wanted: VF {two.vf(ONE, 0)} ({two.vf_netdev(ONE, 0)}) is up",
        )
    ]
    assert json.loads(text(two, CONFIG))["devices"][0]["numvfs"] == 6
    assert json.loads(text(two, PENDING)) == {"vfs:0000:01:00.0=6": "boot-1"}
    two.reboot("boot-2")
    assert host.main(["boot"]) == 0
    result = run(two, device(ONE, 6))
    assert (result["changed"], result["reboot"], result["stuck"]) == (False, [], [])
    assert set(two.files()) == AT_BOOT


def test_a_change_that_a_reboot_did_not_bring_is_stuck(two):
    run(two, device(ONE, 4))
    two.set_up(two.vf_netdev(ONE, 0))
    waiting = run(two, device(ONE, 6))["reboot"]
    two.boot("boot-2")
    result = run(two, device(ONE, 6))
    assert (result["reboot"], result["stuck"]) == ([], waiting)


def test_another_wish_after_that_reboot_is_due_again(two):
    run(two, device(ONE, 4))
    two.set_up(two.vf_netdev(ONE, 0))
    run(two, device(ONE, 6))
    two.boot("boot-2")
    result = run(two, device(ONE, 5))
    assert ([reason["key"] for reason in result["reboot"]], result["stuck"]) == (["vfs:0000:01:00.0=5"], [])
    two.boot("boot-3")
    assert [reason["key"] for reason in run_once(two, [device(ONE, 6)], check_mode=True)["reboot"]] == [
        "vfs:0000:01:00.0=6"
    ]


def test_the_connections_pf_waits_unless_allowed(two):
    run(two, device(ONE, 4))
    two.default_route_is_on("ens1")
    assert "it carries the connection" in run(two, device(ONE, 6))["reboot"][0]["text"]
    result = run(two, device(ONE, 6), change_connection_pf=True)
    assert (two.numvfs(ONE), result["reboot"]) == (6, [])


def test_a_withdrawn_wish_is_no_longer_a_reason(two):
    run(two, device(ONE, 4))
    two.set_up(two.vf_netdev(ONE, 0))
    run(two, device(ONE, 6))
    assert run(two, device(ONE, 4))["reboot"] == []
    assert set(two.files()) == AT_BOOT


# --- files that are not what they were


@pytest.mark.parametrize("content", ["{", "", "[]", '{"format": 99}', '{"format": 1}', "\udcff"])
def test_a_corrupt_configuration_is_written_again(two, content):
    run(two, device())
    before = two.files()
    (two.root / CONFIG).write_text(content, errors="surrogateescape")
    assert [diff["after_header"] for diff in run(two, device())["diff"]] == [host.HOST.config]
    assert two.files() == before


@pytest.mark.parametrize(
    "content", ["{", "[]", '"x"', "[" * 100000, '{"a\\u0000b": "boot-1", "..": "boot-1", "0000:01:00.0\\n": "boot-1"}']
)
def test_a_corrupt_list_of_released_pfs_counts_as_empty(two, content):
    put(two, RELEASED, content)
    assert not run(two)["changed"]
    assert run(two, device())["changed"]


def test_no_temporary_file_is_left_anywhere(two):
    run(two, device(required_by=["docker.service"]))
    run(two)
    assert [path for path in two.root.rglob(".sriov-*")] == []


# --- as a module


def run_module(monkeypatch, capsys, check_mode=False, **parameters):
    arguments = dict(parameters, _ansible_check_mode=check_mode)
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit) as leaving:
        sriov_vfs.main()
    return leaving.value.code, json.loads(capsys.readouterr().out)


def test_the_module_answers_under_the_lock(two, monkeypatch, capsys):
    code, result = run_module(monkeypatch, capsys, devices=[device()], units=UNITS, udev_rule_path=host.HOST.udev_rules)
    assert (code, result["changed"], two.numvfs(ONE)) == (0, True, 4)
    assert host.read_text(host.HOST.lock) == str(os.getpid())


def test_the_module_waits_for_the_lock_and_fails_with_one_sentence(two, monkeypatch, capsys):
    locked = host.locked
    monkeypatch.setattr(host, "locked", lambda timeout: locked(timeout=0))
    with locked():
        code, result = run_module(monkeypatch, capsys, devices=[device()], units=UNITS)
    assert (code, two.files(), two.writes(ONE)) == (1, {}, [])
    assert result["msg"].startswith("process %d has held" % os.getpid())


def test_the_module_fails_with_the_sentence_alone(two, monkeypatch, capsys):
    code, result = run_module(monkeypatch, capsys, devices=[device(numvfs=8)], units=UNITS)
    assert (code, result["msg"]) == (1, "ens1 (0000:01:00.0) supports at most 7 VFs, 8 are requested: lower numvfs")
    assert [(pf["address"], pf["state"]) for pf in result["pfs"]] == [(ONE, "failed")]


# --- settings


TRUSTED = [{"vf": 0, "trust": True}]


def test_settings_are_set_configured_told_and_removed(two):
    result = run(two, device(ONE, 2, vfs=TRUSTED, up=True, left_alone=[1]))
    assert result["lines"] == ["ens1 (0000:01:00.0): 2 VFs, changed (interface down -> up; VF 0: trust on)"]
    assert result["diff"][:2] == [
        {"before_header": ONE, "after_header": ONE, "before": "0 VFs\n", "after": "2 VFs\n"},
        {
            "before_header": f"{ONE} settings",
            "after_header": f"{ONE} settings",
            "before": "",
            "after": "interface down -> up\nVF 0: trust on\n",
        },
    ]
    [entry] = json.loads(text(two, CONFIG))["devices"]
    assert (entry["vfs"], entry["up"], entry["left_alone"], "autoprobe" in entry) == (TRUSTED, True, [1], False)
    result = run(two, device(ONE, 2))
    assert (result["pfs"][0]["state"], result["pfs"][0]["settings"]) == ("changed", ["VF 0: trust on -> off"])
    assert two.links(ONE)["0"] == {"trust": False}


def test_a_setting_of_a_vf_in_use_waits_and_is_stuck_when_a_reboot_did_not_bring_it(two):
    run(two, device(ONE, 2))
    two.set_up(two.vf_netdev(ONE, 0))
    result = run(two, device(ONE, 2, vfs=TRUSTED))
    [reason] = result["reboot"]
    assert reason["key"] == f"vfs:{ONE}=2 VF 0: trust off -> on"
    assert not run(two, device(ONE, 2, vfs=TRUSTED))["settled"]
    two.boot("boot-2")
    result = run(two, device(ONE, 2, vfs=TRUSTED))
    assert (result["reboot"], result["stuck"]) == ([], [reason])
    # Another wish is due again.
    result = run(two, device(ONE, 2, vfs=[{"vf": 0, "trust": True, "vlan": 7}]))
    assert (len(result["reboot"]), result["stuck"]) == (1, [])


def test_the_boot_brings_a_setting_that_waits(two):
    run(two, device(ONE, 2))
    two.set_up(two.vf_netdev(ONE, 0))
    run(two, device(ONE, 2, vfs=TRUSTED))
    two.reboot("boot-2")
    assert host.main(["boot"]) == 0
    result = run(two, device(ONE, 2, vfs=TRUSTED))
    assert (result["pfs"][0]["state"], two.links(ONE)["0"]) == ("ok", {"trust": True})
    assert run_once(two, [device(ONE, 2, vfs=TRUSTED)])["settled"]


def test_a_pf_that_leaves_the_list_loses_what_the_role_has_set(two):
    run(two, device(ONE, 2, vfs=TRUSTED, autoprobe=False))
    assert (two.root / f"run/sriov/{ONE}.json").exists()
    result = run(two)
    assert (two.numvfs(ONE), host.autoprobe_of(ONE)) == (0, True)
    assert result["pfs"][0]["settings"] == ["drivers_autoprobe off -> on"]
    assert not (two.root / f"run/sriov/{ONE}.json").exists()


def test_a_pf_without_vfs_that_leaves_gets_its_autoprobe_back(two):
    run(two, device(ONE, 2, autoprobe=False))
    two.write_numvfs(ONE, 0)
    run(two)
    assert host.autoprobe_of(ONE)


def test_a_refused_setting_changes_no_file_and_no_other_pf(two):
    before = two.files()
    message = refused(two, device(ONE, 2, vfs=[{"vf": 0, "state": "enable"}]), device(TWO, 2, vfs=TRUSTED))
    assert "setting state enable of VF 0 failed (Operation not supported)" in message
    assert "ens2 (0000:01:00.1) was put back to 0 VFs because another PF failed" in message
    assert (two.numvfs(ONE), two.numvfs(TWO), two.files()) == (0, 0, before)


def test_settings_are_put_back_when_a_file_cannot_be_changed(two, monkeypatch):
    run(two, device(ONE, 2))

    def commit(_changes):
        assert two.links(ONE)["0"] == {"trust": True}
        raise host.Refusal("it cannot be written")

    monkeypatch.setattr(vfs.Together, "commit", commit)
    message = refused(two, device(ONE, 2, vfs=TRUSTED))
    assert message == ("it cannot be written; the VFs and their files are as they were")
    assert (two.links(ONE)["0"], list((two.root / "run/sriov").iterdir())) == ({"trust": False}, [])


@pytest.mark.parametrize(
    "more",
    [
        {"up": 1},
        {"autoprobe": None},
        {"vfs": {"vf": 0}},
        {"vfs": [{"trust": True}]},
        {"vfs": [{"vf": 0, "trust": True}, {"vf": 0, "vlan": 5}]},
        {"vfs": [{"vf": 0, "trust": "on"}]},
        {"vfs": [{"vf": 0, "vlan": 4095}]},
        {"vfs": [{"vf": 0, "mac": "02:00:00:00:00:0A"}]},
        {"vfs": [{"vf": 0, "driver": "../x"}]},
        {"vfs": [{"vf": 0, "driver": "-r"}]},
        {"vfs": [{"vf": 0, "rate": 5}]},
        {"left_alone": "none"},
    ],
)
def test_settings_that_the_role_never_writes_are_refused_as_option_and_in_the_file(two, more):
    with pytest.raises(host.Refusal, match=next(iter(more))):
        vfs.given.refuse_wrong([device(**more)], ())
    run(two, device(ONE, 2))
    config = json.loads(text(two, CONFIG))
    config["devices"][0].update(more)
    put(two, CONFIG, json.dumps(config))
    with pytest.raises(host.Refusal, match=f"devices.0. {next(iter(more))}"):
        host.load_config()
