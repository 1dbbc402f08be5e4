import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readSources } from "../generator/artefacts/sources.js";
import { checks, checksPath } from "../generator/artefacts/emit/checks.js";
import { mermaid, plain, withPictures } from "../generator/artefacts/emit/picture.js";
import { variables, variablesPage } from "../generator/artefacts/emit/variables.js";
import type { Picture, Variable } from "../generator/ir.js";
import { pictures } from "../generator/model/pictures.js";
import { put, role, root } from "./support.js";

const text = (path: string): string => readFileSync(join(root, path), "utf8");
const { role: real, template } = readSources(root);

// dist/ is in no repository, so what people look up there is in pages too. `UPDATE=1 npx mocha -g "the pages"` writes them.
describe("the pages of the repository", () => {
  const cases: [path: string, want: string][] = [
    ["docs/variables.md", variablesPage(real).text],
    [`role-template/${checksPath}`, checks(real, template.files).text],
    ["README.md", withPictures(text("README.md"), pictures)],
  ];
  for (const [path, want] of cases)
    it(`${path} is what the model says`, () => {
      if (process.env["UPDATE"]) put(root, { [path]: want });
      strictEqual(text(path), want);
    });

  it("README.md has every picture, under its title", () => {
    deepStrictEqual(
      [...text("README.md").matchAll(/^(.+):\n\n```mermaid$/gm)].map((match) => match[1]),
      pictures.map(({ title }) => title),
    );
  });

  it("docs/kayobe.md has the release that each of Nova's tags needs", () => {
    const devices = real.variables.find(({ name }) => name === "sriov_devices")!;
    const nova = fields(fields(devices).find(({ name }) => name === "nova")!);
    const [, table = ""] = /^\| tag \| since \|\n([^]*?)\n\n/m.exec(text("docs/kayobe.md")) ?? [];
    const said = [...table.matchAll(/^\| (`\w+`(?:, `\w+`)*)[^|]* \| ([^|]+) \|$/gm)].flatMap(([, tags, since]) =>
      tags!.match(/\w+/g)!.map((tag) => [tag, since] as const),
    );
    const model = nova.flatMap(({ name, since }) => (since === undefined ? [] : [[name, since] as const]));
    deepStrictEqual(Object.fromEntries(said), Object.fromEntries(model));
  });

  it("link to pages and headings that are there", () => {
    const anchors = (path: string): string[] =>
      [...text(path).matchAll(/^#+ (.+)$/gm)].map((match) =>
        match[1]!
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, "")
          .replaceAll(" ", "-"),
      );
    const pages = [
      "README.md",
      "CONTRIBUTING.md",
      "SECURITY.md",
      ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`),
    ];
    const faults = pages.flatMap((page) =>
      [...text(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([link, path, anchor]) => {
        const target = path === "" ? page : join(page, "..", path!);
        try {
          return anchor === undefined
            ? (text(target), [])
            : anchors(target).includes(anchor)
              ? []
              : [`${page}: ${link}`];
        } catch {
          return [`${page}: ${link}`];
        }
      }),
    );
    deepStrictEqual(faults, []);
  });
});

describe("a picture", () => {
  const small: Picture = {
    title: "T",
    steps: [
      { id: "a", says: "A", otherwise: [{ when: "no", says: "none" }] },
      { id: "b", says: "B?", asks: true, goesOn: "yes" },
      { id: "c", says: "C" },
    ],
  };
  it("is a flowchart", () =>
    strictEqual(
      mermaid(small),
      'flowchart TD\n    a["A"]\n    a --> b\n    a -->|"no"| a_1["none"]\n    b{"B?"}\n    b -->|"yes"| c\n    c["C"]',
    ));
  it("is lines of characters", () => strictEqual(plain(small), "A\n  |-- no --> none\n  v\nB?\n  v  yes\nC"));
  it("takes the place of an older one", () =>
    strictEqual(
      withPictures("x\n```mermaid\nold\n```\n```mermaid\n```\n", [small]),
      `x\n\`\`\`mermaid\n${mermaid(small)}\n\`\`\`\n\`\`\`mermaid\n\`\`\`\n`,
    ));
});

// Mermaid reads more than this, and all of this: the parser of 11.17 took 1500 flowcharts with labels of any of these characters.
const label = String.raw`"[\p{L}][\w .,:;?'@/-]*"`;
const lines = [
  /^flowchart TD$/,
  new RegExp(
    String.raw`^ {4}(?!(?:end|style|class|click|graph|subgraph|flowchart|interpolate|href|call)\b)[a-z]+(?:_\d)?(?:\[${label}\]|\{${label}\})$`,
    "u",
  ),
  new RegExp(String.raw`^ {4}[a-z]+ -->(?:\|${label}\|)? [a-z]+(?:_\d\[${label}\])?$`, "u"),
];

describe("each picture", () => {
  for (const picture of pictures) {
    const { title, steps } = picture;
    const says = steps.flatMap((step) => [
      step.says,
      ...(step.otherwise ?? []).flatMap((way) => [way.when, way.says]),
      step.goesOn ?? "",
    ]);

    it(`"${title}" has Mermaid's syntax`, () =>
      deepStrictEqual(
        mermaid(picture)
          .split("\n")
          .filter((line) => !lines.some((pattern) => pattern.test(line))),
        [],
      ));
    it(`"${title}" has distinct steps, and questions with answers`, () => {
      strictEqual(new Set(steps.map(({ id }) => id)).size, steps.length);
      deepStrictEqual(
        steps.filter((step) => step.asks && (step.goesOn === undefined || !step.otherwise)).map(({ id }) => id),
        [],
      );
    });
    it(`"${title}" can be taken in at a glance`, () => {
      ok(steps.length + steps.flatMap(({ otherwise = [] }) => otherwise).length <= 13);
      deepStrictEqual(
        says.filter((words) => words.length > 75),
        [],
      );
      deepStrictEqual(
        plain(picture)
          .split("\n")
          .filter((line) => line.length > 115),
        [],
      );
    });
    it(`"${title}" names what there is`, () => {
      const names = says.join(" ").match(/[\w@]+(?:[-_.][\w@]+)+/g) ?? [];
      ok(names.length > 3);
      deepStrictEqual(
        names.filter((name) => !isThere(name)),
        [],
      );
    });
  }

  it("of a run has the modules in the order in which the role runs them", () => {
    const modulesOf = (file: string): string[] =>
      (parse(text(`role-template/tasks/${file}`)) as { readonly [key: string]: unknown }[]).flatMap((task) => {
        const [inner] = [task["ansible.builtin.import_tasks"], task["ansible.builtin.include_tasks"]].flatMap((path) =>
          typeof path === "string" ? [path.replace("{{ role_path }}/tasks/", "")] : [],
        );
        const own = Object.keys(task).flatMap((key) => /^stackhpc\.sriov\.(\w+)$/.exec(key)?.[1] ?? []);
        return [...own, ...(inner === undefined ? [] : modulesOf(inner))];
      });
    const run = modulesOf("main.yml");
    const drawn = pictures
      .flatMap(({ steps }) => steps.flatMap((step) => step.says.match(/\bsriov_\w+/g) ?? []))
      .filter((name) => modules.includes(name));
    deepStrictEqual(drawn, run);
  });

  it("of the boot has the network after the VFs", () => {
    const [boot] = pictures;
    const position = (name: string): number => boot!.steps.findIndex((step) => step.says.includes(name));
    ok(position("sriov-vfs.service") >= 0 && position("sriov-vfs.service") < position("network-pre.target"));
    ok(
      /^Before=.*\bnetwork-pre\.target\b/m.test(
        text("role-template/plugins/module_utils/sriov/units.py").split("DEVICE = ")[0]!,
      ),
    );
  });
});

const modules = template.files.flatMap(({ path }) => /^plugins\/modules\/(\w+)\.py$/.exec(path)?.[1] ?? []);

/** A unit is one of the program's, or is named by one; anything else is a module, a variable, or a file that a default or the code names. */
function isThere(name: string): boolean {
  const unit = name.replace("@ADDRESS.", "@.");
  const within = (folder: RegExp, word: string): boolean =>
    template.files.some((file) => folder.test(file.path) && file.text.split(/[\s"'=/]+/).includes(word));
  if (/\.(service|target)$/.test(name))
    return within(/^plugins\/module_utils\/sriov\/units\.py$/, name.startsWith("sriov") ? unit : name);
  const keys = (all: readonly Variable[]): Variable[] => all.flatMap((one) => [one, ...keys(fields(one))]);
  return (
    modules.includes(name) ||
    keys(real.variables).some((one) => one.name === name || String(one.default).endsWith(`/${name}`)) ||
    within(/^plugins\//, name)
  );
}

function fields({ type }: Variable): readonly Variable[] {
  const of = type.kind === "list" ? type.elements : type;
  return of.kind === "dict" ? of.fields : [];
}

describe("the tables of variables", () => {
  it("have every variable, and every key of the dictionaries in them", () => {
    const all = (some: readonly Variable[]): string[] => some.flatMap((one) => [one.name, ...all(fields(one))]);
    const page = variables(real, 1);
    deepStrictEqual(
      [...page.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]!).sort(),
      all(real.variables).sort(),
    );
  });
  it("have four cells in each row, none of them empty", () => {
    const rows = variables(real, 1)
      .split("\n")
      .filter((line) => line.startsWith("|"));
    deepStrictEqual(
      rows.filter(
        (row) =>
          row
            .replaceAll("\\|", "")
            .split("|")
            .slice(1, -1)
            .map((cell) => cell.trim())
            .filter((cell) => cell !== "").length !== 4,
      ),
      [],
    );
  });
  it("have the requested level of heading", () => {
    const nested: Variable = {
      name: "a",
      description: ["D."],
      required: false,
      type: { kind: "dict", fields: [{ name: "b", description: ["D."], required: true, type: { kind: "bool" } }] },
    };
    deepStrictEqual(variables(role(nested), 2).match(/^#+ .*$/gm), ["## Variables", "### `a`"]);
  });
});
