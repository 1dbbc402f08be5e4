import { deepStrictEqual, doesNotMatch, match, rejects, strictEqual } from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findPython } from "../generator/machine.js";
import { missingOpenStack, openStack } from "../generator/setup.js";
import { cli, put, root, temporary } from "./support.js";

/** A machine with these Pythons, by minor version, and nothing installed. */
async function withPythons<T>(minors: readonly number[], work: () => Promise<T>): Promise<T> {
  const before = { PATH: process.env["PATH"], SRIOV_ROLE_CACHE: process.env["SRIOV_ROLE_CACHE"] };
  const folder = temporary();
  for (const minor of minors) {
    put(folder, { [`python3.${minor}`]: `#!/bin/sh\necho ${folder}/python3.${minor}\necho 3.${minor}.1\n` });
    chmodSync(join(folder, `python3.${minor}`), 0o755);
  }
  process.env["PATH"] = folder;
  process.env["SRIOV_ROLE_CACHE"] = temporary();
  try {
    return await work();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

describe(findPython.name, () => {
  const cases: [title: string, there: number[], newest: number | undefined, want: string | undefined][] = [
    ["takes the newest", [11, 12, 13], undefined, "3.13.1"],
    ["takes the newest that will do", [11, 12, 13], 12, "3.12.1"],
    ["takes an older one", [11], 12, "3.11.1"],
    ["takes none that is too new", [13], 12, undefined],
  ];
  for (const [title, there, newest, want] of cases) it(title, async () => strictEqual((await withPythons(there, () => findPython(newest)))?.version, want));
});

describe("doctor", () => {
  const told = async (): Promise<string> => (await withPythons([12], () => cli(root, "doctor"))).output;
  it("says that build and publish need git", async () => match(await told(), /^build, publish: not ready\n(?: {2}.*\n)* {2}Missing: git[.:]/m));
  it("does not, where it is", async () => {
    const before = process.env["PATH"];
    const folder = temporary();
    put(folder, { git: "#!/bin/sh\n" });
    chmodSync(join(folder, "git"), 0o755);
    process.env["PATH"] = folder;
    try {
      doesNotMatch((await cli(root, "doctor")).output, /\bgit\b/);
    } finally {
      process.env["PATH"] = before;
    }
  });
});

describe("the programs of OpenStack", () => {
  it("that are not installed are told, with what installs them", async () => {
    deepStrictEqual(await withPythons([12], () => missingOpenStack(root)), [
      "Kayobe and Kolla Ansible are not installed. This installs them:\n    npm run setup",
      "Nova and Neutron are not installed. This installs them:\n    npm run setup",
    ]);
    await withPythons([12], () => rejects(openStack(root), /^Error: Kayobe and Kolla Ansible are not installed\. Run: npm run setup$/));
  });

  it("need a Python that is not too new, and say how to get one", async () => {
    const [first] = await withPythons([13], () => missingOpenStack(root));
    match(first ?? "", /^no Python from 3\.11 to 3\.12 .* Kayobe and Kolla Ansible run on no newer one; .*\n {4}uv python install 3\.12$/);
  });

  for (const name of ["kayobe", "nova"])
    it(`are pinned (${name})`, () => {
      const lines = readFileSync(join(root, `test/openstack/requirements-${name}.txt`), "utf8").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
      deepStrictEqual(lines.filter((line) => !/^[\w.-]+==[\w.]+$/.test(line)), []);
      strictEqual(lines.length > 40, true);
    });
});
