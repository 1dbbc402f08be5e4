import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSources } from "../generator/artefacts/sources.js";
import { judge } from "../generator/migrate/judge.js";
import type { Finding } from "../generator/migrate/judge.js";
import type { Present } from "../generator/migrate/settings.js";
import {
  changes,
  goneFacts,
  iommuVariables,
  newFacts,
  oldCommits,
  oldKeys,
  oldVariables,
  predecessors,
  releases,
} from "../generator/migrate/predecessors.js";
import type { Predecessor } from "../generator/migrate/predecessors.js";
import { asideBy, isReadable } from "../generator/migrate/place.js";
import { nearest } from "../generator/system/nearest.js";
import { cli, cliProcess, put, repository, repositoryOfFixtures, root, temporary } from "./support.js";

const { role } = readSources(root);
const present: Present = {
  variables: role.variables,
  role: "stackhpc.sriov",
  collection: "stackhpc.sriov",
  version: "9.8.7",
};
const linux = "stackhpc.linux.sriov";

const reported = (findings: readonly Finding[]): string[] =>
  findings.map(({ line, outcome, text }) => `${line ?? "-"} ${outcome}: ${text}`);
const judged = (text: string, from?: Predecessor, path = "a.yml"): string[] =>
  reported(judge([{ path, text, named: true }], present, from).findings);

describe("the facts about the predecessors", () => {
  // What stackhpc.sriov 0.2.1 and stackhpc.linux.sriov 1.6.4 accepted, from their defaults, tasks and templates.
  const surface = {
    "stackhpc.sriov":
      "sriov_devices sriov_workdir sriov_mft_url sriov_mft_tarball sriov_os_pkgs sriov_restart_handler sriov_numvfs sriov_udev_rule_path sriov_mellanox_vendor_ids sriov_install_enabled sriov_iommu_pt_enabled sriov_action",
    "stackhpc.linux.sriov":
      "sriov_devices sriov_workdir sriov_mft_url sriov_mft_tarball sriov_os_pkgs_rpm sriov_os_pkgs_deb sriov_do_reboot sriov_restart_handler sriov_numvfs sriov_numvfs_driver sriov_numvfs_required_by sriov_udev_rule_path sriov_mellanox_vendor_ids sriov_install_enabled sriov_iommu_pt_enabled sriov_action",
  };
  const keys = {
    "stackhpc.sriov": "name numvfs on_boot_configuration_enabled",
    "stackhpc.linux.sriov": "name numvfs on_boot_configuration_enabled numvfs_driver numvfs_required_by",
  };
  const devices = role.variables.find(({ name }) => name === "sriov_devices")!.type;
  const fields =
    devices.kind === "list" && devices.elements.kind === "dict" ? devices.elements.fields.map(({ name }) => name) : [];
  const model = role.variables.map(({ name }) => name);

  for (const from of predecessors) {
    const of = (table: typeof oldVariables): string[] =>
      Object.keys(table)
        .filter((name) => table[name]!.defaults[from] !== undefined)
        .sort();
    it(`has every variable of ${from}, and no other`, () =>
      deepStrictEqual(of(oldVariables), surface[from].split(" ").sort()));
    it(`has every key of a device of ${from}, and no other`, () =>
      deepStrictEqual(of(oldKeys), keys[from].split(" ").sort()));
  }

  it("calls no variable the role's that the model does not contain", () => {
    deepStrictEqual(
      Object.keys(oldVariables).filter((name) => !model.includes(name)),
      [],
    );
    deepStrictEqual(
      Object.keys(oldKeys).filter((name) => !fields.includes(name)),
      [],
    );
  });

  it("names in its sentences only what there is", () => {
    const rules = [oldVariables, iommuVariables, oldKeys]
      .flatMap((table) => Object.values(table))
      .flatMap((old) => old.rules);
    const texts = [...rules.map(({ text }) => text), ...changes.map(({ text }) => text), ...Object.values(goneFacts)];
    const names = new Set([
      ...texts.flatMap((text) => text.match(/\bsriov_\w+/g) ?? []),
      ...rules.flatMap(({ when }) => when?.unset ?? []),
      ...changes.flatMap(({ unless }) => unless ?? []),
    ]);
    deepStrictEqual(
      [...names].filter((name) => !model.includes(name)),
      [],
    );
    ok(names.size > 8);
  });

  it("knows the facts that the role sets", () => {
    const summary = readFileSync(join(root, "role-template/tasks/summary.yml"), "utf8");
    deepStrictEqual(
      [...summary.matchAll(/^ {4}(sriov_\w+):/gm)].map((found) => found[1]),
      newFacts,
    );
  });

  it("has whole commits, and that of the last release", () => {
    deepStrictEqual(
      oldCommits.filter((commit) => !/^[\da-f]{40}$/.test(commit)),
      [],
    );
    ok(oldCommits.includes(releases["stackhpc.sriov"].commit));
  });

  it("has each variable on the page", () => {
    const page = readFileSync(join(root, "docs/moving-over.md"), "utf8");
    deepStrictEqual(
      [...Object.keys(oldVariables), ...Object.keys(oldKeys), ...Object.keys(goneFacts)].filter(
        (name) => !page.includes(`\`${name}\``),
      ),
      [],
    );
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
    [
      'sriov_do_reboot: "{{ x }}"',
      linux,
      /^1 unjudged: sriov_do_reboot: only a run of Ansible knows its value: when it is nothing, .*; when it is true, the role itself.*; otherwise the role no longer fails/,
    ],
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
    ["sriov_restart_handler: restart", linux, /^1 different: .*contains a handler of this name/],
    ['sriov_mellanox_vendor_ids: ["0x15b3", "0x02c9"]', linux, /^1 fine: /],
    ["sriov_mellanox_vendor_ids: 0x15b3,0x02c9", linux, /^1 fine: /],
    [
      'sriov_mellanox_vendor_ids: ["15b3"]',
      linux,
      /^1 different: .*fitted no card before.*firmware of these cards is set/,
    ],
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
    ["sriov_udev_rule_path: /etc/x.rules", linux, /^1 fine: .*the old block/],
    ["sriov_udev_rule_path: ~/x.rules", linux, /^1 fine: /],
    ['sriov_udev_rule_path: "{{ x }}"', linux, /^1 fine: /],
    ["sriov_udev_rule_path: /etc/x", linux, /^1 different: .*refused now: .*ends in \.rules/],
    ["sriov_udev_rule_path: rules.d/70-sriov.rules", "stackhpc.sriov", /^1 different: .*refused now: .*begins with \//],
    ["sriov_udev_rule_path:", linux, /^1 different: .*it is empty, which is refused now: remove the line/],
    ["sriov_mellanox_vendor_ids: null", "stackhpc.sriov", /^1 different: .*it is empty/],
    ["sriov_workdir: null", linux, /^1 different: .*it is empty/],
    ["sriov_boot_wait:", linux, /^1 different: .*it is empty/],
    ["sriov_do_reboot:", linux, /^1 fine: /],
    ["sriov_physnet_mappings:", linux, /^1 fine: /],
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

  it("of the last of two equal keys", () =>
    deepStrictEqual(
      judged("sriov_numvfs: 1\nsriov_iommu_pt_enabled: false\nsriov_iommu_pt_enabled: true\n", linux).map((line) =>
        line.slice(0, 7),
      ),
      ["1 fine:", "3 fine:"],
    ));
  it("by what is set next to it", () => {
    const mft =
      "sriov_mft_url: http://a/b.tgz\nsriov_mft_tarball: b.tgz\nsriov_workdir: /opt\nsriov_os_pkgs: [gcc]\nsriov_firmware_tool: mft\n";
    deepStrictEqual(
      judged(mft, linux).map((line) => line.split(":")[0]),
      ["1 different", "2 different", "3 different", "4 different", "5 fine"],
    );
    match(judged(`${mft}sriov_mft_checksum: sha256:0\n`, linux)[0]!, /^1 fine: .*verified/);
    match(judged(mft, "stackhpc.sriov")[3]!, /^4 fine: /);
    match(judged(mft.replace("mft\n", "mstflint\n"), linux)[0]!, /^1 ineffective/);
  });
  it("by the handlers of all files, their names and what they listen to", () => {
    const vars = { path: "group_vars/all", text: "sriov_restart_handler: Restart it\n" };
    const outcome = (text: string, path = "site.yml"): string =>
      judge([vars, { path, text }], present, linux).findings[0]!.outcome;
    strictEqual(outcome("- hosts: a\n  handlers:\n    - name: Restart it\n      reboot:\n"), "fine");
    strictEqual(
      outcome("- hosts: a\n  handlers:\n    - name: x\n      listen: [y, Restart it]\n      reboot:\n"),
      "fine",
    );
    strictEqual(outcome("- name: Restart it\n  reboot:\n", "roles/a/handlers/main.yml"), "fine");
    strictEqual(outcome("- hosts: a\n  tasks:\n    - name: Restart it\n      reboot:\n"), "different");
  });
  it("that belongs to the site, and is used", () => {
    match(
      judged('sriov_entirely_different: 4\nb: "{{ sriov_entirely_different }}"\n', linux)[0]!,
      /^1 fine: .*a variable of yours/,
    );
    match(
      judged(
        "- set_fact:\n    sriov_entirely_different: 4\n- debug:\n  when: sriov_entirely_different > 3\n",
        linux,
      )[0]!,
      /^2 fine: .*a variable of yours/,
    );
  });
  for (const key of ["when", "that", "until", "failed_when", "changed_when"])
    for (const condition of [
      "[sriov_entirely_different | bool]",
      ">-\n        a\n        and sriov_entirely_different",
      "\n        - a\n        - not sriov_entirely_different",
    ])
      it(`that belongs to the site, and is used in ${key}: ${JSON.stringify(condition)}`, () => {
        match(
          judged(
            `- hosts: a\n  vars: {sriov_entirely_different: 4}\n  tasks:\n    - b:\n      ${key}: ${condition}\n`,
            linux,
          )[0]!,
          /^2 fine: .*a variable of yours/,
        );
      });
  it("that belongs to the site, and is used by debug in one text", () =>
    match(
      judged("- set_fact: sriov_entirely_different=4\n- debug: var=sriov_entirely_different\n", linux)[0]!,
      /^1 fine: .*a variable of yours/,
    ));
  it("that a template uses, which is not judged itself", () => {
    const [one, ...more] = reported(
      judge(
        [
          { path: "a.yml", text: "sriov_entirely_different: 4\n" },
          { path: "b.conf", text: "sriov_numvf: {{ sriov_entirely_different }}\n" },
        ],
        present,
        linux,
      ).findings,
    );
    match(one!, /^1 fine: .*a variable of yours/);
    deepStrictEqual(more, []);
  });
  it("for either of the old roles, when nothing shows which it was", () => {
    match(
      judged("sriov_do_reboot: false")[0]!,
      /different: sriov_do_reboot: from stackhpc\.sriov 0\.2\.1: .*; from stackhpc\.linux\.sriov 1\.6\.4: the role no longer fails/,
    );
    doesNotMatch(
      judged("- hosts: a\n  vars:\n    sriov_do_reboot: false\n  roles: [stackhpc.linux.sriov]\n")[0]!,
      /from stackhpc/,
    );
    doesNotMatch(
      judged(
        "- hosts: a\n  collections: [stackhpc.linux]\n  vars:\n    sriov_do_reboot: false\n  roles: [sriov]\n",
      )[1]!,
      /from stackhpc/,
    );
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
    ["{name: a, vlan: 4}", /^1 unknown: vlan of sriov_devices\[0\]: .*remove it/],
    ["{name: a, numvfs_driver: udevd}", /^1 different: numvfs_driver/],
    ["{name: a, numvfs_required_by: [docker]}", /^1 different: numvfs_required_by/],
    [
      '{name: a, on_boot_configuration_enabled: "no"}',
      /^1 different: on_boot_configuration_enabled of sriov_devices\[0\]: a text in quotes/,
    ],
    ['"{{ a }}"', /^1 unjudged: sriov_devices\[0\]/],
    ["ens1", /^1 different: sriov_devices\[0\]: it is not a dictionary/],
  ];
  for (const [device, want] of cases)
    it(device, () => {
      const [list = "", first, ...more] = judged(`sriov_devices: [${device}]\n`, linux);
      match(list, /^1 fine: sriov_devices/);
      deepStrictEqual(more, []);
      if (want === undefined) strictEqual(first, undefined);
      else match(first ?? "", want);
    });
  it("in a list that only Ansible knows", () =>
    match(judged('sriov_devices: "{{ a }}"', linux)[0]!, /^1 unjudged: sriov_devices/));
  it("in no list", () =>
    match(judged("sriov_devices: {name: a}", linux)[0]!, /^1 different: sriov_devices: it is not a list/));
  it("in a list that is an alias, once", () =>
    strictEqual(
      judged("a: &nics [{name: b, numvf: 1}]\nsriov_devices: *nics\nc:\n  sriov_devices: *nics\n", linux).filter(
        (line) => line.includes("numvf of"),
      ).length,
      1,
    ));
});

describe("migrate, what becomes of a role", () => {
  const tasks = (task: string): string => `- hosts: a\n  tasks:\n    - ${task}\n`;
  const cases: [text: string, want: RegExp[]][] = [
    [tasks("include_role: {name: stackhpc.sriov}"), [/^3 fine: role stackhpc\.sriov/]],
    [
      tasks("ansible.builtin.import_role: {name: stackhpc.linux.sriov}"),
      [/^3 different: role stackhpc\.linux\.sriov: write stackhpc\.sriov\.sriov/],
    ],
    [tasks("ansible.legacy.include_role: name=sriov"), [/^3 different: role sriov: write stackhpc\.sriov\.sriov/]],
    [tasks("block: [{include_role: {name: stackhpc.linux.iommu}}]"), [/^3 ineffective: role stackhpc\.linux\.iommu/]],
    [
      tasks("include_role: {name: stackhpc.sriov, tasks_from: config.yml}"),
      [/fine/, /^3 different: tasks_from config\.yml: .*sriov_action: config/],
    ],
    [tasks("include_role: {name: stackhpc.sriov, tasks_from: reboot}"), [/fine/]],
    [tasks("include_role: {name: other, tasks_from: config.yml}"), []],
    [
      "- hosts: a\n  roles:\n    - stackhpc.linux.sriov\n    - {role: stackhpc.sriov.sriov}\n    - other\n",
      [/^3 different/, /^4 fine/],
    ],
    ["dependencies:\n  - role: stackhpc.linux.sriov\n", [/^2 different/]],
    [
      tasks("systemd: {name: virtual-functions-ens1.service}"),
      [/^3 different: virtual-functions-ens1\.service: this unit is removed/],
    ],
    [tasks('debug: {msg: "{{ sriov_pci_addrs }}"}'), [/^3 ineffective: sriov_pci_addrs: the role no longer sets/]],
  ];
  for (const [text, want] of cases)
    it(JSON.stringify(text), () => {
      // What is said where no list of devices was read is tested below.
      const found = judged(text).filter((line) => !line.includes("nothing that was read sets it"));
      strictEqual(found.length, want.length, found.join("\n"));
      for (const [index, one] of want.entries()) match(found[index]!, one);
    });
});

describe("migrate, what becomes of a requirement", () => {
  const cases: [text: string, want: RegExp | undefined][] = [
    ["- src: stackhpc.sriov\n  version: 0.2.1\n", /^1 different: .*write stackhpc\.sriov, version 9\.8\.7/],
    ["roles:\n  - name: stackhpc.sriov\n    version: v0.1.0\n", /^2 different/],
    [
      "roles:\n  - src: https://github.com/stackhpc/ansible-role-sriov.git\n    scm: git\n    version: 0.2.1\n",
      /^2 different/,
    ],
    ["roles:\n  - name: stackhpc.sriov\n    scm: git\n", /^2 fine: requirement/],
    ["roles:\n  - src: stackhpc.sriov\n    version: 1.2.0\n", /^2 fine: .*--force/],
    [
      "- src: https://github.com/stackhpc/ansible-role-sriov\n  version: baaf0d8f30a513f9db9368862d1eef9c54777ca2\n",
      /^1 different: .*is the predecessor/,
    ],
    ["- src: git@github.com:stackhpc/ansible-role-sriov.git\n  version: ACEF5121\n", /^1 different/],
    [
      "roles:\n  - name: stackhpc.sriov\n    src: https://github.com/stackhpc/ansible-role-sriov/\n    version: 4f1a028\n",
      /^2 different/,
    ],
    [
      "- name: other\n  src: https://github.com/stackhpc/ansible-role-sriov\n  version: 0.2.0\n",
      /^1 different: requirement other/,
    ],
    [
      "- src: https://github.com/stackhpc/ansible-role-sriov/archive/refs/tags/0.2.1.tar.gz\n  name: stackhpc.sriov\n",
      /^1 different: .*version 0\.2\.1/,
    ],
    [
      "- src: https://github.com/stackhpc/ansible-role-sriov\n  version: main\n",
      /^1 unjudged: .*which role main is: write stackhpc\.sriov, version 9\.8\.7/,
    ],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: 0123456789abcdef\n", /^1 unjudged/],
    ["- src: https://github.com/stackhpc/ansible-role-sriov\n  version: baa\n", /^1 unjudged/],
    [
      "- name: stackhpc.sriov\n  src: git+https://github.com/stackhpc/ansible-role-sriov.git\n",
      /^1 unjudged: .*without a version/,
    ],
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
    [
      "- src: https://github.com/stackhpc/ansible-role-grubcmdline\n  name: x\n",
      /^1 unjudged: requirement x: .*no playbook was read/,
    ],
    ["- src: stackhpc.grubcmdline\n", /^1 unjudged: requirement stackhpc\.grubcmdline: .*no playbook was read/],
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

describe("migrate, stackhpc.grubcmdline", () => {
  const requirement = { path: "requirements.yml", text: "- src: stackhpc.grubcmdline\n" };
  const play = (body: string): string => `- hosts: compute\n${body}`;
  const said = (files: { readonly [path: string]: string }, required = requirement): string =>
    reported(
      judge([required, ...Object.entries(files).map(([path, text]) => ({ path, text }))], present).findings.filter(
        ({ file }) => file === "requirements.yml",
      ),
    ).join("\n");

  const needs: [title: string, path: string, text: string, line: number][] = [
    ["in roles", "site.yml", play("  roles:\n    - stackhpc.grubcmdline\n"), 3],
    [
      "in roles, with a condition",
      "site.yml",
      play("  roles:\n    - {role: stackhpc.grubcmdline, when: hugepages | bool}\n"),
      3,
    ],
    [
      "by include_role",
      "site.yml",
      play("  tasks:\n    - include_role:\n        name: stackhpc.grubcmdline\n      when: false\n"),
      4,
    ],
    [
      "by import_role in its whole name",
      "tasks/kernel.yml",
      "- ansible.builtin.import_role: {name: stackhpc.grubcmdline}\n",
      1,
    ],
    [
      "by include_role in one text",
      "site.yml",
      play("  tasks:\n    - include_role: name=stackhpc.grubcmdline tasks_from=main\n"),
      3,
    ],
    [
      "by include_role with a loop",
      "site.yml",
      play('  tasks:\n    - include_role: {name: "{{ item }}"}\n      loop:\n        - stackhpc.grubcmdline\n'),
      5,
    ],
    ["by action", "site.yml", play("  tasks:\n    - action: include_role name=stackhpc.grubcmdline\n"), 3],
    [
      "in a block",
      "site.yml",
      play(
        "  tasks:\n    - block:\n        - rescue: []\n          always:\n            - include_role: {name: stackhpc.grubcmdline}\n",
      ),
      6,
    ],
    [
      "in a handler",
      "site.yml",
      play("  handlers:\n    - name: kernel\n      include_role: {name: stackhpc.grubcmdline}\n"),
      4,
    ],
    [
      "by a dependency of a role",
      "roles/hugepages/meta/main.yml",
      "dependencies:\n  - role: stackhpc.grubcmdline\n    kernel_cmdline: [hugepages=8]\n",
      2,
    ],
    [
      "by the tasks of a role",
      "roles/hugepages/tasks/main.yml",
      "- include_role:\n    name: stackhpc.grubcmdline\n",
      2,
    ],
    ["by its last name", "site.yml", play("  roles: [grubcmdline]\n"), 2],
  ];
  for (const [title, path, text, line] of needs)
    it(`is kept where it is used: ${title}`, () =>
      strictEqual(
        said({ [path]: text }),
        `1 fine: requirement stackhpc.grubcmdline: keep it, ${path}:${line} uses that role`,
      ));

  const others: [title: string, path: string, text: string][] = [
    ["a play with another role", "site.yml", play("  roles: [other]\n")],
    ["a comment", "site.yml", play("  roles:\n    # - stackhpc.grubcmdline\n    - other\n")],
    [
      "a name of a task that speaks of it",
      "site.yml",
      play("  tasks:\n    - name: What stackhpc.grubcmdline did\n      debug: {msg: no stackhpc.grubcmdline}\n"),
    ],
    ["the collection's role", "site.yml", play("  roles: [stackhpc.linux.grubcmdline]\n")],
    [
      "the old role itself, which is installed",
      "roles/stackhpc.sriov/tasks/mlxconfig.yml",
      "- include_role: {name: stackhpc.grubcmdline}\n",
    ],
    ["a longer name", "site.yml", play("  roles: [stackhpc.grubcmdline_extra]\n")],
  ];
  for (const [title, path, text] of others)
    it(`can be removed where it is not used: ${title}`, () =>
      match(
        said({ "play.yml": play("  tasks: []\n"), [path]: text }),
        /^1 ineffective: requirement stackhpc\.grubcmdline: it can be removed: nothing that was read uses that role$/,
      ));

  const names: [text: string, used: string][] = [
    ["- src: https://github.com/stackhpc/ansible-role-grubcmdline\n  name: kernel\n", "kernel"],
    ["- src: https://github.com/stackhpc/ansible-role-grubcmdline.git\n", "ansible-role-grubcmdline"],
    ["- git+https://github.com/stackhpc/ansible-role-grubcmdline.git,1.2.0,cmdline\n", "cmdline"],
    ["roles:\n  - src: stackhpc.grubcmdline\n    name: boot\n", "boot"],
  ];
  for (const [text, used] of names)
    it(`is known by the name that a requirement gives it: ${used}`, () => {
      match(
        said({ "site.yml": play(`  roles: [${used}]\n`) }, { path: "requirements.yml", text }),
        /fine: requirement .*: keep it, site\.yml:2 uses that role/,
      );
      match(said({ "site.yml": play("  roles: [other]\n") }, { path: "requirements.yml", text }), /ineffective/);
    });

  const uses = (parameters: string): string =>
    judged(play(`  roles:\n    - role: stackhpc.grubcmdline\n      kernel_cmdline: ${parameters}\n`))[0] ?? "";
  it("used for more than the IOMMU continues to work", () => {
    for (const parameters of [
      "[hugepages=8, intel_iommu=on]",
      '"{{ parameters }}"',
      '["{{ iommu }}"]',
      "[iommu.passthrough=1]",
    ])
      strictEqual(uses(parameters), "3 fine: role stackhpc.grubcmdline: it continues to work", parameters);
  });
  it("that takes more than the IOMMU's parameters off continues to work", () => {
    strictEqual(
      uses("[intel_iommu=on]\n      kernel_cmdline_remove: [^quiet]"),
      "3 fine: role stackhpc.grubcmdline: it continues to work",
    );
    match(
      uses("[intel_iommu=on]\n      kernel_cmdline_remove: [^intel_iommu=]"),
      /it can be removed where it is for SR-IOV/,
    );
  });
  it("does not take a requirement of the old role for a use of it", () => {
    deepStrictEqual(judged("roles:\n  - stackhpc.sriov\n", undefined, "requirements.yml"), [
      "2 fine: requirement stackhpc.sriov: install it with --force, otherwise ansible-galaxy keeps what is installed",
    ]);
  });
  it("finds the old roles in a list of a loop", () => {
    const list =
      '  tasks:\n    - include_role: {name: "{{ item }}"}\n      loop:\n        - stackhpc.linux.sriov\n        - sriov\n';
    deepStrictEqual(judged(play(list)), [
      "5 different: role stackhpc.linux.sriov: write stackhpc.sriov.sriov, of the collection stackhpc.sriov",
    ]);
  });
  for (const text of [
    "roles:\n  - stackhpc.grubcmdline\n",
    "roles:\n  - name: stackhpc.grubcmdline\n",
    "- name: stackhpc.grubcmdline\n",
    "- stackhpc.grubcmdline\n",
  ])
    it(`is a requirement without source and version, too: ${JSON.stringify(text)}`, () => {
      match(
        said({ "site.yml": play("  roles: [grubcmdline]\n") }, { path: "requirements.yml", text }),
        /^\d fine: requirement stackhpc\.grubcmdline: keep it, site\.yml:2 uses that role$/,
      );
      match(
        said({ "site.yml": play("  roles: [other]\n") }, { path: "requirements.yml", text }),
        /^\d ineffective: requirement stackhpc\.grubcmdline: it can be removed: nothing that was read uses that role$/,
      );
    });
  it("used for the IOMMU alone can be removed", () =>
    match(
      uses("[intel_iommu=on, iommu=pt]"),
      /^3 fine: .* it continues to work; all that it sets here are parameters of the IOMMU, which stackhpc\.sriov\.sriov sets itself/,
    ));
  it("of the collection keeps the collection", () => {
    const all = (role: string): string =>
      judge(
        [
          { path: "requirements.yml", text: "collections: [stackhpc.linux]\n" },
          { path: "site.yml", text: play(`  roles: [${role}]\n`) },
        ],
        present,
      ).findings[0]!.text;
    match(
      all("stackhpc.linux.grubcmdline"),
      /^collection stackhpc\.linux: for its other roles, one of which site\.yml:2 uses; /,
    );
    match(all("stackhpc.linux.sriov"), /^collection stackhpc\.linux: for its other roles; /);
  });
});

describe("migrate, what only Kolla sees", () => {
  const kayobe = { path: "etc/kayobe/kolla.yml", text: "---\n" };
  const found = (
    files: { readonly [path: string]: string },
    more: readonly { path: string; text: string }[] = [kayobe],
  ): string[] =>
    judge([...more, ...Object.entries(files).map(([path, text]) => ({ path, text }))], present).findings.map(
      ({ file, line, outcome, text }) => `${file}:${line ?? "-"} ${outcome}: ${text}`,
    );
  const mapping = "sriov_physnet_mappings:\n  p4p1: physnet2\n";
  const says =
    /:\d+ ineffective: sriov_physnet_mappings: only Kolla sees it here, and neither Nova nor Neutron gets a physical network from it: move it to group_vars or host_vars .*inventory\/group_vars\/compute_sriov\/sriov with Kayobe$/;
  const places: [path: string, text: string][] = [
    ["etc/kayobe/kolla/globals.yml", mapping],
    ["etc/kayobe/environments/prod/kolla/globals.yml", mapping],
    ["etc/kayobe/kolla/inventory/group_vars/compute", mapping],
    ["etc/kayobe/kolla/inventory/group_vars/compute/sriov.yml", mapping],
    ["etc/kayobe/environments/prod/kolla/inventory/host_vars/hv1.example.com", mapping],
    ["etc/kayobe/kolla/inventory/overcloud", '[compute:vars]\nsriov_physnet_mappings={"p4p1": "physnet2"}\n'],
    ["kolla/globals.yml", mapping],
    ["/etc/kolla/globals.yml", mapping],
    ["/etc/kolla/globals.d/sriov.yml", mapping],
    ["elsewhere/globals.yml", `kolla_base_distro: rocky\n${mapping}`],
    ["etc/kayobe/kolla.yml", `kolla_extra_globals:\n  sriov_physnet_mappings: {p4p1: physnet2}\n`],
    [
      "etc/kayobe/kolla.yml",
      `kolla_overcloud_inventory_custom_components: |\n  [compute:vars]\n  sriov_physnet_mappings={"p4p1": "physnet2"}\n`,
    ],
  ];
  for (const [path, text] of places)
    it(`is ineffective in ${path}: ${JSON.stringify(text)}`, () => {
      const [one = "", ...more] = found({ [path]: text }, path.endsWith("kolla.yml") ? [] : [kayobe]);
      match(one, says);
      deepStrictEqual([one.startsWith(`${path}:`), more], [true, []]);
    });
  it("is reported with its line", () => {
    match(
      found(
        {
          "etc/kayobe/kolla.yml":
            "a: b\nkolla_overcloud_inventory_custom_services: |\n  [compute:vars]\n  sriov_numvfs=4\n",
        },
        [],
      )[0]!,
      /^etc\/kayobe\/kolla\.yml:4 ineffective: sriov_numvfs: only Kolla sees it here: move it/,
    );
    match(found({ "etc/kayobe/kolla/globals.yml": `---\n# a\n${mapping}` })[0]!, /globals\.yml:3 /);
  });
  it("is read in a file that Kayobe makes YAML of with Jinja", () => {
    match(
      found({ "etc/kayobe/kolla/globals.yml": `{% if x %}\na: {{ b }}\n{% endif %}\n${mapping}` })[0]!,
      /globals\.yml:4 ineffective: sriov_physnet_mappings: only Kolla sees it/,
    );
    match(
      found({ "etc/kayobe/kolla/globals.yml": `a: {{ b }}-{{ c }}\n${mapping}` })[0]!,
      /globals\.yml:- unjudged: is not YAML/,
    );
  });
  it("are the old variables, too, and the items of a list are not checked", () => {
    deepStrictEqual(
      found({
        "kolla/globals.yml": "sriov_devices:\n  - {name: a, numvf: 1}\nsriov_numvfs: many\niommu_pt: false\n",
      }).map((line) => line.split(": only")[0]),
      [
        "kolla/globals.yml:1 ineffective: sriov_devices",
        "kolla/globals.yml:3 ineffective: sriov_numvfs",
        "kolla/globals.yml:4 ineffective: iommu_pt",
      ],
    );
  });
  it("does not count as set for the rest", () => {
    ok(
      found({
        "kolla/globals.yml": "sriov_devices: [{name: a}]\n",
        "sriov.yml": "- hosts: a\n  roles: [stackhpc.sriov]\n",
      }).some((line) => line.includes("sriov_devices: nothing that was read sets it")),
    );
  });
  it("is a site's own variable where a template of Kolla's reads it", () => {
    deepStrictEqual(
      found({ "kolla/globals.yml": "sriov_site_nics: [a]\n", "kolla/config/nova.conf": "{{ sriov_site_nics }}\n" }),
      ["kolla/globals.yml:1 fine: sriov_site_nics: a variable of yours"],
    );
    match(
      found({
        "kolla/globals.yml": mapping,
        "kolla/config/nova/nova-compute.conf": "{% for nic in sriov_physnet_mappings %}\n",
      })[0]!,
      /ineffective: .*; keep a copy here as long as a template of Kolla's configuration reads it$/,
    );
  });
  const elsewhere: [title: string, path: string][] = [
    ["Kayobe's inventory", "etc/kayobe/inventory/group_vars/compute/sriov"],
    ["an environment's inventory", "etc/kayobe/environments/prod/inventory/group_vars/compute/sriov"],
    ["a file of Kayobe's extra variables", "etc/kayobe/sriov.yml"],
    ["an inventory of a folder that is called kolla, without Kayobe", "kolla/inventory/group_vars/compute"],
    ["a globals.yml of something else", "vars/globals.yml"],
  ];
  for (const [title, path] of elsewhere)
    it(`is not ${title}`, () =>
      match(found({ [path]: mapping })[0]!, /fine: sriov_physnet_mappings: a variable of this role$/));
  it("is not a file that Kayobe's inventory leads to as well", () => {
    const files = ["etc/kayobe/kolla/inventory/group_vars/compute", "etc/kayobe/inventory/group_vars/compute"].map(
      (path) => ({ path, text: mapping, real: "/x/compute" }),
    );
    deepStrictEqual(
      judge([kayobe, ...files], present).findings.map(({ file, outcome }) => [file, outcome]),
      [["etc/kayobe/inventory/group_vars/compute", "fine"]],
    );
  });
});

describe("migrate, a lost list of devices", () => {
  const play = {
    path: "sriov.yml",
    text: "- hosts: compute\n  tasks:\n    - include_role: {name: stackhpc.linux.sriov}\n",
  };
  const lost = (...files: { path: string; text: string }[]): string[] =>
    reported(judge([play, ...files], present).findings).filter((line) => line.includes("sriov_devices:"));
  it("that nothing sets is reported where the role is used, once", () => {
    const [one, ...more] = lost({ path: "more.yml", text: play.text });
    match(
      one ?? "",
      /^3 different: sriov_devices: nothing that was read sets it\. The old roles treated that as \[\]; this role refuses an unset list on a host that is configured, and \[\] removes the VFs/,
    );
    deepStrictEqual(more, []);
  });
  it("that is set anywhere is not", () => {
    for (const [path, text] of [
      ["host_vars/h1", "sriov_devices: [{name: a}]\n"],
      ["hosts", '[compute:vars]\nsriov_devices=[{"name": "a"}]\n'],
      ["b.yml", "- hosts: a\n  vars:\n    sriov_devices: [{name: a}]\n"],
    ] as const)
      ok(!lost({ path, text }).some((line) => line.includes("nothing that was read")), path);
  });
  it("is of no concern without the role", () =>
    deepStrictEqual(
      reported(judge([{ path: "a.yml", text: "- hosts: a\n  roles: [other]\n" }], present).findings),
      [],
    ));
  const values: [value: string, want: RegExp][] = [
    ["[]", /^1 different: sriov_devices: the empty list removes the VFs/],
    ["", /^1 different: sriov_devices: it is empty, which counts as not set: a host that is configured is refused/],
    ['""', /^1 different: sriov_devices: it is empty, which counts as not set/],
    [
      '"{{ nics | default([]) }}"',
      /^1 different: sriov_devices: where its source is not set, this is \[\], and that now removes the VFs/,
    ],
    ['"{{ nics | default([ ], true) }}"', /^1 different: .*now removes the VFs/],
    ['"{{ nics | d([]) + more }}"', /^1 different: .*now removes the VFs/],
    [`"{{ lookup('vars', 'nics_' ~ rack, default=[]) }}"`, /^1 different: .*now removes the VFs/],
    [`"{{ racks[rack].get('nics', []) }}"`, /^1 different: .*now removes the VFs/],
    ['"{{ nics if has_nics else [] }}"', /^1 different: .*now removes the VFs/],
    ['"{{ nics }}"', /^1 unjudged: sriov_devices: only a run of Ansible knows/],
    ['"{{ nics | default(more) }}"', /^1 unjudged/],
  ];
  for (const [value, want] of values)
    it(`set to ${value === "" ? "nothing" : value}`, () =>
      match(judged(`sriov_devices: ${value}\n`, linux)[0] ?? "", want));
  it("is in the notes for every host", () =>
    ok(judge([play], present).notes.some((note) => note.startsWith("Without sriov_devices nothing is changed"))));
});

describe("migrate, what holds no variables", () => {
  const dashboard = '{% raw %}\n{"panels": []}\n{% endraw %}\n';
  const devices = { path: "inventory/group_vars/compute.yml", text: "sriov_devices: [{name: p4p1}]\n" };
  const of = (...files: Parameters<typeof judge>[0]): { findings: string[]; aside: string } => {
    const { findings, aside } = judge([devices, ...files], present);
    return {
      findings: reported(findings.filter(({ file }) => file !== devices.path)),
      aside: aside.map(({ why, count }) => `${count} ${why}`).join(", "),
    };
  };
  it("is ignored and counted, by kind", () => {
    const files = [
      ...["a.json", "b.json", "c.yml"].map((name) => ({
        path: `kolla/config/grafana/dashboards/${name}`,
        text: dashboard,
      })),
      { path: "environments/prod/kolla/config/nova.conf", text: "[DEFAULT]\n" },
      { path: "kolla/passwords.yml", text: "$ANSIBLE_VAULT;1.1;AES256\n61\n" },
      { path: "ansible/templates/x.yml", text: dashboard },
      { path: "roles/a/templates/deep/x.yml", text: dashboard },
      { path: "group_vars.yml.j2", text: "{{ x }}\n" },
      { path: "roles/a/files/cloud.yml", text: dashboard },
      { path: "run.sh", text: "#!/bin/sh\n" },
      { path: "logo.png", unread: "binary" as const },
    ];
    deepStrictEqual(of(...files), {
      findings: [],
      aside: "1 files that are copied to hosts, 5 of Kolla's own configuration, 2 of another kind, 3 templates",
    });
  });
  const quiet: [title: string, file: Parameters<typeof judge>[0][number]][] = [
    ["JSON that is a template", { path: "dashboards/a.json", text: dashboard }],
    ["YAML of something else", { path: "k8s/chart.yaml", text: "a: {{ .Values.a }}\n" }],
    ["YAML with tags", { path: "ci.yml", text: "a: !reference [b, c]\nb: [\n" }],
    [
      "a playbook of other roles that the reader of this does not understand",
      {
        path: "ansible/images.yml",
        text: '- hosts: a\n  tasks:\n    - copy:\n        content: "{{ stackhpc_release }}/\\\n    x"\n',
      },
    ],
    ["an encrypted key", { path: "vault/overcloud_key", text: "$ANSIBLE_VAULT;1.1;AES256\n61\n" }],
    ["a script without an extension", { path: "bin/tool", text: "#!/bin/sh\necho 'a: [' \n" }],
    ["an image without an extension", { path: "images/ipa", unread: "binary" }],
    ["a large image", { path: "images/disk", unread: "large" }],
    ["a link that leads nowhere, of no variables", { path: "bin/away", unread: "nowhere" }],
    ["a folder", { path: "group_vars" }],
  ];
  for (const [title, file] of quiet) it(`reports nothing of ${title}`, () => deepStrictEqual(of(file).findings, []));
  const told1: [title: string, file: Parameters<typeof judge>[0][number], want: RegExp][] = [
    [
      "no YAML with a word of this role",
      { path: "dashboards/a.json", text: `${dashboard}sriov_devices\n` },
      /^- unjudged: is not YAML/,
    ],
    ["no YAML of a host", { path: "host_vars/h1/a.yml", text: "a: [\n" }, /^- unjudged: is not YAML/],
    [
      "encrypted variables",
      { path: "secrets.yml", text: "$ANSIBLE_VAULT;1.1;AES256\n61\n" },
      /^- unjudged: is encrypted/,
    ],
    [
      "an encrypted file of a group without an extension",
      { path: "inventory/group_vars/compute/vault", text: "$ANSIBLE_VAULT;1.1;AES256\n61\n" },
      /^- unjudged: is encrypted/,
    ],
    ["variables in UTF-16", { path: "group_vars/all.yml", unread: "binary" }, /^- unjudged: is not text in UTF-8/],
    [
      "large variables",
      { path: "group_vars/all.yml", unread: "large" },
      /^- unjudged: is larger than any file of variables/,
    ],
    [
      "variables that may not be read",
      { path: "host_vars/h1", unread: "denied" },
      /^- unjudged: cannot be read, permission denied/,
    ],
    [
      "a folder that may not be read",
      { path: "inventory/group_vars", unread: "denied" },
      /^- unjudged: cannot be read, permission denied/,
    ],
    [
      "a link of variables that leads nowhere",
      { path: "group_vars/compute.yml", unread: "nowhere" },
      /^- unjudged: is a symbolic link that leads nowhere/,
    ],
    ["anything that was named", { path: "x.bin", unread: "binary", named: true }, /^- unjudged: is not text/],
    [
      "a template that was named",
      { path: "templates/a.yml.j2", text: "sriov_numvf: 1\n", named: true },
      /^1 unknown: sriov_numvf/,
    ],
  ];
  for (const [title, file, want] of told1)
    it(`reports what cannot be judged of ${title}`, () => match(of(file).findings[0] ?? "", want));
  it("is read when a playbook that was read includes it", () => {
    for (const text of [
      "- hosts: a\n  vars_files: [files/nics.yml]\n",
      '- hosts: a\n  tasks:\n    - include_vars: "{{ playbook_dir }}/files/nics.yml"\n',
      "- hosts: a\n  tasks:\n    - include_vars: {file: ../files/nics.yml}\n",
    ])
      deepStrictEqual(
        of({ path: "site.yml", text }, { path: "ansible/files/nics.yml", text: "sriov_numvf: 1\n" }),
        { findings: ["1 unknown: sriov_numvf: unknown; sriov_numvfs is the nearest name"], aside: "" },
        text,
      );
    deepStrictEqual(
      of(
        { path: "site.yml", text: "- hosts: a\n  vars_files: [files/other.yml]\n" },
        { path: "ansible/files/nics.yml", text: "sriov_numvf: 1\n" },
      ),
      { findings: [], aside: "1 files that are copied to hosts" },
    );
    // Kolla's passwords are named in playbooks, and no variables of hosts.
    deepStrictEqual(
      of(
        { path: "site.yml", text: '- hosts: a\n  vars_files: ["{{ kayobe_config_path }}/kolla/passwords.yml"]\n' },
        { path: "kolla/passwords.yml", text: "$ANSIBLE_VAULT;1.1;AES256\n61\n" },
      ),
      { findings: [], aside: "1 of Kolla's own configuration" },
    );
  });
  it("is a place that Ansible reads no variables from", () => {
    for (const path of [
      "a/host_vars/files/x.yml",
      "group_vars/templates/x.yml",
      "files.yml",
      "templates",
      "kolla/config.yml",
      "kolla/inventory/group_vars/x",
    ])
      strictEqual(asideBy(path), undefined, path);
  });
});

describe("migrate, a file", () => {
  it("that is encrypted cannot be judged", () =>
    match(judged("$ANSIBLE_VAULT;1.1;AES256\n61\n")[0]!, /^- unjudged: is encrypted/));
  it("that is not YAML cannot be judged", () => match(judged("sriov_devices: [\n")[0]!, /^- unjudged: is not YAML/));
  it("that Ansible can read is read, where quotes and brackets continue at the margin", () =>
    deepStrictEqual(
      judged('site_banner: "first part/\\\nsecond part"\nsite_map: {a: 1,\nb: 2}\nsriov_numvfs: 4\n', linux),
      ["5 fine: sriov_numvfs: the same"],
    ));
  it("that is not text cannot be judged", () =>
    deepStrictEqual(
      reported(
        judge(
          [
            { path: "a.yml", unread: "binary" },
            { path: "b", unread: "binary" },
          ],
          present,
        ).findings,
      ).map((line) => line.slice(0, 12)),
      ["- unjudged: "],
    ));
  it("that is empty, or leads round in a circle, reports nothing", () => {
    for (const text of ["", "---\n", "# a\n", "a: &a\n  b: *a\n", "- &a [*a]\n"])
      deepStrictEqual(judged(text), [], text);
    match(judged("sriov_devices: &a [*a]\n", linux)[1]!, /different: sriov_devices\[0\]: it is not a dictionary/);
  });
  it("that is an INI inventory is read", () => {
    const found = judged(
      '[a]\nhv1 sriov_numvfs=4 ansible_host=b\n# sriov_numvf=1\n[a:vars]\nsriov_do_reboot = "no"\nsriov_devices=[{"name": "a"}]\n',
      linux,
      "hosts",
    );
    deepStrictEqual(
      found.map((line) => line.split(":").slice(0, 2).join(":")),
      ["2 fine: sriov_numvfs", "5 different: sriov_do_reboot", "6 unjudged: sriov_devices"],
    );
  });
  it("that is an INI inventory of hosts without a group is read, though it is a text to YAML", () => {
    for (const path of ["hosts", "hosts.ini", "inventory.example"]) {
      match(
        judged("h1 sriov_numvfs_driver=foo\n[compute]\nh1\n", linux, path)[0] ?? "",
        /^1 different: sriov_numvfs_driver/,
      );
      match(
        judged('h1:22 a="b: c" sriov_numvfs_driver=foo # d\n[e:children]\nf\n', linux, path)[0] ?? "",
        /^1 different: sriov_numvfs_driver/,
      );
    }
    match(judged("[a:vars]\r\nb=c d\r\nsriov_numvfs = 4 # e\r\n", linux, "hosts")[0] ?? "", /^3 fine: sriov_numvfs/);
  });
  it("that is INI and not an inventory reports nothing", () => {
    const setting = "h1 sriov_numvfs_driver=foo\n";
    const others = [
      "[testenv]\ncommands =\n  h1 sriov_numvfs_driver=foo\n",
      "[defaults]\ninventory = hosts\n",
      "[testenv:py3]\n",
      "ansible-playbook -e sriov_numvfs=4\n",
      "a=b\n",
      "a: b=c\n",
      "---\n",
      "h1 a='b\n",
      "[a b]\n",
      "[a:children]\nb c=d\n",
      "[a:vars]\nb\n",
    ];
    for (const path of ["tox.ini", "ansible.cfg", "hosts"])
      for (const other of others) {
        deepStrictEqual(judged(`${other}[x]\n${setting}`, linux, path), [], other);
        // Ansible warns, and keeps what it had read before.
        strictEqual(judged(setting + other, linux, path).length, 1, other);
      }
  });
  it("of a host is YAML, with any ending of its name", () => {
    match(judged("sriov_numvfs_driver: foo\n", linux, "host_vars/a.example.com")[0] ?? "", /^1 different/);
    match(judged("a: [\n", linux, "host_vars/a.example.com")[0] ?? "", /^- unjudged: is not YAML/);
  });
  it("of several documents is read whole", () =>
    deepStrictEqual(
      judged("---\nsriov_numvfs: 1\n---\nsriov_action: all\n", linux).map((line) => line.slice(0, 1)),
      ["2", "4"],
    ));
  it("of an installed role is not configuration", () => {
    const files = ["roles/stackhpc.sriov/tasks/mlxconfig.yml", "roles/stackhpc.sriov/defaults/main.yml"].map(
      (path) => ({ path, text: "sriov_numvfs: 8\n" }),
    );
    deepStrictEqual(
      reported(judge(files, present).findings).map((line) => line.slice(0, 34)),
      ["- different: the installed role is"],
    );
    deepStrictEqual(
      judge(
        files.map(({ path, text }) => ({ path: path.replace("mlxconfig", "firmware_tool"), text })),
        present,
      ).findings,
      [],
    );
    strictEqual(
      judge([{ path: "roles/sriov/defaults/main.yml", text: "sriov_numvfs: 8\n" }], present).findings.length,
      1,
    );
  });
  it("of a copy under another name has another way than ansible-galaxy's", () =>
    deepStrictEqual(
      reported(judge([{ path: "ansible/roles/sriov/tasks/mlxconfig.yml", text: "[]\n" }], present).findings),
      [
        "- different: this copy of the predecessor stays, and a play with the role sriov runs it: write stackhpc.sriov.sriov there, and remove the folder",
      ],
    ));
  it("is looked at by its name", () => {
    for (const path of [
      "a.yml",
      "group_vars/all",
      "host_vars/b.yaml",
      "c.json",
      "hosts.ini",
      "host_vars/a.example.com",
      "x/group_vars/b.c",
      "host_vars/a.example.com/d",
    ])
      ok(isReadable(path), path);
    for (const path of [
      "a.py",
      ".gitignore",
      "b.yml.j2",
      "c/.x",
      "a.example.com",
      "x_host_vars/a.b",
      "host_vars/a.b/c.d",
      "host_vars/.a.b",
      "group_vars/all~",
      "host_vars/a.yml~",
      "host_vars/README.md",
      "host_vars/a.yml.bak",
      "host_vars/a.yml.disabled",
      "host_vars/a.j2",
    ])
      ok(!isReadable(path), path);
  });
});

it("a typing error is reported with the nearest name, when that is near", () => {
  strictEqual(nearest("sriov_device", ["sriov_devices", "sriov_numvfs"]), "sriov_devices");
  strictEqual(nearest("sriov_numfvs", ["sriov_devices", "sriov_numvfs"]), "sriov_numvfs");
  strictEqual(nearest("sriov_colour", ["sriov_devices", "sriov_numvfs"]), undefined);
});

it("what no one wrote is reported where it applies", () => {
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
    ["installed", 1, /^1 fine, 0 ineffective now, 2 different now, 0 cannot be judged, 0 unknown\.$/m],
  ];
  for (const [name, want, closing] of cases)
    it(`of ${name} ends with ${want}`, async () => {
      const { code, output } = await cliProcess(own(), {}, "migrate", fixture(name));
      strictEqual(code, want, output);
      match(output, closing);
    });
  it("takes files and folders, and reports files by the names that it was given", async () => {
    const { output } = await cli(own(), "migrate", join(fixture("role"), "requirements.yml"), fixture("plain"));
    match(output, /^\S+\/role\/requirements\.yml:1: different now: /m);
    match(output, /^\S+\/plain\/site\.yml:5: fine: /m);
  });
  it("finds inventories and what is named for hosts below a folder", async () => {
    const folder = temporary();
    put(folder, {
      "hosts.ini": "h1 sriov_numvfs=4\n[compute]\nh1\n",
      "host_vars/h1.example.com": "sriov_numvfs: 4\n",
      "tox.ini": "[testenv]\ncommands =\n  run sriov_numvf=4\n",
    });
    match(
      (await cli(own(), "migrate", join(folder, "host_vars"))).output,
      /^1 fine, 0 ineffective now, 0 different now, 0 cannot be judged, 0 unknown\.$/m,
    );
    match(
      (await cli(own(), "migrate", folder)).output,
      /^2 fine, 0 ineffective now, 0 different now, 0 cannot be judged, 0 unknown\.$/m,
    );
  });
  it("writes nothing, and looks at no environment of programs", async () => {
    const folder = temporary();
    put(folder, {
      "site.yml": "- hosts: a\n  vars: {sriov_devices: [{name: ens1}]}\n  roles: [stackhpc.sriov]\n",
      "x.conf": "sriov_numvf: 1\n",
      ".venv/x.yml": "sriov_numvf: 1\n",
      "ansible_collections/a/b/x.yml": "sriov_numvf: 1\n",
    });
    strictEqual((await cli(own(), "migrate", folder)).code, 0);
    strictEqual(
      readFileSync(join(folder, "site.yml"), "utf8"),
      "- hosts: a\n  vars: {sriov_devices: [{name: ens1}]}\n  roles: [stackhpc.sriov]\n",
    );
  });
  it("reports in one line what it ignored, and each file once", async () => {
    const folder = temporary();
    put(folder, {
      "kolla.yml": "---\n",
      "inventory/group_vars/compute.yml": "sriov_devices:\n  - name: p4p1\n",
      "kolla/config/grafana/dashboards/a.json": "{% raw %}\n{}\n",
      "kolla/config/grafana/dashboards/b.json": "{% raw %}\n{}\n",
      "environments/prod/.keep": "",
    });
    writeFileSync(join(folder, "logo.png"), Buffer.from([0x89, 0xff]));
    symlinkSync("../../inventory", join(folder, "environments/prod/inventory"));
    symlinkSync("..", join(folder, "environments/up"));
    symlinkSync("round", join(folder, "environments/round"));
    const { code, output } = await cli(
      root,
      "migrate",
      folder,
      join(folder, "inventory/group_vars"),
      join(folder, "inventory/group_vars/compute.yml"),
    );
    strictEqual(code, 0, output);
    deepStrictEqual(
      output
        .split("\n")
        .filter((line) => line.startsWith(folder))
        .map((line) => line.slice(folder.length)),
      [
        "/inventory/group_vars/compute.yml:1: fine: sriov_devices: the same; a device can also be chosen by address, mac, vendor_id with product_id, or driver",
      ],
    );
    match(
      output,
      /^\d+ files were ignored because (?:they|it) cannot hold variables: 2 of Kolla's own configuration, \d of another kind\.$/m,
    );
    strictEqual(output.split("\n").filter((line) => line.includes("ignored")).length, 1);
    doesNotMatch(output, /not YAML/);
  });
  it("reports a mapping in Kolla's globals.yml as ineffective, by any path that names it", async () => {
    const folder = temporary();
    put(folder, {
      "config/kolla.yml": "---\n",
      "config/inventory/group_vars/compute/sriov": "---\nsriov_devices:\n  - name: p4p1\n    numvfs: 8\n",
      "config/kolla/globals.yml": "---\n# Physical networks\nsriov_physnet_mappings:\n  p4p1: physnet2\n",
    });
    for (const paths of [
      ["config"],
      ["config/kolla/globals.yml", "config/inventory"],
      ["config/kolla", "config/inventory"],
    ]) {
      const { code, output } = await cli(root, "migrate", ...paths.map((path) => join(folder, path)));
      strictEqual(code, 1);
      match(output, /\/globals\.yml:3: ineffective now: sriov_physnet_mappings: only Kolla sees it here/m);
      match(output, /^1 fine, 1 ineffective now, 0 different now, 0 cannot be judged, 0 unknown\.$/m);
    }
  });
  it("does not read what is too large for variables, and reports what could be variables", async () => {
    const folder = temporary();
    put(folder, {
      "site.yml": "- hosts: a\n  vars: {sriov_devices: [{name: ens1}]}\n",
      "images/disk": "",
      "group_vars/all.yml": "",
    });
    // Of holes, so that no disk is filled; more than a text can have.
    for (const path of ["images/disk", "group_vars/all.yml"]) truncateSync(join(folder, path), 3 * 2 ** 30);
    const { code, output } = await cli(root, "migrate", folder);
    strictEqual(code, 1, output);
    match(output, /\/group_vars\/all\.yml: cannot be judged: is larger than any file of variables/);
    match(output, /^1 file was ignored because (?:they|it) cannot hold variables: 1 of another kind\.$/m);
  });
  it("that finds nothing reports it and fails", async () => {
    const folder = temporary();
    put(folder, { "site.yml": "- hosts: a\n" });
    const { code, output } = await cli(own(), "migrate", folder);
    strictEqual(code, 1);
    match(output, /^Nothing of the old roles/m);
  });
  it("ends with 2 for wrong use", async () => {
    const folder = repository();
    for (const args of [[], ["no/such/file"], ["--from", "other", "galaxy.yml"]])
      strictEqual((await cli(folder, "migrate", ...args)).code, 2);
  });
});
