"""Cloud images: have them here, and tell cloud-init in them what the rig needs of a guest."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import secrets
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import host
from host import RigError, run_tool, say

from images import recipes

CHECKSUM_VARIABLE = "MOLECULE_IMAGE_SHA256"

# Stock images are hardly larger than what is in them; cloud-init grows the root filesystem.
DISK_GIB = 10

TOOLS = {"mkfs.vfat": "dosfstools", "mcopy": "mtools", "qemu-img": "qemu-utils"}

# The rig's network leads nowhere, so these would only fail.
TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer", "dnf-makecache.timer")


def is_url(name: str) -> bool:
    """Tell whether an image is given as an address."""
    return name.startswith(("http://", "https://"))


def download_path(url: str) -> Path:
    """Return where the image of an address is kept, downloaded or not."""
    return host.cache_directory() / "downloads" / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.img"


def shown(url: str) -> str:
    """Write an address without the password or token that may be in it."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def wanted_checksum() -> str | None:
    """Return the SHA-256 the image must have, from the environment."""
    wanted = os.environ.get(CHECKSUM_VARIABLE, "").strip().lower()
    if wanted and (len(wanted) != 64 or wanted.strip("0123456789abcdef")):
        raise RigError(f"{CHECKSUM_VARIABLE} is not a SHA-256: 64 hex digits are expected")
    return wanted or None


def check_checksum(path: Path, name: str, wanted: str | None) -> None:
    """Raise RigError when a file is not the wanted one."""
    if wanted:
        found = checksum(path)
        if found != wanted:
            raise RigError(f"{name} has the SHA-256 {found}, and {CHECKSUM_VARIABLE} wants {wanted}")


def download(url: str, wanted: str | None = None) -> Path:
    """Return the file of an address, downloading it when it is not here or not the wanted one."""
    path = download_path(url)
    with host.locked(path.with_suffix(".lock"), f"it downloads {shown(url)}"):
        if path.exists() and (wanted is None or checksum(path) == wanted):
            return path
        partial = path.with_suffix(".partial")
        try:
            fetch(url, partial)
            check_checksum(partial, shown(url), wanted)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def fetch(url: str, destination: Path) -> None:
    """Download an address into a file, saying now and then how far it is."""
    started = spoken = time.monotonic()
    done = 0
    say(f"downloading {shown(url)} (once)")
    try:
        with urllib.request.urlopen(url, timeout=60) as response, destination.open("wb") as output:
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            of = f" of {total >> 20}" if total else ""
            while block := response.read(1 << 20):
                output.write(block)
                done += len(block)
                if time.monotonic() - spoken > 10:
                    spoken = time.monotonic()
                    say(f"downloading: {done >> 20}{of} MiB so far")
    except (OSError, http.client.HTTPException, ValueError) as error:
        # urllib's errors are OSErrors; an address that is none is a ValueError.
        reason = getattr(error, "reason", None) if not isinstance(error, urllib.error.HTTPError) else None
        raise RigError(f"cannot download {shown(url)}: {reason or error}") from None
    if total is not None and done != total:
        raise RigError(f"cannot download {shown(url)}: the connection ended after {done} of {total} bytes")
    say(f"downloaded {done >> 20} MiB in {time.monotonic() - started:.0f} s")


def disk_head(path: Path) -> bytes:
    """Return the first 2 MiB of a disk, in any file format."""
    with tempfile.TemporaryDirectory(prefix="sriov-rig-head-") as folder:
        head = Path(folder) / "head"
        run_tool(["qemu-img", "dd", "-O", "raw", "bs=1M", "count=2", f"if={path}", f"of={head}"])
        return head.read_bytes()


def check_disk(path: Path, name: str) -> bytes:
    """Return the first 2 MiB of a disk image; RigError when the file is none."""
    try:
        head = disk_head(path)
    except RigError:
        head = b""
    # Anything is a raw disk to qemu-img, be it a web page or a compressed image.
    if head[510:512] != b"\x55\xaa":
        raise RigError(f"{name} is not a bootable disk: neither a qcow2 nor a raw image with a partition table")
    return head


def made_by_rig(head: bytes) -> bool:
    """Tell the rig's own disks from others, by the name of their EFI system partition."""
    boot_sector = head[recipes.ESP_START_MIB * recipes.MIB :][:512]
    # Where FAT12 and FAT16 have it.
    return boot_sector[43:54] == recipes.ESP_LABEL.encode().ljust(11)


def resolve(name: str) -> tuple[Path, bool]:
    """Return the disk of a file or an address, and whether it is a cloud image."""
    host.check_tools(TOOLS)
    wanted = wanted_checksum()
    if is_url(name):
        path, said = download(name, wanted), shown(name)
    else:
        path, said = Path(name).resolve(), name
        check_checksum(path, name, wanted)
    head = check_disk(path, said)
    if is_url(name) and "backing-filename" in disk_information(path):
        raise RigError(f"{said} is an overlay of another image, which is not taken from the network")
    return path, not made_by_rig(head)


def disk_information(path: Path) -> dict[str, Any]:
    """Return what qemu-img knows about a disk, be it a running machine's."""
    information: dict[str, Any] = json.loads(
        run_tool(["qemu-img", "info", "--output=json", "--force-share", str(path)])
    )
    return information


def seed_files(public_key: str, user: str, mac: str, instance: str) -> dict[str, str]:
    """Return the files of cloud-init's NoCloud volume. JSON is YAML, and needs no thought about quoting."""
    unit = "etc/systemd/system/rig-boots.service"
    user_data = {
        "users": [
            {
                "name": user,
                "shell": "/bin/sh",
                "lock_passwd": True,
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "ssh_authorized_keys": [public_key.strip()],
            }
        ],
        "package_update": False,
        "package_upgrade": False,
        "write_files": [
            {"path": f"/{unit}", "permissions": "0644", "content": (recipes.GUEST / "rootfs" / unit).read_text()}
        ],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", "--now", "rig-boots.service"],
            # Masked while it is active, a timer would count as failed.
            ["systemctl", "stop", *TIMERS],
            ["systemctl", "mask", *TIMERS],
        ],
    }
    network = {
        "version": 2,
        # Without set-name: the interface keeps the name the guest gives it, as do the PFs, which are not listed.
        "ethernets": {"management": {"match": {"macaddress": mac}, "dhcp4": True, "dhcp6": False}},
    }
    return {
        "meta-data": json.dumps({"instance-id": instance, "local-hostname": "rig"}) + "\n",
        "user-data": "#cloud-config\n" + json.dumps(user_data, indent=1) + "\n",
        "network-config": json.dumps(network, indent=1) + "\n",
    }


def make_seed(destination: Path, files: dict[str, str]) -> None:
    """Write files to a volume that cloud-init finds by its name."""
    destination.unlink(missing_ok=True)
    with destination.open("wb") as volume:
        volume.truncate(recipes.MIB)
    with tempfile.TemporaryDirectory(prefix="sriov-rig-seed-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_text(content)
        run_tool(["mkfs.vfat", "-n", "CIDATA", str(destination)])
        run_tool(["mcopy", "-i", str(destination), *(str(Path(folder) / name) for name in files), "::"])


def new_instance() -> str:
    """Return an id under which cloud-init has never seen this disk."""
    return f"sriov-rig-{secrets.token_hex(8)}"
