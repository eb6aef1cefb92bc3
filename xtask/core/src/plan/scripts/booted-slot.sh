#!/bin/sh
# Tells udev, in the initrd, which slot of the booted disk was started: prints BEDPLATE_SLOT=a, or =b. The boot loader
# says which file it started, and that ends in `-a.efi`, or `-a+LEFT-DONE.efi`; in a root of the other slot the hash of
# the kernel's command line would not hold. Started by something else, it is the slot that the image was shipped with.
efi=/sys/firmware/efi/efivars
loader=4a67b082-0a4c-41cf-b6c7-440b29bb8c4f
for name in LoaderEntrySelected StubImageIdentifier; do
    # UTF-16, in decimal, behind four bytes of attributes.
    set -- $(od -An -v -tu1 "$efi/$name-$loader" 2>/dev/null)
    case " $* " in
    *' 45 0 97 0 43 0 '* | *' 45 0 97 0 46 0 '*) echo BEDPLATE_SLOT=a; exit ;;
    *' 45 0 98 0 43 0 '* | *' 45 0 98 0 46 0 '*) echo BEDPLATE_SLOT=b; exit ;;
    esac
done
echo '<4>bedplate: the boot loader does not tell which slot it started: it is taken for the first' >/dev/kmsg
echo BEDPLATE_SLOT=a
