import { join, relative, resolve } from "node:path";
import { root } from "../artefacts/sources.js";
import { changedFiles, choiceReport, readTexts, touched, usesOf } from "./changed.js";
import type { Touched } from "./changed.js";
import { filesIn, readText } from "../system/disk.js";
import { nearest } from "../system/nearest.js";
import { scenarios } from "./scenarios.js";
import { exit } from "../system/terminal.js";
import { addTotals, closingLine, lintTotals, mochaTotals, none, pytestTotals, scenarioTotals, single } from "./totals.js";
import type { Totals } from "./totals.js";
import { programFolders, pythonTools, setup } from "./setup.js";
import type { ProgramFolders } from "./setup.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";

// `npm test`: set up, then everything that can fail, and one closing line with the totals.

/** Of each stage in which something failed, shown once more at the end. */
const linesAtTheEnd = 80;

/** So many stages of a group run side by side: each has tests for two processors itself, but at its start and end, where these wait. */
const atOnce = 2;

export interface Stage {
  readonly title: string;
  readonly command: Command;
  /** What the output says that was tested. */
  readonly totals: (output: string, code: number) => Totals;
}

const cli = (...args: string[]): Command => ({ file: process.execPath, args: [join(root, "build", "generator", "main.js"), ...args], cwd: root });

/** A kind of test files: the folder that they are in, and how their names look. */
interface Suite {
  readonly title: string;
  readonly folder: string;
  readonly file: RegExp;
  /** Only a run of everything has it: it needs what is built before. */
  readonly late?: true;
  /** How pytest-xdist deals out the tests, where not one by one: whole files where what a file prepares is dear. */
  readonly dist?: "loadfile";
}

const mocha: Suite = { title: "mocha", folder: "test", file: /\.test\.ts$/ };
const pytests: readonly Suite[] = [
  { title: "pytest", folder: "test/python", file: /^test_.*\.py$/ },
  { title: "pytest with Kayobe, Kolla Ansible, Nova and Neutron", folder: "test/openstack", file: /^test_.*\.py$/, dist: "loadfile" },
  { title: "pytest of publishing, with a Galaxy on this machine", folder: "test/galaxy", file: /^test_.*\.py$/, late: true },
];

function pathsOf({ folder, file }: Suite): string[] {
  return filesIn(join(root, folder)).filter((name) => file.test(name)).map((name) => `${folder}/${name}`);
}

/**
 * The test files that patterns choose: one file by its path, or all that have the pattern in their path.
 *
 * @returns paths below the repository, or a sentence about a pattern that chooses none
 */
export function chosenFiles(patterns: readonly string[], all: readonly string[]): readonly string[] | string {
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const path = relative(root, resolve(pattern));
    const found = all.includes(path) ? [path] : all.filter((one) => one.includes(pattern));
    if (found.length === 0) {
      const name = (one: string): string => one.replace(/^.*\//, "").replace(/(\.test)?\.\w+$/, "");
      const near = nearest(name(pattern), all.map(name));
      const which = near === undefined ? `They are test/*.test.ts and ${pytests.map(({ folder }) => `${folder}/test_*.py`).join(", ")}.` : `Did you mean ${all.find((one) => name(one) === near)}?`;
      return `No test file has ${pattern} in its path. ${which}`;
    }
    for (const one of found) chosen.add(one);
  }
  return all.filter((one) => chosen.has(one));
}

/**
 * Of test files those that have tests which only `npm test`, or who names the file, runs: they take long, and a change of a line seldom
 * breaks them alone. A test says so itself, in mocha by "@long" in its title or its suite's, in pytest by the mark `long`.
 *
 * @param texts test files by their path
 */
export function longTests(texts: ReadonlyMap<string, string>): { readonly whole: readonly string[]; readonly part: readonly string[] } {
  const marked = (path: string): { readonly whole: boolean; readonly part: boolean } => {
    const text = texts.get(path) ?? "";
    if (path.endsWith(".py")) return { whole: /^pytestmark = pytest\.mark\.long$/m.test(text), part: /\bmark\.long\b/.test(text) };
    const suites = text.match(/^describe\(.*/gm) ?? [];
    return { whole: suites.length > 0 && suites.every((line) => /@long\b/.test(line)), part: /^ *(describe|it)\(.*@long\b/m.test(text) };
  };
  const paths = [...texts.keys()];
  return { whole: paths.filter((path) => marked(path).whole), part: paths.filter((path) => marked(path).part && !marked(path).whole) };
}

/** What `npm run test:unit` says that it did not run. */
export function leftOut({ whole, part }: { readonly whole: readonly string[]; readonly part: readonly string[] }): string {
  const late = pytests.filter((suite) => suite.late === true).map(({ folder }) => folder);
  const files = [...whole, ...late, "lint", "the release", "virtual machines"].join(", ");
  return `Left out, which npm test has: ${files}${part.length > 0 ? `; and the long tests of ${part.join(", ")}` : ""}.`;
}

/** What is run: everything, or a part of it. */
export interface Selection {
  /** The only test files to run; without it all. */
  readonly files?: readonly string[];
  /** Whether without the tests that are marked as long ones. */
  readonly short: boolean;
  /** Whether to make the artefacts and check them. */
  readonly artefacts: boolean;
  /** The scenarios to run; without it all. */
  readonly scenarios?: readonly string[];
  readonly jobs: number;
}

/** What is run, in groups: a group begins when that before has ended. */
export function stages(bin: string, programs: ProgramFolders, { files, short, artefacts, scenarios: named, jobs }: Selection): Stage[][] {
  const environment = {
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    ANSIBLE_CONFIG: join(root, "generator", "workshop", "ansible.cfg"),
    ANSIBLE_HOME: join(root, "build", "ansible"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const ofMocha = (paths: readonly string[]): Stage => ({
    title: mocha.title,
    command: {
      file: process.execPath,
      args: [join("node_modules", "mocha", "bin", "mocha.js"), ...(short ? ["--grep", "@long", "--invert"] : []), ...paths.map((path) => `build/${path.replace(/ts$/, "js")}`)],
      cwd: root,
      env: environment,
    },
    totals: mochaTotals,
  });
  const ofPytest = ({ title, dist }: Suite, paths: readonly string[]): Stage => ({
    title,
    command: {
      file: join(bin, "python"),
      args: ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "--numprocesses", "auto", "--dist", dist ?? "worksteal", ...(short ? ["-m", "not long"] : []), ...paths],
      cwd: root,
      env: { ...environment, ...programs },
    },
    totals: (output, code) => pytestTotals(output, code, short),
  });
  const whole = short ? longTests(textsOfTests()).whole : [];
  const tests = (suites: readonly Suite[]): Stage[] =>
    suites.flatMap((suite) => {
      const all = pathsOf(suite);
      const paths = all.filter((path) => (files === undefined || files.includes(path)) && !whole.includes(path));
      if (paths.length === 0) return [];
      // Without names mocha runs what is in its configuration, which is all.
      if (suite === mocha) return [ofMocha(paths.length === all.length ? [] : paths)];
      return [ofPytest(suite, paths.length === all.length ? [suite.folder] : paths)];
    });
  const early = [mocha, ...pytests.filter(({ late }) => late !== true)];
  const late = pytests.filter((suite) => suite.late === true);
  // By its name a late one runs with what was built before.
  if (!artefacts) return [tests(files === undefined ? early : [...early, ...late])];
  return [
    tests(early),
    [{ title: "generate", command: cli("generate"), totals: single }],
    [
      { title: "check", command: cli("check"), totals: single },
      { title: "lint", command: cli("lint"), totals: lintTotals },
      { title: "build", command: cli("build"), totals: single },
    ],
    tests(late),
    [{ title: "verify", command: cli("verify", "--jobs", String(jobs), ...(named ?? [])), totals: scenarioTotals }],
  ];
}

function textsOfTests(): ReadonlyMap<string, string> {
  return new Map([mocha, ...pytests.filter(({ late }) => late !== true)].flatMap(pathsOf).map((path) => [path, readText(join(root, path))]));
}

/** Lines of what runs side by side, shown as if one had run after another: of the first as they come, of each other when those before have ended. */
export function inTurn(count: number, show: (line: string) => void): { readonly say: (index: number, line: string) => void; readonly end: (index: number) => void } {
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

/**
 * What a change can touch, with the report of it for the person who runs this.
 *
 * @param base a commit; true for where this branch left the main one
 * @param fast whether no scenario is run, and no test that needs what is built before
 * @returns a sentence when it is not known what has changed, or nothing has
 */
export async function choose(base: string | true, fast = false): Promise<(Touched & { readonly report: string }) | string> {
  const changed = await changedFiles(root, base === true ? undefined : base);
  if (typeof changed === "string") return changed;
  if (changed.files.length === 0) return `Nothing differs from ${changed.base}, so nothing was proved.`;
  const all = { tests: [mocha, ...pytests].flatMap(pathsOf), scenarios: scenarios(root) };
  const found = touched(changed.files, usesOf(all.tests, all.scenarios, readTexts(root)));
  const late = pytests.filter((suite) => suite.late === true).flatMap(pathsOf);
  const choice = fast ? { ...found, tests: found.tests.filter((path) => !late.includes(path)), scenarios: [] } : found;
  return { ...choice, report: choiceReport(changed.base, changed.files, choice, { tests: all.tests.length, scenarios: all.scenarios.length }) };
}

/** Of --changed with a name. */
export const namedAndChanged = "Name what is to run, or give --changed: not both.";

/**
 * `sriov-role test`.
 *
 * @param patterns parts of paths of test files: only these run, and no VM
 * @param options.changed run only what a change since a commit can touch; true for where this branch left the main one
 * @returns an exit code
 */
export async function test(patterns: readonly string[], { fast = false, jobs, changed }: { readonly fast?: boolean; readonly jobs: number; readonly changed?: string | true }): Promise<number> {
  if (changed !== undefined && patterns.length > 0) {
    console.error(namedAndChanged);
    return exit.wrongUse;
  }
  const files = chosenFiles(patterns, [mocha, ...pytests].flatMap(pathsOf));
  if (typeof files === "string") {
    console.error(files);
    return exit.wrongUse;
  }
  const choice = changed === undefined ? undefined : await choose(changed, fast);
  if (typeof choice === "string") {
    console.error(choice);
    return exit.failed;
  }
  if (choice) console.log(choice.report);
  const want = { machines: !fast && files.length === 0 };
  const selection: Selection = {
    ...(choice ? { files: choice.tests, scenarios: choice.scenarios } : files.length > 0 ? { files } : {}),
    short: fast && files.length === 0,
    artefacts: want.machines,
    jobs,
  };
  const stop: { asked: boolean; readonly pids: Set<number> } = { asked: false, pids: new Set() };
  const onSignal = (): void => {
    // A stage cleans up after itself (verify destroys its VMs); this process must outlive it.
    if (!stop.asked) for (const pid of stop.pids) process.kill(pid, "SIGTERM");
    stop.asked = true;
  };
  const faults = await setup(root, want);
  if (faults.length > 0) {
    for (const fault of faults) console.error(fault);
    console.log(closingLine(single("", 1)));
    return exit.failed;
  }
  // Not before: what is being set up is to stop like any command.
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", onSignal);
  let totals = none;
  const ends: string[] = [];
  for (const group of stages(await pythonTools(root), await programFolders(root, want), selection)) {
    const turns = inTurn(group.length, (line) => console.log(line));
    const results = await sideBySide(group, atOnce, async ({ title, command, totals: read }, index) => {
      if (stop.asked) return undefined;
      turns.say(index, `\n==== ${title}`);
      let ofStage: number | undefined;
      const onStart = (pid: number): void => void stop.pids.add((ofStage = pid));
      const { code, output, seconds } = await run(command, { onLine: (line) => turns.say(index, line), onStart });
      if (ofStage !== undefined) stop.pids.delete(ofStage);
      const found = read(output, code);
      turns.say(index, `==== ${title}: ${closingLine(found)}, in ${Math.round(seconds)} s`);
      turns.end(index);
      return { title, found, output };
    });
    for (const { title, found, output } of results.filter((result) => result !== undefined)) {
      totals = addTotals(totals, found);
      if (found.failed + found.skipped > 0) ends.push(`\n==== ${title}: ${closingLine(found)}; the end of what it said`, ...output.trimEnd().split("\n").slice(-linesAtTheEnd));
    }
    // Without current artefacts the rest would test something else.
    if (stop.asked || (group.some(({ title }) => title === "generate") && results.some((result) => (result?.found.failed ?? 0) > 0))) break;
  }
  // Of a run of half an hour, its end is what is kept and looked at.
  for (const line of ends) console.log(line);
  if (choice) console.log(`\n${choice.report}`);
  if (selection.short) console.log(`\n${leftOut(longTests(textsOfTests()))}`);
  console.log(`\n${closingLine(totals)}${selection.short ? "; less than all (see above)" : ""}`);
  return stop.asked || totals.failed + totals.skipped > 0 || totals.passed === 0 ? exit.failed : exit.good;
}

/** Do work with each item, so many at a time, in order. */
async function sideBySide<Item, Result>(items: readonly Item[], limit: number, work: (item: Item, index: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  const left = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) results[index] = await work(item, index);
  };
  await Promise.all(Array.from({ length: limit }, worker));
  return results;
}
