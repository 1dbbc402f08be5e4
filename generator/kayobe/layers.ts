import { posix } from "node:path";
import { isVaulted } from "../system/ansible.js";
import { readIni } from "./ini.js";
import type { Ini } from "./ini.js";
import { isRefused, lineOfKey, readYaml } from "./yaml.js";
import type { Yaml } from "./yaml.js";

/** What lies in a Kayobe configuration; paths are relative to it, with "/". */
export interface ConfigFile {
  readonly path: string;
  /** Absent for a folder, and for what cannot be read, or is not text in UTF-8. */
  readonly text?: string;
  /** The target of a symbolic link, as the link contains it. */
  readonly link?: string;
  /** Where the file really is, relative to the configuration, when a symbolic link leads there. */
  readonly real?: string;
}

/** The value of a variable, with the file that sets it. */
export interface Provider {
  readonly layer: string;
  readonly path: string;
  readonly yaml: Yaml;
}

/** A configuration in layers, as it will be when the files put so far are written. */
export interface LayeredConfig {
  /** The folders that Kayobe merges, the last one wins: "" for the base, "environments/NAME/" for others. */
  readonly layers: readonly string[];
  /** The layer that the merge writes to: the last one. */
  readonly target: string;
  /** What was found at exactly this path. */
  readonly fileAt: (path: string) => ConfigFile | undefined;
  /** The files that were found, and those that were put. */
  readonly paths: () => readonly string[];
  readonly has: (path: string) => boolean;
  readonly textOf: (path: string) => string | undefined;
  /** The files found below a folder of a layer. Of one real file in two layers, the one that Kayobe takes. */
  readonly below: (folder: string) => readonly string[];
  /** One path for each real file, however many symbolic links lead to it. */
  readonly once: (paths: readonly string[]) => readonly string[];
  /** The path under which a file is written: where it really is, when that is in the configuration. */
  readonly homeOf: (path: string) => string;
  /** Whether the file of a layer is the target's own, or the same real file. */
  readonly isTargets: (path: string) => boolean;
  /** A file as YAML; nothing when it is not YAML, or encrypted. */
  readonly opened: (path: string) => Yaml | undefined;
  /** A file as INI; without entries when it is encrypted. */
  readonly options: (path: string) => Ini;
  /** The files that may set a variable of a layer, the last one first: Kayobe gives all of them to Ansible. */
  readonly variableFiles: (layer: string, path: string) => readonly string[];
  /** The file whose value of a variable holds. */
  readonly provider: (path: string, key: string) => Provider | undefined;
}

interface State {
  readonly files: ReadonlyMap<string, ConfigFile>;
  readonly puts: ReadonlyMap<string, string>;
  readonly layers: readonly string[];
}

const kollaFiles = [
  "globals\\.yml",
  "inventory(/.*)?",
  "config(/(global\\.conf|nova\\.conf|nova|nova/.*|nova_compute|nova_compute/.*|neutron|neutron/.*))?",
];
/** What a layer has that the merge reads or writes. */
const relevant = [
  "[^/]+",
  "inventory/.*",
  `kolla/(${kollaFiles.join("|")})`,
  "hooks/overcloud-host-configure(/post\\.d(/[^/]+)?)?",
  "ansible/((requirements|sriov(-discover|-report)?)\\.yml|(group|host)_vars(/.*)?)",
];
const isRelevant = new RegExp(`^(${relevant.join("|")})$`);

/** Whether a file of a configuration is read at all: the others may be large, and the merge does not need them. */
export function concerns(path: string): boolean {
  const inLayer = path.replace(/^environments\/[^/]+\/?/, "");
  return path === "environments" || inLayer === "" || isRelevant.test(inLayer);
}

/**
 * A configuration in layers.
 *
 * @param files what was found, by path
 * @param puts texts that replace what was found, by path; each call looks them up, so that a caller may add to them
 * @param layers at least one, the last one wins
 */
export function layeredConfig(
  files: ReadonlyMap<string, ConfigFile>,
  puts: ReadonlyMap<string, string>,
  layers: readonly string[],
): LayeredConfig {
  const state: State = { files, puts, layers };
  const target = layers.at(-1)!;
  const textOf = (path: string): string | undefined => textIn(state, path);
  const opened = yamlReader(textOf);
  const variableFiles = (layer: string, path: string): string[] => variableFilesIn(state, layer, path);
  return {
    layers,
    target,
    fileAt: (path) => files.get(path),
    paths: () => pathsIn(state),
    has: (path) => files.has(path) || files.has(homeOf(state, path)),
    textOf,
    below: (folder) => [...files.keys()].filter((path) => path.startsWith(`${folder}/`) && !isShadowed(state, path)),
    once: (paths) => onceIn(state, paths),
    homeOf: (path) => homeOf(state, path),
    isTargets: (path) => {
      const inLayer = path.slice(layerOf(layers, path).length);
      return path.startsWith(target) || realPath(state, target + inLayer) === realPath(state, path);
    },
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

function realPath(state: State, path: string): string {
  const real = state.files.get(path)?.real;
  if (real !== undefined) return real;
  return path.includes("/") ? posix.join(realPath(state, posix.dirname(path)), posix.basename(path)) : path;
}

function homeOf(state: State, path: string): string {
  const real = realPath(state, path);
  const isOutside = real === ".." || real.startsWith("../") || posix.isAbsolute(real);
  return isOutside ? path : real;
}

function layerOf(layers: readonly string[], path: string): string {
  const those = layers.filter((layer) => path.startsWith(layer));
  return those.reduce((longest, layer) => (layer.length > longest.length ? layer : longest), "");
}

/** Whether another layer has the same real file, and Kayobe takes it there: of services the first, else the last. */
function isShadowed(state: State, path: string): boolean {
  const { files, layers } = state;
  const layer = layerOf(layers, path);
  const inLayer = path.slice(layer.length);
  const at = layers.indexOf(layer);
  const others = inLayer.startsWith("kolla/config/") ? layers.slice(0, at) : layers.slice(at + 1);
  const real = realPath(state, path);
  return others.some((other) => files.has(other + inLayer) && realPath(state, other + inLayer) === real);
}

function textIn(state: State, path: string): string | undefined {
  const home = homeOf(state, path);
  return state.puts.get(home) ?? state.files.get(home)?.text ?? state.files.get(path)?.text;
}

function pathsIn({ files, puts }: State): string[] {
  return [...new Set([...files.keys(), ...puts.keys()])];
}

function onceIn(state: State, paths: readonly string[]): string[] {
  const isLinked = (path: string): number => Number(realPath(state, path) !== path);
  // Of the paths that lead to one file its own comes last here, and stays.
  const ownLast = paths.toSorted((a, b) => isLinked(a) - isLinked(b)).toReversed();
  return [...new Map(ownLast.map((path) => [realPath(state, path), path])).values()].sort();
}

function variableFilesIn(state: State, layer: string, path: string): string[] {
  if (path.includes("/")) return isShadowed(state, layer + path) ? [] : [layer + path];
  const isVariables = (file: string): boolean =>
    file.startsWith(layer) && /^[^/]+\.(ya?ml|json)$/.test(file.slice(layer.length));
  return pathsIn(state)
    .filter((file) => isVariables(file) && !isShadowed(state, file))
    .sort()
    .reverse();
}

/** Reads files as YAML, each text once. */
function yamlReader(textOf: (path: string) => string | undefined): (path: string) => Yaml | undefined {
  const read = new Map<string, { readonly text: string; readonly yaml: Yaml | undefined }>();
  return (path) => {
    const text = textOf(path);
    if (text === undefined || isVaulted(text)) return undefined;
    const known = read.get(path);
    if (known?.text === text) return known.yaml;
    const found = readYaml(text, isTemplated(path));
    const yaml = isRefused(found) ? undefined : found;
    read.set(path, { text, yaml });
    return yaml;
  };
}

/** Whether Kayobe renders a file to YAML with Jinja. */
export function isTemplated(path: string): boolean {
  return /(^|\/)kolla\/globals\.yml$/.test(path);
}

/** Whether the text of a file is not known: it is encrypted, or cannot be read. */
export function isSealed(text: string | undefined): boolean {
  return text === undefined || isVaulted(text);
}

/** A variable of Kayobe, with the place that sets it. */
export interface KayobeVariable {
  readonly path: string;
  readonly line: number;
  readonly key: string;
  readonly value: unknown;
}

/** The variables of Kayobe; of one that a file sets twice, the last value. */
export function variables(view: LayeredConfig): KayobeVariable[] {
  return view.layers.flatMap((layer) =>
    view.variableFiles(layer, "kolla.yml").flatMap((path) => {
      const yaml = view.opened(path);
      if (!yaml) return [];
      return Object.entries(yaml.data).map(([key, value]) => ({ path, line: lineOfKey(yaml, key), key, value }));
    }),
  );
}

/** A line of a file, as messages name it. */
export function location(path: string, line: number): string {
  return `${path}:${line}`;
}

/** A text below a sentence. */
export function indented(text: string): string {
  return text.trim().replace(/^/gm, "    ");
}
