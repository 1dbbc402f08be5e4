# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program against a fake kernel: what it decides, does, puts back, protects and says."""

import ast
import copy
import errno
import json
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import hang
import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.joined import program_text
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host

REAL_JSON_OF, REAL_WRITE_NUMVFS, REAL_LINK_UP = host.json_of, host.write_numvfs, host.link_up
REAL_RUN_IP, REAL_WRITE_ATTRIBUTE, REAL_RENAMED = host.run_ip, host.write_attribute, host.renamed
ONE, TWO = "0000:01:00.0", "0000:01:00.1"
FORK = multiprocessing.get_context("fork")
PLUGINS = Path(__file__).resolve().parents[2] / "role-template" / "plugins"


def device(address=ONE, numvfs=4, **more):
    return dict({"address": address, "numvfs": numvfs, "id": "8086:10c9", "boot": "systemd", "optional": False}, **more)


def decide(wanted, carriers=(), permission=False):
    return host.decide(wanted, host.read_function(wanted["address"]), lambda: carriers, permission)


def configure(*devices, **more):
    host.write_atomically(
        host.HOST.config,
        json.dumps(
            dict(
                {"format": 1, "boot_wait": 0, "numvfs_timeout": 5, "udev_rule_path": "/etc/rules", "devices": devices},
                **more,
            )
        ),
    )


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
        "address": pf,
        "id": "8086:10c9",
        "driver": "igb",
        "netdevs": ["ens1"],
        "totalvfs": 7,
        "numvfs": 2,
        "physfn": None,
    }
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
        "do": "fail",
        "message": "PF 0000:01:00.0 is not there: check that the card is seated and seen by the BIOS, "
        "or run the role again if it moved to another slot",
    }
    assert decide(device(optional=True)) == {"do": "skip", "message": "PF 0000:01:00.0 is not there (optional)"}


def test_another_card_in_the_slot_is_refused(fake, pf):
    assert decide(device(id="15b3:1017")) == {
        "do": "fail",
        "message": "ens1 (0000:01:00.0) is now a device 8086:10c9, it was 15b3:1017 when the role chose it: "
        "run the role again",
    }
    assert decide(device(id=None))["do"] == "set"


def test_a_vf_is_not_a_pf(fake, pf):
    fake.create(pf, 1)
    vf = fake.vf(pf, 0)
    assert decide(device(vf, id=None)) == {
        "do": "fail",
        "message": f"{fake.vf_netdev(pf, 0)} ({vf}) is a VF of ens1 (0000:01:00.0): name the PF",
    }


@pytest.mark.parametrize("how", ["vfio-pci", "a vendor's driver", "uio"])
def test_a_pf_that_a_guest_or_a_program_has_is_skipped(fake, pf, how):
    fake.bind(pf, "vfio-pci" if how == "vfio-pci" else "acme")
    assert decide(device())["do"] == ("skip" if how == "vfio-pci" else "set")
    if how != "vfio-pci":
        (fake.pci(pf) / {"uio": "uio/uio0"}.get(how, "vfio-dev/vfio3")).mkdir(parents=True)
    assert decide(device())["do"] == "skip"
    assert f"is bound to {'vfio-pci' if how == 'vfio-pci' else 'acme'}" in decide(device())["message"]


def test_a_pf_whose_interface_is_in_another_namespace_gives_up_no_vfs_unless_allowed(fake, pf):
    fake.move_to_namespace("ens1")
    assert decide(device())["do"] == "set"
    fake.create(pf, 2)
    assert decide(device())["message"] == (
        "0000:01:00.0 keeps its 2 VFs until the next boot, 4 are wanted: its interface is in another network namespace, and it is "
        "not known what traffic it carries (sriov_change_connection_pf: true allows the change)"
    )
    assert decide(device(), permission=True)["do"] == "set"


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
def test_a_card_that_offers_no_vfs_gets_its_makers_advice(fake, ids, advice):
    fake.add_function(ONE, ids, netdevs=["ens1"], totalvfs=0)
    fake.add_function(TWO, ids, netdevs=["ens2"])
    assert decide(device(id=ids)) == {"do": "fail", "message": "ens1 (0000:01:00.0) offers no VFs: " + advice}
    fake.configuration_space(TWO, 0)
    assert decide(device(TWO, id=ids)) == {"do": "fail", "message": "ens2 (0000:01:00.1) offers no VFs: " + advice}
    assert decide(device(id=ids, numvfs=0))["do"] == "nothing"


# A NIC for which the kernel has no sriov_totalvfs: (ids, driver, class, VFs in its capability, size of what can be
# read) and why.
HIDDEN = (
    "the card shows no SR-IOV: if the model supports it, set Virtualization Mode to SR-IOV for this port, in the card's menu of the BIOS "
    "or with its maker's tool, and turn SR-IOV on in the BIOS (also called Single Root I/O Virtualization), then reboot; otherwise name "
    "another NIC"
)
NO_SRIOV = "the card does not support SR-IOV: name another NIC"


@pytest.mark.parametrize(
    "ids, driver, kind, total, size, why",
    [
        ("8086:15f3", "igc", "0x020000", None, 4096, NO_SRIOV),
        ("8086:1533", "igb", "0x020000", None, 4096, NO_SRIOV),
        ("8086:100e", "e1000", "0x020000", None, 256, NO_SRIOV),
        ("14e4:165f", "tg3", "0x020000", None, 64, NO_SRIOV),
        ("8086:1521", "igb", "0x020000", None, 4096, HIDDEN),
        ("8086:1572", "i40e", "0x020000", None, 4096, HIDDEN),
        ("8086:1592", "ice", "0x020000", None, 64, HIDDEN),
        (
            "14e4:16d7",
            "bnxt_en",
            "0x020000",
            0,
            4096,
            "turn SR-IOV on in the BIOS (also called Single Root I/O Virtualization), then reboot",
        ),
        (
            "8086:1572",
            "i40e",
            "0x020000",
            64,
            4096,
            "it supports SR-IOV, but this kernel does not: boot a kernel with CONFIG_PCI_IOV",
        ),
        ("8086:2918", "pcieport", "0x060400", None, 4096, "it is not a NIC: name a NIC"),
    ],
)
def test_why_a_function_has_no_sriov_is_reported_by_what_the_kernel_shows(fake, ids, driver, kind, total, size, why):
    fake.add_function(ONE, ids, driver, ["ens1"])
    (fake.pci(ONE) / "class").write_text(kind + "\n")
    fake.configuration_space(ONE, total, size)
    assert host.why_no_vfs(host.read_function(ONE)) == why


def test_a_capability_that_the_kernel_could_not_set_up_is_distinguished_from_a_kernel_without(fake, pf):
    fake.add_function(TWO, "8086:1572", "i40e", ["ens2"])
    fake.configuration_space(TWO, 64)
    assert host.why_no_vfs(host.read_function(TWO)).startswith("it supports SR-IOV, but the kernel could not set it up")


@pytest.mark.parametrize(
    "text, control, virtual",
    [
        ("flags\t\t: fpu hypervisor lahf_lm\n", None, True),
        ("flags\t\t: fpu hypervisor lahf_lm\n", "control_d\n", False),
        ("flags\t\t: fpu lahf_lm\n", None, False),
    ],
)
def test_a_nic_of_a_virtual_machine_is_not_sent_to_the_bios(fake, text, control, virtual):
    (fake.proc / "cpuinfo").write_text(text)
    if control:
        (fake.proc / "xen").mkdir()
        (fake.proc / "xen/capabilities").write_text(control)
    fake.add_function(ONE, "1af4:1041", "virtio-pci", ["ens1"])
    why = host.why_no_vfs(host.read_function(ONE))
    assert "BIOS" not in why
    assert ("virtual machine" in host.why_no_pf()) == virtual
    assert ("this virtual machine" in why) == virtual


def test_a_configuration_space_that_runs_in_a_circle_or_cannot_be_read_ends_the_search(fake):
    fake.add_function(ONE, netdevs=["ens1"])
    assert host.total_in_config(ONE) == -1
    fake.configuration_space(ONE)
    config = bytearray((fake.pci(ONE) / "config").read_bytes())
    config[0x140:0x144] = (0x0003 | 1 << 16 | 0x100 << 20).to_bytes(4, "little")
    (fake.pci(ONE) / "config").write_bytes(bytes(config))
    assert host.total_in_config(ONE) is None
    (fake.pci(ONE) / "config").write_bytes(b"\xff" * 4096)
    assert host.total_in_config(ONE) is None


def test_vfs_that_wait_for_something_are_not_an_error_and_what_can_be_made_now_is(fake, pf):
    fake.add_function(TWO, "15b3:1017", netdevs=["ens2"])
    assert decide(device(TWO, id="15b3:1017", waits="its firmware is set")) == {
        "do": "later",
        "message": "ens2 (0000:01:00.1) has 0 of 4 VFs: its firmware is set",
    }
    assert decide(device(numvfs=7, waits="its firmware is set"))["do"] == "set"
    fake.create(pf, 4)
    assert decide(device(numvfs=8, waits="its firmware is set")) == {
        "do": "later",
        "message": "ens1 (0000:01:00.0) has 4 of 8 VFs: its firmware is set",
    }


def test_more_than_the_device_has_is_refused(fake, pf):
    assert decide(device(numvfs=8)) == {
        "do": "fail",
        "message": "ens1 (0000:01:00.0) supports at most 7 VFs, 8 are requested: lower numvfs",
    }


@pytest.mark.parametrize(
    "modprobe, loaded, why",
    [
        (None, (), "load the NIC's kernel module and look at the kernel log"),
        (
            "echo igb",
            (),
            "load its kernel module (modprobe igb), and find out what prevents it from being loaded at boot",
        ),
        (
            "echo igb",
            ("igb",),
            "its kernel module igb is loaded but not bound to it: look for the PF's address in the kernel log",
        ),
        (
            "exit 1",
            (),
            "this host has no kernel module for it: install the driver, or the kernel package with additional modules",
        ),
    ],
)
def test_a_pf_without_driver_is_refused_with_the_module_that_it_needs(fake, pf, monkeypatch, modprobe, loaded, why):
    fake.bind(pf, None)
    (fake.pci(pf) / "modalias").write_text("pci:v00008086d000010C9sv0000sd0000bc02sc00i00\n")
    monkeypatch.setattr(host, "PROGRAM_DIRECTORIES", ())
    monkeypatch.setenv("PATH", str(fake.root))
    if modprobe:
        (fake.root / "modprobe").write_text(
            f'#!/bin/sh\n[ "$*" = "--resolve-alias pci:v00008086d000010C9sv0000sd0000bc02sc00i00" ] && {modprobe}\n'
        )
        (fake.root / "modprobe").chmod(0o755)
    for module in loaded:
        (fake.sys / "module" / module).mkdir(parents=True)
    assert decide(device()) == {"do": "fail", "message": "ens1 (0000:01:00.0) has no driver: " + why}


@pytest.mark.parametrize(
    "carriers, text",
    [
        ({ONE}, "it carries the connection to this host (sriov_change_connection_pf: true allows the change)"),
        (
            None,
            "it is not known whether it carries the connection to this host (sriov_change_connection_pf: true allows the change)",
        ),
    ],
)
def test_the_pf_of_the_connection_or_one_that_may_be_it_waits_unless_allowed(fake, pf, carriers, text):
    fake.create(pf, 2)
    assert decide(device(), carriers) == {
        "do": "wait",
        "message": "ens1 (0000:01:00.0) keeps its 2 VFs until the next boot, 4 are wanted: " + text,
    }
    assert decide(device(), carriers, permission=True)["do"] == "set"


# --- what holds VFs


def _open_verbs(fake, vf, path, command, **node):
    """A verbs device of a VF, and a process that has a device open."""
    fake.add_below(vf, "infiniband_verbs/uverbs2", "infiniband_verbs", "infiniband/uverbs2", **node)
    fake.add_process(4711, 1, comm=command, open_files=[path])


def _to_vfio(fake, vf, netdev):
    fake.move_to_namespace(netdev)
    fake.bind(vf, "vfio-pci")
    fake.add_process(77, 1, comm="irqbalance", open_files=["/dev/vfio/vfio", "/dev/vfio/4"])


def _to_guest(fake, vf, netdev):
    _to_vfio(fake, vf, netdev)
    fake.add_process(4711, 1, comm="qemu-system-x86", open_files=["/dev/null", "/dev/vfio/40"])


def _to_bridge(fake, vf, netdev):
    fake.add_netdev("br0")
    fake.enslave(netdev, "br0")


def _unbind(fake, vf, netdev):
    fake.move_to_namespace(netdev)
    fake.bind(vf, None)


def _put_vdpa_below_auxiliary(fake, vf, netdev):
    fake.add_below(vf, "mlx5_core.vnet.3", "auxiliary")
    fake.add_below(vf, "mlx5_core.vnet.3/blue", "vdpa")


def _leave_idle_with_devices(fake, vf, netdev):
    fake.add_below(vf, "mlx5_core.eth.2", "auxiliary")
    _open_verbs(fake, vf, "/dev/infiniband/uverbs7", "other")


MEDIATED = "3f2e1c5a-0000-4000-8000-000000000001"
USES = {
    "idle": lambda fake, vf, netdev: None,
    "vfio": _to_vfio,
    "open vfio": _to_guest,
    "up": lambda fake, vf, netdev: fake.set_up(netdev),
    "master": _to_bridge,
    "upper": lambda fake, vf, netdev: fake.add_netdev("vlan5", lowers=[netdev]),
    "namespace": lambda fake, vf, netdev: fake.move_to_namespace(netdev),
    "vdpa below an auxiliary device": _put_vdpa_below_auxiliary,
    "mediated": lambda fake, vf, netdev: fake.add_below(vf, MEDIATED, "mdev"),
    "sub-function": lambda fake, vf, netdev: fake.add_below(vf, "mlx5_core.sf.2", "auxiliary", sfnum="88"),
    "RDMA": lambda fake, vf, netdev: _open_verbs(fake, vf, "/dev/infiniband/uverbs2", "testpmd"),
    # As in a container that has its own /dev.
    "RDMA under another path": lambda fake, vf, netdev: _open_verbs(fake, vf, "/dev/null", "testpmd", dev="1:3"),
    "unbound": _unbind,
    "idle, with devices below": _leave_idle_with_devices,
}


def hold(fake, how):
    """Make VF 0 of the PF used in one way; returns its address and interface."""
    vf, netdev = fake.vf(ONE, 0), fake.vf_netdev(ONE, 0)
    if how.startswith("vdpa as "):
        fake.add_below(vf, how[8:], "vdpa")
    else:
        USES[how](fake, vf, netdev)
    return vf, netdev


@pytest.mark.parametrize(
    "how, text",
    [
        ("vfio", "VF {vf} is bound to vfio-pci"),
        ("open vfio", "VF {vf} is bound to vfio-pci, used by qemu-system-x86 (pid 4711)"),
        ("up", "VF {vf} ({netdev}) is up"),
        ("master", "VF {vf} ({netdev}) belongs to br0"),
        ("upper", "VF {vf} ({netdev}) carries vlan5"),
        ("namespace", "VF {vf} has its interface in another network namespace"),
        *(
            (how, "VF {vf} carries a vdpa device")
            for how in (
                "vdpa as vdpa0",
                "vdpa as vdpa:0000:3b:00.2",
                "vdpa as foo",
                "vdpa as net0",
                "vdpa as vm1-eth0",
                "vdpa below an auxiliary device",
            )
        ),
        ("mediated", "VF {vf} carries a mediated device"),
        ("sub-function", "VF {vf} carries a sub-function"),
        ("RDMA", "VF {vf} is held open by testpmd (pid 4711)"),
        ("RDMA under another path", "VF {vf} is held open by testpmd (pid 4711)"),
    ],
)
def test_a_vf_in_use_makes_the_change_wait_and_is_named(fake, pf, how, text):
    fake.create(pf, 2)
    vf, netdev = hold(fake, how)
    assert decide(device(numvfs=0)) == {
        "do": "wait",
        "message": "ens1 (0000:01:00.0) keeps its 2 VFs until the next boot, 0 are wanted: "
        + text.format(vf=vf, netdev=netdev),
    }
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


# VFs without their own interface: (PF's driver, VF's driver, its class, what the kernel shows of that driver) and
# the reason.
NO_INTERFACE = "which shows no network interface: it is not known whether it is idle"


@pytest.mark.parametrize(
    "pf_driver, vf_driver, kind, sign, why",
    [
        ("4xxx", "4xxxvf", "0x0b4000", None, "4xxxvf and is not a NIC: it is not known whether it is idle"),
        ("nvme", "nvme", "0x010802", None, "nvme and is not a NIC: it is not known whether it is idle"),
        ("igb", "pciback", "0x020000", None, "pciback, " + NO_INTERFACE),
        ("ionic", "pds_vfio_pci", "0x020000", "vfio-dev", "pds_vfio_pci, used by qemu-kvm (pid 4711)"),
        ("hns3", "hisi_acc_vfio_pci", "0x020000", "module", "hisi_acc_vfio_pci, used by qemu-kvm (pid 4711)"),
        ("ice", "ice_vfio_pci", "0x020000", "group", "ice_vfio_pci, used by qemu-kvm (pid 4711)"),
        ("4xxx", "qat_vfio_pci", "0x0b4000", "vfio-dev", "qat_vfio_pci, used by qemu-kvm (pid 4711)"),
        ("ice", "acme_uio", "0x020000", "uio", "acme_uio, used by qemu-kvm (pid 4711)"),
    ],
)
def test_a_vf_that_is_not_a_nic_or_in_a_drivers_hands_is_in_use_for_the_true_reason(
    fake, pf_driver, vf_driver, kind, sign, why
):
    fake.add_function(ONE, "8086:1592", pf_driver, totalvfs=16, vf_driver=vf_driver, vf_netdevs=False)
    fake.create(ONE, 1)
    vf = fake.vf(ONE, 0)
    (fake.pci(vf) / "class").write_text(kind + "\n")
    node = "/dev/vfio/40"
    if sign == "vfio-dev":
        fake.add_below(vf, "vfio-dev/vfio7", "vfio-dev", "vfio/devices/vfio7")
        node = "/dev/vfio/devices/vfio7"
    elif sign == "module":
        fake.give_module(vf_driver, vf_driver, True)
    elif sign == "group":
        (fake.sys / "class/vfio/40").mkdir(parents=True)
    elif sign == "uio":
        fake.add_below(vf, "uio/uio0", "uio", "uio0")
        node = "/dev/uio0"
    if sign:
        fake.add_process(4711, 1, comm="qemu-kvm", open_files=[node])
    else:
        fake.give_module(vf_driver, vf_driver, False)
    assert host.vf_holders(ONE) == [f"VF {vf} is bound to {why}"]


@pytest.mark.parametrize("how", ["idle", "unbound", "idle, with devices below"])
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


def test_what_lies_next_to_it_on_the_same_bridge_does_not_carry_it(nics):
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


# --- a routed host: the server's address is on lo, and two equal routes lead out. The answers are those of ip 6.1 in a
# network namespace.

HOPS = [{"gateway": "169.254.0.1", "dev": name, "weight": 1, "flags": ["onlink"]} for name in ("ens1", "ens2")]
EQUAL = {"dst": "default", "flags": [], "nexthops": HOPS}
EQUAL_6 = {
    "dst": "default",
    "metric": 1024,
    "flags": [],
    "pref": "medium",
    "nexthops": [{"gateway": "fe80::99", "dev": name, "weight": 1, "flags": []} for name in ("ens1", "ens2")],
}


def routed(nics, server="192.0.2.10", client="198.51.100.7", on="lo", picked="ens2"):
    """Reach the host over ssh by an address that is on no NIC."""
    if on != "lo":
        nics.add_netdev(on)
    nics.add_netdev("lo")
    nics.connect_over_ssh(server, client)
    nics.answer(
        "ip -j address show",
        [
            {"ifname": on, "addr_info": [{"local": "127.0.0.1"}, {"local": server}]},
            {"ifname": "ens1", "addr_info": []},
            {"ifname": "ens2", "addr_info": []},
        ],
    )
    nics.answer(
        "ip -j route get " + client, [{"dst": client, "gateway": "169.254.0.1", "dev": picked, "prefsrc": server}]
    )
    nics.answer("ip -j route show default", [])
    nics.answer("ip -6 -j route show default", [])
    return "ip -j route get fibmatch " + client


@pytest.mark.parametrize("on", ["lo", "dummy0"])
@pytest.mark.parametrize("fibmatch", [True, False])
def test_both_uplinks_of_a_routed_host_carry_the_connection(nics, on, fibmatch):
    ask = routed(nics, on=on)
    nics.answer("ip -j route show default", [EQUAL])
    if fibmatch:
        nics.answer(ask + " from 192.0.2.10", [EQUAL])
    assert host.connection_functions() == {ONE, TWO}
    for address in (ONE, TWO):
        nics.create(address, 2)
    assert [result["state"] for result in host.apply([device(ONE), device(TWO)], 5)] == ["pending", "pending"]


def test_both_uplinks_carry_it_without_ssh_too(nics):
    nics.answer("ip -j route show default", [EQUAL])
    assert host.connection_functions() == {ONE, TWO}
    nics.answer("ip -j route show default", [])
    nics.answer("ip -6 -j route show default", [EQUAL_6])
    assert host.connection_functions() == {ONE, TWO}


def test_both_uplinks_carry_a_connection_over_ipv6(nics):
    ask = routed(nics, "2001:db8::10", "2001:db8:1::7")
    nics.answer(ask, [EQUAL_6])
    assert host.connection_functions() == {ONE, TWO}


def test_equal_routes_of_router_advertisements_carry_it_and_a_spare_one_does_not(nics):
    nics.add_function("0000:01:00.2", netdevs=["ens3"], totalvfs=7)
    ask = routed(nics, "2001:db8::10", "2001:db8:1::7", picked="ens1")
    one, two, spare = [
        {"dst": "default", "gateway": "fe80::99", "dev": name, "protocol": "ra", "metric": metric}
        for name, metric in (("ens1", 100), ("ens2", 100), ("ens3", 200))
    ]
    nics.answer("ip -j address show", [{"ifname": "ens1", "addr_info": [{"local": "2001:db8::10"}]}])
    nics.answer(ask, [one])
    nics.answer("ip -6 -j route show exact default", [one, two, spare])
    assert host.connection_functions() == {ONE, TWO}


def test_where_ip_knows_no_fibmatch_the_default_routes_are_taken_for_a_client_behind_a_gateway(nics):
    routed(nics, picked="ens1")
    nics.answer("ip -j address show", [{"ifname": "ens1", "addr_info": [{"local": "192.0.2.10"}]}])
    nics.answer("ip -j route show default", [EQUAL])
    assert host.connection_functions() == {ONE, TWO}


def test_a_route_that_is_more_than_the_default_is_taken_with_all_its_hops(nics):
    ask = routed(nics)
    nics.answer("ip -j address show", [{"ifname": "ens1", "addr_info": [{"local": "192.0.2.10"}]}])
    nics.answer(ask, [dict(EQUAL, dst="198.51.100.0/24")])
    assert host.connection_functions() == {ONE, TWO}


@pytest.mark.parametrize(
    "shown",
    [
        # nexthop_compat_mode 0: the kernel names the object alone.
        [{"dst": "203.0.113.0/24", "nhid": 10, "flags": []}],
        [{"dst": "203.0.113.0/24", "nhid": 10, "flags": [], "nexthops": HOPS}],
    ],
)
def test_next_hop_objects_are_resolved(nics, shown):
    ask = routed(nics, client="203.0.113.5")
    nics.answer(ask, shown)
    nics.answer(
        "ip -j nexthop show",
        [
            {"id": 1, "gateway": "169.254.0.1", "dev": "ens1", "scope": "link", "flags": ["onlink"]},
            {"id": 2, "gateway": "169.254.0.1", "dev": "ens2", "scope": "link", "flags": ["onlink"]},
            {"id": 10, "group": [{"id": 1}, {"id": 2}, {"id": 10}], "flags": []},
        ],
    )
    assert host.connection_functions() == {ONE, TWO}


def test_the_table_of_a_policy_rule_is_the_one_that_counts(nics):
    ask = routed(nics, client="203.0.113.70", picked="ens1")
    route = {"dst": "203.0.113.64/26", "gateway": "169.254.0.1", "dev": "ens1", "table": "100", "flags": ["onlink"]}
    nics.answer("ip -j address show", [{"ifname": "ens1", "addr_info": [{"local": "192.0.2.10"}]}])
    nics.answer(ask + " from 192.0.2.10", [route])
    nics.answer("ip -j route show exact 203.0.113.64/26 table 100", [route, dict(route, dev="ens2")])
    assert host.connection_functions() == {ONE, TWO}


def test_the_routes_of_the_vrf_that_the_address_is_in_carry_it(nics):
    ask = routed(nics, on="vrf-mgmt", picked="ens1")
    nics.answer(ask + " vrf vrf-mgmt", [dict(EQUAL, table="50")])
    assert host.connection_functions() == {ONE, TWO}
    nics.answer(
        "ip -j address show", [{"ifname": "ens1", "master": "vrf-mgmt", "addr_info": [{"local": "192.0.2.10"}]}]
    )
    assert host.connection_functions() == {ONE, TWO}


def test_an_address_on_a_nic_and_one_route_are_one_pf(nics):
    ask = routed(nics, picked="ens1")
    nics.answer("ip -j address show", [{"ifname": "ens1", "addr_info": [{"local": "192.0.2.10"}]}])
    nics.answer("ip -j route show default", [{"dst": "default", "gateway": "10.0.0.1", "dev": "ens2", "metric": 200}])
    nics.answer(ask, [{"dst": "default", "gateway": "10.0.0.1", "dev": "ens1"}])
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


@pytest.mark.parametrize(
    "name, kind",
    [
        ("wg0", {"uevent": "DEVTYPE=wireguard\nINTERFACE=wg0\n", "type": "65534\n"}),
        ("gre1", {"type": "778\n"}),
        ("vxlan7", {"uevent": "DEVTYPE=vxlan\n", "type": "1\n"}),
        ("tap0", {"tun_flags": "0x1002\n", "type": "1\n"}),
    ],
)
@pytest.mark.parametrize("over_ssh", [True, False])
def test_a_tunnel_is_not_a_port_of_open_vswitch(nics, name, kind, over_ssh):
    nics.add_netdev("ovs-system")
    nics.enslave("ens1", "ovs-system")
    nics.add_netdev(name)
    for attribute, text in kind.items():
        (nics.netdev(name) / attribute).write_text(text)
    if over_ssh:
        nics.connect_over_ssh()
    nics.address_is_on(name)
    nics.default_route_is_on(name)
    assert host.connection_functions() is None


def test_both_uplinks_of_a_routed_host_carry_it_next_to_open_vswitch_too(nics):
    """An address on a dummy, and a client behind one uplink: the other may bring its packets in."""
    nics.add_function("0000:01:00.2", netdevs=["ens3"], totalvfs=7)
    nics.add_netdev("ovs-system")
    nics.enslave("ens3", "ovs-system")
    ask = routed(nics, on="dummy0", picked="ens1")
    nics.answer(ask, [{"dst": "198.51.100.0/24", "gateway": "169.254.0.1", "dev": "ens1"}])
    nics.answer("ip -j route show default", [EQUAL])
    nics.answer("ip -j link show type dummy", [{"ifname": "dummy0"}, {}])
    assert host.connection_functions() >= {ONE, TWO}


def test_an_unreachable_default_route_leads_nowhere(nics):
    nics.add_netdev("lo")
    nics.answer("ip -j route show default", [])
    nics.answer(
        "ip -6 -j route show default", [{"type": "unreachable", "dst": "default", "dev": "lo", "metric": 4294967295}]
    )
    assert host.connection_functions() == set()


def test_a_nic_that_is_not_on_pci_is_not_unknown(nics):
    nics.connect_over_ssh()
    nics.add_netdev("end0")
    (nics.netdev("end0") / "device").symlink_to(nics.sys / "devices")
    nics.address_is_on("end0")
    assert host.connection_functions() == set()


@pytest.mark.parametrize(
    "command, value",
    [
        ([sys.executable, "-c", "print('[1]')"], [1]),
        ([sys.executable, "-c", ""], []),
        ([sys.executable, "-c", "print('Object \"-j\" is unknown')"], None),
        ([sys.executable, "-c", "print('[]'); raise SystemExit(1)"], None),
        (["/nonexistent/ip"], None),
    ],
)
def test_what_a_command_prints_is_read_or_is_none(command, value):
    assert REAL_JSON_OF(command) == value


# --- doing


def test_the_count_is_written_to_the_attribute_of_the_pci_device_and_the_file_is_closed(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "write_attribute", REAL_WRITE_ATTRIBUTE)
    opened = os.listdir("/proc/self/fd")
    REAL_WRITE_NUMVFS(pf, 7)
    assert fake.numvfs(pf) == 7
    assert os.listdir("/proc/self/fd") == opened
    with pytest.raises(FileNotFoundError) as caught:
        REAL_WRITE_NUMVFS(TWO, 7)
    assert caught.value.filename.endswith("/sriov_numvfs")


def named_by_udev(fake, monkeypatch, tmp_path, netdev):
    """An interface whose renaming udev has finished: it writes its record afterwards."""
    tmp_path.mkdir(exist_ok=True)
    monkeypatch.setattr(host.HOST, "udev_data", str(tmp_path))
    (fake.netdev(netdev) / "ifindex").write_text("7\n")
    (tmp_path / "n7").write_text("")


def test_setting_a_link_up_reports_whether_it_worked(fake, pf, monkeypatch, tmp_path):
    named_by_udev(fake, monkeypatch, tmp_path, "ens1")
    monkeypatch.setattr(host, "run_ip", REAL_RUN_IP)
    monkeypatch.setattr(host, "renamed", REAL_RENAMED)
    (tmp_path / "ip").write_text("#!/bin/sh\n[ \"$*\" = 'link set dev ens1 up' ]\n")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert REAL_LINK_UP(pf, time.monotonic() + 60)
    (tmp_path / "ip").write_text("#!/bin/sh\nexit 2\n")
    assert not REAL_LINK_UP(pf, time.monotonic() + 60)


def test_a_link_is_not_set_up_before_udev_has_named_it(fake, pf, monkeypatch, tmp_path):
    # A kernel before 6.2 refuses to rename an interface that is up.
    monkeypatch.setattr(host, "renamed", REAL_RENAMED)
    monkeypatch.setattr(host.HOST, "udev_data", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", lambda *_arguments, **_keywords: pytest.fail("ip was called"))
    monkeypatch.setattr(host.time, "sleep", lambda _seconds: None)
    clock = iter(range(1000))
    monkeypatch.setattr(host.time, "monotonic", lambda: next(clock))
    assert not REAL_LINK_UP(pf, 500)
    assert next(clock) > 500


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
    assert result == {
        "address": pf,
        "name": "ens1",
        "wanted": 4,
        "before": 0,
        "now": 4,
        "settings": [],
        "state": "changed",
        "message": "",
    }
    assert (fake.numvfs(pf), fake.writes(pf)) == (4, [4])
    [result] = host.apply([device(numvfs=4)], 5)
    assert (result["state"], fake.writes(pf)) == ("ok", [4])


def test_another_number_is_set_through_0(fake, pf):
    fake.create(pf, 2)
    [result] = host.apply([device(numvfs=5)], 5)
    assert (result["state"], result["before"], result["now"], fake.writes(pf)) == ("changed", 2, 5, [0, 5])


def test_vfs_are_removed(fake, pf):
    fake.create(pf, 2)
    assert host.apply([device(numvfs=0)], 5)[0]["state"] == "changed"
    assert (fake.numvfs(pf), host.vf_addresses(pf), fake.writes(pf)) == (0, [], [0])


def test_check_reports_what_would_change_and_writes_nothing(fake, pf):
    fake.create(pf, 2)
    checked = host.apply([device(numvfs=5)], 5, check=True)
    assert (fake.writes(pf), fake.numvfs(pf)) == ([], 2)
    assert checked == host.apply([device(numvfs=5)], 5)


SILENT = "; the kernel log has no line about it"
BACK = {0: "; it has no VFs, as before", 2: "; it has its 2 VFs again"}
# What each errno means from a driver whose source gives it no special meaning.
ADVICE = {
    "ENOENT": "the driver acme cannot create VFs through sysfs: use a driver, or driver settings, that can",
    "ENOSYS": "the driver acme does not take the number of VFs through sysfs (ConnectX-3 takes it as a module option)",
    "ERANGE": "the device supports fewer VFs than that: lower numvfs",
    "EBUSY": "driver acme is busy with the device (a reset, a change of its eswitch mode, another program that sets VFs): stop that, then "
    "run the role again",
    "EAGAIN": "another operation of driver acme is in progress and did not end during the retries: run the role again",
    "ENOMEM": "no address space for the VFs: turn SR-IOV on in the BIOS (also called Single Root I/O Virtualization), turn 'Above 4G "
    "decoding' on in the BIOS, or boot with pci=realloc",
    "ENOSPC": "the card has run out of MSI-X vectors or other resources for VFs: lower numvfs",
    "EPERM": "driver acme does not allow so many VFs with the current setup of the port: lower numvfs",
    "EINVAL": "driver acme does not accept this number with the current setup of the port: lower numvfs",
    "EOPNOTSUPP": "driver acme supports no VFs with the current firmware or mode of the card: update the firmware, or change the mode",
    "EIO": "the device did not answer: power-cycle the host, and update the card's firmware if that does not help",
    "EREMOTEIO": "the device did not answer: power-cycle the host, and update the card's firmware if that does not help",
    "ETIMEDOUT": "the device did not answer its driver in time: power-cycle the host, and update the card's firmware if that does not help",
    "ENODEV": "the card, or its driver, went away meanwhile: check that the card is seated and its driver loaded, then run the role again",
    "ENXIO": "the card, or its driver, went away meanwhile: check that the card is seated and its driver loaded, then run the role again",
    "EROFS": "/sys is read-only here: run the role on the host itself, not in a container",
    "EACCES": "not even root may write there: look for SELinux or a container that forbids it",
    "EXDEV": "driver acme gives no known cause",
}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("name", sorted(ADVICE))
def test_a_refused_write_is_explained_and_the_pf_is_as_it_was(fake, pf, name, before):
    fake.bind(pf, "acme")
    fake.create(pf, before)
    fake.behave(pf, errors={"4": name})
    [result] = host.apply([device(numvfs=4)], 0.5)
    assert (result["state"], result["before"], result["now"], fake.numvfs(pf)) == ("failed", before, before, before)
    assert (
        result["message"]
        == f"ens1 (0000:01:00.0): setting 4 VFs failed ({os.strerror(getattr(errno, name))}): {ADVICE[name]}{SILENT}{BACK[before]}"
    )


def test_every_advice_has_its_test():
    assert {*host.WRITE_ADVICE, *host.SAME_CAUSE} - {host.ENOTSUPP} == {getattr(errno, name) for name in ADVICE} - {
        errno.EXDEV
    }


# (ids, driver, errno, modules that are loaded) from no VFs, and what the driver means by it.
OF_DRIVERS = {
    (
        "8086:1572",
        "i40e",
        "EPERM",
        "",
    ): "the port lacks the queues and interrupts for so many VFs, or is running its self-test: lower numvfs",
    (
        "8086:10fb",
        "ixgbe",
        "EPERM",
        "",
    ): "traffic classes (DCB) or macvlan offload of the port use the queues that so many VFs need: turn them off, or "
    "lower numvfs",
    (
        "8086:10c9",
        "igb",
        "EPERM",
        "",
    ): "driver igb creates no VFs without MSI-X interrupts: remove pci=nomsi from the kernel line",
    ("8086:1592", "ice", "EBUSY", ""): "driver ice is not ready, for example during a reset: run the role again",
    (
        "8086:1592",
        "ice",
        "EOPNOTSUPP",
        "",
    ): "driver ice has found no DDP package and runs in safe mode, or supports fewer VFs than that: install "
    "the package that contains intel/ice/ddp/ice.pkg (linux-firmware, or Debian's non-free firmware) "
    "and reload ice, or lower numvfs",
    (
        "8086:1592",
        "ice",
        "ENOSPC",
        "irdma",
    ): "the card has run out of MSI-X vectors or other resources for VFs: lower numvfs, or detach irdma from the port",
    ("8086:1592", "ice", "ENOSPC", ""): ADVICE["ENOSPC"],
    ("15b3:1017", "mlx5_core", "ENOSPC", "irdma"): ADVICE["ENOSPC"],
}


@pytest.mark.parametrize("ids, driver, name, module", sorted(OF_DRIVERS))
def test_a_drivers_own_meaning_of_an_errno_is_reported(fake, ids, driver, name, module):
    fake.add_function(ONE, ids, driver, ["ens1"], totalvfs=64, errors={"16": name})
    if module:
        (fake.sys / "module" / module).mkdir(parents=True)
    [result] = host.apply([device(id=ids, numvfs=16)], 0.5)
    assert (
        result["message"]
        == f"ens1 (0000:01:00.0): setting 16 VFs failed ({os.strerror(getattr(errno, name))}): {OF_DRIVERS[ids, driver, name, module]}{SILENT}{BACK[0]}"
    )
    assert "guest" not in result["message"]


def test_every_meaning_of_a_drivers_own_has_its_test():
    assert set(host.DRIVER_ADVICE) <= {(driver, getattr(errno, name)) for _ids, driver, name, _module in OF_DRIVERS}


@pytest.mark.parametrize("name", ["EBUSY", "EPERM", "EINVAL"])
def test_vfs_that_a_driver_does_not_give_up_are_a_guests(fake, pf, name):
    fake.create(pf, 2)
    fake.behave(pf, errors={"0": name})
    [result] = host.apply([device(numvfs=4)], 0.5)
    assert (result["now"], fake.writes(pf)) == (2, [0])
    assert (
        "): a guest has one of its VFs: shut the guest down or detach the VF, then run the role again; "
        in result["message"]
    )


@pytest.mark.parametrize("wanted", [0, 4])
@pytest.mark.parametrize("name", sorted(set(ADVICE) - {"EBUSY", "EPERM", "EINVAL"}))
def test_vfs_that_are_not_removed_are_not_explained_with_what_prevents_their_creation(fake, pf, name, wanted):
    fake.bind(pf, "ice")
    fake.create(pf, 2)
    fake.behave(pf, errors={"0": name})
    message = host.set_numvfs(pf, wanted, 0.5)
    assert not re.search("lower numvfs|pci=realloc|DDP|fewer VFs|has no VFs|guest", message)
    assert message.endswith(SILENT + BACK[2])
    if name in ("ENOMEM", "ENOSPC", "EOPNOTSUPP", "ERANGE", "EXDEV"):
        assert ": driver ice gives no known cause; " in message


@pytest.mark.parametrize("wanted", [0, 2, 6])
def test_vfs_that_a_driver_keeps_without_an_error_are_a_guests(fake, pf, monkeypatch, wanted):
    fake.bind(pf, "cxgb4")
    fake.create(pf, 4)
    monkeypatch.setattr(
        host, "write_numvfs", lambda address, count: fake.write_numvfs(address, count) if count else None
    )
    assert host.set_numvfs(pf, wanted, 5) == (
        "ens1 (0000:01:00.0): driver cxgb4 accepted 0 VFs without an error, but keeps its 4 VFs: a guest has one of them, shut the guest down or detach "
        "the VF, then run the role again" + SILENT + "; it has its 4 VFs again"
    )
    assert (fake.writes(pf), fake.numvfs(pf)) == ([], 4)


@pytest.mark.parametrize("wanted", [0, 6])
def test_bnxt_gives_up_no_vfs_while_its_link_is_down(fake, pf, monkeypatch, wanted):
    def write(address, count):
        if int((fake.netdev("ens1") / "flags").read_text(), 16) & 1:
            fake.write_numvfs(address, count)

    fake.bind(pf, "bnxt_en")
    fake.create(pf, 4)
    monkeypatch.setattr(host, "write_numvfs", write)
    assert host.set_numvfs(pf, wanted, 5) is None
    assert fake.numvfs(pf) == wanted


def test_bnxt_that_makes_none_with_its_link_up_is_not_told_that_it_is_down(fake, pf):
    fake.bind(pf, "bnxt_en")
    fake.behave(pf, enables={"4": 0})
    assert "4 VFs were requested and driver bnxt_en enabled 0: lower numvfs" in host.set_numvfs(pf, 4, 5)


def test_a_driver_that_is_unbound_before_the_write_went_away(fake, pf, monkeypatch):
    monkeypatch.setattr(
        host, "write_numvfs", lambda address, count: (fake.bind(address, None), fake.write_numvfs(address, count))
    )
    assert "(No such file or directory): the card, or its driver, went away meanwhile" in host.set_numvfs(pf, 4, 5)


def test_vfs_that_another_program_made_meanwhile_are_reported(fake, pf, monkeypatch):
    def between(address, count):
        fake.create(address, 3)
        fake.write_numvfs(address, count)

    monkeypatch.setattr(host, "write_numvfs", between)
    assert (
        "): another program has created VFs on it meanwhile: stop or disable that program, then run the role again; "
        in host.set_numvfs(pf, 4, 0.5)
    )


def test_the_kernels_own_errno_for_not_supported_is_known(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "write_numvfs", lambda *_arguments: (_ for _ in ()).throw(OSError(524, os.strerror(524))))
    assert "supports no VFs with the current firmware or mode of the card" in host.set_numvfs(pf, 4, 0.5)


@pytest.mark.parametrize("command", ["apply", "boot"])
@pytest.mark.parametrize("driver, name", [("i40e", "EAGAIN"), ("ice", "EBUSY")])
def test_what_passes_by_itself_is_tried_again_at_boot_too(fake, pf, command, driver, name):
    fake.bind(pf, driver)
    fake.behave(pf, passing={"4": [name, 2]})
    if command == "boot":
        configure(device(), numvfs_timeout=60)
        assert host.main(["boot"]) == 0
    else:
        assert host.apply([device()], 60)[0]["state"] == "changed"
    assert (fake.numvfs(pf), fake.writes(pf)) == (4, [4, 4, 4])


def test_it_is_tried_again_for_half_of_the_time_and_no_longer_than_half_a_minute(fake, pf, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr(host.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(host.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    fake.behave(pf, errors={"4": "EAGAIN"})
    for timeout, longest in ((10, 5), (3600, 30)):
        begun = clock[0]
        assert "did not end during the retries" in host.set_numvfs(pf, 4, timeout)
        assert longest / 2 < clock[0] - begun <= longest


def test_other_errors_are_not_tried_again(fake, pf):
    fake.behave(pf, errors={"4": "EIO"})
    host.apply([device()], 60)
    assert fake.writes(pf) == [4]


# --- the kernel's own words


def test_the_kernels_lines_about_the_pf_since_the_write_are_quoted_as_text_and_as_a_field(fake, pf):
    fake.behave(
        pf,
        errors={"4": "EIO"},
        says={
            "4": [
                "3,2,200,-;igb 0000:01:00.0: not enough MMIO resources for SR-IOV",
                " SUBSYSTEM=pci",
                " DEVICE=+pci:0000:01:00.0",
                "4,3,201,-;pci 0000:01:00.1: of another function",
                "4,4,202,-;igbvf 0000:01:00.00: of no function",
                "12,5,203,-;igb 0000:01:00.0: of a program that writes there",
                "6,6,204,-;link is down",
                " SUBSYSTEM=net",
                " DEVICE=+pci:0000:01:00.0",
            ]
        },
    )
    [result] = host.apply([device()], 5)
    lines = ["igb 0000:01:00.0: not enough MMIO resources for SR-IOV", "link is down"]
    assert result["kernel_log"] == lines
    assert "; the kernel said: %s / %s; it has no VFs" % tuple(lines) in result["message"]


def test_the_kernels_words_are_bounded_and_printable(fake, pf):
    fake.behave(
        pf,
        errors={"4": "EIO"},
        says={
            "4": [
                "3,%d,200,-;igb 0000:01:00.0: %d \x1b[31m\\x0a\xff%s" % (number, number, "x" * 5000)
                for number in range(40)
            ]
        },
    )
    [result] = host.apply([device()], 5)
    assert len(result["kernel_log"]) == 5
    assert all(len(line) <= 200 and line.isascii() and line.isprintable() for line in result["kernel_log"])
    assert result["kernel_log"][0].startswith("igb 0000:01:00.0: 35 ?[31m??xxx")


def test_the_words_of_putting_back_are_not_those_of_the_failure(fake, pf):
    fake.create(pf, 2)
    fake.behave(
        pf,
        errors={"4": "EIO"},
        says={
            "4": ["3,2,200,-;igb 0000:01:00.0: broken"],
            "2": ["6,%d,201,-;igb 0000:01:00.0: 2 VFs" % number for number in range(9)],
        },
    )
    [result] = host.apply([device()], 5)
    assert result["kernel_log"] == ["igb 0000:01:00.0: broken"]


@pytest.mark.parametrize("how", ["absent", "a directory"])
def test_a_kernel_log_that_cannot_be_read_is_not_a_separate_error(fake, pf, how):
    fake.kmsg.unlink()
    if how == "a directory":
        fake.kmsg.mkdir()
    fake.behave(pf, errors={"4": "EIO"})
    [result] = host.apply([device()], 5)
    assert (result["state"], result["kernel_log"]) == ("failed", [])
    assert "; see the kernel log; it has no VFs" in result["message"]


def test_the_kernel_log_of_this_machine_can_be_opened_or_is_none():
    log = host.KernelLog(ONE)
    assert log.lines() in ([], None)
    log.close()


def test_records_that_were_overwritten_are_not_the_end_of_the_kernel_log(fake, pf, monkeypatch):
    log = host.KernelLog(pf)
    fake.say("3,2,200,-;igb 0000:01:00.0: later")
    real, answers = os.read, [BrokenPipeError]

    def read(descriptor, length):
        if answers:
            raise answers.pop()
        return real(descriptor, length)

    monkeypatch.setattr(os, "read", read)
    assert log.lines() == ["igb 0000:01:00.0: later"]


def test_a_driver_without_sriov_in_sysfs_is_named(fake, pf):
    fake.behave(pf, sysfs=False)
    [result] = host.apply([device()], 5)
    assert result["message"].startswith(
        "ens1 (0000:01:00.0): setting 4 VFs failed (No such file or directory): the driver igb cannot create VFs through sysfs: "
        "use a driver, or driver settings, that can"
    )


def test_a_device_that_disappears_before_the_write_is_not_taken_for_a_driver_without_sriov(fake, pf, monkeypatch):
    def unplug_and_write(address, count):
        fake.remove_function(address)
        fake.write_numvfs(address, count)

    monkeypatch.setattr(host, "write_numvfs", unplug_and_write)
    assert host.set_numvfs(pf, 4) == GONE + SILENT


GONE = "ens1 (0000:01:00.0) went away while its VFs were being set: check that the card is seated and its driver loaded, then run the role again"


@pytest.mark.parametrize("how", ["pulled out", "pulled out, and the kernel has not removed it yet"])
def test_a_card_that_is_pulled_out_in_the_middle_is_not_called_slow(fake, pf, monkeypatch, how):
    if how == "pulled out":
        fake.behave(pf, unplugs=[4])
    else:
        (fake.pci(pf) / "config").write_bytes(b"\xff" * 64)
        fake.behave(pf, hangs=[4])
        monkeypatch.setattr(host, "GRACE_SECONDS", 0)
    [result] = host.apply([device()], 0)
    assert (result["state"], result["message"], result["now"]) == ("failed", GONE + SILENT, 0)


def test_vfs_that_never_show_because_the_card_is_gone_are_reported(fake, pf, monkeypatch):
    monkeypatch.setattr(
        host, "write_numvfs", lambda address, count: (fake.write_numvfs(address, count), fake.remove_function(address))
    )
    assert host.set_numvfs(pf, 4) == GONE + SILENT


@pytest.mark.parametrize("before", [0, 2])
def test_a_driver_that_enables_fewer_is_an_error_and_the_pf_is_as_it_was(fake, pf, before):
    fake.create(pf, before)
    fake.behave(pf, enables={"6": 3})
    [result] = host.apply([device(numvfs=6)], 5)
    assert (result["state"], result["now"], fake.numvfs(pf)) == ("failed", before, before)
    assert result["message"] == (
        "ens1 (0000:01:00.0): 6 VFs were requested and driver igb enabled 3: lower numvfs" + SILENT + BACK[before]
    )


def test_a_put_back_that_fails_is_reported(fake, pf):
    fake.create(pf, 2)
    fake.behave(pf, errors={"4": "EIO", "2": "ENOMEM"})
    [result] = host.apply([device(numvfs=4)], 5)
    assert result["message"].endswith("; putting back its 2 VFs failed too (Cannot allocate memory)")
    assert result["now"] == 0


def test_a_put_back_that_brings_fewer_is_reported(fake, pf):
    fake.create(pf, 5)
    fake.behave(pf, errors={"6": "EIO"}, enables={"5": 1})
    [result] = host.apply([device(numvfs=6)], 5)
    assert result["message"].endswith("; putting back its 5 VFs failed too (it has 1 now)")


def test_a_pf_that_disappears_before_its_turn_is_reported(fake):
    assert host.set_numvfs(ONE, 4) == "0000:01:00.0 went away, or its driver released it, before its VFs could be set"


def test_bnxt_gets_its_link_up_and_is_asked_again(fake):
    fake.add_function(ONE, "14e4:16d7", "bnxt_en", ["ens1"], totalvfs=8, needs_link_up=True)
    [result] = host.apply([device(id="14e4:16d7")], 5)
    assert (result["state"], result["now"], fake.writes(ONE)) == ("changed", 4, [4, 4])


def test_bnxt_whose_link_cannot_be_set_up_is_reported(fake, monkeypatch):
    fake.add_function(ONE, "14e4:16d7", "bnxt_en", ["ens1"], totalvfs=8, needs_link_up=True)
    monkeypatch.setattr(host, "link_up", lambda *_arguments: False)
    assert host.set_numvfs(ONE, 4, 5) == (
        "ens1 (0000:01:00.0): driver bnxt_en creates VFs only while the interface is up, and it is down: set it up, then run the role again"
        + SILENT
        + BACK[0]
    )


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
    assert host.set_numvfs(pf, 4, 300) == (
        "ens1 (0000:01:00.0): the kernel counts 4 VFs and shows 0 of them after 304 s: raise sriov_numvfs_timeout, or lower numvfs"
        + SILENT
        + BACK[0]
    )
    assert fake.numvfs(pf) == 0
    assert 1304 <= clock[0] < 1305


def test_a_vf_that_shows_only_after_each_other_one_has_been_probed_is_waited_for(fake, pf, monkeypatch):
    # Half a second for each VF, as with mlx5: more than the 10 s that there once were.
    clock, real = [1000.0], host.vf_addresses
    monkeypatch.setattr(host.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(host.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    fake.behave(pf, vf_driver="mlx5_core")
    (fake.pci(pf) / "sriov_totalvfs").write_text("64\n")
    monkeypatch.setattr(host, "vf_addresses", lambda address: real(address)[: int((clock[0] - 1000) / 0.52)])
    assert host.set_numvfs(pf, 32, 120) is None
    assert clock[0] - 1000 > 16


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
    monkeypatch.setattr(
        host,
        "read_int",
        lambda path: (
            pytest.fail("hangs")
            if os.path.realpath(path) == str(fake.pci(pf) / "sriov_numvfs") and os.getpid() == parent
            else real(path)
        ),
    )
    parent, reap, reaped = os.getpid(), os.waitpid, []
    monkeypatch.setattr(os, "waitpid", lambda pid, options: reaped.append(pid) or reap(pid, options))
    # The time is over once the other PF is done, however long that takes on this machine.
    monkeypatch.setattr(host.time, "monotonic", lambda: 10.0 if reaped else 0.0)
    results = host.apply([device(pf, 1), device(TWO, 1)], 0.5)
    assert [(result["state"], result["now"]) for result in results] == [("failed", 0), ("changed", 1)]
    assert results[0]["message"] == (
        "ens1 (0000:01:00.0): the kernel did not finish setting 1 VFs within 1 s: raise sriov_numvfs_timeout for a slow card"
        + SILENT
    )


def give_up_after(monkeypatch, is_so, kill=True):
    """Have a process that is late be given up only once something is so, however slow this machine is; without `kill`
    it stays.
    """
    real = os.kill

    def give_up(pid, number):
        while not is_so():
            time.sleep(0.02)
        real(pid, number if kill else 0)

    monkeypatch.setattr(host, "GRACE_SECONDS", 0)
    monkeypatch.setattr(host.os, "kill", give_up)
    return real


def test_a_write_that_was_late_and_went_through_is_a_change_and_no_failure(fake, pf, monkeypatch):
    give_up_after(monkeypatch, lambda: fake.numvfs(pf) == 1)
    fake.behave(pf, late=[1])
    [result] = host.apply([device(numvfs=1)], 0)
    assert (result["state"], result["now"], fake.numvfs(pf)) == ("changed", 1, 1)


def test_a_process_that_the_kernel_does_not_release_is_named_and_its_pf_is_not_written_again(fake, pf, monkeypatch):
    # As in an uninterruptible wait, in which a kill has to wait too.
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    results = host.apply([device(TWO)], 60)
    fake.create(pf, 2)
    real = give_up_after(monkeypatch, lambda: "waiting" in fake.kmsg.read_text(), kill=False)
    fake.behave(pf, hangs=[1], says={"1": ["3,2,200,-;igb 0000:01:00.0: waiting for the firmware"]})
    results = host.apply([device(numvfs=1)], 0) + results
    pid = results[0]["process"]
    try:
        assert results[0]["message"] == (
            "ens1 (0000:01:00.0): the kernel did not finish setting 1 VFs within 1 s: raise sriov_numvfs_timeout for a slow card; process %d "
            "still waits in the kernel for it, so its number of VFs may still change, and only a reboot ends a process that waits forever; "
            "the kernel said: igb 0000:01:00.0: waiting for the firmware" % pid
        )
        results = host.put_back(results, 60)
        assert [(result["state"], result["now"]) for result in results] == [("failed", 0), ("put back", 0)]
        assert fake.writes(pf) == [0, 1]
    finally:
        real(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_write_that_ended_after_its_time_is_put_back_with_the_others(fake, pf, monkeypatch):
    fake.create(pf, 2)
    fake.behave(pf, hangs=[1])
    real = give_up_after(monkeypatch, lambda: fake.writes(pf) == [0, 1], kill=False)
    results = host.apply([device(numvfs=1)], 0)
    real(results[0]["process"], signal.SIGKILL)
    os.waitpid(results[0]["process"], 0)
    # What the kernel did at last.
    fake.create(pf, 1)
    [result] = host.put_back(results, 60)
    assert (result["state"], result["now"], fake.numvfs(pf)) == ("failed", 2, 2)
    assert result["message"].endswith("; the write has finished since, and the PF was put back to 2 VFs")


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


def test_a_child_that_is_killed_is_reported(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "write_numvfs", lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL))
    assert host.set_all({pf: 1}, 5) == {pf: "ens1 (0000:01:00.0): the process that set its VFs was killed"}


def test_a_surprise_in_a_child_is_reported(fake, pf, monkeypatch):
    monkeypatch.setattr(host, "write_numvfs", lambda *_arguments: 1 / 0)
    assert host.set_all({pf: 1}, 5) == {pf: "ens1 (0000:01:00.0): division by zero"}


def test_what_was_changed_is_put_back_when_another_failed(fake, pf):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    fake.create(TWO, 2)
    fake.behave(pf, errors={"4": "EIO"})
    results = host.put_back(host.apply([device(ONE), device(TWO)], 5), 5)
    assert [(result["state"], result["now"]) for result in results] == [("failed", 0), ("put back", 2)]
    assert results[1]["message"] == "ens2 (0000:01:00.1) was put back to 2 VFs because another PF failed"
    assert host.refusal_of(results).endswith("; ens2 (0000:01:00.1) was put back to 2 VFs because another PF failed")
    assert fake.numvfs(TWO) == 2


def killed_group(fake, wanted):
    """Run the program in a separate process group; returns its exit status."""

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
        with pytest.raises(host.Refusal) as refusal, host.locked(timeout=0.3):
            pytest.fail("both are in")
        assert str(refusal.value).startswith("process %d has held %s for over" % (process.pid, host.HOST.lock))
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


def test_a_killed_holder_leaves_no_lock_and_its_longer_number_is_removed(fake):
    host.write_atomically(host.HOST.lock, "9" * 20)
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
        assert host.read_text(host.HOST.lock) == str(os.getpid())


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


@pytest.mark.parametrize(
    "content, text",
    [
        ('{"format": 2}', "has format 2, this program reads format 1: run the role again"),
        ("[]", "has format None, this program reads format 1: run the role again"),
        ("{", "cannot be read"),
        ("\udcff", "cannot be read"),
        ('{"format": 1}', "lacks boot_wait, devices, numvfs_timeout: run the role again, it writes the file again"),
    ],
)
@pytest.mark.parametrize("command", [["boot"], ["device", ONE], ["ready", ONE], ["status"]])
def test_configuration_that_is_not_this_programs_is_refused_and_nothing_is_done(
    fake, pf, capsys, content, text, command
):
    host.write_atomically(host.HOST.config, content)
    assert host.main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sriov-vfs: {host.HOST.config} {text}") and error.count("\n") == 1
    assert fake.writes(pf) == []


# --- the command line


def test_boot_sets_the_pfs_of_the_boot_unit_and_no_others(fake, pf, capsys):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    configure(device(ONE, 3), device(TWO, 2, boot="udev"))
    assert host.main(["boot"]) == 0
    assert (fake.numvfs(ONE), fake.numvfs(TWO)) == (3, 0)
    assert capsys.readouterr().out == "changed: ens1 (0000:01:00.0) has 3 VFs\n"


def test_device_sets_one_pf_for_everything_that_starts_it(fake, pf, capsys):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    configure(device(ONE, 3), device(TWO, 2, boot="udev"))
    assert host.main(["device", TWO]) == 0
    assert (fake.numvfs(ONE), fake.numvfs(TWO)) == (0, 2)
    capsys.readouterr()
    assert host.main(["device", "0000:09:00.0"]) == 0
    assert capsys.readouterr().out == f"0000:09:00.0 is not in {host.HOST.config}: there is nothing to do\n"


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


def test_boot_sends_nothing_to_an_interface_that_udev_has_not_named(fake, pf, monkeypatch, tmp_path):
    # The kernel called the PF eth0. While udev renames it, the next card comes and gets that name.
    named_by_udev(fake, monkeypatch, tmp_path / "udev", "ens1")
    (tmp_path / "udev/n7").unlink()
    monkeypatch.setattr(host, "renamed", REAL_RENAMED)
    sent_before = []

    def name_it(_seconds):
        sent_before.extend(fake.sent())
        (tmp_path / "udev/n7").write_text("")

    monkeypatch.setattr(host.time, "sleep", name_it)
    configure(device(ONE, 2, vfs=[{"vf": 0, "vlan": 100}]), boot_wait=30)
    asked = []
    really = fake.run_ip
    monkeypatch.setattr(host, "run_ip", lambda words: (asked.append((tmp_path / "udev/n7").exists()), really(words))[1])
    assert host.main(["boot"]) == 0
    assert sent_before == []
    assert asked
    assert all(asked)


def test_an_interface_that_gets_its_name_while_it_is_set_up_is_looked_up_again(fake, pf, monkeypatch):
    really, renaming = fake.run_ip, ["RTNETLINK answers: No such device"]

    def run_ip(words):
        return (1, "", renaming.pop()) if renaming else really(words)

    monkeypatch.setattr(host, "run_ip", run_ip)
    host.quiet_up(pf, 0)
    assert host.is_up("ens1")
    monkeypatch.setattr(host, "is_up", lambda _name: False)
    monkeypatch.setattr(host, "run_ip", lambda _words: (1, "", 'Cannot find device "ens1"'))
    with pytest.raises(host.Refusal, match="setting the interface ens1 up failed"):
        host.quiet_up(pf, 0)


def test_boot_refuses_another_card_in_the_slot(fake, pf):
    configure(device(id="15b3:1017"))
    assert host.main(["boot"]) == 1
    assert fake.writes(pf) == []


def test_ready_is_good_only_when_the_vfs_are_there(fake, pf, capsys):
    configure(device(ONE, 3))
    assert host.main(["ready", ONE]) == 1
    assert fake.numvfs(pf) == 0
    assert capsys.readouterr().out == (
        "failed: ens1 (0000:01:00.0) has 0 VFs, 3 are wanted: see what changed that (journalctl -b), then run systemctl restart "
        "sriov-vfs.service\n"
    )
    fake.create(pf, 3)
    assert host.main(["ready", ONE]) == 0
    assert host.main(["ready", ONE, TWO]) == 2
    assert "does not contain all of 0000:01:00.0, 0000:01:00.1" in capsys.readouterr().err


def test_ready_is_good_with_vfs_of_another_number_that_wait_for_the_next_boot(fake, pf, capsys):
    configure(device(ONE, 3))
    fake.create(pf, 2)
    fake.set_up(fake.vf_netdev(pf, 0))
    assert host.main(["ready", ONE]) == 0
    assert capsys.readouterr().out.startswith("ok: ens1 (0000:01:00.0) keeps its 2 VFs until the next boot")


def test_status_distinguishes_as_wanted_waits_and_failed_in_words_and_exit_code(fake, pf, capsys):
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    configure(device(ONE, 3), device(TWO, 2, boot="udev"))
    assert host.main(["status"]) == 1
    assert capsys.readouterr().out == (
        "failed: ens1 (0000:01:00.0) has 0 VFs, 3 are wanted: see what changed that (journalctl -b), then run systemctl restart "
        "sriov-vfs.service\n"
        "failed: ens2 (0000:01:00.1) has 0 VFs, 2 are wanted: see what changed that (journalctl -b), then run systemctl restart "
        "sriov-vfs@0000:01:00.1.service\n"
    )
    fake.create(pf, 2)
    fake.create(TWO, 2)
    fake.set_up(fake.vf_netdev(pf, 0))
    assert host.main(["status"]) == 3
    out = capsys.readouterr().out
    assert out.startswith("pending: ens1 (0000:01:00.0) keeps its 2 VFs until the next boot, 3 are wanted: VF ")
    assert out.endswith("\nok: ens2 (0000:01:00.1) has 2 VFs\n")
    fake.create(TWO, 1)
    assert host.main(["status"]) == 1
    fake.create(pf, 3)
    fake.create(TWO, 2)
    capsys.readouterr()
    assert host.main(["status"]) == 0
    assert capsys.readouterr().out == "ok: ens1 (0000:01:00.0) has 3 VFs\nok: ens2 (0000:01:00.1) has 2 VFs\n"
    assert fake.writes(pf) == []


def test_boot_and_device_end_with_3_when_something_only_waits(fake, pf, capsys):
    configure(device(ONE, 3))
    fake.create(pf, 2)
    fake.set_up(fake.vf_netdev(pf, 0))
    for command in (["boot"], ["device", ONE]):
        assert host.main(command) == 3
        assert capsys.readouterr().out.startswith("pending: ")


def note_firmware(text):
    host.write_atomically(host.HOST.state + "/pending-firmware.json", text)


def test_vfs_that_wait_for_the_firmware_of_the_next_boot_have_not_failed(fake, capsys):
    fake.add_function(ONE, "15b3:1017", "mlx5_core", ["ens1"], totalvfs=2)
    configure(device(ONE, 8, id="15b3:1017"))
    assert host.main(["status"]) == 1
    note_firmware('{"firmware:0000:01:00.1:NUM_OF_VFS=8": "boot-1"}')
    capsys.readouterr()
    assert (host.main(["status"]), host.main(["boot"]), host.main(["ready", ONE])) == (3, 3, 1)
    assert capsys.readouterr().out.splitlines() == [
        state + ": ens1 (0000:01:00.0) has 0 of 8 VFs: its firmware is set and offers more from the next boot on"
        for state in ("waiting", "waiting", "failed")
    ]
    fake.boot("boot-2")
    assert host.main(["status"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100000,
        '{"firmware:0000:01:00.0:A=1": 5}',
        '{"firmware:0000:01:0": "boot-1"}',
        '{"firmware:0000:02:00.0:A=1": "boot-1"}',
    ],
)
def test_a_note_about_firmware_without_the_card_has_no_effect(fake, pf, text):
    configure(device(ONE, 9))
    note_firmware(text)
    assert host.main(["status"]) == 1


def test_a_pf_that_is_gone_is_reported_with_its_last_known_interface(fake, capsys):
    configure(
        device(name="ens9"),
        device(TWO, name="ens8", optional=True),
        device("0000:02:00.0"),
        device("0000:03:00.0", name=""),
    )
    assert host.main(["status"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "failed: PF 0000:01:00.0, last known as ens9, is not there: check that the card is seated"
    )
    assert lines[1] == "skipped: PF 0000:01:00.1, last known as ens8, is not there (optional)"
    assert [line.partition(":")[2][:28] for line in lines[2:]] == [
        " PF 0000:02:00.0 is not ther",
        " PF 0000:03:00.0 is not ther",
    ]


# --- any configuration


GOOD = {
    "format": 1,
    "boot_wait": 0,
    "numvfs_timeout": 5,
    "udev_rule_path": "/etc/rules",
    "devices": [device(ONE, 3), device(TWO, 2)],
}
ODD = (
    None,
    True,
    False,
    -1,
    0,
    7,
    8,
    65536,
    2**63,
    10**400,
    -(10**400),
    0.5,
    1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    "x",
    "\0",
    "a\0b",
    "\ud800",
    "\x1b[2J",
    "../../etc",
    "/etc/passwd",
    ONE,
    ONE + "\n",
    "0000:01:00.9",
    "8086:10c9",
    "é" * 300,
    [],
    [[]],
    {},
    {"a": {}},
    [None],
    ["\0"],
    "systemd",
    "none",
    "inf",
)


def spoilt(random):
    """A configuration with up to three things in it that are not what the role writes."""
    config = copy.deepcopy(GOOD)
    for _time in range(random.randint(1, 3)):
        at = random.choice(
            [
                config,
                config,
                *[
                    entry
                    for entry in (config.get("devices") if isinstance(config.get("devices"), list) else [])
                    if isinstance(entry, dict)
                ],
            ]
        )
        key = random.choice([*at, "name", "waits", "numvfs", "address", "devices"])
        how = random.randrange(4)
        if how == 0:
            at.pop(key, None)
        elif how == 1 and isinstance(at.get(key), list):
            at[key].append(random.choice(ODD))
        else:
            at[key] = random.choice(ODD)
    return config


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_with_any_configuration_the_program_ends_with_a_sentence(fake, pf, capsys, seed):
    random, seen = Random(seed), set()
    fake.add_function(TWO, netdevs=["ens2"], totalvfs=7)
    for _turn in range(100):
        text = json.dumps(spoilt(random))
        if random.random() < 0.2:
            text = text[: random.randrange(len(text))]
        (fake.etc / "sriov").mkdir(exist_ok=True)
        Path(host.HOST.config).write_text(text)
        for command in (["status"], ["ready", ONE], ["boot"], ["device", TWO]):
            code = host.main(command)
            out, err = capsys.readouterr()
            seen.add(code)
            assert code in (0, 1, 2, 3), (text, command)
            assert (out + err).isascii() and not re.search(r"[^ -~\n]", out + err), text
            if code == 2:
                assert err.startswith("sriov-vfs: ") and err.count("\n") == 1 and err.endswith("\n") and out == "", text
        for address in (ONE, TWO):
            fake.create(address, 0)
    assert seen >= {0, 1, 2}


@pytest.mark.parametrize(
    "change, text",
    [
        (
            {"numvfs_timeout": float("inf")},
            "numvfs_timeout is inf, which the role never writes: run the role again, it writes the file again",
        ),
        ({"boot_wait": float("nan")}, "boot_wait is nan, "),
        ({"udev_rule_path": "/etc/\0rules"}, "udev_rule_path is '/etc/\\x00rules', "),
        ({"devices": {}}, "devices is {}, "),
        ({"devices": [5]}, "devices[0] is 5, "),
        ({"devices": [device(), device("0000:01:00.1\n")]}, "devices[1] address is '0000:01:00.1\\n', "),
        ({"devices": [device(numvfs=True)]}, "devices[0] numvfs is True, "),
        ({"devices": [device(numvfs=65536)]}, "devices[0] numvfs is 65536, "),
        ({"devices": [device(boot="later")]}, "devices[0] boot is 'later', "),
        ({"devices": [device(optional="no")]}, "devices[0] optional is 'no', "),
        ({"devices": [device(id="igb")]}, "devices[0] id is 'igb', "),
        ({"devices": [device(name="\x1b[2J")]}, "devices[0] name is '\\x1b[2J', "),
    ],
)
def test_what_is_wrong_in_the_configuration_is_said_with_its_place(fake, pf, capsys, change, text):
    configure(device(), **change) if "devices" not in change else configure(*change["devices"]) if isinstance(
        change["devices"], list
    ) else host.write_atomically(host.HOST.config, json.dumps(dict(GOOD, **change)))
    assert host.main(["status"]) == 2
    assert capsys.readouterr().err.startswith(f"sriov-vfs: {host.HOST.config}: {text}")


def test_a_configuration_that_is_nested_too_deep_is_unreadable(fake, capsys):
    host.write_atomically(host.HOST.config, "[" * 100000)
    assert host.main(["status"]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["boot"], ["device", ONE], ["ready", ONE], ["status"]])
def test_without_configuration_the_message_names_the_role(fake, capsys, command):
    assert host.main(command) == 2
    assert capsys.readouterr().err == f"sriov-vfs: {host.HOST.config} is not there: run the role\n"


@pytest.mark.parametrize("command", [[], ["device"], ["ready"], ["explode"]])
def test_wrong_use_is_exit_2(fake, command):
    with pytest.raises(SystemExit) as leaving:
        host.main(command)
    assert leaving.value.code == 2


# --- the installed file


def test_the_installed_file_runs_as_a_program_isolated_from_ansible(fake, pf):
    text = program_text()
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    assert text.count("HOST = Host()\n") == 1
    text = text.replace("HOST = Host()\n", f'HOST = Host("{fake.root}")\n')
    program = fake.root / "sriov-vfs"
    program.write_text(text)

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-I", str(program)] + list(arguments), capture_output=True, text=True, check=False
        )

    assert run("boot").returncode == 2
    configure(device(ONE, 3))
    fake.create(pf, 3)
    done = run("status")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok: ens1 (0000:01:00.0) has 3 VFs\n", "")
    configure(device(ONE, 3), device("0000:09:00.0"))
    assert run("boot").returncode == 1
    assert run().returncode == 2


@pytest.mark.parametrize("module", sorted(str(path.relative_to(PLUGINS)) for path in PLUGINS.glob("**/*.py")))
def test_the_code_parses_under_python_3_9(module):
    ast.parse((PLUGINS / module).read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_program_imports_only_the_standard_library():
    tree = ast.parse(program_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)
