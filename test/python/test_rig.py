"""The parts of the VM rig that need no VM."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hang
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import cloud
import image
import python_tree
import vm

DEB822 = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
# was: bookworm-proposed-updates
 bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb deb-src
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main contrib # a note
deb http://mirror.example/security bookworm-security main
deb-src http://source.example/debian bookworm main
deb http://foreign.example/tool stable main
"""

WANTED_BY_BOTH = [
    "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie main",
    "deb http://mirror.example/security trixie-security main",
]


def lines(sources: list[image.AptSource]) -> list[str]:
    return [image.one_line(source) for source in image.sources_for("trixie", "bookworm", sources)]


def test_sources_of_another_release_come_from_deb822() -> None:
    updates = "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie-updates main"
    assert lines(image.parse_deb822_sources(DEB822)) == [WANTED_BY_BOTH[0], updates, WANTED_BY_BOTH[1]]


def test_sources_of_another_release_come_from_one_line_syntax() -> None:
    assert lines(image.parse_one_line_sources(ONE_LINE)) == WANTED_BY_BOTH


def test_both_syntaxes_are_read_from_the_folder_of_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert [source.uri for source in image.machine_sources(tmp_path)] == [
        "http://mirror.example/debian", "http://mirror.example/security", "http://foreign.example/tool",
        *["http://mirror.example/debian"] * 3, "http://mirror.example/security",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "deb http://mirror.example/ubuntu noble main\n", "deb http://mirror.example/debian bookworm contrib\n"]
)
def test_a_machine_without_debian_sources_is_told_what_to_set(text: str) -> None:
    with pytest.raises(image.RigError, match="SRIOV_ROLE_DEBIAN_MIRROR"):
        lines(image.parse_one_line_sources(text))


def test_an_image_has_another_name_when_its_recipe_or_a_guest_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = image.RECIPES["debian12"]
    files = {"customize.sh": b"one", "rootfs/etc/fstab": b""}
    name = image.recipe_hash(recipe, files)
    assert image.recipe_hash(recipe, dict(reversed(files.items()))) == name
    others = [
        image.recipe_hash(dataclasses.replace(recipe, packages=recipe.packages[1:]), files),
        image.recipe_hash(dataclasses.replace(recipe, codename="trixie"), files),
        image.recipe_hash(dataclasses.replace(recipe, removed=("usr/share/doc",)), files),
        image.recipe_hash(recipe, {**files, "customize.sh": b"two"}),
        image.recipe_hash(recipe, {**files, "rootfs/etc/hosts": b""}),
    ]
    monkeypatch.setattr(image, "ARCHIVE_PACKAGES", ("mstflint", "ethtool"))
    others.append(image.recipe_hash(recipe, files))
    assert len({name, *others}) == 7


def test_a_new_kind_of_wish_renames_no_image_that_does_not_have_it() -> None:
    recipe = image.RECIPES["debian12"]
    Newer = dataclasses.make_dataclass("Newer", [("wish", tuple, ())], bases=(image.Recipe,), frozen=True)
    newer = Newer(**dataclasses.asdict(recipe))
    assert image.recipe_hash(newer, {}) == image.recipe_hash(recipe, {})
    assert image.recipe_hash(dataclasses.replace(newer, wish=("one",)), {}) != image.recipe_hash(recipe, {})


def customize_hooks(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What mmdebstrap is told to run once the packages of an image are installed."""
    commands: list[list[str]] = []
    monkeypatch.setattr(image, "debian_sources", lambda codename: [])
    monkeypatch.setattr(image, "apt_transport_options", lambda: [])
    monkeypatch.setattr(image, "run_logged", lambda command, *_: commands.append(command))
    image.make_root_filesystem(image.RECIPES[name], folder, folder / "build.log")
    start = "--customize-hook="
    return [argument.removeprefix(start) for argument in commands[0] if argument.startswith(start)]


def test_tests_and_services_of_nova_are_taken_away_before_the_tree_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    packages = "usr/lib/python3/dist-packages"
    kept = [f"{packages}/nova/pci/whitelist.py", f"{packages}/oslo_config/validator.py", "usr/lib/systemd/system/ssh.service", "etc/fstab"]
    for name in (
        *kept, f"{packages}/nova/tests/unit/test_pci.py", f"{packages}/numpy/_core/tests/test_array.py", "usr/share/python-babel-localedata/de.dat",
        "usr/lib/systemd/system/iscsid.socket", "etc/systemd/system/sockets.target.wants/iscsid.socket", "etc/rc2.d/S01iscsid",
    ):  # fmt: skip
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    hooks = customize_hooks("debian13-openstack", tmp_path, monkeypatch)
    removal = next(number for number, hook in enumerate(hooks) if hook.startswith('cd "$1" && rm '))
    assert removal < next(number for number, hook in enumerate(hooks) if "customize.sh grub" in hook)
    # As mmdebstrap runs it.
    subprocess.run(["sh", "-c", hooks[removal], "exec", str(tree)], check=True, cwd=tmp_path)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()) == sorted(kept)
    others = customize_hooks("debian13", tmp_path, monkeypatch)
    assert others == [hook for hook in hooks if hook != hooks[removal]]


def test_the_archive_of_guest_files_belongs_to_root_and_leaves_scripts_out() -> None:
    import io
    import tarfile

    content = image.rootfs_archive({"rootfs/etc/fstab": b"x", "rootfs/usr/script": b"#!/bin/sh\n", "customize.sh": b"y"})
    members = tarfile.open(fileobj=io.BytesIO(content)).getmembers()
    assert [(member.name, member.uid, member.mode) for member in members] == [("etc/fstab", 0, 0o644), ("usr/script", 0, 0o755)]


def devices(machine: vm.Machine) -> list[str]:
    arguments = vm.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    return [value for option, value in zip(arguments, arguments[1:]) if option == "-device"]


def option(machine: vm.Machine, name: str) -> str:
    arguments = vm.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    return arguments[arguments.index(name) + 1]


def test_each_pf_has_a_root_port_of_its_own_that_stays_when_the_pf_is_missing() -> None:
    whole = devices(vm.Machine("debian12", pfs=3))
    without = devices(vm.Machine("debian12", pfs=3, missing=(2,)))
    ports = [device for device in whole if device.startswith("pcie-root-port")]
    assert [dict(part.split("=") for part in port.split(",")[1:])["addr"] for port in ports] == ["0x2", "0x3", "0x4"]
    assert [device for device in without if device.startswith("pcie-root-port")] == ports
    assert set(whole) - set(without) == {"igb,id=pf2,bus=port2,netdev=wire2,mac=52:54:00:5a:01:02,romfile="}


def test_a_card_with_two_ports_has_two_functions_with_addresses_and_hubs_of_their_own() -> None:
    machine = vm.Machine("debian12", pfs=2, missing=(2,), connection_pf=True, functions=2)
    assert [device for device in devices(machine) if device.startswith("igb,")] == [
        "igb,id=pf3,bus=port3,netdev=management,mac=52:54:00:5a:00:01,romfile=",
        "igb,id=pf1,bus=port1,netdev=wire1,mac=52:54:00:5a:01:01,romfile=,addr=0.0,multifunction=on,x-pcie-ari-nextfn-1=on",
        "igb,id=pf1.1,bus=port1,netdev=wire1.1,mac=52:54:00:5a:02:01,romfile=,addr=0.1",
    ]
    arguments = vm.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    assert [argument for argument in arguments if argument.startswith("hubport,")] == [
        "hubport,id=wire1,hubid=1", "hubport,id=wire1.1,hubid=17", "hubport,id=wire2,hubid=2", "hubport,id=wire2.1,hubid=18",
    ]  # fmt: skip


def test_no_two_pfs_have_the_same_address_or_hub() -> None:
    machine = vm.Machine("debian12", pfs=vm.MAX_PFS, connection_pf=True, functions=vm.MAX_FUNCTIONS)
    arguments = ",".join(vm.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")).split(",")
    for key, count in (("mac=", vm.MAX_PFS * vm.MAX_FUNCTIONS + 1), ("hubid=", vm.MAX_PFS * vm.MAX_FUNCTIONS)):
        values = [argument for argument in arguments if argument.startswith(key)]
        assert len(values) == len(set(values)) == count


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--ports", "0"], "a card has 1 to 2 ports"),
        (["--ports", "3"], "a card has 1 to 2 ports"),
        (["--pf", "17"], "0 to 16 cards"),
        (["--iommu", "amd", "--connection-pf"], "an emulated PF passes no traffic behind the emulated AMD IOMMU"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_before_anything_is_made(
    arguments: list[str], refusal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where the refusal is missing, no machine is to be started here.
    monkeypatch.setattr(vm, "choose_accelerator", lambda wanted: pytest.fail("not refused"))
    assert vm.main(["start", "--dir", str(tmp_path / "run"), *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"rig: {refusal}")
    assert not (tmp_path / "run").exists()


class Qemu:
    """The monitor of a machine whose guest lets go of functions in another order than they are numbered."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[dict[str, object]] = []
        self.server = socket.socket(socket.AF_UNIX)
        folder_descriptor = os.open(folder, os.O_PATH)
        self.server.bind(f"/proc/self/fd/{folder_descriptor}/qmp.sock")
        os.close(folder_descriptor)
        self.server.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self.server.accept()[0]
                self.say(connection, {"QMP": {}})
                # A command is not ended by a newline; the next one is sent when this one is answered.
                while text := connection.recv(65536):
                    command = json.loads(text)
                    self.asked.append(command)
                    self.say(connection, {"return": {}})
                    if command["execute"] == "device_del":
                        card = command["arguments"]["id"]
                        for device in (f"{card}.1", card):
                            self.say(connection, {"event": "DEVICE_DELETED", "data": {"device": device}})

    def say(self, connection: socket.socket, message: dict[str, object]) -> None:
        connection.sendall(json.dumps(message).encode() + b"\n")


def test_a_card_is_plugged_and_unplugged_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = vm.Run(tmp_path)
    machine = vm.Machine("debian12", functions=2)
    monkeypatch.setattr(run, "machine", lambda: machine)
    monkeypatch.setattr(run, "running", lambda: True)
    qemu = Qemu(tmp_path)
    try:
        run.unplug(2, 5)
        run.plug(2)
        with pytest.raises(vm.RigError, match="this machine has slots for card 1 to 2"):
            run.plug(3)
    finally:
        qemu.server.close()
    devices = [command["arguments"] for command in qemu.asked if command["execute"] != "qmp_capabilities"]
    assert devices == [{"id": "pf2"}, *reversed(vm.card_devices(2, 2))]
    assert [device.get("addr") for device in devices] == [None, "0.1", "0.0"]


def test_a_machine_started_by_an_older_rig_has_cards_with_one_port(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text('{"machine": {"image": "x", "pfs": 2, "missing": [2]}, "processes": []}')
    assert vm.Run(tmp_path).machine() == vm.Machine("x", pfs=2, missing=(2,), functions=1)


@pytest.mark.parametrize(
    ("iommu", "device", "vendor", "split"),
    [
        ("intel", "intel-iommu,intremap=on,caching-mode=on", "GenuineIntel", True),
        ("amd", "amd-iommu,intremap=off", "AuthenticAMD", False),
        ("none", None, "GenuineIntel", False),
    ],
)
def test_the_iommu_decides_machine_and_vendor(iommu: str, device: str | None, vendor: str, split: bool) -> None:
    machine = vm.Machine("debian12", iommu=iommu)
    assert [found for found in devices(machine) if "iommu" in found] == ([device] if device else [])
    assert option(machine, "-cpu") == f"max,vendor={vendor}"
    assert ("kernel-irqchip=split" in option(machine, "-machine")) is split


def test_only_kvm_shows_the_guest_the_cpu_of_the_host() -> None:
    machine = vm.Machine("debian12", accel="kvm")
    assert (option(machine, "-accel"), option(machine, "-cpu")) == ("kvm", "host,vendor=GenuineIntel")


@pytest.mark.parametrize(("through_pf", "driver"), [(False, "virtio-net-pci"), (True, "igb")])
def test_the_connection_has_the_management_address_whatever_carries_it(through_pf: bool, driver: str) -> None:
    found = [device for device in devices(vm.Machine("debian12", pfs=2, connection_pf=through_pf)) if "=management" in device]
    assert len(found) == 1
    assert found[0].startswith(f"{driver},")
    assert f"mac={vm.MANAGEMENT_MAC}" in found[0]
    assert ("bus=port3" in found[0]) is through_pf


def test_ssh_and_monitor_are_reachable_from_this_machine_only() -> None:
    machine = vm.Machine("debian12", port=20123)
    assert "hostfwd=tcp:127.0.0.1:20123-:22" in option(machine, "-netdev")
    assert option(machine, "-qmp").startswith("unix:qmp.sock,")


def test_the_public_key_reaches_the_guest_as_a_credential_of_systemd() -> None:
    name, _, value = vm.key_credential("ssh-ed25519 AAAA rig\n").partition("=")
    assert name == "io.systemd.credential.binary:tmpfiles.extra"
    assert base64.b64decode(value).decode() == (
        "f /home/molecule/.ssh/authorized_keys 0600 molecule molecule - ssh-ed25519 AAAA rig\n"
    )


def test_a_process_is_the_same_only_with_the_same_start() -> None:
    child = subprocess.Popen(["sleep", "100000"])
    try:
        start = vm.process_start(child.pid)
        assert start is not None
        recycled = vm.Process(child.pid, start - 1)
        assert vm.Process(child.pid, start).alive()
        assert not recycled.alive()
        recycled.signal(9)
        with pytest.raises(subprocess.TimeoutExpired):
            # It goes on, so this ends by its time on any machine.
            child.wait(timeout=0.3)
        vm.Process(child.pid, start).signal(9)
        assert child.wait(hang.SECONDS) == -9
    finally:
        child.kill()
        child.wait()
    assert vm.process_start(child.pid) is None


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    start = vm.process_start(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert vm.process_start(child.pid) is None
    assert start is None or not vm.Process(child.pid, start).alive()
    child.wait()


def test_a_leased_port_is_nobody_elses_until_the_last_holder_closes_it(tmp_path: Path) -> None:
    port, lease = vm.lease_port(tmp_path)
    assert port in vm.PORTS
    with pytest.raises(vm.RigError, match=str(port)):
        vm.lease_port(tmp_path, port)
    inherited = os.dup(lease)
    os.close(lease)
    with pytest.raises(vm.RigError):
        vm.lease_port(tmp_path, port)
    os.close(inherited)
    assert vm.lease_port(tmp_path, port)[0] == port


def test_a_port_in_use_by_others_is_not_leased(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(vm.RigError, match="no free port"):
            vm.lease_port(tmp_path, other.getsockname()[1])


def test_a_wait_ends_and_says_what_was_awaited() -> None:
    with pytest.raises(vm.RigError, match="waited for the moon: not within 0 s"):
        vm.wait_until(lambda: False, "the moon", 0.2, pause=0.05)


def test_a_wait_for_a_machine_that_ended_shows_its_console(tmp_path: Path) -> None:
    run = vm.Run(tmp_path)
    (tmp_path / "vm.json").write_text('{"machine": {"image": "x", "missing": []}, "processes": []}')
    (tmp_path / "qemu.log").write_text("")
    (tmp_path / "console.log").write_text("Kernel panic - not syncing\r\n")
    with pytest.raises(vm.RigError, match=r"the machine has ended\n---- console.log starts here ----\nKernel panic"):
        vm.wait_until(lambda: False, "ssh", 60, run)


# A QEMU whose Nth start says on the console what the file N of the folder in $STARTS has, and has an ssh server if that ends with "login:".
STAND_IN_QEMU = """\
import json, os, re, socket, sys, threading
from pathlib import Path

def monitor(server):
    while True:
        connection = server.accept()[0]
        connection.sendall(b'{"QMP": {}}\\n')
        while text := connection.recv(65536):
            with open("asked", "a") as asked:
                asked.write(json.loads(text)["execute"] + "\\n")
            connection.sendall(b'{"return": {}}\\n')
            if b'"quit"' in text:
                os._exit(0)

starts = Path(os.environ["STARTS"])
number = len(list(starts.glob("started.*"))) + 1
text = (starts / str(number)).read_text()
qmp = socket.socket(socket.AF_UNIX)
qmp.bind("qmp.sock")
qmp.listen()
threading.Thread(target=monitor, args=(qmp,), daemon=True).start()
server = socket.create_server(("127.0.0.1", int(re.search(r"127.0.0.1:([0-9]+)-:22", " ".join(sys.argv)).group(1))))
(starts / f"started.{number}").write_text("")
with open("console.log", "a") as console:
    console.write(text)
Path("qemu.pid").write_text(str(os.getpid()))
while True:
    connection = server.accept()[0]
    if text.endswith("login:"):
        connection.sendall(b"SSH-2.0-stand-in\\r\\n")
    connection.close()
"""

# What the guest answers by ssh.
STAND_IN_SSH = """\
#!/bin/sh
case "$*" in *boot_id*) echo 12345678 ;; *is-system-running*) {units} ;; esac
"""

NO_TIMER = "[    0.15] Kernel panic - not syncing: timer doesn't work through Interrupt-remapped IO-APIC"
NO_CONSOLE = "Cannot open access to console, the root account is locked."


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., vm.Run]]:
    """Makes a run folder for a machine whose starts say the given texts on the console."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def tool(command: list[str]) -> None:
        for name in ("key", "key.pub") if command[0] == "ssh-keygen" else ():
            (tmp_path / "run" / name).write_text("ssh-ed25519 AAAA rig\n")

    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    monkeypatch.setattr(vm, "run_tool", tool)
    monkeypatch.setattr(vm, "find_firmware", lambda: ("CODE.fd", "VARS.fd"))
    monkeypatch.setattr(vm, "choose_accelerator", lambda wanted: "tcg")
    monkeypatch.setattr(vm, "resolve_image", lambda name: (Path(name), False))
    monkeypatch.setattr(cloud, "disk_information", lambda disk: {"virtual-size": 1, "format": "raw", "full-backing-filename": "x"})
    run = vm.Run(tmp_path / "run")

    def make(*texts: str) -> vm.Run:
        (tmp_path / "starts").mkdir()
        for number, text in enumerate(texts, 1):
            (tmp_path / "starts" / str(number)).write_text(text)
        for name, text in (("qemu-system-x86_64", f"#!{sys.executable}\n{STAND_IN_QEMU}"), ("ssh", STAND_IN_SSH.format(units="echo running"))):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        return run

    yield make
    run.stop()


def started(run: vm.Run) -> int:
    return len(list((run.directory.parent / "starts").glob("started.*")))


def rig(run: vm.Run, command: str, *arguments: str) -> int:
    return vm.main([command, "--dir", str(run.directory), *arguments])


WAIT = ("--wait", str(hang.SECONDS))


def test_a_panic_in_the_first_boot_is_told_and_the_machine_started_once_more(guest: Callable[..., vm.Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = guest(f"{NO_TIMER}\r\n", "rig login:")
    assert rig(run, "start", *WAIT) == 0
    assert (
        "rig: started once more, with a new disk, because of a panic in the first boot; waited for ssh: the guest says"
        f" {NO_TIMER!r}\n---- console.log starts here ----\n{NO_TIMER}\n---- console.log ends here ----\nrig: ssh after "
    ) in capsys.readouterr().err
    assert started(run) == 2


def test_a_second_panic_is_a_failure(guest: Callable[..., vm.Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = guest(NO_TIMER, f"second\n{NO_TIMER}", "rig login:")
    assert rig(run, "start", *WAIT) == 1
    assert f"---- console.log starts here ----\nsecond\n{NO_TIMER}\n" in capsys.readouterr().err.partition("\nrig: waited for ssh: ")[2]
    assert started(run) == 2


@pytest.mark.parametrize("text", ["You are in emergency mode. After logging in, type", NO_CONSOLE])
def test_a_guest_in_emergency_mode_is_a_failure_at_once(text: str, guest: Callable[..., vm.Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = guest(f"\r\n{text}\r\nPress Enter", "rig login:")
    assert rig(run, "start", *WAIT) == 1
    assert f"rig: waited for ssh: the guest says {text!r}\n---- console.log starts here ----\n\n{text}\nPress Enter" in capsys.readouterr().err
    assert started(run) == 1


def test_a_panic_while_the_guest_starts_its_units_is_noticed(guest: Callable[..., vm.Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = guest("rig login:", "rig login:", "rig login:")
    assert rig(run, "start", *WAIT) == 0
    program = run.directory.parent / "bin" / "ssh"
    late = f"echo 'Kernel panic - not syncing: late' >> {run.directory}/console.log; exec sleep 100000"
    program.write_text(STAND_IN_SSH.format(units=late))
    assert rig(run, "restart", *WAIT) == 1
    assert "rig: waited for the guest to start all units: the guest says 'rig login:Kernel panic - not syncing: late'\n----" in capsys.readouterr().err
    # Not a first boot, so that what was on the disk would be lost.
    assert started(run) == 2


def test_what_earlier_boots_said_is_over(guest: Callable[..., vm.Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = guest(f"{NO_CONSOLE}\n", "rig login:")
    assert rig(run, "start") == 0
    assert rig(run, "wait-ssh") == 1
    assert rig(run, "restart", "--no-sync", *WAIT) == 0
    assert NO_CONSOLE in (run.directory / "console.log").read_text()
    (run.directory / "console.log").open("a").write(f"\n{NO_TIMER}\n")
    assert run.dead_end() == NO_TIMER
    assert rig(run, "reset") == 0
    assert (run.directory / "asked").read_text().splitlines()[-2:] == ["qmp_capabilities", "system_reset"]
    assert run.dead_end() is None
    capsys.readouterr()
    assert rig(run, "wait-ssh") == 0
    assert capsys.readouterr().out == "12345678\n"


class Mirror:
    """A web server on this machine: what it gives by path, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = 0
        self.pause = 0.0
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                time.sleep(mirror.pause)
                if self.path not in mirror.files:
                    self.send_error(404)
                    return
                content = mirror.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - mirror.cut])

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("SRIOV_ROLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("MOLECULE_IMAGE_SHA256", raising=False)
    mirror = Mirror()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


def downloads(tmp_path: Path) -> list[str]:
    """What a download leaves behind, but for its lock."""
    folder = tmp_path / "cache" / "downloads"
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_an_image_is_downloaded_once_and_kept_by_its_address(mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.files = {"/a.qcow2": b"A" * 3_000_000, "/b.qcow2": b"B"}
    first = cloud.download(f"{mirror.url}/a.qcow2")
    assert first.read_bytes() == mirror.files["/a.qcow2"]
    assert f"rig: downloading {mirror.url}/a.qcow2" in capsys.readouterr().err
    assert cloud.download(f"{mirror.url}/a.qcow2") == first
    other = cloud.download(f"{mirror.url}/b.qcow2")
    assert other != first
    assert mirror.asked == ["/a.qcow2", "/b.qcow2"]
    assert downloads(tmp_path) == sorted([first.name, other.name])


def test_those_who_want_the_same_download_wait_for_one(mirror: Mirror) -> None:
    mirror.files, mirror.pause = {"/a.qcow2": b"A"}, 0.5
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(cloud.download(f"{mirror.url}/a.qcow2"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(hang.SECONDS)
    assert len(paths) == 3
    assert len(set(paths)) == 1
    assert mirror.asked == ["/a.qcow2"]


def test_a_download_with_another_checksum_is_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"/a.qcow2": b"old"}
    old, new = (hashlib.sha256(content).hexdigest() for content in (b"old", b"new"))
    with pytest.raises(image.RigError, match=f"a.qcow2 has the SHA-256 {old}, and MOLECULE_IMAGE_SHA256 wants {new}$"):
        cloud.download(f"{mirror.url}/a.qcow2", new)
    assert downloads(tmp_path) == []
    path = cloud.download(f"{mirror.url}/a.qcow2", old)
    # What is at the address has changed, and so has what is wanted of it.
    mirror.files = {"/a.qcow2": b"new"}
    assert cloud.download(f"{mirror.url}/a.qcow2", new) == path
    assert path.read_bytes() == b"new"
    with pytest.raises(image.RigError, match="has the SHA-256"):
        cloud.download(f"{mirror.url}/a.qcow2", old)
    assert path.read_bytes() == b"new"
    assert downloads(tmp_path) == [path.name]


def test_a_failed_download_is_one_sentence_and_leaves_nothing(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(image.RigError, match=r"^cannot download http://127.0.0.1:\d+/none.img: HTTP Error 404: Not Found$"):
        cloud.download(f"{mirror.url}/none.img")
    mirror.files, mirror.cut = {"/a.img": b"A" * 100}, 40
    with pytest.raises(image.RigError, match="the connection ended after 60 of 100 bytes$"):
        cloud.download(f"{mirror.url}/a.img")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(image.RigError, match="^cannot download [^\n]*refused$"):
            cloud.download(f"http://127.0.0.1:{closed.getsockname()[1]}/a.img")
    with pytest.raises(image.RigError, match="^cannot download http://[^\n]*$"):
        cloud.download("http://127.0.0.1:port/a.img")
    assert downloads(tmp_path) == []


def test_what_is_said_of_an_address_keeps_its_secrets() -> None:
    assert cloud.shown("https://user:secret@images.example:8443/a.img?token=secret#x") == "https://images.example:8443/a.img"


def test_a_checksum_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLECULE_IMAGE_SHA256", "abc")
    with pytest.raises(image.RigError, match="64 hex digits"):
        cloud.wanted_checksum()
    monkeypatch.setenv("MOLECULE_IMAGE_SHA256", " " + "AB" * 32 + "\n")
    assert cloud.wanted_checksum() == "ab" * 32


def disk(path: Path, label: str = "UEFI", kind: str = "raw") -> Path:
    """A disk with a partition table's mark, and an EFI system partition where the rig has its own."""
    image.check_tools(cloud.TOOLS)
    raw = path.with_suffix(".raw")
    with raw.open("wb") as stream:
        stream.truncate(image.ESP_SIZE_MIB * image.MIB)
    subprocess.run(["mkfs.vfat", "-n", label, str(raw)], check=True, stdout=subprocess.DEVNULL)
    partition = raw.read_bytes()[: 3 * image.MIB]
    raw.write_bytes(bytes(510) + b"\x55\xaa" + bytes(image.MIB - 512) + partition)
    if kind != "raw":
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, str(raw), str(path)], check=True)
        raw.unlink()
        return path
    return raw


needs_qemu = pytest.mark.skipif(not all(shutil.which(tool) for tool in ("qemu-img", "mcopy")), reason="needs QEMU and mtools")


@needs_qemu
@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_files_are_cloud_images_unless_the_rig_made_them(mirror: Mirror, tmp_path: Path, kind: str) -> None:
    stock = disk(tmp_path / "stock.img", kind=kind)
    own = disk(tmp_path / "own.img", label=image.ESP_LABEL, kind=kind)
    assert vm.resolve_image(str(stock)) == (stock, True)
    assert vm.resolve_image(str(own)) == (own, False)
    mirror.files = {"/stock.img": stock.read_bytes()}
    assert vm.resolve_image(f"{mirror.url}/stock.img") == (cloud.download_path(f"{mirror.url}/stock.img"), True)


def test_a_name_is_an_image_of_the_rig_even_beside_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "ensure", lambda name: Path("/images") / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "debian12").write_text("")
    assert vm.resolve_image("debian12") == (Path("/images/debian12"), False)


@needs_qemu
def test_what_is_no_disk_is_refused_in_one_sentence(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(image.RigError, match=r"^'/none.img' is neither an image \(debian12, .*\), nor an http\(s\) address, nor a file seen from [^\n]*$"):
        vm.resolve_image("/none.img")
    page = tmp_path / "page.img"
    page.write_bytes(b"<html>" * 1000)
    (tmp_path / "empty.img").write_bytes(b"")
    mirror.files = {"/page.img": page.read_bytes()}
    for name in (str(page), str(tmp_path / "empty.img"), f"{mirror.url}/page.img"):
        with pytest.raises(image.RigError, match=f"^{name} is no bootable disk: [^\n]*$"):
            vm.resolve_image(name)
    stock = disk(tmp_path / "stock.img")
    overlay = tmp_path / "overlay.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(stock), "-F", "raw", str(overlay)], check=True)
    assert vm.resolve_image(str(overlay)) == (overlay, True)
    mirror.files = {"/overlay.qcow2": overlay.read_bytes()}
    with pytest.raises(image.RigError, match="overlay.qcow2 is an overlay of another image"):
        vm.resolve_image(f"{mirror.url}/overlay.qcow2")
    monkeypatch.setenv("MOLECULE_IMAGE_SHA256", "0" * 64)
    with pytest.raises(image.RigError, match="stock.raw has the SHA-256"):
        vm.resolve_image(str(stock))


def seed() -> dict[str, str]:
    return cloud.seed_files("ssh-ed25519 AAAA rig\n", "molecule", vm.MANAGEMENT_MAC, "sriov-rig-1")


def test_cloud_init_is_told_of_the_user_the_key_and_the_counter_of_boots() -> None:
    first, _, rest = seed()["user-data"].partition("\n")
    assert first == "#cloud-config"
    user_data = json.loads(rest)
    assert user_data["users"] == [
        {
            "name": "molecule", "shell": "/bin/sh", "lock_passwd": True, "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": ["ssh-ed25519 AAAA rig"],
        }
    ]  # fmt: skip
    unit = (image.GUEST / "rootfs/etc/systemd/system/rig-boots.service").read_text()
    assert ">>/var/log/rig-boots" in unit
    assert user_data["write_files"] == [
        {"path": "/etc/systemd/system/rig-boots.service", "permissions": "0644", "content": unit}
    ]
    assert user_data["runcmd"] == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "rig-boots.service"],
        ["systemctl", "stop", *cloud.TIMERS],
        ["systemctl", "mask", *cloud.TIMERS],
    ]
    assert json.loads(seed()["meta-data"]) == {"instance-id": "sriov-rig-1", "local-hostname": "rig"}
    assert cloud.new_instance() != cloud.new_instance()


def test_cloud_init_configures_the_management_interface_alone() -> None:
    assert json.loads(seed()["network-config"]) == {
        "version": 2,
        "ethernets": {"management": {"match": {"macaddress": vm.MANAGEMENT_MAC}, "dhcp4": True, "dhcp6": False}},
    }


@needs_qemu
def test_the_seed_is_a_volume_that_cloud_init_looks_for(tmp_path: Path) -> None:
    image.check_tools(cloud.TOOLS)
    volume = tmp_path / "seed.img"
    for _ in range(2):
        cloud.make_seed(volume, seed())
    assert volume.read_bytes()[43:54] == b"CIDATA     "
    for name, content in seed().items():
        found = subprocess.run(["mtype", "-i", str(volume), f"::{name}"], capture_output=True, text=True, check=True)
        assert found.stdout == content


def test_a_cloud_image_gets_the_volume_and_no_credential_of_systemd() -> None:
    rig, stock = vm.Machine("debian12"), vm.Machine("stock.img", seeded=True)
    assert [found for found in devices(stock) if found not in devices(rig)] == ["virtio-blk-pci,drive=seed,addr=0x1e"]
    arguments = vm.qemu_arguments(stock, "CODE.fd", "ssh-ed25519 AAAA rig")
    assert "if=none,id=seed,format=raw,readonly=on,file=seed.img" in arguments
    assert "-smbios" not in arguments
    assert "-smbios" in vm.qemu_arguments(rig, "CODE.fd", "ssh-ed25519 AAAA rig")


@needs_qemu
@pytest.mark.parametrize("seeded", [True, False])
def test_the_disk_of_a_cloud_image_is_grown_in_the_run_folder_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeded: bool) -> None:
    image.check_tools(cloud.TOOLS)
    monkeypatch.setattr(vm, "find_firmware", lambda: ("CODE.fd", str(tmp_path / "VARS.fd")))
    (tmp_path / "VARS.fd").write_bytes(bytes(image.MIB))
    stock = disk(tmp_path / "stock.img", kind="qcow2")
    before = stock.read_bytes()
    run = vm.Run(tmp_path / "run")
    run.prepare(vm.Machine(str(stock), seeded=seeded), stock)
    size = cloud.disk_information(run.directory / "disk.qcow2")["virtual-size"]
    assert size == (10 * 1024 if seeded else 4) * image.MIB
    assert (run.directory / "seed.img").exists() is seeded
    assert stock.read_bytes() == before


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with images that were last used an hour ago."""
    monkeypatch.setenv("SRIOV_ROLE_CACHE", str(tmp_path))
    folder = tmp_path / "images"
    folder.mkdir()
    for name in (
        "debian13-000000000001.qcow2", "debian13-000000000002.qcow2", "debian13-000000000003.qcow2",
        "debian13-sdboot-000000000001.qcow2", "debian13-mine.qcow2", image.image_path("debian13").name,
    ):  # fmt: skip
        (folder / name).write_text(name)
        os.utime(folder / name, (time.time() - 3600,) * 2)
    return folder


def test_superseded_images_go_unless_they_are_in_use(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    current = image.image_path("debian13")
    with contextlib.ExitStack() as stack:
        # As QEMU has the image under a machine's disk.
        handle = stack.enter_context((images / "debian13-000000000001.qcow2").open())
        child = subprocess.Popen(["sleep", "100000"], stdin=handle)
        stack.callback(child.wait)
        stack.callback(child.kill)
        handle.close()
        image.keep(images / "debian13-000000000002.qcow2")
        assert image.ensure("debian13") == current
    assert sorted(path.name for path in images.iterdir()) == sorted([
        "debian13-000000000001.qcow2", "debian13-000000000002.qcow2", "debian13-sdboot-000000000001.qcow2",
        "debian13-mine.qcow2", current.name,
    ])  # fmt: skip
    assert "removed the superseded debian13-000000000003.qcow2" in capsys.readouterr().err
    assert [path.name for path in image.prune("debian13", current)] == ["debian13-000000000001.qcow2"]


def test_the_image_in_hand_counts_as_used_and_a_file_of_the_users_is_not_touched(images: Path, tmp_path: Path) -> None:
    # A file's time may lag behind the clock by a tick of the kernel.
    began = time.time() - 1
    current = image.ensure("debian13")
    assert current.stat().st_mtime >= began
    own = tmp_path / "own.img"
    own.write_text("")
    os.utime(own, (0, 0))
    image.keep(own)
    assert own.stat().st_mtime == 0


@pytest.mark.parametrize(("release", "loader"), [("3.13", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"), ("3.11", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")])
class TestPythonTree:
    """A Python out of packages. Those which it makes are used where the machine's own does not suit a program."""

    @pytest.fixture()
    def packages(self, release: str, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """Play mmdebstrap: a loader that says how it is called, in place of Debian's packages. Returns its calls."""
        monkeypatch.setenv("SRIOV_ROLE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(image, "debian_sources", lambda codename: [image.AptSource("http://mirror.example", codename, ("main",), None)])
        monkeypatch.setattr(image, "apt_transport_options", lambda: [])
        monkeypatch.setattr(image, "check_tools", lambda tools: None)
        calls: list[list[str]] = []

        def run(command: list[str], *_: object) -> None:
            calls.append(command)
            root = tmp_path / "packages"
            for name, content, mode in (
                (loader, '#!/bin/sh\nprintf "%s\\n" "$@"\n', 0o755),
                (f"usr/bin/python{release}", "", 0o755),
                ("usr/bin/perl", "", 0o755),
                (f"usr/lib/python{release}/_sysconfigdata__linux_x86_64-linux-gnu.py", "build = {'WHEEL_PKG_DIR': '/usr/share/python-wheels/'}\n", 0o644),
                ("usr/share/python-wheels/pip.whl", "", 0o644),
                ("etc/passwd", "", 0o644),
            ):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                path.chmod(mode)
            archive = next(word for word in command if word.endswith(".tar"))
            subprocess.run(["tar", "-C", str(root), "-cf", archive, "."], check=True)

        monkeypatch.setattr(image, "run_logged", run)
        return calls

    def test_is_started_with_the_loader_and_the_libraries_of_its_tree_under_the_name_it_was_called_by(
        self, packages: list[list[str]], release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert python_tree.main(["path", release]) == 0
        program = Path(capsys.readouterr().out.strip())
        assert not program.exists() and packages == []
        assert python_tree.main(["ensure", release]) == 0
        assert capsys.readouterr().out == f"{program}\n"
        tree = program.parents[2]
        link = tmp_path / "python"
        link.symlink_to(program)
        said = subprocess.run([str(link), "-c", "two words"], capture_output=True, text=True, check=True).stdout.splitlines()
        assert said == [
            "--library-path", f"{tree}/usr/lib/x86_64-linux-gnu:{tree}/lib/x86_64-linux-gnu", "--argv0", str(link), f"{program}.real", "-c", "two words",
        ]  # fmt: skip
        assert not (tree / "etc").exists() and not (tree / "usr/bin/perl").exists()
        data: dict[str, dict[str, str]] = {}
        exec(next(tree.glob(f"usr/lib/python{release}/_sysconfigdata_*")).read_text(), data)
        assert list(Path(data["build"]["WHEEL_PKG_DIR"]).iterdir()) == [tree / "usr/share/python-wheels/pip.whl"]

    def test_is_made_once(self, packages: list[list[str]], release: str) -> None:
        python_tree.ensure(release)
        python_tree.ensure(release)
        assert len(packages) == 1
        assert packages[0][-1] == f"deb http://mirror.example {python_tree.CODENAMES[release]} main"

    def test_a_failure_is_told_and_leaves_nothing(
        self, packages: list[list[str]], release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object) -> None:
            raise image.RigError("no mirror answers")

        monkeypatch.setattr(image, "run_logged", fail)
        assert python_tree.main(["ensure", release]) == 1
        assert capsys.readouterr().err == "rig: no mirror answers\n"
        assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


@pytest.mark.long
def test_tasks_note_their_times_and_nothing_is_shown_of_it(tmp_path: Path) -> None:
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "tasks": [
            {"name": "One", "ansible.builtin.debug": {}, "changed_when": True, "notify": "two"},
            {"name": "Not", "ansible.builtin.debug": {}, "when": False},
            {"name": "Wrong", "ansible.builtin.fail": {}, "ignore_errors": True},
            {"name": "Away", "ansible.builtin.raw": "true", "vars": {"ansible_connection": "ssh", "ansible_port": 1}, "ignore_unreachable": True},
        ],
        "handlers": [{"name": "two", "ansible.builtin.debug": {}}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    notes = tmp_path / "notes"

    def played(environment: dict[str, str]) -> str:
        command = ["ansible-playbook", "-i", "localhost,", str(tmp_path / "play.yml")]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false", **environment}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=hang.SECONDS)
        return done.stdout

    plain = played({})
    before = time.time()
    callback = str(image.GUEST.parent / "callback")
    timed = played({"ANSIBLE_CALLBACK_PLUGINS": callback, "ANSIBLE_CALLBACKS_ENABLED": "task_times", "SRIOV_ROLE_TASK_TIMES": str(notes)})
    assert timed == plain
    assert "UNREACHABLE!" in timed
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    times = [line.pop("at") for line in lines]
    times = [before, *times, time.time()]
    assert times == sorted(times)
    begun = [("One", "debug"), ("Not", "debug"), ("Wrong", "fail"), ("Away", "raw"), ("two", "debug")]
    assert lines == [note for task, action in begun for note in ({"task": task, "action": f"ansible.builtin.{action}"}, {})]
