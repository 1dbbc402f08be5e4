import { createHash } from "node:crypto";
import { emptyFolder, readTree, realPath, writeTree } from "../disk.js";
import type { OutFile } from "../ir.js";
import { run } from "../tools.js";
import type { Outcome } from "../tools.js";
import { programEnvironment } from "./environment.js";

/** Git asks nobody: what it may not do without a question, it does not do. */
export async function git(cwd: string, ...args: readonly string[]): Promise<Outcome> {
  return await run({ file: "git", args, cwd, env: { ...programEnvironment(), GIT_TERMINAL_PROMPT: "0", LC_ALL: "C" } });
}

async function must(cwd: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, output } = await git(cwd, ...args);
  if (code !== 0) throw new Error(`git ${args[0]} ended with ${code}:\n${output.trim()}`);
  return stdout.replace(/\n$/, "");
}

/** The state that a release is made from. */
export interface Head {
  readonly commit: string;
  /** Seconds since 1970. */
  readonly time: number;
  /** Files that are not as in the commit: what `git status` lists, and what it does not list for being ignored. */
  readonly changed: readonly string[];
}

/**
 * The commit, and what differs from it.
 *
 * @param inputs files and folders that a release is made of, relative to the repository
 * @throws Error when the folder is no git repository of its own, or that has no commit, or cannot be read
 */
export async function head(folder: string, inputs: readonly string[]): Promise<Head> {
  const top = await must(folder, "rev-parse", "--show-toplevel");
  if (realPath(top) !== realPath(folder)) throw new Error(`${folder} is no git repository of its own: it lies in that of ${top}, whose commits say nothing of it. Clone it.`);
  const [commit = "", time = ""] = (await must(folder, "log", "-1", "--format=%H %ct")).split(" ");
  const listed = (await must(folder, "status", "--porcelain", "--untracked-files=all", "--no-renames", "-z")).split("\0").filter((entry) => entry !== "");
  // A file that git ignores, or was told not to look at, is read and released all the same.
  const tree = await must(folder, "ls-tree", "-r", "-z", "--full-tree", commit, "--", ...inputs);
  const changed = new Set([...listed.map((entry) => entry.slice(3)), ...differences(tree, inputs.flatMap((input) => readTree(folder, input)))]);
  return { commit, time: Number(time), changed: [...changed].sort() };
}

/**
 * Paths of files that a commit does not have, or has otherwise, or has alone. Bytes count, not what git makes of them on
 * the way to the disk: it is they that are released.
 *
 * @param tree what `git ls-tree -r -z` says
 */
export function differences(tree: string, files: readonly OutFile[]): string[] {
  const there = new Map([...tree.matchAll(/(\d+) \w+ ([0-9a-f]+)\t([^\0]+)/g)].map(([, mode, hash, path]) => [path!, { mode: mode!, hash: hash! }]));
  const same = ({ path, text, executable }: OutFile): boolean => {
    const { mode, hash } = there.get(path) ?? { mode: "", hash: "" };
    const bytes = Buffer.from(text);
    const own = createHash(hash.length === 64 ? "sha256" : "sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    return own === hash && mode === (executable === true ? "100755" : "100644");
  };
  const paths = new Set(files.map(({ path }) => path));
  return [...files.filter((file) => !same(file)).map(({ path }) => path), ...[...there.keys()].filter((path) => !paths.has(path))];
}

/** The names under which a version may be tagged. */
function tagNames(version: string): string[] {
  return [version, `v${version}`];
}

/** Tags of the version that are at another commit. */
export async function tagsElsewhere(folder: string, version: string, commit: string): Promise<string[]> {
  const found: string[] = [];
  for (const tag of tagNames(version)) {
    const { code, stdout } = await git(folder, "rev-parse", "--quiet", "--verify", `refs/tags/${tag}^{commit}`);
    if (code === 0 && stdout.trim() !== commit) found.push(`The tag ${tag} is at commit ${stdout.trim().slice(0, 12)}, and the release would be of ${commit.slice(0, 12)}.`);
  }
  return found;
}

/** A repository that a role is pushed to. */
export interface Remote {
  readonly branch: string;
  /** Tags of the version that are there already. */
  readonly tags: readonly string[];
  readonly empty: boolean;
}

/** @throws Error when it cannot be reached */
export async function readRemote(address: string, version: string): Promise<Remote> {
  const names = tagNames(version).map((tag) => `refs/tags/${tag}`);
  const lines = (await must(".", "ls-remote", "--symref", "--", address, "HEAD", ...names)).split("\n");
  const branch = lines.map((line) => /^ref: refs\/heads\/(\S+)\tHEAD$/.exec(line)?.[1]).find((name) => name !== undefined);
  const tags = lines.flatMap((line) => /\trefs\/tags\/(\S+)$/.exec(line)?.[1] ?? []);
  return { branch: branch ?? "main", tags, empty: !lines.some((line) => /^[0-9a-f]{40,}\tHEAD$/.test(line)) };
}

/** What Galaxy calls a repository: the last two parts of its address. */
export function ownerAndName(address: string): { owner: string; name: string } | undefined {
  const match = /(?:^|[/:])([\w.-]+)\/([\w.-]+?)(?:\.git)?\/*$/.exec(address);
  return match ? { owner: match[1]!, name: match[2]! } : undefined;
}

/** An address with a password in it would be seen in the list of processes. */
export function hasPassword(address: string): boolean {
  return /^\w+:\/\/[^/@]*:[^/@]*@/.test(address);
}

export interface Push {
  readonly address: string;
  readonly remote: Remote;
  readonly files: readonly OutFile[];
  readonly version: string;
  readonly message: string;
  /** Seconds since 1970. */
  readonly time: number;
}

/**
 * Make the role's repository hold these files and a tag of the version. What begins with a dot and is none of them stays
 * (.github and the like); anything else goes. Branch and tag arrive together or not at all.
 *
 * @param folder a new folder for the clone
 * @throws Error with git's words
 */
export async function push(folder: string, { address, remote, files, version, message, time }: Push): Promise<void> {
  await must(".", "clone", "--quiet", "--", address, folder);
  if (remote.empty) await must(folder, "symbolic-ref", "HEAD", `refs/heads/${remote.branch}`);
  const ours = new Set(files.map(({ path }) => path.split("/")[0]!));
  emptyFolder(folder, (name) => name.startsWith(".") && !ours.has(name));
  writeTree(folder, files);
  await must(folder, "add", "--all", "--force");
  const { code: unchanged } = await git(folder, "diff", "--cached", "--quiet");
  if (remote.empty || unchanged !== 0) await must(folder, "commit", "--quiet", "--date", `@${time}`, "--message", message);
  await must(folder, "tag", "--annotate", "--message", message, version);
  await must(folder, "push", "--quiet", "--atomic", "--", address, `HEAD:refs/heads/${remote.branch}`, `refs/tags/${version}`);
}

