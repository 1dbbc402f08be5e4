"""The functions of a card as the card's ports in sysfs."""

from __future__ import annotations

import sys

import connectx3
from guest import RUN
from state import Card
from sysfs import cover, device_folder, restore


def apply_identity(card: Card) -> None:
    """Show all functions of a card as the card's ports."""
    for function in card.functions:
        if not device_folder(function).exists():
            print(f"rig-card: there is no {function}", file=sys.stderr)
            continue
        restore(function)
        if card.fourth:
            connectx3.show(card, function)
            continue
        total = card.total_vfs()
        files = {"vendor": "0x15b3", "device": card.model.device, "sriov_totalvfs": str(total)}
        files.update(subsystem_vendor="0x15b3", subsystem_device="0x0080")
        if total == 0:
            files["sriov_numvfs"] = "0"
        for name, text in files.items():
            cover(device_folder(function) / name, RUN / "files" / function / name, text)
