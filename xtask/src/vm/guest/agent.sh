# Runs in the guest under /bin/sh: answers the commands of vm/guest.rs on a virtio port, or on two pipes in a container.
port=/dev/virtio-ports/bedplate.test
pipes=/run/bedplate-test
export HOME=/root
if [ -p "$pipes/to" ]; then
    exec 3<>"$pipes/to" 4<>"$pipes/from"
else
    modprobe virtio_console 2>/dev/null
    while [ ! -c "$port" ]; do sleep 0.2; done
    exec 3<>"$port" 4>&3
fi
read -r boot </proc/sys/kernel/random/boot_id
echo "ready $boot" >&4
while :; do
    # The port reads as ended while nobody is connected outside.
    if ! read -r number script <&3; then
        sleep 0.2
        continue
    fi
    echo "$script" | base64 -d >/run/bedplate-test.sh
    sh /run/bedplate-test.sh >/run/bedplate-test.out 2>&1 </dev/null 3>&- 4>&-
    code=$?
    { echo "$number $code $(base64 -w0 </run/bedplate-test.out)"; } >&4
done
