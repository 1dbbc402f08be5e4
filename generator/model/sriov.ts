/**
 * Set the number of virtual functions of SR-IOV network cards, at boot and live.
 *
 * Creates VFs on the PFs that `sriov_devices` names, makes them come back at every boot, has the firmware of
 * Mellanox cards offer them, puts the IOMMU parameters on the kernel command line, and says when a reboot is due and why.
 */
export interface SriovRole {
  /**
   * The PFs to configure. Each entry chooses by exactly one selector: `name`, `address`, `mac`,
   * `vendor_id` with `product_id`, or `driver`.
   *
   * A PF that leaves the list loses its VFs; `[]` removes them all. The VFs of a PF that never was in it are left alone.
   *
   * Not set is not the same as `[]`: then nothing is changed, and a host that the role, or one before it, has configured is refused.
   * @unset
   * @example [{ "name": "ens1f0", "numvfs": 8 }, { "address": "0000:3b:00.1", "numvfs": 16 }]
   */
  sriov_devices?: SriovDevice[];

  /**
   * The physical networks of PFs, for OpenStack: by interface name or by PCI address, as the entry of `sriov_devices`
   * chooses the PF. The same as `physical_network` of the entry; an entry may have it from either.
   *
   * It may name PFs of other hosts: those that are no entry of this host's `sriov_devices` are left aside. It is refused
   * when one of them is in no entry while an entry of this host has no physical network, for that is a typing
   * error; an entry with `physical_network: null` has none on purpose.
   * @default {}
   * @example { "ens1f0": "physnet2", "0000:3b:00.1": "physnet3" }
   */
  sriov_physnet_mappings?: { [device: NameOrAddress]: PhysicalNetwork };

  /**
   * The OpenStack release that Nova's device list is for, by number, by name, or `master`; the newest when not set. What `nova` of an
   * entry asks for and the release does not know is refused.
   * @number
   * @unset
   * @example "2025.1"
   */
  sriov_openstack_release?: OpenStackRelease;

  /**
   * Number of VFs for a device that has no `numvfs` of its own.
   * @minimum 0
   * @maximum 65535
   * @default 8
   */
  sriov_numvfs?: number;

  /**
   * What creates the VFs at boot, for a device that has no `numvfs_driver` of its own: `systemd` is
   * one unit that runs before the network is configured; `udev` starts a unit when the PF's driver is there.
   * @default "systemd"
   */
  sriov_numvfs_driver?: "systemd" | "udev";

  /**
   * Units that must not start before the VFs are there, and do not start when they are missing,
   * for a device that has no `numvfs_required_by` of its own. Only with the `systemd` driver.
   * @commas
   * @default []
   * @example ["openvswitch-switch.service"]
   */
  sriov_numvfs_required_by?: Unit[];

  /**
   * The udev rule file, which starts the VF unit when a PF appears. The block that stackhpc.sriov
   * left in a file of this name is replaced. udev reads no file that does not end in `.rules`.
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
   * The vendor ids of the cards whose firmware is set.
   * @commas
   * @default ["0x15b3"]
   */
  sriov_mellanox_vendor_ids?: HexadecimalId[];

  /**
   * The tool that sets the firmware: `mstflint` is the distributions' mstconfig, `mft` is NVIDIA's mlxconfig.
   * `auto` takes the one that the host has, and installs mstflint when it has none.
   * @default "auto"
   */
  sriov_firmware_tool?: "auto" | "mstflint" | "mft";

  /**
   * Have the firmware offer exactly as many VFs as are wanted. When false the number is only ever raised, and a
   * firmware that offers more stays as it is. When true it is lowered too, and SR-IOV is turned off in the firmware of a
   * card all of whose listed PFs have `numvfs: 0`.
   * @default false
   */
  sriov_firmware_exact?: boolean;

  /**
   * Reset a card to have new firmware settings in effect without a reboot. The links of all its ports go down
   * for some seconds, and its VFs go and come back. A card that carries the connection to the host, or has a VF in use, is not
   * reset: then the reboot is due as usual.
   * @default false
   */
  sriov_firmware_reset?: boolean;

  /**
   * Install the firmware tool when a card needs it and it is not there.
   * @default true
   */
  sriov_install_enabled?: boolean;

  /**
   * The packages that hold mstconfig and what it needs.
   * @commas
   * @default ["mstflint", "pciutils"]
   */
  sriov_mstflint_pkgs?: string[];

  /**
   * The packages that MFT needs, whatever the distribution. When not set, `sriov_os_pkgs_rpm` or `sriov_os_pkgs_deb` holds.
   * @commas
   * @unset
   */
  sriov_os_pkgs?: string[];

  /**
   * The packages that MFT needs where packages are RPMs.
   * @commas
   * @default ["gcc", "rpm-build", "pciutils", "kernel-devel", "make"]
   */
  sriov_os_pkgs_rpm?: string[];

  /**
   * The packages that MFT needs where packages are Debian's.
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
   * The checksum of the MFT archive, with its algorithm. Required for a download, and checked wherever the archive comes from.
   * @unset
   * @example "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
   */
  sriov_mft_checksum?: Checksum;

  /**
   * The file name of the MFT archive; the last part of `sriov_mft_url` when not set. One of that name that is in
   * `sriov_workdir` already is not downloaded.
   * @unset
   */
  sriov_mft_tarball?: FileName;

  /**
   * The folder on the host where MFT's archive is kept and unpacked; root's alone.
   * @format path
   * @default "/var/cache/stackhpc-sriov"
   */
  sriov_workdir?: string;

  /**
   * Seconds that the boot waits for the driver of a PF that is there. A PF that is absent is not waited for:
   * udev starts its unit when it appears.
   * @minimum 0
   * @maximum 1000000000
   * @default 30
   */
  sriov_boot_wait?: number;

  /**
   * Seconds allowed for the kernel to create or remove the VFs of one PF, one second per VF added.
   * @minimum 1
   * @maximum 1000000000
   * @default 120
   */
  sriov_numvfs_timeout?: number;

  /**
   * Allow the VFs of the PF that carries the connection to this host to be destroyed live, to change
   * their number. When false such a change waits for the next boot.
   * @default false
   */
  sriov_change_connection_pf?: boolean;

  /**
   * Put the IOMMU parameters on the kernel command line: `intel_iommu=on` on Intel; `iommu=pt`, with
   * `sriov_iommu_pt_enabled`, on Intel and AMD; none on other processors. When false, the parameters
   * that this role added are taken off again.
   * @default true
   */
  sriov_iommu_enabled?: boolean;

  /**
   * Add `iommu=pt`: DMA of devices that the host itself uses is not translated.
   * @default true
   */
  sriov_iommu_pt_enabled?: boolean;

  /**
   * The handler of the play that is notified when a reboot is due and `sriov_do_reboot` is not set.
   * A play without a handler called `reboot` is fine; one of another name must be in the play, or Ansible ends the play.
   * @default "reboot"
   */
  sriov_restart_handler?: string;

  /**
   * Whether the role may reboot the host. Not set: the play's handler `sriov_restart_handler` is notified, if there is one.
   * True: the role reboots once when that is due, and checks that everything took effect. False: nothing
   * reboots and no handler is notified.
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

/** One selector, and what is wanted of the PFs that it chooses. */
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
   * Selector: every PF that this kernel driver holds.
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
   * Parameters of a Mellanox card's firmware, by the names that `mstconfig query` shows, with the values that it takes.
   * SRIOV_EN and NUM_OF_VFS follow from `numvfs`. The ports of one card share them.
   * @minimum 0
   * @maximum 4294967294
   * @example { "LINK_TYPE_P1": "ETH", "NUM_PF_MSIX": 63 }
   */
  firmware?: { [parameter: FirmwareParameter]: boolean | number | FirmwareValue };

  /**
   * How many of the VFs the host's own driver takes; for ConnectX-3 only, whose driver takes it as a module option.
   * @minimum 0
   * @maximum 65535
   * @default 0
   */
  probe_vf?: number;

  /**
   * When false the role leaves the number of VFs alone, live and at boot: something else sets it.
   * @default true
   */
  on_boot_configuration_enabled?: boolean;

  /**
   * When true, a selector that chooses nothing on this host is no error.
   * @default false
   */
  optional?: boolean;

  /**
   * The physical network that the PFs are connected to: Nova and Neutron's SR-IOV agent are told of them. The same as
   * `sriov_physnet_mappings`, and needs the selector `name`, with the interface's own name, or `address`.
   * Several PFs may have one physical network.
   *
   * The role tells Nova and Neutron nothing. It checks, before it changes anything, that what they are told fits the
   * hardware; the collection's filter `openstack_devices` makes their configuration of it.
   * @needs name address
   * @example "physnet2"
   */
  physical_network?: PhysicalNetwork;

  /**
   * PCI addresses of VFs that OpenStack leaves alone. Nova must then be told the VFs left, as a list in `nova.address`.
   * @example ["0000:3b:02.0"]
   */
  exclude_vfs?: PciAddress[];

  /**
   * How Nova is told of the VFs, where it is not to be by the selector; and what Nova is told beside.
   * @example { "address": "0000:3b:02.*", "trusted": true }
   */
  nova?: SriovNova;
}

/**
 * Keys of Nova's `[pci] device_spec`. Without `devname`, `address`, `vendor_id` and `product_id` Nova is told what the
 * selector says, which takes all VFs of the PF.
 */
export interface SriovNova {
  /**
   * The name of a network interface: of a PF, which stands for all of its VFs, or of one VF. Not with `address`.
   * @example "ens1f0"
   */
  devname?: NovaDevname;

  /**
   * The PCI address of a PF, which stands for all of its VFs, or of a VF; or one with `*` in place of whole fields
   * (`0000:3b:02.*`); or a dictionary with a regular expression for any of `domain`, `bus`, `slot` and `function`,
   * which has to fit the beginning of the field; or a list of all those. It must take VFs of this entry's PFs and no device of another
   * physical network, or of none. A MAC address is refused: Nova would read it as a PCI address.
   * @without devname
   * @example "0000:3b:02.*"
   */
  address?: NovaAddress | { [field: NovaAddressField]: string } | (NovaAddress | { [field: NovaAddressField]: string })[];

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
   * Whether a guest may change its VF's MAC address and have it receive everything, when its port asks for that.
   * @since Rocky
   */
  trusted?: boolean;

  /**
   * Whether the VFs belong to a card that another system manages, as a SmartNIC does. Only for VFs named as such.
   * @since Yoga
   */
  remote_managed?: boolean;

  /**
   * Whether libvirt takes a VF from its driver for the guest and gives it back.
   * @since 2025.1
   */
  managed?: boolean;

  /**
   * Whether a guest can be migrated with the device. Nova does not look at it where there is a physical network.
   * @since 2025.1
   */
  live_migratable?: boolean;

  /**
   * Whether a device waits for an administrator after each guest. Needs `report_in_placement`, and then no `devname`.
   * @since 2025.2
   */
  one_time_use?: boolean;

  /**
   * The resource class in Placement, which leaves devices with a physical network aside.
   * @since Zed
   */
  resource_class?: Words;

  /**
   * Traits in Placement, which leaves devices with a physical network aside: a list, or text with commas.
   * @since Zed
   * @example "CUSTOM_FAST,CUSTOM_NEAR"
   */
  traits?: Words | Words[];
}

/**
 * The forms of texts, for schema.json: what the modules check again, with expressions of their own, when the role runs.
 * test/fixtures/schema/variables.json holds both together.
 */

/** @pattern ^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}$ the name of a network interface, as in ens1f0 */
type InterfaceName = string;

/** @pattern ^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,126}$ the name of a kernel driver, as in ice */
type DriverName = string;

/** @pattern ^(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]$ a PCI address in quotes, as in "0000:3b:00.0" */
type PciAddress = string;

/** @pattern ^(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$ a MAC address in quotes, as in "b8:59:9f:0c:aa:02" */
type MacAddress = string;

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

/** @pattern ^(?:domain|bus|slot|function)$ a field of a PCI address: domain, bus, slot or function */
type NovaAddressField = string;

/** @pattern ^(?:\*|(?:0[xX])?[0-9A-Fa-f]{4})$ four hexadecimal digits in quotes, as in "15b3" */
type NovaId = string;

/** @pattern \S a name, as in CUSTOM_FAST */
type Words = string;
