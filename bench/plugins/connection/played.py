# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated host: answers at once for each module, from a file, and starts no process. What a run then costs is the
controller's.

SRIOV_BENCH_ANSWERS names a JSON file {module or "module ARGUMENT": result}; of those that fit the longest name wins.
SRIOV_BENCH_FOLDER is where each remote execution and each transfer of a file is noted, what the host "has" of files
that were copied, and, below `programs` where there is such a folder, each module as it would have been sent.
"""

from __future__ import annotations

import ast
import functools
import json
import os
import re

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: played
author: StackHPC (@stackhpc)
short_description: Answers for a host that is not there
description:
  - For measurements of the controller.
"""

MODULE = re.compile(rb"(?:module_fqn|mod_name)='([\w.]+)'")
PARAMETERS = re.compile(rb"(?:params=|ANSIBALLZ_PARAMS = |json_params = )(b?'(?:[^'\\]|\\.)*')")
TEMPORARY = re.compile(r"ansible-tmp-[\d.]+-\d+-\d+")
# What the name of an answer may have after the module: the command, or the file.
ARGUMENTS = ("_raw_params", "path", "src", "dest")


@functools.cache
def answers():
    """All answers of this run."""
    with open(os.environ["SRIOV_BENCH_ANSWERS"], encoding="utf-8") as stream:
        return json.load(stream)


def parameters_of(program):
    """The parameters in a module's program, as ansible-core makes it."""
    found = PARAMETERS.search(program)
    value = json.loads(ast.literal_eval(found.group(1).decode())) if found else {}
    return value.get("ANSIBLE_MODULE_ARGS", value)


class Connection(ConnectionBase):
    """A connection to a simulated host."""

    transport = "played"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def close(self):
        """There is nothing to close."""
        self._connected = False

    def _note(self, name, text):
        """Append to a file of the run, in one write, since each worker is a process."""
        descriptor = os.open(
            os.path.join(os.environ["SRIOV_BENCH_FOLDER"], name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600
        )
        try:
            os.write(descriptor, (text + "\n").encode())
        finally:
            os.close(descriptor)

    def _copied(self, path):
        """The file in which the checksum of a copied file is kept, for all hosts: they get the same."""
        return os.path.join(os.environ["SRIOV_BENCH_FOLDER"], "copied", path.replace("/", "_"))

    def _play(self, module, parameters):
        """The result of a module."""
        argument = next((str(parameters[name]) for name in ARGUMENTS if name in parameters), "")
        if module == "stat" and module not in answers():
            try:
                with open(self._copied(argument), encoding="utf-8") as stream:
                    return {
                        "changed": False,
                        "stat": {"exists": True, "isdir": False, "islnk": False, "checksum": stream.read()},
                    }
            except OSError:
                return {"changed": False, "stat": {"exists": False}}
        if module == "copy":
            os.makedirs(os.path.dirname(self._copied("/")), exist_ok=True)
            with open(self._copied(parameters["dest"]), "w", encoding="utf-8") as stream:
                stream.write(parameters["checksum"])
            return {"changed": True, "dest": parameters["dest"], "checksum": parameters["checksum"]}
        fitting = [name for name in answers() if (module + " " + argument + " ").startswith(name + " ")]
        if not fitting:
            return {"failed": True, "msg": f"the bench has no answer for {module} {argument}"}
        return answers()[max(fitting, key=len)]

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """Play a command; returns its code, output and errors."""
        found = MODULE.search(in_data or b"")
        if found:
            module = found.group(1).decode().rpartition(".")[2]
            self._note("executions", module)
            kept = os.path.join(os.environ["SRIOV_BENCH_FOLDER"], "programs")
            if os.path.isdir(kept):
                with open(os.path.join(kept, module), "wb") as stream:
                    stream.write(in_data)
            return 0, json.dumps(self._play(module, parameters_of(in_data))).encode(), b""
        self._note("executions", "shell")
        temporary = TEMPORARY.search(cmd)
        return (
            0,
            (f"{temporary.group()}=/root/.ansible/tmp/{temporary.group()}\n" if temporary else "/root\n").encode(),
            b"",
        )

    def put_file(self, in_path, out_path):
        """Take a file."""
        self._note("executions", "transfer")

    def fetch_file(self, in_path, out_path):
        """No simulated host has a file to give."""
        raise NotImplementedError(in_path)
