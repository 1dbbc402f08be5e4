# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel command line: what a line means to the kernel, and where each boot loader keeps the next one.

Three boot loaders: GRUB that makes its entries from /etc/default/grub (Debian, Ubuntu), GRUB that reads Boot Loader
Specification entries and is kept by grubby (EL), and systemd-boot. docs/kernel-parameters.md says what each writes.
Everything reads through Host and writes through Funnel, so check mode takes the same way as a real run.
"""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import json
import os
import re
import shlex
import stat
import tempfile

from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov_host import sync_directory, write_atomically

INTEL_ON = "intel_iommu=on"
PASSTHROUGH = "iommu=pt"
MANAGED_NAMES = ("intel_iommu", "amd_iommu", "iommu", "iommu.passthrough")
RECORD = "/var/lib/sriov/kernel-parameters.json"


class BootLoaderError(Exception):
    """What cannot be done, as one sentence for the operator."""


# --- what a line means to the kernel ------------------------------------------------------------------------------


def parse_line(line):
    """Split a kernel command line as next_arg() of the kernel's lib/cmdline.c does.

    Returns a list of (raw, name, value): the text as it stands, the name with `-` read as `_` (parameq() holds them
    equal), the value without its quotes, None when there is no `=`. A lone `--` ends it: the rest goes to init.
    """
    parameters = []
    for raw in split_raw(line):
        text = raw[1:] if raw.startswith('"') else raw
        name, equals, value = text.partition("=")
        if not name:
            name, equals, value = text, "", ""
        if equals and value.startswith('"'):
            value = value[1:]
            text_ends_quoted = value.endswith('"')
            value = value[:-1] if text_ends_quoted else value
        elif raw.startswith('"') and text.endswith('"'):
            if equals:
                value = value[:-1]
            else:
                name = name[:-1]
        if raw == "--":
            break
        parameters.append((raw, name.replace("-", "_"), value if equals else None))
    return parameters


def split_raw(line):
    """The words of a kernel command line as they stand; whitespace between double quotes does not divide."""
    return [line[start:end] for start, end in _spans(line)]


def _spans(line):
    spans, start, quoted = [], None, False
    for position, character in enumerate(line):
        if character.isspace() and not quoted:
            if start is not None:
                spans.append((start, position))
            start = None
            continue
        if start is None:
            start = position
        if character == '"':
            quoted = not quoted
    return spans + [(start, len(line))] if start is not None else spans


def iommu_state(line):
    """What the kernel makes of the IOMMU parameters of a line.

    Returns {"intel": True|False|None, "passthrough": True|False|None, "off": bool, "amd_off": bool}; None: the line
    does not say.
    Every occurrence is parsed, in order, and each field of a comma separated list for itself: `intel_iommu=`
    by intel_iommu_setup() (drivers/iommu/intel/iommu.c), `iommu=` by iommu_setup() (arch/x86/kernel/pci-dma.c),
    where nothing takes `off` back, `iommu.passthrough=` by iommu_set_def_domain_type() (drivers/iommu/iommu.c), and
    `amd_iommu=` by parse_amd_iommu_options() (drivers/iommu/amd/init.c), where nothing takes `off` back either.
    """
    state = {"intel": None, "passthrough": None, "off": False, "amd_off": False}
    for _raw, name, value in parse_line(line):
        if value is None:
            continue
        if name == "intel_iommu":
            for field in value.split(","):
                # Prefixes, as the kernel's strncmp() has it.
                if field.startswith("on"):
                    state["intel"] = True
                elif field.startswith("off"):
                    state["intel"] = False
        elif name == "iommu":
            for field in value.split(","):
                if field.startswith("off"):
                    state["off"] = True
                elif field.startswith("pt"):
                    state["passthrough"] = True
                elif field.startswith("nopt"):
                    state["passthrough"] = False
        elif name == "amd_iommu":
            state["amd_off"] = state["amd_off"] or "off" in value
        elif name == "iommu.passthrough":
            if value.lower() in ("1", "y", "yes", "on", "t", "true"):
                state["passthrough"] = True
            elif value.lower() in ("0", "n", "no", "off", "f", "false"):
                state["passthrough"] = False
    return state


def has(line, token):
    """Whether a line gives what `token` (INTEL_ON or PASSTHROUGH) is there for. With iommu=off it gives nothing."""
    state = iommu_state(line)
    return bool(state["intel"] if token == INTEL_ON else state["passthrough"]) and not state["off"]


def missing(line, wanted):
    """The wanted tokens that a line does not give, in order."""
    return [token for token in wanted if not has(line, token)]


def managed_tokens(line):
    """The words of a line that concern the IOMMU, as they stand."""
    return [raw for raw, name, _value in parse_line(line) if name in MANAGED_NAMES]


def remove_tokens(line, tokens):
    """The line without the words that are exactly one of `tokens`; every other word, and what is init's, stays."""
    kernels, separator, rest = _before_init(line)
    for start, end in reversed(_spans(kernels)):
        if kernels[start:end] in tokens:
            kernels = kernels[:start] + kernels[end:].lstrip()
    return (kernels.rstrip() + separator + rest).strip() if separator else kernels.rstrip()


def append(line, tokens):
    """The line with the tokens at its end, before a `--` that hands the rest to init."""
    kept, separator, rest = _before_init(line)
    return " ".join([kept.rstrip()] + tokens if kept.strip() else tokens) + separator + rest


def _before_init(line):
    for start, end in _spans(line):
        if line[start:end] == "--":
            return line[:start], " --", line[end:]
    return line, "", ""


# --- the host and the one way to change it ------------------------------------------------------------------------


class Host:
    """Files below `root` and a way to run commands: the only door to the machine, so tests can give another one.

    run: called with (list of str, stdin text or None), returns (rc, stdout, stderr).
    """

    BIN = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")

    def __init__(self, run, root="/"):
        self.run = run
        self.root = root.rstrip("/")

    def real(self, path):
        return self.root + path

    def read(self, path):
        """The text of a file, or None when there is none."""
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
                if os.access(self.real("%s/%s" % (directory, name)), os.X_OK):
                    return "%s/%s" % (directory, name)
        return None

    def uefi_loader(self):
        """What the boot loader says of itself in the UEFI variable LoaderInfo (Boot Loader Interface), or None."""
        path = "/sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
        try:
            with open(self.real(path), "rb") as stream:
                # efivarfs puts four bytes of attributes before the value, which is UTF-16.
                return stream.read()[4:].decode("utf-16-le", "replace").strip("\0 ") or None
        except OSError:
            return None


class Funnel:
    """The one way of changing a host. In check mode nothing is changed, and later reads see what would be there."""

    def __init__(self, host, check_mode):
        self.host = host
        self.check_mode = check_mode
        self.changed = False
        self.diff = []
        self._before = {}
        self._planned = {}

    def read(self, path):
        if path in self._planned:
            return self._planned[path]
        return self.host.read(path)

    def write(self, path, text, mode=0o644):
        """Make `path` hold `text`. `mode` is for a new file; an existing one keeps its own mode and owner."""
        before = self.read(path)
        if before == text:
            return
        self._note(path, before, text)
        self.keep(path)
        if self.check_mode:
            self._planned[path] = text
            return
        # A symbolic link stays one: /etc/default/grub may point elsewhere.
        real, owner = os.path.realpath(self.host.real(path)), None
        if before is not None:
            status = os.stat(real)
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
        write_atomically(real, text, mode, owner)

    def put(self, path, text):
        """Write `text`, or remove the file when it is None."""
        if text is None:
            self.remove(path)
        else:
            self.write(path, text)

    def remove(self, path):
        before = self.read(path)
        if before is None:
            return
        self._note(path, before, None)
        self.keep(path)
        if self.check_mode:
            self._planned[path] = None
            return
        os.unlink(self.host.real(path))
        sync_directory(os.path.dirname(self.host.real(path)))

    def command(self, argv, header, before, after):
        """Run a command that changes the host; header, before and after describe the change for the diff.

        Returns (rc, stdout, stderr); in check mode (0, "", "") without running it.
        """
        self.changed = True
        self.diff.append({"before_header": header, "after_header": header, "before": before, "after": after})
        return (0, "", "") if self.check_mode else self.host.run(argv, None)

    def keep(self, path):
        """Remember a file as it is now, for undo()."""
        if path in self._before or self.check_mode:
            return
        real = self.host.real(path)
        try:
            with open(real, "rb") as stream:
                self._before[path] = (stream.read(), os.stat(real))
        except (FileNotFoundError, NotADirectoryError):
            self._before[path] = None

    def settle(self, path, text):
        """After a tool has edited a kept file: make it hold `text`, unless it has the same words; note the change."""
        before = self._before[path][0].decode("utf-8", "surrogateescape") if self._before[path] else None
        now = self.host.read(path)
        if text is None:
            if now is not None:
                os.unlink(self.host.real(path))
        elif now is None or split_raw(now) != split_raw(text):
            real = os.path.realpath(self.host.real(path))
            status = self._before[path][1] if self._before[path] else None
            write_atomically(
                real, text, stat.S_IMODE(status.st_mode) if status else 0o644,
                (status.st_uid, status.st_gid) if status else None,
            )
        after = self.host.read(path)
        if after != before:
            self._note(path, before, after)

    def restore_times(self, path):
        """Give a file that was there before its old modification time again."""
        if self._before.get(path) and os.path.exists(self.host.real(path)):
            status = self._before[path][1]
            os.utime(self.host.real(path), ns=(status.st_atime_ns, status.st_mtime_ns))

    def undo(self):
        """Put every file back that this funnel changed or was told to keep."""
        for path, before in self._before.items():
            real = os.path.realpath(self.host.real(path))
            if before is None:
                if os.path.exists(real):
                    os.unlink(real)
                continue
            content, status = before
            if os.path.exists(real):
                with open(real, "rb") as stream:
                    if stream.read() == content:
                        continue
            text = content.decode("utf-8", "surrogateescape")
            write_atomically(real, text, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))
            os.utime(real, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _note(self, path, before, after):
        self.changed = True
        self.diff.append({
            "before_header": path, "after_header": path,
            "before": before or "", "after": after or "",
        })


def last_line(*outputs):
    """The last line with anything in it of the first output that has one: where tools say what went wrong."""
    for output in outputs:
        lines = [line.strip() for line in (output or "").splitlines() if line.strip()]
        if lines:
            return lines[-1]
    return "no message"


# --- GRUB with entries made from /etc/default/grub ----------------------------------------------------------------


def drop_in(wanted):
    """The shell text that puts the wanted tokens on the line unless it already gives them.

    grub-mkconfig sources it under `set -e`. It goes by what the variables hold at that moment and never by what
    they held when it was written: others may add and take off the same tokens, and this text need not change.
    """
    lines = []
    if INTEL_ON in wanted:
        lines += _clause(INTEL_ON, on=_fields("intel_iommu", "on"), off=_fields("intel_iommu", "off"))
    if PASSTHROUGH in wanted:
        lines += _clause(
            PASSTHROUGH,
            on=_fields("iommu", "pt") + ["iommu.passthrough=[1yY]"],
            off=_fields("iommu", "nopt") + ["iommu.passthrough=[0nN]"],
        )
    return "".join(line + "\n" for line in lines + ["unset __sriov_found __sriov_word"])


def _fields(name, field):
    return ["%s=%s" % (name, form % field) for form in ("%s", "%s,*", "*,%s", "*,%s,*")]


def _clause(token, on, off):
    return [
        "__sriov_found=",
        "for __sriov_word in ${GRUB_CMDLINE_LINUX-} ${GRUB_CMDLINE_LINUX_DEFAULT-}; do",
        '    case "$__sriov_word" in',
        "        %s) __sriov_found= ;;" % " | ".join(off),
        "        %s) __sriov_found=1 ;;" % " | ".join(on),
        "    esac",
        "done",
        'if [ -z "$__sriov_found" ]; then',
        '    GRUB_CMDLINE_LINUX_DEFAULT="${GRUB_CMDLINE_LINUX_DEFAULT:+$GRUB_CMDLINE_LINUX_DEFAULT }%s"' % token,
        "fi",
    ]


DROP_IN_HEADER = """\
# Made by the Ansible role stackhpc.sriov, which writes this file anew: change the role's variables, not the file.
# Each parameter is put on the kernel's line only when the line does not have it already.
"""


class MkconfigGrub:
    """GRUB whose entries grub-mkconfig makes from /etc/default/grub and the drop-ins beside it."""

    name = "grub"
    DEFAULTS = "/etc/default/grub"
    DROP_INS = "/etc/default/grub.d"
    DROP_IN = "/etc/default/grub.d/zz-sriov.cfg"
    CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")

    def __init__(self, host, config, generate):
        self.host = host
        self.config = config
        self.generate = generate
        self._generated = True

    @classmethod
    def find(cls, host):
        """The loader, or None. Evidence: its settings, its generator, and a configuration with Linux entries."""
        config = next((path for path in cls.CONFIGS if host.is_file(path)), None)
        settings = host.is_file(cls.DEFAULTS) or host.is_directory(cls.DROP_INS)
        update = host.which("update-grub")
        mkconfig = host.which("grub-mkconfig", "grub2-mkconfig")
        # Only a generator that reads drop-ins can be served by one; Debian's is patched to, EL's is not.
        reads = mkconfig and "default/grub.d" in (host.read(mkconfig) or "")
        if not (config and settings and reads):
            return None
        return cls(host, config, [update] if update else [mkconfig, "-o", config])

    def evaluate(self, funnel):
        """GRUB_CMDLINE_LINUX and GRUB_CMDLINE_LINUX_DEFAULT as grub-mkconfig would have them, as one line.

        The files are sourced by sh, in grub-mkconfig's order and under its `set -e`: nothing else knows what
        `+=`, `$( )` or a continued line come to.
        """
        paths = [self.DEFAULTS] + [
            "%s/%s" % (self.DROP_INS, name) for name in self.host.names(self.DROP_INS)
            if name.endswith(".cfg") and not name.startswith(".")
        ]
        if funnel.read(self.DROP_IN) is not None and self.DROP_IN not in paths:
            # What check mode would write sorts where the real file will.
            paths = paths[:1] + sorted(paths[1:] + [self.DROP_IN])
        with tempfile.TemporaryDirectory(prefix="sriov-") as directory:
            script = ["set -e"]
            for number, path in enumerate(paths):
                text = funnel.read(path)
                if text is None:
                    continue
                source = self.host.real(path)
                if text != self.host.read(path):
                    source = os.path.join(directory, "%d.cfg" % number)
                    with open(source, "w", encoding="utf-8", errors="surrogateescape") as stream:
                        stream.write(text)
                script.append(". %s" % shlex.quote(source))
            mark = "@sriov@"
            values = '"${GRUB_CMDLINE_LINUX-}" "${GRUB_CMDLINE_LINUX_DEFAULT-}"'
            script.append("printf '%s%%s %%s%s' %s" % (mark, mark, values))
            rc, out, err = self.host.run(["/bin/sh", "-c", "\n".join(script)], "")
        found = re.search(r"%s(.*)%s" % (mark, mark), out, re.DOTALL)
        if rc != 0 or not found:
            raise BootLoaderError(
                "The settings of GRUB in %s cannot be read by sh, so update-grub would fail too: %s"
                % (self.DEFAULTS, last_line(err, out))
            )
        if "\n" in found.group(1):
            raise BootLoaderError(
                "A value of GRUB_CMDLINE_LINUX or GRUB_CMDLINE_LINUX_DEFAULT in %s or %s has a line break inside its "
                "quotes, at which GRUB ends the kernel's line: put it on one line." % (self.DEFAULTS, self.DROP_INS)
            )
        return " ".join(found.group(1).split())

    def lines(self):
        """The kernel lines of the entries that boot normally, as (title, line): what the next boot will have."""
        return grub_entries(self.host.read(self.config) or "")

    def sources(self, funnel):
        """The lines that people write, as (where, line): what a parameter of theirs has to be taken off from."""
        return [("%s or %s" % (self.DEFAULTS, self.DROP_INS), self.evaluate(funnel))]

    def configured(self, funnel):
        """Every line that a next boot may take, as (where, line)."""
        made = self.lines() if self._generated else []
        return [(self.config + ": " + title, line) for title, line in made] + self.sources(funnel)

    def apply(self, funnel, wanted, record):
        """Make the next boot have `wanted`, and not what `record` says this role added before."""
        recorded = record["tokens"]
        old = funnel.read(self.DROP_IN)
        line_before = self.evaluate(funnel)
        if not wanted:
            funnel.remove(self.DROP_IN)
        elif old is not None or missing(line_before, wanted):
            funnel.write(self.DROP_IN, DROP_IN_HEADER + drop_in(wanted))
        line = self.evaluate(funnel)
        if missing(line, wanted):
            funnel.undo()
            raise BootLoaderError(
                "%s is not on the line that GRUB would get: a file in %s that sorts after %s sets "
                "GRUB_CMDLINE_LINUX_DEFAULT anew (rename it or let it append), or the word stands in a quoted value."
                % (" ".join(missing(line, wanted)), self.DROP_INS, os.path.basename(self.DROP_IN))
            )
        if funnel.read(self.DROP_IN) == old and not self._stale(line, wanted, recorded):
            return
        self._generate(funnel, line, wanted)

    def _stale(self, line, wanted, recorded):
        entries = self.lines()
        return any(missing(entry, wanted) for _title, entry in entries) or any(
            has(entry, token) and not has(line, token)
            for _title, entry in entries for token in recorded if token not in wanted
        )

    def _generate(self, funnel, line, wanted):
        funnel.keep(self.config)
        before = "".join("%s: %s\n" % (title, " ".join(managed_tokens(entry))) for title, entry in self.lines())
        after = "".join("%s: %s\n" % (title, " ".join(managed_tokens(line))) for title, _entry in self.lines())
        rc, out, err = funnel.command(self.generate, self.config, before, after)
        if rc != 0:
            funnel.undo()
            raise BootLoaderError(
                "%s failed, and everything is as it was: %s" % (" ".join(self.generate), last_line(err, out))
            )
        if funnel.check_mode:
            self._generated = False
            return
        lacking = [(title, missing(entry, wanted)) for title, entry in self.lines() if missing(entry, wanted)]
        if lacking or not self.lines():
            funnel.undo()
            title, tokens = lacking[0] if lacking else ("", wanted)
            raise BootLoaderError(
                "%s made a %s whose entry '%s' lacks %s, and everything is as it was: look at the scripts in "
                "/etc/grub.d." % (" ".join(self.generate), self.config, title, " ".join(tokens))
            )


def grub_entries(text):
    """The Linux entries that boot normally in a grub.cfg, as (title, kernel line without the kernel's path).

    Those of 10_linux (and 10_linux_zfs) when there are any: entries of other systems and the administrator's own
    are not made from /etc/default/grub. Recovery entries, told by their id, do not get GRUB_CMDLINE_LINUX_DEFAULT.
    """
    entries, section, title, recovery = [], "", "", False
    for line in text.splitlines():
        begin = re.match(r"### BEGIN (\S+) ###", line)
        if begin:
            section = os.path.basename(begin.group(1))
        entry = re.match(r"\s*menuentry\s+(['\"])(.*?)\1(.*)", line)
        if entry:
            title = entry.group(2)
            recovery = "-recovery-" in entry.group(3)
        kernel = re.match(r"\s*linux(?:16|efi)?\s+\S+\s*(.*)", line)
        if kernel and title and not recovery:
            entries.append((section, title, kernel.group(1).strip()))
    made = [entry for entry in entries if entry[0].startswith("10_linux")]
    return [(title, line) for _section, title, line in made or entries]


# --- Boot Loader Specification entries ----------------------------------------------------------------------------


def entry_value(text, key):
    """All values of a key of a boot entry, in order. The specification joins several `options` with a space."""
    return re.findall(r"^%s[ \t]+(.*?)[ \t\r]*$" % re.escape(key), text, re.MULTILINE)


def edit_entry(text, add, drop):
    """The text of a boot entry with the tokens of `add` at the end of its options and those of `drop` taken off.

    Every other character stays. An entry without options gets a line of them, and loses it when nothing is left on it.
    """
    lines = text.split("\n")
    places = [number for number, line in enumerate(lines) if re.match(r"options(?:[ \t]|$)", line)]
    for number in places if drop else []:
        key, space, value = re.match(r"(options)([ \t]*)(.*)$", lines[number]).groups()
        if remove_tokens(value, drop) != value.rstrip():
            kept = remove_tokens(value, drop)
            lines[number] = key + space + kept if kept else None
    lines = [line for line in lines if line is not None]
    places = [number for number, line in enumerate(lines) if re.match(r"options(?:[ \t]|$)", line)]
    if add and places:
        key, space, value = re.match(r"(options)([ \t]*)(.*)$", lines[places[-1]]).groups()
        lines[places[-1]] = key + (space or " ") + append(value, add)
    elif add:
        end = len(lines) - 1 if lines[-1] == "" else len(lines)
        lines.insert(end, "options " + " ".join(add))
    return "\n".join(lines)


def edit_line_file(text, add, drop):
    """/etc/kernel/cmdline edited like an entry: its lines are one kernel line, the tokens go to the last."""
    body, end = text.rstrip("\n"), text[len(text.rstrip("\n")):] or "\n"
    lines = body.split("\n")
    if drop:
        lines = [remove_tokens(line, drop) if remove_tokens(line, drop) != line.rstrip() else line for line in lines]
    if add:
        lines[-1] = append(lines[-1], add)
    return "\n".join(lines) + end


class EntryLoader:
    """What grubby's GRUB and systemd-boot share: an `options` line per entry, /etc/kernel/cmdline for later kernels."""

    KERNEL_CMDLINE = "/etc/kernel/cmdline"

    def __init__(self, host, running):
        self.host = host
        self.running = running

    def entries(self, funnel):
        """The Linux entries of this system, as (path, text)."""
        raise NotImplementedError

    def expand(self, line):
        """A line with the loader's variables put in."""
        return line

    def options(self, text):
        return self.expand(" ".join(entry_value(text, "options")))

    def sources(self, funnel):
        lines = [(path, self.options(text)) for path, text in self.entries(funnel)]
        later = funnel.read(self.KERNEL_CMDLINE)
        return lines + ([] if later is None else [(self.KERNEL_CMDLINE, " ".join(later.split()))])

    def configured(self, funnel):
        return self.sources(funnel)

    def default_line(self, funnel):
        """The line to begin /etc/kernel/cmdline with: kernel-install's own default, or the booted entry's."""
        vendor = self.host.read("/usr/lib/kernel/cmdline")
        if vendor is not None:
            return " ".join(vendor.split())
        entries = self.entries(funnel)
        root = _root(self.running)
        alike = [text for _path, text in entries if _root(self.options(text)) == root]
        return self.options((alike or [text for _path, text in entries])[-1])

    def plan(self, funnel, wanted, drop, record):
        """The texts to write, as {path: text}, None for a file to remove."""
        plan = {}
        for path, text in self.entries(funnel):
            variables = "$kernelopts" in text and self.expand("$kernelopts") != "$kernelopts"
            add = [] if variables else missing(self.options(edit_entry(text, [], drop)), wanted)
            plan[path] = edit_entry(text, add, drop)
        later = funnel.read(self.KERNEL_CMDLINE)
        if later is not None:
            kept = edit_line_file(later, [], drop)
            if not wanted and kept.rstrip("\n") == record.get("created", {}).get(self.KERNEL_CMDLINE):
                plan[self.KERNEL_CMDLINE] = None
            else:
                plan[self.KERNEL_CMDLINE] = edit_line_file(kept, missing(kept, wanted), [])
        elif wanted and plan:
            # Without the file kernel-install takes the running line, and a kernel that is installed before the
            # reboot would come up without the parameters.
            base = remove_tokens(self.default_line(funnel), drop)
            record.setdefault("created", {})[self.KERNEL_CMDLINE] = base
            plan[self.KERNEL_CMDLINE] = edit_line_file(base + "\n", missing(base, wanted), [])
        return plan

    def needs(self, funnel, wanted, recorded):
        """Whether anything lacks a wanted token, or still has one that this role added and that is not wanted."""
        lines = [line for _where, line in self.sources(funnel)]
        drop = [token for token in recorded if token not in wanted]
        # A run that was interrupted leaves its record, and may have written the entries only.
        begun = any(token in recorded for token in wanted)
        return (
            any(missing(line, wanted) for line in lines)
            or any(token in split_raw(line) for line in lines for token in drop)
            or (begun and funnel.read(self.KERNEL_CMDLINE) is None)
        )


def _root(line):
    return next((value for _raw, name, value in parse_line(line) if name == "root"), None)


class Grubby(EntryLoader):
    """GRUB that reads boot entries (blscfg) and is kept by grubby, as on Enterprise Linux 9 and 10."""

    name = "grubby"
    ENTRIES = "/boot/loader/entries"
    ENVIRONMENT = "/boot/grub2/grubenv"
    DEFAULTS = "/etc/default/grub"
    BEGIN, END = "# BEGIN stackhpc.sriov", "# END stackhpc.sriov"

    def __init__(self, host, running, grubby):
        super(Grubby, self).__init__(host, running)
        self.grubby = grubby
        self._would_be = None

    @classmethod
    def find(cls, host, running):
        """The loader, or None. Evidence: grubby, a grub.cfg that reads entries, and Linux entries to read."""
        grubby = host.which("grubby")
        configs = ["/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"] + [
            "/boot/efi/EFI/%s/grub.cfg" % name for name in host.names("/boot/efi/EFI")
        ]
        reads = any(re.search(r"^\s*blscfg\b", host.read(path) or "", re.MULTILINE) for path in configs)
        loader = cls(host, running, grubby)
        return loader if grubby and reads and loader.entries(Funnel(host, True)) else None

    def entries(self, funnel):
        paths = ["%s/%s" % (self.ENTRIES, name) for name in self.host.names(self.ENTRIES) if name.endswith(".conf")]
        texts = [(path, funnel.read(path) or "") for path in paths]
        return [(path, text) for path, text in texts if entry_value(text, "linux")]

    def kernelopts(self):
        """The variable kernelopts of GRUB's environment block, or None: older entries take their options from it."""
        if self._would_be is not None:
            return self._would_be
        match = re.search(r"^kernelopts=(.*)$", self.host.read(self.ENVIRONMENT) or "", re.MULTILINE)
        return match.group(1) if match else None

    def expand(self, line):
        value = self.kernelopts()
        return line if value is None else re.sub(r"\$kernelopts\b", lambda _match: value, line)

    def block(self, wanted):
        return "%s\n%s%s\n" % (self.BEGIN, drop_in(wanted), self.END) if wanted else ""

    def plan(self, funnel, wanted, drop, record):
        plan = super(Grubby, self).plan(funnel, wanted, drop, record)
        text = funnel.read(self.DEFAULTS)
        if text is not None:
            # grub2-mkconfig makes the entries' options anew from this file: always before EL 9.3, on request since.
            # It reads no drop-ins. grubby would put the tokens into the file itself, but writes over quotes in it
            # and over every variable whose name begins with GRUB_CMDLINE_LINUX.
            kept = re.sub(r"^%s\n.*?^%s\n" % (self.BEGIN, self.END), "", text, flags=re.MULTILINE | re.DOTALL)
            if wanted and not kept.endswith("\n"):
                kept += "\n"
            plan[self.DEFAULTS] = kept + self.block(wanted)
        return plan

    def needs(self, funnel, wanted, recorded):
        text, block = funnel.read(self.DEFAULTS), self.block(wanted)
        begun = any(token in recorded for token in wanted)
        out_of_step = text is not None and (
            block not in text if begun else not wanted and self.BEGIN in text
        )
        return out_of_step or super(Grubby, self).needs(funnel, wanted, recorded)

    def apply(self, funnel, wanted, record):
        recorded = record["tokens"]
        if not self.needs(funnel, wanted, recorded):
            return
        drop = [token for token in recorded if token not in wanted]
        lines = [self.options(text) for _path, text in self.entries(funnel)]
        lacking = [token for token in wanted if any(not has(line, token) for line in lines)]
        plan = self.plan(funnel, wanted, drop, record)
        kernelopts = self._note_kernelopts(funnel, lacking, drop)
        if funnel.check_mode:
            for path, text in plan.items():
                funnel.put(path, text)
            self._would_be = kernelopts
            return
        for path in list(plan) + [self.ENVIRONMENT]:
            funnel.keep(path)
        arguments = (["--args=" + " ".join(lacking)] if lacking else []) + (
            ["--remove-args=" + " ".join(drop)] if drop else []
        )
        if arguments:
            # The last option: grubby 8.40 takes this one for an option with a value, and skips what follows it.
            argv = [self.grubby, "--update-kernel=ALL"] + arguments + ["--no-etc-grub-update"]
            rc, out, err = self.host.run(argv, None)
            if rc != 0:
                funnel.undo()
                raise BootLoaderError(
                    "%s failed, and everything is as it was: %s" % (" ".join(argv), last_line(err, out))
                )
        self._settle(funnel, plan, kernelopts)
        self._read_back(funnel, wanted)

    def _note_kernelopts(self, funnel, lacking, drop):
        """The wanted value of kernelopts, noted for the diff; None when there is no such variable."""
        value = self.kernelopts()
        if value is None:
            return None
        kept = remove_tokens(value, drop)
        after = append(kept, missing(kept, lacking)) if missing(kept, lacking) else kept
        if after != value:
            header = self.ENVIRONMENT + " (kernelopts)"
            funnel.changed = True
            funnel.diff.append({
                "before_header": header, "after_header": header, "before": value + "\n", "after": after + "\n",
            })
        return after

    def _settle(self, funnel, plan, kernelopts):
        """Bring the files to the plan where grubby left something else: it drops other values of a name it adds,
        and what its unquoted echo and its sed patterns cannot carry."""
        for path, text in plan.items():
            funnel.settle(path, text)
        if kernelopts is not None and self.kernelopts() != kernelopts:
            editor = self.host.which("grub2-editenv", "grub-editenv") or "/usr/bin/grub2-editenv"
            rc, out, err = self.host.run([editor, self.ENVIRONMENT, "set", "kernelopts=" + kernelopts], None)
            if rc != 0:
                funnel.undo()
                raise BootLoaderError(
                    "grub2-editenv could not set kernelopts, and everything is as it was: %s" % last_line(err, out)
                )
        # kernel-install takes /etc/default/grub as edited by hand when it is newer than /etc/kernel/cmdline, and
        # runs grub2-mkconfig: whichever was newer stays so.
        for path in (self.DEFAULTS, self.KERNEL_CMDLINE):
            funnel.restore_times(path)

    def _read_back(self, funnel, wanted):
        rc, out, err = self.host.run([self.grubby, "--info=ALL"], None)
        lines = re.findall(r'^args="(.*)"$', out, re.MULTILINE)
        lacking = sorted({token for line in lines for token in missing(line, wanted)}) if lines else wanted
        if rc != 0 or lacking:
            funnel.undo()
            raise BootLoaderError(
                "grubby --info=ALL does not show %s on every entry afterwards, and everything is as it was: %s"
                % (" ".join(lacking) or "the entries", last_line(err, out))
            )


class SystemdBoot(EntryLoader):
    """systemd-boot with entries of type 1: files below loader/entries on the boot or the EFI system partition."""

    name = "systemd-boot"

    def __init__(self, host, running, directories):
        super(SystemdBoot, self).__init__(host, running)
        self.directories = directories

    @classmethod
    def partitions(cls, host):
        """Where entries may be: what bootctl says, and the usual mount points."""
        places, bootctl = [], host.which("bootctl")
        for option in ("--print-boot-path", "--print-esp-path") if bootctl else ():
            rc, out, _err = host.run([bootctl, option], None)
            if rc == 0 and out.strip().startswith("/"):
                places.append(out.strip())
        return list(dict.fromkeys(places + ["/boot", "/efi", "/boot/efi"]))

    @classmethod
    def find(cls, host, running):
        """The loader, or None. Evidence: Linux entries of this system on a partition where systemd-boot looks."""
        loader = cls(host, running, [place + "/loader/entries" for place in cls.partitions(host)])
        return loader if loader.entries(Funnel(host, True)) else None

    @classmethod
    def unified_images(cls, host):
        """Paths of unified kernel images (entries of type 2), which carry their kernel line inside."""
        return [
            "%s/EFI/Linux/%s" % (place, name) for place in cls.partitions(host)
            for name in host.names(place + "/EFI/Linux") if name.endswith(".efi")
        ]

    def entries(self, funnel):
        """Entries of this system only: an EFI system partition may be shared with others."""
        machine = (self.host.read("/etc/machine-id") or "").strip()
        found = []
        for directory in self.directories:
            for name in self.host.names(directory):
                text = funnel.read("%s/%s" % (directory, name)) if name.endswith(".conf") else None
                if text is None or not entry_value(text, "linux"):
                    continue
                owner = entry_value(text, "machine-id")
                root = _root(" ".join(entry_value(text, "options")))
                if owner[-1] == machine if owner else root in (None, _root(self.running)):
                    found.append(("%s/%s" % (directory, name), text))
        return found

    def apply(self, funnel, wanted, record):
        recorded = record["tokens"]
        if not self.needs(funnel, wanted, recorded):
            return
        drop = [token for token in recorded if token not in wanted]
        try:
            for path, text in self.plan(funnel, wanted, drop, record).items():
                funnel.put(path, text)
        except OSError as error:
            funnel.undo()
            raise BootLoaderError("A boot entry cannot be written, and everything is as it was: %s" % error)


# --- which loader -------------------------------------------------------------------------------------------------


def detect(host, running):
    """The boot loader that keeps this host's next kernel line.

    running: /proc/cmdline. Several may be installed: what the running system was started by decides. systemd-boot
    always says so in the UEFI variable LoaderInfo, GRUB leaves BOOT_IMAGE= on the line, an EFI stub `initrd=\\`.
    Raises BootLoaderError, naming what was looked for, when there is none to be found.
    """
    if host.is_file("/run/ostree-booted"):
        raise BootLoaderError(
            "This host is kept by ostree, which makes the boot entries itself: add the kernel parameters with "
            "rpm-ostree kargs, and the role will take them as they are."
        )
    said = (host.uefi_loader() or "").lower()
    stub = re.search(r"(?:^|\s)initrd=\\", running) is not None
    by_stub = said.startswith("systemd-boot") or (stub and "grub" not in said)
    grub = None if by_stub else Grubby.find(host, running) or MkconfigGrub.find(host)
    if grub:
        return grub
    systemd = SystemdBoot.find(host, running)
    if systemd:
        return systemd
    images = SystemdBoot.unified_images(host)
    if images:
        raise BootLoaderError(
            "systemd-boot starts unified kernel images here (%s), whose command line is inside them: add the "
            "parameters to /etc/kernel/cmdline, make the images anew (kernel-install add-all), and the role will "
            "take them as they are." % images[0]
        )
    raise BootLoaderError(
        "No boot loader that this role knows was found: it looked for GRUB (/boot/grub/grub.cfg with "
        "/etc/default/grub and a grub-mkconfig that reads /etc/default/grub.d), for grubby with entries in "
        "/boot/loader/entries, and for systemd-boot with entries in loader/entries; put the parameters on the line "
        "yourself, and the role will take them as they are."
    )


# --- the record of what this role added ---------------------------------------------------------------------------


def read_record(host):
    """What this role has added: {"bootloader": str, "tokens": [str], ...}; empty tokens when there is no record."""
    try:
        record = json.loads(host.read(RECORD) or "{}")
    except ValueError:
        record = {}
    if not isinstance(record, dict) or not isinstance(record.get("tokens", []), list):
        record = {}
    record.setdefault("tokens", [])
    return record


def write_record(host, record, check_mode):
    """Keep the record, without counting it as a change: it is bookkeeping of the change itself."""
    if check_mode or record == read_record(host):
        return
    real = host.real(RECORD)
    if record["tokens"]:
        write_atomically(real, json.dumps(record, indent=2, sort_keys=True) + "\n")
    elif os.path.exists(real):
        os.unlink(real)
        sync_directory(os.path.dirname(real))
