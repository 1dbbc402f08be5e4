import type { OutFile } from "../../ir.js";
import { command, group, groupFolder, playbookPath } from "../artefact.js";
import type { Draft } from "../draft.js";
import { isPublished } from "../playbook.js";

/** In the first comment of files that belong to the artefact as a whole. */
const mark = /^(---\s*)?# Written by sriov-role kayobe, which replaces it/;

/** Whether a file belongs to the artefact as a whole, of any version. */
export function isWholeFile({ text }: { readonly text: string }): boolean {
  return mark.test(text);
}

/** Writes a file that belongs to the artefact as a whole. One of another author with its name is refused. */
export function wholeFile(draft: Draft, file: OutFile): void {
  const { view } = draft;
  if (file.path.startsWith(`${groupFolder}/`) && (!hasRoomForFolder(draft) || isInherited(draft, file))) return;
  // Environments share the playbooks of the base.
  const path = (file.path.startsWith("ansible/") ? "" : view.target) + file.path;
  const old = view.textOf(path);
  const isOwn = old !== undefined && mark.test(old);
  if (file.path === playbookPath && !isOwn && old !== undefined && isPublished(old, group))
    draft.hint(
      `${path} was the playbook of a published guide, and is replaced. A reboot that is due needs ` +
        "sriov_do_reboot: true now, and happens at the end of the run.",
    );
  else if (view.fileAt(path) && !isOwn)
    return draft.refuse(
      `${path} does not belong to ${command}, or no longer does: its first comment does not say so. ` +
        "Move it elsewhere, and run this again.",
    );
  draft.put(path, file.text);
}

/** Whether the variables of the group are in a folder, or can be; otherwise a refusal with the command to type. */
function hasRoomForFolder(draft: Draft): boolean {
  const { view } = draft;
  const folder = view.target + groupFolder;
  for (const extension of [".yml", ".yaml", ".json"])
    if (view.fileAt(folder + extension))
      draft.refuse(
        `${folder}${extension} and a folder ${group} cannot both exist: ` +
          "Ansible reads the folder, and ignores the file. " +
          `Type: mkdir -p ${folder} && git mv ${folder}${extension} ${folder}/sriov${extension}`,
      );
  if (view.fileAt(folder)?.text === undefined) return true;
  draft.refuse(
    `${folder} is a file where a folder must be. Type: git mv ${folder} ${folder}.tmp && mkdir ${folder} && ` +
      `git mv ${folder}.tmp ${folder}/sriov`,
  );
  return false;
}

/** Whether a layer below has the same text, and the target has none: Ansible reads the inventories of all layers. */
function isInherited({ view }: Draft, { path, text }: OutFile): boolean {
  if (view.textOf(view.target + path) !== undefined) return false;
  const nearest = view.layers.slice(0, -1).findLast((layer) => view.fileAt(layer + path));
  return nearest !== undefined && view.textOf(nearest + path) === text;
}
