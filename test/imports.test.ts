import { deepStrictEqual, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "./support.js";

/** Each library, and the only modules that may know it. */
const allowed: { readonly [library: string]: readonly string[] } = {
  "ts-morph": ["read.ts"],
  yaml: ["kayobe/yaml.ts", "kayobe/inventory.ts", "migrate/read.ts", "crosscheck.ts", "emit/galaxy.ts", "emit/meta.ts", "emit/yaml.ts", "identity.ts", "release/agreement.ts", "release/repository.ts", "scenarios.ts"],
  handlebars: ["emit/readme.ts"],
  execa: ["tools.ts"],
  listr2: ["progress.ts"],
  commander: ["help.ts", "program.ts"],
  diff: ["program.ts"],
  "node:fs": ["disk.ts", "machine.ts"],
};

const folder = join(root, "generator");
const modules = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
const importsOf = (path: string): string[] => [...readFileSync(join(folder, path), "utf8").matchAll(/(?:from |import\(|import )"([^"]+)"/g)].map((match) => match[1]!);

describe("the imports of the generator", () => {
  it("are of libraries that belong to the module", () => {
    const faults = modules.flatMap((path) => importsOf(path).flatMap((name) => (allowed[name] && !allowed[name].includes(path) ? [`${path} imports ${name}`] : [])));
    deepStrictEqual(faults, []);
  });

  it("are of no library that the table does not name", () => {
    const faults = modules.flatMap((path) => importsOf(path).flatMap((name) => (name.startsWith(".") || name.startsWith("node:") || name in allowed ? [] : [`${path} imports ${name}`])));
    deepStrictEqual(faults, []);
  });

  it("are none in the model and in the intermediate representation", () => {
    ok(modules.includes("ir.ts") && modules.includes(join("model", "sriov.ts")));
    deepStrictEqual([...importsOf("ir.ts"), ...importsOf("model/sriov.ts")], []);
  });

  it("of the pure modules reach neither disk nor processes", () => {
    const pure = modules.filter((path) => path.startsWith("emit/") || path.startsWith("kayobe/") || path.startsWith("migrate/") || ["generate.ts", "layout.ts", "crosscheck.ts", "identity.ts", "read.ts", "totals.ts", "release/agreement.ts"].includes(path));
    ok(pure.length > 10);
    const faults = pure.flatMap((path) => importsOf(path).flatMap((name) => (/^node:(?!path$|util$)|\/(disk|tools|machine|setup|cli|program)\.js$/.test(name) ? [`${path} imports ${name}`] : [])));
    deepStrictEqual(faults, []);
  });

  it("do not lead to the command line", () => {
    deepStrictEqual(modules.filter((path) => !["cli.ts", "program.ts"].includes(path) && importsOf(path).some((name) => /\/(cli|program|test|bench)\.js$/.test(name))), []);
  });
});
