#!/bin/sh
# In the initrd, when the root cannot be entered: leaves word for the version that will run next, and puts a version
# that has proven itself on trial again, where there is another one to go over to.
esp=/run/bedplate/esp
mount -t vfat -o X-mount.mkdir,umask=0077 /dev/bedplate/esp "$esp" || exit 0
slot=$(udevadm info --query=property --property=BEDPLATE_SLOT --value /dev/bedplate/disk)
another=''
for file in "$esp"/EFI/Linux/bedplate_*.efi; do
    case $file in
    *"-$slot.efi" | *"-$slot+"*) ;;
    *+0-*.efi) ;;
    *) another=$file ;;
    esac
done
echo "$slot its root could not be entered" >"$esp/EFI/bedplate.failed"
for file in "$esp"/EFI/Linux/bedplate_*-"$slot".efi; do
    [ -z "$another" ] || [ ! -e "$file" ] || mv "$file" "${file%.efi}+1-1.efi"
done
umount "$esp"
