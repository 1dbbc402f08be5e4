# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PCI functions that carry the operator's connection to this host."""

from __future__ import annotations

import os

from .host import HOST
from .programs import json_of
from .sysfs import device_path, link_name, list_names, pci_of_netdev, read_int, read_text


def ssh_server_and_client():
    """The two addresses of the ssh connection this process runs under, from the nearest ancestor that knows them.

    sudo takes SSH_CONNECTION out of the environment; the shell that called sudo still has it.
    """
    pid = os.getpid()
    while pid > 1:
        try:
            with open(os.path.join(HOST.proc, str(pid), "environ"), "rb") as stream:
                environment = stream.read().split(b"\0")
            with open(os.path.join(HOST.proc, str(pid), "stat"), encoding="utf-8", errors="replace") as stream:
                parent = int(stream.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return None
        for entry in environment:
            if entry.startswith(b"SSH_CONNECTION="):
                parts = entry.partition(b"=")[2].decode("utf-8", "replace").split()
                if len(parts) == 4:
                    return parts[2].partition("%")[0], parts[0].partition("%")[0]
        pid = parent
    return None


def may_be_a_switch_port(netdev):
    """Whether an interface may be a port of Open vSwitch: Ethernet, and without a kind that the kernel names (as for
    tunnels).
    """
    base = os.path.join(HOST.sys, "class/net", netdev)
    # ARPHRD_ETHER; tun_flags is of tun and tap.
    if read_int(os.path.join(base, "type")) not in (1, None) or os.path.exists(os.path.join(base, "tun_flags")):
        return False
    return "DEVTYPE=" not in read_text(os.path.join(base, "uevent"), "")


def pci_under(netdev, seen=None, switch=True):
    """The PCI functions that carry a network interface: through bonds, bridges, VLANs, Open vSwitch, and from VF to PF.

    switch: whether an unknown interface counts as a port of Open vSwitch.
    """
    seen = set() if seen is None else seen
    if netdev in seen:
        return set()
    seen.add(netdev)
    address = pci_of_netdev(netdev)
    if address:
        physfn = link_name(device_path(address, "physfn"))
        return {address, physfn} if physfn else {address}
    base = os.path.join(HOST.sys, "class/net", netdev)
    lowers = [name[6:] for name in list_names(base) if name.startswith("lower_")]
    if not lowers and netdev != "lo" and switch and may_be_a_switch_port(netdev):
        # A port of Open vSwitch does not show which NIC carries it: it may be every NIC in the switch.
        lowers = [
            name
            for name in list_names(os.path.join(HOST.sys, "class/net"))
            if link_name(os.path.join(HOST.sys, "class/net", name, "master")) == "ovs-system"
        ]
    return set().union(*[pci_under(lower, seen, switch) for lower in lowers]) if lowers else set()


def interfaces_of(routes):
    """The interfaces of routes, including those of every equal next hop and of next-hop objects.

    routes: as `ip -j route` prints them.
    """
    hops = [hop for route in routes for hop in [route] + route.get("nexthops", [])]
    netdevs = {hop["dev"] for hop in hops if hop.get("dev")}
    # With net.ipv4.nexthop_compat_mode=0 the kernel shows only the object.
    wanted = {
        route["nhid"] for route in routes if route.get("nhid") and not route.get("dev") and not route.get("nexthops")
    }
    objects = {one.get("id"): one for one in json_of(["ip", "-j", "nexthop", "show"]) or []} if wanted else {}
    while wanted:
        one = objects.pop(wanted.pop(), {})
        netdevs.update({one["dev"]} if one.get("dev") else ())
        wanted.update(member.get("id") for member in one.get("group", []))
    return netdevs


def default_routes(family=None):
    """The default routes of one family ("-6" or "-4") or of both, in every table; None if `ip` cannot list them."""
    answers = []
    for which in {None: ([], ["-6"]), "-4": ([],), "-6": (["-6"],)}[family]:
        command = ["ip"] + which + ["-j", "route", "show", "default"]
        answers += [json_of(command), json_of(command + ["table", "all"])]
    return (
        None if all(answer is None for answer in answers) else [route for answer in answers for route in answer or []]
    )


def routes_back(server, client, domains):
    """The routes from this host to the client, including those that are equal to the one that the kernel chooses.

    domains: interfaces that may be VRFs, whose tables then count.
    """
    routes = json_of(["ip", "-j", "route", "get", client]) or []
    # fibmatch: the route with all its next hops, not only the one that the hash of this destination selects.
    ask = ["ip", "-j", "route", "get", "fibmatch", client]
    matched = json_of(ask + ["from", server]) or json_of(ask) or []
    for domain in domains:
        matched = matched + (json_of(ask + ["vrf", domain]) or [])
    family = "-6" if ":" in client else "-4"
    for route in matched:
        # IPv6 keeps equal routes of router advertisements apart.
        exact = (
            ["ip"] + (["-6"] if family == "-6" else []) + ["-j", "route", "show", "exact", route.get("dst", "default")]
        )
        same = json_of(exact + (["table", str(route["table"])] if route.get("table") else [])) or []
        routes = routes + [route] + [other for other in same if other.get("metric") == route.get("metric")]
    if not matched and any(route.get("gateway") or route.get("via") for route in routes):
        routes = routes + (default_routes(family) or [])
    return routes


def has_device(netdevs):
    """Whether one of these interfaces belongs to a device, on PCI or elsewhere."""
    return any(os.path.exists(os.path.join(HOST.sys, "class/net", netdev, "device")) for netdev in netdevs)


def connection_functions() -> set[str] | None:
    """The PCI functions that carry the operator's connection to this host.

    With ssh: the functions of the interface that has the server's address, and of every equal route back to the client.
    If the address is not on a NIC (but on lo, as on a routed host), also those of the default routes, because the
    connection may come in by any of them. Without ssh: those of the default routes. None if they cannot be found (no
    `ip` program, a tunnel).
    """
    connection = ssh_server_and_client()
    if not connection:
        routes = default_routes()
        if routes is None:
            return None
        # An "unreachable default" of IPv6 is shown on lo.
        netdevs = interfaces_of(routes) - {"lo"}
        found = set().union(*[pci_under(netdev) for netdev in netdevs])
        return found if found or not netdevs or has_device(netdevs) else None
    server, client = connection
    links = json_of(["ip", "-j", "address", "show"])
    if links is None:
        return None
    owners = [link for link in links if any(info.get("local") == server for info in link.get("addr_info", []))]
    addressed = {link["ifname"] for link in owners}
    domains = sorted(
        {link["master"] for link in owners if link.get("master")} | {name for name in addressed if not pci_under(name)}
    )
    netdevs = addressed | interfaces_of(routes_back(server, client, domains))
    found = set().union(*[pci_under(netdev) for netdev in netdevs])
    on_nics = set().union(*[pci_under(netdev) for netdev in addressed])
    if on_nics and not set().union(*[pci_under(netdev, switch=False) for netdev in addressed]):
        # A dummy interface looks like a port of Open vSwitch, but is not one.
        dummies = {
            link["ifname"]
            for link in json_of(["ip", "-j", "link", "show", "type", "dummy"]) or []
            if link.get("ifname")
        }
        on_nics = set() if addressed <= dummies else on_nics
    if found and not on_nics:
        # Not if nothing is found at all: the route of a tunnel itself is not known.
        found |= set().union(*[pci_under(netdev) for netdev in interfaces_of(default_routes() or [])])
    # A tunnel, or an address that no interface here has: the connection still comes through some NIC.
    return found if found or has_device(netdevs) else None
