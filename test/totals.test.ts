import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  closingLine,
  lintTotals,
  mochaTotals,
  pytestTotals,
  scenarioTotals,
  single,
} from "../generator/workshop/totals.js";
import type { Totals } from "../generator/workshop/totals.js";

const counted = (passed: number, failed: number, skipped = 0): Totals => ({ passed, failed, skipped });

describe("what was tested is read from the results that the tools write", () => {
  const mocha = (passes: number, failures = 0, pending = 0) => ({ passes, failures, pending });
  const twoLinters = [
    { title: "shellcheck", passed: true },
    { title: "prettier", passed: false },
  ];
  const threeScenarios = [
    { scenario: "default", outcome: "passed" } as const,
    { scenario: "a_long_scenario_name", outcome: "failed" } as const,
    { scenario: "c", outcome: "stopped" } as const,
  ];
  const cases: [title: string, got: Totals, want: Totals][] = [
    ["mocha", mochaTotals(mocha(12, 1, 2), 1), counted(12, 1, 2)],
    ["mocha that ends with an error after good tests", mochaTotals(mocha(12), 7), counted(12, 1)],
    ["mocha that wrote nothing", mochaTotals(undefined, 0), counted(0, 1)],
    ["mocha that found no test", mochaTotals(mocha(0), 0), counted(0, 1)],
    ["pytest", pytestTotals({ failed: 1, passed: 12, skipped: 2, error: 1 }, 1), counted(12, 2, 2)],
    ["pytest with warnings", pytestTotals({ passed: 3, warnings: 7 }, 0), counted(3, 0)],
    ["pytest with a test that is expected to fail", pytestTotals({ passed: 3, xfailed: 1 }, 0), counted(3, 0, 1)],
    ["pytest with one that passes in spite of that", pytestTotals({ passed: 3, xpassed: 1 }, 0), counted(3, 1)],
    ["pytest with a test that was left out", pytestTotals({ passed: 3, deselected: 2 }, 0), counted(3, 0, 2)],
    [
      "pytest without its long tests",
      pytestTotals({ passed: 3, skipped: 1, deselected: 2 }, 0, true),
      counted(3, 0, 1),
    ],
    ["pytest with long tests only, when these are left out", pytestTotals({ deselected: 2 }, 5, true), counted(0, 1)],
    ["pytest without tests", pytestTotals({}, 5), counted(0, 1)],
    ["pytest that wrote nothing", pytestTotals(undefined, 0), counted(0, 1)],
    ["pytest that ends with an error after good tests", pytestTotals({ passed: 3 }, 3), counted(3, 1)],
    ["lint", lintTotals(twoLinters, 1), counted(1, 1)],
    ["lint that wrote nothing", lintTotals(undefined, 0), counted(0, 1)],
    ["verify", scenarioTotals(threeScenarios, 1), counted(1, 2)],
    ["verify that wrote nothing", scenarioTotals(undefined, 0), counted(0, 1)],
    ["verify without a scenario", scenarioTotals([], 0), counted(0, 1)],
    ["a step", single(0), counted(1, 0)],
    ["a step that failed", single(1), counted(0, 1)],
  ];
  for (const [title, got, want] of cases) it(title, () => deepStrictEqual(got, want));
});

describe(closingLine.name, () => {
  it("has no skips when there are none", () => strictEqual(closingLine(counted(3, 0)), "3 passed, 0 failed"));
  it("has them when there are", () => strictEqual(closingLine(counted(3, 1, 2)), "3 passed, 1 failed, 2 skipped"));
});
