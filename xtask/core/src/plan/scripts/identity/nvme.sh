# name by which storage servers know the host.
make_nvme() {
    id=$(uuid) && echo "$id" >hostid &&
    echo "nqn.2014-08.org.nvmexpress:uuid:$id" >hostnqn
}
