// Configuration of OpenStack's services in Kayobe and Kolla: oslo.config's INI, in which keys may be repeated,
// a value continues in lines that begin with a space, and Jinja can be anywhere, also in keys.

import { conditionsOf, depthAt, jinjaOf } from "./jinja.js";

export interface IniEntry {
  readonly section: string;
  readonly key: string;
  /** With the lines that continue it. */
  readonly value: string;
  readonly line: number;
  /** Offsets: of the key, and of the end of the value. */
  readonly start: number;
  readonly end: number;
  /** Whether it is there only under a condition, of Kayobe's or of Kolla's templating. */
  readonly conditional: boolean;
  /** Whether its end is always the same: a condition may be in its line, or in the lines that continue it. */
  readonly open: boolean;
}

interface Section {
  readonly name: string;
  /** Where the line after the heading begins. */
  readonly after: number;
  /** Whether it stands in a statement of Jinja, such as {% if %}. */
  readonly conditional: boolean;
}

export interface Ini {
  readonly text: string;
  readonly entries: readonly IniEntry[];
  readonly sections: readonly Section[];
}

export function readIni(text: string): Ini {
  const jinja = jinjaOf(text);
  const inside = (at: number): boolean => jinja.some(({ start, end }) => start < at && at < end);
  const conditions = conditionsOf(text);
  const entries: IniEntry[] = [];
  const sections: Section[] = [];
  let section = "DEFAULT";
  let open: { key: string; value: string; line: number; start: number; end: number; section: string } | undefined;
  const close = (): void => {
    if (open) {
      const before = depthAt(conditions, open.start);
      const inLine = /^(\{%[-+]?\s*raw\s*[-+]?%\})?\{%[-+]?\s*(if|for)/.test(text.slice(open.start, open.end));
      entries.push({
        ...open,
        conditional: before > 0 || inLine,
        open: !inLine && depthAt(conditions, open.end) === before,
      });
    }
    open = undefined;
  };
  let at = 0;
  for (const [index, whole] of text.split("\n").entries()) {
    const line = whole.replace(/\r$/, "").trimEnd();
    const bare = line.replace(/\{%.*?%\}|\{#.*?#\}/g, "");
    const here = at;
    at += whole.length + 1;
    if (inside(here)) {
      if (open) open = { ...open, value: `${open.value}\n${line}`, end: here + line.length };
    } else if (line === "") close();
    // Statements and comments of Jinja are not lines of the rendered file.
    else if (bare.trim() === "" || /^\s*\{[%#]/.test(bare)) continue;
    else if (/^\s/.test(line)) {
      if (open) open = { ...open, value: `${open.value}\n${line.trim()}`, end: here + line.length };
    } else if (/^[#;]/.test(line)) continue;
    else if (line.startsWith("[") && line.endsWith("]")) {
      close();
      section = line.slice(1, -1);
      sections.push({ name: section, after: Math.min(at, text.length), conditional: depthAt(jinja, here) > 0 });
    } else {
      close();
      const separator = separatorOf(line);
      if (separator === -1) continue;
      open = {
        section,
        key: line
          .slice(0, separator)
          .replace(/\{%.*?%\}/g, "")
          .trim(),
        value: line.slice(separator + 1).trim(),
        line: index + 1,
        start: here,
        end: here + line.length,
      };
    }
  }
  close();
  return { text, entries, sections };
}

/** Key and value as one text, in which to look for names. */
export function textOfEntry({ key, value }: IniEntry): string {
  return `${key} ${value}`;
}

/** Another entry, or what replaces one, with the comment above it and the blank line below it that Jinja eats. */
export function chunkOf(ini: Ini, entry: IniEntry): string {
  const before = ini.text.slice(0, entry.start).split("\n").slice(0, -1);
  const comment: string[] = [];
  while (/^[#;]/.test(before.at(-1) ?? "")) comment.unshift(before.pop()!);
  const eaten = ini.text.slice(0, entry.end).endsWith("%}") ? "\n" : "";
  return `${[...comment, ini.text.slice(entry.start, entry.end)].join("\n")}\n${eaten}`;
}

/** Entries in a section of the file: where its heading is, or as a new one at the end, with what is to end a file. */
export function addToSection(ini: Ini, name: string, chunk: string, trailer = ""): string {
  const { text } = ini;
  const eol = eolOf(text);
  const section = ini.sections.find((candidate) => candidate.name === name && !candidate.conditional);
  if (section) {
    const started = text.endsWith("\n", section.after) ? "" : eol;
    return text.slice(0, section.after) + started + chunk.replaceAll("\n", eol) + text.slice(section.after);
  }
  // Kayobe joins files of the same name: a blank line first keeps them apart.
  const broken = text === "" || text.endsWith("\n") ? "" : eol;
  // With a minus, Jinja takes the ends of lines away up to its next piece, Kayobe's or, in {% raw %}, Kolla's.
  const takes = /\{[%{#]-|-[%}#]\}/.test(text.trimEnd().split("\n").slice(-2).join("\n"));
  const apart = takes ? "{% raw %}{# This keeps what follows in its own line. #}{% endraw %}\n\n" : "";
  return text + broken + `${apart}\n[${name}]\n${chunk}${trailer}`.replaceAll("\n", eol);
}

/** Lines of Jinja comments that end a file. */
export function trailerOf({ text }: Ini): string {
  return /(\{#[^\n]*#\}\n)*$/.exec(text)![0];
}

export function replaceEntry(ini: Ini, old: IniEntry, source: string): string {
  return ini.text.slice(0, old.start) + source.replaceAll("\n", eolOf(ini.text)) + ini.text.slice(old.end);
}

/** An item at the end of a value that is a list with commas. */
export function addToList(ini: Ini, entry: IniEntry, item: string): string {
  const separator = entry.value === "" || entry.value.endsWith(",") ? " " : ", ";
  return ini.text.slice(0, entry.end) + separator + item + ini.text.slice(entry.end);
}

export function itemsOf(entry: IniEntry): string[] {
  return entry.value.split(/[\s,]+/).filter((item) => item !== "");
}

/** Where a key ends. A key may be an expression of Jinja, with any character in it. */
function separatorOf(line: string): number {
  const skipped = line.replace(/\{\{.*?\}\}|\{%.*?%\}/g, (expression) => "x".repeat(expression.length));
  return skipped.search(/[=:]/);
}

function eolOf(text: string): string {
  return /\r\n/.test(text) ? "\r\n" : "\n";
}
