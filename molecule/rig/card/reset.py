"""mlxfwreset."""

from __future__ import annotations

import argparse
import time

from guest import PCI, TEST_ROOT, CardError, write
from identity import apply_identity
from state import Card, behaviour, find_card, locked_state, snapshot
from sysfs import real_vfs, restore


def step(text: str) -> None:
    """Print one step of a reset."""
    print(f"-I- {text:<40}-Done", flush=True)


def reset_tool(arguments: list[str]) -> int:
    """Be mlxfwreset, as the role calls it."""
    parser = argparse.ArgumentParser(prog="mlxfwreset", allow_abbrev=False)
    parser.add_argument("-d", dest="device", required=True)
    parser.add_argument("-l", dest="level", type=int, choices=[3], required=True)
    parser.add_argument("-y", dest="yes", action="store_true")
    parser.add_argument("command", choices=["reset"])
    options = parser.parse_args(arguments)
    try:
        do_reset(options)
    except CardError as error:
        print(f"-E- {error}.")
        return 1
    return 0


def do_reset(options: argparse.Namespace) -> None:
    """Load the next configuration into all ports of a card.

    The real tool refuses every reset on a virtual machine (it reads lscpu); this one cannot.
    """
    try:
        card = find_card(snapshot(), options.device)
    except CardError:
        raise CardError(f"Failed to Identify Device: {options.device}, mopen: No such file or directory") from None
    print(f"\nThe reset level for device, {options.device} is:\n\n3: Driver restart and PCI reset")
    print("Continue with reset?[y/N] ", end="", flush=True)
    if not options.yes:
        raise CardError("Aborted by user")
    print("y")
    send_command(card)
    reset_card(card)
    print("-I- FW was loaded successfully.")


def send_command(card: Card) -> None:
    """Play the firmware's answer to the command to reset."""
    # The real tool without --skip_driver writes 0 to sriov_numvfs of functions 0 and 1 itself and
    # fails with this text when VFs stay (mlxfwreset_mlnxdriver.py, MlnxDriverLinux). Here no one
    # may depend on that: any VF of any port is refused.
    if any(real_vfs(function) for function in card.functions):
        raise CardError("Reset virtual functions failed! Please reset virtual functions manually and resume operation")
    print("-I- Sending Reset Command To Fw             -", end="", flush=True)
    if behaviour(card.state, "reset") == "refused":
        print("Failed")
        raise CardError("Failed to send MFRL! reset-level 3 is not supported!")
    print("Done", flush=True)


def reset_card(card: Card) -> None:
    """Take the functions' interfaces away, load the next configuration and give them back."""
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
    step("Starting Driver")
