import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSources, root } from "../generator/artefacts/sources.js";
import { chosenFiles } from "../generator/workshop/stages.js";
import { cli, cliProcess, cliWith, put, repository, valueOf, whyNot } from "./support.js";

const { namespace, name } = readSources(root).role.identity;

/** Change one file of a repository; the text looked for must be there. */
function edit(folder: string, path: string, from: string, to: string): void {
  const text = readFileSync(join(folder, path), "utf8");
  ok(text.includes(from), `${path} has no ${JSON.stringify(from)}`);
  writeFileSync(join(folder, path), text.replace(from, to));
}

describe("generate", () => {
  it("writes, and the second time writes nothing and reports it", async () => {
    const folder = repository();
    const first = await cliProcess(folder, {}, "generate");
    strictEqual(first.code, 0, first.output);
    match(first.output, /^\d+ written, 0 removed, 0 unchanged in dist\.$/m);
    const second = await cli(folder, "generate");
    strictEqual(second.code, 0);
    match(second.output, /^Nothing to write: all \d+ files in dist are up to date\.$/);
  });

  it("of one layout leaves the other, and continues to own it", async () => {
    const folder = repository();
    await cli(folder, "generate");
    match((await cli(folder, "generate", "--layout", "role")).output, /Nothing to write/);
    match((await cli(folder, "generate")).output, /Nothing to write/);
    rmSync(join(folder, "role-template/meta/runtime.yml"));
    doesNotMatch((await cli(folder, "generate", "--layout", "role")).output, /removed  /);
    match((await cli(folder, "generate")).output, /removed  dist\/collections\/.*\/meta\/runtime\.yml/);
  });

  it("writes nothing when the model has a fault", async () => {
    const folder = repository();
    edit(folder, "generator/model/sriov.ts", "@default 8", '@default "8"');
    const { code, output } = await cli(folder, "generate");
    strictEqual(code, 1);
    match(
      output,
      /^generator\/model\/sriov\.ts:\d+: @default of sriov_numvfs: Type 'string' is not assignable to type 'number'\.$/m,
    );
    match(output, /Nothing was written/);
  });

  it("publishes under the name that galaxy.yml gives", async () => {
    const folder = repository();
    edit(folder, "galaxy.yml", `namespace: ${namespace}`, "namespace: somebody");
    edit(folder, "galaxy.yml", `name: ${name}`, "name: nics");
    const { output } = await cli(folder, "generate");
    match(output, /dist\/roles\/somebody\.nics\/defaults\/main\.yml/);
    match(output, /dist\/collections\/ansible_collections\/somebody\/nics\/galaxy\.yml/);
  });
});

describe("check", () => {
  let folder: string;
  before(async () => {
    folder = repository();
    // Other people's unfinished templates are not what is tested here.
    put(folder, { "role-template/tasks/zz_all.yml": "- a: 1\n" });
    const model = readFileSync(join(folder, "generator/model/sriov.ts"), "utf8");
    const names = [...new Set(model.match(/\bsriov_\w+(?=\?)/g))];
    put(folder, { "role-template/tasks/zz_all.yml": `- a: "{{ [${names.join(", ")}] }}"\n` });
    await cli(folder, "generate");
  });

  /** Run check after a change, and undo the change. */
  async function checked(path: string, change: () => void): Promise<{ code: number; output: string }> {
    const saved = readFileSync(join(folder, path));
    change();
    const outcome = await cli(folder, "check");
    writeFileSync(join(folder, path), saved);
    return outcome;
  }

  it("is content with what generate wrote", async () => {
    const { code, output } = await cliProcess(folder, {}, "check");
    strictEqual(code, 0, output);
  });

  it("shows a stale file as a diff, and writes nothing", async () => {
    const path = `dist/roles/${namespace}.${name}/defaults/main.yml`;
    const { code, output } = await checked(path, () => edit(folder, path, "sriov_numvfs: 8", "sriov_numvfs: 9"));
    strictEqual(code, 1);
    ok(
      output.split("\n").some((line) => line.startsWith(`--- ${path}`)),
      output,
    );
    match(output, /^-sriov_numvfs: 9\n\+sriov_numvfs: 8$/m);
    match(output, /^1 stale files in dist/m);
  });

  it("shows a file that is missing, and one that is no longer wanted", async () => {
    const path = "role-template/meta/runtime.yml";
    const { code, output } = await checked(path, () => rmSync(join(folder, path)));
    strictEqual(code, 1);
    match(output, /^-requires_ansible/m);
    const readme = `dist/roles/${namespace}.${name}/README.md`;
    match((await checked(readme, () => rmSync(join(folder, readme)))).output, /^--- \/dev\/null/m);
  });

  it("catches a default of the wrong type", async () => {
    const path = "generator/model/sriov.ts";
    const { code, output } = await checked(path, () => edit(folder, path, "@default true", '@default "true"'));
    strictEqual(code, 1);
    match(
      output,
      /^generator\/model\/sriov\.ts:\d+: @default of sriov_\w+: Type 'string' is not assignable to type 'boolean/m,
    );
  });

  it("catches a variable that is used and not in the model", async () => {
    const path = "role-template/tasks/zz_all.yml";
    const { code, output } = await checked(path, () => appendFileSync(join(folder, path), "- b: '{{ sriov_typo }}'\n"));
    strictEqual(code, 1);
    match(output, /^role-template\/tasks\/zz_all\.yml:2: sriov_typo is not a variable of the model/m);
  });

  it("names the variable that was meant", async () => {
    const path = "role-template/tasks/zz_all.yml";
    const { output } = await checked(path, () =>
      appendFileSync(join(folder, path), "- b: '{{ sriov_numvf }} {{ sriov_entirely_different }}'\n"),
    );
    match(output, /zz_all\.yml:2: sriov_numvf is not a variable of the model.*: did you mean sriov_numvfs\?$/m);
    match(
      output,
      /zz_all\.yml:2: sriov_entirely_different is not a variable of the model, nor a fact that the role sets$/m,
    );
  });

  it("catches a variable of the model that nothing uses", async () => {
    const path = "generator/model/sriov.ts";
    const { code, output } = await checked(path, () =>
      edit(
        folder,
        path,
        "  sriov_devices?:",
        "  sriov_devices?: SriovDevice[];\n\n  /**\n   * D.\n   * @default 1\n   */\n  sriov_idle?: number;\n\n  /**\n   * D.\n   * @unset\n   */\n  sriov_other?:",
      ),
    );
    strictEqual(code, 1);
    match(output, /sriov_idle: no task, handler or template of role-template\/ uses it/);
  });

  it("reports all faults together", async () => {
    const [model, tasks] = ["generator/model/sriov.ts", "role-template/tasks/zz_all.yml"];
    const { output } = await checked(model, () => edit(folder, model, "@default 8", "@default true"));
    const both = await checked(tasks, () => appendFileSync(join(folder, tasks), "- b: '{{ sriov_typo }}'\n"));
    match(output, /@default of sriov_numvfs/);
    match(both.output, /sriov_typo is not a variable/);
    match(both.output, /\d+ stale files in dist.*, 1 problems/);
  });
});

const commands = [
  "generate",
  "check",
  "kayobe",
  "migrate",
  "lint",
  "fix",
  "build",
  "publish",
  "verify",
  "test",
  "bench",
  "doctor",
  "setup",
];

describe("wrong use ends with 2", () => {
  const cases: [title: string, args: string[], says: RegExp][] = [
    [
      "an unknown command",
      ["gnerate"],
      /unknown command 'gnerate'\n\(Did you mean generate\?\)\nThe commands are generate, check, .*, test, bench, doctor, setup\./,
    ],
    [
      "a command that is like no other",
      ["frobnicate"],
      /unknown command 'frobnicate'\nThe commands are generate, check, /,
    ],
    [
      "an unknown option",
      ["generate", "--oot", "x"],
      /unknown option '--oot'\n\(Did you mean --out\?\)\nnpm run generate -- --help explains it\./,
    ],
    [
      "an unknown option of publish",
      ["publish", "--dryrun"],
      /\(Did you mean --dry-run\?\)\nnpm run publish:galaxy -- --help explains it\./,
    ],
    ["an unknown layout", ["generate", "--layout", "deb"], /Allowed choices are role, collection, kayobe, all\./],
    ["an unknown scenario", ["verify", "no_such_scenario"], /No such scenario: no_such_scenario\. There are: default/],
    ["jobs that are no number", ["verify", "--jobs", "many"], /it must be a number from 1 to 99/],
    [
      "scenarios that are named and chosen by a change",
      ["verify", "--changed", "HEAD", "default"],
      /^Name what is to run, or give --changed: not both\./,
    ],
    [
      "tests that are named and chosen by a change",
      ["test", "--changed", "HEAD", "host"],
      /^Name what is to run, or give --changed: not both\./,
    ],
    ["jobs of test that are no number", ["test", "--jobs", "0"], /it must be a number from 1 to 99/],
    ["too many arguments", ["check", "x"], /too many arguments/],
    ["a mistyped option of test", ["test", "--fsat"], /unknown option '--fsat'\n\(Did you mean --fast\?\)/],
    ["a mistyped option of bench", ["bench", "--fsat"], /unknown option '--fsat'/],
    [
      "a test that is not there",
      ["test", "no_such_test"],
      /^No test file has no_such_test in its path\. They are test\/\*\.test\.ts and test\/python\/test_\*\.py/,
    ],
    [
      "no Kayobe configuration named",
      ["kayobe"],
      /^No Kayobe configuration is named\. Give --config-path DIR, or set \$KAYOBE_CONFIG_PATH/,
    ],
    ["a Kayobe configuration that is not there", ["kayobe", "--config-path", "no/such"], /^no\/such is not a folder/],
    [
      "a Kayobe configuration that is a file",
      ["kayobe", "--config-path", "galaxy.yml"],
      /^galaxy\.yml is not a folder/,
    ],
    [
      "a Kayobe configuration that is none",
      ["kayobe", "--config-path", "role-template"],
      /^role-template is not a Kayobe configuration/,
    ],
    [
      "an output folder that is a file",
      ["generate", "--out", "galaxy.yml"],
      /'--out <dir>' argument 'galaxy\.yml' is invalid\. \S+\/galaxy\.yml is a file, and a folder is needed\./,
    ],
    ["an output folder below a file", ["check", "--out", "galaxy.yml/x/y"], /galaxy\.yml is a file/],
    ["the same of build", ["build", "--out", "galaxy.yml"], /galaxy\.yml is a file/],
    ["the same of publish", ["publish", "--dry-run", "--out", "galaxy.yml/x"], /galaxy\.yml is a file/],
    [
      "an output folder without a name",
      ["generate", "--out", ""],
      /'--out <dir>' argument '' is invalid\. It is empty: name a folder\./,
    ],
    [
      "a folder for the role that is not there",
      ["publish", "--role-repository", "no/such"],
      /^The folder that --role-repository names is not there: /,
    ],
    ["a file to migrate that is not there", ["migrate", "no/such"], /^no\/such is not there\./],
    ["a file to migrate without a name", ["migrate", ""], /^"" is not there\./],
    ["a device to migrate", ["migrate", "/dev/null"], /^\/dev\/null is neither a file nor a folder\./],
    ["a file to migrate below a file", ["migrate", "galaxy.yml/x"], /^galaxy\.yml\/x is not there\./],
  ];
  let folder: string;
  before(() => {
    folder = repository();
    put(folder, { "molecule/default/molecule.yml": "---\n" });
  });
  for (const [title, args, says] of cases)
    it(title, async () => {
      const { code, output } = await cliWith(folder, {}, ...args);
      strictEqual(code, 2, output);
      match(output, says);
      deepStrictEqual([existsSync(join(folder, "dist")), /\n\s+at /.test(output)], [false, false]);
    });
});

describe("help", () => {
  for (const command of commands)
    it(`of ${command} has an example that runs it and the exit codes, and does nothing`, async () => {
      const { code, output } = await cliProcess(root, { COLUMNS: "80" }, command, "--help");
      strictEqual(code, 0, output);
      match(output, new RegExp(`^Usage: sriov-role ${command} `));
      const example = /\nExample:\n {2}npm run (?:--silent )?(\S+)(?: -- .*)?\n/.exec(output);
      const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
        scripts: { [name: string]: string };
      };
      match(scripts[example?.[1] ?? ""] ?? "", new RegExp(`^node generator/bootstrap\\.mjs ${command}( --fast)?$`));
      match(output, /\nExit codes:\n {2}0 {2}\S.*\n(?: {5}.*\n)* {2}1 {2}\S.*\n(?: {5}.*\n)* {2}2 {2}wrong use: /);
      doesNotMatch(output, /====|passed,/);
    });
  it("of the program lists the commands", async () => {
    const { code, output } = await cliWith(root, {}, "--help");
    strictEqual(code, 0);
    deepStrictEqual(
      [...output.matchAll(/^ {2}(\w+)(?: \[options\].*| {3,}.*)$/gm)]
        .map((found) => found[1])
        .filter((name) => name !== "help"),
      commands,
    );
  });
  for (const columns of [30, 60, 100])
    it(`is wrapped between words in ${columns} columns`, async () => {
      for (const args of [["--help"], ...commands.map((command) => [command, "--help"])]) {
        const { output } = await cliWith(root, { COLUMNS: String(columns) }, ...args);
        // What a person copies, and a term, stay whole.
        const long = output
          .split("\n")
          .filter((line) => line.length > columns && !/^ {2}npm run |^Usage: |^ {2}-|^ {2}\w+ \[options\]/.test(line));
        deepStrictEqual(long, [], args.join(" "));
      }
    });
  it("is not the version, which is the one of package.json", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    const { code, output } = await cliProcess(root, {}, "--version");
    deepStrictEqual([code, output.trim()], [0, version]);
  });
});

describe("an option that npm has taken", () => {
  const npm = (script: string, options: { [name: string]: string }): { [name: string]: string } => ({
    npm_lifecycle_event: script,
    ...Object.fromEntries(Object.entries(options).map(([name, value]) => [`npm_config_${name}`, value])),
  });
  const cases: [title: string, env: { [name: string]: string }, args: string[], says: RegExp | undefined][] = [
    [
      "stops a publication that was to be dry",
      npm("publish:galaxy", { dry_run: "true" }),
      ["publish", "--collection"],
      /^npm has taken --dry-run for itself\. Nothing was done\. Write -- before the options of the command: npm run publish:galaxy -- --dry-run$/m,
    ],
    [
      "stops a merge that was to check",
      npm("kayobe", { check: "true" }),
      ["kayobe", "--config-path", "role-template"],
      /npm run kayobe -- --check$/m,
    ],
    [
      "stops a command with the value of an option left over",
      npm("kayobe", { config_path: "true" }),
      ["kayobe", "x"],
      /too many arguments[^]*npm run kayobe -- --config-path <dir>$/m,
    ],
    ["stops what is said not to be done", npm("build", { checks: "" }), ["build"], /npm run build -- --no-checks$/m],
    ["stops all tests where some were meant", npm("test", { fast: "true" }), ["test"], /npm run test -- --fast$/m],
    [
      "counts not where it is there all the same",
      npm("generate", { layout: "role" }),
      ["generate", "--layout", "kayobe"],
      undefined,
    ],
    ["counts not outside npm", { npm_config_layout: "role" }, ["generate"], undefined],
    ["is none where it is node-gyp's", npm("setup", { python: "/usr/bin/python3" }), ["generate"], undefined],
  ];
  for (const [title, env, args, says] of cases)
    it(title, async () => {
      const { code, output } = await cliWith(repository(), env, ...args);
      strictEqual(code, says === undefined ? 0 : 2, output);
      if (says) match(output, says);
    });
});

describe("kayobe", () => {
  const files = { "config/kolla.yml": "---\n", "config/inventory/groups": "[compute]\n" };
  it("takes the configuration from $KAYOBE_CONFIG_PATH", async () => {
    const folder = repository();
    put(folder, files);
    const { code, output } = await cliProcess(
      folder,
      { KAYOBE_CONFIG_PATH: join(folder, "config") },
      "kayobe",
      "--check",
    );
    strictEqual(code, 1, output);
    match(output, /^\d+ files in .*\/config would be written\.$/m);
  });
  it("takes the one that is named before that of the environment", async () => {
    const folder = repository();
    put(folder, files);
    match(
      (
        await cliWith(
          folder,
          { KAYOBE_CONFIG_PATH: join(folder, "no") },
          "kayobe",
          "--check",
          "--config-path",
          "config",
        )
      ).output,
      /^\d+ files in config would be written\.$/m,
    );
  });
  it("names the environment variable of a wrong path, and takes an empty one for none", async () => {
    const folder = repository();
    const from = async (path: string): Promise<string> => {
      const { code, output } = await cliWith(folder, { KAYOBE_CONFIG_PATH: path }, "kayobe");
      strictEqual(code, 2, output);
      return output;
    };
    match(await from("/no/such"), /^\$KAYOBE_CONFIG_PATH: \/no\/such is not a folder/);
    match(await from(""), /^No Kayobe configuration is named/);
  });
});

describe("test", () => {
  const all = [
    "test/kayobe.test.ts",
    "test/kayobe-yaml.test.ts",
    "test/python/test_kayobe.py",
    "test/python/test_host.py",
  ];
  const cases: [patterns: string[], want: readonly string[] | RegExp][] = [
    [[join(root, "test/kayobe.test.ts")], ["test/kayobe.test.ts"]],
    [["kayobe"], ["test/kayobe.test.ts", "test/kayobe-yaml.test.ts", "test/python/test_kayobe.py"]],
    [
      ["test_host", "test/python"],
      ["test/python/test_kayobe.py", "test/python/test_host.py"],
    ],
    [
      ["test_host.py", "yaml"],
      ["test/kayobe-yaml.test.ts", "test/python/test_host.py"],
    ],
    [[], []],
    [["kyobe"], /^No test file has kyobe in its path\. Did you mean test\/kayobe\.test\.ts\?$/],
    [
      ["test_host", "test/python/test_hots.py"],
      /^No test file has test\/python\/test_hots\.py .*Did you mean test\/python\/test_host\.py\?$/,
    ],
  ];
  for (const [patterns, want] of cases)
    it(`chooses by ${JSON.stringify(patterns)}`, () => {
      const found = chosenFiles(patterns, all);
      if (want instanceof RegExp) match(whyNot(found), want);
      else deepStrictEqual(valueOf(found), want);
    });

  const wrong: [args: string[], says: RegExp][] = [
    [["--series", "2025.2,2024.1"], /^--series 2024\.1: there are 2025\.1, 2025\.2, 2026\.1, 2026\.2, and all$/],
    [["--series", "all", "--changed"], /^Give --series or --changed: not both\.$/],
    [
      ["--all", "--changed"],
      /^--all runs everything: give it without test files and without other options than --jobs\.$/,
    ],
    [["--all", "test_host"], /^--all runs everything/],
    [["--all", "--fast"], /^--all runs everything/],
    [["--series", "all", "test_host"], /^--series is for files of test\/openstack only\.$/],
  ];
  for (const [args, says] of wrong)
    it(`refuses ${args.join(" ")}`, async () => {
      const { code, output } = await cli(root, "test", ...args);
      strictEqual(code, 2, output);
      match(output, says);
    });

  it("runs the one file that is named, and ends with the totals @long", async () => {
    // As in a clone that is set up, so that only the tests take time; a slow machine may take long for these.
    const { code, output } = await cliProcess(root, {}, "test", "test/totals.test.ts", "test_pending");
    strictEqual(code, 0, output);
    deepStrictEqual(
      [...output.matchAll(/^==== (\w+)$/gm)].map((found) => found[1]),
      ["mocha", "pytest"],
    );
    match(output, /^==== mocha: (\d+) passed, 0 failed, in \d+ s$/m);
    match(output.trimEnd(), /\n\d+ passed, 0 failed$/);
    const [, mocha = "", pytest = "", sum = ""] =
      /mocha: (\d+) passed[^]*pytest: (\d+) passed[^]*\n(\d+) passed, 0 failed$/.exec(output.trimEnd()) ?? [];
    strictEqual(Number(mocha) + Number(pytest), Number(sum));
    // A test of another file: mocha would run all files when they were in its configuration too.
    doesNotMatch(output, /a typing error is reported with the nearest name/);
  });
});

describe("a folder that cannot be written", () => {
  // No user may make anything in it, root neither.
  it("is a sentence with what to do, no trace", async () => {
    const { code, output } = await cliProcess(repository(), {}, "generate", "--out", "/sys/sriov-role-test");
    strictEqual(code, 1, output);
    match(
      output,
      /^\/sys\/sriov-role-test: (permission denied|the file system is read-only) \(mkdir\)\. Give a folder .*\(--out, where the command has it\), or work in (a|your own) clone/m,
    );
    doesNotMatch(output, /\n\s+at /);
  });
});

describe("lint and verify", () => {
  it("refuse artefacts that are stale", async () => {
    const folder = repository();
    put(folder, { "molecule/default/molecule.yml": "---\n" });
    await cli(folder, "generate");
    appendFileSync(join(folder, "role-template/tasks/main.yml"), "# more\n");
    for (const command of ["lint", "verify"]) {
      const { code, output } = await cliProcess(folder, {}, command);
      strictEqual(code, 1);
      match(output, /^2 files in dist do not match the model and the templates\. First run: npm run generate$/m);
    }
  });
});

describe("verify", () => {
  it("without any scenario fails", async () => {
    const { code, output } = await cli(repository(), "verify");
    strictEqual(code, 1);
    match(output, /nothing was proved/);
  });
});
