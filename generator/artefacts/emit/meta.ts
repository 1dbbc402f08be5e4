import { isMap, parseDocument } from "yaml";
import type { OutFile, Role } from "../../ir.js";

/**
 * meta/main.yml: the authored file, with the identity set in it. What the author says about platforms, and his
 * comments, stay where they are.
 *
 * There is no `standalone` key: Galaxy's importer refuses it (galaxy_importer 0.4.40, legacy roles).
 *
 * @throws Error when the authored file has no mapping galaxy_info
 */
export function meta(role: Role, authored: string): OutFile {
  const { identity } = role;
  const doc = parseDocument(authored, { compat: "yaml-1.1" });
  if (!isMap(doc.get("galaxy_info"))) throw new Error("role-template/meta/main.yml has no mapping galaxy_info");
  const set = (key: string, value: unknown): void => doc.setIn(["galaxy_info", key], value);
  set("role_name", identity.name);
  set("namespace", identity.namespace);
  set("author", identity.authors.join(", "));
  set("company", identity.authors[0]);
  set("description", identity.description);
  set("license", identity.license.join(", "));
  if (identity.issues) set("issue_tracker_url", identity.issues);
  // A role's tags may hold letters and digits only; a collection's also underscores.
  set("galaxy_tags", doc.createNode(identity.tags.filter((tag) => /^[a-z0-9]+$/.test(tag))));
  return { path: "meta/main.yml", text: doc.toString({ lineWidth: 0 }) };
}
