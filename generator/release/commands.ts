import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";
import { readSources, root } from "../artefacts/sources.js";
import type { Sources } from "../artefacts/sources.js";
import { crosscheck } from "../artefacts/crosscheck.js";
import { isFile, isFolder, makeFolder, removeFolder, writeBytes } from "../system/disk.js";
import { cacheFolder, locked } from "../workshop/cache.js";
import { progress } from "../system/progress.js";
import { importerTools, pythonTools } from "../workshop/setup.js";
import { exit, fromCwd, printProblems, print } from "../system/terminal.js";
import { run } from "../system/process.js";
import {
  buildCollection,
  buildTime,
  checks,
  disagreements,
  fingerprint,
  release,
  releaseInputs,
  writeRelease,
} from "./build.js";
import type { Written } from "./build.js";
import { takeSecrets } from "./environment.js";
import {
  access,
  afterFailure,
  askGalaxy,
  redact,
  redactErrors,
  importCommand,
  publishCommand,
  secretsOf,
  serverRefusals,
  sourceInWords,
} from "./publish.js";
import type { Access, Answer } from "./publish.js";
import {
  absolute,
  hasCredentials,
  head,
  isLocal,
  ownerAndName,
  prepare,
  readRemote,
  send,
  tagsElsewhere,
} from "./repository.js";
import type { Head, Push, Remote } from "./repository.js";

/**
 * Do something with an empty folder, which is removed also when a signal ends this.
 *
 * @param lastWords what to say then
 */
async function inTemporary<Result>(
  prefix: string,
  lastWords: () => string,
  work: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = makeFolder(join(tmpdir(), prefix));
  const leave = (): void => removeFolder(folder);
  const stop = (signal: NodeJS.Signals): void => {
    const words = lastWords();
    if (words !== "") console.error(words);
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("exit", leave);
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    return await work(folder);
  } finally {
    process.off("exit", leave);
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
    leave();
  }
}

/** What a release is made from. */
interface Ready {
  readonly sources: Sources;
  readonly commit: Head;
}

/** What a release is made from, when nothing prevents one. Reports what does. */
async function prepared(): Promise<Ready | undefined> {
  const sources = readSources(root);
  const problems =
    sources.problems.length > 0
      ? sources.problems
      : [...crosscheck(sources.role, sources.template.files), ...disagreements(root, sources)];
  printProblems(problems);
  return problems.length > 0 ? undefined : { sources, commit: await head(root, releaseInputs) };
}

/**
 * Build, let every check pass, and put the release into a folder. Reports what a check complains of.
 *
 * @param which checks are made: all; those that have not passed on this machine with just these files and tools; none
 * @param secrets what may be in no complaint
 */
async function builtAndChecked(
  { sources, commit }: Ready,
  out: string,
  which: "all" | "new" | "none",
  secrets: readonly string[],
): Promise<Written | undefined> {
  const [bin, importer] = [await pythonTools(root), await importerTools(root)];
  const cache = join(cacheFolder(), "release");
  // What the checks keep is one folder for all runs.
  return await locked(
    "release",
    async () =>
      await inTemporary(
        "sriov-role-release-",
        () => "",
        async (temporary) => {
          const context = { bin, importer, cache, temporary };
          const made = release(sources);
          const tarball = await buildCollection(context, made, buildTime(commit.time));
          const mark = join(cache, "passed", fingerprint(made, bin, importer));
          if (which === "none") return writeRelease(out, made, tarball);
          if (which === "new" && isFile(mark)) {
            print("Galaxy's checks: passed before, with these files and tools.");
            return writeRelease(out, made, tarball);
          }
          const complaints: string[] = [];
          const jobs = checks(context, made, tarball).map(({ title, work }) => ({
            title,
            work: async (): Promise<void> => {
              const found = await work();
              complaints.push(...found.map((line) => `${title}: ${line}`));
              if (found.length > 0) throw new Error("see below");
            },
          }));
          await progress(jobs).catch((error: unknown) => {
            if (complaints.length === 0) throw error;
          });
          for (const complaint of complaints) console.error(redact(complaint, secrets));
          removeFolder(mark);
          if (complaints.length > 0) return undefined;
          writeBytes(mark, Buffer.alloc(0));
          return writeRelease(out, made, tarball);
        },
      ),
  );
}

/**
 * `sriov-role build`.
 *
 * @returns an exit code
 */
export async function build(options: { out?: string; checks: boolean }): Promise<number> {
  const secrets = secretsOf(takeSecrets(process.env));
  return await redactErrors(secrets, async () => await buildInto(options, secrets));
}

async function buildInto(options: { out?: string; checks: boolean }, secrets: readonly string[]): Promise<number> {
  const ready = await prepared();
  const { changed, commit } = ready?.commit ?? { changed: [], commit: "" };
  const written =
    ready &&
    (await builtAndChecked(
      ready,
      resolve(options.out ?? join(root, "build", "release")),
      options.checks ? "all" : "none",
      secrets,
    ));
  if (!written) {
    console.error("Nothing was written.");
    return exit.failed;
  }
  print(`${fromCwd(written.tarball)}  sha256 ${written.sha256}`);
  print(`${fromCwd(written.role)}  the role, as its repository holds it`);
  if (!options.checks) print("Not checked as Galaxy checks it.");
  print(
    `Built from commit ${commit.slice(0, 12)}${changed.length === 0 ? "." : ` and ${changed.length} changes that are not in it: this can be looked at, not published.`}`,
  );
  return exit.good;
}

/** Of its command line. */
export interface PublishOptions {
  readonly dryRun?: boolean;
  readonly collection?: boolean;
  readonly role?: boolean;
  readonly server?: string;
  readonly roleRepository?: string;
  readonly out?: string;
}

/** What is published. */
interface What {
  readonly collection: boolean;
  readonly role: boolean;
}

/** The role's repository. */
interface RoleRepository {
  readonly address: string;
  /** What Galaxy calls it. */
  readonly owner: string;
  readonly name: string;
}

/** What the options of `publish` request; a failure for a combination without a meaning. */
function wanted(
  options: PublishOptions,
): Result<{ readonly what: What; readonly repository: RoleRepository | undefined }> {
  const both = options.collection !== true && options.role !== true;
  const address = options.roleRepository;
  // What publishing would do can be asked of the collection before there is a repository for the role.
  const roleIsLater = both && options.dryRun === true && address === undefined;
  const what = {
    collection: both || options.collection === true,
    role: (both && !roleIsLater) || options.role === true,
  };
  const named = address === undefined ? undefined : ownerAndName(address);
  if (what.role && (address === undefined || !named))
    return failure(
      "The role is published through a separate repository: --role-repository URL, or --collection to publish the collection alone.",
    );
  // Without the address: a mistyped one may contain a token, which must not be in a log.
  if (address !== undefined && isLocal(address) && !isFolder(address))
    return failure(
      "The folder that --role-repository names is not there: give the address of a git repository, or its folder.",
    );
  if (address !== undefined && hasCredentials(address))
    return failure(
      "The address of the role's repository has a user, password or token in it; leave that to git's credential helper.",
    );
  const repository = what.role && address !== undefined && named ? { address: absolute(address), ...named } : undefined;
  return success({ what, repository });
}

/**
 * `sriov-role publish`.
 *
 * @returns an exit code
 */
export async function publish(options: PublishOptions): Promise<number> {
  const asked = wanted(options);
  if (!asked.ok) {
    console.error(asked.why);
    return exit.wrongUse;
  }
  const taken = takeSecrets(process.env);
  const secrets = secretsOf(taken);
  const published: string[] = [];
  const whatIsOut = (): string =>
    published.length === 0
      ? "Nothing was published."
      : `Published: ${published.join(", ")}. The rest was not, or not completely.`;
  return await inTemporary("sriov-role-publish-", whatIsOut, async (temporary) => {
    const means = { temporary, way: access(options, taken), secrets, published };
    const { what, repository } = asked.value;
    return await redactErrors(secrets, async () => await publishFrom(means, options, what, repository));
  });
}

interface Means {
  /** An empty folder in no git repository. */
  readonly temporary: string;
  readonly way: Access;
  /** What may be in no output; the server's come to it. */
  readonly secrets: string[];
  /** What is published, to report when this is stopped. */
  readonly published: string[];
}

/** What is known before anything is sent. */
interface Publication extends Means {
  readonly ready: Ready;
  readonly bin: string;
  readonly what: What;
  /** The role's repository, when the role is published, and what it has. */
  readonly target: (RoleRepository & { readonly remote: Remote }) | undefined;
  /** Who the role belongs to on Galaxy. */
  readonly owner: string;
  readonly answer: Answer;
  /** Name and version of the collection. */
  readonly title: string;
}

/** Print a line without secrets. */
function report({ secrets }: Publication, line: string): void {
  print(redact(line, secrets));
}

/** The message of an error without secrets. */
function clean({ secrets }: Publication, error: unknown): string {
  return redact(error instanceof Error ? error.message : String(error), secrets);
}

function nothingSent(...reasons: readonly string[]): number {
  for (const reason of [...reasons, "Nothing was sent."]) console.error(reason);
  return exit.failed;
}

/** Find out all that can be known before anything is sent. */
async function lookAhead(
  means: Means,
  ready: Ready,
  what: What,
  repository: RoleRepository | undefined,
): Promise<Publication> {
  const { identity } = ready.sources.role;
  const bin = await pythonTools(root);
  // Galaxy has its namespaces in small letters, and GitHub its owners as they like.
  const owner = (repository?.owner ?? identity.namespace).toLowerCase();
  const answer = await askGalaxy(bin, root, identity, owner, means.way);
  means.secrets.push(...answer.secrets);
  const remote = repository && (await readRemote(means.temporary, repository.address, identity.version));
  const target = repository && remote && { ...repository, remote };
  const title = `${identity.namespace}.${identity.name} ${identity.version}`;
  return { ...means, ready, bin, what, target, owner, answer, title };
}

/** What speaks against publishing. */
async function refusals({ ready, what, target, owner, answer }: Publication): Promise<string[]> {
  const { identity } = ready.sources.role;
  const { commit, changed } = ready.commit;
  const { version } = identity;
  const dirty = `${changed.length} files are changed or not in git, for example ${changed[0]}: commit or remove them first.`;
  // With a tag of just this name it may be what an earlier run has pushed.
  const tags = target?.remote.tags.filter((tag) => tag !== version) ?? [];
  return [
    ...(changed.length === 0 ? [] : [dirty]),
    ...(await tagsElsewhere(root, version, commit)),
    ...serverRefusals(identity, owner, answer, what),
    ...tags.map((tag) => `${target?.address} has the tag ${tag} already.`),
  ];
}

/** Report what is sent where. */
function announce(publication: Publication, options: PublishOptions): void {
  const { ready, what, target, owner, answer, title } = publication;
  const { namespace, name, version } = ready.sources.role.identity;
  const server = `${answer.url} (${answer.name}), ${sourceInWords(answer.source)}`;
  report(publication, `${title}, commit ${ready.commit.commit.slice(0, 12)}:`);
  if (what.collection) report(publication, `  the collection is sent to ${server}`);
  if (what.collection && !what.role && options.collection !== true)
    report(publication, "  the role is not part of this: --role-repository URL decides where it is sent");
  if (!target) return;
  const { address, remote } = target;
  const renamed = owner === namespace ? "" : `, and called ${owner}.${name} there, not ${namespace}.${name}`;
  report(publication, `  the role is pushed to the branch ${remote.branch} of ${address}, with the tag ${version}`);
  report(publication, `  then the role ${target.owner}/${target.name} is imported by ${server}${renamed}`);
}

/** A push of the role that git has tried, but for the sending. */
interface TriedPush {
  readonly push: Push;
  readonly clone: string;
  /** Whether an earlier run has sent it. */
  readonly sent: boolean;
}

/**
 * Let git try the push of the role.
 *
 * @throws Error when it could not be, with git's words
 */
async function tryPush(
  publication: Publication,
  { address, remote }: Pick<Push, "address" | "remote">,
): Promise<TriedPush> {
  const { ready, temporary, title } = publication;
  const { name, version } = ready.sources.role.identity;
  const { commit, time } = ready.commit;
  const message = `${title}\n\nMade from commit ${commit}.`;
  const push = { name, address, remote, files: release(ready.sources).role, version, message, time };
  const clone = join(temporary, "role");
  const { removed, there } = await prepare(clone, push);
  if (there) report(publication, "  the role is already there, with its tag: it is only imported");
  for (const path of removed) report(publication, `  ${path} is there now and will be removed`);
  return { push, clone, sent: there };
}

/** Publish the collection. Returns whether that succeeded, and reports the outcome. */
async function sendCollection(publication: Publication, tarball: string): Promise<boolean> {
  const { ready, bin, way, owner, answer, title, published } = publication;
  const { identity } = ready.sources.role;
  const { code } = await run(publishCommand(bin, way, tarball), { onLine: (line) => report(publication, line) });
  if (code !== 0) {
    const now = await askGalaxy(bin, root, identity, owner, way).catch(() => undefined);
    console.error(afterFailure(identity, answer.url, now));
    return false;
  }
  published.push("the collection");
  print(`Published: the collection ${title}`);
  return true;
}

/** Push the role, and let Galaxy import it. Returns whether that succeeded, and reports the outcome. */
async function sendRole(
  publication: Publication,
  repository: RoleRepository,
  { push, clone, sent }: TriedPush,
): Promise<boolean> {
  const { bin, way, what, title } = publication;
  if (!sent) {
    try {
      await send(clone, push);
    } catch (error) {
      const rest = what.collection ? " The collection was: omit it from the next run (--role)." : "";
      console.error(clean(publication, error));
      console.error(`The role was not published.${rest}`);
      return false;
    }
    print(`Pushed: the role, to ${repository.address}`);
  }
  const command = importCommand(bin, way, repository, push.remote.branch);
  const { code } = await run(command, { onLine: (line) => report(publication, line) });
  if (code !== 0) {
    console.error(
      "The role is in its repository, and Galaxy did not import it. Once that is fixed, publish again with --role: what is pushed is not pushed again.",
    );
    return false;
  }
  print(`Published: the role ${title}`);
  return true;
}

/**
 * Publish what nothing speaks against.
 *
 * @param repository the role's, when the role is published
 * @returns an exit code
 */
async function publishFrom(
  means: Means,
  options: PublishOptions,
  what: What,
  repository: RoleRepository | undefined,
): Promise<number> {
  const ready = await prepared();
  if (!ready) return nothingSent();
  const publication = await lookAhead(means, ready, what, repository);
  const against = await refusals(publication);
  announce(publication, options);
  if (against.length > 0) return nothingSent(...against.map((reason) => clean(publication, reason)));
  const { target } = publication;
  let tried: TriedPush | undefined;
  try {
    tried = target && (await tryPush(publication, target));
  } catch (error) {
    return nothingSent(clean(publication, error));
  }
  const out = resolve(options.out ?? join(root, "build", "release"));
  const written = await builtAndChecked(ready, out, "new", means.secrets);
  if (!written) return nothingSent();
  report(publication, `${fromCwd(written.tarball)}  sha256 ${written.sha256}`);
  if (options.dryRun) {
    print("Nothing was sent: this was a dry run.");
    return exit.good;
  }
  if (what.collection && !(await sendCollection(publication, written.tarball))) return exit.failed;
  if (target && tried && !(await sendRole(publication, target, tried))) return exit.failed;
  return exit.good;
}
