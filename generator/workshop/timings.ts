// The time of a scenario, by step and part: its log, of which every line says when it came, and what the tasks of its
// playbooks noted (molecule/rig/callback/task_times.py).

/** What a stretch of time was spent on. */
export const parts = ["boots", "tasks", "ansible", "step", "state"] as const;
type Part = (typeof parts)[number];

const explained: Readonly<Record<Part, string>> = {
  boots: "from a start, a reset or a task that reboots until the guest answers again",
  tasks: "of the playbooks that the steps play, what the tasks took, reboots aside",
  ansible: "Ansible's and Molecule's start, and what is between tasks",
  step: "what the step itself does: hardware, files, shell lines before and after, on the machine and here",
  state: "reading the machine's state, with the wait for VFs, and judging it",
};

/** A line of a scenario's log. */
export interface LogLine {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly text: string;
}

/** A task of a playbook that a step played, in seconds since 1970. */
export interface TaskTime {
  readonly task: string;
  readonly action: string;
  readonly start: number;
  readonly end: number;
}

export type Seconds = Readonly<Record<Part, number>>;

/** A step, or what Molecule does before and after them. */
interface Row {
  readonly title: string;
  readonly seconds: Seconds;
}

/** All tasks of one name. */
interface TaskSum {
  readonly task: string;
  readonly count: number;
  readonly seconds: number;
  readonly longest: number;
}

export interface Timings {
  readonly rows: readonly Row[];
  /** Longest first. */
  readonly tasks: readonly TaskSum[];
}

/** A line as it is in a scenario's log. */
export function stamped(at: Date, line: string): string {
  return `${at.toISOString()} ${line}`;
}

/** The lines of a scenario's log; what has no time belongs to the line before it. */
export function readLog(log: string): LogLine[] {
  return log.split("\n").flatMap((line) => {
    const [, at, text] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (.*)$/.exec(line) ?? [];
    return at === undefined || text === undefined ? [] : [{ at: Date.parse(at), text }];
  });
}

/**
 * What tasks noted: when each began, and when a host was done with it. The end is the last such note before the next
 * task.
 */
export function readTaskTimes(notes: string): TaskTime[] {
  const tasks: { task: string; action: string; start: number; end: number }[] = [];
  for (const line of notes.split("\n").filter((text) => text !== "")) {
    const { at, task, action = "" } = JSON.parse(line) as { at: number; task?: string; action?: string };
    const last = tasks.at(-1);
    if (task !== undefined) tasks.push({ task, action, start: at, end: at });
    else if (last) last.end = at;
  }
  return tasks;
}

/** What step.yml's tasks are for, by the word before the step's title. */
const partOf: ReadonlyMap<string, Part> = new Map([
  ["Before", "state"],
  ["Hardware", "step"],
  ["On the controller", "step"],
  ["Files for the machine", "step"],
  ["Folders for the machine", "step"],
  ["On the machine", "step"],
  ["State before", "state"],
  ["Run", "ansible"],
  ["After", "state"],
  ["Also", "step"],
  ["Check", "state"],
  ["State", "state"],
]);

/** The words before a step's title that this knows: those of molecule/shared/step.yml. */
export const stepWords: readonly string[] = [...partOf.keys()];

/** Commands of the rig that end when the guest has booted. */
const bootCommand = /^\w+: \[.*\] => \(item=\[u?'(?:start|restart|wait-ssh)'/;

/**
 * Where a stretch begins that belongs to a row and a part; one without a row continues in that of the stretch before.
 */
interface Mark {
  readonly at: number;
  readonly row?: string;
  readonly part: Part;
  /** It is the run of a playbook, whose tasks are known. */
  readonly plays?: true;
}

function markOf({ at, text }: LogLine): Mark | undefined {
  const action = /^[A-Z]+ +(?:\[\S+ > (\w+)\]|\S+ ➜ (\w+):) Executing\s*$/.exec(text);
  if (action) return { at, row: action[1] ?? action[2] ?? "", part: "ansible" };
  const task = /^TASK \[(.*)\] \**$/.exec(text)?.[1];
  if (task === undefined) return /^PLAY RECAP /.test(text) ? { at, part: "ansible" } : undefined;
  if (task === "Start the machine and wait until it has booted") return { at, part: "boots" };
  const [, word = "", title = ""] = /^(.+?): (.*)$/.exec(task) ?? [];
  const part = partOf.get(word);
  return part === undefined
    ? { at, part: "ansible" }
    : { at, row: title, part, ...(word === "Run" ? { plays: true } : {}) };
}

const nothing: Seconds = { boots: 0, tasks: 0, ansible: 0, step: 0, state: 0 };

function isReboot({ action }: TaskTime): boolean {
  return /(^|\.)reboot$/.test(action);
}

function sum(seconds: Seconds): number {
  return parts.reduce((total, part) => total + seconds[part], 0);
}

/**
 * Where the time went: every second between the first and the last line of the log is in one row and one part.
 *
 * @param log of one scenario, from its beginning to its end
 * @param tasks of the playbooks that its steps played
 */
export function timings(log: readonly LogLine[], tasks: readonly TaskTime[]): Timings {
  const rows = new Map<string, Record<Part, number>>();
  const add = (row: string, part: Part, seconds: number): void => {
    const found = rows.get(row) ?? { ...nothing };
    found[part] += seconds;
    rows.set(row, found);
  };
  let row = "molecule";
  let mark: Mark = { at: log[0]?.at ?? 0, part: "ansible" };
  const until = (at: number): void => {
    const seconds = (at - mark.at) / 1000;
    const played = mark.plays ? tasks.filter(({ start }) => start * 1000 >= mark.at && start * 1000 < at) : [];
    const length = (some: readonly TaskTime[]): number =>
      some.reduce((total, { start, end }) => total + end - start, 0);
    const [boots, others] = [length(played.filter(isReboot)), length(played.filter((task) => !isReboot(task)))];
    add(row, "boots", boots);
    add(row, "tasks", others);
    add(row, mark.part, seconds - boots - others);
  };
  for (const line of log) {
    const next = markOf(line);
    if (next) {
      until(line.at);
      mark = next;
      row = next.row ?? row;
    } else if (mark.part === "step" && /^\w+: \[/.test(line.text)) {
      // An item of the hardware's: the time since the one before was its own.
      const { part, at } = mark;
      mark = { at, part: bootCommand.test(line.text) ? "boots" : part };
      until(line.at);
      mark = { at: line.at, part };
    }
  }
  until(log.at(-1)?.at ?? mark.at);
  const names = [...new Set(tasks.map(({ task }) => task))];
  const sums = names.map((name) => {
    const each = tasks.filter(({ task }) => task === name).map(({ start, end }) => end - start);
    return { task: name, count: each.length, seconds: each.reduce((a, b) => a + b, 0), longest: Math.max(...each) };
  });
  return {
    rows: [...rows].map(([title, seconds]) => ({ title, seconds })).filter(({ seconds }) => sum(seconds) > 0),
    tasks: sums.sort((a, b) => b.seconds - a.seconds),
  };
}

/** Columns of a title; longer ones are cut. */
const titleWidth = 70;

function cut(title: string): string {
  return title.length > titleWidth ? `${title.slice(0, titleWidth - 1)}…` : title;
}

/** The table of a scenario, for a person: the steps in their order, and the tasks that took a second or more in all. */
export function timingsReport(scenario: string, { rows, tasks }: Timings): string {
  const cells = (values: readonly (number | string)[]): string =>
    values.map((value) => (typeof value === "number" ? value.toFixed(1) : value).padStart(8)).join("");
  const ofRow = ({ title, seconds }: Row): string =>
    `${cells([...parts.map((part) => seconds[part]), sum(seconds)])}  ${cut(title)}`;
  const all: Row = {
    title: `all of ${scenario}`,
    seconds: rows.reduce(
      (total, { seconds }) =>
        Object.fromEntries(parts.map((part) => [part, total[part] + seconds[part]])) as Record<Part, number>,
      nothing,
    ),
  };
  const long = tasks.filter(({ seconds }) => seconds >= 1);
  return [
    `Where the time of ${scenario} went, in seconds:`,
    `${cells([...parts, "all"])}  step`,
    ...[...rows, all].map(ofRow),
    ...(long.length === 0
      ? []
      : [
          `${cells(["count", "longest", "all"])}  tasks of its playbooks`,
          ...long.map(
            ({ task, count, seconds, longest }) => `${cells([String(count), longest, seconds])}  ${cut(task)}`,
          ),
        ]),
  ].join("\n");
}

/** What the columns of the tables mean. */
export function legend(): string {
  return parts.map((part) => `${part.padEnd(7)}  ${explained[part]}`).join("\n");
}
