#!/bin/sh
# Makes what lies behind the binds, at every boot, before they are mounted.
# What is there is left as it is.
#
# All is made beside its place first, is on the disk then, and gets its name last: whenever the power goes, each is
# whole, or is made by the next boot. Few programs are started, since each costs as much as its work.
umask 022
failed=0
IFS='
'
set -f

# Made in the initrd, where nothing can wait for the disk. Nobody has been told it yet.
sync /etc/machine-id

# Does `step` with each: the place beside, and KIND MODE OWNER PATH BACKING; `-` is what PATH has in the image.
kept() {
    "$step" "$5.new~" "$@"
}
all() {
    step=$1
@BINDS@
@HOMES@
}

is() {
    [ -e "$1" ] || [ -L "$1" ]
}

lost() {
    echo "<3>bedplate: could not make $6, so $5 is not kept"
    rm -rf "$1"
    failed=1
}

# Whether what is above a place has itself only been made so far.
below_made() {
    above=${1%/*}
    while [ -n "$above" ] && ! is "$above"; do
        case $IFS$made in *"$IFS$above.new~$IFS"*) return 0 ;; esac
        above=${above%/*}
    done
    return 1
}

make() {
    if is "$6"; then return; fi
    if below_made "$6"; then again=yes && return; fi
    if [ ! -d "${6%/*}" ]; then mkdir -p "${6%/*}"; fi &&
        if is "$1"; then rm -rf "$1"; fi &&
        case $2 in
        seeded) cp -a "$5" "$1" ;;
        directory) mkdir "$1" ;;
        file) touch "$1" ;;
        esac &&
        if [ "$2" != seeded ]; then chown --reference="$5" "$1" && chmod --reference="$5" "$1"; fi &&
        if [ "$4" != - ]; then chown "$4" "$1"; fi &&
        if [ "$3" != - ]; then chmod "$3" "$1"; fi &&
        made=$made$1$IFS && return
    lost "$@"
}

name() {
    if is "$6" || ! is "$1"; then return; fi
    if [ -z "$one_by_one" ] || sync -f "$1"; then
        mv -T "$1" "$6" && named=$named$6$IFS && return
    fi
    lost "$@"
}

again=yes
while [ -n "$again" ]; do
    again=''
    made=''
    all make
    if [ -z "$made" ]; then break; fi
    # If one of them is not on the disk, the others may be.
    one_by_one=''
    # shellcheck disable=SC2086 # A list, which is parted at its lines.
    sync -f $made || one_by_one=yes
    named=''
    all name
    # shellcheck disable=SC2086
    sync -f $named || failed=1
done

exit $failed
