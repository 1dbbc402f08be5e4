import { deviceConflicts } from "./deviceConflicts.js";
import type { Findings } from "./deviceConflicts.js";
import { agentKeys, hasOurDevices, nova, pciOption } from "./deviceOptions.js";
import type { IsOurs } from "./deviceOptions.js";
import { kindOf } from "./devices.js";
import { readIni } from "./ini.js";
import { joiningOf } from "./joining.js";
import { extraGlobals, globals, kollaVariables } from "./kollaVariables.js";
import { truth } from "../system/ansible.js";
import { location, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { ml2Conflicts } from "./ml2.js";
import type { Pairing } from "./pairings.js";
import { lineOfKey } from "./yaml.js";

// What a site sets itself that would hide what the merge writes, or be hidden by it.

const passThrough = "kolla_overcloud_inventory_pass_through_host_vars";

/** What the conflicts are judged by, in addition to the configuration. */
export interface ConflictContext {
  readonly isOurs: IsOurs;
  readonly withVlanRanges: boolean;
  /** Kolla's own variables that kolla/globals.yml sets for every host. */
  readonly kollas: readonly string[];
  /** The physical networks that the inventory names. */
  readonly known: readonly Pairing[];
}

/**
 * What of a configuration is in conflict with what the merge writes.
 *
 * @param view the configuration as it was found, so that the lines in the sentences are those of its files
 */
export function conflicts(view: LayeredConfig, { isOurs, withVlanRanges, kollas, known }: ConflictContext): Findings {
  const devices = deviceConflicts(view, isOurs, known);
  const ofKolla = kollaVariables(view, kollas, known);
  return {
    refusals: [
      ...devices.refusals,
      ...serviceTexts(view),
      ...ofKolla.refusals,
      ...switches(view),
      ...wholePassThrough(view),
      ...ml2Conflicts(view, withVlanRanges),
      ...repeatedInEnvironment(view, isOurs),
    ],
    hints: [...devices.hints, ...ofKolla.hints],
  };
}

/** Variables with text for a service, which Kayobe puts before the files for it. */
function serviceTexts(view: LayeredConfig): string[] {
  return variables(view).flatMap(({ path, line, key, value }) => {
    if (!/^kolla_extra_/.test(key) || typeof value !== "string") return [];
    const where = location(path, line);
    const devices =
      `${where}: ${key} contains a list of devices for Nova or for the agent, and there would then be two lists. ` +
      "Move it to physical_network of the PF in sriov_devices, and remove it here.";
    const filters =
      `${where}: ${key} contains enabled_filters, which those of kolla/config/nova.conf would replace. ` +
      `Move them below [filter_scheduler] of ${view.target}kolla/config/nova.conf, and run this again.`;
    return [
      ...(namesNics(view, value) ? [devices] : []),
      ...(/^\s*enabled_filters\s*[=:]/m.test(value) ? [filters] : []),
    ];
  });
}

/** Whether a text for a service has a list with NICs, or one in whose place ours would come. */
function namesNics(view: LayeredConfig, text: string): boolean {
  const ini = readIni(text);
  const named = ini.entries.filter((entry) => pciOption(entry) || agentKeys.includes(entry.key));
  return named.some((entry) => {
    const kind = kindOf(view, ini, entry);
    return kind !== "nothing" && (!["other", "unknown"].includes(kind) || entry.key === "device_spec");
  });
}

/** Kolla's own switch, which overrides Kayobe's. */
function switches(view: LayeredConfig): string[] {
  const key = "enable_neutron_sriov";
  const sentence = (where: string): string =>
    `${where}: ${key} turns Neutron's SR-IOV agent off, and overrides kolla_enable_neutron_sriov. Remove it there.`;
  const found = view.provider(globals, key);
  const isOff = found !== undefined && truth(found.yaml.data[key]) === false;
  const extras = extraGlobals(view).filter(({ data }) => key in data && truth(data[key]) === false);
  return [
    ...(isOff ? [sentence(location(found.path, lineOfKey(found.yaml, key)))] : []),
    ...extras.map(({ where }) => sentence(where)),
  ];
}

/** The whole list of what is passed through: where a site sets it, Kayobe ignores the list for more. */
function wholePassThrough(view: LayeredConfig): string[] {
  const files = view.layers.flatMap((layer) => view.below(`${layer}inventory/group_vars`));
  const inGroups = files.flatMap((path) => {
    const yaml = view.opened(path);
    return yaml && passThrough in yaml.data ? [{ path, yaml }] : [];
  });
  const found = view.provider("kolla.yml", passThrough) ?? inGroups.at(-1);
  const value = found?.yaml.data[passThrough];
  if (!found || value === null || passesOurs(value)) return [];
  return [
    `${location(found.path, lineOfKey(found.yaml, passThrough))}: ${passThrough} is set as a whole, without ` +
      `sriov_openstack, and Kayobe then ignores ${passThrough}_extra. Add to it by hand: "sriov_openstack". ` +
      `Or put what you added into ${passThrough}_extra, and remove this.`,
  ];
}

function passesOurs(value: unknown): boolean {
  if (Array.isArray(value)) return value.includes("sriov_openstack");
  if (typeof value !== "string") return false;
  return value.includes("sriov_openstack") || value.includes(`${passThrough}_extra`);
}

/** Our list in an environment, when a run for the base is about to write it there too. */
function repeatedInEnvironment(view: LayeredConfig, isOurs: IsOurs): string[] {
  if (view.target !== "" || joiningOf(view, nova) !== "joined") return [];
  const isNovas = (path: string): boolean =>
    /^environments\/[^/]+\/kolla\/config\/nova\/nova-compute\.conf$/.test(path);
  const other = view
    .paths()
    .find((path) => isNovas(path) && view.homeOf(path) !== nova && hasOurDevices(view, path, isOurs));
  if (other === undefined) return [];
  return [
    `${other} has it already, and Kayobe joins the files of an environment and of its base: ` +
      "Nova would have everything twice. Delete that part there, " +
      `or run this with --environment ${other.split("/")[1]}.`,
  ];
}
