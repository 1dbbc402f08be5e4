import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { apply, manifest, manifestPath, plan, readOwned, readTree } from "../generator/disk.js";
import type { OutFile } from "../generator/ir.js";
import { put, temporary } from "./support.js";

const file = (path: string, text = path): OutFile => ({ path, text });

describe(plan.name, () => {
  it("writes what is new or different, and nothing else", () => {
    deepStrictEqual(plan([file("a"), file("b", "old")], [file("a"), file("b"), file("c")], []), { write: [file("b"), file("c")], remove: [], same: 1 });
  });
  it("writes a file that lost its executable bit", () => {
    const script = { ...file("a"), executable: true };
    deepStrictEqual(plan([file("a")], [script], []).write, [script]);
  });
  it("removes what it owns and no longer wants", () => deepStrictEqual(plan([file("a"), file("b")], [file("a")], ["a", "b"]).remove, ["b"]));
  it("leaves what it does not own", () => deepStrictEqual(plan([file("a"), file("b")], [file("a")], ["a"]).remove, []));
  it("does not remove what is gone already", () => deepStrictEqual(plan([], [], ["a"]).remove, []));
});

/** One run of the generator that wants these files. */
function generate(root: string, ...files: readonly OutFile[]): number {
  const after = [...files, manifest(files.map(({ path }) => path))];
  const { before, owned } = readOwned(root, after);
  const todo = plan(before, after, owned);
  apply(root, todo, owned);
  return todo.write.length + todo.remove.length;
}

describe("the output folder", () => {
  it("is not touched by a second run", () => {
    const root = temporary();
    ok(generate(root, file("a/b")) > 0);
    const { mtimeMs } = statSync(join(root, "a/b"));
    strictEqual(generate(root, file("a/b")), 0);
    strictEqual(statSync(join(root, "a/b")).mtimeMs, mtimeMs);
  });

  it("loses a file that is no longer wanted, and the folder that is empty then", () => {
    const root = temporary();
    generate(root, file("a/b/c"), file("a/d"));
    generate(root, file("a/d"));
    ok(!existsSync(join(root, "a/b")) && existsSync(join(root, "a/d")));
  });

  it("keeps what somebody else put there, .git too", () => {
    const root = temporary();
    put(root, { ".git/HEAD": "x", "a/notes": "y" });
    generate(root, file("a/b"));
    generate(root);
    strictEqual(readFileSync(join(root, ".git/HEAD"), "utf8"), "x");
    strictEqual(readFileSync(join(root, "a/notes"), "utf8"), "y");
    ok(!existsSync(join(root, "a/b")));
  });

  it("gets files that are readable by all, executable where they were, and no temporary ones", () => {
    const root = temporary();
    generate(root, file("a"), { ...file("run"), executable: true });
    strictEqual(statSync(join(root, "a")).mode & 0o777, 0o644);
    strictEqual(statSync(join(root, "run")).mode & 0o777, 0o755);
    deepStrictEqual(readdirSync(root).sort(), [manifestPath, "a", "run"]);
  });

  it("has every file in the manifest before it appears, so that none is orphaned by an interruption", () => {
    const root = temporary();
    mkdirSync(join(root, "z"));
    // "z" is a folder where a file is wanted: the run fails after it wrote "a".
    throws(() => apply(root, { write: [file("a"), file("z")], remove: [], same: 0 }, []));
    ok(existsSync(join(root, "a")));
    match(readFileSync(join(root, manifestPath), "utf8"), /"a"/);
    deepStrictEqual(readdirSync(root).sort(), [manifestPath, "a", "z"]);
  });
});

describe("the manifest is not trusted", () => {
  const cases: [title: string, text: string][] = [
    ["an absolute path", '{"files":["/etc/passwd"]}'],
    ["a path that climbs out", '{"files":["a/../../x"]}'],
    ["a path of Windows", '{"files":["C:\\\\x"]}'],
    ["a backslash", '{"files":["a\\\\..\\\\x"]}'],
    ["the folder itself", '{"files":["."]}'],
    ["an empty path", '{"files":[""]}'],
    ["a number", '{"files":[1]}'],
    ["no list", '{"files":{}}'],
    ["no JSON", "x"],
    ["null", "null"],
  ];
  for (const [title, text] of cases)
    it(`with ${title} in it nothing is done`, () => {
      const root = temporary();
      put(root, { [manifestPath]: text });
      throws(() => generate(root, file("a")), /Nothing was written\. Delete that file/);
      ok(!existsSync(join(root, "a")));
    });

  it("a symbolic link on the way to a listed file is refused, and what it points to stays", () => {
    const [root, elsewhere] = [temporary(), temporary()];
    put(elsewhere, { b: "precious" });
    put(root, { [manifestPath]: '{"files":["a/b"]}' });
    symlinkSync(elsewhere, join(root, "a"));
    throws(() => generate(root), /is a symbolic link/);
    strictEqual(readFileSync(join(elsewhere, "b"), "utf8"), "precious");
  });

  it("a symbolic link where a file is wanted is refused", () => {
    const [root, elsewhere] = [temporary(), temporary()];
    put(elsewhere, { b: "precious" });
    symlinkSync(join(elsewhere, "b"), join(root, "a"));
    throws(() => generate(root, file("a")), /is a symbolic link/);
    strictEqual(readFileSync(join(elsewhere, "b"), "utf8"), "precious");
  });

  it("the manifest itself may be no symbolic link", () => {
    const [root, elsewhere] = [temporary(), temporary()];
    put(elsewhere, { m: '{"files":[]}' });
    symlinkSync(join(elsewhere, "m"), join(root, manifestPath));
    throws(() => generate(root, file("a")), /is a symbolic link/);
  });
});

describe(readTree.name, () => {
  it("is sorted, with executable bits, without what Python leaves behind", () => {
    const root = temporary();
    put(root, { "b/x.py": "1", a: "2", "b/__pycache__/x.pyc": "3" });
    writeFileSync(join(root, "run"), "4", { mode: 0o755 });
    deepStrictEqual(readTree(root), [file("a", "2"), file("b/x.py", "1"), { ...file("run", "4"), executable: true }]);
  });
  it("refuses what is no text", () => {
    const root = temporary();
    writeFileSync(join(root, "x"), Buffer.from([0xff, 0xfe]));
    throws(() => readTree(root), /is no UTF-8 text/);
  });
  it("of a folder that is not there is empty", () => deepStrictEqual(readTree(join(temporary(), "none")), []));
});
