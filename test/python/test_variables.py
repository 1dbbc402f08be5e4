# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says of wrong variables: ansible-playbook runs the first tasks of both artefacts, which only read the
machine.

With Molecule's ansible-core and with Kayobe's: from 2.19 on variables are templated in parts, before that as a whole.
The oldest and the newest are in the scenario `versions`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
# The oldest series that runs, with an ansible-core that templates by the rules before 2.19.
SERIES = json.loads((ROOT / "generator" / "kayobe" / "series.json").read_text())["in_part"]
LIMIT = 1500
NAMES = {"role": "stackhpc.sriov", "collection": "stackhpc.sriov.sriov"}
FOLDERS = {"role": "roles/stackhpc.sriov", "collection": "collections/ansible_collections/stackhpc/sriov/roles/sriov"}
TASKS = """---
- ansible.builtin.import_tasks: assert.yml
- ansible.builtin.import_tasks: devices.yml
- ansible.builtin.debug:
    msg: reached, {{ __sriov_found.notice }}
"""
BARE = "sriov_devices is not set, so nothing is changed on this host"


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory):
    """What `npm run generate` writes, of the sources as they are now, with the first two files of tasks alone."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        ["node", str(ROOT / "generator" / "bootstrap.mjs"), "generate", "--out", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.copytree(out / FOLDERS["role"], out / "whole" / NAMES["role"])
    for folder in FOLDERS.values():
        for path in (out / folder / "tasks").iterdir():
            if path.name not in ("assert.yml", "devices.yml"):
                path.unlink()
        (out / folder / "tasks" / "main.yml").write_text(TASKS)
    return out


def programs(whose):
    if whose == "Molecule":
        return Path(sys.executable).parent
    variable = f"SRIOV_ROLE_KAYOBE_{SERIES.replace('.', '_')}_BIN"
    folder = Path(os.environ.get(variable, ""))
    if not (folder / "ansible-playbook").is_file():
        pytest.fail(
            f"{variable} names no folder with ansible-playbook: run these tests by npm test or npm run test:unit.",
            pytrace=False,
        )
    return folder


WRONG = {
    "an unknown key": (
        {"sriov_devices": [{"name": "a"}, {"name": "b", "num_vfs": 4}]},
        "sriov_devices[1] (name b) has num_vfs, which is not one of its keys: did you mean numvfs?",
    ),
    "a dictionary": ({"sriov_devices": {"name": "ens1f0"}}, "sriov_devices is {'name': 'ens1f0'}: give a list"),
    "a choice": (
        {"sriov_devices": [{"name": "a", "numvfs_driver": "sysfs"}]},
        "sriov_devices[0] (name a): numvfs_driver is 'sysfs': give systemd or udev",
    ),
    "nova": ({"sriov_devices": [{"name": "a", "nova": 5}]}, "sriov_devices[0] (name a): nova is 5: give a dictionary"),
    "a number": (
        {"sriov_devices": [], "sriov_numvfs_timeout": "2m"},
        "sriov_numvfs_timeout is '2m': give a whole number from 1 to 1000000000",
    ),
    "null": (
        {"sriov_devices": [], "sriov_numvfs": None},
        "sriov_numvfs is null: give a whole number from 0 to 65535, or leave it out",
    ),
    "a switch": ({"sriov_devices": [], "sriov_do_reboot": "maybe"}, "sriov_do_reboot is 'maybe': give true or false"),
    "rules that udev does not read": (
        {"sriov_devices": [], "sriov_udev_rule_path": "/etc/udev/rules.d/70-sriov"},
        "sriov_udev_rule_path is '/etc/udev/rules.d/70-sriov': give a path that ends in .rules",
    ),
    "a vendor that is a number": (
        {"sriov_devices": [], "sriov_mellanox_vendor_ids": [0x15B3], "sriov_action": "config"},
        'sriov_mellanox_vendor_ids has 5555: write four hexadecimal digits in quotes, as in "0x15b3"',
    ),
    "a number without end": (
        "sriov_devices: []\nsriov_numvfs: .inf\n",
        "sriov_numvfs is inf: give a whole number from 0 to 65535",
    ),
    "what is no number": ("sriov_devices: []\nsriov_boot_wait: .nan\n", "sriov_boot_wait is nan"),
    "a list that is null": (
        {"sriov_devices": [], "sriov_mellanox_vendor_ids": None},
        "sriov_mellanox_vendor_ids is null: give a list, or leave it out",
    ),
    "an action": (
        {"sriov_devices": [], "sriov_action": "firmware"},
        "sriov_action is 'firmware': give all or config or mellanox",
    ),
    "an unknown release": (
        {"sriov_devices": [{"driver": "ice", "optional": True}], "sriov_openstack_release": 2025.3},
        "sriov_openstack_release is 2025.3, and there is no such release: ",
    ),
    "an undefined variable in an entry": (
        {
            "sriov_devices": [
                {"name": "a"},
                {"name": "b", "numvfs": "{{ lost }}"},
                {"name": "c", "nova": {"trusted": "{{ lost }}"}},
                "{{ lost }}",
            ]
        },
        "An undefined variable is used in sriov_devices[1]: numvfs; sriov_devices[2]: nova; sriov_devices[3]: define it, or correct its name",
    ),
    "an undefined list": ({"sriov_devices": "{{ lost }}"}, "An undefined variable is used in sriov_devices: "),
    "an undefined number": (
        {"sriov_devices": [], "sriov_numvfs": "{{ lost }}"},
        "An undefined variable is used in sriov_numvfs: ",
    ),
}


#: Devices that are not set.
UNSET = {
    "no variable": {},
    "devices that are null": {"sriov_devices": None},
    "devices that are empty text": {"sriov_devices": ""},
    "devices left out by omit": {"sriov_devices": "{{ lost | default(omit) }}"},
    "variables left out by omit": {
        "sriov_do_reboot": "{{ lost | default(omit) }}",
        "sriov_numvfs": "{{ lost | default(omit) }}",
    },
}
RIGHT = {
    "sriov_devices": [
        {
            "driver": "no_such",
            "optional": "{{ true }}",
            "numvfs": "{{ sriov_numvfs }}",
            "numvfs_required_by": "a.service,b.service",
        }
    ],
    "sriov_numvfs": "4",
    "sriov_do_reboot": "no",
    "sriov_workdir": "~/x",
    "sriov_physnet_mappings": None,
    "sriov_openstack_release": None,
    "sriov_mstflint_pkgs": "mstflint",
}
UNKNOWN = {"sriov_devices": [], "sriov_numvf": 4, "sriov_of_the_site": "{{ not_looked_at }}"}
MISSPELT = {"srov_devices": [{"name": "ens1f0"}], "sr-iov_devices": [{"name": "ens1f0"}]}
CASES = {
    **{name: variables for name, (variables, _sentence) in WRONG.items()},
    **UNSET,
    "right": RIGHT,
    "unknown": UNKNOWN,
    "misspelt": MISSPELT,
}


@pytest.fixture(
    scope="module",
    params=[("role", f"Kayobe {SERIES}"), ("collection", "Molecule")],
    ids=" ".join,
    name="said",
)
def _said(request, artefacts, tmp_path_factory):
    """What a run says, as a whole and of each host; each case is one."""
    layout, whose = request.param
    folder = tmp_path_factory.mktemp("play")
    (folder / "host_vars").mkdir()
    for number, variables in enumerate(CASES.values()):
        text = variables if isinstance(variables, str) else json.dumps(variables)
        (folder / "host_vars" / ("hv%02d.yml" % number)).write_text(text)
    (folder / "hosts").write_text(
        "[compute_sriov]\n%s[compute_sriov:vars]\nansible_connection=local\nansible_become=false\n"
        "ansible_python_interpreter=%s\n"
        % ("".join("hv%02d\n" % number for number in range(len(CASES))), sys.executable)
    )
    (folder / "play.yml").write_text(
        json.dumps(
            [
                {
                    "hosts": "compute_sriov",
                    "gather_facts": False,
                    "tasks": [{"ansible.builtin.include_role": {"name": NAMES[layout]}}],
                }
            ]
        )
    )
    bin_folder = programs(whose)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    outcome = subprocess.run(
        [str(bin_folder / "ansible-playbook"), "-i", "hosts", "play.yml"],
        cwd=folder,
        text=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={
            **kept,
            "PATH": f"{bin_folder}:{kept['PATH']}",
            "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_ROLES_PATH": str(artefacts / "roles"),
            "ANSIBLE_COLLECTIONS_PATH": str(artefacts / "collections"),
            "ANSIBLE_ALLOW_BROKEN_CONDITIONALS": "false",
            "ANSIBLE_CALLBACK_RESULT_INDENT": "0",
        },
    )
    assert "PLAY RECAP" in outcome.stdout, outcome.stdout
    return " ".join(outcome.stdout.split()), {
        name: [
            line
            for line in re.split(r"\n(?=[a-z]+: \[|TASK)", outcome.stdout)
            if "[hv%02d]" % number in line and not line.startswith("included")
        ]
        for number, name in enumerate(CASES)
    }


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_variable_is_one_short_sentence(said, case):
    last = said[1][case][-1]
    assert last.startswith("fatal: ") and len(last) < LIMIT, last
    assert json.JSONDecoder().raw_decode(last[last.index("{") :])[0]["msg"].startswith(WRONG[case][1]), last


@pytest.mark.parametrize("case", UNSET)
def test_devices_that_are_not_set_are_reported(said, case):
    assert "reached, " + BARE in said[1][case][-1], said[1][case]


def test_what_is_right_is_taken_as_ansible_makes_it(said):
    assert re.search(r'"msg": "reached, *"', said[1]["right"][-1]), said[1]["right"]


def test_an_unknown_variable_is_named(said):
    assert "[WARNING]: sriov_numvf is not a variable of this role: did you mean sriov_numvfs?" in said[0]
    assert "[WARNING]: sriov_of_the_site is not a variable of this role: the role does not read it" in said[0]


def test_a_misspelt_list_is_named_first(said):
    sentence = (
        "".join(
            name + " is not a variable of this role: did you mean sriov_devices? "
            for name in ("sr-iov_devices", "srov_devices")
        )
        + BARE
    )
    assert "[WARNING]: " + sentence in said[0] and "reached, " + sentence in said[1]["misspelt"][-1], said[1][
        "misspelt"
    ]


def test_nothing_else_is_warned_of(said):
    assert said[0].count("[WARNING]") == 4, said[0]
    assert "DEPRECATION" not in said[0] and "Traceback" not in said[0], said[0]


@pytest.mark.parametrize(
    "more",
    [{}, {"sriov_iommu_enabled": False}, {"sriov_action": "config"}, {"sriov_devices": None, "sriov_do_reboot": True}],
)
def test_without_devices_no_module_is_run_that_changes_anything(artefacts, tmp_path, more):
    """The whole role, in check mode because of what this test is to find."""
    variables = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        **more,
    }
    (tmp_path / "play.yml").write_text(
        json.dumps(
            [
                {
                    "hosts": "hv",
                    "gather_facts": False,
                    "vars": variables,
                    "tasks": [{"ansible.builtin.include_role": {"name": NAMES["role"]}}],
                }
            ]
        )
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    said = subprocess.run(
        [str(programs("Molecule") / "ansible-playbook"), "-i", "hv,", "--check", "play.yml"],
        cwd=tmp_path,
        text=True,
        check=True,
        stdout=subprocess.PIPE,
        env={
            **kept,
            "ANSIBLE_HOME": str(ROOT / "build" / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_ROLES_PATH": str(artefacts / "whole"),
        },
    ).stdout
    done = dict(re.findall(rf"^TASK \[{re.escape(NAMES['role'])} : (.+?)\] \**\n(\w+): \[hv\]", said, re.MULTILINE))
    # The modules that change something are in the file that this includes.
    assert {name: done[name] for name in done if name.startswith("Ensure ")} == {
        "Ensure that the host has the wanted configuration": "skipping"
    }, said
    assert BARE in said and "No reboot is due" not in said and "changed=0" in said, said
