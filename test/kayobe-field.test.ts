import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { readUserFiles } from "../generator/system/userFiles.js";
import { concerns } from "../generator/kayobe/layers.js";
import { merge } from "../generator/kayobe/merge.js";
import { isPublished } from "../generator/kayobe/playbook.js";
import type { ConfigFile } from "../generator/kayobe/layers.js";
import {
  artefact,
  config,
  fixture,
  fixtures,
  hints,
  merged,
  none,
  refused,
  refusals,
  wanted,
} from "./configuration.js";
import { cli, put, repository, root, temporary, tool } from "./support.js";

// What configurations of the field have, where a merge once ended well and nothing worked, or refused with a sentence that was not true.

const byHand = (name: string): ConfigFile[] =>
  readUserFiles(join(root, "test/fixtures/kayobe_by_hand", name), concerns);
const textsOf = (files: readonly ConfigFile[]): { [path: string]: string } =>
  Object.fromEntries(files.flatMap(({ path, text }) => (text === undefined ? [] : [[path, text]])));
const compute = "kolla/config/nova/nova-compute.conf";
const agent = "kolla/config/neutron/sriov_agent.ini";
const scheduler = "kolla/config/nova/nova-scheduler.conf";
const nova = "kolla/config/nova.conf";
const strategy = "kolla_openstack_custom_config_ini_merge_strategy_default: merge_configs\n";
const gpu = 'device_spec = {"vendor_id": "10de", "product_id": "20b0"}\n';
const anyGpus = { ...textsOf(fixture("gpus_in_base")), "kolla.yml": strategy };

describe("devices that are not NICs", () => {
  it("in a base are joined to what an environment gets, and nothing is said", () => {
    const after = merged(fixture("gpus_in_base"), { environment: "prod" });
    strictEqual(after.get(`environments/prod/${compute}`), wanted(compute));
    deepStrictEqual(merge(artefact, fixture("gpus_in_base"), { ...none, environment: "prod" }).hints, []);
  });
  it("in an environment on which another one depends are joined too", () =>
    deepStrictEqual(
      refusals(
        {
          "kolla.yml": "",
          [`environments/site/${compute}`]: `[pci]\n${gpu}`,
          "environments/prod/.kayobe-environment": "dependencies: [site]\n",
        },
        { environment: "prod" },
      ),
      [],
    ));
  it("in nova.conf of a base are moved to the file next to it", () =>
    match(
      refused({ "kolla.yml": "", "environments/e/kolla.yml": "", [nova]: `[pci]\n${gpu}` }, { environment: "e" }),
      /^kolla\/config\/nova\.conf:2: .* Move it below \[pci\] of kolla\/config\/nova\/nova-compute\.conf, where Nova uses both\.$/,
    ));
  it("in a base get no note for an environment that overrides nothing", () =>
    deepStrictEqual(merge(artefact, fixture("gpus_in_base"), none).hints, []));
  it("in an environment are next to what the base has", () => {
    const files = { "kolla.yml": "", [`environments/e/${compute}`]: `[pci]\n${gpu}` };
    deepStrictEqual(hints(files), []);
    deepStrictEqual(
      refusals(
        Object.fromEntries(
          [...merged(config(files))].flatMap(([path, text]) => (text === undefined ? [] : [[path, text]])),
        ),
        { environment: "e" },
      ),
      [],
    );
  });
  it("are replaced where Kayobe merges with merge_configs, and that is said", () => {
    match(
      refused(anyGpus, { environment: "prod" }),
      /^kolla\/config\/nova\/nova-compute\.conf:4: Kayobe merges the files .* \(merge_configs\), and \[pci\] device_spec of environments\/prod\/kolla\/config\/nova\/nova-compute\.conf replaces that of kolla\/config\/nova\/nova-compute\.conf\./,
    );
    deepStrictEqual(hints(anyGpus), []);
  });
  for (const rules of [
    "kolla_openstack_custom_config_rules_extra:\n  - {glob: 'nova/**', strategy: merge_configs, priority: 10}\n",
    "kolla_openstack_custom_config_rules_extra:\n  - {glob: '**/nova-*.conf', strategy: merge_configs, priority: 1}\n  - {glob: '**', strategy: concat, priority: 20}\n",
  ])
    it(`also by a rule: ${JSON.stringify(rules)}`, () =>
      match(refused({ ...anyGpus, "kolla.yml": rules }, { environment: "prod" }), /\(merge_configs\)/));
  for (const rules of [
    "kolla_openstack_custom_config_rules_extra:\n  - {glob: 'cinder/**', strategy: merge_configs, priority: 10}\n",
    "kolla_openstack_custom_config_rules_extra:\n  - {glob: 'nova/**', strategy: merge_configs, priority: 10, enabled: false}\n",
    "kolla_openstack_custom_config_rules_extra:\n  - {glob: '**/*.conf', strategy: merge_configs, priority: 3000}\n",
  ])
    it(`not by another rule: ${JSON.stringify(rules)}`, () =>
      deepStrictEqual(refusals({ ...anyGpus, "kolla.yml": rules }, { environment: "prod" }), []));
  it("of a base count nothing where an environment does not take what its base has", () => {
    const after = merged(
      config({
        ...anyGpus,
        "kolla.yml": "kolla_openstack_custom_config_environment_merging_enabled: false\n",
        [nova]: "[filter_scheduler]\nenabled_filters = A, PciPassthroughFilter\n",
      }),
      { environment: "prod" },
    );
    strictEqual(after.get(`environments/prod/${nova}`), wanted(nova));
  });
  it("are not hidden by a file of an environment where Kayobe takes the last one alone", () =>
    match(
      refused(
        { ...anyGpus, "kolla.yml": "kolla_openstack_custom_config_merge_configs_enabled: false\n" },
        { environment: "prod" },
      ),
      /^environments\/prod\/kolla\/config\/nova\/nova-compute\.conf would replace kolla\/config\/nova\/nova-compute\.conf: Kayobe uses only the last of them here\. Copy /,
    ));
  for (const text of [
    `[pci]\n${gpu.replace("device_spec", "passthrough_whitelist")}`,
    `[DEFAULT]\npci_${gpu.replace("device_spec", "passthrough_whitelist")}`,
  ])
    it(`under another name than ours stay in nova.conf: ${JSON.stringify(text)}`, () =>
      strictEqual(
        merged(config({ [nova]: `${text}[filter_scheduler]\nenabled_filters = PciPassthroughFilter\n` })).get(nova),
        `${text}[filter_scheduler]\nenabled_filters = PciPassthroughFilter\n`,
      ));
  for (const path of ["kolla/config/nova/hv1/nova.conf", "kolla/config/nova/hv1/nova-compute.conf"])
    it(`of one host, in ${path}, would come in place of ours`, () =>
      match(
        refused({ [path]: `[pci]\n${gpu}` }),
        /:2: on hv1, \[pci\] device_spec replaces what is derived from sriov_devices\. .*\{% if inventory_hostname == 'hv1' %\}$/,
      ));
  it("of one host that is not in the group are reported", () => {
    const files = {
      "kolla/config/nova/hv2/nova.conf": `[pci]\n${gpu}`,
      "inventory/sriov": wanted("inventory/sriov").replace("[compute_sriov]", "[compute_sriov]\nhv1"),
    };
    match(
      hints({ "kolla.yml": "", ...files, "inventory/hosts": "[compute]\nhv1\nhv2\n" }).join("\n"),
      /^kolla\/config\/nova\/hv2\/nova\.conf:2: hv2 is not in compute_sriov\. Before you add it: on hv2, \[pci\] device_spec replaces /,
    );
    const known: { readonly [path: string]: string }[] = [
      { "inventory/hosts": "[compute]\nhv1\n" },
      { "inventory/hosts": "[compute]\nhv2\n", "inventory/sriov": wanted("inventory/sriov") },
      { "inventory/hosts": "[compute]\nhv2\n[compute_sriov]\nhv[1:9]\n" },
      { "inventory/hosts": "[compute]\nhv2\n", "overcloud.yml": "overcloud_group_hosts_map: {compute_sriov: [hv2]}\n" },
      { "inventory/hosts": "[compute]\nhv2\n", "inventory/more": "#!/bin/sh\n" },
    ];
    for (const more of known)
      match(
        refused({ "kolla.yml": "", ...files, ...more }),
        /^kolla\/config\/nova\/hv2\/nova\.conf:2: on hv2, \[pci\] device_spec/,
      );
  });
  it("or that are on no physical network stay, with null for it, too", () => {
    const overlay = '{"vendor_id": "15b3", "product_id": "101e", "physical_network": null}';
    for (const files of [
      { [compute]: `[pci]\ndevice_spec = ${overlay}\n` },
      { "kolla/globals.yml": `nova_pci_passthrough_whitelist: [${overlay}]\n` },
    ])
      deepStrictEqual([refusals({ "kolla.yml": "", ...files }), hints({ "kolla.yml": "", ...files })], [[], []]);
  });
  it("in a file that nova-compute does not read are ignored", () =>
    deepStrictEqual(
      refusals({
        "kolla/config/nova/nova-api.conf": `[pci]\n${gpu}`,
        "kolla/config/nova/nova.conf.d/x.conf": `[pci]\n${gpu}`,
      }),
      [],
    ));
  it("by an unknown expression stay, with a note", () => {
    match(
      merge(artefact, fixture("gpus_by_expression"), none).hints.join("\n"),
      /^kolla\/config\/nova\/nova-compute\.conf:4: it is not known here which devices \[pci\] device_spec names\. Devices that are not NICs may stay\./,
    );
    match(merged(fixture("gpus_by_expression")).get(compute)!, /^device_spec = \{\{ item \| to_json \}\}$/m);
  });
  const expression = textsOf(fixture("gpus_by_expression"));
  it("by an expression whose variable names them stay, without a note", () =>
    deepStrictEqual(
      hints({
        ...expression,
        "inventory/group_vars/compute/gpus.yml": 'our_gpu_specs: [{vendor_id: "10de", product_id: "20b0"}]\n',
      }),
      [],
    ));
  for (const text of [
    '[pci]\ndevice_spec = {% raw %}{{ {"vendor_id": "10de", "product_id": x} | to_json }}{% endraw %}\n',
    '{% set specs = [{"vendor_id": "10de", "product_id": "20b0"}] %}\n[pci]\ndevice_spec = {{ specs | to_json }}\n',
  ])
    it(`by an expression that names them itself stay, without a note: ${JSON.stringify(text)}`, () =>
      deepStrictEqual(
        [refusals({ "kolla.yml": "", [compute]: text }), hints({ "kolla.yml": "", [compute]: text })],
        [[], []],
      ));
  it("are distinguished from NICs by what the variable has", () =>
    match(
      refused({
        ...expression,
        "inventory/host_vars/hv1": "our_gpu_specs: [{devname: ens1f0, physical_network: physnet2}]\n",
      }),
      /nova-compute\.conf:4: \[pci\] device_spec is set by hand/,
    ));
  it("by a vendor of no NICs stay", () =>
    deepStrictEqual(
      [
        refusals({ [compute]: '[pci]\ndevice_spec = { "vendor_id": "10de" }\n' }),
        hints({ [compute]: '[pci]\ndevice_spec = { "vendor_id": "10de" }\n' }),
      ],
      [[], []],
    ));
  it("by a vendor that makes NICs get a note", () =>
    match(hints({ [compute]: '[pci]\ndevice_spec = { "vendor_id": "8086" }\n' }).join(), /is not known here/));
  it("in Kayobe's own text for Nova are not called NICs under a name of before", () =>
    deepStrictEqual(
      refusals({
        "kolla.yml": `kolla_extra_nova: |\n  [pci]\n  ${gpu.replace("device_spec", "passthrough_whitelist")}`,
      }),
      [],
    ));
  it("next to NICs by hand, the advice fits both", () =>
    match(
      refused({ [compute]: "[pci]\ndevice_spec = {}\n" }),
      /Name a device that is not a NIC by its product_id or address, below \[pci\] of kolla\/config\/nova\/nova-compute\.conf\.$/,
    ));
});

describe("files by symbolic links", () => {
  const vars = "kolla_overcloud_inventory_pass_through_host_vars_extra:\n  - our_cpus\n";
  const base = {
    "kolla.yml": "---\n",
    [compute]: "[libvirt]\ncpu_mode = host-model\n",
    "environments/production/kolla.yml": vars,
  };
  const written = (files: { readonly [path: string]: string }, links: { readonly [path: string]: string }): string => {
    const folder = temporary();
    put(folder, files);
    for (const [path, target] of Object.entries(links)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      symlinkSync(target, join(folder, path));
    }
    return folder;
  };
  const read = (folder: string): ConfigFile[] => readUserFiles(folder, concerns);
  const folders: [title: string, links: { readonly [path: string]: string }][] = [
    ["a folder of an environment", { "environments/production/kolla/config": "../../../kolla/config" }],
    ["all that an environment has for Kolla", { "environments/production/kolla": "../../kolla" }],
    ["a single file", { [`environments/production/${compute}`]: "../../../../../kolla/config/nova/nova-compute.conf" }],
    ["an absolute way", { "environments/production/kolla/config": "ABSOLUTE/kolla/config" }],
    ["a link to a link", { shared: "kolla", "environments/production/kolla": "../../shared" }],
  ];
  for (const [title, links] of folders)
    it(`${title}: nothing is twice, for base and environment, in any order`, () => {
      for (const order of [
        [undefined, "production"],
        ["production", undefined],
      ]) {
        const folder = written(base, {});
        for (const [path, target] of Object.entries(links)) {
          mkdirSync(dirname(join(folder, path)), { recursive: true });
          symlinkSync(target.replace("ABSOLUTE", folder), join(folder, path));
        }
        for (const environment of order) {
          const wishes = { ...none, ...(environment === undefined ? {} : { environment }) };
          const result = merge(artefact, read(folder), wishes);
          deepStrictEqual(result.refusals, [], `${String(environment)}`);
          put(folder, Object.fromEntries(result.write.map(({ path, text }) => [path, text])));
          const again = merge(artefact, read(folder), wishes);
          deepStrictEqual([again.write, again.refusals], [[], []]);
        }
        const text = textsOf(read(folder))[compute]!;
        strictEqual(text.match(/nova_device_option/g)?.length, 1);
      }
    });
  it("the lines of one file by two paths are reported once", () => {
    const folder = written(
      {
        "kolla.yml": "",
        "inventory/host_vars/hv1/sriov": "sriov_devices:\n  - address: 3:00.0\n",
        "kolla/config/nova/hv1/nova.conf": "[pci]\ndevice_spec = {}\n",
      },
      {
        "inventory/host_vars/hv2": "hv1",
        "kolla/config/nova/hv2": "hv1",
        "environments/e/kolla": "../../kolla",
        "environments/e/inventory": "../../inventory",
      },
    );
    for (const environment of [undefined, "e"])
      strictEqual(
        merge(artefact, read(folder), { ...none, ...(environment === undefined ? {} : { environment }) }).refusals
          .length,
        2,
      );
  });
  it("a second name of an environment gets no separate note", () => {
    const folder = written(base, { "environments/current": "production" });
    const reported = merge(artefact, read(folder), none).hints.filter((hint) => hint.startsWith("environments/"));
    deepStrictEqual(
      reported.map((hint) => hint.split(" ")[0]),
      ["environments/production"],
    );
  });
  it("a list of a linked file is added to once", () => {
    const folder = written(
      { "kolla.yml": vars, "environments/e/neutron.yml": "" },
      { "environments/e/kolla.yml": "../../kolla.yml" },
    );
    const { write, refusals: none_ } = merge(artefact, read(folder), { ...none, environment: "e" });
    deepStrictEqual(none_, []);
    match(write.find(({ path }) => path === "kolla.yml")!.text, /our_cpus\n {2}- sriov_openstack\n/);
    ok(!write.some(({ path }) => path === "environments/e/kolla.yml"));
  });
  it("a hook of the base, by a linked folder, is the hook of an environment too", () => {
    const folder = written(
      {
        "kolla.yml": "",
        "ansible/sriov.yml": wanted("ansible/sriov.yml"),
        "hooks/overcloud-host-configure/post.d/x": "",
        "environments/e/kolla.yml": "",
      },
      { "environments/e/hooks": "../../hooks" },
    );
    const path = "hooks/overcloud-host-configure/post.d/10-sriov.yml";
    deepStrictEqual(merge(artefact, read(folder), { ...none, hook: true, environment: "e" }).links, [
      { path, target: "../../../ansible/sriov.yml" },
    ]);
    symlinkSync("../../../ansible/sriov.yml", join(folder, path));
    const { links, refusals: faults } = merge(artefact, read(folder), { ...none, hook: true, environment: "e" });
    deepStrictEqual([links, faults], [[], []]);
  });
  it("what leads out of the configuration is not written", () => {
    const elsewhere = temporary();
    put(elsewhere, { "kolla.yml": vars });
    const folder = written({ "inventory/groups": "" }, { "kolla.yml": join(elsewhere, "kolla.yml") });
    match(
      merge(artefact, read(folder), none).refusals.join(),
      /^kolla\.yml is a symbolic link to .*, and nothing is written through one\. Put a file there that is a copy of the link's target\.$/,
    );
  });
});

describe("variables that only Kolla sees", () => {
  const inventory = {
    "kolla.yml": "",
    "inventory/group_vars/compute/sriov": "sriov_devices:\n  - name: ens1f0\n    numvfs: 8\n",
  };
  const mapping = "sriov_physnet_mappings:\n  ens1f0: physnet2\n";
  it("give Nova nothing, and that is refused with the place", () =>
    match(
      merge(artefact, byHand("mapping_for_kolla"), none).refusals.join("\n"),
      /^kolla\/globals\.yml:3: only Kolla sees sriov_physnet_mappings there: neither Nova nor Neutron would get a physical network from it\. Move it to inventory\/group_vars\/compute_sriov\/sriov, [^]*:\n {4}sriov_physnet_mappings:\n {6}ens1f0: physnet2$/,
    ));
  const places: [path: string, text: string][] = [
    ["kolla/globals.yml", mapping],
    ["kolla/globals.yml", `{% if x %}a: 1{% endif %}\n${wanted("kolla/globals.yml").slice(4)}${mapping}`],
    ["environments/e/kolla/globals.yml", mapping],
    ["kolla/inventory/group_vars/compute.yml", mapping],
    ["kolla/inventory/host_vars/hv1/sriov", "sriov_devices: [{name: ens1f0, physical_network: physnet2}]\n"],
    ["kolla/inventory/hosts", '[compute:vars]\nsriov_physnet_mappings={"ens1f0": "physnet2"}\n'],
    ["kolla/inventory/hosts.yml", `compute:\n  vars:\n    ${mapping.replace("\n", "\n    ")}`],
    ["kolla.yml", `kolla_extra_globals:\n  ${mapping.replace("\n", "\n  ")}`],
    [
      "kolla.yml",
      'kolla_overcloud_inventory_custom_services: |\n  [compute:vars]\n  sriov_physnet_mappings={"ens1f0": "physnet2"}\n',
    ],
  ];
  for (const [path, text] of places)
    it(`in ${path}: ${JSON.stringify(text.slice(-60))}`, () =>
      match(
        refusals({ ...inventory, [path]: text }, path.startsWith("environments") ? { environment: "e" } : {}).join(
          "\n",
        ),
        /: only Kolla sees (sriov_physnet_mappings|sriov_devices) there/,
      ));
  it("are only reported where the inventory names physical networks", () => {
    const files = { "kolla.yml": "", "kolla/globals.yml": mapping, "inventory/group_vars/compute/sriov": mapping };
    deepStrictEqual(refusals(files), []);
    match(
      hints(files).join("\n"),
      /^kolla\/globals\.yml:1: only Kolla sees sriov_physnet_mappings there, and nothing that the merge writes uses it\./m,
    );
  });
  it("that are empty are nothing", () =>
    deepStrictEqual(
      refusals({
        ...inventory,
        "kolla/globals.yml": "sriov_physnet_mappings: {}\n",
        "kolla/inventory/group_vars/all": "sriov_devices: []\n",
      }),
      [],
    ));
  for (const path of ["ansible/group_vars/compute_sriov/sriov", "ansible/host_vars/hv1.yml"])
    it(`and those that only a playbook sees, in ${path}`, () =>
      match(
        refused({ ...inventory, [path]: mapping }),
        /:1: only the playbooks of that folder see sriov_physnet_mappings there/,
      ));
});

describe("Kolla's own lists, which are emptied for every host", () => {
  const physnets = "neutron_sriov_physnet_mappings:\n  physnet2: ens1f0\n";
  it("in Kolla's inventory are refused, each of them", () => {
    const found = merge(artefact, byHand("lists_in_kollas_inventory"), none).refusals;
    deepStrictEqual(found.map((sentence) => sentence.split(" ")[0]).sort(), [
      "kolla/inventory/group_vars/compute/sriov:2:",
      "kolla/inventory/group_vars/compute/sriov:4:",
    ]);
    for (const sentence of found)
      match(
        sentence,
        /is set by hand, and kolla\/globals\.yml empties it for every host[^]*\n {4}sriov_physnet_mappings:\n {6}ens1f0: physnet2$/,
      );
  });
  it("that are passed on from Kayobe's inventory are refused", () =>
    match(
      merge(artefact, byHand("lists_passed_on"), none).refusals.join("\n"),
      /^inventory\/group_vars\/compute\/kolla:2: passed on to Kolla: neutron_sriov_physnet_mappings is set by hand, [^]*ens1f0: physnet2$/,
    ));
  const places: [path: string, text: string][] = [
    ["kolla/inventory/group_vars/compute", physnets],
    ["kolla/inventory/group_vars/compute.json", '{"neutron_sriov_physnet_mappings": {"physnet2": "ens1f0"}}'],
    ["kolla/inventory/host_vars/hv1/any.yaml", 'nova_pci_passthrough_whitelist: "{{ x }}"\n'],
    ["kolla/inventory/hosts", '[compute]\nhv1 neutron_sriov_physnet_mappings=\'{"physnet2": "ens1f0"}\'\n'],
    ["kolla/inventory/hosts", "[compute:vars]\nnova_pci_passthrough_whitelist = [{'devname': 'ens1f0'}]\n"],
    ["kolla/inventory/all.yml", `all:\n  hosts:\n    hv1:\n      ${physnets.replace("\n", "\n      ")}`],
    [
      "kolla.yml",
      "kolla_overcloud_inventory_custom: |\n  [compute:vars]\n  neutron_sriov_physnet_mappings={'physnet2': 'ens1f0'}\n",
    ],
    ["kolla/inventory/group_vars/compute", "neutron_sriov_physnets: physnet2:ens1f0\n"],
    ["kolla/inventory/group_vars/compute", "neutron_agent_extensions: []\nneutron_agent_extensions: [{name: fdb}]\n"],
  ];
  for (const [path, text] of places)
    it(`in ${path}: ${JSON.stringify(text)}`, () =>
      match(
        refused({ "kolla.yml": "", [path]: text }),
        new RegExp(`^${path.replaceAll(".", "\\.")}:\\d+: .*(is set by hand, and kolla/globals\\.yml|is set by hand)`),
      ));
  it("in the Kolla inventory of an environment", () =>
    match(
      refused({ "kolla.yml": "", "environments/e/kolla/inventory/group_vars/compute": physnets }, { environment: "e" }),
      /^environments\/e\/kolla\/inventory\/group_vars\/compute:1: /,
    ));
  const extra = "kolla_overcloud_inventory_pass_through_host_vars_extra";
  const passed: [title: string, files: { readonly [path: string]: string }, want: RegExp][] = [
    [
      "under another name",
      {
        "kolla.yml": `${extra}: [our_nics]\nkolla_overcloud_inventory_pass_through_host_vars_map_extra: {our_nics: neutron_sriov_physnet_mappings}\n`,
        "inventory/host_vars/hv1": "our_nics: {physnet2: ens1f0}\n",
      },
      /^inventory\/host_vars\/hv1:1: our_nics, which is passed on to Kolla: neutron_sriov_physnet_mappings is set by hand/,
    ],
    [
      "from a line of the inventory",
      {
        "kolla.yml": `${extra}: [nova_pci_passthrough_whitelist]\n`,
        "inventory/hosts": "[compute]\nhv1 nova_pci_passthrough_whitelist='[1]'\n",
      },
      /^inventory\/hosts:2: passed on to Kolla: nova_pci_passthrough_whitelist/,
    ],
    [
      "from a file for all hosts",
      { "kolla.yml": `${extra}: [neutron_sriov_physnet_mappings]\n`, "zz.yml": physnets },
      /^zz\.yml:1: passed on to Kolla/,
    ],
    [
      "by a list in another file",
      { "kolla.yml": "", "zz.yml": `${extra}: [neutron_sriov_physnet_mappings]\n${physnets}` },
      /^zz\.yml:2: passed on to Kolla/,
    ],
    [
      "of an environment",
      {
        "kolla.yml": `${extra}: [neutron_sriov_physnet_mappings, sriov_openstack]\n`,
        "environments/e/inventory/group_vars/compute.yml": physnets,
      },
      /^environments\/e\/inventory\/group_vars\/compute\.yml:1: passed on/,
    ],
  ];
  for (const [title, files, want] of passed)
    it(`passed on, ${title}`, () =>
      match(
        refused(files, Object.keys(files).some((path) => path.startsWith("environments")) ? { environment: "e" } : {}),
        want,
      ));
  it("that are not passed on are not Kolla's", () =>
    deepStrictEqual(refusals({ "kolla.yml": "", "inventory/group_vars/compute/kolla": physnets }), []));
  it("that are empty are nothing", () =>
    deepStrictEqual(
      refusals({
        "kolla.yml": "",
        "kolla/inventory/group_vars/compute": "nova_pci_passthrough_whitelist: []\nneutron_sriov_physnet_mappings:\n",
        "kolla/inventory/hosts":
          "[compute:vars]\nneutron_sriov_physnet_mappings={}\n# nova_pci_passthrough_whitelist=[1]\n",
      }),
      [],
    ));
  it("made from sriov_physnet_mappings need only be removed", () =>
    match(
      refused({
        "kolla/globals.yml":
          'neutron_sriov_physnet_mappings: "{{ dict(sriov_physnet_mappings.values() | zip(sriov_physnet_mappings.keys())) }}"\n',
      }),
      /It is made from sriov_physnet_mappings, which is now read automatically: remove it\.$/,
    ));
  it("that the inventory already contains need only be removed", () =>
    match(
      refused({
        "kolla/inventory/group_vars/compute": physnets,
        "inventory/host_vars/hv1": "sriov_devices: [{name: ens1f0, physical_network: physnet2}]\n",
      }),
      /The inventory already contains the same: remove it\.$/,
    ));
  const gpus = 'nova_pci_passthrough_whitelist: [{vendor_id: "10de", product_id: "20b0"}]\n';
  it("with devices that are not NICs alone stay in globals.yml, which empties nothing then", () =>
    match(
      merged(config({ "kolla.yml": "", "kolla/globals.yml": gpus })).get("kolla/globals.yml")!,
      /^nova_pci_passthrough_whitelist: \[\{vendor_id: "10de", product_id: "20b0"\}\]\n/,
    ));
  it("with these devices elsewhere have another way", () =>
    match(
      refused({ "kolla.yml": "", "kolla/inventory/group_vars/compute": gpus }),
      /Remove it, and name these devices, which are not NICs, below \[pci\] of kolla\/config\/nova\/nova-compute\.conf:\n {4}device_spec = \{"vendor_id":"10de","product_id":"20b0"\}$/,
    ));
  it("with NICs and other devices have a way for both", () =>
    match(
      refused({
        "kolla/globals.yml":
          'nova_pci_passthrough_whitelist:\n  - {vendor_id: "10de", product_id: "20b0"}\n  - {devname: p4p1, physical_network: physnet9}\n',
      }),
      /\(Kolla uses the reverse order\); and below \[pci\] of kolla\/config\/nova\/nova-compute\.conf what is not a NIC:\n {4}device_spec = \{"vendor_id":"10de","product_id":"20b0"\}\nIn the inventory:\n {4}sriov_physnet_mappings:\n {6}p4p1: physnet9$/,
    ));
  it("with more than the network have a way for that", () =>
    match(
      refused({
        "kolla/globals.yml":
          "nova_pci_passthrough_whitelist: [{devname: p4p1, physical_network: physnet9, trusted: 'true'}]\n",
      }),
      /order\), and its other keys as nova of the PF in sriov_devices:\n {4}sriov_physnet_mappings:\n {6}p4p1: physnet9$/,
    ));
  it("that cannot be read get an example, and the way for what is not a NIC", () =>
    match(
      refused({ "kolla/globals.yml": 'nova_pci_passthrough_whitelist: "{{ x }}"\n' }),
      /order\), and what is not a NIC as device_spec below \[pci\] of kolla\/config\/nova\/nova-compute\.conf, as in:\n {4}sriov_physnet_mappings:\n {6}ens1f0: physnet2$/,
    ));
  const lines: [line: string, want: RegExp][] = [
    [
      "neutron_sriov_physnet_mappings={'physnet9':'p4p1'}",
      /order\):\n {4}sriov_physnet_mappings:\n {6}p4p1: physnet9$/,
    ],
    [
      `nova_pci_passthrough_whitelist='[{"devname": "p4p1", "physical_network": "physnet9"}]'`,
      /order\):\n {4}sriov_physnet_mappings:\n {6}p4p1: physnet9$/,
    ],
    [
      `nova_pci_passthrough_whitelist=[{"vendor_id": "10de", "product_id": "20b0"}]`,
      /which are not NICs, .*:\n {4}device_spec = \{"vendor_id":"10de","product_id":"20b0"\}$/,
    ],
    ["neutron_sriov_physnet_mappings={{ x }}", /, as in:\n {4}sriov_physnet_mappings:\n {6}ens1f0: physnet2$/],
  ];
  for (const [line, want] of lines)
    it(`in a line of INI are read: ${line}`, () =>
      match(
        refused({ "kolla.yml": "", "kolla/inventory/overcloud-components.j2": `[compute:vars]\n${line}\n` }),
        want,
      ));
  it("in an encrypted file are warned of", () =>
    match(
      hints({ "kolla.yml": "", "kolla/inventory/group_vars/all/x": "$ANSIBLE_VAULT;1.1;AES256\n31\n" }).join("\n"),
      /^kolla\/inventory\/group_vars\/all\/x is encrypted and cannot be checked\. If it contains /,
    ));
});

describe("inventory/sriov that the site has for something else", () => {
  it("is left, and the group is made in another file, which Ansible reads after it", () => {
    const before = fixture("group_file_taken");
    const after = merged(before);
    strictEqual(after.get("inventory/sriov_group"), wanted("inventory/sriov"));
    const reported = merge(artefact, before, none).hints.join("\n");
    match(
      reported,
      /^inventory\/sriov does not contain the group compute_sriov, and is left unchanged\. The group is in inventory\/sriov_group\.$/m,
    );
    match(
      reported,
      /^inventory\/group_vars\/compute-cx6\/sriov sets sriov_devices for compute-cx6, which is not part of compute_sriov, .* add compute-cx6 below \[compute_sriov:children\]/m,
    );
  });
  const taken: [title: string, files: { readonly [path: string]: string }][] = [
    ["in YAML", { "inventory/sriov": "nics:\n  hosts:\n    hv1:\n" }],
    ["a folder", { "inventory/sriov/hosts": "[nics]\nhv1\n" }],
    ["a script", { "inventory/sriov": "#!/usr/bin/env python3\nprint('{}')\n" }],
    ["encrypted", { "inventory/sriov": "$ANSIBLE_VAULT;1.1;AES256\n31\n" }],
    ["with the group as a child alone", { "inventory/sriov": "[compute:children]\ncompute_sriov\n" }],
    ["with the group's name in a variable", { "inventory/sriov": "all:\n  vars:\n    compute_sriov: 1\n" }],
    ["empty", { "inventory/sriov": "" }],
  ];
  for (const [title, files] of taken)
    it(title, () =>
      strictEqual(
        merged(config({ "kolla.yml": "", ...files })).get("inventory/sriov_group"),
        wanted("inventory/sriov"),
      ),
    );
  it("in a base does not matter to an environment", () =>
    strictEqual(
      merged(config({ "environments/e/kolla.yml": "", "inventory/sriov": "[nics]\n" }), { environment: "e" }).get(
        "environments/e/inventory/sriov",
      ),
      wanted("inventory/sriov"),
    ));
  it("devices of another group, whose hosts are in it by themselves, get no note", () => {
    const files = {
      "inventory/group_vars/row/sriov": "sriov_devices: []\n",
      "inventory/more": "[row]\nhv1\n[compute:children]\ncompute_sriov\n",
    };
    match(
      hints({ ...files, "inventory/sriov": "[compute_sriov]\nhv2\n" }).join("\n"),
      /sets sriov_devices for row, which is not part of compute_sriov/,
    );
    deepStrictEqual(hints({ ...files, "inventory/sriov": "[compute_sriov]\nhv1\nhv2\n" }), []);
  });
  it("devices of compute, which the group becomes a part of in the same run, get no note", () =>
    deepStrictEqual(
      hints({ "inventory/groups": "[compute]\nhv1\n", "inventory/group_vars/compute/sriov": "sriov_devices: []\n" }),
      [],
    ));
  it("a child that only a later file defines is ignored by Ansible, and that is reported", () => {
    const group = "[compute_sriov:children]\nrow\n[compute:children]\ncompute_sriov\n";
    const row = "[row]\nhv1\n";
    match(
      hints({ "inventory/sriov": group, "inventory/zz": row }).join("\n"),
      /^inventory\/sriov has row as a child, and only inventory\/zz defines it, .* Add a line \[row\] to inventory\/sriov\.$/m,
    );
    for (const files of [{ "inventory/sriov": group, "inventory/aa": row }, { "inventory/sriov": row + group }])
      deepStrictEqual(hints({ "kolla.yml": "", ...files }), []);
  });
  it("needs no second one where another file has the group, with other children", () => {
    const after = merged(
      config({
        "inventory/sriov": "[nics]\n",
        "inventory/zz.yml": "compute:\n  children:\n    compute_sriov:\n      children:\n        nics:\n",
      }),
    );
    ok(!after.has("inventory/sriov_group"));
  });
  it("is refused when the names for another one are taken too", () =>
    match(
      refused({ "inventory/sriov": "[a]\n", "inventory/sriov_group": "[b]\n", "inventory/sriov_group_2": "[c]\n" }),
      /^No file of inventory contains the group compute_sriov, .* Add by hand to a file of inventory:\n {4}# Hypervisors/,
    ));
  it("a group that no host is named for is reported, and one with hosts is not", () => {
    const group = (text: string): string =>
      hints({ "kolla.yml": "", "inventory/sriov": `${text}\n[compute:children]\ncompute_sriov\n` }).join("\n");
    match(group("[compute_sriov]"), /^No file of the inventory names a host for compute_sriov/m);
    doesNotMatch(group("[compute_sriov]\nhv1"), /names a host/);
    doesNotMatch(group("[compute_sriov:children]\nrow\n[row]\nhv1"), /names a host/);
    for (const map of ["{compute_sriov: [hv1]}", '"{{ our_map }}"'])
      deepStrictEqual(
        hints({ "kolla.yml": `overcloud_group_hosts_map: ${map}\n`, "inventory/sriov": wanted("inventory/sriov") }),
        [],
      );
  });
  it("devices for every host, which hide those of the inventory, are reported", () =>
    match(
      hints({ "kolla.yml": "sriov_devices: []\n", "inventory/group_vars/compute/x": "sriov_devices: []\n" }).join("\n"),
      /^kolla\.yml:1: Kayobe gives sriov_devices of this file to every host, and that of inventory\/group_vars\/compute\/x has no effect\./m,
    ));
});

describe("a list of filters under a condition", () => {
  const list = (value: string): string => `[filter_scheduler]\nenabled_filters = ${value}\n`;
  const when = (text: string, condition = "x"): string => `{% if ${condition} %}\n${text}{% endif %}\n`;
  it("in nova-scheduler.conf gets one before it, in nova.conf", () => {
    const before = fixture("filter_under_condition");
    strictEqual(merged(before).get(nova), wanted(nova));
    deepStrictEqual(merge(artefact, before, none).hints, []);
  });
  it("in nova.conf gets one before it, in global.conf", () => {
    const after = merged(config({ "kolla.yml": "", [nova]: when(list("A")) }));
    match(
      after.get("kolla/config/global.conf")!,
      /^\n\[filter_scheduler\]\n# For the case [^\n]*\nenabled_filters = .*PciPassthroughFilter\n/,
    );
    strictEqual(after.get(nova), when(list("A, PciPassthroughFilter")));
  });
  it("below a heading that is always there gets one above it", () =>
    match(
      merged(
        config({
          "kolla.yml": "",
          [nova]: `[filter_scheduler]\n${when("enabled_filters = A, PciPassthroughFilter\n")}`,
        }),
      ).get(nova)!,
      /^\[filter_scheduler\]\n# Nova's default[^\n]*\nenabled_filters = [^\n]*ComputeFilter[^\n]*\n(\{#[^\n]*\n)?\{% if x %\}\nenabled_filters = A, PciPassthroughFilter\n/,
    ));
  it("in nova.conf of a base gets one in global.conf of an environment", () => {
    const after = merged(
      config({ "kolla.yml": "", "environments/e/kolla.yml": "", [nova]: when(list("A, PciPassthroughFilter")) }),
      { environment: "e" },
    );
    match(after.get("environments/e/kolla/config/global.conf")!, /PciPassthroughFilter$/m);
    ok(!after.has(`environments/e/${nova}`));
  });
  it("in global.conf is refused, for nothing is read before that", () =>
    match(
      refused({ "kolla.yml": "", "kolla/config/global.conf": when(list("A, PciPassthroughFilter")) }),
      /^kolla\/config\/global\.conf:3: enabled_filters is under a condition. .* Add by hand, above that condition:\n {4}\[filter_scheduler\]\n {4}enabled_filters = /,
    ));
  for (const text of [
    `{% if x %}\n${list("A, PciPassthroughFilter")}{% else %}\n${list("PciPassthroughFilter")}{% endif %}\n`,
    `{% if x %}\n${list("PciPassthroughFilter")}{% elif y %}\n${list("PciPassthroughFilter")}{% else %}\n{% if z %}\n${list("PciPassthroughFilter")}{% else %}\n${list("PciPassthroughFilter")}{% endif %}\n{% endif %}\n`,
  ])
    it(`for each way is enough: ${JSON.stringify(text.slice(0, 80))}`, () => {
      const after = merged(config({ "kolla.yml": "", [nova]: text }));
      strictEqual(after.get(nova), text);
      ok(!after.has("kolla/config/global.conf"));
    });
  for (const text of [
    `{% if x %}\n${list("PciPassthroughFilter")}{% elif y %}\n${list("PciPassthroughFilter")}{% endif %}\n`,
    `${when(list("PciPassthroughFilter"))}{% if y %}\n[a]\n{% else %}\n[b]\n{% endif %}\n`,
    `{% for x in y %}\n${list("PciPassthroughFilter")}{% else %}\n${list("PciPassthroughFilter")}{% endfor %}\n`,
    `{% raw %}\n${when(list("PciPassthroughFilter"), "groups['gpu']")}{% endraw %}\n`,
  ])
    it(`for some ways is not: ${JSON.stringify(text.slice(0, 90))}`, () =>
      ok(merged(config({ "kolla.yml": "", [nova]: text })).has("kolla/config/global.conf")));
  for (const value of [
    "A{% if x %},PciPassthroughFilter{% endif %}",
    "A{{ ',PciPassthroughFilter' if x else '' }}",
    "{{ ours | default('A,PciPassthroughFilter') }}",
    "A,MyPciPassthroughFilter",
  ])
    it(`that has the filter in one way only gets it at its end: ${value}`, () =>
      strictEqual(
        merged(config({ "kolla.yml": "", [nova]: list(value) })).get(nova),
        list(`${value}, PciPassthroughFilter`),
      ));
  it("that has it in an expression for sure is left", () =>
    strictEqual(
      merged(config({ "kolla.yml": "", [nova]: list("{{ (ours + ['PciPassthroughFilter']) | join(',') }}") })).get(
        nova,
      ),
      list("{{ (ours + ['PciPassthroughFilter']) | join(',') }}"),
    ));
  it("in its own line is refused, though the filter is in it", () =>
    match(
      refused({ "kolla.yml": "", [scheduler]: "[filter_scheduler]\n{% if x %}enabled_filters = A{% endif %}\n" }),
      /has no PciPassthroughFilter, and a Jinja condition/,
    ));
});

describe("what a published guide has a site write", () => {
  const guide = byHand("published_guide");
  const snippet = textsOf(guide);
  it("is recognised, and replaced", () => {
    const after = merged(guide);
    strictEqual(after.get("ansible/sriov.yml"), wanted("ansible/sriov.yml"));
    strictEqual(after.get(agent), wanted(agent));
    strictEqual(after.get(compute), wanted(compute));
    doesNotMatch(after.get(nova)!, /passthrough_whitelist/);
    match(after.get(nova)!, /^enabled_filters = ComputeFilter,ImagePropertiesFilter,PciPassthroughFilter$/m);
    match(
      merge(artefact, guide, none).hints.join("\n"),
      /^ansible\/sriov\.yml was the playbook of a published guide, and is replaced\. .* sriov_do_reboot: true/m,
    );
    for (const path of [agent, nova])
      match(
        merge(artefact, guide, none).hints.join("\n"),
        new RegExp(
          `^${path.replaceAll(".", "\\.")}: what it made from sriov_physnet_mappings is removed\\. .* are in that group\\.$`,
          "m",
        ),
      );
  });
  it("leaves of another file what is not an option with devices, its headings too", () =>
    strictEqual(
      merged(
        config({
          "kolla.yml": "",
          [scheduler]: "[filter_scheduler]\nenabled_filters = PciPassthroughFilter\n",
          [nova]: "{% raw %}\n[pci]\npassthrough_whitelist = []\n{% endraw %}\n",
        }),
      ).get(nova),
      "{% raw %}\n[pci]\n{% endraw %}\n",
    ));
  it("with the mapping where only Kolla sees it is refused for that alone", () =>
    match(
      refused({
        ...snippet,
        "inventory/group_vars/compute_sriov/sriov": "sriov_devices: [{name: ens1f0, numvfs: 8}]\n",
        "kolla/globals.yml": "sriov_physnet_mappings: {ens1f0: physnet2}\n",
      }),
      /^kolla\/globals\.yml:1: only Kolla sees/,
    ));
  const loops: [path: string, text: string, rest: string][] = [
    [
      compute,
      '[pci]\n{% raw %}\n{% for dev, net in sriov_physnet_mappings.items() %}\ndevice_spec = { "devname": "{{ dev }}", "physical_network": "{{ net }}" }\n{% endfor %}\nalias = x\n{% endraw %}\n',
      "[pci]\n{% raw %}\nalias = x\n{% endraw %}\n",
    ],
    [
      nova,
      '[pci]\nreport_in_placement = false\n{% raw %}{% for item in sriov_physnet_mappings | dict2items %}\npassthrough_whitelist = {"devname": "{{ item.key }}", "physical_network": "{{ item.value }}"}\n{% endfor %}{% endraw %}\n',
      "[pci]\nreport_in_placement = false\n",
    ],
    ["kolla/config/global.conf", "[pci]\ndevice_spec = []\nx = 1\n", "[pci]\nx = 1\n"],
    [
      agent,
      "[agent]\nx = 1\n[sriov_nic]\nphysical_device_mappings = {% raw %}{{ sriov_physnet_mappings | dict2items | map(attribute='value') | zip(sriov_physnet_mappings.keys()) | map('join', ':') | join(',') }}{% endraw %}\n",
      "[agent]\nx = 1\n",
    ],
    [
      nova,
      '{% raw %}\n[libvirt]\nx = 1\n[pci]\npassthrough_whitelist = [{% for d, n in hostvars[inventory_hostname].sriov_physnet_mappings.items() %}{ "devname": "{{ d }}", "physical_network": "{{ n }}" }{% endfor %}]\n{% endraw %}\n',
      "[libvirt]\nx = 1\n",
    ],
    [nova, "[pci]\npassthrough_whitelist =\nx = 1\n", "[pci]\nx = 1\n"],
    [
      nova,
      '[pci]\n{% raw %}\npassthrough_whitelist = [\n  {% for dev, net in sriov_physnet_mappings.items() %}\n  {{ "," if not loop.first }}{ "devname": "{{ dev }}", "physical_network": "{{ net }}" }\n  {% endfor %}\n  ]\nx = 1\n{% endraw %}\n',
      "[pci]\n{% raw %}\nx = 1\n{% endraw %}\n",
    ],
    [
      agent,
      "[sriov_nic]\nexclude_devices =\nphysical_device_mappings =\n[agent]\nx = 1\n",
      "[sriov_nic]\n[agent]\nx = 1\n",
    ],
  ];
  for (const [path, text, rest] of loops)
    it(`in other words: ${JSON.stringify(text)}`, () => {
      const after = merged(config({ "kolla.yml": "", [path]: text })).get(path)!;
      for (const line of rest.split("\n")) ok(after.split("\n").includes(line), `${line} is lost`);
      strictEqual(after.match(/^(device_spec|passthrough_whitelist|exclude_devices =$)/gm), null);
    });
  const said = {
    "inventory/host_vars/hv1":
      'sriov_devices: [{name: ens1f0, physical_network: physnet2}, {address: "0000:3b:00.1", physical_network: physnet3}]\n',
  };
  for (const [path, text] of [
    [agent, "[sriov_nic]\nphysical_device_mappings = physnet2:ens1f0\n"],
    [
      nova,
      '[pci]\npassthrough_whitelist = [{"devname": "ens1f0", "physical_network": "physnet2"}, {"address": "0000:3b:00.1", "physical_network": "physnet3"}]\n',
    ],
  ] as const)
    it(`by hand, where the inventory already contains it, need only be removed: ${path}`, () => {
      match(
        refused({ ...said, [path]: text }),
        /is set by hand, and the inventory already contains the same\. Remove it here\.$/,
      );
      match(
        refused({ ...said, [path]: text.replace("physnet2", "physnet9") }),
        /is set by hand. .* Move it to physical_network/,
      );
    });
  const others: [title: string, path: string, text: string, want: RegExp][] = [
    [
      "with a device more",
      agent,
      "[sriov_nic]\nphysical_device_mappings = physnet9:ens9,{% for d, n in sriov_physnet_mappings.items() %}{{ n }}:{{ d }}{% endfor %}\n",
      /is made from sriov_physnet_mappings, which is now read from the inventory, .* Remove it here/,
    ],
    [
      "with a tag",
      nova,
      '[pci]\npassthrough_whitelist = [{% for d, n in sriov_physnet_mappings.items() %}{"devname": "{{ d }}", "physical_network": "{{ n }}", "trusted": "true"}{% endfor %}]\n',
      /Remove it here, and move its other settings to nova of the PF/,
    ],
    [
      "with another variable",
      nova,
      '[pci]\npassthrough_whitelist = [{% for d, n in sriov_physnet_mappings.items() if d in ours %}{"devname": "{{ d }}", "physical_network": "{{ n }}"}{% endfor %}]\n',
      /is made from sriov_physnet_mappings/,
    ],
    [
      "with something else in the loop",
      compute,
      '[pci]\n{% for d, n in sriov_physnet_mappings.items() %}\ndevice_spec = {"devname": "{{ d }}", "physical_network": "{{ n }}"}\nalias = {{ d }}\n{% endfor %}\n',
      /is made from sriov_physnet_mappings/,
    ],
    [
      "by way of a variable",
      agent,
      "[sriov_nic]\n{% set m = [] %}{% for d, n in sriov_physnet_mappings.items() %}{% set _ = m.append(n ~ ':' ~ d) %}{% endfor %}\nphysical_device_mappings = {{ m | join(',') }}\n",
      /is made from sriov_physnet_mappings/,
    ],
    [
      "empty, for one host",
      "kolla/config/neutron/hv1/sriov_agent.ini",
      "[sriov_nic]\nexclude_devices =\n",
      /is empty, and on hv1 it replaces what is derived from sriov_devices/,
    ],
  ];
  for (const [title, path, text, want] of others)
    it(`${title} is refused, with advice that fits`, () => match(refused({ "kolla.yml": "", [path]: text }), want));
  it("in a base is refused for an environment, with the way", () =>
    match(
      refusals(
        { ...snippet, "ansible/sriov.yml": wanted("ansible/sriov.yml"), "environments/e/kolla.yml": "" },
        { environment: "e" },
      ).join("\n"),
      /nova\.conf:7: .* contains what is now derived from sriov_physnet_mappings automatically\. To replace it, run sriov-role kayobe for that layer first, without --environment\.$/m,
    ));
  const playbook = snippet["ansible/sriov.yml"]!;
  const playbooks: [text: string, want: boolean][] = [
    [playbook, true],
    [
      playbook.replace("include_role", "ansible.builtin.import_role").replace("stackhpc.sriov", "stackhpc.linux.sriov"),
      true,
    ],
    [
      "- hosts: compute_sriov\n  become: true\n  roles:\n    - role: stackhpc.sriov\n  handlers:\n    - name: reboot\n      reboot:\n",
      true,
    ],
    [playbook.replace("compute_sriov", "compute"), false],
    [playbook.replace("stackhpc.sriov", "ours.nics"), false],
    [playbook.replace("tasks/reboot.yml", "tasks/tell.yml"), false],
    [playbook.replace("  tasks:", "  vars:\n    sriov_numvfs: 4\n  tasks:"), false],
    [playbook.replace("  tasks:", "  tasks:\n    - command: ours"), false],
    [`${playbook.replace("...\n", "")}- hosts: compute_sriov\n  tasks:\n    - command: ours\n`, false],
    ["- hosts: [\n", false],
    ["a: 1\n", false],
  ];
  for (const [text, want] of playbooks)
    it(`${JSON.stringify(text)}: ${want}`, () => strictEqual(isPublished(text, "compute_sriov"), want));
});

describe("what was just done", () => {
  const ranges = (network: string): string =>
    hints({ "kolla.yml": "" }, { vlanRanges: [{ network, range: "100:199" }] }).join("\n");
  it("is not advised", () => doesNotMatch(ranges("physnet1"), /--vlan-range physnet1/));
  it("for another network is", () => match(ranges("physnet2"), /Add --vlan-range physnet1 if that is in use/));
});

describe("YAML that Ansible reads", () => {
  it("in quotes and brackets at the margin is read, and kept", () => {
    const after = merged(fixture("yaml_at_the_margin"));
    match(after.get("kolla.yml")!, /^our_banner: "first part\/\\\nsecond part"\nour_map: \{a: 1,\nb: 2\}\n/m);
    match(after.get("kolla.yml")!, /\[our_bonds,\nour_numa,\n?\s*sriov_openstack\n?\]/);
    match(after.get("neutron.yml")!, /\[\novn,\nsriovnicswitch,\n\]\nour_text: 'of\n\nthree lines'\n/);
  });
  it("and what was added is what Ansible reads", async () => {
    const folder = temporary();
    const after = merged(fixture("yaml_at_the_margin"));
    put(folder, { "kolla.yml": after.get("kolla.yml")!, "neutron.yml": after.get("neutron.yml")! });
    const { code, stdout, output } = await tool(
      "python",
      ["-c", "import json, yaml; print(json.dumps([yaml.safe_load(open(p)) for p in ('kolla.yml', 'neutron.yml')]))"],
      folder,
    );
    strictEqual(code, 0, output);
    const [kolla, neutron] = JSON.parse(stdout) as { [key: string]: unknown }[];
    deepStrictEqual(
      [kolla!["our_banner"], kolla!["our_map"], kolla!["kolla_overcloud_inventory_pass_through_host_vars_extra"]],
      ["first part/second part", { a: 1, b: 2 }, ["our_bonds", "our_numa", "sriov_openstack"]],
    );
    deepStrictEqual(
      [neutron!["kolla_neutron_ml2_mechanism_drivers"], neutron!["our_text"]],
      [["ovn", "sriovnicswitch"], "of\nthree lines"],
    );
  });
});

describe("the command kayobe in the field", () => {
  it("writes through a linked folder of an environment what the base has, and nothing twice", async () => {
    const folder = repository();
    const target = join(temporary(), "kayobe");
    cpSync(join(fixtures, "environments"), target, { recursive: true });
    put(target, { [compute]: "[libvirt]\ncpu_mode = host-model\n" });
    mkdirSync(join(target, "environments/test/kolla"), { recursive: true });
    symlinkSync("../../../kolla/config", join(target, "environments/test/kolla/config"));
    strictEqual((await cli(folder, "kayobe", "--config-path", target)).code, 0);
    const second = await cli(folder, "kayobe", "--config-path", target);
    match(second.output, /^Nothing to do: .* is up to date\.$/m);
    doesNotMatch(second.output, /environments\/test/);
    match((await cli(folder, "kayobe", "--config-path", target, "--environment", "test")).output, /^Nothing to do: /m);
  });
  it("names the file that it made for the group", async () => {
    const target = join(temporary(), "kayobe");
    cpSync(join(fixtures, "group_file_taken"), target, { recursive: true });
    const { code, output } = await cli(repository(), "kayobe", "--config-path", target);
    strictEqual(code, 0, output);
    match(output, /^Name the hosts in inventory\/sriov_group\.$/m);
  });
});
