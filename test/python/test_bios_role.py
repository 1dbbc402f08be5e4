# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role with the rig's BMC and a simulated host: what the BMC is sent, and who sees the password."""

import json

import pytest
from test_bios_redfish import (  # noqa: F401 (pytest finds the fixtures "bmc" and "certificate")
    HOST,
    PASSWORD,
    WANTED,
    _bmc,
    _certificate,
    keys,
    off,
)
from test_controller import _collection, _rig, edit  # noqa: F401 (pytest finds the fixtures "collection" and "rig")

REASON = "BIOS setting SriovGlobalEnable becomes Enabled with the reboot"
BIOS = {**HOST, "shown_on": [], "waiting": [], "tried": [], "until": []}


NOTED = [{"key": "bios:x", "text": REASON}]


def play(rig, board, case="converged", bios=BIOS, noted=NOTED, **variables):
    """Run the role for one host, whose BMC it is, and return what it printed with -vvv.

    bios: what the host says; noted: what it has noted as waiting.
    """
    path = rig.folder / f"{case}.json"
    answers = json.loads(path.read_text())
    answers["sriov_devices"]["bios"] = bios
    answers["sriov_bios_notes"] = {"changed": False, "reboot": noted, "stuck": []}
    answers["sriov_look"] = {"changed": False, "concerns": {}}
    path.write_text(json.dumps(answers))
    (rig.folder / "ansible.cfg").write_text("[defaults]\nverbosity = 3\n")
    (rig.folder / "notes" / "programs").mkdir(parents=True, exist_ok=True)
    given = {
        "sriov_bmc_address": f"127.0.0.1:{board.port}",
        "sriov_bmc_username": "admin",
        "sriov_bmc_password": PASSWORD,
        "sriov_bmc_ca_path": str(board.directory / "cert.pem"),
        **variables,
    }
    try:
        rig.run(1, case, 1, "linear", variables=given)
    finally:
        said = (rig.folder / "output").read_text()
        assert PASSWORD not in said
    return said


def sent_to_host(rig):
    """The modules that were sent to the host, with their arguments."""
    return {path.name: path.read_bytes() for path in (rig.folder / "notes" / "programs").iterdir()}


def test_one_change_for_the_bios_joins_the_reboot(rig, bmc):
    board = bmc("dell")
    said = play(rig, board)
    assert board.sent() == 1 and board.state["changes"][0]["Attributes"] == off("dell")
    assert f'"Reboot due: {REASON}"' in said
    notes = sent_to_host(rig)["sriov_bios_notes"].decode()
    assert all(key in notes for key in keys(off("dell")))


def test_the_password_is_in_no_output_and_not_sent_to_the_host(rig, bmc):
    play(rig, bmc("dell"), case="fresh")
    programs = sent_to_host(rig)
    assert {"sriov_devices", "sriov_bios_notes", "sriov_vfs"} <= set(programs) and "sriov_bios" not in programs
    assert [name for name, program in programs.items() if PASSWORD.encode() in program] == []
    # The other variables are there: what is looked for would be found.
    assert b"sriov_bmc_username" in programs["sriov_devices"]


def test_a_bios_that_is_set_leaves_the_host_as_it_is(rig, bmc):
    board = bmc("dell", **WANTED["dell"])
    said = play(rig, board)
    assert board.sent() == 0 and '"No reboot is due."' in said and "sriov_bios_notes" not in sent_to_host(rig)


def test_what_waited_for_the_bios_is_refused_when_the_bios_is_set(rig, bmc):
    board = bmc("dell", **WANTED["dell"])
    with pytest.raises(SystemExit) as error:
        play(rig, board, case="fresh", bios={**BIOS, "until": ["ens1f0 offers no VFs: look"]})
    assert (
        "ens1f0 offers no VFs: look; the BIOS has what the role knows to set (ProcVirtualization, SriovGlobalEnable), so no "
        "reboot changes this"
    ) in str(error.value)
    assert "sriov_vfs" not in sent_to_host(rig)


def test_what_waits_for_the_bios_is_not_refused_while_the_bios_is_changed(rig, bmc):
    board = bmc("dell")
    said = play(rig, board, case="fresh", bios={**BIOS, "until": ["ens1f0 offers no VFs: look"]})
    assert board.sent() == 1 and "sriov_vfs" in sent_to_host(rig) and "offers no VFs: look;" not in said


def test_a_refusal_of_the_bmc_comes_before_the_host_is_changed(rig, bmc):
    board = bmc("dell")
    with pytest.raises(SystemExit) as error:
        play(rig, board, case="fresh", sriov_bios_attributes={"Nonsense": 1})
    assert "sriov_bios_attributes has Nonsense" in str(error.value) and board.sent() == 0
    assert set(sent_to_host(rig)) == {"setup", "sriov_devices"}


@pytest.mark.parametrize(
    "variables", [{"sriov_bmc_address": ""}, {"sriov_bmc_address": None}, {"sriov_action": "mellanox"}]
)
def test_without_an_address_and_for_the_firmware_alone_no_bmc_is_asked(rig, bmc, variables):
    board = bmc("dell")
    play(rig, board, **variables)
    assert board.state["requests"] == []


@pytest.mark.parametrize("noted, failed", [([], False), (NOTED, True)], ids=["in effect", "not in effect"])
def test_after_the_reboot_the_bmc_is_read_again_and_the_host_notes_what_is_left(rig, bmc, noted, failed):
    board = bmc("dell", **WANTED["dell"])
    # The simulated host has another boot id since: the reboot of the kernel parameters has happened.
    try:
        play(rig, board, case="fresh", noted=noted, sriov_do_reboot=True)
    except SystemExit:
        assert failed
    said = (rig.folder / "output").read_text()
    assert ("The reboot applied all changes." in said) is not failed
    assert (f"The host has rebooted and this is still not in effect: {REASON}" in said) is failed
    # Before the reboot and after it.
    reads = [path for method, path in board.state["requests"] if path == "/redfish/v1/Systems/System.Embedded.1/Bios"]
    assert len(reads) == 2 and board.sent() == 0 and "sriov_bios_notes" in sent_to_host(rig)
