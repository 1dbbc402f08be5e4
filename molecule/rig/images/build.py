"""Build a bootable disk from Debian packages, by a recipe."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import apt_sources
import host
from host import RigError, say, tail_between_markers

from images import recipes
from images.recipes import Recipe

# Programs, with the Debian packages that have them.
TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "sfdisk": "fdisk",
    "mkfs.vfat": "dosfstools",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "qemu-system-x86_64": "qemu-system-x86",
}


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


def build(name: str, destination: Path) -> None:
    """Build an image; it appears under its name only when it is whole."""
    host.check_tools(TOOLS)
    recipe = recipes.RECIPES[name]
    files = recipes.guest_files()
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
            disk.truncate(recipes.ROOT_SIZE_MIB * recipes.MIB)
        root_image.chmod(0o666)
        make_root_filesystem(recipe, work, log)

        disk_path = assemble_disk(work, log)
        first_boot(disk_path, work, log)

        destination.parent.mkdir(parents=True, exist_ok=True)
        partial = destination.with_suffix(".partial")
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(disk_path), str(partial)]
        host.run_logged(convert, log, f"{name}: writing the image")
        os.replace(partial, destination)
    say(f"{name}: built in {time.monotonic() - started:.0f} s: {destination}")


def hooks(recipe: Recipe, work: Path) -> list[str]:
    """Return what mmdebstrap runs around the installation of the packages, as its options."""
    q = shlex.quote
    rootfs, scripts = work / "rootfs.tar", [work / "customize.sh", work / "first-boot.sh"]
    tree, root_image = work / "tree", work / "root.ext4"
    customize = [
        *(build_module() if recipe.connectx else []),
        f"copy-in {' '.join(q(str(script)) for script in scripts)} /usr/local/sbin",
        # From outside of the tree, where the mirror's certificates, keys and files are.
        'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; apt-get clean'
        f" && apt-get install --yes --download-only {' '.join(recipes.ARCHIVE_PACKAGES)}"
        ' && mkdir "$1/var/lib/rig-archive" && mv "$1"/var/cache/apt/archives/*.deb "$1/var/lib/rig-archive"',
        *([f'cd "$1" && rm -rf {" ".join(recipe.removed)}'] if recipe.removed else []),
        f'RIG_CMDLINE={q(recipes.CMDLINE)} chroot "$1" sh /usr/local/sbin/customize.sh {recipe.loader}',
        'rm "$1/usr/local/sbin/customize.sh"',
        f'cat "$1"/boot/vmlinuz-* > {q(str(work / "vmlinuz"))}',
        f'cat "$1"/boot/initrd.img-* > {q(str(work / "initrd"))}',
        # A plain bind mount shows the tree without the /proc, /sys and /dev that are mounted in it now.
        f"mkdir {q(str(tree))} && unshare --mount sh -ec '"
        f'mount --bind "$1" "$2"; mke2fs -q -F -t ext4 -L rig-root -m 0 -d "$2" "$3"\''
        f' sh "$1" {q(str(tree))} {q(str(root_image))}',
    ]
    return [f"--essential-hook=tar-in {q(str(rootfs))} /", *(f"--customize-hook={hook}" for hook in customize)]


def build_module() -> list[str]:
    """Return the commands that build the kernel module of the ConnectX cards in the tree."""
    folder = "/var/lib/rig-module"
    return [
        f"copy-in {shlex.quote(str(recipes.MODULE))} /usr/src",
        'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; apt-get clean'
        f" && apt-get install --yes --download-only {' '.join(recipes.MODULE_PACKAGES)}"
        f' && mkdir "$1{folder}" && mv "$1"/var/cache/apt/archives/*.deb "$1{folder}"',
        f'mv "$1/usr/src/kernel" "$1/usr/src/rig-connectx" && chroot "$1" sh /usr/src/rig-connectx/install.sh {folder}',
    ]


def make_root_filesystem(recipe: Recipe, work: Path, log: Path) -> None:
    """Install the packages into a tree and turn it into work/root.ext4; kernel and initrd are written next to it."""
    excluded = ("doc", "man", "locale", "info", "groff", "lintian")
    options = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in excluded]
    options += ["--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"']
    # The disk is made before mmdebstrap would clean up, and the tree is thrown away: customize.sh cleans up.
    options.append("--skip=cleanup")
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(recipe.packages)}", *options]
    command += [*apt_sources.keyring_options(), *apt_sources.transport_options(), *hooks(recipe, work)]
    command += ["--format=null", recipe.codename, "/dev/null"]
    command += map(apt_sources.one_line, apt_sources.debian_sources(recipe.codename))
    host.run_logged(command, log, f"{recipe.codename}: installing packages")


def assemble_disk(work: Path, log: Path) -> Path:
    """Put an empty EFI system partition and the root filesystem on one GPT disk, without loop devices."""
    disk_path = work / "disk.raw"
    root_image = work / "root.ext4"
    esp = work / "esp.vfat"
    with esp.open("wb") as image:
        image.truncate(recipes.ESP_SIZE_MIB * recipes.MIB)
    host.run_logged(["mkfs.vfat", "-n", recipes.ESP_LABEL, str(esp)], log, "EFI system partition")
    with disk_path.open("wb") as disk:
        disk.truncate((recipes.ROOT_START_MIB + recipes.ROOT_SIZE_MIB + 1) * recipes.MIB)
    table = (
        "label: gpt\n"
        f"start={recipes.ESP_START_MIB}MiB, size={recipes.ESP_SIZE_MIB}MiB, type=uefi, name=esp\n"
        f"start={recipes.ROOT_START_MIB}MiB, size={recipes.ROOT_SIZE_MIB}MiB, type=linux, name=root\n"
    )
    subprocess.run(["sfdisk", "--quiet", str(disk_path)], input=table, text=True, check=True)
    for part, start in ((esp, recipes.ESP_START_MIB), (root_image, recipes.ROOT_START_MIB)):
        copy = ["dd", f"if={part}", f"of={disk_path}", "bs=1M", f"seek={start}", "conv=notrunc,sparse", "status=none"]
        host.run_logged(copy, log, "writing the disk")
        part.unlink()
    return disk_path


def first_boot(disk_path: Path, work: Path, log: Path) -> None:
    """Boot the disk once with guest/first-boot.sh as its first process, so the guest installs its boot loader.

    Emulated on purpose: this is where no verdict about KVM is needed.
    """
    console = work / "first-boot.log"
    append = f"root=LABEL=rig-root rw {recipes.CMDLINE} console=ttyS0 panic=-1 init=/usr/local/sbin/first-boot.sh"
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "q35"]
    command += ["-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024", "-no-reboot"]
    command += ["-drive", f"file={disk_path},if=virtio,format=raw,cache=unsafe", "-serial", f"file:{console}"]
    command += ["-kernel", str(work / "vmlinuz"), "-initrd", str(work / "initrd"), "-append", append]
    host.run_logged(command, log, "first boot")
    if "rig-first-boot: the boot loader is installed" not in console.read_text(errors="replace"):
        raise RigError(f"the first boot did not install a boot loader\n{tail_between_markers(console)}")
