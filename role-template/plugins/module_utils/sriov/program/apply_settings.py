# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PF set as a whole, in the order that needs no second try: the PF up, its number of VFs, their settings, and only
then their drivers.

A VF's driver reads its settings when it starts, and some drivers (i40e, ice) reset a VF at each later setting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from ..errors import Refusal
from .kernel_log import Failure, KernelLog, with_log
from .link import LINK_GROUPS, LINK_KEYS, NAMING_SECONDS, link_words, quiet_up, read_links, set_link
from .numvfs import disappeared, set_numvfs
from .record import MAPS, read_record, write_record
from .settings import (
    complete,
    configured,
    describe_pf,
    differences,
    given_by_driver,
    line_of_vf,
    read_vfs,
    shows_links,
    targets_of,
    unfinished_of,
    wanted_autoprobe,
    words_of,
)
from .sysfs import is_there, vf_addresses
from .vf_drivers import (
    NO_DRIVER,
    autoprobe_of,
    driver_of,
    load_driver,
    override,
    override_of,
    probe,
    refuse_other_driver,
    set_autoprobe,
    unbind,
)

LINKS = set(LINK_KEYS)


def set_pf(
    address: str,
    count: int,
    timeout: float,
    job: dict | None,
    putting_back: Callable[[], object] = lambda: None,
) -> Failure | None:
    """Give one PF `count` VFs, and it and them their settings.

    timeout, putting_back: see set_numvfs(). job: see Plan.job(), or None for the number alone. Returns None, or a
    Failure, with the PF and its VFs put back.
    """
    if job is None:
        return set_numvfs(address, count, timeout, putting_back)
    log, name = KernelLog(address), describe_pf(address)
    work = Work(address, count, timeout, job)
    try:
        work.prepare()
        failure = set_numvfs(address, count, timeout, putting_back)
        if failure is None:
            work.settle(job["device"])
            log.close()
            return None
    except (Refusal, OSError) as error:
        failure = with_log(sentence_of(name, error) if is_there(address) else disappeared(name), log)
        putting_back()
    return Failure.of(failure + work.put_back(), failure.kernel_log)


def restore_pf(
    address: str, count: int, timeout: float, job: dict | None, putting_back: Callable[[], object] = lambda: None
) -> Failure | None:
    """Undo what set_pf() did with this job, after another PF failed. count: the previous number of VFs. Otherwise as
    set_pf().
    """
    if job is None:
        return set_numvfs(address, count, timeout, putting_back)
    log, name = KernelLog(address), describe_pf(address)
    try:
        failure = Work(address, count, timeout, job).restore()
    except (Refusal, OSError) as error:
        failure = with_log(sentence_of(name, error), log)
    log.close()
    return failure


def sentence_of(name: str, error: Exception) -> str:
    """A failure of a PF as a sentence that begins with the PF."""
    text = str(error) if isinstance(error, Refusal) else f"{error.filename or 'the kernel'}: {error.strerror}"
    return text if text.startswith(name) else f"{name}: {text}"


class Work:
    """A PF that is being set, as set_pf() describes."""

    def __init__(self, address: str, count: int, timeout: float, job: dict) -> None:
        self.address, self.count, self.timeout, self.job = address, count, timeout, job
        self.device, self.only, self.before = job["device"], job["only"], job["before"]
        self.sent = {}

    def prepare(self) -> None:
        """Load the drivers, set the PF up, and keep new VFs without a driver until they have their settings. Raises
        Refusal, OSError.
        """
        for driver in {target.get("driver") for target in configured(self.device).values()} - {None, NO_DRIVER}:
            load_driver(driver)
        if self.device.get("up"):
            quiet_up(self.address, time.monotonic() + min(self.timeout, NAMING_SECONDS))
        if len(vf_addresses(self.address)) != self.count:
            self.hold()

    def hold(self) -> None:
        """Turn autoprobe off until settle() has the value that stays. Raises OSError."""
        now, record = autoprobe_of(self.address), read_record(self.address)
        if now is not None:
            write_record(self.address, dict({"autoprobe": now}, **dict(record, held=True)))
            set_autoprobe(self.address, False)

    def settle(self, device: dict, targets: dict[int, dict] | None = None) -> None:
        """Give the VFs their settings and drivers.

        device: of the configuration; targets: what they get instead of what it names. Raises Refusal, OSError.
        """
        if not self.job["settles"]:
            return
        record = read_record(self.address)
        now = autoprobe_of(self.address)
        autoprobe = wanted_autoprobe(device, record, now)
        links = shows_links(device, record) or any(LINKS & set(target) for target in (targets or {}).values())
        found = read_vfs(self.address, record, links and bool(vf_addresses(self.address)))
        unfinished = unfinished_of(record, found, now, autoprobe)
        unfinished |= {
            number for number, target in (targets or {}).items() if target["driver"] not in (None, NO_DRIVER)
        }
        wanted = targets_of(device, record, found, autoprobe, unfinished) if targets is None else targets
        touched = {
            number: differences(target, found[number], number in unfinished)
            for number, target in wanted.items()
            if number in found and (self.only is None or number in self.only)
        }
        touched = {number: keys for number, keys in touched.items() if keys}
        self.note(record, found, touched, wanted, unfinished)
        for number, keys in touched.items():
            unbind(found[number]["address"])
            self.set_links(number, keys, wanted[number], found[number])
        if links:
            self.read_back(touched, wanted)
        self.set_drivers(found, wanted, touched, unfinished, autoprobe)
        finish(self.address, device if targets is None else {"vfs": as_list(targets)}, self.job["busy"], self.sent)

    def note(self, record, found, touched, wanted, unfinished):
        """Remember what the VFs have, before anything changes."""
        for number, keys in touched.items():
            gets_one = found[number]["driver"] or "driver" in keys
            if gets_one and wanted[number].get("driver", "") not in (None, NO_DRIVER):
                unfinished.add(number)
            was = record.setdefault("was", {}).setdefault(number, {})
            for key in [key for group in LINK_GROUPS if set(group) & set(keys) for key in group]:
                was.setdefault(key, given_by_driver(found[number], key))
            if "driver" in keys and wanted[number]["driver"]:
                was.setdefault("driver", "")
            self.sent[number] = {
                key: wanted[number][key] for key in keys if key in LINKS and found[number].get(key) is None
            }
        now = autoprobe_of(self.address)
        record.update({"autoprobe": record.get("autoprobe", now), "unbound": sorted(unfinished)})
        write_record(self.address, record)

    def set_links(self, number, keys, target, found):
        """Send what differs to the kernel, one message for each group. Raises Refusal."""
        for group in LINK_GROUPS:
            if set(group) & set(keys):
                values = complete(group, target, found)
                if values != {key: found.get(key) for key in group}:
                    set_link(self.address, number, link_words(group, values), self.job["patience"])

    def read_back(self, touched, wanted):
        """Raise Refusal if the driver shows another value than the one that it has accepted: bnxt_en keeps the
        protocol of a VLAN.
        """
        if not any(LINKS & set(keys) for keys in touched.values()):
            return
        shown = read_links(self.address, describe_pf(self.address))
        for number, keys in touched.items():
            for key in keys:
                value = shown.get(number, {}).get(key)
                if key in LINKS and value not in (None, wanted[number][key]):
                    raise Refusal(
                        f"the driver accepted {line_of_vf(number, key, None, wanted[number])} without an error, and shows "
                        f"{words_of(value)}: leave that setting out"
                    )

    def set_drivers(self, found, wanted, touched, unfinished, autoprobe):
        """Name the drivers, let autoprobe be what it shall be, and let the drivers take the VFs. Raises Refusal,
        OSError.
        """
        named = {number: wanted[number]["driver"] for number, keys in touched.items() if "driver" in keys}
        for number, driver in named.items():
            loaded = load_driver(driver) if driver and driver != NO_DRIVER else driver or ""
            override(found[number]["address"], loaded)
        if autoprobe is not None:
            set_autoprobe(self.address, autoprobe)
        deadline = time.monotonic() + self.timeout
        for number, vf in sorted(found.items()):
            driver = wanted.get(number, {}).get("driver", "")
            if driver in (NO_DRIVER, None) or number not in unfinished and number not in named:
                continue
            self.take(vf, driver, autoprobe)
            if driver:
                refuse_other_driver(vf["address"], driver, deadline)

    @staticmethod
    def take(vf, driver, autoprobe):
        """Let a driver take a VF that has none. vf: as it was found. Raises OSError."""
        address = vf["address"]
        if driver_of(address):
            return
        if driver or override_of(address) or autoprobe is not False:
            probe(address)
        elif vf["driver"]:
            # Without autoprobe, the kernel gives a VF only a driver that is named.
            override(address, vf["driver"])
            probe(address)
            override(address, "")

    def restore(self) -> Failure | None:
        """Give the PF its previous VFs with their previous settings. Raises Refusal, OSError; returns a Failure of the
        number.
        """
        before, self.only, self.sent = self.before, None, {}
        new = len(vf_addresses(self.address)) != before["numvfs"]
        if new:
            self.hold()
            failure = set_numvfs(self.address, before["numvfs"], self.timeout)
            if failure:
                return failure
        self.settle({"autoprobe": before["autoprobe"]}, before["vfs"])
        if not new:
            write_record(self.address, before["record"])
        return None

    def put_back(self) -> str:
        """Like restore(), but returns the outcome as the end of a sentence."""
        before = self.before
        if not is_there(self.address):
            return ""
        new = len(vf_addresses(self.address)) != before["numvfs"]
        try:
            failure = self.restore()
        except (Refusal, OSError) as error:
            failure = error
        if failure:
            return f"; putting back its VFs failed too ({failure})"
        if not before["numvfs"]:
            return "; it has no VFs, as before" if new else ""
        if new:
            return f"; it has its {before['numvfs']} VFs again"
        return "; its VFs have their previous settings" if before["vfs"] else ""


def finish(address: str, device: dict, busy: Collection[int] = (), sent: dict[int, dict] | None = None) -> None:
    """Remember of a PF only what a later run needs. Raises OSError.

    device: of the configuration; what it does not name has its old value again, but not on VFs that are busy. sent: see
    the record.
    """
    record, now, named = read_record(address), autoprobe_of(address), configured(device)
    count = len(vf_addresses(address))
    record.update(held=None, unbound=[])
    if record.get("autoprobe") == now:
        record["autoprobe"] = None
    for number, values in (sent or {}).items():
        record.setdefault("sent", {}).setdefault(number, {}).update(values)
    for kept in MAPS:
        record[kept] = {
            number: values
            if number in busy
            else {key: value for key, value in values.items() if is_named(key, named.get(number, {}))}
            for number, values in record.get(kept, {}).items()
            if number < count
        }
    write_record(address, record)


def as_list(targets: dict[int, dict]) -> list[dict]:
    """Targets in the form of the configuration."""
    return [dict(target, vf=number) for number, target in targets.items()]


def is_named(key: str, target: dict) -> bool:
    """Whether a target names a setting, or another one of its group."""
    return any(key in group and set(group) & set(target) for group in LINK_GROUPS) or key in target
