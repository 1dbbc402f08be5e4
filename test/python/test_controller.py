# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many tasks and remote executions a run of the role takes for each host: what a large inventory costs its
controller.

The hosts are the simulated ones of bench/, whose answers are those of a host where nothing, or much, must be done.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "bench"))

import controller

HOSTS = 3


@pytest.fixture(scope="module", name="collection")
def _collection(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        ["node", str(ROOT / "generator" / "bootstrap.mjs"), "generate", "--out", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return out / "collections" / "ansible_collections" / "stackhpc" / "sriov"


@pytest.fixture(name="rig")
def _rig(collection, tmp_path, monkeypatch):
    """Simulated hosts, in the environment of the tests."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    return controller.Rig(tmp_path, collection)


def of_each(rig, case, variables=None):
    """Results and remote executions of a run, for one of the hosts; the play's gathering of facts left out."""
    seen = rig.run(HOSTS, case, 5, "linear", variables=variables)
    counts = {name: count / HOSTS for name, count in seen["results"].items()}
    assert seen["executions"].pop("setup") == HOSTS
    return dict(counts, ok=counts["ok"] - 1), {name: count / HOSTS for name, count in seen["executions"].items()}


def edit(rig, **keywords):
    """Give the play more keywords."""
    path = rig.folder / "play.yml"
    [play] = json.loads(path.read_text())
    path.write_text(json.dumps([dict(play, **keywords)]))


def test_a_host_where_nothing_must_be_done_takes_one_remote_execution_and_five_results(rig):
    assert of_each(rig, "converged") == ({"ok": 3, "skipped": 2}, {"sriov_devices": 1})


def test_a_host_where_much_must_be_done_takes_a_remote_execution_for_each_concern(rig):
    assert of_each(rig, "fresh") == (
        {"ok": 7, "skipped": 7, "included": 1},
        {"sriov_devices": 1, "sriov_kernel_parameters": 1, "sriov_vfs": 1},
    )


def test_the_plays_handler_is_notified_once_where_permission_is_left_open(rig):
    results, _executions = of_each(rig, "fresh", {"sriov_do_reboot": None})
    # The role's own handler listens too, and says who reboots.
    assert results == {"ok": 9, "skipped": 7, "included": 1}
    assert (rig.folder / "output").read_text().count("A reboot is due.") == HOSTS


def test_what_a_host_has_is_said_in_both_cases(rig):
    of_each(rig, "converged")
    said = (rig.folder / "output").read_text()
    assert said.count('"ens1f1 (0000:3b:00.1): 8 VFs"') == HOSTS and said.count('"No reboot is due."') == HOSTS, said
    of_each(rig, "fresh")
    said = (rig.folder / "output").read_text()
    assert said.count('"ens1f1 (0000:3b:00.1): 8 VFs, changed"') == HOSTS, said
    assert said.count('"Reboot due: intel_iommu=on is set for the next boot"') == HOSTS, said
    assert said.count("Nothing reboots the host, because sriov_do_reboot is false.") == HOSTS, said


def test_after_a_reboot_that_did_not_help_nothing_is_notified_and_the_run_fails(rig):
    path = rig.folder / "fresh.json"
    answers = json.loads(path.read_text())
    kernel = dict(answers["sriov_kernel_parameters"], reboot=[], stuck=[{"text": "intel_iommu=on is not in effect"}])
    path.write_text(json.dumps(dict(answers, sriov_kernel_parameters=kernel)))
    # Otherwise no notified handler runs on a host that has failed.
    edit(rig, force_handlers=True)
    with pytest.raises(SystemExit) as error:
        of_each(rig, "fresh", {"sriov_do_reboot": None})
    said = str(error.value)
    assert (
        said.count('"msg": "The host has rebooted and this is still not in effect: intel_iommu=on is not in effect"')
        == HOSTS
    ), said
    assert (
        "RUNNING HANDLER" not in said
        and '"ens1f1 (0000:3b:00.1): 8 VFs, changed"' in (rig.folder / "output").read_text()
    )


def test_the_second_part_of_a_play_reports_what_is_due_for_the_first(rig):
    """What a run of the firmware alone has left is not lost where a run of the rest finds nothing to do."""
    first = {
        "sriov_reboot_required": True,
        "sriov_reboot_reasons": ["the firmware is set"],
        "__sriov_applied": {
            "boot_id": "1",
            "action": "mellanox",
            "devices": [],
            "bmc": False,
            "concerns": {"firmware": {}},
        },
    }
    edit(rig, pre_tasks=[{"ansible.builtin.set_fact": first}])
    rig.run(1, "converged", 5, "linear", variables={"sriov_action": "config"})
    assert '"Reboot due: the firmware is set"' in (rig.folder / "output").read_text()
