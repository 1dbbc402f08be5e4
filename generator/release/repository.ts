import { createHash } from "node:crypto";
import { dirname, resolve } from "node:path";
import { parseDocument } from "yaml";
import { emptyFolder, readTree, realPath, writeTree } from "../system/disk.js";
import { failure, success } from "../ir.js";
import type { OutFile, Result } from "../ir.js";
import { run } from "../system/process.js";
import type { Outcome } from "../system/process.js";
import { programEnvironment } from "./environment.js";

/** Git asks no one: it does not do what needs a question. */
export async function git(cwd: string, ...args: readonly string[]): Promise<Outcome> {
  return await run({ file: "git", args, cwd, env: { ...programEnvironment(), GIT_TERMINAL_PROMPT: "0" } });
}

async function gitOrThrow(cwd: string, ...args: readonly string[]): Promise<string> {
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
 * @throws Error when the folder is not a separate git repository, or that has no commit, or cannot be read
 */
export async function head(folder: string, inputs: readonly string[]): Promise<Head> {
  const top = await gitOrThrow(folder, "rev-parse", "--show-toplevel");
  if (realPath(top) !== realPath(folder))
    throw new Error(
      `${folder} is not a separate git repository: it is inside that of ${top}, whose commits do not describe it. Clone it.`,
    );
  const [commit = "", time = ""] = (await gitOrThrow(folder, "log", "-1", "--format=%H %ct")).split(" ");
  const listed = (await gitOrThrow(folder, "status", "--porcelain", "--untracked-files=all", "--no-renames", "-z"))
    .split("\0")
    .filter((entry) => entry !== "");
  // A file that git ignores, or is configured to ignore, is read and released all the same.
  const tree = await gitOrThrow(folder, "ls-tree", "-r", "-z", "--full-tree", commit, "--", ...inputs);
  const changed = new Set([
    ...listed.map((entry) => entry.slice(3)),
    ...differences(
      tree,
      inputs.flatMap((input) => readTree(folder, input)),
    ),
  ]);
  return { commit, time: Number(time), changed: [...changed].sort() };
}

/**
 * Paths of files that a commit does not have, or has otherwise, or has alone. Bytes count, not what git makes of them
 * on the way to the disk: it is they that are released.
 *
 * @param tree what `git ls-tree -r -z` says
 */
function differences(tree: string, files: readonly OutFile[]): string[] {
  const there = new Map(
    [...tree.matchAll(/(\d+) \w+ ([0-9a-f]+)\t([^\0]+)/g)].map(([, mode, hash, path]) => [
      path!,
      { mode: mode!, hash: hash! },
    ]),
  );
  const same = ({ path, text, executable }: OutFile): boolean => {
    const { mode, hash } = there.get(path) ?? { mode: "", hash: "" };
    const bytes = Buffer.from(text);
    const own = createHash(hash.length === 64 ? "sha256" : "sha1")
      .update(`blob ${bytes.length}\0`)
      .update(bytes)
      .digest("hex");
    return own === hash && mode === (executable === true ? "100755" : "100644");
  };
  const paths = new Set(files.map(({ path }) => path));
  return [
    ...files.filter((file) => !same(file)).map(({ path }) => path),
    ...[...there.keys()].filter((path) => !paths.has(path)),
  ];
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
    if (code === 0 && stdout.trim() !== commit)
      found.push(
        `The tag ${tag} is at commit ${stdout.trim().slice(0, 12)}, and the release would be of ${commit.slice(0, 12)}.`,
      );
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

/**
 * Ask a repository what it has.
 *
 * @param folder where git runs: it must not be in a repository, whose configuration would apply
 * @throws Error when it cannot be reached, or has branches and none of them is the default one
 */
export async function readRemote(folder: string, address: string, version: string): Promise<Remote> {
  const names = tagNames(version).map((tag) => `refs/tags/${tag}`);
  return parseRemote(
    await gitOrThrow(folder, "ls-remote", "--symref", "--", address, "HEAD", "refs/heads/*", ...names),
    address,
  );
}

/**
 * @param text what `git ls-remote --symref` says
 * @throws Error when there are branches and none of them is the default one
 */
export function parseRemote(text: string, address: string): Remote {
  const lines = text.split("\n");
  const all = (pattern: RegExp): string[] => lines.flatMap((line) => pattern.exec(line)?.[1] ?? []);
  const [branch] = all(/^ref: refs\/heads\/(\S+)\tHEAD$/);
  const branches = all(/^[0-9a-f]+\trefs\/heads\/(\S+)$/);
  if (branches.length > 0 && (branch === undefined || !branches.includes(branch)))
    throw new Error(
      `${address} has branches (${branches.join(", ")}), and its HEAD names none of them. Set its default branch.`,
    );
  return { branch: branch ?? "main", tags: all(/\trefs\/tags\/(\S+)$/), empty: branches.length === 0 };
}

/** What Galaxy calls a repository: the last two parts of its address. */
export function ownerAndName(address: string): { owner: string; name: string } | undefined {
  const match = /(?:^|[/:])([\w.-]+)\/([\w.-]+?)(?:\.git)?\/*$/.exec(address);
  return match ? { owner: match[1]!, name: match[2]! } : undefined;
}

/** An address that means the same in every folder: that of a local repository may be relative. */
export function absolute(address: string): string {
  return isLocal(address) ? resolve(address) : address;
}

/** Whether an address is a path on this machine, as git distinguishes it from one of a host. */
export function isLocal(address: string): boolean {
  return !/^[^/]+:/.test(address);
}

/**
 * Whether an address has a password or token in it, which would be seen in the list of processes and in our output.
 * Over HTTP the user may be the token; to SSH it is a name.
 */
export function hasCredentials(address: string): boolean {
  return /^https?:\/\/[^/]*@/i.test(address) || /^[\w+.-]+:\/\/[^/@]*:[^/]*@/.test(address);
}

/**
 * Whether a repository can be the role's, whose content would be replaced.
 *
 * @param paths the files that it has
 * @param meta its meta/main.yml
 */
export function isOfRole(address: string, paths: readonly string[], meta: string | undefined, name: string): Result {
  const instead = "All that it holds would be replaced by the role. Name the role's repository, or an empty one.";
  if (paths.includes("galaxy.yml"))
    return failure(
      `${address} has a galaxy.yml: it is a collection's repository, or one that a role is generated in. ${instead}`,
    );
  const document = meta === undefined ? undefined : parseDocument(meta);
  const found: unknown = document?.errors.length === 0 ? document.getIn(["galaxy_info", "role_name"]) : undefined;
  if (found === name) return success();
  const roleName = `role_name in its meta/main.yml is ${typeof found === "string" ? found : "missing"}`;
  const why = meta === undefined ? "it has no meta/main.yml" : roleName;
  return failure(`${address} is not empty, and is not the repository of a role ${name}: ${why}. ${instead}`);
}

export interface Push {
  /** The role's. */
  readonly name: string;
  readonly address: string;
  readonly remote: Remote;
  readonly files: readonly OutFile[];
  readonly version: string;
  readonly message: string;
  /** Seconds since 1970. */
  readonly time: number;
}

/** What a push would do. */
export interface Prepared {
  /** Files that the repository would have no more. */
  readonly removed: readonly string[];
  /** Whether the branch has just this release already, with its tag: an earlier run came so far. */
  readonly there: boolean;
}

/**
 * Make a clone of the role's repository hold these files and a tag of the version, and let git try everything of the
 * push but the sending: after the collection is sent it is too late for what stops it here. What begins with a dot and
 * is none of the files stays (.github and the like); everything else is removed.
 *
 * @param folder a new folder for the clone
 * @throws Error with git's words, or when the repository is that of something else, or has the tag for something else
 */
export async function prepare(
  folder: string,
  { name, address, remote, files, version, message, time }: Push,
): Promise<Prepared> {
  await gitOrThrow(dirname(folder), "clone", "--quiet", "--config", "core.autocrlf=false", "--", address, folder);
  if (remote.empty) await gitOrThrow(folder, "symbolic-ref", "HEAD", `refs/heads/${remote.branch}`);
  if (!remote.empty) {
    const paths = (await gitOrThrow(folder, "ls-tree", "-r", "-z", "--name-only", "HEAD")).split("\0");
    const meta = paths.includes("meta/main.yml") ? await gitOrThrow(folder, "show", "HEAD:meta/main.yml") : undefined;
    const fits = isOfRole(address, paths, meta, name);
    if (!fits.ok) throw new Error(fits.why);
  }
  const tagged = remote.tags.includes(version);
  const taken = new Error(`${address} already has the tag ${version}, for something else.`);
  if (tagged) {
    const { code: elsewhere } = await git(folder, "merge-base", "--is-ancestor", `refs/tags/${version}`, "HEAD");
    if (elsewhere !== 0) throw taken;
    await gitOrThrow(folder, "checkout", "--quiet", "--detach", `refs/tags/${version}`);
  }
  const ours = new Set(files.map(({ path }) => path.split("/")[0]!));
  emptyFolder(folder, (name) => name.startsWith(".") && !ours.has(name));
  writeTree(folder, files);
  await gitOrThrow(folder, "add", "--all", "--force");
  if (tagged) {
    if (
      (await gitOrThrow(folder, "write-tree")) !==
      (await gitOrThrow(folder, "rev-parse", `refs/tags/${version}^{tree}`))
    )
      throw taken;
    return { removed: [], there: true };
  }
  const removed = remote.empty
    ? ""
    : await gitOrThrow(folder, "diff", "--cached", "--name-only", "--no-renames", "--diff-filter=D", "-z", "HEAD");
  const { code: unchanged } = await git(folder, "diff", "--cached", "--quiet");
  if (remote.empty || unchanged !== 0)
    await gitOrThrow(folder, "commit", "--quiet", "--date", `@${time}`, "--message", message);
  // Attributes, filters and hooks may have made something else of them.
  const [other] = differences(
    await gitOrThrow(folder, "ls-tree", "-r", "-z", "HEAD", "--", ...files.map(({ path }) => path)),
    files,
  );
  if (other !== undefined)
    throw new Error(`git changed ${other} in the commit for ${address}: look at its hooks and attributes.`);
  await gitOrThrow(folder, "tag", "--annotate", "--message", message, version);
  await send(folder, { address, remote, version }, "--dry-run");
  return { removed: removed.split("\0").filter((path) => path !== ""), there: false };
}

/**
 * Send what was prepared. Branch and tag arrive together or not at all.
 *
 * @throws Error with git's words
 */
export async function send(
  folder: string,
  { address, remote, version }: Pick<Push, "address" | "remote" | "version">,
  ...options: readonly string[]
): Promise<void> {
  // By its address: what clone calls it is a matter of configuration.
  await gitOrThrow(
    folder,
    "push",
    "--quiet",
    "--atomic",
    ...options,
    "--",
    address,
    `HEAD:refs/heads/${remote.branch}`,
    `refs/tags/${version}`,
  );
}
