# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The look at all concerns: each concern's own code distinguishes what needs no module from what does."""

import json

import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import concerns
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_look
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from test_vfs import AT_BOOT, CONFIG, PENDING, RELEASED, RULES, TWO, UNITS, _two, device, run_once, state_of  # noqa: F401 (pytest finds the fixture "two")


def options(two, **more):
    return dict(
        {
            "boot_wait": 30,
            "numvfs_timeout": "5",
            "change_connection_pf": "no",
            "udev_rule_path": str(two.root / RULES),
            "units": UNITS,
        },
        **more,
    )


def refuse(*_command):
    raise AssertionError("a look runs no command")


def settled(two, *devices, **more):
    """The concern of the VFs in a look, which must change nothing; None where it is not settled."""
    before = state_of(two)
    found = concerns.settled({"vfs": options(two, **more)}, list(devices), refuse)
    assert state_of(two) == before
    return found.get("vfs")


def test_what_is_as_wanted_needs_no_module(two):
    assert settled(two, device()) is None
    run_once(two, [device()])
    result, warnings = settled(two, device())
    assert warnings == [] and result == run_once(two, [device()])
    assert [pf["state"] for pf in result["pfs"]] == ["ok"]


def test_a_host_without_anything_needs_no_module(two):
    assert settled(two)[0]["pfs"] == []


@pytest.mark.parametrize("path", sorted(AT_BOOT))
def test_a_file_that_is_gone_needs_the_module(two, path):
    run_once(two, [device()])
    (two.root / path).unlink()
    assert settled(two, device()) is None


@pytest.mark.parametrize(
    "path, text",
    [
        (PENDING, "{}"),
        (RELEASED, "{}"),
        ("run/sriov-vfs.owed", '["/etc/udev/rules.d/70-sriov.rules"]'),
        ("etc/sriov/.sriov-0123abcd", ""),
        (RULES, "another\n"),
    ],
)
def test_what_a_run_remembers_or_left_behind_needs_the_module(two, path, text):
    run_once(two, [device()])
    (two.root / path).parent.mkdir(parents=True, exist_ok=True)
    (two.root / path).write_text(text)
    assert settled(two, device()) is None


@pytest.mark.parametrize(
    "devices, more",
    [
        ([device(numvfs=3)], {}),
        ([device(), device(TWO, 2)], {}),
        ([], {}),
        ([device(boot="udev")], {}),
        ([device()], {"boot_wait": 31}),
        # What the module refuses, that says so.
        ([device(numvfs=99)], {}),
        ([device()], {"boot_wait": "soon"}),
        ([device()], {"units": "none"}),
        ([device()], {"unknown": 1}),
    ],
)
def test_what_differs_or_is_refused_needs_the_module(two, devices, more):
    run_once(two, [device()])
    assert settled(two, *devices, **more) is None


def test_a_name_that_changed_is_written_down_by_the_module(two):
    run_once(two, [device(name="ens1")])
    assert settled(two, device(name="ens1")) is not None
    configuration = json.loads((two.root / CONFIG).read_text())
    assert settled(two, device(name="ens9")) is None
    assert json.loads((two.root / CONFIG).read_text()) == configuration


def test_concerns_that_depend_on_the_firmware_wait_for_it(monkeypatch):
    called = []

    def look(name, *_more):
        called.append(name)
        return {"settled": name != "firmware"}, []

    monkeypatch.setattr(concerns, "look", look)
    wanted = {name: {} for name in concerns.CONCERNS}
    assert sorted(concerns.settled(wanted, [], refuse)) == ["kernel"] and called == ["firmware", "kernel"]
    del wanted["firmware"]
    assert sorted(concerns.settled(wanted, [], refuse)) == ["kernel", "mlx4", "vfs"]


# --- the module sriov_look


def call(monkeypatch, capsys, **arguments):
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit):
        sriov_look.main()
    return json.loads(capsys.readouterr().out)


def test_the_module_returns_what_each_concern_says(two, monkeypatch, capsys):
    run_once(two, [device()])
    said = call(monkeypatch, capsys, devices=[device(numvfs=5)], concerns={"vfs": options(two)})
    assert said["changed"] is False and said["concerns"]["vfs"]["changed"] is True
    assert said["concerns"]["vfs"]["pfs"][0]["wanted"] == 5


def remember(two, monkeypatch):
    (two.root / PENDING).parent.mkdir(parents=True, exist_ok=True)
    (two.root / PENDING).write_text("{}")


@pytest.mark.parametrize(
    "more, kept", [({}, True), ({"forget": True}, False), ({"forget": True, "_ansible_check_mode": True}, True)]
)
def test_the_module_forgets_what_waited_and_is_in_effect(two, monkeypatch, capsys, more, kept):
    run_once(two, [device()])
    remember(two, monkeypatch)
    call(monkeypatch, capsys, devices=[device()], concerns={"vfs": options(two)}, **more)
    assert (two.root / PENDING).exists() is kept
    assert (settled(two, device()) is None) is kept


@pytest.mark.parametrize("result", [{"changed": True}, {"reboot": ["due"]}, {"stuck": ["stuck"]}])
def test_the_module_remembers_what_waits_still(two, monkeypatch, capsys, result):
    monkeypatch.setattr(
        concerns, "look", lambda *_more: (dict({"changed": False, "reboot": [], "stuck": []}, **result), [])
    )
    run_once(two, [device()])
    remember(two, monkeypatch)
    call(monkeypatch, capsys, devices=[], concerns={"vfs": {}}, forget=True)
    assert (two.root / PENDING).exists()


def test_vfs_that_a_card_does_not_offer_yet_are_its_firmwares_fault(two, monkeypatch, capsys):
    run_once(two, [device()])
    own = concerns.look
    late = [dict(device(numvfs=99), waits="its firmware is set and offers more from the next boot on")]
    stuck = {"changed": False, "reboot": [], "stuck": [{"text": "power-cycle it"}], "settled": False, "devices": late}
    monkeypatch.setattr(concerns, "look", lambda name, *rest: (stuck, []) if name == "firmware" else own(name, *rest))
    said = call(monkeypatch, capsys, devices=[device(numvfs=99)], concerns={"vfs": options(two), "firmware": {}})
    assert [pf["state"] for pf in said["concerns"]["vfs"]["pfs"]] == ["waiting"]
    assert said["concerns"]["firmware"]["stuck"] == [{"text": "power-cycle it"}]


def test_a_refusal_comes_with_the_reasons_of_the_others(monkeypatch, capsys):
    def look(name, *_more):
        if name == "vfs":
            raise Refusal("vfs is wrong")
        return {"changed": False, "reboot": [{"text": f"{name} is due"}], "stuck": [{"text": f"{name} is stuck"}]}, []

    monkeypatch.setattr(concerns, "look", look)
    said = call(monkeypatch, capsys, devices=[], concerns={"vfs": {}, "kernel": {}})
    assert said["msg"] == "kernel is due; kernel is stuck; vfs is wrong"


def test_the_module_reports_all_that_is_refused(monkeypatch, capsys):
    def look(name, *_more):
        raise Refusal("no " + name)

    monkeypatch.setattr(concerns, "look", look)
    assert call(monkeypatch, capsys, devices=[], concerns={"vfs": {}, "kernel": {}})["msg"] == "no kernel; no vfs"


def test_the_module_knows_its_concerns(monkeypatch, capsys):
    said = call(monkeypatch, capsys, devices=[], concerns={"bios": {}})
    assert said["msg"] == "concerns contains 'bios', and the known ones are firmware, mlx4, kernel, vfs: correct it"
