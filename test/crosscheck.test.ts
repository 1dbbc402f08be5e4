import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { crosscheck, kayobeVariables } from "../generator/artefacts/crosscheck.js";
import { checks } from "../generator/artefacts/emit/checks.js";
import type { Variable } from "../generator/ir.js";
import { role } from "./support.js";

const variable = (name: string): Variable => ({
  name,
  description: ["D."],
  type: { kind: "bool" },
  required: false,
  default: true,
});

/** The faults of a role with the one variable sriov_known, which these files use or not. */
function faults(files: { readonly [path: string]: string }): string[] {
  return crosscheck(
    role(variable("sriov_known")),
    Object.entries(files).map(([path, text]) => ({ path, text })),
  ).map(({ file, line, message }) => `${file}:${line ?? ""} ${message}`);
}

const using = { "tasks/use.yml": "- a: '{{ sriov_known }}'\n" };

describe("a variable that the model does not contain is found", () => {
  const cases: [title: string, path: string, text: string, line: number][] = [
    ["between braces", "tasks/main.yml", "---\n- name: A\n  a: '{{ sriov_typo }}'\n", 3],
    ["in a condition", "tasks/main.yml", "---\n- a: 1\n  when: sriov_known and not sriov_typo\n", 3],
    ["in a list of conditions", "tasks/main.yml", "- a: 1\n  when:\n    - sriov_known\n    - sriov_typo | bool\n", 4],
    ["in that of an assertion", "tasks/main.yml", "- ansible.builtin.assert:\n    that: sriov_typo\n", 2],
    ["in a handler", "handlers/main.yml", "- a: '{{ sriov_typo }}'\n", 1],
    ["in a template, between braces", "templates/x.j2", "sriov_words are\n{{ sriov_typo }}\n", 2],
    ["in a template, in a statement", "templates/x.j2", "a\n{% if sriov_typo %}b{% endif %}\n", 2],
    ["in an expression over several lines", "tasks/main.yml", "- a: >-\n    {{ 1\n    + sriov_typo }}\n", 2],
    ["set by an example", "examples/x.yml", "- hosts: all\n  vars:\n    sriov_typo: 1\n", 3],
    ["in vars", "vars/main.yml", "__sriov_a: '{{ sriov_typo }}'\n", 1],
  ];
  for (const [title, path, text, line] of cases)
    it(title, () => {
      const [found = "", ...more] = faults({ ...using, [path]: text });
      deepStrictEqual(more, []);
      match(
        found,
        new RegExp(
          `^role-template/${path.replace(".", "\\.")}:${title.includes("several") ? "\\d+" : line} sriov_typo is not a variable of the model`,
        ),
      );
    });
});

describe("no variable is", () => {
  const cases: [title: string, files: { readonly [path: string]: string }][] = [
    ["a private name", { "tasks/main.yml": "- a: '{{ __sriov_private }}'\n  register: __sriov_private\n" }],
    [
      "a module",
      {
        "plugins/modules/sriov_vfs.py": "",
        "tasks/main.yml": "- stackhpc.sriov.sriov_vfs:\n    a: 1\n- sriov_vfs:\n    a: 1\n",
      },
    ],
    [
      "a helper of the modules",
      { "plugins/module_utils/sriov_host.py": "", "tasks/main.yml": "- a: '{{ sriov_host }}'\n" },
    ],
    [
      "a fact that the role sets",
      {
        "tasks/main.yml":
          "- ansible.builtin.set_fact:\n    sriov_reboot_required: true\n- a: 1\n  when: sriov_reboot_required\n",
      },
    ],
    ["a key of a result", { "tasks/main.yml": "- a: '{{ __sriov_result.sriov_totalvfs }}'\n" }],
    [
      "a word in a text",
      { "tasks/main.yml": "- name: Read sriov_totalvfs\n  a: \"{{ x['sriov_totalvfs'] }} sriov_numvfs\"\n" },
    ],
    [
      "a comment",
      { "tasks/main.yml": "# sriov_typo\n- a: '{# sriov_typo #}'\n", "templates/x.j2": "{# sriov_typo #}" },
    ],
    ["a name in a module", { "plugins/modules/x.py": "sriov_totalvfs" }],
  ];
  for (const [title, files] of cases) it(title, () => deepStrictEqual(faults({ ...using, ...files }), []));
});

describe("the model as the role's own check has it", () => {
  const path = "plugins/module_utils/sriov/variables.py";
  const { text } = checks(role(variable("sriov_known")), []);
  it("is as the model says", () => deepStrictEqual(faults({ ...using, [path]: text }), []));
  it("is reported when it is not", () =>
    deepStrictEqual(faults({ ...using, [path]: text.replace("bool", "int") }), [
      `role-template/${path}: does not match the model: UPDATE=1 npx mocha -g "the pages"`,
    ]));
});

describe("what a Kayobe configuration sets for its hosts", () => {
  const of = (path: string, text: string): string[] =>
    faults({ ...using, [path]: text, "kayobe/kolla.yml": "a:\n  - sriov_openstack\n" });
  it("may be variables of the model, and those of its other files", () =>
    deepStrictEqual(
      of("kayobe/inventory/group_vars/g/sriov", "sriov_known: 1\nsriov_openstack: '{{ sriov_whatever }}'\n"),
      [],
    ));
  it("is not another name of ours", () =>
    deepStrictEqual(of("kayobe/inventory/group_vars/g/sriov", "---\nsriov_typo: 1\n"), [
      "role-template/kayobe/inventory/group_vars/g/sriov:2 sriov_typo is not a variable of the model, and no other file of kayobe/ uses it",
    ]));
  it("may be anything in its other files", () =>
    deepStrictEqual(of("kayobe/ansible/sriov.yml", "- a: '{{ sriov_reboot_serial }}'\n"), []));
  it("is YAML", () =>
    match(
      of("kayobe/inventory/group_vars/g/sriov", "a: [\n")[0] ?? "",
      /^role-template\/kayobe\/inventory\/group_vars\/g\/sriov:\d+ /,
    ));
});

describe("the variables that a Kayobe configuration has for itself", () => {
  it("are set in its files, or read in its playbooks, and neither the role's nor its facts", () => {
    const files = {
      "tasks/main.yml": "- ansible.builtin.set_fact:\n    sriov_reboot_required: true\n",
      "kayobe/inventory/group_vars/g/sriov": "sriov_known: 1\nsriov_openstack: '{{ x }}'\n",
      "kayobe/ansible/sriov.yml": "- serial: '{{ sriov_reboot_serial | default(1) }}'\n  when: sriov_reboot_required\n",
      "kayobe/kolla/config/nova.conf": "[pci]\na = {{ sriov_elsewhere }}\n",
    };
    deepStrictEqual(
      kayobeVariables(
        role(variable("sriov_known")),
        Object.entries(files).map(([path, text]) => ({ path, text })),
      ),
      ["sriov_openstack", "sriov_reboot_serial"],
    );
  });
});

describe("a variable of the model", () => {
  const uses: [title: string, path: string, text: string][] = [
    ["between braces", "tasks/main.yml", "- a: '{{ sriov_known }}'\n"],
    ["in a condition", "tasks/main.yml", "- a: 1\n  when: sriov_known is defined\n"],
    ["by its name, in a lookup", "tasks/main.yml", "- a: \"{{ lookup('vars', 'sriov_known') }}\"\n"],
    ["in a template", "templates/x.j2", "{{ sriov_known }}\n"],
  ];
  for (const [title, path, text] of uses) it(`is used ${title}`, () => deepStrictEqual(faults({ [path]: text }), []));

  const nonUses: [title: string, path: string, text: string][] = [
    ["in an example only", "examples/x.yml", "- hosts: all\n  vars:\n    sriov_known: true\n"],
    ["when only an example reads it", "examples/x.yml", "- hosts: all\n  tasks:\n    - a: '{{ sriov_known }}'\n"],
    ["in a comment only", "tasks/main.yml", "# {{ sriov_known }}\n- a: 1\n"],
    ["in a Kayobe configuration only", "kayobe/inventory/group_vars/g/sriov", "sriov_known: true\n"],
    ["nowhere", "tasks/main.yml", "- a: 1\n"],
  ];
  for (const [title, path, text] of nonUses)
    it(`is not used ${title}`, () =>
      deepStrictEqual(faults({ [path]: text }), [
        "generator/model/sriov.ts: sriov_known: no task, handler or template of role-template/ uses it",
      ]));

  it("has keys that something reads", () => {
    const devices: Variable = {
      ...variable("sriov_known"),
      type: { kind: "list", elements: { kind: "dict", fields: [variable("address"), variable("unread")] } },
    };
    const files = [
      { path: "plugins/modules/m.py", text: "device['address']" },
      { path: "tasks/use.yml", text: using["tasks/use.yml"] },
    ];
    deepStrictEqual(
      crosscheck(role(devices), files).map(({ message }) => message),
      ["unread of sriov_known: nothing in role-template/ uses it"],
    );
  });
});

describe("a template that is not YAML", () => {
  it("is reported with its line", () => {
    const found = faults({ ...using, "tasks/main.yml": "- a: 1\n- b: [\n" });
    strictEqual(found.length > 0, true);
    match(found[0]!, /^role-template\/tasks\/main\.yml:\d+ /);
  });
  it("is one with a key twice, of which Ansible would drop the first without a word", () => {
    const found = faults({ ...using, "tasks/main.yml": "- a: 1\n  b: 2\n  a: 3\n" });
    deepStrictEqual(found, ["role-template/tasks/main.yml:3 Map keys must be unique at line 3, column 3:"]);
  });
});
