import type { Json, OutFile, Role, Variable, VarType } from "../ir.js";

/**
 * schema.json: JSON Schema of the variables, for editors that open group_vars
 * (`# yaml-language-server: $schema=..`). Variables of other roles in the same file are none of its business.
 */
export function schema(role: Role): OutFile {
  const document = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: role.shortDescription,
    ...object(role.variables),
    additionalProperties: true,
  };
  return { path: "schema.json", text: `${JSON.stringify(document, null, 2)}\n` };
}

function object(variables: readonly Variable[]): { readonly [key: string]: Json } {
  const required = variables.filter((variable) => variable.required).map((variable) => variable.name);
  return {
    type: "object",
    properties: Object.fromEntries(variables.map((variable) => [variable.name, property(variable)])),
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

function property(variable: Variable): Json {
  return {
    description: variable.description.join("\n\n"),
    ...type(variable.type),
    ...(variable.default === undefined ? {} : { default: variable.default }),
    ...(variable.example === undefined ? {} : { examples: [variable.example] }),
  };
}

function type(of: VarType): { readonly [key: string]: Json } {
  switch (of.kind) {
    case "bool":
      return { type: "boolean" };
    case "path":
      return { type: "string" };
    case "raw":
      return of.also ? { anyOf: [{ type: "string" }, ...of.also.map((kind) => ({ type: kind === "list" ? "array" : "object" }))] } : { type: "string" };
    case "str":
      return { type: "string", ...(of.choices ? { enum: of.choices } : {}) };
    case "int":
      return {
        type: "integer",
        ...(of.minimum === undefined ? {} : { minimum: of.minimum }),
        ...(of.maximum === undefined ? {} : { maximum: of.maximum }),
      };
    case "list":
      return { type: "array", items: type(of.elements) };
    case "dict":
      return object(of.fields);
    case "map":
      return { type: "object", additionalProperties: { anyOf: [{ type: "boolean" }, { type: "integer" }, { type: "string" }] } };
  }
}
