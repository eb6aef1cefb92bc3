#!/bin/sh
# Tells udev, in the initrd, whether a disk is the one that was booted: prints BEDPLATE_DISK=booted, or =open for one
# that bedplate-disk.service decides about.
#
# The boot loader says which partition it was started from (LoaderDevicePartUUID). Until a device has given its disk
# ids of its own, that is the same id on every disk with the image; then the firmware's path of the boot decides.
#
#   DEVPATH IMAGE      IMAGE is the id of the partition table that the image is shipped with
#
# /run/bedplate.disk             the path of the booted disk, once that is decided
# /run/bedplate.disk.open        `VERDICT PATH` of disks that may be
# /run/bedplate.disk.copy        the path of a copy of the booted disk
# /run/bedplate.disk.undecided   made when nobody can tell which of several disks was booted
path=$1 image=$2
decided=/run/bedplate.disk
efi=/sys/firmware/efi/efivars
global=8be4df61-93ca-11d2-aa0d-00e098032b8c
loader=$efi/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f

tell() { echo "<$1>bedplate: $2" >/dev/kmsg; }

# The bytes of a variable, in decimal; the first four are its attributes.
bytes() { od -An -v -tu1 "$1" 2>/dev/null; }

# Reads the device path in the arguments. `chain` becomes its PCI functions from the root on, `last` what follows.
read_path() {
    chain='' last='' uid=''
    while [ $# -ge 4 ]; do
        length=$(($3 + $4 * 256))
        [ "$length" -ge 4 ] && [ "$length" -le $# ] || return 1
        case $1/$2 in
        2/1) uid=$((${9:-0} + ${10:-0} * 256)) ;;
        1/1) chain="$chain $(printf %02x.%x "$6" "$5")" ;;
        3/2) last="$last scsi:$(($5 + $6 * 256)):$(($7 + $8 * 256))" ;;
        3/5) last="$last usb:$(($5 + 1))" ;;
        3/18) last="$last sata:$(($5 + $6 * 256))" ;;
        3/23) last="$last nvme:$(($5 + $6 * 256))" ;;
        3/26 | 3/29) last="$last mmc" ;;
        4/* | 127/*) break ;;
        *) return 1 ;;
        esac
        shift "$length"
    done
    [ -n "$chain" ]
}

# The same of the disk, from its place in /sys. A name that no path of the firmware has ends in an error.
read_disk() {
    disk_chain='' disk_last='' disk_uid=''
    rest=${path#/devices/}/
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/}
        case $part in
        pci????:??) disk_uid=$(cat_line "/sys/devices/$part/firmware_node/uid") ;;
        pci*:*) return 1 ;;
        ????:??:??.?) disk_chain="$disk_chain ${part#????:??:}" ;;
        usb*) disk_last=' usb:?' ;;
        *-*:*) ;;
        *-*) [ "${disk_last# usb}" = "$disk_last" ] || disk_last=$(usb_ports "${part#*-}") ;;
        ata*) disk_last=" sata:$(($(cat_line "/sys/class/ata_port/$part/port_no") - 1))" ;;
        mmc*) disk_last=' mmc' ;;
        nvme*n*) disk_last=" nvme:$(cat_line "/sys$path/nsid")" ;;
        *:*:*:*)
            # The HBA's own numbers; those of disks behind USB and SATA are made up.
            [ -n "$disk_last" ] || { target=${part#*:*:}; disk_last=" scsi:${target%:*}:${target#*:}"; } ;;
        esac
    done
    [ -n "$disk_chain" ]
}
cat_line() { line=''; { read -r line <"$1"; } 2>/dev/null; echo "$line"; }
usb_ports() {
    ports=$1.
    while [ -n "$ports" ]; do printf ' usb:%s' "${ports%%.*}"; ports=${ports#*.}; done
}

# What the firmware's path of the boot says of the disk: yes, no, or unknown.
verdict() {
    set -- $(bytes "$efi/BootCurrent-$global")
    [ $# -eq 6 ] || { echo unknown; return; }
    set -- $(bytes "$efi/Boot$(printf %02X%02X "$6" "$5")-$global")
    [ $# -gt 12 ] || { echo unknown; return; }
    # Attributes of the variable, those of the option, the length of its path; then its name, which a zero ends.
    shift 10
    while [ $# -ge 2 ] && [ "$1$2" != 00 ]; do shift 2; done
    [ $# -gt 2 ] && shift 2 && read_path "$@" && read_disk || { echo unknown; return; }
    case $disk_uid in *[!0-9]* | '') disk_uid=$uid ;; esac
    if [ "$chain $uid" != "$disk_chain $disk_uid" ]; then
        echo no
    elif [ "$last" = "$disk_last" ]; then
        echo yes
    else
        case $last$disk_last in
        # Firmware numbers the ports of a controller in a way of its own.
        *usb:*) echo unknown ;;
        *) echo no ;;
        esac
    fi
}

# A disk of no image has no such partitions; `names` are those of this one.
has_partitions() {
    for name in $names; do
        grep_line "PARTNAME=$name" /sys"$path"/*/uevent || return 1
    done
}
grep_line() {
    wanted=$1
    shift
    for file; do
        while read -r line; do [ "$line" != "$wanted" ] || return 0; done 2>/dev/null <"$file"
    done
    return 1
}

open() {
    echo "$1 $path" >>$decided.open
    echo BEDPLATE_DISK=open
}

# The first one is it. What comes after it is a copy.
claim() {
    if (set -C; echo "$path" >$decided) 2>/dev/null; then
        echo BEDPLATE_DISK=booted
        return
    fi
    echo "$path" >$decided.copy
    first=$(cat_line $decided)
    if [ "$1" != yes ]; then
        : >$decided.undecided
        systemd-tmpfiles --create /usr/lib/bedplate/undecided.conf
        tell 2 "${first##*/} and ${path##*/} are copies of one disk, and the firmware does not tell which of them was booted"
    fi
}

shift 2
names=$*
if [ -e $decided ] && [ "$(cat_line $decided)" = "$path" ]; then
    echo BEDPLATE_DISK=booted
elif [ ! -e "$loader" ]; then
    has_partitions && open maybe
elif [ -z "$ID_PART_GPT_AUTO_ROOT_UUID" ]; then
    has_partitions && open other
else
    verdict=$(verdict)
    case $verdict in
    yes) claim yes ;;
    # Its ids are its own: there is no other with them but a copy of this very device.
    unknown) if [ "$ID_PART_TABLE_UUID" != "$image" ]; then claim unknown; else open maybe; fi ;;
    no)
        if [ -e $decided ]; then
            echo "$path" >$decided.copy
        elif [ "$ID_PART_TABLE_UUID" != "$image" ]; then
            open maybe
        else
            open unlikely
        fi ;;
    esac
fi
exit 0
