import { deepStrictEqual, doesNotMatch, match, notStrictEqual, strictEqual } from "node:assert/strict";
import { chmodSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { success } from "../generator/ir.js";
import {
  duration,
  imagesOf,
  judgeScenario,
  longestFirst,
  moleculeCommand,
  runFolder,
  scenarios,
  scenariosByName,
  stepOf,
  stepsOf,
} from "../generator/workshop/scenarios.js";
import { run, shellLine } from "../generator/system/process.js";
import { put, root, temporary, whyNot } from "./support.js";

describe("a scenario passes", () => {
  const good = ["INFO     [a > verify] Executing", "INFO     [a > verify] Executed: Successful"];
  it("when molecule says that it verified", () => deepStrictEqual(judgeScenario(0, good), success()));
  const bad: [title: string, code: number, log: string[], want: RegExp][] = [
    ["when molecule failed", 2, good, /ended with 2/],
    ["when there was no verify", 0, ["INFO     [a > converge] Executed: Successful"], /ran no verify playbook/],
    [
      "when the verify playbook is missing",
      0,
      [
        "INFO     [a > verify] Executing",
        "WARNING  [a > verify] Executed: Missing playbook (Remove from test_sequence to suppress)",
      ],
      /ran no verify playbook/,
    ],
    ["when only the summary has the words", 0, ["a > verify: Executed: Successful"], /ran no verify playbook/],
    ["when a play had no host", 0, [...good, "│ skipping: no hosts matched"], /found no host/],
  ];
  for (const [title, code, log, want] of bad) it(`not ${title}`, () => match(whyNot(judgeScenario(code, log)), want));
});

describe(stepOf.name, () => {
  it("is the step that begins", () => strictEqual(stepOf("INFO     [default > converge] Executing"), "converge"));
  it("with colours too", () => strictEqual(stepOf("INFO     default ➜ converge: Executing"), "converge"));
  it("is none when one ends", () =>
    strictEqual(stepOf("INFO     default ➜ converge: Executed: Successful"), undefined));
});

describe("the images to prepare", () => {
  const cases: [title: string, base: string, texts: string[], want: string[]][] = [
    ["are the base's for a scenario that names none", "platforms: [{image: debian13}]", ["{}"], ["debian13"]],
    [
      "are the scenario's own",
      "platforms: [{image: debian13}]",
      ["platforms: [{image: debian12}]", "platforms: [{image: debian12}]"],
      ["debian12"],
    ],
    ["are each one once, sorted", "", ["platforms: [{image: b}, {image: a}]", "platforms: [{image: b}]"], ["a", "b"]],
    [
      "are read through a variable's default",
      "platforms: [{image: '${MOLECULE_IMAGE:-debian13}'}]",
      ["---\n"],
      ["debian13"],
    ],
    ["are debian12 by default", "driver: {name: default}", [""], ["debian12"]],
    ["are none for a file", "", ["platforms: [{image: /x/y.qcow2}]"], []],
  ];
  for (const [title, base, texts, want] of cases) it(title, () => deepStrictEqual(imagesOf(base, texts), want));
});

const programs = { SRIOV_ROLE_KAYOBE_BIN: "/k/bin", SRIOV_ROLE_NOVA_BIN: "/n/bin" };

describe(moleculeCommand.name, () => {
  it("finds scenarios and artefacts from the root", () => {
    const command = moleculeCommand("/r", "/v/bin", programs, "test", "default");
    strictEqual(
      shellLine({
        ...command,
        env: { MOLECULE_GLOB: command.env?.["MOLECULE_GLOB"], ANSIBLE_ROLES_PATH: command.env?.["ANSIBLE_ROLES_PATH"] },
      }),
      "MOLECULE_GLOB='molecule/*/molecule.yml' ANSIBLE_ROLES_PATH=/r/dist/roles /v/bin/molecule -c molecule/base.yml test -s default",
    );
  });
  it("passes on where the programs are that it is tested with", () => {
    const { env } = moleculeCommand("/r", "/v/bin", programs, "test", "default");
    deepStrictEqual([env?.["SRIOV_ROLE_KAYOBE_BIN"], env?.["SRIOV_ROLE_NOVA_BIN"]], ["/k/bin", "/n/bin"]);
  });
});

describe(runFolder.name, () => {
  it("is another for a clone of the same name", () =>
    notStrictEqual(runFolder("/a/sriov", "live"), runFolder("/b/sriov", "live")));
  it("is what molecule gets, for its own end too", () => {
    const folder = (action: "test" | "destroy"): string | undefined =>
      moleculeCommand("/a/sriov", "/v", programs, action, "live").env?.["MOLECULE_EPHEMERAL_DIRECTORY"];
    deepStrictEqual(
      [folder("test"), folder("destroy")],
      [runFolder("/a/sriov", "live"), runFolder("/a/sriov", "live")],
    );
  });
});

describe(duration.name, () => {
  it("is short", () => deepStrictEqual([0.4, 59.7, 125].map(duration), ["0 s", "1 min 0 s", "2 min 5 s"]));
});

describe(scenarios.name, () => {
  it("are the folders with a molecule.yml", () => {
    const folder = temporary();
    put(folder, {
      "molecule/b/molecule.yml": "",
      "molecule/a/molecule.yml": "",
      "molecule/shared/create.yml": "",
      "molecule/base.yml": "",
    });
    deepStrictEqual(scenarios(folder), ["a", "b"]);
  });
});

describe(scenariosByName.name, () => {
  it("are those of which a platform says so", () => {
    const folder = temporary();
    put(folder, {
      "molecule/a/molecule.yml": "platforms: [{name: a, by_name: true}]",
      "molecule/b/molecule.yml": "platforms: [{name: b}]",
      "molecule/c/molecule.yml": "",
      "molecule/d/molecule.yml": "platforms: [{name: d, by_name: false}]",
    });
    deepStrictEqual(scenariosByName(folder), ["a"]);
  });
});

describe(stepsOf.name, () => {
  it("counts them, of any kind", () => {
    const folder = temporary();
    put(folder, { "molecule/b/steps.yml": "steps: [1, !unsafe 2]\n", "molecule/c/steps.yml": "---\n" });
    deepStrictEqual(
      ["a", "b", "c"].map((name) => stepsOf(folder, name)),
      [0, 2, 0],
    );
  });
});

describe(longestFirst.name, () => {
  const steps: Record<string, number> = { a: 1, b: 2, c: 3, d: 2 };
  const order = (measured: Record<string, number>): string =>
    longestFirst(["a", "b", "c", "d"], (name) => steps[name] ?? 0, measured).join("");
  it("uses steps where nothing was measured, and leaves those with as many in their order", () =>
    strictEqual(order({}), "cbda"));
  it("uses time, not steps", () => strictEqual(order({ a: 900, b: 30, c: 20, d: 40 }), "adbc"));
  it("gives one without a time that of its steps, at the pace of the others", () => {
    // 100 s a step: c would take 300 s.
    strictEqual(order({ a: 290, b: 100, d: 110 }), "cadb");
    strictEqual(order({ a: 310, b: 95, d: 95 }), "acbd");
  });
  it("does not care for others' times", () => strictEqual(order({ gone: 1000 }), "cbda"));
});

describe("verify", () => {
  /** A repository with stand-ins for molecule and the image script, each of which notes how it was called. */
  function rig(molecule: string): {
    folder: string;
    start: (names: string[], jobs: number, env?: Record<string, string>) => ReturnType<typeof run>;
    calls: () => string[];
  } {
    const folder = temporary();
    put(folder, {
      "molecule/base.yml": "---\n",
      "molecule/a/molecule.yml": "---\n",
      "molecule/b/molecule.yml": "---\n",
      "bin/molecule": `#!/bin/sh\necho "$*" >> "${folder}/calls"\naction=$3; name=$5\n${molecule}\n`,
      "bin/python": `#!/bin/sh\necho "$*" >> "${folder}/calls"\n`,
      "main.mjs": `import { scenarioReport, verify } from ${JSON.stringify(join(root, "build/generator/workshop/scenarios.js"))};
const [jobs, ...names] = process.argv.slice(2);
const results = await verify({ root: ${JSON.stringify(folder)}, bin: ${JSON.stringify(join(folder, "bin"))}, names, jobs: Number(jobs), timings: process.env.TIMINGS !== undefined });
console.log(scenarioReport(results));
process.exitCode = results.every(({ outcome }) => outcome === "passed") ? 0 : 1;
`,
    });
    for (const program of ["molecule", "python"]) chmodSync(join(folder, "bin", program), 0o755);
    const calls = (): string[] =>
      existsSync(join(folder, "calls")) ? readFileSync(join(folder, "calls"), "utf8").trim().split("\n") : [];
    return {
      folder,
      calls,
      start: (names, jobs, env = {}) =>
        run({
          file: process.execPath,
          args: [join(folder, "main.mjs"), String(jobs), ...names],
          env: { ...cache(folder), ...env },
        }),
    };
  }
  /** What is measured of stand-ins must not come among what is measured on this machine. */
  const cache = (folder: string): Record<string, string> => ({ SRIOV_ROLE_CACHE: join(folder, "cache") });
  const good = 'echo "INFO     [$name > verify] Executing"; echo "INFO     [$name > verify] Executed: Successful"';

  it("prepares the images, runs each scenario, and ends with a table", async () => {
    const { start, calls, folder } = rig(good);
    const { code, output } = await start(["a", "b"], 1);
    strictEqual(code, 0, output);
    deepStrictEqual(calls(), [
      "molecule/rig/image.py ensure debian12",
      "-c molecule/base.yml test -s a",
      "-c molecule/base.yml test -s b",
    ]);
    match(output, /^a +passed +\d+ s  \S+\/build\/logs\/a\.log$/m);
    match(output, /a: verify \(after \d+ s\)/);
    match(
      readFileSync(join(folder, "build/logs/a.log"), "utf8"),
      /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO     \[a > verify\] Execut(ing|ed: Successful)\n){2}$/,
    );
    doesNotMatch(output, /Where the time/);
  });

  it("shows where the time went, of a scenario that failed too", async () => {
    const { start, folder } = rig(
      `echo '{"at": 1, "task": "One", "action": "debug"}' >> $SRIOV_ROLE_TASK_TIMES; echo '{"at": 3}' >> $SRIOV_ROLE_TASK_TIMES; ${good}; sleep 0.1; echo the end; [ $name = a ]`,
    );
    put(folder, { "build/logs/a.tasks.jsonl": '{"at": 1, "task": "of a run before", "action": "debug"}\n{"at": 9}\n' });
    const { output } = await start(["a", "b"], 1, { TIMINGS: "1" });
    for (const name of ["a", "b"])
      match(
        output,
        new RegExp(
          `^Where the time of ${name} went, in seconds:\n.*\n.* verify\n.* all of ${name}\n.*tasks of its playbooks\n +1 +2\\.0 +2\\.0  One$`,
          "m",
        ),
      );
    match(output, /^boots    from a start/m);
    match(output, /^a +passed .*\nb +failed /m);
  });

  it("begins with what took longest, and keeps how long those took that passed", async () => {
    const { start, calls, folder } = rig(`${good}; [ $name != b ]`);
    put(folder, {
      "molecule/c/molecule.yml": "---\n",
      "cache/durations.json": '{"a": 1, "b": 2, "c": 3, "other": 4, "odd": "x"}',
    });
    const began = async (): Promise<string[]> => {
      const before = calls().length;
      await start(["a", "b", "c"], 1);
      return calls()
        .slice(before)
        .map((call) => call.replace(/^.* test -s /, ""))
        .slice(1);
    };
    deepStrictEqual(await began(), ["c", "b", "a"]);
    const { a, c, ...rest } = JSON.parse(readFileSync(join(folder, "cache/durations.json"), "utf8")) as Record<
      string,
      number
    >;
    deepStrictEqual(rest, { b: 2, other: 4 });
    for (const seconds of [a, c]) strictEqual(Number.isInteger(seconds), true);
    // A broken file of durations must not prevent a run.
    put(folder, { "cache/durations.json": "no JSON" });
    deepStrictEqual(await began(), ["a", "b", "c"]);
  });

  it("shows the log's end of a scenario that failed, and still runs the other", async () => {
    const { start } = rig(
      `[ $name = b ] && { ${good}; exit 0; }\necho "INFO     [a > converge] Executing"; echo the cause; exit 2`,
    );
    const { code, output } = await start(["a", "b"], 1);
    strictEqual(code, 1);
    match(output, /---- a: molecule ended with 2, in converge\n.*\nthe cause$/m);
    match(output, /^a +failed /m);
    match(output, /^b +passed /m);
  });

  it("stopped by a signal destroys what it started, and starts nothing more", async () => {
    const { folder, calls } = rig(
      `[ $action = destroy ] && exit 0\necho "INFO     [$name > create] Executing"; sleep 100000 & wait`,
    );
    let pid = 0;
    let ended = false;
    const running = run(
      { file: process.execPath, args: [join(folder, "main.mjs"), "1", "a", "b"], env: cache(folder) },
      { onStart: (started) => (pid = started) },
    ).finally(() => (ended = true));
    while (!ended && !calls().some((call) => call.includes("test -s a"))) await sleep(50);
    process.kill(pid, "SIGINT");
    // npm passes a Ctrl-C on, and so it arrives twice.
    process.kill(pid, "SIGINT");
    const { code, output } = await running;
    strictEqual(code, 1, output);
    deepStrictEqual(calls().slice(1), ["-c molecule/base.yml test -s a", "-c molecule/base.yml destroy -s a"]);
    match(output, /^---- a: stopped during create$/m);
    match(output, /^a +stopped /m);
    match(output, /^b +stopped /m);
  });

  it("without images does not begin", async () => {
    const { start, folder, calls } = rig(good);
    put(folder, { "bin/python": "#!/bin/sh\necho no disk; exit 1\n" });
    const { code, output } = await start(["a"], 1);
    strictEqual(code, 1);
    match(output, /image\.py ended with 1:\s+no disk/);
    deepStrictEqual(calls(), []);
  });
});
