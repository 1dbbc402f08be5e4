"""A run folder and the machine in it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import host
from host import HANG_SECONDS, RigError, tail_between_markers
from images import cloud, store

from machine import qemu
from machine.connectx import ConnectX
from machine.process import Process, lease_directory, lease_port, process_start
from machine.qemu import Machine, card_devices
from machine.qmp import Monitor
from machine.wait import DEAD_ENDS, wait_until


class Run:
    """A run folder and the machine in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.key = self.directory / "key"

    def _state(self) -> dict[str, Any]:
        path = self.directory / "vm.json"
        if not path.exists():
            raise RigError(f"no machine was started in {self.directory}")
        state: dict[str, Any] = json.loads(path.read_text())
        return state

    def machine(self) -> Machine:
        """Return how the machine was last started."""
        return self.read_machine(self._state()["machine"])

    @staticmethod
    def read_machine(stored: dict[str, Any]) -> Machine:
        """Return a machine from its form in JSON."""
        cards = tuple(ConnectX(**card) for card in stored.get("connectx", ()))
        return Machine(**{**stored, "missing": tuple(stored["missing"]), "connectx": cards})

    def _write_state(self, machine: Machine, processes: list[Process]) -> None:
        state = {
            "machine": dataclasses.asdict(machine),
            "processes": [dataclasses.asdict(process) for process in processes],
        }
        partial = self.directory / "vm.json.partial"
        partial.write_text(json.dumps(state, indent=2))
        os.replace(partial, self.directory / "vm.json")

    def processes(self) -> list[Process]:
        """Return the processes of the machine: QEMU and what bounds its life."""
        return [Process(**process) for process in self._state()["processes"]]

    def running(self) -> bool:
        """Tell whether the machine runs."""
        return any(process.alive() for process in self.processes())

    def logs(self) -> str:
        """Return the tails of what QEMU and the guest said."""
        texts = []
        if (self.directory / "qemu.log").stat().st_size:
            texts.append(tail_between_markers(self.directory / "qemu.log"))
        return "\n".join([*texts, tail_between_markers(self.directory / "console.log", 60)])

    def note_boot(self) -> None:
        """Note where the console of a boot begins: what it printed in earlier ones no longer counts."""
        console = self.directory / "console.log"
        console.touch()
        (self.directory / "console.start").write_text(str(console.stat().st_size))

    def dead_end(self) -> str | None:
        """Return the line of the console, since the last start or reset, after which the guest cannot continue.

        None while there is none.
        """
        with contextlib.suppress(FileNotFoundError, ValueError), (self.directory / "console.log").open("rb") as console:
            console.seek(int((self.directory / "console.start").read_text()))
            lines = console.read().decode(errors="replace").splitlines()
            return next((line.strip() for line in lines if any(sign in line for sign in DEAD_ENDS)), None)
        return None

    def monitor(self) -> Monitor:
        """Connect to the monitor of the running machine."""
        if not self.running():
            raise RigError(f"the machine of {self.directory} does not run")
        return Monitor(self.directory)

    def ssh_command(self, *words: str) -> list[str]:
        """Return the ssh command line that runs words in the guest."""
        return [
            *("ssh", "-F", "none", "-p", str(self.machine().port), "-i", str(self.key), "-o", "IdentitiesOnly=yes"),
            *("-o", f"UserKnownHostsFile={self.directory / 'known_hosts'}", "-o", "StrictHostKeyChecking=accept-new"),
            *("-o", "ConnectTimeout=30", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *(f"{qemu.USER}@127.0.0.1", *words),
        ]

    def prepare(self, machine: Machine, disk: Path) -> None:
        """Make the folder: key pair, overlay of the image, UEFI variables, and the volume of cloud-init."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.key.exists():
            host.run_tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sriov-rig", "-f", str(self.key)])
        overlay = self.directory / "disk.qcow2"
        known = cloud.disk_information(disk)
        size = max(known["virtual-size"], cloud.DISK_GIB << 30) if machine.seeded else known["virtual-size"]
        backing = ["-b", str(disk), "-F", known["format"]]
        host.run_tool(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(overlay), str(size)])
        if machine.seeded:
            public_key = self.key.with_suffix(".pub").read_text()
            files = cloud.seed_files(public_key, qemu.USER, qemu.MANAGEMENT_MAC, cloud.new_instance())
            cloud.make_seed(self.directory / "seed.img", files)
        variables = self.directory / "vars.qcow2"
        host.run_tool(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", qemu.find_firmware()[1], str(variables)])
        (self.directory / "console.log").write_bytes(b"")
        # The guest makes its keys in its first boot.
        (self.directory / "known_hosts").unlink(missing_ok=True)

    def keep_image(self) -> None:
        """Keep the image under the machine's disk from being removed as superseded for a while."""
        backing = cloud.disk_information(self.directory / "disk.qcow2")["full-backing-filename"]
        store.keep(Path(backing))

    def launch(self, machine: Machine) -> Machine:
        """Start QEMU on a prepared folder; return the machine as started, with its port."""
        port, lease = lease_port(lease_directory(), machine.port or None)
        machine = dataclasses.replace(machine, port=port)
        public_key = self.key.with_suffix(".pub").read_text()
        arguments = qemu.qemu_arguments(machine, qemu.find_firmware()[0], public_key)
        # A new id for each start, which a reboot keeps: it shows a power cycle to the firmware of the rig's cards.
        arguments += ["-uuid", str(uuid.uuid4())] if machine.connectx else []
        if machine.bmc:
            keeper = Path(__file__).with_name("bmc.py")
            arguments = [sys.executable, str(keeper), str(self.directory), json.dumps(dataclasses.asdict(machine))]
        for leftover in ("qmp.sock", "qemu.pid"):
            (self.directory / leftover).unlink(missing_ok=True)
        self.note_boot()
        try:
            bound = self._spawn(["timeout", "--kill-after=10", str(machine.lifetime), *arguments], lease)
        finally:
            os.close(lease)
        started = Process(bound.pid, process_start(bound.pid) or 0)
        self._write_state(machine, [started])
        try:
            found = wait_until(lambda: self._qemu_process(bound), "QEMU to start", HANG_SECONDS)
        except BaseException:
            started.signal(signal.SIGTERM)
            raise
        self._write_state(machine, [started, found])
        (self.directory / "port").write_text(f"{port}\n")
        return machine

    def _spawn(self, command: list[str], lease: int) -> subprocess.Popen[bytes]:
        """Start QEMU under what bounds the life of a machine that is never stopped; both hold the lease of the port."""
        with (self.directory / "qemu.log").open("wb") as output:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lease,),
            )

    def _qemu_process(self, bound: subprocess.Popen[bytes]) -> Process | None:
        """Return QEMU's own process once it has written its id; RigError when it has ended."""
        if bound.poll() is not None:
            log = tail_between_markers(self.directory / "qemu.log")
            raise RigError(f"QEMU ended at once with {bound.returncode}\n{log}")
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.directory / "qemu.pid").read_text())
            start = process_start(pid)
            if start is not None:
                return Process(pid, start)
        return None

    def stop(self) -> None:
        """End the machine without asking the guest, and wait until its processes have ended."""
        if not (self.directory / "vm.json").exists():
            return
        if self.running():
            with contextlib.suppress(RigError, OSError, ValueError), self.monitor() as monitor:
                monitor.execute("quit")
        for number, patience in ((signal.SIGTERM, 60), (signal.SIGKILL, HANG_SECONDS)):
            deadline = time.monotonic() + patience
            while self.running() and time.monotonic() < deadline:
                time.sleep(0.1)
            if not self.running():
                return
            for process in self.processes():
                process.signal(number)
        time.sleep(1)
        if self.running():
            raise RigError(f"the machine of {self.directory} does not end")

    def wait_ssh(self, timeout: float, other_than: str | None = None) -> str:
        """Wait until ssh works, in another boot than given if one is given; return the boot id."""
        what = "ssh" + (" after a reboot" if other_than else "")

        def other_boot() -> str | None:
            seen = self._boot_id()
            return seen if seen != other_than else None

        return str(wait_until(other_boot, what, timeout, self))

    def _boot_id(self) -> str | None:
        """Return the id of the guest's boot, or None while ssh does not work."""
        if not self._greets():
            return None
        command = self.ssh_command("cat", "/proc/sys/kernel/random/boot_id")
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            # A connection of a machine that has shut down meanwhile; the next one may be answered.
            return None
        return result.stdout.strip() or None if result.returncode == 0 else None

    def _greets(self) -> bool:
        """Tell whether an ssh server answers, which costs less than a connection that fails."""
        try:
            with socket.create_connection(("127.0.0.1", self.machine().port), 5) as connection:
                connection.settimeout(10)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def unplug(self, number: int, timeout: float) -> None:
        """Take a card out of the running machine and wait until the guest has released it."""
        devices = [device["id"] for device in card_devices(number, self.machine().functions)]
        with self.monitor() as monitor:
            # The guest releases all functions of a slot.
            monitor.execute("device_del", id=devices[0])
            try:
                monitor.wait_events("DEVICE_DELETED", devices, timeout)
            except TimeoutError:
                raise RigError(
                    f"the guest did not release card {number} within {timeout:.0f} s\n{self.logs()}"
                ) from None

    def plug(self, number: int) -> None:
        """Put a card into its slot of the running machine."""
        machine = self.machine()
        if not 1 <= number <= machine.pfs or number in {card.slot for card in machine.connectx}:
            raise RigError(f"this machine has slots for card 1 to {machine.pfs}")
        with self.monitor() as monitor:
            # The guest finds the card when function 0 is there, so that comes last.
            for device in reversed(card_devices(number, machine.functions)):
                monitor.execute("device_add", **device)
