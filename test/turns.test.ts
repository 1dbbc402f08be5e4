import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../generator/artefacts/sources.js";
import { scenarios, turnOf } from "../generator/workshop/scenarios.js";
import { countOfCommits, dueReport, dueScenarios, turns } from "../generator/workshop/turns.js";
import { temporary } from "./support.js";

const text = (path: string): string => readFileSync(join(root, path), "utf8");

/** A repository with scenarios; undefined for one without a turn. */
function withScenarios(given: { readonly [name: string]: number | undefined }): string {
  const folder = temporary();
  for (const [name, turn] of Object.entries(given)) {
    mkdirSync(join(folder, "molecule", name), { recursive: true });
    writeFileSync(join(folder, "molecule", name, "molecule.yml"), "---\n");
    writeFileSync(join(folder, "molecule", name, "steps.yml"), turn === undefined ? "steps: []\n" : `turn: ${turn}\n`);
  }
  return folder;
}

describe("scenarios in turn", () => {
  const folder = withScenarios({ always: undefined, first: 1, other: 1, second: 2, third: 3, fourth: 4 });

  it("run with those that have no turn, each with one of so many commits in a row", () => {
    const due = [8, 9, 10, 11, 12].map((count) => dueScenarios(folder, count).due);
    deepStrictEqual(due, [
      ["always", "first", "other"],
      ["always", "second"],
      ["always", "third"],
      ["always", "fourth"],
      ["always", "first", "other"],
    ]);
  });

  it("are named when they are left out, with the command that runs all", () => {
    const found = dueScenarios(folder, 9);
    deepStrictEqual([...found.due, ...found.left].sort(), scenarios(folder));
    match(
      dueReport(found) ?? "",
      /^Turn 2 of 4, by the number of the commit: 2 of 6 scenarios\.\nLeft out, until their turn: first, fourth, other, third\.\n.*npm test -- --all/,
    );
  });

  it("are all due where git does not know the commit", async () => {
    strictEqual(await countOfCommits(folder), undefined);
    const found = dueScenarios(folder, undefined);
    deepStrictEqual([found.due, found.left, dueReport(found)], [scenarios(folder), [], undefined]);
  });

  it("follow the number of commits that git counts", async () => {
    const repository = temporary();
    const git = (...args: string[]): void => void execFileSync("git", args, { cwd: repository });
    git("init", "-q");
    for (const count of [1, 2, 3]) {
      git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x");
      strictEqual(await countOfCommits(repository), count);
    }
  });
});

describe("the turns of this repository", () => {
  const ofTurn = (turn: number | undefined): string[] => scenarios(root).filter((name) => turnOf(root, name) === turn);
  const numbers = Array.from({ length: turns }, (_, index) => index + 1);

  it("have a scenario each, and every scenario has one or runs always", () => {
    for (const turn of numbers) ok(ofTurn(turn).length > 0, `turn ${turn}`);
    deepStrictEqual([undefined, ...numbers].flatMap(ofTurn).sort(), scenarios(root));
    ok(ofTurn(undefined).includes("intel"));
  });

  it("are those that the schema takes", () => {
    const schema = JSON.parse(text("molecule/shared/steps.schema.json")) as {
      properties: { turn: { minimum: number; maximum: number } };
    };
    const { minimum, maximum } = schema.properties.turn;
    deepStrictEqual([minimum, maximum], [1, turns]);
  });

  it("are those of docs/testing.md", () => {
    const listed = [...text("docs/testing.md").matchAll(/^- turn (\d): (.+?)[,.]$/gm)];
    deepStrictEqual(
      listed.map(([, turn, names]) => [Number(turn), [...names!.matchAll(/`(\w+)`/g)].map((name) => name[1])]),
      numbers.map((turn) => [turn, ofTurn(turn)]),
    );
  });
});
