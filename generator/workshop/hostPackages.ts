import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";
import { run, shellLine } from "../system/process.js";
import type { Command } from "../system/process.js";

// Debian packages that the machines of `verify` need, and how they come onto this one.

/** A program, or a file, that a Debian package brings. */
interface Need {
  readonly package: string;
  readonly program?: string;
  /** Any of these. */
  readonly files?: readonly string[];
}

/** The oldest QEMU with an igb that has SR-IOV. */
const oldestQemu = 8;
const qemuPackages = ["qemu-system-x86", "qemu-utils"];

/** What `verify` takes from the system. */
const needs: readonly Need[] = [
  { package: "qemu-system-x86", program: "qemu-system-x86_64" },
  { package: "qemu-utils", program: "qemu-img" },
  { package: "mmdebstrap", program: "mmdebstrap" },
  // Debian's keys, which another distribution's apt does not have.
  { package: "debian-archive-keyring", files: ["/usr/share/keyrings/debian-archive-keyring.gpg"] },
  // mmdebstrap needs it when it is not root.
  { package: "uidmap", program: "newuidmap" },
  { package: "arch-test", program: "arch-test" },
  { package: "mtools", program: "mcopy" },
  { package: "dosfstools", program: "mkfs.vfat" },
  { package: "fdisk", program: "sfdisk" },
  { package: "e2fsprogs", program: "mke2fs" },
  { package: "ovmf", files: ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd"] },
  { package: "openssh-client", program: "ssh" },
  { package: "systemd", program: "systemd-analyze" },
  { package: "git", program: "git" },
  // The certificate of the rig's BMC.
  { package: "openssl", program: "openssl" },
  // For the library between a real mstconfig and the emulated card, in tests without a machine.
  { package: "gcc", program: "gcc" },
  { package: "libc6-dev", files: ["/usr/include/dlfcn.h"] },
  // Opens the page of the report, in a test.
  { package: "chromium", program: "chromium" },
];

/** Is the program on the PATH, or where only root looks? */
export function hasProgram(name: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return statSync(join(folder, name)).isFile();
    } catch {
      return false;
    }
  });
}

/** Debian packages that `test` lacks here; an old QEMU counts as lacking. */
export async function missingPackages(): Promise<string[]> {
  const missing = needs
    .filter(({ program, files }) => !(program ? hasProgram(program) : (files ?? []).some((file) => existsSync(file))))
    .map((need) => need.package);
  if (!missing.includes("qemu-system-x86") && (await qemuMajor()) < oldestQemu) missing.unshift("qemu-system-x86");
  return missing;
}

async function qemuMajor(): Promise<number> {
  const { stdout } = await run({ file: "qemu-system-x86_64", args: ["--version"] });
  return Number(/version (\d+)\./.exec(stdout)?.[1] ?? 0);
}

const backportsPath = "/etc/apt/sources.list.d/sriov-role-backports.sources";
/** What knows apt's sources. */
const aptSources = "molecule/rig/apt_sources.py";

/** How the missing packages come onto this machine. */
export interface Installation {
  /** Written before the commands run. */
  readonly file?: { readonly path: string; readonly text: string };
  readonly commands: readonly Command[];
}

/**
 * What installs the packages, with apt.
 *
 * @param root the repository
 * @returns a failure when this machine has no way to them
 */
export async function installation(root: string, packages: readonly string[]): Promise<Result<Installation>> {
  if (!hasProgram("apt-get"))
    return failure("this is not Debian or Ubuntu; those are Debian's names, install what they contain");
  const apt = (...args: string[]): Command => ({ file: "apt-get", args, env: { DEBIAN_FRONTEND: "noninteractive" } });
  const options = ["--yes", "--no-install-recommends", "--option=DPkg::Lock::Timeout=600"];
  const install = (...args: string[]): Command => apt("install", ...options, ...args);
  const qemu = packages.filter((name) => qemuPackages.includes(name));
  const others = packages.filter((name) => !qemuPackages.includes(name));
  const rest = others.length > 0 ? [install(...others)] : [];
  if (!qemu.includes("qemu-system-x86") || (await candidateMajor("qemu-system-x86")) >= oldestQemu)
    return success({ commands: [apt("update"), ...(qemu.length > 0 ? [install(...qemu)] : []), ...rest] });

  const { id, codename } = release();
  const newer = `QEMU ${oldestQemu} or newer is needed`;
  if (id !== "debian" || !codename)
    return failure(`${newer}; this release has an older one, and only Debian's backports are known to have it`);
  const needed = `${newer}, from ${codename}-backports`;
  if (!hasProgram("python3"))
    return failure(`${needed}, and a Python program finds out from where: install python3 first`);
  const derived = await run({ file: "python3", args: [join(root, aptSources), "backports", codename] });
  if (derived.code !== 0) return failure(`${needed}; ${derived.output.trim()}`);
  return success({
    ...(derived.stdout === "" ? {} : { file: { path: backportsPath, text: `${derived.stdout}\n` } }),
    // Both, because the tools and the emulator come from one source and share libraries.
    commands: [apt("update"), install("--target-release", `${codename}-backports`, ...qemuPackages), ...rest],
  });
}

/** What apt would install; where its lists have never been read, what the release is known to have. */
async function candidateMajor(name: string): Promise<number> {
  const { stdout } = await run({ file: "apt-cache", args: ["policy", name], env: { LC_ALL: "C" } });
  const listed = /Candidate: (?:\d+:)?(\d+)/.exec(stdout)?.[1];
  if (listed !== undefined) return Number(listed);
  const { id, version } = release();
  return version >= (id === "ubuntu" ? 24 : 13) ? oldestQemu : 0;
}

function release(): { id: string; codename: string; version: number } {
  const text = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  const field = (name: string): string => new RegExp(`^${name}="?([^"\\n]*)`, "m").exec(text)?.[1] ?? "";
  return {
    id: field("ID"),
    codename: field("VERSION_CODENAME"),
    version: Number.parseInt(field("VERSION_ID"), 10) || Infinity,
  };
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

export function writeSystemFile({ path, text }: { readonly path: string; readonly text: string }): void {
  writeFileSync(path, text, { mode: 0o644 });
}

/** What a person types who may become root. */
export async function howToInstall(root: string, missing: readonly string[]): Promise<string> {
  const way = await installation(root, missing);
  if (!way.ok) return `Missing: ${missing.join(" ")}: ${way.why}`;
  return `Missing: ${missing.join(" ")}. This installs it:\n    ${installLine(way.value)}`;
}

/** An installation as one line for a shell. */
export function installLine({ file, commands }: Installation): string {
  const write = file
    ? [`printf %s ${shellLine({ file: file.text, args: [] })} | sudo tee ${file.path} >/dev/null`]
    : [];
  return [...write, ...commands.map((command) => `sudo ${shellLine(command)}`)].join(" && ");
}
