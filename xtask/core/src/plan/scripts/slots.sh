#!/bin/sh
# The two slots of this device. RAUC calls it as its boot loader's backend, units of Bedplate's for what follows.
#
# A slot, `a` or `b`, is three partitions: root, hash tree, and kernel image. What is started is decided by the names of
# kernel images on the EFI system partition: EFI/Linux/bedplate_GENERATION-SLOT[+LEFT-DONE].efi. systemd-boot starts the
# highest generation that has tries left, and counts. One without a counter has proven itself; one with `+0-0` was given
# up.
#
#   get-current | get-primary | get-state SLOT | set-state SLOT good|bad | set-primary SLOT     RAUC's
#   room SIZE         fails where the ESP has no room for a kernel image of an update, of so many bytes
#   boot              after each start: what became of the last update
#   proven            the running version is good
#   failed            the running version is not good: starts again, if it is on trial
#   damaged           a block of the running root is not what it should be
#   scrub             writes kernel images on the ESP anew that are not what they should be, before they are started
#
# /run/bedplate/update.json   what is told
# /var/rauc/bedplate/last     what became of the last update, as RESULT, SLOT, VERSION, REASON
# /run/bedplate/last          the same, as this start knows it: the data partition may be full
set -u
export LC_ALL=C
esp=/run/bedplate/esp
last=/var/rauc/bedplate/last
known=/run/bedplate/last

say() { echo "<$1>bedplate: $2" >&2; }
refuse() { say 3 "$1"; exit 1; }

# Mounted for this program alone, which does not see then who else mounts it.
if [ -z "${BEDPLATE_SLOTS:-}" ]; then
    # The second slot may have been made a moment ago.
    [ "$1" != boot ] || udevadm settle --timeout=60
    BEDPLATE_SLOTS=free
    if findmnt --source "$(readlink -f /dev/bedplate/esp)" >/dev/null; then BEDPLATE_SLOTS=mounted; fi
    export BEDPLATE_SLOTS
    exec unshare --mount --propagation private -- "$0" "$@"
fi
mount_esp() {
    # One at a time: who repairs a file system must be alone with it.
    mkdir -p /run/bedplate
    exec 9>/run/bedplate/slots.lock
    flock --timeout 60 9 || refuse 'another step of an update has not ended for a minute'
    [ -b /dev/bedplate/esp ] || refuse "the EFI system partition is not there, or several disks may be the one that was booted"
    # What a power cut left unfinished takes room for ever.
    if [ "$1" = check ] && [ "$BEDPLATE_SLOTS" = free ]; then
        fsck.vfat -a /dev/bedplate/esp >/dev/null || say 4 'the EFI system partition was repaired, or could not be'
    fi
    mkdir -p "$esp"
    mode=rw
    [ "$1/$BEDPLATE_SLOTS" != read/free ] || mode=ro
    # Who had the lock before may not have let go of the partition yet.
    for wait in 0.1 0.5 2 5; do
        if mount -t vfat -o "$mode,umask=0077" /dev/bedplate/esp "$esp"; then return; fi
        sleep "$wait"
    done
    refuse 'cannot mount the EFI system partition'
}

# The slot that runs: below the verified root.
running() {
    root=$(readlink -f /dev/mapper/root)
    for part in /sys/class/block/"${root##*/}"/slaves/*/uevent; do
        while read -r line; do
            case $line in PARTNAME=root-[ab]) echo "${line##*-}"; return ;; esac
        done <"$part"
    done
    refuse 'cannot tell which slot runs: the root is not a verified one'
}
other() { case $1 in a) echo b ;; *) echo a ;; esac; }

# GENERATION SLOT LEFT FILE of each kernel image, the highest generation first; LEFT is `-` for one that has proven itself,
# and `x` for one that was given up.
entries() {
    for file in "$esp"/EFI/Linux/bedplate_*.efi; do
        name=${file##*/bedplate_} left=-
        name=${name%.efi}
        case $name in
        *+0-0) left=x ;;
        *+*) left=${name##*+} left=${left%%-*} ;;
        esac
        name=${name%%+*}
        case $name in [0-9]*-[ab]) echo "${name%-?} ${name##*-} $left $file" ;; esac
    done | sort -rn
}
entry_of() {
    entries | while read -r generation slot left file; do
        if [ "$slot" = "$1" ]; then echo "$generation $slot $left $file"; break; fi
    done
}
# What the loader starts next: with tries left; else the first of those without.
primary() {
    entries | { first=''
        while read -r generation slot left file; do
            [ -n "$first" ] || first=$slot
            case $left in 0 | x) ;; *) first=$slot; break ;; esac
        done
        echo "$first"; }
}
file_of() { entry_of "$1" | { read -r generation slot left file && echo "$file"; }; }
left_of() { entry_of "$1" | { read -r generation slot left file && echo "$left"; }; }
on_trial() { case $(left_of "$1") in '' | - | x) return 1 ;; esac; }
can_start() { case $(left_of "$1") in '' | 0 | x) return 1 ;; esac; }
newest() { entries | { read -r generation rest || generation=0; echo "$generation"; }; }

# Only then is it on the disk.
rename() { mv "$1" "$2" && sync -f "$esp" || refuse "cannot give ${1##*/} the name ${2##*/} on the EFI system partition"; }

# Is not started any more.
give_up() { case $1 in '' | *+0-0.efi) ;; *) rename "$1" "${1%%[+.]*}+0-0.efi" ;; esac; }

version_of() {
    if [ "$1" = "$(running)" ]; then
        echo @VERSION@
    else
        header "$1" version
    fi
}
# A line of what stands before a slot's kernel image.
header() {
    dd if="/dev/bedplate/uki-$1" bs=4096 count=1 status=none 2>/dev/null | tr -d '\000' | while IFS='=' read -r name value; do
        if [ "$name" = "$2" ]; then echo "$value"; break; fi
    done
}

# A full data partition keeps nobody from going back.
remember() {
    printf '%s\n' "$@" >"$known"
    mkdir -p "${last%/*}" && printf '%s\n' "$@" >"$last.new" && sync -f "$last.new" && mv "$last.new" "$last" &&
        sync -f "$last" || say 4 "cannot write $last: what became of this update will not be known after the next start"
}
recall() {
    result='' of='' version='' reason=''
    [ -e "$known" ] || [ ! -e "$last" ] || cp "$last" "$known"
    [ ! -e "$known" ] || { read -r result; read -r of; read -r version; read -r reason; } <"$known"
}

json() { printf '"%s"' "$(printf %s "$1" | tr -d '"\134' | tr -c '[:print:]' ' ')"; }
tell() {
    now=$(running) || exit
    recall
    state=proven tries=null
    if on_trial "$now"; then state=trial tries=$(left_of "$now"); fi
    second=false
    [ ! -b "/dev/bedplate/root-$(other "$now")" ] || second=true
    {
        printf '{"slot":%s,"version":%s,"state":%s,"tries_left":%s,"next_start":%s,"second_slot":%s' \
            "$(json "$now")" "$(json "$(version_of "$now")")" "$(json "$state")" "$tries" "$(json "$(primary)")" "$second"
        [ -z "$result" ] || printf ',"last":{"result":%s,"slot":%s,"version":%s,"reason":%s}' \
            "$(json "$result")" "$(json "$of")" "$(json "$version")" "$(json "$reason")"
        printf '}\n'
    } >/run/bedplate/update.json.new
    chmod 644 /run/bedplate/update.json.new
    mv /run/bedplate/update.json.new /run/bedplate/update.json
}

# RAUC asks for this before it writes the first byte of a slot, and for `rauc status mark-bad`.
set_bad() {
    now=$(running) || exit
    if [ "$1" = "$now" ]; then
        can_start "$(other "$now")" || refuse "slot $now is the only one that can be started"
        give_up "$(file_of "$now")"
        return
    fi
    if [ "$(left_of "$now")" = x ]; then
        refuse "slot $now cannot be started any more, and slot $1 has the version to go over to: restart, and install again"
    fi
    if on_trial "$now"; then
        refuse "version $(version_of "$now") is on trial, and slot $1 has the version to go back to: install again when it is proven, @MINUTES@ minutes after its start at the latest"
    fi
    rm -f "$esp"/EFI/Linux/bedplate_*-"$1".efi "$esp"/EFI/Linux/bedplate_*-"$1"+*.efi "$esp"/EFI/Linux/bedplate.new
    [ "$1" != a ] || rm -rf "$esp/EFI/bedplate"
    sync -f "$esp"
}

# systemd-bless-boot renames, too, but brings only the directory to the disk: vfat writes a new name without content
# first, and when the power goes then, the version is lost.
set_proven() {
    file=$(file_of "$1")
    [ -n "$file" ] || refuse "slot $1 has no kernel image: install one"
    case $file in *+*) rename "$file" "${file%%+*}.efi" ;; esac
}

# The kernel image that a slot holds: where, how long it is, and its digest.
kernel_image() {
    held=/dev/bedplate/uki-$1 size=$(header "$1" size) sum=$(header "$1" sha256)
    case $size in '' | *[!0-9]*) return 1 ;; esac
}
kernel_image_into() {
    dd if="$held" of="$1" bs=1M iflag=skip_bytes,count_bytes skip=4096 count="$size" conv=notrunc,fsync status=none &&
        truncate -s "$size" "$1" && sync -f "$esp"
}
# What the disk has, not what the memory has.
sum_of() { dd if="$1" bs=1M iflag=direct status=none | sha256sum; }
sum_of_held() { dd if="$held" bs=1M iflag=skip_bytes,count_bytes skip=4096 count="$size" status=none | sha256sum; }
is_kernel_image() { [ "$(sum_of "$1")" = "$sum  -" ]; }
# Given the name once it is whole, and on the disk.
kernel_image_beside() {
    new=$esp/EFI/Linux/bedplate.new
    if kernel_image_into "$new" && is_kernel_image "$new" && mv "$new" "$1" && sync -f "$esp"; then return; fi
    rm -f "$new"
    return 1
}

# The one step that changes what is started: a name, given to what is whole and on the disk.
set_primary() {
    slot=$1
    found=$(file_of "$slot")
    next=$(($(newest) + 1))
    if [ -n "$found" ]; then
        [ "$(primary)" = "$slot" ] && return
        case $(left_of "$slot") in
        -) rename "$found" "$esp/EFI/Linux/bedplate_$next-$slot.efi" ;;
        *)
            rename "$found" "$esp/EFI/Linux/bedplate_$next-$slot+@TRIES@-0.efi"
            remember installed "$slot" "$(version_of "$slot")" '' ;;
        esac
        return
    fi
    version=$(header "$slot" version)
    kernel_image "$slot" || refuse "slot $slot holds no kernel image"
    kernel_image_beside "$esp/EFI/Linux/bedplate_$next-$slot+@TRIES@-0.efi" ||
        refuse "cannot write the kernel image of slot $slot to the EFI system partition: it is full, or the disk fails"
    remember installed "$slot" "$version" ''
}

# Starts again: another try, or the other slot.
start_again() { systemctl --no-block reboot; }

# What the other slot has now makes way.
has_room() {
    free=$(df --output=avail --block-size=1 "$esp" | tail -n 1)
    now=$(running) || exit
    slot=$(other "$now")
    for file in "$esp"/EFI/Linux/bedplate_*-"$slot".efi "$esp"/EFI/Linux/bedplate_*-"$slot"+*.efi "$esp"/EFI/Linux/bedplate.new; do
        [ ! -e "$file" ] || free=$((free + $(stat -c %s "$file")))
    done
    [ "$free" -ge "$1" ]
}

# What RAUC would know of the slot that the image was shipped with, if it had installed it; and of the other, that it
# holds nothing, which it would read all of it to find out.
take_over() {
    [ "$1" = a ] && [ -d "$esp/EFI/bedplate" ] && [ ! -e /var/rauc/central.raucs ] || return 0
    for file in "$esp"/EFI/bedplate/*.index; do
        part=${file##*/} sum=${file##*-}
        directory=/var/rauc/slot.${part%%-*}.0/hash-${sum%.index}
        mkdir -p "$directory" && cp "$file" "$directory/block-hash-index" || return
    done
    for part in root verity uki; do
        directory=/var/rauc/slot.$part.1/hash-@EMPTY@
        mkdir -p "$directory" && head -c 32 /dev/zero >"$directory/block-hash-index" || return
    done
    cp "$esp/EFI/bedplate/central.raucs" /var/rauc/central.raucs.new && sync -f /var/rauc/central.raucs.new &&
        mv /var/rauc/central.raucs.new /var/rauc/central.raucs
}

after_boot() {
    now=$(running) || exit
    note=''
    take_over "$now"
    recall
    [ ! -e "$esp/EFI/bedplate.failed" ] || { read -r at note <"$esp/EFI/bedplate.failed"; rm -f "$esp/EFI/bedplate.failed"; }
    case $result in
    installed | trial)
        if [ -n "$note" ] && [ "$at" != "$of" ]; then
            say 3 "slot $at cannot be started any more: $note"
            note=''
        fi
        if [ "$of" != "$now" ]; then
            can_start "$of" || {
                reason=${reason:-${note:-it did not start, and left no word: a panic, a hang, or no power}}
                say 3 "version $version in slot $of was not good, and this device went back to $(version_of "$now"): $reason"
                remember went-back "$of" "$version" "$reason"
            }
        elif on_trial "$now"; then
            say 5 "version $version is on trial in slot $now"
            remember trial "$of" "$version" "${note:-$reason}"
        else
            remember proven "$of" "$version" ''
        fi ;;
    *)
        if [ -n "$note" ] && [ "$at" != "$now" ]; then
            say 3 "slot $at cannot be started any more, and this device went over to slot $now: $note"
            remember went-over "$at" "$(version_of "$at")" "$note"
        fi ;;
    esac
    [ -b "/dev/bedplate/root-$(other "$now")" ] ||
        say 4 "there is no slot $(other "$now"): nothing can be installed; was the disk too small when the device was started first?"
}

failed() {
    now=$(running) || exit
    on_trial "$now" || { say 4 "$1; it has proven itself before, and stays"; return; }
    units=$(systemctl list-units --failed --plain --no-legend --full | while read -r unit rest; do printf ' %s' "$unit"; done)
    recall
    say 3 "version $(version_of "$now") is not good: $1${units:+; failed:$units}"
    remember trial "$now" "$(version_of "$now")" "$1${units:+; failed:$units}"
    start_again
}

damaged() {
    now=$(running) || exit
    if on_trial "$now"; then
        failed 'a block of its root is damaged'
    elif can_start "$(other "$now")"; then
        say 2 "a block of the root in slot $now is damaged: this device goes over to slot $(other "$now")"
        give_up "$(file_of "$now")"
        remember went-over "$now" "$(version_of "$now")" 'a block of its root is damaged'
        start_again
    else
        say 2 "a block of the root in slot $now is damaged, and there is no other version to start: install one"
    fi
}

# Slots whose kernel images on the EFI system partition are not what they should be, the running one last.
not_whole() {
    now=$(running) || exit
    for slot in "$(other "$now")" "$now"; do
        can_start "$slot" || continue
        kernel_image "$slot" || { say 4 "slot $slot does not tell what its kernel image should be"; continue; }
        file=$(file_of "$slot")
        # When both are the same, what is damaged is the digest.
        is_kernel_image "$file" || [ "$(sum_of "$file")" = "$(sum_of_held)" ] || echo "$slot"
    done
    [ -n "$(entry_of "$now")" ] || echo "$now"
}

# What `not_whole` has found. A version that has proven itself is started whatever becomes of its file, and one on trial
# loses its tries for it. Only what is damaged is written to, in its place, or else beside it.
scrub() {
    now=$(running) || exit
    for slot in $1; do
        file=$(file_of "$slot")
        if [ -z "$file" ]; then
            say 4 "the kernel image of slot $slot is gone from the EFI system partition"
            restore "$slot"
        elif kernel_image "$slot" && mend "$file"; then
            say 4 "the kernel image of slot $slot was damaged on the EFI system partition, and was written anew"
        elif [ "$slot" != "$now" ]; then
            say 3 "the kernel image of slot $slot is damaged, and cannot be written anew: it is not started"
            give_up "$file"
            recall
            case $result/$of in installed/"$slot") remember went-back "$slot" "$version" 'its kernel image is damaged' ;; esac
        elif can_start "$(other "$now")"; then
            say 2 "the kernel image of slot $now is damaged, and cannot be written anew: this device goes over to slot $(other "$now")"
            echo "$now its kernel image is damaged" >"$esp/EFI/bedplate.failed"
            give_up "$file"
            [ "$(systemctl is-system-running)" = stopping ] || start_again
        else
            say 2 "the kernel image of slot $now is damaged, and cannot be written anew, and there is no other version to start: install one"
        fi
    done
}
mend() {
    [ "$(sum_of_held)" = "$sum  -" ] || return 1
    kernel_image_into "$1" && is_kernel_image "$1" || kernel_image_beside "$1"
}
# Of the running version, which has proven itself: below one that is on its way, and above what it came after.
restore() {
    generation=$(newest)
    grep -qs '"state":"proven"' /run/bedplate/update.json && kernel_image "$1" || return 0
    case $(left_of "$(other "$1")") in '' | - | 0 | x) generation=$((generation + 1)) ;; *) generation=$((generation - 1)) ;; esac
    kernel_image_beside "$esp/EFI/Linux/bedplate_$generation-$1.efi" || say 3 "the kernel image of slot $1 cannot be written anew"
}

case $1 in
get-current) running ;;
get-primary) mount_esp no; primary ;;
get-state) mount_esp no; if can_start "$2"; then echo good; else echo bad; fi ;;
set-state)
    mount_esp no
    case $3 in
    bad) set_bad "$2" ;;
    good) set_proven "$2" ;;
    esac
    tell ;;
set-primary) mount_esp no; set_primary "$2"; tell ;;
room) mount_esp no; has_room "$2" ;;
boot)
    mount_esp check
    after_boot
    tell
    ;;
proven)
    mount_esp no
    now=$(running) || exit
    set_proven "$now"
    recall
    case $result in installed | trial) remember proven "$of" "$version" '' ;; esac
    tell ;;
failed) mount_esp no; failed "it did not become good within @MINUTES@ minutes, or what it needs for it has failed"; tell ;;
damaged) mount_esp no; damaged; tell ;;
scrub)
    mount_esp read
    found=$(not_whole) || exit
    [ -n "$found" ] || exit 0
    if [ "$BEDPLATE_SLOTS" != free ]; then
        refuse "the kernel image of slot ${found%% *} is damaged, and somebody has the EFI system partition mounted: it is not written anew"
    fi
    # Two files with blocks in common are told apart first.
    umount "$esp"
    mount_esp check
    scrub "$(not_whole)"
    tell ;;
*) refuse "no command: $1" ;;
esac
