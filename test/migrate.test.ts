import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readSources } from "../generator/artefacts.js";
import { isReadable, judge, nearest } from "../generator/migrate/judge.js";
import type { Finding, Present } from "../generator/migrate/judge.js";
import { changes, goneFacts, iommuVariables, newFacts, oldCommits, oldKeys, oldVariables, predecessors, releases } from "../generator/migrate/predecessors.js";
import type { Predecessor } from "../generator/migrate/predecessors.js";
import { cli, put, repository, repositoryOfFixtures, root, temporary } from "./support.js";

const { role } = readSources(root);
const present: Present = { variables: role.variables, role: "stackhpc.sriov", collection: "stackhpc.sriov", version: "9.8.7" };
const linux = "stackhpc.linux.sriov";

const told = (findings: readonly Finding[]): string[] => findings.map(({ line, outcome, text }) => `${line ?? "-"} ${outcome}: ${text}`);
const judged = (text: string, from?: Predecessor, path = "a.yml"): string[] => told(judge([{ path, text }], present, from).findings);

describe("the facts about the predecessors", () => {
  // What stackhpc.sriov 0.2.1 and stackhpc.linux.sriov 1.6.4 could be told, from their defaults, tasks and templates.
  const surface = {
    "stackhpc.sriov": "sriov_devices sriov_workdir sriov_mft_url sriov_mft_tarball sriov_os_pkgs sriov_restart_handler sriov_numvfs sriov_udev_rule_path sriov_mellanox_vendor_ids sriov_install_enabled sriov_iommu_pt_enabled sriov_action",
    "stackhpc.linux.sriov":
      "sriov_devices sriov_workdir sriov_mft_url sriov_mft_tarball sriov_os_pkgs_rpm sriov_os_pkgs_deb sriov_do_reboot sriov_restart_handler sriov_numvfs sriov_numvfs_driver sriov_numvfs_required_by sriov_udev_rule_path sriov_mellanox_vendor_ids sriov_install_enabled sriov_iommu_pt_enabled sriov_action",
  };
  const keys = { "stackhpc.sriov": "name numvfs on_boot_configuration_enabled", "stackhpc.linux.sriov": "name numvfs on_boot_configuration_enabled numvfs_driver numvfs_required_by" };
  const devices = role.variables.find(({ name }) => name === "sriov_devices")!.type;
  const fields = devices.kind === "list" && devices.elements.kind === "dict" ? devices.elements.fields.map(({ name }) => name) : [];
  const model = role.variables.map(({ name }) => name);

  for (const from of predecessors) {
    const of = (table: typeof oldVariables): string[] => Object.keys(table).filter((name) => table[name]!.defaults[from] !== undefined).sort();
    it(`has every variable of ${from}, and no other`, () => deepStrictEqual(of(oldVariables), surface[from].split(" ").sort()));
    it(`has every key of a device of ${from}, and no other`, () => deepStrictEqual(of(oldKeys), keys[from].split(" ").sort()));
  }

  it("calls no variable the role's that the model has not", () => {
    deepStrictEqual(Object.keys(oldVariables).filter((name) => !model.includes(name)), []);
    deepStrictEqual(Object.keys(oldKeys).filter((name) => !fields.includes(name)), []);
  });

  it("names in its sentences only what there is", () => {
    const rules = [oldVariables, iommuVariables, oldKeys].flatMap((table) => Object.values(table)).flatMap((old) => old.rules);
    const texts = [...rules.map(({ text }) => text), ...changes.map(({ text }) => text), ...Object.values(goneFacts)];
    const names = new Set([...texts.flatMap((text) => text.match(/\bsriov_\w+/g) ?? []), ...rules.flatMap(({ when }) => when?.unset ?? []), ...changes.flatMap(({ unless }) => unless ?? [])]);
    deepStrictEqual([...names].filter((name) => !model.includes(name)), []);
    ok(names.size > 8);
  });

  it("knows the facts that the role sets", () => {
    const summary = readFileSync(join(root, "role-template/tasks/summary.yml"), "utf8");
    deepStrictEqual([...summary.matchAll(/^ {4}(sriov_\w+):/gm)].map((found) => found[1]), newFacts);
  });

  it("has whole commits, and that of the last release", () => {
    deepStrictEqual(oldCommits.filter((commit) => !/^[\da-f]{40}$/.test(commit)), []);
    ok(oldCommits.includes(releases["stackhpc.sriov"].commit));
  });

  it("has each variable on the page", () => {
    const page = readFileSync(join(root, "docs/moving-over.md"), "utf8");
    deepStrictEqual([...Object.keys(oldVariables), ...Object.keys(oldKeys), ...Object.keys(goneFacts)].filter((name) => !page.includes(`\`${name}\``)), []);
  });

  it("ends the rules of each with one that always holds", () => {
    for (const [name, { rules }] of Object.entries({ ...oldVariables, ...iommuVariables, ...oldKeys }))
      for (const from of predecessors) {
        const own = rules.filter((rule) => rule.from === undefined || rule.from === from);
        deepStrictEqual(own.at(-1)?.when, undefined, `${name} from ${from}`);
      }
  });
});

describe("migrate, what becomes of a variable", () => {
  const cases: [text: string, from: Predecessor, want: RegExp][] = [
    ["sriov_do_reboot: true", linux, /^1 different: sriov_do_reboot: the role itself reboots the host/],
    ["sriov_do_reboot: yes", linux, /^1 different: sriov_do_reboot: the role itself reboots the host/],
    ['sriov_do_reboot: "false"', linux, /^1 different: sriov_do_reboot: the role no longer fails/],
    ["sriov_do_reboot: off", linux, /^1 different: sriov_do_reboot: the role no longer fails/],
    ["sriov_do_reboot:", linux, /^1 fine: /],
    ["sriov_do_reboot: true", "stackhpc.sriov", /^1 different: .*did not know it.*the role itself reboots/],
    ['sriov_do_reboot: "{{ x }}"', linux, /^1 unjudged: sriov_do_reboot: only a run of Ansible knows its value: when it is nothing, .*; when it is true, the role itself.*; otherwise the role no longer fails/],
    ["sriov_do_reboot: !vault |\n  $ANSIBLE_VAULT", linux, /^1 unjudged: /],
    ['sriov_do_reboot: !unsafe "{{ x }}"', linux, /^1 different: /],
    ["sriov_iommu_pt_enabled: false", linux, /^1 different: .*had no effect and has one now/],
    ["sriov_iommu_pt_enabled: true", linux, /^1 fine: /],
    ["sriov_numvfs_driver: udev", linux, /^1 fine: .*udev starts a unit/],
    ["sriov_numvfs_driver: udev", "stackhpc.sriov", /^1 different: .*did not know it/],
    ["sriov_numvfs_driver: Systemd", linux, /^1 different: .*it is refused now/],
    ["sriov_numvfs_required_by: [docker.service]", linux, /^1 fine: /],
    ["sriov_numvfs_required_by: [docker.service, docker]", linux, /^1 different: .*write docker\.service/],
    ["sriov_numvfs_required_by: docker.service, libvirtd.service", linux, /^1 fine: /],
    ["sriov_action: config", linux, /^1 fine: /],
    ["sriov_action: mlxconfig", linux, /^1 different: .*write all, config or mellanox/],
    ["sriov_restart_handler: reboot", linux, /^1 fine: /],
    ["sriov_restart_handler: restart", linux, /^1 different: .*no handler of this name/],
    ['sriov_mellanox_vendor_ids: ["0x15b3", "0x02c9"]', linux, /^1 fine: /],
    ["sriov_mellanox_vendor_ids: 0x15b3,0x02c9", linux, /^1 fine: /],
    ['sriov_mellanox_vendor_ids: ["15b3"]', linux, /^1 different: .*fitted no card before.*firmware of these cards is set/],
    ['sriov_mellanox_vendor_ids: ["0x15b3", "0x15B3"]', "stackhpc.sriov", /^1 different: .*it fits now/],
    ['sriov_mellanox_vendor_ids: ["0X15b3"]', linux, /^1 different: .*it fits now/],
    ['sriov_mellanox_vendor_ids: [" 0x15b3"]', linux, /^1 different: /],
    ['sriov_mellanox_vendor_ids: ["0x15b3,0x02c9"]', linux, /^1 different: /],
    ['sriov_numvfs_required_by: ["docker.service, a.service"]', linux, /^1 different: /],
    ["sriov_mellanox_vendor_ids: [0x15b3]", linux, /^1 different: .*quotes/],
    ["sriov_install_enabled: false", linux, /^1 fine: .*nothing is installed/],
    ["sriov_mft_url: http://a/b.tgz", linux, /^1 ineffective: .*sriov_firmware_tool: mft/],
    ["sriov_workdir: /opt", linux, /^1 ineffective: /],
    ["sriov_os_pkgs: [gcc]", linux, /^1 ineffective: /],
    ["sriov_numvfs: 4", linux, /^1 fine: /],
    ['sriov_numvfs: "{{ x }}"', linux, /^1 fine: /],
    ["sriov_numvfs: eight", linux, /^1 different: sriov_numvfs: .*whole number/],
    ["sriov_numvfs: 4.5", "stackhpc.sriov", /^1 different: .*whole number/],
    ["set_fact: sriov_numvfs=4", linux, /^1 fine: sriov_numvfs: the same/],
    ["ansible.builtin.set_fact: a=b sriov_numvfs=eight", linux, /^1 different: sriov_numvfs: .*whole number/],
    ["set_fact: sriov_numvfs='{{ a + 1 }}' b=c", linux, /^1 fine: sriov_numvfs/],
    ["set_fact: sriov_do_reboot={{ a or b }}", linux, /^1 unjudged: sriov_do_reboot/],
    ["set_fact: cacheable=yes sriov_numvf=4", linux, /^1 unknown: sriov_numvf: .*sriov_numvfs is the nearest/],
    ["set_fact:\n  sriov_numvfs: 4", linux, /^2 fine: sriov_numvfs/],
    ["sriov_udev_rule_path: /etc/x", linux, /^1 fine: .*the old block/],
    ["sriov_boot_wait: 5", linux, /^1 fine: .*a variable of this role/],
    ["iommu_pt: false", linux, /^1 ineffective: .*sriov_iommu_pt_enabled: false/],
    ["sriov_numvf: 4", linux, /^1 unknown: .*sriov_numvfs is the nearest/],
    ["sriov_udev_rules_path: /x", linux, /^1 unknown: .*sriov_udev_rule_path is the nearest/],
    ["sriov_entirely_different: 4", linux, /^1 unknown: .*nothing that was read uses it/],
    ["sriov_reboot_required: true", linux, /^1 different: .*choose another name/],
    ["sriov_pci_addrs: []", linux, /^1 ineffective: /],
  ];
  for (const [text, from, want] of cases)
    it(`${from}: ${JSON.stringify(text)}`, () => {
      const [first = "", ...more] = judged(text, from);
      match(first, want);
      deepStrictEqual(more, []);
    });

  it("of the last of two equal keys", () => deepStrictEqual(judged("sriov_numvfs: 1\nsriov_iommu_pt_enabled: false\nsriov_iommu_pt_enabled: true\n", linux).map((line) => line.slice(0, 7)), ["1 fine:", "3 fine:"]));
  it("by what is set beside it", () => {
    const mft = "sriov_mft_url: http://a/b.tgz\nsriov_mft_tarball: b.tgz\nsriov_workdir: /opt\nsriov_os_pkgs: [gcc]\nsriov_firmware_tool: mft\n";
    deepStrictEqual(judged(mft, linux).map((line) => line.split(":")[0]), ["1 different", "2 different", "3 different", "4 different", "5 fine"]);
    match(judged(`${mft}sriov_mft_checksum: sha256:0\n`, linux)[0]!, /^1 fine: .*verified/);
    match(judged(mft, "stackhpc.sriov")[3]!, /^4 fine: /);
    match(judged(mft.replace("mft\n", "mstflint\n"), linux)[0]!, /^1 ineffective/);
  });
  it("by the handlers of all files, their names and what they listen to", () => {
    const vars = { path: "group_vars/all", text: "sriov_restart_handler: Restart it\n" };
    const outcome = (text: string, path = "site.yml"): string => judge([vars, { path, text }], present, linux).findings[0]!.outcome;
    strictEqual(outcome("- hosts: a\n  handlers:\n    - name: Restart it\n      reboot:\n"), "fine");
    strictEqual(outcome("- hosts: a\n  handlers:\n    - name: x\n      listen: [y, Restart it]\n      reboot:\n"), "fine");
    strictEqual(outcome("- name: Restart it\n  reboot:\n", "roles/a/handlers/main.yml"), "fine");
    strictEqual(outcome("- hosts: a\n  tasks:\n    - name: Restart it\n      reboot:\n"), "different");
  });
  it("that is somebody's own, and used", () => {
    match(judged('sriov_entirely_different: 4\nb: "{{ sriov_entirely_different }}"\n', linux)[0]!, /^1 fine: .*a variable of yours/);
    match(judged("- set_fact:\n    sriov_entirely_different: 4\n- debug:\n  when: sriov_entirely_different > 3\n", linux)[0]!, /^2 fine: .*a variable of yours/);
  });
  for (const key of ["when", "that", "until", "failed_when", "changed_when"])
    for (const condition of ["[sriov_entirely_different | bool]", ">-\n        a\n        and sriov_entirely_different", "\n        - a\n        - not sriov_entirely_different"])
      it(`that is somebody's own, and used in ${key}: ${JSON.stringify(condition)}`, () => {
        match(judged(`- hosts: a\n  vars: {sriov_entirely_different: 4}\n  tasks:\n    - b:\n      ${key}: ${condition}\n`, linux)[0]!, /^2 fine: .*a variable of yours/);
      });
  it("that is somebody's own, and used by debug in one text", () => match(judged("- set_fact: sriov_entirely_different=4\n- debug: var=sriov_entirely_different\n", linux)[0]!, /^1 fine: .*a variable of yours/));
  it("that a template uses, which is not judged itself", () => {
    const [one, ...more] = told(judge([{ path: "a.yml", text: "sriov_entirely_different: 4\n" }, { path: "b.conf", aside: true, text: "sriov_numvf: {{ sriov_entirely_different }}\n" }], present, linux).findings);
    match(one!, /^1 fine: .*a variable of yours/);
    deepStrictEqual(more, []);
  });
  it("for either of the old roles, when nothing tells which it was", () => {
    match(judged("sriov_do_reboot: false")[0]!, /different: sriov_do_reboot: from stackhpc\.sriov 0\.2\.1: .*; from stackhpc\.linux\.sriov 1\.6\.4: the role no longer fails/);
    doesNotMatch(judged("- hosts: a\n  vars:\n    sriov_do_reboot: false\n  roles: [stackhpc.linux.sriov]\n")[0]!, /from stackhpc/);
    doesNotMatch(judged("- hosts: a\n  collections: [stackhpc.linux]\n  vars:\n    sriov_do_reboot: false\n  roles: [sriov]\n")[1]!, /from stackhpc/);
    match(judged('sriov_do_reboot: "{{ x }}"\n', "stackhpc.sriov")[0]!, /unjudged: (?!.*no longer fails)/);
  });
});

describe("migrate, what becomes of a device", () => {
  const cases: [device: string, want: RegExp | undefined][] = [
    ["{name: a, numvfs: 4, on_boot_configuration_enabled: false}", undefined],
    ['{name: a, numvfs: "4"}', undefined],
    ['{name: "{{ a }}", numvfs: "{{ b }}"}', undefined],
    ['{address: "0000:3b:00.0", optional: true}', undefined],
    ["{name: a, numvfs: 1_0}", undefined],
    ["{name: a, numvfs: many}", /^1 different: numvfs of sriov_devices\[0\]: .*whole number/],
    ["{name: a, numvfs: 4.5}", /^1 different: numvfs/],
    ["{name: a, numvf: 4}", /^1 unknown: numvf of sriov_devices\[0\]: .*numvfs is the nearest key/],
    ["{name: a, vlan: 4}", /^1 unknown: vlan of sriov_devices\[0\]: .*take it out/],
    ["{name: a, numvfs_driver: udevd}", /^1 different: numvfs_driver/],
    ["{name: a, numvfs_required_by: [docker]}", /^1 different: numvfs_required_by/],
    ['{name: a, on_boot_configuration_enabled: "no"}', /^1 different: on_boot_configuration_enabled of sriov_devices\[0\]: a text in quotes/],
    ['"{{ a }}"', /^1 unjudged: sriov_devices\[0\]/],
    ["ens1", /^1 different: sriov_devices\[0\]: it is no dictionary/],
  ];
  for (const [device, want] of cases)
    it(device, () => {
      const [list = "", first, ...more] = judged(`sriov_devices: [${device}]\n`, linux);
      match(list, /^1 fine: sriov_devices/);
      deepStrictEqual(more, []);
      if (want === undefined) strictEqual(first, undefined);
      else match(first ?? "", want);
    });
  it("in a list that only Ansible knows", () => match(judged('sriov_devices: "{{ a }}"', linux)[0]!, /^1 unjudged: sriov_devices/));
  it("in no list", () => match(judged("sriov_devices: {name: a}", linux)[0]!, /^1 different: sriov_devices: it is no list/));
  it("in a list that is an alias, once", () => strictEqual(judged("a: &nics [{name: b, numvf: 1}]\nsriov_devices: *nics\nc:\n  sriov_devices: *nics\n", linux).filter((line) => line.includes("numvf of")).length, 1));
});

describe("migrate, what becomes of a role", () => {
  const tasks = (task: string): string => `- hosts: a\n  tasks:\n    - ${task}\n`;
  const cases: [text: string, want: RegExp[]][] = [
    [tasks("include_role: {name: stackhpc.sriov}"), [/^3 fine: role stackhpc\.sriov/]],
    [tasks("ansible.builtin.import_role: {name: stackhpc.linux.sriov}"), [/^3 different: role stackhpc\.linux\.sriov: write stackhpc\.sriov\.sriov/]],
    [tasks("ansible.legacy.include_role: name=sriov"), [/^3 different: role sriov: write stackhpc\.sriov\.sriov/]],
    [tasks("block: [{include_role: {name: stackhpc.linux.iommu}}]"), [/^3 ineffective: role stackhpc\.linux\.iommu/]],
    [tasks("include_role: {name: stackhpc.sriov, tasks_from: config.yml}"), [/fine/, /^3 different: tasks_from config\.yml: .*sriov_action: config/]],
    [tasks("include_role: {name: stackhpc.sriov, tasks_from: reboot}"), [/fine/]],
    [tasks("include_role: {name: other, tasks_from: config.yml}"), []],
    ["- hosts: a\n  roles:\n    - stackhpc.linux.sriov\n    - {role: stackhpc.sriov.sriov}\n    - other\n", [/^3 different/, /^4 fine/]],
    ["dependencies:\n  - role: stackhpc.linux.sriov\n", [/^2 different/]],
    [tasks("systemd: {name: virtual-functions-ens1.service}"), [/^3 different: virtual-functions-ens1\.service: this unit goes/]],
    [tasks('debug: {msg: "{{ sriov_pci_addrs }}"}'), [/^3 ineffective: sriov_pci_addrs: the role no longer sets/]],
  ];
  for (const [text, want] of cases)
    it(JSON.stringify(text), () => {
      const found = judged(text);
      strictEqual(found.length, want.length, found.join("\n"));
      for (const [index, one] of want.entries()) match(found[index]!, one);
    });
});

describe("migrate, what becomes of a requirement", () => {
  const cases: [text: string, want: RegExp | undefined][] = [
    ["- src: stackhpc.sriov\n  version: 0.2.1\n", /^1 different: .*write stackhpc\.sriov, version 9\.8\.7/],
    ["roles:\n  - name: stackhpc.sriov\n    version: v0.1.0\n", /^2 different/],
    ["roles:\n  - src: https://github.com/stackhpc/ansible-role-sriov.git\n    scm: git\n    version: 0.2.1\n", /^2 different/],
    ["roles:\n  - name: stackhpc.sriov\n    scm: git\n", /^2 fine: requirement/],
    ["roles:\n  - src: stackhpc.sriov\n    version: 1.2.0\n", /^2 fine: .*--force/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: baaf0d8f30a513f9db9368862d1eef9c54777ca2\n", /^1 different: .*is the predecessor/],
    ["- src: git@github.com:stackhpc/ansible-role-sriov.git\n  version: ACEF5121\n", /^1 different/],
    ["roles:\n  - name: stackhpc.sriov\n    src: https://github.com/stackhpc/ansible-role-sriov/\n    version: 4f1a028\n", /^2 different/],
    ["- name: other\n  src: https://github.com/stackhpc/ansible-role-sriov\n  version: 0.2.0\n", /^1 different: requirement other/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov/archive/refs/tags/0.2.1.tar.gz\n  name: stackhpc.sriov\n", /^1 different: .*version 0\.2\.1/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: main\n", /^1 unjudged: .*which role main is: write stackhpc\.sriov, version 9\.8\.7/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: 0123456789abcdef\n", /^1 unjudged/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: baa\n", /^1 unjudged/],
    ["- name: stackhpc.sriov\n  src: git+https://github.com/stackhpc/ansible-role-sriov.git\n", /^1 unjudged: .*without a version/],
    ["- https://github.com/stackhpc/ansible-role-sriov\n", /^1 unjudged/],
    ["roles:\n  - https://github.com/stackhpc/ansible-role-sriov\n", /^2 unjudged/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: v1.2.0\n", /^1 fine/],
    ["- stackhpc.sriov,v0.2.1\n", /^1 different: requirement stackhpc\.sriov: version v0\.2\.1/],
    ["roles:\n  - stackhpc.sriov, 0.2.1\n", /^2 different: requirement stackhpc\.sriov/],
    ["- src: stackhpc.sriov,0.2.1\n", /^1 different: requirement stackhpc\.sriov/],
    ["- git+https://github.com/stackhpc/ansible-role-sriov.git,0.2.0,sriov\n", /^1 different: requirement sriov/],
    ["- stackhpc.sriov\n", /^1 fine: requirement/],
    ["dependencies:\n  - role: stackhpc.sriov\n    version: 0.2.1\n", /^2 different: requirement/],
    ["- geerlingguy.docker,1.0\n- a, b\n- https://example.com/other.git\n", undefined],
    ["- src: https://github.com/stackhpc/ansible-role-grubcmdline\n  name: x\n", /^1 ineffective/],
    ["- src: stackhpc.grubcmdline\n", /^1 ineffective/],
    ["collections:\n  - stackhpc.linux\n", /^2 fine/],
    ["collections:\n  - name: stackhpc.sriov\n    version: 1.0.0\n", /^2 fine/],
    ["collections:\n  - name: community.general\nroles:\n  - src: geerlingguy.docker\n", undefined],
  ];
  for (const [text, want] of cases)
    it(JSON.stringify(text), () => {
      const [first, ...more] = judged(text, undefined, "requirements.yml");
      deepStrictEqual(more, []);
      if (want === undefined) strictEqual(first, undefined);
      else match(first ?? "", want);
    });
});

describe("migrate, a file", () => {
  it("that is encrypted cannot be judged", () => match(judged("$ANSIBLE_VAULT;1.1;AES256\n61\n")[0]!, /^- unjudged: is encrypted/));
  it("that is no YAML cannot be judged", () => match(judged("sriov_devices: [\n")[0]!, /^- unjudged: is no YAML/));
  it("that is no text cannot be judged", () => deepStrictEqual(told(judge([{ path: "a.yml" }, { path: "b" }], present).findings).map((line) => line.slice(0, 12)), ["- unjudged: "]));
  it("that is empty, or goes round in a circle, says nothing", () => {
    for (const text of ["", "---\n", "# a\n", "a: &a\n  b: *a\n", "- &a [*a]\n"]) deepStrictEqual(judged(text), [], text);
    match(judged("sriov_devices: &a [*a]\n", linux)[1]!, /different: sriov_devices\[0\]: it is no dictionary/);
  });
  it("that is an INI inventory is read", () => {
    const found = judged('[a]\nhv1 sriov_numvfs=4 ansible_host=b\n# sriov_numvf=1\n[a:vars]\nsriov_do_reboot = "no"\nsriov_devices=[{"name": "a"}]\n', linux, "hosts");
    deepStrictEqual(found.map((line) => line.split(":").slice(0, 2).join(":")), ["2 fine: sriov_numvfs", "5 different: sriov_do_reboot", "6 unjudged: sriov_devices"]);
  });
  it("that is an INI inventory of hosts without a group is read, though it is a text to YAML", () => {
    for (const path of ["hosts", "hosts.ini", "inventory.example"]) {
      match(judged("h1 sriov_numvfs_driver=foo\n[compute]\nh1\n", linux, path)[0] ?? "", /^1 different: sriov_numvfs_driver/);
      match(judged('h1:22 a="b: c" sriov_numvfs_driver=foo # d\n[e:children]\nf\n', linux, path)[0] ?? "", /^1 different: sriov_numvfs_driver/);
    }
    match(judged("[a:vars]\r\nb=c d\r\nsriov_numvfs = 4 # e\r\n", linux, "hosts")[0] ?? "", /^3 fine: sriov_numvfs/);
  });
  it("that is INI and no inventory says nothing", () => {
    const setting = "h1 sriov_numvfs_driver=foo\n";
    const others = ["[testenv]\ncommands =\n  h1 sriov_numvfs_driver=foo\n", "[defaults]\ninventory = hosts\n", "[testenv:py3]\n", "ansible-playbook -e sriov_numvfs=4\n", "a=b\n", "a: b=c\n", "---\n", "h1 a='b\n", "[a b]\n", "[a:children]\nb c=d\n", "[a:vars]\nb\n"];
    for (const path of ["tox.ini", "ansible.cfg", "hosts"])
      for (const other of others) {
        deepStrictEqual(judged(`${other}[x]\n${setting}`, linux, path), [], other);
        // Ansible warns, and keeps what it had read before.
        strictEqual(judged(setting + other, linux, path).length, 1, other);
      }
  });
  it("of a host is YAML, whatever its name ends with", () => {
    match(judged("sriov_numvfs_driver: foo\n", linux, "host_vars/a.example.com")[0] ?? "", /^1 different/);
    match(judged("a: [\n", linux, "host_vars/a.example.com")[0] ?? "", /^- unjudged: is no YAML/);
  });
  it("of several documents is read whole", () => deepStrictEqual(judged("---\nsriov_numvfs: 1\n---\nsriov_action: all\n", linux).map((line) => line.slice(0, 1)), ["2", "4"]));
  it("of an installed role is nobody's configuration", () => {
    const files = ["roles/stackhpc.sriov/tasks/mlxconfig.yml", "roles/stackhpc.sriov/defaults/main.yml"].map((path) => ({ path, text: "sriov_numvfs: 8\n" }));
    deepStrictEqual(told(judge(files, present).findings).map((line) => line.slice(0, 34)), ["- different: the installed role is"]);
    deepStrictEqual(judge(files.map(({ path, text }) => ({ path: path.replace("mlxconfig", "firmware_tool"), text })), present).findings, []);
    strictEqual(judge([{ path: "roles/sriov/defaults/main.yml", text: "sriov_numvfs: 8\n" }], present).findings.length, 1);
  });
  it("is looked at by its name", () => {
    for (const path of ["a.yml", "group_vars/all", "host_vars/b.yaml", "c.json", "hosts.ini", "host_vars/a.example.com", "x/group_vars/b.c", "host_vars/a.example.com/d"]) ok(isReadable(path), path);
    for (const path of ["a.py", ".gitignore", "b.yml.j2", "c/.x", "a.example.com", "x_host_vars/a.b", "host_vars/a.b/c.d", "host_vars/.a.b", "group_vars/all~", "host_vars/a.yml~", "host_vars/README.md", "host_vars/a.yml.bak", "host_vars/a.yml.disabled", "host_vars/a.j2"]) ok(!isReadable(path), path);
  });
});

it("a typing error is told by the nearest name, when that is near", () => {
  strictEqual(nearest("sriov_device", ["sriov_devices", "sriov_numvfs"]), "sriov_devices");
  strictEqual(nearest("sriov_numfvs", ["sriov_devices", "sriov_numvfs"]), "sriov_numvfs");
  strictEqual(nearest("sriov_colour", ["sriov_devices", "sriov_numvfs"]), undefined);
});

it("what nobody wrote is told where it applies", () => {
  const notes = (text: string): string => judge([{ path: "a.yml", text }], present).notes.join("\n");
  match(notes("- hosts: a\n  roles: [stackhpc.sriov]\n"), /numvfs_driver: udev keeps udev/);
  doesNotMatch(notes("- hosts: a\n  roles: [stackhpc.linux.sriov]\n"), /keeps udev/);
  doesNotMatch(notes("- hosts: a\n  vars: {sriov_numvfs_driver: udev}\n  roles: [stackhpc.sriov]\n"), /keeps udev/);
  strictEqual(notes("a: 1\n"), "");
});

describe("migrate, the command", () => {
  let made: string | undefined;
  const own = (): string => (made ??= repositoryOfFixtures());
  const fixture = (name: string): string => join(root, "test/fixtures/migrate", name);
  const cases: [name: string, code: number, closing: RegExp][] = [
    ["plain", 0, /^2 fine, 0 ineffective now, 0 different now, 0 cannot be judged, 0 unknown\.$/m],
    ["role", 1, /^8 fine, 5 ineffective now, 8 different now, 0 cannot be judged, 3 unknown\.$/m],
    ["collection", 1, /^7 fine, 2 ineffective now, 6 different now, 4 cannot be judged, 0 unknown\.$/m],
    ["installed", 1, /^1 fine, 0 ineffective now, 1 different now, 0 cannot be judged, 0 unknown\.$/m],
  ];
  for (const [name, want, closing] of cases)
    it(`of ${name} ends with ${want}`, async () => {
      const { code, output } = await cli(own(), "migrate", fixture(name));
      strictEqual(code, want, output);
      match(output, closing);
    });
  it("takes files and folders, and tells files by the names that it was given", async () => {
    const { output } = await cli(own(), "migrate", join(fixture("role"), "requirements.yml"), fixture("plain"));
    match(output, /^\S+\/role\/requirements\.yml:1: different now: /m);
    match(output, /^\S+\/plain\/site\.yml:5: fine: /m);
  });
  it("finds inventories and what is named for hosts below a folder", async () => {
    const folder = temporary();
    put(folder, { "hosts.ini": "h1 sriov_numvfs=4\n[compute]\nh1\n", "host_vars/h1.example.com": "sriov_numvfs: 4\n", "tox.ini": "[testenv]\ncommands =\n  run sriov_numvf=4\n" });
    match((await cli(own(), "migrate", join(folder, "host_vars"))).output, /^1 fine, 0 ineffective now, 0 different now, 0 cannot be judged, 0 unknown\.$/m);
    match((await cli(own(), "migrate", folder)).output, /^2 fine, 0 ineffective now, 0 different now, 0 cannot be judged, 0 unknown\.$/m);
  });
  it("writes nothing, and looks at no environment of programs", async () => {
    const folder = temporary();
    put(folder, { "site.yml": "- hosts: a\n  roles: [stackhpc.sriov]\n", "x.conf": "sriov_numvf: 1\n", ".venv/x.yml": "sriov_numvf: 1\n", "ansible_collections/a/b/x.yml": "sriov_numvf: 1\n" });
    strictEqual((await cli(own(), "migrate", folder)).code, 0);
    strictEqual(readFileSync(join(folder, "site.yml"), "utf8"), "- hosts: a\n  roles: [stackhpc.sriov]\n");
  });
  it("that finds nothing says so and fails", async () => {
    const folder = temporary();
    put(folder, { "site.yml": "- hosts: a\n" });
    const { code, output } = await cli(own(), "migrate", folder);
    strictEqual(code, 1);
    match(output, /^Nothing of the old roles/m);
  });
  it("ends with 2 for wrong use", async () => {
    const folder = repository();
    for (const args of [[], ["no/such/file"], ["--from", "other", "galaxy.yml"]]) strictEqual((await cli(folder, "migrate", ...args)).code, 2);
  });
});
