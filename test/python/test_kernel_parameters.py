# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_kernel_parameters against trees of files, with stand-ins for the boot loaders' tools.

What is a stand-in: update-grub (a shell script that sources the settings as grub-mkconfig does and writes entries as
10_linux does), grubby and grub2-editenv (from the behaviour of grubby 8.40-63 of EL 9, its losses included).
sh is real. The corpus is in kernel_corpus/*.yml.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import kernel as kernel_parameters
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from parts import bootloader

CORPUS = Path(__file__).parent / "kernel_corpus"
VENDOR_IDS = {"intel": "GenuineIntel", "amd": "AuthenticAMD"}
WANTED = {"intel": ["intel_iommu=on", "iommu=pt"], "amd": ["iommu=pt"]}
DROP_IN = "/etc/default/grub.d/zz-sriov.cfg"
CMDLINE = "/etc/kernel/cmdline"
MACHINE_ID = "0123456789abcdef0123456789abcdef"

FAKE_UPDATE_GRUB = r"""
set -e
if test -f "$1/etc/default/grub"; then . "$1/etc/default/grub"; fi
for x in "$1"/etc/default/grub.d/*.cfg; do if [ -e "$x" ]; then . "$x"; fi; done
exec > "$1/$2.new"
entry() {
    printf "menuentry '%s' --class os $menuentry_id_option 'gnulinux-6.1.0-%s-abc' {\n" "$1" "$2"
    printf '\tlinux\t/boot/vmlinuz-6.1.0 root=UUID=abc ro %s\n\tinitrd\t/boot/initrd.img-6.1.0\n}\n' "$3"
}
printf '### BEGIN /etc/grub.d/10_linux ###\n'
entry 'Debian GNU/Linux' simple "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
printf "submenu 'Advanced options' {\n"
entry 'Debian GNU/Linux, with Linux 6.1.0' advanced "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"
entry 'Debian GNU/Linux, with Linux 6.1.0 (recovery mode)' recovery "single $GRUB_CMDLINE_LINUX"
printf '}\n### END /etc/grub.d/10_linux ###\n### BEGIN /etc/grub.d/30_os-prober ###\n'
entry 'Another system' simple 'quiet'
printf '### END /etc/grub.d/30_os-prober ###\n'
mv "$1/$2.new" "$1/$2"
"""


class FakeGrubby:
    """grubby-bls of EL 9, as far as `--update-kernel=ALL` and `--info=ALL` go, with what it loses on the way."""

    def __init__(self, machine):
        self.machine = machine

    def __call__(self, argv):
        arguments = dict((argument.split("=", 1) + [""])[:2] for argument in argv[1:])
        if "--info" in arguments:
            return 0, "".join(self._info(number, path) for number, path in enumerate(self._entries())), ""
        if arguments.get("--update-kernel") != "ALL":
            return 1, "", "no action specified\n"
        if argv[-1] != "--no-etc-grub-update":
            return 1, "", "grubby: invalid option\n"
        add, remove = arguments.get("--args", "").split(), arguments.get("--remove-args", "").split()
        kernelopts = self.machine.grubenv("kernelopts")
        if kernelopts is not None:
            self.machine.set_grubenv("kernelopts", self._update(kernelopts, remove, add))
        for path in self._entries():
            options = self._options(path)
            if "$kernelopts" not in options.split():
                self._set_options(path, self._update(options, remove, add))
        if self.machine.read(CMDLINE) is None:
            self.machine.put(CMDLINE, self._options(self._entries()[-1]) + "\n")
        # `read` without -r: one line, and no backslash.
        line = self.machine.read(CMDLINE).split("\n")[0].replace("\\", "")
        self.machine.put(CMDLINE, self._update(line, remove, add) + "\n")
        return 0, "", ""

    def _entries(self):
        paths = sorted(self.machine.paths("/boot/loader/entries"), reverse=True)
        return [path for path in paths if path.endswith(".conf")]

    def _options(self, path):
        return "\n".join(re.findall(r"^options[ \t]*(.*)$", self.machine.read(path), re.MULTILINE))

    def _set_options(self, path, value):
        def replace(match):
            return "options " + re.sub(r"\\(.)", r"\1", value).replace("&", match.group(0))

        self.machine.put(path, re.sub(r"^options.*$", replace, self.machine.read(path), flags=re.MULTILINE))

    @staticmethod
    def _update(line, remove, add):
        """Adding a name takes every other value of that name off; an unquoted echo joins words by one space."""
        line = " ".join(line.split())
        for token in remove:
            line = re.sub(rf"(^|\s){re.escape(token)}(\s|$)", " ", line, count=1)
        for token in add:
            line = re.sub(rf"(^|\s){re.escape(token.split('=')[0])}((\s|$)|(=[^ ]*))", " ", line)
        return " ".join(line.split() + add)

    def _info(self, number, path):
        options = self._options(path).replace("$kernelopts", self.machine.grubenv("kernelopts") or "$kernelopts")
        args = re.sub(r"(^|\s)root=\S*\s*", r"\1", options, count=1)
        kernel = re.search(r"^linux[ \t]+(\S+)", self.machine.read(path), re.MULTILINE)
        return 'index=%d\nkernel="%s"\nargs="%s"\ntitle="Linux"\n' % (
            number,
            "/boot" + kernel.group(1) if kernel else "",
            args,
        )


class Machine:
    """A tree of files that stands for a host."""

    def __init__(self, root, vendor="intel", running="BOOT_IMAGE=/boot/vmlinuz-6.1.0 root=UUID=abc ro quiet"):
        self.root = root
        self.calls = []
        self.tools = {}
        self.put("/proc/cpuinfo", f"processor\t: 0\nvendor_id\t: {VENDOR_IDS.get(vendor, vendor)}\n")
        self.put("/proc/cmdline", running + "\n")
        self.put("/proc/sys/kernel/random/boot_id", "boot-1\n")
        self.put("/etc/machine-id", MACHINE_ID + "\n")

    def put(self, path, text, mode=None):
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        if mode:
            file.chmod(mode)

    def read(self, path):
        file = self.root / path.lstrip("/")
        return file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else None

    def remove(self, path):
        (self.root / path.lstrip("/")).unlink()

    def paths(self, directory):
        folder = self.root / directory.lstrip("/")
        return [directory + "/" + name for name in os.listdir(folder)] if folder.is_dir() else []

    def tree(self, *without):
        """Every file outside the role's own state, with content and mode."""
        found = {}
        for file in self.root.rglob("*"):
            path = "/" + str(file.relative_to(self.root))
            if file.is_file() and not path.startswith("/var/lib/sriov") and path not in without:
                found[path] = (file.read_bytes(), file.stat().st_mode)
        return found

    def program(self, path, function, text="#!/bin/sh\n"):
        self.put(path, text, 0o755)
        self.tools[os.path.basename(path)] = function

    def run(self, argv, stdin):
        self.calls.append(argv)
        name = os.path.basename(argv[0])
        if name in self.tools:
            return self.tools[name](argv)
        assert argv[0] == "/bin/sh", argv
        return self._really(argv, stdin)

    @staticmethod
    def _really(argv, stdin=None):
        done = subprocess.run(
            argv, input=stdin, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
        )
        return done.returncode, done.stdout, done.stderr

    def ensure(self, iommu=True, passthrough=True, check_mode=False):
        return kernel_parameters.ensure(bootloader.Machine(self.run, str(self.root)), iommu, passthrough, check_mode)

    def boot(self, running, boot_id):
        self.put("/proc/cmdline", running + "\n")
        self.put("/proc/sys/kernel/random/boot_id", boot_id + "\n")

    def tool_calls(self):
        return [argv for argv in self.calls if argv[0] != "/bin/sh"]

    # GRUB of Debian

    def with_grub(self, files=None):
        for path, text in (files or {"/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n'}).items():
            self.put(path, text)
        self.program("/usr/sbin/grub-mkconfig", None, "for x in ${sysconfdir}/default/grub.d/*.cfg ; do\n")
        self.program("/usr/sbin/update-grub", lambda _argv: self.update_grub())
        self.put("/boot/grub/grub.cfg", "menuentry 'x' {\n\tlinux /vmlinuz root=UUID=abc\n}\n")
        self.update_grub()
        return self

    def update_grub(self, config="boot/grub/grub.cfg"):
        return self._really(["/bin/sh", "-c", FAKE_UPDATE_GRUB, "update-grub", str(self.root), config])

    def grub_line(self):
        """What update-grub would put on the line, with the spaces between words made one."""
        host = bootloader.Machine(self.run, str(self.root))
        return bootloader.MkconfigGrub.find(host).evaluate(bootloader.Changes(host, False))

    def grub_cfg(self):
        return {
            match.group(1): " ".join(match.group(2).split())
            for match in re.finditer(r"menuentry '(.*?)'.*\n\s*linux\s+(.*)\n", self.read("/boot/grub/grub.cfg"))
        }

    # GRUB of EL

    def with_grubby(self, files):
        for path, text in files.items():
            self.put(path, text)
        self.put("/boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n")
        if self.read("/boot/grub2/grubenv") is None:
            self.put("/boot/grub2/grubenv", "# GRUB Environment Block\nboot_success=1\n")
        self.program("/usr/sbin/grubby", FakeGrubby(self))
        self.program("/usr/bin/grub2-editenv", self._grub2_editenv)
        return self

    def _grub2_editenv(self, argv):
        assert argv[1:3] == ["/boot/grub2/grubenv", "set"], argv
        self.set_grubenv(*argv[3].split("=", 1))
        return 0, "", ""

    def grubenv(self, name):
        match = re.search(rf"^{name}=(.*)$", self.read("/boot/grub2/grubenv") or "", re.MULTILINE)
        return match.group(1) if match else None

    def set_grubenv(self, name, value):
        text = self.read("/boot/grub2/grubenv")
        self.put("/boot/grub2/grubenv", re.sub(rf"(?m)^{name}=.*$", lambda _match: f"{name}={value}", text))

    def with_systemd_boot(self, files):
        for path, text in files.items():
            self.put(path, text)
        return self

    def loader_info(self, text, variable="LoaderInfo"):
        path = self.root / (f"sys/firmware/efi/efivars/{variable}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x06\0\0\0" + (text + "\0").encode("utf-16-le"))


@pytest.fixture(name="machine")
def _machine(tmp_path):
    return Machine(tmp_path)


def keys(reasons):
    return [reason["key"] for reason in reasons]


def assert_refused(machine, case, as_found):
    with pytest.raises(Refusal, match=case["fails"]) as error:
        machine.ensure()
    assert_one_sentence(error)
    assert machine.tree() == as_found


def assert_one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 500, text


# --- the corpus of /etc/default/grub ------------------------------------------------------------------------------


def cases(name):
    return yaml.safe_load((CORPUS / name).read_text())


def by_vendor(name):
    return [
        pytest.param(case, vendor, id=f"{case['name']} ({vendor})")
        for case in cases(name)
        for vendor in ("intel", "amd")
    ]


def test_the_corpus_is_there():
    assert len(cases("grub.yml")) >= 50
    assert len([case for case in cases("entries.yml") if case["loader"] == "grubby"]) >= 9
    assert len([case for case in cases("entries.yml") if case["loader"] == "systemd-boot"]) >= 6
    assert len(cases("proxmox.yml")) >= 14


@pytest.mark.parametrize("case, vendor", by_vendor("grub.yml"))
def test_grub_settings_from_the_field(case, vendor, tmp_path):
    machine = Machine(tmp_path, vendor).with_grub(case["files"])
    as_found = machine.tree()
    if "fails" in case:
        assert_refused(machine, case, as_found)
        assert machine.tool_calls() == []
        return

    assert machine.grub_line() == case["line"]
    adds = case.get("adds", WANTED)[vendor]
    after = case["after"][vendor] if "after" in case else " ".join(case["line"].split() + adds)

    foretold = machine.ensure(check_mode=True)
    assert machine.tree() == as_found
    assert machine.tool_calls() == []

    done = machine.ensure()
    assert (done["changed"], done["diff"]) == (foretold["changed"], foretold["diff"])
    assert done["changed"] == bool(adds)
    assert machine.tree(DROP_IN, "/boot/grub/grub.cfg") == {
        path: content for path, content in as_found.items() if path != "/boot/grub/grub.cfg"
    }
    assert machine.grub_line() == after
    entries = machine.grub_cfg()
    for title in ("Debian GNU/Linux", "Debian GNU/Linux, with Linux 6.1.0"):
        assert entries[title] == " ".join(("/boot/vmlinuz-6.1.0 root=UUID=abc ro " + after).split())
    assert entries["Another system"].endswith("ro quiet")
    expected = case.get("warns", {}).get(vendor)
    assert bool(done["warnings"]) == bool(expected)
    assert not expected or expected in " ".join(done["warnings"])

    settled = machine.tree()
    again = machine.ensure()
    assert (again["changed"], again["diff"]) == (False, [])
    # What ours overrides is said once; what keeps the IOMMU off is said as long as it does.
    assert bool(again["warnings"]) == (case.get("warns", {}).get("again") == vendor)
    assert machine.tree() == settled

    taken_off = machine.ensure(iommu=False)
    assert taken_off["changed"] == bool(adds)
    assert taken_off["reboot"] == []
    assert machine.grub_line() == case["line"]
    line = "/boot/vmlinuz-6.1.0 root=UUID=abc ro " + case["line"]
    assert machine.grub_cfg()["Debian GNU/Linux"] == " ".join(line.split())
    assert machine.read(DROP_IN) is None


# --- the corpus of boot entries -----------------------------------------------------------------------------------


def entry_machine(case, vendor, tmp_path):
    machine = Machine(tmp_path, vendor, case["running"])
    with_loader = machine.with_grubby if case["loader"] == "grubby" else machine.with_systemd_boot
    return with_loader(case["files"])


def entry_options(text):
    return " ".join(re.findall(r"^options[ \t]+(.*?)[ \t]*$", text, re.MULTILINE))


def expected_line(before, wanted):
    """The words of a line with the wanted tokens at the end, before a `--` for init."""
    words = bootloader.split_raw(before)
    place = words.index("--") if "--" in words else len(words)
    return words[:place] + [token for token in wanted if token not in words] + words[place:]


@pytest.mark.parametrize("case, vendor", by_vendor("entries.yml"))
def test_boot_entries_from_the_field(case, vendor, tmp_path):
    machine = entry_machine(case, vendor, tmp_path)
    as_found = machine.tree()
    wanted = [] if case.get("unchanged") else WANTED[vendor]

    foretold = machine.ensure(check_mode=True)
    assert machine.tree() == as_found
    assert foretold["bootloader"] == case["loader"]
    assert machine.tool_calls() == []

    done = machine.ensure()
    assert (done["changed"], done["diff"]) == (foretold["changed"], foretold["diff"])
    assert done["changed"] == bool(wanted)
    for path, text in case["files"].items():
        now = machine.read(path)
        entry = path.endswith(".conf") and re.search(r"^linux\s", text, re.MULTILINE)
        if path in case.get("foreign", []):
            entry = None
        if not entry and path not in (CMDLINE, "/etc/default/grub", "/boot/grub2/grubenv"):
            assert now == text, path
        elif path == "/etc/default/grub":
            assert now.startswith(text)
            assert done["changed"] == ("# BEGIN stackhpc.sriov" in now)
        elif path == "/boot/grub2/grubenv":
            before = re.search("kernelopts=(.*)", text).group(1)
            assert bootloader.split_raw(machine.grubenv("kernelopts")) == expected_line(before, wanted)
        elif path == CMDLINE and "later" in case:
            assert now == case["later"].replace("WANTED", " ".join(wanted))
        elif path == CMDLINE:
            assert bootloader.split_raw(now) == expected_line(text, wanted)
        else:
            before = entry_options(text)
            kept = wanted if "$kernelopts" not in before else []
            assert bootloader.split_raw(entry_options(now)) == expected_line(before, kept)
            assert re.sub(r"(?m)^options.*\n?", "", now) == re.sub(r"(?m)^options.*\n?", "", text)
    if "created" in case:
        assert bootloader.split_raw(machine.read(CMDLINE)) == expected_line(case["created"], wanted)

    settled = machine.tree()
    again = machine.ensure()
    assert (again["changed"], again["diff"]) == (False, [])
    assert machine.tree() == settled

    assert machine.ensure(iommu=False)["changed"] == bool(wanted)
    for path, (content, mode) in as_found.items():
        assert bootloader.split_raw(machine.read(path)) == bootloader.split_raw(content.decode()), path
        assert os.stat(tmp_path / path.lstrip("/")).st_mode == mode
    assert set(machine.tree()) == set(as_found)
    assert machine.ensure(iommu=False)["changed"] is False


# --- what a line means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, expected",
    [
        ("", []),
        ("quiet", ["quiet"]),
        ("intel_iommu=on", ["intel_iommu=on"]),
        ('a "intel_iommu=on" b', ["a", "intel_iommu=on", "b"]),
        ('intel_iommu="on"', ["intel_iommu=on"]),
        ("intel-iommu=on", ["intel_iommu=on"]),
        ('dyndbg="file x +p" quiet', ["dyndbg=file x +p", "quiet"]),
        ('"a b=c d" e', ["a b=c d", "e"]),
        ("a -- intel_iommu=on", ["a"]),
        ("  a\t b \n", ["a", "b"]),
    ],
)
def test_a_line_is_split_as_the_kernel_does(line, expected):
    words = [name if value is None else f"{name}={value}" for _raw, name, value in bootloader.parse_line(line)]
    assert words == expected


@pytest.mark.parametrize(
    "line, intel, passthrough",
    [
        ("quiet", False, False),
        ("intel_iommu=on iommu=pt", True, True),
        ("iommu=pt quiet intel_iommu=on", True, True),
        ("intel_iommu=on intel_iommu=on iommu=pt iommu=pt", True, True),
        ("intel_iommu=on,sm_on", True, False),
        ("intel_iommu=sm_on,on", True, False),
        ("intel_iommu=sm_on", False, False),
        ("intel_iommu=on intel_iommu=sm_on", True, False),
        ("intel_iommu=on intel_iommu=off", False, False),
        ("intel_iommu=off intel_iommu=on", True, False),
        ("intel_iommu=on,off", False, False),
        ('"intel_iommu=on"', True, False),
        ("xintel_iommu=on", False, False),
        ("amd_iommu=on", False, False),
        ("amd_iommu=pt", False, False),
        ("iommu=pt,force", False, True),
        ("iommu=force,pt", False, True),
        ("iommu=pt iommu=nopt", False, False),
        ("iommu=nopt iommu=pt", False, True),
        ("iommu=force", False, False),
        ("iommu.passthrough=1", False, True),
        ("iommu=pt iommu.passthrough=0", False, False),
        ("intel_iommu=on iommu=pt iommu=off", False, False),
        ("iommu=off intel_iommu=on iommu=pt", False, False),
        ("iommu intel_iommu", False, False),
        ('note="intel_iommu=on iommu=pt"', False, False),
        ("quiet -- intel_iommu=on iommu=pt", False, False),
    ],
)
def test_what_a_line_gives(line, intel, passthrough):
    assert bootloader.has(line, "intel_iommu=on") is intel
    assert bootloader.has(line, "iommu=pt") is passthrough


@pytest.mark.parametrize(
    "line, expected",
    [
        ("a iommu=pt b", "a b"),
        ("iommu=pt", ""),
        ("iommu=pt iommu=pt a  b iommu=pt", "a  b"),
        ("iommu=pt,force xiommu=pt iommu=ptx", "iommu=pt,force xiommu=pt iommu=ptx"),
        ('n="x iommu=pt y" iommu=pt', 'n="x iommu=pt y"'),
        ("a iommu=pt -- iommu=pt", "a -- iommu=pt"),
    ],
)
def test_only_the_word_itself_is_taken_off(line, expected):
    assert bootloader.remove_tokens(line, ["iommu=pt"]) == expected


@pytest.mark.parametrize(
    "line, expected",
    [
        ("", "iommu=pt"),
        ("a  b ", "a  b iommu=pt"),
        ("a -- single", "a iommu=pt -- single"),
        ('n="a -- b"', 'n="a -- b" iommu=pt'),
        ("-- single", "iommu=pt -- single"),
    ],
)
def test_a_word_is_put_at_the_end_of_the_kernels_part(line, expected):
    assert bootloader.append(line, ["iommu=pt"]) == expected


@pytest.mark.parametrize(
    "cpuinfo, vendor",
    [
        ("processor\t: 0\nvendor_id\t: GenuineIntel\n", "intel"),
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\n", "amd"),
        ("processor\t: 0\nvendor_id\t: HygonGenuine\n", "amd"),
        ("processor\t: 0\nvendor_id\t: CentaurHauls\n", "other"),
        ("processor\t: 0\nCPU implementer\t: 0x41\n", "other"),
        ("processor\t: 0\nmodel name\t: like GenuineIntel\n", "other"),
        ("", "other"),
    ],
)
def test_the_vendor_is_the_processors(cpuinfo, vendor):
    assert kernel_parameters.cpu_vendor(cpuinfo) == vendor


@pytest.mark.parametrize(
    "vendor, iommu, passthrough, wanted",
    [
        ("intel", True, True, ["intel_iommu=on", "iommu=pt"]),
        ("intel", True, False, ["intel_iommu=on"]),
        ("amd", True, True, ["iommu=pt"]),
        ("amd", True, False, []),
        ("other", True, True, []),
        ("intel", False, True, []),
    ],
)
def test_what_a_processor_is_to_have(vendor, iommu, passthrough, wanted):
    assert kernel_parameters.wanted_parameters(vendor, iommu, passthrough) == wanted


# --- when a reboot is due -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "running, due",
    [
        ("quiet", ["kernel:intel_iommu=on", "kernel:iommu=pt"]),
        ("iommu=pt intel_iommu=on,sm_on iommu=pt", []),
        ("intel_iommu=on", ["kernel:iommu=pt"]),
        ("intel_iommu=on iommu=pt intel_iommu=off", ["kernel:intel_iommu=on"]),
        ("intel_iommu=on iommu=pt iommu=off", ["kernel:intel_iommu=on", "kernel:iommu=pt"]),
    ],
)
def test_a_reboot_is_due_by_the_running_line(running, due, tmp_path):
    machine = Machine(tmp_path, running=running).with_grub()
    for check_mode in (True, False, False):
        assert keys(machine.ensure(check_mode=check_mode)["reboot"]) == due


def test_after_the_reboot_nothing_is_due(machine):
    machine.with_grub().ensure()
    machine.boot(machine.grub_line(), "boot-2")
    done = machine.ensure()
    assert (done["changed"], done["reboot"], done["stuck"]) == (False, [], [])
    assert done["running"] == ["intel_iommu=on", "iommu=pt"]
    assert not (machine.root / "var/lib/sriov/pending-kernel.json").exists()


def test_what_a_reboot_did_not_bring_is_stuck_with_advice(machine):
    machine.with_grub().ensure()
    machine.boot("BOOT_IMAGE=/vmlinuz-old root=UUID=abc", "boot-2")
    done = machine.ensure()
    assert (done["changed"], done["reboot"]) == (False, [])
    assert keys(done["stuck"]) == ["kernel:intel_iommu=on", "kernel:iommu=pt"]
    assert "BOOT_IMAGE=/vmlinuz-old" in done["stuck"][0]["text"]
    assert "default entry" in done["stuck"][0]["text"]


def test_turning_passthrough_off_makes_a_reboot_due_while_it_runs(machine):
    machine.with_grub().ensure()
    machine.boot(machine.grub_line(), "boot-2")
    foretold = machine.ensure(passthrough=False, check_mode=True)
    done = machine.ensure(passthrough=False)
    assert keys(foretold["reboot"]) == keys(done["reboot"]) == ["kernel:no iommu=pt"]
    assert machine.grub_line() == "quiet intel_iommu=on"
    assert keys(machine.ensure(passthrough=False)["reboot"]) == ["kernel:no iommu=pt"]
    machine.boot(machine.grub_line(), "boot-3")
    assert machine.ensure(passthrough=False)["reboot"] == []


def test_passthrough_that_the_administrator_configured_is_theirs(machine):
    machine.with_grub({"/etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt"\n'})
    machine.boot("iommu=pt intel_iommu=on", "boot-2")
    done = machine.ensure(passthrough=False)
    assert done["reboot"] == []
    assert machine.grub_line() == "iommu=pt intel_iommu=on"


def test_taking_the_parameters_off_makes_no_reboot_due(machine):
    machine.with_grub().ensure()
    machine.boot(machine.grub_line(), "boot-2")
    done = machine.ensure(iommu=False)
    assert (done["changed"], done["reboot"], done["wanted"]) == (True, [], [])
    assert machine.ensure(iommu=False)["changed"] is False


# --- GRUB: what may go wrong --------------------------------------------------------------------------------------


def test_other_processors_get_nothing_and_need_no_loader(tmp_path):
    machine = Machine(tmp_path, "CentaurHauls")
    done = machine.ensure()
    assert (done["changed"], done["vendor"], done["bootloader"], done["wanted"]) == (False, "other", "", [])


@pytest.mark.parametrize("check_mode", [True, False])
def test_no_known_loader_is_an_error_before_anything_changes(machine, check_mode):
    before = machine.tree()
    with pytest.raises(Refusal, match="GRUB.*grubby.*systemd-boot") as error:
        machine.ensure(check_mode=check_mode)
    assert_one_sentence(error)
    assert machine.tree() == before
    assert not (machine.root / "var").exists()


def test_with_everything_running_an_unknown_loader_does_not_matter(machine):
    machine.boot("intel_iommu=on iommu=pt", "boot-1")
    done = machine.ensure()
    assert (done["changed"], done["bootloader"], done["reboot"]) == (False, "", [])


def test_update_grub_that_fails_leaves_everything_as_it_was(machine):
    machine.with_grub()
    before = machine.tree()
    messages = "warning: x\n/usr/sbin/grub-probe: error: no device.\n\n"
    machine.tools["update-grub"] = lambda _argv: (1, "Generating...\n", messages)
    with pytest.raises(Refusal, match="update-grub failed.*grub-probe: error: no device.$") as error:
        machine.ensure()
    assert_one_sentence(error)
    assert machine.tree() == before
    assert not (machine.root / "var/lib/sriov/kernel-parameters.json").exists()


def test_update_grub_that_fails_on_a_change_gives_the_old_drop_in_back(machine):
    machine.with_grub().ensure()
    before, record = machine.tree(), machine.read("/var/lib/sriov/kernel-parameters.json")
    machine.tools["update-grub"] = lambda _argv: (1, "", "no room\n")
    with pytest.raises(Refusal, match="no room"):
        machine.ensure(passthrough=False)
    assert machine.tree() == before
    assert machine.read("/var/lib/sriov/kernel-parameters.json") == record


def test_update_grub_that_ignores_the_settings_is_found_out(machine):
    machine.with_grub()
    before = machine.tree()

    def ignorant(_argv):
        machine.put("/boot/grub/grub.cfg", machine.read("/boot/grub/grub.cfg") + "# made anew\n")
        return 0, "", ""

    machine.tools["update-grub"] = ignorant
    with pytest.raises(Refusal, match="entry 'Debian GNU/Linux' lacks intel_iommu=on iommu=pt"):
        machine.ensure()
    assert machine.tree() == before


def test_a_stale_grub_cfg_is_made_again(machine):
    machine.with_grub()
    stale = machine.read("/boot/grub/grub.cfg")
    machine.ensure()
    fresh = machine.tree()
    machine.put("/boot/grub/grub.cfg", stale)
    assert machine.ensure(check_mode=True)["changed"] is True
    done = machine.ensure()
    assert done["changed"] is True and len(done["diff"]) == 1
    assert machine.tree() == fresh


def test_a_run_that_was_interrupted_is_finished_by_the_next(machine):
    machine.with_grub()

    def killed(_argv):
        raise KeyboardInterrupt

    really = machine.tools["update-grub"]
    machine.tools["update-grub"] = killed
    for arguments in ({}, {"iommu": False}):
        with pytest.raises(KeyboardInterrupt):
            machine.tools["update-grub"] = killed
            machine.ensure(**arguments)
        machine.tools["update-grub"] = really
        assert machine.ensure(**arguments)["changed"] is True
        assert machine.ensure(**arguments)["changed"] is False
        has = bootloader.has(machine.grub_cfg()["Debian GNU/Linux"], "intel_iommu=on")
        assert has is not ("iommu" in arguments)


def test_the_drop_in_is_written_again_when_another_program_changed_it(machine):
    machine.with_grub().ensure()
    good = machine.read(DROP_IN)
    machine.put(DROP_IN, "# emptied\n")
    assert machine.ensure()["changed"] is True
    assert machine.read(DROP_IN) == good


def test_the_drop_in_runs_in_any_shell_that_grub_mkconfig_may_have(tmp_path):
    text = tmp_path / "drop-in"
    text.write_text(bootloader.drop_in(["intel_iommu=on", "iommu=pt"]))
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shell, "-euc", '. "%s"; printf "%%s|%%s" "$GRUB_CMDLINE_LINUX_DEFAULT" "${__sriov_found-unset}"' % text],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "intel_iommu=on iommu=pt|unset"


def test_grub_without_drop_ins_is_not_taken_for_debians(machine):
    machine.with_grub()
    machine.put("/usr/sbin/grub-mkconfig", ". ${sysconfdir}/default/grub\n", 0o755)
    with pytest.raises(Refusal, match="grub.d"):
        machine.ensure()


# --- with stackhpc.linux.grubcmdline on the same host -------------------------------------------------------------


def grubcmdline(machine, parameter, remove):
    """roles/grubcmdline of stackhpc.linux 1.6.4 on Debian: one line of /etc/default/grub, then update-grub."""
    text = machine.read("/etc/default/grub")
    line = re.search(r'^GRUB_CMDLINE_LINUX_DEFAULT="(.*)"$', text, re.MULTILINE)
    words = line.group(1).split()
    # Jinja's difference() is a set's: it drops doubles, and its order is the first list's.
    new = list(dict.fromkeys(word for word in words if not re.search(remove, word))) + [parameter]
    if sorted(words) != sorted(new):
        text = text.replace(line.group(0), f'GRUB_CMDLINE_LINUX_DEFAULT="{" ".join(new)}"')
        machine.put("/etc/default/grub", text)
    machine.update_grub()


def linux_iommu(machine):
    grubcmdline(machine, "intel_iommu=on", "^intel_iommu=")
    grubcmdline(machine, "iommu=pt", "^iommu=")


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("drop_in", [None, 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n'])
def test_together_with_stackhpc_linux_iommu_a_fixed_point_is_reached(machine, first, drop_in):
    machine.with_grub()
    if drop_in:
        machine.put("/etc/default/grub.d/50-cloudimg-settings.cfg", drop_in)
        machine.update_grub()
    seen = []
    for number in range(4):
        if number or first == "ours":
            machine.ensure()
        linux_iommu(machine)
        words = machine.grub_cfg()["Debian GNU/Linux"].split()
        assert words.count("iommu=pt") <= 1 and words.count("intel_iommu=on") <= 1
        seen.append(machine.tree())
    assert seen[1] == seen[2] == seen[3]
    done = machine.ensure()
    assert done["changed"] is False
    assert bootloader.missing(machine.grub_cfg()["Debian GNU/Linux"], WANTED["intel"]) == []
    assert machine.tree() == seen[3]


def test_when_their_parameter_is_removed_ours_is_set_without_a_message(machine):
    machine.with_grub().ensure()
    text = machine.read(DROP_IN)
    linux_iommu(machine)
    machine.put("/etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    machine.update_grub()
    assert machine.ensure()["changed"] is False
    assert machine.read(DROP_IN) == text


# --- grubby -------------------------------------------------------------------------------------------------------


@pytest.fixture(name="el9")
def _el9(tmp_path):
    case = cases("entries.yml")[0]
    assert case["name"].startswith("EL 9")
    return entry_machine(case, "intel", tmp_path)


def test_grubby_shows_what_was_written_and_edits_nothing(el9):
    el9.ensure()
    assert el9.tool_calls() == [["/usr/sbin/grubby", "--info=ALL"]]


def test_a_converged_host_runs_no_tool(el9):
    el9.ensure()
    el9.calls.clear()
    el9.ensure()
    assert el9.tool_calls() == []


def test_one_parameter_that_the_role_added_is_taken_off(el9):
    el9.ensure()
    el9.ensure(passthrough=False)
    assert "iommu=pt" not in el9.read(CMDLINE) and "intel_iommu=on" in el9.read(CMDLINE)
    assert "iommu=pt" not in el9.read("/etc/default/grub")


@pytest.mark.parametrize(
    "answer, said",
    [
        ((1, "", "sed: x\nThe param /vmlinuz is incorrect\n"), "The param /vmlinuz is incorrect"),
        ((0, "", ""), "no message"),
        ((0, 'index=0\nkernel="/boot/vmlinuz"\nargs="ro quiet"\n', ""), 'args="ro quiet"'),
    ],
)
def test_grubby_that_does_not_see_the_parameters_leaves_everything_as_it_was(el9, answer, said):
    before = el9.tree()
    el9.tools["grubby"] = lambda _argv: answer
    message = (
        "grubby --info=ALL does not show intel_iommu=on iommu=pt on any entry afterwards, and everything is as it was: "
        + said
    )
    with pytest.raises(Refusal, match=re.escape(message) + "$") as error:
        el9.ensure()
    assert_one_sentence(error)
    assert el9.tree() == before
    assert el9.read("/var/lib/sriov/kernel-parameters.json") is None


def test_entries_that_start_no_linux_stay_as_they_are_and_prove_nothing(el9):
    windows = "title Windows\nefi /EFI/Microsoft/Boot/bootmgfw.efi\n"
    el9.put("/boot/loader/entries/windows.conf", windows)
    assert el9.ensure()["changed"] is True
    assert el9.read("/boot/loader/entries/windows.conf") == windows
    assert el9.ensure()["changed"] is False


def test_grubby_run_by_hand_keeps_what_the_role_wrote(el9):
    el9.ensure()
    FakeGrubby(el9)(["grubby", "--update-kernel=ALL", "--args=audit=1", "--no-etc-grub-update"])
    assert el9.ensure()["changed"] is False
    for path in el9.paths("/boot/loader/entries"):
        assert {"audit=1", "intel_iommu=on", "iommu=pt"} <= set(entry_options(el9.read(path)).split())


def test_a_parameter_that_an_entry_had_before_is_not_taken_off(el9):
    path = [path for path in el9.paths("/boot/loader/entries") if "rescue" not in path][0]
    el9.put(path, el9.read(path).replace(" quiet", " quiet iommu=pt"))
    el9.ensure()
    el9.ensure(iommu=False)
    assert "iommu=pt" in entry_options(el9.read(path)).split()
    assert "intel_iommu=on" not in entry_options(el9.read(path))


def kernel_install(machine, version):
    """20-grub.install of EL 9's grub2: the new entry's options are the words of /etc/kernel/cmdline."""
    path = f"/boot/loader/entries/3c0ffee0123456789abcdef012345678-{version}.conf"
    options = " ".join(machine.read(CMDLINE).split())
    machine.put(path, f"title New\nversion {version}\nlinux /vmlinuz-{version}\noptions {options}\n")
    return options


@pytest.mark.parametrize("number", [0, 1])
def test_a_kernel_installed_later_has_the_parameters(number, tmp_path):
    machine = entry_machine(cases("entries.yml")[number], "intel", tmp_path)
    machine.ensure()
    assert bootloader.missing(kernel_install(machine, "5.14.0-999.el9.x86_64"), WANTED["intel"]) == []
    assert machine.ensure()["changed"] is False


def test_grub2_mkconfig_makes_the_same_line_from_the_settings(el9):
    el9.ensure()
    script = '. "$1"; echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT"'
    for shell in ("bash", "sh"):
        line = subprocess.run(
            [shell, "-c", script, "grub2-mkconfig", str(el9.root / "etc/default/grub")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert line.split()[-3:] == ["quiet", "intel_iommu=on", "iommu=pt"]


@pytest.mark.parametrize("older", ["/etc/default/grub", CMDLINE])
def test_the_newer_of_the_two_files_stays_the_newer(el9, older):
    for path in ("/etc/default/grub", CMDLINE):
        stamp = 1000 if path == older else 2000
        os.utime(el9.root / path.lstrip("/"), (stamp, stamp))
    el9.ensure()
    for path in ("/etc/default/grub", CMDLINE):
        assert os.stat(el9.root / path.lstrip("/")).st_mtime == (1000 if path == older else 2000)


# --- which loader -------------------------------------------------------------------------------------------------

SYSTEMD_ENTRY = {"/boot/efi/loader/entries/mine.conf": "title x\nlinux /linux\noptions root=UUID=abc\n"}


@pytest.mark.parametrize(
    "said, running, expected",
    [
        (None, "BOOT_IMAGE=/vmlinuz root=UUID=abc", "grub"),
        ("GRUB 2.12-9+deb13u1", "BOOT_IMAGE=/vmlinuz root=UUID=abc", "grub"),
        ("systemd-boot 257.7-1", r"initrd=\x\initrd root=UUID=abc", "systemd-boot"),
        ("systemd-boot 252.30-1~deb12u2", "root=UUID=abc", "systemd-boot"),
        (None, r"initrd=\x\initrd root=UUID=abc", "systemd-boot"),
        ("rEFInd 0.14.0", "BOOT_IMAGE=/vmlinuz root=UUID=abc", "grub"),
    ],
)
def test_of_two_installed_loaders_the_one_that_started_the_system_counts(said, running, expected, tmp_path):
    machine = Machine(tmp_path, running=running).with_grub().with_systemd_boot(SYSTEMD_ENTRY)
    if said:
        machine.loader_info(said)
    assert machine.ensure(check_mode=True)["bootloader"] == expected


def test_a_kernel_started_by_the_firmware_has_no_owner(tmp_path):
    machine = Machine(tmp_path, running=r"initrd=\initrd root=UUID=abc").with_grub()
    with pytest.raises(Refusal, match="No boot loader"):
        machine.ensure()


def test_unified_kernel_images_are_refused_with_what_to_do(tmp_path):
    machine = Machine(tmp_path, running="root=UUID=abc")
    machine.put("/efi/EFI/Linux/debian-6.12.efi", "MZ")
    machine.loader_info("systemd-boot 257")
    with pytest.raises(Refusal, match="debian-6.12.efi.*kernel-install add-all") as error:
        machine.ensure()
    assert_one_sentence(error)


def test_an_ostree_host_is_refused_with_what_to_do(machine):
    machine.with_grub().put("/run/ostree-booted", "")
    with pytest.raises(Refusal, match="rpm-ostree kargs"):
        machine.ensure()


def test_bootctl_reports_where_the_entries_are(tmp_path):
    machine = Machine(tmp_path, running="root=UUID=abc")
    machine.with_systemd_boot({"/mnt/esp/loader/entries/x.conf": "linux /l\noptions root=UUID=abc\n"})
    answers = {"--print-esp-path": (0, "/mnt/esp\n", ""), "--print-boot-path": (1, "", "no such partition\n")}
    machine.program("/usr/bin/bootctl", lambda argv: answers[argv[1]])
    machine.ensure()
    assert entry_options(machine.read("/mnt/esp/loader/entries/x.conf")) == "root=UUID=abc intel_iommu=on iommu=pt"


def test_an_entry_that_cannot_be_written_leaves_all_as_they_were(tmp_path, monkeypatch):
    machine = Machine(tmp_path, running="root=UUID=abc")
    machine.with_systemd_boot(
        {"/efi/loader/entries/%d.conf" % number: "linux /l\noptions root=UUID=abc\n" for number in (1, 2)}
    )
    before = machine.tree()
    really, calls = bootloader.write_atomically, []

    def full(path, *arguments):
        calls.append(path)
        if path.endswith("2.conf"):
            raise OSError(28, "No space left on device", path)
        really(path, *arguments)

    monkeypatch.setattr(bootloader, "write_atomically", full)
    with pytest.raises(Refusal, match="No space left on device") as error:
        machine.ensure()
    assert_one_sentence(error)
    assert any(path.endswith("1.conf") for path in calls)
    assert machine.tree() == before


# --- files --------------------------------------------------------------------------------------------------------


def test_modes_and_links_of_files_stay(el9):
    (el9.root / "etc/default/grub").rename(el9.root / "etc/grub-settings")
    (el9.root / "etc/grub-settings").chmod(0o600)
    (el9.root / "etc/default/grub").symlink_to("../grub-settings")
    el9.ensure()
    assert (el9.root / "etc/default/grub").is_symlink()
    assert os.stat(el9.root / "etc/grub-settings").st_mode & 0o777 == 0o600
    assert "BEGIN stackhpc.sriov" in (el9.root / "etc/grub-settings").read_text()


def test_a_link_that_the_role_writes_itself_stays_a_link(tmp_path):
    machine = Machine(tmp_path, running="root=UUID=abc")
    machine.with_systemd_boot({"/efi/loader/entries/x.conf": "linux /l\noptions root=UUID=abc\n"})
    machine.put("/etc/kernel/line", "root=UUID=abc\n")
    (tmp_path / CMDLINE.lstrip("/")).symlink_to("line")
    machine.ensure()
    assert (tmp_path / CMDLINE.lstrip("/")).is_symlink()
    assert machine.read("/etc/kernel/line") == "root=UUID=abc intel_iommu=on iommu=pt\n"


def test_bytes_that_are_not_text_stay(tmp_path):
    machine = Machine(tmp_path).with_grub()
    settings = tmp_path / "etc/default/grub"
    settings.write_bytes(b'# caf\xe9\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\n')
    machine.ensure()
    assert settings.read_bytes().startswith(b"# caf\xe9\n")
    assert machine.grub_line() == "quiet intel_iommu=on iommu=pt"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tokens": 3}'])
def test_a_record_that_cannot_be_used_counts_as_none(machine, content):
    machine.with_grub().put("/var/lib/sriov/kernel-parameters.json", content)
    assert machine.ensure()["changed"] is True
