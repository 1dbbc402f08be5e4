import type { Findings } from "./deviceConflicts.js";
import { isHostsFile } from "./groups.js";
import { namesIn } from "./jinja.js";
import { indented, isSealed, location, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { isKnown, pairingsIn } from "./pairings.js";
import type { Pairing } from "./pairings.js";
import { isRefused, lineOfKey, readYaml } from "./yaml.js";
import type { Yaml } from "./yaml.js";

// Variables of Kolla, in any place where a site may set them: those that kolla/globals.yml sets for every host now,
// which hides all others, and those of the role, which Kayobe never sees there.

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
 * Variables of Kolla that the merge would hide, and those of the role that only Kolla would see.
 *
 * @param kollas Kolla's own variables that kolla/globals.yml sets
 * @param known the physical networks that the inventory names
 */
export function kollaVariables(view: LayeredConfig, kollas: readonly string[], known: readonly Pairing[]): Findings {
  const inGlobals = [...ofGlobals(view, [...lists, ...rolesOwn]), ...ofExtraGlobals(view, [...kollas, ...rolesOwn])];
  const inInventory = [
    ...ofKollasInventory(view, [...kollas, ...rolesOwn]),
    ...ofCustomInventory(view, [...kollas, ...rolesOwn]),
  ];
  // Devices that are not NICs may stay in Kolla's list for Nova, which is not emptied then: Nova takes both lists.
  const notNovas = inGlobals.filter(({ key, value }) => key !== lists[0] || !isOther(value));
  const found = [...notNovas, ...inInventory, ...ofPassThrough(view, kollas)].filter(({ value }) => !isEmpty(value));
  const ofRole = found.filter(({ key }) => rolesOwn.includes(key));
  const hasNetworks = known.length > 0;
  const hidden = ofPlaybook(view)
    .filter(({ value }) => !isEmpty(value))
    .map(ofPlaybookAlone);
  return {
    refusals: [
      ...found.flatMap((one) => {
        if (!rolesOwn.includes(one.key)) return [setByHand(view, one, known)];
        return hasNetworks ? [] : [unseen(one)];
      }),
      ...(hasNetworks ? [] : hidden),
    ],
    hints: [...(hasNetworks ? [...ofRole.map(unused), ...hidden] : []), ...sealedInventory(view)],
  };
}

/** A variable of Kolla that kolla/globals.yml sets for every host. */
function setByHand(view: LayeredConfig, { where, key, value }: Definition, known: readonly Pairing[]): string {
  const forOthers = view.target + novasFile;
  if (!lists.includes(key))
    return (
      `${where}: ${key} is set by hand, and ${globals} sets it for every host, which overrides this. ` +
      "Combine both there, and remove it here."
    );
  const what = `${where}: ${key} is set by hand, and ${globals} empties it for every host`;
  if (!isOther(value)) return `${what}, so that nothing is listed twice. ${whereTo(key, value, known, forOthers)}`;
  return (
    `${what}. Remove it, and name these devices, which are not NICs, below [pci] of ${forOthers}:\n` +
    specsOf(value as unknown[])
  );
}

/** A variable of the role that the merge needs, where only Kolla sees it. */
function unseen({ where, key, value }: Definition): string {
  return (
    `${where}: only Kolla sees ${key} there: neither Nova nor Neutron would get a physical network from it. ` +
    `Move it to ${home}, or to group_vars or host_vars of the inventory in which the devices are:\n` +
    indented(sourceOf(key, value))
  );
}

/** A variable of the role that the inventory sets as well. */
function unused({ where, key }: Definition): string {
  return (
    `${where}: only Kolla sees ${key} there, and nothing that the merge writes uses it. ` +
    "Remove it, unless a template of yours uses it."
  );
}

function ofPlaybookAlone({ where, key }: Definition): string {
  return (
    `${where}: only the playbooks of that folder see ${key} there: Kayobe's own, which write the files for Nova and ` +
    `Neutron, do not. Move it to ${home}, or to group_vars or host_vars of the inventory.`
  );
}

/** Files of variables for Kolla that cannot be read. */
function sealedInventory(view: LayeredConfig): string[] {
  const all = view.layers.flatMap((layer) => view.below(`${layer}kolla/inventory`));
  const isSealedFile = (path: string): boolean => view.textOf(path) !== undefined && isSealed(view.textOf(path));
  const sealed = all.filter((path) => /\/(group|host)_vars\//.test(path) && isSealedFile(path));
  return view
    .once(sealed)
    .map(
      (path) =>
        `${path} is encrypted and cannot be checked. If it contains ${lists.join(" or ")}, ${globals} empties that now: ` +
        `set it in the inventory, as ${mapping}.`,
    );
}

/** Kolla's variables in Kayobe's own variable for more. */
export function extraGlobals(view: LayeredConfig): { where: string; data: { readonly [key: string]: unknown } }[] {
  return variables(view).flatMap(({ path, line, key, value }) => {
    if (key !== "kolla_extra_globals" || typeof value !== "object" || value === null) return [];
    return [{ where: `${location(path, line)}: ${key}`, data: value as { readonly [key: string]: unknown } }];
  });
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (typeof value === "string") return /^\s*(\[\s*\]|\{\s*\}|null|~|""|'')?\s*$/.test(value);
  return typeof value === "object" && Object.keys(value).length === 0;
}

function ofGlobals(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return view.layers.flatMap((layer) => {
    const path = layer + globals;
    if (view.variableFiles(layer, globals).length === 0) return [];
    const yaml = view.opened(path);
    if (yaml) return atTop(path, yaml, keys);
    // Kayobe renders it with Jinja, and only the lines can be checked.
    return isSealed(view.textOf(path)) ? [] : atLines(path, view.textOf(path)!, keys);
  });
}

function ofExtraGlobals(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return extraGlobals(view).flatMap(({ where, data }) =>
    keys.filter((key) => key in data).map((key) => ({ where, key, value: data[key] })),
  );
}

/** Files of kolla/inventory, which Kayobe passes to Kolla in addition to its own. */
function ofKollasInventory(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return view.once(view.layers.flatMap((layer) => view.below(`${layer}kolla/inventory`))).flatMap((path) => {
    const text = view.textOf(path);
    if (isSealed(text)) return [];
    return definitions(view, path, text!, keys, /\/(group|host)_vars\//.test(path));
  });
}

/** Texts of Kayobe's variables that Kayobe writes into Kolla's inventory. */
function ofCustomInventory(view: LayeredConfig, keys: readonly string[]): Definition[] {
  return variables(view).flatMap(({ path, line, key, value }) => {
    if (!/^kolla_overcloud_inventory_custom/.test(key) || typeof value !== "string") return [];
    const where = `${location(path, line)}: ${key}`;
    return inLines(value, keys).map((found) => ({ where, key: found.key, value: found.value }));
  });
}

/** Variables of Kayobe's inventory that are passed on to Kolla under a name of Kolla's. */
function ofPassThrough(view: LayeredConfig, keys: readonly string[]): Definition[] {
  const { names, others } = passedOn(view);
  const ofKayobe = view.layers.flatMap((layer) => view.variableFiles(layer, "kolla.yml"));
  const hosts = view.layers.flatMap((layer) => view.below(`${layer}inventory`)).filter(isHostsFile);
  const files = [
    ...view.once([...ofKayobe, ...filesOfVariables(view)]).map((path) => ({ path, flat: true })),
    ...view.once(hosts).map((path) => ({ path, flat: false })),
  ].filter(({ path }) => !isSealed(view.textOf(path)));
  return names.flatMap((name) => {
    const key = others.get(name) ?? name;
    if (!keys.includes(key)) return [];
    const what = name === key ? "passed on to Kolla" : `${name}, which is passed on to Kolla`;
    const here = files.flatMap(({ path, flat }) => definitions(view, path, view.textOf(path)!, [name], flat));
    return here.map((one) => ({ ...one, where: `${one.where}: ${what}`, key }));
  });
}

/** The variables that Kayobe passes on to Kolla, and the names that some of them get there. */
function passedOn(view: LayeredConfig): { names: readonly string[]; others: ReadonlyMap<string, string> } {
  const data = filesOfVariables(view).flatMap((path) => Object.entries(view.opened(path)?.data ?? {}));
  const inGroups = data.map(([key, value]) => ({ key, value }));
  const all = [...variables(view), ...inGroups].filter(({ key }) => key.startsWith(passThrough));
  const names = all.filter(({ key }) => !key.includes("_map")).flatMap(({ value }) => textsIn(value));
  const maps = all.filter(({ key, value }) => key.includes("_map") && typeof value === "object" && value !== null);
  const others = maps.flatMap(({ value }) => Object.entries(value as object));
  return { names: [...new Set(names)], others: new Map(others.map(([from, to]) => [from, String(to)])) };
}

/** The items of a list, or the texts in an expression. */
function textsIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.map(String);
  if (typeof value !== "string") return [];
  return [...value.matchAll(/'([^']*)'|"([^"]*)"/g)].map((found) => found[1] ?? found[2]!);
}

/** Variables next to playbooks of the configuration. */
function ofPlaybook(view: LayeredConfig): Definition[] {
  const paths = ["group_vars", "host_vars"].flatMap((folder) => view.below(`ansible/${folder}`));
  const open = view.once(paths).filter((path) => !isSealed(view.textOf(path)));
  return open.flatMap((path) => definitions(view, path, view.textOf(path)!, rolesOwn, true));
}

function filesOfVariables(view: LayeredConfig): readonly string[] {
  const folders = view.layers.flatMap((layer) => [`${layer}inventory/group_vars`, `${layer}inventory/host_vars`]);
  return folders.flatMap((folder) => view.below(folder));
}

/** @param flat whether variables are the keys at the top; else they are below hosts and groups, or in lines of INI */
function definitions(
  view: LayeredConfig,
  path: string,
  text: string,
  keys: readonly string[],
  flat: boolean,
): Definition[] {
  const yaml = view.opened(path);
  if (yaml && flat) return atTop(path, yaml, keys);
  if (!yaml || Object.keys(yaml.data).length === 0) return atLines(path, text, keys);
  return keys.flatMap((key) => {
    const where = location(path, lineWith(text, key));
    return deep(yaml.data, key).map((value) => ({ where, key, value }));
  });
}

function atTop(path: string, yaml: Yaml, keys: readonly string[]): Definition[] {
  const own = keys.filter((key) => key in yaml.data);
  return own.map((key) => ({ where: location(path, lineOfKey(yaml, key)), key, value: yaml.data[key] }));
}

function atLines(path: string, text: string, keys: readonly string[]): Definition[] {
  return inLines(text, keys).map(({ line, ...rest }) => ({ where: location(path, line), ...rest }));
}

function deep(data: unknown, key: string): unknown[] {
  if (typeof data !== "object" || data === null) return [];
  return Object.entries(data).flatMap(([name, value]) => (name === key ? [value as unknown] : deep(value, key)));
}

function lineWith(text: string, key: string): number {
  return text.split("\n").findIndex((line) => new RegExp(`\\b${key}\\b`).test(line) && !/^\s*#/.test(line)) + 1;
}

interface LineDefinition {
  readonly line: number;
  readonly key: string;
  readonly value: unknown;
}

/** What lines say of variables, of INI or of a text that Jinja makes YAML of. A value in its own lines is not known. */
function inLines(text: string, keys: readonly string[]): LineDefinition[] {
  const lines = text.split("\n");
  return lines.flatMap((whole, index) =>
    keys.flatMap((key) => {
      const value = valueInLine(whole.trimEnd(), key);
      if (value === undefined) return [];
      const goesOn = value === "" && /^(\s+\S|-)/.test(lines[index + 1] ?? "");
      return [{ line: index + 1, key, value: goesOn ? "?" : literal(value) }];
    }),
  );
}

function valueInLine(line: string, key: string): string | undefined {
  if (/^\s*[#;]/.test(line)) return undefined;
  const own = new RegExp(`^["']?${key}["']?\\s*[:=]\\s*(.*?)\\s*(#.*)?$`).exec(line);
  const ofHost = new RegExp(`\\s${key}=("[^"]*"|'[^']*'|\\S*)`).exec(line);
  return own?.[1] ?? ofHost?.[1];
}

/** What a text has that is a list or dictionary in brackets; otherwise the text. */
function literal(text: string): unknown {
  const inner = text.replace(/^(["'])([[{].*)\1$/, "$2");
  if (!/^(\[|\{(?![{%#]))/.test(inner) || /\{[{%]/.test(inner)) return text;
  const yaml = readYaml(inner);
  return isRefused(yaml) ? text : inner.startsWith("[") ? yaml.list : yaml.data;
}

/** What to do with one of Kolla's own lists. */
function whereTo(key: string, value: unknown, known: readonly Pairing[], forOthers: string): string {
  if (isMadeFromMapping(value)) return `It is made from ${mapping}, which is now read automatically: remove it.`;
  if (isKnown(asPairings(value), known)) return "The inventory already contains the same: remove it.";
  const items = Array.isArray(value) ? (value as unknown[]) : [];
  const others = items.filter(isOtherDevice);
  const saysMore = items.some((item) => !isOtherDevice(item) && pairingsIn([item]) === undefined);
  const mayHaveOthers = key === lists[0] && items.length === 0;
  const mappings = mappingsOf(value);
  return [
    "Remove it, and set it in the inventory as DEVICE: PHYSICAL_NETWORK (Kolla uses the reverse order)",
    saysMore ? ", and its other keys as nova of the PF in sriov_devices" : "",
    others.length > 0
      ? `; and below [pci] of ${forOthers} what is not a NIC:\n${specsOf(others)}\nIn the inventory`
      : "",
    mayHaveOthers ? `, and what is not a NIC as device_spec below [pci] of ${forOthers}` : "",
    `${mappings === "" ? ", as in" : ""}:\n${indented(`${mapping}:\n${mappings || "  ens1f0: physnet2"}`)}`,
  ].join("");
}

function isMadeFromMapping(value: unknown): boolean {
  if (typeof value !== "string") return false;
  const expressions = [...value.matchAll(/\{[{%][\s\S]*?[%}]\}/g)].join(" ");
  return namesIn(expressions).includes(mapping);
}

/** A variable of the role as a text of YAML. */
function sourceOf(key: string, value: unknown): string {
  if (typeof value === "string") return `${key}: ${JSON.stringify(value === "?" ? "..." : value)}`;
  if (Array.isArray(value)) return `${key}:\n${value.map((item) => `  - ${JSON.stringify(item)}`).join("\n")}`;
  const entries = Object.entries(value as object);
  return `${key}:\n${entries.map(([name, network]) => `  ${plain(name)}: ${plain(String(network))}`).join("\n")}`;
}

/** Whether a list names devices without a physical network alone, by their ids or addresses. */
function isOther(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(isOtherDevice);
}

function isOtherDevice(item: unknown): boolean {
  const { physical_network: network = null } = (item ?? {}) as { [key: string]: unknown };
  return (
    typeof item === "object" &&
    item !== null &&
    network === null &&
    !("devname" in item) &&
    ("product_id" in item || "address" in item)
  );
}

/** Lines for Nova's own file, of devices that are not NICs. */
function specsOf(items: readonly unknown[]): string {
  return indented(items.map((item) => `device_spec = ${JSON.stringify(item)}`).join("\n"));
}

function asPairings(value: unknown): readonly Pairing[] | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) return pairingsIn(value);
  return Object.entries(value as { [network: string]: unknown }).map(([network, device]) => ({
    network,
    ...(typeof device === "string" ? { device } : {}),
  }));
}

/** Lines for sriov_physnet_mappings from one of Kolla's own lists; none where it does not show them. */
function mappingsOf(value: unknown): string {
  const found = Array.isArray(value) ? value.flatMap((item) => pairingsIn([bare(item)]) ?? []) : asPairings(value);
  const lines = (found ?? []).flatMap(({ device, network }) =>
    device === undefined ? [] : [`  ${plain(device)}: ${network}`],
  );
  return lines.join("\n");
}

/** An item without what else it says. */
function bare(item: unknown): unknown {
  const { devname, address, physical_network } = (item ?? {}) as { [key: string]: unknown };
  return {
    ...(devname === undefined ? {} : { devname }),
    ...(address === undefined ? {} : { address }),
    physical_network,
  };
}

function plain(text: string): string {
  return /[:{}"'#]/.test(text) ? JSON.stringify(text) : text;
}
