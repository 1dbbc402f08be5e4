# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of OpenStack, and the options that Nova has in each."""

from __future__ import annotations

import re

from .. import check
from ..errors import Refusal
from ..variables import VARIABLES

# Every name of a release up to 2027.1; those from 2022.1 on have a year and a number too, see nova_of.
NAMED_RELEASES = {
    "ocata": 15,
    "pike": 16,
    "queens": 17,
    "rocky": 18,
    "stein": 19,
    "train": 20,
    "ussuri": 21,
    "victoria": 22,
    "wallaby": 23,
    "xena": 24,
    "yoga": 25,
    "zed": 26,
    "antelope": 27,
    "bobcat": 28,
    "caracal": 29,
    "dalmatian": 30,
    "epoxy": 31,
    "flamingo": 32,
    "gazpacho": 33,
    "hibiscus": 34,
    "indri": 35,
}
NUMBERED_RELEASE = re.compile(r"^(20[0-9][0-9])\.([12])\Z")


def nova_of(release: str | float | None) -> int | None:
    """Nova's major version in an OpenStack release ("2025.1", "zed", "master"); None for the newest.

    Raises Refusal for an unknown release.
    """
    # Without quotes 2025.1 is a number; its text is the same.
    name = "" if release is None else str(release).strip().lower()
    if name in ("", "master"):
        return None
    if name in NAMED_RELEASES:
        return NAMED_RELEASES[name]
    match = NUMBERED_RELEASE.match(name)
    if re.match(r"^[0-9]{4}\.[0-9]+\Z", name) and (not match or name < "2022.1"):
        raise Refusal(
            f"sriov_openstack_release is {name}, and there is no such release: a year has two, such as 2025.1 and "
            "2025.2, and those before 2022.1 have names"
        )
    if not match:
        raise Refusal(
            "sriov_openstack_release is %s: %s"
            % (
                check.shown(release),
                check.did_you_mean(
                    name if isinstance(release, str) else "",
                    NAMED_RELEASES,
                    'write it as "2025.1", as "zed", or as "master"',
                ),
            )
        )
    return 25 + (int(match.group(1)) - 2022) * 2 + int(match.group(2)) - 1


# The option was passthrough_whitelist before.
DEVICE_SPEC_SINCE = nova_of("zed")
# The major version of Nova that added each tag of device_spec, the oldest first. The model contains the release as
# @since: the first that `git tag --contains` lists for the commit of the tag.
_KEYS = VARIABLES["sriov_devices"]["elements"]["fields"]["nova"]["fields"]
_SINCE = {key: nova_of(spec["since"]) for key, spec in _KEYS.items() if "since" in spec}
TAGS = dict(sorted(_SINCE.items(), key=lambda tag: tag[1]))


def device_option(release: str | float | None) -> str:
    """The name of Nova's option [pci] device_spec in a release."""
    nova = nova_of(release)
    return "device_spec" if nova is None or nova >= DEVICE_SPEC_SINCE else "passthrough_whitelist"
