import { deepStrictEqual, ok } from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../generator/artefacts/sources.js";
import { readTree } from "../generator/system/disk.js";

// What engineers read is plain technical English. These words are signs of a literal translation, or hide who acts; a reader at three in
// the morning stumbles over them. "it has" for "contains" and clauses such as "what is there is" have no word that gives them away.

/** A break between two words: lines of comments begin with a sign. */
const gap = String.raw`[\s*#/]+`;
/** Each pattern, with what to write. */
const stilted: readonly (readonly [pattern: string, instead: string])[] = [
  ["tells|told", "reports, lists, gets"],
  ["anew", "again"],
  [`ask(?:s|ed)?${gap}for`, "request, need"],
  ["goes|gone", "is removed, continues"],
  ["beside", "next to, with, in addition to"],
  [`(?:is|are)${gap}to${gap}be`, "must"],
  [`(?<!there${gap})(?:is|are)${gap}no(?!${gap}longer)`, "is not a"],
  ["somebody|nobody", "another program, only root, no user"],
  [`of${gap}(?:its|their|your|our)${gap}own`, "its own, separate"],
  [`(?:bring|brings|brought)${gap}about`, "apply, take effect"],
  ["whatever|whichever|wherever", "any; a list of cases"],
  [`(?:leaves?|left)(?:${gap}[\\w-]+)?${gap}aside`, "ignores, skips"],
];

/** Uses that are good English. */
const good: readonly string[] = [
  "where the time goes",
  "where the time of each scenario goes",
  // A file on hosts: with another text, each host would run update-grub once.
  "which writes this file anew",
];

/** A text without what `keep` does not find, with all its line breaks, so that lines keep their numbers. */
function only(text: string, keep: RegExp): string {
  let kept = "";
  let end = 0;
  for (const match of text.matchAll(keep)) {
    kept += text.slice(end, match.index).replace(/[^\n]/g, "") + " " + match[0];
    end = match.index + match[0].length;
  }
  return kept + text.slice(end).replace(/[^\n]/g, "");
}

/** A text without what `drop` finds, with all its line breaks. */
function without(text: string, drop: RegExp): string {
  return text.replace(drop, (found) => found.replace(/[^\n]/g, "") || " ");
}

// Commands and quoted names are not prose.
const prose = (text: string): string => without(without(text, /^( *)```[^]*?^\1```$/gm), /`[^`\n]*`/g);
const commentsAndStrings = (text: string): string =>
  only(text, /\/\*[^]*?\*\/|\/\/.*|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g);
const whole = (text: string): string => text;
/** Names and comments of tasks. */
const namesAndComments = (text: string): string => only(text, /^ *- name: .*|^ *#.*|\{#[^]*?#\}/gm);
/** What a changelog says of the newest release; the entries of published ones stay as they are. */
const newestEntry = (text: string): string => text.split(/^(?=## )/m, 2).join("");

/** What an engineer reads of each file, by its path. */
function readings(): Map<string, string> {
  const found = new Map<string, string>();
  const add = (path: string, of: (text: string) => string): void =>
    void found.set(path, of(readFileSync(join(root, path), "utf8")));
  const below = (folder: string, name: RegExp, of: (text: string) => string): void => {
    for (const { path } of readTree(join(root, folder))) if (name.test(path)) add(`${folder}/${path}`, of);
  };
  for (const path of [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`),
  ])
    if (existsSync(join(root, path))) add(path, prose);
  below("generator", /\.ts$/, commentsAndStrings);
  add("role-template/README.md.hbs", prose);
  add("role-template/CHANGELOG.md", newestEntry);
  below("role-template/tasks", /\.yml$/, whole);
  below("role-template/handlers", /\.yml$/, whole);
  below("role-template/templates", /\.j2$/, namesAndComments);
  below("role-template/vars", /\.yml$/, namesAndComments);
  below("role-template/examples", /\.yml$/, namesAndComments);
  below("role-template/kayobe", /./, namesAndComments);
  below("role-template/plugins", /\.(py|yml)$/, whole);
  return found;
}

/** Each stilted use in a text: its line, the words, and what to write. */
function faults(text: string): string[] {
  const lines = text.split("\n");
  return stilted.flatMap(([pattern, instead]) =>
    [...text.matchAll(new RegExp(`\\b(?:${pattern})\\b`, "gi"))].flatMap((match) => {
      const line = text.slice(0, match.index).split("\n").length;
      const around = `${lines[line - 1]} ${lines[line] ?? ""}`.toLowerCase();
      return good.some((use) => around.includes(use))
        ? []
        : [`${line}: "${match[0].replace(/\s+/g, " ")}": write ${instead}`];
    }),
  );
}

describe("the language", () => {
  const all = readings();

  it("of README, docs, generator, modules and task names is plain", () => {
    ok(all.size > 50, String(all.size));
    deepStrictEqual(
      [...all].flatMap(([path, text]) => faults(text).map((fault) => `${path}:${fault}`)),
      [],
    );
  });

  const cases: [text: string, want: string[]][] = [
    ["a\nThe host is told of it.", ['2: "told": write reports, lists, gets']],
    ["It is asked\nfor.", ['1: "asked for": write request, need']],
    ["it is no NIC", ['1: "is no": write is not a']],
    ["there is no NIC, and it is no longer one", []],
    ["there are\nno NICs", []],
    ["## Where the time goes", []],
    ["it goes away", ['1: "goes": write is removed, continues']],
    ["the role retold an anewed beside-the-point", ['1: "beside": write next to, with, in addition to']],
  ];
  for (const [text, want] of cases)
    it(`of ${JSON.stringify(text)} is judged`, () => deepStrictEqual(faults(text), want));

  it("is that of prose, and keeps its lines", () =>
    deepStrictEqual(prose("a `told` b\n```\ntold\n```\nc"), "a   b\n\n\n\nc"));
  it("of code is that of its comments and strings", () =>
    deepStrictEqual(commentsAndStrings('const told = 1;\nfoo("told"); // anew\n').split("\n"), [
      "",
      ' "told" // anew',
      "",
    ]));
  it("of tasks is that of their names and comments", () =>
    deepStrictEqual(namesAndComments("# x\n- name: A\n  b:\n    msg: told\n").split("\n"), [
      " # x",
      " - name: A",
      "",
      "",
      "",
    ]));
});
