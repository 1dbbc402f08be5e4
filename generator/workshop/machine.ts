import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";

/** What outlives a clone: the Python environments and the VM images. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env["SRIOV_ROLE_CACHE"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sriov-role");
}

export interface Python {
  readonly executable: string;
  readonly version: string;
}

/** Minor versions of Python 3. */
export interface PythonRange {
  readonly oldest?: number;
  readonly newest?: number;
}

export function isWithin(minor: number, { oldest = 11, newest = Infinity }: PythonRange): boolean {
  return minor >= oldest && minor <= newest;
}

const pythonNames = ["python3.13", "python3.12", "python3.11", "python3"];

/**
 * The first Python that can run some tools: 3.11 or newer (ansible-core 2.18 and 2.19 want it), with venv and ensurepip.
 *
 * Each candidate is asked, not looked for: a shim of pyenv is there also for versions that are not. In an environment
 * (`venv`) it is the Python that the environment was made of.
 */
export async function findPython(range: PythonRange = {}, candidates: readonly string[] = pythonNames): Promise<Python | undefined> {
  const question = "import os, sys, venv, ensurepip; assert sys.version_info >= (3, 11); print(os.path.realpath(getattr(sys, '_base_executable', sys.executable))); print('%d.%d.%d' % sys.version_info[:3])";
  for (const candidate of candidates) {
    const { code, stdout } = await run({ file: candidate, args: ["-c", question] });
    const [executable, version] = stdout.trim().split("\n");
    if (code === 0 && executable && version && isWithin(Number(version.split(".")[1]), range)) return { executable, version };
  }
  return undefined;
}

/** Where a Python environment is, and whether it is whole. */
export interface Environment {
  readonly folder: string;
  readonly bin: string;
  readonly ready: boolean;
}

const completeMark = ".complete";

/** The environment that belongs to these requirements and this Python, at its place: another of either is another folder. */
export function environment(requirements: string, python: Python): Environment {
  const hash = createHash("sha256").update(`${python.executable}\n${python.version}\n${requirements}`).digest("hex").slice(0, 12);
  const folder = join(cacheFolder(), `venv-${hash}`);
  return { folder, bin: join(folder, "bin"), ready: existsSync(join(folder, completeMark)) && existsSync(join(folder, "bin", "python")) };
}

/** Commands that make the environment; `finish` must follow when both succeeded. */
export function environmentCommands({ folder, bin }: Environment, python: Python, requirementsPath: string): Command[] {
  return [
    { file: python.executable, args: ["-m", "venv", "--clear", folder] },
    { file: join(bin, "python"), args: ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", requirementsPath] },
    { file: join(bin, "python"), args: ["-m", "pip", "check", "--disable-pip-version-check"] },
  ];
}

export function finishEnvironment({ folder }: Environment): void {
  writeFileSync(join(folder, completeMark), "");
}

/** Hold a folder of the cache against another run of the same. */
export async function locked<T>(name: string, work: () => Promise<T>): Promise<T> {
  const lock = join(cacheFolder(), `${name}.lock`);
  mkdirSync(cacheFolder(), { recursive: true });
  while (!tryLock(lock)) await new Promise((resolve) => setTimeout(resolve, 500));
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    const holder = Number(readFileSync(lock, "utf8"));
    // Written a moment after it was made; empty for longer, its maker was killed. Our own number is that of an earlier container's.
    if (holder === process.pid || (!(holder > 0) && Date.now() - statSync(lock).mtimeMs > 10_000)) rmSync(lock, { force: true });
    else if (holder > 0) process.kill(holder, 0);
  } catch (error) {
    // The holder is gone, and left its lock behind.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") rmSync(lock, { force: true });
  }
  return false;
}

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
  // What stands between a real mstconfig and the emulated card in tests without a machine.
  { package: "gcc", program: "gcc" },
  { package: "libc6-dev", files: ["/usr/include/dlfcn.h"] },
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
  const missing = needs.filter(({ program, files }) => !(program ? hasProgram(program) : (files ?? []).some((file) => existsSync(file)))).map((need) => need.package);
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
 * @returns a sentence when this machine has no way to them
 */
export async function installation(root: string, packages: readonly string[]): Promise<Installation | string> {
  if (!hasProgram("apt-get")) return "this is no Debian or Ubuntu; those are Debian's names, install what they hold";
  const apt = (...args: string[]): Command => ({ file: "apt-get", args, env: { DEBIAN_FRONTEND: "noninteractive" } });
  const install = (...args: string[]): Command => apt("install", "--yes", "--no-install-recommends", "--option=DPkg::Lock::Timeout=600", ...args);
  const qemu = packages.filter((name) => qemuPackages.includes(name));
  const others = packages.filter((name) => !qemuPackages.includes(name));
  const rest = others.length > 0 ? [install(...others)] : [];
  if (!qemu.includes("qemu-system-x86") || (await candidateMajor("qemu-system-x86")) >= oldestQemu) return { commands: [apt("update"), ...(qemu.length > 0 ? [install(...qemu)] : []), ...rest] };

  const { id, codename } = release();
  if (id !== "debian" || !codename) return `QEMU ${oldestQemu} or newer is needed; this release has an older one, and only Debian's backports are known to have it`;
  const needed = `QEMU ${oldestQemu} or newer is needed, from ${codename}-backports`;
  if (!hasProgram("python3")) return `${needed}, and a Python program finds out from where: install python3 first`;
  const derived = await run({ file: "python3", args: [join(root, aptSources), "backports", codename] });
  if (derived.code !== 0) return `${needed}; ${derived.output.trim()}`;
  return {
    ...(derived.stdout === "" ? {} : { file: { path: backportsPath, text: `${derived.stdout}\n` } }),
    // Both, because the tools and the emulator come from one source and share libraries.
    commands: [apt("update"), install("--target-release", `${codename}-backports`, ...qemuPackages), ...rest],
  };
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
  return { id: field("ID"), codename: field("VERSION_CODENAME"), version: Number.parseInt(field("VERSION_ID"), 10) || Infinity };
}

export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

export function writeSystemFile({ path, text }: { readonly path: string; readonly text: string }): void {
  writeFileSync(path, text, { mode: 0o644 });
}
