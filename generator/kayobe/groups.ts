import { isVaulted } from "../system/ansible.js";
import { variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { isRefused, readYaml } from "./yaml.js";

// Groups and hosts, as files of an inventory folder say them. What a script or a plugin says, only Ansible knows.

/** Kayobe's variable that names hosts for groups. */
export const hostsMap = "overcloud_group_hosts_map";

export interface Groups {
  readonly names: ReadonlySet<string>;
  /** Children by their parent. */
  readonly children: ReadonlyMap<string, ReadonlySet<string>>;
  /** Hosts by the group that they are named for. */
  readonly hosts: ReadonlyMap<string, ReadonlySet<string>>;
  /** Whether a script or a plugin is among them, which may say more. */
  readonly dynamic: boolean;
}

/**
 * Whether Ansible looks for hosts and groups in a file of an inventory folder. Before ansible-core 2.19 it passed over
 * files with .ini, so no Kayobe may count on these.
 */
export function isHostsFile(path: string): boolean {
  const passedOver = /(\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|ini|cfg|retry)|~)$/;
  return !/\/(group|host)_vars\//.test(path) && !passedOver.test(path);
}

/**
 * The groups that files of the inventory define.
 *
 * @param paths the files to look at, as far as they belong to the inventory; by default those that were found
 */
export function inventoryGroups(view: LayeredConfig, paths: readonly string[] = inventoryFiles(view)): Groups {
  const folders = view.layers.map((layer) => `${layer}inventory/`);
  const those = paths.filter((path) => folders.some((folder) => path.startsWith(folder)) && isHostsFile(path));
  return groupsOf(those.map((path) => view.textOf(path) ?? ""));
}

function inventoryFiles(view: LayeredConfig): readonly string[] {
  return view.layers.flatMap((layer) => view.below(`${layer}inventory`));
}

/** Whether a variable of Kayobe may name hosts for a group; of an expression only Ansible knows. */
export function mayNameHosts(view: LayeredConfig, group: string): boolean {
  const maps = variables(view).filter(({ key }) => key === hostsMap);
  return maps.some(({ value }) => typeof value === "string" || JSON.stringify(value).includes(group));
}

/** @param texts of files in which Ansible looks for hosts and groups */
export function groupsOf(texts: readonly string[]): Groups {
  const names = new Set<string>();
  const children = new Map<string, Set<string>>();
  const hosts = new Map<string, Set<string>>();
  let dynamic = false;
  const child = (parent: string, name: string): void => {
    names.add(parent);
    children.set(parent, (children.get(parent) ?? new Set()).add(name));
  };
  const host = (group: string, name: string): void => void hosts.set(group, (hosts.get(group) ?? new Set()).add(name));
  const inYaml = (group: string, body: unknown): void => {
    names.add(group);
    const { hosts: named, children: below } = isMapping(body) ? body : {};
    for (const name of isMapping(named) ? Object.keys(named) : [named].flat().filter((one) => typeof one === "string"))
      host(group, name);
    for (const [name, more] of Object.entries(isMapping(below) ? below : {})) {
      child(group, name);
      inYaml(name, more);
    }
  };
  for (const text of texts) {
    const yaml = readYaml(text);
    if (text.startsWith("#!") || isVaulted(text) || (!isRefused(yaml) && "plugin" in yaml.data)) dynamic = true;
    else if (!isRefused(yaml) && Object.keys(yaml.data).length > 0)
      for (const [group, body] of Object.entries(yaml.data)) inYaml(group, body);
    else inIni(text);
  }
  return { names, children, hosts, dynamic };

  function inIni(text: string): void {
    let group = "ungrouped";
    let kind: string | undefined;
    for (const line of text.split("\n").map((whole) => whole.replace(/(^|\s)[#;].*$/, "").trim())) {
      const heading = /^\[([^\]:]+)(?::(\w+))?\]$/.exec(line);
      if (heading) {
        [, group = "", kind] = heading;
        if (kind !== "vars") names.add(group);
      } else if (line !== "" && kind === "children") child(group, line);
      else if (line !== "" && kind === undefined) host(group, line.split(/\s/)[0]!);
    }
  }
}

/** Whether a group is part of another one, by way of others too. */
export function isPartOf(
  { children }: Pick<Groups, "children">,
  group: string,
  parent: string,
  way: readonly string[] = [],
): boolean {
  const below = [...(children.get(parent) ?? [])].filter((name) => !way.includes(name));
  return below.includes(group) || below.some((name) => isPartOf({ children }, group, name, [...way, name]));
}

/** The hosts of a group and of its children. */
export function hostsOf(groups: Groups, group: string): readonly string[] {
  return [...groups.hosts].flatMap(([name, hosts]) =>
    name === group || isPartOf(groups, name, group) ? [...hosts] : [],
  );
}

function isMapping(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
