#!/bin/sh
# Makes what lies behind the binds, at every boot, before they are mounted.
# What is there is left as it is.
umask 022
failed=0

# Made in the initrd, where nothing can wait for the disk. Nobody has been told it yet.
sync /etc/machine-id

# KIND MODE OWNER PATH BACKING; `-` is what PATH has in the image.
kept() {
    new=$5.new~
    if [ -e "$5" ] || [ -L "$5" ]; then return; fi
    mkdir -p "${5%/*}" && rm -rf "$new" &&
        case $1 in
        seeded) cp -a "$4" "$new" ;;
        directory) mkdir "$new" ;;
        file) touch "$new" ;;
        esac &&
        if [ "$1" != seeded ]; then chown --reference="$4" "$new" && chmod --reference="$4" "$new"; fi &&
        if [ "$3" != - ]; then chown "$3" "$new"; fi &&
        if [ "$2" != - ]; then chmod "$2" "$new"; fi &&
        sync -f "$new" && mv -T "$new" "$5" && sync -f "$5" && return
    echo "<3>bedplate: could not make $5, so $4 is not kept"
    rm -rf "$new"
    failed=1
}

@BINDS@
@HOMES@

exit $failed
