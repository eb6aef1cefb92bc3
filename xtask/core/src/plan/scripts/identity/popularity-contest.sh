# id under which the packages in use are counted.
make_popularity_contest() {
    printf 'MY_HOSTID="%s"\nPARTICIPATE="no"\nUSEHTTP="yes"\nDAY="%s"\n' \
        "$(hex 16)" "$(($(od -An -N1 -tu1 /dev/urandom) % 7))" >popularity-contest.conf &&
    printf 'PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin\n%s %s * * *   root    test -x /etc/cron.daily/popularity-contest && /etc/cron.daily/popularity-contest --crond\n' \
        "$(($(od -An -N1 -tu1 /dev/urandom) % 60))" "$(($(od -An -N1 -tu1 /dev/urandom) % 24))" >popularity-contest
}
