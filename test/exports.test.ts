import { deepStrictEqual, ok } from "node:assert/strict";
import { relative } from "node:path";
import { Node, Project, SyntaxKind } from "ts-morph";
import type { SourceFile } from "ts-morph";
import { root } from "../generator/artefacts/sources.js";

// What only its own file uses is no export, and a module that nothing imports is no part of the program.

/** Modules that are started or loaded by their path: the program, mocha's reporter and hooks, the model. */
const entries = ["generator/main.ts", "generator/model/sriov.ts", "test/reporter.ts", "test/support.ts"];

interface Uses {
  /** "PATH NAME" of what is imported by its name. */
  readonly names: ReadonlySet<string>;
  /** Paths of modules whose exports are all used as far as this can see: `import()` and `import * as`. */
  readonly whole: ReadonlySet<string>;
  /** Paths of all modules that are imported. */
  readonly modules: ReadonlySet<string>;
}

function usesIn(files: readonly SourceFile[]): Uses {
  const names = new Set<string>();
  const whole = new Set<string>();
  const modules = new Set<string>();
  for (const file of files) {
    for (const declaration of file.getImportDeclarations()) {
      const path = declaration.getModuleSpecifierSourceFile()?.getFilePath();
      if (path === undefined) continue;
      modules.add(path);
      if (declaration.getNamespaceImport()) whole.add(path);
      for (const named of declaration.getNamedImports()) names.add(`${path} ${named.getName()}`);
    }
    for (const call of file.getDescendantsOfKind(SyntaxKind.CallExpression)) {
      const [argument] = call.getArguments();
      if (call.getExpression().getKind() !== SyntaxKind.ImportKeyword || !Node.isStringLiteral(argument)) continue;
      const path = argument.getSymbol()?.getDeclarations()[0]?.getSourceFile().getFilePath();
      if (path === undefined) continue;
      modules.add(path);
      whole.add(path);
    }
  }
  return { names, whole, modules };
}

/** Whether a type is what another export takes, returns or consists of: then whoever uses that one has it. */
function isTypeOfAnother(
  name: string,
  exported: readonly (readonly [name: string, nodes: readonly Node[]])[],
): boolean {
  const isType = (node: Node): boolean => Node.isInterfaceDeclaration(node) || Node.isTypeAliasDeclaration(node);
  const mentions = (node: Node): boolean => new RegExp(`\\b${name}\\b`).test(node.getText());
  return (
    exported.some(([own, nodes]) => own === name && nodes.every(isType)) &&
    exported.some(([other, nodes]) => other !== name && nodes.some(mentions))
  );
}

/** The exports that no other module uses, as "PATH NAME", and the modules that none imports, as "PATH". */
function unused(files: readonly SourceFile[], started: readonly string[]): string[] {
  const uses = usesIn(files);
  return files.flatMap((file) => {
    const path = file.getFilePath();
    const isTest = path.endsWith(".test.ts");
    if (isTest || started.some((entry) => path.endsWith(`/${entry}`))) return [];
    if (!uses.modules.has(path)) return [path];
    if (uses.whole.has(path)) return [];
    const exported = [...file.getExportedDeclarations()];
    return exported
      .filter(([name]) => !uses.names.has(`${path} ${name}`) && !isTypeOfAnother(name, exported))
      .map(([name]) => `${path} ${name}`);
  });
}

describe("exports", () => {
  it("are used by another module", () => {
    const project = new Project({ tsConfigFilePath: `${root}/tsconfig.json` });
    const files = project.getSourceFiles();
    ok(files.length > 140, String(files.length));
    deepStrictEqual(
      unused(files, entries).map((one) => relative(root, one)),
      [],
    );
  });

  it("that nothing uses are found, and modules that nothing imports", () => {
    const project = new Project({ useInMemoryFileSystem: true, compilerOptions: { module: 199 } });
    const file = (path: string, text: string): SourceFile => project.createSourceFile(path, text);
    const files = [
      file(
        "/a.ts",
        "export const one = 1;\nexport interface Two { four: Four }\nexport interface Four {}\nexport interface Five {}\nexport const three = one;\n",
      ),
      file("/b.ts", 'import { one } from "./a.js";\nimport type { Two } from "./a.js";\nexport const b: Two = one;\n'),
      file("/c.ts", "export const c = 1;\n"),
      file("/d.ts", "export const d = 1;\n"),
      file("/main.ts", 'void import("./d.js");\nexport const main = 1;\n'),
      file("/e.test.ts", ""),
    ];
    deepStrictEqual(unused(files, ["main.ts"]), ["/a.ts Five", "/a.ts three", "/b.ts", "/c.ts"]);
  });
});
