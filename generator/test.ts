import { join, relative, resolve } from "node:path";
import { root } from "./artefacts.js";
import { changedFiles, choiceReport, readTexts, touched, usesOf } from "./changed.js";
import type { Touched } from "./changed.js";
import { filesIn } from "./disk.js";
import { nearest } from "./nearest.js";
import { scenarios } from "./scenarios.js";
import { exit } from "./terminal.js";
import { addTotals, closingLine, lintTotals, mochaTotals, none, pytestTotals, scenarioTotals, single } from "./totals.js";
import type { Totals } from "./totals.js";
import { programFolders, pythonTools, setup } from "./setup.js";
import type { ProgramFolders } from "./setup.js";
import { run } from "./tools.js";
import type { Command } from "./tools.js";

// `npm test`: set up, then everything that can fail, and one closing line with the totals.

/** Of each stage in which something failed, shown once more at the end. */
const linesAtTheEnd = 80;

interface Stage {
  readonly title: string;
  readonly command: Command;
  /** What the output says that was tested. */
  readonly totals: (output: string, code: number) => Totals;
}

const cli = (...args: string[]): Command => ({ file: process.execPath, args: [join(root, "build", "generator", "cli.js"), ...args], cwd: root });

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

/** What is run: everything, or a part of it. */
interface Selection {
  /** The only test files to run; without it all. */
  readonly files?: readonly string[];
  /** Whether to make the artefacts and check them. */
  readonly artefacts: boolean;
  /** The scenarios to run; without it all. */
  readonly scenarios?: readonly string[];
  readonly jobs: number;
}

function stages(bin: string, programs: ProgramFolders, { files, artefacts, scenarios: named, jobs }: Selection): Stage[] {
  const environment = {
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    ANSIBLE_CONFIG: join(root, "generator", "ansible.cfg"),
    ANSIBLE_HOME: join(root, "build", "ansible"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const ofMocha = (paths: readonly string[]): Stage => ({
    title: mocha.title,
    command: { file: process.execPath, args: [join("node_modules", "mocha", "bin", "mocha.js"), ...paths.map((path) => `build/${path.replace(/ts$/, "js")}`)], cwd: root, env: environment },
    totals: mochaTotals,
  });
  const ofPytest = ({ title, dist }: Suite, paths: readonly string[]): Stage => ({
    title,
    command: {
      file: join(bin, "python"),
      args: ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "--numprocesses", "auto", "--dist", dist ?? "worksteal", ...paths],
      cwd: root,
      env: { ...environment, ...programs },
    },
    totals: pytestTotals,
  });
  const of = (suite: Suite): string[] => pathsOf(suite).filter((path) => files?.includes(path));
  const tests = (suites: readonly Suite[]): Stage[] =>
    suites.flatMap((suite) => {
      const make = suite === mocha ? ofMocha : (paths: readonly string[]): Stage => ofPytest(suite, paths);
      if (files === undefined) return [make(suite === mocha ? [] : [suite.folder])];
      return of(suite).length > 0 ? [make(of(suite))] : [];
    });
  const early = [mocha, ...pytests.filter(({ late }) => late !== true)];
  const late = pytests.filter((suite) => suite.late === true);
  // By its name a late one runs with what was built before.
  if (!artefacts) return tests(files === undefined ? early : [...early, ...late]);
  return [
    ...tests(early),
    { title: "generate", command: cli("generate"), totals: single },
    { title: "check", command: cli("check"), totals: single },
    { title: "lint", command: cli("lint"), totals: lintTotals },
    { title: "build", command: cli("build"), totals: single },
    ...tests(late),
    { title: "verify", command: cli("verify", "--jobs", String(jobs), ...(named ?? [])), totals: scenarioTotals },
  ];
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

/**
 * `sriov-role test`.
 *
 * @param patterns parts of paths of test files: only these run, and no VM
 * @param options.changed run only what a change since a commit can touch; true for where this branch left the main one
 * @returns an exit code
 */
export async function test(patterns: readonly string[], { fast = false, jobs, changed }: { readonly fast?: boolean; readonly jobs: number; readonly changed?: string | true }): Promise<number> {
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
    artefacts: want.machines,
    jobs,
  };
  const stop: { asked: boolean; pid?: number } = { asked: false };
  const onSignal = (): void => {
    // The stage cleans up after itself (verify destroys its VMs); this process must outlive it.
    if (!stop.asked && stop.pid !== undefined) process.kill(stop.pid, "SIGTERM");
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
  for (const { title, command, totals: read } of stages(await pythonTools(root), await programFolders(root, want), selection)) {
    console.log(`\n==== ${title}`);
    const { code, output, seconds } = await run(command, { onLine: (line) => console.log(line), onStart: (pid) => (stop.pid = pid) });
    delete stop.pid;
    const found = read(output, code);
    console.log(`==== ${title}: ${closingLine(found)}, in ${Math.round(seconds)} s`);
    totals = addTotals(totals, found);
    if (found.failed + found.skipped > 0) ends.push(`\n==== ${title}: ${closingLine(found)}; the end of what it said`, ...output.trimEnd().split("\n").slice(-linesAtTheEnd));
    // Without current artefacts the rest would test something else.
    if (stop.asked || (title === "generate" && code !== 0)) break;
  }
  // Of a run of half an hour, its end is what is kept and looked at.
  for (const line of ends) console.log(line);
  if (choice) console.log(`\n${choice.report}`);
  console.log(`\n${closingLine(totals)}`);
  return stop.asked || totals.failed + totals.skipped > 0 || totals.passed === 0 ? exit.failed : exit.good;
}
