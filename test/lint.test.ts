import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { judgeLint, lint } from "../generator/workshop/lint.js";
import type { LintResult } from "../generator/workshop/lint.js";
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
    return await lint({
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
      results.map(({ layout, passed }) => [layout, passed]),
      [
        ["role", false],
        ["collection", false],
        ["kayobe", false],
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
