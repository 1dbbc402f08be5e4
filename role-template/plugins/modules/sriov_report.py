#!/usr/bin/python
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: sriov_report
short_description: Write a report on SR-IOV of many hosts
version_added: 2.2.0
description:
  - Writes C(sriov-report.json) and C(sriov-report.html) into a folder, and returns the few lines that an operator must read.
  - The page is one file without scripts, and loads nothing. The repository has a schema of the JSON, C(docs/report.schema.json).
  - The playbook C(stackhpc.sriov.report) uses it on the controller.
author:
  - StackHPC (@stackhpc)
options:
  hosts:
    description:
      - What M(stackhpc.sriov.sriov_nics) returned with O(stackhpc.sriov.sriov_nics#module:selection), or its failure, by the name of the
        host.
    type: raw
    required: true
  path:
    description: The folder of the files. The module creates it, and replaces an earlier report in it.
    type: path
    required: true
seealso:
  - module: stackhpc.sriov.sriov_nics
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: The files have no difference to show.
    support: none
"""

EXAMPLES = r"""
- name: Write the report
  stackhpc.sriov.sriov_report:
    hosts: "{{ {inventory_hostname: seen} }}"
    path: /home/stack/sriov-report
  delegate_to: localhost
"""

RETURN = r"""
lines:
  description: What an operator reads first.
  returned: success
  type: list
  elements: str
  sample: ["2 hosts: 1 waiting for a reboot, 1 as wanted"]
files:
  description: The files.
  returned: success
  type: list
  elements: str
  sample: [/home/stack/sriov-report/sriov-report.html, /home/stack/sriov-report/sriov-report.json]
summary:
  description: The number of hosts in each state.
  returned: success
  type: dict
  sample: {unread: 0, failed: 0, reboot: 1, differs: 0, unset: 0, ok: 1, none: 0}
"""

import os
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov import check
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.fleet import page, report
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.program import disk


def main():
    module = AnsibleModule(
        argument_spec={"hosts": {"type": "raw", "required": True}, "path": {"type": "path", "required": True}},
        supports_check_mode=True,
        # The system log must not get the results of a thousand hosts.
        no_log=True,
    )
    hosts = module.params["hosts"]
    if not isinstance(hosts, dict):
        module.fail_json(msg=f"hosts is {check.shown(hosts)}: give a dictionary of results by host")
    found = report.document(hosts, datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
    files = {
        os.path.join(module.params["path"], f"sriov-report.{ending}"): text
        for ending, text in (("html", page.page(found)), ("json", report.text_of(found)))
    }
    for path, text in files.items():
        try:
            if not module.check_mode:
                disk.write_atomically(path, text)
        except OSError as error:
            module.fail_json(
                msg=f"{path} cannot be written ({error.strerror}): choose another folder with sriov_report_path"
            )
    module.exit_json(changed=True, lines=report.lines_of(found), summary=found["summary"], files=list(files))


if __name__ == "__main__":
    main()
