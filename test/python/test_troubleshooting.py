# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/troubleshooting.md lists the messages of the role: each of them, and no other.

A message is a text with three words or more anywhere in a plugin, or with two where an error or a warning is made, and
each fail_msg of the tasks. What fills a placeholder is not looked at.
"""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "role-template"
PAGE = ROOT / "docs" / "troubleshooting.md"
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[-#0 +]*\d*(?:\.\d+)?[sdrXxi]")
QUOTED = re.compile(r"^- (`+)(.+?)\1(?!`)$")
DOCUMENTS = ("DOCUMENTATION", "EXAMPLES", "RETURN")
RAISING = ("fail_json", "warn", "Refusal", "ValueError")

# Texts with as many words that are not shown as a message, as they are in the source.
PIECES = (
    # They fill the placeholders of messages.
    "the entries",
    "everything is as it was",
    "the scripts in /etc/grub.d",
    "the script in /etc/grub.d that makes it uses its own line",
    "/etc/kernel/cmdline and the output of proxmox-boot-tool refresh",
    "proxmox-boot-tool refresh left it as it was",
    "/proc/cmdline, which counts because there is no %s",
    "none has one",
    "a line of %s that begins with # (which kernel-install reads as words here)",
    "a name",
    "a name or a list of names",
    "name or address",
    "that of the PF",
    "another device's",
    "not of",
    "vendor_id with product_id",
    "%s (vendor_id %s, product_id %s)",
    "exit code %s",
    "the kernel command line",
    "no VF",
    "%s num_vfs=%s probe_vf=%s",
    "no longer has",
    "no output",
    "the requested values",
    "the PFs of this host are ",
    "the run failed",
    "the run was ended",
    "a file could not be changed",
    "a PCI address such as 0000:3b:00.0",
    "a map or null",
    "a whole number from 0 to 65535",
    "a whole number or null",
    "text or null",
    "of no name",
    "vendor:product or null",
    "true or false",
    "net or pci",
    "a list of units",
    "a list of VFs with their settings",
    "all or a list of VFs",
    "another PF failed",
    " and their settings",
    " with their previous settings",
    "and %s more settings",
    "interface down -> up",
    "none like it",
    "of an unknown make",
    "text in quotes",
    "no reason given",
    "serial number %s, UUID %s",
    # The head of a difference.
    "BIOS settings of the next boot",
    # Words of programs and of drivers, to be recognised.
    "PCI rescan is required",
    "Cannot find device",
    "does not exist",
    "No such device",
    "Device or resource busy",
    "Numerical result out of range",
    "Operation not permitted",
    "Operation not supported",
    "Protocol not supported",
    "Resource temporarily unavailable",
    "array of byte",
    # What the role says at its end.
    "No PF is configured.",
    "No PF has VFs that the role manages.",
    "No VFs are set, because of sriov_action.",
    # The help of sriov-vfs.
    "Give SR-IOV PFs their configured number of VFs and their settings.",
    "set every PF that must be set at boot (run by sriov-vfs.service)",
    "set one PF (run by sriov-vfs@ADDRESS.service, which udev starts)",
    "succeed when these PFs have their VFs",
    "show each configured PF and its VFs, and whether it waits for a reboot or failed",
    "0: as wanted; 1: a PF failed or differs; 2: wrong use, or no usable configuration; 3: some of it only waits for a reboot",
)
# What is written into files.
OF_FILES = re.compile(
    r"^(#|from __future__ |\[Unit\]|unset |for |\s+case |if \[|\s+GRUB_|\"\$\{|SUBSYSTEM|ACTION|ENV|TEST)"
)


def plain(text, placeholder=PLACEHOLDER):
    """A message without what differs from time to time, and with single blanks."""
    return " ".join(placeholder.sub("<>", text).replace("%%", "%").split())


def words(text):
    return len(re.findall(r"[A-Za-z]{2,}", PLACEHOLDER.sub("", text)))


def formatted(node):
    """An f-string as a text with placeholders, as one that % fills."""
    return "".join(
        "%s" if isinstance(part, ast.FormattedValue) else part.value.replace("%", "%%") for part in node.values
    )


def constants(tree):
    """Every text of a module, as (text, whether an error or a warning is made of it); documentation and expressions
    left out.
    """
    aside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            aside.add(node.value)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in DOCUMENTS + (
            "BUSY",
            "PERMISSION",
            "UNSUPPORTED",
            "NO_ACCESS",
            # Names in makers' menus, which fill placeholders.
            "MENUS",
        ):
            aside.update(ast.walk(node.value))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ADVICE":
            aside.update(
                pair.elts[0]
                for pair in ast.walk(node.value)
                if isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant)
            )
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and getattr(node.func.value, "id", "") == "re"
        ):
            aside.update(inner for argument in node.args[:1] for inner in ast.walk(argument))

    def walk(node, raised):
        if node in aside and not isinstance(node, ast.Call):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, raised
        if isinstance(node, ast.JoinedStr):
            yield formatted(node), raised
            # What fills its placeholders may have separate texts; its own pieces are in the one above.
            for part in node.values:
                yield from walk(part.value, raised) if isinstance(part, ast.FormattedValue) else ()
            return
        called = node.func if isinstance(node, ast.Call) else None
        raised = raised or isinstance(node, ast.Raise) or getattr(called, "attr", getattr(called, "id", "")) in RAISING
        for child in ast.iter_child_nodes(node):
            yield from walk(child, raised)

    yield from walk(tree, False)


def of_python(source):
    """The messages in a module's source, as they stand there."""
    return [
        text
        for text, raised in constants(ast.parse(source))
        if " " in text and not OF_FILES.match(text) and words(text) >= (2 if raised else 3)
    ]


def of_yaml(source):
    """The messages of failed checks in a file of tasks, with Jinja's expressions as placeholders."""

    def walk(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "ansible.builtin.fail":
                    yield value["msg"]
                else:
                    yield from [value] if key == "fail_msg" else walk(value)
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    return list(walk(yaml.safe_load(source)))


def of_role():
    """Every message of the role, plain."""
    found = {
        plain(text)
        for path in TEMPLATE.glob("plugins/**/*.py")
        # What a table, a page or a proposal shows of many hosts is no message.
        if path.parent.name != "fleet"
        for text in of_python(path.read_text())
        if text not in PIECES
    }
    jinja = re.compile(r"\{\{.*?\}\}", re.DOTALL)
    return found | {plain(text, jinja) for path in TEMPLATE.glob("tasks/*.yml") for text in of_yaml(path.read_text())}


def of_page():
    """The messages that the page quotes, plain."""
    quoted = [QUOTED.match(line) for line in PAGE.read_text().splitlines()]
    return [plain(match.group(2), re.compile(r"<[^<>]+>")) for match in quoted if match]


def test_the_page_lists_every_message():
    assert sorted(of_role() - set(of_page())) == []


def test_the_page_lists_no_message_that_is_gone():
    assert sorted(set(of_page()) - of_role()) == []


def test_the_page_lists_each_message_once():
    page = of_page()
    assert sorted(text for text in set(page) if page.count(text) > 1) == []


def unexplained(page):
    """The bullets of a page without a blank line, a cause and a cure below them, or below those that follow without a
    gap.
    """
    left = re.sub(r"(?:^- `.+`\n)+\n\*\*Why:\*\* \S.*\n\*\*Do:\*\* \S", "", page, flags=re.MULTILINE)
    return [line for line in left.splitlines() if QUOTED.match(line)]


def test_every_message_has_a_cause_and_a_cure():
    assert unexplained(PAGE.read_text()) == []


@pytest.mark.parametrize(
    "page, want",
    [
        ("- `a`\n- `b`\n\n**Why:** c\n**Do:** d\n", []),
        ("- `a`\n\n- `b`\n\n**Why:** c\n**Do:** d\n", ["- `a`"]),
        ("- `a`\n**Why:** c\n**Do:** d\n", ["- `a`"]),
        ("- `a`\n\n**Why:** c\n", ["- `a`"]),
        ("- `a`\n\n**Why:** c\n**Do:**\n", ["- `a`"]),
        ("- `a`\n\n**Do:** d\n**Why:** c\n", ["- `a`"]),
        ("- `a`", ["- `a`"]),
        ("- `a` shows what there is.\n", []),
    ],
)
def test_a_message_without_a_cause_or_a_cure_is_reported(page, want):
    assert unexplained(page) == want


def test_the_excluded_messages_exist():
    every = {
        text for path in TEMPLATE.glob("plugins/**/*.py") for text, _raised in constants(ast.parse(path.read_text()))
    }
    assert sorted(set(PIECES) - every) == []


def test_what_is_left_out_for_many_hosts_refuses_nothing():
    sources = [path.read_text() for path in (TEMPLATE / "plugins/module_utils/sriov/fleet").glob("*.py")]
    assert len(sources) > 3
    assert not any(isinstance(node, ast.Raise) for source in sources for node in ast.walk(ast.parse(source)))


def test_enough_is_found_to_be_believed():
    assert len(of_role()) > 200


@pytest.mark.parametrize(
    "source, want",
    [
        ('def f():\n    """Words of a docstring."""\n    raise Refusal("%s went away" % a)\n', ["%s went away"]),
        ('raise host.Refusal("gone away: " + reason)\n', ["gone away: "]),
        ('return {"do": "fail", "message": "%s has no driver: load it"}\n', ["%s has no driver: load it"]),
        ('x = "two words"\n', []),
        ('x = re.compile(r"three words here")\n', []),
        ('DOCUMENTATION = "three words here"\n', []),
        (
            'ADVICE = tuple((re.compile(e), a) for e, a in (("what a tool says", "what is to be done"),))\n',
            ["what is to be done"],
        ),
        ('module.fail_json(msg="Cannot do: %s" % error)\n', ["Cannot do: %s"]),
        ('module.warn("too bad")\n', ["too bad"]),
        ('raise Refusal(f"{a} went away")\n', ["%s went away"]),
        ('raise Refusal(f"{where}: {a!r:.60} is "\n    "100% wrong")\n', ["%s: %s is 100%% wrong"]),
        ("raise Refusal(f\"it is {a or 'not yet known'}: wait\")\n", ["it is %s: wait", "not yet known"]),
    ],
)
def test_messages_are_found_in_python(source, want):
    assert of_python("def g():\n" + "".join(f"    {line}\n" for line in source.splitlines())) == want


def test_messages_are_found_in_tasks():
    assert of_yaml(
        "- block:\n    - assert:\n        that: a\n        fail_msg: >-\n          {{ a }} is\n          wrong\n"
    ) == ["{{ a }} is wrong"]
