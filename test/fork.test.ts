import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readTree } from "../generator/system/disk.js";
import { run } from "../generator/system/process.js";
import { cliProcess, root, temporary } from "./support.js";

/** What a fork changes to publish under its own name. */
const own = {
  namespace: "acme_networks",
  name: "virtual_functions",
  author: "Ann Author",
  owner: "acme-networks",
} as const;
/** The tests whose expectations have the names of an artefact. */
const ofTheName = ["cli", "kayobe", "migrate", "real", "release"];
/** Of these what starts many processes and does not turn on the name. */
const costly =
  "^(ansible-playbook, by argument_specs|PyYAML|wrong use ends with 2|lint and verify|verify|the command kayobe|kayobe|help|test|an option that npm has taken|migrate, the command) ";

/**
 * Names on hosts, by which a fork takes over what this project wrote, and names of others; what is written about the
 * forerunners.
 */
const stays = [
  /stackhpc-sriov/,
  /# (BEGIN|END) stackhpc\.sriov/,
  /(BEGIN|END) stackhpc\\\.sriov/,
  /# Written by Ansible \(stackhpc\.sriov\)/,
  /Copyright the stackhpc\.sriov contributors/,
  /stackhpc\.linux/,
  /stackhpc\.sriov (0|1\.6)\b/,
  /block that stackhpc\.sriov/,
  /github\.com\/stackhpc\//,
  /Made by the Ansible role stackhpc\.sriov/,
  /^[# ]+stackhpc\.sriov left in a file of this name/,
];

describe("a fork under another name @long", () => {
  const folder = temporary();
  before(() => {
    for (const path of [
      "build/generator",
      "build/test",
      "generator",
      "role-template",
      "molecule",
      "test",
      "docs",
      "README.md",
      ".mocharc.cjs",
      "galaxy.yml",
      "package.json",
      "package-lock.json",
      "requirements.txt",
      "LICENSE",
      "tsconfig.json",
    ])
      cpSync(join(root, path), join(folder, path), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    const path = join(folder, "galaxy.yml");
    const text = readFileSync(path, "utf8")
      .replace(/^namespace: .*$/m, `namespace: ${own.namespace}`)
      .replace(/^name: .*$/m, `name: ${own.name}`)
      .replace(/^authors:\n(?: {2}- .*\n)+/m, `authors:\n  - ${own.author}\n`)
      .replace(/^(repository|issues): https:\/\/github\.com\/[^/]+/gm, `$1: https://github.com/${own.owner}`);
    writeFileSync(path, text);
  });

  it("generates artefacts that agree with the model", async () => {
    const { code, output } = await cliProcess(folder, {}, "generate");
    strictEqual(code, 0, output);
    const checked = await cliProcess(folder, {}, "check");
    strictEqual(checked.code, 0, checked.output);
  });

  it("has no name of ours in them, but for those that are on hosts", () => {
    const left = readTree(join(folder, "dist"))
      .filter(({ path }) => !/CHANGELOG|changelogs/.test(path))
      .flatMap(({ path, text }) =>
        text
          .split("\n")
          .filter((line) => /stackhpc/i.test(line) && !stays.some((one) => one.test(line)))
          .map((line) => `${path}: ${line}`),
      );
    deepStrictEqual(left, []);
  });

  it("has its own author in the documentation of every module and filter", () => {
    const line = `- "${own.author} (@${own.owner})"`;
    const plugins = readTree(join(folder, "dist")).filter(({ path }) =>
      /\/((modules|library)\/[^/]+\.py|filter\/[^/]+\.yml)$/.test(path),
    );
    ok(plugins.length > 10);
    const has = (text: string, indent: string): boolean => text.includes(`\n${indent}author:\n${indent}  ${line}\n`);
    deepStrictEqual(
      plugins.filter(({ path, text }) => !has(text, path.endsWith(".yml") ? "  " : "")).map(({ path }) => path),
      [],
    );
  });

  it("asks for its own collection in a Kayobe configuration", () => {
    match(
      readFileSync(join(folder, "dist/kayobe-config/ansible/requirements.yml"), "utf8"),
      new RegExp(`name: ${own.namespace}\\.${own.name}$`, "m"),
    );
  });

  it("passes the tests that know the name", async () => {
    const files = ofTheName.map((name) => join("build/test", `${name}.test.js`));
    const { code, output } = await run({
      file: process.execPath,
      args: [join(root, "node_modules/mocha/bin/mocha.js"), "--grep", costly, "--invert", ...files],
      cwd: folder,
    });
    strictEqual(code, 0, output.slice(-6000));
    match(output, /\d{3,} passing/);
  });
});
