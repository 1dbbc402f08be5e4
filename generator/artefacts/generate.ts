import { kayobeVariables } from "./crosscheck.js";
import { argspec } from "./emit/argspec.js";
import { names } from "./emit/checks.js";
import { changelog } from "./emit/changelog.js";
import { defaults } from "./emit/defaults.js";
import { galaxy } from "./emit/galaxy.js";
import { meta } from "./emit/meta.js";
import { readme } from "./emit/readme.js";
import { requirements } from "./emit/requirements.js";
import { schema } from "./emit/schema.js";
import type { Layout, OutFile, Role } from "../ir.js";
import { pictures } from "../model/pictures.js";
import { arrange, artefactRoot } from "./layout.js";

/** What is authored: role-template/, and the root galaxy.yml. */
export interface Template {
  readonly files: readonly OutFile[];
  readonly galaxy: string;
}

/** Files of role-template/ from which something is made, instead of being copied. */
const consumed = ["README.md.hbs", "meta/main.yml"];

/**
 * One artefact, complete; paths are relative to the output folder.
 *
 * @throws Error when an authored file that something is made from is missing or does not have the required form
 */
export function generate(role: Role, template: Template, layout: Layout): OutFile[] {
  const authored = (path: string): string => {
    const file = template.files.find((candidate) => candidate.path === path);
    if (!file) throw new Error(`role-template/${path} is missing`);
    return file.text;
  };
  const examples = template.files.filter(({ path }) => /^examples\/[^/]+\.ya?ml$/.test(path));
  const derived = [
    defaults(role),
    argspec(role),
    names(role),
    meta(role, authored("meta/main.yml")),
    schema(role, kayobeVariables(role, template.files)),
    ...(layout === "kayobe" ? [] : [readme(role, authored("README.md.hbs"), examples, pictures, layout)]),
    requirements(role.identity),
    galaxy(template.galaxy),
    changelog(authored("CHANGELOG.md")),
  ];
  for (const { path } of derived)
    if (!consumed.includes(path) && template.files.some((file) => file.path === path))
      throw new Error(`role-template/${path} is authored, and derived too: a file is one or the other`);
  const verbatim = template.files.filter(({ path }) => !consumed.includes(path));
  const root = artefactRoot(layout, role.identity);
  return arrange([...derived, ...verbatim], layout, role.identity).map((file) => ({
    ...file,
    path: `${root}/${file.path}`,
  }));
}
