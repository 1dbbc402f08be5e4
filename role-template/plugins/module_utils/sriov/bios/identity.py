# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a BMC belongs to a host: the worst that the role could do is to change the BIOS of another one."""

from __future__ import annotations

import os
import re

from ..errors import Refusal
from ..program import sysfs
from ..program.host import HOST

# What manufacturers write where they have no serial number.
NO_SERIAL = re.compile(
    r"^(|0+|x+|none|n/?a|not (specified|available|applicable|set)|default string|empty|unknown|invalid|"
    r"to be filled by o\.?e\.?m\.?|(system|chassis) serial (number|#)|serial number|0?123456789(0|abcdef)?)\Z",
    re.IGNORECASE,
)
UUID = re.compile(r"^[0-9a-f]{32}\Z")
# SMBIOS: all 0 is "not present", all F is "not set". The third is in boards whose maker never set one.
NO_UUID = ("0" * 32, "f" * 32, "03000200040005000006000700080009")


def own_identity() -> dict[str, str]:
    """This host's serial number and UUID from SMBIOS, empty where it has none. Only root can read them."""
    folder = os.path.join(HOST.sys, "class/dmi/id")
    return {
        "serial": sysfs.read_text(os.path.join(folder, "product_serial"), ""),
        "uuid": sysfs.read_text(os.path.join(folder, "product_uuid"), ""),
    }


def known_serial(value: object) -> str | None:
    """A serial number in capitals, None for a placeholder."""
    text = str(value or "").strip()
    return None if NO_SERIAL.match(text) else text.upper()


def known_uuid(value: object) -> str | None:
    """The digits of a UUID, None for a placeholder."""
    digits = str(value or "").lower().replace("-", "").strip()
    return digits if UUID.match(digits) and digits not in NO_UUID else None


def swapped(digits: str) -> str:
    """A UUID in the other byte order of its first three fields.

    SMBIOS 2.6 has them with the lowest byte first, and BMCs differ in how they write them (DSP0134, System UUID).
    """
    fields = (digits[:8], digits[8:12], digits[12:16])
    return "".join("".join(re.findall("..", field)[::-1]) for field in fields) + digits[16:]


def refuse_other_host(system: dict, host: dict[str, str], address: str) -> None:
    """Raise Refusal if a system of a BMC is not the host, or if that cannot be known.

    system: the resource ComputerSystem; host: see own_identity(). On Dell the host's serial number, the service tag, is
    the system's SKU, and SerialNumber is that of its board. One of both numbers that fits is enough.
    """
    serial, uuid = known_serial(host.get("serial")), known_uuid(host.get("uuid"))
    serials = [found for found in map(known_serial, (system.get("SerialNumber"), system.get("SKU"))) if found]
    other = known_uuid(system.get("UUID"))
    if serial in serials or uuid and other and uuid in (other, swapped(other)):
        return
    theirs = f"serial number {system.get('SerialNumber') or 'unknown'}, UUID {system.get('UUID') or 'unknown'}"
    ours = f"serial number {serial or 'unknown'}, UUID {host.get('uuid') or 'unknown'}"
    if serial and serials or uuid and other:
        raise Refusal(
            f"the BMC at {address} belongs to another host ({theirs}; this host has {ours}): correct sriov_bmc_address"
        )
    raise Refusal(
        f"it is not known whether the BMC at {address} belongs to this host ({theirs}; this host has {ours}): set the "
        "BIOS by hand, and leave sriov_bmc_address empty"
    )
