import type { OutFile } from "../ir.js";
import { layeredConfig } from "./layers.js";
import type { ConfigFile, LayeredConfig } from "./layers.js";

/** A symbolic link to make. */
export interface Link {
  readonly path: string;
  /** As the link contains it, relative to its own folder. */
  readonly target: string;
}

/** The result of a merge. */
export interface Merge {
  readonly write: readonly OutFile[];
  readonly links: readonly Link[];
  /** With any, nothing may be written. */
  readonly refusals: readonly string[];
  readonly hints: readonly string[];
}

/** What the rules of one merge read, and what they write into. */
export interface Draft {
  /** The configuration, with what was put so far. */
  readonly view: LayeredConfig;
  /** The configuration as it was found. */
  readonly before: LayeredConfig;
  /** Whether a text has variables of the artefact in it, of any version: then the merge may replace it. */
  readonly isOurs: (text: string) => boolean;
  /** Writes a text to a file. A text that is there already is not written. */
  readonly put: (path: string, text: string) => void;
  readonly link: (link: Link) => void;
  /** Records why the merge is not possible; then nothing is written. */
  readonly refuse: (sentence: string) => void;
  /** Records what a person should check. */
  readonly hint: (sentence: string) => void;
  /** What was put, linked and recorded so far. */
  readonly outcome: () => Merge;
}

/**
 * An empty draft.
 *
 * @param files what was found, by path
 * @param layers the folders that Kayobe merges, the last one wins
 * @param isOurs as in the draft
 */
export function startDraft(
  files: ReadonlyMap<string, ConfigFile>,
  layers: readonly string[],
  isOurs: (text: string) => boolean,
): Draft {
  const puts = new Map<string, string>();
  const links: Link[] = [];
  const refusals = new Set<string>();
  const hints = new Set<string>();
  const view = layeredConfig(files, puts, layers);
  return {
    view,
    before: layeredConfig(files, new Map(), layers),
    isOurs,
    put: (path, text) => {
      const home = view.homeOf(path);
      if (files.get(home)?.text === text) puts.delete(home);
      else puts.set(home, text);
    },
    link: (link) => void links.push(link),
    refuse: (sentence) => void refusals.add(sentence),
    hint: (sentence) => void hints.add(sentence),
    outcome: () => ({
      write: [...puts].map(([path, text]) => ({ path, text })),
      links: [...links],
      refusals: [...refusals],
      hints: [...hints],
    }),
  };
}
