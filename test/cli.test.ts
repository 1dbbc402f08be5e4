import { doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSources, root } from "../generator/artefacts.js";
import { cli, put, repository } from "./support.js";

const { namespace, name } = readSources(root).role.identity;

/** Change one file of a repository; the text looked for must be there. */
function edit(folder: string, path: string, from: string, to: string): void {
  const text = readFileSync(join(folder, path), "utf8");
  ok(text.includes(from), `${path} has no ${JSON.stringify(from)}`);
  writeFileSync(join(folder, path), text.replace(from, to));
}

describe("generate", () => {
  it("writes, and the second time writes nothing and says so", async () => {
    const folder = repository();
    const first = await cli(folder, "generate");
    strictEqual(first.code, 0, first.output);
    match(first.output, /^\d+ written, 0 removed, 0 unchanged in dist\.$/m);
    const second = await cli(folder, "generate");
    strictEqual(second.code, 0);
    match(second.output, /^Nothing to write: all \d+ files in dist are up to date\.$/);
  });

  it("of one layout leaves the other, and goes on owning it", async () => {
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
    match(output, /^generator\/model\/sriov\.ts:\d+: @default of sriov_numvfs: Type 'string' is not assignable to type 'number'\.$/m);
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
    const { code, output } = await cli(folder, "check");
    strictEqual(code, 0, output);
  });

  it("shows a stale file as a diff, and writes nothing", async () => {
    const path = `dist/roles/${namespace}.${name}/defaults/main.yml`;
    const { code, output } = await checked(path, () => edit(folder, path, "sriov_numvfs: 8", "sriov_numvfs: 9"));
    strictEqual(code, 1);
    ok(output.split("\n").some((line) => line.startsWith(`--- ${path}`)), output);
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
    match(output, /^generator\/model\/sriov\.ts:\d+: @default of sriov_\w+: Type 'string' is not assignable to type 'boolean/m);
  });

  it("catches a variable that is used and not in the model", async () => {
    const path = "role-template/tasks/zz_all.yml";
    const { code, output } = await checked(path, () => appendFileSync(join(folder, path), "- b: '{{ sriov_typo }}'\n"));
    strictEqual(code, 1);
    match(output, /^role-template\/tasks\/zz_all\.yml:2: sriov_typo is no variable of the model/m);
  });

  it("catches a variable of the model that nothing uses", async () => {
    const path = "generator/model/sriov.ts";
    const { code, output } = await checked(path, () => edit(folder, path, "  sriov_devices?:", "  sriov_devices?: SriovDevice[];\n\n  /**\n   * D.\n   * @default 1\n   */\n  sriov_idle?: number;\n\n  /**\n   * D.\n   * @unset\n   */\n  sriov_other?:"));
    strictEqual(code, 1);
    match(output, /sriov_idle: no task, handler or template of role-template\/ uses it/);
  });

  it("tells all faults together", async () => {
    const [model, tasks] = ["generator/model/sriov.ts", "role-template/tasks/zz_all.yml"];
    const { output } = await checked(model, () => edit(folder, model, "@default 8", "@default true"));
    const both = await checked(tasks, () => appendFileSync(join(folder, tasks), "- b: '{{ sriov_typo }}'\n"));
    match(output, /@default of sriov_numvfs/);
    match(both.output, /sriov_typo is no variable/);
    match(both.output, /\d+ stale files in dist.*, 1 problems/);
  });
});

describe("wrong use ends with 2", () => {
  const cases: [title: string, args: string[]][] = [
    ["an unknown command", ["gnerate"]],
    ["an unknown option", ["generate", "--oot", "x"]],
    ["an unknown layout", ["generate", "--layout", "deb"]],
    ["an unknown scenario", ["verify", "no_such_scenario"]],
    ["jobs that are no number", ["verify", "--jobs", "many"]],
    ["too many arguments", ["check", "x"]],
  ];
  for (const [title, args] of cases)
    it(title, async () => {
      const folder = repository();
      put(folder, { "molecule/default/molecule.yml": "---\n" });
      strictEqual((await cli(folder, ...args)).code, 2);
    });
  it("help does not", async () => strictEqual((await cli(repository(), "--help")).code, 0));
});

describe("lint and verify", () => {
  it("refuse artefacts that are stale", async () => {
    const folder = repository();
    put(folder, { "molecule/default/molecule.yml": "---\n" });
    await cli(folder, "generate");
    appendFileSync(join(folder, "role-template/tasks/main.yml"), "# more\n");
    for (const command of ["lint", "verify"]) {
      const { code, output } = await cli(folder, command);
      strictEqual(code, 1);
      match(output, /^2 files in dist are not what the model and the templates say\. Run first: npm run generate$/m);
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
