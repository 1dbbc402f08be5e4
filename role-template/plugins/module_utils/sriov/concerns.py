# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The concerns of a host, looked at in one go: each by its own code, in check mode."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from . import kernel, mlx4, vfs
from .errors import Refusal
from .mellanox import firmware

# In the order in which the role has them done.
CONCERNS = {"firmware": firmware, "mlx4": mlx4, "kernel": kernel, "vfs": vfs}
# These have to know what the firmware lets a card have.
AFTER_FIRMWARE = ("mlx4", "vfs")


def wait_for_units(seconds: float, run_command: Callable) -> None:
    """Wait until systemd has started all units of the boot, at most so many seconds; not at all where systemd does not
    run.
    """
    if seconds and os.path.isdir("/run/systemd/system"):
        run_command(["timeout", str(seconds), "systemctl", "is-system-running", "--wait"])


class Onlooker:
    """What a concern's work() takes for a module: it changes nothing, and keeps the warnings to itself."""

    check_mode = True

    def __init__(self, params, run_command):
        self.params, self.run_command, self.warnings = params, run_command, []

    def warn(self, sentence):
        """Keep a warning."""
        self.warnings.append(sentence)


def checked_options(name, options, devices):
    """The options of a concern's module, as that would have them. Raises Refusal.

    name: one of CONCERNS; options: those that are given, but `devices`.
    """
    arguments = CONCERNS[name].ARGUMENTS
    validated = ArgumentSpecValidator(arguments).validate(
        dict(options, **({"devices": devices} if "devices" in arguments else {}))
    )
    if validated.error_messages:
        raise Refusal(f"{name}: {'; '.join(validated.error_messages)}")
    return validated.validated_parameters


def look(name: str, options: dict, devices: list[dict], run_command: Callable) -> tuple[dict, list[str]]:
    """What the module of a concern would find and do. Returns (its result, its warnings); raises Refusal.

    Arguments as of checked_options; run_command: as an AnsibleModule has it.
    """
    onlooker = Onlooker(checked_options(name, options, devices), run_command)
    return CONCERNS[name].work(onlooker), onlooker.warnings


def settled(wanted: dict[str, dict], devices: list[dict], run_command: Callable) -> dict[str, tuple[dict, list[str]]]:
    """The concerns of which nothing is to be done and nothing waits: {name: (result, warnings)}.

    wanted: {name: options}. A concern that refuses is not settled: its own module says why. Nor are, where the firmware
    is not, those that go by it.
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
