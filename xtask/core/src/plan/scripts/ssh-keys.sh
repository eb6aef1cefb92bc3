#!/bin/sh
# Makes the keys this device is known by, where one is missing or cannot be read.
# A power cut leaves all of a key or nothing: it is renamed into place when it is on disk.
set -eu
umask 077
mkdir -p /var/lib/bedplate/ssh
for kind in ed25519 ecdsa; do
    key=/var/lib/bedplate/ssh/ssh_host_${kind}_key
    if ssh-keygen -y -P '' -f "$key" >/dev/null 2>&1; then continue; fi
    rm -f "$key.new~" "$key.new~.pub"
    ssh-keygen -q -t "$kind" -N '' -C '' -f "$key.new~"
    sync -f "$key.new~"
    mv "$key.new~.pub" "$key.pub"
    mv "$key.new~" "$key"
    sync -f "$key"
done
