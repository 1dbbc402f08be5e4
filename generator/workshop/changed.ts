import { basename, dirname, posix } from "node:path";
import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";
import { readUserFiles } from "../system/userFiles.js";
import { run } from "../system/process.js";

// `--changed`: which tests and scenarios a change can touch, from what they use: what they import, and what their own
// texts name.

/**
 * The scenario that covers the whole way from a bare host to VFs after a reboot; it is always among those of a change.
 */
export const wholeWay = "intel";

/**
 * The texts that say what uses what, by path below the repository: those of generator/, molecule/, and the code in
 * test/.
 */
export type Texts = ReadonlyMap<string, string>;

/** What a change can touch. */
export interface Touched {
  /** Paths of test files. */
  readonly tests: readonly string[];
  readonly scenarios: readonly string[];
  /** Files of which nothing is known, so that they touch everything. */
  readonly unknown: readonly string[];
}

/** What uses a file: everything of a kind, or what has a word in one of its texts. */
type Users = "all" | "none" | RegExp;

interface Rule {
  readonly files: RegExp;
  readonly tests: Users;
  readonly scenarios: Users;
}

/** What tests have that are about scenarios or the rig. */
const aboutMachines = /molecule|scenario/i;
/** Scenarios with a stand-in for a Mellanox card. */
const standIn = /rig\/card\b/;
/** Those with an emulated ConnectX, by the key of their molecule.yml. */
const connectX = /^ +connectx: \[/m;
/** Scenarios that build a release, in which all of role-template/ is. */
const build = "main\\.js build";

/**
 * Files of which this, and no import, says what uses them; the first rule that has a file decides. Of the rest of
 * generator/ and molecule/ imports and names show that. A file that no rule has touches everything.
 */
const rules: readonly Rule[] = [
  // Environments that scenarios run in, whether or not their own steps say so.
  { files: /(^|\/)(requirements[^/]*|ansible-core-[\d.]+)\.txt$/, tests: "all", scenarios: "all" },
  // What a test, and no scenario, reads.
  { files: /^molecule\/shared\/[^/]+\.schema\.json$/, tests: aboutMachines, scenarios: "none" },
  // Steps name the folder, and no file in it.
  { files: /^molecule\/rig\/card\//, tests: aboutMachines, scenarios: standIn },
  // For tests without a machine; a guest has the real tools from Debian.
  { files: /^molecule\/rig\/connectx\/native\//, tests: aboutMachines, scenarios: "none" },
  { files: /^molecule\/rig\/connectx\//, tests: aboutMachines, scenarios: connectX },
  // A part of molecule/ that a scenario need not name to use it.
  { files: /^molecule\/(base\.yml|rig\/.*|shared\/[^/]+\.(yml|py|json))$/, tests: aboutMachines, scenarios: "all" },
  { files: /(^|\/)(conftest|hang)\.py$|^test\/(support|reporter)\.ts$/, tests: "all", scenarios: "none" },
  { files: /^test\/(openstack|galaxy)\//, tests: "none", scenarios: /ROOT \/ "test"/ },
  { files: /^test\//, tests: "none", scenarios: "none" },
  { files: /^(docs\/[^/]+\.md|README\.md)$/, tests: /\bdocs\b|README|\.md\b/, scenarios: "none" },
  {
    files: /^role-template\/(CHANGELOG\.md|README\.md\.hbs|LICENSE|LICENSES\/.*|examples\/.*)$/,
    tests: "all",
    scenarios: new RegExp(build),
  },
  { files: /^role-template\/kayobe\//, tests: "all", scenarios: new RegExp(`kayobe|${build}`) },
  // Run where there is a Mellanox card, which is where a scenario puts the stand-in: `when` in tasks/firmware.yml and
  // mlx4.yml.
  {
    files: /^role-template\/(plugins\/modules\/sriov_firmware\.py|tasks\/(firmware_tool|mft)\.yml)$/,
    tests: "all",
    scenarios: new RegExp(`${standIn.source}|${connectX.source}|${build}`, "m"),
  },
  { files: /^role-template\/plugins\/modules\/sriov_mlx4\.py$/, tests: "all", scenarios: new RegExp(`mlx4|${build}`) },
  { files: /^role-template\//, tests: "all", scenarios: "all" },
];

/**
 * The files of the generator without which no scenario is run, or has artefacts to run; with what they import, or read
 * by its path.
 */
const verifying = ["generator/artefacts/sources.ts", "generator/workshop/scenarios.ts", "generator/workshop/setup.ts"];
/** What scenarios start of it besides, with the word by which they do. What these import belongs to them. */
const started: readonly (readonly [files: RegExp, word: RegExp])[] = [
  [/^generator\/release\//, new RegExp(build)],
  [/^generator\/kayobe\//, /kayobe/],
  // That it begins at all; its commands' own files are above.
  [/^generator\/(main|cli|artefacts\/commands|system\/(help|terminal))\.ts$/, /main\.js|kayobe/],
];

/** What a TypeScript file imports, now or later, of its repository. */
function importsOf(path: string, text: string): string[] {
  return [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)\.js"/g)].map(([, to]) =>
    posix.join(dirname(path), `${to}.ts`),
  );
}

/** What a Python test imports of its folder. */
function helpersOf(path: string, text: string, sources: Texts): string[] {
  return [...text.matchAll(/^(?:import|from) (\w+)/gm)]
    .map(([, name]) => `${dirname(path)}/${name}.py`)
    .filter((to) => sources.has(to));
}

/**
 * Whether a text of a scenario names a file of molecule/: by its folder and name; a playbook of shared/plays/ by its
 * name.
 */
function names(text: string, path: string): boolean {
  const tail = path.startsWith("molecule/shared/plays/") ? basename(path) : path.split("/").slice(-2).join("/");
  return text.includes(tail);
}

/** Everything that is reached from some files. */
function reached(start: readonly string[], next: (path: string) => readonly string[]): ReadonlySet<string> {
  const found = new Set(start);
  for (const path of found) for (const one of next(path)) found.add(one);
  return found;
}

/** A test or a scenario: the files that it consists of, and what is said in them. */
interface User {
  readonly name: string;
  readonly files: ReadonlySet<string>;
  readonly text: string;
}

/** What uses what. */
export interface Uses {
  readonly tests: readonly User[];
  readonly scenarios: readonly User[];
  /** Files of the generator that no scenario does without. */
  readonly needed: ReadonlySet<string>;
  /** Files of it that some start, with the word by which these do. */
  readonly starts: readonly { readonly files: ReadonlySet<string>; readonly word: RegExp }[];
}

/**
 * What uses what.
 *
 * @param tests paths of all test files
 * @param scenarios names of all scenarios
 */
export function usesOf(tests: readonly string[], scenarios: readonly string[], sources: Texts): Uses {
  const text = (path: string): string => sources.get(path) ?? "";
  const imports = (path: string): string[] => importsOf(path, text(path));
  const ofGenerator = [...sources.keys()].filter((path) => path.startsWith("generator/"));
  const inMolecule = [...sources.keys()].filter((path) => path.startsWith("molecule/"));
  const user = (name: string, files: ReadonlySet<string>): User => ({
    name,
    files,
    text: [...files]
      .filter((path) => !path.startsWith("generator/"))
      .map(text)
      .join("\n"),
  });
  return {
    tests: tests.map((path) =>
      user(
        path,
        reached([path], (one) => (one.endsWith(".ts") ? imports(one) : helpersOf(one, text(one), sources))),
      ),
    ),
    scenarios: scenarios.map((name) => {
      const own = inMolecule.filter((path) => path.startsWith(`molecule/${name}/`));
      return user(
        name,
        reached(own, (path) => inMolecule.filter((other) => names(text(path), other))),
      );
    }),
    needed: reached(verifying, (path) => [
      ...imports(path),
      ...ofGenerator.filter((one) => text(path).includes(`"${one}"`)),
    ]),
    starts: started.map(([those, word]) => ({
      word,
      files: reached(
        ofGenerator.filter((path) => those.test(path)),
        (one) => (/\/(cli|program)\.ts$/.test(one) ? [] : imports(one)),
      ),
    })),
  };
}

function having(users: readonly User[], word: RegExp): string[] {
  return users.filter(({ text }) => word.test(text)).map(({ name }) => name);
}

function using(users: readonly User[], path: string): string[] {
  return users.filter(({ files }) => files.has(path)).map(({ name }) => name);
}

/** Those that have the name of a file of test/, or of a folder of fixtures that it is in, among their words. */
function naming(users: readonly User[], path: string): string[] {
  const words = [basename(path).replace(/\.\w+$/, ""), ...dirname(path).split("/").slice(2)].map((word) =>
    word.replace(/[^\w-]/g, "\\$&"),
  );
  return having(users, new RegExp(`(?<![\\w-])(${words.join("|")})(?![\\w-])`));
}

/** Names of tests and scenarios. */
interface Names {
  readonly tests: readonly string[];
  readonly scenarios: readonly string[];
}

function some(users: readonly User[], which: Users): string[] {
  if (which === "none") return [];
  return which === "all" ? users.map(({ name }) => name) : having(users, which);
}

/** What a file of the generator touches: all tests, and scenarios by whether they can do without it. */
function touchedByGenerator(path: string, uses: Uses): Names {
  const words = uses.starts.filter(({ files }) => files.has(path)).map(({ word }) => word);
  const scenarios = uses.needed.has(path)
    ? some(uses.scenarios, "all")
    : words.flatMap((word) => having(uses.scenarios, word));
  return { tests: some(uses.tests, "all"), scenarios };
}

/** The tests that a file of test/ touches which no rule knows more of. */
function testsNaming(path: string, uses: Uses): string[] {
  const isTest = uses.tests.some(({ name }) => name === path);
  const those = [...using(uses.tests, path), ...(isTest ? [] : naming(uses.tests, path))];
  // A removed test touches nothing.
  return those.length > 0 || /(^|\/)test_\w+\.py$|\.test\.ts$/.test(path) ? those : some(uses.tests, "all");
}

/** What one file touches; undefined when nothing is known of it. */
function touchedBy(path: string, uses: Uses): Names | undefined {
  if (path.startsWith("generator/") && path.endsWith(".ts")) return touchedByGenerator(path, uses);
  const rule = rules.find(({ files }) => files.test(path));
  if (!rule && path.startsWith("molecule/")) {
    const those = using(uses.scenarios, path);
    const scenarios = those.length > 0 ? those : some(uses.scenarios, "all");
    return { tests: having(uses.tests, aboutMachines), scenarios };
  }
  if (!rule) return undefined;
  const name = new RegExp(basename(path).replace(/\W/g, "\\$&"));
  const ofPage = path.startsWith("docs/") ? having(uses.scenarios, name) : [];
  const ofTest = path.startsWith("test/") && rule.tests === "none" ? testsNaming(path, uses) : [];
  return {
    tests: [...some(uses.tests, rule.tests), ...ofTest],
    scenarios: [...some(uses.scenarios, rule.scenarios), ...ofPage],
  };
}

/**
 * What a change can touch.
 *
 * @param changed paths below the repository; also of removed files
 */
export function touched(changed: readonly string[], uses: Uses): Touched {
  if (changed.length === 0) return { tests: [], scenarios: [], unknown: [] };
  const all: Names = { tests: some(uses.tests, "all"), scenarios: some(uses.scenarios, "all") };
  const each = changed.map((path) => ({ path, names: touchedBy(path, uses) }));
  const found = {
    tests: new Set(each.flatMap(({ names }) => (names ?? all).tests)),
    scenarios: new Set([wholeWay, ...each.flatMap(({ names }) => (names ?? all).scenarios)]),
  };
  return {
    tests: all.tests.filter((one) => found.tests.has(one)),
    scenarios: all.scenarios.filter((one) => found.scenarios.has(one)),
    unknown: each.flatMap(({ path, names }) => (names ? [] : [path])),
  };
}

/** The texts that say what uses what. */
export function readTexts(root: string): Texts {
  const concerns = (path: string): boolean =>
    /^(generator|molecule|test)(\/|$)/.test(path) && !/(^|\/)__pycache__$/.test(path);
  const code = (path: string): boolean => !path.startsWith("test/") || /^test\/([^/]+\.ts|\w+\/\w+\.py)$/.test(path);
  return new Map(
    readUserFiles(root, concerns).flatMap(({ path, text }) =>
      text !== undefined && code(path) ? [[path, text] as const] : [],
    ),
  );
}

/** Paths of files that differ from a commit, with its name. */
export interface Changed {
  readonly base: string;
  readonly files: readonly string[];
}

/**
 * The files that differ from where this branch left another, those included that are not committed, or not known to
 * git.
 *
 * @param base a commit, or its name; without one origin/main, else main
 * @returns a failure when git does not know
 */
export async function changedFiles(root: string, base?: string): Promise<Result<Changed>> {
  const git = async (...args: string[]): Promise<string | undefined> => {
    const { code, stdout } = await run({ file: "git", args: ["-c", "core.quotePath=false", ...args], cwd: root });
    return code === 0 ? stdout.trim() : undefined;
  };
  if ((await git("rev-parse", "--git-dir")) === undefined)
    return failure(`${root} is not a git repository: it is not known what has changed.`);
  const candidates = base === undefined ? ["origin/main", "main"] : [base];
  for (const candidate of candidates) {
    const commit = await git("merge-base", "HEAD", candidate);
    if (commit === undefined) continue;
    const differ = await git("diff", "--name-only", "--no-renames", commit);
    const others = await git("ls-files", "--others", "--exclude-standard");
    if (differ === undefined || others === undefined) break;
    const paths = new Set([...differ.split("\n"), ...others.split("\n")]);
    return success({ base: candidate, files: [...paths].filter((path) => path !== "").sort() });
  }
  const names = candidates.join(" or ");
  return failure(`There is no commit ${names} that this branch has in common with it. Name another: --changed COMMIT.`);
}

/** What is run of a change, and that it is not everything, as lines for a person. */
export function choiceReport(
  base: string,
  changed: readonly string[],
  { tests, scenarios, unknown }: Touched,
  all: { readonly tests: number; readonly scenarios: number },
): string {
  const less = tests.length < all.tests || scenarios.length < all.scenarios;
  return [
    `${changed.length} ${changed.length === 1 ? "file differs" : "files differ"} from ${base}.`,
    ...(unknown.length > 0 ? [`It is not known what uses ${unknown.join(", ")}, so everything is run.`] : []),
    ...(scenarios.length > 0
      ? [`Scenarios that they can touch, with ${wholeWay}, which covers the whole way: ${scenarios.join(", ")}.`]
      : []),
    less
      ? `This is less than all: ${tests.length} of ${all.tests} test files and ${scenarios.length} of ${all.scenarios} scenarios. Only npm test proves everything.`
      : "That is everything.",
  ].join("\n");
}
