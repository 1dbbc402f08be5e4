import { join } from "node:path";
import { readText } from "./disk.js";
import { environment, environmentCommands, findPython, finishEnvironment, installation, isRoot, locked, missingPackages, writeSystemFile } from "./machine.js";
import type { Environment, Installation, Python } from "./machine.js";
import { progress } from "./progress.js";
import type { Job } from "./progress.js";
import { run, shown } from "./tools.js";
import type { Command } from "./tools.js";

/** The Python tools, pinned. */
const requirementsFile = "requirements.txt";

const pythonPackages = ["python3", "python3-venv"];
const noPython = `no Python 3.11 or newer with venv and ensurepip was found. On Debian 12 or newer this installs it:\n    sudo apt-get install ${pythonPackages.join(" ")}`;

/** The environment of the Python tools, or a sentence that says why there is none. */
export async function pythonEnvironment(root: string): Promise<Environment | string> {
  const python = await findPython();
  if (!python) return noPython;
  return environment(readText(join(root, requirementsFile)), python);
}

/**
 * The folder with the Python tools, for a command that needs them.
 *
 * @throws Error with what to type when they are not there
 */
export async function pythonTools(root: string): Promise<string> {
  const found = await pythonEnvironment(root);
  if (typeof found === "string") throw new Error(found);
  if (!found.ready) throw new Error("The Python tools are not installed. Run: npm run setup");
  return found.bin;
}

export interface Want {
  /** Also what `verify` takes from the system, not only the Python tools. */
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
  await progress([job("Python tools", (say) => setUpPython(root, say)), ...(system ? [job("System packages", setUpSystem)] : [])]).catch((error: unknown) => {
    if (faults.length === 0) throw error;
  });
  return faults;
}

async function setUpPython(root: string, say: (line: string) => void): Promise<string[]> {
  const python = (await findPython()) ?? (await installPython(say));
  if (!python) return [noPython];
  const requirements = readText(join(root, requirementsFile));
  if (environment(requirements, python).ready) return [];
  return await locked("venv", async () => {
    // Another run may have made it while this one waited.
    const now = environment(requirements, python);
    if (now.ready) return [];
    say(`installing ${requirementsFile} into ${now.folder}`);
    const fault = await runAll(environmentCommands(now, python, join(root, requirementsFile)));
    if (fault !== undefined) return [fault];
    finishEnvironment(now);
    return [];
  });
}

/** Debian's own Python comes without venv, and its containers without Python. */
async function installPython(say: (line: string) => void): Promise<Python | undefined> {
  if (!isRoot()) return undefined;
  const way = await installation(pythonPackages);
  if (typeof way === "string") return undefined;
  say(`installing ${pythonPackages.join(" ")}`);
  return (await runAll(way.commands)) === undefined ? await findPython() : undefined;
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
