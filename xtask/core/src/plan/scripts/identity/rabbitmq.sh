# cookie by which nodes of Erlang know each other.
make_rabbitmq() {
    cookie=$(LC_ALL=C tr -dc A-Z </dev/urandom | head -c 20) && printf %s "$cookie" >.erlang.cookie
}
