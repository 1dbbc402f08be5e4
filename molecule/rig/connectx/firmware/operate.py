"""rig-connectx: the control of the cards, for test scenarios."""

from __future__ import annotations

import argparse
import compileall
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from blocks import FIELDS
from cards import BEHAVIOUR, CHOICES, MODELS, STATE, TABLES, Card, State, new
from serve import DEVICE, Slots

ROOT = Path("/")
PROGRAM = ROOT / "usr/local/lib/rig-connectx"
NAME = ROOT / "usr/local/sbin/rig-connectx"
UNIT = "rig-connectx.service"
# Without it udev loads the real driver for the cards, which fails because its name is in use.
MODPROBE = ROOT / "etc/modprobe.d/rig-connectx.conf"


class UseError(Exception):
    """A mistake in the use of rig-connectx."""


def chosen(cards: dict[str, Card], name: str) -> tuple[Card, int]:
    """Return the card of --card, or the only one, and the function in --card, or 0."""
    if not name and len(cards) != 1:
        raise UseError(f"which card? {' '.join(cards) or 'there is none'}")
    match = re.fullmatch(r"([0-9a-f]{4}:[0-9a-f]{2})(?::00(?:\.([0-7]))?)?", name or next(iter(cards)))
    if not match or match[1] not in cards:
        raise UseError(f"there is no card {name}")
    return cards[match[1]], int(match[2] or 0)


def plug_again(card: Card) -> None:
    """Take a card out and put it in again: the kernel reads what a card is, and what it offers, when it finds it."""
    if Path(DEVICE).exists():
        slots = Slots()
        slots.take(card.bus)
        slots.plug(card)


def do_add(options: argparse.Namespace) -> None:
    """Put a card into an empty slot, for this boot and all later ones."""
    if not re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}", options.bus):
        raise UseError("a bus is DOMAIN:BUS, such as 0000:01")
    state = State()
    with state.locked():
        state.data["cards"][options.bus] = new(options.model, options.ports, options.vfs, options.table)
        state.write()
        plug_again(state.cards[options.bus])


def do_values(options: argparse.Namespace) -> None:
    """Change next values, as another program would; or next and current values, and plug the card in again."""
    state = State()
    with state.locked() as cards:
        card, function = chosen(cards, options.card)
        for assignment in options.values:
            name, _, text = assignment.partition("=")
            if name not in FIELDS:
                raise UseError(f"not a parameter that can be set here: {name}; there are {' '.join(sorted(FIELDS))}")
            # Without a function in --card, the parameters of a function are set for all functions.
            for one in [function] if "." in options.card else range(card.ports):
                for column in ("next", "current") if options.action == "current" else ("next",):
                    card.set_parameter(column, name, one, int(text, 0))
        state.write()
        if options.action == "current":
            plug_again(card)


def do_behave(options: argparse.Namespace) -> None:
    """Change how a card behaves."""
    state = State()
    with state.locked() as cards:
        card, _ = chosen(cards, options.card)
        livefish = card.behave("livefish")
        for setting in options.settings:
            key, _, value = setting.partition("=")
            if key not in BEHAVIOUR or value not in CHOICES.get(key, (value,)):
                raise UseError(f"not a behaviour: {setting}; there are {' '.join(sorted(BEHAVIOUR))}")
            card.data["behave"][key] = value
        state.write()
        if card.behave("livefish") != livefish:
            plug_again(card)


def do_show(options: argparse.Namespace) -> None:
    """Print the state, or the two values of one parameter, as JSON."""
    with State().locked() as cards:
        if not options.name:
            print(json.dumps({bus: card.data for bus, card in cards.items()}, indent=1, sort_keys=True))
            return
        card, function = chosen(cards, options.card)
        if options.name not in FIELDS:
            raise UseError(f"not a parameter that is known here: {options.name}")
        print(json.dumps({one: card.parameter(one, options.name, function) for one in ("current", "next")}))


def do_clear_log(_: argparse.Namespace) -> None:
    """Empty the log of commands."""
    (Path(STATE) / "log").write_text("")


def run(*command: str) -> None:
    """Run a command of the system."""
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        raise UseError(f"{' '.join(command)}: {result.stderr.strip()}")


def do_install(_: argparse.Namespace) -> None:
    """Install this program, its name and its unit, which loads the module."""
    run("modprobe", "--dry-run", "rig_connectx")
    here = Path(__file__).resolve().parent
    if here != PROGRAM:
        shutil.rmtree(PROGRAM, ignore_errors=True)
        PROGRAM.mkdir(parents=True)
        for source in here.glob("*.py"):
            shutil.copyfile(source, PROGRAM / source.name)
        # Now, because a later call would write files below /usr/local, and a step may check that nothing changes there.
        compileall.compile_dir(PROGRAM, quiet=1)
        NAME.write_text(f'#!/bin/sh\nexec /usr/bin/python3 {PROGRAM}/rig_connectx.py "$@"\n')
        NAME.chmod(0o755)
        shutil.copyfile(here / UNIT, ROOT / "etc/systemd/system" / UNIT)
    MODPROBE.write_text("# rig_connectx has a driver with this name.\nblacklist mlx5_core\n")
    Path(STATE).mkdir(parents=True, exist_ok=True)
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", UNIT)


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="rig-connectx", description=operate.__doc__)
    actions = parser.add_subparsers(dest="action", required=True)

    def add(name: str, handler: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=handler.__doc__)
        action.set_defaults(handler=handler)
        return action

    add("install", do_install)
    card = add("add", do_add)
    card.add_argument("--model", choices=sorted(MODELS), default="connectx5")
    card.add_argument("--ports", type=int, choices=(1, 2), default=2)
    card.add_argument("--vfs", type=int, default=127, help="the most that a port can have")
    card.add_argument("--table", choices=TABLES, default="basic")
    card.add_argument("bus")
    for name in ("next", "current"):
        values = add(name, do_values)
        values.add_argument("values", nargs="+", metavar="NAME=VALUE")
        values.add_argument("--card", default="", help="0000:01, or 0000:01:00.1 for values of one function")
    behave = add("behave", do_behave)
    behave.add_argument("settings", nargs="+", metavar="KEY=VALUE")
    behave.add_argument("--card", default="")
    show = add("show", do_show)
    show.add_argument("name", nargs="?", default="")
    show.add_argument("--card", default="")
    add("clear-log", do_clear_log)
    return parser


def operate(arguments: list[str]) -> int:
    """Be rig-connectx."""
    options = command_line().parse_args(arguments)
    try:
        options.handler(options)
    except (UseError, ValueError, OSError) as error:
        print(f"rig-connectx: {error}", file=sys.stderr)
        return 1
    return 0
