#!/bin/sh
# Gives the disk ids of its own: the table's, and those of the partitions whose numbers are in the arguments. At first
# they are the image's, and the same on every disk that it was written to.
#
# The table lies on the disk twice. It is changed in a file, and the second copy is on the disk before the first is
# touched: one of them is whole, whenever the power goes.
set -eu
disk=$(readlink -f /dev/bedplate/disk)
sys=/sys/class/block/${disk##*/}
read -r sector <"$sys/queue/logical_block_size"
read -r sectors <"$sys/size"
sectors=$((sectors * 512 / sector))
# 128 entries of 128 bytes, and a header.
copy=$((16384 / sector + 1))
table=$RUNTIME_DIRECTORY/table

set_ids() {
    sfdisk --quiet ${larger:+--sector-size $sector} "$@"
}
larger=''
[ "$sector" = 512 ] || larger=yes

truncate -s $((sectors * sector)) "$table"
dd if="$disk" of="$table" bs="$sector" count=$((copy + 1)) conv=notrunc status=none
# The image's own second copy, which lies where the image ended until the disk is grown.
last=$(($(od -An -tu8 -j $((sector + 32)) -N 8 "$table")))
dd if="$disk" of="$table" bs="$sector" skip=$((last - copy + 1)) seek=$((last - copy + 1)) count=$copy conv=notrunc status=none
set_ids --disk-id "$table" "$(systemd-id128 --uuid new)"
for number; do
    set_ids --part-uuid "$table" "$number" "$(systemd-id128 --uuid new)"
done
end=$((sectors - copy))
dd if="$table" of="$disk" bs="$sector" skip=$end seek=$end conv=notrunc,fsync status=none
dd if="$table" of="$disk" bs="$sector" count=$((copy + 1)) conv=notrunc,fsync status=none
