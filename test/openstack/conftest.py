# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of OpenStack that `npm run setup` installs, and the collection as a Galaxy serves it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deployment import ROOT, Deployment

sys.path.insert(0, str(ROOT / "test" / "galaxy"))

# Not at the top (E402): it is found by the path above.
import galaxy_server


def _bin(variable, program):
    """A folder of programs. Its absence is a failure, never a skip: then nothing would be proved."""
    folder = os.environ.get(variable, "")
    if not (Path(folder) / program).is_file():
        pytest.fail(
            f"{variable} names no folder with {program}: run these tests by npm test or npm run test:unit.",
            pytrace=False,
        )
    return Path(folder)


@pytest.fixture(scope="session")
def kayobe_bin():
    return _bin("SRIOV_ROLE_KAYOBE_BIN", "kayobe")


@pytest.fixture(scope="session")
def nova_bin():
    return _bin("SRIOV_ROLE_NOVA_BIN", "oslo-config-validator")


@pytest.fixture(scope="session")
def series():
    """The series whose programs these are."""
    return os.environ["SRIOV_ROLE_SERIES"]


@pytest.fixture(scope="session")
def core(kayobe_bin):
    """The ansible-core of Kayobe, as in (2, 18)."""
    code = "from ansible.release import __version__; print(__version__)"
    version = subprocess.run(
        [str(kayobe_bin / "python"), "-c", code], check=True, capture_output=True, text=True
    ).stdout
    return tuple(int(number) for number in version.split(".")[:2])


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory):
    """What `npm run generate` writes, of the sources as they are now."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        ["node", str(ROOT / "generator" / "bootstrap.mjs"), "generate", "--out", str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return out


@pytest.fixture(scope="session")
def tarballs(artefacts, kayobe_bin, tmp_path_factory):
    """The collection, built as for a release."""
    folder = tmp_path_factory.mktemp("tarballs")
    source = artefacts / "collections" / "ansible_collections" / "stackhpc" / "sriov"
    command = [str(kayobe_bin / "ansible-galaxy"), "collection", "build", str(source), "--output-path", str(folder)]
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "ANSIBLE_HOME": str(folder / "ansible")}
    )
    return folder


@pytest.fixture(scope="session")
def galaxy(tarballs):
    with galaxy_server.serving(tarballs) as server:
        yield server


@pytest.fixture(scope="session")
def installed(kayobe_bin, galaxy, tmp_path_factory):
    """A deployment with the collection where Kayobe looks for it."""
    deployment = Deployment(tmp_path_factory.mktemp("bootstrap"), kayobe_bin)
    deployment.configure()
    deployment.merge()
    deployment.bootstrap(galaxy.address)
    return deployment


@pytest.fixture(scope="session")
def collections(installed):
    return installed.kayobe / "ansible" / "collections"
