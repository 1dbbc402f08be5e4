# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a host's files are looked at: that grows with the PFs and the VFs, and not with one times the other.

Counted, not timed: calls that read directories, links, attributes and files. Of each program the calls for one, two and
three times a size are on a line.
"""

import argparse
import builtins
import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import vfs as numvfs
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.joined import program_text
from fake_sysfs import FakeHost
from parts import devices
from parts import program as host

CALLS = ("stat", "lstat", "readlink", "listdir", "scandir", "open")


class Counter:
    """Counts the calls while it is entered."""

    def __enter__(self):
        self.count, self.kept = 0, {(os, name): getattr(os, name) for name in CALLS}
        self.kept[builtins, "open"] = builtins.open
        for (module, name), call in self.kept.items():
            setattr(module, name, self.counting(call))
        return self

    def counting(self, call):
        """A call that is counted."""

        def counted(*arguments, **keywords):
            self.count += 1
            return call(*arguments, **keywords)

        return counted

    def __exit__(self, *_error):
        for (module, name), call in self.kept.items():
            setattr(module, name, call)


def parameters(pfs, **more):
    """Of sriov_devices, for that many PFs by address."""
    return dict(
        {
            "devices": [{"address": address(number), "numvfs": 4} for number in range(pfs)],
            "numvfs": 8,
            "numvfs_driver": "systemd",
            "numvfs_required_by": [],
            "firmware": True,
            "mellanox_vendor_ids": ["0x15b3"],
            "physnet_mappings": {},
            "variables": {},
            "names": [],
            "concerns": {},
        },
        **more,
    )


def address(number):
    """The address of a PF, on a separate bus."""
    return f"0000:{number + 1:02x}:00.0"


@pytest.fixture(name="host_of")
def _host_of(tmp_path, monkeypatch):
    """Makes hosts: with so many PFs, and so many VFs on each."""

    def make(pfs, vfs):
        root = tmp_path / ("%dx%d" % (pfs, vfs))
        fake = FakeHost(root)
        host.HOST.move(str(root))
        monkeypatch.setattr(host, "json_of", fake.ip)
        for number in range(pfs):
            fake.add_function(address(number), netdevs=["ens%d" % number], totalvfs=256)
            fake.create(address(number), vfs)
            for index in range(vfs):
                fake.add_below(fake.vf(address(number), index), "node0", "misc", "vf%d" % index)
        fake.answer(
            "ip -d -j link show",
            [{"ifname": "ens%d" % number, "address": f"02:00:00:00:00:{number:02x}"} for number in range(pfs)],
        )
        fake.default_route_is_on("lo")
        entries = [
            {
                "address": address(number),
                "id": "8086:10c9",
                "numvfs": vfs,
                "boot": "systemd",
                "optional": False,
                "name": "ens%d" % number,
            }
            for number in range(pfs)
        ]
        config = root / "etc/sriov/vfs.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"format": 1, "boot_wait": 1, "numvfs_timeout": 5, "devices": entries}))
        return entries

    yield make
    host.HOST.move("/")


def find(entries):
    devices.select(parameters(len(entries)))


def find_by_name(entries):
    devices.select(parameters(len(entries), devices=[{"name": entry["name"], "numvfs": 4} for entry in entries]))


def find_for_nova(entries):
    devices.select(
        parameters(
            len(entries),
            devices=[
                {"name": entry["name"], "numvfs": 4, "physical_network": "net%d" % number}
                for number, entry in enumerate(entries)
            ],
        )
    )


def boot(_entries):
    assert host.main(["boot"]) == 0


def look(_entries):
    assert host.main(["status"]) == 0


def change(entries):
    """Another number while VFs are there: what holds each of them is looked for."""
    assert {result["state"] for result in host.apply([dict(entry, numvfs=1) for entry in entries], 5, check=True)} == {
        "changed"
    }


def release(entries):
    assert len(numvfs.to_release([], {"devices": entries}, {}, [])) == len(entries)


WAYS = [find, find_by_name, find_for_nova, boot, look, change, release]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("sizes", [[(4, 3), (8, 3), (12, 3)], [(3, 4), (3, 8), (3, 12)]], ids=["PFs", "VFs"])
def test_calls_grow_in_a_line(host_of, monkeypatch, tmp_path, capsys, way, sizes):
    monkeypatch.setattr(host.HOST, "lock", str(tmp_path / "lock"))
    counts = []
    for size in sizes:
        entries = host_of(*size)
        with Counter() as counter:
            way(entries)
        counts.append(counter.count)
    capsys.readouterr()
    assert counts[0] > 0
    # A few calls are made where there is none before, as for the first PF; a walk for each PF over all would be some
    # hundred more.
    assert abs((counts[2] - counts[1]) - (counts[1] - counts[0])) <= 4, counts


def test_the_directories_of_a_vf_are_walked_once(host_of, monkeypatch):
    entries, walked = host_of(2, 3), []
    monkeypatch.setattr(
        host, "devices_below", lambda address, call=host.devices_below: walked.append(address) or call(address)
    )
    change(entries)
    assert len(walked) == len(set(walked)) == 6


def test_a_start_of_the_program_imports_no_more_than_it_needs(tmp_path):
    """What takes longest to import is for rare cases. One start for each PF is what udev makes."""
    heavy = (argparse, shutil, subprocess, tempfile)
    program = tmp_path / "sriov-vfs"
    config = tmp_path / "vfs.json"
    config.write_text(json.dumps({"format": 1, "boot_wait": 0, "numvfs_timeout": 5, "devices": []}))
    program.write_text(
        program_text()
        .replace('"/etc/sriov/vfs.json"', json.dumps(str(config)))
        .replace('"/run/sriov-vfs.lock"', json.dumps(str(tmp_path / "lock")))
    )
    check = "import runpy, sys; sys.argv[1:] = [%r]; run = lambda: runpy.run_path(%r, run_name='__main__')\ntry:\n run()\nfinally:\n print(sorted(sys.modules))"
    before = subprocess.run(
        [sys.executable, "-IS", "-c", "import sys, runpy; print(sorted(sys.modules))"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    for command in ("boot", "status"):
        after = subprocess.run(
            [sys.executable, "-IS", "-c", check % (command, str(program))],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        loaded = set(json.loads(after.splitlines()[-1].replace("'", '"'))) - set(json.loads(before.replace("'", '"')))
        assert "select" in loaded and not loaded & {module.__name__ for module in heavy}, sorted(loaded)
