# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of firmware parameters: as a user writes them, as the tool reads them and as it shows them."""

from __future__ import annotations

import re

from ..errors import Refusal

# No value of a card has more digits than a number of 64 bits, and int() refuses 4300 digits or more.
NUMBER = re.compile(r"^(0[xX][0-9A-Fa-f]{1,16}|0|[1-9][0-9]{0,19})\Z")
NAMED_NUMBER = re.compile(r"^([^()\s]+)\(([0-9]{1,20})\)\Z")
TRUTH = {"true": 1, "false": 0}
# MLXCFG_UNKNOWN, 0xffffffff, is reserved: UnsignedParamValue::parseValueAux() in mlxcfg_param.cpp refuses it.
LARGEST = 0xFFFFFFFE


def number_and_name(shown: object) -> tuple[int | None, str | None]:
    """The number and the name in a value that a table shows: (int or None, str or None).

    MlxCfg::printValue() in mlxcfg_ui.cpp prints a number with a name as NAME(NUMBER), else the number alone.
    N/A and Array[0..7] are not single values and give (None, None).
    """
    shown = str(shown).strip() if shown is not None else ""
    both = NAMED_NUMBER.match(shown)
    if both:
        return int(both.group(2)), both.group(1)
    if NUMBER.match(shown):
        return int(shown, 0), None
    if shown.lower() in TRUTH:
        return TRUTH[shown.lower()], shown
    if shown in ("", "N/A") or "[" in shown:
        return None, None
    return None, shown


def _number_or_name(wanted):
    """What a user wrote: an int for a number or a truth value, an upper-case str for a name, else None."""
    if isinstance(wanted, (bool, int)):
        return int(wanted)
    if not isinstance(wanted, str) or not wanted.strip():
        return None
    wanted = wanted.strip()
    if NUMBER.match(wanted):
        return int(wanted, 0)
    return TRUTH.get(wanted.lower(), wanted.upper())


def same(wanted: object, shown: str | None) -> bool:
    """Whether a table shows the value that a user wrote (bool, int, or str: a number or a name in any case).

    Numbers are compared with numbers and names with whole names, as EnumParamValue::parseValue() in mlxcfg_param.cpp
    does (strcasecmp). False if the table shows no value.
    """
    wanted = _number_or_name(wanted)
    number, name = number_and_name(shown)
    if isinstance(wanted, int):
        return number == wanted
    return wanted is not None and name is not None and name.upper() == wanted


def argument(name: str, wanted: object) -> str:
    """NAME=VALUE as `set` takes it: truth values as 1 and 0, numbers decimal, names in upper case.

    Decimal, because the tool reads numbers with strtoul(..., 0): 010 would be 8 (strToNum() in mlxcfg_utils.h).
    wanted: a value that checked_parameters() accepted.
    """
    return f"{name}={_number_or_name(wanted)}"


def checked_parameters(parameters: object, where: str) -> dict:
    """The parameters that a user requests, with the names as the tool spells them; values as given, text stripped.

    parameters: the map `firmware` of a device, {name: bool, int or str}; where: names the device in the message.
    The elements of an array are refused: the role cannot compare them, because the table shows Array[0..7].
    Raises Refusal with one sentence that starts with `where`.
    """
    start = where + ": firmware: "
    if not isinstance(parameters, dict):
        raise Refusal(start + f"{_kind(parameters)} is not a map: write one line NAME: value for each parameter")
    checked = {}
    for given, value in parameters.items():
        name = _checked_name(given, start)
        if name in checked:
            raise Refusal(start + f"{name} is listed twice: write it once, in upper case")
        checked[name] = _checked_value(name, value, start)
    return checked


def _checked_name(given, start):
    """A parameter name as the tool spells it: it looks names up in a database, where case matters. Raises Refusal."""
    name = given.strip().upper() if isinstance(given, str) else ""
    if re.match(r"^[A-Z0-9_]+\[", name):
        raise Refusal(
            start + f"{name} is an element of an array, which cannot be compared: set it by hand with mstconfig"
        )
    if not re.match(r"^[A-Z][A-Z0-9_]*$", name):
        raise Refusal(
            start + f"{given!r:.60} is not a parameter name: write it as `mstconfig q` shows it, such as NUM_OF_VFS"
        )
    return re.sub(r"_X86(?=_|$)", "_x86", name)


def _checked_value(name, value, start):
    """A value that the role can set and compare. Raises Refusal."""
    if isinstance(value, str):
        value = value.strip()
        if not re.match(r"^[A-Za-z0-9_.-]+$", value):
            what = f"{value!r:.60}, with characters that no value has" if value else "empty"
            raise Refusal(start + f"{name} is {what}: write a number, true, false, or a name such as ETH")
        if re.match(r"^0[0-9]", value):
            raise Refusal(
                start + f"{name} is {value!r}, which the tool would read as octal: write it without leading zeros"
            )
        if re.match(r"^(-?[0-9]+\.?[0-9]*|0[xX][0-9A-Fa-f]+)$", value) and not NUMBER.match(value):
            raise Refusal(start + f"{name} is {value!r}: write a whole number from 0 to {LARGEST}")
    elif not isinstance(value, (bool, int)):
        raise Refusal(start + f"{name} is {_kind(value)}: write a number, true, false, or a name such as ETH")
    number = _number_or_name(value)
    if isinstance(number, int) and not 0 <= number <= LARGEST:
        raise Refusal(start + f"{name} is {value}: write a whole number from 0 to {LARGEST}")
    return value


def _kind(value):
    """A value of the wrong kind, in a few words."""
    if value is None:
        return "empty"
    names = {float: f"the fraction {value}", dict: "a map", list: "a list", tuple: "a list"}
    return names.get(type(value), f"of type {type(value).__name__}")
