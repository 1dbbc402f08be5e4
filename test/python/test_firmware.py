# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the firmware module decides and does, against a tool that keeps next and current apart as the real one does.

The tables and messages of the real tool are test_mstconfig.py's; the whole path, with reboots, is molecule/connectx5.
"""

import copy
import json
import os
import re
import shutil
import threading
from types import SimpleNamespace

import hang
import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_firmware
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from half_done import HOW, Changes, Killed
from parts import firmware
from parts import program as host

A0, A1, B0 = "0000:3b:00.0", "0000:3b:00.1", "0000:5e:00.0"
OPEN_FAILED = "\n-E- Failed to open the device\n"
NO_CURRENT = "Device Firmware does not support reading default and current configurations\n"
FRESH = {
    "SRIOV_EN": "False(0)",
    "NUM_OF_VFS": "0",
    "NUM_PF_MSIX": "63",
    "LINK_TYPE_P1": "ETH(2)",
    "LINK_TYPE_P2": "ETH(2)",
    "PF_NUM_OF_VF_VALID": "False(0)",
    "ADVANCED_PCI_SETTINGS": "False(0)",
    "HOST_CHAINING_DESCRIPTORS": "Array[0..7]",
}
OWN = {"PF_NUM_OF_VF_VALID": "False(0)", "PF_NUM_OF_VF": "0"}
LINKS = {"1": "IB(1)", "2": "ETH(2)", "IB": "IB(1)", "ETH": "ETH(2)"}
NAMES = {"LINK_TYPE_P1": LINKS, "LINK_TYPE_P2": LINKS}


class Tool:
    """mstconfig and mstfwreset over the cards of a fake host; every call is in `calls`."""

    def __init__(self, fake):
        self.fake, self.calls = fake, []
        self.cards, self.functions = {}, {}
        self.type, self.reads_current, self.ignores, self.read_only = "ConnectX5", True, set(), set()
        self.query_answer, self.set_answer, self.reset_answer = {}, None, None
        # Where every call waits until as many have come.
        self.gathering = None
        self.reset_works = True
        self.lock = threading.Lock()

    def add(self, *addresses, identity="15b3:1017", **parameters):
        """A card with these ports; parameters change what is in FRESH, in all columns."""
        state = {name: {"current": value, "next": value} for name, value in dict(FRESH, **parameters).items()}
        for index, address in enumerate(addresses):
            self.functions[address] = {name: {"current": "0", "next": "0"} for name in ("PF_NUM_OF_VF",)}
            total = self.offered(state, address)
            self.fake.add_function(
                address, identity, "mlx5_core", ["ens%sf%d" % (address[5:7], index)], totalvfs=total or None
            )
            self.cards[address] = state
        return state

    def offered(self, state, function):
        """The VFs that the kernel sees of a function of a card with that state."""
        if state["SRIOV_EN"]["current"] != "True(1)":
            return 0
        own = state.get("PF_NUM_OF_VF_VALID", {}).get("current") == "True(1)"
        return int((self.functions[function]["PF_NUM_OF_VF"] if own else state["NUM_OF_VFS"])["current"])

    def promote(self, address):
        """Next becomes current, and the kernel sees it: a boot, or a reset."""
        card = address.rpartition(".")[0]
        for function, state in self.cards.items():
            if function.rpartition(".")[0] == card:
                for row in list(state.values()) + list(self.functions[function].values()):
                    row["current"] = row["next"]
        for function in [function for function in self.cards if function.rpartition(".")[0] == card]:
            path, total = self.fake.pci(function), self.offered(self.cards[function], function)
            if total:
                (path / "sriov_totalvfs").write_text("%d\n" % total)
                if not (path / "sriov_numvfs").exists():
                    (path / "sriov_numvfs").write_text("0\n")
                    (self.fake.fake / function).mkdir(exist_ok=True)
                    (self.fake.fake / function / "behaviour").write_text("{}")
            elif (path / "sriov_totalvfs").exists():
                (path / "sriov_totalvfs").unlink()
                (path / "sriov_numvfs").unlink()

    def boot(self, boot_id):
        self.fake.boot(boot_id)
        for address in self.cards:
            self.promote(address)

    def __call__(self, command, seconds=firmware.TOOL_SECONDS):
        for word in command:
            # As the real one is called.
            os.fsencode(word)
            if "\0" in word:
                raise ValueError("embedded null byte")
        with self.lock:
            self.calls.append(command[1:])
        if self.gathering:
            self.gathering.wait()
        return self.answer(command)

    def answer(self, command):
        address = command[command.index("-d") + 1]
        if command[0].endswith("fwreset"):
            if self.reset_answer:
                return self.reset_answer
            if self.reset_works:
                self.promote(address)
            return 0, "-I- Sending Reset Command To Fw             -Done\n-I- FW was loaded successfully.\n"
        if address not in self.cards:
            return 3, OPEN_FAILED
        if "set" in command:
            return self.set(address, command[command.index("set") + 1 :])
        return self.query_answer.get(address) or self.query(address, command[command.index("q") + 1 :], "-e" in command)

    def query(self, address, names, running):
        rows = self.rows(address)
        absent = [name for name in names if name not in rows]
        if absent:
            return 3, self.table(address, {}, running) + f"-E- The Device doesn't support {absent[0]} parameter\n"
        return 0, self.table(address, {name: rows[name] for name in names} or rows, running)

    def set(self, address, arguments):
        if self.set_answer:
            return self.set_answer
        for argument in arguments:
            name, value = argument.split("=")
            rows = self.functions[address] if name in self.functions[address] else self.cards[address]
            if name in self.ignores:
                continue
            shown = rows[name]["next"]
            if "(" in shown and name not in NAMES:
                rows[name]["next"] = "True(1)" if value == "1" else "False(0)"
            else:
                rows[name]["next"] = NAMES.get(name, {}).get(value, value)
        return 0, "Applying... Done!\n-I- Please reboot machine to load new configurations.\n"

    def rows(self, address):
        rows = dict(self.cards[address])
        if rows.get("PF_NUM_OF_VF_VALID", {}).get("next") == "True(1)":
            rows.update(self.functions[address])
        return rows

    def table(self, address, rows, running):
        reads_current = running and self.reads_current
        lines = [
            "",
            "Device #1:",
            "----------",
            "",
            f"Device type:        {self.type}",
            "Name:               MCX556A-ECA_Ax",
            "Description:        ConnectX-5",
            f"Device:             {address}",
            "",
        ]
        if reads_current:
            lines.append(
                "Configurations:                                          Default             Current             Next Boot"
            )
        else:
            lines.append("Configurations:                                          Next Boot")
        for name, row in sorted(rows.items()):
            mark = "RO" if name in self.read_only else "  "
            values = (
                [FRESH.get(name, OWN.get(name, "0")), row["current"], row["next"]] if reads_current else [row["next"]]
            )
            lines.append(
                "%s%s     %-44s%s"
                % (
                    "*" if row["current"] != row["next"] else " ",
                    mark,
                    name,
                    "".join("%-20s" % value for value in values),
                )
            )
        return "\n".join(lines) + "\n" + (NO_CURRENT if running and not self.reads_current else "")

    def sets(self):
        """The arguments of every `set`, by address."""
        return [(call[call.index("-d") + 1], call[call.index("set") + 1 :]) for call in self.calls if "set" in call]


@pytest.fixture(name="tool")
def _tool(fake, monkeypatch, tmp_path):
    tool = Tool(fake)
    tool.state = tmp_path / "var/lib/sriov"
    monkeypatch.setattr(firmware, "run", tool)
    monkeypatch.setattr(firmware, "find_tools", lambda choice: ("/usr/bin/mstconfig", "/usr/bin/mstfwreset"))
    monkeypatch.setattr(firmware, "RETURN_SECONDS", 1)
    monkeypatch.setattr(host, "connection_functions", set)
    return tool


def device(address=A0, numvfs=8, parameters=None, index=0, **more):
    return dict(
        {
            "address": address,
            "numvfs": numvfs,
            "firmware": parameters or {},
            "boot": "systemd",
            "selector": "sriov_devices[%d] (address %s)" % (index, address),
        },
        **more,
    )


def run_once(*devices, check_mode=False, exact=False, reset=False, tool="auto", later=False):
    warnings = []
    result = firmware.ensure(
        {"devices": list(devices), "tool": tool, "exact": exact, "reset": reset, "tool_comes_later": later},
        check_mode,
        warnings.append,
    )
    return dict(result, warnings=warnings)


def run(tool, *devices, **more):
    """Check mode, which must set nothing and tell all; the real run; a second run, which sets nothing and says the
    same.
    """
    before = json.dumps([tool.cards, tool.functions])
    checked = run_once(*devices, check_mode=True, **more)
    assert json.dumps([tool.cards, tool.functions]) == before and not tool.sets()
    done = run_once(*devices, **more)
    for key in ("changed", "diff", "reboot", "stuck"):
        assert checked[key] == done[key], key
    count = len(tool.sets())
    again = run_once(*devices, **more)
    assert (again["changed"], again["diff"], len(tool.sets())) == (False, [], count)
    assert [reason["key"] for reason in again["reboot"] + again["stuck"]] == [
        reason["key"] for reason in done["reboot"] + done["stuck"]
    ]
    return done


def refusal(*devices, **more):
    with pytest.raises(host.Refusal) as caught:
        run_once(*devices, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def due(result):
    return [reason["key"] for reason in result["reboot"]]


# --- what is set


def test_a_fresh_card_is_set_once_and_waits_for_the_reboot(tool):
    tool.add(A0, A1)
    result = run(tool, device(numvfs=16))
    assert tool.sets() == [(A0, ["SRIOV_EN=1", "NUM_OF_VFS=16"])]
    assert due(result) == ["firmware:0000:3b:00.0:SRIOV_EN=1", "firmware:0000:3b:00.0:NUM_OF_VFS=16"]
    assert result["reboot"][1]["text"] == (
        "firmware parameter NUM_OF_VFS of ens3bf0 (0000:3b:00.0) is set to 16 and the card runs with 0"
    )
    assert result["devices"][0]["waits"] == "its firmware offers more from the next boot on"
    assert result["diff"] == [
        {
            "before_header": "0000:3b:00",
            "after_header": "0000:3b:00",
            "before": "SRIOV_EN False\nNUM_OF_VFS 0\n",
            "after": "SRIOV_EN True\nNUM_OF_VFS 16\n",
        }
    ]
    assert result["cards"] == [
        {
            "card": "0000:3b:00",
            "functions": [A0],
            "type": "ConnectX5",
            "parameters": [
                {"function": A0, "name": "SRIOV_EN", "wanted": "True", "next": "True(1)", "current": "False(0)"},
                {"function": A0, "name": "NUM_OF_VFS", "wanted": "16", "next": "16", "current": "0"},
            ],
        }
    ]


def test_after_the_reboot_it_is_done(tool):
    tool.add(A0, A1)
    run_once(device())
    tool.boot("boot-2")
    tool.calls.clear()
    result = run_once(device())
    assert (result["changed"], result["reboot"], result["stuck"], "waits" in result["devices"][0]) == (
        False,
        [],
        [],
        False,
    )
    # The kernel sees what the card runs with.
    assert tool.calls == [["-d", A0, "q", "SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF_VALID"]]


@pytest.mark.parametrize(
    "devices, calls",
    [
        # What the card runs with is asked for where the kernel does not see enough, and where more is wanted than VFs.
        ([device(numvfs=9)], [["-e", "q", "SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF_VALID"]]),
        (
            [device(parameters={"LINK_TYPE_P1": "ETH"})],
            [["-e", "q", "SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF_VALID", "LINK_TYPE_P1"]],
        ),
    ],
)
def test_a_card_is_asked_for_what_is_wanted_of_it(tool, devices, calls):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    run_once(*devices, check_mode=True)
    assert [call[2:] for call in tool.calls] == calls


def test_what_else_sets_the_next_boot_back_is_seen_though_the_kernel_sees_enough(tool):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")["NUM_OF_VFS"]["next"] = "4"
    result = run_once(device())
    assert (tool.sets(), result["reboot"]) == ([(A0, ["NUM_OF_VFS=8"])], [])


def test_a_card_without_a_number_for_each_function_is_asked_again_without_it(tool):
    del tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")["PF_NUM_OF_VF_VALID"]
    result = run_once(device())
    assert (result["changed"], [call[2:] for call in tool.calls]) == (
        False,
        [["q", "SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF_VALID"], ["q", "SRIOV_EN", "NUM_OF_VFS"]],
    )


def test_a_name_that_a_card_does_not_have_is_looked_for_among_all(tool):
    tool.add(A0)
    with pytest.raises(host.Refusal, match="has no parameter NUM_OF_VF, NUM_OF_VFS is the nearest"):
        run_once(device(parameters={"NUM_OF_VF": 9}))
    assert [call[2:] for call in tool.calls][-1] == ["-e", "q"]


def test_of_a_card_that_is_no_connectx_all_is_asked_for(tool):
    """A BlueField's own processor may own it, and a card of a later kind may have what nobody knows of."""
    tool.add(A0, identity="15b3:a2dc", SRIOV_EN="True(1)", NUM_OF_VFS="8")
    run_once(device())
    assert [call[2:] for call in tool.calls] == [["-e", "q"]]


def test_a_reboot_that_was_skipped_is_still_due_however_often_the_role_runs(tool):
    tool.add(A0)
    run_once(device())
    for _run in range(3):
        assert len(due(run_once(device()))) == 2


def test_what_an_administrator_has_set_and_does_not_run_yet_is_due_too(tool):
    state = tool.add(A0)
    state["SRIOV_EN"]["next"], state["NUM_OF_VFS"]["next"] = "True(1)", "8"
    result = run_once(device())
    assert (result["changed"], len(due(result)), tool.sets()) == (False, 2, [])


@pytest.mark.parametrize("first, second", [(8, 16), (16, 8)])
def test_the_ports_of_a_card_get_the_maximum_at_once(tool, first, second):
    tool.add(A0, A1)
    run(tool, device(A0, first), device(A1, second, index=1))
    assert tool.sets() == [(A0, ["SRIOV_EN=1", "NUM_OF_VFS=16"])]


def test_both_ports_of_a_connectx3_are_counted_together(tool):
    tool.add(A0)
    run(tool, device(A0, 8, port=1, boot="module"), device(A0, 4, port=2, boot="module"))
    assert tool.sets() == [(A0, ["SRIOV_EN=1", "NUM_OF_VFS=12"])]


@pytest.mark.parametrize("wanted", [8, 12, 2, 1, 28])
def test_a_number_that_is_part_of_another_is_another(tool, wanted):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="128")
    assert run(tool, device(numvfs=wanted))["changed"] is False
    result = run(tool, device(numvfs=wanted), exact=True)
    assert tool.sets() == [(A0, ["NUM_OF_VFS=%d" % wanted])]
    assert due(result) == ["firmware:%s:NUM_OF_VFS=%d" % (A0, wanted)]


def test_a_number_is_raised_with_and_without_exact(tool):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="4")
    run(tool, device(numvfs=44))
    assert tool.sets() == [(A0, ["NUM_OF_VFS=44"])]


def test_a_lower_number_for_the_next_boot_is_raised_again_and_nothing_is_due(tool):
    state = tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="16")
    state["NUM_OF_VFS"]["next"] = "4"
    result = run(tool, device(numvfs=8))
    assert (tool.sets(), result["reboot"]) == ([(A0, ["NUM_OF_VFS=8"])], [])


def test_none_wanted_touches_nothing_not_even_by_reading(tool):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="16")
    assert run(tool, device(numvfs=0))["changed"] is False
    assert tool.calls == []


def test_none_wanted_exactly_turns_sriov_off(tool):
    tool.add(A0, A1, SRIOV_EN="True(1)", NUM_OF_VFS="16")
    result = run(tool, device(A0, 0), device(A1, 0, index=1), exact=True)
    assert (tool.sets(), due(result)) == ([(A0, ["SRIOV_EN=0"])], [f"firmware:{A0}:SRIOV_EN=0"])


def test_only_named_cards_are_touched(tool):
    tool.add(A0, A1)
    tool.add(B0)
    run(tool, device(B0), {"address": A0, "numvfs": 8, "firmware": None, "selector": "x", "boot": "systemd"})
    assert {call[call.index("-d") + 1] for call in tool.calls} == {B0}


def test_a_card_that_is_absent_is_passed_by(tool):
    assert run(tool, device("0000:99:00.0", optional=True))["changed"] is False
    assert tool.calls == []


def test_listed_parameters_are_set_with_the_rest(tool):
    tool.add(A0)
    run(tool, device(parameters={"LINK_TYPE_P1": "IB", "NUM_PF_MSIX": 127}))
    assert tool.sets() == [(A0, ["LINK_TYPE_P1=IB", "NUM_PF_MSIX=127", "SRIOV_EN=1", "NUM_OF_VFS=8"])]


@pytest.mark.parametrize("value", ["ETH", "eth", 2, "2"])
def test_a_listed_parameter_that_is_so_already_is_left(tool, value):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    assert run(tool, device(parameters={"LINK_TYPE_P1": value}))["changed"] is False


def test_a_listed_parameter_of_one_port_is_set_once_for_the_card(tool):
    tool.add(A0, A1, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    run(tool, device(A0), device(A1, parameters={"LINK_TYPE_P2": "IB"}, index=1))
    assert [arguments for _address, arguments in tool.sets()] == [["LINK_TYPE_P2=IB"]]


def test_a_listed_number_of_vfs_holds_when_it_is_enough(tool):
    tool.add(A0)
    run(tool, device(numvfs=8, parameters={"NUM_OF_VFS": 32}))
    assert tool.sets() == [(A0, ["NUM_OF_VFS=32", "SRIOV_EN=1"])]


# --- PF_NUM_OF_VF_VALID


def test_where_each_function_counts_each_gets_its_own_number(tool):
    tool.add(A0, A1, SRIOV_EN="True(1)", PF_NUM_OF_VF_VALID="True(1)", NUM_OF_VFS="4")
    result = run(tool, device(A0, 8), device(A1, 16, index=1))
    assert sorted(tool.sets()) == [(A0, ["PF_NUM_OF_VF=8"]), (A1, ["PF_NUM_OF_VF=16"])]
    assert sorted(due(result)) == [f"firmware:{A0}:PF_NUM_OF_VF=8", f"firmware:{A1}:PF_NUM_OF_VF=16"]


def test_where_it_is_not_valid_the_number_of_the_card_counts(tool):
    tool.add(A0, SRIOV_EN="True(1)", PF_NUM_OF_VF_VALID="False(0)")
    run(tool, device(numvfs=8))
    assert tool.sets() == [(A0, ["NUM_OF_VFS=8"])]


def test_to_make_it_valid_is_a_separate_step_because_the_card_does_not_know_the_number_before(tool):
    tool.add(A0, SRIOV_EN="True(1)", PF_NUM_OF_VF_VALID="False(0)")
    wish = device(numvfs=8, parameters={"PF_NUM_OF_VF_VALID": True})
    assert run_once(wish, check_mode=True)["changed"] is True
    assert sorted(due(run_once(wish))) == [f"firmware:{A0}:PF_NUM_OF_VF=8", f"firmware:{A0}:PF_NUM_OF_VF_VALID=1"]
    assert run_once(wish)["changed"] is False
    assert tool.sets() == [(A0, ["PF_NUM_OF_VF_VALID=1"]), (A0, ["PF_NUM_OF_VF=8"])]


def test_what_each_function_has_for_itself_may_differ(tool):
    tool.add(A0, A1, SRIOV_EN="True(1)", PF_NUM_OF_VF_VALID="True(1)")
    run(tool, device(A0, 4, {"PF_NUM_OF_VF": 4}), device(A1, 6, {"PF_NUM_OF_VF": 6}, index=1))
    assert sorted(tool.sets()) == [(A0, ["PF_NUM_OF_VF=4"]), (A1, ["PF_NUM_OF_VF=6"])]


# --- firmware that does not tell what it runs with


def test_without_current_the_kernel_reports_how_many_vfs_are_offered(tool):
    tool.reads_current = False
    tool.add(A0)
    result = run(tool, device())
    assert due(result) == [f"firmware:{A0}:SRIOV_EN=1", f"firmware:{A0}:NUM_OF_VFS=8"]
    tool.boot("boot-2")
    result = run_once(device())
    assert (result["changed"], result["reboot"], result["stuck"]) == (False, [], [])


def test_without_current_another_parameter_is_due_until_the_host_has_rebooted(tool):
    tool.reads_current = False
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    result = run(tool, device(parameters={"NUM_PF_MSIX": 127}))
    assert due(result) == [f"firmware:{A0}:NUM_PF_MSIX=127"]
    assert result["reboot"][0]["text"].endswith("is set to 127 and the card does not run with it yet")
    tool.boot("boot-2")
    assert run_once(device(parameters={"NUM_PF_MSIX": 127}))["reboot"] == []


# --- a card that does not take it


def test_a_change_that_a_reboot_did_not_bring_asks_for_a_power_cycle_and_never_for_another_reboot(tool):
    tool.add(A0)
    run_once(device())
    tool.fake.boot("boot-2")
    for _run in range(2):
        result = run_once(device())
        assert (result["changed"], result["reboot"]) == (False, [])
        assert [reason["key"] for reason in result["stuck"]] == [
            f"firmware:{A0}:SRIOV_EN=1",
            f"firmware:{A0}:NUM_OF_VFS=8",
        ]
        assert result["stuck"][0]["text"] == (
            "firmware parameter SRIOV_EN of ens3bf0 (0000:3b:00.0) is set to True and the card runs with False, although the host has "
            "been rebooted since: power-cycle it, as a reboot does not reset every card, then run the role again"
        )
    tool.boot("boot-3")
    assert run_once(device())["stuck"] == []


def test_what_something_sets_back_at_every_boot_is_reported_and_never_another_reboots_reason(tool):
    state = tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="4")
    assert due(run_once(device()))
    for boot in ("boot-2", "boot-3"):
        tool.fake.boot(boot)
        state["NUM_OF_VFS"]["next"] = "4"
        result = run_once(device())
        assert (result["reboot"], [reason["key"] for reason in result["stuck"]]) == (
            [],
            [f"firmware:{A0}:NUM_OF_VFS=8"],
        )
        assert "something sets it back when the host boots" in result["stuck"][0]["text"]
    tool.boot("boot-4")
    result = run_once(device())
    assert (result["reboot"], result["stuck"]) == ([], [])


def test_what_was_set_before_another_card_refused_is_not_forgotten(tool):
    tool.reads_current = False
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    tool.add(B0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    tool.ignores = {"LINK_TYPE_P2"}
    wishes = device(A0, parameters={"NUM_PF_MSIX": 127}), device(B0, parameters={"LINK_TYPE_P2": "IB"}, index=1)
    assert "was accepted by the firmware but is still ETH(2)" in refusal(*wishes)
    assert due(run_once(device(A0, parameters={"NUM_PF_MSIX": 127}))) == [f"firmware:{A0}:NUM_PF_MSIX=127"]


def test_none_wanted_exactly_of_a_card_without_sriov_is_right_already(tool):
    state = tool.add(A0)
    del state["SRIOV_EN"]
    assert run_once(device(numvfs=0), exact=True)["changed"] is False


def test_a_parameter_that_is_taken_and_is_not_there_is_an_error_and_no_loop(tool):
    tool.add(A0)
    tool.ignores = {"NUM_OF_VFS"}
    assert refusal(device()) == (
        "ens3bf0 (0000:3b:00.0): NUM_OF_VFS=8 was accepted by the firmware but is still 0: set it by hand with "
        "/usr/bin/mstconfig and see what it says; earlier changes of this run are kept (ens3bf0 "
        "(0000:3b:00.0): SRIOV_EN=1)"
    )
    assert len(tool.sets()) == 1


# --- refusals, before any card is set


def refused_untouched(tool, *devices, **more):
    text = refusal(*devices, **more)
    assert tool.sets() == []
    return text


def test_different_wishes_for_what_the_ports_share_are_refused(tool):
    tool.add(A0, A1)
    text = refused_untouched(
        tool, device(A0, parameters={"LINK_TYPE_P1": "ETH"}), device(A1, parameters={"LINK_TYPE_P1": "IB"}, index=1)
    )
    assert text == (
        "sriov_devices[0] (address 0000:3b:00.0) and sriov_devices[1] (address 0000:3b:00.1) are ports of one card (0000:3b:00), "
        "whose firmware has one LINK_TYPE_P1 for both, and request ETH and IB: give them the same value"
    )
    assert tool.calls == []


def test_equal_wishes_in_other_words_are_not_a_conflict(tool):
    tool.add(A0, A1)
    run(tool, device(A0, parameters={"NUM_PF_MSIX": 127}), device(A1, parameters={"NUM_PF_MSIX": "0x7f"}, index=1))


@pytest.mark.parametrize(
    "parameters, text",
    [
        ({"SRIOV_EN": False}, "firmware: SRIOV_EN is False, and 8 VFs are requested: remove one of the two"),
        ({"NUM_OF_VFS": 4}, "firmware: NUM_OF_VFS is 4, and 8 VFs are requested: raise it, or leave it out"),
        ({"PF_NUM_OF_VF": 4}, "firmware: PF_NUM_OF_VF is 4, and 8 VFs are requested: raise it, or leave it out"),
    ],
)
def test_a_list_that_contradicts_numvfs_is_refused(tool, parameters, text):
    tool.add(A0)
    assert refused_untouched(tool, device(parameters=parameters)) == "sriov_devices[0] (address 0000:3b:00.0): " + text


def test_an_unknown_parameter_is_refused_with_the_nearest_one(tool):
    tool.add(A0)
    tool.add(B0)
    assert refused_untouched(tool, device(B0), device(A0, parameters={"NUM_PF_MISX": 63})) == (
        "ens3bf0 (0000:3b:00.0): its firmware (ConnectX5) has no parameter NUM_PF_MISX, NUM_PF_MSIX is the nearest: correct it, or leave it "
        "out; some show only with ADVANCED_PCI_SETTINGS set to true"
    )


def test_a_card_without_sriov_is_refused(tool):
    state = tool.add(A0)
    del state["SRIOV_EN"]
    assert (
        "its firmware (ConnectX5) has no SRIOV_EN, so it has no VFs to offer: update the firmware"
        in refused_untouched(tool, device())
    )


def test_a_read_only_parameter_is_refused_unless_it_is_right(tool):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    tool.read_only = {"NUM_PF_MSIX"}
    assert refused_untouched(tool, device(parameters={"NUM_PF_MSIX": 127})) == (
        "ens3bf0 (0000:3b:00.0): firmware parameter NUM_PF_MSIX is read-only and 63, 127 is requested: leave it out"
    )
    assert run_once(device(parameters={"NUM_PF_MSIX": 63}))["changed"] is False


def test_an_array_is_refused(tool):
    tool.add(A0)
    assert "shows HOST_CHAINING_DESCRIPTORS as Array[0..7], which the role cannot compare" in refused_untouched(
        tool, device(parameters={"HOST_CHAINING_DESCRIPTORS": 3})
    )


@pytest.mark.parametrize(
    "parameters",
    [
        {"NUM_PF_MSIX": None},
        {"NUM_PF_MSIX": float("inf")},
        {"NUM_PF_MSIX": "a\0b"},
        {"NUM_PF_MSIX": -1},
        {"NUM_PF_MSIX": []},
        {"NUM_PF_MSIX": {"a": 1}},
        {"NUM_PF_MSIX": "9" * 5000},
        {"a\0": 1},
        {"": 1},
        {5: 1},
    ],
)
def test_parameters_that_no_card_can_have_are_refused_before_the_tool_is_called(tool, parameters):
    tool.add(A0)
    assert refused_untouched(tool, device(parameters=parameters)).startswith(
        "sriov_devices[0] (address 0000:3b:00.0): firmware: "
    )
    assert tool.calls == []


def bluefield(tool, kind, identity, *right):
    """A BlueField in DPU mode whose parameters of that name are as in NIC mode."""
    tool.type = kind
    names = (
        "INTERNAL_CPU_PAGE_SUPPLIER",
        "INTERNAL_CPU_ESWITCH_MANAGER",
        "INTERNAL_CPU_IB_VPORT0",
        "INTERNAL_CPU_OFFLOAD_ENGINE",
    )
    rows = {name: "EXT_HOST_PF(1)" if name in right else "ECPF(0)" for name in names[:3]}
    rows[names[3]] = "DISABLED(1)" if names[3] in right else "ENABLED(0)"
    tool.add(A0, identity=identity, INTERNAL_CPU_MODEL="EMBEDDED_CPU(1)", **rows)
    return names


@pytest.mark.parametrize(
    "kind, identity, settings",
    [
        (
            "BlueField2",
            "15b3:a2d6",
            "INTERNAL_CPU_PAGE_SUPPLIER=1 INTERNAL_CPU_ESWITCH_MANAGER=1 INTERNAL_CPU_IB_VPORT0=1 INTERNAL_CPU_OFFLOAD_ENGINE=1",
        ),
        ("BlueField3", "15b3:a2dc", "INTERNAL_CPU_OFFLOAD_ENGINE=1"),
    ],
)
def test_a_bluefield_in_dpu_mode_is_refused_with_what_its_model_needs(tool, kind, identity, settings):
    bluefield(tool, kind, identity)
    assert refused_untouched(tool, device()) == (
        f"ens3bf0 (0000:3b:00.0) is a BlueField in DPU mode, where its own processor controls the VFs: set them there, or put it into NIC mode ({settings}, then a power cycle)"
    )


def test_a_bluefield_in_dpu_mode_that_offers_enough_is_left_with_the_same_advice(tool):
    bluefield(tool, "BlueField2", "15b3:a2d6")
    for column in ("current", "next"):
        tool.cards[A0]["SRIOV_EN"][column], tool.cards[A0]["NUM_OF_VFS"][column] = "True(1)", "16"
    tool.promote(A0)
    [warning] = run_once(device())["warnings"]
    assert "INTERNAL_CPU_PAGE_SUPPLIER=1 INTERNAL_CPU_ESWITCH_MANAGER=1 " in warning and warning.endswith(
        "so the role continues"
    )
    assert tool.sets() == []


def test_a_bluefield_in_nic_mode_is_set(tool):
    bluefield(
        tool,
        "BlueField2",
        "15b3:a2d6",
        "INTERNAL_CPU_PAGE_SUPPLIER",
        "INTERNAL_CPU_ESWITCH_MANAGER",
        "INTERNAL_CPU_IB_VPORT0",
        "INTERNAL_CPU_OFFLOAD_ENGINE",
    )
    assert run_once(device())["changed"] is True


@pytest.mark.parametrize(
    "identity, advice",
    [
        ("15b3:a2d6", "allow this host with mlxprivhost on the card's ARM side"),
        ("15b3:1017", "lower numvfs, or set it where the card's firmware may be changed"),
    ],
)
def test_what_numvfs_needs_and_is_read_only_is_not_to_be_left_out(tool, identity, advice):
    tool.add(A0, identity=identity, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    tool.read_only = {"NUM_OF_VFS"}
    assert refused_untouched(tool, device(numvfs=16)) == (
        "ens3bf0 (0000:3b:00.0): firmware parameter NUM_OF_VFS is read-only and 8, numvfs needs 16: " + advice
    )


def test_a_listed_parameter_of_counting_that_the_card_lacks_is_not_a_lack_of_vfs(tool):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    text = refused_untouched(tool, device(parameters={"PF_NUM_OF_VF": 8}))
    assert (
        "has no parameter PF_NUM_OF_VF, NUM_OF_VFS is the nearest: correct it, or leave it out" in text
        and "no VFs to offer" not in text
    )


@pytest.mark.parametrize(
    "identity, advice",
    [
        ("15b3:1003", "no longer knows ConnectX-3: install mstflint 4.25 or older"),
        ("15b3:1021", "which is newer: install a newer mstflint"),
    ],
)
def test_a_card_that_the_tool_does_not_know_is_reported_by_its_family(tool, identity, advice):
    tool.add(A0, identity=identity)
    tool.query_answer[A0] = (3, "-E- Unsupported device\n")
    assert advice in refused_untouched(tool, device())


def test_the_tools_refusal_of_a_value_is_reported(tool):
    tool.add(A0)
    tool.set_answer = (3, "Applying... Failed!\n-E- Parameter NUM_OF_VFS' value is larger than maximum allowed 127\n")
    text = refusal(device(numvfs=200))
    assert text.startswith("ens3bf0 (0000:3b:00.0)") and "127" in text


@pytest.mark.parametrize(
    "lockdown, hint",
    [
        ("none [integrity] confidentiality", True),
        ("none integrity [confidentiality]", True),
        ("[none] integrity confidentiality", False),
    ],
)
def test_a_card_that_cannot_be_opened_is_reported_with_lockdown_as_the_reason(tool, lockdown, hint):
    tool.add(A0)
    tool.query_answer[A0] = (3, OPEN_FAILED)
    path = tool.fake.sys / "kernel/security/lockdown"
    path.parent.mkdir(parents=True)
    path.write_text(lockdown + "\n")
    text = refused_untouched(tool, device())
    assert (
        text.startswith("ens3bf0 (0000:3b:00.0)")
        and ("Secure Boot" in text.rpartition("; ")[2] and "kernel is locked down" in text) == hint
    )


def test_all_cards_that_cannot_be_read_are_reported_together_and_none_is_set(tool):
    tool.add(A0)
    tool.add(B0)
    tool.add("0000:70:00.0")
    tool.query_answer.update({A0: (3, OPEN_FAILED), B0: (3, "-E- Device in Livefish mode is not supported\n")})
    text = refused_untouched(tool, device(A0), device(B0), device("0000:70:00.0"))
    assert "ens3bf0" in text and "ens5ef0" in text and "ivefish" in text


@pytest.mark.parametrize(
    "answer", [(3, OPEN_FAILED), (0, "no table at all\n"), (None, "-E- it did not finish within 120 s")]
)
def test_a_card_that_cannot_be_read_and_offers_enough_is_left_with_a_warning(tool, answer):
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    tool.query_answer[A0] = answer
    result = run_once(device())
    assert (result["changed"], result["reboot"], len(result["warnings"])) == (False, [], 1)
    assert result["warnings"][0].endswith("; it offers enough VFs, so the role continues")
    assert refused_untouched(tool, device(numvfs=9))
    assert refused_untouched(tool, device(parameters={"NUM_PF_MSIX": 63}))
    assert refused_untouched(tool, device(), exact=True)


def test_output_that_cannot_be_read_is_reported_with_the_command_that_shows_it(tool):
    tool.add(A0)
    tool.query_answer[A0] = (0, "no table at all\n")
    assert re.search(r"report it with `/usr/bin/mstconfig -d 0000:3b:00\.0 -e q`$", refused_untouched(tool, device()))


# --- runs that end half-way


class Half:
    """Three cards of which two have to be set, one of them on each port and in two passes; put back before each run."""

    DEVICES = [
        device(A0, 8, {"PF_NUM_OF_VF_VALID": True, "NUM_PF_MSIX": 127}),
        device(A1, 4, index=1),
        device(B0, 16, index=2),
    ]

    def __init__(self, tool, reads_current):
        self.tool = tool
        tool.reads_current = reads_current
        tool.add(A0, A1, **OWN)
        tool.add(B0)
        self.start = copy.deepcopy((tool.cards, tool.functions))

    def again(self):
        self.tool.cards, self.tool.functions = copy.deepcopy(self.start)
        shutil.rmtree(self.tool.state, ignore_errors=True)
        self.tool.state.mkdir(parents=True)
        self.tool.fake.boot("boot-1")

    def run(self):
        return run_once(*self.DEVICES)

    def files(self):
        return {path.name: path.read_text() for path in self.tool.state.iterdir()}

    def firmware(self):
        return {
            function: {name: row["next"] for name, row in dict(rows, **self.tool.functions[function]).items()}
            for function, rows in self.tool.cards.items()
        }

    def ended(self, monkeypatch, at, how):
        """A run that is disturbed at a change; returns (what ended it, the changes)."""
        self.again()
        with monkeypatch.context() as patch:
            # One after the other, so that a number is always the same change.
            patch.setattr(firmware, "AT_ONCE", 1)
            changes = Changes(patch, at, how)
            patch.setattr(
                firmware,
                "run",
                lambda command, seconds=0: (
                    changes.program(
                        lambda: self.tool(command),
                        "set",
                        (3, "Applying... Failed!\n-E- The flux capacitor is discharged.\n"),
                    )
                    if "set" in command
                    else self.tool(command)
                ),
            )
            try:
                self.run()
                return None, changes
            except (Killed, host.Refusal, OSError) as error:
                return error, changes


@pytest.mark.long
@pytest.mark.parametrize("reads_current", [True, False])
@pytest.mark.parametrize("how", HOW)
def test_a_run_that_ends_at_any_change_is_finished_by_the_next(tool, monkeypatch, how, reads_current):
    half = Half(tool, reads_current)
    half.again()
    undisturbed = half.run()
    finished = (half.firmware(), half.files())
    assert len(undisturbed["reboot"]) == 7
    for at in range(1, 100):
        error, changes = half.ended(monkeypatch, at, how)
        if not changes.disturbed:
            break
        where = "%s at change %d, %s: %s" % (how, at, changes.disturbed, error)
        told_truly(half, error, where)
        result = half.run()
        assert (half.firmware(), half.files()) == finished, where
        assert ([due["key"] for due in result["reboot"]], result["stuck"]) == (
            [due["key"] for due in undisturbed["reboot"]],
            [],
        ), where
    assert at > 9 and changes.count < at


def told_truly(half, error, where):
    """What a run that failed has set is in its message, card by card, and nothing else is."""
    before = {
        function: {name: row["next"] for name, row in dict(rows, **half.start[1][function]).items()}
        for function, rows in half.start[0].items()
    }
    now = half.firmware()
    changed = {
        (function, name)
        for function, rows in now.items()
        for name, shown in rows.items()
        if shown != before[function][name]
    }
    if isinstance(error, OSError):
        # main() says then that no card was changed.
        assert not changed, where
    if isinstance(error, host.Refusal):
        stays = re.search(r"; earlier changes of this run are kept \((.*)\)$", str(error))
        told = stays.group(1) if stays else ""
        assert {function.rpartition(".")[0] for function, _name in changed} == {
            card for card in ("0000:3b:00", "0000:5e:00") if card in told
        }, where
        assert all(name in told for _function, name in changed), where
        assert {name for name in re.findall(r"([A-Z_0-9]+)=", told)} == {name for _function, name in changed}, where


@pytest.mark.parametrize("reads_current", [True, False])
@pytest.mark.parametrize("how", ["killed before", "killed after"])
def test_after_a_kill_and_a_reboot_nothing_is_said_to_have_been_set_back(tool, monkeypatch, how, reads_current):
    """What a run was about to set and never set does not come from the BIOS."""
    half = Half(tool, reads_current)
    for at in range(1, 100):
        _error, changes = half.ended(monkeypatch, at, how)
        if not changes.disturbed:
            break
        tool.boot("boot-2")
        assert half.run()["stuck"] == [], "%s at change %d, %s" % (how, at, changes.disturbed)
        tool.boot("boot-3")
        assert (half.run()["reboot"], half.run()["stuck"], half.files()) == ([], [], {})
    assert at > 9


def test_a_tool_that_ends_half_way_leaves_a_message_of_what_it_took(tool, monkeypatch):
    tool.add(A0)
    tool.add(B0)

    def half(command, seconds=0):
        if "set" in command and A0 in command:
            tool(command[:-1])
            return None, "-E- it did not finish within 120 s"
        return tool(command)

    monkeypatch.setattr(firmware, "run", half)
    text = refusal(device(A0), device(B0))
    assert text.startswith(
        "ens3bf0 (0000:3b:00.0): the tool ended with exit code None and said: it did not finish within 120 s"
    )
    assert text.endswith(
        "; earlier changes of this run are kept (ens3bf0 (0000:3b:00.0): SRIOV_EN=1; ens5ef0 (0000:5e:00.0): "
        "SRIOV_EN=1, NUM_OF_VFS=8)"
    )
    monkeypatch.setattr(firmware, "run", tool)
    assert run_once(device(A0), device(B0))["changed"]
    assert tool.cards[A0]["NUM_OF_VFS"]["next"] == "8"


def test_a_card_that_cannot_be_read_after_it_was_set_is_said_to_be_unknown(tool, monkeypatch):
    tool.add(A0)

    def gone(command, seconds=0):
        answer = tool(command)
        if "set" in command:
            tool.query_answer[A0] = (3, OPEN_FAILED)
        return answer

    monkeypatch.setattr(firmware, "run", gone)
    assert refusal(device()).endswith("; it is unknown whether the card took SRIOV_EN=1 NUM_OF_VFS=8")


# --- the tool itself


def test_a_tool_that_is_missing_is_reported_unless_the_cards_offer_enough(tool, monkeypatch):
    monkeypatch.setattr(firmware, "find_tools", lambda choice: None)
    tool.add(A0, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    assert run_once(device())["warnings"]
    text = refusal(device(numvfs=9))
    assert text == (
        "mstconfig is not on this host, and the firmware of ens3bf0 (0000:3b:00.0) has to be read: install it, or let the role do "
        "it (sriov_install_enabled)"
    )
    assert refusal(device(numvfs=9), tool="mft").startswith("mlxconfig is not on this host")
    assert refusal(device(numvfs=9), later=True) == text


def test_check_mode_continues_without_a_tool_that_must_be_installed(tool, monkeypatch):
    monkeypatch.setattr(firmware, "find_tools", lambda choice: None)
    tool.add(A0)
    result = run_once(device(), check_mode=True, later=True)
    assert result["devices"][0]["waits"] == "mstconfig must be installed first, then its firmware can be read"


@pytest.mark.parametrize(
    "present, choice, found",
    [
        (["mstconfig", "mstfwreset"], "auto", ("mstconfig", "mstfwreset")),
        (["mlxconfig", "mlxfwreset"], "auto", ("mlxconfig", "mlxfwreset")),
        (["mstconfig", "mlxconfig", "mlxfwreset"], "auto", ("mstconfig", None)),
        (["mstconfig", "mlxconfig"], "mft", ("mlxconfig", None)),
        (["mlxconfig"], "mstflint", None),
        (["mstconfig"], "mft", None),
        ([], "auto", None),
    ],
)
def test_the_tool_is_the_one_requested_that_is_there(tmp_path, monkeypatch, present, choice, found):
    for name in present:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host, "PROGRAM_DIRECTORIES", ())
    tools = firmware.find_tools(choice)
    assert tools == (found and tuple(name and str(tmp_path / name) for name in found))


def test_a_tool_that_hangs_or_cannot_be_run_ends_with_a_reason(tmp_path):
    (tmp_path / "slow").write_text("#!/bin/sh\nexec sleep 100000\n")
    (tmp_path / "slow").chmod(0o755)
    assert firmware.run([str(tmp_path / "slow")], 0.2) == (None, "-E- it did not finish within 0 s")
    assert firmware.run([str(tmp_path / "none")])[0] is None


def test_the_tool_runs_in_english_and_its_two_streams_are_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    (tmp_path / "tool").write_text("#!/bin/sh\necho $LC_ALL; echo error >&2; exit 3\n")
    (tmp_path / "tool").chmod(0o755)
    assert firmware.run([str(tmp_path / "tool")]) == (3, "C\nerror\n")


def test_eight_cards_are_read_and_set_at_the_same_time(tool):
    addresses = [f"0000:{bus:02x}:00.0" for bus in range(0x10, 0x18)]
    for address in addresses:
        tool.add(address)
    # Calls one after the other would wait for each other here, and break it.
    tool.gathering = threading.Barrier(8, timeout=hang.SECONDS)
    run_once(*[device(address) for address in addresses])
    assert len(tool.sets()) == 8 and len(tool.calls) == 24


# --- resetting


@pytest.fixture(name="set_card")
def _set_card(tool):
    """A card that offers 8 VFs on both ports, which have some."""
    tool.add(A0, A1, SRIOV_EN="True(1)", NUM_OF_VFS="8")
    tool.fake.create(A0, 2)
    tool.fake.create(A1, 3)
    for port in (A0, A1):
        for index in range(tool.fake.numvfs(port)):
            tool.fake.bind(tool.fake.vf(port, index), None)
    return tool


def resets(tool):
    return [call for call in tool.calls if "reset" in call]


def test_a_reset_makes_it_current_with_the_vfs_of_every_port_gone_first(set_card):
    result = run_once(device(numvfs=16), reset=True)
    assert resets(set_card) == [["-d", A0, "-l", "3", "-y", "reset"]]
    assert (set_card.fake.writes(A0), set_card.fake.writes(A1)) == ([0, 2], [0, 3])
    assert (result["reboot"], result["changed"], "waits" in result["devices"][0]) == ([], True, False)
    assert result["diff"][-1]["after"] == "reset\n"
    again = run_once(device(numvfs=16), reset=True)
    assert (again["changed"], len(resets(set_card))) == (False, 1)


def test_check_mode_predicts_the_reset_and_does_not_make_it(set_card):
    result = run_once(device(numvfs=16), reset=True, check_mode=True)
    assert (result["reboot"], result["changed"], resets(set_card)) == ([], True, [])
    assert result["devices"][0]["waits"] == "its firmware offers more once the card is reset"
    assert set_card.fake.numvfs(A0) == 2


def not_reset(tool, result):
    [reason] = result["reboot"]
    assert reason["key"] == f"firmware:{A0}:NUM_OF_VFS=16"
    return reason["text"].partition("; the card was not reset: ")[2]


def test_a_card_with_a_vf_in_use_on_the_other_port_is_not_reset(set_card):
    set_card.fake.bind(set_card.fake.vf(A1, 1), "vfio-pci")
    result = run_once(device(numvfs=16), reset=True)
    assert not_reset(set_card, result).startswith(f"VF {set_card.fake.vf(A1, 1)} is bound to vfio-pci")
    assert (resets(set_card), set_card.fake.numvfs(A0), set_card.fake.numvfs(A1)) == ([], 2, 3)


def test_a_card_whose_other_pf_a_guest_has_is_not_reset(set_card):
    set_card.fake.create(A1, 0)
    set_card.fake.bind(A1, "vfio-pci")
    assert not_reset(set_card, run_once(device(numvfs=16), reset=True)) == f"its PF {A1} is bound to vfio-pci"
    assert resets(set_card) == []


@pytest.mark.parametrize(
    "carriers, text",
    [
        ({A1}, "it carries the connection to this host"),
        (None, "it is not known whether it carries the connection to this host"),
    ],
)
def test_a_card_that_carries_the_connection_is_not_reset(set_card, monkeypatch, carriers, text):
    monkeypatch.setattr(host, "connection_functions", lambda: carriers)
    assert not_reset(set_card, run_once(device(numvfs=16), reset=True)) == text
    assert (resets(set_card), set_card.fake.numvfs(A0)) == ([], 2)


def test_a_refused_reset_falls_back_to_the_reboot_with_its_reason(set_card):
    set_card.reset_answer = (1, "-E- Requested reset level '3' is not supported\n")
    result = run_once(device(numvfs=16), reset=True)
    assert "Requested reset level '3' is not supported" in not_reset(set_card, result)
    assert (set_card.fake.writes(A0), set_card.fake.numvfs(A0), set_card.fake.numvfs(A1)) == ([0, 2], 2, 3)
    assert result["devices"][0]["waits"] == "its firmware offers more from the next boot on"


def test_a_reset_after_which_it_does_not_run_falls_back_to_the_reboot(set_card):
    set_card.reset_works = False
    assert (
        not_reset(set_card, run_once(device(numvfs=16), reset=True)) == "it was reset, but still does not run with it"
    )


def test_a_reset_after_which_an_interface_stays_away_falls_back_to_the_reboot(set_card, monkeypatch):
    def lose(command, seconds=0):
        if "reset" in command:
            set_card.fake.bind(A1, None)
        return set_card(command)

    monkeypatch.setattr(firmware, "run", lose)
    assert not_reset(set_card, run_once(device(numvfs=16), reset=True)).startswith(
        "it was reset, and not all of its interfaces are back after 1 s; ens3bf1 (0000:3b:00.1): setting 3 VFs failed"
    )


def test_without_the_reset_tool_the_reboot_is_due(set_card, monkeypatch):
    monkeypatch.setattr(firmware, "find_tools", lambda choice: ("/usr/bin/mlxconfig", None))
    assert not_reset(set_card, run_once(device(numvfs=16), reset=True)) == "mlxfwreset is not on this host"


def test_a_reset_that_is_cut_short_gives_the_vfs_back(set_card, monkeypatch):
    def interrupted(command, seconds=0):
        if "reset" in command:
            raise KeyboardInterrupt
        return set_card(command)

    monkeypatch.setattr(firmware, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_once(device(numvfs=16), reset=True)
    assert (set_card.fake.numvfs(A0), set_card.fake.numvfs(A1)) == (2, 3)


def test_a_reset_after_which_the_vfs_do_not_come_back_is_said_with_what_was_done(set_card, monkeypatch):
    calls = []

    def failing(wanted, _seconds):
        calls.append(wanted)
        return {function: f"{function}: no" if len(calls) > 1 else None for function in wanted}

    monkeypatch.setattr(host, "set_all", failing)
    text = refusal(device(numvfs=16), reset=True)
    assert calls == [{A0: 0, A1: 0}, {A0: 2, A1: 3}]
    assert text == (
        "0000:3b:00.0: no; 0000:3b:00.1: no; earlier changes of this run are kept (ens3bf0 (0000:3b:00.0): NUM_OF_VFS=16, "
        "reset)"
    )


def test_nothing_to_make_current_is_never_reset(set_card):
    run_once(device(numvfs=8), reset=True)
    run_once(device(numvfs=16))
    assert resets(set_card) == []


# --- the module


def test_the_module_fails_with_the_sentence_and_holds_the_lock(tool, monkeypatch):
    tool.add(A0)
    tool.query_answer[A0] = (3, OPEN_FAILED)
    answers = []
    for name in ("exit_json", "fail_json"):
        monkeypatch.setattr(
            basic.AnsibleModule, name, lambda _self, _name=name, **result: answers.append((_name, result)) or sys_exit()
        )
    monkeypatch.setattr(
        sriov_firmware,
        "AnsibleModule",
        lambda **_spec: SimpleNamespace(
            params={"devices": [device()], "tool": "auto", "exact": False, "reset": False, "tool_comes_later": False},
            check_mode=False,
            warn=lambda _text: None,
            fail_json=lambda **result: answers.append(result) or sys_exit(),
        ),
    )
    with pytest.raises(SystemExit):
        sriov_firmware.main()
    assert answers[0]["msg"].startswith("ens3bf0 (0000:3b:00.0)")


def sys_exit():
    raise SystemExit
