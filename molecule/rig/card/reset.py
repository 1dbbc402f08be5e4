"""mstfwreset and mlxfwreset."""

from __future__ import annotations

import argparse
import sys
import time

from guest import PCI, TEST_ROOT, CardError, command, is_root, write
from identity import apply_identity
from mst import find_device
from state import Card, locked_state, snapshot
from sysfs import real_vfs, restore
from tables import version_of

RESET_LEVELS = {
    0: 'Driver, PCI link, network link will remain up ("live-Patch")',
    1: 'Only ARM side will not remain up ("Immediate reset").',
    3: "Driver restart and PCI reset",
    4: "Warm Reboot",
}


def step(text: str, result: str = "Done") -> None:
    """Print one step of a reset."""
    print(f"-I- {text:<40}-{result}", flush=True)


def reset_tool(name: str, arguments: list[str]) -> int:
    """Be mstfwreset or mlxfwreset."""
    if not is_root():
        print("-E- Only root user can run this tool.")
        return 1
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--device", "-d", required=True)
    parser.add_argument("--level", "-l", type=int, choices=list(RESET_LEVELS), dest="level")
    parser.add_argument("--type", "-t", type=int, choices=range(5))
    parser.add_argument("--method", "-p", type=int, choices=range(2))
    parser.add_argument("--sync", type=int, choices=range(3))
    parser.add_argument("--yes", "-y", action="store_true")
    parser.add_argument("--skip_driver", "-s", action="store_true")
    parser.add_argument("--skip_fsm_sync", action="store_true")
    parser.add_argument("--no_mst_restart", action="store_true")
    parser.add_argument("--version", "-v", action="version", version=f"{name}, mstflint, Git SHA Hash: N/A")
    parser.add_argument("command", choices=["q", "query", "r", "reset", "reset_fsm_register"])
    options = parser.parse_args(arguments)
    try:
        return do_reset(name, options)
    except CardError as error:
        print(f"-E- {error}.")
        return 1


def do_reset(name: str, options: argparse.Namespace) -> int:
    """Query, or load the next configuration into all ports of a card.

    The real tool refuses every reset on a virtual machine (it reads lscpu); this one cannot.
    """
    card = open_device(name, options.device)
    version = version_of(card.behave("version"))
    print()
    supported = {4} if card.behave("reset") == "power-cycle" else {3, 4}
    if options.command in ("q", "query"):
        print_reset_levels(supported)
        return 0
    if options.command == "reset_fsm_register":
        print("-I- FSM register was reset successfully.")
        return 0
    level = min(supported) if options.level is None else options.level
    if level not in supported:
        raise CardError(f"Reset-level '{level}' is not supported in the current state of this device")
    # What each opens with is known of 4.21 and 4.31.
    opening = "The reset level for device, {} is:" if version >= (4, 31) else "Requested reset level for device, {}:"
    print(f"{opening.format(options.device)}\n\n{level}: {RESET_LEVELS[level]}")
    confirm(options.yes)
    send_command(card, level)
    if level == 4:
        step("Sending reboot command to machine")
        command(["systemctl", "reboot"])
        return 0
    reset_card(card, options.skip_driver)
    print("-I- FW was loaded successfully.")
    return 0


def open_device(name: str, device: str) -> Card:
    """Return the card of a device's name; CardError when it cannot be reset."""
    try:
        card, _ = find_device(snapshot(), device, mft=name == "mlxfwreset")
    except CardError:
        raise CardError(f"Failed to Identify Device: {device}, mopen: No such file or directory") from None
    if card.fourth:
        raise CardError(f"Unsupported Device: {device} (ConnectX3)")
    if card.behave("livefish") == "true":
        raise CardError(f"{name} is not supported for device in Flash Recovery mode")
    return card


def confirm(yes: bool) -> None:
    """Ask before a reset; without an answer the answer is no."""
    print("Continue with reset?[y/N] ", end="", flush=True)
    if yes:
        print("y")
    elif sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CardError("Aborted by user")


def send_command(card: Card, level: int) -> None:
    """Play the firmware's answer to the command to reset."""
    # The real tool without --skip_driver writes 0 to sriov_numvfs of functions 0 and 1 itself and
    # fails with this text when VFs stay (mlxfwreset_mlnxdriver.py, MlnxDriverLinux); with
    # --skip_driver it does not look, and the reset takes the ground from under the VFs. Here no
    # one may depend on either: any VF of any port is refused.
    if any(real_vfs(function) for function in card.functions):
        raise CardError("Reset virtual functions failed! Please reset virtual functions manually and resume operation")
    print("-I- Sending Reset Command To Fw             -", end="", flush=True)
    if card.behave("reset") == "refused":
        print("Failed")
        raise CardError(f"Failed to send MFRL! reset-level {level} is not supported!")
    print("Done", flush=True)


def print_reset_levels(supported: set[int]) -> None:
    """Print what can be reset and how."""
    print("Reset-levels:")
    for level, text in RESET_LEVELS.items():
        word = "Supported" if level in supported else "Not Supported"
        print(f"{level}: {text:<62}-{word:<14}{'(default)' if level == min(supported) else ''}")
    print("\nReset-types (relevant only for reset-levels 1,3,4):")
    print(f"0: {'Full chip reset':<62}-{'Supported':<14}(default)")
    print(f"1: {'Phy-less reset (keep network port active during reset)':<62}-{'Not Supported':<14}")
    print(f"2: {'NIC only reset (for SoC devices)':<62}-{'Not Supported':<14}\n")
    print("Reset-sync (relevant only for reset-level 3):")
    print(f"0: {'Tool is the owner':<62}-{'Supported':<14}(default)")
    print(f"1: {'Driver is the owner':<62}-{'Not supported':<14}")


def reset_card(card: Card, skip_driver: bool) -> None:
    """Take the functions' interfaces away, load the next configuration and give them back."""
    if not skip_driver:
        step("Stopping Driver")
    bound = [function for function in card.functions if write(PCI / "drivers/igb/unbind", function)]
    with locked_state() as state:
        Card(state, card.slot).promote()
        for function in card.functions:
            restore(function)
    time.sleep(0 if TEST_ROOT else 1)
    step("Resetting PCI")
    for function in bound:
        write(PCI / "drivers/igb/bind", function)
    apply_identity(Card(snapshot(), card.slot))
    if not skip_driver:
        step("Starting Driver")
