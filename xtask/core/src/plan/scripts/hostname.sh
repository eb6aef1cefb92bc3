#!/bin/sh
# Names this device after what it is known by.
set -eu
template=@TEMPLATE@
id=$(systemd-id128 machine-id --app-specific=5b1f0a4c6d0e4f4c9a1e7f1b7a3c2d90 | cut -c 1-12)
serial=$(cat /sys/class/dmi/id/product_serial /proc/device-tree/serial-number 2>/dev/null | tr -d '\0' | head -n 1 |
    tr A-Z a-z | tr -cs 'a-z0-9\n' - | cut -c 1-32 | sed 's/^-*//; s/-*$//')
case $serial in
'' | 0 | none | default-string | not-specified | not-applicable | system-serial-number | to-be-filled-by-o-e-m)
    case $template in *'{serial}'*)
        echo '<4>bedplate: the firmware knows no serial number: this device is named after its machine id' ;;
    esac
    serial=$id ;;
esac
name=$(echo "$template" | sed "s/{machine-id}/$id/g; s/{serial}/$serial/g" | cut -c 1-64 | sed 's/[-.]*$//')
echo "$name" >/run/bedplate-hostname/name
hostname "$name"
