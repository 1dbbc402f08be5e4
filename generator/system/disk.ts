import {
  accessSync,
  appendFileSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import type { Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { OutFile } from "../ir.js";

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
 * A file of this program below a folder; nothing when it is not there.
 *
 * @throws Error when it, or a folder on the way, is a symbolic link, or it is not text in UTF-8
 */
export function readOne(root: string, path: string): OutFile | undefined {
  const file = bytesOf(root, path);
  if (!file) return undefined;
  const text = file.bytes.toString("utf8");
  if (!Buffer.from(text, "utf8").equals(file.bytes)) throw new Error(`${join(root, path)} is not UTF-8 text`);
  return { path, text, ...(file.executable ? { executable: true } : {}) };
}

/**
 * The same with its bytes, which need not be text.
 *
 * @throws Error when it, or a folder on the way, is a symbolic link
 */
export function bytesOf(root: string, path: string): { bytes: Buffer; executable: boolean } | undefined {
  const parts = path.split("/");
  for (let count = 1; count <= parts.length; count++) {
    const step = join(root, ...parts.slice(0, count));
    const stat = lstatSync(step, { throwIfNoEntry: false });
    if (!stat) return undefined;
    if (stat.isSymbolicLink())
      throw new Error(`${step} is a symbolic link; nothing is read or written through it. Remove it.`);
    if (count < parts.length) {
      if (!stat.isDirectory()) throw new Error(`${step} is a file where a folder must be. Remove it.`);
      continue;
    }
    if (!stat.isFile()) throw new Error(`${step} is not a file. Remove it.`);
    return { bytes: readFileSync(step), executable: (stat.mode & 0o100) !== 0 };
  }
  return undefined;
}

/** Write a file of this program below a folder that is made; it appears whole or not at all. */
export function writeAtomically(
  root: string,
  file: Omit<OutFile, "text"> & { readonly text: string | Uint8Array },
): void {
  const target = join(root, file.path);
  const temporary = temporaryFor(target);
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

/** The name of a temporary file, in the folder of the file that it becomes. */
export function temporaryFor(target: string): string {
  return join(dirname(target), `.${process.pid}.${basename(target)}.tmp`);
}

/** What `read` gives; nothing when permission is denied, or links lead round in a circle. */
export function readable<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch (error) {
    if (["EACCES", "EPERM", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

export function isFolder(path: string): boolean {
  return kindOf(path)?.isDirectory() === true;
}

/** Folders directly below one that hold a file of that name, sorted. */
export function foldersWith(parent: string, name: string): string[] {
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((folder) => existsSync(join(parent, folder, name)))
    .sort();
}

/** The names of the files directly in a folder, sorted; none when it is not there. */
export function filesIn(folder: string): string[] {
  if (!isFolder(folder)) return [];
  return readdirSync(folder)
    .filter((name) => isFile(join(folder, name)))
    .sort();
}

/** The names of the folders directly in a folder, sorted; none when it is not there. */
export function foldersIn(folder: string): string[] {
  if (!isFolder(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

/** When a file was written or touched, or a folder got or lost a name, in milliseconds since 1970. */
export function modifiedAt(path: string): number | undefined {
  return kindOf(path)?.mtimeMs;
}

/** Set the time of a file to now, if this user may. */
export function touch(path: string): void {
  try {
    utimesSync(path, new Date(), new Date());
  } catch (error) {
    if (!["EACCES", "EPERM", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

/** How many bytes are free on the disk when these folders are removed; what has a link elsewhere does not count. */
export function bytesFreed(folders: readonly string[]): number {
  const left = new Map<string, { links: number; readonly bytes: number }>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      const { dev, ino, nlink, blocks } = lstatSync(path);
      const found = left.get(`${dev}:${ino}`) ?? { links: entry.isDirectory() ? 1 : nlink, bytes: blocks * 512 };
      found.links -= 1;
      left.set(`${dev}:${ino}`, found);
    }
  };
  for (const folder of folders) walk(folder);
  return [...left.values()].reduce((sum, { links, bytes }) => (links === 0 ? sum + bytes : sum), 0);
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

/** Remove a folder of this program and its content. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** A path without symbolic links. */
export function realPath(path: string): string {
  return realpathSync(path);
}

/** The same of a path that may lead nowhere, or that this user may not read: then the path itself. */
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
 * @throws Error of the system, with its path, when nothing can be made in a folder, or in the one that it would be made
 *   in
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
export function kindOf(path: string): Stats | undefined {
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

/** Write a value as JSON; the file appears whole or not at all. */
export function writeJson(path: string, value: unknown): void {
  writeAtomically(dirname(path), { path: basename(path), text: `${JSON.stringify(value, null, 1)}\n` });
}

/**
 * What writeJson has written; undefined when there is no such file.
 *
 * @throws SyntaxError when it is not JSON
 */
export function readJsonIfThere(path: string): unknown {
  const text = readTextIfThere(path);
  return text === undefined ? undefined : JSON.parse(text);
}

/** Files of this program below a folder that is made, with permissions that do not depend on the umask. */
export function writeTree(root: string, files: readonly OutFile[]): void {
  for (const file of files) writeAtomically(root, file);
}

/** Remove what lies directly in a folder of this program, except for some names. */
export function emptyFolder(path: string, keep: (name: string) => boolean): void {
  for (const name of readdirSync(path)) if (!keep(name)) rmSync(join(path, name), { recursive: true, force: true });
}
