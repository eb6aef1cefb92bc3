#!/bin/sh
# Asks for a newer version, installs and starts it. A version that this device went back from is not tried again.
set -u
url=@URL@
facts=$(rauc info --output-format=shell "$url") || exit 1
offered=$(echo "$facts" | sed -n "s/^RAUC_MF_VERSION='\(.*\)'$/\1/p")
dpkg --compare-versions "$offered" gt @VERSION@ || exit 0
result='' version=''
[ ! -e /run/bedplate/last ] || { read -r result; read -r _; read -r version; } </run/bedplate/last
case $result/$version in
installed/"$offered" | trial/"$offered") exit 0 ;;
went-back/"$offered") echo "<5>bedplate: version $offered is offered, and this device went back from it: it is left"; exit 0 ;;
esac
rauc install "$url" && systemctl --no-block reboot
