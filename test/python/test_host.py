# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program against a fake kernel: what it decides, does, puts back, protects and says."""

import ast
import errno
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time

import hang
import pytest
from fake_sysfs import fake_host  # noqa: F401 (the fixture "fake")

from ansible_collections.stackhpc.sriov.plugins.module_utils import sriov_host as host
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_vfs

REAL_JSON_OF, REAL_WRITE_NUMVFS, REAL_LINK_UP = host.json_of, host.write_numvfs, host.link_up
ONE, TWO = "0000:01:00.0", "0000:01:00.1"
FORK = multiprocessing.get_context("fork")


def device(address=ONE, numvfs=4, **more):
    return dict({"address": address, "numvfs": numvfs, "id": "8086:10c9", "boot": "systemd", "optional": False}, **more)


def decide(wanted, carriers=(), permission=False):
    return host.decide(wanted, host.read_function(wanted["address"]), lambda: carriers, permission)


def configure(*devices, **more):
    host.write_atomically(host.CONFIG_PATH, json.dumps(dict(
        {"format": 1, "boot_wait": 0, "numvfs_timeout": 5, "udev_rule_path": "/etc/rules", "devices": devices}, **more)))


@pytest.fixture(name="pf")
def _pf(fake):
    fake.add_function(ONE, netdevs=["ens1"], totalvfs=7)
    fake.default_route_is_on("mgmt")
    fake.add_function("0000:00:03.0", "8086:100e", "e1000", ["mgmt"])
    return ONE


# --- reading


def test_a_function_is_read_with_its_ids_driver_interfaces_and_counts(fake, pf):
    fake.create(pf, 2)
    assert host.read_function(pf) == {
        "address": pf, "id": "8086:10c9", "driver": "igb", "netdevs": ["ens1"], "totalvfs": 7, "numvfs": 2, "physfn": None}
    assert host.read_function(fake.vf(pf, 0))["physfn"] == pf
    assert host.read_function("0000:09:00.0") is None


def test_only_functions_with_an_sriov_capability_are_pfs(fake, pf):
    fake.create(pf, 2)
    assert [function["address"] for function in host.read_pfs()] == [pf]


def test_representors_are_not_the_pfs_interfaces(fake, pf):
    for netdev, port in (("ens1r0", "pf0vf0"), ("ens1r1", "c1pf0vf1"), ("ens1s", "pf0sf88")):
        fake.add_netdev(netdev, pf, port=port)
    fake.add_netdev("ens1np0", pf, port="p0")
    assert host.read_function(pf)["netdevs"] == ["ens1", "ens1np0"]


def test_vfs_are_listed_by_their_number_not_by_their_name(fake):
    fake.add_function(ONE, totalvfs=20)
    fake.create(ONE, 12)
    assert host.vf_addresses(ONE) == [fake.vf(ONE, index) for index in range(12)]


# --- deciding


def test_a_pf_that_has_its_vfs_is_left_alone(fake, pf):
    fake.create(pf, 4)
    assert decide(device(numvfs=4))["do"] == "nothing"


def test_a_pf_without_vfs_gets_them_without_asking_what_carries_the_connection(fake, pf):
    assert host.decide(device(), host.read_function(pf), lambda: pytest.fail("asked"), False)["do"] == "set"


@pytest.mark.parametrize("wanted", [0, 2, 7])
def test_idle_vfs_are_replaced_live(fake, pf, wanted):
    fake.create(pf, 4)
    assert decide(device(numvfs=wanted)) == {"do": "set", "message": ""}


def test_a_missing_pf_is_an_error_and_when_optional_is_skipped(fake):
    assert decide(device()) == {
        "do": "fail", "message": "PF 0000:01:00.0 is not there: check that the card is seated and seen by the BIOS, "
                                 "or run the role again if it moved to another slot"}
    assert decide(device(optional=True)) == {"do": "skip", "message": "PF 0000:01:00.0 is not there (optional)"}


def test_another_card_in_the_slot_is_refused(fake, pf):
    assert decide(device(id="15b3:1017")) == {
        "do": "fail", "message": "ens1 (0000:01:00.0) is now a device 8086:10c9, it was 15b3:1017 when the role chose it: "
                                 "run the role again"}
    assert decide(device(id=None))["do"] == "set"


def test_a_vf_is_no_pf(fake, pf):
    fake.create(pf, 1)
    vf = fake.vf(pf, 0)
    assert decide(device(vf, id=None)) == {
        "do": "fail", "message": "%s (%s) is a VF of 0000:01:00.0: name the PF" % (fake.vf_netdev(pf, 0), vf)}


def test_a_pf_that_a_guest_has_is_skipped(fake, pf):
    fake.bind(pf, "vfio-pci")
    assert decide(device())["do"] == "skip"
    assert "is held by vfio-pci" in decide(device())["message"]


@pytest.mark.parametrize("ids, advice", [
    ("8086:10c9", "enable SR-IOV for the card in the BIOS (also called Single Root I/O Virtualization), then boot again"),
    ("15b3:1017", "enable SR-IOV in the card's firmware (SRIOV_EN, NUM_OF_VFS; the role does with sriov_action all), then reboot; "
                  "where it is enabled, power-cycle the host, or enable SR-IOV in the BIOS"),
])
def test_a_card_that_offers_no_vfs_gets_its_makers_advice(fake, ids, advice):
    fake.add_function(ONE, ids, netdevs=["ens1"], totalvfs=0)
    fake.add_function(TWO, ids, netdevs=["ens2"])
    assert decide(device(id=ids)) == {"do": "fail", "message": "ens1 (0000:01:00.0) offers no VFs: " + advice}
    assert decide(device(TWO, id=ids)) == {"do": "fail", "message": "ens2 (0000:01:00.1) has no SR-IOV capability: " + advice}
    assert decide(device(id=ids, numvfs=0))["do"] == "nothing"


def test_vfs_that_wait_for_something_are_no_error_and_what_can_be_made_now_is(fake, pf):
    fake.add_function(TWO, "15b3:1017", netdevs=["ens2"])
    assert decide(device(TWO, id="15b3:1017", waits="its firmware is set")) == {
        "do": "later", "message": "ens2 (0000:01:00.1) has 0 of 4 VFs: its firmware is set"}
    assert decide(device(numvfs=7, waits="its firmware is set"))["do"] == "set"
    fake.create(pf, 4)
    assert decide(device(numvfs=8, waits="its firmware is set")) == {
        "do": "later", "message": "ens1 (0000:01:00.0) has 4 of 8 VFs: its firmware is set"}


def test_more_than_the_device_has_is_refused(fake, pf):
    assert decide(device(numvfs=8)) == {
        "do": "fail", "message": "ens1 (0000:01:00.0) has at most 7 VFs, 8 are asked for: lower numvfs"}


def test_a_pf_without_driver_is_refused(fake, pf):
    fake.bind(pf, None)
    assert decide(device()) == {
        "do": "fail", "message": "ens1 (0000:01:00.0) has no driver: load the NIC's kernel module and look at the kernel log"}


@pytest.mark.parametrize("carriers, text", [
    ({ONE}, "it carries the connection to this host"),
    (None, "it is not known whether it carries the connection to this host"),
])
def test_the_pf_of_the_connection_or_one_that_may_be_it_waits_unless_allowed(fake, pf, carriers, text):
    fake.create(pf, 2)
    assert decide(device(), carriers) == {
        "do": "wait", "message": "ens1 (0000:01:00.0) keeps its 2 VFs until the next boot, 4 are wanted: " + text}
    assert decide(device(), carriers, permission=True)["do"] == "set"


# --- what holds VFs


def hold(fake, how):
    """Make VF 0 of the PF used in one way; returns its address and interface."""
    vf, netdev = fake.vf(ONE, 0), fake.vf_netdev(ONE, 0)
    if how in ("vfio", "open vfio"):
        fake.move_to_namespace(netdev)
        fake.bind(vf, "vfio-pci")
        fake.add_process(77, 1, comm="irqbalance", open_files=["/dev/vfio/vfio", "/dev/vfio/4"])
        if how == "open vfio":
            fake.add_process(4711, 1, comm="qemu-system-x86", open_files=["/dev/null", "/dev/vfio/40"])
    elif how == "up":
        fake.set_up(netdev)
    elif how == "master":
        fake.add_netdev("br0")
        fake.enslave(netdev, "br0")
    elif how == "upper":
        fake.add_netdev("vlan5", lowers=[netdev])
    elif how == "namespace":
        fake.move_to_namespace(netdev)
    elif how == "vdpa":
        (fake.pci(vf) / "vdpa0").mkdir()
    elif how == "unbound":
        fake.move_to_namespace(netdev)
        fake.bind(vf, None)
    return vf, netdev


@pytest.mark.parametrize("how, text", [
    ("vfio", "VF {vf} is bound to vfio-pci"),
    ("open vfio", "VF {vf} is bound to vfio-pci, used by qemu-system-x86 (pid 4711)"),
    ("up", "VF {vf} ({netdev}) is up"),
    ("master", "VF {vf} ({netdev}) belongs to br0"),
    ("upper", "VF {vf} ({netdev}) carries vlan5"),
    ("namespace", "VF {vf} has driver igbvf but no interface here: it is in another network namespace, or not ready"),
    ("vdpa", "VF {vf} carries a vdpa device"),
])
def test_a_vf_in_use_makes_the_change_wait_and_is_named(fake, pf, how, text):
    fake.create(pf, 2)
    vf, netdev = hold(fake, how)
    assert decide(device(numvfs=0)) == {
        "do": "wait", "message": "ens1 (0000:01:00.0) keeps its 2 VFs until the next boot, 0 are wanted: "
                                 + text.format(vf=vf, netdev=netdev)}
    [result] = host.apply([device(numvfs=0)], 5)
    assert (result["state"], result["now"], fake.writes(pf)) == ("pending", 2, [])


def test_permission_for_the_connections_pf_does_not_give_up_a_vf_in_use(fake, pf):
    fake.create(pf, 2)
    hold(fake, "up")
    assert decide(device(), {pf}, permission=True)["do"] == "wait"


def test_every_vf_in_use_is_named(fake, pf):
    fake.create(pf, 3)
    fake.set_up(fake.vf_netdev(pf, 0))
    fake.set_up(fake.vf_netdev(pf, 2))
    assert [fake.vf(pf, index) in decide(device())["message"] for index in range(3)] == [True, False, True]


@pytest.mark.parametrize("how", ["idle", "unbound"])
def test_an_idle_vf_holds_nothing(fake, pf, how):
    fake.create(pf, 2)
    hold(fake, how)
    assert host.vf_holders(pf) == []


# --- the connection


@pytest.fixture(name="nics")
def _nics(fake):
    fake.add_function(ONE, netdevs=["ens1"], totalvfs=7)
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    fake.default_route_is_on("ens2")
    return fake


def test_ssh_is_found_through_sudo_and_processes_with_odd_names(nics):
    nics.connect_over_ssh()
    assert host.ssh_server_and_client() == ("192.0.2.10", "192.0.2.1")


def test_link_local_addresses_lose_their_zone(nics):
    nics.add_process(os.getpid(), 1, ["SSH_CONNECTION=fe80::1%ens1 50000 fe80::2%ens1 22"])
    assert host.ssh_server_and_client() == ("fe80::2", "fe80::1")


def test_the_interface_with_the_servers_address_carries_the_connection(nics):
    nics.connect_over_ssh()
    nics.address_is_on("ens1")
    assert host.connection_functions() == {ONE}


def test_the_route_back_to_the_client_carries_it_as_well(nics):
    nics.connect_over_ssh()
    nics.address_is_on("ens1", back="ens2")
    assert host.connection_functions() == {ONE, TWO}


@pytest.mark.parametrize("kind", ["bond", "bridge", "vlan", "vlan on bridge on bond"])
def test_what_is_under_a_virtual_interface_carries_it(nics, kind):
    nics.connect_over_ssh()
    lower = "ens1"
    for name in reversed(kind.split(" on ")):
        nics.add_netdev(name, lowers=[lower])
        lower = name
    nics.address_is_on(lower)
    assert host.connection_functions() == {ONE}


def test_what_lies_beside_it_on_the_same_bridge_does_not_carry_it(nics):
    nics.connect_over_ssh()
    nics.add_netdev("bond0", lowers=["ens1"])
    nics.add_netdev("br0", lowers=["bond0", "ens2"])
    nics.address_is_on("bond0")
    assert host.connection_functions() == {ONE}


def test_a_bond_is_carried_by_both_its_ports(nics):
    nics.connect_over_ssh()
    nics.add_netdev("bond0", lowers=["ens1", "ens2"])
    nics.address_is_on("bond0")
    assert host.connection_functions() == {ONE, TWO}


def test_a_connection_over_a_vf_is_the_pfs_too(nics):
    nics.create(ONE, 1)
    nics.connect_over_ssh()
    nics.address_is_on(nics.vf_netdev(ONE, 0))
    assert host.connection_functions() == {nics.vf(ONE, 0), ONE}


def test_every_nic_in_open_vswitch_may_carry_a_port_of_it(nics):
    nics.connect_over_ssh()
    nics.add_netdev("ovs-system")
    nics.add_netdev("br-ex")
    nics.enslave("ens1", "ovs-system")
    nics.address_is_on("br-ex")
    assert host.connection_functions() == {ONE}


def test_without_ssh_the_default_routes_tell(nics):
    assert host.connection_functions() == {TWO}
    nics.default_route_is_on("ens1", "ens2")
    assert host.connection_functions() == {ONE, TWO}
    nics.answer("ip -j route show default", [])
    assert host.connection_functions() == set()
    nics.answer("ip -6 -j route show default", [{"dst": "default", "dev": "ens1"}])
    assert host.connection_functions() == {ONE}


@pytest.mark.parametrize("over_ssh", [True, False])
def test_without_the_ip_program_it_is_unknown_so_every_pf_is_protected(nics, over_ssh):
    if over_ssh:
        nics.connect_over_ssh()
    nics.answers.clear()
    nics.create(ONE, 2)
    assert host.connection_functions() is None
    [result] = host.apply([device()], 5)
    assert (result["state"], nics.numvfs(ONE)) == ("pending", 2)
    assert "it is not known whether it carries the connection" in result["message"]


def test_a_connection_through_a_tunnel_or_from_nowhere_is_unknown(nics):
    nics.connect_over_ssh()
    nics.add_netdev("wg0")
    nics.address_is_on("wg0")
    assert host.connection_functions() is None
    nics.answer("ip -j address show", [])
    nics.answer("ip -j route get 192.0.2.1", [])
    assert host.connection_functions() is None


def test_a_nic_that_is_not_on_pci_is_no_unknown(nics):
    nics.connect_over_ssh()
    nics.add_netdev("end0")
    (nics.netdev("end0") / "device").symlink_to(nics.sys / "devices")
    nics.address_is_on("end0")
    assert host.connection_functions() == set()


@pytest.mark.parametrize("command, value", [
    ([sys.executable, "-c", "print('[1]')"], [1]),
    ([sys.executable, "-c", ""], []),
    ([sys.executable, "-c", "print('Object \"-j\" is unknown')"], None),
    ([sys.executable, "-c", "print('[]'); raise SystemExit(1)"], None),
    (["/nonexistent/ip"], None),
])
def test_what_a_command_prints_is_read_or_is_none(command, value):
    assert REAL_JSON_OF(command) == value


# --- doing


def test_the_count_is_written_to_the_attribute_of_the_pci_device_and_the_file_is_closed(fake, pf):
    opened = os.listdir("/proc/self/fd")
    REAL_WRITE_NUMVFS(pf, 7)
    assert fake.numvfs(pf) == 7
    assert os.listdir("/proc/self/fd") == opened
    with pytest.raises(FileNotFoundError) as caught:
        REAL_WRITE_NUMVFS(TWO, 7)
    assert caught.value.filename.endswith("/sriov_numvfs")


def named_by_udev(fake, monkeypatch, tmp_path, netdev):
    """An interface whose renaming udev has finished: it writes its record afterwards."""
    monkeypatch.setattr(host, "UDEV_DATA", str(tmp_path))
    (fake.netdev(netdev) / "ifindex").write_text("7\n")
    (tmp_path / "n7").write_text("")


def test_setting_a_link_up_says_whether_it_worked(fake, pf, monkeypatch, tmp_path):
    named_by_udev(fake, monkeypatch, tmp_path, "ens1")
    (tmp_path / "ip").write_text("#!/bin/sh\n[ \"$*\" = 'link set dev ens1 up' ]\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert REAL_LINK_UP(pf)
    (tmp_path / "ip").write_text("#!/bin/sh\nexit 2\n")
    assert not REAL_LINK_UP(pf)


def test_a_link_is_not_set_up_before_udev_has_named_it(fake, pf, monkeypatch, tmp_path):
    # A kernel before 6.2 refuses to rename an interface that is up.
    monkeypatch.setattr(host, "UDEV_DATA", str(tmp_path))
    monkeypatch.setattr(host.subprocess, "run", lambda *_arguments, **_keywords: pytest.fail("ip was called"))
    monkeypatch.setattr(host.time, "sleep", lambda _seconds: None)
    clock = iter(range(100))
    monkeypatch.setattr(host.time, "monotonic", lambda: next(clock))
    assert not REAL_LINK_UP(pf)


def test_a_process_names_itself_and_that_is_not_passed_on(fake, pf):
    fake.create(pf, 5)
    for vf in host.vf_addresses(pf):
        fake.bind(vf, "vfio-pci")
    fake.add_process(4711, 1, comm="$(reboot)", open_files=["/dev/vfio/40"])
    told = host.vf_holders(pf)
    assert told[0].endswith("used by ??reboot? (pid 4711)")
    assert told[3:] == ["and 2 more of its VFs are in use"]


def test_vfs_are_made_and_the_kernel_is_written_once(fake, pf):
    [result] = host.apply([device(numvfs=4)], 5)
    assert result == {"address": pf, "name": "ens1", "wanted": 4, "before": 0, "now": 4, "state": "changed", "message": ""}
    assert (fake.numvfs(pf), fake.writes(pf)) == (4, [4])
    [result] = host.apply([device(numvfs=4)], 5)
    assert (result["state"], fake.writes(pf)) == ("ok", [4])


def test_another_number_goes_by_way_of_0(fake, pf):
    fake.create(pf, 2)
    [result] = host.apply([device(numvfs=5)], 5)
    assert (result["state"], result["before"], result["now"], fake.writes(pf)) == ("changed", 2, 5, [0, 5])


def test_vfs_are_removed(fake, pf):
    fake.create(pf, 2)
    assert host.apply([device(numvfs=0)], 5)[0]["state"] == "changed"
    assert (fake.numvfs(pf), host.vf_addresses(pf), fake.writes(pf)) == (0, [], [0])


def test_check_tells_what_would_be_and_writes_nothing(fake, pf):
    fake.create(pf, 2)
    checked = host.apply([device(numvfs=5)], 5, check=True)
    assert (fake.writes(pf), fake.numvfs(pf)) == ([], 2)
    assert checked == host.apply([device(numvfs=5)], 5)


ADVICE = {
    "ENOSYS": ("Function not implemented", "the driver igb does not take the number of VFs through sysfs (ConnectX-3 takes it as a "
                                           "module option)"),
    "ERANGE": ("Numerical result out of range", "the device has fewer VFs than that: lower numvfs"),
    "EBUSY": ("Device or resource busy", "VFs are there already and in use, or the device's mode is being changed: see the kernel log"),
    "ENOMEM": ("Cannot allocate memory", "no address space for the VFs: enable SR-IOV and 'Above 4G decoding' in the BIOS, or boot "
                                         "with pci=realloc"),
    "ENOSPC": ("No space left on device", "the card has run out of MSI-X vectors: lower numvfs, or take irdma off the port"),
    "EPERM": ("Operation not permitted", "the kernel forbids it: a guest has one of its VFs, or the kernel is locked down (Secure "
                                         "Boot); see the kernel log"),
    "EIO": ("Input/output error", "the device did not answer: see the kernel log and the card's firmware"),
    "ENODEV": ("No such device", "the device went away meanwhile"),
    "EINVAL": ("Invalid argument", "see the kernel log"),
}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("name", sorted(ADVICE))
def test_a_refused_write_is_explained_and_the_pf_is_as_it_was(fake, pf, name, before):
    fake.create(pf, before)
    fake.behave(pf, errors={"4": name})
    [result] = host.apply([device(numvfs=4)], 5)
    assert (result["state"], result["before"], result["now"], fake.numvfs(pf)) == ("failed", before, before, before)
    assert result["message"] == "ens1 (0000:01:00.0): setting 4 VFs failed (%s): %s" % ADVICE[name]


def test_every_advice_has_its_test():
    assert {errno.errorcode[number] for number in host.WRITE_ADVICE} == set(ADVICE) - {"EINVAL"} | {"ENOENT"}


def test_a_driver_without_sriov_in_sysfs_is_named(fake, pf):
    fake.behave(pf, sysfs=False)
    [result] = host.apply([device()], 5)
    assert result["message"] == (
        "ens1 (0000:01:00.0): setting 4 VFs failed (No such file or directory): the driver igb cannot create VFs through sysfs: "
        "use a driver, or driver settings, that can")


def test_a_device_that_goes_away_before_the_write_is_not_taken_for_a_driver_without_sriov(fake, pf, monkeypatch):
    def unplug_and_write(address, count):
        fake.remove_function(address)
        fake.write_numvfs(address, count)

    monkeypatch.setattr(host, "write_numvfs", unplug_and_write)
    assert "the device went away meanwhile" in host.set_numvfs(pf, 4)


@pytest.mark.parametrize("before", [0, 2])
def test_a_driver_that_enables_fewer_is_an_error_and_the_pf_is_as_it_was(fake, pf, before):
    fake.create(pf, before)
    fake.behave(pf, enables={"6": 3})
    [result] = host.apply([device(numvfs=6)], 5)
    assert (result["state"], result["now"], fake.numvfs(pf)) == ("failed", before, before)
    assert result["message"] == (
        "ens1 (0000:01:00.0): 6 VFs were asked for and driver igb enabled 3: lower numvfs, or see the kernel log for what it lacked")


def test_a_put_back_that_fails_is_told(fake, pf):
    fake.create(pf, 2)
    fake.behave(pf, errors={"4": "EIO", "2": "ENOMEM"})
    [result] = host.apply([device(numvfs=4)], 5)
    assert result["message"].endswith("; putting back its 2 VFs failed too (Cannot allocate memory)")
    assert result["now"] == 0


def test_a_put_back_that_brings_fewer_is_told(fake, pf):
    fake.create(pf, 5)
    fake.behave(pf, errors={"6": "EIO"}, enables={"5": 1})
    [result] = host.apply([device(numvfs=6)], 5)
    assert result["message"].endswith("; putting back its 5 VFs failed too (it has 1 now)")


def test_a_pf_that_goes_away_before_its_turn_is_told(fake):
    assert host.set_numvfs(ONE, 4) == "0000:01:00.0 went away, or its driver let go of it, before its VFs could be set"


def test_bnxt_gets_its_link_up_and_is_asked_again(fake):
    fake.add_function(ONE, "14e4:16d7", "bnxt_en", ["ens1"], totalvfs=8, needs_link_up=True)
    [result] = host.apply([device(id="14e4:16d7")], 5)
    assert (result["state"], result["now"], fake.writes(ONE)) == ("changed", 4, [4, 4])


def test_another_driver_is_not_asked_twice_and_its_link_stays_down(fake, pf):
    fake.behave(pf, needs_link_up=True)
    [result] = host.apply([device()], 5)
    assert (result["state"], fake.writes(pf)) == ("failed", [4])
    assert (fake.netdev("ens1") / "flags").read_text() == "0x1002\n"


def test_vfs_without_driver_and_interface_are_enough(fake, pf):
    fake.behave(pf, vf_driver=None)
    assert host.apply([device()], 5)[0]["state"] == "changed"


def test_links_to_the_vfs_that_come_late_are_waited_for(fake, pf, monkeypatch):
    real, sleeps = host.vf_addresses, []
    monkeypatch.setattr(host.time, "sleep", sleeps.append)
    monkeypatch.setattr(host, "vf_addresses", lambda address: real(address) if len(sleeps) > 2 else [])
    assert host.set_numvfs(pf, 4) is None
    assert len(sleeps) == 3


def test_links_to_the_vfs_that_never_come_are_an_error_and_the_pf_is_as_it_was(fake, pf, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(host.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(host.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(host, "vf_addresses", lambda address: [])
    assert host.set_numvfs(pf, 4) == (
        "ens1 (0000:01:00.0): the kernel counts 4 VFs and shows 0 of them after 10 s: see the kernel log")
    assert fake.numvfs(pf) == 0
    assert 1010 <= clock[0] < 1011


def test_one_failure_does_not_hold_up_the_others(fake, pf):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    fake.behave(pf, errors={"4": "EIO"})
    results = host.apply([device(ONE), device("0000:09:00.0"), device(TWO)], 5)
    assert [result["state"] for result in results] == ["failed", "failed", "changed"]
    assert fake.numvfs(TWO) == 4


def test_a_write_that_hangs_is_given_up_and_the_others_are_done(fake, pf, monkeypatch):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    fake.behave(pf, hangs=[0, 1])
    real = host.read_int
    # The kernel's device lock: while the write hangs, so would a read of the same attribute.
    monkeypatch.setattr(host, "read_int", lambda path: pytest.fail("hangs") if
                        os.path.realpath(path) == str(fake.pci(pf) / "sriov_numvfs") and os.getpid() == parent else real(path))
    parent, reap, reaped = os.getpid(), os.waitpid, []
    monkeypatch.setattr(os, "waitpid", lambda pid, options: reaped.append(pid) or reap(pid, options))
    # The time is over once the other PF is done, however long that takes on this machine.
    monkeypatch.setattr(host.time, "monotonic", lambda: 10.0 if reaped else 0.0)
    results = host.apply([device(pf, 1), device(TWO, 1)], 0.5)
    assert [(result["state"], result["now"]) for result in results] == [("failed", 0), ("changed", 1)]
    assert results[0]["message"] == (
        "0000:01:00.0: the kernel did not finish setting 1 VFs in time: see the kernel log, raise sriov_numvfs_timeout for a slow card")


def test_a_child_that_hangs_does_not_keep_the_lock(fake, pf):
    fake.behave(pf, hangs=[1])
    hung = []
    with host.locked():
        process = FORK.Process(target=time.sleep, args=(hang.SECONDS,))
        process.start()
        hung.append(process)
    try:
        with host.locked(timeout=0):
            pass
    finally:
        hung[0].kill()
        hung[0].join()


def test_a_child_that_is_killed_is_told(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "write_numvfs", lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL))
    assert host.set_all({pf: 1}, 5) == {pf: "0000:01:00.0: the process that set its VFs was killed"}


def test_a_surprise_in_a_child_is_told(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "write_numvfs", lambda *_arguments: 1 / 0)
    assert host.set_all({pf: 1}, 5) == {pf: "0000:01:00.0: division by zero"}


def test_what_was_changed_is_put_back_when_another_failed(fake, pf):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    fake.create(TWO, 2)
    fake.behave(pf, errors={"4": "EIO"})
    results = host.put_back(host.apply([device(ONE), device(TWO)], 5), 5)
    assert [(result["state"], result["now"]) for result in results] == [("failed", 0), ("put back", 2)]
    assert results[1]["message"] == "put back to 2 VFs because another device failed"
    assert fake.numvfs(TWO) == 2


def killed_group(fake, wanted):
    """Run the program in a process group of its own; returns its exit status."""
    def run():
        os.setpgid(0, 0)
        os._exit(host.main(["boot"]))

    configure(device(numvfs=wanted))
    process = FORK.Process(target=run)
    process.start()
    process.join(hang.SECONDS)
    return process.exitcode


def test_killed_between_0_and_n_and_run_again_it_ends_in_the_wanted_state(fake, pf):
    fake.create(pf, 2)
    fake.behave(pf, kills=[5])
    assert killed_group(fake, 5) == -signal.SIGKILL
    assert (fake.numvfs(pf), fake.writes(pf)) == (0, [0, 5])
    fake.behave(pf, kills=[])
    assert killed_group(fake, 5) == 0
    assert fake.numvfs(pf) == 5


# --- the lock


def test_two_at_once_collide_and_the_second_names_the_first(fake):
    taken, leave = FORK.Event(), FORK.Event()

    def hold_it():
        with host.locked():
            taken.set()
            leave.wait(hang.SECONDS)

    process = FORK.Process(target=hold_it)
    process.start()
    try:
        assert taken.wait(hang.SECONDS)
        with pytest.raises(host.Refusal) as refusal:
            with host.locked(timeout=0.3):
                pytest.fail("both are in")
        assert str(refusal.value).startswith("process %d has held %s for over" % (process.pid, host.LOCK_PATH))
    finally:
        leave.set()
        process.join()
    with host.locked(timeout=5):
        pass


def test_one_that_waits_gets_the_lock_when_the_other_is_done(fake, tmp_path):
    def count():
        for _turn in range(5):
            with host.locked(timeout=hang.SECONDS):
                value = int((tmp_path / "count").read_text())
                time.sleep(0.002)
                (tmp_path / "count").write_text(str(value + 1))

    (tmp_path / "count").write_text("0")
    processes = [FORK.Process(target=count) for _number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert (tmp_path / "count").read_text() == "10"


def test_a_killed_holder_leaves_no_lock_and_its_longer_number_goes(fake):
    host.write_atomically(host.LOCK_PATH, "9" * 20)
    taken = FORK.Event()

    def hold_it():
        with host.locked():
            taken.set()
            time.sleep(hang.SECONDS)

    process = FORK.Process(target=hold_it)
    process.start()
    assert taken.wait(hang.SECONDS)
    process.kill()
    process.join()
    with host.locked(timeout=1):
        assert host.read_text(host.LOCK_PATH) == str(os.getpid())


# --- files


def test_a_writer_killed_at_any_moment_leaves_the_old_text_or_the_new(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    path = tmp_path / "vfs.json"
    old, new = "old\n" * 20000, "new\n" * 20000
    path.write_text(old)

    def write_for_ever():
        while True:
            host.write_atomically(str(path), new)
            host.write_atomically(str(path), old)

    seen, turn = set(), 0
    deadline = time.monotonic() + hang.SECONDS
    while (turn < 25 or seen != {old, new}) and time.monotonic() < deadline:
        turn += 1
        process = FORK.Process(target=write_for_ever)
        process.start()
        time.sleep(0.004 + turn % 25 * 0.001)
        process.kill()
        process.join()
        seen.add(path.read_text())
        assert seen <= {old, new}
    assert seen == {old, new}


def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_before_the_answer(tmp_path, monkeypatch):
    events, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: events.append(stat.S_IFMT(os.fstat(descriptor).st_mode)))
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("replace"), replace(*paths)))
    host.write_atomically(str(tmp_path / "file"), "new", 0o640)
    assert events == [stat.S_IFREG, "replace", stat.S_IFDIR]
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o640


def test_a_failed_write_leaves_the_old_text_and_no_other_file(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        host.write_atomically(str(tmp_path / "file"), "new")
    assert [(name, (tmp_path / name).read_text()) for name in os.listdir(tmp_path)] == [("file", "old")]


@pytest.mark.parametrize("content, text", [
    ('{"format": 2}', "has format 2, this program reads format 1: run the role again"),
    ("[]", "has format None, this program reads format 1: run the role again"),
    ("{", "cannot be read"),
    ("\udcff", "cannot be read"),
    ('{"format": 1}', "lacks boot_wait, devices, numvfs_timeout: run the role again, it writes the file anew"),
])
@pytest.mark.parametrize("command", [["boot"], ["device", ONE], ["ready", ONE], ["status"]])
def test_configuration_that_is_not_this_programs_is_refused_and_nothing_is_done(fake, pf, capsys, content, text, command):
    host.write_atomically(host.CONFIG_PATH, content)
    assert host.main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("sriov-vfs: %s %s" % (host.CONFIG_PATH, text)) and error.count("\n") == 1
    assert fake.writes(pf) == []


# --- the command line


def test_boot_sets_the_pfs_of_the_boot_unit_and_no_others(fake, pf, capsys):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    configure(device(ONE, 3), device(TWO, 2, boot="udev"))
    assert host.main(["boot"]) == 0
    assert (fake.numvfs(ONE), fake.numvfs(TWO)) == (3, 0)
    assert capsys.readouterr().out == "changed: ens1 (0000:01:00.0) has 3 VFs\n"


def test_device_sets_one_pf_whatever_starts_it(fake, pf):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    configure(device(ONE, 3), device(TWO, 2, boot="udev"))
    assert host.main(["device", TWO]) == 0
    assert (fake.numvfs(ONE), fake.numvfs(TWO)) == (0, 2)
    assert host.main(["device", "0000:09:00.0"]) == 0


def test_boot_without_one_nic_sets_the_others_fails_and_does_not_wait_for_it(fake, pf, monkeypatch, capsys):
    configure(device("0000:09:00.0"), device(ONE, 3), boot_wait=30)
    sleeps = []
    monkeypatch.setattr(host.time, "sleep", sleeps.append)
    assert host.main(["boot"]) == 1
    assert sleeps == []
    assert fake.numvfs(ONE) == 3
    assert "failed: PF 0000:09:00.0 is not there" in capsys.readouterr().out


def test_boot_without_an_optional_nic_is_good(fake, pf):
    configure(device("0000:09:00.0", optional=True), device(ONE, 3))
    assert host.main(["boot"]) == 0
    assert fake.numvfs(ONE) == 3


def test_boot_waits_for_the_driver_of_a_nic_that_is_there(fake, pf, monkeypatch):
    fake.bind(pf, None)
    sleeps = []
    monkeypatch.setattr(host.time, "sleep", lambda seconds: (sleeps.append(seconds), fake.bind(pf, "igb")))
    configure(device(ONE, 3), boot_wait=30)
    assert host.main(["boot"]) == 0
    assert (len(sleeps), fake.numvfs(pf)) == (1, 3)


def test_boot_waits_for_a_driver_only_so_long(fake, pf, monkeypatch, capsys):
    fake.bind(pf, None)
    configure(device(ONE, 3), boot_wait=0.3)
    clock = [0.0]
    monkeypatch.setattr(host.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(host.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    assert host.main(["boot"]) == 1
    assert 0.3 <= clock[0] < 1
    assert "has no driver" in capsys.readouterr().out


def test_boot_refuses_another_card_in_the_slot(fake, pf):
    configure(device(id="15b3:1017"))
    assert host.main(["boot"]) == 1
    assert fake.writes(pf) == []


def test_ready_is_good_only_when_the_vfs_are_there(fake, pf, capsys):
    configure(device(ONE, 3))
    assert host.main(["ready", ONE]) == 1
    assert fake.numvfs(pf) == 0
    assert capsys.readouterr().out == "failed: 0000:01:00.0 has 0 VFs, 3 are wanted\n"
    fake.create(pf, 3)
    assert host.main(["ready", ONE]) == 0
    assert host.main(["ready", ONE, TWO]) == 2
    assert "does not have all of 0000:01:00.0, 0000:01:00.1" in capsys.readouterr().err


def test_status_is_good_only_when_no_pf_differs_be_it_for_a_reason(fake, pf, capsys):
    configure(device(ONE, 3))
    assert host.main(["status"]) == 1
    fake.create(pf, 2)
    fake.set_up(fake.vf_netdev(pf, 0))
    capsys.readouterr()
    assert host.main(["status"]) == 1
    assert capsys.readouterr().out.startswith("failed: ens1 (0000:01:00.0) keeps its 2 VFs until the next boot, 3 are wanted: VF ")
    fake.create(pf, 3)
    assert host.main(["status"]) == 0
    assert capsys.readouterr().out == "ok: ens1 (0000:01:00.0) has 3 VFs\n"
    assert fake.writes(pf) == []


@pytest.mark.parametrize("command", [["boot"], ["device", ONE], ["ready", ONE], ["status"]])
def test_without_configuration_the_role_is_asked_for(fake, capsys, command):
    assert host.main(command) == 2
    assert capsys.readouterr().err == "sriov-vfs: %s is not there: run the role\n" % host.CONFIG_PATH


@pytest.mark.parametrize("command", [[], ["device"], ["ready"], ["explode"]])
def test_wrong_use_is_exit_2(fake, command):
    with pytest.raises(SystemExit) as leaving:
        host.main(command)
    assert leaving.value.code == 2


# --- the installed file


def test_the_installed_file_runs_as_a_program_isolated_from_ansible(fake, pf):
    text = sriov_vfs.program_text()
    assert text.startswith("#!/usr/bin/python3 -I\n")
    for name, value in (("/etc/sriov/vfs.json", host.CONFIG_PATH), ("/run/sriov-vfs.lock", host.LOCK_PATH),
                        ("/sys", host.SYS), ("/proc", host.PROC)):
        assert text.count('"%s"\n' % name) == 1
        text = text.replace('"%s"\n' % name, '"%s"\n' % value)
    program = fake.root / "sriov-vfs"
    program.write_text(text)

    def run(*arguments):
        return subprocess.run([sys.executable, "-I", str(program)] + list(arguments), capture_output=True, text=True, check=False)

    assert run("boot").returncode == 2
    configure(device(ONE, 3))
    fake.create(pf, 3)
    done = run("status")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok: ens1 (0000:01:00.0) has 3 VFs\n", "")
    configure(device(ONE, 3), device("0000:09:00.0"))
    assert run("boot").returncode == 1
    assert run().returncode == 2


@pytest.mark.parametrize("module", [
    "module_utils/sriov_host.py", "module_utils/sriov_pending.py", "module_utils/sriov_bootloader.py", "modules/sriov_devices.py",
    "modules/sriov_vfs.py", "modules/sriov_kernel_parameters.py"])
def test_the_code_parses_under_python_3_9(module):
    path = os.path.join(os.path.dirname(os.path.dirname(host.__file__)), module)
    with open(path, encoding="utf-8") as stream:
        ast.parse(stream.read(), feature_version=(3, 9))


def test_the_program_imports_only_the_standard_library():
    tree = ast.parse(sriov_vfs.program_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= set(sys.stdlib_module_names)
