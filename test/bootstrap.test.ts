import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { run } from "../generator/system/process.js";
import type { Outcome } from "../generator/system/process.js";
import { nodeAsOther, put, repository, root } from "./support.js";

describe("a clone makes itself ready @long", () => {
  let folder: string;
  const start = async (env: { [name: string]: string } = {}): Promise<Outcome> =>
    await run({ file: process.execPath, args: [join(folder, "generator/bootstrap.mjs"), "--help"], cwd: folder, env });

  before(() => {
    folder = repository();
    rmSync(join(folder, "build"), { recursive: true });
    for (const path of ["package-lock.json", "tsconfig.json"]) cpSync(join(root, path), join(folder, path));
    put(folder, { "test/a.test.ts": "export {};\n", "test/b.test.ts": "export {};\n" });
  });

  it("by compiling, once", async () => {
    const first = await start();
    strictEqual(first.code, 0, first.output);
    match(first.output, /^Compiling the generator$/m);
    match(first.stdout, /^Usage: sriov-role/);
    doesNotMatch((await start()).output, /Compiling/);
  });

  it("by compiling again when a source changed, and forgetting a removed test", async () => {
    ok(existsSync(join(folder, "build/test/b.test.js")));
    rmSync(join(folder, "test/b.test.ts"));
    appendFileSync(join(folder, "test/a.test.ts"), "export const changed = true;\n");
    match((await start()).output, /^Compiling the generator$/m);
    deepStrictEqual(
      [
        existsSync(join(folder, "build/test/b.test.js")),
        /changed/.test(readFileSync(join(folder, "build/test/a.test.js"), "utf8")),
      ],
      [false, true],
    );
  });

  it("not at all with a source that does not compile", async () => {
    const source = join(folder, "test/a.test.ts");
    writeFileSync(source, "export const wrong: number = 'text';\n");
    for (let time = 0; time < 2; time++) {
      const { code, output } = await start();
      strictEqual(code, 1);
      match(output, /a\.test\.ts.*not assignable/);
    }
    writeFileSync(source, "export {};\n");
  });

  it("by npm ci, when the packages are not those of the lock file", async () => {
    put(folder, { "bin/npm": '#!/bin/sh\necho "npm $*"; exit 9\n' });
    const path = join(folder, "package-lock.json");
    const lock = readFileSync(path, "utf8");
    writeFileSync(path, lock.replace(/("node_modules\/yaml": \{\s*"version": )"[^"]+"/, '$1"0.0.1"'));
    await run({ file: "chmod", args: ["755", join(folder, "bin/npm")] });
    const { code, output } = await start({ PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}` });
    strictEqual(code, 1);
    match(output, /^npm ci --include=dev/m);
    writeFileSync(path, lock);
  });

  it("not at all where npm is not there", async () => {
    const path = join(folder, "package-lock.json");
    const lock = readFileSync(path, "utf8");
    writeFileSync(path, lock.replace(/("node_modules\/yaml": \{\s*"version": )"[^"]+"/, '$1"0.0.1"'));
    const { code, output } = await start({ PATH: "/no/such" });
    strictEqual(code, 1);
    match(output, /^npm was not found: it comes with Node\.js; put it on the PATH\.$/m);
    writeFileSync(path, lock);
  });

  /** Run it as a user who may not write into these folders. */
  const startAsOther = async (...folders: readonly string[]): Promise<Outcome> => {
    for (const path of folders) chmodSync(join(folder, path), 0o555);
    const outcome = await nodeAsOther(join(folder, "generator/bootstrap.mjs"), "--help");
    for (const path of folders) chmodSync(join(folder, path), 0o755);
    return outcome;
  };

  it("not at all for a user who may not write there, who gets a sentence with what to do", async () => {
    strictEqual((await start()).code, 0);
    appendFileSync(join(folder, "test/a.test.ts"), "// newer than what is compiled\n");
    const { code, output } = await startAsOther("", "build", "build/generator", "build/test");
    strictEqual(code, 1);
    match(
      output,
      /^\S+: permission denied for the user \S+, and this clone must be made ready first: .* Make your own clone \(git clone \S+ DIRECTORY\), or let the owner of this one run the same command once/,
    );
    doesNotMatch(output, /\n\s+at |Error:|Compiling/);
  });

  it("not at all for such a user without packages either", async () => {
    rmSync(join(folder, "node_modules"));
    const { code, output } = await startAsOther("");
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    strictEqual(code, 1);
    match(output, /^\S+: permission denied for the user /);
    doesNotMatch(output, /\n\s+at |Error:|Installing/);
  });
});
