# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_devices on a host whose BIOS the role sets: what waits for the BIOS is not refused, and named for later."""

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import decision
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_look
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from test_devices import run_module

SHOWN, HIDDEN, ZERO, OTHER = "0000:01:00.0", "0000:02:00.0", "0000:03:00.0", "0000:04:00.0"


@pytest.fixture(name="nics")
def _nics(fake):
    """A port with SR-IOV, one whose card shows none, one that offers 0 VFs, and a NIC that cannot have any."""
    fake.add_function(SHOWN, "8086:1592", "ice", ["ens1"], totalvfs=8)
    fake.add_function(HIDDEN, "8086:1592", "ice", ["ens2"])
    fake.add_function(ZERO, "8086:10fb", "ixgbe", ["ens3"], totalvfs=0)
    fake.add_function(OTHER, "8086:100e", "e1000", ["mgmt"])
    fake.answer("ip -d -j link show", [{"ifname": name} for name in ("ens1", "ens2", "ens3", "mgmt")])
    for name in ("ens2", "mgmt"):
        # Without the capability.
        fake.configuration_space({"ens2": HIDDEN, "mgmt": OTHER}[name])
    return fake


def waiting(result):
    return [device["address"] for device in result["devices"] if device.get("waits") == decision.WAITS_FOR_BIOS]


@pytest.mark.parametrize(
    "entry, address",
    [({"name": "ens2"}, HIDDEN), ({"address": HIDDEN}, HIDDEN), ({"name": "ens3"}, ZERO), ({"driver": "ixgbe"}, ZERO)],
)
def test_a_pf_that_offers_no_vfs_waits_for_the_bios(nics, monkeypatch, capsys, entry, address):
    code, result = run_module(monkeypatch, capsys, devices=[entry], numvfs=4)
    assert code == 1
    refused = result["msg"]
    code, result = run_module(monkeypatch, capsys, devices=[entry], numvfs=4, bmc=True)
    assert code == 0 and waiting(result) == [address]
    # What is said later is what is refused without a BMC; a NIC that shows no SR-IOV is then no PF yet.
    [later] = result["bios"]["until"]
    assert "offers no VFs: " in later and later.partition("offers no VFs: ")[2].split(";")[0] in refused


def test_a_driver_chooses_the_ports_that_have_sr_iov_and_others_only_without_any(nics, monkeypatch, capsys):
    _code, result = run_module(monkeypatch, capsys, devices=[{"driver": "ice"}], numvfs=4, bmc=True)
    assert [device["address"] for device in result["devices"]] == [SHOWN] and waiting(result) == []
    nics.remove_function(SHOWN)
    _code, result = run_module(monkeypatch, capsys, devices=[{"driver": "ice"}], numvfs=4, bmc=True)
    assert waiting(result) == [HIDDEN]


@pytest.mark.parametrize("entry", [{"name": "mgmt"}, {"name": "ens1", "numvfs": 9}, {"name": "ens9"}])
def test_what_no_bios_changes_is_refused_as_ever(nics, monkeypatch, capsys, entry):
    without = run_module(monkeypatch, capsys, devices=[entry], numvfs=4)
    code, result = run_module(monkeypatch, capsys, devices=[entry], numvfs=4, bmc=True)
    assert code == 1 and result["msg"].startswith(without[1]["msg"].rstrip(")"))


def test_without_a_bmc_nothing_about_the_host_is_returned(nics, monkeypatch, capsys):
    _code, result = run_module(monkeypatch, capsys, devices=[{"name": "ens1"}], numvfs=4)
    assert "bios" not in result


def test_the_host_says_who_it_is_and_what_is_on(nics, monkeypatch, capsys):
    folder = nics.root / "sys/class/dmi/id"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "product_serial").write_text("ABC1234\n")
    (nics.root / "sys/class/iommu/dmar0").mkdir(parents=True)
    _code, result = run_module(monkeypatch, capsys, devices=[{"name": "ens1"}], numvfs=4, bmc=True)
    assert result["bios"] == {
        "serial": "ABC1234",
        "uuid": "",
        "shown_on": ["iommu", "sriov"],
        "waiting": [],
        "tried": [],
        "until": [],
    }


@pytest.mark.parametrize(
    "tables, refused_now", [(["FACP"], False), (["FACP", "DMAR"], True)], ids=["by the BIOS", "by the kernel"]
)
def test_an_iommu_that_is_off_waits_for_the_bios_only_if_the_bios_has_it_off(
    nics, monkeypatch, capsys, tables, refused_now
):
    (nics.root / "proc").mkdir(exist_ok=True)
    (nics.root / "proc/cpuinfo").write_text("vendor_id\t: GenuineIntel\nflags\t\t: vmx\n")
    (nics.root / "proc/cmdline").write_text("intel_iommu=on iommu=pt\n")
    for name in tables:
        path = nics.root / "sys/firmware/acpi/tables" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    given = {"devices": [{"name": "ens1", "physical_network": "physnet2"}], "numvfs": 4, "concerns": {"kernel": {}}}
    code, result = run_module(monkeypatch, capsys, **given)
    assert code == 1 and "are for guests, but" in result["msg"]
    refused = result["msg"]
    code, result = run_module(monkeypatch, capsys, **given, bmc=True)
    assert (code, result.get("msg")) == ((1, refused) if refused_now else (0, None))
    assert refused_now or result["bios"]["until"] == [refused]


def test_after_the_reboot_nothing_waits_for_the_bios_any_more():
    devices = [
        {"address": SHOWN, "waits": decision.WAITS_FOR_BIOS},
        {"address": ZERO, "waits": decision.WAITS_FOR_FIRMWARE},
    ]
    assert sriov_look.after_bios(devices) == [{"address": SHOWN}, devices[1]]
