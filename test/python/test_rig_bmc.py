"""The rig's machine with a BMC, without a machine: what QEMU is started with, and when it is started again."""

import dataclasses
import json
import socket
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import vm
from host import RigError
from machine import bmc, qemu
from machine.qmp import Monitor
from machine.run import Run

WITH_BMC = qemu.Machine("debian12", bmc="dell")


def arguments(machine: qemu.Machine) -> str:
    return " ".join(qemu.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig"))


def test_a_machine_with_a_bmc_ends_when_its_guest_reboots_and_is_the_one_that_the_bmc_names() -> None:
    found = arguments(WITH_BMC)
    assert "-action reboot=shutdown" in found and "unix:power.sock" in found
    assert f"-uuid {qemu.IDENTITY['uuid']}" in found and f"type=1,serial={qemu.IDENTITY['serial']}" in found


def test_a_machine_without_a_bmc_reboots_by_itself() -> None:
    found = arguments(qemu.Machine("debian12"))
    assert "-action" not in found and "-uuid" not in found and "power.sock" not in found


@pytest.mark.parametrize("shape", sorted(bmc.IOMMU))
def test_the_iommu_follows_the_setting_of_the_bios(shape: str) -> None:
    machine = qemu.Machine("debian12", bmc=shape)
    name, value = bmc.IOMMU[shape]
    shown = bmc.fake_bmc.shapes.SHAPES[shape].attributes
    assert shown[name] != value and "intel-iommu" not in arguments(bmc.as_the_bios_says(machine, shown))
    assert "intel-iommu" in arguments(bmc.as_the_bios_says(machine, {**shown, name: value}))


def test_the_bmc_has_the_identity_of_the_machine_and_takes_faults_and_settings(tmp_path: Path) -> None:
    run = Run(tmp_path)
    bmc.start(run, WITH_BMC)
    bmc.change(run, ["ignored"], {"ProcVirtualization": "Enabled"})
    state = json.loads((tmp_path / "bmc" / "state.json").read_text())
    assert state["host"] == qemu.IDENTITY and state["faults"] == ["ignored"]
    assert state["attributes"]["ProcVirtualization"] == "Enabled"


@pytest.mark.parametrize(
    "events, reason",
    [
        ([{"event": "RESUME"}, {"event": "SHUTDOWN", "data": {"guest": True, "reason": "guest-reset"}}], "guest-reset"),
        ([{"event": "SHUTDOWN", "data": {"guest": False, "reason": "host-qmp-quit"}}], "host-qmp-quit"),
        ([{"event": "STOP"}], ""),
    ],
)
def test_the_monitor_tells_why_qemu_has_ended(tmp_path: Path, events: list[object], reason: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "power.sock"))
    listener.listen()

    def serve() -> None:
        connection, _address = listener.accept()
        with connection, connection.makefile("rw") as stream:
            stream.write('{"QMP": {}}\n')
            stream.flush()
            # The next line is the monitor's; it would be lost with the connection, and reset it.
            buffered = connection.recv(4096)
            assert b"qmp_capabilities" in buffered
            for message in [{"return": {}}, *events]:
                stream.write(json.dumps(message) + "\n")

    server = threading.Thread(target=serve)
    server.start()
    with Monitor(tmp_path, None, "power.sock") as monitor:
        assert monitor.shutdown_reason() == reason
    server.join()
    listener.close()


# A QEMU that ends with the next reason of a list, and notes whether it was given an IOMMU.
PLAYED = """#!{python}
import json, socket, sys
notes = {notes!r}
reasons = json.load(open(notes))
reason = reasons["left"].pop(0)
reasons["iommu"].append(any("intel-iommu" in word for word in sys.argv))
json.dump(reasons, open(notes, "w"))
listener = socket.socket(socket.AF_UNIX)
listener.bind("power.sock")
listener.listen()
connection, _address = listener.accept()
connection.sendall(b'{{"QMP": {{}}}}\\n')
connection.recv(4096)
connection.sendall(b'{{"return": {{}}}}\\n')
connection.sendall((json.dumps({{"event": "SHUTDOWN", "data": {{"reason": reason}}}}) + "\\n").encode())
"""


def test_a_reboot_starts_the_machine_as_the_bios_then_says_and_an_end_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, notes = Run(tmp_path / "run"), tmp_path / "notes.json"
    run.directory.mkdir()
    (run.directory / "key.pub").write_text("ssh-ed25519 AAAA rig")
    notes.write_text(
        json.dumps({"left": ["guest-reset", "host-qmp-system-reset", "guest-shutdown", "unused"], "iommu": []})
    )
    program = tmp_path / "bin" / "qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(PLAYED.format(python=sys.executable, notes=str(notes)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(qemu, "find_firmware", lambda: ("CODE.fd", "VARS.fd"))
    bmc.start(run, WITH_BMC)
    with bmc.fake_bmc.state_of(run.directory / "bmc") as state:
        state.update(pending={"ProcVirtualization": "Enabled"}, job="JID_001")
    monkeypatch.setattr(sys, "argv", ["bmc.py", str(run.directory), json.dumps(dataclasses.asdict(WITH_BMC))])
    assert bmc.main() == 0
    assert json.loads(notes.read_text()) == {"left": ["unused"], "iommu": [False, True, True]}
    state = json.loads((run.directory / "bmc" / "state.json").read_text())
    assert (state["boots"], state["job"], state["attributes"]["ProcVirtualization"]) == (2, None, "Enabled")
    assert int((run.directory / "bmc" / "port").read_text()) > 0


def test_qemu_that_ends_at_once_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RigError, match="ended at once with 3"):
        bmc.run_once(tmp_path, ["sh", "-c", "exit 3"])


def test_a_bmc_needs_the_iommu_that_it_turns_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vm.main(["start", "--dir", str(tmp_path / "run"), "--iommu", "amd", "--bmc", "dell"]) == 1
    assert capsys.readouterr().err.startswith("rig: --bmc needs --iommu intel")


def test_the_bmc_of_a_fault_that_it_cannot_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such fault: nonsense"):
        bmc.fake_bmc.make(tmp_path, "dell", qemu.IDENTITY, ("nonsense",))
