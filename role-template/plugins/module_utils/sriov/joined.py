# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host program as one file: its parts, one after the other, as an operator reads it on the host.

It is joined here, where the module has the sources, and not when the role is generated. So the tests, the modules and
the host use the same text, and there is no second implementation in TypeScript that must agree. It takes about a
millisecond, and only the concern of the VFs needs it.
"""

from __future__ import annotations

import re

from . import errors
from .bios import vendors
from .program import (
    causes,
    cli,
    configuration,
    connection,
    decision,
    disk,
    holders,
    host,
    kernel_log,
    lock,
    numvfs,
    pfs,
    programs,
    sysfs,
    write_errors,
    writers,
)

# -S: the program needs only the standard library, and the search for more takes a fifth of Python's own start.
HEAD = "#!/usr/bin/python3 -IS\n"
# Each part after the parts that it imports.
PARTS = (
    errors,
    host,
    sysfs,
    programs,
    holders,
    connection,
    configuration,
    disk,
    lock,
    vendors,
    causes,
    decision,
    kernel_log,
    write_errors,
    numvfs,
    writers,
    pfs,
    cli,
)
# The beginning of every part: a licence, a docstring, an import from the future. Imports follow, up to the first other
# line.
OPENING = re.compile(r'(?P<licence>(?:#.*\n)+)"""(?P<about>.*?)"""\n\nfrom __future__ import annotations\n', re.DOTALL)
IMPORT = re.compile(
    r"(?:import (?P<module>\S+)|from (?P<source>\w\S*) import (?P<names>[\w, ]+)|from \.\S+ import (?:\([^()]*\)|[^()\n]*))\n|\n"
)


def program_text() -> str:
    """The text of the program that the role installs. The same parts make the same text.

    Raises ValueError if a part does not match OPENING: an error in the part, which a test finds.
    """
    modules, named, bodies, licence, about = set(), {}, [], "", ""
    for part in PARTS:
        source = part.__loader__.get_source(part.__name__)
        opening = OPENING.match(source)
        if opening is None:
            raise ValueError(part.__name__)
        licence, about = opening.group("licence"), opening.group("about")
        position = opening.end()
        found = IMPORT.match(source, position)
        while found:
            modules.update({found.group("module")} - {None})
            if found.group("source"):
                named.setdefault(found.group("source"), set()).update(found.group("names").split(", "))
            position = found.end()
            found = IMPORT.match(source, position)
        name = part.__name__.rpartition(".")[2]
        lines = [f"--- {name} ---"] + ([] if part is cli else about.rstrip("\n").split("\n"))
        comment = "".join(("# " + line).rstrip() + "\n" for line in lines)
        bodies.append("%s\n\n%s" % (comment, source[position:].strip("\n")))
    imports = "".join(f"import {module}\n" for module in sorted(modules)) + "".join(
        f"from {module} import {', '.join(sorted(names))}\n" for module, names in sorted(named.items())
    )
    # The last part is the command line: its docstring describes the program.
    return "".join(
        (
            HEAD,
            licence,
            '"""',
            about,
            '"""\n\n',
            "from __future__ import annotations\n\n",
            imports,
            "\n",
            "\n\n\n".join(bodies),
            "\n",
        )
    )
