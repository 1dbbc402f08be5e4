/** What is wrong with a folder as a Kayobe configuration; nothing when it looks like one. */
export function configFault(name: string, entries: readonly { readonly path: string }[] | undefined, hasOneInside: boolean): string | undefined {
  if (!entries) return `${name} is no folder. It must be a Kayobe configuration: etc/kayobe of its repository.`;
  if (entries.some(({ path }) => ["kolla.yml", "bifrost.yml", "inventory"].includes(path))) return undefined;
  return `${name} is no Kayobe configuration: it has neither kolla.yml, bifrost.yml nor inventory/.${hasOneInside ? ` Did you mean ${name}/etc/kayobe?` : ""}`;
}
