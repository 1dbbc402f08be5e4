import { readdirSync, rmSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { OutFile, Plan } from "../ir.js";
import { bytesOf, readOne, writeAtomically } from "./disk.js";

// Folders of which a manifest says what is ours: the artefacts, and a folder of releases.

/** What we own in the output folder. It lies outside the artefacts, so that it is never published. */
export const manifestPath = ".manifest.json";

/** The same for a folder of releases: both may be in one folder, and neither removes what is the other's. */
const releaseManifestPath = ".release.json";

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
 * @throws Error for an entry that is absolute, climbs out of the folder, or is not a list of texts
 */
function readManifest(root: string, name: string): string[] {
  const text = readOne(root, name)?.text;
  if (text === undefined) return [];
  const refuse = (why: string): Error =>
    new Error(`${join(root, name)} ${why}. Nothing was written. Delete that file, and run this again.`);
  let files: unknown;
  try {
    files = (JSON.parse(text) as { files?: unknown } | null)?.files;
  } catch {
    throw refuse("is not JSON");
  }
  if (!Array.isArray(files)) throw refuse("has no list of files");
  return files.map((path: unknown) => {
    if (typeof path !== "string" || path === "") throw refuse(`lists ${JSON.stringify(path)}, which is not a path`);
    if (path.startsWith("/") || /^[A-Za-z]:/.test(path) || /[\\\0]/.test(path))
      throw refuse(`lists ${JSON.stringify(path)}, which is not a path inside the folder`);
    if (path.split("/").some((part) => part === "" || part === "." || part === ".."))
      throw refuse(`lists ${JSON.stringify(path)}, which leaves the folder`);
    return path;
  });
}

/** The manifest as a file to be. */
export function manifest(paths: readonly string[], name = manifestPath): OutFile {
  return { path: name, text: `${JSON.stringify({ files: [...new Set(paths)].sort() }, null, 2)}\n` };
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
 * Carry out a plan. Each file appears whole or not at all; at any moment at which the run is interrupted,
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
    if (there && !owned.includes(path))
      throw new Error(
        `${join(root, path)} was not written by a build, and would be overwritten. Nothing was written. Remove it, or build into another folder (--out).`,
      );
    return true;
  });
  const obsolete = owned.filter((path) => !wanted.includes(path) && bytesOf(root, path));
  writeAtomically(root, manifest([...owned, ...wanted], releaseManifestPath));
  for (const { path, bytes, executable } of stale)
    writeAtomically(root, { path, text: bytes, ...(executable === true ? { executable } : {}) });
  for (const path of obsolete) {
    rmSync(join(root, path), { force: true });
    removeEmptyFolders(root, dirname(path));
  }
  writeAtomically(root, manifest(wanted, releaseManifestPath));
}

function removeEmptyFolders(root: string, folder: string): void {
  if (folder === "." || readdirSync(join(root, folder)).length > 0) return;
  rmdirSync(join(root, folder));
  removeEmptyFolders(root, dirname(folder));
}
