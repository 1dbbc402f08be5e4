import type { Identity, OutFile } from "../../ir.js";
import { yaml } from "./yaml.js";

/** ansible/requirements.yml of a Kayobe configuration: the collection, in the version that is generated with it. */
export function requirements({ namespace, name, version }: Identity): OutFile {
  const comment = ["Roles and collections that `kayobe control host bootstrap` installs."];
  return {
    path: "kayobe/ansible/requirements.yml",
    text: yaml([{ key: "collections", value: [{ name: `${namespace}.${name}`, version }], comment }]),
  };
}
