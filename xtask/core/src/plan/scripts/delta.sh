#!/bin/sh
# Makes the new root of the one that runs, where a bundle says how, so that RAUC finds it in the slot and fetches little
# more than its digests. Called before RAUC writes.
#
#   delta BUNDLE SLOT ROOTHASH      the mounted bundle; the slot that is written, a or b; what the running root is
#                                   verified by
#
# Nothing of it is believed: RAUC holds every block against the digests that were signed, and fetches what differs. So
# what fails here costs bytes, is said, and keeps nobody from an update.
set -u
export LC_ALL=C
devices=${BEDPLATE_DEVICES:-/dev/bedplate} state=${BEDPLATE_STATE:-/var/rauc} work=${BEDPLATE_RUN:-/run/bedplate}/delta
bundle=$1 slot=$2 frames=$1/delta-$3
case $slot in a) old=b number=0 ;; *) old=a number=1 ;; esac
old=$devices/root-$old new=$devices/root-$slot tree=$devices/verity-$slot

say() { echo "<$1>bedplate: $2" >&2; }
leave() {
    say 4 "the delta of this bundle is not used, and the update takes more bytes: $1"
    exit 1
}
# SIZE bytes of a file from AT on.
part() { dd if="$1" bs=1M iflag=skip_bytes,count_bytes,fullblock skip="$2" count="$3" status=none; }

rm -rf "$work"
mkdir -p "$work" || leave 'there is no room in /run'
trap 'rm -rf "$work"' EXIT

hash=''
while read -r word a b c d e f; do
    case $word in
    tree) salt=$a uuid=$b blocks=$c hash=$d ;;
    chunk)
        part "$old" "$c" "$d" >"$work/old" && part "$frames" "$e" "$f" >"$work/frame" ||
            leave 'it cannot be read, or there is no room in /run'
        zstd -dqf --patch-from="$work/old" -o "$work/new" "$work/frame" 2>/dev/null && [ "$(stat -c %s "$work/new")" = "$b" ] ||
            leave 'it is not of the root that runs'
        dd if="$work/new" of="$new" bs=1M oflag=seek_bytes seek="$a" conv=notrunc status=none || leave "cannot write slot $slot"
        ;;
    esac
done <"$frames.index"
[ -n "$hash" ] || leave 'it does not say what it makes'

# veritysetup writes 512 bytes of the first block.
dd if=/dev/zero of="$tree" bs=4096 count=1 conv=notrunc status=none || leave "cannot write slot $slot"
made=$(veritysetup format --hash=sha256 --data-block-size=4096 --hash-block-size=4096 --data-blocks="$blocks" \
    --salt="$salt" --uuid="$uuid" "$new" "$tree") || leave "the hash tree of slot $slot cannot be made"
case $made in *"$hash"*) ;; *) leave 'it made another root' ;; esac

# RAUC believes that the slot holds what this list says, until it reads it.
for part in root verity; do
    for directory in "$state/slot.$part.$number"/hash-*; do
        [ -d "$directory" ] && cp "$bundle/$part.img.block-hash-index" "$directory/block-hash-index" ||
            say 4 "RAUC reads all of slot $slot to know what it holds"
    done
done
say 6 "slot $slot has the new root, made of the one that runs"
