import { join } from "node:path";
import { root as repository } from "../artefacts/sources.js";
import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";
import { bytesFreed, isFolder, readText } from "../system/disk.js";
import { cacheFolder, locked } from "./cache.js";
import { hasProgram, howToInstall, installation, isRoot, missingPackages, writeSystemFile } from "./hostPackages.js";
import { pipCommands, uvCommands, uvVariables } from "./installers.js";
import type { Uv } from "./installers.js";
import {
  environment,
  findPython,
  finishEnvironment,
  isWithin,
  noteUse,
  removeUnusedFolder,
  unusedFolders,
} from "./pythonEnvironments.js";
import type { Environment, Python, PythonRange } from "./pythonEnvironments.js";
import { progress } from "../system/progress.js";
import type { Job } from "../system/progress.js";
import { run, shellLine } from "../system/process.js";
import type { Command } from "../system/process.js";

/** Programs in Python, pinned, in a separate environment: their requirements may conflict. */
interface Programs {
  readonly title: string;
  readonly requirements: string;
  /** The 3.x that they run on. */
  readonly pythons?: PythonRange;
  /** The environment variable by which tests and scenarios find them. */
  readonly variable?: string;
}

const uv: Programs = { title: "uv", requirements: "generator/workshop/requirements-uv.txt" };
const tools: Programs = { title: "Python tools", requirements: "requirements.txt" };
/** Galaxy's importer needs an older attrs than the tools. */
const importer: Programs = { title: "galaxy-importer", requirements: "generator/release/requirements-importer.txt" };
/** The series of OpenStack that tests and scenarios run. */
interface OpenStackSeries {
  /** That with which `npm test` runs all tests of test/openstack. */
  readonly newest: string;
  /** That with which it runs a part of them. */
  readonly in_part: string;
  /** That of the scenario kayobe. */
  readonly scenario: string;
  /** Every series, with the Pythons of its programs. */
  readonly pythons: Readonly<Record<string, PythonRange>>;
}

/** Those of this repository. The merge and the tests in Python read the same file. */
export const openStackSeries = JSON.parse(
  readText(join(repository, "generator/kayobe/series.json")),
) as OpenStackSeries;

type OpenStackKind = "kayobe" | "nova";

/** The environment variable with the folder of the programs of a series. */
function seriesVariable(kind: OpenStackKind, series: string): string {
  return `SRIOV_ROLE_${kind.toUpperCase()}_${series.replace(".", "_")}_BIN`;
}

function openStackPrograms(kind: OpenStackKind, series: string): Programs {
  return {
    title: `${kind === "kayobe" ? "Kayobe and Kolla Ansible" : "Nova and Neutron"} of ${series}`,
    requirements: `test/openstack/requirements-${kind}-${series}.txt`,
    pythons: openStackSeries.pythons[series] ?? {},
    variable: seriesVariable(kind, series),
  };
}

/** The releases of ansible-core that scenarios run with. */
interface AnsibleReleases {
  /** That of the Python tools, and so Molecule's own. */
  readonly molecule: string;
  /** That of Kayobe's environment. */
  readonly kayobe: string;
  /** Those with a separate environment, with their Pythons (docs.ansible.com, "ansible-core support matrix"). */
  readonly others: Readonly<Record<string, PythonRange>>;
}

/** Those of this repository. Steps of scenarios read the same file; the pages and the schema are compared with it. */
export const ansibleReleases = JSON.parse(
  readText(join(repository, "molecule/shared/ansible_releases.json")),
) as AnsibleReleases;

const ansiblePrograms: readonly Programs[] = Object.entries(ansibleReleases.others).map(([release, pythons]) => ({
  title: `ansible-core ${release}`,
  requirements: `molecule/versions/ansible-core-${release}.txt`,
  pythons,
  variable: ansibleVariable(release),
}));

/** The releases of ansible-core that scenarios can run with. */
export const ansibleCores: readonly string[] = [
  ...Object.keys(ansibleReleases.others),
  ansibleReleases.molecule,
].sort();

/** The environment variable with the folder of a release's programs, for molecule/shared/step.yml. */
function ansibleVariable(release: string): string {
  return `SRIOV_ROLE_ANSIBLE_${release.replace(".", "_")}_BIN`;
}

const pythonPackages = ["python3", "python3-venv"];
const pythonTree = "molecule/rig/python_tree.py";

/** The Python of those that python_tree.py can make, for programs that not every Python will do for. */
function madeRelease({ pythons }: Programs): string | undefined {
  return pythons && ["3.13", "3.11"].find((release) => isWithin(Number(release.split(".")[1]), pythons));
}

function noPython(programs: Programs): string {
  const { pythons } = programs;
  if (pythons === undefined)
    return `no Python 3.11 or newer with venv and ensurepip was found. On Debian 12 or newer this installs it:\n    sudo apt-get install ${pythonPackages.join(" ")}`;
  const { oldest = 11, newest } = pythons;
  const range = newest === undefined ? `3.${oldest} or newer` : `from 3.${oldest} to 3.${newest}`;
  return `no Python ${range} with venv and ensurepip was found, and other versions do not work for ${programs.title}. This makes one from Debian's packages:\n    python3 ${pythonTree} ensure ${madeRelease(programs)}`;
}

/** The Python that programs run on: one of this machine's, or that which was made because it has none that will do. */
async function pythonFor(root: string, programs: Programs): Promise<Python | undefined> {
  const found = await findPython(programs.pythons);
  const release = madeRelease(programs);
  if (found || release === undefined) return found;
  const { code, stdout } = await run({ file: "python3", args: [join(root, pythonTree), "path", release] });
  return code === 0 ? await findPython(programs.pythons, [stdout.trim()]) : undefined;
}

/** The environment of programs, ready or not; a failure when the machine has no Python for it. */
async function environmentOf(root: string, programs: Programs): Promise<Result<Environment>> {
  const python = await pythonFor(root, programs);
  if (!python) return failure(noPython(programs));
  return success(environment(readText(join(root, programs.requirements)), python));
}

/**
 * The folder with the Python tools, for a command that needs them.
 *
 * @throws Error with what to type when they are not there
 */
export async function pythonTools(root: string): Promise<string> {
  return await binOf(root, tools);
}

/**
 * The folder with galaxy-importer, and the ansible-core and the ansible-lint that it runs.
 *
 * @throws Error with what to type when they are not there
 */
export async function importerTools(root: string): Promise<string> {
  return await binOf(root, importer);
}

async function binOf(root: string, programs: Programs): Promise<string> {
  const found = await environmentOf(root, programs);
  if (!found.ok) throw new Error(found.why);
  if (!found.value.ready) throw new Error(`${programs.title}: not installed. Run: npm run setup`);
  noteUse(found.value);
  return found.value.bin;
}

export interface Want {
  /**
   * Also what `verify` needs: its packages of the system, the releases of ansible-core that scenarios run with, and the
   * Kayobe of the scenario kayobe.
   */
  readonly machines: boolean;
  /** The series of OpenStack whose programs the tests need. */
  readonly series: readonly string[];
}

function testPrograms({ machines, series }: Want): readonly Programs[] {
  const { scenario } = openStackSeries;
  const kayobes = machines && !series.includes(scenario) ? [...series, scenario] : series;
  return [
    ...kayobes.map((each) => openStackPrograms("kayobe", each)),
    ...series.map((each) => openStackPrograms("nova", each)),
    importer,
    ...(machines ? ansiblePrograms : []),
  ];
}

/** Folders of programs, by the environment variables that name them. */
export type ProgramFolders = Readonly<Record<string, string>>;

/**
 * Folders of the programs that tests and scenarios run.
 *
 * @throws Error with what to type when one is not there
 */
export async function programFolders(root: string, want: Want): Promise<ProgramFolders> {
  const own = ansibleVariable(ansibleReleases.molecule);
  const folders: Record<string, string> = want.machines ? { [own]: await binOf(root, tools) } : {};
  for (const programs of testPrograms(want))
    if (programs.variable !== undefined) folders[programs.variable] = await binOf(root, programs);
  // Where steps look for Kayobe.
  const kayobe = folders[seriesVariable("kayobe", openStackSeries.scenario)];
  return want.machines && kayobe !== undefined ? { ...folders, SRIOV_ROLE_KAYOBE_BIN: kayobe } : folders;
}

/** The series that tests run with, where none is named: the newest; without `isShort` another in part, too. */
export function usualSeries(isShort: boolean): readonly string[] {
  const { newest, in_part } = openStackSeries;
  return isShort ? [newest] : [newest, in_part];
}

/** The environment in which tests run with the programs of a series. */
export function seriesEnvironment(programs: ProgramFolders, series: string): NonNullable<Command["env"]> {
  return {
    SRIOV_ROLE_SERIES: series,
    SRIOV_ROLE_KAYOBE_BIN: programs[seriesVariable("kayobe", series)],
    SRIOV_ROLE_NOVA_BIN: programs[seriesVariable("nova", series)],
  };
}

/**
 * Sentences about those programs that are not there; empty when all are. What setup installs ends with "not installed",
 * the others with what to type.
 */
export async function missingPrograms(root: string, want: Want): Promise<string[]> {
  return await missingOf(root, testPrograms(want));
}

/** The same of the Python tools. */
export async function missingTools(root: string): Promise<string[]> {
  return await missingOf(root, [tools]);
}

/** The same of what building a release needs besides the Python tools. */
export async function missingImporter(root: string): Promise<string[]> {
  return await missingOf(root, [importer]);
}

async function missingOf(root: string, wanted: readonly Programs[]): Promise<string[]> {
  const missing: string[] = [];
  for (const programs of wanted) {
    const found = await environmentOf(root, programs);
    if (!found.ok) missing.push(found.why);
    else if (!found.value.ready) missing.push(`${programs.title}: not installed`);
  }
  return missing;
}

/**
 * Install what is missing. Quick when nothing is.
 *
 * @returns sentences about what could not be installed, with what to type; empty when all is there
 */
export async function setup(root: string, want: Want): Promise<string[]> {
  const faults: string[] = [];
  const job = (title: string, work: (say: (line: string) => void) => Promise<string[]>): Job => ({
    title,
    work: async (say) => {
      const found = await work(say);
      faults.push(...found);
      if (found.length > 0) throw new Error("see below");
    },
  });
  // The system first: one of its packages makes the Pythons that this machine lacks.
  const maker = once((say) => readyUv(root, say));
  const programs = [tools, ...testPrograms(want)].map((each) =>
    job(each.title, (say) => setUpPython(root, each, maker, say)),
  );
  const system = want.machines ? [job("System packages", (say) => setUpSystem(root, say))] : [];
  await progress([...system, ...programs]).catch((error: unknown) => {
    if (faults.length === 0) throw error;
  });
  return faults;
}

type Say = (line: string) => void;

type Maker = (say: Say) => Promise<Result<Uv>>;

/** The same, found out by the first call. */
function once(maker: Maker): Maker {
  let found: ReturnType<Maker> | undefined;
  return (say) => (found ??= maker(say));
}

async function setUpPython(root: string, programs: Programs, maker: Maker, say: Say): Promise<string[]> {
  let python = await pythonFor(root, programs);
  if (!python) {
    const got = await getPython(root, programs, say);
    if (!got.ok) return [got.why];
    python = await pythonFor(root, programs);
  }
  if (!python) return [noPython(programs)];
  const requirements = readText(join(root, programs.requirements));
  const there = environment(requirements, python);
  if (there.ready) {
    noteUse(there);
    return [];
  }
  const chosen = python;
  return await locked("venv", async () => {
    // Another run may have made it while this one waited.
    const now = environment(requirements, chosen);
    if (now.ready) return [];
    say(`installing ${programs.requirements} into ${now.folder}`);
    const made = await makeEnvironment(now, chosen, join(root, programs.requirements), maker, say);
    if (!made.ok) return [made.why];
    finishEnvironment(now);
    return [];
  });
}

/**
 * Make an environment, with uv if that can be had and does it, else with pip: uv has no wheel for some machines, and a
 * way to packages that is open to pip may be closed to it.
 *
 * @param requirements path of the requirements file
 */
async function makeEnvironment(
  target: Environment,
  python: Python,
  requirements: string,
  maker: Maker,
  say: Say,
): Promise<Result> {
  const uv = await maker(say);
  const made = uv.ok ? await runAll(uvCommands(uv.value, target, python, requirements)) : uv;
  if (made.ok) return made;
  say(`pip takes the place of uv, and takes longer: ${made.why.split("\n").at(-1)}`);
  return await runAll(pipCommands(target, python, requirements));
}

/** uv, installed first where it is not there. The lock of the environments must be held. */
async function readyUv(root: string, say: Say): Promise<Result<Uv>> {
  const python = await pythonFor(root, uv);
  if (!python) return failure(noPython(uv));
  const requirements = join(root, uv.requirements);
  const its = environment(readText(requirements), python);
  if (!its.ready) {
    say(`installing ${uv.requirements} into ${its.folder}`);
    // Without a wheel pip would compile it, for which hardly a machine has what it takes.
    const installed = await runAll(pipCommands(its, python, requirements, "--only-binary", ":all:"));
    if (!installed.ok) return installed;
    finishEnvironment(its);
  }
  noteUse(its);
  const { stdout } = await run({ file: join(its.bin, "python"), args: ["-m", "pip", "config", "list"] });
  const variables = uvVariables(stdout, process.env);
  if (variables === undefined) return failure("pip is configured in a way that uv does not know");
  // In our own cache, so that environments are links to the files there.
  const cache = process.env["UV_CACHE_DIR"] || join(cacheFolder(), "uv");
  return success({ file: join(its.bin, "uv"), env: { ...variables, UV_CACHE_DIR: cache } });
}

/**
 * Get a Python onto this machine: Debian's own comes without venv, its containers without any; a release that the
 * distribution does not have is made. Where there is no way to one, nothing is done, and that is not a failure.
 */
async function getPython(root: string, programs: Programs, say: Say): Promise<Result> {
  const release = madeRelease(programs);
  if (release !== undefined) {
    const command = { file: "python3", args: [join(root, pythonTree), "ensure", release] };
    say(shellLine(command));
    return await runAll([command]);
  }
  if (!isRoot()) return success();
  say(`installing ${pythonPackages.join(" ")}`);
  return await locked("apt", async () => {
    const way = await installation(root, pythonPackages);
    return way.ok ? await runAll(way.value.commands) : success();
  });
}

async function setUpSystem(root: string, say: Say): Promise<string[]> {
  const missing = await missingPackages();
  if (missing.length === 0) return [];
  if (!isRoot()) return [await howToInstall(root, missing)];
  const installed = await locked("apt", async (): Promise<Result> => {
    // Before the lists are there, apt knows of no version to choose from.
    say("reading apt's package lists");
    await run({ file: "apt-get", args: ["update"] });
    // Where QEMU comes from the backports, Python finds out from where.
    const python = hasProgram("python3") ? undefined : await installation(root, ["python3"]);
    if (python?.ok) {
      const got = await runAll(python.value.commands);
      if (!got.ok) return got;
    }
    const way = await installation(root, missing);
    if (!way.ok) return failure(`Missing: ${missing.join(" ")}: ${way.why}`);
    say(`installing ${missing.join(" ")}`);
    if (way.value.file) writeSystemFile(way.value.file);
    return await runAll(way.value.commands);
  });
  if (!installed.ok) return [installed.why];
  const still = await missingPackages();
  return still.length === 0 ? [] : [`apt installed what was requested, and this is still missing: ${still.join(" ")}`];
}

/** What a removal frees. */
export interface Removal {
  /** Folders in the cache. */
  readonly folders: readonly string[];
  readonly bytes: number;
}

/**
 * The Python environments, and Pythons, that no clone used for a month. With any, the packages that uv keeps are
 * removed too: they hold the same files, and are downloaded again when they are needed.
 */
export function removable(): Removal {
  const folders = unusedFolders();
  const packages = join(cacheFolder(), "uv");
  const all = folders.length > 0 && isFolder(packages) ? [...folders, packages] : folders;
  return { folders: all, bytes: bytesFreed(all) };
}

/** Remove what is removable. No environment is made meanwhile. */
export async function removeUnused(): Promise<Removal> {
  return await locked("venv", async () => {
    const found = removable();
    for (const folder of found.folders) removeUnusedFolder(folder);
    return found;
  });
}

/** Run commands one after another, up to the first that fails. */
async function runAll(commands: readonly Command[]): Promise<Result> {
  for (const command of commands) {
    const { code, output } = await run(command);
    const end = output.trim().split("\n").slice(-15).join("\n");
    if (code !== 0) return failure(`${shellLine(command)} ended with ${code}:\n${end}`);
  }
  return success();
}
