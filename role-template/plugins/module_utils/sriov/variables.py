# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables, for check.py.

Made from generator/model/sriov.ts: change that, then `UPDATE=1 npx mocha -g "the pages"`.
"""

from __future__ import annotations

VARIABLES = {
    "sriov_devices": {
        "type": "list",
        "elements": {
            "type": "dict",
            "fields": {
                "name": {
                    "type": "str"
                },
                "address": {
                    "type": "raw"
                },
                "mac": {
                    "type": "raw"
                },
                "vendor_id": {
                    "type": "raw"
                },
                "product_id": {
                    "type": "raw"
                },
                "driver": {
                    "type": "str"
                },
                "numvfs": {
                    "type": "int",
                    "minimum": 0,
                    "maximum": 65535
                },
                "numvfs_driver": {
                    "type": "str",
                    "choices": [
                        "systemd",
                        "udev"
                    ]
                },
                "numvfs_required_by": {
                    "type": "list",
                    "elements": {
                        "type": "str"
                    }
                },
                "firmware": {
                    "type": "map",
                    "minimum": 0,
                    "maximum": 4294967294
                },
                "probe_vf": {
                    "type": "int",
                    "minimum": 0,
                    "maximum": 65535
                },
                "up": {
                    "type": "bool"
                },
                "drivers_autoprobe": {
                    "type": "bool"
                },
                "vfs": {
                    "type": "list",
                    "elements": {
                        "type": "dict",
                        "fields": {
                            "vf": {
                                "type": "raw",
                                "also": [
                                    "int"
                                ]
                            },
                            "mac": {
                                "type": "raw"
                            },
                            "vlan": {
                                "type": "int",
                                "minimum": 0,
                                "maximum": 4094
                            },
                            "qos": {
                                "type": "int",
                                "minimum": 0,
                                "maximum": 7
                            },
                            "vlan_proto": {
                                "type": "str",
                                "choices": [
                                    "802.1q",
                                    "802.1ad"
                                ]
                            },
                            "spoofchk": {
                                "type": "bool"
                            },
                            "trust": {
                                "type": "bool"
                            },
                            "link_state": {
                                "type": "str",
                                "choices": [
                                    "auto",
                                    "enable",
                                    "disable"
                                ]
                            },
                            "node_guid": {
                                "type": "raw"
                            },
                            "port_guid": {
                                "type": "raw"
                            },
                            "driver": {
                                "type": "str"
                            },
                            "managed_by_network": {
                                "type": "bool"
                            }
                        }
                    }
                },
                "on_boot_configuration_enabled": {
                    "type": "bool"
                },
                "optional": {
                    "type": "bool"
                },
                "expect": {
                    "type": "int",
                    "minimum": 1,
                    "maximum": 65535
                },
                "physical_network": {
                    "type": "str"
                },
                "exclude_vfs": {
                    "type": "list",
                    "elements": {
                        "type": "str"
                    }
                },
                "nova": {
                    "type": "dict",
                    "fields": {
                        "devname": {
                            "type": "str"
                        },
                        "address": {
                            "type": "raw",
                            "also": [
                                "map",
                                "list"
                            ]
                        },
                        "vendor_id": {
                            "type": "raw"
                        },
                        "product_id": {
                            "type": "raw"
                        },
                        "trusted": {
                            "type": "bool",
                            "since": "Rocky"
                        },
                        "remote_managed": {
                            "type": "bool",
                            "since": "Yoga"
                        },
                        "managed": {
                            "type": "bool",
                            "since": "2025.1"
                        },
                        "live_migratable": {
                            "type": "bool",
                            "since": "2025.1"
                        },
                        "one_time_use": {
                            "type": "bool",
                            "since": "2025.2"
                        },
                        "resource_class": {
                            "type": "str",
                            "since": "Zed"
                        },
                        "traits": {
                            "type": "raw",
                            "also": [
                                "list"
                            ],
                            "since": "Zed"
                        }
                    }
                }
            }
        }
    },
    "sriov_physnet_mappings": {
        "type": "map"
    },
    "sriov_openstack_release": {
        "type": "str"
    },
    "sriov_numvfs": {
        "type": "int",
        "minimum": 0,
        "maximum": 65535
    },
    "sriov_numvfs_driver": {
        "type": "str",
        "choices": [
            "systemd",
            "udev"
        ]
    },
    "sriov_numvfs_required_by": {
        "type": "list",
        "elements": {
            "type": "str"
        }
    },
    "sriov_udev_rule_path": {
        "type": "path",
        "ending": ".rules"
    },
    "sriov_action": {
        "type": "str",
        "choices": [
            "all",
            "config",
            "mellanox"
        ]
    },
    "sriov_mellanox_vendor_ids": {
        "type": "list",
        "elements": {
            "type": "str"
        }
    },
    "sriov_firmware_tool": {
        "type": "str",
        "choices": [
            "auto",
            "mstflint",
            "mft"
        ]
    },
    "sriov_firmware_exact": {
        "type": "bool"
    },
    "sriov_firmware_reset": {
        "type": "bool"
    },
    "sriov_install_enabled": {
        "type": "bool"
    },
    "sriov_mstflint_pkgs": {
        "type": "list",
        "elements": {
            "type": "str"
        }
    },
    "sriov_os_pkgs": {
        "type": "list",
        "elements": {
            "type": "str"
        }
    },
    "sriov_os_pkgs_rpm": {
        "type": "list",
        "elements": {
            "type": "str"
        }
    },
    "sriov_os_pkgs_deb": {
        "type": "list",
        "elements": {
            "type": "str"
        }
    },
    "sriov_mft_url": {
        "type": "str"
    },
    "sriov_mft_checksum": {
        "type": "str"
    },
    "sriov_mft_tarball": {
        "type": "str"
    },
    "sriov_workdir": {
        "type": "path"
    },
    "sriov_boot_wait": {
        "type": "int",
        "minimum": 0,
        "maximum": 1000000000
    },
    "sriov_numvfs_timeout": {
        "type": "int",
        "minimum": 1,
        "maximum": 1000000000
    },
    "sriov_vf_settings_timeout": {
        "type": "int",
        "minimum": 0,
        "maximum": 1000000000
    },
    "sriov_change_connection_pf": {
        "type": "bool"
    },
    "sriov_iommu_enabled": {
        "type": "bool"
    },
    "sriov_iommu_pt_enabled": {
        "type": "bool"
    },
    "sriov_bmc_address": {
        "type": "str"
    },
    "sriov_bmc_username": {
        "type": "str"
    },
    "sriov_bmc_password": {
        "type": "str"
    },
    "sriov_bmc_validate_certs": {
        "type": "bool"
    },
    "sriov_bmc_ca_path": {
        "type": "path"
    },
    "sriov_bmc_system": {
        "type": "str"
    },
    "sriov_bmc_via": {
        "type": "str"
    },
    "sriov_bios": {
        "type": "list",
        "elements": {
            "type": "str",
            "choices": [
                "virtualization",
                "iommu",
                "sriov"
            ]
        }
    },
    "sriov_bios_attributes": {
        "type": "map"
    },
    "sriov_restart_handler": {
        "type": "str"
    },
    "sriov_do_reboot": {
        "type": "bool"
    },
    "sriov_reboot_timeout": {
        "type": "int",
        "minimum": 1,
        "maximum": 1000000000
    }
}

# Those with a default that null would put out of effect.
WITH_DEFAULT = [
    "sriov_numvfs",
    "sriov_numvfs_driver",
    "sriov_udev_rule_path",
    "sriov_action",
    "sriov_mellanox_vendor_ids",
    "sriov_firmware_tool",
    "sriov_firmware_exact",
    "sriov_firmware_reset",
    "sriov_install_enabled",
    "sriov_mstflint_pkgs",
    "sriov_os_pkgs_rpm",
    "sriov_os_pkgs_deb",
    "sriov_workdir",
    "sriov_boot_wait",
    "sriov_numvfs_timeout",
    "sriov_vf_settings_timeout",
    "sriov_change_connection_pf",
    "sriov_iommu_enabled",
    "sriov_iommu_pt_enabled",
    "sriov_bmc_validate_certs",
    "sriov_bmc_via",
    "sriov_bios",
    "sriov_restart_handler",
    "sriov_reboot_timeout"
]

# Facts of the role, and what its Kayobe configuration and the playbooks of the collection set and read.
OTHERS = [
    "sriov_discover_hosts",
    "sriov_discover_path",
    "sriov_max_fail_percentage",
    "sriov_nic",
    "sriov_openstack",
    "sriov_openstack_excluded",
    "sriov_openstack_interfaces",
    "sriov_openstack_mapped",
    "sriov_openstack_pfs",
    "sriov_reboot_due",
    "sriov_reboot_reasons",
    "sriov_reboot_required",
    "sriov_reboot_serial",
    "sriov_report_hosts",
    "sriov_report_path",
    "sriov_vfs_changed"
]
