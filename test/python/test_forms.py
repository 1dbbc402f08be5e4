# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules judge the form of the variables as schema.json does, which has separate expressions for the same facts.

test/schema.test.ts has the schema judge the same file.
"""

import json
from pathlib import Path

import pytest
from fake_sysfs import fake_host  # noqa: F401 (pytest finds the fixture "fake")
from parts import devices as sriov_devices
from parts import program as host

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "schema" / "variables.json").read_text())


def judge(variables, fake):
    """The refusal of the module on a host without any NIC, where no entry has to choose anything; None when it refuses
    nothing.
    """
    fake.answer("ip -d -j link show", [])
    vendors = variables.get("sriov_mellanox_vendor_ids", ["0x15b3"])
    entries = [
        dict(entry, optional=True) if entry.get("optional") is None else entry for entry in variables["sriov_devices"]
    ]
    try:
        sriov_devices.select(
            {
                "devices": entries,
                "numvfs": 8,
                "numvfs_driver": "systemd",
                "numvfs_required_by": [],
                "firmware": True,
                # As Ansible hands a module a list of texts (check_type_list).
                "mellanox_vendor_ids": vendors.split(",") if isinstance(vendors, str) else vendors,
                "physnet_mappings": variables.get("sriov_physnet_mappings", {}),
                "openstack_release": variables.get("sriov_openstack_release"),
            }
        )
    except host.Refusal as refusal:
        return str(refusal)
    return None


@pytest.mark.parametrize("case", CASES, ids=[case["why"] for case in CASES])
def test_form_is_judged_as_the_schema_judges_it(case, fake):
    refusal = judge(case["variables"], fake)
    assert (refusal is not None) == ("at" in case), refusal
