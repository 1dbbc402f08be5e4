import { relative } from "node:path";
import type { Problem } from "../ir.js";

/** Exit codes of every command. */
export const exit = { good: 0, failed: 1, wrongUse: 2 } as const;

export function print(line: string): void {
  console.log(line);
}

export function printProblems(problems: readonly Problem[]): void {
  for (const { file, line, message } of problems)
    console.error(`${file}${line === undefined ? "" : `:${line}`}: ${message}`);
}

/** A path as a person in the current folder would type it. */
export function fromCwd(path: string): string {
  return relative(process.cwd(), path) || ".";
}

const toWrite =
  "Give a folder that this user may write to (--out, where the command has it), or work in your own clone.";
const reading = ["stat", "lstat", "scandir", "read", "realpath", "readlink"];

/** What the system refuses of a file or folder, and what to do about it. */
const refusals: { readonly [code: string]: readonly [what: string, advice: string] } = {
  EACCES: ["permission denied", toWrite],
  EPERM: ["permission denied", toWrite],
  EROFS: [
    "the file system is read-only",
    "Give a folder on another one (--out, where the command has it), or work in a clone there.",
  ],
  ENOSPC: ["no space is left on the device", "Free some, and run this again."],
  EDQUOT: ["the disk quota is used up", "Free some space, and run this again."],
};

/** An error as a sentence; where the system refused a file, with the path and what to do. */
export function inWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code = "", path, syscall = "" } = error as NodeJS.ErrnoException;
  const refusal = refusals[code];
  if (!refusal || path === undefined) return error.message;
  return `${path}: ${refusal[0]} (${syscall}). ${reading.includes(syscall) ? "Give another path, or run this as a user who may read that one." : refusal[1]}`;
}
