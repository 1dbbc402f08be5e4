#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: sriov_vfs
short_description: Set the number of VFs of PFs, now and at every boot
version_added: 1.0.0
description:
  - Creates and removes VFs live where nothing is disturbed by it, and says what has to wait for the next boot, and why.
  - Installs the host program C(sriov-vfs) with its configuration, its systemd units and its udev rule, or removes them when no PF is left.
  - Takes over from stackhpc.sriov and stackhpc.linux.sriov, whose units and udev block it removes.
  - When one PF fails, every PF is put back to the number of VFs it had, and no file is changed.
author:
  - StackHPC (@stackhpc)
options:
  devices:
    description: The PFs, as M(stackhpc.sriov.sriov_devices) returns them.
    type: list
    elements: dict
    required: true
  boot_wait:
    description: Seconds that the boot waits for the driver of a PF that is there.
    type: int
    default: 30
  numvfs_timeout:
    description: Seconds allowed for one PF, one more for each VF.
    type: int
    default: 120
  change_connection_pf:
    description: Allow VFs of the PF that carries the connection to be destroyed live.
    type: bool
    default: false
  udev_rule_path:
    description: The udev rule file. What is in it and is neither this module's nor the predecessors' stays.
    type: path
    default: /etc/udev/rules.d/70-sriov.rules
  units:
    description: Text of the systemd units, by the name of the unit.
    type: dict
    required: true
  settle:
    description: Wait for the boot to be finished first, at most this many seconds.
    type: int
    default: 0
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows what changes.
    support: full
"""

EXAMPLES = r"""
- name: Set the VFs
  stackhpc.sriov.sriov_vfs:
    devices: "{{ pfs.devices }}"
    units:
      sriov-vfs.service: "{{ lookup('ansible.builtin.template', 'sriov-vfs.service.j2') }}"
      sriov-vfs@.service: "{{ lookup('ansible.builtin.template', 'sriov-vfs@.service.j2') }}"
      sriov-vfs-ready@.service: "{{ lookup('ansible.builtin.template', 'sriov-vfs-ready@.service.j2') }}"
"""

RETURN = r"""
pfs:
  description: Each PF that was looked at.
  returned: success
  type: list
  elements: dict
  sample:
    - {address: "0000:3b:00.0", name: ens1f0, before: 0, now: 8, wanted: 8, state: changed, message: ""}
files:
  description: The files and links that changed, or would in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/sriov/vfs.json]
reboot:
  description: What only a reboot will make true.
  returned: success
  type: list
  elements: dict
  sample: []
stuck:
  description: What was to become true with a reboot, and did not although the host has rebooted since.
  returned: success
  type: list
  elements: dict
  sample: []
"""

import glob
import json
import os
import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.stackhpc.sriov.plugins.module_utils import sriov_host as host
from ansible_collections.stackhpc.sriov.plugins.module_utils import sriov_pending as pending
from ansible_collections.stackhpc.sriov.plugins.module_utils import sriov_predecessors as predecessors

UNIT_DIRECTORY = predecessors.UNIT_DIRECTORY
BOOT_UNIT = "sriov-vfs.service"
BOOT_LINK = UNIT_DIRECTORY + "/multi-user.target.wants/" + BOOT_UNIT
DROP_IN = "sriov-vfs.conf"
DEFAULT_RULE_PATH = predecessors.DEFAULT_RULE_PATH
# State, not configuration: what is in it is forgotten after a boot, and that is no change to report.
RELEASED_PATH = pending.STATE_DIRECTORY + "/released.json"
RULE_BEGIN = "# BEGIN stackhpc.sriov: written by Ansible, changes here are lost"
RULE_END = "# END stackhpc.sriov"
# Not with "!=" in each rule: udev takes an interface without the attribute as no match for that too.
REPRESENTORS_ASIDE = 'SUBSYSTEM=="net", ATTR{phys_port_name}=="*pf[0-9]*vf[0-9]*|*pf[0-9]*sf[0-9]*", GOTO="sriov_end"'
OWN_BLOCK = re.compile(r"^# BEGIN stackhpc\.sriov\b.*?^# END stackhpc\.sriov\n?", re.MULTILINE | re.DOTALL)
PROGRAM_HEAD = "#!/usr/bin/python3 -I\n"


def program_text():
    """The host program: the source of the very module that this one imports."""
    return PROGRAM_HEAD + host.__loader__.get_source(host.__name__)


def udev_rules(devices):
    """The block that starts a PF's unit when the PF appears, as the driver's interface or as the function itself.

    Not for the add event alone: systemd leaves an interface aside while it is being renamed, and takes it with what the
    rules say for the move event that follows. A unit that is wanted already is not started again by a later event.
    """
    lines = [RULE_BEGIN, REPRESENTORS_ASIDE]
    for device in devices:
        match = 'SUBSYSTEM=="net", KERNELS=="%s"' if device["trigger"] == "net" else 'SUBSYSTEM=="pci", KERNEL=="%s"'
        lines.append('ACTION!="remove", %s, TAG+="systemd", ENV{SYSTEMD_WANTS}+="sriov-vfs@%s.service"' % (
            match % device["address"], device["address"]))
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
                needs.setdefault(unit, []).append("sriov-vfs-ready@%s.service" % device["address"])
    return {
        "%s/%s.d/%s" % (UNIT_DIRECTORY, unit, DROP_IN): "[Unit]\nRequires=%s\nAfter=%s\n" % (" ".join(names), " ".join(names))
        for unit, names in needs.items()
    }


def read_released():
    """The PFs that left while their VFs were in use: {address: boot id at which they left}. A corrupt file counts as none."""
    try:
        released = json.loads(host.read_file(RELEASED_PATH) or "{}")
    except ValueError:
        return {}
    return released if isinstance(released, dict) else {}


def remember_released(released):
    """Write what read_released() reads; no file when there is none."""
    if released == read_released():
        return
    if released:
        host.write_atomically(RELEASED_PATH, json.dumps(released, indent=2) + "\n")
    else:
        os.unlink(RELEASED_PATH)


def to_release(devices, config, released, legacy_addresses):
    """The PFs to take back to 0 VFs: what this role, or a predecessor, gave VFs and nobody wants any more.

    devices: the chosen ones, those that the role is to leave alone among them. config: the host's configuration file.
    released: as of read_released.
    Returns {address: boot id at which it left}. After a boot whoever made VFs on such a PF, it was not this role.
    """
    now = host.boot_id()
    chosen = {device["address"] for device in devices}
    left = dict(released)
    for entry in config.get("devices", []):
        function = host.read_function(entry["address"])
        # Another card at that address: the host has renumbered its slots, and those VFs were never this role's.
        if function and entry["id"] in (None, function["id"]):
            left[entry["address"]] = now
    left.update(dict.fromkeys(legacy_addresses, now))
    zero = {device["address"]: now for device in devices if device["boot"] in ("systemd", "udev") and device["numvfs"] == 0}
    return dict({address: boot for address, boot in left.items() if boot == now and address not in chosen}, **zero)


def has_vfs(address):
    """Whether a PF is there and has VFs."""
    function = host.read_function(address)
    return bool(function and function["numvfs"])


def config_text(parameters, devices):
    """The configuration file, or None when there is nothing to configure."""
    if not devices:
        return None
    keys = ("address", "id", "numvfs", "boot", "optional")
    return json.dumps({
        "format": host.CONFIG_FORMAT,
        "boot_wait": parameters["boot_wait"],
        "numvfs_timeout": parameters["numvfs_timeout"],
        "udev_rule_path": parameters["udev_rule_path"],
        "devices": [{key: device[key] for key in keys} for device in devices],
    }, indent=2) + "\n"


def wanted_files(parameters, devices, config):
    """Every file that the host shall have, or shall not have: {path: (text or None, mode, None for the one it has)}."""
    keep = bool(devices)
    at_boot = any(device["boot"] == "systemd" for device in devices)
    files = {host.PROGRAM_PATH: (program_text() if keep else None, 0o755)}
    files[host.CONFIG_PATH] = (config_text(parameters, devices), 0o644)
    for name, text in parameters["units"].items():
        wanted = keep and (name != BOOT_UNIT or at_boot)
        files["%s/%s" % (UNIT_DIRECTORY, name)] = (text if wanted else None, 0o644)
    for path in glob.glob("%s/*.d/%s" % (UNIT_DIRECTORY, DROP_IN)):
        files[path] = (None, 0o644)
    files.update({path: (text, 0o644) for path, text in drop_ins(devices).items()})
    rule_path = parameters["udev_rule_path"]
    for path in sorted({DEFAULT_RULE_PATH, config.get("udev_rule_path", rule_path), rule_path}):
        ours = devices if path == rule_path else []
        files[path] = (rule_file(host.read_file(path), ours), 0o644 if ours else None)
    return files


class Changes:
    """The one way to change a file on the host: compares, records the difference, and writes unless in check mode."""

    def __init__(self, check_mode):
        self.check_mode = check_mode
        self.diff = []
        self.paths = set()

    def record(self, path, before, after):
        self.paths.add(path)
        if path == host.PROGRAM_PATH:
            before, after = ["%d lines\n" % len(text.splitlines()) if text else "" for text in (before, after)]
        self.diff.append({"before_header": path, "after_header": path, "before": before or "", "after": after or ""})

    def file(self, path, text, mode):
        before = host.read_file(path)
        mode_before = None if before is None else os.stat(path).st_mode & 0o7777
        mode = mode_before if mode is None else mode
        if before == text and (before is None or mode_before == mode):
            return
        self.record(path, before, text)
        if self.check_mode:
            return
        if text is None:
            os.unlink(path)
            self.prune(os.path.dirname(path))
        else:
            host.write_atomically(path, text, mode)

    def link(self, path, target):
        before = os.readlink(path) if os.path.islink(path) else None
        if before == target:
            return
        self.record(path, before and "link to %s\n" % before, target and "link to %s\n" % target)
        if self.check_mode:
            return
        if before:
            os.unlink(path)
        if target:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            os.symlink(target, path)

    @staticmethod
    def prune(directory):
        """Remove a directory that only this role's file kept in being."""
        if directory == os.path.dirname(host.CONFIG_PATH) or directory.startswith(UNIT_DIRECTORY + "/"):
            try:
                os.rmdir(directory)
            except OSError:
                pass


def write_files(changes, files, legacy_paths, boot_link, run):
    """Bring files and links to what they shall be, then tell systemd and udev. `run` runs a command or fails the module."""
    for path, (text, mode) in files.items():
        changes.file(path, text, mode)
    for path in legacy_paths:
        if os.path.islink(path):
            changes.link(path, None)
        else:
            changes.file(path, None, 0o644)
    changes.link(BOOT_LINK, UNIT_DIRECTORY + "/" + BOOT_UNIT if boot_link else None)
    if changes.check_mode:
        return
    if any(path.startswith(UNIT_DIRECTORY) for path in changes.paths) and os.path.isdir("/run/systemd/system"):
        run(["systemctl", "daemon-reload"])
    if any("/rules.d/" in path for path in changes.paths) and os.path.exists("/run/udev/control"):
        run(["udevadm", "control", "--reload"])


def reasons_of(results, config, released):
    """What waits for the next boot: (reasons, keys of those that this run is the first to ask for)."""
    before = {device["address"]: device["numvfs"] for device in config.get("devices", [])}
    before.update(dict.fromkeys(released, 0))
    reasons, touched = [], set()
    for result in results:
        if result["state"] == "pending":
            key = "vfs:%s=%d" % (result["address"], result["wanted"])
            reasons.append({"key": key, "text": result["message"]})
            if before.get(result["address"]) != result["wanted"]:
                touched.add(key)
    return reasons, touched


def make_it_so(module):
    """The module's work, under the lock. Returns its result; raises Refusal when something cannot be done."""
    parameters = module.params
    try:
        config = host.load_config() or {}
    except host.Refusal:
        config = {}
    legacy_paths, legacy_addresses = predecessors.legacy(UNIT_DIRECTORY, {DEFAULT_RULE_PATH, parameters["udev_rule_path"]})
    # Neither those that are left alone nor those whose driver takes the number as a module option (sriov_mlx4).
    devices = [device for device in parameters["devices"] if device["boot"] in ("systemd", "udev") and device["numvfs"] > 0]
    released_before = read_released()
    leaving = to_release(parameters["devices"], config, released_before, legacy_addresses)
    targets = devices + [
        {"address": address, "numvfs": 0, "optional": True} for address in leaving if has_vfs(address)
    ]
    settings = (targets, parameters["numvfs_timeout"])
    permission = parameters["change_connection_pf"]
    results = host.apply(*settings, check=True, change_connection_pf=permission)
    if not module.check_mode and not any(result["state"] == "failed" for result in results):
        results = host.apply(*settings, change_connection_pf=permission)
    failures = [result["message"] for result in results if result["state"] == "failed"]
    if failures:
        if not module.check_mode:
            results = host.put_back(results, parameters["numvfs_timeout"])
        raise host.Refusal("; ".join(result["message"] for result in results if result["state"] == "failed"), pfs=results)
    released = {
        result["address"]: leaving[result["address"]]
        for result in results if result["state"] == "pending" and result["wanted"] == 0
    }
    changes = Changes(module.check_mode)
    files = wanted_files(parameters, devices, config)
    if not module.check_mode:
        # Before the configuration forgets them.
        remember_released(released)
    at_boot = any(device["boot"] == "systemd" for device in devices)
    write_files(changes, files, legacy_paths, at_boot, lambda command: module.run_command(command, check_rc=True))
    reasons, touched = reasons_of(results, config, released_before)
    due, stuck = pending.judge("vfs", reasons, touched, module.check_mode)
    changed = [result for result in results if result["state"] == "changed"]
    diff = [
        {
            "before_header": result["address"], "after_header": result["address"],
            "before": "%s VFs\n" % result["before"], "after": "%s VFs\n" % result["wanted"],
        } for result in changed
    ]
    return {
        "changed": bool(changed or changes.paths), "diff": diff + changes.diff,
        "pfs": results, "files": sorted(changes.paths), "reboot": due, "stuck": stuck,
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "devices": {"type": "list", "elements": "dict", "required": True},
            "boot_wait": {"type": "int", "default": 30},
            "numvfs_timeout": {"type": "int", "default": 120},
            "change_connection_pf": {"type": "bool", "default": False},
            "udev_rule_path": {"type": "path", "default": DEFAULT_RULE_PATH},
            "units": {"type": "dict", "required": True},
            "settle": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    if module.params["settle"] and os.path.isdir("/run/systemd/system"):
        module.run_command(["timeout", str(module.params["settle"]), "systemctl", "is-system-running", "--wait"])
    try:
        with host.locked():
            result = make_it_so(module)
    except host.Refusal as refusal:
        module.fail_json(msg=str(refusal), **refusal.details)
    except OSError as error:
        module.fail_json(msg="The VFs cannot be set: %s" % error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
