import { parse } from "yaml";
import type { Identity, Problem } from "../ir.js";

// What Galaxy's importer refuses (galaxy_importer/schema.py, 0.4.40).
const contentName = /^(?!.*__)[a-z][0-9a-z_]*$/;
const semver = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/;

/**
 * The identity in galaxy.yml, or everything that Galaxy would refuse about it.
 *
 * @param text the text of the root galaxy.yml
 */
export function readIdentity(text: string): { identity: Identity; problems: readonly Problem[] } {
  const data = (parse(text) ?? {}) as Record<string, unknown>;
  const problems: Problem[] = [];
  const complain = (message: string): void => void problems.push({ file: "galaxy.yml", message });

  const string = (key: string): string => {
    const value = data[key];
    if (typeof value === "string" && value !== "") return value;
    complain(`${key} must be a text that is not empty`);
    return "";
  };
  const strings = (key: string): string[] => {
    const value = data[key];
    if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string")) return value;
    complain(`${key} must be a list of texts that is not empty`);
    return [];
  };

  const issues = typeof data["issues"] === "string" ? { issues: data["issues"] } : {};
  const identity: Identity = {
    namespace: string("namespace"),
    name: string("name"),
    version: string("version"),
    authors: strings("authors"),
    description: string("description"),
    license: strings("license"),
    tags: strings("tags"),
    repository: string("repository"),
    ...issues,
  };

  for (const key of ["namespace", "name"] as const)
    if (identity[key] !== "" && !contentName.test(identity[key]))
      complain(
        `${key} "${identity[key]}": Galaxy accepts lower-case letters, digits and single underscores, with a letter first`,
      );
  if (identity.version !== "" && !semver.test(identity.version))
    complain(`version "${identity.version}" is not a semantic version`);
  for (const tag of identity.tags)
    if (!contentName.test(tag) || tag.length > 64)
      complain(`tag "${tag}": Galaxy accepts lower-case letters, digits and single underscores, 64 at most`);
  if (identity.tags.length > 20) complain(`${identity.tags.length} tags; Galaxy accepts 20`);
  if (identity.description.length > 255)
    complain(`description has ${identity.description.length} characters; Galaxy accepts 255 for a role`);
  return { identity, problems };
}
