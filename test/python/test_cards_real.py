# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firmware module decides and does with Debian's unmodified mstconfig, of three releases, without a machine.

The card is the emulated one of molecule/rig/connectx. The kernel's view of it is the fake sysfs of the other tests,
whose number of VFs follows what the card runs with. The whole path on a machine, with the real mstfwreset, is in
molecule/connectx5 and molecule/connectx6dx.
"""

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from mstconfig_recorder import tools
from test_firmware import _tool, device, run, run_once  # noqa: F401 (pytest finds the fixture "tool")
from test_mstconfig_real import release, shim  # noqa: F401 (fixtures)

pytestmark = pytest.mark.long

P0, P1 = tools.FUNCTION, tools.FUNCTION[:-1] + "1"
COUNTS = ["SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF_VALID"]


@pytest.fixture(name="card")
def _card(tool, release, tmp_path):  # noqa: F811
    """A fresh card with two ports on a fake host; `tool` runs the real program."""
    folder = tmp_path / "card"
    folder.mkdir()
    bench = release.bench(folder)
    tool.add(P0, P1)
    tool.offered = lambda _state, function: bench.card.total_vfs(int(function[-1]))
    tool.answer = lambda command: bench.run(*command[1:])
    promote = tool.boot

    def boot(boot_id):
        bench.reboot()
        promote(boot_id)

    tool.boot = boot
    with bench.serving():
        yield bench


def texts(reasons):
    return [reason["text"].partition(" of ens")[0] + reason["text"].partition("is set")[2] for reason in reasons]


def test_a_fresh_card_gets_its_vfs_with_one_reboot(tool, card):
    devices = [device(P0, 3), device(P1, 5, index=1)]
    done = run(tool, *devices)
    assert tool.sets() == [(P0, ["SRIOV_EN=1", "NUM_OF_VFS=5"])]
    assert texts(done["reboot"]) == [
        "firmware parameter SRIOV_EN to True and the card runs with False",
        "firmware parameter NUM_OF_VFS to 5 and the card runs with 0",
    ]
    tool.boot("boot-2")
    tool.calls.clear()
    again = run_once(*devices)
    assert (again["changed"], again["reboot"], again["stuck"]) == (False, [], [])
    assert tool.calls == [["-d", P0, "q", *COUNTS]]


def test_a_card_that_offers_more_is_unchanged_unless_the_number_must_be_exact(tool, card):
    for column in ("current", "next"):
        for name, value in (("SRIOV_EN", 1), ("NUM_OF_VFS", 127)):
            with card.state.locked():
                card.card.set_parameter(column, name, 0, value)
                card.state.write()
    tool.promote(P0)
    assert run(tool, device(P1, 8))["changed"] is False
    done = run(tool, device(P1, 8), exact=True)
    assert texts(done["reboot"]) == ["firmware parameter NUM_OF_VFS to 8 and the card runs with 127"]


def test_more_vfs_than_a_port_can_have_are_refused_in_the_tools_words(tool, card):
    with pytest.raises(
        Refusal,
        match=r"NUM_OF_VFS can be at most 127 on this card: lower it \(the tool says: Parameter NUM_OF_VFS'",
    ):
        run_once(device(P0, 200))
    assert (card.parameter("next", "NUM_OF_VFS"), card.parameter("next", "SRIOV_EN")) == (0, 0)


def test_a_card_that_keeps_its_values_is_reported_with_the_advice_to_power_cycle(tool, card):
    card.behave(keeps="true")
    run(tool, device(P0, 4))
    tool.boot("boot-2")
    stuck = run_once(device(P0, 4))["stuck"]
    assert len(stuck) == 2 and all(
        "although the host has been rebooted since: power-cycle it" in one["text"] for one in stuck
    )


def test_each_port_has_its_own_number_if_that_counts(tool, card):
    per_port = {"PF_NUM_OF_VF_VALID": True}
    run_once(device(P0, 3, per_port), device(P1, 9, per_port, index=1))
    assert [card.parameter("next", "PF_NUM_OF_VF", function) for function in (0, 1)] == [3, 9]
    assert card.parameter("next", "NUM_OF_VFS") == 0
    tool.boot("boot-2")
    assert [card.card.total_vfs(function) for function in (0, 1)] == [3, 9]
    again = run_once(device(P0, 3, per_port), device(P1, 9, per_port, index=1))
    assert (again["changed"], again["reboot"], again["stuck"]) == (False, [], [])


def test_a_card_that_already_counts_for_each_port_is_set_for_each_port(tool, card):
    for column in ("current", "next"):
        with card.state.locked():
            card.card.set_parameter(column, "PF_NUM_OF_VF_VALID", 0, 1)
            card.state.write()
    run_once(device(P0, 3), device(P1, 9, index=1))
    assert [card.parameter("next", "PF_NUM_OF_VF", function) for function in (0, 1)] == [3, 9]
    assert card.parameter("next", "NUM_OF_VFS") == 0


def test_a_change_of_the_next_boot_by_another_program_is_seen(tool, card):
    run(tool, device(P0, 6))
    tool.boot("boot-2")
    with card.state.locked():
        card.card.set_parameter("next", "NUM_OF_VFS", 0, 2)
        card.state.write()
    done = run_once(device(P0, 6))
    assert (done["changed"], done["reboot"], card.parameter("next", "NUM_OF_VFS")) == (True, [], 6)


def test_firmware_that_shows_only_the_next_boot_is_judged_by_the_kernels_view(tool, card):
    card.behave(columns="none")
    done = run(tool, device(P0, 6))
    assert "is set to 6 and the card runs with 0" in done["reboot"][1]["text"]
    tool.boot("boot-2")
    assert run_once(device(P0, 6))["reboot"] == []


def test_a_parameter_of_a_port_is_set_and_shown_as_a_name(tool, card):
    done = run(tool, device(P1, 2, {"LINK_TYPE_P2": "ib"}))
    assert card.parameter("next", "LINK_TYPE_P2") == 1 and card.parameter("next", "LINK_TYPE_P1") == 2
    assert "firmware parameter LINK_TYPE_P2 to ib and the card runs with ETH" in texts(done["reboot"])


def test_a_misspelt_parameter_is_refused_with_the_nearest_name_of_the_card(tool, card):
    with pytest.raises(Refusal, match="has no parameter NUM_OF_VF, NUM_OF_VFS is the nearest"):
        run_once(device(P0, 2, {"NUM_OF_VF": 9}))


def test_a_card_that_needs_a_power_cycle_is_reported(tool, card):
    card.behave(power_cycle="true")
    assert all("needs a power cycle" in one["text"] for one in run_once(device(P0, 4))["reboot"])


def test_check_mode_reads_the_card_and_sets_nothing(tool, card):
    done = run_once(device(P0, 4), check_mode=True)
    assert texts(done["reboot"])[1] == "firmware parameter NUM_OF_VFS to 4 and the card runs with 0"
    assert (tool.sets(), card.parameter("next", "NUM_OF_VFS")) == ([], 0)


@pytest.mark.parametrize(
    "behaviour, sentence",
    [
        ({"refuse": "NVDA.set=0x20"}, "rejected NUM_OF_VFS=4, SRIOV_EN=1 as a whole"),
        ({"livefish": "true"}, "Device in Livefish mode is not supported"),
        ({"refuse": "NVQC.get=7"}, "does not let this host access its configuration"),
    ],
)
def test_a_card_that_refuses_is_reported_in_the_tools_words_and_not_changed(tool, card, behaviour, sentence):
    card.behave(**behaviour)
    with pytest.raises(Refusal) as refusal:
        run_once(device(P0, 4))
    assert sentence in str(refusal.value)
    card.behave(refuse="", livefish="false")
    assert (card.parameter("next", "NUM_OF_VFS"), card.parameter("next", "SRIOV_EN")) == (0, 0)


def test_a_parameter_that_the_card_does_not_have_is_searched_among_all(tool, card):
    card.behave(absent="LINK_TYPE_P1")
    with pytest.raises(Refusal, match="has no parameter LINK_TYPE_P1"):
        run_once(device(P0, 4, {"LINK_TYPE_P1": "ETH"}))
    assert [call[2:] for call in tool.calls] == [["-e", "q", *COUNTS, "LINK_TYPE_P1"], ["-e", "q"]]
