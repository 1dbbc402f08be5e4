# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mstconfig, mlxconfig and mstfwreset print, in all shapes it had, and what the role makes of it.

mstconfig_corpus/ has one file for each output, as printed, and cases.json with its version, command, exit code and
source: a run of the real tool, a public transcript, or the printf formats of the source at that release. The
expectations of a query are [default, current, next, read only] for every row, those of a complaint its words and a part
of the advice.
"""

import json
from pathlib import Path

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from parts import mstconfig

CORPUS = Path(__file__).resolve().parent / "mstconfig_corpus"
CASES = json.loads((CORPUS / "cases.json").read_text(encoding="utf-8"))
WHERE = "ens1f0 (0000:3b:00.0)"


def output(case):
    return (CORPUS / case["file"]).read_bytes().decode("utf-8")


def cases(*kinds, having=None):
    chosen = [case for case in CASES if case["kind"] in kinds or having and having in case]
    return pytest.mark.parametrize("case", chosen, ids=[case["file"][:-4] for case in chosen])


def read(text):
    found = mstconfig.parse_query(text)
    found["parameters"] = {
        name: [values["default"], values["current"], values["next"], values["read_only"]]
        for name, values in found["parameters"].items()
    }
    return found


def test_every_file_of_the_corpus_is_a_case():
    files = sorted(path.name for path in CORPUS.iterdir() if path.name != "cases.json")
    assert files == sorted(case["file"] for case in CASES)
    assert {case["version"] for case in CASES} == {"4.13", "4.21", "4.25", "4.26", "4.31", "4.33", "4.36"}
    assert {case["kind"] for case in CASES} == {"query", "error", "set", "unreadable", "reset"}


# --- tables


@cases("query")
def test_a_query_is_read_whole(case):
    assert read(output(case)) == case["expect"]


@cases("query")
def test_line_ends_and_colours_do_not_matter(case):
    plain = output(case)
    assert read(plain.replace("\n", "\r\n")) == case["expect"]
    coloured = "\n".join(f"\x1b[1;32m{line}\x1b[0m" if line else line for line in plain.split("\n"))
    assert read(coloured) == case["expect"]


@cases("query")
def test_no_value_of_a_row_may_be_lost(case):
    text = output(case)
    [row] = [line for line in text.splitlines() if "NUM_OF_VFS  " in line or "HOST_CHAINING_DESCRIPTORS[1]  " in line]
    short = " " + " ".join(row.replace("*", " ").split()[:-1])
    with pytest.raises(Refusal, match=r"^the row of \S+ has \d values where the heading names \d columns: "):
        mstconfig.parse_query(text.replace(row, short))


@cases("unreadable")
def test_what_is_not_a_table_of_one_device_is_refused(case):
    with pytest.raises(Refusal) as caught:
        mstconfig.parse_query(output(case))
    assert case["message"] in str(caught.value)
    assert "\n" not in str(caught.value)


@cases("error")
def test_a_complaint_is_not_a_table(case):
    with pytest.raises(Refusal) as caught:
        mstconfig.parse_query(output(case))
    assert "\n" not in str(caught.value)
    if "New\n" not in output(case).replace(" ", "") and case["complaint"]:
        assert str(caught.value).endswith("but says: " + case["complaint"])


@cases("reset")
def test_a_reset_is_not_a_table(case):
    with pytest.raises(Refusal, match="^the output has no table of configurations"):
        mstconfig.parse_query(output(case))


def test_a_table_may_come_in_parts():
    text = "Configurations:    Next Boot\n         A_1    1\n\nConfigurations:    Default   Current   Next Boot\n*        B    1    2   3\n"
    assert read(text)["parameters"] == {"A_1": [None, None, "1", False], "B": ["1", "2", "3", False]}


def test_warnings_may_stand_between_rows():
    text = "Configurations:    Next Boot\n         A    1\n-W- Late.\nWarrning: Failed to create lockfile: /tmp/x\n\n         B    2\n"
    assert sorted(read(text)["parameters"]) == ["A", "B"]


@pytest.mark.parametrize("line", ["B    2", "- B    2", "        b    2", "        *", "        B=    2"])
def test_anything_else_may_not(line):
    with pytest.raises(Refusal, match="^the table has a line that is not a parameter row: "):
        mstconfig.parse_query(f"Configurations:    Next Boot\n         A    1\n{line}\n")


@pytest.mark.parametrize("text", ["", "\n\n", None])
def test_nothing_at_all_is_not_a_table(text):
    with pytest.raises(Refusal, match="^the output has no table of configurations$"):
        mstconfig.parse_query(text)


# --- values


@pytest.mark.parametrize(
    "shown, both",
    [
        ("True(1)", (1, "True")),
        ("False(0)", (0, "False")),
        ("ETH(2)", (2, "ETH")),
        ("EMBEDDED_CPU(15)", (15, "EMBEDDED_CPU")),
        ("_4_VLs(3)", (3, "_4_VLs")),
        ("8", (8, None)),
        ("0", (0, None)),
        ("0x10", (16, None)),
        ("4294967294", (4294967294, None)),
        ("N/A", (None, None)),
        ("Array[0..7]", (None, None)),
        ("Array[1..64]", (None, None)),
        ("", (None, None)),
        (None, (None, None)),
        ("ETH", (None, "ETH")),
        ("True", (1, "True")),
        (" 8 ", (8, None)),
        ("010", (None, "010")),
        ("0123456789ABCDEF", (None, "0123456789ABCDEF")),
    ],
)
def test_a_shown_value_is_a_number_and_a_name(shown, both):
    assert mstconfig.number_and_name(shown) == both


@pytest.mark.parametrize(
    "wanted, shown",
    [
        (True, "True(1)"),
        (False, "False(0)"),
        (1, "True(1)"),
        ("True", "True(1)"),
        ("true", "True(1)"),
        ("1", "True(1)"),
        (2, "ETH(2)"),
        ("2", "ETH(2)"),
        ("0x2", "ETH(2)"),
        ("ETH", "ETH(2)"),
        ("eth", "ETH(2)"),
        (" eth ", "ETH(2)"),
        ("ETH", "ETH"),
        (8, "8"),
        ("8", "8"),
        ("0x8", "8"),
        (16, "0x10"),
        ("0X10", "16"),
        (0, "0"),
        (False, "0"),
        (True, "1"),
        (True, "True"),
        ("_4_vls", "_4_VLs(3)"),
        ("per_mkey", "per_mkey(0)"),
        ("0123456789abcdef", "0123456789ABCDEF"),
    ],
)
def test_equal_values(wanted, shown):
    assert mstconfig.same(wanted, shown) is True


@pytest.mark.parametrize(
    "wanted, shown",
    [
        (8, "128"),
        (8, "18"),
        (8, "80"),
        ("8", "128"),
        (1, "16"),
        (1, "ETH(2)"),
        (2, "ETH(12)"),
        ("ETH", "IB(1)"),
        ("ET", "ETH(2)"),
        ("ETH", "ETH2(3)"),
        ("ETH(2)", "ETH(2)"),
        (True, "False(0)"),
        ("True", "8"),
        (False, "True(1)"),
        (0, "N/A"),
        ("N/A", "N/A"),
        (0, "Array[0..7]"),
        (7, "Array[0..7]"),
        ("Array[0..7]", "Array[0..7]"),
        (0, ""),
        (0, None),
        (None, "0"),
        ("", "0"),
        (None, None),
        (1.0, "1"),
        (["8"], "8"),
        ("010", "8"),
        (8, "ETH"),
    ],
)
def test_values_that_differ(wanted, shown):
    assert mstconfig.same(wanted, shown) is False


@pytest.mark.parametrize(
    "name, wanted, text",
    [
        ("SRIOV_EN", True, "SRIOV_EN=1"),
        ("SRIOV_EN", False, "SRIOV_EN=0"),
        ("SRIOV_EN", "True", "SRIOV_EN=1"),
        ("SRIOV_EN", "false", "SRIOV_EN=0"),
        ("NUM_OF_VFS", 8, "NUM_OF_VFS=8"),
        ("NUM_OF_VFS", " 8 ", "NUM_OF_VFS=8"),
        ("NUM_OF_VFS", "0x10", "NUM_OF_VFS=16"),
        ("LINK_TYPE_P1", "eth", "LINK_TYPE_P1=ETH"),
        ("LINK_TYPE_P1", "2", "LINK_TYPE_P1=2"),
        ("EXP_ROM_UEFI_x86_ENABLE", 0, "EXP_ROM_UEFI_x86_ENABLE=0"),
    ],
)
def test_an_argument_is_what_the_tool_takes(name, wanted, text):
    assert mstconfig.argument(name, wanted) == text


def test_parameters_keep_their_values_and_get_the_tools_names():
    assert mstconfig.checked_parameters(
        {
            "sriov_en": True,
            "NUM_OF_VFS": 8,
            " Link_Type_P1 ": " eth ",
            "EXP_ROM_UEFI_X86_ENABLE": "false",
            "B": "0x10",
            "A": "1a.b-c_d",
        },
        WHERE,
    ) == {
        "SRIOV_EN": True,
        "NUM_OF_VFS": 8,
        "LINK_TYPE_P1": "eth",
        "EXP_ROM_UEFI_x86_ENABLE": "false",
        "B": "0x10",
        "A": "1a.b-c_d",
    }


def test_no_parameters_are_fine():
    assert mstconfig.checked_parameters({}, WHERE) == {}


@pytest.mark.parametrize(
    "parameters, message",
    [
        (None, "empty is not a map: write one line NAME: value for each parameter"),
        ("NUM_OF_VFS=8", "of type str is not a map: write one line NAME: value for each parameter"),
        (["NUM_OF_VFS=8"], "a list is not a map: write one line NAME: value for each parameter"),
        (
            {"HOST_CHAINING_DESCRIPTORS[0]": 1},
            "HOST_CHAINING_DESCRIPTORS[0] is an element of an array, which cannot be compared: set it by hand with mstconfig",
        ),
        (
            {"host[0..3]": 1},
            "HOST[0..3] is an element of an array, which cannot be compared: set it by hand with mstconfig",
        ),
        (
            {"NUM-OF-VFS": 1},
            "'NUM-OF-VFS' is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS",
        ),
        ({"A B": 1}, "'A B' is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS"),
        ({"A=1 B": 1}, "'A=1 B' is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS"),
        ({"A\n": 1, "a": 2}, "A is listed twice: write it once, in upper case"),
        ({"": 1}, "'' is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS"),
        ({True: 1}, "True is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS"),
        ({"8": 1}, "'8' is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS"),
        ({"sriov_en": 1, "SRIOV_EN": 1}, "SRIOV_EN is listed twice: write it once, in upper case"),
        ({"A": None}, "A is empty: write a number, true, false, or a name such as ETH"),
        ({"A": ""}, "A is empty: write a number, true, false, or a name such as ETH"),
        ({"A": "  "}, "A is empty: write a number, true, false, or a name such as ETH"),
        ({"A": {"B": 1}}, "A is a map: write a number, true, false, or a name such as ETH"),
        ({"A": [1]}, "A is a list: write a number, true, false, or a name such as ETH"),
        ({"A": 1.5}, "A is the fraction 1.5: write a number, true, false, or a name such as ETH"),
        ({"A": b"1"}, "A is of type bytes: write a number, true, false, or a name such as ETH"),
        (
            {"A": "1 B=2"},
            "A is '1 B=2', with characters that no value has: write a number, true, false, or a name such as ETH",
        ),
        (
            {"A": "$(reboot)"},
            "A is '$(reboot)', with characters that no value has: write a number, true, false, or a name such as ETH",
        ),
        (
            {"A": "1\n2"},
            "A is '1\\n2', with characters that no value has: write a number, true, false, or a name such as ETH",
        ),
        ({"A": "010"}, "A is '010', which the tool would read as octal: write it without leading zeros"),
        ({"A": "1.5"}, "A is '1.5': write a whole number from 0 to 4294967294"),
        ({"A": "-1"}, "A is '-1': write a whole number from 0 to 4294967294"),
        ({"A": -1}, "A is -1: write a whole number from 0 to 4294967294"),
        ({"A": 0xFFFFFFFF}, "A is 4294967295: write a whole number from 0 to 4294967294"),
        ({"A": "0xffffffff"}, "A is 0xffffffff: write a whole number from 0 to 4294967294"),
        ({"A": "0x" + "f" * 17}, "A is '0xfffffffffffffffff': write a whole number from 0 to 4294967294"),
        ({"A": "9" * 21}, "A is '999999999999999999999': write a whole number from 0 to 4294967294"),
    ],
)
def test_parameters_that_cannot_be_set_are_refused(parameters, message):
    with pytest.raises(Refusal) as caught:
        mstconfig.checked_parameters(parameters, "sriov_devices[0] (name ens1)")
    assert str(caught.value) == "sriov_devices[0] (name ens1): firmware: " + message


# --- complaints


@cases(having="complaint")
def test_a_complaint_is_found(case):
    assert mstconfig.complaint(output(case)) == case["complaint"]
    assert mstconfig.complaint(output(case).replace("\n", "\r\n")) == case["complaint"]


@cases("set")
def test_what_went_well_has_no_complaint(case):
    assert mstconfig.complaint(output(case)) is None


@cases(having="advice")
def test_a_complaint_is_explained(case):
    told = mstconfig.explain(output(case), case["rc"], WHERE, case.get("wanted"), case.get("model"))
    assert told.startswith(WHERE + ": ")
    assert case["advice"] in told
    assert "\n" not in told and "%" not in told and "  " not in told
    assert not case["complaint"] or case["complaint"][:300].rstrip(".") in told


def test_every_advice_has_a_case_and_no_two_are_alike():
    used = set()
    for case in CASES:
        for model in {case.get("model"), None} if case.get("complaint") else ():
            for number, (expression, _advice, of) in enumerate(mstconfig.ADVICE):
                if of in (None, model) and expression.search(case["complaint"]):
                    used.add(number)
                    break
    assert [mstconfig.ADVICE[number][0].pattern for number in range(len(mstconfig.ADVICE)) if number not in used] == []
    assert len({advice for _expression, advice, _of in mstconfig.ADVICE}) == len(mstconfig.ADVICE)
    assert {of for _expression, _advice, of in mstconfig.ADVICE} == {None, "BlueField", "ConnectX-3"}


@pytest.mark.parametrize(
    "identity, family",
    [
        ("15b3:1003", "ConnectX-3"),
        ("15b3:1007", "ConnectX-3"),
        ("15b3:1013", "ConnectX"),
        ("15b3:1017", "ConnectX"),
        ("15b3:1021", "ConnectX"),
        ("15b3:a2d2", "BlueField"),
        ("15b3:a2d6", "BlueField"),
        ("15b3:a2dc", "BlueField"),
        ("8086:1592", None),
    ],
)
def test_the_family_of_a_card_is_known_by_its_id(identity, family):
    assert mstconfig.family(identity) == family


@pytest.mark.parametrize("family", ["ConnectX-3", "ConnectX", "BlueField", None])
@cases("error", "set")
def test_no_advice_is_for_another_family_of_cards(case, family):
    """What names a family, or a program that only one has, is said of that family alone: or of one of which nothing is
    known.
    """
    if not case.get("complaint"):
        return
    told = mstconfig.explain(output(case), case["rc"], WHERE, case.get("wanted"), family).partition(" (the tool says")[
        0
    ]
    # These complaints come from the tool's code for ConnectX-3 alone.
    if case["file"].startswith("connectx3_"):
        return
    assert family == "BlueField" or "BlueField" not in told and "mlxprivhost" not in told and "ARM" not in told
    assert family == "ConnectX-3" or "ConnectX-3" not in told


@pytest.mark.parametrize(
    "complaint",
    [
        "Unsupported device",
        "Unknown parameter: X",
        "Database file /x does not exist",
        "invalid argument: --x",
        "The flux capacitor is discharged.",
    ],
)
def test_the_package_that_the_tool_is_of_is_named(complaint):
    assert "MFT" in mstconfig.explain(f"-E- {complaint}\n", 3, WHERE, package="MFT")
    assert "mstflint" not in mstconfig.explain(f"-E- {complaint}\n", 3, WHERE, package="MFT")


# --- whose a BlueField is

ECPF = {
    "INTERNAL_CPU_MODEL": "EMBEDDED_CPU(1)",
    "INTERNAL_CPU_PAGE_SUPPLIER": "ECPF(0)",
    "INTERNAL_CPU_ESWITCH_MANAGER": "ECPF(0)",
    "INTERNAL_CPU_IB_VPORT0": "ECPF(0)",
    "INTERNAL_CPU_OFFLOAD_ENGINE": "ENABLED(0)",
}
HOST = {
    "INTERNAL_CPU_PAGE_SUPPLIER": "EXT_HOST_PF(1)",
    "INTERNAL_CPU_ESWITCH_MANAGER": "EXT_HOST_PF(1)",
    "INTERNAL_CPU_IB_VPORT0": "EXT_HOST_PF(1)",
    "INTERNAL_CPU_OFFLOAD_ENGINE": "DISABLED(1)",
}
ENGINE = {"INTERNAL_CPU_OFFLOAD_ENGINE": "DISABLED(1)"}
DPU_MODE = "is a BlueField in DPU mode, where its own processor controls the VFs: "
FOUR = (
    "set them there, or put it into NIC mode (INTERNAL_CPU_PAGE_SUPPLIER=1 INTERNAL_CPU_ESWITCH_MANAGER=1 INTERNAL_CPU_IB_VPORT0=1 "
    "INTERNAL_CPU_OFFLOAD_ENGINE=1, then a power cycle)"
)
PENDING = "it is set to NIC mode, but does not run in it yet: power-cycle the host, then run the role again"


def whose(kind, current, following=None, read_only=(), reads_current=True):
    """why_not_of_the_host() of a card that runs with some values and has others set for the next boot."""
    following = dict(current, **(following or {}))
    rows = {
        name: {
            "default": None,
            "current": current.get(name) if reads_current else None,
            "next": value,
            "read_only": name in read_only,
        }
        for name, value in following.items()
    }
    return mstconfig.why_not_of_the_host({"type": kind, "parameters": rows})


@pytest.mark.parametrize(
    "kind, current, following, advice",
    [
        # BlueField-2 needs four parameters, BlueField-3 one.
        ("BlueField2", ECPF, {}, FOUR),
        ("BlueField2", dict(ECPF, **HOST), {}, None),
        (
            "BlueField3",
            ECPF,
            {},
            "set them there, or put it into NIC mode (INTERNAL_CPU_OFFLOAD_ENGINE=1, then a power cycle)",
        ),
        ("BlueField3", dict(ECPF, **ENGINE), {}, None),
        # Half of it is not NIC mode, and only the rest is named.
        (
            "BlueField2",
            dict(ECPF, **ENGINE),
            {},
            "set them there, or put it into NIC mode (INTERNAL_CPU_PAGE_SUPPLIER=1 "
            "INTERNAL_CPU_ESWITCH_MANAGER=1 INTERNAL_CPU_IB_VPORT0=1, then a power cycle)",
        ),
        # Set already, and the power cycle lacks.
        ("BlueField2", ECPF, HOST, PENDING),
        ("BlueField3", ECPF, ENGINE, PENDING),
        (
            "BlueField2",
            ECPF,
            ENGINE,
            "set them there, or put it into NIC mode (INTERNAL_CPU_PAGE_SUPPLIER=1 "
            "INTERNAL_CPU_ESWITCH_MANAGER=1 INTERNAL_CPU_IB_VPORT0=1, then a power cycle)",
        ),
        (
            "BlueField2",
            ECPF,
            {"INTERNAL_CPU_MODEL": "SEPARATED_HOST(0)"},
            "it is set to separated host mode, but does not run in it yet: power-cycle the host, then run the role again",
        ),
        # Firmware without NIC mode, and models that are not known.
        (
            "BlueField2",
            {"INTERNAL_CPU_MODEL": "EMBEDDED_CPU(1)"},
            {},
            "set them there, or update its firmware, which has no NIC mode (it shows no "
            "INTERNAL_CPU_PAGE_SUPPLIER, INTERNAL_CPU_ESWITCH_MANAGER, INTERNAL_CPU_IB_VPORT0, INTERNAL_CPU_OFFLOAD_ENGINE)",
        ),
        (
            "BlueField4",
            ECPF,
            {},
            "set them there, or put it into NIC mode as NVIDIA describes it for this model (BlueField4)",
        ),
        ("BlueField4", dict(ECPF, **ENGINE), {}, None),
        # The first BlueField has no NIC mode.
        (
            "BlueField",
            {"INTERNAL_CPU_MODEL": "EMBEDDED_CPU(1)"},
            {},
            "set them there, or put it into separated host mode (INTERNAL_CPU_MODEL=0, then a power cycle)",
        ),
        ("BlueField", {"INTERNAL_CPU_MODEL": "SEPARATED_HOST(0)"}, {}, None),
        ("BlueField2", dict(ECPF, INTERNAL_CPU_MODEL="SEPARATED_HOST(0)"), {}, None),
        ("ConnectX5", {"SRIOV_EN": "True(1)"}, {}, None),
    ],
)
def test_how_a_bluefield_becomes_the_hosts_is_said_for_its_model(kind, current, following, advice):
    assert whose(kind, current, following) == (DPU_MODE + advice if advice else None)


@pytest.mark.parametrize(
    "kind, current, following, back",
    [
        (
            "BlueField2",
            dict(ECPF, **HOST),
            ECPF,
            "INTERNAL_CPU_PAGE_SUPPLIER=1 INTERNAL_CPU_ESWITCH_MANAGER=1 INTERNAL_CPU_IB_VPORT0=1 "
            "INTERNAL_CPU_OFFLOAD_ENGINE=1",
        ),
        ("BlueField2", dict(ECPF, **HOST), {"INTERNAL_CPU_IB_VPORT0": "ECPF(0)"}, "INTERNAL_CPU_IB_VPORT0=1"),
        (
            "BlueField3",
            dict(ECPF, **ENGINE),
            {"INTERNAL_CPU_OFFLOAD_ENGINE": "ENABLED(0)"},
            "INTERNAL_CPU_OFFLOAD_ENGINE=1",
        ),
        (
            "BlueField3",
            dict(ECPF, INTERNAL_CPU_MODEL="SEPARATED_HOST(0)"),
            {"INTERNAL_CPU_MODEL": "EMBEDDED_CPU(1)"},
            "INTERNAL_CPU_MODEL=0",
        ),
    ],
)
def test_a_bluefield_that_will_be_in_dpu_mode_is_not_said_to_offer_more_then(kind, current, following, back):
    assert whose(kind, current, following) == (
        f"is a BlueField that is set to DPU mode from its next power cycle on, where its own processor controls the VFs: set that back ({back}), or set the VFs there"
    )


def test_a_bluefield_that_does_not_show_what_it_runs_with_is_judged_by_what_is_set():
    assert whose("BlueField2", ECPF, reads_current=False) == DPU_MODE + FOUR
    assert whose("BlueField2", dict(ECPF, **HOST), reads_current=False) is None


def test_a_host_that_may_not_change_the_mode_is_not_sent_to_change_it():
    assert whose("BlueField3", ECPF, read_only=("INTERNAL_CPU_OFFLOAD_ENGINE",)) == DPU_MODE + (
        "set them there; this host may not change the mode (INTERNAL_CPU_OFFLOAD_ENGINE is read-only): allow it with mlxprivhost on the ARM "
        "side of the card"
    )


@pytest.mark.parametrize("version", ["4_21", "4_25", "4_31", "4_36"])
def test_the_modes_of_a_table_as_each_release_prints_it(version):
    """It runs in DPU mode, and all four are set for the next boot."""
    table = mstconfig.parse_query((CORPUS / (f"bluefield2_eq_{version}.txt")).read_text(encoding="utf-8"))
    assert mstconfig.why_not_of_the_host(table) == DPU_MODE + PENDING


# --- complaints that are not known


def test_a_complaint_that_is_not_known_is_quoted():
    assert mstconfig.explain("-E- The flux capacitor is discharged.\n", 3, WHERE) == (
        "ens1f0 (0000:3b:00.0): the tool ended with exit code 3 and said: The flux capacitor is discharged: run the same command by hand, "
        "and update mstflint and the card's firmware"
    )


def test_what_was_to_be_set_is_named():
    told = mstconfig.explain(
        "-E- Operation is not supported (Read only TLV: nv_x)\n", 3, WHERE, {"SRIOV_EN": True, "LINK_TYPE_P1": "eth"}
    )
    assert "changes of LINK_TYPE_P1=ETH, SRIOV_EN=1, which is marked RO" in told
    assert "does not allow changes of the requested values" in mstconfig.explain(
        "-E- Operation is not supported (Read only TLV: nv_x)\n", 3, WHERE
    )


def test_a_stored_configuration_that_needs_a_power_cycle_is_explained():
    text = "Applying... Done!\n-I- Please power cycle machine to load new configurations.\n"
    assert mstconfig.explain(text, 0, WHERE).startswith(
        WHERE + ": the configuration is stored, but the card loads it only when it loses"
    )


@pytest.mark.parametrize(
    "text, words",
    [
        ("", None),
        ("-I- fine\n", None),
        (None, None),
        ("-E- first\n-E- second\n", "second"),
        ("-E- one\n  two  three \n\nfour\n", "one two three"),
        ("-E- one\n-I- two\n", "one"),
        ("\x1b[31m-E- red\x1b[0m\r\n", "red"),
        ("-E- used wrongly\n    NAME:\n        mstconfig\n", "used wrongly"),
        ("usage: mstfwreset\nmstfwreset: error: no device\n", "no device"),
    ],
)
def test_the_last_complaint_counts_and_continues_to_the_next_message(text, words):
    assert mstconfig.complaint(text) == words


# --- after a change


@cases("set")
def test_whether_a_reboot_will_do(case):
    assert mstconfig.needs_power_cycle(output(case)) is case["power_cycle"]


@cases("query", "error", "unreadable")
def test_nothing_else_asks_for_a_power_cycle(case):
    assert mstconfig.needs_power_cycle(output(case)) is False


@cases("reset")
def test_why_the_firmware_was_not_loaded(case):
    assert mstconfig.reset_refusal(output(case), case["rc"]) == case["refusal"]


def test_a_reset_must_say_so_and_end_well():
    good = "-I- FW was loaded successfully.\n"
    assert mstconfig.reset_refusal(good, 0) is None
    assert mstconfig.reset_refusal(good, 1).startswith("it ended with exit code 1")
    assert mstconfig.reset_refusal("", 0) == "it ended with exit code 0 and did not say that the firmware was loaded"


def test_a_hint_that_was_printed_before_the_reset_is_not_a_reason():
    text = "-W- PCI rescan is required after device reset.\n-I- Resetting PCI                           -"
    assert mstconfig.reset_refusal(text, 137) == (
        "it ended with exit code 137 and did not say that the firmware was loaded, its last line: -I- Resetting PCI -"
    )
