# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Galaxy on 127.0.0.1, with the collections of a folder: what ansible-galaxy 2.17 to 2.21 asks of one to install and
to publish.

    python3 galaxy_server.py FOLDER

prints its address, for ANSIBLE_GALAXY_SERVER. A tarball that comes into the folder later is served as well.

Publishing needs a token that the server knows (`GalaxyServer.tokens`). Addresses, answers and their errors are those of
galaxy_ng: /api/v3/artifacts/collections/ and /api/v3/imports/collections/ for collections, /api/v1/imports for roles,
whose repositories are `GalaxyServer.repositories`.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import threading
import uuid
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

API = "/api/v3"
ARTIFACTS = API + "/artifacts/collections"
IMPORTS = API + "/imports/collections/"
ROLE_IMPORTS = "/api/v1/imports"
ROLES = "/api/v1/roles"


def collections(folder):
    """(namespace, name) -> {version: (tarball, its MANIFEST.json)}"""
    found = {}
    for tarball in sorted(Path(folder).glob("*.tar.gz")):
        with tarfile.open(tarball) as archive:
            manifest = json.load(archive.extractfile("MANIFEST.json"))
        info = manifest["collection_info"]
        found.setdefault((info["namespace"], info["name"]), {})[info["version"]] = (tarball, manifest)
    return found


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status, code, title, detail=None):
        super().__init__(title)
        self.status = status
        self.error = {"status": str(status), "code": code, "title": title, **({"detail": detail} if detail else {})}


def uploaded(content_type, body):
    """The parts of a multipart/form-data body: {name: bytes}."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    if not message.is_multipart():
        raise Refused(400, "invalid", "Invalid input.", "This is no multipart/form-data.")
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
        for part in message.get_payload()
    }


class Handler(BaseHTTPRequestHandler):
    # Each answer says how long it is, so one connection can carry several.
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        try:
            # A wrong token is refused also where none is required.
            self.owner(required=False)
            self.get()
        except Refused as refused:
            self.refuse(refused)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        url = urlsplit(self.path)
        try:
            namespaces = self.owner(required=True)
            if url.path == ARTIFACTS + "/":
                return self.answer({"task": IMPORTS + self.upload(namespaces, body) + "/"}, 202)
            if url.path == ROLE_IMPORTS + "/":
                return self.answer(
                    {
                        "results": [
                            self.import_role(
                                namespaces, {key: value for key, (value,) in parse_qs(body.decode()).items()}
                            )
                        ]
                    }
                )
            raise Refused(404, "not_found", "Not found.")
        except Refused as refused:
            return self.refuse(refused)

    def refuse(self, refused):
        # API v3 has "errors", older ones and the root have "default".
        self.answer(
            {"errors": [refused.error], "default": refused.error.get("detail") or refused.error["title"]},
            refused.status,
        )

    def owner(self, required):
        """The namespaces that the token is for."""
        given = self.headers.get("Authorization")
        if given is None:
            if required:
                raise Refused(401, "not_authenticated", "Authentication credentials were not provided.")
            return ()
        kind, dummy, token = given.partition(" ")
        if kind != "Token" or token not in self.server.tokens:
            raise Refused(
                401,
                "authentication_failed",
                "Invalid token.",
                f"Invalid token {token}." if self.server.echoes else None,
            )
        return self.server.tokens[token]

    def upload(self, namespaces, body):
        """Take a collection, and make a task of its import."""
        parts = uploaded(self.headers["Content-Type"], body)
        content = parts.get("file")
        if self.server.spoils:
            content += b"spoiled"
        if content is None or parts.get("sha256", b"").decode() != hashlib.sha256(content).hexdigest():
            raise Refused(400, "invalid", "Invalid input.", "The expected sha256 is not that of the file.")
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            info = json.load(archive.extractfile("MANIFEST.json"))["collection_info"]
        namespace, name, version = info["namespace"], info["name"], info["version"]
        if namespace not in namespaces:
            raise Refused(403, "permission_denied", "You do not have permission to perform this action.")
        if version in collections(self.server.folder).get((namespace, name), {}):
            raise Refused(
                409, "conflict.collection_exists", f'Collection "{namespace}-{name}-{version}" already exists.'
            )
        task = str(uuid.uuid4())
        states = ["waiting", "running", "failed" if self.server.import_error or self.server.misleads else "completed"]
        if self.server.misleads:
            (Path(self.server.folder) / (f"{namespace}-{name}-{version}.tar.gz")).write_bytes(content)
        self.server.tasks[task] = {
            "states": states,
            "file": f"{namespace}-{name}-{version}.tar.gz",
            "content": content,
        }
        return task

    def task(self, number):
        """The import's state; it is a step further with each question."""
        if number not in self.server.tasks:
            raise Refused(404, "not_found", "Not found.")
        task = self.server.tasks[number]
        state = task["states"].pop(0) if len(task["states"]) > 1 else task["states"][0]
        if state == "completed":
            (Path(self.server.folder) / task["file"]).write_bytes(task["content"])
        finished = state in ("completed", "failed")
        error = (
            {"code": "UNKNOWN", "description": self.server.import_error, "traceback": ""} if state == "failed" else None
        )
        messages = (
            [{"level": "WARNING", "message": message, "time": 1.0} for message in self.server.import_warnings]
            if finished
            else []
        )
        return {
            "id": number,
            "state": state,
            "messages": messages,
            "error": error,
            **self.times(),
            "started_at": None if state == "waiting" else "2026-01-01T00:00:00Z",
            "finished_at": "2026-01-01T00:00:01Z" if finished else None,
        }

    def import_role(self, namespaces, form):
        """Import a role from its repository, as Galaxy does from GitHub."""
        where = (form["github_user"], form["github_repo"])
        if form["github_user"] not in namespaces:
            raise Refused(403, "permission_denied", "You do not have permission to perform this action.")
        number = len(self.server.role_imports) + 1
        task = {
            "id": number,
            "state": "SUCCESS",
            "github_user": where[0],
            "github_repo": where[1],
            "summary_fields": {"role": {}, "task_messages": []},
        }

        def say(kind, text):
            task["summary_fields"]["task_messages"].append(
                {"id": len(task["summary_fields"]["task_messages"]) + 1, "message_type": kind, "message_text": text}
            )

        try:
            role = read_role(self.server.repositories[where], form.get("github_reference"))
            if self.server.import_error:
                raise ValueError(self.server.import_error)
            self.server.roles[(where[0], role["name"])] = {
                "id": number,
                "github_user": where[0],
                "github_repo": where[1],
                **role,
            }
            task["summary_fields"]["role"] = {"namespace": where[0], "name": role["name"]}
            say("SUCCESS", "role imported successfully")
        except (KeyError, ValueError, subprocess.CalledProcessError) as error:
            task["state"] = "FAILED"
            say("ERROR", f"the import failed: {error}")
        self.server.role_imports.append(task)
        return {**task, "state": "PENDING", "summary_fields": {**task["summary_fields"], "task_messages": []}}

    def get_v1(self, url):
        query = {key: value for key, (value,) in parse_qs(url.query).items()}
        if url.path.rstrip("/") == ROLE_IMPORTS:
            number = int(query.get("id", "0"))
            return self.answer({"results": self.server.role_imports[number - 1 : number]})
        role = self.server.roles.get((query.get("owner__username"), query.get("name")))
        return self.answer({"count": 1 if role else 0, "results": [role] if role else []})

    def get(self):
        url = urlsplit(self.path)
        parts = [part for part in url.path.split("/") if part]
        if parts == ["api"]:
            return self.answer({"available_versions": {"v1": "v1/", "v3": "v3/"}})
        if url.path.rstrip("/") in (ROLE_IMPORTS, ROLES):
            return self.get_v1(url)
        if url.path.startswith(IMPORTS) and len(parts) == 5:
            return self.answer(self.task(parts[4]))
        if url.path.startswith(ARTIFACTS + "/"):
            return self.send_tarball(parts[-1])
        if url.path.startswith(API + "/collections/") and len(parts) in (5, 6, 7) and parts[5:6] in ([], ["versions"]):
            versions = None if self.server.hides else collections(self.server.folder).get((parts[3], parts[4]))
            if versions and len(parts) == 5:
                return self.answer(self.collection(parts[3], parts[4]))
            if versions and len(parts) == 6:
                return self.answer(self.page(url, [self.summary(*parts[3:5], version) for version in versions]))
            if versions and parts[6] in versions:
                return self.answer(self.version(*parts[3:5], parts[6], *versions[parts[6]]))
        return self.answer({"errors": [{"status": "404", "code": "not_found", "title": "Not found."}]}, 404)

    def collection(self, namespace, name):
        href = f"{API}/collections/{namespace}/{name}/"
        return {"href": href, "namespace": namespace, "name": name, "versions_url": href + "versions/", **self.times()}

    def summary(self, namespace, name, version):
        return {
            "version": version,
            "href": f"{API}/collections/{namespace}/{name}/versions/{version}/",
            **self.times(),
        }

    def version(self, namespace, name, version, tarball, manifest):
        content = tarball.read_bytes()
        return {
            **self.summary(namespace, name, version),
            "namespace": {"name": namespace},
            "collection": {"name": name},
            # With the server's name: before 2.19 a path alone is not understood.
            "download_url": f"{self.server.address}{ARTIFACTS}/{tarball.name}",
            "artifact": {"filename": tarball.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()},
            "metadata": {"dependencies": manifest["collection_info"]["dependencies"]},
            "signatures": [],
        }

    @staticmethod
    def times():
        return {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}

    @staticmethod
    def page(url, entries):
        query = parse_qs(url.query)
        limit, offset = int(query.get("limit", ["10"])[0]), int(query.get("offset", ["0"])[0])
        more = offset + limit < len(entries)
        following = "%s?limit=%d&offset=%d" % (url.path, limit, offset + limit) if more else None
        return {"meta": {"count": len(entries)}, "links": {"next": following}, "data": entries[offset : offset + limit]}

    def send_tarball(self, name):
        path = Path(self.server.folder) / name
        if not path.is_file():
            return self.answer({"errors": [{"status": "404", "code": "not_found", "title": "Not found."}]}, 404)
        return self.send(path.read_bytes(), "application/gzip")

    def answer(self, content, status=200):
        self.send(json.dumps(content).encode(), "application/json", status)

    def send(self, body, kind, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        self.server.requests.append(self.path if self.command == "GET" else f"{self.command} {self.path}")


def read_role(repository, reference):
    """Name and versions of the role in a git repository."""
    # Any YAML is JSON's elder: this reads only what is on a separate line, and needs no library.
    with tempfile.TemporaryDirectory() as folder:
        branch = ["--branch", reference] if reference else []
        subprocess.run(["git", "clone", "--quiet", *branch, str(repository), folder], check=True)
        meta = (Path(folder) / "meta" / "main.yml").read_text().splitlines()
        tags = subprocess.run(
            ["git", "-C", folder, "tag"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.split()
    fields = dict(line.strip().split(": ", 1) for line in meta if ": " in line and not line.lstrip().startswith("-"))
    if "standalone" in fields:
        raise ValueError("unexpected keyword argument 'standalone'")
    return {"name": fields["role_name"], "summary_fields": {"versions": [{"name": tag} for tag in tags]}}


class GalaxyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        #: What was requested, in order.
        self.requests = []
        #: Tokens, with the namespaces that they are for.
        self.tokens = {}
        #: Imports of collections that were uploaded, by their number.
        self.tasks = {}
        #: (owner, name) -> a git repository that roles are imported from.
        self.repositories = {}
        #: (namespace, name) -> what is known of an imported role.
        self.roles = {}
        self.role_imports = []
        #: With it, each import fails; and what it warns of.
        self.import_error = None
        self.import_warnings = []
        #: Whether a refusal has the token in it, as no server should.
        self.echoes = False
        #: Whether collections that are there are not listed, as those that another client has just sent.
        self.hides = False
        #: Whether imports are reported as failed that have not failed.
        self.misleads = False
        #: Whether what is uploaded arrives as something else.
        self.spoils = False

    @property
    def address(self):
        return "http://127.0.0.1:%d" % self.server_port


@contextmanager
def serving(folder):
    """A server of the folder, in a thread."""
    with GalaxyServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: galaxy_server.py FOLDER, where the collections' tarballs are")
    with GalaxyServer(sys.argv[1]) as galaxy:
        print(galaxy.address, flush=True)
        galaxy.serve_forever()
