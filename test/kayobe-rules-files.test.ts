import { strictEqual } from "node:assert/strict";
import { groupFile } from "../generator/kayobe/rules/group.js";
import { hook } from "../generator/kayobe/rules/hook.js";
import { requirements } from "../generator/kayobe/rules/requirements.js";
import { seed } from "../generator/kayobe/rules/seed.js";
import { isWholeFile, wholeFile } from "../generator/kayobe/rules/wholeFile.js";
import { refuseLinks, refuseToHide } from "../generator/kayobe/rules/writes.js";
import { cases, draftOf, has } from "./drafts.js";

// Rules of the merge for whole files, each by itself: a small draft, and all that the rule adds.

const inEnvironment = { environment: "e" } as const;

describe(wholeFile.name, () => {
  const mark = "# Written by sriov-role kayobe, which replaces it.\n";
  const playbook = { path: "ansible/sriov.yml", text: `---\n${mark}- hosts: new\n` };
  cases(
    (draft) => wholeFile(draft, playbook),
    [
      ["is made", {}, { puts: { [playbook.path]: playbook.text } }],
      ["of the same version is left", { files: { [playbook.path]: playbook.text } }, {}],
      [
        "of an earlier version is replaced",
        { files: { [playbook.path]: `${mark}- hosts: old\n` } },
        { puts: { [playbook.path]: playbook.text } },
      ],
      [
        "of another author is refused",
        { files: { [playbook.path]: "- hosts: compute\n" } },
        { refusals: [/^ansible\/sriov\.yml does not belong to sriov-role kayobe/] },
      ],
      [
        "that cannot be read is refused",
        { more: [{ path: playbook.path }] },
        { refusals: [/^ansible\/sriov\.yml does not belong to sriov-role kayobe/] },
      ],
      [
        "of a published guide is replaced, with a hint",
        { files: { [playbook.path]: "- hosts: compute_sriov\n  roles: [stackhpc.sriov]\n" } },
        { puts: { [playbook.path]: playbook.text }, hints: [/was the playbook of a published guide/] },
      ],
      [
        "of a playbook is in the base, for an environment too",
        { files: { "environments/e/kolla.yml": "" }, ...inEnvironment },
        { puts: { [playbook.path]: playbook.text } },
      ],
    ],
  );

  const folder = "inventory/group_vars/compute_sriov";
  const derived = { path: `${folder}/sriov_openstack`, text: `---\n${mark}a: 1\n` };
  cases(
    (draft) => wholeFile(draft, derived),
    [
      [
        "of the group needs a folder, in which no file may be",
        { files: { [folder]: "a: 1\n" } },
        { refusals: [/is a file where a folder must be\. Type: git mv /] },
      ],
      [
        "of the group needs a folder, which a file of the group's name would have to hide",
        { files: { [`${folder}.yml`]: "a: 1\n" } },
        {
          puts: { [derived.path]: derived.text },
          refusals: [/compute_sriov\.yml and a folder compute_sriov cannot both exist/],
        },
      ],
      [
        "of the group that the base has is not repeated in an environment",
        { files: { [derived.path]: derived.text, "environments/e/kolla.yml": "" }, ...inEnvironment },
        {},
      ],
      [
        "of the group that the base has in an earlier version comes into an environment",
        { files: { [derived.path]: mark, "environments/e/kolla.yml": "" }, ...inEnvironment },
        { puts: { [`environments/e/${derived.path}`]: derived.text } },
      ],
    ],
  );

  it("is recognised by its first comment", () => {
    strictEqual(isWholeFile(playbook), true);
    strictEqual(isWholeFile({ text: `a: 1\n${mark}` }), false);
  });
});

describe(seed.name, () => {
  const folder = "inventory/group_vars/compute_sriov";
  const file = { path: `${folder}/sriov`, text: "# $schema=../schema.json\n" };
  const left: [string, string][] = [
    ["itself", file.path],
    ["another file of the group", `${folder}/nics.yml`],
    ["a file in place of the folder", folder],
    ["a file next to the folder", `${folder}.yaml`],
  ];
  cases(
    (draft) => seed(draft, file),
    [
      ["is made", {}, { puts: { [file.path]: file.text } }],
      [
        "is made next to the variables that the merge writes",
        { files: { [`${folder}/sriov_openstack`]: "" } },
        { puts: { [file.path]: file.text } },
      ],
      ...left.map(
        ([what, path]) => [`is not made where there is ${what}`, { files: { [path]: "a: 1\n" } }, {}] as const,
      ),
      [
        "is not made where another group has devices",
        { files: { "inventory/group_vars/all/x": "sriov_devices: []\n" } },
        {},
      ],
      [
        "is made where a host has devices",
        { files: { "inventory/host_vars/hv1": "sriov_devices: []\n" } },
        { puts: { [file.path]: file.text } },
      ],
      [
        "is not made in an environment whose base has it",
        { files: { [file.path]: "", "environments/e/x": "" }, ...inEnvironment },
        {},
      ],
      [
        "of an environment has a longer way to the schema",
        { files: { "environments/e/x": "" }, ...inEnvironment },
        { puts: { [`environments/e/${file.path}`]: "# $schema=../../../schema.json\n" } },
      ],
    ],
  );
});

describe(groupFile.name, () => {
  const file = { path: "inventory/sriov", text: "[compute_sriov]\n" };
  const taken = { "inventory/sriov": "[a]\n", "inventory/sriov_group": "[b]\n" };
  cases(
    (draft) => groupFile(draft, file),
    [
      ["is made", { files: { "inventory/hosts": "[compute]\n" } }, { puts: { [file.path]: file.text } }],
      [
        "is not made where a file has the group, as a part of compute",
        { files: { "inventory/hosts": "[compute_sriov]\n[compute:children]\ncompute_sriov\n" } },
        {},
      ],
      [
        "is not made where a file has the group, which nothing makes a part of compute",
        { files: { "inventory/hosts": "[compute_sriov]\n" } },
        { hints: [/^inventory\/hosts contains the group compute_sriov, and nothing makes it part of compute/] },
      ],
      [
        "is not made where a script may make the group a part of compute",
        { files: { "inventory/hosts": "[compute_sriov]\n", "inventory/script": "#!/bin/sh\n" } },
        {},
      ],
      [
        "has another name where the site has its own for something else",
        { files: { "inventory/sriov": "[a]\n" } },
        { puts: { "inventory/sriov_group": file.text }, hints: [/The group is in inventory\/sriov_group\.$/] },
      ],
      [
        "has a third name",
        { files: taken },
        { puts: { "inventory/sriov_group_2": file.text }, hints: [/The group is in inventory\/sriov_group_2\.$/] },
      ],
      [
        "is refused where all names are taken",
        { files: { ...taken, "inventory/sriov_group_2": "[c]\n" } },
        { refusals: [/^No file of inventory contains the group compute_sriov, [^]*:\n {4}\[compute_sriov\]$/] },
      ],
    ],
  );
});

describe(requirements.name, () => {
  const path = "ansible/requirements.yml";
  const file = { path, text: "---\ncollections:\n  - name: a.b\n    version: 2.0.0\n" };
  const old = (version: string): string => `collections:\n  - name: a.b\n    version: ${version}\n`;
  const kept = [
    "- a.b",
    "- {name: a.b}",
    "- {name: a.b, version: '>=1'}",
    "- {name: a.b, source: x, version: 1.0.0}",
    "- name: /x/a-b-1.0.0.tar.gz",
  ];
  cases(
    (draft) => requirements(draft, file),
    [
      ["are made", {}, { puts: { [path]: file.text } }],
      ["with the version are left", { files: { [path]: old("2.0.0") } }, {}],
      ["with an earlier version get ours", { files: { [path]: old("1.0.0") } }, { puts: { [path]: old("2.0.0") } }],
      [
        "with others get ours",
        { files: { [path]: "collections: [c.d]\n" } },
        { puts: { [path]: "collections: [c.d, {name: a.b, version: 2.0.0}]\n" } },
      ],
      [
        "without collections get them",
        { files: { [path]: "roles: [x]\n" } },
        { puts: { [path]: `roles: [x]\n\n# \`sriov-role kayobe\` keeps the version of a.b.\n${old("2.0.0")}` } },
      ],
      [
        "that are a list of roles get a key for it",
        { files: { [path]: "- x\n" } },
        { puts: { [path]: `roles:\n- x\n\n# \`sriov-role kayobe\` keeps the version of a.b.\n${old("2.0.0")}` } },
      ],
      [
        "with collections that are not a list are refused",
        { files: { [path]: "collections: 1\n" } },
        { refusals: [/has collections that are not a list\. Fix that/] },
      ],
      ...kept.map(
        (item) =>
          [
            `with ${item} are left, with a hint`,
            { files: { [path]: `collections:\n  ${item}\n` } },
            { hints: [/chooses a\.b in its own way/] },
          ] as const,
      ),
      [
        "are of the base, for an environment too",
        { files: { "environments/e/x": "" }, ...inEnvironment },
        { puts: { [path]: file.text } },
      ],
    ],
  );
});

describe(hook.name, () => {
  const path = "hooks/overcloud-host-configure/post.d/10-sriov.yml";
  const files = { "environments/e/x": "" };
  cases(hook, [
    ["is a link to the playbook", { files }, { links: [{ path, target: "../../../ansible/sriov.yml" }] }],
    [
      "of an environment leads to the playbook of the base",
      { files, ...inEnvironment },
      { links: [{ path: `environments/e/${path}`, target: "../../../../../ansible/sriov.yml" }] },
    ],
    ["that is there is left", { more: [{ path, link: "../../../ansible/sriov.yml" }] }, {}],
    [
      "of the base is one of an environment",
      { files, more: [{ path, link: "../../../ansible/sriov.yml" }], ...inEnvironment },
      {},
    ],
    [
      "to another playbook is refused",
      { more: [{ path, link: "../../../ansible/x.yml" }] },
      { refusals: [/is not a symbolic link/] },
    ],
    ["that is a file is refused", { files: { [path]: "" } }, { refusals: [/is not a symbolic link/] }],
  ]);
});

describe(refuseLinks.name, () => {
  const outside = { path: "kolla", link: "/srv/kolla", real: "/srv/kolla" };
  it("is of files that are written, and of links that are made", () => {
    const draft = draftOf({
      files: { "a/x": "" },
      more: [outside, { path: "hooks", link: "/srv/hooks", real: "/srv/hooks" }],
    });
    draft.put("kolla/globals.yml", "a: 1\n");
    draft.put("a/x", "a: 1\n");
    draft.link({ path: "hooks/x.yml", target: "../x.yml" });
    refuseLinks(draft);
    has(draft, {
      puts: { "kolla/globals.yml": "a: 1\n", "a/x": "a: 1\n" },
      links: [{ path: "hooks/x.yml", target: "../x.yml" }],
      refusals: [/^kolla is a symbolic link to \/srv\/kolla, .* Put a folder there/, /^hooks is a symbolic link to/],
    });
  });
  it("is not of a link in the configuration, whose file is written where it is", () => {
    const draft = draftOf({ files: { "b.yml": "" }, more: [{ path: "kolla.yml", link: "b.yml", real: "b.yml" }] });
    draft.put("kolla.yml", "a: 1\n");
    refuseLinks(draft);
    has(draft, { puts: { "b.yml": "a: 1\n" } });
  });
});

describe(refuseToHide.name, () => {
  const path = "kolla/config/nova.conf";
  const last = "kolla_openstack_custom_config_merge_configs_enabled: false\n";
  const rows: [string, { readonly [path: string]: string }, boolean][] = [
    ["a file that Kayobe takes in place of one of the base", { "kolla.yml": last, [path]: "a" }, true],
    ["a file that Kayobe joins to one of the base", { [path]: "a" }, false],
    ["a file that the environment has", { "kolla.yml": last, [path]: "a", [`environments/e/${path}`]: "b" }, false],
    ["a file that the base has not", { "kolla.yml": last }, false],
  ];
  for (const [title, files, want] of rows)
    it(`${title}: ${want ? "refused" : "written"}`, () => {
      const draft = draftOf({ files: { "environments/e/x": "", ...files }, ...inEnvironment });
      draft.put(`environments/e/${path}`, "new");
      refuseToHide(draft);
      const refusals = want
        ? [/^environments\/e\/kolla\/config\/nova\.conf would replace kolla\/config\/nova\.conf/]
        : [];
      has(draft, { puts: { [`environments/e/${path}`]: "new" }, refusals });
    });
});
