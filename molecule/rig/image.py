#!/usr/bin/env python3
"""Build the bootable disks that the scenarios start from, out of Debian packages.

An image is named after a hash of its recipe: what is asked for below and every file in
guest/. A recipe that changed gives another name, so nothing stale is ever booted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
GUEST = HERE / "guest"

MIB = 1024 * 1024
# The one limit of what the rig waits for: it ends a hang, and no machine is too slow for it.
HANG_SECONDS = 3600
ESP_START_MIB = 1
ESP_SIZE_MIB = 256
ESP_LABEL = "RIG-ESP"
ROOT_START_MIB = ESP_START_MIB + ESP_SIZE_MIB
ROOT_SIZE_MIB = 3072

# For so long a superseded image is left where it is: whoever was given its path may not have opened it yet.
KEEP_SECONDS = 600

# Raised when the code below changes what comes out without changing a recipe.
BUILD_VERSION = 1

COMMON_PACKAGES = (
    "linux-image-amd64", "initramfs-tools", "lz4", "e2fsprogs", "kmod", "udev",
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "python3",
    "iproute2", "iputils-ping", "ethtool", "pciutils", "procps",
    # Ansible's apt module needs it on its target.
    "python3-apt",
)  # fmt: skip

# Not installed. A guest has no way out: these, and what they need, are in an archive in the image (guest/customize.sh).
ARCHIVE_PACKAGES = ("mstflint",)

# The last console is the one that programs write to. The kernel's log goes to the serial line, without interrupts; programs
# would wait there half a minute for each close, because no IO-APIC interrupt arrives beside QEMU's AMD IOMMU.
# no_timer_check: with the Intel IOMMU, on a busy machine, the kernel may take its timer for broken in its first 0.2 s, and panic.
CMDLINE = "console=ttyS0 console=tty0 quiet mitigations=off no_timer_check"


class RigError(Exception):
    """Something the reader of the message can act upon."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What goes into one image."""

    codename: str
    loader: str
    packages: tuple[str, ...]
    # Patterns of files and folders. dpkg cannot leave them out: a Python package is not installed when one of its files is missing.
    removed: tuple[str, ...] = ()


# Nova and Neutron as libraries: no tests, no languages, and no services of what they depend on.
OPENSTACK_PACKAGES = ("python3-nova", "python3-neutron")
OPENSTACK_REMOVED = (
    "usr/lib/python3/dist-packages/*/tests", "usr/lib/python3/dist-packages/*/*/tests", "usr/share/python-babel-localedata",
    "usr/lib/systemd/system/*iscsi*", "etc/systemd/system/*iscsi*", "etc/systemd/system/*/*iscsi*", "etc/init.d/*iscsi*", "etc/rc?.d/*iscsi*",
)  # fmt: skip

RECIPES = {
    "debian12": Recipe("bookworm", "grub", (*COMMON_PACKAGES, "grub-efi-amd64", "cloud-init")),
    "debian13": Recipe("trixie", "grub", (*COMMON_PACKAGES, "grub-efi-amd64", "systemd-sysv")),
    "debian13-openstack": Recipe(
        "trixie", "grub", (*COMMON_PACKAGES, "grub-efi-amd64", "systemd-sysv", *OPENSTACK_PACKAGES), OPENSTACK_REMOVED
    ),
    "debian13-sdboot": Recipe("trixie", "systemd-boot", (*COMMON_PACKAGES, "systemd-boot")),
}

TOOLS = {
    "mmdebstrap": "mmdebstrap", "sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils", "qemu-system-x86_64": "qemu-system-x86",
}  # fmt: skip


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"rig: {text}", file=sys.stderr, flush=True)


def cache_directory() -> Path:
    """Return the folder outside the clone that keeps images between clones."""
    own = os.environ.get("SRIOV_ROLE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sriov-role"


def guest_files() -> dict[str, bytes]:
    """Return every file of guest/ by its path in there."""
    return {
        str(path.relative_to(GUEST)): path.read_bytes() for path in sorted(GUEST.rglob("*")) if path.is_file()
    }


def recipe_hash(recipe: Recipe, files: dict[str, bytes]) -> str:
    """Return the 12 hex digits that name the image of this recipe."""
    text = json.dumps(
        {
            "version": BUILD_VERSION,
            # What a recipe does not ask for is left out, so that a new kind of wish does not rename every image.
            "recipe": {key: value for key, value in dataclasses.asdict(recipe).items() if value},
            "archive": ARCHIVE_PACKAGES,
            "cmdline": CMDLINE,
            "disk": [ESP_START_MIB, ESP_SIZE_MIB, ROOT_SIZE_MIB],
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def image_path(name: str) -> Path:
    """Return where the image of a recipe is, built or not."""
    if name not in RECIPES:
        raise RigError(f"no image is called {name!r}; there are {', '.join(RECIPES)}")
    return cache_directory() / "images" / f"{name}-{recipe_hash(RECIPES[name], guest_files())}.qcow2"


@dataclasses.dataclass(frozen=True)
class AptSource:
    """One archive this machine installs from."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None


def parse_one_line_sources(text: str) -> list[AptSource]:
    """Read sources.list syntax; other types than deb are left out."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)((?:\s+[^#\s]+)*)\s*(?:#.*)?$", line)
        if not match:
            continue
        options = dict(option.split("=", 1) for option in (match[1] or "").split() if "=" in option)
        found.append(AptSource(match[2], match[3], tuple(match[4].split()), options.get("signed-by")))
    return found


def parse_deb822_sources(text: str) -> list[AptSource]:
    """Read .sources syntax; stanzas that are disabled, or of other types than deb, are left out."""
    found = []
    uncommented = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", uncommented):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in " \t" and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        # An embedded key is a block of text and not a path.
        key = fields.get("signed-by")
        signed_by = key if key and "\n" not in key and key.startswith("/") else None
        found.extend(
            AptSource(uri, suite, tuple(fields.get("components", "").split()), signed_by)
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        )
    return found


def machine_sources(apt: Path = Path("/etc/apt")) -> list[AptSource]:
    """Return everything apt of this machine reads, in the order apt reads it."""
    found = []
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for path in lists:
        if path.is_file():
            found.extend(parse_one_line_sources(path.read_text()))
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        found.extend(parse_deb822_sources(path.read_text()))
    return found


def sources_for(codename: str, own_codename: str, sources: Iterable[AptSource]) -> list[AptSource]:
    """Return the archives of a Debian release at the mirrors this machine uses for its own.

    The release, its updates and its security suite are taken; backports and foreign
    archives are not. Raises RigError when none of the sources is the machine's own release.
    """
    suites = {own_codename: codename, f"{own_codename}-updates": f"{codename}-updates"}
    suites[f"{own_codename}-security"] = f"{codename}-security"
    found = []
    for source in sources:
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
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
    )
    return sources_for(codename, release.get("VERSION_CODENAME", "").strip('"'), machine_sources())


def one_line(source: AptSource) -> str:
    """Write a source in the syntax mmdebstrap takes as an argument."""
    option = f"[signed-by={source.signed_by}] " if source.signed_by else ""
    return f"deb {option}{source.uri} {source.suite} {' '.join(source.components)}"


def apt_transport_options() -> list[str]:
    """Return this machine's proxy and certificate settings of apt, as mmdebstrap options."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    wanted = re.compile(r'^Acquire::https?::(?:\S+::)?(?:Proxy|CaInfo|Verify-\w+) ".+";$')
    return [f"--aptopt={line.rstrip(';')}" for line in dump.splitlines() if wanted.match(line)]


def keyring_options() -> list[str]:
    """Return where Debian's keys are, as an mmdebstrap option; an Ubuntu's apt does not trust them by itself."""
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    return [f"--keyring={keyring}"] if keyring.exists() else []


def rootfs_archive(files: dict[str, bytes]) -> bytes:
    """Return guest/rootfs as a tar archive whose files belong to root, whoever owns the clone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            if name.startswith("rootfs/"):
                member = tarfile.TarInfo(name.removeprefix("rootfs/"))
                member.size, member.mode = len(content), 0o755 if content.startswith(b"#!") else 0o644
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on a file; say so when somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process: {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run_logged(command: list[str], log: Path, what: str, timeout: float = HANG_SECONDS) -> None:
    """Run a command with its output in a file, show that it lives, and the file's tail if it fails."""
    started = time.monotonic()
    spoken = started
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                now = time.monotonic()
                if now - started > timeout:
                    raise RigError(f"{what}: not done after {timeout:.0f} s\n{tail_between_markers(log)}")
                if now - spoken > 20:
                    spoken = now
                    say(f"{what}: {now - started:.0f} s so far")
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    if process.returncode != 0:
        raise RigError(
            f"{what}: {shlex.join(command[:2])} ... ended with {process.returncode}\n{tail_between_markers(log)}"
        )


def tail_between_markers(path: Path, lines: int = 40) -> str:
    """Return the last lines of a log, marked so that they stand out from what is said about them."""
    try:
        text = path.read_text(errors="replace").replace("\r", "")
    except OSError as error:
        text = str(error)
    last = "\n".join(text.splitlines()[-lines:])
    return f"---- {path.name} starts here ----\n{last}\n---- {path.name} ends here ----"


def check_tools(tools: dict[str, str] = TOOLS) -> None:
    """Raise RigError naming the packages when a program is missing."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = sorted({package for tool, package in tools.items() if not shutil.which(tool, path=path)})
    if missing:
        raise RigError(f"programs are missing; as root: apt-get install --no-install-recommends {' '.join(missing)}")
    os.environ["PATH"] = path


def build(name: str, destination: Path) -> None:
    """Build an image; it appears under its name only when it is whole."""
    check_tools()
    recipe = RECIPES[name]
    files = guest_files()
    started = time.monotonic()
    # mmdebstrap without root works as another user id, which has to be able to write here.
    with tempfile.TemporaryDirectory(prefix="sriov-rig-image-") as folder:
        work = Path(folder)
        work.chmod(0o777)
        log = work / "build.log"
        log.touch()
        (work / "rootfs.tar").write_bytes(rootfs_archive(files))
        for script in ("customize.sh", "first-boot.sh"):
            (work / script).write_bytes(files[script])
            (work / script).chmod(0o755)
        root_image = work / "root.ext4"
        with root_image.open("wb") as disk:
            disk.truncate(ROOT_SIZE_MIB * MIB)
        root_image.chmod(0o666)
        make_root_filesystem(recipe, work, log)

        disk_path = assemble_disk(work, log)
        first_boot(disk_path, work, log)

        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = destination.with_suffix(".partial")
        run_logged(
            ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk_path), str(partial)],
            log, f"{name}: writing the image",
        )  # fmt: skip
        os.replace(partial, destination)
    say(f"{name}: built in {time.monotonic() - started:.0f} s: {destination}")


def make_root_filesystem(recipe: Recipe, work: Path, log: Path) -> None:
    """Install the packages into a tree and turn it into work/root.ext4; kernel and initrd go beside it."""
    q = shlex.quote
    hooks = [
        f"--essential-hook=tar-in {q(str(work / 'rootfs.tar'))} /",
        f"--customize-hook=copy-in {q(str(work / 'customize.sh'))} {q(str(work / 'first-boot.sh'))} /usr/local/sbin",
        # From outside of the tree, where the mirror's certificates, keys and files are.
        '--customize-hook=export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; apt-get clean'
        f' && apt-get install --yes --download-only {" ".join(ARCHIVE_PACKAGES)}'
        ' && mkdir "$1/var/lib/rig-archive" && mv "$1"/var/cache/apt/archives/*.deb "$1/var/lib/rig-archive"',
        *([f'--customize-hook=cd "$1" && rm -rf {" ".join(recipe.removed)}'] if recipe.removed else []),
        f'--customize-hook=RIG_CMDLINE={q(CMDLINE)} chroot "$1" sh /usr/local/sbin/customize.sh {recipe.loader}',
        '--customize-hook=rm "$1/usr/local/sbin/customize.sh"',
        f'--customize-hook=cat "$1"/boot/vmlinuz-* > {q(str(work / "vmlinuz"))}',
        f'--customize-hook=cat "$1"/boot/initrd.img-* > {q(str(work / "initrd"))}',
        # A plain bind mount shows the tree without the /proc, /sys and /dev that are mounted in it now.
        f"--customize-hook=mkdir {q(str(work / 'tree'))} && unshare --mount sh -ec '"
        f'mount --bind "$1" "$2"; mke2fs -q -F -t ext4 -L rig-root -m 0 -d "$2" "$3"\''
        f' sh "$1" {q(str(work / "tree"))} {q(str(work / "root.ext4"))}',
    ]
    excluded = ("doc", "man", "locale", "info", "groff", "lintian")
    options = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in excluded]
    options += ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    # The disk is made before mmdebstrap would clean up, and the tree is thrown away: customize.sh cleans up.
    options.append("--skip=cleanup")
    run_logged(
        ["mmdebstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}", *options,
         *keyring_options(), *apt_transport_options(), *hooks, "--format=null", recipe.codename, "/dev/null",
         *map(one_line, debian_sources(recipe.codename))],
        log, f"{recipe.codename}: installing packages",
    )  # fmt: skip


def assemble_disk(work: Path, log: Path) -> Path:
    """Put an empty EFI system partition and the root filesystem on one GPT disk, without loop devices."""
    disk_path = work / "disk.raw"
    root_image = work / "root.ext4"
    esp = work / "esp.vfat"
    with esp.open("wb") as image:
        image.truncate(ESP_SIZE_MIB * MIB)
    run_logged(["mkfs.vfat", "-n", ESP_LABEL, str(esp)], log, "EFI system partition")
    with disk_path.open("wb") as disk:
        disk.truncate((ROOT_START_MIB + ROOT_SIZE_MIB + 1) * MIB)
    table = (
        "label: gpt\n"
        f"start={ESP_START_MIB}MiB, size={ESP_SIZE_MIB}MiB, type=uefi, name=esp\n"
        f"start={ROOT_START_MIB}MiB, size={ROOT_SIZE_MIB}MiB, type=linux, name=root\n"
    )
    subprocess.run(["sfdisk", "--quiet", str(disk_path)], input=table, text=True, check=True)
    for part, start in ((esp, ESP_START_MIB), (root_image, ROOT_START_MIB)):
        run_logged(
            ["dd", f"if={part}", f"of={disk_path}", "bs=1M", f"seek={start}", "conv=notrunc,sparse", "status=none"],
            log, "writing the disk",
        )  # fmt: skip
        part.unlink()
    return disk_path


def first_boot(disk_path: Path, work: Path, log: Path) -> None:
    """Boot the disk once with guest/first-boot.sh as its first process, so the guest installs its boot loader.

    Emulated on purpose: this is where no verdict about KVM is needed.
    """
    console = work / "first-boot.log"
    run_logged(
        ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg,thread=multi",
         "-cpu", "max", "-m", "1024", "-no-reboot",
         "-drive", f"file={disk_path},if=virtio,format=raw,cache=unsafe",
         "-serial", f"file:{console}", "-kernel", str(work / "vmlinuz"), "-initrd", str(work / "initrd"),
         "-append", f"root=LABEL=rig-root rw {CMDLINE} console=ttyS0 panic=-1 init=/usr/local/sbin/first-boot.sh"],
        log, "first boot",
    )  # fmt: skip
    if "rig-first-boot: the boot loader is installed" not in console.read_text(errors="replace"):
        raise RigError(f"the first boot did not install a boot loader\n{tail_between_markers(console)}")


def keep(path: Path) -> None:
    """Note that an image of ours is about to be used, so that nobody removes it for a while."""
    with contextlib.suppress(OSError):
        if path.parent.samefile(cache_directory() / "images"):
            os.utime(path)


def open_files(processes: Path = Path("/proc")) -> set[tuple[int, int]]:
    """Return device and inode of every file that a process has open, as far as we may see it."""
    found = set()
    for folder in processes.glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for descriptor in folder.iterdir():
                with contextlib.suppress(OSError):
                    status = descriptor.stat()
                    found.add((status.st_dev, status.st_ino))
    return found


def prune(name: str, current: Path) -> list[Path]:
    """Remove images of other recipes of this name that no machine uses; return what was removed."""
    pattern = re.compile(re.escape(name) + r"-[0-9a-f]{12}\.qcow2")
    others = [path for path in current.parent.glob(f"{name}-*.qcow2") if pattern.fullmatch(path.name) and path != current]
    removed: list[Path] = []
    in_use = open_files() if others else set()
    for path in others:
        # It may be gone already, or belong to somebody else.
        with contextlib.suppress(OSError):
            status = path.stat()
            if (status.st_dev, status.st_ino) not in in_use and time.time() - status.st_mtime > KEEP_SECONDS:
                path.unlink()
                removed.append(path)
                say(f"{name}: removed the superseded {path.name}")
    return removed


def ensure(name: str) -> Path:
    """Return the path of an image, building it first when it is not there, and remove those it supersedes."""
    path = image_path(name)
    if not path.exists():
        with locked(path.with_suffix(".lock"), f"it builds the image {name}"):
            if not path.exists():
                say(f"{name}: building {path.name} (some minutes, once)")
                build(name, path)
    keep(path)
    prune(name, path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("ensure", help="build what is missing and print the paths")
    command.add_argument("image", nargs="+", choices=RECIPES)
    command = commands.add_parser("path", help="print where the images are, built or not")
    command.add_argument("image", nargs="+", choices=RECIPES)
    options = parser.parse_args(arguments)
    # So that a build which is ended ends its children and removes its files.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        for name in options.image:
            print(ensure(name) if options.command == "ensure" else image_path(name))
    except RigError as error:
        print(f"rig: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
