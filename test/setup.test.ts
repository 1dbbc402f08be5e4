import { deepStrictEqual, doesNotMatch, match, ok, rejects, strictEqual } from "node:assert/strict";
import { chmodSync, linkSync, readFileSync, readdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { installLine, installation } from "../generator/workshop/hostPackages.js";
import { uvVariables } from "../generator/workshop/installers.js";
import { locked } from "../generator/workshop/cache.js";
import { findPython, noteUse, unusedFolders } from "../generator/workshop/pythonEnvironments.js";
import type { PythonRange } from "../generator/workshop/pythonEnvironments.js";
import { run } from "../generator/system/process.js";
import {
  ansibleReleases,
  missingPrograms,
  openStackSeries,
  programFolders,
  removable,
  removeUnused,
  seriesEnvironment,
  usualSeries,
} from "../generator/workshop/setup.js";
import { cli, put, root, temporary, valueOf, whyNot } from "./support.js";

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
  const release = (field: string): string =>
    new RegExp(`^${field}="?([^"\n]*)`, "m").exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "";
  const backports = `${release("VERSION_CODENAME")}-backports`;
  /** Where apt would install an old QEMU, and Python says this of the backports. */
  const where = async (python: string): ReturnType<typeof installation> => {
    const folder = temporary();
    put(folder, {
      "apt-get": "#!/bin/sh\n",
      "apt-cache": "#!/bin/sh\necho '  Candidate: 1:7.2'\n",
      python3: `#!/bin/sh\n${python}\n`,
    });
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
    [
      "adds the backports that Python derives",
      `test "$*" = "${root}/molecule/rig/apt_sources.py backports ${release("VERSION_CODENAME")}" && printf '${text.replaceAll("\n", "\\n")}'`,
      { path: "/etc/apt/sources.list.d/sriov-role-backports.sources", text },
    ],
    ["adds none where apt has them", "true", undefined],
  ];
  if (release("ID") === "debian")
    for (const [title, python, want] of cases)
      it(title, async () => {
        const found = valueOf(await where(python));
        deepStrictEqual(found.file, want);
        ok(
          found.commands.some(({ args }) =>
            args.join(" ").includes(`--target-release ${backports} qemu-system-x86 qemu-utils`),
          ),
        );
      });
  it("reports why there is no way to QEMU", async () => {
    const found = await where("echo 'no such source' >&2; exit 1");
    strictEqual(
      whyNot(found),
      release("ID") === "debian"
        ? `QEMU 8 or newer is needed, from ${backports}; no such source`
        : "QEMU 8 or newer is needed; this release has an older one, and only Debian's backports are known to have it",
    );
  });
});

describe(installLine.name, () => {
  it("is what a person types", () => {
    strictEqual(
      installLine({
        file: { path: "/etc/apt/x.sources", text: "Types: deb\n" },
        commands: [{ file: "apt-get", args: ["install", "a"], env: { DEBIAN_FRONTEND: "noninteractive" } }],
      }),
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
  for (const [title, there, range, want] of cases)
    it(title, async () => strictEqual((await withPythons(there, () => findPython(range)))?.version, want));
});

describe("where a program runs on a Python that was unpacked for it", () => {
  it("the Python of all others is still the machine's", async () => {
    const found = await withPythons([11], () => {
      const cache = process.env["SRIOV_ROLE_CACHE"]!;
      put(cache, { "python3.13": `#!/bin/sh\necho ${cache}/python3.13\necho 3.13.1\n` });
      chmodSync(join(cache, "python3.13"), 0o755);
      process.env["PATH"] = `${cache}:${process.env["PATH"]}`;
      return findPython();
    });
    strictEqual(found?.version, "3.11.1");
  });
});

describe("doctor", () => {
  const reported = async (): Promise<string> => (await withPythons([12], () => cli(root, "doctor"))).output;
  it("says that build and publish need git", async () =>
    match(await reported(), /^build, publish: not ready\n(?: {2}.*\n)* {2}Missing: git[.:]/m));
  it("says once what installs all that is not installed", async () => {
    const output = await reported();
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

const { newest, in_part: inPart, scenario } = openStackSeries;
const allSeries = Object.keys(openStackSeries.pythons);
const kayobeOf = (series: string): string => `Kayobe and Kolla Ansible of ${series}`;
const novaOf = (series: string): string => `Nova and Neutron of ${series}`;

const others = Object.keys(ansibleReleases.others);
/** The titles of some of them, by the Pythons that they run on. */
const titles = (is: (pythons: { oldest?: number; newest?: number }) => boolean): string[] =>
  others.filter((release) => is(ansibleReleases.others[release]!)).map((release) => `ansible-core ${release}`);

describe("a Python environment is made", () => {
  /** Stand-ins of a machine's Python, of that in an environment with its pip, and of uv. Each notes what it does. */
  const standIns = (folder: string): { readonly [name: string]: string } => ({
    "python3.12": `#!/bin/sh
if [ "$1" = -c ]; then echo ${folder}/python3.12; echo 3.12.1; exit; fi
echo "venv" >> ${folder}/calls
mkdir -p "$4/bin" && cp ${folder}/inside "$4/bin/python"
`,
    inside: `#!/bin/sh
for last; do :; done
[ "$3" = config ] && exit 0
echo "pip $3 $(basename "$last" | grep txt)" >> ${folder}/calls
case "$last" in
  *requirements-uv.txt)
    [ -e ${folder}/no-wheel ] && { echo "no wheel"; exit 1; }
    cp ${folder}/uv "$(dirname "$0")/uv" ;;
  *) [ -e ${folder}/no-route ] && [ "$3" = install ] && { echo "no route"; exit 1; } ;;
esac
exit 0
`,
    uv: `#!/bin/sh
for last; do :; done
if [ "$1" = venv ]; then
  echo "uv venv" >> ${folder}/calls
  mkdir -p "$last/bin" && cp ${folder}/inside "$last/bin/python"
  exit 0
fi
echo "uv $2 $(basename "$last" | grep txt)" >> ${folder}/calls
[ -e ${folder}/uv-fails ] && { echo "first"; echo "uv has no route"; exit 2; }
exit 0
`,
  });

  interface SetUp {
    readonly faults: readonly string[];
    /** What the stand-ins did. */
    readonly calls: readonly string[];
    readonly output: string;
  }

  /**
   * Set up a repository whose programs need one package each.
   *
   * @param signs names of files by which the stand-ins fail
   * @param times how often
   */
  async function setUp(signs: readonly string[], times = 1): Promise<SetUp> {
    const folder = temporary();
    const path = join(folder, "root");
    put(folder, { ...standIns(folder), calls: "", ...Object.fromEntries(signs.map((sign) => [sign, ""])) });
    put(path, {
      "requirements.txt": "a==1\n",
      "generator/workshop/requirements-uv.txt": "uv==1\n",
      [`test/openstack/requirements-kayobe-${newest}.txt`]: "b==1\n",
      [`test/openstack/requirements-nova-${newest}.txt`]: "c==1\n",
      "generator/release/requirements-importer.txt": "d==1\n",
    });
    for (const name of ["python3.12", "inside", "uv"]) chmodSync(join(folder, name), 0o755);
    const module = JSON.stringify(join(root, "build/generator/workshop/setup.js"));
    put(folder, {
      "main.mjs": `import { missingPrograms, setup } from ${module};
const want = { machines: false, series: ["${newest}"] };
const faults = [];
for (let time = 0; time < ${times}; time++) faults.push(...(await setup(${JSON.stringify(path)}, want)));
console.log(JSON.stringify({ faults, missing: await missingPrograms(${JSON.stringify(path)}, want) }));
`,
    });
    const env = { PATH: `${folder}:/usr/bin:/bin`, SRIOV_ROLE_CACHE: join(folder, "cache") };
    const { output, stdout } = await run({ file: process.execPath, args: [join(folder, "main.mjs")], env });
    const { faults, missing } = JSON.parse(stdout.split("\n").at(-1)!) as { faults: string[]; missing: string[] };
    strictEqual(missing.length > 0, faults.length > 0, output);
    const calls = readFileSync(join(folder, "calls"), "utf8")
      .trim()
      .split("\n")
      .map((line) => line.trim());
    return { faults, output, calls };
  }

  const files = [
    "requirements.txt",
    `requirements-kayobe-${newest}.txt`,
    `requirements-nova-${newest}.txt`,
    "requirements-importer.txt",
  ];
  const gettingUv = ["venv", "pip install requirements-uv.txt", "pip check"];
  const byUv = files.flatMap((file) => ["uv venv", `uv install ${file}`, "uv check"]);
  const byPip = (file: string): string[] => ["venv", `pip install ${file}`, "pip check"];

  it("by uv, which pip installs once", async () => {
    const { faults, calls } = await setUp([], 2);
    deepStrictEqual([faults, calls], [[], [...gettingUv, ...byUv]]);
  });

  it("by pip where uv cannot be installed, which is tried once and said", async () => {
    const { faults, calls, output } = await setUp(["no-wheel"]);
    deepStrictEqual([faults, calls], [[], [...gettingUv.slice(0, 2), ...files.flatMap(byPip)]]);
    match(output, /pip takes the place of uv, and takes longer: no wheel$/m);
  });

  it("by pip where uv fails, which is said", async () => {
    const { faults, calls, output } = await setUp(["uv-fails"]);
    const both = files.flatMap((file) => ["uv venv", `uv install ${file}`, ...byPip(file)]);
    deepStrictEqual([faults, calls], [[], [...gettingUv, ...both]]);
    match(output, /pip takes the place of uv, and takes longer: uv has no route$/m);
  });

  it("not at all where both fail, with pip's words", async () => {
    const { faults } = await setUp(["uv-fails", "no-route"]);
    strictEqual(faults.length, 4);
    for (const fault of faults) match(fault, /-m pip install .* ended with 1:\nno route$/);
  });
});

describe("what no clone uses in the cache", () => {
  const [tools, old, half] = ["venv-000000000001", "venv-000000000002", "venv-000000000003"];
  const [python, oldPython] = ["python3.13-00000000000a", "python3.13-00000000000b"];
  const now = Date.now();
  const daysAgo = (days: number): Date => new Date(now - days * 24 * 3600 * 1000);

  /** A cache with environments in use and not, each with its Python. */
  async function withCache<T>(work: (cache: string) => Promise<T>): Promise<T> {
    const cache = temporary();
    const home = (name: string): string => `home = ${join(cache, name)}/usr/bin\n`;
    put(cache, {
      [`${tools}/.complete`]: "",
      [`${tools}/bin/python`]: "",
      [`${tools}/pyvenv.cfg`]: home(python),
      [`${old}/.complete`]: "",
      [`${old}/pyvenv.cfg`]: home(oldPython),
      [`${old}/large`]: "x".repeat(1_000_000),
      [`${half}/pyvenv.cfg`]: home(python),
      [`${python}/usr/bin/python3.13`]: "",
      [`${oldPython}/usr/bin/python3.13`]: "",
      "uv/archive": "x",
      "venv-000000000004.lock": "",
      "images/debian13": "",
    });
    linkSync(join(cache, "uv/archive"), join(cache, tools, "linked"));
    for (const path of [`${old}/.complete`, half, python, oldPython, "images"])
      utimesSync(join(cache, path), daysAgo(31), daysAgo(31));
    utimesSync(join(cache, tools, ".complete"), daysAgo(29), daysAgo(29));
    const before = process.env["SRIOV_ROLE_CACHE"];
    process.env["SRIOV_ROLE_CACHE"] = cache;
    try {
      return await work(cache);
    } finally {
      if (before === undefined) delete process.env["SRIOV_ROLE_CACHE"];
      else process.env["SRIOV_ROLE_CACHE"] = before;
    }
  }
  const removed = [old, half, oldPython];

  it("are environments without use for 30 days, and Pythons that only those run on", async () =>
    await withCache(async (cache) =>
      deepStrictEqual(
        unusedFolders(now),
        removed.map((name) => join(cache, name)),
      ),
    ));

  it("is known with its size, without what has a link elsewhere", async () =>
    await withCache(async (cache) => {
      const { folders, bytes } = removable();
      deepStrictEqual(
        folders,
        [...removed, "uv"].map((name) => join(cache, name)),
      );
      ok(bytes >= 1_000_000 && bytes < 1_100_000, String(bytes));
    }));

  it("is removed, and nothing else", async () =>
    await withCache(async (cache) => {
      await removeUnused();
      deepStrictEqual(readdirSync(cache).sort(), ["images", python, tools, "venv-000000000004.lock"].sort());
      deepStrictEqual(await removeUnused(), { folders: [], bytes: 0 });
    }));

  it("is not removed while an environment is made", async () =>
    await withCache(async (cache) => {
      let removed = false;
      let removing: Promise<unknown> | undefined;
      await locked("venv", async () => {
        removing = removeUnused().then(() => (removed = true));
        await new Promise((resolve) => setTimeout(resolve, 50));
        deepStrictEqual([removed, readdirSync(cache).includes(old)], [false, true]);
      });
      await removing;
      strictEqual(readdirSync(cache).includes(old), false);
    }));

  it("is not an environment that was used meanwhile", async () =>
    await withCache(async (cache) => {
      noteUse({ folder: join(cache, old), bin: "", ready: true });
      deepStrictEqual(unusedFolders(now), [join(cache, half)]);
      // Not at each use: one time a day is enough.
      const { mtimeMs } = statSync(join(cache, old, ".complete"));
      noteUse({ folder: join(cache, old), bin: "", ready: true });
      strictEqual(statSync(join(cache, old, ".complete")).mtimeMs, mtimeMs);
    }));
});

describe(uvVariables.name, () => {
  const standard = { UV_SYSTEM_CERTS: "true", UV_PYTHON_DOWNLOADS: "never" };
  const cases: [title: string, listed: string, own: NodeJS.ProcessEnv, want: unknown][] = [
    ["has nothing of a pip that is not configured", "", {}, standard],
    [
      "has the mirror and the certificate",
      "global.index-url='https://m/simple'\nglobal.cert='/c.pem'\n",
      {},
      { ...standard, UV_DEFAULT_INDEX: "https://m/simple", SSL_CERT_FILE: "/c.pem" },
    ],
    [
      "takes the environment before the file",
      ":env:.index-url='https://e'\ninstall.index-url='https://i'\nglobal.index-url='https://g'\n",
      {},
      { ...standard, UV_DEFAULT_INDEX: "https://e" },
    ],
    [
      "has several values as uv wants them",
      ":env:.find-links='/a /b'\nglobal.extra-index-url='\\nhttps://a\\nhttps://b'\n",
      {},
      {
        ...standard,
        UV_FIND_LINKS: "/a,/b",
        UV_INDEX: "https://a https://b",
        UV_INDEX_STRATEGY: "unsafe-best-match",
      },
    ],
    [
      "leaves what is said to uv itself",
      "global.index-url='https://m'\nglobal.timeout='9'\n",
      { UV_DEFAULT_INDEX: "https://own" },
      standard,
    ],
    ["is none where pip goes a way that uv cannot", "global.no-index='true'\n", {}, undefined],
  ];
  for (const [title, listed, own, want] of cases) it(title, () => deepStrictEqual(uvVariables(listed, own), want));
});

describe("the programs that are tested with", () => {
  it("that are not installed are reported, by a command that runs them with what installs them", async () => {
    const notInstalled = (titles: readonly string[]): string[] => titles.map((title) => `${title}: not installed`);
    const short = { machines: false, series: usualSeries(true) };
    deepStrictEqual(
      await withPythons([12], () => missingPrograms(root, short)),
      notInstalled([kayobeOf(newest), novaOf(newest), "galaxy-importer"]),
    );
    const all = await withPythons([12], () => missingPrograms(root, { machines: true, series: usualSeries(false) }));
    deepStrictEqual(
      all,
      notInstalled([
        ...[newest, inPart, scenario].map(kayobeOf),
        ...[newest, inPart].map(novaOf),
        "galaxy-importer",
        ...titles(() => true),
      ]),
    );
    await withPythons([12], () =>
      rejects(
        programFolders(root, short),
        new RegExp(`^Error: ${kayobeOf(newest)}: not installed\\. Run: npm run setup$`),
      ),
    );
  });

  it("of OpenStack are those of one series", () => {
    const folders = {
      SRIOV_ROLE_KAYOBE_2025_2_BIN: "/k",
      SRIOV_ROLE_NOVA_2025_2_BIN: "/n",
      SRIOV_ROLE_NOVA_2026_1_BIN: "/m",
    };
    deepStrictEqual(seriesEnvironment(folders, "2025.2"), {
      SRIOV_ROLE_SERIES: "2025.2",
      SRIOV_ROLE_KAYOBE_BIN: "/k",
      SRIOV_ROLE_NOVA_BIN: "/n",
    });
  });

  const everything = { machines: true, series: allSeries };
  const isLimited = (series: string, minor: number): boolean => {
    const { oldest = 11, newest: last = Infinity } = openStackSeries.pythons[series]!;
    return minor < oldest || minor > last;
  };
  const lacking = (range: string, title: string, made: string): string =>
    `no Python ${range} with venv and ensurepip was found, and other versions do not work for ${title}. This makes one from Debian's packages:\n    python3 molecule/rig/python_tree.py ensure ${made}`;

  it("need a Python that is not too new, which can be made", async () => {
    const sentences = await withPythons([13], () => missingPrograms(root, everything));
    deepStrictEqual(
      sentences.filter((sentence) => sentence.startsWith("no Python")),
      [
        ...[kayobeOf, novaOf].flatMap((title) => allSeries.filter((series) => isLimited(series, 13)).map(title)),
        ...titles(({ newest: last = 13 }) => last < 13),
      ].map((title) => lacking("from 3.11 to 3.12", title, "3.11")),
    );
  });

  it("need a Python that is not too old, which can be made", async () => {
    const sentences = await withPythons([11], () => missingPrograms(root, everything));
    deepStrictEqual(
      sentences.filter((sentence) => sentence.startsWith("no Python")),
      [
        ...[kayobeOf, novaOf].flatMap((title) =>
          allSeries
            .filter((series) => isLimited(series, 11))
            .map((series) => lacking("from 3.12 to 3.13", title(series), "3.13")),
        ),
        ...titles(({ oldest = 11 }) => oldest > 11).map((title) => lacking("3.12 or newer", title, "3.13")),
      ],
    );
  });

  const pinned: [path: string, fewest: number][] = [
    ["generator/workshop/requirements-uv.txt", 1],
    ["generator/release/requirements-importer.txt", 40],
    ["requirements.txt", 40],
    ...allSeries.flatMap((series): [string, number][] =>
      ["kayobe", "nova"].map((kind) => [`test/openstack/requirements-${kind}-${series}.txt`, 40]),
    ),
    ...others.map((release): [string, number] => [`molecule/versions/ansible-core-${release}.txt`, 9]),
  ];
  for (const [path, fewest] of pinned)
    it(`are pinned (${path})`, () => {
      const lines = readFileSync(join(root, path), "utf8")
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"));
      deepStrictEqual(
        lines.filter((line) => !/^[\w.-]+==[\w.]+$/.test(line)),
        [],
      );
      strictEqual(lines.length >= fewest, true);
      // pbr wants it, and only the environments of a Python up to 3.11 bring it along.
      const has = (name: string): boolean => lines.some((line) => line.startsWith(`${name}==`));
      strictEqual(has("setuptools") || !has("pbr"), true, "pbr without setuptools");
    });

  for (const release of others)
    it(`are ansible-core ${release} where that is said`, () =>
      match(
        readFileSync(join(root, `molecule/versions/ansible-core-${release}.txt`), "utf8"),
        new RegExp(`^ansible-core==${release.replace(".", "\\.")}\\.\\d+$`, "m"),
      ));

  describe("of each series", () => {
    const page = readFileSync(join(root, "docs/testing.md"), "utf8");
    const pin = (kind: string, series: string, name: string): string =>
      new RegExp(`^${name}==(\\d+\\.\\d+)\\.`, "m").exec(
        readFileSync(join(root, `test/openstack/requirements-${kind}-${series}.txt`), "utf8"),
      )?.[1] ?? "";
    /** The cells of a series in the table, without the first. */
    const row = (series: string): string[] =>
      new RegExp(`^\\| ${series} \\(\\w+\\) \\| (.*) \\|$`, "m").exec(page)?.[1]?.split(" | ") ?? [];
    it("are named in its file, and all files are of a series", () => {
      for (const one of [newest, inPart, scenario]) ok(allSeries.includes(one), one);
      deepStrictEqual(
        readdirSync(join(root, "test/openstack")).filter((name) => name.startsWith("requirements-")),
        ["kayobe", "nova"].flatMap((kind) => allSeries.map((series) => `requirements-${kind}-${series}.txt`)),
      );
    });
    for (const series of allSeries)
      it(`are in the table of docs/testing.md as they are pinned: ${series}`, () => {
        deepStrictEqual(row(series).slice(0, 5), [
          ...["kayobe", "kolla-ansible", "ansible-core"].map((name) => pin("kayobe", series, name)),
          ...["nova", "neutron"].map((name) => pin("nova", series, name)),
        ]);
      });
    it("are in that table with what npm test runs of each", () => {
      const known: [series: string, begins: string][] = [
        [newest, "all of `test/openstack`"],
        [inPart, "one of three variants"],
        [scenario, "the scenario `kayobe`"],
      ];
      for (const series of allSeries) {
        const begins = known.find(([name]) => name === series)?.[1] ?? "nothing";
        strictEqual(row(series)[5]?.slice(0, begins.length), begins);
      }
    });
    it("have all passed since the newest entry of the changelog, as that table says", () => {
      const changelog = readFileSync(join(root, "role-template/CHANGELOG.md"), "utf8");
      const [, released = ""] = /^## \S+ - (\d{4}-\d\d-\d\d)$/m.exec(changelog) ?? [];
      for (const series of allSeries) {
        const passed = row(series)[6] ?? "";
        match(passed, /^\d{4}-\d\d-\d\d$/);
        ok(
          passed >= released,
          `${series}: ${passed}, and the changelog has ${released}: npm test -- --series ${series}`,
        );
      }
    });
  });

  it("are the same ansible-core and ansible-lint in galaxy-importer's environment as in that of the tools", () => {
    const pin = (path: string, name: string): string | undefined =>
      new RegExp(`^${name}==.*$`, "m").exec(readFileSync(join(root, path), "utf8"))?.[0];
    for (const name of ["ansible-core", "ansible-lint"]) {
      ok(pin("requirements.txt", name));
      strictEqual(pin("generator/release/requirements-importer.txt", name), pin("requirements.txt", name));
    }
  });
});
