import Mocha from "mocha";
import { writeJson } from "../generator/system/disk.js";
import type { MochaResults } from "../generator/workshop/totals.js";

/**
 * Mocha's own reporter `spec`, which shows each test as it ends, and a file with what mocha counted:
 * `--reporter build/test/reporter.js --reporter-option output=FILE`.
 */
export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const { output } = (options.reporterOptions ?? {}) as { output?: string };
    if (output === undefined) throw new Error("the reporter needs a file: --reporter-option output=FILE");
    runner.once("end", () => {
      const { passes, failures, pending } = this.stats;
      writeJson(output, { passes, failures, pending } satisfies MochaResults);
    });
  }
}
