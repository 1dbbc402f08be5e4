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
from parameters import MODELS, Parameter, Value, read_parameters

# How the cards and their tools behave, unless it was set otherwise.
BEHAVIOUR = {
    "version": "4.31",
    "delay": "0.3",
    "max-vfs": "127",
    "keeps": "false",
    "reset": "ok",
    "livefish": "false",
    "locked-down": "false",
    "driver": "inbox",
    "read-only": "",
    "unsupported": "",
}
CHOICES = {
    **dict.fromkeys(("keeps", "livefish", "locked-down"), ("true", "false")),
    "reset": ("ok", "refused", "power-cycle"),
    "driver": ("inbox", "ofed"),
}


class Card:
    """One card of the state: a slot, its ports and its configuration."""

    def __init__(self, state: dict[str, Any], slot: str) -> None:
        self.state = state
        self.slot = slot
        self.data = state["cards"][slot]
        self.model = MODELS[self.data["type"]]
        self.functions: list[str] = self.data["functions"]
        self.fourth = self.data["type"] == "connectx3"
        self.parameters = read_parameters(self.model.parameters, len(self.functions))

    def behave(self, key: str) -> str:
        """Return a setting of this card's behaviour."""
        return str(self.data["behave"].get(key, self.state["behave"].get(key, BEHAVIOUR[key])))

    def is_read_only(self, name: str) -> bool:
        """Tell whether the device has a parameter that cannot be changed."""
        return self.parameters[name].read_only or name in self.behave("read-only").split(",")

    def supports(self, name: str) -> bool:
        """Tell whether the device has a parameter now."""
        parameter = self.parameters.get(name)
        if parameter is None or name in self.behave("unsupported").split(","):
            return False
        return not parameter.needs or self.get("next", parameter.needs[0]) == parameter.needs[1]

    def parse(self, parameter: Parameter, text: str) -> int:
        """Read a value, with the words of the card's generation."""
        try:
            return parameter.parse(text)
        except CardError:
            if not self.fourth:
                raise
            raise CardError(f"Failed to parse {parameter.name}={text}") from None

    def get(self, column: str, name: str, function: str = "") -> Value:
        """Return the default, current or next value."""
        parameter = self.parameters[name]
        if column == "default":
            return parameter.default
        store = self.data["per_function"].get(function, {}) if parameter.per_function else self.data
        return store.get(column, {}).get(name, parameter.default)

    def put(self, column: str, name: str, value: Value, function: str = "") -> None:
        """Change the current or next value."""
        store = self.data
        if self.parameters[name].per_function:
            store = self.data["per_function"].setdefault(function, {})
        store.setdefault(column, {})[name] = value

    def promote(self) -> None:
        """Make the next values of all ports the current ones."""
        for store in (self.data, *self.data["per_function"].values()):
            store["current"] = copy.deepcopy(store.get("next", {}))

    def total_vfs(self, function: str) -> int:
        """Return how many VFs the running firmware offers at a function."""
        if not self.get("current", "SRIOV_EN"):
            return 0
        if "PF_NUM_OF_VF_VALID" in self.parameters and self.get("current", "PF_NUM_OF_VF_VALID"):
            return int(self.get("current", "PF_NUM_OF_VF", function))
        return int(self.get("current", "NUM_OF_VFS"))


def cards(state: dict[str, Any]) -> list[Card]:
    """Return all cards in the order of their slots."""
    return [Card(state, slot) for slot in sorted(state["cards"])]


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
        state = json.loads(before) if before else {"boot_id": boot_id(), "mst": "", "behave": {}, "cards": {}}
        if state["boot_id"] != boot_id():
            state["boot_id"] = boot_id()
            for card in cards(state):
                if card.behave("keeps") != "true":
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
    with contextlib.suppress(PermissionError), (LIBRARY / "log").open("a") as log:
        log.write(line)
