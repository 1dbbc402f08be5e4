# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kayobe configuration with the artefact of this repository, and what Kayobe and then Kolla Ansible make of it.

No host is reached. Kayobe's own playbooks write what they write on the control host; of Kolla Ansible's roles run those
tasks that write the files in question, each for every host, with facts of hardware that is made up below.
"""

import grp
import json
import os
import pwd
import shutil
import subprocess
from collections import namedtuple
from pathlib import Path

import hang
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

PF = namedtuple("PF", "interface address vfs vendor vf_product")

#: The network cards of the hosts in etc/kayobe/inventory/hosts.
HARDWARE = {
    "control": [],
    "named": [
        PF("ens1f0", "0000:3b:00.0", ["0000:3b:02.%d" % function for function in range(4)], "8086", "10ca"),
        PF("ens1f1", "0000:3b:00.1", ["0000:3b:0a.%d" % function for function in range(4)], "8086", "10ca"),
        PF("ens2f0", "0000:5e:00.0", ["0000:5e:10.%d" % function for function in range(4)], "8086", "10ca"),
    ],
    "addressed": [
        PF("enp59s0f0", "0000:3b:00.0", ["0000:3b:02.%d" % function for function in range(4)], "8086", "10ca"),
        PF("enp59s0f1", "0000:3b:00.1", ["0000:3b:0a.%d" % function for function in range(4)], "8086", "10ca"),
        PF("enp94s0f0", "0000:5e:00.0", ["0000:5e:10.0", "0000:5e:10.1"], "8086", "10ca"),
        PF("enp94s0f1", "0000:5e:00.1", ["0000:5e:18.0", "0000:5e:18.1"], "8086", "10ca"),
    ],
    "mapped": [PF("p4p1", "0000:81:00.0", ["0000:81:00.2", "0000:81:00.3"], "15b3", "1018")],
    "ids": [
        PF("p5p1", "0000:c1:00.0", ["0000:c1:00.2", "0000:c1:00.3"], "15b3", "101e"),
        PF("p6p1", "0000:c2:00.0", ["0000:c2:00.2"], "8086", "10ca"),
    ],
    "empty": [PF("ens1f0", "0000:3b:00.0", ["0000:3b:02.0"], "8086", "10ca")],
    "plain": [],
}

SRIOV_HOSTS = ["named", "addressed", "mapped", "ids", "empty"]

#: Kolla Ansible's own tasks that write what is read here.
KOLLA_TASKS = {
    "neutron": [
        "Ensuring config directories exist",
        "Copying over ml2_conf.ini",
        "Copying over openvswitch_agent.ini",
        "Copying over sriov_agent.ini",
    ],
    "nova": ["Ensuring config directories exist", "Copying over nova.conf"],
    "nova-cell": ["Ensuring config directories exist", "Copying over nova.conf"],
}

KOLLA_PLAYBOOK = [
    {"hosts": ["control", "compute"], "gather_facts": False, "roles": ["neutron"]},
    {"hosts": "nova-scheduler", "gather_facts": False, "roles": ["nova"]},
    {"hosts": "compute", "gather_facts": False, "roles": ["nova-cell"]},
]


class Deployment:
    """Folders of one deployment: kayobe, kolla (/etc/kolla of the control host) and node (/etc/kolla of the hosts)."""

    def __init__(self, folder, bin_folder):
        self.folder = Path(folder)
        self.bin = Path(bin_folder)
        self.kayobe = self.folder / "kayobe"
        self.kolla = self.folder / "kolla"
        self.node = self.folder / "node"
        self.facts = self.folder / "facts"
        self.fact_cache = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.facts)}

    @property
    def share(self):
        return self.bin.parent / "share"

    def configure(self):
        """Kayobe's example configuration with the hosts of this folder's etc."""
        shutil.copytree(self.share / "kayobe" / "etc_examples" / "kayobe", self.kayobe)
        shutil.copytree(HERE / "etc" / "kayobe", self.kayobe, dirs_exist_ok=True)

    def put(self, path, text):
        path = self.kayobe / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def merge(self, *options, hosts=SRIOV_HOSTS, folder="."):
        """What the operator types, and which hypervisors have SR-IOV, in the file that this has made for it."""
        self.run(
            ["node", str(ROOT / "generator" / "bootstrap.mjs"), "kayobe", "--config-path", str(self.kayobe), *options]
        )
        groups = self.kayobe / folder / "inventory" / "sriov"
        groups.write_text(
            groups.read_text().replace("[compute_sriov]\n", "[compute_sriov]\n%s\n" % "\n".join(hosts), 1)
        )

    def check(self, *options):
        """Fails where the merge has something to do, or refuses something."""
        self.run(
            [
                "node",
                str(ROOT / "generator" / "bootstrap.mjs"),
                "kayobe",
                "--config-path",
                str(self.kayobe),
                "--check",
                *options,
            ]
        )

    def bootstrap(self, galaxy):
        """Galaxy's part of `kayobe control host bootstrap`, by Kayobe's own functions, on the configuration's
        requirements.yml.
        """
        code = (
            "import sys; from kayobe import utils\n"
            "requirements, roles, collections = sys.argv[1:]\n"
            "utils.galaxy_role_install(requirements, roles)\n"
            "utils.galaxy_collection_install(requirements, collections)\n"
        )
        ansible = self.kayobe / "ansible"
        paths = [str(ansible / name) for name in ("requirements.yml", "roles", "collections")]
        return self.run([str(self.bin / "python"), "-c", code, *paths], ANSIBLE_GALAXY_SERVER=galaxy)

    def kayobe_run(self, *playbooks, environment=None, check=True):
        """`kayobe playbook run` with playbooks of Kayobe's, as its commands run them before Kolla Ansible."""
        paths = [str(self.share / "kayobe" / "ansible" / playbook) for playbook in playbooks]
        options = ["--environment", environment] if environment else []
        return self.run(
            [str(self.bin / "kayobe"), "playbook", "run", *paths, "--tags", "config", *options], check=check
        )

    def generate(self, environment=None):
        self.kayobe_run("kolla-ansible.yml", "kolla-openstack.yml", environment=environment)

    def kolla_run(self):
        """Kolla Ansible's part on every host of HARDWARE."""
        self.facts.mkdir(exist_ok=True)
        for number, host in enumerate(HARDWARE):
            facts = json.dumps(ansible_facts(host, "192.0.2.%d" % (number + 2)))
            (self.facts / host).write_text(facts)
            # The name and the form in which ansible-core 2.19 and later read it (_internal/_plugins/_cache.py).
            (self.facts / f"s1_{host}").write_text(json.dumps({"__payload__": facts}))
        return self.kolla_tasks(
            {
                "node_config_directory": str(self.node / "{{ inventory_hostname }}"),
                "config_owner_user": pwd.getpwuid(os.getuid()).pw_name,
                "config_owner_group": grp.getgrgid(os.getgid()).gr_name,
                # The hosts are folders of this machine.
                "ansible_connection": "local",
                "ansible_become": False,
                "ansible_python_interpreter": str(self.bin / "python"),
            }
        )

    def kolla_tasks(self, connection):
        """Kolla Ansible's own tasks on the hosts, whose facts are in the folder facts, as `kolla-ansible genconfig`
        runs them: globals.yml by -e.
        """
        extra = {"CONFIG_DIR": str(self.kolla), "kolla_action": "genconfig", **connection}
        command = [str(self.bin / "ansible-playbook"), "-i", str(self.kolla / "inventory" / "overcloud")]
        for values in (f"@{self.kolla / 'globals.yml'}", f"@{self.kolla / 'passwords.yml'}", json.dumps(extra)):
            command += ["-e", values]
        return self.run([*command, str(self._kolla_tree() / "site.yml")], **self.fact_cache)

    def _kolla_tree(self):
        """Kolla Ansible's plugins, variables and roles, with only the tasks that write files."""
        real = self.share / "kolla-ansible" / "ansible"
        tree = self.folder / "kolla-ansible"
        shutil.rmtree(tree, ignore_errors=True)
        for role, names in KOLLA_TASKS.items():
            (tree / "roles" / role / "tasks").mkdir(parents=True)
            for part in ("defaults", "vars", "templates"):
                if (real / "roles" / role / part).exists():
                    (tree / "roles" / role / part).symlink_to(real / "roles" / role / part)
            tasks = {
                task.get("name"): task
                for task in yaml.safe_load((real / "roles" / role / "tasks" / "config.yml").read_text())
            }
            (tree / "roles" / role / "tasks" / "main.yml").write_text(
                yaml.safe_dump([tasks[name] for name in names], sort_keys=False)
            )
        for part in ("action_plugins", "filter_plugins", "library", "module_utils", "group_vars"):
            (tree / part).symlink_to(real / part)
        (tree / "site.yml").write_text(yaml.safe_dump(KOLLA_PLAYBOOK))
        return tree

    def run(self, command, check=True, **environment):
        result = subprocess.run(
            command,
            cwd=self.folder,
            env={**self._environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=hang.SECONDS,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                "%s ended with %d:\n%s" % (" ".join(command), result.returncode, result.stdout[-6000:])
            )
        return result

    def _environment(self):
        # Neither this repository's nor this person's settings of Ansible are an operator's.
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "KAYOBE_", "KOLLA_"))
        }
        return {
            **kept,
            "PATH": f"{self.bin}:{kept.get('PATH', '')}",
            "KAYOBE_CONFIG_PATH": str(self.kayobe),
            "KOLLA_CONFIG_PATH": str(self.kolla),
            "KOLLA_VENV_PATH": str(self.bin.parent),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        }


def ansible_facts(host, address):
    """What `setup` would say of the hardware, as a fact cache keeps it."""
    interfaces = {
        "lo": {},
        "eth0": {"pciid": "virtio0", "ipv4": {"address": address, "netmask": "255.255.255.0", "network": "192.0.2.0"}},
    }
    for pf in HARDWARE[host]:
        interfaces[pf.interface] = {"pciid": pf.address}
        # VFs that the host has a driver for are interfaces as well.
        interfaces.update(("%sv%d" % (pf.interface, number), {"pciid": vf}) for number, vf in enumerate(pf.vfs))
    facts = {f"ansible_{name}": {"device": name, "active": True, **values} for name, values in interfaces.items()}
    return {
        **facts,
        "ansible_interfaces": list(interfaces),
        "ansible_hostname": host,
        "ansible_nodename": host,
        "ansible_fqdn": host,
        "ansible_os_family": "RedHat",
        "ansible_distribution": "Rocky",
        # Enterprise Linux 9 ends with 2025.1.
        "ansible_distribution_major_version": "9" if os.environ.get("SRIOV_ROLE_SERIES") == "2025.1" else "10",
        "ansible_architecture": "x86_64",
        "ansible_processor_vcpus": 4,
    }
