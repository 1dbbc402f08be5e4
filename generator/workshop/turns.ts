import { run } from "../system/process.js";
import { scenarios, turnOf } from "./scenarios.js";

// On two processors without hardware virtualization, all scenarios take longer than CI waits. Some run with every commit,
// the others in turn.

/** So many turns there are: of so many commits in a row, each scenario that takes turns runs with one. */
export const turns = 4;

/** What `npm test` runs of the scenarios with a commit. */
export interface Due {
  /** The turn of the commit, from 1 to `turns`; undefined where git does not know the commit, and all are due. */
  readonly turn: number | undefined;
  readonly due: readonly string[];
  readonly left: readonly string[];
}

/** The scenarios that are due with a commit: it is the `count`th of its history, or unknown. */
export function dueScenarios(root: string, count: number | undefined): Due {
  const all = scenarios(root);
  if (count === undefined) return { turn: undefined, due: all, left: [] };
  const turn = (count % turns) + 1;
  const isDue = (scenario: string): boolean => [undefined, turn].includes(turnOf(root, scenario));
  return { turn, due: all.filter(isDue), left: all.filter((scenario) => !isDue(scenario)) };
}

/** How many commits the history of the checked out one has; undefined where this is not a git repository. */
export async function countOfCommits(root: string): Promise<number | undefined> {
  const { code, stdout } = await run({ file: "git", args: ["rev-list", "--count", "HEAD"], cwd: root });
  return code === 0 ? Number(stdout) : undefined;
}

/** What a person is shown of it; undefined when nothing is left out. */
export function dueReport({ turn, due, left }: Due): string | undefined {
  if (turn === undefined || left.length === 0) return undefined;
  return [
    `Turn ${turn} of ${turns}, by the number of the commit: ${due.length} of ${due.length + left.length} scenarios.`,
    `Left out, until their turn: ${left.join(", ")}.`,
    "All of them: npm test -- --all, or npm run verify",
  ].join("\n");
}
