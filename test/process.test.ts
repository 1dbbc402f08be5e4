import assert from "node:assert/strict";
import { join } from "node:path";
import { run } from "../generator/system/process.js";

/**
 * What becomes of a program that SIGINT reaches only after it has reached its child: 130 when its handler ran, 1 when
 * the program took the child's end for a failure.
 *
 * @param end how the child ends, as a shell command
 */
async function codeAfter(end: string): Promise<number> {
  const module = join(import.meta.dirname, "..", "generator", "system", "process.js");
  const program = `
    import { run } from ${JSON.stringify(module)};
    process.on("SIGINT", () => process.exit(130));
    const late = "(sleep 0.2; kill -INT " + process.pid + ") > /dev/null 2>&1 &";
    await run({ file: "sh", args: ["-c", late + ${JSON.stringify(end)}] });
    process.exit(1);`;
  return (await run({ file: process.execPath, args: ["--input-type=module", "--eval", program] })).code;
}

describe("a command that is interrupted with this program", () => {
  for (const end of ["kill -INT $$", "kill -TERM $$", "exit 99", "exit 130"])
    it(`lets this program's handler run first: ${end}`, async () => {
      assert.equal(await codeAfter(end), 130);
    });

  it("is not waited for when it only failed", async () => {
    assert.equal(await codeAfter("exit 128"), 1);
  });
});
