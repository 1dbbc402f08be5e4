import { deepStrictEqual, doesNotMatch, match, ok, strictEqual, throws } from "node:assert/strict";
import { readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { planArtefacts, readSources } from "../generator/artefacts/sources.js";
import { readTree } from "../generator/system/disk.js";
import { apply } from "../generator/system/owned.js";
import { layouts, success } from "../generator/ir.js";
import type { Result } from "../generator/ir.js";
import { inconsistencies, newestFirst } from "../generator/release/consistency.js";
import type { Statements } from "../generator/release/consistency.js";
import {
  buildCollection,
  buildTime,
  disagreements,
  fingerprint,
  release,
  writeRelease,
} from "../generator/release/build.js";
import { judgeImporter, judgeSanity } from "../generator/release/checks.js";
import {
  access,
  afterFailure,
  redact,
  importCommand,
  publishCommand,
  serverRefusals,
  sourceInWords,
} from "../generator/release/publish.js";
import type { Answer } from "../generator/release/publish.js";
import { programEnvironment, takeSecrets } from "../generator/release/environment.js";
import { absolute, hasCredentials, isOfRole, ownerAndName, parseRemote } from "../generator/release/repository.js";
import { inOrder, readTarball, tarballFaults, writeTarball } from "../generator/release/tarball.js";
import type { Member } from "../generator/release/tarball.js";
import { pythonTools } from "../generator/workshop/setup.js";
import { run } from "../generator/system/process.js";
import { identity, put, root, temporary, whyNot } from "./support.js";

const member = (path: string, text: string, executable = false): Member => ({
  path,
  folder: false,
  executable,
  content: Buffer.from(text),
});
const folder = (path: string): Member => ({ path, folder: true, executable: true, content: Buffer.alloc(0) });

describe("a tarball", () => {
  const long = `${"a".repeat(60)}/${"b".repeat(90)}.yml`;
  const members = [
    member("z.yml", "z"),
    folder("tasks"),
    member("tasks/main.yml", "- a: 1\n"),
    member(long, "long"),
    member("run", "x", true),
  ];

  it("has the same bytes with its members in any order", () =>
    deepStrictEqual(writeTarball([...members].reverse(), 1e9), writeTarball(members, 1e9)));
  it("has other bytes at another time", () => ok(!writeTarball(members, 1e9).equals(writeTarball(members, 1e9 + 1))));
  it("is read as it was written", () =>
    deepStrictEqual(
      readTarball(writeTarball(members, 1e9)),
      [...members].sort((a, b) => (a.path < b.path ? -1 : 1)),
    ));
  it("has neither name nor time in gzip's header", () =>
    strictEqual(
      writeTarball(members, 1e9)
        .subarray(0, 10)
        .toString("hex")
        .replace(/^(.{16})../, "$1--"),
      "1f8b080000000000--ff",
    ));
  it("is what tar reads, with owner, mode and time", async () => {
    const path = join(temporary(), "a.tar");
    writeFileSync(path, gunzipSync(writeTarball(members, 1e9)));
    const { stdout } = await run({
      file: "tar",
      args: ["--list", "--verbose", "--numeric-owner", "--utc", "--full-time", "--file", path],
    });
    deepStrictEqual(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.replace(/ +/g, " ")),
      [
        `-rw-r--r-- 0/0 4 2001-09-09 01:46:40 ${long}`,
        "-rwxr-xr-x 0/0 1 2001-09-09 01:46:40 run",
        "drwxr-xr-x 0/0 0 2001-09-09 01:46:40 tasks/",
        "-rw-r--r-- 0/0 7 2001-09-09 01:46:40 tasks/main.yml",
        "-rw-r--r-- 0/0 1 2001-09-09 01:46:40 z.yml",
      ],
    );
  });
  it("takes no path that is too long", () =>
    throws(() => writeTarball([member("a".repeat(101), "")], 0), /is too long for a tarball$/));
});

describe("a build of the collection", () => {
  const sources = readSources(root);
  const { namespace, name: collection } = sources.role.identity;
  const published = `${namespace}.${collection}`;
  const made = release(sources);
  const built = async (seconds: number): Promise<Buffer> =>
    await buildCollection({ bin: await pythonTools(root), cache: temporary(), temporary: temporary() }, made, seconds);
  let first: Buffer;
  before(async () => {
    first = await built(1_700_000_000);
  });

  it("has the same bytes a second later, in another folder, with another umask", async () => {
    const before = process.umask(0o077);
    try {
      await new Promise((resolve) => setTimeout(resolve, 1100));
      deepStrictEqual(await built(1_700_000_000), first);
    } finally {
      process.umask(before);
    }
  });

  it("has what was generated, and its own two lists, which are right", () => {
    const members = readTarball(first);
    deepStrictEqual(tarballFaults(members, made.collection), []);
    deepStrictEqual(
      members
        .filter(({ folder: is }) => !is)
        .map(({ path }) => path)
        .sort(),
      [
        ...made.collection.map(({ path }) => path).filter((path) => path !== "galaxy.yml"),
        "FILES.json",
        "MANIFEST.json",
      ].sort(),
    );
  });

  const withMember = (path: string, change: (member: Member) => Member | undefined): Member[] =>
    readTarball(first).flatMap((one) => (one.path === path ? (change(one) ?? []) : one));
  const cases: [title: string, members: () => Member[], want: RegExp][] = [
    [
      "a file that does not belong there",
      () => [...readTarball(first), member("node_modules/x.js", "x")],
      /^node_modules\/x\.js is in the tarball and does not belong there$/,
    ],
    ["a file that is missing", () => withMember("README.md", () => undefined), /^README\.md is not in the tarball$/],
    [
      "a byte that is another",
      () => withMember("README.md", (one) => ({ ...one, content: Buffer.concat([one.content, Buffer.from(" ")]) })),
      /^README\.md in the tarball is not what was generated$/,
    ],
    [
      "a file that may be executed",
      () => withMember("README.md", (one) => ({ ...one, executable: true })),
      /^README\.md in the tarball is executable$/,
    ],
    [
      "a list that is not the one with the sum",
      () => withMember("FILES.json", (one) => ({ ...one, content: Buffer.concat([one.content, Buffer.from("\n")]) })),
      /^MANIFEST\.json has another sum of FILES\.json$/,
    ],
    ["no list at all", () => withMember("FILES.json", () => undefined), /^FILES\.json is not in the tarball$/],
  ];
  for (const [title, members, want] of cases)
    it(`is refused with ${title}`, () => match(tarballFaults(members(), made.collection)[0] ?? "", want));

  it("lists its files in one order, independent of the disk's", () => {
    const members = readTarball(first);
    const files = JSON.parse(members.find(({ path }) => path === "FILES.json")!.content.toString()) as {
      files: { name: string }[];
    };
    const shuffled = members.map((one) =>
      one.path === "FILES.json"
        ? { ...one, content: Buffer.from(JSON.stringify({ ...files, files: [...files.files].reverse() })) }
        : one,
    );
    deepStrictEqual(inOrder(shuffled), members);
  });

  it("comes with a role for Galaxy, which wants no `standalone`", () => {
    const meta = made.role.find(({ path }) => path === "meta/main.yml")?.text ?? "";
    match(meta, new RegExp(`^ {2}role_name: ${collection}$`, "m"));
    doesNotMatch(meta, /standalone/);
    deepStrictEqual(
      ["CHANGELOG.md", ".gitignore", "README.md", "tasks/main.yml"].filter(
        (path) => !made.role.some((file) => file.path === path),
      ),
      [],
    );
  });

  it("is written with the role, of which an earlier file is removed, and others stay", () => {
    const out = temporary();
    writeRelease(out, { ...made, role: [...made.role, { path: "tasks/old.yml", text: "x" }] }, first);
    put(out, { [`${published}/.git/config`]: "mine", other: "mine" });
    const { tarball, role } = writeRelease(out, made, first);
    deepStrictEqual(readFileSync(tarball), first);
    deepStrictEqual(
      ["tasks/old.yml", ".git/config", "tasks/main.yml", "../other"].map(
        (path) => statSync(join(role, path), { throwIfNoEntry: false }) !== undefined,
      ),
      [false, true, true, true],
    );
  });

  describe("in a folder where something else is", () => {
    const name = `${namespace}-${collection}-${made.identity.version}.tar.gz`;
    const later = { ...made, identity: { ...made.identity, version: "99.0.0" } };

    it("replaces what an earlier build wrote, also a tarball of another version", () => {
      const out = temporary();
      writeRelease(out, made, first);
      writeRelease(out, later, Buffer.from([0xff]));
      deepStrictEqual(readdirSync(out).sort(), [
        ".release.json",
        `${namespace}-${collection}-99.0.0.tar.gz`,
        published,
      ]);
      deepStrictEqual(readFileSync(join(out, `${namespace}-${collection}-99.0.0.tar.gz`)), Buffer.from([0xff]));
    });

    for (const path of [name, `${published}/README.md`])
      it(`overwrites no ${path} of another author`, () => {
        const out = temporary();
        put(out, { [path]: "mine" });
        throws(
          () => writeRelease(out, made, first),
          new RegExp(`/${path} was not written by a build, and would be overwritten\\.`),
        );
        strictEqual(readFileSync(join(out, path), "utf8"), "mine");
        deepStrictEqual(readdirSync(out), [path.split("/")[0]]);
      });

    for (const path of [name, published])
      it(`writes through no link ${path}`, () => {
        const [out, elsewhere] = [temporary(), temporary()];
        symlinkSync(join(elsewhere, "x"), join(out, path));
        throws(() => writeRelease(out, made, first), /is a symbolic link; nothing is read or written through it/);
        deepStrictEqual(readdirSync(elsewhere), []);
      });

    it("leaves what is generated there, and is left by it", () => {
      const out = temporary();
      const generate = (): void => {
        const { plan, owned } = planArtefacts(sources, layouts, out);
        apply(out, plan, owned);
      };
      generate();
      const generated = readTree(out).map(({ path }) => path);
      writeRelease(out, made, Buffer.from("x"));
      deepStrictEqual(
        generated.filter((path) => !readTree(out).some((file) => file.path === path)),
        [],
      );
      generate();
      ok(
        readTree(out).some(({ path }) => path === name) &&
          readTree(out).some(({ path }) => path === `${published}/README.md`),
      );
    });
  });

  it("is known again by its files and tools alone", () => {
    strictEqual(fingerprint(made, "/a"), fingerprint(release(readSources(root)), "/a"));
    ok(fingerprint(made, "/a") !== fingerprint(made, "/b"));
    ok(fingerprint(made, "/a", "/c") !== fingerprint(made, "/a", "/d"));
    ok(fingerprint(made, "/a") !== fingerprint({ ...made, role: made.role.slice(1) }, "/a"));
  });
});

describe(buildTime.name, () => {
  it("is the commit's", () => strictEqual(buildTime(5, ""), 5));
  it("is SOURCE_DATE_EPOCH, when it is there", () => strictEqual(buildTime(5, "7"), 7));
  it("is not text", () => throws(() => buildTime(5, "today"), /^Error: SOURCE_DATE_EPOCH is "today"/));
});

describe("a release agrees with itself", () => {
  it("in this repository", () => deepStrictEqual(disagreements(root, readSources(root)), []));

  const good: Statements = {
    identity: { ...identity, version: "1.2.0" },
    packageJson: '{"version": "1.2.0"}',
    packageLock: '{"version": "1.2.0", "packages": {"": {"version": "1.2.0"}}}',
    changelog: "# Changelog\n\n## 1.2.0 - 2026-01-02\n\n## 1.1.0 - 2026-01-01\n",
    runtime: 'requires_ansible: ">=2.17.0"\n',
    meta: 'galaxy_info:\n  min_ansible_version: "2.17"\n',
    pages: [{ path: "README.md", text: "It needs ansible-core 2.17 to 2.20. Kayobe has ansible-core 2.18." }],
    changelogYaml: "releases:\n  1.2.0: {}\n  1.1.0: {}\n",
    requirements: "collections:\n  - name: stackhpc.sriov\n    version: 1.2.0\n",
    proved: ["2.17", "2.19", "2.20"],
  };
  it("when everything does", () => deepStrictEqual(inconsistencies(good), []));

  const cases: [title: string, change: Partial<Statements>, want: string][] = [
    [
      "the package",
      { packageJson: '{"version": "1.2.1"}' },
      "package.json: version is 1.2.1, and galaxy.yml says version 1.2.0",
    ],
    [
      "the lock file",
      { packageLock: '{"version": "1.2.0", "packages": {"": {"version": "1.1.0"}}}' },
      "package-lock.json: version of the root package is 1.1.0, and galaxy.yml says version 1.2.0",
    ],
    [
      "the changelog",
      { changelog: "## 1.3.0 - 2026-01-02\n" },
      "role-template/CHANGELOG.md: the newest entry is 1.3.0, and galaxy.yml says version 1.2.0",
    ],
    [
      "a changelog without entry",
      { changelog: "# Changelog\n" },
      "role-template/CHANGELOG.md: the newest entry is missing, and galaxy.yml says version 1.2.0",
    ],
    [
      "the changelog's order",
      { changelog: "## 1.2.0 - 2026-01-02\n## 1.10.0 - 2026-01-01\n" },
      "role-template/CHANGELOG.md: 1.2.0 is above 1.10.0, which is not older",
    ],
    [
      "changelogs/",
      { changelogYaml: "releases:\n  1.1.0: {}\n" },
      "changelogs/changelog.yaml: the newest release is 1.1.0, and galaxy.yml says version 1.2.0",
    ],
    [
      "Kayobe's requirements",
      { requirements: "collections: [{name: stackhpc.sriov, version: 1.0.0}]\n" },
      "kayobe/ansible/requirements.yml: the version of stackhpc.sriov is 1.0.0, and galaxy.yml says version 1.2.0",
    ],
    [
      "the role's metadata",
      { meta: 'galaxy_info:\n  min_ansible_version: "2.16"\n' },
      "role-template/meta/main.yml: min_ansible_version is 2.16, and role-template/meta/runtime.yml says >=2.17.0",
    ],
    [
      "a page",
      { pages: [{ path: "docs/a.md", text: "x\n\nansible-core 2.16\nor newer" }] },
      'docs/a.md: "ansible-core 2.16 or newer", and role-template/meta/runtime.yml says >=2.17.0',
    ],
    [
      "a page's newest",
      { runtime: 'requires_ansible: ">=2.17.0,<2.20"\n' },
      'README.md: "ansible-core 2.17 to 2.20", and role-template/meta/runtime.yml says >=2.17.0,<2.20',
    ],
    [
      "a page's newest that nothing has run",
      { proved: ["2.17", "2.21"] },
      'README.md: "ansible-core 2.17 to 2.20", and the scenarios run with 2.17, 2.21',
    ],
    [
      "a README that says nothing of it",
      { pages: [{ path: "role-template/README.md.hbs", text: "It needs Ansible." }] },
      'role-template/README.md.hbs: it does not say which ansible-core is needed, as "ansible-core 2.17 to 2.20"',
    ],
    [
      "an oldest that nothing has run",
      { proved: ["2.18", "2.20"] },
      'role-template/meta/runtime.yml: requires_ansible is ">=2.17.0", and the scenarios run with 2.18, 2.20',
    ],
    [
      "no oldest version",
      { runtime: "requires_ansible: '*'\n" },
      'role-template/meta/runtime.yml: requires_ansible "*" names no oldest version (>=)',
    ],
  ];
  for (const [title, change, want] of cases)
    it(`or reports: ${title}`, () =>
      deepStrictEqual(
        inconsistencies({ ...good, ...change }).map(({ file, message }) => `${file}: ${message}`),
        [want],
      ));

  it("by the order of semantic versions", () => {
    const order = ["1.10.0", "1.2.0", "1.2.0-rc.2", "1.2.0-rc.1", "1.2.0-beta", "1.2.0-1", "0.9.9"];
    deepStrictEqual([...order].reverse().sort(newestFirst), order);
  });
});

describe(judgeImporter.name, () => {
  const said = [
    "Importing with galaxy-importer 0.4.44",
    "Loading role sriov",
    "Loading module_utils sriov.program.disk",
    "Linting collection via ansible-lint 26.10.1...",
    "...ansible-lint run complete",
    "Importer processing completed successfully",
  ];
  const result = '{"metadata": {"namespace": "stackhpc", "name": "sriov"}}';
  const cases: [title: string, got: string[], want: string[]][] = [
    ["is content", judgeImporter(0, said.join("\n"), result, identity), []],
    [
      "is content with a role",
      judgeImporter(0, said.join("\n"), '{"namespace": "stackhpc", "name": "sriov", "metadata": {}}', identity),
      [],
    ],
    [
      "takes no warning",
      judgeImporter(0, [...said, "WARNING: No changelog found."].join("\n"), result, identity),
      ["WARNING: No changelog found."],
    ],
    [
      "takes no words that it does not know",
      judgeImporter(0, [...said, "something else"].join("\n"), result, identity),
      ["something else"],
    ],
    [
      "fails as the importer does",
      judgeImporter(1, said.join("\n"), undefined, identity),
      ["galaxy-importer ended with 1"],
    ],
    [
      "wants the lint to have run",
      judgeImporter(0, said.filter((line) => !line.includes("lint")).join("\n"), result, identity).map((line) =>
        line.slice(0, 32),
      ),
      ["galaxy-importer did not report: "],
    ],
    [
      "wants the right collection",
      judgeImporter(0, said.join("\n"), '{"metadata": {"namespace": "a", "name": "b"}}', identity),
      ["galaxy-importer's result is not of stackhpc.sriov"],
    ],
  ];
  for (const [title, got, want] of cases) it(title, () => deepStrictEqual(got, want));
});

describe(judgeSanity.name, () => {
  const ran = 'Running sanity test "pep8"\nRunning sanity test "import" on Python 3.11\n';
  const known = ["pep8", "import", "shellcheck"];
  const cases: [title: string, got: string[], want: string[]][] = [
    ["is content", judgeSanity(0, ran, known, ["a.py"]), []],
    [
      "takes no skip",
      judgeSanity(0, `${ran}WARNING: Skipping sanity test "import" on Python 3.9\n`, known, []),
      ['WARNING: Skipping sanity test "import" on Python 3.9'],
    ],
    ["misses a test", judgeSanity(0, ran, [...known, "pylint"], []), ["ansible-test did not run: pylint"]],
    ["wants to know of tests", judgeSanity(0, ran, [], []), ["ansible-test lists no tests"]],
    [
      "leaves out what looks at nothing, while there is nothing",
      judgeSanity(0, ran, known, ["a.sh"]),
      ['the test "shellcheck" is left out because there is no shell script, and there is a.sh'],
    ],
    [
      "reports the errors",
      judgeSanity(1, `${ran}ERROR: a.py:1:1: E501: long\n`, known, []),
      ["ERROR: a.py:1:1: E501: long"],
    ],
    ["fails as ansible-test does", judgeSanity(1, ran, known, []), [`ansible-test ended with 1:\n${ran.trim()}`]],
  ];
  for (const [title, got, want] of cases) it(title, () => deepStrictEqual(got, want));
});

describe("a token", () => {
  const token = "s3cret/+&token";
  it("is in no command line, and in no other variable than Ansible's", () => {
    const way = access({ server: "http://127.0.0.1:1" }, { GALAXY_TOKEN: token });
    strictEqual(way.env["ANSIBLE_GALAXY_SERVER_SRIOV_ROLE_RELEASE_TOKEN"], token);
    ok("GALAXY_TOKEN" in way.env && way.env["GALAXY_TOKEN"] === undefined);
    for (const { args } of [
      publishCommand("/bin", way, "a.tar.gz"),
      importCommand("/bin", way, { owner: "a", name: "b" }, "main"),
    ])
      ok(!args.join(" ").includes(token));
  });
  it("in GALAXY_TOKEN is for galaxy.ansible.com, when no server is named", () =>
    strictEqual(
      access({}, { GALAXY_TOKEN: token }).env["ANSIBLE_GALAXY_SERVER_SRIOV_ROLE_RELEASE_URL"],
      "https://galaxy.ansible.com",
    ));
  it("in GALAXY_TOKEN is not given to a server of the configuration", () =>
    deepStrictEqual(
      [
        access({ server: "mine" }, { GALAXY_TOKEN: token }).server,
        JSON.stringify(access({ server: "mine" }, { GALAXY_TOKEN: token })).includes(token),
      ],
      ["mine", false],
    ));
  it("is taken out of a text, in every form", () => {
    const text = `a ${token} b ${encodeURIComponent(token)} c ${Buffer.from(token).toString("base64")} d`;
    strictEqual(redact(text, [token, ""]), "a *** b *** c *** d");
  });
  it("has a source in words", () =>
    deepStrictEqual(
      [sourceInWords("env: A_TOKEN"), sourceInWords("/x/galaxy_token"), sourceInWords(null)],
      [
        "with the token from the environment variable A_TOKEN",
        "with the token from /x/galaxy_token",
        "without a token",
      ],
    ));
});

describe("the environment of a release's programs", () => {
  it("has no secret, and ansible-galaxy's has those of its servers", () => {
    const env = {
      GALAXY_TOKEN: "a",
      ANSIBLE_GALAXY_SERVER_MINE_PASSWORD: "b",
      ANSIBLE_GALAXY_SERVER_MINE_CLIENT_SECRET: "c",
      ANSIBLE_GALAXY_SERVER_MINE_URL: "d",
    };
    const secrets = takeSecrets(env);
    deepStrictEqual(env, { ANSIBLE_GALAXY_SERVER_MINE_URL: "d" });
    const got = access({ server: "mine" }, secrets).env;
    deepStrictEqual(
      [
        got["GALAXY_TOKEN"],
        got["ANSIBLE_GALAXY_SERVER_MINE_PASSWORD"],
        got["ANSIBLE_GALAXY_SERVER_MINE_CLIENT_SECRET"],
      ],
      [undefined, "b", "c"],
    );
  });
  it("leads git nowhere else", async () => {
    const { stdout } = await run({ file: "git", args: ["rev-parse", "--local-env-vars"] });
    const names = stdout
      .trim()
      .split("\n")
      .filter((name) => !name.startsWith("GIT_CONFIG"));
    ok(names.includes("GIT_DIR"));
    const env = programEnvironment();
    deepStrictEqual(
      names.filter((name) => !(name in env) || env[name] !== undefined),
      [],
    );
  });
});

describe(afterFailure.name, () => {
  const cases: [title: string, got: string, want: RegExp][] = [
    [
      "not there",
      afterFailure(identity, "U", { collection: ["0.9.0"] }),
      /^The collection was not published: U does not have stackhpc\.sriov 1\.0\.0\./,
    ],
    [
      "there",
      afterFailure(identity, "U", { collection: ["1.0.0"] }),
      /^U has the collection stackhpc\.sriov 1\.0\.0 now,/,
    ],
    ["not known", afterFailure(identity, "U", undefined), /^Whether the collection was published is not known:/],
  ];
  for (const [title, got, want] of cases) it(title, () => match(got, want));
});

describe(serverRefusals.name, () => {
  const answer: Answer = {
    name: "default",
    url: "U",
    source: "s",
    secrets: [],
    apis: ["v1", "v3"],
    collection: ["0.9.0"],
    role: ["0.9.0"],
  };
  const what = { collection: true, role: true };
  const cases: [title: string, got: string[], want: string[]][] = [
    ["none", serverRefusals(identity, "stackhpc", answer, what), []],
    [
      "a version that is there",
      serverRefusals(identity, "stackhpc", { ...answer, collection: ["1.0.0"], role: ["v1.0.0"] }, what),
      [
        "U has the collection stackhpc.sriov 1.0.0 already; --role publishes the role alone.",
        "U has the role stackhpc.sriov 1.0.0 already; --collection publishes the collection alone.",
      ],
    ],
    [
      "a version that is there of the role of another owner",
      serverRefusals(identity, "else", { ...answer, role: ["1.0.0"] }, { collection: false, role: true }),
      ["U has the role else.sriov 1.0.0 already; --collection publishes the collection alone."],
    ],
    [
      "a version that is there, of what is not published",
      serverRefusals(identity, "stackhpc", { ...answer, role: ["1.0.0"] }, { collection: true, role: false }),
      [],
    ],
    [
      "an API that is not there",
      serverRefusals(identity, "stackhpc", { ...answer, apis: ["v1"] }, what),
      ["U has no API v3, by which collections are published."],
    ],
    [
      "no token",
      serverRefusals(identity, "stackhpc", { ...answer, source: null }, what),
      ["There is no token for U: set GALAXY_TOKEN, or Ansible's own configuration of the server."],
    ],
    [
      "no token for a named server",
      serverRefusals(identity, "stackhpc", { ...answer, name: "mine", source: null }, what),
      ["There is no token for U: set ANSIBLE_GALAXY_SERVER_MINE_TOKEN, or Ansible's own configuration of the server."],
    ],
  ];
  for (const [title, got, want] of cases) it(title, () => deepStrictEqual(got, want));
});

describe(isOfRole.name, () => {
  const meta = (name: string): string => `---\ngalaxy_info:\n\n  role_name: ${name}\n  min_ansible_version: 2.4\n`;
  const cases: [title: string, got: Result, want: RegExp | undefined][] = [
    ["a role of the name, also a predecessor's", isOfRole("r", ["meta/main.yml"], meta("sriov"), "sriov"), undefined],
    [
      "another role",
      isOfRole("r", ["meta/main.yml"], meta("other"), "sriov"),
      /^r is not empty, and is not the repository of a role sriov: role_name in its meta\/main\.yml is other\. All that it holds/,
    ],
    [
      "a role without a name",
      isOfRole("r", ["meta/main.yml"], "galaxy_info: {}", "sriov"),
      /role_name in its meta\/main\.yml is missing\./,
    ],
    [
      "metadata that is not YAML",
      isOfRole("r", ["meta/main.yml"], "a: [", "sriov"),
      /role_name in its meta\/main\.yml is missing\./,
    ],
    ["something else", isOfRole("r", ["a"], undefined, "sriov"), /: it has no meta\/main\.yml\./],
    [
      "this repository",
      isOfRole("r", ["galaxy.yml", "meta/main.yml"], meta("sriov"), "sriov"),
      /^r has a galaxy\.yml: /,
    ],
  ];
  for (const [title, got, want] of cases)
    it(title, () => (want ? match(whyNot(got), want) : deepStrictEqual(got, success())));
});

describe(parseRemote.name, () => {
  const hash = "0".repeat(40);
  it("takes the default branch, and the tags", () =>
    deepStrictEqual(
      parseRemote(`ref: refs/heads/a\tHEAD\n${hash}\tHEAD\n${hash}\trefs/heads/a\n${hash}\trefs/tags/1.0.0`, "r"),
      { branch: "a", tags: ["1.0.0"], empty: false },
    ));
  it("has a branch for an empty one", () =>
    deepStrictEqual(parseRemote("", "r"), { branch: "main", tags: [], empty: true }));
  it("takes a commit for no branch", () =>
    throws(
      () => parseRemote(`${hash}\tHEAD\n${hash}\trefs/heads/a`, "r"),
      /^Error: r has branches \(a\), and its HEAD names none of them\. Set its default branch\.$/,
    ));
});

describe("the address of a repository", () => {
  const cases: [address: string, want: string | undefined][] = [
    ["https://github.com/stackhpc/ansible-role-sriov.git", "stackhpc/ansible-role-sriov"],
    ["git@github.com:stackhpc/ansible-role-sriov.git", "stackhpc/ansible-role-sriov"],
    ["file:///srv/git/stackhpc/sriov/", "stackhpc/sriov"],
    ["sriov", undefined],
  ];
  for (const [address, want] of cases)
    it(address, () => {
      const found = ownerAndName(address);
      strictEqual(found && `${found.owner}/${found.name}`, want);
    });
  it("is the same in every folder", () =>
    deepStrictEqual(["https://a/b", "git@c:d/e", "file:///a", "/a:b", "../a/b"].map(absolute), [
      "https://a/b",
      "git@c:d/e",
      "file:///a",
      "/a:b",
      join(process.cwd(), "../a/b"),
    ]));
  it("has no password, nor a token in place of a user", () => {
    const [bad, good] = [
      ["https://a:b@c/d", "https://ghp_a@github.com/o/r.git", "HTTP://a@c/d", "ssh://a:b@c/d"],
      ["https://c/d@e", "git@c:d/e", "ssh://git@c/d"],
    ];
    deepStrictEqual([...bad, ...good].filter(hasCredentials), bad);
  });
});
