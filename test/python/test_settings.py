# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and drivers of VFs, and a PF that is set up, against a fake kernel: at boot, live, later, removed, refused.

What a killed run leaves is in test_settings_halfway.py.
"""

import json

import pytest
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host
from test_host import ONE, TWO, configure, device

MAC = "02:00:00:00:00:1%d"


@pytest.fixture(name="pf")
def _pf(fake):
    fake.add_function(ONE, netdevs=["ens1"], totalvfs=7)
    (fake.pci(ONE) / "iommu_group").symlink_to(fake.root)
    fake.default_route_is_on("mgmt")
    fake.add_function("0000:00:03.0", "8086:100e", "e1000", ["mgmt"])
    return ONE


def wanted(*vfs, numvfs=2, **more):
    return device(numvfs=numvfs, vfs=list(vfs), **more)


def apply(device, **more):
    [result] = host.apply([device], 5, **more)
    return result


def settled(fake, device):
    """Apply, and see that a second time sends nothing to the kernel and leaves no state."""
    result = apply(device)
    fake.sent()
    again = apply(device)
    assert (again["state"], again["settings"], again["message"], fake.sent()) == ("ok", [], "", [])
    return result


def vf_driver(fake, index, pf=ONE):
    return host.driver_of(fake.vf(pf, index))


def mac_of(fake, index, pf=ONE):
    return (fake.netdev(fake.vf_netdev(pf, index)) / "address").read_text().strip()


def record(fake, pf=ONE):
    path = fake.root / "run/sriov" / (pf + ".json")
    return json.loads(path.read_text()) if path.exists() else {}


# --- the order, and what a converged host gets


def test_vfs_get_their_settings_before_a_driver_takes_them(fake, pf):
    one = {"vf": 0, "mac": MAC % 0, "vlan": 100, "qos": 3, "spoofchk": False, "trust": True, "driver": "vfio-pci"}
    result = apply(wanted(one, {"vf": 1, "mac": MAC % 1}, up=True))
    assert (result["state"], result["now"], result["message"]) == ("changed", 2, "")
    assert fake.sent() == [
        "modprobe vfio-pci",
        "ens1 up",
        f"{pf}/sriov_drivers_autoprobe 0",
        "ens1 vf 0 mac 02:00:00:00:00:10",
        "ens1 vf 0 vlan 100 qos 3",
        "ens1 vf 0 spoofchk off",
        "ens1 vf 0 trust on",
        "ens1 vf 1 mac 02:00:00:00:00:11",
        f"{fake.vf(pf, 0)}/driver_override vfio-pci",
        f"{pf}/sriov_drivers_autoprobe 1",
        f"pci/drivers_probe {fake.vf(pf, 0)}",
        f"pci/drivers_probe {fake.vf(pf, 1)}",
    ]
    assert result["settings"] == [
        "interface down -> up",
        "VF 0: mac 02:00:00:00:00:10",
        "VF 0: vlan 100",
        "VF 0: qos 3",
        "VF 0: spoofchk off",
        "VF 0: trust on",
        "VF 0: driver vfio-pci",
        "VF 1: mac 02:00:00:00:00:11",
    ]
    assert (vf_driver(fake, 0), vf_driver(fake, 1), mac_of(fake, 1)) == ("vfio-pci", "igbvf", MAC % 1)


def test_a_converged_pf_gets_no_message(fake, pf):
    one = {"vf": 0, "mac": MAC % 0, "vlan": 100, "qos": 3, "spoofchk": False, "trust": True}
    settled(fake, wanted(one, {"vf": 1, "driver": "none"}, up=True, autoprobe=True))
    assert record(fake)["was"] == {
        "0": {"mac": "00:00:00:00:00:00", "proto": "802.1q", "qos": 0, "spoofchk": True, "trust": False, "vlan": 0},
        "1": {"driver": ""},
    }


def test_a_value_that_the_driver_has_already_is_not_sent(fake, pf):
    # igb shows "auto", and refuses it.
    settled(fake, wanted({"vf": 0, "state": "auto", "spoofchk": True, "trust": False, "vlan": 0}))
    assert record(fake) == {}


def test_a_pf_without_settings_is_written_once_and_ip_is_not_called(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "run_ip", lambda *_arguments: pytest.fail("ip was called"))
    assert settled(fake, device(numvfs=2))["settings"] == []
    assert record(fake) == {}


def test_drivers_alone_need_no_ip(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "run_ip", lambda *_arguments: pytest.fail("ip was called"))
    settled(fake, wanted({"vf": 0, "driver": "none"}, autoprobe=True))
    assert (vf_driver(fake, 0), vf_driver(fake, 1)) == ("", "igbvf")


def test_at_boot_it_is_the_same(fake, pf, capsys):
    configure(wanted({"vf": 1, "trust": True}, up=True), settings_timeout=0)
    assert host.main(["boot"]) == 0
    assert capsys.readouterr().out == "changed: ens1 (0000:01:00.0) has 2 VFs; interface down -> up; VF 1: trust on\n"
    assert fake.links(pf)["1"] == {"trust": True}
    assert host.main(["status"]) == 0


def test_vfs_that_something_else_made_at_boot_get_their_settings(fake, pf):
    fake.create(pf, 2)
    result = settled(fake, wanted({"vf": 1, "trust": True, "mac": MAC % 1}))
    assert (result["state"], fake.writes(pf)) == ("changed", [])
    assert (fake.links(pf)["1"], mac_of(fake, 1)) == ({"address": MAC % 1, "trust": True}, MAC % 1)


def test_a_pf_that_comes_back_gets_vfs_and_settings(fake, pf):
    configure(wanted({"vf": 0, "trust": True}, autoprobe=False))
    assert host.main(["device", pf]) == 0
    fake.remove_function(pf)
    fake.add_function(pf, netdevs=["ens1"], totalvfs=7)
    assert host.main(["device", pf]) == 0
    assert (fake.links(pf)["0"], vf_driver(fake, 0)) == ({"trust": True}, "")


# --- the PF


def test_a_pf_is_set_up_without_an_address_and_never_down(fake, pf):
    (fake.proc / "sys/net/ipv6").mkdir(parents=True)
    settled(fake, device(numvfs=2, up=True))
    fake.sent()
    assert apply(device(numvfs=2))["state"] == "ok"
    assert fake.sent() == []


@pytest.mark.parametrize(
    "ipv6, addressed, words",
    [
        (True, False, ["ens1 addrgenmode none", "ens1 up"]),
        (True, True, ["ens1 up"]),
        (False, False, ["ens1 up"]),
    ],
)
def test_a_pf_gets_no_address_of_its_own(fake, pf, ipv6, addressed, words):
    if ipv6:
        (fake.proc / "sys/net/ipv6").mkdir(parents=True)
    if addressed:
        fake.answer("addressed", ["ens1"])
    fake.create(pf, 2)
    assert apply(device(numvfs=2, up=True))["settings"] == ["interface down -> up"]
    assert fake.sent() == words


def test_a_pf_is_set_up_although_its_vfs_wait(fake, pf):
    fake.create(pf, 2)
    fake.bind(fake.vf(pf, 0), "vfio-pci")
    result = apply(wanted({"vf": 0, "trust": True}, numvfs=4, up=True))
    assert (result["state"], result["settings"], fake.sent()) == ("pending", ["interface down -> up"], ["ens1 up"])
    assert "keeps its 2 VFs until the next boot" in result["message"]
    result = apply(wanted({"vf": 0, "trust": True}, numvfs=4, up=True))
    assert (result["state"], result["settings"], fake.sent()) == ("pending", [], [])


@pytest.mark.parametrize("more", [{"up": True}, {"vfs": [{"vf": 0, "trust": True}]}])
def test_a_pf_whose_interface_is_elsewhere_is_refused(fake, pf, more):
    fake.move_to_namespace("ens1")
    result = apply(device(numvfs=2, **more))
    assert (result["state"], fake.writes(pf), fake.sent()) == ("failed", [], [])
    assert result["message"] == (
        "0000:01:00.0: its interface is in another network namespace, where the role cannot set its VFs: move it back, then "
        "run the role again"
    )


def test_a_pf_without_interface_is_refused(fake):
    fake.add_function(ONE, totalvfs=7)
    result = apply(device(numvfs=2, up=True))
    assert (result["state"], fake.writes(ONE)) == ("failed", [])
    assert "it has no network interface, and its VFs are set through one" in result["message"]


def test_a_pf_in_userspace_is_skipped_with_its_settings(fake, pf):
    fake.bind(pf, "vfio-pci")
    assert apply(wanted({"vf": 0, "trust": True}, up=True))["state"] == "skipped"
    assert fake.sent() == []


# Of iproute2 6.15, while another program renamed the interface again and again.
@pytest.mark.parametrize("reason", ['Cannot find device "eth0"', 'Device "eth0" does not exist.', "No such device"])
def test_an_interface_that_is_renamed_meanwhile_is_looked_up_again(fake, pf, monkeypatch, reason):
    really, names = fake.run_ip, iter(["eth0", "ens1"] * 20)
    monkeypatch.setattr(host, "netdevs_of", lambda _address: [next(names)])
    monkeypatch.setattr(host, "run_ip", lambda words: (1, "", reason) if "eth0" in words else really(words))
    assert host.read_links(pf, "it") == {}


# --- autoprobe


def test_without_autoprobe_no_driver_takes_the_vfs(fake, pf):
    settled(fake, device(numvfs=2, autoprobe=False))
    assert ([vf_driver(fake, index) for index in (0, 1)], record(fake)) == (["", ""], {"autoprobe": True})


def test_autoprobe_changes_live_on_idle_vfs_and_comes_back_when_it_is_no_longer_named(fake, pf):
    settled(fake, device(numvfs=2))
    result = settled(fake, device(numvfs=2, autoprobe=False))
    assert result["settings"] == [
        "drivers_autoprobe on -> off",
        "VF 0: driver igbvf -> none",
        "VF 1: driver igbvf -> none",
    ]
    assert [vf_driver(fake, index) for index in (0, 1)] == ["", ""]
    result = settled(fake, device(numvfs=2, autoprobe=True))
    assert [vf_driver(fake, index) for index in (0, 1)] == ["igbvf", "igbvf"]
    settled(fake, device(numvfs=2, autoprobe=False))
    assert settled(fake, device(numvfs=2))["settings"] == [
        "drivers_autoprobe off -> on",
        "VF 0: driver none -> default",
        "VF 1: driver none -> default",
    ]
    assert record(fake) == {}


def test_a_named_driver_takes_its_vf_without_autoprobe(fake, pf):
    settled(fake, wanted({"vf": 1, "driver": "vfio-pci"}, autoprobe=False))
    assert [vf_driver(fake, index) for index in (0, 1)] == ["", "vfio-pci"]


def test_what_another_program_has_turned_off_stays_off(fake, pf):
    (fake.pci(pf) / "sriov_drivers_autoprobe").write_text("0\n")
    settled(fake, wanted({"vf": 1, "trust": True}))
    assert ([vf_driver(fake, index) for index in (0, 1)], host.autoprobe_of(pf)) == (["", ""], False)


# --- drivers


def test_a_vf_changes_its_driver_live_and_back(fake, pf):
    settled(fake, device(numvfs=2))
    assert settled(fake, wanted({"vf": 0, "driver": "none"}))["settings"] == ["VF 0: driver igbvf -> none"]
    assert (vf_driver(fake, 0), host.override_of(fake.vf(pf, 0))) == ("", "none")
    assert settled(fake, device(numvfs=2))["settings"] == ["VF 0: driver none -> default"]
    assert (vf_driver(fake, 0), host.override_of(fake.vf(pf, 0)), record(fake)) == ("igbvf", "", {})


def test_a_driver_is_known_by_its_module_too(fake, pf):
    fake.create(pf, 2)
    fake.bind(fake.vf(pf, 0), "igb-vf")
    fake.give_module("igb-vf", "igb_vf_module", False)
    assert apply(wanted({"vf": 0, "driver": "igb-vf-module"}))["state"] == "ok"


def test_a_driver_that_is_not_there_is_refused_before_anything_changes(fake, pf):
    result = apply(wanted({"vf": 0, "driver": "nosuch"}))
    assert (result["state"], result["now"], fake.writes(pf)) == ("failed", 0, [])
    assert result["message"].startswith(
        "ens1 (0000:01:00.0): driver nosuch cannot be loaded (modprobe: FATAL: Module nosuch not found in directory "
        "/lib/modules/6.1): install the package with this kernel module, or correct driver"
    )
    assert fake.sent() == ["modprobe nosuch"]


def test_a_driver_that_does_not_take_the_vf_is_told_and_all_is_put_back(fake, pf, monkeypatch):
    fake.create(pf, 2)
    fake.behave(pf, drivers=["vfio-pci"])
    monkeypatch.setattr(host, "set_all", in_process)
    monkeypatch.setattr(host.time, "sleep", lambda _seconds: None)
    [result] = host.apply([wanted({"vf": 0, "driver": "vfio-pci"})], 0)
    assert result["state"] == "failed"
    assert f"driver vfio-pci did not take VF {fake.vf(pf, 0)}: look at the kernel log" in result["message"]
    assert result["message"].endswith("; its VFs have their previous settings")
    assert (vf_driver(fake, 0), host.override_of(fake.vf(pf, 0)), record(fake)) == ("igbvf", "", {})


def test_vfio_waits_for_an_iommu(fake, pf):
    (fake.pci(pf) / "iommu_group").unlink()
    result = apply(wanted({"vf": 0, "driver": "vfio-pci"}))
    assert (result["state"], result["now"], fake.writes(pf), fake.sent()) == ("pending", 0, [], [])
    assert result["message"] == (
        "ens1 (0000:01:00.0) gets some of its settings only at the next boot (VF 0: driver vfio-pci): vfio takes a VF only "
        "with an IOMMU, and the kernel has none for this PF (enable it in the BIOS, and let the role set the kernel "
        "parameters)"
    )
    unsafe = fake.sys / "module/vfio/parameters/enable_unsafe_noiommu_mode"
    unsafe.parent.mkdir(parents=True)
    unsafe.write_text("Y\n")
    assert apply(wanted({"vf": 0, "driver": "vfio-pci"}))["state"] == "changed"


# --- VFs that exist


def test_a_change_on_idle_vfs_is_made_live_and_the_others_are_not_touched(fake, pf):
    settled(fake, wanted({"vf": 0, "mac": MAC % 0}, {"vf": 1, "mac": MAC % 1}))
    fake.sent()
    result = apply(wanted({"vf": 0, "mac": MAC % 0}, {"vf": 1, "mac": MAC % 5}))
    assert result["settings"] == ["VF 1: mac 02:00:00:00:00:11 -> 02:00:00:00:00:15"]
    vf = fake.vf(pf, 1)
    assert fake.sent() == ["igbvf/unbind " + vf, "ens1 vf 1 mac " + MAC % 5, "pci/drivers_probe " + vf]
    assert mac_of(fake, 1) == MAC % 5


def test_a_mac_that_came_after_the_driver_is_read_by_it_now(fake, pf):
    fake.create(pf, 2)
    fake.keep_links(pf, 0, {"address": MAC % 0})
    result = settled(fake, wanted({"vf": 0, "mac": MAC % 0}))
    assert (result["settings"], mac_of(fake, 0)) == ([f"VF 0: mac 5a:00:00:00:00:00 -> {MAC % 0}"], MAC % 0)


def test_the_address_of_a_bond_is_no_difference(fake, pf):
    fake.create(pf, 2)
    fake.keep_links(pf, 0, {"address": MAC % 0})
    fake.add_netdev("bond0")
    fake.enslave(fake.vf_netdev(pf, 0), "bond0")
    assert apply(wanted({"vf": 0, "mac": MAC % 0}))["state"] == "ok"


def test_a_vf_in_use_waits_and_the_idle_one_does_not(fake, pf):
    fake.create(pf, 2)
    fake.set_up(fake.vf_netdev(pf, 0))
    want = wanted({"vf": 0, "trust": True, "vlan": 7}, {"vf": 1, "trust": True})
    result = apply(want)
    assert (result["state"], result["settings"]) == ("pending", ["VF 1: trust off -> on"])
    netdev = fake.vf_netdev(pf, 0)
    assert result["message"] == (
        "ens1 (0000:01:00.0) gets some of its settings only at the next boot (VF 0: vlan 0 -> 7; VF 0: trust off -> on): "
        f"VF {fake.vf(pf, 0)} ({netdev}) is up"
    )
    assert (fake.links(pf)["0"], fake.links(pf)["1"]) == ({}, {"trust": True})
    fake.sent()
    assert (apply(want)["state"], fake.sent()) == ("pending", [])


def test_what_is_no_longer_named_is_as_the_driver_gave_it(fake, pf):
    settled(fake, wanted({"vf": 0, "mac": MAC % 0, "vlan": 5, "qos": 2, "trust": True}, {"vf": 1, "spoofchk": False}))
    result = settled(fake, wanted({"vf": 0, "vlan": 5}))
    assert result["settings"] == [
        "VF 0: mac 02:00:00:00:00:10 -> 00:00:00:00:00:00",
        "VF 0: qos 2 -> 0",
        "VF 0: trust on -> off",
        "VF 1: spoofchk off -> on",
    ]
    assert record(fake)["was"] == {"0": {"proto": "802.1q", "qos": 0, "vlan": 0}}
    settled(fake, device(numvfs=2))
    assert (fake.links(pf)["0"].get("vlan"), record(fake)) == ({}, {})


def test_a_mac_that_the_vf_has_chosen_is_not_pinned_when_the_setting_goes(fake, pf):
    fake.create(pf, 2)
    settled(fake, wanted({"vf": 0, "mac": MAC % 0}))
    assert record(fake)["was"]["0"] == {"mac": "00:00:00:00:00:00"}
    settled(fake, device(numvfs=2))
    assert fake.links(pf)["0"] == {"address": ""}


def test_what_is_not_named_of_a_vlan_stays_and_vlan_0_leaves_nothing(fake, pf):
    fake.create(pf, 1)
    fake.keep_links(pf, 0, {"vlan": {"vlan": 5, "qos": 3}})
    apply(wanted({"vf": 0, "vlan": 6}, numvfs=1))
    assert fake.links(pf)["0"]["vlan"] == {"vlan": 6, "qos": 3}
    fake.keep_links(pf, 0, {"vlan": {"vlan": 5, "qos": 3}})
    settled(fake, wanted({"vf": 0, "vlan": 0}, numvfs=1))
    assert fake.links(pf)["0"]["vlan"] == {}


def test_another_number_of_vfs_makes_all_settings_again(fake, pf):
    settled(fake, wanted({"vf": 0, "trust": True}, {"vf": 1, "vlan": 5}))
    result = settled(fake, wanted({"vf": 0, "trust": True}, numvfs=3))
    assert (result["settings"], fake.writes(pf)) == (["VF 0: trust on"], [2, 0, 3])
    assert record(fake)["was"] == {"0": {"trust": False}}


def test_a_pf_that_loses_its_vfs_keeps_nothing(fake, pf):
    settled(fake, wanted({"vf": 0, "trust": True}, autoprobe=False))
    apply({"address": pf, "numvfs": 0, "optional": True})
    assert (fake.numvfs(pf), host.autoprobe_of(pf), record(fake)) == (0, True, {})


def test_what_a_driver_does_not_show_is_sent_once(fake, pf):
    fake.behave(pf, silent=["trust"])
    settled(fake, wanted({"vf": 0, "trust": True}))
    assert record(fake)["sent"] == {"0": {"trust": True}}
    fake.sent()
    assert apply(wanted({"vf": 0, "trust": False}))["settings"] == ["VF 0: trust on -> off"]
    assert "ens1 vf 0 trust off" in fake.sent()


# --- check, status


@pytest.mark.parametrize("before", [0, 2])
def test_check_changes_nothing_and_names_the_same(fake, pf, before):
    fake.create(pf, before)
    want = wanted({"vf": 0, "trust": True, "driver": "vfio-pci"}, up=True)
    checked = apply(want, check=True)
    assert (fake.sent(), fake.writes(pf), record(fake)) == ([], [], {})
    assert dict(apply(want)) == dict(checked)


def test_status_and_ready_tell_a_difference(fake, pf, capsys):
    configure(wanted({"vf": 0, "trust": True}))
    host.main(["boot"])
    fake.keep_links(pf, 0, {})
    capsys.readouterr()
    assert host.main(["status"]) == 1
    assert capsys.readouterr().out == (
        "failed: ens1 (0000:01:00.0) differs from its settings (VF 0: trust off -> on): see what changed that (journalctl -b), "
        "then run systemctl restart sriov-vfs.service\n"
    )
    assert host.main(["ready", pf]) == 1
    fake.set_up(fake.vf_netdev(pf, 0))
    assert (host.main(["status"]), host.main(["ready", pf])) == (3, 0)


# --- refusals


def test_every_refusal_of_igb_names_its_setting_and_leaves_no_vf(fake, pf):
    for key, value, words, reason, advice in (
        (
            "state",
            "enable",
            "state enable",
            "Operation not supported",
            "driver igb does not have this setting: leave it out",
        ),
        (
            "proto",
            "802.1ad",
            "vlan 0 qos 0 proto 802.1ad",
            "Protocol not supported",
            "driver igb does not have this VLAN protocol: leave vlan_proto out",
        ),
        (
            "node_guid",
            "00:11:22:33:44:55:66:77",
            "node_guid 00:11:22:33:44:55:66:77",
            "Operation not supported",
            "driver igb does not have this setting: leave it out",
        ),
    ):
        result = apply(wanted({"vf": 1, key: value}, {"vf": 0, "trust": True}))
        assert (result["state"], result["now"]) == ("failed", 0)
        assert result["message"] == (
            f"ens1 (0000:01:00.0): setting {words} of VF 1 failed ({reason}): {advice}; the kernel log has no line about it; it "
            "has no VFs, as before"
        )
        assert (host.autoprobe_of(pf), record(fake)) == (True, {})


def test_a_refusal_on_vfs_that_exist_puts_their_settings_back(fake, pf):
    settled(fake, wanted({"vf": 0, "mac": MAC % 0}, {"vf": 1, "driver": "none"}))
    links, kept = fake.links(pf), record(fake)
    result = apply(wanted({"vf": 0, "mac": MAC % 7, "trust": True, "state": "enable"}, {"vf": 1, "driver": "igbvf"}))
    assert (result["state"], result["now"]) == ("failed", 2)
    assert result["message"].endswith("; its VFs have their previous settings")
    assert fake.links(pf)["0"] == {"address": MAC % 0, "trust": False}
    assert (fake.links(pf)["1"], record(fake)) == (links["1"], kept)
    assert (vf_driver(fake, 0), vf_driver(fake, 1), mac_of(fake, 0)) == ("igbvf", "", MAC % 0)


def test_a_refusal_after_another_number_gives_the_old_vfs_with_their_settings(fake, pf):
    settled(fake, wanted({"vf": 0, "mac": MAC % 0, "driver": "none"}, {"vf": 1, "trust": True}))
    result = apply(wanted({"vf": 0, "state": "enable"}, numvfs=4))
    assert (result["state"], result["now"]) == ("failed", 2)
    assert result["message"].endswith("; it has its 2 VFs again")
    assert (fake.links(pf)["0"]["address"], fake.links(pf)["1"]) == (MAC % 0, {"trust": True})
    assert (vf_driver(fake, 0), vf_driver(fake, 1), host.autoprobe_of(pf)) == ("", "igbvf", True)
    settled(fake, wanted({"vf": 0, "mac": MAC % 0, "driver": "none"}, {"vf": 1, "trust": True}))


def test_a_number_that_the_kernel_refuses_leaves_the_old_settings(fake, pf):
    settled(fake, wanted({"vf": 0, "trust": True}))
    fake.behave(pf, errors={"4": "EIO"})
    result = apply(wanted({"vf": 0, "trust": True}, numvfs=4))
    assert (result["state"], result["now"], fake.links(pf)["0"]) == ("failed", 2, {"trust": True})
    assert (vf_driver(fake, 0), host.autoprobe_of(pf)) == ("igbvf", True)


def test_when_another_pf_fails_settings_are_put_back(fake, pf):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    settled(fake, wanted({"vf": 0, "trust": True}))
    fake.behave(TWO, errors={"4": "EIO"})
    results = host.put_back(host.apply([wanted({"vf": 0, "vlan": 9}, autoprobe=False), device(TWO)], 5), 5)
    assert [(result["state"], result["now"]) for result in results] == [("put back", 2), ("failed", 0)]
    assert results[0]["message"] == (
        "ens1 (0000:01:00.0) was put back to 2 VFs with their previous settings because another PF failed"
    )
    assert (fake.links(pf)["0"], vf_driver(fake, 0), host.autoprobe_of(pf)) == (
        {"trust": True, "vlan": {}},
        "igbvf",
        True,
    )
    settled(fake, wanted({"vf": 0, "trust": True}))


def test_a_vf_in_a_reset_is_tried_again_until_the_time_is_over(fake, pf, monkeypatch):
    fake.behave(pf, refuses={"trust": "Resource temporarily unavailable"})
    monkeypatch.setattr(host, "set_all", in_process)
    clock = [1000.0]
    monkeypatch.setattr(host.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(host.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    result = apply(wanted({"vf": 0, "trust": True}), patience=20)
    assert "the VF has not finished its reset in time: raise sriov_vf_settings_timeout" in result["message"]
    assert len([words for words in fake.sent() if "trust" in words]) > 5
    assert 1015 < clock[0] < 1021


def test_a_driver_that_keeps_another_value_without_an_error_is_told(fake, pf):
    fake.behave(pf, keeps=["trust"])
    result = apply(wanted({"vf": 0, "trust": True}))
    assert (result["state"], result["now"]) == ("failed", 0)
    assert (
        "the driver accepted VF 0: trust on without an error, and shows off: leave that setting out"
        in result["message"]
    )


@pytest.mark.parametrize("vfs", [0, 2])
def test_settings_that_cannot_be_read_are_not_taken_for_none(fake, pf, vfs):
    fake.create(pf, vfs)
    fake.behave(pf, unreadable="Message too long")
    result = apply(wanted({"vf": 0, "trust": True}))
    assert (result["state"], result["now"], fake.writes(pf)) == ("failed", vfs, [])
    assert result["message"] == (
        "ens1 (0000:01:00.0): ip cannot show the settings of its VFs (Message too long): if the message is too long, lower "
        "numvfs or use a newer kernel"
    )


def test_without_the_program_ip_nothing_is_changed(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "run_ip", host_run_ip)
    monkeypatch.setattr(host, "find_program", lambda _name: None)
    result = apply(wanted({"vf": 0, "trust": True}))
    assert (result["state"], fake.writes(pf)) == ("failed", [])
    assert result["message"] == (
        "ens1 (0000:01:00.0): the program ip is not there: install iproute2 (on EL: iproute), then run the role again"
    )


# --- what ip prints


@pytest.mark.parametrize(
    "shown, found",
    [
        ({"vf": 0, "address": "02:00:00:00:00:0A", "vlan_list": [{}]}, {"mac": "02:00:00:00:00:0a"}),
        ({"vf": 0, "mac": "02:00:00:00:00:0a"}, {"mac": "02:00:00:00:00:0a"}),
        ({"vf": 0, "vlan_list": [{"vlan": 5, "protocol": "802.1ad"}]}, {"vlan": 5, "proto": "802.1ad"}),
        ({"vf": 0, "vlan": 5, "qos": 3}, {"vlan": 5, "qos": 3}),
        (
            {"vf": 0, "spoofchk": False, "trust": True, "link_state": "enable"},
            {"spoofchk": False, "trust": True, "state": "enable"},
        ),
        ({"vf": 0, "node_guid": "AA:11:22:33:44:55:66:77"}, {"node_guid": "aa:11:22:33:44:55:66:77"}),
    ],
)
def test_what_ip_shows_is_read(shown, found):
    assert host.link_of(shown) == dict({"vlan": 0, "qos": 0, "proto": "802.1q"}, **found)


def test_a_vf_that_ip_does_not_show_is_told(fake, pf, monkeypatch):
    fake.create(pf, 2)
    monkeypatch.setattr(host, "read_links", lambda *_arguments: {0: {}})
    result = apply(wanted({"vf": 0, "trust": True}))
    assert result["message"].startswith("ens1 (0000:01:00.0): ip does not show the settings of VF 1: lower numvfs")


host_run_ip = host.run_ip


def in_process(wanted, timeout, jobs=None, work=host.set_pf):
    """Stands for host.set_all, in this process: its clock is the test's."""
    return {address: work(address, count, timeout, (jobs or {}).get(address)) for address, count in wanted.items()}
