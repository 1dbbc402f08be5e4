import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../artefacts/sources.js";
import { makeFolder, removeFolder } from "../system/disk.js";
import { run } from "../system/process.js";
import { exit } from "../system/terminal.js";
import { openStackSeries, programFolders, pythonTools, setup, usualSeries } from "./setup.js";
import {
  choose,
  chosenFiles,
  leftOut,
  longTestsHere,
  namedAndChanged,
  openStackFiles,
  stages,
  testFiles,
} from "./stages.js";
import type { Want } from "./setup.js";
import type { Selection, Stage } from "./stages.js";
import { countOfCommits, dueReport, dueScenarios } from "./turns.js";
import { addTotals, closingLine, none, single } from "./totals.js";
import type { Totals } from "./totals.js";

// `npm test`: set up, then everything that can fail, and one closing line with the totals.

/** Of each stage in which something failed, shown once more at the end. */
const linesAtTheEnd = 80;

/**
 * So many stages of a group run side by side: each has tests for two processors itself, but at its start and end, where
 * these wait.
 */
const atOnce = 2;

/** Lines of several sources, each of which has a number, from 0. */
export interface InTurn {
  readonly say: (index: number, line: string) => void;
  readonly end: (index: number) => void;
}

/**
 * Lines of what runs side by side, shown as if one had run after another: of the first as they come, of each other when
 * those before have ended.
 */
export function inTurn(count: number, show: (line: string) => void): InTurn {
  const held = Array.from({ length: count }, (): string[] => []);
  const ended = new Set<number>();
  let turn = 0;
  return {
    say: (index, line) => (index === turn ? show(line) : void held[index]?.push(line)),
    end: (index) => {
      ended.add(index);
      while (ended.has(turn)) {
        turn += 1;
        for (const line of held[turn] ?? []) show(line);
      }
    },
  };
}

/** Options of `test`. */
export interface TestOptions {
  /** Without VMs, artefacts and long tests. */
  readonly fast?: boolean;
  /** Scenarios at once. */
  readonly jobs: number;
  /** Run all scenarios, not only those whose turn it is. */
  readonly all?: boolean;
  /** Run only what a change since a commit can touch; true for where this branch left the main one. */
  readonly changed?: string | true;
  /** Series of OpenStack, with commas between them, or all: run the tests of test/openstack with each. */
  readonly series?: string;
}

/** What a run of the tests is to do. */
interface Request {
  readonly selection: Selection;
  /** What is shown of a choice by what has changed. */
  readonly report?: string;
}

/** What is requested; a failure with the exit code that it ends with. */
async function requested(
  patterns: readonly string[],
  { fast = false, jobs, all: everything = false, changed, series }: TestOptions,
): Promise<Request | { readonly code: number; readonly why: string }> {
  if (everything && (fast || changed !== undefined || series !== undefined || patterns.length > 0))
    return {
      code: exit.wrongUse,
      why: "--all runs everything: give it without test files and without other options than --jobs.",
    };
  if (changed !== undefined && patterns.length > 0) return { code: exit.wrongUse, why: namedAndChanged };
  const named = chosenFiles(patterns, testFiles());
  if (!named.ok) return { code: exit.wrongUse, why: named.why };
  const all: Selection = { short: fast, artefacts: !fast, jobs };
  if (series !== undefined && changed !== undefined)
    return { code: exit.wrongUse, why: "Give --series or --changed: not both." };
  if (series !== undefined) return withSeries(series, patterns.length > 0 ? named.value : undefined, jobs);
  if (patterns.length > 0) return { selection: { ...all, files: named.value, short: false, artefacts: false } };
  if (changed === undefined) return fast || everything ? { selection: all } : await withTurns(all);
  const chosen = await choose(changed, fast);
  if (!chosen.ok) return { code: exit.failed, why: chosen.why };
  const { tests, scenarios, report } = chosen.value;
  return { selection: { ...all, files: tests, scenarios }, report };
}

/** Everything, but of the scenarios those whose turn it is. */
async function withTurns(all: Selection): Promise<Request> {
  const found = dueScenarios(root, await countOfCommits(root));
  const report = dueReport(found);
  return { selection: { ...all, scenarios: found.due }, ...(report === undefined ? {} : { report }) };
}

/** What is requested with named series: only files of test/openstack, and all of their tests. */
function withSeries(
  given: string,
  named: readonly string[] | undefined,
  jobs: number,
): Request | { readonly code: number; readonly why: string } {
  const known = Object.keys(openStackSeries.pythons);
  const series = given === "all" ? known : [...new Set(given.split(","))];
  const unknown = series.filter((one) => !known.includes(one));
  if (unknown.length > 0)
    return { code: exit.wrongUse, why: `--series ${unknown.join(",")}: there are ${known.join(", ")}, and all` };
  const all = openStackFiles();
  const files = named?.filter((path) => all.includes(path)) ?? all;
  if (files.length === 0) return { code: exit.wrongUse, why: "--series is for files of test/openstack only." };
  return { selection: { short: false, artefacts: false, jobs, files, series } };
}

/**
 * `sriov-role test`.
 *
 * @param patterns parts of paths of test files: only these run, and no VM
 * @returns an exit code
 */
export async function test(patterns: readonly string[], options: TestOptions): Promise<number> {
  const request = await requested(patterns, options);
  if ("why" in request) {
    console.error(request.why);
    return request.code;
  }
  const { selection, report } = request;
  if (report !== undefined) console.log(report);
  const faults = await setup(root, wantOf(selection));
  if (faults.length > 0) {
    for (const fault of faults) console.error(fault);
    console.log(closingLine(single(1)));
    return exit.failed;
  }
  const { totals, ends, stopped } = await runStages(selection);
  // Of a run of half an hour, its end is what is kept and looked at.
  for (const line of ends) console.log(line);
  if (report !== undefined) console.log(`\n${report}`);
  if (selection.short) console.log(`\n${leftOut(longTestsHere())}`);
  console.log(`\n${closingLine(totals)}${selection.short ? "; less than all (see above)" : ""}`);
  return stopped || totals.failed + totals.skipped > 0 || totals.passed === 0 ? exit.failed : exit.good;
}

/** The programs that a selection needs. The tests of test/python have those of the newest series. */
function wantOf({ artefacts, short, series }: Selection): Want {
  return { machines: artefacts, series: series ?? usualSeries(short) };
}

/** What became of the stages. */
interface Run {
  readonly totals: Totals;
  /** The ends of what those said in which something failed. */
  readonly ends: readonly string[];
  /** Whether a signal has stopped them. */
  readonly stopped: boolean;
}

/**
 * Run the stages that a selection has, group after group. A signal stops what runs, and no other stage begins; it does
 * not end this process, which must outlive the stages: each cleans up after itself (verify destroys its VMs).
 */
async function runStages(selection: Selection): Promise<Run> {
  const stop: { asked: boolean; readonly pids: Set<number> } = { asked: false, pids: new Set() };
  const onSignal = (): void => {
    if (!stop.asked) for (const pid of stop.pids) process.kill(pid, "SIGTERM");
    stop.asked = true;
  };
  // Not before the setup has ended, which is to stop like any command.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  const results = makeFolder(join(tmpdir(), "sriov-role-results-"));
  let totals = none;
  const ends: string[] = [];
  try {
    const places = {
      bin: await pythonTools(root),
      programs: await programFolders(root, wantOf(selection)),
      results,
    };
    for (const group of stages(places, selection)) {
      const ended = await runGroup(group, stop);
      for (const { title, found, output } of ended) {
        totals = addTotals(totals, found);
        if (found.failed + found.skipped === 0) continue;
        const end = output.trimEnd().split("\n").slice(-linesAtTheEnd);
        ends.push(`\n==== ${title}: ${closingLine(found)}; the end of what it said`, ...end);
      }
      // Without current artefacts the rest would test something else.
      const broken = ended.some(({ title, found }) => title === "generate" && found.failed > 0);
      if (stop.asked || broken) break;
    }
  } finally {
    removeFolder(results);
  }
  return { totals, ends, stopped: stop.asked };
}

interface Ended {
  readonly title: string;
  readonly found: Totals;
  readonly output: string;
}

/** Run a group of stages; those that had not begun when a signal came are left out. */
async function runGroup(
  group: readonly Stage[],
  stop: { readonly asked: boolean; readonly pids: Set<number> },
): Promise<Ended[]> {
  const turns = inTurn(group.length, (line) => console.log(line));
  const ended = await sideBySide(group, atOnce, async ({ title, command, totals }, index) => {
    if (stop.asked) return undefined;
    turns.say(index, `\n==== ${title}`);
    let ofStage: number | undefined;
    const onStart = (pid: number): void => void stop.pids.add((ofStage = pid));
    const { code, output, seconds } = await run(command, { onLine: (line) => turns.say(index, line), onStart });
    if (ofStage !== undefined) stop.pids.delete(ofStage);
    const found = totals(code);
    turns.say(index, `==== ${title}: ${closingLine(found)}, in ${Math.round(seconds)} s`);
    turns.end(index);
    return { title, found, output };
  });
  return ended.filter((one) => one !== undefined);
}

/** Do work with each item, so many at a time, in order. */
async function sideBySide<Item, Result>(
  items: readonly Item[],
  limit: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const left = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return results;
}
