# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes when tasks begin and end, for `sriov-role verify --timings`.

The output of what a step plays is in no log before it has ended.
"""

from __future__ import annotations

DOCUMENTATION = """
name: task_times
type: aggregate
short_description: Append the times of tasks to a file
description:
  - Appends a line of JSON for each task that begins, and for each result of one, to the file that
    E(SRIOV_ROLE_TASK_TIMES) names. Nothing is shown.
"""

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """Notes tasks, those of handlers and included ones too.

    Ansible's own junit callback has durations alone, and no action.
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_times"
    CALLBACK_NEEDS_ENABLED = True

    def _note(self, **what: Any) -> None:
        line = json.dumps({"at": time.time(), **what})
        # Opened for each line: two playbooks may run at the same time.
        with open(os.environ["SRIOV_ROLE_TASK_TIMES"], "a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task begins."""
        self._note(task=task.get_name().strip(), action=task.action)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler begins."""
        self._note(task=task.get_name().strip(), action=task.action)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A host is done with the task that began last."""
        self._note()

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The same, with an error."""
        self._note()

    def v2_runner_on_skipped(self, result: Any) -> None:
        """The same, without doing it."""
        self._note()

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The same, where it could not be reached."""
        self._note()
