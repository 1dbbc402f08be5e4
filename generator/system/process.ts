import { setTimeout as wait } from "node:timers/promises";
import { execa } from "execa";

/** A command as data: it can be shown, tested, and run in one place. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Added to the environment; undefined takes a variable away. */
  readonly env?: { readonly [name: string]: string | undefined };
}

export interface Outcome {
  /** 127 when the program is not there, 128 when a signal ended it. */
  readonly code: number;
  /** Standard output and error, in the order in which they came. */
  readonly output: string;
  readonly stdout: string;
  readonly seconds: number;
}

export interface Watch {
  /** Each line as it comes. */
  readonly onLine?: (line: string) => void;
  /** The process, once it runs. */
  readonly onStart?: (pid: number) => void;
  /** Start it as the head of a new process group, which a signal from the terminal does not reach. */
  readonly ownGroup?: boolean;
  readonly input?: string;
}

/** Exit codes of programs that end for SIGINT or SIGTERM by themselves: of ansible (99), and of shells and git. */
const interrupted: readonly (number | undefined)[] = [99, 130, 143];

/** Milliseconds within which a signal to the process group arrives here too, also on a slow machine. */
const signalDelay = 1000;

/**
 * Run a command to its end. A failure is an outcome, not an exception.
 *
 * Ctrl-C sends SIGINT to the whole process group, and a child can end before this process has its own: for such a
 * child, this returns only after a moment in which this process's handler can run. Otherwise the caller reports a
 * failure of the child, and not the interruption.
 */
export async function run(command: Command, watch: Watch = {}): Promise<Outcome> {
  const start = performance.now();
  const child = execa(command.file, command.args, {
    ...(command.cwd === undefined ? {} : { cwd: command.cwd }),
    env: command.env ?? {},
    all: true,
    reject: false,
    detached: watch.ownGroup === true,
    ...(watch.input === undefined ? { stdin: "ignore" } : { input: watch.input }),
  });
  if (watch.onStart && child.pid !== undefined) watch.onStart(child.pid);
  if (watch.onLine) for await (const line of child.iterable({ from: "all" })) watch.onLine(String(line));
  const result = await child;
  const killed = result.signal !== undefined || interrupted.includes(result.exitCode);
  if (killed && watch.ownGroup !== true) await wait(signalDelay);
  const notThere = result.code === "ENOENT" ? `${command.file}: not found` : "";
  return {
    code: result.exitCode ?? (notThere ? 127 : 128),
    output: [result.all, notThere].filter((text) => text).join("\n"),
    stdout: String(result.stdout ?? ""),
    seconds: (performance.now() - start) / 1000,
  };
}

/** The command as a person types it in a shell. */
export function shellLine(command: Command): string {
  const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);
  const env = Object.entries(command.env ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quote(value)}`],
  );
  return [...env, command.file, ...command.args]
    .map((word, index) => (index < env.length ? word : quote(word)))
    .join(" ");
}
