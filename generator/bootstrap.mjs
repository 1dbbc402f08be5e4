#!/usr/bin/env node
// Makes a fresh clone ready and starts the program: the npm packages when they are missing or are not those of
// package-lock.json, the compiled TypeScript when a source is newer. Plain JavaScript without any package, because
// it runs before there are any.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, "build", ".sources.json");

/** Stop with a sentence; 1 is "the work failed", as for every command. */
function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
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
  if (error) fail(`${command}: ${error.message}`);
  if (status !== 0) fail(`failed: ${command} ${args.join(" ")}`);
}

function build() {
  const now = sources();
  const before = readJson(stamp);
  if (before && JSON.stringify(before) === JSON.stringify(now)) return;
  // A source that is gone would leave its compiled test behind, and mocha would go on running it.
  const gone = !before || Object.keys(before).some((path) => !(path in now));
  if (gone) for (const path of ["generator", "test", ".tsbuildinfo"]) rmSync(join(root, "build", path), { recursive: true, force: true });
  rmSync(stamp, { force: true });
  run("Compiling the generator", process.execPath, [join("node_modules", "typescript", "bin", "tsc")]);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(`${stamp}.${process.pid}`, JSON.stringify(now));
  renameSync(`${stamp}.${process.pid}`, stamp);
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) fail(`Node.js 20.19 or newer is needed; this is ${process.versions.node}.`);
if (!packagesAreCurrent()) run("Installing the npm packages", "npm", ["ci", "--include=dev", "--no-audit", "--no-fund"]);
build();

const [first, second, ...rest] = process.argv.slice(2);
const program = first === "--program" ? { name: second, args: rest } : { name: "cli", args: process.argv.slice(2) };
const file = join(root, "build", "generator", `${program.name}.js`);
if (!existsSync(file)) fail(`no such program: ${program.name}`);
process.argv = [process.execPath, file, ...program.args];
await import(pathToFileURL(file).href);
