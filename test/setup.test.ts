import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { installation } from "../generator/workshop/hostPackages.js";
import { findPython } from "../generator/workshop/pythonEnvironments.js";
import type { PythonRange } from "../generator/workshop/pythonEnvironments.js";
import { run } from "../generator/system/process.js";
import { ansibleCores, commandLine, missingPrograms, programFolders } from "../generator/workshop/setup.js";
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

describe(installation.name, () => {
  const text = "Types: deb\nURIs: http://m/debian\nSuites: bookworm-backports\n";
  const release = (field: string): string => new RegExp(`^${field}="?([^"\n]*)`, "m").exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  const backports = `${release("VERSION_CODENAME")}-backports`;
  /** Where apt would install an old QEMU, and Python says this of the backports. */
  const where = async (python: string): ReturnType<typeof installation> => {
    const folder = temporary();
    put(folder, { "apt-get": "#!/bin/sh\n", "apt-cache": "#!/bin/sh\necho '  Candidate: 1:7.2'\n", python3: `#!/bin/sh\n${python}\n` });
    for (const name of ["apt-get", "apt-cache", "python3"]) chmodSync(join(folder, name), 0o755);
    const before = process.env["PATH"];
    process.env["PATH"] = folder;
    try {
      return await installation(root, ["qemu-system-x86"]);
    } finally {
      process.env["PATH"] = before;
    }
  };
  // On another distribution there are no such backports.
  const cases: [title: string, python: string, want: unknown][] = [
    ["adds the backports that Python derives", `test "$*" = "${root}/molecule/rig/apt_sources.py backports ${release("VERSION_CODENAME")}" && printf '${text.replaceAll("\n", "\\n")}'`, { path: "/etc/apt/sources.list.d/sriov-role-backports.sources", text }],
    ["adds none where apt has them", "true", undefined],
  ];
  if (release("ID") === "debian")
    for (const [title, python, want] of cases)
      it(title, async () => {
        const found = await where(python);
        ok(typeof found === "object", String(found));
        deepStrictEqual(found.file, want);
        ok(found.commands.some(({ args }) => args.join(" ").includes(`--target-release ${backports} qemu-system-x86 qemu-utils`)));
      });
  it("says why there is no way to QEMU", async () => {
    const found = await where("echo 'no such source' >&2; exit 1");
    strictEqual(found, release("ID") === "debian" ? `QEMU 8 or newer is needed, from ${backports}; no such source` : "QEMU 8 or newer is needed; this release has an older one, and only Debian's backports are known to have it");
  });
});

describe(commandLine.name, () => {
  it("is what a person types", () => {
    strictEqual(
      commandLine({ file: { path: "/etc/apt/x.sources", text: "Types: deb\n" }, commands: [{ file: "apt-get", args: ["install", "a"], env: { DEBIAN_FRONTEND: "noninteractive" } }] }),
      "printf %s 'Types: deb\n' | sudo tee /etc/apt/x.sources >/dev/null && sudo DEBIAN_FRONTEND=noninteractive apt-get install a",
    );
  });
});

describe(findPython.name, () => {
  const cases: [title: string, there: number[], range: PythonRange, want: string | undefined][] = [
    ["takes the newest", [11, 12, 13], {}, "3.13.1"],
    ["takes the newest that will do", [11, 12, 13], { newest: 12 }, "3.12.1"],
    ["takes an older one", [11], { newest: 12 }, "3.11.1"],
    ["takes none that is too new", [13], { newest: 12 }, undefined],
    ["takes none that is too old", [11], { oldest: 12 }, undefined],
    ["takes the oldest that will do", [11, 12], { oldest: 12 }, "3.12.1"],
  ];
  for (const [title, there, range, want] of cases) it(title, async () => strictEqual((await withPythons(there, () => findPython(range)))?.version, want));
});

describe("doctor", () => {
  const told = async (): Promise<string> => (await withPythons([12], () => cli(root, "doctor"))).output;
  it("says that build and publish need git", async () => match(await told(), /^build, publish: not ready\n(?: {2}.*\n)* {2}Missing: git[.:]/m));
  it("says once what installs all that is not installed", async () => {
    const output = await told();
    ok([...output.matchAll(/: not installed$/gm)].length > 3, output);
    deepStrictEqual([...output.matchAll(/npm run setup/g)].length, 1, output);
    match(output, /^This installs what is not installed:\n {4}npm run setup$/m);
  });
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

describe("in an environment", () => {
  it("Python is the one that the environment was made of, so that its programs are found there too", async () => {
    const before = process.env["PATH"];
    const own = await findPython();
    const folder = temporary();
    strictEqual((await run({ file: own?.executable ?? "", args: ["-m", "venv", "--without-pip", folder] })).code, 0);
    process.env["PATH"] = `${join(folder, "bin")}:${before}`;
    try {
      deepStrictEqual(await findPython(), own);
    } finally {
      process.env["PATH"] = before;
    }
  });
});

// 2.19 is that of the Python tools.
const others = ansibleCores.filter((release) => release !== "2.19");

describe("the programs that are tested with", () => {
  it("that are not installed are told, by a command that runs them with what installs them", async () => {
    const openStack = ["Kayobe and Kolla Ansible: not installed", "Nova and Neutron: not installed"];
    deepStrictEqual(await withPythons([12], () => missingPrograms(root, { machines: false })), openStack);
    const all = await withPythons([12], () => missingPrograms(root, { machines: true }));
    deepStrictEqual(all.slice(0, 2), openStack);
    deepStrictEqual(all.slice(2).map((sentence) => sentence.split(":")[0]), ["ansible-core 2.17", "ansible-core 2.18", "ansible-core 2.20", "ansible-core 2.21"]);
    await withPythons([12], () => rejects(programFolders(root, { machines: false }), /^Error: Kayobe and Kolla Ansible: not installed\. Run: npm run setup$/));
  });

  const lacking = (range: string, title: string, made: string): string =>
    `no Python ${range} with venv and ensurepip was found, and others are no good for ${title}. This makes one out of Debian's packages:\n    python3 molecule/rig/python_tree.py ensure ${made}`;

  it("need a Python that is not too new, which can be made", async () => {
    const sentences = await withPythons([13], () => missingPrograms(root, { machines: true }));
    deepStrictEqual(
      sentences.filter((sentence) => sentence.startsWith("no Python")),
      ["Kayobe and Kolla Ansible", "Nova and Neutron", "ansible-core 2.17"].map((title) => lacking("from 3.11 to 3.12", title, "3.11")),
    );
  });

  it("need a Python that is not too old, which can be made", async () => {
    const sentences = await withPythons([11], () => missingPrograms(root, { machines: true }));
    deepStrictEqual(sentences.filter((sentence) => sentence.startsWith("no Python")), ["ansible-core 2.20", "ansible-core 2.21"].map((title) => lacking("3.12 or newer", title, "3.13")));
  });

  const pinned: [path: string, fewest: number][] = [
    ["test/openstack/requirements-kayobe.txt", 40],
    ["test/openstack/requirements-nova.txt", 40],
    ...others.map((release): [string, number] => [`molecule/versions/ansible-core-${release}.txt`, 9]),
  ];
  for (const [path, fewest] of pinned)
    it(`are pinned (${path})`, () => {
      const lines = readFileSync(join(root, path), "utf8").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
      deepStrictEqual(lines.filter((line) => !/^[\w.-]+==[\w.]+$/.test(line)), []);
      strictEqual(lines.length >= fewest, true);
    });

  for (const release of others) it(`are ansible-core ${release} where that is said`, () => match(readFileSync(join(root, `molecule/versions/ansible-core-${release}.txt`), "utf8"), new RegExp(`^ansible-core==${release.replace(".", "\\.")}\\.\\d+$`, "m")));
});
