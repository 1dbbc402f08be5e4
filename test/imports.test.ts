import { deepStrictEqual, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { root } from "./support.js";

/** Each library, and the only modules that may know it. */
const allowed: { readonly [library: string]: readonly string[] } = {
  "ts-morph": ["artefacts/read.ts"],
  yaml: [
    "system/ansible.ts",
    "kayobe/yaml.ts",
    "kayobe/inventory.ts",
    "migrate/read.ts",
    "artefacts/crosscheck.ts",
    "artefacts/emit/galaxy.ts",
    "artefacts/emit/meta.ts",
    "artefacts/emit/yaml.ts",
    "artefacts/identity.ts",
    "release/consistency.ts",
    "release/repository.ts",
    "workshop/scenarios.ts",
  ],
  handlebars: ["artefacts/emit/readme.ts"],
  execa: ["system/process.ts"],
  listr2: ["system/progress.ts"],
  commander: ["system/help.ts", "cli.ts"],
  diff: ["system/diff.ts"],
  "node:fs": [
    "system/disk.ts",
    "system/userFiles.ts",
    "system/owned.ts",
    "workshop/cache.ts",
    "workshop/hostPackages.ts",
  ],
};

/** Each wing of generator/, and those that it may know; all know ir.ts. */
const wings: { readonly [wing: string]: readonly string[] } = {
  model: [],
  system: [],
  artefacts: ["model", "system"],
  kayobe: ["artefacts", "system"],
  migrate: ["artefacts", "kayobe", "system"],
  workshop: ["artefacts", "system"],
  release: ["artefacts", "workshop", "system"],
};

const folder = join(root, "generator");
const modules = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
const importsOf = (path: string): string[] =>
  [...readFileSync(join(folder, path), "utf8").matchAll(/(?:from |import\(|import )"([^"]+)"/g)].map(
    (match) => match[1]!,
  );

describe("the imports of the generator", () => {
  it("are of libraries that belong to the module", () => {
    const faults = modules.flatMap((path) =>
      importsOf(path).flatMap((name) =>
        allowed[name] && !allowed[name].includes(path) ? [`${path} imports ${name}`] : [],
      ),
    );
    deepStrictEqual(faults, []);
  });

  it("are of no library that the table does not name", () => {
    const faults = modules.flatMap((path) =>
      importsOf(path).flatMap((name) =>
        name.startsWith(".") || name.startsWith("node:") || name in allowed ? [] : [`${path} imports ${name}`],
      ),
    );
    deepStrictEqual(faults, []);
  });

  it("are none in the model and in the intermediate representation", () => {
    ok(modules.includes("ir.ts") && modules.includes(join("model", "sriov.ts")));
    deepStrictEqual([...importsOf("ir.ts"), ...importsOf("model/sriov.ts")], []);
  });

  it("lead from one wing to those that it may know", () => {
    const faults = modules.flatMap((path) =>
      importsOf(path)
        .filter((name) => name.startsWith(".."))
        .flatMap((name) => {
          const [wing, to] = [path, posix.join(dirname(path), name)].map((one) => one.split("/")[0]!);
          return to === wing || to === "ir.js" || wings[wing!]?.includes(to!) ? [] : [`${path} imports ${name}`];
        }),
    );
    deepStrictEqual(faults, []);
    deepStrictEqual(
      [...new Set(modules.flatMap((path) => (path.includes("/") ? [path.split("/")[0]!] : [])))].sort(),
      Object.keys(wings).sort(),
    );
  });

  it("of the pure modules reach neither disk nor processes", () => {
    const pure = modules.filter((path) =>
      /^(artefacts\/(emit\/.*|generate|layout|crosscheck|concerns|identity|read)|(kayobe|migrate)\/(?!commands).*|release\/consistency|workshop\/totals)\.ts$/.test(
        path,
      ),
    );
    ok(pure.length > 50, String(pure.length));
    const faults = pure.flatMap((path) =>
      importsOf(path).flatMap((name) =>
        /^node:(?!path$|util$)|\/system\/(?!nearest|ansible|text)|\/(cache|hostPackages|pythonEnvironments|setup|commands|sources)\.js$/.test(
          name,
        )
          ? [`${path} imports ${name}`]
          : [],
      ),
    );
    deepStrictEqual(faults, []);
  });

  it("do not lead to the command line", () => {
    deepStrictEqual(
      modules.filter((path) => path !== "main.ts" && importsOf(path).some((name) => /\/(main|cli)\.js$/.test(name))),
      [],
    );
  });

  it("do not lead to a wing's commands but from the command line, and for whether the artefacts are stale", () => {
    deepStrictEqual(
      modules.filter(
        (path) => path !== "cli.ts" && importsOf(path).some((name) => /\/(commands|test|bench)\.js$/.test(name)),
      ),
      ["workshop/commands.ts"],
    );
  });
});
