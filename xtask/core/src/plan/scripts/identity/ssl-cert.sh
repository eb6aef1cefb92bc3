# self-signed certificate and its key.
make_ssl_cert() {
    name=$(uname -n | cut -c 1-64) &&
    openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj "/CN=$name" \
        -addext "subjectAltName=DNS:$name" -keyout ssl-cert-snakeoil.key -out ssl-cert-snakeoil.pem
}
