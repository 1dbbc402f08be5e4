#!/bin/sh
# The first process of the image's first boot, which happens while the image is built:
# the guest itself installs its boot loader and writes its configuration, as on any host.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
say() { echo "rig-first-boot: $*" >/dev/console; }

install_loader() {
    set -e
    mount -o remount,rw /
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /tmp
    modprobe vfat
    mount /boot/efi
    # No udev has made it here; without it GRUB's configuration names the root device by /dev/vda2.
    mkdir -p /dev/disk/by-uuid
    for disk in /dev/vda*; do
        uuid=$(blkid -s UUID -o value "$disk") && ln -s "$disk" "/dev/disk/by-uuid/$uuid"
    done
    if [ -e /etc/default/grub ]; then
        # The removable path: the rig gives every run a fresh store of UEFI variables.
        grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram
        update-grub
        grep -q 'linux.*console=ttyS0' /boot/grub/grub.cfg
    else
        bootctl install --no-variables --esp-path=/boot/efi
        for kernel in /lib/modules/*; do
            version=${kernel##*/}
            kernel-install add "$version" "/boot/vmlinuz-$version" "/boot/initrd.img-$version"
        done
        printf 'timeout 0\n' >/boot/efi/loader/loader.conf
        grep -q 'console=ttyS0' /boot/efi/loader/entries/*.conf
    fi
    umount /boot/efi
    sync
    mount -o remount,ro /
}

if (install_loader) >/dev/console 2>&1; then
    say "the boot loader is installed"
else
    say "failed"
fi
exec systemctl poweroff --force --force
