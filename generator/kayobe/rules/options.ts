import { posix } from "node:path";
import type { OutFile } from "../../ir.js";
import { command } from "../artefact.js";
import { nova, novaElsewhere, pciOption, shortKey } from "../deviceOptions.js";
import type { Draft } from "../draft.js";
import { editable } from "../edits.js";
import { optionOf } from "../environments.js";
import { filters } from "../filters.js";
import { addToSection, chunkOf, readIni, replaceEntry, textOfEntry, trailerOf } from "../ini.js";
import type { Ini, IniEntry } from "../ini.js";
import { layersFor } from "../joining.js";
import { location } from "../layers.js";
import { addFilter } from "./filter.js";
import { isEmptied } from "./snippets.js";

/** Sets each option of a file of the artefact for a service of OpenStack. */
export function options(draft: Draft, file: OutFile): void {
  const wanted = readIni(file.text);
  const missing: IniEntry[] = [];
  for (const entry of wanted.entries) if (!settle(draft, file, wanted, entry)) missing.push(entry);
  if (missing.length === 0 || (file.path === nova && novaElsewhere(draft.view, draft.isOurs))) return;
  const path = draft.view.target + file.path;
  const isNew = isEmptied(draft, path) || (draft.view.textOf(path) === undefined && !draft.view.fileAt(path));
  if (isNew && missing.length === wanted.entries.length) return draft.put(path, file.text);
  for (const section of new Set(missing.map((entry) => entry.section))) {
    const own = missing.filter((entry) => entry.section === section);
    const lines = own.map((entry) => chunkOf(wanted, entry)).join("");
    const other = file.path === nova ? `${draft.view.target}kolla/config/nova.conf` : undefined;
    const text = editable(draft, path, `[${section}]\n${lines}`, other);
    if (text !== undefined) draft.put(path, addToSection(readIni(text), section, lines, trailerOf(wanted)));
  }
}

/** Edits an option that is there already. Whether that was enough; otherwise the option must be added. */
function settle(draft: Draft, file: OutFile, wanted: Ini, entry: IniEntry): boolean {
  const isFilters = entry.section === filters.section && entry.key === filters.key;
  return isFilters ? addFilter(draft, entry, trailerOf(wanted)) : settleOwn(draft, file.path, entry);
}

/** The same for an option of ours: what an earlier version wrote is replaced. Options of the site are conflicts. */
function settleOwn(draft: Draft, path: string, wanted: IniEntry): boolean {
  const [first, second] = ownOptions(draft, path, wanted);
  if (!first) return false;
  const where = location(first.path, first.entry.line);
  if (second)
    draft.refuse(
      `${location(second.path, second.entry.line)}: ${shortKey(wanted)} is set twice, first in ${where}. ` +
        "Delete this one.",
    );
  if (first.entry.key === wanted.key && first.entry.value === wanted.value) return true;
  if (draft.view.isTargets(first.path))
    draft.put(first.path, replaceEntry(first.ini, first.entry, `${wanted.key} = ${wanted.value}`));
  else
    draft.refuse(
      `${where}: ${shortKey(wanted)} was written by an earlier version. ` +
        `Run ${command} for that layer first, ${optionOf(first.layer)}.`,
    );
  return true;
}

interface OwnOption {
  readonly layer: string;
  readonly path: string;
  readonly ini: Ini;
  readonly entry: IniEntry;
}

/** The option in the files of all layers that count, as far as it is ours. */
function ownOptions({ view, isOurs }: Draft, inLayer: string, wanted: IniEntry): OwnOption[] {
  return layersFor(view, inLayer).flatMap((layer) => {
    const path = layer + inLayer;
    // A file that Kayobe takes from another layer is checked there.
    if (!view.below(posix.dirname(path)).includes(path)) return [];
    const ini = view.options(path);
    return ini.entries
      .filter((entry) => isSameOption(entry, wanted) && isOurs(textOfEntry(entry)))
      .map((entry) => ({ layer, path, ini, entry }));
  });
}

function isSameOption(entry: IniEntry, wanted: IniEntry): boolean {
  return pciOption(wanted) ? pciOption(entry) : entry.section === wanted.section && entry.key === wanted.key;
}
