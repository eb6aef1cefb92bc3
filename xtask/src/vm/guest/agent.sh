# Runs in the guest under /bin/sh: answers the commands of vm/guest.rs on a virtio port.
port=/dev/virtio-ports/bedplate.test
export HOME=/root
modprobe virtio_console 2>/dev/null
while [ ! -c "$port" ]; do sleep 0.2; done
exec 3<>"$port"
read -r boot </proc/sys/kernel/random/boot_id
echo "ready $boot" >&3
while :; do
    # The port reads as ended while nobody is connected outside.
    if ! read -r number script <&3; then
        sleep 0.2
        continue
    fi
    echo "$script" | base64 -d >/run/bedplate-test.sh
    sh /run/bedplate-test.sh >/run/bedplate-test.out 2>&1 </dev/null 3>&-
    code=$?
    { echo "$number $code $(base64 -w0 </run/bedplate-test.out)"; } >&3
done
