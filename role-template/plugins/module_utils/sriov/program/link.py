# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the program `ip` reports of a PF and its VFs, and sets.

The names in its output: iproute2, ip/ipaddress.c, print_vfinfo(). A PF is given by its address, and its interface is
looked up for each call: udev may rename it between two of them.
"""

from __future__ import annotations

import json
import os
import time

from ..errors import Refusal
from .host import HOST
from .programs import find_program
from .sysfs import device_path, is_representor, list_names, read_function, read_int

# A kernel that holds its network lock does not answer.
IP_SECONDS = 30
# udev has then named the interfaces of a PF whose driver is there.
NAMING_SECONDS = 30
RENAMES = 5
# What `ip` says of an interface that has another name now: the last one when it is renamed between the two requests of
# `ip link show` (iproute2, ip/ipaddress.c, ipaddr_list_flush_or_save() and iplink_get()).
UNKNOWN_INTERFACE = ("Cannot find device", "does not exist", "No such device")
# One message to the kernel for each: then the refused setting can be named. A VLAN cannot be set in parts. In the order
# in which a VF needs them.
LINK_GROUPS = (
    ("node_guid",),
    ("port_guid",),
    ("mac",),
    ("vlan", "qos", "proto"),
    ("spoofchk",),
    ("trust",),
    ("state",),
)
LINK_KEYS = tuple(key for group in LINK_GROUPS for key in group)
# What passes by itself: i40e and ice reset a VF after many a setting, and refuse the next one until that is done.
PASSING = ("Resource temporarily unavailable", "Device or resource busy")
SETTING_ADVICE = {
    "Operation not supported": "driver %(driver)s does not have this setting: leave it out",
    "Protocol not supported": "driver %(driver)s does not have this VLAN protocol: leave vlan_proto out",
    "Invalid argument": "driver %(driver)s does not accept this value: correct it",
    "Numerical result out of range": "driver %(driver)s does not accept this value: correct it",
    "Operation not permitted": "the host does not manage this card's VFs, for example those of a BlueField in DPU mode: "
    "set this on the card's own system",
    "Resource temporarily unavailable": "the VF has not finished its reset in time: raise sriov_vf_settings_timeout",
    "Device or resource busy": "the VF has not finished its reset in time: raise sriov_vf_settings_timeout",
}


def run_ip(arguments: list[str]) -> tuple[int, str, str]:
    """Run `ip`. Returns its exit code, its output, and the reason of a failure. Raises Refusal without the program."""
    import subprocess

    program = find_program("ip")
    if program is None:
        raise Refusal("the program ip is not there: install iproute2 (on EL: iproute), then run the role again")
    try:
        done = subprocess.run(
            [program] + arguments,
            capture_output=True,
            env=dict(os.environ, LC_ALL="C"),
            timeout=IP_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no answer within {IP_SECONDS} s"
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    reason = lines[0].partition("answers: ")[2] or lines[0] if lines else f"exit code {done.returncode}"
    return done.returncode, done.stdout.decode("utf-8", "replace"), reason


def netdevs_of(address: str) -> list[str]:
    """The interfaces of a PF, without representors."""
    return [name for name in list_names(device_path(address, "net")) if not is_representor(name)]


def interface_of(address: str) -> str:
    """The first interface of a PF. Raises Refusal if this process sees none."""
    names = netdevs_of(address)
    if names:
        return names[0]
    if os.path.isdir(device_path(address, "net")):
        raise Refusal(
            f"{address}: its interface is in another network namespace, where the role cannot set its VFs: move it back, "
            "then run the role again"
        )
    raise Refusal(
        f"{address}: it has no network interface, and its VFs are set through one: look at the kernel log for its driver, "
        "then run the role again"
    )


def ip_of(address: str, before: list[str], after: list[str]) -> tuple[int, str, str]:
    """Run `ip` with the interface of a PF between two lists of words; again if it was renamed meanwhile."""
    for _try in range(RENAMES):
        name = interface_of(address)
        code, output, reason = run_ip(before + [name] + after)
        if not code or not is_unknown(reason):
            break
    return code, output, reason


def is_unknown(reason: str) -> bool:
    """Whether `ip` failed because no interface has the name that it got."""
    return any(words in reason for words in UNKNOWN_INTERFACE)


def read_links(address: str, named: str) -> dict[int, dict]:
    """The settings of a PF's VFs: {VF: {key: value}}, without those that the driver does not report.

    named: the PF in words. Raises Refusal if they cannot be read, which does not mean that there are none.
    """
    code, output, reason = ip_of(address, ["-j", "link", "show", "dev"], [])
    try:
        shown = json.loads(output) if not code else None
    except ValueError:
        shown, reason = None, "no JSON"
    if shown is None:
        raise Refusal(
            f"{named}: ip cannot show the settings of its VFs ({reason}): if the message is too long, lower numvfs or use a "
            "newer kernel"
        )
    vfs = [vf for link in shown if isinstance(link, dict) for vf in link.get("vfinfo_list", [])]
    return {vf["vf"]: link_of(vf) for vf in vfs if isinstance(vf.get("vf"), int)}


def link_of(vf: dict) -> dict:
    """The settings of one VF as `ip` shows them, by our keys."""
    found = {}
    # "mac" before iproute2 4.20. A driver that reports no value for a switch leaves its key out.
    for key, names in (("mac", ("address", "mac")), ("node_guid", ("node_guid",)), ("port_guid", ("port_guid",))):
        for name in names:
            if isinstance(vf.get(name), str):
                found.setdefault(key, vf[name].lower())
    for key in ("spoofchk", "trust"):
        if isinstance(vf.get(key), bool):
            found[key] = vf[key]
    if isinstance(vf.get("link_state"), str):
        found["state"] = vf["link_state"]
    # Zeros, and 802.1Q, are left out. iproute2 before 4.10 has no list.
    vlan = next(iter(vf.get("vlan_list") or [vf]))
    found.update(vlan=vlan.get("vlan", 0), qos=vlan.get("qos", 0), proto=str(vlan.get("protocol", "802.1q")).lower())
    return found


def link_words(group: tuple[str, ...], values: dict) -> list[str]:
    """The words of `ip link set` for one group of settings."""
    if group[0] == "vlan":
        # Without the word, the protocol is 802.1Q.
        proto = ["proto", "802.1ad"] if values["proto"] == "802.1ad" else []
        return ["vlan", str(values["vlan"]), "qos", str(values["qos"])] + proto
    value = values[group[0]]
    return [group[0], {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value]


def set_link(address: str, vf: int, words: list[str], patience: float) -> None:
    """Set one group of a VF's settings. patience: seconds for which a VF may be in a reset. Raises Refusal."""
    deadline, pause = time.monotonic() + patience, 0.1
    while True:
        code, _output, reason = ip_of(address, ["link", "set", "dev"], ["vf", str(vf)] + words)
        if not code:
            return
        if reason not in PASSING or time.monotonic() + pause > deadline:
            break
        time.sleep(pause)
        pause = min(2 * pause, 2)
    driver = (read_function(address) or {"driver": None})["driver"]
    advice = SETTING_ADVICE.get(reason, "look at the kernel log") % {"driver": driver}
    raise Refusal(f"setting {' '.join(words)} of VF {vf} failed ({reason}): {advice}")


def is_up(name: str) -> bool:
    """Whether a network interface is set up."""
    return bool((read_int(os.path.join(HOST.sys, "class/net", name, "flags")) or 0) & 1)


def renamed(address: str, deadline: float) -> list[str]:
    """The interfaces of a PF after udev has given them their names; none when that takes too long.

    Kernels before 6.2 refuse to rename an interface that is up, and the next card may get the name that the kernel gave
    this one (eth0). udev writes its record only after it has renamed an interface.
    """
    while True:
        names = netdevs_of(address)
        records = [
            os.path.join(HOST.udev_data, f"n{read_int(os.path.join(HOST.sys, 'class/net', name, 'ifindex'))}")
            for name in names
        ]
        if names and all(os.path.exists(record) for record in records):
            return names
        if time.monotonic() >= deadline:
            return []
        time.sleep(0.1)


def link_up(address: str, deadline: float) -> bool:
    """Set a PF's interfaces administratively up. Returns whether that worked before the deadline."""
    names = renamed(address, deadline)
    return bool(names) and all(run_ip(["link", "set", "dev", name, "up"])[0] == 0 for name in names)


def quiet_up(address: str, deadline: float) -> None:
    """Set a PF's interfaces up that are down, without a link-local address. Raises Refusal.

    deadline: see link_up(). After it, the interfaces are set up with the names that they have.
    """
    interface_of(address)
    for _try in range(RENAMES):
        names = [name for name in renamed(address, deadline) or netdevs_of(address) if not is_up(name)]
        reasons = {name: reason for name in names if (reason := why_not_up(name))}
        if not any(map(is_unknown, reasons.values())):
            break
    for name, reason in reasons.items():
        raise Refusal(f"setting the interface {name} up failed ({reason}): look at the kernel log")


def why_not_up(name: str) -> str:
    """Set one interface up. Returns the reason of a failure, or "".

    An interface without an address gets one of IPv6 when it is set up, and then accepts what routers announce.
    """
    code, output, reason = run_ip(["-j", "address", "show", "dev", name])
    if not code and not has_address(output) and os.path.isdir(HOST.proc + "/sys/net/ipv6"):
        code, _output, reason = run_ip(["link", "set", "dev", name, "addrgenmode", "none"])
    if not code:
        code, _output, reason = run_ip(["link", "set", "dev", name, "up"])
    return reason if code else ""


def has_address(output: str) -> bool:
    """Whether an interface has an address, in what `ip -j address show` prints for it."""
    try:
        return any(link.get("addr_info") for link in json.loads(output or "[]"))
    except ValueError:
        return True
