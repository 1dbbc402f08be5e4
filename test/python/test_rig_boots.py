"""Starts and boots of a machine of the VM rig, played by a stand-in for QEMU."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hang
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import host
import vm
from images import cloud
from machine import kvm, qemu
from machine.run import Run

# A QEMU whose Nth start says on the console what the file N of the folder in $STARTS has, and has an ssh server if that
# ends with "login:".
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
case "$*" in
*boot_id*) echo 12345678 ;;
*is-system-running*) {units} ;;
*igbvf*) echo kept out >> "$STARTS/vf-driver"; exit ${{VF_DRIVER_CODE:-0}} ;;
esac
"""

NO_TIMER = "[    0.15] Kernel panic - not syncing: timer doesn't work through Interrupt-remapped IO-APIC"
NO_CONSOLE = "Cannot open access to console, the root account is locked."


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Run]]:
    """Makes a run folder for a machine whose starts say the given texts on the console."""
    programs = tmp_path / "bin"
    programs.mkdir()

    def tool(command: list[str]) -> None:
        for name in ("key", "key.pub") if command[0] == "ssh-keygen" else ():
            (tmp_path / "run" / name).write_text("ssh-ed25519 AAAA rig\n")

    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    monkeypatch.setattr(host, "run_tool", tool)
    monkeypatch.setattr(qemu, "find_firmware", lambda: ("CODE.fd", "VARS.fd"))
    monkeypatch.setattr(kvm, "choose_accelerator", lambda wanted: "tcg")
    monkeypatch.setattr(vm, "resolve_image", lambda name: (Path(name), False))
    monkeypatch.setattr(
        cloud, "disk_information", lambda disk: {"virtual-size": 1, "format": "raw", "full-backing-filename": "x"}
    )
    run = Run(tmp_path / "run")

    def make(*texts: str) -> Run:
        (tmp_path / "starts").mkdir()
        for number, text in enumerate(texts, 1):
            (tmp_path / "starts" / str(number)).write_text(text)
        for name, text in (
            ("qemu-system-x86_64", f"#!{sys.executable}\n{STAND_IN_QEMU}"),
            ("ssh", STAND_IN_SSH.format(units="echo running")),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        return run

    yield make
    run.stop()


def started(run: Run) -> int:
    return len(list((run.directory.parent / "starts").glob("started.*")))


def rig(run: Run, command: str, *arguments: str) -> int:
    return vm.main([command, "--dir", str(run.directory), *arguments])


WAIT = ("--wait", str(hang.SECONDS))


def test_a_panic_in_the_first_boot_is_reported_and_the_machine_started_once_more(
    guest: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = guest(f"{NO_TIMER}\r\n", "rig login:")
    assert rig(run, "start", *WAIT) == 0
    assert (
        "rig: started once more, with a new disk, because of a panic in the first boot; waited for ssh: the guest printed"
        f" {NO_TIMER!r}\n---- console.log starts here ----\n{NO_TIMER}\n---- console.log ends here ----\nrig: ssh after "
    ) in capsys.readouterr().err
    assert started(run) == 2


def test_the_driver_of_vfs_is_kept_out_once_the_guest_has_booted(
    guest: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = guest(NO_TIMER, "rig login:", "rig login:")
    kept = run.directory.parent / "starts" / "vf-driver"
    assert rig(run, "start", *WAIT, "--no-vf-driver") == 0
    # Of the machine whose disk stays, and no other.
    assert kept.read_text() == "kept out\n"
    run.stop()
    monkeypatch.setenv("VF_DRIVER_CODE", "3")
    assert rig(run, "start", *WAIT, "--no-vf-driver") == 1
    assert capsys.readouterr().err.endswith("rig: the guest did not keep the VFs' driver from loading: exit code 3\n")


def test_the_driver_of_vfs_loads_by_itself(guest: Callable[..., Run]) -> None:
    run = guest("rig login:")
    assert rig(run, "start", *WAIT) == 0
    assert not (run.directory.parent / "starts" / "vf-driver").exists()


def test_a_second_panic_is_a_failure(guest: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = guest(NO_TIMER, f"second\n{NO_TIMER}", "rig login:")
    assert rig(run, "start", *WAIT) == 1
    assert (
        f"---- console.log starts here ----\nsecond\n{NO_TIMER}\n"
        in capsys.readouterr().err.partition("\nrig: waited for ssh: ")[2]
    )
    assert started(run) == 2


@pytest.mark.parametrize("text", ["You are in emergency mode. After logging in, type", NO_CONSOLE])
def test_a_guest_in_emergency_mode_is_a_failure_at_once(
    text: str, guest: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = guest(f"\r\n{text}\r\nPress Enter", "rig login:")
    assert rig(run, "start", *WAIT) == 1
    assert (
        f"rig: waited for ssh: the guest printed {text!r}\n---- console.log starts here ----\n\n{text}\nPress Enter"
        in capsys.readouterr().err
    )
    assert started(run) == 1


def test_a_panic_while_the_guest_starts_its_units_is_noticed(
    guest: Callable[..., Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = guest("rig login:", "rig login:", "rig login:")
    assert rig(run, "start", *WAIT) == 0
    program = run.directory.parent / "bin" / "ssh"
    late = f"echo 'Kernel panic - not syncing: late' >> {run.directory}/console.log; exec sleep 100000"
    program.write_text(STAND_IN_SSH.format(units=late))
    assert rig(run, "restart", *WAIT) == 1
    assert (
        "rig: waited for the guest to start all units: the guest printed 'rig login:Kernel panic - not syncing: late'\n----"
        in capsys.readouterr().err
    )
    # Not a first boot, so that what was on the disk would be lost.
    assert started(run) == 2


def test_what_earlier_boots_said_is_over(guest: Callable[..., Run], capsys: pytest.CaptureFixture[str]) -> None:
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
