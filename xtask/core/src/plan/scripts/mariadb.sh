#!/bin/sh
# Makes the data directory of the server where it is empty: it holds an id, and
# no two devices share one. It is made in a directory of its own, which is renamed
# when it is on disk, and what is in that moved out of it.
umask 077
data=/var/lib/mysql
new=$data/bedplate.new~
made=$data/bedplate.made~

fail() {
    echo "<3>bedplate: $*"
    exit 1
}

if [ ! -d "$made" ]; then
    rm -rf "$new"
    if [ -d "$data/mysql" ]; then exit 0; fi
    for other in "$data"/* "$data"/.[!.]*; do
        case ${other##*/} in lost+found | '*' | '.[!.]*') ;; *) fail "$data holds $other, and no system tables" ;; esac
    done
    mkdir "$new" && TMPDIR=$new mariadb-install-db --rpm --cross-bootstrap --user=mysql --datadir="$new" \
        --tmpdir="$new" --disable-log-bin --skip-test-db --skip-log-error >&2 &&
        sync -f "$new" && mv -T "$new" "$made" && sync -f "$made" || fail "cannot make the data of the server in $data"
fi
find "$made" -mindepth 1 -maxdepth 1 -exec mv -t "$data" {} + && sync -f "$data" && rmdir "$made" ||
    fail "cannot move the data of the server into $data"
