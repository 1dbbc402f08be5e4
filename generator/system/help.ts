import type { Command, Help, Option } from "commander";

// How the command line explains itself: what each command's help ends with, and how help looks on narrow terminals.

/** What the help of a command ends with. */
export interface Ending {
  /** A line to type, in a clone. */
  readonly example: string;
  /** What the exit codes 0 and 1 mean; 2 is wrong use everywhere. */
  readonly good: string;
  readonly failed: string;
}

/** The least columns that a description gets next to its term; with fewer it is below. */
const roomy = 40;

/** The columns of help: those of the terminal, or of $COLUMNS as where the output is no terminal. */
export function helpWidth(): number {
  const columns = process.stdout.isTTY ? process.stdout.columns : Number(process.env["COLUMNS"]);
  return columns >= 20 ? columns : 80;
}

/** An item of a list of options or commands. Commander leaves a description whole where it has less than `roomy` columns. */
export function formatItem(term: string, termWidth: number, description: string, helper: Help): string {
  const width = helper.helpWidth ?? 80;
  if (description === "") return `  ${term}`;
  const beside = width - termWidth - 4 >= roomy;
  const [first, indent] = beside ? [`  ${term.padEnd(termWidth)}  `, termWidth + 4] : [`  ${term}\n      `, 6];
  return first + helper.boxWrap(description, width - indent).replaceAll("\n", `\n${" ".repeat(indent)}`);
}

/** The examples and exit codes of a command, for the end of its help. */
export function ending({ example, good, failed }: Ending, helper: Help): string {
  const codes: readonly (readonly [string, string])[] = [
    ["0", good],
    ["1", failed],
    ["2", "wrong use: an unknown command, option or value, or a path that is not there"],
  ];
  const wrapped = codes.map(
    ([code, text]) => `  ${code}  ${helper.boxWrap(text, helpWidth() - 5).replaceAll("\n", "\n     ")}`,
  );
  return ["", "Example:", `  ${example}`, "", "Exit codes:", ...wrapped].join("\n");
}

/** Options of the same names that people have in their npm configuration for node-gyp. */
const ofNodeGyp = ["jobs", "python"];

/**
 * A sentence about an option that `npm run` has taken for itself, because "--" was not before it; nothing when there is
 * none. Without this the command would run as if the option were not there: publish for good after `--dry-run`.
 */
export function takenByNpm(command: Command, env: NodeJS.ProcessEnv): string | undefined {
  const script = env["npm_lifecycle_event"];
  // npx hands all options on.
  if (script === undefined || script === "npx") return undefined;
  const taken = command.options.find(
    (option) =>
      command.getOptionValueSource(option.attributeName()) !== "cli" &&
      isTaken(option, env[`npm_config_${option.name().replace(/^no-/, "").replaceAll("-", "_")}`]),
  );
  return (
    taken &&
    `npm has taken ${taken.long} for itself. Nothing was done. Write -- before the options of the command: npm run ${script} -- ${taken.flags.replace(/^.*?(?=--)/, "")}`
  );
}

function isTaken(option: Option, value: string | undefined): boolean {
  if (value === undefined) return false;
  if (option.negate) return value === "" || value === "false";
  if (option.required || option.optional) return value !== "" && !ofNodeGyp.includes(option.name());
  return value === "true";
}
