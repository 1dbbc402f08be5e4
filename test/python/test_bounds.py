# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bounds of numbers: what the modules have of them agrees with the model, from which everything else gets them.

A module may be used without the role, and the host program runs without Ansible: neither reads the model's file.
"""

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import given
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import vfs as numvfs
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.variables import VARIABLES
from parts import mstconfig
from parts import program as host

ENTRY = VARIABLES["sriov_devices"]["elements"]["fields"]
COUNTS = {"sriov_numvfs": VARIABLES["sriov_numvfs"], "numvfs": ENTRY["numvfs"], "probe_vf": ENTRY["probe_vf"]}
SECONDS = {
    "boot_wait": "sriov_boot_wait",
    "numvfs_timeout": "sriov_numvfs_timeout",
    "settings_timeout": "sriov_vf_settings_timeout",
}


def bounds(spec):
    return spec["minimum"], spec["maximum"]


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_a_pf_has_as_many_vfs_as_the_host_program_takes(name):
    assert bounds(COUNTS[name]) == (0, host.MOST_VFS)


def test_a_count_that_a_module_gets_has_the_models_bounds():
    words, fits = given.FIELDS["numvfs"]
    least, most = bounds(ENTRY["numvfs"])
    assert words == "a whole number from %d to %d" % (least, most)
    assert [fits(value) for value in (least - 1, least, most, most + 1)] == [False, True, True, False]


def parameters(**more):
    """The parameters of sriov_vfs that its check looks at."""
    least = {"udev_rule_path": "/etc/a.rules", "units": {}, "devices": []}
    return {**least, **dict.fromkeys(SECONDS, 1), **more}


@pytest.mark.parametrize("name", SECONDS)
def test_seconds_have_the_models_bounds_in_the_module(name):
    least, most = bounds(VARIABLES[SECONDS[name]])
    for right in (least, most):
        assert numvfs.checked(parameters(**{name: right}))[name] == right
    for wrong in (least - 1, most + 1):
        with pytest.raises(host.Refusal) as refusal:
            numvfs.checked(parameters(**{name: wrong}))
        assert str(refusal.value) == "%s is %d: give a whole number from %d to %d" % (name, wrong, least, most)


@pytest.mark.parametrize("name", SECONDS)
def test_the_host_program_takes_what_the_module_writes(name):
    most = VARIABLES[SECONDS[name]]["maximum"]
    assert host.is_seconds(most) and not host.is_seconds(most + 1)


def test_a_number_in_firmware_has_the_models_bounds():
    least, most = bounds(ENTRY["firmware"])
    assert (least, most) == (0, mstconfig.LARGEST)
    assert mstconfig.checked_parameters({"A": least, "B": most}, "x")
    for wrong in (least - 1, most + 1):
        with pytest.raises(Refusal, match="from %d to %d" % (least, most)):
            mstconfig.checked_parameters({"A": wrong}, "x")
