/** An environment as execa takes it: undefined takes a variable away. */
export interface Environment {
  readonly [name: string]: string | undefined;
}

/**
 * What leads git to another repository than that of its folder; a hook and `git rebase --exec` set some of them.
 * `git rev-parse --local-env-vars` names them, but for the namespace. GIT_CONFIG_* is left: credentials may be in it.
 */
const repositoryVariables: readonly string[] = [
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

/** The variable with a token for an address, or for galaxy.ansible.com. */
export const tokenVariable = "GALAXY_TOKEN";

/** What has a secret of Galaxy in an environment. */
export function secretVariables(env: Environment): Environment {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value]) =>
        value && (name === tokenVariable || /^ANSIBLE_GALAXY_SERVER_.*_(TOKEN|PASSWORD|CLIENT_SECRET)$/.test(name)),
    ),
  );
}

/**
 * Take the secrets out of an environment, and return them. Out of this process' own, so that no program has them that
 * is not given them: lints, tests, pip and git's hooks do not need them.
 */
export function takeSecrets(env: NodeJS.ProcessEnv): Environment {
  const secrets = secretVariables(env);
  for (const name of Object.keys(secrets)) delete env[name];
  return secrets;
}

/**
 * What every program of a release gets in place of this process' environment; git is run by ansible-lint and
 * ansible-test, too.
 */
export function programEnvironment(): Environment {
  // Ansible does nothing where the locale's encoding is not UTF-8, and a locale may be named that is not installed.
  return { ...Object.fromEntries(repositoryVariables.map((name) => [name, undefined])), LC_ALL: "C.UTF-8" };
}
