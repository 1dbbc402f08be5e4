import { basename, join, resolve } from "node:path";
import { readSources } from "../artefacts/sources.js";
import { isFolder, isThere, realPathIfThere } from "../system/disk.js";
import { isLargerThan, readUserFiles, readUserFile, whyNoText } from "../system/userFiles.js";
import { exit, printProblems, print } from "../system/terminal.js";
import { judge } from "./judge.js";
import type { Given } from "./judge.js";
import { concerns } from "./place.js";
import type { Predecessor } from "./predecessors.js";

/** No file of variables has as many bytes; images and logs do. */
const largest = 4 * 1024 * 1024;

/** What there is to judge by a path that was named; nothing when it is not there. */
async function given(name: string): Promise<Given[] | undefined> {
  const whole = resolve(name);
  const why = whyNoText(name);
  if (why === "nowhere") return undefined;
  if (why === "denied") return [{ path: name, place: whole, unread: "denied", named: true }];
  if (!isFolder(name)) {
    if (isLargerThan(name, largest)) return [{ path: name, place: whole, unread: "large", named: true }];
    return readUserFile(name)?.map(({ text }) => ({
      path: name,
      place: whole,
      real: realPathIfThere(whole),
      named: true,
      ...(text === undefined ? { unread: "binary" } : { text }),
    }));
  }
  const large: Given[] = [];
  // If a folder of templates is named, its files are read.
  const above = /^(files|templates)$/.test(basename(whole)) ? "" : basename(whole);
  const home = realPathIfThere(whole);
  const of = (path: string): Given => {
    const real = realPathIfThere(join(whole, path));
    return {
      path: join(name, path),
      place: join(above, path),
      real,
      ...(real === join(home, path) ? {} : { linked: true }),
    };
  };
  const entries = readUserFiles(name, (path) => {
    const isLarge = concerns(path) && isLargerThan(join(name, path), largest);
    if (isLarge) large.push({ ...of(path), unread: "large" });
    return concerns(path) && !isLarge;
  });
  const files = entries.map(({ path, text }): Given => {
    const unread = text === undefined ? whyNoText(join(name, path)) : undefined;
    return { ...of(path), ...(text === undefined ? {} : { text }), ...(unread === undefined ? {} : { unread }) };
  });
  return [...files, ...large];
}

/** Report what files that were written for a predecessor mean to this role. Returns an exit code. */
export async function migrate(
  root: string,
  paths: readonly string[],
  options: { readonly from?: Predecessor },
): Promise<number> {
  const { role, problems } = readSources(root);
  printProblems(problems);
  if (problems.length > 0) return exit.failed;
  const files: Given[] = [];
  for (const name of paths) {
    const found = await given(name);
    if (!found) {
      console.error(`${name === "" ? '""' : name} is ${isThere(name) ? "neither a file nor a folder" : "not there"}.`);
      return exit.wrongUse;
    }
    files.push(...found);
  }
  const { namespace, name, version } = role.identity;
  const { findings, notes, aside } = judge(
    files,
    { variables: role.variables, role: `${namespace}.${name}`, collection: `${namespace}.${name}`, version },
    options.from,
  );
  const left = aside.reduce((sum, { count }) => sum + count, 0);
  if (left > 0)
    print(
      `${left} ${left === 1 ? "file was ignored because it cannot" : "files were ignored because they cannot"} hold variables: ${aside.map(({ why, count }) => `${count} ${why}`).join(", ")}.`,
    );
  if (findings.length === 0) {
    console.error(`Nothing of the old roles, and no variable of this one, was found in ${paths.join(", ")}.`);
    return exit.failed;
  }
  const words = {
    fine: "fine",
    ineffective: "ineffective now",
    different: "different now",
    unjudged: "cannot be judged",
    unknown: "unknown",
  } as const;
  for (const { file, line, outcome, text } of findings)
    print(`${file}${line === undefined ? "" : `:${line}`}: ${words[outcome]}: ${text}`);
  if (notes.length > 0)
    print(
      ["", "What changes for every host (docs/moving-over.md):", ...notes.map((note) => `  - ${note}`), ""].join("\n"),
    );
  const counts = Object.entries(words).map(
    ([outcome, word]) => `${findings.filter((finding) => finding.outcome === outcome).length} ${word}`,
  );
  print(`${counts.join(", ")}.`);
  return findings.every(({ outcome }) => outcome === "fine") ? exit.good : exit.failed;
}
