"""The tables of mstconfig and mlxconfig, as their versions write them."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from guest import CardError
from parameters import KNOWN, KNOWN_FOURTH, Parameter, Value, split_index
from state import Card


@dataclasses.dataclass(frozen=True)
class Shape:
    """How a version writes its tables."""

    label: int
    name: int
    value: int
    # From this length on a space is written behind a value.
    space: int
    # Widths of the headings: both columns, Default only, Next Boot only.
    both: tuple[int, ...]
    default: tuple[int, ...]
    plain: tuple[int, ...]
    marks_read_only: bool = True


SHAPES = {
    (4, 21): Shape(16, 36, 16, 17, (36, 16, 18), (36, 18), (38,), marks_read_only=False),
    (4, 25): Shape(16, 44, 16, 17, (44, 16, 18), (44, 18), (46,)),
    (4, 26): Shape(20, 44, 20, 20, (39, 21, 23), (39, 23), (41,)),
    (4, 31): Shape(20, 44, 20, 20, (44, 20, 18), (44, 18), (46,)),
    (4, 36): Shape(20, 48, 33, 33, (), (), ()),
}


def version_of(text: str) -> tuple[int, int]:
    """Return the version as numbers."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def shape_of(version: tuple[int, int]) -> Shape:
    """Return how the newest known version not behind this one writes."""
    return SHAPES[max((known for known in SHAPES if known <= version), default=min(SHAPES))]


@dataclasses.dataclass
class Row:
    """One line of a table."""

    parameter: Parameter
    label: str
    read_only: bool
    values: list[Value]
    texts: list[str]

    def differs(self) -> bool:
        """Tell whether the value for the next boot is another than one of the others that are shown."""
        return any(value != self.values[-1] for value in self.values)

    def line(self, shape: Shape) -> str:
        """Write the line."""
        mark = "RO" if self.read_only and shape.marks_read_only else "  "
        line = f"{'*' if self.differs() else ' '}{mark}" + " " * (5 if shape.marks_read_only else 6)
        line += f"{self.label:<{shape.name}}"
        for number, text in enumerate(self.texts):
            cell = f"{text:<{shape.value}}"
            last = number == len(self.texts) - 1
            line += cell + (" " if len(cell) >= shape.space and not last else "")
        return line


def check_name(card: Card, version: tuple[int, int], name: str, text: str | None) -> None:
    """Raise for a name no database knows, for a read-only one and for a bad value to set."""
    base, _ = split_index(name)
    if base not in (KNOWN_FOURTH if card.fourth else KNOWN):
        if version >= (4, 36):
            raise CardError(f"Failed to find Param / TLV with name '{base}' port 0 module -1")
        raise CardError(f"Unknown Parameter: {base}")
    if text is None or base not in card.parameters:
        return
    if card.is_read_only(base) and not card.fourth:
        if version >= (4, 36):
            raise CardError(f"Operation is not supported (Read only TLV: {card.parameters[base].tlv})")
        raise CardError(f"The Device doesn't support {base} parameter")
    if re.fullmatch(r"-\d+", text) and not card.parameters[base].names and not card.fourth:
        # Seen of 4.21, 4.31 and 4.33.
        if version >= (4, 31):
            raise CardError("value is out of range")
        raise CardError(f"The value {text} is not valid,  as its size is {card.parameters[base].bits} bits")
    card.parse(card.parameters[base], text)


def check_support(card: Card, name: str, text: str | None) -> None:
    """Raise for what this device does not have: a parameter, a value for a whole array, or an index."""
    base, index = split_index(name)
    whole_array = text is not None and index is None and base in card.parameters
    if not card.supports(base) or (whole_array and card.parameters[base].kind == "array"):
        kind = "Device doesn't support {} configuration" if card.fourth else "The Device doesn't support {} parameter"
        raise CardError(kind.format(base))
    size = len(card.parameters[base].default) if index is not None else 0
    if index is not None and index >= size:
        raise CardError(f"Index {index} of the parameter {base} is out of range. Maximal index is {size - 1}")


@dataclasses.dataclass(frozen=True)
class Style:
    """The options of the command line for tables."""

    version: tuple[int, int]
    # Whether there is a column of new values.
    setting: bool
    verbose: bool
    show_read_only: bool

    @property
    def shape(self) -> Shape:
        """Return how this version writes."""
        return shape_of(self.version)


class Table:
    """One device's table: the parameters of a function of a card."""

    def __init__(self, style: Style, card: Card, function: str) -> None:
        self.style = style
        self.card = card
        self.function = function
        self.columns = ["next"]
        if style.verbose and not card.data["no_current"]:
            self.columns = ["default", "next"] if card.fourth else ["default", "current", "next"]

    def show(self, device: str, number: int, wanted: list[tuple[str, str | None]], file: str) -> None:
        """Print the table, or add it to the file of -j; raise CardError for what is wrong in `wanted`."""
        if not file:
            self.print_opening(device, number)
            self.print_heading()
        rows = self.rows(wanted)
        if file:
            self.write_json(device, number, rows, Path(file))
            print()
        else:
            self.print_rows(rows)
        if self.style.verbose and len(self.columns) < 3:
            missing = "default and current" if len(self.columns) == 1 else "current"
            print(f"Device Firmware does not support reading {missing} configurations")

    def print_opening(self, device: str, number: int) -> None:
        """Print what the device is."""
        width = self.style.shape.label
        model = self.card.model
        lines = {"Device type:": model.name, "Name:": model.part, "Description:": model.description}
        print(f"\nDevice #{number}:\n----------\n")
        for label, text in {**lines, "Device:": device}.items():
            if not (self.card.fourth and label in ("Name:", "Description:")):
                print(f"{label:<{width}}{text:<{width}}")
        print()

    def print_heading(self) -> None:
        """Print the headings of the columns."""
        names = {"default": "Default", "current": "Current", "next": "Next Boot"}
        titles = [names[column] for column in self.columns]
        shape = self.style.shape
        if not shape.plain:
            width = shape.value
            print(f"{'Configurations:':<56}" + " ".join(f"{title:<{width}}" for title in titles), end="")
            print(f" {'New':<{width}}" if self.style.setting else "")
            return
        widths = {3: shape.both, 2: shape.default, 1: shape.plain}[len(self.columns)]
        line = "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True))
        print(f"{'Configurations:':<{shape.label}}{line}" + ("       New" if self.style.setting else ""))

    def rows(self, wanted: list[tuple[str, str | None]]) -> list[Row]:
        """Collect the rows; raise for a name or a value that cannot be."""
        if not wanted:
            return [self.row(name, None) for name in self.card.parameters if self.card.supports(name)]
        # One that is named twice is shown once.
        wanted = list(dict.fromkeys(wanted))
        for name, text in wanted:
            check_name(self.card, self.style.version, name, text)
        for name, text in wanted:
            check_support(self.card, name, text)
        return [self.row(name, text) for name, text in wanted]

    def row(self, name: str, text: str | None) -> Row:
        """Make one row."""
        base, index = split_index(name)
        parameter = self.card.parameters[base]
        values = [self.card.get(column, base, self.function) for column in self.columns]
        if index is not None:
            values = [value[index] for value in values]
            parameter = dataclasses.replace(parameter, kind="uint")
        texts = [parameter.text(value) for value in values]
        if text is not None:
            new = self.card.parse(parameter, text)
            plain = parameter.names or text == str(new)
            texts.append(parameter.text(new) if plain else f"{text}({new})")
        return Row(parameter, name, self.card.is_read_only(base), values, texts)

    def print_rows(self, rows: list[Row]) -> None:
        """Print the rows and the legend."""
        shape = self.style.shape
        hides = shape is SHAPES[(4, 25)] and not self.style.show_read_only
        shown = [row for row in rows if not (row.read_only and hides)]
        for row in shown:
            print(row.line(shape))
        if any(row.differs() for row in shown):
            print("The '*' shows parameters with next value different from default/current value.")
        if shape.marks_read_only and any(row.read_only for row in shown):
            print("\nThe 'RO' shows parameters which are for read only and cannot be changed")

    def write_json(self, device: str, number: int, rows: list[Row], file: Path) -> None:
        """Add the device to the file of -j."""
        written = json.loads(file.read_text())
        entries: dict[str, Any] = {}
        for row in rows:
            entry: dict[str, Any] = {"read_only": row.read_only}
            if len(self.columns) > 1:
                entry["modified"] = row.differs()
            for column, text in zip(self.columns, row.texts, strict=True):
                entry[f"{column}_value"] = int(text) if text.isdigit() else text
            entries[row.label] = entry
        model = self.card.model
        written[f"Device #{number}"] = {
            "description": model.description,
            "device": device,
            "device_type": model.name,
            "name": model.part,
            "tlv_configuration": entries,
        }
        file.write_text(json.dumps(written, indent=1) + "\n")
