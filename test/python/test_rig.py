"""The parts of the VM rig that need no VM: a machine and its processes."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import hang
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import host
import vm
from images import recipes
from machine import kvm, process, qemu, wait
from machine.qemu import Machine
from machine.run import Run


def devices(machine: Machine) -> list[str]:
    arguments = qemu.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    return [value for option, value in zip(arguments, arguments[1:]) if option == "-device"]


def option(machine: Machine, name: str) -> str:
    arguments = qemu.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    return arguments[arguments.index(name) + 1]


def test_each_pf_has_its_own_root_port_that_stays_when_the_pf_is_missing() -> None:
    whole = devices(Machine("debian12", pfs=3))
    without = devices(Machine("debian12", pfs=3, missing=(2,)))
    ports = [device for device in whole if device.startswith("pcie-root-port")]
    assert [dict(part.split("=") for part in port.split(",")[1:])["addr"] for port in ports] == ["0x2", "0x3", "0x4"]
    assert [device for device in without if device.startswith("pcie-root-port")] == ports
    assert set(whole) - set(without) == {"igb,id=pf2,bus=port2,netdev=wire2,mac=52:54:00:5a:01:02,romfile="}


def test_a_card_with_two_ports_has_two_functions_with_separate_addresses_and_hubs() -> None:
    machine = Machine("debian12", pfs=2, missing=(2,), connection_pf=True, functions=2)
    assert [device for device in devices(machine) if device.startswith("igb,")] == [
        "igb,id=pf3,bus=port3,netdev=management,mac=52:54:00:5a:00:01,romfile=",
        "igb,id=pf1,bus=port1,netdev=wire1,mac=52:54:00:5a:01:01,romfile=,addr=0.0,multifunction=on,x-pcie-ari-nextfn-1=on",
        "igb,id=pf1.1,bus=port1,netdev=wire1.1,mac=52:54:00:5a:02:01,romfile=,addr=0.1",
    ]
    arguments = qemu.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    assert [argument for argument in arguments if argument.startswith("hubport,")] == [
        "hubport,id=wire1,hubid=1", "hubport,id=wire1.1,hubid=17", "hubport,id=wire2,hubid=2", "hubport,id=wire2.1,hubid=18",
    ]  # fmt: skip


def test_no_two_pfs_have_the_same_address_or_hub() -> None:
    machine = Machine("debian12", pfs=qemu.MAX_PFS, connection_pf=True, functions=qemu.MAX_FUNCTIONS)
    arguments = ",".join(qemu.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")).split(",")
    for key, count in (("mac=", qemu.MAX_PFS * qemu.MAX_FUNCTIONS + 1), ("hubid=", qemu.MAX_PFS * qemu.MAX_FUNCTIONS)):
        values = [argument for argument in arguments if argument.startswith(key)]
        assert len(values) == len(set(values)) == count


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--ports", "0"], "a card has 1 to 2 ports"),
        (["--ports", "3"], "a card has 1 to 2 ports"),
        (["--pf", "17"], "0 to 16 cards"),
        (["--iommu", "amd", "--connection-pf"], "an emulated PF passes no traffic behind the emulated AMD IOMMU"),
        (["--no-vf-driver"], "--no-vf-driver needs --wait"),
    ],
)
def test_a_machine_that_cannot_be_is_refused_before_anything_is_made(
    arguments: list[str],
    refusal: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Where the refusal is missing, no machine may be started here.
    monkeypatch.setattr(kvm, "choose_accelerator", lambda wanted: pytest.fail("not refused"))
    assert vm.main(["start", "--dir", str(tmp_path / "run"), *arguments]) == 1
    assert capsys.readouterr().err.startswith(f"rig: {refusal}")
    assert not (tmp_path / "run").exists()


class MonitorOfQemu:
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
    run = Run(tmp_path)
    machine = Machine("debian12", functions=2)
    monkeypatch.setattr(run, "machine", lambda: machine)
    monkeypatch.setattr(run, "running", lambda: True)
    monitor = MonitorOfQemu(tmp_path)
    try:
        run.unplug(2, 5)
        run.plug(2)
        with pytest.raises(host.RigError, match="this machine has slots for card 1 to 2"):
            run.plug(3)
    finally:
        monitor.server.close()
    devices = [command["arguments"] for command in monitor.asked if command["execute"] != "qmp_capabilities"]
    assert devices == [{"id": "pf2"}, *reversed(qemu.card_devices(2, 2))]
    assert [device.get("addr") for device in devices] == [None, "0.1", "0.0"]


def test_a_machine_started_by_an_older_rig_has_cards_with_one_port(tmp_path: Path) -> None:
    (tmp_path / "vm.json").write_text('{"machine": {"image": "x", "pfs": 2, "missing": [2]}, "processes": []}')
    assert Run(tmp_path).machine() == Machine("x", pfs=2, missing=(2,), functions=1)


def test_a_cloud_image_gets_the_volume_and_no_credential_of_systemd() -> None:
    rig, stock = Machine("debian12"), Machine("stock.img", seeded=True)
    assert [found for found in devices(stock) if found not in devices(rig)] == ["virtio-blk-pci,drive=seed,addr=0x1e"]
    arguments = qemu.qemu_arguments(stock, "CODE.fd", "ssh-ed25519 AAAA rig")
    assert "if=none,id=seed,format=raw,readonly=on,file=seed.img" in arguments
    assert "-smbios" not in arguments
    assert "-smbios" in qemu.qemu_arguments(rig, "CODE.fd", "ssh-ed25519 AAAA rig")


@pytest.mark.parametrize(
    ("iommu", "device", "vendor", "split"),
    [
        ("intel", "intel-iommu,intremap=on,caching-mode=on", "GenuineIntel", True),
        ("amd", "amd-iommu,intremap=off", "AuthenticAMD", False),
        ("none", None, "GenuineIntel", False),
        ("none-amd", None, "AuthenticAMD", False),
    ],
)
def test_the_iommu_decides_machine_and_vendor(iommu: str, device: str | None, vendor: str, split: bool) -> None:
    machine = Machine("debian12", iommu=iommu)
    assert [found for found in devices(machine) if "iommu" in found] == ([device] if device else [])
    assert option(machine, "-cpu") == f"max,vendor={vendor}"
    assert ("kernel-irqchip=split" in option(machine, "-machine")) is split


def test_only_kvm_shows_the_guest_the_cpu_of_the_host() -> None:
    machine = Machine("debian12", accel="kvm")
    assert (option(machine, "-accel"), option(machine, "-cpu")) == ("kvm", "host,vendor=GenuineIntel")


@pytest.mark.parametrize(("through_pf", "driver"), [(False, "virtio-net-pci"), (True, "igb")])
def test_the_connection_has_the_management_address_over_every_carrier(through_pf: bool, driver: str) -> None:
    found = [
        device for device in devices(Machine("debian12", pfs=2, connection_pf=through_pf)) if "=management" in device
    ]
    assert len(found) == 1
    assert found[0].startswith(f"{driver},")
    assert f"mac={qemu.MANAGEMENT_MAC}" in found[0]
    assert ("bus=port3" in found[0]) is through_pf


def test_ssh_and_monitor_are_reachable_from_this_machine_only() -> None:
    machine = Machine("debian12", port=20123)
    assert "hostfwd=tcp:127.0.0.1:20123-:22" in option(machine, "-netdev")
    assert option(machine, "-qmp").startswith("unix:qmp.sock,")


def test_the_public_key_reaches_the_guest_as_a_credential_of_systemd() -> None:
    name, _, value = qemu.key_credential("ssh-ed25519 AAAA rig\n").partition("=")
    assert name == "io.systemd.credential.binary:tmpfiles.extra"
    assert base64.b64decode(value).decode() == (
        "f /home/molecule/.ssh/authorized_keys 0600 molecule molecule - ssh-ed25519 AAAA rig\n"
    )


def test_a_process_is_the_same_only_with_the_same_start() -> None:
    child = subprocess.Popen(["sleep", "100000"])
    try:
        start = process.process_start(child.pid)
        assert start is not None
        recycled = process.Process(child.pid, start - 1)
        assert process.Process(child.pid, start).alive()
        assert not recycled.alive()
        recycled.signal(9)
        with pytest.raises(subprocess.TimeoutExpired):
            # It continues, so this ends by its time on any machine.
            child.wait(timeout=0.3)
        process.Process(child.pid, start).signal(9)
        assert child.wait(hang.SECONDS) == -9
    finally:
        child.kill()
        child.wait()
    assert process.process_start(child.pid) is None


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    start = process.process_start(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.process_start(child.pid) is None
    assert start is None or not process.Process(child.pid, start).alive()
    child.wait()


def test_a_leased_port_stays_taken_until_the_last_holder_closes_it(tmp_path: Path) -> None:
    port, lease = process.lease_port(tmp_path)
    assert port in process.PORTS
    with pytest.raises(host.RigError, match=str(port)):
        process.lease_port(tmp_path, port)
    inherited = os.dup(lease)
    os.close(lease)
    with pytest.raises(host.RigError):
        process.lease_port(tmp_path, port)
    os.close(inherited)
    assert process.lease_port(tmp_path, port)[0] == port


def test_a_port_in_use_by_others_is_not_leased(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(host.RigError, match="no free port"):
            process.lease_port(tmp_path, other.getsockname()[1])


def test_a_wait_ends_and_reports_what_was_awaited() -> None:
    with pytest.raises(host.RigError, match="waited for the moon: not within 0 s"):
        wait.wait_until(lambda: False, "the moon", 0.2, pause=0.05)


def test_a_wait_for_a_machine_that_ended_shows_its_console(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (tmp_path / "vm.json").write_text('{"machine": {"image": "x", "missing": []}, "processes": []}')
    (tmp_path / "qemu.log").write_text("")
    (tmp_path / "console.log").write_text("Kernel panic - not syncing\r\n")
    with pytest.raises(host.RigError, match=r"the machine has ended\n---- console.log starts here ----\nKernel panic"):
        wait.wait_until(lambda: False, "ssh", 60, run)


def test_steps_of_scenarios_can_have_the_commands_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads((recipes.GUEST.parents[1] / "shared" / "steps.schema.json").read_text())
    words = schema["definitions"]["step"]["properties"]["rig"]["items"]["allOf"][0]["items"][0]["enum"]
    with pytest.raises(SystemExit):
        vm.main(["--help"])
    commands = re.search(r"\{([a-z,-]+)\}", capsys.readouterr().out)
    assert commands is not None
    assert sorted(words) == sorted(commands.group(1).split(","))


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
            {
                "name": "Away",
                "ansible.builtin.raw": "true",
                "vars": {"ansible_connection": "ssh", "ansible_port": 1},
                "ignore_unreachable": True,
            },
        ],
        "handlers": [{"name": "two", "ansible.builtin.debug": {}}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    notes = tmp_path / "notes"

    def played(environment: dict[str, str]) -> str:
        command = ["ansible-playbook", "-i", "localhost,", str(tmp_path / "play.yml")]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_LOCALHOST_WARNING": "false", **environment}
        done = subprocess.run(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=hang.SECONDS,
        )
        return done.stdout

    plain = played({})
    before = time.time()
    callback = str(recipes.GUEST.parent / "callback")
    timed = played(
        {
            "ANSIBLE_CALLBACK_PLUGINS": callback,
            "ANSIBLE_CALLBACKS_ENABLED": "task_times",
            "SRIOV_ROLE_TASK_TIMES": str(notes),
        }
    )
    assert timed == plain
    assert "UNREACHABLE!" in timed
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    times = [line.pop("at") for line in lines]
    times = [before, *times, time.time()]
    assert times == sorted(times)
    begun = [("One", "debug"), ("Not", "debug"), ("Wrong", "fail"), ("Away", "raw"), ("two", "debug")]
    assert lines == [
        note for task, action in begun for note in ({"task": task, "action": f"ansible.builtin.{action}"}, {})
    ]
