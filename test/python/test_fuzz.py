# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_firmware and sriov_mlx4 with random input of a fixed seed: parameters, tools' output, files. Each ends with a
result or a sentence.

The modules run as modules: Ansible's argument check, main(), and the JSON that they print.
"""

import json
import os
import random

import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_firmware, sriov_mlx4
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import firmware as sriov_cards
from parts import mstconfig
from parts import program as host
from test_firmware import (
    A0,
    A1,
    OWN,
    _tool,  # noqa: F401 (pytest finds the fixture "tool")
)
from test_mlx4 import (
    INBOX,
    OFED,
    ONE,
    OPTIONS,
    TWO,
    _cards,  # noqa: F401 (pytest finds the fixture "cards")
    put,
)
from test_mstconfig import CORPUS

SEED, TURNS = 20261126, 300
ODD = (
    None,
    True,
    False,
    0,
    -1,
    1,
    5,
    10**30,
    1.5,
    float("inf"),
    float("nan"),
    "",
    " ",
    "8",
    "0x10",
    "9" * 5000,
    "a\0b",
    "\n",
    "é",
    "\udcff",
    "../../etc",
    "x" * 5000,
    [],
    [1],
    [None],
    {},
    {"a": 1},
    {1: 2},
    {"\0": float("inf")},
)
BYTES = (
    b"\0",
    b"\xff\xfe",
    b"\x1b[31m",
    b"\r",
    b"\n",
    b"\n\n",
    b"-E- ",
    b"Configurations:",
    b"Next Boot",
    b"(",
    b")",
    b"9" * 5000,
    b"\\\n",
    b"=",
    b'"',
    b",",
    b";",
    "\u2028".encode(),
    "\u0663".encode(),
)


def mangled(generator, content):
    """A text, as bytes, with something cut out, put in, doubled or torn off."""
    for _turn in range(generator.randint(1, 4)):
        start, end = sorted(generator.randint(0, len(content)) for _end in range(2))
        content = generator.choice(
            (
                lambda: content[:start],
                lambda: content[:start] + content[end:],
                lambda: content[:start] + content[start:end] * 2 + content[end:],
                lambda: content[:start] + generator.choice(BYTES) + content[start:],
                lambda: content[:start] + bytes(generator.randrange(256) for _byte in range(8)) + content[start:],
            )
        )()
    return content


def odd_devices(generator, good):
    """A list of devices of which some field is odd, lacks, or is one too many; or no such list."""
    if generator.random() < 0.05:
        return generator.choice(ODD)
    devices = [dict(device) for device in good]
    for _turn in range(generator.randint(1, 2)):
        device = generator.choice(devices)
        key = generator.choice(list(device) + ["waits", "probe_vf", "port", "none_such"])
        if generator.random() < 0.2:
            device.pop(key, None)
        elif key == "firmware" and generator.random() < 0.7:
            device[key] = {
                generator.choice(("NUM_OF_VFS", "SRIOV_EN", "NUM_PF_MSIX", "X", "", "a\0", "A[0]")): generator.choice(
                    ODD
                )
            }
        else:
            device[key] = generator.choice(ODD)
    return devices


def answer(module, monkeypatch, capsys, **parameters):
    """(failed, result) of a module with these parameters, which is printed as JSON that UTF-8 can have; any exception
    is the test's failure.
    """
    # allow_nan: that is how infinity comes from YAML's .inf.
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": parameters}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit) as leaving:
        module.main()
    result = json.loads(capsys.readouterr().out.encode("utf-8"))
    if leaving.value.code:
        assert result["failed"] and isinstance(result["msg"], str) and len(result["msg"]) > 15, result
        assert "Traceback" not in result["msg"] and "\n" not in result["msg"].strip(), result["msg"]
    return bool(leaving.value.code), result


def distinct(results):
    """How many of the answers failed, and how many different beginnings their sentences have."""
    messages = [result["msg"] for failed, result in results if failed]
    return len(messages), len({message[:25] for message in messages})


FIRMWARE = [
    {
        "address": A0,
        "numvfs": 8,
        "firmware": {"NUM_PF_MSIX": 63},
        "boot": "systemd",
        "selector": f"sriov_devices[0] (address {A0})",
    },
    {"address": A1, "numvfs": 4, "firmware": {}, "boot": "systemd", "selector": f"sriov_devices[1] (address {A1})"},
]
MLX4 = [
    {
        "address": address,
        "id": "15b3:1003",
        "name": name,
        "numvfs": 8,
        "boot": "module",
        "required_by": [],
        "optional": False,
        "driver": "mlx4_core",
        "selector": "sriov_devices[%d]" % index,
        "trigger": "net",
        "port": 1,
        "probe_vf": 0,
    }
    for index, (address, name) in enumerate(((ONE, "ens1"), (TWO, "ens2")))
]


def test_the_firmware_module_with_odd_devices(tool, monkeypatch, capsys):
    generator = random.Random(SEED)
    tool.add(A0, A1)
    results = [
        answer(
            sriov_firmware,
            monkeypatch,
            capsys,
            devices=odd_devices(generator, FIRMWARE),
            exact=generator.random() < 0.3,
            _ansible_check_mode=generator.random() < 0.5,
        )
        for _turn in range(TURNS)
    ]
    failed, beginnings = distinct(results)
    assert failed > TURNS / 2 and beginnings > 10


def test_the_firmware_module_with_a_tool_whose_output_is_mangled(tool, monkeypatch, capsys):
    generator = random.Random(SEED)
    tool.add(A0, A1, **OWN)
    really = tool.answer

    def answered(command):
        code, text = really(command)
        if generator.random() < 0.5:
            text = mangled(generator, text.encode()).decode("utf-8", "replace")
        return generator.choice((code, code, code, 0, 1, 3, -9, None)), text

    monkeypatch.setattr(tool, "answer", answered)
    monkeypatch.setattr(sriov_cards, "RETURN_SECONDS", 0)
    # One after the other, so that the same seed is the same run.
    monkeypatch.setattr(sriov_cards, "AT_ONCE", 1)
    results = [
        answer(
            sriov_firmware,
            monkeypatch,
            capsys,
            devices=[dict(FIRMWARE[0], numvfs=turn % 20, firmware={"PF_NUM_OF_VF_VALID": turn % 3 > 0}), FIRMWARE[1]],
            reset=turn % 2 > 0,
        )
        for turn in range(TURNS)
    ]
    failed, beginnings = distinct(results)
    assert failed > TURNS / 4 and beginnings >= 2 and failed < TURNS


@pytest.mark.long
def test_what_the_tools_print_mangled_is_read_or_refused():
    generator = random.Random(SEED)
    corpus = sorted(CORPUS.glob("*.txt"))
    outcomes = set()
    for _turn in range(20 * TURNS):
        text = mangled(generator, generator.choice(corpus).read_bytes()).decode("utf-8", "replace")
        try:
            table = mstconfig.parse_query(text)
            for row in table["parameters"].values():
                mstconfig.number_and_name(row["next"])
                mstconfig.same(generator.choice(ODD[:22]), row["next"])
            outcomes.add(mstconfig.why_not_of_the_host(table) is None)
        except Refusal as error:
            assert str(error)
            outcomes.add("unreadable")
        told = mstconfig.explain(
            text, 3, "ens1", {"NUM_OF_VFS": 8}, generator.choice(("ConnectX-3", "BlueField", "ConnectX", None))
        )
        assert told.startswith("ens1: ") and "\n" not in told
        mstconfig.needs_power_cycle(text)
        assert "\n" not in (mstconfig.reset_refusal(text, 0) or "")
    assert outcomes == {True, False, "unreadable"}


@pytest.mark.long
def test_the_connectx3_module_with_odd_devices(cards, monkeypatch, capsys):
    generator = random.Random(SEED)
    cards.add(TWO, ["ens2"])
    ours = str(cards.root / OPTIONS)
    results = []
    for _turn in range(TURNS):
        path = (
            ours
            if generator.random() < 0.8
            else generator.choice(("relative.conf", "", "\0", "/", str(cards.root), ours + "\0", "/x" * 3000, "é.conf"))
        )
        results.append(
            answer(
                sriov_mlx4,
                monkeypatch,
                capsys,
                devices=odd_devices(generator, MLX4),
                options_path=path,
                _ansible_check_mode=True,
            )
        )
    failed, beginnings = distinct(results)
    assert failed > TURNS / 2 and beginnings > 10


@pytest.mark.long
def test_the_connectx3_module_with_mangled_files_and_programs(cards, monkeypatch, capsys):
    generator = random.Random(SEED)
    cards.add(TWO, ["ens2"])
    answer(sriov_mlx4, monkeypatch, capsys, devices=MLX4, options_path=str(cards.root / OPTIONS))
    written = (cards.root / OPTIONS).read_bytes()
    other = b"# x\noptions mlx4_core num_vfs=8,0,0 \\\n probe_vf=0,0,0\noptions mlx4-core port_type_array=2,2\nblacklist x\n"
    places = [
        cards.root / path
        for path in (OPTIONS, "etc/modprobe.d/a.conf", "usr/lib/modprobe.d/b.conf", "var/lib/sriov/pending-mlx4.json")
    ]
    record = places[3].read_bytes()
    kernel = {
        cards.fake.proc / "cmdline": b"quiet mlx4_core.num_vfs=8 mlx4-core.probe_vf=0",
        cards.fake.fake / "parm": INBOX.encode(),
        cards.fake.sys / "module/mlx4_core/parameters/num_vfs": b"0000:04:00.0-8;0;0",
        cards.fake.pci(ONE) / "mlx4_port1": b"auto (eth)",
        cards.fake.pci(ONE) / "sriov_totalvfs": b"126",
    }
    results = []
    for turn in range(TURNS):
        for path, content in zip(places, (written, other, other, record)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                mangled(generator, content)
                if generator.random() < 0.4
                else content
                if path in (places[0], places[3])
                else b""
            )
        for path, content in kernel.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                mangled(generator, OFED.encode() if content == INBOX.encode() and turn % 2 else content)
                if generator.random() < 0.3
                else content
            )
        results.append(
            answer(
                sriov_mlx4,
                monkeypatch,
                capsys,
                devices=MLX4[: generator.randint(0, 2)],
                options_path=str(places[0]),
                _ansible_check_mode=True,
                _ansible_diff=True,
            )
        )
    failed, beginnings = distinct(results)
    assert TURNS / 4 < failed < TURNS and beginnings > 5


def test_a_directory_that_is_not_a_directory_and_a_file_that_is_none(cards, monkeypatch, capsys):
    ours = str(cards.root / OPTIONS)
    os.mkdir(ours)
    assert answer(sriov_mlx4, monkeypatch, capsys, devices=MLX4[:1], options_path=ours)[0]
    os.rmdir(ours)
    os.symlink(ours, ours)
    assert answer(sriov_mlx4, monkeypatch, capsys, devices=MLX4[:1], options_path=ours)[0]
    os.unlink(ours)
    put(cards, "file", "")
    assert answer(sriov_mlx4, monkeypatch, capsys, devices=MLX4[:1], options_path=str(cards.root / "file/x.conf"))[0]
    assert host.list_names(str(cards.root / "etc/modprobe.d")) == []
