# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts the results of a run: each host of each task is one, with what became of it."""

from __future__ import annotations

import collections
import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: counted
type: aggregate
short_description: Counts results
description:
  - Writes the counts to SRIOV_BENCH_FOLDER at the end of the run.
author: StackHPC (@stackhpc)
"""


class CallbackModule(CallbackBase):
    """Counts the results of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "counted"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def v2_runner_on_ok(self, result):
        """A task that ran on one host."""
        self.counts["ok"] += 1

    def v2_runner_on_skipped(self, result):
        """A task that did not have to run on one host."""
        self.counts["skipped"] += 1

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A task that failed on one host."""
        self.counts["failed"] += 1

    def v2_playbook_on_include(self, included_file):
        """A file of tasks, or a role, that was included for some hosts."""
        self.counts["included"] += len(included_file._hosts)

    def v2_playbook_on_stats(self, stats):
        """The end of the run."""
        with open(os.path.join(os.environ["SRIOV_BENCH_FOLDER"], "results"), "w", encoding="utf-8") as stream:
            json.dump(self.counts, stream)
