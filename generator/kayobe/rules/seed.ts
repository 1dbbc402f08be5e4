import type { OutFile } from "../../ir.js";
import { groupFolder } from "../artefact.js";
import type { Draft } from "../draft.js";

/** Makes the file of the devices, once: then it belongs to the site. Not where it would hide variables of the site. */
export function seed(draft: Draft, file: OutFile): void {
  const { view } = draft;
  if (view.layers.some((layer) => view.has(layer + file.path))) return;
  if (view.layers.some((layer) => isOneFile(draft, layer + groupFolder))) return;
  const inventories = view.layers.flatMap((layer) => view.below(`${layer}inventory`));
  const isOfGroup = (path: string): boolean => view.layers.some((layer) => path.startsWith(`${layer}${groupFolder}/`));
  if (inventories.some((path) => isOfGroup(path) && !path.endsWith("/sriov_openstack"))) return;
  const setsDevices = (path: string): boolean => "sriov_devices" in (view.opened(path)?.data ?? {});
  if (inventories.some((path) => path.includes("/group_vars/") && setsDevices(path))) return;
  // The file lies deeper in an environment, and the path to the schema begins at the file.
  const up = "../".repeat(view.target.split("/").length - 1);
  draft.put(
    view.target + file.path,
    file.text.replace("$schema=", (start) => start + up),
  );
}

/** Whether the variables of the group are in one file, in place of the folder. */
function isOneFile({ view }: Draft, folder: string): boolean {
  if (view.fileAt(folder)?.text !== undefined) return true;
  return [".yml", ".yaml", ".json"].some((extension) => view.fileAt(folder + extension));
}
