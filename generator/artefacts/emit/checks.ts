import type { Json, OutFile, Role, Variable, VarType } from "../../ir.js";
import { yaml } from "./yaml.js";

type Schema = { readonly [name: string]: Json };

/** Where the model lies for the role's own check. It is kept in role-template/, because its tests run without a build. */
export const checksPath = "plugins/module_utils/sriov/variables.py";

/**
 * The model as data of the Python helpers: the types, choices and bounds of the variables, and the names that begin with
 * `sriov_` without being variables of the role.
 *
 * @param files role-template/, paths relative to it
 */
export function checks(role: Role, files: readonly OutFile[]): OutFile {
  const known = new Set(role.variables.map(({ name }) => name));
  const others = [...new Set(files.flatMap(otherNames))].filter((name) => !known.has(name)).sort();
  const text = `# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables, for check.py.

Made from generator/model/sriov.ts: change that, then \`UPDATE=1 npx mocha -g "the pages"\`.
"""

from __future__ import annotations

VARIABLES = ${JSON.stringify(fields(role.variables), null, 4)}

# Those with a default that null would put out of effect.
WITH_DEFAULT = ${JSON.stringify(
    role.variables.filter(refusesNull).map(({ name }) => name),
    null,
    4,
  )}

# Facts of the role, and what its Kayobe configuration and the playbooks of the collection set and read.
OTHERS = ${JSON.stringify(others, null, 4)}
`;
  return { path: checksPath, text };
}

/** Whether null is a mistake for a variable of the role: it takes the default's place, and is the same as a default that is empty. */
export function refusesNull({ default: value }: Variable): boolean {
  return value !== undefined && (value === null || typeof value !== "object" || Object.keys(value).length > 0);
}

/** vars/main/variables.yml: the names alone, by which the role hands its variables to that check. */
export function names(role: Role): OutFile {
  return {
    path: "vars/main/variables.yml",
    text: yaml([
      { key: "__sriov_names", value: role.variables.map(({ name }) => name), comment: ["The variables of the role."] },
      {
        key: "__sriov_secrets",
        value: role.variables.filter(({ secret }) => secret).map(({ name }) => name),
        comment: ["Those that the role does not hand to a host."],
      },
    ]),
  };
}

function otherNames({ path, text }: OutFile): string[] {
  if (/^(kayobe|playbooks)\//.test(path)) return text.match(/(?<![.\w])sriov_\w*[a-z0-9]\b/g) ?? [];
  if (!path.startsWith("tasks/")) return [];
  // A fact has its own indentation below set_fact.
  return [...text.matchAll(/^ +ansible\.builtin\.set_fact:\n((?: {4,}.*\n)+)/gm)].flatMap(([, facts]) =>
    [...facts!.matchAll(/^ {4}(sriov_\w+):/gm)].map(([, name]) => name!),
  );
}

function fields(variables: readonly Variable[]): Schema {
  return Object.fromEntries(
    variables.map(({ name, type, since }) => [name, { ...check(type), ...(since === undefined ? {} : { since }) }]),
  );
}

function bounds({ minimum, maximum }: { readonly minimum?: number; readonly maximum?: number }): Schema {
  return { ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
}

function check(of: VarType): Schema {
  switch (of.kind) {
    case "bool":
      return { type: of.kind };
    case "path":
      return { type: of.kind, ...(of.ending === undefined ? {} : { ending: of.ending }) };
    case "raw":
      return { type: of.kind, ...(of.also ? { also: of.also.map(({ kind }) => kind) } : {}) };
    case "str":
      return { type: of.kind, ...(of.choices ? { choices: of.choices } : {}) };
    case "int":
    case "map":
      return { type: of.kind, ...bounds(of) };
    case "list":
      return { type: of.kind, elements: check(of.elements) };
    case "dict":
      return { type: of.kind, fields: fields(of.fields) };
  }
}
