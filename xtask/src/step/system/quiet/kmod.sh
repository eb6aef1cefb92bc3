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
# What was begun beside the scripts is as good as made, unless a module came since. Who reads it has it made now.
for begun in /usr/lib/modules/*/bedplate-depmod.begun; do
    [ -e "$begun" ] || continue
    modules=${begun%/*}
    case $name in
        depmod)
            case " $* " in *" ${modules##*/} "*) ;; *) continue ;; esac
            if [ $# = 1 ] &&
                [ -z "$(find "$modules" -mindepth 1 -cnewer "$begun" \( -name '*.ko*' -o -type d \))" ]; then
                exit 0
            fi
            ;;
        modinfo | modprobe) /run/bedplate/programs/depmod "${modules##*/}" || exit ;;
        *) continue ;;
    esac
    rm -f "$begun"
done
exec "/run/bedplate/programs/$name" "$@"
