#!/usr/bin/env python3
"""A stand-in for Mellanox cards in a guest: their firmware tools and their identity in sysfs.

QEMU has no Mellanox card. This one program is, by the name it is called with, mstconfig,
mlxconfig, mstfwreset, mlxfwreset, mst, or rig-card, with which test scenarios control it. The
configuration of a card is in /var/lib/rig-card. As on a real card `set` changes only the value
for the next boot; that value becomes the current one when the boot id has changed, or by a reset.
The igb functions of the guest get a card's identity by bind mounts over their files in sysfs.

Texts, columns and exit codes are those of mstflint v4.21, v4.25, v4.26, v4.31 and v4.36
(mlxconfig/mlxcfg_*.cpp, small_utils/mstfwreset.py).
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Optional

# For the unit tests only: another root, where no command is run but written to /commands.
TEST_ROOT = os.environ.get("RIG_CARD_ROOT", "")
ROOT = Path(TEST_ROOT or "/")
LIBRARY = ROOT / "var/lib/rig-card"
RUN = ROOT / "run/rig-card"
SBIN = ROOT / "usr/local/sbin"
PCI = ROOT / "sys/bus/pci"
INITRAMFS_OPTIONS = ROOT / "run/rig-card-initramfs-options"
INITRAMFS_SCRIPT = ROOT / "etc/initramfs-tools/scripts/init-top/rig-card"

TOOLS = {"mst": ("mstconfig", "mstfwreset"), "mft": ("mlxconfig", "mlxfwreset", "mst")}
BEHAVIOUR = {
    "version": "4.31", "delay": "0.3", "max-vfs": "127", "keeps": "false", "reset": "ok", "livefish": "false",
    "locked-down": "false", "driver": "inbox", "read-only": "", "unsupported": "",
}  # fmt: skip
CHOICES = {
    **dict.fromkeys(("keeps", "livefish", "locked-down"), ("true", "false")),
    "reset": ("ok", "refused", "power-cycle"), "driver": ("inbox", "ofed"),
}  # fmt: skip

ERROR = 3
ABORTED = 2

Value = Any  # int, or a list of int for an array


class CardError(Exception):
    """What the real tool reports behind -E-."""


class ControlError(Exception):
    """A mistake in the use of rig-card itself."""


# ---- What cards there are ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Model:
    """One kind of card."""

    device: str
    name: str
    part: str
    description: str
    parameters: str


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of the firmware."""

    name: str
    kind: str
    default: Value
    tlv: str
    names: dict[int, str] = dataclasses.field(default_factory=dict)
    bits: int = 32
    per_function: bool = False
    read_only: bool = False
    # Known to the device only while the other parameter's next value is this one.
    needs: Optional[tuple[str, int]] = None

    def text(self, value: Optional[Value]) -> str:
        """Write a value as the tools do."""
        if value is None:
            return "N/A"
        if self.kind == "array":
            return f"Array[0..{len(value) - 1}]"
        return f"{self.names[value]}({value})" if value in self.names else str(value)

    def parse(self, text: str) -> int:
        """Read a value as the 5th generation's tool does."""
        number = parse_number(text)
        if self.names:
            for value, name in self.names.items():
                if value == number or (number is None and name.lower() == text.lower()):
                    return value
            raise CardError(f"Unknown value {text}")
        if number is None:
            raise CardError("Cannot parse the value")
        if number >= 1 << self.bits:
            raise CardError(f"The value {text} is not valid,  as its size is {self.bits} bits")
        return number


def parse_number(text: str) -> Optional[int]:
    """Read a number as strtoul with base 0 does."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", text):
        return int(text, 16 if text[:2].lower() == "0x" else 8 if text.startswith("0") and text.strip("0") else 10)
    return None


# NAME TYPE DEFAULT TLV [pf] [ro] [if:NAME=VALUE]; a name with _P@ is one for each port.
# Names, types and configurations (TLVs) are those of mlxconfig_host.db. NUM_OF_PF alone as read
# only is a simplification: a real device has the whole configuration read only or none of it.
FIFTH = """
MEMIC_BAR_SIZE u8 0 nv_memic_conf
MEMIC_SIZE_LIMIT enum:DISABLED,_256KB,_512KB,_1024KB 1 nv_memic_conf
HOST_CHAINING_MODE enum:DISABLED,BASIC 0 nv_host_chaining_conf
HOST_CHAINING_CACHE_DISABLE bool 0 nv_host_chaining_conf
HOST_CHAINING_DESCRIPTORS array:8 7 nv_host_chaining_conf
HOST_CHAINING_TOTAL_BUFFER_SIZE array:8 19 nv_host_chaining_conf
FLEX_PARSER_PROFILE_ENABLE u8 0 nv_flex_parser_conf
FLEX_IPV4_OVER_VXLAN_PORT u16 0 nv_flex_parser_conf
ROCE_NEXT_PROTOCOL u8 254 nv_roce_next_protocol_conf
ESWITCH_HAIRPIN_DESCRIPTORS array:8 7 nv_internal_hairpin_conf
ESWITCH_HAIRPIN_TOT_BUFFER_SIZE array:8 19 nv_internal_hairpin_conf
PF_BAR2_SIZE u6 0 nv_pf_pci_conf
PF_NUM_OF_VF u16 0 nv_pf_pci_conf pf if:PF_NUM_OF_VF_VALID=1
PF_NUM_PF_MSIX u12 63 nv_pf_pci_conf pf
PF_NUM_VF_MSIX u12 11 nv_pf_pci_conf pf
NON_PREFETCHABLE_PF_BAR bool 0 nv_global_pci_conf
VF_VPD_ENABLE bool 0 nv_global_pci_conf
PF_NUM_OF_VF_VALID bool 0 nv_global_pci_conf
STRICT_VF_MSIX_NUM bool 0 nv_global_pci_conf
VF_NODNIC_ENABLE bool 0 nv_global_pci_conf
NUM_PF_MSIX_VALID bool 1 nv_global_pci_conf
NUM_OF_VFS u16 0 nv_global_pci_conf
NUM_OF_PF u8 2 nv_global_pci_conf ro
SRIOV_EN bool 0 nv_global_pci_conf
PF_LOG_BAR_SIZE u6 5 nv_global_pci_conf
VF_LOG_BAR_SIZE u6 1 nv_global_pci_conf
NUM_PF_MSIX u10 63 nv_global_pci_conf
NUM_VF_MSIX u10 11 nv_global_pci_conf
INT_LOG_MAX_PAYLOAD_SIZE enum:AUTOMATIC 0 nv_pci_conf
PCIE_CREDIT_TOKEN_TIMEOUT u8 0 nv_pci_conf
MAX_ACC_OUT_READ u16 0 nv_global_pci_conf_2 if:ADVANCED_PCI_SETTINGS=1
ACCURATE_TX_SCHEDULER bool 0 nv_hca_conf
PARTIAL_RESET_EN bool 0 nv_sw_reset_conf
SW_RECOVERY_ON_ERRORS bool 0 nv_sw_reset_conf
RESET_WITH_HOST_ON_ERRORS bool 0 nv_sw_reset_conf
PCI_DOWNSTREAM_PORT_OWNER array:16 0 nv_pci_port_owner
CQE_COMPRESSION enum:BALANCED,AGGRESSIVE 0 nv_sw_offload_conf
IP_OVER_VXLAN_EN bool 0 nv_sw_offload_conf
MKEY_BY_NAME bool 0 nv_sw_offload_conf
UCTX_EN bool 1 nv_sw_offload_conf
VF_MIGRATION_MODE enum:DEVICE_DEFAULT,MIGRATION_DISABLED,MIGRATION_ENABLED 0 nv_sw_offload_conf
PCI_ATOMIC_MODE enum:PCI_ATOMIC_DISABLED_EXT_ATOMIC_ENABLED,PCI_ATOMIC_ENABLED_EXT_ATOMIC_DISABLED 0 nv_hca_conf
TUNNEL_ECN_COPY_DISABLE bool 0 nv_sw_offload_conf
LRO_LOG_TIMEOUT0 u4 6 nv_sw_offload_conf
LRO_LOG_TIMEOUT1 u4 7 nv_sw_offload_conf
LRO_LOG_TIMEOUT2 u4 8 nv_sw_offload_conf
LRO_LOG_TIMEOUT3 u4 13 nv_sw_offload_conf
LOG_DCR_HASH_TABLE_SIZE u5 11 nv_dc_conf
MAX_PACKET_LIFETIME u8 0 nv_packet_lifetime
DCR_LIFO_SIZE u32 16384 nv_dc_conf
LINK_TYPE_P@ enum:=,IB,ETH 2 nv_vpi_link_type
ROCE_CC_PRIO_MASK_P@ u8 255 nv_roce_cc
CLAMP_TGT_RATE_AFTER_TIME_INC_P@ bool 1 nv_roce_cc_ecn
RPG_TIME_RESET_P@ u17 300 nv_roce_cc_ecn
RPG_BYTE_RESET_P@ u15 32767 nv_roce_cc_ecn
CNP_DSCP_P@ u6 48 nv_roce_cc_ecn
LLDP_NB_DCBX_P@ bool 0 nv_lldp_nb_conf
LLDP_NB_RX_MODE_P@ enum:OFF,MANDATORY,ALL 0 nv_lldp_nb_conf
DCBX_WILLING_P@ bool 1 nv_lldp_nb_dcbx
KEEP_ETH_LINK_UP_P@ bool 1 nv_keep_link_up
KEEP_IB_LINK_UP_P@ bool 0 nv_keep_link_up
KEEP_LINK_UP_ON_BOOT_P@ bool 0 nv_keep_link_up
NUM_OF_VL_P@ enum:=,_1_VL,_2_VLs,_4_VLs,_8_VLs 3 nv_qos_conf
NUM_OF_TC_P@ enum:_8_TCs,_1_TC,_2_TCs 0 nv_qos_conf
SRIOV_IB_ROUTING_MODE_P@ enum:=,LID,GID 1 nv_ib_routing
ROCE_CONTROL enum:DEVICE_DEFAULT,ROCE_DISABLE,ROCE_ENABLE 2 nv_hca_conf
PCI_WR_ORDERING enum:per_mkey,force_relax 0 nv_hca_conf
MULTI_PORT_VHCA_EN bool 0 nv_hca_conf
PORT_OWNER bool 1 nv_file_host_port
ALLOW_RD_COUNTERS bool 1 nv_file_host_port
RENEG_ON_CHANGE bool 1 nv_file_host_port
TRACER_ENABLE bool 1 nv_fw_tracer
IP_VER enum:IPv4,IPv6,IPv4_IPv6,IPv6_IPv4 0 exp_rom_boot_settings
BOOT_UNDI_NETWORK_WAIT u8 0 exp_rom_boot_settings
UEFI_HII_EN bool 1 exp_rom_uefi
LEGACY_BOOT_PROTOCOL enum:NONE,PXE,iSCSI 1 exp_rom_boot_settings
BOOT_VLAN u12 1 exp_rom_boot_settings
EXP_ROM_PXE_ENABLE bool 1 exp_rom_enable
ADVANCED_PCI_SETTINGS bool 0 nv_pci_conf
SAFE_MODE_THRESHOLD u8 10 nv_safe_mode
SAFE_MODE_ENABLE bool 1 nv_safe_mode
"""
ADAPTER_6 = """
LAG_RESOURCE_ALLOCATION enum:DEVICE_DEFAULT,PRE_ALLOCATION 0 nv_power_conf
DYNAMIC_VF_MSIX_TABLE bool 0 nv_dynamic_vf_msix
"""
BLUEFIELD = """
INTERNAL_CPU_MODEL enum:SEPARATED_HOST,EMBEDDED_CPU 1 nv_internal_cpu_conf
INTERNAL_CPU_PAGE_SUPPLIER enum:ECPF,EXT_HOST_PF 0 nv_internal_cpu_conf if:INTERNAL_CPU_MODEL=1
INTERNAL_CPU_ESWITCH_MANAGER enum:ECPF,EXT_HOST_PF 0 nv_internal_cpu_conf if:INTERNAL_CPU_MODEL=1
INTERNAL_CPU_IB_VPORT0 enum:ECPF,EXT_HOST_PF 0 nv_internal_cpu_conf if:INTERNAL_CPU_MODEL=1
INTERNAL_CPU_OFFLOAD_ENGINE enum:ENABLED,DISABLED 0 nv_internal_cpu_conf if:INTERNAL_CPU_MODEL=1
"""
FOURTH = """
SRIOV_EN bool 0 sriov
NUM_OF_VFS u8 8 sriov
WOL_MAGIC_EN_P1 bool 0 wol
WOL_MAGIC_EN_P2 bool 0 wol
LINK_TYPE_P1 enum:=,IB,ETH,VPI 3 vpi
PHY_TYPE_P1 u8 0 vpi
XFI_MODE_P1 u8 0 vpi
FORCE_MODE_P1 bool 0 vpi
LINK_TYPE_P2 enum:=,IB,ETH,VPI 3 vpi
PHY_TYPE_P2 u8 0 vpi
XFI_MODE_P2 u8 0 vpi
FORCE_MODE_P2 bool 0 vpi
LOG_BAR_SIZE u8 3 bar
BOOT_PKEY_P1 u16 0 boot
BOOT_PKEY_P2 u16 0 boot
BOOT_OPTION_ROM_EN_P1 bool 1 preboot
BOOT_VLAN_EN_P1 bool 0 preboot
BOOT_RETRY_CNT_P1 u3 0 preboot
LEGACY_BOOT_PROTOCOL_P1 enum:NONE,PXE,iSCSI 1 preboot
BOOT_VLAN_P1 u12 1 preboot
BOOT_OPTION_ROM_EN_P2 bool 1 preboot
BOOT_VLAN_EN_P2 bool 0 preboot
BOOT_RETRY_CNT_P2 u3 0 preboot
LEGACY_BOOT_PROTOCOL_P2 enum:NONE,PXE,iSCSI 1 preboot
BOOT_VLAN_P2 u12 1 preboot
IP_VER_P1 enum:IPv4,IPv6 0 bootext
IP_VER_P2 enum:IPv4,IPv6 0 bootext
CQ_TIMESTAMP bool 1 cx3
STEER_FORCE_VLAN bool 0 cx3
"""
MODELS = {
    "connectx3": Model("0x1003", "ConnectX3", "", "", FOURTH),
    "connectx4lx": Model(
        "0x1015", "ConnectX4LX", "MCX4121A-ACA_Ax",
        "ConnectX-4 Lx EN network interface card; 25GbE dual-port SFP28; PCIe3.0 x8; ROHS R6", FIFTH,
    ),
    "connectx5": Model(
        "0x1017", "ConnectX5", "MCX512A-ACA_Ax_Bx",
        "ConnectX-5 EN network interface card; 10/25GbE dual-port SFP28; PCIe3.0 x8; tall bracket; ROHS R6", FIFTH,
    ),
    "connectx6dx": Model(
        "0x101d", "ConnectX6DX", "MCX623106AN-CDA_Ax",
        "ConnectX-6 Dx EN adapter card; 100GbE; Dual-port QSFP56; PCIe 4.0 x16; No Crypto", FIFTH + ADAPTER_6,
    ),
    "bluefield2": Model(
        "0xa2d6", "BlueField2", "MBF2H332A-AEEO_Ax_Bx",
        "BlueField-2 P-Series DPU 25GbE Dual-Port SFP56; PCIe Gen4 x8; Crypto Enabled; 16GB on-board DDR; FHHL",
        FIFTH + ADAPTER_6 + BLUEFIELD,
    ),
}  # fmt: skip


def read_parameters(table: str, ports: int) -> dict[str, Parameter]:
    """Read a table of parameters for a card with so many ports."""
    found: dict[str, Parameter] = {}
    for line in table.split("\n"):
        if not line:
            continue
        name, kind, default, tlv, *marks = line.split()
        names: dict[int, str] = {}
        bits = 1
        if kind == "bool":
            names = {0: "False", 1: "True"}
        elif kind.startswith("enum:"):
            names = {value: word for value, word in enumerate(kind[5:].split(",")) if word != "="}
        elif kind.startswith("u"):
            bits = int(kind[1:])
        value: Value = int(default)
        if kind.startswith("array:"):
            value, bits = [value] * int(kind[6:]), 32
        needs = next((mark[3:].split("=") for mark in marks if mark.startswith("if:")), None)
        parameter = Parameter(
            name, kind.split(":")[0], value, tlv, names, bits, "pf" in marks, "ro" in marks,
            (needs[0], int(needs[1])) if needs else None,
        )  # fmt: skip
        if "@" not in name:
            found[name] = parameter
        for port in range(1, ports + 1) if "@" in name else ():
            found[name.replace("@", str(port))] = dataclasses.replace(parameter, name=name.replace("@", str(port)))
    return found


# Every name the tool's own database knows, whatever the device supports.
KNOWN = {name for model in MODELS.values() for name in read_parameters(model.parameters, 2)} - set(
    read_parameters(FOURTH, 2)
) | set(read_parameters(FIFTH + ADAPTER_6 + BLUEFIELD, 2))
KNOWN_FOURTH = set(read_parameters(FOURTH, 2)) | {"INT_LOG_MAX_PAYLOAD_SIZE", "PORT_OWNER", "ALLOW_RD_COUNTERS"}


# ---- The state -----------------------------------------------------------------------------


def boot_id() -> str:
    """Return the id of this boot."""
    return (ROOT / "proc/sys/kernel/random/boot_id").read_text().strip()


class Card:
    """One card of the state: a slot, its ports and its configuration."""

    def __init__(self, state: dict[str, Any], slot: str) -> None:
        self.state = state
        self.slot = slot
        self.data = state["cards"][slot]
        self.model = MODELS[self.data["type"]]
        self.functions: list[str] = self.data["functions"]
        self.fourth = self.data["type"] == "connectx3"
        self.parameters = read_parameters(self.model.parameters, len(self.functions))

    def behave(self, key: str) -> str:
        """Return a setting of this card's behaviour."""
        return str(self.data["behave"].get(key, self.state["behave"].get(key, BEHAVIOUR[key])))

    def is_read_only(self, name: str) -> bool:
        """Tell whether the device lets nobody change a parameter."""
        return self.parameters[name].read_only or name in self.behave("read-only").split(",")

    def supports(self, name: str) -> bool:
        """Tell whether the device has a parameter now."""
        parameter = self.parameters.get(name)
        if parameter is None or name in self.behave("unsupported").split(","):
            return False
        return not parameter.needs or self.get("next", parameter.needs[0]) == parameter.needs[1]

    def get(self, column: str, name: str, function: str = "") -> Value:
        """Return the default, current or next value."""
        parameter = self.parameters[name]
        if column == "default":
            return parameter.default
        store = self.data["per_function"].get(function, {}) if parameter.per_function else self.data
        return store.get(column, {}).get(name, parameter.default)

    def put(self, column: str, name: str, value: Value, function: str = "") -> None:
        """Change the current or next value."""
        store = self.data
        if self.parameters[name].per_function:
            store = self.data["per_function"].setdefault(function, {})
        store.setdefault(column, {})[name] = value

    def promote(self) -> None:
        """Make the next values of all ports the current ones."""
        for store in (self.data, *self.data["per_function"].values()):
            store["current"] = copy.deepcopy(store.get("next", {}))

    def total_vfs(self, function: str) -> int:
        """Return how many VFs the running firmware offers at a function."""
        if not self.get("current", "SRIOV_EN"):
            return 0
        if "PF_NUM_OF_VF_VALID" in self.parameters and self.get("current", "PF_NUM_OF_VF_VALID"):
            return int(self.get("current", "PF_NUM_OF_VF", function))
        return int(self.get("current", "NUM_OF_VFS"))


def cards(state: dict[str, Any]) -> list[Card]:
    """Return all cards in the order of their slots."""
    return [Card(state, slot) for slot in sorted(state["cards"])]


@contextlib.contextmanager
def locked_state() -> Iterator[dict[str, Any]]:
    """Hold the state alone; what was changed in it is saved, whole or not at all.

    An exception inside saves nothing. With the first look in a new boot the next values have
    become the current ones.
    """
    LIBRARY.mkdir(parents=True, exist_ok=True)
    path = LIBRARY / "state.json"
    with (LIBRARY / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = path.read_text() if path.exists() else ""
        state = json.loads(before) if before else {"boot_id": boot_id(), "mst": "", "behave": {}, "cards": {}}
        if state["boot_id"] != boot_id():
            state["boot_id"] = boot_id()
            for card in cards(state):
                if card.behave("keeps") != "true":
                    card.promote()
        yield state
        after = json.dumps(state, indent=1, sort_keys=True)
        if after != before:
            temporary = path.with_suffix(".new")
            with temporary.open("w") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)


def snapshot() -> dict[str, Any]:
    """Return the state as it is now."""
    with locked_state() as state:
        return copy.deepcopy(state)


def log_call(tool: str, arguments: list[str]) -> None:
    """Add a call to the log, in one write."""
    LIBRARY.mkdir(parents=True, exist_ok=True)
    line = shlex.join([tool, *arguments]) + "\n"
    with contextlib.suppress(PermissionError), (LIBRARY / "log").open("a") as log:
        log.write(line)


def is_root() -> bool:
    """Tell whether the caller is root."""
    return int(os.environ.get("RIG_CARD_EUID", "0") if TEST_ROOT else os.geteuid()) == 0


# ---- mstconfig and mlxconfig ---------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Shape:
    """How a version writes its tables."""

    label: int
    name: int
    value: int
    # From this length on a space is written behind a value.
    space: int
    # Widths of the headings: both columns, Default only, Next Boot only.
    both: tuple[int, ...]
    default: tuple[int, ...]
    plain: tuple[int, ...]
    marks_read_only: bool = True


SHAPES = {
    (4, 21): Shape(16, 36, 16, 17, (36, 16, 18), (36, 18), (38,), marks_read_only=False),
    (4, 25): Shape(16, 44, 16, 17, (44, 16, 18), (44, 18), (46,)),
    (4, 26): Shape(20, 44, 20, 20, (39, 21, 23), (39, 23), (41,)),
    (4, 31): Shape(20, 44, 20, 20, (44, 20, 18), (44, 18), (46,)),
    (4, 36): Shape(20, 48, 33, 33, (), (), ()),
}


def version_of(text: str) -> tuple[int, int]:
    """Return the version as numbers."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def shape_of(version: tuple[int, int]) -> Shape:
    """Return how the newest known version not behind this one writes."""
    return SHAPES[max((known for known in SHAPES if known <= version), default=min(SHAPES))]


@dataclasses.dataclass
class Row:
    """One line of a table."""

    parameter: Parameter
    label: str
    read_only: bool
    values: list[Value]
    texts: list[str]


class ConfigTool:
    """One call of mstconfig or mlxconfig."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.device = ""
        self.yes = self.verbose = self.show_read_only = False
        self.json = ""
        self.command = ""
        self.arguments: list[str] = []
        self.state = snapshot() if is_root() else {"cards": {}, "behave": {}, "mst": ""}
        version = self.state["behave"].get("version", BEHAVIOUR["version"])
        self.version_text = version
        self.version = version_of(version)
        self.shape = shape_of(self.version)

    # -- the command line --

    def run(self, arguments: list[str]) -> int:
        """Do what the command line says and return the exit code."""
        try:
            if not self.parse(arguments):
                return 0
        except CardError as error:
            print(f"-E- {error}")
            self.help()
            return ERROR
        if self.command == "query":
            return self.query()
        if self.command == "set":
            return self.set()
        return self.reset()

    def parse(self, arguments: list[str]) -> bool:
        """Read the command line; False when everything is said already."""
        values = {"-d": "device name", "--dev": "device name", "-b": "database file name", "--db": "database file name"}
        if self.version >= (4, 31):
            values.update({"-j": ".json output file", "--json_format": ".json output file"})
        commands = {"q": "query", "query": "query", "s": "set", "set": "set", "r": "reset", "reset": "reset"}
        left = list(arguments)
        while left and not self.command:
            word = left.pop(0)
            if word in ("-v", "--version"):
                package = "mstflint" if self.name.startswith("mst") else "mft"
                release = self.version_text + (".0" if self.version_text.count(".") == 1 else "")
                print(f"{self.name}, {package} {release}, Git SHA Hash: N/A")
                return False
            if word in ("-h", "--help"):
                self.help()
                return False
            if word in values:
                if not left:
                    raise CardError(f"missing {values[word]}")
                value = left.pop(0)
                if word in ("-d", "--dev"):
                    self.device = value
                elif word in ("-j", "--json_format"):
                    self.json = value
            elif word in ("-y", "--yes") or (word in ("-yy", "--yyes") and self.version >= (4, 36)):
                self.yes = True
            elif word in ("-e", "--enable_verbosity"):
                self.verbose = True
            elif word == "--read_only" and (4, 25) <= self.version < (4, 26):
                self.show_read_only = True
            elif word in commands:
                self.command = commands[word]
            else:
                raise CardError(f"invalid argument: {word}")
        self.arguments = left
        if not self.command:
            raise CardError("No command found. For more information please read the help message:")
        self.check_arguments()
        return True

    def check_arguments(self) -> None:
        """Refuse what the command cannot take."""
        if self.command == "set" and not self.arguments:
            raise CardError(
                f"missing configuration arguments. For more information please run {self.name} -h|--help."
            )
        if self.command == "reset" and self.arguments and self.version < (4, 25):
            raise CardError(f"reset command expects no argument but {len(self.arguments)} argument received")
        if self.json and self.command != "query":
            raise CardError("Json format is only supported for query command.")
        if self.command == "set" and not self.device:
            raise CardError("set command expects device to be specified.")
        seen = set()
        for argument in self.arguments if self.command == "set" else ():
            parts = [part for part in argument.split("=") if part]
            if len(parts) != 2:
                raise CardError(f"Invalid Configuration argument {argument if len(parts) != 1 else parts[0]}")
            if parts[0] in seen:
                raise CardError(f"Duplicate parameter, {parts[0]}.")
            seen.add(parts[0])

    def help(self) -> None:
        """Print the part of the help that people read."""
        device = "0000:86:00.0" if self.name.startswith("mst") else "/dev/mst/mt4115_pciconf0"
        flags = {
            "-d|--dev <device>": "Perform operation for a specified MST device.",
            "-b|--db <filename>": "Use a specific database file.",
            "-h|--help": "Display help message.",
            "-v|--version": "Display version info.",
            "-e|--enable_verbosity": "Show default and current configurations.",
            "-y|--yes": "Answer yes in prompt.",
        }
        print(f"    NAME:\n        {self.name}\n    SYNOPSIS:\n        {self.name} [Options] <Commands> [Parameters]")
        print("    DESCRIPTION:\n        Allows the user to change some of the device configurations without having to")
        print("        create and burn a new firmware.\n    OPTIONS:")
        for flag, text in flags.items():
            print(f"        {flag:<16}\t\t: {text}")
        print("\n    COMMANDS SUMMARY")
        print(f"        {'q|query':<24} : query supported configurations.")
        print(f"        {'r|reset':<24} : reset all configurations to their default value.")
        print(f"        {'s|set':<24} : set configurations to a specific device.")
        print("\n    Examples:")
        print(f"        {'To query configurations':<35}: {self.name} -d {device} query")
        print(f"        {'To set configuration':<35}: {self.name} -d {device} set SRIOV_EN=1 NUM_OF_VFS=16\n")

    # -- devices --

    def open(self, device: str, state: Optional[dict[str, Any]] = None) -> tuple[Card, str]:
        """Return the card and the function of a device's name."""
        state = self.state if state is None else state
        card, function = find_device(state, device, mft=self.name == "mlxconfig")
        if card.behave("livefish") == "true":
            raise CardError("Device in Livefish mode is not supported")
        if card.fourth and self.version >= (4, 26):
            raise CardError("Unsupported device")
        return card, function

    def wait(self) -> None:
        """Take as long as the hardware does."""
        time.sleep(float(self.state["behave"].get("delay", BEHAVIOUR["delay"])))

    def ask(self, question: str) -> bool:
        """Ask; nobody there answers no."""
        print(f"\n {question} (y/n) [n] : ", end="", flush=True)
        if self.yes:
            print("y")
            return True
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return True
        print("-E- Aborted by user.")
        return False

    # -- the commands --

    def query(self) -> int:
        """Show one device, or all."""
        if self.json:
            Path(self.json).write_text("{}\n")
        devices = [self.device] if self.device else [name for card in cards(self.state) for name in card.functions]
        if not devices:
            hint = "." if self.name.startswith("mst") else (
                ", mst might be stopped. You may need to run 'mst start' to load MST modules. "
            )  # fmt: skip
            print(f"-E- No devices found{hint}" if is_root() else "-E- Failed to get devices.")
            return ERROR
        failed = False
        for number, device in enumerate(devices, 1):
            try:
                card, function = self.open(device)
                self.wait()
                self.show(card, function, device, number, [(name, None) for name in self.arguments])
            except CardError as error:
                print(f"-E- {error}")
                failed = True
        if self.json:
            print(f"Query output saved to {self.json} "
                  + ("but one or more devices had an error." if failed else "successfully"))  # fmt: skip
        return ERROR if failed else 0

    def set(self) -> int:
        """Show what would change, ask, and change it for the next boot: all of it or nothing."""
        words = [argument.strip("=").partition("=") for argument in self.arguments]
        wanted = [(name, value.lstrip("=")) for name, _, value in words]
        try:
            card, function = self.open(self.device)
            self.wait()
            self.show(card, function, self.device, 1, wanted)
        except CardError as error:
            print(f"-E- {error}")
            return ERROR
        if not self.ask("Apply new Configuration?"):
            return ABORTED
        print("Applying... ", end="", flush=True)
        try:
            with locked_state() as state:
                card, function = self.open(self.device, state)
                for name, text in wanted:
                    self.apply(card, function, name, text)
        except CardError as error:
            print("Failed!")
            print(f"-E- {error}")
            return ERROR
        print("Done!")
        power = card.behave("reset") == "power-cycle" and not card.fourth
        print(f"-I- Please {'power cycle' if power else 'reboot'} machine to load new configurations.")
        return 0

    def apply(self, card: Card, function: str, name: str, text: str) -> None:
        """Change one next value, or raise what the device would refuse."""
        base, index = split_index(name)
        parameter = card.parameters[base]
        if card.is_read_only(base):
            # Only v4.21 comes this far; the reason at the end is the firmware's.
            raise CardError(f"Failed to set {parameter.tlv} settings Operation is not supported")
        value: Value = self.parse_value(card, parameter, text)
        limit = int(card.behave("max-vfs"))
        if base == "NUM_OF_VFS" and card.fourth and value > min(limit, 63):
            raise CardError(f"Failed to set configuration: Number of VFs exceeds limit ({min(limit, 63)}).")
        if base in ("NUM_OF_VFS", "PF_NUM_OF_VF") and value > limit:
            raise CardError(f"Parameter {base}' value is larger than maximum allowed {limit}")
        if index is not None:
            elements = list(card.get("next", base, function))
            elements[index] = value
            value = elements
        card.put("next", base, value, function)

    def parse_value(self, card: Card, parameter: Parameter, text: str) -> int:
        """Read a value, with the words of the card's generation."""
        if not card.fourth:
            return parameter.parse(text)
        try:
            return parameter.parse(text)
        except CardError:
            raise CardError(f"Failed to parse {parameter.name}={text}") from None

    def reset(self) -> int:
        """Set the next values back to the default ones."""
        what = f"for device {self.device}" if self.device else "for all devices"
        if not self.device and not self.state["cards"]:
            print("-E- No devices found." if is_root() else "-E- Failed to get devices.")
            return ERROR
        if not self.ask(f"Reset configuration {what}?"):
            return ABORTED
        print("Applying... ", end="", flush=True)
        try:
            with locked_state() as state:
                chosen = [self.open(self.device, state)[0]] if self.device else cards(state)
                for card in chosen:
                    self.forget(card)
        except CardError as error:
            print("Failed!")
            print(f"-E- {error}")
            return ERROR
        print("Done!\n-I- Please reboot machine to load new configurations.")
        return 0

    def forget(self, card: Card) -> None:
        """Drop the next values of a card, or of the named configurations."""
        known = {parameter.tlv.upper() for parameter in card.parameters.values()}
        for tlv in self.arguments:
            if tlv not in known:
                raise CardError(f"The configuration {tlv} was not found")
        for store in (card.data, *card.data["per_function"].values()):
            store["next"] = {
                name: value for name, value in store.get("next", {}).items()
                if self.arguments and card.parameters[name].tlv.upper() not in self.arguments
            }  # fmt: skip

    # -- tables --

    def show(
        self, card: Card, function: str, device: str, number: int, wanted: list[tuple[str, Optional[str]]]
    ) -> None:
        """Print a device's table, with a column of new values for `set`."""
        setting = self.command == "set"
        columns = []
        if self.verbose and not card.data["no_current"]:
            columns = ["default"] if card.fourth else ["default", "current"]
        columns.append("next")
        if not self.json:
            self.opening(card, device, number)
            self.heading(columns, setting)
        rows = self.rows(card, function, columns, wanted)
        if self.json:
            self.write_json(card, device, number, rows, columns)
            print()
        else:
            self.print_rows(rows, setting, len(columns))
        if self.verbose and len(columns) < 3:
            missing = "default and current" if len(columns) == 1 else "current"
            print(f"Device Firmware does not support reading {missing} configurations")

    def opening(self, card: Card, device: str, number: int) -> None:
        """Print what the device is."""
        width = self.shape.label
        lines = {"Device type:": card.model.name, "Name:": card.model.part, "Description:": card.model.description}
        print(f"\nDevice #{number}:\n----------\n")
        for label, text in {**lines, "Device:": device}.items():
            if not (card.fourth and label in ("Name:", "Description:")):
                print(f"{label:<{width}}{text:<{width}}")
        print()

    def heading(self, columns: list[str], setting: bool) -> None:
        """Print the headings of the columns."""
        titles = [{"default": "Default", "current": "Current", "next": "Next Boot"}[column] for column in columns]
        shape = self.shape
        if not shape.plain:
            width = shape.value
            print(f"{'Configurations:':<56}" + " ".join(f"{title:<{width}}" for title in titles), end="")
            print(f" {'New':<{width}}" if setting else "")
            return
        widths = {3: shape.both, 2: shape.default, 1: shape.plain}[len(columns)]
        line = "".join(f"{title:>{width}}" for title, width in zip(titles, widths))
        print(f"{'Configurations:':<{shape.label}}{line}" + ("       New" if setting else ""))

    def rows(
        self, card: Card, function: str, columns: list[str], wanted: list[tuple[str, Optional[str]]]
    ) -> list[Row]:
        """Collect the rows; raise for a name or a value that cannot be."""
        if not wanted:
            return [self.row(card, function, columns, name, None) for name in card.parameters if card.supports(name)]
        for name, text in wanted:
            self.check_name(card, name, text)
        for name, text in wanted:
            base, index = split_index(name)
            whole_array = text is not None and index is None and base in card.parameters
            if not card.supports(base) or (whole_array and card.parameters[base].kind == "array"):
                kind = "Device doesn't support {} configuration" if card.fourth else None
                raise CardError((kind or "The Device doesn't support {} parameter").format(base))
            size = len(card.parameters[base].default) if index is not None else 0
            if index is not None and index >= size:
                raise CardError(f"Index {index} of the parameter {base} is out of range. Maximal index is {size - 1}")
        return [self.row(card, function, columns, name, text) for name, text in wanted]

    def check_name(self, card: Card, name: str, text: Optional[str]) -> None:
        """Raise for a name no database knows, for a read-only one and for a bad value to set."""
        base, _ = split_index(name)
        if base not in (KNOWN_FOURTH if card.fourth else KNOWN):
            if self.version >= (4, 36):
                raise CardError(f"Failed to find Param / TLV with name '{base}' port 0 module -1")
            raise CardError(f"Unknown Parameter: {base}")
        if text is None or base not in card.parameters:
            return
        if card.is_read_only(base) and not card.fourth:
            if self.version >= (4, 36):
                raise CardError(f"Operation is not supported (Read only TLV: {card.parameters[base].tlv})")
            if self.version >= (4, 25):
                raise CardError(f"The Device doesn't support {base} parameter")
        self.parse_value(card, card.parameters[base], text)

    def row(self, card: Card, function: str, columns: list[str], name: str, text: Optional[str]) -> Row:
        """Make one row."""
        base, index = split_index(name)
        parameter = card.parameters[base]
        values = [card.get(column, base, function) for column in columns]
        if index is not None:
            values = [value[index] for value in values]
            parameter = dataclasses.replace(parameter, kind="uint")
        texts = [parameter.text(value) for value in values]
        if text is not None:
            new = self.parse_value(card, parameter, text)
            plain = parameter.names or text == str(new)
            texts.append(parameter.text(new) if plain else f"{text}({new})")
        return Row(parameter, name, card.is_read_only(base), values, texts)

    def print_rows(self, rows: list[Row], setting: bool, columns: int) -> None:
        """Print the rows and the legend."""
        shape = self.shape
        hides = shape is SHAPES[(4, 25)] and not self.show_read_only
        differs = read_only = False
        for row in rows:
            if row.read_only and hides:
                continue
            star = any(value != row.values[-1] for value in row.values)
            mark = "RO" if row.read_only and shape.marks_read_only else "  "
            line = f"{'*' if star else ' '}{mark}" + " " * (5 if shape.marks_read_only else 6)
            line += f"{row.label:<{shape.name}}"
            for number, text in enumerate(row.texts):
                cell = f"{text:<{shape.value}}"
                last = number == len(row.texts) - 1
                line += cell + (" " if len(cell) >= shape.space and not last else "")
            print(line)
            differs, read_only = differs or star, read_only or row.read_only
        if differs:
            print("The '*' shows parameters with next value different from default/current value.")
        if read_only and shape.marks_read_only:
            print("\nThe 'RO' shows parameters which are for read only and cannot be changed")

    def write_json(self, card: Card, device: str, number: int, rows: list[Row], columns: list[str]) -> None:
        """Add a device to the file of -j."""
        written = json.loads(Path(self.json).read_text())
        entries: dict[str, Any] = {}
        for row in rows:
            entry: dict[str, Any] = {"read_only": row.read_only}
            if len(columns) > 1:
                entry["modified"] = any(value != row.values[-1] for value in row.values)
            for column, text in zip(columns, row.texts):
                entry[f"{column}_value"] = int(text) if text.isdigit() else text
            entries[row.label] = entry
        written[f"Device #{number}"] = {
            "description": card.model.description, "device": device, "device_type": card.model.name,
            "name": card.model.part, "tlv_configuration": entries,
        }  # fmt: skip
        Path(self.json).write_text(json.dumps(written, indent=1) + "\n")


def split_index(name: str) -> tuple[str, Optional[int]]:
    """Take the index off an array element's name."""
    match = re.fullmatch(r"(\w+)\[(\d+)\]", name)
    return (match[1], int(match[2])) if match else (name, None)


def mst_name(card: Card, function: str) -> str:
    """Return the name `mst start` gives a function."""
    number = [one.slot for one in cards(card.state) if one.model is card.model].index(card.slot)
    port = card.functions.index(function)
    return f"/dev/mst/mt{int(card.model.device, 16)}_pciconf{number}" + (f".{port}" if port else "")


def find_device(state: dict[str, Any], device: str, mft: bool) -> tuple[Card, str]:
    """Open a device by its PCI address, or with MFT by the name of `mst start`."""
    for card in cards(state) if is_root() else ():
        for function in card.functions:
            names = {function, function[5:] if function.startswith("0000:") else function}
            if mft and state["mst"] == state["boot_id"]:
                names.add(mst_name(card, function))
            if device in names and card.behave("locked-down") != "true":
                return card, function
    raise CardError("Failed to open the device")


# ---- mstfwreset, mlxfwreset and mst --------------------------------------------------------

RESET_LEVELS = {
    0: 'Driver, PCI link, network link will remain up ("live-Patch")',
    1: 'Only ARM side will not remain up ("Immediate reset").',
    3: "Driver restart and PCI reset",
    4: "Warm Reboot",
}


def step(text: str, result: str = "Done") -> None:
    """Print one step of a reset."""
    print(f"-I- {text:<40}-{result}", flush=True)


def reset_tool(name: str, arguments: list[str]) -> int:
    """Be mstfwreset or mlxfwreset."""
    if not is_root():
        print("-E- Only root user can run this tool.")
        return 1
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--device", "-d", required=True)
    parser.add_argument("--level", "-l", type=int, choices=list(RESET_LEVELS), dest="level")
    parser.add_argument("--type", "-t", type=int, choices=range(5))
    parser.add_argument("--method", "-p", type=int, choices=range(2))
    parser.add_argument("--sync", type=int, choices=range(3))
    parser.add_argument("--yes", "-y", action="store_true")
    parser.add_argument("--skip_driver", "-s", action="store_true")
    parser.add_argument("--skip_fsm_sync", action="store_true")
    parser.add_argument("--no_mst_restart", action="store_true")
    parser.add_argument("--version", "-v", action="version", version=f"{name}, mstflint, Git SHA Hash: N/A")
    parser.add_argument("command", choices=["q", "query", "r", "reset", "reset_fsm_register"])
    options = parser.parse_args(arguments)
    try:
        return do_reset(name, options)
    except CardError as error:
        print(f"-E- {error}.")
        return 1


def do_reset(name: str, options: argparse.Namespace) -> int:
    """Query, or load the next configuration into all ports of a card.

    The real tool refuses every reset on a virtual machine (it reads lscpu); this one cannot.
    """
    state = snapshot()
    try:
        card, _ = find_device(state, options.device, mft=name == "mlxfwreset")
    except CardError:
        raise CardError(f"Failed to Identify Device: {options.device}, mopen: No such file or directory") from None
    if card.fourth:
        raise CardError(f"Unsupported Device: {options.device} (ConnectX3)")
    if card.behave("livefish") == "true":
        raise CardError(f"{name} is not supported for device in Flash Recovery mode")
    print()
    supported = {4} if card.behave("reset") == "power-cycle" else {3, 4}
    if options.command in ("q", "query"):
        print_reset_levels(supported)
        return 0
    if options.command == "reset_fsm_register":
        print("-I- FSM register was reset successfully.")
        return 0
    level = min(supported) if options.level is None else options.level
    if level not in supported:
        raise CardError(f"Reset-level '{level}' is not supported in the current state of this device")
    print(f"The reset level for device, {options.device} is:\n\n{level}: {RESET_LEVELS[level]}")
    print("Continue with reset?[y/N] ", end="", flush=True)
    if options.yes:
        print("y")
    elif sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CardError("Aborted by user")
    # The real tool without --skip_driver writes 0 to sriov_numvfs of functions 0 and 1 itself and
    # fails with this text when VFs stay (mlxfwreset_mlnxdriver.py, MlnxDriverLinux); with
    # --skip_driver it does not look, and the reset takes the ground from under the VFs. Here no
    # one may depend on either: any VF of any port is refused.
    if any(real_vfs(function) for function in card.functions):
        raise CardError(
            "Reset virtual functions failed! Please reset virtual functions manually and resume operation"
        )
    print("-I- Sending Reset Command To Fw             -", end="", flush=True)
    if card.behave("reset") == "refused":
        print("Failed")
        raise CardError(f"Failed to send MFRL! reset-level {level} is not supported!")
    print("Done", flush=True)
    if level == 4:
        step("Sending reboot command to machine")
        command(["systemctl", "reboot"])
        return 0
    reset_card(card, options.skip_driver)
    print("-I- FW was loaded successfully.")
    return 0


def print_reset_levels(supported: set[int]) -> None:
    """Print what can be reset and how."""
    print("Reset-levels:")
    for level, text in RESET_LEVELS.items():
        word = "Supported" if level in supported else "Not Supported"
        print(f"{level}: {text:<62}-{word:<14}{'(default)' if level == min(supported) else ''}")
    print("\nReset-types (relevant only for reset-levels 1,3,4):")
    print(f"0: {'Full chip reset':<62}-{'Supported':<14}(default)")
    print(f"1: {'Phy-less reset (keep network port active during reset)':<62}-{'Not Supported':<14}")
    print(f"2: {'NIC only reset (for SoC devices)':<62}-{'Not Supported':<14}\n")
    print("Reset-sync (relevant only for reset-level 3):")
    print(f"0: {'Tool is the owner':<62}-{'Supported':<14}(default)")
    print(f"1: {'Driver is the owner':<62}-{'Not supported':<14}")


def reset_card(card: Card, skip_driver: bool) -> None:
    """Take the functions' interfaces away, load the next configuration and give them back."""
    if not skip_driver:
        step("Stopping Driver")
    bound = [function for function in card.functions if write(PCI / "drivers/igb/unbind", function)]
    with locked_state() as state:
        Card(state, card.slot).promote()
        for function in card.functions:
            restore(function)
    time.sleep(0 if TEST_ROOT else 1)
    step("Resetting PCI")
    for function in bound:
        write(PCI / "drivers/igb/bind", function)
    apply_identity(Card(snapshot(), card.slot))
    if not skip_driver:
        step("Starting Driver")


def mst_tool(arguments: list[str]) -> int:
    """Be `mst`."""
    action = arguments[0] if arguments else "help"
    if action not in ("start", "stop", "restart", "status"):
        print("Usage:\n    mst {start|stop|status|restart} [options]")
        return 0 if action in ("help", "-h", "--help") else 1
    if not is_root():
        print("-E- You must be root to use mst tool")
        return 1
    if action == "status":
        return mst_status(snapshot())
    with locked_state() as state:
        state["mst"] = "" if action == "stop" else state["boot_id"]
        state = copy.deepcopy(state)
    folder = ROOT / "dev/mst"
    shutil.rmtree(folder, ignore_errors=True)
    if action == "stop":
        print("Stopping MST (Mellanox Software Tools) driver set")
        return 0
    folder.mkdir(parents=True)
    for card in cards(state):
        for function in card.functions:
            (ROOT / mst_name(card, function)[1:]).touch()
    print("Starting MST (Mellanox Software Tools) driver set")
    print("Loading MST PCI module - Success\nLoading MST PCI configuration module - Success")
    print("Create devices\nUnloading MST PCI module (unused) - Success")
    return 0


def mst_status(state: dict[str, Any]) -> int:
    """Print the modules and the devices."""
    started = state["mst"] == state["boot_id"]
    print("MST modules:\n------------\n    MST PCI module is not loaded")
    print(f"    MST PCI configuration module {'loaded' if started else 'is not loaded'}\n")
    print("MST devices:\n------------" if started else "PCI Devices:\n------------\n")
    for card in cards(state):
        for function in card.functions:
            if not started:
                print(f"{function}\n")
                continue
            print(f"{mst_name(card, function):<32} - PCI configuration cycles access.")
            print(" " * 35 + f"domain:bus:dev.fn={function} addr.reg=88 data.reg=92 cr_bar.gw_offset=-1")
            print(" " * 35 + "Chip revision is: 00")
    return 0 if started else 1


# ---- Identity in sysfs ---------------------------------------------------------------------


def command(arguments: list[str], check: bool = False) -> bool:
    """Run a command; tell whether it worked."""
    if TEST_ROOT:
        with (ROOT / "commands").open("a") as log:
            log.write(shlex.join(arguments) + "\n")
        return True
    result = subprocess.run(arguments, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if check and result.returncode:
        raise ControlError(f"{shlex.join(arguments)}: {result.stderr.strip()}")
    return result.returncode == 0


def write(path: Path, text: str) -> bool:
    """Write to a file of the kernel; tell whether it took it."""
    try:
        path.write_text(text)
    except OSError:
        return False
    return True


def say_to_kernel_log(function: str, text: str) -> None:
    """Put a driver's message where `dmesg` finds it."""
    write(ROOT / "dev/kmsg", f"<3>mlx4_core {function}: {text}\n")


def device_folder(function: str) -> Path:
    """Return the real folder of a function in sysfs."""
    return (PCI / "devices" / function).resolve()


def second_view(function: str) -> Path:
    """Return a function's folder in a sysfs without our mounts."""
    if TEST_ROOT:
        return device_folder(function)
    view = RUN / "sys"
    view.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(view):
        command(["mount", "-t", "sysfs", "sysfs", str(view)], check=True)
        command(["mount", "--make-private", str(view)])
    return view / device_folder(function).relative_to("/sys")


def real_vfs(function: str) -> int:
    """Return how many VFs a function really has."""
    try:
        return int((second_view(function) / "sriov_numvfs").read_text())
    except (OSError, ValueError):
        return 0


def mount_points(below: Path) -> list[str]:
    """Return the mount points at and below a folder, the last one first."""
    if TEST_ROOT:
        return []
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().split("\n") if line]
    return [point for point in reversed(points) if point == str(below) or point.startswith(f"{below}/")]


def restore(function: str) -> None:
    """Show a function as it is."""
    folder = device_folder(function)
    for point in mount_points(folder):
        command(["umount", "--lazy", point])
    mirror = RUN / "mirror" / function
    for point in mount_points(mirror):
        command(["umount", "--lazy", point])
    shutil.rmtree(mirror, ignore_errors=True)


def cover(target: Path, source: Path, text: str) -> None:
    """Mount a file with this text over a file, read-only."""
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(f"{text}\n")
    source.chmod(0o444)
    command(["mount", "--bind", str(source), str(target)], check=True)
    command(["mount", "-o", "remount,bind,ro", str(target)], check=True)


def apply_identity(card: Card) -> None:
    """Show all functions of a card as the card's ports."""
    for function in card.functions:
        if not device_folder(function).exists():
            print(f"rig-card: there is no {function}", file=sys.stderr)
            continue
        restore(function)
        if card.fourth:
            apply_fourth(card, function)
            continue
        total = card.total_vfs(function)
        files = {
            "vendor": "0x15b3", "device": card.model.device, "subsystem_vendor": "0x15b3",
            "subsystem_device": "0x0080", "sriov_totalvfs": str(total),
        }  # fmt: skip
        if total == 0:
            files["sriov_numvfs"] = "0"
        for name, text in files.items():
            cover(device_folder(function) / name, RUN / "files" / function / name, text)


# ---- ConnectX-3: its driver makes the VFs --------------------------------------------------


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
            options.update(word.split("=", 1) for word in words[2:] if "=" in word)
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


def probe_fourth(card: Card, function: str, options: dict[str, str]) -> Probe:
    """Decide as drivers/net/ethernet/mellanox/mlx4/main.c does.

    One number means VFs with both ports; two mean VFs of port 1 and 2; three port 1, 2 and both.
    """
    driver = card.behave("driver")
    try:
        asked = vf_numbers(options.get("num_vfs", ""), driver, function)
        wanted = vf_numbers(options.get("probe_vf", ""), driver, function)
        types = numbers(options.get("port_type_array", "0,0"), ",", 2)
    except ValueError as error:
        return Probe(bound=False, message=f"invalid value for a parameter: {error}")
    places = {0: [], 1: [2], 2: [0, 1], 3: [0, 1, 2]}
    vfs, probes = [0, 0, 0], [0, 0, 0]
    for place, number in zip(places[len(asked)], asked):
        vfs[place] = number
    for place, number in zip(places[len(wanted)], wanted):
        probes[place] = number
    if any(probe > number for probe, number in zip(probes, vfs)):
        return Probe(
            bound=False, message="probe_vf module parameter cannot be negative or greater than num_vfs"
        )
    total = sum(vfs)
    if total > 126:
        return Probe(bound=False, message=f"Requested more VF's ({total}) than allowed by hw (126)")
    for port in (0, 1):
        if vfs[port] + vfs[2] >= 64:
            asked_here = vfs[port] + vfs[2]
            text = f"Requested more VF's ({asked_here}) for port ({port + 1}) than allowed by driver (63)"
            return Probe(bound=False, message=text)
    types = (types + [0, 0])[:2]
    ethernet = [
        kind == 2 or (kind == 0 and card.get("current", f"LINK_TYPE_P{port}") == 2)
        for port, kind in enumerate(types, 1)
    ]
    if not all(ethernet) and (len(asked) > 1 or len(wanted) > 1):
        text = "Invalid syntax of num_vfs/probe_vfs with IB port - single port VFs syntax is only supported when all "
        return Probe(bound=False, message=text + "ports are configured as ethernet")
    offered = card.total_vfs(function)
    if total > offered:
        # As in the kernel this is no error of the probe: the driver stays, without a VF.
        return Probe(message=f"requested vfs ({total}) > available vfs ({offered}). Continuing without SR_IOV")
    return Probe(total, sum(probes))


def load_module(card: Card, options: dict[str, str]) -> bool:
    """Load the real mlx4_core, which finds no card, with the very options of the initramfs."""
    words = [f"{name}={value}" for name, value in sorted(options.items())]
    if card.behave("driver") == "inbox":
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


def apply_fourth(card: Card, function: str) -> None:
    """Mount a folder that looks like a ConnectX-3's over the function's."""
    probe = start_fourth(card, function)
    view = second_view(function)
    mirror = RUN / "mirror" / function
    mirror.mkdir(parents=True)
    total = card.total_vfs(function)
    ours = {
        "vendor": "0x15b3", "device": card.model.device, "subsystem_vendor": "0x15b3", "subsystem_device": "0x0055",
        "sriov_numvfs": str(probe.vfs), "sriov_totalvfs": str(total), "driver": "",
    }  # fmt: skip
    if probe.bound:
        ours.update(mlx4_port1="eth", mlx4_port2="eth")
    if not total:
        del ours["sriov_totalvfs"]
    for entry in sorted(view.iterdir()):
        if entry.name in (*ours, "sriov_totalvfs"):
            continue
        mirror_entry(entry, mirror / entry.name)
    for name, text in ours.items():
        if name != "driver":
            (mirror / name).write_text(f"{text}\n")
            (mirror / name).chmod(0o444)
    if probe.bound:
        up = "../" * (len(device_folder(function).relative_to(ROOT / "sys").parts))
        (mirror / "driver").symlink_to(f"{up}bus/pci/drivers/mlx4_core")
    command(["mount", "--rbind", str(mirror), str(device_folder(function))], check=True)
    for name in ours:
        if (mirror / name).is_file():
            target = str(device_folder(function) / name)
            command(["mount", "--bind", target, target], check=True)
            command(["mount", "-o", "remount,bind,ro", target], check=True)


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


# ---- rig-card ------------------------------------------------------------------------------


def chosen_card(state: dict[str, Any], slot: str) -> Card:
    """Return the card of --card, or the only one."""
    slots = sorted(state["cards"])
    if not slot and len(slots) != 1:
        raise ControlError(f"which card? {' '.join(slots) or 'there is none'}")
    slot = re.sub(r"\.\d$", "", slot or slots[0])
    if slot not in state["cards"]:
        raise ControlError(f"there is no card at {slot}")
    return Card(state, slot)


def control_add(options: argparse.Namespace) -> None:
    """Make functions the ports of one card."""
    slots = {function.rpartition(".")[0] for function in options.functions}
    if len(slots) != 1 or not all(re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]", one)
                                  for one in options.functions):  # fmt: skip
        raise ControlError("a card's functions are full PCI addresses of one slot")
    slot = slots.pop()
    with locked_state() as state:
        if options.version:
            state["behave"]["version"] = options.version
        state["cards"][slot] = {
            "type": options.type, "functions": sorted(options.functions), "no_current": options.no_current,
            "behave": {}, "current": {}, "next": {}, "per_function": {},
        }  # fmt: skip
    if options.type == "connectx3":
        prepare_initramfs()
    apply_identity(Card(snapshot(), slot))


def control_values(options: argparse.Namespace) -> None:
    """Change next values, or next and current ones, as somebody else had."""
    with locked_state() as state:
        card = chosen_card(state, options.card)
        for assignment in options.values:
            name, _, text = assignment.partition("=")
            base, index = split_index(name)
            if base not in card.parameters:
                raise ControlError(f"the card has no {base}")
            value: Value = card.parameters[base].parse(text)
            if index is not None:
                value = [value if number == index else old for number, old in enumerate(card.get("next", base))]
            function = options.card if options.card in card.functions else ""
            for one in [function] if function else card.functions:
                for column in ("next", "current") if options.action == "current" else ("next",):
                    card.put(column, base, value, one)
        slot = card.slot
    if options.action == "current":
        apply_identity(Card(snapshot(), slot))


def control_behave(options: argparse.Namespace) -> None:
    """Change how the cards, or one card, behave."""
    with locked_state() as state:
        for setting in options.settings:
            key, _, value = setting.partition("=")
            if key not in BEHAVIOUR or value not in CHOICES.get(key, (value,)):
                raise ControlError(f"not a behaviour: {setting}; there are {' '.join(sorted(BEHAVIOUR))}")
            if options.card and key in ("version", "delay"):
                raise ControlError(f"{key} is the tools', not one card's")
            store = chosen_card(state, options.card).data["behave"] if options.card else state["behave"]
            store[key] = value
            if key == "driver":
                link(SBIN / "modinfo", present=value == "ofed")


def control_show(options: argparse.Namespace) -> None:
    """Print the state, or the three values of one parameter, as JSON."""
    state = snapshot()
    if not options.name:
        print(json.dumps(state, indent=1, sort_keys=True))
        return
    card = chosen_card(state, options.card)
    if options.name not in card.parameters:
        raise ControlError(f"the card has no {options.name}")
    function = options.card if options.card in card.functions else card.functions[0]
    print(json.dumps({column: card.get(column, options.name, function) for column in ("default", "current", "next")}))


def control_boot(_: argparse.Namespace) -> None:
    """Give every card its identity at boot."""
    for card in cards(snapshot()):
        apply_identity(card)


def control_off(_: argparse.Namespace) -> None:
    """Show every function as it is."""
    for card in cards(snapshot()):
        for function in card.functions:
            restore(function)
    for point in mount_points(ROOT / "sys/module/mlx4_core"):
        command(["umount", "--lazy", point])


def control_clear_log(_: argparse.Namespace) -> None:
    """Forget the calls."""
    (LIBRARY / "log").write_text("")


def link(path: Path, present: bool) -> None:
    """Make or remove a name of this program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    if present:
        path.symlink_to("rig-card")


def control_install(options: argparse.Namespace) -> None:
    """Install this program, its names and its unit."""
    here = Path(__file__).resolve()
    SBIN.mkdir(parents=True, exist_ok=True)
    LIBRARY.mkdir(parents=True, exist_ok=True)
    program = SBIN / "rig-card"
    if here != program:
        shutil.copyfile(here, program)
        program.chmod(0o755)
        units = ROOT / "etc/systemd/system"
        units.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(here.with_name("rig-card.service"), units / "rig-card.service")
    for family, names in TOOLS.items():
        for name in names:
            link(SBIN / name, present=options.tools in (family, "both"))
    command(["systemctl", "daemon-reload"], check=True)
    command(["systemctl", "enable", "rig-card.service"], check=True)


def control(arguments: list[str]) -> int:
    """Be rig-card."""
    parser = argparse.ArgumentParser(prog="rig-card", description=control.__doc__)
    actions = parser.add_subparsers(dest="action", required=True)

    install = actions.add_parser("install", help=control_install.__doc__)
    install.add_argument("--tools", choices=["mst", "mft", "both"], default="both")
    add = actions.add_parser("add", help=control_add.__doc__)
    add.add_argument("--type", choices=sorted(MODELS), default="connectx5")
    add.add_argument("--version", default="", help="version of the tools")
    add.add_argument("--no-current", action="store_true", help="firmware that can read next values only")
    add.add_argument("functions", nargs="+", metavar="FUNCTION")
    for name in ("next", "current"):
        values = actions.add_parser(name, help=control_values.__doc__)
        values.add_argument("values", nargs="+", metavar="NAME=VALUE")
        values.add_argument("--card", default="", help="slot, or a function for values of one function")
    behave = actions.add_parser("behave", help=control_behave.__doc__)
    behave.add_argument("settings", nargs="+", metavar="KEY=VALUE")
    behave.add_argument("--card", default="")
    show = actions.add_parser("show", help=control_show.__doc__)
    show.add_argument("name", nargs="?", default="")
    show.add_argument("--card", default="")
    for name, function in (("boot", control_boot), ("off", control_off), ("clear-log", control_clear_log)):
        actions.add_parser(name, help=function.__doc__)

    options = parser.parse_args(arguments)
    handlers = {
        "install": control_install, "add": control_add, "next": control_values, "current": control_values,
        "behave": control_behave, "show": control_show, "boot": control_boot, "off": control_off,
        "clear-log": control_clear_log,
    }  # fmt: skip
    try:
        handlers[options.action](options)
    except (ControlError, CardError) as error:
        print(f"rig-card: {error}", file=sys.stderr)
        return 1
    return 0


def main(name: str, arguments: list[str]) -> int:
    """Be the tool of this name."""
    if name == "modinfo":
        modinfo(arguments)
    if name in ("mstconfig", "mlxconfig", "mstfwreset", "mlxfwreset", "mst"):
        log_call(name, arguments)
    if name in ("mstconfig", "mlxconfig"):
        return ConfigTool(name).run(arguments)
    if name in ("mstfwreset", "mlxfwreset"):
        return reset_tool(name, arguments)
    if name == "mst":
        return mst_tool(arguments)
    return control(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[0]).name, sys.argv[1:]))
