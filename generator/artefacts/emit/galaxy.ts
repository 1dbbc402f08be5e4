import { parseDocument } from "yaml";
import type { OutFile } from "../../ir.js";

/** The collection's galaxy.yml: the root's, without what concerns a build at the root of the repository. */
export function galaxy(authored: string): OutFile {
  const doc = parseDocument(authored, { compat: "yaml-1.1" });
  doc.delete("build_ignore");
  doc.commentBefore = null;
  doc.comment = null;
  const first = (doc.contents as unknown as { items?: { key?: { commentBefore?: string | null } }[] } | null)
    ?.items?.[0]?.key;
  if (first) first.commentBefore = null;
  if (doc.contents) doc.contents.commentBefore = null;
  // ansible-lint and ansible-galaxy leave these behind where they run.
  doc.set("build_ignore", doc.createNode([".ansible", ".cache", "*.tar.gz"]));
  return { path: "galaxy.yml", text: doc.toString({ lineWidth: 0 }) };
}
