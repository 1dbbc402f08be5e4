import { isDeepStrictEqual } from "node:util";
import { isAlias, isMap, isScalar, isSeq } from "yaml";
import type { Node, Pair, YAMLMap, YAMLSeq } from "yaml";
import { parseAsAnsible } from "../system/ansible.js";
import { lineEnd, lineStart, splice } from "../system/text.js";
import { conditionsOf, depthAt, masked } from "./jinja.js";

// Files of people, in which every byte that need not change stays: the library only says where things are, and the
// edit is made in the text. The result is read again, and must have the intended data.

/** What a file or an edit comes to: or a sentence with the reason why it is not possible. */
export type Result<Good> = Good | { readonly refused: string };

export function isRefused<Good extends object>(result: Result<Good>): result is { readonly refused: string } {
  return "refused" in result;
}

/** A text of YAML, read as Ansible reads it. */
export interface Yaml {
  readonly text: string;
  /** The keys of the document; none when it is empty. */
  readonly data: { readonly [key: string]: unknown };
  /** The items, when the document is a list. */
  readonly list: readonly unknown[];
  /** The top: a mapping in block style, a list, or nothing. */
  readonly top: YAMLMap | YAMLSeq | undefined;
  readonly lineOf: (offset: number) => number;
  /** Whether Kayobe renders it with Jinja: then only the text between the lines of Jinja is read. */
  readonly templated: boolean;
}

/** An item of a list: a text, or a mapping of texts. */
export type Item = string | { readonly [key: string]: string };

type Edit = Result<{ readonly text: string }>;
type Entry = Pair<Node, Node | null>;

/** Read a document; `refused` continues after the name of the file. */
export function readYaml(text: string, templated = false): Result<Yaml> {
  const yaml = readAs(text, text, templated);
  if (!isRefused(yaml) || !templated) return yaml;
  const between = readAs(masked(text), text, templated);
  return isRefused(between) ? yaml : between;
}

/** The value of `source`; `text` is its form in the file, of equal length. */
function readAs(source: string, text: string, templated: boolean): Result<Yaml> {
  const { documents: all, lines } = parseAsAnsible(source);
  const lineOf = (offset: number): number => lines.linePos(offset).line;
  const error = all.flatMap(({ errors }) => errors)[0];
  // The message does not repeat the text: it may be a secret.
  if (error)
    return {
      refused: `is not YAML: ${
        error.message
          .split("\n")[0]
          ?.replace(/:? *"(?:[^"\\]|\\.)*"/g, "")
          .replace(/:$/, "") ?? ""
      }`,
    };
  if (all.length > 1) return { refused: "has more than one document" };
  const contents = all[0]?.contents ?? null;
  if (contents === null || (isScalar(contents) && contents.value === null && contents.source === ""))
    return { text, data: {}, list: [], top: undefined, lineOf, templated };
  let data: unknown;
  try {
    data = all[0]!.toJS({ maxAliasCount: -1 });
  } catch {
    return { refused: "is not YAML: an alias (*) or a merge (<<) in it refers to nothing valid" };
  }
  if (isSeq(contents)) return { text, data: {}, list: data as unknown[], top: contents, lineOf, templated };
  if (!isMap(contents)) return { refused: "is not a mapping of keys to values" };
  return { text, data: data as { [key: string]: unknown }, list: [], top: contents, lineOf, templated };
}

/** The text that defines a key, with the comment above it; a blank line first where something new begins. */
export function sourceOf(yaml: Yaml, key: string): string {
  const entry = entryOf(yaml, key)!;
  const start = entry.key.range![0];
  const end = pastLine(yaml.text, entry.value?.range?.[1] ?? entry.key.range![1]);
  const before = yaml.text.slice(0, start).split("\n").slice(0, -1);
  const comment: string[] = [];
  while (before.at(-1)?.startsWith("#")) comment.unshift(before.pop()!);
  const goesOn = !["", "---"].includes(before.at(-1) ?? "");
  return [...(goesOn ? [] : [""]), ...comment, yaml.text.slice(start, end)].join("\n");
}

/** The line of a key, or of one item of its list. */
export function lineOfKey(yaml: Yaml, key: string): number {
  return yaml.lineOf(entryOf(yaml, key)?.key.range?.[0] ?? 0);
}

/** The text of a value as it stands in the file. */
export function valueText(yaml: Yaml, key: string): string {
  const range = entryOf(yaml, key)?.value?.range;
  return range ? yaml.text.slice(range[0], range[1]) : "";
}

/**
 * Adds a key that is not there yet: at Kayobe's own commented line for it, or at the end.
 *
 * @param source its lines, as `sourceOf` gives them
 */
export function addKey(yaml: Yaml, key: string, source: string, value: unknown): Edit {
  const { text, top } = yaml;
  if (top && (isSeq(top) || top.flow)) return { refused: "is not a mapping with one key on each line" };
  const indent = top ? columnOf(text, (top.items[0] as Entry).key.range![0]) : 0;
  const lines = source.replace(/^\n/, "").replace(/^(?=.)/gm, " ".repeat(indent));
  const block = lines.replaceAll("\n", eolOf(text));
  const places = [...atExample(yaml, key, block), ...atEnd(yaml, source.startsWith("\n"), block)];
  return proved(yaml, key, places, { ...yaml.data, [key]: value });
}

/** A text with lines at the commented line for a key, where there is one that no condition governs. */
function atExample(yaml: Yaml, key: string, block: string): string[] {
  const { text, templated } = yaml;
  const at = examplePlace(yaml, key);
  if (at === undefined || depthAt(templated ? conditionsOf(text) : [], at) !== 0) return [];
  return [splice(text, at, at, `${text.endsWith("\n", at) ? "" : eolOf(text)}${block}`)];
}

/** Texts with lines at the end, the best one first. */
function atEnd(yaml: Yaml, isNew: boolean, block: string): string[] {
  const { text, top } = yaml;
  const eol = eolOf(text);
  const end = documentEnd(yaml);
  const head = text.slice(0, end);
  const broken = head === "" || head.endsWith("\n") ? "" : eol;
  const last = (top?.items.at(-1) as Entry | undefined)?.value;
  const places: string[] = [];
  if (broken !== "" && isScalar(last) && /^BLOCK/.test(last.type ?? "")) {
    // PyYAML takes a text without an end of line as it is, and an end of line would become a part of it.
    const start = lineStart(text, (top!.items[0] as Entry).key.range![0]);
    places.push(splice(text, start, start, block + eol));
  }
  // With the blank line first. A text that runs to the end of the file may take that line for its own.
  const blank = wantsBlankLine(head, isNew) ? eol : "";
  return [...places, splice(text, end, end, broken + blank + block), splice(text, end, end, broken + block)];
}

/** Whether a blank line keeps what is added apart from what is above it. */
function wantsBlankLine(head: string, isNew: boolean): boolean {
  // Jinja removes the line break after a statement.
  if (!isNew && !head.trimEnd().endsWith("%}")) return false;
  const isBegun = /^\s*(---[^\n]*)?\s*$/.test(head);
  return !isBegun && !/\n\r?\n$/.test(head);
}

/** Another value for a key that is there. `source` is the whole value, for one line. */
export function setValue(yaml: Yaml, key: string, source: string, value: unknown): Edit {
  const entry = editable(yaml, key);
  if (isRefused(entry)) return entry;
  const range = entry.value?.range;
  const written = range !== undefined && range !== null && range[1] > range[0];
  const text = written
    ? splice(yaml.text, range[0], range[1], source + (yaml.text[range[1] - 1] === "\n" ? eolOf(yaml.text) : ""))
    : splice(yaml.text, colonEnd(yaml, entry), colonEnd(yaml, entry), ` ${source}`);
  return proved(yaml, key, [text], { ...yaml.data, [key]: value });
}

/** A key that is there, as a whole, by what `source` says. */
export function replaceKey(yaml: Yaml, key: string, source: string, value: unknown): Edit {
  const entry = editable(yaml, key);
  if (isRefused(entry)) return entry;
  const end = entry.value?.range?.[1] ?? entry.key.range![1];
  const whole = yaml.text[end - 1] === "\n";
  const text = splice(
    yaml.text,
    entry.key.range![0],
    end,
    source
      .replace(/^\n?(#.*\n)*/, "")
      .replace(/\n$/, "")
      .replaceAll("\n", eolOf(yaml.text)) + (whole ? eolOf(yaml.text) : ""),
  );
  return proved(yaml, key, [text], { ...yaml.data, [key]: value });
}

/** Items at the end of a list, in the style of the list. The value is a list, or nothing. */
export function addItems(yaml: Yaml, key: string, items: readonly Item[]): Edit {
  const entry = editable(yaml, key);
  if (isRefused(entry)) return entry;
  const before = (yaml.data[key] as unknown[] | null | undefined) ?? [];
  const wanted = { ...yaml.data, [key]: [...before, ...items] };
  if (isAlias(entry.value)) return { refused: `has ${key} as an alias of another list` };
  if (!isSeq(entry.value)) {
    const eol = eolOf(yaml.text);
    if (entry.value?.range && entry.value.range[1] > entry.value.range[0])
      return setValue(yaml, key, `[${items.map(flow).join(", ")}]`, wanted[key]);
    const at = lineEnd(yaml.text, colonEnd(yaml, entry));
    const indent = columnOf(yaml.text, entry.key.range![0]) + 2;
    return proved(
      yaml,
      key,
      [
        splice(
          yaml.text,
          at,
          at,
          (yaml.text.endsWith("\n", at) ? "" : eol) + items.map((item) => block(item, indent, eol)).join(""),
        ),
      ],
      wanted,
    );
  }
  return proved(yaml, key, [withItems(yaml.text, entry.value, items)], wanted);
}

/** Another value for one key of one item of a list. */
export function setInItem(yaml: Yaml, list: string, index: number, key: string, value: string): Edit {
  const entry = editable(yaml, list);
  if (isRefused(entry)) return entry;
  const item = isSeq(entry.value) ? entry.value.items[index] : undefined;
  const pair = isMap(item)
    ? item.items.find((candidate) => isScalar(candidate.key) && candidate.key.value === key)
    : undefined;
  const range = (pair?.value as Node | null | undefined)?.range;
  if (!range) return { refused: `has ${key} in ${list} by an anchor (&) and an alias (*)` };
  const old = yaml.data[list] as readonly { readonly [key: string]: unknown }[];
  const text = splice(yaml.text, range[0], range[1], styled(yaml.text.slice(range[0], range[1]), value));
  return proved(yaml, list, [text], {
    ...yaml.data,
    [list]: old.map((entry, at) => (at === index ? { ...entry, [key]: value } : entry)),
  });
}

/** A key with a list, as a separate text. */
export function listSource(key: string, comment: readonly string[], items: readonly Item[]): string {
  return `${["", ...comment, `${key}:`].join("\n")}\n${items.map((item) => block(item, 2, "\n")).join("")}`;
}

/** The items of a list at the top become those of a key. */
export function wrapList(yaml: Yaml, key: string): Edit {
  const top = yaml.top as YAMLSeq;
  if (top.flow) return { refused: "is a list in brackets" };
  const start = lineStart(yaml.text, top.range![0]);
  return proved(yaml, key, [splice(yaml.text, start, start, `${key}:${eolOf(yaml.text)}`)], { [key]: yaml.list });
}

function entryOf({ top }: Yaml, key: string): Entry | undefined {
  if (!top || !isMap(top)) return undefined;
  return (top.items as Entry[]).findLast((entry) => isScalar(entry.key) && entry.key.value === key);
}

/** The key, as far as the text of the file has it, and always. */
function editable(yaml: Yaml, key: string): Result<Entry> {
  const entry = entryOf(yaml, key);
  if (!entry) return { refused: `has ${key} by a merge (<<), where nothing can be changed here` };
  if (yaml.templated && depthAt(conditionsOf(yaml.text), entry.key.range![0]) > 0)
    return { refused: `has ${key} under a condition of Jinja` };
  return entry;
}

/** The line after `#key:`, as Kayobe's example files have it, and after the commented lines of its value. */
function examplePlace({ text }: Yaml, key: string): number | undefined {
  const found = [...text.matchAll(new RegExp(`^#([ \\t]?)${key}:.*$(\\r?\\n#\\1(  |- ).*$)*`, "gm"))].at(-1);
  return found ? lineEnd(text, found.index + found[0].length) : undefined;
}

function documentEnd({ text, top }: Yaml): number {
  const from = top?.range?.[1] ?? 0;
  const mark = /^\.\.\.[ \t]*\r?$/m.exec(text.slice(from));
  return mark ? from + mark.index : text.length;
}

function withItems(text: string, list: YAMLSeq, items: readonly Item[]): string {
  const eol = eolOf(text);
  const last = list.items.at(-1) as Node | undefined;
  if (!list.flow) {
    const at = pastLine(text, last!.range![1]);
    return splice(
      text,
      at,
      at,
      (text.endsWith("\n", at) ? "" : eol) +
        items.map((item) => block(item, columnOf(text, list.range![0]), eol)).join(""),
    );
  }
  const close = list.range![1] - 1;
  if (!last) return splice(text, list.range![0] + 1, close, items.map(flow).join(", "));
  const end = last.range![1];
  const tail = text.slice(end, close);
  const comma = /^\s*,/.exec(tail)?.[0].length;
  const more = items.map(flow);
  // One item to a line when the list is written so.
  if (text.slice(list.range![0], last.range![0]).includes("\n")) {
    const indent = " ".repeat(columnOf(text, last.range![0]));
    const at = tail.includes("\n") ? lineEnd(text, end) : close;
    const lines = more
      .map((item, index) => `${indent}${item}${comma !== undefined || index < more.length - 1 ? "," : ""}${eol}`)
      .join("");
    const started = text.endsWith("\n", at) ? lines : `${eol}${lines.slice(0, -eol.length)}`;
    const added = splice(text, at, at, started);
    return comma === undefined ? splice(added, end, end, ",") : added;
  }
  if (comma !== undefined) return splice(text, end + comma, end + comma, more.map((item) => ` ${item},`).join(""));
  return splice(text, end, end, more.map((item) => `, ${item}`).join(""));
}

function block(item: Item, indent: number, eol: string): string {
  const space = " ".repeat(indent);
  if (typeof item === "string") return `${space}- ${scalar(item)}${eol}`;
  return Object.entries(item)
    .map(([key, value], index) => `${space}${index === 0 ? "- " : "  "}${key}: ${scalar(value)}${eol}`)
    .join("");
}

function flow(item: Item): string {
  if (typeof item === "string") return scalar(item);
  return `{${Object.entries(item)
    .map(([key, value]) => `${key}: ${scalar(value)}`)
    .join(", ")}}`;
}

/** A text as YAML 1.1 takes it for a text. */
function scalar(text: string): string {
  const plain = /^[A-Za-z_][\w.-]*$/.test(text)
    ? !/^(y|n|yes|no|on|off|true|false|null)$/i.test(text)
    : /^\d+\.\d+\.\d+$/.test(text);
  return plain ? text : JSON.stringify(text);
}

function styled(old: string, value: string): string {
  return /^['"]/.test(old) ? `${old[0]}${value}${old[0]}` : scalar(value);
}

/** The first of the texts with the intended meaning. */
function proved({ templated }: Yaml, key: string, texts: readonly string[], wanted: unknown): Edit {
  for (const text of texts) {
    const after = readYaml(text, templated);
    if (!isRefused(after) && isDeepStrictEqual(after.data, wanted)) return { text };
  }
  // The message does not repeat the data: it may be a secret.
  return {
    refused: `has ${key} in a form that cannot be changed without changing something else, for example an anchor (&) or a comment in its line`,
  };
}

function colonEnd({ text }: Yaml, entry: Entry): number {
  return text.indexOf(":", entry.key.range![1]) + 1;
}

function eolOf(text: string): string {
  return /\r\n/.test(text) ? "\r\n" : "\n";
}

/** `lineEnd` for the end of a value. That of a text in block style is there already. */
function pastLine(text: string, end: number): number {
  return text[end - 1] === "\n" ? end : lineEnd(text, end);
}

function columnOf(text: string, at: number): number {
  return at - lineStart(text, at);
}
