import type { OutFile } from "../../ir.js";
import { artefactYaml } from "../artefact.js";
import type { Draft } from "../draft.js";
import { isVaulted } from "../../system/ansible.js";
import { indented, isTemplated } from "../layers.js";
import { isRefused, readYaml, sourceOf } from "../yaml.js";
import type { Item, Yaml } from "../yaml.js";
import { extendList } from "./list.js";
import { setVariable } from "./value.js";

/** Sets each variable of a file of the artefact; a list with items is added to. */
export function variables(draft: Draft, file: OutFile): void {
  const yaml = artefactYaml(file);
  if (isUnreadable(draft, file.path, yaml)) return;
  for (const [key, value] of Object.entries(yaml.data)) {
    const source = sourceOf(yaml, key);
    const comment = source.split("\n").filter((line) => line.startsWith("#"));
    if (Array.isArray(value) && value.length > 0) extendList(draft, file.path, key, value as Item[], comment);
    else setVariable(draft, file.path, { key, source, value });
  }
}

/** Whether Kayobe renders the target's file with Jinja, so that it cannot be edited; refuses what is missing in it. */
function isUnreadable(draft: Draft, inLayer: string, wanted: Yaml): boolean {
  const path = draft.view.target + inLayer;
  const text = draft.view.textOf(path);
  if (text === undefined || isVaulted(text) || !isTemplated(inLayer)) return false;
  const read = readYaml(text, true);
  if (!isRefused(read)) return false;
  const isThere = (source: string): boolean => text.replaceAll("\r", "").includes(source.trim());
  const missing = Object.keys(wanted.data)
    .map((key) => sourceOf(wanted, key))
    .filter((source) => !isThere(source));
  if (missing.length > 0)
    draft.refuse(
      `${path} ${read.refused}. Kayobe renders it with Jinja, and it cannot be edited here. ` +
        `Add by hand:\n${indented(missing.join(""))}`,
    );
  return true;
}
