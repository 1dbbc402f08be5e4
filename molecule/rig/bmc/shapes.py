"""What vendors' BMCs show of a BIOS: written by hand, with the differences that have to be coped with.

A shape is plain data: where its resources are, the BIOS settings it starts with, and the registry of these.
"""

from __future__ import annotations

import dataclasses
from typing import Any

ENABLED = ("Enabled", "Disabled")


@dataclasses.dataclass(frozen=True)
class Shape:
    """One vendor's BMC.

    pending: how the settings object shows what is pending: `sparse`, `full` (every setting), or `absent` (no Attributes
    when nothing is). registry: {name: entry}; listed: the id under which the registry is found; named: its name in the
    resource Bios.
    """

    vendor: str | None
    oem: str | None
    maker: str
    model: str
    systems: tuple[str, ...]
    settings: str
    pending: str
    attributes: dict[str, Any]
    registry: dict[str, dict[str, Any]]
    named: str
    listed: str
    registry_uri: str
    apply_times: tuple[str, ...] = ()
    etag: bool = False
    slash: str = ""
    dependencies: tuple[dict[str, Any], ...] = ()
    manager: str = "1"
    identity: str = "plain"


def choice(*values: str) -> dict[str, Any]:
    """A setting with names as values."""
    return {"Type": "Enumeration", "Value": [{"ValueName": value, "ValueDisplayName": value} for value in values]}


def coded(*values: str) -> dict[str, Any]:
    """A setting whose values have codes in the registry, and whose attribute holds the name that is displayed."""
    pairs = [{"ValueName": str(code), "ValueDisplayName": value} for code, value in enumerate(values)]
    return {"Type": "Enumeration", "Value": pairs}


def number(low: int, high: int) -> dict[str, Any]:
    """A setting that is a number."""
    return {"Type": "Integer", "LowerBound": low, "UpperBound": high}


def read_only_in_profile(name: str, profile: str) -> dict[str, Any]:
    """HPE: a profile that decides a setting."""
    source = {
        "MapFromAttribute": "WorkloadProfile",
        "MapFromCondition": "EQU",
        "MapFromProperty": "CurrentValue",
        "MapFromValue": profile,
    }
    target = {"MapToAttribute": name, "MapToProperty": "ReadOnly", "MapToValue": True}
    return {"DependencyFor": name, "Type": "Map", "Dependency": {"MapFrom": [source], **target}}


DELL = Shape(
    vendor="Dell",
    oem="Dell",
    maker="Dell Inc.",
    model="PowerEdge",
    systems=("System.Embedded.1",),
    settings="Settings",
    pending="sparse",
    attributes={
        "ProcVirtualization": "Disabled",
        "SriovGlobalEnable": "Disabled",
        "LogicalProc": "Enabled",
        "MmioAbove4Gb": "Disabled",
        "AcPwrRcvryUserDelay": 120,
        "SetupPassword": None,
    },
    registry={
        "ProcVirtualization": choice(*ENABLED),
        "SriovGlobalEnable": choice(*ENABLED),
        "LogicalProc": choice(*ENABLED),
        "MmioAbove4Gb": choice(*ENABLED),
        "AcPwrRcvryUserDelay": number(60, 600),
        "SetupPassword": {"Type": "Password"},
    },
    named="BiosAttributeRegistry.v1_0_3",
    listed="BiosAttributeRegistry.v1_0_0",
    registry_uri="/redfish/v1/Systems/System.Embedded.1/Bios/BiosRegistry",
    apply_times=("OnReset", "AtMaintenanceWindowStart", "InMaintenanceWindowOnReset"),
    manager="iDRAC.Embedded.1",
    identity="service tag",
)

HPE = Shape(
    vendor="HPE",
    oem="Hpe",
    maker="HPE",
    model="ProLiant",
    systems=("1",),
    settings="settings",
    pending="full",
    attributes={
        "WorkloadProfile": "GeneralPowerEfficientCompute",
        "Sriov": "Disabled",
        "ProcAmdIoVt": "Disabled",
        "PciResourcePadding": "Normal",
        "AdminName": "",
    },
    registry={
        "WorkloadProfile": choice(
            "GeneralPowerEfficientCompute", "I/OThroughput", "Virtualization-MaxPerformance", "Custom"
        ),
        "Sriov": choice(*ENABLED),
        "ProcAmdIoVt": choice(*ENABLED),
        "PciResourcePadding": choice("Normal", "Medium", "High"),
        "AdminName": {"Type": "String"},
    },
    named="BiosAttributeRegistryA42.v1_2_60",
    listed="BiosAttributeRegistryA42.v1_2_60",
    registry_uri="/redfish/v1/registrystore/registries/en/biosattributeregistrya42.v1_2_60/",
    etag=True,
    slash="/",
    dependencies=(read_only_in_profile("Sriov", "I/OThroughput"),),
)

LENOVO = Shape(
    vendor="Lenovo",
    oem="Lenovo",
    maker="Lenovo",
    model="ThinkSystem",
    systems=("1",),
    settings="Pending",
    pending="full",
    attributes={
        "DevicesandIOPorts_SRIOV": "Disabled",
        "DevicesandIOPorts_IntelVTforDirectedIOVTd": "Disabled",
        "Processors_IntelVirtualizationTechnology": "Enabled",
        "DevicesandIOPorts_PCI64BitResourceAllocation": "Auto",
    },
    registry={
        "DevicesandIOPorts_SRIOV": choice(*ENABLED),
        "DevicesandIOPorts_IntelVTforDirectedIOVTd": choice(*ENABLED),
        "Processors_IntelVirtualizationTechnology": choice(*ENABLED),
        "DevicesandIOPorts_PCI64BitResourceAllocation": choice("Auto", "Enable", "Disable"),
    },
    named="BiosAttributeRegistry.1.0.0",
    listed="BiosAttributeRegistry.1.0.0",
    registry_uri="/redfish/v1/Registries/BiosAttributeRegistry.1.0.0/file",
    apply_times=("OnReset",),
    etag=True,
)

SUPERMICRO = Shape(
    vendor=None,
    oem="Supermicro",
    maker="Supermicro",
    model="SYS-X13",
    systems=("1",),
    settings="SD",
    pending="absent",
    attributes={
        "SR_IOVSupport_0047": "Disabled",
        "IntelVTforDirectedI_O_VT_d__1E32": "Disable",
        "IntelVirtualizationTechnology_3C6F": "Enable",
        "Above4GDecoding_0041": "Enabled",
        "ARISupport_0049": "Disabled",
        "PortEnable_0A01": True,
        "PortEnable_0A02": True,
    },
    registry={
        "SR_IOVSupport_0047": coded("Disabled", "Enabled"),
        "IntelVTforDirectedI_O_VT_d__1E32": coded("Disable", "Enable"),
        "IntelVirtualizationTechnology_3C6F": coded("Disable", "Enable"),
        "Above4GDecoding_0041": coded("Disabled", "Enabled"),
        "ARISupport_0049": coded("Disabled", "Enabled"),
        "PortEnable_0A01": {"Type": "Boolean"},
        "PortEnable_0A02": {"Type": "Boolean"},
    },
    named="BiosAttributeRegistry.v1_0_0",
    listed="BiosAttributeRegistry",
    registry_uri="/registries/BiosAttributeRegistry.v1_0_0.json",
    etag=True,
    identity="swapped",
)

# Two systems, as where a board with processors and one with GPUs share a BMC.
DGX = Shape(
    vendor="AMI",
    oem="Ami",
    maker="NVIDIA",
    model="DGX",
    systems=("DGX", "HGX_Baseboard_0"),
    settings="SD",
    pending="full",
    attributes={
        "SRIOVEnable": "Disable",
        "SriovSupport": "Disabled",
        "VTdSupport": "Enable",
        "ProcessorVmxEnable": "Enable",
    },
    registry={
        "SRIOVEnable": choice("Enable", "Disable"),
        "SriovSupport": choice(*ENABLED),
        "VTdSupport": choice("Enable", "Disable"),
        "ProcessorVmxEnable": choice("Enable", "Disable"),
    },
    named="BiosAttributeRegistry.1.0.0",
    listed="BiosAttributeRegistry.1.0.0",
    registry_uri="/redfish/v1/Registries/BiosAttributeRegistry.en-US.json",
)

SHAPES = {"dell": DELL, "hpe": HPE, "lenovo": LENOVO, "supermicro": SUPERMICRO, "dgx": DGX}
