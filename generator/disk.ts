import { appendFileSync, chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, realpathSync, renameSync, rmdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { OutFile, Plan } from "./ir.js";

/** What we own in the output folder. It lies outside the artefacts, so that it is never published. */
export const manifestPath = ".manifest.json";

/** Left by Python and editors in the folders of people who work; never part of the role. */
const rubbish = /(^|\/)(__pycache__|\.pytest_cache|\.ansible)(\/|$)|\.pyc$|~$|\.swp$/;

/**
 * Every file below a folder, sorted by path.
 *
 * @throws Error when a file is a symbolic link or is not text in UTF-8
 */
export function readTree(root: string): OutFile[] {
  const walk = (folder: string): OutFile[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (rubbish.test(path)) return [];
      if (entry.isDirectory()) return walk(path);
      const file = readOne(root, path);
      return file ? [file] : [];
    });
  return existsSync(root) ? walk("").sort((a, b) => (a.path < b.path ? -1 : 1)) : [];
}

/** The text of one file that must be there. */
export function readText(path: string): string {
  return readFileSync(path, "utf8");
}

/**
 * What is on the disk of that which a run may touch: the files that the manifest lists, and those that are wanted.
 *
 * @throws Error when the manifest lists something that cannot be ours, or the way to a file is a symbolic link
 */
export function readOwned(root: string, wanted: readonly OutFile[]): { before: OutFile[]; owned: string[] } {
  const owned = readManifest(root);
  const paths = new Set([...owned, ...wanted.map(({ path }) => path), manifestPath]);
  const before = [...paths].flatMap((path) => readOne(root, path) ?? []);
  return { before, owned };
}

/**
 * The manifest's list. Its content is not trusted: it decides what is deleted.
 *
 * @throws Error for an entry that is absolute, climbs out of the folder, or is no list of texts
 */
function readManifest(root: string): string[] {
  const text = readOne(root, manifestPath)?.text;
  if (text === undefined) return [];
  const refuse = (why: string): Error => new Error(`${join(root, manifestPath)} ${why}. Nothing was written. Delete that file, and generate again.`);
  let files: unknown;
  try {
    files = (JSON.parse(text) as { files?: unknown } | null)?.files;
  } catch {
    throw refuse("is no JSON");
  }
  if (!Array.isArray(files)) throw refuse("has no list of files");
  return files.map((path: unknown) => {
    if (typeof path !== "string" || path === "") throw refuse(`lists ${JSON.stringify(path)}, which is no path`);
    if (path.startsWith("/") || /^[A-Za-z]:/.test(path) || /[\\\0]/.test(path)) throw refuse(`lists ${JSON.stringify(path)}, which is no path inside the folder`);
    if (path.split("/").some((part) => part === "" || part === "." || part === "..")) throw refuse(`lists ${JSON.stringify(path)}, which leaves the folder`);
    return path;
  });
}

/** The manifest as a file to be. */
export function manifest(paths: readonly string[]): OutFile {
  return { path: manifestPath, text: `${JSON.stringify({ files: [...new Set(paths)].sort() }, null, 2)}\n` };
}

function readOne(root: string, path: string): OutFile | undefined {
  const parts = path.split("/");
  for (let count = 1; count <= parts.length; count++) {
    const step = join(root, ...parts.slice(0, count));
    const stat = lstatSync(step, { throwIfNoEntry: false });
    if (!stat) return undefined;
    if (stat.isSymbolicLink()) throw new Error(`${step} is a symbolic link; nothing is read or written through it. Remove it.`);
    if (count < parts.length) {
      if (!stat.isDirectory()) throw new Error(`${step} is a file where a folder must be. Remove it.`);
      continue;
    }
    if (!stat.isFile()) throw new Error(`${step} is no file. Remove it.`);
    const bytes = readFileSync(step);
    const text = bytes.toString("utf8");
    if (!Buffer.from(text, "utf8").equals(bytes)) throw new Error(`${step} is no UTF-8 text`);
    return { path, text, ...(stat.mode & 0o100 ? { executable: true } : {}) };
  }
  return undefined;
}

/**
 * What must happen so that `before` becomes `after`. Only what is `owned` is removed.
 *
 * @param owned paths of an earlier run's manifest
 */
export function plan(before: readonly OutFile[], after: readonly OutFile[], owned: readonly string[]): Plan {
  const there = new Map(before.map((file) => [file.path, file]));
  const wanted = new Set(after.map(({ path }) => path));
  const write = after.filter((file) => {
    const old = there.get(file.path);
    return !old || old.text !== file.text || Boolean(old.executable) !== Boolean(file.executable);
  });
  const remove = owned.filter((path) => !wanted.has(path) && there.has(path));
  return { write, remove, same: after.length - write.length };
}

/**
 * Carry out a plan. Each file appears whole or not at all; whatever the moment at which the run is interrupted,
 * the manifest lists every file that was written.
 */
export function apply(root: string, { write, remove }: Plan, owned: readonly string[]): void {
  const wanted = write.filter(({ path }) => path !== manifestPath);
  if (wanted.length > 0) writeAtomically(root, manifest([...owned, ...wanted.map(({ path }) => path)]));
  for (const file of wanted) writeAtomically(root, file);
  for (const path of remove) {
    rmSync(join(root, path), { force: true });
    removeEmptyFolders(root, dirname(path));
  }
  for (const file of write.filter(({ path }) => path === manifestPath)) writeAtomically(root, file);
}

function writeAtomically(root: string, file: OutFile, mode = file.executable ? 0o755 : 0o644): void {
  const target = join(root, file.path);
  const temporary = join(dirname(target), `.${process.pid}.${target.slice(dirname(target).length + 1)}.tmp`);
  mkdirSync(dirname(target), { recursive: true });
  try {
    writeFileSync(temporary, file.text);
    chmodSync(temporary, mode);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function removeEmptyFolders(root: string, folder: string): void {
  if (folder === "." || readdirSync(join(root, folder)).length > 0) return;
  rmdirSync(join(root, folder));
  removeEmptyFolders(root, dirname(folder));
}

/** A file or folder of somebody else, who may have anything there. */
export interface Entry {
  readonly path: string;
  /** Absent for a folder, and for what cannot be read as text in UTF-8. */
  readonly text?: string;
  /** What a symbolic link says. */
  readonly link?: string;
}

/**
 * What lies below a folder of somebody else, sorted by path; links are followed, and told.
 *
 * @param concerns whether a path is looked at, and below it
 */
export function readForeign(root: string, concerns: (path: string) => boolean): Entry[] {
  const walk = (folder: string, way: readonly string[]): Entry[] =>
    readdirSync(join(root, folder)).flatMap((name) => {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (!concerns(path)) return [];
      const whole = join(root, path);
      const link = lstatSync(whole).isSymbolicLink() ? { link: readlinkSync(whole) } : {};
      const stat = statSync(whole, { throwIfNoEntry: false });
      if (stat?.isDirectory()) {
        const real = realpathSync(whole);
        return [{ path, ...link }, ...(way.includes(real) ? [] : walk(path, [...way, real]))];
      }
      if (!stat?.isFile()) return [{ path, ...link }];
      const bytes = readFileSync(whole);
      const text = bytes.toString("utf8");
      return [{ path, ...link, ...(Buffer.from(text, "utf8").equals(bytes) ? { text } : {}) }];
    });
  return walk("", [realpathSync(root)]).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** One file of somebody else, as a list; nothing when there is no such file. */
export function readForeignFile(path: string): Entry[] | undefined {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  const bytes = readFileSync(path);
  const text = bytes.toString("utf8");
  return [{ path, ...(Buffer.from(text, "utf8").equals(bytes) ? { text } : {}) }];
}

/** Write files and links of somebody else's folder: each whole or not at all, with the permissions that it has. */
export function writeForeign(root: string, files: readonly OutFile[], links: readonly { readonly path: string; readonly target: string }[]): void {
  for (const file of files) {
    const stat = statSync(join(root, file.path), { throwIfNoEntry: false });
    writeAtomically(root, file, stat ? stat.mode & 0o7777 : undefined);
  }
  for (const { path, target } of links) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    symlinkSync(target, join(root, path));
  }
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Folders directly below one that hold a file of that name, sorted. */
export function foldersWith(parent: string, name: string): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent).filter((folder) => existsSync(join(parent, folder, name))).sort();
}

/** A log that is on the disk with each line: it is read when something hangs. */
export function openLog(path: string): (line: string) => void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "");
  return (line) => appendFileSync(path, `${line}\n`);
}

/** A new folder; its name begins with `prefix`. */
export function makeFolder(prefix: string): string {
  return mkdtempSync(prefix);
}

/** Remove a folder of our own and all that is in it. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
