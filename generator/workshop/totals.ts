/** How many tests passed, failed and were skipped. */
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

/** Mocha's own statistics, as test/reporter.ts writes them. */
export interface MochaResults {
  readonly passes: number;
  /** Of tests, and of the hooks before and after them. */
  readonly failures: number;
  readonly pending: number;
}

/** How many tests pytest has of each of its categories ("passed", "xfailed"), as test/conftest.py writes them. */
export type PytestResults = { readonly [category: string]: number };

/** What `lint --results` writes. */
export type LintResults = readonly { readonly title: string; readonly passed: boolean }[];

/** What `verify --results` writes. */
export type ScenarioResults = readonly {
  readonly scenario: string;
  readonly outcome: "passed" | "failed" | "stopped";
}[];

/** The totals of a stage that either did its work or did not: of its exit code. */
export function single(code: number): Totals {
  return code === 0 ? { ...none, passed: 1 } : { ...none, failed: 1 };
}

/**
 * Totals of a run of mocha.
 *
 * @param results undefined when mocha ended without writing any
 * @param code its exit code
 */
export function mochaTotals(results: MochaResults | undefined, code: number): Totals {
  const { passes = 0, failures = 0, pending = 0 } = results ?? {};
  return neverZero({ passed: passes, failed: failures, skipped: pending }, code);
}

/**
 * Totals of a run of pytest. A test that is expected to fail is a skipped one, and one that passes in spite of that a
 * failed one.
 *
 * @param results undefined when pytest ended without writing any
 * @param code its exit code
 * @param short whether tests were left out on purpose, by their mark; otherwise what was left out counts as skipped
 */
export function pytestTotals(results: PytestResults | undefined, code: number, short = false): Totals {
  const count = (...categories: string[]): number => categories.reduce((sum, one) => sum + (results?.[one] ?? 0), 0);
  const skipped = count("skipped", "xfailed", ...(short ? [] : ["deselected"]));
  return neverZero({ passed: count("passed"), failed: count("failed", "error", "xpassed"), skipped }, code);
}

/** Totals of `lint`: a linter is a test. The parameters are as those of `mochaTotals`. */
export function lintTotals(results: LintResults | undefined, code: number): Totals {
  const passed = (results ?? []).filter((result) => result.passed).length;
  return neverZero({ passed, failed: (results ?? []).length - passed, skipped: 0 }, code);
}

/** Totals of `verify`: a scenario is a test, and one that was stopped has failed. The parameters are as above. */
export function scenarioTotals(results: ScenarioResults | undefined, code: number): Totals {
  const passed = (results ?? []).filter(({ outcome }) => outcome === "passed").length;
  return neverZero({ passed, failed: (results ?? []).length - passed, skipped: 0 }, code);
}

/** A run that failed has a failure, and a run that tested nothing has failed, with any results. */
function neverZero(totals: Totals, code: number): Totals {
  const nothing = totals.passed + totals.failed + totals.skipped === 0;
  return (code !== 0 || nothing) && totals.failed === 0 ? { ...totals, failed: 1 } : totals;
}
