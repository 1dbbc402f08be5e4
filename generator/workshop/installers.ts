import { join } from "node:path";
import type { Command } from "../system/process.js";
import type { Environment, Python } from "./pythonEnvironments.js";

// The two ways to make a Python environment: pip, which Python brings along, and uv, which takes a tenth of the time.
// Either leaves the same packages, in the same place, with their bytecode.

/** uv, ready to run. */
export interface Uv {
  readonly file: string;
  readonly env: NonNullable<Command["env"]>;
}

/**
 * Commands that make an environment with pip; `finishEnvironment` must follow when all of them succeeded.
 *
 * @param requirements path of the requirements file
 * @param options further options of `pip install`
 */
export function pipCommands(
  { folder, bin }: Environment,
  python: Python,
  requirements: string,
  ...options: readonly string[]
): Command[] {
  const pip = (...args: string[]): Command => ({
    file: join(bin, "python"),
    args: ["-m", "pip", ...args],
    env: { PIP_DISABLE_PIP_VERSION_CHECK: "1" },
  });
  return [
    { file: python.executable, args: ["-m", "venv", "--clear", folder] },
    pip("install", "--quiet", "--no-deps", ...options, "-r", requirements),
    pip("check"),
  ];
}

/**
 * The same with uv. Bytecode is made here, as pip makes it: Ansible starts hundreds of times in a run of the tests, and
 * each start without it takes twice the time.
 */
export function uvCommands(uv: Uv, { folder, bin }: Environment, python: Python, requirements: string): Command[] {
  const command = (...args: string[]): Command => ({ file: uv.file, args, env: uv.env });
  const into = ["--python", join(bin, "python")];
  return [
    command("venv", "--quiet", "--clear", "--no-project", "--python", python.executable, folder),
    command("pip", "install", "--quiet", "--no-deps", "--compile-bytecode", ...into, "-r", requirements),
    command("pip", "check", "--quiet", ...into),
  ];
}

/** Where pip's configuration may have a word about an option, the least important first. */
const sections = ["global", "install", ":env:"];

/** What pip is configured to do, by option. */
type PipOptions = ReadonlyMap<string, string>;

function pipOptions(listed: string): PipOptions {
  const lines = listed.split("\n").flatMap((line) => {
    const [, section = "", option = "", value = ""] = /^(.+?)\.([\w-]+)=['"](.*)['"]$/.exec(line) ?? [];
    return sections.includes(section) ? [{ section, option, value: value.replaceAll("\\n", " ").trim() }] : [];
  });
  const ranked = lines.sort((a, b) => sections.indexOf(a.section) - sections.indexOf(b.section));
  return new Map(ranked.map(({ option, value }) => [option, value]));
}

/** Options of pip that decide where packages come from, and that uv has in no variable. */
const withoutVariable = ["no-index", "client-cert"];

/**
 * The variables by which uv gets packages from where pip gets them: it does not read pip's configuration, in which a
 * mirror may be named, and a certificate.
 *
 * @param listed what `pip config list` prints
 * @param own the environment; what it says to uv itself stays
 * @returns undefined when pip is configured in a way that uv has no variable for
 */
export function uvVariables(listed: string, own: NodeJS.ProcessEnv): Uv["env"] | undefined {
  const options = pipOptions(listed);
  if (withoutVariable.some((option) => options.has(option))) return undefined;
  const words = (option: string): string[] => (options.get(option) ?? "").split(/\s+/).filter((word) => word !== "");
  const extra = words("extra-index-url");
  const given: Readonly<Record<string, string | undefined>> = {
    UV_DEFAULT_INDEX: options.get("index-url"),
    ...(extra.length > 0 ? { UV_INDEX: extra.join(" "), UV_INDEX_STRATEGY: "unsafe-best-match" } : {}),
    UV_FIND_LINKS: words("find-links").join(",") || undefined,
    UV_INSECURE_HOST: words("trusted-host").join(" ") || undefined,
    SSL_CERT_FILE: options.get("cert"),
    HTTPS_PROXY: options.get("proxy"),
    HTTP_PROXY: options.get("proxy"),
    // The system's certificates, as pip.
    UV_SYSTEM_CERTS: "true",
    UV_PYTHON_DOWNLOADS: "never",
  };
  return Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== undefined && !own[name]));
}
