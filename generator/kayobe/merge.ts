import type { OutFile } from "../ir.js";
import { groupFolder, kollasNames, ownValues, requirementsPath } from "./artefact.js";
import { conflicts } from "./conflicts.js";
import { startDraft } from "./draft.js";
import type { Draft, Merge } from "./draft.js";
import { environmentsOf, layersOf } from "./environments.js";
import { hintsOf } from "./hints.js";
import { readInventory } from "./inventory.js";
import type { ConfigFile } from "./layers.js";
import { groupFile } from "./rules/group.js";
import { hook } from "./rules/hook.js";
import { mechanismDriver, vlanRanges } from "./rules/neutron.js";
import { options as serviceOptions } from "./rules/options.js";
import { requirements } from "./rules/requirements.js";
import { seed } from "./rules/seed.js";
import { removeSnippets } from "./rules/snippets.js";
import { variables } from "./rules/variables.js";
import { isWholeFile, wholeFile } from "./rules/wholeFile.js";
import { refuseLinks, refuseToHide } from "./rules/writes.js";
import type { VlanRange } from "./vlans.js";

/** What a merge must do. */
export interface MergeOptions {
  /** The environment to write to; without it the base. */
  readonly environment?: string;
  /** Whether the playbook becomes a part of `kayobe overcloud host configure`. */
  readonly hook: boolean;
  readonly vlanRanges: readonly VlanRange[];
}

type FileRule = (draft: Draft, file: OutFile) => void;

/** How each file of the artefact is merged into the configuration: the first rule whose test it passes. */
const fileRules: readonly (readonly [test: (file: OutFile) => boolean, rule: FileRule])[] = [
  [isWholeFile, wholeFile],
  [({ path }) => path.startsWith(`${groupFolder}/`), seed],
  [({ path }) => path.startsWith("inventory/"), groupFile],
  [({ path }) => path === requirementsPath, requirements],
  [({ path }) => /\.ya?ml$/.test(path), variables],
  [() => true, serviceOptions],
];

/**
 * Decides what to write so that a Kayobe configuration has what the artefact has. Writes nothing.
 *
 * @param artefact its files, with paths relative to the configuration
 * @param config the files of the configuration that `concerns` names
 * @returns the files to write, or a sentence for each reason why the merge is not possible
 * @throws Error when a file of the artefact is not YAML
 */
export function merge(artefact: readonly OutFile[], config: readonly ConfigFile[], options: MergeOptions): Merge {
  const files = new Map(config.map((file) => [file.path, file]));
  const { layers, faults } = layersOf(files, options.environment);
  if (faults.length > 0) return { write: [], links: [], refusals: faults, hints: [] };
  const draft = startDraft(files, layers, ownValues(artefact));
  const inventory = readInventory(draft.before);

  for (const fault of inventory.faults) draft.refuse(fault);
  removeSnippets(draft);
  for (const file of artefact) fileRules.find(([test]) => test(file))![1](draft, file);
  mechanismDriver(draft);
  vlanRanges(draft, options.vlanRanges);
  const found = conflicts(draft.before, {
    isOurs: draft.isOurs,
    withVlanRanges: options.vlanRanges.length > 0,
    kollas: kollasNames(artefact),
    known: inventory.pairings,
  });
  for (const sentence of found.refusals) draft.refuse(sentence);
  for (const sentence of found.hints) draft.hint(sentence);
  if (options.hook) hook(draft);
  for (const sentence of hintsOf(draft.view, inventory)) draft.hint(sentence);
  refuseLinks(draft);
  refuseToHide(draft);

  const result = draft.outcome();
  if (draft.view.target === "" && result.refusals.length === 0)
    for (const sentence of forEnvironments(artefact, config, result, options)) draft.hint(sentence);
  return draft.outcome();
}

/** A sentence for each environment that hides what the base has now: a merge for it would write, or refuse. */
function forEnvironments(
  artefact: readonly OutFile[],
  config: readonly ConfigFile[],
  { write, links }: Merge,
  options: MergeOptions,
): string[] {
  const files = new Map<string, ConfigFile>(config.map((file) => [file.path, file]));
  for (const file of write) files.set(file.path, file);
  for (const { path, target } of links) files.set(path, { path, link: target });
  return environmentsOf(config).flatMap((environment) => {
    const its = merge(artefact, [...files.values()], { ...options, environment });
    const [refusal] = its.refusals;
    const paths = [...its.write, ...its.links].map(({ path }) => path);
    if (refusal !== undefined)
      return [
        `environments/${environment} has settings that conflict with this: ${shortened(refusal)} ` +
          `Then run this again with --environment ${environment}.`,
      ];
    if (paths.length === 0) return [];
    return [
      `environments/${environment} overrides what its base sets now: ` +
        `run this again with --environment ${environment}, which writes ${paths.join(", ")}.`,
    ];
  });
}

/** The first line of a sentence, without the example that it announces. */
function shortened(sentence: string): string {
  return sentence.split("\n")[0]!.replace(/(, as in)?:$/, ".");
}
