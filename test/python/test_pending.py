# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reason is due until a reboot has failed to clear it; then it is stuck, and never due again by itself."""

import json
import os

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import pending as sriov_pending
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.pending import judge
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program.disk import write_atomically
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program.host import Host

PT = {"key": "kernel:iommu=pt", "text": "iommu=pt waits"}
ON = {"key": "kernel:intel_iommu=on", "text": "intel_iommu=on waits"}


@pytest.fixture(name="state")
def _state(tmp_path):
    return tmp_path / "var/lib/sriov"


def at(state, boot):
    """The host with that state, in a boot of that id."""
    host = Host(str(state.parents[2]))
    os.makedirs(os.path.dirname(host.boot_id), exist_ok=True)
    with open(host.boot_id, "w", encoding="ascii") as stream:
        stream.write(boot + "\n")
    return host


def ask(state, reasons, touched=(), check_mode=False, boot="boot-1"):
    return judge(at(state, boot), "kernel", reasons, set(touched), check_mode)


def recorded(state):
    path = state / "pending-kernel.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_a_new_reason_is_due_and_recorded_with_the_boot_that_reported_it(state):
    assert ask(state, [ON, PT]) == ([ON, PT], [])
    assert recorded(state) == {ON["key"]: "boot-1", PT["key"]: "boot-1"}


def test_a_reason_stays_due_while_no_one_reboots(state):
    ask(state, [ON])
    assert ask(state, [ON]) == ([ON], [])


def test_a_reason_that_a_reboot_did_not_clear_is_stuck_and_stays_so(state):
    ask(state, [ON])
    assert ask(state, [ON], boot="boot-2") == ([], [ON])
    assert ask(state, [ON], boot="boot-2") == ([], [ON])
    assert ask(state, [ON], boot="boot-3") == ([], [ON])


def test_a_stuck_reason_whose_configuration_is_written_again_is_due_again(state):
    ask(state, [ON, PT])
    assert ask(state, [ON, PT], touched=[ON["key"]], boot="boot-2") == ([ON], [PT])
    assert recorded(state) == {ON["key"]: "boot-2", PT["key"]: "boot-1"}


def test_a_reason_that_is_gone_is_forgotten_and_the_empty_file_with_it(state):
    ask(state, [ON, PT])
    ask(state, [PT], boot="boot-2")
    assert recorded(state) == {PT["key"]: "boot-1"}
    assert ask(state, [], boot="boot-2") == ([], [])
    assert recorded(state) is None
    assert ask(state, [ON], boot="boot-2") == ([ON], [])


def test_check_mode_judges_alike_and_writes_nothing(state):
    assert ask(state, [ON], check_mode=True) == ([ON], [])
    assert not state.exists()
    ask(state, [ON])
    assert ask(state, [ON], check_mode=True, boot="boot-2") == ([], [ON])
    assert ask(state, [], check_mode=True, boot="boot-2") == ([], [])
    assert recorded(state) == {ON["key"]: "boot-1"}


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"kernel:intel_iommu=on": 7}'])
def test_a_file_that_cannot_be_used_counts_as_empty(state, content):
    state.mkdir(parents=True)
    (state / "pending-kernel.json").write_text(content)
    assert ask(state, [ON], boot="boot-2") == ([ON], [])
    assert recorded(state) == {ON["key"]: "boot-2"}


def test_nothing_is_written_when_nothing_is_new(state):
    ask(state, [ON])
    before = os.stat(state / "pending-kernel.json").st_ino
    ask(state, [ON], boot="boot-2")
    assert os.stat(state / "pending-kernel.json").st_ino == before


def test_concerns_do_not_share_their_reasons(state):
    ask(state, [ON])
    assert judge(at(state, "boot-2"), "firmware", [ON], set(), False) == ([ON], [])


def test_the_boot_id_is_the_kernels(state, tmp_path):
    host = at(state, "boot-9")
    assert host.boot_id == str(tmp_path / "proc/sys/kernel/random/boot_id")
    judge(host, "kernel", [ON], set(), False)
    assert recorded(state) == {ON["key"]: "boot-9"}


def test_the_keys_of_this_boot_are_distinguished_from_older_ones(state):
    ask(state, [ON])
    assert sriov_pending.of_this_boot(at(state, "boot-1"), "kernel") == {ON["key"]}
    assert sriov_pending.of_this_boot(at(state, "boot-2"), "kernel") == set()
    assert sriov_pending.of_this_boot(at(state, "boot-1"), "firmware") == set()


def noted(state, keys, boot):
    sriov_pending.note(at(state, boot), "kernel", keys)


def test_what_was_begun_and_perhaps_not_done_is_due_and_never_stuck(state):
    noted(state, {ON["key"]}, "boot-1")
    assert sriov_pending.of_this_boot(at(state, "boot-1"), "kernel") == {ON["key"]}
    assert sriov_pending.of_earlier_boots(at(state, "boot-2"), "kernel") == set()
    assert ask(state, [ON], boot="boot-2") == ([ON], [])
    assert ask(state, [ON], boot="boot-3") == ([], [ON])


def test_what_is_begun_again_counts_as_begun_now_and_what_was_reported_stays(state):
    ask(state, [ON])
    noted(state, {PT["key"]}, "boot-1")
    noted(state, {ON["key"], PT["key"]}, "boot-2")
    assert sriov_pending.of_this_boot(at(state, "boot-2"), "kernel") == {PT["key"]}
    assert sriov_pending.of_earlier_boots(at(state, "boot-2"), "kernel") == {ON["key"]}


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")

    def no_room(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(str(path), "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_written_file_has_the_requested_mode(tmp_path):
    write_atomically(str(tmp_path / "deep" / "file"), "text\n", 0o600)
    assert os.stat(tmp_path / "deep" / "file").st_mode & 0o7777 == 0o600
    assert (tmp_path / "deep" / "file").read_text() == "text\n"
