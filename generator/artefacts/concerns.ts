import type { OutFile, Problem } from "../ir.js";
import { yamlOf } from "./templates.js";

// A concern is something that the role sets on a host. Ansible has no loop over imports, so a concern stands in several
// files: `__sriov_options` in vars/main/main.yml is the list, and everything here is compared with it.

const listPath = "vars/main/main.yml";
const workPath = "tasks/unsettled.yml";
const readBackPath = "tasks/reboot.yml";
const appliedPaths = ["tasks/summary.yml", "tasks/settled.yml"] as const;
/** What `__sriov_applied` has in both files for the same reason. The rest differs after another part of the play. */
const appliedAlike = ["boot_id", "reboot_timeout", "devices"];

/** A task, its arguments, or a file of variables. */
interface Mapping {
  readonly [key: string]: unknown;
}

/** Names to expressions. */
type Expressions = Readonly<Record<string, string>>;

interface Concern {
  readonly name: string;
  /** Option of the module to the expression that it gets. */
  readonly options: Expressions;
}

/** What is compared: the files of role-template/, and what was read of them. */
interface Subject {
  readonly files: readonly OutFile[];
  /** Every file of tasks. */
  readonly tasks: readonly { readonly path: string; readonly tasks: readonly Mapping[] }[];
  /** Those of vars/main/main.yml. */
  readonly variables: Mapping;
  readonly concerns: readonly Concern[];
  /** The names of the model's variables. */
  readonly known: ReadonlySet<string>;
}

/**
 * Where the parts of a concern disagree: the list of concerns, the modules' code, the tasks, and what a look after a
 * reboot gets. A variable that a concern reads and that look does not get is such a fault.
 *
 * @param known the names of the model's variables
 * @param files role-template/, paths relative to it
 */
export function concernProblems(known: ReadonlySet<string>, files: readonly OutFile[]): Problem[] {
  const variables = (read(files, listPath) ?? {}) as Mapping;
  const options = variables["__sriov_options"];
  if (options === undefined) return [];
  const concerns = Object.entries(options as Readonly<Record<string, Expressions | null>>);
  const subject: Subject = {
    files,
    tasks: files
      .filter(({ path }) => /^tasks\/[^/]+\.ya?ml$/.test(path))
      .map(({ path }) => ({ path, tasks: tasksIn(files, path) })),
    variables,
    concerns: concerns.map(([name, of]) => ({ name, options: of ?? {} })),
    known,
  };
  return [
    ...codeProblems(subject),
    ...workProblems(subject),
    ...subject.concerns.flatMap((concern) => taskProblems(subject, concern)),
    ...appliedProblems(subject),
    ...readBackProblems(subject),
  ];
}

function problem(path: string, message: string): Problem {
  return { file: `role-template/${path}`, message };
}

function textOf(files: readonly OutFile[], path: string): string {
  return files.find((file) => file.path === path)?.text ?? "";
}

/** A file of YAML; undefined where it has a fault, which another check reports. */
function read(files: readonly OutFile[], path: string): unknown {
  const file = files.find((one) => one.path === path);
  const [document] = file === undefined ? [] : yamlOf(file).documents;
  const data: unknown = document?.errors.length === 0 ? document.toJS() : undefined;
  return typeof data === "object" && data !== null ? data : undefined;
}

function tasksIn(files: readonly OutFile[], path: string): readonly Mapping[] {
  const tasks = read(files, path);
  return Array.isArray(tasks) ? (tasks as Mapping[]) : [];
}

function tasksOf({ tasks }: Subject, path: string): readonly Mapping[] {
  return tasks.find((file) => file.path === path)?.tasks ?? [];
}

function listOf(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

interface Code {
  readonly path: string;
  readonly names: readonly string[];
}

/** The names of the concerns in the modules' code, in the order of the work. */
function namesInCode(files: readonly OutFile[]): Code | undefined {
  for (const { path, text } of files) {
    const [, items] = (/^plugins\/module_utils\/.*\.py$/.test(path) && /^CONCERNS = \{([^}]*)\}$/m.exec(text)) || [];
    if (items !== undefined) return { path, names: [...items.matchAll(/"(\w+)":/g)].map(([, name]) => name!) };
  }
  return undefined;
}

function codeProblems({ files, concerns }: Subject): Problem[] {
  const code = namesInCode(files);
  if (!code)
    return [problem(listPath, "plugins/module_utils/ has no CONCERNS = {...} to compare __sriov_options with")];
  const names = concerns.map(({ name }) => name);
  const look = "plugins/modules/sriov_look.py";
  return [
    ...names
      .filter((name) => !code.names.includes(name))
      .map((name) => problem(code.path, `CONCERNS has no ${name}, which __sriov_options in ${listPath} has`)),
    ...code.names
      .filter((name) => !names.includes(name))
      .map((name) => problem(listPath, `__sriov_options has no ${name}, which CONCERNS in ${code.path} has`)),
    ...names
      .filter((name) => !textOf(files, look).includes(`C(${name})`))
      .map((name) => problem(look, `its documentation does not name the concern ${name}: write C(${name})`)),
  ];
}

/** The tasks that register what the module of a concern says, with their files. */
function registering({ tasks: files }: Subject, name: string): { readonly path: string; readonly task: Mapping }[] {
  return files.flatMap(({ path, tasks }) =>
    tasks.filter((task) => task["register"] === `__sriov_${name}`).map((task) => ({ path, task })),
  );
}

/** The condition of a concern's tasks. */
function conditionOf(name: string): string {
  return `'${name}' in __sriov_found.look_again`;
}

/** Whether tasks/unsettled.yml imports each concern, under its own condition, in the order of the code. */
function workProblems(subject: Subject): Problem[] {
  const imports = tasksOf(subject, workPath).map((task) => ({
    path: `tasks/${String(task["ansible.builtin.import_tasks"])}`,
    when: listOf(task["when"]).map(String),
  }));
  const names = subject.concerns.map(({ name }) => name);
  const nameIn = (when: string): string => /^'(\w+)' in /.exec(when)?.[1] ?? "";
  const isDone = ({ when: [first = ""] }: (typeof imports)[number]): boolean => first === conditionOf(nameIn(first));
  const done = imports.filter(isDone).map(({ path, when }) => ({ path, name: nameIn(when[0]!) }));
  const code = namesInCode(subject.files)?.names ?? [];
  const order = done.map(({ name }) => name).filter((name) => code.includes(name));
  const wanted = code.filter((name) => order.includes(name));
  return [
    ...done
      .filter(({ name }) => !names.includes(name))
      .map(({ path, name }) =>
        problem(workPath, `${path} is for the concern ${name}, which __sriov_options in ${listPath} does not have`),
      ),
    ...names.flatMap((name) => {
      const [owner, ...others] = registering(subject, name);
      const when = conditionOf(name);
      if (!owner) return problem("tasks/", `no task registers __sriov_${name}: that of the concern ${name} has to`);
      if (others.length > 0) return problem("tasks/", `several tasks register __sriov_${name}, and only one may`);
      const found = imports.some((one) => one.path === owner.path && one.when.join() === when);
      return found ? [] : problem(workPath, `it does not import ${owner.path} when: "${when}"`);
    }),
    ...(order.join() === wanted.join()
      ? []
      : [problem(workPath, `the concerns come as ${order.join(", ")}, and CONCERNS has ${wanted.join(", ")}`)]),
  ];
}

/** Whether the task of a concern runs when it must, with the options of the list, and reads no other variable. */
function taskProblems(subject: Subject, { name, options }: Concern): Problem[] {
  const { variables, known } = subject;
  const [owner] = registering(subject, name);
  if (!owner) return [];
  const { path, task } = owner;
  const settled = `'${name}' not in __sriov_found.settled`;
  const [, given = {}] = Object.entries(task).find(([key]) => key.startsWith("stackhpc.sriov.")) ?? [];
  const own = Object.entries(given as Mapping).filter(([option]) => option !== "devices");
  const wrong = own.filter(([option, value]) => value !== `{{ __sriov_options.${name}.${option} }}`);
  const carried = new Set(namesIn(options, variables));
  const read = tasksOf(subject, path).flatMap((one) => namesIn(one, variables));
  const list = `__sriov_options.${name} in ${listPath}`;
  return [
    ...(listOf(task["when"]).includes(settled) ? [] : [problem(path, `its task has no condition "${settled}"`)]),
    ...wrong.map(([option]) => problem(path, `${option} is not "{{ __sriov_options.${name}.${option} }}"`)),
    ...Object.keys(options)
      .filter((option) => !own.some(([key]) => key === option))
      .map((option) => problem(path, `the module does not get ${option}, which ${list} has`)),
    ...[...new Set(read)]
      .filter((variable) => known.has(variable) && !carried.has(variable))
      .map((variable) =>
        problem(path, `it reads ${variable}, which the look after a reboot does not get: take it from ${list}`),
      ),
  ];
}

/**
 * The variables that a task or a value reads, by themselves or through those of vars/main/main.yml.
 *
 * @param seen of those the ones that are not followed
 */
function namesIn(value: unknown, variables: Mapping, seen: readonly string[] = ["__sriov_options"]): string[] {
  const text = JSON.stringify(value ?? null).replaceAll("\\n", " ");
  const names = text.match(/(?<![.\w])(?:__)?sriov_\w+/g) ?? [];
  return names.flatMap((name) => {
    const isFollowed = name in variables && !seen.includes(name);
    return [name, ...(isFollowed ? namesIn(variables[name], variables, [...seen, name]) : [])];
  });
}

/** What a file sets `__sriov_applied` to. */
function appliedIn(subject: Subject, path: string): Expressions {
  const facts = tasksOf(subject, path).map((task) => (task["ansible.builtin.set_fact"] ?? {}) as Mapping);
  return (facts.find((fact) => "__sriov_applied" in fact)?.["__sriov_applied"] ?? {}) as Expressions;
}

/** Whether both ends of a run leave the same for a reboot, and everything that it reads. */
function appliedProblems(subject: Subject): Problem[] {
  const [first, second] = appliedPaths;
  const [one, other] = [appliedIn(subject, first), appliedIn(subject, second)];
  const lacking = (has: Expressions, path: string, wanted: readonly string[], by: string): Problem[] =>
    wanted.filter((key) => !(key in has)).map((key) => problem(path, `__sriov_applied has no ${key}, which ${by}`));
  const readers = subject.files.filter(({ path }) => /^(tasks|handlers|vars)\//.test(path));
  const read = new Set(readers.flatMap(({ text }) => text.match(/(?<=__sriov_applied\.)\w+/g) ?? []));
  return [
    ...lacking(one, first, Object.keys(other), `it has in ${second}`),
    ...lacking(other, second, Object.keys(one), `it has in ${first}`),
    ...lacking({ ...one, ...other }, first, [...read], "something reads"),
    ...appliedAlike
      .filter((key) => one[key] !== other[key])
      .map((key) => problem(second, `${key} of __sriov_applied is not what it is in ${first}`)),
  ];
}

/** Whether a reboot reads what the run that needs it has left: a handler sees the variables of the role's last run. */
function readBackProblems(subject: Subject): Problem[] {
  const names = tasksOf(subject, readBackPath).flatMap((task) => namesIn(task, subject.variables, []));
  const read = [...new Set(names)].filter((name) => subject.known.has(name));
  return read.map((name) =>
    problem(readBackPath, `it reads ${name}, which may be another run's: take it from __sriov_applied`),
  );
}
