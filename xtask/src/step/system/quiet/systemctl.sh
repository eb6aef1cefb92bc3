#!/bin/sh
# systemctl while packages are configured. In a chroot it enables, disables and masks, ignores what needs a running
# manager, and refuses `--now`, after all else that was asked for is done: so `--now` is left out.
for argument do
    shift
    [ "$argument" = --now ] || set -- "$@" "$argument"
done
exec "/run/bedplate/programs/${0##*/}" "$@"
