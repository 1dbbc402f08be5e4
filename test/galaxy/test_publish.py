# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`sriov-role publish`, with the real ansible-galaxy and git, against a Galaxy on this machine."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time

import hang
import pytest
from conftest import BIN, ROOT, TOKEN, clean_environment

VERSION = json.loads((ROOT / "package.json").read_text())["version"]


def galaxy(folder, *arguments, **environment):
    command = [str(BIN / "ansible-galaxy"), *map(str, arguments)]
    env = {**clean_environment(), "ANSIBLE_HOME": str(folder / "ansible"), **environment}
    return subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=hang.SECONDS
    )


class TestRelease:
    def test_reports_first_what_is_sent_where_and_does_it(self, published):
        assert published.outcome.returncode == 0, published.outcome.stdout
        address = published.server.address
        told = published.outcome.stdout
        expected = [
            f"stackhpc.sriov {VERSION}, commit ",
            f"  the collection is sent to {address}/api (sriov_role_release), with the token from the environment variable GALAXY_TOKEN",
            f"  the role is pushed to the branch main of {published.repository}, with the tag {VERSION}",
            f"  then the role stackhpc/ansible-role-sriov is imported by {address}/api (",
            f"Published: the collection stackhpc.sriov {VERSION}",
            f"Pushed: the role, to {published.repository}",
            f"Published: the role stackhpc.sriov {VERSION}",
        ]
        positions = [told.find("\n" + line) if index else told.find(line) for index, line in enumerate(expected)]
        assert -1 not in positions and positions == sorted(positions), told

    def test_never_prints_the_token(self, published):
        assert TOKEN not in published.outcome.stdout

    def test_leaves_this_repository_alone_also_when_it_is_run_by_a_hook_of_it(self, published):
        assert published.checkout.state == published.before

    def test_uploads_what_it_built(self, published):
        name = f"stackhpc-sriov-{VERSION}.tar.gz"
        served = (published.folder / "served" / name).read_bytes()
        assert served == (published.checkout.folder / "build" / "release" / name).read_bytes()
        assert hashlib.sha256(served).hexdigest() in published.outcome.stdout

    def test_is_refused_the_second_time(self, published):
        before = list(published.sent)
        outcome = published.checkout.run("publish", *published.options, GALAXY_TOKEN=TOKEN)
        assert outcome.returncode == 1
        for line in (
            f"{published.server.address}/api has the collection stackhpc.sriov {VERSION} already; --role publishes the role alone.",
            f"{published.server.address}/api has the role stackhpc.sriov {VERSION} already; --collection publishes the collection alone.",
            "Nothing was sent.",
        ):
            assert line in outcome.stdout.splitlines()
        assert published.sent == before

    def test_has_the_same_bytes_where_git_makes_lines_end_otherwise(self, published, tmp_path):
        published.checkout.git("clone", "--quiet", "--config", "core.autocrlf=true", ".", str(tmp_path / "clone"))
        names = published.checkout.git("ls-files", "role-template", "galaxy.yml").splitlines()
        assert len(names) > 20
        assert [
            name
            for name in names
            if (published.checkout.folder / name).read_bytes() != (tmp_path / "clone" / name).read_bytes()
        ] == []

    def test_the_collection_is_installed_from_there(self, published, tmp_path):
        (tmp_path / "requirements.yml").write_text(f"collections:\n  - name: stackhpc.sriov\n    version: {VERSION}\n")
        outcome = galaxy(
            tmp_path,
            "collection",
            "install",
            "-r",
            "requirements.yml",
            "-p",
            tmp_path / "c",
            ANSIBLE_GALAXY_SERVER=published.server.address,
        )
        assert outcome.returncode == 0, outcome.stdout
        there = tmp_path / "c" / "ansible_collections" / "stackhpc" / "sriov"
        assert json.loads((there / "MANIFEST.json").read_text())["collection_info"]["version"] == VERSION
        assert (
            galaxy(tmp_path, "collection", "verify", "stackhpc.sriov", "--offline", "-p", tmp_path / "c").returncode
            == 0
        )

    def test_the_role_is_installed_from_its_repository(self, published, tmp_path):
        (tmp_path / "requirements.yml").write_text(
            f"roles:\n  - name: stackhpc.sriov\n    src: file://{published.repository}\n    scm: git\n    version: {VERSION}\n"
        )
        outcome = galaxy(tmp_path, "role", "install", "-r", "requirements.yml", "-p", tmp_path / "r")
        assert outcome.returncode == 0, outcome.stdout
        built = published.checkout.folder / "build" / "release" / "stackhpc.sriov"
        names = sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file())
        assert {"meta/main.yml", "README.md", "CHANGELOG.md", "library/sriov_vfs.py"} <= set(names)
        there = tmp_path / "r" / "stackhpc.sriov"
        # ansible-galaxy takes what `git archive` gives, and adds its own file.
        installed = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
        assert installed == sorted(names + ["meta/.galaxy_install_info"])
        assert [name for name in names if (built / name).read_bytes() != (there / name).read_bytes()] == []

    def test_the_role_by_the_short_form(self, published, tmp_path):
        outcome = galaxy(
            tmp_path, "role", "install", f"git+file://{published.repository},{VERSION}", "-p", tmp_path / "r"
        )
        assert outcome.returncode == 0, outcome.stdout


class TestNothingIsSent:
    def refused(self, checkout, place, *options, token=TOKEN, code=1, **environment):
        if token:
            environment["GALAXY_TOKEN"] = token
        outcome = checkout.run("publish", *place.options, *options, **environment)
        assert outcome.returncode == code, outcome.stdout
        assert place.sent == []
        assert TOKEN not in outcome.stdout
        return outcome.stdout

    def test_with_a_file_that_is_not_committed(self, checkout, place):
        (checkout.folder / "notes.txt").write_text("x")
        checkout.git("config", "status.showUntrackedFiles", "no")
        assert "1 files are changed or not in git, for example notes.txt: commit or remove them first." in self.refused(
            checkout, place
        )

    def test_with_files_of_the_role_that_git_does_not_look_at(self, checkout, place):
        (checkout.folder / "role-template" / ".cache").mkdir()
        (checkout.folder / "role-template" / ".cache" / "x").write_text("x")
        (checkout.folder / "role-template" / ".env").write_text("x")
        (checkout.folder / "excluded").write_text(".env\n")
        checkout.git("config", "core.excludesFile", str(checkout.folder / "excluded"))
        (checkout.folder / ".git" / "info" / "exclude").write_text("/node_modules\n/excluded\n")
        checkout.git("update-index", "--assume-unchanged", "role-template/tasks/summary.yml")
        checkout.edit("role-template/tasks/summary.yml", "---\n", "---\n# another\n")
        assert checkout.git("status", "--porcelain") == ""
        assert "3 files are changed or not in git, for example role-template/.cache/x: " in self.refused(
            checkout, place
        )

    def test_with_an_index_that_cannot_be_read(self, checkout, place):
        (checkout.folder / ".git" / "index").write_bytes(b"x" * 100)
        assert "git status ended with 128:" in self.refused(checkout, place)

    def test_in_a_folder_of_another_repository(self, checkout, place):
        checkout.git("init", "--quiet", str(checkout.folder.parent))
        (checkout.folder / ".git").rename(checkout.folder.parent / "moved")
        assert (
            f"{checkout.folder} is not a separate git repository: it is inside that of {checkout.folder.parent},"
            in self.refused(checkout, place)
        )

    def test_with_a_tag_of_the_version_elsewhere(self, checkout, place):
        checkout.git("tag", "v" + VERSION)
        (checkout.folder / "README.md").write_text("more\n")
        checkout.commit("second")
        assert re.search(
            r"^The tag v%s is at commit \w{12}, and the release would be of \w{12}\.$" % re.escape(VERSION),
            self.refused(checkout, place),
            re.MULTILINE,
        )

    def test_without_a_changelog_entry(self, checkout, place):
        checkout.edit("role-template/CHANGELOG.md", f"## {VERSION} - ", "## 0.9.9 - ")
        checkout.commit("second")
        assert (
            f"role-template/CHANGELOG.md: the newest entry is 0.9.9, and galaxy.yml says version {VERSION}"
            in self.refused(checkout, place)
        )

    def test_with_another_version_of_the_package(self, checkout, place):
        checkout.edit("package.json", f'"version": "{VERSION}"', '"version": "9.9.9"')
        checkout.commit("second")
        assert f"package.json: version is 9.9.9, and galaxy.yml says version {VERSION}" in self.refused(checkout, place)

    def test_without_a_token(self, checkout, place):
        assert f"There is no token for {place.server.address}/api: set GALAXY_TOKEN" in self.refused(
            checkout, place, token=None
        )

    def test_with_a_wrong_token(self, checkout, place):
        place.server.tokens.clear()
        place.server.echoes = True
        said = self.refused(checkout, place)
        assert "Invalid token ***." in said and "HTTP Code: 401" in said

    def test_with_a_folder_that_is_not_there_and_has_the_token_in_its_path(self, checkout, place):
        said = self.refused(checkout, place, "--role-repository", place.folder / TOKEN / "a" / "b.git", code=2)
        assert "The folder that --role-repository names is not there" in said

    def test_with_a_folder_that_is_not_a_repository_and_has_the_token_in_its_path(self, checkout, place):
        (place.folder / TOKEN / "a" / "b.git").mkdir(parents=True)
        said = self.refused(checkout, place, "--role-repository", place.folder / TOKEN / "a" / "b.git")
        assert "git ls-remote ended with 128:" in said and "/***/a/b.git" in said

    def test_where_there_is_no_server(self, checkout, place):
        outcome = checkout.run("publish", "--collection", "--server", "http://127.0.0.1:9", GALAXY_TOKEN=TOKEN)
        assert outcome.returncode == 1 and "could not be asked which versions it has" in outcome.stdout

    def test_in_a_dry_run(self, checkout, place):
        said = self.refused(checkout, place, "--dry-run", code=0)
        assert f"  the collection is sent to {place.server.address}" in said and said.endswith(
            "Nothing was sent: this was a dry run.\n"
        )

    def test_with_a_role_that_no_one_can_commit(self, checkout, place):
        (place.folder / "gitconfig").write_text("[user]\nuseConfigOnly = true\n")
        nobody = {f"{role}_{part}": "" for role in ("GIT_AUTHOR", "GIT_COMMITTER") for part in ("NAME", "EMAIL")}
        assert "git commit ended with 128:" in self.refused(
            checkout, place, GIT_CONFIG_GLOBAL=str(place.folder / "gitconfig"), **nobody
        )

    def test_with_a_push_that_is_stopped_also_in_a_dry_run(self, checkout, place):
        hook = place.folder / "pre-push"
        hook.write_text(f"#!/bin/sh\nenv > {place.folder / 'seen'}\necho not like this\nexit 1\n")
        hook.chmod(0o755)
        (place.folder / "gitconfig").write_text(f"[core]\nhooksPath = {place.folder}\n")
        said = self.refused(checkout, place, "--dry-run", GIT_CONFIG_GLOBAL=str(place.folder / "gitconfig"))
        assert "git push ended with 1:\nnot like this\n" in said
        seen = (place.folder / "seen").read_text()
        assert TOKEN not in seen and "GALAXY_TOKEN" not in seen and "PATH=" in seen

    def test_to_a_repository_whose_head_names_no_branch(self, checkout, place):
        place.fill({"a": "x"}, "other")
        outcome = checkout.run("publish", *place.options, GALAXY_TOKEN=TOKEN)
        assert outcome.returncode == 1 and [line for line in place.sent if "POST" in line] == []
        assert (
            f"{place.repository} has branches (other), and its HEAD names none of them. Set its default branch."
            in outcome.stdout
        )

    def test_to_the_repository_of_something_else(self, checkout, place):
        place.fill({"galaxy.yml": "x: 1\n"})
        outcome = checkout.run("publish", *place.options, "--dry-run", GALAXY_TOKEN=TOKEN)
        assert outcome.returncode == 1 and f"{place.repository} has a galaxy.yml: " in outcome.stdout
        assert outcome.stdout.endswith("Nothing was sent.\n")

    def test_when_a_check_fails(self, checkout, place):
        checkout.edit(
            "role-template/tasks/summary.yml", "---\n", "---\n- name: broken\n  ansible.builtin.shell: echo x\n\n"
        )
        checkout.edit("role-template/plugins/modules/sriov_devices.py", "import ", "import os\nimport ")
        checkout.commit("second")
        before = checkout.state
        # The name of a rule is a secret here: no complaint may have one in it.
        said = self.refused(
            checkout,
            place,
            ANSIBLE_GALAXY_SERVER_OTHER_PASSWORD="no-changed-when",
            LC_ALL="xx_XX",
            **checkout.leads_git_here,
        )
        assert checkout.state == before
        assert "no-changed-when" not in said
        assert re.search(r"^galaxy-importer, collection: WARNING: .*\*\*\*", said, re.MULTILINE), said
        assert re.search(r"^galaxy-importer, role: WARNING: .*\*\*\*", said, re.MULTILINE), said
        assert re.search(r"^ansible-test sanity: ERROR: plugins/modules/sriov_devices\.py:", said, re.MULTILINE), said

    @pytest.mark.parametrize("who", ["me:secret", "secret"])
    def test_with_a_password_or_token_in_an_address(self, checkout, place, who):
        outcome = checkout.run("publish", "--role", "--role-repository", f"https://{who}@example.org/a/b.git")
        assert outcome.returncode == 2 and "secret" not in outcome.stdout and "password or token" in outcome.stdout

    def test_without_a_repository_for_the_role(self, checkout, place):
        assert checkout.run("publish", "--server", place.server.address).returncode == 2
        assert checkout.run("publish", "--dry-run", "--role", "--server", place.server.address).returncode == 2
        assert (
            checkout.run(
                "publish", "--role-repository", str(place.folder / "no_such"), "--server", place.server.address
            ).returncode
            == 2
        )


def test_a_dry_run_without_a_repository_for_the_role_reports_the_collection(checkout, place):
    """The line of the README."""
    before = list(place.sent)
    outcome = checkout.run("publish", "--dry-run", "--server", place.server.address, GALAXY_TOKEN=TOKEN)
    assert outcome.returncode == 0, outcome.stdout
    said = outcome.stdout.splitlines()
    assert [line.split(" http")[0] for line in said if line.startswith("  ")][:2] == [
        "  the collection is sent to",
        "  the role is not part of this: --role-repository URL decides where it is sent",
    ]
    assert said[-1] == "Nothing was sent: this was a dry run." and place.sent == before


class TestTokens:
    """Where ansible-galaxy has them from, so have we."""

    def said(self, checkout, place, *options, **environment):
        outcome = checkout.run("publish", "--dry-run", "--collection", *options, **environment)
        assert outcome.returncode == 0, outcome.stdout
        assert TOKEN not in outcome.stdout
        return outcome.stdout

    def test_from_the_variable_of_a_named_server(self, checkout, place):
        said = self.said(
            checkout,
            place,
            "--server",
            "mine",
            ANSIBLE_GALAXY_SERVER_LIST="mine",
            ANSIBLE_GALAXY_SERVER_MINE_URL=place.server.address,
            ANSIBLE_GALAXY_SERVER_MINE_TOKEN=TOKEN,
        )
        assert "(mine), with the token from the environment variable ANSIBLE_GALAXY_SERVER_MINE_TOKEN" in said

    def test_from_the_configuration(self, checkout, place):
        path = place.folder / "ansible.cfg"
        path.write_text(
            f"[galaxy]\nserver_list = mine\n[galaxy_server.mine]\nurl = {place.server.address}\ntoken = {TOKEN}\n"
        )
        assert f"(mine), with the token from {path}" in self.said(checkout, place, ANSIBLE_CONFIG=str(path))

    def test_from_the_token_file(self, checkout, place):
        path = place.folder / "token"
        path.write_text(f"token: {json.dumps(TOKEN)}\n")
        said = self.said(checkout, place, "--server", place.server.address, ANSIBLE_GALAXY_TOKEN_PATH=str(path))
        assert f"(cmd_arg), with the token from {path}" in said


def manifest_alone(folder):
    """A collection of this version that another person has sent."""
    manifest = json.dumps(
        {"collection_info": {"namespace": "stackhpc", "name": "sriov", "version": VERSION, "dependencies": {}}}
    ).encode()
    with tarfile.open(folder / (f"stackhpc-sriov-{VERSION}.tar.gz"), "w:gz") as archive:
        member = tarfile.TarInfo("MANIFEST.json")
        member.size = len(manifest)
        archive.addfile(member, io.BytesIO(manifest))


class TestTheServerRefuses:
    """Nothing is reported as published that is not, and what comes after is not begun."""

    UPLOAD = "POST /api/v3/artifacts/collections/"

    def outcome(self, checkout, place, *options):
        outcome = checkout.run("publish", *place.options, *options, GALAXY_TOKEN=TOKEN)
        assert outcome.returncode == 1
        assert TOKEN not in outcome.stdout
        assert not re.search(
            r"^(Published|Pushed): the collection|^Published: the role", outcome.stdout, re.MULTILINE
        ), outcome.stdout
        return outcome.stdout

    def refused(self, checkout, place):
        """The collection comes first: the role's repository and the role's import are left alone."""
        said = self.outcome(checkout, place)
        assert (
            f"\nThe collection was not published: {place.server.address}/api does not have stackhpc.sriov {VERSION}."
            in said
        )
        assert place.sent == [self.UPLOAD]
        return said

    def test_a_token_for_another_namespace(self, checkout, place):
        place.server.tokens[TOKEN] = ["other"]
        assert "HTTP Code: 403" in self.refused(checkout, place)

    def test_a_version_that_it_has_and_did_not_list(self, checkout, place):
        manifest_alone(place.folder / "served")
        place.server.hides = True
        said = self.refused(checkout, place)
        assert "HTTP Code: 409" in said and f'Collection "stackhpc-sriov-{VERSION}" already exists.' in said

    def test_a_collection_that_arrives_with_another_sum(self, checkout, place):
        place.server.spoils = True
        said = self.refused(checkout, place)
        assert "HTTP Code: 400" in said and "The expected sha256 is not that of the file." in said
        assert list((place.folder / "served").iterdir()) == []

    def test_in_the_import_of_the_collection(self, checkout, place):
        place.server.import_error = f"the importer knows no {TOKEN}"
        place.server.import_warnings = [f"beware of {TOKEN}"]
        said = self.refused(checkout, place)
        assert "the importer knows no ***" in said and "beware of ***" in said
        assert list((place.folder / "served").iterdir()) == []

    def test_a_collection_that_it_has_all_the_same(self, checkout, place):
        place.server.misleads = True
        said = self.outcome(checkout, place)
        assert "not published" not in said
        assert (
            f"{place.server.address}/api has the collection stackhpc.sriov {VERSION} now, though ansible-galaxy failed."
            in said
        )
        assert place.sent == [self.UPLOAD]

    def test_in_the_import_of_the_role(self, checkout, place):
        place.server.import_error = "no such thing"
        said = self.outcome(checkout, place, "--role")
        assert "the import failed: no such thing" in said
        assert (
            "The role is in its repository, and Galaxy did not import it. Once that is fixed, publish again with --role: what is pushed is not pushed again."
            in said
        )
        pushed = place.git("rev-parse", "main", VERSION)
        # Another person takes the tag for something else.
        place.fill({"x": "y"})
        place.git("tag", "--force", VERSION, "main")
        assert (
            f"{place.repository} already has the tag {VERSION}, for something else.\nNothing was sent.\n"
            in self.outcome(checkout, place, "--role")
        )
        main, tag = pushed.split()
        place.git("update-ref", "refs/heads/main", main)
        place.git("update-ref", "refs/tags/" + VERSION, tag)
        place.server.import_error = None
        outcome = checkout.run("publish", *place.options, "--role", GALAXY_TOKEN=TOKEN)
        assert outcome.returncode == 0, outcome.stdout
        assert "Pushed" not in outcome.stdout and outcome.stdout.endswith(
            f"Published: the role stackhpc.sriov {VERSION}\n"
        )
        assert place.git("rev-parse", "main", VERSION) == pushed


class TestTheRolesRepository:
    def test_keeps_its_history_and_what_begins_with_a_dot(self, checkout, place):
        place.git("symbolic-ref", "HEAD", "refs/heads/trunk")
        place.fill(
            {".github/ci.yml": "x: 1\n", "old.yml": "x: 1\n", "meta/main.yml": "galaxy_info:\n  role_name: sriov\n"},
            "trunk",
        )
        # What clone calls it does not matter, nor from where it is seen.
        (place.folder / "gitconfig").write_text("[clone]\ndefaultRemoteName = upstream\n")
        where = [
            "--server",
            place.server.address,
            "--role-repository",
            os.path.relpath(place.repository, checkout.folder),
        ]
        outcome = checkout.run(
            "publish", "--role", *where, GALAXY_TOKEN=TOKEN, GIT_CONFIG_GLOBAL=str(place.folder / "gitconfig")
        )
        assert outcome.returncode == 0, outcome.stdout
        assert re.findall("^  (.+) is there now and will be removed$", outcome.stdout, re.MULTILINE) == ["old.yml"]
        names = place.git("ls-tree", "-r", "--name-only", VERSION).split()
        assert ".github/ci.yml" in names and "tasks/main.yml" in names and "old.yml" not in names
        assert place.git("log", "--format=%s", "trunk").splitlines() == [f"stackhpc.sriov {VERSION}", "old"]


def test_interrupted_it_reports_what_is_published_and_leaves_nothing_behind(checkout, place, tmp_path):
    hook, pushing = place.folder / "pre-push", place.folder / "pushing"
    # The trial of the push comes first.
    hook.write_text(f'#!/bin/sh\ntest -e "$0.tried" || exec touch "$0.tried"\ntouch {pushing}\nexec sleep 100000\n')
    hook.chmod(0o755)
    (place.folder / "gitconfig").write_text(f"[core]\nhooksPath = {place.folder}\n")
    (tmp_path / "tmp").mkdir()
    process = checkout.start(
        "publish",
        *place.options,
        GALAXY_TOKEN=TOKEN,
        GIT_CONFIG_GLOBAL=str(place.folder / "gitconfig"),
        TMPDIR=str(tmp_path / "tmp"),
    )
    try:
        deadline = time.monotonic() + hang.SECONDS
        while not pushing.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=hang.SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert said.endswith("Published: the collection. The rest was not, or not completely.\n")
    assert list((tmp_path / "tmp").glob("sriov-role-*")) == []
    assert place.git("for-each-ref") == ""
