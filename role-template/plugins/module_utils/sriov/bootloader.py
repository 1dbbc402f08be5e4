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

import contextlib
import json
import os
import re
import shlex
import stat
import tempfile

from .errors import Refusal
from .program.disk import remove_file, sync_directory, write_atomically

INTEL_ON = "intel_iommu=on"
PASSTHROUGH = "iommu=pt"
MANAGED_NAMES = ("intel_iommu", "amd_iommu", "iommu", "iommu.passthrough")
RECORD = "/var/lib/sriov/kernel-parameters.json"


# --- what a line means to the kernel ------------------------------------------------------------------------------


# What hands the rest of the line to init: parse_args() of kernel/params.c compares after next_arg() has taken the quotes off.
TO_INIT = ("--", '"--"')


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
        if raw in TO_INIT:
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
    """The line with the tokens at its end, before a `--` that hands the rest to init and before a quote that is never closed."""
    end = _kernels_end(line)
    kept, rest = line[:end].rstrip(), line[end:]
    return " ".join(([kept] if kept else []) + tokens + ([rest] if rest else []))


def _kernels_end(line):
    """Where the part of a line ends to which a word can be added that reaches the kernel."""
    spans = _spans(line)
    for start, end in spans:
        if line[start:end] in TO_INIT:
            return start
    if spans and line[spans[-1][0]:].count('"') % 2:
        return spans[-1][0]
    return len(line)


def _before_init(line):
    for start, end in _spans(line):
        if line[start:end] in TO_INIT:
            return line[:start], " " + line[start:end], line[end:]
    return line, "", ""


# --- /etc/kernel/cmdline ------------------------------------------------------------------------------------------


def without_comments(text):
    """The text with every line that begins with # turned into blanks, so that positions stay the same.

    What counts as a comment is what 90-loaderentry.install of systemd 257 and later leaves out (`grep -v '^\\s*#'`); a # further
    on in a line is a word like any other.
    """
    return re.sub(r"^[^\S\n]*#[^\n]*", lambda match: " " * len(match.group(0)), text, flags=re.MULTILINE | re.ASCII)


def kernel_line(text):
    """The kernel line that a /etc/kernel/cmdline gives: its lines joined, without comments."""
    return " ".join(without_comments(text).split())


def every_word(text):
    """The kernel line as kernel-install before systemd 257 and EL's 20-grub.install take it: comments are words too."""
    return " ".join(text.split())


def first_line(text):
    """The kernel line as proxmox-boot-tool takes it."""
    return text.split("\n", 1)[0]


def up_to_return(text):
    """The kernel line of an entry that kernel-install makes of a file with carriage returns: systemd-boot ends a line at them."""
    return without_comments(text).split("\r", 1)[0]


def edit_line_file(text, add, drop, readings=(kernel_line,)):
    """The text of /etc/kernel/cmdline with the tokens of `drop` taken off and those of `add` put on. Comments stay as they are.

    readings: functions from the text to a kernel line, each of which has to give what was added.
    Raises Refusal when there is no such place.
    """
    text = _without_words(text, drop)
    if not add:
        return text
    for candidate in _placings(text, " ".join(add)):
        if not any(missing(reading(candidate), add) for reading in readings):
            return candidate
    raise Refusal(
        "There is no place in /etc/kernel/cmdline where %s would reach a kernel that is installed later: bring what the kernel "
        "needs to the first line, before any comment and any ' -- ', and close every quote." % " ".join(add)
    )


def _placings(text, words):
    """The texts with the words put in, the usual place first: the last line, the first, a line of their own, right before the rest."""
    blanked = without_comments(text)
    end = _kernels_end(blanked)
    places = {}
    for start, stop in _spans(blanked):
        rest_of_line = blanked[stop:].split("\n", 1)[0]
        continues = blanked[start:stop] == "\\" and not rest_of_line.strip()
        if stop <= end and not continues and "\n" not in blanked[start:stop]:
            places[blanked.count("\n", 0, start)] = stop
    for line in sorted(places, key=lambda number: (number != max(places), number)):
        yield text[:places[line]] + " " + words + text[places[line]:]
    if end == len(text):
        newline = "\r\n" if "\r\n" in text else "\n"
        yield text + (newline if text and not text.endswith("\n") else "") + words + newline
    yield text[:end] + words + " " + text[end:]


def _without_words(text, drop):
    """The text without the words that are exactly one of `drop`, as far as they are the kernel's and in no comment."""
    blanked = without_comments(text)
    kernels = _before_init(blanked)[0]
    for start, end in reversed(_spans(kernels)):
        if text[start:end] not in drop:
            continue
        line_start = text.rfind("\n", 0, start) + 1
        after = text[end:].lstrip(" \t")
        if text[line_start:start].strip():
            text = text[:start - 1] + text[end:]
        elif after.lstrip("\r")[:1] in ("", "\n"):
            text = text[:line_start] + after.lstrip("\r")[1:]
        else:
            text = text[:start] + after
    return text


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

    def uefi_loader(self, variable="LoaderInfo"):
        """What the boot loader says of itself in a UEFI variable of the Boot Loader Interface, or None."""
        path = "/sys/firmware/efi/efivars/%s-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f" % variable
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
        self._made = []
        self._planned = {}

    def read(self, path):
        if path in self._planned:
            return self._planned[path]
        return self.host.read(path)

    def write(self, path, text, mode=0o644, keep_times=False):
        """Make `path` hold `text`. `mode` is for a new file; an existing one keeps its mode and owner, its times on request."""
        before = self.read(path)
        if before == text:
            return
        self._note(path, before, text)
        self.keep(path)
        if self.check_mode:
            self._planned[path] = text
            return
        # A symbolic link stays one: /etc/default/grub may point elsewhere.
        real, owner, times = os.path.realpath(self.host.real(path)), None, None
        if before is not None:
            status = os.stat(real)
            mode, owner = stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)
            times = (status.st_atime_ns, status.st_mtime_ns) if keep_times else None
        write_atomically(real, text, mode, owner, times)

    def put(self, path, text, keep_times=False):
        """Write `text`, or remove the file when it is None."""
        if text is None:
            self.remove(path)
        else:
            self.write(path, text, keep_times=keep_times)

    def remove(self, path):
        before = self.read(path)
        if before is None:
            return
        self._note(path, before, None)
        self.keep(path)
        if self.check_mode:
            self._planned[path] = None
            return
        remove_file(self.host.real(path))

    def command(self, argv, path, header, before, after):
        """Run a command that changes `path`; header, before and after describe the change for the diff.

        Returns (rc, stdout, stderr); in check mode (0, "", "") without running it. What a command that succeeds has written is
        on the disk afterwards: grub-mkconfig and grub-editenv leave that to the kernel.
        """
        self.changed = True
        self.diff.append({"before_header": header, "after_header": header, "before": before, "after": after})
        if self.check_mode:
            return 0, "", ""
        self.keep(path)
        rc, out, err = self.host.run(argv, None)
        real = os.path.realpath(self.host.real(path))
        if rc == 0 and os.path.isfile(real):
            with open(real, "rb") as stream:
                os.fsync(stream.fileno())
            sync_directory(os.path.dirname(real))
        return rc, out, err

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
            folder = os.path.dirname(real)
            while not os.path.isdir(folder):
                self._made.append(folder)
                folder = os.path.dirname(folder)

    def undo(self):
        """Put every file back that this funnel changed or was told to keep. Returns what became of it, as part of a sentence."""
        failed = []
        for path, before in self._before.items():
            try:
                self._put_back(os.path.realpath(self.host.real(path)), before)
            except OSError as error:
                failed.append("%s (%s)" % (path, error.strerror or error))
        for folder in self._made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        return "this could not be put back: %s" % ", ".join(failed) if failed else "everything is as it was"

    @staticmethod
    def _put_back(real, before):
        if before is None:
            if os.path.lexists(real):
                remove_file(real)
            return
        content, status = before
        if os.path.exists(real):
            with open(real, "rb") as stream:
                if stream.read() == content:
                    return
        write_atomically(
            real, content.decode("utf-8", "surrogateescape"), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid),
            (status.st_atime_ns, status.st_mtime_ns),
        )

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
    VARIABLES = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY")

    def __init__(self, host, config, generate):
        self.host = host
        self.config = config
        self.generate = generate
        self._generated = True
        self._known = {}

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
        """The kernel line of a normal entry, as grub-mkconfig would make it: GRUB_CMDLINE_LINUX, then GRUB_CMDLINE_LINUX_DEFAULT."""
        settings = self.settings(funnel)
        return " ".join((settings["GRUB_CMDLINE_LINUX"] + " " + settings["GRUB_CMDLINE_LINUX_DEFAULT"]).split())

    def settings(self, funnel):
        """The variables of VARIABLES as grub-mkconfig would have them, by name; empty where one is not set.

        The files are sourced by sh, in grub-mkconfig's order and under its `set -e`: nothing else knows what
        `+=`, `$( )` or a continued line come to.
        """
        texts = tuple((path, funnel.read(path)) for path in self._files(funnel))
        if texts not in self._known:
            self._known[texts] = self._source(texts)
        return self._known[texts]

    def _source(self, texts):
        with tempfile.TemporaryDirectory(prefix="sriov-") as directory:
            script = ["set -e"]
            for number, (path, text) in enumerate(texts):
                if text is None:
                    continue
                source = self.host.real(path)
                if text != self.host.read(path):
                    source = os.path.join(directory, "%d.cfg" % number)
                    with open(source, "w", encoding="utf-8", errors="surrogateescape") as stream:
                        stream.write(text)
                script.append(". %s" % shlex.quote(source))
            mark = "@sriov@"
            script.append("printf '%s%%s' %s '%s'" % (mark, " ".join('"${%s-}"' % name for name in self.VARIABLES), "end"))
            rc, out, err = self.host.run(["/bin/sh", "-c", "\n".join(script)], "")
        values = out.split(mark)[-len(self.VARIABLES) - 1:]
        if rc != 0 or len(values) != len(self.VARIABLES) + 1 or values.pop() != "end":
            raise Refusal(
                "The settings of GRUB in %s cannot be read by sh, so update-grub would fail too: %s"
                % (self.DEFAULTS, last_line(err, out))
            )
        settings = dict(zip(self.VARIABLES, values))
        if "\n" in settings["GRUB_CMDLINE_LINUX"] + settings["GRUB_CMDLINE_LINUX_DEFAULT"]:
            raise Refusal(
                "A value of GRUB_CMDLINE_LINUX or GRUB_CMDLINE_LINUX_DEFAULT in %s or %s has a line break inside its "
                "quotes, at which GRUB ends the kernel's line: put it on one line." % (self.DEFAULTS, self.DROP_INS)
            )
        return settings

    def _files(self, funnel):
        """The files that hold the settings, in the order in which grub-mkconfig sources them."""
        drop_ins = {
            "%s/%s" % (self.DROP_INS, name) for name in self.host.names(self.DROP_INS)
            if name.endswith(".cfg") and not name.startswith(".")
        }
        # What check mode would write sorts where the real file will.
        return [self.DEFAULTS] + sorted(drop_ins | ({self.DROP_IN} if funnel.read(self.DROP_IN) is not None else set()))

    def folders(self, _funnel):
        """Where this role writes files for this loader."""
        return [self.DROP_INS, os.path.dirname(self.config)]

    def lines(self, funnel):
        """The kernel lines of the entries that boot normally, as (title, line): what the next boot will have."""
        return grub_entries(self.host.read(self.config) or "", self.settings(funnel))

    def sources(self, funnel):
        """The lines that people write, as (where, line): what a parameter of theirs has to be taken off from."""
        return [("%s or %s" % (self.DEFAULTS, self.DROP_INS), self.evaluate(funnel))]

    def also_read(self, _funnel):
        """Further lines whose words end up on a kernel's line, as (where, line): none."""
        return []

    def configured(self, funnel):
        """Every line that a next boot may take, as (where, line)."""
        made = self.lines(funnel) if self._generated else []
        return [(self.config + ": " + title, line) for title, line in made] + self.sources(funnel)

    def lacking(self, funnel, wanted):
        """The wanted tokens that a run would bring to the next boot."""
        line, entries = self.evaluate(funnel), self.lines(funnel)
        return [
            token for token in wanted
            if not has(line, token) or (entries and not any(has(entry, token) for _title, entry in entries))
        ]

    def prepare(self, funnel, wanted, record):
        """What the record has to say before anything is changed: nothing, the drop-in is known by its name."""

    def apply(self, funnel, wanted, record):
        """Make the next boot have `wanted`, and not what `record` says this role added before.

        Returns sentences for the operator about entries that do not follow the settings.
        """
        trial = Funnel(self.host, True)
        if not wanted:
            trial.remove(self.DROP_IN)
        elif trial.read(self.DROP_IN) is not None or missing(self.evaluate(trial), wanted):
            trial.write(self.DROP_IN, DROP_IN_HEADER + drop_in(wanted))
        line = self.evaluate(trial)
        if missing(line, wanted):
            raise Refusal(self._in_the_way(trial, " ".join(missing(line, wanted))))
        funnel.put(self.DROP_IN, trial.read(self.DROP_IN))
        if trial.changed or self._stale(funnel, line, wanted, record["tokens"]):
            return self._generate(funnel, line, wanted)
        return []

    def _in_the_way(self, funnel, tokens):
        """Why the tokens are not on the kernel's line although the drop-in puts them there."""
        settings = self.settings(funnel)
        for name in ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"):
            if any(word in TO_INIT for word in split_raw(settings[name])):
                files = [path for path in self._files(funnel) if sets_separator(funnel.read(path) or "", name)]
                return (
                    "%s would go to init and not to the kernel, as every word after the ' -- ' in %s of %s does: take the ' -- ' out, "
                    "or put in front of it what the kernel needs ('---' is an ordinary word)."
                    % (tokens, name, (files or ["%s or %s" % (self.DEFAULTS, self.DROP_INS)])[-1])
                )
        return (
            "%s is not on the line that GRUB would get: a file in %s that sorts after %s sets "
            "GRUB_CMDLINE_LINUX_DEFAULT anew (rename it or let it append), or the word stands in a quoted value."
            % (tokens, self.DROP_INS, os.path.basename(self.DROP_IN))
        )

    def _stale(self, funnel, line, wanted, recorded):
        """Whether grub.cfg is older than the settings.

        One entry that has the tokens shows that it is not: those that lack them then are made by a script with a line of its own.
        """
        entries = self.lines(funnel)
        return all(missing(entry, wanted) for _title, entry in entries) and bool(entries) or any(
            has(entry, token) and not has(line, token)
            for _title, entry in entries for token in recorded if token not in wanted
        )

    def _generate(self, funnel, line, wanted):
        old = self.lines(funnel)
        before = "".join("%s: %s\n" % (title, " ".join(managed_tokens(entry))) for title, entry in old)
        after = "".join("%s: %s\n" % (title, " ".join(managed_tokens(line))) for title, _entry in old)
        command = " ".join(self.generate)
        rc, out, err = funnel.command(self.generate, self.config, self.config, before, after)
        if rc != 0:
            raise Refusal("%s failed, and %s: %s" % (command, funnel.undo(), last_line(err, out)))
        if funnel.check_mode:
            self._generated = False
            return []
        entries = self.lines(funnel)
        lacking = [(title, missing(entry, wanted)) for title, entry in entries if missing(entry, wanted)]
        if old and not entries:
            raise Refusal(
                "%s made a %s without the Linux entries that it had, and %s: look at the scripts in /etc/grub.d."
                % (command, self.config, funnel.undo())
            )
        if wanted and not entries:
            return [
                "%s has no Linux entry that is known to take its line from %s: whether the next boot has %s will be seen after it."
                % (self.config, self.DEFAULTS, " ".join(wanted))
            ]
        if lacking and len(lacking) == len(entries):
            raise Refusal(
                "%s made a %s whose entry '%s' lacks %s, and %s: look at the scripts in /etc/grub.d."
                % (command, self.config, lacking[0][0], " ".join(lacking[0][1]), funnel.undo())
            )
        return [
            "The entry '%s' of %s does not have %s, because the script in /etc/grub.d that makes it takes a line of its own: a host "
            "that is started from this entry runs without." % (title, self.config, " ".join(tokens)) for title, tokens in lacking
        ]


def sets_separator(text, name):
    """Whether a file of settings has a lone `--` on a line that sets the variable of this name."""
    return re.search(r"^[^#\n]*\b%s\b.*[\s\"'=]--(?:[\s\"'\\]|$)" % name, text, re.MULTILINE) is not None


# Words that make a boot end in a shell for repairs: systemd's generator and run level names (kernel-command-line(7)), Ubuntu's
# friendly-recovery, the stops of dracut (dracut.cmdline(7)) and initramfs-tools(7), and a shell instead of init.
REPAIR = re.compile(
    r"^(single|-s|s|S|1|-b|recovery|(rd\.)?(rescue|emergency)|(rd\.)?break(=.*)?"
    r"|(rd\.)?systemd\.unit=(rescue|emergency)(\.target)?|(rd)?init=/\S*/?(ba|da|z|k|a)?sh)$")
# The id of a recovery entry of 10_linux, gnulinux-VERSION-recovery-DEVICE, where the device can be of any name.
RECOVERY_ID = re.compile(r"gnulinux-(?!simple-)(?:(?!-advanced-|-recovery-)[^/'\"\s])*-recovery-")
# Scripts whose entries are other systems' and the administrator's own.
NOT_MADE = ("30_os-prober", "40_custom", "41_custom")


def grub_entries(text, settings=None):
    """The Linux entries that boot normally in a grub.cfg, as (title, kernel line without the kernel's path).

    Those of 10_linux (and 10_linux_zfs) when there are any: entries of other systems and the administrator's own
    are not made from /etc/default/grub. Recovery entries do not get GRUB_CMDLINE_LINUX_DEFAULT. They are known by 10_linux's id, and
    in whatever other script by their line: it has a word that REPAIR knows or the words of GRUB_CMDLINE_LINUX_RECOVERY, which the
    line of a normal entry (`settings`, by name of the variable) does not have.
    """
    settings = settings or {}
    usual = set(split_raw(settings.get("GRUB_CMDLINE_LINUX", "") + " " + settings.get("GRUB_CMDLINE_LINUX_DEFAULT", "")))
    own = set(settings.get("GRUB_CMDLINE_LINUX_RECOVERY", "").split()) - usual

    def repairs(line):
        words = set(split_raw(line))
        return any(REPAIR.match(word) for word in words - usual) or bool(own) and own <= words

    entries, section, title, recovery = [], "", "", False
    for line in text.splitlines():
        if section in NOT_MADE and not line.startswith("###"):
            continue
        begin = re.match(r"### BEGIN (\S+) ###", line)
        if begin:
            section, title = os.path.basename(begin.group(1)), ""
        entry = re.match(r"\s*menuentry\s+(?:(['\"])(.*?)\1|([^\s'\"]+))(.*)", line)
        if entry:
            title = entry.group(2) or entry.group(3) or "?"
            recovery = section != "10_linux_zfs" and RECOVERY_ID.search(entry.group(4)) is not None
        kernel = re.match(r"\s*linux(?:16|efi)?\s+(\"[^\"]*\"|\S+)\s*(.*)", line)
        if not kernel or not title or recovery or "memtest" in os.path.basename(kernel.group(1)) or repairs(kernel.group(2)):
            continue
        entries.append((section, title, kernel.group(2).strip()))
    made = [entry for entry in entries if entry[0].startswith("10_linux")]
    return [(title, line) for _section, title, line in made or entries]


# --- Boot Loader Specification entries ----------------------------------------------------------------------------


def entry_value(text, key):
    """All values of a key of a boot entry, in order. The specification joins several `options` with a space."""
    return re.findall(r"^[ \t]*%s[ \t]+(.*?)[ \t\r]*$" % re.escape(key), text, re.MULTILINE)


OPTIONS = re.compile(r"([ \t]*options)([ \t]*)(.*?)(\r?)$")


def _option_lines(lines):
    return [number for number, line in enumerate(lines) if re.match(r"[ \t]*options(?:[ \t\r]|$)", line)]


def edit_entry(text, add, drop):
    """The text of a boot entry with the tokens of `add` at the end of its options and those of `drop` taken off.

    Every other character stays. An entry without options gets a line of them, and loses it when nothing is left on it.
    """
    lines = text.split("\n")
    for number in _option_lines(lines) if drop else []:
        key, space, value, end = OPTIONS.match(lines[number]).groups()
        if remove_tokens(value, drop) != value.rstrip():
            kept = remove_tokens(value, drop)
            lines[number] = key + space + kept + end if kept else None
    lines = [line for line in lines if line is not None]
    places = _option_lines(lines) if add else []
    # The last line is the usual place. With a ` -- ` or an open quote in a line before, it is init's or within the quote.
    for place in places[-1:] + places[:-1]:
        key, space, value, end = OPTIONS.match(lines[place]).groups()
        edited = "\n".join(lines[:place] + [key + (space or " ") + append(value, add) + end] + lines[place + 1:])
        if not missing(" ".join(entry_value(edited, "options")), add):
            return edited
    if add:
        last = len(lines) - 1 if lines[-1] == "" else len(lines)
        end = "\r" if "\r\n" in text else ""
        lines.insert(places[0] if places else last, "options " + " ".join(add) + end)
    return "\n".join(lines)


class EntryLoader:
    """What EL's GRUB and systemd-boot share: an `options` line per entry, /etc/kernel/cmdline for later kernels."""

    KERNEL_CMDLINE = "/etc/kernel/cmdline"
    VENDOR_CMDLINE = "/usr/lib/kernel/cmdline"
    # Files whose times are compared by others, and stay.
    SAME_TIMES = ()
    # Where kernel-install looks for its scripts, the first one of a name wins.
    INSTALL = ("/etc/kernel/install.d", "/run/kernel/install.d", "/usr/lib/kernel/install.d", "/lib/kernel/install.d")

    def __init__(self, host, running):
        self.host = host
        self.running = running
        self._takes_comments = None

    def entries(self, funnel):
        """The Linux entries of this system, as (path, text)."""
        raise NotImplementedError

    def folders(self, funnel):
        """Where this role writes files for this loader."""
        return sorted({os.path.dirname(path) for path, _text in self.entries(funnel)} | {os.path.dirname(self.KERNEL_CMDLINE)})

    def script(self):
        """The name of kernel-install's script that makes an entry of /etc/kernel/cmdline."""
        raise NotImplementedError

    def takes_comments_by_default(self):
        """Whether that script takes comments for words where it cannot be read."""
        raise NotImplementedError

    def takes_comments(self):
        """Whether a kernel that is installed later gets the words of comments in /etc/kernel/cmdline on its line."""
        if self._takes_comments is None:
            paths = ["%s/%s" % (directory, self.script()) for directory in self.INSTALL]
            text = next((text for text in map(self.host.read, paths) if text is not None), None)
            leaves_out = r"^[^#\n]*\b(?:grep|sed|awk)\b[^\n]*#[^\n]*cmdline"
            self._takes_comments = self.takes_comments_by_default() if text is None else not re.search(leaves_out, text, re.MULTILINE)
        return self._takes_comments

    def readings(self):
        """What may make a kernel line of /etc/kernel/cmdline here, as functions from its text to that line."""
        proxmox = self.host.which("proxmox-boot-tool") or self.host.is_file("/etc/kernel/proxmox-boot-uuids")
        return [kernel_line] + ([every_word] if self.takes_comments() else []) + ([first_line] if proxmox else [])

    def expand(self, line):
        """A line with the loader's variables put in."""
        return line

    def options(self, text):
        return self.expand(" ".join(entry_value(text, "options")))

    def sources(self, funnel):
        lines = [(path, self.options(text)) for path, text in self.entries(funnel)]
        later = funnel.read(self.KERNEL_CMDLINE)
        return lines + ([] if later is None else [(self.KERNEL_CMDLINE, kernel_line(later))])

    def also_read(self, funnel):
        """Further lines whose words end up on a later kernel's line, as (where, line): comments, and the file that ours is made from."""
        later = funnel.read(self.KERNEL_CMDLINE)
        path = self.VENDOR_CMDLINE if later is None else self.KERNEL_CMDLINE
        text = self.host.read(self.VENDOR_CMDLINE) or "" if later is None else later
        comments = [line for line in text.split("\n") if line.lstrip().startswith("#")] if self.takes_comments() else []
        where = "a line of %s that begins with # (which kernel-install takes for a word here)" % path
        return [(path, kernel_line(text))] + [(where, comment) for comment in comments]

    def configured(self, funnel):
        return self.sources(funnel)

    def lacking(self, funnel, wanted):
        """The wanted tokens that a line of the next boot, or of a kernel that is installed later, does not have."""
        later = funnel.read(self.KERNEL_CMDLINE)
        lines = [self.options(text) for _path, text in self.entries(funnel)]
        lines += [] if later is None else [reading(later) for reading in self.readings()]
        return [token for token in wanted if any(not has(line, token) for line in lines)]

    def _default_text(self, funnel, ours):
        """The text to begin /etc/kernel/cmdline with: kernel-install's own default, or the booted entry's options without `ours`."""
        vendor = self.host.read(self.VENDOR_CMDLINE)
        if vendor is not None:
            return vendor
        entries = self.entries(funnel)
        root = _root(self.running)
        alike = [text for _path, text in entries if _root(self.options(text)) == root]
        return remove_tokens(self.options((alike or [text for _path, text in entries])[-1]), ours) + "\n"

    def prepare(self, funnel, wanted, record):
        """Put into the record what a run that is interrupted has to leave to the next: with what /etc/kernel/cmdline begins.

        Without the file kernel-install takes the running line, and a kernel that is installed before the reboot would come up
        without the parameters.
        """
        if wanted and funnel.read(self.KERNEL_CMDLINE) is None and self.needs(funnel, wanted, record):
            # After an interrupted run the entries may have the role's own tokens already.
            record.setdefault("created", {})[self.KERNEL_CMDLINE] = self._default_text(funnel, record["tokens"]).rstrip("\n")

    def _made_by_role(self, text, record):
        """Whether /etc/kernel/cmdline is the file that the role made, changed by nobody but the role."""
        made = record.get("created", {}).get(self.KERNEL_CMDLINE)
        ours = (INTEL_ON, PASSTHROUGH)
        return made is not None and _without_words(text, ours).rstrip("\n") == _without_words(made, ours).rstrip("\n")

    def plan(self, funnel, wanted, drop, record):
        """The texts to write, as {path: text}, None for a file to remove."""
        plan = {}
        for path, text in self.entries(funnel):
            variables = "$kernelopts" in text and self.expand("$kernelopts") != "$kernelopts"
            add = [] if variables else missing(self.options(edit_entry(text, [], drop)), wanted)
            plan[path] = edit_entry(text, add, drop)
        later = funnel.read(self.KERNEL_CMDLINE)
        if later is not None and not wanted and self._made_by_role(later, record):
            plan[self.KERNEL_CMDLINE] = None
        elif later is not None or wanted and plan:
            text = record["created"][self.KERNEL_CMDLINE] + "\n" if later is None else later
            readings = self.readings()
            kept = edit_line_file(text, [], drop)
            lacking = [token for token in wanted if any(not has(reading(kept), token) for reading in readings)]
            plan[self.KERNEL_CMDLINE] = edit_line_file(kept, lacking, [], readings)
        return plan

    def needs(self, funnel, wanted, record):
        """Whether anything lacks a wanted token, or still has what this role added and is not wanted."""
        drop = [token for token in record["tokens"] if token not in wanted]
        later = funnel.read(self.KERNEL_CMDLINE)
        # A run that was interrupted leaves its record, and may have written the entries only.
        begun = any(token in record["tokens"] for token in wanted)
        return (
            bool(self.lacking(funnel, wanted))
            or any(token in split_raw(line) for _where, line in self.sources(funnel) for token in drop)
            or (begun and later is None)
            or (not wanted and later is not None and self._made_by_role(later, record))
        )

    def write(self, funnel, plan):
        for path, text in plan.items():
            funnel.put(path, text, keep_times=path in self.SAME_TIMES)

    def apply(self, funnel, wanted, record):
        """Make the next boot have `wanted`, and not what `record` says this role added before. Returns sentences for the operator."""
        if self.needs(funnel, wanted, record):
            drop = [token for token in record["tokens"] if token not in wanted]
            self.write(funnel, self.plan(funnel, wanted, drop, record))
        return []


def _root(line):
    return next((value for _raw, name, value in parse_line(line) if name == "root"), None)


class Grubby(EntryLoader):
    """GRUB that reads boot entries (blscfg), as on Enterprise Linux 9 and 10, where grubby is the tool to look at and edit them.

    grubby 8.40 loses words when it edits: other values of a name that it adds, `&` and `\\`, blanks in quotes, all but the first
    line of /etc/kernel/cmdline. A run that is killed after it could not bring them back. So the role writes the files itself,
    each in one step, and has grubby show what it sees then.
    """

    name = "grubby"
    ENTRIES = "/boot/loader/entries"
    ENVIRONMENT = "/boot/grub2/grubenv"
    DEFAULTS = "/etc/default/grub"
    BEGIN, END = "# BEGIN stackhpc.sriov", "# END stackhpc.sriov"
    # kernel-install takes /etc/default/grub as edited by hand when it is newer than /etc/kernel/cmdline, and
    # runs grub2-mkconfig: whichever was newer stays so.
    SAME_TIMES = (DEFAULTS, EntryLoader.KERNEL_CMDLINE)

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

    def folders(self, funnel):
        places = [os.path.dirname(self.DEFAULTS), os.path.dirname(self.ENVIRONMENT)]
        return super(Grubby, self).folders(funnel) + places

    def script(self):
        return "20-grub.install"

    def takes_comments_by_default(self):
        # `read -r -d '' -a BOOT_OPTIONS < /etc/kernel/cmdline` in grub2-common of EL 9 and 10.
        return True

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

    def configured(self, funnel):
        value = self.kernelopts()
        return self.sources(funnel) + ([] if value is None else [(self.ENVIRONMENT, value)])

    def block(self, wanted):
        return "%s\n%s%s\n" % (self.BEGIN, drop_in(wanted), self.END) if wanted else ""

    def plan(self, funnel, wanted, drop, record):
        plan = super(Grubby, self).plan(funnel, wanted, drop, record)
        text = funnel.read(self.DEFAULTS)
        if text is not None:
            # grub2-mkconfig makes the entries' options anew from this file: always before EL 9.3, on request since.
            # It reads no drop-ins.
            kept = re.sub(r"^%s\n.*?^%s\n" % (self.BEGIN, self.END), "", text, flags=re.MULTILINE | re.DOTALL)
            if wanted and kept and not kept.endswith("\n"):
                kept += "\n"
            plan[self.DEFAULTS] = kept + self.block(wanted)
        return plan

    def needs(self, funnel, wanted, record):
        text, block = funnel.read(self.DEFAULTS), self.block(wanted)
        begun = any(token in record["tokens"] for token in wanted)
        out_of_step = text is not None and (
            block not in text if begun else not wanted and self.BEGIN in text
        )
        drop = [token for token in record["tokens"] if token not in wanted]
        left = any(token in split_raw(self.kernelopts() or "") for token in drop)
        return out_of_step or left or super(Grubby, self).needs(funnel, wanted, record)

    def apply(self, funnel, wanted, record):
        if not self.needs(funnel, wanted, record):
            return []
        drop = [token for token in record["tokens"] if token not in wanted]
        lines = [self.options(text) for _path, text in self.entries(funnel)]
        lacking = [token for token in wanted if any(not has(line, token) for line in lines)]
        plan = self.plan(funnel, wanted, drop, record)
        # First: as long as the entries or the block below are not written, the next run finds something to do.
        self._set_kernelopts(funnel, lacking, drop)
        self.write(funnel, plan)
        if not funnel.check_mode:
            self._read_back(funnel, wanted)
        if wanted and sets_separator(funnel.read(self.DEFAULTS) or "", "GRUB_CMDLINE_LINUX"):
            return [
                "%s will go to init and not to the kernel when grub2-mkconfig makes the entries of %s, because of the ' -- ' in its "
                "GRUB_CMDLINE_LINUX: take the ' -- ' out." % (" ".join(wanted), self.DEFAULTS)
            ]
        return []

    def _set_kernelopts(self, funnel, lacking, drop):
        """Bring the variable kernelopts, where there is one, to what it has to be."""
        value = self.kernelopts()
        if value is None:
            return
        kept = remove_tokens(value, drop)
        after = append(kept, missing(kept, lacking)) if missing(kept, lacking) else kept
        if after == value:
            return
        editor = self.host.which("grub2-editenv", "grub-editenv") or "/usr/bin/grub2-editenv"
        rc, out, err = funnel.command(
            [editor, self.ENVIRONMENT, "set", "kernelopts=" + after], self.ENVIRONMENT, self.ENVIRONMENT + " (kernelopts)",
            value + "\n", after + "\n",
        )
        if funnel.check_mode:
            self._would_be = after
        elif rc != 0 or self.kernelopts() != after:
            raise Refusal("grub2-editenv could not set kernelopts, and %s: %s" % (funnel.undo(), last_line(err, out)))

    def _read_back(self, funnel, wanted):
        rc, out, err = self.host.run([self.grubby, "--info=ALL"], None)
        # A block per entry; one that starts no kernel has nothing to show.
        blocks = re.split(r"^(?=index=)", out, flags=re.MULTILINE)
        args = re.compile(r'^args="(.*?)"\s*(?=^(?:root|initrd|title|id)=|\Z)', re.MULTILINE | re.DOTALL)
        shown = [args.search(block) for block in blocks if re.search(r'^kernel="?/', block, re.MULTILINE)]
        lines = [match.group(1) for match in shown if match]
        if rc != 0 or not lines or all(missing(line, wanted) for line in lines) and wanted:
            raise Refusal(
                "grubby --info=ALL does not show %s on any entry afterwards, and %s: %s"
                % (" ".join(wanted) or "the entries", funnel.undo(), last_line(err, out))
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

    def script(self):
        return "90-loaderentry.install"

    def takes_comments_by_default(self):
        version = re.match(r"systemd-boot (\d+)", self.host.uefi_loader() or "")
        return bool(version) and int(version.group(1)) < 257

    def readings(self):
        return super(SystemdBoot, self).readings() + [up_to_return]

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


# --- which loader -------------------------------------------------------------------------------------------------


def detect(host, running):
    """The boot loader that keeps this host's next kernel line.

    running: /proc/cmdline. Several may be installed: what the running system was started by decides. systemd-boot
    always says so in the UEFI variable LoaderInfo, GRUB leaves BOOT_IMAGE= on the line, an EFI stub `initrd=\\`.
    Raises Refusal, naming what was looked for, when there is none to be found.
    """
    if host.is_file("/run/ostree-booted"):
        raise Refusal(
            "This host is kept by ostree, which makes the boot entries itself: add the kernel parameters with "
            "rpm-ostree kargs, and the role will take them as they are."
        )
    said = (host.uefi_loader() or "").lower()
    stub = re.search(r"(?:^|\s)initrd=\\", running) is not None
    by_stub = said.startswith("systemd-boot") or (stub and "grub" not in said)
    grub = None if by_stub else Grubby.find(host, running) or MkconfigGrub.find(host)
    if grub:
        return grub
    images = SystemdBoot.unified_images(host)
    selected = (host.uefi_loader("LoaderEntrySelected") or "").lower()
    image = next((path for path in images if os.path.basename(path).lower() == selected), None)
    systemd = None if image else SystemdBoot.find(host, running)
    if systemd:
        return systemd
    if images:
        raise Refusal(
            "systemd-boot starts unified kernel images here (%s), whose command line is inside them: add the "
            "parameters to /etc/kernel/cmdline, make the images anew (kernel-install add-all), and the role will "
            "take them as they are." % (image or images[0])
        )
    raise Refusal(
        "No boot loader that this role knows was found: it looked for GRUB (/boot/grub/grub.cfg with "
        "/etc/default/grub and a grub-mkconfig that reads /etc/default/grub.d), for grubby with entries in "
        "/boot/loader/entries, and for systemd-boot with entries in loader/entries; put the parameters on the line "
        "yourself, and the role will take them as they are."
    )


# --- the record of what this role added ---------------------------------------------------------------------------


def read_record(host):
    """What this role has added: {"bootloader": str, "tokens": [str], ...}; empty tokens when there is no usable record."""
    try:
        record = json.loads(host.read(RECORD) or "{}")
    except ValueError:
        record = {}
    if not isinstance(record, dict):
        record = {}
    tokens, created = record.get("tokens"), record.get("created")
    record["tokens"] = [token for token in tokens if token in (INTEL_ON, PASSTHROUGH)] if isinstance(tokens, list) else []
    record["created"] = {
        path: text for path, text in created.items() if isinstance(text, str)
    } if isinstance(created, dict) else {}
    return record


def write_record(host, record, check_mode):
    """Keep the record, without counting it as a change: it is bookkeeping of the change itself."""
    if check_mode or record == read_record(host):
        return
    real = host.real(RECORD)
    if record["tokens"] or record["created"]:
        write_atomically(real, json.dumps(record, indent=2, sort_keys=True) + "\n")
    elif os.path.exists(real):
        remove_file(real)
