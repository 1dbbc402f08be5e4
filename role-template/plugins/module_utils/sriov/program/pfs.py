# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several PFs set to their numbers of VFs and their settings together, and put back together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection

from ..errors import Refusal
from .apply_settings import finish, restore_pf, sentence_of
from .configuration import SETTINGS_TIMEOUT
from .connection import connection_functions
from .decision import STATES, decide
from .settings import Plan
from .sysfs import describe, is_there, read_function, vf_addresses
from .writers import set_all, still_runs

LINES_SHOWN = 8


class Result(dict):
    """What happened to one PF, see apply().

    waits: the lines of what waits for the next boot in addition to the number of VFs. plan: see Plan, or None.
    """

    waits = ()
    plan = None

    def to_do(self) -> bool:
        """Whether something is set now."""
        return self["state"] == "changed" or bool(self["settings"])

    def leave(self, message: str) -> None:
        """Note that nothing is set after all. message: why."""
        if self["state"] == "changed":
            self.update(state="unchanged", now=self["before"], message=message)
        self["settings"] = []


def apply(
    devices: list[dict],
    timeout: float,
    check: bool = False,
    change_connection_pf: bool = False,
    patience: float = SETTINGS_TIMEOUT,
) -> list[dict]:
    """Set PFs to their configured number of VFs, and to their settings.

    devices: see the configuration file. timeout: seconds for one PF. check: decide, but change nothing. patience:
    seconds for which a VF may be in a reset before it takes a setting. Returns a list with, for each device in order:
    address, name, wanted, before, now, settings (the lines of what is set), state (see STATES), message. If the write
    failed, also kernel_log, late and process (see Failure). A PF that fails is as before. The others are set
    nevertheless: put_back() undoes them.
    """
    known = []

    def connection():
        if not known:
            known.append(connection_functions())
        return known[0]

    results = [decided(device, connection, change_connection_pf) for device in devices]
    if check:
        for result in results:
            if result["state"] == "changed":
                result["now"] = result["wanted"]
        return results
    for device, result in zip(devices, results):
        if result["state"] == "ok" and result.plan.record:
            # A run that was killed after its last change, or before its first.
            with contextlib.suppress(OSError):
                finish(result["address"], device)
    to_set = {result["address"]: result for result in results if result.to_do()}
    outcomes = set_all(
        # A number that waits for the next boot stays as it is.
        {address: result["before" if result["state"] == "pending" else "wanted"] for address, result in to_set.items()},
        timeout,
        {address: result.plan.job(patience) for address, result in to_set.items()},
    )
    for result in results:
        failure = outcomes.get(result["address"])
        if failure:
            result.update(
                state="failed",
                message=str(failure),
                now=len(vf_addresses(result["address"])),
                kernel_log=failure.kernel_log,
                late=failure.late,
                process=failure.pid,
                settings=result["settings"] if failure.late else [],
            )
        elif result["state"] == "changed":
            result["now"] = result["wanted"]
    return results


def decided(device: dict, connection: Callable[[], Collection[str] | None], change_connection_pf: bool) -> Result:
    """The result for one device if all that can be set now is set. Arguments: see decide()."""
    function = read_function(device["address"])
    decision = decide(device, function, connection, change_connection_pf)
    before = (function["numvfs"] or 0) if function else None
    result = Result(
        address=device["address"],
        name=((function and function["netdevs"]) or [device.get("name") or ""])[0],
        wanted=device["numvfs"],
        before=before,
        now=before,
        settings=[],
        message=decision["message"],
        state=STATES[decision["do"]],
    )
    if decision["do"] not in ("nothing", "set", "wait"):
        return result
    try:
        plan = result.plan = Plan(device, function, decision["do"])
    except Refusal as refusal:
        result.update(state="failed", message=sentence_of(describe(function), refusal))
        return result
    result["settings"] = plan.lines
    if plan.waiting:
        result.waits = plan.waiting
        message = f"{describe(function)} gets some of its settings only at the next boot ({'; '.join(some_lines(plan.waiting))}): {plan.reason}"
        result.update(state="pending", message=message)
    elif plan.lines and decision["do"] == "nothing":
        result["state"] = "changed"
    return result


def put_back(results: list[dict], timeout: float, cause: str = "another PF failed") -> list[dict]:
    """Undo the changes of apply(): each PF gets its previous number of VFs and its previous settings, also one whose
    write finished too late. cause: why, in a few words.
    """
    undo = {}
    for result in results:
        result["now"] = None if result["before"] is None else len(vf_addresses(result["address"]))
        late = result.get("late") and is_there(result["address"]) and not still_runs(result["process"])
        done = result["state"] != "failed" and result.to_do() or late
        if done and (result["now"] != result["before"] or result["settings"]):
            undo[result["address"]] = result
    outcomes = set_all(
        {address: result["before"] for address, result in undo.items()},
        timeout,
        {address: result.plan.job(SETTINGS_TIMEOUT) for address, result in undo.items()},
        restore_pf,
    )
    for address, failure in outcomes.items():
        result = undo[address]
        result["now"] = len(vf_addresses(address))
        what = f"{result['before']} VFs" + (
            " with their previous settings" if result["settings"] and result["before"] else ""
        )
        result["settings"] = []
        if failure:
            message = f"{described(result)} could not be put back to {what}: {failure}"
            if result["state"] == "failed":
                message = f"{result['message']}; {message}"
            result.update(
                state="failed", message=message, kernel_log=failure.kernel_log, late=failure.late, process=failure.pid
            )
        elif result["state"] != "failed":
            result.update(
                state="put back",
                message=f"{described(result)} was put back to {what} because {cause}",
            )
        else:
            result["message"] += f"; the write has finished since, and the PF was put back to {what}"
    return results


def left_alone(results: list[dict]) -> list[dict]:
    """The results of apply() in check mode if one PF fails, so that no other is changed."""
    for result in results:
        if result["state"] != "failed":
            result.leave(f"{described(result)} was not changed because another PF fails")
    return results


def described(result: dict) -> str:
    """A PF of the results in a few words."""
    return describe({"netdevs": [result["name"]] if result["name"] else [], "address": result["address"]})


def refusal_of(results: list[dict]) -> str:
    """One sentence for results with failures: the failed PFs, and the outcome for the others."""
    failures = [result["message"] for result in results if result["state"] == "failed"]
    back = [result["message"] for result in results if result["state"] == "put back"]
    rest = [result for result in results if result["state"] not in ("failed", "put back")]
    if any(result["state"] == "unchanged" for result in rest):
        return "; ".join(failures + ["the other PFs were not changed"])
    kept = ["not changed: " + ", ".join(described(result) for result in rest)] if rest else []
    return "; ".join(failures + back + kept)


def some_lines(lines: list[str]) -> list[str]:
    """The first lines of what is set, and the number of further ones."""
    more = len(lines) - LINES_SHOWN
    return lines if more <= 0 else lines[:LINES_SHOWN] + [f"and {more} more settings"]
