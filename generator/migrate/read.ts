import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Document, LineCounter, Node, YAMLMap } from "yaml";
import { masked } from "../kayobe/jinja.js";
import { isTemplated } from "../kayobe/layers.js";
import { isVaulted, parseAsAnsible } from "../system/ansible.js";
import type { Plain } from "./predecessors.js";

// What files of Ansible say, as far as it shows without running it. Nothing here knows what is right.

/** A value with its line; what only a run of Ansible can evaluate is "jinja" or "vault". */
export type Value = { readonly line: number } & (
  | { readonly kind: "jinja"; readonly text: string }
  | { readonly kind: "vault" }
  | { readonly kind: "plain"; readonly data: Plain; readonly quoted: boolean }
  | { readonly kind: "list"; readonly items: readonly Value[] }
  | { readonly kind: "map"; readonly entries: readonly Entry[] }
);

export interface Entry {
  readonly key: string;
  readonly line: number;
  readonly value: Value;
}

export interface RoleUse {
  readonly name: string;
  readonly line: number;
  readonly tasksFrom?: string;
}

export interface Requirement {
  readonly kind: "role" | "collection";
  /** Its name, or where it comes from. */
  readonly name: string;
  /** Where a role comes from, or its name there; "" when that is not said. */
  readonly source: string;
  readonly version: string;
  readonly line: number;
}

interface Text {
  readonly text: string;
  readonly line: number;
}

export interface Said {
  readonly settings: readonly Entry[];
  readonly roles: readonly RoleUse[];
  readonly requirements: readonly Requirement[];
  /** Names of handlers, and what they listen to. */
  readonly handlers: readonly string[];
  /** Every text that is a value. */
  readonly texts: readonly Text[];
  /** What Ansible evaluates without braces around it. */
  readonly conditions: readonly string[];
  /** Settings that Kayobe passes to Kolla, in its own variables: no host of Kayobe's inventory has them. */
  readonly kollas: readonly Entry[];
  /** What `kernel_cmdline` of stackhpc.grubcmdline puts on the kernel line, and `kernel_cmdline_remove` takes off. */
  readonly kernelParameters: readonly Value[];
  /** Whether there is a play, or a task that brings a role. */
  readonly runs: boolean;
  /** Why the file cannot be judged as a whole. */
  readonly fault?: string;
}

export const nothing: Said = {
  settings: [],
  roles: [],
  requirements: [],
  handlers: [],
  texts: [],
  conditions: [],
  kollas: [],
  kernelParameters: [],
  runs: false,
};
const setting = /^(sriov_\w+|iommu_pt|iommu_do_reboot)$/;
const named = /\.(ya?ml|json)$|(^|\/)(host|group)_vars\/[^/]+$/;
const evaluated = /^(when|that|until|failed_when|changed_when|break_when|var)$/;
const setFact = /^(ansible\.(builtin|legacy)\.)?set_fact$/;
const freeForm = /^(ansible\.(builtin|legacy)\.)?(assert|debug)$/;
/**
 * Kayobe's variables for what it writes into Kolla's globals.yml and inventory (ansible/roles/kolla-ansible of Kayobe).
 */
const kollasOwn = /^kolla_(extra_globals$|overcloud_inventory_custom|seed_inventory_custom)/;
const include = /^(ansible\.(builtin|legacy)\.)?(include_role|import_role)$/;

/** Whether a file is YAML by its name, or by its place: what is named for a host or a group is never an inventory. */
function isYaml(path: string): boolean {
  return named.test(path);
}

/** Read one file as Ansible does: YAML 1.1, of two equal keys the last. */
export function readFile(path: string, text: string): Said {
  if (isVaulted(text)) return { ...nothing, fault: "is encrypted: look at it with ansible-vault view" };
  // Before YAML, to which an inventory may be one text of many lines.
  const inventory = isYaml(path) ? [] : inventorySettings(text);
  if (inventory.length > 0) return { ...nothing, settings: inventory };
  // Kayobe renders some files to YAML with Jinja: then the text between its lines is read.
  const readings = [text, ...(isTemplated(path) ? [masked(text)] : [])].map((source) => parseAsAnsible(source));
  const { documents, lines } =
    readings.find((reading) => reading.documents.every(({ errors }) => errors.length === 0)) ?? readings[0]!;
  const error = documents.flatMap(({ errors }) => errors)[0];
  if (error)
    return isYaml(path)
      ? {
          ...nothing,
          fault: `is not YAML (${error.message.split("\n")[0]?.replace(/:$/, "") ?? ""}): look at it by hand`,
        }
      : nothing;
  const values = documents.flatMap((document) =>
    document.contents === null ? [] : [valueOf(document.contents as Node, document, lines)],
  );
  const inHandlers = /(^|\/)handlers\//.test(path);
  return values.reduce<Said>(
    (said, value) => [gather(withoutRequirements(value), inHandlers), requirementsOf(value)].reduce(joined, said),
    nothing,
  );
}

type Pair = readonly [key: string, written: string];

/**
 * What an inventory in the INI format sets, for a host or below [GROUP:vars]. As Ansible does, up to the first line
 * that no inventory can have.
 */
function inventorySettings(text: string): Entry[] {
  const found: Entry[] = [];
  let section = "hosts";
  for (const [index, line] of text
    .split("\n")
    .map((whole) => whole.trim())
    .entries()) {
    if (/^([#;]|$)/.test(line)) continue;
    const header = /^\[[^:\]\s]+(?::(\w+))?\]\s*(#.*)?$/.exec(line);
    if (header) section = header[1] ?? "hosts";
    const pairs = header ? (["hosts", "vars", "children"].includes(section) ? [] : undefined) : pairsOf(line, section);
    if (!pairs) return found;
    found.push(
      ...pairs.flatMap(([key, written]) =>
        setting.test(key) ? [{ key, line: index + 1, value: valueOfText(written, index + 1) }] : [],
      ),
    );
  }
  return found;
}

/**
 * What a line of an inventory sets; undefined when no inventory can contain it, so that tox.ini and the like do not
 * count.
 */
function pairsOf(line: string, section: string): Pair[] | undefined {
  if (/^\[.*\]$/.test(line)) return undefined;
  if (section === "children") return /^[^:\]\s]+\s*(#.*)?$/.test(line) ? [] : undefined;
  if (section === "vars") {
    const [, key, written] = /^([^=]*?)\s*=\s*(.*)$/.exec(line) ?? [];
    // The value is a literal of Python, which may have a comment after it, or else a text.
    return key === undefined || written === undefined
      ? undefined
      : [[key, written.replace(/^(\d+|"[^"]*"|'[^']*')\s*#.*$/, "$1")]];
  }
  const [host, ...words] = [...line.matchAll(/#.*|(?:[^\s"'#\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+|\S/g)]
    .map(([word]) => word)
    .filter((word) => !word.startsWith("#"));
  // Ansible would take a word with "=" as the name of a host; such a line is from a file of another kind.
  if (host === undefined || host === "---" || /=|:$/.test(host)) return undefined;
  const pairs = words.map((word) => /^([^=]+)=(.*)$/.exec(word));
  return pairs.every((pair) => pair !== null)
    ? pairs.map(([, key = "", written = ""]): Pair => [key, written])
    : undefined;
}

/** A value that is written only as text: in an inventory, or after "=". */
function valueOfText(written: string, line: number): Value {
  const data = written.replace(/^(["'])(.*)\1$/, "$2");
  // Only Ansible knows where a list or dictionary ends.
  return /\{\{|^[[{]/.test(data)
    ? { kind: "jinja", line, text: data }
    : { kind: "plain", line, data: /^\d+$/.test(data) ? Number(data) : data, quoted: true };
}

/**
 * Roles to install: below `roles` at the top, where no play can have it, or as a list, as requirements.yml was written
 * before collections came.
 */
function requirementsOf(value: Value): Said {
  const isOnlyNamed = (item: Value): boolean =>
    item.kind === "map" &&
    item.entries.length > 0 &&
    item.entries.every(({ key }) => /^(name|role|src|version|scm)$/.test(key));
  const items =
    value.kind === "list"
      ? value.items.filter((item) => item.kind === "plain" || isOnlyNamed(item) || isRequirement(item))
      : value.kind === "map"
        ? value.entries.filter(isRolesToInstall).flatMap(({ value: list }) => (list.kind === "list" ? list.items : []))
        : [];
  return { ...nothing, requirements: items.flatMap((item) => requirementOf(item, "role")) };
}

function withoutRequirements(value: Value): Value {
  return value.kind === "map"
    ? { ...value, entries: value.entries.filter((entry) => !isRolesToInstall(entry)) }
    : value;
}

function isRolesToInstall({ key, value }: Entry): boolean {
  return key === "roles" && value.kind === "list";
}

function joined(one: Said, other: Said): Said {
  return {
    settings: [...one.settings, ...other.settings],
    roles: [...one.roles, ...other.roles],
    requirements: [...one.requirements, ...other.requirements],
    handlers: [...one.handlers, ...other.handlers],
    texts: [...one.texts, ...other.texts],
    conditions: [...one.conditions, ...other.conditions],
    kollas: [...one.kollas, ...other.kollas],
    kernelParameters: [...one.kernelParameters, ...other.kernelParameters],
    runs: one.runs || other.runs,
  };
}

/** @param inside the anchors that the node is in; it may name one of them again */
function valueOf(node: unknown, document: Document, lines: LineCounter, inside: readonly unknown[] = []): Value {
  const at = (node as Node | null)?.range?.[0];
  const line = at === undefined ? 0 : lines.linePos(at).line;
  if (isAlias(node)) {
    const target = node.resolve(document);
    return target && !inside.includes(target)
      ? { ...valueOf(target, document, lines, [...inside, target]), line }
      : { kind: "jinja", line, text: "" };
  }
  if (isMap(node)) return { kind: "map", line, entries: entriesOf(node, document, lines, inside) };
  if (isSeq(node))
    return { kind: "list", line, items: node.items.map((item) => valueOf(item, document, lines, inside)) };
  if (!isScalar(node)) return { kind: "plain", line, data: null, quoted: false };
  if (node.tag === "!vault" || node.tag === "!vault-encrypted") return { kind: "vault", line };
  const data = plain(node.value, node.source);
  if (typeof data === "string" && /\{\{|\{%/.test(data) && node.tag !== "!unsafe")
    return { kind: "jinja", line, text: data };
  return { kind: "plain", line, data, quoted: node.type !== "PLAIN" };
}

function plain(value: unknown, source: string | undefined): Plain {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string")
    return value;
  // Dates and the like.
  return source ?? String(value);
}

function entriesOf(map: YAMLMap, document: Document, lines: LineCounter, inside: readonly unknown[]): Entry[] {
  const entries = map.items.flatMap((pair): Entry[] => {
    const key = pair.key as Node | null;
    const line = lines.linePos(key?.range?.[0] ?? 0).line;
    const value = valueOf(pair.value, document, lines, inside);
    // "<<" brings the entries of other maps.
    if (isScalar(key) && key.source === "<<")
      return (value.kind === "list" ? value.items : [value]).flatMap((from) =>
        from.kind === "map" ? from.entries : [],
      );
    return [
      { key: isScalar(key) ? String(key.value) : "", line, value: value.line === 0 ? { ...value, line } : value },
    ];
  });
  return entries.filter((entry, index) => !entries.some((later, place) => place > index && later.key === entry.key));
}

/** All that a value says, at every depth. */
function gather(value: Value, inHandlers: boolean): Said {
  if (value.kind === "vault") return nothing;
  if (value.kind === "jinja") return { ...nothing, texts: [{ text: value.text, line: value.line }] };
  if (value.kind === "plain")
    return typeof value.data === "string" ? { ...nothing, texts: [{ text: value.data, line: value.line }] } : nothing;
  if (value.kind === "list") return value.items.map((item) => ofItem(item, inHandlers)).reduce(joined, nothing);
  return value.entries
    .map((entry) =>
      kollasOwn.test(entry.key)
        ? ofKollasEntry(entry)
        : joined(ofEntry(entry), gather(entry.value, entry.key === "handlers")),
    )
    .reduce(joined, nothing);
}

/** An entry whose value Kayobe writes into files of Kolla: variables as a dictionary, or an inventory as a text. */
function ofKollasEntry({ value }: Entry): Said {
  const { settings, kollas, ...rest } = gather(value, false);
  // The text begins in the line after its key where it is a block.
  const lines = rest.texts.flatMap(({ text, line }) =>
    inventorySettings(text).map((entry) => ({ ...entry, line: line + entry.line })),
  );
  return { ...nothing, texts: rest.texts, kollas: [...settings, ...kollas, ...lines] };
}

function ofItem(item: Value, inHandlers: boolean): Said {
  const below = gather(item, inHandlers);
  if (!inHandlers || item.kind !== "map") return below;
  const names = item.entries
    .filter(({ key }) => key === "name" || key === "listen")
    .flatMap((entry) => textsOf(entry.value));
  return { ...below, handlers: [...below.handlers, ...names.map(({ text }) => text)] };
}

function ofEntry(entry: Entry): Said {
  const said: Said = {
    ...nothing,
    runs:
      include.test(entry.key) ||
      entry.key === "import_playbook" ||
      (entry.key === "hosts" &&
        (entry.value.kind === "jinja" ||
          entry.value.kind === "list" ||
          (entry.value.kind === "plain" && entry.value.data !== null))),
    kernelParameters: /^kernel_cmdline(_remove)?$/.test(entry.key)
      ? entry.value.kind === "list"
        ? entry.value.items
        : [entry.value]
      : [],
    settings: setting.test(entry.key) ? [entry] : setFact.test(entry.key) ? factsOf(entry.value) : [],
    conditions:
      evaluated.test(entry.key) || (freeForm.test(entry.key) && entry.value.kind === "plain")
        ? gather(entry.value, false).texts.map(({ text }) => text)
        : [],
  };
  if (include.test(entry.key)) return { ...said, roles: [...roleOf(entry.value)] };
  if (entry.key === "collections" && entry.value.kind === "list")
    return { ...said, requirements: entry.value.items.flatMap((item) => requirementOf(item, "collection")) };
  if ((entry.key === "roles" || entry.key === "dependencies") && entry.value.kind === "list") {
    const items = entry.value.items;
    return {
      ...said,
      roles: items.flatMap((item) => (isRequirement(item) ? [] : roleOf(item))),
      requirements: items.flatMap((item) => (isRequirement(item) ? requirementOf(item, "role") : [])),
    };
  }
  return said;
}

/** What set_fact sets in one text, as in "set_fact: a=1 b={{ c }}". A dictionary's entries are read as any others. */
function factsOf(value: Value): Entry[] {
  const text =
    value.kind === "jinja" ? value.text : value.kind === "plain" && typeof value.data === "string" ? value.data : "";
  const { line } = value;
  return [...text.matchAll(/(?<=^|\s)(\w+)=((?:\{\{.*?\}\}|"[^"]*"|'[^']*'|\S)*)/gs)].flatMap(
    ([, key = "", written = ""]) => (setting.test(key) ? [{ key, line, value: valueOfText(written, line) }] : []),
  );
}

/** An item of `roles:` is a requirement when it says where the role comes from, or which one of its versions. */
function isRequirement(item: Value): boolean {
  if (item.kind === "plain") return typeof item.data === "string" && /,|:\/\/|^git@/.test(item.data);
  return item.kind === "map" && item.entries.some(({ key }) => key === "src" || key === "version" || key === "scm");
}

function requirementOf(item: Value, kind: Requirement["kind"]): Requirement[] {
  const { line } = item;
  const text = (key: string): string =>
    item.kind === "map" ? (textsOf(item.entries.find((entry) => entry.key === key)?.value)[0]?.text ?? "") : "";
  const whole = item.kind === "plain" && typeof item.data === "string" ? item.data : undefined;
  if (kind === "collection") {
    const name = whole ?? text("name");
    return name === "" ? [] : [{ kind, name, source: "", version: text("version"), line }];
  }
  // A role in one text, as galaxy has it: SOURCE,VERSION,NAME.
  const [source = "", version = "", named = ""] = (whole ?? text("src")).split(",").map((part) => part.trim());
  const name = text("name") || text("role") || named || source;
  return name === "" ? [] : [{ kind, name, source, version: text("version") || version, line }];
}

function roleOf(value: Value): RoleUse[] {
  if (value.kind === "plain" && typeof value.data === "string") {
    const words = new Map([...value.data.matchAll(/(\w+)=(\S+)/g)].map((match) => [match[1]!, match[2]!] as const));
    const tasksFrom = words.get("tasks_from");
    return [
      {
        name: words.get("name") ?? value.data.trim(),
        line: value.line,
        ...(tasksFrom === undefined ? {} : { tasksFrom }),
      },
    ];
  }
  if (value.kind !== "map") return [];
  const entry = value.entries.find(({ key }) => key === "name") ?? value.entries.find(({ key }) => key === "role");
  const role = value.entries.find(({ key }) => key === "role") ?? entry;
  const tasksFrom = textsOf(value.entries.find(({ key }) => key === "tasks_from")?.value)[0]?.text;
  return textsOf(role?.value).map(({ text, line }) => ({
    name: text,
    line,
    ...(tasksFrom === undefined ? {} : { tasksFrom }),
  }));
}

function textsOf(value: Value | undefined): Text[] {
  if (value?.kind === "list") return value.items.flatMap(textsOf);
  return value?.kind === "plain" && value.data !== null ? [{ text: String(value.data), line: value.line }] : [];
}
