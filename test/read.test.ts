import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { readModel } from "../generator/artefacts/read.js";
import type { Variable } from "../generator/ir.js";
import { identity } from "./support.js";

/** A model whose role has these members. */
function model(members: string, rest = ""): string {
  return `/** A role. */\nexport interface R {\n${members}\n}\n${rest}`;
}

function read(text: string): { variables: readonly Variable[]; complaints: string[] } {
  const { role, problems } = readModel("m.ts", text, identity);
  return {
    variables: role.variables,
    complaints: problems.map(({ file, line, message }) => `${file}:${line}: ${message}`),
  };
}

describe("a variable of the model", () => {
  const cases: [title: string, given: string, want: object, rest?: string][] = [
    [
      "boolean is bool",
      "/** D. @default true */ a?: boolean;",
      { type: { kind: "bool" }, required: false, default: true },
    ],
    ["a boolean that must be false", "/** D. */ a: false;", { type: { kind: "bool", only: false }, required: true }],
    ["a boolean that must be true", "/** D. */ a: true;", { type: { kind: "bool", only: true }, required: true }],
    ["string is str", '/** D. @default "x" */ a?: string;', { type: { kind: "str" }, required: false, default: "x" }],
    [
      "string with @format path is path",
      '/** D.\n * @format path\n * @default "/x" */ a?: string;',
      { type: { kind: "path" }, required: false, default: "/x" },
    ],
    [
      "@format path may say what it ends in",
      '/** D.\n * @format path .conf\n * @default "/x.conf" */ a?: string;',
      { type: { kind: "path", ending: ".conf" }, required: false, default: "/x.conf" },
    ],
    [
      "string or list or dictionary is raw",
      "/** D. */ a: string | string[] | { [key: string]: string };",
      {
        type: {
          kind: "raw",
          also: [
            { kind: "list", elements: { kind: "str" } },
            { kind: "map", textOnly: true },
          ],
        },
        required: true,
      },
    ],
    [
      "number or string is raw, and the number has bounds",
      '/** D.\n * @minimum 0\n * @maximum 9\n * @example "2-4" */ a: number | Form;',
      {
        type: {
          kind: "raw",
          also: [{ kind: "int", minimum: 0, maximum: 9 }],
          form: { pattern: "-", words: "a range" },
        },
        required: true,
        example: "2-4",
      },
      "/** @pattern - a range */\ntype Form = string;",
    ],
    ["string with @raw is raw", "/** D.\n * @raw */ a: string;", { type: { kind: "raw" }, required: true }],
    [
      "a union keeps the author's order, independent of what was used before",
      '/** D. @default "b" */ a?: "b" | "a";',
      { type: { kind: "str", choices: ["b", "a"] }, required: false, default: "b" },
      'type Before = "a" | "b";',
    ],
    [
      "number is int, with bounds",
      "/** D.\n * @minimum 0\n * @maximum 9\n * @default 8 */ a?: number;",
      { type: { kind: "int", minimum: 0, maximum: 9 }, required: false, default: 8 },
    ],
    [
      "an array is a list",
      '/** D. @default ["x"] */ a?: string[];',
      { type: { kind: "list", elements: { kind: "str" } }, required: false, default: ["x"] },
    ],
    [
      "a map of free keys is a map, with its values' types in any order",
      "/** D. @unset */ a?: { [key: string]: string | boolean | number };",
      { type: { kind: "map" }, required: false },
    ],
    [
      "a map of texts is a map",
      "/** D. @unset */ a?: { [key: string]: string };",
      { type: { kind: "map", textOnly: true }, required: false },
    ],
    [
      "a map's numbers have bounds",
      "/** D.\n * @minimum 0\n * @maximum 9\n * @unset */ a?: { [key: string]: boolean | number | string };",
      { type: { kind: "map", minimum: 0, maximum: 9 }, required: false },
    ],
    [
      "a type with @pattern is a text of that form",
      "/** D. @unset */ a?: Form[];",
      {
        type: { kind: "list", elements: { kind: "str", form: { pattern: "^\\d+@x$", words: "digits, as in 1@x" } } },
        required: false,
      },
      "/** @pattern ^\\d+@x$ digits, as in 1@x */\ntype Form = string;",
    ],
    [
      "a form is that of a map's keys, and of its values",
      "/** D. @unset */ a?: { [key: Form]: Form | boolean | number };",
      {
        type: { kind: "map", keys: { pattern: "x", words: "an x" }, form: { pattern: "x", words: "an x" } },
        required: false,
      },
      "/** @pattern x an x */\ntype Form = string;",
    ],
    [
      "a form stays with @raw, and with others that may stand for it",
      "/** D. */ a: (Form | Form[])[];",
      {
        type: {
          kind: "list",
          elements: {
            kind: "raw",
            also: [{ kind: "list", elements: { kind: "str", form: { pattern: "x", words: "an x" } } }],
            form: { pattern: "x", words: "an x" },
          },
        },
        required: true,
      },
      "/** @pattern x an x */\ntype Form = string;",
    ],
    [
      "a list with @commas may be a text",
      "/** D.\n * @commas */ a: string[];",
      { type: { kind: "list", elements: { kind: "str" }, commas: true }, required: true },
    ],
    [
      "string with @number may be a number",
      "/** D.\n * @number */ a: string;",
      { type: { kind: "str", number: true }, required: true },
    ],
    [
      "@secret is kept",
      "/** D.\n * @secret\n * @unset */ a?: string;",
      { type: { kind: "str" }, required: false, secret: true },
    ],
    ["no question mark is required", "/** D. */ a: boolean;", { type: { kind: "bool" }, required: true }],
    ["@unset has no default", "/** D. @unset */ a?: boolean;", { type: { kind: "bool" }, required: false }],
    [
      "@example is kept",
      '/** D.\n * @default []\n * @example ["x"] */ a?: string[];',
      { type: { kind: "list", elements: { kind: "str" } }, required: false, default: [], example: ["x"] },
    ],
    [
      "an interface of the model is a dictionary, whose keys need no default",
      "/** D. @default [] */ a?: I[];",
      {
        type: {
          kind: "list",
          elements: {
            kind: "dict",
            fields: [{ name: "n", description: ["N."], type: { kind: "int" }, required: false }],
          },
        },
        required: false,
        default: [],
      },
      "export interface I {\n/** N. */ n?: number; }",
    ],
  ];
  for (const [title, given, want, rest] of cases)
    it(title, () => {
      const { variables, complaints } = read(model(given, rest));
      deepStrictEqual(complaints, []);
      deepStrictEqual(variables, [{ name: "a", description: ["D."], ...want }]);
    });

  it("has its paragraphs, without line breaks", () => {
    deepStrictEqual(
      read(model("/**\n * One\n * line.\n *\n * Two.\n * @unset\n */\na?: boolean;")).variables[0]?.description,
      ["One line.", "Two."],
    );
  });

  it("ends with the release that it needs", () => {
    const [variable] = read(
      model("/**\n * One.\n *\n * Two.\n * @since 2025.1\n * @unset\n */\na?: boolean;"),
    ).variables;
    deepStrictEqual([variable?.description, variable?.since], [["One.", "Two. 2025.1 and later."], "2025.1"]);
  });

  it("stands where the author put it", () => {
    deepStrictEqual(
      read(model("/** D. */ b: boolean;\n/** D. */ a: boolean;")).variables.map(({ name }) => name),
      ["b", "a"],
    );
  });
});

describe("a fault of the model is reported with its line", () => {
  const cases: [title: string, given: string, want: RegExp, rest?: string][] = [
    [
      "a default of the wrong type, by the compiler",
      '/** D.\n * @default "8"\n */\na?: number;',
      /^m\.ts:4: @default of a: Type 'string' is not assignable to type 'number'\.$/,
    ],
    [
      "a default that is not a choice",
      '/** D.\n * @default "c"\n */\na?: "a" | "b";',
      /^m\.ts:4: @default of a: Type '"c"' is not assignable to type '"a" \| "b"/,
    ],
    [
      "an unknown key inside a default",
      '/** D.\n * @default [{ "m": 1 }]\n */\na?: I[];',
      /^m\.ts:4: @default of a: .*'"m"' does not exist/,
      "export interface I {\n/** N. */ n?: number; }",
    ],
    [
      "an example of the wrong type",
      "/** D.\n * @default 1\n * @example true\n */\na?: number;",
      /^m\.ts:5: @example of a: Type 'boolean'/,
    ],
    [
      "a default that is not JSON",
      "/** D.\n * @default yes\n */\na?: boolean;",
      /^m\.ts:4: @default of a: "yes" is not JSON$/,
    ],
    [
      "a default below its minimum",
      "/** D.\n * @minimum 0\n * @default -1\n */\na?: number;",
      /^m\.ts:5: @default of a: a must be at least 0, not -1$/,
    ],
    [
      "a default above its maximum",
      "/** D.\n * @maximum 3\n * @default 4\n */\na?: number;",
      /^m\.ts:5: @default of a: a must be at most 3, not 4$/,
    ],
    [
      "a default that is not a whole number",
      "/** D.\n * @default 1.5\n */\na?: number;",
      /must be a whole number, not 1\.5$/,
    ],
    [
      "a bound inside an example",
      '/** D.\n * @default []\n * @example [{ "n": -1 }]\n */\na?: I[];',
      /^m\.ts:5: @example of a: a\.n must be at least 0, not -1$/,
      "export interface I {\n/** N.\n * @minimum 0 */ n?: number; }",
    ],
    ["no description", "/** @default 1 */ a?: number;", /^m\.ts:3: a has no description$/],
    [
      "a release that is none",
      "/** D.\n * @since 31\n * @unset\n */\na?: boolean;",
      /^m\.ts:4: @since of a: "31" is not an OpenStack release, for example Zed or 2025\.1$/,
    ],
    [
      "an unknown tag",
      "/** D.\n * @defualt 1\n * @unset\n */\na?: number;",
      /^m\.ts:4: a has the unknown tag @defualt; known are (@\w+ )*@default/,
    ],
    ["a tag twice", "/** D.\n * @default 1\n * @default 2\n */\na?: number;", /^m\.ts:5: a has @default twice$/],
    [
      "optional without default",
      "/** D. */ a?: number;",
      /^m\.ts:3: a is optional and has no @default; if that is intended, add @unset$/,
    ],
    ["required with a default", "/** D.\n * @default 1 */ a: number;", /a is required and has a @default/],
    ["@unset and @default", "/** D.\n * @unset\n * @default 1 */ a?: number;", /a has @unset and @default/],
    [
      "a type that Ansible lacks",
      "/** D. @unset */ a?: Map;",
      /^m\.ts:3: a: Ansible has no type for Map$/,
      "type Map = 1;",
    ],
    [
      "a map of anything else",
      "/** D. @unset */ a?: { [key: string]: number };",
      /Ansible has no type for \{ \[key: string\]: number \}/,
    ],
    [
      "a form that is not an expression",
      "/** D. @unset */ a?: boolean;",
      /^m\.ts:6: @pattern of F: Invalid regular expression/,
      "/**\n@pattern ( x */\ntype F = string;",
    ],
    [
      "a form without words",
      "/** D. @unset */ a?: boolean;",
      /@pattern of F: an expression, and after a space what it stands for in words/,
      "/** @pattern x */\ntype F = string;",
    ],
    [
      "a form of a number",
      "/** D. @unset */ a?: boolean;",
      /@pattern of F: only a string has it/,
      "/** @pattern x an x */\ntype F = number;",
    ],
    [
      "a tag that a type has not",
      "/** D. @unset */ a?: boolean;",
      /the type F has the unknown tag @patern; known is @pattern/,
      "/** @patern x an x */\ntype F = string;",
    ],
    [
      "an example that has not its form",
      '/** D.\n * @unset\n * @example "y" */ a?: F;',
      /^m\.ts:5: @example of a: a must be an x, not "y"$/,
      "/** @pattern ^x$ an x */\ntype F = string;",
    ],
    [
      "a key and a value that have not",
      '/** D.\n * @unset\n * @example { "y": "z" } */ a?: { [key: F]: F };',
      /a key of a must be an x, not "y"/,
      "/** @pattern ^x$ an x */\ntype F = string;",
    ],
    [
      "a selector of the role itself",
      "/** D.\n * @selector\n * @unset */ a?: string;",
      /@selector of a: that is for keys of an entry/,
    ],
    [
      "a neighbour of the role itself",
      "/** D.\n * @without b\n * @unset */ a?: string;\n/** D.\n * @unset */ b?: string;",
      /@without of a: that is for keys of an entry/,
    ],
    [
      "a neighbour that there is not",
      "/** D. @default [] */ a?: I[];",
      /@needs of n: I has no other key m/,
      "export interface I {\n/** N.\n * @needs m */ n?: string; }",
    ],
    [
      "a neighbour without a name",
      "/** D. @default [] */ a?: I[];",
      /@needs of n: it names no key/,
      "export interface I {\n/** N.\n * @needs */ n?: string; }",
    ],
    [
      "a selector with a key that there is not",
      "/** D. @default [] */ a?: I[];",
      /@selector of n: I has no other key m/,
      "export interface I {\n/** N.\n * @selector m */ n?: string; }",
    ],
    [
      "@commas of numbers",
      "/** D.\n * @commas\n * @unset */ a?: number[];",
      /@commas of a: only a list of strings has it/,
    ],
    [
      "@format and @number",
      "/** D.\n * @format path\n * @number\n * @unset */ a?: string;",
      /a has @format and @number; one of them is wrong/,
    ],
    [
      "a map with known keys besides",
      "/** D. @unset */ a?: { [key: string]: boolean | number | string; b: string };",
      /Ansible has no type for/,
    ],
    ["a mixed union", '/** D. @unset */ a?: "x" | 1;', /Ansible has no type for "x" \| 1/],
    [
      "a dictionary that contains itself",
      "/** D. @default [] */ a?: I[];",
      /n: Ansible has no type for I/,
      "export interface I {\n/** N. */ n?: I; }",
    ],
    [
      "a number beyond the bounds, where a text may stand too",
      "/** D.\n * @maximum 3\n * @example 4\n * @unset */ a?: number | string;",
      /@example of a: a must be at most 3, not 4$/,
    ],
    ["@minimum of a text", "/** D.\n * @minimum 1\n * @unset */ a?: string;", /@minimum of a: only a number has it/],
    ["@raw of a number", "/** D.\n * @raw\n * @unset */ a?: number;", /@raw of a: only a string has it/],
    ["an unknown format", "/** D.\n * @format uri\n * @unset */ a?: string;", /the only one known is path/],
    [
      "an ending without a dot",
      "/** D.\n * @format path rules\n * @unset */ a?: string;",
      /the only one known is path, and after a space what it ends in, as in path \.conf/,
    ],
    ["a member that is not a property", "/** D. */ a(): void;", /R may have nothing but properties/],
    ["a name that TypeScript does not know", "/** D. @unset */ a?: Nothing;", /Cannot find name 'Nothing'/],
    ["a syntax error", "/** D. @unset */ a?: ;", /Type expected/],
  ];
  for (const [title, given, want, rest] of cases)
    it(title, () => {
      const { complaints } = read(model(given, rest));
      strictEqual(
        complaints.some((complaint) => want.test(complaint)),
        true,
        `wanted ${want}, got:\n${complaints.join("\n")}`,
      );
    });

  it("and all of them at once", () => {
    strictEqual(
      read(model("/** D.\n * @default 1 */ a?: string;\n/** D. */ b?: number;\n/** @unset */ c?: boolean;")).complaints
        .length,
      3,
    );
  });

  it("a file without an interface", () => match(read("const a = 1;").complaints.join(), /exports no interface/));
});
