import type { OutFile, Plan } from "../ir.js";
import { print } from "./terminal.js";

/**
 * A unified diff from the current files to the wanted ones. The library is loaded here: most checks find nothing to
 * show, and its twenty files take a tenth of their time.
 */
export async function printDiff(plan: Plan, before: readonly OutFile[], out: string): Promise<void> {
  if (plan.write.length + plan.remove.length === 0) return;
  const { createTwoFilesPatch } = await import("diff");
  const there = new Map(before.map((file) => [file.path, file]));
  const show = (path: string, old: OutFile | undefined, now: OutFile | undefined): void => {
    const name = `${out}/${path}`;
    if (old && now && old.text === now.text) return print(`${name}: ${now.executable ? "is not" : "is"} executable`);
    print(
      createTwoFilesPatch(old ? name : "/dev/null", now ? name : "/dev/null", old?.text ?? "", now?.text ?? "", "", "")
        .replace(/^=+\n/, "")
        .trimEnd(),
    );
  };
  for (const file of plan.write) show(file.path, there.get(file.path), file);
  for (const path of plan.remove) show(path, there.get(path), undefined);
}
