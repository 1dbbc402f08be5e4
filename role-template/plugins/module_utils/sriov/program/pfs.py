# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several PFs set to their numbers of VFs together, and put back together."""

from __future__ import annotations

from .connection import connection_functions
from .decision import STATES, decide
from .sysfs import describe, is_there, read_function, vf_addresses
from .writers import set_all, still_runs


def apply(devices: list[dict], timeout: float, check: bool = False, change_connection_pf: bool = False) -> list[dict]:
    """Set PFs to their configured number of VFs.

    devices: see the configuration file. timeout: seconds for one PF. check: decide, but change nothing. Returns a list
    with, for each device in order: address, name, wanted, before, now, state (see STATES), message. If the write
    failed, also kernel_log, late and process (see Failure). A PF that fails is as before. The others are set
    nevertheless: put_back() undoes them.
    """
    known = []

    def connection():
        if not known:
            known.append(connection_functions())
        return known[0]

    results, to_set = [], {}
    for device in devices:
        function = read_function(device["address"])
        decision = decide(device, function, connection, change_connection_pf)
        before = (function["numvfs"] or 0) if function else None
        result = {
            "address": device["address"],
            "name": ((function and function["netdevs"]) or [device.get("name") or ""])[0],
            "wanted": device["numvfs"],
            "before": before,
            "now": before,
            "message": decision["message"],
            "state": STATES[decision["do"]],
        }
        if decision["do"] == "set":
            to_set[device["address"]] = device["numvfs"]
        results.append(result)
    if check:
        for result in results:
            if result["state"] == "changed":
                result["now"] = result["wanted"]
        return results
    outcomes = set_all(to_set, timeout)
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
            )
        elif result["state"] == "changed":
            result["now"] = result["wanted"]
    return results


def put_back(results: list[dict], timeout: float) -> list[dict]:
    """Undo the changes of apply() after another PF failed: each PF gets its previous number of VFs, also one whose
    write finished too late.
    """
    undo = {}
    for result in results:
        result["now"] = None if result["before"] is None else len(vf_addresses(result["address"]))
        late = result.get("late") and is_there(result["address"]) and not still_runs(result["process"])
        if (result["state"] == "changed" or late) and result["now"] != result["before"]:
            undo[result["address"]] = result["before"]
    for address, failure in set_all(undo, timeout).items():
        [result] = [result for result in results if result["address"] == address]
        result["now"] = len(vf_addresses(address))
        if failure:
            message = f"{described(result)} could not be put back to {undo[address]} VFs: {failure}"
            if result["state"] == "failed":
                message = f"{result['message']}; {message}"
            result.update(
                state="failed", message=message, kernel_log=failure.kernel_log, late=failure.late, process=failure.pid
            )
        elif result["state"] == "changed":
            result.update(
                state="put back",
                message=f"{described(result)} was put back to {undo[address]} VFs because another PF failed",
            )
        else:
            result["message"] += f"; the write has finished since, and the PF was put back to {undo[address]} VFs"
    return results


def left_alone(results: list[dict]) -> list[dict]:
    """The results of apply() in check mode if one PF fails, so that no other is changed."""
    for result in results:
        if result["state"] == "changed":
            message = f"{described(result)} was not changed because another PF fails"
            result.update(state="unchanged", now=result["before"], message=message)
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
