import { addToList, itemsOf } from "./ini.js";
import { holding, inNumbers, isSealed } from "./view.js";
import type { View } from "./view.js";

export const filters = { section: "filter_scheduler", key: "enabled_filters" } as const;
/** Where nova-scheduler reads its filters from, the last one wins. */
const schedulerFiles = ["kolla/config/global.conf", "kolla/config/nova.conf", "kolla/config/nova/nova-scheduler.conf"];

export interface FilterEdits {
  /** Whether there is a list that all schedulers read; without one, ours is to be made. */
  readonly general: boolean;
  readonly texts: readonly { readonly path: string; readonly text: string }[];
  /** Lists that come in place of those of other layers, as lines for the section. */
  readonly lists: readonly { readonly path: string; readonly chunk: string }[];
  readonly refusals: readonly string[];
  readonly hints: readonly string[];
}

/** Nova's filter, in every file that has a list of filters. */
export function filterEdits(view: View, item: string, ownList: string): FilterEdits {
  const { section, key } = filters;
  const texts: { path: string; text: string }[] = [];
  const lists: { path: string; chunk: string }[] = [];
  const refusals: string[] = [];
  const hints: string[] = [];
  const perHost = new Set(view.layers.flatMap((layer) => view.below(`${layer}kolla/config/nova`).map((path) => path.slice(layer.length)).filter((path) => /^kolla\/config\/nova\/[^/]+\/nova\.conf$/.test(path))));
  let general = false;
  for (const path of [...schedulerFiles, ...perHost]) {
    const all = holding(view, path, section, key);
    const first = all[0];
    if (!first) continue;
    general ||= schedulerFiles.includes(path);
    if (first.entry.conditional && !first.ini.text.slice(first.entry.start).includes("{% else")) hints.push(`${inNumbers(first.path, first.entry.line)}: ${key} stands under a condition. Without that, Nova has its own list, in which ${item} is not: see that a list with it holds then, too.`);
    const lacking = all.filter(({ entry }) => !entry.value.includes(item));
    const byHand = lacking.filter(({ layer, entry }) => (layer === view.target ? !entry.open : all.length > 1));
    for (const one of byHand) refusals.push(`${inNumbers(one.path, one.entry.line)}: ${key} has no ${item}, and a condition of Jinja decides what it has or where it holds: that is not edited here. Add ${item} to it by hand.`);
    if (byHand.length > 0) continue;
    const here = lacking.filter(({ layer }) => layer === view.target);
    // From the end on, so that the places of those before stay.
    if (here.length > 0) texts.push({ path: view.target + path, text: here.reduceRight((text, { ini, entry }) => addToList({ ...ini, text }, entry, item), here[0]!.ini.text) });
    for (const { path: from, entry } of lacking.filter(({ layer }) => layer !== view.target)) {
      // In an expression, commas are no ends of items.
      const value = /\{[{%]/.test(entry.value) ? `${entry.value.replaceAll("\n", " ").replace(/,\s*$/, "")}, ${item}` : [...itemsOf(entry), item].join(", ");
      lists.push({ path: view.target + path, chunk: `# What ${from} has is repeated: of two lists, Nova takes the last.\n${key} = ${value}\n` });
    }
  }
  const sealed = general ? undefined : view.layers.flatMap((layer) => schedulerFiles.map((path) => layer + path)).find((path) => view.has(path) && isSealed(view.textOf(path)));
  if (sealed !== undefined) {
    const open = schedulerFiles.toReversed().map((path) => view.target + path).find((path) => !view.has(path) || !isSealed(view.textOf(path)));
    refusals.push(`${sealed} is encrypted with Ansible Vault or cannot be read, and may have a list of filters, which ours would replace. ${open === undefined ? "Make one of Nova's files readable, and add to it by hand" : `Add by hand to ${open}, which must not be encrypted, with your filters if you have some`}:\n    [${section}]\n    ${key} = ${ownList}`);
  }
  return { general: general || sealed !== undefined, texts, lists, refusals, hints };
}
