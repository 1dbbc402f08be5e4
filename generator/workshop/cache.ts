import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** What outlives a clone: the Python environments and the VM images. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env["SRIOV_ROLE_CACHE"] || join(env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "sriov-role");
}

/** Hold a folder of the cache against another run of the same. */
export async function locked<T>(name: string, work: () => Promise<T>): Promise<T> {
  const lock = join(cacheFolder(), `${name}.lock`);
  mkdirSync(cacheFolder(), { recursive: true });
  while (!tryLock(lock)) await new Promise((resolve) => setTimeout(resolve, 500));
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  try {
    const holder = Number(readFileSync(lock, "utf8"));
    // Written a moment after it was made; empty for longer, its maker was killed.
    const abandoned = !(holder > 0) && Date.now() - statSync(lock).mtimeMs > 10_000;
    // Our own number is that of an earlier container's.
    if (holder === process.pid || abandoned) rmSync(lock, { force: true });
    else if (holder > 0) process.kill(holder, 0);
  } catch (error) {
    // The holder has ended, and left its lock behind.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") rmSync(lock, { force: true });
  }
  return false;
}
