# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of /etc/default/grub and its drop-ins, which is the shell's."""

from __future__ import annotations

import re

from .cmdline import INTEL_ON, PASSTHROUGH


def drop_in(wanted: list[str]) -> str:
    """The shell text that puts the wanted tokens on the line unless it already gives them.

    grub-mkconfig sources it under `set -e`. It checks the values of the variables at that moment, not at the time of
    writing: other programs may add and remove the same tokens, and this text need not change.
    """
    lines = []
    if INTEL_ON in wanted:
        lines += _clause(INTEL_ON, on=_fields("intel_iommu", "on"), off=_fields("intel_iommu", "off"))
    if PASSTHROUGH in wanted:
        lines += _clause(
            PASSTHROUGH,
            on=_fields("iommu", "pt") + ["iommu.passthrough=[1yY]"],
            off=_fields("iommu", "nopt") + ["iommu.passthrough=[0nN]"],
        )
    return "".join(line + "\n" for line in lines + ["unset __sriov_found __sriov_word"])


def _fields(name, field):
    return [f"{name}={form % field}" for form in ("%s", "%s,*", "*,%s", "*,%s,*")]


def _clause(token, on, off):
    return [
        "__sriov_found=",
        "for __sriov_word in ${GRUB_CMDLINE_LINUX-} ${GRUB_CMDLINE_LINUX_DEFAULT-}; do",
        '    case "$__sriov_word" in',
        f"        {' | '.join(off)}) __sriov_found= ;;",
        f"        {' | '.join(on)}) __sriov_found=1 ;;",
        "    esac",
        "done",
        'if [ -z "$__sriov_found" ]; then',
        f'    GRUB_CMDLINE_LINUX_DEFAULT="${{GRUB_CMDLINE_LINUX_DEFAULT:+$GRUB_CMDLINE_LINUX_DEFAULT }}{token}"',
        "fi",
    ]


def sets_separator(text: str, name: str) -> bool:
    """Whether a file of settings has a lone `--` on a line that sets the variable of this name."""
    return re.search(r"^[^#\n]*\b%s\b.*[\s\"'=]--(?:[\s\"'\\]|$)" % name, text, re.MULTILINE) is not None
