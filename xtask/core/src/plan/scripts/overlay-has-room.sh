#!/bin/sh
# A full overlay fails every write: somebody should look before.
used=$(df --output=pcent / | tail -n 1 | tr -dc 0-9)
[ "$used" -ge 80 ] || exit 0
echo "<3>bedplate: $used % of the memory for what is written to the root is used; a reboot frees it"
exit 1
