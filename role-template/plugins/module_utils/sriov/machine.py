# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose boot loader the role manages: reads files below its root, and runs programs."""

from __future__ import annotations

import os

from .program.host import Host


class Machine(Host):
    """Files below `root` and a way to run commands: the only access to the machine, so that tests can use another one.

    run: called with (list of str, stdin text or None), returns (rc, stdout, stderr).
    """

    BIN = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")

    def __init__(self, run, root="/"):
        super().__init__(root)
        self.run = run

    def read(self, path):
        """The text of a file, or None if it does not exist."""
        try:
            with open(self.real(path), encoding="utf-8", errors="surrogateescape", newline="") as stream:
                return stream.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def is_file(self, path):
        return os.path.isfile(self.real(path))

    def is_directory(self, path):
        return os.path.isdir(self.real(path))

    def names(self, path):
        """The sorted names in a directory; empty when there is none."""
        try:
            return sorted(os.listdir(self.real(path)))
        except OSError:
            return []

    def which(self, *names):
        """The path of the first of these programs that is installed, or None."""
        for name in names:
            for directory in self.BIN:
                if os.access(self.real(f"{directory}/{name}"), os.X_OK):
                    return f"{directory}/{name}"
        return None

    def uefi_loader(self, variable="LoaderInfo"):
        """The boot loader's data about itself, from a UEFI variable of the Boot Loader Interface, or None."""
        path = f"/sys/firmware/efi/efivars/{variable}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        try:
            with open(self.real(path), "rb") as stream:
                # efivarfs puts four bytes of attributes before the value, which is UTF-16.
                return stream.read()[4:].decode("utf-16-le", "replace").strip("\0 ") or None
        except OSError:
            return None
