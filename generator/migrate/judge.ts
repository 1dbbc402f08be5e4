import type { Variable } from "../ir.js";
import { nearest } from "../nearest.js";
import { changes, goneFacts, iommuVariables, newFacts, oldCommits, oldKeys, oldTaskFiles, oldVariables, predecessors, releases } from "./predecessors.js";
import type { Condition, OldVariable, Plain, Predecessor, Rule, Verdict } from "./predecessors.js";
import { readFile } from "./read.js";
import type { Entry, Requirement, RoleUse, Said, Value } from "./read.js";

// What becomes of a configuration of the predecessors under this role.

export type Outcome = Verdict | "unjudged" | "unknown";

export interface Finding {
  readonly file: string;
  /** Absent for what concerns the whole file. */
  readonly line?: number;
  readonly outcome: Outcome;
  readonly text: string;
}

export interface Report {
  readonly findings: readonly Finding[];
  /** What changes without a word in the files. */
  readonly notes: readonly string[];
  readonly from: readonly Predecessor[];
}

/** What this role is: the variables of the model, and the names under which it is published. */
export interface Present {
  readonly variables: readonly Variable[];
  readonly role: string;
  readonly collection: string;
  readonly version: string;
}

interface Source {
  readonly file: string;
  readonly said: Said;
}

/** What all files together say, for the rules that look beyond one line. */
interface Context {
  readonly from: readonly Predecessor[];
  readonly settings: readonly Entry[];
  readonly handlers: readonly string[];
  readonly expressions: string;
}

/** A file that only the predecessor's role has, and one that only this one has, in the folder of the role. */
const marks = { old: "/tasks/mlxconfig.yml", present: "/tasks/firmware_tool.yml" } as const;
const silent = /(^|\/)(\.git|\.tox|node_modules|\.?venv|ansible_collections)(\/|$)/;
const readable = /(^|\/)[^./]*[^./~]$|\.(ya?ml|json|ini)$/;
/** What is named for a host or a group, whose names may have dots. */
const ofHosts = /(^|\/)(host|group)_vars\/[^./][^/]*$/;
/** No host is called so: what Ansible passes over in folders (REJECT_EXTS in its constants.py), copies and templates. */
const passedOver = /(~|\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|retry|j2))$|\.(ya?ml|json)\./;

/** A file of somebody's. */
export interface Given {
  readonly path: string;
  /** Absent: it cannot be read as text. */
  readonly text?: string;
  /** It is not judged, a template say; what it uses is used. */
  readonly aside?: boolean;
}

/** Whether a path below a folder is looked at. Installed collections are nobody's configuration. */
export function concerns(path: string): boolean {
  return !silent.test(path);
}

/** Whether a file below a folder may be one that Ansible reads as YAML, or as an inventory. Others are aside. */
export function isReadable(path: string): boolean {
  return readable.test(path) || (ofHosts.test(path) && !passedOver.test(path));
}

/**
 * Judge files.
 *
 * @param from the predecessor, when it is known; otherwise what the files use, and both when they do not tell
 */
export function judge(files: readonly Given[], present: Present, from?: Predecessor): Report {
  const foldersWith = (mark: string): string[] => files.flatMap(({ path }) => (path.endsWith(mark) ? [path.slice(0, -mark.length)] : []));
  const old = foldersWith(marks.old);
  const copies = [...old, ...foldersWith(marks.present)];
  const own = files.filter(({ path }) => !copies.some((folder) => path.startsWith(`${folder}/`)));
  const sources = own.filter(({ aside }) => !aside).map(({ path, text }): Source => ({ file: path, said: text === undefined ? unreadable(path) : readFile(path, text) }));
  const all = sources.map(({ said }) => said);
  const context: Context = {
    from: from === undefined ? usedBy(all) : [from],
    settings: all.flatMap(({ settings }) => settings),
    handlers: all.flatMap(({ handlers }) => handlers),
    // Of files that are aside, or that cannot be parsed, what looks like one.
    expressions: [...all.flatMap(({ conditions }) => conditions), ...own.flatMap(({ text }) => (text ?? "").match(/\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|\b(when|that|until|var): .*/g) ?? [])].join("\n"),
  };
  const findings = sources.flatMap((source) => judgeFile(source, context, present)).sort((a, b) => (a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) : a.file < b.file ? -1 : 1));
  const stale = old.map((folder): Finding => ({ file: folder, outcome: "different", text: `the installed role is the predecessor, and ansible-galaxy leaves it there: ansible-galaxy role install --force ${present.role},${present.version}` }));
  const notes = findings.length === 0 ? [] : changes.filter((change) => (change.from === undefined || context.from.includes(change.from)) && (change.unless === undefined || !sets(context, change.unless))).map(({ text }) => text);
  return { findings: [...stale, ...unique(findings)], notes, from: context.from };
}

/** What an alias brings to several places is told once. */
function unique(findings: readonly Finding[]): Finding[] {
  return findings.filter((finding, index) => !findings.slice(0, index).some((before) => before.file === finding.file && before.line === finding.line && before.text === finding.text));
}

function unreadable(path: string): Said {
  const none: Said = { settings: [], roles: [], requirements: [], handlers: [], texts: [], conditions: [] };
  return /\.(ya?ml|json)$/.test(path) ? { ...none, fault: "is no text in UTF-8: look at it by hand" } : none;
}

/** The predecessors that files use; all when they name none. */
function usedBy(all: readonly Said[]): readonly Predecessor[] {
  const roles = all.flatMap(({ roles: used }) => used.map(({ name }) => name));
  const requirements = all.flatMap(({ requirements: required }) => required);
  const byName = predecessors.filter((name) => roles.includes(name));
  if (byName.length > 0) return byName;
  if (roles.includes("sriov") && requirements.some(({ kind, name }) => kind === "collection" && name === "stackhpc.linux")) return ["stackhpc.linux.sriov"];
  return requirements.some(({ kind, name, source }) => kind === "role" && [name, source].some(isOldSource)) ? ["stackhpc.sriov"] : predecessors;
}

function isOldSource(name: string): boolean {
  return name === "stackhpc.sriov" || /[/:]ansible-role-sriov(\.git)?\/?$|\/ansible-role-sriov\/archive\//.test(name);
}

function isOldVersion(version: string): boolean {
  return /^v?0\.\d/.test(version) || (version.length >= 7 && oldCommits.some((commit) => commit.startsWith(version.toLowerCase())));
}

function sets({ settings }: Context, name: string, value?: string): boolean {
  return settings.some((entry) => entry.key === name && (value === undefined || entry.value.kind === "jinja" || entry.value.kind === "vault" || (entry.value.kind === "plain" && entry.value.data === value)));
}

function judgeFile({ file, said }: Source, context: Context, present: Present): Finding[] {
  const found = (line: number, { outcome, text }: { readonly outcome: Outcome; readonly text: string }): Finding => ({ file, line, outcome, text });
  return [
    ...(said.fault === undefined ? [] : [{ file, outcome: "unjudged", text: said.fault } as const]),
    ...said.roles.flatMap((use) => judgeRole(use, present).map((judged) => found(use.line, judged))),
    ...said.requirements.flatMap((requirement) => judgeRequirement(requirement, present).map((judged) => found(requirement.line, judged))),
    ...said.settings.flatMap((entry) => judgeSetting(entry, context, present).map(({ line, ...judged }) => found(line, judged))),
    ...said.texts.flatMap(({ text, line }) => {
      const unit = /virtual-functions-(\{\{.*?\}\}|[^\s"'])*\.service/.exec(text)?.[0];
      return unit === undefined ? [] : [found(line, { outcome: "different", text: `${unit}: this unit goes; a unit that needs the VFs is named in numvfs_required_by of the device, and sriov-vfs.service makes all of them at boot` })];
    }),
    ...Object.entries(goneFacts).flatMap(([name, text]) => linesWith(said, name).map((line) => found(line, { outcome: "ineffective", text: `${name}: ${text}` }))),
  ];
}

/** Where a file has a name, in an expression or by itself as in `var: sriov_pci_addrs`. */
function linesWith({ texts }: Said, name: string): number[] {
  return texts.filter(({ text }) => new RegExp(`\\b${name}\\b`).test(text)).map(({ line }) => line);
}

type Judged = { readonly outcome: Outcome; readonly text: string };

function judgeRole({ name, tasksFrom }: RoleUse, { role, collection }: Present): Judged[] {
  const own = `${collection}.sriov`;
  if (name === "stackhpc.linux.iommu")
    return [{ outcome: "ineffective", text: `role ${name}: it can go where it is for SR-IOV, ${own} sets the IOMMU's parameters; ansible-core 2.19 and later refuse a condition in it` }];
  if (name !== role && name !== own && name !== "stackhpc.linux.sriov" && name !== "sriov") return [];
  const named: Judged =
    name === "stackhpc.linux.sriov"
      ? { outcome: "different", text: `role ${name}: write ${own}, of the collection ${collection}` }
      : name === "sriov"
        ? { outcome: "different", text: `role ${name}: write ${own}, of the collection ${collection}, or ${role}, the role alone; sriov is found only where a folder or the play's collections have it` }
        : { outcome: "fine", text: `role ${name}: the same name` };
  const instead = tasksFrom === undefined ? undefined : oldTaskFiles[tasksFrom.replace(/\.ya?ml$/, "")];
  return [named, ...(instead === undefined ? [] : [{ outcome: "different", text: `tasks_from ${tasksFrom}: ${instead}` } as const])];
}

function judgeRequirement({ kind, name, source, version: said }: Requirement, { role, collection, version: now }: Present): Judged[] {
  if (kind === "collection") {
    if (name === "stackhpc.linux") return [{ outcome: "fine", text: `collection ${name}: for its other roles; ${collection} has the role sriov` }];
    return name === collection ? [{ outcome: "fine", text: `collection ${name}: it has the role sriov` }] : [];
  }
  if ([name, source].some((one) => /^stackhpc\.grubcmdline$|\/ansible-role-grubcmdline(\.git)?$/.test(one))) return [{ outcome: "ineffective", text: `requirement ${name}: it can go, unless a playbook of yours has that role` }];
  if (name !== role && ![name, source].some(isOldSource)) return [];
  // An archive has its version in its address.
  const version = said || (/\/archive\/(?:refs\/\w+\/)?(.+?)\.(?:tar\.gz|tgz|zip)$/.exec(source)?.[1] ?? "");
  const instead = `write ${role}, version ${now}, and install it with --force`;
  if (isOldVersion(version)) return [{ outcome: "different", text: `requirement ${name}: version ${version} is the predecessor: ${instead}` }];
  // Both roles may come from that repository. Galaxy by itself has only releases.
  if (/[/:]/.test(source) && !/^v?\d+\.\d/.test(version)) return [{ outcome: "unjudged", text: `requirement ${name}: only its repository knows which role ${version === "" ? "it gives without a version" : `${version} is`}: ${instead}` }];
  return [{ outcome: "fine", text: `requirement ${name}: install it with --force, or ansible-galaxy leaves what is there` }];
}

function judgeSetting(entry: Entry, context: Context, present: Present): (Judged & { line: number })[] {
  const { key, line, value } = entry;
  const old = oldVariables[key] ?? iommuVariables[key];
  const known = present.variables.find(({ name }) => name === key);
  const at = (judged: Judged): Judged & { line: number } => ({ line, outcome: judged.outcome, text: `${key}: ${judged.text}` });
  if (old) {
    const own = at(byRules(old, value, context));
    return key === "sriov_devices" ? [...devices(entry, own, context, present)] : [own];
  }
  if (known) return [at({ outcome: "fine", text: "a variable of this role" })];
  if (newFacts.includes(key)) return [at({ outcome: "different", text: "this role sets it as a fact: choose another name" })];
  if (key in goneFacts) return [at({ outcome: "ineffective", text: goneFacts[key]! })];
  if (new RegExp(`\\b${key}\\b`).test(context.expressions)) return [at({ outcome: "fine", text: "a variable of yours" })];
  const near = nearest(key, [...present.variables.map(({ name }) => name), ...Object.keys(oldVariables)]);
  return [at({ outcome: "unknown", text: near === undefined ? "neither the old roles nor this one know it, and nothing that was read uses it: take it out, unless something else does" : `nobody knows it; ${near} is the nearest name` })];
}

function devices(entry: Entry, own: Judged & { line: number }, context: Context, present: Present): (Judged & { line: number })[] {
  const { value } = entry;
  const unjudged = (line: number, what: string): Judged & { line: number } => ({ line, outcome: "unjudged", text: `${what}: only a run of Ansible knows what it is: look where it comes from` });
  if (value.kind === "jinja" || value.kind === "vault") return [unjudged(entry.line, entry.key)];
  if (value.kind !== "list") return value.kind === "plain" && value.data === null ? [{ ...own, outcome: "different", text: `${entry.key}: it is empty, and a list is asked for: write []` }] : [{ ...own, outcome: "different", text: `${entry.key}: it is no list, and is refused now` }];
  const type = present.variables.find(({ name }) => name === "sriov_devices")?.type;
  const keys = type?.kind === "list" && type.elements.kind === "dict" ? type.elements.fields.map(({ name }) => name) : [];
  return [
    own,
    ...value.items.flatMap((item, index): (Judged & { line: number })[] => {
      const where = `sriov_devices[${index}]`;
      if (item.kind === "jinja" || item.kind === "vault") return [unjudged(item.line, where)];
      if (item.kind !== "map") return [{ line: item.line, outcome: "different", text: `${where}: it is no dictionary, and is refused now` }];
      return item.entries.flatMap(({ key, line, value: of }) => {
        const old = oldKeys[key];
        const judged: Judged | undefined = old ? byRules(old, of, context) : keys.includes(key) ? undefined : unknownKey(key, keys);
        return judged === undefined || judged.outcome === "fine" ? [] : [{ line, outcome: judged.outcome, text: `${key} of ${where}: ${judged.text}` }];
      });
    }),
  ];
}

function unknownKey(key: string, keys: readonly string[]): Judged {
  const near = nearest(key, keys);
  return { outcome: "unknown", text: `the old roles took no notice of it, and this one refuses it: ${near === undefined ? "take it out" : `${near} is the nearest key`}` };
}

/** What the rules say of a value, for each of the predecessors that it may be from. */
function byRules(old: OldVariable, value: Value, context: Context): Judged {
  const each = context.from.map((from) => ({ from, judged: byRulesOf(old.rules, value, context, from) }));
  const texts = [...new Set(each.map(({ judged }) => judged.text))];
  const order: readonly Outcome[] = ["unknown", "different", "unjudged", "ineffective", "fine"];
  const outcome = order.find((one) => each.some(({ judged }) => judged.outcome === one)) ?? "fine";
  if (texts.length === 1) return { outcome, text: texts[0]! };
  return { outcome, text: each.map(({ from, judged }) => `from ${from} ${releases[from].version}: ${judged.text}`).join("; ") };
}

function byRulesOf(rules: readonly Rule[], value: Value, context: Context, from: Predecessor): Judged {
  const possible = rules.filter((rule) => rule.from === undefined || rule.from === from);
  for (const [index, { when, verdict, text }] of possible.entries()) {
    const holds = when === undefined || hold(when, value, context);
    if (holds === undefined) {
      const last = possible.findIndex((rule, place) => place > index && rule.when === undefined);
      const cases = possible.slice(index, last + 1).map((rule) => (rule.when === undefined ? `otherwise ${rule.text}` : `${inWords(rule.when)} ${rule.text}`));
      return { outcome: "unjudged", text: `only a run of Ansible knows its value: ${cases.join("; ")}` };
    }
    if (holds) return { outcome: verdict, text };
  }
  return { outcome: "fine", text: "the same" };
}

function inWords({ is, isNot, text, noHandler }: Condition): string {
  if (is) return `when it is ${text ? "a text that says " : ""}${is.map((one) => one ?? "nothing").join(" or ")},`;
  if (noHandler) return "when there is no such handler,";
  return isNot ? `when it is none of ${isNot.join(", ")},` : "when it is not of the right form,";
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
  // Text with commas is a list to Ansible, but not within one. A number is right only where a number is asked for.
  if (typeof value.data === "string") return inList ? !form.test(value.data) : !value.data.split(",").every((part) => form.test(part.trim()));
  return typeof value.data === "number" ? !(form.source === "^\\d+$" && form.test(String(value.data))) : value.data !== null;
}

/** Equality as Ansible has it for truth: "no" and "off" are false, whatever wrote them. */
function same(one: Plain, data: Plain | undefined): boolean {
  if (typeof one !== "boolean" || data === undefined || data === null) return one === data;
  const word = String(data).toLowerCase();
  return one === ["true", "yes", "on", "1", "y", "t"].includes(word) && one !== ["false", "no", "off", "0", "n", "f"].includes(word);
}
