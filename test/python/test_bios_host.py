# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the BIOS or the kernel has off, from what a running host shows: which one it is, what to set there, and whether
that is an error.
"""

import json
import re

import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import concerns
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bios import vendors
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bios.host import look
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_devices, sriov_look
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import program as host

ONE = "0000:01:00.0"
ENTRY = "sriov_devices[0] (name ens1)"
VENDOR_IDS = {"intel": "GenuineIntel", "amd": "AuthenticAMD", "hygon": "HygonGenuine"}
INTEL_LINE, AMD_LINE = "root=/dev/vda1 intel_iommu=on iommu=pt", "root=/dev/vda1 iommu=pt"
VTD = "turn VT-d on in the BIOS (also called Intel VT for Directed I/O), then boot again"
AMD_VI = "turn the IOMMU on in the BIOS (also called AMD-Vi or AMD I/O Virtualization Technology), then boot again"
NO_DMAR = f"the BIOS shows no IOMMU (no ACPI table DMAR): {VTD}"
GUESTS = f"VFs of {ENTRY} are for guests, but "
NO_GUEST = "no guest can have a VF: "


class Shown:
    """What a fake host shows of its processor, its BIOS and its kernel."""

    def __init__(self, fake):
        self.fake = fake
        self.cpu("intel", "fpu vmx")
        self.line(INTEL_LINE)
        self.tables("DSDT", "FACP", "DMAR")
        self.iommus("dmar0")

    def cpu(self, vendor, flags):
        text = f"processor\t: 0\nvendor_id\t: {VENDOR_IDS.get(vendor, vendor)}\nflags\t\t: {flags}\n"
        (self.fake.proc / "cpuinfo").write_text(text)

    def line(self, text):
        (self.fake.proc / "cmdline").write_text(text + "\n")

    def _folder(self, path, names):
        folder = self.fake.sys / path
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name in names:
            (folder / name).write_text("")

    def tables(self, *names):
        self._folder("firmware/acpi/tables", names)

    def iommus(self, *names):
        self._folder("class/iommu", names)

    def dmi(self, **texts):
        for name, text in texts.items():
            self.put(f"sys/class/dmi/id/{name}", text + "\n")

    def put(self, path, text):
        file = self.fake.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture(name="shown")
def _shown(fake):
    """A host with an Intel processor and everything on."""
    return Shown(fake)


def device(**more):
    return dict({"address": ONE, "id": "8086:10c9", "numvfs": 4, "selector": ENTRY, "physical_network": None}, **more)


FOR_NOVA = device(physical_network="physnet2")


def said(*devices, iommu=True, passthrough=True):
    """(feature, what has it off, whether that is an error, the sentence) of each."""
    found = look(list(devices), iommu, passthrough)
    return [tuple(one[key] for key in ("feature", "off_by", "error", "text")) for one in found]


def iommu_text(*devices, **more):
    """The sentence about the IOMMU, and whether it is an error; None when there is none."""
    found = [(error, text) for feature, _off_by, error, text in said(*devices, **more) if feature == "iommu"]
    assert len(found) < 2
    return found[0] if found else None


# --- the IOMMU

# As machines show it: processor, kernel command line, ACPI table, IOMMUs in sysfs, flags; what has it off, and why.
MACHINES = [
    ("intel", INTEL_LINE, ["DMAR"], ["dmar0"], None, ""),
    ("intel", INTEL_LINE, [], [], "bios", NO_DMAR),
    (
        "intel",
        "intel_iommu=off",
        ["DMAR"],
        [],
        "kernel",
        "the kernel has the IOMMU off, and the BIOS has it on (ACPI table DMAR): remove intel_iommu=off from the kernel command "
        "line, then boot again",
    ),
    ("amd", AMD_LINE, ["IVRS"], ["ivhd0"], None, ""),
    ("amd", AMD_LINE, [], [], "bios", f"the BIOS shows no IOMMU (no ACPI table IVRS): {AMD_VI}"),
    (
        "amd",
        AMD_LINE + " amd_iommu=off",
        ["IVRS"],
        [],
        "kernel",
        "the kernel has the IOMMU off, and the BIOS has it on (ACPI table IVRS): remove amd_iommu=off from the kernel command line, "
        "then boot again",
    ),
    # -svm: the IOMMU does not depend on it.
    ("hygon", AMD_LINE, [], [], "bios", f"the BIOS shows no IOMMU (no ACPI table IVRS): {AMD_VI}"),
    (
        "intel",
        INTEL_LINE,
        ["DMAR"],
        [],
        "kernel",
        "the kernel has the IOMMU off, and the BIOS has it on (ACPI table DMAR): look for DMAR in the kernel log, then boot again",
    ),
    (
        "amd",
        AMD_LINE,
        ["IVRS"],
        [],
        "kernel",
        "the kernel has the IOMMU off, and the BIOS has it on (ACPI table IVRS): look for AMD-Vi in the kernel log, then boot again",
    ),
    # Another processor's table is none.
    ("intel", INTEL_LINE, ["IVRS"], [], "bios", NO_DMAR),
    # The kernel numbers a table that is there twice; virtio-iommu has none of the two.
    (
        "intel",
        INTEL_LINE,
        ["DMAR1", "DMAR2"],
        [],
        "kernel",
        "the kernel has the IOMMU off, and the BIOS has it on (ACPI table DMAR): look for DMAR in the kernel log, then boot again",
    ),
    ("intel", INTEL_LINE, ["VIOT"], ["virtio0"], None, ""),
]


@pytest.mark.parametrize("processor, line, tables, iommus, off_by, why", MACHINES)
def test_bios_and_kernel_are_told_apart(shown, processor, line, tables, iommus, off_by, why):
    shown.cpu(processor, "fpu vmx svm")
    shown.line(line)
    shown.tables("FACP", *tables)
    shown.iommus(*iommus)
    # intel_iommu=off keeps the wanted parameters from running, unless the role sets none.
    iommu = line != "intel_iommu=off"
    found = said(FOR_NOVA, iommu=iommu)
    assert found == ([("iommu", off_by, iommu, GUESTS + why)] if off_by else [])


@pytest.mark.parametrize(
    "line, passthrough, off_by",
    [
        ("quiet", True, None),
        ("quiet intel_iommu=on", True, None),
        ("quiet intel_iommu=on", False, "bios"),
        (INTEL_LINE + " intel_iommu=off", True, None),
        (INTEL_LINE + " iommu=off", True, None),
        (INTEL_LINE, True, "bios"),
    ],
)
def test_the_reboot_for_the_parameters_comes_first(shown, line, passthrough, off_by):
    shown.tables("FACP")
    shown.iommus()
    shown.line(line)
    assert [one[1] for one in said(FOR_NOVA, passthrough=passthrough)] == ([off_by] if off_by else [])


NOVA = {"physical_network": "physnet2"}


@pytest.mark.parametrize(
    "more, iommu, error, begin",
    [
        ({}, True, False, NO_GUEST),
        (NOVA, True, True, GUESTS),
        ({"vfs": [{"vf": 0, "driver": "vfio-pci"}]}, True, True, GUESTS),
        ({"vfs": [{"vf": 0}, {"vf": 1, "driver": "mlx5_vfio_pci"}]}, True, True, GUESTS),
        ({"vfs": [{"vf": 0, "driver": "iavf"}, {"vf": 1, "driver": None}]}, True, False, NO_GUEST),
        ({"vfs": []}, True, False, NO_GUEST),
        # The operator keeps the role from the IOMMU: no error, and not a word where no guest is.
        (NOVA, False, False, GUESTS),
        ({}, False, None, None),
        # Nothing of it has VFs here.
        (dict(NOVA, numvfs=0), True, None, None),
        (dict(NOVA, id=None), True, None, None),
    ],
)
def test_it_is_an_error_where_guests_get_vfs(shown, more, iommu, error, begin):
    shown.tables("FACP")
    shown.iommus()
    assert iommu_text(device(**more), iommu=iommu) == (None if begin is None else (error, begin + NO_DMAR))


def test_every_entry_with_vfs_for_guests_is_named_once(shown):
    shown.tables("FACP")
    shown.iommus()
    other = "sriov_devices[2] (driver ice)"
    devices = [FOR_NOVA, device(), *[dict(FOR_NOVA, selector=other, address=f"0000:02:00.{port}") for port in (0, 1)]]
    assert iommu_text(*devices) == (True, f"VFs of {ENTRY}, {other} are for guests, but {NO_DMAR}")


@pytest.mark.parametrize("text, more, error", [("Y\n", {}, False), ("N\n", {}, True), ("Y\n", NOVA, True)])
def test_vfio_may_be_used_without_an_iommu_where_the_administrator_allows_it(shown, text, more, error):
    shown.tables("FACP")
    shown.iommus()
    shown.put("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", text)
    assert iommu_text(device(vfs=[{"vf": 0, "driver": "vfio-pci"}], **more))[0] is error


def test_without_the_roles_parameters_the_missing_one_is_named(shown):
    shown.iommus()
    shown.line("quiet")
    assert iommu_text(FOR_NOVA, iommu=False) == (
        False,
        GUESTS
        + "the kernel has the IOMMU off, and the BIOS has it on (ACPI table DMAR): add intel_iommu=on to the kernel command "
        "line (the role does this with sriov_iommu_enabled), then boot again",
    )


def _arm(shown):
    (shown.fake.proc / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n")


def _without_acpi(shown):
    (shown.fake.sys / "firmware/acpi/tables/FACP").unlink()
    (shown.fake.sys / "firmware/acpi/tables").rmdir()


@pytest.mark.parametrize(
    "change",
    [
        _arm,
        lambda shown: shown.cpu("CentaurHauls", "fpu"),
        lambda shown: shown.put("sys/hypervisor/type", "xen\n"),
        _without_acpi,
        lambda shown: (shown.fake.proc / "cpuinfo").unlink(),
    ],
)
def test_nothing_is_said_where_nothing_is_known(shown, change):
    shown.cpu("intel", "fpu vmx")
    shown.tables("FACP")
    shown.iommus()
    assert said(FOR_NOVA)
    change(shown)
    assert said(FOR_NOVA) == []


def test_a_virtual_machine_is_not_sent_to_a_bios(shown):
    shown.cpu("intel", "fpu hypervisor")
    shown.dmi(sys_vendor="Dell Inc.")
    shown.tables("FACP")
    shown.iommus()
    assert said(FOR_NOVA) == [
        (
            "iommu",
            "bios",
            True,
            GUESTS
            + "this virtual machine has no IOMMU (no ACPI table DMAR): have the hypervisor give it one, then start it again",
        )
    ]


# --- the processor's virtualization

KVM = "guests cannot run with KVM: "
VTX = "turn VT-x on in the BIOS (also called Intel Virtualization Technology), then boot again"
SVM = "turn SVM on in the BIOS (also called SVM Mode or AMD-V), then boot again"


@pytest.mark.parametrize(
    "processor, flags, off_by, why",
    [
        ("intel", "fpu vmx", None, ""),
        ("intel", "fpu", "bios", f"the processor shows no vmx: {VTX}"),
        # Whole words, and the processor's own.
        ("intel", "fpu vmx_flags svm", "bios", f"the processor shows no vmx: {VTX}"),
        ("amd", "fpu svm", None, ""),
        ("amd", "fpu svm_lock", "bios", f"the processor shows no svm: {SVM}"),
        ("hygon", "fpu", "bios", f"the processor shows no svm: {SVM}"),
        ("intel", "fpu hypervisor", None, ""),
        ("amd", "fpu hypervisor", None, ""),
    ],
)
def test_virtualization_that_is_off_is_a_warning(shown, processor, flags, off_by, why):
    shown.cpu(processor, flags)
    assert said(FOR_NOVA) == ([("virtualization", off_by, False, KVM + why)] if off_by else [])
    assert said(device(vfs=[{"vf": 0, "driver": "vfio-pci"}])) == []


@pytest.mark.parametrize(
    "builtin, installed, off_by",
    [
        ("kernel/arch/x86/kvm/kvm-intel.ko\n", "", "bios"),
        ("", "kernel/arch/x86/kvm/kvm-intel.ko.xz: kernel/arch/x86/kvm/kvm.ko.xz\n", "bios"),
        ("", "kernel/arch/x86/kvm/kvm-amd.ko: kernel/arch/x86/kvm/kvm.ko\n", "kernel"),
        ("", None, "bios"),
    ],
)
def test_a_kernel_without_kvm_is_told_from_the_bios(shown, builtin, installed, off_by):
    shown.cpu("intel", "fpu")
    shown.put("proc/sys/kernel/osrelease", "6.1.0-9-amd64\n")
    shown.put("lib/modules/6.1.0-9-amd64/modules.builtin", builtin)
    if installed is not None:
        shown.put("lib/modules/6.1.0-9-amd64/modules.dep", installed)
    [(feature, by, error, text)] = said(FOR_NOVA)
    assert (feature, by, error) == ("virtualization", off_by, False)
    assert (text == KVM + "this kernel has no kvm_intel: boot the distribution's own kernel") == (off_by == "kernel")


@pytest.mark.parametrize(
    "release, paths, off",
    [
        ("5.14.0-570.el9.x86_64", ["sys/module/kvm/x"], True),
        ("6.6.30", ["sys/module/kvm/x"], True),
        ("6.7.0", ["sys/module/kvm/x"], False),
        ("6.12.0", ["sys/module/kvm/x"], False),
        ("5.14.0", ["sys/module/kvm/x", "sys/module/kvm_amd/x"], False),
        ("5.14.0", ["sys/module/kvm/x", "dev/kvm"], False),
        # Nothing has tried to load it.
        ("5.14.0", [], False),
        ("", ["sys/module/kvm/x"], False),
    ],
)
def test_an_older_kernel_shows_svm_that_is_off_by_what_it_has_loaded(shown, release, paths, off):
    shown.cpu("amd", "fpu svm")
    shown.put("proc/sys/kernel/osrelease", release + "\n")
    for path in paths:
        shown.put(path, "")
    text = f"{KVM}kvm_amd is not loaded, though kvm is: {SVM}, unless kvm_amd is blocked"
    assert said(FOR_NOVA) == ([("virtualization", "bios", False, text)] if off else [])
    # Intel's flag needs no such second look.
    shown.cpu("intel", "fpu vmx")
    assert said(FOR_NOVA) == []


# --- the maker's own names

MENU = {
    "Dell Inc.": "set Virtualization Technology to Enabled in System BIOS > Processor Settings (Dell)",
    "HPE": "set Intel(R) VT-d to Enabled in Virtualization Options (HPE)",
    "HP": "set Intel(R) VT-d to Enabled in Virtualization Options (HPE)",
    "Hewlett Packard Enterprise": "set Intel(R) VT-d to Enabled in Virtualization Options (HPE)",
    "LENOVO": "set Intel VT for Directed I/O (VT-d) to Enabled in System Settings > Devices and I/O Ports (Lenovo)",
    "Lenovo": "set Intel VT for Directed I/O (VT-d) to Enabled in System Settings > Devices and I/O Ports (Lenovo)",
    "Supermicro": "set Intel VT for Directed I/O (VT-d) to Enable in Advanced > Chipset Configuration > North Bridge > IIO "
    "Configuration (Supermicro)",
    "Hewlett-Packard": "set Intel(R) VT-d to Enabled in Virtualization Options (HPE)",
    # Not every name that begins as a maker's.
    "HPC Systems": "turn VT-d on in the BIOS (also called Intel VT for Directed I/O)",
    "Default string": "turn VT-d on in the BIOS (also called Intel VT for Directed I/O)",
}


@pytest.mark.parametrize("sys_vendor", sorted(MENU))
def test_the_advice_has_the_makers_own_menu(shown, sys_vendor):
    shown.tables("FACP")
    shown.iommus()
    shown.dmi(sys_vendor=sys_vendor, board_vendor="An integrator")
    assert iommu_text(FOR_NOVA)[1] == (
        f"{GUESTS}the BIOS shows no IOMMU (no ACPI table DMAR): {MENU[sys_vendor]}, then boot again"
    )


def test_the_makers_board_counts_in_an_integrators_machine(shown):
    shown.dmi(sys_vendor="An integrator", board_vendor="Supermicro")
    assert vendors.set_in_bios("sriov").endswith("(Supermicro)")


def features():
    """Every advice that the role can ask for: (feature, processor)."""
    return [(key.partition(" ")[0], key.partition(" ")[2]) for key in vendors.ANY_MAKER]


@pytest.mark.parametrize("maker", [None, *vendors.MENUS])
@pytest.mark.parametrize("feature, processor", features())
def test_there_is_an_advice_for_every_feature_of_every_maker(shown, maker, feature, processor):
    shown.dmi(sys_vendor=maker or "QEMU")
    assert re.match(r"^(set .+ to \S+ in .+ \(%s\)|(turn|set) .+)$" % maker, vendors.set_in_bios(feature, processor))


def test_every_entry_of_a_maker_is_of_a_feature_that_there_is():
    known = {*vendors.ANY_MAKER} | {feature for feature, _processor in features()}
    assert sorted({key for menus in vendors.MENUS.values() for key in menus} - known) == []
    assert set(vendors.MAKERS.values()) == set(vendors.MENUS)


def test_a_card_that_shows_no_sriov_is_sent_to_its_own_menu_with_path_and_value(shown, fake):
    shown.dmi(sys_vendor="Dell Inc.")
    fake.add_function(ONE, "14e4:16d7", "bnxt_en", ["ens1"])
    fake.configuration_space(ONE)
    assert host.why_no_vfs(host.read_function(ONE)) == (
        "the card shows no SR-IOV: if the model supports it, set Virtualization Mode to SR-IOV in Device Settings > the port > Device "
        "Level Configuration (Dell), and set SR-IOV Global Enable to Enabled in System BIOS > Integrated Devices (Dell), then reboot; "
        "otherwise name another NIC"
    )


# --- room for the VFs

ROOM = (
    "no address space for the VFs: set SR-IOV to Enabled in Virtualization Options (HPE), set PCIe Resource Padding to High in PCIe Device "
    "Configuration > Advanced PCIe Configuration (HPE), or boot with pci=realloc"
)
BUSES = (
    "no bus number for the VFs (the last one needs bus 02, and the bridge above the card ends with bus 01): set SR-IOV to Enabled in "
    "Virtualization Options (HPE), turn 'ARI Support' on in the BIOS, if it has that, or boot with pci=assign-busses"
)


@pytest.mark.parametrize(
    "count, end, want",
    [
        # VF 63 is the last one on bus 01: 128 + 2 * 63 = 254.
        (64, "1", ROOM),
        (65, "1", BUSES),
        (65, "2", ROOM),
        # A card on a root bus, or a kernel that does not show it.
        (65, None, ROOM),
    ],
)
def test_bus_numbers_are_told_from_memory(shown, fake, count, end, want):
    shown.dmi(sys_vendor="HPE")
    fake.add_function(ONE, netdevs=["ens1"], totalvfs=100)
    if end:
        (fake.pci(ONE).parent / "subordinate_bus_number").write_text(end + "\n")
    fake.behave(ONE, errors={str(count): "ENOMEM"})
    assert host.write_advice(12, host.read_function(ONE), count, 0) == want


# --- in the modules


def call(module, monkeypatch, capsys, **arguments):
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)
    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _module, sentence, **_more: warnings.append(sentence))
    with pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out), warnings


KERNEL = {"kernel": {"iommu": True, "passthrough": True}}


@pytest.fixture(name="without")
def _without(shown, fake):
    """A host with a PF whose BIOS shows no IOMMU."""
    fake.add_function(ONE, netdevs=["ens1"], totalvfs=7)
    fake.answer("ip -d -j link show", [{"ifname": "ens1", "address": "02:00:00:00:00:a0"}])
    shown.tables("FACP")
    shown.iommus()
    return shown


@pytest.mark.parametrize("check", [False, True])
def test_vfs_for_guests_are_refused_before_anything_changes(without, fake, monkeypatch, capsys, check):
    before = fake.files()
    entry = {"name": "ens1", "numvfs": 4, "physical_network": "physnet2"}
    result, _warnings = call(
        sriov_devices, monkeypatch, capsys, devices=[entry], concerns=KERNEL, _ansible_check_mode=check
    )
    assert (result["failed"], result["msg"]) == (True, GUESTS + NO_DMAR)
    assert fake.files() == before


@pytest.mark.parametrize("check", [False, True])
def test_other_vfs_are_warned_of_at_every_run(without, monkeypatch, capsys, check):
    arguments = {"devices": [{"name": "ens1", "numvfs": 4}], "concerns": KERNEL, "_ansible_check_mode": check}
    for _run in range(2):
        result, warnings = call(sriov_devices, monkeypatch, capsys, **arguments)
        assert result["not_ready"] == [f"Not ready for guests: {NO_GUEST}{NO_DMAR}"]
        assert warnings == [NO_GUEST + NO_DMAR]


@pytest.mark.parametrize(
    "devices, wanted",
    [
        ([], KERNEL),
        ([{"name": "ens1", "numvfs": 4}], {"mlx4": {}}),
        ([{"name": "ens1", "numvfs": 0}], KERNEL),
        (None, KERNEL),
    ],
)
def test_a_run_that_makes_no_vfs_says_nothing(without, monkeypatch, capsys, devices, wanted):
    result, warnings = call(sriov_devices, monkeypatch, capsys, devices=devices, concerns=wanted)
    assert result["not_ready"] == []
    assert [sentence for sentence in warnings if "IOMMU" in sentence] == []


@pytest.mark.parametrize(
    "devices, want", [([FOR_NOVA], {"msg": GUESTS + NO_DMAR}), ([device()], {"warned": [NO_GUEST + NO_DMAR]}), ([], {})]
)
def test_the_look_after_a_reboot_says_the_same(without, monkeypatch, capsys, devices, want):
    monkeypatch.setattr(concerns, "look", lambda *_more: ({"changed": False, "reboot": [], "stuck": []}, []))
    result, warnings = call(sriov_look, monkeypatch, capsys, devices=devices, concerns=KERNEL)
    assert result.get("msg") == want.get("msg")
    assert warnings == want.get("warned", [])


def test_wrong_options_are_refused_once_by_the_concern_itself(without, monkeypatch, capsys):
    wrong = {"kernel": {"iommu": "soon"}}
    result, _warnings = call(sriov_look, monkeypatch, capsys, devices=[FOR_NOVA], concerns=wrong)
    assert result["msg"].startswith("kernel: argument 'iommu' is of type") and "IOMMU" not in result["msg"]
    entry = {"name": "ens1", "numvfs": 4, "physical_network": "physnet2"}
    result, _warnings = call(sriov_devices, monkeypatch, capsys, devices=[entry], concerns=wrong)
    assert (result["settled"], result["not_ready"]) == ({}, [])
