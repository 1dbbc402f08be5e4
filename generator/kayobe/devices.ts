import { posix } from "node:path";
import { readIni } from "./ini.js";
import type { Ini, IniEntry } from "./ini.js";
import { conditionsOf, depthAt, namesIn, openAt } from "./jinja.js";
import type { LayeredConfig } from "./layers.js";

// What an option with devices says, in files for Nova and for Neutron's agent.

/**
 * "nothing": no device. "snippet": what sriov_physnet_mappings says, as published guides write it. "nic": a NIC.
 * "other": devices that are not NICs, for example GPUs. "unknown": only Ansible or Nova can say.
 */
export type DeviceKind = "nothing" | "snippet" | "nic" | "other" | "unknown";

const mapping = "sriov_physnet_mappings";
/**
 * PCI vendors of NICs with SR-IOV: Intel, Mellanox, Broadcom, QLogic, Huawei, Solarflare, Pensando, Marvell, Emulex,
 * Chelsio, Netronome, Amazon, virtio.
 */
const nicVendors = [
  "8086",
  "15b3",
  "14e4",
  "1077",
  "19e5",
  "1924",
  "1dd8",
  "177d",
  "10df",
  "1425",
  "19ee",
  "1d0f",
  "1af4",
];
/** A device that is on no physical network, in JSON. */
const noNetwork = /"physical_network"\s*:\s*null\b/g;

export function kindOf(view: LayeredConfig, ini: Ini, entry: IniEntry): DeviceKind {
  // Without a physical network, as for overlays, it is not an entry of sriov_devices.
  const bare = entry.value
    .replace(/\{%[-+]?\s*(raw|endraw)\s*[-+]?%\}/g, "")
    .replace(noNetwork, "")
    .trim();
  if (/^(\[\s*\]|""|'')?$/.test(bare)) return "nothing";
  if (isSnippet(ini, entry)) return "snippet";
  if (/physical_network|devname/.test(bare) || readsMapping(ini, entry) || entry.section === "sriov_nic") return "nic";
  if (/["'](product_id|address)["']\s*:/.test(bare)) return "other";
  const literal = bare.replace(/\{%[\s\S]*?%\}/g, "").replace(/\{\{[\s\S]*?\}\}/g, "?");
  const vendor = /["']vendor_id["']\s*:\s*["']([^"']*)["']/.exec(literal)?.[1];
  if (vendor !== undefined)
    return vendor.includes("?") || nicVendors.includes(vendor.toLowerCase()) ? "unknown" : "other";
  return bare.includes("{{") ? byVariables(view, ini, entry) : "nic";
}

/**
 * Whether an option has no other source than sriov_physnet_mappings, which is also the source of what is derived from
 * sriov_devices.
 */
export function readsMapping(ini: Ini, entry: IniEntry): boolean {
  return sourcesOf(ini, entry).includes(mapping);
}

export interface Rest {
  readonly text: string;
  /** Whether an option that named devices is removed. */
  readonly hadDevices: boolean;
}

/** A text without options that say no more than what is derived from sriov_devices; nothing where there are none. */
export function withoutSnippets(
  view: LayeredConfig,
  text: string,
  isDevices: (entry: IniEntry) => boolean,
): Rest | undefined {
  const ini = readIni(text);
  const removed = ini.entries
    .filter(isDevices)
    .map((entry) => ({ entry, kind: kindOf(view, ini, entry) }))
    .filter(({ kind }) => ["nothing", "snippet"].includes(kind));
  const spans = removed.map(({ entry }) => spanOf(ini, entry)).filter((span) => span !== undefined);
  if (spans.length === 0) return undefined;
  const rest = spans.reduceRight((left, { start, end }) => left.slice(0, start) + left.slice(end), text);
  return { text: rest, hadDevices: removed.some(({ kind }) => kind === "snippet") };
}

/** Whether a text has nothing but headings and statements of Jinja. */
export function isBare(text: string): boolean {
  const statements = /\{#[\s\S]*?#\}|\{%[-+]?\s*(raw|endraw|if|elif|else|endif)\b[\s\S]*?%\}|^\[[^\n]*\]\s*$/gm;
  return text.replace(statements, "").trim() === "";
}

/** The variables that a value is made of, including those of a loop around it. */
function sourcesOf({ text }: Ini, entry: IniEntry): readonly string[] {
  const headers = openAt(text, entry.start)
    .map(({ header }) => header)
    .filter((header) => header.startsWith("for"));
  const pieces = [...headers, ...piecesOf(text, entry)];
  const own = pieces.flatMap((piece) => [...(/\bfor\s+([\w\s,()]+?)\s+in\b/.exec(piece)?.[1]?.match(/\w+/g) ?? [])]);
  const direct = pieces.flatMap(namesIn).filter((name) => !own.includes(name));
  return [
    ...new Set([
      ...direct,
      ...direct.flatMap((name) => settersOf(text, name).flatMap(({ pieces: setting }) => setting.flatMap(namesIn))),
    ]),
  ];
}

/** The Jinja in an option, including separate lines between those of its value. */
function piecesOf(text: string, entry: IniEntry): readonly string[] {
  return [...text.slice(entry.start, entry.end).matchAll(/\{[{%][\s\S]*?[%}]\}/g)].map(([piece]) => piece);
}

/** Statements of Jinja that give a name its value, with the loops around them. */
function settersOf(text: string, name: string): readonly { readonly pieces: readonly string[] }[] {
  return [...text.matchAll(/\{%[-+]?\s*(?:set|do)\b[\s\S]*?%\}/g)]
    .filter(([statement]) => new RegExp(`\\bset\\s+${name}\\b|\\b${name}\\.(append|update|extend)\\b`).test(statement))
    .map(({ 0: statement, index }) => ({ pieces: [statement, ...openAt(text, index).map(({ header }) => header)] }));
}

function isSnippet(ini: Ini, entry: IniEntry): boolean {
  const sources = sourcesOf(ini, entry);
  if (sources.length !== 1 || sources[0] !== mapping || !spanOf(ini, entry)) return false;
  const jinja = entry.value.replace(/\{%[\s\S]*?%\}|\{\{[\s\S]*?\}\}/g, "");
  // Texts in expressions count too: more than commas there would be a device, or a tag.
  const texts = piecesOf(ini.text, entry).flatMap((piece) =>
    [...piece.matchAll(/'([^']*)'|"([^"]*)"/g)].map((found) => found[1] ?? found[2] ?? ""),
  );
  return [jinja, ...texts].every((part) =>
    /^(?:[\[\]{}",:'\s]|devname|address|physical_network|key|value|keys|values|items|join)*$/.test(part),
  );
}

/**
 * What is removed with an option: its lines, and a loop that contains nothing else. Nothing where more would be
 * removed.
 */
function spanOf({ text }: Ini, entry: IniEntry): { start: number; end: number } | undefined {
  const conditions = conditionsOf(text);
  if (depthAt(conditions, entry.start) !== depthAt(conditions, entry.end)) return undefined;
  const loop = openAt(text, entry.start).findLast(({ header }) => header.startsWith("for"));
  if (!loop) return { start: entry.start, end: lineEnd(text, entry.end) };
  const around = text.slice(loop.body, entry.start) + text.slice(entry.end, loop.bodyEnd);
  if (around.replace(/^[ \t]*[#;].*$/gm, "").trim() !== "") return undefined;
  return { start: text.lastIndexOf("\n", loop.start - 1) + 1, end: lineEnd(text, loop.end) };
}

/** What the variables of an expression have, where files of the configuration say it. */
function byVariables(view: LayeredConfig, ini: Ini, entry: IniEntry): DeviceKind {
  const names = sourcesOf(ini, entry);
  const files = view.layers.flatMap((layer) => [
    ...view.variableFiles(layer, "kolla.yml"),
    `${layer}kolla/globals.yml`,
    ...["inventory", "kolla/inventory"].flatMap((folder) => view.below(layer + folder)),
  ]);
  const inFiles = [...new Set(files)].flatMap((path) => {
    const data = view.opened(path)?.data ?? {};
    return names.filter((name) => name in data).map((name) => JSON.stringify(data[name]));
  });
  const values = [
    ...inFiles.map((value) => value.replace(noNetwork, "")),
    ...names.flatMap((name) => settersOf(ini.text, name).map(({ pieces }) => pieces[0]!)),
  ];
  if (values.some((value) => /physical_network|devname/.test(value))) return "nic";
  return values.some((value) => /product_id|address/.test(value)) &&
    values.every((value) => !value.includes("{{") && /product_id|address|^\[\]$|^\{\}$|^null$/.test(value))
    ? "other"
    : "unknown";
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end + 1;
}

/** The host that a file for one host is for. */
export function hostOf(inLayer: string): string {
  return posix.basename(posix.dirname(inLayer));
}
