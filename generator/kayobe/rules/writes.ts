import type { Draft } from "../draft.js";
import { joiningOf } from "../joining.js";

/** Refuses to write through a symbolic link. A link into the configuration is none: its file is written where it is. */
export function refuseLinks(draft: Draft): void {
  const { write, links } = draft.outcome();
  const { view } = draft;
  const files = view.paths().flatMap((path) => view.fileAt(path) ?? []);
  for (const { path } of [...write, ...links]) {
    const found = files.find((file) => file.link !== undefined && isAtOrBelow(path, file.path));
    if (!found) continue;
    draft.refuse(
      `${found.path} is a symbolic link to ${found.link}, and nothing is written through one. ` +
        `Put a ${found.path === path ? "file" : "folder"} there that is a copy of the link's target.`,
    );
  }
}

function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Refuses to make a file that Kayobe would take in place of one in a layer below, where the site has chosen that. */
export function refuseToHide(draft: Draft): void {
  const { view } = draft;
  const lower = view.layers.slice(0, -1);
  for (const { path } of draft.outcome().write) {
    const inLayer = path.slice(view.target.length);
    const hidden = lower.findLast((layer) => view.fileAt(layer + inLayer)?.text !== undefined);
    if (hidden === undefined || view.has(path) || !inLayer.startsWith("kolla/config/")) continue;
    if (joiningOf(view, inLayer) !== "last") continue;
    draft.refuse(
      `${path} would replace ${hidden}${inLayer}: Kayobe uses only the last of them here. ` +
        `Copy ${hidden}${inLayer} there, and run this again.`,
    );
  }
}
