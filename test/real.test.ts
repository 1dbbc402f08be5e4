import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { defaults } from "../generator/artefacts/emit/defaults.js";
import { readSources, root } from "../generator/artefacts/sources.js";
import type { Json, Variable } from "../generator/ir.js";
import { artefacts, put, role, temporary, tool } from "./support.js";

// The tools that will read what we write judge it here. They are not optional: without them these tests fail.

const { namespace, name: collection, version } = readSources(root).role.identity;
const published = `${namespace}.${collection}`;
const rolePath = `roles/${published}`;
const collectionPath = `collections/ansible_collections/${namespace}/${collection}`;

async function pythonReads(path: string): Promise<unknown> {
  const { code, stdout, output } = await tool(
    "python",
    ["-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1])), default=str))", path],
    temporary(),
  );
  strictEqual(code, 0, output);
  return JSON.parse(stdout);
}

describe("the YAML that is written", () => {
  it("is read by PyYAML as it was meant", async () => {
    const words = [
      "on",
      "off",
      "yes",
      "no",
      "y",
      "n",
      "true",
      "Null",
      "~",
      "",
      " ",
      "1",
      "1.5",
      "1e3",
      "0x1f",
      "0o7",
      "010",
      "1:20",
      "12:30:45",
      "1_000",
      "2026-01-01",
      "=",
      "<<",
      "- a",
      "a: b",
      "a #b",
      "{{ x }}",
      "%a",
      "@a",
      "`a`",
      "!a",
      "&a",
      "*a",
      "a\nb",
      "ü",
      '"',
      "'",
      "0000:3b:00.0",
    ];
    const values: Json[] = [...words, true, false, 0, -1, 8, [], ["on", "1:20"], [{ on: "no", n: 1, list: [] }], {}];
    const variables = values.map((value, index): Variable => ({
      name: `sriov_${index}`,
      description: ["D."],
      type: { kind: "str" },
      required: false,
      default: value,
    }));
    const folder = temporary();
    put(folder, { "main.yml": defaults(role(...variables)).text });
    deepStrictEqual(
      await pythonReads(join(folder, "main.yml")),
      Object.fromEntries(variables.map(({ name, default: value }) => [name, value])),
    );
  });

  it("has the defaults of the model, in both artefacts and twice over", async () => {
    const out = artefacts();
    const want = Object.fromEntries(
      readSources(root).role.variables.flatMap(({ name, default: value }) =>
        value === undefined ? [] : [[name, value]],
      ),
    );
    for (const path of [rolePath, `${collectionPath}/roles/sriov`]) {
      deepStrictEqual(await pythonReads(join(out, path, "defaults/main.yml")), want);
      const { argument_specs } = (await pythonReads(join(out, path, "meta/argument_specs.yml"))) as {
        argument_specs: { "main.yml": { options: { [name: string]: { default?: Json } } } };
      };
      deepStrictEqual(
        Object.fromEntries(
          Object.entries(argument_specs["main.yml"].options).flatMap(([name, { default: value }]) =>
            value === undefined ? [] : [[name, value]],
          ),
        ),
        want,
      );
    }
  });
});

/** Generated when the suite is read: the cases below come from it. */
function artefactsOnce(): string {
  return artefacts();
}

describe("ansible-doc", () => {
  const out = artefactsOnce();
  const modules = readSources(root).template.files.flatMap(
    ({ path }) => /^plugins\/modules\/(\w+)\.py$/.exec(path)?.[1] ?? [],
  );

  it("has modules to show", () => ok(modules.length > 0));

  for (const name of [published, `${published}.sriov`])
    it(`shows the role as ${name}`, async () => {
      const { code, stdout, output } = await tool("ansible-doc", ["-t", "role", "--json", name], out);
      strictEqual(code, 0, output);
      const { entry_points } = (
        JSON.parse(stdout) as { [name: string]: { entry_points: { "main.yml": { options: object } } } }
      )[name]!;
      deepStrictEqual(
        Object.keys(entry_points["main.yml"].options).sort(),
        readSources(root)
          .role.variables.map((variable) => variable.name)
          .sort(),
      );
    });

  it("shows every module of the collection", async () => {
    const { code, stdout, output } = await tool(
      "ansible-doc",
      ["--json", ...modules.map((name) => `${published}.${name}`)],
      out,
    );
    strictEqual(code, 0, output);
    deepStrictEqual(
      Object.keys(JSON.parse(stdout) as object).sort(),
      modules.map((name) => `${published}.${name}`).sort(),
    );
  });

  it("shows every module of the role", async () => {
    const { code, stdout, output } = await tool(
      "ansible-doc",
      ["--json", "--module-path", join(out, rolePath, "library"), ...modules],
      out,
    );
    strictEqual(code, 0, output);
    deepStrictEqual(Object.keys(JSON.parse(stdout) as object).sort(), [...modules].sort());
  });

  it("a module finds its helpers in either artefact @long", async () => {
    // With an argument that no module has, each gets as far as its argument check, and changes nothing.
    const tasks = (prefix: string): Json =>
      modules.map((name) => ({ [`${prefix}${name}`]: { no_such_argument: 1 }, ignore_errors: true }));
    put(out, {
      [`${rolePath}/tasks/zz_probe.yml`]: JSON.stringify(tasks("")),
      "collection.yml": JSON.stringify([
        { hosts: "localhost", connection: "local", gather_facts: false, tasks: tasks(`${published}.`) },
      ]),
      "role.yml": JSON.stringify([
        {
          hosts: "localhost",
          connection: "local",
          gather_facts: false,
          tasks: [{ "ansible.builtin.include_role": { name: published, tasks_from: "zz_probe" } }],
        },
      ]),
    });
    for (const play of ["collection.yml", "role.yml"]) {
      const { output } = await tool("ansible-playbook", ["-i", "localhost,", play], out);
      const refused =
        output.match(/^fatal: .*"msg": "(?:Unsupported parameters for|missing required arguments)/gm) ?? [];
      strictEqual(refused.length, modules.length, output);
    }
  });
});

describe("ansible-galaxy", () => {
  it("builds the collection, with everything that belongs and nothing else", async () => {
    const out = artefacts();
    const target = temporary();
    put(out, { [`${collectionPath}/.ansible/rubbish`]: "x" });
    const { code, output } = await tool(
      "ansible-galaxy",
      ["collection", "build", "--output-path", target, join(out, collectionPath)],
      out,
    );
    strictEqual(code, 0, output);
    const listed = await tool(
      "python",
      [
        "-c",
        "import sys, tarfile; print('\\n'.join(m.name for m in tarfile.open(sys.argv[1]) if m.isfile()))",
        join(target, `${namespace}-${collection}-${version}.tar.gz`),
      ],
      out,
    );
    const paths = listed.stdout.trim().split("\n");
    for (const path of [
      "MANIFEST.json",
      "README.md",
      "CHANGELOG.md",
      "meta/runtime.yml",
      "roles/sriov/meta/argument_specs.yml",
      "roles/sriov/README.md",
    ])
      ok(paths.includes(path), path);
    ok(!paths.some((path) => path.includes(".ansible/") || path.includes("zz_")), paths.join("\n"));
  });
});
