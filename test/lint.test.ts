import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { copyFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { judgeLint, lintArtefacts, lintOwnCode } from "../generator/workshop/lint.js";
import type { LintResult } from "../generator/workshop/lint.js";
import { fixers, isShellScript } from "../generator/workshop/ownCode.js";
import { pythonTools } from "../generator/workshop/setup.js";
import { run } from "../generator/system/process.js";
import { artefacts, identity, put, root, temporary } from "./support.js";

describe(judgeLint.name, () => {
  const looked = (...paths: string[]): string =>
    paths.map((path) => `DEBUG    Examining ${path} of type tasks`).join("\n");
  it("passes when every file was looked at", () =>
    strictEqual(
      judgeLint("role", 0, looked("tasks/main.yml", "a b.yml"), ["tasks/main.yml", "a b.yml", "README.md"]).passed,
      true,
    ));
  it("fails for a file that was not looked at, though ansible-lint passed", () => {
    const { passed, report } = judgeLint("role", 0, looked("tasks/main.yml"), [
      "tasks/main.yml",
      "tasks/x.yml",
      "library/m.py",
    ]);
    strictEqual(passed, false);
    strictEqual(report, "ansible-lint did not look at: tasks/x.yml, library/m.py");
  });
  it("fails without any file", () => strictEqual(judgeLint("role", 0, "", []).passed, false));
  it("fails as ansible-lint fails, with its words", () =>
    match(judgeLint("role", 2, `${looked("a.yml")}\na.yml:1: bad`, ["a.yml"]).report, /^a\.yml:1: bad$/));
});

describe("ansible-lint @long", () => {
  const broken = "---\n- name: broken\n  shell: echo $x\n";

  async function lintIn(out: string): Promise<LintResult[]> {
    return await lintArtefacts({
      out,
      identity,
      bin: await pythonTools(root),
      home: join(out, "home"),
      config: join(root, "generator/workshop/ansible-lint.yml"),
      ansibleConfig: join(root, "generator/workshop/ansible.cfg"),
    });
  }

  it("finds a broken task in every artefact, in a folder that git ignores", async () => {
    const folder = temporary();
    strictEqual((await run({ file: "git", args: ["init", "--quiet", folder] })).code, 0);
    put(folder, { ".gitignore": "/dist/\n" });
    const out = join(folder, "dist");
    for (const path of ["roles/stackhpc.sriov", "collections/ansible_collections/stackhpc/sriov/roles/sriov"])
      put(out, { [`${path}/tasks/zz_broken.yml`]: broken });
    put(out, {
      "collections/ansible_collections/stackhpc/sriov/galaxy.yml":
        "---\nnamespace: stackhpc\nname: sriov\nversion: 1.0.0\nreadme: README.md\nauthors: [x]\n",
    });
    put(out, {
      "kayobe-config/ansible/zz_broken.yml":
        "---\n- name: Broken\n  hosts: all\n  tasks:\n    - name: Broken\n      ansible.builtin.shell: echo x\n",
    });
    const results = await lintIn(out);
    deepStrictEqual(
      results.map(({ title, passed }) => [title, passed]),
      [
        ["ansible-lint, role", false],
        ["ansible-lint, collection", false],
        ["ansible-lint, kayobe", false],
      ],
    );
    match(results[2]!.report, /^ansible\/zz_broken\.yml:\d+.*no-changed-when/m);
    match(results[0]!.report, /^tasks\/zz_broken\.yml:\d+.*no-changed-when/m);
    match(results[1]!.report, /^roles\/sriov\/tasks\/zz_broken\.yml:\d+.*no-changed-when/m);
  });

  it("that is configured to ignore a file does not pass", async () => {
    const out = artefacts();
    // In a folder that no role has: a task would be found from the playbooks that use the role.
    put(out, { "roles/stackhpc.sriov/.gitignore": "zz_more/\n", "roles/stackhpc.sriov/zz_more/hidden.yml": broken });
    const [result] = await lintIn(out);
    strictEqual(result?.passed, false);
    match(result.report, /ansible-lint did not look at: zz_more\/hidden\.yml$/m);
  });
});

describe("the linters of our own code @long", () => {
  const broken: { readonly [path: string]: string } = {
    "generator/main.ts": "import {one} from './a.js'\nconsole.log(one)\n",
    "generator/model/sriov.ts": "",
    "generator/a.ts": "export const one = 1;\nexport const two = 2;\n",
    "test/python/b.py": "import os\nx=1\n",
    "molecule/c": "#!/bin/sh\nrm $1\n",
  };

  function repository(): string {
    const folder = temporary();
    put(folder, { ...broken, ".ci/run": "#!/bin/sh\n", "role-template/d.py": "D = 1\n", "test/e.test.ts": "" });
    for (const name of [".editorconfig", "package.json", "pyproject.toml"])
      copyFileSync(join(root, name), join(folder, name));
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    return folder;
  }

  it("each find what is theirs", async () => {
    const results = await lintOwnCode(repository(), await pythonTools(root));
    deepStrictEqual(
      results.filter(({ passed }) => passed),
      [],
    );
    const reports = results.map(({ report }) => report.replaceAll("\n", " "));
    const found = [
      /generator\/main\.ts/,
      /F401.*b\.py/,
      /would be reformatted.*test\/python\/b\.py/,
      /In molecule\/c line 2:.*SC2086/,
    ];
    strictEqual(reports.length, found.length);
    for (const [index, report] of reports.entries()) match(report, found[index]!);
  });

  it("have nothing to say of layout after the fixers ran", async () => {
    const folder = repository();
    for (const { command } of fixers(folder, await pythonTools(root))) strictEqual((await run(command)).output, "");
    const results = await lintOwnCode(folder, await pythonTools(root));
    deepStrictEqual(
      results.filter(({ passed }) => !passed).map(({ title }) => title),
      ["shellcheck"],
    );
  });
});

describe(isShellScript.name, () => {
  const cases: [path: string, text: string, want: boolean][] = [
    ["a.sh", "", true],
    ["a", "#!/bin/sh\n", true],
    ["a", "#!/usr/bin/env bash\n", true],
    ["a", "#!/usr/bin/env python3\n# sh\n", false],
    ["a", "#!/usr/bin/fish\n", false],
    ["a", "echo\n#!/bin/sh\n", false],
  ];
  for (const [path, text, want] of cases)
    it(`of ${path} with ${JSON.stringify(text)}: ${want}`, () => strictEqual(isShellScript(path, text), want));
});
