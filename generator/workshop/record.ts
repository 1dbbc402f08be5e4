import type { ScenarioResult } from "./scenarios.js";

/** What a guest says of itself, in the order of the columns of docs/your-images.md. */
export interface Guest {
  readonly release: string;
  readonly kernel: string;
  readonly systemd: string;
  readonly loader: string;
}

/** The words with which molecule/shared/verify.yml begins the line about the guest. */
const mark = "rig-guest:";

/** The head of the table in docs/your-images.md. */
export const recordHead = "| date | release | kernel | systemd | boot loader | scenario | result |";

/** What the log of a scenario says of its guest; undefined when the guest was never reached. */
export function guestOf(log: readonly string[]): Guest | undefined {
  const said = log.map((line) => line.slice(line.indexOf(mark))).find((line) => line.startsWith(mark));
  const [release, kernel, systemd, loader] = (said ?? "")
    .slice(mark.length)
    .replace(/".*$/, "")
    .split(";")
    .map((part) => part.trim());
  return release && kernel && systemd && loader ? { release, kernel, systemd, loader } : undefined;
}

/** A row of the table. */
export function recordRow(
  { scenario, outcome }: Pick<ScenarioResult, "scenario" | "outcome">,
  guest: Guest | undefined,
  date: Date,
): string {
  const { release, kernel, systemd, loader } = guest ?? {
    release: "not reached",
    kernel: "",
    systemd: "",
    loader: "",
  };
  const cells = [date.toISOString().slice(0, 10), release, kernel, systemd, loader, scenario, outcome];
  return `| ${cells.map((cell) => cell.replaceAll("|", "/")).join(" | ")} |`;
}

/** The page with rows at the end of its table; without its sentence that there are none. */
export function withRows(page: string, rows: readonly string[]): string {
  const lines = page.replace(`\n${noRows}\n`, "").trimEnd().split("\n");
  if (lines.at(-1)?.startsWith("|") !== true) throw new Error("docs/your-images.md does not end with its table");
  return `${[...lines, ...rows].join("\n")}\n`;
}

/** What the page says below its table as long as that has no row. */
export const noRows = "No run by a user has been recorded yet.";
