# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Galaxy for collections that lie in a folder, on 127.0.0.1: what ansible-galaxy 2.17 to 2.20 asks of one to install them.

    python3 galaxy_server.py FOLDER

prints its address, for ANSIBLE_GALAXY_SERVER. A tarball that comes into the folder later is served as well.
"""

import hashlib
import json
import sys
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

API = "/api/v3"
ARTIFACTS = API + "/artifacts/collections"


def collections(folder):
    """(namespace, name) -> {version: (tarball, its MANIFEST.json)}"""
    found = {}
    for tarball in sorted(Path(folder).glob("*.tar.gz")):
        with tarfile.open(tarball) as archive:
            manifest = json.load(archive.extractfile("MANIFEST.json"))
        info = manifest["collection_info"]
        found.setdefault((info["namespace"], info["name"]), {})[info["version"]] = (tarball, manifest)
    return found


class Handler(BaseHTTPRequestHandler):
    # Each answer says how long it is, so one connection can carry several.
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        parts = [part for part in url.path.split("/") if part]
        if parts == ["api"]:
            return self.answer({"available_versions": {"v3": "v3/"}})
        if url.path.startswith(ARTIFACTS + "/"):
            return self.send_tarball(parts[-1])
        if url.path.startswith(API + "/collections/") and len(parts) in (5, 6, 7) and parts[5:6] in ([], ["versions"]):
            versions = collections(self.server.folder).get((parts[3], parts[4]))
            if versions and len(parts) == 5:
                return self.answer(self.collection(parts[3], parts[4]))
            if versions and len(parts) == 6:
                return self.answer(self.page(url, [self.summary(*parts[3:5], version) for version in versions]))
            if versions and parts[6] in versions:
                return self.answer(self.version(*parts[3:5], parts[6], *versions[parts[6]]))
        return self.answer({"errors": [{"status": "404", "code": "not_found", "title": "Not found."}]}, 404)

    def collection(self, namespace, name):
        href = "%s/collections/%s/%s/" % (API, namespace, name)
        return {"href": href, "namespace": namespace, "name": name, "versions_url": href + "versions/", **self.times()}

    def summary(self, namespace, name, version):
        return {"version": version, "href": "%s/collections/%s/%s/versions/%s/" % (API, namespace, name, version), **self.times()}

    def version(self, namespace, name, version, tarball, manifest):
        content = tarball.read_bytes()
        return {
            **self.summary(namespace, name, version),
            "namespace": {"name": namespace},
            "collection": {"name": name},
            # With the server's name: before 2.19 a path alone is not understood.
            "download_url": "%s%s/%s" % (self.server.address, ARTIFACTS, tarball.name),
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
        return {"meta": {"count": len(entries)}, "links": {"next": following}, "data": entries[offset:offset + limit]}

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
        self.server.requests.append(self.path)


class GalaxyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        #: What was asked for, in order.
        self.requests = []

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
