#!/usr/bin/env python3
"""Measure the role on a machine with eight PFs: remote executions and wall time of a fresh and of a converged run.

Needs `ansible-playbook` on the PATH and the generated collection in dist/. Prints a table; asserts nothing about time.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PFS = 8
PLAYBOOK = HERE.parent / "shared" / "plays" / "include.yml"
COLUMNS = "{:>4}  {:<10}{:>12}{:>10}"


def vm(run: Path, *arguments: str) -> str:
    """Run a command of the rig; returns what it prints."""
    program = [sys.executable, str(HERE / "vm.py"), arguments[0], "--dir", str(run), *arguments[1:]]
    return subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True).stdout


def inventory(run: Path) -> dict:
    """The machine as the only host of an inventory."""
    return {
        "compute_sriov": {
            "hosts": {
                "vm": {
                    "ansible_host": "127.0.0.1",
                    "ansible_port": int((run / "port").read_text()),
                    "ansible_user": "molecule",
                    "ansible_ssh_private_key_file": str(run / "key"),
                    "ansible_python_interpreter": "/usr/bin/python3",
                }
            }
        }
    }


def play(run: Path, pfs: int) -> tuple[int, float, bool]:
    """Run the role for the first `pfs` PFs; returns remote executions, seconds, and whether anything changed."""
    variables = {
        "role_under_test": "stackhpc.sriov.sriov",
        "sriov_do_reboot": False,
        "sriov_devices": [{"address": f"0000:{number:02x}:00.0", "numvfs": 2} for number in range(1, pfs + 1)],
    }
    environment = dict(
        os.environ,
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / "dist" / "collections"),
        ANSIBLE_GATHERING="explicit",
        ANSIBLE_PIPELINING="true",
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_SSH_ARGS="-F none -o ControlMaster=auto -o ControlPersist=300 -o IdentitiesOnly=yes -o LogLevel=ERROR "
        f"-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={run}/known_hosts",
    )
    command = ["ansible-playbook", "-vvv", "-i", str(run / "inventory.json"), str(PLAYBOOK)]
    command += ["-e", json.dumps(variables)]
    started = time.monotonic()
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the role failed:\n{done.stdout[-4000:]}")
    return done.stdout.count("SSH: EXEC ssh"), time.monotonic() - started, " changed=0 " not in done.stdout


def measure(run: Path, pfs: int) -> None:
    """Print what a fresh and a converged run take for the first `pfs` PFs, and leave none configured."""
    for title in ("fresh", "converged"):
        executions, seconds, changed = play(run, pfs)
        if changed == (title == "converged"):
            raise SystemExit(f"a {title} run with {pfs} PFs that {'changed' if changed else 'changed nothing'}")
        print(COLUMNS.format(pfs, title, executions, f"{seconds:.1f}"), flush=True)
    play(run, 0)


def make_mellanox(run: Path) -> None:
    """Give every PF the identity of a separate Mellanox card, whose firmware offers enough VFs."""
    packed = subprocess.run(["tar", "-C", str(HERE / "card"), "-cz", "."], check=True, stdout=subprocess.PIPE).stdout
    text = base64.b64encode(packed).decode()
    vm(run, "ssh", f"mkdir -p /tmp/card && echo {text} | base64 -d | tar -C /tmp/card -xz")
    lines = ["set -e", "python3 /tmp/card/card.py install --tools mst"]
    for number in range(1, PFS + 1):
        card = f"0000:{number:02x}:00"
        lines += [f"rig-card add {card}.0", f"rig-card current SRIOV_EN=1 NUM_OF_VFS=4 --card {card}"]
    lines.append("rig-card behave delay=1")
    vm(run, "ssh", "sudo sh -c '" + "; ".join(lines) + "'")


def main() -> None:
    """Start the machine, run, print, and end the machine."""
    with tempfile.TemporaryDirectory(prefix="sriov-bench-") as folder:
        run = Path(folder) / "vm"
        try:
            vm(run, "start", "--image", "debian12", "--pf", str(PFS), "--cpus", "2", "--no-vf-driver", "--wait", "900")
            (run / "inventory.json").write_text(json.dumps(inventory(run)))
            play(run, 0)
            print(COLUMNS.format("PFs", "run", "executions", "seconds"))
            for pfs in (1, 2, 8):
                measure(run, pfs)
            print("Mellanox cards, a query of one takes a second:", flush=True)
            make_mellanox(run)
            for pfs in (1, 8):
                measure(run, pfs)
            vm(run, "ssh", "sudo systemctl disable --quiet rig-card.service; sudo rig-card off")
            # A boot with all cards, and one without the eighth: the rig prints the time to ssh.
            play(run, PFS)
            for missing in ("", str(PFS)):
                print(f"boot {'without PF ' + missing if missing else 'with all PFs'}:", flush=True)
                vm(run, "restart", "--missing", missing, "--wait", "900")
        finally:
            if run.exists():
                vm(run, "destroy")


if __name__ == "__main__":
    main()
