# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""oslo-config-validator over many files in one process: loading every option of Nova takes longer than a file.

stdin:  [[namespaces], [paths]]
stdout: the options that it refuses, of all files together
"""

import json
import logging
import sys

from oslo_config import validator


class Refused(logging.Handler):
    """The validator reports an option by logging an error with the section and the option."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.options = set()

    def emit(self, record):
        self.options.add("/".join(record.args))


namespaces, paths = json.load(sys.stdin)
refused = Refused()
validator.LOG.addHandler(refused)
codes = []
for path in paths:
    sys.argv[1:] = ["--input-file", path, *(word for namespace in namespaces for word in ("--namespace", namespace))]
    codes.append(validator.main())
if any(codes) != bool(refused.options):
    sys.exit(f"oslo-config-validator ended with {codes} and refused {refused.options}")
json.dump(sorted(refused.options), sys.stdout)
