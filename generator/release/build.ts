import { join } from "node:path";
import { kayobeArtefact } from "../artefacts/sources.js";
import type { Sources } from "../artefacts/sources.js";
import { makeFolder, readBytes, readText, readTree, removeFolder, writeTree } from "../system/disk.js";
import { writeReleaseFiles } from "../system/owned.js";
import { generate } from "../artefacts/generate.js";
import type { Identity, Layout, OutFile, Problem } from "../ir.js";
import { artefactRoot } from "../artefacts/layout.js";
import { ansibleCores } from "../workshop/setup.js";
import { run, shellLine } from "../system/process.js";
import { inconsistencies } from "./consistency.js";
import { importCollection, importRole, sanity, tarballName } from "./checks.js";
import type { CheckContext } from "./checks.js";
import { programEnvironment } from "./environment.js";
import { inOrder, readTarball, sha256, tarballFaults, writeTarball } from "./tarball.js";

/** What is released: both made from the sources, not from dist/, where something else may lie. */
export interface Release {
  readonly identity: Identity;
  /** Paths in the collection. */
  readonly collection: readonly OutFile[];
  /** Paths in the role's repository. */
  readonly role: readonly OutFile[];
}

/** What a release is made of, as files and folders of the repository. */
export const releaseInputs: readonly string[] = [
  "galaxy.yml",
  "generator",
  "package-lock.json",
  "package.json",
  "requirements.txt",
  "role-template",
];

/** Files of one layout, relative to its folder. */
function filesOf({ role, template }: Sources, layout: Layout): OutFile[] {
  const folder = `${artefactRoot(layout, role.identity)}/`;
  return generate(role, template, layout).map((file) => ({ ...file, path: file.path.slice(folder.length) }));
}

/**
 * What is released of these sources. A role's repository has what the artefact has, its history and what git is to
 * ignore.
 */
export function release(sources: Sources): Release {
  const changelog = sources.template.files.filter(({ path }) => path === "CHANGELOG.md");
  const ignored: OutFile = { path: ".gitignore", text: "__pycache__/\n*.pyc\n.ansible/\n.cache/\n" };
  return {
    identity: sources.role.identity,
    collection: filesOf(sources, "collection"),
    role: [...filesOf(sources, "role"), ...changelog, ignored].sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
}

/** Where the repository contradicts itself about what is released. */
export function disagreements(root: string, sources: Sources): Problem[] {
  const text = (files: readonly OutFile[], path: string): string =>
    files.find((file) => file.path === path)?.text ?? "";
  const pages = readTree(join(root, "docs")).map((file) => ({ ...file, path: `docs/${file.path}` }));
  const { files } = sources.template;
  return inconsistencies({
    identity: sources.role.identity,
    packageJson: readText(join(root, "package.json")),
    packageLock: readText(join(root, "package-lock.json")),
    changelog: text(files, "CHANGELOG.md"),
    runtime: text(files, "meta/runtime.yml"),
    meta: text(files, "meta/main.yml"),
    pages: [
      { path: "README.md", text: readText(join(root, "README.md")) },
      ...pages,
      { path: "role-template/README.md.hbs", text: text(files, "README.md.hbs") },
    ],
    changelogYaml: text(filesOf(sources, "collection"), "changelogs/changelog.yaml"),
    requirements: text(kayobeArtefact(sources), "ansible/requirements.yml"),
    proved: ansibleCores,
  });
}

/**
 * The time that a build bears: SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch), or the commit's.
 *
 * @throws Error when the variable is not a number
 */
export function buildTime(commitTime: number, epoch = process.env["SOURCE_DATE_EPOCH"]): number {
  if (epoch === undefined || epoch === "") return commitTime;
  if (!/^\d+$/.test(epoch)) throw new Error(`SOURCE_DATE_EPOCH is "${epoch}", and must be seconds since 1970`);
  return Number(epoch);
}

/**
 * The collection's tarball, as ansible-galaxy builds it, with its accidents taken out.
 *
 * @param seconds the time of everything in it
 * @throws Error when it does not hold exactly what was generated
 */
export async function buildCollection(
  { bin, cache, temporary }: Omit<CheckContext, "importer">,
  { identity, collection }: Release,
  seconds: number,
): Promise<Buffer> {
  const folder = makeFolder(join(temporary, "build-"));
  const source = join(folder, "ansible_collections", identity.namespace, identity.name);
  writeTree(source, collection);
  const command = {
    file: join(bin, "ansible-galaxy"),
    args: ["collection", "build", source, "--output-path", folder],
    cwd: folder,
    env: {
      ...programEnvironment(),
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      ANSIBLE_HOME: join(cache, "ansible"),
      ANSIBLE_CONFIG: undefined,
      ANSIBLE_NOCOLOR: "1",
    },
  };
  const { code, output } = await run(command);
  if (code !== 0) throw new Error(`${shellLine(command)} ended with ${code}:\n${output.trim()}`);
  const members = inOrder(readTarball(readBytes(join(folder, tarballName(identity)))));
  removeFolder(folder);
  const tarball = writeTarball(members, seconds);
  const faults = tarballFaults(readTarball(tarball), collection);
  if (faults.length > 0) throw new Error(faults.join("\n"));
  return tarball;
}

/** A check of what is released. */
export interface Check {
  readonly title: string;
  /** What it complains of; none when it passed. */
  readonly work: () => Promise<readonly string[]>;
}

/** The checks that Galaxy makes, and those that its maintainers recommend. */
export function checks(context: CheckContext, { identity, collection, role }: Release, tarball: Buffer): Check[] {
  return [
    { title: "galaxy-importer, collection", work: async () => await importCollection(context, identity, tarball) },
    { title: "galaxy-importer, role", work: async () => await importRole(context, identity, role) },
    { title: "ansible-test sanity", work: async () => (await sanity(context, identity, collection)).complaints },
  ];
}

/**
 * The same for the same files and tools: whether they passed need not be asked twice.
 *
 * @param tools folders of the tools
 */
export function fingerprint({ collection, role }: Release, ...tools: readonly string[]): string {
  return sha256(Buffer.from(JSON.stringify({ collection, role, tools, checks: checksVersion })));
}

/** Raise this when the checks change. */
const checksVersion = 1;

/** What is in the folder of a release. */
export interface Written {
  readonly tarball: string;
  readonly sha256: string;
  readonly role: string;
}

/**
 * Put a release into a folder. Of the existing files, only those that an earlier build wrote are replaced or removed.
 *
 * @throws Error when something else is in the way, or a symbolic link
 */
export function writeRelease(out: string, { identity, role }: Release, tarball: Buffer): Written {
  const folder = `${identity.namespace}.${identity.name}`;
  const files = role.map(({ path, text, executable = false }) => ({
    path: `${folder}/${path}`,
    bytes: Buffer.from(text),
    executable,
  }));
  writeReleaseFiles(out, [...files, { path: tarballName(identity), bytes: tarball }]);
  return { tarball: join(out, tarballName(identity)), sha256: sha256(tarball), role: join(out, folder) };
}
