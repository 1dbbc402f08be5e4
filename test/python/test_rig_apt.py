"""Where apt of a machine installs from, as the VM rig reads it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import apt_sources
from host import RigError

DEB822 = """\
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
# was: bookworm-proposed-updates
 bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb deb-src
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://comment.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm main contrib # a note
deb http://mirror.example/security bookworm-security main
deb-src http://source.example/debian bookworm main
deb http://foreign.example/tool stable main
"""

WANTED_BY_BOTH = [
    "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie main",
    "deb http://mirror.example/security trixie-security main",
]


def folder(tmp_path: Path, one_line: str = "", deb822: str = "") -> Path:
    """A folder of apt's configuration."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(one_line)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(deb822)
    return tmp_path


def lines(apt: Path) -> list[str]:
    stanzas = apt_sources.machine_stanzas(apt)
    return [apt_sources.one_line(source) for source in apt_sources.sources_for("trixie", "bookworm", stanzas)]


def test_sources_of_another_release_come_from_deb822(tmp_path: Path) -> None:
    updates = "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie-updates main"
    assert lines(folder(tmp_path, deb822=DEB822)) == [WANTED_BY_BOTH[0], updates, WANTED_BY_BOTH[1]]


def test_sources_of_another_release_come_from_one_line_syntax(tmp_path: Path) -> None:
    assert lines(folder(tmp_path, ONE_LINE)) == WANTED_BY_BOTH


def test_both_syntaxes_are_read_from_the_folder_of_apt(tmp_path: Path) -> None:
    stanzas = apt_sources.machine_stanzas(folder(tmp_path, ONE_LINE, DEB822))
    assert [source.uri for stanza in stanzas for source in apt_sources.archives(stanza)] == [
        *("http://mirror.example/debian", "http://mirror.example/security", "http://foreign.example/tool"),
        *["http://mirror.example/debian"] * 3,
        "http://mirror.example/security",
    ]


@pytest.mark.parametrize(
    "text", ["", "deb http://mirror.example/ubuntu noble main\n", "deb http://mirror.example/debian bookworm contrib\n"]
)
def test_a_machine_without_debian_sources_gets_a_message_what_to_set(text: str, tmp_path: Path) -> None:
    with pytest.raises(RigError, match="SRIOV_ROLE_DEBIAN_MIRROR"):
        lines(folder(tmp_path, text))


@pytest.mark.parametrize(
    ("written", "passed_on"),
    [
        ("Signed-By: /a.gpg", "[signed-by=/a.gpg] "),
        ("Signed-By: /a.gpg /b.gpg", "[signed-by=/a.gpg,/b.gpg] "),
        ("Signed-By:\n /a.gpg\n /b.gpg", "[signed-by=/a.gpg,/b.gpg] "),
        ("Signed-By: 0123456789ABCDEF0123456789ABCDEF01234567", ""),
    ],
)
def test_files_of_keys_are_passed_on(written: str, passed_on: str, tmp_path: Path) -> None:
    text = f"Types: deb\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\n{written}\n"
    assert lines(folder(tmp_path, deb822=text)) == [f"deb {passed_on}http://m/debian trixie main"]


@pytest.mark.parametrize("word", ["no", "No", "false", "0", "off", "disable", "without"])
def test_a_source_that_is_disabled_is_none(word: str, tmp_path: Path) -> None:
    text = f"Types: deb\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\nEnabled: {word}\n"
    assert apt_sources.machine_stanzas(folder(tmp_path, deb822=text)) == []


# ---- backports ---------------------------------------------------------------------------------


def added(apt: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert apt_sources.main(["backports", "bookworm", "--apt", str(apt)]) == 0
    return capsys.readouterr().out


def test_backports_come_from_the_address_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "# a\ndeb-src http://m/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://m/debian bookworm main contrib # x\n"
    )
    assert added(folder(tmp_path, text), capsys) == (
        "Types: deb\nURIs: http://m/debian\nSuites: bookworm-backports\nComponents: main\n"
        "Architectures: amd64\nSigned-By: /k.gpg\n"
    )


def test_backports_come_from_the_address_in_a_stanza_with_the_key_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        "# c\nTypes: deb deb-src\nURIs: http://m/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        "Enabled: yes\nSigned-By:\n -----BEGIN\n .\n -----END\n\n"
        "Types: deb\nURIs: http://m/security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert added(folder(tmp_path, deb822=text), capsys) == (
        "Types: deb\nURIs: http://m/debian\nSuites: bookworm-backports\nComponents: main\n"
        "Signed-By: \n -----BEGIN\n .\n -----END\n"
    )


def test_backports_that_are_there_are_not_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "deb http://m/debian bookworm main\ndeb http://m/debian bookworm-backports main\n"
    assert added(folder(tmp_path, text), capsys) == ""


def test_backports_of_a_disabled_source_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "Enabled: false\nTypes: deb\nURIs: http://m\nSuites: bookworm-backports\nComponents: main\n"
    release = "deb http://m/debian bookworm main\n"
    assert "Suites: bookworm-backports\n" in added(folder(tmp_path, release, text), capsys)


@pytest.mark.parametrize("text", ["", "deb http://m/x stable main\n", "deb http://m/debian bookworm contrib\n"])
def test_no_backports_without_a_source_of_the_release(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apt_sources.main(["backports", "bookworm", "--apt", str(folder(tmp_path, text))]) == 1
    assert capsys.readouterr().err == (
        "apt's sources on this machine do not name bookworm, so its backports cannot be derived from them\n"
    )
