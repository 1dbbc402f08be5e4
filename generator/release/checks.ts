import { join } from "node:path";
import { isFile, makeFolder, readTextIfThere, writeBytes, writeTree } from "../system/disk.js";
import type { Identity, OutFile } from "../ir.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";
import { programEnvironment } from "./environment.js";
import { git } from "./repository.js";

/** What a check needs of its surroundings. */
export interface CheckContext {
  /** Folder of the pinned Python tools. */
  readonly bin: string;
  /** Folder of galaxy-importer, and of the ansible-lint that it runs. */
  readonly importer: string;
  /** Folder for what must be kept from one run to the next. */
  readonly cache: string;
  /** Folder for what is not. */
  readonly temporary: string;
}

// --- Galaxy's importer --------------------------------------------------------------------------------------------

/**
 * Galaxy's importer on a collection's tarball or a role's folder. It reads and writes the current folder.
 *
 * @param role the namespace that the role is imported into; absent for a collection
 */
function importerCommand({ importer, cache }: CheckContext, folder: string, name: string, role?: string): Command {
  return {
    file: join(importer, "python"),
    args: ["-m", "galaxy_importer.main", name, ...(role === undefined ? [] : ["--legacy-role", "--namespace", role])],
    cwd: folder,
    env: {
      ...programEnvironment(),
      PATH: `${importer}:${process.env["PATH"] ?? ""}`,
      ANSIBLE_HOME: join(cache, "ansible"),
      ANSIBLE_CONFIG: undefined,
      // galaxy_importer/config.py: each option by an environment variable, over a configuration of this machine's.
      GALAXY_IMPORTER_CHECK_CHANGELOG: "true",
      GALAXY_IMPORTER_RUN_ANSIBLE_DOC: "true",
      GALAXY_IMPORTER_RUN_ANSIBLE_LINT: "true",
      GALAXY_IMPORTER_OFFLINE_ANSIBLE_LINT: "true",
      GALAXY_IMPORTER_LOG_LEVEL_MAIN: "INFO",
      GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP: join(folder, "tmp"),
    },
  };
}

/**
 * What the importer complains of; its warnings count. It says INFO bare and other levels with their names
 * (galaxy_importer/main.py, CustomFormatter), and has checked everything when these lines are there.
 *
 * @param result the text of importer_result.json, when it was written
 */
export function judgeImporter(
  code: number,
  output: string,
  result: string | undefined,
  { namespace, name }: Identity,
): string[] {
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const expected = [
    /^Importing with galaxy-importer \d/,
    /^Linting .* via ansible-lint \d/,
    /^\.\.\.ansible-lint run complete$/,
    /^Importer processing completed successfully$/,
  ];
  const known = [
    ...expected,
    /^Getting doc strings via ansible-doc$/,
    /^Finding content inside collection$/,
    /^Loading \w+ [\w.]+$/,
    /^Determined role name to be \w+$/,
    /^(Collection|Legacy role) loading complete$/,
  ];
  const complaints = lines.filter((line) => !known.some((pattern) => pattern.test(line)));
  const missing = expected.filter((pattern) => !lines.some((line) => pattern.test(line)));
  const data =
    result === undefined
      ? undefined
      : (JSON.parse(result) as {
          namespace?: unknown;
          name?: unknown;
          metadata?: { namespace?: unknown; name?: unknown };
        });
  const found = data?.metadata && "namespace" in data.metadata ? data.metadata : data;
  return [
    ...complaints,
    ...(code === 0 ? [] : [`galaxy-importer ended with ${code}`]),
    ...(complaints.length === 0 && missing.length > 0
      ? [`galaxy-importer did not report: ${missing.map(({ source }) => source).join(", ")}`]
      : []),
    ...(code === 0 && !(found?.namespace === namespace && found.name === name)
      ? [`galaxy-importer's result is not of ${namespace}.${name}`]
      : []),
  ];
}

/** Let Galaxy's importer check a collection's tarball. */
export async function importCollection(context: CheckContext, identity: Identity, tarball: Buffer): Promise<string[]> {
  const folder = makeFolder(join(context.temporary, "import-"));
  const name = tarballName(identity);
  writeBytes(join(folder, name), tarball);
  return await importIn(context, folder, identity, name);
}

/** Let Galaxy's importer check a role's folder. */
export async function importRole(
  context: CheckContext,
  identity: Identity,
  files: readonly OutFile[],
): Promise<string[]> {
  const folder = makeFolder(join(context.temporary, "import-"));
  const name = `${identity.namespace}.${identity.name}`;
  writeTree(join(folder, name), files);
  return await importIn(context, folder, identity, name, identity.namespace);
}

async function importIn(
  context: CheckContext,
  folder: string,
  identity: Identity,
  name: string,
  role?: string,
): Promise<string[]> {
  const { code, output } = await run(importerCommand(context, folder, name, role));
  return judgeImporter(code, output, readTextIfThere(join(folder, "importer_result.json")), identity);
}

/** The name that Galaxy requires for a collection's tarball. */
export function tarballName({ namespace, name, version }: Identity): string {
  return `${namespace}-${name}-${version}.tar.gz`;
}

// --- ansible-test sanity ------------------------------------------------------------------------------------------

interface LeftOut {
  readonly test: string;
  readonly why: string;
  /** Files that would make it a test of something. */
  readonly concerns: RegExp;
}

/**
 * Tests of `ansible-test sanity` that are not run: the collection contains nothing that they check, which is verified.
 */
const leftOut: readonly LeftOut[] = [
  {
    test: "changelog",
    why: "there are no fragments: changelogs/changelog.yaml is made from CHANGELOG.md",
    concerns: /^changelogs\/(fragments\/|config\.yaml$)/,
  },
  { test: "pslint", why: "there is no PowerShell", concerns: /\.ps(m|d)?1$/ },
  { test: "shellcheck", why: "there is no shell script", concerns: /\.sh$/ },
];

/**
 * In place of the script by which ansible-test gets pip into its environments: it would be downloaded from
 * ci-files.testing.ansible.com (ansible_test/_util/target/setup/requirements.py, bootstrap), and Python brings pip
 * along. pip runs in a separate process because ensurepip turns its configuration off in the one it runs in.
 */
const getPip = `import os
import subprocess
import sys

environment = dict(os.environ)
import ensurepip

ensurepip.bootstrap()
options = [option for option in sys.argv[1:] if option not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *options], env=environment))
`;

/** The pip that the tools' ansible-test requires (test/python/test_ansible_releases.py compares them). */
const getPipName = "get_pip_24_2.py";

/** ansible-test, in the collection's folder. What it installs from PyPI is below its home, and stays there. */
function sanityCommand(
  { bin, cache }: CheckContext,
  folder: string,
  python: string,
  ...args: readonly string[]
): Command {
  return {
    file: join(bin, "ansible-test"),
    args: ["sanity", "--local", "--python", python, "--color", "no", ...args],
    cwd: folder,
    env: {
      ...programEnvironment(),
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      HOME: join(cache, "ansible-test"),
      ANSIBLE_HOME: join(cache, "ansible-test", "home"),
      ANSIBLE_CONFIG: undefined,
    },
  };
}

/**
 * What a run of ansible-test complains of. A test that was skipped, or was not run though it is known, has not passed.
 *
 * @param known the tests that `--list-tests` names
 * @param files the collection's, relative to it
 */
export function judgeSanity(
  code: number,
  output: string,
  known: readonly string[],
  files: readonly string[],
): string[] {
  const ran = new Set([...output.matchAll(/^Running sanity test "([^"]+)"/gm)].map((match) => match[1]!));
  const skipped = output.split("\n").filter((line) => /skipping|skipped/i.test(line));
  const missed = known.filter((test) => !ran.has(test) && !leftOut.some((one) => one.test === test));
  const looked = leftOut.flatMap(({ test, why, concerns }) => {
    const there = files.filter((path) => concerns.test(path));
    return there.length === 0
      ? []
      : [`the test "${test}" is left out because ${why}, and there is ${there.join(", ")}`];
  });
  const errors = output.split("\n").filter((line) => /^(ERROR|FATAL): /.test(line));
  return [
    ...errors,
    ...(code !== 0 && errors.length === 0
      ? [`ansible-test ended with ${code}:\n${output.trim().split("\n").slice(-15).join("\n")}`]
      : []),
    ...skipped,
    ...(known.length === 0 ? ["ansible-test lists no tests"] : []),
    ...(missed.length === 0 ? [] : [`ansible-test did not run: ${missed.join(", ")}`]),
    ...looked,
  ];
}

export interface SanityResult {
  /** How many tests passed or failed. */
  readonly ran: number;
  readonly complaints: readonly string[];
}

/** Run ansible-test sanity on a collection. The collection must be in ansible_collections and in a git repository. */
export async function sanity(
  context: CheckContext,
  { namespace, name }: Identity,
  files: readonly OutFile[],
): Promise<SanityResult> {
  const folder = join(makeFolder(join(context.temporary, "sanity-")), "ansible_collections", namespace, name);
  writeTree(folder, files);
  const script = join(context.cache, "ansible-test", ".ansible", "test", "cache", getPipName);
  if (!isFile(script)) writeBytes(script, Buffer.from(getPip));
  const { code: noGit, output: gitSays } = await git(folder, "init", "--quiet");
  if (noGit !== 0)
    return { ran: 0, complaints: [`ansible-test needs a git repository, and git init failed: ${gitSays.trim()}`] };
  await git(folder, "add", "--all", "--force");
  const python = (
    await run({ file: join(context.bin, "python"), args: ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"] })
  ).stdout.trim();
  const listed = await run(sanityCommand(context, folder, python, "--list-tests"));
  const known = listed.stdout.split("\n").filter((line) => /^[a-z][a-z0-9-]+$/.test(line));
  const { code, output } = await run(
    sanityCommand(context, folder, python, ...leftOut.flatMap(({ test }) => ["--skip-test", test])),
  );
  const ran = new Set(output.match(/^Running sanity test "[^"]+"/gm));
  return {
    ran: ran.size,
    complaints: judgeSanity(
      code,
      output,
      known,
      files.map(({ path }) => path),
    ),
  };
}
