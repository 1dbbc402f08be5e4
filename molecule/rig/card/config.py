"""mstconfig and mlxconfig."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from guest import CardError, is_root
from mst import find_device
from parameters import Value, split_index
from state import BEHAVIOUR, Card, cards, locked_state, snapshot
from tables import Style, Table, version_of

ERROR = 3
ABORTED = 2

DEVICE = "device name"
VALUES = {**dict.fromkeys(("-d", "--dev"), DEVICE), **dict.fromkeys(("-b", "--db"), "database file name")}
COMMANDS = {word: command for command in ("query", "set", "reset") for word in (command[0], command)}


def check_assignments(arguments: list[str]) -> None:
    """Refuse an argument that is not NAME=VALUE, and a repeated name."""
    seen = set()
    for argument in arguments:
        parts = [part for part in argument.split("=") if part]
        if len(parts) != 2:
            raise CardError(f"Invalid Configuration argument {argument if len(parts) != 1 else parts[0]}")
        if parts[0] in seen:
            raise CardError(f"Duplicate parameter, {parts[0]}.")
        seen.add(parts[0])


class ConfigTool:
    """One call of mstconfig or mlxconfig."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = ""
        self.yes = self.verbose = self.show_read_only = False
        self.json = ""
        self.command = ""
        self.arguments: list[str] = []
        self.state: dict[str, Any] = snapshot() if is_root() else {"cards": {}, "behave": {}, "mst": ""}
        self.version_text: str = self.state["behave"].get("version", BEHAVIOUR["version"])
        self.version = version_of(self.version_text)

    # -- the command line --

    def run(self, arguments: list[str]) -> int:
        """Run the command line and return the exit code."""
        try:
            if not self.parse(arguments):
                return 0
        except CardError as error:
            print(f"-E- {error}")
            self.print_help()
            return ERROR
        if self.command == "query":
            return self.query()
        if self.command == "set":
            return self.set()
        return self.reset()

    def parse(self, arguments: list[str]) -> bool:
        """Read the command line; False when it was a question about the tool, which is answered."""
        left = list(arguments)
        while left and not self.command:
            word = left.pop(0)
            if word in ("-v", "--version"):
                self.print_version()
                return False
            if word in ("-h", "--help"):
                self.print_help()
                return False
            if word in COMMANDS:
                self.command = COMMANDS[word]
            elif not (self.switch(word) or self.take(word, left)):
                raise CardError(f"invalid argument: {word}")
        self.arguments = left
        if not self.command:
            raise CardError("No command found. For more information please read the help message:")
        self.check_arguments()
        return True

    def switch(self, word: str) -> bool:
        """Read an option without a value; False when it is none."""
        if word in ("-y", "--yes") or (word in ("-yy", "--yyes") and self.version >= (4, 36)):
            self.yes = True
        elif word in ("-e", "--enable_verbosity"):
            self.verbose = True
        elif word == "--read_only" and (4, 25) <= self.version < (4, 26):
            self.show_read_only = True
        else:
            return False
        return True

    def take(self, word: str, left: list[str]) -> bool:
        """Read an option and its value; False when it is none."""
        json_file = word in ("-j", "--json_format") and self.version >= (4, 31)
        if not json_file and word not in VALUES:
            return False
        if not left:
            raise CardError(f"missing {'.json output file' if json_file else VALUES[word]}")
        value = left.pop(0)
        if json_file:
            self.json = value
        elif VALUES[word] == DEVICE:
            self.device = value
        return True

    def check_arguments(self) -> None:
        """Refuse what the command cannot take."""
        if self.command == "set" and not self.arguments:
            raise CardError(f"missing configuration arguments. For more information please run {self.name} -h|--help.")
        if self.command == "reset" and self.arguments and self.version < (4, 25):
            raise CardError(f"reset command expects no argument but {len(self.arguments)} argument received")
        if self.json and self.command != "query":
            raise CardError("Json format is only supported for query command.")
        if self.command == "set" and not self.device:
            raise CardError("set command expects device to be specified.")
        if self.command == "set":
            check_assignments(self.arguments)

    def print_version(self) -> None:
        """Print which version the tool is."""
        package = "mstflint" if self.name.startswith("mst") else "mft"
        release = self.version_text + (".0" if self.version_text.count(".") == 1 else "")
        print(f"{self.name}, {package} {release}, Git SHA Hash: N/A")

    def print_help(self) -> None:
        """Print the part of the help that people read."""
        device = "0000:86:00.0" if self.name.startswith("mst") else "/dev/mst/mt4115_pciconf0"
        flags = {
            "-d|--dev <device>": "Perform operation for a specified MST device.",
            "-b|--db <filename>": "Use a specific database file.",
            "-h|--help": "Display help message.",
            "-v|--version": "Display version info.",
            "-e|--enable_verbosity": "Show default and current configurations.",
            "-y|--yes": "Answer yes in prompt.",
        }
        print(f"    NAME:\n        {self.name}\n    SYNOPSIS:\n        {self.name} [Options] <Commands> [Parameters]")
        print("    DESCRIPTION:\n        Allows the user to change some of the device configurations without having to")
        print("        create and burn a new firmware.\n    OPTIONS:")
        for flag, text in flags.items():
            print(f"        {flag:<16}\t\t: {text}")
        print("\n    COMMANDS SUMMARY")
        print(f"        {'q|query':<24} : query supported configurations.")
        print(f"        {'r|reset':<24} : reset all configurations to their default value.")
        print(f"        {'s|set':<24} : set configurations to a specific device.")
        print("\n    Examples:")
        print(f"        {'To query configurations':<35}: {self.name} -d {device} query")
        print(f"        {'To set configuration':<35}: {self.name} -d {device} set SRIOV_EN=1 NUM_OF_VFS=16\n")

    # -- devices --

    def open(self, device: str, state: dict[str, Any] | None = None) -> tuple[Card, str]:
        """Return the card and the function of a device's name."""
        state = self.state if state is None else state
        card, function = find_device(state, device, mft=self.name == "mlxconfig")
        if card.behave("livefish") == "true":
            raise CardError("Device in Livefish mode is not supported")
        if card.fourth and self.version >= (4, 26):
            raise CardError("Unsupported device")
        return card, function

    def table(self, card: Card, function: str) -> Table:
        """Return the table of a function of a card."""
        return Table(Style(self.version, self.command == "set", self.verbose, self.show_read_only), card, function)

    def wait(self) -> None:
        """Take as long as the hardware does."""
        time.sleep(float(self.state["behave"].get("delay", BEHAVIOUR["delay"])))

    def ask(self, question: str) -> bool:
        """Ask; without an answer the answer is no."""
        print(f"\n {question} (y/n) [n] : ", end="", flush=True)
        if self.yes:
            print("y")
            return True
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return True
        print("-E- Aborted by user.")
        return False

    # -- the commands --

    def query(self) -> int:
        """Show one device, or all."""
        if self.json:
            Path(self.json).write_text("{}\n")
        devices = [self.device] if self.device else [name for card in cards(self.state) for name in card.functions]
        if not devices:
            self.print_no_devices()
            return ERROR
        failed = [device for number, device in enumerate(devices, 1) if not self.query_one(device, number)]
        if self.json:
            outcome = "but one or more devices had an error." if failed else "successfully"
            print(f"Query output saved to {self.json} {outcome}")
        return ERROR if failed else 0

    def print_no_devices(self) -> None:
        """Report that there is no device."""
        hint = ", mst might be stopped. You may need to run 'mst start' to load MST modules. "
        end = "." if self.name.startswith("mst") else hint
        print(f"-E- No devices found{end}" if is_root() else "-E- Failed to get devices.")

    def query_one(self, device: str, number: int) -> bool:
        """Show a device; False when that failed."""
        try:
            card, function = self.open(device)
            self.wait()
            self.table(card, function).show(device, number, [(name, None) for name in self.arguments], self.json)
        except CardError as error:
            print(f"-E- {error}")
            return False
        return True

    def set(self) -> int:
        """Show what would change, ask, and change it for the next boot: all of it or nothing."""
        words = [argument.strip("=").partition("=") for argument in self.arguments]
        wanted = [(name, value.lstrip("=")) for name, _, value in words]
        shown: list[tuple[str, str | None]] = [*wanted]
        try:
            card, function = self.open(self.device)
            self.wait()
            self.table(card, function).show(self.device, 1, shown, self.json)
        except CardError as error:
            print(f"-E- {error}")
            return ERROR
        if not self.ask("Apply new Configuration?"):
            return ABORTED
        print("Applying... ", end="", flush=True)
        try:
            with locked_state() as state:
                card, function = self.open(self.device, state)
                for name, text in wanted:
                    self.apply(card, function, name, text)
        except CardError as error:
            print("Failed!")
            print(f"-E- {error}")
            return ERROR
        print("Done!")
        power = card.behave("reset") == "power-cycle" and not card.fourth
        print(f"-I- Please {'power cycle' if power else 'reboot'} machine to load new configurations.")
        return 0

    def apply(self, card: Card, function: str, name: str, text: str) -> None:
        """Change one next value, or raise what the device would refuse."""
        base, index = split_index(name)
        parameter = card.parameters[base]
        value: Value = card.parse(parameter, text)
        limit = int(card.behave("max-vfs"))
        if base == "NUM_OF_VFS" and card.fourth and value > min(limit, 63):
            raise CardError(f"Failed to set configuration: Number of VFs exceeds limit ({min(limit, 63)}).")
        if base in ("NUM_OF_VFS", "PF_NUM_OF_VF") and value > limit:
            raise CardError(f"Parameter {base}' value is larger than maximum allowed {limit}")
        if index is not None:
            elements = list(card.get("next", base, function))
            elements[index] = value
            value = elements
        card.put("next", base, value, function)

    def reset(self) -> int:
        """Set the next values back to the default ones."""
        what = f"for device {self.device}" if self.device else "for all devices"
        if not self.device and not self.state["cards"]:
            print("-E- No devices found." if is_root() else "-E- Failed to get devices.")
            return ERROR
        if not self.ask(f"Reset configuration {what}?"):
            return ABORTED
        print("Applying... ", end="", flush=True)
        try:
            with locked_state() as state:
                chosen = [self.open(self.device, state)[0]] if self.device else cards(state)
                for card in chosen:
                    self.forget(card)
        except CardError as error:
            print("Failed!")
            print(f"-E- {error}")
            return ERROR
        print("Done!\n-I- Please reboot machine to load new configurations.")
        return 0

    def forget(self, card: Card) -> None:
        """Drop the next values of a card, or of the named configurations."""
        known = {parameter.tlv.upper() for parameter in card.parameters.values()}
        for tlv in self.arguments:
            if tlv not in known:
                raise CardError(f"The configuration {tlv} was not found")
        for store in (card.data, *card.data["per_function"].values()):
            store["next"] = {
                name: value
                for name, value in store.get("next", {}).items()
                if self.arguments and card.parameters[name].tlv.upper() not in self.arguments
            }
