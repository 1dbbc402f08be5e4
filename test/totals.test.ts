import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { scenarioReport } from "../generator/workshop/scenarios.js";
import { closingLine, lintTotals, mochaTotals, pytestTotals, scenarioTotals, single } from "../generator/workshop/totals.js";
import type { Totals } from "../generator/workshop/totals.js";

const counted = (passed: number, failed: number, skipped = 0): Totals => ({ passed, failed, skipped });

describe("what was tested is read from the tools' own words", () => {
  const cases: [title: string, got: Totals, want: Totals][] = [
    ["mocha", mochaTotals("\n  12 passing (3s)\n  2 pending\n  1 failing\n\n  1) a\n     3 passing b", 1), counted(12, 1, 2)],
    ["mocha that ends with an error after good tests", mochaTotals("  12 passing (3s)\n", 7), counted(12, 1)],
    ["mocha that printed nothing", mochaTotals("", 0), counted(0, 1)],
    ["pytest", pytestTotals("x\n1 failed, 12 passed, 2 skipped, 1 error in 3.21s\n", 1), counted(12, 2, 2)],
    ["pytest in a minute", pytestTotals("=== 3 passed in 75.10s (0:01:15) ===", 0), counted(3, 0)],
    ["pytest with a test that is expected to fail", pytestTotals("3 passed, 1 xfailed in 1.00s", 0), counted(3, 0, 1)],
    ["pytest with a test that was left out", pytestTotals("3 passed, 2 deselected in 1.00s", 0), counted(3, 0, 2)],
    ["pytest without its long tests", pytestTotals("3 passed, 1 skipped, 2 deselected in 1.00s", 0, true), counted(3, 0, 1)],
    ["pytest with long tests only, when these are left out", pytestTotals("2 deselected in 1.00s", 5, true), counted(0, 1)],
    ["pytest without tests", pytestTotals("no tests ran in 0.01s", 5), counted(0, 1)],
    ["lint", lintTotals("role: passed, 22 files examined\ncollection: failed, 1 files examined\n", 1), counted(1, 1)],
    ["lint that printed nothing", lintTotals("", 0), counted(0, 1)],
    ["verify that printed nothing", scenarioTotals("", 0), counted(0, 1)],
    ["a step", single("", 0), counted(1, 0)],
    ["a step that failed", single("", 1), counted(0, 1)],
  ];
  for (const [title, got, want] of cases) it(title, () => deepStrictEqual(got, want));

  it("verify, from its own table", () => {
    const result = (scenario: string, outcome: "passed" | "failed" | "stopped", seconds: number) => ({ scenario, outcome, seconds, log: `/x y/${scenario}.log`, why: "why", tail: ["a  passed  1 s  b"] });
    const table = scenarioReport([result("default", "passed", 59.6), result("a_long_scenario_name", "failed", 3), result("c", "stopped", 0)]);
    deepStrictEqual(scenarioTotals(table, 1), counted(1, 2));
  });
});

describe(closingLine.name, () => {
  it("has no skips when there are none", () => strictEqual(closingLine(counted(3, 0)), "3 passed, 0 failed"));
  it("has them when there are", () => strictEqual(closingLine(counted(3, 1, 2)), "3 passed, 1 failed, 2 skipped"));
});
