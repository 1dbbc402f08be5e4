import { strictEqual } from "node:assert/strict";
import { readIni } from "../generator/kayobe/ini.js";
import { addFilter } from "../generator/kayobe/rules/filter.js";
import { options } from "../generator/kayobe/rules/options.js";
import { isEmptied, removeSnippets } from "../generator/kayobe/rules/snippets.js";
import { cases, draftOf, has } from "./drafts.js";

// Rules of the merge for options of OpenStack's services, each by itself: a small draft, and all that the rule adds.

const vault = "$ANSIBLE_VAULT;1.1;AES256\n31\n";
const inEnvironment = { environment: "e" } as const;

describe(options.name, () => {
  const agent = { path: "kolla/config/neutron/sriov_agent.ini", text: "\n[sriov_nic]\n# Why.\na = ours\n\nb = ours\n" };
  const of = (layer: string): string => `${layer}${agent.path}`;
  const twice = `${agent.text}${agent.text}`;
  cases(
    (draft) => options(draft, agent),
    [
      ["make the file", {}, { puts: { [agent.path]: agent.text } }],
      ["that are there are left", { files: { [agent.path]: agent.text } }, {}],
      [
        "come below the heading of their section",
        { files: { [agent.path]: "[sriov_nic]\nc = 1\n" } },
        { puts: { [agent.path]: "[sriov_nic]\n# Why.\na = ours\nb = ours\nc = 1\n" } },
      ],
      [
        "of an earlier version are replaced, and others are added",
        { files: { [agent.path]: "[sriov_nic]\na = old ours\n" } },
        { puts: { [agent.path]: "[sriov_nic]\nb = ours\na = ours\n" } },
      ],
      [
        "of the site are left, and ours come next to them",
        { files: { [agent.path]: "[sriov_nic]\na = 1\n" } },
        { puts: { [agent.path]: "[sriov_nic]\n# Why.\na = ours\nb = ours\na = 1\n" } },
      ],
      [
        "of the base are there for an environment that has a link to them",
        {
          files: { [agent.path]: agent.text, "environments/e/x": "" },
          more: [{ path: of("environments/e/"), link: "x", real: agent.path, text: agent.text }],
          ...inEnvironment,
        },
        {},
      ],
      [
        "that are there twice are refused",
        { files: { [agent.path]: twice } },
        {
          refusals: [
            /:10: \[sriov_nic\] a is set twice, first in .*:4\. Delete this one\.$/,
            /:12: \[sriov_nic\] b is set twice/,
          ],
        },
      ],
      [
        "of the base in an earlier version are refused for an environment",
        {
          files: { [agent.path]: agent.text.replace("a = ours", "a = old ours"), "environments/e/x": "" },
          ...inEnvironment,
        },
        { refusals: [/:4: \[sriov_nic\] a was written by an earlier version\. .* without --environment\.$/] },
      ],
      [
        "of an environment that another one depends on are refused by its name",
        {
          files: {
            [of("environments/d/")]: agent.text.replace("b = ours", "b = old ours"),
            "environments/e/.kayobe-environment": "dependencies: [d]\n",
          },
          ...inEnvironment,
        },
        { refusals: [/:6: \[sriov_nic\] b was written by an earlier version\. .* with --environment d\.$/] },
      ],
      [
        "in an encrypted file are refused, with the section",
        { files: { [agent.path]: vault } },
        { refusals: [/is encrypted [^]*:\n {4}\[sriov_nic\]\n {4}# Why\.\n {4}a = ours\n {4}b = ours$/] },
      ],
    ],
  );

  it("take the place of a file in which nothing is left", () => {
    const draft = draftOf({ files: { [agent.path]: "{% raw %}\n[sriov_nic]\nexclude_devices =\n{% endraw %}\n" } });
    removeSnippets(draft);
    options(draft, agent);
    has(draft, { puts: { [agent.path]: agent.text } });
  });

  const nova = { path: "kolla/config/nova/nova-compute.conf", text: "\n[pci]\ndevice_spec = ours\n" };
  cases(
    (draft) => options(draft, nova),
    [
      [
        "for Nova are replaced under any name that they have had",
        { files: { [nova.path]: "[pci]\npassthrough_whitelist = ours\n" } },
        { puts: { [nova.path]: "[pci]\ndevice_spec = ours\n" } },
      ],
      [
        "for Nova may be in a file before an encrypted one",
        { files: { [nova.path]: vault, "kolla/config/nova.conf": "[pci]\ndevice_spec = ours\n" } },
        {},
      ],
      [
        "for Nova may be added to a file before an encrypted one",
        { files: { [nova.path]: vault } },
        { refusals: [/or add by hand to kolla\/config\/nova\.conf:\n/] },
      ],
    ],
  );
});

describe(addFilter.name, () => {
  const [wanted] = readIni("[filter_scheduler]\nenabled_filters = A, New\n").entries;
  const nova = "kolla/config/nova.conf";
  const list = (value: string): string => `[filter_scheduler]\nenabled_filters = ${value}\n`;
  const before = {
    "kolla/config/global.conf":
      "\n[filter_scheduler]\n" +
      "# For the case that no condition in the files that Nova reads later sets another list.\n" +
      "enabled_filters = A, New\n{# end #}\n",
  };
  const add = (draft: Parameters<typeof addFilter>[0]): void => void addFilter(draft, wanted!, "{# end #}\n");
  cases(add, [
    ["leaves it to the rule for options where there is no list", {}, {}],
    ["leaves a list with it", { files: { [nova]: list("New, B") } }, {}],
    ["adds it to a list", { files: { [nova]: list("B") } }, { puts: { [nova]: list("B, New") } }],
    [
      "refuses a list that a condition ends",
      { files: { [nova]: "[filter_scheduler]\n{% if x %}enabled_filters = B{% endif %}\n" } },
      { refusals: [/:2: enabled_filters has no New, and a Jinja condition/] },
    ],
    [
      "makes a list before one under a condition",
      { files: { [nova]: `{% if x %}\n${list("B, New")}{% endif %}\n` } },
      { puts: before },
    ],
    [
      "makes a list before one under a condition, also where the heading comes after that",
      { files: { [nova]: `{% if x %}\n${list("B, New")}{% endif %}\n[filter_scheduler]\n` } },
      { puts: before },
    ],
    [
      "refuses a list under a condition, before which Nova reads nothing",
      { files: { "kolla/config/global.conf": `{% if x %}\n${list("B, New")}{% endif %}\n` } },
      { refusals: [/^kolla\/config\/global\.conf:3: enabled_filters is under a condition/] },
    ],
    [
      "repeats a list of the base in an environment",
      { files: { [nova]: list("B"), "environments/e/x": "" }, ...inEnvironment },
      {
        puts: {
          [`environments/e/${nova}`]:
            "\n[filter_scheduler]\n" +
            "# The list of kolla/config/nova.conf, repeated: of two lists, Nova uses the last.\n" +
            "enabled_filters = B, New\n{# end #}\n",
        },
      },
    ],
    [
      "refuses a file that may have a list",
      { files: { [nova]: vault } },
      { refusals: [/^kolla\/config\/nova\.conf is encrypted .* may contain a list of filters/] },
    ],
  ]);
  it("reports whether there is a list for all schedulers", () => {
    const isDone = (files: { readonly [path: string]: string }): boolean => addFilter(draftOf({ files }), wanted!, "");
    strictEqual(isDone({ [nova]: list("B") }), true);
    strictEqual(isDone({ "kolla/config/nova/ctl1/nova.conf": list("B") }), false);
  });
});

describe(removeSnippets.name, () => {
  const path = "kolla/config/neutron/sriov_agent.ini";
  const snippet =
    "[sriov_nic]\nphysical_device_mappings = " +
    "{% for d, n in sriov_physnet_mappings.items() %}{{ n }}:{{ d }}{% endfor %}\n";
  cases(removeSnippets, [
    [
      "removes a snippet, with a hint",
      { files: { [path]: `${snippet}c = 1\n` } },
      { puts: { [path]: "[sriov_nic]\nc = 1\n" }, hints: [/what it made from sriov_physnet_mappings is removed/] },
    ],
    [
      "removes an empty list without a word",
      { files: { [path]: "[sriov_nic]\nexclude_devices =\nc = 1\n" } },
      { puts: { [path]: "[sriov_nic]\nc = 1\n" } },
    ],
    [
      "leaves what is ours, though it is empty",
      { files: { "kolla/config/nova/nova-compute.conf": "[pci]\n{{ ours | nova_device_option }} = []\n" } },
      {},
    ],
    ["leaves what is ours", { files: { [path]: "[sriov_nic]\nexclude_devices = {{ ours }}\n" } }, {}],
    ["leaves devices of the site", { files: { [path]: "[sriov_nic]\nphysical_device_mappings = a:b\n" } }, {}],
    ["leaves an encrypted file", { files: { [path]: vault } }, {}],
    ["leaves the base of an environment", { files: { [path]: snippet, "environments/e/x": "" }, ...inEnvironment }, {}],
  ]);
  for (const [text, want] of [
    [snippet, true],
    [`${snippet}c = 1\n`, false],
    ["[sriov_nic]\n", false],
  ] as const)
    it(`${JSON.stringify(text.slice(-20))} is emptied: ${want}`, () => {
      const draft = draftOf({ files: { [path]: text } });
      removeSnippets(draft);
      strictEqual(isEmptied(draft, path), want);
    });
});
