# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of the role's variables: keys, types, choices and bounds, as the model has them (variables.py).

What a value means is not checked here. Whatever passes can be compared, converted and written without a further look at
its type.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from .errors import Refusal
from .selector import labelled
from .variables import OTHERS, VARIABLES, WITH_DEFAULT

YES, NO = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")
# More than any number here: Python refuses to write integers of thousands of digits, and to read them.
LARGEST = 10**18
WHOLE_NUMBER = re.compile(r"^\s*[+-]?[0-9]{1,18}\s*\Z", re.ASCII)
# Ends a text for the kernel and for systemd, or a line of a file; half of a surrogate pair cannot be written at all.
NO_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
# A value of a variable that no JSON has, in a dictionary as Python writes it.
NO_JSON = re.compile(r"'(sriov_\w+)': (-?inf|nan|datetime\.\w+\([^)]*\))")
SHOWN = 60
FAULTS_TOLD = 10
PREFIX = "sriov_"


def shown(value: object) -> str:
    """A value for a message, however large it is."""
    if value is None:
        return "null"
    try:
        text = repr(value)
    except ValueError:
        # An integer of thousands of digits.
        text = "very large"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def whole_number(value: object) -> int | None:
    """A whole number, as such or in digits, as an INI inventory has it; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if abs(value) < LARGEST else None
    return int(value) if isinstance(value, str) and WHOLE_NUMBER.match(value) else None


def truth(value: object) -> bool | None:
    """A yes or no, "false" from an INI inventory included; None for anything else."""
    word = str(value).strip().lower() if isinstance(value, (bool, int, str)) else ""
    return True if word in YES else False if word in NO else None


def words(value: object) -> list:
    """A list of texts, which may be one text with commas, as an INI inventory has it."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else list(value or [])


def is_unset(devices: object) -> bool:
    """Whether sriov_devices is not set: null and an empty text are what becomes of a variable that is not there."""
    return devices is None or isinstance(devices, str) and not devices.strip()


def nearest(name, names):
    """The one of some names that another was probably meant to be, or None."""
    # Of variables without what all of them begin with, which would make any two alike.
    variable = name.lower().startswith(PREFIX)
    bare = {one[len(PREFIX) :] if variable and one.startswith(PREFIX) else one: one for one in names}
    close = difflib.get_close_matches(name.lower()[len(PREFIX) :] if variable else name.lower(), list(bare), 1, 0.6)
    return bare[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """The end of a sentence about an unknown name."""
    close = nearest(name, names)
    return f"did you mean {close}?" if close else otherwise


def unknown_variables(names: Iterable[str]) -> list[str]:
    """One sentence for each variable that begins as the role's do and is none of them.

    names: of variables of the host, those of the role and of others among them.
    """
    unknown = sorted(name for name in set(names) - set(VARIABLES) - set(OTHERS) if name.lower().startswith(PREFIX))
    return [
        f"{name} is not a variable of this role: {did_you_mean(name, VARIABLES, 'the role does not read it')}"
        for name in unknown
    ]


def misspelt_devices(names: Iterable[str]) -> list[str]:
    """As unknown_variables(), of those names that were probably meant to be sriov_devices, however they begin."""
    meant = [
        name
        for name in set(names) - set(VARIABLES) - set(OTHERS)
        if (
            nearest(name, VARIABLES)
            if name.lower().startswith(PREFIX)
            else next(iter(difflib.get_close_matches(name.lower(), list(VARIABLES), 1, 0.85)), None)
        )
        == "sriov_devices"
    ]
    return [f"{name} is not a variable of this role: did you mean sriov_devices?" for name in sorted(meant)]


def not_handed_over(text: str) -> str:
    """The sentence about variables of which ansible-core before 2.19 has made one text, as it does when one is no JSON.

    text: a dictionary as Python writes it.
    """
    found = NO_JSON.search(text)
    subject = "%s is %s" % found.groups() if found else "a variable of this role is a date, or an infinite number"
    return f"{subject}, which Ansible cannot pass to a module: give a number, or put text in quotes"


def range_of(spec):
    """The numbers that a variable may have, in words."""
    low, high = spec.get("minimum"), spec.get("maximum")
    if low is not None and high is not None:
        return f"a whole number from {low} to {high}"
    return "a whole number" if low is None else f"a whole number of {low} or more"


def in_range(number, spec):
    return number is not None and spec.get("minimum", number) <= number <= spec.get("maximum", number)


def fault_of_scalar(value, spec):
    """What is wrong with a value that is neither list nor dictionary, as advice; None when nothing is."""
    kind = spec["type"]
    if kind == "int":
        return None if in_range(whole_number(value), spec) else "give " + range_of(spec)
    if kind == "bool":
        return None if truth(value) is not None else "give true or false"
    if "choices" in spec:
        return None if value in spec["choices"] else "give " + " or ".join(spec["choices"])
    if kind == "path":
        return fault_of_path(value, spec.get("ending", ""))
    if not isinstance(value, (str, int, float)):
        return "give text"
    return fault_of_characters(value, NO_TEXT.search) if isinstance(value, str) else None


def fault_of_characters(text, unfit):
    """As fault_of_scalar(), of what a text may not have in it. unfit: whether a character is such a one."""
    found = next(filter(unfit, text), None)
    return None if found is None else f"remove the character U+{ord(found):04X} from it"


def fault_of_path(value, ending):
    """As fault_of_scalar(), of a path. ending: what it has to end in."""
    # As Ansible does, a path may begin with ~ or a variable of the environment.
    if not isinstance(value, str) or value[:1] not in ("/", "~", "$"):
        return "give a path that begins with /" + (f" and ends in {ending}" if ending else "")
    # Paths stand in units and rules.
    fault = fault_of_characters(value, lambda character: not character.isprintable())
    return fault or (None if value.endswith(ending) else f"give a path that ends in {ending}")


def faults_of(value, spec, subject):
    """The sentences about one value. subject: what it is called in them. Of lists and dictionaries, about what is in
    them too.
    """
    kind = spec["type"]
    if kind == "raw" and isinstance(value, (list, dict)) and spec.get("also"):
        return []
    # Its keys are somebody else's, and so is the check of it: mellanox/mstconfig.py and openstack/variables.py.
    if kind == "map":
        return []
    if kind == "list":
        elements = spec["elements"]
        if isinstance(value, str) and elements["type"] != "dict":
            value = words(value)
        if not isinstance(value, list):
            hint = (
                ", for example with -e '{\"sriov_devices\": []}'"
                if isinstance(value, str) and value.strip().startswith("[")
                else ""
            )
            return [f"{subject} is {shown(value)}: give a list{hint}"]
        return [
            sentence
            for index, item in enumerate(value)
            for sentence in faults_of(item, elements, f"{subject}[{index}]")
        ]
    if kind == "dict":
        if not isinstance(value, dict):
            return [f"{subject} is {shown(value)}: give a dictionary"]
        entry = subject.startswith("sriov_devices[") and subject.endswith("]")
        return faults_of_keys(
            value, spec["fields"], labelled(value, subject) if entry else subject, ": " if entry else "."
        )
    advice = fault_of_scalar(value, spec)
    return [] if advice is None else [f"{subject} is {shown(value)}: {advice}"]


def faults_of_keys(given, fields, subject, separator):
    """As faults_of(), of a dictionary. separator: what stands between its own name and that of a key."""
    faults = []
    for key, value in given.items():
        if key not in fields:
            faults.append(
                f"{subject} has {key if isinstance(key, str) and (not NO_TEXT.search(key)) and (len(key) <= SHOWN) else shown(key)}, which is not one of its keys: {did_you_mean(str(key), fields, 'they are ' + ', '.join(fields))}"
            )
        elif value is not None:
            faults += faults_of(value, fields[key], subject + separator + key)
    return faults


def refuse(variables: dict) -> None:
    """Raise Refusal when variables are not of the form that the model says, with all that is wrong with them.

    variables: {name: value}, of those that are set.
    """
    faults = []
    for name, value in variables.items():
        spec = VARIABLES[name]
        if value is None:
            if name in WITH_DEFAULT:
                faults.append(
                    f"{name} is null: {'give a list' if spec['type'] == 'list' else fault_of_scalar([], spec)}, or "
                    "leave it out"
                )
        elif not (name == "sriov_devices" and is_unset(value)):
            faults += faults_of(value, spec, name)
    if len(faults) > FAULTS_TOLD:
        faults[FAULTS_TOLD:] = [f"and {len(faults) - FAULTS_TOLD} more are wrong"]
    if faults:
        raise Refusal("; ".join(faults))
