import { join, resolve } from "node:path";
import { layouts } from "../ir.js";
import type { Layout } from "../ir.js";
import { printDiff } from "../system/diff.js";
import { apply, manifestPath } from "../system/owned.js";
import { exit, fromCwd, printProblems, print } from "../system/terminal.js";
import { crosscheck } from "./crosscheck.js";
import { planArtefacts, readSources } from "./sources.js";

/** Options of `generate` and `check`. */
export interface ArtefactOptions {
  /** Without it dist/ in the repository. */
  readonly out?: string;
  /** A layout, or "all". */
  readonly layout: string;
}

function layoutsOf(choice: string): readonly Layout[] {
  return layouts.filter((layout) => choice === "all" || choice === layout);
}

/** Write the artefacts. Returns an exit code. */
export async function generate(root: string, options: ArtefactOptions): Promise<number> {
  const sources = readSources(root);
  if (sources.problems.length > 0) {
    printProblems(sources.problems);
    console.error("Nothing was written.");
    return exit.failed;
  }
  const out = resolve(options.out ?? join(root, "dist"));
  const { plan, owned } = planArtefacts(sources, layoutsOf(options.layout), out);
  apply(out, plan, owned);
  const written = plan.write.filter(({ path }) => path !== manifestPath);
  for (const { path } of written) print(`wrote    ${fromCwd(join(out, path))}`);
  for (const path of plan.remove) print(`removed  ${fromCwd(join(out, path))}`);
  print(
    written.length + plan.remove.length === 0
      ? `Nothing to write: all ${plan.same} files in ${fromCwd(out)} are up to date.`
      : `${written.length} written, ${plan.remove.length} removed, ${plan.same} unchanged in ${fromCwd(out)}.`,
  );
  return exit.good;
}

/** Report what `generate` would write, and where model and templates disagree. Returns an exit code. */
export async function check(root: string, options: ArtefactOptions): Promise<number> {
  const sources = readSources(root);
  const problems = [...sources.problems, ...crosscheck(sources.role, sources.template.files)];
  const out = resolve(options.out ?? join(root, "dist"));
  let stale = 0;
  if (sources.problems.length === 0) {
    const { plan, before } = planArtefacts(sources, layoutsOf(options.layout), out);
    stale = plan.write.length + plan.remove.length;
    await printDiff(plan, before, fromCwd(out));
  }
  printProblems(problems);
  if (problems.length + stale === 0) {
    print(`${fromCwd(out)} matches the model and the templates.`);
    return exit.good;
  }
  const parts = [
    ...(stale > 0 ? [`${stale} stale files in ${fromCwd(out)} (npm run generate writes them)`] : []),
    ...(problems.length > 0 ? [`${problems.length} problems`] : []),
  ];
  console.error(parts.join(", "));
  return exit.failed;
}

/**
 * Old artefacts prove nothing about the repository as it is now. Prints that, and returns whether the artefacts are
 * old.
 */
export async function isStale(root: string): Promise<boolean> {
  const sources = readSources(root);
  printProblems(sources.problems);
  if (sources.problems.length > 0) return true;
  const { plan } = planArtefacts(sources, layouts, join(root, "dist"));
  const count = plan.write.length + plan.remove.length;
  if (count > 0)
    console.error(
      `${count} files in ${fromCwd(join(root, "dist"))} do not match the model and the templates. First run: npm run generate`,
    );
  return count > 0;
}
