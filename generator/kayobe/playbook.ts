import { isRefused, readYaml } from "./yaml.js";

/** What a published playbook for the old roles has, and nothing more: this one does all of it. */
const playKeys = ["name", "hosts", "become", "gather_facts", "any_errors_fatal", "tags", "roles", "tasks", "handlers"];
const roles = ["stackhpc.sriov", "stackhpc.linux.sriov", "stackhpc.sriov.sriov"];

/** Whether a playbook is that of a published guide: it runs a role for SR-IOV on the group, and a handler reboots. */
export function isPublished(text: string, group: string): boolean {
  const yaml = readYaml(text);
  if (isRefused(yaml) || yaml.list.length === 0) return false;
  return yaml.list.every(
    (play) =>
      isMapping(play) &&
      Object.keys(play).every((key) => playKeys.includes(key)) &&
      play["hosts"] === group &&
      runsTheRole(play) &&
      tasksOf(play["handlers"]).every(isReboot),
  );
}

function runsTheRole(play: Mapping): boolean {
  const tasks = tasksOf(play["tasks"]);
  const named = tasksOf(play["roles"]).map((item) =>
    typeof item === "string"
      ? item
      : isMapping(item) && onlyHas(item, ["role", "name", "tags", "become"])
        ? (item["role"] ?? item["name"])
        : undefined,
  );
  const included = tasks.map((task) =>
    isMapping(task) && onlyHas(task, ["name", "include_role", "import_role", "tags", "become"])
      ? includedRole(task)
      : undefined,
  );
  const all = [...named, ...included];
  return all.length > 0 && all.every((name) => typeof name === "string" && roles.includes(name));
}

function includedRole(task: Mapping): unknown {
  const role =
    task["include_role"] ??
    task["ansible.builtin.include_role"] ??
    task["import_role"] ??
    task["ansible.builtin.import_role"];
  return isMapping(role) && onlyHas(role, ["name", "apply", "public"]) ? role["name"] : undefined;
}

function isReboot(handler: unknown): boolean {
  if (
    !isMapping(handler) ||
    !onlyHas(handler, ["name", "listen", "include_tasks", "import_tasks", "reboot", "become", "tags", "when"])
  )
    return false;
  const [included] = ["include_tasks", "import_tasks"]
    .map((key) => handler[key] ?? handler[`ansible.builtin.${key}`])
    .filter((value) => value !== undefined);
  return included === undefined
    ? "reboot" in handler || "ansible.builtin.reboot" in handler
    : /(^|\/)reboot\.ya?ml$/.test(String(isMapping(included) ? included["file"] : included));
}

type Mapping = { readonly [key: string]: unknown };

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function onlyHas(value: Mapping, keys: readonly string[]): boolean {
  return Object.keys(value).every((key) => keys.includes(key.replace(/^ansible\.builtin\./, "")));
}

function tasksOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}
