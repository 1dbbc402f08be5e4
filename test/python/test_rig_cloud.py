"""Cloud images for machines of the VM rig."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hang
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import host
import vm
from images import cloud, recipes, store
from machine import qemu
from machine.run import Run


class Mirror:
    """A web server on this machine: what it serves by path, and what was requested."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.cut = 0
        self.pause = 0.0
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.asked.append(self.path)
                time.sleep(mirror.pause)
                if self.path not in mirror.files:
                    self.send_error(404)
                    return
                content = mirror.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - mirror.cut])

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("SRIOV_ROLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("MOLECULE_IMAGE_SHA256", raising=False)
    mirror = Mirror()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


def downloads(tmp_path: Path) -> list[str]:
    """What a download leaves behind, but for its lock."""
    folder = tmp_path / "cache" / "downloads"
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_an_image_is_downloaded_once_and_kept_by_its_address(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mirror.files = {"/a.qcow2": b"A" * 3_000_000, "/b.qcow2": b"B"}
    first = cloud.download(f"{mirror.url}/a.qcow2")
    assert first.read_bytes() == mirror.files["/a.qcow2"]
    assert f"rig: downloading {mirror.url}/a.qcow2" in capsys.readouterr().err
    assert cloud.download(f"{mirror.url}/a.qcow2") == first
    other = cloud.download(f"{mirror.url}/b.qcow2")
    assert other != first
    assert mirror.asked == ["/a.qcow2", "/b.qcow2"]
    assert downloads(tmp_path) == sorted([first.name, other.name])


def test_those_who_want_the_same_download_wait_for_one(mirror: Mirror) -> None:
    mirror.files, mirror.pause = {"/a.qcow2": b"A"}, 0.5
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(cloud.download(f"{mirror.url}/a.qcow2"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(hang.SECONDS)
    assert len(paths) == 3
    assert len(set(paths)) == 1
    assert mirror.asked == ["/a.qcow2"]


def test_a_download_with_another_checksum_is_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files = {"/a.qcow2": b"old"}
    old, new = (hashlib.sha256(content).hexdigest() for content in (b"old", b"new"))
    with pytest.raises(host.RigError, match=f"a.qcow2 has the SHA-256 {old}, and MOLECULE_IMAGE_SHA256 wants {new}$"):
        cloud.download(f"{mirror.url}/a.qcow2", new)
    assert downloads(tmp_path) == []
    path = cloud.download(f"{mirror.url}/a.qcow2", old)
    # What is at the address has changed, and so has what is wanted of it.
    mirror.files = {"/a.qcow2": b"new"}
    assert cloud.download(f"{mirror.url}/a.qcow2", new) == path
    assert path.read_bytes() == b"new"
    with pytest.raises(host.RigError, match="has the SHA-256"):
        cloud.download(f"{mirror.url}/a.qcow2", old)
    assert path.read_bytes() == b"new"
    assert downloads(tmp_path) == [path.name]


def test_a_failed_download_is_one_sentence_and_leaves_nothing(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(
        host.RigError, match=r"^cannot download http://127.0.0.1:\d+/none.img: HTTP Error 404: Not Found$"
    ):
        cloud.download(f"{mirror.url}/none.img")
    mirror.files, mirror.cut = {"/a.img": b"A" * 100}, 40
    with pytest.raises(host.RigError, match="the connection ended after 60 of 100 bytes$"):
        cloud.download(f"{mirror.url}/a.img")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(host.RigError, match="^cannot download [^\n]*refused$"):
            cloud.download(f"http://127.0.0.1:{closed.getsockname()[1]}/a.img")
    with pytest.raises(host.RigError, match="^cannot download http://[^\n]*$"):
        cloud.download("http://127.0.0.1:port/a.img")
    assert downloads(tmp_path) == []


def test_what_is_said_of_an_address_keeps_its_secrets() -> None:
    assert (
        cloud.shown("https://user:secret@images.example:8443/a.img?token=secret#x")
        == "https://images.example:8443/a.img"
    )


def test_a_checksum_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLECULE_IMAGE_SHA256", "abc")
    with pytest.raises(host.RigError, match="64 hex digits"):
        cloud.wanted_checksum()
    monkeypatch.setenv("MOLECULE_IMAGE_SHA256", " " + "AB" * 32 + "\n")
    assert cloud.wanted_checksum() == "ab" * 32


def disk(path: Path, label: str = "UEFI", kind: str = "raw") -> Path:
    """A disk with a partition table's mark, and an EFI system partition where the rig has its own."""
    host.check_tools(cloud.TOOLS)
    raw = path.with_suffix(".raw")
    with raw.open("wb") as stream:
        stream.truncate(recipes.ESP_SIZE_MIB * recipes.MIB)
    subprocess.run(["mkfs.vfat", "-n", label, str(raw)], check=True, stdout=subprocess.DEVNULL)
    partition = raw.read_bytes()[: 3 * recipes.MIB]
    raw.write_bytes(bytes(510) + b"\x55\xaa" + bytes(recipes.MIB - 512) + partition)
    if kind != "raw":
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", kind, str(raw), str(path)], check=True)
        raw.unlink()
        return path
    return raw


needs_qemu = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("qemu-img", "mcopy")), reason="needs QEMU and mtools"
)


@needs_qemu
@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_files_are_cloud_images_unless_the_rig_made_them(mirror: Mirror, tmp_path: Path, kind: str) -> None:
    stock = disk(tmp_path / "stock.img", kind=kind)
    own = disk(tmp_path / "own.img", label=recipes.ESP_LABEL, kind=kind)
    assert vm.resolve_image(str(stock)) == (stock, True)
    assert vm.resolve_image(str(own)) == (own, False)
    mirror.files = {"/stock.img": stock.read_bytes()}
    assert vm.resolve_image(f"{mirror.url}/stock.img") == (cloud.download_path(f"{mirror.url}/stock.img"), True)


def test_a_name_is_an_image_of_the_rig_even_next_to_a_file_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ensure", lambda name: Path("/images") / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "debian12").write_text("")
    assert vm.resolve_image("debian12") == (Path("/images/debian12"), False)


@needs_qemu
def test_what_is_not_a_disk_is_refused_in_one_sentence(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        host.RigError,
        match=r"^'/none.img' is neither an image \(debian12, .*\), nor an http\(s\) address, nor a file seen from [^\n]*$",
    ):
        vm.resolve_image("/none.img")
    page = tmp_path / "page.img"
    page.write_bytes(b"<html>" * 1000)
    (tmp_path / "empty.img").write_bytes(b"")
    mirror.files = {"/page.img": page.read_bytes()}
    for name in (str(page), str(tmp_path / "empty.img"), f"{mirror.url}/page.img"):
        with pytest.raises(host.RigError, match=f"^{name} is not a bootable disk: [^\n]*$"):
            vm.resolve_image(name)
    stock = disk(tmp_path / "stock.img")
    overlay = tmp_path / "overlay.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(stock), "-F", "raw", str(overlay)], check=True)
    assert vm.resolve_image(str(overlay)) == (overlay, True)
    mirror.files = {"/overlay.qcow2": overlay.read_bytes()}
    with pytest.raises(host.RigError, match="overlay.qcow2 is an overlay of another image"):
        vm.resolve_image(f"{mirror.url}/overlay.qcow2")
    monkeypatch.setenv("MOLECULE_IMAGE_SHA256", "0" * 64)
    with pytest.raises(host.RigError, match="stock.raw has the SHA-256"):
        vm.resolve_image(str(stock))


def seed() -> dict[str, str]:
    return cloud.seed_files("ssh-ed25519 AAAA rig\n", "molecule", qemu.MANAGEMENT_MAC, "sriov-rig-1")


def test_cloud_init_gets_the_user_the_key_and_the_counter_of_boots() -> None:
    first, _, rest = seed()["user-data"].partition("\n")
    assert first == "#cloud-config"
    user_data = json.loads(rest)
    assert user_data["users"] == [
        {
            "name": "molecule", "shell": "/bin/sh", "lock_passwd": True, "sudo": "ALL=(ALL) NOPASSWD:ALL",
            "ssh_authorized_keys": ["ssh-ed25519 AAAA rig"],
        }
    ]  # fmt: skip
    unit = (recipes.GUEST / "rootfs/etc/systemd/system/rig-boots.service").read_text()
    assert ">>/var/log/rig-boots" in unit
    assert user_data["write_files"] == [
        {"path": "/etc/systemd/system/rig-boots.service", "permissions": "0644", "content": unit}
    ]
    assert user_data["runcmd"] == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--now", "rig-boots.service"],
        ["systemctl", "stop", *cloud.TIMERS],
        ["systemctl", "mask", *cloud.TIMERS],
    ]
    assert json.loads(seed()["meta-data"]) == {"instance-id": "sriov-rig-1", "local-hostname": "rig"}
    assert cloud.new_instance() != cloud.new_instance()


def test_cloud_init_configures_the_management_interface_alone() -> None:
    assert json.loads(seed()["network-config"]) == {
        "version": 2,
        "ethernets": {"management": {"match": {"macaddress": qemu.MANAGEMENT_MAC}, "dhcp4": True, "dhcp6": False}},
    }


@needs_qemu
def test_the_seed_is_a_volume_that_cloud_init_looks_for(tmp_path: Path) -> None:
    host.check_tools(cloud.TOOLS)
    volume = tmp_path / "seed.img"
    for _ in range(2):
        cloud.make_seed(volume, seed())
    assert volume.read_bytes()[43:54] == b"CIDATA     "
    for name, content in seed().items():
        found = subprocess.run(["mtype", "-i", str(volume), f"::{name}"], capture_output=True, text=True, check=True)
        assert found.stdout == content


@needs_qemu
@pytest.mark.parametrize("seeded", [True, False])
def test_the_disk_of_a_cloud_image_is_grown_in_the_run_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeded: bool
) -> None:
    host.check_tools(cloud.TOOLS)
    monkeypatch.setattr(qemu, "find_firmware", lambda: ("CODE.fd", str(tmp_path / "VARS.fd")))
    (tmp_path / "VARS.fd").write_bytes(bytes(recipes.MIB))
    stock = disk(tmp_path / "stock.img", kind="qcow2")
    before = stock.read_bytes()
    run = Run(tmp_path / "run")
    run.prepare(qemu.Machine(str(stock), seeded=seeded), stock)
    size = cloud.disk_information(run.directory / "disk.qcow2")["virtual-size"]
    assert size == (10 * 1024 if seeded else 4) * recipes.MIB
    assert (run.directory / "seed.img").exists() is seeded
    assert stock.read_bytes() == before
