#!/bin/sh
# Decides, in the initrd, which of the disks that may have been booted it was: those that `booted` left open.
decided=/run/bedplate.disk
loader=/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f

tell() { echo "<$1>bedplate: $2" >/dev/kmsg; }

# The disks of a kind, each once.
of() {
    found=''
    while read -r verdict path; do
        [ "$verdict" = "$1" ] || continue
        case " $found " in *" $path "*) ;; *) found="$found $path" ;; esac
    done <$decided.open
    echo "$found"
}

# The booted one may appear any moment. A disk with its ids is believed after three seconds, in which a stick beside it
# appears. One with other ids holds the same root, and so starts the device when there is no other for half a minute;
# but it was not booted, and is not written to.
udevadm settle --timeout=10
patience=3 left=30
[ -e "$loader" ] || patience=0
while [ "$patience" -gt 0 ] && [ "$left" -gt 0 ]; do
    udevadm wait --timeout=1 /dev/bedplate/disk 2>/dev/null && exit 0
    left=$((left - 1))
    [ -z "$(of maybe)" ] || patience=$((patience - 1))
done
[ ! -e $decided ] || exit 0

set -- $(of maybe)
[ $# -gt 0 ] || set -- $(of unlikely)
why=''
if [ $# -eq 0 ]; then
    set -- $(of other)
    [ $# -gt 0 ] || exit 1
    why="the disk that was booted has not appeared"
elif [ $# -gt 1 ]; then
    why="several disks have the ids of the booted one, and the firmware does not tell which of them it was: $*"
fi
if [ -n "$why" ]; then
    : >$decided.undecided
    systemd-tmpfiles --create /usr/lib/bedplate/undecided.conf
    tell 2 "$why"
    tell 2 "the device starts from ${1##*/}, mounts and writes to no disk, and forgets what it should keep"
fi
echo "$1" >$decided
udevadm trigger --settle "/sys$1"
for part in /sys"$1"/*/partition; do
    udevadm trigger --settle "${part%/partition}"
done
