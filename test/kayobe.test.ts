import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { diffLines } from "diff";
import { parse } from "yaml";
import type { Merge } from "../generator/kayobe/draft.js";
import type { ConfigFile } from "../generator/kayobe/layers.js";
import { merge } from "../generator/kayobe/merge.js";
import type { MergeOptions } from "../generator/kayobe/merge.js";
import { success } from "../generator/ir.js";
import { vlanRange } from "../generator/kayobe/vlans.js";
import { run } from "../generator/system/process.js";
import {
  applied,
  artefact,
  config,
  fixture,
  fixtures,
  hints,
  merged,
  none,
  refused,
  refusals,
  version,
  wanted,
} from "./configuration.js";
import { cli, put, repository, temporary, tool } from "./support.js";

const passThrough = "kolla_overcloud_inventory_pass_through_host_vars_extra";
const vlans = "kolla_neutron_ml2_network_vlan_ranges";
const drivers = "kolla_neutron_ml2_mechanism_drivers";

describe("a new configuration", () => {
  const after = merged(config({ "inventory/groups": "[compute]\n" }));
  for (const { path, text } of artefact) it(`gets ${path}`, () => strictEqual(after.get(path), text));
});

describe("every fixture", () => {
  const variants: [title: string, change: (text: string) => string][] = [
    ["as it is", (text) => text],
    ["with CRLF", (text) => text.replaceAll("\n", "\r\n")],
    ["without a final end of line", (text) => text.replace(/\n$/, "")],
  ];
  for (const name of readdirSync(fixtures))
    for (const [title, change] of variants)
      it(`${name}, ${title}, keeps each of its lines, but for those that had to change`, () => {
        const before = fixture(name).map((file) =>
          file.text === undefined || file.path.includes("inventory/") ? file : { ...file, text: change(file.text) },
        );
        const environments = [
          undefined,
          ...(name === "environments"
            ? ["production", "test"]
            : before.flatMap(({ path, text }) =>
                text === undefined ? (/^environments\/([^/]+)$/.exec(path)?.[1] ?? []) : [],
              )),
        ];
        for (const environment of environments) {
          const after = merged(before, {
            hook: true,
            vlanRanges: [{ network: "physnet2", range: "100:199" }],
            ...(environment ? { environment } : {}),
          });
          for (const { path, text } of before) {
            if (text === undefined) continue;
            const now = after.get(path)!;
            const lost = diffLines(text, now, { stripTrailingCr: false })
              .filter(({ removed }) => removed)
              .map(({ value }) => value.trimEnd());
            const changed = lost
              .flatMap((lines) => lines.split(/\r?\n/))
              .filter((line) => !now.split(/\r?\n/).includes(line));
            for (const line of changed)
              match(
                line,
                /^kolla_enable_neutron_sriov: no|our_numa\]$|^nova_pci_passthrough_whitelist:$|^ {4}ImagePropertiesFilter$|^our_numa\]$|^ovn,$/,
                `${path} lost ${line}`,
              );
            strictEqual(/[^\r]\n/.test(now) && /\r\n/.test(now), false, `${path} has ends of line of two kinds`);
          }
        }
      });

  it("lived_in has what was meant, by a reading of the whole", () => {
    const after = merged(fixture("lived_in"), {
      vlanRanges: [{ network: "physnet2", range: "100:199" }, { network: "physnet3" }],
    });
    const yaml = (path: string): { [key: string]: unknown } =>
      parse(after.get(path)!, { version: "1.1", logLevel: "silent" }) as { [key: string]: unknown };
    deepStrictEqual(yaml("ansible/requirements.yml")["collections"], [
      { name: "acme.tools", version: "2.0.0" },
      { name: "stackhpc.linux", version: "1.5.2" },
      { name: "stackhpc.sriov", version },
    ]);
    strictEqual(yaml("kolla.yml")["kolla_enable_neutron_sriov"], true);
    deepStrictEqual(yaml("kolla.yml")[passThrough], ["our_bonds", "our_numa", "sriov_openstack"]);
    deepStrictEqual(yaml("neutron.yml")[drivers], ["openvswitch", "l2population", "sriovnicswitch"]);
    deepStrictEqual(yaml("neutron.yml")[vlans], [
      { physical_network: "physnet1", range: "10:4000" },
      { physical_network: "physnet2", range: "100:199" },
      { physical_network: "physnet3" },
    ]);
    for (const key of Object.keys(parse(wanted("kolla/globals.yml")) as object))
      deepStrictEqual(
        yaml("kolla/globals.yml")[key],
        (parse(wanted("kolla/globals.yml")) as { [key: string]: unknown })[key],
      );
    match(after.get("kolla/config/nova.conf")!, /^ {4}ImagePropertiesFilter, PciPassthroughFilter$/m);
    ok(!after.has("inventory/sriov"), "the group is defined in inventory/hosts");
    ok(!after.has("inventory/group_vars/compute_sriov/sriov"), "sriov_devices is set for the group above");
    ok(after.has("inventory/group_vars/compute_sriov/sriov_openstack"));
  });
});

describe("PyYAML", () => {
  for (const name of ["plain", "lived_in"])
    it(`reads ${name} as it was meant`, async () => {
      const after = merged(fixture(name), { vlanRanges: [{ network: "physnet2", range: "100:199" }] });
      const folder = temporary();
      const paths = ["kolla.yml", "neutron.yml", "kolla/globals.yml", "ansible/requirements.yml"];
      put(folder, Object.fromEntries(paths.map((path) => [path, after.get(path)!])));
      const program =
        "import json, sys, yaml; yaml.SafeLoader.add_constructor('!vault', lambda l, n: n.value); print(json.dumps([yaml.safe_load(open(p)) for p in sys.argv[1:]]))";
      const { code, stdout, output } = await tool("python", ["-c", program, ...paths], folder);
      strictEqual(code, 0, output);
      deepStrictEqual(
        JSON.parse(stdout),
        paths.map((path) => parse(after.get(path)!, { version: "1.1", logLevel: "silent" })),
      );
    });
});

describe("files that are ours as a whole", () => {
  it("are replaced when they are of an earlier version", () => {
    const path = "ansible/sriov.yml";
    const after = merged(
      config({
        "kolla.yml": "",
        [path]: "---\n# Written by sriov-role kayobe, which replaces it. Old.\n- hosts: all\n",
      }),
    );
    strictEqual(after.get(path), wanted(path));
  });
  for (const path of ["ansible/sriov.yml", "inventory/group_vars/compute_sriov/sriov_openstack"])
    it(`${path} of another author is left, and refused`, () =>
      match(
        refused({ "kolla.yml": "", [path]: "---\n# Ours.\na: 1\n" }),
        new RegExp(`^${path.replace(".", "\\.")} does not belong to sriov-role kayobe`),
      ));
  it("need a folder for the group", () =>
    match(
      refused({ "inventory/group_vars/compute_sriov": "a: 1\n" }),
      /^inventory\/group_vars\/compute_sriov is a file where a folder must be\. Type: git mv /,
    ));
  for (const extension of ["yml", "yaml", "json"])
    it(`need that no .${extension} of the group is there, which Ansible would leave out`, () =>
      match(
        refused({ [`inventory/group_vars/compute_sriov.${extension}`]: "{}\n" }),
        new RegExp(`compute_sriov\\.${extension} and a folder compute_sriov cannot both exist: .*git mv `),
      ));
});

describe("files that are yours after the first time", () => {
  const seed = "inventory/group_vars/compute_sriov/sriov";
  const cases: [title: string, files: { readonly [path: string]: string }, left: string][] = [
    ["inventory/sriov that is there", { "inventory/sriov": "[compute_sriov]\nhv1\n" }, "inventory/sriov"],
    ["a group that another file of the inventory has", { "inventory/groups": "[compute_sriov]\n" }, "inventory/sriov"],
    [
      "a group in YAML, in a folder",
      { "inventory/more/hosts.yml": "all:\n  children:\n    compute_sriov:\n" },
      "inventory/sriov",
    ],
    ["variables that are there", { [seed]: "sriov_devices: []\n" }, seed],
    ["variables in another file of the group", { "inventory/group_vars/compute_sriov/nics.yml": "a: 1\n" }, seed],
    ["devices of a group above", { "inventory/group_vars/compute/sriov": "sriov_devices: []\n" }, seed],
    ["variables that are encrypted", { [seed]: "$ANSIBLE_VAULT;1.1;AES256\n31\n" }, seed],
  ];
  for (const [title, files, left] of cases)
    it(`are not made next to ${title}`, () => strictEqual(merged(config(files)).get(left), files[left]));
  it("a group that is not part of compute is reported, because Kayobe ignores its hosts", () => {
    match(
      hints({ "inventory/groups": "[compute_sriov]\nhv1\n" }).join("\n"),
      /^inventory\/groups contains the group compute_sriov, and nothing makes it part of compute/m,
    );
    deepStrictEqual(hints({ "inventory/groups": "[compute_sriov]\nhv1\n[compute:children]\ncompute_sriov\n" }), []);
  });
  it("are made next to a group in a file that Ansible does not read", () =>
    strictEqual(
      merged(config({ "inventory/groups.orig": "[compute_sriov]\n" })).get("inventory/sriov"),
      wanted("inventory/sriov"),
    ));
  it("are made next to what is ours as a whole", () =>
    strictEqual(
      merged(
        config({
          "kolla.yml": "",
          "inventory/group_vars/compute_sriov/sriov_openstack": wanted(
            "inventory/group_vars/compute_sriov/sriov_openstack",
          ),
        }),
      ).get(seed),
      wanted(seed),
    ));
  it("are made next to devices of a host", () =>
    strictEqual(merged(config({ "inventory/host_vars/hv1": "sriov_devices: []\n" })).get(seed), wanted(seed)));
});

describe("ansible/requirements.yml", () => {
  const path = "ansible/requirements.yml";
  const cases: [title: string, given: string, want: string][] = [
    [
      "roles alone",
      "---\nroles:\n  - a\n",
      `---\nroles:\n  - a\n\n# \`sriov-role kayobe\` keeps the version of stackhpc.sriov.\ncollections:\n  - name: stackhpc.sriov\n    version: ${version}\n`,
    ],
    [
      "a list of roles",
      "---\n- src: a\n  version: v1\n",
      `---\nroles:\n- src: a\n  version: v1\n\n# \`sriov-role kayobe\` keeps the version of stackhpc.sriov.\ncollections:\n  - name: stackhpc.sriov\n    version: ${version}\n`,
    ],
    [
      "collections without one",
      "collections:\nroles: []\n",
      `collections:\n  - name: stackhpc.sriov\n    version: ${version}\nroles: []\n`,
    ],
    [
      "an earlier version",
      'collections:\n- name: stackhpc.sriov # cards\n  version: "0.9.0"\n- name: b.c\n',
      `collections:\n- name: stackhpc.sriov # cards\n  version: "${version}"\n- name: b.c\n`,
    ],
    [
      "an earlier version in brackets",
      "collections: [{name: stackhpc.sriov, version: 0.9.0}]\n",
      `collections: [{name: stackhpc.sriov, version: ${version}}]\n`,
    ],
  ];
  for (const [title, given, want] of cases)
    it(title, () => strictEqual(merged(config({ "kolla.yml": "", [path]: given })).get(path), want));
  const kept = [
    "collections:\n  - stackhpc.sriov\n",
    "collections:\n  - name: stackhpc.sriov\n",
    'collections:\n  - name: stackhpc.sriov\n    version: ">=1.0.0"\n',
    "collections:\n  - name: https://example.org/ansible-collection-sriov.git\n    type: git\n    version: main\n",
    "collections:\n  - name: stackhpc.sriov\n    source: https://example.org/api\n    version: 0.1.0\n",
    "collections:\n  - name: /srv/stackhpc-sriov-1.0.0.tar.gz\n    type: file\n",
  ];
  for (const text of kept)
    it(`keeps ${JSON.stringify(text)}, and reports it`, () => {
      strictEqual(merged(config({ "kolla.yml": "", [path]: text })).get(path), text);
      match(
        hints({ "kolla.yml": "", [path]: text }).join("\n"),
        /^ansible\/requirements\.yml chooses stackhpc\.sriov in its own way/m,
      );
    });
  it("a list in brackets is refused", () =>
    match(
      refused({ "kolla.yml": "", [path]: "[a]\n" }),
      /^ansible\/requirements\.yml is a list in brackets\. Fix that, or add by hand:\n {4}collections:/,
    ));
});

describe("kolla.yml", () => {
  const enable = "kolla_enable_neutron_sriov";
  for (const value of ["true", "yes", '"yes"', '"True"', "on", "1"])
    it(`${enable}: ${value} is left`, () =>
      match(
        merged(config({ "kolla.yml": `${enable}: ${value}\n` })).get("kolla.yml")!,
        new RegExp(`^${enable}: ${value}\n`),
      ));
  for (const value of ["false", "no", '"no"', "", "~"])
    it(`${enable}: ${value} becomes true`, () =>
      match(
        merged(config({ "kolla.yml": `${enable}: ${value}\n` })).get("kolla.yml")!,
        new RegExp(`^${enable}: true *\n`),
      ));
  it("an expression is refused", () =>
    match(
      refused({ "kolla.yml": `a: 1\n${enable}: "{{ x }}"\n` }),
      /^kolla\.yml:2: kolla_enable_neutron_sriov is "\{\{ x \}\}".* Set it to true by hand\.$/,
    ));
  it("a list that is an expression is refused", () =>
    match(
      refused({ "kolla.yml": `${passThrough}: "{{ x }}"\n` }),
      /^kolla\.yml:1: .* is an expression, .* Add by hand: "sriov_openstack"$/,
    ));
  it("an expression with it, added by hand, is left", () => {
    const text = `${passThrough}: "{{ x + ['sriov_openstack'] }}"\n`;
    match(
      merged(config({ "kolla.yml": text })).get("kolla.yml")!,
      /^kolla_overcloud.*\{\{ x \+ \['sriov_openstack'\] \}\}"\n/,
    );
  });
  it("a variable that another file of the folder sets is changed there", () => {
    const after = merged(config({ "kolla.yml": "a: 1\n", "zz-ours.yml": `${enable}: false\n` }));
    strictEqual(after.get("zz-ours.yml"), `${enable}: true\n`);
    doesNotMatch(after.get("kolla.yml")!, new RegExp(enable));
  });
  it("of two files that set a variable, the last is changed", () => {
    const after = merged(config({ "kolla.yml": `${enable}: true\n`, "zz-ours.yml": `${enable}: false\n` }));
    strictEqual(after.get("zz-ours.yml"), `${enable}: true\n`);
  });
  it("a list in group_vars, which it would hide, is refused", () =>
    match(
      refused({ "inventory/group_vars/all/kolla": `${passThrough}: [a]\n` }),
      /^inventory\/group_vars\/all\/kolla sets .*Move it to kolla\.yml/,
    ));
  it("encrypted is refused, with what to add", () =>
    match(
      refusals({ "kolla.yml": "$ANSIBLE_VAULT;1.1;AES256\n3132\n" }).join("\n"),
      /^kolla\.yml is encrypted with Ansible Vault[^]*\n {4}kolla_enable_neutron_sriov: true$/m,
    ));
  it("that is not text is refused", () =>
    match(
      merge(artefact, [...config({ "neutron.yml": "" }), { path: "kolla.yml" }], none).refusals[0]!,
      /^kolla\.yml is not a file with text in UTF-8, or cannot be read\.$/,
    ));
  it("a variable in JSON is refused", () =>
    match(
      refused({ "ours.json": `{"${enable}": false}\n` }),
      /^ours\.json is JSON, which is not edited here\. Fix that, or add by hand:/,
    ));
  it("that is not YAML is refused, with its fault", () =>
    match(refusals({ "kolla.yml": "a: [\n" })[0]!, /^kolla\.yml is not YAML: /));
});

describe("kolla/globals.yml", () => {
  const path = "kolla/globals.yml";
  it("that Jinja makes is refused, until it is added by hand", () => {
    const made = "{% if x %}a: 1{% endif %}\n";
    const refusal = refused({ [path]: made });
    match(
      refusal,
      /^kolla\/globals\.yml is not YAML: .*\. Kayobe renders it with Jinja, and it cannot be edited here\. Add by hand:\n/,
    );
    for (const key of Object.keys(parse(wanted(path)) as object)) match(refusal, new RegExp(`^ {4}${key}: `, "m"));
    deepStrictEqual(refusals({ [path]: `${made}${wanted(path).slice(4)}` }), []);
    match(
      refused({ [path]: `${made}${wanted(path).slice(4)}neutron_sriov_physnet_mappings:\n  a: b\n` }),
      /^kolla\/globals\.yml:\d+: neutron_sriov_physnet_mappings is set by hand/,
    );
  });
  for (const [key, value, want] of [
    ["neutron_sriov_physnet_mappings", "{physnet2: ens1f0}", "ens1f0: physnet2"],
    [
      "nova_pci_passthrough_whitelist",
      '[{devname: ens1f0, physical_network: physnet2}, {address: "0000:3b:00.1", physical_network: physnet3}]',
      'ens1f0: physnet2\n {6}"0000:3b:00\\.1": physnet3',
    ],
    ["nova_pci_passthrough_whitelist", '"{{ x }}"', "ens1f0: physnet2"],
  ] as const)
    it(`${key}: ${value} is refused, with the way to write it`, () =>
      match(
        refused({ [path]: `---\n${key}: ${value}\n` }),
        new RegExp(`^kolla/globals\\.yml:2: ${key} is set by hand[^]*sriov_physnet_mappings:\n {6}${want}$`),
      ));
  it("what an earlier version wrote is replaced", () => {
    const own = Object.keys(parse(wanted(path)) as object).find((key) => key.startsWith("sriov_"));
    const after = merged(
      config({ [path]: `neutron_sriov_physnets: "{% raw %}{{ sriov_openstack.old }}{% endraw %}"\n${own}: old\n` }),
    ).get(path)!;
    deepStrictEqual(parse(after), parse(wanted(path)));
  });
  it("the site's value of the agent's extensions is refused, with ours, until both are combined", () => {
    match(
      refused({ [path]: "neutron_agent_extensions: []\n" }),
      /^kolla\/globals\.yml:1: neutron_agent_extensions is already set\. Combine it by hand with:\n[^]* {4}neutron_agent_extensions: /,
    );
    const text = 'neutron_agent_extensions: "{{ neutron_sriov_physnets }}"\n';
    match(
      merged(config({ [path]: text })).get(path)!,
      /^neutron_agent_extensions: "\{\{ neutron_sriov_physnets \}\}"\n/,
    );
    match(
      hints({ [path]: text }).join(),
      /^kolla\/globals\.yml:1: neutron_agent_extensions differs from the lines below/,
    );
  });
  it("the site's value of the agent's mapping is refused", () =>
    match(
      refused({ [path]: "neutron_sriov_physnets: physnet2:ens1f0\n" }),
      /^kolla\/globals\.yml:1: neutron_sriov_physnets is already set/,
    ));
});

describe("neutron.yml", () => {
  const file = (text: string, ...vlanRanges: MergeOptions["vlanRanges"]): string | undefined =>
    merged(config({ "kolla.yml": "", "neutron.yml": text }), { vlanRanges }).get("neutron.yml");
  for (const text of [
    "a: 1\n",
    `${drivers}:\n`,
    `${drivers}: []\n`,
    `${drivers}: [ovn, sriovnicswitch]\n`,
    `${drivers}: "{{ x + ['sriovnicswitch'] }}"\n`,
  ])
    it(`${JSON.stringify(text)} is left`, () => strictEqual(file(text), text));
  it("a list of drivers gets ours", () =>
    strictEqual(file(`${drivers}: [ovn]\n`), `${drivers}: [ovn, sriovnicswitch]\n`));
  it("an expression for the drivers is refused", () =>
    match(refused({ "neutron.yml": `${drivers}: "{{ x }}"\n` }), /Add by hand: "sriovnicswitch"$/));
  it("a range that is there is left", () =>
    strictEqual(
      file(`${vlans}: [{physical_network: physnet2, range: "1:99"}]\n`, { network: "physnet2", range: "1:99" }),
      `${vlans}: [{physical_network: physnet2, range: "1:99"}]\n`,
    ));
  it("a network without a range, too", () =>
    strictEqual(
      file(`${vlans}: [{physical_network: physnet2}]\n`, { network: "physnet2" }),
      `${vlans}: [{physical_network: physnet2}]\n`,
    ));
  it("no range where there is one is refused", () =>
    match(
      refused(
        { "neutron.yml": `${vlans}: [{physical_network: p, range: "1:99"}]\n` },
        { vlanRanges: [{ network: "p" }] },
      ),
      /^neutron\.yml:1: .* has p with .*, but no range was requested. Change it by hand, or omit --vlan-range p\.$/,
    ));
  for (const [text, want] of [
    [
      "{physical_network: p, range: 1:99}",
      '{physical_network: p, range: 1:99}, {physical_network: p, range: "200:299"}',
    ],
    ["{physical_network: p}", '{physical_network: p}, {physical_network: p, range: "200:299"}'],
  ] as const)
    it(`another range than ${text} is added to it`, () =>
      strictEqual(file(`${vlans}: [${text}]\n`, { network: "p", range: "200:299" }), `${vlans}: [${want}]\n`));
  it("of several ranges, any may be the one", () =>
    strictEqual(
      file(`${vlans}: [{physical_network: p, range: "1:9"}, {physical_network: p, range: "20:99"}]\n`, {
        network: "p",
        range: "20:99",
      }),
      `${vlans}: [{physical_network: p, range: "1:9"}, {physical_network: p, range: "20:99"}]\n`,
    ));
  it("a range that YAML takes for a number is refused", () =>
    match(
      refused(
        { "neutron.yml": `${vlans}: [{physical_network: p, range: 10:40}]\n` },
        { vlanRanges: [{ network: "p", range: "10:40" }] },
      ),
      /^neutron\.yml:1: .* the number 640: put it in quotes\.$/,
    ));
  it("a first range is reported, because of Kolla's own", () =>
    match(hints({ "neutron.yml": "" }, { vlanRanges: [{ network: "p" }] }).join(), /Kolla used physnet1/));

  const inventory = {
    "inventory/group_vars/compute_sriov/sriov": "sriov_devices:\n  - name: a\n    physical_network: physnet2\n",
    "inventory/host_vars/hv1": "sriov_physnet_mappings: {ens1f0: physnet3}\n",
  };
  it("networks without an entry are reported, with the option", () => {
    const [first = "", second = "", ...more] = hints({
      ...inventory,
      "neutron.yml": `${vlans}: [{physical_network: physnet9}]\n`,
    });
    match(
      first,
      /^inventory\/group_vars\/compute_sriov\/sriov:3: physnet2 has no entry in .* --vlan-range physnet2:FIRST:LAST/,
    );
    match(second, /^inventory\/host_vars\/hv1:1: physnet3 has no entry/);
    deepStrictEqual(more, []);
  });
  it("not when they have one, or an expression decides", () => {
    deepStrictEqual(
      hints({
        ...inventory,
        "neutron.yml": `${vlans}: [{physical_network: physnet2}, {physical_network: physnet3}]\n`,
      }),
      [],
    );
    deepStrictEqual(hints({ ...inventory, "neutron.yml": `${vlans}: "{{ x }}"\n` }), []);
    deepStrictEqual(hints({ ...inventory, "neutron.yml": `${vlans}: [{physical_network: "{{ x }}"}]\n` }), []);
  });
});

describe(vlanRange.name, () => {
  const cases: [text: string, want: unknown][] = [
    ["physnet2", { network: "physnet2" }],
    ["physnet2:100:199", { network: "physnet2", range: "100:199" }],
    ["p:1:4094", { network: "p", range: "1:4094" }],
    ["p:7:7", { network: "p", range: "7:7" }],
  ];
  for (const [text, want] of cases) it(text, () => deepStrictEqual(vlanRange(text), success(want)));
  for (const text of ["p:0:9", "p:1:4095", "p:9:8", "p:1", "p:1:2:3", "p:a:b", ":1:2", "", "a b:1:2", "p::", "p:01:2"])
    it(`not ${JSON.stringify(text)}`, () => strictEqual(vlanRange(text).ok, false));
});

describe("options of ML2 in the site's files", () => {
  const ml2 = "kolla/config/neutron/ml2_conf.ini";
  const inventory = {
    "inventory/group_vars/compute_sriov/x": "sriov_devices:\n  - name: a\n    physical_network: physnet2\n",
  };
  const text = "[ml2]\nmechanism_drivers = openvswitch,\n  l2population\n";
  for (const path of [ml2, "kolla/config/neutron/ctl1/ml2_conf.ini"])
    it(`${path} without the driver is refused, with what to add`, () =>
      match(
        refused({ [path]: text }),
        /ml2_conf\.ini:2: mechanism_drivers replaces .* Add it by hand: mechanism_drivers = openvswitch, l2population, sriovnicswitch$/,
      ));
  it("in kolla.yml, too", () =>
    match(
      refused({ "kolla.yml": "kolla_extra_neutron_ml2: |\n  [ml2]\n  mechanism_drivers = ovn\n" }),
      /^kolla\.yml:1: mechanism_drivers .* = ovn, sriovnicswitch$/,
    ));
  it("with the driver are right", () =>
    deepStrictEqual(
      refusals({ [ml2]: "[ml2]\nmechanism_drivers = ovn,sriovnicswitch\n[ml2_type_flat]\nmechanism_drivers = x\n" }),
      [],
    ));
  it("of the base count nothing where an environment has its own", () =>
    deepStrictEqual(
      refusals(
        { "kolla.yml": "", [ml2]: text, [`environments/e/${ml2}`]: "[ml2]\nmechanism_drivers = ovn,sriovnicswitch\n" },
        { environment: "e" },
      ),
      [],
    ));
  for (const value of ["physnet2:1:99", "physnet1,physnet2", "{{ x }}"])
    it(`ranges ${value} are known`, () =>
      deepStrictEqual(hints({ ...inventory, [ml2]: `[ml2_type_vlan]\nnetwork_vlan_ranges = ${value}\n` }), []));
  it("ranges of other networks are not", () =>
    match(
      hints({ ...inventory, [ml2]: "[ml2_type_vlan]\nnetwork_vlan_ranges = physnet1:1:99\n" }).join(),
      /physnet2 has no entry/,
    ));
  it("the site's ranges let --vlan-range have no effect", () =>
    match(
      refused(
        { [ml2]: "[ml2_type_vlan]\nnetwork_vlan_ranges = physnet2:1:99\n" },
        { vlanRanges: [{ network: "physnet2" }] },
      ),
      /^kolla\/config\/neutron\/ml2_conf\.ini:2: network_vlan_ranges replaces what --vlan-range would set/,
    ));
});

describe("switches of Kolla's own", () => {
  for (const value of ["false", "no", '"no"'])
    it(`enable_neutron_sriov: ${value} is refused`, () =>
      match(
        refused({ "kolla/globals.yml": `a: 1\nenable_neutron_sriov: ${value}\n` }),
        /^kolla\/globals\.yml:2: enable_neutron_sriov turns Neutron's SR-IOV agent off/,
      ));
  for (const value of ["true", '"yes"', '"{{ x }}"'])
    it(`enable_neutron_sriov: ${value} is left`, () =>
      deepStrictEqual(refusals({ "kolla/globals.yml": `enable_neutron_sriov: ${value}\n` }), []));
  it("in kolla_extra_globals, too", () =>
    match(
      refused({ "kolla.yml": "kolla_extra_globals:\n  enable_neutron_sriov: no\n" }),
      /^kolla\.yml:1: kolla_extra_globals: enable_neutron_sriov turns/,
    ));
  it("lists of devices in kolla_extra_globals are refused", () =>
    match(
      refused({ "kolla.yml": "kolla_extra_globals:\n  neutron_sriov_physnet_mappings: {physnet2: ens1f0}\n" }),
      /^kolla\.yml:1: kolla_extra_globals: neutron_sriov_physnet_mappings is set by hand[^]*ens1f0: physnet2$/,
    ));
  const whole = "kolla_overcloud_inventory_pass_through_host_vars";
  for (const value of ["[a]", '"{{ x }}"'])
    it(`the whole list of what is passed through, ${value}, is refused`, () =>
      match(
        refused({ "kolla.yml": `${whole}: ${value}\n` }),
        /^kolla\.yml:1: kolla_overcloud_inventory_pass_through_host_vars is set as a whole/,
      ));
  it("in group_vars, too", () =>
    match(
      refused({ "kolla.yml": "", "inventory/group_vars/all/x": `${whole}: [a]\n` }),
      /^inventory\/group_vars\/all\/x:1: .* is set as a whole/,
    ));
  for (const value of ["[a, sriov_openstack]", `"{{ x + ${whole}_extra }}"`])
    it(`${value} is left`, () => deepStrictEqual(refusals({ "kolla.yml": `${whole}: ${value}\n` }), []));
});

describe("Nova's filters", () => {
  const nova = "kolla/config/nova.conf";
  const list = (value: string): string => `[filter_scheduler]\nenabled_filters = ${value}\n`;
  it("are left when ours is among them", () =>
    strictEqual(
      merged(config({ [nova]: list("A, PciPassthroughFilter") })).get(nova),
      list("A, PciPassthroughFilter"),
    ));
  it("get ours at the end", () =>
    strictEqual(merged(config({ [nova]: list("A,B") })).get(nova), list("A,B, PciPassthroughFilter")));
  it("are edited where the last of two lists is", () =>
    strictEqual(
      merged(config({ [nova]: `${list("A")}${list("B")}` })).get(nova),
      `${list("A")}${list("B, PciPassthroughFilter")}`,
    ));
  it("are added as a separate section to a file with others", () =>
    strictEqual(merged(config({ [nova]: "[DEFAULT]\na = 1" })).get(nova), `[DEFAULT]\na = 1\n${wanted(nova)}`));
  for (const path of ["kolla/config/global.conf", "kolla/config/nova/nova-scheduler.conf"])
    it(`are edited in ${path}, and no other list is made`, () => {
      const after = merged(config({ [path]: list("A") }));
      strictEqual(after.get(path), list("A, PciPassthroughFilter"));
      ok(!after.has(nova));
    });
  it("in kolla.yml are refused, because those of a file come in their place", () =>
    match(
      refused({ "kolla.yml": "kolla_extra_nova: |\n  [filter_scheduler]\n  enabled_filters = A\n" }),
      /^kolla\.yml:1: kolla_extra_nova contains enabled_filters, .* Move them below \[filter_scheduler\] of kolla\/config\/nova\.conf/,
    ));
  const either = `{% if x %}\n${list("A")}{% else %}\n${list("B, PciPassthroughFilter")}{% endif %}\n`;
  it("under conditions are edited, each of them", () =>
    strictEqual(merged(config({ [nova]: either })).get(nova), either.replace("= A", "= A, PciPassthroughFilter")));
  it("under a condition and without are edited, both of them", () =>
    strictEqual(
      merged(config({ [nova]: `${list("A")}{% if x %}\nenabled_filters = B\n{% endif %}\n` })).get(nova),
      `${list("A, PciPassthroughFilter")}{% if x %}\nenabled_filters = B, PciPassthroughFilter\n{% endif %}\n`,
    ));
  it("under a condition before one without are left", () =>
    strictEqual(
      merged(config({ [nova]: `{% if x %}\n${list("B")}{% endif %}\n${list("A")}` })).get(nova),
      `{% if x %}\n${list("B")}{% endif %}\n${list("A, PciPassthroughFilter")}`,
    ));
  it("under a condition, in text for Kolla, are edited too", () =>
    match(
      merged(
        config({ [nova]: `{% raw %}\n${list("A")}{% if x %}\nenabled_filters = B\n{% endif %}\n{% endraw %}\n` }),
      ).get(nova)!,
      /= A, PciPassthroughFilter\n.*\nenabled_filters = B, PciPassthroughFilter\n/,
    ));
  for (const text of [
    "[filter_scheduler]\n{% if x %}enabled_filters = A{% endif %}\n",
    `[filter_scheduler]\nenabled_filters = A,\n{% if x %}\n  B\n{% endif %}\n`,
  ])
    it(`${JSON.stringify(text)} is refused`, () =>
      match(
        refused({ [nova]: text }),
        /^kolla\/config\/nova\.conf:\d: enabled_filters has no PciPassthroughFilter, and a Jinja condition decides/,
      ));
  it("under a condition in the base are refused for an environment", () =>
    match(
      refused({ "environments/e/kolla.yml": "", [nova]: either }, { environment: "e" }),
      /^kolla\/config\/nova\.conf:3: .* Add PciPassthroughFilter to it by hand\.$/,
    ));
  it("with an expression are repeated as they are", () =>
    match(
      merged(config({ "environments/e/kolla.yml": "", [nova]: list("{{ 'B, ' if x else '' }}A,") }), {
        environment: "e",
      }).get(`environments/e/${nova}`)!,
      /^enabled_filters = \{\{ 'B, ' if x else '' \}\}A, PciPassthroughFilter$/m,
    ));
  const vault = "$ANSIBLE_VAULT;1.1;AES256\n3132\n";
  it("that may be in an encrypted file are refused, until they are in another one", () => {
    match(
      refused({ [nova]: vault }),
      /^kolla\/config\/nova\.conf is encrypted .* Add by hand to kolla\/config\/nova\/nova-scheduler\.conf, which must not be encrypted, [^]*\n {4}\[filter_scheduler\]\n {4}enabled_filters = .*PciPassthroughFilter$/,
    );
    deepStrictEqual(
      refusals({ [nova]: vault, "kolla/config/nova/nova-scheduler.conf": list("A, PciPassthroughFilter") }),
      [],
    );
    match(
      refused({ "environments/e/kolla.yml": "", [nova]: vault }, { environment: "e" }),
      /^kolla\/config\/nova\.conf is encrypted .* Add by hand to environments\/e\/kolla\/config\/nova\/nova-scheduler\.conf/,
    );
  });
  it("of a single host are edited too, and a list for the others is made", () => {
    const after = merged(config({ "kolla/config/nova/ctl1/nova.conf": list("A") }));
    strictEqual(after.get("kolla/config/nova/ctl1/nova.conf"), list("A, PciPassthroughFilter"));
    strictEqual(after.get(nova), wanted(nova));
  });
});

describe("lists for Nova and for the agent", () => {
  const compute = "kolla/config/nova/nova-compute.conf";
  const agent = "kolla/config/neutron/sriov_agent.ini";
  it("that an earlier version wrote are replaced", () => {
    const after = merged(
      config({
        [compute]:
          "[pci]\npassthrough_whitelist = {% raw %}{{ sriov_openstack.device_specs | to_json }}{% endraw %}\n\nalias = x\n",
        [agent]: "[sriov_nic]\nphysical_device_mappings = {{ neutron_sriov_physnets }}\n",
      }),
    );
    match(after.get(compute)!, /^\[pci\]\n\{\{ openstack_release.*\{% endraw %\}\n\nalias = x\n$/);
    match(
      after.get(agent)!,
      /^\[sriov_nic\]\nexclude_devices = [^\n]*\n\nphysical_device_mappings = \{% raw %\}\{\{ neutron_sriov_physnets \}\}\{% endraw %\}\n/,
    );
  });
  const spec = 'device_spec = {"devname": "ens1f0", "physical_network": "physnet2"}\n';
  const foreign: [title: string, path: string, text: string, want: RegExp][] = [
    [
      "in the same file",
      compute,
      `[pci]\n${spec}`,
      /^kolla\/config\/nova\/nova-compute\.conf:2: \[pci\] device_spec is set by hand. Nova would use both lists/,
    ],
    [
      "under the name of before",
      compute,
      "[pci]\n# x\npassthrough_whitelist = {}\n",
      /nova-compute\.conf:3: \[pci\] passthrough_whitelist/,
    ],
    [
      "under the oldest name",
      "kolla/config/nova.conf",
      "[DEFAULT]\npci_passthrough_whitelist = {}\n",
      /nova\.conf:2: \[DEFAULT\] pci_passthrough_whitelist/,
    ],
    ["for all services", "kolla/config/global.conf", `[pci]\n${spec}`, /global\.conf:2: /],
    ["for one host", "kolla/config/nova/hv1/nova.conf", `[pci]\n${spec}`, /hv1\/nova\.conf:2: /],
    ["in another folder", "kolla/config/nova_compute/hv1.conf", `[pci]\n${spec}`, /hv1\.conf:2: /],
    [
      "with our variables in a file that is not ours",
      "kolla/config/nova.conf",
      "[pci]\ndevice_spec = {{ sriov_openstack.device_specs }}\n",
      /nova\.conf:2: /,
    ],
    ["under a condition", compute, `[pci]\n{% if x %}${spec.trim()}{% endif %}\n`, /nova-compute\.conf:2: /],
    [
      "for the agent",
      agent,
      "[sriov_nic]\nphysical_device_mappings = physnet2:ens1f0\n",
      /sriov_agent\.ini:2: physical_device_mappings is set by hand, and the agent would use only one/,
    ],
    [
      "VFs that are left out",
      agent,
      "[sriov_nic]\nexclude_devices = ens1f0:0000:3b:02.0\n",
      /sriov_agent\.ini:2: exclude_devices .* exclude_vfs/,
    ],
    [
      "for the agent of one host",
      "kolla/config/neutron/hv1/sriov_agent.ini",
      "[sriov_nic]\nphysical_device_mappings = a:b\n",
      /hv1\/sriov_agent\.ini:2: /,
    ],
  ];
  for (const [title, path, text, want] of foreign)
    it(`in the site's files, ${title}, are refused`, () => match(refused({ [path]: text }), want));
  const gpu = 'device_spec = {"vendor_id": "10de", "product_id": "20b0"}\n';
  it("of other kinds may be next to ours", () => {
    const after = merged(config({ [compute]: `[pci]\n${gpu}` })).get(compute)!;
    match(after, /^\[pci\]\n# Derived[^\n]*\n\{\{ openstack_release[^\n]*\n\ndevice_spec = \{"vendor_id": "10de"/);
  });
  it("of other kinds are refused where ours would come in their place", () =>
    match(
      refused({ "kolla/config/nova.conf": `[pci]\n${gpu}` }),
      /^kolla\/config\/nova\.conf:2: what is derived from sriov_devices would replace \[pci\] device_spec\. Move it below \[pci\] of kolla\/config\/nova\/nova-compute\.conf, where Nova uses both\.$/,
    ));
  it("in Kayobe's own text for a service are refused", () =>
    match(
      refused({ "kolla.yml": "kolla_extra_nova: |\n  [pci]\n  device_spec = {}\n" }),
      /^kolla\.yml:1: kolla_extra_nova contains a list of devices/,
    ));
  it("for other services are ignored", () =>
    deepStrictEqual(
      refusals({
        "kolla/config/cinder.conf": `[pci]\n${spec}`,
        [compute]: "[pci]\nalias = x\n# device_spec = y\n[vnc]\ndevice_spec = z\n",
      }),
      [],
    ));
  it("that are there twice are refused", () =>
    match(
      refused({ [compute]: `${wanted(compute)}${wanted(compute)}` }),
      /is set twice, first in .*:4\. Delete this one\.$/,
    ));
  it("of an environment are refused for the base, which would be joined to it", () =>
    match(
      refused({ [`environments/e/${compute}`]: wanted(compute) }),
      /^environments\/e\/kolla\/config\/nova\/nova-compute\.conf has it already/,
    ));
});

describe("encrypted files for services", () => {
  const compute = "kolla/config/nova/nova-compute.conf";
  const vault = "$ANSIBLE_VAULT;1.1;AES256\n3132\n";
  it("are refused with the section, until the option is in a file that is not encrypted", () => {
    match(
      refused({ [compute]: vault }),
      /^kolla\/config\/nova\/nova-compute\.conf is encrypted .* in a file that is not encrypted: .* add by hand to kolla\/config\/nova\.conf:\n {4}\[pci\]\n/,
    );
    deepStrictEqual(refusals({ [compute]: vault, "kolla/config/nova.conf": wanted(compute) }), []);
  });
});

describe("an environment", () => {
  const base = Object.fromEntries(
    fixture("environments").flatMap(({ path, text }) => (text === undefined ? [] : [[path, text]])),
  );
  it("gets everything but the playbooks and the requirements", () => {
    const { write } = merge(artefact, config(base), { ...none, environment: "test" });
    deepStrictEqual(
      write
        .map(({ path }) => path)
        .filter((path) => !path.startsWith("environments/test/"))
        .sort(),
      ["ansible/requirements.yml", "ansible/sriov-discover.yml", "ansible/sriov-report.yml", "ansible/sriov.yml"],
    );
  });
  it("gets nothing that its base has", () => {
    const after = applied(config(base), merge(artefact, config(base), { ...none, hook: true }));
    deepStrictEqual(merge(artefact, after, { ...none, hook: true, environment: "test" }).write, []);
    deepStrictEqual(merge(artefact, after, { ...none, hook: true, environment: "test" }).links, []);
  });
  it("gets a list that its base has, with ours, and what it depends on has too", () => {
    const after = merged(config(base), { environment: "production" });
    match(
      after.get("environments/production/kolla.yml")!,
      new RegExp(
        `\n# The items of environments/site/kolla\\.yml, repeated: [^\n]*\n${passThrough}:\n {2}- our_bonds\n {2}- sriov_openstack\n`,
      ),
    );
    match(
      after.get("environments/production/neutron.yml")!,
      new RegExp(`\n${drivers}:\n {2}- ovn\n {2}- sriovnicswitch\n`),
    );
  });
  it("gets a list that only the base has, when it does not depend on the other", () =>
    doesNotMatch(merged(config(base), { environment: "test" }).get("environments/test/kolla.yml")!, /our_bonds/));
  it("adds to its own list", () => {
    const after = merged(config({ ...base, "environments/production/kolla.yml": `${passThrough}: [own]\n` }), {
      environment: "production",
    });
    match(after.get("environments/production/kolla.yml")!, new RegExp(`^${passThrough}: \\[own, sriov_openstack\\]\n`));
  });
  it("repeats the filters of its base", () => {
    const after = merged(
      config({ ...base, "kolla/config/nova.conf": "[filter_scheduler]\nenabled_filters = A,\n  B\n" }),
      { environment: "test" },
    );
    match(
      after.get("environments/test/kolla/config/nova.conf")!,
      /^\n\[filter_scheduler\]\n# The list of kolla\/config\/nova\.conf, repeated[^\n]*\nenabled_filters = A, B, PciPassthroughFilter\n\{# Kayobe may join [^\n]*\n$/,
    );
    strictEqual(after.get("kolla/config/nova.conf"), "[filter_scheduler]\nenabled_filters = A,\n  B\n");
  });
  it("does not repeat a list that is more than texts", () =>
    match(
      refused(
        { ...base, "neutron.yml": `${vlans}: [{physical_network: a, range: 5}]\n` },
        { environment: "test", vlanRanges: [{ network: "p" }] },
      ),
      /^neutron\.yml:1: .* cannot be copied into environments\/test\/neutron\.yml/,
    ));
  it("gets only those options of a file that its base has not", () => {
    const agent = "kolla/config/neutron/sriov_agent.ini";
    const after = merged(
      config({
        ...base,
        [agent]: "[sriov_nic]\nphysical_device_mappings = {% raw %}{{ neutron_sriov_physnets }}{% endraw %}\n\n",
      }),
      { environment: "test" },
    );
    match(after.get(`environments/test/${agent}`)!, /^\n\[sriov_nic\]\nexclude_devices = /);
    doesNotMatch(after.get(`environments/test/${agent}`)!, /physical_device_mappings/);
  });
  it("turns on what its base turns off", () =>
    match(
      merged(config({ ...base, "kolla.yml": "kolla_enable_neutron_sriov: false\n" }), { environment: "test" }).get(
        "environments/test/kolla.yml",
      )!,
      /^kolla_enable_neutron_sriov: true$/m,
    ));
  it("is not merged over an earlier version in its base", () =>
    match(
      refused(
        { ...base, "kolla/config/nova/nova-compute.conf": "[pci]\ndevice_spec = {{ sriov_openstack }}\n" },
        { environment: "test" },
      ),
      /was written by an earlier version\. Run sriov-role kayobe for that layer first, without --environment\.$/,
    ));
  it("takes no offence at a file of the group in its base, which Ansible reads too", () => {
    const after = merged(config({ ...base, "inventory/group_vars/compute_sriov.yml": "sriov_devices: []\n" }), {
      environment: "test",
    });
    ok(after.has("environments/test/inventory/group_vars/compute_sriov/sriov_openstack"));
    ok(!after.has("environments/test/inventory/group_vars/compute_sriov/sriov"));
  });
  it("that is not there is refused, with those that are", () =>
    match(
      refused(base, { environment: "prod" }),
      /^There is no environment prod: environments\/ has production, site, test\.$/,
    ));
  for (const text of ["dependencies: site\n", "dependencies: {a: b}\n"])
    it(`with ${JSON.stringify(text)} is refused`, () =>
      match(
        refused({ ...base, "environments/test/.kayobe-environment": text }, { environment: "test" }),
        /^environments\/test\/\.kayobe-environment:1: dependencies must be a list/,
      ));
  it("that overrides what the base sets is reported", () => {
    const reported = hints({
      ...base,
      "environments/a/kolla.yml": "kolla_enable_neutron_sriov: false\n",
      "environments/b/kolla/config/nova.conf": "[filter_scheduler]\nenabled_filters = A\n",
    });
    const names = reported.flatMap(
      (hint) => /^environments\/(\w+) overrides what .* --environment \1, which writes /.exec(hint)?.[1] ?? [],
    );
    deepStrictEqual(names.sort(), ["a", "b", "production", "site"]);
    match(reported.join("\n"), /--environment b, which writes environments\/b\/kolla\/config\/nova\.conf\.$/m);
  });
  it("with a list that cannot be is reported in one whole sentence", () =>
    match(
      hints({ ...base, "environments/test/kolla/globals.yml": "neutron_sriov_physnet_mappings: {physnet2: a}\n" }).join(
        "\n",
      ),
      /^environments\/test has settings that conflict .* \(Kolla uses the reverse order\)\. Then run this again with --environment test\.$/m,
    ));
  it("with something that cannot be is reported", () =>
    match(
      hints({ ...base, "environments/test/kolla/globals.yml": "enable_neutron_sriov: false\n" }).join("\n"),
      /^environments\/test has settings that conflict with this: .* Then run this again with --environment test\.$/m,
    ));
  it("is not reported where it has what is wanted", () => {
    const files = {
      "environments/c/kolla.yml": `${passThrough}: [a, sriov_openstack]\n`,
      "environments/c/kolla/config/nova.conf": "[filter_scheduler]\nenabled_filters = A, PciPassthroughFilter\n",
    };
    deepStrictEqual(hints({ "kolla.yml": "", ...files }), []);
  });
  it("that is a path is refused", () =>
    match(refused(base, { environment: "../x" }), /^There is no environment \.\.\/x/));
  it("that depends on one that is not there is refused", () =>
    match(
      refused({ ...base, "environments/test/.kayobe-environment": "dependencies: [prod]\n" }, { environment: "test" }),
      /^There is no environment prod, on which test depends/,
    ));
  it("that depends on itself is refused", () =>
    match(
      refused(
        { ...base, "environments/site/.kayobe-environment": "dependencies: [production]\n" },
        { environment: "production" },
      ),
      /it depends on itself: production, site, production\.$/,
    ));
});

describe("a hook", () => {
  const path = "hooks/overcloud-host-configure/post.d/10-sriov.yml";
  const hooked = (more: readonly ConfigFile[], environment?: string): Merge =>
    merge(artefact, [...config({ "kolla.yml": "", "environments/e/kolla.yml": "" }), ...more], {
      ...none,
      hook: true,
      ...(environment ? { environment } : {}),
    });
  it("leads to the playbook", () =>
    deepStrictEqual(hooked([]).links, [{ path, target: "../../../ansible/sriov.yml" }]));
  it("of an environment, too", () =>
    deepStrictEqual(hooked([], "e").links, [
      { path: `environments/e/${path}`, target: "../../../../../ansible/sriov.yml" },
    ]));
  it("that is there is left", () =>
    deepStrictEqual(hooked([{ path, link: "../../..//ansible/sriov.yml", text: "" }]).links, []));
  it("of the base is enough for an environment", () =>
    deepStrictEqual(hooked([{ path, link: "../../../ansible/sriov.yml", text: "" }], "e").links, []));
  it("that leads elsewhere is refused", () =>
    match(
      hooked([{ path, link: "../../../ansible/other.yml" }]).refusals.join(),
      /10-sriov\.yml is not a symbolic link to ansible\/sriov\.yml/,
    ));
  it("that is a file is refused", () => match(hooked([{ path, text: "x" }]).refusals.join(), /is not a symbolic link/));
});

describe("what else is reported", () => {
  const devices = "sriov_devices:\n  - name: ens1f0\n    physical_network: physnet2\n";
  const two = {
    "neutron.yml": `${vlans}: [{physical_network: physnet2}]\n`,
    "inventory/group_vars/compute_sriov/sriov": devices,
    "inventory/group_vars/rack2.yml": devices,
  };
  it("devices of two groups, of which one hides the other", () =>
    match(
      hints(two).join("\n"),
      /^inventory\/group_vars\/rack2\.yml and inventory\/group_vars\/compute_sriov\/sriov both set sriov_devices, .* add rack2 below \[compute_sriov:children\]/,
    ));
  for (const [title, text] of [
    ["a child", "[compute_sriov:children]\nrack2\n"],
    ["a child of a child", "[compute_sriov:children]\nrow\n[row:children]\nrack2\n"],
    ["a group above", "[rack2:children]\ncompute_sriov\n"],
  ] as const)
    it(`not those of ${title}`, () => doesNotMatch(hints({ ...two, "inventory/groups": text }).join("\n"), /both set/));
  it("not those of all", () =>
    deepStrictEqual(
      hints({
        "neutron.yml": two["neutron.yml"],
        "inventory/group_vars/compute_sriov/sriov": devices,
        "inventory/group_vars/all/sriov": devices,
      }),
      [],
    ));

  const pci = { "neutron.yml": two["neutron.yml"], "kolla/config/nova.conf": "[pci]\nreport_in_placement = True\n" };
  const inventory = "inventory/group_vars/compute_sriov/sriov";
  it("names of interfaces where Nova's placement needs addresses", () =>
    match(
      hints({ ...pci, [inventory]: devices }).join("\n"),
      /^kolla\/config\/nova\.conf:2: with report_in_placement .* as ens1f0 is in inventory\/group_vars\/compute_sriov\/sriov:2\./,
    ));
  it("also of a mapping", () =>
    match(
      hints({ ...pci, [inventory]: "sriov_physnet_mappings: {ens1f0: physnet2}\n" }).join("\n"),
      /with report_in_placement .* as ens1f0 /,
    ));
  for (const text of [
    'sriov_devices: [{address: "0000:3b:00.0", physical_network: physnet2}]\n',
    'sriov_devices: [{name: a, physical_network: physnet2, nova: {address: "3b:02.*"}}]\n',
    "sriov_devices: [{name: a}]\n",
    'sriov_physnet_mappings: {"0000:3b:00.0": physnet2}\n',
  ])
    it(`not with ${text.trim()}`, () => deepStrictEqual(hints({ ...pci, [inventory]: text }), []));
  it("not when it is off", () =>
    deepStrictEqual(
      hints({ ...pci, [inventory]: devices, "kolla/config/nova.conf": "[pci]\nreport_in_placement = false\n" }),
      [],
    ));

  it("a file of variables with the name of the playbook", () =>
    match(
      hints({ "kolla.yml": "", "sriov.yml": "sriov_numvfs: 8\n" }).join(),
      /^sriov\.yml: Kayobe gives its variables to every host/,
    ));
  it("variables that cannot be right, with file and line", () =>
    match(
      refused({ "inventory/host_vars/hv1/sriov": "sriov_devices:\n  - address: 3:00.0\n" }),
      /^inventory\/host_vars\/hv1\/sriov:2: address of .* put it in quotes\.$/,
    ));
  it("all refusals at once", () =>
    strictEqual(
      refusals({
        "ansible/sriov.yml": "- hosts: all\n",
        "inventory/group_vars/compute_sriov": "a: 1\n",
        "kolla/globals.yml": "neutron_sriov_physnet_mappings: {a: b}\n",
        "kolla/config/nova.conf": "[pci]\ndevice_spec = {}\n",
      }).length,
      4,
    ));
  it("a symbolic link on the way, through which nothing is written", () =>
    match(
      merge(artefact, [...config({ "kolla.yml": "" }), { path: "kolla", link: "../shared" }], none).refusals[0] ?? "",
      /^kolla is a symbolic link to \.\.\/shared, and nothing is written through one\. Put a folder there that is a copy of the link's target\.$/,
    ));
  it("a symbolic link that need not change is not a fault", () =>
    deepStrictEqual(
      merge(
        artefact,
        [
          ...config({ "kolla.yml": "", "inventory/host_vars/hv1": "" }),
          { path: "inventory/host_vars/hv2", link: "hv1", text: "" },
        ],
        none,
      ).refusals,
      [],
    ));
});

describe("the command kayobe", () => {
  let folder: string;
  before(() => void (folder = repository()));
  const copy = (name: string): string => {
    const target = join(temporary(), "kayobe");
    cpSync(join(fixtures, name), target, { recursive: true });
    return target;
  };
  const tree = (path: string): string[] =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
      .map(
        (file) =>
          `${file} ${lstatSync(file).mtimeMs} ${lstatSync(file).isSymbolicLink() ? readlinkSync(file) : readFileSync(file, "utf8")}`,
      );

  it("shows what it writes, and what to type; a second run writes nothing", async () => {
    const target = copy("plain");
    chmodSync(join(target, "kolla.yml"), 0o640);
    const first = await cli(
      folder,
      "kayobe",
      "--config-path",
      `${target}/`,
      "--hook",
      "--vlan-range",
      "physnet2:100:199",
    );
    strictEqual(first.code, 0, first.output);
    match(first.output, /^\+kolla_enable_neutron_sriov: true$/m);
    match(first.output, /10-sriov\.yml: a symbolic link to \.\.\/\.\.\/\.\.\/ansible\/sriov\.yml$/m);
    match(
      first.output,
      /^\d+ files written in .*\/kayobe\.\nName the hosts in inventory\/sriov and the devices in inventory\/group_vars\/compute_sriov\/sriov\.\n[^]*\n {4}kayobe control host bootstrap\n {4}kayobe playbook run \$KAYOBE_CONFIG_PATH\/ansible\/sriov\.yml\n {4}kayobe overcloud service deploy -k?t nova,neutron$/m,
    );
    strictEqual(statSync(join(target, "kolla.yml")).mode & 0o777, 0o640);
    strictEqual(
      readFileSync(join(target, "hooks/overcloud-host-configure/post.d/10-sriov.yml"), "utf8"),
      readFileSync(join(target, "ansible/sriov.yml"), "utf8"),
    );
    const before = tree(target);
    const second = await cli(folder, "kayobe", "--config-path", target, "--hook", "--vlan-range", "physnet2:100:199");
    strictEqual(second.code, 0);
    match(second.output, /^Nothing to do: .*\/kayobe is up to date\.$/m);
    doesNotMatch(second.output, /control host bootstrap/);
    deepStrictEqual(tree(target), before);
    strictEqual((await cli(folder, "kayobe", "--config-path", target, "--hook", "--check")).code, 0);
  });

  it("with --check writes nothing, and fails when there is something to do", async () => {
    const target = copy("lived_in");
    const before = tree(target);
    const { code, output } = await cli(folder, "kayobe", "--config-path", target, "--check");
    strictEqual(code, 1);
    match(output, /^\+ {4}ImagePropertiesFilter, PciPassthroughFilter$/m);
    match(output, /^\d+ files in .* would be written\.$/m);
    deepStrictEqual(tree(target), before);
  });

  it("that refuses something writes nothing at all", async () => {
    const target = copy("plain");
    put(target, { "ansible/sriov.yml": "- hosts: all\n" });
    const before = tree(target);
    const { code, output } = await cli(folder, "kayobe", "--config-path", target);
    strictEqual(code, 1);
    match(output, /^ansible\/sriov\.yml does not belong to sriov-role kayobe, [^]*^Nothing was written\.$/m);
    deepStrictEqual(tree(target), before);
  });

  it("puts what differs into an environment, and prints the commands for it", async () => {
    const target = copy("environments");
    const { code, output } = await cli(folder, "kayobe", "--config-path", target, "--environment", "production");
    strictEqual(code, 0, output);
    match(output, /^ {4}kayobe control host bootstrap --environment production$/m);
    match(
      readFileSync(join(target, "environments/production/kolla.yml"), "utf8"),
      /^ {2}- our_bonds\n {2}- sriov_openstack$/m,
    );
    match(
      (await cli(folder, "kayobe", "--config-path", target, "--environment", "none")).output,
      /There is no environment none/,
    );
  });

  it("names what to fill in only when it made that", async () => {
    const target = copy("lived_in");
    const { code, output } = await cli(folder, "kayobe", "--config-path", target);
    strictEqual(code, 0, output);
    doesNotMatch(output, /^Name /m);
  });

  it("reports that the environment of the shell is another", async () => {
    const target = copy("environments");
    const { output } = await run({
      file: process.execPath,
      args: [join(folder, "build/generator/main.js"), "kayobe", "--config-path", target, "--check"],
      cwd: folder,
      env: { KAYOBE_ENVIRONMENT: "production" },
    });
    match(
      output,
      /^Note: \$KAYOBE_ENVIRONMENT is production, and this run was for the base\. Run it with --environment production/m,
    );
    doesNotMatch(
      (await cli(folder, "kayobe", "--config-path", target, "--check", "--environment", "production")).output,
      /KAYOBE_ENVIRONMENT/,
    );
  });

  it("takes several ranges of a network", async () => {
    const target = copy("plain");
    strictEqual(
      (
        await cli(
          folder,
          "kayobe",
          "--config-path",
          target,
          "--vlan-range",
          "p:1:2",
          "--vlan-range",
          "p:3:4",
          "--vlan-range",
          "p:1:2",
        )
      ).code,
      0,
    );
    match(
      readFileSync(join(target, "neutron.yml"), "utf8"),
      /- physical_network: p\n {4}range: "1:2"\n {2}- physical_network: p\n {4}range: "3:4"\n\n/,
    );
  });

  it("writes nothing when one file cannot be written", async () => {
    const target = copy("plain");
    writeFileSync(join(target, "hooks"), "");
    const before = tree(target);
    const { code, output } = await cli(folder, "kayobe", "--config-path", target, "--hook");
    strictEqual(code, 1);
    match(
      output,
      /hooks\/overcloud-host-configure\/post\.d\/10-sriov\.yml cannot be written: [^,]*\. Nothing was written\.$/m,
    );
    deepStrictEqual(tree(target), before);
  });

  it("writes through no symbolic link", async () => {
    const target = copy("plain");
    const elsewhere = temporary();
    writeFileSync(join(elsewhere, "neutron.yml"), `${drivers}: [ovn]\n`);
    cpSync(join(elsewhere, "neutron.yml"), join(target, "neutron.yml"));
    mkdirSync(join(target, "inventory/host_vars"), { recursive: true });
    symlinkSync("..", join(target, "inventory/host_vars/around"));
    symlinkSync("nowhere", join(target, "inventory/host_vars/broken"));
    symlinkSync(elsewhere, join(target, "hooks"));
    strictEqual((await cli(folder, "kayobe", "--config-path", target, "--check")).code, 1);
    match(
      (await cli(folder, "kayobe", "--config-path", target, "--hook")).output,
      /^hooks is a symbolic link to .*\nNothing was written\.$/m,
    );
    strictEqual((await cli(folder, "kayobe", "--config-path", target)).code, 0);
  });

  it("looks at the folder first", async () => {
    const target = copy("plain");
    put(dirname(target), { "repo/etc/kayobe/kolla.yml": "", "repo/setup.cfg": "" });
    const cases: [path: string, want: RegExp][] = [
      [join(dirname(target), "none"), /none is not a folder\. It must be a Kayobe configuration/],
      [join(dirname(target), "repo"), /is not a Kayobe configuration: .* Did you mean .*\/repo\/etc\/kayobe\?/],
      [join(target, "kolla"), /is not a Kayobe configuration: it contains neither kolla\.yml, bifrost\.yml/],
    ];
    for (const [path, want] of cases) {
      const { code, output } = await cli(folder, "kayobe", "--config-path", path);
      strictEqual(code, 2);
      match(output, want);
    }
  });

  const wrong: [title: string, args: string[]][] = [
    ["no folder", ["kayobe"]],
    ["VLANs that are none", ["kayobe", "--config-path", ".", "--vlan-range", "physnet2:100:5000"]],
    ["an unknown option", ["kayobe", "--config-path", ".", "--force"]],
  ];
  for (const [title, args] of wrong)
    it(`${title} is wrong use`, async () => strictEqual((await cli(folder, ...args)).code, 2));
});
