/** A file of apt's, by its full path. */
export interface AptFile {
  readonly path: string;
  readonly text: string;
}

/** One source: the fields of a deb822 stanza, names as Debian writes them. */
type Stanza = ReadonlyMap<string, string>;

export const backportsPath = "/etc/apt/sources.list.d/sriov-role-backports.sources";

/**
 * The text of a sources file that adds the backports of a release, from where this machine takes the release itself.
 * No mirror is named here: the machine may be behind one of its own.
 *
 * @param files /etc/apt/sources.list and what is in sources.list.d
 * @returns "present" when a source has the backports already; undefined when no source of the release is found
 */
export function backports(files: readonly AptFile[], codename: string): string | "present" | undefined {
  const stanzas = files.flatMap((file) => (file.path.endsWith(".sources") ? deb822(file.text) : oneLine(file.text)));
  const words = (stanza: Stanza, field: string): string[] => (stanza.get(field) ?? "").split(/\s+/);
  const usable = stanzas.filter((stanza) => words(stanza, "Types").includes("deb") && !/^(no|false|0)$/i.test(stanza.get("Enabled") ?? "yes"));
  if (usable.some((stanza) => words(stanza, "Suites").includes(`${codename}-backports`) && words(stanza, "Components").includes("main"))) return "present";
  const release = usable.find((stanza) => words(stanza, "Suites").includes(codename) && words(stanza, "Components").includes("main"));
  if (!release) return undefined;
  const replaced: { readonly [field: string]: string } = { Types: "deb", Suites: `${codename}-backports`, Components: "main" };
  const fields = [...release].filter(([field]) => field !== "Enabled").map(([field, value]) => `${field}: ${replaced[field] ?? value}`);
  return `${fields.join("\n")}\n`;
}

const fieldNames = ["Types", "URIs", "Suites", "Components", "Enabled", "Signed-By", "Architectures", "Trusted", "Check-Valid-Until", "Allow-Insecure"];

/** @see sources.list(5), "deb822-style format" */
function deb822(text: string): Stanza[] {
  return text
    .split(/\n\s*\n/)
    .map((block) => {
      const fields = new Map<string, string>();
      let last: string | undefined;
      for (const line of block.split("\n").filter((candidate) => !candidate.startsWith("#"))) {
        const field = /^([^\s:]+):\s*(.*)$/.exec(line);
        if (field) {
          last = fieldNames.find((name) => name.toLowerCase() === field[1]!.toLowerCase()) ?? field[1]!;
          fields.set(last, field[2]!.trim());
          // A key may stand in the field itself, on the lines that follow.
        } else if (last && /^\s/.test(line)) fields.set(last, `${fields.get(last)}\n${line}`);
      }
      return fields;
    })
    .filter((fields) => fields.size > 0);
}

/** @see sources.list(5), "one-line-style format" */
function oneLine(text: string): Stanza[] {
  return text.split("\n").flatMap((line) => {
    const entry = /^\s*(deb|deb-src)\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)/.exec(line);
    if (!entry) return [];
    const [, type, options, uri, suite, components] = entry;
    const stanza = new Map([["Types", type!], ["URIs", uri!], ["Suites", suite!], ["Components", components!.trim()]]);
    for (const option of (options ?? "").split(/\s+/)) {
      const [name, value] = option.split("=");
      const field = fieldNames.find((known) => known.toLowerCase() === (name === "arch" ? "architectures" : name!.toLowerCase()));
      if (field && value !== undefined) stanza.set(field, value.replaceAll(",", " "));
    }
    return [stanza];
  });
}
