import type { Json, OutFile } from "../../ir.js";
import { yaml } from "./yaml.js";

/** The kinds of change that antsibull-changelog knows, by the headings of CHANGELOG.md (keepachangelog.com). */
const kinds: { readonly [heading: string]: string } = {
  Added: "minor_changes",
  Changed: "minor_changes",
  Deprecated: "deprecated_features",
  Removed: "removed_features",
  Fixed: "bugfixes",
  Security: "security_fixes",
};

/**
 * changelogs/changelog.yaml, which Galaxy and antsibull read, from CHANGELOG.md, which people read.
 *
 * @param authored `## 1.2.3 - 2026-01-31`, a paragraph of summary, then `### Added` and the like with lists
 * @throws Error when a heading is of no kind known, or a release has no date
 */
export function changelog(authored: string): OutFile {
  const releases: { [version: string]: Json } = {};
  for (const section of authored.split(/^## /m).slice(1)) {
    const [heading = "", ...lines] = section.split("\n");
    const release = /^\[?(\d+\.\d+\.\d+\S*?)\]? - (\d{4}-\d\d-\d\d)$/.exec(heading.trim());
    if (!release) throw new Error(`role-template/CHANGELOG.md: "## ${heading}" is not "## VERSION - YYYY-MM-DD"`);
    const [summary = "", ...groups] = lines.join("\n").split(/^### /m);
    const changes: { [kind: string]: string[] } = {};
    for (const group of groups) {
      const [title = "", ...body] = group.split("\n");
      const kind = kinds[title.trim()];
      if (!kind)
        throw new Error(`role-template/CHANGELOG.md: "### ${title}" is not one of ${Object.keys(kinds).join(", ")}`);
      const items = body.join("\n").split(/^- /m).slice(1).map(oneLine);
      changes[kind] = [...(changes[kind] ?? []), ...items];
    }
    releases[release[1]!] = { changes: { release_summary: oneLine(summary), ...changes }, release_date: release[2]! };
  }
  return {
    path: "changelogs/changelog.yaml",
    text: yaml(
      [
        { key: "ancestor", value: null },
        { key: "releases", value: releases },
      ],
      { prose: true },
    ),
  };
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
