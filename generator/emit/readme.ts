import Handlebars from "handlebars";
import type { Json, OutFile, Published, Role, Variable, VarType } from "../ir.js";

/**
 * README.md. The template has no logic: rows are prepared here.
 *
 * @param template the text of README.md.hbs
 * @param examples whole playbooks; each is quoted under its file name
 * @throws Error when the template names something that it is not given
 */
export function readme(role: Role, template: string, examples: readonly OutFile[], layout: Published): OutFile {
  const { namespace, name } = role.identity;
  const groups = tables(role);
  const data = {
    identity: role.identity,
    title: `${namespace}.${name}`,
    short_description: role.shortDescription,
    description: role.description,
    what: layout === "role" ? "This is the standalone role" : "This is the collection",
    install: install(layout, `${namespace}.${name}`),
    license: role.identity.license.join(", "),
    variables: groups.slice(0, 1),
    dictionaries: groups.slice(1),
    examples: examples.map(({ path, text }) => ({ title: exampleTitle(path), text: text.trimEnd() })),
  };
  // An engine of our own, not the global one; noEscape because this is Markdown and "=" is no HTML; strict because
  // an unknown name would be an empty text in silence.
  const render = Handlebars.create().compile(template, { strict: true, noEscape: true });
  return { path: "README.md", text: render(data) };
}

function install(layout: Published, name: string): string {
  switch (layout) {
    case "role":
      return `ansible-galaxy role install ${name}`;
    case "collection":
      return `ansible-galaxy collection install ${name}`;
  }
}

function exampleTitle(path: string): string {
  const words = (path.split("/").at(-1) ?? path).replace(/\.ya?ml$/, "").replace(/[_-]+/g, " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

interface Table {
  readonly title: string;
  readonly rows: readonly { readonly name: string; readonly type: string; readonly default: string; readonly description: string }[];
}

/** One table for the role's variables, then one for each dictionary in them. */
function tables(role: Role): Table[] {
  const inner = (variable: Variable): Table[] => {
    const of = variable.type.kind === "list" ? variable.type.elements : variable.type;
    if (of.kind !== "dict") return [];
    const title = variable.type.kind === "list" ? `Each entry of \`${variable.name}\`` : `\`${variable.name}\``;
    return [{ title, rows: rows(of.fields) }, ...of.fields.flatMap(inner)];
  };
  return [{ title: "Variables", rows: rows(role.variables) }, ...role.variables.flatMap(inner)];
}

function rows(variables: readonly Variable[]): Table["rows"] {
  return variables.map((variable) => ({
    name: `\`${variable.name}\``,
    type: cell(typeName(variable.type)),
    default: variable.required ? "required" : variable.default === undefined ? "not set" : cell(`\`${inline(variable.default)}\``),
    description: cell([...variable.description, ...(variable.example === undefined ? [] : [`Example: \`${inline(variable.example)}\``])].join("<br>")),
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
      return "str";
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
  const pairs = Object.entries(value as { readonly [key: string]: Json }).map(([key, item]) => `${key}: ${inline(item)}`);
  return pairs.length === 0 ? "{}" : `{${pairs.join(", ")}}`;
}

/** A bar ends a table's cell, even between backticks. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
