# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver mlx4_core on this host: its cards, how it takes its options, and where else they are set."""

from __future__ import annotations

import os
import re

from .errors import Refusal
from .program import programs, sysfs
from .program.host import HOST

DRIVER = "mlx4_core"
# modprobe.d(5). Of two files with the same name, modprobe uses the one in the earlier directory.
MODPROBE_DIRECTORIES = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
PARAMETERS = ("num_vfs", "probe_vf", "port_type_array")
PORT_TYPE = re.compile(r"^(auto \()?(ib|eth)\)?$")
NONE = (0, 0, 0)


def read_card(function):
    """A ConnectX-3 function with its ports: {"function", "name", "types": "ib" or "eth" of each port, "senses": bool}.

    function: from sysfs.read_function(). No types if the ports cannot be read (show_port_type() in the driver's main.c
    writes "ib", "eth", "auto (ib)" or "auto (eth)"). senses: whether a port detects its type by itself.
    """
    texts = [sysfs.read_text(sysfs.device_path(function["address"], f"mlx4_port{port}")) for port in (1, 2)]
    matches = [PORT_TYPE.match(text) for text in texts if text is not None]
    known = texts[0] is not None and all(matches)
    return {
        "function": function,
        "name": sysfs.describe(function),
        "types": [match.group(2) for match in matches] if known else [],
        "senses": known and any(match.group(1) for match in matches),
    }


def read_cards():
    """Every function of this host that mlx4_core drives and that is not a VF, by address."""
    functions = [
        sysfs.read_function(address)
        for address in sysfs.list_names(HOST.sys + "/bus/pci/devices")
        if sysfs.link_name(sysfs.device_path(address, "driver")) == DRIVER
    ]
    return {function["address"]: read_card(function) for function in functions if function and not function["physfn"]}


def takes_addresses(run):
    """Whether the driver takes its options for each address, like that of MLNX_OFED, or once for all cards.

    The kernel's own driver declares them with module_param_array, the other with module_param_string.
    run: runs a command and returns (code, output, errors). Raises Refusal if it cannot find out.
    """
    program = programs.find_program("modinfo")
    if program is None:
        raise Refusal(f"the program modinfo, which shows the options of {DRIVER}, is not on this host: install kmod")
    code, output, errors = run([program, "-F", "parm", DRIVER])
    if code:
        raise Refusal(
            f"modinfo does not know the driver {DRIVER} ({last_lines(errors) or f'exit code {code}'}): install the kernel package that has it"
        )
    # A description may have several lines; the type is at the end of the last one.
    match = re.search(
        r"^num_vfs:(?:(?!^\w+:).)*?\((array of byte|string|charp)\)\s*$", output, re.MULTILINE | re.DOTALL
    )
    if match is None:
        raise Refusal(
            f"the driver {DRIVER} of this kernel has no option num_vfs in a form that the role knows (modinfo -F parm "
            f"{DRIVER}): use the driver of a newer kernel"
        )
    return match.group(1) != "array of byte"


def last_lines(text):
    """The last lines of a program's output, as one line."""
    return "; ".join(line.strip() for line in text.strip().splitlines()[-3:])


def option_sources(options_path):
    """Where else this host sets one of our options: a list of (place, name, value).

    options_path: our own file. Comments, continued lines and masked files are read as modprobe reads them.
    """
    found, seen = [], {os.path.basename(options_path)}
    for directory in map(HOST.real, MODPROBE_DIRECTORIES):
        names = [name for name in sysfs.list_names(directory) if name.endswith(".conf") and name not in seen]
        seen.update(names)
        for name in names:
            path, text = os.path.join(directory, name), ""
            lines = (sysfs.read_file(path) or "").split("\n") if os.path.isfile(path) else []
            for number, line in enumerate(lines, 1):
                text += line
                if text.endswith("\\"):
                    text = text[:-1] + " "
                    continue
                words, text = text.split(), ""
                if words[:1] == ["options"] and len(words) > 1 and words[1].replace("-", "_") == DRIVER:
                    found += [(f"line {number} of {path}",) + option for option in our_options(words[2:])]
    words = [
        word.partition(".")[2]
        for word in sysfs.read_text(HOST.proc + "/cmdline", "").split()
        if word.partition(".")[0].replace("-", "_") == DRIVER
    ]
    return found + [("the kernel command line",) + option for option in our_options(words)]


def our_options(words):
    """Those of a line's NAME=VALUE words that set one of our options, as (name, value)."""
    pairs = [word.replace('"', "").partition("=") for word in words]
    return [(name, value) for name, _equals, value in pairs if name in PARAMETERS]


def parse_vfs(text):
    """The triplet of each address in a value of num_vfs or probe_vf; under "" the one that applies to all cards.

    A single value means VFs with all ports (param_map in __mlx4_init_one()). None for any other text.
    """
    found = {}
    try:
        if ":" not in text and "." not in text:
            parts = [("", text.split(","))] if text not in ("", "(null)") else []
        else:
            parts = [(entry.partition("-")[0].lower(), entry.partition("-")[2].split(";")) for entry in text.split(",")]
        for address, words in parts:
            values = [int(word, 0) for word in words]
            if not 1 <= len(values) <= 3:
                return None
            triplet = [0, 0] + values if len(values) == 1 else (values + [0])[:3]
            found["0000:" + address if address.count(":") == 1 else address] = tuple(triplet)
    except ValueError:
        return None
    return found


def running_option(name, address):
    """The triplet with which the running driver was loaded, for one card; None if it cannot be read."""
    text = sysfs.read_text(f"{HOST.sys}/module/{DRIVER}/parameters/{name}")
    values = parse_vfs(text) if text is not None else None
    return values.get(address, values.get("", NONE)) if values is not None else None
