// `npm test`: set up, then everything that can fail, and one closing line with the totals.
// `npm run test:unit` is the same without VMs, artefacts and system packages.
import { join } from "node:path";
import { root } from "./artefacts.js";
import { addTotals, closingLine, lintTotals, mochaTotals, none, pytestTotals, scenarioTotals, single } from "./totals.js";
import type { Totals } from "./totals.js";
import { programFolders, pythonTools, setup } from "./setup.js";
import type { ProgramFolders } from "./setup.js";
import { run } from "./tools.js";
import type { Command } from "./tools.js";

const fast = process.argv.includes("--fast");
const want = { machines: !fast };

interface Stage {
  readonly title: string;
  readonly command: Command;
  /** What the output says that was tested. */
  readonly totals: (output: string, code: number) => Totals;
}

const cli = (...args: string[]): Command => ({ file: process.execPath, args: [join(root, "build", "generator", "cli.js"), ...args], cwd: root });

function stages(bin: string, programs: ProgramFolders): Stage[] {
  const environment = {
    PATH: `${bin}:${process.env["PATH"] ?? ""}`,
    ANSIBLE_CONFIG: join(root, "generator", "ansible.cfg"),
    ANSIBLE_HOME: join(root, "build", "ansible"),
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const pytest = (title: string, folder: string): Stage => ({
    title,
    command: { file: join(bin, "python"), args: ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", folder], cwd: root, env: { ...environment, ...programs } },
    totals: pytestTotals,
  });
  const unit: Stage[] = [
    { title: "mocha", command: { file: process.execPath, args: [join("node_modules", "mocha", "bin", "mocha.js")], cwd: root, env: environment }, totals: mochaTotals },
    pytest("pytest", "test/python"),
    pytest("pytest with Kayobe, Kolla Ansible, Nova and Neutron", "test/openstack"),
  ];
  if (fast) return unit;
  return [
    ...unit,
    { title: "generate", command: cli("generate"), totals: single },
    { title: "check", command: cli("check"), totals: single },
    { title: "lint", command: cli("lint"), totals: lintTotals },
    { title: "build", command: cli("build"), totals: single },
    pytest("pytest of publishing, with a Galaxy on this machine", "test/galaxy"),
    { title: "verify", command: cli("verify"), totals: scenarioTotals },
  ];
}

async function main(): Promise<number> {
  const stop: { asked: boolean; pid?: number } = { asked: false };
  const onSignal = (): void => {
    // The stage cleans up after itself (verify destroys its VMs); this process must outlive it.
    if (!stop.asked && stop.pid !== undefined) process.kill(stop.pid, "SIGTERM");
    stop.asked = true;
  };
  const faults = await setup(root, want);
  if (faults.length > 0) {
    for (const fault of faults) console.error(fault);
    console.log(closingLine(single("", 1)));
    return 1;
  }
  // Not before: what is being set up is to stop like any command.
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGHUP", onSignal);
  let totals = none;
  for (const { title, command, totals: read } of stages(await pythonTools(root), await programFolders(root, want))) {
    console.log(`\n==== ${title}`);
    const { code, output, seconds } = await run(command, { onLine: (line) => console.log(line), onStart: (pid) => (stop.pid = pid) });
    delete stop.pid;
    const found = read(output, code);
    console.log(`==== ${title}: ${closingLine(found)}, in ${Math.round(seconds)} s`);
    totals = addTotals(totals, found);
    // Without current artefacts the rest would test something else.
    if (stop.asked || (title === "generate" && code !== 0)) break;
  }
  console.log(`\n${closingLine(totals)}`);
  return stop.asked || totals.failed + totals.skipped > 0 || totals.passed === 0 ? 1 : 0;
}

process.exitCode = await main();
