# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What depends on the series: the commands that an operator types, and Nova's answers."""

import itertools
import json
import re
import subprocess

import pytest
from deployment import ROOT, Deployment

pytestmark = [pytest.mark.long, pytest.mark.other_series]

CORPUS = ROOT / "test" / "python" / "nova_corpus"


def number_of(series):
    """Its place in the order of all: 2025.1 is 31, the major version of its Nova."""
    year, half = (int(part) for part in series.split("."))
    return 25 + (year - 2022) * 2 + half - 1


def version_of(bin_folder, package):
    code = f"from importlib.metadata import version; print(version('{package}'))"
    result = subprocess.run([str(bin_folder / "python"), "-c", code], check=True, capture_output=True, text=True)
    return int(result.stdout.split(".")[0])


@pytest.mark.parametrize(
    "package, behind", [("kayobe", 13), ("kolla-ansible", 11), ("nova", 0), ("neutron", 5)], ids=lambda one: str(one)
)
def test_the_programs_are_those_of_the_series(kayobe_bin, nova_bin, series, package, behind):
    folder = nova_bin if package in ("nova", "neutron") else kayobe_bin
    assert version_of(folder, package) == number_of(series) - behind


# --- commands


@pytest.fixture(scope="module")
def deployment(kayobe_bin, tmp_path_factory):
    deployment = Deployment(tmp_path_factory.mktemp("commands"), kayobe_bin)
    deployment.configure()
    return deployment


@pytest.fixture(scope="module")
def options(deployment):
    """The options of a command of Kayobe: {option: what its help says of it}."""
    known = {}

    def of(*command):
        if command not in known:
            text = deployment.run(["kayobe", *command, "--help"], COLUMNS="300").stdout
            entries = re.split(r"\n(?=  -)", text)[1:]
            # "  -t TAGS, --tags TAGS", alone or with two spaces before its text.
            known[command] = {
                option: entry
                for entry in entries
                for option in re.findall(r"(?<![\w-])--?\w[\w-]*", re.split(r"\n|(?<=\S)  ", entry)[0])
            }
        return known[command]

    return of


def unknown_options(words, options):
    """Those of a command line that its help does not show."""
    command = itertools.takewhile(lambda word: re.fullmatch("[a-z]+", word), words[1:])
    known = options(*command)
    return [word for word in words if word.startswith("-") and word not in known]


@pytest.fixture(scope="module")
def printed(deployment):
    """The commands that the merge prints at its end, with this Kayobe installed."""
    merge = ["node", str(ROOT / "generator" / "bootstrap.mjs"), "kayobe", "--config-path", str(deployment.kayobe)]
    lines = deployment.run(merge).stdout.splitlines()
    assert not [line for line in lines if "this merge is tested with" in line]
    return [line.split() for line in lines if re.match(r"    kayobe ", line)]


def test_this_kayobe_has_the_commands_that_the_merge_prints(printed, options):
    assert len(printed) == 3
    assert [words for words in printed if unknown_options(words, options)] == []


def test_the_merge_prints_the_option_with_which_kayobe_writes_new_files(printed, kayobe_bin):
    """With -t Kayobe plays its own playbooks only if it adds its own tag to those that are given."""
    [source] = kayobe_bin.parent.glob("lib/python3.*/site-packages/kayobe/ansible.py")
    adds_its_tag = "kayobe-generate-config" in source.read_text()
    [words] = [words for words in printed if "deploy" in words]
    assert words[4:] == ["-t" if adds_its_tag else "-kt", "nova,neutron"]


def test_the_option_for_services_is_not_deprecated(printed, options):
    [words] = [words for words in printed if "deploy" in words]
    assert "deprecated" not in options("overcloud", "service", "deploy")[words[4]].lower()


def series_in(text, all_series):
    """The series that a comment names: "2025.1 and 2025.2" or "2026.1 and later"."""
    named = re.findall(r"20\d\d\.[12]", text)
    return [one for one in all_series if one in named or ("and later" in text and named and one >= named[0])]


def commands_of_pages(series):
    """The commands of the pages whose comment names this series, and those without a comment on series."""
    all_series = sorted(json.loads((ROOT / "generator" / "kayobe" / "series.json").read_text())["pythons"])
    for page in ("README.md", "docs/kayobe.md"):
        for line in (ROOT / page).read_text().splitlines():
            if re.match(r"    kayobe ", line):
                command, _sign, comment = line.partition("#")
                named = series_in(comment, all_series)
                if not named or series in named:
                    yield page, command.split()


def test_this_kayobe_has_the_commands_of_the_pages(series, options):
    found = list(commands_of_pages(series))
    assert len(found) > 6
    assert [(page, words) for page, words in found if unknown_options(words, options)] == []
    deploys = [words for page, words in found if "deploy" in words and page == "docs/kayobe.md"]
    assert deploys == [f"kayobe overcloud service deploy {'-t' if series >= '2026.1' else '-kt'} nova,neutron".split()]


# --- Nova


def test_nova_answers_as_recorded(nova_bin):
    result = subprocess.run(
        [str(nova_bin / "python"), str(CORPUS / "record.py")], check=True, capture_output=True, text=True
    )
    assert result.stdout == (CORPUS / "answers.json").read_text()


ASK = """
import sys
import nova.conf
from nova.pci import whitelist

nova.conf.CONF([], default_config_files=[])
try:
    whitelist.Whitelist([sys.argv[1]])
    print("taken")
except Exception as error:
    print(error)
"""


@pytest.mark.parametrize("naming", [{"devname": "ens1f0"}, {"address": "0000:3b:02.*"}], ids=str)
@pytest.mark.parametrize("value", ["true", "false"])
def test_nova_does_not_start_with_one_time_use(nova_bin, series, naming, value):
    """The reason why the role refuses it: Kolla Ansible leaves report_in_placement off, as it is by default."""
    spec = json.dumps({**naming, "physical_network": "physnet2", "one_time_use": value})
    command = [str(nova_bin / "python"), "-c", ASK, spec]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if value == "true" and number_of(series) >= 32:
        assert "report_in_placement" in said
    else:
        assert said == "taken\n"


ASK_PLACEMENT = """
import json
import sys
import nova.conf
from nova.compute.pci_placement_translator import PlacementView
from nova.objects.pci_device import PciDevice
from nova.pci import whitelist

nova.conf.CONF([], default_config_files=[])
nova.conf.CONF.set_override("report_in_placement", True, "pci")
[spec] = whitelist.Whitelist([sys.argv[1]]).specs
view = PlacementView("hypervisor", [])
vf = {"address": "0000:3b:02.0", "parent_addr": "0000:3b:00.0", "dev_type": "type-VF"}
view.process_dev(PciDevice(vendor_id="8086", product_id="10ca", status="available", **vf), spec)
print(json.dumps([[provider.resource_class, *sorted(provider.traits)] for provider in view.rps.values()]))
"""


@pytest.mark.parametrize("network", [{"physical_network": "physnet2"}, {}], ids=str)
def test_nova_reports_no_device_with_a_physical_network(nova_bin, network):
    """The reason why resource_class, traits and live_migratable have no effect here, as the pages say."""
    tags = {"resource_class": "CUSTOM_X", "traits": "CUSTOM_FAST", "live_migratable": "true"}
    spec = json.dumps({"address": "0000:3b:02.*", **network, **tags})
    command = [str(nova_bin / "python"), "-c", ASK_PLACEMENT, spec]
    reported = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if network:
        assert reported == []
    else:
        [provider] = reported
        assert {"CUSTOM_X", "CUSTOM_FAST"} <= set(provider)
