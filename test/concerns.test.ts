import { deepStrictEqual, notStrictEqual, ok } from "node:assert/strict";
import { concernProblems } from "../generator/artefacts/concerns.js";
import { readSources, root } from "../generator/artefacts/sources.js";

const { role, template } = readSources(root);
const known = new Set(role.variables.map(({ name }) => name));
const code = template.files.find(({ text }) => /^CONCERNS = /m.test(text))!;
const codePath = code.path;
const [lastTwo, kernel, vfs] = /("kernel": \w+), ("vfs": \w+)/.exec(code.text)!;

/** The faults of role-template/ with one place of one file written otherwise. */
function faults(path: string, from: string, to: string): string[] {
  const files = template.files.map((file) => {
    if (file.path !== path) return file;
    const text = file.text.replace(from, to);
    notStrictEqual(text, file.text, `${path} has no ${from}`);
    return { ...file, text };
  });
  return concernProblems(known, files).map(({ file, message }) => `${file.replace("role-template/", "")}: ${message}`);
}

describe("the concerns of a host", () => {
  it("are the same in every place", () => deepStrictEqual(concernProblems(known, template.files), []));

  const cases: [title: string, path: string, from: string, to: string, fault: string][] = [
    [
      "one that the list alone has",
      "vars/main/main.yml",
      "  mlx4: {}\n",
      "  mlx4: {}\n  bios:\n    wait: 1\n",
      `${codePath}: CONCERNS has no bios, which __sriov_options in vars/main/main.yml has`,
    ],
    [
      "one that the code alone has",
      codePath,
      '"vfs": ',
      '"bios": bios, "vfs": ',
      `vars/main/main.yml: __sriov_options has no bios, which CONCERNS in ${codePath} has`,
    ],
    [
      "one that the list lost",
      "vars/main/main.yml",
      "  mlx4: {}\n",
      "",
      "tasks/unsettled.yml: tasks/mlx4.yml is for the concern mlx4, which __sriov_options in vars/main/main.yml does not have",
    ],
    [
      "one without a task",
      "tasks/mlx4.yml",
      "register: __sriov_mlx4",
      "register: __sriov_mlx",
      "tasks/: no task registers __sriov_mlx4: that of the concern mlx4 has to",
    ],
    [
      "one that is not done",
      "tasks/unsettled.yml",
      "import_tasks: vfs.yml",
      "import_tasks: mlx4.yml",
      "tasks/unsettled.yml: it does not import tasks/vfs.yml when: \"'vfs' in __sriov_found.look_again\"",
    ],
    [
      "one that is done with any sriov_action",
      "tasks/unsettled.yml",
      "  when: \"'vfs' in __sriov_found.look_again\"\n",
      "",
      "tasks/unsettled.yml: it does not import tasks/vfs.yml when: \"'vfs' in __sriov_found.look_again\"",
    ],
    [
      "one that runs though nothing must be changed",
      "tasks/vfs.yml",
      "'vfs' not in __sriov_found.settled",
      "true",
      "tasks/vfs.yml: its task has no condition \"'vfs' not in __sriov_found.settled\"",
    ],
    [
      "another order",
      codePath,
      lastTwo,
      `${vfs}, ${kernel}`,
      "tasks/unsettled.yml: the concerns come as firmware, mlx4, kernel, vfs, and CONCERNS has firmware, mlx4, vfs, kernel",
    ],
    [
      "one that sriov_look's documentation lacks",
      "plugins/modules/sriov_look.py",
      "C(mlx4)",
      "C(mlx5)",
      "plugins/modules/sriov_look.py: its documentation does not name the concern mlx4: write C(mlx4)",
    ],
  ];
  for (const [title, path, from, to, fault] of cases)
    it(`are refused: ${title}`, () => {
      const found = faults(path, from, to);
      ok(found.includes(fault), found.join("\n"));
    });
});

describe("what a look after a reboot gets", () => {
  const of = "which the look after a reboot does not get: take it from";
  const cases: [title: string, path: string, from: string, to: string, fault: string][] = [
    [
      "a variable that a task hands to the module by itself",
      "tasks/vfs.yml",
      "{{ __sriov_options.vfs.boot_wait }}",
      "{{ sriov_numvfs }}",
      `tasks/vfs.yml: it reads sriov_numvfs, ${of} __sriov_options.vfs in vars/main/main.yml`,
    ],
    [
      "a variable in a condition",
      "tasks/mlx4.yml",
      "'mlx4' not in __sriov_found.settled",
      "sriov_iommu_enabled | bool",
      `tasks/mlx4.yml: it reads sriov_iommu_enabled, ${of} __sriov_options.mlx4 in vars/main/main.yml`,
    ],
    [
      "a variable behind another one",
      "vars/main/main.yml",
      "if not sriov_firmware_exact | bool",
      "if not sriov_workdir",
      `tasks/firmware.yml: it reads sriov_workdir, ${of} __sriov_options.firmware in vars/main/main.yml`,
    ],
    [
      "an option that the task does not have",
      "vars/main/main.yml",
      "    boot_wait:",
      "    boots: 1\n    boot_wait:",
      "tasks/vfs.yml: the module does not get boots, which __sriov_options.vfs in vars/main/main.yml has",
    ],
    [
      "an option with another value",
      "tasks/vfs.yml",
      "{{ __sriov_options.vfs.boot_wait }}",
      "30",
      'tasks/vfs.yml: boot_wait is not "{{ __sriov_options.vfs.boot_wait }}"',
    ],
    [
      "a variable of another run",
      "tasks/reboot.yml",
      "{{ __sriov_applied.reboot_timeout }}",
      "{{ sriov_reboot_timeout }}",
      "tasks/reboot.yml: it reads sriov_reboot_timeout, which may be another run's: take it from __sriov_applied",
    ],
    [
      "the options of another run",
      "tasks/reboot.yml",
      "{{ __sriov_applied.concerns }}",
      "{{ __sriov_options }}",
      "tasks/reboot.yml: it reads sriov_boot_wait, which may be another run's: take it from __sriov_applied",
    ],
    [
      "what one end of a run leaves alone",
      "tasks/settled.yml",
      "      reboot_timeout:",
      "      reboot_wait:",
      "tasks/settled.yml: __sriov_applied has no reboot_timeout, which it has in tasks/summary.yml",
    ],
    [
      "what the other end leaves alone",
      "tasks/summary.yml",
      "      reboot_timeout:",
      "      reboot_wait:",
      "tasks/summary.yml: __sriov_applied has no reboot_timeout, which it has in tasks/settled.yml",
    ],
    [
      "what neither leaves",
      "tasks/reboot.yml",
      "__sriov_applied.devices",
      "__sriov_applied.cards",
      "tasks/summary.yml: __sriov_applied has no cards, which something reads",
    ],
    [
      "what both leave, with other values",
      "tasks/settled.yml",
      "{{ sriov_reboot_timeout }}",
      "{{ sriov_numvfs }}",
      "tasks/settled.yml: reboot_timeout of __sriov_applied is not what it is in tasks/summary.yml",
    ],
  ];
  for (const [title, path, from, to, fault] of cases)
    it(`is refused: ${title}`, () => {
      const found = faults(path, from, to);
      ok(found.includes(fault), found.join("\n"));
    });
});
