# key by which rndc controls the name server.
make_bind() {
    secret=$(head -c 32 /dev/urandom | base64) &&
    printf 'key "rndc-key" {\n\talgorithm hmac-sha256;\n\tsecret "%s";\n};\n' "$secret" >rndc.key
}
