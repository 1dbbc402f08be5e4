/**
 * Set the number of virtual functions of SR-IOV network cards, at boot and live.
 *
 * Creates VFs on the PFs that `sriov_devices` names, and again at every boot. Sets the firmware of Mellanox cards to
 * offer them, adds the IOMMU parameters to the kernel command line, and reports when a reboot is due and why.
 */
export interface SriovRole {
  /**
   * The PFs to configure. Each entry chooses by exactly one selector: `name`, `address`, `mac`,
   * `vendor_id` with `product_id`, or `driver`.
   *
   * A PF that leaves the list loses its VFs; `[]` removes them all. The role does not touch the VFs of a PF that was never in the list.
   *
   * An unset variable is not the same as `[]`: the role then changes nothing, and refuses a host that it, or one of its predecessors,
   * has configured.
   * @unset
   * @example [{ "name": "ens1f0", "numvfs": 8 }, { "address": "0000:3b:00.1", "numvfs": 16 }]
   */
  sriov_devices?: SriovDevice[];

  /**
   * The physical networks of PFs, for OpenStack: by interface name or by PCI address, as the entry of `sriov_devices`
   * chooses the PF. This has the same effect as `physical_network` of the entry; an entry may have it from either.
   *
   * The mapping may name PFs of other hosts: the role ignores a key that matches no entry of this host's `sriov_devices`. It
   * refuses such a key if an entry of this host has no physical network, because that usually means a typing error. Write
   * `physical_network: null` for an entry that intentionally has none.
   * @default {}
   * @example { "ens1f0": "physnet2", "0000:3b:00.1": "physnet3" }
   */
  sriov_physnet_mappings?: { [device: NameOrAddress]: PhysicalNetwork };

  /**
   * The OpenStack release that Nova's device list is for, by number, by name, or `master`; the newest when not set. The role refuses
   * keys in `nova` of an entry that the release does not support.
   * @number
   * @unset
   * @example "2025.1"
   */
  sriov_openstack_release?: OpenStackRelease;

  /**
   * Number of VFs for a device without `numvfs`.
   * @minimum 0
   * @maximum 65535
   * @default 8
   */
  sriov_numvfs?: number;

  /**
   * What creates the VFs at boot, for a device without `numvfs_driver`. With `systemd`, one unit runs before the network is
   * configured. With `udev`, udev starts a unit when the PF's driver is there.
   * @default "systemd"
   */
  sriov_numvfs_driver?: "systemd" | "udev";

  /**
   * Units that must not start before the VFs exist, and do not start if the VFs are missing, for a device without
   * `numvfs_required_by`. Only with the `systemd` driver.
   * @commas
   * @default []
   * @example ["openvswitch-switch.service"]
   */
  sriov_numvfs_required_by?: Unit[];

  /**
   * The udev rule file, which starts the VF unit when a PF appears. The role replaces the block that stackhpc.sriov
   * left in a file of this name. udev reads no file that does not end in `.rules`.
   * @format path .rules
   * @default "/etc/udev/rules.d/70-sriov.rules"
   */
  sriov_udev_rule_path?: string;

  /**
   * What to do: `mellanox` sets the firmware of Mellanox cards and nothing else; `config` does everything but that.
   * @default "all"
   */
  sriov_action?: "all" | "config" | "mellanox";

  /**
   * The vendor ids of the cards whose firmware the role sets.
   * @commas
   * @default ["0x15b3"]
   */
  sriov_mellanox_vendor_ids?: HexadecimalId[];

  /**
   * The tool that sets the firmware: `mstflint` is the distributions' mstconfig, `mft` is NVIDIA's mlxconfig.
   * With `auto`, the role uses the tool that the host has, and installs mstflint if it has none.
   * @default "auto"
   */
  sriov_firmware_tool?: "auto" | "mstflint" | "mft";

  /**
   * Set the firmware to offer exactly the wanted number of VFs. When false, the role only ever raises the number, and keeps a
   * firmware that offers more. When true, it also lowers the number, and turns SR-IOV off in the firmware of a card if all
   * its listed PFs have `numvfs: 0`.
   * @default false
   */
  sriov_firmware_exact?: boolean;

  /**
   * Reset a card so that new firmware settings take effect without a reboot. The links of all its ports are down for some
   * seconds, and its VFs are removed and created again. The role does not reset a card that carries the connection to the host,
   * or has a VF in use: then the reboot is due as usual.
   * @default false
   */
  sriov_firmware_reset?: boolean;

  /**
   * Install the firmware tool when a card needs it and the host does not have it.
   * @default true
   */
  sriov_install_enabled?: boolean;

  /**
   * The packages that contain mstconfig and its dependencies.
   * @commas
   * @default ["mstflint", "pciutils"]
   */
  sriov_mstflint_pkgs?: string[];

  /**
   * The packages that MFT needs, on any distribution. When not set, `sriov_os_pkgs_rpm` or `sriov_os_pkgs_deb` applies.
   * @commas
   * @unset
   */
  sriov_os_pkgs?: string[];

  /**
   * The packages that MFT needs on distributions with RPM packages.
   * @commas
   * @default ["gcc", "rpm-build", "pciutils", "kernel-devel", "make"]
   */
  sriov_os_pkgs_rpm?: string[];

  /**
   * The packages that MFT needs on distributions with Debian packages.
   * @commas
   * @default ["gcc", "pciutils", "linux-headers-generic", "make"]
   */
  sriov_os_pkgs_deb?: string[];

  /**
   * Where to download MFT, for `sriov_firmware_tool: mft` on a host without mlxconfig. Needs `sriov_mft_checksum`.
   * The archive must be for the host's processor and package format.
   * @unset
   */
  sriov_mft_url?: string;

  /**
   * The checksum of the MFT archive, with its algorithm. Required for a download. The role checks it for any archive.
   * @unset
   * @example "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
   */
  sriov_mft_checksum?: Checksum;

  /**
   * The file name of the MFT archive; the last part of `sriov_mft_url` when not set. The role downloads nothing if
   * `sriov_workdir` already contains a file of that name.
   * @unset
   */
  sriov_mft_tarball?: FileName;

  /**
   * The folder on the host where the role keeps and unpacks the MFT archive. Only root may write to it.
   * @format path
   * @default "/var/cache/stackhpc-sriov"
   */
  sriov_workdir?: string;

  /**
   * Seconds that the boot waits for the driver of a PF that is there. The boot does not wait for an absent PF: udev starts its
   * unit when it appears.
   * @minimum 0
   * @maximum 1000000000
   * @default 30
   */
  sriov_boot_wait?: number;

  /**
   * Seconds that the kernel may take to create or remove the VFs of one PF. The role adds one second for each wanted VF.
   * @minimum 1
   * @maximum 1000000000
   * @default 120
   */
  sriov_numvfs_timeout?: number;

  /**
   * Seconds during which the role repeats a setting of a VF that the PF's driver rejects for the moment, because the VF is being reset.
   * @minimum 0
   * @maximum 1000000000
   * @default 30
   */
  sriov_vf_settings_timeout?: number;

  /**
   * Allow the role to destroy the VFs of the PF that carries the connection to this host live, to change their number. When
   * false, such a change waits for the next boot.
   * @default false
   */
  sriov_change_connection_pf?: boolean;

  /**
   * Add the IOMMU parameters to the kernel command line: `intel_iommu=on` on Intel; `iommu=pt`, with
   * `sriov_iommu_pt_enabled`, on Intel and AMD; none on other processors. When false, the role removes the parameters that
   * it added.
   * @default true
   */
  sriov_iommu_enabled?: boolean;

  /**
   * Add `iommu=pt`: the IOMMU does not translate the DMA of devices that the host itself uses.
   * @default true
   */
  sriov_iommu_pt_enabled?: boolean;

  /**
   * The BMC of the host: a name or an IP address, with a port if it is not 443. When set, the role sets the host's BIOS through it
   * with Redfish, for the next boot, and the reboot that applies it is the role's one reboot. When not set, the role leaves the
   * BIOS alone.
   * @unset
   * @example "10.0.0.21"
   */
  sriov_bmc_address?: string;

  /**
   * The user of the BMC, who must be allowed to change BIOS settings.
   * @unset
   */
  sriov_bmc_username?: string;

  /**
   * The password of that user. Keep it in a vault. The role does not hand it to the host.
   * @secret
   * @unset
   */
  sriov_bmc_password?: string;

  /**
   * Verify the certificate of the BMC.
   * @default true
   */
  sriov_bmc_validate_certs?: boolean;

  /**
   * A file with the certificates of authorities that the BMC's certificate is verified with, on the machine `sriov_bmc_via`.
   * @format path
   * @unset
   */
  sriov_bmc_ca_path?: string;

  /**
   * The id of the host among the systems of the BMC. Needed only if the BMC has several.
   * @unset
   * @example "System.Embedded.1"
   */
  sriov_bmc_system?: string;

  /**
   * The machine of the inventory that reaches the BMC, for example a seed host.
   * @default "localhost"
   */
  sriov_bmc_via?: string;

  /**
   * What must be on in the BIOS, on the machines whose settings the role knows. The role warns if it does not know them. It turns
   * nothing off.
   * @default ["virtualization", "iommu", "sriov"]
   */
  sriov_bios?: ("virtualization" | "iommu" | "sriov")[];

  /**
   * More BIOS settings, by the exact names and values of the host's BIOS. They have priority over `sriov_bios`. The name of a
   * Supermicro board may be given without the digits at its end.
   * @default {}
   * @example { "MmioAbove4Gb": "Enabled" }
   */
  sriov_bios_attributes?: { [setting: BiosSetting]: boolean | number | string };

  /**
   * The handler of the play that the role notifies when a reboot is due and `sriov_do_reboot` is not set.
   * A play may lack a handler called `reboot`. A handler of any other name must be in the play, or Ansible ends the play.
   * @default "reboot"
   */
  sriov_restart_handler?: string;

  /**
   * Whether the role may reboot the host. Not set: the role notifies the play's handler `sriov_restart_handler`, if there is one.
   * True: the role reboots once when a reboot is due, and checks that each change took effect. False: nothing reboots, and the
   * role notifies no handler.
   * @unset
   */
  sriov_do_reboot?: boolean;

  /**
   * Seconds to wait for the host to come back from the reboot.
   * @minimum 1
   * @maximum 1000000000
   * @default 1800
   */
  sriov_reboot_timeout?: number;
}

/** One selector, and the wanted configuration of the PFs that it chooses. */
export interface SriovDevice {
  /**
   * Selector: the name, or an alternative name, of the PF's network interface.
   * @selector
   * @example "ens1f0"
   */
  name?: InterfaceName;

  /**
   * Selector: the PCI address.
   * @raw
   * @selector
   * @example "0000:3b:00.0"
   */
  address?: PciAddress;

  /**
   * Selector: the permanent MAC address of the PF.
   * @raw
   * @selector
   * @example "b8:59:9f:0c:aa:02"
   */
  mac?: MacAddress;

  /**
   * Selector, with `product_id`: four hexadecimal digits, quoted.
   * @raw
   * @selector product_id
   * @example "15b3"
   */
  vendor_id?: HexadecimalId;

  /**
   * Selector, with `vendor_id`: four hexadecimal digits, quoted.
   * @raw
   * @example "1017"
   */
  product_id?: HexadecimalId;

  /**
   * Selector: every PF that is bound to this kernel driver.
   * @selector
   * @example "ice"
   */
  driver?: DriverName;

  /**
   * Number of VFs on each PF chosen; `sriov_numvfs` when not given. 0 removes them.
   * @minimum 0
   * @maximum 65535
   */
  numvfs?: number;

  /** What creates the VFs at boot; `sriov_numvfs_driver` when not given. */
  numvfs_driver?: "systemd" | "udev";

  /**
   * Units that must not start without these VFs; `sriov_numvfs_required_by` when not given.
   * @commas
   */
  numvfs_required_by?: Unit[];

  /**
   * Firmware parameters of a Mellanox card, with the names and values of `mstconfig query`. The role derives SRIOV_EN and
   * NUM_OF_VFS from `numvfs`. The ports of one card share them.
   * @minimum 0
   * @maximum 4294967294
   * @example { "LINK_TYPE_P1": "ETH", "NUM_PF_MSIX": 63 }
   */
  firmware?: { [parameter: FirmwareParameter]: boolean | number | FirmwareValue };

  /**
   * How many of the VFs the host's own driver takes. Only for ConnectX-3, whose driver reads this number as a module option.
   * @minimum 0
   * @maximum 65535
   * @default 0
   */
  probe_vf?: number;

  /**
   * Set the PF's interface up, live and at boot before its VFs: a VF has no link while its PF is down. The PF gets no address, not
   * even a link-local one of IPv6. The role never sets a PF down.
   * @default false
   */
  up?: boolean;

  /**
   * Whether the host's drivers take the VFs. When false, the VFs have no driver and no interface on the host, except those with a
   * `driver` in `vfs`.
   * @default true
   */
  drivers_autoprobe?: boolean;

  /**
   * Settings of VFs. Each VF may be in one item only. The role sets what an item names, and nothing else. It sets it before a driver takes
   * the VF.
   * @example [{ "vf": "0-3", "mac": "02:00:00:00:00:10", "vlan": 100 }, { "vf": "4-", "driver": "vfio-pci" }]
   */
  vfs?: SriovVf[];

  /**
   * When false, the role does not change the number of VFs, live or at boot: another program sets it.
   * @default true
   */
  on_boot_configuration_enabled?: boolean;

  /**
   * When true, a selector that chooses nothing on this host is not an error.
   * @default false
   */
  optional?: boolean;

  /**
   * How many PFs the entry must choose; another number is an error. With `optional: true`, the entry may also choose none.
   * @minimum 1
   * @maximum 65535
   */
  expect?: number;

  /**
   * The physical network that the PFs are connected to. Nova and Neutron's SR-IOV agent get these PFs. The key has the same
   * effect as `sriov_physnet_mappings`. It needs the selector `name`, with the interface's own name, or `address`. Several PFs
   * may have one physical network.
   *
   * The role does not configure Nova and Neutron: the collection's filter `openstack_devices` makes their configuration. Before the
   * role changes anything, it checks that this configuration matches the hardware.
   * @needs name address
   * @example "physnet2"
   */
  physical_network?: PhysicalNetwork;

  /**
   * PCI addresses of VFs that OpenStack must not use. List the remaining VFs for Nova in `nova.address`.
   * @example ["0000:3b:02.0"]
   */
  exclude_vfs?: PciAddress[];

  /**
   * How Nova finds the VFs, if not by the selector, and further tags for Nova.
   * @example { "address": "0000:3b:02.*", "trusted": true }
   */
  nova?: SriovNova;
}

/** Settings of one or more VFs of a PF. */
export interface SriovVf {
  /**
   * The numbers of the VFs, from 0: one number, a range, or several of both in quotes. A range without an end includes the last VF.
   * @minimum 0
   * @maximum 65534
   * @needs mac vlan qos vlan_proto spoofchk trust link_state node_guid port_guid driver managed_by_network
   * @example "2,5-7"
   */
  vf: number | VfNumbers;

  /**
   * The MAC address of the first VF. Each further VF of the item gets the next address. It stays the same across boots, and must differ from
   * those of other hosts. Only in an entry that chooses one PF.
   * @raw
   * @example "02:00:00:00:00:10"
   */
  mac?: VfMacAddress;

  /**
   * The VLAN of the VFs. The card adds the tag, and the user of the VF does not see it. 0 means no VLAN.
   * @minimum 0
   * @maximum 4094
   */
  vlan?: number;

  /**
   * The priority in the VLAN tag.
   * @minimum 0
   * @maximum 7
   * @needs vlan
   */
  qos?: number;

  /**
   * The protocol of the VLAN tag; the kernel uses `802.1q` when not given. Few drivers support `802.1ad`.
   * @needs vlan
   */
  vlan_proto?: "802.1q" | "802.1ad";

  /** Whether the card drops what a VF sends from a MAC address other than its own. */
  spoofchk?: boolean;

  /** Whether the user of a VF may change its MAC address and set the VF to receive everything. */
  trust?: boolean;

  /** The link of the VFs: `auto` is that of the PF, `enable` is always up, `disable` is always down. */
  link_state?: "auto" | "enable" | "disable";

  /**
   * InfiniBand only: the node GUID of the first VF. Each further VF of the item gets the next GUID. Only in an entry that chooses one PF.
   * @raw
   * @example "02:00:00:00:00:00:00:10"
   */
  node_guid?: Guid;

  /**
   * InfiniBand only: the port GUID of the first VF, as `node_guid`.
   * @raw
   * @example "02:00:00:00:00:00:00:10"
   */
  port_guid?: Guid;

  /**
   * The driver that takes the VFs instead of the usual one, such as `vfio-pci` or `mlx5_vfio_pci`. `none`: no driver takes them.
   * @example "vfio-pci"
   */
  driver?: DriverName;

  /**
   * Whether NetworkManager and systemd-networkd may configure the VFs. When not given: false for VFs that Nova gives to guests, for VFs with
   * `driver: none` or a vfio driver, and with `drivers_autoprobe: false`; true for all others.
   */
  managed_by_network?: boolean;
}

/**
 * Keys of Nova's `[pci] device_spec`. Without `devname`, `address`, `vendor_id` and `product_id`, Nova gets the selector, which
 * takes all VFs of the PF.
 */
export interface SriovNova {
  /**
   * The name of a network interface: of a PF, which selects all of its VFs, or of one VF. Not with `address`.
   * @example "ens1f0"
   */
  devname?: NovaDevname;

  /**
   * One of: the PCI address of a PF, which selects all of its VFs, or of a VF; an address with `*` in place of whole fields
   * (`0000:3b:02.*`); a dictionary with a regular expression for any of `domain`, `bus`, `slot` and `function`, which must match
   * the beginning of the field; a list of all those. It must select VFs of this entry's PFs, and no device of another physical
   * network, or of none. The role refuses a MAC address, because Nova would read it as a PCI address.
   * @without devname
   * @example "0000:3b:02.*"
   */
  address?:
    NovaAddress | { [field: NovaAddressField]: string } | (NovaAddress | { [field: NovaAddressField]: string })[];

  /**
   * The vendor id of the VFs: four hexadecimal digits, quoted.
   * @raw
   * @needs product_id devname address
   * @example "15b3"
   */
  vendor_id?: NovaId;

  /**
   * The product id of the VFs, which is not that of the PF: four hexadecimal digits, quoted.
   * @raw
   * @needs vendor_id devname address
   * @example "1018"
   */
  product_id?: NovaId;

  /**
   * Whether a guest may change its VF's MAC address and set the VF to receive everything, if its port requests that.
   * @since Rocky
   */
  trusted?: boolean;

  /**
   * Whether the VFs belong to a card that another system manages, such as a SmartNIC. Only if the entry names the VFs themselves.
   * @since Yoga
   */
  remote_managed?: boolean;

  /**
   * Whether libvirt unbinds a VF from its driver for the guest, and binds it again afterwards.
   * @since 2025.1
   */
  managed?: boolean;

  /**
   * Whether a guest can be migrated with the device. Nova ignores this for a device with a physical network.
   * @since 2025.1
   */
  live_migratable?: boolean;

  /**
   * `false` or not set. The role refuses `true`: Nova ignores it for a device with a physical network, and without
   * `report_in_placement` nova-compute does not start with it.
   * @since 2025.2
   */
  one_time_use?: false;

  /**
   * The resource class in Placement. It has no effect on a device with a physical network, and all devices here have
   * one.
   * @since Zed
   */
  resource_class?: Words;

  /**
   * Traits in Placement: a list, or text with commas. They have no effect on a device with a physical network, and all
   * devices here have one.
   * @since Zed
   * @example "CUSTOM_FAST,CUSTOM_NEAR"
   */
  traits?: Words | Words[];
}

/**
 * The patterns of strings, for schema.json. The modules check them again, with their own expressions, when the role runs.
 * test/fixtures/schema/variables.json compares both.
 */

/** @pattern ^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}$ the name of a network interface, as in ens1f0 */
type InterfaceName = string;

/** @pattern ^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}$ the name of a kernel driver, as in ice */
type DriverName = string;

/** @pattern ^(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]$ a PCI address in quotes, as in "0000:3b:00.0" */
type PciAddress = string;

/** @pattern ^(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$ a MAC address in quotes, as in "b8:59:9f:0c:aa:02" */
type MacAddress = string;

/** @pattern ^(?!(?:00[:-]){5}00$)[0-9A-Fa-f][02468ACEace][:-](?:[0-9A-Fa-f]{2}[:-]){4}[0-9A-Fa-f]{2}$ the MAC address of one interface in quotes, as in "02:00:00:00:00:10" */
type VfMacAddress = string;

/** @pattern ^(?!(?:00[:-]){7}00$)(?:[0-9A-Fa-f]{2}[:-]){7}[0-9A-Fa-f]{2}$ a GUID in quotes, as in "02:00:00:00:00:00:00:10" */
type Guid = string;

/** @pattern ^[0-9]{1,5}(?:-(?:[0-9]{1,5})?)?(?:,\s*[0-9]{1,5}(?:-(?:[0-9]{1,5})?)?)*$ numbers of VFs, as in 0, "0-3", "4-" or "2,5-7" */
type VfNumbers = string;

/** @pattern ^(?:0[xX])?[0-9A-Fa-f]{4}$ four hexadecimal digits in quotes, as in "15b3" */
type HexadecimalId = string;

/** @pattern ^[A-Za-z0-9:_.@\\-]+\.(?:service|target|socket|path|timer|mount)$ a systemd unit, as in docker.service */
type Unit = string;

/** @pattern ^(?!(?:[0-9A-Fa-f]{2}[:-]){2,}[0-9A-Fa-f]{2}$)[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}$ the name of an interface, or its PCI address */
type NameOrAddress = string;

/** @pattern ^[^\s,:;]+$ the name of a physical network, without a space, comma, colon or semicolon */
type PhysicalNetwork = string;

/** @pattern ^(?:20(?:2[2-9]|[3-9]\d)\.[12]|[A-Za-z]+|)$ an OpenStack release in quotes, as in "2025.1", or as in zed or master */
type OpenStackRelease = string;

/** @pattern ^(?:(?:md5|sha1|sha224|sha256|sha384|sha512):[0-9A-Fa-f]{32,128}|)$ an algorithm and a digest, as in sha256:DIGEST */
type Checksum = string;

/** @pattern ^[^/]*$ the name of a file, without its folder */
type FileName = string;

/** @pattern ^[A-Za-z][A-Za-z0-9_]*$ the name of a parameter as mstconfig shows it, as in NUM_PF_MSIX */
type FirmwareParameter = string;

/** @pattern ^(?!0[0-9])(?![0-9]+\.[0-9]*$)[A-Za-z0-9_.][A-Za-z0-9_.-]*$ a number, true, false, or a name such as ETH */
type FirmwareValue = string;

/** @pattern ^(?!(?:[0-9A-Fa-f]{2}[:-]){2,}[0-9A-Fa-f]{2}$)[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}$ the name of a network interface, as in ens1f0 */
type NovaDevname = string;

/**
 * @pattern ^(?![*:.]*$)(?![0-9A-Fa-f]{2}(?::(?:[0-9A-Fa-f]{2}|\*)){2}$)(?:(?:(?:\*|[0-9A-Fa-f]{0,4}):)?(?:\*|[0-9A-Fa-f]{0,2}):)?(?:\*|[01]?[0-9A-Fa-f]|)(?:\.(?:\*|[0-7]|))?$ a PCI address in quotes,
 * with * for whole fields, as in "0000:3b:02.*"
 */
type NovaAddress = string;

/** @pattern \S the name of a BIOS setting, as in SriovGlobalEnable */
type BiosSetting = string;

/** @pattern ^(?:domain|bus|slot|function)$ a field of a PCI address: domain, bus, slot or function */
type NovaAddressField = string;

/** @pattern ^(?:\*|(?:0[xX])?[0-9A-Fa-f]{4})$ four hexadecimal digits in quotes, as in "15b3" */
type NovaId = string;

/** @pattern \S a name, as in CUSTOM_FAST */
type Words = string;
