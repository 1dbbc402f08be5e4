import {
  chmodSync,
  closeSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import type { OutFile } from "../ir.js";
import { temporaryFor, isFile, isFolder, kindOf, readable } from "./disk.js";

// Folders and files that another person owns: a Kayobe configuration, and what an operator has written for another
// role.

/** A file or folder of another person, who may have anything there. */
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
 * What lies below a folder of another person, sorted by path; links are followed, and reported. What cannot be read, or
 * leads round in a circle, is listed without content: only code that needs it complains.
 *
 * @param concerns whether a path is looked at, and below it
 */
export function readUserFiles(root: string, concerns: (path: string) => boolean): Entry[] {
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
      const entry: Entry = {
        path,
        ...(target === undefined ? {} : { link: target }),
        ...(inFolder === path ? {} : { real: inFolder }),
      };
      if (stat?.isDirectory() && real !== undefined)
        return [
          entry,
          ...(way.includes(real) ? [] : below(path, [...way, real], readable(() => readdirSync(whole)) ?? [])),
        ];
      const bytes = stat?.isFile() ? readable(() => readFileSync(whole)) : undefined;
      const text = bytes?.toString("utf8");
      return [
        { ...entry, ...(bytes && text !== undefined && Buffer.from(text, "utf8").equals(bytes) ? { text } : {}) },
      ];
    });
  return below("", [home], readdirSync(root)).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** One file of another person, as a list; nothing when there is no such file. */
export function readUserFile(path: string): Entry[] | undefined {
  if (!isFile(path)) return undefined;
  const bytes = readFileSync(path);
  const text = bytes.toString("utf8");
  return [{ path, ...(Buffer.from(text, "utf8").equals(bytes) ? { text } : {}) }];
}

/**
 * Why a path has no text: permission is denied, it leads nowhere, or it is not text in UTF-8; nothing for a folder that
 * can be read.
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

interface Staged {
  readonly path: string;
  readonly target: string;
  readonly temporary: string;
}

/**
 * Write files and links of another person's folder, with the owners and permissions that they have: all of them are
 * written next to their places first, so that what cannot be written stops everything before anything has changed.
 *
 * @throws Error that says which path it was, and what was written
 */
export function writeUserFiles(
  root: string,
  files: readonly OutFile[],
  links: readonly { readonly path: string; readonly target: string }[],
): void {
  const staged: Staged[] = [];
  const folders: string[] = [];
  const stage = (path: string, make: (temporary: string, target: string) => void): void => {
    const target = join(root, path);
    try {
      makeFolders(dirname(target), folders);
      const one = { path, target, temporary: temporaryFor(target) };
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
      throw new Error(
        `${target} cannot be written: ${reason(error)}. ${done.length === 0 ? "Nothing was written." : `This was written before: ${done.join(", ")}. Fix that, and run this again for the rest.`}`,
      );
    }
}

function makeFolders(folder: string, made: string[]): void {
  if (isFolder(folder)) return;
  if (existsSync(folder)) throw new Error(`${folder} is not a folder`);
  makeFolders(dirname(folder), made);
  mkdirSync(folder);
  made.push(folder);
  own(folder, ownerOf(folder));
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The owner for a new file or folder: root works in the folders of others, who must be able to read it. */
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
