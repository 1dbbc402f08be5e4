import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { join } from "node:path";
import { pythonTools } from "../generator/workshop/setup.js";
import { inWords } from "../generator/system/terminal.js";
import { run } from "../generator/system/process.js";
import { put, root, temporary } from "./support.js";

describe("what the system refuses", () => {
  const refused = (code: string, syscall = "open"): Error =>
    Object.assign(new Error(`${code}: words of the system, open '/x/y'`), { code, path: "/x/y", syscall });
  const cases: [code: string, want: RegExp][] = [
    ["EACCES", /^\/x\/y: permission denied \(open\)\. Give a folder that this user may write to .* your own clone\.$/],
    ["EPERM", /^\/x\/y: permission denied \(open\)\. Give a folder/],
    ["EROFS", /^\/x\/y: the file system is read-only \(open\)\. Give a folder on another one/],
    ["ENOSPC", /^\/x\/y: no space is left on the device \(open\)\. Free some/],
    ["EDQUOT", /^\/x\/y: the disk quota is used up \(open\)\. Free some/],
    ["EIO", /^EIO: words of the system, open '\/x\/y'$/],
  ];
  for (const [code, want] of cases) it(`is a sentence: ${code}`, () => match(inWords(refused(code)), want));
  it("has other advice where something is read", () =>
    match(
      inWords(refused("EACCES", "scandir")),
      /^\/x\/y: permission denied \(scandir\)\. Give another path, or run this as a user who may read that one\.$/,
    ));
  it("has no advice where no file is concerned", () =>
    strictEqual(inWords(Object.assign(new Error("spawn EACCES"), { code: "EACCES" })), "spawn EACCES"));
});

describe("on a terminal", () => {
  /** The colours that progress shows, on a terminal of 80 columns. */
  async function colours(env: { [name: string]: string | undefined }): Promise<number> {
    const folder = temporary();
    put(folder, {
      "jobs.mjs": `import { progress } from ${JSON.stringify(join(root, "build/generator/system/progress.js"))};\nawait progress([{ title: "one", work: async () => undefined }]);\n`,
      "terminal.py":
        "import fcntl, os, pty, struct, sys, termios\npid, fd = pty.fork()\nif pid == 0:\n    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))\n    os.execv(sys.argv[1], sys.argv[1:])\nseen = b''\nwhile True:\n    try:\n        more = os.read(fd, 1024)\n    except OSError:\n        break\n    if not more:\n        break\n    seen += more\nprint(seen.hex())\n",
    });
    const { code, stdout } = await run({
      file: join(await pythonTools(root), "python"),
      args: ["terminal.py", process.execPath, "jobs.mjs"],
      cwd: folder,
      env: { TERM: "xterm-256color", CI: undefined, NO_COLOR: undefined, FORCE_COLOR: undefined, ...env },
    });
    strictEqual(code, 0);
    const seen = Buffer.from(stdout.trim(), "hex").toString();
    match(seen, /one/);
    return [...seen.matchAll(/\x1b\[[1-9]\d*m/g)].length;
  }
  it("there are colours, and none with NO_COLOR", async () => {
    deepStrictEqual([(await colours({})) > 0, await colours({ NO_COLOR: "1" })], [true, 0]);
  });
});
