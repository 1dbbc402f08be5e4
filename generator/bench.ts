import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./artefacts.js";
import { makeFolder, removeFolder } from "./disk.js";
import { pythonTools, setup } from "./setup.js";
import { exit } from "./terminal.js";
import { run } from "./tools.js";
import type { Command } from "./tools.js";

const runs = 5;

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
 * `sriov-role bench`: whole processes from a cold start, as a person waits for them, then the role on a machine with eight PFs.
 *
 * @param fast leave the machine out
 * @returns an exit code
 */
export async function bench({ fast = false }: { readonly fast?: boolean }): Promise<number> {
  await benchProcesses();
  if (fast) return exit.good;
  const faults = await setup(root, { machines: true });
  for (const fault of faults) console.error(fault);
  if (faults.length > 0) return exit.failed;
  const bin = await pythonTools(root);
  const steps: Command[] = [
    { file: process.execPath, args: [join(root, "build", "generator", "cli.js"), "generate"], cwd: root },
    { file: join(bin, "python"), args: ["-u", join("molecule", "rig", "bench.py")], cwd: root, env: { PATH: `${bin}:${process.env["PATH"] ?? ""}` } },
  ];
  for (const step of steps) {
    const { code, output } = await run(step, { onLine: (line) => console.log(line) });
    if (code !== 0) throw new Error(`${step.args.join(" ")} ended with ${code}:\n${output}`);
  }
  return exit.good;
}

async function benchProcesses(): Promise<void> {
  const out = makeFolder(join(tmpdir(), "sriov-role-bench-"));
  const cli = (...args: string[]): Command => ({ file: process.execPath, args: [join(root, "build", "generator", "cli.js"), ...args, "--out", out], cwd: root });
  const nothing = (): void => undefined;
  console.log(`whole processes, median of ${runs}, ${availableParallelism()} cores, Node.js ${process.versions.node}`);
  const row = (title: string, seconds: number): void => console.log(`${title.padEnd(34)} ${seconds.toFixed(2).padStart(6)} s`);
  try {
    row("generate into an empty folder", await median(cli("generate"), () => removeFolder(out)));
    row("generate, nothing to write", await median(cli("generate"), nothing));
    row("check", await median(cli("check"), nothing));
  } finally {
    removeFolder(out);
  }
}
