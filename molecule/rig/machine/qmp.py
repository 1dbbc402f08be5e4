"""QEMU's monitor: QMP over a socket in the run folder."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from host import HANG_SECONDS, RigError


class Monitor:
    """A QMP connection."""

    def __init__(self, directory: Path, timeout: float | None = HANG_SECONDS, name: str = "qmp.sock") -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        # A socket's address has 108 bytes, and run folders are deep.
        folder = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        try:
            self._socket.connect(f"/proc/self/fd/{folder}/{name}")
        finally:
            os.close(folder)
        self._file = self._socket.makefile("r")
        self._events: list[dict[str, Any]] = []
        json.loads(self._file.readline())
        self.execute("qmp_capabilities")

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def _read(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise RigError("the machine closed its monitor")
        message: dict[str, Any] = json.loads(line)
        return message

    def execute(self, command: str, **arguments: Any) -> Any:
        """Run a QMP command and return what it returns; RigError when QEMU refuses."""
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            message = self._read()
            if "error" in message:
                raise RigError(f"monitor: {command}: {message['error']['desc']}")
            if "return" in message:
                return message["return"]
            self._events.append(message)

    def human(self, command: str) -> str:
        """Run a command of the human monitor."""
        return str(self.execute("human-monitor-command", **{"command-line": command}))

    def shutdown_reason(self) -> str:
        """Wait until QEMU ends; return the reason that it gives (ShutdownCause), empty if it gives none."""
        reason = ""
        for line in self._file:
            message = json.loads(line)
            if message.get("event") == "SHUTDOWN":
                reason = message["data"]["reason"]
        return reason

    def wait_events(self, name: str, devices: Iterable[str], timeout: float) -> None:
        """Wait for an event about each of the devices; TimeoutError when one does not come."""
        deadline = time.monotonic() + timeout
        awaited = set(devices)
        while True:
            for event in self._events:
                if event.get("event") == name:
                    awaited.discard(event.get("data", {}).get("device"))
            if not awaited:
                return
            self._events.clear()
            self._socket.settimeout(max(0.1, deadline - time.monotonic()))
            self._events.append(self._read())
