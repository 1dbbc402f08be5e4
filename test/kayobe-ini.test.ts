import { deepStrictEqual, strictEqual } from "node:assert/strict";
import {
  addToList,
  addToSection,
  chunkOf,
  itemsOf,
  readIni,
  replaceEntry,
  trailerOf,
} from "../generator/kayobe/ini.js";

/** What is read, as section.key=value. */
const said = (text: string): string[] =>
  readIni(text).entries.map(({ section, key, value, line }) => `${line} ${section}.${key}=${value}`);

describe(readIni.name, () => {
  const cases: [title: string, given: string, want: string[]][] = [
    ["keys before a section", "a = 1\n", ["1 DEFAULT.a=1"]],
    ["a colon", "[s]\na: 1\n", ["2 s.a=1"]],
    ["a key twice", "[s]\na=1\na=2\n", ["2 s.a=1", "3 s.a=2"]],
    ["comments", "[s]\n# a=1\n;b=1\nc=1 # x\n", ["4 s.c=1 # x"]],
    ["a value over several lines", "[s]\na = 1,\n    2,\n\t3\nb = 4\n", ["2 s.a=1,\n2,\n3", "5 s.b=4"]],
    ["a blank line, which ends a value", "[s]\na = 1\n\n  2\n", ["2 s.a=1"]],
    ["an empty value", "[s]\na =\n", ["2 s.a="]],
    ["ends of line of another system", "[s]\r\na = 1\r\n", ["2 s.a=1"]],
    [
      "Jinja in a value",
      "[s]\na = {% raw %}{{ b == 'c' }}{% endraw %}\n",
      ["2 s.a={% raw %}{{ b == 'c' }}{% endraw %}"],
    ],
    ["Jinja in a key", "[s]\n{{ r | f('=', ':') }} = 1\n", ["2 s.{{ r | f('=', ':') }}=1"]],
    ["lines of Jinja", "[s]\n{% if a = b %}\nc = 1\n{% endif %}\n", ["3 s.c=1"]],
    ["lines of Jinja inside a value", "[s]\na = 1,\n  {# two #}\n  2\n", ["2 s.a=1,\n2"]],
    ["Jinja around a line", "[s]\n{% raw %}a = 1{% endraw %}\n", ["2 s.a=1{% endraw %}"]],
    ["a condition around a line", "[s]\n{% if x %}a = 1{% endif %}\n", ["2 s.a=1{% endif %}"]],
    ["a comment of Jinja over several lines", "[s]\n{#\na = 1\n#}\nb = 2\n", ["5 s.b=2"]],
    ["an expression over several lines", "[s]\na = {{ b |\nc = d }}\ne = 1\n", ["2 s.a={{ b |\nc = d }}", "4 s.e=1"]],
  ];
  for (const [title, given, want] of cases) it(title, () => deepStrictEqual(said(given), want));
});

describe(addToSection.name, () => {
  const cases: [title: string, given: string, want: string][] = [
    ["an empty file", "", "\n[s]\nk = v\n"],
    ["a separate section, after a blank line", "[t]\na = 1\n", "[t]\na = 1\n\n[s]\nk = v\n"],
    ...[
      "{% if x %}\n[t]\n{% endif -%}\n",
      "{% raw -%}\n[t]\na = 1\n{% endraw -%}",
      "{% raw %}\n{% for x in y %}\n{{ x }} = 1\n{% endfor -%}\n{% endraw %}\n",
      "{{ x -}}\n",
      "[t]\n{%- if x %}\n{% endif %}\n",
    ].map((text): [string, string, string] => [
      `a file that Jinja takes the end of its line from: ${JSON.stringify(text)}`,
      text,
      `${text}${text.endsWith("\n") ? "" : "\n"}{% raw %}{# This keeps what follows in its own line. #}{% endraw %}\n\n\n[s]\nk = v\n`,
    ]),
    ["a file without an end of line", "[t]\na = 1", "[t]\na = 1\n\n[s]\nk = v\n"],
    ["the section that is there", "[s]\na = 1\n[t]\n", "[s]\nk = v\na = 1\n[t]\n"],
    ["a section that ends the file", "[s]", "[s]\nk = v\n"],
    [
      "not a section under a condition",
      "{% if x %}\n[s]\n{% endif %}\n",
      "{% if x %}\n[s]\n{% endif %}\n\n[s]\nk = v\n",
    ],
    [
      "a section after a condition",
      "{% if x %}\n[s]\n{% endif %}\n[s]\n",
      "{% if x %}\n[s]\n{% endif %}\n[s]\nk = v\n",
    ],
    [
      "not a section that Kolla's Jinja is kept for",
      "{% raw %}\n[s]\n{% if x %}\n{% endraw %}\n",
      "{% raw %}\n[s]\n{% if x %}\n{% endraw %}\n\n[s]\nk = v\n",
    ],
    [
      "a section after Jinja that Kayobe leaves alone",
      "{% raw %}{% if x %}{% endraw %}\n[s]\n",
      "{% raw %}{% if x %}{% endraw %}\n[s]\nk = v\n",
    ],
    ["ends of line of another system", "[s]\r\n", "[s]\r\nk = v\r\n"],
  ];
  for (const [title, given, want] of cases)
    it(title, () => strictEqual(addToSection(readIni(given), "s", "k = v\n"), want));
});

it("a section at the end of a file comes with what ends ours", () => {
  const ours = readIni("\n[s]\na = 1\n{# Why. #}\n");
  strictEqual(addToSection(readIni("[t]\n"), "s", "a = 1\n", trailerOf(ours)), "[t]\n\n[s]\na = 1\n{# Why. #}\n");
  strictEqual(addToSection(readIni("[s]\n"), "s", "a = 1\n", trailerOf(ours)), "[s]\na = 1\n");
  strictEqual(trailerOf(readIni("[s]\na = 1\n")), "");
});

describe(addToList.name, () => {
  const cases: [given: string, want: string][] = [
    ["[s]\nk = a, b\nc = 1\n", "[s]\nk = a, b, new\nc = 1\n"],
    ["[s]\nk = a,\n  b\n", "[s]\nk = a,\n  b, new\n"],
    ["[s]\nk = a,\n  b,\n\n", "[s]\nk = a,\n  b, new\n\n"],
    ["[s]\nk =\n", "[s]\nk = new\n"],
    ["[s]\r\nk = a\r\n", "[s]\r\nk = a, new\r\n"],
    ["[s]\nk = a", "[s]\nk = a, new"],
    ["[s]\nk = {{ x | join(',') }}\n", "[s]\nk = {{ x | join(',') }}, new\n"],
  ];
  for (const [given, want] of cases)
    it(JSON.stringify(given), () => strictEqual(addToList(readIni(given), readIni(given).entries[0]!, "new"), want));
});

describe("an entry", () => {
  it("comes with its comment, and with the blank line that Jinja removes", () => {
    const ini = readIni("\n[s]\n# Why.\na = {% raw %}1{% endraw %}\n\nb = 2\n");
    deepStrictEqual(
      ini.entries.map((entry) => chunkOf(ini, entry)),
      ["# Why.\na = {% raw %}1{% endraw %}\n\n", "b = 2\n"],
    );
  });
  it("is replaced with the lines that continue it", () =>
    strictEqual(
      replaceEntry(readIni("[s]\na = 1\n  2\nb = 3\n"), readIni("[s]\na = 1\n  2\nb = 3\n").entries[0]!, "c = 4"),
      "[s]\nc = 4\nb = 3\n",
    ));
  it("has items", () => deepStrictEqual(itemsOf(readIni("k = a, b,\n  c\n").entries[0]!), ["a", "b", "c"]));
});
