# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No function over 60 lines, no module over 500, in all Python but tests, which list cases. ruff counts branches.

Lines are those with code: a docstring, comments and blank lines make no function harder to hold in one's head.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("bench", "generator", "molecule", "role-template")
LINES_OF_FUNCTION = 60
LINES_OF_MODULE = 500
# What is longer, with the reason.
LONGER: dict[str, str] = {}


def code_lines(node: ast.AST, lines: list[str]) -> int:
    """The lines of a function that have code, without its docstring."""
    body = list(node.body)
    docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    inside = set(range(body[0].lineno, body[0].end_lineno + 1)) if docstring else set()
    counted = (number for number in range(node.lineno, node.end_lineno + 1) if number not in inside)
    return sum(1 for number in counted if (line := lines[number - 1].strip()) and not line.startswith("#"))


def too_long(text: str) -> list[str]:
    """The functions of a module that are too long, and "module" when the module itself is."""
    lines = text.splitlines()
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    found = [node.name for node in functions if code_lines(node, lines) > LINES_OF_FUNCTION]
    return found + (["module"] if len(lines) > LINES_OF_MODULE else [])


def test_no_function_and_no_module_is_too_long() -> None:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 80
    found = {f"{path.relative_to(ROOT)}: {name}" for path in paths for name in too_long(path.read_text())}
    assert found == set(LONGER)


@pytest.mark.parametrize(
    "body, longer",
    [
        ("    a = 1\n" * 59, False),
        ("    a = 1\n" * 60, True),
        ('    """One.\n\n    Two.\n    """\n' + "    a = 1\n\n    # why\n" * 59, False),
    ],
)
def test_lines_with_code_count(body: str, longer: bool) -> None:
    assert too_long("def f():\n" + body) == (["f"] if longer else [])


def test_a_module_counts_all_its_lines() -> None:
    assert too_long("# a\n" * 500) == []
    assert too_long("# a\n" * 501) == ["module"]
