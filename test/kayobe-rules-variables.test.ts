import { extendList } from "../generator/kayobe/rules/list.js";
import { mechanismDriver, vlanRanges } from "../generator/kayobe/rules/neutron.js";
import { setVariable } from "../generator/kayobe/rules/value.js";
import { variables } from "../generator/kayobe/rules/variables.js";
import { cases } from "./drafts.js";

// Rules of the merge for variables, each by itself: a small draft, and all that the rule adds.

const vault = "$ANSIBLE_VAULT;1.1;AES256\n31\n";
const inEnvironment = { environment: "e" } as const;

describe(setVariable.name, () => {
  const on = { key: "k", source: "\n# Why.\nk: true\n", value: true };
  cases(
    (draft) => setVariable(draft, "kolla.yml", on),
    [
      ["of a switch makes the file", {}, { puts: { "kolla.yml": "---\n# Why.\nk: true\n" } }],
      [
        "of a switch is added",
        { files: { "kolla.yml": "a: 1\n" } },
        { puts: { "kolla.yml": "a: 1\n\n# Why.\nk: true\n" } },
      ],
      ["of a switch that is on in other words leaves it", { files: { "kolla.yml": "k: 'yes'\n" } }, {}],
      ["of a switch turns it on where it is", { files: { "zz.yml": "k: no\n" } }, { puts: { "zz.yml": "k: true\n" } }],
      [
        "of a switch refuses an expression",
        { files: { "kolla.yml": 'k: "{{ x }}"\n' } },
        { refusals: [/^kolla\.yml:1: k is /] },
      ],
      [
        "of a switch goes into an environment, and the base stays",
        { files: { "kolla.yml": "k: no\n", "environments/e/neutron.yml": "" }, ...inEnvironment },
        { puts: { "environments/e/kolla.yml": "---\n# Why.\nk: true\n" } },
      ],
      [
        "refuses a file that is encrypted, with what to add",
        { files: { "kolla.yml": vault } },
        {
          refusals: [/^kolla\.yml is encrypted .* or add by hand to another \.yml file of its folder:\n {4}# Why\.\n/],
        },
      ],
      [
        "refuses a file that is not text",
        { more: [{ path: "kolla.yml" }] },
        { refusals: [/^kolla\.yml is not a file with text/] },
      ],
      [
        "refuses JSON",
        { files: { "a.json": '{"k": false}\n' } },
        { refusals: [/^a\.json is JSON, which is not edited here/] },
      ],
    ],
  );

  const empty = { key: "k", source: "\nk: []\n", value: [] };
  cases(
    (draft) => setVariable(draft, "kolla.yml", empty),
    [
      ["of an empty list fills in nothing", { files: { "kolla.yml": "k:\n" } }, { puts: { "kolla.yml": "k: []\n" } }],
      ["of an empty list leaves one with items to the conflicts", { files: { "kolla.yml": "k: [a]\n" } }, {}],
    ],
  );

  const text = (key: string) => ({ key, source: `\n${key}: new ours\n`, value: "new ours" });
  cases(
    (draft) => setVariable(draft, "kolla.yml", text("k")),
    [
      ["of a text leaves the same text", { files: { "kolla.yml": "k: new ours\n" } }, {}],
      ["of a text fills in nothing", { files: { "kolla.yml": "k:\n" } }, { puts: { "kolla.yml": "k: new ours\n" } }],
      [
        "of a text refuses one of the site, with ours",
        { files: { "kolla.yml": "k: a\n" } },
        { refusals: [/^kolla\.yml:1: k is already set\. Combine it by hand with:\n {4}k: new ours$/] },
      ],
      [
        "of a text leaves one with ours in it, with a hint",
        { files: { "kolla.yml": "k: a ours\n" } },
        { hints: [/^kolla\.yml:1: k differs from the lines below, and is left unchanged\./] },
      ],
    ],
  );
  cases(
    (draft) => setVariable(draft, "kolla.yml", text("sriov_k")),
    [
      [
        "of a text replaces a variable that is ours by its name",
        { files: { "kolla.yml": "sriov_k: a\n" } },
        { puts: { "kolla.yml": "sriov_k: new ours\n" } },
      ],
    ],
  );
  cases(
    (draft) => setVariable(draft, "kolla.yml", text("neutron_sriov_physnets")),
    [
      [
        "of the mapping replaces that of an earlier version",
        { files: { "kolla.yml": "neutron_sriov_physnets: old ours\n" } },
        { puts: { "kolla.yml": "neutron_sriov_physnets: new ours\n" } },
      ],
      [
        "of the mapping refuses that of the site",
        { files: { "kolla.yml": "neutron_sriov_physnets: a:b\n" } },
        { refusals: [/^kolla\.yml:1: neutron_sriov_physnets is already set\. It is now derived from sriov_devices/] },
      ],
    ],
  );
});

describe(extendList.name, () => {
  cases(
    (draft) => extendList(draft, "kolla.yml", "k", ["new"], ["# Why."]),
    [
      ["makes a list", {}, { puts: { "kolla.yml": "---\n# Why.\nk:\n  - new\n" } }],
      ["adds to a list where it is", { files: { "zz.yml": "k: [a]\n" } }, { puts: { "zz.yml": "k: [a, new]\n" } }],
      ["fills in a list without items", { files: { "kolla.yml": "k:\n" } }, { puts: { "kolla.yml": "k:\n  - new\n" } }],
      ["leaves a list that has it", { files: { "kolla.yml": "k: [new]\n" } }, {}],
      ["leaves an expression that has it", { files: { "kolla.yml": "k: \"{{ a + ['new'] }}\"\n" } }, {}],
      [
        "refuses another expression",
        { files: { "kolla.yml": 'k: "{{ a }}"\n' } },
        { refusals: [/^kolla\.yml:1: k is an expression, .* Add by hand: "new"$/] },
      ],
      [
        "refuses what is not a list",
        { files: { "kolla.yml": "k: 1\n" } },
        { refusals: [/^kolla\.yml:1: k is not a list, /] },
      ],
      [
        "refuses to hide a list of group_vars",
        { files: { "inventory/group_vars/all": "k: [a]\n" } },
        { refusals: [/^inventory\/group_vars\/all sets k, .* Move it to kolla\.yml, and run this again\.$/] },
      ],
      [
        "repeats a list of the base in an environment",
        { files: { "kolla.yml": "k: [a]\n", "environments/e/x": "" }, ...inEnvironment },
        {
          puts: {
            "environments/e/kolla.yml":
              "---\n# Why.\n# The items of kolla.yml, repeated: the list of an environment replaces them.\n" +
              "k:\n  - a\n  - new\n",
          },
        },
      ],
      [
        "refuses to repeat a list of more than texts",
        { files: { "kolla.yml": "k: [1]\n", "environments/e/x": "" }, ...inEnvironment },
        { refusals: [/^kolla\.yml:1: k cannot be copied into environments\/e\/kolla\.yml, .* and add: "new"$/] },
      ],
    ],
  );
});

describe(variables.name, () => {
  const file = { path: "kolla/globals.yml", text: "---\n# One.\na: []\nb: {}\n\n# Two.\nc: [x]\n" };
  cases(
    (draft) => variables(draft, file),
    [
      [
        "sets each of a file; a list with items is added to",
        { files: { [file.path]: "c:\n  - y\na:\n" } },
        { puts: { [file.path]: "c:\n  - y\n  - x\na: []\nb: {}\n" } },
      ],
      [
        "refuses a file that Jinja makes, with what is missing in it",
        { files: { [file.path]: "{% if x %}a: 1{% endif %}\nb: {}\n" } },
        {
          refusals: [
            /^kolla\/globals\.yml is not YAML: [^]*Add by hand:\n {4}# One\.\n {4}a: \[\]\n[^b]*# Two\.\n {4}c: \[x\]$/,
          ],
        },
      ],
      [
        "leaves a file that Jinja makes, when nothing is missing",
        { files: { [file.path]: `{% if x %}d: 1{% endif %}\n${file.text.slice(4)}` } },
        {},
      ],
    ],
  );
});

describe(mechanismDriver.name, () => {
  const key = "kolla_neutron_ml2_mechanism_drivers";
  cases(mechanismDriver, [
    [
      "is added to a list",
      { files: { "neutron.yml": `${key}: [ovn]\n` } },
      { puts: { "neutron.yml": `${key}: [ovn, sriovnicswitch]\n` } },
    ],
    ["is left to Kolla without a list", { files: { "neutron.yml": "a: 1\n" } }, {}],
    ["is left to Kolla with an empty list", { files: { "neutron.yml": `${key}: []\n` } }, {}],
    [
      "for an expression is refused",
      { files: { "neutron.yml": `${key}: "{{ x }}"\n` } },
      { refusals: [/Add by hand: "sriovnicswitch"$/] },
    ],
  ]);
});

describe(vlanRanges.name, () => {
  const key = "kolla_neutron_ml2_network_vlan_ranges";
  const of = (items: string): { files: { [path: string]: string } } => ({
    files: { "neutron.yml": `${key}: [${items}]\n` },
  });
  const begun = `---\n# VLANs of physical networks that Neutron may choose from.\n${key}:\n`;
  const wanted = [{ network: "p", range: "1:9" }, { network: "q" }];
  const [p, q] = ['{physical_network: p, range: "1:9"}', "{physical_network: q}"];
  cases(
    (draft) => vlanRanges(draft, wanted),
    [
      [
        "make the list, with a hint at Kolla's own",
        {},
        {
          puts: {
            "neutron.yml": `${begun}  - physical_network: p\n    range: "1:9"\n  - physical_network: q\n`,
          },
          hints: [/^kolla_neutron_ml2_network_vlan_ranges was not set: with Ironic, Kolla used physnet1/],
        },
      ],
      ["that are there are left", of(`${p}, ${q}`), {}],
      ["that are missing are added", of(q), { puts: { "neutron.yml": `${key}: [${q}, ${p}]\n` } }],
      [
        "of a network with another range are added",
        of(`${q}, {physical_network: p, range: "20:29"}`),
        { puts: { "neutron.yml": `${key}: [${q}, {physical_network: p, range: "20:29"}, ${p}]\n` } },
      ],
      [
        "without VLANs, of a network that has a range, are refused",
        of(`${p}, {physical_network: q, range: "1:9"}`),
        { refusals: [/^neutron\.yml:1: .* has q with the range 1:9, /] },
      ],
      [
        "of a network whose range YAML reads as a number are refused",
        of(`${q}, {physical_network: p, range: 10:40}`),
        { refusals: [/ has a range of p that YAML reads as the number 640: put it in quotes\.$/] },
      ],
    ],
  );
  cases((draft) => vlanRanges(draft, []), [["that are not wanted make nothing", {}, {}]]);
  cases(
    (draft) => vlanRanges(draft, [{ network: "physnet1" }]),
    [
      [
        "of Kolla's own network get no hint at it",
        {},
        {
          puts: {
            "neutron.yml": `${begun}  - physical_network: physnet1\n`,
          },
        },
      ],
    ],
  );
});
