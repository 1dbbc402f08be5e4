"""Keep what Python compiles out of zip archives, by a hash of the source.

Ansible sends its modules as zip archives, whose contents Python compiles again in every
task; under emulation that is most of a task's time.
"""

import _imp
import marshal
import os
import zipimport

_compile = zipimport._compile_source
_folder = "/var/cache/rig-zip"


def _cached(pathname, source):
    name = "%s/%s-%s" % (_folder, os.path.basename(pathname), _imp.source_hash(0x5249475A4950, bytes(source)).hex())
    try:
        with open(name, "rb") as handle:
            return marshal.load(handle)
    except (OSError, EOFError, ValueError):
        pass
    code = _compile(pathname, source)
    try:
        partial = "%s.%d" % (name, os.getpid())
        with open(partial, "wb") as handle:
            marshal.dump(code, handle)
        os.replace(partial, name)
    except OSError:
        pass
    return code


zipimport._compile_source = _cached
