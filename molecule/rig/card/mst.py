"""`mst`, and the names by which a device is opened."""

from __future__ import annotations

import copy
import shutil
from typing import Any

from guest import ROOT, CardError, is_root
from state import Card, cards, locked_state, snapshot


def mst_name(card: Card, function: str) -> str:
    """Return the name `mst start` gives a function."""
    number = [one.slot for one in cards(card.state) if one.model is card.model].index(card.slot)
    port = card.functions.index(function)
    return f"/dev/mst/mt{int(card.model.device, 16)}_pciconf{number}" + (f".{port}" if port else "")


def find_device(state: dict[str, Any], device: str, mft: bool) -> tuple[Card, str]:
    """Open a device by its PCI address, or with MFT by the name of `mst start`."""
    for card in cards(state) if is_root() else ():
        for function in card.functions:
            names = {function, function[5:] if function.startswith("0000:") else function}
            if mft and state["mst"] == state["boot_id"]:
                names.add(mst_name(card, function))
            if device in names and card.behave("locked-down") != "true":
                return card, function
    raise CardError("Failed to open the device")


def mst_tool(arguments: list[str]) -> int:
    """Be `mst`."""
    action = arguments[0] if arguments else "help"
    if action not in ("start", "stop", "restart", "status"):
        print("Usage:\n    mst {start|stop|status|restart} [options]")
        return 0 if action in ("help", "-h", "--help") else 1
    if not is_root():
        print("-E- You must be root to use mst tool")
        return 1
    if action == "status":
        return mst_status(snapshot())
    with locked_state() as state:
        state["mst"] = "" if action == "stop" else state["boot_id"]
        state = copy.deepcopy(state)
    folder = ROOT / "dev/mst"
    shutil.rmtree(folder, ignore_errors=True)
    if action == "stop":
        print("Stopping MST (Mellanox Software Tools) driver set")
        return 0
    folder.mkdir(parents=True)
    for card in cards(state):
        for function in card.functions:
            (ROOT / mst_name(card, function)[1:]).touch()
    print("Starting MST (Mellanox Software Tools) driver set")
    print("Loading MST PCI module - Success\nLoading MST PCI configuration module - Success")
    print("Create devices\nUnloading MST PCI module (unused) - Success")
    return 0


def mst_status(state: dict[str, Any]) -> int:
    """Print the modules and the devices."""
    started = state["mst"] == state["boot_id"]
    print("MST modules:\n------------\n    MST PCI module is not loaded")
    print(f"    MST PCI configuration module {'loaded' if started else 'is not loaded'}\n")
    print("MST devices:\n------------" if started else "PCI Devices:\n------------\n")
    for card in cards(state):
        for function in card.functions:
            if not started:
                print(f"{function}\n")
                continue
            print(f"{mst_name(card, function):<32} - PCI configuration cycles access.")
            print(" " * 35 + f"domain:bus:dev.fn={function} addr.reg=88 data.reg=92 cr_bar.gw_offset=-1")
            print(" " * 35 + "Chip revision is: 00")
    return 0 if started else 1
