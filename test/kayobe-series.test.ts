import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { chmodSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { configuredSeries, deployLines, seriesOfKayobe, untested } from "../generator/kayobe/series.js";
import type { Series } from "../generator/kayobe/series.js";
import { openStackSeries } from "../generator/workshop/setup.js";
import { config } from "./configuration.js";
import { cliWith, put, repository, root, temporary } from "./support.js";

const example = (release: string): string =>
  `---\n# Name of the current OpenStack release. Default is "${release}".\n#openstack_release:\n`;

describe(configuredSeries.name, () => {
  const cases: [title: string, files: { readonly [path: string]: string }, want: string | undefined][] = [
    [
      "is the value of openstack_release",
      { "openstack.yml": '---\nopenstack_release: "2026.2"\n' },
      "2026.2, openstack.yml:2: openstack_release is 2026.2",
    ],
    [
      "is it without quotes, in any file of variables",
      { "globals.yml": "a: 1\nopenstack_release: 2025.1\n", "openstack.yml": example("2026.1") },
      "2025.1, globals.yml:2: openstack_release is 2025.1",
    ],
    ["is a name", { "openstack.yml": "openstack_release: zed\n" }, "zed, openstack.yml:1: openstack_release is zed"],
    [
      "is master",
      { "openstack.yml": "openstack_release: master\n" },
      "master, openstack.yml:1: openstack_release is master",
    ],
    [
      "is the default that Kayobe's example names",
      { "openstack.yml": example("2026.1") },
      "2026.1, openstack.yml:2: the default of openstack_release is 2026.1",
    ],
    [
      "is that of an example with other ends of line",
      { "openstack.yml": example("2026.1").replaceAll("\n", "\r\n") },
      "2026.1, openstack.yml:2: the default of openstack_release is 2026.1",
    ],
    [
      "is not known of an expression",
      { "openstack.yml": `${example("2026.1")}openstack_release: "{{ ours }}"\n` },
      undefined,
    ],
    ["is not known of a value that is not a release", { "openstack.yml": 'openstack_release: "2026"\n' }, undefined],
    ["is not known of nothing", { "openstack.yml": "openstack_release:\n" }, undefined],
    ["is not known without the file", { "kolla.yml": "a: 1\n" }, undefined],
  ];
  for (const [title, files, want] of cases)
    it(title, () => {
      const found = configuredSeries(config(files));
      strictEqual(found && `${found.name}, ${found.source}`, want);
    });

  it("is that of the environment, with it only", () => {
    const files = config({
      "openstack.yml": "openstack_release: 2025.1\n",
      "environments/new/openstack.yml": "openstack_release: 2026.2\n",
    });
    strictEqual(configuredSeries(files)?.name, "2025.1");
    deepStrictEqual(configuredSeries(files, "new"), {
      name: "2026.2",
      source: "environments/new/openstack.yml:1: openstack_release is 2026.2",
    });
    strictEqual(configuredSeries(files, "no-such"), undefined);
  });
});

describe(seriesOfKayobe.name, () => {
  const cases: [output: string, want: string | undefined][] = [
    ["kayobe 14.0.0", "2023.1"],
    ["kayobe 18.6.0", "2025.1"],
    ["kayobe 19.3.0", "2025.2"],
    ["kayobe 20.2.1.dev7", "2026.1"],
    ["kayobe 21.0.0", "2026.2"],
    ["kayobe 22.0.0\n", "2027.1"],
    ["kayobe 13.2.0", "older than 2023.1"],
    // A source without tags.
    ["kayobe 0.0.1.dev3", undefined],
    ["usage: kayobe", undefined],
    ["", undefined],
  ];
  for (const [output, want] of cases)
    it(`${JSON.stringify(output)} is ${want}`, () => strictEqual(seriesOfKayobe(output)?.name, want));
  it("names the version", () =>
    strictEqual(seriesOfKayobe("kayobe 21.0.0")?.source, "Kayobe 21.0.0 is installed, for OpenStack 2026.2"));
});

const series = (name: string): Series => ({ name, source: "SOURCE" });

describe(deployLines.name, () => {
  const cases: [name: string, option: string][] = [
    ["zed", "-kt"],
    ["older than 2023.1", "-kt"],
    ["2025.1", "-kt"],
    ["2025.2", "-kt"],
    ["2026.1", "-t"],
    ["2026.2", "-t"],
    ["2027.1", "-t"],
    ["master", "-t"],
  ];
  for (const [name, option] of cases)
    it(`of ${name} has ${option}`, () =>
      deepStrictEqual(deployLines(series(name), " --environment a"), [
        `    kayobe overcloud service deploy ${option} nova,neutron --environment a`,
        "The last one is for this series (SOURCE).",
      ]));
  it("of an unknown series has both, first the one that cannot deploy old files", () =>
    deepStrictEqual(deployLines(undefined, ""), [
      "    kayobe overcloud service deploy -kt nova,neutron",
      "With Kayobe 2026.1 and later the last one is: kayobe overcloud service deploy -t nova,neutron",
    ]));
});

describe(untested.name, () => {
  const tested = ["2025.2", "2025.1", "2026.2"];
  const cases: [name: string, isSaid: boolean][] = [
    ["zed", true],
    ["older than 2023.1", true],
    ["2024.2", true],
    ["2025.1", false],
    ["2026.1", false],
    ["2026.2", false],
    ["2027.1", true],
    ["master", false],
  ];
  for (const [name, isSaid] of cases)
    it(`${isSaid ? "names" : "does not name"} ${name}`, () =>
      deepStrictEqual(
        untested(series(name), tested),
        isSaid
          ? [
              "SOURCE, and this merge is tested with 2025.1 to 2026.2. Before you deploy, check what Kolla Ansible writes for Nova and Neutron: " +
                "kayobe overcloud service configuration generate --node-config-dir /tmp/kolla",
            ]
          : [],
      ));
  it("does not name an unknown series", () => deepStrictEqual(untested(undefined, tested), []));
});

describe("the command kayobe", () => {
  /** What it prints for a configuration, with a Kayobe on the PATH or without one. */
  async function printed(openstack: string, kayobe: string | undefined, ...options: string[]): Promise<string> {
    return await printedIn(repository(), openstack, kayobe, ...options);
  }
  async function printedIn(
    folder: string,
    openstack: string,
    kayobe: string | undefined,
    ...options: string[]
  ): Promise<string> {
    put(folder, {
      "config/kolla.yml": "---\n",
      "config/inventory/groups": "[compute]\n",
      "config/openstack.yml": openstack,
    });
    const path = temporary();
    if (kayobe !== undefined) {
      put(path, { kayobe: `#!/bin/sh\n${kayobe}\n` });
      chmodSync(join(path, "kayobe"), 0o755);
    }
    const { output } = await cliWith(folder, { PATH: path }, "kayobe", "--config-path", "config", ...options);
    return output;
  }
  const lastLines = (output: string): string[] => output.split("\n").slice(-2);

  it("prints the command for the Kayobe that is installed, before that of the configuration", async () => {
    const output = await printed("openstack_release: 2026.1\n", "echo kayobe 18.6.0");
    deepStrictEqual(lastLines(output), [
      "    kayobe overcloud service deploy -kt nova,neutron",
      "The last one is for this series (Kayobe 18.6.0 is installed, for OpenStack 2025.1).",
    ]);
  });
  it("prints the command for the configuration, without a Kayobe or with one of no series", async () => {
    for (const kayobe of [undefined, "exit 1", "echo kayobe 0.0.1.dev1"])
      deepStrictEqual(lastLines(await printed("openstack_release: 2026.2\n", kayobe)), [
        "    kayobe overcloud service deploy -t nova,neutron",
        "The last one is for this series (openstack.yml:1: openstack_release is 2026.2).",
      ]);
  });
  it("prints both commands where neither is known", async () =>
    deepStrictEqual(lastLines(await printed("a: 1\n", undefined)), deployLines(undefined, "")));

  const range = "and this merge is tested with 2025\\.1 to 2026\\.2\\.";
  it("notes a configuration that is older than what is tested, also with --check", async () => {
    const old = new RegExp(`^Note: openstack\\.yml:1: openstack_release is 2024\\.1, ${range}`, "m");
    match(await printed("openstack_release: 2024.1\n", "echo kayobe 18.6.0", "--check"), old);
    match(await printed("openstack_release: 2024.1\n", undefined), old);
  });
  it("notes one that is newer", async () =>
    match(
      await printed("openstack_release: 2027.1\n", undefined),
      new RegExp(`^Note: openstack\\.yml:1: openstack_release is 2027\\.1, ${range}`, "m"),
    ));
  it("notes it where there is nothing to do, too", async () => {
    const folder = repository();
    const old = "openstack_release: zed\n";
    await printedIn(folder, old, undefined);
    const { output } = await cliWith(folder, { PATH: temporary() }, "kayobe", "--config-path", "config");
    match(output, new RegExp(`^Note: openstack\\.yml:1: openstack_release is zed, ${range}`, "m"));
    match(output, /^Nothing to do: config is up to date\.$/m);
  });
  it("notes an environment's own release only with that environment", async () => {
    const folder = repository();
    put(folder, { "config/environments/old/openstack.yml": "openstack_release: 2024.1\n" });
    const note = new RegExp(`^Note: environments/old/openstack\\.yml:1: openstack_release is 2024\\.1, ${range}`, "m");
    const current = "openstack_release: 2026.1\n";
    match(await printedIn(folder, current, undefined, "--environment", "old"), note);
    doesNotMatch(await printedIn(folder, current, undefined, "--check"), /this merge is tested with/);
  });
  it("notes an installed Kayobe that is older, where the configuration has no release", async () =>
    match(
      await printed("a: 1\n", "echo kayobe 16.0.0"),
      new RegExp(`^Note: Kayobe 16\\.0\\.0 is installed, for OpenStack 2024\\.1, ${range}`, "m"),
    ));
});

describe("the pages", () => {
  const text = (path: string): string => readFileSync(join(root, path), "utf8").replace(/\s+/g, " ");
  const all = Object.keys(openStackSeries.pythons).sort();
  const range = `${all[0]} to ${all.at(-1)}`;
  for (const [page, sentence] of [
    ["docs/kayobe.md", `The merge is tested with OpenStack ${range}.`],
    ["README.md", `| Kayobe | ${range} |`],
  ] as const)
    it(`name the series that are tested: ${page}`, () => strictEqual(text(page).includes(sentence), true));
  it("say in README.md what npm test runs with which series", () => {
    const { newest, in_part: inPart, scenario } = openStackSeries;
    const said = `| ${newest} with its Kolla Ansible, Nova and Neutron, a part with ${inPart}, and ${scenario} on a virtual machine.`;
    ok(text("README.md").includes(said));
  });
});
