import { group, playbookPath } from "./artefact.js";
import { isNovas } from "./deviceOptions.js";
import { hostsMap, hostsOf, groupsOf, inventoryGroups, isHostsFile, isPartOf, mayNameHosts } from "./groups.js";
import type { Found, Inventory } from "./inventory.js";
import { truth } from "../system/ansible.js";
import { location, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { ml2Networks } from "./ml2.js";
import { networkOf, vlanRangesKey } from "./vlans.js";

// What a merge does not change, and a person should check.

/** @param inventory what the files of the inventory say of physical networks, and of PFs that Nova finds by name */
export function hintsOf(view: LayeredConfig, { networks, names }: Pick<Inventory, "networks" | "names">): string[] {
  return [
    ...withoutRange(view, networks),
    ...hiddenDevices(view),
    ...withoutHosts(view),
    ...unreadChildren(view),
    ...forEveryHost(view),
    ...placement(view, names),
    ...namesakes(view),
  ];
}

/** Physical networks without VLANs. */
function withoutRange(view: LayeredConfig, networks: readonly Found[]): string[] {
  const value = view.provider("neutron.yml", vlanRangesKey)?.yaml.data[vlanRangesKey] ?? [];
  if (!Array.isArray(value)) return [];
  const known = [...(value as unknown[]).map(networkOf), ...ml2Networks(view)];
  if (known.some((name) => typeof name === "string" && /\{[{%]/.test(name))) return [];
  const isFirst = ({ name }: Found, index: number): boolean =>
    networks.findIndex((other) => other.name === name) === index;
  return networks
    .filter((found, index) => isFirst(found, index) && !known.includes(found.name))
    .map(
      ({ name, path, line }) =>
        `${location(path, line)}: ${name} has no entry in ${vlanRangesKey}. If its networks are VLANs, run this ` +
        `again with --vlan-range ${name}:FIRST:LAST ` +
        `(or with --vlan-range ${name}, where only administrators choose the VLAN).`,
    );
}

/** A file that sets sriov_devices for a group. */
interface DeviceList {
  readonly path: string;
  readonly owner: string;
}

function deviceLists(view: LayeredConfig): DeviceList[] {
  return view.layers.flatMap((layer) => {
    const folder = `${layer}inventory/group_vars`;
    const files = view.below(folder).filter((path) => "sriov_devices" in (view.opened(path)?.data ?? {}));
    const ownerOf = (path: string): string => path.slice(folder.length + 1).split("/")[0]!;
    return files.map((path) => ({ path, owner: ownerOf(path).replace(/\.(ya?ml|json)$/, "") }));
  });
}

/** Of lists for two groups that a host is in, Ansible takes one; and the playbook runs on the hosts of one group. */
function hiddenDevices(view: LayeredConfig): string[] {
  const groups = inventoryGroups(view, view.paths());
  const lists = deviceLists(view);
  const own = lists.find(({ owner }) => owner === group);
  // A group above is there to be overridden.
  const isRelated = (owner: string): boolean =>
    ["all", group].includes(owner) || isPartOf(groups, owner, group) || isPartOf(groups, group, owner);
  const others = lists.filter(({ owner }) => !isRelated(owner));
  if (own)
    return others.map(
      ({ path, owner }) =>
        `${path} and ${own.path} both set sriov_devices, and for a host in both groups Ansible uses one list, by the ` +
        `names of the groups. Make ${owner} a child of ${group}, whose list then applies to the other hosts: ` +
        `add ${owner} below [${group}:children] in the inventory.`,
    );
  const covered = hostsOf(groups, group);
  const isCovered = (owner: string): boolean => {
    const hosts = hostsOf(groups, owner);
    return hosts.length > 0 && hosts.every((host) => covered.includes(host));
  };
  return others
    .filter(({ owner }) => groups.names.has(owner) && !isCovered(owner))
    .map(
      ({ path, owner }) =>
        `${path} sets sriov_devices for ${owner}, which is not part of ${group}, and the playbook runs only on hosts of that group: ` +
        `add ${owner} below [${group}:children] in the inventory, unless its hosts are in ${group} directly.`,
    );
}

/** A play on a group without hosts succeeds and does nothing. The command itself says so of a file that it makes. */
function withoutHosts(view: LayeredConfig): string[] {
  const groups = inventoryGroups(view);
  if (groups.dynamic || !groups.names.has(group) || hostsOf(groups, group).length > 0) return [];
  if (mayNameHosts(view, group)) return [];
  return [
    `No file of the inventory names a host for ${group}: the playbook runs only on its hosts. ` +
      `Name them there, or in ${hostsMap}.`,
  ];
}

/** Ansible reads the files by their names, and ignores a child in INI of which it has read nothing yet. */
function unreadChildren(view: LayeredConfig): string[] {
  const files = view.layers.flatMap((layer) => view.below(`${layer}inventory`).filter(isHostsFile).toSorted());
  const all = files.map((path) => ({ path, groups: groupsOf([view.textOf(path) ?? ""]) }));
  return all.flatMap(({ path, groups }, index) => {
    if (!groups.names.has(group)) return [];
    const read = all.slice(0, index + 1).flatMap((file) => [...file.groups.names]);
    const children = [...groups.children.values()].flatMap((names) => [...names]);
    return children
      .filter((name) => !read.includes(name))
      .flatMap((name) => {
        const later = all.slice(index + 1).find((file) => file.groups.names.has(name));
        if (later === undefined) return [];
        return [
          `${path} has ${name} as a child, and only ${later.path} defines it, which Ansible reads later: ` +
            `it then ignores that child, with a warning. Add a line [${name}] to ${path}.`,
        ];
      });
  });
}

/** What Kayobe gives to every host, before all that the inventory says. */
function forEveryHost(view: LayeredConfig): string[] {
  const folders = view.layers.flatMap((layer) => [`${layer}inventory/group_vars`, `${layer}inventory/host_vars`]);
  const inventory = folders.flatMap(view.below);
  return variables(view).flatMap(({ path, line, key }) => {
    if (!["sriov_devices", "sriov_physnet_mappings", "sriov_numvfs"].includes(key)) return [];
    // Faults of files with the playbook's name are reported for those files.
    if (/(^|\/)sriov\.\w+$/.test(path)) return [];
    const hidden = inventory.find((file) => key in (view.opened(file)?.data ?? {}));
    if (hidden === undefined) return [];
    return [
      `${location(path, line)}: Kayobe gives ${key} of this file to every host, and that of ${hidden} has no effect. ` +
        "Move it into the inventory.",
    ];
  });
}

/** Nova's placement knows devices by address alone. */
function placement(view: LayeredConfig, names: readonly Found[]): string[] {
  const [first] = names;
  if (!first) return [];
  const files = view.layers.flatMap((layer) =>
    view.below(`${layer}kolla/config`).filter((path) => isNovas(path.slice(layer.length))),
  );
  return files.flatMap((path) =>
    view
      .options(path)
      .entries.filter(({ section, key }) => section === "pci" && key === "report_in_placement")
      .filter(({ value }) => truth(value) === true)
      .map(
        ({ line }) =>
          `${location(path, line)}: with report_in_placement Nova refuses devices that are chosen by the name of an ` +
          `interface, as ${first.name} is in ${location(first.path, first.line)}. ` +
          "Give nova.address of the VFs there, or the address of the PF in place of its name.",
      ),
  );
}

/** Files of variables with the name of the playbook. */
function namesakes(view: LayeredConfig): string[] {
  const files = view.layers.flatMap((layer) =>
    ["yml", "yaml", "json"].map((extension) => `${layer}sriov.${extension}`),
  );
  return files
    .filter(view.has)
    .map(
      (path) =>
        `${path}: Kayobe gives its variables to every host, before those of the inventory, and there ` +
        `\`kayobe playbook run sriov.yml\` means this file. The playbook is ${playbookPath}.`,
    );
}
