// Jinja in files that Kayobe makes others of: where it stands, not what comes out.

interface Statement {
  readonly start: number;
  readonly end: number;
  /** How many statements more are open after it. */
  readonly opens: number;
}

/** Every piece of Jinja; in {% raw %} there is none. */
export function jinjaOf(text: string): readonly Statement[] {
  const found: Statement[] = [];
  const pattern = /\{#[\s\S]*?#\}|\{\{[\s\S]*?\}\}|\{%[-+]?\s*(\w+)([\s\S]*?)%\}/g;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [whole, name = "", rest = ""] = match;
    const end = match.index + whole.length;
    const opens = name.startsWith("end") ? -1 : /^(if|for|raw|macro|call|filter|block|with|autoescape)$/.test(name) || (name === "set" && !rest.includes("=")) ? 1 : 0;
    found.push({ start: match.index, end, opens });
    if (name === "raw") {
      const closing = /\{%[-+]?\s*endraw/g;
      closing.lastIndex = end;
      const last = closing.exec(text);
      pattern.lastIndex = last ? last.index : text.length;
    }
  }
  return found;
}

export function depthAt(jinja: readonly Statement[], at: number): number {
  return jinja.filter(({ end }) => end <= at).reduce((depth, { opens }) => depth + opens, 0);
}

/** Conditions and loops, those that {% raw %} keeps for Kolla too. */
export function conditionsOf(text: string): readonly Statement[] {
  return [...text.matchAll(/\{#[\s\S]*?#\}|\{%[-+]?\s*(\w+)[\s\S]*?%\}/g)].map(({ 0: whole, 1: name = "", index }) => ({ start: index, end: index + whole.length, opens: /^(if|for)$/.test(name) ? 1 : /^end(if|for)$/.test(name) ? -1 : 0 }));
}

/** A copy of equal length in which lines of nothing but Jinja are comments of YAML. */
export function masked(text: string): string {
  const jinja = jinjaOf(text);
  const covers = (at: number): Statement | undefined => jinja.find(({ start, end }) => start <= at && at < end);
  let at = 0;
  let through = 0;
  const lines = text.split("\n").map((line) => {
    const start = at;
    at += line.length + 1;
    const first = start + line.search(/\S/);
    if (line.trim() === "") return line;
    const begun = covers(first);
    // What begins in a line with something else, such as a text in quotes, is a part of that.
    if (!begun || (begun.start < start && through < start)) return line;
    for (let char = first; char < start + line.length; char++) {
      const piece = covers(char);
      if (!piece && /\S/.test(text[char]!)) return line;
      if (piece) char = piece.end - 1;
    }
    through = start + line.length + 1;
    return `${line.slice(0, first - start)}#${line.slice(first - start + 1)}`;
  });
  return lines.join("\n");
}
