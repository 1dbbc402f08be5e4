import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { groupsOf, isPartOf } from "../generator/kayobe/groups.js";
import { readVariables } from "../generator/kayobe/inventory.js";
import { vlanRange } from "../generator/kayobe/vlans.js";
import { readSources } from "../generator/artefacts/sources.js";
import type { Form } from "../generator/ir.js";
import { artefacts, put, root, tool } from "./support.js";

/** What the filter says of each text's variables. A device gets a physical network: else there is nothing to check. */
const filter = `
import glob, importlib, json, sys, yaml
sys.path.insert(0, "collections")
name = ".".join(glob.glob("collections/ansible_collections/*/*")[0].split("/")[1:])
plan = importlib.import_module(name + ".plugins.module_utils.sriov.openstack.variables").plan
wrong = importlib.import_module(name + ".plugins.module_utils.sriov.errors").Refusal
def refusal(text):
    data = yaml.safe_load(text)
    mappings = data.get("sriov_physnet_mappings")
    devices = data.get("sriov_devices", [])
    try:
        plan([dict({} if mappings else {"physical_network": "physnet1"}, **device) for device in devices], mappings)
    except wrong as error:
        return str(error)
    return None
print(json.dumps([refusal(text) for text in json.load(open("texts.json"))]))
`;
async function refusalsOfFilter(texts: readonly string[]): Promise<(string | null)[]> {
  const folder = artefacts();
  put(folder, { "texts.json": JSON.stringify(texts) });
  const { code, stdout, output } = await tool("python", ["-c", filter], folder);
  strictEqual(code, 0, output);
  return JSON.parse(stdout) as (string | null)[];
}

const device = (text: string): string => `sriov_devices:\n  - ${text.replaceAll("\n", "\n    ")}\n`;
const faults = (text: string): string[] => readVariables(text).faults.map(({ line, message }) => `${line}: ${message}`);

describe("what cannot be right is reported with its line", () => {
  const cases: readonly [title: string, text: string, want: RegExp][] = [
    [
      "an address that is a number",
      device("name: a\nnova:\n  address: 3:00.0"),
      /^4: nova\.address of sriov_devices\[0\] is 3:00\.0, which YAML reads as 180: put it in quotes$/,
    ],
    ["an address of a PF that is a number", device("address: 3:00.0"), /^2: address of sriov_devices\[0\] is 3:00\.0/],
    [
      "a vendor that is a number",
      device("name: a\nnova:\n  vendor_id: 8086"),
      /^4: nova\.vendor_id .*put it in quotes$/,
    ],
    ["a product that is a number", device("name: a\nnova: {product_id: 1018}"), /^3: nova\.product_id /],
    [
      "an id that YAML reads as another number",
      device("vendor_id: 0123\nproduct_id: '1'"),
      /^2: vendor_id of sriov_devices\[0\] is 0123, which YAML reads as 83/,
    ],
    [
      "a physical network that is a number",
      device("name: a\nphysical_network: 100"),
      /^3: physical_network .*put it in quotes$/,
    ],
    [
      "a physical network that is a switch",
      device("name: a\nphysical_network: on"),
      /^3: physical_network of sriov_devices\[0\] is on, which YAML reads as true/,
    ],
    [
      "an empty physical network",
      device('name: a\nphysical_network: ""'),
      /^3: physical_network of sriov_devices\[0\] is empty/,
    ],
    [
      "a physical network without a name",
      device("name: a\nphysical_network:\nnumvfs: 1"),
      /^\d: physical_network of sriov_devices\[0\] is empty/,
    ],
    [
      "a network of a mapping that is a number",
      "sriov_physnet_mappings:\n  ens1f0: 1\n",
      /^2: the physical network of ens1f0 in sriov_physnet_mappings is 1/,
    ],
    [
      "an empty network of a mapping",
      "sriov_physnet_mappings:\n  ens1f0: ''\n",
      /^2: the physical network of ens1f0 .* is empty/,
    ],
    [
      "the second device",
      "sriov_devices:\n  - name: a\n  - name: b\n    physical_network: 1\n",
      /^4: physical_network of sriov_devices\[1\]/,
    ],
  ];
  for (const [title, text, want] of cases)
    it(title, () => {
      const [found = "", ...more] = faults(text);
      match(found, want);
      deepStrictEqual(more, []);
    });

  it("and the filter refuses each of them, but for the value that was forgotten", async () => {
    const refusals = await refusalsOfFilter(cases.map(([, text]) => text));
    const accepted = cases.filter((_, index) => refusals[index] === null);
    deepStrictEqual(
      accepted.map(([title]) => title),
      ["a physical network without a name"],
    );
  });
});

describe("what breaks a rule about names and addresses", () => {
  const cases: readonly [title: string, text: string, want: RegExp][] = [
    [
      "a physical network with a comma",
      device("name: a\nphysical_network: a,b"),
      /^sriov_devices\[0\] \(name a\): physical_network 'a,b' has a space, comma, colon or semicolon/,
    ],
    [
      "a name and an address",
      device('name: a\naddress: "0000:3b:00.0"'),
      /^sriov_devices\[0\] has 2 selectors \(name, address\): keep one of them$/,
    ],
    [
      "devname and address for Nova",
      device('name: a\nnova:\n  devname: a\n  address: "3b:02.*"'),
      /^sriov_devices\[0\] \(name a\): nova has both devname and address, which Nova refuses: keep one of them$/,
    ],
    [
      "a MAC address for Nova",
      device("name: a\nnova:\n  address: b8:59:9f:0c:aa:02"),
      /^sriov_devices\[0\] \(name a\): nova\.address 'b8:59:9f:0c:aa:02' looks like a MAC address, .*: use the PCI/,
    ],
    [
      "the beginning of a MAC address for Nova",
      device('name: a\nnova:\n  address: ["3b:02.0", "b8:59:9f"]'),
      /^sriov_devices\[0\] \(name a\): nova\.address 'b8:59:9f' looks like a MAC address/,
    ],
    [
      "a MAC address whose digits are all decimal",
      device("name: a\nnova:\n  address: 00:11:22:33:44:55"),
      /^sriov_devices\[0\] \(name a\): nova\.address '00:11:22:33:44:55' looks like a MAC address/,
    ],
    [
      "a MAC address that is mapped",
      "sriov_physnet_mappings:\n  b8:59:9f:0c:aa:02: physnet1\n",
      /^sriov_physnet_mappings has 'b8:59:9f:0c:aa:02': name an interface, as in ens1f0, or its PCI address/,
    ],
  ];
  it("is left to the filter, which refuses it in its own words", async () => {
    deepStrictEqual(
      cases.map(([, text]) => faults(text)),
      cases.map(() => []),
    );
    const refusals = await refusalsOfFilter(cases.map(([, text]) => text));
    for (const [index, [title, , want]] of cases.entries()) match(refusals[index] ?? "", want, title);
  });
});

it("a physical network that --vlan-range takes is one that the model takes", () => {
  const { role } = readSources(root);
  const mappings = role.variables.find(({ name }) => name === "sriov_physnet_mappings")!.type;
  const form = new RegExp((mappings as { form: Form }).form.pattern, "u");
  const characters = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code));
  const taken = characters.filter((character) => vlanRange(`a${character}b:1:2`).ok);
  ok(taken.length > 60);
  deepStrictEqual(
    taken.filter((character) => !form.test(`a${character}b`)),
    [],
  );
});

describe("nothing is reported for", () => {
  const plain: readonly [title: string, text: string][] = [
    ["a name and an address that is null", device("name: a\naddress: null")],
    ["devname and an address for Nova that is null", device("name: a\nnova: {devname: a, address: null}")],
    ["spaces around a physical network", device('name: a\nphysical_network: " physnet2 "')],
    [
      "spaces around the names of a mapping",
      'sriov_devices: [{name: ens1f0}]\nsriov_physnet_mappings:\n  " ens1f0 ": "physnet3 "\n',
    ],
  ];
  const cases: [title: string, text: string][] = [
    ["expressions", device('name: a\nphysical_network: "{{ x }}"\nnova:\n  address: "{{ y }}"')],
    ["numbers that read as they are written", device("vendor_id: 8086\nproduct_id: 1017")],
    [
      "addresses, patterns and lists of them",
      device(
        'name: a\nnova:\n  address:\n    - "0000:3b:02.*"\n    - {domain: "0000", bus: "3b", slot: "0[1-3]", function: ".*"}',
      ),
    ],
    ["variables of others", "a: 1\nother_devices:\n  - address: 1\n"],
    ["a physical network that is null on purpose", device("name: a\nphysical_network: null")],
    ...plain,
    ["a list that is an expression", 'sriov_devices: "{{ x }}"\nsriov_physnet_mappings: "{{ y }}"\n'],
    ["an encrypted file", "$ANSIBLE_VAULT;1.1;AES256\n3132\n"],
    ["a file that is not YAML", "sriov_devices: [\n"],
  ];
  for (const [title, text] of cases) it(title, () => deepStrictEqual(faults(text), []));
  it("a name and an address that are expressions: one of them may be null", () =>
    deepStrictEqual(faults(device('name: "{{ x }}"\naddress: "{{ y }}"')), []));
  it("what is plain, and the filter takes it too", async () =>
    deepStrictEqual(
      await refusalsOfFilter(plain.map(([, text]) => text)),
      plain.map(() => null),
    ));
});

it("spaces around a text do not count", () => {
  const { pairings } = readVariables(
    'sriov_devices: [{name: a, physical_network: " physnet2 "}]\nsriov_physnet_mappings: {" b ": physnet3}\n',
  );
  deepStrictEqual(pairings, [
    { device: "a", network: "physnet2" },
    { device: "b", network: "physnet3" },
  ]);
});

it("physical networks are read where they stand", () => {
  const text = `${device("name: a\nphysical_network: physnet2")}sriov_physnet_mappings:\n  ens1f0: physnet3\n  ens1f1: "{{ x }}"\n`;
  deepStrictEqual(readVariables(text).networks, [
    { name: "physnet2", line: 3 },
    { name: "physnet3", line: 5 },
  ]);
});

it("physical networks are read by anchors and merges", () => {
  const shared =
    "nic: &nic {physical_network: physnet2}\nlist: &list\n  - {<<: *nic, name: a}\n  - {<<: [{physical_network: physnet3}, *nic], name: b}\n  - {<<: *nic, name: c, physical_network: physnet4}\n";
  const { pairings } = readVariables(
    `${shared}sriov_devices: *list\nmore: &more {d: physnet5, e: physnet6}\nsriov_physnet_mappings:\n  <<: *more\n  e: physnet7\n`,
  );
  const want = [
    ["a", "physnet2"],
    ["b", "physnet3"],
    ["c", "physnet4"],
    ["d", "physnet5"],
    ["e", "physnet7"],
  ];
  deepStrictEqual(
    pairings.map(({ device, network }) => [device, network]),
    want,
  );
});

it("an anchor that is merged into itself ends nothing", () => {
  deepStrictEqual(
    readVariables(
      "a: &a\n  <<: *a\n  physical_network: physnet2\nsriov_devices:\n  - {<<: *a, name: b}\n",
    ).networks.map(({ name }) => name),
    ["physnet2"],
  );
});

describe(groupsOf.name, () => {
  const cases: [text: string, want: boolean][] = [
    ["[compute_sriov]\nhv1\n", true],
    ["[compute]\nhv1\n\n[compute_sriov:children]\n", true],
    ["all:\n  children:\n    compute_sriov:\n      hosts: {}\n", true],
    ["all: {children: {compute: {children: {compute_sriov: }}}}\n", true],
    ['{"compute_sriov": {"hosts": ["hv1"]}}\n', true],
    ["[compute:children]\ncompute_sriov\n", false],
    ["[compute_sriov:vars]\na=1\n", false],
    ["all:\n  vars:\n    compute_sriov: 1\n", false],
    ["# [compute_sriov]\n", false],
    ["[compute_sriov_old]\n", false],
  ];
  for (const [text, want] of cases)
    it(`${JSON.stringify(text)}: ${want}`, () => strictEqual(groupsOf([text]).names.has("compute_sriov"), want));
  for (const text of ["#!/bin/sh\n", "plugin: openstack\n", "$ANSIBLE_VAULT;1.1;AES256\n31\n"])
    it(`${JSON.stringify(text)} may say more`, () => strictEqual(groupsOf([text]).dynamic, true));
  it("knows groups that hosts are named for", () =>
    deepStrictEqual(
      [
        ...groupsOf([
          "[a]\nhv1 x=1\n[b]\n[c:vars]\nx=1\n",
          "d: {hosts: {hv2: }}\ne: {hosts: {}}\n",
          '{"f": {"hosts": ["hv3"]}}\n',
        ]).hosts,
      ].map(([group, hosts]) => [group, ...hosts]),
      [
        ["a", "hv1"],
        ["d", "hv2"],
        ["f", "hv3"],
      ],
    ));
});

describe(isPartOf.name, () => {
  const cases: [text: string, want: boolean][] = [
    ["[compute:children]\nother\ncompute_sriov\n", true],
    ["[compute:children]\nrow  # one\n[row:children]\ncompute_sriov\n", true],
    ["[compute:children]\nrow\n[row:children]\ncompute\n", false],
    ["[compute]\ncompute_sriov\n", false],
    ["[compute:children]\nother\n[overcloud:children]\ncompute_sriov\n", false],
    ["all:\n  children:\n    compute:\n      children:\n        compute_sriov:\n", true],
    ["all:\n  children:\n    compute:\n    compute_sriov:\n", false],
    ["", false],
  ];
  for (const [text, want] of cases)
    it(`${JSON.stringify(text)}: ${want}`, () =>
      strictEqual(isPartOf(groupsOf([text]), "compute_sriov", "compute"), want));
});
