import type { Command, Help, Option } from "commander";

// The help of the command line: the end of each command's help, and the layout on narrow terminals.

/** The end of a command's help. */
export interface Ending {
  /** A line to type, in a clone. */
  readonly example: string;
  /** The meaning of the exit codes 0 and 1; 2 means wrong use for every command. */
  readonly good: string;
  readonly failed: string;
}

/** The minimum number of columns for a description next to its term; with fewer columns it is below the term. */
const roomy = 40;

/** The columns of help: those of the terminal, or $COLUMNS where the output is not a terminal. */
export function helpWidth(): number {
  const columns = process.stdout.isTTY ? process.stdout.columns : Number(process.env["COLUMNS"]);
  return columns >= 20 ? columns : 80;
}

/** An item of a list of options or commands. Commander does not wrap a description that has less than `roomy` columns. */
export function formatItem(term: string, termWidth: number, description: string, helper: Help): string {
  const width = helper.helpWidth ?? 80;
  if (description === "") return `  ${term}`;
  const fits = width - termWidth - 4 >= roomy;
  const [first, indent] = fits ? [`  ${term.padEnd(termWidth)}  `, termWidth + 4] : [`  ${term}\n      `, 6];
  return first + helper.boxWrap(description, width - indent).replaceAll("\n", `\n${" ".repeat(indent)}`);
}

/** The examples and exit codes of a command, for the end of its help. */
export function ending({ example, good, failed }: Ending, helper: Help): string {
  const codes: readonly (readonly [string, string])[] = [
    ["0", good],
    ["1", failed],
    ["2", "wrong use: an unknown command, option or value, or a path that does not exist"],
  ];
  const wrapped = codes.map(
    ([code, text]) => `  ${code}  ${helper.boxWrap(text, helpWidth() - 5).replaceAll("\n", "\n     ")}`,
  );
  return ["", "Example:", `  ${example}`, "", "Exit codes:", ...wrapped].join("\n");
}

/** Options with the same names in users' npm configuration for node-gyp. */
const ofNodeGyp = ["jobs", "python"];

/**
 * A sentence about an option that `npm run` has taken for itself because there was no "--" before it; undefined if there is no
 * such option. Without this check the command would run without the option: `publish --dry-run` would publish for real.
 */
export function takenByNpm(command: Command, env: NodeJS.ProcessEnv): string | undefined {
  const script = env["npm_lifecycle_event"];
  // npx passes all options on.
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
