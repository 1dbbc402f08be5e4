import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { parse } from "yaml";
import { readText } from "../generator/system/disk.js";
import {
  legend,
  parts,
  readLog,
  readTaskTimes,
  stamped,
  stepWords,
  timings,
  timingsReport,
} from "../generator/workshop/timings.js";
import type { Seconds, TaskTime } from "../generator/workshop/timings.js";
import { root } from "./support.js";

const zero = Date.parse("2026-01-01T23:59:00.000Z");

/** A log of lines with the seconds at which they came. */
function log(...lines: readonly (readonly [seconds: number, text: string])[]): ReturnType<typeof readLog> {
  return readLog(lines.map(([seconds, text]) => `${stamped(new Date(zero + seconds * 1000), text)}\n`).join(""));
}

/** Tasks with the seconds at which they began and ended. */
function tasks(...all: readonly (readonly [start: number, end: number, task: string, action?: string])[]): TaskTime[] {
  return all.map(([start, end, task, action = "ansible.builtin.debug"]) => ({
    task,
    action,
    start: zero / 1000 + start,
    end: zero / 1000 + end,
  }));
}

function seconds(some: Partial<Seconds>): Seconds {
  return { boots: 0, tasks: 0, ansible: 0, step: 0, state: 0, ...some };
}

// As Molecule and Ansible wrote it, with a part of the steps left out.
const whole = [
  [0, "CRITICAL 'molecule/default/molecule.yml' glob failed.  Exiting."],
  [1, "INFO     [trouble > discovery] scenario test matrix: destroy, create, verify, destroy"],
  [1, "INFO     [trouble > destroy] Executing"],
  [3, "PLAY [Destroy] *****************************************************************"],
  [3, "TASK [Stop the machine and remove its folder] **********************************"],
  [4, "ok: [localhost] => (item=trouble)"],
  [4, "PLAY RECAP *********************************************************************"],
  [
    4,
    "localhost                  : ok=1    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0",
  ],
  [5, "INFO     [trouble > destroy] Executed: Successful"],
  [5, "INFO     [trouble > create] Executing"],
  [7, "TASK [A scenario has a machine] ************************************************"],
  [8, "TASK [Start the machine and wait until it has booted] **************************"],
  [94, "changed: [localhost] => (item=trouble)"],
  [94, "TASK [What runs] ***************************************************************"],
  [94, '        "rig: ssh after 84 s, all units after 86 s, the system is running"'],
  [95, "INFO     [trouble > create] Executed: Successful"],
  [95, "INFO     [trouble > verify] Executing"],
  [98, "TASK [A scenario has steps] ****************************************************"],
  [98, "TASK [Step] ********************************************************************"],
  [100, "TASK [Before: both have VFs: one reboot] ***"],
  [106, "TASK [Hardware: both have VFs: one reboot] ***"],
  [106, "skipping: [trouble]"],
  [106, "TASK [On the machine: both have VFs: one reboot] ***"],
  [108, "changed: [trouble]"],
  [108, "TASK [Run: both have VFs: one reboot] ***"],
  [150, "changed: [trouble -> localhost(127.0.0.1)]"],
  [150, "TASK [After: both have VFs: one reboot] ***"],
  [154, "ok: [trouble]"],
  [154, "TASK [Also: both have VFs: one reboot] ***"],
  [155, "TASK [Check: both have VFs: one reboot] ***"],
  [156, "TASK [State: both have VFs: one reboot] ***"],
  [156, "TASK [Before: a boot without the second [PF]] ***"],
  [156, "skipping: [trouble]"],
  [156, "TASK [Hardware: a boot without the second [PF]] ***"],
  [158, "changed: [trouble -> localhost(127.0.0.1)] => (item=['unplug', '2'])"],
  [190, "changed: [trouble -> localhost(127.0.0.1)] => (item=['restart', '--missing', '2', '--wait', '3600'])"],
  [191, "changed: [trouble -> localhost(127.0.0.1)] => (item=['reset'])"],
  [221, "changed: [trouble -> localhost(127.0.0.1)] => (item=['wait-ssh'])"],
  [222, "TASK [After: a boot without the second [PF]] ***"],
  [225, "PLAY RECAP *********************************************************************"],
  [226, "INFO     [trouble > verify] Executed: Successful"],
  [226, "INFO     [trouble > destroy] Executing"],
  [229, "PLAY RECAP *********************************************************************"],
  [230, "trouble                   : actions=4  successful=4  disabled=0  skipped=0  missing=0  failed=0"],
] as const;

const played = tasks(
  [109, 112, "stackhpc.sriov.sriov : Find the PFs"],
  [113, 118, "stackhpc.sriov.sriov : Set the VFs"],
  [119, 147, "Reboot", "ansible.builtin.reboot"],
  [147, 149, "stackhpc.sriov.sriov : Set the VFs"],
);

describe(timings.name, () => {
  it("has every second once, by steps and by what it was spent on", () => {
    const { rows } = timings(log(...whole), played);
    deepStrictEqual(rows, [
      { title: "molecule", seconds: seconds({ ansible: 1 }) },
      { title: "destroy", seconds: seconds({ ansible: 8 }) },
      { title: "create", seconds: seconds({ ansible: 4, boots: 86 }) },
      { title: "verify", seconds: seconds({ ansible: 5 }) },
      {
        title: "both have VFs: one reboot",
        seconds: seconds({ state: 11, step: 3, boots: 28, tasks: 10, ansible: 4 }),
      },
      { title: "a boot without the second [PF]", seconds: seconds({ step: 4, boots: 62, state: 3, ansible: 1 }) },
    ]);
    strictEqual(
      rows.flatMap((row) => parts.map((part) => row.seconds[part])).reduce((a, b) => a + b),
      230,
    );
  });

  it("sums the tasks by name, longest first", () => {
    deepStrictEqual(timings(log(...whole), played).tasks, [
      { task: "Reboot", count: 1, seconds: 28, longest: 28 },
      { task: "stackhpc.sriov.sriov : Set the VFs", count: 2, seconds: 7, longest: 5 },
      { task: "stackhpc.sriov.sriov : Find the PFs", count: 1, seconds: 3, longest: 3 },
    ]);
  });

  it("of a log that ends in a run has it up to that point", () => {
    const { rows } = timings(
      log([0, "INFO     a ➜ verify: Executing"], [2, "TASK [Run: one] ***"], [9, "fatal: [a]: FAILED!"]),
      tasks([3, 5, "One"]),
    );
    deepStrictEqual(rows, [
      { title: "verify", seconds: seconds({ ansible: 2 }) },
      { title: "one", seconds: seconds({ ansible: 5, tasks: 2 }) },
    ]);
  });

  it("of nothing is nothing", () => deepStrictEqual(timings([], []), { rows: [], tasks: [] }));

  it("knows every task of a step", () => {
    const steps = parse(readText(join(root, "molecule/shared/step.yml"))) as { name: string }[];
    const words = new Set(steps.map(({ name }) => name.replace(/: \{\{ step\.title \}\}$/, "")));
    deepStrictEqual([...words], [...stepWords]);
  });

  it("knows the task that starts the machine", () =>
    match(
      readText(join(root, "molecule/shared/create.yml")),
      /^ {4}- name: Start the machine and wait until it has booted$/m,
    ));
});

describe(readLog.name, () => {
  it("is what was stamped, over midnight, and leaves out what was not", () => {
    deepStrictEqual(readLog("old line\n2026-01-01T23:59:59.999Z one \n\n2026-01-02T00:00:00.001Z \n"), [
      { at: zero + 59_999, text: "one " },
      { at: zero + 60_001, text: "" },
    ]);
  });
});

describe(readTaskTimes.name, () => {
  // Written by the callback under ansible-core 2.19; the second task had two hosts.
  const notes = `{"at": 1795735400.3988242, "task": "One", "action": "ansible.builtin.command"}
{"at": 1795735401.216778}
{"at": 1795735401.2272944, "task": "Two", "action": "ansible.builtin.debug"}
{"at": 1795735401.3030524}
{"at": 1795735402.3030524}
{"at": 1795735403.3053837, "task": "ended by a signal", "action": "ansible.builtin.reboot"}
`;
  it("ends a task with its last host, and one without an end where it began", () => {
    deepStrictEqual(readTaskTimes(notes), [
      { task: "One", action: "ansible.builtin.command", start: 1795735400.3988242, end: 1795735401.216778 },
      { task: "Two", action: "ansible.builtin.debug", start: 1795735401.2272944, end: 1795735402.3030524 },
      {
        task: "ended by a signal",
        action: "ansible.builtin.reboot",
        start: 1795735403.3053837,
        end: 1795735403.3053837,
      },
    ]);
  });
  it("is nothing where nothing was played", () => deepStrictEqual(readTaskTimes(""), []));
});

describe(timingsReport.name, () => {
  it("is two tables, without tasks of less than a second", () => {
    const report = timingsReport(
      "trouble",
      timings(log(...whole), [...played, ...tasks([118, 118.9, "Say what is due"])]),
    );
    strictEqual(
      report,
      `Where the time of trouble went, in seconds:
   boots   tasks ansible    step   state     all  step
     0.0     0.0     1.0     0.0     0.0     1.0  molecule
     0.0     0.0     8.0     0.0     0.0     8.0  destroy
    86.0     0.0     4.0     0.0     0.0    90.0  create
     0.0     0.0     5.0     0.0     0.0     5.0  verify
    28.0    10.9     3.1     3.0    11.0    56.0  both have VFs: one reboot
    62.0     0.0     1.0     4.0     3.0    70.0  a boot without the second [PF]
   176.0    10.9    22.1     7.0    14.0   230.0  all of trouble
   count longest     all  tasks of its playbooks
       1    28.0    28.0  Reboot
       2     5.0     7.0  stackhpc.sriov.sriov : Set the VFs
       1     3.0     3.0  stackhpc.sriov.sriov : Find the PFs`,
    );
  });
  it("has no second table without tasks, and cuts long titles", () => {
    const report = timingsReport(
      "a",
      timings(log([0, "INFO     [a > verify] Executing"], [1, `TASK [After: ${"x".repeat(100)}] ***`], [2, ""]), []),
    );
    match(report, /^ +0\.0 .* 1\.0  x{69}…\n.* all of a$/m);
  });
  it("has a word for each of its columns", () =>
    deepStrictEqual(
      legend()
        .split("\n")
        .map((line) => line.split(" ")[0]),
      [...parts],
    ));
});
