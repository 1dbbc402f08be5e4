# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of each module are the same in its documentation, in its argument_spec, and in the tasks that run it.

ansible-test compares the first two only when a release is built, and knows nothing of the tasks.
"""

import importlib
from pathlib import Path

import pytest
import yaml

ROLE = Path(__file__).parents[2] / "role-template"
PREFIX = "stackhpc.sriov."
MODULES = sorted(path.stem for path in (ROLE / "plugins" / "modules").glob("*.py"))
STANDARD = {"type": "str", "default": None, "elements": None, "required": False, "choices": None}


class Captured(Exception):
    """Ends a module where it has handed over its argument_spec."""


def module(name):
    return importlib.import_module("ansible_collections.stackhpc.sriov.plugins.modules." + name)


def documented(name):
    """The options in the documentation of a module."""
    return yaml.safe_load(module(name).DOCUMENTATION)["options"]


def specified(name, monkeypatch):
    """The argument_spec that a module hands to Ansible."""

    def capture(argument_spec, **_more):
        raise Captured(argument_spec)

    monkeypatch.setattr(module(name), "AnsibleModule", capture)
    with pytest.raises(Captured) as captured:
        module(name).main()
    return captured.value.args[0]


def facts(option):
    """What both say of an option."""
    return {key: option.get(key, standard) for key, standard in STANDARD.items()}


def runs():
    """Each task that runs a module of ours: file, module, arguments."""
    tasks = [
        (path.name, task)
        for path in sorted((ROLE / "tasks").glob("*.yml"))
        for task in yaml.safe_load(path.read_text())
    ] + [
        (path.name, task)
        for path in sorted((ROLE / "playbooks").glob("*.yml"))
        for play in yaml.safe_load(path.read_text())
        for task in play["tasks"]
    ]
    return [
        (path, key[len(PREFIX) :], arguments or {})
        for path, task in tasks
        for key, arguments in task.items()
        if key.startswith(PREFIX)
    ]


RUNS = runs()


@pytest.mark.parametrize("name", MODULES)
def test_the_documentation_has_what_the_module_takes(name, monkeypatch):
    takes, says = specified(name, monkeypatch), documented(name)
    assert {name: facts(option) for name, option in says.items()} == {
        name: facts(option) for name, option in takes.items()
    }


def test_every_module_is_run_by_a_task():
    assert sorted({name for _path, name, _arguments in RUNS}) == MODULES


@pytest.mark.parametrize("path, name, arguments", RUNS, ids=["%s-%s" % run[:2] for run in RUNS])
def test_a_task_gives_what_the_module_takes(path, name, arguments):
    options = documented(name)
    unknown = set(arguments) - set(options)
    missing = {option for option, spec in options.items() if spec.get("required")} - set(arguments)
    assert not unknown and not missing, path
