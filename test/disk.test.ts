import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { readTree } from "../generator/system/disk.js";
import { isLargerThan, readUserFiles, whyNoText, writeUserFiles } from "../generator/system/userFiles.js";
import { apply, manifest, manifestPath, plan, readOwned } from "../generator/system/owned.js";
import type { OutFile } from "../generator/ir.js";
import { put, temporary } from "./support.js";

const file = (path: string, text = path): OutFile => ({ path, text });

describe(plan.name, () => {
  it("writes what is new or different, and nothing else", () => {
    deepStrictEqual(plan([file("a"), file("b", "old")], [file("a"), file("b"), file("c")], []), {
      write: [file("b"), file("c")],
      remove: [],
      same: 1,
    });
  });
  it("writes a file that lost its executable bit", () => {
    const script = { ...file("a"), executable: true };
    deepStrictEqual(plan([file("a")], [script], []).write, [script]);
  });
  it("removes what it owns and no longer wants", () =>
    deepStrictEqual(plan([file("a"), file("b")], [file("a")], ["a", "b"]).remove, ["b"]));
  it("leaves what it does not own", () => deepStrictEqual(plan([file("a"), file("b")], [file("a")], ["a"]).remove, []));
  it("does not remove what is removed already", () => deepStrictEqual(plan([], [], ["a"]).remove, []));
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

  it("keeps what another program put there, .git too", () => {
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
  it("refuses what is not text", () => {
    const root = temporary();
    writeFileSync(join(root, "x"), Buffer.from([0xff, 0xfe]));
    throws(() => readTree(root), /is not UTF-8 text/);
  });
  it("of a folder that is not there is empty", () => deepStrictEqual(readTree(join(temporary(), "none")), []));
});

/** As a user who is not root, whoever runs the tests: root may read and write everything. */
function asUser<Value>(action: () => Value): Value {
  if (process.getuid!() !== 0) return action();
  process.setegid!(65534);
  process.seteuid!(65534);
  try {
    return action();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

describe(readUserFiles.name, () => {
  const read = (root: string): unknown => readUserFiles(root, () => true);
  it("reports where links lead, and what cannot be there", () => {
    const root = temporary();
    put(root, { "a/b": "1" });
    symlinkSync("round", join(root, "round"));
    symlinkSync("nowhere", join(root, "broken"));
    symlinkSync("..", join(root, "a/up"));
    deepStrictEqual(read(root), [
      { path: "a" },
      { path: "a/b", text: "1" },
      { path: "a/up", link: "..", real: "" },
      { path: "broken", link: "nowhere" },
      { path: "round", link: "round" },
    ]);
  });
  it("reports where a file really is, through any links", () => {
    const [root, elsewhere] = [temporary(), temporary()];
    put(root, { "a/b/c": "1" });
    put(elsewhere, { d: "2" });
    symlinkSync("a", join(root, "x"));
    symlinkSync("../a/b/c", join(root, "x/e"));
    symlinkSync(elsewhere, join(root, "y"));
    const found = readUserFiles(root, () => true).map(({ path, real }) => [path, real]);
    deepStrictEqual(found, [
      ["a", undefined],
      ["a/b", undefined],
      ["a/b/c", undefined],
      ["a/e", "a/b/c"],
      ["x", "a"],
      ["x/b", "a/b"],
      ["x/b/c", "a/b/c"],
      ["x/e", "a/b/c"],
      ["y", relative(root, elsewhere)],
      ["y/d", relative(root, join(elsewhere, "d"))],
    ]);
  });
  it("takes what cannot be read for something without text", () => {
    const root = temporary();
    chmodSync(root, 0o755);
    put(root, { file: "1", "folder/x": "2", "other/y": "3" });
    chmodSync(join(root, "file"), 0);
    chmodSync(join(root, "folder"), 0);
    // Its names can be read, and nothing more.
    chmodSync(join(root, "other"), 0o755);
    deepStrictEqual(
      asUser(() => read(root)),
      [{ path: "file" }, { path: "folder" }, { path: "other" }, { path: "other/y", text: "3" }],
    );
    chmodSync(join(root, "folder"), 0o755);
  });
});

describe(whyNoText.name, () => {
  it("distinguishes what cannot be read from what is not text, and from what does not exist", () => {
    const root = temporary();
    chmodSync(root, 0o755);
    put(root, { file: "1", "folder/x": "2", "closed/x": "3" });
    writeFileSync(join(root, "binary"), Buffer.from([0xff, 0xfe]));
    symlinkSync("no/such", join(root, "away"));
    symlinkSync("round", join(root, "round"));
    chmodSync(join(root, "file"), 0);
    chmodSync(join(root, "closed"), 0);
    const why = (path: string): string | undefined => asUser(() => whyNoText(join(root, path)));
    deepStrictEqual(["file", "closed", "closed/x", "folder", "binary", "away", "round", "binary/x", "none"].map(why), [
      "denied",
      "denied",
      "denied",
      undefined,
      "binary",
      "nowhere",
      "nowhere",
      "nowhere",
      "nowhere",
    ]);
    chmodSync(join(root, "closed"), 0o755);
  });
});

describe(isLargerThan.name, () => {
  it("is of files alone", () => {
    const root = temporary();
    put(root, { "a/b": "12345" });
    deepStrictEqual(
      ["a/b", "a", "none", "a/b/c"].map((path) => isLargerThan(join(root, path), 4)),
      [true, false, false, false],
    );
    strictEqual(isLargerThan(join(root, "a/b"), 5), false);
  });
});

describe(writeUserFiles.name, () => {
  it("writes files and links, with the permissions that they have", () => {
    const root = temporary();
    put(root, { a: "old" });
    chmodSync(join(root, "a"), 0o2640);
    writeUserFiles(root, [file("a"), file("n/m/b")], [{ path: "l/c", target: "../a" }]);
    deepStrictEqual(
      [
        readFileSync(join(root, "a"), "utf8"),
        statSync(join(root, "a")).mode & 0o7777,
        readFileSync(join(root, "n/m/b"), "utf8"),
        readlinkSync(join(root, "l/c")),
      ],
      ["a", 0o2640, "n/m/b", "../a"],
    );
    deepStrictEqual(
      [readdirSync(root), readdirSync(join(root, "n/m")), readdirSync(join(root, "l"))],
      [["a", "l", "n"], ["b"], ["c"]],
    );
  });

  it("as root keeps the owner of a file, and gives new ones that of their folder", () => {
    // Who is not root owns all of it anyway.
    const [uid, gid] = process.getuid!() === 0 ? [1234, 2345] : [process.getuid!(), process.getgid!()];
    const root = temporary();
    put(root, { "f/a": "old" });
    chownSync(join(root, "f"), uid, gid);
    chownSync(join(root, "f/a"), uid, process.getuid!() === 0 ? 3456 : gid);
    writeUserFiles(root, [file("f/a"), file("f/n/m/b")], [{ path: "f/l/c", target: "../a" }]);
    const owner = (path: string): number[] => [lstatSync(join(root, path)).uid, lstatSync(join(root, path)).gid];
    deepStrictEqual(owner("f/a"), [uid, process.getuid!() === 0 ? 3456 : gid]);
    for (const path of ["f/n", "f/n/m", "f/n/m/b", "f/l", "f/l/c"]) deepStrictEqual(owner(path), [uid, gid], path);
  });

  it("writes nothing, and leaves nothing behind, when one cannot be written", () => {
    const root = temporary();
    put(root, { a: "old", z: "a file" });
    throws(
      () => writeUserFiles(root, [file("a"), file("n/m/b"), file("z/b")], []),
      (error: Error) =>
        error.message.startsWith(`${join(root, "z/b")} cannot be written: `) &&
        error.message.endsWith(". Nothing was written."),
    );
    strictEqual(readFileSync(join(root, "a"), "utf8"), "old");
    deepStrictEqual(readdirSync(root), ["a", "z"]);
  });

  it("reports what was written when the last step fails", () => {
    const root = temporary();
    put(root, { "z/x": "" });
    throws(
      () => writeUserFiles(root, [file("a"), file("z"), file("b")], []),
      /z cannot be written: E\w+: [^,]*\. This was written before: a\. Fix that, and run this again for the rest\.$/,
    );
    deepStrictEqual(readdirSync(root), ["a", "z"]);
  });

  it("does not change the owner of a file of another person", () => {
    if (process.getuid!() !== 0) return;
    const root = temporary();
    chmodSync(root, 0o777);
    put(root, { a: "old" });
    throws(
      () => asUser(() => writeUserFiles(root, [file("a")], [])),
      /a cannot be written: EPERM: .* Nothing was written\.$/,
    );
    deepStrictEqual([readFileSync(join(root, "a"), "utf8"), readdirSync(root)], ["old", ["a"]]);
  });
});
