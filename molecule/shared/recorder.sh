#!/bin/bash
# Whether the VFs of the machine stay the ones they are. `start` notes them and begins to record the kernel's events; `same` fails
# when a VF is another one, or has been away or without its driver, since then.
set -euo pipefail
folder=/run/recorder

# A VF that is made again has another inode in sysfs, and its interface another index.
identities() {
    local vf
    cd /sys/bus/pci/devices
    for vf in */virtfn*; do
        echo "$vf is $(basename "$(readlink "$vf")"), inode $(stat -Lc %i "$vf")," \
            "driver $(basename "$(readlink "$vf/driver" || echo none)"), interface $(cat "$vf"/net/*/ifindex 2>/dev/null || echo none)"
    done
}

# Waits until the recorder has written more than $2 lines with $1.
await() {
    local lines
    for _ in $(seq 1200); do
        lines=$(written "$1")
        test "$lines" -le "$2" || return 0
        sleep 0.5
    done
    echo "the recorder has not written: $1"
    return 1
}

# grep ends with 1 if it finds no line, which also gives a number, and with 2 if there is no file.
written() { grep -c "$1" $folder/events || test $? -eq 1; }

case $1 in
start)
    ! systemctl is-active --quiet recorder.service || systemctl stop recorder.service
    mkdir -p $folder
    # The unit may not have begun when this looks for its first line.
    : >$folder/events
    identities >$folder/before
    grep -q . $folder/before
    systemd-run --quiet --unit=recorder -p StandardOutput=file:$folder/events \
        udevadm monitor --kernel --subsystem-match=pci --subsystem-match=net
    await 'the kernel uevent' 0
    ;;
same)
    # Nor may the inodes be those of a cache.
    echo 2 >/proc/sys/vm/drop_caches
    # An event of another device: once it is written, so are all earlier ones.
    before=$(written /virtual/net/lo)
    echo "change $(cat /proc/sys/kernel/random/uuid)" >/sys/class/net/lo/uevent
    await /virtual/net/lo "$before"
    identities | diff $folder/before -
    if grep -E '\] +(add|remove|bind|unbind|move|online|offline) ' $folder/events; then
        echo 'a device came or went'
        exit 1
    fi
    ;;
esac
