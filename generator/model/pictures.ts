import type { Picture } from "../ir.js";

/** What happens on a host, in this order: drawn in README.md, and in characters in the artefacts' READMEs. */
export const pictures: readonly Picture[] = [
  {
    title: "At boot",
    steps: [
      {
        id: "kernel",
        says: "The kernel starts with the IOMMU parameters",
        otherwise: [
          { when: "ConnectX-3", says: "mlx4_core creates the VFs from its module options" },
          {
            when: "udev, or a card added later",
            says: "udev starts sriov-vfs@ADDRESS.service by 70-sriov.rules; no network waits",
          },
        ],
      },
      { id: "unit", says: "sriov-vfs.service waits for the drivers of the PFs that are present" },
      {
        id: "program",
        says: "sriov-vfs creates the VFs that vfs.json lists",
        otherwise: [
          { when: "a PF fails", says: "sriov-vfs.service fails; the other PFs get their VFs" },
          {
            when: "units in numvfs_required_by",
            says: "they start only if sriov-vfs-ready@ADDRESS.service finds the VFs",
          },
        ],
      },
      { id: "network", says: "network-pre.target: the network is configured" },
    ],
  },
  {
    title: "On a run of the role",
    steps: [
      {
        id: "devices",
        says: "sriov_devices reads the PFs and checks the list",
        otherwise: [{ when: "an error", says: "the role refuses the list; nothing has changed" }],
      },
      {
        id: "bios",
        says: "sriov_bios sets the BIOS through a BMC; sriov_bios_notes remembers it",
      },
      { id: "mellanox", says: "sriov_firmware and sriov_mlx4 configure Mellanox cards" },
      { id: "kernel", says: "sriov_kernel_parameters sets the next boot's IOMMU parameters" },
      { id: "vfs", says: "sriov_vfs creates VFs where this disturbs nothing, and sets up the boot" },
      {
        id: "due",
        says: "Is a reboot due?",
        asks: true,
        otherwise: [
          { when: "no", says: "done" },
          { when: "a reboot did not apply the changes", says: "an error, no second reboot" },
        ],
        goesOn: "yes",
      },
      {
        id: "permission",
        says: "sriov_do_reboot",
        asks: true,
        otherwise: [
          { when: "false", says: "the role reports the reasons, nothing reboots" },
          { when: "not set", says: "the play's handler reboots, if it has one" },
        ],
        goesOn: "true",
      },
      { id: "reboot", says: "The role reboots once at the end of the play, then reads everything back" },
    ],
  },
];
