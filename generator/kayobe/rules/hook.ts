import { posix } from "node:path";
import { playbookPath } from "../artefact.js";
import type { Draft } from "../draft.js";

const hookPath = "hooks/overcloud-host-configure/post.d/10-sriov.yml";

/** Makes the playbook a part of `kayobe overcloud host configure`, by a symbolic link. */
export function hook(draft: Draft): void {
  const { view } = draft;
  // A hook of an environment takes the place of one of the same name in the layers below.
  const last = view.layers.findLast((layer) => view.fileAt(layer + hookPath));
  if (last !== undefined && leadsToPlaybook(draft, last + hookPath)) return;
  const path = view.homeOf(view.target + hookPath);
  if (view.fileAt(path))
    draft.refuse(`${path} is not a symbolic link to ${playbookPath}. Move it elsewhere, and run this again.`);
  else draft.link({ path, target: posix.relative(posix.dirname(path), playbookPath) });
}

function leadsToPlaybook({ view }: Draft, path: string): boolean {
  const { link, real } = view.fileAt(path) ?? {};
  return link !== undefined && (real ?? posix.join(posix.dirname(path), link)) === view.homeOf(playbookPath);
}
