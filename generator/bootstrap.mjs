#!/usr/bin/env node
// Makes a fresh clone ready and starts the program: the npm packages when they are missing or are not those of
// package-lock.json, the compiled TypeScript when a source is newer. Plain JavaScript without any package, because
// it runs before there are any.
import { spawnSync } from "node:child_process";
import {
  constants,
  accessSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, "build", ".sources.json");
const program = join(root, "build", "generator", "main.js");

/** Stop with a sentence; 1 is "the work failed", as for every command. */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** Why a file or folder of the clone is refused, and what to do, in a sentence; undefined for an error of another kind. */
function refusal({ code, path }) {
  const own = `Make your own clone (git clone ${root} DIRECTORY), or let the owner of this one run the same command once: then everybody uses what it compiled.`;
  switch (code) {
    case "EACCES":
    case "EPERM":
      return `${path}: permission denied for the user ${user()}, and this clone must be made ready first: its packages or its compiled program are missing or older than its sources. ${own}`;
    case "EROFS":
      return `${path}: the file system is read-only, and this clone must be made ready first: its packages or its compiled program are missing or older than its sources. ${own}`;
    case "ENOSPC":
    case "EDQUOT":
      return `${path}: there is no space left to make this clone ready. Free some, and run this again.`;
    default:
      return undefined;
  }
}

function user() {
  try {
    return userInfo().username;
  } catch {
    // In a container the number may have no name.
    return process.getuid?.() ?? "";
  }
}

/** Stop before npm or the compiler runs into it, whose own messages are long: a folder must be writable, or the one to make it in. */
function mustBeWritable(folder) {
  let there = folder;
  while (!existsSync(there)) there = dirname(there);
  accessSync(there, constants.W_OK | constants.X_OK);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** npm writes what it installed into node_modules/.package-lock.json: that, and no stamp of ours, is the truth. */
function packagesAreCurrent() {
  const installed = readJson(join(root, "node_modules", ".package-lock.json"))?.packages;
  const wanted = readJson(join(root, "package-lock.json"))?.packages;
  if (!installed || !wanted) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const got = installed[path];
    // Packages for other processors are in the lock file and rightly not on the disk.
    return got ? got.version === entry.version && got.integrity === entry.integrity : entry.optional === true;
  });
}

function sources() {
  const found = {};
  const add = (path) => (found[path] = statSync(join(root, path)).mtimeMs);
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) walk(path);
      else if (entry.name.endsWith(".ts")) add(path);
    }
  };
  for (const path of ["tsconfig.json", "package-lock.json"]) add(path);
  for (const folder of ["generator", "test"]) walk(folder);
  return found;
}

function run(title, command, args) {
  process.stderr.write(`${title}\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  if (error)
    fail(
      error.code === "ENOENT"
        ? `${command} was not found: it comes with Node.js; put it on the PATH.`
        : `${command}: ${error.message}`,
    );
  if (status !== 0) fail(`failed: ${command} ${args.join(" ")}`);
}

function build() {
  const now = sources();
  const before = readJson(stamp);
  if (before && JSON.stringify(before) === JSON.stringify(now)) return;
  for (const path of [[], ["generator"], ["test"]]) mustBeWritable(join(root, "build", ...path));
  // A removed source would leave its compiled test behind, and mocha would still run it.
  const isRemoved = !before || Object.keys(before).some((path) => !(path in now));
  if (isRemoved)
    for (const path of ["generator", "test", ".tsbuildinfo"])
      rmSync(join(root, "build", path), { recursive: true, force: true });
  rmSync(stamp, { force: true });
  run("Compiling the generator", process.execPath, [join("node_modules", "typescript", "bin", "tsc")]);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(`${stamp}.${process.pid}`, JSON.stringify(now));
  renameSync(`${stamp}.${process.pid}`, stamp);
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19))
  fail(`Node.js 20.19 or newer is needed; this is ${process.versions.node}.`);
try {
  if (!packagesAreCurrent()) {
    mustBeWritable(join(root, "node_modules"));
    mustBeWritable(root);
    run("Installing the npm packages", "npm", ["ci", "--include=dev", "--no-audit", "--no-fund"]);
  }
  build();
} catch (error) {
  const sentence = refusal(error);
  if (sentence === undefined) throw error;
  fail(sentence);
}

process.argv = [process.execPath, program, ...process.argv.slice(2)];
await import(pathToFileURL(program).href);
