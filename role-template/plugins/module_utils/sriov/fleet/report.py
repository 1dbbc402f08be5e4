# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report on many hosts: a document, and the lines of it that an operator reads first. Runs on the controller."""

from __future__ import annotations

import json
import re

from .discovery import number_of, one_line, words_of

FORMAT = 1
# The worst first. docs/report.schema.json has them too.
STATES = {
    "unread": "not read",
    "failed": "failed",
    "reboot": "waiting for a reboot",
    "differs": "not as wanted",
    "unset": "without sriov_devices",
    "ok": "as wanted",
    "none": "without a NIC with SR-IOV",
}
IN_USE = "in use"
KINDS_SHOWN, LONGEST_TEXT = 8, 300
NIC_KEYS = ("address", "id", "driver", "names", "totalvfs", "vfs", "wanted", "state", "message", "physical_network")
HOST_KEYS = ("boot_id", "iommu", "connection_known", "is_set", "notice", "faults", "reboot", "differs")
ADDRESS = re.compile(r"\b[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\b")


def name_of(nic: dict) -> str:
    """A NIC in a few words: "ens1f0 (0000:3b:00.0)"."""
    return f"{', '.join(nic['names'])} ({nic['address']})" if nic["names"] else nic["address"]


def state_of(host: dict) -> str:
    """The worst that can be said of a host: one of STATES."""
    states = {nic["state"] for nic in host["nics"]}
    if host["faults"] or "failed" in states:
        return "failed"
    if host["reboot"] or states & {"pending", "waiting"}:
        return "reboot"
    if host["differs"] or "differs" in states:
        return "differs"
    if host["is_set"]:
        return "ok"
    return "unset" if host["nics"] else "none"


def reasons_of(host: dict) -> list[str]:
    """Why a host has its state, in words."""
    nics = host["nics"]
    if host["state"] == "unread":
        return [host["error"]]
    if host["state"] == "failed":
        return host["faults"] + [nic["message"] for nic in nics if nic["state"] == "failed"]
    if host["state"] == "reboot":
        waiting = [nic["message"] for nic in nics if nic["state"] in ("pending", "waiting") and nic["message"]]
        return list(dict.fromkeys(host["reboot"] + waiting)) or ["a PF gets its VFs at the next boot"]
    if host["state"] == "differs":
        return [
            f"{name_of(nic)} has {len(nic['vfs'])} VFs, {nic['wanted']} are wanted: run the role"
            for nic in nics
            if nic["state"] == "differs"
        ] or [f"a run of the role would change: {', '.join(host['differs'])}"]
    return []


def document(results: dict[str, dict], time: str) -> dict:
    """The report as data, the worst hosts first.

    results: what sriov_nics returned with a selection, or its failure, by host. time: of the report, in ISO 8601.
    """
    hosts = []
    for name, result in results.items():
        if "nics" not in result or "faults" not in result:
            error = one_line(str(result.get("msg", "no result")))[:1000]
            hosts.append({"host": name, "state": "unread", "error": error, "nics": []})
            continue
        host = {"host": name, "error": None, **{key: result[key] for key in HOST_KEYS}}
        host["nics"] = [{key: nic[key] for key in NIC_KEYS} for nic in result["nics"]]
        hosts.append({"host": name, "state": state_of(host), **host})
    order = list(STATES)
    hosts.sort(key=lambda host: order.index(host["state"]))
    counts = {state: sum(host["state"] == state for host in hosts) for state in STATES}
    return {"format": FORMAT, "time": time, "summary": counts, "hosts": hosts}


def text_of(report: dict) -> str:
    """The document as JSON, one host in a line."""

    def dump(value):
        return json.dumps(value, ensure_ascii=True, separators=(",", ":"))

    head = ",".join(f'"{key}":{dump(report[key])}' for key in ("format", "time", "summary"))
    hosts = ",\n".join(dump(host) for host in report["hosts"])
    return "{" + head + ',"hosts":[\n' + hosts + "\n]}\n"


def pattern_of(text):
    """A reason without what differs from host to host: addresses and numbers."""
    return re.sub(r"\d+", "#", ADDRESS.sub("@", text))


def grouped(pairs: list[tuple[str, str]]) -> list[dict]:
    """Reasons that are alike, those of most hosts first.

    pairs: (host, reason). Returns a list of dicts: text (of the first), hosts (without repetition), count (of reasons).
    """
    groups: dict[str, dict] = {}
    for host, text in pairs:
        group = groups.setdefault(pattern_of(text), {"text": text, "hosts": {}, "count": 0})
        group["hosts"][host] = None
        group["count"] += 1
    found = [dict(group, hosts=list(group["hosts"])) for group in groups.values()]
    return sorted(found, key=lambda group: -len(group["hosts"]))


def overview(report: dict) -> dict[str, list[dict]]:
    """What is wrong, what waits, what differs and what is in use: {state, or IN_USE: see grouped()}."""
    found = {}
    for state in STATES:
        pairs = [
            (host["host"], reason) for host in report["hosts"] if host["state"] == state for reason in reasons_of(host)
        ]
        if pairs:
            found[state] = grouped(pairs)
    used = [
        (host["host"], vf["holder"])
        for host in report["hosts"]
        for nic in host["nics"]
        for vf in nic["vfs"]
        if vf["holder"]
    ]
    if used:
        found[IN_USE] = grouped(used)
    return found


def lines_of(report: dict) -> list[str]:
    """What an operator reads at the end of the play: at most a screen, with any number of hosts."""
    counts = [f"{count} {STATES[state]}" for state, count in report["summary"].items() if count]
    lines = [f"{number_of(report['hosts'])}: {', '.join(counts)}" if counts else "no hosts"]
    for state, groups in overview(report).items():
        for group in groups[:KINDS_SHOWN]:
            text = group["text"] if len(group["text"]) <= LONGEST_TEXT else group["text"][: LONGEST_TEXT - 3] + "..."
            vfs = f"{group['count']} VFs on " if state == IN_USE else ""
            where = f"{vfs}{number_of(group['hosts'])} ({words_of(group['hosts'])})"
            alike = "such as " if len(group["hosts"]) > 1 else ""
            lines.append(f"{STATES.get(state, state)}: {where}: {alike}{text}")
        if len(groups) > KINDS_SHOWN:
            lines.append(f"{STATES.get(state, state)}: {len(groups) - KINDS_SHOWN} more reasons are on the page")
    return lines
