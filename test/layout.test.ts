import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Layout } from "../generator/ir.js";
import { arrange, artefactRoot, authorOfPlugin } from "../generator/artefacts/layout.js";
import { identity } from "./support.js";

const acme = { ...identity, namespace: "acme", name: "nics" };
const renamed = (text: string, layout: Layout, as = identity, path = "tasks/main.yml"): string =>
  arrange([{ path, text }], layout, as)[0]!.text;
const placed = (path: string, layout: Layout): string[] =>
  arrange([{ path, text: "" }], layout, identity).map((file) => file.path);

describe("the authors of a plugin", () => {
  const cases: [author: string, repository: string | undefined, want: string][] = [
    ["StackHPC Ltd", "https://github.com/stackhpc/ansible-collection-sriov", "StackHPC Ltd (@stackhpc)"],
    ["Ann Author <ann@example.org> (https://example.org)", "https://github.com/acme/nics", "Ann Author (@acme)"],
    ["Ann Author <ann@example.org> (@ann-a)", "https://github.com/acme/nics", "Ann Author (@ann-a)"],
    ["Ann Author @ann:irc/im#chat", undefined, "Ann Author (@ann)"],
    ["Ann Author", "https://git.example.org/acme/nics", "Ann Author (!UNKNOWN)"],
    ["Ann Author", undefined, "Ann Author (!UNKNOWN)"],
  ];
  for (const [author, repository, want] of cases)
    it(`${author} of ${repository ?? "no repository"} is ${want}`, () =>
      strictEqual(authorOfPlugin(author, { ...identity, ...(repository === undefined ? {} : { repository }) }), want));

  const two = { ...acme, authors: ["Ann: A", "Bob"] };
  const given = 'x = r"""\nauthor:\n  - A (@a)\n  - B (@b)\noptions:\n"""\n';
  const list = '  - "Ann: A (!UNKNOWN)"\n  - "Bob (!UNKNOWN)"\n';
  it("are galaxy.yml's in a module", () =>
    strictEqual(
      renamed(given, "role", two, "plugins/modules/sriov_vfs.py"),
      `x = r"""\nauthor:\n${list}options:\n"""\n`,
    ));
  it("are galaxy.yml's in a filter's documentation, at its depth", () => {
    const want = `DOCUMENTATION:\n  author:\n${list.replaceAll("  -", "    -")}  name: x\n`;
    strictEqual(
      renamed("DOCUMENTATION:\n  author:\n    - A (@a)\n  name: x\n", "collection", two, "plugins/filter/x.yml"),
      want,
    );
  });
  it("do not concern other files", () => strictEqual(renamed(given, "role", two, "meta/x.yml"), given));
});

describe("in the standalone role", () => {
  const texts: [title: string, given: string, want: string][] = [
    ["a module has its short name", "  stackhpc.sriov.sriov_vfs:  # why", "  sriov_vfs:  # why"],
    ["the role is called by its Galaxy name", "name: stackhpc.sriov.sriov\n", "name: stackhpc.sriov\n"],
    ["a module whose name begins with the role's is a module", "stackhpc.sriov.sriov_devices:", "sriov_devices:"],
    [
      "Python imports from ansible.module_utils",
      "from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.pending import judge",
      "from ansible.module_utils.sriov.pending import judge",
    ],
    [
      "another collection is left alone",
      "stackhpc.linux.sriov and notstackhpc.sriov.x",
      "stackhpc.linux.sriov and notstackhpc.sriov.x",
    ],
    ["a sentence may end with the name", "as stackhpc.sriov. And", "as stackhpc.sriov. And"],
    ["several names in one line", "stackhpc.sriov.sriov stackhpc.sriov.a stackhpc.sriov.b", "stackhpc.sriov a b"],
  ];
  for (const [title, given, want] of texts) it(title, () => strictEqual(renamed(given, "role"), want));
  it("the role has the name that galaxy.yml gives", () =>
    strictEqual(renamed("stackhpc.sriov.sriov stackhpc.sriov.sriov_vfs", "role", acme), "acme.nics sriov_vfs"));

  const paths: [path: string, want: string[]][] = [
    ["plugins/modules/sriov_vfs.py", ["library/sriov_vfs.py"]],
    ["plugins/module_utils/sriov/pending.py", ["module_utils/sriov/pending.py"]],
    ["tasks/main.yml", ["tasks/main.yml"]],
    ["examples/minimal.yml", ["examples/minimal.yml"]],
    ["README.md", ["README.md"]],
    ["LICENSE", ["LICENSE"]],
    ["LICENSES/MIT.txt", ["LICENSES/MIT.txt"]],
    ["galaxy.yml", []],
    ["meta/runtime.yml", []],
    ["CHANGELOG.md", []],
    ["changelogs/changelog.yaml", []],
    ["plugins/filter/openstack.py", []],
    ["plugins/module_utils/sriov/openstack/nova.py", ["module_utils/sriov/openstack/nova.py"]],
    ["playbooks/discover.yml", []],
    ["kayobe/kolla.yml", []],
  ];
  for (const [path, want] of paths)
    it(`${path} ${want.length === 0 ? "is left out" : `is ${want[0]}`}`, () =>
      deepStrictEqual(placed(path, "role"), want));
});

describe("in the collection", () => {
  it("the text is unchanged", () => {
    const text =
      "stackhpc.sriov.sriov stackhpc.sriov.sriov_vfs ansible_collections.stackhpc.sriov.plugins.module_utils";
    strictEqual(renamed(text, "collection"), text);
  });
  it("unless galaxy.yml gives it another name", () => {
    strictEqual(
      renamed(
        "stackhpc.sriov.sriov stackhpc.sriov.sriov_vfs ansible_collections.stackhpc.sriov.plugins.x",
        "collection",
        acme,
      ),
      "acme.nics.sriov acme.nics.sriov_vfs ansible_collections.acme.nics.plugins.x",
    );
    strictEqual(
      renamed("../ansible_collections/stackhpc/sriov/schema.json", "kayobe", acme, "kayobe/a"),
      "../ansible_collections/acme/nics/schema.json",
    );
  });
  const paths: [path: string, want: string[]][] = [
    ["plugins/modules/sriov_vfs.py", ["plugins/modules/sriov_vfs.py"]],
    ["tasks/main.yml", ["roles/sriov/tasks/main.yml"]],
    ["meta/main.yml", ["roles/sriov/meta/main.yml"]],
    ["meta/runtime.yml", ["meta/runtime.yml"]],
    ["README.md", ["README.md", "roles/sriov/README.md"]],
    ["schema.json", ["schema.json", "roles/sriov/schema.json"]],
    ["LICENSE", ["LICENSE"]],
    ["LICENSES/MIT.txt", ["LICENSES/MIT.txt"]],
    ["examples/minimal.yml", ["examples/minimal.yml"]],
    ["plugins/filter/openstack.py", ["plugins/filter/openstack.py"]],
    ["playbooks/discover.yml", ["playbooks/discover.yml"]],
    ["kayobe/kolla.yml", []],
  ];
  for (const [path, want] of paths)
    it(`${path} ${want.length === 0 ? "is left out" : `is ${want.join(" and ")}`}`, () =>
      deepStrictEqual(placed(path, "collection"), want));
});

describe("in the Kayobe configuration", () => {
  it("the collection has the name that galaxy.yml gives, for its role and its filters", () => {
    const text = "name: stackhpc.sriov.sriov\n{{ x | stackhpc.sriov.openstack_devices }} sriov_openstack";
    strictEqual(
      renamed(text, "kayobe", acme, "kayobe/a"),
      "name: acme.nics.sriov\n{{ x | acme.nics.openstack_devices }} sriov_openstack",
    );
    strictEqual(renamed(text, "kayobe", identity, "kayobe/a"), text);
  });
  const paths: [path: string, want: string[]][] = [
    ["kayobe/kolla.yml", ["kolla.yml"]],
    ["kayobe/ansible/requirements.yml", ["ansible/requirements.yml"]],
    ["tasks/main.yml", []],
    ["README.md", []],
    ["LICENSE", []],
    ["galaxy.yml", []],
    ["playbooks/discover.yml", []],
    ["plugins/filter/openstack.py", []],
  ];
  for (const [path, want] of paths)
    it(`${path} ${want.length === 0 ? "is left out" : `is ${want.join(" and ")}`}`, () =>
      deepStrictEqual(placed(path, "kayobe"), want));
});

describe(artefactRoot.name, () => {
  it("of the role ends below a roles path", () => strictEqual(artefactRoot("role", acme), "roles/acme.nics"));
  it("of the Kayobe configuration is not a search path", () =>
    strictEqual(artefactRoot("kayobe", acme), "kayobe-config"));
  it("of the collection ends below a collections path", () =>
    strictEqual(artefactRoot("collection", acme), "collections/ansible_collections/acme/nics"));
});
