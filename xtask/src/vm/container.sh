# Runs in the sandbox as root: plays the initrd, and starts the root in systemd-nspawn (vm/container.rs).
#
#   NAME KIND ROOT-OFFSET ROOT-SIZE [DATA-LABEL DATA-OFFSET DATA-SIZE]...
set -eu
name=$1 kind=$2
disk=/run/vm/$name.raw
units=usr/lib/systemd/system

# A device of a part of the disk, which goes with its mount. One that a machine before this one has just let go
# of may still be in the way.
mount_part() {
    tries=0
    until mount -o "loop,offset=$3,sizelimit=$4,$2" "$disk" "$1"; do
        tries=$((tries + 1))
        [ "$tries" -lt 20 ] && losetup --raw -nO BACK-FILE | grep -qF "$name.raw" || return 1
        sleep 0.2
    done
}

for number in $(seq 0 63); do mknod "/dev/loop$number" b 7 "$number"; done
mknod /dev/loop-control c 10 237

mkdir /run/root /run/data /run/top /run/machine
case $kind in
written) mount_part /run/root rw "$3" "$4" ;;
*) mount_part /run/root ro "$3" "$4" ;;
esac
shift 4

# What the units of the root say about each data partition.
set -- "$@" --
while [ "$1" != -- ]; do
    label=$1 offset=$2 size=$3
    shift 3
    unit=$(cd /run/root && grep -lx "What=/dev/bedplate/$label" $units/*.mount || :)
    [ -n "$unit" ] || continue
    where=$(sed -n 's/^Where=//p' "/run/root/$unit")
    at=/run/data/$label
    mkdir "$at"
    # A device whose data is lost starts all the same.
    mount_part "$at" nosuid,nodev,noexec "$offset" "$size" || continue
    set -- "$@" "--bind=$at:$where"
    # It has no disk on which the partition could grow.
    growth=systemd-growfs@$(systemd-escape --path "$where").service
    printf '[Unit]\nConditionVirtualization=!container\n' >"/run/growth-$label"
    set -- "$@" "--load-credential=systemd.unit-dropin.$growth~bedplate-test:/run/growth-$label"
    # The initrd makes the kept machine id on the partition that the binds lie on.
    if grep -q '^Requires=bedplate-data.service' "/run/root/$unit"; then
        kept=$at/$BACKING/etc/machine-id
        mkdir -p "${kept%/*}"
        [ -s "$kept" ] || tr -d - </proc/sys/kernel/random/uuid >"$kept"
        chmod 0444 "$kept"
        set -- "$@" "--bind-ro=$kept:/etc/machine-id"
    fi
done
shift

for file in /run/vm/credentials/*; do
    [ -e "$file" ] || continue
    set -- "$@" "--load-credential=${file##*/}:$file"
done

# Somebody is at its console.
if [ -n "${CONSOLE:-}" ]; then
    set -- "$@" "--bind-ro=/run/vm/console-getty.conf:/run/systemd/system/console-getty.service.d/bedplate.conf"
fi

# Its own place among the processes of this host, however many machines there are.
mount -t cgroup2 cgroup2 /sys/fs/cgroup
tries=0
until mkdir -p "/sys/fs/cgroup/$name" && echo $$ >"/sys/fs/cgroup/$name/cgroup.procs"; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ]
    sleep 0.1
done

while :; do
    root=/run/root
    if [ "$kind" = forgotten ]; then
        mount -t tmpfs -o mode=0755 tmpfs /run/top
        mkdir /run/top/upper /run/top/work
        mount -t overlay -o lowerdir=/run/root,upperdir=/run/top/upper,workdir=/run/top/work overlay /run/machine
        root=/run/machine
    fi
    code=0
    systemd-nspawn --quiet --boot --directory="$root" --machine="$name" --hostname="$(cat $root/etc/hostname 2>/dev/null || :)" \
        --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off --private-network \
        --console="${CONSOLE:-read-only}" --bind=/run/vm/pipes:/run/bedplate-test "$@" || code=$?
    if [ "$kind" = forgotten ]; then umount /run/machine /run/top; fi
    # It asked for a reboot.
    [ $code -eq 133 ] || break
done
umount /run/data/* 2>/dev/null || :
umount /run/root
exit $code
