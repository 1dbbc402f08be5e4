# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel command line means to the kernel, and how to add words to it and remove them."""

from __future__ import annotations

from collections.abc import Collection

INTEL_ON = "intel_iommu=on"
PASSTHROUGH = "iommu=pt"
MANAGED_NAMES = ("intel_iommu", "amd_iommu", "iommu", "iommu.passthrough")
# What passes the rest of the line to init: parse_args() of kernel/params.c compares after next_arg() has removed the
# quotes.
TO_INIT = ("--", '"--"')


def parse_line(line: str) -> list[tuple[str, str, str | None]]:
    """Split a kernel command line as next_arg() of the kernel's lib/cmdline.c does.

    Returns a list of (raw, name, value): the unchanged text, the name with `-` read as `_` (parameq() treats them as
    equal), and the value without its quotes, or None if there is no `=`. A lone `--` ends the list: the kernel passes
    the rest to init.
    """
    parameters = []
    for raw in split_raw(line):
        text = raw[1:] if raw.startswith('"') else raw
        name, equals, value = text.partition("=")
        if not name:
            name, equals, value = text, "", ""
        if equals and value.startswith('"'):
            value = value[1:]
            text_ends_quoted = value.endswith('"')
            value = value[:-1] if text_ends_quoted else value
        elif raw.startswith('"') and text.endswith('"'):
            if equals:
                value = value[:-1]
            else:
                name = name[:-1]
        if raw in TO_INIT:
            break
        parameters.append((raw, name.replace("-", "_"), value if equals else None))
    return parameters


def split_raw(line: str) -> list[str]:
    """The unchanged words of a kernel command line; whitespace between double quotes does not separate words."""
    return [line[start:end] for start, end in _spans(line)]


def _spans(line: str) -> list[tuple[int, int]]:
    spans, start, quoted = [], None, False
    for position, character in enumerate(line):
        if character.isspace() and not quoted:
            if start is not None:
                spans.append((start, position))
            start = None
            continue
        if start is None:
            start = position
        if character == '"':
            quoted = not quoted
    return spans + [(start, len(line))] if start is not None else spans


# The fields of a parameter: how one begins (the kernel's strncmp() compares that many characters), and what it means.
FIELD_STATES = {
    "intel_iommu": (("on", "intel", True), ("off", "intel", False)),
    "iommu": (("off", "off", True), ("pt", "passthrough", True), ("nopt", "passthrough", False)),
}
# What kstrtobool() takes as true and as false.
KERNEL_YES, KERNEL_NO = ("1", "y", "yes", "on", "t", "true"), ("0", "n", "no", "off", "f", "false")


def iommu_state(line: str) -> dict:
    """How the kernel understands the IOMMU parameters of a line.

    Returns {"intel": True|False|None, "passthrough": True|False|None, "off": bool, "amd_off": bool}; None: the line
    does not say.
    The kernel parses every occurrence, in order, and each field of a comma-separated list separately: `intel_iommu=`
    by intel_iommu_setup() (drivers/iommu/intel/iommu.c), `iommu=` by iommu_setup() (arch/x86/kernel/pci-dma.c),
    where nothing undoes `off`, `iommu.passthrough=` by iommu_set_def_domain_type() (drivers/iommu/iommu.c), and
    `amd_iommu=` by parse_amd_iommu_options() (drivers/iommu/amd/init.c), where nothing undoes `off` either.
    """
    state = {"intel": None, "passthrough": None, "off": False, "amd_off": False}
    for _raw, name, value in parse_line(line):
        if value is None:
            continue
        for field in value.split(",") if name in FIELD_STATES else ():
            said = [(key, is_so) for begin, key, is_so in FIELD_STATES[name] if field.startswith(begin)]
            state.update(said[:1])
        if name == "amd_iommu":
            state["amd_off"] = state["amd_off"] or "off" in value
        if name == "iommu.passthrough" and value.lower() in KERNEL_YES + KERNEL_NO:
            state["passthrough"] = value.lower() in KERNEL_YES
    return state


def has(line: str, token: str) -> bool:
    """Whether a line has the effect of `token` (INTEL_ON or PASSTHROUGH). With iommu=off it has none."""
    state = iommu_state(line)
    return bool(state["intel"] if token == INTEL_ON else state["passthrough"]) and not state["off"]


def missing(line: str, wanted: list[str]) -> list[str]:
    """The wanted tokens whose effect a line does not have, in order."""
    return [token for token in wanted if not has(line, token)]


def managed_tokens(line: str) -> list[str]:
    """The unchanged words of a line that concern the IOMMU."""
    return [raw for raw, name, _value in parse_line(line) if name in MANAGED_NAMES]


def remove_tokens(line: str, tokens: Collection[str]) -> str:
    """The line without the words that are exactly one of `tokens`; every other word, and the part for init, stays."""
    kernels, separator, rest = _before_init(line)
    for start, end in reversed(_spans(kernels)):
        if kernels[start:end] in tokens:
            kernels = kernels[:start] + kernels[end:].lstrip()
    return (kernels.rstrip() + separator + rest).strip() if separator else kernels.rstrip()


def append(line: str, tokens: Collection[str]) -> str:
    """The line with the tokens at its end, before a `--` that passes the rest to init and before a quote that is never
    closed.
    """
    end = _kernels_end(line)
    kept, rest = line[:end].rstrip(), line[end:]
    return " ".join(([kept] if kept else []) + tokens + ([rest] if rest else []))


def _kernels_end(line: str) -> int:
    """The end of the part of a line where an added word reaches the kernel."""
    spans = _spans(line)
    for start, end in spans:
        if line[start:end] in TO_INIT:
            return start
    if spans and line[spans[-1][0] :].count('"') % 2:
        return spans[-1][0]
    return len(line)


def _before_init(line: str) -> tuple[str, str, str]:
    for start, end in _spans(line):
        if line[start:end] in TO_INIT:
            return line[:start], " " + line[start:end], line[end:]
    return line, "", ""
