#!/usr/bin/env python3
"""Start, change and stop one virtual machine with emulated SR-IOV network cards.

Everything of a machine is in its run folder (--dir): overlay disk, UEFI variables, key
pair, sockets, console log and vm.json, which records how it was started. Commands on a
running machine need no more than that folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from host import HANG_SECONDS, RigError, say
from images import cloud, recipes, store
from machine import bmc, boot, connectx, kvm
from machine.qemu import MAX_FUNCTIONS, MAX_PFS, PROCESSORS, Machine
from machine.run import Run
from machine.wait import GuestPanic


def resolve_image(name: str) -> tuple[Path, bool]:
    """Return the disk of a name (built when missing), a file or an address, and whether it is a cloud image."""
    if name in recipes.RECIPES:
        return store.ensure(name), False
    if not cloud.is_url(name) and not Path(name).is_file():
        raise RigError(
            f"{name!r} is neither an image ({', '.join(recipes.RECIPES)}), nor an http(s) address,"
            f" nor a file seen from {Path.cwd()}"
        )
    return cloud.resolve(name)


def pf_list(text: str) -> tuple[int, ...]:
    """Read "1,3" as numbers of cards; "" is none."""
    return tuple(int(part) for part in text.split(",") if part)


def print_access(run: Run) -> None:
    """Print what a person needs to get in."""
    print(" ".join(run.ssh_command()))


def check_start(run: Run, options: argparse.Namespace) -> None:
    """Raise RigError for a machine that cannot be."""
    if (run.directory / "vm.json").exists() and run.running():
        raise RigError(f"a machine runs already in {run.directory}; stop it first")
    if not 0 <= options.pf <= MAX_PFS:
        raise RigError(f"0 to {MAX_PFS} cards")
    if not 1 <= options.functions <= MAX_FUNCTIONS:
        raise RigError(f"a card has 1 to {MAX_FUNCTIONS} ports")
    if options.iommu == "amd" and options.connection_pf:
        # Tried with QEMU 10.0: igb reports "Detected Tx Unit Hang" and no packet leaves.
        raise RigError("an emulated PF passes no traffic behind the emulated AMD IOMMU; use another --iommu")
    if options.iommu == "amd" and options.one_wire:
        raise RigError("no packet passes behind the emulated AMD IOMMU, so --one-wire needs another --iommu")
    if not options.vf_driver and not options.wait:
        raise RigError("--no-vf-driver needs --wait: the guest is changed once it has booted")
    if options.connectx and not options.wait:
        raise RigError("--connectx needs --wait: the cards come into the guest once it has booted")
    if options.bmc and options.iommu != "intel":
        raise RigError("--bmc needs --iommu intel: that is what its BIOS turns on and off")
    if any(not 1 <= card.slot <= options.pf for card in options.connectx):
        raise RigError(f"this machine has slots for card 1 to {options.pf}, for ConnectX cards too")


def command_start(run: Run, options: argparse.Namespace) -> None:
    """Start a new machine in an empty or finished run folder."""
    options.connectx = connectx.read(options.connectx)
    check_start(run, options)
    accel = kvm.choose_accelerator(options.accel)
    disk, seeded = resolve_image(options.image)
    machine = Machine(
        image=options.image,
        iommu=options.iommu,
        pfs=options.pf,
        missing=pf_list(options.missing),
        connection_pf=options.connection_pf,
        memory=options.memory,
        cpus=options.cpus,
        accel=accel,
        lifetime=options.lifetime,
        seeded=seeded,
        functions=options.functions,
        connectx=options.connectx,
        one_wire=options.one_wire,
        bmc=options.bmc,
    )
    run.prepare(machine, disk)
    if machine.bmc:
        bmc.start(run, machine)
    run.launch(machine)
    if options.wait:
        try:
            boot.wait_for_boot(run, options.wait)
        except GuestPanic as panic:
            # Emulation's own: under load a guest can lose its timer ("timer doesn't work through Interrupt-remapped
            # IO-APIC"). Nothing has happened to the machine yet, so a second one is as good as the first.
            say(f"started once more, with a new disk, because of a panic in the first boot; {panic}")
            run.stop()
            run.prepare(machine, disk)
            run.launch(machine)
            boot.wait_for_boot(run, options.wait)
    if not options.vf_driver:
        boot.keep_vf_driver_out(run, options.wait)
    if machine.connectx:
        connectx.install(run, machine.connectx)
    print_access(run)


def command_restart(run: Run, options: argparse.Namespace) -> None:
    """Cut the power and start the same disk again, with other cards missing or another IOMMU."""
    machine = run.machine()
    if options.missing is not None:
        machine = dataclasses.replace(machine, missing=pf_list(options.missing))
    if options.iommu is not None:
        machine = dataclasses.replace(machine, iommu=options.iommu)
    if options.sync and run.running():
        subprocess.run(run.ssh_command("sync"), check=False, timeout=HANG_SECONDS, stdin=subprocess.DEVNULL)
    # In between nothing has the image open.
    run.keep_image()
    run.stop()
    run.launch(machine)
    if options.wait:
        boot.wait_for_boot(run, options.wait)


def command_bmc(run: Run, options: argparse.Namespace) -> None:
    """Give the BMC faults in place of those that it has, and settings that the next boot has."""
    bmc.change(run, options.fault, dict(setting.split("=", 1) for setting in options.set))


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


def add_start(command: argparse.ArgumentParser) -> None:
    """Add the options of a new machine."""
    names = ", ".join(recipes.RECIPES)
    command.add_argument("--image", default="debian12", help=f"{names}, or a file or an http(s) address of a disk")
    command.add_argument("--iommu", choices=tuple(PROCESSORS), default="intel")
    command.add_argument("--pf", type=int, default=2, help="number of emulated cards")
    command.add_argument(
        "--ports",
        dest="functions",
        type=int,
        default=Machine.functions,
        metavar="N",
        help="of each card; every port is a PF, function 0, 1, ... of the card",
    )
    command.add_argument("--missing", default="", help="cards that are not plugged in, such as 2 or 1,2")
    cards = 'emulated ConnectX cards in slots, such as [{"slot": 1}]; the image must have the module'
    command.add_argument("--connectx", default="", metavar="JSON", help=cards)
    follows = "a BMC of this shape, whose BIOS setting of the IOMMU the machine follows at each reboot"
    command.add_argument("--bmc", choices=("", *bmc.IOMMU), default="", help=follows)
    switch = argparse.BooleanOptionalAction
    through = "the ssh connection uses one more PF"
    command.add_argument("--connection-pf", action=switch, default=False, help=through)
    wire = "all ports are on one wire, and VFs pass packets"
    command.add_argument("--one-wire", action=switch, default=False, help=wire)
    driver = "whether the guest may load igbvf, which takes it seconds for each VF"
    command.add_argument("--vf-driver", action=switch, default=True, help=driver)
    command.add_argument("--memory", type=int, default=Machine.memory, help="MiB")
    command.add_argument("--cpus", type=int, default=Machine.cpus)
    command.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    command.add_argument("--lifetime", type=int, default=Machine.lifetime, help="seconds until it is ended by itself")
    add_wait(command)


def add_wait(command: argparse.ArgumentParser) -> None:
    """Add the option to wait for a boot."""
    command.add_argument("--wait", type=int, default=0, metavar="SECONDS", help="wait for ssh")


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, action: Callable[[Run, argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, description=action.__doc__, help=action.__doc__)
        command.add_argument("--dir", type=Path, required=True, help="run folder")
        command.set_defaults(action=action)
        return command

    add_start(add("start", command_start))
    add("stop", command_stop)
    add("destroy", command_destroy)
    wait = add("wait-ssh", command_wait_ssh)
    wait.add_argument("--timeout", type=float, default=HANG_SECONDS)
    wait.add_argument("--not-boot-id", help="wait for another boot than this")
    restart = add("restart", command_restart)
    restart.add_argument("--missing", help="cards that are not plugged in from now on")
    restart.add_argument("--iommu", choices=tuple(PROCESSORS), help="the IOMMU from now on, with its processor")
    restart.add_argument("--no-sync", dest="sync", action="store_false", help="do not let the guest write its caches")
    add_wait(restart)
    changed = add("bmc", command_bmc)
    changed.add_argument("--fault", action="append", default=[], choices=tuple(bmc.fake_bmc.FAULTS))
    changed.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a BIOS setting")
    add("reset", command_reset)
    unplug = add("unplug", command_unplug)
    unplug.add_argument("number", type=int)
    unplug.add_argument("--timeout", type=float, default=HANG_SECONDS)
    add("plug", command_plug).add_argument("number", type=int)
    add("status", command_status)
    add("monitor", command_monitor).add_argument("words", nargs="+")
    add("savevm", command_snapshot).add_argument("name")
    add("loadvm", command_snapshot).add_argument("name")
    add("console", command_console)
    add("ssh", command_ssh).add_argument("words", nargs=argparse.REMAINDER)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = command_line().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return options.action(Run(options.dir), options) or 0
    except RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
