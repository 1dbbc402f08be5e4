import type { OutFile, Role } from "../../ir.js";
import { yaml } from "./yaml.js";

/** defaults/main.yml: every default under its prose. A variable without default is there as a comment only. */
export function defaults(role: Role): OutFile {
  const entries = role.variables
    .filter((variable) => !variable.required)
    .map((variable) => ({
      key: variable.name,
      comment: variable.description,
      ...(variable.default === undefined ? {} : { value: variable.default }),
    }));
  return { path: "defaults/main.yml", text: yaml(entries) };
}
