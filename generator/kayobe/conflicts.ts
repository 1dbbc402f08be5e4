import { hostOf, kindOf, readsMapping } from "./devices.js";
import { groupsOf, hostsOf } from "./groups.js";
import { itemsOf, readIni } from "./ini.js";
import type { Ini, IniEntry } from "./ini.js";
import { isHostsFile } from "./inventory.js";
import { joiningOf, layersFor } from "./joining.js";
import { isKnown, pairingsOf } from "./pairings.js";
import type { Pairing } from "./pairings.js";
import { extraGlobals, globals, kollaVariables } from "./kollas.js";
import { optionSources, location, isSealed, truth, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { lineOfKey } from "./yaml.js";

// What somebody else's hands have set, and what would be taken beside ours, or in its place.

export const nova = "kolla/config/nova/nova-compute.conf";
export const agent = "kolla/config/neutron/sriov_agent.ini";
/** Files that nova-compute reads before ours. */
const novaAlternatives = ["kolla/config/nova.conf", "kolla/config/global.conf"];
const group = "compute_sriov";
const passThrough = "kolla_overcloud_inventory_pass_through_host_vars";
export const driver = "sriovnicswitch";

export interface Conflicts {
  /** A sentence for each. */
  readonly refusals: readonly string[];
  readonly hints: readonly string[];
}

/**
 * @param ours what a value of ours has in it
 * @param kollas Kolla's own variables that kolla/globals.yml sets for every host
 * @param known the physical networks that the inventory names
 */
export function conflicts(view: LayeredConfig, ours: RegExp, withVlanRanges: boolean, kollas: readonly string[], known: readonly Pairing[]): Conflicts {
  const devices = lists(view, ours, known);
  const variablesOfKolla = kollaVariables(view, kollas, known);
  return {
    refusals: [...devices.refusals, ...extras(view), ...variablesOfKolla.refusals, ...switches(view), ...passes(view), ...ml2(view, withVlanRanges), ...environments(view, ours)],
    hints: [...devices.hints, ...variablesOfKolla.hints],
  };
}

export function pciOption({ section, key }: IniEntry): boolean {
  if (section === "DEFAULT") return key === "pci_passthrough_whitelist";
  return section === "pci" && (/^(device_spec|passthrough_whitelist)$/.test(key) || key.includes("nova_device_option"));
}

export function shortKey({ section, key }: IniEntry): string {
  return `[${section}] ${key.includes("{{") ? "device_spec" : key}`;
}

/** Where our list for Nova is, when the file for it cannot be read: somebody put it there by hand. */
export function novaElsewhere(view: LayeredConfig, ours: RegExp): string | undefined {
  if (!view.has(view.target + nova) || !isSealed(view.textOf(view.target + nova))) return undefined;
  return view.layers.flatMap((layer) => novaAlternatives.map((path) => layer + path)).find((path) => view.options(path).entries.some((entry) => pciOption(entry) && ours.test(`${entry.key} ${entry.value}`)));
}

export function isNovas(inLayer: string): boolean {
  return /^kolla\/config\/(nova\.conf|global\.conf|nova\/(nova-compute\.conf|[^/]+\/(nova|nova-compute)\.conf)|nova_compute\/.*)$/.test(inLayer);
}

/** Options that name devices, in a file that nova-compute or the agent reads. */
export function isDeviceOption(inLayer: string, entry: IniEntry): boolean {
  if (isNovas(inLayer)) return pciOption(entry);
  return /^kolla\/config\/neutron\/([^/]+\/)?sriov_agent\.ini$/.test(inLayer) && entry.section === "sriov_nic" && ["physical_device_mappings", "exclude_devices"].includes(entry.key);
}

/** Options of Nova and of the agent: one list would be taken beside ours, or in its place. */
function lists(view: LayeredConfig, ours: RegExp, known: readonly Pairing[]): Conflicts {
  const refusals: string[] = [];
  const hints: string[] = [];
  const elsewhere = novaElsewhere(view, ours);
  const isOurs = (entry: IniEntry): boolean => ours.test(`${entry.key} ${entry.value}`);
  const homeLayer = layersFor(view, nova).find((layer) => view.options(layer + nova).entries.some((entry) => pciOption(entry) && isOurs(entry))) ?? view.target;
  for (const layer of view.layers)
    for (const path of view.once(view.below(`${layer}kolla/config`))) {
      const inLayer = path.slice(layer.length);
      if (!layersFor(view, inLayer).includes(layer)) continue;
      const ini = view.options(path);
      for (const entry of ini.entries) {
        if (!isDeviceOption(inLayer, entry)) continue;
        const home = isNovas(inLayer) ? nova : agent;
        if ((inLayer === home || path === elsewhere) && isOurs(entry)) continue;
        const found = deviceFault(view, { layer, path, inLayer, ini, entry, homeLayer }, known);
        if (found.refusal !== undefined) refusals.push(found.refusal);
        else if (found.hint !== undefined) hints.push(found.hint);
      }
    }
  return { refusals, hints };
}

interface Place {
  readonly layer: string;
  readonly path: string;
  readonly inLayer: string;
  readonly ini: Ini;
  readonly entry: IniEntry;
  /** The layer whose file for nova-compute has what follows from sriov_devices. */
  readonly homeLayer: string;
}

/** What is wrong with an option with devices that is not ours. */
function deviceFault(view: LayeredConfig, place: Place, known: readonly Pairing[]): { readonly refusal?: string; readonly hint?: string } {
  const { path, inLayer, ini, entry, layer } = place;
  const where = location(path, entry.line);
  const kind = kindOf(view, ini, entry);
  const isPci = isNovas(inLayer);
  const forHost = /^kolla\/config\/(nova|neutron)\/[^/]+\//.test(inLayer);
  if (kind === "nothing") return forHost && (!isPci || entry.key === "device_spec") ? { refusal: `${where}: ${shortKey(entry)} is empty, and comes on ${hostOf(inLayer)} in place of what follows from sriov_devices. Take it away here.` } : {};
  if (kind === "snippet") return view.isTargets(path) ? {} : { refusal: `${where}: ${shortKey(entry)} says what follows from sriov_physnet_mappings by itself now. Run sriov-role kayobe for that layer first, which replaces it, ${layer === "" ? "without --environment" : `with --environment ${layer.split("/")[1]}`}.` };
  if (kind === "other" || kind === "unknown") {
    const refusal = otherDevices(view, place, where);
    if (refusal !== undefined) return forHost && isOutside(view, hostOf(inLayer)) ? { hint: `${where}: ${hostOf(inLayer)} is not in ${group}. Before it is: ${refusal.slice(where.length + 2)}` } : { refusal };
    return kind === "other" ? {} : { hint: `${where}: what ${shortKey(entry)} names is not known here. Devices of other kinds than NICs may stay. A NIC must go: move it to physical_network of the PF in sriov_devices.` };
  }
  if (readsMapping(ini, entry)) return { refusal: `${where}: ${shortKey(entry)} is made from sriov_physnet_mappings, which is read from the inventory now, and ${isPci ? "Nova would take both lists" : "the agent would take only one of both"}. Take it away here; what it says besides goes to ${isPci ? "nova" : entry.key === "exclude_devices" ? "exclude_vfs" : "physical_network"} of the PF in sriov_devices.` };
  if (isKnown(pairingsOf(entry), known)) return { refusal: `${where}: ${shortKey(entry)} is set by hand, and the inventory says the same already. Take it away here.` };
  if (isPci) return { refusal: `${where}: ${shortKey(entry)} is set by hand, and Nova would take both lists, or this one in place of what follows from sriov_devices. Move it to physical_network (and nova, for what else it says) of the PF in sriov_devices, and take it away here. A device that is no NIC is named by its product_id or address, and stands below [pci] of ${view.target}${nova}.` };
  return { refusal: `${where}: ${entry.key} is set by hand, and the agent would take only one of both. Move it to ${entry.key === "exclude_devices" ? "exclude_vfs" : "physical_network"} of the PF in sriov_devices, and take it away here.` };
}

/** Whether the inventory names a host, and not for the group, whose hosts are all known. */
function isOutside(view: LayeredConfig, host: string): boolean {
  const groups = groupsOf(view.layers.flatMap((layer) => view.below(`${layer}inventory`)).filter(isHostsFile).map((path) => view.textOf(path) ?? ""));
  const inGroup = hostsOf(groups, group);
  const isNamed = [...groups.hosts.values()].some((hosts) => hosts.has(host));
  if (groups.dynamic || !isNamed || inGroup.length === 0 || inGroup.some((name) => name === host || name.includes("["))) return false;
  return !variables(view).some(({ key, value }) => key === "overcloud_group_hosts_map" && (typeof value === "string" || JSON.stringify(value).includes(group)));
}

/** Devices of other kinds, such as GPUs: Nova takes several lines of one file, and of two files the last one's. */
function otherDevices(view: LayeredConfig, { path, inLayer, entry, layer, homeLayer }: Place, where: string): string | undefined {
  // Of the option's names of before, Nova takes what is there as well.
  if (!shortKey(entry).endsWith("device_spec")) return undefined;
  const home = (joiningOf(view, nova) === "joined" ? layer : view.target) + nova;
  if (/^kolla\/config\/nova\/[^/]+\//.test(inLayer)) return `${where}: ${shortKey(entry)} comes on ${hostOf(inLayer)} in place of what follows from sriov_devices. Move it below [pci] of ${home}, where Nova takes both, under a condition for the host, within {% raw %} and {% endraw %}: {% if inventory_hostname == '${hostOf(inLayer)}' %}`;
  if (inLayer !== nova) return `${where}: what follows from sriov_devices would come in place of ${shortKey(entry)}. Move it below [pci] of ${home}, where Nova takes both.`;
  if (layer === homeLayer || (view.isTargets(path) && homeLayer === view.target) || joiningOf(view, nova) !== "merged") return undefined;
  const [hidden, last] = view.layers.indexOf(layer) < view.layers.indexOf(homeLayer) ? [path, homeLayer + nova] : [homeLayer + nova, path];
  return `${where}: Kayobe merges the files of an environment and of its base here (merge_configs), and [pci] device_spec of ${last} comes in place of that of ${hidden}. Say both in one of them: copy this one below [pci] of ${homeLayer + nova}, and take it away here.`;
}

/** Variables with text for a service, which Kayobe puts before the files for it. */
function extras(view: LayeredConfig): string[] {
  return variables(view).flatMap(({ path, line, key, value }) => {
    if (!/^kolla_extra_/.test(key) || typeof value !== "string") return [];
    const where = location(path, line);
    return [
      ...(namesNics(view, value) ? [`${where}: ${key} has a list of devices for Nova or for the agent, which would be one of two. Move it to physical_network of the PF in sriov_devices, and take it away here.`] : []),
      ...(/^\s*enabled_filters\s*[=:]/m.test(value) ? [`${where}: ${key} has enabled_filters, which those of kolla/config/nova.conf would replace. Move them below [filter_scheduler] of ${view.target}kolla/config/nova.conf, and run this again.`] : []),
    ];
  });
}

/** Whether a text for a service has a list with NICs, or one in whose place ours would come. */
function namesNics(view: LayeredConfig, text: string): boolean {
  const ini = readIni(text);
  const named = ini.entries.filter((entry) => pciOption(entry) || ["physical_device_mappings", "exclude_devices"].includes(entry.key));
  return named.some((entry) => {
    const kind = kindOf(view, ini, entry);
    return kind !== "nothing" && (!["other", "unknown"].includes(kind) || entry.key === "device_spec");
  });
}

/** Kolla's own switch, before which Kayobe's counts nothing. */
function switches(view: LayeredConfig): string[] {
  const key = "enable_neutron_sriov";
  const sentence = (where: string, what: string): string => `${where}: ${what} turns Neutron's SR-IOV agent off, whatever kolla_enable_neutron_sriov says. Take it away there.`;
  const found = view.provider(globals, key);
  return [
    ...(found && truth(found.yaml.data[key]) === false ? [sentence(location(found.path, lineOfKey(found.yaml, key)), key)] : []),
    ...extraGlobals(view).flatMap(({ where, data }) => (key in data && truth(data[key]) === false ? [sentence(where, key)] : [])),
  ];
}

/** The whole list of what is passed through, in which the one for more has no place. */
function passes(view: LayeredConfig): string[] {
  const inGroups = view.layers.flatMap((layer) => view.below(`${layer}inventory/group_vars`)).flatMap((path) => {
    const yaml = view.opened(path);
    return yaml && passThrough in yaml.data ? [{ path, yaml }] : [];
  });
  const found = view.provider("kolla.yml", passThrough) ?? inGroups.at(-1);
  const value = found?.yaml.data[passThrough];
  if (!found || value === null) return [];
  const has = Array.isArray(value) ? value.includes("sriov_openstack") : typeof value === "string" && (value.includes("sriov_openstack") || value.includes(`${passThrough}_extra`));
  return has ? [] : [`${location(found.path, lineOfKey(found.yaml, passThrough))}: ${passThrough} is set as a whole, without sriov_openstack, and Kayobe does not look at ${passThrough}_extra then. Add there by hand: "sriov_openstack". Or say in ${passThrough}_extra what you added, and take this away.`];
}

/** Options of ML2 that come after what Kolla makes of neutron.yml. */
function ml2(view: LayeredConfig, withVlanRanges: boolean): string[] {
  const noDriver = (where: string, value: string): string => `${where}: mechanism_drivers comes in place of Kolla's list, and has no ${driver}. Add it by hand: mechanism_drivers = ${value.replaceAll("\n", " ").replace(/,\s*$/, "")}, ${driver}`;
  const noEffect = (where: string): string => `${where}: network_vlan_ranges comes in place of what --vlan-range would set. Add the range there by hand, and leave --vlan-range out.`;
  const faults = (where: string, entry: IniEntry): string[] =>
    entry.section === "ml2" && entry.key === "mechanism_drivers" && !entry.value.includes(driver) ? [noDriver(where, entry.value)] : entry.section === "ml2_type_vlan" && entry.key === "network_vlan_ranges" && withVlanRanges ? [noEffect(where)] : [];
  return [
    ...ml2Files(view).flatMap((path) => [...optionSources(view, path, "ml2", "mechanism_drivers"), ...optionSources(view, path, "ml2_type_vlan", "network_vlan_ranges")].flatMap((one) => faults(location(one.path, one.entry.line), one.entry))),
    ...ml2Extras(view).flatMap(({ where, entries }) => entries.flatMap((entry) => faults(where, entry))),
  ];
}

function ml2Files(view: LayeredConfig): string[] {
  const all = view.layers.flatMap((layer) => view.below(`${layer}kolla/config/neutron`).map((path) => path.slice(layer.length)));
  return [...new Set(all)].filter((path) => /^kolla\/config\/neutron\/([^/]+\/)?ml2_conf\.ini$/.test(path)).sort();
}

function ml2Extras(view: LayeredConfig): { where: string; entries: readonly IniEntry[] }[] {
  return variables(view).flatMap(({ path, line, key, value }) => (/^kolla_extra_neutron_ml2/.test(key) && typeof value === "string" ? [{ where: location(path, line), entries: readIni(value).entries }] : []));
}

/** Physical networks that options of ML2 give VLANs to, and pieces of expressions that may give them to any. */
export function ml2Networks(view: LayeredConfig): readonly string[] {
  const entries = [...ml2Files(view).flatMap((path) => optionSources(view, path, "ml2_type_vlan", "network_vlan_ranges").map(({ entry }) => entry)), ...ml2Extras(view).flatMap((extra) => extra.entries.filter(({ section, key }) => section === "ml2_type_vlan" && key === "network_vlan_ranges"))];
  return entries.flatMap((entry) => itemsOf(entry).map((item) => item.split(":")[0]!));
}

/** Our lists in an environment, when they are about to come into its base. */
function environments(view: LayeredConfig, ours: RegExp): string[] {
  if (view.target !== "" || joiningOf(view, nova) !== "joined") return [];
  const other = view.paths().find((path) => view.homeOf(path) !== nova && /^environments\/[^/]+\/kolla\/config\/nova\/nova-compute\.conf$/.test(path) && view.options(path).entries.some((entry) => pciOption(entry) && ours.test(`${entry.key} ${entry.value}`)));
  return other ? [`${other} has it already, and Kayobe joins the files of an environment and of its base: Nova would have everything twice. Delete that part there, or run this with --environment ${other.split("/")[1]}.`] : [];
}
