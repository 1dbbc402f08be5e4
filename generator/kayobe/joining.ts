import { truth } from "./layers.js";
import type { LayeredConfig } from "./layers.js";

// How Kayobe makes one file for Kolla of those that an environment and its base have of the same name.

/** "joined": one after the other. "merged": of an option, the last file's. "last": the last file alone. "alone": the environment's alone. */
export type Joining = "joined" | "merged" | "last" | "alone";

const settings = "kolla_openstack_custom_config_";
/** Of Kayobe's own rules for INI files, roles/kolla-openstack/defaults/main.yml; a lower number comes first. */
const ownPriority = 2000;
/** A merge sets none of the variables that decide it, and asks for each option. */
const answers = new WeakMap<LayeredConfig, Map<string, Joining>>();

/** @param inLayer a file of services, relative to its layer: kolla/config/... */
export function joiningOf(view: LayeredConfig, inLayer: string): Joining {
  const known = answers.get(view) ?? new Map<string, Joining>();
  answers.set(view, known);
  const joining = known.get(inLayer) ?? askedJoining(view, inLayer);
  known.set(inLayer, joining);
  return joining;
}

function askedJoining(view: LayeredConfig, inLayer: string): Joining {
  if (isOff(view, "environment_merging_enabled")) return "alone";
  const whole = valueOf(view, "rules");
  const rules = [...rulesOf(whole), ...rulesOf(valueOf(view, "rules_extra"))].filter(({ glob }) => matches(glob, inLayer.replace(/^kolla\/config\//, "")));
  const first = rules.toSorted((a, b) => a.priority - b.priority)[0];
  if (first && (Array.isArray(whole) || first.priority < ownPriority)) return first.strategy === "concat" ? "joined" : first.strategy === "merge_configs" ? "merged" : "last";
  if (isOff(view, "merge_configs_enabled")) return "last";
  return valueOf(view, "ini_merge_strategy_default") === "merge_configs" ? "merged" : "joined";
}

/** The layers whose file of this name counts. */
export function layersFor(view: LayeredConfig, inLayer: string): readonly string[] {
  if (view.layers.length === 1 || !inLayer.startsWith("kolla/config/")) return view.layers;
  const joining = joiningOf(view, inLayer);
  if (joining === "alone") return [view.target];
  return joining === "last" ? [view.layers.findLast((layer) => view.has(layer + inLayer)) ?? view.target] : view.layers;
}

function valueOf(view: LayeredConfig, name: string): unknown {
  const key = settings + name;
  const found = view.provider("kolla.yml", key)?.yaml.data[key];
  if (found !== undefined) return found;
  const inGroups = view.layers.flatMap((layer) => view.below(`${layer}inventory/group_vars`)).flatMap((path) => view.opened(path)?.data[key] ?? []);
  return inGroups.at(-1);
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
    return typeof glob === "string" && typeof strategy === "string" && truth(enabled) !== false ? [{ glob, strategy, priority: Number(priority ?? 0) }] : [];
  });
}

/** As Python's wcmatch has it, with its flag GLOBSTAR. */
function matches(glob: string, path: string): boolean {
  const pattern = glob.replace(/\*\*\/|\*\*|\*|\?|[^*?]/g, (part) => ({ "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]" })[part] ?? part.replace(/[.+^${}()|[\]\\]/, "\\$&"));
  return new RegExp(`^${pattern}$`).test(path);
}
