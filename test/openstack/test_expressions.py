# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kolla Ansible evaluates on each host, and files that Kayobe joins, with another ansible-core.

test_rendering.py runs the Kayobe and the Kolla Ansible of one series. In each run of the tests, this file does with the
ansible-core of the Python tools, which is that of 2025.2, what Kayobe of 2025.2 and 2026.1 does with the files here:
it joins them without a line between.
"""

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from deployment import ROOT, ansible_facts

pytestmark = pytest.mark.long

FILES = ROOT / "role-template" / "kayobe" / "kolla"
INI = ["nova.conf", "nova/nova-compute.conf", "neutron/sriov_agent.ini"]


def pf(kind, device, optional=False, exclude_vfs=()):
    selector = f"sriov_devices[0] ({kind} {device})"
    return {
        "physical_network": "physnet2",
        kind: device,
        "optional": optional,
        "exclude_vfs": list(exclude_vfs),
        "selector": selector,
    }


# What the filter makes of sriov_devices, on a host that lacks the last two.
BOTH = {
    "devices": [
        pf("name", "ens1f0", exclude_vfs=["0000:3b:02.1", "0000:3b:02.2"]),
        pf("address", "0000:3b:00.1"),
        pf("address", "0000:3b:00.7", optional=True, exclude_vfs=["0000:3b:02.7"]),
        pf("name", "ens7f0", optional=True, exclude_vfs=["0000:3b:02.7"]),
    ],
    "device_specs": [{"devname": "ens1f0", "physical_network": "physnet2"}],
}
NONE = {"devices": [], "device_specs": []}
MISSING = {"devices": [pf("address", "0000:5e:00.7")], "device_specs": []}


def ansible_playbook(folder, tasks, variables, check=True):
    """A play on one host, named, with the facts of its hardware and globals.yml by -e."""
    play = [{"hosts": "named", "gather_facts": False, "tasks": tasks}]
    (folder / "play.yml").write_text(yaml.safe_dump(play, sort_keys=False))
    facts = {name[len("ansible_") :]: value for name, value in ansible_facts("named", "192.0.2.3").items()}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_facts": facts,
        **variables,
    }
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        "named,",
        "-e",
        "@globals.yml",
        "-e",
        json.dumps(variables),
        "play.yml",
    ]
    result = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert not check or result.returncode == 0, result.stdout[-4000:]
    return result


def as_kayobe_writes_it(text):
    """Of globals.yml Kayobe keeps what is between raw and endraw, and PyYAML writes it again."""
    return yaml.safe_dump(yaml.safe_load(re.sub(r"{% (end)?raw %}\n?", "", text)))


@pytest.fixture()
def folder(tmp_path, artefacts):
    (tmp_path / "globals.yml").write_text(as_kayobe_writes_it((FILES / "globals.yml").read_text()))
    (tmp_path / "collections").symlink_to(artefacts / "collections")
    return tmp_path


AGENT_EXTENSIONS = [
    {"name": "qos", "enabled": True},
    {"name": "fdb", "enabled": True},
    {"name": "sfc", "enabled": False},
]


@pytest.mark.parametrize(
    "openstack, mapping, excluded, extensions",
    [
        (BOTH, "physnet2:ens1f0,physnet2:ens1f1", "ens1f0:0000:3b:02.1;0000:3b:02.2", ["qos", "fdb"]),
        (NONE, "", "", ["qos"]),
        (None, "", "", ["qos"]),
    ],
    ids=["two", "none", "host-without"],
)
def test_a_later_ansible_core_evaluates_the_same(folder, openstack, mapping, excluded, extensions):
    content = {
        "mapping": "{{ neutron_sriov_physnets }}",
        "excluded": "{{ sriov_openstack_excluded }}",
        "extensions": "{{ neutron_agent_extensions | map(attribute='name') | list }}",
    }
    given = {"agent_extensions": AGENT_EXTENSIONS, **({"sriov_openstack": openstack} if openstack else {})}
    ansible_playbook(folder, [{"copy": {"content": content, "dest": str(folder / "out.json")}}], given)
    assert json.loads((folder / "out.json").read_text()) == {
        "mapping": mapping,
        "excluded": excluded,
        "extensions": extensions,
    }


def test_a_pf_without_an_interface_ends_the_run_with_a_sentence(folder):
    result = ansible_playbook(
        folder, [{"debug": {"msg": "{{ neutron_sriov_physnets }}"}}], {"sriov_openstack": MISSING}, check=False
    )
    assert result.returncode != 0
    assert "No interface of named has the PCI address of sriov_devices[0] (address 0000:5e:00.7)." in result.stdout


@pytest.mark.parametrize("name", INI)
@pytest.mark.parametrize("order", ["after", "before"])
def test_files_that_kayobe_joins_without_a_line_between_stay_apart(folder, name, order):
    """Kayobe 19 and 20 read each with the lookup `file`, which takes the end of the last line away. Kayobe 21 puts an
    end of line between them.
    """
    parts = [(FILES / "config" / name).read_text().rstrip(), "[own]\nkey = value"]
    (folder / "joined.j2").write_text("".join(parts if order == "before" else reversed(parts)) + "\n")
    kayobe = {"template": {"src": str(folder / "joined.j2"), "dest": str(folder / "kolla.j2")}}
    kolla = {"template": {"src": str(folder / "kolla.j2"), "dest": str(folder / "out.ini")}}
    ansible_playbook(folder, [kayobe, kolla], {"openstack_release": "2025.2", "sriov_openstack": BOTH})
    parser = configparser.ConfigParser(strict=True)
    parser.read(folder / "out.ini")
    (ours,) = set(parser.sections()) - {"own"}
    assert dict(parser["own"]) == {"key": "value"}
    assert {option: value for option, value in parser[ours].items()} == {
        "filter_scheduler": {
            "enabled_filters": "ComputeFilter, ComputeCapabilitiesFilter, ImagePropertiesFilter, ServerGroupAntiAffinityFilter, "
            "ServerGroupAffinityFilter, PciPassthroughFilter"
        },
        "pci": {"device_spec": '[{"devname": "ens1f0", "physical_network": "physnet2"}]'},
        "sriov_nic": {
            "physical_device_mappings": "physnet2:ens1f0,physnet2:ens1f1",
            "exclude_devices": "ens1f0:0000:3b:02.1;0000:3b:02.2",
        },
    }[ours]
