# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What waits in a host's BIOS for a reboot, remembered on the host: a BMC does not know when the host has rebooted."""

from __future__ import annotations

import os
from typing import Any

from .. import pending
from ..errors import Refusal
from ..program import lock, sysfs
from ..program.host import HOST
from .host import shown_on
from .identity import own_identity

CONCERN = "bios"


def of_host() -> dict:
    """What the module that asks the BMC must know of this host: its identity, what it shows to be on, and the keys of
    what waits (set in this boot) and what was tried (set in an earlier one).
    """
    return {
        **own_identity(),
        "shown_on": shown_on(),
        "waiting": sorted(pending.of_this_boot(HOST, CONCERN)),
        "tried": sorted(pending.of_earlier_boots(HOST, CONCERN)),
    }


def with_advice(item: dict) -> dict:
    """A reason that a reboot has not cleared, with what to do about it."""
    return {
        "key": item["key"],
        "text": f"{item['text']}, although the host has been rebooted since: look at the log of the BMC and set it in the "
        f"BIOS, or remove {pending.path_of(HOST, CONCERN)} on the host to let the role try it once more",
    }


def work(module: Any) -> dict:
    """The module's work. Returns its result; raises Refusal.

    module: an AnsibleModule, or an object with its `params`, `check_mode` and `warn`.
    """
    reasons, touched = module.params["reasons"], module.params["touched"]
    for reason in reasons:
        if not all(isinstance(reason.get(name), str) for name in ("key", "text")):
            raise Refusal(f"reasons has {reason!r:.80}: give what the module sriov_bios returns in reboot")
    if reasons and sysfs.read_text(os.path.join(HOST.sys, "kernel/kexec_loaded"), "0") == "1":
        module.warn(
            "a kernel is loaded for kexec, and a reboot into it skips the BIOS, which then applies no setting: unload it "
            "(kexec -u) before the reboot"
        )
    try:
        with lock.locked():
            due, stuck = pending.judge(HOST, CONCERN, reasons, touched, module.check_mode)
    except OSError as error:
        raise Refusal(
            f"The BIOS settings that wait for a reboot cannot be saved on the host: {error}; the BMC keeps them, so "
            "correct that, then run the role again"
        ) from error
    return {"changed": False, "reboot": due, "stuck": [with_advice(item) for item in stuck]}


# The module's options, in the form for AnsibleModule.
ARGUMENTS = {
    "reasons": {"type": "list", "elements": "dict", "required": True},
    "touched": {"type": "list", "elements": "str", "default": []},
}
