"""What cards there are, and the parameters of their firmware."""

from __future__ import annotations

import dataclasses

from guest import CardError


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of the firmware."""

    name: str
    default: int
    # The names of its values; without them it is a number.
    names: dict[int, str] = dataclasses.field(default_factory=dict)

    def text(self, value: int) -> str:
        """Write a value as the tools do."""
        return f"{self.names[value]}({value})" if value in self.names else str(value)

    def parse(self, text: str) -> int:
        """Read a decimal number, which is all that the tests write; raise for any other text."""
        if not text.isdecimal():
            raise CardError("Cannot parse the value")
        if self.names and int(text) not in self.names:
            raise CardError(f"Unknown value {text}")
        return int(text)


@dataclasses.dataclass(frozen=True)
class Model:
    """One kind of card, with those of its parameters that the role reads in the scenarios."""

    device: str
    name: str
    part: str
    description: str
    parameters: tuple[Parameter, ...]


SWITCH = {0: "False", 1: "True"}
LINK_TYPES = {1: "IB", 2: "ETH", 3: "VPI"}
OWNERS = {0: "ECPF", 1: "EXT_HOST_PF"}
# Names and types are those of mlxconfig_host.db, and for ConnectX-3 those of mlxcfg_4thgen_commander.cpp.
FOURTH = (
    Parameter("SRIOV_EN", 0, SWITCH),
    Parameter("NUM_OF_VFS", 8),
    Parameter("LINK_TYPE_P1", 3, LINK_TYPES),
    Parameter("LINK_TYPE_P2", 3, LINK_TYPES),
)
FIFTH = (Parameter("PF_NUM_OF_VF_VALID", 0, SWITCH), Parameter("NUM_OF_VFS", 0), Parameter("SRIOV_EN", 0, SWITCH))
BLUEFIELD = (
    Parameter("INTERNAL_CPU_MODEL", 1, {0: "SEPARATED_HOST", 1: "EMBEDDED_CPU"}),
    Parameter("INTERNAL_CPU_PAGE_SUPPLIER", 0, OWNERS),
    Parameter("INTERNAL_CPU_ESWITCH_MANAGER", 0, OWNERS),
    Parameter("INTERNAL_CPU_IB_VPORT0", 0, OWNERS),
    Parameter("INTERNAL_CPU_OFFLOAD_ENGINE", 0, {0: "ENABLED", 1: "DISABLED"}),
)
MODELS = {
    "connectx3": Model("0x1003", "ConnectX3", "", "", FOURTH),
    "connectx5": Model(
        "0x1017",
        "ConnectX5",
        "MCX512A-ACA_Ax_Bx",
        "ConnectX-5 EN network interface card; 10/25GbE dual-port SFP28; PCIe3.0 x8; tall bracket; ROHS R6",
        FIFTH,
    ),
    "bluefield2": Model(
        "0xa2d6",
        "BlueField2",
        "MBF2H332A-AEEO_Ax_Bx",
        "BlueField-2 P-Series DPU 25GbE Dual-Port SFP56; PCIe Gen4 x8; Crypto Enabled; 16GB on-board DDR; FHHL",
        FIFTH + BLUEFIELD,
    ),
}
