# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program as one file: all of its parts, each once, each after what it needs, and nothing changed.

What it does as a program is in test_host.py.
"""

import ast
import builtins
import inspect
import symtable
from pathlib import Path

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import errors, joined
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import cli, host

FOLDER = Path(cli.__file__).parent
NAMES = [part.__name__.rpartition(".")[2] for part in joined.PARTS]


def source(part):
    return Path(part.__file__).read_text(encoding="utf-8")


def is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))


def statements(text):
    """The statements of a text as they stand there, without docstring and imports."""
    return [ast.get_source_segment(text, node) for node in ast.parse(text).body[1:] if not is_import(node)]


def defined(text):
    """The names that a text gives something, each as often as it does."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.append(node.name)
        for target in node.targets if isinstance(node, ast.Assign) else ():
            found += [leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return found


def test_every_part_is_in_it_as_it_stands():
    assert sorted(NAMES) == sorted(
        [path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__"] + ["errors", "vendors"]
    )
    assert statements(joined.program_text()) == [one for part in joined.PARTS for one in statements(source(part))]


def test_each_part_begins_with_its_name():
    lines = joined.program_text().splitlines()
    assert [line for line in lines if line.startswith("# --- ")] == [f"# --- {name} ---" for name in NAMES]


def test_each_part_comes_after_those_that_it_imports():
    for index, part in enumerate(joined.PARTS):
        needed = {
            node.module.rpartition(".")[2]
            for node in ast.walk(ast.parse(source(part)))
            if isinstance(node, ast.ImportFrom) and node.level
        }
        assert needed <= set(NAMES[:index]), part.__name__


def test_no_name_is_defined_twice():
    names = defined(joined.program_text())
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_name_is_defined_or_imported():
    text = joined.program_text()
    top = symtable.symtable(text, "sriov-vfs", "exec")
    known = (
        {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        | set(dir(builtins))
        | {"__name__"}
    )

    def free(table):
        for one in table.get_children():
            yield from free(one)
        yield from (
            symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()
        )

    assert sorted(set(free(top)) - known) == []


def test_no_import_of_the_role_is_left_and_those_of_python_are_at_the_top():
    body = ast.parse(joined.program_text()).body
    imports = [node for node in body if is_import(node)]
    # After the docstring.
    assert body[1 : 1 + len(imports)] == imports
    assert [(node.module, node.level) for node in imports if isinstance(node, ast.ImportFrom)] == [
        ("__future__", 0),
        ("collections.abc", 0),
    ]
    names = [alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names]
    assert names == sorted(set(names))


def test_a_part_has_imports_from_others_at_its_top_alone():
    for part in joined.PARTS:
        tree = ast.parse(source(part))
        inner = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node not in tree.body]
        assert inner == [], part.__name__


def test_it_is_the_same_each_time():
    assert joined.program_text() == joined.program_text()


def test_it_reports_what_it_is():
    assert inspect.cleandoc(ast.get_docstring(ast.parse(joined.program_text()))) == inspect.cleandoc(cli.__doc__)


def test_a_part_that_begins_otherwise_is_a_fault(monkeypatch):
    class Loader:
        @staticmethod
        def get_source(_name):
            return "import os\n"

    monkeypatch.setattr(host, "__loader__", Loader)
    with pytest.raises(ValueError, match="program.host$"):
        joined.program_text()


def test_it_has_no_more_than_it_needs():
    assert "program" in cli.__name__ and errors is joined.PARTS[0] and cli is joined.PARTS[-1]
    assert joined.program_text().endswith("    sys.exit(main(sys.argv[1:]))\n")
