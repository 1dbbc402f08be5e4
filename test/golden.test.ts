import { strictEqual } from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { generate } from "../generator/artefacts/generate.js";
import { layouts } from "../generator/ir.js";
import { artefactRoot } from "../generator/artefacts/layout.js";
import { readModel } from "../generator/artefacts/read.js";
import { identity, put, root } from "./support.js";

// Everything derived, from a model with a variable of every kind. `UPDATE=1 npx mocha` writes what comes out; look at
// the difference before it is committed: a change here is a change for users.

const goldens = join(root, "test/fixtures/golden");
const { role, problems } = readModel(
  "model.ts",
  readFileSync(join(root, "test/fixtures/model.ts.txt"), "utf8"),
  identity,
);
const template = {
  galaxy: "---\n# Ours.\nnamespace: stackhpc\nname: sriov\nversion: 1.0.0\nbuild_ignore:\n  - dist\n",
  files: [
    { path: "README.md.hbs", text: readFileSync(join(root, "role-template/README.md.hbs"), "utf8") },
    { path: "LICENSE", text: "Do.\n" },
    { path: "LICENSES/MIT.txt", text: "Do.\n" },
    { path: "CHANGELOG.md", text: "# Changelog\n\n## 1.0.0 - 2026-01-01\n\nFirst.\n\n### Added\n\n- A thing.\n" },
    { path: "meta/main.yml", text: '---\ngalaxy_info:\n  min_ansible_version: "2.17" # the oldest\n' },
    { path: "meta/runtime.yml", text: '---\nrequires_ansible: ">=2.17.0"\n' },
    {
      path: "tasks/main.yml",
      text: "---\n- name: Make it so\n  stackhpc.sriov.sriov_vfs:\n    devices: '{{ sriov_list }}'\n",
    },
    {
      path: "examples/minimal.yml",
      text: "---\n- name: Two cards\n  hosts: all\n  roles:\n    - stackhpc.sriov.sriov\n",
    },
    {
      path: "plugins/modules/sriov_vfs.py",
      text: "from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.pending import x\n",
    },
    { path: "plugins/module_utils/sriov/pending.py", text: "x = 1\n" },
    { path: "plugins/filter/openstack.py", text: "x = 1\n" },
    { path: "kayobe/kolla.yml", text: "---\nkolla_enable_neutron_sriov: true\n" },
  ],
};

/** Verbatim files compared with themselves would prove nothing; the path lists have them. */
const isDerived =
  /(defaults\/main|argument_specs|meta\/main|galaxy|changelog|requirements)\.ya?ml$|README\.md$|schema\.json$/;

describe("the golden", () => {
  before(() => strictEqual(JSON.stringify(problems), "[]"));
  for (const layout of layouts) {
    const files = generate(role, template, layout).map((file) => ({
      ...file,
      path: file.path.slice(artefactRoot(layout, identity).length + 1),
    }));
    const want: { [path: string]: string } = Object.fromEntries(
      files.filter(({ path }) => isDerived.test(path)).map(({ path, text }) => [`${layout}/${path}`, text]),
    );
    want[`${layout}.paths`] = `${files
      .map(({ path }) => path)
      .sort()
      .join("\n")}\n`;
    for (const [path, text] of Object.entries(want))
      it(path, () => {
        if (process.env["UPDATE"]) put(goldens, { [path]: text });
        strictEqual(text, readFileSync(join(goldens, path), "utf8"));
      });
    it(`${layout} has no file that is no longer generated`, () => {
      const there = existsSync(join(goldens, layout))
        ? readdirSync(join(goldens, layout), { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map((entry) => join(entry.parentPath, entry.name).slice(goldens.length + 1))
        : [];
      const stale = there.filter((path) => !(path in want));
      if (process.env["UPDATE"]) for (const path of stale) rmSync(join(goldens, path));
      else strictEqual(stale.join(), "");
    });
  }
});
