import type { Picture } from "../../ir.js";

/**
 * As a flowchart of Mermaid, which GitHub, GitLab and Forgejo draw. It is kept to one form of node, question and arrow:
 * Mermaid itself is as large as all other packages together, and is not there to check more.
 */
export function mermaid({ steps }: Picture): string {
  const lines = steps.flatMap(({ id, says, asks, otherwise = [], goesOn }, index) => {
    const next = steps[index + 1];
    return [
      asks ? `${id}{"${says}"}` : `${id}["${says}"]`,
      ...(next ? [`${id} -->${goesOn === undefined ? "" : `|"${goesOn}"|`} ${next.id}`] : []),
      ...otherwise.map((way, number) => `${id} -->|"${way.when}"| ${id}_${number + 1}["${way.says}"]`),
    ];
  });
  return ["flowchart TD", ...lines.map((line) => `    ${line}`)].join("\n");
}

/** In characters, for where nothing is drawn. */
export function plain({ steps }: Picture): string {
  return steps
    .flatMap(({ says, otherwise = [], goesOn }, index) => [
      says,
      ...otherwise.map((way) => `  |-- ${way.when} --> ${way.says}`),
      ...(index + 1 < steps.length ? [goesOn === undefined ? "  v" : `  v  ${goesOn}`] : []),
    ])
    .join("\n");
}

/** A page of Markdown with these pictures in place of the flowcharts that are in it, one after the other. */
export function withPictures(page: string, pictures: readonly Picture[]): string {
  const rest = [...pictures];
  return page.replace(/^```mermaid\n[\s\S]*?^```$/gm, (fence) => {
    const picture = rest.shift();
    return picture ? `\`\`\`mermaid\n${mermaid(picture)}\n\`\`\`` : fence;
  });
}
