# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_kernel_parameters on hosts with random settings, from a fixed seed.

With any content of the files: no traceback, each refusal is one sentence and changes nothing, what the administrator
had stays, a second run changes nothing, and taking the parameters off gives the host back.
"""

import json
import random

import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import kernel as sriov_kernel
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_kernel_parameters as kernel_parameters
from test_kernel_parameters import CMDLINE, DROP_IN, WANTED, Machine

SEED = 20260
WORDS = (
    "quiet",
    "ro",
    "root=UUID=abc",
    "console=ttyS0,115200n8",
    "--",
    "---",
    '"--"',
    "#",
    "# note",
    "#note",
    "\\",
    "intel_iommu=on",
    "intel_iommu=off",
    "iommu=pt",
    "iommu=nopt",
    "iommu=off",
    "iommu=",
    "=pt",
    "intel-iommu=on,sm_on",
    "iommu.passthrough=1",
    "iommu.passthrough=0",
    "amd_iommu=off",
    'dyndbg="file a +p"',
    '"',
    '"a',
    "a=b&c",
    "$kernelopts",
    "$x",
    "\u00e9",
    "\udce9",
    "%s",
    "{}",
    "single",
    "1",
    "inf",
    "nan",
    "-1",
    "\x01",
)
BREAKS = (" ", " ", " ", "  ", "\t", "\n", "\n", "\r\n", "\n# ", " \\\n", "\n\n")
SHELL = (
    'GRUB_CMDLINE_LINUX="{}"\n',
    "GRUB_CMDLINE_LINUX='{}'\n",
    'GRUB_CMDLINE_LINUX_DEFAULT="{}"\n',
    "GRUB_CMDLINE_LINUX_DEFAULT={}\n",
    'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {}"\n',
    'export GRUB_CMDLINE_LINUX+=" {}"\n',
    "GRUB_CMDLINE_LINUX_RECOVERY='{}'\n",
    "# {}\n",
    "exit 0\n",
    "false\n",
    "echo {}\n",
    "if true; then\n",
    "set -u\n",
    "unset GRUB_CMDLINE_LINUX\n",
    "return 0\n",
    "GRUB_DEFAULT={}\n",
    "\x00",
)
RECORDS = (
    None,
    "",
    "{",
    "[]",
    "null",
    '{"tokens": 3}',
    '{"tokens": [1, {}, null, "iommu=pt"]}',
    '{"tokens": ["quiet"]}',
    '{"created": [1]}',
    '{"tokens": ["iommu=pt"], "created": {"/etc/kernel/cmdline": 5}}',
    '{"tokens": Infinity}',
)


def line(random):
    return "".join(random.choice(WORDS) + random.choice(BREAKS) for _ in range(random.randrange(7)))


def one_line(random):
    return " ".join(random.choice(WORDS) for _ in range(random.randrange(6)))


def some_shell(random):
    return "".join(random.choice(SHELL).replace("{}", one_line(random)) for _ in range(random.randrange(4)))


def some_host(random, folder):
    """A machine with random files of a random boot loader, and its running line."""
    machine = Machine(folder, random.choice(["intel", "amd"]), one_line(random))
    kind = random.choice(["grub", "grubby", "systemd-boot"])
    if kind == "grub":
        files = {"/etc/default/grub": some_shell(random)}
        for name in random.sample(["50-a", "zz-zz", "a b", "-x"], random.randrange(3)):
            files[f"/etc/default/grub.d/{name}.cfg"] = some_shell(random)
        machine.with_grub(files)
    else:
        files = {}
        directory = (
            "/boot/loader/entries"
            if kind == "grubby"
            else random.choice(["/boot/loader/entries", "/efi/loader/entries"])
        )
        for number in range(random.randrange(1, 4)):
            keys = ["title x\n", "linux /vmlinuz\n"] + [
                f"options {one_line(random)}\n" for _ in range(random.randrange(3))
            ]
            random.shuffle(keys)
            files["%s/%d.conf" % (directory, number)] = "".join(keys).replace("\n", random.choice(["\n", "\n", "\r\n"]))
        for path, rate in ((CMDLINE, 0.7), ("/usr/lib/kernel/cmdline", 0.3)):
            if random.random() < rate:
                files[path] = line(random)
        if kind == "grubby" and random.random() < 0.5:
            files["/etc/default/grub"] = f'GRUB_CMDLINE_LINUX="{one_line(random)}"\n'
        if kind == "grubby" and random.random() < 0.3:
            files["/boot/grub2/grubenv"] = f"# GRUB Environment Block\nkernelopts={one_line(random)}\n"
        if kind == "systemd-boot" and random.random() < 0.5:
            machine.loader_info("systemd-boot " + random.choice(["252.38", "257.8", "", "x"]))
        (machine.with_grubby if kind == "grubby" else machine.with_systemd_boot)(files)
    return machine


def kept_words(machine):
    """The words of the files that people write, by path, without the role's."""
    block = "# BEGIN stackhpc.sriov"
    return {
        path: [
            word
            for word in content.decode("utf-8", "surrogateescape").split(block)[0].replace("opts=", "opts= ").split()
            if word not in WANTED["intel"]
        ]
        for path, (content, _mode) in machine.tree(DROP_IN, "/boot/grub/grub.cfg").items()
    }


def in_order(words, there):
    """Whether all words are there, in their order; an entry without options has a line of them then."""
    rest = iter(there)
    return all(word in rest for word in words)


def without(words, one):
    return [word for word in words if word != one]


@pytest.mark.long
@pytest.mark.parametrize("batch", range(8))
def test_random_hosts(batch, tmp_path):
    said, done = set(), 0
    for number in range(40):
        chosen = random.Random(SEED * 1000 + batch * 100 + number)
        machine = some_host(chosen, tmp_path / str(number))
        passthrough = chosen.random() < 0.8
        before, words = machine.tree(), kept_words(machine)
        try:
            foretold = machine.ensure(check_mode=True, passthrough=passthrough)
        except Refusal as error:
            foretold = str(error)
        assert machine.tree() == before
        try:
            result = machine.ensure(passthrough=passthrough)
        except Refusal as error:
            text = str(error)
            assert "\n" not in text and len(text) < 700 and text.endswith((".", ":")) or ": " in text, text
            assert machine.tree() == before, text
            assert "iommu" in text or "GRUB" in text or "update-grub" in text or "entry" in text, text
            said.add(text.split("iommu")[0][:40])
            # What check mode cannot know is what a tool says.
            assert foretold == text or isinstance(foretold, dict) and "update-grub" in text, (foretold, text)
            continue
        done += 1
        assert isinstance(foretold, dict) and foretold["changed"] == result["changed"]
        now = kept_words(machine)
        lost = {path: (there, now[path]) for path, there in words.items() if not in_order(there, now[path])}
        assert lost == {}, number
        json.dumps(result)
        again = machine.ensure(passthrough=passthrough)
        assert (again["changed"], again["diff"]) == (False, []), number
        machine.ensure(iommu=False)
        assert set(machine.tree()) == set(before)
        # An empty `options` line has the same effect as none.
        assert {path: without(there, "options") for path, there in kept_words(machine).items()} == {
            path: without(there, "options") for path, there in words.items()
        }, number
    assert done >= 5 and said


@pytest.mark.parametrize("record", RECORDS)
def test_any_record_is_survived(record, tmp_path):
    machine = Machine(tmp_path).with_systemd_boot({"/efi/loader/entries/x.conf": "linux /l\noptions root=UUID=abc\n"})
    machine.boot("root=UUID=abc", "boot-1")
    if record is not None:
        machine.put("/var/lib/sriov/kernel-parameters.json", record)
        machine.put("/var/lib/sriov/pending-kernel.json", record)
    before = machine.tree()
    machine.ensure()
    machine.ensure(iommu=False)
    assert machine.tree() == before


@pytest.mark.parametrize(
    "path",
    [DROP_IN, CMDLINE, "/var/lib/sriov", "/var/lib/sriov/kernel-parameters.json", "/var/lib/sriov/pending-kernel.json"],
)
@pytest.mark.parametrize("kind", ["folder", "file", "link to itself"])
def test_something_else_where_a_file_of_the_role_should_be(path, kind, tmp_path):
    machine = Machine(tmp_path)
    if path == CMDLINE:
        machine.boot("root=UUID=abc", "boot-1")
        machine.with_systemd_boot({"/efi/loader/entries/x.conf": "linux /l\noptions root=UUID=abc\n"})
    else:
        machine.with_grub()
    place = tmp_path / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        place.mkdir()
    elif kind == "file":
        place.write_text("quiet\n")
    else:
        place.symlink_to(place.name)
    before = machine.tree()
    try:
        machine.ensure()
    except (Refusal, OSError) as error:
        assert "\n" not in str(error)
        assert machine.tree() == before


# --- the module's own arguments -----------------------------------------------------------------------------------


class Ended(Exception):
    pass


@pytest.mark.parametrize("name", ["iommu", "passthrough"])
@pytest.mark.parametrize("value", [5, -1, 1.5, float("inf"), float("nan"), "", "maybe", "\0", [], [True], {}, {"a": 1}])
def test_arguments_of_the_wrong_type_are_a_sentence(name, value, monkeypatch, capsys):
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": {name: value}}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    monkeypatch.setattr(sriov_kernel, "ensure", lambda *_arguments: pytest.fail("the module went on"))
    with pytest.raises(SystemExit) as ended:
        kernel_parameters.main()
    said = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1 and said["failed"] is True
    assert name in said["msg"] and "Traceback" not in said["msg"]


@pytest.mark.parametrize(
    "error, message, changed",
    [
        (Refusal("no"), "no", False),
        (Refusal("half", changed=True), "half", True),
        (
            OSError(5, "Input/output error", "/boot"),
            "The kernel parameters cannot be set, and nothing was changed: [Errno 5] Input/output error: '/boot'",
            False,
        ),
    ],
)
def test_a_failure_reports_whether_anything_changed(error, message, changed, monkeypatch, capsys):
    def fails(*_arguments):
        raise error

    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": {}}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    monkeypatch.setattr(sriov_kernel, "ensure", fails)
    with pytest.raises(SystemExit):
        kernel_parameters.main()
    said = json.loads(capsys.readouterr().out)
    assert (said["msg"], said.get("changed", False)) == (message, changed)
