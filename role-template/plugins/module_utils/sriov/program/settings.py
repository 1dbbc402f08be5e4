# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a PF and its VFs: what is wanted, what is found, and what differs, as plain data.

A target is {key: value} for one VF, with the keys of the configuration file (see wrong_in()). The value of its driver
is a name, NO_DRIVER, "" for the one that fits, or None for a VF that only has to be free.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from ..errors import Refusal
from .holders import holder_of_each, some_of, userspace_driver
from .link import LINK_GROUPS, LINK_KEYS, interface_of, is_up, netdevs_of, read_links
from .record import read_record
from .sysfs import describe, device_path, list_names, read_int, read_text, vf_addresses
from .vf_drivers import NO_DRIVER, autoprobe_of, driver_of, is_driver, lacks_iommu, override_of

# The names of the keys in sriov_devices, where they differ.
LABELS = {"state": "link_state", "proto": "vlan_proto"}
NO_MAC = "00:00:00:00:00:00"
# How an interface got its MAC address (linux/netdevice.h): the driver's own choice, or set from outside, as by udev.
MAC_IS_RANDOM, MAC_IS_SET = 1, 3


def names_settings(device: dict) -> bool:
    """Whether a device of the configuration has any setting beside its number of VFs."""
    return bool(device.get("up") or device.get("vfs") or device.get("autoprobe") is not None)


def needs_interface(device: dict) -> bool:
    """Whether a device has a setting that goes through the PF's network interface."""
    return bool(device.get("up")) or shows_links(device, {})


def wanted_autoprobe(device: dict, record: dict, found: bool | None) -> bool | None:
    """Whether drivers shall take the PF's VFs: as configured, else as it was before the role, else as it is."""
    return device["autoprobe"] if device.get("autoprobe") is not None else record.get("autoprobe", found)


def read_vfs(address: str, record: dict, links: bool) -> dict[int, dict]:
    """A PF's VFs as they are: {VF: {key: value}}, with its address, driver, override, and the macs of its interfaces.

    links: whether to read the settings that `ip` shows. A setting that the driver does not report is what the role has
    set. Raises Refusal if `ip` cannot show them, or not those of all VFs.
    """
    shown = read_links(address, describe_pf(address)) if links else {}
    found = {}
    for number, vf in enumerate(vf_addresses(address)):
        netdevs = list_names(device_path(vf, "net"))
        if links and number not in shown:
            raise Refusal(
                f"{describe_pf(address)}: ip does not show the settings of VF {number}: lower numvfs, because the "
                "kernel's answer has no room for so many"
            )
        found[number] = dict(
            record.get("told", {}).get(number, {}),
            **shown.get(number, {}),
            address=vf,
            driver=driver_of(vf),
            override=override_of(vf),
            # A bond gives all its interfaces one address.
            macs={
                read_text(device_path(vf, "net", name, "address"), ""): read_int(
                    device_path(vf, "net", name, "addr_assign_type")
                )
                for name in netdevs
                if not os.path.lexists(device_path(vf, "net", name, "master"))
            },
        )
    return found


def given_by_driver(found: dict, key: str) -> object:
    """A setting of a VF as the driver gave it, from the first look at it.

    igb shows the address that a VF's driver has chosen as if the PF had set it.
    """
    own = key == "mac" and found["macs"].get(found.get("mac")) in (MAC_IS_RANDOM, MAC_IS_SET)
    return NO_MAC if own else found.get(key)


def configured(device: dict) -> dict[int, dict]:
    """The targets that a device of the configuration names."""
    targets = {}
    for one in device.get("vfs", []):
        # Without a VLAN, nothing of it is left.
        rest = dict({"qos": 0, "proto": "802.1q"} if one.get("vlan") == 0 else {}, **one)
        targets[rest.pop("vf")] = rest
    return targets


def unfinished_of(record: dict, found: dict[int, dict], autoprobe: bool | None, wanted: bool | None) -> set[int]:
    """The VFs that have no driver only for now. autoprobe: as it is; wanted: see wanted_autoprobe()."""
    free = {number for number, vf in found.items() if not vf["driver"] and not vf["override"]}
    return set(record.get("unbound", [])) | (free if wanted and autoprobe is False else set())


def targets_of(
    device: dict, record: dict, found: dict[int, dict], autoprobe: bool | None, unfinished: set[int]
) -> dict[int, dict]:
    """The targets for the VFs that exist: what the configuration names, and what it no longer names as it was before
    the role. autoprobe: see wanted_autoprobe(); unfinished: see unfinished_of().
    """
    named, targets = configured(device), {}
    for number, vf in found.items():
        was = record.get("was", {}).get(number, {})
        target = {key: value for key, value in was.items() if value is not None}
        target.update(named.get(number, {}))
        if "driver" not in target and autoprobe is not False and number in unfinished:
            target["driver"] = ""
        elif "driver" not in target and device.get("autoprobe") is False:
            # Whoever has set an override wants this driver: libvirt, for example.
            mine = vf["driver"] and not vf["override"] and not userspace_driver(vf["address"])
            target.update({"driver": None} if mine else {})
        targets[number] = target
    return targets


def driver_differs(found: dict, wanted: str | None, unfinished: bool) -> bool:
    """Whether a VF has another driver than the wanted one. unfinished: whether it has none only for now."""
    if wanted is None:
        return bool(found["driver"])
    if wanted == "":
        return bool(found["override"]) or unfinished and not found["driver"]
    if wanted == NO_DRIVER:
        return bool(found["driver"]) or found["override"] != NO_DRIVER
    return not is_driver(found["driver"], wanted)


def differences(target: dict, found: dict, unfinished: bool) -> list[str]:
    """The keys of a VF's target that differ from what is found."""
    keys = [key for key in LINK_KEYS if key in target and found.get(key) != target[key]]
    if "mac" in target and "mac" not in keys and target["mac"] != NO_MAC and set(found["macs"]) - {target["mac"]}:
        # Set after the driver had started, which reads it then only.
        keys.append("mac")
    if "driver" in target and driver_differs(found, target["driver"], unfinished):
        keys.append("driver")
    return keys


def complete(group: tuple[str, ...], target: dict, found: dict) -> dict:
    """The values for the message that sets a group: what is not named stays as it is."""
    return {key: target.get(key, found.get(key)) for key in group}


def words_of(value: object) -> str:
    """A value of a setting for the operator."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return {"": "default", None: "unknown"}.get(value, str(value))


def line_of_vf(number: int, key: str, found: dict | None, target: dict) -> str:
    """A difference of a VF for the operator; without the old value if the VF does not exist yet."""
    label, after = LABELS.get(key, key), words_of(target[key])
    if key == "driver":
        after = after if target[key] is not None else NO_DRIVER
        before = found and (found["driver"] or NO_DRIVER)
    else:
        before = found and words_of(found.get(key))
        if before == after:
            before = next(iter(set(found["macs"]) - {after}))
    return f"VF {number}: {label} {before} -> {after}" if found else f"VF {number}: {label} {after}"


class Plan:
    """What to set on a PF beside its number of VFs.

    lines: for the operator, what is set now; only: the VFs of them; waiting: what waits for the next boot, for the
    operator; busy: the VFs of that; reason: why, as the end of a sentence, or ""; before: see state_before(), or None.
    """

    def __init__(self, device: dict, function: dict, do: str) -> None:
        """do: see decide(), for the number of VFs. Raises Refusal if the settings cannot be read or set."""
        self.address, self.device, self.do = function["address"], device, do
        self.lines, self.waiting, self.only, self.busy, self.reason, self.before = [], [], [], [], "", None
        self.record = read_record(self.address)
        if not (names_settings(device) or self.record):
            return
        now = autoprobe_of(self.address)
        self._compare_pf(now)
        found = read_vfs(self.address, self.record, shows_links(device, self.record))
        if do == "set":
            self._plan_new_vfs()
            touched = {number: LINK_KEYS + ("driver",) for number in found}
        elif do == "nothing":
            touched = self._compare_vfs(found, now)
        else:
            touched = {}
        self.before = dict(state_before(function["numvfs"] or 0, now, found, touched), record=self.record)

    def _compare_pf(self, autoprobe):
        """Plan what differs on the PF itself."""
        if self.device.get("up"):
            interface_of(self.address)
            self.lines += ["interface down -> up"] * (not all(is_up(name) for name in netdevs_of(self.address)))
        wanted = wanted_autoprobe(self.device, self.record, autoprobe)
        if self.do != "wait" and wanted not in (autoprobe, None):
            if autoprobe is None:
                raise Refusal(
                    f"{describe_pf(self.address)}: this kernel has no sriov_drivers_autoprobe: leave drivers_autoprobe out, "
                    "or boot a newer kernel"
                )
            self.lines.append(f"drivers_autoprobe {words_of(autoprobe)} -> {words_of(wanted)}")

    def _plan_new_vfs(self):
        """Plan all that is configured, for VFs that are created."""
        targets = configured(self.device)
        for number, target in sorted(targets.items()):
            self.lines += [line_of_vf(number, key, None, target) for key in LINK_KEYS + ("driver",) if key in target]
        self._wait_for_iommu([(self.address, target.get("driver")) for target in targets.values()])

    def _compare_vfs(self, found, autoprobe):
        """Plan what differs on VFs that exist: now on those that are idle, later on the others. Returns the keys of
        those that are set now.
        """
        wanted = wanted_autoprobe(self.device, self.record, autoprobe)
        unfinished = unfinished_of(self.record, found, autoprobe, wanted)
        targets = targets_of(self.device, self.record, found, wanted, unfinished)
        keys = {number: differences(target, found[number], number in unfinished) for number, target in targets.items()}
        keys = {number: differing for number, differing in sorted(keys.items()) if differing}
        holders = holder_of_each([found[number]["address"] for number in keys])
        reasons = []
        for number, differing in keys.items():
            lines = [line_of_vf(number, key, found[number], targets[number]) for key in differing]
            holder = holders.get(found[number]["address"])
            if holder:
                self.waiting += lines
                self.busy.append(number)
                reasons.append(holder)
            else:
                self.lines += lines
                self.only.append(number)
        self.reason = "; ".join(some_of(reasons))
        self._wait_for_iommu(
            [(found[number]["address"], targets[number]["driver"]) for number in self.only if "driver" in keys[number]]
        )
        return {number: keys[number] for number in self.only}

    def _wait_for_iommu(self, drivers):
        """Let all wait that is planned if vfio would have to take a function without an IOMMU. drivers: pairs of
        address and driver.
        """
        if any(lacks_iommu(address, driver or "") for address, driver in drivers):
            self.lines, self.waiting, self.only = [], self.lines + self.waiting, []
            self.reason = (
                "vfio takes a VF only with an IOMMU, and the kernel has none for this PF (enable it in the BIOS, and let the "
                "role set the kernel parameters)"
            )

    def job(self, patience: float) -> dict | None:
        """What the process that sets the PF has to know; None if there is nothing to set but the number.

        patience: seconds for which a VF may be in a reset.
        """
        if self.before is None:
            return None
        return {
            "device": self.device,
            "only": self.only if self.do != "set" else None,
            "busy": self.busy,
            "settles": self.do != "wait",
            "patience": patience,
            "before": self.before,
        }


def describe_pf(address: str) -> str:
    """A PF in a few words, see describe()."""
    return describe({"address": address, "netdevs": netdevs_of(address)})


def shows_links(device: dict, record: dict) -> bool:
    """Whether the settings that `ip` shows are needed for what a device names, or for what it no longer names."""
    named = list(configured(device).values()) + list(record.get("was", {}).values())
    return any(key in one for one in named for key in LINK_KEYS)


def state_before(
    numvfs: int, autoprobe: bool | None, found: dict[int, dict], touched: dict[int, Collection[str]]
) -> dict:
    """What to put back if something fails: the number of VFs, autoprobe, and of each touched VF what its keys are now,
    as targets.
    """
    vfs = {}
    for number, keys in touched.items():
        vf = found[number]
        values = {key: given_by_driver(vf, key) for group in LINK_GROUPS if set(group) & set(keys) for key in group}
        vfs[number] = {key: value for key, value in values.items() if value is not None}
        vfs[number]["driver"] = vf["override"] or ("" if vf["driver"] else None)
    return {"numvfs": numvfs, "autoprobe": autoprobe, "vfs": vfs}
