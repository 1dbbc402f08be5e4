import { deepStrictEqual, doesNotMatch, match, ok, strictEqual } from "node:assert/strict";
import { parse } from "yaml";
import { masked } from "../generator/kayobe/jinja.js";
import {
  addItems,
  addKey,
  isRefused,
  readYaml,
  replaceKey,
  setInItem,
  setValue,
  sourceOf,
  wrapList,
} from "../generator/kayobe/yaml.js";
import type { Item, Result, Yaml } from "../generator/kayobe/yaml.js";
import { put, temporary, tool } from "./support.js";

const read = (text: string): Yaml => {
  const yaml = readYaml(text);
  if (isRefused(yaml)) throw new Error(yaml.refused);
  return yaml;
};
const textOf = (edit: Result<{ readonly text: string }>): string =>
  isRefused(edit) ? `refused: ${edit.refused}` : edit.text;

describe(addKey.name, () => {
  const add = (text: string): string => textOf(addKey(read(text), "new", "\n# Why.\nnew: true\n", true));
  const cases: [title: string, given: string, want: string][] = [
    ["an empty file", "", "# Why.\nnew: true\n"],
    ["a file with nothing but its beginning", "---\n", "---\n# Why.\nnew: true\n"],
    ["a file of comments", "---\n# Yours.\n", "---\n# Yours.\n\n# Why.\nnew: true\n"],
    ["the end", "---\na: 1\n", "---\na: 1\n\n# Why.\nnew: true\n"],
    ["a file without the mark of its beginning", "a: 1\n", "a: 1\n\n# Why.\nnew: true\n"],
    ["an end with a blank line", "a: 1\n\n", "a: 1\n\n# Why.\nnew: true\n"],
    ["an end without an end of line", "a: 1", "a: 1\n\n# Why.\nnew: true\n"],
    [
      "Kayobe's own commented line",
      "---\n# Say new.\n#new:\n\n# End\nworkaround_ansible_issue_8743: yes\n",
      "---\n# Say new.\n#new:\n# Why.\nnew: true\n\n# End\nworkaround_ansible_issue_8743: yes\n",
    ],
    [
      "a commented line with a space and a value",
      "a: 1\n# new: false\nb: 2\n",
      "a: 1\n# new: false\n# Why.\nnew: true\nb: 2\n",
    ],
    ["a commented line at the end, without an end of line", "a: 1\n#new:", "a: 1\n#new:\n# Why.\nnew: true\n"],
    [
      "a commented line with a commented list",
      "#new:\n#  - a\n#  - b\n# Next.\nb: 2\n",
      "#new:\n#  - a\n#  - b\n# Why.\nnew: true\n# Next.\nb: 2\n",
    ],
    [
      "a commented line with spaces, with a commented list",
      "# new:\r\n# - a\r\n\r\nb: 2\r\n",
      "# new:\r\n# - a\r\n# Why.\r\nnew: true\r\n\r\nb: 2\r\n",
    ],
    [
      "not a commented line inside a list",
      "a:\n  - 1\n#new:\n  - 2\n",
      "a:\n  - 1\n#new:\n  - 2\n\n# Why.\nnew: true\n",
    ],
    ["not the commented line of a longer name", "#new_one:\na: 1\n", "#new_one:\na: 1\n\n# Why.\nnew: true\n"],
    ["ends of line of another system", "---\r\na: 1\r\n", "---\r\na: 1\r\n\r\n# Why.\r\nnew: true\r\n"],
    ["before the mark of the end", "---\na: 1\n...\n", "---\na: 1\n\n# Why.\nnew: true\n...\n"],
    ["an indented mapping", "---\n  a: 1\n", "---\n  a: 1\n\n  # Why.\n  new: true\n"],
    ["a text that keeps the blank lines after it", "a: |+\n  x\n", "a: |+\n  x\n# Why.\nnew: true\n"],
    ["a text that an end of line would change", "a: |\n  x", "# Why.\nnew: true\n\na: |\n  x"],
  ];
  for (const [title, given, want] of cases) it(title, () => strictEqual(add(given), want));

  it("that belongs to what is before it, continues with what is there", () =>
    strictEqual(textOf(addKey(read("a: 1\n"), "new", "new: true\n", true)), "a: 1\nnew: true\n"));
  it("after Jinja that takes its end of line away, leaves one", () =>
    strictEqual(
      textOf(addKey(read("a: '{% raw %}x'\nb: c{% endraw %}\n"), "new", "new: true\n", true)),
      "a: '{% raw %}x'\nb: c{% endraw %}\n\nnew: true\n",
    ));
  it("is refused in brackets", () => match(add("{a: 1}\n"), /^refused: is not a mapping with one key on each line/));
});

describe(addItems.name, () => {
  const add = (text: string, ...items: readonly Item[]): string =>
    textOf(addItems(read(text), "l", items.length > 0 ? items : ["new"]));
  const cases: [title: string, given: string, want: string][] = [
    ["a list in block style", "l:\n  - a\n", "l:\n  - a\n  - new\n"],
    ["a list without indentation", "l:\n- a\nm: 1\n", "l:\n- a\n- new\nm: 1\n"],
    ["a list far to the right", "l:\n      -   a\nm: 1\n", "l:\n      -   a\n      - new\nm: 1\n"],
    ["a comment on the last item's line", "l:\n  - a # why\n# m\nm: 1\n", "l:\n  - a # why\n  - new\n# m\nm: 1\n"],
    ["a comment above the first item", "l: # all\n  # first\n  - a\n", "l: # all\n  # first\n  - a\n  - new\n"],
    ["a list that ends the file without an end of line", "l:\n  - a", "l:\n  - a\n  - new\n"],
    [
      "an item of several lines",
      "l:\n  - a:\n      b: 1\n    c: 2\n\nm: 1\n",
      "l:\n  - a:\n      b: 1\n    c: 2\n  - new\n\nm: 1\n",
    ],
    ["an item that is a text of several lines", "l:\n  - |\n    x\nm: 1\n", "l:\n  - |\n    x\n  - new\nm: 1\n"],
    ["a list with an anchor", "l: &l\n  - a\nm: *l\n", "refused"],
    ["a list in brackets", "l: [a, b] # c\n", "l: [a, b, new] # c\n"],
    ["brackets with a comma at the end", "l: [a, b, ]\n", "l: [a, b, new, ]\n"],
    ["brackets with spaces", "l: [ a ]\n", "l: [ a, new ]\n"],
    ["empty brackets", "l: []\n", "l: [new]\n"],
    ["brackets over several lines", "l: [\n  a,\n  b\n]\n", "l: [\n  a,\n  b,\n  new\n]\n"],
    [
      "brackets over several lines, with a comma and comments",
      "l: [\n  a, # A\n  b, # B\n]\n",
      "l: [\n  a, # A\n  b, # B\n  new,\n]\n",
    ],
    [
      "brackets over several lines, with comments",
      "l: [\n  a, # A\n  b # B\n]\n",
      "l: [\n  a, # A\n  b, # B\n  new\n]\n",
    ],
    ["nothing", "l:\nm: 1\n", "l:\n  - new\nm: 1\n"],
    ["nothing, with a comment", "l: # none yet\nm: 1\n", "l: # none yet\n  - new\nm: 1\n"],
    ["nothing, at the end of the file", "l:", "l:\n  - new\n"],
    ["null", "l: null # c\n", "l: [new] # c\n"],
    ["~", "l: ~\n", "l: [new]\n"],
    ["the last of two lists of one name", "l: [a]\nl: [b]\n", "l: [a]\nl: [b, new]\n"],
    ["ends of line of another system", "l:\r\n  - a\r\nm: 1\r\n", "l:\r\n  - a\r\n  - new\r\nm: 1\r\n"],
  ];
  for (const [title, given, want] of cases)
    it(title, () => {
      if (want !== "refused") return strictEqual(add(given), want);
      // The alias would have the item too: that is a change of something else.
      match(add(given), /^refused: has l in a form that cannot be changed without changing something else/);
    });
  it("an alias is refused", () => match(add("m: &l [a]\nl: *l\n"), /^refused: has l as an alias/));

  const ranged: Item = { physical_network: "physnet2", range: "100:199" };
  it("mappings in a block", () =>
    strictEqual(
      add("l:\n  - physical_network: a\n", ranged),
      'l:\n  - physical_network: a\n  - physical_network: physnet2\n    range: "100:199"\n',
    ));
  it("mappings in brackets", () =>
    strictEqual(
      add("l: [{physical_network: a}]\n", ranged),
      'l: [{physical_network: a}, {physical_network: physnet2, range: "100:199"}]\n',
    ));
  for (const word of ["yes", "null", "1", "1e3", "a b", "a:b", "#a"])
    it(`${word} stays a text`, () =>
      deepStrictEqual(parse(add("l: [a]\n", word), { version: "1.1" }), { l: ["a", word] }));
});

describe(setValue.name, () => {
  const cases: [title: string, given: string, want: string][] = [
    ["a value, and the comment after it", "k: no  # not yet\n", "k: true  # not yet\n"],
    ["a text in quotes", 'k: "no"\n', "k: true\n"],
    ["nothing", "k:\nm: 1\n", "k: true\nm: 1\n"],
    ["nothing, with a comment", "k: # why\n", "k: true # why\n"],
    ["a key in quotes", '"k": false\n', '"k": true\n'],
    ["an alias", "m: &a false\nk: *a\n", "m: &a false\nk: true\n"],
  ];
  for (const [title, given, want] of cases)
    it(title, () => strictEqual(textOf(setValue(read(given), "k", "true", true)), want));
});

describe(replaceKey.name, () => {
  const source = "\n# C.\nk: >-\n  {{ a\n  b }}\n";
  const value = "{{ a b }}";
  for (const [given, want] of [
    ["# mine\nk: 1 # c\nm: 2\n", "# mine\nk: >-\n  {{ a\n  b }} # c\nm: 2\n"],
    ["k: >-\n  old\n\nm: 2\n", "k: >-\n  {{ a\n  b }}\n\nm: 2\n"],
    ["m: 2\r\nk: x\r\n", "m: 2\r\nk: >-\r\n  {{ a\r\n  b }}\r\n"],
  ] as const)
    it(JSON.stringify(given), () => {
      if (given.includes("# c")) {
        // The rest of the line would become a part of the text.
        return match(textOf(replaceKey(read(given), "k", source, value)), /^refused: has k in a form/);
      }
      return strictEqual(textOf(replaceKey(read(given), "k", source, value)), want);
    });
});

describe("anchors, aliases and merges", () => {
  const merged = "d: &d\n  k: false\n  l: [a]\n<<: *d\nsecret: hunter2\n";
  const cases: [title: string, edit: Result<{ readonly text: string }>, want: RegExp][] = [
    [
      "a value with an anchor that something else takes",
      setValue(read("k: &x false\nother: *x\nsecret: hunter2\n"), "k", "true", true),
      /^refused: has k in a form/,
    ],
    ["a value by a merge", setValue(read(merged), "k", "true", true), /^refused: has k by a merge \(<<\)/],
    ["a list by a merge", addItems(read(merged), "l", ["b"]), /^refused: has l by a merge/],
    ["a text by a merge", replaceKey(read(merged), "k", "k: 1\n", 1), /^refused: has k by a merge/],
    [
      "an item by an alias",
      setInItem(read("a: &a {name: n, version: '1'}\nl: [*a]\n"), "l", 0, "version", "2"),
      /^refused: has version in l by an anchor/,
    ],
    [
      "a list of items by a merge",
      setInItem(read("d: &d\n  l: [{version: '1'}]\n<<: *d\n"), "l", 0, "version", "2"),
      /^refused: has l by a merge/,
    ],
  ];
  for (const [title, edit, want] of cases)
    it(`${title} is refused, without the data of the file`, () => {
      match(textOf(edit), want);
      doesNotMatch(textOf(edit), /hunter2/);
    });
  for (const text of ["a: *none\n", "<<: 1\na: hunter2\n", "a: hunter2 }: ]\n", 'a: b\n"hunter2" c\n'])
    it(`${JSON.stringify(text)} is read, or refused without its data`, () =>
      doesNotMatch((readYaml(text) as { refused?: string }).refused ?? "", /hunter2/));
  it("an alias of nothing is refused", () =>
    match((readYaml("a: *none\n") as { refused: string }).refused, /^is not YAML: /));
});

describe("YAML that Jinja makes", () => {
  const templated = (text: string): Yaml => {
    const yaml = readYaml(text, true);
    if (isRefused(yaml)) throw new Error(yaml.refused);
    return yaml;
  };
  const add = (text: string): string => textOf(addKey(templated(text), "new", "\nnew: true\n", true));
  const made =
    "---\na:\n{{ b | to_nice_yaml | indent(width=4, first=true) }}\n{{ lookup('x',\n  'y') }}\n{% if c %}\nd:\n{% for e in f %}\n  - \"{{ e }}:1\"\n{% endfor %}\n{% endif %}\n{# why\n  so #}\ng: 1\n";
  it("keeps every line, and gets a key", () => strictEqual(add(made), `${made}\nnew: true\n`));
  it("is read between its lines of Jinja", () =>
    deepStrictEqual(templated(made).data, { a: null, d: ["{{ e }}:1"], g: 1 }));
  it("keeps its places", () => strictEqual(masked(made).length, made.length));
  it("is not YAML without that request", () => ok(isRefused(readYaml(made))));
  it("gets no key under a condition", () =>
    strictEqual(
      add("{% if c %}\n#new: 1\n{% endif %}\na: 1\n"),
      "{% if c %}\n#new: 1\n{% endif %}\na: 1\n\nnew: true\n",
    ));
  it("under a condition is not edited", () =>
    match(
      textOf(setValue(templated("{% if c %}\na: 1\n{% endif %}\n"), "a", "2", 2)),
      /^refused: has a under a condition of Jinja/,
    ));
  it("that makes a part of a line is refused", () =>
    ok(isRefused(readYaml("{% if c %}a: 1{% endif %}\nb: [{{ c }\n", true))));
  const masks: [given: string, want: string][] = [
    ['a: "{{ b\n  | c\n  | d }}"\n', 'a: "{{ b\n  | c\n  | d }}"\n'],
    ["  {{ a }} {# b #}\n", "  #{ a }} {# b #}\n"],
    ["{{ a }}: 1\n", "{{ a }}: 1\n"],
    ["{{ a\n b }} c\n", "#{ a\n b }} c\n"],
    ["{% raw %}\n{{ a }}\n{% endraw %}\n", "#% raw %}\n{{ a }}\n#% endraw %}\n"],
  ];
  for (const [given, want] of masks) it(`${JSON.stringify(given)} is masked`, () => strictEqual(masked(given), want));
});

describe("other edits", () => {
  it("one key of one item, in its quotes", () =>
    strictEqual(
      textOf(setInItem(read("l:\n  - name: a.b\n    version: '1.0.0' # c\n"), "l", 0, "version", "1.2.0")),
      "l:\n  - name: a.b\n    version: '1.2.0' # c\n",
    ));
  it("a list becomes that of a key", () =>
    strictEqual(
      textOf(wrapList(read("---\n# ours\n- src: a\n- b\n"), "roles")),
      "---\n# ours\nroles:\n- src: a\n- b\n",
    ));
  it("a list in brackets does not", () => match(textOf(wrapList(read("[a]\n"), "roles")), /^refused/));
  it("the source of a key has its comment", () =>
    strictEqual(
      sourceOf(read("a: 1\n\n# One.\n# Two.\nk: >-\n  x\n  y\n\nb: 1\n"), "k"),
      "\n# One.\n# Two.\nk: >-\n  x\n  y\n",
    ));
  it("the source of a key that belongs to the one before begins without a blank line", () =>
    deepStrictEqual(
      ["a", "b", "c"].map((key) => sourceOf(read("---\na: 1\n# B.\nb: 2\nc: 3\n"), key)),
      ["\na: 1\n", "# B.\nb: 2\n", "c: 3\n"],
    ));
});

describe(readYaml.name, () => {
  const refusals: [given: string, want: RegExp][] = [
    ["a: [\n", /^is not YAML: /],
    ["a: 1\n---\nb: 2\n", /^has more than one document$/],
    ["just words\n", /^is not a mapping of keys to values$/],
  ];
  for (const [given, want] of refusals)
    it(`refuses ${JSON.stringify(given)}`, () => match((readYaml(given) as { refused: string }).refused ?? "", want));
  it("reads YAML 1.1, as Ansible does", () =>
    deepStrictEqual(read("a: yes\nb: 1:30\nc: !vault |\n  x\n").data, { a: true, b: 90, c: "x\n" }));
});

describe("what Ansible's own reader reads", () => {
  /** Texts by what is odd about them. */
  const odd = [
    // Quotes and brackets that go on at the margin.
    'a: "first part/\\\nsecond"\nb: 1\n',
    "a: {a: 1,\nb: 2}\nb: 1\n",
    "a: [\n1,\n2\n]\n",
    "a: 'x\n\ny'\n",
    "a:\n- {b: 1,\nc: 2}\n",
    "a: {b: 1,\n\tc: 2}\n",
    "a: [x,\n# comment\ny]\n",
    "a: [x,\n\n\ny,\n]\nb: 1\n",
    'a:\n  b: "x\ny"\n  c: [1,\n2]\nd: 1\n',
    "a: ['x\ny', \"z\nw\"]\nb: [q]\n",
    "a: {b: [1,\n2], c: {d: 1,\ne: 2}}\nf: 3\n",
    'a: "x\n\ty"\n',
    "a: &x [1,\n2]\nb: *x\n",
    '{\n\t"a": 1,\n\t"b": [1,\n2]\n}\n',
    "a: [b # c\n,d]\n",
    'a: "\\\n  x\\\n  y"\n',
    // Plain texts that are more than texts, or look so.
    "a: 010\nb: 1:30\nc: 0o10\nd: 1_000\ng: yes\nh: 0x1F\ni: 0b11\n",
    "a: y\nb: n\nc: on\nd: Off\ne: Y\nf: yES\ng: TRUE\n",
    "y: 1\nn: 2\n",
    "a: 1e3\nb: 1.5\nc: .5\nd: 1.\ne: 1e+3\nf: 1.0e3\ng: 1.5e+3\n",
    "a: 0\nb: -0\nc: 08\nd: +1\ne: 0x\nf: 1__0\n",
    "a: 190:20:30\nb: 01:30\nc: 0:1\nd: 1:60\ne: 20:30.5\n",
    "a: 3:00.0\nb: 0000:3b:00.0\nc: 00:11:22:33:44:55\nd: 3b:02.0\n",
    "a: ~\nb: null\nc: Null\nd:\n",
    "a: [x: y]\n",
    "a: {b:1}\n",
    "a: 1,000\n",
    "a: x:y\nb: http://x\nc: [http://x, b]\n",
    // Tags, anchors, merges, keys.
    "a: !unsafe '{{ x }}'\n",
    "a: !unsafe {b: c}\n",
    "a: !!str 1\nb: !!int '3'\nc: !!bool yes\n",
    "a: &x {b: 1}\nc: {<<: *x, d: 2}\n",
    "a: &x {b: 1}\nc:\n  <<: [*x, {e: 1}]\n  d: 2\n",
    "a: &x {b: 1}\n<<: *x\n",
    "a:\n  <<: {x: 1}\n  x: 2\n",
    "a: &m {x: 1, y: 2}\nb:\n  x: 3\n  <<: *m\n",
    "? a\n: b\n",
    "a: 1\nb: 2\na: 3\n",
    "1: a\n2: b\n",
    "a: &x 1\nb: *x\n",
    // Documents, marks, ends of lines.
    "",
    "\n\n",
    "# c\n",
    "---\n",
    "--- \n# x\n",
    "--- # x\na: 1\n",
    "--- {a: 1}\n",
    "a: 1\n...\n",
    "a: 1\n...\n# x\n",
    "%YAML 1.1\n---\na: 1\n",
    "%YAML 1.2\n---\na: yes\nb: 010\n",
    "\ufeffa: 1\n",
    "a: 1\r\nb: 2\r\n",
    "a: 1\rb: 2\r",
    "a: 1\u2028b: 2\n",
    "a: >\n  x\n  y\n\n  z\n",
    "a: |+\n  x\n\n",
    "a: |-\n  x\n",
    "a: |\n  {{ x }}\n  {% if y %}\nb: 1\n",
  ];
  const none = [
    "a: x\ny\n",
    "a: 1\n\tb: 2\n",
    "a: 1\nb:\n\t- x\n",
    "a: @x\n",
    "a: `x`\n",
    "a: %x\n",
    "a: b: c\n",
    "a: 1\n b: 2\n",
    "a: [1, 2\n",
    "a: {b: 1\n",
    'a: "x\n',
    "a: 'x\nb: 1\n",
    'a: "x\n---\ny"\n',
    "a: *x\n",
    "a:\n  - b\n - c\n",
    "---\na: 1\n---\nb: 2\n",
    "a: 1\n---\n",
    "\ta: 1\n",
    'a: "x" y\n',
    "a: [a,,b]\n",
  ];
  const program =
    "import json, sys; from ansible.parsing.dataloader import DataLoader\ndef read(text):\n    try: return {'data': DataLoader().load(text)}\n    except Exception as error: return {'refused': str(error)}\nprint(json.dumps([read(text) for text in json.load(open('texts.json'))], default=str))";
  const ansible = async (texts: readonly string[]): Promise<{ data?: unknown; refused?: string }[]> => {
    const folder = temporary();
    put(folder, { "texts.json": JSON.stringify(texts) });
    const { code, stdout, output } = await tool("python", ["-c", program], folder);
    strictEqual(code, 0, output);
    return JSON.parse(stdout) as { data?: unknown; refused?: string }[];
  };
  const data = (text: string): unknown => {
    const yaml = read(text);
    return yaml.list.length > 0 ? yaml.list : yaml.data;
  };

  it("is read here, to the same data", async () => {
    for (const [index, answer] of (await ansible(odd)).entries()) {
      strictEqual(answer.refused, undefined, odd[index]);
      deepStrictEqual(JSON.parse(JSON.stringify(data(odd[index]!))), answer.data ?? {}, JSON.stringify(odd[index]));
    }
  });
  it("is not read here when Ansible cannot", async () => {
    for (const [index, answer] of (await ansible(none)).entries())
      deepStrictEqual([Boolean(answer.refused), isRefused(readYaml(none[index]!))], [true, true], none[index]);
  });
  it("is what is there after a key is added", async () => {
    const edits = odd.map((text) => addKey(read(text), "new", "\n# New.\nnew:\n  - x\n", ["x"]));
    const after = edits.map((edit, index) => (isRefused(edit) ? odd[index]! : edit.text));
    ok(edits.filter(isRefused).length < 5);
    for (const [index, answer] of (await ansible(after)).entries()) {
      const before = JSON.parse(JSON.stringify(read(odd[index]!).data)) as object;
      deepStrictEqual(
        answer.data ?? {},
        isRefused(edits[index]!) ? before : { ...before, new: ["x"] },
        JSON.stringify(after[index]),
      );
    }
  });
});
