"""The parts of the VM rig that need no VM."""

from __future__ import annotations

import base64
import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "rig"))

import image
import vm

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


def lines(sources: list[image.AptSource]) -> list[str]:
    return [image.one_line(source) for source in image.sources_for("trixie", "bookworm", sources)]


def test_sources_of_another_release_come_from_deb822() -> None:
    updates = "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian trixie-updates main"
    assert lines(image.parse_deb822_sources(DEB822)) == [WANTED_BY_BOTH[0], updates, WANTED_BY_BOTH[1]]


def test_sources_of_another_release_come_from_one_line_syntax() -> None:
    assert lines(image.parse_one_line_sources(ONE_LINE)) == WANTED_BY_BOTH


def test_both_syntaxes_are_read_from_the_folder_of_apt(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list").write_text(ONE_LINE)
    assert [source.uri for source in image.machine_sources(tmp_path)] == [
        "http://mirror.example/debian", "http://mirror.example/security", "http://foreign.example/tool",
        *["http://mirror.example/debian"] * 3, "http://mirror.example/security",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "deb http://mirror.example/ubuntu noble main\n", "deb http://mirror.example/debian bookworm contrib\n"]
)
def test_a_machine_without_debian_sources_is_told_what_to_set(text: str) -> None:
    with pytest.raises(image.RigError, match="SRIOV_ROLE_DEBIAN_MIRROR"):
        lines(image.parse_one_line_sources(text))


def test_an_image_has_another_name_when_its_recipe_or_a_guest_file_changes() -> None:
    recipe = image.RECIPES["debian12"]
    files = {"customize.sh": b"one", "rootfs/etc/fstab": b""}
    name = image.recipe_hash(recipe, files)
    assert image.recipe_hash(recipe, dict(reversed(files.items()))) == name
    others = [
        image.recipe_hash(dataclasses.replace(recipe, packages=recipe.packages[1:]), files),
        image.recipe_hash(dataclasses.replace(recipe, codename="trixie"), files),
        image.recipe_hash(recipe, {**files, "customize.sh": b"two"}),
        image.recipe_hash(recipe, {**files, "rootfs/etc/hosts": b""}),
    ]
    assert len({name, *others}) == 5


def test_the_archive_of_guest_files_belongs_to_root_and_leaves_scripts_out() -> None:
    import io
    import tarfile

    content = image.rootfs_archive({"rootfs/etc/fstab": b"x", "customize.sh": b"y"})
    members = tarfile.open(fileobj=io.BytesIO(content)).getmembers()
    assert [(member.name, member.uid, member.mode) for member in members] == [("etc/fstab", 0, 0o644)]


def devices(machine: vm.Machine) -> list[str]:
    arguments = vm.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    return [value for option, value in zip(arguments, arguments[1:]) if option == "-device"]


def option(machine: vm.Machine, name: str) -> str:
    arguments = vm.qemu_arguments(machine, "CODE.fd", "ssh-ed25519 AAAA rig")
    return arguments[arguments.index(name) + 1]


def test_each_pf_has_a_root_port_of_its_own_that_stays_when_the_pf_is_missing() -> None:
    whole = devices(vm.Machine("debian12", pfs=3))
    without = devices(vm.Machine("debian12", pfs=3, missing=(2,)))
    ports = [device for device in whole if device.startswith("pcie-root-port")]
    assert [dict(part.split("=") for part in port.split(",")[1:])["addr"] for port in ports] == ["0x2", "0x3", "0x4"]
    assert [device for device in without if device.startswith("pcie-root-port")] == ports
    assert set(whole) - set(without) == {"igb,id=pf2,bus=port2,netdev=wire2,mac=52:54:00:5a:01:02,romfile="}


@pytest.mark.parametrize(
    ("iommu", "device", "vendor", "split"),
    [
        ("intel", "intel-iommu,intremap=on,caching-mode=on", "GenuineIntel", True),
        ("amd", "amd-iommu,intremap=off", "AuthenticAMD", False),
        ("none", None, "GenuineIntel", False),
    ],
)
def test_the_iommu_decides_machine_and_vendor(iommu: str, device: str | None, vendor: str, split: bool) -> None:
    machine = vm.Machine("debian12", iommu=iommu)
    assert [found for found in devices(machine) if "iommu" in found] == ([device] if device else [])
    assert option(machine, "-cpu") == f"max,vendor={vendor}"
    assert ("kernel-irqchip=split" in option(machine, "-machine")) is split


def test_only_kvm_shows_the_guest_the_cpu_of_the_host() -> None:
    machine = vm.Machine("debian12", accel="kvm")
    assert (option(machine, "-accel"), option(machine, "-cpu")) == ("kvm", "host,vendor=GenuineIntel")


@pytest.mark.parametrize(("through_pf", "driver"), [(False, "virtio-net-pci"), (True, "igb")])
def test_the_connection_has_the_management_address_whatever_carries_it(through_pf: bool, driver: str) -> None:
    found = [device for device in devices(vm.Machine("debian12", pfs=2, connection_pf=through_pf)) if "=management" in device]
    assert len(found) == 1
    assert found[0].startswith(f"{driver},")
    assert f"mac={vm.MANAGEMENT_MAC}" in found[0]
    assert ("bus=port3" in found[0]) is through_pf


def test_ssh_and_monitor_are_reachable_from_this_machine_only() -> None:
    machine = vm.Machine("debian12", port=20123)
    assert "hostfwd=tcp:127.0.0.1:20123-:22" in option(machine, "-netdev")
    assert option(machine, "-qmp").startswith("unix:qmp.sock,")


def test_the_public_key_reaches_the_guest_as_a_credential_of_systemd() -> None:
    name, _, value = vm.key_credential("ssh-ed25519 AAAA rig\n").partition("=")
    assert name == "io.systemd.credential.binary:tmpfiles.extra"
    assert base64.b64decode(value).decode() == (
        "f /home/molecule/.ssh/authorized_keys 0600 molecule molecule - ssh-ed25519 AAAA rig\n"
    )


def test_a_process_is_the_same_only_with_the_same_start() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        start = vm.process_start(child.pid)
        assert start is not None
        recycled = vm.Process(child.pid, start - 1)
        assert vm.Process(child.pid, start).alive()
        assert not recycled.alive()
        recycled.signal(9)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.3)
        vm.Process(child.pid, start).signal(9)
        assert child.wait(10) == -9
    finally:
        child.kill()
        child.wait()
    assert vm.process_start(child.pid) is None


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    start = vm.process_start(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert vm.process_start(child.pid) is None
    assert start is None or not vm.Process(child.pid, start).alive()
    child.wait()


def test_a_leased_port_is_nobody_elses_until_the_last_holder_closes_it(tmp_path: Path) -> None:
    port, lease = vm.lease_port(tmp_path)
    assert port in vm.PORTS
    with pytest.raises(vm.RigError, match=str(port)):
        vm.lease_port(tmp_path, port)
    inherited = os.dup(lease)
    os.close(lease)
    with pytest.raises(vm.RigError):
        vm.lease_port(tmp_path, port)
    os.close(inherited)
    assert vm.lease_port(tmp_path, port)[0] == port


def test_a_port_in_use_by_others_is_not_leased(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(vm.RigError, match="no free port"):
            vm.lease_port(tmp_path, other.getsockname()[1])


def test_a_wait_ends_and_says_what_was_awaited() -> None:
    with pytest.raises(vm.RigError, match="waited for the moon: not within 0 s"):
        vm.wait_until(lambda: False, "the moon", 0.2, pause=0.05)


def test_a_wait_for_a_machine_that_ended_shows_its_console(tmp_path: Path) -> None:
    run = vm.Run(tmp_path)
    (tmp_path / "vm.json").write_text('{"machine": {"image": "x", "missing": []}, "processes": []}')
    (tmp_path / "qemu.log").write_text("")
    (tmp_path / "console.log").write_text("Kernel panic - not syncing\r\n")
    with pytest.raises(vm.RigError, match=r"the machine has ended\n---- console.log starts here ----\nKernel panic"):
        vm.wait_until(lambda: False, "ssh", 60, run)
