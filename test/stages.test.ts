import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { filesIn } from "../generator/system/disk.js";
import { inTurn, leftOut, longTests, stages } from "../generator/workshop/test.js";
import type { Selection } from "../generator/workshop/test.js";
import { root } from "./support.js";

const texts = new Map(
  ["test", "test/python", "test/openstack"].flatMap((folder) =>
    filesIn(join(root, folder)).filter((name) => /^test_.*\.py$|\.test\.ts$/.test(name)).map((name) => [`${folder}/${name}`, readFileSync(join(root, folder, name), "utf8")] as const),
  ),
);

describe("long tests", () => {
  const cases: [title: string, path: string, text: string, want: "whole" | "part" | undefined][] = [
    ["mocha, all suites", "test/a.test.ts", 'describe("a @long", () => {\n  it("x", () => {});\n});\ndescribe("b @long", () => {});\n', "whole"],
    ["mocha, one suite", "test/a.test.ts", 'describe("a", () => {});\ndescribe("b @long", () => {});\n', "part"],
    ["mocha, one test", "test/a.test.ts", 'describe("a", () => {\n  it("x @long", () => {});\n});\n', "part"],
    ["mocha, none", "test/a.test.ts", 'describe("a", () => {\n  it("x", () => {});\n});\nconst other = "@long";\n', undefined],
    ["pytest, the module", "test/python/test_a.py", "import pytest\n\npytestmark = pytest.mark.long\n", "whole"],
    ["pytest, a test", "test/python/test_a.py", "@pytest.mark.long\ndef test_a(): pass\n", "part"],
    ["pytest, none", "test/python/test_a.py", "def test_longer(): pass\n", undefined],
  ];
  for (const [title, path, text, want] of cases)
    it(`are known by their marks: ${title}`, () => deepStrictEqual(longTests(new Map([[path, text]])), { whole: want === "whole" ? [path] : [], part: want === "part" ? [path] : [] }));

  it("are named where they are left out", () => {
    strictEqual(
      leftOut({ whole: ["test/openstack/test_a.py"], part: ["test/b.test.ts"] }),
      "Left out, which npm test has: test/openstack/test_a.py, test/galaxy, lint, the release, virtual machines; and the long tests of test/b.test.ts.",
    );
  });

  it("are all those with Kayobe, and of a few files more all", () => {
    const { whole } = longTests(texts);
    deepStrictEqual(whole.filter((path) => !path.startsWith("test/openstack/")), ["test/bootstrap.test.ts", "test/fork.test.ts", "test/python/test_variables.py"]);
    deepStrictEqual(whole.filter((path) => path.startsWith("test/openstack/")), [...texts.keys()].filter((path) => path.startsWith("test/openstack/")));
  });
});

describe("the stages", () => {
  const of = (selection: Partial<Selection>): { readonly title: string; readonly words: readonly string[] }[][] =>
    stages("/bin", {}, { short: false, artefacts: false, jobs: 1, ...selection }).map((group) => group.map(({ title, command }) => ({ title, words: command.args })));
  const titles = (selection: Partial<Selection>): string[][] => of(selection).map((group) => group.map(({ title }) => title));
  const kayobe = "pytest with Kayobe, Kolla Ansible, Nova and Neutron";
  const publishing = "pytest of publishing, with a Galaxy on this machine";

  it("of everything leave out nothing, and begin with what needs nothing that is built", () => {
    const all = of({ artefacts: true });
    deepStrictEqual(all.map((group) => group.map(({ title }) => title)), [["mocha", "pytest", kayobe], ["generate"], ["check", "lint", "build"], [publishing], ["verify"]]);
    deepStrictEqual(all.flat().filter(({ words }) => words.includes("--grep") || words.includes("not long")), []);
    deepStrictEqual(all.flat().filter(({ title }) => title.startsWith("pytest")).map(({ words }) => words.at(-1)), ["test/python", "test/openstack", "test/galaxy"]);
    deepStrictEqual(all[0]?.[0]?.words.filter((word) => word.endsWith(".test.js")), []);
  });

  it("of the short run leave out what is marked, and files that have nothing else", () => {
    deepStrictEqual(titles({ short: true }), [["mocha", "pytest"]]);
    const [[mocha, pytest] = []] = of({ short: true });
    deepStrictEqual(mocha?.words.slice(1, 4), ["--grep", "@long", "--invert"]);
    ok(pytest?.words.join(" ").includes(" -m not long "));
    const { whole } = longTests(texts);
    const named = [...(mocha?.words ?? []), ...(pytest?.words ?? [])].map((word) => word.replace(/^build\/(.*)js$/, "$1ts"));
    deepStrictEqual([...texts.keys()].filter((path) => !named.includes(path)), whole);
  });

  it("of files that are named run all that is in them", () => {
    const files = ["test/fork.test.ts", "test/openstack/test_galaxy.py", "test/galaxy/test_publish.py"];
    const [group = []] = of({ files });
    deepStrictEqual(group.map(({ title }) => title), ["mocha", kayobe, publishing]);
    deepStrictEqual(group.map(({ words }) => words.at(-1)), ["build/test/fork.test.js", "test/openstack/test_galaxy.py", "test/galaxy"]);
    deepStrictEqual(group.filter(({ words }) => words.includes("--grep") || words.includes("not long")), []);
  });
});

describe(inTurn.name, () => {
  it("shows what runs side by side as if one had run after another", () => {
    const shown: string[] = [];
    const { say, end } = inTurn(3, (line) => shown.push(line));
    say(0, "a1");
    say(2, "c1");
    say(1, "b1");
    deepStrictEqual(shown, ["a1"]);
    end(2);
    deepStrictEqual(shown, ["a1"]);
    end(0);
    deepStrictEqual(shown, ["a1", "b1"]);
    say(1, "b2");
    end(1);
    deepStrictEqual(shown, ["a1", "b1", "b2", "c1"]);
  });
});
