import { join, relative, resolve } from "node:path";
import { root } from "../artefacts/sources.js";
import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";
import { changedFiles, choiceReport, readTexts, touched, usesOf } from "./changed.js";
import type { Touched } from "./changed.js";
import { filesIn, readJsonIfThere, readText } from "../system/disk.js";
import { nearest } from "../system/nearest.js";
import { scenarios, scenariosByName } from "./scenarios.js";
import { lintTotals, mochaTotals, pytestTotals, scenarioTotals, single } from "./totals.js";
import type { PytestResults, Totals } from "./totals.js";
import { openStackSeries, seriesEnvironment } from "./setup.js";
import type { ProgramFolders } from "./setup.js";
import type { Command } from "../system/process.js";

// What `npm test` runs: the suites of tests, which of their files are chosen, and the stages in their order.

export interface Stage {
  readonly title: string;
  readonly command: Command;
  /**
   * What was tested, once the command has ended: of the results that it wrote, and its exit code.
   *
   * @throws SyntaxError when the results are not JSON
   */
  readonly totals: (code: number) => Totals;
}

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

const openStack: Suite = {
  title: "pytest with Kayobe, Kolla Ansible, Nova and Neutron",
  folder: "test/openstack",
  file: /^test_.*\.py$/,
  dist: "loadfile",
};
const mocha: Suite = { title: "mocha", folder: "test", file: /\.test\.ts$/ };
const pytests: readonly Suite[] = [
  { title: "pytest", folder: "test/python", file: /^test_.*\.py$/ },
  openStack,
  {
    title: "pytest of publishing, with a Galaxy on this machine",
    folder: "test/galaxy",
    file: /^test_.*\.py$/,
    late: true,
  },
];
const early: readonly Suite[] = [mocha, ...pytests.filter((suite) => suite.late !== true)];
const late: readonly Suite[] = pytests.filter((suite) => suite.late === true);

function pathsOf({ folder, file }: Suite): string[] {
  return filesIn(join(root, folder))
    .filter((name) => file.test(name))
    .map((name) => `${folder}/${name}`);
}

/** All test files, as paths below the repository. */
export function testFiles(): string[] {
  return [mocha, ...pytests].flatMap(pathsOf);
}

/** Those of the tests with OpenStack. */
export function openStackFiles(): string[] {
  return pathsOf(openStack);
}

/**
 * The test files that patterns choose: one file by its path, or all that have the pattern in their path.
 *
 * @returns paths below the repository; a failure for a pattern that chooses none
 */
export function chosenFiles(patterns: readonly string[], all: readonly string[]): Result<readonly string[]> {
  const chosen = new Set<string>();
  for (const pattern of patterns) {
    const path = relative(root, resolve(pattern));
    const found = all.includes(path) ? [path] : all.filter((one) => one.includes(pattern));
    if (found.length === 0) return failure(`No test file has ${pattern} in its path. ${whichFile(pattern, all)}`);
    for (const one of found) chosen.add(one);
  }
  return success(all.filter((one) => chosen.has(one)));
}

function whichFile(pattern: string, all: readonly string[]): string {
  const name = (one: string): string => one.replace(/^.*\//, "").replace(/(\.test)?\.\w+$/, "");
  const near = nearest(name(pattern), all.map(name));
  if (near !== undefined) return `Did you mean ${all.find((one) => name(one) === near)}?`;
  return `They are test/*.test.ts and ${pytests.map(({ folder }) => `${folder}/test_*.py`).join(", ")}.`;
}

/** Test files by how many of their tests are long ones. */
export interface LongTests {
  readonly whole: readonly string[];
  readonly part: readonly string[];
}

/**
 * Of test files those that have tests which only `npm test`, or who names the file, runs: they take long, and a change
 * of a line seldom breaks them alone. A test says so itself, in mocha by "@long" in its title or its suite's, in pytest
 * by the mark `long`.
 *
 * @param texts test files by their path
 */
export function longTests(texts: ReadonlyMap<string, string>): LongTests {
  const marked = (path: string): { readonly whole: boolean; readonly part: boolean } => {
    const text = texts.get(path) ?? "";
    if (path.endsWith(".py"))
      return { whole: /^pytestmark = \[?pytest\.mark\.long\b/m.test(text), part: /\bmark\.long\b/.test(text) };
    const suites = text.match(/^describe\(.*/gm) ?? [];
    const whole = suites.length > 0 && suites.every((line) => /@long\b/.test(line));
    return { whole, part: /^ *(describe|it)\(.*@long\b/m.test(text) };
  };
  const paths = [...texts.keys()];
  return {
    whole: paths.filter((path) => marked(path).whole),
    part: paths.filter((path) => marked(path).part && !marked(path).whole),
  };
}

/** What `npm run test:unit` says that it did not run. */
export function leftOut({ whole, part }: LongTests): string {
  const folders = late.map(({ folder }) => folder);
  const files = [...whole, ...folders, "lint", "the release", "virtual machines"].join(", ");
  const parts = part.length > 0 ? `; and the long tests of ${part.join(", ")}` : "";
  return `Left out, which npm test has: ${files}${parts}.`;
}

/** The tests of this repository that `npm run test:unit` leaves out. */
export function longTestsHere(): LongTests {
  return longTests(new Map(early.flatMap(pathsOf).map((path) => [path, readText(join(root, path))])));
}

/** What is run: everything, or a part of it. */
export interface Selection {
  /** The only test files to run; without it all. */
  readonly files?: readonly string[];
  /** Whether without the tests that are marked as long ones. */
  readonly short: boolean;
  /** Whether to make the artefacts and check them. */
  readonly artefacts: boolean;
  /** The series of OpenStack to run the tests of test/openstack with; without it the newest, and another in part. */
  readonly series?: readonly string[];
  /** The scenarios to run; without it all. */
  readonly scenarios?: readonly string[];
  readonly jobs: number;
}

/** Where the stages find what they run, and where they leave what they counted. */
export interface Places {
  /** Folder of the Python tools. */
  readonly bin: string;
  readonly programs: ProgramFolders;
  /** An empty folder. */
  readonly results: string;
}

/** A command of this program as a stage; it does its work or does not. */
function ofProgram(title: string, ...args: string[]): Stage {
  return { title, command: program(title, ...args), totals: single };
}

function program(...args: string[]): Command {
  return { file: process.execPath, args: [join(root, "build", "generator", "main.js"), ...args], cwd: root };
}

/** How totals are made of results that a command writes into a file. */
function reading<Results>(
  file: string,
  totals: (results: Results | undefined, code: number) => Totals,
): Stage["totals"] {
  return (code) => totals(readJsonIfThere(file) as Results | undefined, code);
}

/** What is run, in groups: a group begins when that before has ended. */
export function stages(places: Places, selection: Selection): Stage[][] {
  const { files, short, artefacts, scenarios: named, jobs } = selection;
  const { results } = places;
  const whole = short ? longTestsHere().whole : [];
  const tests = (suites: readonly Suite[]): Stage[] =>
    suites.flatMap((suite) => {
      const all = pathsOf(suite);
      const paths = all.filter((path) => (files === undefined || files.includes(path)) && !whole.includes(path));
      if (paths.length === 0) return [];
      // Without names mocha runs what is in its configuration, which is all.
      if (suite === mocha) return [ofMocha(places, short, paths.length === all.length ? [] : paths)];
      const chosen = paths.length === all.length ? [suite.folder] : paths;
      if (suite === openStack) return ofOpenStack(places, selection.series, { paths, chosen });
      return [ofPytest(suite, places, { mark: short ? "not long" : undefined, chosen })];
    });
  // By its name a late one runs with what was built before.
  if (!artefacts) return [tests(files === undefined ? early : [...early, ...late])];
  const [lint, verify] = [join(results, "lint.json"), join(results, "verify.json")];
  return [
    tests(early),
    [ofProgram("generate")],
    [
      ofProgram("check"),
      { title: "lint", command: program("lint", "--results", lint), totals: reading(lint, lintTotals) },
      ofProgram("build"),
    ],
    tests(late),
    [
      {
        title: "verify",
        command: program("verify", "--results", verify, "--jobs", String(jobs), ...(named ?? [])),
        totals: reading(verify, scenarioTotals),
      },
    ],
  ];
}

function testEnvironment(bin: string): NonNullable<Command["env"]> {
  return {
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    ANSIBLE_CONFIG: join(root, "generator", "workshop", "ansible.cfg"),
    ANSIBLE_HOME: join(root, "build", "ansible"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
}

/** @param paths none for all */
function ofMocha({ bin, results: folder }: Places, short: boolean, paths: readonly string[]): Stage {
  const results = join(folder, "test.json");
  return {
    title: mocha.title,
    command: {
      file: process.execPath,
      args: [
        join("node_modules", "mocha", "bin", "mocha.js"),
        ...(short ? ["--grep", "@long", "--invert"] : []),
        ...["--reporter", "build/test/reporter.js", "--reporter-option", `output=${results}`],
        ...paths.map((path) => `build/${path.replace(/ts$/, "js")}`),
      ],
      cwd: root,
      env: testEnvironment(bin),
    },
    totals: reading(results, mochaTotals),
  };
}

/** What is run of a suite. */
interface Part {
  /** Marks of pytest, as its option -m has them. */
  readonly mark: string | undefined;
  /** Files, or the folder for all. */
  readonly chosen: readonly string[];
}

/** @param series of which the programs are */
function ofPytest({ title, folder, dist }: Suite, places: Places, { mark, chosen }: Part, series?: string): Stage {
  const { bin, programs } = places;
  const results = join(
    places.results,
    `${[...folder.split("/"), ...(series === undefined ? [] : [series])].join("-")}.json`,
  );
  return {
    title: series === undefined ? title : `${title} of ${series}${mark === undefined ? "" : ", in part"}`,
    command: {
      file: join(bin, "python"),
      args: [
        ...["-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs"],
        ...["--numprocesses", "auto", "--dist", dist ?? "worksteal"],
        `--results=${results}`,
        ...(mark === undefined ? [] : ["-m", mark]),
        ...chosen,
      ],
      cwd: root,
      env: { ...testEnvironment(bin), ...programs, ...seriesEnvironment(programs, series ?? openStackSeries.newest) },
    },
    totals: reading(results, (counts: PytestResults | undefined, code) =>
      pytestTotals(counts, code, mark !== undefined),
    ),
  };
}

/** The mark of the tests that run with the series in part too. */
const otherSeries = "other_series";

/** A stage for each series; without named ones the newest, and another with the tests that are marked for it. */
function ofOpenStack(
  places: Places,
  series: readonly string[] | undefined,
  { paths, chosen }: { readonly paths: readonly string[]; readonly chosen: readonly string[] },
): Stage[] {
  const { newest, in_part } = openStackSeries;
  const whole = (series ?? [newest]).map((name) => ofPytest(openStack, places, { mark: undefined, chosen }, name));
  // Where no test has the mark, pytest would end with an error.
  const isMarked = paths.some((path) => readText(join(root, path)).includes(`mark.${otherSeries}`));
  return series === undefined && isMarked
    ? [...whole, ofPytest(openStack, places, { mark: otherSeries, chosen }, in_part)]
    : whole;
}

/** What a change can touch, and what a person is shown of it. */
export interface Choice extends Touched {
  readonly report: string;
}

/**
 * What a change can touch, with the report of it for the person who runs this.
 *
 * @param base a commit; true for where this branch left the main one
 * @param fast whether no scenario is run, and no test that needs what is built before
 * @returns a failure when it is not known what has changed, or nothing has
 */
export async function choose(base: string | true, fast = false): Promise<Result<Choice>> {
  const found = await changedFiles(root, base === true ? undefined : base);
  if (!found.ok) return found;
  const changed = found.value;
  if (changed.files.length === 0) return failure(`Nothing differs from ${changed.base}, so nothing was proved.`);
  const all = { tests: testFiles(), scenarios: scenarios(root) };
  const reached = touched(changed.files, usesOf(all.tests, all.scenarios, readTexts(root)));
  const byName = scenariosByName(root);
  const uses = { ...reached, scenarios: reached.scenarios.filter((name) => !byName.includes(name)) };
  const lateFiles = late.flatMap(pathsOf);
  const choice = fast
    ? { ...uses, tests: uses.tests.filter((path) => !lateFiles.includes(path)), scenarios: [] }
    : uses;
  const counts = { tests: all.tests.length, scenarios: all.scenarios.length };
  return success({ ...choice, report: choiceReport(changed.base, changed.files, choice, counts) });
}

/** Of --changed with a name. */
export const namedAndChanged = "Name what is to run, or give --changed: not both.";
