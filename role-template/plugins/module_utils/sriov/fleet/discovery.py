# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbook discover prints and writes about the kinds of hardware. Runs on the controller."""

from __future__ import annotations

import json
import textwrap

from .kinds import kinds_of

HOSTS_SHOWN = 5
WIDTH = 110
# Comments in the files, with the hosts that they are about. A text about a host follows where there is one.
LEFT_OUT = {
    "no driver": "Left out, because it has no driver on {hosts}{text}.",
    "passed through": "Left out, because it is passed through to a program or a guest on {hosts}{text}.",
    "connection": "Left out, because it carries the connection to {hosts}. If that is right for you, remove each # below.",
    "offers none": "Left out, because it offers no VFs on {hosts}{text}.",
}
NOTES = {
    "offers none": "SR-IOV is off in the firmware on {hosts}. The role turns it on, and a reboot is due then.",
    "namespace": "Its interface is in another network namespace on {hosts}.",
    "VFs": "There are VFs already: {numbers}.",
    "in use": "VFs are in use on {hosts}{text}. If numvfs changes them, the change waits for the next boot.",
}
CHOSEN = {
    "name": "By name: {name} on every host.",
    "address": "By address, because the name is not the same on every host ({names}).",
    "id": "By vendor and product, because neither names nor addresses are the same on every host. It chooses {count} "
    "on each host: {names}.",
}


def one_line(text: str) -> str:
    """Text of a host without line breaks and control characters, for a comment, a table or a page."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def words_of(hosts) -> str:
    """Hosts in a few words: the first ones, and how many more."""
    hosts = list(hosts)
    more = len(hosts) - HOSTS_SHOWN
    return ", ".join(hosts) if more <= 0 else f"{', '.join(hosts[:HOSTS_SHOWN])} and {more} more"


def number_of(hosts) -> str:
    """How many hosts, in words."""
    return f"{len(hosts)} host{'' if len(hosts) == 1 else 's'}"


def comment(text: str, indent: str = "  ") -> list[str]:
    """A comment as lines that are not too long."""
    return textwrap.wrap(
        one_line(text),
        WIDTH,
        initial_indent=indent + "# ",
        subsequent_indent=indent + "# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def remark(template: str, choice: dict, hosts: dict[str, str]) -> list[str]:
    """A comment about an obstacle on some hosts. hosts: {host: text}."""
    text = next((text for text in hosts.values() if text), "")
    counts = ", ".join(
        f"{count} on {words_of([host for host in hosts if hosts[host] == count])}"
        for count in sorted(set(hosts.values()))
    )
    return comment(template.format(hosts=words_of(hosts), text=f" ({text})" if text else "", numbers=counts))


def names_of(choice):
    """The names, or addresses, of the NICs that a choice has on its first hosts."""
    found = dict.fromkeys((nic["names"] or [nic["address"]])[0] for of in choice["nics"].values() for nic in of)
    return words_of(found)


def entry_lines(choice: dict) -> list[str]:
    """An entry of sriov_devices with its comments; commented out if it is left out."""
    entry = [f"{key}: {json.dumps(value)}" for key, value in choice["entry"].items()]
    lines = [("  - " if index == 0 else "    ") + line for index, line in enumerate(entry)]
    if choice["left_out"]:
        lines = ["  # " + line[2:] for line in lines]
    chosen = CHOSEN[choice["why"]].format(
        name=choice["entry"].get("name", ""), names=names_of(choice), count=len(next(iter(choice["nics"].values())))
    )
    comments = comment(chosen)
    for table, found in ((LEFT_OUT, choice["left_out"]), (NOTES, choice["notes"])):
        for kind, hosts in found.items():
            comments += remark(table[kind], choice, hosts)
    return comments + lines


def nic_words(kind: dict) -> list[str]:
    """The cards of a kind, one text for each id and maximum of VFs."""
    nics = kind["nics"][kind["hosts"][0]]
    groups = {}
    for nic in nics:
        groups.setdefault((nic["id"], nic["totalvfs"], nic["driver"]), []).append(nic)
    return [
        f"{len(of)} x {id_} ({driver or '-'}), {'VFs: off' if total is None else f'VFs: up to {total}'}"
        for (id_, total, driver), of in groups.items()
    ]


def group_vars(kind: dict) -> str:
    """The file of group variables for a kind."""
    lines = ["---"] + comment(f"{number_of(kind['hosts'])}: {words_of(kind['hosts'])}", "")
    lines += [line for words in nic_words(kind) for line in comment("Each has " + words, "")]
    lines += comment("Review each entry. For OpenStack, add physical_network to entries with name or address.", "")
    active = [choice for choice in kind["choices"] if not choice["left_out"]]
    if not active:
        lines += comment("Every entry is left out, so sriov_devices is not set and the role changes nothing.", "")
    lines.append("sriov_devices:" if active else "# sriov_devices:")
    for choice in kind["choices"]:
        lines += entry_lines(choice)
    return "\n".join(lines) + "\n"


def inventory(kinds: list[dict]) -> str:
    """An inventory with a group for each kind, next to which Ansible finds the group variables."""
    lines = ["---"]
    for kind in kinds:
        lines += [f"{kind['group']}:", "  hosts:"] + [f"    {json.dumps(host)}: {{}}" for host in kind["hosts"]]
    return "\n".join(lines) + "\n"


def lines_of(kinds: list[dict], seen: dict[str, dict], unread: dict[str, str]) -> list[str]:
    """What an operator reads: each kind with its hosts and obstacles, then the hosts without a NIC and those that could
    not be read.

    unread: the error of each host without a result.
    """
    lines = []
    for kind in kinds:
        lines.append(f"{number_of(kind['hosts'])}, group {kind['group']}: {words_of(kind['hosts'])}")
        lines += [f"  {words}" for words in nic_words(kind)]
        for choice in kind["choices"]:
            for obstacle, hosts in {**choice["left_out"], **choice["notes"]}.items():
                text = next((text for text in hosts.values() if text), "")
                lines.append(f"  {names_of(choice)}: {obstacle} on {words_of(hosts)}" + (f": {text}" if text else ""))
    none = [host for host, result in seen.items() if not result["nics"]]
    unknown = [host for host, result in seen.items() if result["nics"] and not result["connection_known"]]
    lines += [f"{number_of(none)} without such a NIC: {words_of(none)}"] if none else []
    lines += [f"connection not found on {words_of(unknown)}"] if unknown else []
    lines += [f"not read: {host}: {error}" for host, error in list(unread.items())[:HOSTS_SHOWN]]
    lines += [f"not read: {len(unread) - HOSTS_SHOWN} more"] if len(unread) > HOSTS_SHOWN else []
    return lines


def discovery(results: dict[str, dict]) -> dict:
    """What the playbook prints and writes.

    results: what sriov_nics returned, or its failure, by host. Returns lines (for the operator), files ({path: text})
    and groups ({group: hosts}).
    """
    seen = {host: result for host, result in results.items() if "nics" in result}
    unread = {
        host: one_line(str(result.get("msg", "no result"))) for host, result in results.items() if "nics" not in result
    }
    kinds = kinds_of(seen)
    files = {f"group_vars/{kind['group']}.yml": group_vars(kind) for kind in kinds}
    return {
        "lines": lines_of(kinds, seen, unread),
        "files": dict(files, **{"hosts.yml": inventory(kinds)} if kinds else {}),
        "groups": {kind["group"]: kind["hosts"] for kind in kinds},
    }
