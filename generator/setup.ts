import { join } from "node:path";
import { readText } from "./disk.js";
import { environment, environmentCommands, findPython, finishEnvironment, installation, isRoot, locked, missingPackages, writeSystemFile } from "./machine.js";
import type { Environment, Installation, Python } from "./machine.js";
import { progress } from "./progress.js";
import type { Job } from "./progress.js";
import { run, shown } from "./tools.js";
import type { Command } from "./tools.js";

/** Programs in Python, pinned, in an environment of their own: what one needs may be at odds with another's needs. */
interface Programs {
  readonly title: string;
  readonly requirements: string;
  /** The newest 3.x that they run on. */
  readonly newestPython?: number;
}

const tools: Programs = { title: "Python tools", requirements: "requirements.txt" };
const kayobe: Programs = { title: "Kayobe and Kolla Ansible", requirements: "test/openstack/requirements-kayobe.txt", newestPython: 12 };
const nova: Programs = { title: "Nova and Neutron", requirements: "test/openstack/requirements-nova.txt", newestPython: 12 };
const allPrograms = [tools, kayobe, nova];

const pythonPackages = ["python3", "python3-venv"];

function noPython({ title, newestPython }: Programs): string {
  return newestPython === undefined
    ? `no Python 3.11 or newer with venv and ensurepip was found. On Debian 12 or newer this installs it:\n    sudo apt-get install ${pythonPackages.join(" ")}`
    : `no Python from 3.11 to 3.${newestPython} with venv and ensurepip was found, and ${title} run on no newer one; put one on the PATH as python3.${newestPython}, for example by:\n    uv python install 3.${newestPython}`;
}

async function environmentOf(root: string, programs: Programs): Promise<Environment | string> {
  const python = await findPython(programs.newestPython);
  if (!python) return noPython(programs);
  return environment(readText(join(root, programs.requirements)), python);
}

/** The environment of the Python tools, or a sentence that says why there is none. */
export async function pythonEnvironment(root: string): Promise<Environment | string> {
  return await environmentOf(root, tools);
}

/**
 * The folder with the Python tools, for a command that needs them.
 *
 * @throws Error with what to type when they are not there
 */
export async function pythonTools(root: string): Promise<string> {
  return await binOf(root, tools);
}

async function binOf(root: string, programs: Programs): Promise<string> {
  const found = await environmentOf(root, programs);
  if (typeof found === "string") throw new Error(found);
  if (!found.ready) throw new Error(`${programs.title} are not installed. Run: npm run setup`);
  return found.bin;
}

/** Where tests and scenarios find the programs of OpenStack. */
export interface OpenStack {
  readonly SRIOV_ROLE_KAYOBE_BIN: string;
  readonly SRIOV_ROLE_NOVA_BIN: string;
}

/**
 * The folders of OpenStack's programs, as environment variables for what is tested with them.
 *
 * @throws Error with what to type when they are not there
 */
export async function openStack(root: string): Promise<OpenStack> {
  return { SRIOV_ROLE_KAYOBE_BIN: await binOf(root, kayobe), SRIOV_ROLE_NOVA_BIN: await binOf(root, nova) };
}

/** Sentences about OpenStack's programs that are not there, with what to type; empty when all are. */
export async function missingOpenStack(root: string): Promise<string[]> {
  const missing: string[] = [];
  for (const programs of [kayobe, nova]) {
    const found = await environmentOf(root, programs);
    if (typeof found === "string") missing.push(found);
    else if (!found.ready) missing.push(`${programs.title} are not installed. This installs them:\n    npm run setup`);
  }
  return missing;
}

export interface Want {
  /** Also what `verify` takes from the system, not only what is in Python. */
  readonly system: boolean;
}

/**
 * Install what is missing. Quick when nothing is.
 *
 * @returns sentences about what could not be installed, with what to type; empty when all is there
 */
export async function setup(root: string, { system }: Want): Promise<string[]> {
  const faults: string[] = [];
  const job = (title: string, work: (say: (line: string) => void) => Promise<string[]>): Job => ({
    title,
    work: async (say) => {
      const found = await work(say);
      faults.push(...found);
      if (found.length > 0) throw new Error("see below");
    },
  });
  await progress([...allPrograms.map((programs) => job(programs.title, (say) => setUpPython(root, programs, say))), ...(system ? [job("System packages", setUpSystem)] : [])]).catch((error: unknown) => {
    if (faults.length === 0) throw error;
  });
  return faults;
}

async function setUpPython(root: string, programs: Programs, say: (line: string) => void): Promise<string[]> {
  const python = (await findPython(programs.newestPython)) ?? (await installPython(programs, say));
  if (!python) return [noPython(programs)];
  const requirements = readText(join(root, programs.requirements));
  if (environment(requirements, python).ready) return [];
  return await locked("venv", async () => {
    // Another run may have made it while this one waited.
    const now = environment(requirements, python);
    if (now.ready) return [];
    say(`installing ${programs.requirements} into ${now.folder}`);
    const fault = await runAll(environmentCommands(now, python, join(root, programs.requirements)));
    if (fault !== undefined) return [fault];
    finishEnvironment(now);
    return [];
  });
}

/** Debian's own Python comes without venv, and its containers without Python. */
async function installPython({ newestPython }: Programs, say: (line: string) => void): Promise<Python | undefined> {
  if (!isRoot()) return undefined;
  const way = await installation(pythonPackages);
  if (typeof way === "string") return undefined;
  say(`installing ${pythonPackages.join(" ")}`);
  return (await runAll(way.commands)) === undefined ? await findPython(newestPython) : undefined;
}

async function setUpSystem(say: (line: string) => void): Promise<string[]> {
  const missing = await missingPackages();
  if (missing.length === 0) return [];
  if (!isRoot()) return [await howToInstall(missing)];
  // Before the lists are there, apt knows of no version to choose from.
  say("reading apt's package lists");
  await run({ file: "apt-get", args: ["update"] });
  const way = await installation(missing);
  if (typeof way === "string") return [`Missing: ${missing.join(" ")}: ${way}`];
  say(`installing ${missing.join(" ")}`);
  if (way.file) writeSystemFile(way.file);
  const fault = await runAll(way.commands);
  if (fault !== undefined) return [fault];
  const still = await missingPackages();
  return still.length === 0 ? [] : [`apt installed what was asked, and this is still missing: ${still.join(" ")}`];
}

/** What a person types who may become root. */
export async function howToInstall(missing: readonly string[]): Promise<string> {
  const way = await installation(missing);
  if (typeof way === "string") return `Missing: ${missing.join(" ")}: ${way}`;
  return `Missing: ${missing.join(" ")}. This installs it:\n    ${commandLine(way)}`;
}

/** One line for a shell. */
export function commandLine({ file, commands }: Installation): string {
  const write = file ? [`printf %s ${shown({ file: file.text, args: [] })} | sudo tee ${file.path} >/dev/null`] : [];
  return [...write, ...commands.map((command) => `sudo ${shown(command)}`)].join(" && ");
}

async function runAll(commands: readonly Command[]): Promise<string | undefined> {
  for (const command of commands) {
    const { code, output } = await run(command);
    if (code !== 0) return `${shown(command)} ended with ${code}:\n${output.trim().split("\n").slice(-15).join("\n")}`;
  }
  return undefined;
}
