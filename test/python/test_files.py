# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The primitives by which the role's modules write files: durable, whole or not at all, and nothing left of a killed
run.
"""

import errno
import os
import stat

import pytest
from parts import program as host


@pytest.fixture(name="events")
def _events(monkeypatch):
    """What is changed and what is synced, in order: ("mkdir", path), ("replace", path), ("unlink", path), ("sync",
    path).
    """
    events = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: events.append(("sync", os.readlink("/proc/self/fd/%d" % descriptor)))
    )
    for name, place in (("mkdir", 0), ("replace", 1), ("unlink", 0)):
        real = getattr(os, name)

        def recorded(*arguments, really=real, what=name, which=place):
            really(*arguments)
            events.append((what, arguments[which]))

        monkeypatch.setattr(os, name, recorded)
    return events


def test_directories_that_are_made_are_synced_one_by_one_before_the_file_and_its_name(tmp_path, events):
    path = str(tmp_path / "a/b/file")
    host.write_atomically(path, "text")
    temporary = events[4][1]
    assert host.TEMPORARY_NAME.match(os.path.basename(temporary))
    assert events == [
        ("mkdir", str(tmp_path / "a")),
        ("sync", str(tmp_path)),
        ("mkdir", str(tmp_path / "a/b")),
        ("sync", str(tmp_path / "a")),
        ("sync", temporary),
        ("replace", path),
        ("sync", str(tmp_path / "a/b")),
    ]


def test_a_removal_is_synced(tmp_path, events):
    (tmp_path / "file").write_text("")
    host.remove_file(str(tmp_path / "file"))
    assert events == [("unlink", str(tmp_path / "file")), ("sync", str(tmp_path))]


def test_a_write_that_fails_leaves_no_directory_that_it_made(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", lambda *_paths: (_ for _ in ()).throw(OSError(errno.EROFS, "read-only")))
    with pytest.raises(OSError, match="read-only"):
        host.write_atomically(str(tmp_path / "a/b/file"), "text")
    assert os.listdir(tmp_path) == []


def test_directories_below_a_file_cannot_be_made_and_none_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        host.make_directories(str(tmp_path / "file/b"))
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    "number, raised", [(errno.EINVAL, False), (errno.ENOSYS, False), (errno.EIO, True), (errno.ENOSPC, True)]
)
def test_a_sync_that_the_filesystem_does_not_know_is_passed_over_and_one_that_fails_is_not(
    tmp_path, monkeypatch, number, raised
):
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError(number, "no")))
    if not raised:
        host.sync_directory(str(tmp_path))
        return
    with pytest.raises(OSError) as caught:
        host.sync_directory(str(tmp_path))
    assert caught.value.errno == number


def test_what_a_killed_run_left_is_swept_and_nothing_else(tmp_path):
    keep = [
        ".sriov-short",
        ".sriov-TOOLARGE",
        ".sriov-abcdefgh9",
        "sriov-abcdefgh",
        ".sriov-vfs.json",
        ".other-abcdefgh",
    ]
    for name in keep + [".sriov-abcd_fg1"]:
        (tmp_path / name).write_text("")
    (tmp_path / ".sriov-linklink").symlink_to("/nowhere")
    (tmp_path / ".sriov-folderxx").mkdir()
    os.mkfifo(tmp_path / ".sriov-pipepipe")
    host.sweep([str(tmp_path), str(tmp_path / "absent")])
    assert sorted(os.listdir(tmp_path)) == sorted(keep + [".sriov-folderxx", ".sriov-pipepipe"])
    assert stat.S_ISFIFO(os.stat(tmp_path / ".sriov-pipepipe").st_mode)


def test_a_temporary_file_has_a_name_that_is_swept(tmp_path):
    for _turn in range(50):
        host.stage(str(tmp_path / "file"), "text")
    host.sweep([str(tmp_path)])
    assert os.listdir(tmp_path) == []
