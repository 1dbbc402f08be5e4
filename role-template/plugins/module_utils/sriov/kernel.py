# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IOMMU's parameters on the kernel command line: those that a host must have, and those that need a reboot."""

from __future__ import annotations

import contextlib
import re
import tempfile
from typing import Any

from .bootloader.cmdline import INTEL_ON, PASSTHROUGH, has, iommu_state, managed_tokens, missing
from .bootloader.detect import detect, has_traces
from .bootloader.record import RECORD, read_record, write_record
from .changes import Changes
from .errors import Refusal
from .machine import Machine
from .pending import judge, nothing_left
from .program.disk import sweep
from .program.lock import locked

STATE_DIRECTORY = "/var/lib/sriov"
PENDING = STATE_DIRECTORY + "/pending-kernel.json"
VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "HygonGenuine": "amd"}


def cpu_vendor(cpuinfo):
    """intel, amd or other, from the text of /proc/cpuinfo. Hygon's processors are AMD's Zen, IOMMU included."""
    match = re.search(r"^vendor_id\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    return VENDORS.get(match.group(1), "other") if match else "other"


def wanted_parameters(vendor, iommu, passthrough):
    """The tokens for a processor. amd_iommu=on is not a value: AMD's IOMMU is on by default."""
    if not iommu or vendor == "other":
        return []
    return ([INTEL_ON] if vendor == "intel" else []) + ([PASSTHROUGH] if passthrough else [])


def ensure(host, iommu, passthrough, check_mode):
    """Set the wanted parameters on the next boot's line, and report what needs a reboot.

    Returns the module's result, with `warnings`. If it raises Refusal, the host is as it was.
    """
    vendor = cpu_vendor(host.read("/proc/cpuinfo") or "")
    wanted = wanted_parameters(vendor, iommu, passthrough)
    running = (host.read("/proc/cmdline") or "").strip()
    record = read_record(host)
    recorded = list(record["tokens"])
    remembered = read_record(host)
    changes = Changes(host, check_mode)
    configured, warnings, touched = [], [], set()
    leaving = leaves_passthrough(running, vendor, iommu, passthrough)
    needed = bool(wanted or recorded or record["created"] or leaving or has_traces(host))
    loader = find_loader(host, running, wanted) if needed else None
    directories = [
        host.real(directory) for directory in [STATE_DIRECTORY] + (loader.folders(changes) if loader else [])
    ]
    clean = nothing_left(host, "kernel", directories)
    if not check_mode:
        sweep(directories)
    if loader:
        warnings = conflicts(list(dict.fromkeys(loader.sources(changes) + loader.also_read(changes))), wanted, vendor)
        before = [line for _where, line in loader.configured(changes)]
        touched = set(loader.lacking(changes, wanted))
        # The role must not remove a token that an entry had before.
        added = [token for token in wanted if token in recorded or not any(has(line, token) for line in before)]
        loader.prepare(changes, wanted, record)
        record["bootloader"] = loader.name
        tokens = recorded + [token for token in added if token not in recorded]
        reasons = reboot_reasons(wanted, running, leaving)
        warnings += change(host, loader, changes, wanted, dict(record, tokens=tokens), record, touched, reasons)
        configured = [line for _where, line in loader.configured(changes)]
    left = leaving and bool(configured) and not any(has(line, PASSTHROUGH) for line in configured)
    if left and PASSTHROUGH in recorded:
        touched.add("no " + PASSTHROUGH)
    keeps = dict(record, tokens=added, created=record["created"] if wanted else {}) if loader else None
    try:
        if loader:
            write_record(host, keeps, check_mode)
        due, stuck = _judge(host, reboot_reasons(wanted, running, left), touched, check_mode)
    except OSError as error:
        raise Refusal(
            "The kernel parameters of the next boot are as wanted, but the role cannot "
            f"save what it did ({error}): make room in {STATE_DIRECTORY} or make it "
            "writable, then run the role again.",
            changed=changes.changed,
        ) from error
    return {
        "changed": changes.changed,
        "diff": changes.diff,
        "vendor": vendor,
        "bootloader": loader.name if loader else "",
        "settled": clean and not (changes.changed or due or stuck) and keeps in (None, remembered),
        "wanted": wanted,
        "running": managed_tokens(running),
        "reboot": due,
        "stuck": [{"key": reason["key"], "text": advice(reason["text"], running)} for reason in stuck],
        "warnings": warnings,
    }


def find_loader(host, running, wanted):
    """The boot loader. None if no known one is found and the running line has all wanted tokens; otherwise Refusal."""
    try:
        return detect(host, running)
    except Refusal:
        if missing(running, wanted):
            raise
        return None


def change(host, loader, changes, wanted, begun, record, touched, reasons):
    """Let the loader write the next boot's line. Returns its sentences. If it raises Refusal, the host is as it was.

    begun: the record for a run that is interrupted. touched: the tokens that this writes; reasons: for a reboot, see
    judge().
    """
    try:
        # First, so that after an interrupted run the role does not treat its own tokens as the administrator's.
        changes.keep(RECORD)
        write_record(host, begun, changes.check_mode)
        if touched:
            # Also so that a reboot before this change does not count as one that failed to apply it.
            changes.keep(PENDING)
            _judge(host, reasons, touched, changes.check_mode)
        return loader.apply(changes, wanted, record)
    except Refusal:
        changes.undo()
        raise
    except OSError as error:
        raise Refusal(f"The kernel parameters cannot be set, and {changes.undo()}: {error}") from error


def _judge(host, reasons, touched, check_mode):
    """judge() for the kernel parameters of a host. touched: the tokens that this run writes."""
    return judge(host, "kernel", reasons, {"kernel:" + token for token in touched}, check_mode)


def conflicts(lines, wanted, vendor):
    """Sentences about parameters of the administrator that ours override; an error if that is not possible.

    The kernel parses every occurrence in order, so a later `intel_iommu=on` overrides `intel_iommu=off`; but nothing
    overrides `iommu=off`.
    """
    warnings = []
    for where, line in lines:
        state = iommu_state(line)
        if wanted and state["off"]:
            raise Refusal(
                f"iommu=off is configured in {where} and no other parameter can undo it: remove it, or do not "
                "request the IOMMU."
            )
        if INTEL_ON in wanted and state["intel"] is False:
            warnings.append(f"intel_iommu=off in {where} is overridden by intel_iommu=on after it.")
        if PASSTHROUGH in wanted and state["passthrough"] is False:
            warnings.append(f"A parameter against iommu=pt in {where} is overridden by iommu=pt after it.")
        if wanted and vendor == "amd" and state["amd_off"]:
            warnings.append(
                f"amd_iommu=off in {where} keeps the IOMMU off; iommu=pt has no effect until it is removed."
            )
    return warnings


def leaves_passthrough(running, vendor, iommu, passthrough):
    """Whether iommu=pt runs on a host that must have the IOMMU without it."""
    return iommu and not passthrough and vendor != "other" and has(running, PASSTHROUGH)


def reboot_reasons(wanted, running, left):
    """The parameters that are configured but do not run, as reasons for judge(). left: iommu=pt runs and is no longer
    configured.

    The removal of the parameters (iommu: false) does not require a reboot: an IOMMU that stays on until the next boot
    does no harm.
    """
    text = "kernel parameter %s is configured but not on the running command line"
    if iommu_state(running)["off"]:
        text = "kernel parameter %s is configured but undone by iommu=off on the running command line"
    reasons = [{"key": "kernel:" + token, "text": text % token} for token in missing(running, wanted)]
    if left:
        reasons.append(
            {
                "key": "kernel:no " + PASSTHROUGH,
                "text": f"kernel parameter {PASSTHROUGH} is on the running command line but no longer configured",
            }
        )
    return reasons


def advice(text, running):
    """The advice if a reboot did not apply a parameter."""
    image = re.search(r"(?:^|\s)(BOOT_IMAGE=\S+)", running)
    return (
        f"{text}, although the host has been rebooted since: it was probably started from another boot entry or loader "
        f"than the one configured (/proc/cmdline{' says ' + image.group(1) if image else ''}); look at the loader's "
        "default entry (grub-editenv list, grubby --default-kernel or bootctl status) and at the firmware's boot "
        "order, then reboot by hand."
    )


def work(module: Any) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or an object with its `params`, `check_mode`, `run_command` and `warn`.
    """

    def run(argv, stdin):
        # grubby expands what it reads from entries unquoted: in an empty directory `*` matches no file.
        with tempfile.TemporaryDirectory(prefix="sriov-") as empty:
            # The tools' messages are quoted in ours, and grubby's output is parsed.
            return module.run_command(argv, data=stdin, cwd=empty, environ_update={"LANGUAGE": "C", "LC_ALL": "C"})

    try:
        # Check mode changes nothing, so it need not wait either.
        with contextlib.nullcontext() if module.check_mode else locked():
            result = ensure(Machine(run), module.params["iommu"], module.params["passthrough"], module.check_mode)
    except OSError as error:
        raise Refusal(f"The kernel parameters cannot be set, and nothing was changed: {error}") from error
    for warning in result.pop("warnings"):
        module.warn(warning)
    return result


# The module's options, in the form for AnsibleModule.
ARGUMENTS = {
    "iommu": {"type": "bool", "default": True},
    "passthrough": {"type": "bool", "default": True},
}
