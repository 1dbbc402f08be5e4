// What the predecessors knew and did, and what this role makes of it: the only place for facts about their releases.
//
// Sources, read at the commits named in `releases`: defaults/main.yml, tasks/config.yml (VFs and kernel line),
// tasks/mellanox.yml and tasks/mlxconfig.yml (firmware) of each; those of stackhpc.linux.sriov are below roles/sriov of
// the collection.

/** What happens to a setting: nothing changes; it no longer has an effect; or it has another one. */
export type Verdict = "fine" | "ineffective" | "different";

export const predecessors = ["stackhpc.sriov", "stackhpc.linux.sriov"] as const;
export type Predecessor = (typeof predecessors)[number];

export interface Release {
  readonly version: string;
  readonly repository: string;
  readonly commit: string;
}

export const releases: { readonly [name in Predecessor]: Release } = {
  "stackhpc.sriov": {
    version: "0.2.1",
    repository: "https://github.com/stackhpc/ansible-role-sriov",
    commit: "baaf0d8f30a513f9db9368862d1eef9c54777ca2",
  },
  "stackhpc.linux.sriov": {
    version: "1.6.4",
    repository: "https://github.com/stackhpc/ansible-collection-linux",
    commit: "023092e730551b8dca7dc819952fca3c661d1252",
  },
};

/** The commits of all releases of stackhpc.sriov: 0.1.0, 0.2.0 and 0.2.1. */
export const oldCommits: readonly string[] = [
  "4f1a02862956fd7600de48039bfdb69fb671308b",
  "acef5121c566540fbe1c487272b3299c0fec50ef",
  releases["stackhpc.sriov"].commit,
];

export type Plain = null | boolean | number | string;

/** What must hold for a rule. Without any, it always does. */
export interface Condition {
  /** The value is one of these, as Ansible compares truth: "no" is false. */
  readonly is?: readonly Plain[];
  readonly isNot?: readonly Plain[];
  /** The value is a text, in quotes, which Ansible does not read as a boolean or number. */
  readonly text?: true;
  /** An item of the value, or the value itself, is not a text of this form. */
  readonly unlike?: RegExp;
  /** No handler with the value as its name, or listening to it, is in what was read. */
  readonly noHandler?: true;
  /** What was read does not set this variable, or to another value than this one. */
  readonly unset?: string;
  readonly to?: string;
}

export interface Rule {
  readonly from?: Predecessor;
  readonly when?: Condition;
  readonly verdict: Verdict;
  /** Continues after "NAME: ". */
  readonly text: string;
}

export interface OldVariable {
  /** Its default in each release that had it, as its defaults file writes it; "" for one that had none. */
  readonly defaults: { readonly [name in Predecessor]?: string };
  /** What it did, with the file. */
  readonly meaning: string;
  /** The first that holds counts; the last one always does. */
  readonly rules: readonly Rule[];
}

const unit = /^[\w:.@\\-]+\.(service|target|socket|path|timer|mount)$|^$/;
/** What udev reads; the role lets a path begin with ~ or a variable of the environment, as Ansible does. */
const rulePath = /^[/~$].*\.rules$/;
const noMft: Condition = { unset: "sriov_firmware_tool", to: "mft" };
const mstflint = "the firmware tool is the distributions' mstflint, or mlxconfig where the host has it";
const numbers: readonly Rule[] = [
  {
    when: { unlike: /^\d+$/ },
    verdict: "different",
    text: "it was written to the kernel unchecked, and is refused now: give a whole number of 0 or more",
  },
  { verdict: "fine", text: "the same" },
];
const drivers: readonly Rule[] = [
  {
    from: "stackhpc.sriov",
    verdict: "different",
    text: "stackhpc.sriov 0.2.1 did not know it, and it takes effect now",
  },
  {
    when: { isNot: ["systemd", "udev"] },
    verdict: "different",
    text: "it was taken and no VFs came at boot; it is refused now: write systemd or udev",
  },
  { when: { is: ["systemd"] }, verdict: "fine", text: "one unit for all PFs, in place of one for each" },
  { verdict: "fine", text: "udev starts a unit for the PF, in place of a shell" },
];
const requiredBy: readonly Rule[] = [
  {
    from: "stackhpc.sriov",
    verdict: "different",
    text: "stackhpc.sriov 0.2.1 did not know it, and it takes effect now: these units do not start without the VFs",
  },
  {
    when: { unlike: unit },
    verdict: "different",
    text: "an incomplete name of a unit is refused now: write docker.service",
  },
  { verdict: "fine", text: "these units wait for the VFs of their device alone, by a drop-in" },
];

/** The variables of the predecessors, without those that no one set from outside. */
export const oldVariables: { readonly [name: string]: OldVariable } = {
  sriov_devices: {
    defaults: { "stackhpc.sriov": "[]", "stackhpc.linux.sriov": "[]" },
    meaning: "the NICs, by interface name (tasks/config.yml, tasks/mellanox.yml)",
    rules: [
      {
        verdict: "fine",
        text: "the same; a device can also be chosen by address, mac, vendor_id with product_id, or driver",
      },
    ],
  },
  sriov_numvfs: {
    defaults: { "stackhpc.sriov": "8", "stackhpc.linux.sriov": "8" },
    meaning: "number of VFs of a device without numvfs (tasks/config.yml)",
    rules: numbers,
  },
  sriov_numvfs_driver: {
    defaults: { "stackhpc.linux.sriov": "systemd" },
    meaning: "a unit for each NIC, or a line in the udev rule file (roles/sriov/tasks/config.yml)",
    rules: drivers,
  },
  sriov_numvfs_required_by: {
    defaults: { "stackhpc.linux.sriov": "[]" },
    meaning:
      "RequiredBy= of the unit of each NIC, linked when the unit was enabled first (roles/sriov/templates/virtual-function.service.j2)",
    rules: requiredBy,
  },
  sriov_udev_rule_path: {
    defaults: {
      "stackhpc.sriov": "/etc/udev/rules.d/70-sriov.rules",
      "stackhpc.linux.sriov": "/etc/udev/rules.d/70-sriov.rules",
    },
    meaning: "the file with the block BEGIN SRIOV (tasks/config.yml)",
    rules: [
      {
        when: { unlike: rulePath },
        verdict: "different",
        text: "it is refused now: give a path that begins with / and ends in .rules, as udev reads no other, and remove the old block from this file by hand",
      },
      {
        verdict: "fine",
        text: "keep it for the run that moves the host over: the role looks for the old block in this file",
      },
    ],
  },
  sriov_restart_handler: {
    defaults: { "stackhpc.sriov": "reboot", "stackhpc.linux.sriov": "reboot" },
    meaning:
      "the handler that was notified when a file or the firmware had changed (tasks/config.yml, tasks/mlxconfig.yml)",
    rules: [
      { when: { is: [null, ""] }, verdict: "different", text: "it is empty: remove the line to use the name reboot" },
      {
        when: { noHandler: true, isNot: ["reboot"] },
        verdict: "different",
        text: "nothing that was read contains a handler of this name: it must be in the play, or Ansible ends the play when a reboot is due; only for the name reboot that is not an error",
      },
      {
        verdict: "fine",
        text: "it is notified when a reboot is due and no longer for any change, and not at all where sriov_do_reboot is set",
      },
    ],
  },
  sriov_do_reboot: {
    defaults: { "stackhpc.linux.sriov": "true" },
    meaning:
      "true: sriov_restart_handler was notified; false: the role failed before it did anything (roles/sriov/tasks/config.yml, mlxconfig.yml)",
    rules: [
      {
        when: { is: [null] },
        verdict: "fine",
        text: "it counts as not set: the play's handler is notified when a reboot is due",
      },
      {
        from: "stackhpc.sriov",
        when: { is: [true] },
        verdict: "different",
        text: "stackhpc.sriov 0.2.1 did not know it, and it takes effect now: the role itself reboots the host, and the play's handler is not notified; remove the line to use the handler",
      },
      {
        from: "stackhpc.sriov",
        verdict: "different",
        text: "stackhpc.sriov 0.2.1 did not know it, and it takes effect now: nothing reboots and no handler is notified; remove the line to use the handler",
      },
      {
        when: { is: [true] },
        verdict: "different",
        text: "the role itself reboots the host, once, where it notified the play's handler; remove the line to use the handler",
      },
      {
        verdict: "different",
        text: "the role no longer fails: it does its work, reports what waits for a reboot, and neither reboots nor notifies a handler",
      },
    ],
  },
  sriov_action: {
    defaults: { "stackhpc.sriov": "", "stackhpc.linux.sriov": "" },
    meaning: "the tasks file to include; all when not set (tasks/main.yml)",
    rules: [
      {
        when: { isNot: ["all", "config", "mellanox"] },
        verdict: "different",
        text: "it named any file in tasks/; it is refused now: write all, config or mellanox",
      },
      { verdict: "fine", text: "the same" },
    ],
  },
  sriov_mellanox_vendor_ids: {
    defaults: { "stackhpc.sriov": '["0x15b3"]', "stackhpc.linux.sriov": '["0x15b3"]' },
    meaning: "the vendors whose firmware is set, as sysfs writes them (tasks/mellanox.yml)",
    rules: [
      {
        when: { unlike: /^(0x)?[\da-f]{4}$/i },
        verdict: "different",
        text: 'it fitted no card before; of a number YAML makes another one, which is taken now: write each in quotes, as in "0x15b3"',
      },
      {
        when: { unlike: /^0x[\da-f]{4}$/ },
        verdict: "different",
        text: 'it fitted no card before, for sysfs writes 0x and small letters; it fits now, and the firmware of these cards is set: take it out, or write it as in "0x15b3" to have that',
      },
      { verdict: "fine", text: "the same" },
    ],
  },
  sriov_install_enabled: {
    defaults: { "stackhpc.sriov": "true", "stackhpc.linux.sriov": "true" },
    meaning: "whether MFT and what it is built with were installed (tasks/mlxconfig.yml)",
    rules: [
      {
        when: { is: [false] },
        verdict: "fine",
        text: "nothing is installed; the host needs mstconfig or mlxconfig where firmware has to be set",
      },
      {
        verdict: "fine",
        text: "the packages in sriov_mstflint_pkgs are installed, and only where a card needs its firmware set and the host has no tool",
      },
    ],
  },
  sriov_iommu_pt_enabled: {
    defaults: { "stackhpc.sriov": "true", "stackhpc.linux.sriov": "true" },
    meaning: "read nowhere: iommu=pt was always put on the kernel line (tasks/config.yml)",
    rules: [
      { when: { is: [true] }, verdict: "fine", text: "iommu=pt, which was always set" },
      {
        verdict: "different",
        text: "it had no effect and has one now: iommu=pt is not put on the kernel line; remove by hand what the old role left in /etc/default/grub",
      },
    ],
  },
  sriov_mft_url: {
    defaults: {
      "stackhpc.sriov": "https://www.mellanox.com/downloads/MFT/mft-4.23.0-104-x86_64-rpm.tgz",
      "stackhpc.linux.sriov":
        "mft-4.23.0-104-x86_64-rpm.tgz on RedHat, otherwise mft-4.30.1-113-x86_64-deb.tgz, from https://www.mellanox.com/downloads/MFT",
    },
    meaning: "MFT, downloaded and installed as root without a checksum (tasks/mlxconfig.yml)",
    rules: [
      {
        when: noMft,
        verdict: "ineffective",
        text: `${mstflint}: it can be removed; to use MFT, set sriov_firmware_tool: mft and sriov_mft_checksum: sha256:DIGEST`,
      },
      {
        when: { unset: "sriov_mft_checksum" },
        verdict: "different",
        text: "a download without checksum is refused now: set sriov_mft_checksum: sha256:DIGEST",
      },
      { verdict: "fine", text: "the archive is verified with sriov_mft_checksum" },
    ],
  },
  sriov_mft_tarball: {
    defaults: {
      "stackhpc.sriov": "the last part of sriov_mft_url",
      "stackhpc.linux.sriov": "the last part of sriov_mft_url",
    },
    meaning: "the folder of the installer, by the archive's name without its end (tasks/mlxconfig.yml)",
    rules: [
      { when: noMft, verdict: "ineffective", text: `${mstflint}: it can be removed` },
      {
        verdict: "different",
        text: "an archive of this name that is in sriov_workdir on the host is installed, in place of a download",
      },
    ],
  },
  sriov_workdir: {
    defaults: {
      "stackhpc.sriov": "{{ ansible_facts.env.HOME}}/.sriov",
      "stackhpc.linux.sriov": "{{ ansible_facts.env.HOME }}/.sriov",
    },
    meaning: "where MFT was unpacked, by the user that Ansible logged in as (tasks/mlxconfig.yml)",
    rules: [
      {
        when: noMft,
        verdict: "ineffective",
        text: "only MFT's archive is kept there: it can be removed, and so can the old folder on the host, $HOME/.sriov by default",
      },
      {
        verdict: "different",
        text: "it must be a folder that root alone can write to, or the role refuses it; /var/cache/stackhpc-sriov when not set",
      },
    ],
  },
  sriov_os_pkgs: {
    defaults: { "stackhpc.sriov": "[gcc, rpm-build, pciutils, kernel-devel, make]" },
    meaning: "what MFT's installer needs; stackhpc.linux.sriov 1.6.4 ignored it (tasks/mlxconfig.yml)",
    rules: [
      {
        when: noMft,
        verdict: "ineffective",
        text: "MFT is not installed: it can be removed; the packages with the firmware tool are in sriov_mstflint_pkgs",
      },
      {
        from: "stackhpc.linux.sriov",
        verdict: "different",
        text: "stackhpc.linux.sriov 1.6.4 ignored it; it counts again, before sriov_os_pkgs_rpm and sriov_os_pkgs_deb",
      },
      { verdict: "fine", text: "the same, for every distribution" },
    ],
  },
  sriov_os_pkgs_rpm: {
    defaults: { "stackhpc.linux.sriov": "[gcc, rpm-build, pciutils, kernel-devel, make]" },
    meaning: "what MFT's installer needs on RedHat (roles/sriov/tasks/mlxconfig.yml)",
    rules: [
      {
        when: noMft,
        verdict: "ineffective",
        text: "MFT is not installed: it can be removed; the packages with the firmware tool are in sriov_mstflint_pkgs",
      },
      {
        from: "stackhpc.sriov",
        verdict: "different",
        text: "stackhpc.sriov 0.2.1 did not know it, and it takes effect now",
      },
      { verdict: "fine", text: "the same" },
    ],
  },
  sriov_os_pkgs_deb: {
    defaults: { "stackhpc.linux.sriov": "[gcc, pciutils, linux-headers-generic, make]" },
    meaning: "what MFT's installer needs elsewhere (roles/sriov/tasks/mlxconfig.yml)",
    rules: [
      {
        when: noMft,
        verdict: "ineffective",
        text: "MFT is not installed: it can be removed; the packages with the firmware tool are in sriov_mstflint_pkgs",
      },
      {
        from: "stackhpc.sriov",
        verdict: "different",
        text: "stackhpc.sriov 0.2.1 did not know it, and it takes effect now",
      },
      { verdict: "fine", text: "the same" },
    ],
  },
};

/**
 * Variables of stackhpc.linux.iommu, the role that people run next to stackhpc.linux.sriov (roles/iommu of the
 * collection).
 */
export const iommuVariables: { readonly [name: string]: OldVariable } = {
  iommu_pt: {
    defaults: { "stackhpc.linux.sriov": "true" },
    meaning:
      "whether the role iommu put iommu=pt on the kernel line; the role sriov put it there in any case (roles/iommu/tasks/main.yml)",
    rules: [
      {
        when: { is: [false] },
        verdict: "ineffective",
        text: "for this role the same is sriov_iommu_pt_enabled: false",
      },
      {
        verdict: "ineffective",
        text: "it is only for stackhpc.linux.iommu: it can be removed with that role; for this role it is sriov_iommu_pt_enabled",
      },
    ],
  },
  iommu_do_reboot: {
    defaults: { "stackhpc.linux.sriov": "true" },
    meaning: "whether the role iommu notified the handler reboot (roles/iommu/tasks/main.yml)",
    rules: [
      {
        verdict: "ineffective",
        text: "it is only for stackhpc.linux.iommu: it can be removed with that role; this role makes one reboot for all reasons, as sriov_do_reboot permits",
      },
    ],
  },
};

/** Keys of an entry of sriov_devices. */
export const oldKeys: { readonly [name: string]: OldVariable } = {
  name: {
    defaults: { "stackhpc.sriov": "", "stackhpc.linux.sriov": "" },
    meaning: "the interface (tasks/config.yml)",
    rules: [{ verdict: "fine", text: "the same; alternative names are found too" }],
  },
  numvfs: {
    defaults: { "stackhpc.sriov": "sriov_numvfs", "stackhpc.linux.sriov": "sriov_numvfs" },
    meaning: "what was written to sriov_numvfs, unchecked (tasks/config.yml)",
    rules: numbers,
  },
  numvfs_driver: {
    defaults: { "stackhpc.linux.sriov": "sriov_numvfs_driver" },
    meaning: "as sriov_numvfs_driver (roles/sriov/tasks/config.yml)",
    rules: drivers,
  },
  numvfs_required_by: {
    defaults: { "stackhpc.linux.sriov": "sriov_numvfs_required_by" },
    meaning: "as sriov_numvfs_required_by (roles/sriov/templates/virtual-function.service.j2)",
    rules: requiredBy,
  },
  on_boot_configuration_enabled: {
    defaults: { "stackhpc.sriov": "true", "stackhpc.linux.sriov": "true" },
    meaning: "false: neither rule nor unit; the firmware was set (tasks/config.yml)",
    rules: [
      {
        from: "stackhpc.linux.sriov",
        when: { text: true, is: [false] },
        verdict: "different",
        text: "a text in quotes, which counted as true for the unit, and counts as false now",
      },
      { verdict: "fine", text: "the same" },
    ],
  },
};

/**
 * Facts and variables that the predecessors set for themselves, and that a play could read afterwards
 * (tasks/mellanox.yml).
 */
export const goneFacts: { readonly [name: string]: string } = {
  sriov_pci_addrs: "the role no longer sets this fact; stackhpc.sriov.sriov_devices returns the addresses",
  device_meta: "the role no longer sets this fact; stackhpc.sriov.sriov_devices returns what is known of each PF",
};

/** Facts that this role sets for the rest of the play (role-template/tasks/summary.yml). */
export const newFacts: readonly string[] = ["sriov_reboot_required", "sriov_reboot_reasons", "sriov_vfs_changed"];

/** Files in tasks/ of the predecessors, as a play may have named them in tasks_from, and what says the same now. */
export const oldTaskFiles: { readonly [name: string]: string } = {
  all: "leave tasks_from out",
  config: "leave tasks_from out and set sriov_action: config",
  mellanox: "leave tasks_from out and set sriov_action: mellanox",
  mlxconfig: "leave tasks_from out and set sriov_action: mellanox",
};

/** What changes without anything in the files that says so, unless a variable does. */
export const changes: readonly { readonly from?: Predecessor; readonly unless?: string; readonly text: string }[] = [
  {
    from: "stackhpc.sriov",
    unless: "sriov_numvfs_driver",
    text: "VFs are created at boot by a unit that runs before the network is configured, no longer by udev; sriov_numvfs_driver: udev keeps udev.",
  },
  {
    text: "Without sriov_devices nothing is changed, and a host that this role or the old one configured is refused; the old roles treated that as []. Now [] removes all their VFs: make sure that no inventory loses the variable.",
  },
  { text: "The number of VFs is changed live where no VF is in use; a reboot is requested when only that helps." },
  {
    text: "A PF that has VFs from the old files and is not in sriov_devices loses them: at once when they are idle, otherwise at the next boot.",
  },
  { text: "A device that a host does not have is refused; optional: true allows it." },
  {
    text: "intel_iommu=on depends on the vendor of the processor: stackhpc.sriov set it nowhere, and stackhpc.linux.sriov failed with ansible-core 2.19 and later. iommu=pt is set on Intel and AMD only, not on all processors as before.",
  },
  {
    unless: "sriov_firmware_exact",
    text: "The firmware of Mellanox cards offers at least as many VFs as requested, counted for all ports of a card; sriov_firmware_exact: true lowers the number too.",
  },
  {
    text: "Firmware is set by mstflint, or by the mlxconfig that the host has; MFT is not downloaded unless sriov_firmware_tool is mft.",
  },
];
