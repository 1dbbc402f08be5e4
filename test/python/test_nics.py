# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NICs of a host as sriov_nics lists them: which ones, their VFs and holders, and what stands in the way."""

import json
import os

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import nics
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import causes
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_nics
from fake_sysfs import fake_host  # noqa: F401 (the fixture "fake")

A0, A1, B0, C0 = "0000:01:00.0", "0000:01:00.1", "0000:3b:00.0", "0000:00:03.0"


def seen(fake):
    """The NICs by address; the host is as it was."""
    fake.answer("ip -j route show default", [])
    before = fake.files("sys", "etc", "run")
    found = nics.read_nics()
    assert fake.files("sys", "etc", "run") == before
    return {nic["address"]: nic for nic in found["nics"]}


def obstacles(nic):
    return [obstacle["kind"] for obstacle in nic["obstacles"]]


def test_a_host_without_nics_has_none(fake):
    assert seen(fake) == {}


def test_an_idle_pf_has_nothing_in_its_way(fake):
    fake.add_function(A0, "8086:10c9", "igb", ["ens1f0"], totalvfs=7)
    assert seen(fake)[A0] == {
        "address": A0,
        "id": "8086:10c9",
        "driver": "igb",
        "names": ["ens1f0"],
        "totalvfs": 7,
        "vfs": [],
        "obstacles": [],
    }


def test_vfs_are_listed_in_the_order_of_their_numbers_with_their_holders(fake):
    fake.add_function(A0, totalvfs=7, netdevs=["ens1f0"])
    fake.create(A0, 3)
    fake.bind(fake.vf(A0, 1), "vfio-pci")
    fake.set_up(fake.vf_netdev(A0, 2))
    nic = seen(fake)[A0]
    assert [(vf["address"], vf["driver"], vf["holder"]) for vf in nic["vfs"]] == [
        (fake.vf(A0, 0), "igbvf", None),
        (fake.vf(A0, 1), "vfio-pci", f"VF {fake.vf(A0, 1)} is bound to vfio-pci"),
        (fake.vf(A0, 2), "igbvf", f"VF {fake.vf(A0, 2)} ({fake.vf_netdev(A0, 2)}) is up"),
    ]
    assert nic["obstacles"] == [
        {"kind": "VFs", "text": "3"},
        {"kind": "in use", "text": f"VF {fake.vf(A0, 1)} is bound to vfio-pci"},
    ]


def test_a_vf_is_no_nic_of_its_own(fake):
    fake.add_function(A0, totalvfs=7)
    fake.create(A0, 2)
    assert list(seen(fake)) == [A0]


def test_mellanox_without_sriov_is_listed_with_its_cure(fake):
    fake.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"])
    assert obstacles(seen(fake)[B0]) == ["offers none"]
    assert "SRIOV_EN" in seen(fake)[B0]["obstacles"][0]["text"]


def test_firmware_that_was_set_in_this_boot_is_no_obstacle(fake):
    fake.add_function(B0, "15b3:1017", "mlx5_core", ["ens2"])
    path = fake.root / "var/lib/sriov/pending-firmware.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"firmware:0000:3b:00.0:NUM_OF_VFS=8": "boot-1"}))
    assert obstacles(seen(fake)[B0]) == []
    fake.boot("boot-2")
    assert obstacles(seen(fake)[B0]) == ["offers none"]


@pytest.mark.parametrize(
    "ids, driver, total, listed",
    [
        ("8086:1572", "i40e", None, True),
        ("8086:1533", "igb", None, False),
        ("8086:1521", "igb", None, True),
        ("8086:100e", "e1000", None, False),
        ("8086:100e", "e1000", 8, True),
    ],
)
def test_a_nic_that_hides_sriov_is_listed_if_its_model_supports_it(fake, ids, driver, total, listed):
    fake.add_function(C0, ids, driver, ["mgmt"])
    fake.configuration_space(C0, total)
    assert (C0 in seen(fake)) == listed


def test_in_a_virtual_machine_a_driver_proves_nothing(fake):
    fake.add_function(C0, "8086:1572", "i40e", ["mgmt"])
    (fake.proc / "cpuinfo").write_text("flags : fpu hypervisor\n")
    assert causes.is_virtual_machine() and seen(fake) == {}


def test_a_pf_without_a_driver_has_its_cure(fake):
    fake.add_function(A0, totalvfs=7, driver=None)
    [obstacle] = seen(fake)[A0]["obstacles"]
    assert obstacle["kind"] == "no driver" and "kernel module" in obstacle["text"]


def test_a_pf_that_is_passed_through_says_to_what(fake):
    fake.add_function(A0, totalvfs=7, driver="vfio-pci")
    assert seen(fake)[A0]["obstacles"] == [{"kind": "passed through", "text": "vfio-pci"}]


def test_an_interface_in_another_network_namespace_is_said(fake):
    fake.add_function(A0, totalvfs=7, netdevs=["ens1f0"])
    fake.move_to_namespace("ens1f0")
    assert obstacles(seen(fake)[A0]) == ["namespace"]


def test_the_pf_with_the_connection_is_known(fake):
    for address, name in ((A0, "ens1f0"), (A1, "ens1f1")):
        fake.add_function(address, totalvfs=7, netdevs=[name])
    fake.connect_over_ssh()
    fake.address_is_on("ens1f1")
    found = nics.read_nics()
    assert found["connection_known"]
    assert [(nic["address"], obstacles(nic)) for nic in found["nics"]] == [(A0, []), (A1, ["connection"])]


def test_a_connection_that_cannot_be_found_is_said(fake):
    fake.add_function(A0, totalvfs=7, netdevs=["ens1f0"])
    found = nics.read_nics()
    assert not found["connection_known"] and found["nics"][0]["obstacles"] == []


def test_the_iommu_is_seen(fake):
    assert not nics.read_nics()["iommu"]
    os.makedirs(fake.sys / "class/iommu/dmar0")
    assert nics.read_nics()["iommu"]


def test_every_kind_of_obstacle_is_documented():
    for kind in nics.OBSTACLES:
        assert f"C({kind})" in " ".join(sriov_nics.RETURN.split())


def test_the_module_returns_what_it_documents(fake, capsys):
    fake.add_function(A0, totalvfs=7, netdevs=["ens1f0"])
    with patch_module_args({"_ansible_check_mode": True}), pytest.raises(SystemExit) as ended:
        sriov_nics.main()
    result = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and not result["changed"]
    assert [nic["address"] for nic in result["nics"]] == [A0]
    assert {"boot_id", "iommu", "connection_known", "nics"} <= set(result)
