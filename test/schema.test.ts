import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join, posix } from "node:path";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { kayobeArtefact, readSources, root } from "../generator/artefacts/sources.js";
import { merge } from "../generator/kayobe/merge.js";
import type { Json, Variable } from "../generator/ir.js";
import { artefacts } from "./support.js";

// schema.json, judged by ajv. What yaml-language-server makes of it, completion and hover too, was looked at by hand (docs/testing.md).

const out = artefacts();
const collection = "collections/ansible_collections/stackhpc/sriov";
const document = JSON.parse(readFileSync(join(out, "roles/stackhpc.sriov/schema.json"), "utf8")) as {
  [key: string]: Json;
};
// Strict: a keyword that is misspelt would be passed over otherwise. errorMessage is for editors.
const ajv = new Ajv({ strict: true, allErrors: true });
ajv.addVocabulary(["errorMessage"]);
const validate = ajv.compile(document);

/** Where a document is wrong: the innermost places, for an alternative that fails is an error of all that is around it too. */
function wrong(data: unknown): string[] {
  if (validate(data)) return [];
  const places = validate.errors!.map(({ instancePath, params }) =>
    "additionalProperty" in params ? `${instancePath}/${String(params["additionalProperty"])}` : instancePath,
  );
  return [...new Set(places)].filter((place) => !places.some((other) => other.startsWith(`${place}/`)));
}

const tags = ["!vault", "!unsafe"].map((tag) => ({ tag, resolve: (text: string) => text }));
/** A text as Ansible reads it, and as editors do. */
const versions = ["1.1", "1.2"] as const;
const read = (text: string, version: (typeof versions)[number]): unknown =>
  parse(text, { version, merge: true, customTags: tags });

describe("schema.json", () => {
  describe("judges the form of variables as the modules do", () => {
    // The same file is in test/python/test_forms.py.
    const cases = JSON.parse(readFileSync(join(root, "test/fixtures/schema/variables.json"), "utf8")) as {
      why: string;
      variables: Json;
      at?: string;
    }[];
    for (const { why, variables, at } of cases)
      it(`${at === undefined ? "takes" : "refuses"} ${why}`, () =>
        deepStrictEqual(wrong(variables), at === undefined ? [] : [at]));
  });

  describe("takes", () => {
    const cases: [title: string, text: string][] = [
      ["a file in which everything is a comment", "---\n# sriov_devices: []\n"],
      ["variables of other roles", "iommu_enabled: 5\nkolla_x: [1]\n"],
      [
        "variables of the Kayobe configuration",
        "sriov_openstack: {}\nsriov_reboot_serial: 25%\nsriov_max_fail_percentage: 10\n",
      ],
      ["Jinja for every list, dictionary, number and switch", everyVariable('"{{ x }}"')],
      ["null where it does not put a default out of effect", everyVariable("null", takesNull)],
      ["a variable without a value", everyVariable("", takesNull)],
      ["a vaulted value for every variable", everyVariable("!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132")],
      [
        "a statement of Jinja over several lines",
        "sriov_devices: >-\n  {% if x %}{{ y }}{% else %}{{ z }}{% endif %}\n",
      ],
      ["text that is not to be templated", "sriov_physnet_mappings: {ens1f0: !unsafe physnet2}\n"],
      [
        "Jinja for an entry, and for each of its keys",
        `sriov_devices:\n  - "{{ entry }}"\n  - {${entryKeys()
          .map((key) => `${key}: "{{ x | default(omit) }}"`)
          .join(", ")}}\n`,
      ],
      [
        "Jinja inside an entry's lists and dictionaries",
        'sriov_devices:\n  - {name: "ens{{ n }}f0", numvfs_required_by: ["{{ u }}"], firmware: {A: "{{ a }}"}, exclude_vfs: ["{{ v }}"], nova: {address: {bus: "{{ b }}"}}}\n  - {name: a, nova: {address: ["{{ v }}", {bus: "{{ b }}"}], traits: ["{{ t }}"], trusted: "{{ t }}"}}\n  - {name: a, vfs: ["{{ i }}", {vf: "{{ v }}", mac: "{{ m }}"}, {vf: 0, vlan: "{{ v }}", qos: "{{ q }}", trust: "{{ t }}"}, {vf: 1, driver: "{{ d | default(omit) }}"}]}\n',
      ],
      [
        "selectors of which Jinja may omit one",
        'sriov_devices: [{name: "{{ n | default(omit) }}", address: "0000:3b:00.0"}]\n',
      ],
      [
        "ranges of VFs and words for true and false without quotes",
        "sriov_devices:\n  - name: a\n    vfs:\n      - {vf: 0-3, trust: on, vlan: 5, vlan_proto: 802.1ad}\n      - {vf: 4-, driver: none}\n      - vf: 2,5-7\n        spoofchk: off\n",
      ],
      [
        "numbers in quotes",
        'sriov_reboot_timeout: "1800"\nsriov_boot_wait: "0"\nsriov_devices: [{name: a, numvfs: "8"}]\n',
      ],
      ["packages in a text with commas", "sriov_os_pkgs: gcc, make\nsriov_mstflint_pkgs: mstflint\n"],
      [
        "nothing in a text with commas, and a comma too many",
        'sriov_os_pkgs: ""\nsriov_os_pkgs_rpm: "gcc, make,"\nsriov_numvfs_required_by: ""\n',
      ],
      ["0 and 1 for false and true", "sriov_do_reboot: 1\nsriov_devices: [{name: a, optional: 0}]\n"],
      [
        "a path in a home folder, or in a variable of the environment",
        "sriov_workdir: ~/mft\nsriov_udev_rule_path: $FOLDER/70-sriov.rules\n",
      ],
      [
        "neighbours of which Jinja may omit one",
        'sriov_devices: [{name: a, nova: {devname: "{{ d }}", address: "0000:3b:02.*"}}, {name: a, nova: {vendor_id: "8086", product_id: "{{ p }}"}}]\n',
      ],
      [
        "neighbours that are null",
        "sriov_devices: [{name: a, nova: {devname: a, address: null}}, {driver: ice, physical_network: null}]\n",
      ],
      ["a release that is a number", "sriov_openstack_release: 2025.1\n"],
      [
        "words for true and false, with and without quotes",
        'sriov_do_reboot: yes\nsriov_firmware_exact: "no"\nsriov_iommu_enabled: On\nsriov_firmware_reset: False\n',
      ],
      [
        "addresses without quotes",
        "sriov_devices: [{address: 0000:3b:00.0}, {mac: b8:59:9f:0c:aa:02}, {vendor_id: 15b3, product_id: a2d6}]\n",
      ],
      [
        "entries that share what an anchor has",
        "x: &x {numvfs: 8, numvfs_driver: udev}\nsriov_devices:\n  - {<<: *x, name: a}\n  - &b {name: b}\n  - {<<: [*b, *x], numvfs: 4}\n",
      ],
      [
        "a mapping that another is merged into",
        "x: &x {ens1f0: physnet2}\nsriov_physnet_mappings: {<<: *x, ens2f0: physnet3}\n",
      ],
    ];
    for (const [title, text] of cases)
      for (const version of versions)
        it(`${title}, YAML ${version}`, () => deepStrictEqual(wrong(read(text, version)), []));
  });

  describe("refuses", () => {
    const cases: [title: string, text: string, at: string, versions?: readonly (typeof versions)[number][]][] = [
      ["a misspelt variable", "sriov_device: []\n", "/sriov_device"],
      ["a longer name", "sriov_devices_more: []\n", "/sriov_devices_more"],
      ["a shorter name", "sriov_: 1\n", "/sriov_"],
      ["a fact of the role's", "sriov_reboot_required: true\n", "/sriov_reboot_required"],
      ["a misspelt key of an entry", "sriov_devices: [{name: a, numvf: 8}]\n", "/sriov_devices/0/numvf"],
      ["a dictionary for a list", "sriov_devices: {name: a}\n", "/sriov_devices"],
      ["text without Jinja for a list", "sriov_devices: ens1f0\n", "/sriov_devices"],
      ["text without Jinja for an entry", "sriov_devices: [ens1f0]\n", "/sriov_devices/0"],
      ["an entry that is nothing", "sriov_devices:\n  -\n", "/sriov_devices/0"],
      ["a negative number", "sriov_numvfs: -1\n", "/sriov_numvfs"],
      ["a number of seconds that is too small", "sriov_reboot_timeout: 0\n", "/sriov_reboot_timeout"],
      ["one in quotes", 'sriov_reboot_timeout: "0"\n', "/sriov_reboot_timeout"],
      ["a number of VFs that PCI cannot count", "sriov_numvfs: 65536\n", "/sriov_numvfs"],
      ["more seconds than the boot can wait", "sriov_boot_wait: 1000000001\n", "/sriov_boot_wait"],
      ["a relative path", "sriov_workdir: var/cache\n", "/sriov_workdir"],
      [
        "a rule file that udev does not read",
        "sriov_udev_rule_path: /etc/udev/rules.d/70-sriov\n",
        "/sriov_udev_rule_path",
      ],
      [
        "a checksum without its algorithm",
        "sriov_mft_checksum: 9f86d081884c7d659a2feaa0c55ad015\n",
        "/sriov_mft_checksum",
      ],
      ["a path for the name of a file", "sriov_mft_tarball: /tmp/mft.tgz\n", "/sriov_mft_tarball"],
      ["a choice that there is not", "sriov_numvfs_driver: sysfs\n", "/sriov_numvfs_driver"],
      ["another", "sriov_action: firmware\n", "/sriov_action"],
      ["a word that is neither true nor false", "sriov_do_reboot: maybe\n", "/sriov_do_reboot"],
      ["an id that YAML made a number of", "sriov_mellanox_vendor_ids: [0x15b3]\n", "/sriov_mellanox_vendor_ids/0"],
      [
        "an address that YAML 1.1 makes a number of",
        "sriov_devices: [{address: 0000:03:00.0}]\n",
        "/sriov_devices/0/address",
        ["1.1"],
      ],
      [
        "a MAC address that YAML 1.1 makes a number of",
        "sriov_devices: [{mac: 00:11:22:33:44:55}]\n",
        "/sriov_devices/0/mac",
        ["1.1"],
      ],
      [
        "a MAC address of a VF that YAML 1.1 makes a number of",
        "sriov_devices: [{name: a, vfs: [{vf: 0, mac: 12:11:22:33:44:55}]}]\n",
        "/sriov_devices/0/vfs/0/mac",
        ["1.1"],
      ],
      [
        "VFs without quotes, which end at the comma",
        "sriov_devices: [{name: a, vfs: [{vf: 2,5-7, trust: on}]}]\n",
        "/sriov_devices/0/vfs/0/5-7",
      ],
      [
        "two selectors, one from an anchor",
        "x: &x {name: a}\nsriov_devices: [{<<: *x, driver: ice}]\n",
        "/sriov_devices/0/driver",
      ],
    ];
    for (const [title, text, at, of = versions] of cases)
      for (const version of of)
        it(`${title}, YAML ${version}`, () => deepStrictEqual(wrong(read(text, version)), [at]));
    it("a list of plays", () => deepStrictEqual(wrong([]), [""]));
    for (const { name } of readSources(root).role.variables.filter((one) => !takesNull(one)))
      it(`null in place of the default of ${name}`, () => deepStrictEqual(wrong({ [name]: null }), [`/${name}`]));
  });

  describe("takes everything that is published", () => {
    const documents = [...fromPages(), ...fromArtefacts()];
    for (const { where, data } of documents)
      for (const version of versions) it(`${where}, YAML ${version}`, () => deepStrictEqual(wrong(data(version)), []));
    it("and there is something in it to take", () => {
      const variables = (data: unknown): string[] =>
        data !== null && typeof data === "object" ? Object.keys(data).filter((name) => name.startsWith("sriov_")) : [];
      const found = documents.filter(({ data }) => variables(data("1.1")).length > 0).map(({ where }) => where);
      for (const page of [
        "README.md:",
        "docs/kayobe.md:",
        "README.md of the role:",
        "examples/",
        "defaults/main.yml",
        "group_vars/",
      ])
        ok(
          found.some((where) => where.includes(page)),
          page,
        );
      const names = new Set(documents.flatMap(({ data }) => variables(data("1.1"))));
      for (const { name } of readSources(root).role.variables.filter((one) => one.default !== undefined))
        ok(names.has(name), name);
    });
    for (const { name, default: value, example } of readSources(root).role.variables)
      for (const one of [value, example])
        if (one !== undefined) it(`${name}: ${JSON.stringify(one)}`, () => deepStrictEqual(wrong({ [name]: one }), []));
  });

  it("says who publishes it", () =>
    strictEqual(document["$id"], "https://github.com/stackhpc/ansible-collection-sriov/schema.json"));
  it("is at the collection's root, too", () =>
    strictEqual(readFileSync(join(out, collection, "schema.json"), "utf8"), JSON.stringify(document, null, 2) + "\n"));

  describe("is where the Kayobe configuration says", () => {
    const path = "inventory/group_vars/compute_sriov/sriov";
    const modeline = /^# yaml-language-server: \$schema=(.+)$/m;
    // Where `kayobe control host bootstrap` installs collections (kayobe/ansible.py, install_galaxy_collections, 18.5).
    const installed = `ansible/${collection}/schema.json`;
    for (const environment of [undefined, "production"])
      it(environment === undefined ? "in the base" : "in an environment", () => {
        const config = [
          { path: "kolla.yml", text: "---\n" },
          { path: "inventory" },
          { path: "inventory/groups", text: "[compute]\n" },
          { path: "environments" },
          { path: "environments/production" },
        ];
        const { write, refusals } = merge(kayobeArtefact(readSources(root)), config, {
          hook: false,
          vlanRanges: [],
          ...(environment === undefined ? {} : { environment }),
        });
        deepStrictEqual(refusals, []);
        const file = write.find((one) => one.path.endsWith(path))!;
        const said = modeline.exec(file.text)?.[1] ?? "";
        strictEqual(posix.join(posix.dirname(file.path), said), installed);
      });
  });
});

/** A file that gives variables of the role the same value. */
function everyVariable(value: string, which: (variable: Variable) => boolean = () => true): string {
  return readSources(root)
    .role.variables.filter(which)
    .map(({ name }) => `${name}: ${value}\n`)
    .join("");
}

/** Whether the role takes null: the variable has no default, or an empty one (test_check.py has the role refuse the others). */
function takesNull({ default: value }: Variable): boolean {
  return value === undefined || ["[]", "{}"].includes(JSON.stringify(value));
}

function entryKeys(): string[] {
  const { type } = readSources(root).role.variables.find(({ name }) => name === "sriov_devices")!;
  if (type.kind !== "list" || type.elements.kind !== "dict")
    throw new Error("sriov_devices is not a list of dictionaries");
  return type.elements.fields.map(({ name }) => name);
}

interface Document {
  readonly where: string;
  readonly data: (version: (typeof versions)[number]) => unknown;
}

/** The variables in a text: the text itself, or what each `vars` of its plays and tasks has. */
function documentsOf(where: string, text: string): Document[] {
  const all = (data: unknown): unknown[] => {
    if (Array.isArray(data)) return data.flatMap(all);
    if (data === null || typeof data !== "object") return [];
    return Object.entries(data).flatMap(([key, value]) => (key === "vars" ? [value] : all(value)));
  };
  const data = read(text, "1.1");
  if (!Array.isArray(data)) return [{ where, data: (version) => read(text, version) }];
  return all(data).map((_, index) => ({
    where: `${where}, vars ${index + 1}`,
    data: (version) => all(read(text, version))[index],
  }));
}

/** Every block of YAML in README.md, in docs/ and in the READMEs of the artefacts. */
function fromPages(): Document[] {
  const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)].map((path) => ({
    where: path,
    text: readFileSync(join(root, path), "utf8"),
  }));
  const made = [
    ["README.md of the role", "roles/stackhpc.sriov"],
    ["README.md of the collection", collection],
  ].map(([where = "", path = ""]) => ({ where, text: readFileSync(join(out, path, "README.md"), "utf8") }));
  return [...pages, ...made].flatMap(({ where, text }) =>
    [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].flatMap((block) =>
      documentsOf(`${where}:${text.slice(0, block.index).split("\n").length}`, block[1]!),
    ),
  );
}

/** Every YAML of the artefacts, that without an extension too. */
function fromArtefacts(): Document[] {
  const isYaml = (path: string): boolean =>
    /\.ya?ml$/.test(path) || /^kayobe-config\/inventory\/group_vars\//.test(path);
  const files = readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1));
  return files.filter(isYaml).flatMap((path) => documentsOf(path, readFileSync(join(out, path), "utf8")));
}
