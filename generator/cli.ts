import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { ArtefactOptions } from "./artefacts/commands.js";
import { layouts } from "./ir.js";
import type { KayobeOptions } from "./kayobe/commands.js";
import { vlanRange } from "./kayobe/vlans.js";
import type { VlanRange } from "./kayobe/vlans.js";
import { predecessors } from "./migrate/predecessors.js";
import type { Predecessor } from "./migrate/predecessors.js";
import type { PublishOptions } from "./release/commands.js";
import { isFolder, isThere, mustBeWritable, readText } from "./system/disk.js";
import { ending, formatItem, helpWidth, takenByNpm } from "./system/help.js";
import type { Ending } from "./system/help.js";
import { exit, inWords } from "./system/terminal.js";
import type { VerifyOptions } from "./workshop/commands.js";

// Options and help of every command. A command is loaded when it runs: the compiler alone takes a quarter of a second.
const artefacts = async () => await import("./artefacts/commands.js");
const kayobe = async () => await import("./kayobe/commands.js");
const migrate = async () => await import("./migrate/commands.js");
const release = async () => await import("./release/commands.js");
const workshop = async () => await import("./workshop/commands.js");

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

/** What the functions below declare commands with. */
interface Declaring {
  readonly cli: Command;
  readonly root: string;
  /** A command with the end of its help and what it does. */
  readonly on: <Args extends unknown[]>(command: Command, closing: Ending, action: (...args: Args) => Promise<number>) => void;
  readonly withOut: (command: Command, standard: string) => Command;
  /** An action that keeps logs and more in the clone's build/: where that cannot be, a sentence comes in place of what its programs would say. */
  readonly inClone: <Args extends unknown[]>(action: (...args: Args) => Promise<number>) => (...args: Args) => Promise<number>;
}

function ofArtefacts({ cli, root, on, withOut }: Declaring): void {
  const artefactOptions = (command: Command): Command => withOut(command, "dist").addOption(new Option("--layout <layout>", "which artefact").choices([...layouts, "all"]).default("all"));
  on(
    artefactOptions(cli.command("generate").description("write the artefacts; a second run writes nothing")),
    { example: "npm run generate", good: "the artefacts are written, or were up to date", failed: "the model has a fault, or the folder cannot be written" },
    async (options: ArtefactOptions) => await (await artefacts()).generate(root, options),
  );
  on(
    artefactOptions(cli.command("check").description("the same without writing; shows what is stale, and where model and templates disagree")),
    { example: "npm run check", good: "nothing is stale", failed: "something is stale, or model and templates disagree" },
    async (options: ArtefactOptions) => await (await artefacts()).check(root, options),
  );
}

function ofConfigurations({ cli, root, on }: Declaring): void {
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
    async (options: KayobeOptions) => await (await kayobe()).kayobe(root, options),
  );
  on(
    cli
      .command("migrate")
      .description("what becomes of playbooks and variables of the old roles under this one; writes nothing")
      .argument("<path...>", "playbooks, files of variables, inventories, requirements.yml, or folders of them")
      .addOption(new Option("--from <role>", "the old role, where the files do not tell").choices([...predecessors])),
    { example: "npm run --silent migrate -- sriov.yml inventory requirements.yml", good: "all is fine", failed: "something needs attention, or nothing of the old roles was found" },
    async (paths: readonly string[], options: { from?: Predecessor }) => await (await migrate()).migrate(root, paths, options),
  );
}

function ofRelease({ cli, root, on, withOut, inClone }: Declaring): void {
  on(
    cli.command("lint").description("ansible-lint, production profile, over every artefact, and proof that it looked at every file"),
    { example: "npm run lint", good: "it has nothing to complain of", failed: "it has, or dist/ is stale" },
    inClone(async () => await (await workshop()).lint(root)),
  );
  on(
    withOut(cli.command("build").description("the collection's tarball and the role's repository, checked as Galaxy checks them"), "build/release").option("--no-checks", "without the checks of Galaxy's importer and ansible-test, for a look"),
    { example: "npm run build -- --out /tmp/release", good: "it is built and checked", failed: "a check complains, or versions disagree; nothing was written" },
    inClone(async (options: { out?: string; checks: boolean }) => await (await release()).build(options)),
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
      failed: "it was refused and nothing was sent, or it stopped half way and lists what was sent",
    },
    async (options: PublishOptions) => await (await release()).publish(options),
  );
}

function ofTests({ cli, root, on, inClone }: Declaring): void {
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
    inClone(async (names: readonly string[], options: VerifyOptions) => await (await workshop()).verify(root, names, options)),
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
    inClone(async (patterns: readonly string[], options: { fast?: boolean; jobs: number; changed?: string | true }) => await (await import("./workshop/test.js")).test(patterns, options)),
  );
}

function ofWorkshop({ cli, root, on }: Declaring): void {
  on(
    cli.command("bench").description("times of the program; what the role costs the controller and a host, next to the last release's figures; remote executions and times on a VM with eight PFs")
      .option("--fast", "without the VM")
      .option("--against <folder>", "measure another collection with a role sriov in the same run: the folder that holds its galaxy.yml or MANIFEST.json")
      .option("--hosts <numbers>", "how many hosts are simulated, without it 1,20,100,300")
      .option("--save", "keep the figures as those of the last release, in bench/last_release.json"),
    { example: "npm run bench -- --fast --hosts 1,20", good: "it was measured", failed: "a run failed" },
    async (options: { fast?: boolean; against?: string; hosts?: string; save?: boolean }) => await (await import("./workshop/bench.js")).bench(options),
  );
  on(
    cli.command("doctor").description("what this machine lacks for each command, and what installs it"),
    { example: "npm run doctor", good: "nothing is missing", failed: "something is" },
    async () => await (await workshop()).doctor(root),
  );
  on(
    cli.command("setup").description("install what is missing: the Python programs and, as root, system packages").option("--python", "what the tests without VMs need only"),
    { example: "npm run setup", good: "all is there", failed: "something could not be installed" },
    async (options: { python?: boolean }) => await (await workshop()).setup(root, options),
  );
}

/** The program for one repository; `end` hears the exit code of the command that was run. */
function program(root: string, end: (code: number) => void): Command {
  const { version } = JSON.parse(readText(join(root, "package.json"))) as { version: string };
  const cli = new Command("sriov-role")
    .description("Generate the SR-IOV role and collection, and prove them. In a clone, npm run COMMAND does the same; README.md lists the scripts.")
    .version(version, "--version", "output the version of what this clone generates")
    .exitOverride()
    .configureOutput({ getOutHelpWidth: helpWidth, getErrHelpWidth: helpWidth })
    .configureHelp({ formatItem, minWidthToWrap: 10 });

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
  const inClone: Declaring["inClone"] = (action) => async (...args) => {
    mustBeWritable(join(root, "build"));
    return await action(...args);
  };
  const withOut: Declaring["withOut"] = (command, standard) => command.option("--out <dir>", `the output folder (default: ${standard} in the repository)`, outFolder);
  // In the order in which help lists them.
  for (const declare of [ofArtefacts, ofConfigurations, ofRelease, ofTests, ofWorkshop]) declare({ cli, root, on, withOut, inClone });
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
