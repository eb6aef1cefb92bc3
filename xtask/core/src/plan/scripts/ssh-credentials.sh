#!/bin/sh
# Copies the keys that were handed in as credentials to where sshd looks for them.
failed=0
mkdir -p /run/bedplate/authorized_keys
chmod 755 /run/bedplate/authorized_keys
for name in @NAMES@; do
    from=${CREDENTIALS_DIRECTORY:-/nonexistent}/ssh.authorized_keys.$name
    [ -e "$from" ] || continue
    if ssh-keygen -l -f "$from" >/dev/null 2>&1; then
        cp "$from" /run/bedplate/authorized_keys/"$name" && chmod 644 /run/bedplate/authorized_keys/"$name"
    else
        echo "<3>bedplate: the credential ssh.authorized_keys.$name holds no public key: it lets nobody in"
        failed=1
    fi
done
exit $failed
