import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { readText } from "../generator/system/disk.js";
import { perFurtherHost, table } from "../generator/workshop/figures.js";
import type { ControllerCost, Figures, Spread } from "../generator/workshop/figures.js";
import { root } from "./support.js";

const once = (value: number): Spread => ({ min: value, median: value, max: value, runs: 1 });
const cost = (cpu: Spread, more: Partial<ControllerCost> = {}): ControllerCost => ({
  cpu,
  wall: once(2),
  memory: once(61.4),
  ok: 4,
  skipped: 2,
  included: 0,
  executions: 2,
  ...more,
});

const here: Figures = {
  title: "a.sriov 2",
  machine: "m",
  controller: { converged: { 1: cost(once(2)), 21: cost({ min: 9, median: 10, max: 11.25, runs: 3 }) } },
  host: { "sriov-vfs boot": { "1x16": { cpu: once(0.0312), wall: once(0.04) } } },
};
const old: Figures = {
  title: "b.linux 1",
  machine: "m",
  controller: { converged: { 1: cost(once(4), { ok: 42, skipped: 15, included: 5, executions: 24.5 }) } },
  host: {},
};

describe(table.name, () => {
  it("has a column for each collection, with a dash for what was not measured", () =>
    strictEqual(
      `\n${table([here, old])}`,
      `
                                                                   a.sriov 2    b.linux 1
converged hosts: ok / skipped / included results of each           4 / 2 / 0  42 / 15 / 5
  remote executions of each                                                2         24.5
  1 hosts, CPU s of all                                                  2.0          4.0
  1 hosts, wall s                                                        2.0          2.0
  1 hosts, MB of the largest process                                      61           61
  21 hosts, CPU s of all                                  10.0 (9.0 to 11.3)            -
  21 hosts, wall s                                                       2.0            -
  21 hosts, MB of the largest process                                     61            -
  CPU s of each further host                                            0.40            -
sriov-vfs boot, CPU ms (PFs x VFs of each)
  1x16                                                                    31            -`,
    ));
});

describe(perFurtherHost.name, () => {
  it("is the slope between the fewest and the most hosts", () =>
    strictEqual(
      perFurtherHost({ 100: cost(once(43)), 1: cost(once(3)), 11: cost(once(9)), 101: cost(once(53)) }),
      0.5,
    ));
  it("takes more than one number of hosts", () => strictEqual(perFurtherHost({ 20: cost(once(3)) }), undefined));
});

describe("bench/last_release.json", () => {
  const figures = JSON.parse(readText(join(root, "bench", "last_release.json"))) as Figures;
  it("is of a release of the changelog, not newer than this one", () => {
    const releases = [...readText(join(root, "role-template", "CHANGELOG.md")).matchAll(/^## (\S+)/gm)].map(
      (match) => `stackhpc.sriov ${match[1]}`,
    );
    ok(releases.includes(figures.title), figures.title);
  });
  it("names what it was measured on, and has both cases and every program", () => {
    ok(/\d+ processors \(.+\), Python \S+, ansible-core \S+/.test(figures.machine), figures.machine);
    deepStrictEqual(Object.keys(figures.controller).sort(), ["converged", "fresh"]);
    deepStrictEqual(Object.keys(figures.host).sort(), [
      "sriov-vfs boot",
      "sriov-vfs status",
      "sriov_devices",
      "sriov_vfs",
      "start of Python",
    ]);
  });
});
