import type { Form, Json, VarType } from "../ir.js";

// Whether a value of the model, such as a default, is one of its type.

/** What the compiler cannot say, for TypeScript knows neither integers nor bounds. Wrong types are the compiler's. */
export function valueFaults(value: Json, type: VarType, name: string): string[] {
  switch (type.kind) {
    case "int":
      return typeof value === "number" ? numberFaults(value, type, name) : [];
    case "list":
      return Array.isArray(value)
        ? (value as readonly Json[]).flatMap((item) => valueFaults(item, type.elements, name))
        : [];
    case "dict":
      return type.fields.flatMap((field) => {
        const item = keysOf(value)[field.name];
        return item === undefined ? [] : valueFaults(item, field.type, `${name}.${field.name}`);
      });
    case "raw":
      if (Array.isArray(value))
        return (type.also ?? []).flatMap((other) => (other.kind === "list" ? valueFaults(value, other, name) : []));
      if (typeof value === "number")
        return (type.also ?? []).flatMap((other) => (other.kind === "int" ? valueFaults(value, other, name) : []));
      return formFaults(value, type.form, name);
    case "str":
      return formFaults(value, type.form, name);
    case "map":
      return Object.entries(keysOf(value)).flatMap(([key, item]) => [
        ...formFaults(key, type.keys, `a key of ${name}`),
        ...formFaults(item, type.form, `${name}.${key}`),
      ]);
    case "bool":
    case "path":
      return [];
  }
}

/** A dictionary; an empty one in place of anything else. */
function keysOf(value: Json): { readonly [key: string]: Json } {
  return value === null || typeof value !== "object" || Array.isArray(value)
    ? {}
    : (value as { readonly [key: string]: Json });
}

function numberFaults(
  value: number,
  { minimum, maximum }: Extract<VarType, { readonly kind: "int" }>,
  name: string,
): string[] {
  if (!Number.isInteger(value)) return [`${name} must be a whole number, not ${value}`];
  if (minimum !== undefined && value < minimum) return [`${name} must be at least ${minimum}, not ${value}`];
  if (maximum !== undefined && value > maximum) return [`${name} must be at most ${maximum}, not ${value}`];
  return [];
}

function formFaults(value: Json, form: Form | undefined, name: string): string[] {
  if (form === undefined || typeof value !== "string" || new RegExp(form.pattern, "u").test(value)) return [];
  return [`${name} must be ${form.words}, not ${JSON.stringify(value)}`];
}
