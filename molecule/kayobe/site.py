#!/usr/bin/env python3
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kayobe deployment of this scenario, whose one machine is controller and hypervisor, in the folder
$RUN/deployment.

    site.py make         Kayobe's example configuration, with the machine in it
    site.py merge ...    this repository's part, by its command; arguments are the command's
    site.py bootstrap    the collection, as requirements.yml says, from a Galaxy on this machine
    site.py deploy       Kolla Ansible's files on the machine: Kayobe's playbooks, then Kolla Ansible's own tasks

What it shares with the tests that need no machine is in test/openstack/deployment.py.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / folder) for folder in ("openstack", "galaxy", ".")]

# Not at the top (E402): they are found by the path above.
import galaxy_server
from deployment import Deployment

HOST = "hypervisor"
# QEMU's user network gives it to the only guest; the interface is named by its slot in molecule/rig/machine/qemu.py.
ADDRESS, INTERFACE = "10.0.2.15", "enp0s28"

HOSTS = (
    """localhost ansible_connection=local ansible_python_interpreter="{{ ansible_playbook_python }}"

[controllers]
%s
"""
    % HOST
)

RUN = Path(os.environ["RUN"])


class Site(Deployment):
    def make(self):
        """An operator's configuration of this one machine."""
        self.configure()
        shutil.rmtree(self.kayobe / "inventory" / "host_vars")
        self.put("inventory/hosts", HOSTS)
        self.put("network-allocation.yml", json.dumps({"aio_ips": {HOST: ADDRESS}}))
        self.put(
            f"inventory/host_vars/{HOST}/machine",
            json.dumps(
                {
                    "ansible_host": "127.0.0.1",
                    "ansible_port": int((RUN / HOST / "port").read_text()),
                    "ansible_user": "molecule",
                    "ansible_ssh_private_key_file": str(RUN / HOST / "key"),
                    "ansible_ssh_common_args": f"-F none -o IdentitiesOnly=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=20 -o UserKnownHostsFile={RUN / 'known_hosts'} -o StrictHostKeyChecking=accept-new",
                    "ansible_python_interpreter": "/usr/bin/python3",
                    "aio_interface": INTERFACE,
                }
            ),
        )
        self.put("ansible.cfg", "[defaults]\ntimeout = 120\n\n[ssh_connection]\npipelining = True\n")

    def install(self):
        """The collection of dist/, built as for a release, through the configuration's own requirements.yml."""
        tarballs = self.folder / "tarballs"
        collection = ROOT / "dist" / "collections" / "ansible_collections" / "stackhpc" / "sriov"
        self.run(
            [
                str(self.bin / "ansible-galaxy"),
                "collection",
                "build",
                str(collection),
                "--output-path",
                str(tarballs),
                "--force",
            ]
        )
        with galaxy_server.serving(tarballs) as galaxy:
            self.bootstrap(galaxy.address)

    def deploy(self):
        """The part of `kayobe overcloud service deploy` for Nova and Neutron that writes the services' files, with the
        machine's own facts.
        """
        self.generate()
        shutil.rmtree(self.facts, ignore_errors=True)
        connection = json.loads((self.kayobe / "inventory" / "host_vars" / HOST / "machine").read_text())
        setup = [
            str(self.bin / "ansible"),
            "-i",
            HOST + ",",
            HOST,
            "-m",
            "ansible.builtin.setup",
            "-e",
            json.dumps(connection),
        ]
        self.run(setup, **self.fact_cache)
        owner = {"node_config_directory": "/etc/kolla", "config_owner_user": "root", "config_owner_group": "root"}
        self.kolla_tasks({**connection, **owner, "ansible_become": True})


def main(command, *arguments):
    site = Site(RUN / "deployment", os.environ["SRIOV_ROLE_KAYOBE_BIN"])
    if command == "make":
        shutil.rmtree(site.folder, ignore_errors=True)
        site.folder.mkdir(parents=True)
        site.make()
    elif command == "merge":
        node = ["node", str(ROOT / "generator" / "bootstrap.mjs"), "kayobe", "--config-path", str(site.kayobe)]
        sys.exit(subprocess.run([*node, *arguments]).returncode)
    elif command == "bootstrap":
        site.install()
    elif command == "deploy":
        site.deploy()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
