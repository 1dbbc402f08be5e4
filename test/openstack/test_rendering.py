# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From sriov_devices through Kayobe and Kolla Ansible to what Nova and Neutron read, with each one's own code."""

import json
import re
import subprocess

import pytest
from deployment import HARDWARE, HERE, SRIOV_HOSTS, Deployment

pytestmark = pytest.mark.long

COMPUTES = [*SRIOV_HOSTS, "plain"]

#: What Nova may pass on: device, physical network. A PF that Nova is given whole is in it too.
TAKEN = {
    "named": dict.fromkeys(
        ["0000:3b:00.0", "0000:3b:00.1", *HARDWARE["named"][0].vfs, *HARDWARE["named"][1].vfs], "physnet2"
    ),
    "addressed": {
        **dict.fromkeys(["0000:3b:02.0", "0000:3b:02.1", "0000:3b:02.2", "0000:3b:02.3"], "physnet2"),
        **dict.fromkeys(["0000:3b:0a.0", "0000:3b:0a.1"], "physnet3"),
        **dict.fromkeys(["0000:5e:00.0", "0000:5e:10.0", "0000:5e:10.1"], "physnet2"),
    },
    "mapped": dict.fromkeys(["0000:81:00.0", "0000:81:00.2", "0000:81:00.3"], "physnet2"),
    "ids": dict.fromkeys(["0000:c1:00.2", "0000:c1:00.3"], "physnet2"),
    "empty": {},
    "plain": {},
}

MAPPINGS = {
    "named": {"physnet2": ["ens1f0", "ens1f1"]},
    "addressed": {"physnet2": ["enp59s0f0", "enp94s0f0"], "physnet3": ["enp59s0f1"]},
    "mapped": {"physnet2": ["p4p1"]},
    "ids": {"physnet2": ["p5p1"]},
    "empty": {},
    "plain": {},
}

EXCLUDED = {**dict.fromkeys(COMPUTES, {}), "addressed": {"enp59s0f1": ["0000:3b:0a.2", "0000:3b:0a.3"]}}

# The operator's own nova.conf, next to which ours must not lose anything. Without a line's end at its end, as an editor
# may leave it.
OWN = "[DEFAULT]\ncpu_allocation_ratio = %s\n\n[libvirt]\ncpu_mode = host-passthrough"


#: The operator's own devices that are not NICs.
GPUS = '[pci]\n{% raw %}\n{% for product in our_gpus | default([\'20b0\']) %}\ndevice_spec = {"vendor_id": "10de", "product_id": "{{ product }}"}\n{% endfor %}\n{% endraw %}\n'


VLANS = ["--vlan-range", "physnet2:100:199"]


def openvswitch(deployment):
    deployment.merge(*VLANS)


def ovn_in_an_environment(deployment):
    deployment.merge(*VLANS)
    deployment.put("environments/site/kolla.yml", "---\nkolla_enable_ovn: true\n")
    deployment.put("environments/site/kolla/config/nova.conf", OWN % "3.0" + "\n")
    deployment.put(
        "environments/site/kolla/config/nova/nova-compute.conf", "[compute]\nmax_concurrent_disk_ops = 5\n" + GPUS
    )
    # Without the variable no list of filters comes out of it, and that of nova.conf holds.
    deployment.put(
        "environments/site/kolla/config/nova/nova-scheduler.conf",
        "{% if our_gpus | default([]) %}\n[filter_scheduler]\nenabled_filters = ComputeFilter,PciPassthroughFilter\n{% endif %}\n",
    )
    # The devices of both layers are joined: there is nothing more to do, and nothing to refuse.
    deployment.check("--environment", "site")


def merged_by_option(deployment):
    """All of it in an environment, over a base with its own files, with Kayobe's other way to join them."""
    deployment.put("kolla/config/nova.conf", OWN % "2.0")
    deployment.put("kolla/config/nova/nova-compute.conf", "[pci]\nreport_in_placement = false\n")
    deployment.put(
        "environments/site/kolla.yml", "---\nkolla_openstack_custom_config_ini_merge_strategy_default: merge_configs\n"
    )
    deployment.merge("--environment", "site", *VLANS, folder="environments/site")


WAYS = {openvswitch: None, ovn_in_an_environment: "site", merged_by_option: "site"}


class Result:
    def __init__(self, deployment, way):
        self.deployment = deployment
        self.way = way

    def path(self, host, service, name):
        return self.deployment.node / host / service / name

    def files(self):
        return [
            path
            for folder in (self.deployment.node, self.deployment.kolla / "config")
            for path in folder.rglob("*")
            if path.is_file()
        ]


def read(nova_bin, script, given):
    """What a program of this folder says that runs in Nova's and Neutron's environment."""
    command = [str(nova_bin / "python"), str(HERE / script)]
    result = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout)


# The way with the most in it: npm test runs it with an older series too.
@pytest.fixture(
    scope="module",
    params=[
        pytest.param(way, marks=[pytest.mark.other_series] if way is ovn_in_an_environment else [], id=way.__name__)
        for way in WAYS
    ],
)
def result(request, kayobe_bin, collections, tmp_path_factory):
    deployment = Deployment(tmp_path_factory.mktemp(request.param.__name__), kayobe_bin)
    deployment.configure()
    request.param(deployment)
    (deployment.kayobe / "ansible" / "collections").symlink_to(collections)
    deployment.generate(WAYS[request.param])
    deployment.kolla_run()
    return Result(deployment, request.param)


@pytest.fixture(scope="module")
def nova(result, nova_bin):
    """What nova-compute of each host reads, and the scheduler."""
    paths = {host: result.path(host, "nova-compute", "nova.conf") for host in COMPUTES}
    paths["control"] = result.path("control", "nova-scheduler", "nova.conf")
    return read(
        nova_bin,
        "read_nova.py",
        {host: {"conf": str(path), "pfs": [pf._asdict() for pf in HARDWARE[host]]} for host, path in paths.items()},
    )


@pytest.fixture(scope="module")
def neutron(result, nova_bin):
    given = {}
    for host in [*COMPUTES, "control"]:
        paths = {
            kind: result.path(host, f"neutron-{kind}-agent", f"{kind}_agent.ini") for kind in ("sriov", "openvswitch")
        }
        given[host] = {kind: str(path) if path.exists() else None for kind, path in paths.items()}
    return read(nova_bin, "read_neutron.py", given)


def test_nova_takes_the_devices_of_each_host_and_no_other(nova):
    assert {
        host: {address: tags["physical_network"] for address, tags in nova[host]["tags"].items()} for host in COMPUTES
    } == TAKEN


def test_nova_takes_devices_of_other_kinds_next_to_them(result, nova):
    assert {nova[host]["gpu"] for host in COMPUTES} == {result.way is ovn_in_an_environment}


def test_tags_arrive(nova):
    assert nova["addressed"]["tags"]["0000:3b:02.0"] == {
        "physical_network": "physnet2",
        "trusted": "true",
        "resource_class": "CUSTOM_VF",
        "traits": "CUSTOM_A,CUSTOM_B",
    }
    assert {name: nova["ids"]["tags"]["0000:c1:00.2"][name] for name in ("managed", "live_migratable")} == {
        "managed": "true",
        "live_migratable": "true",
    }


def test_the_scheduler_has_novas_own_filters_and_that_for_pci(nova):
    assert nova["control"]["enabled_filters"] == [*nova["control"]["default_filters"], "PciPassthroughFilter"]


def test_the_agent_has_the_mappings_of_each_host(neutron):
    assert {host: neutron[host]["mappings"] for host in COMPUTES} == MAPPINGS


def test_the_agent_leaves_excluded_vfs_alone(neutron):
    assert {host: neutron[host]["exclude"] for host in COMPUTES} == EXCLUDED


def test_the_open_vswitch_agent_knows_the_same_devices_and_starts_without_any(result, neutron):
    expected = {host: sorted(sum(mappings.values(), [])) or None for host, mappings in MAPPINGS.items()}
    if result.way is ovn_in_an_environment:
        expected = dict.fromkeys(COMPUTES)
    assert {host: neutron[host].get("fdb") for host in [*COMPUTES, "control"]} == {**expected, "control": None}


def test_kollas_mechanism_drivers_and_ours(result):
    lines = result.path("control", "neutron-server", "ml2_conf.ini").read_text().splitlines()
    drivers = "ovn" if result.way is ovn_in_an_environment else "openvswitch,l2population"
    assert f"mechanism_drivers = {drivers},sriovnicswitch" in lines
    assert "network_vlan_ranges = physnet2:100:199" in lines


def test_nothing_of_kollas_own_list_is_left(result):
    for path in result.files():
        assert not re.search("sriovnet1|passthrough_whitelist", path.read_text()), path


def test_what_the_operator_has_written_stays(result):
    for host in COMPUTES:
        text = result.path(host, "nova-compute", "nova.conf").read_text()
        assert ("cpu_mode = host-passthrough" in text.splitlines()) == (result.way is not openvswitch)
        assert ("max_concurrent_disk_ops = 5" in text.splitlines()) == (result.way is ovn_in_an_environment)
        assert ("report_in_placement = false" in text.splitlines()) == (result.way is merged_by_option)


# Options that Kolla Ansible of a series writes, and its Neutron no longer has.
KOLLAS_OF_SERIES = {"2026.1": {"ovn/ovn_emit_need_to_frag"}}

KOLLAS_NOVA = {
    "oslo_messaging_rabbit/heartbeat_in_pthread",
    "privsep_entrypoint/helper_command",
    "service_user/region_name",
    "service_user/valid_interfaces",
}
NOVA = [
    "nova.conf",
    "keystonemiddleware.auth_token",
    "oslo.cache",
    "oslo.concurrency",
    "oslo.db",
    "oslo.limit",
    "oslo.log",
    "oslo.messaging",
    "oslo.middleware",
    "oslo.policy",
    "oslo.privsep",
    "oslo.reports",
    "oslo.service.periodic_task",
    "oslo.service.service",
    "osprofiler",
]


# With what the validator does not know of Kolla Ansible's own templates: options that libraries have dropped, or list
# nowhere.
@pytest.mark.parametrize(
    "name, namespaces, kollas",
    [
        ("nova.conf", NOVA, KOLLAS_NOVA),
        ("sriov_agent.ini", ["neutron.ml2.sriov.agent"], {"securitygroup/firewall_driver"}),
        (
            "openvswitch_agent.ini",
            ["neutron.ml2.ovs.agent"],
            {"FDB/shared_physical_device_mappings", "ovs/ovsdb_timeout"},
        ),
        ("ml2_conf.ini", ["neutron.ml2", "neutron.ml2.ovn"], set()),
    ],
)
def test_the_validator_of_openstack_has_no_complaint(result, nova_bin, series, name, namespaces, kollas):
    paths = sorted(str(path) for path in result.deployment.node.rglob(name))
    if name == "openvswitch_agent.ini" and result.way is ovn_in_an_environment:
        assert not paths
    else:
        assert set(read(nova_bin, "validate.py", [namespaces, paths])) <= kollas | KOLLAS_OF_SERIES.get(series, set())
        assert paths
