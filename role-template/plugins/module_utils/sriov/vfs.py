# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VFs of PFs, now and at every boot: their numbers, and the files that create them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from typing import Any

from . import given, pending, predecessors, units
from .boot_files import (
    finish,
    plan_files,
    put_first,
    read_config,
    read_owed,
    released_path,
    reloads,
    take_back,
    write_owed,
)
from .errors import Refusal
from .program import configuration, disk, lock, pfs, record, sysfs
from .program.configuration import SETTINGS_TIMEOUT
from .program.host import HOST
from .together import Together

AS_BEFORE = "the VFs and their files are as they were"


def read_released():
    """The PFs that left sriov_devices while their VFs were in use: {address: boot id of that run}. A corrupt file
    counts as empty.
    """
    try:
        released = json.loads(sysfs.read_file(released_path()) or "{}")
    except (ValueError, RecursionError):
        return {}
    return (
        {address: boot for address, boot in released.items() if sysfs.PCI_ADDRESS.match(address)}
        if isinstance(released, dict)
        else {}
    )


def to_release(devices, config, released, legacy_addresses):
    """The PFs to set back to 0 VFs: this role or a predecessor gave them VFs, and no entry wants them any more.

    devices: the chosen ones, including those that the role does not manage. config: the host's configuration file.
    released: see read_released().
    Returns {address: boot id of the run in which it left}. After a reboot, VFs on such a PF are not from this role.
    """
    now = sysfs.boot_id()
    chosen = {device["address"] for device in devices}
    left = dict(released)
    for entry in config.get("devices", []):
        function = sysfs.read_function(entry["address"])
        # Otherwise another card is at that address: the host has renumbered its slots, and its VFs are not from this
        # role.
        if function and entry["id"] in (None, function["id"]):
            left[entry["address"]] = now
    left.update(dict.fromkeys(legacy_addresses, now))
    zero = {
        device["address"]: now for device in devices if device["boot"] in ("systemd", "udev") and device["numvfs"] == 0
    }
    return dict({address: boot for address, boot in left.items() if boot == now and address not in chosen}, **zero)


def is_set(address):
    """Whether a PF is present and has VFs, or something else that the role has set."""
    function = sysfs.read_function(address)
    return bool(function and (function["numvfs"] or record.read_record(address)))


def wanted_of(devices):
    """What the configuration wants of each PF: {address: its number of VFs, with its settings}."""
    keys = ("numvfs", "autoprobe", "vfs")
    return {device["address"]: [device.get(key) for key in keys] for device in devices}


def reasons_of(results, devices, config, released):
    """What waits for the next boot: (reasons, keys of those that this run is the first to request).

    devices: those that the configuration contains after this run.
    """
    before, after = wanted_of(config.get("devices", [])), wanted_of(devices)
    before.update({address: [None] for address in released})
    reasons, touched = [], set()
    for result in results:
        if result["state"] == "pending":
            key = " ".join([f"vfs:{result['address']}={result['wanted']}", "; ".join(result.waits)]).strip()
            reasons.append({"key": key, "text": result["message"]})
            asked = [wanted.get(result["address"], [None]) for wanted in (before, after)]
            if asked[0] != asked[1] if result.waits else asked[0][0] != asked[1][0]:
                touched.add(key)
    return reasons, touched


def checked(parameters):
    """The numbers among the module's parameters as int, and the units. Raises Refusal for parameters that are invalid
    on every host.
    """
    checked_path(parameters["udev_rule_path"])
    for name, text in (parameters["units"] or {}).items():
        # Half of a surrogate pair cannot be written.
        if not isinstance(text, str) or re.search("[\0\ud800-\udfff]", text) or not given.is_file_name(name):
            raise Refusal(
                f"units has {name!r:.80}: {text!r:.80}, but needs the name of a unit and its text: correct it"
            )
    given.refuse_wrong(parameters["devices"], ("address", "id", "numvfs", "boot", "optional", "trigger", "required_by"))
    numbers = {
        name: whole_number(name, parameters[name], least, configuration.MOST_SECONDS)
        for name, least in (("boot_wait", 0), ("numvfs_timeout", 1), ("settings_timeout", 0))
    }
    return dict(numbers, units=units.texts(**numbers) if parameters["units"] is None else parameters["units"])


def checked_path(path):
    """Raise Refusal if udev would not read a file with that path."""
    if path == HOST.left_alone_rules:
        raise Refusal(f"udev_rule_path is {path}, where the role has another file: give another path")
    if not (isinstance(path, str) and path.startswith("/") and path.endswith(".rules") and path.isprintable()):
        raise Refusal(
            f"udev_rule_path is {path!r:.200}: give an absolute path that ends in .rules, because udev reads no other"
        )


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """A parameter as an int. Raises Refusal if it is not a whole number, or out of bounds."""
    try:
        number = int(value)
        right = not isinstance(value, bool) and (isinstance(value, str) or number == value) and least <= number <= most
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise Refusal(f"{name} is {value!r:.80}: give a whole number from {least} to {most}")
    return number


class Interruption:
    """SIGTERM, SIGINT and SIGHUP end the module at a point where nothing is half done.

    That is immediately while nothing has been changed, then at check(), and never after the last check().
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self):
        self.deferred = False
        self._name = None
        self._pid = os.getpid()
        self._before = {}

    def __enter__(self):
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *_error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        # The processes that write numbers of VFs inherit this: they finish their write, which cannot be undone.
        if os.getpid() == self._pid:
            self._name = signal.Signals(number).name
            if not self.deferred:
                self.check()

    def check(self):
        """Raise Refusal when a signal has come."""
        if self._name:
            raise Refusal(f"the run was ended by {self._name}: run the role again")


def plan_state(changes, results, devices, leaving, config, released_before):
    """Plan the state about PFs that wait for the next boot; a later call, with other results, replaces the first.

    devices: see reasons_of(); leaving: see to_release(). Returns (due, stuck), see pending.judge().
    """
    released = {
        result["address"]: leaving[result["address"]]
        for result in results
        if result["state"] == "pending" and result["wanted"] == 0
    }
    # This is written before the configuration loses them.
    changes.file(
        released_path(), json.dumps(released, indent=2, sort_keys=True) + "\n" if released else None, state=True
    )
    due, stuck, waits = pending.sort(HOST, "vfs", *reasons_of(results, devices, config, released_before))
    changes.file(pending.path_of(HOST, "vfs"), pending.text_of(waits), state=True)
    return due, stuck


def lines_of(results, devices):
    """One line for each PF of the results, with its physical network. devices: see sriov_devices."""
    networks = {}
    for device in devices:
        if device.get("physical_network"):
            networks.setdefault(device["address"], {})[device["physical_network"]] = None
    return [line_of(result, networks.get(result["address"], ())) for result in results]


def line_of(result, networks):
    """What the role prints for a PF: its VFs, its physical networks, and its state unless that is "ok"."""
    line = f"{pfs.described(result)}: {result['now']} VFs"
    if networks:
        line += f", physical network {' and '.join(networks)}"
    if result["state"] != "ok":
        line += f", {result['state']}"
    if result["settings"]:
        line += f" ({'; '.join(pfs.some_lines(result['settings']))})"
    return f"{line}: {result['message']}" if result["message"] else line


def failures_of(results):
    """The messages of the PFs that have failed."""
    return [result["message"] for result in results if result["state"] == "failed"]


def untouched(attempt, results):
    """Call a function that changes no VF, and no file if it raises Refusal, and add that to its Refusal. results: of
    the PFs that would be set after it.
    """
    try:
        attempt()
    except Refusal as refusal:
        for result in results:
            result.leave(f"{pfs.described(result)} was not changed because a file cannot be changed")
        raise Refusal(f"{refusal}; {as_before(refusal)}", **dict(refusal.details, pfs=results)) from refusal


def as_before(refusal):
    """The words for VFs that are as they were, and for the files unless the refusal names those that are not."""
    return "the VFs are as they were" if refusal.details.get("files") else AS_BEFORE


def put_back(results, timeout, refusal, cause):
    """Give each changed PF its previous number of VFs and its previous settings.

    refusal: the reason; cause: the same in a few words, for the PFs. Returns the Refusal to raise.
    """
    if HOST.config in refusal.details.get("files", []):
        # The next boot uses that file, and no run would remove the VFs of a PF that is no longer in it.
        return Refusal(f"{refusal}; the VFs keep their new numbers", **dict(refusal.details, pfs=results))
    results = pfs.put_back(results, timeout, cause)
    left = failures_of(results) or [as_before(refusal)]
    return Refusal("; ".join([str(refusal)] + left), **dict(refusal.details, pfs=results))


def carry_out(changes, results, apply, remember, timeout, interruption, undo):
    """Set the VFs, then put the staged files in their places; or leave VFs and files as they were.

    results: what apply() will do; apply: sets the VFs and returns the results; remember: plans the state for them;
    undo: puts back the files that came before the VFs, and returns its Refusal with what cannot be put back.
    Returns (results, the value of remember()). Raises Refusal with `pfs`, and with `files` if some cannot be put back.
    """
    try:
        results = apply()
    except OSError as error:
        raise put_back(results, timeout, undo(Refusal(f"The VFs cannot be set: {error}")), "the run failed") from error
    if failures_of(results):
        results = pfs.left_alone(pfs.put_back(results, timeout))
        raise undo(Refusal(pfs.refusal_of(results), pfs=results))
    try:
        interruption.check()
    except Refusal as refusal:
        raise put_back(results, timeout, undo(refusal), "the run was ended") from refusal
    try:
        waits = remember(results)
        changes.stage()
        changes.commit()
    except Refusal as refusal:
        raise put_back(results, timeout, undo(refusal), "a file could not be changed") from refusal
    return results, waits


def ensure(parameters, check_mode, run, interruption):
    """The module's work, under the lock. Returns its result; raises Refusal if something cannot be done.

    parameters: those of the module, checked by checked(). run: runs a command and returns (code, output, errors).
    """
    config = read_config()
    legacy_paths, legacy_addresses = predecessors.legacy(HOST.units, {HOST.udev_rules, parameters["udev_rule_path"]})
    # Without PFs that the role does not manage, and PFs whose driver has the number as a module option (sriov_mlx4).
    devices = [
        device for device in parameters["devices"] if device["boot"] in ("systemd", "udev") and device["numvfs"] > 0
    ]
    released_before = read_released()
    leaving = to_release(parameters["devices"], config, released_before, legacy_addresses)
    targets = devices + [{"address": address, "numvfs": 0, "optional": True} for address in leaving if is_set(address)]
    timeout, permission = parameters["numvfs_timeout"], parameters["change_connection_pf"]
    results = pfs.apply(targets, timeout, check=True, change_connection_pf=permission)
    if failures_of(results):
        results = pfs.left_alone(results)
        raise Refusal(pfs.refusal_of(results), pfs=results)
    changes, owed = Together(), read_owed()

    def remember(outcome):
        return plan_state(changes, outcome, devices, leaving, config, released_before)

    due, stuck = remember(results)
    staying = [result["address"] for result in results if result["state"] == "pending" and result["address"] in leaving]
    directories = plan_files(changes, parameters, devices, config, legacy_paths, staying)
    clean = not disk.leftovers(directories)
    follows = sorted(changes.paths.union(owed))
    if check_mode:
        untouched(changes.probe, results)
    else:
        interruption.deferred = True
        disk.sweep(directories + sorted({os.path.dirname(path) for path in owed}))
        # First of all, so that the next run knows what systemd and udev may not have read if this run ends early.
        write_owed(follows)
        try:
            untouched(changes.stage, results)
            untouched(lambda: put_first(changes, run), results)
            results, (due, stuck) = carry_out(
                changes,
                results,
                lambda: pfs.apply(targets, timeout, False, permission, parameters["settings_timeout"]),
                remember,
                timeout,
                interruption,
                lambda cause: take_back(changes, run, cause),
            )
        except Refusal as refusal:
            if not refusal.details.get("files"):
                with contextlib.suppress(OSError):
                    write_owed(owed)
            raise
        finally:
            changes.discard()
        finish(follows, run, results, parameters["devices"], staying)
    changed = [result for result in results if result.to_do()]
    repeated = [command for command in reloads(owed) if command not in reloads(changes.paths)]
    return {
        "changed": bool(changed or changes.paths or repeated),
        "diff": diff_of(changed, repeated) + changes.diff,
        "pfs": results,
        "lines": lines_of(results, parameters["devices"]),
        "files": sorted(changes.paths),
        "reboot": due,
        "stuck": stuck,
        "settled": clean and not (changed or repeated or owed or changes.planned() or due or stuck),
    }


def diff_of(changed, repeated):
    """The changes other than files, as modules return them. changed: results; repeated: commands."""
    vfs = []
    for result in changed:
        if result["before"] != result["now"]:
            vfs.append((result["address"], f"{result['before']} VFs\n", f"{result['now']} VFs\n"))
        if result["settings"]:
            vfs.append((f"{result['address']} settings", "", "".join(f"{line}\n" for line in result["settings"])))
    commands = [(" ".join(command), "", "repeated\n") for command in repeated]
    return [
        {"before_header": what, "after_header": what, "before": before, "after": after}
        for what, before, after in vfs + commands
    ]


class Uninterrupted:
    """Used instead of an Interruption if nothing is changed: a signal may end that at any point."""

    deferred = False

    def check(self):
        """Do nothing: no signal is deferred."""


def work(module: Any, interruption: Interruption | None = None) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or an object with its `params`, `check_mode` and `run_command`. interruption: an
    Interruption, if the module may change something.
    """
    try:
        parameters = dict(module.params, **checked(module.params))
        with lock.locked(lock.lock_wait(parameters["numvfs_timeout"])):
            return ensure(parameters, module.check_mode, module.run_command, interruption or Uninterrupted())
    except OSError as error:
        raise Refusal(f"The VFs cannot be set: {error}") from error


# The module's options, in the form for AnsibleModule.
ARGUMENTS = {
    "devices": {"type": "list", "elements": "dict", "required": True},
    "boot_wait": {"type": "raw", "default": 30},
    "numvfs_timeout": {"type": "raw", "default": 120},
    "settings_timeout": {"type": "raw", "default": SETTINGS_TIMEOUT},
    "change_connection_pf": {"type": "bool", "default": False},
    "udev_rule_path": {"type": "path", "default": "/etc/udev/rules.d/70-sriov.rules"},
    "units": {"type": "dict"},
}
