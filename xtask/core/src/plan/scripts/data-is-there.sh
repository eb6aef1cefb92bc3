#!/bin/sh
if mountpoint -q @MOUNT@; then exit 0; fi
echo '<2>bedplate: the data partition `@LABEL@` could not be mounted: this device forgets what it should keep'
echo '<2>bedplate: what needs it is not started; `journalctl -b -u bedplate-check -u run-bedplate-data.mount` says why'
exit 1
