import { itemsOf, readIni } from "./ini.js";
import type { IniEntry } from "./ini.js";
import { optionSources } from "./joining.js";
import { location, variables } from "./layers.js";
import type { LayeredConfig } from "./layers.js";

// Options of Neutron's ML2 plug-in that a site sets itself: they take the place of what Kolla makes of neutron.yml.

/** Neutron's mechanism driver for VFs. */
export const driver = "sriovnicswitch";
const vlanSection = "ml2_type_vlan";
const vlanKey = "network_vlan_ranges";

/**
 * Options of ML2 that hide what the merge sets: a sentence for each.
 *
 * @param withVlanRanges whether the merge sets VLAN ranges
 */
export function ml2Conflicts(view: LayeredConfig, withVlanRanges: boolean): string[] {
  const faults = (where: string, entry: IniEntry): string[] => {
    if (isDrivers(entry) && !entry.value.includes(driver)) return [withoutDriver(where, entry.value)];
    if (isVlans(entry) && withVlanRanges) return [withoutEffect(where)];
    return [];
  };
  const inFiles = ml2Files(view).flatMap((path) => [
    ...optionSources(view, path, "ml2", "mechanism_drivers"),
    ...optionSources(view, path, vlanSection, vlanKey),
  ]);
  return [
    ...inFiles.flatMap(({ path, entry }) => faults(location(path, entry.line), entry)),
    ...ml2Extras(view).flatMap(({ where, entries }) => entries.flatMap((entry) => faults(where, entry))),
  ];
}

/** The physical networks to which options of ML2 give VLANs; an expression, which may name any, is one of the items. */
export function ml2Networks(view: LayeredConfig): readonly string[] {
  const inFiles = ml2Files(view).flatMap((path) => optionSources(view, path, vlanSection, vlanKey));
  const entries = [
    ...inFiles.map(({ entry }) => entry),
    ...ml2Extras(view).flatMap((extra) => extra.entries.filter(isVlans)),
  ];
  return entries.flatMap((entry) => itemsOf(entry).map((item) => item.split(":")[0]!));
}

function isDrivers({ section, key }: IniEntry): boolean {
  return section === "ml2" && key === "mechanism_drivers";
}

function isVlans({ section, key }: IniEntry): boolean {
  return section === vlanSection && key === vlanKey;
}

function withoutDriver(where: string, value: string): string {
  const list = value.replaceAll("\n", " ").replace(/,\s*$/, "");
  return (
    `${where}: mechanism_drivers replaces Kolla's list, and does not contain ${driver}. ` +
    `Add it by hand: mechanism_drivers = ${list}, ${driver}`
  );
}

function withoutEffect(where: string): string {
  return (
    `${where}: network_vlan_ranges replaces what --vlan-range would set. ` +
    "Add the range there by hand, and omit --vlan-range."
  );
}

function ml2Files(view: LayeredConfig): string[] {
  const all = view.layers.flatMap((layer) =>
    view.below(`${layer}kolla/config/neutron`).map((path) => path.slice(layer.length)),
  );
  return [...new Set(all)].filter((path) => /^kolla\/config\/neutron\/([^/]+\/)?ml2_conf\.ini$/.test(path)).sort();
}

/** Texts for ML2 in variables of Kayobe. */
function ml2Extras(view: LayeredConfig): { readonly where: string; readonly entries: readonly IniEntry[] }[] {
  return variables(view).flatMap(({ path, line, key, value }) => {
    if (!/^kolla_extra_neutron_ml2/.test(key) || typeof value !== "string") return [];
    return [{ where: location(path, line), entries: readIni(value).entries }];
  });
}
