#!/bin/sh
# Makes the ids and keys that belong to this device alone, where they are missing,
# and puts them where programs look for them. What is there is left as it is.
umask 077
failed=0
store=@STORE@
@PERSISTENT?@if ! mountpoint -q @MOUNT@; then store=/run/bedplate/own; fi

# So many random bytes, in hexadecimal.
hex() { od -An -v -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# A random UUID.
uuid() { hex 16 | sed 's/^\(.\{8\}\)\(.\{4\}\).\(.\{3\}\).\(.\{3\}\)\(.\{12\}\)$/\1-\2-4\3-a\4-\5/'; }

complain() {
    echo "<3>bedplate: $*"
    failed=1
}

# SET FUNCTION: a set is made whole or not at all, also when the power goes.
own() {
    new=$store/$1.new~
    if [ -d "$store/$1" ]; then return; fi
    rm -rf "$new"
    (umask 022 && mkdir -p "$store") && chmod 700 "$store" && mkdir "$new" && (cd "$new" && "$2") &&
        sync -f "$new" && mv -T "$new" "$store/$1" && sync -f "$store/$1" && return
    complain "cannot make $1 of this device in $store"
    rm -rf "$new"
}

# SET FILE MODE OWNER PATH
put() {
    if [ -s "$5" ]; then return; fi
    (umask 022 && mkdir -p "${5%/*}") && cp "$store/$1/$2" "$5.new~" && chown "$4" "$5.new~" &&
        chmod "$3" "$5.new~" && mv -T "$5.new~" "$5" && return
    complain "cannot write $5"
    rm -f "$5.new~"
}

@MAKES@
@OWNS@

exit $failed
