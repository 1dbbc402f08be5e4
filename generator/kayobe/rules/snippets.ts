import { group } from "../artefact.js";
import { isDeviceOption } from "../deviceOptions.js";
import { isBare, withoutSnippets } from "../devices.js";
import type { Draft } from "../draft.js";
import { textOfEntry } from "../ini.js";
import type { IniEntry } from "../ini.js";
import { isVaulted } from "../../system/ansible.js";

/** Removes options that published guides have a site write, because they follow from sriov_devices now. */
export function removeSnippets(draft: Draft): void {
  const { view, isOurs } = draft;
  for (const path of view.once(view.below(`${view.target}kolla/config`))) {
    const text = view.textOf(path);
    if (text === undefined || isVaulted(text)) continue;
    const inLayer = path.slice(view.target.length);
    const isDevices = (entry: IniEntry): boolean => isDeviceOption(inLayer, entry) && !isOurs(textOfEntry(entry));
    const rest = withoutSnippets(view, text, isDevices);
    if (!rest) continue;
    draft.put(path, rest.text);
    if (rest.hadDevices)
      draft.hint(
        `${path}: what it made from sriov_physnet_mappings is removed. It is now derived from the inventory, only on the ` +
          `hosts of ${group}: before a deploy, make sure that all hosts with VFs are in that group.`,
      );
  }
}

/** Whether the removal has left nothing in a file but headings, so that ours may take its place as a whole. */
export function isEmptied({ before, view }: Draft, path: string): boolean {
  const text = view.textOf(path);
  return text !== undefined && text !== before.textOf(path) && isBare(text);
}
