// Jinja in files that Kayobe renders: where it is, not its result.

interface Statement {
  readonly start: number;
  readonly end: number;
  /** How many more statements are open after it. */
  readonly opens: number;
}

interface Block {
  readonly header: string;
  readonly start: number;
  /** Where its content begins and ends. */
  readonly body: number;
  readonly bodyEnd: number;
  readonly end: number;
}

/** Every piece of Jinja; in {% raw %} there is none. */
export function jinjaOf(text: string): readonly Statement[] {
  const found: Statement[] = [];
  const pattern = /\{#[\s\S]*?#\}|\{\{[\s\S]*?\}\}|\{%[-+]?\s*(\w+)([\s\S]*?)%\}/g;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    const [whole, name = "", rest = ""] = match;
    const end = match.index + whole.length;
    const opens = name.startsWith("end")
      ? -1
      : /^(if|for|raw|macro|call|filter|block|with|autoescape)$/.test(name) || (name === "set" && !rest.includes("="))
        ? 1
        : 0;
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
  return [...text.matchAll(/\{#[\s\S]*?#\}|\{%[-+]?\s*(\w+)[\s\S]*?%\}/g)].map(({ 0: whole, 1: name = "", index }) => ({
    start: index,
    end: index + whole.length,
    opens: /^(if|for)$/.test(name) ? 1 : /^end(if|for)$/.test(name) ? -1 : 0,
  }));
}

/** Conditions and loops that are open at a place, the innermost last, each with its header, as `for x in y`. */
export function openAt(text: string, at: number): readonly Block[] {
  const found = [...text.matchAll(/\{#[\s\S]*?#\}|\{%[-+]?\s*(\w+)[\s\S]*?%\}/g)];
  const open: { header: string; start: number; body: number }[] = [];
  for (const { 0: whole, 1: name = "", index } of found) {
    if (index + whole.length > at) break;
    if (/^(if|for)$/.test(name))
      open.push({ header: whole.replace(/^\{%[-+]?\s*|\s*[-+]?%\}$/g, ""), start: index, body: index + whole.length });
    else if (/^end(if|for)$/.test(name)) open.pop();
  }
  return open.map((block) => {
    let depth = 1;
    for (const { 0: whole, 1: name = "", index } of found) {
      if (index < block.body) continue;
      depth += /^(if|for)$/.test(name) ? 1 : /^end(if|for)$/.test(name) ? -1 : 0;
      if (depth === 0) return { ...block, bodyEnd: index, end: index + whole.length };
    }
    return { ...block, bodyEnd: text.length, end: text.length };
  });
}

/**
 * Whether one of these places is reached under all conditions: a condition with an `else` counts when each of its
 * branches reaches one.
 */
export function isAlwaysReached(text: string, places: readonly number[]): boolean {
  const statements = [
    ...text.matchAll(/\{#[\s\S]*?#\}|\{%[-+]?\s*(if|elif|else|endif|for|endfor)\b[\s\S]*?%\}/g),
  ].flatMap(({ 1: name, index }) => (name === undefined ? [] : [{ name, index }]));
  let at = 0;
  return branch(0).reached;

  /** Reads on to what closes a branch. */
  function branch(from: number): { reached: boolean; end: number; closing: string } {
    let start = from;
    let reached = false;
    for (;;) {
      const next = statements[at++];
      const end = next?.index ?? text.length;
      reached ||= places.some((place) => place >= start && place < end);
      if (!next || !["if", "for"].includes(next.name)) return { reached, end, closing: next?.name ?? "" };
      const inner = block(next);
      reached ||= inner.reached;
      start = inner.end;
    }
  }

  /** Reads a condition or a loop to its end. */
  function block(opening: { name: string; index: number }): { reached: boolean; end: number } {
    const branches = [branch(opening.index)];
    while (["elif", "else"].includes(branches.at(-1)!.closing)) branches.push(branch(branches.at(-1)!.end));
    return {
      reached: opening.name === "if" && branches.at(-2)?.closing === "else" && branches.every(({ reached }) => reached),
      end: branches.at(-1)!.end,
    };
  }
}

/** Names of variables in a piece of Jinja, without filters, attributes and texts. */
export function namesIn(piece: string): readonly string[] {
  const bare = piece
    .replace(/hostvars\[inventory_hostname\](?:\.(\w+)|\[['"](\w+)['"]\])/g, "$1$2")
    .replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "''");
  return [...bare.matchAll(/(?<![\w.])(?<!\|\s*)([A-Za-z_]\w*)(?!\w|\s*=(?!=))/g)]
    .map((match) => match[1]!)
    .filter((name) => !words.has(name));
}

const words = new Set([
  "for",
  "in",
  "if",
  "elif",
  "else",
  "endif",
  "endfor",
  "not",
  "and",
  "or",
  "is",
  "defined",
  "undefined",
  "loop",
  "set",
  "raw",
  "endraw",
  "true",
  "false",
  "none",
  "True",
  "False",
  "None",
]);

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
    // What begins in a line with something else, for example a text in quotes, is a part of that.
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
