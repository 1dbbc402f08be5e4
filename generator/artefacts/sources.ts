import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readText, readTree } from "../system/disk.js";
import { manifest, manifestPath, plan, readOwned } from "../system/owned.js";
import { generate } from "./generate.js";
import type { Template } from "./generate.js";
import { readIdentity } from "./identity.js";
import { layouts } from "../ir.js";
import type { Identity, Layout, OutFile, Plan, Problem, Role } from "../ir.js";
import { artefactRoot } from "./layout.js";
import { readModel } from "./read.js";

/** The repository: this file is build/generator/artefacts/sources.js in it. */
export const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** Where the three inputs are, relative to the repository. */
const inputs = { model: "generator/model/sriov.ts", galaxy: "galaxy.yml", template: "role-template" } as const;

export interface Sources {
  readonly role: Role;
  readonly template: Template;
  /** Faults of the model and of galaxy.yml. With any, nothing can be generated. */
  readonly problems: readonly Problem[];
}

/** Read everything that the artefacts are made from. */
export function readSources(repository: string): Sources {
  const galaxy = readText(join(repository, inputs.galaxy));
  const { identity, problems } = readIdentity(galaxy);
  const model = readModel(inputs.model, readText(join(repository, inputs.model)), identity);
  const template = { files: readTree(join(repository, inputs.template)), galaxy };
  return { role: model.role, template, problems: [...problems, ...model.problems] };
}

/** What belongs into a Kayobe configuration, with paths in it. */
export function kayobeArtefact({ role, template }: Sources): OutFile[] {
  const folder = `${artefactRoot("kayobe", role.identity)}/`;
  return generate(role, template, "kayobe").map((file) => ({ ...file, path: file.path.slice(folder.length) }));
}

export interface Planned {
  readonly plan: Plan;
  readonly before: readonly OutFile[];
  /** The earlier manifest's list. */
  readonly owned: readonly string[];
}

/**
 * What a run over some layouts would do to the output folder. Files of the other layouts stay, and stay ours.
 */
export function planArtefacts({ role, template }: Sources, chosen: readonly Layout[], out: string): Planned {
  const wanted = chosen.flatMap((layout) => generate(role, template, layout));
  const { before, owned } = readOwned(out, wanted);
  const others = owned.filter((path) => isOfOtherLayout(path, chosen, role.identity));
  const kept = before.filter(({ path }) => others.includes(path));
  const after = [...wanted, manifest([...others, ...wanted.map(({ path }) => path)])];
  const mine = owned.filter((path) => !others.includes(path));
  const planned = plan(
    before.filter((file) => !kept.includes(file)),
    after,
    mine,
  );
  return {
    plan: { ...planned, same: planned.same - (planned.write.some(({ path }) => path === manifestPath) ? 0 : 1) },
    before,
    owned,
  };
}

function isOfOtherLayout(path: string, chosen: readonly Layout[], identity: Identity): boolean {
  return layouts.some((layout) => !chosen.includes(layout) && path.startsWith(`${artefactRoot(layout, identity)}/`));
}
