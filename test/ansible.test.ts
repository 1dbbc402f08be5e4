import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { readSources, root } from "../generator/artefacts/sources.js";
import { schema } from "../generator/artefacts/emit/schema.js";
import { booleanOf, isVaulted, truth, words } from "../generator/system/ansible.js";
import { role } from "./support.js";

const { template } = readSources(root);

/** Ways to write a word. */
function written(word: string): string[] {
  return [...new Set([word, word.toUpperCase(), word[0]!.toUpperCase() + word.slice(1)])];
}

describe("words of truth", () => {
  const others = ["", "maybe", "yess", "10", "null", "ye"];

  it("of the filter bool: some are true, the rest is false, an expression is neither", () => {
    for (const word of ["yes", "on", "1", "true"]) for (const one of written(word)) strictEqual(truth(one), true, one);
    for (const word of [...words.false, "y", "t", ...others]) strictEqual(truth(word), false, word);
    deepStrictEqual([true, 1, false, 0, null, undefined].map(truth), [true, true, false, false, false, false]);
    deepStrictEqual(["{{ x }}", "{% if x %}yes{% endif %}", []].map(truth), [undefined, undefined, undefined]);
  });

  it("of a module's option: some are true, some are false, the rest is refused", () => {
    for (const word of words.true) for (const one of written(word)) strictEqual(booleanOf(one), true, one);
    for (const word of words.false) for (const one of written(word)) strictEqual(booleanOf(one), false, one);
    deepStrictEqual([true, 1, false, 0].map(booleanOf), [true, true, false, false]);
    for (const word of others) strictEqual(booleanOf(word), undefined, word);
  });

  it("are the same in schema.json", () => {
    const { text } = schema(role({ name: "a_b", description: ["D."], required: false, type: { kind: "bool" } }));
    const { properties } = JSON.parse(text) as { properties: { a_b: { anyOf: { pattern?: string }[] } } };
    const [pattern] = properties.a_b.anyOf.flatMap((one) => one.pattern ?? []);
    const takes = (word: string): boolean => new RegExp(pattern!, "u").test(word);
    for (const word of [...words.true, ...words.false]) for (const one of written(word)) ok(takes(one), one);
    deepStrictEqual(others.filter(takes), []);
  });

  it("are the same in the role's own check", () => {
    const check = template.files.flatMap(({ text }) => /^YES, NO = \((.*)\), \((.*)\)$/m.exec(text)?.slice(1) ?? []);
    const listed = check.map((list) => [...list.matchAll(/"(\w+)"/g)].map(([, word]) => word!).sort());
    deepStrictEqual(listed, [[...words.true].sort(), [...words.false].sort()]);
  });
});

it("what Ansible Vault has encrypted is known by its first line", () => {
  deepStrictEqual(["$ANSIBLE_VAULT;1.1;AES256\n31\n", "a: $ANSIBLE_VAULT\n", ""].map(isVaulted), [true, false, false]);
});
