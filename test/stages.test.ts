import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { filesIn, readJsonIfThere, writeJson } from "../generator/system/disk.js";
import { run } from "../generator/system/process.js";
import type { Outcome } from "../generator/system/process.js";
import { openStackSeries, pythonTools } from "../generator/workshop/setup.js";
import { leftOut, longTests, stages } from "../generator/workshop/stages.js";
import type { Selection, Stage } from "../generator/workshop/stages.js";
import { inTurn } from "../generator/workshop/test.js";
import { put, root, temporary } from "./support.js";

const texts = new Map(
  ["test", "test/python", "test/openstack"].flatMap((folder) =>
    filesIn(join(root, folder))
      .filter((name) => /^test_.*\.py$|\.test\.ts$/.test(name))
      .map((name) => [`${folder}/${name}`, readFileSync(join(root, folder, name), "utf8")] as const),
  ),
);

describe("long tests", () => {
  const cases: [title: string, path: string, text: string, want: "whole" | "part" | undefined][] = [
    [
      "mocha, all suites",
      "test/a.test.ts",
      'describe("a @long", () => {\n  it("x", () => {});\n});\ndescribe("b @long", () => {});\n',
      "whole",
    ],
    ["mocha, one suite", "test/a.test.ts", 'describe("a", () => {});\ndescribe("b @long", () => {});\n', "part"],
    ["mocha, one test", "test/a.test.ts", 'describe("a", () => {\n  it("x @long", () => {});\n});\n', "part"],
    [
      "mocha, none",
      "test/a.test.ts",
      'describe("a", () => {\n  it("x", () => {});\n});\nconst other = "@long";\n',
      undefined,
    ],
    ["pytest, the module", "test/python/test_a.py", "import pytest\n\npytestmark = pytest.mark.long\n", "whole"],
    [
      "pytest, the module, with another mark",
      "test/python/test_a.py",
      "pytestmark = [pytest.mark.long, pytest.mark.a]\n",
      "whole",
    ],
    ["pytest, a test", "test/python/test_a.py", "@pytest.mark.long\ndef test_a(): pass\n", "part"],
    ["pytest, none", "test/python/test_a.py", "def test_longer(): pass\n", undefined],
  ];
  for (const [title, path, text, want] of cases)
    it(`are known by their marks: ${title}`, () =>
      deepStrictEqual(longTests(new Map([[path, text]])), {
        whole: want === "whole" ? [path] : [],
        part: want === "part" ? [path] : [],
      }));

  it("are named where they are left out", () => {
    strictEqual(
      leftOut({ whole: ["test/openstack/test_a.py"], part: ["test/b.test.ts"] }),
      "Left out, which npm test has: test/openstack/test_a.py, test/galaxy, lint, the release, virtual machines; and the long tests of test/b.test.ts.",
    );
  });

  it("are all those with Kayobe, and of a few files more all", () => {
    const { whole } = longTests(texts);
    deepStrictEqual(
      whole.filter((path) => !path.startsWith("test/openstack/")),
      [
        "test/bootstrap.test.ts",
        "test/fork.test.ts",
        "test/python/test_cards_real.py",
        "test/python/test_mstconfig_real.py",
        "test/python/test_page_browser.py",
        "test/python/test_variables.py",
      ],
    );
    deepStrictEqual(
      whole.filter((path) => path.startsWith("test/openstack/")),
      [...texts.keys()].filter((path) => path.startsWith("test/openstack/")),
    );
  });
});

describe("the stages", () => {
  const made = (selection: Partial<Selection>, results = "/results"): Stage[][] =>
    stages({ bin: "/bin", programs: {}, results }, { short: false, artefacts: false, jobs: 1, ...selection });
  const of = (selection: Partial<Selection>): { readonly title: string; readonly words: readonly string[] }[][] =>
    made(selection).map((group) => group.map(({ title, command }) => ({ title, words: command.args })));
  const titles = (selection: Partial<Selection>): string[][] =>
    of(selection).map((group) => group.map(({ title }) => title));
  const { newest, in_part: inPart } = openStackSeries;
  const ofSeries = (series: string): string => `pytest with Kayobe, Kolla Ansible, Nova and Neutron of ${series}`;
  const kayobe = ofSeries(newest);
  const part = `${ofSeries(inPart)}, in part`;
  const publishing = "pytest of publishing, with a Galaxy on this machine";

  it("of everything leave out nothing, and begin with what needs nothing that is built", () => {
    const all = of({ artefacts: true });
    deepStrictEqual(
      all.map((group) => group.map(({ title }) => title)),
      [["mocha", "pytest", kayobe, part], ["generate"], ["check", "lint", "build"], [publishing], ["verify"]],
    );
    deepStrictEqual(
      all.flat().filter(({ words }) => words.includes("--grep") || words.includes("not long")),
      [],
    );
    deepStrictEqual(
      all.flat().flatMap(({ title, words }) => (words.join(" ").includes(" -m other_series ") ? [title] : [])),
      [part],
    );
    deepStrictEqual(
      all
        .flat()
        .filter(({ title }) => title.startsWith("pytest"))
        .map(({ words }) => words.at(-1)),
      ["test/python", "test/openstack", "test/openstack", "test/galaxy"],
    );
    deepStrictEqual(
      all[0]?.[0]?.words.filter((word) => word.endsWith(".test.js")),
      [],
    );
  });

  it("of the short run leave out what is marked, and files that have nothing else", () => {
    deepStrictEqual(titles({ short: true }), [["mocha", "pytest"]]);
    const [[mocha, pytest] = []] = of({ short: true });
    deepStrictEqual(mocha?.words.slice(1, 4), ["--grep", "@long", "--invert"]);
    ok(pytest?.words.join(" ").includes(" -m not long "));
    const { whole } = longTests(texts);
    const named = [...(mocha?.words ?? []), ...(pytest?.words ?? [])].map((word) =>
      word.replace(/^build\/(.*)js$/, "$1ts"),
    );
    deepStrictEqual(
      [...texts.keys()].filter((path) => !named.includes(path)),
      whole,
    );
  });

  it("of files that are named run all that is in them", () => {
    const files = ["test/fork.test.ts", "test/openstack/test_galaxy.py", "test/galaxy/test_publish.py"];
    const [group = []] = of({ files });
    deepStrictEqual(
      group.map(({ title }) => title),
      ["mocha", kayobe, publishing],
    );
    deepStrictEqual(
      group.map(({ words }) => words.at(-1)),
      ["build/test/fork.test.js", "test/openstack/test_galaxy.py", "test/galaxy"],
    );
    deepStrictEqual(
      group.filter(({ words }) => words.includes("--grep") || words.includes("not long")),
      [],
    );
  });
});

describe("the stages with OpenStack", () => {
  const { newest, in_part: inPart } = openStackSeries;
  const programs = Object.fromEntries(
    Object.keys(openStackSeries.pythons).flatMap((series) =>
      ["KAYOBE", "NOVA"].map((kind) => [`SRIOV_ROLE_${kind}_${series.replace(".", "_")}_BIN`, `/${kind}-${series}`]),
    ),
  );
  const made = (selection: Partial<Selection>): Stage[] =>
    stages(
      { bin: "/bin", programs, results: "/results" },
      { short: false, artefacts: false, jobs: 1, ...selection },
    ).flat();
  const run = (selection: Partial<Selection>): { series: string; words: readonly string[] }[] =>
    made(selection)
      .filter(({ title }) => title.includes("Nova"))
      .map(({ command: { env, args } }) => {
        const series = env?.["SRIOV_ROLE_SERIES"] ?? "";
        const folders = [env?.["SRIOV_ROLE_KAYOBE_BIN"], env?.["SRIOV_ROLE_NOVA_BIN"]];
        deepStrictEqual(folders, [`/KAYOBE-${series}`, `/NOVA-${series}`]);
        return { series, words: args };
      });
  const marked = "test/openstack/test_rendering.py";
  const unmarked = "test/openstack/test_playbook.py";

  it("are one for each series that is named, with all tests", () => {
    const stagesOfTwo = run({ files: [marked, unmarked], series: ["2025.2", "2026.1"] });
    deepStrictEqual(
      stagesOfTwo.map(({ series }) => series),
      ["2025.2", "2026.1"],
    );
    for (const { words } of stagesOfTwo)
      deepStrictEqual([words.includes("-m", 2), words.slice(-2)], [false, [unmarked, marked]]);
  });

  it("are that of another series in part only where a file has a test for it", () => {
    const seriesOf = (files: string[]): string[] => run({ files }).map(({ series }) => series);
    deepStrictEqual(seriesOf([marked]), [newest, inPart]);
    deepStrictEqual(seriesOf([unmarked]), [newest]);
  });

  it("leave the programs of the newest series to other tests", () => {
    const [pytest] = made({ files: ["test/python/test_examples.py"] });
    strictEqual(pytest?.command.env?.["SRIOV_ROLE_KAYOBE_BIN"], `/KAYOBE-${newest}`);
  });
});

describe("a stage", () => {
  const results = temporary();
  const all = stages({ bin: "/bin", programs: {}, results }, { short: false, artefacts: true, jobs: 1 }).flat();
  /** The file that a stage's command gets for its results. */
  const fileOf = ({ command }: Stage): string | undefined =>
    /(?:--results[ =]|output=)(\S+)/.exec(command.args.join(" "))?.[1];

  it("has its own file for its results, except where the exit code is enough", () => {
    const files = all.map(fileOf);
    const without = all.flatMap(({ title }, index) => (files[index] === undefined ? [title] : []));
    deepStrictEqual(without, ["generate", "check", "build"]);
    strictEqual(new Set(files).size, all.length - 2);
  });

  it("that has written no results has failed, with exit code 0 too", () => {
    for (const stage of all.filter((one) => fileOf(one) !== undefined))
      deepStrictEqual([stage.title, stage.totals(0)], [stage.title, { passed: 0, failed: 1, skipped: 0 }]);
  });

  it("is counted by what it has written", () => {
    const written: { readonly [title: string]: unknown } = {
      mocha: { passes: 3, failures: 1, pending: 0 },
      pytest: { passed: 2, skipped: 1, warnings: 4 },
      lint: [{ title: "shellcheck", passed: true }],
      verify: [{ scenario: "live", outcome: "stopped" }],
    };
    const counts = all.flatMap((stage) => {
      if (!(stage.title in written)) return [];
      writeJson(fileOf(stage)!, written[stage.title]);
      const { passed, failed, skipped } = stage.totals(0);
      return [[stage.title, passed, failed, skipped]];
    });
    deepStrictEqual(counts, [
      ["mocha", 3, 1, 0],
      ["pytest", 2, 0, 1],
      ["lint", 1, 0, 0],
      ["verify", 0, 1, 0],
    ]);
  });
});

describe("the results of a run", () => {
  /** Mocha with one file of tests, without and with our reporter. */
  async function mocha(text: string): Promise<{ plain: Outcome; reported: Outcome; results: unknown }> {
    const folder = temporary();
    put(folder, { "a.test.mjs": text });
    const file = join(folder, "mocha.json");
    const args = [join(root, "node_modules/mocha/bin/mocha.js"), "--no-config", join(folder, "a.test.mjs")];
    const reporter = ["--reporter", join(root, "build/test/reporter.js"), "--reporter-option", `output=${file}`];
    const start = async (words: readonly string[]): Promise<Outcome> =>
      await run({ file: process.execPath, args: words, cwd: root });
    const [plain, reported] = [await start(args), await start([...args, ...reporter])];
    return { plain, reported, results: readJsonIfThere(file) };
  }

  it("are written by mocha, whose output stays as it is", async () => {
    const { plain, reported, results } = await mocha(
      'it("good", () => {});\nit("bad", () => { throw new Error("no"); });\nit.skip("left", () => {});\n',
    );
    const timeless = (text: string): string => text.replace(/\(\d+ms\)/g, "");
    deepStrictEqual([reported.code, timeless(reported.output)], [1, timeless(plain.output)]);
    deepStrictEqual(results, { passes: 1, failures: 1, pending: 1 });
  });

  it("are not there when a test ends mocha, with any exit code", async () => {
    const { reported, results } = await mocha('it("good", () => {});\nit("ends all", () => process.exit(0));\n');
    deepStrictEqual([reported.code, results], [0, undefined]);
  });

  it("are written by pytest, for those that workers ran too", async () => {
    const folder = temporary();
    put(folder, {
      "test_a.py":
        "import pytest\n\ndef test_good(): pass\ndef test_bad(): assert False\n" +
        "@pytest.mark.skip\ndef test_left(): pass\n@pytest.mark.xfail\ndef test_known(): assert False\n",
    });
    const options = ["-q", "-c", join(root, "pyproject.toml"), "-p", "no:cacheprovider", "-p", "conftest"];
    const { code, output } = await run({
      file: join(await pythonTools(root), "python"),
      args: ["-m", "pytest", ...options, "--numprocesses", "2", `--results=${folder}/pytest.json`, folder],
      cwd: folder,
      env: { PYTHONPATH: join(root, "test"), PYTHONDONTWRITEBYTECODE: "1" },
    });
    strictEqual(code, 1, output);
    deepStrictEqual(readJsonIfThere(join(folder, "pytest.json")), { passed: 1, failed: 1, skipped: 1, xfailed: 1 });
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
