# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resets cards, so that they run with what is set without a reboot."""

from __future__ import annotations

import os
import time

from ..errors import Refusal
from ..program import holders, sysfs, writers
from .cards import look, not_running
from .complaints import reset_refusal
from .tool import TOOL_SECONDS, TOOLS, query, run
from .wanted import functions_of

RESET_SECONDS = 600
RETURN_SECONDS = 90


def obstacle(card, carriers):
    """Why a card must not be reset, in words, or None. carriers: from connection.connection_functions()."""
    functions = functions_of(card["card"])
    if carriers is None:
        return "it is not known whether it carries the connection to this host"
    if set(functions) & carriers:
        return "it carries the connection to this host"
    drivers = {function: holders.userspace_driver(function) for function in functions}
    held = [f"its PF {function} is bound to {driver}" for function, driver in drivers.items() if driver] + [
        holder for function in functions for holder in holders.vf_holders(function)
    ]
    return "; ".join(held) if held else None


def reset_card(config_tool, tool, card, waiting):
    """Remove the VFs of a card and reset it, so that it runs with what is set. Returns None, or why it does not.

    Either way it gets its VFs back.

    waiting: what the card does not run with.
    """
    before = {function: sysfs.read_function(function) for function in functions_of(card["card"])}
    had = {function: seen["numvfs"] for function, seen in before.items() if seen and seen["numvfs"]}
    try:
        failed = [message for message in writers.set_all(dict.fromkeys(had, 0), TOOL_SECONDS).values() if message]
        why = "; ".join(failed) or do_reset(tool, before) or still_not_running(config_tool, card, waiting)
    finally:
        # The role may not manage all of them. It sets the number of those that it manages afterwards.
        back = {
            function: min(count, (sysfs.read_function(function) or {}).get("totalvfs") or 0)
            for function, count in had.items()
        }
        failed = [message for message in writers.set_all(back, TOOL_SECONDS).values() if message]
    if not why:
        card["done"].append("reset")
    if failed and not why:
        raise Refusal("; ".join(failed))
    return "; ".join([why] + failed) if why else None


def do_reset(tool, before):
    """Call the reset tool and wait until the host has the card back. before: its functions, as they were.

    Returns None, or why it was not reset.
    """
    functions = sorted(before)
    # Level 3 stops only the driver of this card's functions, and starts it again (mlxfwreset_mlnxdriver.py).
    code, text = run([tool, "-d", min(functions), "-l", "3", "-y", "reset"], RESET_SECONDS)
    refused = f"it did not finish within {RESET_SECONDS} s" if code is None else reset_refusal(text, code)
    if refused:
        return refused
    deadline = time.monotonic() + RETURN_SECONDS
    while not all(is_back(function, before[function]) for function in functions):
        if time.monotonic() >= deadline:
            return f"it was reset, and not all of its interfaces are back after {RETURN_SECONDS} s"
        time.sleep(0.5)
    return None


def is_back(function, before):
    """Whether a function has the driver, and as many interfaces, as it had before."""
    now = sysfs.read_function(function)
    return now is not None and now["driver"] == before["driver"] and len(now["netdevs"]) >= len(before["netdevs"])


def made_current(
    reset_tool: str | None,
    tool: str,
    card: dict,
    waiting: list[dict],
    carriers: set[str] | None,
    check_mode: bool,
) -> bool:
    """Reset a card so that it runs with what is set. Returns whether it does, or in check mode would.

    waiting: what it does not run with. carriers: from connection.connection_functions(). If it does not,
    card["not_reset"] says why.
    """
    why = (
        obstacle(card, carriers)
        if reset_tool
        else (f"{dict(TOOLS.values())[os.path.basename(tool)]} is not on this host")
    )
    if not why and not check_mode:
        why = reset_card(tool, reset_tool, card, waiting)
    card["not_reset"] = why
    card["reset"] = not why
    if check_mode and not why:
        card["waits"] = "its firmware offers more once the card is reset"
    return not why


def still_not_running(tool, card, waiting):
    """Query again after a reset. Returns None if the card runs with what is set, else a clause."""
    try:
        for need in waiting:
            need.update(look(card, need, {need["function"]: query(tool, need["function"], card)}))
    except Refusal as refusal:
        return f"after its reset: {refusal}"
    return "it was reset, but still does not run with it" if not_running(waiting, set()) else None
