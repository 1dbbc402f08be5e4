/** The name that a typing error was most likely meant to be. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const ranked = names.map((one) => ({ one, far: distance(name, one) })).sort((a, b) => a.far - b.far);
  const first = ranked[0];
  return first && first.far <= Math.max(2, Math.floor(name.replace(/^sriov_/, "").length / 3)) ? first.one : undefined;
}

/** Levenshtein's distance. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[to.length]!;
}
