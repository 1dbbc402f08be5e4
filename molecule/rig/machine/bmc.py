#!/usr/bin/env python3
"""A machine with a BMC: keeps QEMU running, and starts it as the BIOS says each time that the guest reboots.

QEMU ends when the guest reboots. The BMC's pending settings then become the current ones, and QEMU starts again: with
the IOMMU where ProcVirtualization, or what the vendor calls it, is on.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "bmc")]

import fake_bmc
from host import HANG_SECONDS, RigError

from machine import qemu
from machine.qmp import Monitor
from machine.run import Run
from machine.wait import wait_until

# The setting that turns the IOMMU on, and its value, by the shape of the BMC.
IOMMU = {"dell": ("ProcVirtualization", "Enabled"), "supermicro": ("IntelVTforDirectedI_O_VT_d__1E32", "Enable")}


def folder(run: Run) -> Path:
    """Return the folder of a machine's BMC."""
    return run.directory / "bmc"


def start(run: Run, machine: qemu.Machine) -> None:
    """Make the BMC of a machine, with everything off that the vendor's shape has off."""
    fake_bmc.make(folder(run), machine.bmc, qemu.IDENTITY)


def change(run: Run, faults: list[str], settings: dict[str, str]) -> None:
    """Give the BMC of a machine other faults, and other current settings, which the next boot has."""
    with fake_bmc.state_of(folder(run)) as state:
        state["faults"] = faults
        state["attributes"].update(settings)


def as_the_bios_says(machine: qemu.Machine, attributes: dict[str, object]) -> qemu.Machine:
    """Return a machine with the IOMMU or without it."""
    name, value = IOMMU[machine.bmc]
    return machine if attributes[name] == value else dataclasses.replace(machine, iommu="none")


def run_once(directory: Path, arguments: list[str]) -> str:
    """Run QEMU until it ends; return why it did, in the words of its monitor (SHUTDOWN, reason)."""
    (directory / "power.sock").unlink(missing_ok=True)
    with subprocess.Popen(arguments, cwd=directory, stdin=subprocess.DEVNULL) as process:

        def connect() -> Monitor | None:
            if process.poll() is not None:
                raise RigError(f"QEMU ended at once with {process.returncode}")
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return Monitor(directory, None, "power.sock")
            return None

        with wait_until(connect, "QEMU's monitor", HANG_SECONDS) as monitor:
            return str(monitor.shutdown_reason())


def main() -> int:
    """Serve the BMC and run the machine until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="the run folder")
    parser.add_argument("machine", help="the machine, as vm.json has it")
    options = parser.parse_args()
    run, machine = Run(options.directory), Run.read_machine(json.loads(options.machine))
    public_key = run.key.with_suffix(".pub").read_text()
    with subprocess.Popen(
        [sys.executable, str(Path(fake_bmc.__file__)), str(folder(run))], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            (folder(run) / "port").write_text(server.stdout.readline())
            while True:
                with fake_bmc.state_of(folder(run)) as state:
                    started = as_the_bios_says(machine, state["attributes"])
                reason = run_once(run.directory, qemu.qemu_arguments(started, qemu.find_firmware()[0], public_key))
                if "reset" not in reason:
                    return 0
                with fake_bmc.state_of(folder(run)) as state:
                    fake_bmc.reset(state)
        finally:
            server.terminate()


if __name__ == "__main__":
    sys.exit(main())
