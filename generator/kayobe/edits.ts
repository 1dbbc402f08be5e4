import type { Draft } from "./draft.js";
import { isVaulted } from "../system/ansible.js";
import { indented, isTemplated } from "./layers.js";
import { addKey, isRefused, readYaml } from "./yaml.js";
import type { Result, Yaml } from "./yaml.js";

// Edits of files that belong to the site: each is made in the text, or refused with what to add by hand.

/** A variable to write. */
export interface Variable {
  readonly key: string;
  /** Its lines, as `sourceOf` gives them. */
  readonly source: string;
  readonly value: unknown;
}

/**
 * The text of a file that an edit may change; nothing, with a refusal, when it cannot be edited.
 *
 * @param wanted what the site adds by hand otherwise
 * @param other the file to add it to, when it need not be this one
 */
export function editable(draft: Draft, path: string, wanted: string, other?: string): string | undefined {
  const text = draft.view.textOf(path);
  if (text === undefined && draft.view.fileAt(path))
    draft.refuse(`${path} is not a file with text in UTF-8, or cannot be read.`);
  else if (text !== undefined && isVaulted(text)) {
    const orThere = other === undefined ? "" : `, or add by hand to ${other}`;
    draft.refuse(
      `${path} is encrypted with Ansible Vault, and cannot be edited here. This must be in a file that is not ` +
        `encrypted: move the secrets of ${path} into another one${orThere}:\n${indented(wanted)}`,
    );
  } else return text ?? "";
  return undefined;
}

/**
 * Edits a file of YAML, or refuses that with the reason.
 *
 * @param wanted what the site adds by hand otherwise
 */
export function editYaml(
  draft: Draft,
  path: string,
  wanted: string,
  edit: (yaml: Yaml) => Result<{ readonly text: string }>,
): void {
  const isInFolder = path.slice(draft.view.target.length).includes("/");
  const text = editable(draft, path, wanted, isInFolder ? undefined : "another .yml file of its folder");
  if (text === undefined) return;
  const yaml = path.endsWith(".json")
    ? { refused: "is JSON, which is not edited here" }
    : readYaml(text, isTemplated(path));
  const result = isRefused(yaml) ? yaml : edit(yaml);
  if (!isRefused(result)) return draft.put(path, result.text);
  // Some files are not YAML before Kayobe renders them with Jinja. There, the site may have added it by hand.
  if (text.replaceAll("\r", "").includes(wanted.trim())) return;
  draft.refuse(`${path} ${result.refused}. Fix that, or add by hand:\n${indented(wanted)}`);
}

/** Adds a variable to a file that does not contain it, or begins the file with it. */
export function addVariable(draft: Draft, path: string, { key, source, value }: Variable): void {
  const isNew = draft.view.textOf(path) === undefined && !draft.view.fileAt(path);
  if (isNew) draft.put(path, `---\n${source.trimStart()}`);
  else editYaml(draft, path, source, (yaml) => addKey(yaml, key, source, value));
}
