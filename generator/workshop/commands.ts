import { join } from "node:path";
import { isStale } from "../artefacts/commands.js";
import { readSources } from "../artefacts/sources.js";
import { readText, writeJson, writeTree } from "../system/disk.js";
import { run } from "../system/process.js";
import { exit, print } from "../system/terminal.js";
import { lintArtefacts, lintOwnCode } from "./lint.js";
import { howToInstall, missingPackages } from "./hostPackages.js";
import { fixers } from "./ownCode.js";
import { guestOf, recordRow, withRows } from "./record.js";
import { unusedDays } from "./pythonEnvironments.js";
import { scenarioReport, scenarios, verify as verifyAll } from "./scenarios.js";
import type { ScenarioResult } from "./scenarios.js";
import {
  ansibleCores,
  missingImporter,
  missingPrograms,
  missingTools,
  programFolders,
  pythonTools,
  removable,
  removeUnused,
  setup as setUp,
  usualSeries,
} from "./setup.js";
import { choose, namedAndChanged } from "./stages.js";
import type { LintResults, ScenarioResults } from "./totals.js";

/** Options of `lint`. */
export interface LintOptions {
  /** A file for the results, for `npm test`. */
  readonly results?: string;
}

/** Our own code's linters, and ansible-lint over every artefact. Returns an exit code. */
export async function lint(root: string, options: LintOptions = {}): Promise<number> {
  if (await isStale(root)) return exit.failed;
  const { role } = readSources(root);
  const bin = await pythonTools(root);
  const results = [
    ...(await lintOwnCode(root, bin)),
    ...(await lintArtefacts({
      out: join(root, "dist"),
      identity: role.identity,
      bin,
      home: join(root, "build", "ansible"),
      config: join(root, "generator", "workshop", "ansible-lint.yml"),
      ansibleConfig: join(root, "generator", "workshop", "ansible.cfg"),
    })),
  ];
  for (const { title, passed, examined, report } of results) {
    if (report !== "") console.error(report);
    print(`${title}: ${passed ? "passed" : "failed"}${examined === undefined ? "" : `, ${examined} files examined`}`);
  }
  const counted: LintResults = results.map(({ title, passed }) => ({ title, passed }));
  if (options.results !== undefined) writeJson(options.results, counted);
  return results.every(({ passed }) => passed) ? exit.good : exit.failed;
}

/** Correct what formatters and linters can correct in our own code. Returns an exit code. */
export async function fix(root: string): Promise<number> {
  let failed = false;
  for (const { title, command } of fixers(root, await pythonTools(root))) {
    const { code, output } = await run(command);
    if (code === 0) continue;
    failed = true;
    console.error(output.trim() || `${title} ended with ${code}`);
  }
  return failed ? exit.failed : exit.good;
}

/** Options of `verify`. */
export interface VerifyOptions {
  /** Scenarios at once. */
  readonly jobs: number;
  /** Another ansible-core, as 2.20. */
  readonly ansible?: string;
  readonly timings?: boolean;
  /** Write what ran on the image of MOLECULE_IMAGE into docs/your-images.md. */
  readonly record?: boolean;
  /** A commit; true for where this branch left the main one. */
  readonly changed?: string | true;
  /** A file for the results, for `npm test`. */
  readonly results?: string;
}

/** What is wrong with names and options of `verify`. */
function misuse(known: readonly string[], names: readonly string[], options: VerifyOptions): string | undefined {
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) return `No such scenario: ${unknown.join(", ")}. There are: ${known.join(", ")}`;
  if (options.ansible !== undefined && !ansibleCores.includes(options.ansible))
    return `--ansible ${options.ansible}: there are ${ansibleCores.join(", ")}`;
  if (options.changed !== undefined && names.length > 0) return namedAndChanged;
  if (options.record === true && (names.length === 0 || !process.env["MOLECULE_IMAGE"]))
    return "--record is for named scenarios on an image of yours: set MOLECULE_IMAGE, and name the scenarios.";
  return undefined;
}

/** Molecule's scenarios on VMs. Returns an exit code. */
export async function verify(root: string, names: readonly string[], options: VerifyOptions): Promise<number> {
  const known = scenarios(root);
  const why = misuse(known, names, options);
  if (why !== undefined) {
    console.error(why);
    return exit.wrongUse;
  }
  let chosen = names.length > 0 ? [...new Set(names)] : known;
  if (options.changed !== undefined) {
    const choice = await choose(options.changed);
    if (!choice.ok) {
      console.error(choice.why);
      return exit.failed;
    }
    print(choice.value.report);
    chosen = [...choice.value.scenarios];
  }
  if (chosen.length === 0) {
    console.error("There is no scenario in molecule/: nothing was proved.");
    return exit.failed;
  }
  if (await isStale(root)) return exit.failed;
  const missing = await missingPackages();
  if (missing.length > 0) {
    console.error(await howToInstall(root, missing));
    return exit.failed;
  }
  const programs = {
    ...(await programFolders(root, { machines: true, series: [] })),
    ...(options.ansible === undefined ? {} : { SRIOV_ROLE_ANSIBLE: options.ansible }),
    ...(options.record === true ? { SRIOV_ROLE_RECORD: "1" } : {}),
  };
  const results = await verifyAll({
    root,
    bin: await pythonTools(root),
    programs,
    names: chosen,
    jobs: options.jobs,
    timings: options.timings === true,
  });
  print(scenarioReport(results));
  const counted: ScenarioResults = results.map(({ scenario, outcome }) => ({ scenario, outcome }));
  if (options.results !== undefined) writeJson(options.results, counted);
  if (options.record === true) recordRuns(root, results);
  return results.length > 0 && results.every(({ outcome }) => outcome === "passed") ? exit.good : exit.failed;
}

/** Add a row for each scenario that was not stopped to the page of runs by users. */
function recordRuns(root: string, results: readonly ScenarioResult[]): void {
  const path = "docs/your-images.md";
  const rows = results
    .filter(({ outcome }) => outcome !== "stopped")
    .map((result) => recordRow(result, guestOf(readText(result.log).split("\n")), new Date()));
  writeTree(root, [{ path, text: withRows(readText(join(root, path)), rows) }]);
  print(`${path}: ${rows.length} added; send it as a pull request.`);
}

/** Report what this machine lacks for each command. Returns an exit code. */
export async function doctor(root: string): Promise<number> {
  const noPython = await missingTools(root);
  const noPrograms = {
    tests: await missingPrograms(root, { machines: false, series: usualSeries(true) }),
    machines: await missingPrograms(root, { machines: true, series: usualSeries(false) }),
  };
  const missing = await missingPackages();
  const noSystem = missing.length > 0 ? [await howToInstall(root, missing)] : [];
  const noGit = missing.includes("git") ? [await howToInstall(root, ["git"])] : [];
  const report = (commands: string, lacks: readonly string[]): void => {
    print(`${commands}: ${lacks.length === 0 ? "ready" : "not ready"}`);
    for (const lack of lacks) print(`  ${lack.replaceAll("\n", "\n  ")}`);
  };
  report("generate, check", []);
  report("lint", noPython);
  report("build, publish", [...noPython, ...(await missingImporter(root)), ...noGit]);
  report("test:unit", [...noPython, ...noPrograms.tests]);
  report("verify, test, bench", [...noPython, ...noPrograms.machines, ...noSystem]);
  if ([...noPython, ...noPrograms.machines].some((lack) => lack.endsWith("not installed")))
    print("This installs what is not installed:\n    npm run setup");
  return noPython.length + noPrograms.machines.length + noSystem.length === 0 ? exit.good : exit.failed;
}

/** Options of `setup`. */
export interface SetupOptions {
  /** What the tests without VMs need only. */
  readonly python?: boolean;
  /** Remove what no clone used for long. */
  readonly prune?: boolean;
}

/** Install what is missing, and report what no clone uses, or remove it. Returns an exit code. */
export async function setup(root: string, options: SetupOptions): Promise<number> {
  const faults = await setUp(root, { machines: !options.python, series: usualSeries(options.python === true) });
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return exit.failed;
  const { folders, bytes } = options.prune ? await removeUnused() : removable();
  const size = `${Math.ceil(bytes / 1e6)} MB`;
  if (options.prune) {
    for (const folder of folders) print(`removed ${folder}`);
    print(folders.length === 0 ? "There is nothing to remove." : `${size} are free again.`);
  } else if (folders.length > 0) {
    print(`No clone has used these for ${unusedDays} days; they take ${size}:`);
    for (const folder of folders) print(`    ${folder}`);
    print("This removes them:\n    npm run setup -- --prune");
  }
  return exit.good;
}
