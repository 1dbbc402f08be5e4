import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { startDraft } from "../generator/kayobe/draft.js";
import type { Draft, Link } from "../generator/kayobe/draft.js";
import { layersOf } from "../generator/kayobe/environments.js";
import type { ConfigFile } from "../generator/kayobe/layers.js";
import { config } from "./configuration.js";

// Small drafts for tests of single rules, and what is in them afterwards.

type Texts = { readonly [path: string]: string };

/** A configuration before a rule. */
export interface Given {
  readonly files?: Texts;
  /** Links, and what is not text. */
  readonly more?: readonly ConfigFile[];
  readonly environment?: string;
}

/** What a rule adds to a draft; what is left out must not be there. */
export interface Want {
  readonly puts?: Texts;
  readonly links?: readonly Link[];
  readonly refusals?: readonly RegExp[];
  readonly hints?: readonly RegExp[];
}

/** A draft in which a text is ours when it has "ours" in it. */
export function draftOf({ files = {}, more = [], environment }: Given): Draft {
  const all = [...config(files), ...more];
  const found = new Map(all.map((file) => [file.path, file]));
  const { layers, faults } = layersOf(found, environment);
  deepStrictEqual(faults, []);
  return startDraft(found, layers, (text) => text.includes("ours"));
}

/** Checks all that is in a draft. */
export function has(draft: Draft, { puts = {}, links = [], refusals = [], hints = [] }: Want): void {
  const outcome = draft.outcome();
  says(outcome.refusals, refusals);
  says(outcome.hints, hints);
  deepStrictEqual(Object.fromEntries(outcome.write.map(({ path, text }) => [path, text])), puts);
  deepStrictEqual(outcome.links, links);
}

function says(sentences: readonly string[], wanted: readonly RegExp[]): void {
  for (const [index, pattern] of wanted.entries()) match(sentences[index] ?? "", pattern);
  strictEqual(sentences.length, wanted.length, sentences.join("\n"));
}

/** A test for each case: a rule on a small draft, and all that is in the draft afterwards. */
export function cases(rule: (draft: Draft) => void, all: readonly (readonly [string, Given, Want])[]): void {
  for (const [title, given, want] of all)
    it(title, () => {
      const draft = draftOf(given);
      rule(draft);
      has(draft, want);
    });
}
