import { join, resolve } from "node:path";
import { kayobeArtefact, readSources } from "../artefacts/sources.js";
import { failure, success } from "../ir.js";
import type { OutFile, Result } from "../ir.js";
import { printDiff } from "../system/diff.js";
import { isFolder, readText } from "../system/disk.js";
import { run } from "../system/process.js";
import { readUserFiles, writeUserFiles } from "../system/userFiles.js";
import type { Entry } from "../system/userFiles.js";
import { exit, printProblems, print } from "../system/terminal.js";
import { concerns } from "./layers.js";
import { merge } from "./merge.js";
import { configuredSeries, deployLines, seriesOfKayobe, untested } from "./series.js";
import type { Series } from "./series.js";
import type { VlanRange } from "./vlans.js";

/** Options of `kayobe`. */
export interface KayobeOptions {
  readonly configPath?: string;
  readonly environment?: string;
  readonly check?: boolean;
  readonly hook?: boolean;
  readonly vlanRange: readonly VlanRange[];
}

/** Merge what Kayobe needs into a Kayobe configuration. Returns an exit code. */
export async function kayobe(root: string, options: KayobeOptions): Promise<number> {
  const sources = readSources(root);
  printProblems(sources.problems);
  if (sources.problems.length > 0) return exit.failed;
  const given = options.configPath ?? process.env["KAYOBE_CONFIG_PATH"];
  if (!given) {
    console.error(
      "No Kayobe configuration is named. Give --config-path DIR, or set $KAYOBE_CONFIG_PATH, as Kayobe's kayobe-env does.",
    );
    return exit.wrongUse;
  }
  const name = given.replace(/(?<=.)\/+$/, "");
  const folder = resolve(name);
  const found = readConfig(name, folder);
  if (!found.ok) {
    console.error(`${options.configPath === undefined ? "$KAYOBE_CONFIG_PATH: " : ""}${found.why}`);
    return exit.wrongUse;
  }
  const before = found.value;
  const { environment, hook = false, vlanRange: vlanRanges } = options;
  const { write, links, refusals, hints } = merge(kayobeArtefact(sources), before, {
    ...(environment === undefined ? {} : { environment }),
    hook,
    vlanRanges,
  });
  if (refusals.length > 0) {
    for (const refusal of refusals) console.error(refusal);
    console.error("Nothing was written.");
    return exit.failed;
  }
  const there = before.flatMap(({ path, text }) => (text === undefined ? [] : [{ path, text }]));
  await printDiff({ write, remove: [], same: 0 }, there, name);
  for (const { path, target } of links) print(`${name}/${path}: a symbolic link to ${target}`);
  const configured = configuredSeries(before, environment);
  const installed = await installedSeries();
  for (const hint of [...hints, ...untested(configured ?? installed, testedSeries(root))]) print(`Note: ${hint}`);
  const usual = process.env["KAYOBE_ENVIRONMENT"];
  if (environment === undefined && usual)
    print(
      `Note: $KAYOBE_ENVIRONMENT is ${usual}, and this run was for the base. Run it with --environment ${usual}, too, if that environment overrides what the base sets.`,
    );
  const count = write.length + links.length;
  if (count === 0) {
    print(`Nothing to do: ${name} is up to date.`);
    return exit.good;
  }
  if (options.check) {
    console.error(`${count} files in ${name} would be written.`);
    return exit.failed;
  }
  writeUserFiles(folder, write, links);
  // An upgrade begins with the configuration: until Kayobe follows, its commands are those of the series before.
  printNext({ name, write, there, count, environment, series: installed ?? configured });
  return exit.good;
}

/** What a run has written. */
interface Written {
  /** The folder as it was typed. */
  readonly name: string;
  readonly write: readonly OutFile[];
  readonly there: readonly OutFile[];
  /** How many files and links. */
  readonly count: number;
  readonly environment: string | undefined;
  readonly series: Series | undefined;
}

/** Say what to do with the written files, and with which commands; the last one depends on the series. */
function printNext({ name, write, there, count, environment, series }: Written): void {
  const made = (pattern: RegExp): string | undefined =>
    write.map(({ path }) => path).find((path) => pattern.test(path) && !there.some((file) => file.path === path));
  const hosts = made(/(^|\/)inventory\/[^/]+$/);
  const devices = made(/(^|\/)inventory\/group_vars\/compute_sriov\/sriov$/);
  const where = environment === undefined ? "" : ` --environment ${environment}`;
  const first = [
    ...(hosts === undefined ? [] : [`the hosts in ${hosts}`]),
    ...(devices === undefined ? [] : [`the devices in ${devices}`]),
  ];
  print(`${count} files written in ${name}.`);
  if (first.length > 0) print(`Name ${first.join(" and ")}.`);
  print("Review them, commit them, and run:");
  print(`    kayobe control host bootstrap${where}`);
  print(`    kayobe playbook run $KAYOBE_CONFIG_PATH/ansible/sriov.yml${where}`);
  for (const line of deployLines(series, where)) print(line);
}

/** The series of the Kayobe on the PATH; nothing where there is none, or it is of no series. */
async function installedSeries(): Promise<Series | undefined> {
  const { code, stdout } = await run({ file: "kayobe", args: ["--version"] });
  return code === 0 ? seriesOfKayobe(stdout) : undefined;
}

/** The series that the merge is tested with. */
function testedSeries(root: string): string[] {
  const { pythons } = JSON.parse(readText(join(root, "generator/kayobe/series.json"))) as { pythons: object };
  return Object.keys(pythons);
}

/**
 * What a folder has of a Kayobe configuration; a failure when it does not look like one.
 *
 * @param name the folder as it was typed
 */
function readConfig(name: string, folder: string): Result<readonly Entry[]> {
  if (!isFolder(folder))
    return failure(`${name} is not a folder. It must be a Kayobe configuration: etc/kayobe of its repository.`);
  const entries = readUserFiles(folder, concerns);
  if (entries.some(({ path }) => ["kolla.yml", "bifrost.yml", "inventory"].includes(path))) return success(entries);
  const inside = isFolder(join(folder, "etc", "kayobe")) ? ` Did you mean ${name}/etc/kayobe?` : "";
  return failure(
    `${name} is not a Kayobe configuration: it contains neither kolla.yml, bifrost.yml nor inventory/.${inside}`,
  );
}
