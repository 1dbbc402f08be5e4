import type { Identity, Layout, OutFile } from "../ir.js";

/** The name under which role-template/ is written. galaxy.yml may publish it under another. */
const authored = { namespace: "stackhpc", name: "sriov" } as const;

/** The role's own name inside the collection; its variables begin with it, under any name of the collection. */
const roleName = authored.name;

/** The folder of an artefact below the output folder: a real search path of Ansible ends before its last parts. */
export function artefactRoot(layout: Layout, { namespace, name }: Identity): string {
  switch (layout) {
    case "role":
      return `roles/${namespace}.${name}`;
    case "collection":
      return `collections/ansible_collections/${namespace}/${name}`;
    case "kayobe":
      return "kayobe-config";
  }
}

/**
 * The files where they lie in the layout, relative to the artefact, with the collection's name as it is there and its
 * authors.
 */
export function arrange(files: readonly OutFile[], layout: Layout, identity: Identity): OutFile[] {
  const text = (file: OutFile): string =>
    rename(documented.test(file.path) ? withAuthors(file.text, identity) : file.text, layout, identity);
  return files.flatMap((file) => paths(file.path, layout).map((path) => ({ ...file, path, text: text(file) })));
}

/** Plugins whose documentation names authors. */
const documented = /^plugins\/(modules\/.*\.py|filter\/.*\.yml)$/;

function withAuthors(text: string, identity: Identity): string {
  const list = (indent: string): string =>
    identity.authors.map((author) => `${indent}  - ${JSON.stringify(authorOfPlugin(author, identity))}\n`).join("");
  return text.replace(/^( *)author:\n(?: +- .*\n)+/gm, (_, indent: string) => `${indent}author:\n${list(indent)}`);
}

/**
 * An author of galaxy.yml in the form that ansible-test requires in a plugin's documentation: the name, with an account
 * on GitHub. When the author has none there, it is the owner of the repository.
 */
export function authorOfPlugin(author: string, { repository }: Identity): string {
  const name = author.replace(/\s*(<[^>]*>|\(https?:[^)]*\)|\(?@[\w:/.#-]+\)?)/g, "").trim();
  const account =
    /(?:^|[\s(])@([\w-]+)/.exec(author)?.[1] ?? /^https:\/\/github\.com\/([\w-]+)\//.exec(repository ?? "")?.[1];
  return `${name} (${account === undefined ? "!UNKNOWN" : `@${account}`})`;
}

const collectionOnly = /^(galaxy\.yml|CHANGELOG\.md|changelogs\/.*|meta\/runtime\.yml)$/;
const collectionRoot = /^((plugins|examples|LICENSES)\/|LICENSE$)/;
/** Ansible finds a playbook by the collection's name. */
const playbooks = /^playbooks\//;
const kayobeOnly = /^kayobe\//;
/** Ansible finds a role's filters by no name, and these import a helper by the collection's. */
const filters = /^plugins\/filter\//;

/** Where a file of role-template/ (or a derived one, in its terms) lies; a file may be absent, or be there twice. */
function paths(path: string, layout: Layout): string[] {
  if (layout === "kayobe") return kayobeOnly.test(path) ? [path.replace(kayobeOnly, "")] : [];
  if (kayobeOnly.test(path)) return [];
  switch (layout) {
    case "role":
      if (collectionOnly.test(path) || filters.test(path) || playbooks.test(path)) return [];
      return [path.replace(/^plugins\/modules\//, "library/").replace(/^plugins\//, "")];
    case "collection":
      if (collectionOnly.test(path) || collectionRoot.test(path) || playbooks.test(path)) return [path];
      if (path === "README.md" || path === "schema.json") return [path, `roles/${roleName}/${path}`];
      return [`roles/${roleName}/${path}`];
  }
}

/**
 * One pass with one expression, so that no replacement is replaced again. The order matters: the names of the
 * modules begin with the name of the role.
 */
function rename(text: string, layout: Layout, { namespace, name }: Identity): string {
  const here = `${authored.namespace}\\.${authored.name}`;
  const names = new RegExp(
    `(?<imported>ansible_collections\\.${here}\\.plugins\\.)|(?<folder>ansible_collections/${authored.namespace}/${authored.name}/)|(?<![\\w.-])(?:(?<role>${here}\\.${roleName}(?!\\w))|(?<member>${here}\\.(?=\\w)))`,
    "g",
  );
  return text.replace(names, (...args: unknown[]) => {
    const { imported, folder, role } = args.at(-1) as { imported?: string; folder?: string; role?: string };
    if (folder) return `ansible_collections/${namespace}/${name}/`;
    switch (layout) {
      case "role":
        return imported ? "ansible." : role ? `${namespace}.${name}` : "";
      // A Kayobe configuration uses the collection.
      case "collection":
      case "kayobe":
        return imported
          ? `ansible_collections.${namespace}.${name}.plugins.`
          : role
            ? `${namespace}.${name}.${roleName}`
            : `${namespace}.${name}.`;
    }
  });
}
