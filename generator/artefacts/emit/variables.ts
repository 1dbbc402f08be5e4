import type { Json, OutFile, Role, Variable, VarType } from "../../ir.js";

/** docs/variables.md: what the READMEs of the artefacts say of the variables, where the repository is read. */
export function variablesPage(role: Role): OutFile {
  return {
    path: "docs/variables.md",
    text: `<!-- Made from generator/model/sriov.ts: change that, then \`UPDATE=1 npx mocha -g "the pages"\`. -->\n\n${variables(role, 1)}\n`,
  };
}

/**
 * Every variable of the role and every key of its dictionaries, as tables.
 *
 * @param level of the first heading
 */
export function variables(role: Role, level: number): string {
  return tables(role)
    .map(({ title, key, before, rows }, index) => {
      const lines = rows.map((row) => `| ${row.name} | ${row.type} | ${row.default} | ${row.description} |`);
      return [
        `${"#".repeat(index === 0 ? level : level + 1)} ${title}`,
        ...before,
        [`| ${key} | type | default | what it does |`, "| --- | --- | --- | --- |", ...lines].join("\n"),
      ].join("\n\n");
    })
    .join("\n\n");
}

interface Table {
  readonly title: string;
  readonly key: "variable" | "key";
  /** Paragraphs under the title. */
  readonly before: readonly string[];
  readonly rows: readonly {
    readonly name: string;
    readonly type: string;
    readonly default: string;
    readonly description: string;
  }[];
}

/** One table for the role's variables, then one for each dictionary in them. */
function tables(role: Role): Table[] {
  const inner = (variable: Variable): Table[] => {
    const of = variable.type.kind === "list" ? variable.type.elements : variable.type;
    if (of.kind !== "dict") return [];
    const title = variable.type.kind === "list" ? `Each entry of \`${variable.name}\`` : `\`${variable.name}\``;
    return [{ title, key: "key", before: [], rows: rows(of.fields) }, ...of.fields.flatMap(inner)];
  };
  const before = [
    "The role checks every variable before it changes anything. With `schema.json` in the role, editors complete and check variables too.",
    "An editor with yaml-language-server (VS Code with Red Hat's YAML extension, Neovim, Emacs and others) does this for a file of group_vars or host_vars that contains the line `# yaml-language-server: $schema=PATH/schema.json`. PATH is the folder of the role or of the collection, absolute or relative to that file. Open a file without an extension as YAML.",
  ];
  return [
    { title: "Variables", key: "variable", before, rows: rows(role.variables) },
    ...role.variables.flatMap(inner),
  ];
}

function rows(variables: readonly Variable[]): Table["rows"] {
  return variables.map((variable) => ({
    name: `\`${variable.name}\``,
    type: cell(typeName(variable.type)),
    default: variable.required
      ? "required"
      : variable.default === undefined
        ? "not set"
        : cell(`\`${inline(variable.default)}\``),
    description: cell(
      [
        ...variable.description,
        ...(variable.example === undefined ? [] : [`Example: \`${inline(variable.example)}\``]),
      ].join("<br>"),
    ),
  }));
}

function typeName(of: VarType): string {
  switch (of.kind) {
    case "bool":
    case "path":
    case "dict":
      return of.kind;
    case "map":
      return "dict";
    case "raw":
      return ["str", ...(of.also ?? []).map((other) => (other.kind === "map" ? "dict" : other.kind))].join(" or ");
    case "str":
      return of.choices ? of.choices.map((choice) => `\`${choice}\``).join(" or ") : "str";
    case "int":
      return of.minimum !== undefined && of.maximum !== undefined
        ? `int, ${of.minimum} to ${of.maximum}`
        : of.minimum !== undefined
          ? `int, at least ${of.minimum}`
          : of.maximum !== undefined
            ? `int, at most ${of.maximum}`
            : "int";
    case "list":
      return `list of ${typeName(of.elements)}`;
  }
}

/** A value in YAML's flow style, to copy. */
function inline(value: Json): string {
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(inline).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value as { readonly [key: string]: Json }).map(
    ([key, item]) => `${/^[A-Za-z_]\w*$/.test(key) ? key : JSON.stringify(key)}: ${inline(item)}`,
  );
  return pairs.length === 0 ? "{}" : `{${pairs.join(", ")}}`;
}

/** A bar ends a table's cell, even between backticks. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
