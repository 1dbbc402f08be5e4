import { join } from "node:path";
import { readTree } from "../system/disk.js";
import type { Command } from "../system/process.js";

// The formatters and linters of this repository's own code. Their settings: .editorconfig (prettier's too) and
// pyproject.toml (ruff's). Exports that nothing uses are found by test/exports.test.ts: the compiler knows them, and
// each package more is paid for by every fresh clone.

/** A program that judges the code, or one that corrects it. */
export interface Linter {
  readonly title: string;
  readonly command: Command;
}

/** Folders whose scripts shellcheck reads. */
const scriptFolders = [".ci", "generator", "molecule", "role-template", "test"];

const typescript = ["generator/**/*.{ts,mjs}", "test/**/*.ts"];

/** Whether a file is a script of a shell that shellcheck knows: by its name, or by its first line. */
export function isShellScript(path: string, text: string): boolean {
  return path.endsWith(".sh") || /^#!.*[/ ](ba|da|k)?sh\b/.test(text);
}

function shellScripts(root: string): string[] {
  return scriptFolders.flatMap((folder) =>
    readTree(join(root, folder))
      .filter(({ path, text }) => isShellScript(path, text))
      .map(({ path }) => `${folder}/${path}`),
  );
}

function ofPackage(root: string, name: string, script: string, ...args: string[]): Command {
  return { file: process.execPath, args: [join(root, "node_modules", name, script), ...args], cwd: root };
}

/**
 * What judges the code.
 *
 * @param bin folder of the Python tools
 */
export function linters(root: string, bin: string): readonly Linter[] {
  const python = (name: string, ...args: string[]): Command => ({ file: join(bin, name), args, cwd: root });
  return [
    { title: "prettier", command: ofPackage(root, "prettier", "bin/prettier.cjs", "--check", ...typescript) },
    { title: "ruff check", command: python("ruff", "check", "--quiet") },
    { title: "ruff format", command: python("ruff", "format", "--check") },
    { title: "shellcheck", command: python("shellcheck", ...shellScripts(root)) },
  ];
}

/**
 * What corrects the code, in the order in which it runs. What shellcheck finds, a person corrects.
 *
 * @param bin folder of the Python tools
 */
export function fixers(root: string, bin: string): readonly Linter[] {
  const ruff = (...args: string[]): Command => ({ file: join(bin, "ruff"), args, cwd: root });
  return [
    {
      title: "prettier",
      command: ofPackage(root, "prettier", "bin/prettier.cjs", "--write", "--log-level", "warn", ...typescript),
    },
    { title: "ruff check", command: ruff("check", "--quiet", "--fix") },
    { title: "ruff format", command: ruff("format", "--quiet") },
  ];
}
