# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The BIOS settings of a host, through its BMC: what must be set, and what waits for a reboot.

This runs where the BMC can be reached, and not on the host: what the host remembers of earlier boots comes as an
option, and bios/notes.py keeps it there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from ..errors import Refusal
from .attributes import FEATURES, checked_values, near, of_features, of_names
from .identity import refuse_other_host
from .redfish import ROOT, Bmc, Board, NoAnswer, Rejected, choose_system, open_jobs, read_board, read_registry

# A BMC may show what it has accepted only after a moment.
LOOKS_AFTER_CHANGE = 6
PAUSE = 5
# Seconds that a BMC gets after a reboot, if neither a job nor a pending setting shows that it is still at work.
SHORT_WAIT = 60


def key_of(name: str, value: Any) -> str:
    """The key of a setting with its value, for pending.judge()."""
    return f"bios:{name}={value}"


def ensure(parameters: dict, check_mode: bool, warn: Callable, after_reboot: bool = False) -> dict:
    """The module's work. Returns its result; raises Refusal before anything is changed, unless it says what the BMC has
    accepted.

    after_reboot: whether the host has been rebooted for all wanted settings.
    """
    refuse_incomplete(parameters)
    with Bmc(parameters) as bmc:
        root = bmc.get(ROOT)
        system = choose_system(bmc, root, parameters["system"])
        refuse_other_host(system, parameters, parameters["address"])
        board = read_board(bmc, root, system)
        wanted, absent = wanted_of(parameters, board)
        if any(board.current[name] != value for name, value in wanted.items()):
            registry = read_registry(bmc, root, board.bios)
            wanted = checked_values(wanted, board.current, registry, board.pending)
        for feature in [feature for feature in absent if feature not in parameters["shown_on"]]:
            warn(
                f"the names of the BIOS settings for {feature} are not known on this {board.name}: if it is off there, "
                f"name its settings in sriov_bios_attributes; this BIOS has {near(feature, board.current)}"
            )
        keys = {key_of(name, value) for name, value in wanted.items()}
        tried = keys if after_reboot else keys.intersection(parameters["tried"])
        to_set, stuck = plan(wanted, board, tried)
        if to_set and not stuck:
            refuse_conflict(to_set, wanted, board, parameters["address"])
            if not check_mode:
                change(bmc, board, to_set)
        return result_of(wanted, absent, board, {} if stuck else to_set, stuck, tried.union(parameters["waiting"]))


def refuse_incomplete(parameters: dict) -> None:
    """Raise Refusal without a login, which a BMC would count as a wrong one, and without the file of authorities."""
    missing = [name for name in ("username", "password") if not parameters[name]]
    if missing:
        raise Refusal(
            f"sriov_bmc_address is set, and {' and '.join('sriov_bmc_' + name for name in missing)} is not: set it, or "
            "leave the address empty"
        )
    authorities = parameters["ca_path"]
    if authorities and parameters["validate_certs"] and not os.path.isfile(authorities):
        raise Refusal(
            f"sriov_bmc_ca_path is {authorities}, which is not a file on the machine that asks the BMC (sriov_bmc_via): give "
            "the path of a file with certificates there"
        )


def wanted_of(parameters: dict, board: Board) -> tuple[dict[str, Any], list[str]]:
    """({name: value} of the wanted settings, the features without a known setting). Raises Refusal."""
    maker = str(board.system.get("Manufacturer") or "")
    wanted, absent = of_features(parameters["features"], maker, board.current)
    return {**wanted, **of_names(parameters["attributes"], board.current)}, absent


def plan(wanted: dict[str, Any], board: Board, tried: set[str]) -> tuple[dict[str, Any], list[str]]:
    """({name: value} to send, the names of settings that were set in an earlier boot and are not in effect).

    tried: the keys of those that were set in an earlier boot.
    """
    stuck = [
        name
        for name, value in wanted.items()
        if key_of(name, value) in tried and (board.current[name] != value or board.jobs)
    ]
    to_set = {
        name: value
        for name, value in wanted.items()
        # What is pending on an iDRAC without a job is never applied.
        if board.pending.get(name, board.current[name]) != value
        or board.is_dell
        and not board.jobs
        and name in board.pending
    }
    return to_set, stuck


def refuse_conflict(to_set: dict[str, Any], wanted: dict[str, Any], board: Board, address: str) -> None:
    """Raise Refusal if an iDRAC would refuse the change, or apply another person's settings with it."""
    if board.jobs:
        job = board.jobs[0]
        raise Refusal(
            f"the BMC at {address} has the BIOS job {job.get('Id')} ({job.get('JobState')}), and accepts no more settings "
            f"until the host has been rebooted, but {', '.join(sorted(to_set))} must be set: reboot the host, then run the "
            "role again"
        )
    others = sorted(set(board.pending) - set(wanted)) if board.is_dell else []
    if others:
        raise Refusal(
            f"the BMC at {address} has pending settings of another user without a job ({', '.join(others)}), and "
            "would apply them too: apply or discard them in the BMC, then run the role again"
        )


def change(bmc: Bmc, board: Board, to_set: dict[str, Any]) -> None:
    """Send the settings in one request, and see that the BMC has them for the next boot. Raises Refusal.

    Changes board.jobs to what the BMC shows afterwards.
    """
    body: dict[str, Any] = {"Attributes": to_set}
    if board.on_reset:
        body["@Redfish.SettingsApplyTime"] = {"ApplyTime": "OnReset"}
    bmc.ask("PATCH", board.settings_uri, body, {"If-Match": board.etag} if board.etag else {})
    for _look in range(LOOKS_AFTER_CHANGE):
        settings = bmc.get(board.settings_uri).get("Attributes") or {}
        lost = sorted(name for name, value in to_set.items() if settings.get(name, board.current[name]) != value)
        board.jobs = open_jobs(bmc, board.jobs_uri) if board.jobs_uri else []
        if board.jobs or not (lost or board.is_dell):
            return
        time.sleep(PAUSE)
    if lost:
        raise Refusal(
            f"the BMC at {bmc.address} has accepted {', '.join(lost)} and does not show it as pending: look at the BIOS "
            "settings and the log of the BMC"
        )
    raise Refusal(
        f"the BMC at {bmc.address} has accepted {', '.join(sorted(to_set))} without a job, so no reboot would apply it: "
        "discard the pending BIOS settings in the BMC, then run the role again"
    )


def result_of(
    wanted: dict[str, Any],
    absent: list[str],
    board: Board,
    to_set: dict[str, Any],
    stuck: list[str],
    known: set[str],
) -> dict:
    """What the module returns.

    to_set: what this run has sent, or would send in check mode; known: the keys that the host remembers.
    """
    # In check mode there is no job yet.
    has_job = bool(board.jobs) or board.is_dell and bool(to_set)
    due = [
        name
        for name, value in wanted.items()
        if name in stuck
        or board.current[name] != value
        and (name in to_set or board.pending.get(name) == value)
        # An iDRAC may show a pending setting as the current one until the job has run.
        or has_job
        and (name in to_set or name in board.pending or key_of(name, value) in known)
    ]
    return {
        "changed": bool(to_set),
        "diff": {
            "before_header": "BIOS settings of the next boot",
            "after_header": "BIOS settings of the next boot",
            "before": "".join(f"{name}={board.pending.get(name, board.current[name])}\n" for name in to_set),
            "after": "".join(f"{name}={value}\n" for name, value in to_set.items()),
        },
        "model": board.name,
        "working": bool(board.jobs or board.pending),
        "absent": absent,
        "attributes": {
            name: {
                "current": board.current[name],
                "pending": to_set.get(name, board.pending.get(name, board.current[name])),
                "wanted": value,
            }
            for name, value in wanted.items()
        },
        "reboot": [
            {"key": key_of(name, wanted[name]), "text": text_of(name, wanted[name], board, name in stuck)}
            for name in due
        ],
        "touched": [key_of(name, value) for name, value in to_set.items()],
    }


def text_of(name: str, value: Any, board: Board, is_stuck: bool) -> str:
    """The sentence about a setting that is not in effect."""
    jobs = "".join(f", BIOS job {job.get('Id')} is {job.get('JobState')}" for job in board.jobs)
    if not is_stuck:
        return f"BIOS setting {name} becomes {value} with the reboot (it is {board.current[name]}{jobs})"
    said = f", the BMC reports: {' '.join(board.messages)}" if board.messages else ""
    return f"BIOS setting {name} is {board.current[name]}, and was set to {value} before the last reboot{jobs}{said}"


def settled_after(parameters: dict, warn: Callable) -> dict:
    """ensure() after a reboot, without a change, again and again until all settings are in effect, or `settle` seconds
    are over. A BMC may be late: an iDRAC finishes its job while the host starts.
    """
    left, waited = parameters["settle"], 0
    while True:
        warnings: list[str] = []
        try:
            result = ensure(parameters, True, warnings.append, after_reboot=True)
        except (NoAnswer, Rejected) as refusal:
            # Not a wrong login: a BMC locks an account after a few of them.
            if left <= 0 or isinstance(refusal, Rejected) and refusal.status < 500:
                raise
        else:
            if not result["working"]:
                left = min(left, SHORT_WAIT - waited)
            if left <= 0 or not (result["reboot"] or result["changed"]):
                for sentence in warnings:
                    warn(sentence)
                return result
        pause = min(PAUSE * 2, left)
        time.sleep(pause)
        left, waited = left - pause, waited + pause


def work(module: Any) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or an object with its `params`, `check_mode` and `warn`.
    """
    if module.check_mode and module.params["settle"] > 0:
        return settled_after(module.params, module.warn)
    return ensure(module.params, module.check_mode, module.warn)


# The module's options, in the form for AnsibleModule.
ARGUMENTS = {
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "validate_certs": {"type": "bool", "default": True},
    "ca_path": {"type": "path"},
    "timeout": {"type": "int", "default": 60},
    "system": {"type": "str", "default": ""},
    "serial": {"type": "str", "default": ""},
    "uuid": {"type": "str", "default": ""},
    "features": {"type": "list", "elements": "str", "choices": list(FEATURES), "default": list(FEATURES)},
    "attributes": {"type": "dict", "default": {}},
    "shown_on": {"type": "list", "elements": "str", "default": []},
    "waiting": {"type": "list", "elements": "str", "default": []},
    "tried": {"type": "list", "elements": "str", "default": []},
    "settle": {"type": "int", "default": 0},
}
