import type { OutFile } from "../../ir.js";
import { artefactYaml } from "../artefact.js";
import type { Draft } from "../draft.js";
import { editYaml } from "../edits.js";
import { addItems, addKey, isRefused, listSource, readYaml, setInItem, wrapList } from "../yaml.js";
import type { Result, Yaml } from "../yaml.js";

type Edit = Result<{ readonly text: string }>;

interface Collection {
  readonly name: string;
  readonly version: string;
}

/** Puts the collection, in the artefact's version, into the file from which Kayobe installs collections. */
export function requirements(draft: Draft, file: OutFile): void {
  const { path } = file;
  if (draft.view.textOf(path) === undefined && !draft.view.fileAt(path)) return draft.put(path, file.text);
  const [wanted] = artefactYaml(file).data["collections"] as readonly [Collection];
  const hint = (item: unknown): void =>
    draft.hint(
      `${path} chooses ${wanted.name} in its own way (${JSON.stringify(item)}), which is left unchanged: ` +
        `make sure that it is version ${wanted.version}.`,
    );
  editYaml(draft, path, listSource("collections", [], [{ ...wanted }]), (yaml) => withCollection(yaml, wanted, hint));
}

/** @param hint for the item of a site that chooses the version in its own way */
function withCollection(read: Yaml, wanted: Collection, hint: (item: unknown) => void): Edit {
  // Roles alone may be a list at the top.
  const wrapped = read.list.length > 0 ? wrapList(read, "roles") : read;
  if (isRefused(wrapped)) return wrapped;
  const yaml = readYaml(wrapped.text);
  if (isRefused(yaml)) return yaml;
  const { name, version } = wanted;
  const item = { name, version };
  const list = yaml.data["collections"];
  if (list === undefined) {
    const comment = [`# \`sriov-role kayobe\` keeps the version of ${name}.`];
    return addKey(yaml, "collections", listSource("collections", comment, [item]), [item]);
  }
  if (list === null) return addItems(yaml, "collections", [item]);
  if (!Array.isArray(list)) return { refused: "has collections that are not a list" };
  const index = list.findIndex((candidate) => isOurCollection(candidate, name));
  if (index === -1) return addItems(yaml, "collections", [item]);
  const old = plainVersion(list[index]);
  if (old === version) return yaml;
  if (typeof old === "string" && /^\d/.test(old)) return setInItem(yaml, "collections", index, "version", version);
  hint(list[index]);
  return yaml;
}

/** The version of an item that Galaxy gives; nothing where the site takes it from elsewhere. */
function plainVersion(item: unknown): unknown {
  if (typeof item !== "object" || item === null || "type" in item || "source" in item) return undefined;
  return "version" in item ? item.version : undefined;
}

/** Whether an item is the collection: by its name, or by an archive or a repository with its name. */
function isOurCollection(item: unknown, name: string): boolean {
  const [namespace, own] = name.split(".");
  const { name: named, source } = asFields(item);
  const archives = `${name.replace(".", "\\.")}:|${namespace}-${own}-\\d|ansible-collection-${own}(\\.git|$)`;
  return named === name || new RegExp(`(^|/)(${archives})`).test(named || source);
}

function asFields(item: unknown): { readonly name: string; readonly source: string } {
  if (typeof item === "string") return { name: item, source: "" };
  if (typeof item !== "object" || item === null) return { name: "", source: "" };
  return {
    name: "name" in item ? String(item.name) : "",
    source: "source" in item ? String(item.source) : "",
  };
}
