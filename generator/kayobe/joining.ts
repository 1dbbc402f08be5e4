import type { Ini, IniEntry } from "./ini.js";
import { truth } from "../system/ansible.js";
import type { LayeredConfig } from "./layers.js";

// How Kayobe makes one file for Kolla of the files of one name that an environment and its base have.

/**
 * "joined": one after the other. "merged": of an option, the last file's. "last": the last file alone.
 * "alone": the environment's file alone.
 */
export type Joining = "joined" | "merged" | "last" | "alone";

const settings = "kolla_openstack_custom_config_";
/** Of Kayobe's own rules for INI files, roles/kolla-openstack/defaults/main.yml; a lower number comes first. */
const ownPriority = 2000;
/** A merge sets none of the variables that decide it, and each option needs the answer. */
const answers = new WeakMap<LayeredConfig, Map<string, Joining>>();

/**
 * How Kayobe joins the files of a name.
 *
 * @param inLayer a file of services, relative to its layer: kolla/config/...
 */
export function joiningOf(view: LayeredConfig, inLayer: string): Joining {
  const known = answers.get(view) ?? new Map<string, Joining>();
  answers.set(view, known);
  const joining = known.get(inLayer) ?? decideJoining(view, inLayer);
  known.set(inLayer, joining);
  return joining;
}

function decideJoining(view: LayeredConfig, inLayer: string): Joining {
  if (isOff(view, "environment_merging_enabled")) return "alone";
  const whole = valueOf(view, "rules");
  const path = inLayer.replace(/^kolla\/config\//, "");
  const rules = [...rulesOf(whole), ...rulesOf(valueOf(view, "rules_extra"))].filter(({ glob }) => matches(glob, path));
  const first = rules.toSorted((a, b) => a.priority - b.priority)[0];
  if (first && (Array.isArray(whole) || first.priority < ownPriority)) return joiningBy(first);
  if (isOff(view, "merge_configs_enabled")) return "last";
  return valueOf(view, "ini_merge_strategy_default") === "merge_configs" ? "merged" : "joined";
}

function joiningBy({ strategy }: Rule): Joining {
  if (strategy === "concat") return "joined";
  return strategy === "merge_configs" ? "merged" : "last";
}

/** The layers whose file of this name counts. */
export function layersFor(view: LayeredConfig, inLayer: string): readonly string[] {
  if (view.layers.length === 1 || !inLayer.startsWith("kolla/config/")) return view.layers;
  const joining = joiningOf(view, inLayer);
  if (joining === "alone") return [view.target];
  if (joining !== "last") return view.layers;
  return [view.layers.findLast((layer) => view.has(layer + inLayer)) ?? view.target];
}

/** An entry of an INI file, with the file that it is in. */
export interface OptionSource {
  readonly layer: string;
  readonly path: string;
  readonly ini: Ini;
  readonly entry: IniEntry;
}

/** The values that may apply: the last one of an option, and those before it while that is under a condition. */
export function optionSources(
  view: LayeredConfig,
  path: string,
  section: string,
  key: string,
): readonly OptionSource[] {
  const found: OptionSource[] = [];
  for (const layer of layersFor(view, path).toReversed()) {
    const ini = view.options(layer + path);
    const entries = ini.entries.filter((candidate) => candidate.section === section && candidate.key === key);
    for (const entry of entries.reverse()) {
      found.unshift({ layer, path: layer + path, ini, entry });
      if (!entry.conditional) return found;
    }
  }
  return found;
}

function valueOf(view: LayeredConfig, name: string): unknown {
  const key = settings + name;
  const found = view.provider("kolla.yml", key)?.yaml.data[key];
  if (found !== undefined) return found;
  const files = view.layers.flatMap((layer) => view.below(`${layer}inventory/group_vars`));
  return files.flatMap((path) => view.opened(path)?.data[key] ?? []).at(-1);
}

function isOff(view: LayeredConfig, name: string): boolean {
  const value = valueOf(view, name);
  return value !== undefined && truth(value) === false;
}

interface Rule {
  readonly glob: string;
  readonly strategy: string;
  readonly priority: number;
}

function rulesOf(value: unknown): readonly Rule[] {
  return (Array.isArray(value) ? (value as unknown[]) : []).flatMap((item) => {
    const { glob, strategy, priority, enabled = true } = (item ?? {}) as { [key: string]: unknown };
    if (typeof glob !== "string" || typeof strategy !== "string" || truth(enabled) === false) return [];
    return [{ glob, strategy, priority: Number(priority ?? 0) }];
  });
}

const wildcards: { readonly [part: string]: string } = { "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" };

/** As Python's wcmatch has it, with its flag GLOBSTAR. */
function matches(glob: string, path: string): boolean {
  const escaped = (part: string): string => part.replace(/[.+^${}()|[\]\\]/, "\\$&");
  const pattern = glob.replace(/\*\*\/|\*\*|\*|\?|[^*?]/g, (part) => wildcards[part] ?? escaped(part));
  return new RegExp(`^${pattern}$`).test(path);
}
