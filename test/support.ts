import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readSources, root } from "../generator/artefacts/sources.js";
import type { Sources } from "../generator/artefacts/sources.js";
import { generate } from "../generator/artefacts/generate.js";
import { layouts } from "../generator/ir.js";
import type { Identity, Result, Role, Variable } from "../generator/ir.js";
import { commandLine } from "../generator/cli.js";
import { pythonTools } from "../generator/workshop/setup.js";
import { filesIn } from "../generator/system/disk.js";
import { run } from "../generator/system/process.js";
import type { Outcome } from "../generator/system/process.js";

export { root };

export const identity: Identity = {
  namespace: "stackhpc",
  name: "sriov",
  version: "1.0.0",
  authors: ["A. Author"],
  description: "Sets VFs",
  license: ["Apache-2.0"],
  tags: ["networking", "linux"],
  repository: "https://example.org/sriov",
};

export function role(...variables: readonly Variable[]): Role {
  return { identity, shortDescription: "Set VFs.", description: ["More about it."], variables };
}

const temporaries: string[] = [];

/** Mocha runs it after each file when it runs files side by side: its workers are killed, and never come to an exit. */
export const mochaHooks = {
  afterAll(): void {
    for (const folder of temporaries.splice(0)) rmSync(folder, { recursive: true, force: true });
  },
};

/** A folder that is removed when the tests are over. */
export function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), "sriov-role-test-"));
  temporaries.push(folder);
  return folder;
}

export function put(folder: string, files: { readonly [path: string]: string }): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** The names that fixtures have, those of this repository before anybody forked it. */
const ofFixtures = { namespace: "stackhpc", name: "sriov" } as const;

/** The sources under the names that fixtures have, independent of galaxy.yml. */
export function asInFixtures(given: Sources): Sources {
  return { ...given, role: { ...given.role, identity: { ...given.role.identity, ...ofFixtures } } };
}

let sources: Sources | undefined;

/** Both artefacts of this repository, in a separate folder. */
export function artefacts(): string {
  const folder = temporary();
  sources ??= readSources(root);
  const { role: real, template, problems } = sources;
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  for (const file of layouts.flatMap((layout) => generate(real, template, layout)))
    put(folder, { [file.path]: file.text });
  return folder;
}

/** A copy of the repository that a test may break. */
export function repository(): string {
  const folder = temporary();
  const paths = [
    "build/generator",
    "generator",
    "role-template",
    "galaxy.yml",
    "package.json",
    "requirements.txt",
    "molecule/shared/ansible_releases.json",
    ...filesIn(join(root, "test/openstack"))
      .filter((name) => name.startsWith("requirements-"))
      .map((name) => `test/openstack/${name}`),
  ];
  for (const path of paths) cpSync(join(root, path), join(folder, path), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** A copy of the repository under the names that fixtures have, independent of galaxy.yml. */
export function repositoryOfFixtures(): string {
  const folder = repository();
  const path = join(folder, "galaxy.yml");
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(
      /^(namespace|name): .*$/gm,
      (_, key: "namespace" | "name") => `${key}: ${ofFixtures[key]}`,
    ),
  );
  return folder;
}

/** Why something is refused; nothing when it is not. */
export function whyNot(result: Result<unknown>): string {
  return result.ok ? "" : result.why;
}

/** What a result that must be a success holds. */
export function valueOf<Value>(result: Result<Value>): Value {
  if (!result.ok) throw new Error(result.why);
  return result.value;
}

/** What the command line looks at itself is not there but when a test names it. */
const unset = { KAYOBE_CONFIG_PATH: undefined, npm_lifecycle_event: undefined };

/**
 * The command line as a process, which takes a second to load what it needs: one test of each command, and what cannot
 * be otherwise.
 */
export async function cliProcess(
  repositoryFolder: string,
  env: { readonly [name: string]: string | undefined },
  ...args: string[]
): Promise<Outcome> {
  return await run({
    file: process.execPath,
    args: [join(repositoryFolder, "build/generator/main.js"), ...args],
    cwd: repositoryFolder,
    env: { ...unset, ...env },
  });
}

/** The command line, called in this process as its own would: in the folder of the repository. */
export async function cli(repositoryFolder: string, ...args: string[]): Promise<Outcome> {
  return await cliWith(repositoryFolder, {}, ...args);
}

/** The same with variables of the environment. */
export async function cliWith(
  repositoryFolder: string,
  env: { readonly [name: string]: string | undefined },
  ...args: string[]
): Promise<Outcome> {
  const start = performance.now();
  const [folder, environment, writes] = [
    process.cwd(),
    process.env,
    [process.stdout.write, process.stderr.write] as const,
  ];
  const [all, stdout]: [string[], string[]] = [[], []];
  const into = (...kept: string[][]) =>
    ((text: string): boolean => (kept.forEach((one) => one.push(text)), true)) as typeof process.stdout.write;
  process.chdir(repositoryFolder);
  process.env = Object.fromEntries(
    Object.entries({ ...environment, ...unset, ...env }).filter(([, value]) => value !== undefined),
  );
  [process.stdout.write, process.stderr.write] = [into(all, stdout), into(all)];
  try {
    const code = await commandLine(repositoryFolder, args);
    // As a process is read: without the end of the last line.
    return {
      code,
      output: all.join("").replace(/\n$/, ""),
      stdout: stdout.join("").replace(/\n$/, ""),
      seconds: (performance.now() - start) / 1000,
    };
  } finally {
    [process.stdout.write, process.stderr.write] = writes;
    process.env = environment;
    process.chdir(folder);
  }
}

/**
 * Node.js as a user who is not root, for every user who runs the tests: root ignores a removed permission. The programs
 * may only use files that others may read.
 */
export async function nodeAsOther(...args: readonly string[]): Promise<Outcome> {
  if (process.getuid?.() !== 0) return await run({ file: process.execPath, args, cwd: "/" });
  const folder = temporary();
  chmodSync(folder, 0o755);
  cpSync(process.execPath, join(folder, "node"));
  return await run({
    file: "setpriv",
    args: ["--reuid=65534", "--regid=65534", "--clear-groups", join(folder, "node"), ...args],
    cwd: "/",
  });
}

/** One of the pinned Python tools, with this repository's artefacts, or another folder's, on its search paths. */
export async function tool(name: string, args: readonly string[], out: string, cwd = out): Promise<Outcome> {
  const bin = await pythonTools(root);
  return await run({
    file: join(bin, name),
    args,
    cwd,
    env: {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      ANSIBLE_CONFIG: join(root, "generator", "workshop", "ansible.cfg"),
      ANSIBLE_HOME: join(root, "build", "ansible"),
      ANSIBLE_ROLES_PATH: join(out, "roles"),
      ANSIBLE_COLLECTIONS_PATH: join(out, "collections"),
      ANSIBLE_LOCALHOST_WARNING: "false",
      ANSIBLE_INVENTORY_UNPARSED_WARNING: "false",
      ANSIBLE_NOCOLOR: "1",
      // What Ansible discovers may be a shim for a Python that is not there.
      ANSIBLE_PYTHON_INTERPRETER: join(bin, "python"),
    },
  });
}
