# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which server `ansible-galaxy` would publish to, with whose token, and which versions that server has already.

    python ask_galaxy.py NAMESPACE NAME OWNER [SERVER]

It is ansible-galaxy itself that reads the configuration, with another end to the command `publish`. The last line is
JSON, for our program alone: it has the token in it, to be kept out of all output.
"""

import json
import sys

from ansible import constants as C
from ansible.cli.galaxy import GalaxyCLI
from ansible.errors import AnsibleError
from ansible.galaxy.token import BasicAuthToken, KeycloakToken


class Question(GalaxyCLI):
    namespace = name = owner = answer = None

    def execute_publish(self):
        api = self.api
        source, secrets = self.credentials(api)
        apis = sorted(api.available_api_versions)
        self.answer = {
            "name": api.name,
            "source": source,
            "secrets": [secret for secret in secrets if secret],
            "apis": apis,
            "collection": api.get_collection_versions(self.namespace, self.name) if "v3" in apis else [],
            "role": self.role_versions(api) if "v1" in apis else [],
            # g_connect has put the API's path at its end.
            "url": api.api_server,
        }

    def role_versions(self, api):
        # A role is known by the owner of its repository, whatever the collection's namespace is.
        role = api.lookup_role_by_name(f"{self.owner}.{self.name}", notify=False) or {}
        return [version["name"] for version in role.get("summary_fields", {}).get("versions", [])]

    @staticmethod
    def credentials(api):
        """Where the token comes from, None when there is none, and what may be in no output."""
        token = api.token
        if isinstance(token, KeycloakToken):
            key, secrets = (
                "client_secret" if token.client_secret else "token",
                [token.access_token, token.client_secret],
            )
        elif isinstance(token, BasicAuthToken):
            key, secrets = "password", [token.password, token.get()]
        else:
            key, secrets = "token", [token.get() if token else None]
        secrets = [secret for secret in secrets if isinstance(secret, str)]
        if not any(secrets):
            return None, []
        if api.name in (C.GALAXY_SERVER_LIST or []):
            value, origin = C.config.get_config_value_and_origin(key, plugin_type="galaxy_server", plugin_name=api.name)
            if value:
                return origin, secrets
        return C.GALAXY_TOKEN_PATH, secrets


def main(namespace, name, owner, *server):
    options = ["--server", server[0]] if server else []
    question = Question(["ansible-galaxy", "collection", "publish", "none.tar.gz", *options])
    question.namespace, question.name, question.owner = namespace, name, owner
    try:
        question.run()
    except AnsibleError as error:
        found = [secret for api in getattr(question, "api_servers", []) for secret in question.credentials(api)[1]]
        return {"error": str(error), "secrets": found}
    return question.answer


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
