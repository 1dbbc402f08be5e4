import { addToList, itemsOf } from "./ini.js";
import type { Ini, IniEntry } from "./ini.js";
import { conditionsOf, depthAt, isAlwaysReached, openAt } from "./jinja.js";
import { layersFor, optionSources } from "./joining.js";
import { isSealed, location } from "./layers.js";
import type { LayeredConfig } from "./layers.js";

export const filters = { section: "filter_scheduler", key: "enabled_filters" } as const;
const [beforeOurs, home] = ["kolla/config/global.conf", "kolla/config/nova.conf"] as const;
/** Where nova-scheduler reads its filters from, the last one wins. */
const schedulerFiles = [beforeOurs, home, "kolla/config/nova/nova-scheduler.conf"];

export interface FilterEdits {
  /** Whether there is a list that all schedulers read; without one, ours is to be made. */
  readonly general: boolean;
  readonly texts: readonly { readonly path: string; readonly text: string }[];
  /** Lists that come in place of those of other layers, or before those under a condition, as lines for the section. */
  readonly lists: readonly { readonly path: string; readonly chunk: string }[];
  readonly refusals: readonly string[];
}

/** Nova's filter, in every file that has a list of filters. */
export function filterEdits(view: LayeredConfig, item: string, ownList: string): FilterEdits {
  const { section, key } = filters;
  const texts: { path: string; text: string }[] = [];
  const lists: { path: string; chunk: string }[] = [];
  const refusals: string[] = [];
  const perHost = new Set(view.layers.flatMap((layer) => view.once(view.below(`${layer}kolla/config/nova`)).map((path) => path.slice(layer.length)).filter((path) => /^kolla\/config\/nova\/[^/]+\/nova\.conf$/.test(path))));
  for (const path of [...schedulerFiles, ...perHost]) {
    const all = optionSources(view, path, section, key);
    const lacking = all.filter(({ ini, entry }) => !alwaysHas(ini, entry, item));
    const byHand = lacking.filter((one) => (view.isTargets(one.path) ? !one.entry.open : all.length > 1));
    for (const one of byHand) refusals.push(`${location(one.path, one.entry.line)}: ${key} has ${one.entry.value.includes(item) ? `${item} under a condition only` : `no ${item}`}, and a condition of Jinja decides what it has or where it holds: that is not edited here. Add ${item} to it by hand.`);
    if (byHand.length > 0) continue;
    const here = lacking.filter((one) => view.isTargets(one.path));
    // From the end on, so that the places of those before stay.
    if (here.length > 0) texts.push({ path: view.target + path, text: here.reduceRight((text, { ini, entry }) => addToList({ ...ini, text }, entry, item), here[0]!.ini.text) });
    for (const { path: from, entry } of lacking.filter((one) => !view.isTargets(one.path))) {
      // In an expression, commas are no ends of items.
      const value = /\{[{%]/.test(entry.value) ? `${entry.value.replaceAll("\n", " ").replace(/,\s*$/, "")}, ${item}` : [...itemsOf(entry), item].join(", ");
      lists.push({ path: view.target + path, chunk: `# What ${from} has is repeated: of two lists, Nova takes the last.\n${key} = ${value}\n` });
    }
  }
  const general = lists.length > 0 || schedulerFiles.some((path) => layersFor(view, path).some((layer) => isUnconditional(view.options(layer + path))));
  const sealed = general ? undefined : view.layers.flatMap((layer) => schedulerFiles.map((path) => layer + path)).find((path) => view.has(path) && isSealed(view.textOf(path)));
  if (sealed !== undefined) {
    const open = schedulerFiles.toReversed().map((path) => view.target + path).find((path) => !view.has(path) || !isSealed(view.textOf(path)));
    refusals.push(`${sealed} is encrypted with Ansible Vault or cannot be read, and may have a list of filters, which ours would replace. ${open === undefined ? "Make one of Nova's files readable, and add to it by hand" : `Add by hand to ${open}, which must not be encrypted, with your filters if you have some`}:\n    [${section}]\n    ${key} = ${ownList}`);
    return { general: true, texts, lists, refusals };
  }
  const fallback = general ? "usual" : placeBeforeConditions(view);
  if (fallback === "usual") return { general, texts, lists, refusals };
  if (fallback === "nowhere") {
    const first = optionSources(view, beforeOurs, section, key)[0]!;
    refusals.push(`${location(first.path, first.entry.line)}: ${key} stands under a condition, without which Nova has its own list, in which ${item} is not; and Nova reads nothing before this file. Add above that condition, by hand:\n    [${section}]\n    ${key} = ${ownList}`);
  } else lists.push({ path: view.target + beforeOurs, chunk: `# For when no condition in the files that Nova reads after this one gives it another list.\n${key} = ${ownList}\n` });
  return { general: true, texts, lists, refusals };
}

/** Where a list is read before all those that stand under a condition: in nova.conf as ever, or in global.conf. */
function placeBeforeConditions(view: LayeredConfig): "usual" | "before" | "nowhere" {
  const [global, nova] = [optionSources(view, beforeOurs, filters.section, filters.key), optionSources(view, home, filters.section, filters.key)];
  if (global.length > 0) return "nowhere";
  const first = nova[0];
  if (!first) return "usual";
  // A heading above it is where ours comes.
  const heading = first.ini.sections.find(({ name, conditional }) => name === filters.section && !conditional);
  return view.isTargets(first.path) && heading !== undefined && heading.after <= first.entry.start ? "usual" : "before";
}

/** Whether a file has a list whatever the conditions in it say. */
function isUnconditional(ini: Ini): boolean {
  const own = ini.entries.filter(({ section, key }) => section === filters.section && key === filters.key);
  // A condition in the line of the option itself is none that a place can be in.
  return isAlwaysReached(ini.text, own.filter(({ conditional, start }) => !conditional || openAt(ini.text, start).length > 0).map(({ start }) => start));
}

/** Whether a list has an item whatever the conditions and expressions in it say. */
function alwaysHas({ text }: Ini, entry: IniEntry, item: string): boolean {
  const conditions = conditionsOf(text);
  const own = text.slice(entry.start, entry.end);
  const begin = entry.start + /^(\{%.*?%\}\s*)*/.exec(own)![0].length;
  const expressions = [...own.matchAll(/\{\{[\s\S]*?\}\}/g)];
  return [...own.matchAll(new RegExp(`(?<![\\w.])${item}(?!\\w)`, "g"))].some(({ index }) => {
    if (depthAt(conditions, entry.start + index) !== depthAt(conditions, begin)) return false;
    const around = expressions.find((expression) => expression.index < index && index < expression.index + expression[0].length);
    return !around || !/\b(if|or|and|default|d|reject|difference)\b/.test(around[0]);
  });
}
