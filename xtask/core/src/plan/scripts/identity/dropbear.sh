# host keys of the secure shell.
make_dropbear() {
    dropbearkey -t rsa -f dropbear_rsa_host_key >&2 &&
    dropbearkey -t ecdsa -f dropbear_ecdsa_host_key >&2 &&
    dropbearkey -t ed25519 -f dropbear_ed25519_host_key >&2
}
