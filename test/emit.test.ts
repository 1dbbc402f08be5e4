import { deepStrictEqual, match, doesNotMatch, strictEqual, throws } from "node:assert/strict";
import { argspec } from "../generator/artefacts/emit/argspec.js";
import { checks, names } from "../generator/artefacts/emit/checks.js";
import { changelog } from "../generator/artefacts/emit/changelog.js";
import { defaults } from "../generator/artefacts/emit/defaults.js";
import { galaxy } from "../generator/artefacts/emit/galaxy.js";
import { meta } from "../generator/artefacts/emit/meta.js";
import { readme } from "../generator/artefacts/emit/readme.js";
import { schema } from "../generator/artefacts/emit/schema.js";
import { wrap } from "../generator/artefacts/emit/yaml.js";
import { readIdentity } from "../generator/artefacts/identity.js";
import type { Json, OutFile, Variable } from "../generator/ir.js";
import { role } from "./support.js";

const flag: Variable = {
  name: "sriov_flag",
  description: ["Do it.", "Or not."],
  type: { kind: "bool" },
  required: false,
  default: true,
};
const unset: Variable = { name: "sriov_unset", description: ["Perhaps."], type: { kind: "bool" }, required: false };
const devices: Variable = {
  name: "sriov_devices",
  description: ["The PFs."],
  type: {
    kind: "list",
    elements: {
      kind: "dict",
      fields: [
        { name: "address", description: ["Where."], type: { kind: "raw" }, required: true, example: "0000:3b:00.0" },
        { name: "numvfs", description: ["How many."], type: { kind: "int", minimum: 0 }, required: false },
        { name: "on", description: ["Whether."], type: { kind: "bool" }, required: false, default: true },
      ],
    },
  },
  required: false,
  default: [],
};
const text = (value: Json): Variable => ({
  name: "sriov_text",
  description: ["D."],
  type: { kind: "str" },
  required: false,
  default: value,
});

describe("defaults/main.yml", () => {
  it("has each default under its prose, and what is not set as a comment", () => {
    strictEqual(
      defaults(role(flag, unset, devices)).text,
      `---
# Do it.
# Or not.
sriov_flag: true

# Perhaps.
# sriov_unset:

# The PFs.
sriov_devices: []
`,
    );
  });

  it("keeps a variable without default that comes last", () => {
    match(defaults(role(flag, unset)).text, /sriov_flag: true\n\n# Perhaps\.\n# sriov_unset:\n$/);
  });

  it("quotes what YAML 1.1 would read as something else", () => {
    for (const word of ["on", "no", "1:20", "1_000", "2026-01-01", "0x1", "null", "~", ""])
      match(defaults(role(text(word))).text, new RegExp(`sriov_text: ["']`), word);
  });

  it("leaves a Jinja expression on one line", () => {
    const expression = `{{ ${"lookup('vars', 'x') | ".repeat(12)}int }}`;
    match(defaults(role(text(expression))).text, new RegExp(`^sriov_text: .*int \\}\\}["']$`, "m"));
  });
});

describe("meta/argument_specs.yml", () => {
  it("marks a secret", () =>
    match(argspec(role({ ...text("x"), secret: true })).text, / sriov_text:\n(?: {8}.*\n)*? {8}no_log: true\n/));

  it("has types, choices, keys of entries with their defaults, and bounds in words", () => {
    const choice: Variable = {
      name: "sriov_choice",
      description: ["Which."],
      type: { kind: "str", choices: ["b", "a"] },
      required: false,
      default: "b",
    };
    strictEqual(
      argspec(role(choice, devices)).text,
      `---
argument_specs:
  main.yml:
    short_description: Set VFs.
    description:
      - More about it.
    author:
      - A. Author
    options:
      sriov_choice:
        description:
          - Which.
        type: str
        choices:
          - b
          - a
        default: b
      sriov_devices:
        description:
          - The PFs.
        type: list
        elements: dict
        options:
          address:
            description:
              - Where.
            type: raw
            required: true
          numvfs:
            description:
              - How many.
              - At least 0.
            type: int
          "on":
            description:
              - Whether.
            type: bool
            default: true
        default: []
`,
    );
  });
});

describe("plugins/module_utils/sriov/variables.py", () => {
  const data = (files: readonly OutFile[], ...variables: Variable[]): { [name: string]: unknown } =>
    Object.fromEntries(
      [...checks(role(...variables), files).text.matchAll(/^(\w+) = (\[\]|\{\}|[[{][\s\S]*?^[\]}])$/gm)].map(
        ([, name, value]) => [name!, JSON.parse(value!)],
      ),
    );

  it("has the kinds, choices and bounds of the model, and which variables have a default that null would override", () => {
    const { VARIABLES, WITH_DEFAULT } = data(
      [],
      devices,
      {
        name: "sriov_choice",
        description: ["Which."],
        type: { kind: "str", choices: ["b", "a"] },
        required: false,
        default: "b",
      },
      {
        name: "sriov_path",
        description: ["Where."],
        type: { kind: "path", ending: ".rules" },
        required: false,
        default: "/x.rules",
      },
      {
        name: "sriov_ports",
        description: ["How many."],
        type: { kind: "int", minimum: 1, maximum: 2 },
        required: false,
      },
      { name: "sriov_map", description: ["What."], type: { kind: "map" }, required: false },
      {
        name: "sriov_any",
        description: ["Any."],
        type: { kind: "raw", also: [{ kind: "list", elements: { kind: "str" } }] },
        required: false,
      },
    );
    deepStrictEqual(VARIABLES, {
      sriov_devices: {
        type: "list",
        elements: {
          type: "dict",
          fields: { address: { type: "raw" }, numvfs: { type: "int", minimum: 0 }, on: { type: "bool" } },
        },
      },
      sriov_choice: { type: "str", choices: ["b", "a"] },
      sriov_path: { type: "path", ending: ".rules" },
      sriov_ports: { type: "int", minimum: 1, maximum: 2 },
      sriov_map: { type: "map" },
      sriov_any: { type: "raw", also: ["list"] },
    });
    deepStrictEqual(WITH_DEFAULT, ["sriov_choice", "sriov_path"]);
  });

  it("has what else begins like a variable: facts of the tasks, and what the Kayobe configuration sets or reads", () => {
    const files = [
      {
        path: "tasks/a.yml",
        text: "---\n- name: Note\n  ansible.builtin.set_fact:\n    sriov_fact: 1\n    __sriov_own:\n      sriov_key: 1\n- name: Other\n  debug:\n    sriov_module: 1\n",
      },
      {
        path: "kayobe/kolla/globals.yml",
        text: 'neutron_sriov_physnets: "{{ sriov_pfs }} {{ sriov_devices }}"\nsriov_of_kayobe: 1\n',
      },
      { path: "plugins/modules/sriov_vfs.py", text: "sriov_numvfs" },
    ];
    deepStrictEqual(data(files, devices)["OTHERS"], ["sriov_fact", "sriov_of_kayobe", "sriov_pfs"]);
  });
});

describe("vars/main/variables.yml", () => {
  it("has the names", () =>
    strictEqual(
      names(role(devices, { ...text("x"), name: "sriov_word", secret: true })).text,
      "---\n# The variables of the role.\n__sriov_names:\n  - sriov_devices\n  - sriov_word\n" +
        "\n# Those that the role does not hand to a host.\n__sriov_secrets:\n  - sriov_word\n",
    ));
});

describe("schema.json", () => {
  // What it takes and refuses is in schema.test.ts.
  const alternatives = (...main: object[]): object[] => [
    ...main,
    { $ref: "#/definitions/jinja" },
    { $ref: "#/definitions/unset" },
  ];
  it("has for editors the usual type first, then Jinja, and nothing at all where that may be", () => {
    const { properties } = JSON.parse(schema(role(devices)).text) as {
      properties: {
        sriov_devices: {
          anyOf: [{ items: { anyOf: [{ properties: object; required: string[]; additionalProperties: boolean }] } }];
        };
      };
    };
    const entry = properties.sriov_devices.anyOf[0].items.anyOf[0];
    deepStrictEqual([entry.required, entry.additionalProperties], [["address"], false]);
    deepStrictEqual(entry.properties, {
      address: { title: "address", description: "Where.", anyOf: [{ type: "string" }], examples: ["0000:3b:00.0"] },
      numvfs: {
        title: "numvfs",
        description: "How many.",
        anyOf: alternatives(
          { type: "integer", minimum: 0, errorMessage: "This must be a whole number of at least 0." },
          { type: "string", pattern: "^[0-9]+$" },
        ),
      },
      on: {
        title: "on",
        description: "Whether.",
        anyOf: alternatives(
          { type: "boolean", errorMessage: "This must be true or false." },
          {
            type: "string",
            pattern:
              "^(?:[Tt](?:[Rr][Uu][Ee])?|[Yy](?:[Ee][Ss])?|[Oo][Nn]|1|[Ff](?:[Aa][Ll][Ss][Ee])?|[Nn][Oo]?|[Oo][Ff][Ff]|0)$",
          },
          { type: "integer", minimum: 0, maximum: 1 },
        ),
        default: true,
      },
    });
  });
  it("knows the names with the prefix of all variables, and those that it is given", () => {
    const names = (others: readonly string[], ...variables: readonly Variable[]): string[] =>
      Object.keys(
        (JSON.parse(schema(role(...variables), others).text) as { patternProperties?: object }).patternProperties ?? {},
      );
    deepStrictEqual(names(["sriov_serial"], flag, devices), ["^sriov_(?!(?:flag|devices|serial)$)"]);
    deepStrictEqual(names([], flag, { ...unset, name: "other_unset" }), []);
  });
});

describe("meta/main.yml", () => {
  const authored = `---\n# Platforms.\ngalaxy_info:\n  min_ansible_version: "2.17"\n  platforms:\n    - name: EL\n      versions:\n        - "9" # the first\n`;
  it("takes the identity from galaxy.yml and keeps the rest, comments too", () => {
    strictEqual(
      meta(role(), authored).text,
      `---
# Platforms.
galaxy_info:
  min_ansible_version: "2.17"
  platforms:
    - name: EL
      versions:
        - "9" # the first
  role_name: sriov
  namespace: stackhpc
  author: A. Author
  company: A. Author
  description: Sets VFs
  license: Apache-2.0
  galaxy_tags:
    - networking
    - linux
`,
    );
  });
  it("has no key standalone, which Galaxy refuses", () => doesNotMatch(meta(role(), authored).text, /standalone/));
  it("cannot do without galaxy_info", () => throws(() => meta(role(), "---\na: 1\n"), /has no mapping galaxy_info/));
});

describe("README.md", () => {
  const template =
    "# {{title}}\n{{install}}\n{{variables}}\n{{#each pictures}}{{title}}\n{{text}}\n{{/each}}{{#each examples}}{{title}}\n{{text}}\n{{/each}}";
  it("has rows that stay whole, and braces that stay braces", () => {
    const bar = { ...text("{{ x | default('y') }}"), description: ["a=b | c."] };
    const picture = {
      title: "At boot",
      steps: [
        { id: "a", says: "A", otherwise: [{ when: "no", says: "none" }], goesOn: "yes" },
        { id: "b", says: "B" },
      ],
    };
    const example = { path: "examples/two_cards.yml", text: "- hosts: all\n  vars:\n    a: '{{ b }}'\n" };
    strictEqual(
      readme(role(bar, unset), template, [example], [picture], "collection").text,
      "# stackhpc.sriov\nansible-galaxy collection install stackhpc.sriov\n## Variables\n\nThe role checks every variable before it changes anything. With `schema.json` in the role, editors complete and check variables too.\n\nAn editor with yaml-language-server (VS Code with Red Hat's YAML extension, Neovim, Emacs and others) does this for a file of group_vars or host_vars that contains the line `# yaml-language-server: $schema=PATH/schema.json`. PATH is the folder of the role or of the collection, absolute or relative to that file. Open a file without an extension as YAML.\n\n| variable | type | default | what it does |\n| --- | --- | --- | --- |\n| `sriov_text` | str | `\"{{ x \\| default('y') }}\"` | a=b \\| c. |\n| `sriov_unset` | bool | not set | Perhaps. |\nAt boot\nA\n  |-- no --> none\n  v  yes\nB\nTwo cards\n- hosts: all\n  vars:\n    a: '{{ b }}'\n",
    );
  });
  it("of the role describes how to install the role", () =>
    match(readme(role(), template, [], [], "role").text, /ansible-galaxy role install stackhpc\.sriov/));
  it("refuses a name that it is not given", () =>
    throws(() => readme(role(), "{{ ansible_host }}", [], [], "role"), /ansible_host/));
});

describe("changelogs/changelog.yaml", () => {
  it("contains what CHANGELOG.md contains", () => {
    strictEqual(
      changelog(
        "# Changelog\n\n## 1.1.0 - 2026-02-01\n\nSmall\nthings.\n\n### Fixed\n\n- One\n  thing.\n- Another.\n\n## 1.0.0 - 2026-01-01\n\nFirst.\n",
      ).text,
      `---
ancestor: null
releases:
  1.1.0:
    changes:
      release_summary: Small things.
      bugfixes:
        - One thing.
        - Another.
    release_date: "2026-02-01"
  1.0.0:
    changes:
      release_summary: First.
    release_date: "2026-01-01"
`,
    );
  });
  it("refuses a release without a date", () =>
    throws(() => changelog("## 1.0.0\n"), /is not "## VERSION - YYYY-MM-DD"/));
  it("refuses an unknown kind of change", () =>
    throws(() => changelog("## 1.0.0 - 2026-01-01\n### Misc\n- x\n"), /"### Misc" is not one of Added/));
});

describe("the collection's galaxy.yml", () => {
  it("is the root's, without what concerns the root", () => {
    strictEqual(
      galaxy("---\n# Who we are.\nnamespace: a\nname: b # ours\nbuild_ignore:\n  - node_modules\n").text,
      '---\nnamespace: a\nname: b # ours\nbuild_ignore:\n  - .ansible\n  - .cache\n  - "*.tar.gz"\n',
    );
  });
});

describe("galaxy.yml", () => {
  const good =
    "namespace: a\nname: b\nversion: 1.0.0\nauthors: [x]\ndescription: d\nlicense: [MIT]\ntags: [linux]\nrepository: https://example.org\n";
  const problems = (given: string): string =>
    readIdentity(given)
      .problems.map(({ message }) => message)
      .join("\n");
  it("that Galaxy accepts is not a problem", () => strictEqual(problems(good), ""));
  const bad: [title: string, given: string, want: RegExp][] = [
    ["a namespace with a capital", good.replace("namespace: a", "namespace: A"), /namespace "A"/],
    ["two underscores", good.replace("name: b", "name: b__c"), /name "b__c"/],
    ["a tag with a hyphen", good.replace("[linux]", "[sr-iov]"), /tag "sr-iov"/],
    ["a version of two parts", good.replace("1.0.0", '"1.0"'), /not a semantic version/],
    ["no repository", good.replace(/repository.*/, ""), /repository must be/],
    ["nothing at all", "", /namespace must be[\s\S]*license must be/],
  ];
  for (const [title, given, want] of bad) it(`is refused with ${title}`, () => match(problems(given), want));
});

describe(wrap.name, () => {
  it("breaks between words", () => deepStrictEqual(wrap("aa bb cc", 5), ["aa bb", "cc"]));
  it("gives a long word its own line", () => deepStrictEqual(wrap("a bbbbbbbb c", 4), ["a", "bbbbbbbb", "c"]));
});
