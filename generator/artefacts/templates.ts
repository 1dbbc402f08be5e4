import type { OutFile } from "../ir.js";
import { parseAsAnsible } from "../system/ansible.js";
import type { ReadYaml } from "../system/ansible.js";

// The files of role-template/ as several checks read them.

const parsed = new WeakMap<OutFile, ReadYaml>();

/** The YAML of a file, parsed once though several checks read it: parsing takes half of the time of all checks. */
export function yamlOf(file: OutFile): ReadYaml {
  const known = parsed.get(file) ?? parseAsAnsible(file.text, true);
  parsed.set(file, known);
  return known;
}
