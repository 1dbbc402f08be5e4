import { availableParallelism } from "node:os";
import { basename, dirname, resolve, join } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { isFolder, isThere, mustBeWritable, readText } from "./disk.js";
import { ending, formatItem, helpWidth, takenByNpm } from "./help.js";
import type { Ending } from "./help.js";
import type { Layout, OutFile, Plan } from "./ir.js";
import { layouts } from "./ir.js";
import { vlanRange } from "./kayobe/vlans.js";
import type { VlanRange } from "./kayobe/vlans.js";
import type { Given } from "./migrate/judge.js";
import { predecessors } from "./migrate/predecessors.js";
import type { Predecessor } from "./migrate/predecessors.js";
import type { PublishOptions } from "./release/commands.js";
import { exit, here, inWords, printProblems, say } from "./terminal.js";

// Commands load what they need when they run: the compiler alone takes a quarter of a second.

function layoutsOf(choice: string): readonly Layout[] {
  return layouts.filter((layout) => choice === "all" || choice === layout);
}

async function generate(root: string, options: { out?: string; layout: string }): Promise<number> {
  const { planArtefacts, readSources } = await import("./artefacts.js");
  const { apply, manifestPath } = await import("./disk.js");
  const sources = readSources(root);
  if (sources.problems.length > 0) {
    printProblems(sources.problems);
    console.error("Nothing was written.");
    return exit.failed;
  }
  const out = resolve(options.out ?? join(root, "dist"));
  const { plan, owned } = planArtefacts(sources, layoutsOf(options.layout), out);
  apply(out, plan, owned);
  const written = plan.write.filter(({ path }) => path !== manifestPath);
  for (const { path } of written) say(`wrote    ${here(join(out, path))}`);
  for (const path of plan.remove) say(`removed  ${here(join(out, path))}`);
  say(
    written.length + plan.remove.length === 0
      ? `Nothing to write: all ${plan.same} files in ${here(out)} are up to date.`
      : `${written.length} written, ${plan.remove.length} removed, ${plan.same} unchanged in ${here(out)}.`,
  );
  return exit.good;
}

async function check(root: string, options: { out?: string; layout: string }): Promise<number> {
  const { planArtefacts, readSources } = await import("./artefacts.js");
  const { crosscheck } = await import("./crosscheck.js");
  const sources = readSources(root);
  const problems = [...sources.problems, ...crosscheck(sources.role, sources.template.files)];
  const out = resolve(options.out ?? join(root, "dist"));
  let stale = 0;
  if (sources.problems.length === 0) {
    const { plan, before } = planArtefacts(sources, layoutsOf(options.layout), out);
    stale = plan.write.length + plan.remove.length;
    if (stale > 0) await printDiff(plan, before, here(out));
  }
  printProblems(problems);
  if (problems.length + stale === 0) {
    say(`${here(out)} is what the model and the templates say.`);
    return exit.good;
  }
  const parts = [...(stale > 0 ? [`${stale} stale files in ${here(out)} (npm run generate writes them)`] : []), ...(problems.length > 0 ? [`${problems.length} problems`] : [])];
  console.error(parts.join(", "));
  return exit.failed;
}

/** A unified diff from what is there to what should be. */
async function printDiff(plan: Plan, before: readonly OutFile[], out: string): Promise<void> {
  const { createTwoFilesPatch } = await import("diff");
  const there = new Map(before.map((file) => [file.path, file]));
  const show = (path: string, old: OutFile | undefined, now: OutFile | undefined): void => {
    const name = `${out}/${path}`;
    if (old && now && old.text === now.text) return say(`${name}: ${now.executable ? "is not" : "is"} executable`);
    say(createTwoFilesPatch(old ? name : "/dev/null", now ? name : "/dev/null", old?.text ?? "", now?.text ?? "", "", "").replace(/^=+\n/, "").trimEnd());
  };
  for (const file of plan.write) show(file.path, there.get(file.path), file);
  for (const path of plan.remove) show(path, there.get(path), undefined);
}

/** Old artefacts prove nothing about what is in the repository now. Says so, and whether it is so. */
async function isStale(root: string): Promise<boolean> {
  const { planArtefacts, readSources } = await import("./artefacts.js");
  const sources = readSources(root);
  printProblems(sources.problems);
  if (sources.problems.length > 0) return true;
  const { plan } = planArtefacts(sources, layouts, join(root, "dist"));
  const count = plan.write.length + plan.remove.length;
  if (count > 0) console.error(`${count} files in ${here(join(root, "dist"))} are not what the model and the templates say. Run first: npm run generate`);
  return count > 0;
}

async function kayobe(root: string, options: { configPath?: string; environment?: string; check?: boolean; hook?: boolean; vlanRange: readonly VlanRange[] }): Promise<number> {
  const { kayobeArtefact, readSources } = await import("./artefacts.js");
  const { readForeign, writeForeign } = await import("./disk.js");
  const { concerns } = await import("./kayobe/layers.js");
  const { merge } = await import("./kayobe/merge.js");
  const sources = readSources(root);
  printProblems(sources.problems);
  if (sources.problems.length > 0) return exit.failed;
  const given = options.configPath ?? process.env["KAYOBE_CONFIG_PATH"];
  if (!given) {
    console.error("No Kayobe configuration is named. Give --config-path DIR, or set $KAYOBE_CONFIG_PATH, as Kayobe's kayobe-env does.");
    return exit.wrongUse;
  }
  const name = given.replace(/(?<=.)\/+$/, "");
  const folder = resolve(name);
  const before = isFolder(folder) ? readForeign(folder, concerns) : undefined;
  const fault = configFault(name, before, isFolder(join(folder, "etc", "kayobe")));
  if (fault !== undefined || !before) {
    console.error(`${options.configPath === undefined ? "$KAYOBE_CONFIG_PATH: " : ""}${fault}`);
    return exit.wrongUse;
  }
  const { environment, hook = false, vlanRange: vlanRanges } = options;
  const { write, links, refusals, hints } = merge(kayobeArtefact(sources), before, { ...(environment === undefined ? {} : { environment }), hook, vlanRanges });
  if (refusals.length > 0) {
    for (const refusal of refusals) console.error(refusal);
    console.error("Nothing was written.");
    return exit.failed;
  }
  const there = before.flatMap(({ path, text }) => (text === undefined ? [] : [{ path, text }]));
  await printDiff({ write, remove: [], same: 0 }, there, name);
  for (const { path, target } of links) say(`${name}/${path}: a symbolic link to ${target}`);
  for (const hint of hints) say(`Note: ${hint}`);
  const usual = process.env["KAYOBE_ENVIRONMENT"];
  if (environment === undefined && usual) say(`Note: $KAYOBE_ENVIRONMENT is ${usual}, and this was for the base. Run it with --environment ${usual}, too, if that has something of its own in place of what the base has.`);
  const count = write.length + links.length;
  if (count === 0) {
    say(`Nothing to do: ${name} has all of it.`);
    return exit.good;
  }
  if (options.check) {
    console.error(`${count} files in ${name} would be written.`);
    return exit.failed;
  }
  writeForeign(folder, write, links);
  const made = (pattern: RegExp): string | undefined => write.map(({ path }) => path).find((path) => pattern.test(path) && !there.some((file) => file.path === path));
  const hosts = made(/(^|\/)inventory\/[^/]+$/);
  const devices = made(/(^|\/)inventory\/group_vars\/compute_sriov\/sriov$/);
  const where = environment === undefined ? "" : ` --environment ${environment}`;
  const first = [...(hosts === undefined ? [] : [`the hosts in ${hosts}`]), ...(devices === undefined ? [] : [`the devices in ${devices}`])];
  say(`${count} files written in ${name}.`);
  if (first.length > 0) say(`Name ${first.join(" and ")}.`);
  say("Look at them, commit them, and type:");
  say(`    kayobe control host bootstrap${where}`);
  say(`    kayobe playbook run $KAYOBE_CONFIG_PATH/ansible/sriov.yml${where}`);
  say(`    kayobe overcloud service deploy -kt nova,neutron${where}`);
  say(`With Kayobe 2026.1 and later the last one is: kayobe overcloud service deploy -t nova,neutron${where}`);
  return exit.good;
}

/** What is wrong with a folder as a Kayobe configuration; nothing when it looks like one. */
function configFault(name: string, entries: readonly { readonly path: string }[] | undefined, hasOneInside: boolean): string | undefined {
  if (!entries) return `${name} is no folder. It must be a Kayobe configuration: etc/kayobe of its repository.`;
  if (entries.some(({ path }) => ["kolla.yml", "bifrost.yml", "inventory"].includes(path))) return undefined;
  return `${name} is no Kayobe configuration: it has neither kolla.yml, bifrost.yml nor inventory/.${hasOneInside ? ` Did you mean ${name}/etc/kayobe?` : ""}`;
}

/** No file of variables has as many bytes; images and logs do. */
const largest = 4 * 1024 * 1024;

/** What there is to judge by a path that was named; nothing when it is not there. */
async function given(name: string): Promise<Given[] | undefined> {
  const { isLargerThan, readForeign, readForeignFile, realPathIfThere, whyNoText } = await import("./disk.js");
  const { concerns } = await import("./migrate/place.js");
  const whole = resolve(name);
  const why = whyNoText(name);
  if (why === "nowhere") return undefined;
  if (why === "denied") return [{ path: name, place: whole, unread: "denied", named: true }];
  if (!isFolder(name)) {
    if (isLargerThan(name, largest)) return [{ path: name, place: whole, unread: "large", named: true }];
    return readForeignFile(name)?.map(({ text }) => ({ path: name, place: whole, real: realPathIfThere(whole), named: true, ...(text === undefined ? { unread: "binary" } : { text }) }));
  }
  const large: Given[] = [];
  // Who names a folder of templates wants them read.
  const above = /^(files|templates)$/.test(basename(whole)) ? "" : basename(whole);
  const home = realPathIfThere(whole);
  const of = (path: string): Given => {
    const real = realPathIfThere(join(whole, path));
    return { path: join(name, path), place: join(above, path), real, ...(real === join(home, path) ? {} : { linked: true }) };
  };
  const entries = readForeign(name, (path) => {
    const isLarge = concerns(path) && isLargerThan(join(name, path), largest);
    if (isLarge) large.push({ ...of(path), unread: "large" });
    return concerns(path) && !isLarge;
  });
  const files = entries.map(({ path, text }): Given => {
    const unread = text === undefined ? whyNoText(join(name, path)) : undefined;
    return { ...of(path), ...(text === undefined ? {} : { text }), ...(unread === undefined ? {} : { unread }) };
  });
  return [...files, ...large];
}

async function migrate(root: string, paths: readonly string[], options: { from?: Predecessor }): Promise<number> {
  const { readSources } = await import("./artefacts.js");
  const { judge } = await import("./migrate/judge.js");
  const { role, problems } = readSources(root);
  printProblems(problems);
  if (problems.length > 0) return exit.failed;
  const files: Given[] = [];
  for (const name of paths) {
    const found = await given(name);
    if (!found) {
      console.error(`${name === "" ? '""' : name} is ${isThere(name) ? "neither a file nor a folder" : "not there"}.`);
      return exit.wrongUse;
    }
    files.push(...found);
  }
  const { namespace, name, version } = role.identity;
  const { findings, notes, aside } = judge(files, { variables: role.variables, role: `${namespace}.${name}`, collection: `${namespace}.${name}`, version }, options.from);
  const left = aside.reduce((sum, { count }) => sum + count, 0);
  if (left > 0) say(`${left} ${left === 1 ? "file was left aside because it cannot" : "files were left aside because they cannot"} hold variables: ${aside.map(({ why, count }) => `${count} ${why}`).join(", ")}.`);
  if (findings.length === 0) {
    console.error(`Nothing of the old roles, and no variable of this one, is in ${paths.join(", ")}.`);
    return exit.failed;
  }
  const words = { fine: "fine", ineffective: "ineffective now", different: "different now", unjudged: "cannot be judged", unknown: "unknown" } as const;
  for (const { file, line, outcome, text } of findings) say(`${file}${line === undefined ? "" : `:${line}`}: ${words[outcome]}: ${text}`);
  if (notes.length > 0) say(["", "What changes for every host (docs/moving-over.md):", ...notes.map((note) => `  - ${note}`), ""].join("\n"));
  const counts = Object.entries(words).map(([outcome, word]) => `${findings.filter((finding) => finding.outcome === outcome).length} ${word}`);
  say(`${counts.join(", ")}.`);
  return findings.every(({ outcome }) => outcome === "fine") ? exit.good : exit.failed;
}

async function lint(root: string): Promise<number> {
  if (await isStale(root)) return exit.failed;
  const { readSources } = await import("./artefacts.js");
  const { lint: lintAll } = await import("./lint.js");
  const { pythonTools } = await import("./setup.js");
  const { role } = readSources(root);
  const results = await lintAll({
    out: join(root, "dist"),
    identity: role.identity,
    bin: await pythonTools(root),
    home: join(root, "build", "ansible"),
    config: join(root, "generator", "ansible-lint.yml"),
    ansibleConfig: join(root, "generator", "ansible.cfg"),
  });
  for (const { layout, passed, examined, report } of results) {
    if (report !== "") console.error(report);
    say(`${layout}: ${passed ? "passed" : "failed"}, ${examined} files examined`);
  }
  return results.every(({ passed }) => passed) ? exit.good : exit.failed;
}

function namedAndChanged(): number {
  console.error("Name what is to run, or give --changed: not both.");
  return exit.wrongUse;
}

async function verify(root: string, names: readonly string[], options: { jobs: number; ansible?: string; timings?: boolean; changed?: string | true }): Promise<number> {
  const { scenarioReport, scenarios, verify: verifyAll } = await import("./scenarios.js");
  const { howToInstall, ansibleCores, programFolders, pythonTools } = await import("./setup.js");
  const { missingPackages } = await import("./machine.js");
  const known = scenarios(root);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`No such scenario: ${unknown.join(", ")}. There are: ${known.join(", ")}`);
    return exit.wrongUse;
  }
  if (options.ansible !== undefined && !ansibleCores.includes(options.ansible)) {
    console.error(`--ansible ${options.ansible}: there are ${ansibleCores.join(", ")}`);
    return exit.wrongUse;
  }
  let chosen = names.length > 0 ? [...new Set(names)] : known;
  if (options.changed !== undefined) {
    if (names.length > 0) return namedAndChanged();
    const { choose } = await import("./test.js");
    const choice = await choose(options.changed);
    if (typeof choice === "string") {
      console.error(choice);
      return exit.failed;
    }
    say(choice.report);
    chosen = [...choice.scenarios];
  }
  if (chosen.length === 0) {
    console.error("There is no scenario in molecule/: nothing was proved.");
    return exit.failed;
  }
  if (await isStale(root)) return exit.failed;
  const missing = await missingPackages();
  if (missing.length > 0) {
    console.error(await howToInstall(root, missing));
    return exit.failed;
  }
  const programs = { ...(await programFolders(root, { machines: true })), ...(options.ansible === undefined ? {} : { SRIOV_ROLE_ANSIBLE: options.ansible }) };
  const results = await verifyAll({ root, bin: await pythonTools(root), programs, names: chosen, jobs: options.jobs, timings: options.timings === true });
  say(scenarioReport(results));
  return results.length > 0 && results.every(({ outcome }) => outcome === "passed") ? exit.good : exit.failed;
}

async function doctor(root: string): Promise<number> {
  const { howToInstall, missingPrograms, pythonEnvironment } = await import("./setup.js");
  const { missingPackages } = await import("./machine.js");
  const python = await pythonEnvironment(root);
  const noPython = typeof python === "string" ? [python] : python.ready ? [] : ["Python tools: not installed"];
  const noPrograms = { tests: await missingPrograms(root, { machines: false }), machines: await missingPrograms(root, { machines: true }) };
  const missing = await missingPackages();
  const noSystem = missing.length > 0 ? [await howToInstall(root, missing)] : [];
  const noGit = missing.includes("git") ? [await howToInstall(root, ["git"])] : [];
  const report = (commands: string, lacks: readonly string[]): void => {
    say(`${commands}: ${lacks.length === 0 ? "ready" : "not ready"}`);
    for (const lack of lacks) say(`  ${lack.replaceAll("\n", "\n  ")}`);
  };
  report("generate, check", []);
  report("lint", noPython);
  report("build, publish", [...noPython, ...noGit]);
  report("test:unit", [...noPython, ...noPrograms.tests]);
  report("verify, test, bench", [...noPython, ...noPrograms.machines, ...noSystem]);
  if ([...noPython, ...noPrograms.machines].some((lack) => lack.endsWith("not installed"))) say("This installs what is not installed:\n    npm run setup");
  return noPython.length + noPrograms.machines.length + noSystem.length === 0 ? exit.good : exit.failed;
}

async function setup(root: string, options: { python?: boolean }): Promise<number> {
  const { setup: setUp } = await import("./setup.js");
  const faults = await setUp(root, { machines: !options.python });
  for (const fault of faults) console.error(fault);
  return faults.length === 0 ? exit.good : exit.failed;
}

/** One more than there are processors, for a scenario waits a third of its time; more than three were not tried. */
const scenariosAtOnce = Math.min(availableParallelism() + 1, 3);

function wholeNumber(text: string): number {
  if (!/^[1-9]\d?$/.test(text)) throw new InvalidArgumentError("it must be a number from 1 to 99.");
  return Number(text);
}

function vlanRanges(text: string, before: readonly VlanRange[]): readonly VlanRange[] {
  const one = vlanRange(text);
  if (typeof one === "string") throw new InvalidArgumentError(one);
  return before.some(({ network, range }) => network === one.network && range === one.range) ? before : [...before, one];
}

/** Check a folder to write into: where a file is in the way, nothing can be written; and nothing, as of a variable that is not set, is not this folder. */
function outFolder(text: string): string {
  if (text === "") throw new InvalidArgumentError("It is empty: name a folder.");
  let folder = resolve(text);
  while (!isThere(folder)) folder = dirname(folder);
  if (!isFolder(folder)) throw new InvalidArgumentError(`${folder} is a file, and a folder is needed.`);
  return text;
}

/** The program for one repository; `end` hears the exit code of the command that was run. */
function program(root: string, end: (code: number) => void): Command {
  const { version } = JSON.parse(readText(join(root, "package.json"))) as { version: string };
  const inRoot = <Args extends unknown[]>(action: (root: string, ...args: Args) => Promise<number>) => async (...args: Args): Promise<number> => await action(root, ...args);
  /** An action that keeps logs and more in the clone's build/: where that cannot be, a sentence comes in place of what its programs would say. */
  const inClone = <Args extends unknown[]>(action: (root: string, ...args: Args) => Promise<number>) => async (...args: Args): Promise<number> => {
    mustBeWritable(join(root, "build"));
    return await action(root, ...args);
  };
  const cli = new Command("sriov-role")
    .description("Generate the SR-IOV role and collection, and prove them. In a clone, npm run COMMAND does the same; README.md lists the scripts.")
    .version(version, "--version", "output the version of what this clone generates")
    .exitOverride()
    .configureOutput({ getOutHelpWidth: helpWidth, getErrHelpWidth: helpWidth })
    .configureHelp({ formatItem, minWidthToWrap: 10 });
  const withOut = (command: Command, standard: string): Command => command.option("--out <dir>", `the output folder (default: ${standard} in the repository)`, outFolder);
  const artefactOptions = (command: Command): Command => withOut(command, "dist").addOption(new Option("--layout <layout>", "which artefact").choices([...layouts, "all"]).default("all"));

  const on = <Args extends unknown[]>(command: Command, closing: Ending, action: (...args: Args) => Promise<number>): void => {
    command
      .addHelpText("after", () => ending(closing, command.createHelp()))
      .exitOverride((error) => {
        // What npm has not taken of an option, its value, is one argument too many.
        const taken = error.exitCode === 0 ? undefined : takenByNpm(command, process.env);
        if (taken !== undefined) console.error(taken);
        throw error;
      })
      .showHelpAfterError(`npm run ${command.name() === "publish" ? "publish:galaxy" : command.name()} -- --help explains it.`)
      .action(async (...args: unknown[]) => {
        const taken = takenByNpm(command, process.env);
        if (taken !== undefined) console.error(taken);
        end(taken === undefined ? await action(...(args as Args)) : exit.wrongUse);
      });
  };

  on(
    artefactOptions(cli.command("generate").description("write the artefacts; a second run writes nothing")),
    { example: "npm run generate", good: "the artefacts are written, or were up to date", failed: "the model has a fault, or the folder cannot be written" },
    inRoot(generate),
  );
  on(
    artefactOptions(cli.command("check").description("the same without writing; shows what is stale, and where model and templates disagree")),
    { example: "npm run check", good: "nothing is stale", failed: "something is stale, or model and templates disagree" },
    inRoot(check),
  );
  on(
    cli
      .command("kayobe")
      .description("merge what Kayobe needs into a Kayobe configuration; a second run writes nothing")
      .option("--config-path <dir>", "the configuration: etc/kayobe of its repository (default: $KAYOBE_CONFIG_PATH)")
      .option("--environment <name>", "put what differs by environment into this one (not taken from $KAYOBE_ENVIRONMENT: the base comes first)")
      .option("--check", "show what would be written, and write nothing")
      .option("--hook", "make the playbook a part of kayobe overcloud host configure")
      .option("--vlan-range <physnet:first:last>", "VLANs of a physical network, or the network alone; may be given again", vlanRanges, []),
    {
      example: "npm run --silent kayobe -- --config-path $KAYOBE_CONFIG_PATH --check",
      good: "it is written, or was there",
      failed: "the merge is refused and nothing was written, or --check has found something to write",
    },
    inRoot(kayobe),
  );
  on(
    cli
      .command("migrate")
      .description("what becomes of playbooks and variables of the old roles under this one; writes nothing")
      .argument("<path...>", "playbooks, files of variables, inventories, requirements.yml, or folders of them")
      .addOption(new Option("--from <role>", "the old role, where the files do not tell").choices([...predecessors])),
    { example: "npm run --silent migrate -- sriov.yml inventory requirements.yml", good: "all is fine", failed: "something needs attention, or nothing of the old roles was found" },
    inRoot(migrate),
  );
  on(
    cli.command("lint").description("ansible-lint, production profile, over every artefact, and proof that it looked at every file"),
    { example: "npm run lint", good: "it has nothing to complain of", failed: "it has, or dist/ is stale" },
    inClone(lint),
  );
  on(
    withOut(cli.command("build").description("the collection's tarball and the role's repository, checked as Galaxy checks them"), "build/release").option("--no-checks", "without the checks of Galaxy's importer and ansible-test, for a look"),
    { example: "npm run build -- --out /tmp/release", good: "it is built and checked", failed: "a check complains, or versions disagree; nothing was written" },
    inClone(async (_root, options: { out?: string; checks: boolean }) => await (await import("./release/commands.js")).build(options)),
  );
  on(
    withOut(
      cli
        .command("publish")
        .description("build, and publish on Galaxy; tells first what goes where")
        .option("--dry-run", "everything but sending; without --role-repository, of the collection alone")
        .option("--collection", "the collection alone")
        .option("--role", "the role alone")
        .option("--server <name-or-url>", "a server of Ansible's configuration, or its address (default: as ansible-galaxy; with GALAXY_TOKEN, galaxy.ansible.com)")
        .option("--role-repository <url>", "the git repository that Galaxy imports the role from"),
      "build/release",
    ),
    {
      example: "npm run publish:galaxy -- --dry-run --role-repository git@github.com:stackhpc/ansible-role-sriov.git",
      good: "all is published; after --dry-run: it could be",
      failed: "it is refused and nothing was sent, or it stopped half way, and what is out is told",
    },
    async (options: PublishOptions) => await (await import("./release/commands.js")).publish(options),
  );
  on(
    cli
      .command("verify")
      .description("Molecule on VMs with emulated SR-IOV; logs are in build/logs")
      .argument("[scenario...]", "folders of molecule/ (default: all)")
      .option("--jobs <n>", "scenarios at once", wholeNumber, scenariosAtOnce)
      .option("--ansible <release>", "run the playbooks with another ansible-core, as 2.20")
      .option("--changed [commit]", "only what differs from a commit can touch (default: where this branch left origin/main), and the whole way once")
      .option("--timings", "show where the time of each scenario goes"),
    { example: "npm run verify -- live", good: "every scenario passed", failed: "one did not, or could not be run" },
    inClone(verify),
  );
  on(
    cli
      .command("test")
      .description("all tests, those on VMs too, after installing what they need; ends with a line of totals")
      .argument("[pattern...]", "test files by their path or a part of it: these alone are run, without VMs")
      .option("--fast", "without VMs and artefacts: npm run test:unit")
      .option("--changed [commit]", "only what differs from a commit can touch (default: where this branch left origin/main), and the whole way once")
      .option("--jobs <n>", "scenarios at once", wholeNumber, scenariosAtOnce),
    { example: "npm run test:unit -- test/kayobe.test.ts", good: "all passed", failed: "one failed or was skipped, or what the tests need cannot be installed" },
    inClone(async (_root, patterns: readonly string[], { changed, ...options }: { fast?: boolean; jobs: number; changed?: string | true }) => {
      if (changed !== undefined && patterns.length > 0) return namedAndChanged();
      return await (await import("./test.js")).test(patterns, { ...options, ...(changed === undefined ? {} : { changed }) });
    }),
  );
  on(
    cli.command("bench").description("times of the program; what the role costs the controller and a host, beside the last release's figures; remote executions and times on a VM with eight PFs")
      .option("--fast", "without the VM")
      .option("--against <folder>", "measure another collection with a role sriov in the same run: the folder that holds its galaxy.yml or MANIFEST.json")
      .option("--hosts <numbers>", "how many hosts are simulated, without it 1,20,100,300")
      .option("--save", "keep the figures as those of the last release, in bench/last_release.json"),
    { example: "npm run bench -- --fast --hosts 1,20", good: "it was measured", failed: "a run failed" },
    async (options: { fast?: boolean; against?: string; hosts?: string; save?: boolean }) => await (await import("./bench.js")).bench(options),
  );
  on(
    cli.command("doctor").description("what this machine lacks for each command, and what installs it"),
    { example: "npm run doctor", good: "nothing is missing", failed: "something is" },
    inRoot(doctor),
  );
  on(
    cli.command("setup").description("install what is missing: the Python programs and, as root, system packages").option("--python", "what the tests without VMs need only"),
    { example: "npm run setup", good: "all is there", failed: "something could not be installed" },
    inRoot(setup),
  );
  cli.showHelpAfterError(`The commands are ${cli.commands.map((command) => command.name()).join(", ")}. npm run generate -- --help explains that one.`);
  cli.addHelpText("after", () => ending({ example: "npm run generate -- --help", good: "the command did its work", failed: "it failed; the command's own help says more" }, cli.createHelp()));
  return cli;
}

/**
 * Run a command of the program.
 *
 * @param root the repository that it works on
 * @param args as a shell gives them
 * @returns an exit code
 */
export async function commandLine(root: string, args: readonly string[]): Promise<number> {
  let code: number = exit.good;
  try {
    await program(root, (ended) => (code = ended)).parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.good : exit.wrongUse;
    console.error(inWords(error));
    return exit.failed;
  }
}
