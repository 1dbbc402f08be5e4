import { deepStrictEqual, ok } from "node:assert/strict";
import { parse } from "yaml";
import { readSources, root } from "../generator/artefacts/sources.js";

const { role, template } = readSources(root);
const text = (path: string): string => template.files.find((file) => file.path === path)!.text;
const defaults = new Map(role.variables.map((variable) => [variable.name, variable.default]));

interface Options {
  readonly [option: string]: { readonly default?: unknown };
}

/** The options in a module's documentation. */
function documented(module: string): Options {
  const [, documentation = ""] =
    /^DOCUMENTATION = r"""\n([^]*?)^"""$/m.exec(text(`plugins/modules/${module}.py`)) ?? [];
  return (parse(documentation, { version: "1.1" }) as { options: Options }).options;
}

/** The one variable that an expression is; nothing for another expression. */
function variableOf(expression: unknown): string | undefined {
  const concerns = (
    parse(text("vars/main/main.yml"), { version: "1.1" }) as { __sriov_options: Record<string, object> }
  ).__sriov_options;
  const [, concern, option] = /^\{\{ __sriov_options\.(\w+)\.(\w+) \}\}$/.exec(String(expression)) ?? [];
  const value = concern === undefined ? expression : (concerns[concern] as Record<string, unknown>)[option!];
  return /^\{\{ (sriov_\w+) \}\}$/.exec(String(value))?.[1];
}

/** Whether a tool comes later in check mode: only the role installs one. */
const otherwise = ["tool_comes_later"];

describe("a module that is used without the role", () => {
  const tasks = template.files
    .filter(({ path }) => /^tasks\/\w+\.yml$/.test(path))
    .flatMap((file) => parse(file.text, { version: "1.1" }) as { readonly [key: string]: unknown }[]);
  const given = tasks.flatMap((task) =>
    Object.entries(task).flatMap(([key, value]) => {
      const module = /^stackhpc\.sriov\.(\w+)$/.exec(key)?.[1];
      return module === undefined ? [] : Object.entries(value as object).map((pair) => [module, ...pair] as const);
    }),
  );
  const cases = given.flatMap(([module, option, expression]) => {
    const [variable, standard] = [variableOf(expression), documented(module)[option]?.default];
    const isCompared = variable !== undefined && standard !== undefined && !otherwise.includes(option);
    return !isCompared ? [] : [{ module, option, variable, standard }];
  });
  it("has options that come from a variable", () => ok(cases.length > 10, String(cases.length)));
  for (const { module, option, variable, standard } of cases)
    it(`has the default of ${variable}: ${module}.${option}`, () => deepStrictEqual(standard, defaults.get(variable)));
});
