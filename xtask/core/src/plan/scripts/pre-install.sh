#!/bin/sh
# RAUC calls it when a bundle's signature holds and before anything is written: whether the bundle fits this device.
# What follows `<< error` is what `rauc install` shows.
set -u
bundle=$RAUC_BUNDLE_MOUNT_POINT
refuse() {
    echo "<< error $1"
    echo "<3>bedplate: this bundle is not installed: $1" >&2
    exit 1
}

layout='' version='' older=no
[ -e "$bundle/bedplate" ] || refuse 'it was not made for slots of Bedplate'
while IFS='=' read -r name value; do
    case $name in
    layout) layout=$value ;;
    version) version=$value ;;
    older) older=$value ;;
    esac
done <"$bundle/bedplate"

[ "$layout" = @LAYOUT@ ] || refuse "it is for disks of another layout ($layout, not @LAYOUT@)"
[ -b /dev/bedplate/root-a ] && [ -b /dev/bedplate/root-b ] ||
    refuse 'this device has only one slot, or its disk cannot be told from a copy of it'
. /etc/os-release
if dpkg --compare-versions "$version" lt "${IMAGE_VERSION:-0}" && [ "$older" != yes ] && [ ! -e /run/bedplate/allow-older ]; then
    refuse "its version $version is older than $IMAGE_VERSION, which runs"
fi
grep -q '"state":"trial"' /run/bedplate/update.json 2>/dev/null &&
    refuse "version ${IMAGE_VERSION:-} is on trial, and the other slot has the version to go back to: install again when it is proven, @MINUTES@ minutes after its start at the latest"
exit 0
