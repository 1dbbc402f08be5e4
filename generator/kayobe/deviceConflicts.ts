import { group } from "./artefact.js";
import { agent, hasOurDevices, isDeviceOption, isNovas, nova, novaElsewhere, shortKey } from "./deviceOptions.js";
import type { IsOurs } from "./deviceOptions.js";
import { hostOf, kindOf, readsMapping } from "./devices.js";
import type { DeviceKind } from "./devices.js";
import { optionOf } from "./environments.js";
import { hostsOf, inventoryGroups, mayNameHosts } from "./groups.js";
import { textOfEntry } from "./ini.js";
import type { Ini, IniEntry } from "./ini.js";
import { joiningOf, layersFor } from "./joining.js";
import { location } from "./layers.js";
import type { LayeredConfig } from "./layers.js";
import { isKnown, pairingsOf } from "./pairings.js";
import type { Pairing } from "./pairings.js";

// Lists of devices for Nova and for the agent that a site keeps itself: each is read next to ours, or in its place.

/** What is wrong, and what a person should only check; a sentence for each. */
export interface Findings {
  readonly refusals: readonly string[];
  readonly hints: readonly string[];
}

/** An option with devices that is not ours, and where it is. */
interface Place {
  readonly layer: string;
  readonly path: string;
  readonly inLayer: string;
  readonly ini: Ini;
  readonly entry: IniEntry;
  /** File and line, as messages name them. */
  readonly where: string;
  readonly kind: DeviceKind;
  /** The layer whose file for nova-compute has what is derived from sriov_devices. */
  readonly homeLayer: string;
}

/** The result for one option. */
interface Finding {
  readonly refusal?: string;
  readonly hint?: string;
}

/**
 * Options that name devices and are not ours.
 *
 * @param known the physical networks that the inventory names
 */
export function deviceConflicts(view: LayeredConfig, isOurs: IsOurs, known: readonly Pairing[]): Findings {
  const found = placesOf(view, isOurs).map((place) => findingOf(view, place, known));
  return {
    refusals: found.flatMap(({ refusal }) => refusal ?? []),
    hints: found.flatMap(({ hint }) => hint ?? []),
  };
}

function placesOf(view: LayeredConfig, isOurs: IsOurs): Place[] {
  const elsewhere = novaElsewhere(view, isOurs);
  const isHome = (layer: string): boolean => hasOurDevices(view, layer + nova, isOurs);
  const homeLayer = layersFor(view, nova).find(isHome) ?? view.target;
  return view.layers.flatMap((layer) =>
    view.once(view.below(`${layer}kolla/config`)).flatMap((path) => {
      const inLayer = path.slice(layer.length);
      if (!layersFor(view, inLayer).includes(layer)) return [];
      const home = isNovas(inLayer) ? nova : agent;
      const isOwn = (entry: IniEntry): boolean =>
        (inLayer === home || path === elsewhere) && isOurs(textOfEntry(entry));
      const ini = view.options(path);
      return ini.entries
        .filter((entry) => isDeviceOption(inLayer, entry) && !isOwn(entry))
        .map((entry) => {
          const where = location(path, entry.line);
          return { layer, path, inLayer, ini, entry, where, kind: kindOf(view, ini, entry), homeLayer };
        });
    }),
  );
}

function findingOf(view: LayeredConfig, place: Place, known: readonly Pairing[]): Finding {
  switch (place.kind) {
    case "nothing":
      return emptyOption(place);
    case "snippet":
      return view.isTargets(place.path) ? {} : { refusal: snippetOfLowerLayer(place) };
    case "other":
    case "unknown":
      return otherDevices(view, place);
    case "nic":
      return { refusal: nicByHand(view, place, known) };
  }
}

/** Whether a file is for one host, and takes the place of the file for all of them. */
function isForHost(inLayer: string): boolean {
  return /^kolla\/config\/(nova|neutron)\/[^/]+\//.test(inLayer);
}

function emptyOption({ inLayer, entry, where }: Place): Finding {
  const takesPlace = isForHost(inLayer) && (!isNovas(inLayer) || entry.key === "device_spec");
  if (!takesPlace) return {};
  return {
    refusal:
      `${where}: ${shortKey(entry)} is empty, and on ${hostOf(inLayer)} it replaces what is derived from ` +
      "sriov_devices. Remove it here.",
  };
}

function snippetOfLowerLayer({ layer, entry, where }: Place): string {
  return (
    `${where}: ${shortKey(entry)} contains what is now derived from sriov_physnet_mappings automatically. ` +
    `To replace it, run sriov-role kayobe for that layer first, ${optionOf(layer)}.`
  );
}

function otherDevices(view: LayeredConfig, place: Place): Finding {
  const { inLayer, entry, where, kind } = place;
  const refusal = hiddenDevices(view, place);
  if (refusal !== undefined) {
    const host = hostOf(inLayer);
    if (!isForHost(inLayer) || !isOutside(view, host)) return { refusal };
    return { hint: `${where}: ${host} is not in ${group}. Before you add it: ${refusal.slice(where.length + 2)}` };
  }
  if (kind === "other") return {};
  return {
    hint:
      `${where}: it is not known here which devices ${shortKey(entry)} names. Devices that are not NICs may stay. ` +
      "A NIC must be removed: move it to physical_network of the PF in sriov_devices.",
  };
}

function nicByHand(view: LayeredConfig, { inLayer, ini, entry, where }: Place, known: readonly Pairing[]): string {
  const isPci = isNovas(inLayer);
  if (readsMapping(ini, entry)) return madeFromMapping(where, entry, isPci);
  if (isKnown(pairingsOf(entry), known))
    return `${where}: ${shortKey(entry)} is set by hand, and the inventory already contains the same. Remove it here.`;
  if (isPci)
    return (
      `${where}: ${shortKey(entry)} is set by hand. Nova would use both lists, or this one in place of what ` +
      "is derived from sriov_devices. Move it to physical_network (and its other keys to nova) of the PF in " +
      "sriov_devices, and remove it here. Name a device that is not a NIC by its product_id or address, " +
      `below [pci] of ${view.target}${nova}.`
    );
  return (
    `${where}: ${entry.key} is set by hand, and the agent would use only one of the two values. ` +
    `Move it to ${agentVariable(entry)} of the PF in sriov_devices, and remove it here.`
  );
}

function madeFromMapping(where: string, entry: IniEntry, isPci: boolean): string {
  const why = isPci ? "Nova would use both lists" : "the agent would use only one of the two values";
  return (
    `${where}: ${shortKey(entry)} is made from sriov_physnet_mappings, which is now read from the inventory, ` +
    `and ${why}. Remove it here, and move its other settings to ${isPci ? "nova" : agentVariable(entry)} ` +
    "of the PF in sriov_devices."
  );
}

/** What an entry of sriov_devices has for an option of the agent. */
function agentVariable({ key }: IniEntry): string {
  return key === "exclude_devices" ? "exclude_vfs" : "physical_network";
}

/** Whether the inventory names a host outside the group, and all hosts of the group are known. */
function isOutside(view: LayeredConfig, host: string): boolean {
  const groups = inventoryGroups(view);
  const inGroup = hostsOf(groups, group);
  const isNamed = [...groups.hosts.values()].some((hosts) => hosts.has(host));
  if (groups.dynamic || !isNamed || inGroup.length === 0) return false;
  if (inGroup.some((name) => name === host || name.includes("["))) return false;
  return !mayNameHosts(view, group);
}

/**
 * A sentence when devices of other kinds, for example GPUs, and ours hide each other. Nova takes several lines of one
 * file, and of two files the last one's.
 */
function hiddenDevices(view: LayeredConfig, place: Place): string | undefined {
  const { inLayer, entry, layer, where } = place;
  // Under the former names of the option, Nova reads the list as well.
  if (!shortKey(entry).endsWith("device_spec")) return undefined;
  const home = (joiningOf(view, nova) === "joined" ? layer : view.target) + nova;
  if (/^kolla\/config\/nova\/[^/]+\//.test(inLayer))
    return (
      `${where}: on ${hostOf(inLayer)}, ${shortKey(entry)} replaces what is derived from sriov_devices. ` +
      `Move it below [pci] of ${home}, where Nova uses both, under a condition for the host, within {% raw %} and ` +
      `{% endraw %}: {% if inventory_hostname == '${hostOf(inLayer)}' %}`
    );
  if (inLayer !== nova)
    return (
      `${where}: what is derived from sriov_devices would replace ${shortKey(entry)}. ` +
      `Move it below [pci] of ${home}, where Nova uses both.`
    );
  return hiddenByLayer(view, place);
}

/** The same for nova-compute's own files of two layers. */
function hiddenByLayer(view: LayeredConfig, { path, layer, homeLayer, where }: Place): string | undefined {
  const isHome = layer === homeLayer || (view.isTargets(path) && homeLayer === view.target);
  if (isHome || joiningOf(view, nova) !== "merged") return undefined;
  const ours = homeLayer + nova;
  const isLower = view.layers.indexOf(layer) < view.layers.indexOf(homeLayer);
  const [hidden, last] = isLower ? [path, ours] : [ours, path];
  return (
    `${where}: Kayobe merges the files of an environment and of its base here (merge_configs), and [pci] device_spec ` +
    `of ${last} replaces that of ${hidden}. Put both into one of them: ` +
    `copy this one below [pci] of ${ours}, and remove it here.`
  );
}
