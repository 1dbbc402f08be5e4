import type { IniEntry } from "./ini.js";

// Which device is on which physical network, as the inventory, Nova's options and the agent's say it.

export interface Pairing {
  /** Absent where something else selects it, for example a vendor. */
  readonly device?: string;
  readonly network: string;
}

/** Whether the inventory says all of it; nothing is not all. */
export function isKnown(pairings: readonly Pairing[] | undefined, known: readonly Pairing[]): boolean {
  return (
    pairings !== undefined &&
    pairings.length > 0 &&
    pairings.every(
      ({ device, network }) =>
        device !== undefined && known.some((one) => one.device === device && one.network === network),
    )
  );
}

/** What an option says; nothing where it says more, or Jinja decides. */
export function pairingsOf({ section, key, value }: IniEntry): readonly Pairing[] | undefined {
  if (/\{[{%#]/.test(value)) return undefined;
  if (section === "sriov_nic")
    return key !== "physical_device_mappings"
      ? undefined
      : value
          .split(/[\s,]+/)
          .filter((item) => item !== "")
          .map((item) => ({ network: item.slice(0, item.indexOf(":")), device: item.slice(item.indexOf(":") + 1) }));
  try {
    return pairingsIn([JSON.parse(value) as unknown].flat());
  } catch {
    return undefined;
  }
}

/** The same of a list for Nova. */
export function pairingsIn(items: readonly unknown[]): readonly Pairing[] | undefined {
  const found = items.map((item) => {
    const { devname, address, physical_network: network, ...more } = (item ?? {}) as { [key: string]: unknown };
    const device = devname ?? address;
    return typeof device === "string" && typeof network === "string" && Object.keys(more).length === 0
      ? { device, network }
      : undefined;
  });
  return found.every((one) => one !== undefined) ? found : undefined;
}
