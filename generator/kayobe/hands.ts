import { itemsOf, readIni } from "./ini.js";
import type { IniEntry } from "./ini.js";
import { holding, indented, inNumbers, isSealed, truth } from "./view.js";
import type { View } from "./view.js";
import { lineOfKey } from "./yaml.js";

// What somebody else's hands have set, and what would be taken beside ours, or in its place.

export const nova = "kolla/config/nova/nova-compute.conf";
export const agent = "kolla/config/neutron/sriov_agent.ini";
/** Files that nova-compute reads before ours. */
const novaAlternatives = ["kolla/config/nova.conf", "kolla/config/global.conf"];
const globals = "kolla/globals.yml";
const passThrough = "kolla_overcloud_inventory_pass_through_host_vars";
export const driver = "sriovnicswitch";

/** A sentence for each. */
export function handsOfOthers(view: View, ours: RegExp, withVlanRanges: boolean): readonly string[] {
  return [...lists(view, ours), ...extras(view), ...kollasOwn(view), ...switches(view), ...passes(view), ...ml2(view, withVlanRanges), ...environments(view, ours)];
}

export function pciOption({ section, key }: IniEntry): boolean {
  if (section === "DEFAULT") return key === "pci_passthrough_whitelist";
  return section === "pci" && (/^(device_spec|passthrough_whitelist)$/.test(key) || key.includes("nova_device_option"));
}

export function shortKey({ section, key }: IniEntry): string {
  return `[${section}] ${key.includes("{{") ? "device_spec" : key}`;
}

/** Where our list for Nova is, when the file for it cannot be read: somebody put it there by hand. */
export function novaElsewhere(view: View, ours: RegExp): string | undefined {
  if (!view.has(view.target + nova) || !isSealed(view.textOf(view.target + nova))) return undefined;
  return view.layers.flatMap((layer) => novaAlternatives.map((path) => layer + path)).find((path) => view.options(path).entries.some((entry) => pciOption(entry) && ours.test(`${entry.key} ${entry.value}`)));
}

export function isNovas(inLayer: string): boolean {
  return /^kolla\/config\/(nova\.conf|global\.conf|nova\/.*|nova_compute\/.*)$/.test(inLayer);
}

/** Options of Nova and of the agent: one list would be taken beside ours, or in its place. */
function lists(view: View, ours: RegExp): string[] {
  const elsewhere = novaElsewhere(view, ours);
  return view.layers.flatMap((layer) =>
    [...view.below(`${layer}kolla/config`)].sort().flatMap((path) => {
      const inLayer = path.slice(layer.length);
      const isNova = isNovas(inLayer);
      const isAgent = /^kolla\/config\/neutron\/([^/]+\/)?sriov_agent\.ini$/.test(inLayer);
      if (!isNova && !isAgent) return [];
      return view.options(path).entries.flatMap((entry) => {
        const isPci = isNova && pciOption(entry);
        const isMapping = isAgent && entry.section === "sriov_nic" && ["physical_device_mappings", "exclude_devices"].includes(entry.key);
        if (!isPci && !isMapping) return [];
        const home = isPci ? nova : agent;
        if ((inLayer === home || path === elsewhere) && ours.test(`${entry.key} ${entry.value}`)) return [];
        // Devices that are no NICs, such as GPUs: Nova takes several lines of one file.
        const others = isPci && !entry.value.includes("physical_network") && /["'](product_id|address)["']/.test(entry.value);
        if (others && path === view.target + home) return [];
        const where = inNumbers(path, entry.line);
        if (others) return [`${where}: what follows from sriov_devices would come in place of ${shortKey(entry)}. Move it below [pci] of ${view.target}${home}, where Nova takes both.`];
        if (isPci) return [`${where}: ${shortKey(entry)} is set by hand, and Nova would take both lists, or this one in place of what follows from sriov_devices. Move it to physical_network (and nova, for what else it says) of the PF in sriov_devices, and take it away here.`];
        return [`${where}: ${entry.key} is set by hand, and the agent would take only one of both. Move it to ${entry.key === "exclude_devices" ? "exclude_vfs" : "physical_network"} of the PF in sriov_devices, and take it away here.`];
      });
    }),
  );
}

/** Variables with text for a service, which Kayobe puts before the files for it. */
function extras(view: View): string[] {
  return variables(view).flatMap(({ path, line, key, value }) => {
    if (!/^kolla_extra_/.test(key) || typeof value !== "string") return [];
    const where = inNumbers(path, line);
    return [
      ...(/^\s*(device_spec|(pci_)?passthrough_whitelist|physical_device_mappings|exclude_devices)\s*[=:]/m.test(value) ? [`${where}: ${key} has a list of devices for Nova or for the agent, which would be one of two. Move it to physical_network of the PF in sriov_devices, and take it away here.`] : []),
      ...(/^\s*enabled_filters\s*[=:]/m.test(value) ? [`${where}: ${key} has enabled_filters, which those of kolla/config/nova.conf would replace. Move them below [filter_scheduler] of ${view.target}kolla/config/nova.conf, and run this again.`] : []),
    ];
  });
}

/** Kolla's own lists of devices. */
function kollasOwn(view: View): string[] {
  const keys = ["nova_pci_passthrough_whitelist", "neutron_sriov_physnet_mappings"];
  const sentence = (where: string, key: string, value: unknown): string =>
    `${where}: ${key} is set by hand, and the same would be said twice. Take it away, and say it in the inventory as DEVICE: PHYSICAL_NETWORK (Kolla has it the other way round):\n${indented(`sriov_physnet_mappings:\n${mappingsOf(value)}`)}`;
  const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);
  const inFiles = view.layers.flatMap((layer) => {
    const path = layer + globals;
    const text = view.textOf(path);
    const yaml = view.opened(path);
    if (yaml) return keys.flatMap((key) => (isEmpty(yaml.data[key]) ? [] : [sentence(inNumbers(path, lineOfKey(yaml, key)), key, yaml.data[key])]));
    // Jinja makes YAML of it, and only the lines can be looked at.
    if (isSealed(text)) return [];
    const lines = text!.split("\n");
    return keys.flatMap((key) =>
      lines.flatMap((line, index) => {
        const value = new RegExp(`^["']?${key}["']?\\s*:\\s*(.*?)\\s*(#.*)?$`).exec(line.trimEnd())?.[1];
        const nested = /^\s+\S|^-/.test(lines[index + 1] ?? "");
        return value === undefined || /^(\[\s*\]|\{\s*\}|null|~)$/.test(value) || (value === "" && !nested) ? [] : [sentence(inNumbers(path, index + 1), key, undefined)];
      }),
    );
  });
  const inExtras = extraGlobals(view).flatMap(({ where, data }) => keys.flatMap((key) => (isEmpty(data[key]) ? [] : [sentence(where, key, data[key])])));
  return [...inFiles, ...inExtras];
}

/** Kolla's own switch, before which Kayobe's counts nothing. */
function switches(view: View): string[] {
  const key = "enable_neutron_sriov";
  const sentence = (where: string, what: string): string => `${where}: ${what} turns Neutron's SR-IOV agent off, whatever kolla_enable_neutron_sriov says. Take it away there.`;
  const found = view.provider(globals, key);
  return [
    ...(found && truth(found.yaml.data[key]) === false ? [sentence(inNumbers(found.path, lineOfKey(found.yaml, key)), key)] : []),
    ...extraGlobals(view).flatMap(({ where, data }) => (key in data && truth(data[key]) === false ? [sentence(where, key)] : [])),
  ];
}

/** The whole list of what is passed through, in which the one for more has no place. */
function passes(view: View): string[] {
  const inGroups = view.layers.flatMap((layer) => view.below(`${layer}inventory/group_vars`)).flatMap((path) => {
    const yaml = view.opened(path);
    return yaml && passThrough in yaml.data ? [{ path, yaml }] : [];
  });
  const found = view.provider("kolla.yml", passThrough) ?? inGroups.at(-1);
  const value = found?.yaml.data[passThrough];
  if (!found || value === null) return [];
  const has = Array.isArray(value) ? value.includes("sriov_openstack") : typeof value === "string" && (value.includes("sriov_openstack") || value.includes(`${passThrough}_extra`));
  return has ? [] : [`${inNumbers(found.path, lineOfKey(found.yaml, passThrough))}: ${passThrough} is set as a whole, without sriov_openstack, and Kayobe does not look at ${passThrough}_extra then. Add there by hand: "sriov_openstack". Or say in ${passThrough}_extra what you added, and take this away.`];
}

/** Options of ML2 that come after what Kolla makes of neutron.yml. */
function ml2(view: View, withVlanRanges: boolean): string[] {
  const noDriver = (where: string, value: string): string => `${where}: mechanism_drivers comes in place of Kolla's list, and has no ${driver}. Add it by hand: mechanism_drivers = ${value.replaceAll("\n", " ").replace(/,\s*$/, "")}, ${driver}`;
  const noEffect = (where: string): string => `${where}: network_vlan_ranges comes in place of what --vlan-range would set. Add the range there by hand, and leave --vlan-range out.`;
  const faults = (where: string, entry: IniEntry): string[] =>
    entry.section === "ml2" && entry.key === "mechanism_drivers" && !entry.value.includes(driver) ? [noDriver(where, entry.value)] : entry.section === "ml2_type_vlan" && entry.key === "network_vlan_ranges" && withVlanRanges ? [noEffect(where)] : [];
  return [
    ...ml2Files(view).flatMap((path) => [...holding(view, path, "ml2", "mechanism_drivers"), ...holding(view, path, "ml2_type_vlan", "network_vlan_ranges")].flatMap((one) => faults(inNumbers(one.path, one.entry.line), one.entry))),
    ...ml2Extras(view).flatMap(({ where, entries }) => entries.flatMap((entry) => faults(where, entry))),
  ];
}

function ml2Files(view: View): string[] {
  const all = view.layers.flatMap((layer) => view.below(`${layer}kolla/config/neutron`).map((path) => path.slice(layer.length)));
  return [...new Set(all)].filter((path) => /^kolla\/config\/neutron\/([^/]+\/)?ml2_conf\.ini$/.test(path)).sort();
}

function ml2Extras(view: View): { where: string; entries: readonly IniEntry[] }[] {
  return variables(view).flatMap(({ path, line, key, value }) => (/^kolla_extra_neutron_ml2/.test(key) && typeof value === "string" ? [{ where: inNumbers(path, line), entries: readIni(value).entries }] : []));
}

/** Physical networks that options of ML2 give VLANs to, and pieces of expressions that may give them to any. */
export function ml2Networks(view: View): readonly string[] {
  const entries = [...ml2Files(view).flatMap((path) => holding(view, path, "ml2_type_vlan", "network_vlan_ranges").map(({ entry }) => entry)), ...ml2Extras(view).flatMap((extra) => extra.entries.filter(({ section, key }) => section === "ml2_type_vlan" && key === "network_vlan_ranges"))];
  return entries.flatMap((entry) => itemsOf(entry).map((item) => item.split(":")[0]!));
}

/** Our lists in an environment, when they are about to come into its base. */
function environments(view: View, ours: RegExp): string[] {
  if (view.target !== "") return [];
  const other = view.paths().find((path) => /^environments\/[^/]+\/kolla\/config\/nova\/nova-compute\.conf$/.test(path) && view.options(path).entries.some((entry) => pciOption(entry) && ours.test(`${entry.key} ${entry.value}`)));
  return other ? [`${other} has it already, and Kayobe joins the files of an environment and of its base: Nova would have everything twice. Delete that part there, or run this with --environment ${other.split("/")[1]}.`] : [];
}

/** What variables of Kayobe hold; of one that comes twice, the last. */
function variables(view: View): { path: string; line: number; key: string; value: unknown }[] {
  return view.layers.flatMap((layer) =>
    view.variableFiles(layer, "kolla.yml").flatMap((path) => {
      const yaml = view.opened(path);
      return yaml ? Object.entries(yaml.data).map(([key, value]) => ({ path, line: lineOfKey(yaml, key), key, value })) : [];
    }),
  );
}

function extraGlobals(view: View): { where: string; data: { readonly [key: string]: unknown } }[] {
  return variables(view).flatMap(({ path, line, key, value }) => (key === "kolla_extra_globals" && typeof value === "object" && value !== null ? [{ where: `${inNumbers(path, line)}: kolla_extra_globals`, data: value as { readonly [key: string]: unknown } }] : []));
}

/** Lines for sriov_physnet_mappings from one of Kolla's own lists. */
function mappingsOf(value: unknown): string {
  const pairs =
    typeof value !== "object" || value === null
      ? []
      : Array.isArray(value)
        ? (value as unknown[]).map((item) => {
            const { devname, address, physical_network } = (item ?? {}) as { [key: string]: unknown };
            return [devname ?? address, physical_network];
          })
        : Object.entries(value).map(([network, device]) => [device, network]);
  const lines = pairs.filter(([device, network]) => typeof device === "string" && typeof network === "string").map(([device, network]) => `  ${String(device).includes(":") ? JSON.stringify(device) : String(device)}: ${String(network)}`);
  return lines.length > 0 ? lines.join("\n") : "  ens1f0: physnet2";
}
