# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the tables that mstconfig (mstflint) and mlxconfig (MFT) print.

Both tools are built from the same source. The columns moved in 4.22, 4.26, 4.31 and 4.36, so rows are read by their
words, and the heading says which values they have. Nothing here runs a program or reads a file.

Sources are named as file and release of github.com/Mellanox/mstflint: mlxconfig/mlxcfg_ui.cpp prints all of it.
"""

from __future__ import annotations

import re

from ..errors import Refusal
from .complaints import QUOTED, _clean, complaint

HEADING = "Configurations:"
# printConfHeader() in mlxcfg_ui.cpp. A table with "New" is from a `set`.
COLUMNS = {"Default": "default", "Current": "current", "Next Boot": "next"}
OPENING = re.compile(r"^(Device type|Name|Device):\s*(.*)$")
MARKS = ("*", "RO", "*RO")
# All names are upper case except EXP_ROM_UEFI_x86_ENABLE and similar ones (mlxconfig_dbs/mlxconfig_host.db).
NAME = re.compile(r"^[A-Z][A-Z0-9_]*(x86[A-Z0-9_]*)?(\[\d+(\.\.\d+)?\])?$")
# What queryDevCfg() prints after the last row, and what it may print between any two lines.
FOOTER = re.compile(r"^(The '(\*|RO)' shows |Device Firmware does not support reading |Query output saved to |-E- )")
NOTICE = re.compile(r"^(-[WID]- |Warr?ning: )")


def parse_query(text: str) -> dict:
    """The answer of any version to a query of one device, `q` or `-e q`.

    Returns a dict: type ("ConnectX5"), name (of the board; "" if not printed, as for ConnectX-3, or unknown to the
    card), device (as printed), reads_current (bool: the table has a column Current), parameters: {name: {default,
    current, next, read_only}}, values as printed, including "N/A", and None for a column that the table does not have.
    Default and current are missing without -e, and with firmware that cannot read them; for ConnectX-3 current always
    is (FourthGenCommander::isCurrentSupported() in mlxcfg_4thgen_commander.h, up to 4.25). A complaint may
    follow the table if some of it could not be queried: see complaint(). Raises Refusal.
    """
    found = {"type": "", "name": "", "device": "", "reads_current": False, "parameters": {}}
    columns, headings, devices, over = [], 0, 0, False
    for line in _clean(text).splitlines():
        stripped = line.strip()
        if re.match(r"^Device #\d+:$", stripped):
            devices += 1
            if devices > 1:
                raise Refusal("the output is from several devices: the query must name one, with -d")
            columns, over = [], False
        elif stripped.startswith(HEADING):
            columns, over = _columns(stripped), False
            headings += 1
            found["reads_current"] = "current" in columns
        elif columns and not over and stripped and not NOTICE.match(stripped):
            over = bool(FOOTER.match(stripped))
            if not over:
                _add_row(found["parameters"], columns, line.rstrip())
        elif not columns and not headings:
            opening = OPENING.match(stripped)
            if opening:
                key = {"Device type": "type", "Name": "name", "Device": "device"}[opening.group(1)]
                found[key] = "" if opening.group(2) == "N/A" else opening.group(2)
    if not found["parameters"]:
        words = complaint(text)
        what = "a table without rows" if headings else "no table of configurations"
        raise Refusal(f"the output has {what}{f' but says: {words}' if words else ''}")
    return found


def _columns(heading):
    """The columns that a heading names: a list of "default", "current", "next". Raises Refusal."""
    names = re.findall(r"Next Boot|\S+", heading[len(HEADING) :])
    if "New" in names:
        raise Refusal("the output is from a change, not from a query")
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "Next Boot" not in names:
        raise Refusal(
            f"the table has the columns {', '.join(names) or 'none'}; expected: Next Boot, and with -e Default and Current before it"
        )
    return [COLUMNS[name] for name in names]


def _add_row(parameters, columns, row):
    """Put one row into `parameters`. Raises Refusal, naming the row, if its values do not fit the columns."""
    # Up to 4.25 a space follows only a value wider than its column, so one that fills it, such as MNG_PF_ENABLE(1)
    # with its 16 characters, touches the next (PRINT_SPACE_IF_NEEDED in mlxcfg_ui.cpp: "> 16"; since 4.26 ">= 20").
    words = re.sub(r"\)(?=\S)", ") ", row).split()
    read_only = False
    while words and words[0] in MARKS:
        read_only = read_only or words[0].endswith("RO")
        words = words[1:]
    if row[0] not in " \t*" or not words or not NAME.match(words[0]):
        raise Refusal(f"the table has a line that is not a parameter row: {row.strip()[:QUOTED]!r}")
    name, values = words[0], words[1:]
    if len(values) != len(columns):
        raise Refusal(
            f"the row of {name} has {len(values)} values where the heading names {len(columns)} columns: "
            f"{row.strip()[:QUOTED]!r}"
        )
    parameter = dict({"default": None, "current": None}, **dict(zip(columns, values)))
    parameter["read_only"] = read_only
    if parameters.setdefault(name, parameter) != parameter:
        raise Refusal(f"the table has {name} twice, with different values")
