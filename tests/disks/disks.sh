# For scripts that give the machine a disk of its own, /dev/vdb: `. tests/disks/disks.sh` from the top of the tree, then what
# tests/front/tap.sh offers and the following. KERNEL=linux: on Debian's Linux.
. tests/front/tap.sh
PATH=$PATH:/usr/sbin:/sbin

# new_disk NAME SIZE OPTION...: $disk is a fresh ext3 image.
new_disk()
{
    disk=$tmp/$1
    rm -f "$disk"
    truncate -s "$2" "$disk"
    shift 2
    mke2fs -q -F -t ext3 "$@" "$disk" >"$tmp/mke2fs" 2>&1
}

# on_disk PROGRAM OPTION... -- ARGUMENT...: runs one of our programs in the guest with $disk.
on_disk()
{
    program=$1
    shift
    guest --add "build/disks/$program:/root/$program" --drive "$disk" --kernel-log "$tmp/kernel" "$@"
}

# e2fsck finds nothing to repair on $disk, nor to replay.
is_clean()
{
    ok "$1" sh -c "! dumpe2fs -h '$disk' 2>/dev/null | grep -q needs_recovery && e2fsck -fn '$disk'"
}
