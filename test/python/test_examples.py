# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the READMEs and of docs/ is run, as far as possible without a host; one of an unknown kind fails.

- plays: ansible-playbook runs them up to the role's own tasks, argument specification and defaults included;
  ansible-lint
- variables: the same, in a separate play
- devices in either: the module's own choice among the PFs of a host that has them
- commands: the command is there, and each of its options is in its help

Pictures have tests in test/pages.test.ts. The play of README.md is what the scenario `amd` runs on a machine.
"""

import atexit
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hang
import pytest
import yaml
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.joined import program_text
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import devices as sriov_devices

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SCRIPTS = json.loads((ROOT / "package.json").read_text())["scripts"]
# The name under which the artefacts are published, and the one that the pages are written with.
OWN = f"{yaml.safe_load((ROOT / 'galaxy.yml').read_text())['namespace']}.{yaml.safe_load((ROOT / 'galaxy.yml').read_text())['name']}"
AUTHORED = re.compile(r"(?<![\w./-])stackhpc\.sriov\b")
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
# Commands whose help is not on this machine, or says nothing of what they are used for.
NOT_ASKED = ("openstack", "git", "export", "diff", "tee", "echo")
# The usual name of the handler, in small letters, which ansible-lint would not have: name[casing].
HANDLER = "reboot"


# --- what the pages have


def blocks(text):
    """(line, kind, text) of each block of code; the kind is the fence's word, or `indented`."""
    lines, found, index = text.splitlines(), [], 0
    while index < len(lines):
        fence = re.match(r"\s*```(.*)$", lines[index])
        start = index + 1
        if fence:
            while not re.match(r"\s*```$", lines[start]):
                start += 1
            found.append((index + 1, fence.group(1), "\n".join(lines[index + 1 : start]) + "\n"))
            index = start
        elif re.match(r" {4,}\S", lines[index]) and (index == 0 or not lines[index - 1].strip()):
            while start < len(lines) and re.match(r" {4,}\S", lines[start]):
                start += 1
            found.append((index + 1, "indented", "".join(line.strip() + "\n" for line in lines[index:start])))
            index = start - 1
        index += 1
    return found


def spans(text):
    """What stands between backticks in the prose."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [
        " ".join(match.group(2).split())
        for paragraph in prose.split("\n\n")
        for match in re.finditer(r"(`+)(.+?)\1", paragraph, re.DOTALL)
    ]


def kind(language, text):
    """What an example is, by which it is tested."""
    if language == "indented":
        return "commands"
    if language == "mermaid" or language == "text" and "|--" in text:
        return "picture"
    if language == "yaml":
        data = yaml.safe_load(text)
        if isinstance(data, list) and all(isinstance(play, dict) and "hosts" in play for play in data):
            return "plays"
        if isinstance(data, dict) and all(str(key).startswith("sriov_") for key in data):
            return "variables"
    return None


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory):
    """What `npm run generate` writes, of the sources as they are now."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        ["node", str(ROOT / "generator" / "bootstrap.mjs"), "generate", "--out", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return out


@pytest.fixture(scope="session")
def pages(artefacts):
    """The texts of all pages: those of the repository, and the READMEs that are made from
    role-template/README.md.hbs.
    """
    made = {
        "README.md of the role": artefacts / "roles" / OWN / "README.md",
        "README.md of the collection": artefacts
        / "collections/ansible_collections"
        / OWN.replace(".", "/")
        / "README.md",
    }
    return {
        **{page: AUTHORED.sub(OWN, (ROOT / page).read_text()) for page in PAGES},
        **{page: path.read_text() for page, path in made.items()},
    }


@pytest.fixture(scope="session")
def examples(pages):
    """(where, kind, text) of each block."""
    return [
        ("%s:%d" % (page, line), kind(language, text), text)
        for page, whole in pages.items()
        for line, language, text in blocks(whole)
    ]


def test_every_example_is_of_a_kind_that_is_tested(examples):
    assert [where for where, which, _text in examples if which is None] == []


def test_there_are_examples_of_every_kind(examples):
    assert {which for _where, which, _text in examples} == {"commands", "picture", "plays", "variables"}


# --- plays and variables


def from_tables(pages):
    """(where, variables) of what the tables of variables give as examples."""
    for page in ("docs/variables.md", "README.md of the role"):
        for name, value in re.findall(r"^\| `(sriov_\w+)` \|.*<br>Example: `(.+)` \|$", pages[page], re.MULTILINE):
            yield f"{page}, {name}", {name: yaml.safe_load(value.replace("\\|", "|"))}
    for number, cell in enumerate(
        re.findall(r"^\| `((?:devname|address|vendor_id): .+?)`", pages["docs/kayobe.md"], re.MULTILINE), 1
    ):
        yield (
            "docs/kayobe.md, in nova, row %d" % number,
            {"sriov_devices": [{"name": "ens1f0", "nova": yaml.safe_load("{%s}" % cell.replace("`, `", ", "))}]},
        )


@pytest.fixture(scope="session")
def playbooks(examples, pages):
    """{where: plays} of every play, and of every example of variables with a play around it."""
    found = {where: yaml.safe_load(text) for where, which, text in examples if which == "plays"}
    given = [(where, yaml.safe_load(text)) for where, which, text in examples if which == "variables"]
    for where, variables in [*given, *from_tables(pages)]:
        found[where] = [
            {
                "name": where,
                "hosts": "compute_sriov",
                "vars": variables,
                "tasks": [{"ansible.builtin.include_role": {"name": OWN}}],
            }
        ]
    return found


def environment(out, **more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "PATH": f"{BIN}:{kept['PATH']}",
        "ANSIBLE_CONFIG": str(ROOT / "generator" / "workshop" / "ansible.cfg"),
        "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
        "ANSIBLE_ROLES_PATH": str(out / "roles"),
        "ANSIBLE_COLLECTIONS_PATH": str(out / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        **more,
    }


def run(command, folder, env):
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=hang.SECONDS,
    )


def names_set(data):
    """Every key that looks like a variable of the role's."""
    if isinstance(data, dict):
        return [key for key in data if str(key).startswith("sriov_")] + [
            name for value in data.values() for name in names_set(value)
        ]
    return [name for item in data for name in names_set(item)] if isinstance(data, list) else []


def test_examples_set_variables_that_there_are(playbooks, artefacts):
    specification = yaml.safe_load((artefacts / "roles" / OWN / "meta/argument_specs.yml").read_text())
    known = specification["argument_specs"]["main.yml"]["options"]
    assert [(where, name) for where, plays in playbooks.items() for name in names_set(plays) if name not in known] == []


def test_examples_are_run_up_to_the_roles_own_tasks(playbooks, artefacts, tmp_path):
    for path in (f"roles/{OWN}", f"collections/ansible_collections/{OWN.replace('.', '/')}/roles/sriov"):
        for part in ("meta", "defaults"):
            shutil.copytree(artefacts / path / part, tmp_path / path / part)
        (tmp_path / path / "tasks").mkdir()
        (tmp_path / path / "tasks/main.yml").write_text(
            "- ansible.builtin.debug:\n    msg: reached, {{ sriov_devices | default([]) | length }} devices\n"
        )
    (tmp_path / "hosts").write_text(
        f"[compute_sriov]\nlocalhost ansible_connection=local ansible_python_interpreter={sys.executable}\n"
    )
    names = []
    for number, plays in enumerate(playbooks.values()):
        names.append("%d.yml" % number)
        (tmp_path / names[-1]).write_text(json.dumps(plays))
    outcome = run(
        [BIN / "ansible-playbook", "-i", "hosts", *names], tmp_path, environment(tmp_path, ANSIBLE_GATHERING="explicit")
    )
    assert outcome.returncode == 0, outcome.stdout
    assert outcome.stdout.count('"msg": "reached, ') == sum(len(plays) for plays in playbooks.values()), outcome.stdout


@pytest.mark.long
def test_plays_pass_ansible_lint(examples, artefacts, tmp_path):
    """Those of the READMEs that are made are files of the artefacts too, which `npm run lint` looks at."""
    plays = [text for where, which, text in examples if which == "plays" and where.split(":")[0] in PAGES]
    names = ["%d.yml" % number for number in range(len(plays))]
    for name, text in zip(names, plays):
        (tmp_path / name).write_text("---\n" + text)
    # name[casing]: the handler's name, which users have in their playbooks (HANDLER, above).
    (tmp_path / "ansible-lint.yml").write_text(
        "---\nprofile: production\noffline: true\nskip_list:\n  - name[casing]\n"
    )
    outcome = run(
        [BIN / "ansible-lint", "--offline", "--nocolor", "-c", "ansible-lint.yml", *names],
        tmp_path,
        environment(artefacts),
    )
    assert outcome.returncode == 0, outcome.stdout
    assert names and f" in {len(names)} files processed of {len(names)} encountered" in outcome.stdout, outcome.stdout
    for text in plays:
        assert all(
            handler["name"] == HANDLER
            for play in yaml.safe_load(text)
            for handler in play.get("handlers", [])
            if handler["name"][0].islower()
        )


def plain(play, folder):
    """A play without its variables and names, with short names of modules, and with the file of a handler in its
    place.
    """

    def bare(task):
        task = {
            key.removeprefix("ansible.builtin."): value for key, value in task.items() if key not in ("name", "tags")
        }
        if "include_tasks" not in task:
            return task
        [included] = yaml.safe_load((folder / task["include_tasks"]).read_text())
        # How long the machine of the tests may take.
        return {key: {} if key == "reboot" else value for key, value in bare(included).items()}

    tasks = [
        {**bare(task), "named": task["name"]} if section == "handlers" else bare(task)
        for section in ("tasks", "handlers")
        for task in play[section]
    ]
    return play["hosts"], [{key: value or {} for key, value in task.items()} for task in tasks]


def test_the_play_of_the_readme_is_the_one_that_a_machine_runs(examples):
    folder = ROOT / "molecule" / "amd"
    [[ours]] = [
        yaml.safe_load(text) for where, which, text in examples if which == "plays" and where.startswith("README.md:")
    ]
    [theirs] = yaml.safe_load(AUTHORED.sub(OWN, (folder / "field.yml").read_text()))
    assert plain(ours, folder) == plain(theirs, folder)
    assert "./field.yml" in [step.get("play") for step in yaml.safe_load((folder / "steps.yml").read_text())["steps"]]


# --- devices


def with_devices(data):
    """Every mapping of variables that has devices."""
    if isinstance(data, dict):
        return (
            [data] if "sriov_devices" in data else [found for value in data.values() for found in with_devices(value)]
        )
    return [found for item in data for found in with_devices(item)] if isinstance(data, list) else []


def add_card(fake, number, entry):
    """The PFs that the entry means, as `ip` shows them."""
    mellanox = "firmware" in entry
    name = entry.get("name", "nic%d" % number)
    of_card = re.match(r"\D+(\d+)f(\d)$", name)
    address = entry.get("address") or (
        f"0000:{16 + int(of_card.group(1)):02x}:00.{of_card.group(2)}" if of_card else f"0000:{128 + number:02x}:00.0"
    )
    ports = [(address, name)] + [(f"{address[:-1]}{port}", f"{name}p{port}") for port in range(1, pfs_of(entry))]
    for address, name in ports:
        if not fake.pci(address).exists():
            fake.add_function(
                address,
                "15b3:1017" if mellanox else "8086:1592",
                entry.get("driver", "mlx5_core" if mellanox else "ice"),
                [name],
                totalvfs=128,
            )
    return [
        {"ifname": name, "address": f"02:00:00:00:01:{16 * port + number:02x}"}
        for port, (_address, name) in enumerate(ports)
    ]


def pfs_of(entry):
    """How many PFs an entry chooses."""
    return entry.get("expect", 1)


def test_the_devices_of_examples_are_found(playbooks, fake):
    seen = 0
    for where, plays in playbooks.items():
        for variables in with_devices(plays):
            entries = variables["sriov_devices"]
            # The rows of a table show one key each, and are not devices.
            if any("nova" in entry and "physical_network" not in entry for entry in entries):
                continue
            fake.answer(
                "ip -d -j link show",
                [link for number, entry in enumerate(entries) for link in add_card(fake, number, entry)],
            )
            # One for each PF.
            of_pfs = [entry for entry in entries for _pf in range(pfs_of(entry))]
            found = sriov_devices.select(
                {
                    "devices": entries,
                    "numvfs": 8,
                    "numvfs_driver": "systemd",
                    "numvfs_required_by": [],
                    "firmware": True,
                    "mellanox_vendor_ids": ["0x15b3"],
                    "physnet_mappings": variables.get("sriov_physnet_mappings"),
                    "openstack_release": None,
                }
            )
            assert [device["numvfs"] for device in found] == [entry.get("numvfs", 8) for entry in of_pfs], where
            networks = [
                entry.get("physical_network") or variables.get("sriov_physnet_mappings", {}).get(entry.get("name"))
                for entry in of_pfs
            ]
            assert [device["physical_network"] for device in found] == networks, where
            for device in found:
                fake.remove_function(device["address"])
            seen += 1
    assert seen > 8


# --- commands


# A command of Kayobe for an older series: test/openstack/test_series.py asks the Kayobe of that series.
OLDER_SERIES = re.compile(r"^\s*kayobe .*# 20\d\d\.\d(?: and 20\d\d\.\d)?$")


def commands(text):
    """The commands of lines of shell, as lists of words."""
    for line in text.splitlines():
        if OLDER_SERIES.match(line):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


_helps = {}


def options(*command):
    """The options in a command's help."""
    if command not in _helps:
        outcome = run([*command, "--help"], ROOT, environment(ROOT / "dist", COLUMNS="200"))
        # Of a command that it does not know, commander shows the help of all.
        is_there = outcome.returncode == 0 and re.search(
            rf"(?<![\w-]){re.escape(Path(command[-1]).name)}(?![\w-])", outcome.stdout
        )
        _helps[command] = set(re.findall(r"(?<![\w-])--?\w[\w-]*", outcome.stdout)) if is_there else None
    return _helps[command]


def kayobe():
    folder = os.environ.get("SRIOV_ROLE_KAYOBE_BIN", "")
    if not (Path(folder) / "kayobe").is_file():
        pytest.fail(
            "SRIOV_ROLE_KAYOBE_BIN names no folder with kayobe: run these tests by npm test or npm run test:unit.",
            pytrace=False,
        )
    return str(Path(folder) / "kayobe")


def called(words):
    """(the command with its subcommands, what is given to it); a sentence when there is no such command."""
    program, *rest = words
    if program == "npm":
        if rest[:1] == ["version"]:
            return ("npm", "version"), []
        rest = ["run", *rest] if rest[:1] == ["test"] else rest
        rest = [word for index, word in enumerate(rest) if not (word == "--silent" and index == 1)]
        script, given = rest[1], rest[2:]
        if rest[0] != "run" or script not in SCRIPTS:
            return f"npm has no script {script}"
        if given and given[0] != "--":
            return f"npm takes {given[0]} for itself without --"
        command = SCRIPTS[script].split()
        program, rest = "sriov-role", [*command[2:], *given[1:]]
    if program == "sriov-role":
        unknown = [
            name
            for name in rest[1:]
            if rest[0] == "verify"
            and re.match(r"[a-z]", name)
            and not (ROOT / "molecule" / name / "molecule.yml").is_file()
        ]
        return (
            f"there is no scenario {unknown}"
            if unknown
            else (("node", str(ROOT / "build/generator/main.js"), rest[0]), rest[1:])
        )
    if program in ("ansible", "ansible-playbook", "ansible-test", "molecule"):
        return (str(BIN / program),), rest
    if program == "ansible-galaxy":
        return (str(BIN / program), *rest[:2]), rest[2:]
    if program == "kayobe":
        length = next((index for index, word in enumerate(rest) if not re.match(r"[a-z]+$", word)), len(rest))
        return (kayobe(), *rest[:length]), rest[length:]
    if program == "python3":
        return (sys.executable, str(ROOT / rest[0]), rest[1]), rest[2:]
    if program == "sriov-vfs":
        return (sys.executable, host_program(), *rest[:1]), rest[1:]
    return f"no test knows the command {program}"


@functools.cache
def host_program():
    """The path of the host program in a file that this process removes: as an argument it is too long for Linux."""
    folder = Path(tempfile.mkdtemp(prefix="sriov-vfs-"))
    atexit.register(shutil.rmtree, folder)
    (folder / "sriov-vfs").write_text(program_text(), encoding="utf-8")
    return str(folder / "sriov-vfs")


def fault(words):
    """What is wrong with a command; None when nothing is."""
    if words[0] in NOT_ASKED:
        return None
    found = called(words)
    if isinstance(found, str):
        return found
    command, given = found
    # What comes after the words of `vm.py ssh` and `ansible -a` is another program's.
    own = given[:2] if command[-1] == "ssh" else [word for index, word in enumerate(given) if given[index - 1] != "-a"]
    known = options(*command)
    if known is None:
        return f"{' '.join(words)} is no command"
    unknown = [word for word in own if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in known]
    return f"{' '.join(words)} has no option {', '.join(unknown)}" if unknown else None


def test_commands_and_their_options_are_there(examples, pages):
    lines = [(where, words) for where, which, text in examples if which == "commands" for words in commands(text)]
    programs = r"(npm|sriov-role|sriov-vfs|kayobe|ansible-galaxy|ansible-playbook|ansible-test|molecule) "
    # [-- SCENARIO...] is what may be left out.
    prose = [
        (page, words)
        for page, text in pages.items()
        for span in spans(text)
        if re.match(programs, span)
        for words in commands(re.sub(r"[\[\]]", "", span))
    ]
    assert len(lines) > 20 and len(prose) > 15
    assert [(where, wrong) for where, words in lines + prose for wrong in [fault(words)] if wrong] == []


@pytest.mark.parametrize(
    "line, want",
    [
        ("npm run --silent kayobe -- --config-path DIR", None),
        ("npm run kayobe --config-path DIR", "npm takes --config-path for itself without --"),
        ("npm run kayobi", "npm has no script kayobi"),
        ("npm run test:unit -- test/kayobe.test.ts", None),
        ("npm run test:unit -- --slow", "npm run test:unit -- --slow has no option --slow"),
        ("npm run kayobe -- --config DIR", "npm run kayobe -- --config DIR has no option --config"),
        ("sriov-role verify live no_such", "there is no scenario ['no_such']"),
        ("sriov-role verifi", "sriov-role verifi is no command"),
        ("ansible-galaxy role instal x", "ansible-galaxy role instal x is no command"),
        ("sriov-vfs stat", "sriov-vfs stat is no command"),
        ("curl -O x", "no test knows the command curl"),
        ("echo anything --at-all", None),
    ],
)
def test_a_command_that_is_not_there_is_reported(line, want):
    [words] = commands(line)
    assert fault(words) == want


@pytest.mark.parametrize(
    "language, text, want",
    [
        ("yaml", "- hosts: all\n", "plays"),
        ("yaml", "sriov_devices: []\n", "variables"),
        ("yaml", "- name: A task alone\n", None),
        ("yaml", "a: 1\n", None),
        ("yml", "- hosts: all\n", None),
        ("console", "$ ls\n", None),
        ("", "anything\n", None),
        ("text", "a\n  |-- b --> c\n", "picture"),
        ("indented", "npm test\n", "commands"),
    ],
)
def test_examples_are_distinguished(language, text, want):
    assert kind(language, text) == want
