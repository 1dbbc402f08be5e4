"""A machine and the command line of its QEMU."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import Any

from host import RigError

from machine.connectx import ConnectX

MANAGEMENT_MAC = "52:54:00:5a:00:01"
USER = "molecule"

# One root port per slot of the root bus, so that card n is at 0000:0n:00 in every guest.
FIRST_ROOT_PORT_SLOT = 2
MANAGEMENT_SLOT = 0x1C
DISK_SLOT = 0x1D
# Behind the disk, so that the disk is /dev/vda.
SEED_SLOT = 0x1E
MAX_PFS = 16
# The processor of a machine, by its IOMMU or by the one that it lacks.
PROCESSORS = {"intel": "GenuineIntel", "amd": "AuthenticAMD", "none": "GenuineIntel", "none-amd": "AuthenticAMD"}
# Where VFs may have their own functions (ARI), a function names the next one. QEMU's functions can name no other
# than 1.
MAX_FUNCTIONS = 2
# Of a machine with a BMC.
IDENTITY = {"serial": "RIG0001", "uuid": "6f0f2b0e-7d4f-4b0c-9a51-3c7a1df4a2a5"}

FIRMWARE = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
)


@dataclasses.dataclass(frozen=True)
class Machine:
    """How a machine is started.

    Cards are numbered from 1; `missing` are those not plugged in. A card has one PF for each of
    its `functions`, which are the network ports it has. A `seeded` machine is a cloud image that
    cloud-init sets up from the rig's volume.
    """

    image: str
    iommu: str = "intel"
    pfs: int = 2
    missing: tuple[int, ...] = ()
    connection_pf: bool = False
    memory: int = 1024
    cpus: int = 1
    accel: str = "tcg"
    port: int = 0
    # Of a machine that is never stopped: no scenario is as long, on a slow machine either.
    lifetime: int = 24 * 3600
    seeded: bool = False
    functions: int = 1
    # QEMU has no card in the slots of these.
    connectx: tuple[ConnectX, ...] = ()
    # Whether all ports are on one wire, and packets pass between VFs, PFs and cards.
    one_wire: bool = False
    # The shape of its BMC, empty for none. With one, the BIOS decides whether it has its IOMMU.
    bmc: str = ""

    def empty(self) -> set[int]:
        """Return the slots in which QEMU has no card."""
        return {*self.missing, *(card.slot for card in self.connectx)}


def find_firmware() -> tuple[str, str]:
    """Return the UEFI firmware and its empty store of variables."""
    for code, variables in FIRMWARE:
        if Path(code).exists() and Path(variables).exists():
            return code, variables
    raise RigError("no UEFI firmware; as root: apt-get install --no-install-recommends ovmf")


def pf_mac(number: int, function: int = 0) -> str:
    """Return the fixed address of a PF: a function of a card."""
    return f"52:54:00:5a:{function + 1:02x}:{number:02x}"


def pf_device(number: int) -> dict[str, Any]:
    """Return the QEMU device of a card with one function, as device_add takes it."""
    place = {"driver": "igb", "id": f"pf{number}", "bus": f"port{number}"}
    return {**place, "netdev": f"wire{number}", "mac": pf_mac(number), "romfile": ""}


def card_devices(number: int, functions: int) -> list[dict[str, Any]]:
    """Return the QEMU devices of a card: one for each function, function 0 first."""
    first = pf_device(number)
    if functions == 1:
        return [first]
    others = [
        {
            **first,
            "id": f"pf{number}.{function}",
            "netdev": f"wire{number}.{function}",
            "mac": pf_mac(number, function),
            "addr": f"0.{function}",
        }
        for function in range(1, functions)
    ]
    return [{**first, "addr": "0.0", "multifunction": True, "x-pcie-ari-nextfn-1": True}, *others]


def device_argument(device: dict[str, Any]) -> str:
    """Write a device as the value of -device."""
    values = {key: "on" if value is True else value for key, value in device.items() if key != "driver"}
    return ",".join([device["driver"], *(f"{key}={value}" for key, value in values.items())])


def key_credential(public_key: str) -> str:
    """Return the SMBIOS string through which systemd in the guest writes the run's public key.

    systemd.system-credentials(7), tmpfiles.extra: known to systemd 252 and later.
    """
    line = f"f /home/{USER}/.ssh/authorized_keys 0600 {USER} {USER} - {public_key.strip()}\n"
    return "io.systemd.credential.binary:tmpfiles.extra=" + base64.b64encode(line.encode()).decode()


def qemu_arguments(machine: Machine, firmware: str, public_key: str) -> list[str]:
    """Return the command line of a machine; paths in it are relative to the run folder."""
    return [
        *("qemu-system-x86_64", "-name", "sriov-rig", "-nodefaults", "-no-user-config", "-display", "none"),
        *processor(machine),
        *disks(firmware),
        *("-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console"),
        *("-qmp", "unix:qmp.sock,server=on,wait=off", "-pidfile", "qemu.pid"),
        *access(machine, public_key),
        *iommu(machine),
        *network(machine),
        *vf_registers(machine),
        *power(machine),
    ]


def processor(machine: Machine) -> list[str]:
    """Return the kind of machine, its processors and its memory."""
    emulated = machine.accel != "kvm"
    # Interrupt remapping needs the I/O APIC outside of the kernel.
    irqchip = ",kernel-irqchip=split" if machine.iommu == "intel" else ""
    # The real mstfwreset refuses to work on a virtual machine, which it detects by lscpu's "Hypervisor vendor".
    hidden = ",-hypervisor" if machine.connectx else ""
    return [
        *("-machine", f"q35,sata=off,smbus=off{irqchip}"),
        *("-accel", "tcg,thread=multi,tb-size=512" if emulated else "kvm"),
        *("-cpu", f"{'max' if emulated else 'host'},vendor={PROCESSORS[machine.iommu]}{hidden}"),
        *("-smp", str(machine.cpus), "-m", str(machine.memory)),
    ]


def disks(firmware: str) -> list[str]:
    """Return the firmware, its variables and the disk."""
    return [
        *("-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware}"),
        *("-drive", "if=pflash,unit=1,format=qcow2,file=vars.qcow2"),
        *("-drive", "if=none,id=disk,format=qcow2,cache=unsafe,discard=unmap,file=disk.qcow2"),
        *("-device", f"virtio-blk-pci,drive=disk,addr={DISK_SLOT:#x},bootindex=0"),
    ]


def access(machine: Machine, public_key: str) -> list[str]:
    """Return what brings the run's key into the guest."""
    if not machine.seeded:
        return ["-smbios", f"type=11,value={key_credential(public_key)}"]
    return [
        *("-drive", "if=none,id=seed,format=raw,readonly=on,file=seed.img"),
        *("-device", f"virtio-blk-pci,drive=seed,addr={SEED_SLOT:#x}"),
    ]


def power(machine: Machine) -> list[str]:
    """Return what lets the rig start QEMU again when the guest reboots, and by what its BMC knows the machine."""
    if not machine.bmc:
        return []
    return [
        *("-action", "reboot=shutdown", "-qmp", "unix:power.sock,server=on,wait=off"),
        *("-uuid", IDENTITY["uuid"], "-smbios", f"type=1,serial={IDENTITY['serial']}"),
    ]


def iommu(machine: Machine) -> list[str]:
    """Return the IOMMU, if the machine has one."""
    # With intremap=on the timer of a guest with AMD's does not work under emulation, and it panics.
    devices = {"intel": "intel-iommu,intremap=on,caching-mode=on", "amd": "amd-iommu,intremap=off"}
    return ["-device", devices[machine.iommu]] if machine.iommu in devices else []


def network(machine: Machine) -> list[str]:
    """Return the root ports, the management interface, and the cards that are plugged in."""
    arguments = []
    ports = machine.pfs + machine.connection_pf
    for number in range(1, ports + 1):
        slot = FIRST_ROOT_PORT_SLOT + number - 1
        arguments += ["-device", f"pcie-root-port,id=port{number},chassis={number},slot={number},addr={slot:#x}"]
    arguments += ["-netdev", f"user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:{machine.port}-:22"]
    management = {"driver": "virtio-net-pci", "netdev": "management", "mac": MANAGEMENT_MAC, "romfile": ""}
    management["addr"] = f"{MANAGEMENT_SLOT:#x}"
    if machine.connection_pf:
        management = {**pf_device(ports), "netdev": "management", "mac": MANAGEMENT_MAC}
    arguments += ["-device", device_argument(management)]
    for number in range(1, machine.pfs + 1):
        for function, device in enumerate(card_devices(number, machine.functions)):
            # A separate hub: the link is up and leads nowhere.
            hub = 1 if machine.one_wire else number + function * MAX_PFS
            arguments += ["-netdev", f"hubport,id={device['netdev']},hubid={hub}"]
            if number not in machine.empty():
                arguments += ["-device", device_argument(device)]
    return arguments


def vf_registers(machine: Machine) -> list[str]:
    """Return what keeps the registers of VFs below 4 GiB, where packets must pass.

    QEMU 10.0.0 to 10.0.5 take a VF's 64-bit BAR for a 32-bit one, and the firmware puts it above 4 GiB unless it has
    no window there.
    """
    return ["-fw_cfg", "name=opt/ovmf/X-PciMmio64Mb,string=0"] if machine.one_wire else []
