# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: how far a host is as its variables want it, in every state that there is, and what is made of many
hosts.
"""

import html.parser
import json
import random
from pathlib import Path

import jsonschema
import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import concerns, nics
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.fleet import page, report
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_nics, sriov_report
from fake_sysfs import fake_host  # noqa: F401 (the fixture "fake")
from test_concerns import options, refuse
from test_vfs import ONE, TWO, _two, device, put, run_once, state_of  # noqa: F401 (the fixture "two")

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "docs/report.schema.json").read_text()))
TIME = "2026-11-27T12:00:00Z"


def documented(results):
    """The document of some hosts, valid against its schema, also as text."""
    found = report.document(results, TIME)
    text = report.text_of(found)
    SCHEMA.validate(json.loads(text))
    assert json.loads(text) == found
    check_page(page.page(found))
    return found


def seen(two, *entries, unset=False, **selection):
    """A host in the report, which must not change it."""
    before = state_of(two)
    devices = None if unset else list(entries)
    result = nics.read_states({"devices": devices, "numvfs": 4, **selection}, {"vfs": options(two)}, refuse)
    assert state_of(two) == before
    [host] = documented({"h1": json.loads(json.dumps(result))})["hosts"]
    return host


def states(host):
    return {nic["address"]: nic["state"] for nic in host["nics"]}


# --- a host in each state


def test_as_wanted(two):
    run_once(two, [device()])
    host = seen(two, {"name": "ens1"})
    assert host["state"] == "ok" and states(host) == {ONE: "ok", TWO: "unmanaged"}
    assert [(nic["wanted"], len(nic["vfs"])) for nic in host["nics"]] == [(4, 4), (None, 0)]


def test_not_yet_set(two):
    host = seen(two, {"name": "ens1"})
    assert host["state"] == "differs" and host["differs"] == ["vfs"] and states(host)[ONE] == "differs"
    assert report.reasons_of(host) == [f"ens1 ({ONE}) has 0 VFs, 4 are wanted: run the role"]


def test_only_a_file_differs(two):
    run_once(two, [device()])
    (two.root / "etc/systemd/system/sriov-vfs.service").unlink()
    host = seen(two, {"name": "ens1"})
    assert host["state"] == "differs" and states(host)[ONE] == "ok"
    assert report.reasons_of(host) == ["a run of the role would change: vfs"]


def test_in_use_by_a_guest_and_pending(two):
    two.create(ONE, 2)
    two.bind(two.vf(ONE, 0), "vfio-pci")
    two.add_process(4711, 1, comm="qemu-system-x86", open_files=["/dev/vfio/40"])
    host = seen(two, {"name": "ens1"})
    assert host["state"] == "reboot" and states(host)[ONE] == "pending"
    assert host["reboot"] == [host["nics"][0]["message"]] == report.reasons_of(host)
    assert "used by qemu-system-x86 (pid 4711)" in host["nics"][0]["vfs"][0]["holder"]
    assert host["nics"][0]["vfs"][1]["holder"] is None


def test_a_pf_that_is_gone(two):
    run_once(two, [device(name="ens1")])
    two.remove_function(ONE)
    host = seen(two, {"address": ONE})
    assert host["state"] == "failed" and states(host)[ONE] == "failed"
    [gone] = [nic for nic in host["nics"] if nic["address"] == ONE]
    assert gone["id"] is None and "is not there" in gone["message"] or host["faults"]
    assert report.reasons_of(host) and len(report.reasons_of(host)) == len(set(report.reasons_of(host)))


def test_an_optional_pf_that_is_gone(two):
    two.remove_function(ONE)
    host = seen(two, {"address": ONE, "optional": True})
    assert host["state"] == "differs" and states(host)[ONE] == "skipped"
    run_once(two, [dict(device(), id=None, optional=True)])


def test_failed_because_the_driver_is_gone(two):
    two.bind(ONE, None)
    host = seen(two, {"name": "ens1"}, {"name": "ens2"})
    assert host["state"] == "failed" and states(host) == {ONE: "failed", TWO: "differs"}
    # Once, not for the PF and for the host.
    assert len(report.reasons_of(host)) == 1 and "has no driver" in report.reasons_of(host)[0]


def test_a_refused_variable_leaves_the_states_of_the_last_run(two):
    run_once(two, [device()])
    host = seen(two, {"driver": "ice"})
    assert host["state"] == "failed" and "chooses nothing" in host["faults"][0]
    assert states(host)[ONE] == "ok"


def test_waiting_for_the_firmware(two):
    two.add_function("0000:3b:00.0", "15b3:1017", "mlx5_core", ["ens3"], totalvfs=0)
    put(two, "var/lib/sriov/pending-firmware.json", json.dumps({"firmware:0000:3b:00.0:NUM_OF_VFS=4": "boot-1"}))
    host = seen(two, {"name": "ens3"})
    assert host["state"] == "reboot" and states(host)["0000:3b:00.0"] == "waiting"


def test_a_pf_that_the_bios_hides(two):
    (two.root / f"sys/bus/pci/devices/{ONE}/sriov_totalvfs").write_text("0\n")
    host = seen(two, {"name": "ens1"})
    assert host["state"] == "failed" and "SR-IOV on in the BIOS" in " ".join(report.reasons_of(host))
    # The role would set the BIOS through the BMC.
    host = seen(two, {"name": "ens1"}, bmc=True)
    assert host["state"] == "reboot" and states(host)[ONE] == "waiting"
    assert any("the BIOS is set through its BMC" in reason for reason in report.reasons_of(host))


def test_a_reboot_that_did_not_help(two):
    two.create(ONE, 2)
    two.bind(two.vf(ONE, 0), "vfio-pci")
    run_once(two, [device()])
    two.boot("boot-2")
    host = seen(two, {"name": "ens1"})
    assert host["state"] == "failed" and len(host["faults"]) == 1 and host["reboot"] == []


def test_vfs_that_are_not_wanted_are_removed_or_wait(two):
    two.create(ONE, 2)
    host = seen(two, {"name": "ens1", "numvfs": 0})
    assert states(host) == {ONE: "differs", TWO: "unmanaged"} and host["nics"][0]["wanted"] == 0
    two.bind(two.vf(ONE, 0), "vfio-pci")
    assert states(seen(two, {"name": "ens1", "numvfs": 0}))[ONE] == "pending"


def test_not_set_on_a_host_without_a_configuration(two):
    host = seen(two, unset=True)
    assert host["state"] == "unset" and not host["is_set"] and "sriov_devices is not set" in host["notice"]
    assert set(states(host).values()) == {"unmanaged"}


def test_not_set_on_a_configured_host(two):
    run_once(two, [device()])
    host = seen(two, unset=True)
    assert host["state"] == "failed" and "this host is configured" in host["faults"][0] and states(host)[ONE] == "ok"


def test_a_host_without_a_nic(fake):
    fake.answer("ip -j route show default", [])
    result = nics.read_states({"devices": None}, {}, refuse)
    assert documented({"h1": result})["hosts"][0]["state"] == "none"


def test_physical_networks_are_at_their_pf(two):
    host = seen(
        two, {"name": "ens1", "physical_network": "physnet2"}, {"name": "ens2"}, physnet_mappings={"ens2": "p3"}
    )
    assert [nic["physical_network"] for nic in host["nics"]] == ["physnet2", "p3"]


def test_hosts_that_could_not_be_read():
    found = documented({"h1": {"msg": "no\nroute", "unreachable": True}, "h2": {}, "h3": {"msg": 5, "failed": True}})
    assert [(host["state"], host["error"]) for host in found["hosts"]] == [
        ("unread", "no route"),
        ("unread", "no result"),
        ("unread", "5"),
    ]


def test_no_hosts():
    found = documented({})
    assert report.lines_of(found) == ["no hosts"] and found["hosts"] == []


def test_unknown_concerns_and_options_are_refused(two):
    with pytest.raises(Refusal, match="concerns contains 'bios'"):
        nics.read_states({"devices": []}, {"bios": {}}, refuse)
    with pytest.raises(Refusal, match=r"^selection: .*unknown"):
        nics.read_states({"devices": [], "unknown": 1}, {}, refuse)


@pytest.mark.parametrize("name", sorted(concerns.CONCERNS))
def test_the_schema_knows_every_concern(name):
    differs = SCHEMA.schema["$defs"]["read"]["properties"]["differs"]["items"]["enum"]
    assert name in differs and len(differs) == len(concerns.CONCERNS)


def test_the_schema_knows_every_state():
    assert list(SCHEMA.schema["properties"]["summary"]["properties"]) == list(report.STATES)


# --- the modules


def run_module(module, capsys, **arguments):
    with patch_module_args(arguments), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_the_module_of_the_nics_reports_states(two, capsys):
    found = run_module(sriov_nics, capsys, selection={"devices": [{"name": "ens1", "numvfs": 4}], "firmware": "no"})
    assert found["is_set"] and found["nics"][0]["wanted"] == 4 and not found["changed"]


@pytest.mark.parametrize("selection", ["{'devices': inf}", ["a"]])
def test_variables_that_ansible_could_not_pass_are_a_sentence(two, capsys, selection):
    assert "Ansible cannot pass" in run_module(sriov_nics, capsys, selection=selection)["msg"]


def test_the_report_is_written_and_replaced(tmp_path, capsys):
    hosts = {"h1": host_with(nic())}
    for _ in range(2):
        found = run_module(sriov_report, capsys, hosts=hosts, path=str(tmp_path / "new"))
        assert found["lines"][0] == "1 host: 1 as wanted" and found["summary"]["ok"] == 1
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["sriov-report.html", "sriov-report.json"]
    SCHEMA.validate(json.loads((tmp_path / "new/sriov-report.json").read_text()))


def test_check_mode_writes_no_report(tmp_path, capsys):
    found = run_module(sriov_report, capsys, hosts={}, path=str(tmp_path / "new"), _ansible_check_mode=True)
    assert found["changed"] and not (tmp_path / "new").exists()


def test_a_report_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in run_module(sriov_report, capsys, hosts={}, path=str(tmp_path / "file"))["msg"]


def test_hosts_that_are_no_dictionary_are_a_sentence(tmp_path, capsys):
    assert "give a dictionary" in run_module(sriov_report, capsys, hosts="x", path=str(tmp_path))["msg"]


# --- many hosts


def nic(address=ONE, state="ok", message="", wanted=4, vfs=4, used=0, **more):
    return {
        "address": address,
        "id": "8086:10c9",
        "driver": "igb",
        "names": ["ens1"],
        "totalvfs": 7,
        "wanted": wanted,
        "state": state,
        "message": message,
        "physical_network": None,
        "vfs": [
            {
                "address": f"0000:01:1{index // 8}.{index % 8}",
                "driver": None,
                "names": [],
                "holder": f"VF 0000:01:1{index // 8}.{index % 8} is bound to vfio-pci" if index < used else None,
            }
            for index in range(vfs)
        ],
        "obstacles": [],
        **more,
    }


def host_with(*of, **more):
    common = {"boot_id": "b", "iommu": True, "connection_known": True, "is_set": True, "notice": ""}
    return {**common, "nics": list(of), "faults": [], "reboot": [], "differs": [], **more}


def test_the_worst_hosts_come_first():
    found = documented(
        {
            "good": host_with(nic()),
            "empty": host_with(is_set=False),
            "unset": host_with(nic(state="unmanaged", wanted=None), is_set=False),
            "differs": host_with(nic(state="differs")),
            "reboot": host_with(nic(), reboot=["a reason"]),
            "failed": host_with(nic(), faults=["a fault"], reboot=["a reason"]),
            "unread": {"msg": "no route"},
        }
    )
    assert [host["host"] for host in found["hosts"]] == [
        "unread",
        "failed",
        "reboot",
        "differs",
        "unset",
        "good",
        "empty",
    ]
    assert set(found["summary"].values()) == {1}


def test_a_thousand_hosts_with_one_fault_are_one_line():
    hosts = {
        f"c{index}": host_with(
            nic(f"0000:{index % 256:02x}:00.0", "failed", f"ens{index} (0000:{index % 256:02x}:00.0) has no driver")
        )
        for index in range(1000)
    }
    lines = report.lines_of(documented(hosts))
    assert lines[0] == "1000 hosts: 1000 failed"
    assert lines[1:] == [
        "failed: 1000 hosts (c0, c1, c2, c3, c4 and 995 more): such as ens0 (0000:00:00.0) has no driver"
    ]


def test_a_thousand_different_faults_are_a_screen():
    words = [chr(97 + index // 676) + chr(97 + index // 26 % 26) + chr(97 + index % 26) for index in range(1000)]
    hosts = {word: host_with(nic(used=1), faults=[f"{word} " * 100]) for word in words}
    lines = report.lines_of(documented(hosts))
    assert len(lines) < 25 and max(map(len, lines)) < 500
    assert "992 more reasons are on the page" in lines[report.KINDS_SHOWN + 1]


def test_vfs_in_use_are_counted():
    lines = report.lines_of(documented({"a": host_with(nic(used=2)), "b": host_with(nic(used=1))}))
    assert lines == [
        "2 hosts: 2 as wanted",
        "in use: 3 VFs on 2 hosts (a, b): such as VF 0000:01:10.0 is bound to vfio-pci",
    ]


# --- the page


VOID = {"meta", "link", "br", "img", "input", "hr"}
ALLOWED = VOID - {"img", "input", "hr"} | {
    *("html", "head", "title", "style", "body", "h1", "h2", "h4", "p", "ul", "ol", "li", "section", "table", "thead"),
    *("tbody", "tr", "th", "td", "details", "summary", "div", "span", "b", "i", "code", "small", "a"),
}


class Page(html.parser.HTMLParser):
    """The elements of a page; each that is opened is closed, and none can run a script or load anything."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.texts, self.counts = [], [], [], [], {}

    def handle_starttag(self, tag, attributes):
        assert tag in ALLOWED, tag
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attributes:
            assert name in (
                "lang",
                "charset",
                "content",
                "http-equiv",
                "name",
                "rel",
                "href",
                "class",
                "style",
                "id",
                "open",
                "start",
                "value",
            ), name
            if name == "href":
                assert value == "data:," or value.startswith("#h"), value
            if name == "style":
                assert value.startswith("--n:") and value[4:].isdigit(), value
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"][1:]] if tag == "a" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def check_page(text):
    """The parsed page."""
    parsed = Page()
    parsed.feed(text)
    parsed.close()
    assert parsed.open == [] and len(set(parsed.ids)) == len(parsed.ids) and set(parsed.links) <= set(parsed.ids)
    assert "default-src 'none'" in text and "url(" not in page.STYLE and "@import" not in page.STYLE
    return parsed


def test_the_page_has_what_the_report_has():
    found = documented(
        {
            "good": host_with(nic(used=2, physical_network="physnet2")),
            "bad": host_with(nic(state="failed", message="a <fault>", vfs=1), notice="a notice"),
        }
    )
    words = " ".join(check_page(page.page(found)).texts)
    for text in (
        "good",
        "bad",
        "physnet2",
        "a <fault>",
        "a notice",
        "VF 0000:01:10.1 is bound to vfio-pci",
        "1 of 4 VFs",
    ):
        assert text in words


@pytest.mark.parametrize(
    "count, used, wanted, runs",
    [
        (0, 0, 0, []),
        (4, 0, 4, [("idle", 4)]),
        (4, 1, 4, [("used", 1), ("idle", 3)]),
        (1, 1, 4, [("used", 1), ("lack", 3)]),
        (40, 0, 40, [("idle", 16), ("idle", 16), ("idle", 8)]),
        (0, 0, 17, [("lack", 16), ("lack", 1)]),
        (3, 0, None, [("idle", 3)]),
    ],
)
def test_each_vf_is_a_square(count, used, wanted, runs):
    assert page.cells(nic(vfs=count, used=used, wanted=wanted)) == "".join(
        f'<i class="vf {kind}" style="--n:{number}"></i>' for kind, number in runs
    )


def test_a_few_hosts_are_open_and_many_are_not():
    few = {f"h{index}": host_with(nic()) for index in range(page.OPEN_HOSTS)}
    assert page.page(report.document(few, TIME)).count("<details open>") == page.OPEN_HOSTS
    assert page.page(report.document({**few, "more": host_with(nic())}, TIME)).count("<details open>") == 0


EVIL = (
    "<script>x</script>",
    '"><img src=x onerror=y>',
    "'",
    "&amp;",
    "\x00\x1b[31m",
    "\u202e",
    "a\nb",
    "\ud800",
    "</style>",
    "é漢",
)


def test_no_text_of_a_host_becomes_markup():
    chance = random.Random(20261127)

    def evil():
        return "".join(chance.choice(EVIL) for _ in range(chance.randrange(1, 4)))

    for _ in range(200):
        one = nic(state="failed", message=evil(), id=evil(), driver=evil(), names=[evil()], physical_network=evil())
        one["vfs"] = [{"address": evil(), "driver": evil(), "names": [evil()], "holder": evil()}]
        hosts = {evil(): host_with(one, faults=[evil()], reboot=[evil()], notice=evil()), evil() + "2": {"msg": evil()}}
        text = page.page(report.document(hosts, evil()))
        check_page(text)
        text.encode()
        assert not any(character in text for character in "\x00\x1b\u202e")
