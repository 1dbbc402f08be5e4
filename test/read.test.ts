import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { readModel } from "../generator/read.js";
import type { Variable } from "../generator/ir.js";
import { identity } from "./support.js";

/** A model whose role has these members. */
function model(members: string, rest = ""): string {
  return `/** A role. */\nexport interface R {\n${members}\n}\n${rest}`;
}

function read(text: string): { variables: readonly Variable[]; complaints: string[] } {
  const { role, problems } = readModel("m.ts", text, identity);
  return { variables: role.variables, complaints: problems.map(({ file, line, message }) => `${file}:${line}: ${message}`) };
}

describe("a variable of the model", () => {
  const cases: [title: string, given: string, want: object, rest?: string][] = [
    ["boolean is bool", "/** D. @default true */ a?: boolean;", { type: { kind: "bool" }, required: false, default: true }],
    ["string is str", '/** D. @default "x" */ a?: string;', { type: { kind: "str" }, required: false, default: "x" }],
    ["string with @format path is path", '/** D.\n * @format path\n * @default "/x" */ a?: string;', { type: { kind: "path" }, required: false, default: "/x" }],
    ["string or list or dictionary is raw", "/** D. */ a: string | string[] | { [key: string]: string };", { type: { kind: "raw", also: ["list", "dict"] }, required: true }],
    ["string with @raw is raw", "/** D.\n * @raw */ a: string;", { type: { kind: "raw" }, required: true }],
    ["a union keeps the author's order, whatever was used before", '/** D. @default "b" */ a?: "b" | "a";', { type: { kind: "str", choices: ["b", "a"] }, required: false, default: "b" }, 'type Before = "a" | "b";'],
    ["number is int, with bounds", "/** D.\n * @minimum 0\n * @maximum 9\n * @default 8 */ a?: number;", { type: { kind: "int", minimum: 0, maximum: 9 }, required: false, default: 8 }],
    ["an array is a list", '/** D. @default ["x"] */ a?: string[];', { type: { kind: "list", elements: { kind: "str" } }, required: false, default: ["x"] }],
    ["a map of free keys is a map, whatever the order of its values' types", "/** D. @unset */ a?: { [key: string]: string | boolean | number };", { type: { kind: "map" }, required: false }],
    ["no question mark is required", "/** D. */ a: boolean;", { type: { kind: "bool" }, required: true }],
    ["@unset has no default", "/** D. @unset */ a?: boolean;", { type: { kind: "bool" }, required: false }],
    ["@example is kept", '/** D.\n * @default []\n * @example ["x"] */ a?: string[];', { type: { kind: "list", elements: { kind: "str" } }, required: false, default: [], example: ["x"] }],
    [
      "an interface of the model is a dictionary, whose keys need no default",
      "/** D. @default [] */ a?: I[];",
      { type: { kind: "list", elements: { kind: "dict", fields: [{ name: "n", description: ["N."], type: { kind: "int" }, required: false }] } }, required: false, default: [] },
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
    deepStrictEqual(read(model("/**\n * One\n * line.\n *\n * Two.\n * @unset\n */\na?: boolean;")).variables[0]?.description, ["One line.", "Two."]);
  });

  it("stands where the author put it", () => {
    deepStrictEqual(read(model("/** D. */ b: boolean;\n/** D. */ a: boolean;")).variables.map(({ name }) => name), ["b", "a"]);
  });
});

describe("a fault of the model is told with its line", () => {
  const cases: [title: string, given: string, want: RegExp, rest?: string][] = [
    ["a default of the wrong type, by the compiler", "/** D.\n * @default \"8\"\n */\na?: number;", /^m\.ts:4: @default of a: Type 'string' is not assignable to type 'number'\.$/],
    ["a default that is no choice", '/** D.\n * @default "c"\n */\na?: "a" | "b";', /^m\.ts:4: @default of a: Type '"c"' is not assignable to type '"a" \| "b"/],
    ["an unknown key inside a default", '/** D.\n * @default [{ "m": 1 }]\n */\na?: I[];', /^m\.ts:4: @default of a: .*'"m"' does not exist/, "export interface I {\n/** N. */ n?: number; }"],
    ["an example of the wrong type", "/** D.\n * @default 1\n * @example true\n */\na?: number;", /^m\.ts:5: @example of a: Type 'boolean'/],
    ["a default that is no JSON", "/** D.\n * @default yes\n */\na?: boolean;", /^m\.ts:4: @default of a: "yes" is no JSON$/],
    ["a default below its minimum", "/** D.\n * @minimum 0\n * @default -1\n */\na?: number;", /^m\.ts:5: @default of a: a must be at least 0, not -1$/],
    ["a default above its maximum", "/** D.\n * @maximum 3\n * @default 4\n */\na?: number;", /^m\.ts:5: @default of a: a must be at most 3, not 4$/],
    ["a default that is no whole number", "/** D.\n * @default 1.5\n */\na?: number;", /must be a whole number, not 1\.5$/],
    ["a bound inside an example", '/** D.\n * @default []\n * @example [{ "n": -1 }]\n */\na?: I[];', /^m\.ts:5: @example of a: a\.n must be at least 0, not -1$/, "export interface I {\n/** N.\n * @minimum 0 */ n?: number; }"],
    ["no description", "/** @default 1 */ a?: number;", /^m\.ts:3: a has no description$/],
    ["an unknown tag", "/** D.\n * @defualt 1\n * @unset\n */\na?: number;", /^m\.ts:4: a has the unknown tag @defualt; known are @default/],
    ["a tag twice", "/** D.\n * @default 1\n * @default 2\n */\na?: number;", /^m\.ts:5: a has @default twice$/],
    ["optional without default", "/** D. */ a?: number;", /^m\.ts:3: a is optional and has no @default; if that is meant, say @unset$/],
    ["required with a default", "/** D.\n * @default 1 */ a: number;", /a is required and has a @default/],
    ["@unset and @default", "/** D.\n * @unset\n * @default 1 */ a?: number;", /a has @unset and @default/],
    ["a type that Ansible lacks", "/** D. @unset */ a?: Map;", /^m\.ts:3: a: Ansible has no type for Map$/, "type Map = 1;"],
    ["a map of anything else", "/** D. @unset */ a?: { [key: string]: string };", /Ansible has no type for \{ \[key: string\]: string \}/],
    ["a map with known keys besides", "/** D. @unset */ a?: { [key: string]: boolean | number | string; b: string };", /Ansible has no type for/],
    ["a mixed union", '/** D. @unset */ a?: "x" | 1;', /Ansible has no type for "x" \| 1/],
    ["a dictionary that contains itself", "/** D. @default [] */ a?: I[];", /n: Ansible has no type for I/, "export interface I {\n/** N. */ n?: I; }"],
    ["@minimum of a text", "/** D.\n * @minimum 1\n * @unset */ a?: string;", /@minimum of a: only a number has it/],
    ["@raw of a number", "/** D.\n * @raw\n * @unset */ a?: number;", /@raw of a: only a string has it/],
    ["an unknown format", "/** D.\n * @format uri\n * @unset */ a?: string;", /the only one known is path/],
    ["a member that is no property", "/** D. */ a(): void;", /R may have nothing but properties/],
    ["a name that TypeScript does not know", "/** D. @unset */ a?: Nothing;", /Cannot find name 'Nothing'/],
    ["a syntax error", "/** D. @unset */ a?: ;", /Type expected/],
  ];
  for (const [title, given, want, rest] of cases)
    it(title, () => {
      const { complaints } = read(model(given, rest));
      strictEqual(complaints.some((complaint) => want.test(complaint)), true, `wanted ${want}, got:\n${complaints.join("\n")}`);
    });

  it("and all of them at once", () => {
    strictEqual(read(model("/** D.\n * @default 1 */ a?: string;\n/** D. */ b?: number;\n/** @unset */ c?: boolean;")).complaints.length, 3);
  });

  it("a file without an interface", () => match(read("const a = 1;").complaints.join(), /exports no interface/));
});
