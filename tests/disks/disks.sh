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

# recorded_drive: what QEMU needs for a drive $tmp/after whose writes and flushes are recorded in $tmp/log.
recorded_drive()
{
    cat <<END
-blockdev driver=file,filename=$tmp/after,node-name=after-file
-blockdev driver=raw,file=after-file,node-name=after
-blockdev driver=file,filename=$tmp/log,node-name=log-file
-blockdev driver=raw,file=log-file,node-name=log
-blockdev driver=blklogwrites,file=after,log=log,log-sector-size=512,node-name=recorded
-device virtio-blk-device,drive=recorded,serial=recorded
END
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
