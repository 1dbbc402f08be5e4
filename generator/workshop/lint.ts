import { join } from "node:path";
import { readTree } from "../system/disk.js";
import { layouts } from "../ir.js";
import type { Identity, Layout } from "../ir.js";
import { artefactRoot } from "../artefacts/layout.js";
import { progress } from "../system/progress.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";

export interface LintResult {
  readonly layout: Layout;
  readonly passed: boolean;
  /** How many files ansible-lint examined. */
  readonly examined: number;
  /** What to report: violations, or files that were not checked. Empty when it passed. */
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
  return { layout, passed: complaints.length === 0, examined: examined.size, report: complaints.join("\n") };
}

/** Lint every artefact. */
export async function lint(options: LintOptions): Promise<LintResult[]> {
  const results: LintResult[] = [];
  const jobs = layouts.map((layout) => ({
    title: `ansible-lint, ${layout}`,
    work: async (): Promise<void> => {
      const command = lintCommand(options, layout);
      const files = readTree(command.cwd!).map(({ path }) => path);
      const { code, output } = files.length === 0 ? { code: 0, output: "" } : await run(command);
      const result = judgeLint(layout, code, output, files);
      results.push(result);
      if (!result.passed) throw new Error(`${layout} failed`);
    },
  }));
  await progress(jobs, layouts.length).catch((error: unknown) => {
    // A failed artefact is in the results; anything else is a fault of this program.
    if (results.length !== layouts.length) throw error;
  });
  return layouts.flatMap((layout) => results.filter((result) => result.layout === layout));
}
