import type { IniEntry } from "./ini.js";
import { textOfEntry } from "./ini.js";
import { isSealed } from "./layers.js";
import type { LayeredConfig } from "./layers.js";

// Options that name devices, and the files in which nova-compute and Neutron's SR-IOV agent read them.

/** The merge's own file for nova-compute, relative to its layer. */
export const nova = "kolla/config/nova/nova-compute.conf";
/** The merge's own file for the SR-IOV agent. */
export const agent = "kolla/config/neutron/sriov_agent.ini";
/** Files that nova-compute reads before ours. */
const novaAlternatives = ["kolla/config/nova.conf", "kolla/config/global.conf"];

/** Whether a text has the artefact's own variables in it. */
export type IsOurs = (text: string) => boolean;

/** Whether an option lists Nova's PCI devices, under any name that it has had. */
export function pciOption({ section, key }: IniEntry): boolean {
  if (section === "DEFAULT") return key === "pci_passthrough_whitelist";
  return section === "pci" && (/^(device_spec|passthrough_whitelist)$/.test(key) || key.includes("nova_device_option"));
}

/** An option as messages name it. */
export function shortKey({ section, key }: IniEntry): string {
  return `[${section}] ${key.includes("{{") ? "device_spec" : key}`;
}

/** Whether nova-compute reads a file. */
export function isNovas(inLayer: string): boolean {
  const files = ["nova\\.conf", "global\\.conf", "nova/(nova-compute\\.conf|[^/]+/(nova|nova-compute)\\.conf)"];
  return new RegExp(`^kolla/config/(${files.join("|")}|nova_compute/.*)$`).test(inLayer);
}

/** Whether an option names devices, in a file that nova-compute or the agent reads. */
export function isDeviceOption(inLayer: string, entry: IniEntry): boolean {
  if (isNovas(inLayer)) return pciOption(entry);
  const isAgents = /^kolla\/config\/neutron\/([^/]+\/)?sriov_agent\.ini$/.test(inLayer);
  return isAgents && entry.section === "sriov_nic" && agentKeys.includes(entry.key);
}

/** The agent's options that name devices. */
export const agentKeys: readonly string[] = ["physical_device_mappings", "exclude_devices"];

/** Whether a file lists the artefact's devices for Nova. */
export function hasOurDevices(view: LayeredConfig, path: string, isOurs: IsOurs): boolean {
  return view.options(path).entries.some((entry) => pciOption(entry) && isOurs(textOfEntry(entry)));
}

/** The file to which the site has added our list for Nova by hand, where the merge cannot read its own file for it. */
export function novaElsewhere(view: LayeredConfig, isOurs: IsOurs): string | undefined {
  if (!view.has(view.target + nova) || !isSealed(view.textOf(view.target + nova))) return undefined;
  const candidates = view.layers.flatMap((layer) => novaAlternatives.map((path) => layer + path));
  return candidates.find((path) => hasOurDevices(view, path, isOurs));
}
