import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readSources, root } from "../generator/artefacts/sources.js";
import { crosscheck } from "../generator/artefacts/crosscheck.js";
import { readTree } from "../generator/system/disk.js";
import { generate } from "../generator/artefacts/generate.js";
import { ansibleCores } from "../generator/workshop/setup.js";

const text = (path: string): string => readFileSync(join(root, path), "utf8");
const { role, template, problems } = readSources(root);

describe("the repository", () => {
  it("has a model without fault, and templates that agree with it", () =>
    deepStrictEqual([...problems, ...crosscheck(role, template.files)], []));

  it("has one version", () => {
    const { version } = JSON.parse(text("package.json")) as { version: string };
    strictEqual(version, role.identity.version);
    match(text("role-template/CHANGELOG.md"), new RegExp(`^## ${version.replaceAll(".", "\\.")} - `, "m"));
  });

  it("has the text of each of its licences, unchanged, and for the repository too", () => {
    const sums: { readonly [path: string]: string } = {
      LICENSE: "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
      "LICENSES/GPL-3.0-or-later.txt": "3972dc9744f6499f0f9b2dbf76696f2ae7ad8af9b23dde66d6af86c9dfb36986",
    };
    deepStrictEqual(role.identity.license, ["Apache-2.0", "GPL-3.0-or-later"]);
    const texts = template.files.filter(({ path }) => path.startsWith("LICENSE"));
    deepStrictEqual(
      Object.fromEntries(texts.map((file) => [file.path, createHash("sha256").update(file.text).digest("hex")])),
      sums,
    );
    strictEqual(text("LICENSE"), texts.find(({ path }) => path === "LICENSE")?.text);
    for (const layout of ["role", "collection"] as const)
      deepStrictEqual(
        generate(role, template, layout)
          .flatMap(({ path }) => /\/(LICENSE.*)$/.exec(path)?.[1] ?? [])
          .sort(),
        Object.keys(sums),
      );
  });

  it("has its Python under the GPL, and nothing else", () => {
    // ansible-test wants the __init__.py of a package empty.
    const isGpl = (file: string): boolean =>
      file === "" || /^# SPDX-License-Identifier: GPL-3\.0-or-later$/m.test(file);
    deepStrictEqual(
      template.files.filter((file) => file.path.endsWith(".py") !== isGpl(file.text)).map(({ path }) => path),
      [],
    );
  });

  it("mixes no Handlebars and Jinja in a file", () => {
    const hbs = template.files.filter(({ path }) => path.endsWith(".hbs"));
    deepStrictEqual(
      hbs.map(({ path }) => path),
      ["README.md.hbs"],
    );
    deepStrictEqual(
      hbs.filter((file) => /\{%|\{\{\{\{|\\\{\{/.test(file.text)).map(({ path }) => path),
      [],
    );
  });

  it("has no test that fails because a machine is slow: no own limits, no times asserted", () => {
    const impatient =
      /\.timeout\([1-9]|(monotonic|time)\(\) - \w+\)? *[<>]|\btimeout=\d{2,}|(wait|join)\(\d|seconds [<>]/;
    const tests = readTree(join(root, "test")).filter(
      ({ path }) => /\.(ts|py)$/.test(path) && path !== "hygiene.test.ts",
    );
    strictEqual(tests.length > 40, true);
    const found = tests.flatMap(({ path, text: whole }) =>
      whole
        .split("\n")
        .flatMap((line, index) => (impatient.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [])),
    );
    deepStrictEqual(found, []);
  });

  it("has pinned packages only", () => {
    const { dependencies, devDependencies } = JSON.parse(text("package.json")) as {
      [key: string]: { [name: string]: string };
    };
    deepStrictEqual(
      Object.entries({ ...dependencies, ...devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version)),
      [],
    );
    deepStrictEqual(
      text("requirements.txt")
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#") && !/^[\w.-]+==[\w.]+$/.test(line)),
      [],
    );
  });

  it("takes packages from npm's own registry only", () => {
    const { packages } = JSON.parse(text("package-lock.json")) as {
      packages: { [path: string]: { resolved?: string; integrity?: string; link?: boolean } };
    };
    const entries = Object.entries(packages).filter(([path]) => path !== "");
    strictEqual(entries.length > 20, true);
    deepStrictEqual(
      entries.filter(
        ([, { resolved }]) => resolved !== undefined && !resolved.startsWith("https://registry.npmjs.org/"),
      ),
      [],
    );
    deepStrictEqual(
      entries.filter(([, { integrity }]) => !integrity),
      [],
    );
  });

  it("supports the platforms that it declares", () => {
    const { galaxy_info } = parse(text("role-template/meta/main.yml")) as {
      galaxy_info: { min_ansible_version: string; platforms: unknown };
    };
    const [oldest] = ansibleCores;
    strictEqual(galaxy_info.min_ansible_version, oldest);
    deepStrictEqual(galaxy_info.platforms, [
      { name: "EL", versions: ["9", "10"] },
      { name: "Ubuntu", versions: ["jammy", "noble"] },
      { name: "Debian", versions: ["bookworm", "trixie"] },
    ]);
    const runtime = parse(text("role-template/meta/runtime.yml")) as { requires_ansible: string };
    strictEqual(runtime.requires_ansible, `>=${oldest}.0`);
  });
});
