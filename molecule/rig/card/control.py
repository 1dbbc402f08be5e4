"""rig-card: what test scenarios and the boot do with the cards."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from connectx3 import prepare_initramfs
from guest import LIBRARY, PROGRAM, ROOT, SBIN, CardError, ControlError, command
from identity import apply_identity
from parameters import MODELS
from state import BEHAVIOUR, CHOICES, Card, cards, locked_state, snapshot
from sysfs import restore

TOOLS = {"mst": ("mstconfig",), "mft": ("mlxconfig", "mlxfwreset")}


def chosen_card(state: dict[str, Any], slot: str) -> Card:
    """Return the card of --card, or the only one."""
    slots = sorted(state["cards"])
    if not slot and len(slots) != 1:
        raise ControlError(f"which card? {' '.join(slots) or 'there is none'}")
    slot = slot or slots[0]
    if slot not in state["cards"]:
        raise ControlError(f"there is no card at {slot}")
    return Card(state, slot)


def control_add(options: argparse.Namespace) -> None:
    """Make functions the ports of one card."""
    slots = {function.rpartition(".")[0] for function in options.functions}
    address = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
    if len(slots) != 1 or not all(address.fullmatch(function) for function in options.functions):
        raise ControlError("a card's functions are full PCI addresses of one slot")
    slot = slots.pop()
    with locked_state() as state:
        functions = sorted(options.functions)
        state["cards"][slot] = {"type": options.type, "functions": functions, "current": {}, "next": {}}
    if options.type == "connectx3":
        prepare_initramfs()
    apply_identity(Card(snapshot(), slot))


def control_values(options: argparse.Namespace) -> None:
    """Change next values, or next and current ones, as another program would have done."""
    with locked_state() as state:
        card = chosen_card(state, options.card)
        for assignment in options.values:
            name, _, text = assignment.partition("=")
            if name not in card.parameters:
                raise ControlError(f"the card has no {name}")
            for column in ("next", "current") if options.action == "current" else ("next",):
                card.put(column, name, card.parse(name, text))
        slot = card.slot
    if options.action == "current":
        apply_identity(Card(snapshot(), slot))


def control_behave(options: argparse.Namespace) -> None:
    """Change how the cards behave."""
    with locked_state() as state:
        for setting in options.settings:
            key, _, value = setting.partition("=")
            if key not in BEHAVIOUR or value not in CHOICES.get(key, (value,)):
                raise ControlError(f"not a behaviour: {setting}; there are {' '.join(sorted(BEHAVIOUR))}")
            state["behave"][key] = value
            if key == "driver":
                link(SBIN / "modinfo", present=value == "ofed")


def control_show(options: argparse.Namespace) -> None:
    """Print the three values of one parameter, as JSON."""
    card = chosen_card(snapshot(), options.card)
    if options.name not in card.parameters:
        raise ControlError(f"the card has no {options.name}")
    print(json.dumps({column: card.get(column, options.name) for column in ("default", "current", "next")}))


def control_boot(_: argparse.Namespace) -> None:
    """Give every card its identity at boot."""
    for card in cards(snapshot()):
        apply_identity(card)


def control_off(_: argparse.Namespace) -> None:
    """Show every function as it is."""
    for card in cards(snapshot()):
        for function in card.functions:
            restore(function)


def control_clear_log(_: argparse.Namespace) -> None:
    """Forget the calls."""
    (LIBRARY / "log").write_text("")


def link(path: Path, present: bool, target: str = "rig-card") -> None:
    """Make or remove a name of this program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if present:
        path.symlink_to(target)


def control_install(options: argparse.Namespace) -> None:
    """Install this program, its names and its unit."""
    here = Path(__file__).resolve().parent
    LIBRARY.mkdir(parents=True, exist_ok=True)
    if here != PROGRAM:
        shutil.rmtree(PROGRAM, ignore_errors=True)
        PROGRAM.mkdir(parents=True)
        for source in here.glob("*.py"):
            shutil.copyfile(source, PROGRAM / source.name)
        (PROGRAM / "card.py").chmod(0o755)
        # Now, because a later call would change files below /usr/local, which a step may require to be untouched.
        compileall.compile_dir(PROGRAM, quiet=1)
        units = ROOT / "etc/systemd/system"
        units.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here / "rig-card.service", units / "rig-card.service")
    link(SBIN / "rig-card", present=True, target="../lib/rig-card/card.py")
    for family, names in TOOLS.items():
        for name in names:
            link(SBIN / name, present=options.tools in (family, "both"))
    command(["systemctl", "daemon-reload"], check=True)
    command(["systemctl", "enable", "rig-card.service"], check=True)


def command_line() -> argparse.ArgumentParser:
    """Return the parser of rig-card's command line."""
    parser = argparse.ArgumentParser(prog="rig-card", description=control.__doc__)
    actions = parser.add_subparsers(dest="action", required=True)

    def add(name: str, handler: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=handler.__doc__)
        action.set_defaults(handler=handler)
        return action

    install = add("install", control_install)
    install.add_argument("--tools", choices=["mst", "mft", "both"], default="both")
    card = add("add", control_add)
    card.add_argument("--type", choices=sorted(MODELS), default="connectx5")
    card.add_argument("functions", nargs="+", metavar="FUNCTION")
    for name in ("next", "current"):
        values = add(name, control_values)
        values.add_argument("values", nargs="+", metavar="NAME=VALUE")
        values.add_argument("--card", default="", help="its slot")
    behave = add("behave", control_behave)
    behave.add_argument("settings", nargs="+", metavar="KEY=VALUE")
    show = add("show", control_show)
    show.add_argument("name")
    show.add_argument("--card", default="")
    add("boot", control_boot)
    add("off", control_off)
    add("clear-log", control_clear_log)
    return parser


def control(arguments: list[str]) -> int:
    """Be rig-card."""
    options = command_line().parse_args(arguments)
    try:
        options.handler(options)
    except (ControlError, CardError) as error:
        print(f"rig-card: {error}", file=sys.stderr)
        return 1
    return 0
