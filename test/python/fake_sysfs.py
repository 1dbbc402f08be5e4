# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fake kernel: a tree of files that looks like /sys and /proc, and a write to sriov_numvfs that acts like the
kernel's.

All state is in files of the tree, because the host program writes from separate processes.
The order of the checks is that of sriov_numvfs_store() in drivers/pci/iov.c.
"""

import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path

import hang
import pytest
from parts import program as host

LEGACY_UNIT = """[Unit]
Description=Adds virtual functions for {name}
Requires=sys-subsystem-net-devices-{name}.device
After=sys-subsystem-net-devices-{name}.device
Requires=network-pre.target
Before=network-pre.target
Requires=systemd-networkd.service
Before=systemd-networkd.service

[Service]
Type=oneshot
ExecStart=/usr/bin/sh -c 'echo {numvfs} > /sys/class/net/{name}/device/sriov_numvfs'
RemainAfterExit=yes

[Install]
WantedBy=network-pre.target
WantedBy=systemd-networkd.service
RequiredBy=docker.service"""

LEGACY_LINE = (
    'SUBSYSTEM=="net", ACTION=="add", KERNEL=="{name}", '
    "RUN+=\"/usr/bin/sh -c 'echo {numvfs} > /sys/class/net/{name}/device/sriov_numvfs'\"\n"
)


def legacy_block(**numvfs_of_name):
    """What blockinfile with marker_begin "BEGIN SRIOV" wrote for the predecessors."""
    lines = "".join(LEGACY_LINE.format(name=name, numvfs=numvfs) for name, numvfs in numvfs_of_name.items())
    return "# BEGIN SRIOV ANSIBLE MANAGED BLOCK\n" + lines + "# END ANSIBLE MANAGED BLOCK\n"


def _fail(number):
    raise OSError(number, os.strerror(number))


class FakeHost:
    """A host under `root`: root/sys, root/proc, and the places where the role writes."""

    def __init__(self, root):
        self.root = Path(root)
        self.sys, self.proc, self.etc = self.root / "sys", self.root / "proc", self.root / "etc"
        self.fake = self.root / "fake"
        for directory in (
            self.sys / "bus/pci/devices",
            self.sys / "class/net",
            self.proc,
            self.etc,
            self.fake,
            self.root / "run",
            self.root / "dev",
        ):
            directory.mkdir(parents=True)
        self.answers = {}
        self.kmsg = self.root / "dev" / "kmsg"
        self.kmsg.write_bytes(b"6,1,100,-;igb 0000:01:00.0: said before the write\n")
        self.boot("boot-1")

    def boot(self, boot_id):
        """Name this boot."""
        path = self.proc / "sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(boot_id + "\n")

    def reboot(self, boot_id):
        """Start the next boot: no PF has VFs, nothing has begun."""
        for address in sorted(os.listdir(self.fake)):
            if (self.pci(address) / "sriov_numvfs").exists():
                self._remove_vfs(address)
        self.boot(boot_id)

    # --- hardware

    def pci(self, address):
        return self.sys / "devices/pci0000:00" / address

    def add_function(self, address, ids="8086:10c9", driver="igb", netdevs=(), totalvfs=None, **behaviour):
        """Add a PCI function; with `totalvfs` a PF.

        behaviour: errors {count: errno name}, enables {count: number the driver really enables}, hangs [counts], kills
        [counts] (the writer's process group dies there), needs_link_up, sysfs (False: no sriov_configure), passing
        {count: [errno name, how often]} (as errors, and then it works), unplugs [counts] (the card is pulled out
        there), late [counts] (the VFs are there, and the write does not return), says {count: [kmsg records]},
        vf_driver (None: no driver fits), vf_netdevs (False: none), refuses {words of ip: what ip says}, silent [keys
        that ip does not show], keeps [keys that do not change], drivers [those that cannot take a VF], unreadable (what
        ip says instead of showing the VFs), unnamed (how often ip no longer knows the interface).
        """
        path = self.pci(address)
        path.mkdir(parents=True)
        (self.sys / "bus/pci/devices" / address).symlink_to(path)
        vendor, device = ids.split(":")
        (path / "vendor").write_text(f"0x{vendor}\n")
        (path / "device").write_text(f"0x{device}\n")
        (path / "class").write_text("0x020000\n")
        if totalvfs is not None:
            (path / "sriov_totalvfs").write_text("%d\n" % totalvfs)
            (path / "sriov_numvfs").write_text("0\n")
            # As of an 82576; see vf().
            for name, text in (
                ("sriov_offset", "128"),
                ("sriov_stride", "2"),
                ("sriov_vf_device", "10ca"),
                ("sriov_drivers_autoprobe", "1"),
            ):
                (path / name).write_text(text + "\n")
            (self.fake / address).mkdir(exist_ok=True)
            (self.fake / address / "behaviour").write_text(json.dumps(behaviour))
        self.bind(address, driver)
        for netdev in netdevs:
            self.add_netdev(netdev, address)
        return address

    def remove_function(self, address):
        """Unplug it, its VFs and interfaces with it."""
        if (self.pci(address) / "sriov_numvfs").exists():
            self._remove_vfs(address)
        for netdev in os.listdir(self.pci(address) / "net") if (self.pci(address) / "net").exists() else []:
            (self.sys / "class/net" / netdev).unlink()
        (self.sys / "bus/pci/devices" / address).unlink()
        shutil.rmtree(self.pci(address))

    def behave(self, address, **behaviour):
        path = self.fake / address / "behaviour"
        path.write_text(json.dumps(dict(json.loads(path.read_text()), **behaviour)))

    def bind(self, address, driver):
        link = self.pci(address) / "driver"
        if link.is_symlink():
            link.unlink()
        if driver:
            (self.sys / "bus/pci/drivers" / driver).mkdir(parents=True, exist_ok=True)
            link.symlink_to(self.sys / "bus/pci/drivers" / driver)

    def add_netdev(self, netdev, address=None, mac="02:00:00:00:00:01", up=False, lowers=(), port=None):
        """Add an interface, virtual without `address`; with what it is made of as `lowers`."""
        path = (self.pci(address) / "net" if address else self.sys / "devices/virtual/net") / netdev
        path.mkdir(parents=True)
        (self.sys / "class/net" / netdev).symlink_to(path)
        (path / "address").write_text(mac + "\n")
        (path / "flags").write_text("0x1003\n" if up else "0x1002\n")
        if address:
            (path / "device").symlink_to(self.pci(address))
        if port:
            (path / "phys_port_name").write_text(port + "\n")
        for lower in lowers:
            (path / ("lower_" + lower)).symlink_to(self.netdev(lower))
            (self.netdev(lower) / ("upper_" + netdev)).symlink_to(path)

    def netdev(self, netdev):
        return Path(os.path.realpath(self.sys / "class/net" / netdev))

    def enslave(self, netdev, master):
        (self.netdev(netdev) / "master").symlink_to(self.netdev(master))

    def set_up(self, netdev):
        (self.netdev(netdev) / "flags").write_text("0x1003\n")

    def link_up(self, address, _deadline=None):
        """Stands for host.link_up."""
        for name in host.read_function(address)["netdevs"]:
            self.set_up(name)
        return True

    def move_to_namespace(self, netdev):
        """sysfs shows the interfaces of the reader's own namespace only."""
        path = self.netdev(netdev)
        (self.sys / "class/net" / netdev).unlink()
        shutil.rmtree(path)

    # --- VFs

    def vf(self, address, index):
        """The address of a VF: as of an 82576, 128 functions on, every second one."""
        domain, bus, slot = address.split(":")
        device, function = slot.split(".")
        routing = (int(bus, 16) << 8 | int(device, 16) << 3 | int(function)) + 128 + 2 * index
        return "%s:%02x:%02x.%d" % (domain, routing >> 8, routing >> 3 & 31, routing & 7)

    def vf_netdev(self, address, index):
        return f"v{self.vf(address, index)[5:].replace(':', '').replace('.', '')}"

    def numvfs(self, address):
        return int((self.pci(address) / "sriov_numvfs").read_text())

    def numvfs_shown(self, address):
        """How many VFs the kernel shows, also while it creates them."""
        return len(list(self.pci(address).glob("virtfn*")))

    def writes(self, address):
        """The counts that the kernel has seen written, in order."""
        path = self.fake / address / "writes"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def create(self, address, count):
        """Give a PF its VFs as another program would."""
        self._remove_vfs(address)
        self._add_vfs(address, count)

    def _add_vfs(self, address, count):
        for index in range(count):
            vf = self.vf(address, index)
            vendor = (self.pci(address) / "vendor").read_text()[2:6]
            self.add_function(vf, vendor + ":10ca", None)
            (self.pci(vf) / "driver_override").write_text("(null)\n")
            (self.pci(vf) / "physfn").symlink_to(self.pci(address))
            group = self.sys / "kernel/iommu_groups" / str(40 + index)
            group.mkdir(parents=True, exist_ok=True)
            (self.pci(vf) / "iommu_group").symlink_to(group)
            (self.pci(address) / ("virtfn%d" % index)).symlink_to(self.pci(vf))
            self.keep_links(address, index, {})
            self._probe(vf)
        (self.pci(address) / "sriov_numvfs").write_text("%d\n" % count)

    def _remove_vfs(self, address):
        for index in range(self.numvfs(address)):
            (self.pci(address) / ("virtfn%d" % index)).unlink()
            self.remove_function(self.vf(address, index))
        (self.pci(address) / "sriov_numvfs").write_text("0\n")

    # --- settings and drivers of VFs

    def links(self, address):
        """What the PF has for its VFs: {VF: {key: value}}, without what is as an 82576 has it at first."""
        path = self.fake / address / "links"
        return json.loads(path.read_text()) if path.exists() else {}

    def run_modprobe(self, module):
        """Stands for host.run_modprobe: knows the modules of vfio-pci and nothing else."""
        self.log(f"modprobe {module}")
        if module != "vfio-pci":
            return f"modprobe: FATAL: Module {module} not found in directory /lib/modules/6.1"
        (self.sys / "bus/pci/drivers" / module).mkdir(parents=True, exist_ok=True)
        return ""

    def keep_links(self, address, index, values):
        """Make this what the PF has for a VF."""
        (self.fake / address / "links").write_text(json.dumps(dict(self.links(address), **{str(index): values})))

    def log(self, words):
        """Note a message to the kernel, by `ip` or to an attribute, for sent()."""
        with open(self.fake / "sent", "a", encoding="utf-8") as stream:
            stream.write(words + "\n")

    def sent(self):
        """The messages to the kernel since the last call, without numbers of VFs."""
        path = self.fake / "sent"
        lines = path.read_text().splitlines() if path.exists() else []
        path.write_text("")
        return lines

    def _probe(self, vf):
        """Let a driver take a VF, as bus_rescan_devices_helper() and pci_device_can_probe() do."""
        path = self.pci(vf)
        pf = os.path.basename(os.readlink(path / "physfn"))
        behaviour = json.loads((self.fake / pf / "behaviour").read_text())
        override = (path / "driver_override").read_text().strip().replace("(null)", "")
        if (path / "driver").is_symlink():
            return
        if not override and (self.pci(pf) / "sriov_drivers_autoprobe").read_text() == "0\n":
            return
        driver = override or behaviour.get("vf_driver", "igbvf")
        known = self.sys / "bus/pci/drivers" / (driver or "")
        if not driver or override and not known.exists() or driver in behaviour.get("drivers", []):
            return
        self.bind(vf, driver)
        [index] = [number for number in range(self.numvfs_shown(pf)) if self.vf(pf, number) == vf]
        if "vfio" not in driver and behaviour.get("vf_netdevs", True):
            mac = self.links(pf).get(str(index), {}).get("address")
            self.add_netdev(self.vf_netdev(pf, index), vf, mac=mac or "5a:00:00:00:00:%02x" % index)
            netdev = self.netdev(self.vf_netdev(pf, index))
            (netdev / "addr_assign_type").write_text("0\n" if mac else "1\n")

    def _unbind(self, vf):
        (self.pci(vf) / "driver").unlink()
        for name in os.listdir(self.pci(vf) / "net") if (self.pci(vf) / "net").exists() else []:
            (self.sys / "class/net" / name).unlink()
        shutil.rmtree(self.pci(vf) / "net", ignore_errors=True)

    def write_attribute(self, path, text):
        """Stands for host.write_attribute."""
        name = os.path.basename(path)
        shown = os.path.basename(os.path.dirname(path)) + "/" + name
        self.log(f"{shown} {text.strip() or '-'}")
        if name == "drivers_probe":
            self._probe(text)
        elif name == "unbind":
            self._unbind(text)
        elif name == "driver_override":
            (Path(path)).write_text((text.strip() or "(null)") + "\n")
        else:
            assert name == "sriov_drivers_autoprobe"
            Path(path).write_text(text + "\n")

    def run_ip(self, arguments):
        """Stands for host.run_ip: an igb with an 82576, as Linux 6.1 and iproute2 6.1 have it."""
        name = arguments[arguments.index("dev") + 1]
        if not (self.sys / "class/net" / name).exists():
            return 1, "", f'Cannot find device "{name}"'
        netdev = self.netdev(name)
        address = os.path.basename(os.path.realpath(netdev / "device"))
        behaviour = json.loads((self.fake / address / "behaviour").read_text())
        if arguments[:3] == ["-j", "address", "show"]:
            addresses = [{"local": "192.0.2.7"}] if name in self.answers.get("addressed", []) else []
            return 0, json.dumps([{"ifname": name, "addr_info": addresses}]), ""
        if arguments[:3] == ["-j", "link", "show"]:
            if behaviour.get("unreadable"):
                return 2, "", behaviour["unreadable"]
            return 0, json.dumps([{"ifname": name, "vfinfo_list": self._shown(address, behaviour)}]), ""
        words = arguments[4:]
        self.log(" ".join([name] + words))
        for refused, reason in behaviour.get("refuses", {}).items():
            if refused in " ".join(words):
                return 2, "", reason
        if words[0] == "up":
            self.set_up(name)
        elif words[0] == "vf":
            return self._set_link(address, int(words[1]), words[2:], behaviour.get("keeps", []))
        return 0, "", ""

    def _shown(self, address, behaviour):
        """The vfinfo_list of a PF."""
        shown = []
        for index, vf in enumerate(host.vf_addresses(address)):
            kept = self.links(address)[str(index)]
            macs = [(path / "address").read_text().strip() for path in (self.pci(vf) / "net").glob("*")]
            one = {
                "vf": index,
                "link_type": "ether",
                # igb shows the address that the VF has chosen.
                "address": kept.get("address") or next(iter(macs), "00:00:00:00:00:00"),
                "broadcast": "ff:ff:ff:ff:ff:ff",
                "vlan_list": [kept.get("vlan", {})],
                "rate": {"max_tx": 0, "min_tx": 0},
                "spoofchk": kept.get("spoofchk", True),
                "link_state": "auto",
                "trust": kept.get("trust", False),
            }
            shown.append({key: value for key, value in one.items() if key not in behaviour.get("silent", [])})
        return shown

    def _set_link(self, address, index, words, keeps):
        """Set one thing of a VF, as do_setvfinfo() of the kernel and igb do."""
        given = dict(zip(words[::2], words[1::2]))
        if {"state", "node_guid", "port_guid"} & set(given):
            return 2, "", "Operation not supported"
        if given.get("proto", "802.1Q") != "802.1Q":
            return 2, "", "Protocol not supported"
        kept = self.links(address)[str(index)]
        if "mac" in given:
            kept["address"] = given["mac"].replace("00:00:00:00:00:00", "")
        if "vlan" in given:
            kept["vlan"] = {key: int(given[key]) for key in ("vlan", "qos") if int(given[key])}
        kept.update({key: given[key] == "on" for key in ("spoofchk", "trust") if key in given and key not in keeps})
        self.keep_links(address, index, kept)
        return 0, "", ""

    def write_numvfs(self, address, count):
        """Stands for host.write_numvfs."""
        os.close(os.open(self.pci(address) / "sriov_numvfs", os.O_WRONLY))
        with open(self.fake / address / "writes", "a", encoding="ascii") as stream:
            stream.write("%d\n" % count)
        behaviour = json.loads((self.fake / address / "behaviour").read_text())

        self._refuse(address, count, behaviour)
        if count == self.numvfs(address):
            return
        self._misbehave(address, count, behaviour)
        if count == 0:
            self._remove_vfs(address)
            return
        if behaviour.get("needs_link_up") and not all(
            int((netdev / "flags").read_text(), 16) & 1 for netdev in (self.pci(address) / "net").iterdir()
        ):
            return
        self._add_vfs(address, behaviour.get("enables", {}).get(str(count), count))

    def _refuse(self, address, count, behaviour):
        """What sriov_numvfs_store() of the kernel answers before it calls the driver."""
        if count > int((self.pci(address) / "sriov_totalvfs").read_text()):
            _fail(errno.ERANGE)
        if count == self.numvfs(address):
            return
        if not (self.pci(address) / "driver").exists() or not behaviour.get("sysfs", True):
            _fail(errno.ENOENT)
        if count and self.numvfs(address):
            _fail(errno.EBUSY)

    def _misbehave(self, address, count, behaviour):
        """What the driver does with this number, as the test has it."""
        if count in behaviour.get("kills", []):
            os.killpg(0, signal.SIGKILL)
        for record in behaviour.get("says", {}).get(str(count), []):
            self.say(record)
        if count in behaviour.get("hangs", []):
            time.sleep(hang.SECONDS)
        if count in behaviour.get("unplugs", []):
            self.remove_function(address)
            _fail(errno.EIO)
        if count in behaviour.get("late", []):
            self._add_vfs(address, count)
            time.sleep(hang.SECONDS)
        name, times = behaviour.get("passing", {}).get(str(count), ("", 0))
        if self.writes(address).count(count) <= times:
            _fail(getattr(errno, name))
        if str(count) in behaviour.get("errors", {}):
            _fail(getattr(errno, behaviour["errors"][str(count)]))

    def say(self, record):
        """Append a record to the kernel log, as /dev/kmsg has it: "6,1,100,-;words"."""
        with open(self.kmsg, "ab") as stream:
            stream.write(record.encode("latin-1") + b"\n")

    def add_below(self, address, name, subsystem, node=None, **attributes):
        """Add a device that the kernel has made of a function, with the path of its node below /dev."""
        path = self.pci(address) / name
        path.mkdir(parents=True)
        bus = self.sys / "bus" / subsystem
        bus.mkdir(parents=True, exist_ok=True)
        (path / "subsystem").symlink_to(bus)
        (path / "uevent").write_text(f"MAJOR=1\nDEVNAME={node}\n" if node else "")
        for attribute, text in attributes.items():
            (path / attribute).write_text(text + "\n")
        return path

    def give_module(self, driver, module, holds_vfio):
        """Name the module of a driver, and whether it is built on vfio_pci_core."""
        (self.sys / "module" / module).mkdir(parents=True, exist_ok=True)
        (self.sys / "bus/pci/drivers" / driver / "module").symlink_to(self.sys / "module" / module)
        if holds_vfio:
            (self.sys / "module/vfio_pci_core/holders" / module).mkdir(parents=True)

    def configuration_space(self, address, sriov_total=None, size=4096):
        """Write a PCI configuration space, with an SR-IOV capability of so many VFs, as the third of its extended
        capabilities.
        """
        config = bytearray(size)
        config[0:2] = int((self.pci(address) / "vendor").read_text(), 16).to_bytes(2, "little")
        chain = [(0x100, 0x0001, 0x140), (0x140, 0x0003, 0x160 if sriov_total is not None else 0), (0x160, 0x0010, 0)]
        for offset, identity, following in chain[: 3 if sriov_total is not None else 2] if size > 256 else ():
            config[offset : offset + 4] = (identity | 1 << 16 | following << 20).to_bytes(4, "little")
        if sriov_total is not None:
            config[0x16E:0x170] = sriov_total.to_bytes(2, "little")
        (self.pci(address) / "config").write_bytes(bytes(config))

    # --- processes and programs

    def add_process(self, pid, parent, environment=(), comm="sh", open_files=()):
        path = self.proc / str(pid)
        (path / "fd").mkdir(parents=True)
        (path / "environ").write_bytes(b"".join(entry.encode() + b"\0" for entry in environment))
        (path / "stat").write_text("%d (a) b) S %d 1 1 0\n" % (pid, parent))
        (path / "comm").write_text(comm + "\n")
        for number, target in enumerate(open_files):
            (path / "fd" / str(number)).symlink_to(target)

    def connect_over_ssh(self, server="192.0.2.10", client="192.0.2.1"):
        """As under `ssh host sudo python3`: sudo's child does not have SSH_CONNECTION, the shell before sudo has it."""
        self.add_process(os.getpid(), 902, ["PATH=/bin", "SUDO_USER=stack"])
        self.add_process(902, 901, ["PATH=/bin"], comm="sudo")
        self.add_process(901, 900, ["PATH=/bin", f"SSH_CONNECTION={client} 50000 {server} 22"])

    def ip(self, command):
        """Stands for host.json_of: what `ip` answers, by its words; None for what it was not prepared for."""
        return self.answers.get(" ".join(command))

    def answer(self, command, value):
        self.answers[command] = value

    def address_is_on(self, netdev, server="192.0.2.10", client="192.0.2.1", back=None):
        """The server's address is on one interface, the route back to the client may leave by another."""
        self.answer(
            "ip -j address show",
            [
                {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
                {"ifname": netdev, "addr_info": [{"local": server}]},
            ],
        )
        self.answer("ip -j route get " + client, [{"dst": client, "dev": back or netdev}])

    def default_route_is_on(self, *netdevs):
        if len(netdevs) == 1:
            self.answer("ip -j route show default", [{"dst": "default", "dev": netdevs[0]}])
        else:
            self.answer(
                "ip -j route show default", [{"dst": "default", "nexthops": [{"dev": name} for name in netdevs]}]
            )
        self.answer("ip -6 -j route show default", [])

    # --- what is on the disk

    def files(self, *below):
        """Every file and link under the given directories of the tree (etc, usr, var without one): {path: (text,
        mode)}.
        """
        found = {}
        for name in below or ("etc", "usr", "var"):
            for path in sorted((self.root / name).rglob("*")):
                if path.is_symlink():
                    found[str(path.relative_to(self.root))] = ("-> " + os.readlink(path), 0)
                elif path.is_file():
                    found[str(path.relative_to(self.root))] = (path.read_bytes(), path.stat().st_mode & 0o7777)
        return found


@pytest.fixture(name="fake")
def fake_host(tmp_path, monkeypatch):
    """A fake kernel, with the host program pointed at it."""
    fake = FakeHost(tmp_path)
    # A slow disk would make the tests slow; test_host.py tests what is synced, and when.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    host.HOST.move(str(tmp_path))
    monkeypatch.setattr(host, "write_numvfs", fake.write_numvfs)
    monkeypatch.setattr(host, "link_up", fake.link_up)
    monkeypatch.setattr(host, "json_of", fake.ip)
    monkeypatch.setattr(host, "write_attribute", fake.write_attribute)
    monkeypatch.setattr(host, "run_ip", fake.run_ip)
    # udev has named every interface.
    monkeypatch.setattr(host, "renamed", lambda address, _deadline: host.netdevs_of(address))
    monkeypatch.setattr(host, "run_modprobe", fake.run_modprobe)
    # Seconds that a test gives only because the call needs them are not a limit for a process on a slow machine; less
    # than one is intended.
    set_all = host.set_all
    monkeypatch.setattr(
        host,
        "set_all",
        lambda wanted, timeout, *more: set_all(wanted, timeout if timeout < 1 else hang.SECONDS, *more),
    )
    yield fake
    host.HOST.move("/")
