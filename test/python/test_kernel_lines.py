# Copyright the stackhpc.sriov contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a parameter must not get lost in: comments of /etc/kernel/cmdline, words for init, and menus of GRUB with
entries of other kinds.
"""

import json
import re
import subprocess

import pytest
from ansible_collections.stackhpc.sriov.plugins.module_utils.sriov.errors import Refusal
from parts import bootloader
from test_kernel_parameters import (
    CMDLINE,
    DROP_IN,
    WANTED,
    Machine,
    assert_one_sentence,
    cases,
    entry_machine,
    entry_options,
    keys,
)

BOTH = " ".join(WANTED["intel"])


# --- /etc/kernel/cmdline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before, after",
    [
        ("root=a rw\n", "root=a rw +\n"),
        ("root=a rw", "root=a rw +"),
        ("root=a  rw \n", "root=a  rw + \n"),
        ("root=a\nquiet\n", "root=a\nquiet +\n"),
        ("root=a\nquiet\n\n\n", "root=a\nquiet +\n\n\n"),
        # Comments, before, behind, between, indented, without a line end; a # within a line is a word.
        ("# c\nroot=a\n", "# c\nroot=a +\n"),
        ("root=a\n# c\n", "root=a +\n# c\n"),
        ("root=a\n# c", "root=a +\n# c"),
        ("root=a\n \t# c\nquiet\n#d\n", "root=a\n \t# c\nquiet +\n#d\n"),
        ("root=a # c\n", "root=a # c +\n"),
        ('# "\nroot=a\n', '# "\nroot=a +\n'),
        # grep's \\s knows no blank of Unicode, so this is not a comment.
        ("\u00a0# c\n", "\u00a0# c +\n"),
        ("# c -- d\nroot=a\n", "# c -- d\nroot=a +\n"),
        # Nothing that would be a line.
        ("", "+\n"),
        ("\n", "\n+\n"),
        ("# c\n", "# c\n+\n"),
        ("# c", "# c\n+\n"),
        ("# c\r\n", "# c\r\n+\r\n"),
        # Line ends of another system, and lines that go on.
        ("root=a quiet\r\n", "root=a quiet +\r\n"),
        ("root=a quiet \\\n", "root=a quiet + \\\n"),
        ("root=a \\\nquiet \\\n", "root=a \\\nquiet + \\\n"),
        ("root=a quiet\\\n", "root=a quiet\\ +\n"),
        # Words for init, and quotes.
        ("root=a -- single\n", "root=a + -- single\n"),
        ("root=a --\nsingle\n", "root=a + --\nsingle\n"),
        ("root=a\n-- single\n", "root=a +\n-- single\n"),
        ('root=a "--" single\n', 'root=a + "--" single\n'),
        ("-- single\n", "+ -- single\n"),
        ("root=a --- single\n", "root=a --- single +\n"),
        ('root=a x="b\nc d" e\n', 'root=a x="b\nc d" e +\n'),
        ('root=a x="b\nc d"\n', 'root=a + x="b\nc d"\n'),
        ('root=a x="b\n', 'root=a + x="b\n'),
    ],
)
def test_parameters_are_put_on_the_kernels_line_of_the_file_and_taken_off_again(before, after):
    put = bootloader.edit_line_file(before, WANTED["intel"], [])
    assert put == after.replace("+", BOTH)
    assert bootloader.missing(bootloader.kernel_line(put), WANTED["intel"]) == []
    taken = bootloader.edit_line_file(put, [], WANTED["intel"])
    assert taken == before or taken == before + "\n"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("# iommu=pt\nroot=a iommu=pt b\n", "# iommu=pt\nroot=a b\n"),
        ("iommu=pt root=a\n", "root=a\n"),
        ("root=a -- iommu=pt\n", "root=a -- iommu=pt\n"),
        ('root=a x="\niommu=pt\n" iommu=pt\n', 'root=a x="\niommu=pt\n"\n'),
        ("root=a iommu=pt,force\n", "root=a iommu=pt,force\n"),
    ],
)
def test_only_the_kernels_own_words_are_taken_off_the_file(text, expected):
    assert bootloader.edit_line_file(text, [], ["iommu=pt"]) == expected


def systemd_boot(tmp_path, cmdline=None, vendor=None, version="257.8-1~deb13u2", options="root=UUID=a3 rw quiet"):
    machine = Machine(tmp_path, running="initrd=\\debian\\6.12\\initrd root=UUID=a3 rw quiet")
    machine.put(
        "/efi/loader/entries/debian-6.12.conf", f"title\tDebian\noptions\t{options}\nlinux\t/debian/6.12/linux\n"
    )
    for path, text in ((CMDLINE, cmdline), ("/usr/lib/kernel/cmdline", vendor)):
        if text is not None:
            machine.put(path, text)
    if version:
        machine.loader_info("systemd-boot " + version)
    return machine


# What kernel-install of both kinds does with the file: 90-loaderentry.install of systemd 257 and of 252.
LATER = {
    "leaves comments out": "grep -Gv '^\\s*#' \"$1\" | tr -s ' \t\n' ' '",
    "takes them for words": "tr -s ' \t\n' ' ' < \"$1\"",
}


def later(machine, kind):
    done = subprocess.run(
        ["sh", "-c", LATER[kind], "sh", str(machine.root / CMDLINE.lstrip("/"))],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("kind", LATER)
@pytest.mark.parametrize("place", ["/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"])
@pytest.mark.parametrize(
    "text",
    [
        "root=UUID=a3 rw quiet\n# console=ttyS1 is for the management board\n",
        "# intel_iommu=on iommu=pt upset the disk controller in May\nroot=UUID=a3 rw quiet\n",
        "# set by the image, leave alone\nroot=UUID=a3 rw\nquiet\n",
        "  # a\n#b\n\nroot=UUID=a3 rw\n\t#c\nquiet\n#d",
    ],
)
def test_a_kernel_installed_later_has_root_and_the_parameters_with_and_without_comments(text, place, kind, tmp_path):
    machine = systemd_boot(tmp_path, **{"cmdline" if place == CMDLINE else "vendor": text})
    assert machine.ensure()["changed"] is True
    words = bootloader.split_raw(later(machine, kind))
    assert {"root=UUID=a3", "rw", "quiet", *WANTED["intel"]} <= set(words)
    comments = [line for line in text.split("\n") if line.lstrip().startswith("#")]
    assert [line for line in machine.read(CMDLINE).split("\n") if line.lstrip().startswith("#")] == comments
    assert machine.ensure()["changed"] is False
    machine.ensure(iommu=False)
    assert machine.read(place) == text
    assert (machine.read(CMDLINE) is None) is (place != CMDLINE)


COMMENT_AGAINST = "# firmware 1.2 needed iommu=off\nroot=UUID=a3 rw quiet\n"
SCRIPT = "/usr/lib/kernel/install.d/90-loaderentry.install"
OF_252 = 'elif [ -f /etc/kernel/cmdline ]; then\n    BOOT_OPTIONS="$(tr -s "$IFS" \' \' </etc/kernel/cmdline)"\n'
OF_257 = "elif [ -f /etc/kernel/cmdline ]; then\n    BOOT_OPTIONS=\"$(grep -Gv '^\\s*#' /etc/kernel/cmdline | tr -s \"$IFS\" ' ')\"\n"


@pytest.mark.parametrize(
    "version, scripts",
    [
        ("257.8-1~deb13u2", {}),
        ("257.8-1~deb13u2", {SCRIPT: OF_257}),
        ("258", {}),
        (None, {}),
        # What is installed counts, and what the administrator put in its place.
        ("252.38-1~deb12u1", {SCRIPT: OF_257}),
        ("252.38-1~deb12u1", {SCRIPT: OF_252, "/etc/kernel/install.d/90-loaderentry.install": OF_257}),
    ],
)
def test_a_comment_contradicts_nothing_where_it_is_a_comment(version, scripts, tmp_path):
    machine = systemd_boot(tmp_path, COMMENT_AGAINST, version=version)
    for path, text in scripts.items():
        machine.put(path, text)
    assert machine.ensure()["warnings"] == []
    assert machine.read(CMDLINE) == COMMENT_AGAINST.replace("quiet", "quiet " + BOTH)


@pytest.mark.parametrize(
    "version, scripts", [("252.38-1~deb12u1", {}), ("252.38-1~deb12u1", {SCRIPT: OF_252}), (None, {SCRIPT: OF_252})]
)
def test_a_comment_that_is_a_word_on_the_line_is_named_as_that(version, scripts, tmp_path):
    machine = systemd_boot(tmp_path, COMMENT_AGAINST, version=version)
    for path, text in scripts.items():
        machine.put(path, text)
    before = machine.tree()
    with pytest.raises(Refusal, match="iommu=off .* a line of /etc/kernel/cmdline that begins with #") as error:
        machine.ensure()
    assert_one_sentence(error)
    assert machine.tree() == before


@pytest.mark.parametrize(
    "text, where",
    [
        ("root=UUID=a3 iommu=off\n", "iommu=off is configured in /usr/lib/kernel/cmdline and"),
        (COMMENT_AGAINST, "iommu=off is configured in a line of /usr/lib/kernel/cmdline that begins with #"),
    ],
)
def test_the_images_file_counts_before_a_file_is_made_from_it(text, where, tmp_path):
    machine = systemd_boot(tmp_path, vendor=text, version="252.38-1~deb12u1")
    before = machine.tree()
    with pytest.raises(Refusal, match=where):
        machine.ensure()
    assert machine.tree() == before


def test_a_later_comment_that_is_a_word_is_overridden_on_a_separate_line(tmp_path):
    machine = systemd_boot(tmp_path, "root=UUID=a3\n# intel_iommu=off was for the old board\n", version="252.38")
    assert machine.ensure()["changed"] is True
    for kind in LATER:
        assert bootloader.missing(later(machine, kind), WANTED["intel"]) == []
    assert machine.ensure()["changed"] is False


def test_els_script_takes_comments_for_words(tmp_path):
    case = next(case for case in cases("entries.yml") if case["name"].startswith("EL 9, as"))
    machine = entry_machine(case, "intel", tmp_path)
    machine.put(CMDLINE, "# no iommu=off\n" + machine.read(CMDLINE))
    with pytest.raises(Refusal, match="a line of /etc/kernel/cmdline that begins with #"):
        machine.ensure()
    machine.put(CMDLINE, machine.read(CMDLINE).replace("iommu=off", "iommu=pt"))
    assert machine.ensure()["changed"] is True
    assert machine.read(CMDLINE).startswith("# no iommu=pt\nroot=") and machine.read(CMDLINE).endswith(
        f" quiet {BOTH}\n"
    )


def test_with_carriage_returns_the_first_line_is_what_systemd_boot_keeps(tmp_path):
    machine = systemd_boot(tmp_path, "# c\r\nroot=UUID=a3 rw\r\nquiet\r\n")
    machine.ensure()
    assert machine.read(CMDLINE) == f"# c\r\nroot=UUID=a3 rw {BOTH}\r\nquiet\r\n"
    assert machine.ensure()["changed"] is False


def test_a_file_made_from_the_entry_does_not_begin_with_what_an_interrupted_run_put_there(tmp_path):
    machine = systemd_boot(tmp_path)
    found = machine.tree()
    machine.ensure()
    machine.remove(CMDLINE)
    machine.ensure()
    machine.ensure(iommu=False)
    assert machine.tree() == found


def test_a_file_that_release_1_3_made_is_removed_with_the_parameters(tmp_path):
    machine = systemd_boot(tmp_path, vendor="root=UUID=a3 rw\nquiet\n", options="root=UUID=a3 rw quiet " + BOTH)
    machine.put(CMDLINE, f"root=UUID=a3 rw quiet {BOTH}\n")
    machine.put(
        "/var/lib/sriov/kernel-parameters.json",
        json.dumps(
            {
                "bootloader": "systemd-boot",
                "tokens": WANTED["intel"],
                "created": {CMDLINE: "root=UUID=a3 rw quiet"},
            }
        ),
    )
    assert machine.ensure()["changed"] is False
    machine.ensure(iommu=False)
    assert machine.read(CMDLINE) is None
    assert entry_options(machine.read("/efi/loader/entries/debian-6.12.conf")) == "root=UUID=a3 rw quiet"


@pytest.mark.parametrize(
    "before, after",
    [
        ("options root=a\noptions quiet\n", "options root=a\noptions quiet +\n"),
        ("options root=a -- b\noptions quiet\n", "options root=a + -- b\noptions quiet\n"),
        ('options root=a x="b\noptions quiet\n', 'options root=a + x="b\noptions quiet\n'),
        ("options root=a\r\n", "options root=a +\r\n"),
        ("title x\r\n", "title x\r\noptions +\r\n"),
        ("  options\troot=a\n", "  options\troot=a +\n"),
        ("#options root=b\noptions root=a\n", "#options root=b\noptions root=a +\n"),
        ("options -- b\n", "options + -- b\n"),
    ],
)
def test_an_entry_gets_the_parameters_where_they_reach_the_kernel(before, after):
    put = bootloader.edit_entry(before, WANTED["intel"], [])
    assert put == after.replace("+", BOTH)
    assert bootloader.edit_entry(put, [], WANTED["intel"]) == before


def test_a_host_that_a_unified_image_started_is_not_taken_for_one_with_entries(tmp_path):
    machine = systemd_boot(tmp_path)
    machine.put("/efi/EFI/Linux/debian-6.12.efi", "MZ")
    assert machine.ensure(check_mode=True)["bootloader"] == "systemd-boot"
    machine.loader_info("debian-6.12.efi", "LoaderEntrySelected")
    with pytest.raises(Refusal, match=r"unified kernel images on this host \(/efi/EFI/Linux/debian-6.12.efi\)"):
        machine.ensure()


# --- words for init -----------------------------------------------------------------------------------------------


def grub(tmp_path, default="quiet", linux="", **more):
    files = {"/etc/default/grub": f'GRUB_CMDLINE_LINUX_DEFAULT="{default}"\nGRUB_CMDLINE_LINUX="{linux}"\n'}
    files.update({f"/etc/default/grub.d/{name}.cfg": text for name, text in more.items()})
    return Machine(tmp_path).with_grub(files)


@pytest.mark.parametrize(
    "default, linux, more, name, where",
    [
        ("-- quiet splash", "", {}, "GRUB_CMDLINE_LINUX_DEFAULT", "/etc/default/grub"),
        (
            "-- splash kvm-intel.nested=1 intel_iommu=on iommu=pt",
            "",
            {},
            "GRUB_CMDLINE_LINUX_DEFAULT",
            "/etc/default/grub",
        ),
        ("quiet -- 3", "", {}, "GRUB_CMDLINE_LINUX_DEFAULT", "/etc/default/grub"),
        ("quiet --", "", {}, "GRUB_CMDLINE_LINUX_DEFAULT", "/etc/default/grub"),
        ("quiet", "console=ttyS0 -- single", {}, "GRUB_CMDLINE_LINUX", "/etc/default/grub"),
        (
            "quiet",
            "",
            {"50-site": 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT -- 3"\n'},
            "GRUB_CMDLINE_LINUX_DEFAULT",
            "/etc/default/grub.d/50-site.cfg",
        ),
        (
            "quiet",
            "",
            {"50-site": 'a="-- 3"\nGRUB_CMDLINE_LINUX="$a"\n'},
            "GRUB_CMDLINE_LINUX",
            "/etc/default/grub or /etc/default/grub.d",
        ),
        ("intel_iommu=on -- 3", "", {}, "GRUB_CMDLINE_LINUX_DEFAULT", "/etc/default/grub"),
    ],
)
def test_what_sends_words_to_init_is_named(default, linux, more, name, where, tmp_path):
    machine = grub(tmp_path, default, linux, **more)
    before = machine.tree()
    for check_mode in (True, False):
        with pytest.raises(
            Refusal, match=rf"iommu=pt would go to init .* ' -- ' in {name} of {re.escape(where)} does:"
        ) as error:
            machine.ensure(check_mode=check_mode)
        assert_one_sentence(error)
        assert machine.tree() == before
        assert machine.tool_calls() == []
    assert not (machine.root / "var/lib/sriov/kernel-parameters.json").exists()


@pytest.mark.parametrize(
    "default",
    [
        "--- quiet",
        "quiet --- 3",
        "quiet -- 3 intel_iommu=on".replace("--", "--x"),
        "quiet intel_iommu=on iommu=pt -- 3",
    ],
)
def test_other_dashes_are_ordinary_words_and_what_stands_before_counts(default, tmp_path):
    machine = grub(tmp_path, default)
    machine.ensure()
    assert bootloader.missing(machine.grub_line(), WANTED["intel"]) == []
    assert machine.ensure()["changed"] is False


def test_parameters_are_removed_although_a_separator_came_later(tmp_path):
    machine = grub(tmp_path)
    machine.ensure()
    machine.put("/etc/default/grub.d/zzz.cfg", 'GRUB_CMDLINE_LINUX="-- 3"\n')
    with pytest.raises(Refusal, match="would go to init"):
        machine.ensure()
    machine.ensure(iommu=False)
    assert machine.read(DROP_IN) is None


def test_on_el_what_grub2_mkconfig_would_send_to_init_is_named(tmp_path):
    case = next(case for case in cases("entries.yml") if case["name"].startswith("EL 9, as"))
    machine = entry_machine(case, "intel", tmp_path)
    machine.put("/etc/default/grub", '# a -- b in GRUB_CMDLINE_LINUX\nGRUB_CMDLINE_LINUX="quiet --- x"\n')
    assert machine.ensure()["warnings"] == []
    machine.ensure(iommu=False)
    machine.put("/etc/default/grub", 'GRUB_CMDLINE_LINUX="quiet -- 3"\n')
    done = machine.ensure()
    assert done["changed"] is True and len(done["warnings"]) == 1
    assert (
        "intel_iommu=on iommu=pt will go to init and not to the kernel when grub2-mkconfig makes the entries"
        in done["warnings"][0]
    )
    assert machine.ensure()["warnings"] == []


# --- menus of GRUB ------------------------------------------------------------------------------------------------


def entry(title, line, ident="", kernel="/vmlinuz"):
    return "menuentry %s --class os $menuentry_id_option '%s' {\n\tlinux\t%s %s\n\tinitrd /initrd\n}\n" % (
        title,
        ident,
        kernel,
        line,
    )


def section(name, *entries):
    return f"### BEGIN /etc/grub.d/{name} ###\n{''.join(entries)}### END /etc/grub.d/{name} ###\n"


NORMAL = entry("'Debian GNU/Linux'", "root=UUID=abc ro @LINUX@ @DEFAULT@", "gnulinux-simple-abc")
USUAL = section(
    "10_linux",
    NORMAL,
    entry("'Debian (recovery mode)'", "root=UUID=abc ro single @LINUX@", "gnulinux-6.1-recovery-abc"),
)
ZFS = section("10_linux") + section(
    "10_linux_zfs",
    entry(
        "'Ubuntu 24.04.1 LTS'",
        'root=ZFS="rpool/ROOT/u" ro @LINUX@ @DEFAULT@',
        "gnulinux-rpool/ROOT/u-6.8.0-45-generic",
        '"/BOOT/u@/vmlinuz"',
    ),
    "submenu 'Advanced options for Ubuntu 24.04.1 LTS' ${menuentry_id_option} 'gnulinux-advanced-rpool/ROOT/u' {\n",
    entry(
        "'Ubuntu, with Linux 6.8.0-45-generic'",
        'root=ZFS="rpool/ROOT/u" ro @LINUX@ @DEFAULT@',
        "gnulinux-rpool/ROOT/u-6.8.0-45-generic",
    ),
    entry(
        "'Ubuntu, with Linux 6.8.0-45-generic (recovery mode)'",
        'root=ZFS="rpool/ROOT/u" ro %s @LINUX@',
        "gnulinux-rpool/ROOT/u-6.8.0-45-generic",
    ),
    "}\nsubmenu 'History for Ubuntu 24.04.1 LTS' ${menuentry_id_option} 'gnulinux-history-rpool/ROOT/u' {\n",
    entry(
        "'Revert system only (recovery mode)'",
        'root=ZFS="rpool/ROOT/u@autozsys_x" ro %s @LINUX@',
        "gnulinux-rpool/ROOT/u@autozsys_x-6.8.0-45-generic",
    ),
    "}\n",
)


def with_menu(machine, template):
    """update-grub that fills a template of a menu with the lines of the settings."""

    def update(_argv=None):
        host = bootloader.Machine(machine.run, str(machine.root))
        settings = bootloader.MkconfigGrub(host, "", []).settings(bootloader.Changes(host, False))
        text = template
        for name in ("LINUX", "LINUX_DEFAULT", "LINUX_RECOVERY"):
            text = text.replace(f"@{name.split('_')[-1]}@", settings["GRUB_CMDLINE_" + name])
        machine.put("/boot/grub/grub.cfg", text)
        return 0, "", ""

    machine.tools["update-grub"] = update
    update()
    return machine


@pytest.mark.parametrize("default", ["quiet splash", "", "nomodeset"])
@pytest.mark.parametrize(
    "template",
    [
        pytest.param(USUAL, id="10_linux"),
        pytest.param(ZFS.replace("%s", "single nomodeset dis_ucode_ldr"), id="10_linux_zfs"),
        pytest.param(ZFS.replace("%s", "recovery nomodeset dis_ucode_ldr"), id="10_linux_zfs with friendly-recovery"),
        pytest.param(ZFS.replace("%s", "@RECOVERY@"), id="10_linux_zfs with GRUB_CMDLINE_LINUX_RECOVERY"),
        pytest.param(
            USUAL + section("11_repair", entry("'Wartung'", "root=UUID=abc ro systemd.unit=rescue.target")),
            id="a site's script",
        ),
        pytest.param(
            section("10_linux_site", NORMAL, entry("'Shell'", "root=UUID=abc rw init=/bin/bash")),
            id="a site's 10_linux",
        ),
        pytest.param(
            section("09_site", NORMAL, entry("Notfall", "root=UUID=abc emergency")),
            id="instead of 10_linux, a title without quotes",
        ),
        pytest.param(
            section("09_site", NORMAL)
            + section("20_memtest86+", entry("'Memory test'", "", "", "/boot/memtest86+x64.bin")),
            id="memtest",
        ),
        pytest.param(
            section("09_site", NORMAL) + section("30_os-prober", entry("'Other'", "root=/dev/sdb1")),
            id="os-prober without 10_linux",
        ),
        pytest.param(
            USUAL
            + section(
                "20_linux_xen", "menuentry 'Xen' {\n\tmultiboot2\t/xen.gz\n\tmodule2\t/vmlinuz placeholder root=a\n}\n"
            ),
            id="Xen",
        ),
        pytest.param(
            USUAL
            + section(
                "30_os-prober", entry("'Other'", "root=/dev/sdb1"), "menuentry 'Windows' {\n\tchainloader /b.efi\n}\n"
            ),
            id="os-prober",
        ),
        pytest.param(
            USUAL
            + section("41_snapshots-btrfs", 'submenu "Snapshots" {\n\tconfigfile "${prefix}/grub-btrfs.cfg"\n}\n'),
            id="grub-btrfs",
        ),
        pytest.param(USUAL + section("40_custom", entry("'By hand'", "root=UUID=abc ro")), id="40_custom"),
    ],
)
def test_a_recovery_entry_without_the_parameters_is_right(template, default, tmp_path):
    machine = grub(tmp_path, default)
    machine.put(
        "/etc/default/grub",
        machine.read("/etc/default/grub") + 'GRUB_CMDLINE_LINUX_RECOVERY="noquiet systemd.mask=tmp.mount"\n',
    )
    with_menu(machine, template)
    assert machine.ensure(check_mode=True)["changed"] is True
    done = machine.ensure()
    assert (done["changed"], done["warnings"]) == (True, [])
    assert machine.read("/boot/grub/grub.cfg").count(BOTH) == template.count("@DEFAULT@")
    machine.calls.clear()
    again = machine.ensure()
    assert (again["changed"], machine.tool_calls()) == (False, [])
    machine.ensure(iommu=False)
    assert "iommu" not in machine.read("/boot/grub/grub.cfg")


@pytest.mark.parametrize(
    "words",
    [
        "rd.rescue",
        "rd.emergency",
        "rd.break",
        "rd.break=pre-mount",
        "break=mount",
        "systemd.unit=rescue",
        "rd.systemd.unit=emergency.target",
        "rdinit=/bin/sh",
        "init=/usr/bin/zsh rw",
        "init=/bin/sh",
    ],
)
def test_an_entry_that_ends_in_a_shell_for_repairs_does_not_lack_the_parameters(words, tmp_path):
    machine = with_menu(
        grub(tmp_path), section("10_linux_site", NORMAL, entry("'Wartung'", "root=UUID=abc ro " + words))
    )
    done = machine.ensure()
    assert (done["changed"], done["warnings"]) == (True, [])


@pytest.mark.parametrize(
    "word",
    [
        "rd.shell",
        "init=/lib/sysvinit/init",
        "init=/usr/lib/systemd/systemd",
        "breakpoint=1",
        "systemd.unit=multi-user.target",
    ],
)
def test_an_ordinary_word_makes_no_entry_one_for_repairs(word):
    assert [
        title for title, _line in bootloader.grub_entries(section("10_linux", entry("'D'", "root=UUID=abc " + word)))
    ] == ["D"]


@pytest.mark.parametrize(
    "name, ident",
    [
        ("10_linux", "gnulinux-6.1.0-advanced-/dev/mapper/vg-recovery-root"),
        ("10_linux", "gnulinux-simple-/dev/mapper/vg-recovery-root"),
        ("10_linux_zfs", "gnulinux-rpool/ROOT/pre-recovery-x-6.8.0-45-generic"),
        ("10_linux_zfs", "gnulinux-pre-recovery-pool/ROOT/u-6.8.0"),
    ],
)
def test_a_device_with_recovery_in_its_name_makes_no_recovery_entry(name, ident, tmp_path):
    machine = with_menu(grub(tmp_path), section(name, entry("'D'", "root=x ro @LINUX@ @DEFAULT@", ident)))
    done = machine.ensure()
    assert (done["changed"], done["warnings"]) == (True, [])
    assert BOTH in machine.read("/boot/grub/grub.cfg")


def test_a_kernels_path_may_have_blanks():
    assert bootloader.grub_entries(section("10_linux", entry("'D'", "ro quiet", "", '"/my boot/vmlinuz"'))) == [
        ("D", "ro quiet")
    ]


@pytest.mark.parametrize("name", ["40_custom", "41_custom"])
def test_entries_that_the_administrator_wrote_put_nothing_back(name, tmp_path):
    """The only Linux entries of the menu, as where Xen boots: they are not made from the settings."""
    machine = with_menu(grub(tmp_path), section(name, entry("'By hand'", "root=UUID=abc ro")))
    done = machine.ensure()
    assert done["changed"] is True and machine.read(DROP_IN) is not None
    assert (
        [text for text in done["warnings"] if "no Linux entry that is known to take its line" in text]
        == done["warnings"]
        != []
    )
    assert machine.ensure()["changed"] is False


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(USUAL, id="10_linux"),
        pytest.param(ZFS.replace("%s", "single nomodeset dis_ucode_ldr"), id="10_linux_zfs"),
    ],
)
def test_parameters_of_the_administrator_in_the_default_line_are_enough(template, tmp_path):
    machine = with_menu(grub(tmp_path, "quiet " + BOTH), template)
    machine.boot("ro quiet " + BOTH, "boot-1")
    for check_mode in (True, False):
        assert machine.ensure(check_mode=check_mode)["changed"] is False
    assert machine.tool_calls() == []


# Nothing on these lines says what kind of entry it is.
UNJUDGED = entry("'Kiosk'", "root=UUID=abc ro kiosk", "gnulinux-kiosk")


def test_an_entry_that_cannot_be_judged_is_named_once_and_puts_nothing_back(tmp_path):
    machine = with_menu(grub(tmp_path), section("10_linux", NORMAL, UNJUDGED))
    done = machine.ensure()
    assert done["changed"] is True
    assert done["warnings"] == [
        "The entry 'Kiosk' of /boot/grub/grub.cfg does not have intel_iommu=on iommu=pt, because the script in /etc/grub.d that makes it uses its own line: a host that is started from this entry runs without them."
    ]
    assert BOTH in machine.read("/boot/grub/grub.cfg")
    again = machine.ensure()
    assert (again["changed"], again["warnings"]) == (False, [])
    machine.boot("kiosk", "boot-2")
    assert keys(machine.ensure()["stuck"]) == ["kernel:intel_iommu=on", "kernel:iommu=pt"]


def test_a_word_for_repairs_that_the_settings_have_marks_no_entry(tmp_path):
    machine = with_menu(grub(tmp_path, "single quiet"), USUAL)
    machine.ensure()
    assert BOTH in machine.read("/boot/grub/grub.cfg")
    stale = machine.read("/boot/grub/grub.cfg").replace(" " + BOTH, "")
    machine.put("/boot/grub/grub.cfg", stale)
    assert machine.ensure()["changed"] is True
    assert BOTH in machine.read("/boot/grub/grub.cfg")


def test_a_menu_in_which_no_entry_follows_the_settings_is_put_back(tmp_path):
    machine = with_menu(grub(tmp_path), section("09_site", UNJUDGED, entry("'Rettung'", "root=UUID=abc single")))
    before = machine.tree()
    with pytest.raises(Refusal, match="entry 'Kiosk' lacks intel_iommu=on iommu=pt, and everything is as it was"):
        machine.ensure()
    assert machine.tree() == before


def test_a_menu_that_loses_its_entries_is_put_back(tmp_path):
    machine = with_menu(grub(tmp_path), USUAL)
    before = machine.tree()
    machine.tools["update-grub"] = lambda _argv: (machine.put("/boot/grub/grub.cfg", "# empty\n"), (0, "", ""))[1]
    with pytest.raises(Refusal, match="without the Linux entries that it had, and everything is as it was") as error:
        machine.ensure()
    assert_one_sentence(error)
    assert machine.tree() == before


@pytest.mark.parametrize(
    "template",
    [
        section("09_site", "configfile /boot/site.cfg\n"),
        section("10_linux", entry("'Rettung'", "root=UUID=abc single @DEFAULT@")),
    ],
)
def test_a_menu_without_any_entry_to_judge_puts_nothing_back(template, tmp_path):
    machine = with_menu(grub(tmp_path), template)
    done = machine.ensure()
    assert done["changed"] is True and machine.read(DROP_IN) is not None
    assert done["warnings"] == [
        "/boot/grub/grub.cfg has no Linux entry that is known to take its line from "
        "/etc/default/grub or /etc/default/grub.d: whether the next boot has "
        "intel_iommu=on iommu=pt is known only after it."
    ]
    assert machine.ensure()["changed"] is False


def test_a_parameter_that_kernelopts_had_before_is_not_taken_off(tmp_path):
    machine = Machine(tmp_path, running="root=UUID=a ro").with_grubby(
        {
            "/boot/loader/entries/1.conf": "title x\nlinux /vmlinuz\noptions root=UUID=a ro\n",
            "/boot/grub2/grubenv": "# GRUB Environment Block\nkernelopts=intel_iommu=on root=UUID=a\n",
        }
    )
    machine.ensure()
    machine.ensure(iommu=False)
    assert machine.grubenv("kernelopts") == "intel_iommu=on root=UUID=a"


def test_grubby_shows_options_over_several_lines(tmp_path):
    case = next(case for case in cases("entries.yml") if case["name"].startswith("EL 9 cloud"))
    machine = entry_machine(case, "intel", tmp_path)
    path = machine.paths("/boot/loader/entries")[0]
    machine.put(path, "title x\nlinux /vmlinuz\noptions root=UUID=a\noptions quiet iommu.passthrough=1\n")
    machine.ensure()
    assert entry_options(machine.read(path)) == "root=UUID=a quiet iommu.passthrough=1 intel_iommu=on"


def test_entries_of_el_for_rescue_and_snapshots_get_the_parameters_too(tmp_path):
    case = next(case for case in cases("entries.yml") if case["name"].startswith("EL 9, as"))
    machine = entry_machine(case, "intel", tmp_path)
    boom = "/boot/loader/entries/3c0ffee0123456789abcdef012345678-72ae25b-5.14.0-427.el9.x86_64.conf"
    machine.put(
        boom, "title Snapshot\nversion 5.14.0\nlinux /vmlinuz-5.14.0\noptions root=/dev/rl/snap ro rd.lvm.lv=rl/snap\n"
    )
    machine.ensure()
    for path in machine.paths("/boot/loader/entries"):
        assert BOTH in entry_options(machine.read(path)), path
