import type { Json, OutFile, Role, Variable, VarType } from "../../ir.js";
import { yaml } from "./yaml.js";

/**
 * meta/argument_specs.yml, which `ansible-doc -t role` shows.
 *
 * The entry point has the name of its file. Ansible would look for `main`, to check the variables itself before the first task:
 * what it then says is the whole specification, 12 kB on one line, without the index of the entry, and of an undefined variable not
 * even the entry. The role's own check (module_utils/sriov/check.py) has the same types, from the same model.
 *
 * @see https://docs.ansible.com/ansible/latest/playbook_guide/playbooks_reuse_roles.html#specification-format
 */
export function argspec(role: Role): OutFile {
  const main = {
    short_description: role.shortDescription,
    // The format demands a description even where the first sentence has said it all.
    description: role.description.length > 0 ? role.description : [role.shortDescription],
    author: role.identity.authors,
    options: options(role.variables),
  };
  return {
    path: "meta/argument_specs.yml",
    text: yaml([{ key: "argument_specs", value: { "main.yml": main } }], { prose: true }),
  };
}

function options(variables: readonly Variable[]): Json {
  return Object.fromEntries(variables.map((variable) => [variable.name, option(variable)]));
}

function option(variable: Variable): Json {
  return {
    description: [...variable.description, ...bounds(variable.type)],
    ...type(variable.type),
    ...(variable.required ? { required: true } : {}),
    ...(variable.secret ? { no_log: true } : {}),
    ...(variable.default === undefined ? {} : { default: variable.default }),
  };
}

function type(of: VarType): { readonly [key: string]: Json } {
  switch (of.kind) {
    case "bool":
    case "int":
    case "path":
    case "raw":
      return { type: of.kind };
    case "str":
      return { type: "str", ...(of.choices ? { choices: of.choices } : {}) };
    case "list": {
      const { type: elements, ...rest } = type(of.elements);
      return { type: "list", elements: elements as Json, ...rest };
    }
    case "map":
      return { type: "dict" };
    case "dict":
      return { type: "dict", options: options(of.fields) };
  }
}

/** argument_specs know no bounds: they are in the prose. */
function bounds(of: VarType): string[] {
  if (of.kind !== "int") return [];
  if (of.minimum !== undefined && of.maximum !== undefined) return [`From ${of.minimum} to ${of.maximum}.`];
  if (of.minimum !== undefined) return [`At least ${of.minimum}.`];
  if (of.maximum !== undefined) return [`At most ${of.maximum}.`];
  return [];
}
