import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  foldersIn,
  isThere,
  modifiedAt,
  readTextIfThere,
  realPathIfThere,
  removeFolder,
  touch,
  writeTree,
} from "../system/disk.js";
import { run } from "../system/process.js";
import { cacheFolder } from "./cache.js";

// Python environments in the cache: which Python, where, and how they are made.

export interface Python {
  readonly executable: string;
  readonly version: string;
}

/** Minor versions of Python 3. */
export interface PythonRange {
  readonly oldest?: number;
  readonly newest?: number;
}

export function isWithin(minor: number, { oldest = 11, newest = Infinity }: PythonRange): boolean {
  return minor >= oldest && minor <= newest;
}

const pythonNames = ["python3.13", "python3.12", "python3.11", "python3"];

/**
 * The first Python that can run some tools: 3.11 or newer (ansible-core 2.18 and 2.19 need it), with venv and
 * ensurepip.
 *
 * Each candidate is run, not only searched for: a shim of pyenv is there also for versions that are not. In an
 * environment (`venv`) it is the Python that the environment was made of.
 */
export async function findPython(
  range: PythonRange = {},
  candidates: readonly string[] = pythonNames,
): Promise<Python | undefined> {
  const question = [
    "import os, sys, venv, ensurepip",
    "assert sys.version_info >= (3, 11)",
    "print(os.path.realpath(getattr(sys, '_base_executable', sys.executable)))",
    "print('%d.%d.%d' % sys.version_info[:3])",
  ].join("; ");
  // One in the cache was unpacked for programs that no Python of the machine can run. It is in PATH where such a
  // program runs, and must not become the Python of all the others.
  const ours = candidates === pythonNames ? `${realPathIfThere(cacheFolder())}/` : undefined;
  for (const candidate of candidates) {
    const { code, stdout } = await run({ file: candidate, args: ["-c", question] });
    const [executable, version] = stdout.trim().split("\n");
    if (code !== 0 || !executable || !version) continue;
    if (ours !== undefined && executable.startsWith(ours)) continue;
    if (isWithin(Number(version.split(".")[1]), range)) return { executable, version };
  }
  return undefined;
}

/** Where a Python environment is, and whether it is whole. */
export interface Environment {
  readonly folder: string;
  readonly bin: string;
  readonly ready: boolean;
}

const completeMark = ".complete";

/**
 * The environment that belongs to these requirements and this Python, at its place: another of either is another
 * folder.
 *
 * @param requirements the text of the requirements file
 */
export function environment(requirements: string, python: Python): Environment {
  const recipe = `${python.executable}\n${python.version}\n${requirements}`;
  const hash = createHash("sha256").update(recipe).digest("hex").slice(0, 12);
  const folder = join(cacheFolder(), `venv-${hash}`);
  const ready = isThere(join(folder, completeMark)) && isThere(join(folder, "bin", "python"));
  return { folder, bin: join(folder, "bin"), ready };
}

const day = 24 * 3600 * 1000;

/** Note that an environment is used, so that it is not removed as an unused one. */
export function noteUse({ folder }: Environment, now = Date.now()): void {
  const mark = join(folder, completeMark);
  if (now - (modifiedAt(mark) ?? now) > day) touch(mark);
}

/** Days without use after which an environment may be removed. */
export const unusedDays = 30;

/**
 * The Python environments in the cache that were not used for so long, with the Pythons that only they run on.
 *
 * @param now milliseconds since 1970
 * @returns folders
 */
export function unusedFolders(now = Date.now()): string[] {
  const cache = cacheFolder();
  const isOld = (path: string): boolean => now - (modifiedAt(path) ?? now) > unusedDays * day;
  const all = foldersIn(cache).map((name) => join(cache, name));
  const environments = all.filter((path) => /\/venv-[0-9a-f]{12}$/.test(path));
  // One that was never finished has no mark.
  const unused = environments.filter((path) =>
    isOld(isThere(join(path, completeMark)) ? join(path, completeMark) : path),
  );
  const homes = environments
    .filter((path) => !unused.includes(path))
    .map((path) => /^home = (.*)$/m.exec(readTextIfThere(join(path, "pyvenv.cfg")) ?? "")?.[1] ?? "");
  const pythons = all.filter((path) => /\/python3\.\d+-[0-9a-f]{12}$/.test(path) && isOld(path));
  return [...unused, ...pythons.filter((path) => !homes.some((home) => home.startsWith(`${path}/`)))];
}

/** Remove what `unusedFolders` names: first what says that it is whole, for this may be interrupted. */
export function removeUnusedFolder(folder: string): void {
  for (const part of [completeMark, join("usr", "bin")]) removeFolder(join(folder, part));
  removeFolder(folder);
}

/** Mark an environment as whole: only then it counts as ready. */
export function finishEnvironment({ folder }: Environment): void {
  writeTree(folder, [{ path: completeMark, text: "" }]);
}
