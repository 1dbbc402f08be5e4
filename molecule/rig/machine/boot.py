"""What the rig does in a guest by ssh: wait for the end of a boot, and keep the VFs' driver from loading."""

from __future__ import annotations

import subprocess
import time

from host import RigError, say

from machine.run import Run
from machine.wait import wait_until

# Probing a VF of the emulated card takes a guest seconds. udev has read modprobe's configuration before.
NO_VF_DRIVER = (
    "echo install igbvf /bin/false | sudo tee /etc/modprobe.d/no-igbvf.conf >/dev/null"
    " && sudo systemctl restart systemd-udevd && { sudo modprobe -r igbvf || true; }"
)


def ask_guest(run: Run, what: str, timeout: float, *words: str) -> tuple[int, str]:
    """Return the exit code of a command in the guest, and its output; RigError as soon as the guest cannot continue."""
    process = subprocess.Popen(
        run.ssh_command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        try:
            wait_until(lambda: process.poll() is not None, what, timeout, run)
        finally:
            process.kill()
        return process.returncode, (process.stdout.read() if process.stdout else "").strip()


def wait_for_boot(run: Run, timeout: float) -> None:
    """Wait for ssh, then until the guest has started all its units, and print how long it took."""
    started = time.monotonic()
    run.wait_ssh(timeout)
    seconds = time.monotonic() - started
    if run.machine().seeded:
        # In the first boot there is more to do than units, and systemctl may be too old to wait.
        ask_guest(run, "cloud-init to end", timeout, "cloud-init", "status", "--wait")
    # The exit code is that of the state, which a unit that failed makes "degraded".
    _, state = ask_guest(run, "the guest to start all units", timeout, "systemctl", "is-system-running", "--wait")
    say(f"ssh after {seconds:.0f} s, all units after {time.monotonic() - started:.0f} s, the system is {state}")


def keep_vf_driver_out(run: Run, timeout: float) -> None:
    """Keep the driver of the VFs from loading, in this boot and all others of this disk."""
    code, _ = ask_guest(run, "the VFs' driver to be kept out", timeout, NO_VF_DRIVER)
    if code != 0:
        raise RigError(f"the guest did not keep the VFs' driver from loading: exit code {code}")
