# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The concern of the firmware of Mellanox cards: what must be set, and what waits for a reboot."""

from __future__ import annotations

from typing import Any

from .. import pending
from ..errors import Refusal
from ..program import connection, disk, lock, sysfs
from ..program.host import HOST
from .cards import enough_without, key_of, not_running, read_all, reason, set_all
from .reset import made_current
from .tool import TOOLS, find_tools
from .wanted import becomes_per_function, card_of, gather, text_of


def with_waits(devices, cards):
    """The devices; a device whose VFs come only once its card runs with what is set gets `waits`."""
    texts = {card["card"]: card["waits"] for card in cards if card.get("waits")}
    result = []
    for device in devices:
        function = sysfs.read_function(device["address"])
        text = texts.get(card_of(device["address"]))
        total = (function or {}).get("totalvfs") or 0
        wants_more = device["numvfs"] > total and device.get("firmware") is not None
        result.append(dict(device, waits=text) if function and text and wants_more else device)
    return result


def ensure(parameters, check_mode, warn):
    """The module's work, under the lock. Returns its result; raises Refusal, or OSError if nothing was changed before
    it.
    """
    cards = gather(parameters["devices"], parameters["exact"])
    try:
        return look_after(parameters, cards, check_mode, warn)
    except (Refusal, OSError) as error:
        done = [f"{card['label']}: {', '.join(card['done'])}" for card in cards if card["done"]]
        if not done:
            raise
        raise Refusal(f"{error}; earlier changes of this run are kept ({'; '.join(done)})") from error


def look_after(parameters, cards, check_mode, warn):
    """Read the cards, set what differs, and judge. Returns the module's result; raises Refusal or OSError."""
    devices, exact = parameters["devices"], parameters["exact"]
    tools = find_tools(parameters["tool"]) if cards else ("", None)
    if tools is None:
        go_without_tool(parameters, cards, check_mode, warn)
        return result_of(devices, cards, "", [], [], [])
    tool, reset_tool = tools
    readable = read_all(tool, cards, exact, warn)
    clean = pending.nothing_left(HOST, "firmware", [])
    if not check_mode:
        disk.sweep((HOST.state,))
    before = pending.of_earlier_boots(HOST, "firmware")
    changed, diff = set_all(tool, readable, check_mode)
    again = [card for card in readable if becomes_per_function(card, card["tables"])]
    if again and not check_mode:
        more, more_diff = set_all(tool, read_all(tool, again, exact, warn), check_mode)
        changed, diff = changed + more, diff + more_diff
    remembered = pending.of_this_boot(HOST, "firmware")
    unmet = [(card, not_running(card["needs"], remembered)) for card in readable]
    unmet = [(card, waiting) for card, waiting in unmet if waiting]
    if parameters["reset"] and unmet:
        carriers = connection.connection_functions()
        unmet = [pair for pair in unmet if not made_current(reset_tool, tool, pair[0], pair[1], carriers, check_mode)]
    for card, _waiting in unmet:
        card["waits"] = card.get("waits") or "its firmware offers more from the next boot on"
    reasons = [reason(card, need) for card, waiting in unmet for need in waiting]
    touched = {key_of(need) for need in changed}
    set_back = touched & before
    # A parameter that was set in an earlier boot and must be set again: another reboot would not apply it either.
    due, stuck = pending.judge(HOST, "firmware", reasons, touched - set_back, check_mode)
    advised = [with_advice(item, item["key"] in set_back) for item in stuck]
    was_reset = [card for card in readable if card.get("reset")]
    diff += [
        {"before_header": card["card"], "after_header": card["card"], "before": "", "after": "reset\n"}
        for card in was_reset
    ]
    return result_of(devices, cards, tool, diff, due, advised, clean)


def go_without_tool(parameters, cards, check_mode, warn):
    """Accept that the host has no tool, if no card needs it, or it comes later. Otherwise raises Refusal."""
    missing = TOOLS["mstflint" if parameters["tool"] == "auto" else parameters["tool"]][0]
    labels = ", ".join(card["label"] for card in cards)
    sentence = f"{missing} is not on this host, and the firmware of {labels} has to be read"
    if all(enough_without(card, parameters["exact"]) for card in cards):
        warn(f"{sentence}; it offers enough VFs, so the role continues")
    elif parameters["tool_comes_later"] and check_mode:
        for card in cards:
            card["waits"] = f"{missing} must be installed first, then its firmware can be read"
    else:
        raise Refusal(f"{sentence}: install it, or let the role do it (sriov_install_enabled)")


def with_advice(item, is_set_back):
    """A reason that a reboot has not cleared, with what to do about it.

    is_set_back: whether the role had to set the parameter again after that reboot.
    """
    if is_set_back:
        advice = "something sets it back when the host boots, look at the card's settings in the BIOS and in the BMC"
    else:
        advice = "power-cycle it, as a reboot does not reset every card, then run the role again"
    return {"key": item["key"], "text": f"{item['text']}, although the host has been rebooted since: {advice}"}


def result_of(devices, cards, tool, diff, due, stuck, clean=True):
    """What the module returns. clean: from nothing_left(), before the module did anything."""
    waits = any(card.get("waits") for card in cards)
    return {
        "changed": bool(diff),
        "diff": diff,
        "tool": tool,
        "reboot": due,
        "stuck": stuck,
        "devices": with_waits(devices, cards),
        "settled": clean and not (diff or due or stuck or waits),
        "cards": [
            {
                "card": card["card"],
                "functions": sorted(card["counts"]),
                "type": card["tables"][min(card["tables"])]["type"],
                "parameters": [
                    {
                        "function": need["function"],
                        "name": need["name"],
                        "wanted": text_of(need),
                        "next": need["next"],
                        "current": need["current"],
                    }
                    for need in card["needs"]
                ],
            }
            for card in cards
            if "needs" in card
        ],
    }


def work(module: Any) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or an object with its `params`, `check_mode` and `warn`.
    """
    try:
        with lock.locked():
            return ensure(module.params, module.check_mode, module.warn)
    except OSError as error:
        raise Refusal(f"The firmware cannot be set: {error}; no card was changed") from error


# The module's options, as AnsibleModule takes them.
ARGUMENTS = {
    "devices": {"type": "list", "elements": "dict", "required": True},
    "tool": {"type": "str", "choices": ["auto", "mstflint", "mft"], "default": "auto"},
    "exact": {"type": "bool", "default": False},
    "reset": {"type": "bool", "default": False},
    "tool_comes_later": {"type": "bool", "default": False},
}
