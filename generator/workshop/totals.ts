/** What was tested. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const none: Totals = { passed: 0, failed: 0, skipped: 0 };

export function addTotals(a: Totals, b: Totals): Totals {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** The line that a run ends with. */
export function closingLine({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** A step that either did its work or did not. */
export function single(_output: string, code: number): Totals {
  return code === 0 ? { ...none, passed: 1 } : { ...none, failed: 1 };
}

/** Mocha's spec reporter: "12 passing (3s)", "1 failing", "2 pending". */
export function mochaTotals(output: string, code: number): Totals {
  const count = (word: string): number => Number(new RegExp(`^ *(\\d+) ${word}\\b`, "m").exec(output)?.[1] ?? 0);
  return honest({ passed: count("passing"), failed: count("failing"), skipped: count("pending") }, code);
}

/**
 * Pytest's last line: "1 failed, 12 passed, 2 skipped, 1 error in 3.21s".
 *
 * @param short whether tests were left out on purpose, by their mark, which the end of the run names
 */
export function pytestTotals(output: string, code: number, short = false): Totals {
  const line = output.split("\n").findLast((candidate) => / in [\d.]+s/.test(candidate)) ?? "";
  const count = (...words: string[]): number => words.reduce((sum, word) => sum + Number(new RegExp(`(\\d+) ${word}\\b`).exec(line)?.[1] ?? 0), 0);
  return honest({ passed: count("passed"), failed: count("failed", "errors?", "xpassed"), skipped: count("skipped", "xfailed", ...(short ? [] : ["deselected"])) }, code);
}

/** One line for each artefact: "role: passed, 22 files examined". */
export function lintTotals(output: string, code: number): Totals {
  const count = (word: string): number => [...output.matchAll(new RegExp(`^\\w+: ${word}, \\d+ files examined$`, "gm"))].length;
  return honest({ passed: count("passed"), failed: count("failed"), skipped: 0 }, code);
}

/** The closing table of `verify`: name, outcome, time, log. */
export function scenarioTotals(output: string, code: number): Totals {
  const count = (word: string): number => [...output.matchAll(new RegExp(`^\\S+ +${word} +\\d+ (?:min \\d+ )?s  .+\\.log$`, "gm"))].length;
  return honest({ passed: count("passed"), failed: count("failed") + count("stopped"), skipped: 0 }, code);
}

/** A run that failed has a failure, and a run that tested nothing has failed, whatever its output says. */
function honest(totals: Totals, code: number): Totals {
  const nothing = totals.passed + totals.failed + totals.skipped === 0;
  return (code !== 0 || nothing) && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}
