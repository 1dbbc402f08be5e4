# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks of the collection, run by Ansible on the simulated hosts of bench/: one remote execution for each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import hang
import yaml
from test_controller import _collection  # noqa: F401 (the fixture "collection")
from test_report import SCHEMA, check_page, host_with, nic

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
HOSTS = 3


def run(collection, folder, playbook, answer, **variables):
    """Run a playbook on hosts that answer as given; returns its output and the remote executions."""
    (folder / "answers.json").write_text(json.dumps({"sriov_nics": answer}))
    hosts = {f"h{number}": {"ansible_connection": "played"} for number in range(HOSTS)}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
    outcome = subprocess.run(
        [BIN / "ansible-playbook", "-i", "hosts.json", f"stackhpc.sriov.{playbook}"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PWD": str(folder),
            "ANSIBLE_COLLECTIONS_PATH": str(collection.parents[2]),
            "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "bench/plugins/connection"),
            "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "SRIOV_BENCH_ANSWERS": str(folder / "answers.json"),
            "SRIOV_BENCH_FOLDER": str(folder),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=hang.SECONDS,
    )
    executions = (folder / "executions").read_text().split() if (folder / "executions").exists() else []
    return outcome, executions


def test_discover_writes_variables_and_costs_one_execution_for_each_host(collection, tmp_path):
    outcome, executions = run(collection, tmp_path, "discover", host_with(nic(vfs=0)))
    assert outcome.returncode == 0, outcome.stdout
    assert executions == ["sriov_nics"] * HOSTS
    assert "3 hosts, group sriov_1x8086_10c9_max7: h0, h1, h2" in outcome.stdout
    folder = tmp_path / "sriov-discover"
    [path] = (folder / "group_vars").iterdir()
    assert yaml.safe_load(path.read_text()) == {"sriov_devices": [{"name": "ens1", "numvfs": 7}]}
    assert list(yaml.safe_load((folder / "hosts.yml").read_text())) == [path.stem]


def test_discovered_variables_can_be_used_as_they_are(collection, tmp_path):
    run(collection, tmp_path, "discover", host_with(nic(vfs=0)))
    listed = subprocess.run(
        [BIN / "ansible-inventory", "-i", "hosts.json", "-i", "sriov-discover/hosts.yml", "--host", "h1"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_HOME": str(ROOT / "build" / "ansible")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(listed.stdout)["sriov_devices"] == [{"name": "ens1", "numvfs": 7}]


def test_the_report_has_every_host_and_costs_one_execution_for_each(collection, tmp_path):
    answer = host_with(nic(used=1))
    outcome, executions = run(
        collection,
        tmp_path,
        "report",
        answer,
        sriov_devices=[{"name": "ens1"}],
        sriov_report_path=str(tmp_path / "out"),
    )
    assert outcome.returncode == 0, outcome.stdout
    assert executions == ["sriov_nics"] * HOSTS
    assert "3 hosts: 3 as wanted" in outcome.stdout
    found = json.loads((tmp_path / "out/sriov-report.json").read_text())
    SCHEMA.validate(found)
    assert [host["host"] for host in found["hosts"]] == ["h0", "h1", "h2"]
    assert "h2" in check_page((tmp_path / "out/sriov-report.html").read_text(encoding="utf-8")).texts


def test_a_host_that_fails_is_in_the_report_of_the_others(collection, tmp_path):
    (tmp_path / "answers.json").write_text("{}")
    outcome, _executions = run(
        collection,
        tmp_path,
        "report",
        host_with(nic()),
        sriov_devices="{{ groups['all'].index(inventory_hostname) or undefined }}",
    )
    assert outcome.returncode != 0
    assert "3 hosts: 1 not read, 2 as wanted" in outcome.stdout, outcome.stdout


def selection(path, module):
    [task] = [task for task in yaml.safe_load((ROOT / "role-template/tasks" / path).read_text()) if module in task]
    return task[module]


def test_the_report_chooses_the_devices_as_a_run_does():
    run_chooses = selection("devices.yml", "stackhpc.sriov.sriov_devices")
    reported = selection("report.yml", "stackhpc.sriov.sriov_nics")
    # omit has no effect inside a dictionary.
    run_chooses["openstack_release"] = run_chooses["openstack_release"].replace("omit", "none")
    assert {**reported["selection"], "concerns": reported["concerns"]} == run_chooses
