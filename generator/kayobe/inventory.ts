import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Document, Node, YAMLMap } from "yaml";
import { location } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import type { Pairing } from "./pairings.js";
import { parseAsAnsible } from "../system/ansible.js";

// What the files of an inventory say without a run of Ansible. A fault here is only what YAML has made of a value, and
// a physical network that is empty: here alone it is known what stands in the file. All rules about names, addresses
// and selectors are those of the filter openstack_devices and of the role, which refuse before anything is written.
// What is a fault here is one there too, but for a physical_network without a value: it was more often forgotten than
// intended as null.

interface PhysicalNetwork {
  readonly name: string;
  readonly line: number;
}

/** What one file of variables says. */
export interface Parsed {
  readonly networks: readonly PhysicalNetwork[];
  /** The same, with their devices. */
  readonly pairings: readonly Pairing[];
  /** PFs with a physical network that Nova finds by the name of the interface. */
  readonly names: readonly PhysicalNetwork[];
  readonly faults: readonly { readonly line: number; readonly message: string }[];
}

/** A physical network or a PF, with the file that names it. */
export interface Found extends PhysicalNetwork {
  readonly path: string;
}

/** What all files of variables say. */
export interface Inventory {
  readonly networks: readonly Found[];
  readonly pairings: readonly Pairing[];
  readonly names: readonly Found[];
  /** A sentence for each, with file and line. */
  readonly faults: readonly string[];
}

/** Physical networks in the variables of a configuration, and what is wrong there for sure. */
export function readInventory(view: LayeredConfig): Inventory {
  const paths = view.layers.flatMap((layer) =>
    view.once([
      ...view.variableFiles(layer, "kolla.yml"),
      ...view.below(`${layer}inventory/group_vars`),
      ...view.below(`${layer}inventory/host_vars`),
    ]),
  );
  const read = paths.map((path) => ({ path, ...readVariables(view.textOf(path) ?? "") }));
  return {
    networks: read.flatMap(({ path, networks }) => networks.map((network) => ({ ...network, path }))),
    pairings: read.flatMap(({ pairings }) => pairings),
    names: read.flatMap(({ path, names }) => names.map((name) => ({ ...name, path }))),
    faults: read.flatMap(({ path, faults }) =>
      faults.map(({ line, message }) => `${location(path, line)}: ${message}.`),
    ),
  };
}

/** A file that is read, and what it has said so far. */
interface Reading {
  readonly document: Document;
  readonly lineOf: (node: unknown) => number;
  readonly networks: PhysicalNetwork[];
  readonly pairings: Pairing[];
  readonly names: PhysicalNetwork[];
  readonly faults: { readonly line: number; readonly message: string }[];
}

/** Physical networks in a file of variables, and what is wrong there for sure. A value with Jinja says nothing. */
export function readVariables(text: string): Parsed {
  // As Ansible reads it: 3:00.0 and 8086 are numbers.
  const { documents, lines } = parseAsAnsible(text);
  const [document] = documents;
  const isSound = documents.length === 1 && documents.every(({ errors }) => errors.length === 0);
  const top = document?.contents;
  if (!isSound || !isMap(top)) return { networks: [], pairings: [], names: [], faults: [] };
  const lineOf = (node: unknown): number => lines.linePos((node as Node).range?.[0] ?? 0).line;
  const reading: Reading = { document: document!, lineOf, networks: [], pairings: [], names: [], faults: [] };
  readDevices(reading, valueAt(reading, top, "sriov_devices"));
  readMappings(reading, valueAt(reading, top, "sriov_physnet_mappings"));
  const { networks, pairings, names, faults } = reading;
  return { networks, pairings, names, faults };
}

function readDevices(reading: Reading, devices: unknown): void {
  if (!isSeq(devices)) return;
  for (const [index, item] of devices.items.entries()) {
    const device = resolved(reading, item);
    if (!isMap(device)) continue;
    const where = `sriov_devices[${index}]`;
    readNetwork(reading, device, where);
    readSelector(reading, device, where);
    const nova = valueAt(reading, device, "nova");
    if (isMap(nova)) readNova(reading, nova, where);
  }
}

function readSelector(reading: Reading, device: YAMLMap, where: string): void {
  mustBeText(reading, valueAt(reading, device, "address"), `address of ${where}`);
  for (const key of ["vendor_id", "product_id"]) {
    const id = valueAt(reading, device, key);
    // The role takes a number that reads as it is written.
    if (isScalar(id) && typeof id.value === "number" && String(id.value) !== id.source)
      mustBeText(reading, id, `${key} of ${where}`);
  }
}

function readNetwork(reading: Reading, device: YAMLMap, where: string): void {
  const own = entryAt(reading, device, "physical_network");
  // An explicit null means that there is none.
  if (!own || (isScalar(own.value) && own.value.value === null && Boolean(own.value.source))) return;
  const [name, address] = ["name", "address"].map((key) => textOf(valueAt(reading, device, key)));
  addNetwork(reading, own.value ?? device, `physical_network of ${where}`, name ?? address);
  const known = nameForNova(reading, device);
  if (known !== undefined) reading.names.push({ name: known, line: reading.lineOf(device) });
}

/** The name of an interface by which Nova finds a PF; nothing when it finds it otherwise. */
function nameForNova(reading: Reading, device: YAMLMap): string | undefined {
  const nova = valueAt(reading, device, "nova");
  const name = textOf(valueAt(reading, device, "name"));
  if (!isMap(nova)) return name;
  const devname = entryAt(reading, nova, "devname");
  if (devname) return textOf(devname.value);
  return ["address", "vendor_id", "product_id"].some((key) => entryAt(reading, nova, key)) ? undefined : name;
}

function readNova(reading: Reading, nova: YAMLMap, where: string): void {
  const of = (key: string): unknown => valueAt(reading, nova, key);
  for (const key of ["vendor_id", "product_id", "devname"]) mustBeText(reading, of(key), `nova.${key} of ${where}`);
  const address = of("address");
  for (const one of isSeq(address) ? address.items : [address]) mustBeText(reading, one, `nova.address of ${where}`);
}

function readMappings(reading: Reading, mappings: unknown): void {
  if (!isMap(mappings)) return;
  for (const { key, value } of entriesOf(reading, mappings)) {
    const device = mustBeText(reading, key, "a device in sriov_physnet_mappings");
    if (device !== undefined && !device.includes(":")) reading.names.push({ name: device, line: reading.lineOf(key) });
    const what = `the physical network of ${device ?? "a device"} in sriov_physnet_mappings`;
    addNetwork(reading, value ?? key, what, device);
  }
}

function addNetwork(reading: Reading, node: unknown, what: string, device: string | undefined): void {
  const isEmpty = isScalar(node) && (node.value === null || (typeof node.value === "string" && !node.value.trim()));
  if (isEmpty) return addFault(reading, node, `${what} is empty: name the physical network, or remove the line`);
  const name = mustBeText(reading, node, what);
  if (name === undefined) return;
  reading.networks.push({ name, line: reading.lineOf(node) });
  reading.pairings.push({ network: name, ...(device === undefined ? {} : { device }) });
}

function addFault(reading: Reading, node: unknown, message: string): void {
  reading.faults.push({ line: reading.lineOf(node), message });
}

/** A value that must be a text; nothing when it is not one, or when only Ansible can say. */
function mustBeText(reading: Reading, node: unknown, what: string): string | undefined {
  const value = textOf(node);
  if (value !== undefined) return isJinja(value) ? undefined : value.trim();
  if (isScalar(node) && (typeof node.value === "number" || typeof node.value === "boolean")) {
    const read = `${String(node.source)}, which YAML reads as ${String(node.value)}`;
    addFault(reading, node, `${what} is ${read}: put it in quotes`);
  }
  return undefined;
}

function isJinja(text: string): boolean {
  return text.includes("{{") || text.includes("{%");
}

function textOf(node: unknown): string | undefined {
  return isScalar(node) && typeof node.value === "string" ? node.value : undefined;
}

function resolved({ document }: Reading, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

interface Entry {
  readonly key: unknown;
  readonly value: unknown;
}

/** The entries of a map, with those that a merge (<<) brings; of two with one key, the last one. */
function entriesOf(reading: Reading, map: YAMLMap, way: readonly unknown[] = []): Entry[] {
  const isMerge = ({ key }: Entry): boolean => isScalar(key) && key.source === "<<";
  const sources = map.items.filter(isMerge).flatMap(({ value }) => {
    const source = resolved(reading, value);
    // Of several maps the first one wins.
    return isSeq(source) ? source.items.map((item) => resolved(reading, item)).reverse() : [source];
  });
  const merged = sources.flatMap((source) =>
    isMap(source) && !way.includes(source) ? entriesOf(reading, source, [...way, source]) : [],
  );
  const own = map.items.filter((item) => !isMerge(item));
  const all: Entry[] = [...merged, ...own.map(({ key, value }) => ({ key, value: resolved(reading, value) }))];
  const isLast = ({ key }: Entry, index: number): boolean =>
    !all.slice(index + 1).some((later) => textOf(key) !== undefined && textOf(later.key) === textOf(key));
  return all.filter(isLast);
}

function entryAt(reading: Reading, map: YAMLMap, key: string): Entry | undefined {
  return entriesOf(reading, map).find((entry) => textOf(entry.key) === key);
}

function valueAt(reading: Reading, map: YAMLMap, key: string): unknown {
  return entryAt(reading, map, key)?.value;
}
