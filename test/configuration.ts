import { deepStrictEqual } from "node:assert/strict";
import { dirname, join } from "node:path";
import { kayobeArtefact, readSources } from "../generator/artefacts/sources.js";
import { readUserFiles } from "../generator/system/userFiles.js";
import type { Merge } from "../generator/kayobe/draft.js";
import { concerns } from "../generator/kayobe/layers.js";
import type { ConfigFile } from "../generator/kayobe/layers.js";
import { merge } from "../generator/kayobe/merge.js";
import type { MergeOptions } from "../generator/kayobe/merge.js";
import { asInFixtures, root } from "./support.js";

// Kayobe configurations for tests, and what the merge makes of them.

const sources = asInFixtures(readSources(root));
export const artefact = kayobeArtefact(sources);
export const version = sources.role.identity.version;
export const wanted = (path: string): string => artefact.find((file) => file.path === path)!.text;
export const fixtures = join(root, "test/fixtures/kayobe");
export const fixture = (name: string): ConfigFile[] => readUserFiles(join(fixtures, name), concerns);
export const none: MergeOptions = { hook: false, vlanRanges: [] };

/** A configuration with these files, and their folders. */
export function config(files: { readonly [path: string]: string }): ConfigFile[] {
  const folders = new Set(
    Object.keys(files).flatMap((path) =>
      path
        .split("/")
        .slice(0, -1)
        .map((_, index, parts) => parts.slice(0, index + 1).join("/")),
    ),
  );
  return [...[...folders].map((path) => ({ path })), ...Object.entries(files).map(([path, text]) => ({ path, text }))];
}

export function applied(before: readonly ConfigFile[], { write, links }: Merge): ConfigFile[] {
  const after = new Map(before.map((file) => [file.path, file]));
  for (const file of write) after.set(file.path, file);
  for (const { path, target } of links) after.set(path, { path, link: target });
  for (const path of [...after.keys()])
    for (let folder = dirname(path); folder !== "."; folder = dirname(folder))
      if (!after.has(folder)) after.set(folder, { path: folder });
  return [...after.values()];
}

/** What comes of a file, after a merge that must be the last one. */
export function merged(
  before: readonly ConfigFile[],
  wishes: Partial<MergeOptions> = {},
): Map<string, string | undefined> {
  const result = merge(artefact, before, { ...none, ...wishes });
  deepStrictEqual(result.refusals, []);
  const after = applied(before, result);
  const again = merge(artefact, after, { ...none, ...wishes });
  deepStrictEqual([again.write, again.links, again.refusals], [[], [], []]);
  return new Map(after.map(({ path, text }) => [path, text]));
}

export const refusals = (
  files: { readonly [path: string]: string },
  wishes: Partial<MergeOptions> = {},
): readonly string[] => merge(artefact, config(files), { ...none, ...wishes }).refusals;
export const hints = (
  files: { readonly [path: string]: string },
  wishes: Partial<MergeOptions> = {},
): readonly string[] => merge(artefact, config(files), { ...none, ...wishes }).hints;

/** The one refusal. */
export function refused(files: { readonly [path: string]: string }, wishes: Partial<MergeOptions> = {}): string {
  const [first = "", ...more] = refusals(files, wishes);
  deepStrictEqual(more, []);
  return first;
}
