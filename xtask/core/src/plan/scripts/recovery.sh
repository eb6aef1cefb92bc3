#!/bin/sh
# Makes a recovery key of the encrypted data partition $1, and leaves it on the EFI system partition, encrypted to its
# owner. It works in the initrd alone: later the TPM does not open the partition. The mark that it is done is set last
# (ExecStartPost=): a device that loses its power makes another one, and only the last one opens the partition.
set -eu
esp=/run/bedplate/recovery
key=$(systemd-cryptenroll --unlock-tpm2-device=auto --recovery-key --wipe-slot=recovery "$1")
[ -n "$key" ]
mount -t vfat -o X-mount.mkdir,umask=0077 /dev/bedplate/esp "$esp"
trap 'umount "$esp"' EXIT
printf '%s\n' "$key" |
    openssl cms -encrypt -aes-256-cbc -binary -outform PEM -out "$esp/recovery.cms" /usr/lib/bedplate/recovery.pem
