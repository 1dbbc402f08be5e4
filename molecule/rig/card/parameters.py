"""What cards there are, and the parameters of their firmware."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from guest import CardError

Value = Any  # int, or a list of int for an array


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
    needs: tuple[str, int] | None = None

    def text(self, value: Value | None) -> str:
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


def parse_number(text: str) -> int | None:
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
        "0x1015",
        "ConnectX4LX",
        "MCX4121A-ACA_Ax",
        "ConnectX-4 Lx EN network interface card; 25GbE dual-port SFP28; PCIe3.0 x8; ROHS R6",
        FIFTH,
    ),
    "connectx5": Model(
        "0x1017",
        "ConnectX5",
        "MCX512A-ACA_Ax_Bx",
        "ConnectX-5 EN network interface card; 10/25GbE dual-port SFP28; PCIe3.0 x8; tall bracket; ROHS R6",
        FIFTH,
    ),
    "connectx6dx": Model(
        "0x101d",
        "ConnectX6DX",
        "MCX623106AN-CDA_Ax",
        "ConnectX-6 Dx EN adapter card; 100GbE; Dual-port QSFP56; PCIe 4.0 x16; No Crypto",
        FIFTH + ADAPTER_6,
    ),
    "bluefield2": Model(
        "0xa2d6",
        "BlueField2",
        "MBF2H332A-AEEO_Ax_Bx",
        "BlueField-2 P-Series DPU 25GbE Dual-Port SFP56; PCIe Gen4 x8; Crypto Enabled; 16GB on-board DDR; FHHL",
        FIFTH + ADAPTER_6 + BLUEFIELD,
    ),
}


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
            name,
            kind.split(":")[0],
            value,
            tlv,
            names,
            bits,
            "pf" in marks,
            "ro" in marks,
            (needs[0], int(needs[1])) if needs else None,
        )
        if "@" not in name:
            found[name] = parameter
        for port in range(1, ports + 1) if "@" in name else ():
            found[name.replace("@", str(port))] = dataclasses.replace(parameter, name=name.replace("@", str(port)))
    return found


# Every name in the tool's own database, also those that the device does not support.
KNOWN = {name for model in MODELS.values() for name in read_parameters(model.parameters, 2)} - set(
    read_parameters(FOURTH, 2)
) | set(read_parameters(FIFTH + ADAPTER_6 + BLUEFIELD, 2))
KNOWN_FOURTH = set(read_parameters(FOURTH, 2)) | {"INT_LOG_MAX_PAYLOAD_SIZE", "PORT_OWNER", "ALLOW_RD_COUNTERS"}


def split_index(name: str) -> tuple[str, int | None]:
    """Take the index off an array element's name."""
    match = re.fullmatch(r"(\w+)\[(\d+)\]", name)
    return (match[1], int(match[2])) if match else (name, None)
