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

import argparse
import contextlib
import errno
import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM_PATH = "/usr/local/sbin/sriov-vfs"
CONFIG_PATH = "/etc/sriov/vfs.json"
LOCK_PATH = "/run/sriov-vfs.lock"
CONFIG_FORMAT = 1

SYS = "/sys"
PROC = "/proc"
UDEV_DATA = "/run/udev/data"

# Where programs of root's are; sudo and systemd may hand over a shorter PATH.
PROGRAM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
# Temporary files are named by tempfile.mkstemp(): eight characters after the prefix. udev, systemd, modprobe and GRUB pass them over.
TEMPORARY_PREFIX = ".sriov-"
TEMPORARY_NAME = re.compile(r"^\.sriov-[a-z0-9_]{8}$")
PCI_ADDRESS = re.compile(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$")
MELLANOX = "15b3"
USERSPACE_DRIVERS = ("vfio-pci", "mlx5_vfio_pci", "uio_pci_generic", "igb_uio")
HOLDERS_TOLD = 3
# bnxt_en answers a write with success and enables nothing while the interface is down
# (bnxt_sriov_configure: "Reject SRIOV config request since if is down!").
DRIVERS_THAT_NEED_LINK_UP = ("bnxt_en",)
# Port names of switchdev representors: VFs and sub-functions, with or without a controller prefix.
REPRESENTOR = re.compile(r"^(c\d+)?pf\d+(vf|sf)\d+$")


class Refusal(Exception):
    """What cannot be done, as one sentence for the operator: what, where, and what to do.

    details: further fields of the module's failed result, as `pfs`, what became of each PF.
    """

    def __init__(self, message, **details):
        super().__init__(message)
        self.details = details


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
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=True)
        return json.loads(done.stdout or b"[]")
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


# --- what holds VFs -----------------------------------------------------------------------------------------------


def vfio_users():
    """The processes that have vfio groups open: {group: ["name (pid N)", ...]}."""
    users = {}
    for pid in list_names(PROC):
        if not pid.isdigit():
            continue
        groups = set()
        for descriptor in list_names(os.path.join(PROC, pid, "fd")):
            try:
                target = os.readlink(os.path.join(PROC, pid, "fd", descriptor))
            except OSError:
                continue
            if target.startswith("/dev/vfio/"):
                groups.add(target[len("/dev/vfio/"):])
        # A process chooses its own name, and nobody who shows the message should have to mind what is in it.
        name = re.sub(r"[^\w./:-]", "?", read_text(os.path.join(PROC, pid, "comm"), "?")) if groups else ""
        for group in groups:
            users.setdefault(group, []).append("%s (pid %s)" % (name, pid))
    return users


def vf_holder(address, users):
    """Why a VF must not be destroyed now, in words; None when it is idle. users: as of vfio_users."""
    driver = link_name(device_path(address, "driver"))
    if driver is None:
        return None
    if driver in USERSPACE_DRIVERS:
        names = users.get(link_name(device_path(address, "iommu_group")), [])
        return "VF %s is bound to %s%s" % (address, driver, ", used by " + ", ".join(names) if names else "")
    if any(name.startswith("vdpa") for name in list_names(device_path(address))):
        return "VF %s carries a vdpa device" % address
    netdevs = list_names(device_path(address, "net"))
    if not netdevs:
        # sysfs shows the interfaces of the reader's own network namespace only.
        return "VF %s has driver %s but no interface here: it is in another network namespace, or not ready" % (
            address, driver)
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
    # Walked once for all VFs: a hypervisor has many processes with many files.
    bound = any(link_name(device_path(address, "driver")) in USERSPACE_DRIVERS for address in addresses)
    users = vfio_users() if bound else {}
    holders = [holder for holder in (vf_holder(address, users) for address in addresses) if holder]
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


def pci_under(netdev, seen=None):
    """The PCI functions that carry a network interface: through bonds, bridges, VLANs, Open vSwitch, and from VF to PF."""
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
    if not lowers and netdev != "lo":
        # A port of Open vSwitch does not say which NIC carries it: every NIC in the switch may.
        lowers = [
            name for name in list_names(os.path.join(SYS, "class/net"))
            if link_name(os.path.join(SYS, "class/net", name, "master")) == "ovs-system"
        ]
    return set().union(*[pci_under(lower, seen) for lower in lowers]) if lowers else set()


def connection_functions():
    """The PCI functions that carry the operator's connection to this host.

    With ssh: those under the interface that has the server's address, and under the route back to the client. Otherwise
    those under the default routes. None when that cannot be found out (no `ip` program, a tunnel).
    """
    netdevs = set()
    connection = ssh_server_and_client()
    if connection:
        server, client = connection
        links = json_of(["ip", "-j", "address", "show"])
        if links is None:
            return None
        for link in links:
            if any(info.get("local") == server for info in link.get("addr_info", [])):
                netdevs.add(link["ifname"])
        routes = json_of(["ip", "-j", "route", "get", client]) or []
    else:
        answers = [json_of(["ip", "-j", "route", "show", "default"]), json_of(["ip", "-6", "-j", "route", "show", "default"])]
        if answers == [None, None]:
            return None
        routes = [route for answer in answers for route in answer or []]
    for route in routes:
        for hop in [route] + route.get("nexthops", []):
            if hop.get("dev"):
                netdevs.add(hop["dev"])
    found = set().union(*[pci_under(netdev) for netdev in netdevs])
    # A tunnel, or an address that no interface here has: the connection comes through some NIC all the same.
    if connection and not found and not any(
            os.path.exists(os.path.join(SYS, "class/net", netdev, "device")) for netdev in netdevs):
        return None
    return found


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
    except (OSError, ValueError) as error:
        raise Refusal("%s cannot be read (%s): run the role again, it writes the file anew" % (path, error)) from error
    if not isinstance(config, dict) or config.get("format") != CONFIG_FORMAT:
        raise Refusal("%s has format %r, this program reads format %d: run the role again" % (
            path, config.get("format") if isinstance(config, dict) else None, CONFIG_FORMAT))
    missing = sorted({"boot_wait", "numvfs_timeout", "devices"} - set(config))
    if missing:
        raise Refusal("%s lacks %s: run the role again, it writes the file anew" % (path, ", ".join(missing)))
    return config


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
    for directory in directories:
        for name in list_names(directory):
            path = os.path.join(directory, name)
            if TEMPORARY_NAME.match(name) and (os.path.islink(path) or os.path.isfile(path)):
                with contextlib.suppress(OSError):
                    remove_file(path)


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


def why_no_vfs(function):
    """Why a PF offers no VFs at all, as advice."""
    if function["id"].startswith(MELLANOX + ":"):
        return ("enable SR-IOV in the card's firmware (SRIOV_EN, NUM_OF_VFS; the role does with sriov_action all), then reboot; "
                "where it is enabled, power-cycle the host, or enable SR-IOV in the BIOS")
    return "enable SR-IOV for the card in the BIOS (also called Single Root I/O Virtualization), then boot again"


# What becomes of a device, by what is to be done. "pending" waits for the next boot, "waiting" for something else that waits for it.
STATES = {"nothing": "ok", "set": "changed", "wait": "pending", "later": "waiting", "skip": "skipped", "fail": "failed"}


def decide(device, function, connection, change_connection_pf):
    """What to do for one configured device.

    device: {"address", "numvfs", optionally "id", "optional", "waits": why more VFs than the device has now come later}.
    function: as of read_function, or None. connection: the functions that carry the connection, as a callable, asked only
    when VFs would have to go.
    Returns {"do": "nothing" | "set" | "wait" | "later" | "skip" | "fail", "message": str}.
    """
    wanted = device["numvfs"]
    if function is None:
        if device.get("optional"):
            return {"do": "skip", "message": "PF %s is not there (optional)" % device["address"]}
        return {"do": "fail", "message": "PF %s is not there: check that the card is seated and seen by the BIOS, "
                                         "or run the role again if it moved to another slot" % device["address"]}
    name = describe(function)
    if device.get("id") and device["id"] != function["id"]:
        return {"do": "fail", "message": "%s is now a device %s, it was %s when the role chose it: run the role again" % (
            name, function["id"], device["id"])}
    if function["physfn"]:
        return {"do": "fail", "message": "%s is a VF of %s: name the PF" % (name, function["physfn"])}
    if function["driver"] in USERSPACE_DRIVERS:
        return {"do": "skip", "message": "%s is held by %s: its VFs are set when its own driver has it back" % (
            name, function["driver"])}
    total, current = function["totalvfs"], function["numvfs"]
    if device.get("waits") and wanted > (total or 0):
        return {"do": "later", "message": "%s has %d of %d VFs: %s" % (name, current or 0, wanted, device["waits"])}
    if total is None or current is None:
        return {"do": "fail", "message": "%s has no SR-IOV capability: %s" % (name, why_no_vfs(function))}
    if current == wanted:
        return {"do": "nothing", "message": ""}
    if total == 0:
        return {"do": "fail", "message": "%s offers no VFs: %s" % (name, why_no_vfs(function))}
    if wanted > total:
        return {"do": "fail", "message": "%s has at most %d VFs, %d are asked for: lower numvfs" % (name, total, wanted)}
    if function["driver"] is None:
        return {"do": "fail", "message": "%s has no driver: load the NIC's kernel module and look at the kernel log" % name}
    if current == 0:
        return {"do": "set", "message": ""}
    holders = vf_holders(function["address"])
    if not change_connection_pf:
        carriers = connection()
        if carriers is None:
            holders.append("it is not known whether it carries the connection to this host")
        elif function["address"] in carriers:
            holders.append("it carries the connection to this host")
    if holders:
        return {"do": "wait", "message": "%s keeps its %d VFs until the next boot, %d are wanted: %s" % (
            name, current, wanted, "; ".join(holders))}
    return {"do": "set", "message": ""}


# --- doing --------------------------------------------------------------------------------------------------------

WRITE_ADVICE = {
    errno.ENOENT: "the driver %(driver)s cannot create VFs through sysfs: use a driver, or driver settings, that can",
    errno.ENOSYS: "the driver %(driver)s does not take the number of VFs through sysfs (ConnectX-3 takes it as a module option)",
    errno.ERANGE: "the device has fewer VFs than that: lower numvfs",
    errno.EBUSY: "VFs are there already and in use, or the device's mode is being changed: see the kernel log",
    errno.ENOMEM: "no address space for the VFs: enable SR-IOV and 'Above 4G decoding' in the BIOS, "
                  "or boot with pci=realloc",
    errno.ENOSPC: "the card has run out of MSI-X vectors: lower numvfs, or take irdma off the port",
    errno.EPERM: "the kernel forbids it: a guest has one of its VFs, or the kernel is locked down (Secure Boot); see the kernel log",
    errno.EIO: "the device did not answer: see the kernel log and the card's firmware",
    errno.ENODEV: "the device went away meanwhile",
}


def write_numvfs(address, count):
    """Write a PF's number of VFs; raises OSError with the kernel's errno."""
    descriptor = os.open(device_path(address, "sriov_numvfs"), os.O_WRONLY)
    try:
        os.write(descriptor, str(count).encode())
    finally:
        os.close(descriptor)


def link_up(address):
    """Set a PF's network interface administratively up, once udev has given it its name; whether that worked.

    Kernels before 6.2 refuse to rename an interface that is up, and udev writes its record only after the renaming.
    """
    deadline = time.monotonic() + 10
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


def set_numvfs(address, wanted):
    """Give one PF `wanted` VFs, by way of 0 where the kernel demands that.

    Returns None when the kernel then reports exactly that many, else one sentence, with the PF put back to the number it had.
    """
    function = read_function(address)
    if function is None or function["numvfs"] is None:
        return "%s went away, or its driver let go of it, before its VFs could be set" % address
    before, name = function["numvfs"], describe(function)

    def put(count):
        current = read_int(device_path(address, "sriov_numvfs"))
        if current == count:
            return
        if current and count:
            write_numvfs(address, 0)
        write_numvfs(address, count)

    def put_back():
        try:
            put(before)
            reason = "it has %s now" % len(vf_addresses(address))
        except OSError as error:
            reason = error.strerror
        return "" if len(vf_addresses(address)) == before else "; putting back its %d VFs failed too (%s)" % (before, reason)

    try:
        put(wanted)
        enabled = read_int(device_path(address, "sriov_numvfs"))
        if enabled != wanted and function["driver"] in DRIVERS_THAT_NEED_LINK_UP and link_up(address):
            put(wanted)
            enabled = read_int(device_path(address, "sriov_numvfs"))
    except OSError as error:
        # Only open() names a file: then it is the attribute that is gone, not the driver's support for it.
        cause = errno.ENODEV if error.errno == errno.ENOENT and error.filename else error.errno
        advice = WRITE_ADVICE.get(cause, "see the kernel log") % {"driver": function["driver"]}
        return "%s: setting %d VFs failed (%s): %s%s" % (name, wanted, error.strerror, advice, put_back())
    if enabled != wanted:
        return "%s: %s VFs were asked for and driver %s enabled %s: lower numvfs, or see the kernel log for what it lacked%s" % (
            name, wanted, function["driver"], enabled, put_back())
    deadline = time.monotonic() + 10
    while len(vf_addresses(address)) != wanted:
        if time.monotonic() >= deadline:
            return "%s: the kernel counts %d VFs and shows %d of them after 10 s: see the kernel log%s" % (
                name, wanted, len(vf_addresses(address)), put_back())
        time.sleep(0.05)
    return None


def set_all(wanted, timeout):
    """Set several PFs at once, each in a process of its own, because a write can block in the kernel for good (i40e has).

    wanted: {address: numvfs}. timeout: seconds for one PF, one more for each of its VFs.
    Returns {address: None or one sentence}.
    """
    outcomes, running = {}, {}
    for address, count in wanted.items():
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                answer = set_numvfs(address, count)
            except BaseException as error:  # the parent must hear of it, whatever it is
                answer = "%s: %s" % (address, error)
            with contextlib.suppress(OSError):
                os.write(writer, json.dumps(answer).encode())
            os._exit(0)
        os.close(writer)
        running[reader] = (address, pid, time.monotonic() + timeout + count)
    while running:
        left = min(deadline for _address, _pid, deadline in running.values()) - time.monotonic()
        ready = select.select(list(running), [], [], max(0, left))[0]
        for reader in ready:
            address, pid, _deadline = running.pop(reader)
            answer = os.read(reader, 65536)
            os.close(reader)
            os.waitpid(pid, 0)
            outcomes[address] = json.loads(answer) if answer else "%s: the process that set its VFs was killed" % address
        for reader, (address, pid, deadline) in list(running.items()):
            if time.monotonic() >= deadline:
                del running[reader]
                os.close(reader)
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                outcomes[address] = ("%s: the kernel did not finish setting %d VFs in time: see the kernel log, "
                                     "raise sriov_numvfs_timeout for a slow card" % (address, wanted[address]))
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
    Returns a list with, for each device in order: address, name, wanted, before, now, state (see STATES), message. One that
    fails is as it was before, the others are set all the same: put_back() undoes them.
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
            "name": (function["netdevs"] or [""])[0] if function else "",
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
        message = outcomes.get(result["address"])
        if message:
            result["state"], result["message"] = "failed", message
            result["now"] = len(vf_addresses(result["address"]))
        elif result["state"] == "changed":
            result["now"] = result["wanted"]
    return results


def put_back(results, timeout):
    """Undo what apply() changed, after another device failed: each PF gets the number of VFs it had."""
    undo = {result["address"]: result["before"] for result in results if result["state"] == "changed"}
    for address, message in set_all(undo, timeout).items():
        for result in results:
            if result["address"] == address:
                result["now"] = len(vf_addresses(address))
                result["state"] = "failed" if message else "put back"
                result["message"] = message or "put back to %d VFs because another device failed" % undo[address]
    return results


# --- the command line ---------------------------------------------------------------------------------------------

# This part runs as a program, never in a module: it prints and exits. pylint: disable=ansible-bad-function


def report(results):
    """Print one line for each device to the journal; the exit code is 1 when any of them failed."""
    for result in results:
        name = "%s (%s)" % (result["name"], result["address"]) if result["name"] else result["address"]
        if result["message"]:
            print("%s: %s" % (result["state"], result["message"]))
        else:
            print("%s: %s has %s VFs" % (result["state"], name, result["now"]))
    return 1 if any(result["state"] == "failed" for result in results) else 0


def main(arguments):
    """Run one command; returns the exit code: 0 good, 1 a PF failed, 2 wrong use or no usable configuration."""
    parser = argparse.ArgumentParser(prog="sriov-vfs", description="Give SR-IOV PFs their configured number of VFs.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("boot", help="set every PF that is to be set at boot (run by sriov-vfs.service)")
    one = commands.add_parser("device", help="set one PF (run by sriov-vfs@ADDRESS.service, which udev starts)")
    one.add_argument("address")
    ready = commands.add_parser("ready", help="succeed when these PFs have their VFs")
    ready.add_argument("address", nargs="+")
    commands.add_parser("status", help="show each configured PF and its VFs; exit 1 when one differs")
    options = parser.parse_args(arguments)
    try:
        config = load_config()
        if config is None:
            raise Refusal("%s is not there: run the role" % CONFIG_PATH)
        devices = config["devices"]
        if options.command == "boot":
            devices = [device for device in devices if device["boot"] == "systemd"]
        elif options.command in ("device", "ready"):
            wanted = [options.address] if options.command == "device" else options.address
            devices = [device for device in devices if device["address"] in wanted]
            if options.command == "ready" and len(devices) < len(set(wanted)):
                raise Refusal("%s does not have all of %s: run the role again" % (CONFIG_PATH, ", ".join(wanted)))
        if options.command in ("boot", "device"):
            wait_for_drivers([device["address"] for device in devices], config["boot_wait"])
            with locked():
                return report(apply(devices, config["numvfs_timeout"]))
        results = apply(devices, config["numvfs_timeout"], check=True)
        for result in results:
            result["now"] = result["before"]
            if result["state"] == "changed" or result["state"] == "pending" and options.command == "status":
                result["state"] = "failed"
                result["message"] = result["message"] or "%s has %s VFs, %s are wanted" % (
                    result["address"], result["before"], result["wanted"])
        return report(results)
    except Refusal as refusal:
        print("sriov-vfs: %s" % refusal, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
