# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the generator knows of the ansible-core that the tools have: it changes when that is another release."""

import json
import re
from pathlib import Path

import ansible_test
from ansible.release import __version__

ROOT = Path(__file__).parents[2]


def test_the_tools_have_molecules_release():
    releases = json.loads((ROOT / "molecule" / "shared" / "ansible_releases.json").read_text())
    assert __version__.rpartition(".")[0] == releases["molecule"]


def test_the_build_provides_the_pip_that_ansible_test_wants():
    """ansible-test looks for a script of that name before it downloads one."""
    wanted = (Path(ansible_test.__file__).parent / "_internal" / "python_requirements.py").read_text()
    [pip] = re.findall(r"^ +pip='([0-9.]+)',$", wanted, re.MULTILINE)
    checks = (ROOT / "generator" / "release" / "checks.ts").read_text()
    assert f'getPipName = "get_pip_{pip.replace(".", "_")}.py"' in checks
