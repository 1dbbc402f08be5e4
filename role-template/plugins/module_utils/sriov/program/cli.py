# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program: sets the configured number of VFs of each PF.

The role installs it as /usr/local/sbin/sriov-vfs, with its configuration in /etc/sriov/vfs.json. The boot unit and udev
run it as a program, and the role's modules import its parts, so there is one implementation. Standard library only,
Python 3.9 or later.
"""

from __future__ import annotations

import os
import sys
import time

from ..errors import Refusal
from .configuration import BOOT_UNIT, SETTINGS_TIMEOUT, firmware_waits, load_config
from .decision import WAITS_FOR_FIRMWARE
from .disk import sweep
from .holders import userspace_driver
from .host import HOST
from .link import NAMING_SECONDS, renamed
from .lock import lock_wait, locked
from .pfs import apply, described, some_lines
from .settings import needs_interface
from .sysfs import PCI_ADDRESS, device_path


def wait_for_drivers(devices, seconds):
    """Wait at most `seconds` until each PF that is present has a driver, and an interface if its settings need one,
    then at most NAMING_SECONDS until udev has named these interfaces.

    Does not wait for an absent PF. An interface is named before anything is sent to it: until then, the name that it
    has may be that of another card a moment later.
    """
    deadline = time.monotonic() + seconds

    def unready(device):
        address = device["address"]
        if not os.path.exists(device_path(address, "driver")):
            return os.path.isdir(device_path(address))
        # The kernel shows the driver before the driver has made the interface.
        return (
            needs_interface(device) and not os.path.isdir(device_path(address, "net")) and not userspace_driver(address)
        )

    while any(unready(device) for device in devices) and time.monotonic() < deadline:
        time.sleep(0.2)
    named = time.monotonic() + NAMING_SECONDS
    for device in devices:
        if needs_interface(device) and os.path.isdir(device_path(device["address"], "net")):
            renamed(device["address"], named)


# This part runs as a program, never in a module: it prints and exits. pylint: disable=ansible-bad-function
AS_WANTED, FAILED, UNUSABLE, WAITS = 0, 1, 2, 3
EXIT_CODES = "0: as wanted; 1: a PF failed or differs; 2: wrong use, or no usable configuration; 3: some of it only waits for a reboot"


def report(results):
    """Print one line for each device to the journal; returns the exit code."""
    for result in results:
        message = result["message"] or f"{described(result)} has {result['now']} VFs"
        print("; ".join([f"{result['state']}: {message}"] + some_lines(result["settings"])))
    states = {result["state"] for result in results}
    return FAILED if "failed" in states else WAITS if states & {"pending", "waiting"} else AS_WANTED


def drift(device, result):
    """The sentence for a PF that could have the wanted number of VFs and the wanted settings now, but has others."""
    unit = BOOT_UNIT if device["boot"] == "systemd" else f"sriov-vfs@{device['address']}.service"
    cure = f"see what changed that (journalctl -b), then run systemctl restart {unit}"
    if result["before"] != result["wanted"]:
        return f"{described(result)} has {result['before']} VFs, {result['wanted']} are wanted: {cure}"
    return f"{described(result)} differs from its settings ({'; '.join(some_lines(result['settings']))}): {cure}"


def look(devices: list[dict], timeout: float, must_be_there: bool) -> list[dict]:
    """The VFs and the state of each PF, without any change. A PF that apply() would change counts as failed.

    must_be_there: a PF whose VFs wait for the firmware counts as failed too.
    """
    results = apply(devices, timeout, check=True)
    for device, result in zip(devices, results):
        result["now"] = result["before"]
        if result.to_do():
            result.update(state="failed", message=drift(device, result), settings=[])
        if result["state"] == "waiting" and must_be_there:
            result["state"] = "failed"
        # Units that need VFs have some, though in another number or with other settings.
        if result["state"] == "pending" and must_be_there:
            result["state"] = "ok" if result["before"] else "failed"
    return results


def command_of(arguments):
    """The command and the addresses of a command line. Ends the program, by argparse, for help and for wrong use."""
    command, addresses = "".join(arguments[:1]), arguments[1:]
    most = {"boot": 0, "status": 0, "device": 1, "ready": len(addresses)}.get(command, -1)
    # The commands that units run, without argparse.
    if (
        len(addresses) <= most
        and bool(addresses) == (command in ("device", "ready"))
        and all(map(PCI_ADDRESS.match, addresses))
    ):
        return command, addresses
    import argparse

    parser = argparse.ArgumentParser(
        prog="sriov-vfs",
        description="Give SR-IOV PFs their configured number of VFs and their settings.",
        epilog="Exit codes: " + EXIT_CODES,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("boot", help="set every PF that must be set at boot (run by sriov-vfs.service)")
    one = commands.add_parser("device", help="set one PF (run by sriov-vfs@ADDRESS.service, which udev starts)")
    one.add_argument("address")
    ready = commands.add_parser("ready", help="succeed when these PFs have their VFs")
    ready.add_argument("address", nargs="+")
    commands.add_parser(
        "status",
        help="show each configured PF and its VFs, and whether it waits for a reboot or failed",
        epilog=EXIT_CODES,
    )
    options = parser.parse_args(arguments)
    addresses = getattr(options, "address", [])
    return options.command, [addresses] if isinstance(addresses, str) else addresses


def main(arguments):
    """Run one command; returns the exit code, see EXIT_CODES."""
    command, addresses = command_of(arguments)
    try:
        config = load_config()
        if config is None:
            raise Refusal(f"{HOST.config} is not there: run the role")
        # VFs that the firmware offers only after the next boot are not a failure before it.
        devices = [
            dict(device, waits=WAITS_FOR_FIRMWARE) if firmware_waits(device["address"]) else device
            for device in config["devices"]
        ]
        if command == "boot":
            devices = [device for device in devices if device["boot"] == "systemd"]
        elif command in ("device", "ready"):
            devices = [device for device in devices if device["address"] in addresses]
            if command == "device" and not devices:
                print(f"{addresses[0]} is not in {HOST.config}: there is nothing to do")
            if command == "ready" and len(devices) < len(set(addresses)):
                raise Refusal(f"{HOST.config} does not contain all of {', '.join(addresses)}: run the role again")
        if command in ("boot", "device"):
            wait_for_drivers(devices, config["boot_wait"])
            patience = config.get("settings_timeout", SETTINGS_TIMEOUT)
            with locked(lock_wait(config["numvfs_timeout"])):
                sweep([HOST.records])
                return report(apply(devices, config["numvfs_timeout"], patience=patience))
        return report(look(devices, config["numvfs_timeout"], command == "ready"))
    except Refusal as refusal:
        print(f"sriov-vfs: {refusal}", file=sys.stderr)
        return UNUSABLE


if __name__ == "__main__":
    # Names of interfaces are bytes, and the locale at boot may be ASCII only.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
