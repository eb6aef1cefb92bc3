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
# What was begun before the scripts is as good as made now, unless a module came since.
if [ "$name" = depmod ]; then
    for release do :; done
    ahead=/usr/lib/modules/${release-}/bedplate-depmod
    while [ -e "$ahead.begun" ] && [ ! -e "$ahead.done" ]; do sleep 0.05; done
    if [ $# = 1 ] && [ -e "$ahead.done" ] &&
        [ -z "$(find "/usr/lib/modules/$release" -mindepth 1 -cnewer "$ahead.begun" \( -name '*.ko*' -o -type d \))" ]; then
        cat "$ahead.said"
        exit 0
    fi
fi
exec "/run/bedplate/programs/$name" "$@"
