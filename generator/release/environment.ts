/** An environment as execa takes it: undefined takes a variable away. */
export interface Environment {
  readonly [name: string]: string | undefined;
}

/**
 * What leads git to another repository than that of its folder; a hook and `git rebase --exec` set some of them.
 * `git rev-parse --local-env-vars` names them, but for the namespace. GIT_CONFIG_* is left: credentials may be in it.
 */
export const repositoryVariables: readonly string[] = [
  "GIT_ALTERNATE_OBJECT_DIRECTORIES",
  "GIT_COMMON_DIR",
  "GIT_DIR",
  "GIT_GRAFT_FILE",
  "GIT_IMPLICIT_WORK_TREE",
  "GIT_INDEX_FILE",
  "GIT_INTERNAL_SUPER_PREFIX",
  "GIT_NAMESPACE",
  "GIT_NO_REPLACE_OBJECTS",
  "GIT_OBJECT_DIRECTORY",
  "GIT_PREFIX",
  "GIT_REPLACE_REF_BASE",
  "GIT_SHALLOW_FILE",
  "GIT_WORK_TREE",
];

/** What every program of a release gets in place of this process' environment; git is run by ansible-lint and ansible-test, too. */
export function programEnvironment(): Environment {
  return Object.fromEntries(repositoryVariables.map((name) => [name, undefined]));
}
