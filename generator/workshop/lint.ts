import { join } from "node:path";
import { readTree } from "../system/disk.js";
import { layouts } from "../ir.js";
import type { Identity, Layout } from "../ir.js";
import { artefactRoot } from "../artefacts/layout.js";
import { progress } from "../system/progress.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";
import { linters } from "./ownCode.js";

/** What a linter found. */
export interface LintResult {
  /** "ansible-lint, role", or a linter of this repository. */
  readonly title: string;
  readonly passed: boolean;
  /** How many files it examined, where it lists them. */
  readonly examined?: number;
  /** Violations, or files that were not checked. Empty when it passed. */
  readonly report: string;
}

export interface LintOptions {
  /** The output folder, with every artefact in it. */
  readonly out: string;
  readonly identity: Identity;
  /** Folder of the Python tools. */
  readonly bin: string;
  /** Folder that ansible-lint may fill. */
  readonly home: string;
  readonly config: string;
  readonly ansibleConfig: string;
}

/** Files that ansible-lint has rules for. Markdown and JSON it only counts. */
const lintable = /\.(ya?ml|py|j2)$/;

/**
 * ansible-lint over one artefact, in its folder: given a path argument, some versions pass a broken collection
 * after a look at one file.
 */
function lintCommand({ out, identity, bin, home, config, ansibleConfig }: LintOptions, layout: Layout): Command {
  return {
    file: join(bin, "ansible-lint"),
    // Doubly verbose: it names each file that it examines.
    args: [
      "--offline",
      "--nocolor",
      "--profile",
      "production",
      "--format",
      "pep8",
      "--project-dir",
      ".",
      "--config-file",
      config,
      "-vv",
    ],
    cwd: join(out, artefactRoot(layout, identity)),
    env: {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      ANSIBLE_HOME: home,
      ANSIBLE_CONFIG: ansibleConfig,
      ANSIBLE_ROLES_PATH: join(out, "roles"),
      ANSIBLE_COLLECTIONS_PATH: join(out, "collections"),
    },
  };
}

/** What a run of ansible-lint proves about the files of an artefact. */
export function judgeLint(layout: Layout, code: number, output: string, files: readonly string[]): LintResult {
  const examined = new Set([...output.matchAll(/^DEBUG +Examining (.+) of type \S+$/gm)].map((match) => match[1]!));
  const missed = files.filter((path) => lintable.test(path) && !examined.has(path));
  const reported = output.split("\n").filter((line) => !/^(DEBUG|INFO) /.test(line));
  const complaints = [
    ...(code === 0 ? [] : [reported.join("\n").trim() || `ansible-lint ended with ${code}`]),
    ...(files.length === 0 ? ["there is no file to lint; run: npm run generate"] : []),
    ...(missed.length === 0 ? [] : [`ansible-lint did not look at: ${missed.join(", ")}`]),
  ];
  const passed = complaints.length === 0;
  return { title: `ansible-lint, ${layout}`, passed, examined: examined.size, report: complaints.join("\n") };
}

/** ansible-lint over every artefact. */
export async function lintArtefacts(options: LintOptions): Promise<LintResult[]> {
  return await judged(
    layouts.map((layout) => ({
      title: `ansible-lint, ${layout}`,
      judge: async () => {
        const command = lintCommand(options, layout);
        const files = readTree(command.cwd!).map(({ path }) => path);
        const { code, output } = files.length === 0 ? { code: 0, output: "" } : await run(command);
        return judgeLint(layout, code, output, files);
      },
    })),
  );
}

/** The linters of this repository's own code. */
export async function lintOwnCode(root: string, bin: string): Promise<LintResult[]> {
  return await judged(
    linters(root, bin).map(({ title, command }) => ({
      title,
      judge: async () => {
        const { code, output } = await run(command);
        const report = output.trim() || `${title} ended with ${code}`;
        return { title, passed: code === 0, report: code === 0 ? "" : report };
      },
    })),
  );
}

/** The results of all, in order; what failed is shown as failed. */
async function judged(
  all: readonly { readonly title: string; readonly judge: () => Promise<LintResult> }[],
): Promise<LintResult[]> {
  const results: LintResult[] = [];
  const jobs = all.map(({ title, judge }) => ({
    title,
    work: async (): Promise<void> => {
      const result = await judge();
      results.push(result);
      if (!result.passed) throw new Error(`${title} failed`);
    },
  }));
  await progress(jobs, jobs.length).catch((error: unknown) => {
    // A failed linter is in the results; anything else is a fault of this program.
    if (results.length !== jobs.length) throw error;
  });
  return all.flatMap(({ title }) => results.filter((result) => result.title === title));
}
