import { failure, success } from "../ir.js";
import type { Result } from "../ir.js";

/** VLANs of a physical network that Neutron may choose from. */
export interface VlanRange {
  readonly network: string;
  /** FIRST:LAST; without it the network has no VLANs for tenants. */
  readonly range?: string;
}

/** Kayobe's variable for them, in neutron.yml. */
export const vlanRangesKey = "kolla_neutron_ml2_network_vlan_ranges";

/** PHYSNET or PHYSNET:FIRST:LAST; a failure when it is neither. */
export function vlanRange(text: string): Result<VlanRange> {
  const [network = "", ...numbers] = text.split(":");
  if (!/^[^\s,;{}"']+$/.test(network)) return failure("it begins with no name of a physical network.");
  if (numbers.length === 0) return success({ network });
  const [first = 0, last = 0] = numbers.map((number) => (/^[1-9]\d{0,3}$/.test(number) ? Number(number) : Number.NaN));
  if (numbers.length !== 2 || !(first >= 1 && first <= last && last <= 4094))
    return failure("it must be PHYSNET or PHYSNET:FIRST:LAST, with VLANs from 1 to 4094.");
  return success({ network, range: `${first}:${last}` });
}

/** The physical network of an item of that variable. */
export function networkOf(item: unknown): unknown {
  return typeof item === "object" && item !== null && "physical_network" in item ? item.physical_network : undefined;
}
