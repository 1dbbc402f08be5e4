import { conflicts } from "../generator/kayobe/conflicts.js";
import { hintsOf } from "../generator/kayobe/hints.js";
import { readInventory } from "../generator/kayobe/inventory.js";
import { cases } from "./drafts.js";
import type { Given, Want } from "./drafts.js";

// Each conflict and each hint by itself, on a small configuration. kayobe-field.test.ts has those that sites have.

const nova = "kolla/config/nova/nova-compute.conf";
const agent = "kolla/config/neutron/sriov_agent.ini";
const gpu = 'device_spec = {"vendor_id": "10de", "product_id": "20b0"}\n';
const hosts = { "inventory/hosts": "[compute]\nhv1\nhv2\n[compute_sriov]\nhv1\n[compute:children]\ncompute_sriov\n" };
const sealed = "$ANSIBLE_VAULT;1.1;AES256\n31\n";

describe(conflicts.name, () => {
  const found = (withVlanRanges: boolean, rows: readonly (readonly [string, Given, Want])[]): void =>
    cases((draft) => {
      const known = readInventory(draft.before).pairings;
      const kollas = ["neutron_sriov_physnets", "neutron_sriov_physnet_mappings", "nova_pci_passthrough_whitelist"];
      const { refusals, hints } = conflicts(draft.before, { isOurs: draft.isOurs, withVlanRanges, kollas, known });
      for (const sentence of refusals) draft.refuse(sentence);
      for (const sentence of hints) draft.hint(sentence);
    }, rows);

  const devices: [string, Given, Want][] = [
    [
      "ours",
      { files: { [nova]: "[pci]\ndevice_spec = ours\n", [agent]: "[sriov_nic]\nexclude_devices = ours\n" } },
      {},
    ],
    [
      "ours in another file",
      { files: { "kolla/config/nova.conf": "[pci]\ndevice_spec = {}, ours\n" } },
      { refusals: [/is set by hand/] },
    ],
    [
      "ours before an encrypted file",
      { files: { [nova]: sealed, "kolla/config/nova.conf": "[pci]\ndevice_spec = {}, ours\n" } },
      {},
    ],
    [
      "a NIC",
      { files: { [nova]: "[pci]\ndevice_spec = {}\n" } },
      { refusals: [/:2: \[pci\] device_spec is set by hand. Nova would use both/] },
    ],
    [
      "a mapping of the agent",
      { files: { [agent]: "[sriov_nic]\nphysical_device_mappings = p:a\n" } },
      { refusals: [/and the agent would use only one .* Move it to physical_network/] },
    ],
    [
      "a mapping that the inventory has too",
      {
        files: {
          [agent]: "[sriov_nic]\nphysical_device_mappings = p:a\n",
          "inventory/host_vars/hv1": "sriov_physnet_mappings: {a: p}\n",
        },
      },
      { refusals: [/the inventory already contains the same\. Remove it here\.$/] },
    ],
    [
      "VFs that the agent leaves out",
      { files: { [agent]: "[sriov_nic]\nexclude_devices = a:b\n" } },
      { refusals: [/Move it to exclude_vfs/] },
    ],
    ["a GPU in the same file", { files: { [nova]: `[pci]\n${gpu}` } }, {}],
    [
      "a GPU in another file",
      { files: { "kolla/config/nova.conf": `[pci]\n${gpu}` } },
      { refusals: [/would replace \[pci\] device_spec\./] },
    ],
    [
      "a GPU of a host",
      { files: { ...hosts, "kolla/config/nova/hv1/nova.conf": `[pci]\n${gpu}` } },
      { refusals: [/:2: on hv1, \[pci\] device_spec replaces/] },
    ],
    [
      "a GPU of a host outside the group",
      { files: { ...hosts, "kolla/config/nova/hv2/nova.conf": `[pci]\n${gpu}` } },
      { hints: [/hv2 is not in compute_sriov\. Before you add it: on hv2, \[pci\]/] },
    ],
    [
      "devices that are not known here",
      { files: { [nova]: "[pci]\ndevice_spec = {{ x }}\n" } },
      { hints: [/is not known here which devices/] },
    ],
    [
      "nothing for a host",
      { files: { "kolla/config/neutron/hv1/sriov_agent.ini": "[sriov_nic]\nexclude_devices =\n" } },
      { refusals: [/is empty, and on hv1 it replaces/] },
    ],
    ["devices of another service", { files: { "kolla/config/cinder.conf": `[pci]\n${gpu}` } }, {}],
  ];
  describe("lists of devices", () => found(false, devices));

  describe("texts for services in variables", () =>
    found(false, [
      [
        "with NICs",
        { files: { "kolla.yml": "kolla_extra_nova: |\n  [pci]\n  device_spec = {}\n" } },
        { refusals: [/^kolla\.yml:1: kolla_extra_nova contains a list of devices/] },
      ],
      [
        "with a GPU, in whose place ours would come",
        { files: { "kolla.yml": `kolla_extra_nova: |\n  [pci]\n  ${gpu}` } },
        { refusals: [/^kolla\.yml:1: kolla_extra_nova contains a list of devices/] },
      ],
      [
        "with a GPU under a former name of the option",
        {
          files: {
            "kolla.yml": `kolla_extra_nova: |\n  [pci]\n  ${gpu.replace("device_spec", "passthrough_whitelist")}`,
          },
        },
        {},
      ],
      [
        "with filters",
        { files: { "kolla.yml": "kolla_extra_nova: |\n  enabled_filters = A\n" } },
        { refusals: [/^kolla\.yml:1: kolla_extra_nova contains enabled_filters/] },
      ],
      ["with anything else", { files: { "kolla.yml": "kolla_extra_nova: |\n  [pci]\n  alias = x\n" } }, {}],
    ]));

  describe("switches and lists of Kolla and Kayobe", () =>
    found(false, [
      [
        "the agent is off",
        { files: { "kolla/globals.yml": "enable_neutron_sriov: no\n" } },
        { refusals: [/^kolla\/globals\.yml:1: enable_neutron_sriov turns/] },
      ],
      [
        "the agent is off for more",
        { files: { "kolla.yml": "kolla_extra_globals: {enable_neutron_sriov: no}\n" } },
        { refusals: [/kolla_extra_globals: enable_neutron_sriov turns/] },
      ],
      ["the agent is on", { files: { "kolla/globals.yml": "enable_neutron_sriov: yes\n" } }, {}],
      [
        "a whole list of what is passed through",
        { files: { "kolla.yml": "kolla_overcloud_inventory_pass_through_host_vars: [a]\n" } },
        { refusals: [/is set as a whole, without sriov_openstack/] },
      ],
      [
        "one with ours",
        { files: { "kolla.yml": "kolla_overcloud_inventory_pass_through_host_vars: [sriov_openstack]\n" } },
        {},
      ],
      [
        "a list of NICs for Kolla",
        { files: { "kolla/globals.yml": "neutron_sriov_physnet_mappings: {p: a}\n" } },
        { refusals: [/empties it for every host, so that nothing is listed twice\.[^]*a: p$/] },
      ],
      [
        "a list of GPUs in Kolla's inventory",
        { files: { "kolla/inventory/group_vars/all": "nova_pci_passthrough_whitelist: [{product_id: '1'}]\n" } },
        { refusals: [/empties it for every host\. Remove it, and name these devices/] },
      ],
      [
        "another variable of Kolla in its inventory",
        { files: { "kolla/inventory/group_vars/all": "neutron_sriov_physnets: p:a\n" } },
        { refusals: [/sets it for every host, which overrides this/] },
      ],
      [
        "the role's mapping where only Kolla sees it",
        { files: { "kolla/globals.yml": "sriov_physnet_mappings: {a: p}\n" } },
        { refusals: [/^kolla\/globals\.yml:1: only Kolla sees sriov_physnet_mappings there: neither/] },
      ],
      [
        "the same, next to one in the inventory",
        {
          files: {
            "kolla/globals.yml": "sriov_physnet_mappings: {a: p}\n",
            "inventory/host_vars/hv1": "sriov_physnet_mappings: {a: p}\n",
          },
        },
        { hints: [/only Kolla sees sriov_physnet_mappings there, and nothing that the merge writes uses it/] },
      ],
      [
        "the role's mapping where only playbooks see it",
        { files: { "ansible/group_vars/all": "sriov_physnet_mappings: {a: p}\n" } },
        { refusals: [/only the playbooks of that folder see/] },
      ],
      [
        "an encrypted file of Kolla's inventory",
        { files: { "kolla/inventory/group_vars/all": sealed } },
        { hints: [/is encrypted and cannot be checked/] },
      ],
    ]));

  const ml2 = "kolla/config/neutron/ml2_conf.ini";
  const ranges: [string, Given, Want][] = [
    [
      "ranges in a file",
      { files: { [ml2]: "[ml2_type_vlan]\nnetwork_vlan_ranges = p:1:9\n" } },
      { refusals: [/:2: network_vlan_ranges replaces what --vlan-range would set/] },
    ],
  ];
  describe("options of ML2", () => {
    found(false, [
      [
        "without the driver",
        { files: { [ml2]: "[ml2]\nmechanism_drivers = ovn\n" } },
        { refusals: [/:2: mechanism_drivers .* Add it by hand: mechanism_drivers = ovn, sriovnicswitch$/] },
      ],
      ["with the driver", { files: { [ml2]: "[ml2]\nmechanism_drivers = ovn,sriovnicswitch\n" } }, {}],
      [
        "without the driver, in a variable",
        { files: { "kolla.yml": "kolla_extra_neutron_ml2: |\n  [ml2]\n  mechanism_drivers = ovn\n" } },
        { refusals: [/^kolla\.yml:1: mechanism_drivers/] },
      ],
    ]);
    found(true, ranges);
    found(
      false,
      ranges.map(([title, given]) => [`${title}, without --vlan-range`, given, {}]),
    );
  });

  describe("our list in an environment, for a run of the base", () =>
    found(false, [
      [
        "would be there twice",
        { files: { [`environments/e/${nova}`]: "[pci]\ndevice_spec = ours\n" } },
        { refusals: [/has it already, .* with --environment e\.$/] },
      ],
      [
        "is alone where Kayobe does not join",
        {
          files: {
            "kolla.yml": "kolla_openstack_custom_config_merge_configs_enabled: no\n",
            [`environments/e/${nova}`]: "[pci]\ndevice_spec = ours\n",
          },
        },
        {},
      ],
    ]));
});

describe(hintsOf.name, () => {
  const ranges = "kolla_neutron_ml2_network_vlan_ranges";
  const list = "sriov_devices: [{name: a}]\n";
  const two = { ...hosts, "inventory/group_vars/compute_sriov/x": list, "inventory/group_vars/row": list };
  cases(
    (draft) => {
      for (const sentence of hintsOf(draft.view, readInventory(draft.before))) draft.hint(sentence);
    },
    [
      ["none", { files: hosts }, {}],
      [
        "a physical network without VLANs",
        { files: { "inventory/host_vars/hv1": "sriov_physnet_mappings: {'3b:00.0': p}\n" } },
        { hints: [/^inventory\/host_vars\/hv1:1: p has no entry in/] },
      ],
      [
        "not with VLANs",
        {
          files: {
            "inventory/host_vars/hv1": "sriov_physnet_mappings: {'3b:00.0': p}\n",
            "neutron.yml": `${ranges}: [{physical_network: p}]\n`,
          },
        },
        {},
      ],
      [
        "devices of a group next to it",
        { files: two },
        { hints: [/^inventory\/group_vars\/row and .* both set sriov_devices/] },
      ],
      ["not of a child", { files: { ...two, "inventory/zz": "[row]\n[compute_sriov:children]\nrow\n" } }, {}],
      [
        "devices of a group outside",
        { files: { ...hosts, "inventory/zz": "[row]\nhv2\n", "inventory/group_vars/row": list } },
        { hints: [/sets sriov_devices for row, which is not part of compute_sriov/] },
      ],
      [
        "a group without hosts",
        { files: { "inventory/hosts": "[compute_sriov]\n" } },
        { hints: [/^No file of the inventory names a host for compute_sriov/] },
      ],
      [
        "not where a variable may name them",
        {
          files: {
            "kolla.yml": "overcloud_group_hosts_map: {compute_sriov: [a]}\n",
            "inventory/hosts": "[compute_sriov]\n",
          },
        },
        {},
      ],
      [
        "a child that a later file defines",
        { files: { "inventory/a": "[compute_sriov]\nhv1\n[compute_sriov:children]\nrow\n", "inventory/b": "[row]\n" } },
        { hints: [/^inventory\/a has row as a child, and only inventory\/b defines it/] },
      ],
      [
        "devices for every host",
        { files: { "kolla.yml": list, "inventory/host_vars/hv1": list } },
        { hints: [/^kolla\.yml:1: Kayobe gives sriov_devices of this file to every host/] },
      ],
      [
        "placement, which needs addresses",
        {
          files: {
            "kolla/config/nova.conf": "[pci]\nreport_in_placement = true\n",
            "neutron.yml": `${ranges}: [{physical_network: p}]\n`,
            "inventory/host_vars/hv1": "sriov_physnet_mappings: {a: p}\n",
          },
        },
        { hints: [/^kolla\/config\/nova\.conf:2: with report_in_placement .* as a is in inventory\/host_vars\/hv1:1/] },
      ],
      [
        "variables in a file with the name of the playbook",
        { files: { "sriov.yml": "" } },
        { hints: [/^sriov\.yml: Kayobe gives its variables to every host/] },
      ],
    ],
  );
});
