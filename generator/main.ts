import { join } from "node:path";
import { commandLine } from "./cli.js";

// The command line as a process. This file is build/generator/main.js of the repository that it works on.

process.exitCode = await commandLine(join(import.meta.dirname, "..", ".."), process.argv.slice(2));
