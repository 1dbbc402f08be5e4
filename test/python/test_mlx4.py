# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_mlx4 against a fake mlx4_core, which is loaded at a reboot with the options that the fake initramfs has."""

import json
import os
import re
import shutil
import subprocess

import hang
import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_mlx4
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from half_done import HOW, Changes, Killed
from parts import mlx4
from parts import program as host

ONE, TWO, THREE = "0000:04:00.0", "0000:05:00.0", "0000:81:00.0"
OPTIONS, STALE = "etc/modprobe.d/stackhpc-sriov-mlx4.conf", "var/lib/sriov/mlx4-initramfs-stale"
DRACUT = "etc/dracut.conf.d/stackhpc-sriov-mlx4.conf"
HEAD = "# Written by Ansible (stackhpc.sriov), changes here are lost\n"
INBOX = """debug_level:Enable debug tracing if > 0 (int)
num_vfs:enable #num_vfs functions if num_vfs > 0
num_vfs=port1,port2,port1+2 (array of byte)
probe_vf:number of vfs to probe by pf driver (num_vfs > 0)
probe_vf=port1,port2,port1+2 (array of byte)
port_type_array:Array of port types: HW_DEFAULT (0) is default 1 for IB, 2 for Ethernet (array of int)
"""
OFED = """roce_mode:Set RoCE modes supported by the port (string)
num_vfs:Either single value (e.g. '5') or triplet (e.g. '10,11,12') to define uniform num_vfs value for all devices functions.
\t\tIf a single value is given, this value will be used in order to define <num_vfs> dual ports virtual functions.
\t\t(e.g. 15 or 1;2;3). (string)
probe_vf:Either single value (string)
port_type_array:Valid only if num_vfs is non-zero (SRIOV mode). Ignored otherwise. (string)
"""
# Before Linux 3.15: one number for all, and no VFs of a single port.
OLD = "num_vfs:enable #num_vfs functions if num_vfs > 0 (int)\nprobe_vf:number of vfs to probe by pf driver (array of byte)\n"


class Mlx4:
    """The driver mlx4_core, after __mlx4_init_one(), mlx4_load_one() and mlx4_fill_dbdf2val_tbl() of its main.c, and
    what loads it.
    """

    def __init__(self, fake, monkeypatch):
        self.fake, self.root, self.types, self.netdevs = fake, fake.root, {}, {}
        self.old_firmware, self.checks_ib, self.commands, self.boots = False, True, [], 1
        self.bin = fake.root / "bin"
        for directory in (self.bin, self.root / "usr/sbin", self.root / "boot", self.root / "etc/modprobe.d"):
            directory.mkdir(parents=True)
        for name in ("sh", "cat", "cp", "mkdir", "rm", "sleep", "timeout"):
            (self.bin / name).symlink_to(shutil.which(name))
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setattr(host, "PROGRAM_DIRECTORIES", (str(self.root / "usr/sbin"),))
        # The disk of this machine may be busy for minutes.
        monkeypatch.setattr(os, "sync", lambda: None)
        self.command_line("quiet")
        self.modinfo(INBOX)
        self.initramfs_tool("update-initramfs")

    def program(self, name, script):
        path = self.root / "usr/sbin" / name
        path.write_text(f"#!{self.bin / 'sh'}\n{script}\n")
        path.chmod(0o755)

    def remove_program(self, name):
        (self.root / "usr/sbin" / name).unlink()

    def modinfo(self, text):
        self.driver = "ofed" if text == OFED else "inbox"
        (self.fake.fake / "parm").write_text(text)
        self.program("modinfo", f'[ "$*" = "-F parm mlx4_core" ] && cat {self.fake.fake / "parm"}')

    def initramfs_tool(self, name, then="exit 0"):
        """One that takes the modprobe.d of the host into the initramfs, and then does something."""
        self.program(
            name, f"rm -rf {self.root}/boot/initrd; cp -r {self.root}/etc/modprobe.d {self.root}/boot/initrd; {then}"
        )

    def command_line(self, text):
        (self.fake.proc / "cmdline").write_text(text + "\n")

    def add(self, address, netdevs=("ens1", "ens1d1"), types=("eth", "eth"), totalvfs=126, ids="15b3:1003"):
        self.types[address], self.netdevs[address] = types, netdevs
        self.fake.add_function(
            address, ids, "mlx4_core", netdevs, totalvfs, sysfs=False, vf_driver="mlx4_core", vf_netdevs=False
        )
        self.show_ports(address)
        return address

    def show_ports(self, address):
        for number, kind in enumerate(self.types[address], 1):
            (self.fake.pci(address) / ("mlx4_port%d" % number)).write_text(kind + "\n")

    def parameter(self, name, text):
        path = self.fake.sys / "module/mlx4_core/parameters" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    # --- the next boot

    def reboot(self):
        """Boot with what the initramfs has; returns the cards that the driver could not start."""
        self.boots += 1
        self.fake.reboot("boot-%d" % self.boots)
        given = {}
        for path in sorted((self.root / "boot/initrd").glob("*.conf")):
            for line in path.read_text().splitlines():
                if line.startswith("options mlx4_core "):
                    given.update(word.split("=") for word in line.split()[2:])
        dead = []
        for address in self.types:
            try:
                nvfs = self.probe(address, given)
            except ValueError:
                dead.append(address)
                continue
            if 0 < sum(nvfs) <= int((self.fake.pci(address) / "sriov_totalvfs").read_text()):
                self.fake.create(address, sum(nvfs))
            self.show_ports(address)
        for name in ("num_vfs", "probe_vf"):
            self.parameter(name, given.get(name, "" if self.driver == "ofed" else "0,0,0"))
        return dead

    def values(self, given, name, address):
        """The values of a parameter for one card, as many as are given for it."""
        text = given.get(name)
        if self.driver == "inbox":
            return [int(word) for word in text.split(",")] if text else [0, 0, 0]
        if text is None:
            return []
        if ":" not in text:
            return [int(word) for word in text.split(",")]
        table, rest, count = {}, text, 2 if name == "port_type_array" else 3
        while rest:
            key, rest = rest[:12], rest[12:]
            if not re.match(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$", key) or rest[:1] != "-" or key in table:
                raise ValueError(text)
            rest = rest[1:]
            end = rest.find(",") if "," in rest else len(rest)
            table[key] = []
            for index in range(count):
                at = end if index == count - 1 else rest.find(";")
                last = at < 0
                at = end if last else at
                if at > end:
                    raise ValueError("the semicolon of a later entry: " + text)
                table[key].append(int(rest[:at]))
                end, rest = end - at, rest[at:]
                if rest[:1] == ";":
                    end, rest = end - 1, rest[1:]
                if last:
                    break
            if rest:
                assert rest[0] == ","
                rest = rest[1:]
        return table.get(address, [])

    def probe(self, address, given):
        types = [re.search("ib|eth", kind).group() for kind in self.types[address]]
        num, probed, ports = [self.values(given, name, address) for name in ("num_vfs", "probe_vf", "port_type_array")]
        nvfs, prb = [0, 0, 0], [0, 0, 0]
        for values, target in ((num, nvfs), (probed, prb)):
            for index, value in enumerate(values):
                target[([2], [0, 1], [0, 1, 2])[len(values) - 1][index]] = value
        if any(prb[index] > nvfs[index] for index in range(3)) or sum(nvfs) > 126 or nvfs[2] + max(nvfs[:2]) > 64:
            raise ValueError("limits")
        if sum(nvfs) and (self.old_firmware and sum(nvfs) >= 64 or len(types) < 2 and len(num) > 1):
            raise ValueError("firmware or ports")
        if sum(nvfs) and self.checks_ib and "ib" in types and (len(num) > 1 or len(probed) > 1):
            raise ValueError("InfiniBand")
        if (
            any(number not in (0, 1, 2) for number in ports[: len(types)])
            or self.driver == "ofed"
            and len(ports) not in (0, 2)
        ):
            raise ValueError("types")
        # Types are sensed only without VFs; without options the firmware's default, here InfiniBand, is taken.
        for index, kind in enumerate(self.types[address]):
            sensed, number = kind.startswith("auto"), (ports + [0, 0])[index]
            if number and (sum(nvfs) or not sensed):
                types[index] = ("ib", "eth")[number - 1]
            elif sensed:
                types[index] = "ib" if sum(nvfs) else kind
        self.types[address] = tuple(types)
        return nvfs


@pytest.fixture(name="cards")
def _cards(fake, monkeypatch):
    """A host with one ConnectX-3 card of two Ethernet ports, its driver the kernel's own, and a NIC of another kind."""
    cards = Mlx4(fake, monkeypatch)
    cards.add(ONE)
    fake.add_function("0000:01:00.0", netdevs=["ens9"], totalvfs=7)
    return cards


def device(address=ONE, numvfs=8, port=None, **more):
    return dict(
        {
            "address": address,
            "id": "15b3:1003",
            "name": "ens1",
            "numvfs": numvfs,
            "boot": "module",
            "required_by": [],
            "optional": False,
            "selector": "sriov_devices[0]",
            "trigger": "net",
            "driver": "mlx4_core",
            "port": port,
        },
        **more,
    )


def run_once(cards, devices, check_mode=False, changes=None, **more):
    def call(command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def run_command(command):
        cards.commands.append(command)
        if changes and command[0] == "timeout":
            return changes.program(
                lambda: call(command), "update-initramfs", (1, "", "gzip: stdout: No space left on device")
            )
        return call(command)

    parameters = dict({"devices": list(devices), "options_path": str(cards.root / OPTIONS)}, **more)
    return mlx4.ensure(parameters, check_mode, run_command)


def rebuilds(cards):
    return [command for command in cards.commands if command[0] == "timeout"]


def run(cards, *devices, **more):
    """A run in check mode, which must change nothing and tell all, then the real one, then a second that changes
    nothing.
    """
    before = cards.fake.files("etc", "var", "boot")
    checked = run_once(cards, devices, check_mode=True, **more)
    assert cards.fake.files("etc", "var", "boot") == before
    cards.commands.clear()
    done = run_once(cards, devices, **more)
    assert checked == done
    assert done["changed"] == bool(done["diff"]) == bool(rebuilds(cards))
    after = cards.fake.files("etc", "var", "boot")
    cards.commands.clear()
    again = run_once(cards, devices, **more)
    assert (again["changed"], again["diff"], again["files"], rebuilds(cards)) == (False, [], [], [])
    assert [again[key] for key in ("pfs", "reboot", "stuck")] == [done[key] for key in ("pfs", "reboot", "stuck")]
    assert cards.fake.files("etc", "var", "boot") == after
    return done


def options(cards):
    path = cards.root / OPTIONS
    if not path.exists():
        return None
    text = path.read_text()
    assert text.startswith(HEAD + "options mlx4_core ") and text.count("\n") == 2
    return text[len(HEAD + "options mlx4_core ") : -1]


def booted(cards, *devices):
    """Run, boot, and run again: the cards live, their ports are what they were, and nothing waits."""
    result = run(cards, *devices)
    types = {address: [re.search("ib|eth", kind).group() for kind in kinds] for address, kinds in cards.types.items()}
    assert cards.reboot() == []
    assert {
        address: [re.search("ib|eth", kind).group() for kind in kinds] for address, kinds in cards.types.items()
    } == types
    after = run(cards, *devices)
    assert (after["changed"], after["reboot"], after["stuck"]) == (False, [], [])
    assert {pf["state"] for pf in after["pfs"]} <= {"ok"}
    return result


def refused(cards, *devices, **more):
    before = cards.fake.files("etc", "var", "boot")
    sentences = []
    for check_mode in (True, False):
        with pytest.raises(host.Refusal) as caught:
            run_once(cards, devices, check_mode=check_mode, **more)
        sentences.append(str(caught.value))
    assert cards.fake.files("etc", "var", "boot") == before
    assert sentences[0] == sentences[1] and "\n" not in sentences[0]
    return sentences[0]


def put(cards, path, text):
    (cards.root / path).parent.mkdir(parents=True, exist_ok=True)
    (cards.root / path).write_text(text)


# --- what is written


def test_vfs_of_the_card_for_the_next_boot(cards):
    result = run(cards, device(numvfs=8))
    assert cards.fake.files("etc") == {
        OPTIONS: ((HEAD + "options mlx4_core num_vfs=8 probe_vf=0 port_type_array=2,2\n").encode(), 0o644)
    }
    message = "ens1, ens1d1 (0000:04:00.0) has 0 VFs until the next boot, 8 are wanted: its driver makes them when it is loaded"
    assert result["pfs"] == [
        {"address": ONE, "name": "ens1", "before": 0, "now": 0, "wanted": 8, "state": "pending", "message": message}
    ]
    assert (result["reboot"], result["stuck"]) == ([{"key": "mlx4:0000:04:00.0=0,0,8", "text": message}], [])
    assert result["files"] == [str(cards.root / OPTIONS)]
    assert result["diff"] == [
        {
            "before_header": str(cards.root / OPTIONS),
            "after_header": str(cards.root / OPTIONS),
            "before": "",
            "after": HEAD + "options mlx4_core num_vfs=8 probe_vf=0 port_type_array=2,2\n",
        },
        {
            "before_header": "initramfs",
            "after_header": "initramfs",
            "before": "",
            "after": "rebuilt by update-initramfs -u -k all\n",
        },
    ]
    assert cards.reboot() == []
    after = run(cards, device(numvfs=8))
    assert after["pfs"] == [
        {"address": ONE, "name": "ens1", "before": 8, "now": 8, "wanted": 8, "state": "ok", "message": ""}
    ]
    assert (after["changed"], after["reboot"], cards.fake.files("var")) == (False, [], {})


@pytest.mark.parametrize(
    "wanted, num_vfs",
    [
        ([(8, None)], "8"),
        ([(8, 1)], "8,0,0"),
        ([(8, 2)], "0,8,0"),
        ([(4, 1), (5, 2)], "4,5,0"),
        ([(5, 2), (4, 1)], "4,5,0"),
        ([(1, 1), (2, 2), (3, None)], "1,2,3"),
        ([(3, None), (0, 1)], "3"),
        ([(63, None)], "63"),
        ([(63, 1), (63, 2)], "63,63,0"),
        ([(33, 1), (30, None)], "33,0,30"),
    ],
)
@pytest.mark.parametrize("parm", [INBOX, OFED])
def test_ports_have_their_places(cards, parm, wanted, num_vfs):
    cards.modinfo(parm)
    booted(cards, *[device(numvfs=count, port=port) for count, port in wanted])
    words = dict(word.split("=") for word in options(cards).split())
    assert words["num_vfs"] == (num_vfs if parm == INBOX else f"{ONE}-{num_vfs.replace(',', ';')}")
    assert cards.fake.numvfs(ONE) == sum(count for count, _port in wanted)


@pytest.mark.parametrize("parm, num_vfs, types", [(INBOX, "8", "2"), (OFED, ONE + "-8", ONE + "-2;4")])
@pytest.mark.parametrize("devices", [[device(port=1)], [device()], [device(numvfs=3, port=1), device(numvfs=5)]])
def test_a_card_with_one_port_gets_a_single_value(cards, devices, parm, num_vfs, types):
    cards.fake.remove_function(ONE)
    cards.add(ONE, ["ens1"], ["eth"])
    cards.modinfo(parm)
    booted(cards, *devices)
    assert options(cards).split()[::2] == ["num_vfs=" + num_vfs, "port_type_array=" + types]


@pytest.mark.parametrize(
    "types, number",
    [
        (("eth", "eth"), "2,2"),
        (("ib", "ib"), "1,1"),
        (("ib", "eth"), "1,2"),
        (("auto (eth)", "auto (ib)"), "2,1"),
        (("ib",), "1"),
    ],
)
@pytest.mark.parametrize("parm", [INBOX, OFED])
def test_the_types_of_the_ports_stay_what_they_are(cards, parm, types, number):
    cards.types[ONE] = types
    (cards.fake.pci(ONE) / "mlx4_port2").unlink()
    cards.show_ports(ONE)
    cards.modinfo(parm)
    booted(cards, device())
    each = f"{ONE}-{(number + ',4').replace(',', ';')[:3]}"
    assert options(cards).split()[2] == "port_type_array=" + (number if parm == INBOX else each)


@pytest.mark.parametrize("parm", [INBOX, OFED])
@pytest.mark.parametrize("content", [None, "", "what\n"])
def test_types_that_are_not_known_are_not_written(cards, parm, content):
    for port in (1, 2):
        path = cards.fake.pci(ONE) / ("mlx4_port%d" % port)
        path.unlink() if content is None else path.write_text(content)
    cards.modinfo(parm)
    run(cards, device())
    assert [word.partition("=")[0] for word in options(cards).split()] == ["num_vfs", "probe_vf"]
    assert refused(cards, device(port=1)) == (
        f"sriov_devices[0]: the port types of ens1, ens1d1 (0000:04:00.0) are unknown (no mlx4_port1 in {cards.fake.sys}/bus/pci/devices/0000:04:00.0 that says ib or eth): see the kernel log, or choose the whole card by its address"
    )


def test_one_port_whose_type_is_not_known_makes_all_unknown(cards):
    (cards.fake.pci(ONE) / "mlx4_port2").write_text("new\n")
    run(cards, device())
    assert options(cards) == "num_vfs=8 probe_vf=0"


@pytest.mark.parametrize(
    "parm, expected",
    [(INBOX, "num_vfs=4,4,2 probe_vf=2,0,1"), (OFED, "num_vfs=0000:04:00.0-4;4;2 probe_vf=0000:04:00.0-2;0;1")],
)
def test_the_host_may_take_some_of_the_vfs(cards, parm, expected):
    cards.modinfo(parm)
    result = booted(cards, device(numvfs=4, port=1, probe_vf=2), device(numvfs=4, port=2), device(numvfs=2, probe_vf=1))
    assert options(cards).startswith(expected + " ")
    assert result["reboot"][0]["key"] == "mlx4:0000:04:00.0=4,4,2 probe_vf=2,0,1"


def test_only_devices_of_this_driver_and_kind_are_looked_at(cards):
    others = [
        device("0000:01:00.0", driver="igb", boot="systemd"),
        device(boot="none"),
        device(boot="systemd"),
        device(driver=None),
        {"address": ONE, "boot": "module", "numvfs": 4, "selector": "old"},
    ]
    assert run_once(cards, others) == {
        "changed": False,
        "diff": [],
        "files": [],
        "pfs": [],
        "reboot": [],
        "stuck": [],
        "settled": True,
    }
    assert (cards.fake.files("etc", "var"), cards.commands) == ({}, [])


def test_a_host_that_never_had_any_is_not_even_read(cards, monkeypatch):
    monkeypatch.setattr(mlx4, "read_cards", None)
    monkeypatch.setattr(mlx4, "option_sources", None)
    for check_mode in (True, False):
        assert not run_once(cards, [], check_mode)["changed"]
    assert (cards.fake.files("etc", "var"), cards.commands) == ({}, [])


def test_no_temporary_file_is_left_anywhere(cards):
    run(cards, device())
    run(cards)
    assert [path for path in cards.root.rglob(".sriov-*")] == []


# --- several cards


def test_inbox_cards_that_want_the_same(cards):
    cards.add(TWO, ["ens2"])
    booted(cards, device(ONE, numvfs=4, port=2), device(TWO, numvfs=4, port=2))
    assert options(cards) == "num_vfs=0,4,0 probe_vf=0,0,0 port_type_array=2,2"


def test_inbox_a_card_with_one_port_and_one_with_two(cards):
    cards.add(TWO, ["ens2"], ["eth"])
    booted(cards, device(ONE), device(TWO, port=1))
    assert options(cards) == "num_vfs=8 probe_vf=0 port_type_array=2,2"


@pytest.mark.parametrize(
    "second, says",
    [
        ([device(TWO, numvfs=4)], "num_vfs=4 probe_vf=0"),
        ([device(TWO, port=1)], "num_vfs=8,0,0 probe_vf=0,0,0"),
        ([device(TWO, probe_vf=1)], "num_vfs=8 probe_vf=1"),
        ([device(TWO, numvfs=0)], "num_vfs=0 probe_vf=0"),
        ([], "num_vfs=0 probe_vf=0"),
        ([device(TWO, boot="none")], "num_vfs=0 probe_vf=0"),
    ],
)
def test_inbox_cards_that_want_something_different(cards, second, says):
    cards.add(TWO, ["ens2"])
    assert refused(cards, device(), *second) == (
        f"the driver mlx4_core of this kernel takes one num_vfs and one probe_vf for all cards, but the cards need different ones (ens1, ens1d1 (0000:04:00.0) num_vfs=8 probe_vf=0, ens2 (0000:05:00.0) {says}): give all cards the same, or install the driver of MLNX_OFED 4.9, the last for ConnectX-3, if it supports the distribution: it takes them for each address"
    )
    cards.modinfo(OFED)
    booted(cards, device(), *second)


def test_inbox_a_card_without_sriov_in_its_firmware_needs_no_name(cards):
    cards.add(TWO, ["ens2"], totalvfs=0)
    booted(cards, device())
    assert cards.fake.numvfs(TWO) == 0


def test_a_vf_is_not_a_card(cards):
    booted(cards, device(numvfs=2))
    assert host.link_name(host.device_path(host.vf_addresses(ONE)[0], "driver")) == "mlx4_core"
    assert [pf["address"] for pf in run(cards, device(numvfs=3))["pfs"]] == [ONE]


def test_inbox_cards_with_other_types_of_ports(cards):
    cards.add(TWO, ["ib0"], ["ib", "ib"])
    booted(cards, device(), device(TWO))
    assert options(cards) == "num_vfs=8 probe_vf=0"
    cards.types[TWO] = ("auto (ib)", "ib")
    cards.show_ports(TWO)
    assert refused(cards, device(numvfs=7), device(TWO, numvfs=7)) == (
        "the ports of ib0 (0000:05:00.0) detect their type, which stops once there are VFs, and the driver mlx4_core of this kernel takes "
        "one port_type_array for all cards, whose types differ: set the types in the cards' firmware (LINK_TYPE_P1, LINK_TYPE_P2), or install the driver of MLNX_OFED 4.9, the last for ConnectX-3, if it supports the distribution"
    )


def test_ofed_each_address_has_its_own_and_single_values_come_last(cards):
    cards.modinfo(OFED)
    cards.add(TWO, ["ens2"], ["auto (eth)", "eth"])
    cards.add(THREE, ["ib0"], ["ib"])
    cards.add("0000:82:00.0", ["ens4"])
    booted(
        cards,
        device(THREE, numvfs=3, probe_vf=1),
        device(TWO, numvfs=4, port=1, probe_vf=2),
        device(ONE, numvfs=8),
        device(TWO, numvfs=5, port=2),
    )
    assert options(cards) == (
        "num_vfs=0000:05:00.0-4;5;0,0000:04:00.0-8,0000:81:00.0-3 probe_vf=0000:05:00.0-2;0;0,0000:04:00.0-0,0000:81:00.0-1 "
        "port_type_array=0000:05:00.0-2;2,0000:04:00.0-2;2,0000:81:00.0-1;4"
    )
    assert [cards.fake.numvfs(address) for address in (ONE, TWO, THREE, "0000:82:00.0")] == [8, 9, 3, 0]


def test_ofed_a_card_that_is_to_have_none_is_not_in_the_options(cards):
    cards.modinfo(OFED)
    cards.add(TWO, ["ens2"])
    booted(cards, device(ONE, numvfs=0), device(TWO))
    assert options(cards) == "num_vfs=0000:05:00.0-8 probe_vf=0000:05:00.0-0 port_type_array=0000:05:00.0-2;2"


def test_pfs_are_one_for_each_card(cards):
    cards.modinfo(OFED)
    cards.add(TWO, ["ens2"])
    result = run(cards, device(TWO, numvfs=2), device(ONE, numvfs=1, port=1), device(ONE, numvfs=3, port=2))
    assert [(pf["address"], pf["wanted"]) for pf in result["pfs"]] == [(ONE, 4), (TWO, 2)]
    assert [reason["key"] for reason in result["reboot"]] == ["mlx4:0000:04:00.0=1,3,0", "mlx4:0000:05:00.0=0,0,2"]


# --- what cannot be


@pytest.mark.parametrize(
    "wanted, port, count",
    [
        ([(64, None)], 1, 64),
        ([(64, 1)], 1, 64),
        ([(64, 2)], 2, 64),
        ([(63, 1), (64, 2)], 2, 64),
        ([(33, 2), (31, None)], 2, 64),
    ],
)
@pytest.mark.parametrize("parm", [INBOX, OFED])
def test_a_port_has_63_vfs_and_a_card_126(cards, parm, wanted, port, count):
    cards.modinfo(parm)
    devices = [
        device(numvfs=number, port=at, selector="sriov_devices[%d]" % index)
        for index, (number, at) in enumerate(wanted)
    ]
    assert refused(
        cards, *devices
    ) == "%s: port %d of ens1, ens1d1 (0000:04:00.0) supports at most 63 VFs, %d are requested: lower numvfs" % (
        " and ".join(entry["selector"] for entry in devices),
        port,
        count,
    )


def test_63_vfs_are_what_old_firmware_bears(cards):
    cards.old_firmware = True
    booted(cards, device(numvfs=63))
    put(cards, "boot/initrd/stackhpc-sriov-mlx4.conf", "options mlx4_core num_vfs=64\n")
    assert cards.reboot() == [ONE]


def test_more_than_the_firmware_offers(cards):
    (cards.fake.pci(ONE) / "sriov_totalvfs").write_text("8\n")
    assert refused(cards, device(numvfs=4, port=1), device(numvfs=5, port=2, selector="sriov_devices[1]")) == (
        "sriov_devices[0] and sriov_devices[1]: ens1, ens1d1 (0000:04:00.0) supports at most 8 VFs, 9 are requested: lower numvfs"
    )
    booted(cards, device(numvfs=8))


@pytest.mark.parametrize("total", ["0", None])
def test_a_card_that_offers_none(cards, total):
    for name in ("sriov_totalvfs",) if total else ("sriov_totalvfs", "sriov_numvfs"):
        path = cards.fake.pci(ONE) / name
        path.write_text(total) if total else path.unlink()
    assert refused(
        cards, device()
    ) == "sriov_devices[0]: ens1, ens1d1 (0000:04:00.0) offers no VFs: " + host.why_no_vfs(host.read_function(ONE))
    result = run(cards, device(waits="the firmware's NUM_OF_VFS becomes 8 with the next boot"))
    assert (options(cards), result["pfs"][0]["before"]) == ("num_vfs=8 probe_vf=0 port_type_array=2,2", 0)
    assert len(result["reboot"]) == 1


def test_the_options_are_written_together_with_a_firmware_change(cards):
    (cards.fake.pci(ONE) / "sriov_totalvfs").write_text("4\n")
    run(cards, device(numvfs=3, port=1), device(numvfs=3, port=2, waits="the firmware changes"))
    (cards.fake.pci(ONE) / "sriov_totalvfs").write_text("6\n")
    assert (cards.reboot(), cards.fake.numvfs(ONE)) == ([], 6)


@pytest.mark.parametrize("types", [("ib", "ib"), ("eth", "ib"), ("auto (ib)", "eth")])
@pytest.mark.parametrize("port", [1, 2])
def test_vfs_of_one_port_need_ethernet(cards, types, port):
    cards.types[ONE] = types
    cards.show_ports(ONE)
    words = " and ".join(kind.replace("auto (ib)", "ib") for kind in types)
    assert refused(cards, device(port=port)) == (
        "sriov_devices[0]: VFs of port %d alone need all ports of ens1, ens1d1 (0000:04:00.0) to be Ethernet, but they are %s: set them to "
        "Ethernet, or choose the whole card by its address" % (port, words)
    )
    booted(cards, device())
    booted(cards, device(), device(numvfs=0, port=port))


def test_port_2_of_a_card_with_one(cards):
    (cards.fake.pci(ONE) / "mlx4_port2").unlink()
    assert refused(cards, device(port=2)) == (
        "sriov_devices[0]: ens1, ens1d1 (0000:04:00.0) has one port, and port 2 is requested: choose the card by its address"
    )


@pytest.mark.parametrize("numvfs, probe_vf", [(8, 9), (8, -1), (0, 1)])
def test_the_host_cannot_take_more_vfs_than_there_are(cards, numvfs, probe_vf):
    assert refused(cards, device(numvfs=numvfs, probe_vf=probe_vf)) == (
        "sriov_devices[0]: probe_vf is %d, and must be from 0 to numvfs, which is %d: correct it" % (probe_vf, numvfs)
    )


def test_the_host_may_take_all(cards):
    booted(cards, device(numvfs=8, probe_vf=8))


def test_a_card_that_went_away_meanwhile(cards):
    assert refused(cards, device(TWO)) == (
        "sriov_devices[0]: 0000:05:00.0 went away, or its driver released it, while the role read the host: run the role again"
    )


def test_without_modinfo_or_driver_nothing_is_written(cards):
    cards.program("modinfo", "echo 'modinfo: ERROR: Module mlx4_core not found.' >&2; exit 1")
    assert refused(cards, device()) == (
        "modinfo does not know the driver mlx4_core (modinfo: ERROR: Module mlx4_core not found.): "
        "install the kernel package that has it"
    )
    cards.remove_program("modinfo")
    assert refused(cards, device()) == (
        "the program modinfo, which shows the options of mlx4_core, is not on this host: install kmod"
    )
    cards.modinfo(OLD)
    assert refused(cards, device()) == (
        "the driver mlx4_core of this kernel has no option num_vfs in a form that the role knows (modinfo -F parm mlx4_core): "
        "use the driver of a newer kernel"
    )


def test_string_and_charp_are_the_other_driver(cards):
    cards.modinfo(OFED.replace("(string)", "(charp)"))
    run(cards, device())
    assert options(cards).startswith("num_vfs=0000:04:00.0-8 ")


def test_the_options_file_is_one_that_modprobe_reads(cards):
    assert refused(cards, device(), options_path=str(cards.root / "etc/modprobe.d/mlx4")) == (
        f"options_path is {cards.root}/etc/modprobe.d/mlx4, and modprobe reads only files that end in .conf: correct it"
    )


@pytest.mark.parametrize("devices", [[device()], []])
def test_a_file_of_another_program_is_not_touched(cards, devices):
    put(cards, OPTIONS, "options mlx4_core log_num_mac=5\n")
    assert refused(cards, *devices) == (
        f"{cards.root / OPTIONS} is not a file that this role wrote: move it away, or choose another options_path"
    )


# --- what the host sets elsewhere


@pytest.mark.parametrize(
    "path", ["etc/modprobe.d/mlx4.conf", "run/modprobe.d/a.conf", "usr/lib/modprobe.d/b.conf", "lib/modprobe.d/c.conf"]
)
@pytest.mark.parametrize(
    "line, says",
    [
        ("options mlx4_core num_vfs=4", "num_vfs=4 for mlx4_core, and num_vfs=8 is wanted"),
        ("  options  mlx4-core log_num_mac=5 probe_vf=1", "probe_vf=1 for mlx4_core, and probe_vf=0 is wanted"),
        (
            'options mlx4_core num_vfs="8" port_type_array=1,1',
            "port_type_array=1,1 for mlx4_core, and port_type_array=2,2 is wanted",
        ),
        ("options mlx4_core num_vfs=0,0,8", "num_vfs=0,0,8 for mlx4_core, and num_vfs=8 is wanted"),
    ],
)
def test_other_files_that_say_something_different(cards, path, line, says):
    put(cards, path, f"\n# options mlx4_core num_vfs=1\n{line}\n")
    assert refused(cards, device()) == f"line 3 of {cards.root / path} has {says}: remove it from there"


def test_a_line_may_be_continued(cards):
    put(cards, "etc/modprobe.d/x.conf", "options mlx4_core \\\n  num_vfs=4\n")
    assert f"line 2 of {cards.root}/etc/modprobe.d/x.conf has num_vfs=4" in refused(cards, device())


@pytest.mark.parametrize(
    "line",
    [
        "options mlx4_core num_vfs=8",
        "options mlx4_core port_type_array=2,2 num_vfs=8 probe_vf=0",
        "options mlx4_core log_num_mac=5",
        "options mlx4_en num_vfs=4",
        "softdep mlx4_core post: mlx4_en",
        "#options mlx4_core num_vfs=4",
        "options mlx4_core",
        "install mlx4_core num_vfs=4",
        'options mlx4_core num_vfs="8"',
    ],
)
def test_other_files_that_say_the_same_or_nothing_of_ours(cards, line):
    put(cards, "etc/modprobe.d/mlx4.conf", line + "\n")
    run(cards, device())
    assert options(cards) == "num_vfs=8 probe_vf=0 port_type_array=2,2"


def test_a_file_that_modprobe_does_not_read_has_no_effect(cards):
    put(cards, "etc/modprobe.d/mlx4.conf.rpmsave", "options mlx4_core num_vfs=4\n")
    put(cards, "etc/modprobe.d/mlx4.conf", "\n")
    put(cards, "usr/lib/modprobe.d/mlx4.conf", "options mlx4_core num_vfs=4\n")
    (cards.root / "run/modprobe.d" / "directory.conf").mkdir(parents=True)
    (cards.root / "run/modprobe.d" / "dangling.conf").symlink_to("nowhere")
    run(cards, device())


def test_port_types_are_the_administrators_where_they_are_not_known(cards):
    for port in (1, 2):
        (cards.fake.pci(ONE) / ("mlx4_port%d" % port)).unlink()
    put(cards, "etc/modprobe.d/mlx4.conf", "options mlx4_core port_type_array=1,2\n")
    run(cards, device())


@pytest.mark.parametrize("word", ["mlx4_core.num_vfs=4", "mlx4-core.num_vfs=4"])
def test_the_kernel_command_line(cards, word):
    cards.command_line(f"quiet {word} mlx4_core.log_num_mac=5")
    assert refused(cards, device()) == (
        "the kernel command line has num_vfs=4 for mlx4_core, and num_vfs=8 is wanted: remove it from there"
    )
    run(cards, device(numvfs=4))


@pytest.mark.parametrize("value", ["4", "0,0,1", "0000:04:00.0-4", "many"])
def test_no_vfs_are_wanted_and_another_file_makes_some(cards, value):
    put(cards, "etc/modprobe.d/mlx4.conf", f"options mlx4_core num_vfs={value}\n")
    assert refused(cards, device(numvfs=0)) == (
        f"line 1 of {cards.root}/etc/modprobe.d/mlx4.conf has num_vfs={value} for mlx4_core, and no VF is wanted: remove it from there"
    )
    assert not run(cards)["changed"]


@pytest.mark.parametrize(
    "line", ["num_vfs=0", "num_vfs=0,0,0", "num_vfs=0000:04:00.0-0;0;0,05:00.0-0", "port_type_array=2,2", "probe_vf=1"]
)
def test_no_vfs_are_wanted_and_another_file_makes_none(cards, line):
    put(cards, "etc/modprobe.d/mlx4.conf", f"options mlx4_core {line}\n")
    assert not run(cards, device(numvfs=0))["changed"]


# --- going away


@pytest.mark.parametrize("parm", [INBOX, OFED])
@pytest.mark.parametrize("devices", [[], [device(numvfs=0)], [device(boot="none")]])
def test_vfs_that_are_no_longer_wanted_are_removed_by_the_next_boot(cards, parm, devices):
    cards.modinfo(parm)
    booted(cards, device())
    result = run(cards, *devices)
    message = "ens1, ens1d1 (0000:04:00.0) keeps its 8 VFs until the next boot: its driver makes and removes them when it is loaded"
    assert result["files"] == [str(cards.root / OPTIONS)] and cards.fake.files("etc") == {}
    assert result["pfs"] == [
        {"address": ONE, "name": "ens1", "before": 8, "now": 8, "wanted": 0, "state": "pending", "message": message}
    ]
    assert result["reboot"] == [{"key": "mlx4:0000:04:00.0=0,0,0", "text": message}]
    assert (cards.reboot(), cards.fake.numvfs(ONE)) == ([], 0)
    assert run(cards, *devices)["reboot"] == []
    assert cards.fake.files("etc", "var") == {}
    assert run_once(cards, [])["pfs"] == []


def test_the_first_boot_never_came_and_they_are_no_longer_wanted(cards):
    run(cards, device())
    result = run(cards)
    assert (result["changed"], result["pfs"], result["reboot"], cards.fake.files("etc", "var")) == (True, [], [], {})


def test_ofed_one_card_leaves_and_the_other_stays(cards):
    cards.modinfo(OFED)
    cards.add(TWO, ["ens2"])
    booted(cards, device(ONE), device(TWO))
    result = run(cards, device(TWO))
    assert [(pf["address"], pf["state"], pf["wanted"]) for pf in result["pfs"]] == [(TWO, "ok", 8), (ONE, "pending", 0)]
    assert cards.reboot() == [] and run(cards, device(TWO))["reboot"] == []
    assert (cards.fake.numvfs(ONE), cards.fake.numvfs(TWO)) == (0, 8)


def test_vfs_that_were_never_ours_are_not_spoken_of(cards):
    cards.fake.create(ONE, 3)
    assert run(cards)["pfs"] == []


def test_ofed_vfs_of_another_card_that_were_never_ours_are_not_spoken_of(cards):
    cards.modinfo(OFED)
    cards.add(TWO, ["ens2"])
    cards.fake.create(TWO, 3)
    assert [pf["address"] for pf in run(cards, device(ONE))["pfs"]] == [ONE]
    assert [pf["address"] for pf in run(cards)["pfs"]] == []


def test_a_card_without_vfs_that_is_to_have_none_waits_for_nothing(cards):
    cards.parameter("num_vfs", "8")
    assert [pf["state"] for pf in run(cards, device(numvfs=0))["pfs"]] == ["ok"]


def test_vfs_that_the_administrator_takes_over_stay(cards):
    booted(cards, device())
    put(cards, "etc/modprobe.d/mine.conf", "options mlx4_core num_vfs=8\n")
    result = run(cards)
    assert (result["changed"], result["pfs"], result["reboot"]) == (True, [], [])
    assert cards.reboot() == [] and cards.fake.numvfs(ONE) == 8
    assert not run(cards)["changed"]


def test_removing_needs_no_modinfo(cards):
    booted(cards, device())
    cards.remove_program("modinfo")
    assert run(cards)["changed"]


# --- the initramfs


def test_dracut_where_there_is_no_update_initramfs(cards):
    cards.remove_program("update-initramfs")
    cards.initramfs_tool("dracut")
    result = run_once(cards, [device()])
    assert rebuilds(cards) == [
        ["timeout", "--kill-after=10", "900", str(cards.root / "usr/sbin/dracut"), "--force", "--regenerate-all"]
    ]
    assert result["diff"][2]["after"] == "rebuilt by dracut --force --regenerate-all\n"
    assert cards.reboot() == [] and cards.fake.numvfs(ONE) == 8


def with_generic_dracut(cards):
    """dracut, a program for bash, that is not host-only: it takes of /etc only what install_items of its configuration
    lists.
    """
    cards.remove_program("update-initramfs")
    root = cards.root
    cards.program(
        "dracut",
        f"exec /bin/bash -euc 'rm -rf {root}/boot/initrd; mkdir {root}/boot/initrd; install_items=; "
        f'for file in {root}/etc/dracut.conf.d/*.conf; do test ! -e "$file" || . "$file"; done; '
        f"for file in $install_items; do cp $file {root}/boot/initrd; done'",
    )


def test_a_generic_initramfs_of_dracut_has_the_options_too(cards):
    with_generic_dracut(cards)
    result = run_once(cards, [device()])
    assert result["files"] == [str(cards.root / DRACUT), str(cards.root / OPTIONS)]
    assert cards.reboot() == [] and cards.fake.numvfs(ONE) == 8
    assert not run(cards, device())["changed"]
    assert run(cards)["changed"]
    assert cards.fake.files("etc") == {}
    cards.reboot()
    assert cards.fake.numvfs(ONE) == 0


def test_a_host_of_an_earlier_release_gets_dracuts_file_and_a_new_initramfs(cards):
    with_generic_dracut(cards)
    run(cards, device())
    (cards.root / DRACUT).unlink()
    result = run(cards, device())
    assert (result["changed"], result["files"]) == (True, [str(cards.root / DRACUT)])
    assert not run(cards, device())["changed"]


def test_dracuts_file_goes_when_the_host_changes_to_another_tool(cards):
    with_generic_dracut(cards)
    run(cards, device())
    cards.initramfs_tool("update-initramfs")
    assert run(cards, device())["files"] == [str(cards.root / DRACUT)]
    assert not (cards.root / DRACUT).exists() and (cards.root / OPTIONS).exists()


def test_options_that_cannot_be_written_after_dracuts_file_are_named_and_finished_by_the_next_run(cards, monkeypatch):
    with_generic_dracut(cards)
    really = mlx4.disk.write_atomically

    def full(path, *arguments):
        if path.endswith(OPTIONS):
            raise OSError(28, "No space left on device")
        return really(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(mlx4.disk, "write_atomically", full)
        with pytest.raises(host.Refusal, match=f"{DRACUT} is changed, but may not be on the disk yet"):
            run_once(cards, [device()])
    assert run(cards, device())["files"] == [str(cards.root / OPTIONS)]
    assert cards.reboot() == [] and cards.fake.numvfs(ONE) == 8


def test_update_initramfs_comes_before_dracut(cards):
    cards.initramfs_tool("dracut")
    run_once(cards, [device()])
    assert rebuilds(cards) == [
        ["timeout", "--kill-after=10", "900", str(cards.root / "usr/sbin/update-initramfs"), "-u", "-k", "all"]
    ]


def test_a_host_without_a_tool_is_not_changed(cards):
    cards.remove_program("update-initramfs")
    assert refused(cards, device()) == (
        "neither update-initramfs nor dracut is on this host, and the initramfs must contain the options of mlx4_core: install the one that "
        "this distribution uses"
    )


def test_the_tools_are_found_on_the_path_too(cards):
    for name in ("update-initramfs", "modinfo"):
        (cards.root / "usr/sbin" / name).rename(cards.bin / name)
    run(cards, device())


@pytest.mark.parametrize("devices, there", [([device(numvfs=5)], True), ([], False)])
def test_a_rebuild_that_failed_is_done_again(cards, devices, there):
    booted(cards, device())
    cards.initramfs_tool(
        "update-initramfs", "echo gzip: stdout: No space left on device >&2; echo >&2; echo one; exit 1"
    )
    with pytest.raises(host.Refusal) as caught:
        run_once(cards, devices)
    path = cards.root / OPTIONS
    assert str(caught.value) == (
        "the initramfs could not be rebuilt, and %s: update-initramfs -u -k all ended with 1 (gzip: stdout: No space left on device): "
        "correct that, then run the role again"
        % (
            "may lack the options in %s" % path
            if there
            else "may still have the options of %s, which is removed" % path
        )
    )
    assert (cards.root / OPTIONS).exists() == there and (cards.root / STALE).exists()
    cards.initramfs_tool("update-initramfs")
    result = run(cards, *devices)
    assert (result["changed"], result["files"], [diff["after_header"] for diff in result["diff"]]) == (
        True,
        [],
        ["initramfs"],
    )
    assert len(result["reboot"]) == 1 and not (cards.root / STALE).exists()
    assert cards.reboot() == [] and cards.fake.numvfs(ONE) == (5 if there else 0)
    assert run(cards, *devices)["reboot"] == []


@pytest.mark.parametrize(
    "script, seconds, says",
    [
        ("echo a; echo b; echo c; echo d; exit 2", hang.SECONDS, "ended with 2 (b; c; d)"),
        ("exit 2", hang.SECONDS, "ended with 2 (no output)"),
        ("exec sleep 100000", 1, "did not finish in 1 s (no output)"),
        ("kill -9 $$", hang.SECONDS, "ended with -9|ended with 137|did not finish in %d s" % hang.SECONDS),
    ],
)
def test_how_a_rebuild_failed_is_quoted(cards, monkeypatch, script, seconds, says):
    monkeypatch.setattr(mlx4, "INITRAMFS_SECONDS", seconds)
    cards.program("update-initramfs", script)
    with pytest.raises(host.Refusal) as caught:
        run_once(cards, [device()])
    assert any(part in str(caught.value) for part in says.split("|")) and "\n" not in str(caught.value)


# --- runs that end half-way


class Disk:
    """What is on the fake host's disk, to be put back."""

    def __init__(self, cards):
        self.root, self.saved = cards.root, cards.root / "saved"
        for name in ("etc", "var", "boot"):
            (self.root / name).mkdir(exist_ok=True)
            shutil.copytree(self.root / name, self.saved / name)

    def restore(self):
        for name in ("etc", "var", "boot"):
            shutil.rmtree(self.root / name)
            shutil.copytree(self.saved / name, self.root / name)


def stuck_with_a_stale_initramfs(cards):
    """A reboot did not bring the VFs, for the initramfs lacks the options, and a run that was to rebuild it was
    killed.
    """
    run(cards, device())
    shutil.rmtree(cards.root / "boot/initrd")
    cards.reboot()
    put(cards, STALE, "")


BEFORE = {
    "made": lambda cards: None,
    "changed": lambda cards: booted(cards, device(numvfs=5)),
    "removed": lambda cards: booted(cards, device()),
    "rebuilt": stuck_with_a_stale_initramfs,
}
WANTED = {"made": [device()], "changed": [device()], "removed": [], "rebuilt": [device()]}


@pytest.mark.long
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("what", WANTED)
def test_a_run_that_ends_at_any_change_is_finished_by_the_next(cards, monkeypatch, what, how):
    """The next run leaves the disk as an undisturbed one does, down to the last file, and requests the same reboot."""
    BEFORE[what](cards)
    disk, start = Disk(cards), cards.fake.files("etc", "var", "boot")
    undisturbed = run_once(cards, WANTED[what])
    finished = cards.fake.files("etc", "var", "boot")
    assert undisturbed["changed"] and undisturbed["stuck"] == [] and STALE not in finished
    for at in range(1, 100):
        disk.restore()
        with monkeypatch.context() as patch:
            changes = Changes(patch, at, how)
            try:
                run_once(cards, WANTED[what], changes=changes)
                ended = None
            except (Killed, host.Refusal, OSError) as error:
                ended = error
        if not changes.disturbed:
            break
        where = "%s at change %d, %s" % (how, at, changes.disturbed)
        now = cards.fake.files("etc", "var", "boot")
        if isinstance(ended, OSError):
            # main() says then that nothing was changed.
            assert now == start, where
        if isinstance(ended, host.Refusal):
            assert "\n" not in str(ended) and str(cards.root / OPTIONS) in str(ended), where
        if now != finished:
            assert ended is not None, where
        result = run_once(cards, WANTED[what])
        assert cards.fake.files("etc", "var", "boot") == finished, where
        assert (result["reboot"], result["stuck"]) == (undisturbed["reboot"], []), where
    assert at > (4 if what == "rebuilt" else 8) and changes.count < at


def test_a_run_that_was_killed_before_the_initramfs_was_rebuilt_is_reported_in_check_mode_too(cards, monkeypatch):
    def killed(*_arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mlx4, "rebuild_initramfs", killed)
        with pytest.raises(Killed):
            run_once(cards, [device()])
    assert (cards.root / OPTIONS).exists() and rebuilds(cards) == []
    checked = run_once(cards, [device()], check_mode=True)
    assert [diff["after"] for diff in checked["diff"]] == ["rebuilt by update-initramfs -u -k all\n"]
    assert run_once(cards, [device()])["changed"] and len(rebuilds(cards)) == 1
    assert cards.reboot() == [] and cards.fake.numvfs(ONE) == 8


@pytest.mark.parametrize(
    "wanted, last",
    [([device()], ["replace", "stackhpc-sriov-mlx4.conf"]), ([], ["unlink", "stackhpc-sriov-mlx4.conf"])],
)
def test_what_is_written_is_on_the_disk_before_what_counts_on_it(cards, monkeypatch, wanted, last):
    """The mark before the options, the options before the initramfs, that and the record before the mark is removed."""
    if not wanted:
        booted(cards, device())
    events = []
    for name, place in (("replace", 1), ("unlink", 0)):
        real = getattr(os, name)

        def recorded(*arguments, really=real, what=name, which=place):
            really(*arguments)
            events.append([what, os.path.basename(arguments[which])])

        monkeypatch.setattr(os, name, recorded)
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: events.append(["fsync", os.path.basename(os.readlink("/proc/self/fd/%d" % descriptor))]),
    )
    monkeypatch.setattr(os, "sync", lambda: events.append(["sync"]))
    call = subprocess.run
    monkeypatch.setattr(
        subprocess, "run", lambda command, **more: events.append(["run", command[0]]) or call(command, **more)
    )
    run_once(cards, wanted)
    told = [
        event
        for event in events
        if not event[1:] or not host.TEMPORARY_NAME.match(event[1]) and not event[1].endswith("modinfo")
    ]
    told = told[told.index(["replace", "mlx4-initramfs-stale"]) :]
    assert told == [
        ["replace", "mlx4-initramfs-stale"],
        ["fsync", "sriov"],
        last,
        ["fsync", "modprobe.d"],
        ["run", "timeout"],
        ["sync"],
        ["replace", "pending-mlx4.json"],
        ["fsync", "sriov"],
        ["unlink", "mlx4-initramfs-stale"],
        ["fsync", "sriov"],
    ]


def test_what_cannot_be_remembered_after_all_is_done_is_said_as_that(cards, monkeypatch):
    def full(*_arguments, **_more):
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr(mlx4.pending, "judge", full)
        with pytest.raises(host.Refusal) as caught:
            run_once(cards, [device()])
    assert str(caught.value) == (
        f"{cards.root / OPTIONS} is as wanted and the initramfs is rebuilt, but the role cannot save what waits for the reboot ([Errno 28] No space left on device): correct that, then run the role again"
    )


def test_a_name_that_is_not_sure_to_be_on_the_disk_is_said(cards, monkeypatch):
    sync = host.sync_directory

    def failing(directory):
        if directory.endswith("modprobe.d"):
            raise OSError(5, os.strerror(5))
        sync(directory)

    with monkeypatch.context() as patch:
        patch.setattr(host, "sync_directory", failing)
        with pytest.raises(
            host.Refusal,
            match="is changed, but may not be on the disk yet .*, and the initramfs is not rebuilt: correct that",
        ):
            run_once(cards, [device()])
    assert (cards.root / STALE).exists()


def test_check_mode_reports_a_stale_initramfs_and_leaves_it(cards):
    run(cards, device())
    put(cards, STALE, "")
    cards.commands.clear()
    assert run_once(cards, [device()], check_mode=True)["changed"]
    assert (cards.root / STALE).exists() and rebuilds(cards) == []


def test_another_mode_of_the_file_is_made_right(cards):
    run(cards, device())
    (cards.root / OPTIONS).chmod(0o600)
    assert run(cards, device())["files"] == [str(cards.root / OPTIONS)]
    assert cards.fake.files("etc")[OPTIONS][1] == 0o644


# --- what waits for a reboot


def test_vfs_at_other_ports_wait_for_a_boot(cards):
    booted(cards, device(numvfs=8))
    result = run(cards, device(numvfs=4, port=1), device(numvfs=4, port=2))
    assert result["reboot"] == [
        {
            "key": "mlx4:0000:04:00.0=4,4,0",
            "text": (
                "ens1, ens1d1 (0000:04:00.0) has its 8 VFs with num_vfs=8 until the next boot, num_vfs=4,4,0 is wanted: its driver makes them when "
                "it is loaded"
            ),
        }
    ]
    assert cards.reboot() == [] and run(cards, device(numvfs=4, port=1), device(numvfs=4, port=2))["reboot"] == []


def test_vfs_that_the_host_is_to_take_wait_for_a_boot(cards):
    booted(cards, device(numvfs=8))
    [reason] = run(cards, device(numvfs=8, probe_vf=2))["reboot"]
    assert reason["key"] == "mlx4:0000:04:00.0=0,0,8 probe_vf=0,0,2"
    assert " has its 8 VFs with probe_vf=0 until the next boot, probe_vf=2 is wanted: " in reason["text"]
    assert cards.reboot() == [] and run(cards, device(numvfs=8, probe_vf=2))["reboot"] == []


@pytest.mark.parametrize(
    "text, same",
    [
        ("8", True),
        ("0,0,8", True),
        ("8,0,0", False),
        ("8,0", False),
        ("0000:04:00.0-8", True),
        ("04:00.0-0;0;8", True),
        ("0000:05:00.0-8", False),
        ("0000:05:00.0-8,0000:04:00.0-8", True),
        ("0000:04:00.0-8;0;0", False),
        ("", False),
        ("(null)", False),
        ("1,2,3,4", True),
        ("x", True),
        (None, True),
    ],
)
def test_what_the_running_driver_was_loaded_with(cards, text, same):
    """As the kernel's driver and that of MLNX_OFED show it. What cannot be read is not a reason for a reboot."""
    booted(cards, device())
    (cards.fake.sys / "module/mlx4_core/parameters/num_vfs").unlink()
    if text is not None:
        cards.parameter("num_vfs", text)
    assert (run(cards, device())["reboot"] == []) == same


def test_a_padded_value_is_the_same(cards):
    booted(cards, device(port=1))
    for text in ("8,0,0", "8,0"):
        cards.parameter("num_vfs", text)
        assert run(cards, device(port=1))["reboot"] == []


def test_a_boot_that_did_not_bring_the_vfs_is_reported_once_to_the_operator(cards):
    run(cards, device())
    shutil.rmtree(cards.root / "boot/initrd")
    assert cards.reboot() == []
    result = run(cards, device())
    assert result["reboot"] == [] and result["stuck"] == [
        {
            "key": "mlx4:0000:04:00.0=0,0,8",
            "text": (
                f"ens1, ens1d1 (0000:04:00.0) has 0 VFs until the next boot, 8 are wanted: its driver makes them when it is loaded, although the host has been rebooted since: look at the kernel log (dmesg | grep mlx4), and check that the initramfs has {cards.root / OPTIONS} (lsinitramfs or lsinitrd)"
            ),
        }
    ]
    assert result["pfs"][0]["state"] == "pending"
    [reason] = run(cards, device(numvfs=9))["reboot"]
    assert reason["key"] == "mlx4:0000:04:00.0=0,0,9"


def test_a_boot_that_did_not_remove_the_vfs_is_reported_too(cards):
    booted(cards, device())
    run(cards)
    put(cards, "boot/initrd/stackhpc-sriov-mlx4.conf", "options mlx4_core num_vfs=8\n")
    assert cards.reboot() == []
    result = run(cards)
    assert (
        result["reboot"] == []
        and f"check that the initramfs no longer has {cards.root / OPTIONS}" in result["stuck"][0]["text"]
    )
    put(cards, "boot/initrd/stackhpc-sriov-mlx4.conf", "")
    cards.reboot()
    assert run(cards)["stuck"] == [] and cards.fake.files("var") == {}


def test_a_new_initramfs_is_worth_another_boot(cards):
    run(cards, device())
    shutil.rmtree(cards.root / "boot/initrd")
    cards.reboot()
    put(cards, STALE, "")
    result = run(cards, device())
    assert (len(result["reboot"]), result["stuck"]) == (1, [])


# --- as a module


def run_module(monkeypatch, capsys, check_mode=False, **parameters):
    arguments = dict(parameters, _ansible_check_mode=check_mode)
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    with pytest.raises(SystemExit) as leaving:
        sriov_mlx4.main()
    return leaving.value.code, json.loads(capsys.readouterr().out)


def test_the_module_answers_under_the_lock_and_its_tools_speak_english(cards, monkeypatch, capsys):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    cards.initramfs_tool("update-initramfs", f"echo $LC_ALL $LANGUAGE > {cards.fake.fake / 'language'}")
    parameters = {"devices": [device()], "options_path": str(cards.root / OPTIONS)}
    code, result = run_module(monkeypatch, capsys, check_mode=True, **parameters)
    assert (code, result["changed"], options(cards)) == (0, True, None)
    code, result = run_module(monkeypatch, capsys, **parameters)
    assert (code, result["changed"], options(cards)) == (0, True, "num_vfs=8 probe_vf=0 port_type_array=2,2")
    assert sorted(set(result) - {"invocation"}) == ["changed", "diff", "files", "pfs", "reboot", "settled", "stuck"]
    assert (cards.fake.fake / "language").read_text() == "C C\n"
    assert host.read_text(host.HOST.lock) == str(os.getpid())


def test_the_module_waits_for_the_lock_and_fails_with_one_sentence(cards, monkeypatch, capsys):
    locked = host.locked
    monkeypatch.setattr(host, "locked", lambda: locked(timeout=0))
    with locked():
        code, result = run_module(monkeypatch, capsys, devices=[device()], options_path=str(cards.root / OPTIONS))
    assert (code, options(cards)) == (1, None)
    assert result["msg"].startswith("process %d has held" % os.getpid())


def test_a_disk_that_cannot_be_written_is_an_error_in_words(cards, monkeypatch, capsys):
    def full(path, text, mode=0o644):
        raise OSError(28, os.strerror(28), path)

    monkeypatch.setattr(host, "write_atomically", full)
    code, result = run_module(monkeypatch, capsys, devices=[device()], options_path=str(cards.root / OPTIONS))
    assert code == 1 and result["msg"].startswith(
        "The options of mlx4_core cannot be set: [Errno 28] No space left on device"
    )
    assert result["msg"].endswith("; nothing was changed")


def test_the_documentation_is_whole():
    yaml = pytest.importorskip("yaml")
    documented = yaml.safe_load(sriov_mlx4.DOCUMENTATION)
    assert sorted(documented["options"]) == ["devices", "options_path"] and documented["version_added"] == "1.1.0"
    assert sorted(yaml.safe_load(sriov_mlx4.RETURN)) == ["files", "pfs", "reboot", "settled", "stuck"]
