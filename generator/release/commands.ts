import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { readSources, root } from "../artefacts/sources.js";
import type { Sources } from "../artefacts/sources.js";
import { crosscheck } from "../artefacts/crosscheck.js";
import { isFile, isFolder, makeFolder, removeFolder, writeBytes } from "../system/disk.js";
import { cacheFolder, locked } from "../workshop/cache.js";
import { progress } from "../system/progress.js";
import { importerTools, pythonTools } from "../workshop/setup.js";
import { exit, fromCwd, printProblems, print } from "../system/terminal.js";
import { run } from "../system/process.js";
import { buildCollection, buildTime, checks, disagreements, fingerprint, release, releaseInputs, writeRelease } from "./build.js";
import type { Written } from "./build.js";
import { takeSecrets } from "./environment.js";
import { access, afterFailure, askGalaxy, redact, redactErrors, importCommand, publishCommand, secretsOf, serverRefusals, sourceInWords } from "./publish.js";
import type { Access } from "./publish.js";
import { absolute, hasCredentials, head, isLocal, ownerAndName, prepare, readRemote, send, tagsElsewhere } from "./repository.js";
import type { Head } from "./repository.js";

/**
 * Do something with an empty folder, which goes also when a signal ends this.
 *
 * @param lastWords what to say then
 */
async function inTemporary<Result>(prefix: string, lastWords: () => string, work: (folder: string) => Promise<Result>): Promise<Result> {
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

/** What a release is made from, when nothing speaks against one. Tells what does. */
async function prepared(): Promise<{ sources: Sources; commit: Head } | undefined> {
  const sources = readSources(root);
  const problems = sources.problems.length > 0 ? sources.problems : [...crosscheck(sources.role, sources.template.files), ...disagreements(root, sources)];
  printProblems(problems);
  return problems.length > 0 ? undefined : { sources, commit: await head(root, releaseInputs) };
}

/**
 * Build, let every check pass, and put the release into a folder. Tells what a check complains of.
 *
 * @param which checks are made: all; those that have not passed on this machine with just these files and tools; none
 * @param secrets what may be in no complaint
 */
async function builtAndChecked({ sources, commit }: { sources: Sources; commit: Head }, out: string, which: "all" | "new" | "none", secrets: readonly string[]): Promise<Written | undefined> {
  const [bin, importer] = [await pythonTools(root), await importerTools(root)];
  const cache = join(cacheFolder(), "release");
  // What the checks keep is one folder for all runs.
  return await locked("release", async () =>
    await inTemporary("sriov-role-release-", () => "", async (temporary) => {
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
    }),
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
  const written = ready && (await builtAndChecked(ready, resolve(options.out ?? join(root, "build", "release")), options.checks ? "all" : "none", secrets));
  if (!written) {
    console.error("Nothing was written.");
    return exit.failed;
  }
  print(`${fromCwd(written.tarball)}  sha256 ${written.sha256}`);
  print(`${fromCwd(written.role)}  the role, as its repository holds it`);
  if (!options.checks) print("Not checked as Galaxy checks it.");
  print(`Built from commit ${commit.slice(0, 12)}${changed.length === 0 ? "." : ` and ${changed.length} changes that are not in it: this can be looked at, not published.`}`);
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

/**
 * `sriov-role publish`.
 *
 * @returns an exit code
 */
export async function publish(options: PublishOptions): Promise<number> {
  const both = options.collection !== true && options.role !== true;
  const address = options.roleRepository;
  // What publishing would do can be asked of the collection before there is a repository for the role.
  const roleIsLater = both && options.dryRun === true && address === undefined;
  const what = { collection: both || options.collection === true, role: (both && !roleIsLater) || options.role === true };
  const repository = address === undefined ? undefined : ownerAndName(address);
  if (what.role && (address === undefined || !repository)) {
    console.error("The role is published through a repository of its own: --role-repository URL, or --collection to publish the collection alone.");
    return exit.wrongUse;
  }
  if (address !== undefined && isLocal(address) && !isFolder(address)) {
    // Without the address: whoever has mistyped one with a token in it does not want to see that in a log.
    console.error("The folder that --role-repository names is not there: give the address of a git repository, or its folder.");
    return exit.wrongUse;
  }
  if (address !== undefined && hasCredentials(address)) {
    console.error("The address of the role's repository has a user, password or token in it; leave that to git's credential helper.");
    return exit.wrongUse;
  }
  const taken = takeSecrets(process.env);
  const secrets = secretsOf(taken);
  const published: string[] = [];
  const whatIsOut = (): string => (published.length === 0 ? "Nothing was published." : `Published: ${published.join(", ")}. The rest was not, or not to its end.`);
  return await inTemporary("sriov-role-publish-", whatIsOut, async (temporary) => {
    const way = access(options, taken);
    return await redactErrors(secrets, async () => await publishFrom({ temporary, way, secrets, published }, options, what, what.role && address !== undefined && repository ? { address: absolute(address), ...repository } : undefined));
  });
}

interface Means {
  /** An empty folder in no git repository. */
  readonly temporary: string;
  readonly way: Access;
  /** What may be in no output; the server's come to it. */
  readonly secrets: string[];
  /** What is out, to be told when this is stopped. */
  readonly published: string[];
}

/**
 * @param repository the role's, when the role is published
 */
async function publishFrom({ temporary, way, secrets, published }: Means, options: PublishOptions, what: { readonly collection: boolean; readonly role: boolean }, repository: { readonly address: string; readonly owner: string; readonly name: string } | undefined): Promise<number> {
  const nothingSent = (...reasons: readonly string[]): number => {
    for (const reason of [...reasons, "Nothing was sent."]) console.error(reason);
    return exit.failed;
  };
  const ready = await prepared();
  if (!ready) return nothingSent();
  const { identity } = ready.sources.role;
  const { commit, time, changed } = ready.commit;
  const { version } = identity;
  const title = `${identity.namespace}.${identity.name} ${version}`;
  const bin = await pythonTools(root);
  // Galaxy has its namespaces in small letters, and GitHub its owners as they like.
  const owner = (repository?.owner ?? identity.namespace).toLowerCase();
  const answer = await askGalaxy(bin, root, identity, owner, way);
  secrets.push(...answer.secrets);
  const clean = (error: unknown): string => redact(error instanceof Error ? error.message : String(error), secrets);
  const tell = (line: string): void => print(redact(line, secrets));
  const remote = repository && (await readRemote(temporary, repository.address, version));
  const refusals = [
    ...(changed.length === 0 ? [] : [`${changed.length} files are changed or not in git, ${changed[0]} among them: commit or remove them first.`]),
    ...(await tagsElsewhere(root, version, commit)),
    ...serverRefusals(identity, owner, answer, what),
    // With a tag of just this name it may be what an earlier run has pushed.
    ...(repository && remote ? remote.tags.filter((tag) => tag !== version).map((tag) => `${repository.address} has the tag ${tag} already.`) : []),
  ];
  const target = `${answer.url} (${answer.name}), ${sourceInWords(answer.source)}`;
  tell(`${title}, commit ${commit.slice(0, 12)}:`);
  if (what.collection) tell(`  the collection goes to ${target}`);
  if (what.collection && !what.role && options.collection !== true) tell("  the role is left out here: only with --role-repository URL is it known where it would go");
  if (repository && remote) {
    tell(`  the role goes to the branch ${remote.branch} of ${repository.address}, with the tag ${version}`);
    tell(`  then the role ${repository.owner}/${repository.name} is imported by ${target}${owner === identity.namespace ? "" : `, and called ${owner}.${identity.name} there, not ${identity.namespace}.${identity.name}`}`);
  }
  if (refusals.length > 0) return nothingSent(...refusals.map(clean));
  const push = repository && remote && { name: identity.name, address: repository.address, remote, files: release(ready.sources).role, version, message: `${title}\n\nMade from commit ${commit}.`, time };
  const clone = join(temporary, "role");
  let pushed = false;
  if (push) {
    try {
      const { removed, there } = await prepare(clone, push);
      pushed = there;
      if (there) tell("  the role is there already, with its tag: it is imported only");
      for (const path of removed) tell(`  ${path} is there now and goes`);
    } catch (error) {
      return nothingSent(clean(error));
    }
  }
  const written = await builtAndChecked(ready, resolve(options.out ?? join(root, "build", "release")), "new", secrets);
  if (!written) return nothingSent();
  tell(`${fromCwd(written.tarball)}  sha256 ${written.sha256}`);
  if (options.dryRun) {
    print("Nothing was sent: this was a dry run.");
    return exit.good;
  }
  if (what.collection) {
    const { code } = await run(publishCommand(bin, way, written.tarball), { onLine: tell });
    if (code !== 0) {
      const now = await askGalaxy(bin, root, identity, owner, way).catch(() => undefined);
      console.error(afterFailure(identity, answer.url, now));
      return exit.failed;
    }
    published.push("the collection");
    print(`Published: the collection ${title}`);
  }
  if (repository && push) {
    if (!pushed) {
      try {
        await send(clone, push);
      } catch (error) {
        console.error(clean(error));
        console.error(`The role was not published.${what.collection ? " The collection was: leave it out of the next run (--role)." : ""}`);
        return exit.failed;
      }
      print(`Pushed: the role, to ${repository.address}`);
    }
    const { code } = await run(importCommand(bin, way, repository, push.remote.branch), { onLine: tell });
    if (code !== 0) {
      console.error(`The role is in its repository, and Galaxy did not import it. Once that is mended, publish again with --role: what is pushed is not pushed again.`);
      return exit.failed;
    }
    print(`Published: the role ${title}`);
  }
  return exit.good;
}
