import { isRefused, readYaml } from "./yaml.js";

// Groups and hosts, as files of an inventory folder say them. What a script or a plugin says, only Ansible knows.

export interface Groups {
  readonly names: ReadonlySet<string>;
  /** Children by their parent. */
  readonly children: ReadonlyMap<string, ReadonlySet<string>>;
  /** Groups that hosts are named for. */
  readonly withHosts: ReadonlySet<string>;
  /** Whether a script or a plugin is among them, which may say more. */
  readonly dynamic: boolean;
}

/** @param texts of files in which Ansible looks for hosts and groups */
export function groupsOf(texts: readonly string[]): Groups {
  const names = new Set<string>();
  const children = new Map<string, Set<string>>();
  const withHosts = new Set<string>();
  let dynamic = false;
  const child = (parent: string, name: string): void => {
    names.add(parent);
    children.set(parent, (children.get(parent) ?? new Set()).add(name));
  };
  const inYaml = (group: string, body: unknown): void => {
    names.add(group);
    const { hosts, children: below } = isMapping(body) ? body : {};
    if (typeof hosts === "string" || (isMapping(hosts) && Object.keys(hosts).length > 0)) withHosts.add(group);
    for (const [name, more] of Object.entries(isMapping(below) ? below : {})) {
      child(group, name);
      inYaml(name, more);
    }
  };
  for (const text of texts) {
    const yaml = readYaml(text);
    if (/^(#!|\$ANSIBLE_VAULT)/.test(text) || (!isRefused(yaml) && "plugin" in yaml.data)) dynamic = true;
    else if (!isRefused(yaml) && Object.keys(yaml.data).length > 0) for (const [group, body] of Object.entries(yaml.data)) inYaml(group, body);
    else inIni(text);
  }
  return { names, children, withHosts, dynamic };

  function inIni(text: string): void {
    let group = "ungrouped";
    let kind: string | undefined;
    for (const line of text.split("\n").map((whole) => whole.replace(/(^|\s)[#;].*$/, "").trim())) {
      const heading = /^\[([^\]:]+)(?::(\w+))?\]$/.exec(line);
      if (heading) {
        [, group = "", kind] = heading;
        if (kind !== "vars") names.add(group);
      } else if (line !== "" && kind === "children") child(group, line);
      else if (line !== "" && kind === undefined) withHosts.add(group);
    }
  }
}

/** Whether a group is part of another one, by way of others too. */
export function isPartOf({ children }: Groups, group: string, parent: string, way: readonly string[] = []): boolean {
  const below = [...(children.get(parent) ?? [])].filter((name) => !way.includes(name));
  return below.includes(group) || below.some((name) => isPartOf({ children } as Groups, group, name, [...way, name]));
}

function isMapping(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
