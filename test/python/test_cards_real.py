# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firmware module decides and does with Debian's unmodified mstconfig, of three releases, without a machine.

The card is the rig's emulated one (molecule/rig/connectx); the kernel's view of it, its number of VFs, is the fake
sysfs of the other tests, which follows what the card runs with. The whole path on a machine, with the real mstfwreset,
is molecule/connectx5.
"""

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from fake_sysfs import fake_host  # noqa: F401 (the fixture "fake")
from mstconfig_recorder import tools
from test_firmware import _tool, device, run, run_once  # noqa: F401 (the fixture "tool")
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


def test_a_fresh_card_comes_to_its_vfs_with_one_reboot(tool, card):
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


def test_a_card_that_offers_more_is_left_alone_unless_it_is_to_be_exact(tool, card):
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


def test_a_card_that_keeps_its_values_is_told_with_the_advice_to_power_cycle(tool, card):
    card.behave(keeps="true")
    run(tool, device(P0, 4))
    tool.boot("boot-2")
    stuck = run_once(device(P0, 4))["stuck"]
    assert len(stuck) == 2 and all(
        "although the host has been rebooted since: power-cycle it" in one["text"] for one in stuck
    )


def test_each_port_has_its_own_number_where_that_counts(tool, card):
    per_port = {"PF_NUM_OF_VF_VALID": True}
    run_once(device(P0, 3, per_port), device(P1, 9, per_port, index=1))
    assert [card.parameter("next", "PF_NUM_OF_VF", function) for function in (0, 1)] == [3, 9]
    assert card.parameter("next", "NUM_OF_VFS") == 0
    tool.boot("boot-2")
    assert [card.card.total_vfs(function) for function in (0, 1)] == [3, 9]
    again = run_once(device(P0, 3, per_port), device(P1, 9, per_port, index=1))
    assert (again["changed"], again["reboot"], again["stuck"]) == (False, [], [])


def test_a_card_that_counts_for_each_port_already_is_set_so(tool, card):
    for column in ("current", "next"):
        with card.state.locked():
            card.card.set_parameter(column, "PF_NUM_OF_VF_VALID", 0, 1)
            card.state.write()
    run_once(device(P0, 3), device(P1, 9, index=1))
    assert [card.parameter("next", "PF_NUM_OF_VF", function) for function in (0, 1)] == [3, 9]
    assert card.parameter("next", "NUM_OF_VFS") == 0


def test_what_sets_the_next_boot_back_is_seen(tool, card):
    run(tool, device(P0, 6))
    tool.boot("boot-2")
    with card.state.locked():
        card.card.set_parameter("next", "NUM_OF_VFS", 0, 2)
        card.state.write()
    done = run_once(device(P0, 6))
    assert (done["changed"], done["reboot"], card.parameter("next", "NUM_OF_VFS")) == (True, [], 6)


def test_firmware_that_shows_the_next_boot_only_is_judged_by_what_the_kernel_sees(tool, card):
    card.behave(columns="none")
    done = run(tool, device(P0, 6))
    assert "is set to 6 and the card runs with 0" in done["reboot"][1]["text"]
    tool.boot("boot-2")
    assert run_once(device(P0, 6))["reboot"] == []


def test_a_parameter_of_a_port_is_set_and_shown_as_a_name(tool, card):
    done = run(tool, device(P1, 2, {"LINK_TYPE_P2": "ib"}))
    assert card.parameter("next", "LINK_TYPE_P2") == 1 and card.parameter("next", "LINK_TYPE_P1") == 2
    assert "firmware parameter LINK_TYPE_P2 to ib and the card runs with ETH" in texts(done["reboot"])


def test_a_misspelt_parameter_is_told_the_nearest_of_those_that_the_card_has(tool, card):
    with pytest.raises(Refusal, match="has no parameter NUM_OF_VF, NUM_OF_VFS is the nearest"):
        run_once(device(P0, 2, {"NUM_OF_VF": 9}))


def test_a_card_that_takes_a_change_only_with_power_is_said_so(tool, card):
    card.behave(power_cycle="true")
    assert all("needs a power cycle" in one["text"] for one in run_once(device(P0, 4))["reboot"])
