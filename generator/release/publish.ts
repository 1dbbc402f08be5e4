import { join } from "node:path";
import type { Identity } from "../ir.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";
import { programEnvironment, secretVariables, tokenVariable } from "./environment.js";
import type { Environment } from "./environment.js";

/** Where a release is sent. */
export interface Destination {
  /**
   * A server's name in Ansible's configuration, or its address; absent: the first of the configuration, or Galaxy's.
   */
  readonly server?: string;
}

const publicGalaxy = "https://galaxy.ansible.com";
/**
 * The name under which a token in GALAXY_TOKEN is given to ansible-galaxy, which knows tokens of named servers only.
 */
const ownServer = "sriov_role_release";

/** How ansible-galaxy gets its server: a name or an address, and an environment. No token is on a command line. */
export interface Access {
  readonly server?: string;
  readonly env: Environment;
}

/**
 * GALAXY_TOKEN is for an address, or for galaxy.ansible.com; a named server has its token in Ansible's configuration or
 * in ANSIBLE_GALAXY_SERVER_<NAME>_TOKEN (docs.ansible.com, "Configuring the ansible-galaxy client").
 *
 * @param env the variables with secrets
 */
export function access({ server }: Destination, env: Environment): Access {
  const token = env[tokenVariable];
  const common = {
    ...programEnvironment(),
    ...secretVariables(env),
    [tokenVariable]: undefined,
    ANSIBLE_NOCOLOR: "1",
    ANSIBLE_FORCE_COLOR: undefined,
  };
  const address = server === undefined ? publicGalaxy : /^https?:\/\//.test(server) ? server : undefined;
  if (token === undefined || token === "" || address === undefined)
    return { ...(server === undefined ? {} : { server }), env: common };
  const variable = (key: string): string => `ANSIBLE_GALAXY_SERVER_${ownServer.toUpperCase()}_${key}`;
  return {
    server: ownServer,
    env: { ...common, ANSIBLE_GALAXY_SERVER_LIST: ownServer, [variable("URL")]: address, [variable("TOKEN")]: token },
  };
}

/** What ask_galaxy.py says. */
export interface Answer {
  readonly name: string;
  readonly url: string;
  /** Where the token comes from; null when there is none. */
  readonly source: string | null;
  readonly secrets: readonly string[];
  readonly apis: readonly string[];
  readonly collection: readonly string[];
  readonly role: readonly string[];
}

/**
 * Which server it is, with whose token, and which versions it has.
 *
 * @throws Error when the server cannot be asked
 */
export async function askGalaxy(
  bin: string,
  root: string,
  { namespace, name }: Identity,
  owner: string,
  { server, env }: Access,
): Promise<Answer> {
  const command: Command = {
    file: join(bin, "python"),
    args: [
      join(root, "generator", "release", "ask_galaxy.py"),
      namespace,
      name,
      owner,
      ...(server === undefined ? [] : [server]),
    ],
    env,
  };
  const { stdout, output } = await run(command);
  const last = stdout.trim().split("\n").at(-1) ?? "";
  const secrets = secretsOf(env);
  if (!last.startsWith("{"))
    throw new Error(redact(`The server could not be asked which versions it has:\n${output.trim()}`, secrets));
  const answer = JSON.parse(last) as Answer | { readonly error: string; readonly secrets: readonly string[] };
  if ("error" in answer)
    throw new Error(
      redact(`The server could not be asked which versions it has: ${answer.error}`, [...secrets, ...answer.secrets]),
    );
  return answer.source !== null && answer.source.includes(ownServer.toUpperCase())
    ? { ...answer, source: `the environment variable ${tokenVariable}` }
    : answer;
}

/** Where a token comes from, in words. */
export function sourceInWords(source: string | null): string {
  if (source === null) return "without a token";
  const variable = /^env: (.+)$/.exec(source)?.[1];
  return `with the token from ${variable === undefined ? source : `the environment variable ${variable}`}`;
}

/** Secrets of Galaxy in an environment. */
export function secretsOf(env: Environment): string[] {
  return Object.values(secretVariables(env)).flatMap((value) => value ?? []);
}

/**
 * Do something whose errors may repeat a secret.
 *
 * @param secrets may become more while it runs
 * @throws Error without them
 */
export async function redactErrors<Result>(secrets: readonly string[], work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw new Error(redact(error instanceof Error ? error.message : String(error), secrets));
  }
}

/** A text without the secrets, in any form that is likely in a message. */
export function redact(text: string, secrets: readonly string[]): string {
  const forms = secrets
    .filter((secret) => secret !== "")
    .flatMap((secret) => [
      secret,
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString("base64"),
    ]);
  return [...new Set(forms)]
    .sort((a, b) => b.length - a.length)
    .reduce((clean, form) => clean.replaceAll(form, "***"), text);
}

export function publishCommand(bin: string, { server, env }: Access, tarball: string): Command {
  return { file: join(bin, "ansible-galaxy"), args: ["collection", "publish", tarball, ...serverOption(server)], env };
}

export function importCommand(
  bin: string,
  { server, env }: Access,
  { owner, name }: { readonly owner: string; readonly name: string },
  branch: string,
): Command {
  return {
    file: join(bin, "ansible-galaxy"),
    args: ["role", "import", "--branch", branch, ...serverOption(server), owner, name],
    env,
  };
}

function serverOption(server: string | undefined): string[] {
  return server === undefined ? [] : ["--server", server];
}

/**
 * What became of a collection that ansible-galaxy failed to publish: it fails also when it only lost sight of an
 * import.
 *
 * @param answer the server's after that; absent when it could not be asked
 */
export function afterFailure(
  { namespace, name, version }: Identity,
  url: string,
  answer: Pick<Answer, "collection"> | undefined,
): string {
  const title = `${namespace}.${name} ${version}`;
  if (!answer)
    return `Whether the collection was published is not known: ${url} could not be asked. Look there; if it has ${title}, continue with --role.`;
  if (answer.collection.includes(version))
    return `${url} has the collection ${title} now, though ansible-galaxy failed. When it is the one with the sha256 above, continue with --role.`;
  return `The collection was not published: ${url} does not have ${title}. If the import has begun there, it may still finish.`;
}

/**
 * The variable for the token of a server of Ansible's configuration; for others it is ours ("cmd_arg" is an address,
 * "default" is galaxy.ansible.com).
 */
function variableFor(server: string): string {
  return ["cmd_arg", "default", ownServer].includes(server)
    ? tokenVariable
    : `ANSIBLE_GALAXY_SERVER_${server.toUpperCase()}_TOKEN`;
}

/** What speaks against publishing on the server: sentences. */
export function serverRefusals(
  { namespace, name, version }: Identity,
  owner: string,
  answer: Answer,
  what: { readonly collection: boolean; readonly role: boolean },
): string[] {
  const has = (versions: readonly string[]): boolean =>
    versions.some((there) => there === version || there === `v${version}`);
  return [
    ...(answer.source === null
      ? [
          `There is no token for ${answer.url}: set ${variableFor(answer.name)}, or Ansible's own configuration of the server.`,
        ]
      : []),
    ...(what.collection && !answer.apis.includes("v3")
      ? [`${answer.url} has no API v3, by which collections are published.`]
      : []),
    ...(what.role && !answer.apis.includes("v1") ? [`${answer.url} has no API v1, by which roles are imported.`] : []),
    ...(what.collection && has(answer.collection)
      ? [`${answer.url} has the collection ${namespace}.${name} ${version} already; --role publishes the role alone.`]
      : []),
    ...(what.role && has(answer.role)
      ? [`${answer.url} has the role ${owner}.${name} ${version} already; --collection publishes the collection alone.`]
      : []),
  ];
}
