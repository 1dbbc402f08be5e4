"""The tables of mstconfig and mlxconfig: of 4.21 for a ConnectX-3, of 4.31 for other cards."""

from __future__ import annotations

import dataclasses

from guest import CardError
from state import Card

STAR = "The '*' shows parameters with next value different from default/current value."


@dataclasses.dataclass(frozen=True)
class Shape:
    """How a release writes its tables."""

    label: int
    indent: int
    name: int
    value: int
    # Widths of the headings: with -e, and Next Boot only.
    verbose: tuple[int, ...]
    plain: int


# mlxcfg_ui.cpp
FOURTH = Shape(16, 8, 36, 16, (36, 18), 38)
FIFTH = Shape(20, 7, 44, 20, (44, 20, 18), 46)


class Table:
    """One device's table: the parameters of a card."""

    def __init__(self, card: Card, verbose: bool, setting: bool) -> None:
        self.card = card
        # Whether there is a column of new values.
        self.setting = setting
        self.shape = FOURTH if card.fourth else FIFTH
        self.columns = ["next"]
        if verbose:
            self.columns = ["default", "next"] if card.fourth else ["default", "current", "next"]

    def show(self, device: str, wanted: list[tuple[str, str | None]]) -> None:
        """Print the table; raise CardError for what is wrong in `wanted`."""
        self.print_opening(device)
        self.print_heading()
        for name, text in wanted:
            if name not in self.card.parameters:
                raise CardError(f"Unknown Parameter: {name}")
            if text is not None:
                self.card.parse(name, text)
        differs = [
            self.print_row(name, text) for name, text in wanted or [(name, None) for name in self.card.parameters]
        ]
        if any(differs):
            print(STAR)
        if self.columns == ["default", "next"]:
            print("Device Firmware does not support reading current configurations")

    def print_opening(self, device: str) -> None:
        """Print what the device is."""
        width = self.shape.label
        model = self.card.model
        lines = {"Device type:": model.name, "Name:": model.part, "Description:": model.description, "Device:": device}
        print("\nDevice #1:\n----------\n")
        for label, text in lines.items():
            if text:
                print(f"{label:<{width}}{text:<{width}}")
        print()

    def print_heading(self) -> None:
        """Print the headings of the columns."""
        names = {"default": "Default", "current": "Current", "next": "Next Boot"}
        widths = self.shape.verbose if len(self.columns) > 1 else (self.shape.plain,)
        line = "".join(f"{names[column]:>{width}}" for column, width in zip(self.columns, widths, strict=True))
        print(f"{'Configurations:':<{self.shape.label}}{line}" + ("       New" if self.setting else ""))

    def print_row(self, name: str, text: str | None) -> bool:
        """Print one row; tell whether the value for the next boot is another than one of the others in it."""
        parameter = self.card.parameters[name]
        values = [self.card.get(column, name) for column in self.columns]
        differs = any(value != values[-1] for value in values)
        texts = [parameter.text(value) for value in values + ([int(text)] if text is not None else [])]
        cells = [f"{cell:<{self.shape.value}}" for cell in texts]
        # 4.31 writes a space behind a value that fills its column, 4.21 behind a longer one.
        space = " " if self.shape is FIFTH else ""
        print(f"{'*' if differs else ' '}{' ' * self.shape.indent}{name:<{self.shape.name}}" + space.join(cells))
        return differs
