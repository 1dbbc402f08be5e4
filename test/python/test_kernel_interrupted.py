# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_kernel_parameters killed, or failing, at every single change of the host.

A change is a temporary file, a rename, a removal, a directory, a time of a file, or a run of a tool. A run is killed by
leaving a forked process right before it, so that no handler and no `finally` of Python is run, as with SIGKILL.
"""

import contextlib
import errno
import os
import re
import tempfile

import half_done
import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from proxmox_host import ProxmoxHost
from test_kernel_parameters import CMDLINE, Machine, cases, entry_machine


class Full(OSError):
    """No space left on the device."""

    def __init__(self, path):
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


@contextlib.contextmanager
def before_each_change(machine, act):
    """Call act(number, what) before each change of the machine, the first number being 0."""
    root, count = str(machine.root), [0]

    def change(what):
        number, count[0] = count[0], count[0] + 1
        act(number, what)

    def guarded(function, place):
        def call(*arguments, **keywords):
            path = arguments[place] if len(arguments) > place else keywords.get("dir")
            if isinstance(path, int):
                path = os.readlink("/proc/self/fd/%d" % path)
            if str(path).startswith(root):
                change(f"{function.__name__} {path}")
            return function(*arguments, **keywords)

        return call

    def run(argv, stdin):
        if argv[0] != "/bin/sh":
            change(" ".join(argv))
        return really(argv, stdin)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink", "mkdir", "rmdir", "utime"):
            patch.setattr(os, name, guarded(getattr(os, name), 0))
        patch.setattr(tempfile, "mkstemp", guarded(tempfile.mkstemp, 9))
        really = machine.run
        machine.run = run
        try:
            yield count
        finally:
            machine.run = really


def killed_at(machine, number, arguments):
    """Run the module in a process that ends right before a change; whether there was a change."""

    def run():
        with before_each_change(machine, lambda at, _what: half_done.kill() if at == number else None):
            machine.ensure(**arguments)

    return half_done.was_killed(run)


def snapshot(machine):
    """Every file of the machine with content and mode, the role's own state too."""
    return {
        "/" + str(path.relative_to(machine.root)): (path.read_bytes(), path.stat().st_mode)
        for path in machine.root.rglob("*")
        if path.is_file()
    }


def host(kind, folder):
    folder.mkdir()
    if kind in ENTRY_HOSTS:
        return ENTRY_HOSTS[kind](folder)
    if kind in PROXMOX_HOSTS:
        return ProxmoxHost(folder, "intel", by_name(PROXMOX_HOSTS[kind], "proxmox.yml"))
    return Machine(folder).with_grub(GRUB_HOSTS[kind])


def by_name(start, corpus="entries.yml"):
    return next(case for case in cases(corpus) if case["name"].startswith(start))


def without(case, *paths):
    return dict(case, files={path: text for path, text in case["files"].items() if path not in paths})


GRUB_HOSTS = {
    "GRUB": {
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n',
        "/etc/default/grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n',
    },
}
UNUSED_KERNELOPTS = {
    "loader": "grubby",
    "running": "root=UUID=a ro",
    "files": {
        "/boot/loader/entries/1.conf": "title x\nlinux /vmlinuz\noptions root=UUID=a ro\n",
        "/boot/grub2/grubenv": "# GRUB Environment Block\nkernelopts=root=UUID=old ro\n",
        "/etc/kernel/cmdline": "root=UUID=a ro\n",
    },
}
ENTRY_HOSTS = {
    "EL": lambda folder: entry_machine(by_name("EL 9, as"), "intel", folder),
    "EL without /etc/kernel/cmdline": lambda folder: entry_machine(by_name("EL 9 cloud"), "intel", folder),
    "EL with neither that nor /etc/default/grub": lambda folder: entry_machine(
        without(by_name("EL 9 cloud"), "/etc/default/grub"), "intel", folder
    ),
    "EL with kernelopts": lambda folder: entry_machine(by_name("Options come from"), "intel", folder),
    "EL with kernelopts that no entry takes": lambda folder: entry_machine(UNUSED_KERNELOPTS, "intel", folder),
    "systemd-boot": lambda folder: entry_machine(by_name("systemd-boot, Debian"), "intel", folder),
    "systemd-boot without /etc/kernel/cmdline": lambda folder: entry_machine(
        by_name("systemd-boot, the file"), "intel", folder
    ),
    "systemd-boot with the image's line": lambda folder: entry_machine(
        by_name("systemd-boot, kernel-install"), "intel", folder
    ),
    "systemd-boot with comments": lambda folder: entry_machine(by_name("systemd-boot, comments"), "intel", folder),
}
PROXMOX_HOSTS = {
    "proxmox-boot-tool with systemd-boot": "The same as a mirror",
    "proxmox-boot-tool with GRUB": "Proxmox VE on ZFS, Secure Boot",
}
# Each with the runs before it.
RUNS = {
    "put on": ({}, []),
    "one taken off": ({"passthrough": False}, [{}]),
    "taken off": ({"iommu": False}, [{}]),
}


def words(found):
    """What a snapshot's files have in common with those of another run: their words, without the role's."""
    ours = re.compile(r"(?ms)^# BEGIN stackhpc.sriov.*?^# END stackhpc.sriov\n")
    return {
        path: [word for word in ours.sub("", content.decode()).split() if word not in ("intel_iommu=on", "iommu=pt")]
        for path, (content, _mode) in found.items()
        if path not in ("/boot/grub/grub.cfg",)
    }


@pytest.mark.long
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", list(GRUB_HOSTS) + list(ENTRY_HOSTS) + list(PROXMOX_HOSTS))
def test_a_run_that_is_killed_at_any_change_is_finished_by_the_next(kind, run, tmp_path):
    arguments, earlier = RUNS[run]

    def prepared(name):
        machine = host(kind, tmp_path / name)
        found = snapshot(machine)
        for one in earlier:
            machine.ensure(**one)
        return machine, found

    undisturbed, as_found = prepared("undisturbed")
    undisturbed.ensure(**arguments)
    wanted = snapshot(undisturbed)
    number = 0
    while True:
        machine, _found = prepared(str(number))
        if not killed_at(machine, number, arguments):
            break
        kept = words(snapshot(machine))
        assert all(kept[path] == there for path, there in words(as_found).items()), (
            "what was on a line is lost at change %d" % number
        )
        machine.ensure(**arguments)
        assert snapshot(machine) == wanted, "killed at change %d" % number
        assert machine.ensure(**arguments)["changed"] is False
        machine.ensure(iommu=False)
        left = snapshot(machine)
        assert set(left) == set(as_found), "killed at change %d" % number
        assert {path: content.split() for path, (content, _mode) in left.items()} == {
            path: content.split() for path, (content, _mode) in as_found.items()
        }
        number += 1
    assert number >= 4
    assert not list(machine.root.rglob(".sriov-*"))


def differing(before, after):
    """The paths of files that are not the same; a temporary file that cannot even be removed waits for the next run."""
    return {path for path in set(before) | set(after) if before.get(path) != after.get(path) and "/.sriov-" not in path}


@pytest.mark.long
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    "kind", ["GRUB", "EL", "EL without /etc/kernel/cmdline", "EL with kernelopts", "systemd-boot with the image's line"]
)
@pytest.mark.parametrize("stays", [False, True], ids=["one change fails", "each change from there on fails"])
def test_a_change_that_fails_is_put_back_or_said(kind, run, stays, tmp_path):
    arguments, earlier = RUNS[run]
    undisturbed = host(kind, tmp_path / "undisturbed")
    for one in [*earlier, arguments]:
        undisturbed.ensure(**one)
    wanted = snapshot(undisturbed)
    number, last, said = 0, False, set()
    while not last:
        machine = host(kind, tmp_path / str(number))
        for one in earlier:
            machine.ensure(**one)
        before = snapshot(machine)

        def fail(at, what, number=number):
            if at >= number if stays else at == number:
                raise Full(what)

        try:
            with before_each_change(machine, fail) as count:
                machine.ensure(**arguments)
            last = count[0] <= number
            # What comes after is bookkeeping that a failure of one removal does not stop.
            assert snapshot(machine) == wanted
        except Refusal as error:
            text, changed = str(error), differing(before, snapshot(machine))
            assert "No space left on device" in text and "\n" not in text
            if "and everything is as it was: " in text:
                said.add("as it was")
                assert changed == set() and error.details.get("changed", False) is False
            elif "this could not be put back: " in text:
                said.add("not put back")
                assert changed and all(f"{path} (No space left on device)" in text for path in changed)
            else:
                said.add("not written down")
                assert "cannot save what it did" in text
                assert all(path.startswith("/var/lib/sriov") for path in differing(wanted, snapshot(machine)))
                assert error.details.get("changed") is True
        machine.ensure(**arguments)
        assert snapshot(machine) == wanted
        number += 1
    assert "as it was" in said and ("not put back" in said or not stays)


@pytest.mark.parametrize(
    "kind, tool, message",
    [
        ("GRUB", "update-grub", "update-grub failed, and everything is as it was: disk on fire"),
        (
            "EL with kernelopts",
            "grub2-editenv",
            "grub2-editenv could not set kernelopts, and everything is as it was: disk on fire",
        ),
        (
            "EL",
            "grubby",
            "grubby --info=ALL does not show .* on any entry afterwards, and everything is as it was: disk on fire",
        ),
    ],
)
@pytest.mark.parametrize("run", RUNS)
def test_a_tool_that_fails_leaves_everything_as_it_was(kind, tool, message, run, tmp_path):
    arguments, earlier = RUNS[run]
    machine = host(kind, tmp_path / "host")
    for one in earlier:
        machine.ensure(**one)
    before, really = snapshot(machine), machine.tools[tool]
    machine.tools[tool] = lambda argv: (1, "", "disk on fire\n")
    with pytest.raises(Refusal, match=message):
        machine.ensure(**arguments)
    assert snapshot(machine) == before
    machine.tools[tool] = really
    assert machine.ensure(**arguments)["changed"] is True


def test_a_file_that_the_role_made_is_removed_even_when_another_tool_removed_the_parameters_before(tmp_path):
    machine = host("EL with neither that nor /etc/default/grub", tmp_path / "host")
    as_found = snapshot(machine)
    machine.ensure()
    machine.tools["grubby"](
        ["grubby", "--update-kernel=ALL", "--remove-args=intel_iommu=on iommu=pt", "--no-etc-grub-update"]
    )
    assert "iommu" not in machine.read(CMDLINE)
    machine.ensure(iommu=False)
    assert set(snapshot(machine)) == set(as_found)


def test_what_was_written_is_on_the_disk_when_the_run_ends(tmp_path, monkeypatch):
    machine = host("GRUB", tmp_path / "host")
    synced, really = set(), os.fsync

    def fsync(descriptor):
        synced.add(os.readlink("/proc/self/fd/%d" % descriptor))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    machine.ensure()
    root = str(machine.root)
    # update-grub leaves the writing to the kernel, and renames without a sync of the folder.
    for path in ("/boot/grub/grub.cfg", "/boot/grub", "/etc/default/grub.d", "/var/lib/sriov"):
        assert root + path in synced, path


def test_a_reboot_before_an_interrupted_change_is_not_taken_for_one_that_failed_to_bring_it(tmp_path):
    number = 0
    while True:
        machine = host("GRUB", tmp_path / str(number))
        machine.ensure()
        machine.boot("quiet", "boot-2")
        assert len(machine.ensure()["stuck"]) == 2
        machine.remove("/etc/default/grub.d/zz-sriov.cfg")
        machine.update_grub()
        killed = killed_at(machine, number, {})
        done = machine.ensure()
        assert (len(done["reboot"]), done["stuck"]) == (2, []), "killed at change %d" % number
        if not killed:
            break
        number += 1
    assert number >= 4
