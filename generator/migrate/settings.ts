import { refusesNull } from "../artefacts/emit/checks.js";
import type { Variable } from "../ir.js";
import { booleanOf } from "../system/ansible.js";
import { nearest } from "../system/nearest.js";
import { goneFacts, iommuVariables, newFacts, oldKeys, oldVariables, releases } from "./predecessors.js";
import type { Condition, OldVariable, Plain, Predecessor, Rule, Verdict } from "./predecessors.js";
import type { Entry, Said, Value } from "./read.js";

// What a variable of the predecessors means under this role.

export type Outcome = Verdict | "unjudged" | "unknown";

export type Judged = { readonly outcome: Outcome; readonly text: string };

/** What this role is: the variables of the model, and the names under which it is published. */
export interface Present {
  readonly variables: readonly Variable[];
  readonly role: string;
  readonly collection: string;
  readonly version: string;
}

export interface Source {
  readonly file: string;
  readonly said: Said;
  /** Kolla Ansible alone reads it. */
  readonly kollas: boolean;
}

/** What all files together say, for the rules that look beyond one line. */
export interface Context {
  readonly from: readonly Predecessor[];
  readonly settings: readonly Entry[];
  readonly handlers: readonly string[];
  readonly expressions: string;
  readonly sources: readonly Source[];
}

/** Whether a file that was read sets a variable, to a value where one is given. */
export function sets({ settings }: Context, name: string, value?: string): boolean {
  return settings.some(
    (entry) =>
      entry.key === name &&
      (value === undefined ||
        entry.value.kind === "jinja" ||
        entry.value.kind === "vault" ||
        (entry.value.kind === "plain" && entry.value.data === value)),
  );
}

/** What becomes of a variable that a file sets; for sriov_devices also of each key of its entries. */
export function judgeSetting(entry: Entry, context: Context, present: Present): (Judged & { line: number })[] {
  const { key, line, value } = entry;
  const old = oldVariables[key] ?? iommuVariables[key];
  const known = present.variables.find(({ name }) => name === key);
  const at = (judged: Judged): Judged & { line: number } => ({
    line,
    outcome: judged.outcome,
    text: `${key}: ${judged.text}`,
  });
  const isEmpty = known !== undefined && refusesNull(known) && value.kind === "plain" && value.data === null;
  const emptied: Judged = {
    outcome: "different",
    text: "it is empty, which is refused now: remove the line to use the default",
  };
  if (old) {
    const judged = byRules(old, value, context);
    const own = at(isEmpty && ["fine", "ineffective"].includes(judged.outcome) ? emptied : judged);
    return key === "sriov_devices" ? [...devices(entry, own, context, present)] : [own];
  }
  if (known) return [at(isEmpty ? emptied : { outcome: "fine", text: "a variable of this role" })];
  if (newFacts.includes(key))
    return [at({ outcome: "different", text: "this role sets it as a fact: choose another name" })];
  if (key in goneFacts) return [at({ outcome: "ineffective", text: goneFacts[key]! })];
  if (new RegExp(`\\b${key}\\b`).test(context.expressions))
    return [at({ outcome: "fine", text: "a variable of yours" })];
  const near = nearest(key, [...present.variables.map(({ name }) => name), ...Object.keys(oldVariables)]);
  return [
    at({
      outcome: "unknown",
      text:
        near === undefined
          ? "neither the old roles nor this one know it, and nothing that was read uses it: remove it, unless something else uses it"
          : `unknown; ${near} is the nearest name`,
    }),
  ];
}

/** An expression with an empty list in place of what is not set. */
const emptyList =
  /\b(default|d)\s*\(\s*(value\s*=\s*)?\[\s*\]|\bdefault\s*=\s*\[\s*\]|\.get\([^()]*,\s*\[\s*\]\s*\)|\b(else|or)\s*\[\s*\]/;

function devices(
  entry: Entry,
  own: Judged & { line: number },
  context: Context,
  present: Present,
): (Judged & { line: number })[] {
  const { value } = entry;
  const unjudged = (line: number, what: string): Judged & { line: number } => ({
    line,
    outcome: "unjudged",
    text: `${what}: only a run of Ansible knows what it is: check where it comes from`,
  });
  if (value.kind === "jinja" && emptyList.test(value.text))
    return [
      {
        ...own,
        outcome: "different",
        text: `${entry.key}: where its source is not set, this is [], and that now removes the VFs: remove the default of [], so that a host whose variable is lost is refused`,
      },
    ];
  if (value.kind === "jinja" || value.kind === "vault") return [unjudged(entry.line, entry.key)];
  if (value.kind === "plain" && (value.data === null || value.data === ""))
    return [
      {
        ...own,
        outcome: "different",
        text: `${entry.key}: it is empty, which counts as not set: a host that is configured is refused. Write [] only where its VFs must be removed`,
      },
    ];
  if (value.kind === "list" && value.items.length === 0)
    return [
      {
        ...own,
        outcome: "different",
        text: `${entry.key}: the empty list removes the VFs that this role or the old one configured on the host; remove the line if no host must lose VFs`,
      },
    ];
  if (value.kind !== "list")
    return [{ ...own, outcome: "different", text: `${entry.key}: it is not a list, and is refused now` }];
  const type = present.variables.find(({ name }) => name === "sriov_devices")?.type;
  const keys =
    type?.kind === "list" && type.elements.kind === "dict" ? type.elements.fields.map(({ name }) => name) : [];
  return [
    own,
    ...value.items.flatMap((item, index): (Judged & { line: number })[] => {
      const where = `sriov_devices[${index}]`;
      if (item.kind === "jinja" || item.kind === "vault") return [unjudged(item.line, where)];
      if (item.kind !== "map")
        return [
          { line: item.line, outcome: "different", text: `${where}: it is not a dictionary, and is refused now` },
        ];
      return keysOfEntry(item.entries, where, keys, context);
    }),
  ];
}

/** What becomes of the keys of an entry of sriov_devices, as far as they change. */
function keysOfEntry(
  entries: readonly Entry[],
  where: string,
  keys: readonly string[],
  context: Context,
): (Judged & { line: number })[] {
  return entries.flatMap(({ key, line, value: of }) => {
    const old = oldKeys[key];
    const judged: Judged | undefined = old
      ? byRules(old, of, context)
      : keys.includes(key)
        ? undefined
        : unknownKey(key, keys);
    return judged === undefined || judged.outcome === "fine"
      ? []
      : [{ line, outcome: judged.outcome, text: `${key} of ${where}: ${judged.text}` }];
  });
}

function unknownKey(key: string, keys: readonly string[]): Judged {
  const near = nearest(key, keys);
  return {
    outcome: "unknown",
    text: `the old roles ignored it, and this one refuses it: ${near === undefined ? "remove it" : `${near} is the nearest key`}`,
  };
}

/** What the rules say of a value, for each of the predecessors that it may be from. */
function byRules(old: OldVariable, value: Value, context: Context): Judged {
  const each = context.from.map((from) => ({ from, judged: byRulesOf(old.rules, value, context, from) }));
  const texts = [...new Set(each.map(({ judged }) => judged.text))];
  const order: readonly Outcome[] = ["unknown", "different", "unjudged", "ineffective", "fine"];
  const outcome = order.find((one) => each.some(({ judged }) => judged.outcome === one)) ?? "fine";
  if (texts.length === 1) return { outcome, text: texts[0]! };
  return {
    outcome,
    text: each.map(({ from, judged }) => `from ${from} ${releases[from].version}: ${judged.text}`).join("; "),
  };
}

function byRulesOf(rules: readonly Rule[], value: Value, context: Context, from: Predecessor): Judged {
  const possible = rules.filter((rule) => rule.from === undefined || rule.from === from);
  for (const [index, { when, verdict, text }] of possible.entries()) {
    const holds = when === undefined || hold(when, value, context);
    if (holds === undefined) {
      const last = possible.findIndex((rule, place) => place > index && rule.when === undefined);
      const cases = possible
        .slice(index, last + 1)
        .map((rule) => (rule.when === undefined ? `otherwise ${rule.text}` : `${inWords(rule.when)} ${rule.text}`));
      return { outcome: "unjudged", text: `only a run of Ansible knows its value: ${cases.join("; ")}` };
    }
    if (holds) return { outcome: verdict, text };
  }
  return { outcome: "fine", text: "the same" };
}

function inWords({ is, isNot, text, noHandler }: Condition): string {
  if (is) return `when it is ${text ? "a text that says " : ""}${is.map((one) => one ?? "nothing").join(" or ")},`;
  if (noHandler) return "when there is no such handler,";
  return isNot ? `when it is not one of ${isNot.join(", ")},` : "when it is not of the right form,";
}

/** Whether a condition holds; undefined when only Ansible knows. */
function hold(when: Condition, value: Value, context: Context): boolean | undefined {
  if (when.unset !== undefined) return !sets(context, when.unset, when.to);
  // Who writes an expression knows what form it has to have.
  if (value.kind === "jinja" || value.kind === "vault") return when.unlike === undefined ? undefined : false;
  const data = value.kind === "plain" ? value.data : undefined;
  if (when.text && !(value.kind === "plain" && value.quoted)) return false;
  if (when.is && !when.is.some((one) => same(one, data))) return false;
  if (when.isNot && when.isNot.some((one) => same(one, data))) return false;
  if (when.noHandler && context.handlers.includes(String(data))) return false;
  return when.unlike === undefined ? true : unlike(value, when.unlike);
}

function unlike(value: Value, form: RegExp, inList = false): boolean {
  if (value.kind === "jinja" || value.kind === "vault") return false;
  if (value.kind === "list") return value.items.some((item) => unlike(item, form, true));
  if (value.kind === "map") return true;
  // Text with commas is a list to Ansible, but not within one. A number is right only where a number is required.
  if (typeof value.data === "string")
    return inList ? !form.test(value.data) : !value.data.split(",").every((part) => form.test(part.trim()));
  return typeof value.data === "number"
    ? !(form.source === "^\\d+$" && form.test(String(value.data)))
    : value.data !== null;
}

/** Equality of truth values in Ansible: "no" and "off" are false, written in any way. */
function same(one: Plain, data: Plain | undefined): boolean {
  if (typeof one !== "boolean" || data === undefined || data === null) return one === data;
  return booleanOf(data) === one;
}
