import { posix } from "node:path";
import { location } from "./layers.js";
import type { ConfigFile } from "./layers.js";
import { isRefused, lineOfKey, readYaml } from "./yaml.js";
import type { Result } from "./yaml.js";

// Kayobe's environments, and what each of them depends on.

type Files = ReadonlyMap<string, ConfigFile>;

/** The layers of a run, or why there are none. */
export interface Layers {
  /** "" for the base, "environments/NAME/" for others; the last one wins. */
  readonly layers: readonly string[];
  /** A sentence for each fault. With any, the layers are not complete. */
  readonly faults: readonly string[];
}

/** The folders that Kayobe merges for an environment, or for the base without one. */
export function layersOf(files: Files, environment: string | undefined): Layers {
  if (environment === undefined) return { layers: [""], faults: [] };
  const order: string[] = [];
  const faults: string[] = [];
  const visit = (name: string, way: readonly string[]): void => {
    if (order.includes(name)) return;
    const found = dependenciesOf(files, name, way);
    if (isRefused(found)) return void faults.push(found.refused);
    for (const dependency of found) visit(dependency, [...way, name]);
    order.push(name);
  };
  visit(environment, []);
  return { layers: ["", ...order.map((name) => `environments/${name}/`)], faults: [...new Set(faults)] };
}

/** The option of the command for a layer. */
export function optionOf(layer: string): string {
  return layer === "" ? "without --environment" : `with --environment ${layer.split("/")[1]}`;
}

/** @param way the environments by which this one was reached, each depends on the next */
function dependenciesOf(files: Files, name: string, way: readonly string[]): Result<readonly string[]> {
  const path = `environments/${name}/.kayobe-environment`;
  if (way.includes(name)) return { refused: `${path}: it depends on itself: ${[...way, name].join(", ")}.` };
  const names = namesOf(files);
  if (!names.includes(name)) {
    const why = way.length > 0 ? `, on which ${way.at(-1)} depends` : "";
    return { refused: `There is no environment ${name}${why}: environments/ has ${names.join(", ") || "none"}.` };
  }
  const text = files.get(path)?.text;
  if (text === undefined) return [];
  const yaml = readYaml(text);
  if (isRefused(yaml)) return { refused: `${path} ${yaml.refused}.` };
  const dependencies = yaml.data["dependencies"] ?? [];
  if (Array.isArray(dependencies)) return dependencies.map(String);
  const where = location(path, lineOfKey(yaml, "dependencies"));
  return { refused: `${where}: dependencies must be a list of environments, and is not a list.` };
}

function namesOf(files: Files): string[] {
  return [...files.values()].flatMap(({ path, text }) =>
    text === undefined ? (/^environments\/([^/]+)$/.exec(path)?.[1] ?? []) : [],
  );
}

/** The environments of a configuration, each under one name: by a symbolic link it may have others. */
export function environmentsOf(config: readonly ConfigFile[]): readonly string[] {
  const all = config
    .filter(({ path, text }) => text === undefined && /^environments\/[^/]+$/.test(path))
    .map(({ path, real }) => ({ path, real: real ?? path }));
  const isOwnName = ({ path, real }: { path: string; real: string }): boolean =>
    path === real || !all.some((other) => other.path === real);
  return all.filter(isOwnName).map(({ path }) => posix.basename(path));
}
