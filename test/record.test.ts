import { strict as assert } from "node:assert";
import { join } from "node:path";
import { root } from "../generator/artefacts/sources.js";
import { readText } from "../generator/system/disk.js";
import { guestOf, noRows, recordHead, recordRow, withRows } from "../generator/workshop/record.js";
import { scenarios } from "../generator/workshop/scenarios.js";

const page = readText(join(root, "docs", "your-images.md"));
const line =
  '22:01:07     "msg": "rig-guest: Rocky Linux 9.6 (Blue Onyx); 5.14.0-570.el9.x86_64 x86_64; 252; GRUB with grubby"';
const guest = {
  release: "Rocky Linux 9.6 (Blue Onyx)",
  kernel: "5.14.0-570.el9.x86_64 x86_64",
  systemd: "252",
  loader: "GRUB with grubby",
};
const row =
  "| 2026-12-01 | Rocky Linux 9.6 (Blue Onyx) | 5.14.0-570.el9.x86_64 x86_64 | 252 | GRUB with grubby | intel | passed |";

/** What is wrong with the table of a page. */
function faults(text: string): string[] {
  const rows = text
    .slice(text.indexOf(recordHead))
    .split("\n")
    .filter((one) => one.startsWith("|"))
    .slice(2);
  const names = scenarios(root).join("|");
  const form = new RegExp(
    `^\\| \\d{4}-\\d\\d-\\d\\d \\| (not reached \\|  \\|  \\|  |([^|]+ \\| ){3}[^|]+ )\\| (${names}) \\| (passed|failed) \\|$`,
  );
  return [
    ...(text.includes(recordHead) ? [] : ["no table"]),
    ...(text.includes(noRows) === (rows.length === 0) ? [] : ["the sentence that there is no row"]),
    ...rows.filter((one) => !form.test(one)),
  ];
}

describe("the record of runs by users", () => {
  it("is a table of rows in one form, and says when there is none", () => assert.deepEqual(faults(page), []));

  it("gets what the guest says of itself from the log, as raw and with colours taken away", () => {
    assert.deepEqual(guestOf(["other", line]), guest);
    assert.equal(guestOf(["other", "rig-guest: only; two"]), undefined);
    assert.equal(guestOf([]), undefined);
  });

  it("has a row for a run, in the form of the page", () => {
    const date = new Date("2026-12-01T23:59:59Z");
    assert.equal(recordRow({ scenario: "intel", outcome: "passed" }, guest, date), row);
    const unreached = recordRow({ scenario: "amd", outcome: "failed" }, undefined, date);
    assert.equal(unreached, "| 2026-12-01 | not reached |  |  |  | amd | failed |");
    const once = withRows(page, [row]);
    assert.deepEqual(faults(withRows(once, [unreached])), []);
    assert.ok(withRows(once, [unreached]).endsWith(`${row}\n${unreached}\n`));
  });

  it("finds a row of another form, and a page without its table", () => {
    assert.deepEqual(faults(withRows(page, ["| yesterday | mine |"])), ["| yesterday | mine |"]);
    assert.deepEqual(faults(`${page}| 1 |\n`).length > 0, true);
    assert.throws(() => withRows("# a page\n", [row]), /does not end with its table/);
  });
});
