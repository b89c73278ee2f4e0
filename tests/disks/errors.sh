# Disks that fail (QEMU's blkdebug) and disks that are full.
. tests/disks/disks.sh

# failing_disk SECTOR WHAT: errors.c in the guest, where writes of SECTOR fail.
failing_disk()
{
    guest --add build/disks/errors:/root/errors --kernel-log "$tmp/kernel" --qemu "
        -blockdev driver=file,filename=$disk,node-name=disk-file
        -blockdev driver=raw,file=disk-file,node-name=disk
        -blockdev driver=blkdebug,image=disk,node-name=failing,inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=5,inject-error.0.sector=$1,inject-error.0.once=off
        -device virtio-blk-device,drive=failing,serial=failing" -- /root/errors /dev/vdb "$2"
}

mkdir "$tmp/root"
head -c 16384 /dev/zero | tr '\0' 'a' >"$tmp/root/file"

for block_size in 1024 4096; do
    new_disk log 16M -b "$block_size" -d "$tmp/root"
    block=$(debugfs -R 'bmap <8> 40' "$disk" 2>/dev/null)
    failing_disk $((block * block_size / 512)) log
    like "$out" "failed create:EROFS mkdir:EROFS unlink:EROFS ro read:ok fsync:EIO remount:EROFS chdir:ok umount:ok *" \
        "a write of the log fails, blocks of $block_size: read-only, EROFS and EIO, nothing hangs"
    [ "$KERNEL" = linux ] || is "$(grep -c 'journal of vdb: aborted' "$tmp/kernel")" 1 "... the kernel says so once"
    e2fsck -p "$disk" >"$tmp/fsck" 2>&1
    like "$?" "[01]" "... what was committed is recovered without questions"
    ok "... and clean" e2fsck -fn "$disk"

    new_disk data 16M -b "$block_size" -d "$tmp/root"
    block=$(debugfs -R 'bmap /file 0' "$disk" 2>/dev/null)
    failing_disk $((block * block_size / 512)) data
    like "$out" "write:ok a:EIO a:ok b:EIO b:ok c:ok write:ok c:ok create:ok chdir:ok umount:*" \
        "a write of data fails: fsync tells each descriptor once"
    ok "... the file system is not harmed" e2fsck -fn "$disk"
done

# A metadata block in its place, not in the log: the inode table, written at a checkpoint.
new_disk place 16M -b 1024 -d "$tmp/root"
block=$(dumpe2fs "$disk" 2>/dev/null | sed -n 's/.*Block bitmap at \([0-9]*\).*/\1/p' | head -n1)
failing_disk $((block * 2)) log
like "$out" "*umount:ok *" "a write in place fails, after it was committed: nothing hangs"
if dumpe2fs -h "$disk" 2>/dev/null | grep -q needs_recovery; then
    e2fsck -p "$disk" >"$tmp/fsck" 2>&1
    like "$?" "[01]" "... and is recovered at the next mount"
else
    result 1 "... and is recovered at the next mount"
fi

new_disk full 8M -b 1024 -m 0
guest --drive "$disk" -- sh -c '
    mkdir -p /mnt && mount -t ext3 /dev/vdb /mnt && cd /mnt || exit 1
    for i in 1 2 3; do
        dd if=/dev/zero of=big$i bs=64k count=200 2>&1 | grep -o "No space left on device"
        mkdir dir$i 2>/dev/null; sync; rm -rf big$i; sync
    done
    n=0; while echo x >f$n 2>/dev/null; do n=$((n + 1)); done; [ $n -gt 100 ] && echo "no inodes left"
    cd /; umount /mnt'
like "$status:$out" "0:No space left on device*No space left on device*No space left on device*no inodes left" \
    "a full disk says ENOSPC, and has room again after a deletion"
is_clean "... it is clean"
finish
