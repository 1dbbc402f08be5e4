# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bad mapping ends Kayobe's run with one sentence, before Kolla Ansible or a nova-compute has seen it."""

import re

import pytest
import yaml
from deployment import SRIOV_HOSTS, Deployment

pytestmark = pytest.mark.long

#: Variables of a host, and what Kayobe's run says of it.
WRONG = {
    "unknown-device": (
        {"sriov_devices": [{"name": "ens1f0", "numvfs": 4}], "sriov_physnet_mappings": {"esn1f0": "physnet2"}},
        r"sriov_physnet_mappings.* esn1f0\b.*ens1f0\b",
    ),
    "empty-physnet": (
        {"sriov_devices": [{"name": "ens1f0", "physical_network": ""}]},
        r"sriov_devices\[0\] \(name ens1f0\): physical_network is empty: ",
    ),
    "mac": (
        {
            "sriov_devices": [
                {"name": "ens1f0", "physical_network": "physnet2", "nova": {"address": "00:11:22:33:44:55"}}
            ]
        },
        r"sriov_devices\[0\] \(name ens1f0\): nova\.address .*MAC address.*PCI\s+address",
    ),
    "oui": (
        {"sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2", "nova": {"address": "52:54:00"}}]},
        r"sriov_devices\[0\] \(name ens1f0\): nova\.address .*MAC address.*PCI\s+address",
    ),
    "mac-selector": (
        {"sriov_devices": [{"mac": "00:11:22:33:44:55", "physical_network": "physnet2"}]},
        r"sriov_devices\[0\] \(mac 00:11:22:33:44:55\): .*(name|address)",
    ),
    "number-as-id": (
        {
            "sriov_devices": [
                {"name": "ens1f0", "physical_network": "physnet2", "nova": {"vendor_id": 8086, "product_id": "10ca"}}
            ]
        },
        r"sriov_devices\[0\] \(name ens1f0\): nova\.vendor_id .*quotes",
    ),
    "both-names": (
        {
            "sriov_devices": [
                {
                    "name": "ens1f0",
                    "physical_network": "physnet2",
                    "nova": {"devname": "ens1f0", "address": "0000:3b:02.*"},
                }
            ]
        },
        r"sriov_devices\[0\] \(name ens1f0\): .*devname.*address",
    ),
    "two-selectors": (
        {"sriov_devices": [{"name": "ens1f0", "address": "0000:3b:00.0", "physical_network": "physnet2"}]},
        r"sriov_devices\[0\] has 2 selectors \(name, address\)",
    ),
    "comma": (
        {"sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2,physnet3"}]},
        r"sriov_devices\[0\] \(name ens1f0\): physical_network .*comma",
    ),
    "mapped-mac": (
        {"sriov_devices": [{"name": "ens1f0"}], "sriov_physnet_mappings": {"b8:59:9f:0c:aa:02": "physnet2"}},
        r"sriov_physnet_mappings has .*b8:59:9f:0c:aa:02.*name an\s+interface",
    ),
    "every-device": (
        {"sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2", "nova": {"address": "*"}}]},
        r"sriov_devices\[0\] \(name ens1f0\): nova\.address .*every PCI device",
    ),
    "two-networks": (
        {
            "sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2"}],
            "sriov_physnet_mappings": {"ens1f0": "physnet3"},
        },
        r"sriov_devices\[0\] \(name ens1f0\): .*physnet2.*physnet3",
    ),
    "newer-tag": (
        {
            # In place of the release of the deployment.
            "sriov_openstack_release": "2025.1",
            "sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2", "nova": {"one_time_use": False}}],
        },
        r"sriov_devices\[0\] \(name ens1f0\): nova\.one_time_use needs Nova 32, but 2025\.1 has Nova 31",
    ),
    "one-time-use": (
        {
            "sriov_openstack_release": "2025.2",
            "sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2", "nova": {"one_time_use": True}}],
        },
        r"sriov_devices\[0\] \(name ens1f0\): nova\.one_time_use has no effect .*remove it",
    ),
    "unset": ({}, r"sriov_devices is not set, and Nova would lose the devices that it has"),
    "null": ({"sriov_devices": None}, r"sriov_devices is not set, and Nova would lose the devices that it has"),
    "unknown-key": (
        {"sriov_devices": [{"name": "ens1f0"}, {"name": "ens1f1", "num_vfs": 4}]},
        r"sriov_devices\[1\] \(name ens1f1\) has num_vfs, .*did you mean numvfs",
    ),
    # Ansible's own `default` would make nothing of it, and Nova would lose its devices without a word.
    "undefined-in-devices": (
        {"sriov_devices": [{"name": "ens1f0", "physical_network": "{{ no_such_variable }}"}]},
        r"sriov_devices of undefined-in-devices has an undefined variable in it\.|'no_such_variable' is undefined",
    ),
    "undefined-in-mappings": (
        {"sriov_devices": [{"name": "ens1f0"}], "sriov_physnet_mappings": {"ens1f0": "{{ no_such_variable }}"}},
        r"sriov_physnet_mappings of undefined-in-mappings has an undefined variable in it\.|'no_such_variable' is undefined",
    ),
    "excluded-and-taken": (
        {"sriov_devices": [{"name": "ens1f0", "physical_network": "physnet2", "exclude_vfs": ["0000:3b:02.0"]}]},
        r"sriov_devices\[0\] \(name ens1f0\): .*exclude_vfs",
    ),
}


@pytest.fixture(scope="module")
def run(kayobe_bin, collections, tmp_path_factory):
    """One run with all of them, next to hosts with which nothing is wrong."""
    deployment = Deployment(tmp_path_factory.mktemp("refusals"), kayobe_bin)
    deployment.configure()
    deployment.merge(hosts=[*SRIOV_HOSTS, *WRONG])
    (deployment.kayobe / "ansible" / "collections").symlink_to(collections)
    allocation = yaml.safe_load((deployment.kayobe / "network-allocation.yml").read_text())
    for number, (host, (variables, _sentence)) in enumerate(WRONG.items()):
        deployment.put(f"inventory/host_vars/{host}/sriov", yaml.safe_dump(variables))
        allocation["aio_ips"][host] = "192.0.2.%d" % (100 + number)
    deployment.put("network-allocation.yml", yaml.safe_dump(allocation))
    return deployment, deployment.kayobe_run("kolla-ansible.yml", check=False)


@pytest.mark.parametrize("host", WRONG)
def test_is_refused_with_a_sentence(run, host):
    _deployment, result = run
    (fatal,) = re.findall(rf"^fatal: \[{host} -> localhost\]: .*", result.stdout, re.MULTILINE)
    assert re.search(WRONG[host][1], fatal), fatal
    assert "Traceback" not in fatal


@pytest.mark.parametrize("host", ["undefined-in-devices", "undefined-in-mappings"])
def test_an_undefined_variable_is_named_with_its_place_where_ansible_knows_it(run, host, core):
    """From 2.19 on Ansible evaluates the value before our sentence could follow, and names the file and the line."""
    _deployment, result = run
    if core < (2, 19):
        assert f"of {host} has an undefined variable in it." in result.stdout
    else:
        assert re.search(rf"Origin: .*/host_vars/{host}/sriov:\d+", result.stdout)


def test_the_run_fails_and_writes_only_what_is_right(run):
    deployment, result = run
    written = {path.name for path in (deployment.kolla / "inventory" / "overcloud" / "host_vars").iterdir()}
    assert result.returncode != 0
    assert written.isdisjoint(WRONG) and {"named", "addressed", "plain"} <= written
