#!/bin/sh
# Names this device after what it is known by. The shell does what it can by itself: each program that is started costs
# a start more than its work.
set -eu
name=@TEMPLATE@

# Puts $2 for each $1 in the name.
put() {
    while case $name in *"$1"*) ;; *) false ;; esac; do
        name=${name%%"$1"*}$2${name#*"$1"}
    done
}

id=$(systemd-id128 machine-id --app-specific=5b1f0a4c6d0e4f4c9a1e7f1b7a3c2d90)
id=${id%"${id#????????????}"}
case $name in *'{serial}'*)
    serial=$(cat /sys/class/dmi/id/product_serial /sys/firmware/devicetree/base/serial-number 2>/dev/null | tr -d '\0' |
        head -n 1 | tr A-Z a-z | tr -cs 'a-z0-9\n' - | cut -c 1-32 | sed 's/^-*//; s/-*$//')
    case $serial in
    '' | 0 | none | default-string | not-specified | not-applicable | system-serial-number | to-be-filled-by-o-e-m)
        echo '<4>bedplate: the firmware knows no serial number: this device is named after its machine id'
        serial=$id ;;
    esac
    put '{serial}' "$serial" ;;
esac
put '{machine-id}' "$id"
while [ ${#name} -gt 64 ]; do name=${name%?}; done
while case $name in *[-.]) ;; *) false ;; esac; do name=${name%?}; done
echo "$name" >/run/bedplate-hostname/name
hostname "$name"
