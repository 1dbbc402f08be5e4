import type { Draft } from "../draft.js";
import { location } from "../layers.js";
import { driver } from "../ml2.js";
import { networkOf, vlanRangesKey } from "../vlans.js";
import type { VlanRange } from "../vlans.js";
import { lineOfKey } from "../yaml.js";
import type { Item } from "../yaml.js";
import { extendList } from "./list.js";

const path = "neutron.yml";
const driversKey = "kolla_neutron_ml2_mechanism_drivers";

/** Adds the mechanism driver to a list of the site. Without one Kolla makes its own list, with the driver in it. */
export function mechanismDriver(draft: Draft): void {
  const list = draft.view.provider(path, driversKey)?.yaml.data[driversKey];
  if (Array.isArray(list) ? list.length > 0 : Boolean(list)) extendList(draft, path, driversKey, [driver], []);
}

/** Adds the VLAN ranges of physical networks. */
export function vlanRanges(draft: Draft, wanted: readonly VlanRange[]): void {
  const found = draft.view.provider(path, vlanRangesKey);
  const value = found?.yaml.data[vlanRangesKey];
  const old: readonly unknown[] = Array.isArray(value) ? value : [];
  const where = found ? location(found.path, lineOfKey(found.yaml, vlanRangesKey)) : "";
  const missing: Item[] = [];
  for (const { network, range } of wanted) {
    const given = rangesOf(old, network);
    if (given.includes(range)) continue;
    const fault = faultOf({ network, range }, given);
    if (fault === undefined) missing.push({ physical_network: network, ...(range === undefined ? {} : { range }) });
    else draft.refuse(`${where}: ${vlanRangesKey} has ${fault}`);
  }
  if (missing.length === 0) return;
  const comment = ["# VLANs of physical networks that Neutron may choose from."];
  extendList(draft, path, vlanRangesKey, missing, comment);
  // Kolla's own default, group_vars/all.yml: a list replaces it.
  if (old.length === 0 && !wanted.some(({ network }) => network === "physnet1"))
    draft.hint(
      `${vlanRangesKey} was not set: with Ironic, Kolla used physnet1 by default. ` +
        "Add --vlan-range physnet1 if that is in use.",
    );
}

/** The ranges that a list has of a network; undefined is one that has no VLANs for tenants. */
function rangesOf(items: readonly unknown[], network: string): readonly unknown[] {
  const own = items.filter((item) => networkOf(item) === network);
  return own.map((item) => (item as { readonly range?: unknown }).range ?? undefined);
}

/** Why a range cannot be added to the existing ones. */
function faultOf(
  { network, range }: { readonly network: string; readonly range: string | undefined },
  given: readonly unknown[],
): string | undefined {
  const number = given.find((other) => typeof other === "number");
  if (number !== undefined)
    return `a range of ${network} that YAML reads as the number ${String(number)}: put it in quotes.`;
  // Neutron takes several ranges of a network.
  if (range !== undefined || given.length === 0) return undefined;
  return (
    `${network} with the range ${String(given[0])}, but no range was requested. ` +
    `Change it by hand, or omit --vlan-range ${network}.`
  );
}
