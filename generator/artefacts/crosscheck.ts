import { isMap, isPair, isScalar, visit } from "yaml";
import { concernProblems } from "./concerns.js";
import { yamlOf } from "./templates.js";
import { checks } from "./emit/checks.js";
import type { OutFile, Problem, Role, Variable } from "../ir.js";
import type { ReadYaml } from "../system/ansible.js";
import { nearest } from "../system/nearest.js";

/** Keys of a task whose whole value is an expression, without braces. */
const bareExpressions = ["when", "that", "until", "changed_when", "failed_when", "var", "loop_var"];

/** Variables of the role that a Kayobe configuration sets. Its other files are not read by the role. */
const kayobeSettings = /^kayobe\/inventory\/(group|host)_vars\//;
/** YAML of a Kayobe configuration, whose variables in the inventory have no extension, and of the collection's playbooks. */
const kayobeYaml = /^(kayobe\/(inventory\/(group|host)_vars\/.*|.*\.ya?ml)|playbooks\/.*\.ya?ml)$/;

/** Where variables are used. What is in meta/ is about them, and plugins/ never see them by name. */
const usingFolders = /^(tasks|handlers|templates|vars|examples)\//;

interface Mention {
  readonly file: string;
  readonly line: number;
  readonly name: string;
}

/** What one file says about names that begin with `sriov_`. */
interface Mentions {
  /** Variables read in an expression. */
  readonly read: Mention[];
  /**
   * Names inside an expression's texts and after a dot: lookup('vars', 'x'), hostvars[h].x. A use, but no proof of a
   * fault.
   */
  readonly indirect: string[];
  /** Keys: variables that a play or an include sets. */
  readonly set: Mention[];
  /** Facts that the role itself sets. */
  readonly facts: string[];
  readonly problems: Problem[];
}

/**
 * Where the model and role-template/ disagree: a variable used that the model does not contain, a variable of the model
 * that nothing uses, and a concern of a host whose parts do not fit together.
 *
 * @param files role-template/, paths relative to it
 */
export function crosscheck(role: Role, files: readonly OutFile[]): Problem[] {
  const found = files.filter(({ path }) => usingFolders.test(path)).map(mentions);
  const known = new Set([
    ...role.variables.map(({ name }) => name),
    ...found.flatMap(({ facts }) => facts),
    ...pluginNames(files),
  ]);
  const unknown = found
    .flatMap(({ read, set }) => [...read, ...set])
    .filter(({ name }) => !known.has(name))
    .map(({ file, line, name }) => ({
      file,
      line,
      message: `${name} is not a variable of the model, nor a fact that the role sets${didYouMean(name, known)}`,
    }));

  const used = new Set(
    found.flatMap(({ read, indirect }, index) =>
      files.filter(({ path }) => usingFolders.test(path))[index]!.path.startsWith("examples/")
        ? []
        : [...read.map(({ name }) => name), ...indirect],
    ),
  );
  const unused = role.variables
    .filter(({ name }) => !used.has(name))
    .map(({ name }) => ({
      file: "generator/model/sriov.ts",
      message: `${name}: no task, handler or template of role-template/ uses it`,
    }));

  // Entries of dictionaries are read by the modules, as keys.
  const words = new Set(
    files
      .filter(({ path }) => /^(plugins|tasks|templates)\//.test(path))
      .flatMap(({ text }) => text.match(/\w+/g) ?? []),
  );
  const unusedKeys = role.variables
    .flatMap(keys)
    .filter(({ key }) => !words.has(key))
    .map(({ key, of }) => ({
      file: "generator/model/sriov.ts",
      message: `${key} of ${of}: nothing in role-template/ uses it`,
    }));

  const made = checks(role, files);
  const stale = files
    .filter(({ path, text }) => path === made.path && text !== made.text)
    .map(({ path }) => ({
      file: `role-template/${path}`,
      message: 'does not match the model: UPDATE=1 npx mocha -g "the pages"',
    }));

  return [
    ...found.flatMap(({ problems }) => problems),
    ...unique(unknown),
    ...unused,
    ...unusedKeys,
    ...stale,
    ...kayobe(known, files),
    ...concernProblems(new Set(role.variables.map(({ name }) => name)), files),
  ];
}

function didYouMean(name: string, known: ReadonlySet<string>): string {
  const near = nearest(name, [...known]);
  return near === undefined ? "" : `: did you mean ${near}?`;
}

/** Variables set for Kayobe's hosts that neither the role has, nor another file of the Kayobe configuration uses. */
function kayobe(known: ReadonlySet<string>, files: readonly OutFile[]): Problem[] {
  return files
    .filter(({ path }) => kayobeSettings.test(path))
    .flatMap((file) => {
      const { set, problems } = settings(file);
      const elsewhere = new Set(
        files.flatMap(({ path, text }) =>
          path.startsWith("kayobe/") && path !== file.path ? (text.match(/\w+/g) ?? []) : [],
        ),
      );
      const unknown = set.filter(({ name }) => !known.has(name) && !elsewhere.has(name));
      return [
        ...problems,
        ...unknown.map(({ file: path, line, name }) => ({
          file: path,
          line,
          message: `${name} is not a variable of the model, and no other file of kayobe/ uses it`,
        })),
      ];
    });
}

/**
 * The variables that a Kayobe configuration and the collection's playbooks have for themselves, next to the role's: their
 * files set them, or read them.
 */
export function kayobeVariables(role: Role, files: readonly OutFile[]): string[] {
  const facts = files.filter(({ path }) => usingFolders.test(path)).flatMap((file) => mentions(file).facts);
  const roles = new Set([...role.variables.map(({ name }) => name), ...facts]);
  const found = files
    .filter(({ path }) => kayobeYaml.test(path))
    .map(settings)
    .flatMap(({ read, set }) => [...read, ...set].map(({ name }) => name));
  return [...new Set(found)].filter((name) => !roles.has(name)).sort();
}

function settings(file: OutFile): Mentions {
  const result: Mentions = { read: [], indirect: [], set: [], facts: [], problems: [] };
  readYaml(`role-template/${file.path}`, yamlOf(file), result);
  return result;
}

/** Modules and their helpers have names that look like variables. */
function pluginNames(files: readonly OutFile[]): string[] {
  return files.flatMap(({ path }) => /^plugins\/(?:modules|module_utils)\/(\w+)\.py$/.exec(path)?.[1] ?? []);
}

function keys(variable: Variable): { key: string; of: string }[] {
  const of = variable.type.kind === "list" ? variable.type.elements : variable.type;
  if (of.kind !== "dict") return [];
  return of.fields.flatMap((field) => [{ key: field.name, of: variable.name }, ...keys(field)]);
}

function unique(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter((problem) => {
    const key = JSON.stringify(problem);
    return !seen.has(key) && seen.add(key);
  });
}

function mentions(file: OutFile): Mentions {
  const result: Mentions = { read: [], indirect: [], set: [], facts: [], problems: [] };
  const name = `role-template/${file.path}`;
  if (/\.ya?ml$/.test(file.path)) readYaml(name, yamlOf(file), result);
  else if (file.path.startsWith("templates/"))
    readJinja(name, file.text, (offset) => lineAt(file.text, offset), result);
  return result;
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

function readYaml(file: string, { documents, lines }: ReadYaml, into: Mentions): void {
  for (const doc of documents) {
    for (const { linePos, message } of doc.errors)
      into.problems.push({ file, line: linePos?.[0].line ?? 1, message: message.split("\n")[0] ?? "is not YAML" });
    visit(doc, {
      Pair(_, pair) {
        if (!isScalar(pair.key) || typeof pair.key.value !== "string") return;
        const key = pair.key.value;
        if (/^(ansible\.builtin\.)?set_fact$/.test(key) && isMap(pair.value)) {
          for (const item of pair.value.items)
            if (isScalar(item.key) && typeof item.key.value === "string") into.facts.push(item.key.value);
        } else if (/^sriov_\w+$/.test(key))
          into.set.push({ file, line: lines.linePos(pair.key.range?.[0] ?? 0).line, name: key });
      },
      Scalar(key, scalar, path) {
        if (key === "key" || typeof scalar.value !== "string") return;
        const start = scalar.range?.[0] ?? 0;
        // The line of the scalar's beginning, and as many lines further down as the text has: exact for block texts,
        // approximate for folded ones.
        const lineOf = (offset: number): number =>
          lines.linePos(start).line +
          (scalar.value as string).slice(0, offset).split("\n").length -
          1 +
          (/BLOCK/.test(scalar.type ?? "") ? 1 : 0);
        const owner = path.findLast((step) => isPair(step));
        const bare =
          owner &&
          isPair(owner) &&
          isScalar(owner.key) &&
          bareExpressions.includes(String(owner.key.value)) &&
          !path.slice(path.indexOf(owner) + 1).some((step) => isMap(step));
        if (bare && !scalar.value.includes("{{")) readExpression(file, scalar.value, (offset) => lineOf(offset), into);
        else readJinja(file, scalar.value, lineOf, into);
      },
    });
  }
}

function readJinja(file: string, text: string, lineOf: (offset: number) => number, into: Mentions): void {
  const withoutComments = text.replace(/\{#[\s\S]*?#\}/g, (comment) => comment.replace(/[^\n]/g, " "));
  for (const match of withoutComments.matchAll(/\{\{([\s\S]*?)\}\}|\{%([\s\S]*?)%\}/g))
    readExpression(file, match[1] ?? match[2] ?? "", (offset) => lineOf(match.index + 2 + offset), into);
}

function readExpression(file: string, expression: string, lineOf: (offset: number) => number, into: Mentions): void {
  const blank = (text: string): string => {
    into.indirect.push(...(text.match(/\bsriov_\w+/g) ?? []));
    return text.replace(/[^\n]/g, " ");
  };
  const code = expression.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, blank).replace(/\.\s*sriov_\w+/g, blank);
  for (const match of code.matchAll(/\bsriov_\w+/g))
    into.read.push({ file, line: lineOf(match.index), name: match[0] });
}
