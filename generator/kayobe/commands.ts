import { join, resolve } from "node:path";
import { kayobeArtefact, readSources } from "../artefacts/sources.js";
import { failure, success } from "../ir.js";
import type { OutFile, Result } from "../ir.js";
import { printDiff } from "../system/diff.js";
import { isFolder } from "../system/disk.js";
import { readUserFiles, writeUserFiles } from "../system/userFiles.js";
import type { Entry } from "../system/userFiles.js";
import { exit, printProblems, print } from "../system/terminal.js";
import { concerns } from "./layers.js";
import { merge } from "./merge.js";
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
  for (const hint of hints) print(`Note: ${hint}`);
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
  printNext(name, write, there, environment, count);
  return exit.good;
}

/** Say what to do with the written files, and with which commands. */
function printNext(
  name: string,
  write: readonly OutFile[],
  there: readonly OutFile[],
  environment: string | undefined,
  count: number,
): void {
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
  print(`    kayobe overcloud service deploy -kt nova,neutron${where}`);
  print(`With Kayobe 2026.1 and later the last one is: kayobe overcloud service deploy -t nova,neutron${where}`);
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
