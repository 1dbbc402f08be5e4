#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_own_files
short_description: Write YAML files and keep those that were edited
version_added: 2.2.0
description:
  - Writes files for an operator to review and edit. The first line of each is a comment with a checksum of the rest.
  - Replaces a file only if its checksum is right, so that it was not edited. Keeps all others, with a warning, and removes none.
  - The playbook C(stackhpc.sriov.discover) uses it on the controller.
author:
  - StackHPC (@stackhpc)
options:
  path:
    description: The folder of the files. The module creates it.
    type: path
    required: true
  files:
    description: The text of each file, by its path below the folder. The paths end in C(.yml).
    type: dict
    required: true
seealso:
  - module: stackhpc.sriov.sriov_nics
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows the changed files.
    support: full
"""

EXAMPLES = r"""
- name: Write variables for review
  stackhpc.sriov.sriov_own_files:
    path: /home/stack/sriov-discover
    files:
      group_vars/sriov_2x8086_10c9_max7.yml: |
        sriov_devices: []
  delegate_to: localhost
"""

RETURN = r"""
written:
  description: The files that were written.
  returned: success
  type: list
  elements: str
  sample: [/home/stack/sriov-discover/hosts.yml]
kept:
  description: The files that stay as they are, because they were edited or are not from this module.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import own_files
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal


def main():
    module = AnsibleModule(
        argument_spec={"path": {"type": "path", "required": True}, "files": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    try:
        result = own_files.write(module.params["path"], module.params["files"], module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    for path in result["kept"]:
        module.warn(own_files.warning_of(path))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
