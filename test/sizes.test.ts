import { deepStrictEqual, ok } from "node:assert/strict";
import { relative } from "node:path";
import { Node, Project, SyntaxKind } from "ts-morph";
import type { SourceFile } from "ts-morph";
import { root } from "../generator/artefacts/sources.js";

// No function over 60 lines or with more than 12 branches, no module over 500 lines; test/python/test_sizes.py has Python.
// Lines are those with code. A function in a function counts its own branches.

const most = { lines: 60, branches: 12, ofModule: 500 };

/** What is longer, with the reason. */
const longer: { readonly [place: string]: string } = {
  "generator/model/sriov.ts: module": "a list of variables with their descriptions, from which everything else is made",
};

const branching: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.IfStatement,
  SyntaxKind.ConditionalExpression,
  SyntaxKind.ForStatement,
  SyntaxKind.ForOfStatement,
  SyntaxKind.ForInStatement,
  SyntaxKind.WhileStatement,
  SyntaxKind.DoStatement,
  SyntaxKind.CaseClause,
  SyntaxKind.CatchClause,
]);

function isFunction(node: Node): boolean {
  return (
    Node.isFunctionDeclaration(node) ||
    Node.isFunctionExpression(node) ||
    Node.isArrowFunction(node) ||
    Node.isMethodDeclaration(node)
  );
}

function branches(node: Node): number {
  return node
    .forEachChildAsArray()
    .filter((child) => !isFunction(child))
    .reduce((sum, child) => sum + (branching.has(child.getKind()) ? 1 : 0) + branches(child), 0);
}

function codeLines(text: string): number {
  return text.split("\n").filter((line) => !/^\s*($|\/\/|\/?\*)/.test(line)).length;
}

function nameOf(node: Node): string {
  const named = Node.isFunctionDeclaration(node) || Node.isMethodDeclaration(node) ? node : node.getParent();
  return (named && Node.hasName(named) ? named.getName() : undefined) ?? `line ${node.getStartLineNumber()}`;
}

/** The functions of a module that are too long, and "module" when the module itself is. */
function tooLong(file: SourceFile): string[] {
  const functions = file
    .getDescendants()
    .filter((node) => isFunction(node))
    .filter((node) => codeLines(node.getText()) > most.lines || branches(node) > most.branches)
    .map(nameOf);
  return [...functions, ...(file.getEndLineNumber() > most.ofModule ? ["module"] : [])];
}

describe("sizes", () => {
  const project = new Project({ skipAddingFilesFromTsConfig: true });

  it("of functions and modules are within limits", () => {
    const files = project.addSourceFilesAtPaths(`${root}/generator/**/*.ts`);
    ok(files.length > 80, String(files.length));
    const found = files.flatMap((file) =>
      tooLong(file).map((name) => `${relative(root, file.getFilePath())}: ${name}`),
    );
    deepStrictEqual(found.sort(), Object.keys(longer).sort());
  });

  const lines = (count: number): string => "  a();\n".repeat(count);
  const cases: [title: string, text: string, want: string[]][] = [
    ["60 lines", `function f() {\n${lines(58)}}\n`, []],
    ["61 lines", `function f() {\n${lines(59)}}\n`, ["f"]],
    ["60 lines, comments and blank ones", `function f() {\n${lines(58)}\n  // why\n}\n`, []],
    ["12 branches", `const f = () => {\n${"  if (a) b();\n".repeat(12)}};\n`, []],
    ["13 branches", `const f = () => {\n${"  if (a) b();\n".repeat(13)}};\n`, ["f"]],
    [
      "7 branches in each of two",
      `function f() {\n${"if (a) b();\n".repeat(7)}return () => {\n${"if (a) b();\n".repeat(7)}};\n}\n`,
      [],
    ],
    ["501 lines", "// a\n".repeat(500), ["module"]],
  ];
  for (const [title, text, want] of cases)
    it(`are counted: ${title}`, () =>
      deepStrictEqual(tooLong(project.createSourceFile("case.ts", text, { overwrite: true })), want));
});
