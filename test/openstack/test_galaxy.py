# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection comes into a Kayobe configuration as its requirements.yml says, from a Galaxy."""

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from urllib.error import HTTPError
from urllib.request import urlopen

import galaxy_server
import pytest
import yaml

pytestmark = pytest.mark.long


def tarball(folder, version, dependencies=None):
    """The smallest that the server reads."""
    content = json.dumps(
        {"collection_info": {"namespace": "a", "name": "b", "version": version, "dependencies": dependencies or {}}}
    ).encode()
    with tarfile.open(str(folder / (f"a-b-{version}.tar.gz")), "w:gz") as archive:
        entry = tarfile.TarInfo("MANIFEST.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


@pytest.fixture()
def small(tmp_path):
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        tarball(tmp_path, version, {"c.d": ">=1.0.0"})
    with galaxy_server.serving(tmp_path) as server:
        yield server


def get(server, path):
    with urlopen(server.address + path) as answer:
        return json.load(answer)


class TestServer:
    def test_reports_which_api_it_has(self, small):
        assert get(small, "/api/") == {"available_versions": {"v1": "v1/", "v3": "v3/"}}

    def test_lists_versions_page_by_page(self, small):
        path, seen = "/api/v3/collections/a/b/versions/?limit=2", []
        while path:
            page = get(small, path)
            seen.append([entry["version"] for entry in page["data"]])
            path = page["links"]["next"]
        assert seen == [["1.0.0", "1.1.0"], ["2.0.0"]]

    def test_a_version_has_what_it_needs_and_the_sum_of_its_tarball(self, small):
        version = get(small, get(small, "/api/v3/collections/a/b/versions/")["data"][1]["href"])
        with urlopen(version["download_url"]) as answer:
            content = answer.read()
        assert hashlib.sha256(content).hexdigest() == version["artifact"]["sha256"]
        assert (version["version"], version["metadata"]["dependencies"]) == ("1.1.0", {"c.d": ">=1.0.0"})

    def test_a_collection_has_the_address_of_its_versions(self, small):
        assert get(small, "/api/v3/collections/a/b/")["versions_url"] == "/api/v3/collections/a/b/versions/"

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/api/v3/collections/a/c/",
            "/api/v3/collections/a/b/versions/9/",
            "/api/v3/artifacts/collections/x",
            "/api/v3/x",
        ],
    )
    def test_answers_404_for_what_it_does_not_have(self, small, path):
        with pytest.raises(HTTPError) as error:
            get(small, path)
        assert error.value.code == 404

    def test_serves_no_file_outside_its_folder(self, small, tmp_path):
        (tmp_path.parent / "secret").write_text("x")
        with pytest.raises(HTTPError):
            get(small, "/api/v3/artifacts/collections/../secret")

    def test_is_a_program_that_prints_its_address(self, tmp_path):
        tarball(tmp_path, "1.0.0")
        with subprocess.Popen(
            [sys.executable, galaxy_server.__file__, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                with urlopen(process.stdout.readline().strip() + "/api/v3/collections/a/b/") as answer:
                    assert answer.status == 200
            finally:
                process.terminate()


class TestBootstrap:
    def test_kayobe_installs_the_collection_that_the_configuration_asks_for(self, installed, galaxy):
        (wanted,) = yaml.safe_load((installed.kayobe / "ansible" / "requirements.yml").read_text())["collections"]
        folder = installed.kayobe / "ansible" / "collections" / "ansible_collections" / "stackhpc" / "sriov"
        info = json.loads((folder / "MANIFEST.json").read_text())["collection_info"]
        assert (wanted["name"], wanted["version"]) == ("stackhpc.sriov", info["version"])
        assert f"/api/v3/artifacts/collections/stackhpc-sriov-{info['version']}.tar.gz" in galaxy.requests

    def test_with_everything_that_was_generated(self, installed, artefacts):
        parts = ("collections", "ansible_collections", "stackhpc", "sriov")
        generated, there = artefacts.joinpath(*parts), installed.kayobe.joinpath("ansible", *parts)
        names = [
            path.relative_to(generated) for path in generated.rglob("*") if path.is_file() and path.name != "galaxy.yml"
        ]
        assert len(names) > 20
        assert [
            name
            for name in names
            if not (there / name).is_file() or (there / name).read_bytes() != (generated / name).read_bytes()
        ] == []

    def test_where_the_file_of_the_devices_names_its_schema(self, installed):
        devices = installed.kayobe / "inventory" / "group_vars" / "compute_sriov" / "sriov"
        path = re.search(r"^# yaml-language-server: \$schema=(.+)$", devices.read_text(), re.MULTILINE).group(1)
        assert "sriov_devices" in json.loads((devices.parent / path).read_text())["properties"]

    def test_another_version_than_there_is_is_an_error(self, installed, galaxy):
        installed.put("ansible/requirements.yml", "collections: [{name: stackhpc.sriov, version: 99.0.0}]\n")
        with pytest.raises(AssertionError, match="stackhpc.sriov:99.0.0"):
            installed.bootstrap(galaxy.address)
