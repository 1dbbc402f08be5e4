import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import type { ErrorObject } from "ajv";
import { parse } from "yaml";
import { nearest } from "../generator/system/nearest.js";
import { scenarios } from "../generator/workshop/scenarios.js";
import { ansibleCores, ansibleReleases, openStackSeries } from "../generator/workshop/setup.js";
import { root } from "./support.js";

// What a scenario says in steps.yml and molecule.yml: a key that step.yml or create.yml does not know would be passed
// over without a word.

interface Schema {
  readonly properties?: { readonly [key: string]: Schema };
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly definitions?: { readonly [name: string]: Schema };
}

type Mapping = Readonly<Record<string, unknown>>;

const text = (path: string): string => readFileSync(join(root, path), "utf8");
const schemaOf = (name: string): Schema => JSON.parse(text(`molecule/shared/${name}.schema.json`)) as Schema;
const steps = schemaOf("steps");
const molecule = schemaOf("molecule");
// Strict: a keyword that is misspelt would be passed over otherwise.
const ajv = new Ajv({ strict: true, strictTuples: false, strictRequired: false, allErrors: true, verbose: true });
const validators = { steps: ajv.compile(steps), molecule: ajv.compile(molecule) };

const every = scenarios(root);
const keysOfStep = Object.keys(steps.definitions!["step"]!.properties!).sort();
const keysOfPlatform = Object.keys(molecule.properties!["platforms"]!.items!.properties!).sort();
const words = (source: string, pattern: RegExp): string[] =>
  [...new Set([...source.matchAll(pattern)].map((match) => match[1]!))].sort();

const isMapping = (value: unknown): value is Mapping =>
  value !== null && typeof value === "object" && !Array.isArray(value);
const read = (source: string): Mapping => {
  const data: unknown = parse(source, {
    version: "1.1",
    merge: true,
    customTags: [{ tag: "!unsafe", resolve: (value: string) => value }],
    logLevel: "error",
  });
  return isMapping(data) ? data : {};
};

/** A step that is a variable of the file with additional keys, as Ansible makes it: `{{ NAME | combine({...}) }}`. */
function combined(step: unknown, variables: Mapping): unknown {
  const [, name, keys] =
    (typeof step === "string" ? /^\{\{ (\w+) \| combine\((\{.*\})\) \}\}$/.exec(step) : undefined) ?? [];
  const base = name === undefined ? undefined : variables[name];
  // A dictionary of Jinja's is a mapping of YAML's.
  return isMapping(base) && keys !== undefined ? { ...base, ...read(keys) } : step;
}

function sentence({ keyword, params, message, parentSchema }: ErrorObject): string {
  if (keyword !== "additionalProperties")
    return `${message}${keyword === "enum" ? `: ${JSON.stringify((params as { allowedValues: unknown }).allowedValues)}` : ""}`;
  const key = String((params as { additionalProperty: unknown }).additionalProperty);
  return `has no key ${key}${hint(key, Object.keys((parentSchema as Schema).properties!))}`;
}

function hint(key: string, known: readonly string[]): string {
  const name = nearest(key, known);
  return name === undefined ? "" : `, ${name} is the nearest`;
}

/** What is wrong in a scenario's file, each with the step's title. */
function faults(kind: "steps" | "molecule", source: string): string[] {
  const document = read(source);
  const list = Array.isArray(document["steps"])
    ? document["steps"].map((step: unknown) => combined(step, document))
    : document["steps"];
  const judged = kind === "steps" ? { ...document, ...(list === undefined ? {} : { steps: list }) } : document;
  const judge = validators[kind];
  const found = judge(judged)
    ? []
    : judge.errors!.map((error) => {
        const [, number] = /^\/steps\/(\d+)/.exec(error.instancePath) ?? [];
        const step: unknown = number === undefined ? undefined : (list as unknown[])[Number(number)];
        const place = isMapping(step)
          ? `step "${String(step["title"])}"${error.instancePath.replace(/^\/steps\/\d+/, "").replace("/", " ")}`
          : error.instancePath;
        return `${place} ${sentence(error)}`.trim();
      });
  return kind === "steps" ? [...found, ...strayVariables(document, source)] : found;
}

/** Keys next to the steps that are neither known nor a variable that something in the file uses. */
function strayVariables(document: Mapping, source: string): string[] {
  const known = Object.keys(steps.properties!);
  const used = [...source.matchAll(/\{\{([\s\S]*?)\}\}/g)].map((match) => match[1]).join("\n");
  return Object.keys(document)
    .filter((key) => !known.includes(key) && !new RegExp(`\\b${key}\\b`).test(used))
    .map((key) => `nothing uses ${key}${hint(key, known)}`);
}

describe("the files of a scenario", () => {
  for (const name of every) {
    it(`${name}: steps.yml`, () => deepStrictEqual(faults("steps", text(`molecule/${name}/steps.yml`)), []));
    it(`${name}: molecule.yml`, () => deepStrictEqual(faults("molecule", text(`molecule/${name}/molecule.yml`)), []));
    it(`${name}: what its steps name is there`, () => {
      const document = read(text(`molecule/${name}/steps.yml`));
      const all = (document["steps"] as unknown[]).map((step) => combined(step, document)) as {
        put?: { [path: string]: string };
        play?: string;
      }[];
      const put = all.flatMap((step) => Object.values(step.put ?? {}).map((path) => `molecule/${path}`));
      const plays = all.flatMap(({ play }) =>
        play === undefined ? [] : [play.includes("/") ? `molecule/${name}/${play}` : `molecule/shared/plays/${play}`],
      );
      deepStrictEqual(
        [...put, ...plays].filter((path) => !existsSync(join(root, path))),
        [],
      );
    });
  }

  const wrong: [title: string, kind: "steps" | "molecule", source: string, want: string[]][] = [
    [
      "a key of a step that is misspelt",
      "steps",
      "steps:\n  - title: a\n    vf: {}\n",
      ['step "a" has no key vf, vfs is the nearest'],
    ],
    [
      "one in a step made from a variable",
      "steps",
      "again: {play: a.yml, untouchd: true}\nsteps:\n  - \"{{ again | combine({'title': 'a, b', 'ansible': '2.17'}) }}\"\n",
      ['step "a, b" has no key untouchd, untouched is the nearest'],
    ],
    ["a step made in another way", "steps", 'again: {}\nsteps:\n  - "{{ again }}"\n', ["/steps/0 must be object"]],
    ["a number that is text", "steps", 'steps:\n  - {title: a, reboots: "1"}\n', ['step "a" reboots must be integer']],
    [
      "a release that YAML takes for a number",
      "steps",
      "ansible_core: 2.20\nsteps:\n  - {title: a, before: b}\n",
      ['/ansible_core must be equal to one of the allowed values: ["2.17","2.18","2.19","2.20","2.21"]'],
    ],
    [
      "a list of one text that is none",
      "steps",
      "steps:\n  - {title: a, play: a.yml, says: b}\n",
      ['step "a" says must be array'],
    ],
    [
      "what is said where nothing is run",
      "steps",
      'steps:\n  - {title: a, vfs: {"0000:01:00.0": 1}, never_says: [b]}\n',
      [
        "step \"a\" must have required property 'play'",
        "step \"a\" must have required property 'kayobe'",
        'step "a" must match a schema in anyOf',
      ],
    ],
    [
      "variables of a playbook where there is none",
      "steps",
      "steps:\n  - {title: a, kayobe: [b], vars: {c: 1}}\n",
      ['step "a" must have property play when property vars is present'],
    ],
    [
      "an unknown command of the rig",
      "steps",
      'steps:\n  - {title: a, rig: [[replug, "2"]]}\n',
      [
        `step "a" rig/0/0 must be equal to one of the allowed values: ${JSON.stringify(["start", "stop", "destroy", "wait-ssh", "restart", "bmc", "reset", "unplug", "plug", "status", "monitor", "savevm", "loadvm", "console", "ssh"])}`,
      ],
    ],
    [
      "an address that is none",
      "steps",
      "steps:\n  - {title: a, vfs: {enp1s0: 4}}\n",
      [
        'step "a" vfs must be string',
        'step "a" vfs must match pattern "^[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]$"',
        'step "a" vfs property name must be valid',
        'step "a" vfs must match a schema in anyOf',
      ],
    ],
    [
      "a step that does and judges nothing",
      "steps",
      "steps:\n  - {title: a}\n",
      ['step "a" must NOT have fewer than 2 properties'],
    ],
    ["no steps", "steps", "steps: []\n", ["/steps must NOT have fewer than 1 items"]],
    [
      "a key of the file that is misspelt",
      "steps",
      "base_var: {}\nsteps:\n  - {title: a, before: b}\n",
      ["nothing uses base_var, base_vars is the nearest"],
    ],
    [
      "a variable that nothing uses",
      "steps",
      "anything: {}\nsteps:\n  - {title: a, before: b}\n",
      ["nothing uses anything"],
    ],
    [
      "a key of a platform that is misspelt",
      "molecule",
      "platforms:\n  - {name: a, groups: [compute_sriov], image: debian12, port: 2}\n",
      ["/platforms/0 has no key port, ports is the nearest"],
    ],
    [
      "a part of Molecule's that belongs to base.yml",
      "molecule",
      "platform: []\nplatforms:\n  - {name: a, groups: [compute_sriov], image: debian12}\n",
      ["has no key platform, platforms is the nearest"],
    ],
    [
      "another group",
      "molecule",
      "platforms:\n  - {name: a, groups: [compute], image: debian12}\n",
      ["/platforms/0/groups must be equal to constant"],
    ],
  ];
  for (const [title, kind, source, want] of wrong)
    it(`may not have ${title}`, () => deepStrictEqual(faults(kind, source), want));
});

describe("the schemas of a scenario's files agree with", () => {
  const step = text("molecule/shared/step.yml");
  it("the tasks that run a step", () =>
    deepStrictEqual(words(step + text("molecule/shared/verify.yml"), /\bstep\.(?!yml)(\w+)/g), keysOfStep));
  it("the comment that explains the keys", () => {
    const header = step
      .split("\n")
      .filter((line) => line.startsWith("#"))
      .join("\n");
    deepStrictEqual(
      keysOfStep.filter((key) => !new RegExp(`\\b${key}\\b`).test(header)),
      [],
    );
    const explained = [...header.matchAll(/^# {3}(\w+(?:, \w+)*) {2,}\S/gm)].flatMap((match) => match[1]!.split(", "));
    ok(explained.length > 15);
    deepStrictEqual(
      explained.filter((key) => !keysOfStep.includes(key)),
      [],
    );
  });
  it("the playbook that starts a machine", () =>
    deepStrictEqual(
      words(text("molecule/shared/create.yml"), /\bitem\.(\w+)/g),
      keysOfPlatform.filter((key) => key !== "groups"),
    ));
  it("the releases of ansible-core that there are", () =>
    deepStrictEqual(steps.definitions!["release"]!.enum, ansibleCores));
});

describe("docs/testing.md says of each scenario", () => {
  const page = text("docs/testing.md");
  const rows = new Map([...page.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map((match) => [match[1]!, match[2]!]));
  it("what it proves", () => deepStrictEqual([...rows.keys()].sort(), every));

  const images: { readonly [image: string]: string } = {
    debian12: "Debian 12",
    "debian12-connectx": "Debian 12, an emulated ConnectX",
    debian13: "Debian 13",
    "debian13-connectx": "Debian 13, an emulated ConnectX",
    "debian13-networkmanager": "Debian 13 with NetworkManager",
    "debian13-sdboot": "Debian 13, systemd-boot",
    "debian13-openstack": "Debian 13 with Nova and Neutron",
  };
  for (const name of every)
    it(`on which guest it runs: ${name}`, () => {
      const [platform] = read(text(`molecule/${name}/molecule.yml`))["platforms"] as {
        image: string;
        iommu?: string;
      }[];
      const guest = rows.get(name) ?? "";
      ok(guest.startsWith(images[platform!.image]!), guest);
      strictEqual(guest.includes("AMD IOMMU"), platform!.iommu === "amd");
    });

  it("with which releases of ansible-core it runs", () => {
    const runs = every.flatMap((name) => {
      const document = read(text(`molecule/${name}/steps.yml`));
      const own = (document["ansible_core"] as string | undefined) ?? ansibleReleases.molecule;
      return (document["steps"] as unknown[])
        .map((step) => combined(step, document) as { play?: string; kayobe?: string[]; ansible?: string })
        .flatMap(({ play, kayobe, ansible }) => [
          ...(kayobe === undefined ? [] : [`${ansibleReleases.kayobe} ${name}`]),
          ...(play === undefined && ansible === undefined ? [] : [`${ansible ?? own} ${name}`]),
        ]);
    });
    const said = [...page.matchAll(/^\| ([\d.]+) \| (.+) \|$/gm)].flatMap(([, release, names]) =>
      [...names!.matchAll(/`(\w+)`/g)].map((match) => `${release} ${match[1]}`),
    );
    deepStrictEqual(said.sort(), [...new Set(runs)].sort());
  });
});

describe("the releases of ansible-core", () => {
  const { molecule: own, kayobe, others } = ansibleReleases;
  const pin = (path: string): string => /^ansible-core==(\d+\.\d+)\./m.exec(text(path))?.[1] ?? "";
  const unbroken = (path: string): string => text(path).replace(/\s+/g, " ");
  const and = (names: readonly string[]): string => names.join(", ").replace(/, (?=[^,]*$)/, " and ");
  const numbers = ["no", "one", "two", "three", "four", "five", "six", "seven"];
  const limited = (python: keyof (typeof others)[string]): string =>
    and(Object.keys(others).filter((release) => others[release]![python] === 12));

  it("are those of the environments", () => {
    strictEqual(pin("requirements.txt"), own);
    strictEqual(pin(`test/openstack/requirements-kayobe-${openStackSeries.scenario}.txt`), kayobe);
  });
  it("are all played in the scenario versions", () => {
    const document = read(text("molecule/versions/steps.yml"));
    const played = (document["steps"] as unknown[]).map((step) => (combined(step, document) as Mapping)["ansible"]);
    deepStrictEqual([...new Set(played.filter((release) => release !== undefined))].sort(), ansibleCores);
  });

  const sentences: [page: string, sentence: string][] = [
    ["docs/testing.md", `under ansible-core ${and(ansibleCores)};`],
    ["docs/testing.md", `Molecule itself runs with ${own}.`],
    ["docs/testing.md", `one or more of ${numbers[ansibleCores.length]} releases`],
    ["docs/testing.md", `${limited("newest")} and OpenStack 2025.1 need a Python up to 3.12`],
    ["docs/testing.md", `${limited("oldest")} need 3.12 or later.`],
    ["docs/testing.md", `\`ansible-test sanity\` of ansible-core ${own} `],
    ["docs/testing.md", `a real \`kayobe playbook run\` of Kayobe ${openStackSeries.scenario},`],
    ["docs/testing.md", `--ansible ${ansibleCores.at(-1)} intel`],
    ["README.md", `ansible-core ${ansibleCores[0]} to ${ansibleCores.at(-1)} |`],
    ["molecule/versions/steps.yml", `Molecule's own release is ${own}.`],
  ];
  for (const [page, sentence] of sentences)
    it(`are in ${page}: ${sentence}`, () => ok(unbroken(page).includes(sentence)));
});
