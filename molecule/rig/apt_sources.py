#!/usr/bin/env python3
"""Where apt of this machine installs from, and what follows from that for other releases of Debian.

No mirror is named in this repository: the machine may use its own. It runs before any Python environment
exists.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from host import RigError

APT = Path("/etc/apt")

# One source: the fields of a deb822 stanza, with names as Debian writes them.
Stanza = dict[str, str]

FIELDS = {
    name.lower(): name
    for name in (
        *("Types", "URIs", "Suites", "Components", "Enabled", "Signed-By", "Architectures"),
        *("Trusted", "Check-Valid-Until", "Allow-Insecure"),
    )
}
ONE_LINE = re.compile(r"\s*(deb|deb-src)\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)")
# As apt reads them (apt-pkg/contrib/strutl.cc, StringToBool).
FALSE = {"no", "false", "without", "off", "disable", "0"}


def parse_one_line(text: str) -> list[Stanza]:
    """Read the syntax of sources.list (sources.list(5), "one-line-style format")."""
    found = []
    for line in text.splitlines():
        match = ONE_LINE.match(line)
        if not match:
            continue
        kind, options, uri, suite, components = match.groups()
        stanza = {"Types": kind, "URIs": uri, "Suites": suite, "Components": components.strip()}
        for option in (options or "").split():
            name, equals, value = option.partition("=")
            field = FIELDS.get("architectures" if name == "arch" else name.lower())
            if field and equals:
                stanza[field] = value.replace(",", " ")
        found.append(stanza)
    return found


def parse_deb822(text: str) -> list[Stanza]:
    """Read the syntax of .sources (sources.list(5), "deb822-style format")."""
    found = []
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", uncommented):
        stanza: Stanza = {}
        field = ""
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if line[:1] in (" ", "\t"):
                # A list may continue here, and a key may be in the field itself.
                if field:
                    stanza[field] += f"\n{line}"
            elif colon:
                field = FIELDS.get(name.strip().lower(), name.strip())
                stanza[field] = value.strip()
        if stanza:
            found.append(stanza)
    return found


def words(stanza: Stanza, field: str) -> list[str]:
    """Return the words of a field."""
    return stanza.get(field, "").split()


def usable(stanza: Stanza) -> bool:
    """Tell whether binary packages come from a source: it is of the type deb, and not disabled."""
    return "deb" in words(stanza, "Types") and stanza.get("Enabled", "yes").lower() not in FALSE


def machine_stanzas(apt: Path = APT) -> list[Stanza]:
    """Return every usable source of this machine, in the order in which apt reads them."""
    found = []
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))):
        if path.is_file():
            found.extend(parse_one_line(path.read_text()))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found.extend(parse_deb822(path.read_text()))
    return [stanza for stanza in found if usable(stanza)]


def backports(codename: str, stanzas: Iterable[Stanza]) -> str:
    """Return the text of a .sources file that adds the backports of a release, from where the release itself comes.

    It is empty when a source has them already. Raises RigError when no source has the release.
    """
    main = [stanza for stanza in stanzas if "main" in words(stanza, "Components")]
    if any(f"{codename}-backports" in words(stanza, "Suites") for stanza in main):
        return ""
    release = next((stanza for stanza in main if codename in words(stanza, "Suites")), None)
    if release is None:
        raise RigError(
            f"apt's sources on this machine do not name {codename}, so its backports cannot be derived from them"
        )
    fields = {**release, "Types": "deb", "Suites": f"{codename}-backports", "Components": "main"}
    return "".join(f"{name}: {value}\n" for name, value in fields.items() if name != "Enabled")


@dataclasses.dataclass(frozen=True)
class AptSource:
    """One archive, as mmdebstrap takes it."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None


def archives(stanza: Stanza) -> list[AptSource]:
    """Return the archives of a source."""
    # A key in the field itself, or a fingerprint, is not a path.
    keys = re.findall(r"[^\s,]+", stanza.get("Signed-By", ""))
    signed_by = ",".join(keys) if keys and all(key.startswith("/") for key in keys) else None
    components = tuple(words(stanza, "Components"))
    return [
        AptSource(uri, suite, components, signed_by)
        for uri in words(stanza, "URIs")
        for suite in words(stanza, "Suites")
    ]


def sources_for(codename: str, own_codename: str, stanzas: Iterable[Stanza]) -> list[AptSource]:
    """Return the archives of a Debian release at the mirrors this machine uses for its own.

    The release, its updates and its security suite are taken; backports and foreign
    archives are not. Raises RigError when no source is for the release of the machine.
    """
    suites = {f"{own_codename}{suffix}": f"{codename}{suffix}" for suffix in ("", "-updates", "-security")}
    found = []
    for source in (archive for stanza in stanzas for archive in archives(stanza)):
        if source.suite in suites:
            wanted = dataclasses.replace(source, suite=suites[source.suite], components=("main",))
            if "main" in source.components and wanted not in found:
                found.append(wanted)
    if not any(source.suite == codename for source in found):
        raise RigError(
            f"the images are made from Debian packages, and no apt source of this machine has Debian's own suite"
            f" {own_codename!r}; set SRIOV_ROLE_DEBIAN_MIRROR to the address of a Debian mirror"
        )
    return found


def debian_sources(codename: str) -> list[AptSource]:
    """Return the archives for a release, from the environment or this machine's apt."""
    mirror = os.environ.get("SRIOV_ROLE_DEBIAN_MIRROR")
    if mirror:
        return [AptSource(mirror, codename, ("main",), None)]
    lines = Path("/etc/os-release").read_text().splitlines()
    release = dict(line.split("=", 1) for line in lines if "=" in line)
    return sources_for(codename, release.get("VERSION_CODENAME", "").strip('"'), machine_stanzas())


def one_line(source: AptSource) -> str:
    """Write a source in the syntax mmdebstrap takes as an argument."""
    option = f"[signed-by={source.signed_by}] " if source.signed_by else ""
    return f"deb {option}{source.uri} {source.suite} {' '.join(source.components)}"


def transport_options() -> list[str]:
    """Return this machine's proxy and certificate settings of apt, as mmdebstrap options."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    wanted = re.compile(r'^Acquire::https?::(?:\S+::)?(?:Proxy|CaInfo|Verify-\w+) ".+";$')
    return [f"--aptopt={line.rstrip(';')}" for line in dump.splitlines() if wanted.match(line)]


def keyring_options() -> list[str]:
    """Return where Debian's keys are, as an mmdebstrap option; an Ubuntu's apt does not trust them by itself."""
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    return [f"--keyring={keyring}"] if keyring.exists() else []


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    text = "print a .sources file that adds the backports of a release; nothing when apt has them already"
    command = commands.add_parser("backports", help=text, description=text)
    command.add_argument("codename")
    command.add_argument("--apt", type=Path, default=APT, help="folder of apt's configuration (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        print(backports(options.codename, machine_stanzas(options.apt)), end="")
    except RigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
