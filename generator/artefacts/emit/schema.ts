import type { Form, Json, OutFile, Role, Variable, VarType } from "../../ir.js";
import { refusesNull } from "./checks.js";

type Schema = { readonly [key: string]: Json };

/**
 * schema.json: JSON Schema of the variables, for editors that open group_vars
 * (`# yaml-language-server: $schema=..`). Variables of other roles in the same file are none of its business.
 *
 * In place of any value there may be Jinja, which only Ansible can evaluate. `errorMessage` is read by editors, and by
 * no validator. What editors complete is in `anyOf`, never in `else`, and they report the first alternative, if none
 * fits.
 *
 * @param others variables with the role's prefix that are not the role's own, and may stand next to its variables
 */
export function schema(role: Role, others: readonly string[] = []): OutFile {
  const known = [...role.variables.map(({ name }) => name), ...others];
  const prefix = commonPrefix(role.variables.map(({ name }) => name));
  const document = {
    $schema: "http://json-schema.org/draft-07/schema#",
    $id: `${role.identity.repository}/schema.json`,
    title: role.shortDescription,
    definitions: { jinja, unset, open: { anyOf: [reference("jinja"), reference("unset")] } },
    // A file in which everything is a comment is null.
    ...object(role.variables, ["object", "null"], (variable) => variable.required || refusesNull(variable)),
    // Names that no variable has: a misspelt one would be ignored without a message. After a prefix of nothing, none is
    // known to be wrong.
    ...(prefix === ""
      ? {}
      : {
          patternProperties: {
            [`^${prefix}(?!(?:${known.map((name) => name.slice(prefix.length)).join("|")})$)`]: false,
          },
        }),
    additionalProperties: true,
  };
  return { path: "schema.json", text: `${JSON.stringify(document, null, 2)}\n` };
}

/**
 * An expression or statement of Jinja, or what `ansible-vault encrypt_string` made of a value.
 *
 * Two things here are for yaml-language-server (1.25.0). The type is a list of one: the names of others are joined in
 * its messages, and the errorMessage of the alternative before is dropped. It has a title: alternatives without any are
 * all shown in a hover.
 */
const jinja: Schema = { title: "Jinja", type: ["string"], pattern: "\\{[{%#]|^\\$ANSIBLE_VAULT;" };
const unset: Schema = { title: "not set", type: ["null"] };

/** What the names begin with, all of them, up to an underscore. */
function commonPrefix(names: readonly string[]): string {
  const [first = ""] = names;
  const prefix = first.slice(0, first.indexOf("_") + 1);
  return names.every((name) => name.startsWith(prefix)) ? prefix : "";
}

/** @param takesNoNull whether a variable may not be null: keys of a dictionary that are null are not given. */
function object(
  variables: readonly Variable[],
  type: Json = "object",
  takesNoNull: (variable: Variable) => boolean = ({ required }) => required,
): Schema {
  const required = variables.filter((variable) => variable.required).map((variable) => variable.name);
  return {
    type,
    properties: Object.fromEntries(
      variables.map((variable) => [variable.name, property(variable, takesNoNull(variable))]),
    ),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

function property(variable: Variable, takesNoNull: boolean): Schema {
  return {
    // Editors show it next to what they complain of.
    title: variable.name,
    description: variable.description.join("\n\n"),
    anyOf: [...orJinja(alternatives(variable.type)), ...(takesNoNull ? [] : [reference("unset")])],
    ...(variable.default === undefined ? {} : { default: variable.default }),
    ...(variable.example === undefined ? {} : { examples: [variable.example] }),
  };
}

function reference(definition: "jinja" | "unset" | "open"): Schema {
  return { $ref: `#/definitions/${definition}` };
}

/** Any text may be Jinja; the schema accepts it without a message. */
function orJinja(schemas: readonly Schema[]): Schema[] {
  return schemas.some((one) => one.type === "string" && one.pattern === undefined && one.enum === undefined)
    ? [...schemas]
    : [...schemas, reference("jinja")];
}

/** What a value may be besides Jinja; the first is what it usually is. */
function alternatives(of: VarType): Schema[] {
  switch (of.kind) {
    case "bool":
      return boolean(of.only);
    case "path":
      return [text(path(of.ending))];
    case "raw":
      // Instead of a text, an empty list or dictionary says nothing.
      return [text(of.form), ...(of.also ?? []).flatMap(alternatives).map((other) => ({ ...other, ...filled(other) }))];
    case "str":
      if (of.choices) return [{ type: "string", enum: of.choices }];
      return [text(of.form), ...(of.number ? [{ type: "number" }] : [])];
    case "int":
      return integer(of);
    case "list":
      return [
        { type: "array", items: { anyOf: orJinja(alternatives(of.elements)) } },
        ...(of.commas ? [separated(of.elements)] : []),
      ];
    case "dict": {
      const rules = [...selectorRules(of.fields), ...neighbourRules(of.fields)];
      return [{ ...object(of.fields), ...(rules.length > 0 ? { allOf: rules } : {}) }];
    }
    case "map":
      return [mapping(of)];
  }
}

function filled({ type }: Schema): Schema {
  return type === "array" ? { minItems: 1 } : type === "object" ? { minProperties: 1 } : {};
}

function mapping(of: Extract<VarType, { readonly kind: "map" }>): Schema {
  const numbers = of.textOnly ? [] : [bounded(of), { type: "boolean" }];
  const value = { anyOf: orJinja([...numbers, text(of.form)]) };
  // Not propertyNames: there the key of a merge, <<, would have to be such a name.
  return {
    type: "object",
    ...(of.keys
      ? { patternProperties: { [of.keys.pattern]: value }, additionalProperties: false }
      : { additionalProperties: value }),
  };
}

function text(form: Form | undefined): Schema {
  return { type: "string", ...(form ? { pattern: form.pattern, errorMessage: `This must be ${form.words}.` } : {}) };
}

/** A path, which may begin with ~ or a variable of the environment, as Ansible has it. */
function path(ending: string | undefined): Form {
  const words = `a path that begins with /${ending === undefined ? "" : ` and ends in ${ending}`}`;
  return { pattern: `^[/~$].*${(ending ?? "").replaceAll(".", "\\.")}$`, words };
}

/** Texts with commas between them; as Ansible splits it, what is empty is nothing. */
function separated(of: VarType): Schema {
  const form = of.kind === "str" ? of.form : undefined;
  const one = form ? `(?:${form.pattern.replace(/^\^|\$$/g, "")})` : "[^\\s,][^,]*";
  return { type: "string", pattern: `^[\\s,]*(?:${one}\\s*(?:,[\\s,]*|$))*$` };
}

/** The words that Ansible reads as a boolean (BOOLEANS in convert_bool.py) and YAML 1.2 as text. */
const yes = "[Tt](?:[Rr][Uu][Ee])?|[Yy](?:[Ee][Ss])?|[Oo][Nn]|1";
const no = "[Ff](?:[Aa][Ll][Ss][Ee])?|[Nn][Oo]?|[Oo][Ff][Ff]|0";

/** @param only the one value that is taken */
function boolean(only?: boolean): Schema[] {
  const taken = only === undefined ? [true, false] : [only];
  return [
    {
      type: "boolean",
      ...(only === undefined ? {} : { enum: taken }),
      errorMessage: `This must be ${taken.join(" or ")}.`,
    },
    { type: "string", pattern: `^(?:${taken.map((value) => (value ? yes : no)).join("|")})$` },
    { type: "integer", minimum: Math.min(...taken.map(Number)), maximum: Math.max(...taken.map(Number)) },
  ];
}

/** A number, in quotes too: Ansible converts it. */
function integer(of: Extract<VarType, { readonly kind: "int" }>): Schema[] {
  const { minimum, maximum } = of;
  const sign = minimum === undefined || minimum < 0 ? "-?" : "";
  const digits = minimum !== undefined && minimum > 0 ? "0*[1-9][0-9]*" : "[0-9]+";
  const range =
    minimum === undefined ? "" : maximum === undefined ? ` of at least ${minimum}` : ` from ${minimum} to ${maximum}`;
  const errorMessage = `This must be a whole number${range}.`;
  return [
    { ...bounded(of), errorMessage },
    { type: "string", pattern: `^${sign}${digits}$` },
  ];
}

function bounded({ minimum, maximum }: { readonly minimum?: number; readonly maximum?: number }): Schema {
  return {
    type: "integer",
    ...(minimum === undefined ? {} : { minimum }),
    ...(maximum === undefined ? {} : { maximum }),
  };
}

/**
 * An entry has exactly one selector, with the keys that it cannot do without.
 *
 * What is null is not given. What is Jinja may turn out to be omitted, so that it counts as a selector, and never as
 * one too many.
 */
function selectorRules(fields: readonly Variable[]): Schema[] {
  const selectors = fields.flatMap(({ name, selector }) => (selector ? [{ name, others: selector }] : []));
  const [first] = selectors;
  if (!first) return [];
  const oneOf = `exactly one selector: ${selectors.map(({ name, others }) => [name, ...others].join(" with ")).join(", ")}`;
  const needs = (name: string, other: string): Schema => ({
    if: { ...given(name), not: given(other) },
    then: refused(name, `${name} needs ${other} next to it.`),
  });
  return [
    {
      if: { anyOf: selectors.map(({ name }) => given(name)) },
      else: { required: [first.name], ...refused(first.name, `Each entry has ${oneOf}.`) },
    },
    ...selectors.slice(1).map(({ name }, index) => ({
      if: { ...certain(name), anyOf: selectors.slice(0, index + 1).map((before) => certain(before.name)) },
      then: refused(name, `Each entry has ${oneOf}. Keep one of them.`),
    })),
    ...selectors.flatMap(({ name, others }) => others.flatMap((other) => [needs(name, other), needs(other, name)])),
  ];
}

/** Keys that cannot do without another one, or not with it. */
function neighbourRules(fields: readonly Variable[]): Schema[] {
  return fields.flatMap(({ name, needs, without }) => [
    ...(needs
      ? [
          {
            if: { ...certain(name), not: { anyOf: needs.map(given) } },
            then: refused(name, `${name} needs ${needs.join(" or ")} next to it.`),
          },
        ]
      : []),
    ...(without ?? []).map((other) => ({
      if: { allOf: [certain(name), certain(other)] },
      then: refused(name, `${name} cannot stand next to ${other}. Keep one of them.`),
    })),
  ]);
}

/** A key is there, and not null. */
function given(name: string): Schema {
  return { required: [name], properties: { [name]: { not: { type: "null" } } } };
}

/** A key is given, and is not Jinja, which may evaluate to nothing. */
function certain(name: string): Schema {
  return { required: [name], properties: { [name]: { not: reference("open") } } };
}

function refused(name: string, errorMessage: string): Schema {
  return { properties: { [name]: false }, errorMessage };
}
