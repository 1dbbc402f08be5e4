"""The cards and their configuration, which a file of the guest keeps."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import json
import os
import shlex
from collections.abc import Iterator
from typing import Any

from guest import LIBRARY, CardError, boot_id
from parameters import MODELS

# How the cards and their tools behave, unless it was set otherwise, and the values of those that have few.
BEHAVIOUR = {"delay": "0.3", "keeps": "false", "reset": "ok", "driver": "inbox"}
CHOICES = {"keeps": ("true", "false"), "reset": ("ok", "refused"), "driver": ("inbox", "ofed")}


def behaviour(state: dict[str, Any], key: str) -> str:
    """Return a setting of the behaviour."""
    return str(state["behave"].get(key, BEHAVIOUR[key]))


class Card:
    """One card of the state: a slot, its ports and its configuration."""

    def __init__(self, state: dict[str, Any], slot: str) -> None:
        self.state = state
        self.slot = slot
        self.data = state["cards"][slot]
        self.model = MODELS[self.data["type"]]
        self.functions: list[str] = self.data["functions"]
        self.fourth = self.data["type"] == "connectx3"
        self.parameters = {parameter.name: parameter for parameter in self.model.parameters}

    def parse(self, name: str, text: str) -> int:
        """Read a value, with the words of the card's generation."""
        try:
            return self.parameters[name].parse(text)
        except CardError:
            if not self.fourth:
                raise
            raise CardError(f"Failed to parse {name}={text}") from None

    def get(self, column: str, name: str) -> int:
        """Return the default, current or next value."""
        return int(self.data.get(column, {}).get(name, self.parameters[name].default))

    def put(self, column: str, name: str, value: int) -> None:
        """Change the current or next value."""
        self.data[column][name] = value

    def promote(self) -> None:
        """Make the next values the current ones."""
        self.data["current"] = dict(self.data["next"])

    def total_vfs(self) -> int:
        """Return how many VFs the running firmware offers at each port."""
        return self.get("current", "NUM_OF_VFS") if self.get("current", "SRIOV_EN") else 0


def cards(state: dict[str, Any]) -> list[Card]:
    """Return all cards in the order of their slots."""
    return [Card(state, slot) for slot in sorted(state["cards"])]


def find_card(state: dict[str, Any], device: str) -> Card:
    """Open a device by its full PCI address, which is what the role passes."""
    for card in cards(state):
        if device in card.functions:
            return card
    raise CardError("Failed to open the device")


@contextlib.contextmanager
def locked_state() -> Iterator[dict[str, Any]]:
    """Hold the state alone; what was changed in it is saved, whole or not at all.

    An exception inside saves nothing. With the first look in a new boot the next values have
    become the current ones.
    """
    LIBRARY.mkdir(parents=True, exist_ok=True)
    path = LIBRARY / "state.json"
    with (LIBRARY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text() if path.exists() else ""
        state = json.loads(before) if before else {"boot_id": boot_id(), "behave": {}, "cards": {}}
        if state["boot_id"] != boot_id():
            state["boot_id"] = boot_id()
            for card in cards(state) if behaviour(state, "keeps") != "true" else ():
                card.promote()
        yield state
        after = json.dumps(state, indent=1, sort_keys=True)
        if after != before:
            temporary = path.with_suffix(".new")
            with temporary.open("w") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)


def snapshot() -> dict[str, Any]:
    """Return the state as it is now."""
    with locked_state() as state:
        return copy.deepcopy(state)


def log_call(tool: str, arguments: list[str]) -> None:
    """Add a call to the log, in one write."""
    LIBRARY.mkdir(parents=True, exist_ok=True)
    line = shlex.join([tool, *arguments]) + "\n"
    with (LIBRARY / "log").open("a") as log:
        log.write(line)
