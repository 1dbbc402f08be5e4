import { relative } from "node:path";
import type { Problem } from "./ir.js";

/** Exit codes of every command. */
export const exit = { good: 0, failed: 1, wrongUse: 2 } as const;

export function say(line: string): void {
  console.log(line);
}

export function printProblems(problems: readonly Problem[]): void {
  for (const { file, line, message } of problems) console.error(`${file}${line === undefined ? "" : `:${line}`}: ${message}`);
}

/** A path as a person in the current folder would type it. */
export function here(path: string): string {
  return relative(process.cwd(), path) || ".";
}
