# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that create VFs at every boot: the program's configuration, units, drop-ins and udev rules."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re

from . import left_alone, predecessors
from .errors import Refusal
from .joined import program_text
from .program import configuration, disk, sysfs
from .program.host import HOST

BOOT_UNIT = configuration.BOOT_UNIT
# What an entry has only if it is wanted.
SETTINGS_KEYS = ("up", "autoprobe", "vfs", "left_alone")
DROP_IN = "sriov-vfs.conf"
RULE_BEGIN = "# BEGIN stackhpc.sriov: written by Ansible, changes here are lost"
RULE_END = "# END stackhpc.sriov"
# Not with "!=" in each rule: udev also counts an interface without the attribute as no match.
REPRESENTORS_ASIDE = 'SUBSYSTEM=="net", ATTR{phys_port_name}=="*pf[0-9]*vf[0-9]*|*pf[0-9]*sf[0-9]*", GOTO="sriov_end"'
OWN_BLOCK = re.compile(r"^# BEGIN stackhpc\.sriov\b.*?^# END stackhpc\.sriov\n?", re.MULTILINE | re.DOTALL)


def boot_link():
    """The link that makes systemd start the boot unit."""
    return f"{HOST.units}/multi-user.target.wants/{BOOT_UNIT}"


def released_path():
    """The file that read_released() reads. State, not configuration: it has no meaning after a boot, and that is not a
    change to report.
    """
    return os.path.join(HOST.state, "released.json")


def udev_rules(devices: list[dict]) -> str:
    """The block that starts a PF's unit when the PF appears, as the driver's interface or as the function itself.

    Not only for the add event: systemd ignores an interface while it is being renamed, and then uses the result of the
    rules for the move event that follows. A later event does not start a unit again that is wanted already.
    """
    lines = [RULE_BEGIN, REPRESENTORS_ASIDE]
    for device in devices:
        match = 'SUBSYSTEM=="net", KERNELS=="%s"' if device["trigger"] == "net" else 'SUBSYSTEM=="pci", KERNEL=="%s"'
        lines.append(
            f'ACTION!="remove", {match % device["address"]}, TAG+="systemd", '
            f'ENV{{SYSTEMD_WANTS}}+="sriov-vfs@{device["address"]}.service"'
        )
    return "\n".join(lines + ['LABEL="sriov_end"', RULE_END, ""])


def rule_file(before, devices):
    """A udev rule file with our block, and without that of the predecessors. None if nothing is left in it.

    before: its current text, or None. Text from others stays as it is.
    """
    rest = OWN_BLOCK.sub("", predecessors.LEGACY_BLOCK.sub("", before or ""))
    if not devices:
        # An empty file that is not ours masks the file with the same name in /usr/lib.
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
    """The configuration of the host; a file that this module cannot have written counts as none."""
    try:
        config = configuration.load_config() or {}
    except Refusal:
        return {}
    if not config.get("udev_rule_path", "/").startswith("/"):
        # From a version that accepted any path: the place of that file is not known.
        del config["udev_rule_path"]
    return config


def config_text(parameters, devices, names):
    """The configuration file, or None if there is nothing to configure. names: see last_known_names()."""
    if not devices:
        return None
    keys = ("address", "id", "numvfs", "boot", "optional")
    return (
        json.dumps(
            {
                "format": configuration.CONFIG_FORMAT,
                "boot_wait": parameters["boot_wait"],
                "numvfs_timeout": parameters["numvfs_timeout"],
                "settings_timeout": parameters["settings_timeout"],
                "udev_rule_path": parameters["udev_rule_path"],
                "devices": [
                    dict(
                        {key: device[key] for key in keys},
                        name=names[device["address"]],
                        **{key: device[key] for key in SETTINGS_KEYS if key in device},
                    )
                    for device in devices
                ],
            },
            indent=2,
        )
        + "\n"
    )


def last_known_names(devices, config, kept):
    """The name of each PF's interface: {address: name, "" for none}, for messages about a missing PF.

    kept: prefer the names in the file, because a renamed interface is not a change to report. Otherwise prefer the
    current name, if the PF has an interface now.
    """
    ids = {device["address"]: device["id"] for device in devices}
    known = {
        entry["address"]: entry["name"]
        for entry in config.get("devices", [])
        if entry["address"] in ids and ids[entry["address"]] in (None, entry["id"]) and "name" in entry
    }
    names = {device["address"]: device.get("name") or "" for device in devices}
    now = {
        address: name if name and name.isascii() and configuration.is_plain(name) else known.get(address, "")
        for address, name in names.items()
    }
    return dict(now, **known) if kept else now


def wanted_files(parameters, devices, config, staying):
    """Every file that must exist or must not exist: {path: (text or None, mode or None for the current one)}. staying:
    see wanted_of() of left_alone.
    """
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
    files.update(left_alone.files(parameters["devices"], staying))
    return files


def plan_files(changes, parameters, devices, config, legacy_paths, staying):
    """Plan every file and link in an order such that a boot after any of the steps works.

    A file that needs another one is removed before it and created after it. The files of the predecessors are removed
    last, when ours are complete. staying: see wanted_of() of left_alone. Returns the directories of these files and of
    this module's state.
    """
    files, state = wanted_files(parameters, devices, config, staying), set()
    if devices and files[HOST.config][0] == sysfs.read_file(HOST.config):
        # A change of interface names only is not a change to report.
        state.add(HOST.config)
    if devices:
        files[HOST.config] = (config_text(parameters, devices, last_known_names(devices, config, kept=False)), 0o644)
    at_boot = any(device["boot"] == "systemd" for device in devices)

    def rank(path):
        text, is_removed = files[path][0], files[path][0] is None
        if path in (HOST.left_alone_rules, HOST.left_alone_network):
            # put_first() has put them in their places. They are removed when there are no more VFs to leave alone.
            return 15 if is_removed else -1
        if os.path.basename(path) == DROP_IN:
            # A drop-in that needs less than before must not wait for units that are removed later. One that needs more
            # must wait for units that are created later.
            needs = [set(re.findall(r"sriov-vfs-ready@\S+", part or "")) for part in (text, sysfs.read_text(path))]
            return 0 if is_removed or needs[0] <= needs[1] else 8
        if path == HOST.program:
            return 12 if is_removed else 1
        if path == HOST.config:
            # Only this file shows which rule file was ours before. The units that the rules start need a configuration.
            return 11 if is_removed else 6 if os.path.exists(path) else 2
        if path.startswith(HOST.units + "/"):
            return 10 if is_removed else 3
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
    directories.add(HOST.records)
    return sorted(directories.union(glob.glob(HOST.units + "/*.[dwr]*/")))


def read_owed():
    """The files of runs that ended before systemd and udev had read them."""
    try:
        owed = json.loads(sysfs.read_file(HOST.owed) or "[]")
    except ValueError:
        return []
    return [path for path in owed if isinstance(path, str)] if isinstance(owed, list) else []


def write_owed(paths):
    """Write the file that read_owed() reads, or remove it if there are no paths. Raises OSError."""
    if paths:
        disk.write_atomically(HOST.owed, json.dumps(paths) + "\n")
    else:
        with contextlib.suppress(FileNotFoundError):
            disk.remove_file(HOST.owed)


def reloads(paths, events=()):
    """The commands that make systemd, udev and networkd read these files, if they run.

    events: commands in between, after which networkd finds the marks of udev.
    """
    commands = []
    if any(path.startswith(HOST.units + "/") for path in paths) and os.path.isdir("/run/systemd/system"):
        commands.append(["systemctl", "daemon-reload"])
    if any(path.endswith(".rules") for path in paths) and os.path.exists("/run/udev/control"):
        commands.append(["udevadm", "control", "--reload"])
    commands += events
    if left_alone_paths(paths) and left_alone.runs("systemd-networkd.service"):
        commands.append(["networkctl", "reload"])
    return commands


def put_first(changes, run):
    """Put the staged files that must be in force before the first VF exists in their places: those of left_alone.

    run: runs a command and returns (code, output, errors). Raises Refusal, with these files as they were.
    """
    paths = [path for path in left_alone_paths(changes.paths) if not changes.removes(path)]
    if not paths:
        return
    changes.commit(paths)
    for command in reloads(paths):
        said = error_of(command, run)
        if said:
            failed = Refusal(f"{' '.join(command)} failed ({said}): correct that, then run the role again")
            raise take_back(changes, run, failed)


def take_back(changes, run, cause):
    """Put back the files of put_first(). cause: a Refusal. Returns it, or one that names what cannot be put back.

    A reload that fails is not said: udev looks for changed files itself, and without its mark networkd's file means
    nothing.
    """
    cause = changes.undo(cause)
    for command in reloads(left_alone_paths(changes.paths)):
        run(command)
    return cause


def left_alone_paths(paths):
    """Those of some paths that are files of left_alone."""
    return sorted({HOST.left_alone_rules, HOST.left_alone_network}.intersection(paths))


def error_of(command, run):
    """Run a command; returns what it says of its failure, None if it works. run: see put_first()."""
    code, output, errors = run(command)
    return (errors or output).strip().replace("\n", "; ") or f"exit code {code}" if code else None


def finish(paths, run, results, devices, staying):
    """The steps after the change of files: make systemd and udev read them, and remove directories that are empty now.

    run: see put_first(); results: the results of the PFs; devices, staying: see wanted_of() of left_alone. Raises
    Refusal if a command fails; the next run repeats it.
    """
    for command in reloads(paths, left_alone.events(paths, devices, staying)):
        said = error_of(command, run)
        if said:
            raise Refusal(
                f"{' '.join(command)} failed ({said}), after VFs and files were changed: correct that, then run the "
                "role again, which repeats it",
                pfs=results,
            )
    for path in paths:
        if path == HOST.config or os.path.basename(path) == DROP_IN:
            disk.sweep([os.path.dirname(path)])
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))
                disk.sync_directory(os.path.dirname(os.path.dirname(path)))
    with contextlib.suppress(OSError):
        write_owed([])
