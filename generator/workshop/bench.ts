import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { root } from "../artefacts/sources.js";
import { isFile, makeFolder, readText, removeFolder, writeTree } from "../system/disk.js";
import { table } from "./figures.js";
import type { Figures } from "./figures.js";
import { pythonTools, setup } from "./setup.js";
import { exit } from "../system/terminal.js";
import { run } from "../system/process.js";
import type { Command } from "../system/process.js";

const runs = 5;
const lastRelease = join("bench", "last_release.json");
const collection = join(root, "dist", "collections", "ansible_collections", "stackhpc", "sriov");

/** Seconds of the middle run. Each begins with what `before` leaves. */
async function median(command: Command, before: () => void): Promise<number> {
  const seconds: number[] = [];
  for (let count = 0; count < runs; count++) {
    before();
    const outcome = await run(command);
    if (outcome.code !== 0) throw new Error(`${command.args.join(" ")} ended with ${outcome.code}:\n${outcome.output}`);
    seconds.push(outcome.seconds);
  }
  return seconds.sort((a, b) => a - b)[Math.floor(runs / 2)]!;
}

/**
 * `sriov-role bench`: whole processes from a cold start, as a person waits for them; what the role costs the controller
 * and a host, next to the figures of the last release; then the role on a machine with eight PFs.
 *
 * @param fast leave the machine out
 * @param against the folder of another collection with a role sriov, which is measured in the same run
 * @param hosts how many hosts are simulated, by commas
 * @param save keep the figures as those of the last release
 * @returns an exit code
 */
export async function bench({
  fast = false,
  against,
  hosts = "1,20,100,300",
  save = false,
}: {
  readonly fast?: boolean;
  readonly against?: string;
  readonly hosts?: string;
  readonly save?: boolean;
}): Promise<number> {
  const numbers = hosts.split(",");
  if (!numbers.every((number) => /^[1-9]\d{0,3}$/.test(number))) {
    console.error(`--hosts ${hosts}: give whole numbers with commas between them, as 1,20`);
    return exit.wrongUse;
  }
  if (against !== undefined && !["galaxy.yml", "MANIFEST.json"].some((name) => isFile(join(against, name)))) {
    console.error(`${against} is not a collection: give the folder that holds galaxy.yml or MANIFEST.json, and roles`);
    return exit.wrongUse;
  }
  await benchProcesses();
  const faults = await setup(root, { machines: !fast, series: [] });
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return exit.failed;
  const bin = await pythonTools(root);
  const env = { PATH: `${bin}:${process.env["PATH"] ?? ""}`, PYTHONDONTWRITEBYTECODE: "1" };
  const python = (...args: string[]): Command => ({ file: join(bin, "python"), args: ["-u", ...args], cwd: root, env });
  await runShown({
    file: process.execPath,
    args: [join(root, "build", "generator", "main.js"), "generate"],
    cwd: root,
  });
  const here = await measured(collection, numbers, python);
  const before = JSON.parse(readText(join(root, lastRelease))) as Figures;
  const columns = [here, before, ...(against === undefined ? [] : [await measured(resolve(against), numbers, python)])];
  console.log("\nsimulated hosts, and a tree of files in place of /sys: median (min to max)");
  for (const { title, machine } of columns) console.log(`  ${title}: ${machine}`);
  console.log(table(columns));
  if (save) writeTree(root, [{ path: lastRelease, text: `${JSON.stringify(here, null, 1)}\n` }]);
  if (!fast) await runShown(python(join("molecule", "rig", "bench.py")));
  return exit.good;
}

async function runShown(command: Command): Promise<void> {
  const { code, output } = await run(command, { onLine: (line) => console.log(line) });
  if (code !== 0) throw new Error(`${command.args.join(" ")} ended with ${code}:\n${output}`);
}

/** What one collection costs the controller and a host. */
async function measured(
  folder: string,
  hosts: readonly string[],
  python: (...args: string[]) => Command,
): Promise<Figures> {
  const print = async (...args: string[]): Promise<Partial<Figures>> => {
    const { code, stdout, output } = await run(python(...args, "--collection", folder));
    if (code !== 0) throw new Error(`${args.join(" ")} ended with ${code}:\n${output}`);
    return JSON.parse(stdout) as Partial<Figures>;
  };
  return {
    ...(await print(join("bench", "controller.py"), "--hosts", ...hosts)),
    ...(await print(join("bench", "host.py"))),
  } as Figures;
}

async function benchProcesses(): Promise<void> {
  const out = makeFolder(join(tmpdir(), "sriov-role-bench-"));
  const cli = (...args: string[]): Command => ({
    file: process.execPath,
    args: [join(root, "build", "generator", "main.js"), ...args, "--out", out],
    cwd: root,
  });
  const nothing = (): void => undefined;
  console.log(`whole processes, median of ${runs}, ${availableParallelism()} cores, Node.js ${process.versions.node}`);
  const row = (title: string, seconds: number): void =>
    console.log(`${title.padEnd(34)} ${seconds.toFixed(2).padStart(6)} s`);
  try {
    row("generate into an empty folder", await median(cli("generate"), () => removeFolder(out)));
    row("generate, nothing to write", await median(cli("generate"), nothing));
    row("check", await median(cli("check"), nothing));
  } finally {
    removeFolder(out);
  }
}
