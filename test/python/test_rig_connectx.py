"""The emulated ConnectX cards of the VM rig, without a VM: their machines, their images and their firmware's state."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

RIG = Path(__file__).resolve().parents[2] / "molecule" / "rig"
sys.path.insert(0, str(RIG))
sys.path.insert(1, str(RIG / "connectx" / "firmware"))

import cards
import host
import operate
import serve
import vm
from images import build, recipes
from machine import connectx, kvm, qemu
from machine.qemu import Machine
from machine.run import Run

BUS, ONE, TWO = "0000:01", "0000:01:00.0", "0000:01:00.1"


def arguments(machine: Machine) -> list[str]:
    return qemu.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")


# ---- the machine


def test_a_slot_with_a_connectx_has_its_root_port_and_no_card_of_qemus() -> None:
    machine = Machine("debian12-connectx", pfs=3, missing=(3,), connectx=connectx.read('[{"slot": 1}]'))
    text = " ".join(arguments(machine))
    assert [f"bus=port{number}" in text for number in (1, 2, 3)] == [False, True, False]
    assert [f"id=port{number}" in text for number in (1, 2, 3)] == [True, True, True]
    assert machine.connectx[0].bus == "0000:01"


def test_only_a_machine_with_such_a_card_hides_that_it_is_virtual() -> None:
    assert ",-hypervisor" in " ".join(arguments(Machine("debian12", connectx=connectx.read('[{"slot": 1}]'))))
    assert "hypervisor" not in " ".join(arguments(Machine("debian12")))


def test_a_running_machine_knows_its_cards_and_an_older_one_has_none(tmp_path: Path) -> None:
    run = Run(tmp_path)
    machine = Machine("debian12", connectx=connectx.read('[{"slot": 2, "model": "connectx6dx", "ports": 1}]'))
    state = {"machine": dataclasses.asdict(machine), "processes": []}
    (tmp_path / "vm.json").write_text(json.dumps(state))
    assert run.machine() == machine
    del state["machine"]["connectx"]
    (tmp_path / "vm.json").write_text(json.dumps(state))
    assert run.machine().connectx == ()


def test_no_card_of_qemus_is_plugged_into_its_slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    monkeypatch.setattr(run, "machine", lambda: Machine("debian12", connectx=connectx.read('[{"slot": 1}]')))
    with pytest.raises(host.RigError, match="slots for card"):
        run.plug(1)


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("[{", "--connectx takes a JSON list of cards"),
        ('[{"solt": 1}]', "--connectx takes a JSON list of cards"),
        ('[{"slot": 1, "model": "connectx3"}]', "no such card"),
        ('[{"slot": 1, "vfs": 128}]', "no such card"),
        ('[{"slot": 1, "ports": 3}]', "no such card"),
        ('[{"slot": 1}, {"slot": 1}]', "a slot takes one card"),
        ('[{"slot": 3}]', "this machine has slots for card 1 to 2"),
        ('[{"slot": 1}]', "--connectx needs --wait"),
    ],
)
def test_cards_that_cannot_be_are_refused_before_anything_is_made(
    text: str, refusal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvm, "choose_accelerator", lambda wanted: pytest.fail("not refused"))
    wait = [] if "--wait" in refusal else ["--wait", "1"]
    assert vm.main(["start", "--dir", str(tmp_path / "run"), "--connectx", text, *wait]) == 1
    assert capsys.readouterr().err.startswith(f"rig: {refusal}")
    assert not (tmp_path / "run").exists()


def test_scenarios_can_have_the_cards_that_there_are() -> None:
    schema = json.loads((RIG.parent / "shared" / "molecule.schema.json").read_text())
    card = schema["properties"]["platforms"]["items"]["properties"]["connectx"]["items"]["properties"]
    assert set(card) == {field.name for field in dataclasses.fields(connectx.ConnectX)}
    assert card["model"]["enum"] == list(connectx.MODELS) == list(cards.MODELS)
    assert card["table"]["enum"] == list(connectx.TABLES) == list(cards.TABLES)
    assert (card["vfs"]["maximum"], card["slot"]["maximum"]) == (connectx.MAX_VFS, qemu.MAX_PFS)
    header = (RIG / "connectx" / "kernel" / "card.h").read_text()
    assert f"#define MAX_VFS {connectx.MAX_VFS}\n" in header and f"#define MAX_CARDS {qemu.MAX_PFS}\n" in header


# ---- the images


def test_only_an_image_with_the_module_is_another_when_the_module_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name: recipes.image_path(name) for name in recipes.RECIPES}
    monkeypatch.setattr(recipes, "module_files", lambda: {"connectx/kernel/net.c": b"other"})
    changed = {name for name in recipes.RECIPES if recipes.image_path(name) != names[name]}
    assert changed == {"debian12-connectx", "debian13-connectx"}


def test_an_image_with_the_module_is_the_plain_one_but_for_it(tmp_path: Path) -> None:
    for name in ("debian12", "debian13"):
        plain, other = recipes.RECIPES[name], recipes.RECIPES[f"{name}-connectx"]
        assert dataclasses.replace(other, connectx=False) == plain
        hooks, others = build.hooks(plain, tmp_path), build.hooks(other, tmp_path)
        assert [hook for hook in others if hook not in hooks] == [
            f"--customize-hook={hook}" for hook in build.build_module()
        ]


# ---- what the firmware keeps


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The ids of the boot and of the power cycle, to be changed."""
    found = {name: tmp_path / name for name in ("boot", "power")}
    for path in found.values():
        path.write_text("first\n")
    monkeypatch.setattr(cards, "BOOT_ID", str(found["boot"]))
    monkeypatch.setattr(cards, "POWER_ID", str(found["power"]))
    return found


@pytest.fixture
def state(tmp_path: Path, ids: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> cards.State:
    """A machine with one card, whose kernel has no module."""
    monkeypatch.setattr(cards.State.__init__, "__defaults__", (str(tmp_path / "state"),))
    monkeypatch.setattr(operate, "DEVICE", str(tmp_path / "none"))
    found = cards.State()
    assert rig_connectx("add", BUS) == 0
    with found.locked():
        found.boot()
    return found


def rig_connectx(*words: str) -> int:
    return operate.operate([*words])


def values(state: cards.State, name: str, function: int = 0) -> list[int]:
    with state.locked() as found:
        return [found[BUS].parameter(column, name, function) for column in ("current", "next")]


def booted(state: cards.State) -> cards.State:
    with state.locked():
        state.boot()
    return state


@pytest.mark.parametrize(
    ("behaviour", "reboot", "power"),
    [("keeps=false", [9, 9], [9, 9]), ("keeps=true", [0, 9], [0, 9]), ("power-cycle=true", [0, 9], [9, 9])],
)
def test_next_becomes_current_as_the_card_behaves(
    state: cards.State, ids: dict[str, Path], behaviour: str, reboot: list[int], power: list[int]
) -> None:
    assert rig_connectx("behave", behaviour) == 0
    assert rig_connectx("next", "NUM_OF_VFS=9", "SRIOV_EN=1") == 0
    assert values(booted(state), "NUM_OF_VFS") == [0, 9]
    ids["boot"].write_text("second\n")
    assert values(booted(state), "NUM_OF_VFS") == reboot
    ids["boot"].write_text("third\n")
    ids["power"].write_text("second\n")
    assert values(booted(state), "NUM_OF_VFS") == power


def test_what_a_port_offers_is_what_the_card_runs_with(state: cards.State) -> None:
    def offered() -> list[int]:
        with state.locked() as found:
            return [found[BUS].total_vfs(function) for function in (0, 1)]

    assert rig_connectx("next", "NUM_OF_VFS=9", "SRIOV_EN=1") == 0 and offered() == [0, 0]
    assert rig_connectx("current", "NUM_OF_VFS=8") == 0 and offered() == [0, 0]
    assert rig_connectx("current", "SRIOV_EN=1") == 0 and offered() == [8, 8]
    assert rig_connectx("current", "PF_NUM_OF_VF_VALID=1") == 0 and offered() == [0, 0]
    assert rig_connectx("current", "PF_NUM_OF_VF=3", "--card", TWO) == 0 and offered() == [0, 3]
    assert rig_connectx("behave", "livefish=true") == 0 and offered() == [0, 0]


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["next", "NUM_OF_VF=1"], "not a parameter that can be set here: NUM_OF_VF"),
        (["next", "NUM_OF_VFS=65536"], "65536 does not fit into 16 bits"),
        (["behave", "keep=true"], "not a behaviour: keep=true"),
        (["behave", "keeps=yes"], "not a behaviour: keeps=yes"),
        (["show", "SRIOV_EN", "--card", "0000:02"], "there is no card 0000:02"),
        (["add", "01:00.0"], "a bus is DOMAIN:BUS"),
    ],
)
def test_a_mistake_in_the_use_of_the_control_changes_nothing(
    state: cards.State, words: list[str], refusal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path(state.path).read_text()
    assert rig_connectx(*words) == 1
    assert refusal in capsys.readouterr().err
    assert Path(state.path).read_text() == before


def test_a_card_is_added_in_the_words_of_the_module(state: cards.State) -> None:
    sent: list[str] = []
    slots = object.__new__(serve.Slots)
    slots.send = sent.append  # type: ignore[method-assign]
    rig_connectx("current", "SRIOV_EN=1", "NUM_OF_VFS=4")
    with state.locked() as found:
        slots.plug(found[BUS])
    assert sent == [f"add {BUS} 2 1017 1018 20d c42a1000100", f"vfs {BUS} 0 4", f"vfs {BUS} 1 4", f"scan {BUS}"]
    sent.clear()
    rig_connectx("behave", "livefish=true")
    with state.locked() as found:
        slots.plug(found[BUS])
    assert sent[0] == f"add {BUS} 2 20d 1018 20d c42a1000100"
