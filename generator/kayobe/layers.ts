import { posix } from "node:path";
import { readIni } from "./ini.js";
import type { Ini, IniEntry } from "./ini.js";
import { isVaulted } from "./inventory.js";
import { layersFor } from "./joining.js";
import { isRefused, lineOfKey, readYaml } from "./yaml.js";
import type { Yaml } from "./yaml.js";

/** What lies in a Kayobe configuration; paths are relative to it, with "/". */
export interface ConfigFile {
  readonly path: string;
  /** Absent for a folder, and for what cannot be read, or is no text in UTF-8. */
  readonly text?: string;
  /** Where a symbolic link leads, as it says itself. */
  readonly link?: string;
  /** Where the file really is, relative to the configuration, when a symbolic link leads there. */
  readonly real?: string;
}

/** A configuration as it is when what was put so far is written. */
export interface LayeredConfig {
  /** The folders whose files Kayobe puts on each other, the last wins: "" for the base, "environments/NAME/" for others. */
  readonly layers: readonly string[];
  readonly target: string;
  /** What is there, and what is made. */
  readonly paths: () => readonly string[];
  readonly has: (path: string) => boolean;
  readonly textOf: (path: string) => string | undefined;
  /** The files below a folder of a layer. Of one real file in two layers, the one that Kayobe takes. */
  readonly below: (folder: string) => readonly string[];
  /** One path for each real file, however many symbolic links lead to it. */
  readonly once: (paths: readonly string[]) => readonly string[];
  /** The path under which a file is written: where it really is, when that is in the configuration. */
  readonly homeOf: (path: string) => string;
  /** Whether the file of a layer is the target's own, or the same real file. */
  readonly isTargets: (path: string) => boolean;
  /** Its YAML, when it is some. */
  readonly opened: (path: string) => Yaml | undefined;
  readonly options: (path: string) => Ini;
  /** The files that may set a variable of a layer, the last one first: Kayobe gives all of them to Ansible. */
  readonly variableFiles: (layer: string, path: string) => readonly string[];
  /** The file whose value of a variable holds. */
  readonly provider: (path: string, key: string) => { readonly layer: string; readonly path: string; readonly yaml: Yaml } | undefined;
}

export function layeredConfig(there: ReadonlyMap<string, ConfigFile>, now: ReadonlyMap<string, string>, layers: readonly string[]): LayeredConfig {
  const realOf = (path: string): string => {
    const real = there.get(path)?.real;
    return real ?? (path.includes("/") ? posix.join(realOf(posix.dirname(path)), posix.basename(path)) : path);
  };
  const homeOf = (path: string): string => (isOutside(realOf(path)) ? path : realOf(path));
  const layerOf = (path: string): string => layers.filter((layer) => path.startsWith(layer)).reduce((longest, layer) => (layer.length > longest.length ? layer : longest), "");
  const target = layers.at(-1)!;
  /** Whether another layer has the same real file, and Kayobe takes it there: of services' files the first, otherwise the last. */
  const isShadowed = (path: string): boolean => {
    const layer = layerOf(path);
    const inLayer = path.slice(layer.length);
    const at = layers.indexOf(layer);
    const others = inLayer.startsWith("kolla/config/") ? layers.slice(0, at) : layers.slice(at + 1);
    return others.some((other) => there.has(other + inLayer) && realOf(other + inLayer) === realOf(path));
  };
  const textOf = (path: string): string | undefined => now.get(homeOf(path)) ?? there.get(homeOf(path))?.text ?? there.get(path)?.text;
  const read = new Map<string, { readonly text: string; readonly yaml: Yaml | undefined }>();
  const opened = (path: string): Yaml | undefined => {
    const text = textOf(path);
    if (text === undefined || isVaulted(text)) return undefined;
    const known = read.get(path);
    if (known?.text === text) return known.yaml;
    const found = readYaml(text, isTemplated(path));
    const yaml = isRefused(found) ? undefined : found;
    read.set(path, { text, yaml });
    return yaml;
  };
  const variableFiles = (layer: string, path: string): string[] => {
    if (path.includes("/")) return isShadowed(layer + path) ? [] : [layer + path];
    return [...new Set([...there.keys(), ...now.keys()])].filter((file) => file.startsWith(layer) && /^[^/]+\.(ya?ml|json)$/.test(file.slice(layer.length)) && !isShadowed(file)).sort().reverse();
  };
  return {
    layers,
    target,
    paths: () => [...new Set([...there.keys(), ...now.keys()])],
    has: (path) => there.has(path) || there.has(homeOf(path)),
    textOf,
    below: (folder) => [...there.keys()].filter((path) => path.startsWith(`${folder}/`) && !isShadowed(path)),
    once: (paths) => [...new Map(paths.toSorted((a, b) => Number(realOf(a) !== a) - Number(realOf(b) !== b)).toReversed().map((path) => [realOf(path), path])).values()].sort(),
    homeOf,
    isTargets: (path) => path.startsWith(target) || realOf(target + path.slice(layerOf(path).length)) === realOf(path),
    opened,
    options: (path) => readIni(isSealed(textOf(path)) ? "" : textOf(path)!),
    variableFiles,
    provider: (path, key) => {
      for (const layer of layers.toReversed())
        for (const file of variableFiles(layer, path)) {
          const yaml = opened(file);
          if (yaml && key in yaml.data) return { layer, path: file, yaml };
        }
      return undefined;
    },
  };
}

function isOutside(path: string): boolean {
  return path === ".." || path.startsWith("../") || posix.isAbsolute(path);
}

/** Kayobe makes YAML of this one with Jinja. */
export function isTemplated(path: string): boolean {
  return /(^|\/)kolla\/globals\.yml$/.test(path);
}

/** Whether nobody sees here what a file says. */
export function isSealed(text: string | undefined): boolean {
  return text === undefined || isVaulted(text);
}

export interface OptionSource {
  readonly layer: string;
  readonly path: string;
  readonly ini: Ini;
  readonly entry: IniEntry;
}

/** The values of an option of which one comes to hold: the last, and what comes before as long as that is under a condition. */
export function optionSources(view: LayeredConfig, path: string, section: string, key: string): readonly OptionSource[] {
  const found: OptionSource[] = [];
  for (const layer of layersFor(view, path).toReversed()) {
    const ini = view.options(layer + path);
    for (const entry of ini.entries.filter((candidate) => candidate.section === section && candidate.key === key).reverse()) {
      found.unshift({ layer, path: layer + path, ini, entry });
      if (!entry.conditional) return found;
    }
  }
  return found;
}

/** What variables of Kayobe hold; of one that comes twice, the last. */
export function variables(view: LayeredConfig): { readonly path: string; readonly line: number; readonly key: string; readonly value: unknown }[] {
  return view.layers.flatMap((layer) =>
    view.variableFiles(layer, "kolla.yml").flatMap((path) => {
      const yaml = view.opened(path);
      return yaml ? Object.entries(yaml.data).map(([key, value]) => ({ path, line: lineOfKey(yaml, key), key, value })) : [];
    }),
  );
}

/** As Ansible's filter `bool` has it; nothing for an expression. */
export function truth(value: unknown): boolean | undefined {
  if (typeof value === "string" && /\{[{%]/.test(value)) return undefined;
  if (typeof value === "object" && value !== null) return undefined;
  return value === true || value === 1 || (typeof value === "string" && /^(yes|on|1|true)$/i.test(value));
}

export function location(path: string, line: number): string {
  return `${path}:${line}`;
}

export function indented(text: string): string {
  return text.trim().replace(/^/gm, "    ");
}
