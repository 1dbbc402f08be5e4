# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The firmware of Mellanox cards: what is wanted of it, what it says, and how it is set."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import concurrent.futures
import difflib
import os
import re
import subprocess
import time

from .. import given, pending
from ..errors import Refusal
from ..program import connection, disk, holders, lock, programs, sysfs, writers
from ..program.host import HOST
from . import mstconfig

TOOLS = {"mstflint": ("mstconfig", "mstfwreset"), "mft": ("mlxconfig", "mlxfwreset")}
LOCKDOWN = "kernel/security/lockdown"
TOOL_SECONDS = 120
RESET_SECONDS = 600
RETURN_SECONDS = 90
# A query takes a second and hardly any processor.
AT_ONCE = 16
COUNTS = ("SRIOV_EN", "NUM_OF_VFS", "PF_NUM_OF_VF")
# What each function of a card has for itself: the parameters of class 3 in mstflint's mlxconfig_host.db (4.36).
OF_A_FUNCTION = re.compile(
    r"^(PF_(TOTAL_SF|SD_GROUP|VF_BAR2_MODE|DEVICE_ID|DEVICE_ID_ENABLE|SF_BAR_SIZE|NUM_PF_MSIX|NUM_VF_MSIX|NUM_SAT_PF|NUM_OF_VF)"
    r"|(ECPF|NVME_EMU_MNG|PCI_SWITCH_EMU_MNG|VIRTIO_(BLK|FS|NET)_EMU_MNG|BOOT|UEFI)_\w+|LEGACY_BOOT_PROTOCOL|IP_VER|WOL_MAGIC_EN"
    r"|PORT_OWNER|ALLOW_RD_COUNTERS|RENEG_ON_CHANGE|TRACER_ENABLE|ROCE_CONTROL|PCI_WR_ORDERING|MULTI_PORT_VHCA_EN)$")


# --- what is wanted -----------------------------------------------------------------------------------------------


def card_of(address):
    """The card that a function belongs to: its PCI address without the function."""
    return address.rpartition(".")[0]


def functions_of(card):
    """The addresses of the PFs of a card that are on the host, VFs left out."""
    return [
        address for address in sysfs.list_names(os.path.join(HOST.sys, "bus/pci/devices"))
        if card_of(address) == card and sysfs.link_name(sysfs.device_path(address, "physfn")) is None
    ]


def gather(devices, exact):
    """The cards of which something is wanted, in the order of their addresses.

    devices: as sriov_devices returns them; those without `firmware`, and those that are not there, are no concern of ours.
    Returns a list of {"card", "label", "family": as of mstconfig.family, "counts": {function: VFs},
    "listed": [(function, name, value, selector)], "done": what this run has changed on it, in words}.
    Raises Refusal when the ports of a card want different things, or a device contradicts itself or is of no known form.
    """
    given.refuse_wrong(devices, ("address", "numvfs", "selector"))
    cards = {}
    for device in devices:
        function = sysfs.read_function(device["address"])
        if device.get("firmware") is None or function is None:
            continue
        card = cards.setdefault(card_of(device["address"]), {
            "card": card_of(device["address"]), "label": sysfs.describe(function), "family": mstconfig.family(function["id"]),
            "counts": {}, "listed": [], "done": []})
        # A ConnectX-3 has one function for both ports, and its firmware counts the VFs of both.
        card["counts"][device["address"]] = card["counts"].get(device["address"], 0) + device["numvfs"]
        parameters = mstconfig.checked_parameters(device["firmware"], device["selector"])
        card["listed"] += [(device["address"], name, value, device["selector"]) for name, value in sorted(parameters.items())]
    for card in cards.values():
        refuse_conflicts(card)
    return [
        card for _name, card in sorted(cards.items())
        if card["listed"] or exact or any(count > 0 for count in card["counts"].values())
    ]


def refuse_conflicts(card):
    """Raise Refusal when what is listed for a card cannot all hold."""
    known = {}
    for function, name, value, selector in card["listed"]:
        key = (function if OF_A_FUNCTION.match(name) else None, name)
        other_value, other_selector = known.setdefault(key, (value, selector))
        if mstconfig.argument(name, value) != mstconfig.argument(name, other_value):
            raise Refusal(
                "%s and %s are ports of one card (%s), whose firmware has one %s for both, and ask for %s and %s: give them the "
                "same value" % (other_selector, selector, card["card"], name, other_value, value))
    most = max(card["counts"].values())
    for function, name, value, selector in card["listed"]:
        if name == "SRIOV_EN" and most > 0 and not mstconfig.same(True, str(value)):
            raise Refusal("%s: firmware: SRIOV_EN is %s, and %d VFs are asked for: remove one of the two" % (
                selector, value, most))
        least = {"NUM_OF_VFS": most, "PF_NUM_OF_VF": card["counts"][function]}.get(name)
        number = mstconfig.number_and_name(str(value))[0]
        if least is not None and (number is None or number < least):
            raise Refusal("%s: firmware: %s is %s, and %d VFs are asked for: raise it, or leave it out" % (
                selector, name, value, least))


def needs(card, tables, exact):
    """What a card's firmware has to say, in the order in which it is set.

    tables: what the tool said of each function that was asked, by address.
    Returns a list of {"function", "name", "value", "least": whether more is fine too, "listed": whether a device lists it in `firmware`}.
    """
    first = min(tables)
    listed = {}
    for function, name, value, _selector in card["listed"]:
        listed.setdefault((function if OF_A_FUNCTION.match(name) else first, name), value)
    result = [
        {"function": function, "name": name, "value": value, "least": False, "listed": True}
        for (function, name), value in sorted(listed.items())
    ]
    most = max(card["counts"].values())

    def add(function, name, value, least):
        if (function, name) not in listed:
            result.append({"function": function, "name": name, "value": value, "least": least, "listed": False})

    if most > 0:
        add(first, "SRIOV_EN", True, False)
        if becomes_per_function(card, tables):
            # A card does not know PF_NUM_OF_VF before that is set.
            return result
        if counts_per_function(card, tables):
            for function, count in sorted(card["counts"].items()):
                if count > 0 or exact:
                    add(function, "PF_NUM_OF_VF", count, not exact)
        else:
            add(first, "NUM_OF_VFS", most, not exact)
    elif exact and "SRIOV_EN" in tables[first]["parameters"]:
        add(first, "SRIOV_EN", False, False)
    return result


def counts_per_function(card, tables):
    """Whether PF_NUM_OF_VF of each function counts for a card, and NUM_OF_VFS does not (mlxconfig_host.db: valid_bit)."""
    row = tables[min(tables)]["parameters"].get("PF_NUM_OF_VF_VALID")
    return bool(row) and mstconfig.same(True, row["next"]) and listed_valid(card) is not False


def becomes_per_function(card, tables):
    """Whether PF_NUM_OF_VF is to count for a card and does not yet."""
    return listed_valid(card) is True and not counts_per_function(card, tables)


def listed_valid(card):
    """What PF_NUM_OF_VF_VALID is listed as for a card: True, False, or None when it is not."""
    for _function, name, value, _selector in card["listed"]:
        if name == "PF_NUM_OF_VF_VALID":
            return mstconfig.same(True, str(value))
    return None


def met(need, shown):
    """Whether a value, as the tool shows it, is what is wanted."""
    if not need["least"]:
        return mstconfig.same(need["value"], shown)
    number = mstconfig.number_and_name(shown)[0]
    return number is not None and number >= need["value"]


def text_of(need):
    """The wanted value as it is told to people: 16, True, ETH."""
    return str(need["value"])


def plain(shown):
    """A value that the tool shows, as it is told to people: True(1) is True, 8 is 8."""
    return mstconfig.number_and_name(shown)[1] or shown


# --- the tool -----------------------------------------------------------------------------------------------------


def find_tools(choice):
    """The programs (configuration, reset) to use. choice: auto, mstflint or mft.

    The reset program is None when it is not there. Returns None when the host has none that fits.
    """
    for package in ("mstflint", "mft") if choice == "auto" else (choice,):
        config = programs.find_program(TOOLS[package][0])
        if config:
            return config, programs.find_program(TOOLS[package][1])
    return None


def run(command, seconds=TOOL_SECONDS):
    """Run the tool; returns (exit code, what it printed). Its messages go to standard output, those of errors too.

    The exit code is None when it could not be run, or did not end in time; the text then says so.
    """
    environment = dict(os.environ, LC_ALL="C", LANGUAGE="C")
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds,
                              check=False, env=environment, encoding="utf-8", errors="replace")
    except subprocess.TimeoutExpired:
        return None, "-E- it did not finish within %d s" % seconds
    except OSError as error:
        return None, "-E- it cannot be run: %s" % error.strerror
    return done.returncode, done.stdout


def at_once(work, items):
    """[work(item) for item in items], all at the same time. An exception of one is raised when all have ended."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, min(AT_ONCE, len(items)))) as pool:
        return [future.result() for future in [pool.submit(work, item) for item in items]]


def package_of(tool):
    """The package that a configuration tool is of."""
    return "MFT" if os.path.basename(tool) == TOOLS["mft"][0] else "mstflint"


def complain(tool, card, code, text, label=None, wanted=None):
    """The sentence for a call of the tool that failed. wanted: {name: value} that was to be set; label: of the function, the card's own when None."""
    return mstconfig.explain(text, code, label or card["label"], wanted, card["family"], package_of(tool)) + lockdown_hint(text)


def query(tool, function, card, label=None):
    """What the tool says of one function of a card. label: as of complain. Raises Refusal with the tool's reason."""
    code, text = run([tool, "-d", function, "-e", "q"])
    label = label or card["label"]
    if code != 0:
        raise Refusal(complain(tool, card, code, text, label))
    try:
        return mstconfig.parse_query(text)
    except Refusal as error:
        raise Refusal("%s: %s printed what this role cannot read (%s): report it with `%s -d %s -e q`" % (
            label, tool, error, tool, function)) from error


def lockdown_hint(text):
    """A reason of this host's for a device that the tool could not open."""
    state = sysfs.read_text(os.path.join(HOST.sys, LOCKDOWN), "")
    active = re.search(r"\[(integrity|confidentiality)\]", state)
    if not active or "open" not in (mstconfig.complaint(text) or ""):
        return ""
    return ("; the kernel is locked down (%s, as with Secure Boot), which keeps every such tool from the card: set the firmware "
            "with Secure Boot turned off" % active.group(1))


def read_card(tool, card, exact):
    """Ask for a card, and where its functions differ for each of those. Returns {function: table}; raises Refusal."""
    first = min(card["counts"])
    tables = {first: query(tool, first, card)}
    why = mstconfig.why_not_of_the_host(tables[first])
    if why:
        raise Refusal("%s %s" % (card["label"], why))
    own = {function for function, name, _value, _selector in card["listed"] if OF_A_FUNCTION.match(name)}
    if counts_per_function(card, tables):
        own |= set(card["counts"])
    for function in sorted(own - {first}):
        tables[function] = query(tool, function, card, sysfs.describe(sysfs.read_function(function) or {"address": function}))
    return tables


def enough_without(card, exact):
    """Whether what the kernel sees of a card is all that is wanted, so that its firmware need not be read."""
    def offered(function):
        return (sysfs.read_function(function) or {}).get("totalvfs") or 0

    return not exact and not card["listed"] and all(offered(function) >= count for function, count in card["counts"].items())


# --- deciding -----------------------------------------------------------------------------------------------------


def look(card, need, tables):
    """A need with what the card has: adds "next" and "current", as the tool shows them; current None when nobody knows.

    Raises Refusal when the card has no such parameter or does not let it be changed.
    """
    table = tables[need["function"]]
    name = need["name"]
    row = table["parameters"].get(name)
    if row is None:
        raise Refusal(no_parameter(card, need, table))
    number, text = mstconfig.number_and_name(row["next"])
    if number is None and text is None:
        raise Refusal("%s: its firmware shows %s as %s, which is no value that could be compared: set it by hand" % (
            card["label"], name, row["next"]))
    if row["read_only"] and not met(need, row["next"]):
        raise Refusal(read_only(card, need, row["next"]))
    current = row["current"]
    if current is None and name in COUNTS:
        # The kernel sees what the running firmware offers.
        total = (sysfs.read_function(need["function"]) or {}).get("totalvfs") or 0
        current = str(bool(total)) if name == "SRIOV_EN" else str(total)
    return dict(need, next=row["next"], current=current, set=not met(need, row["next"]))


def read_only(card, need, shown):
    """The sentence for a parameter that the firmware does not let this host change. shown: what it is."""
    if need["listed"]:
        return "%s: firmware parameter %s is read-only and %s, %s is asked for: leave it out" % (
            card["label"], need["name"], shown, text_of(need))
    if card["family"] == "BlueField":
        return "%s: firmware parameter %s is read-only and %s, numvfs needs %s: allow this host with mlxprivhost on the card's ARM side" % (
            card["label"], need["name"], shown, text_of(need))
    return "%s: firmware parameter %s is read-only and %s, numvfs needs %s: lower numvfs, or set it where the card's firmware may be changed" % (
        card["label"], need["name"], shown, text_of(need))


def no_parameter(card, need, table):
    """The sentence for a parameter that a card does not have."""
    name = need["name"]
    if not need["listed"]:
        return "%s: its firmware (%s) has no %s, so it has no VFs to offer: update the firmware, or take the card off the list" % (
            card["label"], table["type"], name)
    close = difflib.get_close_matches(name, table["parameters"], 1)
    advanced = table["parameters"].get("ADVANCED_PCI_SETTINGS")
    return "%s: its firmware (%s) has no parameter %s%s: correct it, or leave it out%s" % (
        card["label"], table["type"], name, ", %s is the nearest" % close[0] if close else "",
        "; some show only with ADVANCED_PCI_SETTINGS set to true" if advanced and mstconfig.same(False, advanced["next"]) else "")


def key_of(need):
    return "firmware:%s:%s" % (need["function"], mstconfig.argument(need["name"], need["value"]))


def not_running(needs_of_card, remembered):
    """Those needs that the card does not run with, and shall from the next boot on.

    remembered: the keys that were reported in this boot; they tell of a card that does not show what it runs with.
    """
    return [
        need for need in needs_of_card
        if (not met(need, need["current"]) if need["current"] is not None else need["set"] or key_of(need) in remembered)
    ]


def reason(card, need):
    """Why a reboot is due, as judge() takes it."""
    runs = " and the card runs with %s" % plain(need["current"]) if need["current"] is not None else " and the card does not run with it yet"
    text = "firmware parameter %s of %s is set to %s%s" % (
        need["name"], card["label"], text_of(need) if need["set"] else plain(need["next"]), runs)
    if card.get("power_cycle"):
        text += "; the tool says that this card needs a power cycle for it"
    if card.get("not_reset"):
        text += "; the card was not reset: %s" % card["not_reset"]
    return {"key": key_of(need), "text": text}


# --- doing --------------------------------------------------------------------------------------------------------


def set_card(tool, card, wanted):
    """Set what differs and read it back, also after a failure; what is set is in card["done"]. Returns None, or one sentence."""
    for function in sorted({need["function"] for need in wanted}):
        own = [need for need in wanted if need["function"] == function]
        arguments = [mstconfig.argument(need["name"], need["value"]) for need in own]
        code, text = run([tool, "-y", "-d", function, "set"] + arguments)
        card["power_cycle"] = card.get("power_cycle", False) or mstconfig.needs_power_cycle(text)
        failed = complain(tool, card, code, text, None, {need["name"]: need["value"] for need in own}) if code != 0 else None
        try:
            rows = query(tool, function, card)["parameters"]
        except Refusal as refusal:
            return "%s; whether it has taken %s is not known" % (failed or refusal, " ".join(arguments))
        for need, argument in zip(own, arguments):
            shown = rows.get(need["name"], {}).get("next", "nothing")
            if met(need, shown):
                need["next"] = shown
                card["done"].append(argument if len(card["counts"]) < 2 or not OF_A_FUNCTION.match(need["name"]) else "%s on %s" % (
                    argument, function))
            elif not failed:
                failed = "%s: %s was taken by the firmware and is %s all the same: set it by hand with %s and see what it says" % (
                    card["label"], argument, shown, tool)
        if failed:
            return failed
    return None


def set_all(tool, cards, check_mode):
    """Set what differs on every card at once, unless in check mode. Returns (the needs that were set, the difference); raises Refusal."""
    wanted = [(card, [need for need in card["needs"] if need["set"]]) for card in cards]
    wanted = [(card, differing) for card, differing in wanted if differing]
    diff = [
        {"before_header": card["card"], "after_header": card["card"],
         "before": "".join("%s %s\n" % (need["name"], plain(need["next"])) for need in differing),
         "after": "".join("%s %s\n" % (need["name"], text_of(need)) for need in differing)}
        for card, differing in wanted
    ]
    if not check_mode:
        # First: a run that ends in between would leave nobody who knows that a card without Current does not run with it yet.
        pending.note("firmware", {key_of(need) for _card, differing in wanted for need in differing})
        refuse_all(at_once(lambda pair: set_card(tool, *pair), wanted))
    return [need for _card, differing in wanted for need in differing], diff


def obstacle(card, carriers):
    """Why a card must not be reset, in words, or None. carriers: as of connection.connection_functions."""
    functions = functions_of(card["card"])
    if carriers is None:
        return "it is not known whether it carries the connection to this host"
    if set(functions) & carriers:
        return "it carries the connection to this host"
    drivers = {function: holders.userspace_driver(function) for function in functions}
    held = [
        "its PF %s is bound to %s" % (function, driver) for function, driver in drivers.items() if driver
    ] + [holder for function in functions for holder in holders.vf_holders(function)]
    return "; ".join(held) if held else None


def reset_card(config_tool, tool, card, waiting):
    """Reset a card, its VFs gone first, so that it runs with what is set. Returns None, or why it does not; its VFs are then back.

    waiting: what the card does not run with.
    """
    before = {function: sysfs.read_function(function) for function in functions_of(card["card"])}
    had = {function: seen["numvfs"] for function, seen in before.items() if seen and seen["numvfs"]}
    try:
        failed = [message for message in writers.set_all(dict.fromkeys(had, 0), TOOL_SECONDS).values() if message]
        why = "; ".join(failed) or do_reset(tool, before) or still_not_running(config_tool, card, waiting)
    finally:
        # Not all of them need be the role's, and where they are it sets their number afterwards.
        back = {function: min(count, (sysfs.read_function(function) or {}).get("totalvfs") or 0) for function, count in had.items()}
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
    # Level 3 stops the driver of this card's functions alone, and starts it again (mlxfwreset_mlnxdriver.py).
    code, text = run([tool, "-d", min(functions), "-l", "3", "-y", "reset"], RESET_SECONDS)
    refused = "it did not finish within %d s" % RESET_SECONDS if code is None else mstconfig.reset_refusal(text, code)
    if refused:
        return refused
    deadline = time.monotonic() + RETURN_SECONDS
    while not all(is_back(function, before[function]) for function in functions):
        if time.monotonic() >= deadline:
            return "it was reset, and not all of its interfaces are back after %d s" % RETURN_SECONDS
        time.sleep(0.5)
    return None


def is_back(function, before):
    """Whether a function has the driver, and as many interfaces, as it had before."""
    now = sysfs.read_function(function)
    return now is not None and now["driver"] == before["driver"] and len(now["netdevs"]) >= len(before["netdevs"])


# --- the module ---------------------------------------------------------------------------------------------------


def with_waits(devices, cards):
    """The devices, those with `waits` whose VFs can only come once their card runs with what is set."""
    texts = {card["card"]: card["waits"] for card in cards if card.get("waits")}
    result = []
    for device in devices:
        function = sysfs.read_function(device["address"])
        text = texts.get(card_of(device["address"]))
        total = (function or {}).get("totalvfs") or 0
        wants_more = device["numvfs"] > total and device.get("firmware") is not None
        result.append(dict(device, waits=text) if function and text and wants_more else device)
    return result


def refuse_all(sentences):
    """Raise one Refusal for all that is wrong, if anything is."""
    found = [sentence for sentence in sentences if sentence]
    if found:
        raise Refusal("; ".join(found))


def read_all(tool, cards, exact, warn):
    """Read every card at once and decide. Adds "tables" and "needs" to each; returns those that could be read.

    A card that cannot be read and of which the kernel sees enough is left alone, with a warning. Raises Refusal otherwise.
    """
    def one(card):
        try:
            card["tables"] = read_card(tool, card, exact)
            card["needs"] = [look(card, need, card["tables"]) for need in needs(card, card["tables"], exact)]
            return None
        except Refusal as refusal:
            return str(refusal)

    sentences = at_once(one, cards)
    refuse_all(sentence for card, sentence in zip(cards, sentences) if sentence and not ("tables" not in card and enough_without(card, exact)))
    for sentence in sentences:
        if sentence:
            warn("%s; it offers enough VFs, so the role goes on" % sentence)
    return [card for card in cards if "needs" in card]


def ensure(parameters, check_mode, warn):
    """The module's work, under the lock. Returns its result; raises Refusal, or OSError when nothing was changed before it."""
    cards = gather(parameters["devices"], parameters["exact"])
    try:
        return look_after(parameters, cards, check_mode, warn)
    except (Refusal, OSError) as error:
        done = ["%s: %s" % (card["label"], ", ".join(card["done"])) for card in cards if card["done"]]
        if not done:
            raise
        raise Refusal("%s; what this run has changed before that stays (%s)" % (error, "; ".join(done))) from error


def look_after(parameters, cards, check_mode, warn):
    """Read the cards, set what differs, and judge. Returns the module's result; raises Refusal or OSError."""
    devices, exact = parameters["devices"], parameters["exact"]
    tools = find_tools(parameters["tool"]) if cards else ("", None)
    if tools is None:
        missing = TOOLS["mstflint" if parameters["tool"] == "auto" else parameters["tool"]][0]
        sentence = "%s is not on this host, and the firmware of %s has to be read" % (
            missing, ", ".join(card["label"] for card in cards))
        if all(enough_without(card, exact) for card in cards):
            warn("%s; it offers enough VFs, so the role goes on" % sentence)
        elif parameters["tool_comes_later"] and check_mode:
            for card in cards:
                card["waits"] = "%s is to be installed first, then its firmware can be read" % missing
        else:
            raise Refusal("%s: install it, or let the role do it (sriov_install_enabled)" % sentence)
        return result_of(devices, cards, "", [], [], [])
    tool, reset_tool = tools
    readable = read_all(tool, cards, exact, warn)
    clean = pending.nothing_left("firmware", [], pending.STATE_DIRECTORY)
    if not check_mode:
        disk.sweep((pending.STATE_DIRECTORY,))
    before = pending.of_earlier_boots("firmware")
    changed, diff = set_all(tool, readable, check_mode)
    again = [card for card in readable if becomes_per_function(card, card["tables"])]
    if again and not check_mode:
        more, more_diff = set_all(tool, read_all(tool, again, exact, warn), check_mode)
        changed, diff = changed + more, diff + more_diff
    remembered = pending.of_this_boot("firmware")
    asks = [(card, not_running(card["needs"], remembered)) for card in readable]
    asks = [(card, waiting) for card, waiting in asks if waiting]
    if parameters["reset"] and asks:
        carriers = connection.connection_functions()
        asks = [pair for pair in asks if not made_current(reset_tool, tool, pair[0], pair[1], carriers, check_mode)]
    for card, _waiting in asks:
        card["waits"] = card.get("waits") or "its firmware offers more from the next boot on"
    reasons = [reason(card, need) for card, waiting in asks for need in waiting]
    touched = {key_of(need) for need in changed}
    set_back = touched & before
    # One that was set in an earlier boot and has to be set again: a reboot more would not bring it either.
    due, stuck = pending.judge("firmware", reasons, touched - set_back, check_mode)
    advised = [
        {"key": item["key"], "text": "%s, although the host has been rebooted since: %s" % (item["text"], (
            "something sets it back when the host boots, look at the card's settings in the BIOS and in the BMC"
            if item["key"] in set_back else
            "power-cycle it, as a reboot does not reset every card, then run the role again"))}
        for item in stuck
    ]
    was_reset = [card for card in readable if card.get("reset")]
    diff += [{"before_header": card["card"], "after_header": card["card"], "before": "", "after": "reset\n"} for card in was_reset]
    return result_of(devices, cards, tool, diff, due, advised, clean)


def made_current(reset_tool, tool, card, waiting, carriers, check_mode):
    """Reset a card so that it runs with what is set; whether it does, or in check mode would.

    waiting: what it does not run with. carriers: as of connection.connection_functions. Otherwise card["not_reset"] says why not.
    """
    why = obstacle(card, carriers) if reset_tool else "%s is not on this host" % dict(TOOLS.values())[os.path.basename(tool)]
    if not why and not check_mode:
        why = reset_card(tool, reset_tool, card, waiting)
    card["not_reset"] = why
    card["reset"] = not why
    if check_mode and not why:
        card["waits"] = "its firmware offers more once the card is reset"
    return not why


def still_not_running(tool, card, waiting):
    """Ask again after a reset. Returns None when the card runs with what is set, else a clause."""
    try:
        for need in waiting:
            need.update(look(card, need, {need["function"]: query(tool, need["function"], card)}))
    except Refusal as refusal:
        return "after its reset: %s" % refusal
    return "it was reset and does not run with it all the same" if not_running(waiting, set()) else None


def result_of(devices, cards, tool, diff, due, stuck, clean=True):
    """What the module returns. clean: as of nothing_left() before the module did anything."""
    waits = any(card.get("waits") for card in cards)
    return {
        "changed": bool(diff), "diff": diff, "tool": tool, "reboot": due, "stuck": stuck, "devices": with_waits(devices, cards),
        "settled": clean and not (diff or due or stuck or waits),
        "cards": [
            {
                "card": card["card"], "functions": sorted(card["counts"]), "type": card["tables"][min(card["tables"])]["type"],
                "parameters": [
                    {"function": need["function"], "name": need["name"], "wanted": text_of(need), "next": need["next"],
                     "current": need["current"]}
                    for need in card["needs"]
                ],
            } for card in cards if "needs" in card
        ],
    }


def work(module):
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or what has its `params`, `check_mode` and `warn`.
    """
    try:
        with lock.locked():
            return ensure(module.params, module.check_mode, module.warn)
    except OSError as error:
        raise Refusal("The firmware cannot be looked after: %s; no card was changed" % error) from error


# The module's options, as AnsibleModule takes them.
ARGUMENTS = {
    "devices": {"type": "list", "elements": "dict", "required": True},
    "tool": {"type": "str", "choices": ["auto", "mstflint", "mft"], "default": "auto"},
    "exact": {"type": "bool", "default": False},
    "reset": {"type": "bool", "default": False},
    "tool_comes_later": {"type": "bool", "default": False},
}
