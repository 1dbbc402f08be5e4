import { Document, Pair, Scalar, YAMLMap, visit } from "yaml";
import type { Node } from "yaml";
import type { Json } from "../../ir.js";

/** One key of a mapping. Without a value the key appears only as a comment. */
export interface Entry {
  readonly key: string;
  readonly value?: Json;
  /** Paragraphs. */
  readonly comment?: readonly string[];
}

/**
 * Words as lines of at most `width` characters; a longer word has its own line.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/**
 * A YAML document of one mapping, in the order given, with a comment above each key that has one.
 *
 * @param prose whether long texts may go over several lines; Jinja expressions must not
 *
 * The document is YAML 1.1 as Ansible reads it: `on`, `no` and `1:20` are quoted when they are texts.
 */
export function yaml(entries: readonly Entry[], { prose = false } = {}): string {
  // Without `compat` the library writes for YAML 1.2, where on, no and 1:20 are plain texts; Ansible reads 1.1.
  const doc = new Document(undefined, { compat: "yaml-1.1" });
  const map = new YAMLMap();
  let pending: string[] = [];
  for (const { key, value, comment } of entries) {
    const lines = comment ? comment.flatMap((paragraph) => wrap(paragraph, 78)).map((line) => ` ${line}`) : [];
    if (value === undefined) {
      pending = [...pending, ...lines, ` ${key}:`, ""];
      continue;
    }
    const node = new Scalar(key);
    const before = [...pending, ...lines];
    if (before.length > 0) {
      node.commentBefore = before.join("\n");
      node.spaceBefore = map.items.length > 0;
    }
    pending = [];
    map.add(new Pair(node, quoted(doc.createNode(value))));
  }
  doc.contents = map as unknown as typeof doc.contents;
  if (pending.length > 0) doc.comment = pending.slice(0, -1).join("\n");
  doc.directives!.docStart = true;
  return doc.toString({ lineWidth: prose ? 120 : 0 });
}

/** "=" has its own type in YAML 1.1, which the library does not know and which PyYAML refuses. */
function quoted(node: Node): Node {
  visit(node, (_, scalar) => {
    if (scalar instanceof Scalar && scalar.value === "=") scalar.type = "QUOTE_DOUBLE";
  });
  return node;
}
