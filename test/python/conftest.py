# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes role-template/plugins importable as ansible_collections.stackhpc.sriov.plugins, with no build before it."""

import sys
import types
from pathlib import Path

import pytest
from ansible.module_utils._internal._json import _profiles

# hang.py, as pyproject.toml has it: so that the fakes can be imported in a plain Python too.
sys.path.append(str(Path(__file__).resolve().parents[1]))
PLUGINS = Path(__file__).resolve().parents[2] / "role-template" / "plugins"
PACKAGE = "ansible_collections.stackhpc.sriov.plugins"


def _provide(name, directory=None):
    module = types.ModuleType(name)
    module.__path__ = [str(directory)] if directory else []
    sys.modules[name] = module
    parent, dot, child = name.rpartition(".")
    if dot:
        setattr(sys.modules[parent], child, module)


for depth in range(1, 5):
    _provide(".".join(PACKAGE.split(".")[:depth]))
_provide(PACKAGE + ".module_utils", PLUGINS / "module_utils")
_provide(PACKAGE + ".modules", PLUGINS / "modules")
_provide(PACKAGE + ".filter", PLUGINS / "filter")


@pytest.fixture(autouse=True)
def _as_on_a_target(monkeypatch):
    """A target has no controller's configuration, which has modules refuse text that UTF-8 cannot have. Here it may
    have been imported.
    """
    monkeypatch.setattr(_profiles, "_string_encoding_check_enabled", lambda: False)
