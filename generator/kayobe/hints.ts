import { groupsOf, hostsOf, isPartOf } from "./groups.js";
import type { Groups } from "./groups.js";
import { isHostsFile } from "./inventory.js";
import type { PhysicalNetwork } from "./inventory.js";
import { isNovas, ml2Networks } from "./conflicts.js";
import { location, truth, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";

// What a run does not change, and somebody should look at.

export interface Found extends PhysicalNetwork {
  readonly path: string;
}

export const ranges = "kolla_neutron_ml2_network_vlan_ranges";

/** @param names PFs that Nova is told by the name of the interface */
export function hintsOf(view: LayeredConfig, group: string, playbook: string, networks: readonly Found[], names: readonly Found[]): readonly string[] {
  return [...withoutRange(view, networks), ...hiddenDevices(view, group), ...withoutHosts(view, group), ...unreadChildren(view, group), ...forEveryHost(view), ...placement(view, names), ...namesakes(view, playbook)];
}

export function networkOf(item: unknown): unknown {
  return typeof item === "object" && item !== null && "physical_network" in item ? item.physical_network : undefined;
}

function withoutRange(view: LayeredConfig, networks: readonly Found[]): string[] {
  const value = view.provider("neutron.yml", ranges)?.yaml.data[ranges];
  if (value !== undefined && value !== null && !Array.isArray(value)) return [];
  const known = [...((value as unknown[] | undefined | null) ?? []).map(networkOf), ...ml2Networks(view)];
  if (known.some((name) => typeof name === "string" && /\{[{%]/.test(name))) return [];
  const first = networks.filter(({ name }, index) => networks.findIndex((other) => other.name === name) === index);
  return first
    .filter(({ name }) => !known.includes(name))
    .map(({ name, path, line }) => `${location(path, line)}: ${name} has no entry in ${ranges}. If its networks are VLANs, run this again with --vlan-range ${name}:FIRST:LAST (or with --vlan-range ${name}, where only administrators choose the VLAN).`);
}

/** @param paths those that are looked at, of files that are there and of those that are made */
function inventoryGroups(view: LayeredConfig, paths: readonly string[]): Groups {
  const folders = view.layers.map((layer) => `${layer}inventory/`);
  return groupsOf(paths.filter((path) => folders.some((folder) => path.startsWith(folder)) && isHostsFile(path)).map((path) => view.textOf(path) ?? ""));
}

/** Of lists for two groups that a host is in, Ansible takes one; and the playbook runs on the hosts of one group. */
function hiddenDevices(view: LayeredConfig, group: string): string[] {
  const groups = inventoryGroups(view, view.paths());
  const lists = view.layers.flatMap((layer) =>
    view.below(`${layer}inventory/group_vars`).flatMap((path) => {
      const owner = path.slice(`${layer}inventory/group_vars/`.length).split("/")[0]!.replace(/\.(ya?ml|json)$/, "");
      return "sriov_devices" in (view.opened(path)?.data ?? {}) ? [{ path, owner }] : [];
    }),
  );
  const own = lists.find(({ owner }) => owner === group);
  // A group above is meant to be overridden.
  const others = lists.filter(({ owner }) => owner !== group && owner !== "all" && !isPartOf(groups, owner, group) && !isPartOf(groups, group, owner));
  if (own) return others.map(({ path, owner }) => `${path} and ${own.path} both set sriov_devices, and of a host in both groups Ansible takes one list, by the names of the groups. Make ${owner} a child of ${group}, whose list then counts for the other hosts: add ${owner} below [${group}:children] in the inventory.`);
  const covered = hostsOf(groups, group);
  const outside = others.filter(({ owner }) => groups.names.has(owner) && !(hostsOf(groups, owner).length > 0 && hostsOf(groups, owner).every((host) => covered.includes(host))));
  return outside.map(({ path, owner }) => `${path} sets sriov_devices for ${owner}, which is no part of ${group}, on whose hosts the playbook runs: add ${owner} below [${group}:children] in the inventory, unless its hosts are in ${group} by themselves.`);
}

/** A play on a group without hosts ends well, and has done nothing. Of a file that is just made, that is said elsewhere. */
function withoutHosts(view: LayeredConfig, group: string): string[] {
  const groups = inventoryGroups(view, view.layers.flatMap((layer) => view.below(`${layer}inventory`)));
  if (groups.dynamic || !groups.names.has(group) || hostsOf(groups, group).length > 0) return [];
  const map = "overcloud_group_hosts_map";
  // Of an expression only Ansible knows.
  if (variables(view).some(({ key, value }) => key === map && (typeof value === "string" || JSON.stringify(value).includes(group)))) return [];
  return [`No file of the inventory names a host for ${group}: the playbook runs on its hosts alone. Name them there, or in ${map}.`];
}

/** Ansible reads the files by their names, and passes over a child in INI of which it has read nothing yet. */
function unreadChildren(view: LayeredConfig, group: string): string[] {
  const files = view.layers.flatMap((layer) => view.below(`${layer}inventory`).filter(isHostsFile).toSorted());
  const all = files.map((path) => ({ path, groups: groupsOf([view.textOf(path) ?? ""]) }));
  return all.flatMap(({ path, groups }, index) => {
    if (!groups.names.has(group)) return [];
    const read = all.slice(0, index + 1).flatMap((file) => [...file.groups.names]);
    const children = [...groups.children.values()].flatMap((names) => [...names]).filter((name) => !read.includes(name));
    return children.flatMap((name) => {
      const later = all.slice(index + 1).find((file) => file.groups.names.has(name));
      return later === undefined ? [] : [`${path} has ${name} as a child, and only ${later.path} defines it, which Ansible reads later: then it passes over that child, with a warning. Add a line [${name}] to ${path}.`];
    });
  });
}

/** What Kayobe gives to every host, before all that the inventory says. */
function forEveryHost(view: LayeredConfig): string[] {
  const inventory = view.layers.flatMap((layer) => ["group_vars", "host_vars"].flatMap((folder) => view.below(`${layer}inventory/${folder}`)));
  return variables(view).flatMap(({ path, line, key }) => {
    // What is wrong with files of the playbook's name is said of them.
    if (!["sriov_devices", "sriov_physnet_mappings", "sriov_numvfs"].includes(key) || /(^|\/)sriov\.\w+$/.test(path)) return [];
    const hidden = inventory.find((file) => key in (view.opened(file)?.data ?? {}));
    return hidden === undefined ? [] : [`${location(path, line)}: Kayobe gives ${key} of this file to every host, and that of ${hidden} has no effect. Move it into the inventory.`];
  });
}

/** Nova's placement knows devices by address alone. */
function placement(view: LayeredConfig, names: readonly Found[]): string[] {
  const [first] = names;
  if (!first) return [];
  return view.layers.flatMap((layer) =>
    view.below(`${layer}kolla/config`).filter((path) => isNovas(path.slice(layer.length))).flatMap((path) =>
      view.options(path).entries
        .filter(({ section, key, value }) => section === "pci" && key === "report_in_placement" && truth(value) === true)
        .map(({ line }) => `${location(path, line)}: with report_in_placement Nova refuses devices that are chosen by the name of an interface, as ${first.name} is in ${location(first.path, first.line)}. Give nova.address of the VFs there, or the address of the PF in place of its name.`),
    ),
  );
}

function namesakes(view: LayeredConfig, playbook: string): string[] {
  return view.layers.flatMap((layer) =>
    ["yml", "yaml", "json"].filter((extension) => view.has(`${layer}sriov.${extension}`)).map((extension) => `${layer}sriov.${extension}: Kayobe gives its variables to every host, before those of the inventory, and there \`kayobe playbook run sriov.yml\` means this file. The playbook is ${playbook}.`),
  );
}
