import { layersOf } from "./environments.js";
import { layeredConfig, location } from "./layers.js";
import type { ConfigFile } from "./layers.js";
import { lineOfKey } from "./yaml.js";

// Which series of OpenStack a configuration is for, and what depends on it.

/** A series of OpenStack, and what names it. */
export interface Series {
  /** As Kayobe writes it in openstack_release: 2025.1, zed, master. */
  readonly name: string;
  /** What names it, as the beginning of a sentence. */
  readonly source: string;
}

const variable = "openstack_release";
const releasesFile = "openstack.yml";

/**
 * The place of a series in the order of all of them; nothing for an unknown one. Until 2023.1 they have names, and
 * master is newer than all.
 */
function orderOf(name: string): number | undefined {
  const [, year, half] = /^(20\d\d)\.([12])$/.exec(name) ?? [];
  if (year !== undefined) return Number(year) * 2 + Number(half);
  if (name.toLowerCase() === "master") return Infinity;
  return /^[a-z]+$/i.test(name) ? 0 : undefined;
}

/**
 * The series that a configuration names: the value of openstack_release, or the default that the comment of Kayobe's
 * example names; nothing when neither is known without running Kayobe.
 *
 * @param environment the environment of the run; without it the base
 */
export function configuredSeries(config: readonly ConfigFile[], environment?: string): Series | undefined {
  const files = new Map(config.map((file) => [file.path, file]));
  const { layers, faults } = layersOf(files, environment);
  if (faults.length > 0) return undefined;
  const view = layeredConfig(files, new Map(), layers);
  const found = view.provider(releasesFile, variable);
  if (found !== undefined) {
    const value = found.yaml.data[variable];
    const name = String(value ?? "").trim();
    if (orderOf(name) === undefined) return undefined;
    return { name, source: `${location(found.path, lineOfKey(found.yaml, variable))}: ${variable} is ${name}` };
  }
  const lines = (view.textOf(releasesFile) ?? "").split(/\r?\n/);
  const comment = /^# Name of the current OpenStack release\. Default is "([^"]+)"\.$/;
  const at = lines.findIndex((line) => comment.test(line));
  const name = comment.exec(lines[at] ?? "")?.[1] ?? "";
  if (orderOf(name) === undefined) return undefined;
  return { name, source: `${location(releasesFile, at + 1)}: the default of ${variable} is ${name}` };
}

/**
 * The series of a Kayobe.
 *
 * @param output what `kayobe --version` prints
 * @returns nothing for a version that belongs to no series, such as 0.0.1 of a source without tags
 */
export function seriesOfKayobe(output: string): Series | undefined {
  const [, version, number] = /^kayobe ((\d+)\.\S+)$/m.exec(output) ?? [];
  const major = Number(number);
  // Kayobe 14 is that of 2023.1, and each later one that of the next series; 5 is that of Stein.
  if (version === undefined || major < 5) return undefined;
  const name = major < 14 ? "older than 2023.1" : `${2023 + Math.floor((major - 14) / 2)}.${((major - 14) % 2) + 1}`;
  return { name, source: `Kayobe ${version} is installed, for OpenStack ${name}` };
}

/** The option of `kayobe overcloud service deploy` that selects services, and from when on. */
const deployOptions = { before: "-kt", since: "-t", from: "2026.1" } as const;

/**
 * How to deploy Nova and Neutron, as lines: the command and what it is for. Without a series there are two commands:
 * -kt comes first, because -t in an older series deploys files of an earlier run, without an error.
 *
 * @param ending what follows the command
 */
export function deployLines(series: Series | undefined, ending: string): string[] {
  const { before, since, from } = deployOptions;
  const command = (option: string): string => `kayobe overcloud service deploy ${option} nova,neutron${ending}`;
  if (series === undefined)
    return [`    ${command(before)}`, `With Kayobe ${from} and later the last one is: ${command(since)}`];
  const isSince = (orderOf(series.name) ?? 0) >= orderOf(from)!;
  return [`    ${command(isSince ? since : before)}`, `The last one is for this series (${series.source}).`];
}

/**
 * A sentence when a series is older or newer than those that the merge is tested with.
 *
 * @param tested names of series
 */
export function untested(series: Series | undefined, tested: readonly string[]): string[] {
  if (series === undefined) return [];
  const order = orderOf(series.name) ?? 0;
  const all = tested.toSorted();
  const [oldest, newest] = [all[0]!, all.at(-1)!];
  if (order === Infinity || (order >= orderOf(oldest)! && order <= orderOf(newest)!)) return [];
  return [
    `${series.source}, and this merge is tested with ${oldest} to ${newest}. Before you deploy, check what Kolla Ansible writes ` +
      "for Nova and Neutron: kayobe overcloud service configuration generate --node-config-dir /tmp/kolla",
  ];
}
