// What a file can be to Ansible, by where it is and what it is called.

/** Why a file is ignored: it cannot contain a variable, play or requirement. The words follow a number of files. */
export type Aside = "of Kolla's own configuration" | "templates" | "files that are copied to hosts" | "of another kind";

const silent = /(^|\/)(\.git|\.tox|node_modules|\.?venv|ansible_collections)(\/|$)/;
const readable = /(^|\/)[^./]*[^./~]$|\.(ya?ml|json|ini)$/;
const yaml = /\.(ya?ml|json)$/;
/** What is named for a host or a group, whose names may have dots. */
const ofHosts = /(^|\/)(host|group)_vars\/[^./][^/]*$/;
const inHosts = /(^|\/)(host|group)_vars\//;
/**
 * No host is called so: what Ansible passes over in folders (REJECT_EXTS in its constants.py), copies and templates.
 */
const passedOver = /(~|\.(pyc|pyo|swp|bak|rpm|md|txt|rst|orig|retry|j2))$|\.(ya?ml|json)\./;

/** Whether a path below a folder is read. Installed collections are not configuration. */
export function concerns(path: string): boolean {
  return !silent.test(path);
}

/** Whether a file below a folder may be one that Ansible reads as YAML, or as an inventory. */
export function isReadable(path: string): boolean {
  return readable.test(path) || (ofHosts.test(path) && !passedOver.test(path));
}

/**
 * Whether Ansible reads variables from it if it reads it at all, so that what cannot be read there may be missing
 * elsewhere.
 */
export function holdsVariables(path: string): boolean {
  return (inHosts.test(path) || yaml.test(path)) && isReadable(path);
}

/** Whether it is read for a host or group with any content. */
export function isOfHosts(path: string): boolean {
  return inHosts.test(path) && isReadable(path);
}

/** Why a file is ignored; nothing when it is read. */
export function asideBy(path: string): Aside | undefined {
  if (/(^|\/)kolla\/(config|certificates)\//.test(path) || /(^|\/)kolla\/passwords\.ya?ml$/.test(path))
    return "of Kolla's own configuration";
  if (inHosts.test(path) && isReadable(path)) return undefined;
  if (/(^|\/)templates\/|\.j2$/.test(path)) return "templates";
  if (/(^|\/)files\//.test(path)) return "files that are copied to hosts";
  return isReadable(path) ? undefined : "of another kind";
}

/**
 * Whether Kolla Ansible alone reads a file: its globals.yml, and in a Kayobe configuration its inventory.
 *
 * @param isKayobes whether a folder, by its path, holds a Kayobe configuration
 */
export function isKollas(path: string, text: string | undefined, isKayobes: (folder: string) => boolean): boolean {
  const [, folder = "", rest = ""] =
    /^(.*?)(?:(?<=^|\/)kolla\/)(globals\.ya?ml|globals\.d\/[^/]+|inventory\/.+)$/.exec(path) ?? [];
  if (rest.startsWith("inventory/")) return isKayobes(folder);
  if (rest !== "") return true;
  // By its content, where it is kept elsewhere.
  return (
    /(^|\/)globals\.ya?ml$/.test(path) &&
    /^(kolla_base_distro|kolla_internal_vip_address|openstack_release|enable_\w+):/m.test(text ?? "")
  );
}
