# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of this repository that may be broken, a Galaxy on this machine, and a repository for the role."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import galaxy_server
import hang
import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TOKEN = "a+token/that=is%nobody's&4711"
PARTS = [
    "build/generator",
    "generator",
    "molecule/shared/ansible_releases.json",
    "role-template",
    "docs",
    "galaxy.yml",
    "package.json",
    "package-lock.json",
    "requirements.txt",
    "README.md",
    ".gitignore",
    ".gitattributes",
]


class Checkout:
    """A git repository with what this one has, and its command line."""

    def __init__(self, folder):
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / part, folder / part)
        (folder / "node_modules").symlink_to((ROOT / "node_modules").resolve())
        self.git("init", "--quiet")
        (folder / ".git" / "info").mkdir(exist_ok=True)
        (folder / ".git" / "info" / "exclude").write_text("/node_modules\n")
        self.commit("first")

    def git(self, *arguments):
        command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    @property
    def leads_git_here(self):
        """What git sets for a hook of this repository."""
        return {
            "GIT_DIR": str(self.folder / ".git"),
            "GIT_INDEX_FILE": str(self.folder / ".git" / "index"),
            "GIT_WORK_TREE": str(self.folder),
        }

    @property
    def state(self):
        """Branches, tags, and what is staged."""
        return [self.git("for-each-ref"), self.git("ls-files", "--stage")]

    def commit(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def edit(self, path, old, new):
        text = (self.folder / path).read_text()
        assert old in text, f"{path} has no {old!r}"
        (self.folder / path).write_text(text.replace(old, new, 1))

    def call(self, arguments, environment):
        command = ["node", str(self.folder / "build" / "generator" / "main.js"), *map(str, arguments)]
        env = {**clean_environment(), "ANSIBLE_HOME": str(self.folder / "build" / "ansible-home"), **environment}
        return {
            "args": command,
            "cwd": self.folder,
            "env": env,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def run(self, *arguments, **environment):
        return subprocess.run(**self.call(arguments, environment), timeout=hang.SECONDS)

    def start(self, *arguments, **environment):
        """As from a terminal, whose Ctrl-C reaches all of its processes."""
        return subprocess.Popen(**self.call(arguments, environment), start_new_session=True)


def clean_environment():
    """Without this person's Galaxy; an author for commits."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ANSIBLE_", "GALAXY_", "GIT_", "SOURCE_DATE"))
    }
    who = {
        f"{role}_{what}": value
        for role in ("GIT_AUTHOR", "GIT_COMMITTER")
        for what, value in (("NAME", "Test"), ("EMAIL", "test@example.org"))
    }
    return {**kept, **who}


class Place:
    """Where a release is sent: a Galaxy, and the role's repository."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.repository = folder / "stackhpc" / "ansible-role-sriov.git"
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch", "main", str(self.repository)], check=True
        )
        server.tokens[TOKEN] = ["stackhpc"]
        server.repositories[("stackhpc", "ansible-role-sriov")] = self.repository

    @property
    def options(self):
        return ["--server", self.server.address, "--role-repository", self.repository]

    def git(self, *arguments):
        command = ["git", "-C", str(self.repository), *arguments]
        return subprocess.run(
            command, check=True, env=clean_environment(), stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def fill(self, files, branch="main"):
        """A commit with these files, on top of what is there."""
        work = self.folder / ("work-" + branch)
        for command in (["clone", "--quiet", str(self.repository), str(work)], ["checkout", "--quiet", "-B", branch]):
            subprocess.run(
                ["git", *command],
                cwd=work if work.exists() else self.folder,
                check=True,
                env=clean_environment(),
                stderr=subprocess.DEVNULL,
            )
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        for command in (
            ["add", "--all", "--force"],
            ["commit", "--quiet", "--message", "old"],
            ["push", "--quiet", "origin", "HEAD:refs/heads/" + branch],
        ):
            subprocess.run(["git", *command], cwd=work, check=True, env=clean_environment())

    @property
    def sent(self):
        """What was sent to the server, not asked of it, and what is in the repository."""
        refs = subprocess.run(
            ["git", "-C", str(self.repository), "for-each-ref", "--format", "%(refname)"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return [request for request in self.server.requests if request.startswith("POST")] + refs.stdout.split()


@contextmanager
def a_place(folder):
    (folder / "served").mkdir(parents=True)
    with galaxy_server.serving(folder / "served") as server:
        yield Place(folder, server)


@pytest.fixture(scope="session", autouse=True)
def compiled():
    subprocess.run(["node", str(ROOT / "generator" / "bootstrap.mjs"), "--help"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture()
def checkout(tmp_path):
    (tmp_path / "checkout").mkdir()
    return Checkout(tmp_path / "checkout")


@pytest.fixture()
def place(tmp_path):
    with a_place(tmp_path / "place") as found:
        yield found


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A release that went well."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "checkout").mkdir()
    with a_place(folder / "place") as found:
        found.checkout = Checkout(folder / "checkout")
        found.before = found.checkout.state
        found.outcome = found.checkout.run(
            "publish", *found.options, GALAXY_TOKEN=TOKEN, LC_ALL="C", **found.checkout.leads_git_here
        )
        yield found
