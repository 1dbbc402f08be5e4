# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sriov_bios against the rig's BMC, in the shapes of its vendors: what it sends, what it refuses, and how often."""

import json
import subprocess
import sys
from pathlib import Path

import hang
import pytest
from ansible.module_utils import basic
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.bios import identity, notes, redfish, work
from ansible_collections.stackhpc.sriov.plugins.modules import sriov_bios, sriov_bios_notes
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")

RIG = Path(__file__).resolve().parents[2] / "molecule" / "rig" / "bmc"
sys.path.insert(0, str(RIG))

import fake_bmc

HOST = {"serial": "ABC1234", "uuid": "4c4c4544-0035-3410-8050-c6c04f314733"}
PASSWORD = "correct horse"
# Each vendor's settings for all features, which are off except virtualization on some.
WANTED = {
    "dell": {"ProcVirtualization": "Enabled", "SriovGlobalEnable": "Enabled"},
    "hpe": {"ProcAmdIoVt": "Enabled", "Sriov": "Enabled"},
    "lenovo": {
        "Processors_IntelVirtualizationTechnology": "Enabled",
        "DevicesandIOPorts_IntelVTforDirectedIOVTd": "Enabled",
        "DevicesandIOPorts_SRIOV": "Enabled",
    },
    "supermicro": {
        "IntelVirtualizationTechnology_3C6F": "Enable",
        "IntelVTforDirectedI_O_VT_d__1E32": "Enable",
        "SR_IOVSupport_0047": "Enabled",
    },
    "dgx": {"ProcessorVmxEnable": "Enable", "VTdSupport": "Enable", "SRIOVEnable": "Enable", "SriovSupport": "Enabled"},
}
VENDORS = sorted(WANTED)


@pytest.fixture(name="certificate", scope="session")
def _certificate(tmp_path_factory):
    """The folder of a BMC with a certificate, made for this run of the tests."""
    directory = tmp_path_factory.mktemp("certificate")
    fake_bmc.make_certificate(directory)
    return directory


def give(monkeypatch, arguments):
    """Hand arguments to the module that is run next, as Ansible does."""
    monkeypatch.setattr(basic, "_ANSIBLE_ARGS", json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    monkeypatch.setattr(basic, "_ANSIBLE_PROFILE", "legacy", raising=False)


class Rig:
    """A BMC that runs, and the module that is run against it."""

    def __init__(self, directory, certificate, vendor, faults, attributes, capsys, monkeypatch):
        self.directory, self.vendor, self.capsys, self.monkeypatch = directory, vendor, capsys, monkeypatch
        directory.mkdir()
        for name in ("cert.pem", "key.pem") if certificate else ():
            (directory / name).write_bytes((certificate / name).read_bytes())
        fake_bmc.make(directory, vendor, HOST, faults, **attributes)
        self.process = subprocess.Popen(
            [sys.executable, str(RIG / "fake_bmc.py"), str(directory)], stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.process.stdout.readline())
        self.slept = []

    def end(self):
        self.process.terminate()
        self.process.wait(hang.SECONDS)
        self.process.stdout.close()

    def run(self, check_mode=False, **more):
        """The result of the module as Ansible gets it; `failed` and `msg` are in it where the module refuses."""
        arguments = {
            "address": f"127.0.0.1:{self.port}",
            "username": "admin",
            "password": PASSWORD,
            "ca_path": str(self.directory / "cert.pem"),
            "timeout": hang.SECONDS,
            "system": "DGX" if self.vendor == "dgx" else "",
            **HOST,
            **more,
            "_ansible_check_mode": check_mode,
            "_ansible_diff": True,
        }
        give(self.monkeypatch, arguments)
        # Where another test has made this process a controller, ansible-core shows warnings and does not return them.
        self.warnings = []
        self.monkeypatch.setattr(
            basic.AnsibleModule, "warn", lambda _module, sentence, **_more: self.warnings.append(sentence)
        )
        self.monkeypatch.setattr(work.time, "sleep", self.slept.append)
        with pytest.raises(SystemExit):
            sriov_bios.main()
        output = self.capsys.readouterr()
        password = arguments["password"]
        if password:
            assert password not in output.out + output.err
        return json.loads(output.out)

    def refusal(self, **more):
        """What the module refuses with. It has then sent no change."""
        before = self.sent()
        result = self.run(**more)
        assert result["failed"] and self.sent() == before
        return result["msg"]

    @property
    def state(self):
        return json.loads((self.directory / "state.json").read_text())

    def sent(self):
        """How many changes the BMC was sent, accepted or not."""
        return [method for method, _path in self.state["requests"]].count("PATCH")

    def set(self, **values):
        with fake_bmc.state_of(self.directory) as state:
            state.update(values)

    def reboot(self):
        with fake_bmc.state_of(self.directory) as state:
            fake_bmc.reset(state)


@pytest.fixture(name="bmc")
def _bmc(tmp_path, certificate, capsys, monkeypatch):
    """Makes a BMC of a vendor, with faults and settings."""
    running = []

    def make(vendor, *faults, certificate=certificate, **attributes):
        rig = Rig(tmp_path / f"bmc{len(running)}", certificate, vendor, faults, attributes, capsys, monkeypatch)
        running.append(rig)
        return rig

    yield make
    for rig in running:
        rig.end()


def keys(settings):
    return sorted(f"bios:{name}={value}" for name, value in settings.items())


def reasons(result):
    return sorted(reason["key"] for reason in result["reboot"])


def off(vendor):
    """The settings of a vendor that are wanted and off at first."""
    at_first = fake_bmc.shapes.SHAPES[vendor].attributes
    return {name: value for name, value in WANTED[vendor].items() if at_first[name] != value}


# The way of one change, with each vendor's shapes.


@pytest.mark.parametrize("vendor", VENDORS)
def test_one_change_is_sent_for_the_next_boot_and_none_by_a_second_run(bmc, vendor):
    rig = bmc(vendor)
    first = rig.run()
    assert first["changed"] and rig.sent() == 1
    assert rig.state["changes"][0]["Attributes"] == off(vendor)
    assert reasons(first) == sorted(first["touched"]) == keys(off(vendor))
    assert {name: now["wanted"] for name, now in first["attributes"].items()} == WANTED[vendor]
    second = rig.run(waiting=first["touched"])
    assert not second["changed"] and second["touched"] == [] and reasons(second) == keys(off(vendor))
    assert rig.sent() == 1


@pytest.mark.parametrize("vendor", VENDORS)
def test_after_the_reboot_nothing_waits(bmc, vendor):
    rig = bmc(vendor)
    touched = rig.run()["touched"]
    rig.reboot()
    after = rig.run(tried=touched)
    assert not after["changed"] and after["reboot"] == [] and rig.sent() == 1
    assert {name: rig.state["attributes"][name] for name in WANTED[vendor]} == WANTED[vendor]


@pytest.mark.parametrize("vendor", VENDORS)
def test_check_mode_says_the_same_and_sends_nothing(bmc, vendor):
    rig = bmc(vendor)
    looked = rig.run(check_mode=True)
    assert rig.sent() == 0 and looked["changed"]
    done = rig.run()
    assert {name: done[name] for name in ("touched", "diff", "attributes")} == {
        name: looked[name] for name in ("touched", "diff", "attributes")
    }
    assert reasons(done) == reasons(looked) == keys(off(vendor))
    before = {name: fake_bmc.shapes.SHAPES[vendor].attributes[name] for name in off(vendor)}
    assert sorted(looked["diff"]["before"].split()) == sorted(f"{name}={value}" for name, value in before.items())
    assert sorted(looked["diff"]["after"].split()) == sorted(f"{name}={value}" for name, value in off(vendor).items())


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_is_on_already_needs_nothing(bmc, vendor):
    rig = bmc(vendor, **WANTED[vendor])
    result = rig.run()
    assert not result["changed"] and result["reboot"] == [] and result["absent"] == [] and rig.sent() == 0


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_time_of_applying_is_sent_only_where_the_bmc_has_it(bmc, vendor):
    rig = bmc(vendor)
    rig.run()
    sent = rig.state["changes"][0].get("@Redfish.SettingsApplyTime")
    assert sent == ({"ApplyTime": "OnReset"} if vendor in ("dell", "lenovo") else None)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_bmc_without_a_registry_is_asked_the_same(bmc, vendor):
    # On HPE the profile then counts, whatever it decides.
    rig = bmc(vendor, "no registry", **({"WorkloadProfile": "Custom"} if vendor == "hpe" else {}))
    assert rig.run()["changed"] and rig.sent() == 1
    assert rig.state["changes"][0]["Attributes"] == off(vendor)


def test_an_etag_that_is_not_the_current_one_is_refused(bmc):
    rig = bmc("hpe", "raced")
    result = rig.run()
    assert "(412): The ETag supplied did not match" in result["msg"] and rig.sent() == 1 and rig.state["pending"] == {}


# A setting that a reboot does not bring.


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_change_that_the_bios_ignores_is_not_sent_again(bmc, vendor):
    rig = bmc(vendor, "ignored")
    touched = rig.run()["touched"]
    rig.reboot()
    after = rig.run(tried=touched)
    assert not after["changed"] and rig.sent() == 1 and reasons(after) == keys(off(vendor))
    assert all("before the last reboot" in reason["text"] for reason in after["reboot"])


def test_what_the_bmc_reports_about_the_boot_is_in_the_sentence(bmc):
    rig = bmc("hpe", "ignored")
    touched = rig.run()["touched"]
    rig.reboot()
    texts = {reason["key"]: reason["text"] for reason in rig.run(tried=touched)["reboot"]}
    assert texts["bios:Sriov=Enabled"] == (
        "BIOS setting Sriov is Disabled, and was set to Enabled before the last reboot, the BMC reports: "
        "Bios.1.0.SettingNotApplied ProcAmdIoVt Sriov"
    )


def test_beside_a_setting_that_was_tried_no_other_is_sent(bmc):
    rig = bmc("dell", "ignored")
    touched = rig.run(features=["iommu"])["touched"]
    rig.reboot()
    after = rig.run(tried=touched)
    assert reasons(after) == touched and not after["changed"] and rig.sent() == 1


def test_another_value_may_be_tried_after_one_that_was(bmc):
    rig = bmc("hpe", "ignored")
    touched = rig.run(features=[], attributes={"PciResourcePadding": "High"})["touched"]
    rig.reboot()
    assert (
        rig.run(features=[], attributes={"PciResourcePadding": "Medium"}, tried=touched)["changed"] and rig.sent() == 2
    )


def test_a_change_that_the_bmc_forgets_at_once_is_an_error(bmc):
    rig = bmc("lenovo", "forgets")
    result = rig.run()
    assert (
        "has accepted DevicesandIOPorts_IntelVTforDirectedIOVTd" in result["msg"]
        and "show it as pending" in result["msg"]
    )
    assert rig.sent() == 1 and rig.slept == [work.PAUSE] * work.LOOKS_AFTER_CHANGE


# What others have pending.


@pytest.mark.parametrize("vendor", ["hpe", "lenovo", "supermicro", "dgx"])
def test_a_pending_setting_that_would_undo_a_wanted_one_is_replaced(bmc, vendor):
    name, value = next(iter(off(vendor).items()))
    rig = bmc(vendor, **WANTED[vendor])
    rig.set(pending={name: fake_bmc.shapes.SHAPES[vendor].attributes[name]})
    result = rig.run()
    assert result["changed"] and rig.state["changes"][0]["Attributes"] == {name: value} and rig.sent() == 1
    # It is in effect already.
    assert result["reboot"] == [] and not rig.run()["changed"]


@pytest.mark.parametrize("vendor", ["hpe", "lenovo", "supermicro", "dgx"])
def test_what_another_user_has_pending_as_wanted_waits_and_is_not_sent(bmc, vendor):
    rig = bmc(vendor)
    rig.set(pending=off(vendor))
    result = rig.run()
    assert not result["changed"] and reasons(result) == keys(off(vendor)) and rig.sent() == 0


# Dell's jobs.


def test_dell_shows_pending_settings_as_current_and_the_job_keeps_them_due(bmc):
    rig = bmc("dell", "early")
    touched = rig.run()["touched"]
    second = rig.run(waiting=touched)
    assert {now["current"] for now in second["attributes"].values()} == {"Enabled"}
    assert not second["changed"] and reasons(second) == keys(off("dell")) and rig.sent() == 1
    assert "BIOS job JID_001 is Scheduled" in second["reboot"][0]["text"]
    rig.reboot()
    assert rig.run(tried=touched)["reboot"] == []


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("faults", [(), ("early",)])
def test_a_change_that_the_host_does_not_remember_is_due_and_not_sent_again(bmc, vendor, faults):
    """The run was killed after the change and before the note on the host."""
    rig = bmc(vendor, *faults)
    rig.run()
    again = rig.run()
    assert not again["changed"] and reasons(again) == keys(off(vendor)) and rig.sent() == 1


def test_a_job_that_survives_the_reboot_counts_as_not_applied(bmc):
    rig = bmc("dell", "early", "job stays")
    touched = rig.run()["touched"]
    rig.reboot()
    after = rig.run(tried=touched)
    assert reasons(after) == keys(off("dell")) and "before the last reboot, BIOS job" in after["reboot"][0]["text"]
    assert rig.sent() == 1


def test_pending_settings_without_a_job_are_sent_again_with_one(bmc):
    rig = bmc("dell")
    rig.set(pending=off("dell"))
    result = rig.run()
    assert result["changed"] and rig.sent() == 1 and rig.state["job"] == "JID_001"


def test_a_change_without_a_job_is_an_error(bmc):
    rig = bmc("dell", "no job")
    result = rig.run()
    assert "without a job, so no reboot would apply it" in result["msg"] and rig.sent() == 1


def test_a_job_of_another_user_is_in_the_way_of_a_change(bmc):
    rig = bmc("dell")
    rig.set(job="JID_777", pending={"LogicalProc": "Disabled"})
    assert rig.refusal() == (
        f"the BMC at 127.0.0.1:{rig.port} has the BIOS job JID_777 (Scheduled), and accepts no more settings until the host "
        "has been rebooted, but ProcVirtualization, SriovGlobalEnable must be set: reboot the host, then run the role again"
    )
    assert rig.refusal(check_mode=True)


def test_a_job_of_another_user_does_not_matter_if_nothing_has_to_be_set(bmc):
    rig = bmc("dell", **WANTED["dell"])
    rig.set(job="JID_777", pending={"LogicalProc": "Disabled"})
    result = rig.run()
    assert not result["changed"] and result["reboot"] == []


def test_settings_of_another_user_without_a_job_are_not_applied_by_ours(bmc):
    rig = bmc("dell")
    rig.set(pending={"LogicalProc": "Disabled"})
    assert "pending settings of another user without a job (LogicalProc)" in rig.refusal()


# Names and values.


def test_a_name_can_be_given_without_the_digits_of_the_board(bmc):
    rig = bmc("supermicro")
    rig.run(features=[], attributes={"ARISupport": "Enabled"})
    assert rig.state["changes"][0]["Attributes"] == {"ARISupport_0049": "Enabled"}


def test_a_name_that_means_several_settings_is_refused(bmc):
    assert bmc("supermicro").refusal(features=[], attributes={"PortEnable": False}) == (
        "sriov_bios_attributes has PortEnable, which can be several settings of this BIOS: name one of PortEnable_0A01, "
        "PortEnable_0A02"
    )


def test_two_names_of_one_setting_are_refused(bmc):
    given = {"ARISupport": "Enabled", "ARISupport_0049": "Disabled"}
    assert bmc("supermicro").refusal(attributes=given) == (
        "sriov_bios_attributes has ARISupport and ARISupport_0049, which are both the setting ARISupport_0049: remove one of them"
    )


def test_an_unknown_name_is_refused_with_those_that_may_be_meant(bmc):
    assert bmc("dell").refusal(attributes={"SriovGlobalEnabled": "Enabled", "SriovFoo": 1}) == (
        "sriov_bios_attributes has SriovGlobalEnabled, which is not a setting of this BIOS: correct it, the BIOS has "
        "SriovGlobalEnable, ProcVirtualization; sriov_bios_attributes has SriovFoo, which is not a setting of this BIOS: correct it, "
        "the BIOS has ProcVirtualization, SriovGlobalEnable"
    )


def test_a_wrong_value_is_refused_with_the_right_ones(bmc):
    assert bmc("dell").refusal(attributes={"MmioAbove4Gb": "Enable", "AcPwrRcvryUserDelay": 10}) == (
        "sriov_bios_attributes has MmioAbove4Gb: 'Enable', which this BIOS does not accept: give one of Enabled, Disabled; "
        "sriov_bios_attributes has AcPwrRcvryUserDelay: 10, which this BIOS does not accept: give a number from 60 to 600"
    )


@pytest.mark.parametrize(
    "vendor, name, value, sent",
    [
        # Text from an inventory or a template.
        ("dell", "AcPwrRcvryUserDelay", "200", 200),
        ("supermicro", "PortEnable_0A01", "False", False),
        # A code of the registry in place of what the BIOS has.
        ("supermicro", "ARISupport_0049", "1", "Enabled"),
        ("supermicro", "ARISupport_0049", 1, "Enabled"),
        ("dell", "SetupPassword", "hidden", "hidden"),
    ],
)
def test_a_value_is_sent_as_the_bios_has_it(bmc, vendor, name, value, sent):
    rig = bmc(vendor)
    assert rig.run(features=[], attributes={name: value})["changed"]
    assert rig.state["changes"][0]["Attributes"] == {name: sent}


@pytest.mark.parametrize(
    "name, value, kind",
    [
        ("MmioAbove4Gb", True, "text in quotes"),
        ("MmioAbove4Gb", ["Enabled"], "text in quotes"),
        ("AcPwrRcvryUserDelay", "long", "a whole number"),
        ("AcPwrRcvryUserDelay", True, "a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused(bmc, name, value, kind):
    assert bmc("dell").refusal(attributes={name: value}).endswith(f"there: give {kind}")


def test_exact_names_have_priority_over_features(bmc):
    rig = bmc("dell")
    rig.run(attributes={"ProcVirtualization": "Disabled", "MmioAbove4Gb": "Enabled"})
    assert rig.state["changes"][0]["Attributes"] == {"SriovGlobalEnable": "Enabled", "MmioAbove4Gb": "Enabled"}


def test_a_machine_without_a_preset_is_left_alone_with_a_warning_for_each_feature(bmc):
    # With processors of AMD, whose names were not read in a registry.
    rig = bmc("dell", IommuSupport="Disabled")
    result = rig.run()
    assert result["absent"] == ["virtualization", "iommu", "sriov"] and not result["changed"] and rig.sent() == 0
    assert rig.warnings == [
        f"the names of the BIOS settings for {feature} are not known on this Dell Inc. PowerEdge: if it is off there, name its "
        f"settings in sriov_bios_attributes; this BIOS has {names}"
        for feature, names in (
            ("virtualization", "ProcVirtualization, IommuSupport, SriovGlobalEnable"),
            ("iommu", "IommuSupport, ProcVirtualization, SriovGlobalEnable"),
            ("sriov", "IommuSupport, ProcVirtualization, SriovGlobalEnable"),
        )
    ]


def test_a_setting_of_another_type_than_the_preset_is_no_setting_for_the_feature(bmc):
    rig = bmc("dgx", SRIOVEnable=0)
    assert rig.run()["absent"] == ["sriov"] and rig.sent() == 0


# What a BIOS or a BMC does not let anybody change.


def test_lockdown_is_refused_by_its_name(bmc):
    assert bmc("dell", "lockdown").refusal() == (
        "BIOS setting ProcVirtualization cannot become Enabled because all its settings are read-only: end the lockdown mode of the BMC"
    )


def test_a_profile_that_decides_a_setting_is_refused_by_its_name(bmc):
    rig = bmc("hpe", WorkloadProfile="I/OThroughput")
    assert rig.refusal() == (
        "BIOS setting Sriov cannot become Enabled because WorkloadProfile is I/OThroughput: change WorkloadProfile first, in the BIOS or "
        "in sriov_bios_attributes"
    )
    # It decides only that one.
    assert rig.run(features=["iommu"])["changed"]


def test_a_profile_counts_for_every_setting_where_the_registry_has_no_rules(bmc):
    rig = bmc("hpe", "no rules")
    assert "WorkloadProfile is GeneralPowerEfficientCompute, which may decide it" in rig.refusal()
    rig.run(attributes={"WorkloadProfile": "Custom"})
    assert rig.state["changes"][0]["Attributes"] == {**off("hpe"), "WorkloadProfile": "Custom"} and rig.sent() == 1


def test_a_profile_may_be_changed_together_with_what_it_decides(bmc):
    rig = bmc("hpe", WorkloadProfile="I/OThroughput")
    rig.run(attributes={"WorkloadProfile": "Custom"})
    assert rig.state["changes"][0]["Attributes"]["Sriov"] == "Enabled" and rig.sent() == 1


def test_a_missing_licence_is_said_in_the_words_of_the_bmc(bmc):
    rig = bmc("supermicro", "licence")
    message = rig.run()["msg"]
    assert message.endswith(
        "(403): Not licensed to perform this request. The following licenses SFT-OOB-LIC were needed."
    )
    assert rig.sent() == 1 and rig.state["pending"] == {}


@pytest.mark.parametrize("fault", ["no bios", "no settings object"])
def test_a_bmc_without_bios_settings_is_refused(bmc, fault):
    assert "shows no BIOS settings that can be changed" in bmc("supermicro", fault).refusal()


def test_several_systems_need_a_name(bmc):
    rig = bmc("dgx")
    assert "has the systems DGX, HGX_Baseboard_0: name the host's in sriov_bmc_system" in rig.refusal(system="")
    assert "has no system 'dgx': name one of DGX, HGX_Baseboard_0" in rig.refusal(system="dgx")


# The wrong host.


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_bmc_of_another_host_is_refused(bmc, vendor):
    other = {"serial": "XYZ9876", "uuid": "4c4c4544-0035-3410-8050-c6c04f314799"}
    rig = bmc(vendor)
    assert "belongs to another host (serial number " in rig.refusal(**other)
    assert "belongs to another host" in rig.refusal(check_mode=True, **other)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "known",
    [
        {"serial": HOST["serial"].lower() + " ", "uuid": ""},
        {"serial": "", "uuid": HOST["uuid"].upper()},
        {"serial": "To be filled by O.E.M.", "uuid": HOST["uuid"]},
        # A board that was replaced has another UUID.
        {"serial": HOST["serial"], "uuid": "11111111-2222-3333-4444-555555555555"},
    ],
)
def test_one_of_serial_number_and_uuid_is_enough(bmc, vendor, known):
    assert not bmc(vendor).run(check_mode=True, **known).get("failed")


@pytest.mark.parametrize(
    "known", [{"serial": "", "uuid": ""}, {"serial": "Default string", "uuid": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}]
)
def test_a_host_without_an_identity_is_refused(bmc, known):
    assert "it is not known whether the BMC at" in bmc("lenovo").refusal(**known)


def test_a_bmc_with_placeholders_proves_nothing(bmc):
    rig = bmc("lenovo")
    rig.set(host={"serial": "0123456789", "uuid": "03000200-0400-0500-0006-000700080009"})
    known = {"serial": "0123456789", "uuid": "03000200-0400-0500-0006-000700080009"}
    assert "it is not known whether" in rig.refusal(**known)


def test_the_other_byte_order_of_a_uuid_is_its_own_reverse():
    digits = HOST["uuid"].replace("-", "")
    assert identity.swapped(digits) == "44454c4c350010348050c6c04f314733"
    assert identity.swapped(identity.swapped(digits)) == digits


# The login, and the way to the BMC.


def test_a_session_is_opened_where_basic_authentication_is_refused_and_is_closed(bmc):
    rig = bmc("hpe", "no basic")
    assert rig.run()["changed"] and rig.sent() == 1
    methods = [method for method, _path in rig.state["requests"]]
    assert methods.count("POST") == methods.count("DELETE") == 1 and methods[-1] == "DELETE"
    assert rig.state["sessions"] == 0


def test_a_session_is_closed_after_a_refusal_too(bmc):
    rig = bmc("hpe", "no basic")
    rig.refusal(attributes={"Nonsense": 1})
    assert rig.state["sessions"] == 0 and rig.state["requests"][-1][0] == "DELETE"


def test_without_a_refusal_of_basic_authentication_no_session_is_opened(bmc):
    rig = bmc("dell")
    rig.run()
    assert {method for method, _path in rig.state["requests"]} == {"GET", "PATCH"}


def test_a_wrong_password_is_tried_twice_at_most_and_not_shown(bmc):
    rig = bmc("dell")
    message = rig.refusal(password="wrong battery")
    assert message == (
        f"the BMC at 127.0.0.1:{rig.port} refuses the login (401): correct sriov_bmc_username and sriov_bmc_password; "
        "some BMCs lock an account after a few attempts"
    )
    # The root needs no login.
    assert [path for _method, path in rig.state["requests"] if path != "/redfish/v1/"] == [
        "/redfish/v1/Systems",
        "/redfish/v1/SessionService/Sessions",
    ]


@pytest.mark.parametrize("missing", [["username"], ["password"], ["username", "password"]])
def test_without_a_login_nothing_is_sent(bmc, missing):
    rig = bmc("dell")
    message = rig.refusal(**dict.fromkeys(missing, ""))
    names = " and ".join("sriov_bmc_" + name for name in missing)
    assert message == f"sriov_bmc_address is set, and {names} is not: set it, or leave the address empty"
    assert rig.state["requests"] == []


def test_a_certificate_that_does_not_verify_is_refused_before_the_login(bmc):
    rig = bmc("dell")
    message = rig.refusal(ca_path=None)
    assert "the certificate of the BMC at" in message and "sriov_bmc_ca_path" in message
    assert rig.state["requests"] == []


def test_a_certificate_of_another_name_is_refused(bmc, monkeypatch):
    monkeypatch.setattr(fake_bmc, "ADDRESSES", "subjectAltName=DNS:elsewhere.invalid")
    rig = bmc("dell", certificate=None)
    assert "cannot be verified" in rig.refusal() and rig.state["requests"] == []


def test_a_certificate_may_be_left_unverified(bmc):
    rig = bmc("dell")
    assert rig.run(ca_path=None, validate_certs=False)["changed"] and rig.sent() == 1


def test_a_file_of_authorities_that_is_missing_is_refused_by_its_name(bmc):
    assert "sriov_bmc_ca_path is /nowhere.pem" in bmc("dell").refusal(ca_path="/nowhere.pem")


def test_a_redirect_to_another_host_is_not_followed(bmc):
    rig = bmc("dell", "redirect")
    assert "(308): it redirects to https://elsewhere.invalid/redfish/v1/" in rig.refusal()


def test_something_else_than_a_bmc_is_refused(bmc):
    assert "does not answer GET /redfish/v1/ with JSON" in bmc("dell", "no json").refusal()


def test_a_bmc_that_is_busy_is_said_in_its_words(bmc):
    assert "(503): The service is temporarily unavailable." in bmc("dell", "busy").refusal()


def test_a_bmc_that_does_not_answer_is_refused(bmc):
    rig = bmc("dell")
    rig.end()
    message = rig.run()["msg"]
    assert f"the BMC at 127.0.0.1:{rig.port} does not answer over HTTPS" in message and "sriov_bmc_via" in message


@pytest.mark.parametrize("address", ["http://bmc", "bmc/redfish", "user@bmc", "bmc:https", "", " ", "bmc\nother"])
def test_an_address_that_is_none_is_refused(bmc, address):
    assert bmc("dell").refusal(address=address).startswith("sriov_bmc_address is ")


@pytest.mark.parametrize(
    "address, host",
    [
        ("bmc0.example.org", "bmc0.example.org"),
        ("https://bmc0.example.org/", "bmc0.example.org"),
        ("10.0.0.5:8443", "10.0.0.5:8443"),
        ("fd00::5", "[fd00::5]"),
        ("[fd00::5]:443", "[fd00::5]:443"),
        (" bmc0 ", "bmc0"),
    ],
)
def test_an_address_is_taken_as_it_is_written(address, host):
    assert redfish.host_of(address) == host


# Reading back after a reboot.


def test_a_bmc_that_is_late_is_waited_for(bmc):
    rig = bmc("dell", "late")
    touched = rig.run()["touched"]
    rig.reboot()
    after = rig.run(check_mode=True, tried=touched, settle=300)
    assert after["reboot"] == [] and rig.slept == [2 * work.PAUSE] * fake_bmc.LATE_REQUESTS and rig.sent() == 1


def test_a_bmc_is_not_waited_for_without_an_end(bmc):
    rig = bmc("dell", "ignored")
    touched = rig.run()["touched"]
    rig.reboot()
    rig.slept.clear()
    after = rig.run(check_mode=True, tried=touched, settle=25)
    assert reasons(after) == keys(off("dell")) and rig.slept == [10, 10, 5] and rig.sent() == 1


def test_a_bmc_that_is_at_work_no_more_is_waited_for_a_minute(bmc):
    rig = bmc("dell", "ignored")
    touched = rig.run()["touched"]
    rig.reboot()
    rig.slept.clear()
    assert reasons(rig.run(check_mode=True, tried=touched, settle=300)) == keys(off("dell"))
    assert rig.slept == [10] * 6


def test_a_bmc_with_a_job_is_waited_for_to_the_end(bmc):
    rig = bmc("dell", "job stays")
    touched = rig.run()["touched"]
    rig.reboot()
    rig.slept.clear()
    rig.run(check_mode=True, tried=touched, settle=85)
    assert rig.slept == [10] * 8 + [5]


def test_a_bmc_that_is_busy_after_the_reboot_is_asked_again(bmc):
    rig = bmc("dell", "busy", **WANTED["dell"])
    assert not rig.run(check_mode=True, settle=300).get("failed") and len(rig.slept) == 2


def test_a_wrong_login_is_not_tried_again_while_waiting(bmc):
    rig = bmc("dell")
    assert "refuses the login" in rig.refusal(check_mode=True, settle=300, password="wrong battery") and rig.slept == []


# What the host remembers.


def remember(fake, monkeypatch, capsys, reasons_, touched=(), check_mode=False):
    arguments = {"reasons": reasons_, "touched": list(touched), "_ansible_check_mode": check_mode}
    give(monkeypatch, arguments)
    with pytest.raises(SystemExit):
        sriov_bios_notes.main()
    return json.loads(capsys.readouterr().out)


REASON = {"key": "bios:Sriov=Enabled", "text": "BIOS setting Sriov becomes Enabled"}


def boot(fake, number):
    path = fake.root / "proc/sys/kernel/random/boot_id"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"boot-{number}\n")


def test_the_host_remembers_what_waits_until_a_reboot_has_failed_to_bring_it(fake, monkeypatch, capsys):
    boot(fake, 1)
    assert remember(fake, monkeypatch, capsys, [REASON], [REASON["key"]])["reboot"] == [REASON]
    assert notes.of_host()["waiting"] == [REASON["key"]] and notes.of_host()["tried"] == []
    boot(fake, 2)
    assert notes.of_host()["waiting"] == [] and notes.of_host()["tried"] == [REASON["key"]]
    result = remember(fake, monkeypatch, capsys, [REASON])
    assert result["reboot"] == [] and result["stuck"][0]["key"] == REASON["key"]
    assert "although the host has been rebooted since" in result["stuck"][0]["text"]
    remember(fake, monkeypatch, capsys, [])
    assert not (fake.root / "var/lib/sriov/pending-bios.json").exists()


def test_the_host_remembers_nothing_in_check_mode(fake, monkeypatch, capsys):
    boot(fake, 1)
    assert remember(fake, monkeypatch, capsys, [REASON], [REASON["key"]], check_mode=True)["reboot"] == [REASON]
    assert not (fake.root / "var/lib/sriov").exists()


def test_reasons_of_another_form_are_refused(fake, monkeypatch, capsys):
    assert remember(fake, monkeypatch, capsys, [{"key": 1}])["msg"].startswith("reasons has {'key': 1}")


def test_the_identity_of_the_host_is_that_of_smbios(fake):
    folder = fake.root / "sys/class/dmi/id"
    folder.mkdir(parents=True, exist_ok=True)
    assert identity.own_identity() == {"serial": "", "uuid": ""}
    (folder / "product_serial").write_text("ABC1234\n")
    (folder / "product_uuid").write_text(HOST["uuid"] + "\n")
    assert identity.own_identity() == HOST
