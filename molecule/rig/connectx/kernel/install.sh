#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs inside the freshly installed tree of an image and builds the module for the tree's own kernel, so that it always
# fits. The packages in $1, which the build needs, are purged afterwards: a guest has no compiler.
set -eu
packages=$1
source=/usr/src/rig-connectx

names=$(for package in "$packages"/*.deb; do dpkg-deb --field "$package" Package; done)
dpkg --install --force-unsafe-io "$packages"/*.deb
for headers in /lib/modules/*/build; do
    version=${headers%/build}
    version=${version##*/}
    make -C "$source" KERNEL="$version"
    strip --strip-debug "$source/rig_connectx.ko"
    install -D -m 0644 "$source/rig_connectx.ko" "/lib/modules/$version/extra/rig_connectx.ko"
    make -C "$headers" M="$source" clean
done
# shellcheck disable=SC2086
dpkg --purge --force-unsafe-io $names
rm -rf "$source" "$packages"
for modules in /lib/modules/*; do
    depmod "${modules##*/}"
    test -e "$modules/extra/rig_connectx.ko"
done
