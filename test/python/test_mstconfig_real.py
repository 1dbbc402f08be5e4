# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's unmodified mstconfig, of three releases, against the firmware of the rig's emulated card, without a machine.

The tools must print what mstconfig_corpus has recorded. The parser and the advice are checked against what they print,
and tables against the card's own values. The tools are unpacked into the cache if they are not there, and need no root
(molecule/rig/connectx/native).
"""

import json

import pytest
from mstconfig_recorder import CASES, CORPUS, by_version, expectation, of_version, play, tools
from parts import mstconfig

# They need packages of the system, which `npm test` installs. The corpus has what the tools printed.
pytestmark = pytest.mark.long

RECORDED = {case["file"]: case for case in json.loads((CORPUS / "cases.json").read_text(encoding="utf-8"))}
NAMES = sorted({situation["name"] for situation in CASES})


class Release:
    """A release's tool."""

    def __init__(self, codename, shim):
        self.codename, self.shim = codename, shim
        self.tree = tools.ensure(codename)
        self.version = tools.version_of(self.tree, shim)

    def bench(self, folder, **wish):
        card = {"model": "connectx5", "ports": 2, "vfs": 127, "table": "basic", **wish}
        return tools.Bench(
            folder, self.tree, self.shim, tools.cards.new(card["model"], card["ports"], card["vfs"], card["table"])
        )


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    return tools.shim(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="session", params=tools.CODENAMES)
def release(request, shim):
    return Release(request.param, shim)


def test_the_releases_are_those_in_the_corpus(release):
    """The newest may be newer than the recorded one: its output is checked, and its text is not compared."""
    versions = {case["version"] for case in RECORDED.values() if "molecule/rig/connectx" in case["source"]}
    assert release.codename == tools.NEWEST or release.version in versions


@pytest.mark.parametrize("name", NAMES)
def test_a_situation(release, name, tmp_path):
    for situation in of_version(release.version):
        if situation["name"] != name:
            continue
        bench, code, text = play(situation, release.tree, release.shim, tmp_path)
        judge(situation, release.version, code, text)
        bench.behave(absent="")
        left = {one: bench.parameter("next", one) for one in ("NUM_OF_VFS", "SRIOV_EN")}
        assert left == (
            {"NUM_OF_VFS": 8, "SRIOV_EN": 1}
            if code == 0 and " set " in " %s " % situation["arguments"]
            else {"NUM_OF_VFS": 16, "SRIOV_EN": 1}
        )
        entry = RECORDED.get("%s_real_%s.txt" % (name, release.version.replace(".", "_")))
        if entry:
            assert (code, text) == (entry["rc"], (CORPUS / entry["file"]).read_text(encoding="utf-8"))


def judge(situation, version, code, text):
    """The role reads from the text what the situation expects, for all versions."""
    if situation["kind"] == "query":
        want = expectation(situation, version)
        want["parameters"] = {
            row: dict(zip(("default", "current", "next", "read_only"), values))
            for row, values in want["parameters"].items()
        }
        assert (code, mstconfig.parse_query(text)) == (0, want)
    elif situation["kind"] == "set":
        assert (code, mstconfig.complaint(text), mstconfig.needs_power_cycle(text)) == (
            0,
            None,
            situation["power_cycle"],
        )
    elif situation["kind"] == "error":
        assert code == (situation["rc"] or 3)
        sentence = mstconfig.explain(text, code, "ens1 (0000:04:00.0)", situation["wanted"], situation["model"])
        assert by_version(situation["advice"], version) in sentence
        known = {case["version"] for case in RECORDED.values()}
        assert version not in known or mstconfig.complaint(text) == by_version(situation["complaint"], version)


def test_a_reboot_makes_next_current_and_both_ports_share_it(release, tmp_path):
    bench = release.bench(tmp_path)
    other = tools.FUNCTION[:-1] + "1"
    with bench.serving():
        assert bench.run("-y", "-d", other, "set", "SRIOV_EN=1", "NUM_OF_VFS=9")[0] == 0

        def rows(function):
            table = mstconfig.parse_query(bench.run("-d", function, "-e", "q", "SRIOV_EN", "NUM_OF_VFS")[1])[
                "parameters"
            ]
            return {name: (row["current"], row["next"]) for name, row in table.items()}

        for function in (tools.FUNCTION, other):
            assert rows(function) == {"SRIOV_EN": ("False(0)", "True(1)"), "NUM_OF_VFS": ("0", "9")}
        bench.reboot()
        assert rows(tools.FUNCTION) == {"SRIOV_EN": ("True(1)", "True(1)"), "NUM_OF_VFS": ("9", "9")}


def test_a_function_has_its_own_number_if_that_counts(release, tmp_path):
    bench = release.bench(tmp_path)
    other = tools.FUNCTION[:-1] + "1"
    with bench.serving():
        assert bench.run("-y", "-d", other, "set", "PF_NUM_OF_VF_VALID=1")[0] == 0
        assert bench.run("-y", "-d", other, "set", "PF_NUM_OF_VF=7")[0] == 0
        shown = [
            mstconfig.parse_query(bench.run("-d", one, "q", "PF_NUM_OF_VF")[1])["parameters"]["PF_NUM_OF_VF"]["next"]
            for one in (tools.FUNCTION, other)
        ]
    assert shown == ["0", "7"]


@pytest.mark.parametrize("model", ["connectx4lx", "connectx6dx", "connectx7", "bluefield2"])
def test_other_chips_are_known_by_their_names(release, tmp_path, model):
    bench = release.bench(tmp_path, model=model)
    with bench.serving():
        code, text = bench.run("-d", tools.FUNCTION, "-e", "q", "SRIOV_EN")
    found = mstconfig.parse_query(text)
    names = {
        "connectx4lx": "ConnectX4LX",
        "connectx6dx": "ConnectX6DX",
        "connectx7": "ConnectX7",
        "bluefield2": "BlueField2",
    }
    assert (code, found["type"], found["name"]) == (0, names[model], tools.cards.MODELS[model][3])


def test_a_full_table_is_read_whole(release, tmp_path):
    bench = release.bench(tmp_path, table="full")
    with bench.serving():
        code, text = bench.run("-d", tools.FUNCTION, "-e", "q")
    rows = mstconfig.parse_query(text)["parameters"]
    assert code == 0
    # Every line of the table is a row, and every row has three values.
    lines = text.partition("Configurations:")[2].splitlines()[1:]
    assert len(rows) == len([line for line in lines if line.strip()]) > 60
    assert {"SRIOV_EN", "NUM_OF_VFS", "LINK_TYPE_P1", "CNP_DSCP_P2", "HOST_CHAINING_DESCRIPTORS"} <= set(rows)
    assert all(row["default"] == row["current"] == row["next"] for row in rows.values())
