# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_vfs that does not get to its end: killed, without power, failed or ended by a signal at every single change
that it makes.
"""

import errno
import itertools
import json
import os
import random
import shutil
import signal
import stat
import tempfile
from pathlib import Path
from types import SimpleNamespace

import half_done
import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import vfs
from fake_sysfs import fake_host, legacy_block  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host
from test_vfs import BOOT_LINK, ONE, PROGRAM, RULES, SYSTEMD, TWO, UNITS, _two, device, predecessor, put, run_module  # noqa: F401

DOCKER = ["docker.service"]
OTHER_RULES = "etc/udev/rules.d/99-vfs.rules"
# What changes a host; the writes to sriov_numvfs and the commands are added to them.
CHANGES = ("mkdir", "rmdir", "unlink", "replace", "link", "symlink")


class Machine:
    """The fake host with a systemd and a udev that know what they have read, and with a copy of the whole to begin
    again from.
    """

    def __init__(self, fake):
        self.fake, self.root = fake, fake.root
        self.saved = {}
        #: Whether it is the kernel that changes something now, and not the run.
        self.in_kernel = False

    def tree(self):
        """All that there is: of a folder its mode, of a link where it leads, of a file its content and mode."""
        found, folders = {}, [str(self.root)]
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        found[entry.path] = os.readlink(entry.path)
                    elif entry.is_dir():
                        found[entry.path] = entry.stat().st_mode
                        folders.append(entry.path)
                    else:
                        found[entry.path] = (Path(entry.path).read_bytes(), entry.stat().st_mode)
        return found

    def save(self):
        self.saved = self.tree()

    def restore(self):
        """Make what differs as it was: some thousand runs begin here, and each differs in a few files."""
        for path, there in reversed(self.tree().items()):
            if self.saved.get(path) != there:
                os.rmdir(path) if isinstance(there, int) else os.unlink(path)
        for path, was in self.saved.items():
            if os.path.lexists(path):
                continue
            if isinstance(was, str):
                os.symlink(was, path)
                continue
            if isinstance(was, int):
                os.mkdir(path)
            else:
                Path(path).write_bytes(was[0])
            os.chmod(path, stat.S_IMODE(was if isinstance(was, int) else was[1]))

    def on_disk(self, directory):
        return {path: str(content) for path, content in self.fake.files(directory).items() if ".sriov-" not in path}

    def command(self, command):
        """What systemd or udev has read is kept in a file, because it outlives the process that is killed."""
        name, directory = {"systemctl": ("systemd", "etc/systemd/system"), "udevadm": ("udev", "etc/udev/rules.d")}[
            command[0]
        ]
        (self.root / (name + ".json")).write_text(json.dumps(self.on_disk(directory)))
        return 0, "", ""

    def set_all(self, wanted, timeout, jobs=None, work=host.set_pf):
        """Stands for host.set_all, whose process for each PF takes most of the time of a run here. test_host.py has the
        processes.
        """
        self.in_kernel = True
        try:
            return {
                address: work(address, count, timeout, (jobs or {}).get(address)) for address, count in wanted.items()
            }
        finally:
            self.in_kernel = False

    def read_all(self):
        """As systemd and udev do when they start."""
        self.command(["systemctl"])
        self.command(["udevadm"])

    def run(self, devices, check_mode=False, command=None, rules=RULES):
        parameters = {
            "devices": devices,
            "boot_wait": 30,
            "numvfs_timeout": 5,
            "settings_timeout": 30,
            "change_connection_pf": False,
            "udev_rule_path": str(self.root / rules),
            "units": UNITS,
        }
        return vfs.ensure(parameters, check_mode, command or self.command, vfs.Interruption())

    def state(self):
        """All that a run may change: files, links and folders with temporary ones, VFs, and what systemd and udev have
        read.
        """
        folders = {
            str(path.relative_to(self.root))
            for name in ("etc", "usr")
            for path in (self.root / name).rglob("*")
            if path.is_dir() and not path.is_symlink()
        }
        files = self.fake.files("etc", "usr", "var", "run")
        # The number of the process that had it last.
        files.pop("run/sriov-vfs.lock", None)
        return {
            "files": files,
            "folders": folders,
            "vfs": {address: self.fake.numvfs(address) for address in (ONE, TWO)},
            "read": [json.loads((self.root / name).read_text()) for name in ("systemd.json", "udev.json")],
        }

    def boot(self):
        """Lose the power, and start with what is on the disk. Returns the numbers of VFs that the boot gives."""
        self.fake.reboot("boot-2")
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()
        self.read_all()
        there = {path.name for path in (self.root / SYSTEMD).glob("*.service")}
        for link in sorted((self.root / SYSTEMD).glob("*.wants/virtual-functions-*.service")):
            if link.exists():
                text = link.read_text()
                self.legacy(vfs.predecessors.LEGACY_UNIT.search(text).group(1), int(text.split("echo ")[1].split()[0]))
        for path in sorted((self.root / "etc/udev/rules.d").glob("*.rules")):
            for block in vfs.predecessors.LEGACY_BLOCK.findall(path.read_text()):
                for name, count in zip(vfs.predecessors.LEGACY_RULE.findall(block), block.split("echo ")[1:]):
                    self.legacy(name, int(count.split()[0]))
        if (self.root / BOOT_LINK).exists():
            assert (self.root / PROGRAM).exists() and host.main(["boot"]) == 0
        rules = "".join(path.read_text() for path in (self.root / "etc/udev/rules.d").glob("*.rules"))
        for address in (ONE, TWO):
            if f"sriov-vfs@{address}.service" in rules:
                assert (
                    "sriov-vfs@.service" in there
                    and (self.root / PROGRAM).exists()
                    and host.main(["device", address]) == 0
                )
        for path in (self.root / SYSTEMD).glob("*.d/sriov-vfs.conf"):
            for address in [address for address in (ONE, TWO) if address in path.read_text()]:
                assert "sriov-vfs-ready@.service" in there and host.main(["ready", address]) == 0
        return {address: self.fake.numvfs(address) for address in (ONE, TWO)}

    def legacy(self, name, count):
        address = host.pci_of_netdev(name)
        if not self.fake.numvfs(address):
            self.fake.write_numvfs(address, count)


@pytest.fixture(name="tmp_path")
def _tmp_path():
    """In memory where the machine has such a folder: some thousand runs each change a host, and it is made as it
    was.
    """
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(
        prefix="sriov-role-", dir=memory if os.access(memory, os.W_OK) else None
    ) as folder:
        yield Path(folder) / "host"


@pytest.fixture(name="machine")
def _machine(two, monkeypatch):
    isdir, exists = os.path.isdir, os.path.exists
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system" or isdir(path))
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/run/udev/control" or exists(path))
    put(two, RULES, "mine\n")
    (two.root / SYSTEMD / "multi-user.target.wants").mkdir(parents=True)
    machine = Machine(two)
    monkeypatch.setattr(host, "set_all", machine.set_all)
    machine.read_all()
    return machine


def none(_machine):
    """A host that the role has never seen."""


def two_pfs(machine):
    machine.run([device(ONE, 4, required_by=DOCKER), device(TWO, 3, required_by=DOCKER)])


def in_use(machine):
    two_pfs(machine)
    machine.fake.set_up(machine.fake.vf_netdev(ONE, 1))


def left_alone(machine):
    machine.run(
        [device(ONE, 4, required_by=DOCKER, left_alone="all"), device(TWO, 3, required_by=DOCKER, left_alone="all")]
    )


def elsewhere(machine):
    machine.run([device(ONE, 4)], rules=OTHER_RULES)


def of_predecessors(machine):
    predecessor(machine.fake, "ens1", 4, ONE)
    put(machine.fake, RULES, "mine\n" + legacy_block(ens2=3))
    machine.fake.create(TWO, 3)
    machine.read_all()


# What is there before, what is wanted, and how many VFs a boot gives each PF before and after.
CASES = {
    "install": (none, [device(ONE, 4, required_by=DOCKER), device(TWO, 3, boot="udev")], (0, 0), (4, 3)),
    "change": (
        two_pfs,
        [device(ONE, 6, required_by=[]), device(TWO, 3, required_by=DOCKER + ["libvirtd.service"])],
        (4, 3),
        (6, 3),
    ),
    "one leaves": (two_pfs, [device(TWO, 3, required_by=DOCKER)], (4, 3), (0, 3)),
    "one comes": (elsewhere, [device(ONE, 4, required_by=DOCKER), device(TWO, 3, required_by=DOCKER)], (4, 0), (4, 3)),
    "left alone": (
        two_pfs,
        [device(ONE, 6, left_alone="all"), device(TWO, 3, required_by=["libvirtd.service"], left_alone=[0, 2])],
        (4, 3),
        (6, 3),
    ),
    "left alone no more": (
        left_alone,
        [device(ONE, 6, left_alone=[1]), device(TWO, 3, required_by=DOCKER)],
        (4, 3),
        (6, 3),
    ),
    "to udev": (two_pfs, [device(ONE, 4, boot="udev"), device(TWO, 3, boot="udev")], (4, 3), (4, 3)),
    "removal": (two_pfs, [], (4, 3), (0, 0)),
    "removal in use": (in_use, [], (4, 3), (0, 0)),
    "take-over": (of_predecessors, [device(ONE, 4), device(TWO, 2)], (4, 3), (4, 2)),
}
cases = pytest.mark.parametrize("case", CASES)


class Interference:
    """Counts the changes that the run makes, and calls `act` before the one of that number (or each from there on)."""

    def __init__(self, machine, number, act, lasting=False, also=()):
        self.machine, self.number, self.act, self.lasting, self.also = machine, number, act, lasting, also
        self.count, self.what, self._really = 0, "", {}

    def hit(self, what):
        if self.machine.in_kernel:
            return
        self.count += 1
        if self.count == self.number or self.lasting and self.count > self.number:
            self.what = self.what or what
            self.act()

    def __enter__(self):
        for name in CHANGES + self.also:
            self._really[name] = getattr(os, name)

            def instead(*arguments, name=name, **more):
                self.hit(name)
                return self._really[name](*arguments, **more)

            setattr(os, name, instead)
        self._really["open"], self._really["set_all"] = os.open, host.set_all

        def instead_of_open(path, flags, *arguments, **more):
            if flags & os.O_CREAT:
                self.hit("open")
            return self._really["open"](path, flags, *arguments, **more)

        os.open = instead_of_open
        return self

    def __exit__(self, *_error):
        for name in CHANGES + self.also + ("open",):
            setattr(os, name, self._really[name])
        host.set_all = self._really["set_all"]

    def set_all(self, *arguments):
        self.hit("set_all")
        outcomes = self._really["set_all"](*arguments)
        self.hit("set_all is done")
        return outcomes


def killed(machine, devices, number):
    """Run in a process that ends before its change of that number; whether it did."""

    def run():
        with Interference(machine, number, half_done.kill) as interference:
            host.set_all = interference.set_all
            machine.run(devices, command=lambda command: (interference.hit("command"), machine.command(command))[1])

    return half_done.was_killed(run)


@pytest.mark.long
@cases
def test_after_a_kill_at_any_change_the_next_run_leaves_what_one_run_leaves(machine, case):
    prepare, devices, _before, _after = CASES[case]
    prepare(machine)
    machine.save()
    machine.run(devices)
    wanted = machine.state()
    assert not [path for path in wanted["files"] if ".sriov-" in path or "owed" in path]
    for number in itertools.count(1):
        machine.restore()
        if not killed(machine, devices, number):
            break
        left = machine.state()
        machine.run(devices, check_mode=True)
        assert machine.state() == left, number
        machine.run(devices)
        assert machine.state() == wanted, number
        assert not machine.run(devices, check_mode=True)["changed"]
    assert machine.state() == wanted and number > 20


@pytest.mark.long
@cases
def test_after_a_power_cut_at_any_change_the_boot_finds_what_works(machine, case, capsys):
    prepare, devices, before, after = CASES[case]
    prepare(machine)
    machine.save()
    machine.run(devices)
    machine.boot()
    machine.run(devices)
    wanted = machine.state()
    seen = set()
    for number in itertools.count(1):
        machine.restore()
        if not killed(machine, devices, number):
            break
        given = tuple(machine.boot().values())
        assert all(count in (had, has) for count, had, has in zip(given, before, after)), (number, given)
        seen.add(given)
        machine.run(devices)
        # What an earlier boot began is known no more, and an empty folder of a unit harms nothing.
        assert machine.state() == dict(wanted, folders=machine.state()["folders"]), number
    assert {before, after} <= seen
    capsys.readouterr()


@pytest.mark.long
@cases
@pytest.mark.parametrize("lasting", [False, True])
def test_a_change_that_fails_leaves_all_as_it_was_or_is_said(machine, case, lasting):
    prepare, devices, _before, _after = CASES[case]
    prepare(machine)
    machine.save()
    machine.run(devices)
    wanted = machine.state()
    refusals = 0
    for number in itertools.count(1):
        machine.restore()
        before = machine.state()
        error = OSError(
            *random.Random(number).choice(
                [(code, os.strerror(code)) for code in (errno.ENOSPC, errno.EROFS, errno.EACCES)]
            )
        )
        said = None
        with Interference(
            machine, number, lambda error=error: (_ for _ in ()).throw(error), lasting, ("fsync",)
        ) as interference:
            try:
                machine.run(devices)
            except host.Refusal as refusal:
                said = refusal
            except OSError as raw:
                # The file for what is owed, before anything else.
                assert raw is error and number < 6
                said = host.Refusal(f"{raw}; {vfs.AS_BEFORE}")
        if interference.count < number:
            break
        now = machine.state()
        here = (number, interference.what, str(said))
        if said is None:
            assert (now["vfs"], now["read"]) == (wanted["vfs"], wanted["read"]), here
            assert lasting or settled(now) == settled(wanted), here
        else:
            refusals += 1
            followed = host.HOST.config in said.details.get("files", [])
            assert now["vfs"] == (wanted if followed else before)["vfs"], here
            assert ("the VFs keep their new numbers" in str(said)) == followed, here
            left = {
                path
                for path in set(settled(now)) | set(settled(before))
                if settled(now).get(path) != settled(before).get(path)
            }
            named = {os.path.relpath(path, machine.root) for path in said.details.get("files", [])}
            assert left <= named and all(str(machine.root / path) in str(said) for path in named), here
            assert lasting or not left, here
            assert (vfs.AS_BEFORE in str(said)) == (not named), here
            assert "\n" not in str(said) and error.strerror in str(said), here
            for pf in said.details.get("pfs", []):
                assert pf["now"] == now["vfs"][pf["address"]], here
                assert pf["state"] in ("ok", "pending", "unchanged", "changed" if followed else "put back"), here
        machine.run(devices)
        # An empty folder that could not be removed once is not worth another try.
        assert machine.state() == dict(
            wanted, **({"folders": machine.state()["folders"]} if interference.what == "rmdir" else {})
        ), here
    assert refusals > 10


def settled(state):
    """The files of a state without temporary ones and what is owed, both of which the next run takes away."""
    return {
        path: content
        for path, content in state["files"].items()
        if ".sriov-" not in path and not path.startswith("run/")
    }


# --- what is seen before anything is changed


def obstruct(machine, monkeypatch, what):
    """Put something in the way of a file. Returns (the path that a message names, what it says of it)."""
    root = machine.root
    if what == "a file for a folder":
        (root / "etc/sriov").write_text("")
        return host.HOST.config, "Not a directory"
    if what == "a folder for a file":
        (root / RULES).unlink()
        (root / RULES).mkdir()
        return str(root / RULES), "Is a directory"
    if what == "a folder for the link":
        (root / BOOT_LINK).mkdir()
        return str(root / BOOT_LINK), "Is a directory"
    if what == "a dangling link for a folder":
        (root / "etc/sriov").symlink_to("nowhere")
        return host.HOST.config, f"{root / 'etc/sriov'}: Not a directory"
    if what == "read-only":
        directory, statvfs, mkdir = str(root / "usr"), os.statvfs, os.mkdir
        (root / "usr").mkdir()
        monkeypatch.setattr(
            os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY) if path == directory else statvfs(path)
        )

        def read_only(path, mode):
            if path.startswith(directory):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            mkdir(path, mode)

        monkeypatch.setattr(os, "mkdir", read_only)
        return host.HOST.program, "Read-only file system"
    directory, statvfs, stage = str(root / SYSTEMD).rstrip("/"), os.statvfs, host.stage
    full = SimpleNamespace(f_flag=0, f_blocks=9, f_bfree=0, f_files=0, f_ffree=0)
    monkeypatch.setattr(os, "statvfs", lambda path: full if path == directory else statvfs(path))

    def no_room(path, *arguments):
        if path.startswith(directory + "/"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        return stage(path, *arguments)

    monkeypatch.setattr(host, "stage", no_room)
    return directory + "/sriov-vfs.service", "No space left on device"


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    "what",
    [
        "a file for a folder",
        "a folder for a file",
        "a folder for the link",
        "a dangling link for a folder",
        "read-only",
        "full",
    ],
)
def test_what_is_in_the_way_of_a_file_is_said_before_any_vf_is_made(machine, monkeypatch, capsys, what, check_mode):
    path, why = obstruct(machine, monkeypatch, what)
    before = machine.state()
    code, result = run_module(
        monkeypatch, capsys, check_mode, devices=[device()], units=UNITS, udev_rule_path=str(machine.root / RULES)
    )
    assert code == 1 and path in result["msg"] and why in result["msg"] and "\n" not in result["msg"]
    assert machine.state() == before and machine.fake.writes(ONE) == []


def test_an_immutable_file_is_found_before_any_vf_is_removed(machine, monkeypatch):
    two_pfs(machine)
    before, link = machine.state(), os.link

    def immutable(path, *arguments, **more):
        if path == host.HOST.config:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)
        link(path, *arguments, **more)

    monkeypatch.setattr(os, "link", immutable)
    with pytest.raises(host.Refusal) as caught:
        machine.run([])
    assert (
        str(caught.value)
        == f"{host.HOST.config} cannot be removed (Operation not permitted): correct that, then run the role again; {vfs.AS_BEFORE}"
    )
    assert machine.state() == before and machine.fake.writes(ONE) == [4]


@cases
def test_each_change_is_on_the_disk_before_the_next_is_made(machine, monkeypatch, case):
    prepare, devices, _before, _after = CASES[case]
    prepare(machine)
    events = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: events.append(("sync", os.readlink("/proc/self/fd/%d" % descriptor)))
    )
    for name, place in (("replace", 1), ("unlink", 0), ("mkdir", 0), ("rmdir", 0)):
        real = getattr(os, name)

        def recorded(*arguments, really=real, what=name, which=place, **more):
            really(*arguments, **more)
            if not machine.in_kernel:
                events.append((what, str(arguments[which])))

        monkeypatch.setattr(os, name, recorded)
    machine.run(devices)
    # Temporary names need not last.
    changes = [index for index, (what, path) in enumerate(events) if what != "sync" and "/.sriov-" not in path]
    assert len(changes) > 4
    for index in changes:
        assert events[index + 1] == ("sync", os.path.dirname(events[index][1])), events[index]


# --- what a run owes to the next


def test_a_reload_that_fails_is_said_and_made_up_for_by_the_next_run(machine):
    with pytest.raises(host.Refusal) as caught:
        machine.run([device(ONE, 4)], command=lambda command: (1, "", "Transport endpoint is not connected\n"))
    assert str(caught.value) == (
        "systemctl daemon-reload failed (Transport endpoint is not connected), after VFs and files were changed: "
        "correct that, then run the role again, which repeats it"
    )
    assert [(pf["address"], pf["state"], pf["now"]) for pf in caught.value.details["pfs"]] == [(ONE, "changed", 4)]
    checked = machine.run([device(ONE, 4)], check_mode=True)
    done = machine.run([device(ONE, 4)])
    assert checked["diff"] == done["diff"] and [diff["after_header"] for diff in done["diff"]] == [
        "systemctl daemon-reload",
        "udevadm control --reload",
    ]
    assert (checked["changed"], done["changed"], done["files"]) == (True, True, [])
    assert machine.state()["read"] == [machine.on_disk("etc/systemd/system"), machine.on_disk("etc/udev/rules.d")]
    assert not machine.run([device(ONE, 4)])["changed"]


@pytest.mark.parametrize("text", ["{", "5", "[5]", '["\\u0000"]'])
def test_a_damaged_list_of_what_is_owed_stops_nothing(machine, text):
    put(machine.fake, "run/sriov-vfs.owed", text)
    machine.run([device(ONE, 4)])
    assert not (machine.root / "run/sriov-vfs.owed").exists()


def test_temporary_files_of_a_killed_run_are_removed_without_a_change_also_where_nothing_of_the_role_is_left(machine):
    folders = [
        "etc/systemd/system",
        "etc/systemd/system/multi-user.target.wants",
        "etc/udev/rules.d",
        "usr/local/sbin",
        "var/lib/sriov",
    ]
    for folder in folders:
        put(machine.fake, folder + "/.sriov-0123abcd", "")
        put(machine.fake, folder + "/.sriov-mine", "")
    before = machine.state()
    assert not machine.run([], check_mode=True)["changed"] and machine.state() == before
    assert not machine.run([])["changed"]
    assert sorted(path for path in machine.fake.files() if ".sriov-" in path) == sorted(
        folder + "/.sriov-mine" for folder in folders
    )


# --- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_vfs_are_set_puts_them_back_and_writes_no_file(machine, monkeypatch, capsys, number):
    machine.fake.create(TWO, 2)
    before, really, calls = machine.state(), host.set_all, []

    def set_all(*arguments):
        if not calls:
            os.kill(os.getpid(), number)
        calls.append(arguments)
        return really(*arguments)

    monkeypatch.setattr(host, "set_all", set_all)
    handler = signal.getsignal(number)
    code, result = run_module(
        monkeypatch,
        capsys,
        devices=[device(ONE, 4), device(TWO, 5)],
        units=UNITS,
        udev_rule_path=str(machine.root / RULES),
    )
    assert (code, result["msg"]) == (
        1,
        f"the run was ended by {number.name}: run the role again; {vfs.AS_BEFORE}",
    )
    assert [(pf["state"], pf["now"], pf["message"]) for pf in result["pfs"]] == [
        ("put back", 0, "ens1 (0000:01:00.0) was put back to 0 VFs because the run was ended"),
        ("put back", 2, "ens2 (0000:01:00.1) was put back to 2 VFs because the run was ended"),
    ]
    assert machine.state() == before and machine.fake.writes(ONE) == [4, 0]
    assert signal.getsignal(number) is handler


def test_a_signal_while_the_lock_is_waited_for_ends_the_run_at_once(machine, monkeypatch, capsys):
    def locked(_timeout):
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal came late")

    before = machine.state()
    monkeypatch.setattr(host, "locked", locked)
    code, result = run_module(monkeypatch, capsys, devices=[device(ONE, 4)], units=UNITS)
    assert (code, result["msg"]) == (1, "the run was ended by SIGTERM: run the role again")
    assert machine.state() == before


def test_a_signal_while_files_are_written_lets_the_run_come_to_its_end(machine, monkeypatch, capsys):
    replace = os.replace

    def signalled(temporary, path):
        if path == host.HOST.config:
            os.kill(os.getpid(), signal.SIGTERM)
        replace(temporary, path)

    monkeypatch.setattr(os, "replace", signalled)
    monkeypatch.setattr(basic.AnsibleModule, "run_command", lambda _module, command: machine.command(command))
    code, result = run_module(
        monkeypatch,
        capsys,
        devices=[device(ONE, 4)],
        units=UNITS,
        udev_rule_path=str(machine.root / RULES),
        numvfs_timeout=5,
    )
    monkeypatch.setattr(os, "replace", replace)
    assert (code, result["changed"], machine.fake.numvfs(ONE)) == (0, True, 4)
    assert not machine.run([device(ONE, 4)])["files"]


# --- parameters of any kind

# Ansible itself ends in a traceback for it as a parameter; it is tried below one.
SURROGATE = "\ud800"
ODD = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2.5,
    10**30,
    -(10**30),
    float("inf"),
    float("-inf"),
    float("nan"),
    "",
    " ",
    "x",
    "5",
    "1e9",
    "\0",
    "a\0b",
    "/a\0b.rules",
    "..",
    "/",
    "a/b.rules",
    "/etc/x",
    "\n",
    "/etc/a\n.rules",
    "é",
    SURROGATE,
    "9" * 5000,
    "{{ x }}",
    [],
    [[]],
    [None],
    ["\0"],
    {},
    {"a": 1},
    {"": None},
]


def test_no_parameter_of_any_kind_ends_in_a_traceback_or_changes_something(machine, monkeypatch, capsys):
    monkeypatch.setattr(
        basic.AnsibleModule,
        "run_command",
        lambda _module, command: (0, "", "") if command[0] == "timeout" else machine.command(command),
    )
    chance = random.Random(11)
    machine.save()
    before = machine.state()
    refused = 0
    for _turn in range(400):
        entry = device(ONE, 4)
        parameters = {"devices": [entry], "units": dict(UNITS), "udev_rule_path": str(machine.root / RULES)}
        for _fault in range(chance.choice([1, 1, 1, 2, 3])):
            odd = chance.choice(ODD)
            where = chance.choice(["device", "device", "top", "devices", "units"])
            if where == "device":
                entry[chance.choice(sorted(entry))] = odd
            elif where == "top" and odd != SURROGATE:
                parameters[
                    chance.choice(
                        ["boot_wait", "numvfs_timeout", "udev_rule_path", "change_connection_pf", "devices", "units"]
                    )
                ] = odd
            elif where == "devices" and isinstance(parameters["devices"], list):
                parameters["devices"] = parameters["devices"] + [odd]
            elif isinstance(parameters["units"], dict):
                parameters["units"][chance.choice(["sriov-vfs.service", "odd.service", "a\0b", "../x", ""])] = odd
        check_mode = chance.choice([True, False])
        code, result = run_module(monkeypatch, capsys, check_mode, **parameters)
        if code:
            refused += 1
            assert result["msg"] and "\n" not in result["msg"], parameters
            # Ansible's own quotes the whole of it.
            assert len(result["msg"]) < 1000 or result["msg"].startswith("argument '"), parameters
            assert "Traceback" not in json.dumps(result), parameters
        if code or check_mode:
            assert machine.state() == before, parameters
        else:
            machine.restore()
    assert 200 < refused < 400


@pytest.mark.parametrize(
    "parameters, said",
    [
        (
            {"udev_rule_path": "rules.d/70.rules"},
            "udev_rule_path is 'rules.d/70.rules': give an absolute path that ends in .rules",
        ),
        (
            {"udev_rule_path": "/etc/udev/a\0.rules"},
            "udev_rule_path is '/etc/udev/a\\x00.rules': give an absolute path",
        ),
        ({"boot_wait": float("inf")}, "boot_wait is inf: give a whole number from 0 to 1000000000"),
        ({"numvfs_timeout": 0}, "numvfs_timeout is 0: give a whole number from 1 to 1000000000"),
        (
            {"devices": [device(), device(TWO, 10**30)]},
            "devices[1]: numvfs is 1000000000000000000000000000000 and not a whole number from 0 to 65535",
        ),
        ({"devices": [device("0000:01:00.0\n")]}, "devices[0]: address is '0000:01:00.0\\n' and not a PCI address"),
        (
            {"devices": [device(required_by=5)]},
            "devices[0]: required_by is 5 and not a list of units: give the devices",
        ),
        (
            {"units": {"x.service": "\ud800"}},
            "units has 'x.service': '\\ud800', but needs the name of a unit and its text: correct it",
        ),
        ({"units": {"../x": "y"}}, "units has '../x': 'y', but needs the name of a unit and its text: correct it"),
    ],
)
def test_a_parameter_that_no_host_can_have_is_named(machine, monkeypatch, capsys, parameters, said):
    before = machine.state()
    code, result = run_module(monkeypatch, capsys, **dict({"devices": [device()], "units": UNITS}, **parameters))
    assert code == 1 and result["msg"].startswith(said)
    assert machine.state() == before


@pytest.mark.parametrize(
    "change",
    [
        {"devices": 5},
        {"devices": [5]},
        {"devices": [{}]},
        {"devices": [{"address": "\0", "id": None, "numvfs": 1}]},
        {"devices": [{"address": ONE, "id": [], "numvfs": 1}]},
        {"devices": [{"address": ONE, "id": None, "numvfs": "many"}]},
        {"udev_rule_path": 5},
        {"udev_rule_path": "relative"},
        {"udev_rule_path": "/a\0b"},
    ],
)
def test_a_configuration_with_odd_values_is_written_again(machine, change):
    two_pfs(machine)
    devices = [device(ONE, 4, required_by=DOCKER), device(TWO, 3, required_by=DOCKER)]
    wanted = machine.state()
    put(
        machine.fake,
        "etc/sriov/vfs.json",
        json.dumps(dict(json.loads((machine.root / "etc/sriov/vfs.json").read_text()), **change)),
    )
    assert machine.run(devices)["files"] == [host.HOST.config]
    assert machine.state() == wanted
