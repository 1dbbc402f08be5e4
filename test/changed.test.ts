import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { changedFiles, choiceReport, readTexts, touched, usesOf, wholeWay } from "../generator/workshop/changed.js";
import type { Touched } from "../generator/workshop/changed.js";
import { readText } from "../generator/system/disk.js";
import { scenarios } from "../generator/workshop/scenarios.js";
import { cliProcess, put, repository, root, temporary, valueOf, whyNot } from "./support.js";
import { run } from "../generator/system/process.js";

const every = scenarios(root);
const texts = readTexts(root);
// But this one, which names all that it asks about.
const tests = [...texts.keys()].filter(
  (path) => /^test\/([^/]+\.test\.ts|\w+\/test_\w+\.py)$/.test(path) && path !== "test/changed.test.ts",
);
const uses = usesOf(tests, every, texts);

/** What this repository's own file can touch. */
function of(...paths: readonly string[]): Touched {
  return touched(paths, uses);
}

async function git(folder: string, ...args: string[]): Promise<string> {
  const { code, output, stdout } = await run({
    file: "git",
    args: ["-c", "user.name=A", "-c", "user.email=a@example.org", ...args],
    cwd: folder,
  });
  strictEqual(code, 0, output);
  return stdout.trim();
}

describe("a change can touch", () => {
  it("everything, where nothing is known of the file", () =>
    deepStrictEqual(of("some/new.thing"), { tests, scenarios: every, unknown: ["some/new.thing"] }));
  it("nothing, where there is none", () => deepStrictEqual(of(), { tests: [], scenarios: [], unknown: [] }));

  const whole = [
    "generator/model/sriov.ts",
    "generator/artefacts/emit/yaml.ts",
    "generator/workshop/scenarios.ts",
    "generator/workshop/setup.ts",
    "generator/workshop/ansible.cfg",
    "requirements.txt",
    "package-lock.json",
    "galaxy.yml",
    "molecule/rig/vm.py",
    "molecule/rig/machine/qemu.py",
    "molecule/rig/images/recipes.py",
    "molecule/rig/image.py",
    "molecule/rig/guest/customize.sh",
    "molecule/shared/step.yml",
    "molecule/shared/ansible_releases.json",
    "molecule/shared/state.py",
    "molecule/base.yml",
    "molecule/versions/ansible-core-2.20.txt",
    "role-template/tasks/main.yml",
    "role-template/tasks/firmware.yml",
    "role-template/plugins/module_utils/sriov/pending.py",
    "role-template/plugins/module_utils/sriov/mellanox/mstconfig.py",
    "role-template/plugins/modules/sriov_vfs.py",
    "role-template/plugins/modules/sriov_new.py",
    "molecule/rig/new.py",
    "test/openstack/requirements-kayobe-2026.1.txt",
  ];
  for (const path of whole) it(`all scenarios by ${path}`, () => deepStrictEqual(of(path).scenarios, every));

  const some: [path: string, scenarios: string[]][] = [
    ["molecule/live/steps.yml", ["live"]],
    ["molecule/amd/tasks/reboot.yml", ["amd", "from_sriov"]],
    ["molecule/shared/plays/roles_handler.yml", ["amd", "systemd_boot", "versions"]],
    ["molecule/shared/moving_over.sh", ["from_linux_sriov", "from_sriov"]],
    ["docs/moving-over.md", ["from_linux_sriov", "from_sriov"]],
    ["docs/role.md", []],
    ["molecule/shared/steps.schema.json", []],
    ["molecule/rig/card/card.py", ["connectx3", "mft", "versions"]],
    ["molecule/rig/card/config.py", ["connectx3", "mft", "versions"]],
    ["molecule/rig/card/rig-card.service", ["connectx3", "mft", "versions"]],
    ["molecule/rig/connectx/kernel/net.c", ["connectx5", "connectx6dx"]],
    ["molecule/rig/connectx/firmware/registers.py", ["connectx5", "connectx6dx"]],
    ["molecule/rig/connectx/native/shim.c", []],
    [
      "role-template/plugins/modules/sriov_firmware.py",
      ["connectx3", "connectx5", "connectx6dx", "install", "mft", "versions"],
    ],
    ["role-template/tasks/mft.yml", ["connectx3", "connectx5", "connectx6dx", "install", "mft", "versions"]],
    ["role-template/kayobe/kolla.yml", ["install", "kayobe"]],
    ["role-template/CHANGELOG.md", ["install"]],
    ["generator/release/tarball.ts", ["install"]],
    ["generator/kayobe/merge.ts", ["install", "kayobe"]],
    ["generator/migrate/judge.ts", []],
    ["test/openstack/deployment.py", ["kayobe"]],
    ["test/python/test_host.py", []],
  ];
  for (const [path, want] of some)
    it(`by ${path} the scenarios ${want.join(", ") || "of none"}, and the whole way once`, () =>
      deepStrictEqual(of(path).scenarios, [...want, wholeWay].sort()));

  const unit: [path: string, tests: string[]][] = [
    ["test/python/test_host.py", ["host", "settings", "settings_halfway"].map((name) => `test/python/test_${name}.py`)],
    ["test/totals.test.ts", ["test/totals.test.ts"]],
    [
      "test/python/half_done.py",
      ["firmware", "fuzz", "halfway", "kernel_interrupted", "mlx4", "settings_halfway"].map(
        (name) => `test/python/test_${name}.py`,
      ),
    ],
    [
      "test/python/mstconfig_corpus/open_4_36.txt",
      ["cards_real", "fuzz", "mstconfig", "mstconfig_real"].map((name) => `test/python/test_${name}.py`),
    ],
    // "role-template" is another word.
    [
      "test/fixtures/golden/role.paths",
      tests.filter((path) => /golden|\brole\b(?!-)/.test(readText(join(root, path)))),
    ],
    ["test/gone.test.ts", []],
  ];
  for (const [path, want] of unit)
    it(`by ${path} the tests ${
      want
        .map((one) => one.replace(/.*\//, ""))
        .join(", ")
        .slice(0, 80) || "of none"
    }`, () => {
      const found = of(path).tests;
      deepStrictEqual(
        want.filter((one) => !found.includes(one)),
        [],
      );
      if (want.length < 5) deepStrictEqual(found, want);
    });
  it("by a page the tests that read pages, and not each test", () => {
    const found = of("docs/role.md").tests;
    for (const name of [
      "test/pages.test.ts",
      "test/schema.test.ts",
      "test/python/test_examples.py",
      "test/python/test_troubleshooting.py",
    ])
      strictEqual(found.includes(name), true, name);
    strictEqual(found.includes("test/totals.test.ts"), false);
  });
  for (const path of [
    "test/support.ts",
    "test/reporter.ts",
    "test/hang.py",
    "generator/migrate/judge.ts",
    "role-template/kayobe/kolla.yml",
    "test/new_helper.json",
  ])
    it(`all tests by ${path}`, () => deepStrictEqual(of(path).tests, tests));

  it("what its files can touch together", () =>
    deepStrictEqual(
      of("molecule/live/steps.yml", "docs/moving-over.md").scenarios,
      ["from_linux_sriov", "from_sriov", wholeWay, "live"].sort(),
    ));
});

describe("what the rules about a change rest on", () => {
  const tasks = (path: string): { when?: unknown; [key: string]: unknown }[] =>
    parse(readText(join(root, "role-template/tasks", path))) as { when?: unknown }[];
  it("the modules of Mellanox cards run on hosts that have such cards, or had them", () => {
    const runs = (path: string, module: string, when: string): void =>
      ok(
        (tasks(path).find((task) => `stackhpc.sriov.${module}` in task)?.when as string[]).includes(when),
        `${path}: ${when}`,
      );
    runs("firmware.yml", "sriov_firmware", "__sriov_cards | length > 0");
    runs(
      "mlx4.yml",
      "sriov_mlx4",
      "__sriov_found.mlx4_traces or __sriov_found.devices | selectattr('boot', 'equalto', 'module') | length > 0",
    );
  });
  it("and so do the tasks of their tools", () => {
    const install = tasks("firmware.yml").find((task) => JSON.stringify(task).includes("firmware_tool.yml"));
    deepStrictEqual(
      (install?.when as string[]).filter((one) => one.includes("__sriov_cards")),
      [
        "__sriov_cards | rejectattr('enough') | length > 0 or __sriov_cards | length > 0 and sriov_firmware_exact | bool",
      ],
    );
    for (const path of every) doesNotMatch(texts.get(`molecule/${path}/steps.yml`) ?? "", /tasks_from: (mft|firmware)/);
  });
  it("the scenario that covers the whole way exists", () => strictEqual(every.includes(wholeWay), true));
});

describe(changedFiles.name, () => {
  it("are those that differ, are not committed, are new or are removed, from where the branch began", async () => {
    const folder = temporary();
    await git(folder, "init", "--quiet", "--initial-branch=main");
    put(folder, { ".gitignore": "ignored\n", a: "1", b: "1", c: "1", "d é": "1" });
    await git(folder, "add", ".");
    await git(folder, "commit", "--quiet", "-m", "one");
    await git(folder, "checkout", "--quiet", "-b", "work");
    deepStrictEqual(valueOf(await changedFiles(folder)), { base: "main", files: [] });
    put(folder, { a: "2", "d é": "2" });
    await git(folder, "commit", "--quiet", "-am", "two");
    await git(folder, "mv", "b", "moved");
    put(folder, { c: "2", new: "1", ignored: "1" });
    // What main got meanwhile is not a change of this branch.
    await git(folder, "stash", "--quiet");
    await git(folder, "checkout", "--quiet", "main");
    put(folder, { other: "1" });
    await git(folder, "add", "other");
    await git(folder, "commit", "--quiet", "-m", "three");
    await git(folder, "checkout", "--quiet", "work");
    await git(folder, "stash", "pop", "--quiet");
    deepStrictEqual(valueOf(await changedFiles(folder)), {
      base: "main",
      files: ["a", "b", "c", "d é", "moved", "new"],
    });
    deepStrictEqual(valueOf(await changedFiles(folder, "HEAD")), { base: "HEAD", files: ["b", "c", "moved", "new"] });
    match(whyNot(await changedFiles(folder, "no_such")), /^There is no commit no_such /);
  });
  it("of a folder that is not a repository are a sentence", async () =>
    match(whyNot(await changedFiles(temporary())), /is not a git repository: it is not known what has changed\.$/));
});

describe("a choice by what has changed", () => {
  it("reports that it is less than all", () => {
    const report = choiceReport(
      "main",
      ["docs/role.md"],
      { tests: ["a"], scenarios: ["intel"], unknown: [] },
      { tests: 2, scenarios: 3 },
    );
    strictEqual(
      report,
      "1 file differs from main.\nScenarios that they can touch, with intel, which covers the whole way: intel.\nThis is less than all: 1 of 2 test files and 1 of 3 scenarios. Only npm test proves everything.",
    );
  });
  it("reports when it is everything, and why", () => {
    const report = choiceReport(
      "main",
      ["x", "y"],
      { tests: ["a"], scenarios: ["intel"], unknown: ["x"] },
      { tests: 1, scenarios: 1 },
    );
    match(
      report,
      /^2 files differ from main\.\nIt is not known what uses x, so everything is run\.\n.*\nThat is everything\.$/,
    );
  });
  it("is not made where nothing has changed, or git does not know", async () => {
    const folder = repository();
    const { code, output } = await cliProcess(folder, {}, "test", "--changed");
    strictEqual(code, 1, output);
    match(output, /is not a git repository/);
    await git(folder, "init", "--quiet", "--initial-branch=main");
    put(folder, { ".gitignore": "*\n", "molecule/intel/molecule.yml": "---\n" });
    await git(folder, "add", "--force", "galaxy.yml");
    await git(folder, "commit", "--quiet", "-m", "one");
    for (const command of ["test", "verify"]) {
      const nothing = await cliProcess(folder, {}, command, "--changed");
      strictEqual(nothing.code, 1, nothing.output);
      match(nothing.output, /^Nothing differs from main, so nothing was proved\.$/m);
    }
  });
});
