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
    echo $found
}

# One that is booted for sure may come any moment. A disk with the ids of the booted one is believed after three
# seconds, in which a stick beside it appears; one without, when there is no other for half a minute.
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
[ $# -gt 0 ] || {
    set -- $(of other)
    [ $# -eq 0 ] || tell 4 "the boot loader was started from no disk that is here: ${1##*/} is taken for the booted one"
}
[ $# -gt 0 ] || exit 1
if [ $# -gt 1 ]; then
    : >$decided.undecided
    systemd-tmpfiles --create /usr/lib/bedplate/undecided.conf
    tell 2 "nobody can tell which of these disks was booted: $*"
    tell 2 "none of them is written to, and what this device should keep is not there: leave one of them in, and restart"
fi
echo "$1" >$decided
udevadm trigger --settle "/sys$1"
for part in /sys"$1"/*/partition; do
    udevadm trigger --settle "${part%/partition}"
done
