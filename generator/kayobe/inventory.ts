import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Node, YAMLMap } from "yaml";
import type { Pairing } from "./pairings.js";
import { parseAsAnsible } from "./yaml.js";

// What the files of an inventory say without a run of Ansible: the filter and the role check it all again, later.

export interface PhysicalNetwork {
  readonly name: string;
  readonly line: number;
}

export interface Parsed {
  readonly networks: readonly PhysicalNetwork[];
  /** The same, with their devices. */
  readonly pairings: readonly Pairing[];
  /** PFs with a physical network that Nova is told by the name of the interface. */
  readonly names: readonly PhysicalNetwork[];
  readonly faults: readonly { readonly line: number; readonly message: string }[];
}

/** Whether Ansible Vault has encrypted a file. */
export function isVaulted(text: string): boolean {
  return text.startsWith("$ANSIBLE_VAULT");
}

/** Files of an inventory folder in which Ansible looks for hosts and groups; before ansible-core 2.19 not those with .ini, which no Kayobe may count on. */
export function isHostsFile(path: string): boolean {
  return !/\/(group|host)_vars\//.test(path) && !/(\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|ini|cfg|retry)|~)$/.test(path);
}

/** Physical networks in a file of variables, and what is wrong there for sure. A value with Jinja says nothing. */
export function readVariables(text: string): Parsed {
  const networks: PhysicalNetwork[] = [];
  const pairings: Pairing[] = [];
  const names: PhysicalNetwork[] = [];
  const faults: { line: number; message: string }[] = [];
  // As Ansible reads it: 3:00.0 and 8086 are numbers.
  const { documents, lines } = parseAsAnsible(text);
  const [document] = documents;
  const top = document?.contents;
  if (documents.length > 1 || documents.some(({ errors }) => errors.length > 0) || !isMap(top)) return { networks, pairings, names, faults };

  const lineOf = (node: unknown): number => lines.linePos((node as Node).range?.[0] ?? 0).line;
  const fault = (node: unknown, message: string): void => void faults.push({ line: lineOf(node), message });
  const textOf = (node: unknown): string | undefined => {
    return isScalar(node) && typeof node.value === "string" ? node.value : undefined;
  };
  /** A value that must be a text; nothing when it is none, or when only Ansible can say. */
  const mustBeText = (node: unknown, what: string): string | undefined => {
    const value = textOf(node);
    if (value !== undefined) return value.includes("{{") || value.includes("{%") ? undefined : value;
    if (isScalar(node) && (typeof node.value === "number" || typeof node.value === "boolean")) fault(node, `${what} is ${String(node.source)}, of which YAML makes ${String(node.value)}: put it in quotes`);
    return undefined;
  };
  const network = (node: unknown, what: string, device: string | undefined): void => {
    const empty = isScalar(node) && (node.value === null || (typeof node.value === "string" && node.value.trim() === ""));
    if (empty) return fault(node, `${what} is empty: name the physical network, or take the line away`);
    const name = mustBeText(node, what);
    if (name !== undefined && /[\s,:;]/.test(name)) return fault(node, `${what} is "${name}": a physical network has no space, comma, colon or semicolon in its name`);
    if (name === undefined) return;
    networks.push({ name, line: lineOf(node) });
    pairings.push({ network: name, ...(device === undefined ? {} : { device }) });
  };
  const resolved = (node: unknown): unknown => (isAlias(node) ? node.resolve(document!) : node);
  /** The entries of a map, with those that a merge (<<) brings; of two with one key, the last. */
  const entriesOf = (map: YAMLMap, way: readonly unknown[] = []): { key: unknown; value: unknown }[] => {
    const isMerge = (key: unknown): boolean => isScalar(key) && key.source === "<<";
    const from = map.items.filter(({ key }) => isMerge(key)).flatMap(({ value }) => [resolved(value)].flatMap((one) => (isSeq(one) ? one.items.map(resolved).reverse() : [one])));
    const merged = from.flatMap((one) => (isMap(one) && !way.includes(one) ? entriesOf(one, [...way, one]) : []));
    const all = [...merged, ...map.items.filter(({ key }) => !isMerge(key)).map(({ key, value }) => ({ key, value: resolved(value) }))];
    return all.filter(({ key }, index) => !all.some((later, place) => place > index && textOf(key) !== undefined && textOf(later.key) === textOf(key)));
  };
  const at = (map: YAMLMap, key: string): { key: unknown; value: unknown } | undefined => entriesOf(map).find((pair) => textOf(pair.key) === key);

  const devices = at(top, "sriov_devices")?.value;
  if (isSeq(devices))
    for (const [index, item] of devices.items.entries()) {
      const device = resolved(item);
      if (!isMap(device)) continue;
      const where = `sriov_devices[${index}]`;
      const has = (key: string): unknown => at(device, key)?.value;
      const own = at(device, "physical_network");
      // Who writes null means that there is none.
      const none = isScalar(own?.value) && own.value.value === null && Boolean(own.value.source);
      if (own && !none) network(own.value ?? device, `physical_network of ${where}`, textOf(has("name")) ?? textOf(has("address")));
      mustBeText(has("address"), `address of ${where}`);
      for (const key of ["vendor_id", "product_id"]) {
        const id = has(key);
        // The role takes a number that reads as it is written.
        if (isScalar(id) && typeof id.value === "number" && String(id.value) !== id.source) mustBeText(id, `${key} of ${where}`);
      }
      const told = has("nova");
      const toldOtherwise = isMap(told) && ["address", "vendor_id", "product_id"].some((key) => at(told, key));
      const name = isMap(told) && at(told, "devname") ? textOf(at(told, "devname")?.value) : toldOtherwise ? undefined : textOf(has("name"));
      if (own && !none && name !== undefined) names.push({ name, line: lineOf(device) });
      if (has("name") && has("address")) fault(device, `${where} has a name and an address: one of them says which PF it is`);
      const nova = has("nova");
      if (!isMap(nova)) continue;
      const of = (key: string): unknown => at(nova, key)?.value;
      for (const key of ["vendor_id", "product_id", "devname"]) mustBeText(of(key), `nova.${key} of ${where}`);
      if (of("devname") && of("address")) fault(nova, `nova of ${where} has devname and address: Nova takes one of them`);
      const address = of("address");
      for (const one of isSeq(address) ? address.items : [address]) {
        const value = mustBeText(one, `nova.address of ${where}`);
        if (value !== undefined && isMac(value)) fault(one, `nova.address of ${where} is the MAC address ${value}, which Nova would take for a PCI address: give the PCI address`);
      }
    }

  const mappings = at(top, "sriov_physnet_mappings")?.value;
  if (isMap(mappings))
    for (const { key, value } of entriesOf(mappings)) {
      const device = mustBeText(key, "a device in sriov_physnet_mappings");
      if (device !== undefined && !device.includes(":")) names.push({ name: device, line: lineOf(key) });
      if (device !== undefined && isMac(device)) fault(key, `sriov_physnet_mappings names ${device}, a MAC address: name the interface, or give its PCI address`);
      network(value ?? key, `the physical network of ${device ?? "a device"} in sriov_physnet_mappings`, device);
    }
  return { networks, pairings, names, faults };
}

/** A MAC address, or the beginning of one, as people give it for the cards of one vendor. */
function isMac(text: string): boolean {
  return /^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(text) || /^[\da-f]{2}(:[\da-f]{2}){2}$/i.test(text) || /^[\da-f]{2}(-[\da-f]{2}){5}$/i.test(text);
}
