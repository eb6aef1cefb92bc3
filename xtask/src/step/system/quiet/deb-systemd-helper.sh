#!/bin/sh
# deb-systemd-helper while packages are configured. It is Perl, and each unit of a package has it started three times. What
# only asks is answered here where nothing is on file of the unit, as when a package is installed for the first time.
program=/run/bedplate/programs/deb-systemd-helper
state=/var/lib/systemd/deb-systemd
[ -n "$DPKG_MAINTSCRIPT_PACKAGE" ] && [ -z "$DPKG_ROOT$_DEB_SYSTEMD_HELPER_DEBUG" ] || exec "$program" "$@"
instance=system kind=helper quiet='' action='' unit=''
for word do
    case $word in
        --quiet) quiet=yes ;;
        --system) instance=system kind=helper ;;
        --user) instance=user kind=user-helper ;;
        '' | -* | */*) exec "$program" "$@" ;;
        *)
            [ -z "$unit" ] || exec "$program" "$@"
            [ -z "$action" ] && action=$word || unit=$word
            ;;
    esac
done
[ -n "$unit" ] || exec "$program" "$@"
case "$action $quiet" in
    # Nobody masked it, and there is no word of any that was.
    'unmask ' | 'unmask yes')
        [ -e "/etc/systemd/$instance/$unit" ] || [ -d "$state-helper-masked" ] ||
            [ -d "$state-user-helper-masked" ] || exit 0
        ;;
    # It had no link that could have been taken away.
    'was-enabled yes') [ -e "$state-$kind-enabled/$unit.dsh-also" ] || exit 0 ;;
esac
exec "$program" "$@"
