import { parse } from "yaml";
import type { Identity, OutFile, Problem } from "../ir.js";

/** Everything that states a version or what Ansible is needed: texts by their paths in the repository. */
export interface Statements {
  readonly identity: Identity;
  /** package.json. */
  readonly packageJson: string;
  readonly packageLock: string;
  /** role-template/CHANGELOG.md. */
  readonly changelog: string;
  /** role-template/meta/runtime.yml and meta/main.yml. */
  readonly runtime: string;
  readonly meta: string;
  /** README.md, the pages of docs/, and the README's template. */
  readonly pages: readonly OutFile[];
  /** What was generated: the collection's changelogs/changelog.yaml, the requirements.yml for Kayobe. */
  readonly changelogYaml: string;
  readonly requirements: string;
  /** The releases of ansible-core that the scenarios run with, as "2.20", the oldest first. */
  readonly proved: readonly string[];
}

/** Where statements of a release are at odds; each names both places. */
export function inconsistencies(statements: Statements): Problem[] {
  return [...versions(statements), ...ansible(statements)];
}

function versions({
  identity,
  packageJson,
  packageLock,
  changelog,
  changelogYaml,
  requirements,
}: Statements): Problem[] {
  const { version, namespace, name } = identity;
  const differs = (file: string, what: string, found: unknown): Problem[] =>
    found === version
      ? []
      : [{ file, message: `${what} is ${String(found ?? "missing")}, and galaxy.yml says version ${version}` }];
  const lock = JSON.parse(packageLock) as { version?: unknown; packages?: { ""?: { version?: unknown } } };
  const headings = [...changelog.matchAll(/^## \[?([^\s\]]+)/gm)].map((match) => match[1]!);
  const releases = Object.keys((parse(changelogYaml) as { releases?: object } | null)?.releases ?? {});
  const wanted = (
    parse(requirements) as { collections?: { name?: unknown; version?: unknown }[] } | null
  )?.collections?.find((entry) => entry.name === `${namespace}.${name}`);
  return [
    ...differs("package.json", "version", (JSON.parse(packageJson) as { version?: unknown }).version),
    ...differs("package-lock.json", "version", lock.version),
    ...differs("package-lock.json", "version of the root package", lock.packages?.[""]?.version),
    ...differs("role-template/CHANGELOG.md", "the newest entry", headings[0]),
    ...differs("changelogs/changelog.yaml", "the newest release", [...releases].sort(newestFirst)[0]),
    ...differs("kayobe/ansible/requirements.yml", `the version of ${namespace}.${name}`, wanted?.version),
    ...headings.flatMap((heading, index) => {
      const older = headings[index + 1];
      return older === undefined || newestFirst(heading, older) < 0
        ? []
        : [{ file: "role-template/CHANGELOG.md", message: `${heading} is above ${older}, which is not older` }];
    }),
  ];
}

/** Semantic versions, with a pre-release before its release; build metadata does not count (semver.org, 10 and 11). */
export function newestFirst(a: string, b: string): number {
  const parts = (version: string): [numbers: number[], before: string[]] => {
    const [release = "", ...before] = version.replace(/\+.*$/, "").split("-");
    return [release.split(".").map(Number), before.length === 0 ? [] : before.join("-").split(".")];
  };
  const [[first, beforeFirst], [second, beforeSecond]] = [parts(a), parts(b)];
  for (let index = 0; index < 3; index++)
    if (first[index] !== second[index]) return (second[index] ?? 0) - (first[index] ?? 0);
  if (beforeFirst.length === 0 || beforeSecond.length === 0) return beforeFirst.length - beforeSecond.length;
  for (let index = 0; index < Math.max(beforeFirst.length, beforeSecond.length); index++) {
    const [one, other] = [beforeFirst[index], beforeSecond[index]];
    if (one === other) continue;
    if (one === undefined || other === undefined) return one === undefined ? 1 : -1;
    const [numeric, otherNumeric] = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (numeric !== otherNumeric) return numeric ? 1 : -1;
    return numeric ? Number(other) - Number(one) : one < other ? 1 : -1;
  }
  return 0;
}

const readmeTemplate = "README.md.hbs";
const runtimePath = "role-template/meta/runtime.yml";

/** What the pages say of Ansible, as far as they state a range: "ansible-core 2.17 to 2.20", "ansible-core 2.17 or newer". */
function ansible({ runtime, meta, pages, proved }: Statements): Problem[] {
  const requires = String((parse(runtime) as { requires_ansible?: unknown } | null)?.requires_ansible ?? "");
  const bound = (operator: string): string | undefined =>
    new RegExp(`(?:^|,)\\s*${operator}\\s*(\\d+\\.\\d+)`).exec(requires)?.[1];
  const oldest = bound(">=");
  const firstTooNew = bound("<(?!=)");
  if (oldest === undefined)
    return [{ file: runtimePath, message: `requires_ansible "${requires}" names no oldest version (>=)` }];
  const minimum = (parse(meta) as { galaxy_info?: { min_ansible_version?: unknown } } | null)?.galaxy_info
    ?.min_ansible_version;
  const range = /ansible-core\s+(\d+\.\d+)\s+(?:to\s+(\d+\.\d+)|(?:or|and)\s+(?:newer|later))/g;
  const newest = proved.at(-1);
  return [
    ...(proved[0] === oldest
      ? []
      : [
          {
            file: runtimePath,
            message: `requires_ansible is "${requires}", and the scenarios run with ${proved.join(", ")}`,
          },
        ]),
    ...pages
      .filter(({ path, text }) => path.endsWith(readmeTemplate) && text.search(range) < 0)
      .map(({ path }) => ({
        file: path,
        message: `it does not say which ansible-core is needed, as "ansible-core ${oldest} to ${newest}"`,
      })),
    ...(minimum === oldest
      ? []
      : [
          {
            file: "role-template/meta/main.yml",
            message: `min_ansible_version is ${String(minimum)}, and ${runtimePath} says ${requires}`,
          },
        ]),
    ...pages.flatMap(({ path, text }) =>
      [...text.matchAll(range)].flatMap((claim) => {
        const [words, from, to] = claim;
        const line = text.slice(0, claim.index).split("\n").length;
        const wrong =
          from !== oldest ||
          (to !== undefined && firstTooNew !== undefined && newestFirst(`${to}.0`, `${firstTooNew}.0`) <= 0);
        const said = `"${words.replace(/\s+/g, " ")}"`;
        if (wrong) return [{ file: path, line, message: `${said}, and ${runtimePath} says ${requires}` }];
        return to === undefined || to === newest
          ? []
          : [{ file: path, line, message: `${said}, and the scenarios run with ${proved.join(", ")}` }];
      }),
    ),
  ];
}
