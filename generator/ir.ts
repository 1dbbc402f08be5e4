/** A value that YAML, JSON and Ansible all know. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Who publishes: the parts of galaxy.yml that appear in what is generated. */
export interface Identity {
  readonly namespace: string;
  readonly name: string;
  readonly version: string;
  readonly authors: readonly string[];
  readonly description: string;
  readonly license: readonly string[];
  readonly tags: readonly string[];
  readonly issues?: string;
  readonly repository: string;
}

/** The form of a text: a regular expression (JavaScript's, with the flag u), and what it stands for in words. */
export interface Form {
  readonly pattern: string;
  readonly words: string;
}

export type VarType =
  /** `only`: the one value that the role takes, although it reads both. */
  | { readonly kind: "bool"; readonly only?: boolean }
  /** `ending`: what the name of the file ends in. */
  | { readonly kind: "path"; readonly ending?: string }
  /** `number`: a number is taken too, as the text that it is written as. */
  | { readonly kind: "str"; readonly choices?: readonly string[]; readonly form?: Form; readonly number?: true }
  /**
   * A string which YAML 1.1 may have turned into a number on the way: Ansible must not convert it back. Or what may be
   * one of several.
   */
  | { readonly kind: "raw"; readonly also?: readonly VarType[]; readonly form?: Form }
  | { readonly kind: "int"; readonly minimum?: number; readonly maximum?: number }
  /** `commas`: a text with commas is taken too, as Ansible splits it. */
  | { readonly kind: "list"; readonly elements: VarType; readonly commas?: true }
  | { readonly kind: "dict"; readonly fields: readonly Variable[] }
  /** Keys that only others know, each with a boolean, a number or a text; or with a text only. */
  | {
      readonly kind: "map";
      readonly keys?: Form;
      readonly textOnly?: true;
      readonly form?: Form;
      readonly minimum?: number;
      readonly maximum?: number;
    };

export interface Variable {
  readonly name: string;
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly type: VarType;
  readonly required: boolean;
  /**
   * A selector, one of the keys of which an entry has exactly one: the other keys that it needs, and that need it.
   * Absent: no selector.
   */
  readonly selector?: readonly string[];
  /** Keys of the same entry: it needs one of them. */
  readonly needs?: readonly string[];
  /** The OpenStack release that knows it first. */
  readonly since?: string;
  /** Keys that may not stand next to it. */
  readonly without?: readonly string[];
  /** No message may show it. */
  readonly secret?: true;
  /** Absent: the variable deliberately has no default. */
  readonly default?: Json;
  readonly example?: Json;
}

export interface Role {
  readonly identity: Identity;
  readonly shortDescription: string;
  /** Paragraphs after the first. */
  readonly description: readonly string[];
  readonly variables: readonly Variable[];
}

/** What happens, one step after the other; drawn for people. */
export interface Picture {
  readonly title: string;
  readonly steps: readonly Step[];
}

interface Step {
  readonly id: string;
  readonly says: string;
  /** Whether it asks something: its ways out are the answers. */
  readonly asks?: boolean;
  /** Ways that lead away from the next step. */
  readonly otherwise?: readonly { readonly when: string; readonly says: string }[];
  /** The condition for the next step, where there is one. */
  readonly goesOn?: string;
}

/** A file to be; `path` is relative, with "/". */
export interface OutFile {
  readonly path: string;
  readonly text: string;
  readonly executable?: boolean;
}

export const layouts = ["role", "collection", "kayobe"] as const;
export type Layout = (typeof layouts)[number];
/** Layouts that are published, with their own documentation. */
export type Published = Exclude<Layout, "kayobe">;

/**
 * The outcome of something that can fail for an expected reason: a mistake in what a person wrote or typed,
 * or a machine that lacks something.
 *
 * One rule for all faults. An expected failure is data: a Result where something has a value or one reason why not,
 * a list where many things are judged (Problem[] for places in files, sentences for all else), empty when all is well.
 * A broken promise throws an Error: a caller that did not check, output that makes no sense, or a program, disk or
 * network that fails where the function has said that it throws then. The command line prints its message and ends
 * with 1.
 */
export type Result<Value = void> =
  | { readonly ok: true; readonly value: Value }
  /** `why`: a sentence for a person, which may go on with what to type. */
  | { readonly ok: false; readonly why: string };

export function success(): Result;
export function success<Value>(value: Value): Result<Value>;
export function success<Value>(value?: Value): Result<Value | undefined> {
  return { ok: true, value };
}

export function failure(why: string): { readonly ok: false; readonly why: string } {
  return { ok: false, why };
}

/** What the author must fix, and where. `file` is relative to the repository. */
export interface Problem {
  readonly file: string;
  readonly line?: number;
  readonly message: string;
}

/** What must happen on the disk. */
export interface Plan {
  readonly write: readonly OutFile[];
  readonly remove: readonly string[];
  readonly same: number;
}
