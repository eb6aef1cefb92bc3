# name by which storage servers know the host.
make_iscsi() {
    echo "InitiatorName=iqn.1993-08.org.debian:01:$(hex 6)" >initiatorname.iscsi
}
