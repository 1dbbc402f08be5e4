#!/usr/bin/env python3
"""Start, change and stop one virtual machine with emulated SR-IOV network cards.

Everything of a machine is in its run folder (--dir): overlay disk, UEFI variables, key
pair, sockets, console log and vm.json, which says how it was started. Commands on a
running machine need no more than that folder.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import dataclasses
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cloud
import image
from cloud import run_tool
from image import RigError, say, tail_between_markers

MANAGEMENT_MAC = "52:54:00:5a:00:01"
USER = "molecule"
PORTS = range(20022, 21022)

# One root port per slot of the root bus, so that card n is at 0000:0n:00 in every guest.
FIRST_ROOT_PORT_SLOT = 2
MANAGEMENT_SLOT = 0x1C
DISK_SLOT = 0x1D
# Behind the disk, so that the disk is /dev/vda.
SEED_SLOT = 0x1E
MAX_PFS = 16
# Where VFs may have functions of their own (ARI), a function says which is the next. QEMU's functions can name no other than 1.
MAX_FUNCTIONS = 2

FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
)


# What a guest's console says when no ssh will come any more: the kernel's panic() and systemd's emergency shell, with util-linux's
# words where root has no password for it.
PANIC = "Kernel panic - not syncing"
DEAD_ENDS = (PANIC, "You are in emergency mode", "Cannot open access to console, the root account is locked")


class GuestPanic(RigError):
    """The guest's kernel has stopped."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """How a machine is started.

    Cards are numbered from 1; `missing` are those not plugged in. A card has one PF for each of
    its `functions`, which are the network ports it has. A `seeded` machine is a cloud image that
    cloud-init sets up from the rig's volume.
    """

    image: str
    iommu: str = "intel"
    pfs: int = 2
    missing: tuple[int, ...] = ()
    connection_pf: bool = False
    memory: int = 1024
    cpus: int = 1
    accel: str = "tcg"
    port: int = 0
    # Of a machine that nobody ends: no scenario is as long, on a slow machine either.
    lifetime: int = 24 * 3600
    seeded: bool = False
    functions: int = 1


def pf_mac(number: int, function: int = 0) -> str:
    """Return the fixed address of a PF: a function of a card."""
    return f"52:54:00:5a:{function + 1:02x}:{number:02x}"


def pf_device(number: int) -> dict[str, Any]:
    """Return the QEMU device of a card with one function, as device_add takes it."""
    return {
        "driver": "igb", "id": f"pf{number}", "bus": f"port{number}", "netdev": f"wire{number}",
        "mac": pf_mac(number), "romfile": "",
    }  # fmt: skip


def card_devices(number: int, functions: int) -> list[dict[str, Any]]:
    """Return the QEMU devices of a card: one for each function, function 0 first."""
    first = pf_device(number)
    if functions == 1:
        return [first]
    others = [
        {
            **first, "id": f"pf{number}.{function}", "netdev": f"wire{number}.{function}",
            "mac": pf_mac(number, function), "addr": f"0.{function}",
        }
        for function in range(1, functions)
    ]  # fmt: skip
    return [{**first, "addr": "0.0", "multifunction": True, "x-pcie-ari-nextfn-1": True}, *others]


def device_argument(device: dict[str, Any]) -> str:
    """Write a device as the value of -device."""
    values = {key: "on" if value is True else value for key, value in device.items() if key != "driver"}
    return ",".join([device["driver"], *(f"{key}={value}" for key, value in values.items())])


def key_credential(public_key: str) -> str:
    """Return the SMBIOS string through which systemd in the guest writes the run's public key.

    systemd.system-credentials(7), tmpfiles.extra: known to systemd 252 and later.
    """
    line = f"f /home/{USER}/.ssh/authorized_keys 0600 {USER} {USER} - {public_key.strip()}\n"
    return "io.systemd.credential.binary:tmpfiles.extra=" + base64.b64encode(line.encode()).decode()


def qemu_arguments(machine: Machine, firmware: str, public_key: str) -> list[str]:
    """Return the command line of a machine; paths in it are relative to the run folder."""
    emulated = machine.accel != "kvm"
    vendor = "AuthenticAMD" if machine.iommu == "amd" else "GenuineIntel"
    arguments = [
        "qemu-system-x86_64", "-name", "sriov-rig", "-nodefaults", "-no-user-config", "-display", "none",
        # Interrupt remapping needs the I/O APIC outside of the kernel.
        "-machine", "q35,sata=off,smbus=off" + (",kernel-irqchip=split" if machine.iommu == "intel" else ""),
        "-accel", "tcg,thread=multi,tb-size=512" if emulated else "kvm",
        "-cpu", f"{'max' if emulated else 'host'},vendor={vendor}",
        "-smp", str(machine.cpus), "-m", str(machine.memory),
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware}",
        "-drive", "if=pflash,unit=1,format=qcow2,file=vars.qcow2",
        "-drive", "if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file=disk.qcow2",
        "-device", f"virtio-blk-pci,drive=disk,addr={DISK_SLOT:#x},bootindex=0",
        "-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console",
        "-qmp", "unix:qmp.sock,server=on,wait=off", "-pidfile", "qemu.pid",
    ]  # fmt: skip
    if machine.seeded:
        arguments += [
            "-drive", "if=none,id=seed,format=raw,readonly=on,file=seed.img",
            "-device", f"virtio-blk-pci,drive=seed,addr={SEED_SLOT:#x}",
        ]  # fmt: skip
    else:
        arguments += ["-smbios", f"type=11,value={key_credential(public_key)}"]
    if machine.iommu == "intel":
        arguments += ["-device", "intel-iommu,intremap=on,caching-mode=on"]
    elif machine.iommu == "amd":
        # With intremap=on the guest's timer does not work under emulation and it panics.
        arguments += ["-device", "amd-iommu,intremap=off"]
    ports = machine.pfs + machine.connection_pf
    for number in range(1, ports + 1):
        slot = FIRST_ROOT_PORT_SLOT + number - 1
        arguments += ["-device", f"pcie-root-port,id=port{number},chassis={number},slot={number},addr={slot:#x}"]
    arguments += ["-netdev", f"user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:{machine.port}-:22"]
    if machine.connection_pf:
        connection = {**pf_device(ports), "netdev": "management", "mac": MANAGEMENT_MAC}
        arguments += ["-device", device_argument(connection)]
    else:
        arguments += [
            "-device", f"virtio-net-pci,netdev=management,mac={MANAGEMENT_MAC},romfile=,addr={MANAGEMENT_SLOT:#x}",
        ]  # fmt: skip
    for number in range(1, machine.pfs + 1):
        for function, device in enumerate(card_devices(number, machine.functions)):
            # A hub of its own: the link is up and leads nowhere.
            arguments += ["-netdev", f"hubport,id={device['netdev']},hubid={number + function * MAX_PFS}"]
            if number not in machine.missing:
                arguments += ["-device", device_argument(device)]
    return arguments


def process_start(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot, or None when it is not there or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in brackets and may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


@dataclasses.dataclass(frozen=True)
class Process:
    """A process of ours: its id and its start, since ids are given out again."""

    pid: int
    start: int

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return process_start(self.pid) == self.start

    def signal(self, number: int) -> None:
        """Send a signal, if it is still the same process."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def lease_port(directory: Path, wanted: int | None = None) -> tuple[int, int]:
    """Return a free port on 127.0.0.1 and the descriptor whose lock keeps it.

    The lease lasts as long as any process has the descriptor open: hand it to QEMU.
    """
    directory.mkdir(mode=0o1777, parents=True, exist_ok=True)
    candidates = [wanted] if wanted else random.sample(PORTS, len(PORTS))
    for port in candidates:
        try:
            descriptor = os.open(directory / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(descriptor)
            continue
        return port, descriptor
    raise RigError(f"no free port on 127.0.0.1 {'(' + str(wanted) + ')' if wanted else f'in {PORTS}'}")


def lease_directory() -> Path:
    """Return the folder of port leases, shared by all runs of this user."""
    return Path(tempfile.gettempdir()) / f"sriov-rig-ports-{os.getuid()}"


def wait_until(condition: Callable[[], Any], what: str, timeout: float, run: Run | None = None, pause: float = 0.3) -> Any:
    """Return the first true value of condition.

    Raises RigError saying what was awaited, with the console's tail, after timeout seconds
    or as soon as the machine is gone or its guest cannot go on; GuestPanic when it is the guest's kernel.
    """
    deadline = time.monotonic() + timeout
    spoken = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        dead_end = run.dead_end() if run else None
        if run and dead_end:
            error = GuestPanic if PANIC in dead_end else RigError
            raise error(f"waited for {what}: the guest says {dead_end!r}\n{run.logs()}")
        gone = run is not None and not run.running()
        if gone or time.monotonic() > deadline:
            reason = "the machine has ended" if gone else f"not within {timeout:.0f} s"
            raise RigError(f"waited for {what}: {reason}" + (f"\n{run.logs()}" if run else ""))
        if time.monotonic() - spoken > 30:
            spoken = time.monotonic()
            say(f"waiting for {what}, at most {deadline - spoken:.0f} s more")
        time.sleep(pause)


class Monitor:
    """A QMP connection."""

    def __init__(self, directory: Path, timeout: float = image.HANG_SECONDS) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        # A socket's address has 108 bytes, and run folders are deep.
        folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/qmp.sock")
        finally:
            os.close(folder)
        self._file = self._socket.makefile("r")
        self._events: list[dict[str, Any]] = []
        json.loads(self._file.readline())
        self.execute("qmp_capabilities")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise RigError("the machine closed its monitor")
        message: dict[str, Any] = json.loads(line)
        return message

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command and return what it returns; RigError when QEMU refuses."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            message = self._read()
            if "error" in message:
                raise RigError(f"monitor: {command}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]
            self._events.append(message)

    def human(self, command: str) -> str:
        """Run a command of the human monitor."""
        return str(self.execute("human-monitor-command", **{"command-line": command}))

    def wait_events(self, name: str, devices: Iterable[str], timeout: float) -> None:
        """Wait for an event about each of the devices; TimeoutError when one does not come."""
        deadline = time.monotonic() + timeout
        awaited = set(devices)
        while True:
            for event in self._events:
                if event.get("event") == name:
                    awaited.discard(event.get("data", {}).get("device"))
            if not awaited:
                return
            self._events.clear()
            self._socket.settimeout(max(0.1, deadline - time.monotonic()))
            self._events.append(self._read())


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
        stored = self._state()["machine"]
        return Machine(**{**stored, "missing": tuple(stored["missing"])})

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
        """Note where the console of a boot begins: what it says of earlier ones is over."""
        console = self.directory / "console.log"
        console.touch()
        (self.directory / "console.start").write_text(str(console.stat().st_size))

    def dead_end(self) -> str | None:
        """Return the line of the console, since the last start or reset, by which the guest cannot go on; None while it may."""
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
            "ssh", "-F", "none", "-p", str(self.machine().port), "-i", str(self.key), "-o", "IdentitiesOnly=yes",
            "-o", f"UserKnownHostsFile={self.directory / 'known_hosts'}", "-o", "StrictHostKeyChecking=accept-new",
            "-o", "ConnectTimeout=30", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"{USER}@127.0.0.1", *words,
        ]  # fmt: skip

    def prepare(self, machine: Machine, disk: Path) -> None:
        """Make the folder: key pair, overlay of the image, UEFI variables, and what cloud-init is told."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.key.exists():
            run_tool(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sriov-rig", "-f", str(self.key)])
        overlay = self.directory / "disk.qcow2"
        known = cloud.disk_information(disk)
        size = max(known["virtual-size"], cloud.DISK_GIB << 30) if machine.seeded else known["virtual-size"]
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk), "-F", known["format"], str(overlay), str(size)])
        if machine.seeded:
            public_key = self.key.with_suffix(".pub").read_text()
            files = cloud.seed_files(public_key, USER, MANAGEMENT_MAC, cloud.new_instance())
            cloud.make_seed(self.directory / "seed.img", files)
        variables = find_firmware()[1]
        run_tool(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", variables, str(self.directory / "vars.qcow2")])
        (self.directory / "console.log").write_bytes(b"")
        # The guest makes its keys in its first boot.
        (self.directory / "known_hosts").unlink(missing_ok=True)

    def keep_image(self) -> None:
        """Keep the image under the machine's disk from being removed as superseded for a while."""
        backing = cloud.disk_information(self.directory / "disk.qcow2")["full-backing-filename"]
        image.keep(Path(backing))

    def launch(self, machine: Machine) -> Machine:
        """Start QEMU on a prepared folder; return the machine as started, with its port."""
        port, lease = lease_port(lease_directory(), machine.port or None)
        machine = dataclasses.replace(machine, port=port)
        public_key = self.key.with_suffix(".pub").read_text()
        arguments = qemu_arguments(machine, find_firmware()[0], public_key)
        for leftover in ("qmp.sock", "qemu.pid"):
            (self.directory / leftover).unlink(missing_ok=True)
        log = self.directory / "qemu.log"
        self.note_boot()
        try:
            with log.open("wb") as output:
                # timeout bounds the life of a machine that nobody stops.
                bound = subprocess.Popen(
                    ["timeout", "--kill-after=10", str(machine.lifetime), *arguments],
                    cwd=self.directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                    start_new_session=True, pass_fds=(lease,),
                )  # fmt: skip
        finally:
            os.close(lease)
        started = [Process(bound.pid, process_start(bound.pid) or 0)]
        self._write_state(machine, started)

        def qemu_process() -> Process | None:
            if bound.poll() is not None:
                raise RigError(f"QEMU ended at once with {bound.returncode}\n{tail_between_markers(log)}")
            with contextlib.suppress(OSError, ValueError):
                pid = int((self.directory / "qemu.pid").read_text())
                start = process_start(pid)
                if start is not None:
                    return Process(pid, start)
            return None

        try:
            qemu = wait_until(qemu_process, "QEMU to start", image.HANG_SECONDS)
        except BaseException:
            started[0].signal(signal.SIGTERM)
            raise
        self._write_state(machine, [*started, qemu])
        (self.directory / "port").write_text(f"{port}\n")
        return machine

    def stop(self) -> None:
        """End the machine without asking the guest, and wait until its processes are gone."""
        if not (self.directory / "vm.json").exists():
            return
        if self.running():
            with contextlib.suppress(RigError, OSError, ValueError), self.monitor() as monitor:
                monitor.execute("quit")
        for number, patience in ((signal.SIGTERM, 60), (signal.SIGKILL, image.HANG_SECONDS)):
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

        def boot_id() -> str | None:
            if not self._greets():
                return None
            try:
                result = subprocess.run(
                    self.ssh_command("cat", "/proc/sys/kernel/random/boot_id"),
                    capture_output=True, text=True, check=False, timeout=120, stdin=subprocess.DEVNULL,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                # A connection of a machine that has gone down meanwhile; the next one may be answered.
                return None
            seen = result.stdout.strip()
            return seen if result.returncode == 0 and seen and seen != other_than else None

        return str(wait_until(boot_id, what, timeout, self))

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.machine().port), 5) as connection:
                connection.settimeout(10)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def unplug(self, number: int, timeout: float) -> None:
        """Take a card out of the running machine and wait until the guest has let go of it."""
        devices = [device["id"] for device in card_devices(number, self.machine().functions)]
        with self.monitor() as monitor:
            # What is asked of one function of a slot, the guest does with all.
            monitor.execute("device_del", id=devices[0])
            try:
                monitor.wait_events("DEVICE_DELETED", devices, timeout)
            except TimeoutError:
                raise RigError(
                    f"the guest did not let go of card {number} within {timeout:.0f} s\n{self.logs()}"
                ) from None

    def plug(self, number: int) -> None:
        """Put a card into its slot of the running machine."""
        machine = self.machine()
        if not 1 <= number <= machine.pfs:
            raise RigError(f"this machine has slots for card 1 to {machine.pfs}")
        with self.monitor() as monitor:
            # The guest hears of the card when function 0 is there, so that comes last.
            for device in reversed(card_devices(number, machine.functions)):
                monitor.execute("device_add", **device)


def find_firmware() -> tuple[str, str]:
    """Return the UEFI firmware and its empty store of variables."""
    for code, variables in FIRMWARE:
        if Path(code).exists() and Path(variables).exists():
            return code, variables
    raise RigError("no UEFI firmware; as root: apt-get install --no-install-recommends ovmf")


def try_kvm(timeout: float = 120) -> tuple[bool, str]:
    """Boot the firmware under KVM until it speaks; return whether it did and what was seen.

    That /dev/kvm opens, or even creates a virtual CPU, proves nothing: there are machines
    on which the guest then stops in the firmware with an internal error.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False, "/dev/kvm is not there or not accessible"
    with tempfile.TemporaryDirectory(prefix="sriov-rig-kvm-") as folder:
        directory = Path(folder)
        code, variables = find_firmware()
        shutil.copy(variables, directory / "vars.fd")
        with (directory / "qemu.log").open("wb") as output:
            process = subprocess.Popen(
                ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
                 "-machine", "q35,kernel-irqchip=split", "-accel", "kvm", "-cpu", "host", "-m", "256",
                 "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                 "-drive", "if=pflash,unit=1,format=raw,file=vars.fd",
                 "-serial", "file:serial.log", "-qmp", "unix:qmp.sock,server=on,wait=off"],
                cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                if process.poll() is not None:
                    lines = (directory / "qemu.log").read_text(errors="replace").splitlines()
                    return False, f"QEMU ended: {lines[0] if lines else process.returncode}"
                with contextlib.suppress(OSError):
                    # What the boot manager says once the firmware is through with everything else.
                    if b"BdsDxe" in (directory / "serial.log").read_bytes():
                        return True, "the firmware boots"
                with contextlib.suppress(OSError, RigError, ValueError), Monitor(directory, 5) as monitor:
                    status = monitor.execute("query-status")["status"]
                    if status not in ("running", "prelaunch"):
                        return False, f"the firmware stops: {status}"
                time.sleep(0.3)
            return False, f"the firmware gets nowhere within {timeout:.0f} s"
        finally:
            process.kill()
            process.wait()


def choose_accelerator(wanted: str) -> str:
    """Return kvm or tcg; for auto, KVM only where it was seen to work since this machine booted."""
    if wanted != "auto":
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        say("WARNING: emulation (TCG), which is many times slower: /dev/kvm is not there, or not accessible")
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    verdict_path = image.cache_directory() / "kvm-verdict.json"
    with image.locked(verdict_path.with_suffix(".lock"), "it tries out KVM"):
        verdict: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            verdict = json.loads(verdict_path.read_text())
        if verdict.get("boot_id") != boot_id:
            works, reason = try_kvm()
            verdict = {"boot_id": boot_id, "works": works, "reason": reason}
            verdict_path.write_text(json.dumps(verdict))
    if verdict["works"]:
        say("KVM works: hardware virtualisation")
        return "kvm"
    say(f"WARNING: emulation (TCG), which is many times slower: {verdict['reason']}")
    return "tcg"


def resolve_image(name: str) -> tuple[Path, bool]:
    """Return the disk of a name (built when missing), a file or an address, and whether it is a cloud image."""
    if name in image.RECIPES:
        return image.ensure(name), False
    if not cloud.is_url(name) and not Path(name).is_file():
        raise RigError(
            f"{name!r} is neither an image ({', '.join(image.RECIPES)}), nor an http(s) address,"
            f" nor a file seen from {Path.cwd()}"
        )
    return cloud.resolve(name)


def pf_list(text: str) -> tuple[int, ...]:
    """Read "1,3" as numbers of cards; "" is none."""
    return tuple(int(part) for part in text.split(",") if part)


def print_access(run: Run) -> None:
    """Print what a person needs to get in."""
    print(" ".join(run.ssh_command()))


def command_start(run: Run, options: argparse.Namespace) -> None:
    """Start a new machine in an empty or finished run folder."""
    if (run.directory / "vm.json").exists() and run.running():
        raise RigError(f"a machine runs already in {run.directory}; stop it first")
    if not 0 <= options.pf <= MAX_PFS:
        raise RigError(f"0 to {MAX_PFS} cards")
    if not 1 <= options.functions <= MAX_FUNCTIONS:
        raise RigError(f"a card has 1 to {MAX_FUNCTIONS} ports")
    if options.iommu == "amd" and options.connection_pf:
        # Tried with QEMU 10.0: igb reports "Detected Tx Unit Hang" and no packet leaves.
        raise RigError("an emulated PF passes no traffic behind the emulated AMD IOMMU; use another --iommu")
    accel = choose_accelerator(options.accel)
    disk, seeded = resolve_image(options.image)
    machine = Machine(
        image=options.image, iommu=options.iommu, pfs=options.pf, missing=pf_list(options.missing),
        connection_pf=options.connection_pf, memory=options.memory, cpus=options.cpus,
        accel=accel, lifetime=options.lifetime, seeded=seeded, functions=options.functions,
    )  # fmt: skip
    run.prepare(machine, disk)
    run.launch(machine)
    if options.wait:
        try:
            wait_for_boot(run, options.wait)
        except GuestPanic as panic:
            # Emulation's own: under load a guest can lose its timer ("timer doesn't work through Interrupt-remapped IO-APIC").
            # Nothing has happened to the machine yet, so a second one is as good as the first.
            say(f"started once more, with a new disk, because of a panic in the first boot; {panic}")
            run.stop()
            run.prepare(machine, disk)
            run.launch(machine)
            wait_for_boot(run, options.wait)
    print_access(run)


def ask_guest(run: Run, what: str, timeout: float, *words: str) -> str:
    """Return what a command in the guest prints, whatever its exit code; RigError as soon as the guest cannot go on."""
    process = subprocess.Popen(
        run.ssh_command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        try:
            wait_until(lambda: process.poll() is not None, what, timeout, run)
        finally:
            process.kill()
        return (process.stdout.read() if process.stdout else "").strip()


def wait_for_boot(run: Run, timeout: float) -> None:
    """Wait for ssh, then until the guest has started all its units, and say how long it took."""
    started = time.monotonic()
    run.wait_ssh(timeout)
    seconds = time.monotonic() - started
    if run.machine().seeded:
        # In the first boot there is more to do than units, and systemctl may be too old to wait.
        ask_guest(run, "cloud-init to end", timeout, "cloud-init", "status", "--wait")
    state = ask_guest(run, "the guest to start all units", timeout, "systemctl", "is-system-running", "--wait")
    say(f"ssh after {seconds:.0f} s, all units after {time.monotonic() - started:.0f} s, the system is {state}")


def command_restart(run: Run, options: argparse.Namespace) -> None:
    """Cut the power and start the same disk again, with other cards missing if asked."""
    machine = run.machine()
    if options.missing is not None:
        machine = dataclasses.replace(machine, missing=pf_list(options.missing))
    if options.sync and run.running():
        subprocess.run(run.ssh_command("sync"), check=False, timeout=image.HANG_SECONDS, stdin=subprocess.DEVNULL)
    # In between nothing has the image open.
    run.keep_image()
    run.stop()
    run.launch(machine)
    if options.wait:
        wait_for_boot(run, options.wait)


def command_reset(run: Run, options: argparse.Namespace) -> None:
    """Press the reset button."""
    run.note_boot()
    with run.monitor() as monitor:
        monitor.execute("system_reset")


def command_stop(run: Run, options: argparse.Namespace) -> None:
    """End the machine without asking the guest."""
    run.stop()


def command_destroy(run: Run, options: argparse.Namespace) -> None:
    """End the machine and remove its run folder."""
    if (run.directory / "vm.json").exists():
        run.stop()
        shutil.rmtree(run.directory)
        print("destroyed")


def command_wait_ssh(run: Run, options: argparse.Namespace) -> None:
    """Wait until ssh works and print the boot id."""
    print(run.wait_ssh(options.timeout, options.not_boot_id))


def command_unplug(run: Run, options: argparse.Namespace) -> None:
    """Take a card out of the running machine."""
    run.unplug(options.number, options.timeout)


def command_plug(run: Run, options: argparse.Namespace) -> None:
    """Put a card back into the running machine."""
    run.plug(options.number)


def command_console(run: Run, options: argparse.Namespace) -> None:
    """Print the tail of the guest's console."""
    print(run.logs())


def command_status(run: Run, options: argparse.Namespace) -> None:
    """Print how the machine was started and whether it runs."""
    state: dict[str, Any] = {"running": run.running(), **dataclasses.asdict(run.machine())}
    if state["running"]:
        with run.monitor() as monitor:
            state["status"] = monitor.execute("query-status")["status"]
    print(json.dumps(state, indent=2))


def command_monitor(run: Run, options: argparse.Namespace) -> None:
    """Run a command of QEMU's human monitor."""
    with run.monitor() as monitor:
        print(monitor.human(" ".join(options.words)), end="")


def command_snapshot(run: Run, options: argparse.Namespace) -> None:
    """Save or load the state of the running machine."""
    with run.monitor() as monitor:
        answer = monitor.human(f"{options.command} {options.name}")
    if answer.strip():
        raise RigError(f"{options.command}: {answer.strip()}")


def command_ssh(run: Run, options: argparse.Namespace) -> int:
    """Run a command in the guest, or a shell."""
    return subprocess.run(run.ssh_command(*options.words), check=False).returncode


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, action: Callable[[Run, argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, description=action.__doc__, help=action.__doc__)
        command.add_argument("--dir", type=Path, required=True, help="run folder")
        command.set_defaults(action=action)
        return command

    start = add("start", command_start)
    start.add_argument("--image", default="debian12", help=f"{', '.join(image.RECIPES)}, or a file or an http(s) address of a disk")
    start.add_argument("--iommu", choices=("intel", "amd", "none"), default="intel")
    start.add_argument("--pf", type=int, default=2, help="number of emulated cards")
    start.add_argument("--ports", dest="functions", type=int, default=Machine.functions, metavar="N", help="of each card; every port is a PF, function 0, 1, ... of the card")
    start.add_argument("--missing", default="", help="cards that are not plugged in, such as 2 or 1,2")
    start.add_argument("--connection-pf", action=argparse.BooleanOptionalAction, default=False, help="the ssh connection goes through one more PF")
    start.add_argument("--memory", type=int, default=Machine.memory, help="MiB")
    start.add_argument("--cpus", type=int, default=Machine.cpus)
    start.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    start.add_argument("--lifetime", type=int, default=Machine.lifetime, help="seconds until it is ended by itself")
    start.add_argument("--wait", type=int, default=0, metavar="SECONDS", help="wait for ssh")
    add("stop", command_stop)
    add("destroy", command_destroy)
    wait = add("wait-ssh", command_wait_ssh)
    wait.add_argument("--timeout", type=float, default=image.HANG_SECONDS)
    wait.add_argument("--not-boot-id", help="wait for another boot than this")
    restart = add("restart", command_restart)
    restart.add_argument("--missing", help="cards that are not plugged in from now on")
    restart.add_argument("--no-sync", dest="sync", action="store_false", help="do not let the guest write its caches")
    restart.add_argument("--wait", type=int, default=0, metavar="SECONDS", help="wait for ssh")
    add("reset", command_reset)
    unplug = add("unplug", command_unplug)
    unplug.add_argument("number", type=int)
    unplug.add_argument("--timeout", type=float, default=image.HANG_SECONDS)
    add("plug", command_plug).add_argument("number", type=int)
    add("status", command_status)
    add("monitor", command_monitor).add_argument("words", nargs="+")
    add("savevm", command_snapshot).add_argument("name")
    add("loadvm", command_snapshot).add_argument("name")
    add("console", command_console)
    add("ssh", command_ssh).add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return options.action(Run(options.dir), options) or 0
    except RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
