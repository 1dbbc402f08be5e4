# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks all concerns of a host in one run: each with its own code, in check mode."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from . import kernel, mlx4, vfs
from .bios import host
from .errors import Refusal
from .mellanox import firmware

# In the order in which the role handles them.
CONCERNS = {"firmware": firmware, "mlx4": mlx4, "kernel": kernel, "vfs": vfs}
# These need to know what the firmware allows a card.
AFTER_FIRMWARE = ("mlx4", "vfs")


def wait_for_units(seconds: float, run_command: Callable) -> None:
    """Wait until systemd has started all units of the boot, at most `seconds`; not at all if systemd does not run."""
    if seconds and os.path.isdir("/run/systemd/system"):
        run_command(["timeout", str(seconds), "systemctl", "is-system-running", "--wait"])


class Onlooker:
    """Stands for the module in a concern's work(): it changes nothing, and collects the warnings."""

    check_mode = True

    def __init__(self, params, run_command):
        self.params, self.run_command, self.warnings = params, run_command, []

    def warn(self, sentence):
        """Collect a warning."""
        self.warnings.append(sentence)


def checked_options(name, options, devices):
    """The options of a concern's module, validated and with defaults. Raises Refusal.

    name: one of CONCERNS; options: the given ones, without `devices`.
    """
    arguments = CONCERNS[name].ARGUMENTS
    validated = ArgumentSpecValidator(arguments).validate(
        dict(options, **({"devices": devices} if "devices" in arguments else {}))
    )
    if validated.error_messages:
        raise Refusal(f"{name}: {'; '.join(validated.error_messages)}")
    return validated.validated_parameters


def look(name: str, options: dict, devices: list[dict], run_command: Callable) -> tuple[dict, list[str]]:
    """The result that the module of a concern would return. Returns (its result, its warnings); raises Refusal.

    Arguments: see checked_options(); run_command: that of an AnsibleModule.
    """
    onlooker = Onlooker(checked_options(name, options, devices), run_command)
    return CONCERNS[name].work(onlooker), onlooker.warnings


def shortcomings(wanted: dict[str, dict], devices: list[dict]) -> tuple[list[dict], list[str]]:
    """What the BIOS or the kernel has off: (errors as look() of bios/host.py returns them, warnings as sentences).

    wanted: {name: options}. Nothing in a run without the kernel parameters, or with wrong options, which the concern
    itself refuses.
    """
    try:
        options = checked_options("kernel", wanted["kernel"], devices) if "kernel" in wanted else None
    except Refusal:
        return [], []
    found = host.look(devices, options["iommu"], options["passthrough"]) if options else []
    return [one for one in found if one["error"]], [one["text"] for one in found if not one["error"]]


def refuse_unknown(wanted: dict) -> None:
    """Raise Refusal for a name that is not one of CONCERNS."""
    for name in wanted:
        if name not in CONCERNS:
            raise Refusal(f"concerns contains {name!r:.80}, and the known ones are {', '.join(CONCERNS)}: correct it")


def look_at_all(
    wanted: dict[str, dict], devices: list[dict], run_command: Callable
) -> tuple[dict[str, dict], list[str], dict[str, Refusal]]:
    """The results of several concerns, by name, their warnings, and the Refusal of each that refuses. Arguments: see
    settled().
    """
    found, warnings, refused = {}, [], {}
    for name in [name for name in CONCERNS if name in wanted]:
        try:
            found[name], sentences = look(name, wanted[name], devices, run_command)
        except Refusal as refusal:
            refused[name] = refusal
            continue
        warnings += sentences
        # The firmware concern reports which PFs get their VFs only when their card runs with its new settings.
        devices = found[name].get("devices", devices)
    return found, warnings, refused


def settled(wanted: dict[str, dict], devices: list[dict], run_command: Callable) -> dict[str, tuple[dict, list[str]]]:
    """The concerns with nothing to do and nothing that waits: {name: (result, warnings)}.

    wanted: {name: options}. A concern that refuses is not settled: its own module reports why. If the firmware is not
    settled, the concerns that depend on it are not settled either.
    """
    found = {}
    for name in CONCERNS:
        if name not in wanted or name in AFTER_FIRMWARE and "firmware" in wanted and "firmware" not in found:
            continue
        try:
            result, warnings = look(name, wanted[name], devices, run_command)
        except Refusal:
            continue
        if result["settled"]:
            found[name] = result, warnings
    return found
