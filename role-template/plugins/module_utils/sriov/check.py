# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of the role's variables: keys, types, choices and bounds, from the model (variables.py).

This does not check the meaning of a value. A value that passes can be compared, converted and written without another
check of its type.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from .errors import Refusal
from .selector import labelled
from .variables import OTHERS, VARIABLES, WITH_DEFAULT

YES, NO = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")
# More than any number here: Python refuses to write or read integers of thousands of digits.
LARGEST = 10**18
WHOLE_NUMBER = re.compile(r"^\s*[+-]?[0-9]{1,18}\s*\Z", re.ASCII)
# Ends a text for the kernel and for systemd, or a line of a file; half of a surrogate pair cannot be written at all.
NO_TEXT = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
# A value that JSON cannot contain, in a dictionary in Python's notation.
NO_JSON = re.compile(r"'(sriov_\w+)': (-?inf|nan|datetime\.\w+\([^)]*\))")
ENTRY = re.compile(r"^sriov_devices\[[0-9]+\]\Z")
SHOWN = 60
FAULTS_SHOWN = 10
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
    """A whole number, as a number or in digits (from an INI inventory); None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if abs(value) < LARGEST else None
    return int(value) if isinstance(value, str) and WHOLE_NUMBER.match(value) else None


def truth(value: object) -> bool | None:
    """A truth value, also as a text such as "false" from an INI inventory; None for anything else."""
    word = str(value).strip().lower() if isinstance(value, (bool, int, str)) else ""
    return True if word in YES else False if word in NO else None


def words(value: object) -> list:
    """A list of texts, or one text with commas (from an INI inventory)."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else list(value or [])


def is_unset(devices: object) -> bool:
    """Whether sriov_devices is not set: a missing variable becomes null or an empty text."""
    return devices is None or isinstance(devices, str) and not devices.strip()


def nearest(name, names):
    """The name that was probably meant, or None."""
    # Without the prefix of all variables, which would make any two of them similar.
    variable = name.lower().startswith(PREFIX)
    bare = {one[len(PREFIX) :] if variable and one.startswith(PREFIX) else one: one for one in names}
    close = difflib.get_close_matches(name.lower()[len(PREFIX) :] if variable else name.lower(), list(bare), 1, 0.6)
    return bare[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """The end of a sentence about an unknown name."""
    close = nearest(name, names)
    return f"did you mean {close}?" if close else otherwise


def unknown_variables(names: Iterable[str]) -> list[str]:
    """One sentence for each variable that begins like the role's variables but is not one of them.

    names: the names of the host's variables, also those of other roles.
    """
    unknown = sorted(name for name in set(names) - set(VARIABLES) - set(OTHERS) if name.lower().startswith(PREFIX))
    return [
        f"{name} is not a variable of this role: {did_you_mean(name, VARIABLES, 'the role does not read it')}"
        for name in unknown
    ]


def misspelt_devices(names: Iterable[str]) -> list[str]:
    """Like unknown_variables(), for names with any beginning that were probably meant to be sriov_devices."""
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
    """The sentence about variables that ansible-core before 2.19 turned into one text, because one of them is not JSON.

    text: a dictionary in Python's notation.
    """
    found = NO_JSON.search(text)
    subject = "%s is %s" % found.groups() if found else "a variable of this role is a date, or an infinite number"
    return f"{subject}, which Ansible cannot pass to a module: give a number, or put text in quotes"


def range_of(spec):
    """The allowed numbers of a variable, in words."""
    low, high = spec.get("minimum"), spec.get("maximum")
    if low is not None and high is not None:
        return f"a whole number from {low} to {high}"
    return "a whole number" if low is None else f"a whole number of {low} or more"


def in_range(number, spec):
    return number is not None and spec.get("minimum", number) <= number <= spec.get("maximum", number)


def fault_of_scalar(value, spec):
    """The error of a value that is neither list nor dictionary, as advice; None if there is none."""
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
    """Like fault_of_scalar(), for characters that are not allowed. unfit: whether a character is not allowed."""
    found = next(filter(unfit, text), None)
    return None if found is None else f"remove the character U+{ord(found):04X} from it"


def fault_of_path(value, ending):
    """Like fault_of_scalar(), for a path. ending: its required ending."""
    # As in Ansible, a path may begin with ~ or an environment variable.
    if not isinstance(value, str) or value[:1] not in ("/", "~", "$"):
        return "give a path that begins with /" + (f" and ends in {ending}" if ending else "")
    # Units and rules contain paths.
    fault = fault_of_characters(value, lambda character: not character.isprintable())
    return fault or (None if value.endswith(ending) else f"give a path that ends in {ending}")


def faults_of(value, spec, subject):
    """The sentences about one value, and about the content of a list or dictionary. subject: its name in them."""
    kind = spec["type"]
    if kind == "raw" and isinstance(value, (list, dict)) and {"list", "map"}.intersection(spec.get("also", ())):
        return []
    # Other modules know its keys and check it: mellanox/mstconfig.py and openstack/variables.py.
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
        entry = ENTRY.match(subject)
        return faults_of_keys(
            value, spec["fields"], labelled(value, subject) if entry else subject, ": " if entry else "."
        )
    advice = fault_of_scalar(value, spec)
    return [] if advice is None else [f"{subject} is {shown(value)}: {advice}"]


def faults_of_keys(given, fields, subject, separator):
    """Like faults_of(), for a dictionary. separator: the text between its name and that of a key."""
    faults = []
    for key, value in given.items():
        if key not in fields:
            is_short_text = isinstance(key, str) and not NO_TEXT.search(key) and len(key) <= SHOWN
            meant = did_you_mean(str(key), fields, f"they are {', '.join(fields)}")
            faults.append(
                f"{subject} has {key if is_short_text else shown(key)}, which is not one of its keys: {meant}"
            )
        elif value is not None:
            faults += faults_of(value, fields[key], subject + separator + key)
    return faults


def refuse(variables: dict) -> None:
    """Raise Refusal if variables do not have the form in the model, with all their errors.

    variables: {name: value} of the variables that are set.
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
    if len(faults) > FAULTS_SHOWN:
        faults[FAULTS_SHOWN:] = [f"and {len(faults) - FAULTS_SHOWN} more are wrong"]
    if faults:
        raise Refusal("; ".join(faults))
