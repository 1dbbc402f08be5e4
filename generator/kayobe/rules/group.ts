import type { OutFile } from "../../ir.js";
import { group } from "../artefact.js";
import type { Draft } from "../draft.js";
import { groupsOf, isHostsFile, isPartOf } from "../groups.js";
import { indented } from "../layers.js";

/** Makes the file with the group, unless a file of the inventory has the group. */
export function groupFile(draft: Draft, file: OutFile): void {
  const { view } = draft;
  const hosts = view.layers.flatMap((layer) => view.below(`${layer}inventory`)).filter(isHostsFile);
  const textOf = (path: string): string => view.textOf(path) ?? "";
  const home = hosts.find((path) => groupsOf([textOf(path)]).names.has(group));
  if (home === undefined) return makeGroup(draft, file);
  const all = groupsOf(hosts.map(textOf));
  if (all.dynamic || isPartOf(all, group, "compute")) return;
  draft.hint(
    `${home} contains the group ${group}, and nothing makes it part of compute: Kayobe ignores its hosts, unless they ` +
      `are in compute directly. Otherwise add ${group} below [compute:children].`,
  );
}

function makeGroup(draft: Draft, { path, text }: OutFile): void {
  const { view } = draft;
  // Where the site has the first file for something else. Ansible reads the files by their names, and takes as children
  // only groups that it has read about: so the other names come after the first one.
  const free = [path, "inventory/sriov_group", "inventory/sriov_group_2"].find((name) => !view.has(view.target + name));
  if (free === undefined)
    return draft.refuse(
      `No file of ${view.target}inventory contains the group ${group}, and ${path} and the names to use in its ` +
        `place are taken. Add by hand to a file of ${view.target}inventory:\n${indented(text)}`,
    );
  const [taken, made] = [view.target + path, view.target + free];
  if (free !== path)
    draft.hint(`${taken} does not contain the group ${group}, and is left unchanged. The group is in ${made}.`);
  draft.put(made, text);
}
