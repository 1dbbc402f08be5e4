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
import type { LintOptions, SetupOptions, VerifyOptions } from "./workshop/commands.js";
import type { TestOptions } from "./workshop/test.js";

// Options and help of every command. A command is loaded when it runs: the compiler alone takes a quarter of a second.
const artefacts = async () => await import("./artefacts/commands.js");
const kayobe = async () => await import("./kayobe/commands.js");
const migrate = async () => await import("./migrate/commands.js");
const release = async () => await import("./release/commands.js");
const workshop = async () => await import("./workshop/commands.js");

/**
 * One more than the number of processors, because a scenario waits a third of its time; more than three were not tried.
 */
const scenariosAtOnce = Math.min(availableParallelism() + 1, 3);

function wholeNumber(text: string): number {
  if (!/^[1-9]\d?$/.test(text)) throw new InvalidArgumentError("it must be a number from 1 to 99.");
  return Number(text);
}

function vlanRanges(text: string, before: readonly VlanRange[]): readonly VlanRange[] {
  const read = vlanRange(text);
  if (!read.ok) throw new InvalidArgumentError(read.why);
  const { network, range } = read.value;
  return before.some((one) => one.network === network && one.range === range) ? before : [...before, read.value];
}

/**
 * Check a folder to write into. A file in the way makes writing impossible; an empty text, as from an unset variable,
 * does not mean the current folder.
 */
function outFolder(text: string): string {
  if (text === "") throw new InvalidArgumentError("It is empty: name a folder.");
  let folder = resolve(text);
  while (!isThere(folder)) folder = dirname(folder);
  if (!isFolder(folder)) throw new InvalidArgumentError(`${folder} is a file, and a folder is needed.`);
  return text;
}

/** A command whose results `npm test` reads from a file. */
function withResults(command: Command): Command {
  return command.addOption(new Option("--results <file>", "write the results into a file, as JSON").hideHelp());
}

/** What the functions below use to declare commands. */
interface Declaring {
  readonly cli: Command;
  readonly root: string;
  /** A command with the end of its help and what it does. */
  readonly on: <Args extends unknown[]>(
    command: Command,
    closing: Ending,
    action: (...args: Args) => Promise<number>,
  ) => void;
  readonly withOut: (command: Command, standard: string) => Command;
  /**
   * An action that keeps logs and other files in the clone's build/. If that is not writable, it prints one sentence
   * instead of the errors of its programs.
   */
  readonly inClone: <Args extends unknown[]>(
    action: (...args: Args) => Promise<number>,
  ) => (...args: Args) => Promise<number>;
}

function ofArtefacts({ cli, root, on, withOut }: Declaring): void {
  const artefactOptions = (command: Command): Command =>
    withOut(command, "dist").addOption(
      new Option("--layout <layout>", "which artefact").choices([...layouts, "all"]).default("all"),
    );
  on(
    artefactOptions(cli.command("generate").description("write the artefacts; a second run writes nothing")),
    {
      example: "npm run generate",
      good: "the artefacts were written, or were up to date",
      failed: "the model has an error, or the folder is not writable",
    },
    async (options: ArtefactOptions) => await (await artefacts()).generate(root, options),
  );
  on(
    artefactOptions(
      cli
        .command("check")
        .description(
          "compare the artefacts with model and templates (read-only); show stale files, and where model and templates disagree",
        ),
    ),
    { example: "npm run check", good: "no file is stale", failed: "a file is stale, or model and templates disagree" },
    async (options: ArtefactOptions) => await (await artefacts()).check(root, options),
  );
}

function ofConfigurations({ cli, root, on }: Declaring): void {
  on(
    cli
      .command("kayobe")
      .description(
        "merge the playbook, inventory and settings for SR-IOV into a Kayobe configuration; a second run writes nothing",
      )
      .option("--config-path <dir>", "folder etc/kayobe of the Kayobe configuration (default: $KAYOBE_CONFIG_PATH)")
      .option(
        "--environment <name>",
        "put environment-specific settings into this environment (does not read $KAYOBE_ENVIRONMENT: merge the base first)",
      )
      .option("--check", "show what would be written (read-only)")
      .option("--hook", "run the playbook as part of kayobe overcloud host configure")
      .option(
        "--vlan-range <physnet:first:last>",
        "VLANs of a physical network, or only the network; may be repeated",
        vlanRanges,
        [],
      ),
    {
      example: "npm run --silent kayobe -- --config-path $KAYOBE_CONFIG_PATH --check",
      good: "the configuration was written, or was up to date",
      failed: "the merge was refused and nothing was written, or --check found something to write",
    },
    async (options: KayobeOptions) => await (await kayobe()).kayobe(root, options),
  );
  on(
    cli
      .command("migrate")
      .description("check playbooks and variables of the old roles (read-only)")
      .argument("<path...>", "playbooks, variable files, inventories, requirements.yml, or folders of them")
      .addOption(
        new Option("--from <role>", "the old role, if the files do not show which").choices([...predecessors]),
      ),
    {
      example: "npm run --silent migrate -- sriov.yml inventory requirements.yml",
      good: "nothing needs attention",
      failed: "something needs attention, or nothing of the old roles was found",
    },
    async (paths: readonly string[], options: { from?: Predecessor }) =>
      await (await migrate()).migrate(root, paths, options),
  );
}

function ofRelease({ cli, root, on, withOut, inClone }: Declaring): void {
  on(
    withResults(
      cli
        .command("lint")
        .description(
          "run the linters of this repository's code, and ansible-lint with its production profile over every artefact",
        ),
    ),
    {
      example: "npm run lint",
      good: "no linter reports a problem",
      failed: "a linter reports a problem, or dist/ is stale",
    },
    inClone(async (options: LintOptions) => await (await workshop()).lint(root, options)),
  );
  on(
    cli.command("fix").description("correct what formatters and linters can correct in this repository's code"),
    { example: "npm run fix", good: "npm run lint has nothing to correct", failed: "a person must correct the rest" },
    async () => await (await workshop()).fix(root),
  );
  on(
    withOut(
      cli
        .command("build")
        .description("build the collection's tarball and the role's repository, and check them as Galaxy does"),
      "build/release",
    ).option("--no-checks", "skip galaxy-importer and ansible-test (preview only)"),
    {
      example: "npm run build -- --out /tmp/release",
      good: "the release was built and checked",
      failed: "a check failed, or versions disagree; nothing was written",
    },
    inClone(async (options: { out?: string; checks: boolean }) => await (await release()).build(options)),
  );
  on(
    withOut(
      cli
        .command("publish")
        .description("build, and publish on Galaxy; reports first what it publishes where")
        .option("--dry-run", "do everything but send; without --role-repository, for the collection only")
        .option("--collection", "publish only the collection")
        .option("--role", "publish only the role")
        .option(
          "--server <name-or-url>",
          "a server of Ansible's configuration, or its address (default: that of ansible-galaxy; with GALAXY_TOKEN, galaxy.ansible.com)",
        )
        .option("--role-repository <url>", "the git repository from which Galaxy imports the role"),
      "build/release",
    ),
    {
      example: "npm run publish:galaxy -- --dry-run --role-repository git@github.com:stackhpc/ansible-role-sriov.git",
      good: "everything was published; with --dry-run: everything is ready to publish",
      failed:
        "publishing was refused and nothing was sent, or it stopped half way and the output lists what was published",
    },
    async (options: PublishOptions) => await (await release()).publish(options),
  );
}

function ofTests({ cli, root, on, inClone }: Declaring): void {
  on(
    withResults(cli.command("verify"))
      .description("run Molecule on VMs with emulated SR-IOV; logs are in build/logs")
      .argument("[scenario...]", "folders of molecule/ (default: all)")
      .option("--jobs <n>", "scenarios at once", wholeNumber, scenariosAtOnce)
      .option("--ansible <release>", "run the playbooks with another ansible-core, for example 2.20")
      .option(
        "--changed [commit]",
        "run only what the changes since a commit can touch (default: where this branch left origin/main), and the scenario intel",
      )
      .option("--timings", "show where the time of each scenario goes")
      .option("--record", "with MOLECULE_IMAGE and named scenarios: write the results into docs/your-images.md"),
    { example: "npm run verify -- live", good: "every scenario passed", failed: "a scenario failed, or could not run" },
    inClone(
      async (names: readonly string[], options: VerifyOptions) => await (await workshop()).verify(root, names, options),
    ),
  );
  on(
    cli
      .command("test")
      .description(
        "run all tests, including those on VMs, after installing what they need; ends with a line of totals. Some scenarios run in turn, by the number of the commit",
      )
      .argument("[pattern...]", "run only the test files with this in their path, without VMs")
      .option("--fast", "skip VMs and artefacts: npm run test:unit")
      .option("--all", "run all scenarios, not only those whose turn it is")
      .option(
        "--series <series>",
        "run only the tests with OpenStack, with each of these series, for example 2025.2,2026.1; all for every one",
      )
      .option(
        "--changed [commit]",
        "run only what the changes since a commit can touch (default: where this branch left origin/main), and the scenario intel",
      )
      .option("--jobs <n>", "scenarios at once", wholeNumber, scenariosAtOnce),
    {
      example: "npm run test:unit -- test/kayobe.test.ts",
      good: "all tests passed",
      failed: "a test failed or was skipped, or a requirement of the tests cannot be installed",
    },
    inClone(
      async (patterns: readonly string[], options: TestOptions) =>
        await (await import("./workshop/test.js")).test(patterns, options),
    ),
  );
}

function ofWorkshop({ cli, root, on }: Declaring): void {
  on(
    cli
      .command("bench")
      .description(
        "measure the program, and what the role costs the controller and a host, next to the last release's figures; on a VM with eight PFs, also remote executions and times",
      )
      .option("--fast", "skip the VM")
      .option(
        "--against <folder>",
        "measure another collection with a role sriov in the same run: the folder that holds its galaxy.yml or MANIFEST.json",
      )
      .option("--hosts <numbers>", "how many hosts to simulate (default: 1,20,100,300)")
      .option("--save", "save the figures as those of the last release, in bench/last_release.json"),
    { example: "npm run bench -- --fast --hosts 1,20", good: "the measurement is complete", failed: "a run failed" },
    async (options: { fast?: boolean; against?: string; hosts?: string; save?: boolean }) =>
      await (await import("./workshop/bench.js")).bench(options),
  );
  on(
    cli.command("doctor").description("list what this machine lacks for each command, and what installs it"),
    { example: "npm run doctor", good: "nothing is missing", failed: "something is missing" },
    async () => await (await workshop()).doctor(root),
  );
  on(
    cli
      .command("setup")
      .description("install what is missing: the Python programs and, as root, system packages")
      .option("--python", "install only what the tests without VMs need")
      .option("--prune", "remove the Python environments in the cache that no clone has used for 30 days"),
    { example: "npm run setup", good: "everything is installed", failed: "something could not be installed" },
    async (options: SetupOptions) => await (await workshop()).setup(root, options),
  );
}

/** The program for one repository; `end` receives the exit code of the command. */
function program(root: string, end: (code: number) => void): Command {
  const { version } = JSON.parse(readText(join(root, "package.json"))) as { version: string };
  const cli = new Command("sriov-role")
    .description(
      "Generate and test the SR-IOV role and collection. In a clone, npm run COMMAND does the same; README.md lists the scripts.",
    )
    .version(version, "--version", "print the version of the artefacts that this clone generates")
    .exitOverride()
    .configureOutput({ getOutHelpWidth: helpWidth, getErrHelpWidth: helpWidth })
    .configureHelp({ formatItem, minWidthToWrap: 10 });

  const on = <Args extends unknown[]>(
    command: Command,
    closing: Ending,
    action: (...args: Args) => Promise<number>,
  ): void => {
    command
      .addHelpText("after", () => ending(closing, command.createHelp()))
      .exitOverride((error) => {
        // npm takes the option and leaves its value, which is one argument too many.
        const taken = error.exitCode === 0 ? undefined : takenByNpm(command, process.env);
        if (taken !== undefined) console.error(taken);
        throw error;
      })
      .showHelpAfterError(
        `npm run ${command.name() === "publish" ? "publish:galaxy" : command.name()} -- --help explains it.`,
      )
      .action(async (...args: unknown[]) => {
        const taken = takenByNpm(command, process.env);
        if (taken !== undefined) console.error(taken);
        end(taken === undefined ? await action(...(args as Args)) : exit.wrongUse);
      });
  };
  const inClone: Declaring["inClone"] =
    (action) =>
    async (...args) => {
      mustBeWritable(join(root, "build"));
      return await action(...args);
    };
  const withOut: Declaring["withOut"] = (command, standard) =>
    command.option("--out <dir>", `the output folder (default: ${standard} in the repository)`, outFolder);
  // In the order in which help lists them.
  for (const declare of [ofArtefacts, ofConfigurations, ofRelease, ofTests, ofWorkshop])
    declare({ cli, root, on, withOut, inClone });
  cli.showHelpAfterError(
    `The commands are ${cli.commands.map((command) => command.name()).join(", ")}. npm run generate -- --help explains that one.`,
  );
  cli.addHelpText("after", () =>
    ending(
      {
        example: "npm run generate -- --help",
        good: "the command succeeded",
        failed: "the command failed; its own help explains more",
      },
      cli.createHelp(),
    ),
  );
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
