# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program: gives each configured PF the number of VFs that its configuration asks for.

The role installs this file as /usr/local/sbin/sriov-vfs with /etc/sriov/vfs.json beside it. The boot unit and
udev run it as a program, the module sriov_vfs imports it: there is one implementation of "make it so".
Standard library only, Python 3.9 or later. Everything goes by PCI address, never by interface name.

Kernel interface: Documentation/PCI/pci-iov-howto.rst and Documentation/ABI/testing/sysfs-bus-pci;
the errors of a write to sriov_numvfs are those of sriov_numvfs_store() in drivers/pci/iov.c.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import contextlib
import errno
import fcntl
import json
import os
import re
import select
import signal
import sys
import time

# argparse, shutil, subprocess and tempfile are imported where they are used: they take longer than the rest of the program's start, udev
# starts one for each PF, and a boot that finds all in order needs none of them.

PROGRAM_PATH = "/usr/local/sbin/sriov-vfs"
CONFIG_PATH = "/etc/sriov/vfs.json"
LOCK_PATH = "/run/sriov-vfs.lock"
BOOT_UNIT = "sriov-vfs.service"
CONFIG_FORMAT = 1

SYS = "/sys"
PROC = "/proc"
KMSG = "/dev/kmsg"
UDEV_DATA = "/run/udev/data"
# What the firmware will offer only after a reboot, as the role has noted it (pending.py).
PENDING_FIRMWARE_PATH = "/var/lib/sriov/pending-firmware.json"

# Where programs of root's are; sudo and systemd may hand over a shorter PATH.
PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Temporary files are named by tempfile.mkstemp(): eight characters after the prefix. udev, systemd, modprobe and GRUB pass them over.
TEMPORARY_PREFIX = ".sriov-"
TEMPORARY_NAME = re.compile(r"^\.sriov-[a-z0-9_]{8}$")
PCI_ADDRESS = re.compile(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\Z")
DEVICE_ID = re.compile(r"^[0-9a-f]{4}:[0-9a-f]{4}\Z")
# sriov_numvfs is a u16; the time is a bound that select() takes.
MOST_VFS, MOST_SECONDS = 65535, 10 ** 9
MELLANOX = "15b3"
INTEL = "8086"
# Network controllers of every kind, Ethernet and InfiniBand (PCI Code and ID Assignment Specification, base class 02h).
NETWORK_CLASS = 0x02
# Kernels before 6.1 show no vfio-dev, and where vfio_pci_core is built in no module that holds it.
USERSPACE_DRIVERS = ("vfio-pci", "mlx5_vfio_pci", "uio_pci_generic", "igb_uio")
# What the kernel makes of a VF for others, by its subsystem, whatever the device is called.
CARRIED = {"vdpa": "VF %s carries a vdpa device", "mdev": "VF %s carries a mediated device"}
# Directories in which the kernel has no devices, and often many entries.
NOT_DEVICES = ("queues", "statistics", "msi_irqs", "power")
HOLDERS_TOLD = 3
# bnxt_en answers a write with success and enables nothing while the interface is down
# (bnxt_sriov_configure: "Reject SRIOV config request since if is down!").
DRIVERS_THAT_NEED_LINK_UP = ("bnxt_en",)
# Port names of switchdev representors: VFs and sub-functions, with or without a controller prefix.
REPRESENTOR = re.compile(r"^(c\d+)?pf\d+(vf|sf)\d+$")
# Drivers whose cards have SR-IOV, though the BIOS or the card's own set-up may hide it: those with sriov_configure in Linux 6.12.
SRIOV_DRIVERS = (
    "LiquidIO", "be2net", "bnx2x", "bnxt_en", "cxgb4", "fm10k", "hinic", "hns3", "i40e", "ice", "idpf", "ionic", "ixgbe", "mlx5_core",
    "nfp", "qede", "qlcnic", "rvu_nicpf", "sfc",
)
# igb drives many cards, and only the 82576 and the I350 have SR-IOV (igb_probe_vfs).
IGB_IDS = re.compile(r"^8086:(10c9|10e[678]|150[ad]|1518|1526|152[1-4]|1546)$")
# An EAGAIN, or a driver that is not ready yet, passes by itself: for so long it is tried again, and half of the PF's time at most.
RETRY_SECONDS = 30
GRACE_SECONDS = 5
KERNEL_LOG_LINES, KERNEL_LOG_WIDTH, KERNEL_LOG_RECORDS = 5, 200, 4096


class Refusal(Exception):
    """What cannot be done, as one sentence for the operator: what, where, and what to do.

    details: further fields of the module's failed result, as `pfs`, what became of each PF.
    """

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


class Failure(str):
    """One sentence on a PF whose VFs could not be set.

    kernel_log: what the kernel said of the PF meanwhile, a list of lines. late: the kernel had not finished when the time was over.
    pid: the process that was left behind then.
    """

    kernel_log = ()
    late = False
    pid = None

    @classmethod
    def of(cls, sentence, kernel_log=(), pid=None, late=False):
        """A failure with what goes with it."""
        failure = cls(sentence)
        failure.kernel_log, failure.pid, failure.late = list(kernel_log), pid, late
        return failure


# --- reading the host ---------------------------------------------------------------------------------------------


def read_text(path, default=None):
    """The stripped text of a file, or `default` when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return default


def read_file(path):
    """The text of a file as it is, every byte of it, or None when it is not there. Raises OSError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def find_program(name):
    """The path of a program that root can run, or None."""
    import shutil

    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""),) + PROGRAM_DIRECTORIES))


def read_int(path):
    """The integer in a sysfs attribute, or None when it is absent or unreadable."""
    text = read_text(path)
    try:
        return int(text, 0) if text is not None else None
    except ValueError:
        return None


def boot_id():
    """The kernel's id of this boot: it changes with every boot and with nothing else (random(4))."""
    return read_text(PROC + "/sys/kernel/random/boot_id", "")


def device_path(address, *parts):
    """The sysfs path of a PCI device, or of an attribute of it."""
    return os.path.join(SYS, "bus/pci/devices", address, *parts)


def link_name(path):
    """The last part of what a symlink points to, or None when there is no such link."""
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def list_names(path):
    """The sorted names in a directory; none when it is absent."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def is_representor(netdev):
    """Whether a network interface stands for a VF or sub-function of a PF in switchdev mode."""
    port = read_text(os.path.join(SYS, "class/net", netdev, "phys_port_name"), "")
    return bool(REPRESENTOR.match(port))


def pci_of_netdev(netdev):
    """The address of the PCI device under a network interface, or None for a virtual interface."""
    path = os.path.realpath(os.path.join(SYS, "class/net", netdev, "device"))
    for part in reversed(path.split("/")):
        if PCI_ADDRESS.match(part):
            return part
    return None


def read_function(address):
    """What the kernel knows of a PCI function.

    Returns a dict: address, id ("vendor:product"), driver (str or None), netdevs (names, representors left out),
    totalvfs and numvfs (int; None when the function has no SR-IOV capability), physfn (address of the PF when this is
    a VF). None when there is no such function.
    """
    if not os.path.isdir(device_path(address)):
        return None
    hexadecimal = [(read_text(device_path(address, name), "0x0000")).replace("0x", "") for name in ("vendor", "device")]
    return {
        "address": address,
        "id": ":".join(hexadecimal),
        "driver": link_name(device_path(address, "driver")),
        "netdevs": [name for name in list_names(device_path(address, "net")) if not is_representor(name)],
        "totalvfs": read_int(device_path(address, "sriov_totalvfs")),
        # Counted, not read: a read of sriov_numvfs waits for a write that hangs (device_lock in sriov_numvfs_show).
        "numvfs": len(vf_addresses(address)) if os.path.exists(device_path(address, "sriov_numvfs")) else None,
        "physfn": link_name(device_path(address, "physfn")),
    }


def read_pfs():
    """Every PCI function of this host that has an SR-IOV capability, by address."""
    found = [
        read_function(address)
        for address in list_names(os.path.join(SYS, "bus/pci/devices"))
        if os.path.exists(device_path(address, "sriov_totalvfs"))
    ]
    return [function for function in found if function is not None]


def describe(function):
    """A function in a few words: "ens1 (0000:01:00.0)", or its address alone when it has no interface."""
    names = ", ".join(function.get("netdevs") or [])
    return "%s (%s)" % (names, function["address"]) if names else function["address"]


def vf_addresses(address):
    """The addresses of a PF's VFs, in the order of their numbers."""
    names = [name for name in list_names(device_path(address)) if re.match(r"^virtfn\d+$", name)]
    return [link_name(device_path(address, name)) for name in sorted(names, key=lambda name: int(name[6:]))]


def json_of(command):
    """The JSON that a command prints, or None when it fails, prints none, or takes longer than 30 s."""
    import subprocess

    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True)
        return json.loads(done.stdout or b"[]")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


# --- what holds VFs -----------------------------------------------------------------------------------------------


def userspace_driver(address):
    """The driver of a function when it hands the function to a program or a guest, by what the kernel says of it; else None.

    vfio: the device has a vfio-dev (drivers/vfio/vfio_main.c, from 6.1 on), the driver's module holds vfio_pci_core (from 5.15 on), or
    the group is one of vfio's and no network interface is there. uio: the device has a uio (Documentation/ABI/testing/sysfs-bus-pci).
    """
    driver = link_name(device_path(address, "driver"))
    if driver is None:
        return None
    module = link_name(os.path.join(SYS, "bus/pci/drivers", driver, "module"))
    group = link_name(device_path(address, "iommu_group"))
    held = (
        driver in USERSPACE_DRIVERS
        or list_names(device_path(address, "vfio-dev")) or list_names(device_path(address, "uio"))
        or module and os.path.exists(os.path.join(SYS, "module/vfio_pci_core/holders", module))
        or group and os.path.exists(os.path.join(SYS, "class/vfio", group)) and not os.path.isdir(device_path(address, "net"))
    )
    return driver if held else None


def devices_below(address):
    """The devices that the kernel has made of a PCI function, at any depth: [(subsystem, path)]."""
    found, base = [], os.path.realpath(device_path(address))
    for directory, names, _files in os.walk(base):
        subsystem = link_name(os.path.join(directory, "subsystem"))
        if directory != base and subsystem:
            found.append((subsystem, directory))
        names[:] = sorted(set(names) - set(NOT_DEVICES))
    return found


def nodes_of(address, below):
    """The device nodes through which a program can use a function: their paths, and their numbers as "major:minor".

    below: as of devices_below.
    """
    paths = [path for _subsystem, path in below]
    nodes = set()
    group = link_name(device_path(address, "iommu_group"))
    if group:
        nodes.update(("/dev/vfio/" + group, "/dev/vfio/noiommu-" + group))
        paths += [os.path.join(SYS, "class/vfio", group), os.path.join(SYS, "class/vfio", "noiommu-" + group)]
    for path in paths:
        match = re.search(r"^DEVNAME=(.+)$", read_text(os.path.join(path, "uevent"), ""), re.MULTILINE)
        nodes.update({"/dev/" + match.group(1)} if match else (), {read_text(os.path.join(path, "dev"))} - {None})
    return nodes


def device_users():
    """The processes that have device nodes open: {path or "major:minor": ["name (pid N)", ...]}."""
    users = {}
    for pid in list_names(PROC):
        if not pid.isdigit():
            continue
        nodes = set()
        for descriptor in list_names(os.path.join(PROC, pid, "fd")):
            path = os.path.join(PROC, pid, "fd", descriptor)
            try:
                target = os.readlink(path)
                # Of nothing else: a stat of a file on a dead NFS server would hang.
                if target.startswith("/dev/"):
                    nodes.add(target)
                    number = os.stat(path).st_rdev
                    nodes.add("%d:%d" % (os.major(number), os.minor(number)))
            except OSError:
                continue
        # A process chooses its own name, and nobody who shows the message should have to mind what is in it.
        name = re.sub(r"[^\w./:-]", "?", read_text(os.path.join(PROC, pid, "comm"), "?")) if nodes else ""
        for node in nodes:
            users.setdefault(node, []).append("%s (pid %s)" % (name, pid))
    return users


def vf_holder(address, users, below, nodes):
    """Why a VF must not be destroyed now, in words; None when it is idle.

    users: as of device_users; below, nodes: as of devices_below and nodes_of.
    """
    driver = link_name(device_path(address, "driver"))
    if driver is None:
        return None
    names = sorted({name for node in nodes for name in users.get(node, [])})
    if userspace_driver(address):
        return "VF %s is bound to %s%s" % (address, driver, ", used by " + ", ".join(names) if names else "")
    for subsystem, path in below:
        if subsystem in CARRIED:
            return CARRIED[subsystem] % address
        if subsystem == "auxiliary" and os.path.exists(os.path.join(path, "sfnum")):
            return "VF %s carries a sub-function" % address
    if names:
        return "VF %s is held open by %s" % (address, ", ".join(names))
    netdevs = list_names(device_path(address, "net"))
    if not netdevs:
        if os.path.isdir(device_path(address, "net")):
            # sysfs shows the interfaces of the reader's own network namespace only, and their directory in every one.
            return "VF %s has its interface in another network namespace" % address
        if (read_int(device_path(address, "class")) or 0) >> 16 != NETWORK_CLASS:
            return "VF %s is bound to %s and no NIC: whether it is idle cannot be seen" % (address, driver)
        return "VF %s is bound to %s, which shows no network interface: whether it is idle cannot be seen" % (address, driver)
    for netdev in netdevs:
        base = os.path.join(SYS, "class/net", netdev)
        master = link_name(os.path.join(base, "master"))
        if master:
            return "VF %s (%s) belongs to %s" % (address, netdev, master)
        uppers = [name[6:] for name in list_names(base) if name.startswith("upper_")]
        if uppers:
            return "VF %s (%s) carries %s" % (address, netdev, ", ".join(uppers))
        if (read_int(os.path.join(base, "flags")) or 0) & 1:
            return "VF %s (%s) is up" % (address, netdev)
    return None


def vf_holders(pf_address):
    """What holds the VFs of a PF: a text for each of the first VFs in use, and how many more there are."""
    addresses = [address for address in vf_addresses(pf_address) if address]
    # The directories of a VF are many, and walked once.
    below = {address: devices_below(address) for address in addresses}
    nodes = {address: nodes_of(address, below[address]) for address in addresses}
    # Walked once for all VFs, and only where there is a node to be opened: a hypervisor has many processes with many files.
    users = device_users() if any(nodes.values()) else {}
    holders = [
        holder for holder in (vf_holder(address, users, below[address], nodes[address]) for address in addresses) if holder]
    more = len(holders) - HOLDERS_TOLD
    return holders if more <= 0 else holders[:HOLDERS_TOLD] + ["and %d more of its VFs are in use" % more]


def ssh_server_and_client():
    """The two addresses of the ssh connection this process runs under, from the nearest ancestor that knows them.

    sudo takes SSH_CONNECTION out of the environment; the shell that called sudo still has it.
    """
    pid = os.getpid()
    while pid > 1:
        try:
            with open(os.path.join(PROC, str(pid), "environ"), "rb") as stream:
                environment = stream.read().split(b"\0")
            with open(os.path.join(PROC, str(pid), "stat"), encoding="utf-8", errors="replace") as stream:
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
    """Whether an interface may be a port that Open vSwitch made: Ethernet, and of no kind that the kernel names, as tunnels are."""
    base = os.path.join(SYS, "class/net", netdev)
    # ARPHRD_ETHER; tun_flags is of tun and tap.
    if read_int(os.path.join(base, "type")) not in (1, None) or os.path.exists(os.path.join(base, "tun_flags")):
        return False
    return "DEVTYPE=" not in read_text(os.path.join(base, "uevent"), "")


def pci_under(netdev, seen=None, switch=True):
    """The PCI functions that carry a network interface: through bonds, bridges, VLANs, Open vSwitch, and from VF to PF.

    switch: whether an interface of which nothing is known is taken for a port of Open vSwitch.
    """
    seen = set() if seen is None else seen
    if netdev in seen:
        return set()
    seen.add(netdev)
    address = pci_of_netdev(netdev)
    if address:
        physfn = link_name(device_path(address, "physfn"))
        return {address, physfn} if physfn else {address}
    base = os.path.join(SYS, "class/net", netdev)
    lowers = [name[6:] for name in list_names(base) if name.startswith("lower_")]
    if not lowers and netdev != "lo" and switch and may_be_a_switch_port(netdev):
        # A port of Open vSwitch does not say which NIC carries it: every NIC in the switch may.
        lowers = [
            name for name in list_names(os.path.join(SYS, "class/net"))
            if link_name(os.path.join(SYS, "class/net", name, "master")) == "ovs-system"
        ]
    return set().union(*[pci_under(lower, seen, switch) for lower in lowers]) if lowers else set()


def interfaces_of(routes):
    """The interfaces through which routes lead, those of every equal next hop and of next-hop objects included.

    routes: as `ip -j route` prints them.
    """
    hops = [hop for route in routes for hop in [route] + route.get("nexthops", [])]
    netdevs = {hop["dev"] for hop in hops if hop.get("dev")}
    # With net.ipv4.nexthop_compat_mode=0 the kernel names the object alone.
    wanted = {route["nhid"] for route in routes if route.get("nhid") and not route.get("dev") and not route.get("nexthops")}
    objects = {one.get("id"): one for one in json_of(["ip", "-j", "nexthop", "show"]) or []} if wanted else {}
    while wanted:
        one = objects.pop(wanted.pop(), {})
        netdevs.update({one["dev"]} if one.get("dev") else ())
        wanted.update(member.get("id") for member in one.get("group", []))
    return netdevs


def default_routes(family=None):
    """The default routes of one family ("-6" or "-4") or of both, in every table; None when `ip` cannot tell."""
    answers = []
    for which in {None: ([], ["-6"]), "-4": ([],), "-6": (["-6"],)}[family]:
        command = ["ip"] + which + ["-j", "route", "show", "default"]
        answers += [json_of(command), json_of(command + ["table", "all"])]
    return None if all(answer is None for answer in answers) else [route for answer in answers for route in answer or []]


def routes_back(server, client, domains):
    """The routes from this host to the client, those that are equal to the one that the kernel picks included.

    domains: interfaces that may be VRFs, whose tables then count.
    """
    routes = json_of(["ip", "-j", "route", "get", client]) or []
    # fibmatch: the route with all its next hops, not the one that the hash of this destination picks.
    ask = ["ip", "-j", "route", "get", "fibmatch", client]
    matched = json_of(ask + ["from", server]) or json_of(ask) or []
    for domain in domains:
        matched = matched + (json_of(ask + ["vrf", domain]) or [])
    family = "-6" if ":" in client else "-4"
    for route in matched:
        # IPv6 keeps equal routes of router advertisements apart.
        exact = ["ip"] + (["-6"] if family == "-6" else []) + ["-j", "route", "show", "exact", route.get("dst", "default")]
        same = json_of(exact + (["table", str(route["table"])] if route.get("table") else [])) or []
        routes = routes + [route] + [other for other in same if other.get("metric") == route.get("metric")]
    if not matched and any(route.get("gateway") or route.get("via") for route in routes):
        routes = routes + (default_routes(family) or [])
    return routes


def has_device(netdevs):
    """Whether one of these interfaces is a device's, on PCI or elsewhere."""
    return any(os.path.exists(os.path.join(SYS, "class/net", netdev, "device")) for netdev in netdevs)


def connection_functions():
    """The PCI functions that carry the operator's connection to this host.

    With ssh: those under the interface that has the server's address, and under every equal route back to the client; where the
    address is on no NIC (on lo, of a routed host), also those under the default routes, for any of them may bring it in. Without ssh:
    those under the default routes. None when that cannot be found out (no `ip` program, a tunnel).
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
    domains = sorted({link["master"] for link in owners if link.get("master")} | {name for name in addressed if not pci_under(name)})
    netdevs = addressed | interfaces_of(routes_back(server, client, domains))
    found = set().union(*[pci_under(netdev) for netdev in netdevs])
    on_nics = set().union(*[pci_under(netdev) for netdev in addressed])
    if on_nics and not set().union(*[pci_under(netdev, switch=False) for netdev in addressed]):
        # A dummy looks like a port of Open vSwitch, and is none.
        dummies = {link["ifname"] for link in json_of(["ip", "-j", "link", "show", "type", "dummy"]) or [] if link.get("ifname")}
        on_nics = set() if addressed <= dummies else on_nics
    if found and not on_nics:
        # Not where nothing is found at all: a tunnel's own way is not known.
        found |= set().union(*[pci_under(netdev) for netdev in interfaces_of(default_routes() or [])])
    # A tunnel, or an address that no interface here has: the connection comes through some NIC all the same.
    return found if found or has_device(netdevs) else None


# --- the configuration --------------------------------------------------------------------------------------------


def load_config(path=None):
    """The configuration file as a dict, or None when there is none.

    Raises Refusal when it cannot be read as configuration of this program.
    """
    path = path or CONFIG_PATH
    try:
        with open(path, encoding="utf-8") as stream:
            config = json.load(stream)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise Refusal("%s cannot be read (%s): run the role again, it writes the file again" % (path, error)) from error
    if not isinstance(config, dict) or config.get("format") != CONFIG_FORMAT:
        raise Refusal("%s has format %s, this program reads format %d: run the role again" % (
            path, ascii(config.get("format") if isinstance(config, dict) else None)[:80], CONFIG_FORMAT))
    missing = sorted({"boot_wait", "numvfs_timeout", "devices"} - set(config))
    if missing:
        raise Refusal("%s lacks %s: run the role again, it writes the file again" % (path, ", ".join(missing)))
    wrong = wrong_in(config)
    if wrong:
        raise Refusal("%s: %s is %s, which the role never writes: run the role again, it writes the file again" % (
            path, wrong[0], ascii(wrong[1])[:80]))
    return config


def is_seconds(value):
    """Whether a value of the configuration is a time that can be waited for."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= MOST_SECONDS


def wrong_in(config):
    """The first thing in a configuration that cannot be used: (where it is, what it is); None when there is none."""
    for key in ("boot_wait", "numvfs_timeout"):
        if not is_seconds(config[key]):
            return key, config[key]
    if not is_plain(config.get("udev_rule_path", "")):
        return "udev_rule_path", config["udev_rule_path"]
    if not isinstance(config["devices"], list):
        return "devices", config["devices"]
    for index, device in enumerate(config["devices"]):
        where = "devices[%d]" % index
        if not isinstance(device, dict):
            return where, device
        count = device.get("numvfs")
        checks = (
            ("address", isinstance(device.get("address"), str) and PCI_ADDRESS.match(device["address"])),
            ("id", device.get("id") is None or isinstance(device["id"], str) and DEVICE_ID.match(device["id"])),
            ("numvfs", isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_VFS),
            ("boot", device.get("boot") in ("systemd", "udev")),
            ("optional", isinstance(device.get("optional"), bool)),
            # Files of earlier versions have no name.
            ("name", is_plain(device.get("name", "")) and device.get("name", "").isascii()),
        )
        for key, good in checks:
            if not good:
                return "%s %s" % (where, key), device.get(key)
    return None


def is_plain(value):
    """Whether a value of the configuration is text that can be printed and be a path."""
    return isinstance(value, str) and (value.isprintable() or not value)


def write_atomically(path, text, mode=0o644, owner=None, times=None):
    """Replace `path` by `text` in one step: a reader, or a machine that loses power, sees the old or the new file.

    mode, owner, times: as of stage(). Directories that are missing are made. Raises OSError.
    """
    made, temporary = make_directories(os.path.dirname(path)), None
    try:
        temporary = stage(path, text, mode, owner, times)
        os.replace(temporary, path)
    except BaseException:
        discard([temporary] if temporary else [], made)
        raise
    sync_directory(os.path.dirname(path))


def stage(path, text, mode=0o644, owner=None, times=None):
    """Write what will become `path` to a temporary file next to it and bring it to the disk; os.replace() does the rest.

    mode: the permission bits; owner: (uid, gid) or None for the caller's own; times: of access and modification in ns, or None for
    now. Returns the temporary file's path, of a name that sweep() knows. Raises OSError and leaves nothing then.
    """
    import tempfile

    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
            stream.write(text)
            stream.flush()
            try:
                if owner is not None:
                    os.fchown(stream.fileno(), *owner)
                os.fchmod(stream.fileno(), mode)
            except PermissionError:
                # An EFI system partition is FAT: modes and owners come from its mount options.
                pass
            _copy_label(path, stream.fileno())
            if times is not None:
                os.utime(stream.fileno(), ns=times)
            os.fsync(stream.fileno())
    except BaseException:
        discard([temporary], [])
        raise
    return temporary


def discard(temporaries, made):
    """Remove temporary files, and directories of make_directories() as far as they are empty. What cannot be removed stays."""
    for path in temporaries:
        with contextlib.suppress(OSError):
            os.unlink(path)
    for path in reversed(made):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def _copy_label(path, descriptor):
    """Give a new file the SELinux label of the one it replaces: /etc/default/grub has another than its directory."""
    try:
        os.setxattr(descriptor, "security.selinux", os.getxattr(path, "security.selinux"))
    except OSError:
        pass


def remove_file(path):
    """Remove a file or a link so that it is gone after a power cut too. Raises OSError, FileNotFoundError when it is not there."""
    os.unlink(path)
    sync_directory(os.path.dirname(path))


def make_directories(directory):
    """Make a directory, with those above it that are missing, so that it is there after a power cut too.

    Returns those that were made, the outermost first. Raises OSError and leaves none of them then.
    """
    missing, made = [], []
    while not os.path.isdir(directory):
        if os.path.lexists(directory):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), directory)
        missing.append(directory)
        directory = os.path.dirname(os.path.abspath(directory))
    try:
        for path in reversed(missing):
            os.mkdir(path, 0o755)
            made.append(path)
            sync_directory(os.path.dirname(path))
    except BaseException:
        discard([], made)
        raise
    return made


def sync_directory(directory):
    """Make links, renames and removals in `directory` durable, where the filesystem can. Raises OSError when the disk fails."""
    descriptor = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # What a filesystem says that has no such thing, as some of those in user space.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def sweep(directories):
    """Remove the temporary files that a killed run left in `directories`. To be called under the lock, for no writer is known by them.

    What cannot be removed stays: it harms nothing, and the write that follows has the better message.
    """
    for path in leftovers(directories):
        with contextlib.suppress(OSError):
            remove_file(path)


def leftovers(directories):
    """The paths that sweep() removes from `directories`."""
    paths = [os.path.join(directory, name) for directory in directories for name in list_names(directory) if TEMPORARY_NAME.match(name)]
    return [path for path in paths if os.path.islink(path) or os.path.isfile(path)]


def lock_wait(numvfs_timeout):
    """How long to wait for the lock: as long as its holder may need to set the VFs of a slow card and to put them back, and more."""
    return 600 + 2 * numvfs_timeout


@contextlib.contextmanager
def locked(timeout=600):
    """Hold the one lock that the role, the boot unit and udev's units share; wait at most `timeout` seconds for it.

    Raises Refusal, naming the holder, when it stays taken.
    """
    descriptor = os.open(LOCK_PATH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    raise
            if time.monotonic() >= deadline:
                raise Refusal("process %s has held %s for over %d s: wait for it or end it, then run again" % (
                    read_text(LOCK_PATH, "?"), LOCK_PATH, timeout))
            time.sleep(0.1)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            # Not by closing alone: a child that hangs in the kernel has the same open file, and would keep the lock.
            # When this process is killed that is wanted: its child may still be writing.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


# --- deciding -----------------------------------------------------------------------------------------------------


def total_in_config(address):
    """TotalVFs of the SR-IOV capability in a function's PCI configuration space; None without one, -1 when that cannot be seen.

    PCI Express Base Specification, "SR-IOV Extended Capability" (id 0010h); only root may read further than 64 bytes.
    """
    try:
        with open(device_path(address, "config"), "rb") as stream:
            config = stream.read(4096)
    except OSError:
        return -1
    offset, seen = 0x100, set()
    if len(config) <= offset:
        # 256 bytes: a conventional PCI function, which has no extended capabilities.
        return None if len(config) == offset else -1
    while offset >= 0x100 and offset not in seen and offset + 16 <= len(config):
        seen.add(offset)
        header = int.from_bytes(config[offset:offset + 4], "little")
        if header & 0xffff == 0x0010:
            return int.from_bytes(config[offset + 14:offset + 16], "little")
        offset = header >> 20 & ~3
    return None


def is_virtual_machine():
    """Whether this kernel runs in a virtual machine; Xen's control domain, which has the hardware, is none."""
    if "control_d" in read_text(PROC + "/xen/capabilities", ""):
        return False
    flags = re.search(r"^flags\s*:.*\bhypervisor\b", read_text(PROC + "/cpuinfo", ""), re.MULTILINE)
    maker = read_text(os.path.join(SYS, "class/dmi/id/sys_vendor"), "")
    return bool(flags) or maker in ("QEMU", "KVM", "VMware, Inc.", "innotek GmbH", "Amazon EC2", "OpenStack Foundation")


def why_no_vfs(function):
    """Why a function offers no VFs at all, as advice, by what its configuration space and the kernel show.

    function: as of read_function.
    """
    if function["id"].startswith(MELLANOX + ":"):
        return ("enable SR-IOV in the card's firmware (SRIOV_EN, NUM_OF_VFS; the role does with sriov_action all), then reboot; "
                "where it is enabled, power-cycle the host, or enable SR-IOV in the BIOS")
    total = total_in_config(function["address"])
    if (read_int(device_path(function["address"], "class")) or NETWORK_CLASS << 16) >> 16 != NETWORK_CLASS:
        return "it is no NIC: name a NIC"
    if function["totalvfs"] is None and (total or 0) > 0:
        if read_pfs():
            return "it has SR-IOV, and the kernel could not set that up: look for its address in the kernel log, and update the BIOS"
        return "it has SR-IOV, and this kernel has none: boot a kernel with CONFIG_PCI_IOV"
    if function["totalvfs"] is None and (total is None or total < 0):
        if is_virtual_machine():
            return ("it is a NIC of this virtual machine without SR-IOV: name another NIC, or have the hypervisor pass one with SR-IOV "
                    "through")
        if function["driver"] not in SRIOV_DRIVERS and not IGB_IDS.match(function["id"]):
            return "the card has no SR-IOV: name another NIC"
        return ("the card shows no SR-IOV: if the model has it, enable it for this port in the BIOS or in the card's own set-up "
                "(Virtualization Mode: SR-IOV), then boot again; otherwise name another NIC")
    return "enable SR-IOV for the card in the BIOS (also called Single Root I/O Virtualization), then boot again"


def why_no_pf():
    """Why a host has no PF at all, as advice."""
    if is_virtual_machine():
        return "it is a virtual machine, and its hypervisor passes none through: have it do so, or leave this host out"
    return "where its NIC has SR-IOV, enable it in the BIOS, or in the card's firmware"


def a_vf(function):
    """What to say when a VF is named where a PF is wanted."""
    return "%s is a VF of %s: name the PF" % (
        describe(function), describe(read_function(function["physfn"]) or {"address": function["physfn"]}))


def modules_for(address):
    """The kernel modules on this host for a PCI function, by its modalias; None when that cannot be found out."""
    import subprocess

    modalias, modprobe = read_text(device_path(address, "modalias")), find_program("modprobe")
    if not modalias or not modprobe:
        return None
    try:
        done = subprocess.run([modprobe, "--resolve-alias", modalias], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30,
                              check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return sorted(set(done.stdout.decode("ascii", "replace").split()))


def why_no_driver(address):
    """Cause and cure of a PF without a driver."""
    modules = modules_for(address)
    if modules is None:
        return "load the NIC's kernel module and look at the kernel log"
    if not modules:
        return "this host has no kernel module for it: install the driver, or the kernel's package with more modules"
    loaded = [module for module in modules if os.path.isdir(os.path.join(SYS, "module", module))]
    if loaded:
        return "its kernel module %s is loaded and does not hold it: look for the PF's address in the kernel log" % ", ".join(loaded)
    return "load its kernel module (modprobe %s), and look for what keeps it from being loaded at boot" % " or ".join(modules)


def firmware_waits(address):
    """Whether the firmware of a PF's card was set in this boot, so that what it offers changes with the next one."""
    try:
        with open(PENDING_FIRMWARE_PATH, encoding="utf-8") as stream:
            pending = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return False
    card = address.rpartition(".")[0]
    return isinstance(pending, dict) and any(
        key.startswith("firmware:%s." % card) and boot == boot_id() for key, boot in pending.items())


# What becomes of a device, by what is to be done. "pending" waits for the next boot, "waiting" for something else that waits for it.
# After a failure of another PF there are "put back" and "unchanged" too.
STATES = {"nothing": "ok", "set": "changed", "wait": "pending", "later": "waiting", "skip": "skipped", "fail": "failed"}


WAITS_FOR_FIRMWARE = "its firmware is set and offers more from the next boot on"
CHANGE_PERMISSION = " (sriov_change_connection_pf: true allows the change)"


def decide(device, function, connection, change_connection_pf):
    """What to do for one configured device.

    device: {"address", "numvfs", optionally "id", "optional", "name": its last known interface, "waits": why more VFs than the device has
    now come later}.
    function: as of read_function, or None. connection: the functions that carry the connection, as a callable, asked only
    when VFs would have to go.
    Returns {"do": "nothing" | "set" | "wait" | "later" | "skip" | "fail", "message": str}.
    """
    wanted = device["numvfs"]
    if function is None:
        known = "%s, last known as %s," % (device["address"], device["name"]) if device.get("name") else device["address"]
        if device.get("optional"):
            return {"do": "skip", "message": "PF %s is not there (optional)" % known}
        return {"do": "fail", "message": "PF %s is not there: check that the card is seated and seen by the BIOS, "
                                         "or run the role again if it moved to another slot" % known}
    name = describe(function)
    if device.get("id") and device["id"] != function["id"]:
        return {"do": "fail", "message": "%s is now a device %s, it was %s when the role chose it: run the role again" % (
            name, function["id"], device["id"])}
    if function["physfn"]:
        return {"do": "fail", "message": a_vf(function)}
    if userspace_driver(function["address"]):
        return {"do": "skip", "message": "%s is held by %s: its VFs are set when its own driver has it back" % (
            name, function["driver"])}
    total, current = function["totalvfs"], function["numvfs"]
    if device.get("waits") and wanted > (total or 0):
        return {"do": "later", "message": "%s has %d of %d VFs: %s" % (name, current or 0, wanted, device["waits"])}
    if total is None or current is None:
        return {"do": "fail", "message": "%s offers no VFs: %s" % (name, why_no_vfs(function))}
    if current == wanted:
        return {"do": "nothing", "message": ""}
    if total == 0:
        return {"do": "fail", "message": "%s offers no VFs: %s" % (name, why_no_vfs(function))}
    if wanted > total:
        return {"do": "fail", "message": "%s has at most %d VFs, %d are asked for: lower numvfs" % (name, total, wanted)}
    if function["driver"] is None:
        return {"do": "fail", "message": "%s has no driver: %s" % (name, why_no_driver(function["address"]))}
    if current == 0:
        return {"do": "set", "message": ""}
    holders = vf_holders(function["address"])
    if not change_connection_pf:
        carriers = connection()
        if carriers is None:
            holders.append("it is not known whether it carries the connection to this host" + CHANGE_PERMISSION)
        elif function["address"] in carriers:
            holders.append("it carries the connection to this host" + CHANGE_PERMISSION)
        elif not function["netdevs"] and os.path.isdir(device_path(function["address"], "net")):
            holders.append("its interface is in another network namespace, and what goes through it is not known" + CHANGE_PERMISSION)
    if holders:
        return {"do": "wait", "message": "%s keeps its %d VFs until the next boot, %d are wanted: %s" % (
            name, current, wanted, "; ".join(holders))}
    return {"do": "set", "message": ""}


# --- doing --------------------------------------------------------------------------------------------------------

# Cause and cure of a refused write that makes VFs where there are none; with a driver where its source gives the errno a meaning of
# its own: i40e_pci_sriov_enable(), ixgbe_pci_sriov_enable(), igb_enable_sriov(), ice_check_sriov_allowed() and ice_set_per_vf_res().
DRIVER_ADVICE = {
    ("i40e", errno.EPERM): "the port lacks the queues and interrupts for so many VFs, or is running its self-test: lower numvfs",
    ("ixgbe", errno.EPERM): "traffic classes (DCB) or macvlan offload of the port take the queues of so many VFs: turn them off, "
                            "or lower numvfs",
    ("igb", errno.EPERM): "driver igb makes no VFs without MSI-X interrupts: take pci=nomsi off the kernel line",
    ("ice", errno.EBUSY): "driver ice is not ready, as during a reset: run the role again",
    ("ice", errno.EOPNOTSUPP): "driver ice has found no DDP package and runs in safe mode, or has fewer VFs than that: install the "
                               "package that has intel/ice/ddp/ice.pkg (linux-firmware, or Debian's non-free firmware) and load ice "
                               "again, or lower numvfs",
}
WRITE_ADVICE = {
    errno.ENOENT: "the driver %(driver)s cannot create VFs through sysfs: use a driver, or driver settings, that can",
    errno.ENOSYS: "the driver %(driver)s does not take the number of VFs through sysfs (ConnectX-3 takes it as a module option)",
    errno.ERANGE: "the device has fewer VFs than that: lower numvfs",
    errno.EBUSY: "driver %(driver)s is busy with the device (a reset, a change of its eswitch mode, another program that sets VFs): "
                 "end that, then run the role again",
    errno.EAGAIN: "another operation of driver %(driver)s is going on and did not end while this was tried again: run the role again",
    errno.ENOMEM: "no address space for the VFs: enable SR-IOV and 'Above 4G decoding' in the BIOS, "
                  "or boot with pci=realloc",
    errno.ENOSPC: "the card has run out of MSI-X vectors or other resources of VFs: lower numvfs%(irdma)s",
    errno.EPERM: "driver %(driver)s does not allow so many VFs with the port as it is set up: lower numvfs",
    errno.EINVAL: "driver %(driver)s does not take this number with the port as it is set up: lower numvfs",
    errno.EOPNOTSUPP: "driver %(driver)s has no VFs with the firmware or the mode that the card runs with: update the firmware, or "
                      "change the mode",
    errno.EIO: "the device did not answer: power-cycle the host, and update the card's firmware if that does not help",
    errno.ETIMEDOUT: "the device did not answer its driver in time: power-cycle the host, and update the card's firmware if that "
                     "does not help",
    errno.ENODEV: "the card, or its driver, went away meanwhile: check that the card is seated and its driver loaded, then run the "
                  "role again",
    errno.EROFS: "/sys is read-only here: run the role on the host itself, not in a container",
    errno.EACCES: "writing there is not allowed, not even to root: look for SELinux or a container that forbids it",
}
# The kernel's own number, which no library names: drivers return it where EOPNOTSUPP is meant.
ENOTSUPP = 524
SAME_CAUSE = {ENOTSUPP: errno.EOPNOTSUPP, errno.EREMOTEIO: errno.EIO, errno.ENXIO: errno.ENODEV}
# The kernel keeps the VFs that there are: i40e says EINVAL, ice and be2net say EBUSY, the others EPERM.
IN_USE = (errno.EBUSY, errno.EPERM, errno.EINVAL)
# What can be said of a write of 0 as well: the other causes are of making VFs.
OF_REMOVAL = (
    errno.ENOENT, errno.ENOSYS, errno.EAGAIN, errno.EIO, errno.ETIMEDOUT, errno.ENODEV, errno.EROFS, errno.EACCES,
)
NO_CAUSE = "driver %(driver)s gives no cause that is known"


def write_advice(number, function, count, vfs):
    """Cause and cure of a refused write to sriov_numvfs, by what is known.

    number: the errno. function: as of read_function. count: what was written. vfs: how many VFs there are now.
    """
    number = SAME_CAUSE.get(number, number)
    if vfs and number in IN_USE and not count:
        return "a guest has one of its VFs: shut the guest down or detach the VF, then run the role again"
    if vfs and number == errno.EBUSY:
        return "another program has made VFs of it meanwhile: end or disable what does that, then run the role again"
    if not count and number not in OF_REMOVAL:
        return NO_CAUSE % {"driver": function["driver"]}
    irdma = function["id"].startswith(INTEL + ":") and os.path.isdir(os.path.join(SYS, "module/irdma"))
    advice = DRIVER_ADVICE.get((function["driver"], number)) or WRITE_ADVICE.get(number, NO_CAUSE)
    return advice % {"driver": function["driver"], "irdma": ", or take irdma off the port" if irdma else ""}


class KernelLog:
    """What the kernel says of one PCI function from now on (Documentation/ABI/testing/dev-kmsg). A log that cannot be read is no error."""

    def __init__(self, address):
        self.address, self.descriptor = address, None
        try:
            self.descriptor = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self.descriptor, 0, os.SEEK_END)
        except OSError:
            self.close()

    def close(self):
        """Let go of the log."""
        if self.descriptor is not None:
            os.close(self.descriptor)
        self.descriptor = None

    def lines(self):
        """The last lines since then, bounded in number and width, in printable ASCII; None when the log cannot be read."""
        if self.descriptor is None:
            return None
        text = b""
        for _record in range(KERNEL_LOG_RECORDS):
            try:
                record = os.read(self.descriptor, 8192)
            except BrokenPipeError:
                # Records that the kernel has overwritten meanwhile.
                continue
            except BlockingIOError:
                break
            except OSError:
                return None
            if not record:
                break
            text += record
        ours, last = [], None
        for line in text.decode("ascii", "replace").splitlines():
            head, _semicolon, words = line.partition(";")
            if line.startswith(" "):
                if last and line == " DEVICE=+pci:" + self.address:
                    ours.append(last)
                    last = None
                continue
            last = None
            # The facility is 0 for the kernel's own lines alone: any program of root's can write others.
            if head.partition(",")[0].isdigit() and int(head.partition(",")[0]) >> 3 == 0:
                words = re.sub(r"[^ -~]", "?", re.sub(r"\\x[0-9a-f]{2}", "?", words))[:KERNEL_LOG_WIDTH]
                if re.search(r"(?<![\w:.])%s(?![\w])" % re.escape(self.address), words):
                    ours.append(words)
                else:
                    last = words
        return ours[-KERNEL_LOG_LINES:]


def with_log(sentence, log):
    """A failure with what the kernel said of the PF meanwhile, in its text too."""
    lines = log.lines()
    if lines is None:
        return Failure(sentence + "; see the kernel log")
    if not lines:
        return Failure(sentence + "; the kernel log has no line about it")
    return Failure.of("%s; the kernel said: %s" % (sentence, " / ".join(lines)), lines)


def write_numvfs(address, count):
    """Write a PF's number of VFs; raises OSError with the kernel's errno."""
    descriptor = os.open(device_path(address, "sriov_numvfs"), os.O_WRONLY)
    try:
        os.write(descriptor, str(count).encode())
    finally:
        os.close(descriptor)


def link_up(address, deadline):
    """Set a PF's network interface administratively up, once udev has given it its name; whether that worked by the deadline.

    Kernels before 6.2 refuse to rename an interface that is up, and udev writes its record only after the renaming.
    """
    import subprocess

    while True:
        names = (read_function(address) or {"netdevs": []})["netdevs"]
        records = [
            os.path.join(UDEV_DATA, "n%s" % read_int(os.path.join(SYS, "class/net", name, "ifindex"))) for name in names
        ]
        if names and all(os.path.exists(record) for record in records):
            break
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.1)
    return all(
        subprocess.run(["ip", "link", "set", "dev", name, "up"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False).returncode == 0
        for name in names
    )


def is_there(address):
    """Whether a PCI function is there and answers: one that was pulled out reads as all ones until the kernel has removed it."""
    try:
        with open(device_path(address, "config"), "rb", buffering=0) as stream:
            return stream.read(2) != b"\xff\xff"
    except OSError:
        return os.path.isdir(device_path(address))


def gone(name):
    """The sentence for a card that was pulled out, or reset, in the middle of it."""
    return ("%s went away while its VFs were being set: check that the card is seated and its driver loaded, then run the role "
            "again" % name)


def set_numvfs(address, wanted, timeout=120, putting_back=lambda: None):
    """Give one PF `wanted` VFs, by way of 0 where the kernel demands that.

    timeout: seconds for it, one more for each VF. putting_back: called before a PF is put back, which takes time of its own.
    Returns None when the kernel then reports exactly that many and shows them, else a Failure, with the PF put back to the number it had.
    """
    deadline = time.monotonic() + timeout + wanted
    log = KernelLog(address)
    function = read_function(address)
    if function is None or function["numvfs"] is None:
        return Failure("%s went away, or its driver let go of it, before its VFs could be set" % address)
    before, name = function["numvfs"], describe(function)
    count, keeps = wanted, False

    def write(number):
        nonlocal count
        count, pause = number, 0.1
        until = time.monotonic() + min(RETRY_SECONDS, timeout / 2)
        while True:
            try:
                return write_numvfs(address, number)
            except OSError as error:
                passes = error.errno == errno.EAGAIN or error.errno == errno.EBUSY and number and not vf_addresses(address)
                if not passes or time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2)

    def put(number):
        """Write a number, and note in `keeps` whether the driver took the 0 on the way and gave nothing up; returns the kernel's count."""
        nonlocal keeps
        current = read_int(device_path(address, "sriov_numvfs"))
        if current == number:
            return current
        if current:
            write(0)
            # cxgb4 (cxgb4_iov_configure) and bnxt_en return no error for VFs that a guest has.
            keeps = read_int(device_path(address, "sriov_numvfs")) == current
        if number and not keeps:
            write(number)
        return read_int(device_path(address, "sriov_numvfs"))

    def put_back():
        if not is_there(address):
            return ""
        putting_back()
        try:
            put(before)
            reason = "it has %s now" % len(vf_addresses(address))
        except OSError as error:
            reason = error.strerror
        if len(vf_addresses(address)) != before:
            return "; putting back its %d VFs failed too (%s)" % (before, reason)
        return "; it has its %d VFs again" % before if before else "; it has no VFs, as before"

    def failed(sentence):
        """The failure, its kernel log read before the PF is put back, and what became of the PF."""
        failure = with_log(sentence if is_there(address) else gone(name), log)
        return Failure.of(failure + put_back(), failure.kernel_log)

    try:
        enabled, link = put(wanted), True
        if enabled != wanted and function["driver"] in DRIVERS_THAT_NEED_LINK_UP:
            link = link_up(address, deadline)
            enabled = put(wanted) if link else enabled
    except OSError as error:
        # Only open() names a file: then it is the attribute that is gone, not the driver's support for it; or the driver itself is gone.
        went = error.filename or not os.path.lexists(device_path(address, "driver"))
        cause = errno.ENODEV if error.errno == errno.ENOENT and went else error.errno
        advice = write_advice(cause, function, count, len(vf_addresses(address)))
        return failed("%s: setting %d VFs failed (%s): %s" % (name, wanted, error.strerror, advice))
    if not link and (keeps or not enabled):
        return failed("%s: driver %s makes VFs only while the interface is up, and it is not: set it up, then run the role again" % (
            name, function["driver"]))
    if keeps:
        return failed("%s: driver %s took 0 VFs without an error and keeps the %d that there are: a guest has one of them, shut it down or "
                      "detach the VF, then run the role again" % (name, function["driver"], enabled))
    if enabled != wanted:
        return failed("%s: %s VFs were requested and driver %s enabled %s: lower numvfs" % (name, wanted, function["driver"], enabled))
    while len(vf_addresses(address)) != wanted:
        if time.monotonic() >= deadline or not is_there(address):
            return failed("%s: the kernel counts %d VFs and shows %d of them after %d s: raise sriov_numvfs_timeout, or lower numvfs" % (
                name, wanted, len(vf_addresses(address)), timeout + wanted))
        time.sleep(0.05)
    log.close()
    return None


def still_runs(pid):
    """Whether a child of ours that was killed is still in the kernel."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return False


def too_late(name, address, wanted, seconds, pid, log):
    """What to say of a PF whose write was not over in time, once its process has been killed: None when the VFs are there all the same."""
    if not is_there(address):
        failure = with_log(gone(name), log)
        return Failure.of(failure, failure.kernel_log, pid, True)
    hangs = still_runs(pid)
    if not hangs and len(vf_addresses(address)) == wanted:
        return None
    sentence = "%s: the kernel did not finish setting %d VFs within %d s: raise sriov_numvfs_timeout for a slow card" % (
        name, wanted, seconds)
    if hangs:
        sentence += ("; process %d still waits in the kernel for it, so its number of VFs may yet change, and only a reboot ends a process "
                     "that waits for good" % pid)
    failure = with_log(sentence, log)
    return Failure.of(failure, failure.kernel_log, pid, True)


def set_all(wanted, timeout):
    """Set several PFs at once, each in a process of its own, because a write can block in the kernel for good (i40e has).

    wanted: {address: numvfs}. timeout: seconds for one PF, one more for each of its VFs, and as much again to put it back.
    Returns {address: None or Failure}.
    """
    outcomes, running, late = {}, {}, []
    for address, count in wanted.items():
        name, log = describe(read_function(address) or {"address": address}), KernelLog(address)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

            def tell(answer, writer=writer):
                os.write(writer, (json.dumps(answer) + "\n").encode())

            with contextlib.suppress(OSError):
                try:
                    failure = set_numvfs(address, count, timeout, lambda: tell("putting back"))
                    tell([failure and str(failure), list(failure.kernel_log) if failure else []])
                except BaseException as error:  # the parent must hear of it, whatever it is
                    tell(["%s: %s" % (name, error), []])
            os._exit(0)
        os.close(writer)
        # The child gives up by itself at the end of its time, and a busy machine needs a moment for that; a child that hangs does not.
        running[reader] = {"address": address, "name": name, "pid": pid, "log": log, "text": b"", "seconds": timeout + count,
                           "deadline": time.monotonic() + timeout + count + GRACE_SECONDS}
    while running:
        left = min(child["deadline"] for child in running.values()) - time.monotonic()
        ready = select.select(list(running), [], [], max(0, left))[0]
        for reader in ready:
            child, part = running[reader], os.read(reader, 65536)
            child["text"] += part
            if b'"putting back"' in part:
                child["deadline"] = time.monotonic() + child["seconds"] + GRACE_SECONDS
            if part:
                continue
            del running[reader]
            os.close(reader)
            os.waitpid(child["pid"], 0)
            answer = [line for line in child["text"].splitlines() if line.startswith(b"[")]
            sentence, lines = json.loads(answer[-1]) if answer else ["%s: the process that set its VFs was killed" % child["name"], []]
            outcomes[child["address"]] = sentence and Failure.of(sentence, lines)
            child["log"].close()
        for reader, child in list(running.items()):
            if time.monotonic() >= child["deadline"]:
                del running[reader]
                os.close(reader)
                with contextlib.suppress(OSError):
                    os.kill(child["pid"], signal.SIGKILL)
                late.append(child)
    # One that the kernel lets go dies at once. Read back at the end: a write that was late may have gone through.
    patience = time.monotonic() + 1
    while late and time.monotonic() < patience and any(still_runs(child["pid"]) for child in late):
        time.sleep(0.05)
    for child in late:
        outcomes[child["address"]] = too_late(
            child["name"], child["address"], wanted[child["address"]], child["seconds"], child["pid"], child["log"])
        child["log"].close()
    return outcomes


def wait_for_drivers(addresses, seconds):
    """Wait until those of the PFs that are there have a driver, at most `seconds`. An absent PF is not waited for."""
    deadline = time.monotonic() + seconds

    def unready(address):
        return os.path.isdir(device_path(address)) and not os.path.exists(device_path(address, "driver"))

    while any(unready(address) for address in addresses) and time.monotonic() < deadline:
        time.sleep(0.2)


def apply(devices, timeout, check=False, change_connection_pf=False):
    """Bring PFs to their configured number of VFs.

    devices: as of the configuration file. timeout: seconds for one PF. check: decide, change nothing.
    Returns a list with, for each device in order: address, name, wanted, before, now, state (see STATES), message; for one whose write
    failed also kernel_log, late and process (see Failure). One that fails is as it was before, the others are set all the same:
    put_back() undoes them.
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
            "wanted": device["numvfs"], "before": before, "now": before, "message": decision["message"],
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
                state="failed", message=str(failure), now=len(vf_addresses(result["address"])), kernel_log=failure.kernel_log,
                late=failure.late, process=failure.pid)
        elif result["state"] == "changed":
            result["now"] = result["wanted"]
    return results


def put_back(results, timeout):
    """Undo what apply() changed, after another PF failed: each gets the number of VFs it had, also one whose write came too late."""
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
            message = "%s was to be put back to %d VFs: %s" % (described(result), undo[address], failure)
            if result["state"] == "failed":
                message = "%s; %s" % (result["message"], message)
            result.update(state="failed", message=message, kernel_log=failure.kernel_log, late=failure.late, process=failure.pid)
        elif result["state"] == "changed":
            result.update(state="put back", message="%s was put back to %d VFs because another PF failed" % (
                described(result), undo[address]))
        else:
            result["message"] += "; it has finished since, and was put back to %d VFs" % undo[address]
    return results


def left_alone(results):
    """As apply() in check mode, where one PF fails and so no other is changed."""
    for result in results:
        if result["state"] == "changed":
            message = "%s was not changed because another PF fails" % described(result)
            result.update(state="unchanged", now=result["before"], message=message)
    return results


def described(result):
    """A PF of the results in a few words."""
    return describe({"netdevs": [result["name"]] if result["name"] else [], "address": result["address"]})


def refusal_of(results):
    """The one sentence for results of which some failed: those, and what became of the others."""
    failures = [result["message"] for result in results if result["state"] == "failed"]
    back = [result["message"] for result in results if result["state"] == "put back"]
    rest = [result for result in results if result["state"] not in ("failed", "put back")]
    if any(result["state"] == "unchanged" for result in rest):
        return "; ".join(failures + ["the other PFs were not changed"])
    kept = ["not changed: " + ", ".join(described(result) for result in rest)] if rest else []
    return "; ".join(failures + back + kept)


# --- the command line ---------------------------------------------------------------------------------------------

# This part runs as a program, never in a module: it prints and exits. pylint: disable=ansible-bad-function


AS_WANTED, FAILED, UNUSABLE, WAITS = 0, 1, 2, 3
EXIT_CODES = "0: as wanted; 1: a PF failed or differs; 2: wrong use, or no usable configuration; 3: some of it only waits for a reboot"


def report(results):
    """Print one line for each device to the journal; returns the exit code."""
    for result in results:
        print("%s: %s" % (result["state"], result["message"] or "%s has %s VFs" % (described(result), result["now"])))
    states = {result["state"] for result in results}
    return FAILED if "failed" in states else WAITS if states & {"pending", "waiting"} else AS_WANTED


def drift(device, result):
    """What to say of a PF that has another number of VFs than it is to have, and could have them now."""
    unit = BOOT_UNIT if device["boot"] == "systemd" else "sriov-vfs@%s.service" % device["address"]
    return "%s has %s VFs, %s are wanted: see who changed that (journalctl -b), then run systemctl restart %s" % (
        described(result), result["before"], result["wanted"], unit)


def look(devices, timeout, must_be_there):
    """What each PF has, without changing it, and its state as an answer: one that apply() would change has failed.

    must_be_there: also one whose VFs wait for the firmware has failed.
    """
    results = apply(devices, timeout, check=True)
    for device, result in zip(devices, results):
        result["now"] = result["before"]
        if result["state"] == "changed":
            result.update(state="failed", message=drift(device, result))
        if result["state"] == "waiting" and must_be_there:
            result["state"] = "failed"
        # Units that need VFs have some, of another number.
        if result["state"] == "pending" and must_be_there:
            result["state"] = "ok"
    return results


def command_of(arguments):
    """The command and the addresses of a command line. Ends the program, by argparse, for help and for wrong use."""
    command, addresses = "".join(arguments[:1]), arguments[1:]
    most = {"boot": 0, "status": 0, "device": 1, "ready": len(addresses)}.get(command, -1)
    # What units run, without argparse.
    if len(addresses) <= most and bool(addresses) == (command in ("device", "ready")) and all(map(PCI_ADDRESS.match, addresses)):
        return command, addresses
    import argparse

    parser = argparse.ArgumentParser(
        prog="sriov-vfs", description="Give SR-IOV PFs their configured number of VFs.", epilog="Exit codes: " + EXIT_CODES)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("boot", help="set every PF that is to be set at boot (run by sriov-vfs.service)")
    one = commands.add_parser("device", help="set one PF (run by sriov-vfs@ADDRESS.service, which udev starts)")
    one.add_argument("address")
    ready = commands.add_parser("ready", help="succeed when these PFs have their VFs")
    ready.add_argument("address", nargs="+")
    commands.add_parser(
        "status", help="show each configured PF and its VFs, and whether it waits for a reboot or failed", epilog=EXIT_CODES)
    options = parser.parse_args(arguments)
    addresses = getattr(options, "address", [])
    return options.command, [addresses] if isinstance(addresses, str) else addresses


def main(arguments):
    """Run one command; returns the exit code, see EXIT_CODES."""
    command, addresses = command_of(arguments)
    try:
        config = load_config()
        if config is None:
            raise Refusal("%s is not there: run the role" % CONFIG_PATH)
        # What the firmware offers from the next boot on is no failure before that.
        devices = [dict(device, waits=WAITS_FOR_FIRMWARE) if firmware_waits(device["address"]) else device for device in config["devices"]]
        if command == "boot":
            devices = [device for device in devices if device["boot"] == "systemd"]
        elif command in ("device", "ready"):
            devices = [device for device in devices if device["address"] in addresses]
            if command == "device" and not devices:
                print("%s is not in %s: there is nothing to do" % (addresses[0], CONFIG_PATH))
            if command == "ready" and len(devices) < len(set(addresses)):
                raise Refusal("%s does not have all of %s: run the role again" % (CONFIG_PATH, ", ".join(addresses)))
        if command in ("boot", "device"):
            wait_for_drivers([device["address"] for device in devices], config["boot_wait"])
            with locked(lock_wait(config["numvfs_timeout"])):
                return report(apply(devices, config["numvfs_timeout"]))
        return report(look(devices, config["numvfs_timeout"], command == "ready"))
    except Refusal as refusal:
        print("sriov-vfs: %s" % refusal, file=sys.stderr)
        return UNUSABLE


if __name__ == "__main__":
    # Names of interfaces are bytes, and the locale at boot may have no letters but ASCII.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
