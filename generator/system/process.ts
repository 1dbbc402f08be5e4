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
  /** 127 when the program is not there, 128 + the number for a signal. */
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

/** Run a command to its end. A failure is an outcome, not an exception. */
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
