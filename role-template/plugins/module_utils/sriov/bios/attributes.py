# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which BIOS settings are wanted: presets by feature, exact names, and values that the BIOS accepts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Any, NamedTuple

from ..errors import Refusal

FEATURES = ("virtualization", "iommu", "sriov")


class Preset(NamedTuple):
    """The names of one vendor's BIOS for one kind of processor.

    maker: matches the system's Manufacturer; has: settings that this BIOS has, lacks: one that it has not, to tell it
    from others of the maker; settings: {feature: {name: value}}, with {} for a feature that has no switch and is on.
    """

    maker: str
    has: tuple[str, ...]
    lacks: str
    settings: dict[str, dict[str, str]]


# Only names and values that were read in the attribute registry of such a machine: a guess could switch something else.
# The names that Supermicro's boards have end in four digits that differ from board to board.
PRESETS = (
    # PowerEdge R750, iDRAC9. One switch is for VT-x and VT-d. With processors of AMD the IOMMU has its own.
    Preset(
        "Dell",
        ("SriovGlobalEnable", "ProcVirtualization"),
        "IommuSupport",
        {
            "virtualization": {"ProcVirtualization": "Enabled"},
            "iommu": {"ProcVirtualization": "Enabled"},
            "sriov": {"SriovGlobalEnable": "Enabled"},
        },
    ),
    # ProLiant DL385 Gen10 Plus v2, iLO 5, processors of AMD: their virtualization cannot be turned off.
    Preset(
        "HPE|Hewlett",
        ("Sriov", "ProcAmdIoVt"),
        "ProcVirtualization",
        {"virtualization": {}, "iommu": {"ProcAmdIoVt": "Enabled"}, "sriov": {"Sriov": "Enabled"}},
    ),
    # ThinkSystem SR670 V2, XCC.
    Preset(
        "Lenovo",
        ("DevicesandIOPorts_IntelVTforDirectedIOVTd",),
        "DevicesandIOPorts_IOMMU",
        {
            "virtualization": {"Processors_IntelVirtualizationTechnology": "Enabled"},
            "iommu": {"DevicesandIOPorts_IntelVTforDirectedIOVTd": "Enabled"},
            "sriov": {"DevicesandIOPorts_SRIOV": "Enabled"},
        },
    ),
    # SYS-821GE (X13).
    Preset(
        "Super ?micro",
        ("IntelVTforDirectedI_O_VT_d_",),
        "IOMMU",
        {
            "virtualization": {"IntelVirtualizationTechnology": "Enable"},
            "iommu": {"IntelVTforDirectedI_O_VT_d_": "Enable"},
            "sriov": {"SR_IOVSupport": "Enabled"},
        },
    ),
    # DGX H100: two switches for SR-IOV.
    Preset(
        "NVIDIA",
        ("SRIOVEnable", "SriovSupport", "VTdSupport"),
        "IOMMU",
        {
            "virtualization": {"ProcessorVmxEnable": "Enable"},
            "iommu": {"VTdSupport": "Enable"},
            "sriov": {"SRIOVEnable": "Enable", "SriovSupport": "Enabled"},
        },
    ),
)
# What Supermicro's boards add to a name, as in SR_IOVSupport_0047 and SR-IOVSupport#0048.
SUFFIX = r"(?:_?[#_][0-9A-Fa-f]{4})?"
ABOUT_FEATURES = re.compile("sr.?iov|vt.?d|iommu|vmx|virtuali|svm", re.IGNORECASE)
NEAR_SHOWN = 12
# The setting of HPE's BIOS that decides others.
PROFILE = "WorkloadProfile"


def hits(name: str, attributes: Collection[str]) -> list[str]:
    """The settings of a BIOS that a name means: itself, or all that are the name and a suffix."""
    if name in attributes:
        return [name]
    return sorted(found for found in attributes if re.fullmatch(re.escape(name) + SUFFIX, found))


def near(name: str, attributes: Collection[str]) -> str:
    """Names of the BIOS that may be meant, for a message."""
    close = difflib.get_close_matches(name, list(attributes), 3)
    about = sorted(found for found in attributes if ABOUT_FEATURES.search(found))
    return ", ".join(list(dict.fromkeys(close + about))[:NEAR_SHOWN]) or "none like it"


def preset_of(maker: str, current: dict[str, Any]) -> Preset | None:
    """The preset for a BIOS, None if there is no proved one. maker: the system's Manufacturer."""
    for preset in PRESETS:
        if (
            re.match(preset.maker, maker, re.IGNORECASE)
            and all(hits(name, current) for name in preset.has)
            and not hits(preset.lacks, current)
        ):
            return preset
    return None


def of_features(features: Collection[str], maker: str, current: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """({name of the BIOS: value} for features, those that the BIOS has no known setting for)."""
    preset = preset_of(maker, current)
    wanted, absent = {}, []
    for feature in features:
        settings = preset.settings[feature] if preset else None
        found = {name: hits(name, current) for name in settings or {}}
        fits = all(len(names) == 1 and isinstance(current[names[0]], str) for names in found.values())
        if settings is None or not fits:
            absent.append(feature)
        else:
            wanted.update((found[name][0], value) for name, value in settings.items())
    return wanted, absent


def of_names(given: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """{name of the BIOS: value} for exact names of the operator. Raises Refusal, with all that is wrong."""
    wanted, faults, meant = {}, [], {}
    for name, value in given.items():
        found = hits(name, current)
        if not found:
            faults.append(
                f"sriov_bios_attributes has {name}, which is not a setting of this BIOS: correct it, the BIOS has {near(name, current)}"
            )
        elif len(found) > 1:
            faults.append(
                f"sriov_bios_attributes has {name}, which can be several settings of this BIOS: name one of {', '.join(found)}"
            )
        elif found[0] in meant:
            faults.append(
                f"sriov_bios_attributes has {meant[found[0]]} and {name}, which are both the setting {found[0]}: remove one of them"
            )
        else:
            meant[found[0]] = name
            try:
                wanted[found[0]] = typed(name, value, current[found[0]])
            except Refusal as refusal:
                faults.append(str(refusal))
    refuse_all(faults)
    return wanted


def typed(name: str, value: Any, current: Any) -> Any:
    """A value with the type that the BIOS has for a setting. Raises Refusal if it cannot have it.

    Inventories and templates make text of numbers and of truth values. Nothing else is converted.
    """
    if current is None or type(value) is type(current):
        return value
    if isinstance(value, str):
        if isinstance(current, bool) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        if isinstance(current, int) and not isinstance(current, bool) and re.match(r"^-?[0-9]{1,18}\Z", value.strip()):
            return int(value)
    if isinstance(current, str) and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    kind = {bool: "true or false", int: "a whole number", str: "text in quotes"}.get(type(current), "a number")
    raise Refusal(
        f"sriov_bios_attributes has {name}: {value!r:.60}, and the BIOS has {current!r:.60} there: give {kind}"
    )


def checked_values(wanted: dict[str, Any], current: dict[str, Any], registry: dict, pending: dict[str, Any]) -> dict:
    """The values to send, as the BIOS writes them. Raises Refusal for a value or a setting that the BIOS refuses.

    registry: see read_registry(). Only settings that differ from the current ones are checked. A value may be the one
    that the BIOS uses or the one that it shows: Supermicro's registry has codes next to them.
    """
    entries, result, faults = registry["attributes"], {}, []
    for name, value in wanted.items():
        entry = entries.get(name) or {}
        result[name] = as_written(value, current[name], entry)
        if result[name] != current[name]:
            fault = fault_of_value(name, result[name], current[name], entry)
            faults += [fault] if fault else []
    refuse_all(faults)
    refuse_read_only(result, current, registry, pending)
    return result


def names_of_value(entry: dict) -> list[tuple[Any, Any]]:
    """(ValueName, ValueDisplayName) of each value of a setting."""
    return [(value.get("ValueName"), value.get("ValueDisplayName")) for value in entry.get("Value") or []]


def as_written(value: Any, current: Any, entry: dict) -> Any:
    """A value in the form that the setting has: its ValueName, or its ValueDisplayName."""
    pairs = names_of_value(entry)
    for position in (0, 1):
        if any(pair[position] == current for pair in pairs):
            for pair in pairs:
                if value in pair and pair[position] is not None:
                    return pair[position]
            return value
    return value


def fault_of_value(name: str, value: Any, current: Any, entry: dict) -> str | None:
    """What is wrong with a value, None if nothing is, as far as the registry shows."""
    pairs = names_of_value(entry)
    if entry.get("Type") == "Enumeration" and pairs and not any(value in pair for pair in pairs):
        position = 0 if any(pair[0] == current for pair in pairs) else 1
        known = [str(pair[position] or pair[0]) for pair in pairs]
        return f"sriov_bios_attributes has {name}: {value!r:.60}, which this BIOS does not accept: give one of {', '.join(known)}"
    low, high = entry.get("LowerBound"), entry.get("UpperBound")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if is_number and (low is not None and value < low or high is not None and value > high):
        return f"sriov_bios_attributes has {name}: {value}, which this BIOS does not accept: give a number from {low} to {high}"
    return None


def refuse_read_only(wanted: dict, current: dict, registry: dict, pending: dict) -> None:
    """Raise Refusal for settings that the BIOS does not let anybody change now, with what decides that."""
    entries = registry["attributes"]
    next_values = {**current, **pending, **wanted}
    profile = next_values.get(PROFILE)
    for name, value in wanted.items():
        if value == current[name] and value == pending.get(name, value):
            continue
        entry = entries.get(name) or {}
        decided_by = deciding(name, registry["dependencies"], next_values)
        if decided_by:
            raise Refusal(
                f"BIOS setting {name} cannot become {value} because {decided_by} is {next_values[decided_by]}: change {decided_by} "
                "first, in the BIOS or in sriov_bios_attributes"
            )
        # Without the rules of the registry it is not known which settings the profile decides.
        if profile not in (None, "Custom") and name != PROFILE and not registry["dependencies"]:
            raise Refusal(
                f"BIOS setting {name} cannot become {value} because {PROFILE} is {profile}, which may decide it: set {PROFILE} to "
                "Custom first, in the BIOS or in sriov_bios_attributes"
            )
        if entry.get("ReadOnly") or entry.get("Immutable"):
            locked = all(one.get("ReadOnly") or one.get("Immutable") for one in entries.values())
            why = (
                "all its settings are read-only: end the lockdown mode of the BMC"
                if locked
                else ("the BIOS has it read-only: look in the BIOS for what decides it")
            )
            raise Refusal(f"BIOS setting {name} cannot become {value} because {why}")


def deciding(name: str, dependencies: list, values: dict[str, Any]) -> str | None:
    """The setting whose value makes another one read-only, None if none does.

    dependencies: of the registry (DSP2046, AttributeRegistry, Dependencies), of which a later one counts more.
    values: those that the next boot would have.
    """
    found = None
    for dependency in dependencies:
        rule = dependency.get("Dependency") or {}
        if rule.get("MapToAttribute") != name or rule.get("MapToProperty") != "ReadOnly":
            continue
        terms = rule.get("MapFrom") or []
        if terms and holds(terms, values):
            found = terms[0].get("MapFromAttribute") if rule.get("MapToValue") is True else None
    return found if found in values else None


def holds(terms: list, values: dict[str, Any]) -> bool:
    """Whether the conditions of a dependency hold."""
    result = False
    for index, term in enumerate(terms):
        compared = values.get(term.get("MapFromAttribute"))
        condition = term.get("MapFromCondition")
        fits = term.get("MapFromProperty", "CurrentValue") == "CurrentValue" and (
            compared == term.get("MapFromValue")
            if condition == "EQU"
            else compared != term.get("MapFromValue")
            if condition == "NEQ"
            else False
        )
        if index == 0:
            result = fits
        elif term.get("MapTerms") == "OR":
            result = result or fits
        else:
            result = result and fits
    return result


def refuse_all(faults: list[str]) -> None:
    """Raise Refusal with all faults, if there are any."""
    if faults:
        raise Refusal("; ".join(faults))
