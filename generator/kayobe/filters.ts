import { addToList, itemsOf } from "./ini.js";
import type { Ini, IniEntry } from "./ini.js";
import { conditionsOf, depthAt, isAlwaysReached, openAt } from "./jinja.js";
import { layersFor, optionSources } from "./joining.js";
import type { OptionSource } from "./joining.js";
import { isSealed, location } from "./layers.js";
import type { LayeredConfig } from "./layers.js";

/** The option with nova-scheduler's filters. */
export const filters = { section: "filter_scheduler", key: "enabled_filters" } as const;
const [beforeOurs, home] = ["kolla/config/global.conf", "kolla/config/nova.conf"] as const;
/** Where nova-scheduler reads its filters from, the last one wins. */
const schedulerFiles = [beforeOurs, home, "kolla/config/nova/nova-scheduler.conf"];

export interface FilterEdits {
  /** Whether there is a list that all schedulers read; without one, ours must be written. */
  readonly general: boolean;
  readonly texts: readonly { readonly path: string; readonly text: string }[];
  /** Lists that replace those of other layers, or go before those under a condition, as lines for the section. */
  readonly lists: readonly { readonly path: string; readonly chunk: string }[];
  readonly refusals: readonly string[];
}

/** Edits of one file, or of one kind. */
type Edits = Omit<FilterEdits, "general">;

/**
 * The edits that bring Nova's filter into every file that has a list of filters.
 *
 * @param item the filter
 * @param ownList the artefact's own list, with the filter
 */
export function filterEdits(view: LayeredConfig, item: string, ownList: string): FilterEdits {
  const each = [...schedulerFiles, ...filesOfHosts(view)].map((path) => editsOf(view, path, item));
  const edits = joined(each);
  const isRead = (path: string): boolean =>
    layersFor(view, path).some((layer) => isUnconditional(view.options(layer + path)));
  if (edits.lists.length > 0 || schedulerFiles.some(isRead)) return { ...edits, general: true };
  const sealed = sealedFile(view);
  if (sealed !== undefined) {
    const refusal = mayReplace(view, sealed, ownList);
    return { ...edits, general: true, refusals: [...edits.refusals, refusal] };
  }
  const first = firstConditional(view);
  if (first === undefined) return { ...edits, general: false };
  return { ...joined([edits, listBefore(view, first, item, ownList)]), general: true };
}

function joined(all: readonly Edits[]): Edits {
  return {
    texts: all.flatMap(({ texts }) => texts),
    lists: all.flatMap(({ lists }) => lists),
    refusals: all.flatMap(({ refusals }) => refusals),
  };
}

/** Files with which single hosts replace the others. */
function filesOfHosts(view: LayeredConfig): ReadonlySet<string> {
  const all = view.layers.flatMap((layer) =>
    view.once(view.below(`${layer}kolla/config/nova`)).map((path) => path.slice(layer.length)),
  );
  return new Set(all.filter((path) => /^kolla\/config\/nova\/[^/]+\/nova\.conf$/.test(path)));
}

/** The edits for the files of one name. */
function editsOf(view: LayeredConfig, path: string, item: string): Edits {
  const all = optionSources(view, path, filters.section, filters.key);
  const lacking = all.filter(({ ini, entry }) => !alwaysHas(ini, entry, item));
  const byHand = lacking.filter((one) => (view.isTargets(one.path) ? !one.entry.open : all.length > 1));
  if (byHand.length > 0) return { texts: [], lists: [], refusals: byHand.map((one) => decidedByCondition(one, item)) };
  const here = lacking.filter((one) => view.isTargets(one.path));
  const others = lacking.filter((one) => !view.isTargets(one.path));
  // From the end on, so that the places of those before stay.
  const added = (text: string, { ini, entry }: OptionSource): string => addToList({ ...ini, text }, entry, item);
  const [first] = here;
  return {
    texts: first ? [{ path: view.target + path, text: here.reduceRight(added, first.ini.text) }] : [],
    lists: others.map((one) => ({ path: view.target + path, chunk: repeated(one, item) })),
    refusals: [],
  };
}

function decidedByCondition({ path, entry }: OptionSource, item: string): string {
  const has = entry.value.includes(item) ? `${item} under a condition only` : `no ${item}`;
  return (
    `${location(path, entry.line)}: ${filters.key} has ${has}, and a Jinja condition decides what it contains ` +
    `or where it applies: that is not edited here. Add ${item} to it by hand.`
  );
}

/** The list of another layer, with the filter. */
function repeated({ path, entry }: OptionSource, item: string): string {
  // In an expression, commas do not end items.
  const isExpression = /\{[{%]/.test(entry.value);
  const plain = entry.value.replaceAll("\n", " ").replace(/,\s*$/, "");
  const value = isExpression ? `${plain}, ${item}` : [...itemsOf(entry), item].join(", ");
  return `# The list of ${path}, repeated: of two lists, Nova uses the last.\n${filters.key} = ${value}\n`;
}

/** A file that may have a list which cannot be read. */
function sealedFile(view: LayeredConfig): string | undefined {
  const paths = view.layers.flatMap((layer) => schedulerFiles.map((path) => layer + path));
  return paths.find((path) => view.has(path) && isSealed(view.textOf(path)));
}

function mayReplace(view: LayeredConfig, sealed: string, ownList: string): string {
  const open = schedulerFiles
    .toReversed()
    .map((path) => view.target + path)
    .find((path) => !view.has(path) || !isSealed(view.textOf(path)));
  const advice =
    open === undefined
      ? "Make one of Nova's files readable, and add to it by hand"
      : `Add by hand to ${open}, which must not be encrypted, with your filters if you have some`;
  return (
    `${sealed} is encrypted with Ansible Vault or cannot be read, and may contain a list of filters, which this one would ` +
    `replace. ${advice}:\n${byHandLines(ownList)}`
  );
}

function byHandLines(ownList: string): string {
  return `    [${filters.section}]\n    ${filters.key} = ${ownList}`;
}

/** The first list under a condition, when ours would not be read before it in its usual place. */
function firstConditional(view: LayeredConfig): OptionSource | undefined {
  const [global] = optionSources(view, beforeOurs, filters.section, filters.key);
  if (global) return global;
  const [first] = optionSources(view, home, filters.section, filters.key);
  if (!first) return undefined;
  // A heading above it is where ours comes.
  const heading = first.ini.sections.find(({ name, conditional }) => name === filters.section && !conditional);
  const isBelow = heading !== undefined && heading.after <= first.entry.start;
  return view.isTargets(first.path) && isBelow ? undefined : first;
}

/** A list that is read before one under a condition; Nova reads nothing before global.conf. */
function listBefore(view: LayeredConfig, first: OptionSource, item: string, ownList: string): Edits {
  const isInGlobal = first.path === first.layer + beforeOurs;
  if (!isInGlobal) {
    const why = "# For the case that no condition in the files that Nova reads later sets another list.";
    const chunk = `${why}\n${filters.key} = ${ownList}\n`;
    return { texts: [], lists: [{ path: view.target + beforeOurs, chunk }], refusals: [] };
  }
  const refusal =
    `${location(first.path, first.entry.line)}: ${filters.key} is under a condition. Without it Nova uses ` +
    `its own list, which does not contain ${item}; and Nova reads nothing before this file. ` +
    `Add by hand, above that condition:\n${byHandLines(ownList)}`;
  return { texts: [], lists: [], refusals: [refusal] };
}

/** Whether a file has a list under all conditions in it. */
function isUnconditional(ini: Ini): boolean {
  const own = ini.entries.filter(({ section, key }) => section === filters.section && key === filters.key);
  // A condition in the line of the option itself is none that a place can be in.
  const counted = own.filter(({ conditional, start }) => !conditional || openAt(ini.text, start).length > 0);
  const places = counted.map(({ start }) => start);
  return isAlwaysReached(ini.text, places);
}

/** Whether a list has an item under all conditions and expressions in it. */
function alwaysHas({ text }: Ini, entry: IniEntry, item: string): boolean {
  const conditions = conditionsOf(text);
  const own = text.slice(entry.start, entry.end);
  const begin = entry.start + /^(\{%.*?%\}\s*)*/.exec(own)![0].length;
  const expressions = [...own.matchAll(/\{\{[\s\S]*?\}\}/g)];
  return [...own.matchAll(new RegExp(`(?<![\\w.])${item}(?!\\w)`, "g"))].some(({ index }) => {
    if (depthAt(conditions, entry.start + index) !== depthAt(conditions, begin)) return false;
    const around = expressions.find(({ 0: whole, index: at }) => at < index && index < at + whole.length);
    return !around || !/\b(if|or|and|default|d|reject|difference)\b/.test(around[0]);
  });
}
