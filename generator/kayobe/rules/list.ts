import type { Draft } from "../draft.js";
import { addVariable, editYaml } from "../edits.js";
import { location } from "../layers.js";
import type { Provider } from "../layers.js";
import { addItems, lineOfKey, listSource } from "../yaml.js";
import type { Item } from "../yaml.js";

/**
 * Adds items to a list of Kayobe's variables.
 *
 * @param path the file that gets the list where no file sets it, relative to its layer
 * @param comment lines above a list that is made
 */
export function extendList(
  draft: Draft,
  path: string,
  key: string,
  items: readonly Item[],
  comment: readonly string[],
): void {
  const { view } = draft;
  const found = view.provider(path, key);
  const source = listSource(key, comment, items);
  if (!found) {
    if (!isHiding(draft, path, key)) addVariable(draft, view.target + path, { key, source, value: items });
    return;
  }
  const missing = missingItems(draft, found, key, items);
  if (missing.length === 0) return;
  if (view.isTargets(found.path)) return editYaml(draft, found.path, source, (yaml) => addItems(yaml, key, missing));
  const before = (found.yaml.data[key] ?? []) as readonly unknown[];
  if (!before.every(isItem))
    return draft.refuse(
      `${location(found.path, lineOfKey(found.yaml, key))}: ${key} cannot be copied into ${view.target}${path}, ` +
        `where it would be replaced as a whole. Copy it by hand, and add: ${asJson(items)}`,
    );
  const all = [...before, ...missing];
  const why = `# The items of ${found.path}, repeated: the list of an environment replaces them.`;
  const copy = listSource(key, [...comment, why], all);
  addVariable(draft, view.target + path, { key, source: copy, value: all });
}

/** Whether group_vars set a list, which one in a file of $KAYOBE_CONFIG_PATH would hide; with a refusal then. */
function isHiding(draft: Draft, path: string, key: string): boolean {
  const { view } = draft;
  const files = view.layers.flatMap((layer) => view.below(`${layer}inventory/group_vars`));
  const elsewhere = files.find((file) => key in (view.opened(file)?.data ?? {}));
  if (elsewhere === undefined) return false;
  draft.refuse(
    `${elsewhere} sets ${key}, which a file of $KAYOBE_CONFIG_PATH would hide. ` +
      `Move it to ${view.target}${path}, and run this again.`,
  );
  return true;
}

/** The items that a list does not contain. None, with a refusal, where it is not a list. */
function missingItems(draft: Draft, found: Provider, key: string, items: readonly Item[]): readonly Item[] {
  const value = found.yaml.data[key];
  if (value === null || Array.isArray(value)) {
    const there = new Set(((value ?? []) as unknown[]).map((item) => JSON.stringify(item)));
    return items.filter((item) => !there.has(JSON.stringify(item)));
  }
  // The site may have added them to an expression by hand.
  if (typeof value === "string" && items.every((item) => typeof item === "string" && value.includes(item))) return [];
  draft.refuse(
    `${location(found.path, lineOfKey(found.yaml, key))}: ${key} is ` +
      `${typeof value === "string" ? "an expression" : "not a list"}, and nothing can be added to it here. ` +
      `Add by hand: ${asJson(items)}`,
  );
  return [];
}

function asJson(items: readonly Item[]): string {
  return items.map((item) => JSON.stringify(item)).join(", ");
}

function isItem(value: unknown): value is Item {
  if (typeof value === "string") return true;
  return typeof value === "object" && value !== null && Object.values(value).every((part) => typeof part === "string");
}
