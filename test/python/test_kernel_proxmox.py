# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_kernel_parameters on hosts whose kernels proxmox-boot-tool keeps (proxmox_host.py has the stand-ins)."""

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from proxmox_host import LIST, ProxmoxHost
from test_kernel_parameters import CMDLINE, DROP_IN, WANTED, assert_one_sentence, assert_refused, by_vendor, cases


def named(start, vendor, folder):
    return ProxmoxHost(folder, vendor, next(case for case in cases("proxmox.yml") if case["name"].startswith(start)))


@pytest.mark.parametrize("case, vendor", by_vendor("proxmox.yml"))
def test_hosts_from_the_field(case, vendor, tmp_path):
    machine = ProxmoxHost(tmp_path, vendor, case)
    as_found = machine.tree()
    if "fails" in case:
        assert_refused(machine, case, as_found)
        assert machine.refreshes() == 0
        return
    there = [uuid for uuid, kind in case["partitions"].items() if kind != "gone"]
    adds = case.get("adds", WANTED[vendor])
    for uuid in there:
        assert set(machine.booting(uuid).values()) == {case["first"]} and len(machine.booting(uuid)) == 2

    foretold = machine.ensure(check_mode=True)
    assert machine.tree() == as_found
    assert (foretold["bootloader"], machine.refreshes()) == ("proxmox-boot-tool", 0)

    done = machine.ensure()
    assert (done["changed"], done["diff"]) == (foretold["changed"], foretold["diff"])
    assert (done["changed"], machine.refreshes()) == (bool(adds), len(adds[:1]))
    for uuid in there:
        assert set(machine.booting(uuid).values()) == {" ".join([case["first"], *adds])}
    if "later" in case:
        assert machine.read(CMDLINE) == case["later"].replace("WANTED", " ".join(adds))
    assert done["warnings"] == [] if "warns" not in case else case["warns"] in " ".join(done["warnings"])
    assert [reason["key"] for reason in done["reboot"]] == [f"kernel:{token}" for token in adds]

    settled = machine.tree()
    again = machine.ensure()
    assert (again["changed"], again["diff"], machine.refreshes()) == (False, [], len(adds[:1]))
    assert machine.tree() == settled

    machine.boot(case["running"] + " " + " ".join(adds), "boot-2")
    assert machine.ensure()["reboot"] == []
    assert machine.ensure(iommu=False)["changed"] == bool(adds)
    for uuid in there:
        assert set(machine.booting(uuid).values()) == {case["first"]}
    assert machine.read(DROP_IN) is None
    # What the role made stays: without it, the tool would take the running line, which has the parameters.
    assert set(machine.tree()) == set(as_found) | ({CMDLINE} if "later" in case else set())
    assert machine.ensure(iommu=False)["changed"] is False


@pytest.mark.parametrize("start", ["The same as a mirror", "Proxmox VE on ZFS, Secure Boot"])
def test_a_disk_that_comes_back_with_the_old_line_is_refreshed(start, tmp_path):
    machine = named(start, "intel", tmp_path)
    away = tmp_path / "partitions" / "A1B2-C3D5"
    away.rename(tmp_path / "away")
    assert "A1B2-C3D5" in " ".join(machine.ensure()["warnings"])
    (tmp_path / "away").rename(away)
    assert machine.ensure()["changed"] is True
    assert len(machine.booting("A1B2-C3D5")) == 2
    assert all(line.endswith("intel_iommu=on iommu=pt") for line in machine.booting("A1B2-C3D5").values())
    assert machine.ensure()["changed"] is False


@pytest.mark.parametrize("start", ["The same as a mirror", "Proxmox VE on ZFS, Secure Boot"])
@pytest.mark.parametrize("arguments, earlier", [({}, []), ({"iommu": False}, [{}])])
def test_a_refresh_that_fails_is_undone_on_the_partitions_too(start, arguments, earlier, tmp_path):
    machine = named(start, "intel", tmp_path)
    for one in earlier:
        machine.ensure(**one)
    before, calls = machine.tree(), []

    def fails_after_half_of_it(argv):
        calls.append(argv)
        done = machine.refresh()
        return (1, "", "No space left on device\n") if len(calls) == 1 else done

    machine.tools["proxmox-boot-tool"] = fails_after_half_of_it
    with pytest.raises(Refusal, match="refresh failed, and everything is as it was: No space left") as error:
        machine.ensure(**arguments)
    assert_one_sentence(error)
    assert machine.tree() == before
    machine.tools["proxmox-boot-tool"] = lambda _argv: (1, "", "No space left on device\n")
    with pytest.raises(Refusal, match="except on the EFI system partitions, where it failed again: No space"):
        machine.ensure(**arguments)
    assert machine.tree() == before


@pytest.mark.parametrize("start", ["The same as a mirror", "Proxmox VE on ZFS, Secure Boot"])
def test_a_refresh_that_does_nothing_and_ends_well_is_found_out(start, tmp_path):
    machine = named(start, "intel", tmp_path)
    before = machine.tree()
    machine.tools["proxmox-boot-tool"] = lambda _argv: (
        0,
        "",
        "mount of /dev/disk/by-uuid/A1B2-C3D4 failed - skipping\n",
    )
    with pytest.raises(Refusal, match="lacks intel_iommu=on iommu=pt, and everything is as it was") as error:
        machine.ensure()
    assert_one_sentence(error)
    assert machine.tree() == before


@pytest.mark.parametrize("file", ["vmlinuz", "initrd.img"])
def test_an_entry_that_the_tool_left_is_named_once(file, tmp_path):
    machine = named("Proxmox VE on ZFS, UEFI", "intel", tmp_path)
    machine.remove(f"/boot/{file}-6.8.12-2-pve")
    said = machine.ensure()["warnings"]
    assert (
        len(said) == 1
        and "The entry 'proxmox-6.8.12-2-pve.conf' of /dev/disk/by-uuid/A1B2-C3D4:/loader/entries" in said[0]
    )
    again = machine.ensure()
    assert (again["changed"], again["warnings"]) == (False, [])


def test_without_root_the_tools_own_message_is_shown(tmp_path):
    machine = named("Proxmox VE on ZFS, UEFI", "intel", tmp_path)
    machine.put(CMDLINE, "quiet\n")
    with pytest.raises(Refusal, match="No root= parameter in /etc/kernel/cmdline found!"):
        machine.ensure()
    assert machine.read(CMDLINE) == "quiet\n"


def test_the_entry_that_was_selected_is_evidence_too(tmp_path):
    machine = named("Proxmox VE on ZFS, UEFI", "intel", tmp_path)
    machine.boot("root=ZFS=rpool/ROOT/pve-1 boot=zfs", "boot-1")
    machine.loader_info("systemd-boot 257.8-1~deb13u1")
    machine.loader_info("proxmox-6.8.12-4-pve.conf", "LoaderEntrySelected")
    assert machine.ensure()["bootloader"] == "proxmox-boot-tool"


@pytest.mark.parametrize("lacks", [LIST, "/usr/sbin/proxmox-boot-tool"])
def test_without_the_list_or_the_tool_it_is_a_debian_with_grub(lacks, tmp_path):
    machine = named("Proxmox VE on ZFS, Secure Boot", "intel", tmp_path)
    machine.with_grub()
    machine.remove(lacks)
    assert machine.ensure()["bootloader"] == "grub"
    assert machine.refreshes() == 0


def test_a_kernel_below_boot_was_not_started_from_a_partition_of_the_list(tmp_path):
    machine = named("Proxmox VE on ZFS, Secure Boot", "intel", tmp_path)
    machine.with_grub()
    machine.boot("BOOT_IMAGE=/boot/vmlinuz-6.8.12-4-pve root=/dev/mapper/pve-root ro quiet", "boot-1")
    assert machine.ensure()["bootloader"] == "grub"


def test_what_already_runs_is_accepted_without_any_partition(tmp_path):
    machine = named("No disk of the list", "intel", tmp_path)
    machine.boot(r"initrd=\EFI\proxmox\x root=ZFS=rpool/ROOT/pve-1 intel_iommu=on iommu=pt", "boot-1")
    assert (machine.ensure()["changed"], machine.refreshes()) == (False, 0)


def test_a_line_of_the_list_that_is_no_uuid_is_left_out(tmp_path):
    machine = named("Proxmox VE on ZFS, UEFI", "intel", tmp_path)
    machine.put(LIST, "# mirror\n\n../../sda1\n" + machine.read(LIST))
    assert machine.ensure()["changed"] is True
    assert {call[-2] for call in machine.calls if call[0].endswith("unshare")} == {"/dev/disk/by-uuid/A1B2-C3D4"}
