# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds and runs the configuration tool, and parses its answers."""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
from collections.abc import Callable, Sequence

from ..errors import Refusal
from ..program import programs, sysfs
from ..program.host import HOST
from .complaints import complaint, explain
from .mstconfig import parse_query

TOOLS = {"mstflint": ("mstconfig", "mstfwreset"), "mft": ("mlxconfig", "mlxfwreset")}
LOCKDOWN = "kernel/security/lockdown"
TOOL_SECONDS = 120
# A query takes a second and hardly any processor time.
AT_ONCE = 16


def find_tools(choice: str) -> tuple[str, str | None] | None:
    """The programs (configuration, reset) to use. choice: auto, mstflint or mft.

    The reset program is None if the host does not have it. Returns None if the host has no suitable tool.
    """
    for package in ("mstflint", "mft") if choice == "auto" else (choice,):
        config = programs.find_program(TOOLS[package][0])
        if config:
            return config, programs.find_program(TOOLS[package][1])
    return None


def run(command: list[str], seconds: float = TOOL_SECONDS) -> tuple[int | None, str]:
    """Run the tool; returns (exit code, what it printed). It prints errors to standard output too.

    The exit code is None if the tool could not be run, or did not end in time; the text then says so.
    """
    environment = dict(os.environ, LC_ALL="C", LANGUAGE="C")
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return None, f"-E- it did not finish within {int(seconds)} s"
    except OSError as error:
        return None, f"-E- it cannot be run: {error.strerror}"
    return done.returncode, done.stdout


def at_once(work: Callable, items: Sequence) -> list:
    """[work(item) for item in items], all at the same time. An exception is raised after all have ended."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(items)))) as pool:
        return [future.result() for future in [pool.submit(work, item) for item in items]]


def package_of(tool):
    """The package that contains a configuration tool."""
    return "MFT" if os.path.basename(tool) == TOOLS["mft"][0] else "mstflint"


def complain(
    tool: str,
    card: dict,
    code: int | None,
    text: str,
    label: str | None = None,
    wanted: dict | None = None,
) -> str:
    """The sentence for a call of the tool that failed. wanted: {name: value} that was to be set; label: of the
    function, or None for the card's.
    """
    return explain(text, code, label or card["label"], wanted, card["family"], package_of(tool)) + lockdown_hint(text)


# A firmware, or a tool, that does not have one of the parameters in the command.
NOT_THERE = re.compile(r"doesn't support|Unknown [Pp]arameter|Failed to find Param|Unsupported Configuration")


def query(
    tool: str,
    function: str,
    card: dict,
    label: str | None = None,
    names: Sequence[str] = (),
    running: bool = True,
) -> dict:
    """What the tool shows for a function of a card. label: as for complain(). Raises Refusal with the tool's reason.

    names: the parameters to read, because each costs the tool time. All are read when it is empty, and when the card
    does not have one of them. running: whether to read also what the card runs with.
    """
    code, text = run([tool, "-d", function] + (["-e"] if running else []) + ["q"] + list(names))
    label = label or card["label"]
    words = complaint(text) or ""
    if code != 0 and names and NOT_THERE.search(words):
        # Older firmware has no number for each function.
        fewer = [name for name in names if name != "PF_NUM_OF_VF_VALID"]
        is_older = len(fewer) < len(names) and re.search(r"\bPF_NUM_OF_VF_VALID\b", words)
        return query(tool, function, card, label, fewer if is_older else (), running)
    if code != 0:
        raise Refusal(complain(tool, card, code, text, label))
    try:
        return parse_query(text)
    except Refusal as error:
        raise Refusal(
            f"{label}: {tool} printed output that this role cannot read ({error}): report it with `{tool} -d {function} -e q`"
        ) from error


def lockdown_hint(text):
    """Why this host may have kept the tool from opening a device, as a clause; "" if it did not."""
    state = sysfs.read_text(os.path.join(HOST.sys, LOCKDOWN), "")
    active = re.search(r"\[(integrity|confidentiality)\]", state)
    if not active or "open" not in (complaint(text) or ""):
        return ""
    return (
        f"; the kernel is locked down ({active.group(1)}, as with Secure Boot), which keeps every tool of this kind "
        "from the card: set the firmware with Secure Boot turned off"
    )
