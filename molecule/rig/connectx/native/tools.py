#!/usr/bin/env python3
"""The unmodified mstconfig of several releases of Debian, and an emulated card for it, without a machine.

A tool is unpacked from Debian's packages into the cache, with the loader and the libraries of its release; nothing is
installed. It runs with shim.so preloaded, which answers its accesses to a device. The same firmware as in a guest
(../firmware) answers its commands. No root and no namespace is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "firmware"), str(HERE.parents[1])]

import apt_sources
import cards
import host
import registers

# Debian's releases, the oldest first. The last one gets new versions, so the version of its tool changes.
CODENAMES = ("bookworm", "trixie", "sid")
NEWEST = CODENAMES[-1]
LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
LOADER = "ld-linux-x86-64.so.2"
PROGRAM = "usr/bin/mstconfig"
DATABASE = "usr/share/mstflint/mlxconfig_dbs/mlxconfig_host.db"
KEPT = (PROGRAM, "usr/share/mstflint/", *(f"{folder}/" for folder in LIBRARIES))
# Raised when unpack() changes its result.
VERSION = 1
# After so many days the newest release is unpacked again.
DAYS = 7
MESSAGE = struct.Struct(f"<{2 + registers.MAILBOX_WORDS}I")
ADDRESS, FUNCTION = "0000:04", "0000:04:00.0"


# ---- the programs


def tree_path(codename: str) -> Path:
    """Return the folder of a release's tool, made or not. Another recipe has another folder."""
    recipe = hashlib.sha256("".join((codename, *KEPT, str(VERSION))).encode()).hexdigest()[:12]
    return host.cache_directory() / f"mstflint-{codename}-{recipe}"


def sources_of(codename: str) -> list[apt_sources.AptSource]:
    """Return the archives of a release. The one that gets new packages has no separate updates."""
    return [source for source in apt_sources.debian_sources(codename) if codename != NEWEST or source.suite == codename]


def unpack(codename: str, tree: Path) -> None:
    """Unpack mstflint and what it needs; the tree appears under its name only when it is whole. Raises RigError."""
    host.check_tools({"mmdebstrap": "mmdebstrap"})
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mstflint-", dir=tree.parent) as folder:
        work = Path(folder)
        # mmdebstrap without root runs with another user id, which must be able to write here.
        work.chmod(0o777)
        archive = work / "tree.tar"
        archive.touch()
        archive.chmod(0o666)
        command = ["mmdebstrap", "--variant=extract", "--include=mstflint,libc6", "--format=tar"]
        command += [*apt_sources.keyring_options(), *apt_sources.transport_options()]
        if codename == NEWEST:
            # A mirror may have an old state of it, and its signature is valid for two weeks.
            command.append('--aptopt=Acquire::Check-Valid-Until "false"')
        command += [codename, str(archive), *map(apt_sources.one_line, sources_of(codename))]
        host.run_logged(command, work / "build.log", f"mstflint of {codename}: unpacking packages")
        new = work / "tree"
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.name.removeprefix("./").startswith(KEPT) and not member.isdir():
                    packed.extract(member, new, set_attrs=member.isfile())
        shutil.rmtree(tree, ignore_errors=True)
        os.replace(new, tree)


def fresh(codename: str, tree: Path) -> bool:
    """Return whether a tree is there, and new enough if its release changes."""
    program = tree / PROGRAM
    return program.exists() and (codename != NEWEST or time.time() - tree.stat().st_ctime < DAYS * 86400)


def ensure(codename: str) -> Path:
    """Return the folder of a release's tool, unpacked first when it is not there."""
    tree = tree_path(codename)
    if not fresh(codename, tree):
        with host.locked(tree.with_name(f"{tree.name}.lock"), f"it unpacks mstflint of {codename}"):
            if not fresh(codename, tree):
                unpack(codename, tree)
    return tree


def shim(folder: Path) -> Path:
    """Compile the shim into a folder."""
    host.check_tools({"gcc": "gcc"})
    target = folder / "shim.so"
    strict = ["-O2", "-Wall", "-Wextra", "-Werror"]
    host.run_tool(["gcc", *strict, "-shared", "-fPIC", "-o", str(target), str(HERE / "shim.c")])
    return target


# ---- a card for them


class Bench:
    """One emulated card, and the folder that the tools use as /sys, /dev and /usr/share/mstflint."""

    def __init__(self, folder: Path, tree: Path, shim_file: Path, card: dict[str, object]) -> None:
        self.folder, self.tree, self.shim = folder, tree, shim_file
        self.socket_path = str(folder / "firmware")
        self.database = tree / DATABASE
        self.state = cards.State(str(folder / "state"))
        with self.state.locked():
            self.state.data["cards"][ADDRESS] = card
            self.state.write()
        self.card = self.state.cards[ADDRESS]
        self.firmware = registers.Firmware(self.state, database=str(self.database))
        #: One line for each command of the tools.
        self.log: list[str] = []
        self.firmware.say = self.log.append  # type: ignore[method-assign]
        self.root = folder / "root"
        for name in ("sys/bus/pci/devices", "dev", "tmp", "usr/share", "etc"):
            (self.root / name).mkdir(parents=True)
        (self.root / "usr/share/mstflint").symlink_to(tree / "usr/share/mstflint")
        self.plug()

    def plug(self) -> None:
        """Write the files that sysfs has for the card's functions."""
        device = self.card.hardware if self.card.behave("livefish") == "true" else self.card.device
        devices = self.root / "sys/bus/pci/devices"
        shutil.rmtree(devices)
        for function in range(self.card.ports):
            place = devices / f"{ADDRESS}:00.{function}"
            place.mkdir(parents=True)
            (place / "vendor").write_text("0x15b3\n")
            (place / "device").write_text(f"{device:#06x}\n")
            config = bytearray(256)
            struct.pack_into("<HHHH", config, 0, 0x15B3, device, 0, 0x10)
            config[0x34] = 0xC0
            struct.pack_into("<BBBB", config, 0xC0, 9, 0, 0x18, 0)
            (place / "config").write_bytes(config)
            (place / "hardware_id").write_bytes(struct.pack("<I", self.card.hardware))

    def behave(self, **settings: str) -> None:
        """Change how the card behaves."""
        with self.state.locked():
            self.card.data["behave"].update({key.replace("_", "-"): value for key, value in settings.items()})
            self.state.write()
        self.plug()

    def reboot(self) -> None:
        """Do to the card what a boot of the host does."""
        with self.state.locked():
            self.card.take_next()
            self.state.write()

    def parameter(self, column: str, name: str, function: int = 0) -> int:
        """Return a value from the card itself."""
        return self.card.parameter(column, name, function)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Bench]:
        """Answer the tools' commands meanwhile."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.bind(self.socket_path)
            server.listen()
            thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
            thread.start()
            yield self
            # An empty message ends the server.
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.connect(self.socket_path)
            thread.join()

    def _serve(self, server: socket.socket) -> None:
        while True:
            client, _ = server.accept()
            with client:
                message = client.recv(MESSAGE.size)
                if not message:
                    return
                function, control, *mailbox = MESSAGE.unpack(message)
                control, mailbox = self.firmware.command(ADDRESS, function, control, mailbox)
                client.sendall(MESSAGE.pack(function, control, *mailbox))

    def command(self, *arguments: str) -> list[str]:
        """Return the command line that runs the tool in its own release's loader and libraries."""
        folders = [self.tree / folder for folder in LIBRARIES]
        loader = next(path for folder in folders if (path := folder / LOADER).is_file() and not path.is_symlink())
        libraries = ":".join(map(str, folders))
        start = [str(loader), "--library-path", libraries, "--preload", str(self.shim)]
        return [*start, str(self.tree / PROGRAM), *arguments]

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run the tool as the role does. Return its exit code and its output, with the errors."""
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "LANGUAGE": "C"}
        environment |= {"RIG_ROOT": str(self.root), "RIG_SOCKET": self.socket_path}
        done = subprocess.run(
            self.command(*arguments),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            encoding="utf-8",
        )
        return done.returncode, done.stdout


def version_of(tree: Path, shim_file: Path) -> str:
    """Return the version of a tool: "4.21"."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), tree, shim_file, cards.new("connectx5", 2, 127, "basic"))
        text = bench.run("--version")[1]
    words = text.replace(",", " ").split()
    return ".".join(words[words.index("mstflint") + 1].split(".")[:2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["ensure", "path"], help="unpack it; or only say where it is or would be")
    parser.add_argument("codename", choices=CODENAMES)
    options = parser.parse_args(arguments)
    try:
        print(ensure(options.codename) if options.command == "ensure" else tree_path(options.codename))
    except host.RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
