import Handlebars from "handlebars";
import type { OutFile, Picture, Published, Role } from "../../ir.js";
import { plain } from "./picture.js";
import { variables } from "./variables.js";

/**
 * README.md. The template has no logic: what it shows is prepared here.
 *
 * @param template the text of README.md.hbs
 * @param examples whole playbooks; each is quoted under its file name
 * @param pictures drawn in characters: Galaxy's page draws no Mermaid
 * @throws Error when the template names something that it is not given
 */
export function readme(
  role: Role,
  template: string,
  examples: readonly OutFile[],
  pictures: readonly Picture[],
  layout: Published,
): OutFile {
  const { namespace, name } = role.identity;
  const data = {
    identity: role.identity,
    // HEAD is the branch that the repository shows, under any name.
    troubleshooting: `${role.identity.repository}/blob/HEAD/docs/troubleshooting.md`,
    title: `${namespace}.${name}`,
    short_description: role.shortDescription,
    description: role.description,
    what: layout === "role" ? "This is the standalone role" : "This is the collection",
    install: install(layout, `${namespace}.${name}`),
    license: role.identity.license.join(", "),
    variables: variables(role, 2),
    pictures: pictures.map((picture) => ({ title: picture.title, text: plain(picture) })),
    examples: examples.map(({ path, text }) => ({ title: exampleTitle(path), text: text.trimEnd() })),
  };
  // A separate engine, not the global one; noEscape because this is Markdown and "=" is not HTML; strict because
  // an unknown name would be an empty text in silence.
  const render = Handlebars.create().compile(template, { strict: true, noEscape: true });
  return { path: "README.md", text: render(data) };
}

function install(layout: Published, name: string): string {
  switch (layout) {
    case "role":
      return `ansible-galaxy role install ${name}`;
    case "collection":
      return `ansible-galaxy collection install ${name}`;
  }
}

function exampleTitle(path: string): string {
  const words = (path.split("/").at(-1) ?? path)
    .replace(/\.ya?ml$/, "")
    .replace(/[_-]+/g, " ")
    .replace(/\bmellanox\b/, "Mellanox");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
