# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several hosts reboot, when, and which agents restart: a real Kayobe runs the playbook of the artefact.

The role is the real one but for its modules and its reboot, which touch the host: those are played below, and do what
the name of the device says. One host that really reboots is in molecule/kayobe.
"""

import re
import shutil

import pytest
import yaml
from deployment import Deployment

pytestmark = pytest.mark.long

#: Devices whose names say what is to happen.
FIND = """
result = {
    "changed": False, "boot_id": "1", "firmware_tools": [], "mlx4_traces": False, "machine": "x86_64", "package_format": "deb",
    "is_set": True, "notice": "", "settled": {}, "summary": [], "not_ready": [], "look_again": {"firmware": {}, "mlx4": {}, "kernel": {}, "vfs": {}},
    "devices": [
        {"address": "0000:01:00.0", "name": device["name"], "numvfs": 1, "firmware": None, "boot": "systemd", "port": None,
         "enough": True, "driver": "igb", "id": "8086:10c9", "physical_network": None}
        for device in parameters["devices"]
    ],
}
"""

SET = """
names = [device["name"] for device in parameters["devices"]]
if "broken" in names:
    print(json.dumps({"failed": True, "msg": "no VFs"}))
    sys.exit(1)
state = "changed" if {"more", "stuck"} & set(names) else "ok"
result = {
    "changed": state == "changed", "files": [], "pfs": [{"address": "0000:01:00.0", "name": name, "now": 1, "state": state, "message": ""} for name in names],
    "lines": names,
    "reboot": [{"text": "kernel"}] if "due" in names else [],
    "stuck": [{"text": "firmware"}] if "stuck" in names else [],
}
"""

# WANT_JSON: Ansible gives such a module its arguments as a file.
PLAYED = """#!/usr/bin/python
# WANT_JSON
import json
import sys

with open(sys.argv[1]) as stream:
    parameters = json.load(stream)
%s
print(json.dumps(result))
"""

REBOOT = [
    {
        "name": "Played",
        "ansible.builtin.debug": {"msg": "reboots now: {{ ansible_play_batch | sort | join(' ') }}"},
        "run_once": True,
    }
]

HOSTS = {"hv1": "due", "hv2": "due", "hv3": "fine", "hv4": "due", "hv5": "more", "hv6": "broken", "hv7": "stuck"}


@pytest.fixture(scope="module")
def deployment(kayobe_bin, galaxy, tmp_path_factory):
    deployment = Deployment(tmp_path_factory.mktemp("playbook"), kayobe_bin)
    deployment.configure()
    shutil.rmtree(deployment.kayobe / "inventory" / "host_vars")
    deployment.merge(hosts=HOSTS)
    agents = deployment.folder / "agents"
    agents.mkdir()
    systemctl = deployment.folder / "bin" / "systemctl"
    systemctl.parent.mkdir()
    systemctl.write_text(f'#!/bin/sh\necho "$@" >> {agents}/$SRIOV_HOST\n[ $SRIOV_HOST != hv7 ] || exit 5\n')
    systemctl.chmod(0o755)
    deployment.put("inventory/hosts", "localhost ansible_connection=local\n[controllers]\ncontrol\n")
    for host, device in HOSTS.items():
        # Each shell of a host begins with this, hence the name of it in what the program above writes.
        deployment.put(
            f"inventory/host_vars/{host}/all",
            yaml.safe_dump(
                {
                    "ansible_connection": "local",
                    "ansible_host": "127.0.0.1",
                    "ansible_become": False,
                    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                    "ansible_shell_executable": str(wrapper(deployment.folder, host, systemctl.parent)),
                    "sriov_devices": [{"name": device, "numvfs": 1}],
                }
            ),
        )
    deployment.bootstrap(galaxy.address)
    collection = deployment.kayobe / "ansible" / "collections" / "ansible_collections" / "stackhpc" / "sriov"
    for name, does in {
        "sriov_devices": FIND,
        "sriov_kernel_parameters": "result = {'changed': False}",
        "sriov_vfs": SET,
    }.items():
        (collection / "plugins" / "modules" / (name + ".py")).write_text(PLAYED % does)
    (collection / "roles" / "sriov" / "tasks" / "reboot.yml").write_text(yaml.safe_dump(REBOOT))
    return deployment


def wrapper(folder, host, programs):
    """A shell for one host, with the played systemctl first on its PATH."""
    path = folder / "bin" / ("shell-" + host)
    path.write_text(f'#!/bin/sh\nexport SRIOV_HOST={host} PATH="{programs}:$PATH"\nexec /bin/sh "$@"\n')
    path.chmod(0o755)
    return path


def run(deployment, *extra, permission=True):
    for path in (deployment.folder / "agents").iterdir():
        path.unlink()
    deployment.put("inventory/group_vars/compute_sriov/permission", yaml.safe_dump({"sriov_do_reboot": permission}))
    options = [word for value in extra for word in ("-e", value)]
    playbook = str(deployment.kayobe / "ansible" / "sriov.yml")
    result = deployment.run([str(deployment.bin / "kayobe"), "playbook", "run", playbook, *options], check=False)
    assert re.search(r"hv6 .*failed=1", result.stdout) and re.search(r"hv7 .*failed=1", result.stdout), result.stdout[
        -6000:
    ]
    return result.stdout


def reboots(said):
    return re.findall(r"reboots now: ([\w ]+)", said)


def test_hosts_reboot_one_after_the_other_and_only_those_that_must(deployment):
    said = run(deployment)
    print(said)
    assert reboots(said) == ["hv1", "hv2", "hv4"]


def test_a_few_at_a_time(deployment):
    assert reboots(run(deployment, "sriov_reboot_serial=2")) == ["hv1 hv2", "hv4"]


def test_permission_from_the_command_line_is_not_a_way_around_it(deployment):
    assert reboots(run(deployment, "sriov_do_reboot=true", permission=None)) == ["hv1", "hv2", "hv4"]


@pytest.mark.parametrize(
    "extra, permission",
    [([], False), ([], None), (["sriov_do_reboot=false"], True)],
    ids=["forbidden", "unset", "forbidden-by-e"],
)
def test_without_permission_it_is_said_what_waits(deployment, extra, permission):
    said = run(deployment, *extra, permission=permission)
    assert reboots(said) == []
    assert len(re.findall("A reboot is due and sriov_do_reboot does not permit it: kernel", said)) == 3


def test_a_group_without_hosts_is_reported(deployment):
    playbook = str(deployment.kayobe / "ansible" / "sriov.yml")
    # A copy of the inventory in which no host is in the group.
    inventory = deployment.kayobe / "inventory" / "sriov"
    before = inventory.read_text()
    inventory.write_text("[compute_sriov]\n\n[compute:children]\ncompute_sriov\n")
    try:
        result = deployment.run([str(deployment.bin / "kayobe"), "playbook", "run", playbook], check=False)
    finally:
        inventory.write_text(before)
    assert (
        result.returncode == 0 and "No host is in the group compute_sriov, so nothing is configured" in result.stdout
    ), result.stdout[-4000:]


def test_the_agent_restarts_where_vfs_changed_and_where_the_role_failed_after_that(deployment):
    run(deployment)
    agents = {path.name: path.read_text().splitlines() for path in (deployment.folder / "agents").iterdir()}
    assert agents == dict.fromkeys(["hv5", "hv7"], ["try-restart kolla-neutron_sriov_agent-container.service"])
