"""The stand-in Mellanox card of the VM rig, as the tools' users see it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

import pytest

CARD = Path(__file__).resolve().parents[2] / "molecule" / "rig" / "card" / "card.py"
CODE = {path.stem: compile(path.read_text(), str(path), "exec") for path in CARD.parent.glob("*.py")}
ONE, TWO = "0000:01:00.0", "0000:01:00.1"
RESET = ("mlxfwreset", "-d", ONE, "-l", "3", "-y", "reset")
REBOOT = "-I- Please reboot machine to load new configurations.\n"


class Modules(SourceFileLoader):
    """Finds the modules of the stand-in, each compiled once for all tests."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = str(CARD.parent / f"{name}.py")
        return spec_from_file_location(name, file, loader=Modules(name, file)) if name in CODE else None

    def get_code(self, fullname: str) -> CodeType:
        return CODE[fullname]


class Guest:
    """A guest of files: boot id, sysfs, state and the names of the program."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for number, function in enumerate((ONE, TWO, "0000:02:00.0")):
            real = root / "sys/devices/pci0000:00" / f"0000:00:0{number + 2}.0" / function
            (real / "net" / f"eth{number}").mkdir(parents=True)
            for name, text in {"vendor": "0x8086", "sriov_numvfs": "0", "sriov_totalvfs": "7"}.items():
                (real / name).write_text(f"{text}\n")
            (real / "sriov_drivers_autoprobe").write_text("1\n")
            (real / "driver").symlink_to("../../../../bus/pci/drivers/igb")
            devices = root / "sys/bus/pci/devices"
            devices.mkdir(parents=True, exist_ok=True)
            (devices / function).symlink_to(real)
        for name in ("igb/bind", "igb/unbind"):
            path = root / "sys/bus/pci/drivers" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (root / "dev").mkdir()
        self.boot("first")
        bin_folder = root / "bin"
        bin_folder.mkdir()
        for name in ("mstconfig", "mlxconfig", "mlxfwreset", "rig-card"):
            (bin_folder / name).symlink_to(CARD)

    def boot(self, boot_id: str) -> None:
        path = self.root / "proc/sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{boot_id}\n")
        for record in (self.root / "run/rig-card").glob("*.json"):
            record.unlink()

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "RIG_CARD_ROOT": str(self.root)}
        return subprocess.Popen(
            [sys.executable, str(self.root / "bin" / words[0]), *words[1:]], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *words: str, code: int = 0) -> str:
        """Run a tool; all of its output is on standard output.

        In this process, with its own modules, as in a process: to start Python takes ten times as long as most tools
        do.
        """
        output, errors = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            patch.setenv("RIG_CARD_ROOT", str(self.root))
            patch.setattr(sys, "meta_path", [Modules, *sys.meta_path])
            try:
                ended = importlib.import_module("card").main(words[0], [*words[1:]])
            except SystemExit as end:
                ended = end.code or 0
            finally:
                for name in CODE:
                    sys.modules.pop(name, None)
        assert (ended, errors.getvalue()) == (code, ""), (output.getvalue(), errors.getvalue())
        return output.getvalue()

    def execute(self, *words: str) -> None:
        """As run does, in a process: the program is found by its name."""
        process = self.start(*words)
        output = process.communicate("")
        assert process.returncode == 0, output

    def set(self, *words: str, device: str = ONE, code: int = 0) -> str:
        return self.run("mstconfig", "-d", device, "-y", "set", *words, code=code)

    def last(self, *words: str, code: int = 3) -> str:
        return self.run(*words, code=code).split("\n")[-2]

    def values(self, name: str) -> list[int]:
        found = json.loads(self.run("rig-card", "show", name, "--card", "0000:01:00"))
        return [found["current"], found["next"]]

    def sysfs(self, name: str, function: str = ONE) -> str:
        """Return what is mounted over a file."""
        return (self.root / "run/rig-card/files" / function / name).read_text().strip()

    def mounts(self) -> str:
        return (self.root / "commands").read_text()


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    machine = Guest(tmp_path)
    machine.run("rig-card", "behave", "delay=0")
    machine.run("rig-card", "add", ONE, TWO)
    return machine


@pytest.fixture
def fourth(tmp_path: Path) -> Guest:
    machine = Guest(tmp_path)
    machine.run("rig-card", "behave", "delay=0")
    machine.run("rig-card", "add", "--type", "connectx3", ONE)
    machine.run("rig-card", "current", "SRIOV_EN=1", "NUM_OF_VFS=6", "LINK_TYPE_P1=2", "LINK_TYPE_P2=2")
    return machine


# ---- next and current --------------------------------------------------------------------------


def test_only_another_boot_id_makes_next_current(guest: Guest) -> None:
    assert guest.set("SRIOV_EN=1", "NUM_OF_VFS=8").endswith("Applying... Done!\n" + REBOOT)
    guest.run("mstconfig", "-d", ONE, "-e", "q")
    guest.run("rig-card", "boot")
    assert guest.values("NUM_OF_VFS") == [0, 8]
    assert guest.sysfs("sriov_totalvfs") == "0"
    guest.boot("second")
    assert guest.values("NUM_OF_VFS") == [8, 8]
    guest.run("rig-card", "boot")
    assert guest.sysfs("sriov_totalvfs") == guest.sysfs("sriov_totalvfs", TWO) == "8"


def test_a_card_that_keeps_its_configuration(guest: Guest) -> None:
    guest.run("rig-card", "behave", "keeps=true")
    guest.set("NUM_OF_VFS=8")
    guest.boot("second")
    assert guest.values("NUM_OF_VFS") == [0, 8]


def test_ports_share_the_configuration(guest: Guest) -> None:
    guest.set("NUM_OF_VFS=8", device=ONE)
    guest.set("NUM_OF_VFS=4", device=TWO)
    assert guest.run("mstconfig", "-d", ONE, "q", "NUM_OF_VFS").split()[-2:] == ["NUM_OF_VFS", "4"]


def test_no_vf_while_the_firmware_has_sriov_off(guest: Guest) -> None:
    mounted = f"/{ONE}/sriov_numvfs"
    assert mounted in guest.mounts()
    (guest.root / "commands").unlink()
    guest.run("rig-card", "current", "SRIOV_EN=1", "NUM_OF_VFS=127")
    assert mounted not in guest.mounts()
    assert guest.sysfs("sriov_totalvfs") == "127"


# ---- tables ------------------------------------------------------------------------------------

OPENING_20 = (
    f"\nDevice #1:\n----------\n\nDevice type:        ConnectX5           \nName:               MCX512A-ACA_Ax_Bx   \n"
    "Description:        ConnectX-5 EN network interface card; 10/25GbE dual-port SFP28; PCIe3.0 x8; tall bracket; "
    f"ROHS R6\nDevice:             {ONE}        \n\n"
)
STAR = "The '*' shows parameters with next value different from default/current value.\n"
TABLES = {
    "": (
        "Configurations:                                          Next Boot\n",
        "        NUM_OF_VFS                                  10                  \n"
        "        SRIOV_EN                                    False(0)            \n",
    ),
    "-e": (
        "Configurations:                                          Default             "
        "Current         Next Boot\n",
        "*       NUM_OF_VFS                                  0                    1                   "
        " 10                  \n"
        "        SRIOV_EN                                    False(0)             False(0)            "
        " False(0)            \n"
        + STAR,
    ),
}  # fmt: skip


@pytest.mark.parametrize("flag", list(TABLES))
def test_tables(guest: Guest, flag: str) -> None:
    guest.run("rig-card", "current", "NUM_OF_VFS=1")
    guest.run("rig-card", "next", "NUM_OF_VFS=10")
    flags = [flag] if flag else []
    output = guest.run("mstconfig", *flags, "-d", ONE, "q", "NUM_OF_VFS", "SRIOV_EN")
    heading, rows = TABLES[flag]
    assert output == OPENING_20 + heading + rows


def test_the_whole_table(guest: Guest) -> None:
    output = guest.run("mstconfig", "-d", ONE, "-e", "q")
    rows = re.findall(r"^[* ] {7}([A-Z_]+)\s", output, re.MULTILINE)
    assert rows == ["PF_NUM_OF_VF_VALID", "NUM_OF_VFS", "SRIOV_EN"]


def test_the_table_of_set(guest: Guest) -> None:
    output = guest.set("SRIOV_EN=1", "NUM_OF_VFS=16")
    assert output == (
        OPENING_20 + "Configurations:                                          Next Boot       New\n"
        "        SRIOV_EN                                    False(0)             True(1)             \n"
        "        NUM_OF_VFS                                  0                    16                  \n"
        "\n Apply new Configuration? (y/n) [n] : y\nApplying... Done!\n" + REBOOT
    )
    assert guest.values("NUM_OF_VFS") == [0, 16]


def test_the_table_of_set_of_a_connectx3(fourth: Guest) -> None:
    output = fourth.set("SRIOV_EN=0", "LINK_TYPE_P1=1")
    assert "Configurations:                              Next Boot       New\n" in output
    assert "         LINK_TYPE_P1                        ETH(2)          IB(1)           \n" in output


def test_connectx3(fourth: Guest) -> None:
    fourth.run("rig-card", "next", "NUM_OF_VFS=5")
    output = fourth.run("mstconfig", "-d", ONE, "-e", "q", "NUM_OF_VFS", "LINK_TYPE_P1")
    assert output == (
        f"\nDevice #1:\n----------\n\nDevice type:    ConnectX3       \nDevice:         {ONE}    \n\n"
        "Configurations:                              Default         Next Boot\n"
        "*        NUM_OF_VFS                          8               5               \n"
        "*        LINK_TYPE_P1                        VPI(3)          ETH(2)          \n"
        + STAR + "Device Firmware does not support reading current configurations\n"
    )  # fmt: skip
    last = fourth.last("mstconfig", "-d", ONE, "-y", "set", "NUM_OF_VFS=64")
    assert last == "-E- Failed to set configuration: Number of VFs exceeds limit (63)."
    assert fourth.last("mstconfig", "-d", ONE, "q", "UCTX_EN") == "-E- Unknown Parameter: UCTX_EN"


def test_dpu(guest: Guest) -> None:
    guest.run("rig-card", "add", "--type", "bluefield2", ONE, TWO)
    output = guest.run("mstconfig", "-d", ONE, "q").split()
    words = dict(zip(output, output[1:]))
    assert words["INTERNAL_CPU_MODEL"] == "EMBEDDED_CPU(1)"
    assert words["INTERNAL_CPU_OFFLOAD_ENGINE"] == "ENABLED(0)"
    assert words["INTERNAL_CPU_ESWITCH_MANAGER"] == "ECPF(0)"


# ---- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["0000:99:00.0", "1:00.0", "enp1s0"])
def test_no_such_device(guest: Guest, device: str) -> None:
    for words in (["q"], ["-y", "set", "SRIOV_EN=1"]):
        output = guest.run("mlxconfig", "-d", device, *words, code=3)
        assert output == "-E- Failed to open the device\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-d", ONE], "No command found. For more information please read the help message:"),
        (["-d"], "missing device name"),
        (["-d", ONE, "-x", "q"], "invalid argument: -x"),
        (["-d", ONE, "-j", "file", "q"], "invalid argument: -j"),
        (["-d", ONE, "r"], "invalid argument: r"),
        (["-d", ONE, "set"], "missing configuration arguments. For more information please run mstconfig -h|--help."),
        (["set", "SRIOV_EN=1"], "Failed to open the device"),
        (["-d", ONE, "set", "SRIOV_EN"], "Invalid Configuration argument SRIOV_EN"),
    ],
)
def test_usage_errors(guest: Guest, words: list[str], message: str) -> None:
    assert guest.run("mstconfig", *words, code=3) == f"-E- {message}\n"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("FOO=1", "Unknown Parameter: FOO"),
        ("NUM_OF_VFS=many", "Cannot parse the value"),
        ("SRIOV_EN=yes", "Cannot parse the value"),
        ("SRIOV_EN=2", "Unknown value 2"),
    ],
)
def test_a_set_with_an_error_changes_nothing(guest: Guest, assignment: str, message: str) -> None:
    output = guest.set("NUM_OF_VFS=3", assignment, code=3)
    assert output.endswith(f"-E- {message}\n")
    assert guest.values("NUM_OF_VFS") == [0, 0]


def test_no_one_said_yes(guest: Guest) -> None:
    output = guest.run("mstconfig", "-d", ONE, "set", "NUM_OF_VFS=3", code=2)
    assert output.endswith("\n Apply new Configuration? (y/n) [n] : -E- Aborted by user.\n")
    assert guest.values("NUM_OF_VFS") == [0, 0]


def test_parallel_queries_and_sets(guest: Guest) -> None:
    guest.run("rig-card", "add", "--type", "bluefield2", ONE, TWO)
    guest.run("rig-card", "behave", "delay=1")
    names = [f"INTERNAL_CPU_{name}" for name in ("PAGE_SUPPLIER", "ESWITCH_MANAGER", "IB_VPORT0", "OFFLOAD_ENGINE")]
    sets = [guest.start("mstconfig", "-d", ONE, "-y", "set", f"{name}=1") for name in names]
    queries = [guest.start("mstconfig", "-d", TWO, "q") for _ in range(4)]
    for process in (*sets, *queries):
        output, errors = process.communicate("")
        assert (process.returncode, errors) == (0, ""), output
    assert [guest.values(name)[1] for name in names] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "words",
    [
        ("mstconfig", "-d", ONE, "q"),
        ("mlxconfig", "-d", ONE, "q"),
        ("mlxfwreset", "-d", ONE, "-l", "3", "-y", "reset"),
        ("rig-card", "show", "SRIOV_EN", "--card", "0000:01:00"),
    ],
)
def test_a_program_of_each_name_reports_what_is_tested_here(guest: Guest, words: tuple[str, ...]) -> None:
    process = guest.start(*words)
    output, errors = process.communicate("")
    assert (output, errors) == (guest.run(*words, code=process.returncode), "") and output


def test_calls_are_logged(guest: Guest) -> None:
    guest.run("rig-card", "clear-log")
    guest.run("mstconfig", "-d", ONE, "q", "SRIOV_EN")
    guest.run("mlxconfig", "-v", code=3)
    log = guest.root / "var/lib/rig-card/log"
    assert log.read_text() == f"mstconfig -d {ONE} q SRIOV_EN\nmlxconfig -v\n"


# ---- mlxfwreset -------------------------------------------------------------------------------


def test_firmware_reset(guest: Guest) -> None:
    guest.set("SRIOV_EN=1", "NUM_OF_VFS=9")
    output = guest.run("mlxfwreset", "-d", TWO, "-l", "3", "-y", "reset")
    assert output.startswith(
        f"\nThe reset level for device, {TWO} is:\n\n3: Driver restart and PCI reset\nContinue with reset?[y/N] y\n"
        "-I- Sending Reset Command To Fw             -Done\n"
    )
    assert output.endswith("-I- FW was loaded successfully.\n")
    assert guest.values("NUM_OF_VFS") == [9, 9]
    assert guest.sysfs("sriov_totalvfs", ONE) == "9"


def test_firmware_reset_that_is_refused(guest: Guest) -> None:
    guest.set("NUM_OF_VFS=9")
    (guest.root / "sys/bus/pci/devices" / TWO / "sriov_numvfs").write_text("1\n")
    assert guest.last(*RESET, code=1) == (
        "-E- Reset virtual functions failed! Please reset virtual functions manually and resume operation."
    )
    (guest.root / "sys/bus/pci/devices" / TWO / "sriov_numvfs").write_text("0\n")
    guest.run("rig-card", "behave", "reset=refused")
    assert guest.last(*RESET, code=1) == "-E- Failed to send MFRL! reset-level 3 is not supported!."
    without_yes = [word for word in RESET if word != "-y"]
    assert guest.last(*without_yes, code=1).endswith("-E- Aborted by user.")
    output = guest.run("mlxfwreset", "-d", "9:00.0", "-l", "3", "-y", "reset", code=1)
    assert output == "-E- Failed to Identify Device: 9:00.0, mopen: No such file or directory.\n"
    assert guest.values("NUM_OF_VFS") == [0, 9]


@pytest.mark.parametrize("words", [["query"], ["-s", "reset"], ["--sync", "1", "reset"]])
def test_a_reset_with_arguments_that_the_role_does_not_pass(guest: Guest, words: list[str]) -> None:
    process = guest.start(*RESET[:-1], *words)
    output, errors = process.communicate("")
    assert (process.returncode, output) == (2, "")
    assert errors.splitlines()[-1].startswith("mlxfwreset: error: ")


# ---- ConnectX-3 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver", "options", "vfs", "message"),
    [
        ("inbox", "", 0, ""),
        ("inbox", "num_vfs=4 probe_vf=1", 4, ""),
        ("inbox", "num_vfs=1,2,3 port_type_array=2,2", 6, ""),
        ("inbox", "num_vfs=1,2,0 port_type_array=1,2", None, "Invalid syntax of num_vfs/probe_vfs with IB port"),
        ("inbox", "num_vfs=7", 0, "requested vfs (7) > available vfs (6). Continuing without SR_IOV"),
        ("inbox", "num_vfs=64", None, "Requested more VF's (64) for port (1) than allowed by driver (63)"),
        ("inbox", "num_vfs=2 probe_vf=3", None, "probe_vf module parameter cannot be negative"),
        ("inbox", f"num_vfs={ONE}-1;2;3", None, "invalid value"),
        ("ofed", f"num_vfs={ONE}-1;2;3", 6, ""),
        ("ofed", "num_vfs=01:00.0-2,0000:05:00.0-9", 2, ""),
        ("ofed", "num_vfs=0000:05:00.0-9", 0, ""),
        ("ofed", "num_vfs=3", 3, ""),
    ],
)
def test_options_of_the_initramfs(fourth: Guest, driver: str, options: str, vfs: int | None, message: str) -> None:
    lines = f"options mlx4_core num_vfs=9\noptions mlx4_core {options}\n" if options else ""
    (fourth.root / "run/rig-card-initramfs-options").write_text(lines)
    fourth.run("rig-card", "behave", f"driver={driver}")
    fourth.boot("second")
    fourth.run("rig-card", "boot")
    mirror = fourth.root / "run/rig-card/mirror" / ONE
    assert (mirror / "driver").is_symlink() == (vfs is not None)
    assert (mirror / "sriov_numvfs").read_text() == f"{vfs or 0}\n"
    real = (fourth.root / "sys/bus/pci/devices" / ONE / "sriov_numvfs").read_text()
    assert real.strip() == str(vfs or 0)
    log = fourth.root / "dev/kmsg"
    assert (message in log.read_text()) if message else not log.exists()


def test_connectx3_in_sysfs(fourth: Guest) -> None:
    mirror = fourth.root / "run/rig-card/mirror" / ONE
    assert (mirror / "sriov_totalvfs").read_text() == "6\n"
    assert os.readlink(mirror / "driver") == "../../../../bus/pci/drivers/mlx4_core"
    assert (mirror / "mlx4_port2").read_text() == "eth\n"
    fourth.run("rig-card", "current", "SRIOV_EN=0")
    assert not (mirror / "sriov_totalvfs").exists()
    assert fourth.mounts().count("update-initramfs -u\n") == 1


# ---- the program on a guest --------------------------------------------------------------------


def test_installed_names_find_their_program(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    guest.run("rig-card", "install", "--tools", "mst")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    sbin = guest.root / "usr/local/sbin"
    assert sorted(path.name for path in sbin.iterdir()) == ["mstconfig", "rig-card"]
    assert os.access(sbin / "mstconfig", os.X_OK)
    (guest.root / "bin" / "mstconfig").unlink()
    (guest.root / "bin" / "mstconfig").symlink_to(sbin / "mstconfig")
    before = files(guest.root / "usr/local")
    guest.execute("mstconfig", "-d", ONE, "-y", "set", "NUM_OF_VFS=3")
    assert guest.values("NUM_OF_VFS") == [0, 3]
    # As a step says that nothing below /usr/local has changed.
    assert files(guest.root / "usr/local") == before
    # By its own name it installs nothing over itself.
    (guest.root / "bin" / "rig-card").unlink()
    (guest.root / "bin" / "rig-card").symlink_to(sbin / "rig-card")
    guest.execute("rig-card", "install", "--tools", "mft")
    assert sorted(path.name for path in sbin.iterdir()) == ["mlxconfig", "mlxfwreset", "rig-card"]
    assert files(guest.root / "usr/local") == before
    assert (guest.root / "etc/systemd/system/rig-card.service").is_file()


def files(folder: Path) -> dict[str, int]:
    """Files by path, with the time of each; no links."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): path.stat().st_mtime_ns for path in found}
