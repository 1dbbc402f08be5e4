#!/bin/sh
# Runs inside the freshly installed tree, before it becomes a disk. $1: grub or systemd-boot.
set -eu
loader=$1

printf 'rig\n' >/etc/hostname
printf '127.0.0.1 localhost rig\n::1 localhost\n' >/etc/hosts
printf 'LANG=C.UTF-8\n' >/etc/default/locale
# A fixed id: with an empty one every first boot of an overlay would generate and write it.
systemd-machine-id-setup >/dev/null

# "*" and not "!": sshd without PAM takes "!" for a locked account.
useradd --create-home --shell /bin/sh --password '*' molecule
# sshd refuses a key file below a directory that belongs to somebody else.
install -d -m 0700 -o molecule -g molecule /home/molecule/.ssh
chmod 0440 /etc/sudoers.d/molecule

install -d -m 1777 /var/cache/rig-zip

systemctl enable --quiet systemd-networkd.service ssh.service rig-boots.service
systemctl mask --quiet \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer man-db.timer systemd-pstore.service getty@tty1.service \
    systemd-tpm2-setup.service systemd-tpm2-setup-early.service
# What no scenario looks at, and what costs an emulated boot most: measured, these and the initramfs without udev make a boot of
# 48 s one of 28 s. udev's own coldplug, which starts what the role installs, stays whole.
systemctl mask --quiet \
    dev-hugepages.mount dev-mqueue.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service modprobe@.service \
    serial-getty@.service grub-common.service systemd-random-seed.service \
    systemd-network-generator.service systemd-networkd-persistent-storage.service systemd-udev-load-credentials.service \
    systemd-journal-flush.service systemd-update-utmp.service
# Started by D-Bus, for shutdown(8), which is why it is not masked.
rm -f /lib/systemd/system/multi-user.target.wants/systemd-logind.service
mkdir -p /etc/systemd/system-generators
for generator in bless-boot cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run ssh system-update sysv tpm2 veritysetup; do
    ln -s /dev/null "/etc/systemd/system-generators/systemd-$generator-generator"
done
# As old as /usr: nothing of the system has to be brought up to date in a first boot (systemd-update-done.service(8)).
touch -r /usr /etc/.updated /var/.updated

case $loader in
grub)
    mkdir -p /boot/efi
    printf 'LABEL=RIG-ESP /boot/efi vfat umask=0077 0 0\n' >>/etc/fstab
    # What an administrator would have written, plus what makes emulation bearable:
    # without mitigations=off an "Intel" guest isolates its page tables, which costs emulation dear.
    sed -i \
        -e 's/^GRUB_TIMEOUT=.*/GRUB_TIMEOUT=0/' \
        -e "s/^GRUB_CMDLINE_LINUX_DEFAULT=.*/GRUB_CMDLINE_LINUX_DEFAULT=\"$RIG_CMDLINE\"/" \
        -e 's/^#*GRUB_TERMINAL=.*/GRUB_TERMINAL=console/' \
        /etc/default/grub
    printf '\nGRUB_DISABLE_OS_PROBER=true\n' >>/etc/default/grub
    ;;
systemd-boot)
    printf 'LABEL=RIG-ESP /boot/efi vfat umask=0077 0 0\n' >>/etc/fstab
    mkdir -p /boot/efi /etc/kernel
    printf 'root=LABEL=rig-root ro %s\n' "$RIG_CMDLINE" >/etc/kernel/cmdline
    ;;
esac

# What is left of the build: its mirror, its settings of apt, its name server, and the packages as they came.
rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/apt/apt.conf.d/*mmdebstrap \
    /etc/resolv.conf /tmp/* /var/log/apt/* /var/lib/apt/lists/*
apt-get clean

# The only packages that apt of a guest can have. One version of each: the name is enough, and has no colon to be escaped.
cd /var/lib/rig-archive
for package in *.deb; do
    name=$(dpkg-deb --field "$package" Package).deb
    mv "$package" "$name"
    dpkg-deb --field "$name"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' \
        "$name" "$(stat -c %s "$name")" "$(sha256sum "$name" | cut -d ' ' -f 1)"
done >Packages
# Without it apt looks for translations too, and calls it an error that there are none.
printf 'Date: %s\nSHA256:\n %s %s Packages\n' \
    "$(date -u -R)" "$(sha256sum Packages | cut -d ' ' -f 1)" "$(stat -c %s Packages)" >Release
chmod 0644 ./*
printf 'deb [trusted=yes] file:/var/lib/rig-archive ./\n' >/etc/apt/sources.list.d/rig.list
apt-get update
