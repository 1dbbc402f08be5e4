#!/usr/bin/env python3
# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of the role costs the controller: CPU time, wall time, memory, results and remote executions, by the
number of hosts.

The hosts are simulated (plugins/connection/played.py), so nothing but the controller is measured. Prints JSON.
`ansible-playbook` on the PATH is what runs, with pipelining. Of a predecessor what its modules find is played too, so
that its tasks end as on a real host.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PFS = ("ens1f0", "ens1f1")
DEVICES = [{"name": name, "numvfs": 8} for name in PFS]
CASES = ("converged", "fresh")


# --- what the hosts answer ----------------------------------------------------------------------------------------


def facts() -> dict:
    """Facts of a hypervisor, as many as `setup` has for 18 interfaces."""
    interface = {
        "active": True,
        "device": "",
        "macaddress": "02:00:00:00:00:01",
        "module": "ice",
        "mtu": 1500,
        "pciid": "0000:3b:00.0",
        "type": "ether",
        "promisc": False,
        "features": {"feature_%02d" % number: "off [fixed]" for number in range(50)},
    }
    names = ["eth0", "eth1", *PFS, *("%sv%d" % (pf, number) for pf in PFS for number in range(7))]
    return {
        "processor": ["0", "GenuineIntel", "Intel(R) Xeon(R) Gold 6330 CPU @ 2.00GHz"] * 56,
        "os_family": "Debian",
        "distribution": "Debian",
        "distribution_version": "12.5",
        "env": {"HOME": "/root"},
        "interfaces": names,
        **{name: dict(interface, device=name) for name in names},
    }


def pf(number: int, **more: object) -> dict:
    """What sriov_devices returns for a PF."""
    return {
        "address": "0000:3b:00.%d" % number,
        "boot": "systemd",
        "driver": "ice",
        "enough": True,
        "firmware": None,
        "id": "8086:1592",
        "name": PFS[number],
        "numvfs": 8,
        "optional": False,
        "physical_network": None,
        "port": None,
        "probe_vf": 0,
        "required_by": [],
        "selector": "sriov_devices[%d] (name %s)" % (number, PFS[number]),
        "trigger": "net",
        **more,
    }


def outcome(number: int, state: str) -> dict:
    """What sriov_vfs returns for a PF."""
    return {
        "address": "0000:3b:00.%d" % number,
        "name": PFS[number],
        "wanted": 8,
        "before": 8 if state == "ok" else 0,
        "now": 8,
        "state": state,
        "message": "",
    }


def answers(case: str) -> dict:
    """What the modules find and do, of this role and of its predecessor: nothing must be done, or VFs, files and a
    reboot are needed.
    """
    fresh = case == "fresh"
    return {
        "setup": {"changed": False, "ansible_facts": {"ansible_" + name: value for name, value in facts().items()}},
        **answers_of_the_role(fresh),
        **answers_of_the_predecessor(fresh),
    }


def answers_of_the_role(fresh: bool) -> dict:
    kernel = {
        "changed": fresh,
        "reboot": [{"key": "iommu", "text": "intel_iommu=on is set for the next boot"}] if fresh else [],
        "stuck": [],
        "settled": not fresh,
    }
    lines = [
        "%s (0000:3b:00.%d): 8 VFs%s" % (name, number, ", changed" if fresh else "") for number, name in enumerate(PFS)
    ]
    vfs = {
        "changed": fresh,
        "pfs": [outcome(number, "changed" if fresh else "ok") for number in (0, 1)],
        "files": [],
        "reboot": [],
        "stuck": [],
        "diff": [],
        "settled": not fresh,
        "lines": lines,
    }
    options = {"firmware": {"tool": "auto"}, "mlx4": {}, "kernel": {"iommu": True}, "vfs": {"boot_wait": 30}}
    nothing = {"changed": False, "reboot": [], "stuck": [], "settled": True}
    settled = {"firmware": nothing, "mlx4": nothing, **({} if fresh else {"kernel": kernel, "vfs": vfs})}
    return {
        "sriov_devices": {
            "changed": False,
            "devices": [pf(number) for number in (0, 1)],
            "is_set": True,
            "notice": "",
            "boot_id": "1",
            "firmware_tools": [],
            "mlx4_traces": False,
            "machine": "x86_64",
            "package_format": "deb",
            "look_again": options,
            "summary": ["No PF has VFs that the role manages."] if fresh else lines,
            "not_ready": [],
            "settled": settled,
            "not_ready": [],
        },
        "sriov_kernel_parameters": kernel,
        "sriov_vfs": vfs,
        "sriov_firmware": nothing,
        "sriov_mlx4": nothing,
    }


def answers_of_the_predecessor(fresh: bool) -> dict:
    """Where nothing must be done, its files are as an earlier run copied them."""
    line = "quiet" + ("" if fresh else " intel_iommu=on iommu=pt")
    grub = f'GRUB_CMDLINE_LINUX_DEFAULT="{line}"\nGRUB_CMDLINE_LINUX=""\n'

    def content(text: str) -> dict:
        return {"changed": False, "content": base64.b64encode(text.encode()).decode(), "encoding": "base64"}

    def output(text: str) -> dict:
        return {"changed": True, "rc": 0, "stdout": text, "stderr": "", "cmd": []}

    return {
        **({"stat": {"changed": False, "stat": {"exists": False}}} if fresh else {}),
        "blockinfile": {"changed": False},
        "lineinfile": {"changed": fresh},
        "file": {"changed": False},
        "systemd": {"changed": fresh, "status": {}},
        "command": output(""),
        "command cat /proc/cmdline": output("ro " + line),
        "slurp": content("0x8086\n"),
        "slurp /etc/default/grub": content(grub),
        **{
            f"command grep PCI_SLOT_NAME /sys/class/net/{name}/device/uevent": output(
                "PCI_SLOT_NAME=0000:3b:00.%d" % number
            )
            for number, name in enumerate(PFS)
        },
    }


# --- a run --------------------------------------------------------------------------------------------------------


def name_of(collection: Path) -> tuple[str, str, str]:
    """Namespace, name and version of an installed collection."""
    manifest, source = collection / "MANIFEST.json", collection / "galaxy.yml"
    if (collection / "roles" / "sriov").is_dir() and manifest.is_file():
        info = json.loads(manifest.read_text())["collection_info"]
        return info["namespace"], info["name"], info["version"]
    if (collection / "roles" / "sriov").is_dir() and source.is_file():
        found = dict(re.findall(r"^(namespace|name|version): *[\"']?([\w.+-]+)", source.read_text(), re.MULTILINE))
        if len(found) == 3:
            return found["namespace"], found["name"], found["version"]
    raise SystemExit(
        f"{collection} is not a collection with a role sriov: give the folder that holds galaxy.yml or MANIFEST.json, and roles"
    )


class Rig:
    """A folder with a play for one collection and the places that the plugins write to."""

    def __init__(self, folder: Path, collection: Path | None):
        self.folder = folder
        play: dict = {
            "hosts": "all",
            "gather_facts": True,
            "handlers": [{"name": "reboot", "ansible.builtin.debug": {"msg": "A reboot is due."}}],
        }
        self.ours = True
        if collection:
            namespace, name, _version = name_of(collection)
            self.ours = (collection / "plugins" / "modules" / "sriov_vfs.py").is_file()
            link = folder / "collections" / "ansible_collections" / namespace / name
            link.parent.mkdir(parents=True)
            link.symlink_to(collection)
            play["roles"] = [f"{namespace}.{name}.sriov"]
        (folder / "ansible.cfg").write_text("")
        (folder / "play.yml").write_text(json.dumps([play]))
        for case in CASES:
            (folder / (case + ".json")).write_text(json.dumps(answers(case)))

    def inventory(self, hosts: int, more: dict) -> Path:
        """An inventory of so many simulated hosts, with more variables than they have; one that is None is not set."""
        path = self.folder / "hosts"
        variables = {
            "ansible_connection": "played",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_become_method": "ansible.builtin.sudo",
            # The predecessor refuses without permission. Neither role reboots here: the play's handler has nothing to
            # do.
            "sriov_devices": DEVICES,
            "sriov_do_reboot": not self.ours,
            **more,
        }
        variables = {name: value for name, value in variables.items() if value is not None}
        path.write_text(
            "all:\n  hosts:\n%s  vars: %s\n"
            % ("".join("    hv%03d:\n" % number for number in range(hosts)), json.dumps(variables))
        )
        return path

    def run(
        self, hosts: int, case: str, forks: int, strategy: str, serial: int = 0, variables: dict | None = None
    ) -> dict:
        """Run the play once; returns what it cost, and how its tasks ended on all hosts together."""
        notes = self.folder / "notes"
        notes.mkdir(exist_ok=True)
        for name in ("executions", "results"):
            (notes / name).unlink(missing_ok=True)
        [play] = json.loads((self.folder / "play.yml").read_text())
        book = self.folder / "measured.yml"
        book.write_text(json.dumps([dict(play, strategy=strategy, **({"serial": serial} if serial else {}))]))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment = {
            **kept,
            "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections"),
            "ANSIBLE_CONNECTION_PLUGINS": str(HERE / "plugins" / "connection"),
            "ANSIBLE_CALLBACK_PLUGINS": str(HERE / "plugins" / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "counted",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_HOME": str(self.folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORKS": str(forks),
            "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            # The predecessor has a conditional that is not a boolean.
            "ANSIBLE_ALLOW_BROKEN_CONDITIONALS": "false" if self.ours else "true",
            "SRIOV_BENCH_ANSWERS": str(self.folder / (case + ".json")),
            "SRIOV_BENCH_FOLDER": str(notes),
        }
        output = self.folder / "output"
        program = shutil.which("ansible-playbook")
        if not program:
            raise SystemExit("ansible-playbook is not on the PATH")
        with open(output, "wb") as stream:
            started = time.monotonic()
            pid = os.posix_spawn(
                program,
                [program, "-i", str(self.inventory(hosts, variables or {})), str(book)],
                environment,
                file_actions=[(os.POSIX_SPAWN_DUP2, stream.fileno(), 1), (os.POSIX_SPAWN_DUP2, stream.fileno(), 2)],
            )
            _pid, status, usage = os.wait4(pid, 0)
            wall = time.monotonic() - started
        results = json.loads((notes / "results").read_text()) if (notes / "results").is_file() else {}
        if status or results.get("failed") or not results:
            raise SystemExit("the play failed:\n" + output.read_text()[-6000:])
        path = notes / "executions"
        return {
            "cpu": usage.ru_utime + usage.ru_stime,
            "wall": wall,
            "memory": usage.ru_maxrss / 1024,
            "results": results,
            "executions": Counter(path.read_text().split() if path.exists() else []),
        }


def machine() -> str:
    """What this is measured on."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text() if cpuinfo.exists() else "", re.MULTILINE)
    return f"{len(os.sched_getaffinity(0))} processors ({model.group(1) if model else platform.machine()}), Python {platform.python_version()}, ansible-core {version('ansible-core')}"


def spread(values: list[float]) -> dict:
    """The least, the middle and the greatest."""
    return {
        "min": round(min(values), 4),
        "median": round(statistics.median(values), 4),
        "max": round(max(values), 4),
        "runs": len(values),
    }


def measure(rig: Rig, hosts: int, case: str, runs: int, forks: int, strategy: str, serial: int = 0) -> dict:
    """What several runs cost in all, with what does not vary."""
    if case == "converged" and not rig.ours:
        rig.run(1, "fresh", forks, "linear")
    seen = [rig.run(hosts, case, forks, strategy, serial) for _ in range(runs)]
    counts = {name: count / hosts for name, count in seen[0]["results"].items()}
    return {
        **{name: spread([run[name] for run in seen]) for name in ("cpu", "wall", "memory")},
        **{name: counts.get(name, 0) for name in ("ok", "skipped", "included")},
        "executions": sum(seen[0]["executions"].values()) / hosts,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what a run of a role costs the controller.")
    parser.add_argument(
        "--collection",
        type=Path,
        help="the folder of the collection; none for a play that gathers facts and does nothing else",
    )
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 20, 100, 300])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--forks", type=int, default=5)
    parser.add_argument("--strategy", default="linear")
    parser.add_argument("--serial", type=int, default=0)
    options = parser.parse_args()
    figures: dict = {}
    with tempfile.TemporaryDirectory(prefix="sriov-bench-") as folder:
        rig = Rig(Path(folder), options.collection and options.collection.resolve())
        for hosts in options.hosts:
            for case in options.cases:
                figures.setdefault(case, {})[str(hosts)] = found = measure(
                    rig, hosts, case, options.runs, options.forks, options.strategy, options.serial
                )
                print("%s, %d hosts: %.2f s CPU" % (case, hosts, found["cpu"]["median"]), file=sys.stderr, flush=True)
    title = "%s.%s %s" % name_of(options.collection) if options.collection else "no role"
    print(json.dumps({"title": title, "machine": machine(), "controller": figures}))


if __name__ == "__main__":
    main()
