#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: sriov_kernel_parameters
short_description: Put the IOMMU's parameters on the kernel command line
version_added: 1.0.0
author:
  - StackHPC Ltd (@stackhpc)
description:
  - Makes the next boot's kernel command line turn the IOMMU on, as the processor needs it. V(intel_iommu=on) on
    Intel, nothing on AMD, whose IOMMU is on by itself, and nothing elsewhere; V(iommu=pt) with it on Intel and AMD
    when O(passthrough) is set.
  - Knows GRUB on Debian and Ubuntu, grubby with Boot Loader Specification entries on Enterprise Linux, and
    systemd-boot. Kernels that are installed later get the parameters too.
  - Nothing that the administrator put on the line is rewritten. What the line already gives is not put there twice.
  - Never reboots. Returns what waits for a reboot, and what one reboot has already failed to bring.
options:
  iommu:
    description:
      - Whether the parameters are wanted. With V(false), those that this module added are taken off, and no others.
    type: bool
    default: true
  passthrough:
    description:
      - Whether devices of the host itself go past the IOMMU's translation (V(iommu=pt)).
    type: bool
    default: true
attributes:
  check_mode:
    support: full
    description: Says what would change, and changes nothing.
  diff_mode:
    support: full
    description: Shows the files, and the parameters of the entries that a tool would make anew.
"""

EXAMPLES = r"""
- name: Ensure the IOMMU is on after the next boot
  stackhpc.sriov.sriov_kernel_parameters:
    passthrough: true
  register: kernel_parameters

- name: Say what waits for a reboot
  ansible.builtin.debug:
    msg: "{{ kernel_parameters.reboot | map(attribute='text') }}"

- name: Ensure no parameter of ours is on the line
  stackhpc.sriov.sriov_kernel_parameters:
    iommu: false
"""

RETURN = r"""
vendor:
  description: The maker of the processor, C(intel), C(amd) or C(other).
  returned: always
  type: str
  sample: intel
bootloader:
  description: The boot loader found, C(grub), C(grubby) or C(systemd-boot); empty when none was needed and none found.
  returned: always
  type: str
  sample: grub
wanted:
  description: The parameters that this host is to have.
  returned: always
  type: list
  elements: str
  sample: [intel_iommu=on, iommu=pt]
running:
  description: The parameters that concern the IOMMU on the command line of the running kernel.
  returned: always
  type: list
  elements: str
  sample: [intel_iommu=on]
reboot:
  description: What is configured and only a reboot will bring, each with a key and a sentence.
  returned: always
  type: list
  elements: dict
  sample:
    - key: kernel:iommu=pt
      text: kernel parameter iommu=pt is configured but not on the running command line
stuck:
  description: What is configured and a reboot has failed to bring, each with a key and a sentence with advice.
  returned: always
  type: list
  elements: dict
  sample: []
"""

import contextlib
import re
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov_bootloader import (
    INTEL_ON,
    PASSTHROUGH,
    RECORD,
    BootLoaderError,
    Funnel,
    Host,
    MkconfigGrub,
    detect,
    has,
    iommu_state,
    managed_tokens,
    missing,
    read_record,
    write_record,
)
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov_host import Refusal, locked, sweep
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov_pending import BOOT_ID, STATE_DIRECTORY, judge

PENDING = STATE_DIRECTORY + "/pending-kernel.json"
VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd", "HygonGenuine": "amd"}


def cpu_vendor(cpuinfo):
    """intel, amd or other, from the text of /proc/cpuinfo. Hygon's processors are AMD's Zen, IOMMU included."""
    match = re.search(r"^vendor_id\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    return VENDORS.get(match.group(1), "other") if match else "other"


def wanted_parameters(vendor, iommu, passthrough):
    """The tokens for a processor. amd_iommu=on is no value: AMD's IOMMU is on unless told otherwise."""
    if not iommu or vendor == "other":
        return []
    return ([INTEL_ON] if vendor == "intel" else []) + ([PASSTHROUGH] if passthrough else [])


def ensure(host, iommu, passthrough, check_mode):
    """Bring the next boot's line to what is wanted, and say what only a reboot will bring.

    Returns what the module returns, with `warnings`. Raises BootLoaderError; the host is then as it was.
    """
    vendor = cpu_vendor(host.read("/proc/cpuinfo") or "")
    wanted = wanted_parameters(vendor, iommu, passthrough)
    running = (host.read("/proc/cmdline") or "").strip()
    record = read_record(host)
    recorded = list(record["tokens"])
    funnel = Funnel(host, check_mode)
    loader, configured, warnings = None, [], []
    leaving = leaves_passthrough(running, vendor, iommu, passthrough)
    touched = set()
    if wanted or recorded or record["created"] or leaving or host.is_file(MkconfigGrub.DROP_IN):
        try:
            loader = detect(host, running)
        except BootLoaderError:
            if missing(running, wanted):
                raise
    if not check_mode:
        directories = [STATE_DIRECTORY] + (loader.folders(funnel) if loader else [])
        sweep([host.real(directory) for directory in directories])
    if loader:
        warnings = conflicts(list(dict.fromkeys(loader.sources(funnel) + loader.also_read(funnel))), wanted, vendor)
        before = [line for _where, line in loader.configured(funnel)]
        touched = set(loader.lacking(funnel, wanted))
        # A token that some entry had before is not this role's to take off again.
        added = [token for token in wanted if token in recorded or not any(has(line, token) for line in before)]
        loader.prepare(funnel, wanted, record)
        record["bootloader"] = loader.name
        try:
            # First, so that a run that is interrupted does not take its own tokens for the administrator's.
            funnel.keep(RECORD)
            write_record(host, dict(record, tokens=recorded + [token for token in added if token not in recorded]), check_mode)
            if touched:
                # Nor a reboot before this change for one that failed to bring it.
                funnel.keep(PENDING)
                _judge(host, reboot_reasons(wanted, running, leaving), touched, check_mode)
            warnings += loader.apply(funnel, wanted, record)
        except BootLoaderError:
            funnel.undo()
            raise
        except OSError as error:
            raise BootLoaderError("The kernel parameters cannot be set, and %s: %s" % (funnel.undo(), error)) from error
        configured = [line for _where, line in loader.configured(funnel)]
    left = leaving and bool(configured) and not any(has(line, PASSTHROUGH) for line in configured)
    if left and PASSTHROUGH in recorded:
        touched.add("no " + PASSTHROUGH)
    try:
        if loader:
            write_record(host, dict(record, tokens=added, created=record["created"] if wanted else {}), check_mode)
        due, stuck = _judge(host, reboot_reasons(wanted, running, left), touched, check_mode)
    except OSError as error:
        raise BootLoaderError(
            "The kernel parameters of the next boot are as wanted, but the role cannot write down what it did (%s): make room in %s "
            "or make it writable, then run the role again." % (error, STATE_DIRECTORY), changed=funnel.changed,
        ) from error
    return {
        "changed": funnel.changed,
        "diff": funnel.diff,
        "vendor": vendor,
        "bootloader": loader.name if loader else "",
        "wanted": wanted,
        "running": managed_tokens(running),
        "reboot": due,
        "stuck": [{"key": reason["key"], "text": advice(reason["text"], running)} for reason in stuck],
        "warnings": warnings,
    }


def _judge(host, reasons, touched, check_mode):
    """judge() for the kernel parameters of a host. touched: the tokens that this run writes."""
    return judge(
        "kernel", reasons, {"kernel:" + token for token in touched}, check_mode,
        directory=host.real(STATE_DIRECTORY), boot_id=(host.read(BOOT_ID) or "").strip(),
    )


def conflicts(lines, wanted, vendor):
    """Sentences about parameters of the administrator that ours override; an error where they cannot be.

    The kernel parses every occurrence in order, so a later `intel_iommu=on` beats `intel_iommu=off`; but nothing
    takes `iommu=off` back.
    """
    warnings = []
    for where, line in lines:
        state = iommu_state(line)
        if wanted and state["off"]:
            raise BootLoaderError(
                "iommu=off is configured in %s and no other parameter can take it back: remove it, or do not ask "
                "for the IOMMU." % where
            )
        if INTEL_ON in wanted and state["intel"] is False:
            warnings.append("intel_iommu=off in %s is overridden by intel_iommu=on after it." % where)
        if PASSTHROUGH in wanted and state["passthrough"] is False:
            warnings.append("A parameter against iommu=pt in %s is overridden by iommu=pt after it." % where)
        if wanted and vendor == "amd" and state["amd_off"]:
            warnings.append("amd_iommu=off in %s keeps the IOMMU off; iommu=pt has no effect until it goes." % where)
    return warnings


def leaves_passthrough(running, vendor, iommu, passthrough):
    """Whether iommu=pt runs on a host that is to have the IOMMU without it."""
    return iommu and not passthrough and vendor != "other" and has(running, PASSTHROUGH)


def reboot_reasons(wanted, running, left):
    """What is configured and not running, as judge() takes it. left: iommu=pt runs and is no longer configured.

    Taking the parameters off (iommu: false) makes no reboot due: an IOMMU that stays on until the next boot
    harms nothing that runs.
    """
    text = "kernel parameter %s is configured but not on the running command line"
    if iommu_state(running)["off"]:
        text = "kernel parameter %s is configured but undone by iommu=off on the running command line"
    reasons = [{"key": "kernel:" + token, "text": text % token} for token in missing(running, wanted)]
    if left:
        reasons.append({
            "key": "kernel:no " + PASSTHROUGH,
            "text": "kernel parameter %s is on the running command line but no longer configured" % PASSTHROUGH,
        })
    return reasons


def advice(text, running):
    """What to look at when a reboot did not bring a parameter."""
    image = re.search(r"(?:^|\s)(BOOT_IMAGE=\S+)", running)
    return (
        "%s, although the host has been rebooted since: it was probably started from another boot entry or loader "
        "than the one configured (/proc/cmdline%s); look at the loader's default entry (grub-editenv list, "
        "grubby --default-kernel or bootctl status) and at the firmware's boot order, then reboot by hand."
        % (text, " says " + image.group(1) if image else "")
    )


def build_module():
    return AnsibleModule(
        argument_spec={
            "iommu": {"type": "bool", "default": True},
            "passthrough": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )


def main():
    module = build_module()
    # The tools' messages are quoted in ours, and grubby's output is parsed.
    module.run_command_environ_update = {"LANGUAGE": "C", "LC_ALL": "C"}

    def run(argv, stdin):
        # grubby expands what it reads from entries unquoted: an empty directory has no file for a `*` to match.
        with tempfile.TemporaryDirectory(prefix="sriov-") as empty:
            return module.run_command(argv, data=stdin, cwd=empty)

    try:
        # Check mode changes nothing, so it need not wait either.
        with contextlib.nullcontext() if module.check_mode else locked():
            result = ensure(Host(run), module.params["iommu"], module.params["passthrough"], module.check_mode)
    except BootLoaderError as error:
        module.fail_json(msg=str(error), changed=error.changed)
    except Refusal as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg="The kernel parameters cannot be set, and nothing was changed: %s" % error)
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
