# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mstconfig and mlxconfig complain about, and what an operator can do about it.

Sources are named as file and release of github.com/Mellanox/mstflint. The tools print errors to standard output too;
standard error has the usage errors of mstfwreset and warnings of the access library.
"""

from __future__ import annotations

import re

from .values import argument

COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUOTED = 400


def _clean(text: str | None) -> str:
    """The text without colours. The tools print none; a wrapper around them may."""
    return COLOUR.sub("", text or "")


def complaint(text: str) -> str | None:
    """The tool's own last error, in one line without its prefix "-E- ", or None if it printed none.

    Some messages continue in the following lines. The whole help, which begins with NAME, follows a usage error.
    mstfwreset reports wrong use as argparse does ("mstfwreset: error: ...").
    """
    lines = _clean(text).splitlines()
    starts = [number for number, line in enumerate(lines) if "-E- " in line]
    if not starts:
        errors = [match.group(1) for match in (re.match(r"^\S+: error: (.+)$", line) for line in lines) if match]
        return errors[-1].strip() if errors else None
    parts = [lines[starts[-1]].partition("-E- ")[2]]
    for line in lines[starts[-1] + 1 :]:
        if not line.strip() or re.match(r"^(-[A-Z]- |\s+NAME:$|Query output saved to |Device #\d+:)", line):
            break
        parts.append(line)
    # mstfwreset adds a full stop even to texts that end with a newline.
    return re.sub(r"\s+\.$", ".", " ".join(" ".join(parts).split()))


BUSY = (
    r"Semaphore locked|ICMD semaphore|SEMAPHORE_TO|EXECUTE_TO|IFC_BUSY|ICMD_BUSY|ICMD busy|ICMD_NOT_READY"
    r"|ICMD interface (busy|not ready)|busy-bit|[Dd]evice is busy|Device busy|Tools HCR (busy|time out)|Temporarily busy"
    r"|fsm register is busy|Failed to unlock semaphore"
)
PERMISSION = (
    r"due to permission issue"
    r"|Failed to set \S+ settings (Register access )?([Mm]ethod not supported|[Rr]esource unavailable)"
)
UNSUPPORTED = r"Unsupported [Dd]evice"
NO_ACCESS = r"Cannot access NV register|NVQC access register is not supported|NV access registers"
# What the tools say, and what the operator can do about it. The first match counts, so reasons come before the general
# failures that quote them. %(...)s are groups of the expression; `wanted` is what should be set, `package` the package
# of the tool. The third value is the family of cards that the advice is for, see family(); advice for one family comes
# before advice for any.
ADVICE = tuple(
    (re.compile(expression), advice, (of + [None])[0])
    for expression, advice, *of in (
        # mtcr_ul/mtcr_ul_com.c (4.21) and mtcr_common.c (4.36), m_err2str(): they are the ends of other messages.
        (
            BUSY,
            "another program is using the configuration interface of the card: wait until it is done and run the "
            "role again; if there is none, clear the leftover lock with the tool's command clear_semaphore",
        ),
        (
            r"The configuration is rejected",
            "the firmware of the card rejected %(wanted)s as a whole: lower NUM_OF_VFS, or see the limits of the card in the release "
            "notes of its firmware",
        ),
        (
            r"The erase count exceeds its limit",
            "the card refuses more changes of its configuration because of flash wear: power cycle the machine and set the rest later",
        ),
        (
            r"Config Section Corrupted|Configuration is corrupted",
            "the stored configuration of the card is damaged: reset it by hand with the tool's command reset, power cycle the machine, "
            "and run the role again",
        ),
        (
            PERMISSION,
            "the BlueField does not let this host change its configuration: allow it with mlxprivhost on its ARM side, or set it there",
            "BlueField",
        ),
        (
            PERMISSION,
            "the card does not let this host change its configuration: if several hosts share it, set it from the one that is allowed to, otherwise "
            "update its firmware",
        ),
        # mlxcfg_4thgen_commander.cpp: ConnectX-3 and ConnectX-3 Pro.
        (
            r"Unsupported FW \(version (?P<version>[\d.]+) or above",
            "the firmware of this ConnectX-3 is too old for the tool: update it to %(version)s or later",
        ),
        (
            r"Driver might be down",
            "the card does not answer because its driver is not ready: load mlx4_core, or see the kernel log for why it failed",
        ),
        (
            r"Access to device should be through PCI",
            "the tool reaches this ConnectX-3 only by its PCI address: name it by that",
        ),
        (
            r"Failed to query device (?P<kind>current|default) configuration",
            "the firmware of this ConnectX-3 does not answer queries of its %(kind)s configuration: update it to "
            "2.42.5000, and if that does not help, take `firmware` out of this device and set num_vfs in the "
            "firmware image with mstflint",
        ),
        (
            r"Number of VFs exceeds limit \((?P<limit>\d+)\)|Maximal number of VFs: (?P<most>\d+)",
            "the card can have at most %(limit)s%(most)s VFs: lower NUM_OF_VFS",
        ),
        (
            r"bar size is too large|illegal Bar Size",
            "LOG_BAR_SIZE requests more memory than the card can have for so many VFs: lower LOG_BAR_SIZE or NUM_OF_VFS",
        ),
        (
            r"please specify all (the )?parameters for (?P<group>[\w -]+)",
            "the card stores its parameters for %(group)s together and has none yet: set all of them, for SRIOV both SRIOV_EN and NUM_OF_VFS",
        ),
        # mlxcfg_commander.cpp
        (
            r"Failed to open (the )?device",
            "the tool cannot open the card: check with lspci that it is there, and that the role becomes root",
        ),
        (
            r"mst might be stopped",
            "mlxconfig finds no card because MST is not running: run `mst start`, or install mstflint, which does not need it",
        ),
        (
            r"No devices found|Failed to get devices",
            "the tool finds no NVIDIA or Mellanox card in this machine: check with `lspci -d 15b3:` that there is one",
        ),
        (
            r"Device in Livefish mode|device in Flash Recovery mode",
            "the card runs without firmware (livefish): burn its firmware with mstflint and power cycle the machine",
        ),
        (
            UNSUPPORTED,
            "this version of the tool no longer knows ConnectX-3: install %(package)s 4.25 or older",
            "ConnectX-3",
        ),
        (UNSUPPORTED, "this version of the tool does not know the card, which is newer: install a newer %(package)s"),
        (
            r"Failed to [Ii]dentify (the )?[Dd]evice|Failed to get device type|Failed to get Device PARAMS",
            "the tool cannot identify the card: it may hang, see the kernel log, and power cycle the machine",
        ),
        (
            r"MTUSB device is not supported|Device type mismatch",
            "the tool was given a device that is not a network card: check the PCI address",
        ),
        # mlxcfg_db_manager.cpp, and getDefaultDBName() in mlxcfg_commander.cpp
        (
            r"Database file \S+ does not exist|SQL Error when opening DB|Unsupported database version|Failed to open conf file",
            "the installation of the tool is incomplete: install %(package)s again",
        ),
        (
            r"Unknown [Pp]arameter:? (?P<name>[\w\[\].]+)|Failed to find Param / TLV with name '(?P<found>[^']+)'"
            r"|Failed to find Param / index out of range: (?P<index>[\w\[\].]+)",
            "the tool has no parameter %(name)s%(found)s%(index)s for this card: check the spelling (parameters of a "
            "port end in _P1 or _P2), or install a newer %(package)s",
        ),
        # mlxcfg_ui.cpp, then mlxcfg_generic_commander.cpp
        (
            r"doesn't support any configuration changes",
            "the firmware of the card has no configuration that can be changed: update it, or take `firmware` out of this device",
        ),
        (
            r"[Dd]evice doesn't support (?P<name>\w+(\[\d+\])?) (parameter|configuration)|Unsupported Configuration: (?P<other>\w+)",
            "the firmware of the card does not have the parameter %(name)s%(other)s: take it out of `firmware`, or "
            "update the firmware; a card with one kind of port has no LINK_TYPE, and a card whose manufacturer "
            "turned SR-IOV off has no SRIOV_EN",
        ),
        (
            NO_ACCESS,
            "the BlueField does not let this host access its configuration: allow it with mlxprivhost on its ARM side, or update its firmware",
            "BlueField",
        ),
        (
            NO_ACCESS,
            "the card does not let this host access its configuration: its firmware is too old, or this is a virtual machine",
        ),
        (
            r"Error when checked if Firmware supports",
            "the card did not say what its firmware can report: run the role again, and if that does not help, power cycle the machine",
        ),
        (
            r"Read only TLV: (?P<name>\w+)",
            "the firmware does not allow changes of %(wanted)s, which is marked RO in the output of a query: take it out of `firmware`",
        ),
        (
            r"The Rule TLV configuration (?P<name>\w+) is not supported",
            "the firmware of the card does not report its own limits, so %(wanted)s cannot be checked: update the firmware",
        ),
        # mlxcfg_tlv.cpp, checkRules(). With no maximum from the firmware, the rule of NUM_OF_VFS in mlxconfig_host.db
        # gives 0.
        (
            r"Parameter (?P<name>\w+)' value is larger than maximum allowed 0\b",
            "the firmware of the card allows no value but 0 for %(name)s: update the firmware, or leave %(name)s out",
        ),
        (
            r"Parameter (?P<name>\w+)' value is larger than maximum allowed (?P<limit>\d+)",
            "%(name)s can be at most %(limit)s on this card: lower it",
        ),
        (
            r"Parameter (?P<name>\w+)' value is smaller than minimum allowed (?P<limit>\d+)",
            "%(name)s must be at least %(limit)s on this card: raise it",
        ),
        (
            r"The Parameter (?P<name>\w+) has Illegal constraint",
            "%(name)s does not fit the other parameters of the card, whose MSI-X vectors and memory for VFs are limited in total: lower NUM_OF_VFS, "
            "NUM_VF_MSIX or VF_LOG_BAR_SIZE",
        ),
        # mlxcfg_param.cpp; Param::setVal() puts "Cannot set the value ... for the parameter ...: " before them.
        (
            r"The value (?P<value>\S+) is not valid, +as its size is (?P<bits>\d+) bits",
            "the value %(value)s is too large, the parameter has %(bits)s bits: lower it",
        ),
        (
            r"The value (?P<value>\S+) is reserved",
            "the value %(value)s has a special meaning for the tool: choose another",
        ),
        (
            r"Unknown value (?P<value>\S+)",
            "the parameter has no value %(value)s: see the tool's command show_confs for those it has",
        ),
        (
            r"Cannot parse the value|value is out of range|Failed to parse \S+=\S+|Failed to convert value|is not Dword aligned|larger than max size"
            r"|exceeds max allowed",
            "the tool cannot read a value in %(wanted)s: write a number, or a name that its command show_confs lists",
        ),
        (
            r"Operation (is )?not supported( for this type of parameters|$)|Expected a parameter with index|Index \d+ .*out of range"
            r"|is not supported in Array",
            "the parameter is an array, which the role does not set: take it out of `firmware` and set it by hand",
        ),
        (
            r"Cannot set the value (?P<value>\S+) for the parameter (?P<name>[^:]+)",
            "%(name)s cannot be %(value)s: see the tool's command show_confs for the values it has",
        ),
        (
            r"Failed to (?P<act>set|get) (?P<name>\w+) settings|[Ff]ailed to set (configuration|\w+ params)|Failed to query some of the TLVs",
            "the firmware of the card did not do what was asked: run the role again, then power cycle the machine, then update the firmware",
        ),
        # mlxcfg_ui.cpp and mlxcfg_parser.cpp
        (r"Aborted by user", "the tool asked whether to continue and got no answer: run it with -y"),
        (
            r"invalid argument|[Ii]nvalid Configuration argument|missing (configuration|device|database|file)|No command found|Duplicate parameter"
            r"|command expects|the following arguments are required|unrecognized arguments|invalid choice",
            "this version of the tool does not understand how it was called: install %(package)s 4.13 or later",
        ),
        # small_utils/mstfwreset.py
        (r"Only root user", "the tool must be run by root: let the role become root"),
        (r"not supported on virtual machines", "the tool refuses to work in a virtual machine: do it on the host"),
    )
)
POWER_CYCLE = re.compile(r"^-I- .*power cycle", re.MULTILINE | re.IGNORECASE)


def explain(
    text: str,
    rc: int | None,
    where: str,
    wanted: dict | None = None,
    model: str | None = None,
    package: str = "mstflint",
) -> str:
    """One sentence for the operator on what a tool complained about: where, what, what to do, and the tool's own words.

    text: all output of the tool; rc: its exit code (mstconfig: 2 not confirmed, 3 error); where: names the card;
    wanted: {name: value} that should be set, or None for a query; model: the card's family(); package: the package of
    the tool.
    """
    words = complaint(text)
    if words is None and rc == 0 and needs_power_cycle(text):
        return (
            f"{where}: the configuration is stored, but the card loads it only when it loses power: power cycle the "
            "machine"
        )
    quoted = (words or _last_line(text))[:QUOTED]
    for expression, advice, of in ADVICE if words and words.strip() else ():
        found = expression.search(words) if of in (None, model) else None
        if found:
            groups = dict((key, value or "") for key, value in found.groupdict().items())
            groups.update(wanted=_listed(wanted), package=package)
            return f"{where}: {advice % groups} (the tool says: {quoted})"
    return (
        "%s: the tool ended with exit code %s and %s: run the same command by hand, and update %s and the card's firmware"
        % (where, rc, f"said: {quoted.rstrip('.')}" if quoted else "said nothing", package)
    )


def _listed(wanted):
    """What should be set, in words."""
    return ", ".join(argument(name, value) for name, value in sorted((wanted or {}).items())) or "the requested values"


def _last_line(text):
    """The last line that is not blank, with single spaces; empty if there is none."""
    lines = [" ".join(line.split()) for line in _clean(text).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def needs_power_cycle(text: str) -> bool:
    """Whether a successful `set` says that a reboot is not enough.

    GenericCommander::loadConfigurationGetStr() requests that the firmware reload at the next warm boot. If the firmware
    does not accept that, it says "Please power cycle machine" instead of "Please reboot machine" (4.13 to 4.36).
    """
    return bool(POWER_CYCLE.search(_clean(text)))


def reset_refusal(text: str, rc: int | None) -> str | None:
    """Why `mstfwreset -y reset` or `mlxfwreset -y reset` did not load the firmware, as a clause without full stop; None
    if it did.

    The exit code alone does not show it: a WarningException ("-W- ...") and, in 4.36, an OperationTerminated end with 0
    (the end of small_utils/mstfwreset.py).
    """
    cleaned = _clean(text)
    if rc == 0 and re.search(r"^-I- FW was loaded successfully\.", cleaned, re.MULTILINE):
        return None
    reason = complaint(cleaned)
    if reason is None:
        warnings = re.findall(r"^(?:-W- |ERROR: )(.+)$", cleaned, re.MULTILINE)
        # The tool prints this one before the reset, as a hint for afterwards.
        warnings = [line for line in warnings if not line.startswith("PCI rescan is required")]
        last = " ".join(warnings[-1].split()) if warnings else _last_line(cleaned)
        last_line = f", its last line: {last}" if last else ""
        reason = f"it ended with exit code {rc} and did not say that the firmware was loaded{last_line}"
    return reason[:QUOTED].rstrip(" .:")
