# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of hardware of many hosts, and the variables that the playbook discover writes for them."""

import random

import pytest
import yaml
from ansible_collections.stackhpc.sriov.plugins.filter.sriov_fleet import FilterModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import nics, own_files
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.fleet.kinds import LONGEST_GROUP
from fake_sysfs import FakeHost, fake_host  # noqa: F401 (the fixture "fake")
from parts import devices as sriov_devices
from parts import program as host

discovery = FilterModule().filters()["sriov_discovery"]
SEED, TURNS = 20261127, 60
BLOCKING = {"no driver", "passed through", "connection"}


def nic(address, name=None, ids="8086:10c9", driver="igb", total=7, vfs=0, obstacles=()):
    return {
        "address": address,
        "id": ids,
        "driver": driver,
        "names": [name] if name else [],
        "totalvfs": total,
        "vfs": [
            {"address": f"0000:99:00.{index}", "driver": None, "names": [], "holder": None} for index in range(vfs)
        ],
        "obstacles": [{"kind": kind, "text": text} for kind, text in obstacles],
    }


def host_with(*of):
    return {"nics": list(of), "connection_known": True, "iommu": True, "boot_id": "b"}


def entries_of(found, group=None):
    """The sriov_devices of the only kind, or of one."""
    group = group or next(iter(found["groups"]))
    return (yaml.safe_load(found["files"][f"group_vars/{group}.yml"]) or {}).get("sriov_devices")


def entries(*hosts):
    found = discovery({f"h{index}": one for index, one in enumerate(hosts)})
    assert len(found["groups"]) == 1
    return entries_of(found)


# --- selectors


def test_equal_names_are_selectors():
    one = host_with(nic("0000:01:00.0", "a"), nic("0000:01:00.1", "b"))
    other = host_with(nic("0000:41:00.0", "a"), nic("0000:41:00.1", "b"))
    assert entries(one, other) == [{"name": "a", "numvfs": 7}, {"name": "b", "numvfs": 7}]


def test_names_that_differ_become_addresses():
    assert entries(host_with(nic("0000:01:00.0", "a")), host_with(nic("0000:01:00.0", "b"))) == [
        {"address": "0000:01:00.0", "numvfs": 7}
    ]


def test_names_that_are_equal_stay_next_to_addresses():
    one = host_with(nic("0000:01:00.0", "a"), nic("0000:02:00.0", "x"))
    other = host_with(nic("0000:01:00.0", "a"), nic("0000:02:00.0", "y"))
    assert entries(one, other) == [{"name": "a", "numvfs": 7}, {"address": "0000:02:00.0", "numvfs": 7}]


def test_addresses_that_differ_too_become_vendor_and_product():
    one = host_with(nic("0000:01:00.0", "a"), nic("0000:02:00.0", "x"))
    other = host_with(nic("0000:01:00.0", "a"), nic("0000:03:00.0", "y"))
    assert entries(one, other) == [{"vendor_id": "8086", "product_id": "10c9", "numvfs": 7}]


def test_a_card_with_both_ports_on_one_function_is_chosen_as_a_whole():
    card = dict(nic("0000:01:00.0", ids="15b3:1007", driver="mlx4_core", total=16), names=["a", "b"])
    assert entries(host_with(card)) == [{"address": "0000:01:00.0", "numvfs": 8}]


def test_swapped_slots_are_one_kind():
    one = host_with(nic("0000:01:00.0", "a"), nic("0000:02:00.0", "b", ids="15b3:1017", driver="mlx5_core", total=8))
    other = host_with(nic("0000:02:00.0", "c"), nic("0000:01:00.0", "d", ids="15b3:1017", driver="mlx5_core", total=8))
    assert entries(one, other) == [
        {"vendor_id": "15b3", "product_id": "1017", "numvfs": 8},
        {"vendor_id": "8086", "product_id": "10c9", "numvfs": 7},
    ]


# --- kinds


@pytest.mark.parametrize(
    "other",
    [
        nic("0000:01:00.0", "a", ids="8086:1521"),
        nic("0000:01:00.0", "a", total=6),
        nic("0000:01:00.0", "a", total=None),
    ],
)
def test_other_hardware_is_another_kind(other):
    found = discovery({"h1": host_with(nic("0000:01:00.0", "a")), "h2": host_with(other)})
    assert sorted(found["groups"].values()) == [["h1"], ["h2"]]


def test_a_kinds_name_does_not_depend_on_the_other_hosts():
    small, large = host_with(nic("0000:01:00.0", "a")), host_with(nic("0000:02:00.0", "b", ids="8086:1572", total=64))
    [alone] = discovery({"h1": small})["groups"]
    assert alone in discovery({"h2": large, "h3": large, "h1": small})["groups"]
    assert alone == "sriov_1x8086_10c9_max7"


def test_long_names_of_kinds_are_cut_and_still_differ():
    many = [nic(f"0000:0{index}:00.0", f"n{index}", ids=f"8086:150{index}") for index in range(8)]
    found = discovery({"h1": host_with(*many), "h2": host_with(*many[:-1], nic("0000:07:00.0", "n7", ids="8086:1509"))})
    assert len(found["groups"]) == 2 and max(map(len, found["groups"])) == LONGEST_GROUP


def test_the_inventory_has_every_host_of_every_kind():
    found = discovery({"h: 1": host_with(nic("0000:01:00.0", "a")), "h2": host_with(nic("0000:01:00.0", "a"))})
    [group] = found["groups"]
    assert yaml.safe_load(found["files"]["hosts.yml"]) == {group: {"hosts": {"h: 1": {}, "h2": {}}}}


# --- what stands in the way


@pytest.mark.parametrize("kind", sorted(BLOCKING))
def test_a_nic_that_must_not_be_used_is_left_out_with_the_reason(kind):
    bad = nic("0000:01:00.0", "a", obstacles=[(kind, "for a reason")])
    found = discovery({"h1": host_with(bad, nic("0000:01:00.1", "b"))})
    assert entries_of(found) == [{"name": "b", "numvfs": 7}]
    [text] = [text for path, text in found["files"].items() if path.startswith("group_vars/")]
    assert '  # - name: "a"\n  #   numvfs: 7\n' in text and "Left out" in text


def test_one_host_is_enough_to_leave_a_nic_out():
    found = discovery(
        {
            "h1": host_with(nic("0000:01:00.0", "a")),
            "h2": host_with(nic("0000:01:00.0", "a", obstacles=[("connection", "")])),
        }
    )
    assert entries_of(found) is None
    assert "h1" not in found["lines"][-1] and "connection on h2" in found["lines"][-1]


def test_with_every_entry_left_out_the_variable_is_not_set():
    # An empty list would remove the VFs of these hosts.
    found = discovery({"h1": host_with(nic("0000:01:00.0", "a", obstacles=[("connection", "")]))})
    [text] = [text for path, text in found["files"].items() if path.startswith("group_vars/")]
    assert yaml.safe_load(text) is None


def test_the_firmware_of_mellanox_cards_is_no_reason_to_leave_them_out():
    off = [("offers none", "enable it")]
    card = nic("0000:01:00.0", "a", ids="15b3:1017", driver="mlx5_core", total=None, obstacles=off)
    assert entries(host_with(card)) == [{"name": "a", "numvfs": 8}]
    assert entries(host_with(nic("0000:01:00.0", "a", total=0, obstacles=off))) is None


@pytest.mark.parametrize("counts, want", [((3, 3), 3), ((3, 0), 7), ((0, 0), 7)])
def test_vfs_that_exist_with_one_number_everywhere_keep_it(counts, want):
    assert entries(*[host_with(nic("0000:01:00.0", "a", vfs=count)) for count in counts]) == [
        {"name": "a", "numvfs": want}
    ]


def test_hosts_without_a_nic_and_without_a_result_are_said():
    found = discovery({"h1": host_with(), "h2": {"msg": "no\nroute"}, "h3": {}})
    assert found["lines"] == ["1 host without such a NIC: h1", "not read: h2: no route", "not read: h3: no result"]
    assert found["files"] == {} and found["groups"] == {}


def test_no_host_gives_no_line():
    assert discovery({}) == {"lines": [], "files": {}, "groups": {}}


def test_a_thousand_hosts_of_a_kind_are_a_few_lines():
    found = discovery({f"compute-{index}": host_with(nic("0000:01:00.0", "a")) for index in range(1000)})
    assert len(found["lines"]) == 2 and "995 more" in found["lines"][0]
    assert entries_of(found) == [{"name": "a", "numvfs": 7}]


def test_no_text_of_a_host_leaves_its_comment():
    evil = "gone\nsriov_devices: []\r\n\u2028- name: x #"
    found = discovery({"h1": host_with(nic("0000:01:00.0", "a", obstacles=[("connection", ""), ("no driver", evil)]))})
    [text] = [text for path, text in found["files"].items() if path.startswith("group_vars/")]
    assert yaml.safe_load(text) is None


# --- on hosts


MODELS = [
    ("8086:10c9", "igb", 7),
    ("8086:1572", "i40e", 64),
    ("8086:1592", "ice", 0),
    ("15b3:1017", "mlx5_core", 8),
    ("15b3:1017", "mlx5_core", None),
    ("15b3:1007", "mlx4_core", 16),
    ("14e4:16d7", "bnxt_en", 32),
]


class Fleet:
    """Several fake hosts, one of which the program looks at."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.hosts = folder, {}
        monkeypatch.setattr(host, "json_of", lambda command: self.now.ip(command))

    def add(self, name):
        self.hosts[name] = FakeHost(self.folder / name)
        return self.hosts[name]

    def at(self, name):
        self.now = self.hosts[name]
        host.HOST.move(str(self.now.root))
        return self.now


@pytest.fixture(name="fleet")
def _fleet(fake, tmp_path, monkeypatch):
    yield Fleet(tmp_path / "fleet", monkeypatch)


def build(fleet, chance, name, models, naming):
    """A host with these models, in random slots, under random names, and with random misfortunes."""
    one = fleet.add(name)
    netdevs = []
    for slot, (ids, driver, total) in enumerate(chance.sample(models, len(models)) if naming == "swapped" else models):
        bus = slot + 1 if naming != "moved" else slot + 1 + 8 * chance.randrange(4)
        address = f"0000:{bus:02x}:00.0"
        bound = chance.choice([driver] * 8 + [None, "vfio-pci"])
        netdev = f"ens{slot}" if naming == "equal" else f"e{chance.randrange(10**6)}n{slot}"
        names = [netdev] if bound == driver else []
        one.add_function(address, ids, bound, names, totalvfs=total, vf_netdevs=chance.random() < 0.9)
        netdevs += names
        if total and bound == driver and chance.random() < 0.3:
            one.create(address, chance.randrange(1, min(total, 5)))
            if chance.random() < 0.5:
                one.bind(one.vf(address, 0), "vfio-pci")
        elif names and chance.random() < 0.1:
            one.move_to_namespace(netdevs.pop())
    one.default_route_is_on(*chance.sample(netdevs, min(1, len(netdevs))) or ["none"])


def role_chooses(devices):
    """What the role's own check makes of a value of sriov_devices, with the defaults of the role."""
    return sriov_devices.select(
        {
            "devices": devices,
            "numvfs": 8,
            "numvfs_driver": "systemd",
            "numvfs_required_by": [],
            "firmware": True,
            "mellanox_vendor_ids": ["0x15b3"],
            "physnet_mappings": {},
            "openstack_release": None,
        }
    )


@pytest.mark.parametrize("turn", range(TURNS))
def test_every_proposal_passes_the_roles_checks_on_every_host_of_its_kind(fleet, turn):
    chance = random.Random(SEED + turn)
    kinds = [[chance.choice(MODELS) for _ in range(chance.randrange(1, 5))] for _ in range(chance.randrange(1, 3))]
    naming = chance.choice(["equal", "other", "moved", "swapped"])
    for index in range(chance.randrange(2, 6)):
        build(fleet, chance, f"h{index}", chance.choice(kinds), naming)
    seen = {}
    for name in fleet.hosts:
        fleet.at(name)
        seen[name] = nics.read_nics()
    found = discovery(seen)
    assert sorted(name for names in found["groups"].values() for name in names) == sorted(
        name for name in seen if seen[name]["nics"]
    )
    for group, names in found["groups"].items():
        proposed = entries_of(found, group)
        assert proposed != []
        for name in names:
            fleet.at(name)
            chosen = role_chooses(proposed or [])
            of = {nic["address"]: nic for nic in seen[name]["nics"]}
            assert len({device["address"] for device in chosen}) == len(chosen)
            for device in chosen:
                assert not BLOCKING & {obstacle["kind"] for obstacle in of[device["address"]]["obstacles"]}
            # Cards whose firmware comes first, and those whose driver makes the VFs, have concerns of their own.
            ready = [device for device in chosen if device["enough"] and device["boot"] == "systemd"]
            assert [result for result in host.apply(ready, 5, check=True) if result["state"] == "failed"] == []


def test_hosts_as_they_come_have_proposals(fleet):
    """The property above would hold for no proposals at all."""
    chance = random.Random(SEED)
    for index in range(3):
        build(fleet, chance, f"h{index}", [("8086:10c9", "igb", 7)] * 3, "equal")
    seen = {name: fleet.at(name) and nics.read_nics() for name in fleet.hosts}
    assert entries_of(discovery(seen))


# --- files


def test_files_are_written_again_until_they_are_edited(tmp_path):
    written = own_files.write(str(tmp_path), {"group_vars/a.yml": "x: 1\n", "hosts.yml": "a:\n"}, check_mode=False)
    path = tmp_path / "group_vars/a.yml"
    assert written["changed"] and written["written"] == [str(path), str(tmp_path / "hosts.yml")]
    assert yaml.safe_load(path.read_text()) == {"x": 1}
    again = own_files.write(str(tmp_path), {"group_vars/a.yml": "x: 1\n"}, check_mode=False)
    assert not again["changed"] and again["written"] == again["kept"] == []
    assert own_files.write(str(tmp_path), {"group_vars/a.yml": "x: 2\n"}, check_mode=False)["written"] == [str(path)]
    path.write_text(path.read_text().replace("2", "3"))
    kept = own_files.write(str(tmp_path), {"group_vars/a.yml": "x: 4\n"}, check_mode=False)
    assert not kept["changed"] and kept["kept"] == [str(path)] and yaml.safe_load(path.read_text()) == {"x": 3}


@pytest.mark.parametrize(
    "before", ["", "x: 1\n", own_files.MARK + "0" * 64 + "\nx: 1\n", own_files.marked("x\n") + "\n"]
)
def test_files_of_others_are_kept(tmp_path, before):
    (tmp_path / "a.yml").write_text(before)
    result = own_files.write(str(tmp_path), {"a.yml": "x: 2\n"}, check_mode=False)
    assert result["kept"] == [str(tmp_path / "a.yml")] and (tmp_path / "a.yml").read_text() == before


def test_a_link_is_kept_with_what_it_points_to(tmp_path):
    (tmp_path / "real").write_text(own_files.marked("x: 1\n"))
    (tmp_path / "a.yml").symlink_to(tmp_path / "real")
    assert own_files.write(str(tmp_path), {"a.yml": "x: 2\n"}, check_mode=False)["kept"] == [str(tmp_path / "a.yml")]
    assert (tmp_path / "real").read_text() == own_files.marked("x: 1\n") and (tmp_path / "a.yml").is_symlink()


def test_check_mode_writes_nothing_and_shows_the_difference(tmp_path):
    result = own_files.write(str(tmp_path / "new"), {"a.yml": "x: 1\n"}, check_mode=True)
    assert result["changed"] and result["diff"][0]["after"].endswith("\nx: 1\n") and not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["../a.yml", "/a.yml", "a.txt", "a/../../b.yml", "a\n.yml", ".yml", 7, "a//b.yml"])
def test_no_other_path_is_written(tmp_path, name):
    with pytest.raises(Refusal):
        own_files.write(str(tmp_path), {name: "x\n"}, check_mode=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="cannot be written"):
        own_files.write(str(tmp_path / "file"), {"a.yml": "x\n"}, check_mode=False)
