# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of VFs that are not set to their end: killed or refused by the kernel at every single change of the host."""

import errno
import json
import os
import shutil

import half_done
import pytest
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host
from test_host import ONE, configure
from test_settings import MAC, _pf, in_process, vf_driver, wanted  # noqa: F401 (pytest finds the fixture "pf")

FULL = wanted({"vf": 0, "mac": MAC % 0, "vlan": 7, "trust": True}, {"vf": 1, "driver": "vfio-pci"}, numvfs=3, up=True)
# What is there before, and what is wanted then.
CASES = {
    "creation": (None, FULL),
    "without autoprobe": (None, dict(FULL, autoprobe=False)),
    "more VFs": (FULL, dict(FULL, numvfs=4)),
    "another setting": (
        wanted({"vf": 0, "mac": MAC % 0}, {"vf": 2, "driver": "none"}, numvfs=3),
        wanted(
            {"vf": 0, "mac": MAC % 4, "vlan": 8}, {"vf": 1, "trust": True}, {"vf": 2, "driver": "vfio-pci"}, numvfs=3
        ),
    ),
    "no setting any more": (
        wanted({"vf": 0, "mac": MAC % 0, "vlan": 7}, {"vf": 1, "driver": "none"}, numvfs=3, autoprobe=False),
        wanted(numvfs=3),
    ),
    "autoprobe off": (wanted(numvfs=3), wanted(numvfs=3, autoprobe=False)),
    "autoprobe on": (wanted(numvfs=3, autoprobe=False), wanted(numvfs=3, autoprobe=True)),
    "no VFs any more": (wanted({"vf": 0, "trust": True}, numvfs=3, autoprobe=False), {"address": ONE, "numvfs": 0}),
}
cases = pytest.mark.parametrize("case", CASES)


class Disturbed:
    """Counts the changes of a run, and calls `act` in place of the one of that number, or after it."""

    def __init__(self, fake, monkeypatch, number, act, after=False):
        self.number, self.act, self.after, self.count = number, act, after, 0
        for module, name, really in (
            (host, "write_attribute", fake.write_attribute),
            (host, "write_numvfs", fake.write_numvfs),
            (host, "run_ip", fake.run_ip),
            (os, "replace", os.replace),
            (os, "unlink", os.unlink),
        ):
            monkeypatch.setattr(module, name, self.counted(really, name))
        # The fake kernel's own changes of its files are not counted.
        self.inside = False

    def counted(self, really, name):
        def change(*arguments, **more):
            if self.inside or name == "run_ip" and arguments[0][0] == "-j":
                return really(*arguments, **more)
            self.count += 1
            if self.count == self.number and not self.after:
                return self.act(name)
            self.inside = True
            try:
                done = really(*arguments, **more)
            finally:
                self.inside = False
            if self.count == self.number:
                self.act(name)
            return done

        return change


def state(fake):
    """All that the run decides: VFs, their settings and drivers, the PF's autoprobe, and what is remembered."""
    vfs = range(fake.numvfs(ONE))
    zero = {"address": "", "trust": False, "vlan": {}}
    records = fake.files("run/sriov")
    return {
        "vfs": [
            (
                dict(zero, **fake.links(ONE).get(str(index), {})),
                vf_driver(fake, index),
                host.override_of(fake.vf(ONE, index)),
            )
            for index in vfs
        ],
        "autoprobe": host.autoprobe_of(ONE),
        # The next run of the module, or of a unit, removes temporary files: test_halfway.py.
        "records": {path: json.loads(text) for path, (text, _mode) in records.items() if ".sriov-" not in path},
    }


@pytest.fixture(name="host_before")
def _host_before(fake, pf, tmp_path_factory):
    """Makes a function that gives the host the state before a case, each time it is called. No VF is in use."""
    was = host.holder_of_each, host.vf_holders
    host.holder_of_each, host.vf_holders = lambda _addresses: {}, lambda _address: []
    saved = tmp_path_factory.mktemp("saved") / "host"

    def begin(case):
        if saved.exists():
            for name in ("sys", "fake", "run", "etc"):
                shutil.rmtree(fake.root / name, ignore_errors=True)
                shutil.copytree(saved / name, fake.root / name, symlinks=True)
            return
        before, _after = CASES[case]
        (fake.sys / "bus/pci/drivers/vfio-pci").mkdir(parents=True)
        if before:
            [result] = host.apply([before], 5)
            assert result["state"] == "changed"
        shutil.copytree(fake.root, saved, symlinks=True)

    yield begin
    host.holder_of_each, host.vf_holders = was


def run(device):
    host.set_all, really = in_process, host.set_all
    try:
        [result] = host.apply([device], 5)
        return result
    finally:
        host.set_all = really


@pytest.mark.parametrize("after", [False, True])
@cases
def test_after_a_kill_at_any_change_the_next_run_and_the_next_boot_leave_what_one_run_leaves(
    fake, pf, host_before, case, after
):
    host_before(case)
    want = CASES[case][1]
    run(want)
    whole = state(fake)
    number = 0
    while True:
        number += 1
        host_before(case)

        def killed(number=number):
            with pytest.MonkeyPatch.context() as patch:
                Disturbed(fake, patch, number, lambda _name: half_done.kill(), after)
                run(want)

        if not half_done.was_killed(killed):
            break
        assert run(want)["state"] in ("changed", "ok")
        assert state(fake) == whole, number
        assert run(want)["settings"] == []
        if not want["numvfs"]:
            continue
        # The same kill, and a reboot.
        host_before(case)
        assert half_done.was_killed(killed)
        fake.reboot("boot-2")
        (fake.pci(ONE) / "sriov_drivers_autoprobe").write_text("1\n")
        shutil.rmtree(fake.root / "run/sriov", ignore_errors=True)
        configure(want)
        assert host.main(["boot"]) == 0
        assert [vf[1:] for vf in state(fake)["vfs"]] == [vf[1:] for vf in whole["vfs"]], number
    assert number > 3


@cases
def test_after_a_refusal_at_any_change_all_is_as_before(fake, pf, host_before, case):
    host_before(case)
    before, want, number = state(fake), CASES[case][1], 0

    def refuse(name):
        if name == "run_ip":
            return 2, "", "Invalid argument"
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    while True:
        number += 1
        host_before(case)
        with pytest.MonkeyPatch.context() as patch:
            disturbed = Disturbed(fake, patch, number, refuse)
            result = run(want)
        if disturbed.count < number:
            break
        assert result["state"] == "failed", number
        found = state(fake)
        assert (found["vfs"], found["autoprobe"]) == (before["vfs"], before["autoprobe"]), (number, result["message"])
        assert run(want)["state"] == "changed"
    assert number > 3
