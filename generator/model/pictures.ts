import type { Picture } from "../ir.js";

/** What happens on a host, in the order in which it does: drawn in README.md, and in characters in the artefacts' READMEs. */
export const pictures: readonly Picture[] = [
  {
    title: "At boot",
    steps: [
      {
        id: "kernel",
        says: "The kernel starts with the IOMMU parameters",
        otherwise: [
          { when: "ConnectX-3", says: "mlx4_core makes the VFs, as its module options say" },
          { when: "udev, or a card that comes later", says: "sriov-vfs@ADDRESS.service, by 70-sriov.rules; no network waits for it" },
        ],
      },
      { id: "unit", says: "sriov-vfs.service waits for the drivers of the PFs that are there" },
      {
        id: "program",
        says: "sriov-vfs makes the VFs that vfs.json asks for",
        otherwise: [
          { when: "a PF fails", says: "sriov-vfs.service fails; the other PFs have their VFs" },
          { when: "units in numvfs_required_by", says: "they start if sriov-vfs-ready@ADDRESS.service finds the VFs" },
        ],
      },
      { id: "network", says: "network-pre.target: the network is configured" },
    ],
  },
  {
    title: "On a run of the role",
    steps: [
      { id: "devices", says: "sriov_devices reads the PFs and checks the list", otherwise: [{ when: "a mistake", says: "refused; nothing has changed" }] },
      { id: "mellanox", says: "sriov_firmware and sriov_mlx4 set what Mellanox cards need" },
      { id: "kernel", says: "sriov_kernel_parameters sets the next boot's IOMMU parameters" },
      { id: "vfs", says: "sriov_vfs makes VFs where nothing is disturbed, and sets up the boot" },
      {
        id: "due",
        says: "Is a reboot due?",
        asks: true,
        otherwise: [
          { when: "no", says: "done" },
          { when: "a reboot did not help", says: "an error, no second reboot" },
        ],
        goesOn: "yes",
      },
      {
        id: "permission",
        says: "sriov_do_reboot",
        asks: true,
        otherwise: [
          { when: "false", says: "the reasons are told, nothing reboots" },
          { when: "not set", says: "the play's handler reboots, if it has one" },
        ],
        goesOn: "true",
      },
      { id: "reboot", says: "One reboot at the end of the play, then all is read back" },
    ],
  },
];
