import { accessSync, appendFileSync, chmodSync, closeSync, constants, existsSync, lchownSync, lstatSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, realpathSync, renameSync, rmdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import type { Stats } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { OutFile, Plan } from "./ir.js";

/** What we own in the output folder. It lies outside the artefacts, so that it is never published. */
export const manifestPath = ".manifest.json";

/** The same for a folder of releases: both may be in one folder, and neither removes what is the other's. */
export const releaseManifestPath = ".release.json";

/** Left by Python and editors in the folders of people who work; never part of the role. */
const rubbish = /(^|\/)(__pycache__|\.pytest_cache|\.ansible)(\/|$)|\.pyc$|~$|\.swp$/;

/**
 * Every file below a folder, sorted by path.
 *
 * @param start a file or folder in it to which it is confined; it is a part of the paths
 * @throws Error when a file is a symbolic link or is not text in UTF-8
 */
export function readTree(root: string, start = ""): OutFile[] {
  const walk = (folder: string): OutFile[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (rubbish.test(path)) return [];
      if (entry.isDirectory()) return walk(path);
      const file = readOne(root, path);
      return file ? [file] : [];
    });
  if (isFile(join(root, start))) return [readOne(root, start) ?? []].flat();
  return existsSync(join(root, start)) ? walk(start).sort((a, b) => (a.path < b.path ? -1 : 1)) : [];
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
  const owned = readManifest(root, manifestPath);
  const paths = new Set([...owned, ...wanted.map(({ path }) => path), manifestPath]);
  const before = [...paths].flatMap((path) => readOne(root, path) ?? []);
  return { before, owned };
}

/**
 * The manifest's list. Its content is not trusted: it decides what is deleted.
 *
 * @throws Error for an entry that is absolute, climbs out of the folder, or is no list of texts
 */
function readManifest(root: string, name: string): string[] {
  const text = readOne(root, name)?.text;
  if (text === undefined) return [];
  const refuse = (why: string): Error => new Error(`${join(root, name)} ${why}. Nothing was written. Delete that file, and run this again.`);
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
export function manifest(paths: readonly string[], name = manifestPath): OutFile {
  return { path: name, text: `${JSON.stringify({ files: [...new Set(paths)].sort() }, null, 2)}\n` };
}

function readOne(root: string, path: string): OutFile | undefined {
  const file = bytesOf(root, path);
  if (!file) return undefined;
  const text = file.bytes.toString("utf8");
  if (!Buffer.from(text, "utf8").equals(file.bytes)) throw new Error(`${join(root, path)} is no UTF-8 text`);
  return { path, text, ...(file.executable ? { executable: true } : {}) };
}

function bytesOf(root: string, path: string): { bytes: Buffer; executable: boolean } | undefined {
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
    return { bytes: readFileSync(step), executable: (stat.mode & 0o100) !== 0 };
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

/** A file of a folder of releases; not each is text. */
export interface ReleaseFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly executable?: boolean;
}

/**
 * Make a folder hold these files, and no more of what an earlier call wrote. Each appears whole or not at all, and the
 * manifest lists it before.
 *
 * @throws Error when a file is in the way that no earlier call wrote, or the way to one is a symbolic link; nothing was
 *   written then
 */
export function writeReleaseFiles(root: string, files: readonly ReleaseFile[]): void {
  const owned = readManifest(root, releaseManifestPath);
  const wanted = files.map(({ path }) => path);
  const stale = files.filter(({ path, bytes, executable }) => {
    const there = bytesOf(root, path);
    if (there?.bytes.equals(bytes)) return there.executable !== (executable === true);
    if (there && !owned.includes(path)) throw new Error(`${join(root, path)} was not written by a build, and would be overwritten. Nothing was written. Remove it, or build into another folder (--out).`);
    return true;
  });
  const gone = owned.filter((path) => !wanted.includes(path) && bytesOf(root, path));
  writeAtomically(root, manifest([...owned, ...wanted], releaseManifestPath));
  for (const { path, bytes, executable } of stale) writeAtomically(root, { path, text: bytes, ...(executable === true ? { executable } : {}) });
  for (const path of gone) {
    rmSync(join(root, path), { force: true });
    removeEmptyFolders(root, dirname(path));
  }
  writeAtomically(root, manifest(wanted, releaseManifestPath));
}

function writeAtomically(root: string, file: Omit<OutFile, "text"> & { readonly text: string | Uint8Array }): void {
  const target = join(root, file.path);
  const temporary = besides(target);
  mkdirSync(dirname(target), { recursive: true });
  try {
    writeFileSync(temporary, file.text);
    chmodSync(temporary, file.executable ? 0o755 : 0o644);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function besides(target: string): string {
  return join(dirname(target), `.${process.pid}.${basename(target)}.tmp`);
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
  /** Where it really is, relative to the folder, when a symbolic link leads there. */
  readonly real?: string;
}

/**
 * What lies below a folder of somebody else, sorted by path; links are followed, and told. What cannot be read, or
 * leads round in a circle, is there without more: only who needs it is to complain.
 *
 * @param concerns whether a path is looked at, and below it
 */
export function readForeign(root: string, concerns: (path: string) => boolean): Entry[] {
  const home = realpathSync(root);
  const below = (folder: string, way: readonly string[], names: readonly string[]): Entry[] =>
    names.flatMap((name) => {
      const path = folder === "" ? name : `${folder}/${name}`;
      if (!concerns(path)) return [];
      const whole = join(root, path);
      const target = lstatSync(whole).isSymbolicLink() ? readlinkSync(whole) : undefined;
      const stat = readable(() => statSync(whole, { throwIfNoEntry: false }));
      const real = stat && readable(() => realpathSync(whole));
      const inFolder = real === undefined ? path : relative(home, real);
      const entry: Entry = { path, ...(target === undefined ? {} : { link: target }), ...(inFolder === path ? {} : { real: inFolder }) };
      if (stat?.isDirectory() && real !== undefined) return [entry, ...(way.includes(real) ? [] : below(path, [...way, real], readable(() => readdirSync(whole)) ?? []))];
      const bytes = stat?.isFile() ? readable(() => readFileSync(whole)) : undefined;
      const text = bytes?.toString("utf8");
      return [{ ...entry, ...(bytes && text !== undefined && Buffer.from(text, "utf8").equals(bytes) ? { text } : {}) }];
    });
  return below("", [home], readdirSync(root)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** One file of somebody else, as a list; nothing when there is no such file. */
export function readForeignFile(path: string): Entry[] | undefined {
  if (!isFile(path)) return undefined;
  const bytes = readFileSync(path);
  const text = bytes.toString("utf8");
  return [{ path, ...(Buffer.from(text, "utf8").equals(bytes) ? { text } : {}) }];
}

/**
 * Why a path has no text: permission is denied, it leads nowhere, or it is no text in UTF-8; nothing for a folder that can be
 * read.
 */
export function whyNoText(path: string): "denied" | "nowhere" | "binary" | undefined {
  try {
    const stat = kindOf(path);
    if (stat === undefined) return "nowhere";
    if (stat.isDirectory()) readdirSync(path);
    else if (stat.isFile()) closeSync(openSync(path, "r"));
    return stat.isDirectory() ? undefined : "binary";
  } catch (error) {
    if (["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "")) return "denied";
    throw error;
  }
}

/** Whether a path leads to a file of more bytes than that. */
export function isLargerThan(path: string, bytes: number): boolean {
  const stat = readable(() => kindOf(path));
  return stat?.isFile() === true && stat.size > bytes;
}

function readable<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (["EACCES", "EPERM", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

interface Staged {
  readonly path: string;
  readonly target: string;
  readonly temporary: string;
}

/**
 * Write files and links of somebody else's folder, with the owners and permissions that they have: all of them are
 * written beside their places first, so that what cannot be written stops everything before anything has changed.
 *
 * @throws Error that says which path it was, and what was written
 */
export function writeForeign(root: string, files: readonly OutFile[], links: readonly { readonly path: string; readonly target: string }[]): void {
  const staged: Staged[] = [];
  const folders: string[] = [];
  const stage = (path: string, make: (temporary: string, target: string) => void): void => {
    const target = join(root, path);
    try {
      makeFolders(dirname(target), folders);
      const one = { path, target, temporary: besides(target) };
      staged.push(one);
      make(one.temporary, target);
    } catch (error) {
      for (const { temporary } of staged) readable(() => rmSync(temporary, { force: true }));
      for (const folder of folders.reverse()) rmdirSync(folder);
      throw new Error(`${target} cannot be written: ${reason(error)}. Nothing was written.`);
    }
  };
  for (const file of files)
    stage(file.path, (temporary, target) => {
      const stat = statSync(target, { throwIfNoEntry: false });
      writeFileSync(temporary, file.text);
      own(temporary, stat ?? ownerOf(target));
      // After the owner, whose change takes some permissions away.
      chmodSync(temporary, stat ? stat.mode & 0o7777 : file.executable ? 0o755 : 0o644);
    });
  for (const { path, target: leadsTo } of links)
    stage(path, (temporary, target) => {
      symlinkSync(leadsTo, temporary);
      own(temporary, ownerOf(target));
    });
  for (const [index, { target, temporary }] of staged.entries())
    try {
      renameSync(temporary, target);
    } catch (error) {
      for (const rest of staged.slice(index)) rmSync(rest.temporary, { force: true });
      const done = staged.slice(0, index).map(({ path }) => path);
      throw new Error(`${target} cannot be written: ${reason(error)}. ${done.length === 0 ? "Nothing was written." : `This was written before: ${done.join(", ")}. Mend that, and run this again for the rest.`}`);
    }
}

function makeFolders(folder: string, made: string[]): void {
  if (isFolder(folder)) return;
  if (existsSync(folder)) throw new Error(`${folder} is no folder`);
  makeFolders(dirname(folder), made);
  mkdirSync(folder);
  made.push(folder);
  own(folder, ownerOf(folder));
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Whose a new file or folder is to be: root works in the folders of others, and they would not be able to read it. */
function ownerOf(path: string): Owner | undefined {
  return process.getuid?.() === 0 ? statSync(dirname(path)) : undefined;
}

function own(path: string, owner: Owner | undefined): void {
  const is = lstatSync(path);
  if (!owner || (is.uid === owner.uid && is.gid === owner.gid)) return;
  try {
    lchownSync(path, owner.uid, owner.gid);
  } catch (error) {
    // Who may write a file of a group need not be in that group.
    if (is.uid !== owner.uid || (error as NodeJS.ErrnoException).code !== "EPERM") throw error;
  }
}

/** What the system says of a failure, without the path of a temporary file. */
function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split(", ")[0]!;
}

export function isFolder(path: string): boolean {
  return kindOf(path)?.isDirectory() === true;
}

/** Folders directly below one that hold a file of that name, sorted. */
export function foldersWith(parent: string, name: string): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent).filter((folder) => existsSync(join(parent, folder, name))).sort();
}

/** The names of the files directly in a folder, sorted; none when it is not there. */
export function filesIn(folder: string): string[] {
  if (!isFolder(folder)) return [];
  return readdirSync(folder).filter((name) => isFile(join(folder, name))).sort();
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

/** A path without symbolic links. */
export function realPath(path: string): string {
  return realpathSync(path);
}

/** The same of a path that may lead nowhere, or where nobody may look: then it is the path itself. */
export function realPathIfThere(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

export function isFile(path: string): boolean {
  return kindOf(path)?.isFile() === true;
}

/**
 * @throws Error of the system, with its path, when nothing can be made in a folder, or in the one that it would be made in
 */
export function mustBeWritable(folder: string): void {
  if (!isThere(folder)) return mustBeWritable(dirname(folder));
  accessSync(folder, constants.W_OK | constants.X_OK);
}

/** Whether there is anything by that path. */
export function isThere(path: string): boolean {
  return kindOf(path) !== undefined;
}

/** What a path leads to; nothing also where a file is in the way, or links lead round in a circle. */
function kindOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (["ENOTDIR", "ELOOP", "ENAMETOOLONG"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

/** The text of a file that need not be there. */
export function readTextIfThere(path: string): string | undefined {
  return isFile(path) ? readText(path) : undefined;
}

export function readBytes(path: string): Buffer {
  return readFileSync(path);
}

/** A file that is not text; its folder is made. */
export function writeBytes(path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}

/** Files of our own below a folder that is made, with permissions that do not depend on the umask. */
export function writeTree(root: string, files: readonly OutFile[]): void {
  for (const file of files) writeAtomically(root, file);
}

/** Remove what lies directly in a folder of our own, but for some names. */
export function emptyFolder(path: string, keep: (name: string) => boolean): void {
  for (const name of readdirSync(path)) if (!keep(name)) rmSync(join(path, name), { recursive: true, force: true });
}
