import { createHash } from "node:crypto";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { parse } from "yaml";
import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";
import { foldersWith, openLog, readText, readTextIfThere, writeTree } from "../system/disk.js";
import { cacheFolder, locked } from "./cache.js";
import { progress } from "../system/progress.js";
import type { ProgramFolders } from "./setup.js";
import { legend, readLog, readTaskTimes, stamped, timings, timingsReport } from "./timings.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";

export interface ScenarioResult {
  readonly scenario: string;
  readonly outcome: "passed" | "failed" | "stopped";
  readonly seconds: number;
  readonly log: string;
  /** Why it did not pass. */
  readonly why: string;
  /** The end of the log, when it did not pass. */
  readonly tail: readonly string[];
  /** Where its time went, when requested. */
  readonly table?: string;
}

const baseFile = "molecule/base.yml";
const imageScript = "molecule/rig/image.py";
const imageFallback = "debian12";

/** Every scenario, by name. */
export function scenarios(root: string): string[] {
  return foldersWith(join(root, "molecule"), "molecule.yml");
}

/** Seconds that scenarios took when they last passed on this machine, by name. */
export type Durations = Readonly<Record<string, number>>;

const durationsFile = "durations.json";

/** What is known of earlier runs; nothing where that cannot be read, which only costs time. */
function readDurations(): Durations {
  try {
    const read: unknown = JSON.parse(readTextIfThere(join(cacheFolder(), durationsFile)) ?? "{}");
    return Object.fromEntries(
      Object.entries(read ?? {}).filter(
        (entry): entry is [string, number] => typeof entry[1] === "number" && entry[1] > 0,
      ),
    );
  } catch {
    return {};
  }
}

async function keepDuration(scenario: string, seconds: number): Promise<void> {
  await locked("durations", async () =>
    writeTree(cacheFolder(), [
      {
        path: durationsFile,
        text: `${JSON.stringify({ ...readDurations(), [scenario]: Math.ceil(seconds) }, null, 2)}\n`,
      },
    ]),
  );
}

/** What a scenario's steps.yml has of these; nothing where it cannot be read. */
function stepsFile(root: string, scenario: string): { readonly steps?: unknown; readonly turn?: number } {
  const text = readTextIfThere(join(root, "molecule", scenario, "steps.yml")) ?? "";
  return (parse(text, { logLevel: "error" }) ?? {}) as { steps?: unknown; turn?: number };
}

/** How many steps a scenario has. */
export function stepsOf(root: string, scenario: string): number {
  const { steps } = stepsFile(root, scenario);
  return Array.isArray(steps) ? steps.length : 0;
}

/** The turn of a scenario (turns.ts); undefined for one that runs with every commit. */
export function turnOf(root: string, scenario: string): number | undefined {
  return stepsFile(root, scenario).turn;
}

/**
 * Scenarios in the order in which to begin them, so that none continues long after the others: the longest first. One
 * that has no time is as long as its steps are at the pace of those that have one.
 */
export function longestFirst(
  names: readonly string[],
  steps: (scenario: string) => number,
  measured: Durations,
): string[] {
  const known = names.flatMap((name) =>
    measured[name] === undefined ? [] : [{ seconds: measured[name], steps: steps(name) }],
  );
  const total = (key: "seconds" | "steps"): number => known.reduce((sum, one) => sum + one[key], 0);
  const pace = total("steps") > 0 ? total("seconds") / total("steps") : 1;
  return names
    .map((name) => ({ name, length: measured[name] ?? steps(name) * pace }))
    .sort((a, b) => b.length - a.length)
    .map(({ name }) => name);
}

/** The folder of a scenario's machine: its own for each clone, with a path short enough for a socket in it. */
export function runFolder(root: string, scenario: string): string {
  return join(cacheFolder(), "runs", createHash("sha256").update(root).digest("hex").slice(0, 8), scenario);
}

/** Molecule for one scenario, from the repository's root. */
export function moleculeCommand(
  root: string,
  bin: string,
  programs: ProgramFolders,
  action: "test" | "destroy",
  scenario: string,
): Command {
  return {
    file: join(bin, "molecule"),
    args: ["-c", baseFile, action, "-s", scenario],
    cwd: root,
    env: {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      // The root has a galaxy.yml; without this Molecule looks for scenarios where collections have theirs.
      MOLECULE_GLOB: "molecule/*/molecule.yml",
      // Molecule names its folder after the last part of the clone's path, so that two clones would share their VMs.
      MOLECULE_EPHEMERAL_DIRECTORY: runFolder(root, scenario),
      ...programs,
      ANSIBLE_ROLES_PATH: join(root, "dist", "roles"),
      ANSIBLE_COLLECTIONS_PATH: join(root, "dist", "collections"),
      PYTHONUNBUFFERED: "1",
      NO_COLOR: "1",
    },
  };
}

/**
 * The images that scenarios start from: `image` of their platforms, else of the base configuration's.
 *
 * @param base text of molecule/base.yml
 * @param texts the scenarios' molecule.yml
 */
export function imagesOf(base: string, texts: readonly string[]): string[] {
  const named = (text: string): string[] => {
    const { platforms } = (parse(text) ?? {}) as { platforms?: { image?: unknown }[] };
    return (platforms ?? []).flatMap(({ image }) => {
      if (typeof image !== "string") return [];
      // "${MOLECULE_IMAGE:-debian13}" is debian13: with MOLECULE_IMAGE set nothing is prepared.
      return [/^\$\{\w+:-(.+)\}$/.exec(image)?.[1] ?? image];
    });
  };
  const standard = named(base);
  const all = texts.flatMap((text) => {
    const own = named(text);
    return own.length > 0 ? own : standard.length > 0 ? standard : [imageFallback];
  });
  return [...new Set(all)].filter((image) => /^[\w-]+$/.test(image)).sort();
}

/**
 * What Molecule's log proves. Exit code 0 is not enough: a playbook that is missing, or that found no host, is a pass
 * to Molecule.
 */
export function judgeScenario(code: number, log: readonly string[]): Result {
  if (code !== 0) return failure(`molecule ended with ${code}`);
  const verified = log.filter((line) => announced(line, "verify", "Executed: Successful")).length;
  if (verified === 0) return failure("molecule ended with 0 and ran no verify playbook");
  if (log.some((line) => /skipping: no hosts matched/.test(line)))
    return failure("molecule ended with 0, and a play found no host");
  return success();
}

/** "[default > converge] Executing", or with colours "default ➜ converge: Executing". Not in the summary at the end. */
const announcement = /^[A-Z]+ +(?:\[\S+ > (?<step>\w+)\]|\S+ ➜ (?<coloured>\w+):) (?<what>.*?)\s*$/;

function announced(line: string, step: string, what: string): boolean {
  const groups = announcement.exec(line)?.groups;
  return (groups?.["step"] ?? groups?.["coloured"]) === step && groups?.["what"] === what;
}

/** The step that a line of Molecule's says to begin. */
export function stepOf(line: string): string | undefined {
  const groups = announcement.exec(line)?.groups;
  return groups?.["what"] === "Executing" ? (groups["step"] ?? groups["coloured"]) : undefined;
}

export interface VerifyOptions {
  readonly root: string;
  /** Folder of the Python tools. */
  readonly bin: string;
  readonly programs: ProgramFolders;
  readonly names: readonly string[];
  readonly jobs: number;
  /** Whether to find out where the time goes. */
  readonly timings: boolean;
}

/** Processes that a signal must stop: each is the head of a group, which a signal from the terminal does not reach. */
interface Stoppable {
  /** Whether a signal came. */
  readonly stop: { readonly asked: boolean };
  /** Run a command that a signal stops. Returns its exit code. */
  readonly watched: Watched;
  /** Leave signals alone again. */
  readonly end: () => void;
}

/** Begin to listen for signals: the first asks what runs to stop, a second one does not wait for that. */
function stoppable(): Stoppable {
  const groups = new Set<number>();
  const stop = { asked: false, at: 0 };
  const kill = (signal: NodeJS.Signals, which: Iterable<number> = groups): void => {
    for (const group of which) {
      try {
        process.kill(-group, signal);
      } catch {
        // It ended by itself in the meantime.
      }
    }
  };
  const onSignal = (): void => {
    if (stop.asked) {
      // One Ctrl-C arrives twice: from the terminal, and again from npm, which passes it on.
      if (performance.now() - stop.at < 3000) return;
      kill("SIGKILL");
      process.exit(130);
    }
    stop.asked = true;
    stop.at = performance.now();
    console.error("Stopping, and destroying the VMs. A second signal leaves them running.");
    kill("SIGTERM");
    // Those that run now: what destroys the VMs is started after them, and must finish.
    const running = [...groups];
    setTimeout(() => kill("SIGKILL", running), 20_000).unref();
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  return {
    stop,
    watched: async (command, onLine) => {
      let group: number | undefined;
      const { code } = await run(command, { onLine, ownGroup: true, onStart: (pid) => groups.add((group = pid)) });
      if (group !== undefined) groups.delete(group);
      return code;
    },
    end: () => signals.forEach((signal) => process.off(signal, onSignal)),
  };
}

/**
 * Run scenarios on VMs. SIGINT and SIGTERM stop what runs and destroy its VMs before this returns; a second signal
 * does not wait for that.
 *
 * @throws Error when the images cannot be prepared
 */
export async function verify(options: VerifyOptions): Promise<ScenarioResult[]> {
  const { stop, watched, end } = stoppable();
  try {
    await prepareImages(options, watched);
    const results: ScenarioResult[] = [];
    const steps = (scenario: string): number => stepsOf(options.root, scenario);
    const jobs = longestFirst(options.names, steps, readDurations()).map((scenario) => ({
      title: scenario,
      work: async (say: (line: string) => void): Promise<void> => {
        const result = await runScenario(options, scenario, stop, watched, say);
        results.push(result);
        if (result.outcome === "passed") await keepDuration(scenario, result.seconds);
        if (result.outcome !== "passed") throw new Error(`${scenario}: ${result.why}`);
      },
    }));
    await progress(jobs, options.jobs).catch((error: unknown) => {
      // Failures are in the results; anything else is a fault of this program.
      if (results.length !== options.names.length) throw error;
    });
    return options.names.flatMap((scenario) => results.filter((result) => result.scenario === scenario));
  } finally {
    end();
  }
}

type Watched = (command: Command, onLine: (line: string) => void) => Promise<number>;

async function prepareImages({ root, bin, names }: VerifyOptions, watched: Watched): Promise<void> {
  if (process.env["MOLECULE_IMAGE"]) return;
  const images = imagesOf(
    readText(join(root, baseFile)),
    names.map((name) => readText(join(root, "molecule", name, "molecule.yml"))),
  );
  if (images.length === 0) return;
  await progress([
    {
      title: `VM images: ${images.join(", ")}`,
      work: async (say) => {
        const log = openLog(join(root, "build", "logs", "images.log"));
        const last: string[] = [];
        const code = await watched(
          { file: join(bin, "python"), args: [imageScript, "ensure", ...images], cwd: root },
          (line) => {
            log(line);
            last.push(line);
            say(line);
          },
        );
        if (code !== 0) throw new Error(`${imageScript} ended with ${code}:\n${last.slice(-30).join("\n")}`);
      },
    },
  ]);
}

async function runScenario(
  { root, bin, programs, timings: timed }: VerifyOptions,
  scenario: string,
  stop: { readonly asked: boolean },
  watched: Watched,
  say: (line: string) => void,
): Promise<ScenarioResult> {
  const path = join(root, "build", "logs", `${scenario}.log`);
  if (stop.asked)
    return { scenario, outcome: "stopped", seconds: 0, log: path, why: "stopped before it began", tail: [] };
  const log = openLog(path);
  const tasks = join(root, "build", "logs", `${scenario}.tasks.jsonl`);
  // What a run before left there.
  if (timed) openLog(tasks);
  const environment = timed ? { ...programs, SRIOV_ROLE_TASK_TIMES: tasks } : programs;
  const table = (): { table?: string } =>
    timed ? { table: timingsReport(scenario, timings(readLog(readText(path)), readTaskTimes(readText(tasks)))) } : {};
  const start = performance.now();
  const elapsed = (): number => (performance.now() - start) / 1000;
  const lines: string[] = [];
  let step = "starting";
  let stepStart = start;
  const showStep = (): void =>
    say(
      `${scenario}: ${step}, for ${duration((performance.now() - stepStart) / 1000)} (${duration(elapsed())} in all)`,
    );
  const keep = (raw: string): void => {
    const line = stripVTControlCharacters(raw);
    log(stamped(new Date(), line));
    lines.push(line);
    const next = stepOf(line);
    if (next === undefined) return;
    step = next;
    stepStart = performance.now();
    say(`${scenario}: ${step} (after ${duration(elapsed())})`);
  };
  // A terminal's line is redrawn; elsewhere each is one more line in a log.
  const ticking = setInterval(showStep, process.stdout.isTTY ? 1000 : 60_000);
  try {
    const code = await watched(moleculeCommand(root, bin, environment, "test", scenario), keep);
    if (stop.asked) {
      const why = `stopped during ${step}`;
      await watched(moleculeCommand(root, bin, environment, "destroy", scenario), keep);
      return { scenario, outcome: "stopped", seconds: elapsed(), log: path, why, tail: [] };
    }
    const passed = judgeScenario(code, lines);
    const common = { scenario, seconds: elapsed(), log: path, ...table() };
    if (passed.ok) return { ...common, outcome: "passed", why: "", tail: [] };
    return { ...common, outcome: "failed", why: `${passed.why}, in ${step}`, tail: lines.slice(-60) };
  } finally {
    clearInterval(ticking);
  }
}

/** Seconds as a person says them. */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** The closing table, before it the log's end of each that did not pass, and where the time went if that is known. */
export function scenarioReport(results: readonly ScenarioResult[]): string {
  const width = Math.max(8, ...results.map(({ scenario }) => scenario.length));
  const table = results.map(
    ({ scenario, outcome, seconds, log }) =>
      `${scenario.padEnd(width)}  ${outcome.padEnd(7)}  ${duration(seconds).padStart(10)}  ${log}`,
  );
  const tails = results.flatMap(({ scenario, outcome, why, tail }) =>
    outcome === "passed" ? [] : [`---- ${scenario}: ${why}`, ...tail],
  );
  const times = results.flatMap(({ table: one }) => (one === undefined ? [] : ["", one]));
  return [...tails, ...times, ...(times.length > 0 ? ["", legend()] : []), "", ...table].join("\n");
}
