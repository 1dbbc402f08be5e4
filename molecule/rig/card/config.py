"""mstconfig and mlxconfig."""

from __future__ import annotations

import time

from guest import CardError
from state import behaviour, find_card, locked_state, snapshot
from tables import Table

ERROR = 3
ABORTED = 2


class ConfigTool:
    """One call of mstconfig or mlxconfig."""

    def __init__(self) -> None:
        self.device = self.command = ""
        self.yes = self.verbose = False
        self.wanted: list[tuple[str, str | None]] = []

    def run(self, arguments: list[str]) -> int:
        """Run the command line and return the exit code."""
        try:
            self.parse(list(arguments))
            state = snapshot()
            card = find_card(state, self.device)
            time.sleep(float(behaviour(state, "delay")))
            Table(card, self.verbose, self.command == "set").show(self.device, self.wanted)
        except CardError as error:
            print(f"-E- {error}")
            return ERROR
        return self.set() if self.command == "set" else 0

    def parse(self, left: list[str]) -> None:
        """Read the command line: what the role passes, and nothing else."""
        while left and not self.command:
            word = left.pop(0)
            if word == "-y":
                self.yes = True
            elif word == "-e":
                self.verbose = True
            elif word == "-d":
                if not left:
                    raise CardError("missing device name")
                self.device = left.pop(0)
            elif word in ("q", "set"):
                self.command = word
            else:
                raise CardError(f"invalid argument: {word}")
        if not self.command:
            raise CardError("No command found. For more information please read the help message:")
        if self.command == "set" and not left:
            raise CardError("missing configuration arguments. For more information please run mstconfig -h|--help.")
        self.wanted = [self.argument(word) for word in left]

    def argument(self, word: str) -> tuple[str, str | None]:
        """Read a name, and with `set` a value."""
        if self.command == "q":
            return word, None
        name, _, value = word.partition("=")
        if not (name and value):
            raise CardError(f"Invalid Configuration argument {word}")
        return name, value

    def set(self) -> int:
        """Ask, and change all values for the next boot, or none. Nobody is there to answer."""
        print(f"\n Apply new Configuration? (y/n) [n] : {'y' if self.yes else '-E- Aborted by user.'}")
        if not self.yes:
            return ABORTED
        print("Applying... ", end="", flush=True)
        try:
            with locked_state() as state:
                card = find_card(state, self.device)
                for name, text in self.wanted:
                    value = card.parse(name, str(text))
                    if name == "NUM_OF_VFS" and card.fourth and value > 63:
                        raise CardError("Failed to set configuration: Number of VFs exceeds limit (63).")
                    card.put("next", name, value)
        except CardError as error:
            print(f"Failed!\n-E- {error}")
            return ERROR
        print("Done!\n-I- Please reboot machine to load new configurations.")
        return 0
