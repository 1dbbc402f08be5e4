"""A ConnectX-3, whose driver makes the VFs when it is loaded."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from pathlib import Path
from typing import NoReturn

from guest import PCI, ROOT, RUN, TEST_ROOT, ControlError, command, say_to_kernel_log, write
from state import Card, behaviour
from sysfs import cover, device_folder, mount_points, second_view

INITRAMFS_OPTIONS = ROOT / "run/rig-card-initramfs-options"
INITRAMFS_SCRIPT = ROOT / "etc/initramfs-tools/scripts/init-top/rig-card"


@dataclasses.dataclass
class Probe:
    """What mlx4_core makes of its options at one function."""

    vfs: int = 0
    probed: int = 0
    bound: bool = True
    message: str = ""


def initramfs_options() -> dict[str, str]:
    """Return mlx4_core's options as the initramfs of this boot has them; the last one counts."""
    options: dict[str, str] = {}
    for line in INITRAMFS_OPTIONS.read_text().split("\n") if INITRAMFS_OPTIONS.exists() else ():
        words = line.split()
        if words[:2] == ["options", "mlx4_core"]:
            pairs = (word.partition("=") for word in words[2:] if "=" in word)
            options.update((name, value) for name, _, value in pairs)
    return options


def numbers(text: str, separator: str, limit: int) -> list[int]:
    """Read up to three numbers; none at all when one is wrong."""
    words = text.strip('"').split(separator)
    if len(words) > 3 or not all(word.isdigit() and int(word) <= limit for word in words):
        raise ValueError(text)
    return [int(word) for word in words]


def vf_numbers(text: str, driver: str, function: str) -> list[int]:
    """Read num_vfs or probe_vf for a function: the kernel's form, or MLNX_OFED's with addresses."""
    if not text:
        return []
    if driver == "inbox":
        return numbers(text, ",", 255)
    if "-" not in text:
        return numbers(text, ";" if ";" in text else ",", 255)
    for item in text.strip('"').split(","):
        address, _, value = item.partition("-")
        if not re.fullmatch(r"([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", address):
            raise ValueError(text)
        if (address if address.count(":") == 2 else f"0000:{address}").lower() == function:
            return numbers(value, ";", 255)
    return []


# Where the numbers of num_vfs and probe_vf belong, by how many there are: to port 1, port 2, or both ports.
PLACES = {0: [], 1: [2], 2: [0, 1], 3: [0, 1, 2]}


def by_port(given: list[int]) -> list[int]:
    """Return the numbers of VFs with port 1, with port 2 and with both."""
    found = [0, 0, 0]
    for place, number in zip(PLACES[len(given)], given, strict=True):
        found[place] = number
    return found


def too_many(vfs: list[int], probes: list[int]) -> str:
    """Return why the driver refuses so many VFs, or nothing."""
    if any(probe > number for probe, number in zip(probes, vfs, strict=True)):
        return "probe_vf module parameter cannot be negative or greater than num_vfs"
    total = sum(vfs)
    if total > 126:
        return f"Requested more VF's ({total}) than allowed by hw (126)"
    for port in (0, 1):
        here = vfs[port] + vfs[2]
        if here >= 64:
            return f"Requested more VF's ({here}) for port ({port + 1}) than allowed by driver (63)"
    return ""


def all_ethernet(card: Card, types: list[int]) -> bool:
    """Tell whether both ports are Ethernet, by the driver's option or by the firmware."""
    return all(
        kind == 2 or (kind == 0 and card.get("current", f"LINK_TYPE_P{port}") == 2)
        for port, kind in enumerate((types + [0, 0])[:2], 1)
    )


def probe_fourth(card: Card, function: str, options: dict[str, str]) -> Probe:
    """Decide as drivers/net/ethernet/mellanox/mlx4/main.c does.

    One number means VFs with both ports; two mean VFs of port 1 and 2; three port 1, 2 and both.
    """
    driver = behaviour(card.state, "driver")
    try:
        asked = vf_numbers(options.get("num_vfs", ""), driver, function)
        wanted = vf_numbers(options.get("probe_vf", ""), driver, function)
        types = numbers(options.get("port_type_array", "0,0"), ",", 2)
    except ValueError as error:
        return Probe(bound=False, message=f"invalid value for a parameter: {error}")
    vfs, probes = by_port(asked), by_port(wanted)
    refusal = too_many(vfs, probes)
    if refusal:
        return Probe(bound=False, message=refusal)
    if not all_ethernet(card, types) and (len(asked) > 1 or len(wanted) > 1):
        text = "Invalid syntax of num_vfs/probe_vfs with IB port - single port VFs syntax is only supported when all "
        return Probe(bound=False, message=text + "ports are configured as ethernet")
    total, offered = sum(vfs), card.total_vfs()
    if total > offered:
        # As in the kernel, this is not an error of the probe: the driver stays, without a VF.
        return Probe(message=f"requested vfs ({total}) > available vfs ({offered}). Continuing without SR_IOV")
    return Probe(total, sum(probes))


def load_module(card: Card, options: dict[str, str]) -> bool:
    """Load the real mlx4_core, which finds no card, with the very options of the initramfs."""
    words = [f"{name}={value}" for name, value in sorted(options.items())]
    if behaviour(card.state, "driver") == "inbox":
        return command(["modprobe", "--config", "/dev/null", "mlx4_core", *words])
    # The kernel's own module does not know MLNX_OFED's form; its files in sysfs are covered.
    loaded = command(["modprobe", "--config", "/dev/null", "mlx4_core"])
    for name in ("num_vfs", "probe_vf", "port_type_array"):
        parameter = ROOT / "sys/module/mlx4_core/parameters" / name
        for point in mount_points(parameter):
            command(["umount", "--lazy", point])
        cover(parameter, RUN / "parameters" / name, options.get(name, "").strip('"'))
    return loaded


def start_fourth(card: Card, function: str) -> Probe:
    """Do once in a boot what mlx4_core does when it finds the card."""
    record = RUN / f"{function}.json"
    if record.exists():
        return Probe(**json.loads(record.read_text()))
    command(["modprobe", "igb"])
    folder = device_folder(function)
    for _ in range(100):
        if (folder / "net").exists() and any((folder / "net").iterdir()):
            break
        time.sleep(0.1)
    options = initramfs_options()
    probe = probe_fourth(card, function, options)
    if not load_module(card, options):
        probe = Probe(bound=False, message="module mlx4_core cannot be loaded with its options")
    if probe.message:
        say_to_kernel_log(function, probe.message)
    if not probe.bound:
        write(PCI / "drivers/igb/unbind", function)
    elif probe.vfs:
        make_vfs(function, probe)
    RUN.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(dataclasses.asdict(probe)))
    return probe


def make_vfs(function: str, probe: Probe) -> None:
    """Make igb's VFs; only the first `probed` get their driver here."""
    folder = device_folder(function)
    write(folder / "sriov_drivers_autoprobe", "0")
    if not write(folder / "sriov_numvfs", str(probe.vfs)):
        say_to_kernel_log(function, f"the emulated card cannot have {probe.vfs} VFs. Continuing without SR_IOV")
        probe.vfs = probe.probed = 0
    if probe.probed:
        command(["modprobe", "igbvf"])
        write(folder / "sriov_drivers_autoprobe", "1")
        for number in range(probe.probed):
            write(PCI / "drivers_probe", (folder / f"virtfn{number}").resolve().name)
    write(folder / "sriov_drivers_autoprobe", "1" if probe.probed >= probe.vfs else "0")


def show(card: Card, function: str) -> None:
    """Mount a folder that looks like a ConnectX-3's over the function's."""
    probe = start_fourth(card, function)
    mirror = RUN / "mirror" / function
    own = make_mirror(card, function, probe, mirror)
    command(["mount", "--rbind", str(mirror), str(device_folder(function))], check=True)
    for name in own:
        target = str(device_folder(function) / name)
        command(["mount", "--bind", target, target], check=True)
        command(["mount", "-o", "remount,bind,ro", target], check=True)


def make_mirror(card: Card, function: str, probe: Probe, mirror: Path) -> list[str]:
    """Make the folder: the function's own files, but for those that a ConnectX-3 has otherwise. Return these."""
    mirror.mkdir(parents=True)
    total = card.total_vfs()
    texts = {"vendor": "0x15b3", "device": card.model.device}
    texts.update(subsystem_vendor="0x15b3", subsystem_device="0x0055", sriov_numvfs=str(probe.vfs))
    if total:
        texts["sriov_totalvfs"] = str(total)
    if probe.bound:
        texts.update(mlx4_port1="eth", mlx4_port2="eth")
    for entry in sorted(second_view(function).iterdir()):
        if entry.name not in (*texts, "sriov_totalvfs", "driver"):
            mirror_entry(entry, mirror / entry.name)
    for name, text in texts.items():
        (mirror / name).write_text(f"{text}\n")
        (mirror / name).chmod(0o444)
    if probe.bound:
        up = "../" * (len(device_folder(function).relative_to(ROOT / "sys").parts))
        (mirror / "driver").symlink_to(f"{up}bus/pci/drivers/mlx4_core")
    return list(texts)


def mirror_entry(entry: Path, target: Path) -> None:
    """Show a file of the real folder in the mirror; it stays the kernel's own file."""
    if entry.is_symlink():
        target.symlink_to(os.readlink(entry))
        return
    if entry.is_dir():
        target.mkdir()
    else:
        target.touch()
    command(["mount", "--bind", str(entry), str(target)], check=True)


# The initramfs of Debian without busybox has no grep.
INIT_TOP = """\
#!/bin/sh
# Written by the molecule rig: keeps what mlx4_core would be loaded with in this boot.
case "$1" in prereqs) exit 0 ;; esac
for file in /usr/lib/modprobe.d/*.conf /etc/modprobe.d/*.conf; do
    [ -e "$file" ] || continue
    while read -r word module options; do
        case "$word $module" in
            "options mlx4_core" | "options mlx4-core") echo "options mlx4_core $options" ;;
        esac
    done < "$file"
done > /run/rig-card-initramfs-options
exit 0
"""


def prepare_initramfs() -> None:
    """Let the initramfs save the options it holds; once, so that a role must rebuild by itself."""
    if INITRAMFS_SCRIPT.exists() and INITRAMFS_SCRIPT.read_text() == INIT_TOP:
        return
    if not TEST_ROOT and not INITRAMFS_SCRIPT.parent.exists():
        raise ControlError("a ConnectX-3 needs a guest with initramfs-tools")
    INITRAMFS_SCRIPT.parent.mkdir(parents=True, exist_ok=True)
    INITRAMFS_SCRIPT.write_text(INIT_TOP)
    INITRAMFS_SCRIPT.chmod(0o755)
    command(["update-initramfs", "-u"], check=True)


OFED_PARAMETERS = (
    "num_vfs:Either single value (e.g. '5') to define uniform num_vfs value for all devices functions\n\t\tor a string "
    "to map device function numbers to their num_vfs values (e.g. '0000:04:00.0-5,002b:1c:0b.a-15').\n\t\tHexadecimal "
    "digits for the device function (e.g. 002b:1c:0b.a) and decimal for num_vfs value (e.g. 15). (charp)",
    "probe_vf:Either single value (e.g. '3') to indicate that the Hypervisor driver itself should activate this "
    "number of VFs for each HCA on the host. (charp)",
    "port_type_array:Either pair of values (e.g. '1,2') to define uniform port1/port2 types configuration for all "
    "devices functions\n\t\tor a string to map device function numbers to their pair of port types values. (charp)",
)


def modinfo(arguments: list[str]) -> NoReturn:
    """Be modinfo, with MLNX_OFED's parameters of mlx4_core."""
    text = " ".join(arguments)
    asked = re.search(r"(-F|--field)[ =]?parm\b|(^| )-p\b|--parameters", text)
    if asked and "mlx4_core" in arguments:
        print("\n".join(OFED_PARAMETERS))
        raise SystemExit(0)
    real = next(path for path in ("/sbin/modinfo", "/usr/sbin/modinfo", "/usr/bin/modinfo") if Path(path).exists())
    os.execv(real, ["modinfo", *arguments])
