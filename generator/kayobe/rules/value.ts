import type { Draft } from "../draft.js";
import { addVariable, editYaml } from "../edits.js";
import type { Variable } from "../edits.js";
import { truth } from "../../system/ansible.js";
import { indented, location } from "../layers.js";
import type { Provider } from "../layers.js";
import { lineOfKey, replaceKey, setValue, valueText } from "../yaml.js";
import type { Result, Yaml } from "../yaml.js";

/** The mapping of Neutron's agents, under a name of Kolla's: one that is not ours is a mapping of the site. */
const agentMappings = "neutron_sriov_physnets";

/**
 * Sets a variable that has one value, which is not a list with items.
 *
 * @param path the file that gets it where no file sets it, relative to its layer
 */
export function setVariable(draft: Draft, path: string, wanted: Variable): void {
  const found = draft.view.provider(path, wanted.key);
  if (!found) return addVariable(draft, draft.view.target + path, wanted);
  const change = (edit: (yaml: Yaml) => Result<{ readonly text: string }>): void => {
    if (draft.view.isTargets(found.path)) editYaml(draft, found.path, wanted.source, edit);
    else addVariable(draft, draft.view.target + path, wanted);
  };
  if (typeof wanted.value === "boolean") setSwitch(draft, found, { ...wanted, value: wanted.value }, change);
  else if (typeof wanted.value === "object") setEmpty(found, wanted, change);
  else setText(draft, found, wanted, change);
}

type Change = (edit: (yaml: Yaml) => Result<{ readonly text: string }>) => void;

function setSwitch(
  draft: Draft,
  { path, yaml }: Provider,
  { key, value }: Variable & { readonly value: boolean },
  change: Change,
): void {
  const old = yaml.data[key];
  const is = truth(old);
  if (is === value) return;
  if (is === undefined)
    return draft.refuse(
      `${location(path, lineOfKey(yaml, key))}: ${key} is ${JSON.stringify(old)}, and only Ansible knows what ` +
        `that gives. Set it to ${String(value)} by hand.`,
    );
  change((file) => setValue(file, key, String(value), value));
}

/** A list or mapping of Kolla's that must be empty. What is in it is judged with the conflicts. */
function setEmpty({ yaml }: Provider, { key, value }: Variable, change: Change): void {
  if (yaml.data[key] !== null) return;
  change((file) => setValue(file, key, Array.isArray(value) ? "[]" : "{}", value));
}

function setText(draft: Draft, { path, yaml }: Provider, { key, source, value }: Variable, change: Change): void {
  const old = yaml.data[key];
  if (old === value) return;
  const where = location(path, lineOfKey(yaml, key));
  const isOurs = draft.isOurs(valueText(yaml, key));
  if (old === null || key.startsWith("sriov_") || (isOurs && key === agentMappings))
    return change((file) => replaceKey(file, key, source, value));
  if (key === agentMappings)
    return draft.refuse(
      `${where}: ${key} is already set. It is now derived from sriov_devices: set it there, by physical_network or in ` +
        "sriov_physnet_mappings, and remove this.",
    );
  // Either the site has combined both, or an earlier version wrote it: the text does not show which.
  if (isOurs)
    draft.hint(
      `${where}: ${key} differs from the lines below, and is left unchanged. Make sure that it does the same:\n${indented(source)}`,
    );
  else draft.refuse(`${where}: ${key} is already set. Combine it by hand with:\n${indented(source)}`);
}
