import { isVaulted } from "../system/ansible.js";
import {
  changes,
  goneFacts,
  iommuVariables,
  oldCommits,
  oldTaskFiles,
  oldVariables,
  predecessors,
} from "./predecessors.js";
import type { Predecessor } from "./predecessors.js";
import { judgeSetting, sets } from "./settings.js";
import type { Context, Judged, Outcome, Present, Source } from "./settings.js";
import { asideBy, holdsVariables, isKollas, isOfHosts, isReadable } from "./place.js";
import type { Aside } from "./place.js";
import { nothing, readFile } from "./read.js";
import type { Entry, Requirement, RoleUse, Said } from "./read.js";

// What a configuration of the predecessors means under this role.

export interface Finding {
  readonly file: string;
  /** Absent for what concerns the whole file. */
  readonly line?: number;
  readonly outcome: Outcome;
  readonly text: string;
}

export interface Report {
  readonly findings: readonly Finding[];
  /** What changes without a line in the files. */
  readonly notes: readonly string[];
  readonly from: readonly Predecessor[];
  /** How many files were ignored, and why. */
  readonly aside: readonly { readonly why: Aside; readonly count: number }[];
}

/** A file that only the predecessor's role has, and one that only this one has, in the folder of the role. */
const marks = { old: "/tasks/mlxconfig.yml", present: "/tasks/firmware_tool.yml" } as const;
/** When a file cannot be parsed, and has none of these words, there is nothing to say of it. */
const relevant = /sriov|iommu|grubcmdline|kernel_cmdline|virtual-functions|device_meta|stackhpc\.linux/i;
const grubcmdline = /^stackhpc\.grubcmdline$|[/:]ansible-role-grubcmdline(\.git)?\/?$/;

/** Why there is no text of a file. */
type Unread = "denied" | "large" | "binary" | "nowhere";

/** A file of a user. */
export interface Given {
  readonly path: string;
  /** Absent: it cannot be read as text, or it is a folder. */
  readonly text?: string;
  /** Where it is, as far as that shows what the file is; the path when it is absent. */
  readonly place?: string;
  /** Where it is when links are followed: what has the same is the same file. */
  readonly real?: string;
  /** A link leads to it. */
  readonly linked?: true;
  readonly unread?: Unread;
  /** It was named itself, so that it is read under any name. */
  readonly named?: true;
}

/**
 * Judge files.
 *
 * @param from the predecessor, when it is known; otherwise what the files use, and both when they do not show it
 */
export function judge(files: readonly Given[], present: Present, from?: Predecessor): Report {
  const { old, own, first, included, sources } = chosenOf(files);
  const all = sources.map(({ said }) => said);
  const context: Context = {
    from: from === undefined ? usedBy(all) : [from],
    settings: sources.filter(({ kollas }) => !kollas).flatMap(({ said }) => said.settings),
    handlers: all.flatMap(({ handlers }) => handlers),
    // Of files that are aside, or that cannot be parsed, what looks like one.
    expressions: [
      ...all.flatMap(({ conditions }) => conditions),
      ...own.flatMap(
        ({ text }) => (text ?? "").match(/\{\{[\s\S]*?\}\}|\{%[\s\S]*?%\}|\b(when|that|until|var): .*/g) ?? [],
      ),
    ].join("\n"),
    sources,
  };
  const judged = [
    ...sources.flatMap((source) => judgeFile(source, context, present)),
    ...withoutDevices(context, present),
  ];
  const findings = judged.sort((a, b) =>
    a.file === b.file ? (a.line ?? 0) - (b.line ?? 0) : a.file < b.file ? -1 : 1,
  );
  const stale = old.map((folder): Finding => ({
    file: folder,
    outcome: "different",
    text: staleRole(folder, present),
  }));
  const notes = findings.length === 0 ? [] : notesOf(context);
  return { findings: [...stale, ...unique(findings)], notes, from: context.from, aside: asideOf(own, first, included) };
}

/** What changes without a line in the files. */
function notesOf(context: Context): string[] {
  return changes
    .filter(
      (change) =>
        (change.from === undefined || context.from.includes(change.from)) &&
        (change.unless === undefined || !sets(context, change.unless)),
    )
    .map(({ text }) => text);
}

/** How many files were ignored, and why. */
function asideOf(own: readonly Given[], first: readonly Given[], included: readonly Given[]): Report["aside"] {
  const left = own.filter(
    (file) =>
      !first.includes(file) && !included.includes(file) && (file.text !== undefined || file.unread !== undefined),
  );
  const reasons = [
    ...left.map((file) => asideBy(placeOf(file)) ?? "of another kind"),
    ...first.filter(isOfNoUse).map((): Aside => "of another kind"),
  ];
  return [...new Set(reasons)].sort().map((why) => ({ why, count: reasons.filter((one) => one === why).length }));
}

/** The files of a run, by what is done with them. */
interface Chosen {
  /** Folders with the predecessor's role. */
  readonly old: readonly string[];
  /** All files but those of a copy of a role, each once. */
  readonly own: readonly Given[];
  /** Those that are read by themselves. */
  readonly first: readonly Given[];
  /** Those that are read because another one includes them. */
  readonly included: readonly Given[];
  readonly sources: readonly Source[];
}

function chosenOf(files: readonly Given[]): Chosen {
  const foldersWith = (mark: string): string[] =>
    files.flatMap(({ path }) => (path.endsWith(mark) ? [path.slice(0, -mark.length)] : []));
  const old = foldersWith(marks.old);
  const copies = [...old, ...foldersWith(marks.present)];
  const places = files.map(placeOf);
  const isKayobes = (folder: string): boolean =>
    /(^|\/)(environments\/[^/]+|etc\/kayobe)\/$/.test(folder) ||
    ["kolla.yml", "bifrost.yml"].some((name) => places.includes(folder + name));
  const isKollaAlone = (file: Given): boolean => isKollas(placeOf(file), file.text, isKayobes);
  const own = once(
    files.filter(({ path }) => !copies.some((folder) => path.startsWith(`${folder}/`))),
    (file) =>
      (file.named !== true && asideBy(placeOf(file)) !== undefined ? 4 : isKollaAlone(file) ? 2 : 0) +
      (file.linked === true ? 1 : 0),
  );
  const first = own.filter((file) => file.named === true || asideBy(placeOf(file)) === undefined);
  const readAll = (chosen: readonly Given[]): Source[] =>
    chosen.map((file): Source => ({ file: file.path, said: saidBy(file), kollas: isKollaAlone(file) }));
  const sourcesOfFirst = readAll(first);
  // A playbook may read variables from anywhere.
  const included = own.filter(
    (file) =>
      !first.includes(file) &&
      file.text !== undefined &&
      isReadable(placeOf(file)) &&
      asideBy(placeOf(file)) !== "of Kolla's own configuration" &&
      sourcesOfFirst.some(({ said }) => said.texts.some(({ text }) => leadsTo(text, placeOf(file)))),
  );
  return { old, own, first, included, sources: [...sourcesOfFirst, ...readAll(included)] };
}

/** What happens to the predecessor's role in a folder, which Ansible finds by the name of the folder. */
function staleRole(folder: string, { role, collection, version }: Present): string {
  const name = folder.replace(/^.*\//, "");
  if (name === role)
    return `the installed role is the predecessor, and ansible-galaxy replaces it only with --force: ansible-galaxy role install --force ${role},${version}`;
  return `this copy of the predecessor stays, and a play with the role ${name} runs it: write ${collection}.sriov there, and remove the folder`;
}

function placeOf({ path, place }: Given): string {
  return place ?? path;
}

/**
 * Each file by one of its paths, that of the lowest rank: links lead to a file by several, and so do a folder and a
 * file in it.
 */
function once(files: readonly Given[], rank: (file: Given) => number): readonly Given[] {
  const best = new Map<string, Given>();
  for (const file of files) {
    const key = file.real ?? file.path;
    const other = best.get(key);
    if (other === undefined || rank(file) < rank(other)) best.set(key, file);
  }
  return files.filter((file) => best.get(file.real ?? file.path) === file);
}

/** What could only be read as text and is none, where no variables have to be. */
function isOfNoUse(file: Given): boolean {
  return file.text === undefined && file.unread !== undefined && saidBy(file).fault === undefined;
}

/** Whether a text, for example in include_vars, ends like the path of a file. */
function leadsTo(text: string, path: string): boolean {
  const end = text
    .trim()
    .replace(/^.*\}\}\/?/, "")
    .replace(/^(\.{0,2}\/)+/, "");
  return /\.(ya?ml|json)$/.test(end) && (path === end || path.endsWith(`/${end}`));
}

function saidBy(file: Given): Said {
  const { text, unread } = file;
  const place = placeOf(file);
  if (text === undefined) {
    const faults: { readonly [why in Unread]: string } = {
      denied: "cannot be read, permission denied: its content, for example variables, is not checked",
      large: "is larger than any file of variables, and was not read: look at it by hand",
      binary: "is not text in UTF-8: look at it by hand",
      nowhere: "is a symbolic link that leads nowhere: its target is missing",
    };
    // Where it cannot be read, its kind says more than its name.
    const matters =
      unread === "denied"
        ? file.named === true || !/\.[^/]*$/.test(place) || holdsVariables(place)
        : file.named === true || holdsVariables(place);
    return unread !== undefined && matters ? { ...nothing, fault: faults[unread] } : nothing;
  }
  const encrypted = isVaulted(text);
  // For example a key, which is not a file of variables.
  if (encrypted && file.named !== true && !holdsVariables(place)) return nothing;
  const matters = encrypted || relevant.test(text) || isOfHosts(place);
  // Data of other programs, which takes seconds to parse. Plays are not written in it.
  if (!matters && place.endsWith(".json")) return nothing;
  const said = readFile(place, text);
  return said.fault === undefined || matters ? said : nothing;
}

/** What an alias brings to several places is reported once. */
function unique(findings: readonly Finding[]): Finding[] {
  return findings.filter(
    (finding, index) =>
      !findings
        .slice(0, index)
        .some((before) => before.file === finding.file && before.line === finding.line && before.text === finding.text),
  );
}

/** The predecessors that files use; all when they name none. */
function usedBy(all: readonly Said[]): readonly Predecessor[] {
  const roles = all.flatMap(({ roles: used }) => used.map(({ name }) => name));
  const requirements = all.flatMap(({ requirements: required }) => required);
  const byName = predecessors.filter((name) => roles.includes(name));
  if (byName.length > 0) return byName;
  if (
    roles.includes("sriov") &&
    requirements.some(({ kind, name }) => kind === "collection" && name === "stackhpc.linux")
  )
    return ["stackhpc.linux.sriov"];
  return requirements.some(({ kind, name, source }) => kind === "role" && [name, source].some(isOldSource))
    ? ["stackhpc.sriov"]
    : predecessors;
}

function isOldSource(name: string): boolean {
  return name === "stackhpc.sriov" || /[/:]ansible-role-sriov(\.git)?\/?$|\/ansible-role-sriov\/archive\//.test(name);
}

function isOldVersion(version: string): boolean {
  return (
    /^v?0\.\d/.test(version) ||
    (version.length >= 7 && oldCommits.some((commit) => commit.startsWith(version.toLowerCase())))
  );
}

function judgeFile({ file, said, kollas }: Source, context: Context, present: Present): Finding[] {
  const found = (line: number, { outcome, text }: { readonly outcome: Outcome; readonly text: string }): Finding => ({
    file,
    line,
    outcome,
    text,
  });
  return [
    ...(said.fault === undefined ? [] : [{ file, outcome: "unjudged", text: said.fault } as const]),
    ...[...said.roles, ...rolesInLoops(said, present)].flatMap((use) =>
      judgeRole(use, context, present).map((judged) => found(use.line, judged)),
    ),
    ...said.requirements.flatMap((requirement) =>
      judgeRequirement(requirement, context, present).map((judged) => found(requirement.line, judged)),
    ),
    ...said.settings.flatMap((entry) =>
      (kollas ? judgeKollas(entry, context, present) : judgeSetting(entry, context, present)).map(
        ({ line, ...judged }) => found(line, judged),
      ),
    ),
    ...said.kollas.flatMap((entry) =>
      judgeKollas(entry, context, present).map(({ line, ...judged }) => found(line, judged)),
    ),
    ...said.texts.flatMap(({ text, line }) => {
      const unit = /virtual-functions-(\{\{.*?\}\}|[^\s"'])*\.service/.exec(text)?.[0];
      return unit === undefined
        ? []
        : [
            found(line, {
              outcome: "different",
              text: `${unit}: this unit is removed; name a unit that needs the VFs in numvfs_required_by of the device; sriov-vfs.service creates all VFs at boot`,
            }),
          ];
    }),
    ...Object.entries(goneFacts).flatMap(([name, text]) =>
      linesWith(said, name).map((line) => found(line, { outcome: "ineffective", text: `${name}: ${text}` })),
    ),
  ];
}

/** Where a file has a name, in an expression or by itself as in `var: sriov_pci_addrs`. */
function linesWith({ texts }: Said, name: string): number[] {
  return texts.filter(({ text }) => new RegExp(`\\b${name}\\b`).test(text)).map(({ line }) => line);
}

/** A role use of this role, or of a predecessor, under any name. */
function isSriov(name: string, { role, collection }: Present): boolean {
  return [role, `${collection}.sriov`, "stackhpc.linux.sriov", "sriov"].includes(name);
}

/** What uses the role without a list of devices that was read: the old roles had [] for that. */
function withoutDevices({ settings, sources }: Context, present: Present): Finding[] {
  if (settings.some(({ key }) => key === "sriov_devices")) return [];
  const [first] = sources.flatMap(({ file, said }) =>
    said.roles.filter(({ name }) => isSriov(name, present)).map(({ line }) => ({ file, line })),
  );
  return first === undefined
    ? []
    : [
        {
          ...first,
          outcome: "different",
          text: "sriov_devices: nothing that was read sets it. The old roles treated that as []; this role refuses an unset list on a host that is configured, and [] removes the VFs: include the inventory in this check, or set the variable",
        },
      ];
}

/** A setting where only Kolla Ansible sees it. A variable of the site may well be for Kolla. */
function judgeKollas(entry: Entry, context: Context, present: Present): (Judged & { line: number })[] {
  const { key, line } = entry;
  if (!present.variables.some(({ name }) => name === key) && !(key in oldVariables) && !(key in iommuVariables))
    return judgeSetting(entry, context, present);
  const used = new RegExp(`\\b${key}\\b`).test(context.expressions)
    ? "; keep a copy here as long as a template of Kolla's configuration reads it"
    : "";
  const lost = key === "sriov_physnet_mappings" ? ", and neither Nova nor Neutron gets a physical network from it" : "";
  return [
    {
      line,
      outcome: "ineffective",
      text: `${key}: only Kolla sees it here${lost}: move it to group_vars or host_vars of the inventory that the role runs with, inventory/group_vars/compute_sriov/sriov with Kayobe${used}`,
    },
  ];
}

function judgeRole({ name, tasksFrom }: RoleUse, context: Context, present: Present): Judged[] {
  const { role, collection } = present;
  const own = `${collection}.sriov`;
  if (isGrubcmdline(name, context)) {
    const parameters = context.sources.flatMap(({ said }) => said.kernelParameters);
    const iommuOnly =
      parameters.length > 0 &&
      parameters.every(
        (value) => value.kind === "plain" && /^\^?(intel_iommu|amd_iommu|iommu)=/.test(String(value.data)),
      );
    return [
      {
        outcome: "fine",
        text: `role ${name}: it continues to work${iommuOnly ? `; all that it sets here are parameters of the IOMMU, which ${own} sets itself: it can be removed where it is for SR-IOV` : ""}`,
      },
    ];
  }
  if (name === "stackhpc.linux.iommu")
    return [
      {
        outcome: "ineffective",
        text: `role ${name}: it can be removed where it is for SR-IOV, because ${own} sets the IOMMU's parameters; ansible-core 2.19 and later refuse a condition in it`,
      },
    ];
  if (!isSriov(name, present)) return [];
  const named: Judged =
    name === "stackhpc.linux.sriov"
      ? { outcome: "different", text: `role ${name}: write ${own}, of the collection ${collection}` }
      : name === "sriov"
        ? {
            outcome: "different",
            text: `role ${name}: write ${own}, of the collection ${collection}, or ${role}, the role alone; sriov is found only where a folder or the play's collections contain it`,
          }
        : { outcome: "fine", text: `role ${name}: the same name` };
  const instead = tasksFrom === undefined ? undefined : oldTaskFiles[tasksFrom.replace(/\.ya?ml$/, "")];
  return [
    named,
    ...(instead === undefined ? [] : [{ outcome: "different", text: `tasks_from ${tasksFrom}: ${instead}` } as const]),
  ];
}

/**
 * Whether a role is the predecessor's for the kernel line: the one from Galaxy, the collection's, or one that a
 * requirement names so.
 */
function isGrubcmdline(name: string, { sources }: Context): boolean {
  if (/^(stackhpc\.(linux\.)?)?grubcmdline$/.test(name)) return true;
  return sources.some(({ said }) =>
    said.requirements.some(
      (requirement) =>
        [requirement.name, requirement.source].some((one) => grubcmdline.test(one)) && localName(requirement) === name,
    ),
  );
}

/** What ansible-galaxy calls a role that it installs. */
function localName({ name }: Requirement): string {
  return name
    .replace(/\/+$/, "")
    .replace(/^.*[/:]/, "")
    .replace(/(\.git|\.tar\.gz|\.tgz|\.zip)$/, "");
}

/**
 * Roles that a play or a task names by their whole name in another place than roles, for example in a list of a loop.
 */
function rolesInLoops({ runs, requirements, texts }: Said, present: Present): RoleUse[] {
  if (!runs || requirements.length > 0) return [];
  return texts.flatMap(({ text, line }) => (text !== "sriov" && isSriov(text, present) ? [{ name: text, line }] : []));
}

/** Where a role is used, by its name as a role, in a list of a loop, or after "name=". */
function usesOf(isIt: (name: string) => boolean, { sources }: Context): { file: string; line: number }[] {
  return sources.flatMap(({ file, said }) => {
    const named =
      said.runs && said.requirements.length === 0
        ? said.texts.filter(({ text }) => isIt(/(?:^|\s)name=(\S+)/.exec(text)?.[1] ?? text))
        : [];
    return [...said.roles.filter(({ name }) => isIt(name)), ...named].map(({ line }) => ({ file, line }));
  });
}

function judgeRequirement(
  requirement: Requirement,
  context: Context,
  { role, collection, version: now }: Present,
): Judged[] {
  const { kind, name, source, version: said } = requirement;
  if (kind === "collection") {
    const [user] = usesOf(
      (one) => one.startsWith("stackhpc.linux.") && one !== "stackhpc.linux.sriov" && one !== "stackhpc.linux.iommu",
      context,
    );
    if (name === "stackhpc.linux")
      return [
        {
          outcome: "fine",
          text: `collection ${name}: for its other roles${user === undefined ? "" : `, one of which ${user.file}:${user.line} uses`}; ${collection} has the role sriov`,
        },
      ];
    return name === collection ? [{ outcome: "fine", text: `collection ${name}: it has the role sriov` }] : [];
  }
  if ([name, source].some((one) => grubcmdline.test(one))) {
    const [user] = usesOf(
      (one) => one === localName(requirement) || one === "stackhpc.grubcmdline" || one === "grubcmdline",
      context,
    );
    if (user !== undefined)
      return [{ outcome: "fine", text: `requirement ${name}: keep it, ${user.file}:${user.line} uses that role` }];
    if (!context.sources.some(({ said: one }) => one.runs))
      return [
        {
          outcome: "unjudged",
          text: `requirement ${name}: this role does not need it, but no playbook was read: it can be removed unless one of yours uses that role`,
        },
      ];
    return [
      { outcome: "ineffective", text: `requirement ${name}: it can be removed: nothing that was read uses that role` },
    ];
  }
  if (name !== role && ![name, source].some(isOldSource)) return [];
  // An archive has its version in its address.
  const version = said || (/\/archive\/(?:refs\/\w+\/)?(.+?)\.(?:tar\.gz|tgz|zip)$/.exec(source)?.[1] ?? "");
  const instead = `write ${role}, version ${now}, and install it with --force`;
  if (isOldVersion(version))
    return [{ outcome: "different", text: `requirement ${name}: version ${version} is the predecessor: ${instead}` }];
  // Both roles may come from that repository. Galaxy by itself has only releases.
  if (/[/:]/.test(source) && !/^v?\d+\.\d/.test(version))
    return [
      {
        outcome: "unjudged",
        text: `requirement ${name}: only its repository knows which role ${version === "" ? "it gives without a version" : `${version} is`}: ${instead}`,
      },
    ];
  return [
    {
      outcome: "fine",
      text: `requirement ${name}: install it with --force, otherwise ansible-galaxy keeps what is installed`,
    },
  ];
}
