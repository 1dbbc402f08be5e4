# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of mlx4_core, by which ConnectX-3 cards get their VFs when the driver is loaded."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from . import given, pending
from .errors import Refusal
from .mlx4_driver import (
    DRIVER,
    NONE,
    option_sources,
    parse_vfs,
    read_cards,
    running_option,
    takes_addresses,
)
from .mlx4_initramfs import DRACUT_PATH, HEADER, command_text, initramfs_command, listing_for, needed, rebuild_initramfs
from .program import causes, disk, lock, sysfs
from .program.host import HOST

OPTIONS_PATH = "/etc/modprobe.d/stackhpc-sriov-mlx4.conf"
# The mark that the options have changed since the initramfs was built.
STALE = "mlx4-initramfs-stale"
# What the manual of MLNX_OFED allows: 128 MAC addresses, two for each VF and for the PF. The driver's own check
# (MLX4_MAX_NUM_VF_P_PORT in include/linux/mlx4/device.h) is at 64, but with firmware that supports no more than 63
# VFs, mlx4_check_dev_cap() then leaves the card without its interfaces. Two ports of 63 are the 126 of MLX4_MAX_NUM_VF.
MAX_VFS_OF_PORT = 63
PORT_TYPE_NUMBERS = {"ib": 1, "eth": 2}
NO_SECOND_PORT = 4


def traces() -> list[str]:
    """The paths of what this concern has left on the host and may have to remove."""
    paths = (
        HOST.real(OPTIONS_PATH),
        HOST.real(DRACUT_PATH),
        os.path.join(HOST.state, STALE),
        pending.path_of(HOST, "mlx4"),
    )
    return [path for path in paths if os.path.exists(path)]


def wanted_vfs(card, entries):
    """The triplets (num_vfs, probe_vf) that the entries of one card request: VFs of port 1, of port 2, of all ports.

    Raises Refusal for a request that the driver or the card does not support.
    """
    types, function, name = card["types"], card["function"], card["name"]
    num_vfs, probe_vf = [0, 0, 0], [0, 0, 0]
    for entry in entries:
        where, count, port = entry["selector"], entry["numvfs"], entry.get("port")
        probed = entry.get("probe_vf") or 0
        if not 0 <= probed <= count:
            raise Refusal(f"{where}: probe_vf is {probed}, and must be from 0 to numvfs, which is {count}: correct it")
        if count == 0:
            continue
        if port and not types:
            raise Refusal(
                f"{where}: the port types of {name} are unknown (no mlx4_port1 in "
                f"{sysfs.device_path(function['address'])} that says ib or eth): see the kernel log, or choose the "
                "whole card by its address"
            )
        if port and port > len(types):
            raise Refusal(f"{where}: {name} has one port, and port {port} is requested: choose the card by its address")
        if port and len(types) > 1 and "ib" in types:
            raise Refusal(
                f"{where}: VFs of port {port} alone need all ports of {name} to be Ethernet, but they are "
                f"{' and '.join(types)}: set them to Ethernet, or choose the whole card by its address"
            )
        # A card with one port fails to load with more than a single value. That value stands for VFs of all ports.
        column = port - 1 if port and len(types) > 1 else 2
        num_vfs[column] += count
        probe_vf[column] += probed
    where = " and ".join(entry["selector"] for entry in entries)
    for port in (0, 1):
        if num_vfs[port] + num_vfs[2] > MAX_VFS_OF_PORT:
            raise Refusal(
                f"{where}: port {port + 1} of {name} supports at most {MAX_VFS_OF_PORT} VFs, {num_vfs[port] + num_vfs[2]} "
                "are requested: lower numvfs"
            )
    total = sum(num_vfs)
    if total > (function["totalvfs"] or 0) and not any(entry.get("waits") for entry in entries):
        if not function["totalvfs"]:
            raise Refusal(f"{where}: {name} offers no VFs: {causes.why_no_vfs(function)}")
        raise Refusal(
            f"{where}: {name} supports at most {function['totalvfs']} VFs, {total} are requested: lower numvfs"
        )
    return tuple(num_vfs), tuple(probe_vf)


def is_single(num_vfs):
    """Whether a triplet must be written as a single value: more than one fails with InfiniBand, and with a card with
    one port.
    """
    return num_vfs[:2] == (0, 0)


def options_for_all(cards, wishes):
    """The options of the kernel's own driver, as {name: value}: one set for every card of the host.

    cards: from read_cards(). wishes: {address: (num_vfs, probe_vf)} of the chosen ones, some more than 0.
    Raises Refusal if the cards of the host need different options.
    """
    # A card that offers no VFs gets none with any options (mlx4_enable_sriov()).
    concerned = {
        address: wishes.get(address, (NONE, NONE))
        for address, card in sorted(cards.items())
        if address in wishes or card["function"]["totalvfs"]
    }
    if len(set(concerned.values())) > 1:
        raise Refusal(
            "the driver %s of this kernel takes one num_vfs and one probe_vf for all cards, but the cards need "
            "different ones (%s): give all cards the same, or install the driver of MLNX_OFED 4.9, the last for "
            "ConnectX-3, if it supports the distribution: it takes them for each address"
            % (
                DRIVER,
                ", ".join(
                    f"{cards[address]['name']} num_vfs={written(vfs, vfs, ',')} probe_vf={written(probed, vfs, ',')}"
                    for address, (vfs, probed) in concerned.items()
                ),
            )
        )
    num_vfs, probe_vf = next(iter(concerned.values()))
    options = {"num_vfs": written(num_vfs, num_vfs, ","), "probe_vf": written(probe_vf, num_vfs, ",")}
    ports = [{card["types"][port] for card in cards.values() if port < len(card["types"])} for port in (0, 1)]
    if all(card["types"] for card in cards.values()):
        if all(len(types) < 2 for types in ports):
            options["port_type_array"] = ",".join(str(PORT_TYPE_NUMBERS[min(types)]) for types in ports if types)
        elif any(card["senses"] for card in cards.values()):
            # The driver no longer detects a type once there are VFs (mlx4_dev_cap()), and would use the firmware's
            # default.
            raise Refusal(
                f"the ports of {', '.join(card['name'] for card in cards.values() if card['senses'])} detect their "
                f"type, which stops once there are VFs, and the driver {DRIVER} of this kernel takes one "
                "port_type_array for all cards, whose types differ: set the types in the cards' firmware "
                "(LINK_TYPE_P1, LINK_TYPE_P2), or install the driver of MLNX_OFED 4.9, the last for ConnectX-3, if it supports the distribution"
            )
    return options


def options_for_each(cards, wishes):
    """The options of MLNX_OFED's driver, as {name: value}: each value lists addresses, each with its own value.

    cards, wishes: as for options_for_all().
    """
    # mlx4_fill_dbdf2val_tbl() treats a single value as an error if a triplet follows it anywhere, and then the driver
    # is not loaded at all.
    chosen = sorted((is_single(vfs), address) for address, (vfs, _probed) in wishes.items() if sum(vfs))
    options = {
        name: ",".join(
            f"{address}-{written(wishes[address][index], wishes[address][0], ';')}" for _single, address in chosen
        )
        for index, name in enumerate(("num_vfs", "probe_vf"))
    }
    types = [
        f"{address}-{';'.join(str(number) for number in ([PORT_TYPE_NUMBERS[name] for name in cards[address]['types']] + [NO_SECOND_PORT])[:2])}"
        for _single, address in chosen
        if cards[address]["types"]
    ]
    return dict(options, port_type_array=",".join(types)) if types else options


def written(values, num_vfs, separator):
    """A triplet in the same form as num_vfs of its card."""
    return str(values[2]) if is_single(num_vfs) else separator.join(str(value) for value in values)


def refuse_other_sources(sources, options):
    """Raise Refusal if the host sets one of the options to another value in another place.

    modprobe passes all of them to the driver, one after the other. options: {name: value}, empty if no VFs are wanted.
    """
    for place, name, value in sources:
        wanted = options.get(name)
        if options and (wanted == value or wanted is None):
            continue
        if not options and (name != "num_vfs" or set((parse_vfs(value) or {"": None}).values()) == {NONE}):
            continue
        wish = f"{name}={wanted}" if options else "no VF"
        raise Refusal(f"{place} has {name}={value} for {DRIVER}, and {wish} is wanted: remove it from there")


def judge_card(card, num_vfs, probe_vf):
    """The state of a card: (its entry of `pfs`, its reason for a reboot or None)."""
    function, name = card["function"], card["name"]
    address, has, wanted = function["address"], function["numvfs"] or 0, sum(num_vfs)
    ways = {"num_vfs": num_vfs, "probe_vf": probe_vf}
    running = {option: running_option(option, address) for option in ways}
    differs = [option for option in ways if running[option] is not None and running[option] != ways[option]]
    if has and not wanted:
        message = f"{name} keeps its {has} VFs until the next boot: its driver makes and removes them when it is loaded"
    elif has != wanted:
        message = (
            f"{name} has {has} VFs until the next boot, {wanted} are wanted: its driver makes them when it is loaded"
        )
    elif wanted and differs:
        message = (
            "%s has its %d VFs with %s until the next boot, %s is wanted: its driver makes them when it is loaded"
            % (
                name,
                has,
                " ".join(f"{option}={written(running[option], running[option], ',')}" for option in differs),
                " ".join(f"{option}={written(ways[option], num_vfs, ',')}" for option in differs),
            )
        )
    else:
        message = ""
    key = f"mlx4:{address}={','.join(str(value) for value in num_vfs)}"
    if sum(probe_vf):
        key += f" probe_vf={','.join(str(value) for value in probe_vf)}"
    result = {
        "address": address,
        "name": (function["netdevs"] or [""])[0],
        "before": has,
        "now": has,
        "wanted": wanted,
        "state": "pending" if message else "ok",
        "message": message,
    }
    return result, {"key": key, "text": message} if message else None


def write_options(files, stale):
    """Write the options file and dracut's, after the mark that the initramfs has the old options.

    Not through Changes, which puts files back: an initramfs that a rebuild has half replaced cannot be put back. So
    this concern never steps back. The mark stays until an initramfs with the options is on the disk.

    files: {path: (old text, new text)}, None for no file. stale: the path of the mark. Raises OSError with all files as
    they were, or Refusal.
    """
    marked = os.path.exists(stale)
    try:
        # First: if the run is interrupted, the next one knows from it that the initramfs has the old options.
        disk.write_atomically(stale, "")
        for path, (before, text) in files.items():
            if text is not None:
                disk.write_atomically(path, text, 0o644)
            elif before is not None:
                disk.remove_file(path)
    except OSError as error:
        changed = [path for path, (before, _text) in files.items() if sysfs.read_file(path) != before]
        if changed:
            raise Refusal(
                f"{changed[0]} is changed, but may not be on the disk yet ({error}), and the initramfs is not rebuilt: "
                "correct that, then run the role again"
            ) from error
        if not marked:
            with contextlib.suppress(OSError):
                disk.remove_file(stale)
        raise


def plan(cards, entries, run, path, is_ours):
    """What each card must have, {address: (num_vfs, probe_vf)}, and the options for it, {name: value}. Raises Refusal.

    cards: from read_cards(). entries: {address: those that choose it}. path: the options file. is_ours: whether this
    module may have created the VFs of a card, by its address: then they are removed if no entry chooses it.
    """
    for address in sorted(set(entries) - set(cards)):
        raise Refusal(
            f"{entries[address][0]['selector']}: {address} went away, or its driver released it, while the role read "
            "the host: run the role again"
        )
    wishes = {address: wanted_vfs(cards[address], entries[address]) for address in sorted(entries)}
    options = {}
    if any(sum(num_vfs) for num_vfs, _probe_vf in wishes.values()):
        by_address = takes_addresses(run)
        options = options_for_each(cards, wishes) if by_address else options_for_all(cards, wishes)
    sources = option_sources(path)
    if entries:
        refuse_other_sources(sources, options)
    elsewhere = any(name == "num_vfs" for _place, name, _value in sources)
    for address, card in sorted(cards.items()):
        if address not in wishes and card["function"]["numvfs"] and not elsewhere and is_ours(address):
            wishes[address] = (NONE, NONE)
    return wishes, options


def refuse_other_file(path, before):
    """Raise Refusal if the options file cannot be the role's. before: its text, or None."""
    if before is not None and not before.startswith(HEADER):
        raise Refusal(f"{path} is not a file that this role wrote: move it away, or choose another options_path")
    if not path.endswith(".conf"):
        raise Refusal(f"options_path is {path}, and modprobe reads only files that end in .conf: correct it")


def entries_of(devices):
    """The devices whose VFs this driver's options make, as {address: [device]}: ports of one card have one address."""
    entries = {}
    for device in devices:
        if device.get("driver") == DRIVER and device["boot"] == "module":
            entries.setdefault(device["address"], []).append(device)
    return entries


def ensure(parameters, check_mode, run):
    """The module's work, under the lock. Returns its result; raises Refusal if something cannot be done.

    run: runs a command and returns (code, output, errors).
    """
    path = parameters["options_path"]
    given.refuse_wrong(parameters["devices"], ("address", "numvfs", "selector", "boot"))
    if not os.path.isabs(path) or "\0" in path:
        raise Refusal(f"options_path is {path!r}, and must be an absolute path: correct it")
    dracut = HOST.real(DRACUT_PATH)
    folders = [os.path.dirname(path), os.path.dirname(dracut)]
    clean = pending.nothing_left(HOST, "mlx4", folders)
    if not check_mode:
        disk.sweep((*folders, HOST.state))
    stale = os.path.join(HOST.state, STALE)
    before, listed = sysfs.read_file(path), sysfs.read_file(dracut)
    reported = sysfs.read_text(pending.path_of(HOST, "mlx4"), "")
    entries = entries_of(parameters["devices"])
    if not (entries or before is not None or listed is not None or reported or os.path.exists(stale)):
        return {"changed": False, "diff": [], "files": [], "pfs": [], "reboot": [], "stuck": [], "settled": clean}
    refuse_other_file(path, before)
    cards = read_cards()
    wishes, options = plan(
        cards,
        entries,
        run,
        path,
        lambda address: (
            # Options without addresses apply to every card.
            before is not None
            and (address in before or ":" not in before)
            or os.path.exists(stale)
            or f"mlx4:{address}=" in reported
        ),
    )
    after = (
        "%soptions %s %s\n" % (HEADER, DRIVER, " ".join("%s=%s" % option for option in options.items()))
        if options
        else None
    )
    command = initramfs_command()
    listing = listing_for(command, path) if after is not None else None
    files = {dracut: (listed, listing)} if listed != listing else {}
    if before != after or after is not None and os.stat(path).st_mode & 0o7777 != 0o644:
        files[path] = (before, after)
    rebuild = bool(files) or os.path.exists(stale)
    command = needed(command) if rebuild else []
    diff = diff_of(files, command)
    if files and not check_mode:
        write_options(files, stale)
    if rebuild and not check_mode:
        rebuild_initramfs(command, run, path)

    judged = [judge_card(cards[address], *wish) for address, wish in wishes.items()]
    reasons = [reason for _result, reason in judged if reason]
    due, stuck = remember(reasons, rebuild, check_mode, path, stale)
    return {
        "settled": clean and not (rebuild or due or stuck),
        "changed": rebuild,
        "diff": diff,
        "files": list(files),
        "pfs": [result for result, _reason in judged],
        "reboot": due,
        "stuck": [{"key": reason["key"], "text": advice(reason["text"], path, bool(options))} for reason in stuck],
    }


def remember(reasons, rebuild, check_mode, path, stale):
    """Save what waits for a reboot, and that the initramfs has the options. Returns (due, stuck), as pending.judge()
    does.

    rebuild: whether it has been rebuilt. path: the options file; stale: the mark. Raises OSError if nothing was changed
    before, or Refusal.
    """
    # A new initramfs may contain what the one before did not.
    touched = {reason["key"] for reason in reasons} if rebuild else set()
    try:
        due, stuck = pending.judge(HOST, "mlx4", reasons, touched, check_mode)
        if rebuild and not check_mode:
            # Last: the mark also shows the next run that no reboot has failed to apply these options yet.
            disk.remove_file(stale)
    except OSError as error:
        if not rebuild:
            raise
        raise Refusal(
            f"{path} is as wanted and the initramfs is rebuilt, but the role cannot save what waits for the reboot "
            f"({error}): correct that, then run the role again"
        ) from error
    return due, stuck


def diff_of(files, command):
    """The diff, as modules return it.

    files: as for write_options(); command: the one that rebuilds the initramfs, empty for none.
    """
    diff = [
        {"before_header": path, "after_header": path, "before": before or "", "after": after or ""}
        for path, (before, after) in files.items()
    ]
    if command:
        diff.append(
            {
                "before_header": "initramfs",
                "after_header": "initramfs",
                "before": "",
                "after": f"rebuilt by {command_text(command)}\n",
            }
        )
    return diff


def advice(text, path, there):
    """What to look at if a reboot did not create the VFs."""
    return (
        f"{text}, although the host has been rebooted since: look at the kernel log (dmesg | grep mlx4), and check "
        f"that the initramfs {'has' if there else 'no longer has'} {path} (lsinitramfs or lsinitrd)"
    )


def work(module: Any) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or an object with its `params`, `check_mode` and `run_command`.
    """

    def run(argv):
        # Our messages quote those of the tools.
        return module.run_command(argv, environ_update={"LANGUAGE": "C", "LC_ALL": "C"})

    try:
        with lock.locked():
            return ensure(module.params, module.check_mode, run)
    except OSError as error:
        raise Refusal(f"The options of {DRIVER} cannot be set: {error}; nothing was changed") from error


# The module's options, as AnsibleModule takes them.
ARGUMENTS = {
    "devices": {"type": "list", "elements": "dict", "required": True},
    "options_path": {"type": "path", "default": OPTIONS_PATH},
}
