import type { OutFile } from "../ir.js";
import { isRefused, readYaml } from "./yaml.js";
import type { Yaml } from "./yaml.js";

// The Kayobe part of the artefact: its names, and what its files say.

/** The group of the hosts with SR-IOV. */
export const group = "compute_sriov";
export const groupFolder = `inventory/group_vars/${group}`;
export const playbookPath = "ansible/sriov.yml";
export const requirementsPath = "ansible/requirements.yml";
/** The command, as sentences name it. */
export const command = "sriov-role kayobe";

/**
 * The YAML of a file of the artefact.
 *
 * @throws Error when it is not YAML: the artefact is broken, and no configuration is at fault
 */
export function artefactYaml({ path, text }: OutFile): Yaml {
  const yaml = readYaml(text);
  if (isRefused(yaml)) throw new Error(`${path} of the artefact ${yaml.refused}.`);
  return yaml;
}

/**
 * A test for texts that have a variable of the artefact, or its filter, in them: these are ours, of any version.
 *
 * @throws Error when a file of the artefact is not YAML
 */
export function ownValues(artefact: readonly OutFile[]): (text: string) => boolean {
  const names = artefact
    .filter(({ path }) => /^kolla\/globals\.yml$|\/sriov_openstack$/.test(path))
    .flatMap((file) => Object.entries(artefactYaml(file).data))
    .flatMap(([name, value]) => (typeof value === "string" && name.includes("sriov_") ? [name] : []));
  const pattern = new RegExp(`\\b(${[...names, "nova_device_option"].join("|")})`);
  return (text) => pattern.test(text);
}

/**
 * Kolla's own variables that the artefact sets for every host.
 *
 * @throws Error when a file of the artefact is not YAML
 */
export function kollasNames(artefact: readonly OutFile[]): readonly string[] {
  const globals = artefact.filter(({ path }) => path === "kolla/globals.yml");
  return globals.flatMap((file) => Object.keys(artefactYaml(file).data)).filter((name) => !name.startsWith("sriov_"));
}
