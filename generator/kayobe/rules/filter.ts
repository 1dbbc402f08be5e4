import type { Draft } from "../draft.js";
import { editable } from "../edits.js";
import { filterEdits, filters } from "../filters.js";
import { addToSection, itemsOf, readIni } from "../ini.js";
import type { IniEntry } from "../ini.js";

/**
 * Adds the filter for PCI devices to the lists of filters that nova-scheduler reads.
 *
 * @param wanted the artefact's own list, whose last item is the filter
 * @param trailer what is to end a file
 * @returns whether all schedulers read a list then; otherwise the artefact's own must be written
 */
export function addFilter(draft: Draft, wanted: IniEntry, trailer: string): boolean {
  const edits = filterEdits(draft.view, itemsOf(wanted).at(-1)!, wanted.value);
  for (const { path, text } of edits.texts) draft.put(path, text);
  for (const { path, chunk } of edits.lists) {
    const text = editable(draft, path, `[${filters.section}]\n${chunk}`);
    if (text !== undefined) draft.put(path, addToSection(readIni(text), filters.section, chunk, trailer));
  }
  for (const sentence of edits.refusals) draft.refuse(sentence);
  return edits.general;
}
