import { namesIn } from "./jinja.js";
import { isHostsFile } from "./groups.js";
import { isKnown, pairingsIn } from "./pairings.js";
import type { Pairing } from "./pairings.js";
import { indented, location, isSealed, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { isRefused, lineOfKey, readYaml } from "./yaml.js";

// Variables of Kolla, wherever a site may say them: those that kolla/globals.yml sets for every host now, which hides
// all others, and those of the role, which Kayobe never sees there.

export const globals = "kolla/globals.yml";
const passThrough = "kolla_overcloud_inventory_pass_through_host_vars";
const lists = ["nova_pci_passthrough_whitelist", "neutron_sriov_physnet_mappings"];
const mapping = "sriov_physnet_mappings";
const rolesOwn = ["sriov_devices", mapping];
const home = "inventory/group_vars/compute_sriov/sriov";
const novasFile = "kolla/config/nova/nova-compute.conf";

interface Definition {
  /** With the line, as far as that is known. */
  readonly where: string;
  readonly key: string;
  readonly value: unknown;
}

/**
 * @param kollas Kolla's own variables that kolla/globals.yml sets
 * @param known the physical networks that the inventory names
 */
export function kollaVariables(view: LayeredConfig, kollas: readonly string[], known: readonly Pairing[]): { readonly refusals: readonly string[]; readonly hints: readonly string[] } {
  const refusals: string[] = [];
  const hints: string[] = [];
  const inGlobals = [...ofGlobals(view, [...lists, ...rolesOwn]), ...ofExtraGlobals(view, [...kollas, ...rolesOwn])];
  const inInventory = [...ofKollasInventory(view, [...kollas, ...rolesOwn]), ...ofCustomInventory(view, [...kollas, ...rolesOwn])];
  const hasNetworks = known.length > 0;
  // What is no NIC may stay in Kolla's list for Nova, which is not emptied then: Nova takes it beside ours, under another name.
  const found = [...inGlobals.filter(({ key, value }) => key !== lists[0] || !isOther(value)), ...inInventory, ...ofPassThrough(view, kollas)];
  for (const { where, key, value } of found) {
    if (isEmpty(value)) continue;
    if (lists.includes(key) && isOther(value)) refusals.push(`${where}: ${key} is set by hand, and ${globals} empties it for every host. Take it away, and name these devices, which are no NICs, below [pci] of ${view.target}${novasFile}:\n${specsOf(value as unknown[])}`);
    else if (lists.includes(key)) refusals.push(`${where}: ${key} is set by hand, and ${globals} empties it for every host, so that nothing is said twice. ${whereTo(key, value, known, view.target + novasFile)}`);
    else if (!rolesOwn.includes(key)) refusals.push(`${where}: ${key} is set by hand, and ${globals} sets it for every host, which Kolla takes in place of this. Bring both together there, and take it away here.`);
    else if (hasNetworks) hints.push(`${where}: only Kolla sees ${key} there, and nothing that the merge writes uses it. Take it away, unless a template of yours uses it.`);
    else refusals.push(`${where}: only Kolla sees ${key} there: neither Nova nor Neutron would get a physical network from it. Move it to ${home}, or to group_vars or host_vars of the inventory in which the devices are:\n${indented(sourceOf(key, value))}`);
  }
  for (const { where, key, value } of ofPlaybook(view))
    if (!isEmpty(value)) (hasNetworks ? hints : refusals).push(`${where}: only the playbooks of that folder see ${key} there: Kayobe's own, which write the files for Nova and Neutron, do not. Move it to ${home}, or to group_vars or host_vars of the inventory.`);
  const sealed = view.layers.flatMap((layer) => view.below(`${layer}kolla/inventory`)).filter((path) => /\/(group|host)_vars\//.test(path) && view.textOf(path) !== undefined && isSealed(view.textOf(path)));
  for (const path of view.once(sealed)) hints.push(`${path} is encrypted and cannot be looked at. If it has ${lists.join(" or ")}, ${globals} empties that now: say it in the inventory, as ${mapping}.`);
  return { refusals, hints };
}

/** Kolla's variables in Kayobe's own variable for more. */
export function extraGlobals(view: LayeredConfig): { where: string; data: { readonly [key: string]: unknown } }[] {
  return variables(view).flatMap(({ path, line, key, value }) => (key === "kolla_extra_globals" && typeof value === "object" && value !== null ? [{ where: `${location(path, line)}: kolla_extra_globals`, data: value as { readonly [key: string]: unknown } }] : []));
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === "string" && /^\s*(\[\s*\]|\{\s*\}|null|~|""|'')?\s*$/.test(value)) || (typeof value === "object" && Object.keys(value).length === 0);
}

function ofGlobals(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return view.layers.flatMap((layer) => {
    const path = layer + globals;
    if (view.variableFiles(layer, globals).length === 0) return [];
    const yaml = view.opened(path);
    if (yaml) return keys.filter((key) => key in yaml.data).map((key) => ({ where: location(path, lineOfKey(yaml, key)), key, value: yaml.data[key] }));
    // Jinja makes YAML of it, and only the lines can be looked at.
    return isSealed(view.textOf(path)) ? [] : inLines(view.textOf(path)!, keys).map(({ line, ...rest }) => ({ where: location(path, line), ...rest }));
  });
}

function ofExtraGlobals(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return extraGlobals(view).flatMap(({ where, data }) => keys.filter((key) => key in data).map((key) => ({ where, key, value: data[key] })));
}

/** Files of kolla/inventory, which Kayobe hands to Kolla beside its own. */
function ofKollasInventory(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return view.once(view.layers.flatMap((layer) => view.below(`${layer}kolla/inventory`))).flatMap((path) => {
    const text = view.textOf(path);
    if (isSealed(text)) return [];
    return definitions(view, path, text!, keys, /\/(group|host)_vars\//.test(path));
  });
}

/** Texts of Kayobe's variables that Kayobe writes into Kolla's inventory. */
function ofCustomInventory(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return variables(view).flatMap(({ path, line, key, value }) => (/^kolla_overcloud_inventory_custom/.test(key) && typeof value === "string" ? inLines(value, keys).map((found) => ({ where: `${location(path, line)}: ${key}`, key: found.key, value: found.value })) : []));
}

/** Variables of Kayobe's inventory that are passed on to Kolla under a name of Kolla's. */
function ofPassThrough(view: LayeredConfig, keys: readonly string[]): Definition[] {
  const all = variables(view);
  const inGroups = filesOfVariables(view).flatMap((path) => Object.entries(view.opened(path)?.data ?? {}).map(([key, value]) => ({ key, value })));
  const said = [...all, ...inGroups].filter(({ key }) => key.startsWith(passThrough));
  const names = said.filter(({ key }) => !key.includes("_map")).flatMap(({ value }) => (Array.isArray(value) ? value.map(String) : typeof value === "string" ? [...value.matchAll(/'([^']*)'|"([^"]*)"/g)].map((found) => found[1] ?? found[2]!) : []));
  const others = new Map(said.filter(({ key }) => key.includes("_map")).flatMap(({ value }) => (typeof value === "object" && value !== null ? Object.entries(value).map(([from, to]) => [from, String(to)] as const) : [])));
  return [...new Set(names)].flatMap((name) => {
    const key = others.get(name) ?? name;
    if (!keys.includes(key)) return [];
    const files = [...view.layers.flatMap((layer) => view.variableFiles(layer, "kolla.yml")), ...filesOfVariables(view)];
    const hosts = view.layers.flatMap((layer) => view.below(`${layer}inventory`)).filter(isHostsFile);
    const found = [...view.once(files).map((path) => [path, true] as const), ...view.once(hosts).map((path) => [path, false] as const)];
    const here = found.flatMap(([path, flat]) => (isSealed(view.textOf(path)) ? [] : definitions(view, path, view.textOf(path)!, [name], flat)));
    return here.map((one) => ({ ...one, where: `${one.where}: ${name === key ? "passed on to Kolla" : `${name}, which is passed on to Kolla`}`, key }));
  });
}

/** Variables beside playbooks of the configuration. */
function ofPlaybook(view: LayeredConfig): Definition[] {
  const paths = ["group_vars", "host_vars"].flatMap((folder) => view.below(`ansible/${folder}`));
  return view.once(paths).flatMap((path) => (isSealed(view.textOf(path)) ? [] : definitions(view, path, view.textOf(path)!, rolesOwn, true)));
}

function filesOfVariables(view: LayeredConfig): readonly string[] {
  return view.layers.flatMap((layer) => ["group_vars", "host_vars"].flatMap((folder) => view.below(`${layer}inventory/${folder}`)));
}

/** @param flat whether variables are the keys at the top: elsewhere they are below hosts and groups, or in lines of INI */
function definitions(view: LayeredConfig, path: string, text: string, keys: readonly string[], flat: boolean): Definition[] {
  const yaml = view.opened(path);
  if (yaml && flat) return keys.filter((key) => key in yaml.data).map((key) => ({ where: location(path, lineOfKey(yaml, key)), key, value: yaml.data[key] }));
  if (yaml && Object.keys(yaml.data).length > 0) return keys.flatMap((key) => deep(yaml.data, key).map((value) => ({ where: location(path, lineWith(text, key)), key, value })));
  return inLines(text, keys).map(({ line, ...rest }) => ({ where: location(path, line), ...rest }));
}

function deep(data: unknown, key: string): unknown[] {
  if (typeof data !== "object" || data === null) return [];
  return Object.entries(data).flatMap(([name, value]) => (name === key ? [value as unknown] : deep(value, key)));
}

function lineWith(text: string, key: string): number {
  return text.split("\n").findIndex((line) => new RegExp(`\\b${key}\\b`).test(line) && !/^\s*#/.test(line)) + 1;
}

/** What lines of INI, or of a text that Jinja makes YAML of, say of variables; a value in lines of its own is not known. */
function inLines(text: string, keys: readonly string[]): { readonly line: number; readonly key: string; readonly value: unknown }[] {
  const lines = text.split("\n");
  return lines.flatMap((whole, index) =>
    keys.flatMap((key) => {
      const line = whole.trimEnd();
      if (/^\s*[#;]/.test(line)) return [];
      const value = new RegExp(`^["']?${key}["']?\\s*[:=]\\s*(.*?)\\s*(#.*)?$`).exec(line)?.[1] ?? new RegExp(`\\s${key}=("[^"]*"|'[^']*'|\\S*)`).exec(line)?.[1];
      if (value === undefined) return [];
      return [{ line: index + 1, key, value: value === "" && /^(\s+\S|-)/.test(lines[index + 1] ?? "") ? "?" : literal(value) }];
    }),
  );
}

/** What a text has that is a list or dictionary in brackets; otherwise the text. */
function literal(text: string): unknown {
  const inner = text.replace(/^(["'])([[{].*)\1$/, "$2");
  if (!/^(\[|\{(?![{%#]))/.test(inner) || /\{[{%]/.test(inner)) return text;
  const yaml = readYaml(inner);
  return isRefused(yaml) ? text : inner.startsWith("[") ? yaml.list : yaml.data;
}

/** What is to be done with one of Kolla's own lists. */
function whereTo(key: string, value: unknown, known: readonly Pairing[], forOthers: string): string {
  if (typeof value === "string" && namesIn([...value.matchAll(/\{[{%][\s\S]*?[%}]\}/g)].join(" ")).includes(mapping)) return `It is made from ${mapping}, which is read by itself now: take it away.`;
  if (isKnown(asPairings(value), known)) return "The inventory says the same already: take it away.";
  const items = Array.isArray(value) ? (value as unknown[]) : [];
  const others = items.filter(isOtherDevice);
  const sayMore = items.some((item) => !isOtherDevice(item) && pairingsIn([item]) === undefined);
  const mappings = mappingsOf(value);
  return [
    "Take it away, and say it in the inventory as DEVICE: PHYSICAL_NETWORK (Kolla has it the other way round)",
    sayMore ? `, and what else it says as nova of the PF in sriov_devices` : "",
    others.length > 0 ? `; and below [pci] of ${forOthers} what is no NIC:\n${specsOf(others)}\nIn the inventory` : key === lists[0] && items.length === 0 ? `, and what is no NIC as device_spec below [pci] of ${forOthers}` : "",
    `${mappings === "" ? ", as in" : ""}:\n${indented(`${mapping}:\n${mappings || "  ens1f0: physnet2"}`)}`,
  ].join("");
}

/** A variable of the role as a text of YAML. */
function sourceOf(key: string, value: unknown): string {
  if (typeof value === "string") return `${key}: ${JSON.stringify(value === "?" ? "..." : value)}`;
  if (Array.isArray(value)) return `${key}:\n${value.map((item) => `  - ${JSON.stringify(item)}`).join("\n")}`;
  return `${key}:\n${Object.entries(value as object).map(([name, network]) => `  ${plain(name)}: ${plain(String(network))}`).join("\n")}`;
}

/** Whether a list names devices without a physical network alone, by their ids or addresses. */
function isOther(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isOtherDevice);
}

function isOtherDevice(item: unknown): boolean {
  const { physical_network: network = null } = (item ?? {}) as { [key: string]: unknown };
  return typeof item === "object" && item !== null && network === null && !("devname" in item) && ("product_id" in item || "address" in item);
}

/** Lines for Nova's own file, of devices that are no NICs. */
function specsOf(items: readonly unknown[]): string {
  return indented(items.map((item) => `device_spec = ${JSON.stringify(item)}`).join("\n"));
}

function asPairings(value: unknown): readonly Pairing[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  return Array.isArray(value) ? pairingsIn(value) : Object.entries(value as { [network: string]: unknown }).map(([network, device]) => ({ network, ...(typeof device === "string" ? { device } : {}) }));
}

/** Lines for sriov_physnet_mappings from one of Kolla's own lists; none where it does not show them. */
function mappingsOf(value: unknown): string {
  const found = (Array.isArray(value) ? value.flatMap((item) => pairingsIn([bare(item)]) ?? []) : (asPairings(value) ?? [])).flatMap(({ device, network }) => (device === undefined ? [] : [`  ${plain(device)}: ${network}`]));
  return found.join("\n");
}

/** An item without what else it says. */
function bare(item: unknown): unknown {
  const { devname, address, physical_network } = (item ?? {}) as { [key: string]: unknown };
  return { ...(devname === undefined ? {} : { devname }), ...(address === undefined ? {} : { address }), physical_network };
}

function plain(text: string): string {
  return /[:{}"'#]/.test(text) ? JSON.stringify(text) : text;
}
