"""Whether KVM works here, seen from a small guest that runs under it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import host
from host import RigError, say

from machine import qemu
from machine.qmp import Monitor


def try_kvm(timeout: float = 120) -> tuple[bool, str]:
    """Boot the firmware under KVM until it speaks; return whether it did and what was seen.

    That /dev/kvm opens, or even creates a virtual CPU, proves nothing: there are machines
    on which the guest then stops in the firmware with an internal error.
    """
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False, "/dev/kvm is not there or not accessible"
    with tempfile.TemporaryDirectory(prefix="sriov-rig-kvm-") as folder:
        directory = Path(folder)
        process = start_firmware(directory)
        try:
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                verdict = seen(process, directory)
                if verdict:
                    return verdict
                time.sleep(0.3)
            return False, f"the firmware gets nowhere within {timeout:.0f} s"
        finally:
            process.kill()
            process.wait()


def start_firmware(directory: Path) -> subprocess.Popen[bytes]:
    """Start a machine that has nothing to boot under KVM."""
    code, variables = qemu.find_firmware()
    shutil.copy(variables, directory / "vars.fd")
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
    command += ["-machine", "q35,kernel-irqchip=split", "-accel", "kvm", "-cpu", "host", "-m", "256"]
    command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"]
    command += ["-drive", "if=pflash,unit=1,format=raw,file=vars.fd"]
    command += ["-serial", "file:serial.log", "-qmp", "unix:qmp.sock,server=on,wait=off"]
    with (directory / "qemu.log").open("wb") as output:
        return subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def seen(process: subprocess.Popen[bytes], directory: Path) -> tuple[bool, str] | None:
    """Return whether KVM works, and by what that is seen; None while it is not."""
    if process.poll() is not None:
        lines = (directory / "qemu.log").read_text(errors="replace").splitlines()
        return False, f"QEMU ended: {lines[0] if lines else process.returncode}"
    with contextlib.suppress(OSError):
        # What the boot manager prints after the firmware has done everything else.
        if b"BdsDxe" in (directory / "serial.log").read_bytes():
            return True, "the firmware boots"
    with contextlib.suppress(OSError, RigError, ValueError), Monitor(directory, 5) as monitor:
        status = monitor.execute("query-status")["status"]
        if status not in ("running", "prelaunch"):
            return False, f"the firmware stops: {status}"
    return None


def choose_accelerator(wanted: str) -> str:
    """Return kvm or tcg; for auto, KVM only where it was seen to work since this machine booted."""
    if wanted != "auto":
        return wanted
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        say("WARNING: emulation (TCG), which is many times slower: /dev/kvm does not exist, or is not accessible")
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    verdict_path = host.cache_directory() / "kvm-verdict.json"
    with host.locked(verdict_path.with_suffix(".lock"), "it tries out KVM"):
        verdict: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            verdict = json.loads(verdict_path.read_text())
        if verdict.get("boot_id") != boot_id:
            works, reason = try_kvm()
            verdict = {"boot_id": boot_id, "works": works, "reason": reason}
            verdict_path.write_text(json.dumps(verdict))
    if verdict["works"]:
        say("KVM works: hardware virtualisation")
        return "kvm"
    say(f"WARNING: emulation (TCG), which is many times slower: {verdict['reason']}")
    return "tcg"
