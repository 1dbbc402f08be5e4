# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads cards with the tool, compares them with what is wanted, and sets them."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from .. import pending
from ..errors import Refusal
from ..program import sysfs
from ..program.host import HOST
from .complaints import needs_power_cycle
from .models import why_not_of_the_host
from .tool import at_once, complain, query, run
from .values import argument, number_and_name, same
from .wanted import OF_A_FUNCTION, becomes_per_function, counts_per_function, met, names_of, needs, plain, text_of

COUNTS = ("SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF")


def read_card(tool, card, exact):
    """Query a card, and each of its functions if they differ. Returns {function: table}; raises Refusal."""
    first = min(card["counts"])
    # The kernel shows how many VFs the card runs with: the tool is not needed for that where they are enough.
    running = not (card["connectx"] and enough_without(card, exact))
    tables = {first: query(tool, first, card, names=names_of(card), running=running)}
    if becomes_per_function(card, tables) or counts_per_function(card, tables):
        tables = {first: query(tool, first, card)}
    why = why_not_of_the_host(tables[first])
    if why:
        raise Refusal(f"{card['label']} {why}")
    own = {function for function, name, _value, _selector in card["listed"] if OF_A_FUNCTION.match(name)}
    if counts_per_function(card, tables):
        own |= set(card["counts"])
    for function in sorted(own - {first}):
        tables[function] = query(
            tool, function, card, sysfs.describe(sysfs.read_function(function) or {"address": function})
        )
    return tables


def enough_without(card: dict, exact: bool) -> bool:
    """Whether the kernel sees all that is wanted of a card, so that its firmware need not be read."""

    def offered(function):
        return (sysfs.read_function(function) or {}).get("totalvfs") or 0

    return (
        not exact
        and not card["listed"]
        and all(offered(function) >= count for function, count in card["counts"].items())
    )


def look(card: dict, need: dict, tables: dict[str, dict]) -> dict:
    """A need with what the card has: adds "next" and "current", as the tool shows them; current is None if unknown.

    Raises Refusal if the card does not have the parameter or does not allow its change.
    """
    table = tables[need["function"]]
    name = need["name"]
    row = table["parameters"].get(name)
    if row is None:
        raise Refusal(no_parameter(card, need, table))
    number, text = number_and_name(row["next"])
    if number is None and text is None:
        raise Refusal(
            f"{card['label']}: its firmware shows {name} as {row['next']}, which the role cannot compare: set it by hand"
        )
    if row["read_only"] and not met(need, row["next"]):
        raise Refusal(read_only(card, need, row["next"]))
    current = row["current"]
    if current is None and name in COUNTS:
        # The kernel sees what the running firmware offers.
        total = (sysfs.read_function(need["function"]) or {}).get("totalvfs") or 0
        current = str(bool(total)) if name == "SRIOV_EN" else str(total)
    return dict(need, next=row["next"], current=current, set=not met(need, row["next"]))


def read_only(card, need, shown):
    """The sentence for a parameter that the firmware does not let this host change. shown: its value."""
    if need["listed"]:
        return f"{card['label']}: firmware parameter {need['name']} is read-only and {shown}, {text_of(need)} is requested: leave it out"
    if card["family"] == "BlueField":
        return (
            f"{card['label']}: firmware parameter {need['name']} is read-only and {shown}, numvfs needs "
            f"{text_of(need)}: allow this host with mlxprivhost on the card's ARM side"
        )
    return (
        f"{card['label']}: firmware parameter {need['name']} is read-only and {shown}, numvfs needs {text_of(need)}: "
        "lower numvfs, or set it where the card's firmware may be changed"
    )


def no_parameter(card, need, table):
    """The sentence for a parameter that a card does not have."""
    name = need["name"]
    if not need["listed"]:
        return (
            f"{card['label']}: its firmware ({table['type']}) has no {name}, so it has no VFs to offer: update the "
            "firmware, or take the card off the list"
        )
    close = difflib.get_close_matches(name, table["parameters"], 1)
    advanced = table["parameters"].get("ADVANCED_PCI_SETTINGS")
    nearest = f", {close[0]} is the nearest" if close else ""
    hidden = advanced and same(False, advanced["next"])
    more = "; some show only with ADVANCED_PCI_SETTINGS set to true" if hidden else ""
    return (
        f"{card['label']}: its firmware ({table['type']}) has no parameter {name}{nearest}: correct it, or leave it "
        f"out{more}"
    )


def key_of(need: dict) -> str:
    return f"firmware:{need['function']}:{argument(need['name'], need['value'])}"


def not_running(needs_of_card: list[dict], remembered: set[str]) -> list[dict]:
    """Those needs that the card does not run with now, and must run with from the next boot on.

    remembered: the keys that were reported in this boot, for a card that does not show what it runs with.
    """
    return [
        need
        for need in needs_of_card
        if (
            not met(need, need["current"]) if need["current"] is not None else need["set"] or key_of(need) in remembered
        )
    ]


def reason(card: dict, need: dict) -> dict[str, str]:
    """Why a reboot is due, in the form that judge() takes."""
    runs = (
        (f" and the card runs with {plain(need['current'])}")
        if need["current"] is not None
        else " and the card does not run with it yet"
    )
    text = (
        f"firmware parameter {need['name']} of {card['label']} is set to "
        f"{text_of(need) if need['set'] else plain(need['next'])}{runs}"
    )
    if card.get("power_cycle"):
        text += "; the tool says that this card needs a power cycle for it"
    if card.get("not_reset"):
        text += f"; the card was not reset: {card['not_reset']}"
    return {"key": key_of(need), "text": text}


def set_card(tool, card, wanted):
    """Set what differs and read it back, also after a failure; card["done"] gets what was set. Returns None, or one
    sentence.
    """
    for function in sorted({need["function"] for need in wanted}):
        own = [need for need in wanted if need["function"] == function]
        arguments = [argument(need["name"], need["value"]) for need in own]
        code, text = run([tool, "-y", "-d", function, "set"] + arguments)
        card["power_cycle"] = card.get("power_cycle", False) or needs_power_cycle(text)
        failed = (
            complain(tool, card, code, text, None, {need["name"]: need["value"] for need in own}) if code != 0 else None
        )
        try:
            names = [need["name"] for need in own] if card["connectx"] else []
            rows = query(tool, function, card, names=names)["parameters"]
        except Refusal as refusal:
            return f"{failed or refusal}; it is unknown whether the card took {' '.join(arguments)}"
        for need, setting in zip(own, arguments):
            shown = rows.get(need["name"], {}).get("next", "nothing")
            if met(need, shown):
                need["next"] = shown
                card["done"].append(
                    setting
                    if len(card["counts"]) < 2 or not OF_A_FUNCTION.match(need["name"])
                    else f"{setting} on {function}"
                )
            elif not failed:
                failed = (
                    f"{card['label']}: {setting} was accepted by the firmware but is still {shown}: set it by hand "
                    f"with {tool} and see what it says"
                )
        if failed:
            return failed
    return None


def set_all(tool: str, cards: list[dict], check_mode: bool) -> tuple[list[dict], list[dict]]:
    """Set what differs on all cards at the same time, except in check mode. Returns (the needs that were set, the
    diff); raises Refusal.
    """
    wanted = [(card, [need for need in card["needs"] if need["set"]]) for card in cards]
    wanted = [(card, differing) for card, differing in wanted if differing]
    diff = [
        {
            "before_header": card["card"],
            "after_header": card["card"],
            "before": "".join(f"{need['name']} {plain(need['next'])}\n" for need in differing),
            "after": "".join(f"{need['name']} {text_of(need)}\n" for need in differing),
        }
        for card, differing in wanted
    ]
    if not check_mode:
        # First: if the run ends in between, nothing else shows that a card without the column Current does not run
        # with it yet.
        pending.note(HOST, "firmware", {key_of(need) for _card, differing in wanted for need in differing})
        refuse_all(at_once(lambda pair: set_card(tool, *pair), wanted))
    return [need for _card, differing in wanted for need in differing], diff


def refuse_all(sentences):
    """Raise one Refusal with all sentences, if there are any."""
    found = [sentence for sentence in sentences if sentence]
    if found:
        raise Refusal("; ".join(found))


def read_all(tool: str, cards: list[dict], exact: bool, warn: Callable[[str], object]) -> list[dict]:
    """Read all cards at the same time and decide. Adds "tables" and "needs" to each; returns those that could be read.

    A card that cannot be read is left alone, with a warning, if the kernel sees enough VFs. Otherwise raises Refusal.
    """

    def one(card):
        try:
            card["tables"] = read_card(tool, card, exact)
            card["needs"] = [look(card, need, card["tables"]) for need in needs(card, card["tables"], exact)]
            return None
        except Refusal as refusal:
            return str(refusal)

    sentences = at_once(one, cards)
    refuse_all(
        sentence
        for card, sentence in zip(cards, sentences)
        if sentence and not ("tables" not in card and enough_without(card, exact))
    )
    for sentence in sentences:
        if sentence:
            warn(f"{sentence}; it offers enough VFs, so the role continues")
    return [card for card in cards if "needs" in card]
