import { LineCounter, parseAllDocuments, visit } from "yaml";
import type { Document, ScalarTag, Tags } from "yaml";
import { lineEnd, lineStart, splice } from "./text.js";

// Files as Ansible reads them: YAML 1.1 by PyYAML, with the places of what stands in them; words of truth; Vault.

/** Documents, and the lines of the offsets in them. */
export interface ReadYaml {
  readonly documents: readonly Document.Parsed[];
  readonly lines: LineCounter;
}

/** How many lines without indentation are read, before a text in quotes or brackets counts as endless. */
const patience = 300;

/** More than anything is indented by. */
const margin = " ".repeat(80);

/**
 * The documents, as PyYAML reads them: what continues in quotes or brackets may begin at the margin there, which the
 * library reads as a fault. So those lines are indented, which changes nothing in quotes or brackets, and the places
 * are those of the text again.
 *
 * @param uniqueKeys whether a key that is there twice is an error; Ansible takes the last of two
 */
export function parseAsAnsible(source: string, uniqueKeys = false): ReadYaml {
  const lines = new LineCounter();
  const plain = documentsOf(source, lines, uniqueKeys);
  let documents = plain;
  let text = source;
  const added: number[] = [];
  for (let tries = 0; tries < patience; tries++) {
    const at = marginPlace(text, documents);
    if (at === undefined) break;
    if (at >= text.length || /^(---|\.\.\.)(\s|$)/.test(text.slice(at, at + 4))) return { documents: plain, lines };
    text = splice(text, at, at, margin);
    added.push(at);
    documents = documentsOf(text, new LineCounter(), uniqueKeys);
  }
  if (added.length === 0 || documents.some(({ errors }) => errors.length > 0)) return { documents: plain, lines };
  moveBack(documents, added);
  return { documents, lines };
}

function documentsOf(text: string, lineCounter: LineCounter, uniqueKeys: boolean): readonly Document.Parsed[] {
  // PyYAML ignores the version, and ends lines in more ways than the library.
  const usual = text
    .replace(/^(\ufeff?%YAML[ \t]+)1\.2(?=\s)/, "$11.1")
    .replace(/\r(?!\n)|[\u0085\u2028\u2029]/g, "\n");
  const options = { version: "1.1", uniqueKeys, lineCounter, logLevel: "silent", customTags: asPyYaml } as const;
  const documents = parseAllDocuments(usual, options);
  return Array.isArray(documents) ? documents : [];
}

/** The place of the first line that continues in quotes or brackets at the margin. */
function marginPlace(text: string, documents: readonly Document.Parsed[]): number | undefined {
  const error = documents
    .flatMap(({ errors }) => errors)
    .find(
      ({ code, message }) =>
        (code === "BAD_INDENT" && message.startsWith("Flow ")) ||
        (code === "MISSING_CHAR" && /^Missing closing ["']quote/.test(message)),
    );
  if (!error) return undefined;
  // The place is at the line that begins too far left, or at the end of the one before.
  return error.code === "BAD_INDENT" ? lineStart(text, error.pos[0]) : lineEnd(text, error.pos[0]);
}

type Ranged = { range?: [number, number, number] | null | undefined };

/** Gives the nodes their places in the text without what was added. */
function moveBack(documents: readonly Document.Parsed[], added: readonly number[]): void {
  const back = (offset: number): number =>
    added.toReversed().reduce((place, at) => (place <= at ? place : Math.max(at, place - margin.length)), offset);
  const move = (node: Ranged): void => {
    if (node.range) node.range = node.range.map(back) as [number, number, number];
  };
  for (const document of documents) {
    move(document);
    visit(document, (_, node) => {
      if (node !== null && typeof node === "object" && "range" in node) move(node as Ranged);
    });
  }
}

/** Plain texts that PyYAML does not read as texts (yaml/resolver.py); the library has more of them. */
const resolved: readonly [tag: string, example: string, test: RegExp][] = [
  ["bool", "true", /^(?:yes|Yes|YES|true|True|TRUE|on|On|ON)$/],
  ["bool", "false", /^(?:no|No|NO|false|False|FALSE|off|Off|OFF)$/],
  ["int", "7", /^[-+]?(?:0|[1-9][0-9_]*)$/],
  ["int", "1:30", /^[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+$/],
  ["float", "1.0e+3", /^[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)[eE][-+][0-9]+$/],
];

function asPyYaml(tags: Tags): Tags {
  return tags.map((tag) => {
    if (typeof tag === "string" || !("test" in tag) || !(tag.test instanceof RegExp)) return tag;
    const own = tag.test;
    const found = resolved.find(([name, example]) => tag.tag === `tag:yaml.org,2002:${name}` && own.test(example));
    return found ? { ...(tag as ScalarTag), test: found[2] } : tag;
  });
}

/** Whether Ansible Vault has encrypted a file. */
export function isVaulted(text: string): boolean {
  return text.startsWith("$ANSIBLE_VAULT");
}

/** What Ansible's filter `bool` reads as true, in any case; everything else is false. */
const trueWords = ["yes", "on", "1", "true"];

/** The words that a module reads as a boolean (BOOLEANS in convert_bool.py), in any case. */
export const words = {
  true: [...trueWords, "y", "t"],
  false: ["no", "off", "0", "false", "n", "f"],
} as const;

/** A value as Ansible's filter `bool` reads it; nothing for an expression. */
export function truth(value: unknown): boolean | undefined {
  if (typeof value === "string" && /\{[{%]/.test(value)) return undefined;
  if (typeof value === "object" && value !== null) return undefined;
  return value === true || value === 1 || (typeof value === "string" && trueWords.includes(value.toLowerCase()));
}

/** A value as a module reads its option that is a boolean; nothing for what it refuses. */
export function booleanOf(value: boolean | number | string): boolean | undefined {
  const word = String(value).toLowerCase();
  return words.true.includes(word) ? true : (words.false as readonly string[]).includes(word) ? false : undefined;
}
