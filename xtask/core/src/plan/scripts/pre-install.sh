#!/bin/sh
# RAUC calls it when a bundle's signature holds and before anything is written: whether the bundle fits this device.
# What follows `<< error` is what `rauc install` shows.
set -u
bundle=$RAUC_BUNDLE_MOUNT_POINT
refuse() {
    echo "<< error $1"
    echo "bedplate: this bundle is not installed: $1" >&2
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
for part in root verity uki; do
    [ -b /dev/bedplate/$part-a ] && [ -b /dev/bedplate/$part-b ] ||
        refuse 'this device has only one slot, or its disk cannot be told from a copy of it'
done
if dpkg --compare-versions "$version" lt @VERSION@ && [ "$older" != yes ] && [ ! -e /run/bedplate/allow-older ]; then
    refuse "its version $version is older than @VERSION@, which runs"
fi
grep -q '"state":"trial"' /run/bedplate/update.json 2>/dev/null &&
    refuse "version @VERSION@ is on trial, and the other slot has the version to go back to: install again when it is proven, @MINUTES@ minutes after its start at the latest"

slots=/usr/lib/bedplate/slots
"$slots" room "$(stat -c %s "$bundle/uki.img")" || refuse 'the EFI system partition has no room for its kernel image'

# The slot's version cannot be started from now on, as RAUC itself would see to in a moment.
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in roothash=*) hash=${word#*=} ;; esac
done
if [ -e "$bundle/delta-${hash:-none}.index" ] && now=$("$slots" get-current); then
    case $now in a) other=b ;; *) other=a ;; esac
    "$slots" set-state "$other" bad && /usr/lib/bedplate/delta "$bundle" "$other" "$hash"
fi
exit 0
