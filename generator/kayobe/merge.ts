import { posix } from "node:path";
import type { OutFile } from "../ir.js";
import { filterEdits, filters } from "./filters.js";
import { withoutSnippets } from "./devices.js";
import { groupsOf, isPartOf } from "./groups.js";
import { driver, conflicts, isDeviceOption, nova, novaElsewhere, pciOption, shortKey } from "./conflicts.js";
import { addToSection, chunkOf, itemsOf, readIni, replaceEntry, trailerOf } from "./ini.js";
import type { IniEntry } from "./ini.js";
import { isHostsFile, isVaulted, readVariables } from "./inventory.js";
import { joiningOf, layersFor } from "./joining.js";
import type { Pairing } from "./pairings.js";
import { isPublished } from "./playbook.js";
import { networkOf, ranges, hintsOf } from "./hints.js";
import type { Found } from "./hints.js";
import { indented, location, isTemplated, truth, layeredConfig } from "./layers.js";
import type { ConfigFile } from "./layers.js";
import { addItems, addKey, isRefused, lineOfKey, listSource, readYaml, replaceKey, setInItem, setValue, sourceOf, valueText, wrapList } from "./yaml.js";
import type { Item, Result, Yaml } from "./yaml.js";

export interface VlanRange {
  readonly network: string;
  /** FIRST:LAST; without it the network has no VLANs for tenants. */
  readonly range?: string;
}

export interface MergeOptions {
  readonly environment?: string;
  readonly hook: boolean;
  readonly vlanRanges: readonly VlanRange[];
}

export interface Link {
  readonly path: string;
  readonly target: string;
}

export interface Merge {
  readonly write: readonly OutFile[];
  readonly links: readonly Link[];
  /** With any, nothing may be written. */
  readonly refusals: readonly string[];
  readonly hints: readonly string[];
}

const group = "compute_sriov";
const groupFolder = `inventory/group_vars/${group}`;
/** In the first comment of files that are ours as a whole. */
const mark = /^(---\s*)?# Written by sriov-role kayobe, which replaces it/;
const agentMappings = "neutron_sriov_physnets";
const hookPath = "hooks/overcloud-host-configure/post.d/10-sriov.yml";
const playbook = "ansible/sriov.yml";
const requirementsPath = "ansible/requirements.yml";
const drivers = "kolla_neutron_ml2_mechanism_drivers";
/** Which files of a configuration are read at all: the rest may be large, and is nobody's business here. */
export function concerns(path: string): boolean {
  const inLayer = path.replace(/^environments\/[^/]+\/?/, "");
  if (path === "environments" || inLayer === "") return true;
  return /^([^/]+|inventory\/.*|kolla\/(globals\.yml|config|inventory|inventory\/.*)|kolla\/config\/(global\.conf|nova\.conf|nova|nova\/.*|nova_compute|nova_compute\/.*|neutron|neutron\/.*)|hooks\/overcloud-host-configure(\/post\.d(\/[^/]+)?)?|ansible\/((requirements|sriov)\.yml|(group|host)_vars|(group|host)_vars\/.*))$/.test(inLayer);
}

/**
 * What must happen so that a Kayobe configuration has what the artefact has.
 *
 * @param artefact its files, relative to the configuration
 * @param config what is there, as far as `concerns` says
 */
export function merge(artefact: readonly OutFile[], config: readonly ConfigFile[], options: MergeOptions): Merge {
  const there = new Map(config.map((file) => [file.path, file]));
  const now = new Map<string, string>();
  const links: Link[] = [];
  const refusals: string[] = [];
  const hints: string[] = [];
  const refuse = (sentence: string): void => void (refusals.includes(sentence) || refusals.push(sentence));
  const put = (path: string, text: string): void => {
    const home = view.homeOf(path);
    if (there.get(home)?.text === text) now.delete(home);
    else now.set(home, text);
  };

  const ours = ownNames(artefact);
  const layers = layersOf(there, options.environment, refuse);
  if (refusals.length > 0) return { write: [], links, refusals, hints };
  const view = layeredConfig(there, now, layers);
  const { target, textOf, below, opened, variableFiles, provider, isTargets } = view;
  const lower = layers.slice(0, -1);
  const command = "sriov-role kayobe";

  /** A file that must be edited and can be; `wanted` is what its owner adds by hand otherwise, to another one perhaps. */
  const editable = (path: string, wanted: string, other?: string): string | undefined => {
    const text = textOf(path);
    if (text === undefined && there.has(path)) refuse(`${path} is no file with text in UTF-8, or cannot be read.`);
    else if (text !== undefined && isVaulted(text)) refuse(`${path} is encrypted with Ansible Vault, and cannot be edited here. This must be in a file that is not encrypted: move the secrets of ${path} into another one${other === undefined ? "" : `, or add by hand to ${other}`}:\n${indented(wanted)}`);
    else return text ?? "";
    return undefined;
  };
  const editYaml = (path: string, wanted: string, edit: (yaml: Yaml) => Result<{ readonly text: string }>): void => {
    const text = editable(path, wanted, /\//.test(path.slice(target.length)) ? undefined : "another .yml file of its folder");
    if (text === undefined) return;
    const yaml = path.endsWith(".json") ? { refused: "is JSON, which is not edited here" } : readYaml(text, isTemplated(path));
    const result = isRefused(yaml) ? yaml : edit(yaml);
    // Jinja makes YAML of some files that are none. What somebody added there by hand is there.
    if (isRefused(result) && text.replaceAll("\r", "").includes(wanted.trim())) return;
    if (isRefused(result)) refuse(`${path} ${result.refused}. Mend that, or add by hand:\n${indented(wanted)}`);
    else put(path, result.text);
  };

  const create = (path: string, key: string, source: string, value: unknown): void => {
    if (textOf(path) === undefined && !there.has(path)) return put(path, `---\n${source.trimStart()}`);
    editYaml(path, source, (yaml) => addKey(yaml, key, source, value));
  };

  /** A list gets items. */
  const union = (path: string, key: string, items: readonly Item[], comment: readonly string[]): void => {
    const found = provider(path, key);
    const wanted = listSource(key, comment, items);
    if (!found) {
      const elsewhere = layers.flatMap((layer) => below(`${layer}inventory/group_vars`)).find((file) => key in (opened(file)?.data ?? {}));
      if (elsewhere) return refuse(`${elsewhere} sets ${key}, which a file of $KAYOBE_CONFIG_PATH would hide. Move it to ${target}${path}, and run this again.`);
      return create(target + path, key, wanted, items);
    }
    const value = found.yaml.data[key];
    // What somebody added to an expression by hand is there.
    if (typeof value === "string" && items.every((item) => typeof item === "string" && value.includes(item))) return;
    if (value !== null && !Array.isArray(value)) return refuse(`${location(found.path, lineOfKey(found.yaml, key))}: ${key} is ${typeof value === "string" ? "an expression" : "no list"}, to which nothing can be added here. Add by hand: ${items.map((item) => JSON.stringify(item)).join(", ")}`);
    const before: readonly unknown[] = value ?? [];
    const missing = items.filter((item) => !before.some((old) => JSON.stringify(old) === JSON.stringify(item)));
    if (missing.length === 0) return;
    if (isTargets(found.path)) return editYaml(found.path, wanted, (yaml) => addItems(yaml, key, missing));
    const plain = before.every((item) => typeof item === "string" || (typeof item === "object" && item !== null && Object.values(item).every((part) => typeof part === "string")));
    if (!plain) return refuse(`${location(found.path, lineOfKey(found.yaml, key))}: ${key} cannot be copied into ${target}${path}, where it would be replaced as a whole. Copy it by hand, and add: ${items.map((item) => JSON.stringify(item)).join(", ")}`);
    const all = [...(before as readonly Item[]), ...missing];
    create(target + path, key, listSource(key, [...comment, `# What ${found.path} has is repeated: the list of an environment replaces it.`], all), all);
  };

  /** A variable that has one value. */
  const set = (path: string, key: string, source: string, value: unknown): void => {
    const found = provider(path, key);
    if (!found) return create(target + path, key, source, value);
    const old = found.yaml.data[key];
    const where = location(found.path, lineOfKey(found.yaml, key));
    const change = (edit: (yaml: Yaml) => Result<{ readonly text: string }>): void => {
      if (isTargets(found.path)) editYaml(found.path, source, edit);
      else create(target + path, key, source, value);
    };
    if (typeof value === "boolean") {
      const is = truth(old);
      if (is === value) return;
      if (is === undefined) return refuse(`${where}: ${key} is ${JSON.stringify(old)}, of which only Ansible knows what comes out. Set it to ${String(value)} by hand.`);
      return change((yaml) => setValue(yaml, key, String(value), value));
    }
    if (typeof value === "object") {
      // A list or mapping of Kolla's that must be empty.
      if (old === null) return change((yaml) => setValue(yaml, key, Array.isArray(value) ? "[]" : "{}", value));
      return;
    }
    if (old === value) return;
    const isOurs = ours.test(valueText(found.yaml, key));
    if (old === null || key.startsWith("sriov_") || (isOurs && key === agentMappings)) return change((yaml) => replaceKey(yaml, key, source, value));
    if (key === agentMappings) return refuse(`${where}: ${key} is set already. It follows from sriov_devices now: say it there, by physical_network or in sriov_physnet_mappings, and take this away.`);
    // Somebody has brought both together, or it is by an earlier version: that cannot be told apart.
    if (isOurs) hints.push(`${where}: ${key} is not as it is written here, and is left. See that it does the same:\n${indented(source)}`);
    else refuse(`${where}: ${key} is set already. Bring it together by hand with:\n${indented(source)}`);
  };

  // Variables that cannot be right, wherever they are.
  const networks: Found[] = [];
  const names: Found[] = [];
  const known: Pairing[] = [];
  for (const layer of layers)
    for (const path of view.once([...variableFiles(layer, "kolla.yml"), ...below(`${layer}inventory/group_vars`), ...below(`${layer}inventory/host_vars`)])) {
      const said = readVariables(textOf(path) ?? "");
      for (const { line, message } of said.faults) refuse(`${location(path, line)}: ${message}.`);
      known.push(...said.pairings);
      networks.push(...said.networks.map((network) => ({ ...network, path })));
      names.push(...said.names.map((name) => ({ ...name, path })));
    }

  /** Files in which nothing is left but what ours has too. */
  const emptied = new Set<string>();
  snippets();
  for (const file of artefact) {
    if (mark.test(file.text)) whole(file);
    else if (file.path.startsWith("inventory/")) seed(file);
    else if (file.path === requirementsPath) requirements(file);
    else if (/\.ya?ml$/.test(file.path)) variables(file);
    else iniOptions(file);
  }
  neutron();
  // As it is before this run, so that the lines are those that are there.
  const hands = conflicts(layeredConfig(there, new Map(), layers), ours, options.vlanRanges.length > 0, kollasNames(artefact), known);
  for (const sentence of hands.refusals) refuse(sentence);
  hints.push(...hands.hints);
  if (options.hook) hook();
  hints.push(...hintsOf(view, group, playbook, networks, names));

  for (const path of [...now.keys(), ...links.map((link) => link.path)]) {
    const link = [...there.values()].find((file) => file.link !== undefined && (path === file.path || path.startsWith(`${file.path}/`)));
    if (link) refuse(`${link.path} is a symbolic link to ${link.link}, and nothing is written through one. Put a ${link.path === path ? "file" : "folder"} of its own there, with a copy of what it leads to.`);
  }
  for (const path of now.keys()) {
    const inLayer = path.slice(target.length);
    const hidden = lower.findLast((layer) => there.get(layer + inLayer)?.text !== undefined);
    if (hidden !== undefined && !view.has(path) && inLayer.startsWith("kolla/config/") && joiningOf(view, inLayer) === "last") refuse(`${path} would come in place of ${hidden}${inLayer}: Kayobe takes only the last of them here. Copy ${hidden}${inLayer} there, and run this again.`);
  }
  const write = [...now].map(([path, text]) => ({ path, text }));
  if (target === "" && refusals.length === 0) hints.push(...overrides(artefact, config, write, links, options));
  return { write, links, refusals, hints: [...new Set(hints)] };

  /** What published guides have a site write by hand, and what follows from sriov_devices now. */
  function snippets(): void {
    for (const path of view.once(below(`${target}kolla/config`))) {
      const text = textOf(path);
      if (text === undefined || isVaulted(text)) continue;
      const rest = withoutSnippets(view, text, (entry) => isDeviceOption(path.slice(target.length), entry) && !ours.test(`${entry.key} ${entry.value}`));
      if (rest?.isBare) emptied.add(path);
      if (rest) put(path, rest.text);
      if (rest?.hadDevices) hints.push(`${path}: what it made from sriov_physnet_mappings is taken away. It follows from the inventory now, on the hosts of ${group} alone: see before a deploy that all hosts with VFs are in that group.`);
    }
  }

  function whole(file: OutFile): void {
    const path = (file.path.startsWith("ansible/") ? "" : target) + file.path;
    const old = textOf(path);
    if (file.path.startsWith(`${groupFolder}/`)) {
      for (const extension of [".yml", ".yaml", ".json"])
        if (there.has(target + groupFolder + extension)) refuse(`${target}${groupFolder}${extension} and a folder ${group} cannot be both: Ansible reads the folder, and leaves the file out. Type: mkdir -p ${target}${groupFolder} && git mv ${target}${groupFolder}${extension} ${target}${groupFolder}/sriov${extension}`);
      if (there.get(target + groupFolder)?.text !== undefined) return refuse(`${target}${groupFolder} is a file where a folder must be. Type: git mv ${target}${groupFolder} ${target}${groupFolder}.tmp && mkdir ${target}${groupFolder} && git mv ${target}${groupFolder}.tmp ${target}${groupFolder}/sriov`);
      const nearest = lower.findLast((layer) => there.has(layer + file.path));
      if (old === undefined && nearest !== undefined && textOf(nearest + file.path) === file.text) return;
    }
    if (file.path === playbook && old !== undefined && !mark.test(old) && isPublished(old, group)) hints.push(`${path} was the playbook of a published guide, and is replaced. A reboot that is due needs sriov_do_reboot: true now, and happens at the end of the run.`);
    else if (there.has(path) && !mark.test(old ?? "")) return refuse(`${path} is not by ${command}, or no longer: its first comment does not say so. Move it away, and run this again.`);
    put(path, file.text);
  }

  function seed(file: OutFile): void {
    const inventories = layers.flatMap((layer) => below(`${layer}inventory`));
    if (!file.path.startsWith(`${groupFolder}/`)) return groups(file, inventories.filter(isHostsFile));
    if (layers.some((layer) => view.has(layer + file.path))) return;
    // Values of a seed would hide those that are there already, of a group above or of a file read before.
    if (layers.some((layer) => there.get(layer + groupFolder)?.text !== undefined || [".yml", ".yaml", ".json"].some((extension) => there.has(layer + groupFolder + extension)))) return;
    if (inventories.some((path) => layers.some((layer) => path.startsWith(`${layer}${groupFolder}/`)) && !path.endsWith("/sriov_openstack"))) return;
    if (inventories.some((path) => path.includes("/group_vars/") && "sriov_devices" in (opened(path)?.data ?? {}))) return;
    // The file lies deeper in an environment, and the path to the schema begins at the file.
    put(target + file.path, file.text.replace("$schema=", (start) => start + "../".repeat(target.split("/").length - 1)));
  }

  /** The group, unless a file of the inventory has it: in the artefact's file, or in another one where the site has that for something else. */
  function groups(file: OutFile, hosts: readonly string[]): void {
    const home = hosts.find((path) => groupsOf([textOf(path) ?? ""]).names.has(group));
    if (home !== undefined) {
      const all = groupsOf(hosts.map((path) => textOf(path) ?? ""));
      if (!all.dynamic && !isPartOf(all, group, "compute")) hints.push(`${home} has the group ${group}, and nothing makes it part of compute: Kayobe passes over its hosts, unless they are in compute by themselves. Otherwise add ${group} below [compute:children].`);
      return;
    }
    // Ansible reads the files by their names, and knows as children only groups that it has read of: so after the one that is taken.
    const free = [file.path, "inventory/sriov_group", "inventory/sriov_group_2"].find((path) => !view.has(target + path));
    if (free === undefined) return refuse(`No file of ${target}inventory has the group ${group}, and ${file.path} and the names that would come in its place are taken. Add by hand to a file of ${target}inventory:\n${indented(file.text)}`);
    if (free !== file.path) hints.push(`${target}${file.path} has no group ${group}, and is left. The group is in ${target}${free}.`);
    put(target + free, file.text);
  }

  function variables(file: OutFile): void {
    const yaml = readYaml(file.text) as Yaml;
    const text = textOf(target + file.path);
    const read = text === undefined || isVaulted(text) || !isTemplated(file.path) ? undefined : readYaml(text, true);
    if (read && isRefused(read)) {
      // What somebody added there by hand is there.
      const missing = Object.keys(yaml.data).map((key) => sourceOf(yaml, key)).filter((source) => !text!.replaceAll("\r", "").includes(source.trim()));
      if (missing.length > 0) refuse(`${target}${file.path} ${read.refused}. Kayobe makes YAML of it with Jinja, and it cannot be edited here. Add by hand:\n${indented(missing.join(""))}`);
      return;
    }
    for (const [key, value] of Object.entries(yaml.data)) {
      const source = sourceOf(yaml, key);
      if (Array.isArray(value) && value.length > 0) union(file.path, key, value as Item[], source.split("\n").filter((line) => line.startsWith("#")));
      else set(file.path, key, source, value);
    }
  }

  function requirements(file: OutFile): void {
    const entry = ((readYaml(file.text) as Yaml).data["collections"] as { name: string; version: string }[])[0]!;
    const item: Item = { name: entry.name, version: entry.version };
    const comment = [`# \`sriov-role kayobe\` keeps the version of ${entry.name}.`];
    const path = file.path;
    const text = textOf(path);
    if (text === undefined && !there.has(path)) return put(path, file.text);
    const wanted = listSource("collections", [], [item]);
    editYaml(path, wanted, (read) => {
      // A list alone has roles.
      const wrapped = read.list.length > 0 ? wrapList(read, "roles") : read;
      if (isRefused(wrapped)) return wrapped;
      const yaml = readYaml(wrapped.text) as Yaml;
      const list = yaml.data["collections"];
      if (list === undefined) return addKey(yaml, "collections", listSource("collections", comment, [item]), [item]);
      if (list === null) return addItems(yaml, "collections", [item]);
      if (!Array.isArray(list)) return { refused: "has collections that are no list" };
      const index = list.findIndex((candidate) => isOurCollection(candidate, entry.name));
      if (index === -1) return addItems(yaml, "collections", [item]);
      const old: unknown = list[index];
      const version = typeof old === "object" && old !== null && !("type" in old) && !("source" in old) && "version" in old ? old.version : undefined;
      if (version === entry.version) return yaml;
      if (typeof version === "string" && /^\d/.test(version)) return setInItem(yaml, "collections", index, "version", entry.version);
      hints.push(`${path} takes ${entry.name} in its own way (${JSON.stringify(old)}), which is left so: see that it is version ${entry.version}.`);
      return yaml;
    });
  }

  function iniOptions(file: OutFile): void {
    const wanted = readIni(file.text);
    const missing = new Map<string, string[]>();
    for (const entry of wanted.entries) {
      const chunk = chunkOf(wanted, entry);
      if (entry.section === filters.section && entry.key === filters.key) {
        if (!addFilter(itemsOf(entry).at(-1)!, entry.value, trailerOf(wanted))) missing.set(entry.section, [chunk]);
      } else if (!exclusive(file.path, entry)) missing.set(entry.section, [...(missing.get(entry.section) ?? []), chunk]);
    }
    const path = target + file.path;
    if (missing.size === 0 || (file.path === nova && novaElsewhere(view, ours))) return;
    const isNew = emptied.has(path) || (textOf(path) === undefined && !there.has(path));
    if (isNew && [...missing.values()].flat().length === wanted.entries.length) return put(path, file.text);
    for (const [section, chunks] of missing) {
      const text = editable(path, `[${section}]\n${chunks.join("")}`, file.path === nova ? `${target}kolla/config/nova.conf` : undefined);
      if (text !== undefined) put(path, addToSection(readIni(text), section, chunks.join(""), trailerOf(wanted)));
    }
  }

  function addFilter(item: string, ownList: string, trailer: string): boolean {
    const edits = filterEdits(view, item, ownList);
    for (const { path, text } of edits.texts) put(path, text);
    for (const { path, chunk } of edits.lists) {
      const text = editable(path, `[${filters.section}]\n${chunk}`);
      if (text !== undefined) put(path, addToSection(readIni(text), filters.section, chunk, trailer));
    }
    for (const sentence of edits.refusals) refuse(sentence);
    return edits.general;
  }

  /** Whether an option is there already, as we have it; replaces what an earlier version of ours wrote. */
  function exclusive(path: string, wanted: IniEntry): boolean {
    // What is not ours is told elsewhere.
    const [first, second] = layersFor(view, path).filter((layer) => view.below(layer + posix.dirname(path)).includes(layer + path)).flatMap((layer) => {
      const ini = view.options(layer + path);
      return ini.entries.filter((entry) => isSameOption(entry, wanted) && ours.test(`${entry.key} ${entry.value}`)).map((entry) => ({ layer, ini, entry }));
    });
    if (!first) return false;
    if (second) refuse(`${location(second.layer + path, second.entry.line)}: ${shortKey(wanted)} is there twice, the first time in ${location(first.layer + path, first.entry.line)}. Delete this one.`);
    if (first.entry.key === wanted.key && first.entry.value === wanted.value) return true;
    if (isTargets(first.layer + path)) put(first.layer + path, replaceEntry(first.ini, first.entry, `${wanted.key} = ${wanted.value}`));
    else refuse(`${location(first.layer + path, first.entry.line)}: ${shortKey(wanted)} is by an earlier version. Run ${command} for that layer first, ${first.layer === "" ? "without --environment" : `with --environment ${first.layer.split("/")[1]}`}.`);
    return true;
  }

  function neutron(): void {
    const found = provider("neutron.yml", drivers);
    const list = found?.yaml.data[drivers];
    // Without a list Kolla makes its own, with this driver in it.
    if (Array.isArray(list) ? list.length > 0 : Boolean(list)) union("neutron.yml", drivers, [driver], []);
    const before = provider("neutron.yml", ranges);
    const old = before?.yaml.data[ranges];
    const missing: Item[] = [];
    for (const { network, range } of options.vlanRanges) {
      const given = (Array.isArray(old) ? (old as unknown[]) : []).filter((item) => networkOf(item) === network).map((item) => (item as { range?: unknown }).range ?? undefined);
      if (given.includes(range)) continue;
      const where = before ? location(before.path, lineOfKey(before.yaml, ranges)) : "";
      const number = given.find((other) => typeof other === "number");
      if (number !== undefined) refuse(`${where}: ${ranges} has a range of ${network} of which YAML makes the number ${String(number)}: put it in quotes.`);
      // Neutron takes several ranges of a network.
      else if (range !== undefined || given.length === 0) missing.push({ physical_network: network, ...(range === undefined ? {} : { range }) });
      else refuse(`${where}: ${ranges} has ${network} with the range ${String(given[0])}, which is not what was asked for, no range. Change it by hand, or leave --vlan-range ${network} out.`);
    }
    if (missing.length > 0) {
      union("neutron.yml", ranges, missing, ["# VLANs of physical networks that Neutron may choose from."]);
      // Kolla's own default, group_vars/all.yml; that of --vlan-range is what the hint would advise.
      if ((!Array.isArray(old) || old.length === 0) && !options.vlanRanges.some(({ network }) => network === "physnet1")) hints.push(`${ranges} was not set: with Ironic, Kolla took physnet1 for it by itself. Add --vlan-range physnet1 if that is in use.`);
    }
  }

  function hook(): void {
    const leads = (path: string): boolean => {
      const { link, real } = there.get(path) ?? {};
      return link !== undefined && (real ?? posix.join(posix.dirname(path), link)) === view.homeOf(playbook);
    };
    // A hook of an environment has the place of one of the same name below it.
    const last = layers.findLast((layer) => there.has(layer + hookPath));
    if (last !== undefined && leads(last + hookPath)) return;
    const path = view.homeOf(target + hookPath);
    if (there.has(path)) refuse(`${path} is something else than a symbolic link to ${playbook}. Move it away, and run this again.`);
    else links.push({ path, target: posix.relative(posix.dirname(path), playbook) });
  }

}

/** Environments that have something of their own in place of what the base got: a run for one of them would write. */
function overrides(artefact: readonly OutFile[], config: readonly ConfigFile[], write: readonly OutFile[], links: readonly Link[], options: MergeOptions): string[] {
  const written = new Map<string, ConfigFile>(config.map((file) => [file.path, file]));
  for (const file of write) written.set(file.path, file);
  for (const { path, target } of links) written.set(path, { path, link: target });
  const all = config.flatMap(({ path, text, real }) => (text === undefined && /^environments\/[^/]+$/.test(path) ? [{ path, real: real ?? path }] : []));
  // A second name of an environment says nothing of its own.
  const environments = all.filter(({ path, real }) => path === real || !all.some((other) => other.path === real)).map(({ path }) => posix.basename(path));
  return environments.flatMap((environment) => {
    const of = merge(artefact, [...written.values()], { ...options, environment });
    const paths = [...of.write, ...of.links].map(({ path }) => path);
    if (of.refusals.length > 0) return [`environments/${environment} has something of its own, with which this cannot be: ${of.refusals[0]!.split("\n")[0]!.replace(/(, as in)?:$/, ".")} Then run this again with --environment ${environment}.`];
    return paths.length > 0 ? [`environments/${environment} has something of its own in place of what its base has now: run this again with --environment ${environment}, which writes ${paths.join(", ")}.`] : [];
  });
}

/** PHYSNET or PHYSNET:FIRST:LAST; a sentence when it is neither. */
export function vlanRange(text: string): VlanRange | string {
  const [network = "", ...numbers] = text.split(":");
  if (!/^[^\s,;{}"']+$/.test(network)) return "it begins with no name of a physical network.";
  if (numbers.length === 0) return { network };
  const [first = 0, last = 0] = numbers.map((number) => (/^[1-9]\d{0,3}$/.test(number) ? Number(number) : Number.NaN));
  if (numbers.length !== 2 || !(first >= 1 && first <= last && last <= 4094)) return "it must be PHYSNET or PHYSNET:FIRST:LAST, with VLANs from 1 to 4094.";
  return { network, range: `${first}:${last}` };
}

/** The folders whose files Kayobe puts on each other, the last wins: "" for the base, "environments/NAME/" for others. */
function layersOf(there: ReadonlyMap<string, ConfigFile>, environment: string | undefined, refuse: (sentence: string) => void): string[] {
  if (environment === undefined) return [""];
  const names = [...there.values()].flatMap(({ path, text }) => (text === undefined ? (/^environments\/([^/]+)$/.exec(path)?.[1] ?? []) : []));
  const order: string[] = [];
  const visit = (name: string, way: readonly string[]): void => {
    if (way.includes(name)) return refuse(`environments/${name}/.kayobe-environment: it depends on itself: ${[...way, name].join(", ")}.`);
    if (order.includes(name)) return;
    if (!names.includes(name)) return refuse(`There is no environment ${name}${way.length > 0 ? `, on which ${way.at(-1)} depends` : ""}: environments/ has ${names.join(", ") || "none"}.`);
    const text = there.get(`environments/${name}/.kayobe-environment`)?.text;
    const yaml = text === undefined ? undefined : readYaml(text);
    if (yaml && isRefused(yaml)) return refuse(`environments/${name}/.kayobe-environment ${yaml.refused}.`);
    const dependencies = yaml?.data["dependencies"];
    if (dependencies !== undefined && dependencies !== null && !Array.isArray(dependencies)) return refuse(`${location(`environments/${name}/.kayobe-environment`, lineOfKey(yaml!, "dependencies"))}: dependencies must be a list of environments, and is none.`);
    if (Array.isArray(dependencies)) for (const dependency of dependencies) visit(String(dependency), [...way, name]);
    order.push(name);
  };
  visit(environment, []);
  return ["", ...order.map((name) => `environments/${name}/`)];
}

/** The variables that the artefact defines, and its filter: a value with one of them is ours, of whatever version. */
function ownNames(artefact: readonly OutFile[]): RegExp {
  const names = artefact
    .filter(({ path }) => /^kolla\/globals\.yml$|\/sriov_openstack$/.test(path))
    .flatMap(({ text }) => Object.entries((readYaml(text) as Yaml).data))
    .flatMap(([name, value]) => (typeof value === "string" && name.includes("sriov_") ? [name] : []));
  return new RegExp(`\\b(${[...names, "nova_device_option"].join("|")})`);
}

/** Kolla's own variables that the artefact sets for every host. */
function kollasNames(artefact: readonly OutFile[]): readonly string[] {
  return artefact.filter(({ path }) => path === "kolla/globals.yml").flatMap(({ text }) => Object.keys((readYaml(text) as Yaml).data)).filter((name) => !name.startsWith("sriov_"));
}

/** The collection, by its name, or by an archive or a repository with its name. */
function isOurCollection(item: unknown, name: string): boolean {
  const [namespace, own] = name.split(".");
  const text = typeof item === "string" ? item : typeof item === "object" && item !== null && "name" in item ? String(item.name) : "";
  const source = typeof item === "object" && item !== null && "source" in item ? String(item.source) : "";
  return text === name || new RegExp(`(^|/)(${name.replace(".", "\\.")}:|${namespace}-${own}-\\d|ansible-collection-${own}(\\.git|$))`).test(`${text || source}`);
}

function isSameOption(entry: IniEntry, wanted: IniEntry): boolean {
  return pciOption(wanted) ? pciOption(entry) : entry.section === wanted.section && entry.key === wanted.key;
}
