# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The NICs of a host that support SR-IOV, as they are: what the pages and tables for operators show."""

from __future__ import annotations

import os
from collections.abc import Callable

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from . import check, concerns
from .errors import Refusal
from .mellanox.selection import cards_that_wait
from .program import causes, configuration, connection, holders, pfs, sysfs
from .program.host import HOST
from .selection.choice import ARGUMENTS, check_form, select
from .selection.notices import notice_of_unset
from .selection.seen import every_nic

# What stands in the way of VFs on a NIC. The first three prevent them, the others are reasons to look twice.
OBSTACLES = ("offers none", "no driver", "passed through", "connection", "namespace", "VFs", "in use")


def supports_sriov(nic: dict) -> bool:
    """Whether a NIC has VFs to offer, now or once its firmware or the BIOS allows them. nic: see read_function()."""
    if nic["totalvfs"] is not None or nic["id"].startswith(causes.MELLANOX + ":"):
        return True
    if (causes.total_in_config(nic["address"]) or 0) > 0:
        return True
    return causes.has_sriov_driver(nic) and not causes.is_virtual_machine()


def vfs_of(address: str) -> list[dict]:
    """The VFs of a PF in the order of their numbers: address, driver, names of the interfaces, holder (in words, or
    None).
    """
    addresses = [vf for vf in sysfs.vf_addresses(address) if vf]
    users = holders.holder_of_each(addresses)
    functions = [(vf, sysfs.read_function(vf)) for vf in addresses]
    return [
        {"address": vf, "driver": function["driver"], "names": function["netdevs"], "holder": users.get(vf)}
        # One that went away meanwhile has none.
        for vf, function in functions
        if function
    ]


def obstacles_of(nic: dict, vfs: list[dict], carriers: set[str] | None) -> list[dict]:
    """What stands in the way of VFs on a NIC: [{"kind": one of OBSTACLES, "text": cause and fix, or empty}].

    nic: see read_function(). vfs: see vfs_of(). carriers: the functions that carry the connection to this host; None if
    that is not known.
    """
    address = nic["address"]
    found = []
    if not nic["totalvfs"] and address.rpartition(".")[0] not in cards_that_wait():
        found.append(("offers none", causes.why_no_vfs(nic)))
    if nic["driver"] is None:
        found.append(("no driver", causes.why_no_driver(address)))
    elif holders.userspace_driver(address):
        found.append(("passed through", nic["driver"]))
    elif not nic["netdevs"] and os.path.isdir(sysfs.device_path(address, "net")):
        # sysfs shows the directory in every network namespace, and an interface only in its own.
        found.append(("namespace", ""))
    if carriers is not None and address in carriers:
        found.append(("connection", ""))
    if vfs:
        found.append(("VFs", str(len(vfs))))
    used = [vf["holder"] for vf in vfs if vf["holder"]]
    if used:
        found.append(("in use", used[0]))
    return [{"kind": kind, "text": text} for kind, text in found]


def read_nics() -> dict:
    """The NICs of this host that support SR-IOV. Changes nothing.

    Returns boot_id, iommu (whether the kernel uses one), connection_known (whether the NIC that carries the connection
    to this host could be found) and nics: a list of dicts with address, id, driver and names as the kernel has them,
    totalvfs (None: no SR-IOV now), vfs (see vfs_of()) and obstacles (see obstacles_of()).
    """
    carriers = connection.connection_functions()
    nics = []
    for nic in every_nic():
        if supports_sriov(nic):
            vfs = vfs_of(nic["address"])
            nics.append(
                {
                    "address": nic["address"],
                    "id": nic["id"],
                    "driver": nic["driver"],
                    "names": nic["netdevs"],
                    "totalvfs": nic["totalvfs"],
                    "vfs": vfs,
                    "obstacles": obstacles_of(nic, vfs, carriers),
                }
            )
    return {
        "boot_id": sysfs.boot_id(),
        "iommu": bool(sysfs.list_names(os.path.join(HOST.sys, "class/iommu"))),
        "connection_known": carriers is not None,
        "nics": nics,
    }


def chosen(selection: dict) -> tuple[list[dict] | None, str, str]:
    """(The chosen PFs, the notice that none are set, the reason why the choice is refused); None instead of PFs if
    there is no choice. selection: the parameters of sriov_devices.
    """
    try:
        if not check.is_unset(selection.get("devices")):
            return select(selection), "", ""
        check_form(selection)
        return None, notice_of_unset(selection), ""
    except Refusal as refusal:
        return None, "", str(refusal)


def of_last_run(change_connection_pf: bool) -> list[dict]:
    """The states of the PFs as the last run configured them, see pfs.apply(); none if there is no usable
    configuration.
    """
    try:
        devices = (configuration.load_config() or {}).get("devices", [])
    except Refusal:
        return []
    return pfs.apply(devices, 1, check=True, change_connection_pf=change_connection_pf)


def state_of(result: dict, network: str | None) -> dict:
    """What an operator reads of a PF. result: see pfs.apply(), in check mode."""
    # Check mode says what would be: "changed" with the wanted number, or "unchanged" because another PF fails.
    differs = result["state"] in ("changed", "unchanged")
    return {
        "wanted": result["wanted"],
        "state": "differs" if differs else result["state"],
        "message": "" if differs else result["message"],
        "physical_network": network,
    }


def add_states(nics: list[dict], results: list[dict], devices: list[dict], mlx4_differs: bool) -> None:
    """Add to each NIC its state, and append the PFs that are wanted and not present.

    results: see pfs.apply(). devices: the chosen PFs, see select(). mlx4_differs: whether a run would change the
    options of the driver of ConnectX-3 cards.
    """
    networks: dict[str, list[str]] = {}
    for device in devices:
        if device.get("physical_network"):
            networks.setdefault(device["address"], []).append(device["physical_network"])
    found = {nic["address"]: nic for nic in nics}
    for result in results:
        address = result["address"]
        if address not in found:
            found[address] = {
                "address": address,
                "id": None,
                "driver": None,
                "names": [result["name"]] if result["name"] else [],
                "totalvfs": None,
                "vfs": [],
                "obstacles": [],
            }
            nics.append(found[address])
        found[address].update(state_of(result, " and ".join(networks.get(address, [])) or None))
    for device in devices:
        # Not among the results: PFs without VFs, those that the role does not manage, and ConnectX-3, whose driver
        # makes the VFs when it is loaded.
        nic = found.get(device["address"])
        if nic and "state" not in nic:
            managed = device["boot"] != "none"
            other = "differs" if mlx4_differs or device["boot"] != "module" else "pending"
            nic.update(
                wanted=device["numvfs"] if managed else None,
                state="unmanaged" if not managed else "ok" if len(nic["vfs"]) == device["numvfs"] else other,
                message="",
                physical_network=" and ".join(networks.get(device["address"], [])) or None,
            )
    for nic in nics:
        if "state" not in nic:
            nic.update(wanted=None, state="unmanaged", message="", physical_network=None)


def read_states(selection: dict, wanted: dict[str, dict], run_command: Callable) -> dict:
    """read_nics(), and how far the host is as its variables want it. Changes nothing.

    selection: the parameters of sriov_devices. wanted: {concern: options}. Returns the keys of read_nics(), each with
    wanted, state, message and physical_network; and for the host is_set (whether sriov_devices is set), notice (a
    text), and lists of texts: faults (why the role would refuse, or what a reboot has not applied), reboot (why one
    is due) and differs (the concerns that a run would change). Raises Refusal for parameters that are invalid.
    """
    concerns.refuse_unknown(wanted)
    validated = ArgumentSpecValidator(ARGUMENTS).validate(selection)
    if validated.error_messages:
        raise Refusal(f"selection: {'; '.join(validated.error_messages)}")
    seen = read_nics()
    devices, notice, fault = chosen(validated.validated_parameters)
    faults, reboot, differs, results = [fault] if fault else [], [], [], None
    if devices is not None:
        found, _warnings, refused = concerns.look_at_all(wanted, devices, run_command)
        if "vfs" in refused:
            results = refused["vfs"].details.get("pfs")
        # The messages of the PFs are the sentence of the concern of the VFs.
        faults += [str(refusal) for name, refusal in refused.items() if not (name == "vfs" and results)]
        for name, result in found.items():
            reboot += [reason["text"] for reason in result["reboot"]]
            faults += [reason["text"] for reason in result["stuck"]]
            differs += [name] if result["changed"] else []
        results = found["vfs"]["pfs"] if "vfs" in found else results
        faults += [one["text"] for one in concerns.shortcomings(wanted, devices)[0]]
    if results is None:
        results = of_last_run(bool(wanted.get("vfs", {}).get("change_connection_pf")))
    add_states(seen["nics"], results, devices or [], "mlx4" in differs)
    return dict(
        seen,
        is_set=not check.is_unset(selection.get("devices")),
        notice=notice,
        faults=faults,
        reboot=reboot,
        differs=differs,
    )
