# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VFs of PFs, now and at every boot: their numbers, and the files that bring them."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import signal
from typing import Any

from . import given, pending, predecessors, units
from .errors import Refusal
from .joined import program_text
from .program import configuration, disk, lock, pfs, sysfs
from .program.host import HOST
from .together import Together

BOOT_UNIT = configuration.BOOT_UNIT
DROP_IN = "sriov-vfs.conf"
RULE_BEGIN = "# BEGIN stackhpc.sriov: written by Ansible, changes here are lost"
RULE_END = "# END stackhpc.sriov"
# Not with "!=" in each rule: udev takes an interface without the attribute as no match for that too.
REPRESENTORS_ASIDE = 'SUBSYSTEM=="net", ATTR{phys_port_name}=="*pf[0-9]*vf[0-9]*|*pf[0-9]*sf[0-9]*", GOTO="sriov_end"'
OWN_BLOCK = re.compile(r"^# BEGIN stackhpc\.sriov\b.*?^# END stackhpc\.sriov\n?", re.MULTILINE | re.DOTALL)
AS_BEFORE = "the VFs and their files are as they were"


def boot_link():
    """The link by which systemd starts the boot unit."""
    return f"{HOST.units}/multi-user.target.wants/{BOOT_UNIT}"


def released_path():
    """The file of what read_released() reads. State, not configuration: it is forgotten after a boot, and that is no change to report."""
    return os.path.join(HOST.state, "released.json")


def udev_rules(devices: list[dict]) -> str:
    """The block that starts a PF's unit when the PF appears, as the driver's interface or as the function itself.

    Not for the add event alone: systemd leaves an interface aside while it is being renamed, and takes it with what the
    rules say for the move event that follows. A unit that is wanted already is not started again by a later event.
    """
    lines = [RULE_BEGIN, REPRESENTORS_ASIDE]
    for device in devices:
        match = 'SUBSYSTEM=="net", KERNELS=="%s"' if device["trigger"] == "net" else 'SUBSYSTEM=="pci", KERNEL=="%s"'
        lines.append(
            f'ACTION!="remove", {match % device["address"]}, TAG+="systemd", '
            f'ENV{{SYSTEMD_WANTS}}+="sriov-vfs@{device["address"]}.service"')
    return "\n".join(lines + ['LABEL="sriov_end"', RULE_END, ""])


def rule_file(before, devices):
    """A udev rule file with our block, and without the predecessors'. None when nothing is left in it.

    before: its text now, or None. What anybody else wrote stays as it is.
    """
    rest = OWN_BLOCK.sub("", predecessors.LEGACY_BLOCK.sub("", before or ""))
    if not devices:
        # An empty file that is not ours masks the one of that name in /usr/lib.
        return rest if rest.strip() or rest == before else None
    return rest + ("\n" if rest and not rest.endswith("\n") else "") + udev_rules(devices)


def drop_ins(devices):
    """For each unit that needs VFs, the text that makes it need and follow them, by path."""
    needs = {}
    for device in devices:
        if device["boot"] == "systemd":
            for unit in device["required_by"]:
                needs.setdefault(unit, []).append(f"sriov-vfs-ready@{device['address']}.service")
    return {
        f"{HOST.units}/{unit}.d/{DROP_IN}": f"[Unit]\nRequires={' '.join(names)}\nAfter={' '.join(names)}\n"
        for unit, names in needs.items()
    }


def read_config():
    """The configuration of the host; one that is not what this module writes counts as none."""
    try:
        config = configuration.load_config() or {}
    except Refusal:
        return {}
    if not config.get("udev_rule_path", "/").startswith("/"):
        # From a version that took any path; nobody knows where that file is.
        del config["udev_rule_path"]
    return config


def read_released():
    """The PFs that left while their VFs were in use: {address: boot id at which they left}. A corrupt file counts as none."""
    try:
        released = json.loads(sysfs.read_file(released_path()) or "{}")
    except (ValueError, RecursionError):
        return {}
    return {address: boot for address, boot in released.items() if sysfs.PCI_ADDRESS.match(address)} if isinstance(released, dict) else {}


def to_release(devices, config, released, legacy_addresses):
    """The PFs to take back to 0 VFs: what this role, or a predecessor, gave VFs and nobody wants any more.

    devices: the chosen ones, those that the role is to leave alone among them. config: the host's configuration file.
    released: as of read_released.
    Returns {address: boot id at which it left}. After a boot whoever made VFs on such a PF, it was not this role.
    """
    now = sysfs.boot_id()
    chosen = {device["address"] for device in devices}
    left = dict(released)
    for entry in config.get("devices", []):
        function = sysfs.read_function(entry["address"])
        # Another card at that address: the host has renumbered its slots, and those VFs were never this role's.
        if function and entry["id"] in (None, function["id"]):
            left[entry["address"]] = now
    left.update(dict.fromkeys(legacy_addresses, now))
    zero = {device["address"]: now for device in devices if device["boot"] in ("systemd", "udev") and device["numvfs"] == 0}
    return dict({address: boot for address, boot in left.items() if boot == now and address not in chosen}, **zero)


def has_vfs(address):
    """Whether a PF is there and has VFs."""
    function = sysfs.read_function(address)
    return bool(function and function["numvfs"])


def config_text(parameters, devices, names):
    """The configuration file, or None when there is nothing to configure. names: as of last_known_names."""
    if not devices:
        return None
    keys = ("address", "id", "numvfs", "boot", "optional")
    return json.dumps({
        "format": configuration.CONFIG_FORMAT,
        "boot_wait": parameters["boot_wait"],
        "numvfs_timeout": parameters["numvfs_timeout"],
        "udev_rule_path": parameters["udev_rule_path"],
        "devices": [dict({key: device[key] for key in keys}, name=names[device["address"]]) for device in devices],
    }, indent=2) + "\n"


def last_known_names(devices, config, kept):
    """The name of each PF's interface: {address: name, "" for none}, for messages about a PF that is gone.

    kept: those that the file has, where it has them, for an interface that was renamed is no change to report; else those of now, where
    the PF has an interface now.
    """
    ids = {device["address"]: device["id"] for device in devices}
    known = {
        entry["address"]: entry["name"] for entry in config.get("devices", [])
        if entry["address"] in ids and ids[entry["address"]] in (None, entry["id"]) and "name" in entry
    }
    names = {device["address"]: device.get("name") or "" for device in devices}
    now = {
        address: name if name and name.isascii() and configuration.is_plain(name) else known.get(address, "") for address, name in names.items()
    }
    return dict(now, **known) if kept else now


def wanted_files(parameters, devices, config):
    """Every file that the host shall have, or shall not have: {path: (text or None, mode, None for the one it has)}."""
    keep = bool(devices)
    at_boot = any(device["boot"] == "systemd" for device in devices)
    files = {HOST.program: (program_text() if keep else None, 0o755)}
    files[HOST.config] = (config_text(parameters, devices, last_known_names(devices, config, kept=True)), 0o644)
    for name, text in parameters["units"].items():
        wanted = keep and (name != BOOT_UNIT or at_boot)
        files[f"{HOST.units}/{name}"] = (text if wanted else None, 0o644)
    for path in glob.glob(f"{HOST.units}/*.d/{DROP_IN}"):
        files[path] = (None, 0o644)
    files.update({path: (text, 0o644) for path, text in drop_ins(devices).items()})
    rule_path = parameters["udev_rule_path"]
    for path in sorted({HOST.udev_rules, config.get("udev_rule_path", rule_path), rule_path}):
        ours = devices if path == rule_path else []
        files[path] = (rule_file(sysfs.read_file(path), ours), 0o644 if ours else None)
    return files


def plan_files(changes, parameters, devices, config, legacy_paths):
    """Plan every file and link in an order in which a boot after any of them finds what works.

    What needs something goes before it and comes after it; the predecessors' go last, when ours do their work.
    Returns the directories in which they, and the state of this module, are.
    """
    files, state = wanted_files(parameters, devices, config), set()
    if devices and files[HOST.config][0] == sysfs.read_file(HOST.config):
        # Names of interfaces alone are no change to report.
        state.add(HOST.config)
    if devices:
        files[HOST.config] = (config_text(parameters, devices, last_known_names(devices, config, kept=False)), 0o644)
    at_boot = any(device["boot"] == "systemd" for device in devices)

    def rank(path):
        text, gone = files[path][0], files[path][0] is None
        if os.path.basename(path) == DROP_IN:
            # One that needs less than before must not wait for what then goes; one that needs more must wait for what then comes.
            needs = [set(re.findall(r"sriov-vfs-ready@\S+", part or "")) for part in (text, sysfs.read_text(path))]
            return 0 if gone or needs[0] <= needs[1] else 8
        if path == HOST.program:
            return 12 if gone else 1
        if path == HOST.config:
            # It alone knows which rule file was ours before; the rules start what does not work without any configuration.
            return 11 if gone else 6 if os.path.exists(path) else 2
        if path.startswith(HOST.units + "/"):
            return 10 if gone else 3
        return 9 if not devices else 4 if path == parameters["udev_rule_path"] else 5

    link = HOST.units + "/" + BOOT_UNIT if at_boot else None
    steps = [(rank(path), lambda path=path: changes.file(path, *files[path], state=path in state)) for path in files]
    steps.append((7 if link else 0, lambda: changes.link(boot_link(), link)))
    for path in legacy_paths:
        if os.path.islink(path):
            steps.append((13, lambda path=path: changes.link(path, None)))
        else:
            steps.append((14, lambda path=path: changes.file(path, None)))
    for _rank, plan in sorted(steps, key=lambda step: step[0]):
        plan()
    directories = {os.path.dirname(path) for path in [boot_link(), released_path(), HOST.owed] + list(files)}
    return sorted(directories.union(glob.glob(HOST.units + "/*.[dwr]*/")))


def read_owed():
    """The files of runs that ended before systemd and udev knew of them."""
    try:
        owed = json.loads(sysfs.read_file(HOST.owed) or "[]")
    except ValueError:
        return []
    return [path for path in owed if isinstance(path, str)] if isinstance(owed, list) else []


def write_owed(paths):
    """Write what read_owed() reads; no file for no paths. Raises OSError."""
    if paths:
        disk.write_atomically(HOST.owed, json.dumps(paths) + "\n")
    else:
        with contextlib.suppress(FileNotFoundError):
            disk.remove_file(HOST.owed)


def reloads(paths):
    """The commands that make systemd and udev, if they run, read these files."""
    commands = []
    if any(path.startswith(HOST.units + "/") for path in paths) and os.path.isdir("/run/systemd/system"):
        commands.append(["systemctl", "daemon-reload"])
    if any(path.endswith(".rules") for path in paths) and os.path.exists("/run/udev/control"):
        commands.append(["udevadm", "control", "--reload"])
    return commands


def finish(paths, run, results):
    """What follows the change of files: systemd and udev read them, and directories that only they kept in being go.

    run: runs a command and returns (code, output, errors); results: what became of the PFs. Raises Refusal when a command fails; the
    next run makes up for it.
    """
    for command in reloads(paths):
        code, output, errors = run(command)
        if code:
            said = (errors or output).strip().replace("\n", "; ") or f"exit code {code}"
            raise Refusal(
                f"{' '.join(command)} failed ({said}), after VFs and files were changed: correct that, then run the "
                "role again, which repeats it", pfs=results)
    for path in paths:
        if path == HOST.config or os.path.basename(path) == DROP_IN:
            disk.sweep([os.path.dirname(path)])
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))
                disk.sync_directory(os.path.dirname(os.path.dirname(path)))
    with contextlib.suppress(OSError):
        write_owed([])


def reasons_of(results, config, released):
    """What waits for the next boot: (reasons, keys of those that this run is the first to ask for)."""
    before = {device["address"]: device["numvfs"] for device in config.get("devices", [])}
    before.update(dict.fromkeys(released, 0))
    reasons, touched = [], set()
    for result in results:
        if result["state"] == "pending":
            key = f"vfs:{result['address']}={result['wanted']}"
            reasons.append({"key": key, "text": result["message"]})
            if before.get(result["address"]) != result["wanted"]:
                touched.add(key)
    return reasons, touched


def checked(parameters):
    """The numbers among the module's parameters as int, and the units. Raises Refusal for parameters that no host could be given."""
    checked_path(parameters["udev_rule_path"])
    for name, text in (parameters["units"] or {}).items():
        # Half of a surrogate pair cannot be written.
        if not isinstance(text, str) or re.search("[\0\ud800-\udfff]", text) or not given.is_file_name(name):
            raise Refusal(
                f"units has {name!r:.80}: {text!r:.80}, and takes the name of a unit and its text: correct it")
    given.refuse_wrong(parameters["devices"], ("address", "id", "numvfs", "boot", "optional", "trigger", "required_by"))
    numbers = {
        name: whole_number(name, parameters[name], least, configuration.MOST_SECONDS)
        for name, least in (("boot_wait", 0), ("numvfs_timeout", 1))
    }
    return dict(numbers, units=units.texts(**numbers) if parameters["units"] is None else parameters["units"])


def checked_path(path):
    """Raise Refusal when udev would not read a file of that path."""
    if not (isinstance(path, str) and path.startswith("/") and path.endswith(".rules") and path.isprintable()):
        raise Refusal(
            f"udev_rule_path is {path!r:.200}: give an absolute path that ends in .rules, as udev reads no other")


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """A parameter as an int. Raises Refusal when it is none, or is out of its bounds."""
    try:
        number = int(value)
        right = not isinstance(value, bool) and (isinstance(value, str) or number == value) and least <= number <= most
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise Refusal(f"{name} is {value!r:.80}: give a whole number from {least} to {most}")
    return number


class Interruption:
    """SIGTERM, SIGINT and SIGHUP end the module where nothing is half-done.

    That is at once, while nothing has been changed; then at check(), and never after the last of those.
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
        # The processes that write numbers of VFs inherit this: they finish their write, which nothing can take back.
        if os.getpid() == self._pid:
            self._name = signal.Signals(number).name
            if not self.deferred:
                self.check()

    def check(self):
        """Raise Refusal when a signal has come."""
        if self._name:
            raise Refusal(f"the run was ended by {self._name}: run the role again")


def plan_state(changes, results, leaving, config, released_before):
    """Plan what is remembered of PFs that wait for the next boot; a later call, with other results, takes the place of the first.

    leaving: as of to_release. Returns (due, stuck), as of pending.judge.
    """
    released = {
        result["address"]: leaving[result["address"]]
        for result in results if result["state"] == "pending" and result["wanted"] == 0
    }
    # Goes before the configuration forgets them.
    changes.file(released_path(), json.dumps(released, indent=2, sort_keys=True) + "\n" if released else None, state=True)
    due, stuck, waits = pending.sort(HOST, "vfs", *reasons_of(results, config, released_before))
    changes.file(pending.path_of(HOST, "vfs"), pending.text_of(waits), state=True)
    return due, stuck


def lines_of(results, devices):
    """One line for each PF of the results, with the physical network of it. devices: the PFs, as sriov_devices returns them."""
    networks = {}
    for device in devices:
        if device.get("physical_network"):
            networks.setdefault(device["address"], {})[device["physical_network"]] = None
    return ["%s: %s VFs%s%s%s" % (
        pfs.described(result), result["now"],
        ", physical network " + " and ".join(networks[result["address"]]) if result["address"] in networks else "",
        ", " + result["state"] if result["state"] != "ok" else "",
        ": " + result["message"] if result["message"] else "") for result in results]


def failures_of(results):
    """The messages of the PFs that have failed."""
    return [result["message"] for result in results if result["state"] == "failed"]


def untouched(attempt, results):
    """Call what changes no VF and no file, and have its Refusal say so. results: of the PFs that were to be set after it."""
    try:
        attempt()
    except Refusal as refusal:
        for result in results:
            if result["state"] == "changed":
                message = f"{pfs.described(result)} was not changed because a file cannot be"
                result.update(state="unchanged", now=result["before"], message=message)
        raise Refusal(f"{refusal}; {AS_BEFORE}", pfs=results) from refusal


def put_back(results, timeout, refusal, cause):
    """Give each PF that has changed its former number of VFs.

    refusal: what makes it necessary; cause: the same in a few words, for the PFs. Returns the Refusal to raise.
    """
    if HOST.config in refusal.details.get("files", []):
        # The next boot goes by that file, and a PF that is no longer in it would have VFs that nobody takes away.
        return Refusal(f"{refusal}; the VFs are as they were wanted", **dict(refusal.details, pfs=results))
    results = pfs.put_back(results, timeout)
    for result in results:
        if result["state"] == "put back":
            result["message"] = f"{pfs.described(result)} was put back to {result['before']} VFs because {cause}"
    left = failures_of(results) or ["the VFs are as they were" if refusal.details.get("files") else AS_BEFORE]
    return Refusal("; ".join([str(refusal)] + left), **dict(refusal.details, pfs=results))


def carry_out(changes, results, apply, remember, timeout, interruption):
    """Set the VFs, then put what is staged in its place; or leave VFs and files as they were.

    results: what apply() is going to do; apply: sets the VFs and returns what came of it; remember: plans the state for that.
    Returns (results, what remember() returned). Raises Refusal with `pfs`, and with `files` when some cannot be put back.
    """
    try:
        results = apply()
    except OSError as error:
        raise put_back(results, timeout, Refusal(f"The VFs cannot be set: {error}"), "the run failed") from error
    if failures_of(results):
        results = pfs.left_alone(pfs.put_back(results, timeout))
        raise Refusal(pfs.refusal_of(results), pfs=results)
    try:
        interruption.check()
    except Refusal as refusal:
        raise put_back(results, timeout, refusal, "the run was ended") from refusal
    try:
        waits = remember(results)
        changes.stage()
        changes.commit()
    except Refusal as refusal:
        raise put_back(results, timeout, refusal, "a file could not be changed") from refusal
    return results, waits


def make_it_so(parameters, check_mode, run, interruption):
    """The module's work, under the lock. Returns its result; raises Refusal when something cannot be done.

    parameters: the module's, as checked() has them. run: runs a command and returns (code, output, errors).
    """
    config = read_config()
    legacy_paths, legacy_addresses = predecessors.legacy(HOST.units, {HOST.udev_rules, parameters["udev_rule_path"]})
    # Neither those that are left alone nor those whose driver takes the number as a module option (sriov_mlx4).
    devices = [device for device in parameters["devices"] if device["boot"] in ("systemd", "udev") and device["numvfs"] > 0]
    released_before = read_released()
    leaving = to_release(parameters["devices"], config, released_before, legacy_addresses)
    targets = devices + [
        {"address": address, "numvfs": 0, "optional": True} for address in leaving if has_vfs(address)
    ]
    timeout, permission = parameters["numvfs_timeout"], parameters["change_connection_pf"]
    results = pfs.apply(targets, timeout, check=True, change_connection_pf=permission)
    if failures_of(results):
        results = pfs.left_alone(results)
        raise Refusal(pfs.refusal_of(results), pfs=results)
    changes, owed = Together(), read_owed()

    def remember(outcome):
        return plan_state(changes, outcome, leaving, config, released_before)

    due, stuck = remember(results)
    directories = plan_files(changes, parameters, devices, config, legacy_paths)
    clean = not disk.leftovers(directories)
    follows = sorted(changes.paths.union(owed))
    if check_mode:
        untouched(changes.probe, results)
    else:
        interruption.deferred = True
        disk.sweep(directories + sorted({os.path.dirname(path) for path in owed}))
        # First of all, so that the next run knows what systemd and udev may not have read, whatever ends this one.
        write_owed(follows)
        try:
            untouched(changes.stage, results)
            results, (due, stuck) = carry_out(
                changes, results, lambda: pfs.apply(targets, timeout, change_connection_pf=permission), remember, timeout, interruption)
        except Refusal as refusal:
            if not refusal.details.get("files"):
                with contextlib.suppress(OSError):
                    write_owed(owed)
            raise
        finally:
            changes.discard()
        finish(follows, run, results)
    changed = [result for result in results if result["state"] == "changed"]
    diff = [
        {
            "before_header": result["address"], "after_header": result["address"],
            "before": f"{result['before']} VFs\n", "after": f"{result['wanted']} VFs\n",
        } for result in changed
    ]
    repeated = [command for command in reloads(owed) if command not in reloads(changes.paths)]
    diff += [
        {"before_header": " ".join(command), "after_header": " ".join(command), "before": "", "after": "repeated\n"} for command in repeated
    ]
    return {
        "changed": bool(changed or changes.paths or repeated), "diff": diff + changes.diff,
        "pfs": results, "lines": lines_of(results, parameters["devices"]), "files": sorted(changes.paths), "reboot": due, "stuck": stuck,
        "settled": clean and not (changed or repeated or owed or changes.planned() or due or stuck),
    }


class Uninterrupted:
    """Instead of an Interruption, for what changes nothing: a signal may end that anywhere."""

    deferred = False

    def check(self):
        """Say that no signal has come."""


def work(module: Any, interruption: Interruption | None = None) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or what has its `params`, `check_mode` and `run_command`. interruption: an Interruption, where the
    module may change something.
    """
    try:
        parameters = dict(module.params, **checked(module.params))
        with lock.locked(lock.lock_wait(parameters["numvfs_timeout"])):
            return make_it_so(parameters, module.check_mode, module.run_command, interruption or Uninterrupted())
    except OSError as error:
        raise Refusal(f"The VFs cannot be set: {error}") from error


# The module's options, as AnsibleModule takes them.
ARGUMENTS = {
    "devices": {"type": "list", "elements": "dict", "required": True},
    "boot_wait": {"type": "raw", "default": 30},
    "numvfs_timeout": {"type": "raw", "default": 120},
    "change_connection_pf": {"type": "bool", "default": False},
    "udev_rule_path": {"type": "path", "default": "/etc/udev/rules.d/70-sriov.rules"},
    "units": {"type": "dict"},
}
