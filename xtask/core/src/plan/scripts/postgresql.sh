#!/bin/sh
# Makes the data directory of every configured cluster that has none: it holds
# an id, and no two devices share one. It is renamed into place when it is on disk.
umask 077
failed=0
for conf in /etc/postgresql/*/*/postgresql.conf; do
    [ -e "$conf" ] || continue
    cluster=${conf%/*}
    cluster=${cluster#/etc/postgresql/}
    data=/var/lib/postgresql/$cluster
    [ -s "$data/PG_VERSION" ] && continue
    new=$data.new~
    rm -rf "$new"
    if mkdir -p "${data%/*}" &&
        "/usr/lib/postgresql/${cluster%%/*}/bin/initdb" -D "$new" --auth-local=peer --auth-host=scram-sha-256 >&2 &&
        rm -f "$new/postgresql.conf" "$new/pg_hba.conf" "$new/pg_ident.conf" &&
        sync -f "$new" && mv -T "$new" "$data" && sync -f "$data"; then
        continue
    fi
    echo "<3>bedplate: cannot make the database cluster $cluster in $data"
    failed=1
done
exit $failed
