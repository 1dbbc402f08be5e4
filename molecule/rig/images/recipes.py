"""The content of the images that the scenarios start from, and how an image is named.

An image is named after a hash of its recipe: what is listed below and every file in guest/. A recipe that changed gives
another name, so nothing stale is ever booted. The text of this program is not hashed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import host
from host import RigError

GUEST = Path(__file__).resolve().parents[1] / "guest"
MODULE = Path(__file__).resolve().parents[1] / "connectx" / "kernel"

MIB = 1024 * 1024
ESP_START_MIB = 1
ESP_SIZE_MIB = 256
ESP_LABEL = "RIG-ESP"
ROOT_START_MIB = ESP_START_MIB + ESP_SIZE_MIB
ROOT_SIZE_MIB = 3072

# Raised when build.py changes what comes out without changing a recipe.
BUILD_VERSION = 1

COMMON_PACKAGES = (
    *("linux-image-amd64", "initramfs-tools", "lz4", "e2fsprogs", "kmod", "udev"),
    *("systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "sudo", "python3"),
    *("iproute2", "iputils-ping", "ethtool", "pciutils", "procps"),
    # Ansible's apt module needs it on its target.
    "python3-apt",
)

# Not installed. A guest has no way out: these, and what they need, are in an archive in the image
# (guest/customize.sh).
ARCHIVE_PACKAGES = ("mstflint",)

# For the build of the module, and purged after it. The headers depend on the compiler of their kernel.
MODULE_PACKAGES = ("make", "linux-headers-amd64")

# The last console is the one that programs write to. The serial line gets the kernel's log, without interrupts;
# programs would wait there half a minute for each close, because no IO-APIC interrupt arrives with QEMU's AMD IOMMU.
# no_timer_check: with the Intel IOMMU, on a busy machine, the kernel may take its timer for broken in its first 0.2 s,
# and panic.
CMDLINE = "console=ttyS0 console=tty0 quiet mitigations=off no_timer_check"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The content of one image."""

    codename: str
    loader: str
    packages: tuple[str, ...]
    # Patterns of files and folders. dpkg cannot leave them out: a Python package is not installed when one of its files
    # is missing.
    removed: tuple[str, ...] = ()
    # Whether it contains the kernel module of the emulated ConnectX cards (connectx/kernel).
    connectx: bool = False


# Nova and Neutron as libraries: no tests, no languages, and no services of what they depend on.
OPENSTACK_PACKAGES = ("python3-nova", "python3-neutron")
OPENSTACK_REMOVED = (
    "usr/lib/python3/dist-packages/*/tests",
    "usr/lib/python3/dist-packages/*/*/tests",
    "usr/share/python-babel-localedata",
    "usr/lib/systemd/system/*iscsi*",
    "etc/systemd/system/*iscsi*",
    "etc/systemd/system/*/*iscsi*",
    "etc/init.d/*iscsi*",
    "etc/rc?.d/*iscsi*",
)

# Installed and not started: a scenario turns it on in place of networkd.
NETWORKMANAGER_REMOVED = ("etc/systemd/system/*.wants/NetworkManager*",)

DEBIAN12 = Recipe("bookworm", "grub", (*COMMON_PACKAGES, "grub-efi-amd64", "cloud-init"))
DEBIAN13 = Recipe("trixie", "grub", (*COMMON_PACKAGES, "grub-efi-amd64", "systemd-sysv"))
RECIPES = {
    "debian12": DEBIAN12,
    "debian12-connectx": dataclasses.replace(DEBIAN12, connectx=True),
    "debian13": DEBIAN13,
    "debian13-connectx": dataclasses.replace(DEBIAN13, connectx=True),
    "debian13-networkmanager": dataclasses.replace(
        DEBIAN13, packages=(*DEBIAN13.packages, "network-manager"), removed=NETWORKMANAGER_REMOVED
    ),
    "debian13-openstack": Recipe(
        "trixie", "grub", (*COMMON_PACKAGES, "grub-efi-amd64", "systemd-sysv", *OPENSTACK_PACKAGES), OPENSTACK_REMOVED
    ),
    "debian13-sdboot": Recipe("trixie", "systemd-boot", (*COMMON_PACKAGES, "systemd-boot")),
}


def guest_files() -> dict[str, bytes]:
    """Return every file of guest/ by its path in there."""
    return {str(path.relative_to(GUEST)): path.read_bytes() for path in sorted(GUEST.rglob("*")) if path.is_file()}


def module_files() -> dict[str, bytes]:
    """Return the sources of the kernel module, by their path in the rig."""
    return {str(path.relative_to(MODULE.parents[1])): path.read_bytes() for path in sorted(MODULE.iterdir())}


def files_of(recipe: Recipe) -> dict[str, bytes]:
    """Return the rig's own files that go into an image."""
    return {**guest_files(), **(module_files() if recipe.connectx else {})}


def recipe_hash(recipe: Recipe, files: dict[str, bytes]) -> str:
    """Return the 12 hex digits that name the image of this recipe."""
    text = json.dumps(
        {
            "version": BUILD_VERSION,
            # What a recipe does not set is left out, so that a new field does not rename every image.
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
    return host.cache_directory() / "images" / f"{name}-{recipe_hash(RECIPES[name], files_of(RECIPES[name]))}.qcow2"
