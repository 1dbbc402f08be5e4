"""The images of the VM rig, and the Pythons that are made the same way."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import apt_sources
import host
import python_tree
from images import build, recipes, store
from machine import qemu


def test_the_page_has_what_the_kernels_command_line_has_in_addition() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text()
    [said] = re.findall(r"The\s+kernel\s+command\s+line\s+has\s+([^.;]+?)\s+in\s+addition\.", page)
    # Debian's own has the consoles and quiet.
    own = [word for word in recipes.CMDLINE.split() if not word.startswith("console=") and word != "quiet"]
    assert re.findall(r"`([^`]+)`", said) == own


def test_an_image_has_another_name_when_its_recipe_or_a_guest_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes.RECIPES["debian12"]
    files = {"customize.sh": b"one", "rootfs/etc/fstab": b""}
    name = recipes.recipe_hash(recipe, files)
    assert recipes.recipe_hash(recipe, dict(reversed(files.items()))) == name
    others = [
        recipes.recipe_hash(dataclasses.replace(recipe, packages=recipe.packages[1:]), files),
        recipes.recipe_hash(dataclasses.replace(recipe, codename="trixie"), files),
        recipes.recipe_hash(dataclasses.replace(recipe, removed=("usr/share/doc",)), files),
        recipes.recipe_hash(recipe, {**files, "customize.sh": b"two"}),
        recipes.recipe_hash(recipe, {**files, "rootfs/etc/hosts": b""}),
    ]
    monkeypatch.setattr(recipes, "ARCHIVE_PACKAGES", ("mstflint", "ethtool"))
    others.append(recipes.recipe_hash(recipe, files))
    assert len({name, *others}) == 7


def test_a_new_kind_of_wish_renames_no_image_that_does_not_have_it() -> None:
    recipe = recipes.RECIPES["debian12"]
    Newer = dataclasses.make_dataclass("Newer", [("wish", tuple, ())], bases=(recipes.Recipe,), frozen=True)
    newer = Newer(**dataclasses.asdict(recipe))
    assert recipes.recipe_hash(newer, {}) == recipes.recipe_hash(recipe, {})
    assert recipes.recipe_hash(dataclasses.replace(newer, wish=("one",)), {}) != recipes.recipe_hash(recipe, {})


def test_scenarios_can_have_the_images_that_there_are_and_machines_that_can_be() -> None:
    schema = json.loads((recipes.GUEST.parents[1] / "shared" / "molecule.schema.json").read_text())
    platform = schema["properties"]["platforms"]["items"]["properties"]
    assert platform["image"]["enum"] == list(recipes.RECIPES)
    assert (platform["pfs"]["maximum"], platform["ports"]["maximum"]) == (qemu.MAX_PFS, qemu.MAX_FUNCTIONS)
    assert platform["missing"]["items"]["maximum"] == qemu.MAX_PFS


def customize_hooks(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What mmdebstrap must run once the packages of an image are installed."""
    commands: list[list[str]] = []
    monkeypatch.setattr(apt_sources, "debian_sources", lambda codename: [])
    monkeypatch.setattr(apt_sources, "transport_options", lambda: [])
    monkeypatch.setattr(host, "run_logged", lambda command, *_: commands.append(command))
    build.make_root_filesystem(recipes.RECIPES[name], folder, folder / "build.log")
    start = "--customize-hook="
    return [argument.removeprefix(start) for argument in commands[0] if argument.startswith(start)]


def test_tests_and_services_of_nova_are_removed_before_the_tree_is_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    packages = "usr/lib/python3/dist-packages"
    kept = [
        f"{packages}/nova/pci/whitelist.py",
        f"{packages}/oslo_config/validator.py",
        "usr/lib/systemd/system/ssh.service",
        "etc/fstab",
    ]
    for name in (
        *kept, f"{packages}/nova/tests/unit/test_pci.py", f"{packages}/numpy/_core/tests/test_array.py", "usr/share/python-babel-localedata/de.dat",
        "usr/lib/systemd/system/iscsid.socket", "etc/systemd/system/sockets.target.wants/iscsid.socket", "etc/rc2.d/S01iscsid",
    ):  # fmt: skip
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    hooks = customize_hooks("debian13-openstack", tmp_path, monkeypatch)
    removal = next(number for number, hook in enumerate(hooks) if hook.startswith('cd "$1" && rm '))
    assert removal < next(number for number, hook in enumerate(hooks) if "customize.sh grub" in hook)
    # As mmdebstrap runs it.
    subprocess.run(["sh", "-c", hooks[removal], "exec", str(tree)], check=True, cwd=tmp_path)
    assert sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()) == sorted(kept)
    others = customize_hooks("debian13", tmp_path, monkeypatch)
    assert others == [hook for hook in hooks if hook != hooks[removal]]


def test_the_archive_of_guest_files_belongs_to_root_and_leaves_scripts_out() -> None:
    import io
    import tarfile

    content = build.rootfs_archive(
        {"rootfs/etc/fstab": b"x", "rootfs/usr/script": b"#!/bin/sh\n", "customize.sh": b"y"}
    )
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        members = archive.getmembers()
    assert [(member.name, member.uid, member.mode) for member in members] == [
        ("etc/fstab", 0, 0o644),
        ("usr/script", 0, 0o755),
    ]


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with images that were last used an hour ago."""
    monkeypatch.setenv("SRIOV_ROLE_CACHE", str(tmp_path))
    folder = tmp_path / "images"
    folder.mkdir()
    for name in (
        "debian13-000000000001.qcow2", "debian13-000000000002.qcow2", "debian13-000000000003.qcow2",
        "debian13-sdboot-000000000001.qcow2", "debian13-mine.qcow2", recipes.image_path("debian13").name,
    ):  # fmt: skip
        (folder / name).write_text(name)
        os.utime(folder / name, (time.time() - 3600,) * 2)
    return folder


def test_superseded_images_are_removed_unless_they_are_in_use(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    current = recipes.image_path("debian13")
    with contextlib.ExitStack() as stack:
        # As QEMU has the image under a machine's disk.
        handle = stack.enter_context((images / "debian13-000000000001.qcow2").open())
        child = subprocess.Popen(["sleep", "100000"], stdin=handle)
        stack.callback(child.wait)
        stack.callback(child.kill)
        handle.close()
        store.keep(images / "debian13-000000000002.qcow2")
        assert store.ensure("debian13") == current
    assert sorted(path.name for path in images.iterdir()) == sorted([
        "debian13-000000000001.qcow2", "debian13-000000000002.qcow2", "debian13-sdboot-000000000001.qcow2",
        "debian13-mine.qcow2", current.name,
    ])  # fmt: skip
    assert "removed the superseded debian13-000000000003.qcow2" in capsys.readouterr().err
    assert [path.name for path in store.prune("debian13", current)] == ["debian13-000000000001.qcow2"]


def test_the_image_in_hand_counts_as_used_and_a_file_of_the_users_is_not_touched(images: Path, tmp_path: Path) -> None:
    # A file's time may lag behind the clock by a tick of the kernel.
    began = time.time() - 1
    current = store.ensure("debian13")
    assert current.stat().st_mtime >= began
    own = tmp_path / "own.img"
    own.write_text("")
    os.utime(own, (0, 0))
    store.keep(own)
    assert own.stat().st_mtime == 0


@pytest.mark.parametrize(
    ("release", "loader"),
    [("3.13", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"), ("3.11", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")],
)
class TestPythonTree:
    """A Python out of packages. Those which it makes are used where the machine's own does not suit a program."""

    @pytest.fixture()
    def packages(self, release: str, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """Play mmdebstrap: a loader that says how it is called, in place of Debian's packages. Returns its calls."""
        monkeypatch.setenv("SRIOV_ROLE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(
            apt_sources,
            "debian_sources",
            lambda codename: [apt_sources.AptSource("http://mirror.example", codename, ("main",), None)],
        )
        monkeypatch.setattr(apt_sources, "transport_options", lambda: [])
        monkeypatch.setattr(host, "check_tools", lambda tools: None)
        calls: list[list[str]] = []

        def run(command: list[str], *_: object) -> None:
            calls.append(command)
            root = tmp_path / "packages"
            for name, content, mode in (
                (loader, '#!/bin/sh\nprintf "%s\\n" "$@"\n', 0o755),
                (f"usr/bin/python{release}", "", 0o755),
                ("usr/bin/perl", "", 0o755),
                (
                    f"usr/lib/python{release}/_sysconfigdata__linux_x86_64-linux-gnu.py",
                    "build = {'WHEEL_PKG_DIR': '/usr/share/python-wheels/'}\n",
                    0o644,
                ),
                ("usr/share/python-wheels/pip.whl", "", 0o644),
                ("etc/passwd", "", 0o644),
            ):
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                path.chmod(mode)
            archive = next(word for word in command if word.endswith(".tar"))
            subprocess.run(["tar", "-C", str(root), "-cf", archive, "."], check=True)

        monkeypatch.setattr(host, "run_logged", run)
        return calls

    def test_is_started_with_the_loader_and_the_libraries_of_its_tree_under_the_name_it_was_called_by(
        self, packages: list[list[str]], release: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert python_tree.main(["path", release]) == 0
        program = Path(capsys.readouterr().out.strip())
        assert not program.exists() and packages == []
        assert python_tree.main(["ensure", release]) == 0
        assert capsys.readouterr().out == f"{program}\n"
        tree = program.parents[2]
        link = tmp_path / "python"
        link.symlink_to(program)
        said = subprocess.run(
            [str(link), "-c", "two words"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert said == [
            "--library-path", f"{tree}/usr/lib/x86_64-linux-gnu:{tree}/lib/x86_64-linux-gnu", "--argv0", str(link), f"{program}.real", "-c", "two words",
        ]  # fmt: skip
        assert not (tree / "etc").exists() and not (tree / "usr/bin/perl").exists()
        data: dict[str, dict[str, str]] = {}
        exec(next(tree.glob(f"usr/lib/python{release}/_sysconfigdata_*")).read_text(), data)
        assert list(Path(data["build"]["WHEEL_PKG_DIR"]).iterdir()) == [tree / "usr/share/python-wheels/pip.whl"]

    def test_is_made_once(self, packages: list[list[str]], release: str) -> None:
        python_tree.ensure(release)
        python_tree.ensure(release)
        assert len(packages) == 1
        assert packages[0][-1] == f"deb http://mirror.example {python_tree.CODENAMES[release]} main"

    def test_a_failure_is_reported_and_leaves_nothing(
        self,
        packages: list[list[str]],
        release: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail(*_: object) -> None:
            raise host.RigError("no mirror answers")

        monkeypatch.setattr(host, "run_logged", fail)
        assert python_tree.main(["ensure", release]) == 1
        assert capsys.readouterr().err == "rig: no mirror answers\n"
        assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]
