import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { kollasNames, ownValues } from "../generator/kayobe/artefact.js";
import { startDraft } from "../generator/kayobe/draft.js";
import { editYaml, editable } from "../generator/kayobe/edits.js";
import { environmentsOf, layersOf } from "../generator/kayobe/environments.js";
import { concerns } from "../generator/kayobe/layers.js";
import type { ConfigFile } from "../generator/kayobe/layers.js";
import { artefact, config } from "./configuration.js";
import { draftOf, has } from "./drafts.js";

// What the rules of the merge stand on: a draft, layers, and edits.

type Texts = { readonly [path: string]: string };
const filesOf = (texts: Texts): Map<string, ConfigFile> => new Map(config(texts).map((file) => [file.path, file]));

describe(startDraft.name, () => {
  it("has nothing in it", () => has(draftOf({}), {}));
  it("shows what was put, and what was found", () => {
    const draft = draftOf({ files: { "kolla.yml": "a: 1\n" } });
    draft.put("kolla.yml", "a: 2\n");
    strictEqual(draft.view.textOf("kolla.yml"), "a: 2\n");
    deepStrictEqual(draft.view.provider("kolla.yml", "a")?.yaml.data, { a: 2 });
    strictEqual(draft.before.textOf("kolla.yml"), "a: 1\n");
    has(draft, { puts: { "kolla.yml": "a: 2\n" } });
  });
  it("does not write a text that is there, also when it comes back to it", () => {
    const draft = draftOf({ files: { "kolla.yml": "a: 1\n" } });
    for (const text of ["a: 1\n", "a: 2\n", "a: 1\n"]) draft.put("kolla.yml", text);
    has(draft, {});
  });
  it("writes a file where it really is", () => {
    const draft = draftOf({ files: { "b.yml": "" }, more: [{ path: "kolla.yml", link: "b.yml", real: "b.yml" }] });
    draft.put("kolla.yml", "a: 1\n");
    has(draft, { puts: { "b.yml": "a: 1\n" } });
  });
  it("keeps each sentence once", () => {
    const draft = draftOf({});
    for (const sentence of ["x", "y", "x"]) {
      draft.refuse(sentence);
      draft.hint(sentence);
    }
    has(draft, { refusals: [/^x$/, /^y$/], hints: [/^x$/, /^y$/] });
  });
});

describe("layers", () => {
  const base = "environments/e/kolla.yml";
  const two = { files: { "kolla.yml": "a: 1\nb: 1\n", [base]: "a: 2\n" }, environment: "e" };
  it("the last one that sets a variable has its value", () => {
    const { view } = draftOf(two);
    const values = ["a", "b", "c"].map((key) => view.provider("kolla.yml", key)?.yaml.data[key]);
    deepStrictEqual([view.target, ...values], ["environments/e/", 2, 1, undefined]);
  });
  it("the last file of a layer has the value", () => {
    const { view } = draftOf({ files: { "kolla.yml": "a: 1\n", "zz.yml": "a: 2\n" } });
    strictEqual(view.provider("kolla.yml", "a")?.path, "zz.yml");
  });
  it("of one real file in two layers, one counts: of services the first, else the last", () => {
    const link = (path: string): ConfigFile => ({ path: `environments/e/${path}`, link: "x", real: path, text: "" });
    const paths = ["kolla/config/nova.conf", "kolla.yml"];
    const files = { ...Object.fromEntries(paths.map((path) => [path, ""])), "environments/e/x": "" };
    const { view } = draftOf({ files, more: paths.map(link), environment: "e" });
    deepStrictEqual(view.below("kolla/config"), ["kolla/config/nova.conf"]);
    deepStrictEqual(view.below("environments/e/kolla/config"), []);
    deepStrictEqual(view.variableFiles("", "kolla.yml"), []);
    deepStrictEqual(view.variableFiles("environments/e/", "kolla.yml"), ["environments/e/kolla.yml"]);
    strictEqual(view.isTargets("kolla.yml"), true);
  });
  it("an encrypted file has no options and no variables", () => {
    const { view } = draftOf({ files: { "kolla.yml": "$ANSIBLE_VAULT;1.1;AES256\n31\n" } });
    deepStrictEqual([view.opened("kolla.yml"), view.options("kolla.yml").entries], [undefined, []]);
  });
});

describe(layersOf.name, () => {
  const files = filesOf({
    "environments/a/.kayobe-environment": "dependencies: [b, c]\n",
    "environments/b/.kayobe-environment": "dependencies: [c]\n",
    "environments/c/.kayobe-environment": "dependencies:\n",
    "environments/loop/.kayobe-environment": "dependencies: [loop]\n",
    "environments/lost/.kayobe-environment": "dependencies: [x]\n",
    "environments/text/.kayobe-environment": "a: 1\ndependencies: b\n",
    "environments/broken/.kayobe-environment": "a: [\n",
  });
  const orders: [environment: string | undefined, want: string[]][] = [
    [undefined, []],
    ["c", ["c"]],
    ["a", ["c", "b", "a"]],
  ];
  for (const [environment, want] of orders)
    it(`${String(environment)}: ${want.join(", ")}`, () => {
      const layers = ["", ...want.map((name) => `environments/${name}/`)];
      deepStrictEqual(layersOf(files, environment), { layers, faults: [] });
    });
  const faults: [environment: string, want: RegExp][] = [
    ["x", /^There is no environment x: environments\/ has a, b, c, loop, lost, text, broken\.$/],
    ["loop", /it depends on itself: loop, loop\.$/],
    ["lost", /^There is no environment x, on which lost depends: /],
    ["text", /^environments\/text\/\.kayobe-environment:2: dependencies must be a list of environments/],
    ["broken", /^environments\/broken\/\.kayobe-environment is not YAML: /],
  ];
  for (const [environment, want] of faults)
    it(environment, () => match(layersOf(files, environment).faults.join(), want));
});

it("an environment counts once, under its own name", () => {
  const links = [
    { path: "environments/now", link: "e", real: "environments/e" },
    { path: "environments/out", link: "/srv/out", real: "/srv/out" },
  ];
  deepStrictEqual(environmentsOf([...config({ "environments/e/x": "" }), ...links]), ["e", "out"]);
});

describe(editable.name, () => {
  const path = "kolla/config/nova.conf";
  const cases: [title: string, text: string | undefined, want: string | undefined, refusals: RegExp[]][] = [
    ["a file", "a", "a", []],
    [
      "a file that is encrypted",
      "$ANSIBLE_VAULT;1.1;AES256\n",
      undefined,
      [/is encrypted .* into another one:\n {4}x$/],
    ],
    ["what is not text", undefined, undefined, [/is not a file with text in UTF-8/]],
  ];
  for (const [title, text, want, refusals] of cases)
    it(title, () => {
      const draft = draftOf({ more: [{ path, ...(text === undefined ? {} : { text }) }] });
      strictEqual(editable(draft, path, "x"), want);
      has(draft, { refusals });
    });
  it("a file that is not there", () => strictEqual(editable(draftOf({}), path, "x"), ""));
});

describe(editYaml.name, () => {
  const edited = (text: string, refused?: string) => {
    const draft = draftOf({ files: { "a.yml": text } });
    editYaml(draft, "a.yml", "k: 1\n", (yaml) =>
      refused === undefined ? { text: `${yaml.text}k: 1\n` } : { refused },
    );
    return draft;
  };
  it("puts the text", () => has(edited("a: 1\n"), { puts: { "a.yml": "a: 1\nk: 1\n" } }));
  it("explains why it cannot be, and what to add", () =>
    has(edited("a: 1\n", "has x"), { refusals: [/^a\.yml has x\. Fix that, or add by hand:\n {4}k: 1$/] }));
  it("is done where it was added by hand", () => has(edited("a: 1\nk: 1\n", "has x"), {}));
});

describe("the artefact", () => {
  const globals = { path: "kolla/globals.yml", text: 'lists: []\nsriov_a: "{{ x }}"\nsriov_b: [1]\n' };
  it("knows its own values", () => {
    const isOurs = ownValues([globals]);
    const texts = ["{{ sriov_a }}", "{{ nova_device_option }}", "sriov_b", "lists", "my_sriov_a"];
    deepStrictEqual(texts.map(isOurs), [true, true, false, false, false]);
  });
  it("knows Kolla's variables that it sets", () => deepStrictEqual(kollasNames([globals]), ["lists"]));
});

describe(concerns.name, () => {
  const read = ["kolla.yml", "kolla/config/nova/hv1/nova.conf", "environments/e", "environments/e/inventory/hosts"];
  const left = ["kolla/config/cinder.conf", "ansible/files/image.qcow2", "environments/e/ansible/x", "hooks/x"];
  for (const path of read) it(path, () => strictEqual(concerns(path), true));
  // What is not read would be replaced, also where it is another author's.
  for (const { path } of artefact) it(`${path}, which the artefact has`, () => strictEqual(concerns(path), true));
  for (const path of left) it(`not ${path}`, () => strictEqual(concerns(path), false));
});
