#!/bin/sh
# kmod while packages are configured. The kernel that runs is the builder's: no module is loaded or removed.
name=${0##*/}
case $name in
    insmod | rmmod) loads=yes ;;
    modprobe)
        loads=yes
        for argument do
            case $argument in
                -n | -c | -D | -R | -V | --dry-run | --show* | --resolve-alias | --dump* | --version) loads=no ;;
            esac
        done
        ;;
    *) loads=no ;;
esac
if [ "$loads" = yes ]; then
    echo "$name: left out while the image is built: $*"
    exit 0
fi
exec "/run/bedplate/programs/$name" "$@"
