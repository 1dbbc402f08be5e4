# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Debian's unmodified mstconfig prints for the rig's emulated card, in the situations that are listed here.

`python3 test/python/mstconfig_recorder.py` runs the tools of all releases and writes mstconfig_corpus/*_real_*.txt and
their cases again; the other files of the corpus stay. test_mstconfig_real.py runs them too, and compares the texts.
"""

import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "test" / "python" / "mstconfig_corpus"
sys.path.insert(0, str(ROOT / "molecule" / "rig" / "connectx" / "native"))

import tools
from tools import cards

SET = "-y set NUM_OF_VFS=8 SRIOV_EN=1"
WANTED = {"NUM_OF_VFS": 8, "SRIOV_EN": True}
HAVE = {
    "NUM_OF_VFS": ["0", "5", "16", False],
    "SRIOV_EN": ["False(0)", "True(1)", "True(1)", False],
    "LINK_TYPE_P2": ["ETH(2)", "ETH(2)", "ETH(2)", False],
}


def case(
    name,
    arguments,
    kind="error",
    *,
    complaint=None,
    advice=None,
    wanted=None,
    model=None,
    behave=None,
    card=None,
    rc=None,
    only=None,
    but=(),
    **more,
):
    """One situation: the card and its behaviour, the call of the tool, and what the role must read from the output.

    complaint and advice are a text for all releases, or a map by version. only: the versions that have the situation;
    but: those that do not.
    """
    return {
        "name": name,
        "arguments": arguments,
        "kind": kind,
        "complaint": complaint,
        "advice": advice,
        "wanted": wanted,
        "model": model,
        "behave": behave or {},
        "card": card or {},
        "rc": rc,
        "only": only,
        "but": but,
        **more,
    }


def rejected(words):
    return "Failed to set nv_global_pci_conf settings " + words


CASES = [
    case("query", "-e q NUM_OF_VFS SRIOV_EN LINK_TYPE_P2", "query", expect=HAVE, columns=3),
    case("query_next", "q NUM_OF_VFS SRIOV_EN LINK_TYPE_P2", "query", expect=HAVE, columns=1),
    case(
        "query_no_current",
        "-e q NUM_OF_VFS SRIOV_EN LINK_TYPE_P2",
        "query",
        behave={"columns": "default"},
        expect=HAVE,
        columns=2,
    ),
    case(
        "query_old",
        "-e q NUM_OF_VFS SRIOV_EN LINK_TYPE_P2",
        "query",
        behave={"columns": "none"},
        expect=HAVE,
        columns=1,
    ),
    # The tool prints one row for a name that is given twice.
    case("query_twice", "-e q NUM_OF_VFS NUM_OF_VFS", "query", expect={"NUM_OF_VFS": HAVE["NUM_OF_VFS"]}, columns=3),
    # 4.21 treats a parameter that cannot be written as absent.
    case(
        "query_read_only",
        "-e q NUM_OF_VFS SRIOV_EN",
        "query",
        behave={"read_only": "NUM_OF_VFS"},
        columns=3,
        expect={name: HAVE[name][:3] + [True] for name in ("NUM_OF_VFS", "SRIOV_EN")},
        but=["4.21"],
    ),
    case(
        "query_read_only",
        "-e q NUM_OF_VFS SRIOV_EN",
        behave={"read_only": "NUM_OF_VFS"},
        only=["4.21"],
        complaint="The Device doesn't support NUM_OF_VFS parameter",
        advice="does not have the parameter NUM_OF_VFS",
    ),
    case("set_reboot", SET, "set", power_cycle=False),
    case("set_power", SET, "set", behave={"power_cycle": "true"}, power_cycle=True),
    case(
        "set_read_only",
        SET,
        behave={"read_only": "NUM_OF_VFS"},
        wanted=WANTED,
        complaint="The Device doesn't support NUM_OF_VFS parameter",
        advice="does not have the parameter NUM_OF_VFS",
    ),
    case(
        "set_absent",
        SET,
        behave={"absent": "NUM_OF_VFS"},
        wanted=WANTED,
        complaint="The Device doesn't support NUM_OF_VFS parameter",
        advice="does not have the parameter NUM_OF_VFS",
    ),
    case(
        "set_unknown",
        "-y set NUM_OF_VSF=8",
        wanted={"NUM_OF_VSF": 8},
        complaint="Unknown Parameter: NUM_OF_VSF",
        advice="no parameter NUM_OF_VSF",
    ),
    case(
        "set_too_large",
        "-y set NUM_OF_VFS=200",
        wanted={"NUM_OF_VFS": 200},
        complaint="Parameter NUM_OF_VFS' value is larger than maximum allowed 127",
        advice="NUM_OF_VFS can be at most 127",
    ),
    case(
        "set_no_name",
        "-y set LINK_TYPE_P1=ETHERNET",
        wanted={"LINK_TYPE_P1": "ETHERNET"},
        complaint="Unknown value ETHERNET",
        advice="has no value ETHERNET",
    ),
    case(
        "set_other_port",
        "-y set LINK_TYPE_P3=2",
        wanted={"LINK_TYPE_P3": 2},
        complaint="Unknown Parameter: LINK_TYPE_P3",
        advice="no parameter LINK_TYPE_P3",
    ),
    case(
        "set_unparsed",
        "-y set NUM_OF_VFS=MANY",
        wanted={"NUM_OF_VFS": "MANY"},
        complaint="Cannot parse the value",
        advice="cannot read a value in NUM_OF_VFS=MANY",
    ),
    case(
        "set_bits",
        "-y set NUM_OF_VFS=70000",
        wanted={"NUM_OF_VFS": 70000},
        complaint="The value 70000 is not valid, as its size is 16 bits",
        advice="70000 is too large, the parameter has 16 bits",
    ),
    case(
        "set_negative",
        "-y set NUM_OF_VFS=-1",
        wanted={"NUM_OF_VFS": -1},
        complaint={"4.21": "The value -1 is not valid, as its size is 16 bits", None: "value is out of range"},
        advice={"4.21": "the parameter has 16 bits", None: "cannot read a value in NUM_OF_VFS=-1"},
    ),
    case(
        "set_busy",
        SET,
        behave={"refuse": "NVDA.set=1"},
        wanted=WANTED,
        advice="another program is using",
        complaint={"4.33": rejected("Register access failed, device is busy"), None: rejected("Device is busy")},
    ),
    case(
        "set_restricted",
        SET,
        behave={"refuse": "NVDA.set=6"},
        wanted=WANTED,
        advice="allow it with mlxprivhost",
        model="BlueField",
        complaint={"4.33": rejected("Register access Method not supported"), None: rejected("Method not supported")},
    ),
    case(
        "set_bad",
        SET,
        behave={"refuse": "NVDA.set=7"},
        wanted=WANTED,
        advice="did not do what was asked",
        complaint={"4.33": rejected("Register access bad parameter"), None: rejected("Bad parameter")},
    ),
    case(
        "set_unavailable",
        SET,
        behave={"refuse": "NVDA.set=8"},
        wanted=WANTED,
        advice="if several hosts share it",
        complaint={"4.33": rejected("Register access resource unavailable"), None: rejected("Resource unavailable")},
    ),
    case(
        "set_rejected",
        SET,
        behave={"refuse": "NVDA.set=0x20"},
        wanted=WANTED,
        complaint=rejected("The configuration is rejected"),
        advice="rejected NUM_OF_VFS=8, SRIOV_EN=1 as a whole",
    ),
    case(
        "set_erase",
        SET,
        behave={"refuse": "NVDA.set=0x21"},
        wanted=WANTED,
        complaint=rejected("The erase count exceeds its limit"),
        advice="flash wear",
    ),
    case(
        "set_corrupt",
        SET,
        behave={"refuse": "NVDA.set=0x22"},
        wanted=WANTED,
        complaint=rejected("Config Section Corrupted"),
        advice="stored configuration of the card is damaged",
    ),
    case(
        "aborted",
        "set NUM_OF_VFS=8 SRIOV_EN=1",
        wanted=WANTED,
        complaint="Aborted by user.",
        advice="run it with -y",
        rc=2,
    ),
    case(
        "livefish",
        "-e q",
        behave={"livefish": "true"},
        complaint="Device in Livefish mode is not supported",
        advice="livefish",
    ),
    case(
        "nvqc",
        "-e q NUM_OF_VFS",
        behave={"refuse": "NVQC.get=4"},
        advice="does not let this host access its configuration",
        complaint="NVQC access register is not supported. Try a different type of access to the device.",
    ),
    case(
        "nv_access",
        "-e q NUM_OF_VFS",
        behave={"refuse": "NVQC.get=7"},
        advice="does not let this host access its configuration",
        complaint="Cannot access NV register. Either FW does not support NV access register, or HW access is disabled.",
    ),
    case(
        "nvqgc",
        "-e q NUM_OF_VFS",
        behave={"refuse": "NVQGC.get=4"},
        advice="what its firmware can report",
        complaint="Error when checked if Firmware supports querying default configurations or not: "
        "Register not supported.",
    ),
    case(
        "no_such_device",
        "-e q NUM_OF_VFS",
        card={"at": "0000:05:00.0"},
        complaint="Failed to open the device",
        advice="cannot open the card",
    ),
    # A chip that the tool does not know.
    case(
        "identify",
        "-e q NUM_OF_VFS",
        card={"hardware": 0},
        complaint="Failed to identify the device",
        advice="cannot identify the card",
    ),
    case(
        "usage_option",
        "--frobnicate",
        complaint="invalid argument: --frobnicate",
        advice="does not understand how it was called",
    ),
    case("set_table", "-y set NUM_OF_VFS=8", "unreadable", message="from a change, not from a query"),
    case(
        "array",
        "-y set HOST_CHAINING_DESCRIPTORS=1",
        card={"table": "full"},
        wanted={"HOST_CHAINING_DESCRIPTORS": 1},
        advice="the parameter is an array",
        complaint="Cannot set the value 1 for the parameter log_num_descriptor(HOST_CHAINING_DESCRIPTORS): "
        "Operation is not supported",
    ),
    case(
        "bluefield",
        "-e q NUM_OF_VFS SRIOV_EN INTERNAL_CPU_MODEL INTERNAL_CPU_OFFLOAD_ENGINE",
        "query",
        columns=3,
        card={"model": "bluefield2", "table": "full"},
        expect={
            "NUM_OF_VFS": HAVE["NUM_OF_VFS"],
            "SRIOV_EN": HAVE["SRIOV_EN"],
            "INTERNAL_CPU_MODEL": ["EMBEDDED_CPU(1)"] * 3 + [False],
            "INTERNAL_CPU_OFFLOAD_ENGINE": ["ENABLED(0)"] * 3 + [False],
        },
    ),
]
TYPES = {
    "connectx4lx": "ConnectX4LX",
    "connectx5": "ConnectX5",
    "connectx6dx": "ConnectX6DX",
    "connectx7": "ConnectX7",
    "bluefield2": "BlueField2",
}


def by_version(value, version):
    """The text of a version. value: a text for all, or a map by version, with the text of all others under None."""
    return value.get(version, value.get(None)) if isinstance(value, dict) else value


def of_version(version):
    """The situations of a version."""
    return [one for one in CASES if version not in one["but"] and version in (one["only"] or [version])]


def expectation(situation, version):
    """What parse_query must return for a table: the card's own values, in the columns that the table has."""
    card = {"model": "connectx5", "at": tools.FUNCTION, **situation["card"]}
    columns = situation["columns"]
    rows = {
        name: [values[0] if columns > 1 else None, values[1] if columns == 3 else None, values[2], values[3]]
        for name, values in situation["expect"].items()
    }
    return {
        "type": TYPES[card["model"]],
        "name": cards.MODELS[card["model"]][3],
        "device": card["at"],
        "reads_current": columns == 3,
        "parameters": rows,
    }


def play(situation, tree, shim, folder):
    """Play a situation with a tool. Returns (the card's bench, the exit code, the output)."""
    wish = {"model": "connectx5", "table": "basic", "at": tools.FUNCTION, **situation["card"]}
    bench = tools.Bench(folder, tree, shim, cards.new(wish["model"], 2, 127, wish["table"]))
    for column, values in (("current", (5, 1)), ("next", (16, 1))):
        for name, value in zip(("NUM_OF_VFS", "SRIOV_EN"), values):
            bench.card.set_parameter(column, name, 0, value)
    bench.behave(**situation["behave"])
    if "hardware" in wish:
        for place in bench.root.glob("sys/bus/pci/devices/*/hardware_id"):
            place.write_bytes(wish["hardware"].to_bytes(4, "little"))
    with bench.serving():
        code, text = bench.run(*(["-d", wish["at"]] if wish["at"] else []), *situation["arguments"].split())
    return bench, code, text


def recorded(situation, version, package, code):
    """The entry of cases.json."""
    device = {"at": tools.FUNCTION, **situation["card"]}["at"]
    entry = {
        "file": "%s_real_%s.txt" % (situation["name"], version.replace(".", "_")),
        "kind": situation["kind"],
        "version": version,
        "command": "mstconfig %s%s" % ("-d %s " % device if device else "", situation["arguments"]),
        "rc": code,
        "source": "run: mstconfig of mstflint %s, on the card of molecule/rig/connectx" % package,
    }
    if situation["kind"] == "query":
        entry["expect"] = expectation(situation, version)
    elif situation["kind"] == "error":
        entry.update(
            {key: by_version(situation[key], version) for key in ("complaint", "advice")}, wanted=situation["wanted"]
        )
        if situation["model"]:
            entry["model"] = situation["model"]
    entry.update({key: situation[key] for key in ("power_cycle", "message") if key in situation})
    return entry


def main():
    """Record everything again."""
    path = CORPUS / "cases.json"
    kept = [one for one in json.loads(path.read_text(encoding="utf-8")) if "molecule/rig/connectx" not in one["source"]]
    for old in CORPUS.glob("*_real_*.txt"):
        if old.name not in {one["file"] for one in kept}:
            old.unlink()
    new = []
    with tempfile.TemporaryDirectory() as folder:
        shim = tools.shim(Path(folder))
        for codename in tools.CODENAMES:
            tree = tools.ensure(codename)
            version = tools.version_of(tree, shim)
            for number, situation in enumerate(of_version(version)):
                _bench, code, text = play(situation, tree, shim, Path(folder) / ("%s-%d" % (codename, number)))
                entry = recorded(situation, version, "%s of Debian's %s" % (version, codename), code)
                (CORPUS / entry["file"]).write_bytes(text.encode("utf-8"))
                new.append(entry)
    lines = [json.dumps(one, ensure_ascii=False) for one in kept + new]
    path.write_text("[\n%s\n]\n" % ",\n".join(lines), encoding="utf-8")
    print("%d recorded, %d from elsewhere" % (len(new), len(kept)))


if __name__ == "__main__":
    main()
